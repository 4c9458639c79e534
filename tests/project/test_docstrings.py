# -*- coding: utf-8 -*-
"""Docstrings of the public modules are complete, and their examples run.

The stubs (``.pyi``) say what is public, which parameters exist, and what returns a
value; so a name that is added there needs a docstring.

Knows nothing of: what the docstrings say.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import re
import sys

import pytest
from support.paths import read

import lomond
from lomond._compat import PY2

pytestmark = pytest.mark.ends

FOLDER = os.path.dirname(os.path.abspath(lomond.__file__))

#: The modules of ``docs/reference``; below ``server`` and ``testing``, ``__all__`` is public.
PUBLIC = ('websocket', 'events', 'errors', 'persist', 'group', 'aio', 'session', 'response', 'status',
          'opcode', 'constants', 'compression', 'auth', 'server', 'wsgi', 'testing')

#: Names in the stubs that are not public: other modules of the library use them.
INTERNAL = frozenset((
    'server.ServerWebSocket.next',                      # of 2.7
    'testing.Server.record', 'testing.Server.record_request', 'testing.Server.answer_request',
    'testing.Server.fail',
    'testing.ServerConnection.run', 'testing.ServerConnection.stop_waiting',
    'testing.ServerConnection.prepare', 'testing.ServerConnection.discard',
    'testing.ServerConnection.abort',
    # For the session, which uses it as a socket; tests do not call these.
    'testing.ScriptedTransport.begin', 'testing.ScriptedTransport.next_times',
    'testing.ScriptedTransport.find_ready', 'testing.ScriptedTransport.fileno',
    'testing.ScriptedTransport.recv', 'testing.ScriptedTransport.send',
    'testing.ScriptedTransport.shutdown', 'testing.ScriptedTransport.close',
    'persist.AnyEvent', 'response.is_token', 'response.escape', 'response.split_list',
    'auth.basic', 'auth.parse_challenges'))


class Documented(object):
    """A public class, function, method or property, with what its stub says."""

    def __init__(self, where, doc, function, returns, is_property):
        self.where, self.doc = where, doc
        self.parameters = parameters_of(function)
        self.variable = variable_of(function)       # *args and **kwargs may be documented
        self.returns, self.is_property = returns, is_property


def stubs_of(name):
    """Yield ``(module, tree)``: once, or for each module of ``server`` or ``testing``."""
    modules = [name]
    if name in ('server', 'testing'):
        modules = [name + '.' + part for _, part, _ in pkgutil.iter_modules([os.path.join(FOLDER, name)])]
    for module in modules:
        path = os.path.join(FOLDER, *module.split('.'))
        path = os.path.join(path, '__init__.pyi') if os.path.isdir(path) else path + '.pyi'
        if len(modules) == 1 or os.path.exists(path):
            yield 'lomond.' + module, ast.parse(read(path))


def variable_of(function):
    """Return the names after one star or two."""
    found = [] if function is None else [function.args.vararg, function.args.kwarg]
    return [argument.arg for argument in found if argument is not None]


def parameters_of(function):
    """Return the names, without self, cls and private ones."""
    if function is None:
        return []
    arguments = function.args
    names = [argument.arg for argument in arguments.args + arguments.kwonlyargs]
    return [name for name in names if name not in ('self', 'cls') and not name.startswith('_')]


def returns_something(function):
    returns = function.returns
    return not (returns is None or getattr(returns, 'value', 0) is None or
                isinstance(returns, ast.Name) and returns.id == 'None')


def is_public(where, name):
    return not (name.startswith('_') or where + '.' + name in INTERNAL)


def find_public():
    """Yield every public class and callable of the stubs."""
    found = []
    for name in PUBLIC:
        allowed = importlib.import_module('lomond.' + name).__all__ if name in ('server', 'testing') else None
        for module_name, tree in stubs_of(name):
            module = importlib.import_module(module_name)
            for node in tree.body:
                if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                    continue
                if not is_public(name, node.name) or (allowed is not None and node.name not in allowed):
                    continue
                if not hasattr(module, node.name):
                    continue            # a Protocol or an alias, only for type checkers
                where = name + '.' + node.name
                thing = getattr(module, node.name)
                if isinstance(node, ast.FunctionDef):
                    found.append(Documented(where, inspect.getdoc(thing), node, returns_something(node),
                                           False))
                    continue
                found.extend(find_members(where, thing, node, tree))
    return found


def find_constructor(node, tree):
    """Return ``__init__`` of a class, or of a base class in the same module."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == '__init__':
            return part
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    for base in tree.body:
        if isinstance(base, ast.ClassDef) and base.name in names:
            return find_constructor(base, tree)
    return None


def find_members(where, thing, node, tree):
    # Parameters of a constructor are documented with the class; those of errors, with
    # the base.
    is_error = where.startswith('errors.') and where != 'errors.WebSocketError'
    constructor = None if is_error else find_constructor(node, tree)
    # An inherited docstring describes another class.
    yield Documented(where, inspect.cleandoc(vars(thing).get('__doc__') or ''),
                     constructor, False, False)
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and is_public(where, part.name):
            is_property = any(getattr(mark, 'id', '') == 'property' for mark in part.decorator_list)
            member = inspect.getattr_static(thing, part.name)
            yield Documented(where + '.' + part.name, inspect.getdoc(getattr(member, '__func__', member)),
                            part, returns_something(part), is_property)


ON_3 = sys.version_info >= (3, 6)
CALLABLES = find_public() if ON_3 else []
needs_stubs = pytest.mark.skipif(not ON_3, reason='ast of 2.7 cannot read stubs')


@needs_stubs
def test_the_stubs_were_read():
    names = set(one.where for one in CALLABLES)
    assert len(names) > 120
    assert {'websocket.WebSocket.send_text', 'persist.persist', 'persist.transient', 'events.BackOff',
            'errors.SendTimeout', 'testing.Server', 'testing.drop_after', 'auth.DigestAuth',
            'session.WebsocketSession.queue_message', 'response.Response'} <= names


@needs_stubs
def test_internal_names_are_there():
    """A name that was removed would hide a new one of the same name."""
    for where in INTERNAL:
        name, _, rest = where.partition('.')
        thing = importlib.import_module('lomond.' + name)
        if where == 'persist.AnyEvent':
            continue
        for part in rest.split('.'):
            thing = getattr(thing, part)


@pytest.mark.parametrize('one', CALLABLES, ids=[one.where for one in CALLABLES])
def test_docstring_is_complete(one):
    doc = one.doc
    assert doc and doc.strip(), 'no docstring'
    first = doc.split('\n\n')[0]
    assert first.rstrip().endswith(('.', ':', '::')), 'the first sentence has no end: ' + first
    fields = set(re.findall(r'^:param (?:\w+ )?(\w+):', doc, re.MULTILINE))
    if 'parameters as in :meth:' not in doc:
        assert set(one.parameters) <= fields, 'not documented: {}'.format(
            [name for name in one.parameters if name not in fields])
    assert fields <= set(one.parameters) | set(one.variable), 'no such parameters: {}'.format(
        fields - set(one.parameters))
    if one.returns and not one.is_property:
        # "Return the bytes ...", "Seconds until ...": the sentence says what it
        # returns.
        says = re.match('(Return|Yield|What|When|Seconds|The|A|An|True) ', doc)
        assert says or ':returns:' in doc, 'what does it return?'


@needs_stubs
@pytest.mark.parametrize('where', [
    'websocket.WebSocket', 'session.WebsocketSession', 'persist.persist', 'aio.AsyncWebSocket',
    'aio.AsyncEvents', 'response.Response', 'response.Request', 'events.Event', 'compression.Deflate',
    'auth.DigestAuth', 'testing.Server',
    'testing.ServerConnection', 'testing.ScriptedTransport', 'testing.FakeClock'])
def test_thread_rule(where):
    """The class says which threads may use it."""
    doc = [one.doc for one in CALLABLES if one.where == where][0]
    assert re.search('thread', doc, re.IGNORECASE)


# -- examples

def find_modules():
    # Modules that are named after a framework import it.
    left_out = ('lomond.__main__', 'lomond.aio' if PY2 else None,
                'lomond.ws4py.client.geventclient', 'lomond.ws4py.client.tornadoclient',
                'lomond.ws4py.server.cherrypyserver', 'lomond.ws4py.server.geventserver')
    return sorted([name for _, name, _ in pkgutil.walk_packages([FOLDER], str('lomond.'))
                   if name not in left_out] + ['lomond'])


@pytest.mark.parametrize('name', find_modules())
def test_examples(name):
    """Every ``>>>`` of a docstring is run as written, and none is skipped."""
    module = importlib.import_module(name)
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(
        verbose=False, optionflags=doctest.ELLIPSIS)
    output = []
    for test in finder.find(module, name):
        for example in test.examples:
            assert doctest.SKIP not in example.options, 'left out: ' + example.source
        runner.run(test, out=output.append)
    assert not runner.summarize(verbose=False).failed, ''.join(output)


@pytest.mark.parametrize('name', find_modules())
def test_code_of_docstrings_is_an_example(name):
    """Code without ``>>>`` would not be run. Figures are allowed."""
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=False).find(module, name):
        paragraphs = (test.docstring or '').split('\n\n')
        for before, after in zip(paragraphs, paragraphs[1:]):
            if before.rstrip().endswith('::') or 'code-block:: python' in before:
                assert not re.search(r'^\s*(import|from|for|def|class|with) ', after, re.MULTILINE), after
