#!/usr/bin/env python3
"""Run the tests on every interpreter that is found.

    python3 tools/run_tests.py                        all of 2.7 and 3.6 - 3.13 that are found
    python3 tools/run_tests.py --python 3.13 2.7      these interpreters; a missing one is a failure
    python3 tools/run_tests.py --python 3.14 3.14t    newer ones, and a free-threaded one
    python3 tools/run_tests.py --wsaccel              with wsaccel installed
    python3 tools/run_tests.py -- -k close -x         pass the arguments after -- to pytest
    python3 tools/run_tests.py -- tests/real          run these files or folders, not the whole suite

Interpreters are looked for on PATH (python3.11 ...) and in a pyenv. One wheel is built
from the checkout and installed into an environment for each of them. Environments are
kept in .venvs, logs in .test-logs (both git-ignored). Up to 20 failed tests are run a
second time by themselves, and say then which values they compared; those that pass then
are reported. The last line is 'N passed, N failed, N skipped'; the exit status is 0
only if nothing failed. A run that crashed, hung or had no tests counts as failed.

Knows nothing of: what the tests test.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

import environments

VERSIONS = ('2.7', '3.6', '3.7', '3.8', '3.9', '3.10', '3.11', '3.12', '3.13')
#: Run only if --python names them: new versions, and 3.14 without the GIL.
NEWER = ('3.14', '3.14t', '3.15')
CHECKOUT = environments.CHECKOUT
LOGS = os.path.join(CHECKOUT, '.test-logs')

# The sources of the wheel. It is built from a copy, because setup.py packs stale files
# from build/.
PARTS = ('lomond', 'setup.py', 'setup.cfg', 'pyproject.toml', 'MANIFEST.in', 'README.rst', 'LICENSE')

#: Seconds between two progress lines about an interpreter.
HEARTBEAT = 20
#: Up to this many failed tests are run a second time, by themselves.
SECOND_TRIES = 20
#: Lines of a failed run to show; the log has all of them.
SHOWN_LINES = 150


class Result:
    """The result on one interpreter; `trouble` is what was wrong with the whole run."""

    def __init__(self, version, full_version='-', trouble=None):
        self.version = version
        self.full_version = full_version
        self.passed = self.failed = self.skipped = 0
        self.second_tries = 0       # tests that passed only then
        self.seconds = 0.0
        self.trouble = trouble
        self.log = None

    @property
    def failures(self):
        """The number of failed tests; at least 1 if the run as a whole failed."""
        return max(self.failed, 1) if self.trouble else self.failed

    @property
    def verdict(self):
        if self.trouble:
            return self.trouble
        tries = ', %d at the second try' % self.second_tries if self.second_tries else ''
        return ('failed' if self.failed else 'ok') + tries


class Screen:
    """Writes whole lines to stdout, from several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def say(self, text):
        with self._lock:
            print(text, flush=True)

    def progress(self, who, what):
        self.say('%5.0f s  %-6s %s' % (time.monotonic() - self._began, who, what))


def parse_arguments(arguments):
    """Return ``(options, arguments for pytest)``."""
    to_pytest = []
    if '--' in arguments:
        cut = arguments.index('--')
        arguments, to_pytest = arguments[:cut], arguments[cut + 1:]
    parser = argparse.ArgumentParser(description='Run the tests on every interpreter that is found.',
                                     epilog='Arguments after -- are passed to pytest.')
    parser.add_argument('--python', nargs='+', metavar='VERSION', choices=VERSIONS + NEWER,
                        help='use only these interpreters (of %s; or %s, which run only on request)' % (
                            ' '.join(VERSIONS), ' '.join(NEWER)))
    parser.add_argument('--require-all', action='store_true', help='fail if an interpreter is missing')
    parser.add_argument('--wsaccel', action='store_true', help='install wsaccel with lomond')
    parser.add_argument('--jobs', type=int, default=2, metavar='N', help='parallel interpreters (default: 2)')
    parser.add_argument('--time-limit', type=float, default=600, metavar='S',
                        help='time limit for the tests on one interpreter (default: 600)')
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error('--jobs is %d; at least 1 is allowed' % options.jobs)
    if options.time_limit <= 0:
        parser.error('--time-limit is %g; it must be above 0' % options.time_limit)
    return options, to_pytest


def resolve_targets(to_pytest):
    """Make paths for pytest absolute, and add the whole suite if there are none."""
    resolved, names_path = [], False
    for argument in to_pytest:
        path = argument.split('::')[0]
        if not argument.startswith('-') and os.path.exists(path):
            argument = os.path.abspath(path) + argument[len(path):]
            names_path = True
        resolved.append(argument)
    return resolved if names_path else resolved + [os.path.join(CHECKOUT, 'tests')]


def build_wheel(python, log):
    """Build the wheel of the checkout in a separate folder.

    :return: the path of the wheel
    """
    out = os.path.join(environments.DEFAULT_FOLDER, 'wheel')
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix='lomond-build-') as copy:
        for part in PARTS:
            source = os.path.join(CHECKOUT, part)
            if os.path.isdir(source):
                shutil.copytree(source, os.path.join(copy, part),
                                ignore=shutil.ignore_patterns('__pycache__', '*.py[co]'))
            else:
                shutil.copy(source, copy)
        environments.step('building the wheel', [python, '-m', 'pip', 'wheel', '--no-deps', '--no-cache-dir',
                                                 '--no-build-isolation', '--wheel-dir', out, copy], log)
    wheels = glob.glob(os.path.join(out, '*.whl'))
    if len(wheels) != 1 or not wheels[0].endswith('-py2.py3-none-any.whl'):
        raise environments.Failed('expected one py2.py3-none-any wheel; built: %s' % (wheels or 'nothing'))
    return wheels[0]


def read_counts(path, result):
    """Add the counts of a JUnit file to a result; return False if there is no file."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return False
    for case in root.iter('testcase'):
        kinds = set(child.tag for child in case)
        if kinds & set(('failure', 'error')):
            result.failed += 1
        elif 'skipped' in kinds:
            result.skipped += 1
        else:
            result.passed += 1
    return True


class Run:
    """The tests on one interpreter, from its environment to the counts."""

    def __init__(self, interpreter, elsewhere, options, targets, tools, wheel, screen):
        self.interpreter = interpreter
        self.elsewhere = elsewhere      # markers of tests that another interpreter runs
        self.options = options
        self.targets = targets
        self.tools = tools
        self.wheel = wheel
        self.screen = screen
        self.log = os.path.join(LOGS, interpreter.version + '.log')
        self.junit = os.path.join(LOGS, interpreter.version + '.xml')

    def __call__(self):
        result = Result(self.interpreter.version, self.interpreter.full_version)
        result.log = self.log
        began = time.monotonic()
        try:
            self._run(result)
        except (environments.Failed, OSError) as error:
            result.trouble = 'not set up'
            with open(self.log, 'a') as text:
                text.write('%s\n' % error)
        result.seconds = time.monotonic() - began
        self.screen.progress(result.version, '%s: %d passed, %d failed, %d skipped' % (
            result.verdict, result.passed, result.failed, result.skipped))
        return result

    def _run(self, result):
        version = self.interpreter.version
        self.screen.progress(version, 'environment')
        pins = [environments.PINS_TESTS]
        name = 'py' + version
        if self.options.wsaccel:
            pins.append(environments.PINS_WSACCEL)
            name += '-wsaccel'
        python = environments.make(environments.DEFAULT_FOLDER, name, self.interpreter, pins, self.log,
                                   virtualenv=self.tools if version == '2.7' else None)
        home = os.path.dirname(os.path.dirname(python))
        environments.step('installing the wheel',
                          [python, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index',
                           '--force-reinstall', self.wheel], self.log)
        # An empty working directory: `python -m` puts it first on sys.path, before the
        # wheel.
        work = os.path.join(home, 'work')
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        self.screen.progress(version, 'tests')
        shutil.rmtree(os.path.join(home, 'pytest-cache'), ignore_errors=True)
        status = self._run_pytest(python, home, work, ('--assert=plain',))
        has_counts = read_counts(self.junit, result)
        if status == 1 and 0 < result.failed <= SECOND_TRIES:
            status = self._try_again(python, home, work, result)
        if status is None:
            result.trouble = 'hung: ended after %g s' % self.options.time_limit
        elif not has_counts or status not in (0, 1, 5):
            result.trouble = 'broke: exit status %d' % status
        elif result.passed + result.failed + result.skipped == 0:
            result.trouble = 'no tests'
        elif status and not result.failed:
            result.trouble = 'exit status %d' % status

    def _try_again(self, python, home, work, result):
        """Run the failed tests once more by themselves.

        Some have time limits that a busy machine exceeds. A test that fails twice has
        failed, and the second run says which values it compared: rewriting the asserts
        of all files takes as long as thousands of tests, so the first run does without.
        """
        again = Result(result.version)
        self.screen.progress(result.version, '%d failed; running them again' % result.failed)
        status = self._run_pytest(python, home, work, ('--last-failed',))
        if status not in (0, 1) or not read_counts(self.junit, again) or again.passed + again.failed == 0:
            return 1                        # the second run did not work, so the first one counts
        result.second_tries = result.failed - again.failed
        result.passed += result.second_tries
        result.failed = again.failed
        return status

    def _run_pytest(self, python, home, work, more=()):
        command = [python, '-m', 'pytest', '-c', os.path.join(CHECKOUT, 'setup.cfg'), '--rootdir', CHECKOUT,
                   '-o', 'cache_dir=' + os.path.join(home, 'pytest-cache'), '--continue-on-collection-errors',
                   '--junitxml', self.junit, '--durations', '5', '-v']
        if self.interpreter.version == '2.7':
            # The signal of pytest-timeout cannot interrupt its locks.
            command += ['-o', 'timeout_method=thread']
        if 'ends' in self.elsewhere:
            command += ['-p', 'no:hypothesispytest']        # nothing that runs here uses it
        command += more
        command += self.targets
        environ = environments.child_environ(PYTHONDONTWRITEBYTECODE='1',
                                             LOMOND_TESTED_IN=os.path.realpath(home),
                                             LOMOND_ELSEWHERE=' '.join(self.elsewhere))
        done = threading.Event()
        beat = threading.Thread(target=self._tell, args=(done,))
        beat.daemon = True
        beat.start()
        try:
            return environments.run(command, self.log, self.options.time_limit, cwd=work, environ=environ)
        finally:
            done.set()
            beat.join()

    def _tell(self, done):
        while not done.wait(HEARTBEAT):
            percent = re.findall(r'\[ *(\d+)%\]', environments.tail(self.log, 5))
            self.screen.progress(self.interpreter.version,
                                 'tests' + (', %s %%' % percent[-1] if percent else ''))


def show_failure(result, screen):
    """Show the output of failed tests, or the end of the log of a run that broke."""
    with open(result.log, encoding='utf-8', errors='replace') as text:
        lines = text.read().splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r'=+ (FAILURES|ERRORS) =+$', line)]
    shown = lines[starts[0]:] if starts and not result.trouble else lines[-60:]
    if len(shown) > SHOWN_LINES:
        half = SHOWN_LINES // 2
        shown = shown[:half] + ['... %d lines omitted ...' % (len(shown) - 2 * half)] + shown[-half:]
    screen.say('\n--- Python %s: %s; full log: %s' % (
        result.version, result.verdict, os.path.relpath(result.log, CHECKOUT)))
    screen.say('\n'.join(shown))


def show_table(results, screen):
    screen.say('\n%-7s %-9s %7s %7s %8s %8s  %s' % (
        'Python', 'version', 'passed', 'failed', 'skipped', 'seconds', 'result'))
    for result in results:
        screen.say('%-7s %-9s %7d %7d %8d %8.1f  %s' % (
            result.version, result.full_version, result.passed, result.failures, result.skipped,
            result.seconds, result.verdict))


def hold_folder():
    """Prevent a second run in this checkout; return a lock to keep until the end."""
    os.makedirs(environments.DEFAULT_FOLDER, exist_ok=True)
    lock = open(os.path.join(environments.DEFAULT_FOLDER, 'run_tests.lock'), 'w')
    try:
        import fcntl
    except ImportError:
        return lock     # Windows
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise environments.Failed('another tools/run_tests.py is running in this checkout')
    return lock


def run_elsewhere(version, versions):
    """Return the markers of the tests that another interpreter of the run sees to.

    :param versions: those of the run, such as ``['2.7', '3.13']``
    """
    ordered = sorted(versions, key=(VERSIONS + NEWER).index)
    if version == ordered[-1]:
        return ()
    return ('checkout',) if version == ordered[0] else ('checkout', 'ends')


def run_all(options, targets, screen):
    """Run everything.

    :return: a list of Result, one for each version that was requested or found
    """
    wanted = options.python or list(VERSIONS)
    found, remarks = environments.find(wanted)
    missing = [version for version in wanted if version not in found]
    names = [found[version].full_version for version in wanted if version in found]
    screen.say('interpreters: %s' % (', '.join(names) or 'none'))
    if missing:
        screen.say('missing: %s' % ', '.join(missing))
    for remark in remarks:
        screen.say(remark)
    results = []
    if options.python or options.require_all:
        results = [Result(version, trouble='missing') for version in missing]
    if not found:
        return results or [Result('none', trouble='no interpreter found')]

    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    log = os.path.join(LOGS, 'wheel.log')
    screen.progress('wheel', 'building')
    tools = environments.make(environments.DEFAULT_FOLDER, 'tools', environments.this_interpreter(),
                              [environments.PINS_TOOLS], log)
    wheel = build_wheel(tools, log)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        versions = [version for version in wanted if version in found]
        elsewhere = dict((version, run_elsewhere(version, versions)) for version in versions)
        versions.sort(key=lambda version: len(elsewhere[version]))      # those with most tests go first
        futures = [pool.submit(Run(found[version], elsewhere[version], options, targets, tools, wheel,
                                   screen))
                   for version in versions]
        try:
            results += [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            environments.stop_all()
            raise
    return sorted(results, key=lambda result: wanted.index(result.version))


def interrupt(number, frame):
    raise KeyboardInterrupt


def main(arguments):
    options, to_pytest = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    screen = Screen()
    try:
        lock = hold_folder()
        results = run_all(options, resolve_targets(to_pytest), screen)
        lock.close()
    except (environments.Failed, OSError) as error:
        screen.say(str(error))
        results = [Result('none', trouble='not set up')]
    except KeyboardInterrupt:
        screen.say('interrupted')
        return 130
    for result in results:
        if result.failures and result.log:
            show_failure(result, screen)
    show_table(results, screen)
    failed = sum(result.failures for result in results)
    screen.say('\n%d passed, %d failed, %d skipped' % (
        sum(result.passed for result in results), failed, sum(result.skipped for result in results)))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
