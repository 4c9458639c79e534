"""Change the library in small ways, and list the changes that no test notices.

    python tests/mutants/run.py                        60 mutants, about 40 minutes
    python tests/mutants/run.py --minutes 10           as many as fit
    python tests/mutants/run.py --only lomond/driver   modules below one path
    python tests/mutants/run.py --seed 7 --count 20    a certain sample
    python tests/mutants/run.py --seed 7 --number 3    one mutant of it again
    python tests/mutants/run.py --list                 print the sample, run nothing

A seeded sample of mutants is spread evenly over the folders of the library. Each is
made in a copy of the checkout, where the tests of its folder (``TESTS``) run until one
fails. A mutant that makes the tests hang is killed, too. Survivors are printed with the
change and the tests that were run; ``equivalents.py`` lists those that make no
difference, with a reason each.

Known tools do not fit: mutmut wraps functions in trampolines, which breaks the tests
that look at frames, reference counts and timing, and cosmic-ray runs one test command
in a fresh interpreter for all modules; neither draws a seeded sample.

Needs Python 3.8, the requirements of the tests, and a system with fork. The last line
is ``N passed, N failed``: killed mutants, and survivors that are not in
``equivalents.py``.
"""

import argparse
import collections
import datetime
import os
import random
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))       # for support
sys.path.insert(0, HERE)

from equivalents import EQUIVALENTS  # noqa: E402
from mutate import apply_mutant, changed_lines, find_mutants  # noqa: E402
from support.checkout import GREEN, HUNG, Copy, preload  # noqa: E402
from support.paths import CHECKOUT  # noqa: E402

#: Path of modules -> tests that should notice a change of them; the first match counts.
#: The test file of the same name goes first.
TESTS = (
    ('lomond/protocol/', ('protocol', 'behaviour/test_counts.py')),
    ('lomond/driver/', ('driver', 'behaviour/test_sequences.py', 'behaviour/test_time.py',
                        'behaviour/test_threads.py')),
    ('lomond/network/', ('network', 'behaviour/test_dialing.py', 'behaviour/test_tls.py',
                         'behaviour/test_proxies.py')),
    ('lomond/client/', ('client', 'faces', 'behaviour/test_http_answers.py', 'behaviour/test_secrets.py')),
    ('lomond/server/', ('server', 'faces/test_wsgi.py')),
    ('lomond/testing/', ('testing', 'driver')),
    ('lomond/cli/', ('cli',)),
    ('lomond/ws4py/', ('faces/test_ws4py.py',)),
    ('lomond/aio.py', ('faces/test_aio.py',)),
    ('lomond/group.py', ('faces/test_group.py', 'server/test_group_server.py',
                         'behaviour/test_group_real.py')),
    ('lomond/wsgi.py', ('faces/test_wsgi.py', 'server/test_takeover.py')),
    ('', ('faces', 'client', 'behaviour/test_sequences.py', 'behaviour/test_time.py')),
)
#: Random tests that take long and seldom notice what the others do not.
LEFT_OUT = ('protocol/test_model.py', 'protocol/test_mutated_streams.py')
#: Modules whose branches are for other Pythons.
NOT_MUTATED = ('lomond/_compat.py', 'lomond/_version.py', 'lomond/__main__.py')
#: A run with a mutant may take this many times as long as one without, and at least
#: LEAST_LIMIT (seconds).
PATIENCE, LEAST_LIMIT = 4, 20
#: Seconds for one test, with and without a mutant; the machine may be busy.
TEST_LIMIT, LONGEST_TEST = 60, 300
#: pytest's exit status when no test was selected.
NO_TESTS = 5
_sources = {}


def list_modules(checkout, package, only):
    """List the modules to mutate, as paths below the checkout with slashes."""
    found = []
    for folder, _, files in os.walk(os.path.join(checkout, package)):
        for file in files:
            path = os.path.relpath(os.path.join(folder, file), checkout).replace(os.sep, '/')
            if path.endswith('.py') and path.startswith(only) and path not in NOT_MUTATED:
                found.append(path)
    return sorted(found)


def read_bytes(checkout, path):
    """Return the source of a module as it was at the first call: it may be edited."""
    path = os.path.join(checkout, path)
    if path not in _sources:
        with open(path, 'rb') as file:
            _sources[path] = file.read()
    return _sources[path]


def draw_sample(checkout, package, only, count, seed):
    """Draw mutants, by turns from each folder."""
    folders = collections.OrderedDict()
    for path in list_modules(checkout, package, only):
        found = find_mutants(path, read_bytes(checkout, path))
        folders.setdefault(os.path.dirname(path), []).extend(found)
    generator = random.Random(seed)
    for found in folders.values():
        generator.shuffle(found)
    sample = []
    while len(sample) < count and any(folders.values()):
        sample.extend(found.pop() for found in folders.values() if found)
    return sample[:count]


def tests_for(path, checkout, chosen=()):
    """List the test files that run with a mutant of this module."""
    places = chosen or next(tests for begin, tests in TESTS if path.startswith(begin))
    root = os.path.join(checkout, 'tests')
    files = []
    for place in places:
        if place.endswith('.py'):
            files.append(place)
        else:
            files.extend(sorted('%s/%s' % (place, name) for name in os.listdir(os.path.join(root, place))
                                if re.match(r'test_.*\.py\Z', name)))
    own = 'test_' + os.path.basename(path)
    files.sort(key=lambda file: os.path.basename(file) != own)
    return [file for file in collections.OrderedDict.fromkeys(files) if file not in LEFT_OUT]


class Runner(object):
    """Tries mutants in a copy of the checkout."""

    def __init__(self, folder, options):
        self._copy = Copy(folder, options.checkout)
        self._checkout = options.checkout
        self._chosen = options.tests
        self._limit = options.limit
        self._test_limit = options.test_limit
        self._limits = {}

    def try_mutant(self, mutant):
        """Run the tests with one mutant.

        :returns: ``(what noticed it, or None; the tests that were run)``
        """
        files = tests_for(mutant.file, self._copy.folder, self._chosen)
        limit, options = self._without_mutant(files)
        source = read_bytes(self._checkout, mutant.file)
        restore = self._copy.replace(mutant.file, apply_mutant(mutant, source).decode('utf-8'))
        try:
            status, failed, output = self._copy.run(files, ['-x'] + options, limit, self._test_limit)
        finally:
            restore()
        if status == GREEN:
            return None, files
        if status == NO_TESTS:
            raise RuntimeError('no tests were run\n' + output)
        if status == HUNG:
            return 'the time limit of %d s' % limit, files
        if failed:
            return failed[0], files
        return 'a test that hung' if '+ Timeout +' in output else 'exit status %d' % status, files

    def _without_mutant(self, files):
        """Run the tests without a mutant, once.

        :returns: ``(time limit, options that leave out the failing tests)``
        """
        key = tuple(sorted(files))
        if key not in self._limits:
            begun = time.time()
            status, failed, output = self._copy.run(files, test_limit=LONGEST_TEST)
            if status != GREEN and not failed:
                raise RuntimeError('the tests cannot be run\n' + output)
            for name in failed:
                print('fails without a mutant, left out: ' + name)
            options = [word for name in failed for word in ('--deselect', 'tests/' + name)]
            limit = self._limit or max(LEAST_LIMIT, PATIENCE * (time.time() - begun))
            self._limits[key] = limit, options
        return self._limits[key]


def reason_of(mutant, lines):
    """Why a survivor makes no difference; None if it is not known to be equivalent."""
    for file, function, before, after, reason in EQUIVALENTS:
        if (file, function, before, after) == (mutant.file, mutant.function) + lines:
            return reason
    return None


def parse_arguments(words):
    parser = argparse.ArgumentParser(description='Mutate the library and list what no test notices.')
    parser.add_argument('--count', type=int, default=60, metavar='N', help='how many mutants (60)')
    parser.add_argument('--minutes', type=float, metavar='N', help='begin no mutant after this time')
    parser.add_argument('--seed', type=int, metavar='N', help='the seed of the sample (default: the date)')
    parser.add_argument('--only', default='', metavar='PATH', help='modules whose path begins with this')
    parser.add_argument('--number', type=int, metavar='N', help='only the mutant with this number')
    parser.add_argument('--tests', nargs='+', default=(), metavar='PATH',
                        help='files or folders below tests/, instead of those of the table')
    parser.add_argument('--limit', type=float, metavar='N',
                        help='seconds for the tests of one mutant (default: four times what they need)')
    parser.add_argument('--test-limit', type=float, default=TEST_LIMIT, metavar='N',
                        help='seconds for each test (%(default)s)')
    parser.add_argument('--checkout', default=CHECKOUT, metavar='FOLDER', help='what to copy (this one)')
    parser.add_argument('--package', default='lomond', metavar='NAME', help='the package in it (lomond)')
    parser.add_argument('--list', action='store_true', help='print the sample and run nothing')
    options = parser.parse_args(words)
    if options.seed is None:
        options.seed = datetime.date.today().toordinal()
    return options


def main(words):
    options = parse_arguments(words)
    sample = draw_sample(options.checkout, options.package, options.only, options.count, options.seed)
    numbered = [(number, mutant) for number, mutant in enumerate(sample, 1)
                if options.number in (None, number)]
    print('%d mutants, --seed %d' % (len(numbered), options.seed))
    verdicts, begun = collections.Counter(), time.time()
    folder = tempfile.mkdtemp(prefix='mutants-')
    try:
        if not options.list:
            preload()
            runner = Runner(folder, options)
        for number, mutant in numbered:
            if options.minutes is not None and time.time() - begun > options.minutes * 60:
                print('%d of them were not tried: the time is up' % (len(numbered) - sum(verdicts.values())))
                break
            lines = changed_lines(mutant, read_bytes(options.checkout, mutant.file))
            where = '%3d  %s:%d' % (number, mutant.file, mutant.line)
            change = '\n         - %s\n         + %s' % lines
            if options.list:
                print(where + change)
                continue
            reason = reason_of(mutant, lines)
            if reason is not None:
                print('%s  equivalent: %s' % (where, reason))
                verdicts['equivalent'] += 1
                continue
            noticed_by, files = runner.try_mutant(mutant)
            if noticed_by is not None:
                print('%s  killed by %s' % (where, noticed_by))
                verdicts['killed'] += 1
            else:
                print('%s  SURVIVED%s\n         tests: %s' % (where, change, ' '.join(files)))
                verdicts['survived'] += 1
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.list:
        return 0
    print('\n%d known to be equivalent after %d s' % (verdicts['equivalent'], time.time() - begun))
    print('%d passed, %d failed' % (verdicts['killed'], verdicts['survived']))
    return 1 if verdicts['survived'] or not sum(verdicts.values()) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
