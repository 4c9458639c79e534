"""Deadlines of whole connections on a made-up clock and wire (behaviour.md, section 6); nobody waits."""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket

import pytest

from lomond import WebSocket, errors
from lomond.opcode import Opcode
from lomond.testing import (
    ACCEPT,
    EOF,
    ScriptedTransport,
    close_frame,
    pong_frame,
    room,
    sends_fail,
    text_frame,
)


def play(wire, handlers=None, **settings):
    """``[(seconds, event)]`` of one connection."""
    websocket = WebSocket('ws://example.org/', proxies={})
    timed = []
    for event in websocket.connect(session_class=wire.session_class, **settings):
        timed.append((wire.clock.elapsed, event))
        handler = (handlers or {}).get(event.name)
        if handler is not None:
            handler(websocket)
    return timed


def times(timed, name):
    return [when for when, event in timed if event.name == name]


def gaps(timed, name):
    found = times(timed, name)
    return [after - before for before, after in zip(found, found[1:])]


def test_poll_between_messages_whose_handler_is_slow():
    """200 messages in one read, 50 ms each: Poll and pings keep to 100 ms and one handler."""
    wire = ScriptedTransport([ACCEPT, b''.join([text_frame('x')] * 200), EOF])
    timed = play(wire, {'text': lambda ws: wire.clock.advance(0.05)}, poll=0.1, ping_rate=0.1)
    assert len(times(timed, 'text')) == 200 and timed[-1][0] > 9.9
    # The first handler is not known to be slow: so many messages later the clock is read again.
    assert max(gaps(timed, 'poll')[2:]) < 0.16
    assert len(times(wire.events, 'ping')) > 60 and max(gaps(wire.events, 'ping')[2:]) < 0.16


def test_poll_under_a_stream_of_messages():
    """One in each read, and always one more: the loop never has nothing to do."""
    class Stream(ScriptedTransport):
        left = None                 # None: the request was not answered yet

        def recv(self, size):
            if not self.left:
                data = super(Stream, self).recv(size)
                self.left = 500 if self.left is None else 0
                return data
            self.left -= 1
            self.clock.advance(0.01)
            return text_frame('x')
    wire = Stream([ACCEPT, EOF])
    timed = play(wire, poll=0.1, ping_rate=0)
    assert len(times(timed, 'text')) == 500
    assert len(times(timed, 'poll')) >= 45 and max(gaps(timed, 'poll')) < 0.125


def test_answered_pings_do_not_time_out():
    """ping_timeout below ping_rate: an hour without a word but pongs."""
    wire = ScriptedTransport([ACCEPT, 3600, text_frame('at last'), EOF], answers=True)
    timed = play(wire, poll=1000, ping_rate=30, ping_timeout=2)
    names = [event.name for _, event in timed]
    assert 'unresponsive' not in names and names[-2:] == ['text', 'disconnected']
    assert len(times(timed, 'pong')) == 120


@pytest.mark.parametrize('at', ['ready', 'text', 'poll'])
def test_slow_handler_is_no_dead_peer(at):
    """What has arrived is read before a missing pong is judged."""
    wire = ScriptedTransport([ACCEPT, text_frame('x'), 20, EOF], answers=True)
    timed = play(wire, {at: lambda ws: wire.clock.advance(3.5)}, poll=2, ping_rate=1, ping_timeout=2)
    assert timed[-1][0] >= 20 and not times(timed, 'unresponsive')
    assert len(times(timed, 'pong')) >= 5
    # the same without pongs
    wire = ScriptedTransport([ACCEPT, text_frame('x'), 20, EOF])
    timed = play(wire, {at: lambda ws: wire.clock.advance(3.5)}, poll=2, ping_rate=1, ping_timeout=2)
    assert timed[-1][0] < 8 and times(timed, 'unresponsive')


def test_no_pings_once_close_was_sent():
    """They could not go out, so no pong would come, and a server that is slow to close would look dead."""
    wire = ScriptedTransport([ACCEPT, pong_frame(b''), 10, close_frame(1000), EOF])
    timed = play(wire, {'ready': lambda ws: ws.close()}, poll=100, ping_rate=1, ping_timeout=2)
    assert [event.name for _, event in timed][-2:] == ['closed', 'disconnected']
    assert timed[-1][0] == 10 and timed[-1][1].graceful
    assert len(times(timed, 'poll')) == 1


def test_what_had_arrived_is_delivered_after_a_failed_send():
    """The server's reason to hang up is behind a message whose handler sends."""
    def send(ws):
        with pytest.raises(errors.TransportFail):
            ws.send_text('into the void')
    wire = ScriptedTransport([ACCEPT, text_frame('one'), sends_fail(socket.error(errno.EPIPE, 'Broken pipe')),
                              text_frame('two'), close_frame(1009, 'too much'), EOF])
    timed = play(wire, {'text': send}, ping_rate=0)
    assert [event.name for _, event in timed if event.name != 'poll'][3:] == [
        'text', 'text', 'closing', 'disconnected']
    last = timed[-1][1]
    assert (last.reason, last.graceful, last.code) == ('closed', True, 1009)


def test_each_deadline_is_its_own():
    """behaviour.md: with poll=30 pings go every second, and limits end in time."""
    wire = ScriptedTransport([ACCEPT, 60.5, EOF])
    timed = play(wire, poll=30, ping_rate=1)
    assert times(timed, 'poll') == [0, 30, 60]
    assert times(wire.events, 'ping') == list(range(61))
    for settings, handlers in ((dict(close_timeout=0.7, ping_rate=0), {'ready': lambda ws: ws.close()}),
                               (dict(ping_timeout=0.7, ping_rate=20), {})):
        timed = play(ScriptedTransport([ACCEPT]), handlers, poll=30, **settings)
        assert timed[-1][1].name == 'disconnected' and abs(timed[-1][0] - 0.7) < 1e-6


TAKES_NOTHING = 'socket fail; the peer took nothing for 4.0s (send_timeout)'


@pytest.mark.parametrize('script, close, settings, expected', [
    # a step of 10 bytes every 3 s is enough; what the peer sends does not count
    ([room(0)], False, {}, (4, TAKES_NOTHING)),
    ([room(0)] + [3, room(10)] * 4, False, {}, (16, TAKES_NOTHING)),
    ([room(0)] + [1, text_frame('x')] * 5, False, {}, (4, TAKES_NOTHING)),
    ([room(0)] + [3, room(10)] * 20 + [close_frame(1000), EOF], False, {}, (60, 'closed')),
    ([room(0), 50, room(None), close_frame(1000), EOF], False, dict(send_timeout=None), (50, 'closed')),
    # after close(), only close_timeout counts
    ([room(0)], True, {}, (30, "disconnected; server didn't respond to close packet within 30.0s")),
    ([room(0), 500, EOF], True, dict(close_timeout=0), (500, 'socket fail; connection lost')),
])
def test_what_the_loop_writes_has_a_deadline(script, close, settings, expected):
    def ready(ws):
        assert ws.session.queue_message(Opcode.BINARY, b'x' * 300) == ws.session.queued == 300
        if close:
            ws.close()
    wire = ScriptedTransport([ACCEPT] + script)
    timed = play(wire, {'ready': ready}, **dict(dict(send_timeout=4.0, poll=1000, ping_rate=0), **settings))
    when, last = timed[-1]
    assert (when, last.reason) == expected
    assert isinstance(last.error, errors.SendTimeout) == (expected[1] == TAKES_NOTHING)
