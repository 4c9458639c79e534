"""What the fast paths cost, counted and never timed: system calls, calls, waits, clock
readings, memory.

A limit here is what was counted, and a little more.  To raise one is to make every
message more expensive: see ``benchmarks/``.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import gc
import os
import select
import socket
import subprocess
import sys
import zlib

import pytest
from support.accepted import REQUEST, Client
from support.accepted import close_clients as close_clients
from support.cores import open_client
from support.frames import BINARY, CONTINUATION, KEY, TEXT, close_frame, frame
from support.interpreters import IS_COUNTED
from support.memory import growth, needs_tracemalloc, tracemalloc
from support.peer import upgrade
from support.wire import Counting, EchoPair, Wire, connect, take

from lomond import WebSocket
from lomond._compat import HANDS_OUT_BATCHES
from lomond.group import Group
from lomond.network.poller import WRITE, Waiting
from lomond.protocol.frame_parser import parse_frames
from lomond.protocol.masking import HAS_WSACCEL, mask_payload
from lomond.protocol.permessage_deflate import DeflateParameters, PerMessageDeflate
from lomond.protocol.receive_buffer import ReceiveBuffer
from lomond.server import Server
from lomond.server.accepted import AcceptedSession
from lomond.server.connection import end, shake_hands
from lomond.server.options import Options
from lomond.session import WebsocketSession

pytestmark = pytest.mark.ends

MIB = 1024 * 1024
FIRST = {'text': TEXT, 'binary': BINARY}


class Sleeping(Counting):
    """The wire has nothing, ever."""

    def is_ready(self, mask):
        return mask & WRITE


class Calls(object):
    """Counts calls of Python and C functions, and resumed generators, while it is
    entered.
    """

    def __enter__(self):
        self.python = self.builtin = 0
        self._kept = sys.getprofile()
        sys.setprofile(self._count)
        return self

    def _count(self, _, what, __):
        if what == 'call':
            self.python += 1
        elif what == 'c_call':
            self.builtin += 1

    def __exit__(self, *_):
        sys.setprofile(self._kept)

    @property
    def total(self):
        return self.python + self.builtin


# --- receiving ---

SMALL = 10000


# Resumed generators count as calls; on 2.7, which has no batches, text is looked through
# for surrogates.
@pytest.mark.parametrize('kind, size, most_calls', [
    ('text', 32, 4 if HANDS_OUT_BATCHES else 10),
    ('binary', 32, 4 if HANDS_OUT_BATCHES else 7),
    ('text', 200, 4 if HANDS_OUT_BATCHES else 10),
    ('binary', 1024, 4 if HANDS_OUT_BATCHES else 7),
])
def test_small_messages_cost_few_calls(kind, size, most_calls):
    data = frame(FIRST[kind], b'x' * size) * SMALL
    wire = Wire([data])
    _, events, waiting = connect(wire)
    take(events, kind, SMALL // 2)                  # buffers have grown, the first Poll is over
    recvs, readings, waits, sends = wire.recvs, waiting.readings, waiting.waits, wire.sends
    count = SMALL // 2 - 1000
    with Calls() as calls:
        take(events, kind, count)
    # recv first; one look at the other descriptors for each 32 reads
    assert waiting.waits - waits <= (wire.recvs - recvs) // 32 + 1
    assert wire.sends == sends
    # one read for each 256 KiB, and one reading of the clock for each 16 messages and
    # each read
    assert wire.recvs - recvs <= count * len(data) // SMALL // 65536 + 2
    assert waiting.readings - readings <= count // 16 + 5 * (wire.recvs - recvs) + 2
    assert calls.total <= most_calls * count, (calls.python, calls.builtin)


def test_one_slow_handler_does_not_make_all_others_dear():
    data = frame(TEXT, b'x' * 32) * SMALL
    wire = Wire([data])
    _, events, waiting = connect(wire)
    take(events, 'text', SMALL // 2)
    waiting.now += 0.02                             # a pause of the garbage collector is enough for it
    recvs, readings = wire.recvs, waiting.readings
    take(events, 'text', 2000)
    assert wire.recvs == recvs                      # all of one read
    assert waiting.readings - readings <= 2000 // 16 + 20


def test_the_parser_is_resumed_once_for_each_message():
    core = open_client()
    data = frame(TEXT, b'x' * 30) * 100
    place = core.get_buffer()
    place[:len(data)] = data
    core.advance(len(data), 1.0, 1.0)
    resumed = 0
    for event in core.events:
        resumed += 1
        if event is None:
            break
    assert resumed == 101


# The lines of the parser that run for one message; by the way of all other frames 45
# and more.
@pytest.mark.parametrize('size, is_compressed, most_lines', [
    (30, False, 24), (1000, False, 24), (8000, False, 24), (30, True, 28), (1000, True, 28)])
@pytest.mark.parametrize('kind', ['text', 'binary'])
def test_a_whole_message_takes_the_short_way_of_the_parser(kind, size, is_compressed, most_lines):
    payload = base64.b64encode(os.urandom(size))[:size]
    if is_compressed:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        payload = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    data = frame(FIRST[kind], payload, rsv=4 if is_compressed else 0) * 100
    count, lines = lines_of_the_parser(data)
    assert count == 100 and lines <= most_lines * 100 + 20


def test_fragments_take_the_short_way_of_the_parser():
    count, lines = lines_of_the_parser(frame(BINARY, b'ab', fin=False) + frame(
        CONTINUATION, b'cd', fin=False) * 98 + frame(CONTINUATION, b'ef'))
    assert count == 1 and lines <= 24 * 100 + 20


def lines_of_the_parser(data):
    """Return how many messages come of some bytes, and how many lines of the parser run."""
    receive_buffer = ReceiveBuffer()
    receive_buffer.put_back(data)
    codec = PerMessageDeflate(DeflateParameters(server_no_context_takeover=True), True)
    events = parse_frames(receive_buffer, None, None, codec)
    lines = []

    def trace(stack, what, _):
        if stack.f_code.co_name == 'parse_frames':
            lines.append(what)
            return trace

    kept = sys.gettrace()
    sys.settrace(trace)
    try:
        return sum(1 for _ in iter(lambda: next(events), None)), lines.count('line')
    finally:
        sys.settrace(kept)


def test_all_fragments_of_one_read_take_one_resumption():
    core = open_client()
    data = frame(BINARY, b'ab', fin=False) + frame(CONTINUATION, b'cd', fin=False) * 500 + (
        frame(CONTINUATION, b'ef'))
    place = core.get_buffer()
    place[:len(data)] = data
    core.advance(len(data), 1.0, 1.0)
    first, second = next(core.events), next(core.events)
    assert first.data == b'ab' + b'cd' * 500 + b'ef'
    assert second is None


@pytest.mark.parametrize('largest', [64 * 1024, 256 * 1024])
def test_a_large_payload_is_read_straight_into_its_place(largest):
    size = 4 * MIB
    wire = Wire([frame(BINARY, b'x' * size)], largest=largest)
    _, events, waiting = connect(wire)
    recvs, waits = wire.recvs, waiting.waits
    assert len(take(events, 'binary', 1).data) == size
    assert wire.largest_read == largest             # more than a buffer of its own would take at first
    assert wire.recvs - recvs <= size // largest + 8
    assert waiting.waits - waits <= 4               # one for 32 reads in a row, that other wires get a turn


@needs_tracemalloc
@pytest.mark.parametrize('beginning', [0, 4000, 250000])
def test_peak_of_large_binary_messages(beginning):
    # of which some bytes come with the header, into the buffer
    size = 16 * MIB
    data = frame(BINARY, bytes(bytearray(beginning)), length=size), bytearray(size - beginning)
    wire = Wire(data * 3)
    _, events, _ = connect(wire)

    def receive():
        for event in events:
            if event.name == 'binary':
                kept = event.data                   # as a caller holds the last one
                assert len(kept) == size
            elif event.name == 'disconnected':
                break

    # the message that comes, and the last one in the caller's hands
    assert growth(receive)[0] < 2.05 * size


@needs_tracemalloc
@pytest.mark.parametrize('size', [MIB, 16 * MIB])
def test_a_large_payload_leaves_the_buffer_small(size):
    wire = Wire([frame(BINARY, bytes(bytearray(size)))] * 6)
    _, events, _ = connect(wire)
    # the last one and the one that comes: no buffer has grown, and nothing was copied
    assert growth(take, events, 'binary', 6)[0] < 2 * size + 64 * 1024


@needs_tracemalloc
@pytest.mark.parametrize('is_fragmented', [False, True])
def test_peak_of_one_large_text(is_fragmented):
    size = 8 * MIB
    if is_fragmented:
        part = size // 8
        data = [frame(TEXT, b'', length=part, fin=False), b'x' * part]
        for number in range(7):
            data += [frame(CONTINUATION, b'', length=part, fin=number == 6), b'x' * part]
    else:
        data = [frame(TEXT, b'', length=size), b'x' * size]
    wire = Wire(data)
    _, events, _ = connect(wire)
    # its pieces and the whole: join() needs both
    assert growth(take, events, 'text', 1)[0] < 2.2 * size


def size_of_each(make, count=20):
    """The bytes that each of some objects keeps."""
    kept = [make(), make()]
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept += [make() for _ in range(count)]
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()


def _idle():
    """A connection that has waited for a while."""
    websocket, events, _ = kept = connect(Wire(echoes=True), Sleeping)
    take(events, 'poll', 2)
    return kept


# Of the second, the wire and what a test makes for it take 3 KB.  Objects and frames of
# older Pythons are larger.
@needs_tracemalloc
@pytest.mark.parametrize('make, most', [
    (lambda: WebSocket('ws://counted.test/'), 4000), (_idle, 20000 + 3000)])
def test_memory_of_a_connection_without_messages(make, most):
    size = size_of_each(make)
    assert size < (most if sys.version_info >= (3, 11) else most * 1.25), size


# --- fragments ---

def _fragments(count, kind):
    payload = b'ab' if kind == 'text' else b'\x00\xff'
    return (frame(FIRST[kind], payload, fin=False) + frame(CONTINUATION, payload, fin=False) * (count - 2)
            + frame(CONTINUATION, payload))


def _cost_of_fragments(count, kind):
    wire = Wire([_fragments(count, kind)])
    _, events, _ = connect(wire)
    recvs = wire.recvs
    with Calls() as calls:
        event = take(events, kind, 1)
    assert len(event.text if kind == 'text' else event.data) == 2 * count
    return calls.total, wire.recvs - recvs


@pytest.mark.ends
@pytest.mark.parametrize('kind', ['text', 'binary'])
def test_fragments_cost_linear_calls(kind):
    few, few_recvs = _cost_of_fragments(16384, kind)
    many, many_recvs = _cost_of_fragments(65536, kind)
    assert many <= 5 * few
    assert many_recvs <= 5 * few_recvs


@pytest.mark.ends
@needs_tracemalloc
@pytest.mark.parametrize('kind', ['text', 'binary'])
def test_fragments_cost_linear_memory(kind):
    peaks = []
    for count in 8192, 32768:
        wire = Wire([_fragments(count, kind)])
        _, events, _ = connect(wire)
        peaks.append(growth(take, events, kind, 1)[0])
    assert peaks[1] <= 5 * peaks[0]
    assert peaks[1] < 2 * MIB           # no object stays for each fragment of 2 bytes


# --- sending ---

@pytest.mark.parametrize('kind, size', [('text', 32), ('text', 1024), ('binary', 32), ('binary', 65536)])
def test_a_message_is_one_write(kind, size):
    wire = Wire(echoes=True)
    websocket, events, _ = connect(wire)
    send = websocket.send_text if kind == 'text' else websocket.send_binary
    payload = 'x' * size if kind == 'text' else b'x' * size
    sends = wire.sends
    for _ in range(10):
        send(payload)
    assert wire.sends - sends == 10


def test_a_large_message_is_written_by_chunks():
    wire = Wire()
    websocket, events, _ = connect(wire)
    sends = wire.sends
    websocket.send_binary(bytearray(MIB))
    assert wire.sends - sends == 16
    assert max(wire.sent_sizes) <= 64 * 1024 + 14


def _make_tables():
    """The tables of striped masking are made once in a process."""
    for octet in range(256):
        mask_payload(bytes(bytearray([octet] * 4)), b'x' * 1024)


@pytest.mark.parametrize('size, most', [(32, 22), (1024, 27 if HAS_WSACCEL else 22), (4096, 32), (65536, 32)])
def test_a_small_send_costs_few_calls(size, most):
    _make_tables()
    # Counted, three of the wire's own among them (38 when each question was a call, and
    # there were three integers in a frame).  2.7 masks four stripes, asks whether it
    # was forked, and looks for surrogates.
    if sys.version_info < (3,):
        most = 32
    if not IS_COUNTED:          # PyPy's own library is Python
        most += 2
    wire = Wire()
    websocket, events, waiting = connect(wire)
    text = 'x' * size
    for _ in range(20):
        websocket.send_text(text)
    before = waiting.readings, waiting.waits, waiting.wakes
    with Calls() as calls:
        for _ in range(500):
            websocket.send_text(text)
    # nothing looks at the clock, and the loop is not woken
    assert (waiting.readings, waiting.waits, waiting.wakes) == before
    # 0.5: keys come by 256
    assert calls.total <= (most + 0.5) * 500, (calls.python / 500, calls.builtin / 500)


@needs_tracemalloc
@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_a_large_send_copies_chunks_only(kind):
    wire = Wire()
    websocket, events, _ = connect(wire)
    data = kind(bytearray(16 * MIB))
    # a chunk of 64 KiB and its stripes
    assert growth(websocket.send_binary, data)[0] < 200 * 1024


def test_a_round_trip():
    wire = Wire(echoes=True)
    websocket, events, waiting = connect(wire)
    websocket.send_text('warm')
    take(events, 'text', 1)
    recvs, sends, waits, blocked = wire.recvs, wire.sends, waiting.waits, wire.blocked
    for _ in range(100):
        websocket.send_text('x' * 32)
        take(events, 'text', 1)
    assert wire.sends - sends == 100
    assert waiting.waits - waits <= 100                 # at most one; here the echo is there at once
    assert wire.recvs - recvs - (wire.blocked - blocked) == 100
    assert wire.blocked - blocked <= 100                # the read that finds nothing leads to the wait


class SystemCalls(Calls):
    """Names those of the system, too."""

    NAMES = ('recv_into', 'recv', 'send', 'poll', 'read', 'write', 'select')

    def __enter__(self):
        self.names = []
        return super(SystemCalls, self).__enter__()

    def _count(self, frame, what, function):
        super(SystemCalls, self)._count(frame, what, function)
        if what == 'c_call' and function.__name__ in self.NAMES:
            self.names.append(function.__name__)


@pytest.mark.skipif(not hasattr(select, 'poll'), reason='Windows waits by select()')
def test_a_round_trip_that_waits():
    peer = EchoPair()

    class Answered(Waiting):
        """The answer comes while it is waited for: the longest way."""

        def wait(self, waits, deadline):
            kept = sys.getprofile()
            sys.setprofile(None)
            peer.turn()
            sys.setprofile(kept)
            return super(Answered, self).wait(waits, deadline)

    class Session(WebsocketSession):
        waiting = Answered

        def _connect(self):
            return peer.ours, None

    websocket = WebSocket('ws://counted.test/', proxies={})
    events = websocket.connect(session_class=Session)
    take(events, 'ready', 1)

    def trips(count):
        for _ in range(count):
            websocket.send_text('x' * 32)
            take(events, 'text', 1)

    _make_tables()
    trips(50)
    with SystemCalls() as calls:
        trips(100)
    events.close()
    peer.close()
    # A read in vain before each wait is left out once it has been in vain some times,
    # and tried now and then.
    assert calls.names.count('send') == calls.names.count('poll') == 100
    assert calls.names.count('recv_into') <= 110
    assert len(calls.names) <= 310, calls.names
    # 104 when each question was a call; on 2.7, whose sockets are Python code, 126
    most = 70 if sys.version_info[0] > 2 else 95
    assert calls.total <= most * 100, (calls.python / 100, calls.builtin / 100)


class _Turning(Waiting):
    """The client's message comes while it is waited for: the longest way."""

    def wait(self, waits, deadline):
        kept = sys.getprofile()
        sys.setprofile(None)
        self.turn()
        sys.setprofile(kept)
        return super(_Turning, self).wait(waits, deadline)


def _serve_in_thread(client):
    """Return functions that echo one message, as the thread of a handler does, and end."""
    def session_class(*args):
        session = AcceptedSession(*args)
        session.waiting = _Turning
        return session
    websocket = Options(list).take(client.accept(), ('192.0.2.1', 4711), session_class)
    client.sock.setblocking(True)
    client.sock.sendall(REQUEST)
    _Turning.turn = staticmethod(lambda: None)
    assert shake_hands(websocket)
    _Turning.turn = staticmethod(lambda: client.sock.sendall(ASKED))
    return lambda: websocket.send_text(next(websocket).text), lambda: end(websocket)


def _serve_in_group(client):
    """Return the same for a Group, which waits before each look in any case."""
    server = Server()
    events, client.sock = iter(Group([server], poll=1000)), socket.create_connection(server.addresses[0][:2])
    client.sockets.append(client.sock)
    client.sock.sendall(REQUEST.replace(b'x', b'localhost', 1))
    assert [next(events)[1].name for _ in range(2)] == ['poll', 'accepted']

    def echo():
        kept = sys.getprofile()
        sys.setprofile(None)
        client.sock.sendall(ASKED)
        sys.setprofile(kept)
        websocket, event = next(events)
        websocket.send_text(event.text)
    return echo, events.close


ASKED, ECHOED = frame(TEXT, b'x' * 32, key=KEY), frame(TEXT, b'x' * 32)


# On 2.7 sockets are Python code.
@pytest.mark.skipif(not hasattr(select, 'epoll'), reason='poll() and epoll are counted')
@pytest.mark.parametrize('serve, most', [(_serve_in_thread, 72), (_serve_in_group, 90)])
def test_an_echo_of_a_server(serve, most):
    """Three system calls for each message, though it is waited for, and few of ours."""
    client = Client()
    echo, leave = serve(client)
    assert client.sock.recv(1000).endswith(b'\r\n\r\n')

    def echoes(count):
        for _ in range(count):
            echo()
        data = b''
        while len(data) < len(ECHOED) * count:
            data += client.sock.recv(65536)
        assert data == ECHOED * count
    echoes(50)
    with SystemCalls() as calls:
        echoes(100)
    leave()
    assert calls.names.count('send') == calls.names.count('poll') == 100
    assert calls.names.count('recv_into') <= 110
    most += 25 * (sys.version_info[0] < 3)
    assert calls.total <= most * 100, (calls.python / 100, calls.builtin / 100)


# --- rest ---

@pytest.mark.skipif(not IS_COUNTED or not hasattr(select, 'poll'), reason='counts CPython, and poll()')
def test_connecting_costs_few_calls():
    """From the constructor to Disconnected, over loopback, with a wait for each answer.
    """
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(1)
    url = 'ws://127.0.0.1:{}/'.format(listener.getsockname()[1])
    peers, kept_open = [], []

    class Answered(Waiting):
        def wait(self, waits, deadline):
            kept = sys.getprofile()
            sys.setprofile(None)
            if peers:
                peers.pop().sendall(close_frame(1000, b'goodbye'))
            else:
                peers[:] = [listener.accept()[0]] * 2
                kept_open.append(peers[0])
                key = peers[0].recv(4096).partition(b'Sec-WebSocket-Key: ')[2].partition(b'\r\n')[0]
                peers.pop().sendall(upgrade(key))
            sys.setprofile(kept)
            return super(Answered, self).wait(waits, deadline)

    class Session(WebsocketSession):
        waiting = Answered

    def run():
        names = []
        websocket = WebSocket(url, proxies={})
        for event in websocket.connect(session_class=Session):
            names.append(event.name)
            if event.name == 'ready':
                websocket.close()
        return names

    try:
        run()
        with SystemCalls() as calls:
            names = run()
    finally:
        for sock in kept_open + [listener]:
            sock.close()
    assert names == ['connecting', 'connected', 'ready', 'poll', 'closed', 'disconnected']
    # One poll object and two waits: the connection itself stands at once.  Only before
    # the answer to close() is there a look that finds nothing.
    assert (calls.names.count('poll'), calls.names.count('recv_into')) == (3, 3)
    # On 2.7, more of socket is Python.
    most = 540 if sys.version_info[0] > 2 else 620
    assert calls.total <= most, (calls.python, calls.builtin)


def test_an_idle_connection_sleeps_until_its_deadlines():
    class Silent(Wire):
        def __init__(self):
            super(Silent, self).__init__()
            self._blocks = True

    wire = Silent()
    _, events, waiting = connect(wire, waiting_class=Sleeping)
    began = waiting.now
    polls = 0
    while waiting.now < began + 10:
        polls += next(events).name == 'poll'
    in_time = [when for when in waiting.slept_until if when <= began + 10]
    assert polls == 3                                   # at once, after 5 s, after 10 s
    assert len(in_time) <= 4
    assert wire.sends == 2                              # the request and the first ping


# --- imports ---

#: What costs 5 to 25 ms each, and is imported when it is first needed.
DEAR = ('ssl', 'urllib.request', 'urllib2', 'json', 'email', 'logging', 'hashlib', 'http.client', 'httplib',
        'certifi', 'asyncio')
#: Regular expressions are compiled when an input needs them: an eighth of all that an
#: import costs.
#: 2.7 has to import ``re`` itself, as the standard library of 3.6, 3.7 (``threading``)
#: and PyPy does.
NOT_YET = ('six', 'base64') + (('re',) if sys.version_info >= (3, 8) and IS_COUNTED else ())

_PROGRAM = """
import sys
before = set(sys.modules)
{}
print(' '.join(sorted(set(sys.modules) - before)))
"""


@pytest.mark.parametrize('statement', ['import lomond', 'from lomond import WebSocket'])
def test_import_pulls_in_nothing_dear(statement):
    output = subprocess.check_output([sys.executable, '-c', _PROGRAM.format(statement)])
    imported = set(output.decode('ascii').split())
    assert any(name.startswith('lomond') for name in imported)
    assert not imported.intersection(DEAR + NOT_YET)
