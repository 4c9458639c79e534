#!/usr/bin/env python3
"""Compare this checkout with lomond 0.3.4, other clients and the limit.

    python3 benchmarks/run.py --quick               eleven workloads, one round, this Python: 25 s
    python3 benchmarks/run.py --python 3.11 3.13    all workloads, three rounds: 11 minutes
    python3 benchmarks/run.py --workloads receive-32 send-32 --clients lomond 0.3.4 --rounds 5
    python3 benchmarks/run.py --workloads receive-32 --clients lomond --before HEAD~3
    python3 benchmarks/run.py --list                the names of workloads and clients

Each measurement is a fresh process on a warm connection, and counts CPU time. Every
client runs in each round, in alternating order; the tables show the median of the
ratios of all rounds. Environments are kept in .venvs (git-ignored). The exit status is
1 if a measurement failed, but never because of a figure. It needs Python 3.6 or newer,
and only the standard library.
"""

import argparse
import ast
import contextlib
import datetime
import glob
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import report
import surroundings
from surroundings import CLIENTS, NO_DEFLATE, Failed
from workloads import (
    BY_NAME,
    CPU_MODES,
    MIB,
    PARTS_MODES,
    QUICK_PARTS,
    WORKLOADS,
    frame_bytes,
    stream_name,
    sum_cycle,
)

#: Seconds of CPU that one measurement should take, so that the start of a stream is
#: negligible.
BUDGET, QUICK_BUDGET = 0.2, 0.1
#: At most this many times the count in the table.
MOST_TIMES = 60
#: Time limit of one measurement (seconds).
LIMIT = 120
#: How long idle connections are watched, and how long they may settle before that
#: (seconds).
WATCHED, SETTLING = 10.0, 2.0

_IMPORT = """
import sys
try:
    from resource import getrusage
    clock = lambda: sum(getrusage(0)[:2])
except ImportError:
    import os
    clock = lambda: sum(os.times()[:2])
before = clock()
{0}
print(clock() - before)
"""


class Trouble(Exception):
    """A measurement failed. The message is shown to the user."""


def say(text):
    print(text)
    sys.stdout.flush()


class Bench:
    """The measurements on one Python.

    :param python: a :class:`surroundings.Python`
    :param checkouts: the folders to import this lomond from, and that of ``--before``
    """

    def __init__(self, python, checkouts, streams, ports, cafile, budget):
        self.python = python
        self.remarks = []
        self._checkouts = checkouts
        self._streams = streams
        self._ports = ports             # of the plain server and the TLS server
        self._cafile = cafile
        self._budget = budget
        self._times = {}                # (workload, client) -> multiple of its count

    def can(self, workload, client):
        """Return whether a client supports a workload."""
        if workload.tls and self._ports[1] is None:
            return False
        if workload.mode in PARTS_MODES:
            return client.name == 'limit' or (client.module == 'lomond_client' and client.checkout)
        if workload.mode == 'send-cork' and client.module not in ('lomond_client', 'limit'):
            return False
        if workload.zlib is not None:
            package = workload.zlib[0].partition('.')[0].replace('_', '-')
            return client.module == 'lomond_client' and (not client.checkout or package in (
                {'zlib'} | self.python.installed(client.environment)))
        if client.name == 'limit':
            return workload.mode not in ('import', 'memory-peak', 'connect')
        return not (workload.deflate and client.name in NO_DEFLATE)

    def _start(self, client, arguments):
        more = {}
        if client.checkout:
            more['PYTHONPATH'] = self._checkouts[client is surroundings.BEFORE]
        return subprocess.Popen([self.python.executables[client.environment]] + arguments,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                cwd=self._streams.folder,       # with -c, ours would find the checkout
                                env=surroundings.child_environ(**more), start_new_session=True,
                                preexec_fn=surroundings.pin_client if surroundings.can_pin() else None)

    def _job(self, workload, count):
        """Return the instructions for a child process."""
        job = dict(mode=workload.mode, kind=workload.kind, warm=workload.warm, count=count, messages=None,
                   sizes=[], deflate=workload.deflate, zlib=workload.zlib, wire_warm=0, wire_count=0,
                   cafile=self._cafile if workload.tls else None)
        path = '/idle'
        if workload.messages:
            frames, job['sizes'], job['messages'] = self._streams.make(workload)
            if workload.mode in PARTS_MODES:
                path = self._prepare_parts(job, workload, frames[0], count)
            elif workload.mode in ('receive', 'memory-peak'):
                path = '/stream/{}/{}/{}'.format(stream_name(workload), workload.warm, count)
                job['wire_warm'] = sum_cycle(frames, 0, workload.warm)
                job['wire_count'] = sum_cycle(frames, workload.warm, count)
            elif workload.mode in ('send', 'send-cork'):
                path = '/sink/{}/{}'.format(workload.warm, count)
            else:
                path = '/echo'
        job['url'] = '{}://127.0.0.1:{}{}{}'.format(
            'wss' if workload.tls else 'ws', self._ports[1 if workload.tls else 0], path,
            '?deflate' if workload.deflate else '')
        return job

    @staticmethod
    def _prepare_parts(job, workload, block, count):
        """Complete the instructions for one message in parts; return the path."""
        warm, count = workload.warm * MIB, count * MIB
        job['warm'], job['count'] = warm, count
        if workload.mode == 'parts-send':
            return '/sink/{}/{}'.format(1, 1)
        size = job['sizes'][0]
        # Without the end of the last block (RFC 7692, 7.2.1).
        sizes = [total // size * block - (4 if workload.deflate else 0) for total in (warm, count)]
        job['wire_warm'], job['wire_count'] = (frame_bytes(total, workload.fragment) for total in sizes)
        return '/parts/{}/{}/{}/{}/{}'.format(
            stream_name(workload), 0x42 if workload.deflate else 2, workload.fragment or 0, *sizes)

    def measure(self, workload, client, times=None):
        """Run one measurement and return its figure.

        :param times: the multiple of the count in the table; by default, what earlier
            rounds suggest
        """
        if workload.mode == 'import':
            statement = _import_of(client)
            output = self._run(client, ['-c', _IMPORT.format(statement)], b'')
            return float(output)
        if times is None:
            times = self._times.get((workload.name, client.name), 1)
        count = workload.count * times
        if workload.mode in PARTS_MODES:
            count = QUICK_PARTS if self._budget == QUICK_BUDGET else workload.count
        job = self._job(workload, count)
        if workload.mode == 'parts-send' and client.name == 'limit':
            # The same bytes with send_binary(), by lomond itself.
            client = CLIENTS[0]
            job.update(mode='parts-send-whole', url=job['url'].replace(
                '/sink/1/1', '/sink/{}/{}'.format(*(
                    job[name] // job['sizes'][0] for name in ('warm', 'count')))))
        output = self._run(client, [os.path.join(surroundings.HERE, 'measure.py'), client.module],
                           json.dumps(job).encode('utf-8'))
        result = json.loads(output)
        if workload.mode in PARTS_MODES:
            return [result['cpu'], result['bytes']]
        if 'bytes' in result:
            return result['bytes']
        wanted = self._budget / max(result['cpu'], 1e-6) * times
        self._times[workload.name, client.name] = int(min(max(wanted, 1), MOST_TIMES))
        return result['cpu'] / count

    def _run(self, client, arguments, data):
        """Return the last line that a child prints."""
        child = self._start(client, arguments)
        try:
            output, errors = child.communicate(data, LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise Trouble('took more than {} s'.format(LIMIT))
        except BaseException:
            child.kill()
            child.communicate()
            raise
        lines = output.decode('utf-8', 'replace').split('\n')
        if child.returncode != 0 or len(lines) < 2:
            words = errors.decode('utf-8', 'replace').strip().split('\n')
            raise Trouble('ended with status {}: {}'.format(child.returncode, words[-1]))
        return lines[-2]

    def watch_idle(self, workload, clients):
        """Count wake-ups of idle connections, all at once; return figures by client.

        They are counted from outside, because a client that counts would wake up to do
        so.
        """
        children, figures = {}, {}
        job = json.dumps(self._job(workload, 0)).encode('utf-8')
        try:
            for client in clients:
                child = self._start(client, [os.path.join(surroundings.HERE, 'measure.py'), client.module])
                children[client.name] = child
                child.stdin.write(job)
                child.stdin.close()
                child.stdout.readline()
            time.sleep(SETTLING)
            before = dict((name, _switches(child.pid)) for name, child in children.items())
            time.sleep(WATCHED)
            for name, child in children.items():
                after = _switches(child.pid)
                if child.poll() is not None or before[name] is None or after is None:
                    self.remark(name, workload.name, 'the connection ended')
                else:
                    figures[name] = after - before[name]
        finally:
            for child in children.values():
                child.kill()
                child.wait()
                child.stdout.close()
                child.stderr.close()
        return figures

    def remark(self, client, workload, text):
        self.remarks.append('{} on {}: {}: {}'.format(client, self.python.version, workload, text))
        say('  ' + self.remarks[-1])


def _import_of(client):
    """Read the import statement from a client's file, without importing it."""
    path = os.path.join(surroundings.HERE, 'clients', client.module + '.py')
    with open(path, encoding='utf-8') as text:
        for node in ast.parse(text.read()).body:
            if isinstance(node, ast.Assign) and node.targets[0].id == 'IMPORT':
                return ast.literal_eval(node.value)
    raise Trouble('no IMPORT in ' + path)


def _switches(pid):
    """Return how often the threads of a process went to sleep, or None if unknown."""
    total = 0
    paths = glob.glob('/proc/{}/task/*/status'.format(pid))
    for path in paths:
        with contextlib.suppress(OSError):
            with open(path) as status:
                for line in status:
                    if line.startswith('voluntary_ctxt_switches:'):
                        total += int(line.split()[1])
    return total if paths else None


def run_python(bench, workloads, clients, rounds, rehearse):
    """Run all measurements on one Python; return figures by client, by workload."""
    results = {}
    for workload in workloads:
        able = [client for client in clients if bench.can(workload, client)]
        figures = results[workload.name] = dict((client.name, [None] * rounds) for client in able)
        if workload.mode == 'wake-ups':
            for name, figure in bench.watch_idle(workload, able).items():
                figures[name] = [figure]
        else:
            measure_rounds(bench, workload, able, figures, rounds, rehearse)
        line = ['{}={}'.format(name, report.show(workload, report.middle(report.times_of(figures[name]))))
                for name in figures]
        say('  {}  {:<24}{}'.format(time.strftime('%H:%M:%S'), workload.name, '  '.join(line)))
    return results


def measure_rounds(bench, workload, clients, figures, rounds, rehearse):
    """Fill in the figures of a workload by round; skip a client once it has failed."""
    failed = set()
    # Round -1 shows how long it takes, and fills the file cache.
    first = -1 if rehearse and workload.mode in CPU_MODES else 0        # large parts need no warm-up
    for number in range(first, rounds):
        for client in clients if number % 2 else clients[::-1]:
            if client.name in failed:
                continue
            try:
                figure = bench.measure(workload, client)
            except Trouble as trouble:
                failed.add(client.name)
                bench.remark(client.name, workload.name, trouble)
                continue
            if number >= 0:
                figures[client.name][number] = figure


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='eleven workloads and one round: 25 seconds')
    parser.add_argument('--rounds', type=int, help='rounds (default: 3, or 1 with --quick)')
    parser.add_argument('--python', nargs='+', metavar='VERSION',
                        help='such as 3.11 3.13 2.7 (default: this one)')
    parser.add_argument('--workloads', nargs='+', metavar='NAME', help='only these workloads')
    parser.add_argument('--clients', nargs='+', metavar='NAME', help='only these clients')
    parser.add_argument('--before', metavar='REVISION',
                        help='compare with the lomond of another revision, too')
    parser.add_argument('--json', metavar='FILE', help='write all figures to a file')
    parser.add_argument('--plot', metavar='FILE', help='write an SVG; {} in the name stands for the version')
    parser.add_argument('--rst', metavar='FILE', help='write the tables for the docs; {} as above')
    parser.add_argument('--from-json', metavar='FILE',
                        help='show the figures that --json wrote, without measuring')
    parser.add_argument('--list', action='store_true', help='list the names of workloads and clients')
    parser.add_argument('--venvs', default=os.path.join(surroundings.CHECKOUT, '.venvs'), metavar='FOLDER',
                        help='where environments are kept')
    options = parser.parse_args(arguments)
    unknown = [name for name in options.workloads or () if name not in BY_NAME]
    unknown += [name for name in options.clients or () if name not in [client.name for client in CLIENTS]]
    if unknown:
        parser.error('unknown: {}; --list shows all names'.format(', '.join(unknown)))
    if options.rounds is not None and options.rounds < 1:
        parser.error('--rounds must be at least 1')
    return options


def measure_all(options):
    """Set up, measure, and return everything that --json writes."""
    rounds = options.rounds or (1 if options.quick else 3)
    names = options.python or ['{}.{}'.format(*sys.version_info)]
    workloads = [workload for workload in WORKLOADS if (
        workload.name in options.workloads if options.workloads else workload.quick or not options.quick)]
    wanted = [client for client in CLIENTS if (
        client.name in options.clients if options.clients else client.name not in surroundings.ON_REQUEST)]
    if options.before:
        wanted.insert(1, surroundings.BEFORE)
    found, remarks = surroundings.environments.find(names)
    for name in names:
        if name not in found:
            raise Failed('\n'.join(['Python {} was not found'.format(name)] + remarks))
    os.makedirs(options.venvs, exist_ok=True)
    document = {'date': datetime.datetime.now().strftime('%Y-%m-%d %H:%M'), 'rounds': rounds,
                'machine': '{}, {} cores'.format(platform.platform(), os.cpu_count()),
                'clients': [client.name for client in wanted], 'pythons': {}}
    log = os.path.join(options.venvs, 'bench.log')
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix='lomond-bench-')
        stack.callback(shutil.rmtree, folder, True)
        server, word = surroundings.start_server(folder, log)
        stack.callback(server.stop)
        say('server {}; {}; load {}'.format(word, document['machine'], _load()))
        if not surroundings.can_pin():
            say('client and server share processors: rows that wait for each other will vary')
        tls_server, cafile = surroundings.start_tls_server(folder, log)
        if tls_server is None:
            say('openssl was not found: skipping the rows with TLS')
        else:
            stack.callback(tls_server.stop)
        checkouts = [surroundings.copy_checkout(folder)]
        if options.before:
            checkouts.append(surroundings.copy_revision(folder, options.before))
        streams = surroundings.Streams(folder)
        for name in names:
            python = surroundings.Python(found[name], options.venvs, log)
            versions = dict((client.name, python.version_of(client)) for client in wanted)
            clients = [client for client in wanted if versions[client.name] is not None]
            say('Python {}: {}'.format(python.full_version, ', '.join(
                '{} {}'.format(client.name, versions[client.name])
                if client.package != 'lomond' else client.name
                for client in clients)))
            bench = Bench(python, checkouts, streams, (server.port, tls_server and tls_server.port), cafile,
                          QUICK_BUDGET if options.quick else BUDGET)
            results = run_python(bench, workloads, clients, rounds, not options.quick)
            document['pythons'][name] = {'full_version': python.full_version, 'versions': versions,
                                         'results': results, 'remarks': bench.remarks, 'load': _load()}
    return document


def _load():
    try:
        return '{:.1f}'.format(os.getloadavg()[0])
    except (AttributeError, OSError):           # Windows
        return 'unknown'


def show_all(document, plot, rst):
    """Print the tables, and write the plots and the tables for the docs."""
    for name, python in document['pythons'].items():
        say('')
        say('CPython {}, {} rounds, {}, {}'.format(
            python['full_version'], document['rounds'], document['machine'], document['date']))
        say('')
        for rows in (report.make_rows(name, python['results'], document['clients']),
                     report.make_parts_rows(name, python['results'])):
            if len(rows) > 1:
                say(report.format_table(rows))
                say('')
        for line in report.summary(name, python['results']) + python['remarks']:
            say(line)
        if plot:
            title = ('CPU per message: how many times less than lomond 0.3.4 '
                     '(CPython {}; more is better)').format(python['full_version'])
            with open(plot.replace('{}', name), 'w', encoding='utf-8') as svg:
                svg.write(report.plot(title, python['results'], document['clients']))
        if rst:
            with open(rst.replace('{}', name), 'w', encoding='utf-8') as text:
                text.write(report.format_for_docs(name, python['results'], document['clients']))


def list_names():
    say(report.format_table([['workload', 'description', 'quick']] + [
        [workload.name, workload.title, 'yes' if workload.quick else ''] for workload in WORKLOADS]))
    say('')
    say('clients: ' + ', '.join(client.name for client in CLIENTS))


def main(arguments=None):
    options = parse_arguments(arguments)
    if options.list:
        list_names()
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that `with` ends the children
    try:
        if options.from_json:
            with open(options.from_json, encoding='utf-8') as text:
                document = json.load(text)
        else:
            document = measure_all(options)
    except Failed as failed:
        say('benchmarks/run.py: {}'.format(failed))
        return 2
    except KeyboardInterrupt:
        say('interrupted')
        return 130
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as text:
            json.dump(document, text, indent=1, sort_keys=True)
            text.write('\n')
    show_all(document, options.plot, options.rst)
    return 1 if any(python['remarks'] for python in document['pythons'].values()) else 0


if __name__ == '__main__':
    sys.exit(main())
