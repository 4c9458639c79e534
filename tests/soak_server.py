"""What ``python tests/soak.py --server`` lives through: a Server, and one in a Group,
each plain and with TLS, and clients of all sorts, in random order.

It must not know how growth is judged.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import logging
import socket
import struct
import time

import chaos
from support.accepted import REQUEST, Raw, ask, close_all, wait_until
from support.certificates import server_context
from support.client import in_thread, play
from support.frames import BINARY, KEY, PING, PONG, TEXT, Reader, close_frame, frame

from lomond._compat import OS_ERRORS
from lomond.group import Group
from lomond.server import Server, broadcast

SIZES = (0, 1, 125, 126, 4000, 65535, 65536, 200000)
#: Short times, so that many connections end by them.
TIMES = dict(open_timeout=0.4, ping_rate=0.2, ping_timeout=0.4, close_timeout=0.4, send_timeout=0.5,
             max_message_size=300000, max_connections=60, compress=True, host='127.0.0.1')
UNMASKED, NO_TEXT = frame(TEXT, b'x'), frame(TEXT, b'\xff', key=KEY)
LARGE = b'\x82\xff' + struct.pack(str('>Q'), 400000) + KEY


class Mistake(Exception):
    """What a handler raises here; its traceback is no news."""


def answer(websocket, event):
    """Echo; /bad raises."""
    if event.name == 'text' and event.text == 'raise':
        raise Mistake
    if event.name == 'text':
        websocket.send_text(event.text)
    elif event.name == 'binary':
        websocket.send_binary(event.data)


def handle(websocket):
    for event in websocket:
        answer(websocket, event)


def on_request(request):
    if request.path == '/exits':
        raise SystemExit
    return (404, [], b'') if request.path == '/nothing' else None


class Hosts(object):
    """The servers, and the residents that each of the two kinds has.

    :param certificates: paths: the authority's, and the server's with its key
    :ivar server: the one of this round, a kind of which is `kind`
    """

    def __init__(self, certificates):
        self.ca, pem = certificates
        self.options = dict(TIMES, on_request=on_request)
        secure = dict(self.options, ssl_context=server_context(pem))
        self.servers = {'threads': Server(handle, **self.options), 'threads, TLS': Server(handle, **secure),
                        'group': Server(**self.options), 'group, TLS': Server(**secure)}
        self.group = Group([self.servers['group'], self.servers['group, TLS']])
        self.thread = in_thread(self._drive)
        self.servers['threads'].start()
        self.servers['threads, TLS'].start()
        self.urls = [self.servers[name].url for name in ('threads', 'group')]
        logging.getLogger('lomond.server').addHandler(logging.NullHandler())    # tracebacks of mistakes

    def _drive(self):
        for websocket, event in self.group:
            try:
                if websocket is not None:
                    answer(websocket, event)
            except Mistake:
                websocket.close(1011)

    def is_idle(self):
        """Whether only the residents are left."""
        return all(len(server.connections) == ('TLS' not in name) for name, server in self.servers.items())

    def end(self):
        """End a round."""
        close_all()
        wait_until(self.is_idle, 8)

    def close(self):
        """Stop all."""
        close_all()
        for name, server in self.servers.items():
            assert server.stop(5) or 'group' in name
        self.thread.join(5)
        assert not self.thread.is_alive() and self.thread.error is None, self.thread.error


# -- what clients do: each gets the Hosts, the name of one of them, and a Random

def conversations(hosts, name, rng):
    """Echoes of all sizes, compressed or not, and a close from either side."""
    server, sizes = hosts.servers[name], [rng.choice(SIZES) for _ in range(rng.randrange(1, 20))]
    seen = []

    def receive(ws, event):
        seen.append(len(event.data))
        if len(seen) == len(sizes):
            ws.close()
    options = dict(compress=rng.random() < 0.5, ssl_cafile=hosts.ca)
    play(server.url.replace('127.0.0.1', 'localhost'), {
        'ready': lambda ws, event: [ws.send_binary(b'%' * size) for size in sizes],
        'binary': receive}, options)
    assert sorted(seen) == sorted(sizes)


def leaves(hosts, name, rng):
    """Clients that leave at any point, with or without a farewell, by FIN or by reset."""
    server = hosts.servers[name]
    whole = REQUEST + frame(BINARY, b'x' * 5000, key=KEY) + close_frame(1000, key=KEY)
    clients = [Raw(server, whole[:rng.choice((0, 20, len(REQUEST), len(REQUEST) + 300, len(whole)))])
               for _ in range(rng.randrange(1, 12))]
    time.sleep(rng.choice((0, 0.05)))
    for client in clients:
        if rng.random() < 0.5:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
        client.close()


def stay(hosts, name, rng):
    """Clients that say nothing more: no request, half of one, no pong, no answer to a close."""
    for begin in (b'', REQUEST[:50], REQUEST, REQUEST + frame(TEXT, b'raise', key=KEY)):
        Raw(hosts.servers[name], begin)
    wait_until(hosts.is_idle, 8)


def offend(hosts, name, rng):
    """What is refused, and what fails."""
    for request in (ask(b'Origin: https://evil.example'), ask(target=b'/nothing'), ask(target=b'/exits'),
                    b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'nonsense\r\n\r\n', b'x' * 70000,
                    REQUEST + UNMASKED, REQUEST + NO_TEXT, REQUEST + LARGE,
                    REQUEST + frame(TEXT, b'raise', key=KEY) + close_frame(1011, key=KEY)):
        client = Raw(hosts.servers[name], request)
        if 'TLS' not in name:
            try:
                client.read()
            except OS_ERRORS:                   # a reset, which may overtake the answer
                pass
        client.close()


def broadcasts(hosts, name, rng):
    """To some clients, one of which does not read, and is dropped."""
    if 'TLS' in name:
        return
    server = hosts.servers[name]
    residents = server.connections
    readers, sleeper = [Raw(server).ready() for _ in range(5)], Raw(server).ready()
    wait_until(lambda: len(server.connections) == len(residents) + 6)
    sleeper.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    parsers, counts = [Reader() for _ in readers], [0] * len(readers)
    for parser, client in zip(parsers, readers):
        parser.feed(client.received.partition(b'\r\n\r\n')[2])        # a ping, if anything
    for number in range(30):
        others = [websocket for websocket in server.connections if websocket not in residents]
        assert broadcast(others, b'b' * 100000, limit=200000) >= len(readers)
        for index, client in enumerate(readers):
            while counts[index] <= number:
                data = client.sock.recv(65536)
                assert data, 'one that reads was dropped'
                for _, _, opcode, _, _ in parsers[index].feed(data):
                    counts[index] += opcode == BINARY
                    if opcode == PING:
                        client.sock.sendall(frame(PONG, b'', key=KEY))
    for client in readers:
        client.close()


def crowd(hosts, name, rng):
    """More than there is room for."""
    clients = [Raw(hosts.servers[name], REQUEST if rng.random() < 0.8 else b'') for _ in range(70)]
    time.sleep(0.1)
    for client in clients:
        client.close()


def restart(hosts, name, rng):
    """A server that stops while clients come, talk and leave."""
    server = Server(None if 'group' in name else handle, **hosts.options)
    if 'group' in name:
        hosts.group.add(server)
    else:
        server.start()
    clients = [Raw(server, REQUEST[:rng.choice((30, 500))]) for _ in range(8)]
    if rng.random() < 0.5:
        clients[0].close()
    assert server.stop(2) or 'group' in name
    for client in clients:
        client.close()
    wait_until(lambda: server not in hosts.group and not server.connections)


def rounds(rng):
    """Rounds without end, each kind of them with each server."""
    pairs = [(function, name)
             for function in (conversations, leaves, stay, offend, broadcasts, crowd, restart)
             for name in ('threads', 'threads, TLS', 'group', 'group, TLS')]
    while True:
        rng.shuffle(pairs)
        for function, name in pairs:
            yield chaos.Scenario(name, function.__name__, '', lambda hosts, function=function,
                                 name=name: function(hosts, name, rng), ())
