"""A copy of the checkout in which the library is changed and tests are run.

Shared by ``tests/guards`` and ``tests/mutants``. Needs a system with fork: what takes
long to import is imported once, and each test run is a child of this process.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import glob
import importlib
import io
import os
import re
import shutil
import signal
import sys
import time
import traceback

from .paths import CHECKOUT, TESTS

#: pytest's exit status when all tests passed, and when some failed.
GREEN, RED = 0, 1
#: The status of a run that was ended because it took too long.
HUNG = -signal.SIGKILL
#: Expensive imports that are the same for each run.
SHARED = ('pytest', '_pytest.pytester', 'hypothesis', 'pytest_timeout', 'trustme', 'ssl', 'asyncio',
          'unittest.mock')
#: Seconds for one test.
TEST_LIMIT = 20
_NOT_COPIED = shutil.ignore_patterns('.git', '.venvs', '.tox', '.test-logs', '.real', '*.pyc', '__pycache__',
                                     '.pytest_cache', '.hypothesis', 'build', 'docs', 'compliance')


def read(path):
    """Return the text of a file."""
    with io.open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text):
    """Write the source of a module, and remove what was compiled from the old one."""
    with io.open(path, 'w', encoding='utf-8', newline='\n') as file:
        file.write(text)
    # A compiled file would pass for that of the new text: same size, same second.
    folder, name = os.path.split(path)
    for compiled in glob.glob(os.path.join(folder, '__pycache__', name[:-3] + '.*')) + glob.glob(path + 'c'):
        os.remove(compiled)


def preload():
    """Import what each run needs; the library must not be among it."""
    for name in SHARED:
        try:
            importlib.import_module(name)
        except ImportError:
            pass                    # the test that needs it will say so
    assert 'lomond' not in sys.modules


class Copy(object):
    """A copy of a checkout.

    :param folder: where the copy is made
    :param checkout: what is copied; it has the folder ``tests``
    """

    def __init__(self, folder, checkout=CHECKOUT):
        self.folder = os.path.join(folder, 'lomond')
        self._log = os.path.join(folder, 'log')
        self._not_here = (checkout, TESTS, os.path.dirname(os.path.abspath(sys.argv[0])), '')
        shutil.copytree(checkout, self.folder, ignore=_NOT_COPIED)

    def replace(self, path, text):
        """Give a file of the copy another text.

        :param path: relative to the checkout
        :returns: a function that restores the file
        """
        path = os.path.join(self.folder, path)
        before = read(path)
        write(path, text)
        return lambda: write(path, before)

    def run(self, tests, options=(), limit=None, test_limit=TEST_LIMIT):
        """Run tests in a child.

        :param tests: files, folders and test ids, relative to ``tests/``
        :param options: further words for pytest
        :param limit: seconds for all of them; None for no limit
        :param test_limit: seconds for each of them
        :returns: ``(status, names of failed tests, output)``; the status is pytest's
            exit status, HUNG after ``limit``, or the negative number of the signal that
            ended the child
        """
        # The method 'thread' ends the process: a test that hangs may ignore signals.
        arguments = ['-q', '-p', 'no:cacheprovider', '-W', 'ignore::pytest.PytestAssertRewriteWarning',
                     '-rfE', '--tb', 'line', '--timeout', str(test_limit), '--timeout-method', 'thread']
        arguments += list(options) + [os.path.join('tests', test) for test in tests]
        sys.stdout.flush()
        child = os.fork()
        if not child:
            self._run_here(arguments)       # does not return
        status = _wait(child, limit)
        output = read(self._log)
        failed = re.findall(r'^(?:FAILED|ERROR) tests/(\S+)', output, re.MULTILINE)
        return status, failed, output

    def _run_here(self, arguments):
        status = 99
        try:
            os.setpgid(0, 0)
            log = os.open(self._log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self.folder)
            sys.path[:] = [self.folder] + [place for place in sys.path if place not in self._not_here]
            for name in list(sys.modules):
                if name.partition('.')[0] == 'support':     # ours; the copy has its own
                    del sys.modules[name]
            os.environ['PYTHONPATH'] = self.folder
            os.environ.pop('LOMOND_TESTED_IN', None)
            import pytest
            status = int(pytest.main(arguments))
            sys.stdout.flush()
        except BaseException:       # the other half of the fork must not run on here
            traceback.print_exc()
        finally:
            os._exit(status)


def _wait(child, limit):
    """Wait for a child that leads a process group; after the limit, kill the group."""
    end = None if limit is None else time.time() + limit
    while True:
        found, status = os.waitpid(child, 0 if end is None else os.WNOHANG)
        if found:
            return -(status & 127) if status & 127 else status >> 8
        if time.time() >= end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return HUNG
        time.sleep(0.05)
