"""The sending half by itself: a state, a session that takes notes, no WebSocket."""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_payload

from lomond import errors
from lomond.driver import sender
from lomond.driver.sender import Sender
from lomond.protocol import states
from lomond.protocol.connection import CLIENT, SERVER, Connection


class Notes(object):
    """A session and an observer that take notes in the same list, so that the order can be seen."""

    session_time = 2.5

    def __init__(self, calls):
        self._calls = calls

    def send(self, opcode, payload, compress=False):
        self._calls.append(('send', opcode, payload, compress))

    def force_disconnect(self):
        self._calls.append(('force_disconnect',))

    def emit(self, stage, **values):
        self._calls.append((stage, values))

    def on_close(self, code, reason):
        self._calls.append(('on_close', code, reason))


class State(object):
    """What a Sender needs of its ``state``."""

    def __init__(self, core, session=None, observer=None, has_custom_session=False):
        self.core = core
        self.session = session
        self.observer = observer
        self.has_custom_session = has_custom_session


class Socket(Sender):
    """A Sender with a connection that is open from the beginning."""

    dropped = ()

    def __init__(self, role=CLIENT, observed=False, **values):
        self.calls = []
        notes = Notes(self.calls)
        self.state = State(Connection(role), notes, notes if observed else None, **values)

    def _on_dropped(self, state):
        self.dropped += (state,)


@pytest.fixture(params=[CLIENT, SERVER], ids=['client', 'server'])
def role(request):
    return request.param


def test_each_send_is_handed_to_the_session(role):
    socket = Socket(role)
    socket.send_text('\u2603')
    socket.send_binary(bytearray(b'b'), compress=False)
    socket.send_json(a=1)
    socket.send_ping(b'p')
    socket.send_pong(b'q')
    sent = [(opcode, bytes(bytearray(payload)), compress) for _, opcode, payload, compress in socket.calls]
    assert sent == [(TEXT, b'\xe2\x98\x83', True), (BINARY, b'b', False), (TEXT, b'{"a": 1}', True),
                    (PING, b'p', False), (PONG, b'q', False)]


def test_observer_hears_of_what_was_sent():
    socket = Socket(observed=True)
    socket.send_text('abc')
    socket.send_pong(b'q')
    socket.close(1001, 'bye')
    assert [call for call in socket.calls if call[0] != 'send'] == [
        ('send_text', {'length': 3, 'compressed': False}), ('send_pong', {'length': 1}),
        ('on_close', 1001, 'bye')]
    # A send is reported afterwards, a close frame beforehand.
    assert [call[0] for call in socket.calls] == [
        'send', 'send_text', 'send', 'send_pong', 'on_close', 'send']


@pytest.mark.parametrize('is_custom', [False, True])
def test_pings_of_a_custom_session_are_noted(monkeypatch, is_custom):
    socket = Socket(has_custom_session=is_custom)
    monkeypatch.setattr(sender, 'monotonic', lambda: 10.0)
    socket.send_ping(b'p')
    assert socket.state.core.pings.oldest == (10.0 if is_custom else None)


def test_before_the_first_connection():
    socket = Socket()
    socket.state.session = None
    assert socket.session is None
    for send in (lambda: socket.send_text('x'), lambda: socket.send_ping(b'x')):
        with pytest.raises(errors.WebSocketUnavailable) as caught:
            send()
        assert type(caught.value) is errors.WebSocketUnavailable
    socket.close()
    socket.force_disconnect()
    with pytest.raises(ValueError):
        socket.close(1005)
    assert socket.calls == [] and socket.is_active and not socket.dropped


def test_sending_is_allowed_while_closing_is_handled(role):
    """REMOTE_CLOSING is not the state that the fast path asks for, but it may send."""
    socket = Socket(role)
    socket.state.core.move(states.CLOSE_RECEIVED)
    socket.send_text('x')
    assert [call[0] for call in socket.calls] == ['send'] and socket.is_active


def test_close(role):
    socket = Socket(role)
    assert (socket.is_active, socket.is_closing, socket.is_closed) == (True, False, False)
    assert socket.sent_close_time is None
    socket.close(1001, 'bye')
    socket.close(1000)
    assert socket.calls == [('send', CLOSE, close_payload(1001, b'bye'), False)]
    assert (socket.is_active, socket.is_closing, socket.is_closed) == (False, True, False)
    assert socket.sent_close_time == 2.5
    with pytest.raises(errors.WebSocketClosing):
        socket.send_text('x')


@pytest.mark.parametrize('is_custom', [False, True])
@pytest.mark.parametrize('amid', ['on_close', 'send'])
def test_interrupt_amid_close(amid, is_custom):
    """The rest is done first; a session of another kind, which may not tell, gets no second frame."""
    socket, left = Socket(observed=True, has_custom_session=is_custom), [1]
    notes = socket.state.session
    real = getattr(notes, amid)

    def interrupted(*args):
        real(*args)
        if left:
            raise KeyboardInterrupt(left.pop())
    setattr(notes, amid, interrupted)
    with pytest.raises(KeyboardInterrupt):
        socket.close(1001, 'bye')
    assert [call[0] for call in socket.calls].count('send') == (2 if amid == 'send' and not is_custom else 1)
    assert socket.is_closing and socket.sent_close_time == 2.5


def test_force_disconnect(role):
    socket = Socket(role)
    socket.force_disconnect()
    socket.force_disconnect()
    assert socket.calls == [('force_disconnect',)] * 2
    assert socket.dropped == (socket.state,) * 2
    assert (socket.is_active, socket.is_closing, socket.is_closed) == (False, False, True)
    with pytest.raises(errors.WebSocketClosed):
        socket.send_text('x')


def test_what_is_read_from_the_core(role):
    socket = Socket(role)
    assert socket.latency is None and not socket.supports_compression
    pings = socket.state.core.pings
    pings.sent(b'p', 1.0)
    pings.answered(b'p', 1.5)
    assert socket.latency == 0.5
    assert socket.session is socket.state.session


def test_message_in_parts_of_a_custom_session():
    socket = Socket(observed=True)
    with pytest.raises(errors.WebSocketError, match='Notes has no send_stream'):
        socket.send_stream([b'x'])
    socket.state.session.send_stream = lambda stream: noted.append(stream)
    noted = []
    socket.send_stream([b'x'])
    socket.state.observer = None        # the trace was turned off meanwhile
    noted[0].on_end(noted[0])
    assert [call[0] for call in socket.calls if call[0].startswith('send_')] == []
