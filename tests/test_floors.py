"""The drawing of the package in CONTRIBUTING.md, kept true: who may import whom, and what.

The checker is a function over source text; it imports nothing of lomond.
"""

from __future__ import absolute_import, division, unicode_literals

import ast
import io
import os
import subprocess
import sys

import pytest

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'lomond')

# A module imports from the floors below its own.  A new module is one more word here.
FLOORS = (
    # 0  vocabulary
    'compat errors constants opcode status',
    # 1  values
    'mask utf8 url frame response events backoff cookies',
    # 2  protocol parts
    'intake message frame_parser deflate compression handshake opening auth outgoing proxy_settings',
    # 3  the protocol
    'states sending connection timers options',
    # 4  the outside
    'waiting backlog transport tls writer proxy trust resolver racer dialer',
    # 5  drivers
    'conversation ending feeding members plan session',
    # 6  facade
    'websocket persist testing cli',
)

# Edges that stay on one floor.
SAME_FLOOR = {
    'constants': 'compat',
    'errors': 'compat',
    'opcode': 'compat',
    'status': 'compat',
    'frame': 'mask',
    'frame_parser': 'intake message',
    'compression': 'deflate',
    'handshake': 'compression auth',
    'sending': 'states',
    'connection': 'states sending',
    'transport': 'waiting',
    'tls': 'transport waiting',
    'writer': 'transport waiting',
    'dialer': 'proxy racer transport tls trust resolver waiting',
    'racer': 'waiting',
    'resolver': 'waiting',
    'conversation': 'ending',
    'session': 'conversation ending',
    'testing': 'websocket',
    'cli': 'websocket persist testing',
    'persist': 'websocket',
}

# Modules of one of these may import each other.
PACKAGES = ('testing', 'cli')

# Stand outside of the floors: `_version` is below all of them, these two are above.
ABOVE = ('__init__', '__main__')
BELOW = '_version'

MOST_LINES = 400

# Imported when first needed, inside of functions: `import lomond` is to stay cheap.
LAZY = ('ssl', 'urllib.request', 'json', 'email', 'logging', 'hashlib', 'http.client',
        # the same under the names of 2.7 and six
        'urllib2', 'httplib', 'six.moves.urllib.request', 'six.moves.http_client')

FORBIDDEN_MODULES = ('pickle', 'cPickle', 'marshal', 'subprocess', 'ctypes', 'six.moves.cPickle')
FORBIDDEN_NAMES = ('eval', 'exec', '__import__')

# Python's versions are told apart in compat alone.
VERSION_NAMES = ('PY2', 'PY3')
VERSION_ATTRIBUTES = (('sys', 'version_info'), ('sys', 'hexversion'), ('platform', 'python_version'),
                      ('platform', 'python_version_tuple'))

FUTURES = frozenset(('absolute_import', 'division', 'unicode_literals'))

FLOOR_OF = dict((module, number) for number, names in enumerate(FLOORS) for module in names.split())
FLOOR_OF[BELOW] = -1


def is_within(name, packages):
    """True when the dotted name is one of the packages, or in one of them."""
    return any(name == package or name.startswith(package + '.') for package in packages)


def top(module):
    """Name in the table of a module: `testing` for `testing.server`."""
    return module.split('.')[0]


def is_allowed(importer, imported):
    """Whether one module of lomond may import another (names as in the table)."""
    if importer in ABOVE or importer == imported and importer in PACKAGES:
        return True
    if imported in SAME_FLOOR.get(importer, '').split():
        return True
    return FLOOR_OF[imported] < FLOOR_OF[importer]


def absolute_name(node, module):
    """The module that an ImportFrom names, relative ones made absolute."""
    if not node.level:
        return node.module or ''
    # `module` is dotted within lomond; a package's own name is `x.__init__`, so one level is its folder.
    parts = ['lomond'] + module.split('.')
    return '.'.join(parts[:len(parts) - node.level] + ([node.module] if node.module else []))


def imported_names(node, module):
    """Dotted names an import statement may load: `from a import b` gives `a.b`, which `a` precedes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = absolute_name(node, module)
    return [base + '.' + alias.name for alias in node.names]


def nodes_run_at_import(tree):
    """Every node that runs when the module is imported: all but the bodies of functions."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.FunctionDef, ast.Lambda)):
                waiting.append(child)


def edge_problems(node, module):
    """What is wrong with the edges inside lomond of one import statement."""
    for name in imported_names(node, module):
        if not is_within(name, ['lomond']):
            continue
        parts = name.split('.')[1:]
        target = parts[0] if parts else '__init__'
        if target not in FLOOR_OF:
            # `import lomond`, `from lomond import WebSocket`: the front door
            target = '__init__'
        importer = top(module)
        if target == '__init__' and importer not in ABOVE:
            yield 'imports %s, which is no module in FLOORS' % name
        elif target != '__init__' and not is_allowed(importer, target):
            yield '%s (floor %d) imports %s (floor %d)' % (
                importer, FLOOR_OF[importer], target, FLOOR_OF[target])


def import_problems(node, module):
    """What is wrong with one import statement, wherever it stands."""
    names = imported_names(node, module)
    for problem in edge_problems(node, module):
        yield problem
    for name in names:
        if is_within(name, FORBIDDEN_MODULES):
            yield 'imports %s, which is forbidden' % name
        if module == 'compat':
            continue
        if is_within(name, ['six']):
            yield 'imports %s; only compat knows six' % name
        if name.split('.')[-1] in VERSION_NAMES or tuple(name.split('.')) in VERSION_ATTRIBUTES:
            yield 'imports %s; only compat knows versions' % name


def use_problems(node, module):
    """What is wrong with one node that is no import."""
    if isinstance(node, ast.Name):
        if node.id in FORBIDDEN_NAMES:
            yield 'uses %s, which is forbidden' % node.id
        if node.id in VERSION_NAMES and module != 'compat':
            yield 'uses %s; only compat knows versions' % node.id
    elif isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else None
        if owner in ('builtins', '__builtin__', '__builtins__') and node.attr in FORBIDDEN_NAMES:
            yield 'uses %s.%s, which is forbidden' % (owner, node.attr)
        if owner == 'six' and node.attr in ('exec_', 'PY2', 'PY3') and module != 'compat':
            yield 'uses six.%s; only compat knows six' % node.attr
        if module == 'compat':
            return
        if (owner, node.attr) in VERSION_ATTRIBUTES or node.attr in VERSION_NAMES and owner != 'six':
            yield 'uses %s.%s; only compat knows versions' % (owner, node.attr)
    elif type(node).__name__ == 'Exec':         # a statement on 2.7
        yield 'uses exec, which is forbidden'


def check(module, source):
    """The sentences about what is wrong with a module; none when all is well.

    `module` is the name within lomond (`frame`, `testing.server`, `testing.__init__`), `source` its text.
    """
    if top(module) not in FLOOR_OF and module not in ABOVE:
        return ['%s has no floor: put it into FLOORS of tests/test_floors.py' % top(module)]
    problems = []
    lines = source.count('\n') + 1 - source.endswith('\n')
    if lines > MOST_LINES:
        problems.append('has %d lines; at most %d are allowed: it holds two ideas' % (lines, MOST_LINES))
    tree = ast.parse(source.encode('utf-8'))
    futures = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == '__future__':
            futures.update(alias.name for alias in node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            problems.extend(import_problems(node, module))
        else:
            problems.extend(use_problems(node, module))
    for node in nodes_run_at_import(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            problems.extend('imports %s when it is imported; do so where it is needed' % name
                            for name in imported_names(node, module) if is_within(name, LAZY))
    # _version imports nothing, __main__ and an empty __init__ may have nothing to say either.
    if len(tree.body) > 1 and module != BELOW and not FUTURES <= futures:
        problems.append('lacks from __future__ import %s' % ', '.join(sorted(FUTURES - futures)))
    return problems


def sources():
    """(name within lomond, path) of each module there is."""
    for folder, folders, files in os.walk(PACKAGE):
        folders[:] = sorted(name for name in folders if name != '__pycache__')
        for name in sorted(files):
            if name.endswith('.py'):
                path = os.path.join(folder, name)
                yield os.path.relpath(path, PACKAGE)[:-3].replace(os.sep, '.'), path


@pytest.mark.parametrize('module, path', [pytest.param(*pair, id=pair[0]) for pair in sources()])
def test_module_keeps_to_its_floor(module, path):
    with io.open(path, encoding='utf-8') as source:
        assert check(module, source.read()) == []


def test_same_floor_edges_are_on_one_floor():
    for importer, imported in SAME_FLOOR.items():
        for name in imported.split():
            assert FLOOR_OF[importer] == FLOOR_OF[name], (importer, name)


def test_same_floor_edges_make_no_circle():
    def walk(name, path):
        assert name not in path, path + [name]
        for following in SAME_FLOOR.get(name, '').split():
            walk(following, path + [name])
    for name in SAME_FLOOR:
        walk(name, [])


# --- the checker itself: each rule seen red, and its neighbour green ---

HEAD = 'from __future__ import absolute_import, division, unicode_literals\n'

BAD = [
    # edges: up, sideways, every spelling
    ('mask', 'from . import frame\n', 'mask (floor 1) imports frame (floor 1)'),
    ('frame', 'from .frame_parser import parse\n', 'frame (floor 1) imports frame_parser (floor 2)'),
    ('frame', 'from lomond import connection\n', 'frame (floor 1) imports connection (floor 3)'),
    ('frame', 'import lomond.connection\n', 'frame (floor 1) imports connection (floor 3)'),
    ('frame', 'from lomond.connection import Connection\n', 'imports connection (floor 3)'),
    ('frame', 'def f():\n    from .session import WebsocketSession\n', 'imports session (floor 5)'),
    ('frame', 'if 1:\n    from .session import WebsocketSession\n', 'imports session (floor 5)'),
    ('compat', 'from . import errors\n', 'compat (floor 0) imports errors (floor 0)'),
    ('auth', 'from . import handshake\n', 'auth (floor 2) imports handshake (floor 2)'),
    ('compression', 'from . import handshake\n', 'compression (floor 2) imports handshake (floor 2)'),
    ('transport', 'from . import writer\n', 'transport (floor 4) imports writer (floor 4)'),
    ('session', 'from .websocket import WebSocket\n', 'session (floor 5) imports websocket (floor 6)'),
    ('websocket', 'from . import persist\n', 'websocket (floor 6) imports persist (floor 6)'),
    ('websocket', 'from .testing.server import Server\n', 'websocket (floor 6) imports testing (floor 6)'),
    ('session', 'from .testing import FakeClock\n', 'session (floor 5) imports testing (floor 6)'),
    ('testing.server', 'from ..cli import main\n', 'testing (floor 6) imports cli (floor 6)'),
    ('testing.__init__', 'from .. import cli\n', 'testing (floor 6) imports cli (floor 6)'),
    ('_version', 'from .errors import ConnectFail\n', '_version (floor -1) imports errors (floor 0)'),
    # the package's front door
    ('session', 'import lomond\n', 'imports lomond, which is no module'),
    ('cli', 'from lomond import WebSocket\n', 'imports lomond.WebSocket, which is no module'),
    ('cli', 'from . import __version__\n', 'imports lomond.__version__, which is no module'),
    # tables
    ('newcomer', 'x = 1\n', 'newcomer has no floor'),
    ('newcomers.one', 'x = 1\n', 'newcomers has no floor'),
    # six and versions
    ('frame', 'import six\n', 'only compat knows six'),
    ('frame', 'from six.moves import range\n', 'only compat knows six'),
    ('frame', 'def f():\n    import six\n', 'only compat knows six'),
    ('frame', 'import sys\nif sys.version_info > (3,):\n    pass\n', 'uses sys.version_info'),
    ('frame', 'import sys\nx = sys.hexversion\n', 'uses sys.hexversion'),
    ('frame', 'from sys import version_info\n', 'only compat knows versions'),
    ('frame', 'from .compat import PY2\n', 'only compat knows versions'),
    ('frame', 'from . import compat\nx = compat.PY2\n', 'uses compat.PY2'),
    ('frame', 'import platform\nx = platform.python_version()\n', 'uses platform.python_version'),
    # length
    ('frame', 'x = 1\n' * 400, 'has 401 lines; at most 400 are allowed'),
    # what import lomond must not load
    ('trust', 'import ssl\n', 'imports ssl when it is imported'),
    ('trust', 'from ssl import SSLContext\n', 'imports ssl.SSLContext when it is imported'),
    ('trust', 'try:\n    import ssl\nexcept ImportError:\n    pass\n', 'imports ssl when it is imported'),
    ('trust', 'class A(object):\n    import ssl\n', 'imports ssl when it is imported'),
    ('url', 'import urllib.request\n', 'imports urllib.request when it is imported'),
    ('url', 'from urllib import request\n', 'imports urllib.request when it is imported'),
    ('url', 'import urllib2\n', 'imports urllib2 when it is imported'),
    ('compat', 'from six.moves.urllib import request\n', 'imports six.moves.urllib.request when'),
    ('events', 'import json\n', 'imports json when it is imported'),
    ('auth', 'import hashlib\n', 'imports hashlib when it is imported'),
    ('auth', 'from email.utils import parsedate\n', 'imports email.utils.parsedate when it is imported'),
    ('response', 'from http.client import responses\n', 'imports http.client.responses when'),
    ('session', 'import logging.handlers\n', 'imports logging.handlers when it is imported'),
    # forbidden
    ('events', 'def f(x):\n    return eval(x)\n', 'uses eval, which is forbidden'),
    ('events', 'def f(x):\n    exec(x)\n', 'uses exec, which is forbidden'),
    ('events', 'def f(x):\n    return __import__(x)\n', 'uses __import__, which is forbidden'),
    ('events', 'import builtins\nx = builtins.eval\n', 'uses builtins.eval, which is forbidden'),
    ('events', 'def f():\n    import pickle\n', 'imports pickle, which is forbidden'),
    ('events', 'from marshal import loads\n', 'imports marshal.loads, which is forbidden'),
    ('cli', 'import subprocess\n', 'imports subprocess, which is forbidden'),
    ('compat', 'import ctypes.util\n', 'imports ctypes.util, which is forbidden'),
]

GOOD = [
    ('frame', 'from . import errors\nfrom .mask import mask\nfrom lomond.compat import to_bytes\n'),
    ('handshake', 'from .compression import Deflate\nfrom . import auth\n'),
    ('constants', 'from ._version import __version__\nfrom .compat import text_type\n'),
    ('connection', 'from lomond import frame_parser, handshake\n'),
    ('cli', 'from .websocket import WebSocket\nfrom .testing.server import Server\n'),
    ('testing.__init__', 'from .server import Server\nfrom ..websocket import WebSocket\n'),
    ('testing.server', 'from . import scripts\nfrom ..connection import Connection\n'),
    ('__init__', 'from .websocket import WebSocket\nfrom . import errors\n'),
    ('__main__', 'from .cli import main\n'),
    ('compat', 'import sys\nimport six\nPY2 = six.PY2\nx = sys.version_info\n'),
    ('trust', 'def context():\n    import ssl\n    return ssl\n'),
    ('trust', 'class A(object):\n    def f(self):\n        import ssl\n'),
    ('url', 'from urllib.parse import urlsplit\n'),
    ('events', 'import jsonish\nimport pickles\nx = re.compile\n'),
    ('frame', 'x = 1\n' * 399),
]


@pytest.mark.parametrize('module, source, problem', BAD)
def test_checker_sees(module, source, problem):
    problems = check(module, HEAD + source)
    assert len(problems) == 1, problems
    assert problem in problems[0]


@pytest.mark.parametrize('module, source', GOOD)
def test_checker_accepts(module, source):
    assert check(module, HEAD + source) == []


def test_checker_wants_the_future():
    assert check('frame', '"""Text."""\nimport os\n') == [
        'lacks from __future__ import absolute_import, division, unicode_literals']
    assert check('frame', '"""Text."""\nfrom __future__ import division, unicode_literals\n') == [
        'lacks from __future__ import absolute_import']
    assert check('testing.__init__', '"""Nothing but a docstring."""\n') == []
    assert check('_version', '"""Text."""\n__version__ = "1"\n') == []


# --- what `import lomond` really loads ---

LIST_MODULES = """
import sys
before = set(sys.modules)
import lomond
print(' '.join(sorted(set(sys.modules) - before)))
"""


def test_import_loads_nothing_heavy():
    output = subprocess.check_output([sys.executable, '-c', LIST_MODULES]).decode('ascii')
    loaded = output.split()
    assert 'lomond.websocket' in loaded or 'lomond' in loaded
    assert [name for name in loaded if is_within(name, LAZY)] == []


USE_LAZILY = """
import sys, threading
import lomond
assert 'lomond.websocket' not in sys.modules
assert {'websocket', 'errors', 'WebSocket', '__version__', '__path__'} <= set(dir(lomond))
for name in ('websocket', 'events', 'errors', 'session', 'status', 'response', 'constants', 'opcode',
             'persist'):
    module = getattr(lomond, name)
    assert module is sys.modules['lomond.' + name] and vars(lomond)[name] is module
assert lomond.WebSocket is lomond.websocket.WebSocket
from lomond import WebSocket, persist, errors
assert persist is lomond.persist and errors is lomond.errors and WebSocket is lomond.WebSocket
import lomond.utf8
assert lomond.utf8 is sys.modules['lomond.utf8'] and sys.modules['lomond'] is lomond
assert lomond.__doc__ and lomond.__file__ and lomond.__version__
try:
    lomond.nothing
except AttributeError as error:
    assert 'nothing' in str(error)
else:
    raise AssertionError('lomond.nothing is something')
assert not hasattr(lomond, 'nothing')
import gc
gc.collect()
exec('from lomond import *')
assert lomond.WebSocket('ws://example.test/').is_active
"""


def test_modules_are_attributes_from_the_first_use_on():
    """On each Python: `import lomond` costs nothing, and all of it is there."""
    subprocess.check_call([sys.executable, '-W', 'error', '-c', USE_LAZILY])


USE_ELSEWHERE = """
import os
import lomond
os.chdir(os.sep)
from lomond import WebSocket, persist, testing
"""


def test_modules_are_found_after_a_change_of_directory():
    """A daemon goes to / behind its imports; 2.7 leaves a relative sys.path as it is."""
    import lomond
    folder = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
    subprocess.check_call([sys.executable, '-c', USE_ELSEWHERE], cwd=folder)
