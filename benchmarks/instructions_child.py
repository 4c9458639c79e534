"""Go one path of the library: ``instructions_child.py FOLDER PATH COUNT``.

FOLDER is where ``lomond`` is imported from. The wire is memory, the clock stands still,
and nothing is random, so the number of instructions is the same each time.

Knows nothing of: who counts.
"""

import os
import socket
import sys

if __name__ == '__main__':
    sys.path.insert(0, sys.argv[1])
    os.urandom = lambda size: bytes(1 + number % 255 for number in range(size))     # before keys are made

from lomond import WebSocket  # noqa: E402
from lomond.network.poller import Waiting  # noqa: E402
from lomond.protocol.frames import pack_header  # noqa: E402
from lomond.protocol.handshake import accept_value  # noqa: E402
from lomond.session import WebsocketSession  # noqa: E402

TEXT, CLOSE = 0x81, 0x88


class Still(Waiting):
    """A clock that stands still; whatever is waited for is ready."""

    def monotonic(self):
        return 1000.0

    def wait(self, waits, deadline):
        return tuple(waits[:1])


class Wire:
    """A server in memory: it accepts, repeats frames or echoes, and answers a close.

    :param frames: what it sends again and again
    :param echo: what it sends after each message
    """

    def __init__(self, frames=b'', echo=b''):
        self._frames = frames
        self._echo = echo
        self._next = b''
        self._pair = socket.socketpair()

    def answer(self, key):
        self._next = (b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                      b'Sec-WebSocket-Accept: ' + accept_value(key) + b'\r\n\r\n')

    def fileno(self):
        return self._pair[0].fileno()

    def recv_into(self, view):
        data, self._next = self._next or self._frames[:len(view)], b''
        if not data:
            raise BlockingIOError()
        view[:len(data)] = data
        return len(data)

    def send(self, data):
        if data[0] == CLOSE:
            self._next = pack_header(CLOSE, 2) + b'\x03\xe8'
        elif data[0] == TEXT:
            self._next = self._echo
        return len(data)

    def shutdown(self, how):
        pass

    def close(self):
        for sock in self._pair:
            sock.close()


def connect(wire):
    """Return a WebSocket over a wire, and its events."""
    class Session(WebsocketSession):
        waiting = Still

        def _connect(self):
            wire.answer(websocket.key)
            return wire, None

    websocket = WebSocket('ws://127.0.0.1/', proxies={})
    return websocket, websocket.connect(session_class=Session, poll=3600, ping_rate=0)


def receive(size, count):
    frame = pack_header(TEXT, size) + b'x' * size
    total = 0
    for event in connect(Wire(frame * (8192 // len(frame))))[1]:
        if event.name == 'text':
            total += len(event.text)
            count -= 1
            if not count:
                return total


def send(size, count):
    websocket, events = connect(Wire())
    while next(events).name != 'ready':
        pass
    for _ in range(count):
        websocket.send_text('x' * size)


def round_trip(size, count):
    websocket, events = connect(Wire(echo=pack_header(TEXT, size) + b'x' * size))
    for event in events:
        if event.name in ('ready', 'text'):
            if not count:
                return
            count -= 1
            websocket.send_text('x' * size)


def connect_to_close(_, count):
    for _ in range(count):
        websocket, events = connect(Wire())
        for event in events:
            if event.name == 'ready':
                websocket.close()
        if event.name != 'disconnected' or not event.graceful:
            sys.exit('a connection has not ended well: {!r}'.format(event))


PATHS = {'receive-32': (receive, 32), 'receive-1k-text': (receive, 1024), 'send-32': (send, 32),
         'round-trip-32': (round_trip, 32), 'connect-close': (connect_to_close, 0)}

if __name__ == '__main__':
    function, size = PATHS[sys.argv[2]]
    function(size, int(sys.argv[3]))
    os._exit(0)                         # ends are not counted
