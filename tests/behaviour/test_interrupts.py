"""Ctrl-C at any line of a connection: nothing is left behind."""

from __future__ import absolute_import, division, unicode_literals

import gc
import os
import socket
import threading

import pytest
from support.client import Wait, in_thread
from support.frames import CLOSE, PING, TEXT, Reader, close_frame, close_payload, frame
from support.interpreters import counted
from support.interrupt import EVENTS, StepAt, apart, each_step
from support.peer import PATIENCE, upgrade

import lomond
from lomond import WebSocket
from lomond._compat import OS_ERRORS
from lomond.network import resolver
from lomond.network.poller import Waiting
from lomond.session import WebsocketSession

#: Where sockets and locks are.
DRIVERS = ('session.py', os.path.join('network', 'stream.py'), os.path.join('network', 'poller.py'),
           os.path.join('network', 'lock.py'),
           os.path.join('client', 'attempt.py'), 'driver' + os.sep)


class Connection(object):
    """One connection over a pair of sockets, all in this thread: the peer acts when the
    client waits.
    """

    def __init__(self):
        self.peer = self.number = None
        self.names = []
        connection = self

        class Scripted(Waiting):
            def wait(self, waits, deadline):
                connection.act()
                return super(Scripted, self).wait(waits, deadline)

        class Session(WebsocketSession):
            waiting = Scripted

            def _connect(self):
                ours, connection.peer = socket.socketpair()
                if type(ours) is not socket.socket:         # 2.7
                    ours = socket.socket(_sock=ours)
                connection.peer.settimeout(5)
                connection.number = ours.fileno()
                return ours, None
        self.session_class = Session
        self._steps = [self._answer, self._close]
        self.ws = WebSocket('ws://example.org/', proxies={}, compress=True)

    def act(self):
        if self._steps:
            self._steps.pop(0)()

    def _answer(self):
        request = self.peer.recv(65536)
        key = request.split(b'Sec-WebSocket-Key: ')[1].split(b'\r\n')[0]
        self.peer.sendall(upgrade(key) + frame(TEXT, b'hello') + frame(PING, b'p'))

    def _close(self):
        self.peer.sendall(close_frame(1000))

    def run(self):
        """To the end, or to the interrupt; nothing refers to the iterator afterwards.
        """
        try:
            for event in self.ws.connect(session_class=self.session_class):
                self.names.append(event.name)
                if event.name == 'text':
                    self.ws.send_text('x' * 100)
                elif event.name == 'ping':
                    self.ws.close()
        except KeyboardInterrupt:
            return True
        return False

    def left(self):
        """What is wrong when the loop was left."""
        problems = []
        try:
            os.fstat(-1 if self.number is None else self.number)
            problems.append('the socket is open')
        except OSError:
            pass
        if 'connecting' in self.names and self.ws.is_active:
            problems.append('it is active')
        try:
            again = self.ws.connect()
            if next(again).name != 'connecting':
                problems.append('it cannot be connected again')
            again.close()
        except lomond.errors.WebSocketError as error:
            problems.append(str(error))
        return problems

    def end(self):
        if self.peer is not None:
            self.peer.close()


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def interrupt_at(lines):
    problems, interrupted = [], 0
    for line in lines:
        connection = Connection()
        with StepAt(line) as interrupt:
            interrupted += connection.run()
        problems += ['%s (line event %d): %s' % (interrupt.places[-1], line,
                                                 problem) for problem in connection.left()]
        connection.end()
    assert not problems, '\n'.join(problems)
    # some come out of what is finished by its last reference, where Python swallows
    # them
    assert interrupted > 0.95 * len(lines)


def run_once():
    """All line events: the place of each."""
    found = []
    for _ in range(4):                  # at first modules are imported and tables made
        connection = Connection()
        with StepAt(0) as interrupt:
            connection.run()
        assert connection.names == [
            'connecting', 'connected', 'ready', 'poll', 'text', 'ping', 'closed', 'disconnected']
        assert connection.left() == []
        connection.end()
        found.append(interrupt.places)
    return min(found, key=len)


# Python warns of sockets that their last reference closes, and of interrupts in
# finalizers.
pytestmark = [pytest.mark.filterwarnings('ignore'), pytest.mark.ends]


# -- dialing

@counted
@pytest.mark.parametrize('events', EVENTS)
def test_interrupt_while_dialing(events, monkeypatch, no_collector):
    """No look-up stays registered, no descriptor stays open, and the next connection is made."""
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(5)
    listener.settimeout(5)
    address, getaddrinfo = listener.getsockname(), socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *_: getaddrinfo(*address))

    def dial(host, step):
        ws = WebSocket('ws://%s:%d/' % (host, address[1]), proxies={})
        connection = ws.connect()
        next(connection)
        try:
            with step:
                assert next(connection).name == 'connected'
                listener.accept()[0].close()
        except KeyboardInterrupt:
            pass
        connection.close()
        return ws

    def count():
        return len(os.listdir('/proc/self/fd'))

    def run(step):
        before = count()
        ws = dial('name.test', step)
        for thread in threading.enumerate():
            if thread.name == 'lomond-resolver':
                thread.join(PATIENCE)       # until it has let go of the wake-up
        waiting = [lookup.key for lookup in list(resolver._table.known.values()) if lookup.wakes]
        after = count()
        if waiting or after > before or ws.is_active:
            return '%r, %d descriptors, then %d' % (waiting, before, after)
        listener.setblocking(False)
        try:
            listener.accept()[0].close()        # the connection was made already
        except OS_ERRORS:
            pass
        listener.settimeout(5)
        if len(step.places) % 10 == 0:
            dial('name.test', StepAt(0))
    dial('first.test', StepAt(0))
    files = [os.path.join('network', name) for name in ('dialer.py', 'happy_eyeballs.py', 'stream.py')]
    if events != 'call':            # a generator that is resumed: 2.7 ends it without its finally
        files.append('session.py')
    assert each_step(run, events=(events,), files=files) > 20
    listener.close()


# -- close() and force_disconnect()

class Closing(Connection):
    """The peer answers the request, and a close frame; it may close by itself."""

    def __init__(self, closes=False):
        super(Closing, self).__init__()
        self._reader, self._closes = Reader(), closes
        self.frames = []

    def act(self):
        self.peer.setblocking(False)
        try:
            data = self.peer.recv(65536)
        except OS_ERRORS:
            return
        if data[:3] == b'GET':
            key = data.split(b'Sec-WebSocket-Key: ')[1].split(b'\r\n')[0]
            self.peer.sendall(upgrade(key) + frame(TEXT, b'x') + close_frame(4000) * self._closes)
            return
        found = list(self._reader.feed(data))
        self.frames += [(item[2], item[4]) for item in found]
        if CLOSE in [item[2] for item in found]:
            self.peer.sendall(b'' if self._closes else close_frame(1000))
            self.peer.close()

    def interrupt_at(self, name, action):
        """Call ``action``, which is interrupted, at an event; what follows, names and the last event."""
        was_active, last = None, None
        for event in self.ws.connect(session_class=self.session_class, poll=30, close_timeout=5):
            self.names.append(event.name)
            last = event
            if event.name == name and was_active is None:
                try:
                    action(self.ws)
                except KeyboardInterrupt:
                    pass
                was_active = self.ws.is_active
                if was_active:          # it has not begun
                    self.ws.close(1001, 'again')
        return last


@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('phase, last', [
    ('connecting', 'connect_fail'), ('connected', 'disconnected'), ('text', 'disconnected'),
    ('closing', 'disconnected')])
def test_interrupt_inside_of_close(phase, last, events):
    """It has not begun, or the loop completes it: one frame, one end, a limit that counts from the call."""
    def run(step):
        connection = Closing(phase == 'closing')

        def close(ws):
            with step:
                ws.close(1001, 'bye')
        event = connection.interrupt_at(phase, close)
        closes = [payload for opcode, payload in connection.frames if opcode == CLOSE]
        expected = {'text': [[close_payload(1001, b'bye')], [close_payload(1001, b'again')]],
                    'closing': [[close_payload(4000)]]}.get(phase, [[]])
        connection.end()
        times = connection.ws.sent_close_time, connection.ws.session._deadlines.closed_at
        if closes not in expected or event.name != last or connection.left() or getattr(
                event, 'graceful', False) != (phase in ('text', 'closing')):
            return '%r, %r, %r' % (event, closes, connection.left())
        if phase == 'text' and None in times:
            return 'no time of the close frame, from which close_timeout counts'
    assert each_step(run, events=(events,)) > 10


@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('action', ['close', 'force_disconnect'])
def test_interrupt_inside_of_close_while_the_loop_sleeps(action, events):
    """In a thread of its own: it is woken whenever the state was moved."""
    def run(step):
        connection, is_open = Closing(), Wait()

        def loop():
            for event in connection.ws.connect(session_class=connection.session_class, poll=30):
                if event.name == 'text':
                    is_open.set()
        thread = in_thread(loop)
        is_open.wait()
        try:
            with step:
                getattr(connection.ws, action)()
        except KeyboardInterrupt:
            if connection.ws.is_active:         # it has not begun
                getattr(connection.ws, action)()
        thread.join(2)
        connection.end()
        return 'the loop sleeps' if thread.is_alive() else connection.left()
    assert each_step(run, events=(events,)) > 5


@counted
def test_interrupt_at_each_line_of_the_drivers(no_collector):
    """The first and the last time that a line is run."""
    places = run_once()
    first_and_last = {}
    for number, place in enumerate(places):
        if place.startswith(DRIVERS):
            first_and_last.setdefault(place, [number + 1, number + 1])[1] = number + 1
    lines = sorted(set(line for pair in first_and_last.values() for line in pair))
    assert len(lines) > 300
    apart(interrupt_at, lines)


@counted
@pytest.mark.slow
def test_interrupt_at_each_line(no_collector):
    apart(interrupt_at, range(1, len(run_once()) + 1))
