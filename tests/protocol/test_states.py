"""The table of states: what the requirements say of each one, and a walk through every pair."""

from __future__ import absolute_import, division, unicode_literals

import sys
import threading

import pytest
from support.cores import open_client
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, close_payload, frame
from support.opening import HANDSHAKE_KEY, answer

from lomond import errors
from lomond.protocol import states
from lomond.protocol.connection import CLIENT, Connection
from lomond.protocol.handshake import ClientHandshake

ANSWER = answer()
REFUSAL = b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'

UNAVAILABLE, CLOSING, CLOSED = errors.WebSocketUnavailable, errors.WebSocketClosing, errors.WebSocketClosed
NAMES = 'CONNECTING OPEN REMOTE_CLOSING LOCAL_CLOSING ECHOED CLOSED FAILED REJECTED DISCONNECTED'.split()
in_each_state = pytest.mark.parametrize('name', NAMES)

# name: flag, may send, auto pong, a send raises, ends graceful
FLAGS = {
    'CONNECTING': ('active', False, False, UNAVAILABLE, False),
    'OPEN': ('active', True, True, None, False),
    'REMOTE_CLOSING': ('active', True, False, None, True),
    'LOCAL_CLOSING': ('closing', False, True, CLOSING, False),
    'ECHOED': ('closing', False, False, CLOSING, True),
    'CLOSED': ('closed', False, False, CLOSED, True),
    'FAILED': ('closing', False, False, CLOSING, False),
    'REJECTED': ('closed', False, False, CLOSED, True),
    'DISCONNECTED': ('closed', False, False, CLOSED, False),
}


def named(name):
    state, = [state for state in states.STATES if state.name == name]
    return state


# --- the table itself ---

def test_all_states_are_there():
    assert [state.name for state in states.STATES] == NAMES
    assert sorted(FLAGS) == sorted(NAMES)


@in_each_state
def test_flags(name):
    state = named(name)
    flag, may_send, may_pong, refusal, ends_graceful = FLAGS[name]
    assert [state.is_active, state.is_closing, state.is_closed] == [
        flag == 'active', flag == 'closing', flag == 'closed']
    assert (state.may_send, state.may_pong, state.ends_graceful) == (may_send, may_pong, ends_graceful)
    if refusal is not None:
        error = state.refuse()
        assert type(error) is refusal
        assert str(error).startswith('nothing can be sent')
        assert state.refuse() is not error
    assert repr(state) == '<State %s>' % name and isinstance(repr(state), str)


# The moves, as the requirements have them; then those that races and late time-outs may try.
MOVES = {
    'CONNECTING': {'READY': 'OPEN', 'REJECT': 'REJECTED', 'FAIL': 'FAILED', 'CLOSE_SENT': 'DISCONNECTED'},
    'OPEN': {'CLOSE_SENT': 'LOCAL_CLOSING', 'CLOSE_RECEIVED': 'REMOTE_CLOSING', 'FAIL': 'FAILED'},
    'LOCAL_CLOSING': {'CLOSE_RECEIVED': 'CLOSED', 'FAIL': 'FAILED', 'CLOSE_SENT': 'LOCAL_CLOSING'},
    'REMOTE_CLOSING': {'CLOSE_SENT': 'ECHOED', 'FAIL': 'FAILED'},
    'ECHOED': {'FAIL': 'ECHOED', 'CLOSE_SENT': 'ECHOED'},
    'CLOSED': {'FAIL': 'CLOSED', 'CLOSE_SENT': 'CLOSED'},
    'FAILED': {'CLOSE_SENT': 'FAILED', 'FAIL': 'FAILED'},
    'REJECTED': {'CLOSE_SENT': 'REJECTED', 'FAIL': 'REJECTED'},
    'DISCONNECTED': {'READY': 'DISCONNECTED', 'REJECT': 'DISCONNECTED', 'FAIL': 'DISCONNECTED',
                     'CLOSE_SENT': 'DISCONNECTED', 'CLOSE_RECEIVED': 'DISCONNECTED'},
}
INPUTS = 'READY REJECT FAIL CLOSE_SENT CLOSE_RECEIVED DISCONNECT'.split()


def test_all_inputs_are_there():
    assert [getattr(states, name) for name in INPUTS] == list(states.INPUTS)
    assert len(set(states.INPUTS)) == len(INPUTS)


@in_each_state
@pytest.mark.parametrize('what', INPUTS)
def test_moves(name, what):
    expected = 'DISCONNECTED' if what == 'DISCONNECT' else MOVES[name].get(what)
    found = states.MOVES.get((named(name), getattr(states, what)))
    assert (found and found.name) == expected


def test_ends_are_reached_once():
    """Nothing leads out of DISCONNECTED, and nothing back to CONNECTING."""
    for (state, _), following in states.MOVES.items():
        assert following is not states.CONNECTING
        if state is states.DISCONNECTED:
            assert following is states.DISCONNECTED


# --- a real connection in every state, and all that can happen to it there ---

def connecting():
    return Connection(CLIENT, ClientHandshake(HANDSHAKE_KEY))


def drain(core):
    """What wants to be written, without the bytes of the payloads."""
    return [opcode for opcode, _ in core.take_outgoing()]


def in_state(name, data=b''):
    """(core, events that are not exhausted or None); ``data`` follows what led there, in one read."""
    core = connecting() if name == 'CONNECTING' else open_client()
    events = None
    if name == 'REMOTE_CLOSING':
        events = core.receive(close_frame(1001) + data)
        assert next(events).name == 'closing'
    elif name == 'LOCAL_CLOSING':
        core.close()
    elif name == 'ECHOED':
        list(core.receive(close_frame(1001)))
    elif name == 'CLOSED':
        core.close()
        list(core.receive(close_frame(1000)))
    elif name == 'FAILED':
        list(core.receive(b'\xff\xff'))
    elif name == 'REJECTED':
        core = connecting()
        list(core.receive(REFUSAL))
    elif name == 'DISCONNECTED':
        core.disconnect()
    assert core.state.name == name
    drain(core)
    return core, events


# (state, what happens): state afterwards, names of the events, opcodes that want to be written
WALK = {
    'CONNECTING': {
        'answer': ('OPEN', ['ready'], []), 'refusal': ('REJECTED', ['rejected'], []),
        'text': ('FAILED', ['protocol_error'], []), 'ping': ('FAILED', ['protocol_error'], []),
        'close frame': ('FAILED', ['protocol_error'], []), 'violation': ('FAILED', ['protocol_error'], []),
        'close()': ('DISCONNECTED', [], []), 'fail()': ('FAILED', [], [])},
    'OPEN': {
        'answer': ('FAILED', ['protocol_error'], [CLOSE]), 'refusal': ('FAILED', ['protocol_error'], [CLOSE]),
        'text': ('OPEN', ['text'], []), 'ping': ('OPEN', ['ping'], [PONG]),
        'close frame': ('ECHOED', ['closing'], [CLOSE]), 'violation': ('FAILED', ['protocol_error'], [CLOSE]),
        'close()': ('LOCAL_CLOSING', [], []), 'fail()': ('FAILED', [], [CLOSE])},
    'REMOTE_CLOSING': {
        'answer': ('ECHOED', [], [CLOSE]), 'refusal': ('ECHOED', [], [CLOSE]),
        'text': ('ECHOED', [], [CLOSE]), 'ping': ('ECHOED', [], [CLOSE]),
        'close frame': ('ECHOED', [], [CLOSE]), 'violation': ('ECHOED', [], [CLOSE]),
        'close()': ('ECHOED', [], []), 'fail()': ('FAILED', [], [CLOSE])},
    'LOCAL_CLOSING': {
        'answer': ('FAILED', ['protocol_error'], []), 'refusal': ('FAILED', ['protocol_error'], []),
        'text': ('LOCAL_CLOSING', ['text'], []), 'ping': ('LOCAL_CLOSING', ['ping'], [PONG]),
        'close frame': ('CLOSED', ['closed'], []), 'violation': ('FAILED', ['protocol_error'], []),
        'close()': ('LOCAL_CLOSING', [], []), 'fail()': ('FAILED', [], [])},
}
BYTES = {'answer': ANSWER, 'refusal': REFUSAL, 'text': frame(TEXT, b'x'), 'ping': frame(PING, b'x'),
         'close frame': close_frame(1000), 'violation': frame(BINARY, b'', rsv=2)}
HAPPENINGS = sorted(BYTES) + ['close()', 'fail()', 'disconnect()', 'end of stream']


@in_each_state
@pytest.mark.parametrize('what', HAPPENINGS)
def test_walk(name, what):
    if what in ('disconnect()', 'end of stream'):
        echoes = (name, what) == ('REMOTE_CLOSING', 'end of stream')
        expected = ('DISCONNECTED', [], [CLOSE] if echoes else [])
    else:
        # From these on nothing happens any more.
        expected = WALK.get(name, {}).get(what, (name, [], []))
    core, events = in_state(name, BYTES.get(what, b''))
    names, payload = [], None
    if what == 'close()':
        payload = core.close(1000, 'bye')
    elif what == 'fail()':
        core.fail(1011, 'broken')
    elif what == 'disconnect()':
        assert core.disconnect() is states.DISCONNECTED
    if events is not None:
        names += [event.name for event in events]
    elif what in BYTES:
        names += [event.name for event in core.receive(BYTES[what])]
    if what == 'end of stream':
        names += [event.name for event in core.receive(b'')]
    assert (core.state.name, names, drain(core)) == expected
    # The one close frame that close() gives, and not the core.
    assert payload == {'OPEN': close_payload(1000, b'bye'), 'REMOTE_CLOSING': close_payload(1001)}.get(
        name if what == 'close()' else None)


@in_each_state
def test_second_close_frame_is_never_made(name):
    core, events = in_state(name)
    payloads = [core.close(), core.close(1001)]
    core.fail(1011, 'x')
    list(events or ())
    list(core.receive(b'\xff\xff'))
    closes = drain(core).count(CLOSE) + sum(payload is not None for payload in payloads)
    # Of those that had sent none.
    assert closes == (1 if name in ('OPEN', 'REMOTE_CLOSING') else 0)


@in_each_state
@pytest.mark.parametrize('send', ['message', 'ping', 'pong'])
def test_sends(name, send):
    """api.md, section 5."""
    core, _ = in_state(name)
    refusal = FLAGS[name][3]
    def do():
        if send == 'message':
            return list(core.send_message(TEXT, b'x'))
        return getattr(core, 'send_' + send)(b'x')
    if refusal is None:
        assert do()
        core.check_send()
    else:
        for call in (do, core.check_send):
            with pytest.raises(errors.WebSocketUnavailable) as caught:
                call()
            assert type(caught.value) is refusal


@in_each_state
def test_bad_arguments_come_before_the_state(name):
    core, _ = in_state(name)
    close_sent = core.close_sent
    for send in (core.send_ping, core.send_pong):
        with pytest.raises(ValueError) as caught:
            send(b'x' * 126)
        assert 'is 126 bytes; at most 125 are allowed' in str(caught.value)
    for code, error in ((999, ValueError), (1005, ValueError), ('1000', TypeError)):
        with pytest.raises(error):
            core.close(code)
    with pytest.raises(ValueError):
        core.close(1000, b'\xff')
    assert core.state.name == name and core.close_sent == close_sent


# --- the state is the order of the inputs, whoever asks ---

def test_progress_is_folded_when_asked():
    progress = states.Progress()
    assert progress.state is states.CONNECTING and not progress.was_open
    assert progress.move(states.READY) is states.OPEN
    assert not progress.close_sent and progress.was_open
    first, second = states.CloseRequest(b'1'), states.CloseRequest(b'2')
    assert progress.request_close(first) is True and progress.close_sent
    assert progress.request_close(second) is False and progress.request_close(first) is True
    assert progress.close_request is first and len(progress.inputs) == 3
    assert progress.state is progress.state_of_close() is states.LOCAL_CLOSING
    assert progress.disconnect() is progress.disconnect() is progress.state is states.DISCONNECTED


def test_illegal_move_shows():
    with pytest.raises(KeyError):
        states.Progress().move(states.CLOSE_RECEIVED)


@pytest.fixture
def busy_switching():
    """Threads take turns as often as they can."""
    if hasattr(sys, 'setswitchinterval'):
        get, put, value = sys.getswitchinterval, sys.setswitchinterval, 1e-6
    else:
        get, put, value = sys.getcheckinterval, sys.setcheckinterval, 1
    before = get()
    put(value)
    yield
    put(before)


def race(*calls):
    """Call them all at once, each in its thread; what they returned."""
    results = [None] * len(calls)
    barrier = [len(calls)]
    def run(number, call):
        barrier.pop() if not number else None
        while barrier:
            pass
        results[number] = call()
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.ends
def test_races_for_the_close_frame(busy_switching):
    """close() in threads, against the loop that reads a close frame and a handler that fails."""
    for number in range(200):
        race_for_the_close_frame(number % 2)


def race_for_the_close_frame(peer_closes):
    core = open_client()
    sent = []
    def loop():
        data = close_frame(4000) if peer_closes else frame(TEXT, b'x') + b'\xff\xff'
        for _ in core.receive(frame(TEXT, b'a') * 3 + data):
            sent.extend(core.take_outgoing())
        sent.extend(core.take_outgoing())
    results = race(loop, lambda: core.close(1000, 'one'), lambda: core.close(1001, 'two'))
    closes = [payload for payload in results[1:] if payload is not None]
    closes += [payload for opcode, payload in sent if opcode == CLOSE]
    assert len(closes) == 1
    if core.state is states.ECHOED:
        assert closes == [close_payload(4000)]
    else:
        assert core.state is (states.CLOSED if peer_closes else states.FAILED)
    assert core.close() is None and core.take_outgoing() == [] and core.close_sent


def test_races_before_ready(busy_switching):
    for number in range(100):
        race_before_ready([ANSWER, REFUSAL, b'nonsense'][number % 3])


def race_before_ready(data):
    core = connecting()
    names = []
    payload = race(lambda: names.extend(event.name for event in core.receive(data)), core.close)[1]
    state = core.state.name
    if payload is not None:
        assert names == ['ready'] and state == 'LOCAL_CLOSING'
    else:
        assert (names, state) in [
            ([], 'DISCONNECTED'), (['rejected'], 'REJECTED'), (['protocol_error'], 'FAILED')]
