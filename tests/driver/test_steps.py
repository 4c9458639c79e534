"""Loops of other people drive connections with the documented steps alone, each in a few lines.

Two WebSockets in one thread by ``waits()``, ``next_deadline()``, ``process()`` and ``is_over``, dialing
included; and one connection by asyncio, on the core.  Nothing here touches a private name; a driver
above 60 lines would say that the interfaces are wrong.
"""

from __future__ import absolute_import, division, unicode_literals

import inspect
import select
import socket
import threading
import time

import pytest
from support.cores import Scribbled, open_client

from lomond import WebSocket, errors
from lomond._compat import monotonic
from lomond.compression import Deflate
from lomond.network.poller import READ, WRITE
from lomond.opcode import Opcode
from lomond.protocol.connection import CLIENT, Connection
from lomond.protocol.handshake import ClientHandshake, encode_request, make_key
from lomond.session import WebsocketSession
from lomond.testing import Server, echo

try:
    import asyncio
    BufferedProtocol = asyncio.BufferedProtocol     # 3.7
except (ImportError, AttributeError):
    asyncio, BufferedProtocol = None, object

#: Seconds after which a test has hung.
LIMIT = 20.0


# -- one thread, many sessions

class Stepped(WebsocketSession):
    """A session that somebody else drives."""

    def run(self, **settings):
        self.start(**settings)
        return iter(())


def begin(websocket, **settings):
    """Its session; nothing is connected yet."""
    websocket.connect(session_class=Stepped, **settings)
    return websocket.session


def drive(sessions, on_event):
    """Drive sessions to their ends; ``on_event(session, event)``."""
    running = list(sessions)
    give_up = monotonic() + LIMIT
    while running:
        assert monotonic() < give_up, 'still running: {}'.format(running)
        readers, writers, deadline = [], [], give_up
        for session in running:
            for fd, mask in session.waits():
                if mask & READ:
                    readers.append(fd)
                if mask & WRITE:
                    writers.append(fd)
            when = session.next_deadline()
            if when is not None:
                deadline = min(deadline, when)
        can_read, can_write, _ = select.select(readers, writers, [], max(deadline - monotonic(), 0))
        for session in running:
            ready = tuple((fd, (READ if fd in can_read else 0) | (WRITE if fd in can_write else 0))
                          for fd, _ in session.waits() if fd in can_read or fd in can_write)
            when = session.next_deadline()
            if ready or (when is not None and when <= monotonic()):
                for event in session.process(ready, monotonic()):
                    on_event(session, event)
        running = [session for session in running if not session.is_over]


def meeting():
    """A handler that answers when two connections are there: one after the other would never end."""
    came, is_complete = [], threading.Event()

    def handler(connection):
        came.append(connection)
        if len(came) == 2:
            is_complete.set()
        assert is_complete.wait(LIMIT), 'the other connection did not come'
        connection.send_text('both are here')
        echo(connection)
    return handler


def names(events):
    return ' '.join(event.name for event in events if event.name not in ('poll', 'pong'))


def play(sessions, react):
    """A list of events for each session; ``react(session, event)``."""
    events = dict((session, []) for session in sessions)

    def on_event(session, event):
        events[session].append(event)
        react(session, event)
    drive(sessions, on_event)
    return [events[session] for session in sessions]


def test_two_at_once_in_one_thread():
    with Server(meeting()) as server:
        sockets = [WebSocket('ws://localhost:{}/{}'.format(server.port, name), compress=True)
                   for name in ('a', 'b')]
        sessions = [begin(websocket, poll=0.05, ping_rate=0) for websocket in sockets]
        shared = Scribbled()
        for websocket in sockets:
            websocket.state.core.receive_buffer.share(shared)
        seen_threads = set()

        def react(session, event):
            websocket = sockets[sessions.index(session)]
            seen_threads.add(threading.current_thread())
            assert shared.is_lent or event.name != 'ready'
            if event.name == 'text' and event.text == 'both are here':
                # More than the kernel takes at once, and no waiting.
                session.queue_message(Opcode.BINARY, b'x' * 6000000)
                session.queue_message(Opcode.TEXT, websocket.resource.encode('ascii'))
            elif event.name == 'text':
                websocket.close()

        for session, events, name in zip(sessions, play(sessions, react), 'ab'):
            assert names(events) == 'connecting connected ready text binary text closed disconnected'
            binary, text = [event for event in events if event.name in ('binary', 'text')][1:]
            assert (binary.data, text.text) == (b'x' * 6000000, '/' + name)
            assert events[-1].graceful
            assert (session.waits(), session.next_deadline()) == ((), None)
            assert list(session.process((), monotonic())) == []
    assert seen_threads == {threading.current_thread()} and not shared.is_lent
    assert [request.target for request in sorted(server.requests, key=lambda one: one.target)] == ['/a', '/b']


def test_deadlines_are_told():
    """Poll and ping keep their time though nothing arrives; close() from a handler is sent at once."""
    with Server(echo) as server:
        websocket = WebSocket(server.url)
        polls = []

        def on_event(session, event):
            if event.name == 'poll':
                polls.append(monotonic())
                if len(polls) == 4:
                    websocket.close(1001, 'enough')

        begun = monotonic()
        drive([begin(websocket, poll=0.1, ping_rate=0.05)], on_event)
        assert monotonic() - begun < 2
    assert len(polls) == 4 and polls[3] - polls[0] >= 0.29
    connection, = server.connections
    assert connection.close_code == 1001
    assert sum(event.name == 'ping' for event in connection.events) >= 4


def test_one_is_refused_while_the_other_goes_on():
    with Server(echo) as server:
        unused = socket.socket()
        unused.bind(('127.0.0.1', 0))               # bound and not listening: refuses
        good = WebSocket(server.url)
        bad = WebSocket('ws://127.0.0.1:{}/'.format(unused.getsockname()[1]))

        def react(session, event):
            if event.name == 'ready':
                good.send_text('hello')
            elif event.name == 'text':
                good.close()

        events = play([begin(bad), begin(good)], react)
        unused.close()
    assert [names(each) for each in events] == [
        'connecting connect_fail', 'connecting connected ready text closed disconnected']


def test_force_disconnect_in_another_thread_wakes_the_loop():
    with Server(echo) as server:
        websocket = WebSocket(server.url)

        def react(session, event):
            if event.name == 'poll':
                threading.Timer(0.05, websocket.force_disconnect).start()

        begun = monotonic()
        events, = play([begin(websocket, poll=10, ping_rate=0)], react)
        assert monotonic() - begun < 2
    assert names(events) == 'connecting connected ready disconnected'
    assert not events[-1].graceful


# -- asyncio, on the core

class WebSocketProtocol(BufferedProtocol):
    """A WebSocket client for asyncio; ``on_event(protocol, event)``."""

    def __init__(self, host, on_event):
        self._key = make_key()
        self._host = host
        self._on_event = on_event
        self._core = Connection(CLIENT, ClientHandshake(self._key, deflate=Deflate()))
        self.over = asyncio.get_event_loop().create_future()

    def connection_made(self, transport):
        self._transport = transport
        transport.write(encode_request('/', self._host, self._key, extensions=Deflate().offer()))

    def get_buffer(self, sizehint):
        return self._core.get_buffer(sizehint)

    def buffer_updated(self, count):
        for event in self._core.buffer_updated(count, time.time(), asyncio.get_event_loop().time()):
            self._flush()
            self._on_event(self, event)
        self._flush()
        if self._core.state.is_closed:
            self._transport.close()

    def eof_received(self):
        self.buffer_updated(0)

    def connection_lost(self, error):
        self._core.disconnect()
        self.over.set_result(self._core.state)

    def send_text(self, text):
        self._transport.writelines(self._core.send_message(Opcode.TEXT, text.encode('utf-8'), True))

    def close(self, code=1000, reason=''):
        payload = self._core.close(code, reason)
        if payload is not None:
            self._transport.write(self._core.encode_reply(Opcode.CLOSE, payload))

    def _flush(self):
        for opcode, payload in self._core.take_outgoing():
            self._transport.write(self._core.encode_reply(opcode, payload))


@pytest.fixture
def loop():
    if asyncio is None:
        pytest.skip('asyncio.BufferedProtocol came with 3.7')
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def run(loop, handler, react=lambda protocol, event: None):
    """``(events, server)`` of one connection from beginning to end; ``react(protocol, event)``."""
    events = []

    def on_event(protocol, event):
        events.append(event)
        react(protocol, event)

    with Server(handler) as server:
        _, protocol = loop.run_until_complete(loop.create_connection(
            lambda: WebSocketProtocol('127.0.0.1', on_event), '127.0.0.1', server.port))
        loop.run_until_complete(asyncio.wait_for(protocol.over, LIMIT))
    return events, server


def test_asyncio_client_closes(loop):
    long_text = 'long ' * 100000

    def react(protocol, event):
        if event.name == 'ready':
            protocol.send_text('hello')
            protocol.send_text(long_text)
        elif event.name == 'text' and event.text == long_text:
            protocol.close(1000, 'bye')

    events, server = run(loop, echo, react)
    assert [event.name for event in events] == ['ready', 'text', 'text', 'closed']
    assert events[0].extensions == {'permessage-deflate'}
    assert events[1].text == 'hello'
    connection, = server.connections
    assert (connection.close_code, connection.close_reason) == (1000, 'bye')


def ping_and_close(connection):
    connection.send_ping(b'are you there')
    assert connection.receive().data == b'are you there'
    connection.close(1001, 'away')
    assert connection.receive().code == 1001
    assert connection.receive() is None


def violate(connection):
    connection.send_raw(b'\x83\x00')
    assert connection.receive().code == 1002


@pytest.mark.parametrize('handler, expected', [
    (ping_and_close, ['ready', 'ping', 'closing']), (violate, ['ready', 'protocol_error'])])
def test_asyncio_server(loop, handler, expected):
    assert [event.name for event in run(loop, handler)[0]] == expected


@pytest.mark.parametrize('driver', [(Stepped, begin, drive), (WebSocketProtocol,)])
def test_drivers_are_small(driver):
    lines = [line for part in driver for line in inspect.getsource(part).splitlines() if line.strip()]
    assert len(lines) < 60


def test_one_turn_at_a_time():
    """Whether it is one of process(), or of a loop of our own."""
    session = begin(WebSocket('ws://example.org/', proxies={}))
    turn = session.process((), session.monotonic())
    for begin_turn in session.process, session.begin_turn:
        with pytest.raises(errors.WebSocketError, match='is not exhausted|was exhausted'):
            begin_turn((), session.monotonic())
    assert next(turn).name == 'connecting'
    turn.close()
    assert session.is_over and list(session.begin_turn((), 0.0)) == []


def test_sends_without_a_driver():
    """The core is open already, or still, but nothing carries bytes."""
    session = begin(WebSocket('ws://example.org/', proxies={}))
    session._core = open_client()
    for send in (lambda: session.send(Opcode.TEXT, b'x'), lambda: session.send_stream(None)):
        with pytest.raises(errors.WebSocketUnavailable, match='nothing can be sent without a connection'):
            send()
    session.send(Opcode.CLOSE, b'')
    session.fail_stream()
    assert not session.is_streaming
    session.queue_message(Opcode.TEXT, b'x')
    session._post_message(Opcode.TEXT, b'yz')
    assert session.queued == 0 and session._core.send_queue.queued == 3
