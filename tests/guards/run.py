"""Take each guard of the library out, one at a time, and see that its tests notice.

    python tests/guards/run.py                      all of the table: 10 - 20 minutes
    python tests/guards/run.py --section 3          the guards of one section of behaviour.md
    python tests/guards/run.py --only "deflate:"    those whose name has this in it
    python tests/guards/run.py --list               the table; nothing is run

The checkout is copied to a temporary folder, where one place of the library is changed at a time;
each of the tests named beside it must fail there, and pass without the change.  A text that is not
found any more, or more than once, is a failure, too, and so is a change that only breaks Python.
Needs pytest, pytest-timeout and what the tests need in the interpreter that runs it, and a system with
fork.  Tests that this Python skips are counted by themselves: ``--only 2.7`` is for a 2.7.  The last
line is ``N passed, N failed, N skipped``; the exit status is 0 when none failed.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import argparse
import collections
import glob
import importlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))       # for support

from table import GUARDS  # noqa: E402 - beside this file

CHECKOUT = os.path.dirname(os.path.dirname(HERE))
#: Seconds for one test: a guard that keeps something from hanging shows by it.
TEST_LIMIT = 20
#: pytest's exit status when all went well, and when tests failed.
GREEN, RED = 0, 1
#: What takes long to import, and is the same for every run: each run is a fork of this process.
SHARED = ('pytest', '_pytest.pytester', 'hypothesis', 'pytest_timeout', 'trustme', 'ssl', 'asyncio',
          'unittest.mock')
#: What a failure leaves in the output.
_FAILED = re.compile(r'\b[0-9]+ (?:failed|errors?)\b|^\++ Timeout \++', re.MULTILINE)
_PASSED = re.compile(r'\b[0-9]+ passed')
#: A change that makes no sense as Python is no guard taken out.
_BROKEN = re.compile(r'\b(?:NameError|SyntaxError|ImportError|UnboundLocalError): .*')
_NOT_COPIED = shutil.ignore_patterns('.git', '.venvs', '.tox', '.test-logs', '.real', '*.pyc', '__pycache__',
                                     '.pytest_cache', '.hypothesis', 'build', 'docs', 'compliance')
#: How the result of a test begins that is for other Pythons.
_SKIPPED = 'skipped here: '
_texts = {}


def read(path):
    with io.open(path, encoding='utf-8') as file:
        return file.read()


def _read_once(path):
    if path not in _texts:
        _texts[path] = read(path) if os.path.exists(path) else ''
    return _texts[path]


def problem_of(guard, package, tests):
    """What is wrong with an entry of the table, in words; None when nothing is.

    :param package: the folder of the library
    :param tests: the folder of its tests
    """
    count = _read_once(os.path.join(package, guard.file)).count(guard.old)
    if count != 1:
        return '%s: its text is there %d times in %s: %r' % (guard.name, count, guard.file, guard.old)
    if guard.old == guard.new:
        return guard.name + ': nothing is changed'
    for test in guard.tests:
        file, _, name = test.partition('::')
        pattern = r'^def %s\(' % re.escape(name.partition('[')[0])
        if not re.search(pattern, _read_once(os.path.join(tests, file)), re.MULTILINE):
            return '%s: there is no test %s' % (guard.name, test)
    return None


def _write(path, text):
    with io.open(path, 'w', encoding='utf-8', newline='\n') as file:
        file.write(text)
    # A compiled file would be taken for that of the new text: same size, same second.
    folder, name = os.path.split(path)
    for compiled in glob.glob(os.path.join(folder, '__pycache__', name[:-3] + '.*')) + glob.glob(path + 'c'):
        os.remove(compiled)


class Copy(object):
    """The copy of the checkout in which guards are taken out."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, 'lomond')
        self._log = os.path.join(folder, 'log')
        shutil.copytree(CHECKOUT, self.folder, ignore=_NOT_COPIED)

    def change(self, guard):
        """Take a guard out; gives what puts it back."""
        path = os.path.join(self.folder, 'lomond', guard.file)
        before = read(path)
        _write(path, before.replace(guard.old, guard.new))
        return lambda: _write(path, before)

    def run(self, tests, *options):
        """Run tests: ``(exit status, those that failed, output)``."""
        # The time limit by the method 'thread' ends the whole process: what hangs may be deaf to signals.
        arguments = ['-q', '-p', 'no:cacheprovider', '-W', 'ignore::pytest.PytestAssertRewriteWarning',
                     '-rfE', '--tb', 'line', '--timeout', str(TEST_LIMIT), '--timeout-method', 'thread']
        arguments += list(options) + [os.path.join('tests', test) for test in tests]
        sys.stdout.flush()
        child = os.fork()
        if not child:
            self._run_here(arguments)       # does not return
        status = os.waitpid(child, 0)[1]
        output = read(self._log)
        names = re.findall(r'^(?:FAILED|ERROR) tests/(\S+)', output, re.MULTILINE)
        failed = set(test for test in tests for name in names if test in (name, name.partition('[')[0]))
        return (status >> 8 if not status & 255 else -(status & 255)), failed, output

    def _run_here(self, arguments):
        status = 99
        try:
            log = os.open(self._log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.setpgid(0, 0)
            os.chdir(self.folder)
            sys.path[:] = [self.folder] + [place for place in sys.path if place not in (HERE, CHECKOUT, '')]
            os.environ['PYTHONPATH'] = self.folder
            os.environ.pop('LOMOND_TESTED_IN', None)
            import pytest
            status = int(pytest.main(arguments))
            sys.stdout.flush()
        except BaseException:       # whatever it is, the other half of the fork must not run on here
            traceback.print_exc()
        finally:
            os._exit(status)


def check(copy, guard):
    """What is wrong with a guard's tests, in words; None when each of them notices that it is out."""
    put_back = copy.change(guard)
    try:
        for test in guard.tests:
            status, _, output = copy.run([test], '-x')
            broken = _BROKEN.search(output)
            if status == GREEN:
                return ('not noticed by ' if _PASSED.search(output) else _SKIPPED) + test
            if status != RED or not _FAILED.search(output) or broken:
                return '%s ended with %d, not with a failure\n%s' % (
                    test, status, broken.group() if broken else output[-1500:])
    finally:
        put_back()
    return None


def parse_arguments():
    parser = argparse.ArgumentParser(description='Take guards out and see that tests notice.')
    parser.add_argument('--only', metavar='NAME', help='those whose name has this in it')
    parser.add_argument('--section', metavar='N', help='those of this section of behaviour.md')
    parser.add_argument('--list', action='store_true', help='print the table and run nothing')
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    guards = [guard for guard in GUARDS
              if (arguments.section is None or guard.section == arguments.section)
              and (arguments.only is None or arguments.only in guard.name)]
    if arguments.list:
        for guard in guards:
            print('%s  %-66s %-18s %s' % (guard.section, guard.name, guard.file, ' '.join(guard.tests)))
        print('%d guards' % len(guards))
        return 0
    for name in SHARED:
        try:
            importlib.import_module(name)
        except ImportError:
            pass                    # whoever needs it says so
    assert 'lomond' not in sys.modules
    folder = tempfile.mkdtemp(prefix='guards-')
    verdicts = collections.Counter()
    try:
        copy = Copy(folder)
        tests = sorted(set(test for guard in guards for test in guard.tests))
        begun = time.time()
        status, red_before, output = copy.run(tests)
        print('%d tests without a change: exit status %d after %.0f s' % (
            len(tests), status, time.time() - begun))
        if status != GREEN:
            print(output[-3000:])
        if not _PASSED.search(output):
            print('the tests do not run here\n\n0 passed, 1 failed')
            return 1
        for guard in guards:
            begun = time.time()
            problem = problem_of(guard, os.path.join(CHECKOUT, 'lomond'), os.path.join(CHECKOUT, 'tests'))
            if problem is None and red_before & set(guard.tests):
                problem = 'red without the change: ' + ', '.join(sorted(red_before & set(guard.tests)))
            problem = problem or check(copy, guard)
            verdict = 'red' if problem is None else 'skipped' if problem.startswith(_SKIPPED) else 'NOT RED'
            verdicts[verdict] += 1
            print('%s  %-70s %-7s %5.1f s' % (guard.section, guard.name, verdict, time.time() - begun))
            if problem:
                print('       ' + problem.replace('\n', '\n       '))
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print('\n%d passed, %d failed, %d skipped' % (verdicts['red'], verdicts['NOT RED'], verdicts['skipped']))
    return 0 if verdicts['red'] and not verdicts['NOT RED'] else 1


if __name__ == '__main__':
    sys.exit(main())
