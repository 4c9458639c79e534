"""Accepted sockets whose clients are scripts, in the same thread; time is a FakeClock.

It advances only when nothing else can happen.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import logging
import socket
import time

import pytest

from lomond._compat import OS_ERRORS, monotonic, would_block
from lomond.network.poller import Waiting
from lomond.server.accepted import AcceptedSession
from lomond.server.connection import run_handler, shake_hands
from lomond.server.options import Options
from lomond.testing import FakeClock

from .frames import CLOSE, KEY, TEXT, Reader, close_frame, frame

REQUEST = (b'GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
           b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
BIG = b'x' * 3000000

# Steps of a script, besides bytes to send and callables.
END, RESET, START_READING = 'end', 'reset', 'start reading'


def ask(*lines, **parts):
    """Return a request with further header lines, and with ``target`` or ``host``."""
    request = REQUEST.replace(b'/chat', parts.get('target', b'/chat')).replace(
        b'Host: x', b'Host: ' + parts.get('host', b'x'))
    return request[:-2] + b''.join(line + b'\r\n' for line in lines) + b'\r\n'


def text(words):
    return frame(TEXT, words.encode('utf-8'), key=KEY)


def close_all():
    """Close the sockets of all clients."""
    for socks in (Client.sockets, Raw.socks):
        while socks:
            socks.pop().close()


@pytest.fixture(autouse=True)
def close_clients():
    """Close the sockets of all clients; import it into each file that has some."""
    yield
    close_all()


class Client(object):
    """A scripted client, which owns the session's clock.

    :param script: pairs of a time, and bytes to send, END, RESET, START_READING or a
        callable
    :param reads: if false, the client reads nothing before START_READING
    """

    sockets = []                        # to be closed when the test is over

    def __init__(self, script=(), reads=True):
        self.clock = FakeClock()
        self.sock = None
        self.received = b''
        self.ended_at = None            # when the end of the stream was seen
        self._script = list(script)
        self._reads = reads

    def script(self, steps):
        """Add steps, which may refer to the client."""
        self._script += steps

    def accept(self):
        """Return the other end, as if it was accepted."""
        accepted, self.sock = socket.socketpair()
        if type(accepted) is not socket.socket:         # 2.7
            accepted = socket.socket(_sock=accepted)
        self.sockets.append(self.sock)
        self.sock.setblocking(False)
        return accepted

    def waiting(self):
        """Return what the session waits with."""
        return ScriptedWaiting(self)

    def session_class(self, acceptance, sock, ssl_context=None):
        """Return a session whose clock is this one's."""
        session = AcceptedSession(acceptance, sock, ssl_context)
        session.waiting = self.waiting
        return session

    def next_time(self):
        return self.clock.START + self._script[0][0] if self._script else None

    def play(self):
        """Do what is due, and read."""
        while self._script and self.clock.monotonic() >= self.next_time():
            self._do(self._script.pop(0)[1])
        while self._reads and self.ended_at is None:
            try:
                data = self.sock.recv(1 << 20)
            except OS_ERRORS as error:
                if would_block(error):
                    return
                data = b''              # a reset: the session left something unread
            self.received += data
            if not data:
                self.ended_at = self.clock.elapsed

    def _do(self, step):
        if step is END:
            self.sock.shutdown(socket.SHUT_WR)
        elif step is RESET:
            self.sock.close()           # with our answer unread: see test_client_that_goes
            self._reads = False
        elif step is START_READING:
            self._reads = True
        elif callable(step):
            step()
        else:
            self.sock.sendall(step)

    def status_and_frames(self):
        head, _, rest = self.received.partition(b'\r\n\r\n')
        return head.split(b' ')[1], [(opcode, payload) for _, _, opcode, _, payload in Reader().feed(rest)]

    @property
    def status(self):
        """The status of the answer, int; None without one."""
        return int(self.received.split(b' ')[1]) if self.received else None

    @property
    def body(self):
        return self.received.partition(b'\r\n\r\n')[2].decode('utf-8')

    def serve(self, handler=list, address=('192.0.2.1', 4711), ready=None, **options):
        """Play against a handler, as the thread of a Server does it, to the end.

        :param handler: as for Server; by default it iterates
        :param ready: called with the WebSocket before the handshake, or None
        :returns: the WebSocket
        """
        options = Options(handler, **options)
        websocket = options.take(self.accept(), address, self.session_class)
        if ready is not None:
            ready(websocket)
        if shake_hands(websocket):
            run_handler(websocket, options.find_handler(websocket))
        self.play()
        return websocket


class ScriptedWaiting(Waiting):
    """Real descriptors, and a clock that advances only when none is ready."""

    def __init__(self, client):
        super(ScriptedWaiting, self).__init__()
        self._client = client
        self.monotonic = client.clock.monotonic
        self.time = client.clock.time

    def wait(self, waits, deadline):
        client, clock = self._client, self._client.clock
        while True:
            client.play()
            ready = super(ScriptedWaiting, self).wait(tuple(waits), clock.monotonic())
            if ready or (deadline is not None and clock.monotonic() >= deadline):
                return ready
            times = [time for time in (deadline, client.next_time()) if time is not None]
            assert times, 'it would wait forever'
            clock.advance_to(min(times))


class Raw(object):
    """A client that speaks for itself."""

    socks = []                          # to be closed when the test is over

    def __init__(self, server, data=REQUEST, host=None):
        self.sock = socket.create_connection((host or server.addresses[0][0], server.port), 10)
        self.socks.append(self.sock)
        self.sock.sendall(data)
        self.received = b''

    def read(self, mark=None):
        """Read to a mark, or to the end of the stream; return what has come so far."""
        while mark is None or mark not in self.received:
            data = self.sock.recv(65536)
            self.received += data
            if not data:
                break
        return self.received

    def ready(self):
        assert b' 101 ' in self.read(b'\r\n\r\n')
        return self

    def close_frame(self):
        """Read to the end, and return the payload of the close frame."""
        frames = Reader().feed(self.read().partition(b'\r\n\r\n')[2])
        return [payload for _, _, opcode, _, payload in frames if opcode == CLOSE]

    def answer_close(self):
        while not self.received.partition(b'\r\n\r\n')[2]:
            self.received += self.sock.recv(1000)
        self.sock.sendall(close_frame(1000, key=KEY))
        return self.close_frame()

    def close(self):
        self.sock.close()

    __enter__ = ready

    def __exit__(self, *exc_info):
        self.close()


def wait_until(condition, seconds=5):
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end
        time.sleep(0.005)


@contextlib.contextmanager
def logged(level='DEBUG'):
    """Give the list of what is logged to ``lomond.server`` meanwhile."""
    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record)

    records, logger, keep = [], logging.getLogger('lomond.server'), Keep()
    before, propagate = logger.level, logger.propagate
    logger.addHandler(keep)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield records
    finally:
        logger.removeHandler(keep)
        logger.setLevel(before)
        logger.propagate = propagate
