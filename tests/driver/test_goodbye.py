"""The loop of an open connection is left: one close frame, if it can go at once and whole."""

from __future__ import absolute_import, division, unicode_literals

import gc
import socket
import ssl
import threading
import weakref

import pytest
from support.certificates import server_context
from support.frames import BINARY, CLOSE, PING, close_payload, frame
from support.peer import PATIENCE, Server
from support.proxy import Proxy

from lomond import WebSocket
from lomond._compat import get_ident, monotonic
from lomond.driver.driver import DROP_BYTES
from lomond.opcode import Opcode
from lomond.protocol.handshake import encode_request
from lomond.server.accepted import Acceptance, AcceptedSession
from lomond.testing import ACCEPT, ScriptedTransport, close_frame, ping_frame, room, text_frame

AWAY = [(1001, '')]


def leave(wire, at, before=None, settings=None, **options):
    """Leave the loop of a connection over a scripted transport; return its WebSocket."""
    ws = WebSocket('ws://example.org/', proxies={}, **options)
    for event in ws.connect(session_class=wire.session_class, **(settings or {'ping_rate': 0})):
        if event.name == at:
            if before is not None:
                before(ws)
            break
    else:
        raise AssertionError('there was no ' + at)
    del event
    assert wire.is_closed and ws.is_closed and not ws.is_active and not ws.is_closing
    return ws


def closes(wire):
    """Return code and reason of the close frames that were sent."""
    return [(event.code, event.reason) for _, event in wire.events if event.name in ('closing', 'closed')]


@pytest.mark.parametrize('script, at, before, expected', [
    ([text_frame('x')], 'text', None, AWAY),
    ([], 'connected', None, []),
    ([close_frame(None)], 'closing', None, [(None, '')]),
    ([close_frame(1012, 'restart')], 'closing', lambda ws: ws.send_text('last'), [(1012, '')]),
    ([text_frame('x') + close_frame(1000)], 'text', None, AWAY),
    ([b'\x83\x00'], 'protocol_error', None, [(1002, 'opcode 3 is reserved')]),
    ([b'\x81\x01\xff'], 'protocol_error', None,
     [(1007, 'text is not valid UTF-8; byte 0xff at offset 0')]),
    ([b'\x81\x7e\x01\x01'], 'protocol_error', None,
     [(1009, 'message is 257 bytes; at most 256 are allowed (max_message_size)')]),
    ([], 'unresponsive', None, [(1001, 'exceeded 2s ping timeout')]),
    # The collector, which also runs at exit, clears weak references first.
    ([], 'poll', lambda ws: ws.session._driver.writer.set_loop(weakref.proxy(set())), AWAY),
    ([], 'poll', lambda ws: ws.close(4000, 'done'), [(4000, 'done')]),
    ([], 'poll', lambda ws: ws.force_disconnect(), []),
    ([], 'poll', lambda ws: ws.session.close(), []),
])
def test_what_is_sent(script, at, before, expected):
    wire = ScriptedTransport([ACCEPT] * (at != 'connected') + script)
    ws = leave(wire, at, before, {'poll': 1, 'ping_rate': 1, 'ping_timeout': 2}, max_message_size=256)
    assert closes(wire) == expected
    assert (ws.sent_close_time is None) == (expected == [])


def test_records_come_in_order():
    records = []
    wire = ScriptedTransport([ACCEPT])
    leave(wire, 'ready', trace=records.append, compress=True)
    assert [(record['stage'], record.get('code'), record.get('reason')) for record in records[-3:]] == [
        ('close_requested', 1001, ''), ('socket_send', None, None), ('disconnected', None, None)]


@pytest.mark.parametrize('space, sent', [(0, b''), (3, b'\x8a\x84'), (30, b'\x8a\x84')])
def test_nothing_follows_a_frame_that_waits(space, sent):
    """A pong that did not fit goes first; the close frame never follows half of it."""
    wire = ScriptedTransport([ACCEPT, room(space), ping_frame(b'ping')])
    leave(wire, 'ping')
    written = b''.join(data for _, data in wire.sent).partition(b'\r\n\r\n')[2]
    assert len(written) == min(space, 10 + 8) and written[:2] == sent
    assert closes(wire) == (AWAY if space > 10 else [])


def test_a_stream_that_takes_a_byte_at_a_time():
    wire = ScriptedTransport([ACCEPT])
    send = wire.send
    wire.send = lambda data: send(data[:1])
    leave(wire, 'ready')
    assert closes(wire) == AWAY


def test_queued_messages_go_first():
    wire = ScriptedTransport([ACCEPT])
    leave(wire, 'ready', lambda ws: [ws.state.core.send_queue.queue_message(Opcode.TEXT, b'x', False)])
    assert [event.name for _, event in wire.events] == ['text', 'closing']


def test_a_sender_holds_the_lock():
    """It is mid-frame, perhaps: the goodbye does not wait for it."""
    wire = ScriptedTransport([ACCEPT])
    ws = leave(wire, 'ready', lambda ws: ws.session._driver.writer._lock.take([get_ident()]))
    assert closes(wire) == [] and ws.sent_close_time is None


def test_what_has_arrived_is_dropped():
    """At most 1 MiB of it, and without waiting for more."""
    reads = []
    wire = ScriptedTransport([ACCEPT] + [text_frame('x' * 60000)] * 40)
    recv = wire.recv
    wire.recv = lambda size: reads.append(len(wire.sent)) or recv(size)
    leave(wire, 'text')
    after = [at for at in reads if at == len(wire.sent)]
    assert closes(wire) == AWAY and DROP_BYTES // 65536 <= len(after) <= 40


def test_an_exception_while_saying_goodbye_closes_all_the_same():
    wire = ScriptedTransport([ACCEPT])
    ws = WebSocket('ws://example.org/', proxies={})
    events = ws.connect(session_class=wire.session_class)
    while next(events).name != 'ready':
        pass
    wire.recv = lambda size: 1 // 0
    with pytest.raises(ZeroDivisionError):
        events.close()
    assert wire.is_closed and ws.is_closed


# -- over real streams

def script(seen, size=200000):
    """Send a ping and half a message, and note the close frames that come."""
    def run(peer):
        peer.accept(b'Sec-WebSocket-Extensions: permessage-deflate')
        peer.send(frame(PING, b'?') + frame(BINARY, b'x' * size, fin=False))
        peer.read_end()
        seen.append([item[4] for item in peer.frames if item[2] == CLOSE])
    return run


def begin(ws):
    """Return the events of a connection after the ping."""
    events = ws.connect(ping_rate=0)
    while next(events).name != 'ping':
        pass
    return events


@pytest.mark.parametrize('way', ['collected', 'with', 'another thread'])
def test_data_that_is_left_unread(how, way):
    """The reset that the kernel sends for it must not destroy the frame."""
    seen = []
    with Server(script(seen), **how[0]) as server:
        ws = WebSocket(server.url(), compress=True, **how[1])
        gc.disable()
        events = begin(ws)
        begun = monotonic()
        if way == 'collected':
            cycle = [events]
            cycle.append(cycle)
            del events, cycle
            gc.collect(0)       # all that was made since begin(): the whole heap takes too long
        elif way == 'with':
            with ws:
                pass
        else:
            thread = threading.Thread(target=ws.__exit__)
            thread.start()
            event = list(events)[-1]
            thread.join()
            assert (event.name, event.reason, event.graceful) == ('disconnected', 'closed', False)
        gc.enable()
        assert not ws.is_active and monotonic() - begun < 0.6
    assert seen == [[close_payload(1001)]]


@pytest.mark.skipif(not hasattr(ssl, 'MemoryBIO'), reason='2.7 has no TLS in TLS')
def test_tls_in_tls(certs):
    seen = []
    tls = {'tls': server_context(certs.server)}
    with Server(script(seen, 9), **tls) as server, Server(Proxy('https', server.port), **tls) as proxy:
        begin(WebSocket('wss://target.test/', compress=True, ssl_cafile=certs.ca, proxies={
            'https': 'https://localhost:{}'.format(proxy.port)})).close()
    assert seen == [[close_payload(1001)]]


def test_server_that_is_left():
    """Its session says goodbye like that of a client."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE)
    theirs.sendall(encode_request('/', 'example.org', b'AAAAAAAAAAAAAAAAAAAAAA=='))
    session = AcceptedSession(Acceptance(), ours)
    while 'ready' not in [event.name for event in session.process((), session.monotonic())]:
        session.wait(session.waits(), session.next_deadline())
    session.end()
    received = b''.join(iter(lambda: theirs.recv(65536), b''))
    assert received.partition(b'\r\n\r\n')[2] == close_frame(1001)
    theirs.close()


def test_block_asks_the_session_once():
    """For the goodbye, and then to close; of a session of another class, only to close."""
    class Other(object):
        session_time = 0.0

        def __init__(self, websocket):
            self.calls = []

        def run(self, **settings):
            return iter(())

        def __getattr__(self, name):
            return lambda *args: self.calls.append((name,) + args)

    with WebSocket('ws://example.org/', proxies={}) as ws:
        ws.connect(session_class=Other)
    assert ws.session.calls == [('close',)]
    calls = []
    with ws:
        ws.connect()
        ws.session.say_goodbye = lambda: calls.append('say_goodbye')
        ws.session.close = lambda: calls.append('close')
    assert calls == ['say_goodbye', 'close']


def test_forked_child_sends_nothing(monkeypatch):
    """It would write into its parent's stream, and confuse its TLS."""
    wire = ScriptedTransport([ACCEPT, text_frame('x')])
    leave(wire, 'text', lambda ws: monkeypatch.setattr('lomond.driver.driver.fork_id', lambda: -1))
    assert closes(wire) == []
