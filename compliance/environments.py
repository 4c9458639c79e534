"""Creates the virtual environments of a compliance run.

They are kept in one folder with its own .gitignore. Each has a stamp that says what it
was made from. An environment is rebuilt if that has changed, or if building it was
interrupted.

Knows nothing of: what runs in them.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys

from interpreters import SUPPORTED, Interpreter, clean_environ, find, probe

try:
    import fcntl
except ImportError:  # Windows: the caller must not start two runs at once
    fcntl = None

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, 'requirements-wstest.txt')

#: The last virtualenv that supports 2.7; newer ones ignore that interpreter without
#: failing.
VIRTUALENV = 'virtualenv==20.21.1'

#: The pip 18.1 of 3.6 overlooks the Requires-Python of some indexes.
NEEDS_NEW_PIP = {(3, 6): ['pip==21.3.1', 'setuptools==59.6.0']}


class SetupError(Exception):
    """An environment could not be created. The message is shown to the user."""


class Environments(object):
    """The environments in one folder.

    :param folder: where they are kept
    :param log: a callable that takes text; it is called before slow steps
    """

    def __init__(self, folder, log):
        self.folder = os.path.abspath(folder)
        self._log = log

    def wstest(self, python27):
        """Return the Python of an environment with autobahntestsuite.

        :param python27: a CPython 2.7 (:class:`Interpreter`)
        :returns: the path of the environment's Python
        :raises SetupError: with pip's last words
        """
        with io.open(REQUIREMENTS, encoding='utf-8') as requirements:
            stamp = requirements.read() + python27.path

        def fill(python):
            self._pip(python, ['--no-deps', '-r', REQUIREMENTS], 'autobahntestsuite')

        return self._environment('wstest', python27, stamp, fill)

    def subject(self, interpreter, packages):
        """Return the Python of an environment for the library under test.

        :param interpreter: the :class:`Interpreter` to use
        :param packages: requirements to install, as for pip
        :returns: the path of the environment's Python
        :raises SetupError: with pip's last words
        """
        stamp = '\n'.join([interpreter.path, interpreter.label] + packages)
        digest = hashlib.sha256(stamp.encode('utf-8')).hexdigest()[:8]
        name = '{}-{}'.format(interpreter.label.lower().replace(' ', '-'), digest)

        def fill(python):
            newer = NEEDS_NEW_PIP.get(interpreter.version[:2])
            if newer:
                self._pip(python, newer, 'a newer pip')
            self._pip(python, packages, ' '.join(packages))

        return self._environment(name, interpreter, stamp, fill)

    def _environment(self, name, interpreter, stamp, fill):
        path = os.path.join(self.folder, name)
        python = _python_of(path)
        stamp_path = os.path.join(path, 'compliance-stamp')
        with self._locked(name):
            if _read(stamp_path) == stamp and os.path.exists(python):
                return python
            self._log('creating the environment {} with Python {}'.format(name, interpreter.label))
            shutil.rmtree(path, ignore_errors=True)
            if interpreter.is_python2:
                tool = self._virtualenv()
                self._call(
                    [tool, '-m', 'virtualenv', '-q', '--app-data', os.path.join(self.folder, 'app-data'),
                     '-p', interpreter.path, path], 'virtualenv')
            else:
                self._call([interpreter.path, '-m', 'venv', path], 'venv')
            fill(python)
            with io.open(stamp_path, 'w', encoding='utf-8') as stamp_file:
                stamp_file.write(stamp)
        return python

    def _virtualenv(self):
        """Return the Python of an environment with virtualenv, on some Python 3."""
        path = os.path.join(self.folder, 'virtualenv')
        python = _python_of(path)
        stamp_path = os.path.join(path, 'compliance-stamp')
        with self._locked('virtualenv'):
            if _read(stamp_path) == VIRTUALENV and os.path.exists(python):
                return python
            error = SetupError('{} needs Python 3.7 or newer, which was not found'.format(VIRTUALENV))
            for interpreter in _python3s():
                shutil.rmtree(path, ignore_errors=True)
                try:
                    self._call([interpreter.path, '-m', 'venv', path], 'venv')
                    self._pip(python, [VIRTUALENV], VIRTUALENV)
                except SetupError as failure:  # such as Debian's python3 without ensurepip
                    error = failure
                    continue
                with io.open(stamp_path, 'w', encoding='utf-8') as stamp_file:
                    stamp_file.write(VIRTUALENV)
                return python
            raise error

    def _pip(self, python, arguments, what):
        try:
            self._call([python, '-m', 'pip', 'install', '--disable-pip-version-check'] + arguments, 'pip')
        except SetupError as error:
            hint = ''
            if 'wsaccel' in what or 'autobahn' in what:
                if not any(_which(name) for name in ('cc', 'gcc', 'clang')):
                    hint = '\nwsaccel has to be compiled, and there is no C compiler: install gcc'
                else:
                    hint = '\nwsaccel has to be compiled: install gcc and the headers of this Python'
            raise SetupError('cannot install {}; {}{}'.format(what, error, hint))

    def _call(self, command, what):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=clean_environ())
        output = process.communicate(b'')[0].decode('utf-8', 'replace')
        if process.returncode:
            raise SetupError('{} ended with status {}:\n{}'.format(
                what, process.returncode, '\n'.join(output.strip().splitlines()[-15:])))

    @contextlib.contextmanager
    def _locked(self, name):
        """Prevent two runs from creating the same environment at once."""
        if not os.path.isdir(self.folder):
            try:
                os.makedirs(self.folder)
            except OSError:
                if not os.path.isdir(self.folder):
                    raise
        ignore = os.path.join(self.folder, '.gitignore')
        if not os.path.exists(ignore):
            with io.open(ignore, 'w', encoding='utf-8') as ignore_file:
                ignore_file.write('*\n')
        with io.open(os.path.join(self.folder, name + '.lock'), 'a') as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, even after a crash
            yield


def _python3s():
    """Yield Pythons that can run virtualenv 20.21.1 (3.7 and newer), this one first."""
    candidates = [probe(sys.executable)]
    candidates.extend(find(version) for version in reversed(SUPPORTED))
    candidates.append(probe('python3'))
    for interpreter in candidates:
        if isinstance(interpreter, Interpreter) and interpreter.version >= (3, 7):
            yield interpreter


def _python_of(path):
    parts = ('Scripts', 'python.exe') if os.name == 'nt' else ('bin', 'python')
    return os.path.join(path, *parts)


def _read(path):
    try:
        with io.open(path, encoding='utf-8') as text:
            return text.read()
    except (IOError, OSError):
        return None


def _which(name):
    folders = os.environ.get('PATH', '').split(os.pathsep)
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders)
