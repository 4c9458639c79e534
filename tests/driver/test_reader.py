"""When the loop looks for more bytes, and when it waits first: real pairs of sockets,
time of our own.
"""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.frames import PONG, TEXT, frame
from support.wire import Counting, EchoPair, Wire, connect, take

from lomond import WebSocket
from lomond.driver.reader import LOOKS_IN_VAIN, ONE_LOOK_OF
from lomond.driver.rules import MANY_CONNECTIONS, ONE_CONNECTION
from lomond.network.poller import Waiting
from lomond.session import WebsocketSession


class Answered(Waiting):
    """The peer has its turn in each wait; time goes by when the test says so, and by
    waiting for nothing.
    """

    def __init__(self, peer):
        super(Answered, self).__init__()
        self.now = 1000.0
        self.count = 0
        self._peer = peer

    def monotonic(self):
        return self.now

    def wait(self, waits, deadline):
        self.count += 1
        self._peer.turn()
        ready = super(Answered, self).wait(waits, self.now)
        if not ready:
            self.now = max(self.now, deadline)
        return ready


def meet(peer, sock=None, **settings):
    """A WebSocket, its iterator after messages until looks are left out, and its waiting."""
    waiting = Answered(peer)

    class Session(WebsocketSession):
        def _connect(self):
            return sock or peer.ours, None

    Session.waiting = staticmethod(lambda: waiting)
    websocket = WebSocket('ws://looks.test/', proxies={})
    events = websocket.connect(session_class=Session, **settings)
    take(events, 'ready', 1)
    for _ in range(LOOKS_IN_VAIN + 2):
        websocket.send_text('x')
        take(events, 'text', 1)
    return websocket, events, waiting


@pytest.fixture
def peer():
    peer = EchoPair()
    yield peer
    peer.close()


def test_what_has_arrived_is_read_before_it_is_judged(peer):
    websocket, events, waiting = meet(peer, ping_rate=None, ping_timeout=2, poll=1000)
    websocket.send_ping(b'one')
    peer._sock.sendall(frame(PONG, b'one'))
    waiting.now += 4                            # a slow handler
    event = next(event for event in events if event.name != 'poll')
    assert (event.name, event.data) == ('pong', b'one')
    websocket.send_ping(b'two')
    assert next(events).name == 'unresponsive'


def test_late_answer_to_close(peer):
    websocket, events, waiting = meet(peer, ping_rate=None, close_timeout=2, poll=1000)
    websocket.close()
    peer._sock.sendall(frame(8, b'\x03\xe8'))
    waiting.now += 4
    assert [event.name for event in events if event.name != 'poll'] == ['closed', 'disconnected']


def test_socket_that_a_handler_has_closed(peer):
    _, events, _ = meet(peer)
    peer.ours.close()
    event = next(event for event in events if event.name != 'poll')
    assert (event.name, event.graceful) == ('disconnected', False)
    assert event.reason.startswith('socket fail; ')


class Buffered(object):
    """What somebody's `_connect` may give: it has read more of its socket than it hands
    out.
    """

    def __init__(self, sock):
        self._sock = sock
        self._kept = b''
        self.fileno, self.setblocking = sock.fileno, sock.setblocking
        self.send, self.close = sock.send, sock.close

    def recv(self, size):
        if not self._kept:
            self._kept = self._sock.recv(65536)
        size = 3 if self._kept[:1] == b'\x81' else size
        data, self._kept = self._kept[:size], self._kept[size:]
        return data


def test_no_look_is_left_out_at_an_object_that_may_keep_bytes(peer):
    _, events, waiting = meet(peer, Buffered(peer.ours))
    peer._sock.sendall(frame(TEXT, b'x') * 20)
    take(events, 'text', 1)
    count = waiting.count
    take(events, 'text', 19)
    assert waiting.count == count               # nobody would have woken it


def test_a_stream_of_small_reads_is_looked_for_again():
    class Fed(Counting):
        """A wait for nothing brings a message."""

        def wait(self, waits, deadline):
            self.waits += 1
            if not wire._parts:
                wire._parts.append(memoryview(message))
            return ((2 ** 20, waits[0][1]),)

    class Quiet(Wire):
        def recv_into(self, view):
            self._blocks = True
            return super(Quiet, self).recv_into(view)

    message = frame(TEXT, b'x' * 32)
    wire = Quiet(largest=len(message))
    websocket, events, waiting = connect(wire, waiting_class=Fed)
    websocket.session._stream.poll_tells_all = True     # as of a socket
    take(events, 'text', 40)                    # one in each wait
    recvs = wire.recvs
    take(events, 'text', ONE_LOOK_OF)
    assert wire.recvs - recvs <= ONE_LOOK_OF + 2
    wire._parts.extend([memoryview(message)] * 200)
    waits = waiting.waits
    take(events, 'text', 200)
    assert waiting.waits - waits <= ONE_LOOK_OF + 200 // 32 + 1


@pytest.mark.parametrize('rules, tells_all, seconds, reads', [
    (ONE_CONNECTION, True, 0, 32), (ONE_CONNECTION, False, 0.02, 32),
    (MANY_CONNECTIONS, False, 0, 4), (MANY_CONNECTIONS, False, 0.004, 3),
    (MANY_CONNECTIONS, False, 0.011, 1),
    (MANY_CONNECTIONS, True, 0, 1),             # the poller reports further bytes
])
def test_reads_of_a_turn(rules, tells_all, seconds, reads):
    message = frame(TEXT, b'x' * 32)
    wire = Wire([message] * 400, largest=len(message))
    websocket, events, waiting = connect(wire, loop_rules=rules)
    websocket.session._stream.poll_tells_all = tells_all
    take(events, 'text', reads + 1)             # one read has given Ready
    waits = waiting.waits
    for _ in range(4 * reads):
        waiting.now += seconds                  # the handler
        take(events, 'text', 1)
    assert waiting.waits - waits == 4


@pytest.mark.parametrize('rules', [ONE_CONNECTION, MANY_CONNECTIONS])
def test_more_than_the_buffer_holds_is_read_at_once(rules):
    wire = Wire([frame(TEXT, b'x' * 100) * 3000])
    websocket, events, waiting = connect(wire, loop_rules=rules)
    websocket.session._stream.poll_tells_all = True
    waits = waiting.waits
    take(events, 'text', 3000)
    assert wire.recvs > 4 and waiting.waits - waits <= wire.recvs // rules.reads_in_a_row + 1
