"""Clients over wires that count: a socket in memory, or a pair in one thread."""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket
import sys

from lomond import WebSocket
from lomond.network.poller import READ, WRITE, Waiting
from lomond.session import WebsocketSession

from .frames import BINARY, TEXT, Reader, frame
from .peer import upgrade


class Wire(object):
    """A socket in memory that counts its calls; it is always ready.

    :param parts: bytes-like pieces that the server sends after its response; then the
        stream ends
    :param echoes: if true, messages come back instead, and other reads would block
    :param largest: the most bytes that one read returns
    """

    def __init__(self, parts=(), echoes=False, largest=None):
        self.recvs = self.blocked = self.sends = 0
        self.sent_sizes = []
        self.largest_read = 0
        self._parts = [memoryview(part) for part in parts]      # slices of them do not copy
        self._echoes = Reader() if echoes else None
        self._blocks = echoes
        self._largest = largest
        self._at = 0

    def answer(self, key):
        """Accept the request with this key."""
        self._parts.insert(0, memoryview(upgrade(key)))
        self._parts.reverse()       # the next one is the last one

    def fileno(self):
        return 2 ** 20              # the kernel never sees it: see Counting

    def recv_into(self, view):
        self.recvs += 1
        if not self._parts:
            if self._blocks:
                self.blocked += 1
                raise _would_block()
            return 0
        part = self._parts[-1]
        count = min(len(part) - self._at, len(view), self._largest or len(view))
        view[:count] = part[self._at:self._at + count]
        self._at += count
        if self._at == len(part):
            self._parts.pop()
            self._at = 0
        self.largest_read = max(self.largest_read, count)
        return count

    def recv(self, size):
        raise AssertionError('recv() makes a bytes object for every read')

    def send(self, data):
        self.sends += 1
        self.sent_sizes.append(len(data))
        if self._echoes is not None and bytes(data[:4]) != b'GET ':
            for _, _, opcode, _, payload in self._echoes.feed(bytes(data)):
                if opcode in (TEXT, BINARY):
                    self._parts.insert(0, memoryview(frame(opcode, payload)))
        return len(data)

    def shutdown(self, how):
        self._parts = []
        self._blocks = False

    def close(self):
        pass


def _would_block():
    error = OSError if sys.version_info[0] > 2 else socket.error
    return error(errno.EAGAIN, 'nothing yet')


class Counting(Waiting):
    """Counts waits and readings of the clock; waits return at once, and time passes."""

    def __init__(self):
        super(Counting, self).__init__()
        self.now = 1000.0
        self.waits = self.readings = self.wakes = 0
        self.slept_until = []

    def monotonic(self):
        self.readings += 1
        return self.now

    def wake(self):
        self.wakes += 1
        super(Counting, self).wake()

    def wait(self, waits, deadline):
        self.waits += 1
        ready = tuple((fd, mask) for fd, mask in waits if fd == 2 ** 20 and self.is_ready(mask))
        if ready:
            return ready
        assert deadline is not None, 'it would sleep forever'
        self.slept_until.append(deadline)
        self.now = max(self.now, deadline)
        return ()

    def is_ready(self, mask):
        return mask & (READ | WRITE)


def connect(wire, waiting_class=Counting, loop_rules=WebsocketSession.rules, **options):
    """Connect, up to Ready, over a wire; return the WebSocket, its events, its waiting.
    """
    made = []

    def waiting():
        made.append(waiting_class())
        return made[0]

    class Session(WebsocketSession):
        rules = loop_rules

        def _connect(self):
            wire.answer(websocket.key)
            return wire, None

    Session.waiting = staticmethod(waiting)
    websocket = WebSocket('ws://counted.test/', proxies={}, **options)
    events = websocket.connect(session_class=Session)
    assert [next(events).name for _ in range(3)] == ['connecting', 'connected', 'ready']
    return websocket, events, made[0]       # a connection ends with its iterator


def take(events, name, count):
    """Skip events up to this number of this name, keeping none; return the last one."""
    for event in events:
        if event.name == name:
            count -= 1
            if not count:
                return event


class EchoPair(object):
    """A pair of sockets in one thread: the far end answers and echoes when told to."""

    def __init__(self):
        self.ours, self._sock = socket.socketpair()
        if type(self.ours) is not socket.socket:        # 2.7
            self.ours = socket.socket(_sock=self.ours)
        self._sock.setblocking(False)
        self._reader = None

    def turn(self):
        """Read what came, and answer it."""
        try:
            data = self._sock.recv(256 * 1024)
        except (OSError, socket.error):
            return
        if self._reader is None:
            self._reader = Reader()
            key = data.split(b'Sec-WebSocket-Key: ')[1].split(b'\r\n')[0]
            self._sock.sendall(upgrade(key))
            return
        for _, _, opcode, _, payload in self._reader.feed(data):
            if opcode in (TEXT, BINARY):
                self._sock.sendall(frame(opcode, payload))

    def close(self):
        self.ours.close()
        self._sock.close()
