"""ScriptedTransport and FakeClock: hours of a connection in no time, and what they refuse."""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket
import time

import pytest

from lomond import WebSocket, errors
from lomond.compression import Deflate
from lomond.opcode import Opcode
from lomond.persist import persist
from lomond.testing import (
    ACCEPT,
    EOF,
    FakeClock,
    ScriptedTransport,
    ScriptError,
    binary_frame,
    close_frame,
    continuation_frame,
    ping_frame,
    pong_frame,
    room,
    sends_fail,
    session_class,
    text_frame,
    until,
)

LOST = 'socket fail; connection lost'


class Played(object):
    """The events of one connection, each with the time of the clock."""

    def __init__(self, wire, handlers=None, websocket=None, **settings):
        self.websocket = websocket = websocket or WebSocket('ws://example.org/chat', proxies={})
        self.timed = []
        begun = time.time()
        for event in websocket.connect(session_class=wire.session_class, **settings):
            self.timed.append((wire.clock.elapsed, event))
            handler = (handlers or {}).get(event.name)
            if handler is not None:
                handler(websocket, event)
        assert time.time() - begun < 5, 'somebody has really waited'
        self.names = ' '.join(event.name for _, event in self.timed if event.name != 'poll')
        self.last = self.timed[-1][1]

    def times(self, name):
        return [when for when, event in self.timed if event.name == name]


def close(websocket, event):
    websocket.close()


# -- what arrives

def test_frames_and_the_end():
    wire = ScriptedTransport([
        ACCEPT, text_frame('text'), binary_frame(b'data'), text_frame('one ', fin=False), ping_frame(b'?'),
        continuation_frame(b'two'), pong_frame(b'!'), close_frame(1001, 'away'),
        until('closing'), EOF])
    played = Played(wire, ping_rate=0)
    assert played.names == ('connecting connected ready text binary ping text pong closing disconnected')
    assert played.last.graceful
    assert wire.is_closed
    assert wire.request.target == '/chat'
    assert [(when, event.name) for when, event in wire.events] == [(0, 'pong'), (0, 'closing')]
    assert wire.sent[0][1].startswith(b'GET /chat HTTP/1.1\r\n')


def test_without_an_answer():
    played = Played(ScriptedTransport(), connect_timeout=7)
    assert played.names == 'connecting connected disconnected'
    assert played.timed[-1][0] == 7
    assert 'upgrade timed out after 7s' in played.last.reason


def test_answers_of_ones_own():
    wire = ScriptedTransport([
        lambda transport: b'HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nno',
        lambda transport: None, 0.5, b' ', 0, b'it'])
    played = Played(wire)
    assert played.names == 'connecting connected rejected disconnected'
    assert played.timed[-2][1].response.body == b'no it'
    assert played.times('rejected') == [0.5]


@pytest.mark.parametrize('step, reason', [
    (EOF, LOST),
    (socket.error(errno.ECONNRESET, 'Connection reset by peer'), 'socket fail; Connection reset by peer'),
])
def test_ends(step, reason):
    played = Played(ScriptedTransport([ACCEPT, 12.5, text_frame('last'), step]))
    assert played.names.replace('pong ', '') == 'connecting connected ready text disconnected'
    assert (played.last.reason, played.last.graceful) == (reason, False)
    assert played.timed[-1][0] == 12.5


def test_connect_error():
    wire = ScriptedTransport(connect_error=socket.error(errno.ECONNREFUSED, 'connection refused'))
    played = Played(wire)
    assert played.names == 'connecting connect_fail'
    assert 'connection refused' in played.last.reason


def test_cut_into_single_bytes():
    data = text_frame('snow \u2603')
    wire = ScriptedTransport([ACCEPT] + [data[at:at + 1] for at in range(len(data))] + [EOF])
    assert Played(wire, ping_rate=0).names == 'connecting connected ready text disconnected'


def test_script_is_a_generator():
    def script():
        yield ACCEPT
        for number in range(3):
            yield 10
            yield text_frame('{}'.format(number))
        yield EOF

    assert Played(ScriptedTransport(script()), ping_rate=0).times('text') == [10, 20, 30]


def test_compression_and_subprotocol():
    wire = ScriptedTransport([
        ACCEPT, lambda transport: transport.encode_message(Opcode.TEXT, b'again ' * 100),
        until(lambda transport: transport.events)], protocols=['b'], deflate=Deflate(level=9), answers=True)

    def text(websocket, event):
        websocket.send_text(event.text)
        websocket.close()

    websocket = WebSocket('wss://example.org/', proxies={}, compress=True, protocols=['a', 'b'])
    played = Played(wire, {'text': text}, websocket)
    ready = [event for _, event in played.timed if event.name == 'ready'][0]
    assert (ready.protocol, ready.extensions) == ('b', {'permessage-deflate'})
    assert wire.events[-2][1].text == 'again ' * 100
    assert sum(len(data) for _, data in wire.sent[1:]) < 100
    assert ScriptedTransport(deflate=True) is not None


# -- time

def test_poll_and_pings_keep_their_time():
    wire = ScriptedTransport([ACCEPT, 100, EOF], answers=True)
    played = Played(wire, poll=15, ping_rate=30)
    assert played.times('poll') == [0, 15, 30, 45, 60, 75, 90]
    assert played.times('pong') == [0, 30, 60, 90]
    assert [when for when, event in wire.events] == [0, 30, 60, 90]


def test_ping_timeout():
    wire = ScriptedTransport([ACCEPT, 40, text_frame('alive')])
    played = Played(wire, ping_rate=30, ping_timeout=50)
    assert played.times('unresponsive') == [90]
    assert played.last.reason == 'disconnected; exceeded 50s ping timeout'


def test_close_timeout():
    wire = ScriptedTransport([ACCEPT, 10, text_frame('now')])
    played = Played(wire, {'text': close}, close_timeout=20, ping_rate=0)
    assert played.timed[-1][0] == 30
    assert "didn't respond to close packet within 20s" in played.last.reason


def test_close_is_answered():
    wire = ScriptedTransport([ACCEPT], answers=True)
    played = Played(wire, {'ready': close}, ping_rate=0)
    assert played.names == 'connecting connected ready closed disconnected'
    assert played.timed[-1][0] == 0


def test_slow_handler():
    """Time that a handler takes is the clock's."""
    wire = ScriptedTransport([ACCEPT, text_frame('one'), 1, text_frame('two'), 1, EOF])
    played = Played(wire, {'text': lambda websocket, event: wire.clock.advance(7)}, poll=5, ping_rate=0)
    assert played.times('text') == [0, 7]
    assert played.timed[-1][0] == 14
    assert played.times('poll') == [0, 7, 14]


def test_received_time_is_the_clocks():
    wire = ScriptedTransport([ACCEPT, 3, text_frame('x'), EOF], clock=FakeClock(epoch=5000.0))
    played = Played(wire)
    assert [event.received_time for _, event in played.timed if event.name == 'text'] == [5003.0]


# -- what can be sent

def test_send_timeout():
    caught = []

    def ready(websocket, event):
        with pytest.raises(errors.SendTimeout):
            websocket.send_binary(b'x' * 5000)
        caught.append(wire.clock.elapsed)

    wire = ScriptedTransport([ACCEPT, room(1000)])
    played = Played(wire, {'ready': ready}, send_timeout=25, ping_rate=0)
    assert caught == [25]
    assert len(wire.sent[1][1]) == 1000
    assert 'send_timeout' in played.last.reason


def test_room_comes_back():
    def ready(websocket, event):
        websocket.send_binary(b'x' * 5000)
        assert wire.clock.elapsed == 18
        websocket.close()

    wire = ScriptedTransport([ACCEPT, room(10), 9, room(100), 9, room(None)], answers=True)
    played = Played(wire, {'ready': ready}, send_timeout=10, ping_rate=0)
    assert played.last.graceful
    assert [(when, len(data)) for when, data in wire.sent[1:4]] == [(0, 10), (9, 100), (18, 5008 - 110)]
    assert wire.events[0][1].data == b'x' * 5000


def test_sends_fail():
    caught = []

    def text(websocket, event):
        with pytest.raises(errors.TransportFail) as info:
            websocket.send_text('x')
        caught.append(str(info.value))

    wire = ScriptedTransport([ACCEPT, text_frame('x'), sends_fail(socket.error(errno.EPIPE, 'Broken pipe'))])
    played = Played(wire, {'text': text}, ping_rate=0)
    assert caught == ['socket fail; Broken pipe']
    assert not played.last.graceful


def test_close_frame_arrives_while_a_send_waits():
    def ready(websocket, event):
        with pytest.raises(errors.SendTimeout):
            websocket.send_binary(b'x' * 100)

    wire = ScriptedTransport([ACCEPT, room(0), 1, close_frame(1009, 'too much')])
    played = Played(wire, {'ready': ready}, send_timeout=5, ping_rate=0)
    assert [event.code for _, event in played.timed if event.name == 'closing'] == [1009]


# -- several connections

def test_persist_with_a_clock():
    first = ScriptedTransport([ACCEPT, 30, EOF])
    wires = [first, ScriptedTransport(connect_error=socket.error('refused')),
             ScriptedTransport([ACCEPT, 60, EOF])]
    exit_event = first.clock.event()
    settings = dict(session_class=session_class(*wires), exit_event=exit_event, min_wait=100, max_wait=100)
    begun = time.time()
    ready = []
    for event in persist(WebSocket('ws://example.org/', proxies={}), **settings):
        if event.name == 'ready':
            ready.append(first.clock.elapsed)
        if event.name == 'back_off' and len(ready) == 2:
            exit_event.set()
    assert time.time() - begun < 5
    assert ready == [0, 230]
    assert wires[2].clock is first.clock
    assert exit_event.waited[:2] == [100, 100]
    assert exit_event.is_set()


def test_redirect_takes_the_next_wire():
    first = ScriptedTransport([lambda transport: b'HTTP/1.1 302 Found\r\nLocation: /there\r\n'
                                                 b'Content-Length: 0\r\n\r\n'])
    second = ScriptedTransport([ACCEPT, EOF])
    websocket = WebSocket('ws://example.org/', proxies={}, max_redirects=1)
    names = [event.name for event in websocket.connect(session_class=session_class(first, second))]
    assert names == ['connecting', 'connected', 'redirected', 'connected', 'ready', 'poll', 'disconnected']
    assert second.request.target == '/there'


def test_no_script_is_left():
    wire = ScriptedTransport([ACCEPT, EOF])
    plug = wire.session_class
    websocket = WebSocket('ws://example.org/', proxies={})
    assert list(websocket.connect(session_class=plug))[-1].name == 'disconnected'
    assert 'all 1 scripts were played already' in list(websocket.connect(session_class=plug))[-1].reason
    assert 'was played already' in list(websocket.connect(session_class=wire.session_class))[-1].reason
    with pytest.raises(ValueError):
        session_class()


# -- what cannot be

def test_never_ending_session_is_stopped():
    """A test whose loop would go on for ever ends with a sentence."""
    with pytest.raises(ScriptError, match='over for 600'):
        Played(ScriptedTransport([ACCEPT], patience=600), poll=60)


def test_session_without_a_deadline():
    with pytest.raises(ScriptError, match='forever'):
        Played(ScriptedTransport([until(lambda transport: False)]), connect_timeout=None)


def test_no_step():
    for script in (['text'], [ACCEPT, 5, object()]):
        with pytest.raises(ScriptError, match='is not a step of a script'):
            Played(ScriptedTransport(script))


def test_step_that_raises():
    """It ends the test, and is not taken for a connection that failed."""
    with pytest.raises(ZeroDivisionError):
        Played(ScriptedTransport([lambda transport: 1 // 0]))
    with pytest.raises(ZeroDivisionError):
        Played(ScriptedTransport([ACCEPT, until(lambda transport: transport.events and 1 // 0)]))


def test_until_counts_from_its_turn():
    wire = ScriptedTransport([ACCEPT, 1, until('ping'), until('text'), text_frame('x'), EOF], answers=True)
    played = Played(wire,
                    {'pong': lambda websocket, event: wire.clock.elapsed and websocket.send_text('now')})
    assert played.times('text') == [30]


def test_clock():
    clock = FakeClock()
    before = clock.time()
    clock.advance(2.5)
    clock.advance_to(0)
    assert (clock.elapsed, clock.time() - before, clock.monotonic()) == (2.5, 2.5, FakeClock.START + 2.5)
    with pytest.raises(ValueError):
        clock.advance(-1)
    event = clock.event()
    with pytest.raises(ScriptError):
        event.wait()
    assert event.wait(5) is False
    event.set()
    assert event.wait(5) is True
    assert (clock.elapsed, event.waited) == (7.5, [5])


def test_closed_socket():
    wire = ScriptedTransport()
    wire.close()
    for call in (lambda: wire.recv(1), lambda: wire.send(b'x')):
        with pytest.raises(socket.error):
            call()


def test_repr_of_steps():
    assert (repr(ACCEPT), repr(EOF)) == ('ACCEPT', 'EOF')
