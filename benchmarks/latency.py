#!/usr/bin/env python3
"""Measure how long a round trip takes at a steady load of 1,000 messages a second.

    python3 benchmarks/latency.py                                 this Python: two minutes
    python3 benchmarks/latency.py --python 3.11 3.13 --rounds 3 --json docs/latency.json \
        --rst 'docs/latency-{}.txt'
    python3 benchmarks/latency.py --from-json docs/latency.json

Each client sends a text of 32 bytes every millisecond, and waits for its echo: the wall
time from the call of the send to the message in the program's hands. The table shows
the median and the 99th percentile, in microseconds, and the CPU time of the client. The
message is sent at its time, so a client that was late has less time to wait for the
next one; it is never sent before the echo of the one before has come. A client that
cannot keep up shows in *late*: the part of messages that were sent more than 0.5 ms
after their time.

Wall time depends on everything else that the machine does: run it on a quiet one, and
compare clients, not runs.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time

import report
import surroundings
from run import Bench, Trouble, say
from surroundings import CLIENTS, Failed
from workloads import BY_NAME

#: Messages a second, and seconds of a measurement and of its warm-up.
RATE, SECONDS, WARM = 1000, 5.0, 0.5
QUICK = 1.0
#: A message counts as late if it was sent this long after its time (seconds).
LATE = 0.0005


def percentile(values, part):
    """Return the value below which this part of all values lies (nearest rank)."""
    values = sorted(values)
    return values[min(int(len(values) * part), len(values) - 1)]


def summarize(times, late, cpu):
    """Return the figures of one measurement.

    :param times: seconds of each round trip
    :param late: how many messages were sent late
    :param cpu: seconds of CPU for all of them
    """
    count = float(len(times))
    return {'median': percentile(times, 0.5), 'p99': percentile(times, 0.99), 'late': late / count,
            'cpu': cpu / count}


def measure(bench, client, seconds):
    """Run one measurement in a process of its own; return its figures."""
    job = bench._job(BY_NAME['round-trip-32'], int(RATE * seconds))
    job.update(mode='latency', warm=int(RATE * WARM), rate=RATE, late=LATE)
    output = bench._run(client, [os.path.join(surroundings.HERE, 'measure.py'), client.module],
                        json.dumps(job).encode('utf-8'))
    result = json.loads(output)
    return summarize(result['times'], result['late'], result['cpu'])


def make_rows(results, clients):
    """Return the rows of the table, with the header first; medians of all rounds."""
    rows = [['client', 'median', '99 %', 'CPU', 'late']]
    for client in clients:
        figures = [figure for figure in results.get(client, ()) if figure is not None]
        if figures:
            middle = dict((name, report.median([figure[name] for figure in figures])) for name in figures[0])
            times = ['{:.0f} us'.format(middle[name] * 1e6) for name in ('median', 'p99', 'cpu')]
            rows.append([client] + times + ['{:.1f} %'.format(middle['late'] * 100)])
    return rows


def measure_all(options):
    """Set up, measure, and return everything that --json writes."""
    names = options.python or ['{}.{}'.format(*sys.version_info)]
    wanted = [client for client in CLIENTS if not options.clients or client.name in options.clients]
    found, remarks = surroundings.environments.find(names)
    for name in names:
        if name not in found:
            raise Failed('\n'.join(['Python {} was not found'.format(name)] + remarks))
    os.makedirs(options.venvs, exist_ok=True)
    log = os.path.join(options.venvs, 'bench.log')
    document = {'date': time.strftime('%Y-%m-%d %H:%M'), 'rounds': options.rounds,
                'machine': '{}, {} cores'.format(platform.platform(), os.cpu_count()),
                'clients': [client.name for client in wanted], 'pythons': {}}
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix='lomond-bench-')
        stack.callback(shutil.rmtree, folder, True)
        server, _ = surroundings.start_server(folder, log)
        stack.callback(server.stop)
        checkouts = [surroundings.copy_checkout(folder)]
        for name in names:
            python = surroundings.Python(found[name], options.venvs, log)
            bench = Bench(python, checkouts, surroundings.Streams(folder), (server.port, None), None, 0.1)
            clients = [client for client in wanted if python.version_of(client) is not None]
            results = dict((client.name, [None] * options.rounds) for client in clients)
            seconds = QUICK if options.quick else SECONDS
            for number in range(options.rounds):
                for client in clients if number % 2 else clients[::-1]:
                    try:
                        results[client.name][number] = measure(bench, client, seconds)
                    except Trouble as trouble:
                        bench.remark(client.name, 'latency', trouble)
            document['pythons'][name] = {'full_version': python.full_version, 'results': results,
                                         'remarks': bench.remarks}
    return document


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--python', nargs='+', metavar='VERSION',
                        help='such as 3.11 3.13 (default: this one)')
    parser.add_argument('--clients', nargs='+', metavar='NAME', choices=[client.name for client in CLIENTS],
                        help='only these clients')
    parser.add_argument('--rounds', type=int, default=3, help='rounds (default: 3)')
    parser.add_argument('--quick', action='store_true', help='one second for each measurement')
    parser.add_argument('--json', metavar='FILE', help='write all figures to a file')
    parser.add_argument('--rst', metavar='FILE', help='write the tables for the docs; {} is the version')
    parser.add_argument('--from-json', metavar='FILE', help='show the figures that --json wrote')
    parser.add_argument('--venvs', default=os.path.join(surroundings.CHECKOUT, '.venvs'), metavar='FOLDER',
                        help='where environments are kept')
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error('--rounds must be at least 1')
    try:
        if options.from_json:
            with open(options.from_json, encoding='utf-8') as text:
                document = json.load(text)
        else:
            document = measure_all(options)
    except Failed as failed:
        say('benchmarks/latency.py: {}'.format(failed))
        return 2
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as text:
            json.dump(document, text, indent=1, sort_keys=True)
            text.write('\n')
    for name, python in document['pythons'].items():
        table = report.format_table(make_rows(python['results'], document['clients']))
        say('\nCPython {}, {} rounds, {}, {}\n\n{}'.format(
            python['full_version'], document['rounds'], document['machine'], document['date'], table))
        for line in python['remarks']:
            say(line)
        if options.rst:
            with open(options.rst.replace('{}', name), 'w', encoding='utf-8') as text:
                text.write(table + '\n')
    return 1 if any(python['remarks'] for python in document['pythons'].values()) else 0


if __name__ == '__main__':
    sys.exit(main())
