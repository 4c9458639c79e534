#!/usr/bin/env python3
"""Compare Group and lomond.aio with other clients, at many connections.

    python3 benchmarks/many.py                          10, 1,000 and 5,000 connections: 15 minutes
    python3 benchmarks/many.py --connections 1000 --clients group websockets --rounds 1
    python3 benchmarks/many.py --memory                 a connection of the blocking loop, by tracemalloc
    python3 benchmarks/many.py --tls                    memory of 300 wss connections with one context
    python3 benchmarks/many.py --flood                  one of 1,011 connections is flooded
    python3 benchmarks/many.py --reset                  half of 1,000 connections are reset
    python3 benchmarks/many.py --from-json FILE         show the figures that --json wrote

It measures on 3.11 and 3.13, if they are found; --python chooses others. Each
measurement is a process of its own with a server of its own (many_server.c, one epoll
loop, on another processor), and counts the CPU time of the client; the clients take
turns, and the tables show medians over the rounds, with what is wanted. Pings and
compression are off in all clients. Environments are kept in .venvs (git-ignored). The
exit status is 1 if a measurement failed, but never because of a figure. It needs Linux,
a C compiler, Python 3.6 or newer, and only the standard library.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import surroundings
from report import format_table, median, plot_bars
from surroundings import HERE, Failed
from workloads import KIB

#: The clients in order, and the environment's package they need.
CLIENTS = {'lomond': None, 'group': None, 'aio': None, 'websockets': 'websockets', 'aiohttp': 'aiohttp',
           'picows': 'picows'}
#: Seconds that one measurement may take.
LIMIT = 180
#: Seconds of the phase without messages.
IDLE = 10
#: How many connections the rows of ``--tls``, ``--flood`` and ``--reset`` have, less the
#: twenty that are not counted; and those of ``--memory``.
TLS, FLOODED, RESET, TRACED = 300, 991, 980, 100


def say(text):
    print(text)
    sys.stdout.flush()


class Many:
    """The measurements on one Python.

    :param python: a :class:`surroundings.Python`
    :param tree: the folder to import lomond from
    """

    def __init__(self, python, tree, folder, program):
        self.python = python
        self.remarks = []
        self._tree = tree
        self._folder = folder
        self._program = program

    def has(self, client):
        """Return whether a client can be measured."""
        if client in ('group', 'aio'):
            return any(os.path.exists(os.path.join(self._tree, 'lomond', client + end))
                       for end in ('.py', '/__init__.py'))
        package = CLIENTS.get(client)
        return package is None or package in self.python.installed('peers')

    def measure(self, client, connections, phases=(), is_flooded=False, tls=None):
        """Run one measurement.

        :param tls: None, or (a server, its certificate)
        :returns: figures by name; None if it failed
        """
        fifo = os.path.join(self._folder, 'commands')
        with contextlib.ExitStack() as stack:
            if tls is None:
                os.mkfifo(fifo)
                stack.callback(os.remove, fifo)
                server = surroundings.Server([self._program, fifo])
                stack.callback(server.stop)
                url = 'ws://127.0.0.1:{}/'.format(server.port)
            else:
                server = None
                url = 'wss://127.0.0.1:{}/idle'.format(tls[0].port)
            job = {'url': url, 'fifo': None if tls else fifo, 'connections': connections, 'phases': phases,
                   'cafile': tls and tls[1], 'is_flooded': is_flooded}
            child = subprocess.Popen(
                [self.python.executables['peers'], os.path.join(HERE, 'many_client.py'), client],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self._folder,
                env=surroundings.child_environ(PYTHONPATH=self._tree), start_new_session=True,
                preexec_fn=surroundings.pin_client if surroundings.can_pin() else None)
            stack.callback(_end, child)
            alarm = signal.signal(signal.SIGALRM, lambda *_: child.kill())
            stack.callback(signal.signal, signal.SIGALRM, alarm)
            signal.alarm(LIMIT)
            stack.callback(signal.alarm, 0)
            try:
                child.stdin.write(json.dumps(job).encode('ascii') + b'\n')
                child.stdin.flush()
                line = child.stdout.readline()
            except BrokenPipeError:
                line = b''
            if not line:
                words = child.stderr.read().decode('utf-8', 'replace').strip().split('\n')
                self.remarks.append('{} with {} connections on {}: {}'.format(
                    client, connections, self.python.version, words[-1] or 'took too long'))
                say('  ' + self.remarks[-1])
                return None
            if server is not None:
                server.stop()           # before the client: no port then waits
            return json.loads(line.decode('ascii'))


def _end(child):
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        with contextlib.suppress(OSError):
            stream.close()


class Figures:
    """What was measured: lists over the rounds, by (connections, client, name)."""

    def __init__(self):
        self._lists = {}

    def add(self, connections, client, result):
        for name, value in (result or {}).items():
            self._lists.setdefault((connections, client, name), []).append(value)

    def get(self, connections, client, name):
        """Return the median, or None."""
        values = self._lists.get((connections, client, name))
        return median(values) if values else None

    def as_list(self):
        """Return everything, for ``--json``."""
        return [list(key) + [values] for key, values in sorted(self._lists.items())]

    @classmethod
    def from_list(cls, found):
        """Take what :meth:`as_list` has returned."""
        figures = cls()
        figures._lists = dict((tuple(each[:3]), each[3]) for each in found)
        return figures

    def ratio(self, connections, client, other, name, of=None):
        """Return the median of the ratios of two clients in the same rounds, or None."""
        mine = self._lists.get((connections, client, name), ())
        theirs = self._lists.get((of or connections, other, name), ())
        ratios = [one / two for one, two in zip(mine, theirs) if two]
        return median(ratios) if ratios else None


def show(name, value):
    """Format a figure."""
    if value is None:
        return '-'
    if name in ('memory', 'connected', 'unconnected'):
        return '{:.1f} KiB'.format(value / KIB)
    if name == 'idle':
        return '{:.3f} us'.format(value * 1e6)
    if name in ('one', 'hundred'):
        return '{:.1f} us'.format(value * 1e6)
    if name == 'rate':
        return '{:.0f} MB/s'.format(value / 1e6)
    if name in ('late', 'latest', 'poll_late'):
        return '{:.0f} ms'.format(value * 1e3)
    return '{:.0f}'.format(value) if name == 'descriptors' else '{:.2f}'.format(value)


COLUMNS = (('memory', 'memory each'), ('one', 'one at a time'), ('hundred', '100 at once'),
           ('idle', 'idle, per s and connection'), ('descriptors', 'more descriptors'),
           ('seconds', 'opened in (s)'))


def make_rows(figures, sizes, clients):
    """Return the rows of the table of all figures, with the header first."""
    rows = [['connections', 'client'] + [title for _, title in COLUMNS]]
    for size in sizes:
        for client in clients:
            values = [figures.get(size, client, name) for name, _ in COLUMNS]
            if any(value is not None for value in values):
                rows.append(['{:,}'.format(size), client] + [
                    show(name, value) for (name, _), value in zip(COLUMNS, values)])
    return rows


def judge(figures, size):
    """Compare with what is wanted at the largest number of connections.

    :returns: rows with a header: what, seen, wanted, reached
    """
    rows = [['at {:,} connections'.format(size), 'seen', 'at most', '']]

    def add(title, value, most, shown):
        if value is not None:
            rows.append([title, shown(value), shown(most), 'yes' if value <= most else 'NO'])

    def times(value):
        return '{:.2f}x'.format(value)

    for client, most in ('group', 13 * KIB), ('aio', 15 * KIB):
        add('{}: memory each'.format(client), figures.get(size, client, 'memory'), most,
            lambda value: show('memory', value))
    for other in 'aiohttp', 'websockets':
        add('group: memory / {}'.format(other), figures.ratio(size, 'group', other, 'memory'), 1, times)
    add('group: one at a time / blocking loop', figures.ratio(size, 'group', 'lomond', 'one', of=1), 1.3,
        times)
    add('group: one at a time / websockets', figures.ratio(size, 'group', 'websockets', 'one'), 0.7, times)
    add('group: 100 at once / websockets', figures.ratio(size, 'group', 'websockets', 'hundred'), 0.55, times)
    add('group: 100 at once / aiohttp', figures.ratio(size, 'group', 'aiohttp', 'hundred'), 0.65, times)
    add('group: idle, per second and connection', figures.get(size, 'group', 'idle'), 0.1e-6,
        lambda value: show('idle', value))
    add('group: descriptors beyond one each', figures.get(size, 'group', 'descriptors'), 4,
        lambda value: show('descriptors', value))
    return rows


def measure_clients(many, sizes, clients, rounds):
    """Measure messages, memory and idling; return :class:`Figures`."""
    figures = Figures()
    for number in range(rounds):
        for size in sizes:
            for client in clients if number % 2 else clients[::-1]:
                if (client == 'lomond' and size != sizes[0]) or not many.has(client):
                    continue
                count = 1 if client == 'lomond' else size
                phases = [('one', 's', 1000, 4)]
                if client != 'lomond':
                    phases.append(('hundred', 'h', 100, 100))
                    if number == 0:
                        phases.append(('idle', 'j', 1, 1))
                result = many.measure(client, count, phases)
                if result and 'idle' in result:
                    result['idle'] /= IDLE * (count + 20)
                figures.add(count, client, result)
                say('  {}  {:>6,}  {:<11}{}'.format(time.strftime('%H:%M:%S'), count, client, '  '.join(
                    '{}={}'.format(name, show(name, result[name])) for name, _ in COLUMNS
                    if name in (result or {}))))
    return figures


def make_plot(figures, version, size, clients):
    """Return the SVG of the figures at ``size`` connections."""
    panels = []
    for name, heading in (('memory', 'memory of a connection'),
                          ('one', 'CPU of a message, one at a time'),
                          ('hundred', 'CPU of a message, 100 ready at once')):
        bars = [(client, figures.get(size, client, name)) for client in clients]
        panels.append((heading, [(client, value, show(name, value)) for client, value in bars
                                 if value is not None]))
    return plot_bars('{:,} connections, CPython {}: less is better'.format(size, version), panels)


def show_all(options, version, figures, clients):
    """Show the tables, and write the plot."""
    sizes = options.connections
    show_table(make_rows(figures, [1] + sizes, clients))
    show_table(judge(figures, sizes[-1]))
    if options.plot:
        with open(options.plot.format(version), 'w', encoding='utf-8') as text:
            text.write(make_plot(figures, version, sizes[-1], clients))


def show_table(rows):
    if len(rows) > 1:
        say('')
        say(format_table(rows))


def run_special(many, options, tls):
    """Run the rows with options of their own."""
    wants = [['row', 'seen', 'want', '']]

    def want(title, figures, names):
        for name, most, is_least in names:
            value = figures and figures.get(name)
            if value is not None:
                reached = value >= most if is_least else value <= most
                wants.append(['{}: {}'.format(title, name), show(name, value),
                              ('at least ' if is_least else 'at most ') + show(name, most),
                              'yes' if reached else 'NO'])

    for _ in range(options.rounds):
        if options.memory:
            want('blocking loop, by tracemalloc', many.measure('memory', TRACED),
                 [('connected', 20000, False), ('unconnected', 4000, False)])
        if options.tls:
            for client in options.clients or ['group']:
                want('{}, wss, one context, {} connections'.format(client, TLS),
                     many.measure(client, TLS, tls=tls), [('memory', 45 * KIB, False)])
        if options.flood:
            for client in options.clients or ['group']:
                want('{}, one flooded'.format(client), many.measure(client, FLOODED, is_flooded=True),
                     [('rate', 300e6, True), ('late', 0.05, False)])
        if options.reset:
            want('group, half of 1,000 reset', many.measure('reset', RESET),
                 [('back', 2.5, False), ('poll_late', 0.05, False)])
    show_table(wants)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--connections', nargs='+', type=int, default=[10, 1000, 5000], metavar='N',
                        help='numbers of connections (default: 10 1000 5000)')
    parser.add_argument('--clients', nargs='+', choices=list(CLIENTS), metavar='NAME',
                        help='of {} (default: all)'.format(', '.join(CLIENTS)))
    parser.add_argument('--memory', action='store_true', help='memory of the blocking loop, by tracemalloc')
    parser.add_argument('--tls', action='store_true', help='memory of {} wss connections'.format(TLS))
    parser.add_argument('--flood', action='store_true', help='one of 1,011 connections is flooded')
    parser.add_argument('--reset', action='store_true', help='half of 1,000 connections are reset')
    parser.add_argument('--rounds', type=int, help='rounds (default: 5; 1 with the four options before)')
    parser.add_argument('--python', nargs='+', metavar='VERSION', help='such as 3.13 (default: 3.11 3.13)')
    parser.add_argument('--tree', default=surroundings.CHECKOUT, metavar='FOLDER',
                        help='import lomond from here (default: this checkout)')
    parser.add_argument('--json', metavar='FILE', help='write the figures to a file')
    parser.add_argument('--plot', metavar='FILE', help='write an SVG; {} in the name stands for the version')
    parser.add_argument('--from-json', metavar='FILE', help='show the figures that --json wrote')
    parser.add_argument('--venvs', default=os.path.join(surroundings.CHECKOUT, '.venvs'), metavar='FOLDER',
                        help='where environments are kept')
    options = parser.parse_args(arguments)
    options.is_special = options.memory or options.tls or options.flood or options.reset
    if options.rounds is None:
        options.rounds = 1 if options.is_special else 5
    if options.rounds < 1 or min(options.connections) < 1:
        parser.error('--rounds and --connections must be at least 1')
    options.connections.sort()
    return options


def compile_server(folder, log):
    program = os.path.join(folder, 'many_server')
    compiler = os.environ.get('CC') or shutil.which('cc') or shutil.which('gcc') or shutil.which('clang')
    if not compiler or surroundings.environments.run(compiler.split() + [
            '-O2', '-w', '-pthread', '-o', program, os.path.join(HERE, 'many_server.c')], log) != 0:
        raise Failed('a C compiler is needed for many_server.c; see {}'.format(log))
    return program


def run(options):
    """Measure, and show the tables.

    :returns: the exit status
    """
    clients = [client for client in CLIENTS if not options.clients or client in options.clients]
    if options.from_json:
        with open(options.from_json, encoding='utf-8') as text:
            for name, found in sorted(json.load(text).items()):
                say('\nPython {}'.format(name))
                show_all(options, name, Figures.from_list(found), clients)
        return 0
    environments = surroundings.environments
    names = options.python or ['3.11', '3.13']
    found, remarks = environments.find(names)
    names = [name for name in names if name in found] if options.python is None else names
    if not names or any(name not in found for name in names):
        raise Failed('\n'.join(['Python {} was not found'.format(' or '.join(names))] + remarks))
    os.makedirs(options.venvs, exist_ok=True)
    log = os.path.join(options.venvs, 'bench.log')
    document, failed = {}, False
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix='lomond-many-')
        stack.callback(shutil.rmtree, folder, True)
        program = compile_server(folder, log)
        tls = None
        if options.tls:
            tls = surroundings.start_tls_server(folder, log)
            if tls[0] is None:
                raise Failed('openssl was not found')
            stack.callback(tls[0].stop)
        for name in names:
            python = surroundings.Python(found[name], options.venvs, log)
            say('Python {}, load {:.1f}'.format(python.full_version, os.getloadavg()[0]))
            many = Many(python, os.path.abspath(options.tree), folder, program)
            if options.is_special:
                run_special(many, options, tls)
            else:
                figures = measure_clients(many, options.connections, clients, options.rounds)
                show_all(options, name, figures, clients)
                document[name] = figures.as_list()
            for remark in many.remarks:
                say(remark)
            failed = failed or bool(many.remarks)
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as text:
            json.dump(document, text, indent=1, sort_keys=True)
            text.write('\n')
    return 1 if failed else 0


def main(arguments=None):
    options = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that `with` ends the children
    try:
        return run(options)
    except Failed as failed:
        say('benchmarks/many.py: {}'.format(failed))
        return 2
    except KeyboardInterrupt:
        say('interrupted')
        return 130


if __name__ == '__main__':
    sys.exit(main())
