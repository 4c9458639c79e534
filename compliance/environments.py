"""Makes the virtual environments of a compliance run; it must not know what will run in them.

Everything is kept in one folder that ignores itself (a .gitignore of its own), each environment with a stamp
that says what it was made of: made anew when that changes, or when making it was interrupted.
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
except ImportError:  # Windows: two runs at once are then the caller's affair
    fcntl = None

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, 'requirements-wstest.txt')

#: The last virtualenv that makes environments of 2.7; newer ones skip it without failing.
VIRTUALENV = 'virtualenv==20.21.1'

#: 3.6 comes with pip 18.1, which overlooks the Requires-Python of some indexes.
NEEDS_NEW_PIP = {(3, 6): ['pip==21.3.1', 'setuptools==59.6.0']}


class SetupError(Exception):
    """An environment could not be made; the message is for people."""


class Environments(object):
    """The environments in one folder.

    :param folder: where they are kept
    :param log: callable(text), told of what takes time
    """

    def __init__(self, folder, log):
        self.folder = os.path.abspath(folder)
        self._log = log

    def wstest(self, python27):
        """Give the Python of an environment that has autobahntestsuite.

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
        """Give the Python of an environment for the library under test.

        :param interpreter: the :class:`Interpreter` it is made of
        :param packages: requirements to install, as pip takes them
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
            self._log('making the environment {} of Python {}'.format(name, interpreter.label))
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
        """Give the Python of an environment that has virtualenv, made of the first Python 3 that can."""
        path = os.path.join(self.folder, 'virtualenv')
        python = _python_of(path)
        stamp_path = os.path.join(path, 'compliance-stamp')
        with self._locked('virtualenv'):
            if _read(stamp_path) == VIRTUALENV and os.path.exists(python):
                return python
            error = SetupError('{} needs a Python 3.7 or newer; none is to be found'.format(VIRTUALENV))
            for interpreter in _python3s():
                shutil.rmtree(path, ignore_errors=True)
                try:
                    self._call([interpreter.path, '-m', 'venv', path], 'venv')
                    self._pip(python, [VIRTUALENV], VIRTUALENV)
                except SetupError as failure:  # Debian's python3 has no ensurepip, say: the next one may
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
                    hint = '\nwsaccel is compiled, and there is no C compiler: install gcc'
                else:
                    hint = '\nwsaccel is compiled: gcc and the headers of this Python are needed'
            raise SetupError('{} could not be installed; {}{}'.format(what, error, hint))

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
        """Keep two runs (client and server role, say) from making the same environment at once."""
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
                fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, also by a crash
            yield


def _python3s():
    """Yield Pythons that virtualenv 20.21.1 runs on (3.7 and newer), the running one first."""
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
