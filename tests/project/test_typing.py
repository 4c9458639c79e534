"""Compares the stubs (``*.pyi``) with their modules, by parsing them as Python.

Type checkers run separately: see ``tests/project/typing/`` and ``make types``.
"""

from __future__ import absolute_import, division, unicode_literals

import ast
import importlib
import inspect
import os
import sys

import pytest
from support.paths import read

import lomond
from lomond import WebSocket, errors, events

if sys.version_info < (3, 8):
    pytest.skip('the stubs are read with the ast module of 3.8', allow_module_level=True)

PACKAGE = os.path.dirname(os.path.abspath(lomond.__file__))

PUBLIC = ('lomond', 'lomond.aio', 'lomond.auth', 'lomond.compression', 'lomond.constants', 'lomond.errors',
          'lomond.events', 'lomond.group', 'lomond.opcode', 'lomond.persist', 'lomond.response',
          'lomond.server', 'lomond.session',
          'lomond.status', 'lomond.testing', 'lomond.websocket', 'lomond.wsgi')

#: Names that only checkers need; see tests/project/typing/stubtest-allowlist.txt.
ONLY_IN_STUBS = {('lomond.events', 'AnyEvent')}

#: Names of a module that are not types, or that come from another module.
NOT_DEFINED_HERE = {
    ('lomond.persist', 'transient'),            # of lomond.client.backoff
    ('lomond.persist', 'back_off_delay'),
}


def find_stubs():
    """Return ``{module name: path}`` of all stubs of the package."""
    found = {}
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            if name.endswith('.pyi'):
                path = os.path.join(folder, name)
                parts = os.path.relpath(path, os.path.dirname(PACKAGE))[:-4].split(os.sep)
                found['.'.join(part for part in parts if part != '__init__')] = path
    return found


STUBS = find_stubs()


def read_stub(name):
    return ast.parse(read(STUBS[name]))


def is_public(name):
    return not name.startswith('_')


def read_all(body):
    """Return the names in ``__all__``, which the stub of a package has."""
    return [name for node in body if isinstance(node, ast.Assign) and node.targets[0].id == '__all__'
            for name in ast.literal_eval(node.value)]


def definitions(body):
    """Return ``{name: [nodes]}`` of a body; overloads have several nodes."""
    found = {}
    offered = read_all(body)
    for node in body:
        names = []
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names = [node.name]
        elif isinstance(node, ast.AnnAssign):
            names = [node.target.id]
        elif isinstance(node, ast.ImportFrom):          # "as" exports, too
            names = [one.name for one in node.names if one.asname == one.name or one.name in offered]
        for name in names:
            found.setdefault(name, []).append(node)
    return found


def has_decorator(node, name):
    return any(isinstance(one, ast.Name) and one.id == name for one in node.decorator_list)


def stub_parameters(node):
    """Return ``[(kind, name, default)]``.

    A missing default is None; one that the stub does not show is '...'.
    """
    arguments = node.args
    positional = list(getattr(arguments, 'posonlyargs', ())) + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    found = [('positional', one.arg, default) for one, default in zip(positional, defaults)]
    if arguments.vararg:
        found.append(('*', arguments.vararg.arg, None))
    found.extend(('keyword', one.arg, default)
                 for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults))
    if arguments.kwarg:
        found.append(('**', arguments.kwarg.arg, None))
    return found


KINDS = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**',
         inspect.Parameter.KEYWORD_ONLY: 'keyword'}


def compare_parameters(where, node, function):
    """Return what is wrong with a function of a stub, as a list of sentences."""
    real = list(inspect.signature(function).parameters.values())
    stub = stub_parameters(node)
    names = [(kind, name) for kind, name, _ in stub]
    real_names = [(KINDS.get(one.kind, 'positional'), one.name) for one in real]
    if names != real_names:
        return ['{}: the stub has {}, the module {}'.format(where, names, real_names)]
    wrong = []
    for (_, name, default), one in zip(stub, real):
        has_default = one.default is not inspect.Parameter.empty
        if (default is not None) != has_default:
            wrong.append('{}: only one of stub and module has a default for {}'.format(where, name))
        elif has_default and ast.literal_eval(default) not in (Ellipsis, one.default):
            wrong.append('{}: {} is {!r} in the stub, {!r} in the module'.format(
                where, name, ast.literal_eval(default), one.default))
    return wrong


def compare_function(where, nodes, real):
    if len(nodes) > 1:                  # each overload has the names of the function
        names = list(inspect.signature(real).parameters)
        return ['{}: an overload has other parameters'.format(where) for node in nodes
                if [name for _, name, _ in stub_parameters(node)] != names]
    return compare_parameters(where, nodes[0], real)


def compare_class(where, node, real):
    wrong = []
    members = definitions(node.body)
    slots = set(vars(real).get('__slots__', ()))
    for name, nodes in members.items():
        place = '{}.{}'.format(where, name)
        if isinstance(nodes[0], ast.AnnAssign):
            if '__slots__' in vars(real) and name not in slots and not hasattr(real, name):
                wrong.append('{}: no such slot'.format(place))
            value = nodes[0].value
            if value is not None and ast.literal_eval(value) != getattr(real, name):
                wrong.append('{}: another value'.format(place))
            continue
        if not hasattr(real, name):
            wrong.append('{}: not in the module'.format(place))
            continue
        found = inspect.getattr_static(real, name)
        if has_decorator(nodes[0], 'property') != isinstance(found, property):
            wrong.append('{}: a property in only one of them'.format(place))
        elif has_decorator(nodes[0], 'classmethod') != isinstance(found, classmethod):
            wrong.append('{}: a classmethod in only one of them'.format(place))
        elif not isinstance(found, property):
            wrong.extend(compare_function(place, nodes, getattr(found, '__func__', found)))
    for name, value in vars(real).items():
        if is_public(name) and name not in members:
            if callable(value) or isinstance(value, (property, classmethod, staticmethod)) or name in slots:
                wrong.append('{}.{}: not in the stub'.format(where, name))
    return wrong


def compare_module(name):
    """Return what is wrong with the stub of a module, as a list of sentences."""
    module = importlib.import_module(name)
    wrong = []
    stub = definitions(read_stub(name).body)
    for member, nodes in stub.items():
        where = '{}.{}'.format(name, member)
        if member == '__all__' or not is_public(member) or (name, member) in ONLY_IN_STUBS:
            continue
        if not hasattr(module, member):
            wrong.append('{}: not in the module'.format(where))
            continue
        real = getattr(module, member)
        if isinstance(nodes[0], ast.ClassDef):
            if not inspect.isclass(real):
                wrong.append('{}: no class'.format(where))
            elif not issubclass(real, tuple):           # a namedtuple has no parameters to read
                wrong.extend(compare_class(where, nodes[0], real))
        elif isinstance(nodes[0], ast.FunctionDef):
            wrong.extend(compare_function(where, nodes, real))
        elif isinstance(nodes[0], ast.AnnAssign) and nodes[0].value is not None:
            if ast.literal_eval(nodes[0].value) != real:
                wrong.append('{}: another value'.format(where))
    for member, real in vars(module).items():
        defined_here = getattr(real, '__module__', None) == name or (name, member) in NOT_DEFINED_HERE
        if is_public(member) and defined_here and member not in stub:
            wrong.append('{}.{}: not in the stub'.format(name, member))
    return wrong


# -- the tests

def test_every_public_module_has_a_stub():
    assert set(PUBLIC) <= set(STUBS)
    assert os.path.exists(os.path.join(PACKAGE, 'py.typed'))


def test_a_stub_stands_beside_its_module():
    for path in STUBS.values():
        assert os.path.exists(path[:-1]), path


@pytest.mark.parametrize('name', sorted(STUBS))
def test_stub_has_what_the_module_has(name):
    assert compare_module(name) == []


def test_all_names_of_a_package_are_offered():
    for name in ('lomond', 'lomond.server', 'lomond.testing'):
        stub = read_stub(name)
        assert read_all(stub.body) == importlib.import_module(name).__all__
        assert set(read_all(stub.body)) <= set(definitions(stub.body))


EVENT_CLASSES = [one for one in vars(events).values()
                 if inspect.isclass(one) and issubclass(one, events.Event) and one is not events.Event]


def test_the_name_of_each_event_is_literal():
    """Each has ``name: ClassVar[Literal['text']]``."""
    stub = definitions(read_stub('lomond.events').body)
    for event_class in EVENT_CLASSES:
        [node] = stub[event_class.__name__]
        [name] = definitions(node.body)['name']
        texts = [one.value for one in ast.walk(name.annotation) if isinstance(one, ast.Constant)]
        assert texts == [event_class.name]


def test_the_union_has_all_events():
    [union] = definitions(read_stub('lomond.events').body)['AnyEvent']
    names = [node.id for node in ast.walk(union.value) if isinstance(node, ast.Name)]
    assert sorted(names + ['Accepted']) == sorted(event_class.__name__ for event_class in EVENT_CLASSES)


def test_errors_have_the_same_bases():
    stub = definitions(read_stub('lomond.errors').body)
    for name, [node] in stub.items():
        assert [base.id for base in node.bases] == [base.__name__ for base in getattr(errors, name).__bases__]


def test_attributes_of_a_websocket_are_in_the_stub():
    [node] = definitions(read_stub('lomond.websocket').body)['WebSocket']
    stub = definitions(node.body)
    taken = set(inspect.signature(WebSocket.__init__).parameters) - {'self'}
    assert taken <= set(stub)
    assert all(hasattr(WebSocket('ws://example.org/', proxies={}), name) for name in stub)
    properties = [name for one in WebSocket.__mro__ for name, value in vars(one).items()
                  if isinstance(value, property) and is_public(name)]
    assert set(properties) - set(stub) <= {'tls'}      # for trust and plan
