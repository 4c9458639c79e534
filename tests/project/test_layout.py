"""The six rules of the package's layout (docs/design.rst), read from its imports.

The checker is a function over source text; it imports nothing of lomond.
"""

from __future__ import absolute_import, division, unicode_literals

import ast
import os
import subprocess
import sys

import pytest
from support.paths import CHECKOUT, read

pytestmark = pytest.mark.ends

PACKAGE = os.path.join(CHECKOUT, 'lomond')

# The vocabulary on top, which everybody may use; what is in it uses nothing else.
VOCABULARY = ('events', 'errors', 'opcode', 'status', 'constants', 'response', 'auth', 'compression',
              '_compat', '_http11', '_version')

# What each folder stands on, besides itself and the vocabulary.
FOLDERS = {
    'protocol': (),                             # rule 1: protocol and network do not know each other
    'network': (),
    'driver': ('protocol', 'network'),          # rule 2: driver and client do not know each other
    'client': ('protocol', 'network'),          # rule 3: both stand on protocol and network
}

# Rule 4: faces stand on all of them; nothing below imports a face.
FACES = ('websocket', 'session', 'persist', 'group', 'aio', 'server', 'wsgi', 'ws4py', 'testing', 'cli')

# Faces import each other in one direction only.
FACE_EDGES = {
    'websocket': ('session',),
    'persist': ('websocket',),
    'group': ('session', 'websocket', 'server'),
    'aio': ('websocket', 'session'),
    'wsgi': ('server',),
    'ws4py': ('session', 'websocket', 'group', 'server', 'wsgi'),
    'testing': ('session', 'websocket', 'server'),
    'cli': ('websocket', 'session', 'persist', 'testing', 'server'),
}

# What a face leaves to another one: lomond.server drives accepted sockets, lomond.testing does not.
KEPT_FROM = {'testing': ('driver', 'protocol.connection')}

# Faces that are folders.
PACKAGES = ('aio', 'server', 'ws4py', 'testing', 'cli')

# Everything that has a place; above all of it are the front doors.
KNOWN = VOCABULARY + tuple(FOLDERS) + FACES
FRONT_DOORS = ('__init__', '__main__')

# Imported when first needed, inside of functions: `import lomond` is to stay cheap.
LAZY = ('ssl', 'urllib.request', 'json', 'email', 'logging', 'hashlib', 'http.client',
        # the same under the names of 2.7
        'urllib2', 'httplib')

# A freezer does not see what is imported by a string.
FORBIDDEN_MODULES = ('pickle', 'cPickle', 'marshal', 'subprocess', 'ctypes', 'importlib', 'imp', 'pkgutil',
                     'six.moves')
FORBIDDEN_NAMES = ('eval', 'exec', '__import__')

# Python's versions are told apart in _compat alone.
VERSION_NAMES = ('PY2', 'PY3')
VERSION_ATTRIBUTES = (('sys', 'version_info'), ('sys', 'hexversion'), ('platform', 'python_version'),
                      ('platform', 'python_version_tuple'))

FUTURES = frozenset(('absolute_import', 'division', 'unicode_literals'))


def is_within(name, packages):
    """True when the dotted name is one of the packages, or in one of them."""
    return any(name == package or name.startswith(package + '.') for package in packages)


def top(module):
    """Name in the tables of a module: `testing` for `testing.server`."""
    return module.split('.')[0]


def is_allowed(importer, imported):
    """Whether one part of lomond may import another (names as in the tables)."""
    if importer in VOCABULARY:
        return imported in VOCABULARY and importer != imported
    if imported in VOCABULARY:
        return True
    if importer in FOLDERS:
        return imported == importer or imported in FOLDERS[importer]
    return (imported in FOLDERS or imported in FACE_EDGES.get(importer, ()) or
            imported == importer and importer in PACKAGES)


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


def names_imported_at_import(tree, module):
    """What importing the module imports: all but what the bodies of functions do."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in imported_names(node, module):
                yield name
        waiting.extend(child for child in ast.iter_child_nodes(node)
                       if not isinstance(child, (ast.FunctionDef, ast.Lambda)))


def import_problems(node, module):
    """What is wrong with one import statement, wherever it stands."""
    importer = top(module)
    for name in imported_names(node, module):
        if is_within(name, ['lomond']) and not getattr(node, 'level', 0):
            yield 'imports %s by its full name, which a vendored copy does not have' % name
            continue
        if is_within(name, ['lomond']) and importer not in FRONT_DOORS:
            target = (name.split('.') + [''])[1]
            if target not in KNOWN:
                # `from . import WebSocket`: the front door
                yield 'imports %s, which has no place in the layout' % name
            elif not is_allowed(importer, target):
                yield '%s imports %s' % (importer, target)
        for kept in KEPT_FROM.get(importer, ()):
            if is_within(name, ['lomond.' + kept]):
                yield '%s imports %s, which it leaves to another face' % (importer, kept)
        if is_within(name, FORBIDDEN_MODULES):
            yield 'imports %s, which is forbidden' % name
        if module == '_compat':
            continue
        if is_within(name, ['six']):
            yield 'imports %s; only _compat knows six' % name
        if name.split('.')[-1] in VERSION_NAMES or tuple(name.split('.')) in VERSION_ATTRIBUTES:
            yield 'imports %s; only _compat knows versions' % name


def use_problems(node, module):
    """What is wrong with one node that is no import."""
    if isinstance(node, ast.Name):
        if node.id in FORBIDDEN_NAMES:
            yield 'uses %s, which is forbidden' % node.id
        if node.id in VERSION_NAMES and module != '_compat':
            yield 'uses %s; only _compat knows versions' % node.id
    elif isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else None
        if owner in ('builtins', '__builtin__', '__builtins__') and node.attr in FORBIDDEN_NAMES:
            yield 'uses %s.%s, which is forbidden' % (owner, node.attr)
        if owner == 'six' and node.attr in ('exec_', 'PY2', 'PY3') and module != '_compat':
            yield 'uses six.%s; only _compat knows six' % node.attr
        if module == '_compat':
            return
        if (owner, node.attr) in VERSION_ATTRIBUTES or node.attr in VERSION_NAMES and owner != 'six':
            yield 'uses %s.%s; only _compat knows versions' % (owner, node.attr)
    elif type(node).__name__ == 'Exec':         # a statement on 2.7
        yield 'uses exec, which is forbidden'


def check(module, source):
    """The sentences about what is wrong with a module; none when all is well.

    `module` is the name within lomond (`frame`, `testing.server`, `testing.__init__`), `source` its text.
    """
    if top(module) not in KNOWN + FRONT_DOORS:
        return ['%s has no place in the layout: see the tables of tests/project/test_layout.py' % top(module)]
    problems = []
    tree = ast.parse(source.encode('utf-8'))
    futures = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == '__future__':
            futures.update(alias.name for alias in node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            problems.extend(import_problems(node, module))
        else:
            problems.extend(use_problems(node, module))
    problems.extend('imports %s when it is imported; do so where it is needed' % name
                    for name in names_imported_at_import(tree, module) if is_within(name, LAZY))
    # _version imports nothing, __main__ and an empty __init__ may have nothing to say either.
    if len(tree.body) > 1 and module != '_version' and not FUTURES <= futures:
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
def test_module_keeps_to_the_rules(module, path):
    assert check(module, read(path)) == []


def test_tables_name_what_there_is():
    there = set(top(module) for module, _ in sources())
    assert there == set(KNOWN + FRONT_DOORS)


def edges_at_import():
    """{module: modules} of what is imported when a module is; within one folder, too."""
    names = dict(sources())
    edges = {}
    for module, path in names.items():
        edges[module] = set()
        for name in names_imported_at_import(ast.parse(read(path).encode('utf-8')), module):
            name = name[len('lomond.'):] if is_within(name, ['lomond']) else ''
            for candidate in (name, name.rpartition('.')[0]):
                if candidate in names and candidate != module:
                    edges[module].add(candidate)
                    break
    return edges


def assert_no_circle(edges, starts):
    done = set()

    def walk(name, path):
        assert name not in path, path[path.index(name):] + [name]
        if name not in done:
            for following in sorted(edges.get(name, ())):
                walk(following, path + [name])
            done.add(name)
    for name in sorted(starts):
        walk(name, [])


def test_faces_make_no_circle():
    assert_no_circle(FACE_EDGES, FACE_EDGES)


def test_modules_import_each_other_in_no_circle():
    edges = edges_at_import()
    assert_no_circle(edges, (module for module in edges if not module.endswith('__init__')))


def test_drawing_has_every_module():
    """`docs/architecture.txt` is the one drawing of the package."""
    words = set(read('docs', 'architecture.txt').replace('/', ' ').split())
    expected = set()
    for module, _ in sources():
        folder, _, name = module.rpartition('.')
        if name == '__init__':
            expected.add(folder or 'lomond')
        elif folder in FOLDERS or not folder and name not in FRONT_DOORS + ('_version',):
            expected.add(name)
    assert sorted(expected - words) == []


# --- the checker itself: each rule seen red, and its neighbour green ---

HEAD = 'from __future__ import absolute_import, division, unicode_literals\n'

#: What is wrong, where, and the statements that are.
_BAD = [
    # rule 1: protocol and network do not know each other; every spelling
    ('protocol imports network', 'protocol.frames', [
        'from ..network import url', 'from ..network.url import parse_url', 'from .. import network',
        'def f():\n    from ..network import url', 'if 1:\n    from ..network import url']),
    ('network imports protocol', 'network.stream', ['from ..protocol.frames import encode_frame']),
    ('network imports driver', 'network.stream', ['from ..driver import writer']),
    ('protocol imports client', 'protocol.connection', ['from ..client import options']),
    # rule 2: driver and client do not know each other
    ('driver imports client', 'driver.writer', ['from ..client.attempt import Attempt']),
    ('client imports driver', 'client.attempt', ['from ..driver import driver']),
    # rule 4: nothing below imports a face
    ('driver imports session', 'driver.driver', ['from ..session import WebsocketSession']),
    ('client imports websocket', 'client.attempt', ['from ..websocket import WebSocket']),
    ('network imports testing', 'network.dialer', ['from ..testing import FakeClock']),
    ('session imports websocket', 'session', ['from .websocket import WebSocket']),
    ('websocket imports persist', 'websocket', ['from . import persist']),
    ('websocket imports testing', 'websocket', ['from .testing.server import Server']),
    ('testing imports cli', 'testing.server', ['from ..cli import main']),
    ('testing imports cli', 'testing.__init__', ['from .. import cli']),
    # one driver for the server role
    ('testing imports driver, which it leaves', 'testing.server', ['from ..driver.driver import Driver']),
    ('testing imports protocol.connection', 'testing.clock', ['from ..protocol.connection import SERVER']),
    # rule 5: the vocabulary stands by itself
    ('auth imports protocol', 'auth', ['from .protocol import handshake']),
    ('compression imports protocol', 'compression', ['from .protocol.permessage_deflate import x']),
    ('events imports session', 'events', ['from .session import WebsocketSession']),
    # the package's front door
    ('imports lomond.WebSocket, which has no place', 'cli', ['from . import WebSocket']),
    ('imports lomond.__version__, which has no place', 'cli', ['from . import __version__']),
    # a copy of the package may have any name
    ('by its full name', 'session', [
        'import lomond', 'import lomond.network.url', 'from lomond import errors',
        'def f():\n    from lomond.network.url import parse_url']),
    ('by its full name', '__init__', ['from lomond.websocket import WebSocket']),
    # tables
    ('newcomer has no place', 'newcomer', ['x = 1']),
    ('newcomers has no place', 'newcomers.one', ['x = 1']),
    # six and versions
    ('only _compat knows six', 'protocol.frames', [
        'import six', 'from six import reraise', 'def f():\n    import six']),
    ('uses sys.version_info', 'protocol.frames', ['import sys\nif sys.version_info > (3,):\n    pass']),
    ('uses sys.hexversion', 'protocol.frames', ['import sys\nx = sys.hexversion']),
    ('only _compat knows versions', 'protocol.frames', [
        'from sys import version_info', 'from .._compat import PY2']),
    ('uses _compat.PY2', 'protocol.frames', ['from .. import _compat\nx = _compat.PY2']),
    ('uses platform.python_version', 'protocol.frames', ['import platform\nx = platform.python_version()']),
    # what import lomond must not load
    ('imports ssl when it is imported', 'network.tls_context', [
        'import ssl', 'try:\n    import ssl\nexcept ImportError:\n    pass',
        'class A(object):\n    import ssl']),
    ('imports ssl.SSLContext when it is imported', 'network.tls_context', ['from ssl import SSLContext']),
    ('imports urllib.request when it is imported', 'network.url', [
        'import urllib.request', 'from urllib import request']),
    ('imports urllib2 when it is imported', 'network.url', ['import urllib2']),
    ('imports json when it is imported', 'events', ['import json']),
    ('imports hashlib when it is imported', 'auth', ['import hashlib']),
    ('imports email.utils.parsedate when it is imported', 'auth', ['from email.utils import parsedate']),
    ('imports http.client.responses when', 'response', ['from http.client import responses']),
    ('imports logging.handlers when it is imported', 'session', ['import logging.handlers']),
    # forbidden
    ('uses eval, which is forbidden', 'events', ['def f(x):\n    return eval(x)']),
    ('uses exec, which is forbidden', 'events', ['def f(x):\n    exec(x)']),
    ('uses __import__, which is forbidden', 'events', ['def f(x):\n    return __import__(x)']),
    ('uses builtins.eval, which is forbidden', 'events', ['import builtins\nx = builtins.eval']),
    ('imports pickle, which is forbidden', 'events', ['def f():\n    import pickle']),
    ('imports marshal.loads, which is forbidden', 'events', ['from marshal import loads']),
    ('imports subprocess, which is forbidden', 'cli', ['import subprocess']),
    ('imports importlib, which is forbidden', 'events', ['import importlib']),
    ('imports six.moves.urllib, which', '_compat', ['def f():\n    from six.moves import urllib']),
    ('imports ctypes.util, which is forbidden', '_compat', ['import ctypes.util']),
]
BAD = [(module, source + '\n', problem) for problem, module, statements in _BAD for source in statements]

GOOD = [
    ('protocol.frames',
     'from .. import errors\nfrom .masking import mask\nfrom .._compat import to_bytes\n'),
    ('protocol.handshake', 'from ..compression import Deflate\nfrom .. import auth\n'),
    ('constants', 'from ._version import __version__\nfrom ._compat import text_type\n'),
    ('driver.driver',
     'from ..protocol import states\nfrom ..network.poller import READ\nfrom .writer import Writer\n'),
    ('client.attempt', 'from ..protocol.connection import Connection\nfrom ..network import url\n'),
    ('session',
     'from .driver.driver import Driver\nfrom .client import attempt\nfrom .network import dialer\n'),
    ('cli', 'from .websocket import WebSocket\nfrom .testing.server import Server\n'),
    ('testing.__init__', 'from .server import Server\nfrom ..websocket import WebSocket\n'),
    ('testing.server', 'from . import handlers\nfrom ..server import accepted\n'),
    ('testing.handlers', 'from ..protocol.frames import encode_frame\n'),
    ('server.accepted', 'from ..driver import driver\nfrom ..protocol.connection import SERVER\n'),
    ('__init__', 'from .websocket import WebSocket\nfrom . import errors\n'),
    ('__main__', 'from .cli import main\n'),
    ('_compat', 'import sys\nimport six\nPY2 = six.PY2\nx = sys.version_info\n'),
    ('network.tls_context', 'def context():\n    import ssl\n    return ssl\n'),
    ('network.tls_context', 'class A(object):\n    def f(self):\n        import ssl\n'),
    ('network.url', 'from urllib.parse import urlsplit\n'),
    ('events', 'import jsonish\nimport pickles\nx = re.compile\n'),
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
    assert check('protocol.frames', '"""Text."""\nimport os\n') == [
        'lacks from __future__ import absolute_import, division, unicode_literals']
    assert check('protocol.frames', '"""Text."""\nfrom __future__ import division, unicode_literals\n') == [
        'lacks from __future__ import absolute_import']
    assert check('testing.__init__', '"""Nothing but a docstring."""\n') == []
    assert check('_version', '"""Text."""\n__version__ = "1"\n') == []


# --- what `import lomond` really loads ---

# Of ours: for the first WebSocket, its connection, compression.
LAZY_OWN = ('dialer', 'happy_eyeballs', 'proxy_handshake', 'proxy_settings', 'resolver', 'tls_context',
            'tls_errors', 'tls_stream', 'idna', 'permessage_deflate')

LIST_MODULES = """
import sys
before = set(sys.modules)
from lomond import WebSocket
print(' '.join(sorted(set(sys.modules) - before)))
"""


def test_import_loads_nothing_heavy():
    output = subprocess.check_output([sys.executable, '-c', LIST_MODULES]).decode('ascii')
    loaded = output.split()
    assert 'lomond.websocket' in loaded
    assert [name for name in loaded if is_within(name, LAZY)] == []
    assert [name for name in loaded if is_within(name, ['lomond']) and name.split('.')[-1] in LAZY_OWN] == []


USE_LAZILY = """
import sys, threading
import lomond
assert 'lomond.websocket' not in sys.modules
assert {'websocket', 'errors', 'WebSocket', '__version__', '__path__'} <= set(dir(lomond))
assert lomond.auth.DigestAuth and 'lomond.websocket' not in sys.modules
for name in ('websocket', 'events', 'errors', 'session', 'status', 'response', 'constants', 'opcode',
             'persist', 'auth', 'compression', 'testing', 'group', 'server', 'wsgi', 'ws4py', 'aio'):
    if name == 'aio' and sys.version_info[0] == 2:
        assert not hasattr(lomond, name) and name not in dir(lomond)
        continue
    module = getattr(lomond, name)
    assert module is sys.modules['lomond.' + name] and vars(lomond)[name] is module
assert lomond.WebSocket is lomond.websocket.WebSocket
from lomond import WebSocket, persist, errors
assert persist is lomond.persist and errors is lomond.errors and WebSocket is lomond.WebSocket
import lomond.protocol.utf8
assert lomond.protocol.utf8 is sys.modules['lomond.protocol.utf8'] and sys.modules['lomond'] is lomond
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
