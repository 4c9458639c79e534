"""Remove the guards of the table, one at a time, and check that their tests notice.

    python tests/guards/run.py                      the whole table: 5 to 10 minutes
    python tests/guards/run.py --topic tls          the guards of one topic
    python tests/guards/run.py --only deflate       those with this word in their name
    python tests/guards/run.py --list               print the table and run nothing

The checkout is copied to a temporary folder, where one place of the library is changed
at a time. Each of the tests in its row must fail there, and pass without the change. It
is an error if the text is missing or not unique, and if a change only makes the module
invalid.

Needs pytest, pytest-timeout and the other requirements of the tests, and a system with
fork. Tests that this Python skips are counted separately. The last line is ``N passed,
N failed, N skipped``; the exit status is 0 if none failed.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import argparse
import collections
import os
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))       # for support

from support.checkout import GREEN, RED, Copy, preload, read  # noqa: E402
from support.paths import CHECKOUT, TESTS  # noqa: E402
from table import GUARDS, TOPICS  # noqa: E402

#: What a failure leaves in the output.
_FAILED = re.compile(r'\b[0-9]+ (?:failed|errors?)\b|^\++ Timeout \++', re.MULTILINE)
_PASSED = re.compile(r'\b[0-9]+ passed')
#: The change made the module invalid, which proves nothing about the guard.
_BROKEN = re.compile(r'\b(?:NameError|SyntaxError|ImportError|UnboundLocalError): .*')
#: The result of a test that is for other Pythons begins with this.
_SKIPPED = 'skipped here: '
_texts = {}


def _read_once(path):
    if path not in _texts:
        _texts[path] = read(path) if os.path.exists(path) else ''
    return _texts[path]


def problem_of(guard, package, tests):
    """Say what is wrong with a row of the table; None if nothing is.

    :param package: the folder of the library
    :param tests: the folder of its tests
    """
    count = _read_once(os.path.join(package, guard.file)).count(guard.old)
    if count != 1:
        return '%s: its text occurs %d times in %s: %r' % (guard.name, count, guard.file, guard.old)
    if guard.old == guard.new:
        return guard.name + ': nothing is changed'
    for test in guard.tests:
        file, _, name = test.partition('::')
        pattern = r'^def %s\(' % re.escape(name.partition('[')[0])
        if not re.search(pattern, _read_once(os.path.join(tests, file)), re.MULTILINE):
            return '%s: test not found: %s' % (guard.name, test)
    return None


def check(copy, guard):
    """Say what is wrong with the tests of a guard; None if each notices its removal."""
    path = os.path.join('lomond', guard.file)
    put_back = copy.replace(path, read(os.path.join(copy.folder, path)).replace(guard.old, guard.new))
    try:
        for test in guard.tests:
            status, _, output = copy.run([test], ['-x'])
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
    parser = argparse.ArgumentParser(description='Remove guards and check that tests notice.')
    parser.add_argument('--only', metavar='WORD', help='those with this word in their name')
    parser.add_argument('--topic', choices=TOPICS, help='those of this topic')
    parser.add_argument('--list', action='store_true', help='print the table and run nothing')
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    guards = [guard for guard in GUARDS
              if (arguments.topic is None or guard.topic == arguments.topic)
              and (arguments.only is None or arguments.only in guard.name)]
    if arguments.list:
        for guard in guards:
            print('%-7s  %-60s %-24s %s' % (guard.topic, guard.name, guard.file, ' '.join(guard.tests)))
        print('%d guards' % len(guards))
        return 0
    preload()
    folder = tempfile.mkdtemp(prefix='guards-')
    verdicts = collections.Counter()
    try:
        copy = Copy(folder)
        tests = sorted(set(test for guard in guards for test in guard.tests))
        begun = time.time()
        status, failed, output = copy.run(tests)
        red_before = set(test for test in tests
                         for name in failed if test in (name, name.partition('[')[0]))
        print('%d tests without a change: exit status %d after %.0f s' % (
            len(tests), status, time.time() - begun))
        if status != GREEN:
            print(output[-3000:])
        if not _PASSED.search(output):
            print('the tests cannot be run\n\n0 passed, 1 failed')
            return 1
        for guard in guards:
            begun = time.time()
            problem = problem_of(guard, os.path.join(CHECKOUT, 'lomond'), TESTS)
            if problem is None and red_before & set(guard.tests):
                problem = 'red without the change: ' + ', '.join(sorted(red_before & set(guard.tests)))
            problem = problem or check(copy, guard)
            verdict = 'red' if problem is None else 'skipped' if problem.startswith(_SKIPPED) else 'NOT RED'
            verdicts[verdict] += 1
            print('%-7s  %-60s %-7s %5.1f s' % (guard.topic, guard.name, verdict, time.time() - begun))
            if problem:
                print('       ' + problem.replace('\n', '\n       '))
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print('\n%d passed, %d failed, %d skipped' % (verdicts['red'], verdicts['NOT RED'], verdicts['skipped']))
    return 0 if verdicts['red'] and not verdicts['NOT RED'] else 1


if __name__ == '__main__':
    sys.exit(main())
