# -*- coding: utf-8 -*-
"""Event objects: names, attributes, reprs, json, received_time."""

from __future__ import absolute_import, division, unicode_literals

import copy
import inspect
import json
import pickle
import time

import pytest

from lomond import events
from lomond._compat import PY2

U = 'u' if PY2 else ''
B = '' if PY2 else 'b'

# class, name, arguments, the attributes they make, the repr
EVENTS = [
    ('Connecting', 'connecting', ('ws://h/',), {'url': 'ws://h/'}, "Connecting(url={u}'ws://h/')"),
    ('ConnectFail', 'connect_fail', ('why',),
     {'reason': 'why', 'error': None, 'stage': None, 'response': None}, "ConnectFail(reason={u}'why')"),
    ('ConnectFail', 'connect_fail', ('why', 7, 'tls', 8),
     {'reason': 'why', 'error': 7, 'stage': 'tls', 'response': 8}, "ConnectFail(reason={u}'why')"),
    ('Connected', 'connected', ('ws://h/',), {'url': 'ws://h/', 'proxy': None},
     "Connected(url={u}'ws://h/')"),
    ('Connected', 'connected', ('ws://h/', 'http://p'), {'url': 'ws://h/', 'proxy': 'http://p'},
     "Connected(url={u}'ws://h/', proxy={u}'http://p')"),
    ('Redirected', 'redirected', ('ws://h/', 'ws://i/', 7),
     {'url': 'ws://h/', 'location': 'ws://i/', 'response': 7},
     "Redirected(url={u}'ws://h/', location={u}'ws://i/', response=7)"),
    ('Ready', 'ready', (7, None, []), {'response': 7, 'protocol': None, 'extensions': []},
     'Ready(response=7, protocol=None, extensions=[])'),
    ('Rejected', 'rejected', (7, 'no'), {'response': 7, 'reason': 'no'},
     "Rejected(response=7, reason={u}'no')"),
    ('Text', 'text', ('short',), {'text': 'short'}, "Text(text={u}'short')"),
    ('Binary', 'binary', (b'\x01',), {'data': b'\x01'}, "Binary(data={b}'\\x01')"),
    ('TextPart', 'text_part', ('x', True, False), {'text': 'x', 'is_first': True, 'is_last': False},
     "TextPart(text={u}'x', is_last=False)"),
    ('BinaryPart', 'binary_part', (b'x', False, True), {'data': b'x', 'is_first': False, 'is_last': True},
     "BinaryPart(data={b}'x', is_last=True)"),
    ('Ping', 'ping', (b'x',), {'data': b'x'}, "Ping(data={b}'x')"),
    ('Pong', 'pong', (b'x',), {'data': b'x', 'latency': None}, "Pong(data={b}'x')"),
    ('Pong', 'pong', (b'x', 0.5), {'data': b'x', 'latency': 0.5}, "Pong(data={b}'x')"),
    ('Poll', 'poll', (), {}, 'Poll()'),
    ('Drained', 'drained', (), {}, 'Drained()'),
    ('Closing', 'closing', (1000, 'bye'), {'code': 1000, 'reason': 'bye'},
     "Closing(code=1000, reason={u}'bye')"),
    ('Closed', 'closed', (None, ''), {'code': None, 'reason': ''}, "Closed(code=None, reason={u}'')"),
    ('Unresponsive', 'unresponsive', (), {'reason': ''}, 'Unresponsive()'),
    ('Unresponsive', 'unresponsive', ('why',), {'reason': 'why'}, 'Unresponsive()'),
    ('ProtocolError', 'protocol_error', ('bad', True), {'error': 'bad', 'critical': True},
     "ProtocolError(error={u}'bad', critical=True)"),
    ('Disconnected', 'disconnected', (),
     {'reason': 'closed', 'graceful': False, 'error': None, 'code': None},
     "Disconnected(reason='closed', graceful=False)"),     # a native str, as in 0.3.4
    ('Disconnected', 'disconnected', ('x', True, 7, 1001),
     {'reason': 'x', 'graceful': True, 'error': 7, 'code': 1001},
     "Disconnected(reason={u}'x', graceful=True)"),
    ('UnknownMessage', 'unknown', (3,), {'message': 3}, 'UnknownMessage()'),
    ('BackOff', 'back_off', (1.25,), {'delay': 1.25, 'attempt': None, 'cause': None},
     'BackOff(delay=1.2)'),
    ('BackOff', 'back_off', (0.123, 4, 7), {'delay': 0.123, 'attempt': 4, 'cause': 7},
     'BackOff(delay=0.1)'),
    ('BackOff', 'back_off', (3,), {'delay': 3}, 'BackOff(delay=3.0)'),
    ('BackOff', 'back_off', (None,), {'delay': None}, 'BackOff(delay=None)'),
    ('GaveUp', 'gave_up', (7, 3), {'cause': 7, 'attempts': 3}, 'GaveUp(cause=7, attempts=3)'),
    ('Accepted', 'accepted', (7, None, []), {'request': 7, 'protocol': None, 'extensions': []},
     'Accepted(request=7, protocol=None, extensions=[])')]

CLASSES = sorted(set(row[0] for row in EVENTS))


@pytest.mark.parametrize('cls, name, args, attributes, shown', EVENTS)
def test_event(cls, name, args, attributes, shown):
    before = time.time()
    event = getattr(events, cls)(*args)
    assert isinstance(event, events.Event)
    assert getattr(events, cls).name == event.name == name
    assert isinstance(event.received_time, float)
    assert before - 0.01 <= event.received_time <= time.time() + 0.01
    assert dict((key, getattr(event, key)) for key in attributes) == attributes
    assert repr(event) == str(event) == shown.format(u=U, b=B)
    assert isinstance(repr(event), str)
    assert not hasattr(event, '__dict__')
    with pytest.raises(AttributeError):
        event.no_such_attribute = 1
    by_keyword = getattr(events, cls)(**dict((str(key), value) for key, value in attributes.items()))
    assert dict((key, getattr(by_keyword, key)) for key in attributes) == attributes


def test_table_is_complete():
    classes = [value for value in vars(events).values()
               if isinstance(value, type) and issubclass(value, events.Event)]
    assert sorted(cls.__name__ for cls in classes) == sorted(CLASSES + ['Event'])
    assert len(set(cls.name for cls in classes)) == len(classes)
    assert repr(events.Event()) == 'Event()'
    assert isinstance(events.Event().received_time, float)


@pytest.mark.parametrize('cls', CLASSES)
def test_init_is_flat(cls):
    code = getattr(events, cls).__init__.__code__
    assert set(code.co_names) - set(code.co_varnames) >= {'time', 'received_time'}
    assert 'super' not in inspect.getsource(getattr(events, cls))


def test_time_is_looked_up_when_called(monkeypatch):
    monkeypatch.setattr(time, 'time', lambda: 42.5)
    assert events.Poll().received_time == 42.5
    assert events.Text('x').received_time == 42.5


@pytest.mark.parametrize('cls, name, args, attributes, shown', EVENTS)
def test_copies(cls, name, args, attributes, shown):
    event = getattr(events, cls)(*args)
    for twin in [copy.copy(event), copy.deepcopy(event)] + [
            pickle.loads(pickle.dumps(event, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]:
        assert type(twin) is type(event)
        assert twin.received_time == event.received_time
        assert dict((key, getattr(twin, key)) for key in attributes) == attributes
        assert twin != event        # equal is only what is the same


@pytest.mark.parametrize('event, shown', [
    (events.Text('A' * 24), "Text(text={u}'" + 'A' * 24 + "')"),
    (events.Text('A' * 25), "Text(text={u}'" + 'A' * 24 + "' + 1 chars)"),
    (events.Binary(b'A' * 24), "Binary(data={b}'" + 'A' * 24 + "')"),
    (events.Binary(b'A' * 30), "Binary(data={b}'" + 'A' * 24 + "' + 6 bytes)"),
    (events.Ping(b'A' * 125), "Ping(data={b}'" + 'A' * 24 + "' + 101 bytes)"),
    (events.Pong(b'A' * 125), "Pong(data={b}'" + 'A' * 24 + "' + 101 bytes)"),
    (events.Binary(bytearray(b'A' * 30)),
     'Binary(data=' + repr(bytearray(b'A' * 24)) + ' + 6 bytes)'),
    (events.Disconnected('r' * 256), "Disconnected(reason={u}'" + 'r' * 256 + "', graceful=False)"),
    (events.Disconnected('r' * 1000),
     "Disconnected(reason={u}'" + 'r' * 256 + "' + 744 chars, graceful=False)"),
    (events.Connecting('ws://' + 'h' * 1000), "Connecting(url={u}'ws://" + 'h' * 251 + "' + 749 chars)")])
def test_repr_is_cut(event, shown):
    assert repr(event) == shown.format(u=U, b=B)


@pytest.mark.parametrize('event, shown', [
    (events.Connecting('wss://me:secret@h/a@b'), "Connecting(url={u}'wss://***@h/a@b')"),
    (events.Connecting('wss://h/?a=b@c'), "Connecting(url={u}'wss://h/?a=b@c')"),
    (events.Connecting('ws:///me:se@c/ret@h/x'), "Connecting(url={u}'ws://***@h/x')"),
    (events.Connected('ws://h/', 'http://me:secret@p:1'),
     "Connected(url={u}'ws://h/', proxy={u}'http://***@p:1')"),
    (events.Redirected('ws://me:se@cret@h/', 'ws://token@i/', None),
     "Redirected(url={u}'ws://***@h/', location={u}'ws://***@i/', response=None)"),
    (events.Redirected('ws://h/?a=b', 'ws://i/?code=4711', None),
     "Redirected(url={u}'ws://h/?a=b', location={u}'ws://i/?...', response=None)"),
    (events.Connecting(None), 'Connecting(url=None)')])
def test_repr_hides_credentials(event, shown):
    assert repr(event) == shown.format(u=U)


class Odd(object):
    """A repr as wild as its Python allows."""

    def __init__(self, shown):
        self.shown = shown

    def __repr__(self):
        return self.shown.upper()


@pytest.mark.parametrize('event', [
    events.Text('\u2603\U0001f600'), events.Text('\ud800'), events.Closed(1000, '\u2603'),
    events.Binary(bytes(bytearray(range(256)))),
    events.Disconnected('caf\xe9'), events.Disconnected('caf\xe9'.encode('latin-1')),
    events.ConnectFail('caf\xe9'), events.ProtocolError('caf\xe9', False),
    events.Connecting('ws://caf\xe9/'), events.Connecting('ws://caf\xe9/'.encode('utf-8')),
    events.Rejected(Odd('caf\xe9'), 'x'), events.Ready(Odd(str('x')), 'caf\xe9', {'\xe9'}),
    events.Rejected(Odd('caf\xe9'.encode('latin-1') if PY2 else 'x'), 'x'), events.Rejected(Odd(None), 'x'),
    events.GaveUp(events.Disconnected('caf\xe9'), 1), events.BackOff('caf\xe9'), events.Text(None)])
def test_repr_never_fails(event):
    assert isinstance(repr(event), str)
    assert isinstance(str(event), str)
    if PY2:
        repr(event).decode('ascii')


@pytest.mark.parametrize('text, value', [
    ('{"a": [1, 2.5, null, "\\u2603"]}', {'a': [1, 2.5, None, '\u2603']}), ('{"a": 1}', {'a': 1}),
    ('[]', []), ('3', 3), ('null', None), ('"x"', 'x')])
def test_json(text, value, monkeypatch):
    event = events.Text(text)
    assert event.json == value
    monkeypatch.setattr(json, 'loads', None)        # from now on it is kept, None too
    assert event.json == value and event.json is event.json


@pytest.mark.parametrize('text', ['', '{oops', 'nope'])
def test_json_invalid(text):
    with pytest.raises(ValueError) as expected:
        json.loads(text)
    event = events.Text(text)
    for _ in range(2):
        with pytest.raises(type(expected.value)) as caught:
            _ = event.json
        assert str(caught.value) == str(expected.value)


def test_made_without_init():
    """The parser makes messages by __new__ and two stores."""
    event = object.__new__(events.Text)
    event.text = '[1]'
    event.received_time = 1.5
    assert event.json == [1]
    assert event.json is event.json
    assert repr(event) == "Text(text=%s'[1]')" % U
    event = object.__new__(events.Binary)
    event.data = b'x'
    event.received_time = 1.5
    assert repr(event) == "Binary(data=%s'x')" % B
