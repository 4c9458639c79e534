"""Finds Python interpreters by version or path.

Knows nothing of: what they are used for.
"""

from __future__ import absolute_import, division, unicode_literals

import json
import os
import re
import subprocess
from collections import namedtuple

#: The versions that the project supports (see setup.cfg).
SUPPORTED = ('2.7', '3.6', '3.7', '3.8', '3.9', '3.10', '3.11', '3.12', '3.13')

_PROBE = (
    'import json, platform, sys; '
    'print(json.dumps([sys.executable, sys.version_info[:3], platform.python_implementation()]))'
)

#: Variables that would make another Python import modules that are not its own.
_MEDDLERS = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', '__PYVENV_LAUNCHER__')


class Interpreter(namedtuple('Interpreter', 'path version implementation')):
    """A working Python: path, version as three numbers, ``CPython`` or ``PyPy``."""

    __slots__ = ()

    @property
    def label(self):
        """Its name in tables, such as ``3.13.0`` or ``PyPy 3.9.16``."""
        version = '.'.join('{}'.format(number) for number in self.version)
        return version if self.implementation == 'CPython' else self.implementation + ' ' + version

    @property
    def is_python2(self):
        """Whether this is Python 2, which has no venv."""
        return self.version[0] == 2


def clean_environ(**extra):
    """Return a copy of our environment variables that is safe for another Python.

    :param extra: additional variables
    :returns: a dict
    """
    environ = {name: value for name, value in os.environ.items() if name not in _MEDDLERS}
    environ['PYTHONNOUSERSITE'] = '1'
    environ.update(extra)
    return environ


def probe(path):
    """Ask an executable which Python it is.

    The pyenv shim of an inactive version fails.

    :param path: the path of an executable, or a name to look up on PATH
    :returns: an :class:`Interpreter` or None
    """
    try:
        process = subprocess.Popen(
            [path, '-c', _PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environ())
        output = process.communicate(b'')[0]
        executable, version, implementation = json.loads(output.decode('utf-8'))
    except (OSError, ValueError):
        return None
    return Interpreter(executable, tuple(version), implementation)


def _pyenv_versions():
    """Yield ``(version, executable)`` for each CPython in a pyenv, the newest first."""
    roots = [os.environ.get('PYENV_ROOT'), os.path.join(os.path.expanduser('~'), '.pyenv')]
    try:
        roots.insert(1, subprocess.check_output(['pyenv', 'root'], stderr=subprocess.STDOUT).decode().strip())
    except (OSError, ValueError, subprocess.CalledProcessError):
        pass  # there may be a pyenv folder even without the command
    found = {}
    for root in roots:
        folder = os.path.join(root, 'versions') if root else ''
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if re.match(r'^\d+\.\d+\.\d+$', name):
                found.setdefault(tuple(int(part) for part in name.split('.')), os.path.join(folder, name))
    for version in sorted(found, reverse=True):
        yield version, os.path.join(found[version], 'bin', 'python')


def find(name):
    """Find an interpreter.

    :param name: a full or partial version (``2.7``, ``3.13``, ``3.11.7``), a path, or a
        command
    :returns: an :class:`Interpreter`, or None if it was not found
    """
    if not re.match(r'^\d+(\.\d+){0,2}$', name):
        return probe(name)
    wanted = tuple(int(part) for part in name.split('.'))
    for version, path in _pyenv_versions():
        if version[:len(wanted)] == wanted:
            interpreter = probe(path)
            if interpreter is not None:
                return interpreter
    interpreter = probe('python' + '.'.join(name.split('.')[:2]))
    if interpreter is not None and interpreter.version[:len(wanted)] == wanted:
        return interpreter
    return None
