#!/usr/bin/env python3
"""Compare lomond.server with other servers that have a thread for each connection.

``group`` is a Server in a Group, and ``gevent`` a Server with greenlets for threads.

    python3 benchmarks/servers.py                   all rows
    python3 benchmarks/servers.py idle echo         only these; also: broadcast, many
    python3 benchmarks/servers.py idle --server gevent group
    python3 benchmarks/servers.py echo --wsaccel    with wsaccel, for those that use it

Each server is a process of its own, with the same clients: bare sockets with prepared
frames, on another processor. What counts is the CPU time of the server. Pings and
compression are off. Environments are kept in .venvs (git-ignored). It needs Linux,
Python 3.6 or newer, and only the standard library.
"""

import argparse
import base64
import contextlib
import functools
import json
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import surroundings
from report import format_table, median
from surroundings import HERE, Failed

SERVERS = ('lomond', 'group', 'gevent', 'websockets', 'simple-websocket', 'ws4py')
ROWS = ('idle', 'echo', 'broadcast', 'many')
IDLE, BROADCAST, MANY = 500, 200, 3000
REQUEST = ('GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
           'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n')


def say(text):
    print(text)
    sys.stdout.flush()


def encode(payload):
    """Encode a masked binary frame with a key of zeros."""
    size = len(payload)
    if size < 126:
        header = bytes([0x82, 0x80 | size])
    else:
        header = bytes([0x82, 0xFE]) + size.to_bytes(2, 'big')
    return header + b'\0\0\0\0' + payload


def answer_size(payload):
    return len(payload) + (2 if len(payload) < 126 else 4 if len(payload) < 65536 else 10)


class Server:
    """A server process and its clients."""

    def __init__(self, python, name, tree, pin=None):
        self._process = subprocess.Popen(
            [python, os.path.join(HERE, 'servers_child.py'), name], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=surroundings.child_environ(PYTHONPATH=tree), start_new_session=True,
            preexec_fn=pin)
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise Failed('{} did not start'.format(name))
        self.port = int(line)
        self.clients = []

    def ask(self, line='figures'):
        self._process.stdin.write(line.encode('ascii') + b'\n')
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline().decode('ascii'))

    def open(self, count):
        """Open more connections."""
        for _ in range(count):
            sock = socket.create_connection(('127.0.0.1', self.port), 30)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            key = base64.b64encode(os.urandom(16)).decode('ascii')
            sock.sendall(REQUEST.format(self.port, key).encode('ascii'))
            data = b''
            while not data.endswith(b'\r\n\r\n'):
                piece = sock.recv(1)
                if not piece:
                    raise Failed('no connection: {!r}'.format(data))
                data += piece
            self.clients.append(sock)

    def stop(self):
        self._process.kill()        # before the clients: no port then waits
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        for sock in getattr(self, 'clients', ()):
            sock.close()


def take(sock, size):
    while size:
        count = len(sock.recv(min(size, 1 << 20)))
        if not count:
            raise Failed('the server has ended a connection')
        size -= count


def measure_idle(server):
    server.open(20)
    time.sleep(0.3)
    before = server.ask()
    server.open(IDLE)
    time.sleep(1)
    after = server.ask()
    before_idle = server.ask('cpu')['cpu']
    time.sleep(5)
    later = server.ask('cpu')['cpu']
    return {'idle: private KiB each': (after['private'] - before['private']) / IDLE / 1024,
            'idle: threads each': (after['threads'] - before['threads']) / IDLE,
            'idle: descriptors each': (after['descriptors'] - before['descriptors']) / IDLE,
            'idle: CPU, % of a processor': (later - before_idle) / 5 * 100}


def measure_echo(server):
    found = {}
    for size, clients, count in (16, 1, 5000), (64, 50, 200), (65000, 1, 300):
        server.open(clients - len(server.clients))
        payload = b'x' * size
        frame, wanted = encode(payload), answer_size(payload)
        used = clients and server.clients[:clients]
        for turn in range(2):                   # the first one is the warm-up
            before = server.ask('cpu')['cpu']
            for _ in range(count if turn else count // 5):
                for sock in used:
                    sock.sendall(frame)
                for sock in used:
                    take(sock, wanted)
            spent = server.ask('cpu')['cpu'] - before
        found['echo: us for {:,} bytes on {}'.format(size, clients)] = spent / count / clients * 1e6
    return found


def measure_broadcast(server):
    """The time until the last of 200 clients has everything."""
    found = {}
    server.open(BROADCAST)
    for size in 100, 100 * 1024:
        times = []
        for _ in range(7):
            poll, left = select.poll(), {}
            for sock in server.clients:
                poll.register(sock, select.POLLIN)
                left[sock.fileno()] = [sock, size + (2 if size < 126 else 4 if size < 65536 else 10)]
            begun = time.monotonic()
            seconds = server.ask('broadcast {}'.format(size))['seconds']
            while left:
                for fd, _ in poll.poll(5000):
                    if fd in left:
                        left[fd][1] -= len(left[fd][0].recv(left[fd][1]))
                        if not left[fd][1]:
                            del left[fd]
                if time.monotonic() - begun > 30:
                    raise Failed('a broadcast did not arrive')
            times.append(seconds)
        found['broadcast: ms for {:,} bytes to {}'.format(size, BROADCAST)] = median(times) * 1e3
    return found


def measure_many(server):
    begun = time.monotonic()
    server.open(MANY)
    opened = time.monotonic() - begun
    frame, wanted = encode(b'x' * 16), 18
    for sock in server.clients:
        sock.sendall(frame)
    for sock in server.clients:
        take(sock, wanted)
    return {'many: s to open {:,}, and all echo'.format(MANY): opened}


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='*', metavar='ROW', help='of {} (default: all)'.format(', '.join(ROWS)))
    parser.add_argument('--server', nargs='+', choices=SERVERS, default=list(SERVERS), metavar='NAME',
                        help='of {} (default: all)'.format(', '.join(SERVERS)))
    parser.add_argument('--wsaccel', action='store_true', help='install wsaccel, which masks in C')
    parser.add_argument('--python', default='3.11', metavar='VERSION', help='such as 3.13 (default: 3.11)')
    parser.add_argument('--rounds', type=int, default=3, help='rounds (default: 3)')
    parser.add_argument('--tree', default=surroundings.CHECKOUT, metavar='FOLDER',
                        help='import lomond from here (default: this checkout)')
    parser.add_argument('--venvs', default=os.path.join(surroundings.CHECKOUT, '.venvs'), metavar='FOLDER',
                        help='where environments are kept')
    options = parser.parse_args(arguments)
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown:
        parser.error('unknown row: {}'.format(', '.join(unknown)))
    options.rows = options.rows or list(ROWS)
    return options


def run(options):
    environments = surroundings.environments
    found, remarks = environments.find([options.python])
    if options.python not in found:
        raise Failed('\n'.join(['Python {} was not found'.format(options.python)] + remarks))
    os.makedirs(options.venvs, exist_ok=True)
    python = environments.make(
        options.venvs, 'bench-{}-servers{}'.format(options.python, '-wsaccel' if options.wsaccel else ''),
        found[options.python],
        [os.path.join(HERE, 'pins-servers.txt')] + (
            [environments.PINS_WSACCEL] if options.wsaccel else []),
        os.path.join(options.venvs, 'bench.log'), None)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pin = None
    if surroundings.can_pin():              # or each row that waits has two different figures
        pin = functools.partial(os.sched_setaffinity, 0, sorted(os.sched_getaffinity(0))[:1])
        surroundings.pin_server()
    tree = tempfile.mkdtemp(prefix='lomond-servers-')
    figures = {}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, tree, True)
        shutil.copytree(os.path.join(os.path.abspath(options.tree), 'lomond'), os.path.join(tree, 'lomond'))
        for number in range(options.rounds):
            for row in options.rows:
                for name in options.server if number % 2 else options.server[::-1]:
                    if row in ('broadcast', 'many') and name not in ('lomond', 'group', 'gevent'):
                        continue
                    try:
                        with contextlib.ExitStack() as running:
                            server = Server(python, name, tree, pin)
                            running.callback(server.stop)
                            measured = globals()['measure_' + row](server)
                    except (Failed, OSError, ValueError) as error:
                        say('  {}: {}: {}'.format(row, name, error))
                        continue
                    say('  {}  {}: {}'.format(time.strftime('%H:%M:%S'), name, '  '.join(
                        '{}={:.3g}'.format(*item) for item in measured.items())))
                    for title, value in measured.items():
                        figures.setdefault(title, {}).setdefault(name, []).append(value)
    rows = [['CPython {}{}, medians of {}'.format(
        options.python, ' with wsaccel' if options.wsaccel else '', options.rounds)] + list(options.server)]
    for title, by_name in figures.items():
        rows.append([title] + ['{:.3g}'.format(median(by_name[name])) if name in by_name else '-'
                               for name in options.server])
    say(format_table(rows))
    return 0


def main(arguments=None):
    options = parse_arguments(arguments)
    try:
        return run(options)
    except Failed as failed:
        say('benchmarks/servers.py: {}'.format(failed))
        return 2
    except KeyboardInterrupt:
        say('interrupted')
        return 130


if __name__ == '__main__':
    sys.exit(main())
