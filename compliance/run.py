#!/usr/bin/env python3
"""Runs Autobahn|Testsuite against the lomond of this checkout, and judges the results.

README.rst describes it.

Knows nothing of: lomond. The library runs in processes of the interpreters under test.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)

import interpreters  # noqa: E402
from verdict import ALL_CASES, QUICK, format_table, select_cases  # noqa: E402

if sys.version_info >= (3, 6):
    from environments import Environments, SetupError
    from runs import Run, RunError, list_cases, say

#: Each server of echo_server.py, and what it needs from PyPI.
SERVERS = {'testing': [], 'serve': [], 'group': [], 'gunicorn-sync': ['gunicorn'], 'gthread': ['gunicorn'],
           'gevent': ['gunicorn', 'gevent', 'packaging'], 'cherrypy': ['cherrypy']}

#: The folder for everything that a run creates, unless --venvs names another one.
FOLDER = os.path.join(ROOT, '.venvs', 'wstest')


def parse_arguments(arguments):
    """Parse the command line.

    :param arguments: a list of texts, without the program name
    :returns: a namespace
    """
    parser = argparse.ArgumentParser(
        prog='compliance/run.py', description="Run Autobahn|Testsuite against lomond, and judge the results.")
    parser.add_argument('--role', choices=('client', 'server'), default='client',
                        help='the role of lomond to test (default: client)')
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--quick', action='store_true',
                       help='sections 1-7 and 10, and a sample of 9, 12 and 13')
    which.add_argument('--cases', nargs='+', metavar='GLOB',
                       help='cases such as 9.1.1 or 7.*; a star is allowed only at the end')
    pythons = parser.add_mutually_exclusive_group()
    pythons.add_argument('--python', nargs='+', metavar='VERSION_OR_PATH', default=[],
                         help='interpreters to test: 3.13, 2.7, a path (default: the running one)')
    pythons.add_argument('--all-pythons', action='store_true',
                         help='test all of {} that are found'.format(', '.join(interpreters.SUPPORTED)))
    parser.add_argument('--target', metavar='PATH', default=ROOT,
                        help="import lomond from here (default: this checkout); 'original' is 0.3.4 of PyPI")
    parser.add_argument('--server', choices=sorted(SERVERS),
                        help='with --role server: which server echoes (default: testing; with --stream-from: '
                             'serve)')
    parser.add_argument('--url', help='with --role server: judge a server that is already running')
    parser.add_argument('--stream-from', type=int, metavar='BYTES',
                        help='receive larger messages in parts, join them, and echo them whole')
    parser.add_argument('--wsaccel', action='store_true', help='install wsaccel with lomond')
    parser.add_argument('--limit', type=float, default=120.0, metavar='SECONDS',
                        help='time limit for one case (default: 120)')
    parser.add_argument('--json', metavar='FILE', help='write the results to a file')
    parser.add_argument('--keep', action='store_true', help="keep the reports of Autobahn")
    parser.add_argument('--venvs', metavar='FOLDER', default=FOLDER,
                        help='folder for environments and kept reports (default: .venvs/wstest)')
    parser.add_argument('--verbose', action='store_true', help='print a line for each case')
    options = parser.parse_args(arguments)
    if options.url and options.role != 'server':
        parser.error('--url requires --role server')
    if options.url and (options.python or options.all_pythons):
        parser.error('--url cannot be combined with --python or --all-pythons')
    if options.server and options.role != 'server':
        parser.error('--server requires --role server')
    if options.server == 'testing' and options.stream_from is not None:
        parser.error('the echo server of lomond.testing has no stream_from')
    if options.server is None:
        options.server = 'testing' if options.stream_from is None else 'serve'
    if options.stream_from is not None and (options.stream_from < 0 or options.url):
        parser.error('--stream-from requires 0 or more bytes, and no --url')
    if options.target == 'original':
        if options.role == 'server':
            parser.error('0.3.4 has no server')
        if options.stream_from is not None:
            parser.error('0.3.4 has no stream_from')
    else:
        options.target = os.path.abspath(options.target)
    return options


def find_subjects(options):
    """Find the interpreters under test.

    :returns: (a list of interpreters, a list of names that were not found)
    """
    names = interpreters.SUPPORTED if options.all_pythons else options.python or [sys.executable]
    found = [(name, interpreters.find(name)) for name in names]
    return [one for _, one in found if one is not None], [name for name, one in found if one is None]


def run_all(options):
    """Run what the command line asks for.

    :returns: the exit status: 0, or 1 if a case did not pass, or 2 if nothing could be
        run
    """
    subjects, missing = find_subjects(options)
    if missing:
        say('not found: Python {}'.format(', '.join(missing)))
        if not options.all_pythons:
            return 2
    python27 = interpreters.find('2.7')
    if python27 is None or python27.implementation != 'CPython':
        say('skipped: Autobahn|Testsuite needs CPython 2.7, which is neither in a pyenv nor on PATH')
        say('0 passed, 0 failed, skipped')
        return 0

    environments = Environments(options.venvs, say)
    wstest = environments.wstest(python27)
    all_cases = list_cases(wstest)
    if len(all_cases) != ALL_CASES:
        raise RunError('wstest has {} cases; it should have {}'.format(len(all_cases), ALL_CASES))
    try:
        cases = select_cases(QUICK if options.quick else options.cases or ['*'], all_cases)
    except ValueError as error:
        say('compliance/run.py: {}'.format(error))
        return 2

    packages = ['lomond==0.3.4'] if options.target == 'original' else ['six', 'certifi']
    packages += SERVERS[options.server]
    if options.wsaccel:
        packages.append('wsaccel')
    runs = []
    for interpreter in subjects:
        subject = None if options.url else environments.subject(interpreter, packages)
        say('{} of {}, {} cases'.format(
            options.role, options.url or 'Python ' + interpreter.label, len(cases)))
        with reports_folder(options, interpreter) as reports:
            run = Run(wstest, subject, interpreter, options, cases, reports)
            run.run()
            run.print_problems()
        runs.append(run)
    return report(options, runs, missing)


@contextlib.contextmanager
def reports_folder(options, interpreter):
    """Yield an empty folder for the reports; remove it afterwards without --keep."""
    if options.keep:
        name = '{}-{}'.format(options.role, interpreter.label.lower().replace(' ', '-'))
        folder = os.path.join(options.venvs, 'reports', name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        yield folder
        say('  reports: {}'.format(os.path.relpath(os.path.join(folder, 'index.html'))))
    else:
        with tempfile.TemporaryDirectory(prefix='lomond-compliance-') as folder:
            yield folder


def report(options, runs, missing):
    """Print the table and the summary line, and write the JSON file."""
    rows = [('Python', 'role', 'cases', 'OK', 'informational', 'failed', 'seconds')]
    passed = failed = 0
    for run in runs:
        good, informational, bad = (
            len(cases) for cases in (run.verdict.passed, run.verdict.informational, run.verdict.problems))
        rows.append((
            '-' if options.url else run.interpreter.label, options.role, good + bad, good - informational,
            informational, bad, '{:.1f}'.format(run.seconds)))
        passed += good
        failed += bad
    if options.json:
        with io.open(options.json, 'w', encoding='utf-8') as json_file:
            json_file.write(json.dumps({
                'passed': passed, 'failed': failed, 'missing': missing,
                'runs': [run.summary() for run in runs]}, indent=1, sort_keys=True))
    say('')
    say(format_table(rows))
    say('{} passed, {} failed'.format(passed, failed))
    return 1 if failed or not passed else 0


def main():
    """Run, and return the exit status; all children have ended by then."""
    if sys.version_info < (3, 6):
        print('compliance/run.py itself needs Python 3.6 or newer; use --python 2.7 to test Python 2.7')
        return 2
    options = parse_arguments(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the children
    try:
        return run_all(options)
    except (RunError, SetupError) as error:
        say('compliance/run.py: {}'.format(error))
        return 2
    except KeyboardInterrupt:
        say('interrupted')
        return 130


if __name__ == '__main__':
    sys.exit(main())
