"""Virtual environments that are created once and kept.

Needs Python 3.6 or newer, and only the standard library. Everything is kept in the
git-ignored folder ``.venvs`` of the checkout; deleting it is always safe.

Knows nothing of: what runs in the environments.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

if sys.version_info < (3, 6):
    sys.exit('this script needs Python 3.6 or newer; this is %d.%d' % sys.version_info[:2])

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(CHECKOUT, 'tools')
DEFAULT_FOLDER = os.path.join(CHECKOUT, '.venvs')
BIN = 'Scripts' if os.name == 'nt' else 'bin'

PINS_PIP = os.path.join(TOOLS, 'pins-pip.txt')
PINS_TOOLS = os.path.join(TOOLS, 'pins-tools.txt')
PINS_TESTS = os.path.join(TOOLS, 'pins-tests.txt')
PINS_WSACCEL = os.path.join(TOOLS, 'pins-wsaccel.txt')

#: Seconds for one step of creating an environment, such as a download or a compilation.
STEP_LIMIT = 600
#: Seconds to wait for another process that is creating the same environment.
LOCK_LIMIT = 900

# Variables that make a child import modules from outside its environment, or change
# what pip does.
_UNWANTED = ('PYTHONPATH', 'PYTHONHOME', 'PYTHONSTARTUP', 'PYTHONWARNINGS', 'PYTEST_ADDOPTS',
             'PYTEST_PLUGINS', 'PYENV_VERSION', 'VIRTUAL_ENV', '__PYVENV_LAUNCHER__',
             'PIP_REQUIRE_VIRTUALENV', 'PIP_TARGET', 'PIP_PREFIX')


class Failed(Exception):
    """A step failed. The message says which, and has the end of its output."""


def child_environ(**more):
    """Return our environment variables without those that could mislead a child."""
    environ = dict((name, value) for name, value in os.environ.items() if name not in _UNWANTED)
    environ.update(PIP_DISABLE_PIP_VERSION_CHECK='1', PIP_NO_PYTHON_VERSION_WARNING='1', PIP_USER='0',
                   PIP_NO_INPUT='1', PIP_ROOT_USER_ACTION='ignore', PYTHONIOENCODING='utf-8')
    environ.update(more)
    return environ


# --- child processes: each in its own process group, with a time limit ---

_running = set()
_running_lock = threading.Lock()
_stopping = threading.Event()


def _kill(process):
    """Kill a child process and its descendants."""
    try:
        if hasattr(os, 'killpg'):
            os.killpg(process.pid, signal.SIGKILL)      # it is the leader of its group
        else:
            process.kill()
    except OSError:
        pass        # it has already ended


def stop_all():
    """Kill all child processes, and start no more."""
    _stopping.set()
    with _running_lock:
        for process in _running:
            _kill(process)


def run(command, log, limit=STEP_LIMIT, cwd=None, environ=None):
    """Run a command, and append its output to the file `log`.

    :return: its exit status, or None if it was killed after `limit` seconds
    """
    with open(log, 'ab') as output:
        output.write(('$ %s\n' % ' '.join(command)).encode('utf-8', 'replace'))
        output.flush()
        with _running_lock:
            if _stopping.is_set():
                raise Failed('stopped')
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, cwd=cwd, env=environ or child_environ(),
                                       start_new_session=True)
            _running.add(process)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            if hasattr(signal, 'SIGABRT') and os.name != 'nt':
                # pytest enables faulthandler, so the log gets the stack of every
                # thread.
                process.send_signal(signal.SIGABRT)
                time.sleep(2)
            return None
        finally:
            with _running_lock:
                if process.returncode is None:
                    _kill(process)
                _running.discard(process)
            process.wait()


def tail(path, lines):
    """Return the last lines of a text file."""
    try:
        with open(path, encoding='utf-8', errors='replace') as text:
            return ''.join(text.readlines()[-lines:])
    except OSError:
        return ''


def step(what, command, log, **options):
    """Run a command; raise Failed with the end of its output unless it succeeds."""
    status = run(command, log, **options)
    if status != 0:
        how = 'took too long' if status is None else 'failed with status %d' % status
        raise Failed('%s %s\n%s\nfull log: %s' % (what, how, tail(log, 15), log))


# --- interpreters ---

_PROBE = """
import sys, platform, sysconfig
print("%d.%d.%d" % sys.version_info[:3])
print(platform.python_implementation())
print(sys.executable)
try:
    import venv, ensurepip
    print("venv")
except ImportError:
    print("no venv")
print("free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with the GIL")
"""


class Interpreter:
    """A working interpreter.

    Attributes: `version` ('3.11', '3.14t'), `full_version`, `path`, `has_venv`.
    """

    def __init__(self, full_version, path, has_venv, is_free_threaded=False):
        self.full_version = full_version
        self.version = '.'.join(full_version.split('.')[:2]) + ('t' if is_free_threaded else '')
        self.path = path
        self.has_venv = has_venv


def probe(path):
    """Return the CPython at a path, or None if it does not run or is not CPython."""
    try:
        output = subprocess.check_output([path, '-c', _PROBE], stdin=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, env=child_environ(), timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = output.decode('utf-8', 'replace').splitlines()
    if len(lines) < 5 or lines[1] != 'CPython' or not lines[2]:
        return None
    return Interpreter(lines[0], lines[2], lines[3] == 'venv', lines[4] == 'free-threaded')


def _pyenv_roots():
    roots = [os.environ.get('PYENV_ROOT'), os.path.join(os.path.expanduser('~'), '.pyenv')]
    if shutil.which('pyenv'):
        try:
            output = subprocess.check_output(['pyenv', 'root'], stdin=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL, timeout=30)
            roots.append(output.decode('utf-8', 'replace').strip())
        except (OSError, subprocess.SubprocessError):
            pass
    return [root for root in roots if root]


def _on_path(name):
    for folder in os.environ.get('PATH', os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder or os.curdir)
        if found:
            yield os.path.abspath(found)


def _age(name):
    """A key by which versions sort: 3.9.18, 3.15.0a2, 3.15.0rc1, 3.15.0, 3.15.1."""
    numbers = [int(number) for number in re.findall(r'\d+', name)]
    stage = re.search(r'a|b|rc', name)
    return numbers[:3], not stage, stage and stage.group(), numbers[3:]


def candidates(version):
    """Yield paths where an interpreter of a version may be, best first.

    :param version: such as '3.11' or '3.14t'
    """
    for path in _on_path('python' + version):
        yield path
    for root in _pyenv_roots():
        versions = os.path.join(root, 'versions')
        if os.path.isdir(versions):
            # 3.11.7, 3.14.2t, 3.15.0rc1
            number, free_threaded = re.match(r'([\d.]+)(t?)$', version).groups()
            pattern = re.escape(number) + r'\.\d+((a|b|rc)\d+)?' + free_threaded + '$'
            names = [name for name in os.listdir(versions) if re.match(pattern, name)]
            for name in sorted(names, key=_age, reverse=True):
                yield os.path.join(versions, name, 'bin', 'python')
    yield sys.executable
    for name in ('python3', 'python2', 'python'):
        for path in _on_path(name):
            yield path


def find(versions):
    """Find interpreters.

    :return: (a dict that maps versions to interpreters, a list of sentences about
        unusable ones)
    """
    probed, found, remarks = {}, {}, []
    for version in versions:
        for path in candidates(version):
            if path not in probed:
                probed[path] = probe(path)
            interpreter = probed[path]
            if interpreter is None or interpreter.version != version:
                continue
            if version != '2.7' and not interpreter.has_venv:
                remark = ('skipping %s, which has no venv (Debian: apt install python%s-venv)'
                          % (interpreter.path, version))
                if remark not in remarks:
                    remarks.append(remark)
                continue
            found[version] = interpreter
            break
    return found, remarks


# --- environments ---

def python_of(folder):
    """Return the path of the interpreter of an environment."""
    return os.path.join(folder, BIN, 'python.exe' if os.name == 'nt' else 'python')


@contextlib.contextmanager
def _locked(path):
    """Hold a lock between processes; Windows has no fcntl, and gets no lock."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, 'w') as lock:
        give_up = time.monotonic() + LOCK_LIMIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > give_up or _stopping.is_set():
                    raise Failed('another process has held %s for %d s' % (path, LOCK_LIMIT))
                time.sleep(0.2)
        yield


def _key(interpreter, pins):
    digest = hashlib.sha256()
    digest.update(repr((interpreter.path, interpreter.full_version)).encode('utf-8'))
    for path in [PINS_PIP] + pins:
        with open(path, 'rb') as text:
            digest.update(text.read())
    return digest.hexdigest()[:12]


def make(folder, name, interpreter, pins, log, virtualenv=None):
    """Create an environment with the packages listed in `pins`, unless it exists.

    It is kept under its name, and recreated if the interpreter or the text of a file
    has changed. Without pins it contains only pip.

    :param folder: where environments are kept
    :param log: the file to append output to
    :param virtualenv: an interpreter with virtualenv, which is needed for 2.7; by
        default, the venv of the interpreter is used
    :return: the path of the interpreter of the environment
    """
    os.makedirs(folder, exist_ok=True)
    home = os.path.join(folder, name)
    ready = os.path.join(home, 'ready')
    python = python_of(home)
    key = _key(interpreter, pins)
    with _locked(home + '.lock'):
        try:
            with open(ready) as text:
                if text.read() == key and os.path.exists(python):
                    return python
        except OSError:
            pass
        if os.path.exists(home):
            shutil.rmtree(home)
        what = 'creating an environment for Python ' + interpreter.version
        if virtualenv:
            data = os.path.join(folder, 'virtualenv-data')
            step(what, [virtualenv, '-m', 'virtualenv', '--quiet', '--no-periodic-update',
                        '-p', interpreter.path, home],
                 log, environ=child_environ(VIRTUALENV_OVERRIDE_APP_DATA=data))
        else:
            step(what, [interpreter.path, '-m', 'venv', home], log)
        pip = [python, '-m', 'pip', 'install', '--progress-bar', 'off']
        with open(PINS_PIP) as text:
            has_pins = "== '%s'" % interpreter.version in text.read()
        if has_pins:
            step('pip for Python ' + interpreter.version, pip + ['-r', PINS_PIP], log)
        requirements = [word for path in pins for word in ('-r', path)]
        if requirements:
            step('pip for Python ' + interpreter.version, pip + requirements, log)
        with open(ready, 'w') as text:
            text.write(key)
    return python


def this_interpreter():
    """Return the running interpreter; raise Failed if it cannot create environments."""
    interpreter = probe(sys.executable)
    if interpreter is None or not interpreter.has_venv:
        raise Failed('%s cannot create virtual environments: it has no venv with ensurepip '
                     '(Debian: apt install python3-venv)' % sys.executable)
    return interpreter
