"""The core of a connection, driven by hand: opening, order, ends, both roles tied together."""

from __future__ import absolute_import, division, unicode_literals

import functools
import gc
import itertools
import weakref

import pytest
from support.cores import Log, check_parser, facts, open_client, open_server
from support.errors import raises
from support.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    close_frame,
    close_payload,
    frame,
    mask,
    read_frames,
)
from support.interpreters import counted, no_collector
from support.opening import HANDSHAKE_KEY, answer

from lomond import errors
from lomond.compression import Deflate
from lomond.events import Ready, Rejected
from lomond.protocol import states
from lomond.protocol.connection import CLIENT, DEFAULT_MAX_MESSAGE_SIZE, SERVER, Connection
from lomond.protocol.handshake import ClientHandshake, ServerHandshake, encode_request
from lomond.protocol.permessage_deflate import DeflateParameters

ANSWER = answer()
DEFLATE = b'Sec-WebSocket-Extensions: permessage-deflate'
REFUSAL = b'HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\n'


def client(deflate=None, protocols=(), **settings):
    return Connection(CLIENT, ClientHandshake(HANDSHAKE_KEY, protocols, deflate), deflate=deflate, **settings)


def names(events):
    return [event.name for event in events]


# --- roles and defaults ---

def test_roles():
    for role, expected in ((CLIENT, ['client', True, False, False]), (SERVER, ['server', False, True, True])):
        assert [getattr(role, name) for name in role.__slots__] == expected
    assert DEFAULT_MAX_MESSAGE_SIZE == 64 * 1024 * 1024


def test_fresh():
    core = client()
    assert core.state is states.CONNECTING and core.role is CLIENT
    assert (core.subprotocol, core.extensions, core.failure) == (None, set(), None)
    assert (core.close_received, core.close_sent) == (False, False)
    assert (core.close_code, core.close_reason) == (None, '')
    assert (core.sent_close_time, core.latency, core.supports_compression) == (None, None, False)
    assert core.max_message_size == DEFAULT_MAX_MESSAGE_SIZE and core.auto_pong is True
    assert core.take_outgoing() == []


# --- the opening handshake ---

MESSAGES = frame(TEXT, b'one') + frame(PING, b'two') + frame(BINARY, b'three')
FACTS = [('text', 'one'), ('send', PONG, b'two'), ('ping', b'two'), ('binary', b'three')]


def test_opening_in_every_way():
    """Messages that came in the packet of the 101 are all delivered."""
    data = answer(b'Sec-WebSocket-Protocol: chat') + MESSAGES
    check_parser(data, [('ready', 'chat')] + FACTS, 'OPEN', functools.partial(client, protocols=['chat']))


def test_large_surplus():
    payload = b'x' * 50000
    log = Log(client())
    data = ANSWER + frame(BINARY, payload) + frame(TEXT, b'y')
    assert len(log.core.get_buffer()) < len(data)
    log.feed(data)
    assert log.entries == [('ready', None), ('binary', payload), ('text', 'y')]
    log = Log(client())
    log.core.receive_buffer.put_back(data)          # a read that was large enough for all of it
    log.take(log.core.resume(1.0))
    assert log.entries == [('ready', None), ('binary', payload), ('text', 'y')]


def test_ready():
    core = client(deflate=Deflate())
    event, = core.receive(answer(DEFLATE), 12.5)
    assert type(event) is Ready and event.received_time == 12.5
    assert event.extensions == core.extensions == {'permessage-deflate'}
    assert core.supports_compression
    assert event.response.status_code == 101


@pytest.mark.parametrize('collect', [False, lambda response: False])
def test_rejected_at_the_end_of_the_head(collect):
    core = client()
    core.collect_body = collect
    for at in range(len(REFUSAL) - 1):
        assert list(core.receive(REFUSAL[at:at + 1])) == []
    event, = core.receive(REFUSAL[-1:] + b'01234', 3.5)
    assert type(event) is Rejected and event.received_time == 3.5
    assert event.reason == 'Websocket upgrade failed (code=503)' and event.response.body == b''
    assert core.state is states.REJECTED
    assert list(core.receive(b'56789' + MESSAGES)) == []
    assert core.take_outgoing() == [] and core.close() is None


def test_body_is_collected():
    seen = []
    def wants(response):
        seen.append(response.status_code)
        return True
    for collect in (True, wants):
        for last, body, state in ((b'456789 and more', b'0123456789', states.REJECTED),
                                  (b'45', b'012345', states.REJECTED), (b'', b'0123', states.DISCONNECTED)):
            core = client()
            core.collect_body = collect
            assert list(core.receive(REFUSAL[:20])) == list(core.receive(REFUSAL[20:] + b'0123')) == []
            assert core.state is states.REJECTED and core.state.is_closed
            events = list(core.receive(last))
            if last == b'45':                   # its second is over
                assert events == []
                core.finish_body()
                events = list(core.resume())
            event, = events
            assert event.name == 'rejected' and event.response.body == body and core.state is state
    assert seen == [503] * 3


def test_body_that_is_there():
    core = client()
    core.collect_body = True
    event, = core.receive(REFUSAL + b'0123456789')
    assert event.response.body == b'0123456789'


@pytest.mark.parametrize('data, error', [
    (b'SSH-2.0-OpenSSH\r\n', "response is not HTTP; it begins with 'SSH-2.0-OpenSSH\\r\\n', not with HTTP/"),
    (b'HTTP/1.1 101 x\r\n' + b'X-Fill: yyyyyyyyyyyyyyyy\r\n' * 4000,
     'header block is above 64 KiB (65536 bytes)'),
])
def test_no_http(data, error):
    for method in ('feed', 'fill'):
        log = Log(client())
        core = log.core
        getattr(log, method)(data)
        assert log.entries == [('protocol_error', error, True)]
        assert core.state is states.FAILED and core.failure == error
        assert core.close_sent and core.close() is None
        assert log.events[0].received_time == 1.5
        log.feed(ANSWER)
        assert len(log.entries) == 1


def test_thirty_kilobytes_of_headers():
    log = Log(client())
    log.feed(answer(*[b'X-Fill: yyyyyyyyyyyyyyyyyyyy'] * 1000) + MESSAGES)
    assert log.entries == [('ready', None)] + FACTS


@pytest.mark.parametrize('data', [b'', ANSWER[:-1], b'HTTP'])
def test_end_before_or_in_the_answer(data):
    core = client()
    assert list(core.receive(data)) == list(core.receive(b'')) == []
    assert core.state is states.DISCONNECTED and core.failure is None
    assert list(core.receive(ANSWER)) == []


@pytest.mark.parametrize('data', [ANSWER + MESSAGES, REFUSAL, b'no http'])
def test_close_before_the_answer(data):
    """Nothing comes of what arrives afterwards."""
    for before in (0, 4):
        core = client()
        if before:
            assert list(core.receive(b'HTTP')) == []
        assert core.close() is None and core.state is states.DISCONNECTED
        assert list(core.receive(data[before:])) == core.take_outgoing() == []


@pytest.mark.parametrize('data', [ANSWER, REFUSAL, b'no http at all'])
def test_disconnected_while_the_answer_is_judged(data):
    """By another thread, at the worst moment."""
    core = client()
    receive = core.handshake.receive
    def and_disconnect(piece):
        try:
            return receive(piece)
        finally:
            core.disconnect()
    core.handshake.receive = and_disconnect
    assert list(core.receive(data)) == []
    assert core.state is states.DISCONNECTED and core.failure is None


def test_fail_before_the_answer():
    core = client()
    assert list(core.receive(ANSWER[:10])) == []
    core.fail(1001, 'too slow')
    assert list(core.receive(ANSWER[10:] + MESSAGES)) == []
    assert core.state is states.FAILED and core.take_outgoing() == []


def test_mistake_of_a_callable_shows():
    """A bug of the caller is no mistake of the peer."""
    def on_response(response):
        raise KeyError('mistake')
    core = Connection(CLIENT, ClientHandshake(HANDSHAKE_KEY, on_response=on_response))
    with pytest.raises(KeyError):
        list(core.receive(ANSWER))


# --- an open connection: WSGI servers, tests ---

def test_open_from_the_start():
    for core in (open_client(), open_server(subprotocol='chat')):
        assert core.state is states.OPEN
        assert core.send_ping(b'')
    assert core.subprotocol == 'chat' and not core.supports_compression
    assert open_client(compression=DeflateParameters()).supports_compression


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_initial(kind):
    log = Log(open_client(initial=kind(MESSAGES + b'\x81')))
    log.take(log.core.resume(8.5))
    assert log.entries == FACTS and log.events[0].received_time == 8.5
    log.feed(b'\x01x')
    assert log.entries[-1] == ('text', 'x')


@pytest.mark.parametrize('more', [b'\x81\x01x', b''])
def test_initial_comes_with_what_arrives_next(more):
    """Also with the end of the stream."""
    log = Log(open_client(initial=MESSAGES))
    log.feed(more)
    assert log.entries == FACTS + ([('text', 'x')] if more else [])


def test_initial_before_a_handshake():
    """Bytes behind a proxy's answer."""
    data = ANSWER + MESSAGES
    log = Log(client(initial=data[:50]))
    log.take(log.core.resume())
    assert log.entries == []
    log.feed(data[50:])
    assert log.entries == [('ready', None)] + FACTS
    log = Log(client(initial=data))
    log.take(log.core.resume())
    assert log.entries == [('ready', None)] + FACTS


def test_resume_with_nothing():
    core = open_client()
    assert list(core.resume()) == list(core.resume()) == []
    assert names(core.receive(frame(TEXT, b'x'))) == ['text']


# --- order ---

def test_iterator_is_lazy():
    core = open_client()
    events = core.receive(frame(TEXT, b'1') + close_frame(1000) + frame(TEXT, b'2'))
    assert core.state is states.OPEN
    assert next(events).name == 'text'
    assert core.state is states.OPEN and not core.close_received
    assert next(events).name == 'closing'
    assert core.state is states.REMOTE_CLOSING and core.close_received and not core.close_sent
    assert core.take_outgoing() == []
    last = b''.join(core.send_message(TEXT, b'last words'))
    assert next(events, None) is None
    assert core.state is states.ECHOED and core.close_sent
    assert core.take_outgoing() == [(CLOSE, close_payload(1000))]
    assert read_frames(last)[0][4] == b'last words'
    with pytest.raises(errors.WebSocketClosing):
        core.send_message(TEXT, b'too late')


def test_pong_is_queued_before_its_event():
    core = open_client()
    events = core.receive(frame(PING, b'1') + frame(PING, b'2') + frame(TEXT, b'x') + frame(PING, b'3'))
    assert next(events).data == b'1' and core.take_outgoing() == [(PONG, b'1')]
    assert next(events).data == b'2' and next(events).text == 'x'
    assert core.take_outgoing() == [(PONG, b'2')]
    assert names(events) == ['ping'] and core.take_outgoing() == [(PONG, b'3')]


def test_close_frame_of_a_failure_is_queued_after_its_event():
    core = open_client()
    events = core.receive(frame(TEXT, b'good') + frame(3))
    assert next(events).name == 'text'
    assert core.state is states.OPEN
    b''.join(core.send_message(TEXT, b'answer to the good one'))
    assert next(events).name == 'protocol_error'
    assert core.state is states.FAILED and core.failure == 'opcode 3 is reserved'
    assert core.take_outgoing() == [] and not core.close_sent
    with pytest.raises(errors.WebSocketClosing):
        core.send_message(TEXT, b'x')
    assert core.close() is None
    assert next(events, None) is None
    assert core.take_outgoing() == [(CLOSE, close_payload(1002, b'opcode 3 is reserved'))]


@pytest.mark.parametrize('data, critical, code', [
    (frame(3), False, 1002), (frame(BINARY, b'x' * 101), False, 1009), (frame(TEXT, b'\xff'), True, 1007),
    (frame(BINARY, b'\xff' * 9, rsv=4), True, 1007), (close_frame(1005), False, 1002),
    (close_frame(1000, b'\xff'), True, 1007)])
def test_close_codes_of_failures(data, critical, code):
    core = open_client(max_message_size=100, compression=DeflateParameters())
    event, = core.receive(data)
    assert event.critical is critical and core.failure == event.error
    (opcode, payload), = core.take_outgoing()
    assert opcode == CLOSE and payload == close_payload(code, event.error.encode('ascii')[:123])


def test_disconnected_while_a_violation_is_found():
    """By another thread: the end has come, and no event after it."""
    core = open_client(compression=DeflateParameters())
    def inflate(data, final, limit):
        core.disconnect()
        raise errors.CriticalProtocolError('garbage')
    core._encoder.codec.inflate = inflate
    assert list(core.receive(frame(TEXT, b'x', rsv=4))) == []
    assert core.state is states.DISCONNECTED and core.failure is None and core.take_outgoing() == []


def test_reason_of_a_failure_is_cut():
    core = open_client(compression=DeflateParameters())
    event, = core.receive(frame(PING, rsv=4))
    (opcode, payload), = core.take_outgoing()
    assert len(event.error) > 123 and payload == close_payload(1002, event.error.encode('ascii')[:123])


def test_both_close_at_once():
    """The peer's frame counts as the answer and is not echoed."""
    core = open_client()
    assert core.close(1000, 'mine') == close_payload(1000, b'mine')
    log = Log(core)
    log.feed(frame(TEXT, b'1') + frame(PING, b'2') + close_frame(1001, b'theirs') + frame(TEXT, b'3'))
    assert log.entries == [('text', '1'), ('send', PONG, b'2'), ('ping', b'2'), ('closed', 1001, 'theirs')]
    assert (core.close_code, core.close_reason) == (1001, 'theirs')
    log.feed(frame(TEXT, b'4') + frame(PING) + close_frame(1000))
    assert len(log.entries) == 4 and core.state is states.CLOSED


def test_close_while_closing_is_handled():
    """The handler's own close() is the echo; it carries the peer's code."""
    core = open_client()
    events = core.receive(close_frame(4000, b'bye') + frame(PING))
    assert next(events).name == 'closing'
    assert core.close(1001, 'other') == close_payload(4000)
    assert core.state is states.ECHOED
    assert list(events) == [] and core.take_outgoing() == []


def test_close_between_two_messages():
    core = open_client()
    events = core.receive(frame(TEXT, b'1') + frame(TEXT, b'2') + frame(PING, b'3') + close_frame(1000))
    next(events)
    assert core.close()
    assert [facts(event) for event in events] == [('text', '2'), ('ping', b'3'), ('closed', 1000, '')]
    assert core.take_outgoing() == [(PONG, b'3')]


@pytest.mark.parametrize('code', [1000, None])
def test_pings_after_close_received_are_not_answered(code):
    core = open_client()
    data = frame(PING, b'1') + (frame(CLOSE) if code is None else close_frame(code)) + frame(PING, b'2')
    assert names(core.receive(data)) == ['ping', 'closing']
    assert core.take_outgoing() == [(PONG, b'1'), (CLOSE, b'' if code is None else close_payload(code))]
    assert core.close_code == code


def test_auto_pong_off():
    core = open_client()
    core.auto_pong = False
    assert names(core.receive(frame(PING, b'x'))) == ['ping'] and core.take_outgoing() == []


def test_pongs_are_bounded_when_they_cannot_be_written():
    core = open_client()
    for number in range(100):
        last = ('%d' % number).encode('ascii')
        assert len(list(core.receive(frame(PING, b'x' * 100) * 100 + frame(PING, last)))) == 101
    pongs = core.take_outgoing()
    assert len(pongs) < 700 and pongs[-1] == (PONG, b'99')


# --- feeding ---

def test_feeding_while_an_iterator_is_not_exhausted():
    core = open_client()
    two = frame(TEXT, b'1') + frame(TEXT, b'2')
    events = core.receive(two)
    next(events)
    for feed in (lambda: core.receive(b'x'), lambda: core.receive(b''), lambda: core.buffer_updated(1),
                 lambda: core.resume(), lambda: core.advance(0)):
        with raises(errors.WebSocketError,
                    'bytes were fed while an earlier iterator of events is not exhausted'):
            feed()
    assert names(events) == ['text']
    assert names(core.receive(two)) == ['text', 'text']


def test_two_iterators_at_once():
    """The second does no harm to the first."""
    core = open_client()
    one, two = core.receive(frame(TEXT, b'1') * 3), core.receive(frame(TEXT, b'2'))
    assert next(one).text == '1'
    with pytest.raises(errors.WebSocketError):
        next(two)
    assert [event.text for event in one] == ['1', '1']


def test_direct_iteration():
    """advance() and events: for drivers in a hurry."""
    core = open_client()
    data = frame(TEXT, b'1') + frame(TEXT, b'2')
    for _ in range(3):
        core.get_buffer()[:len(data)] = data
        core.advance(len(data), 5.0)
        found = []
        for event in core.events:
            if event is None:
                break
            found.append((event.text, event.received_time))
        core.events_consumed()
        assert found == [('1', 5.0), ('2', 5.0)]


def test_latency():
    core = open_client()
    core.send_ping(b'a', 100.0)
    core.queue_ping(b'b', 101.0)
    core.send_ping(b'c')
    got = []
    for now, data in ((100.5, b'a'), (103.0, b'b'), (104.0, b'b'), (105.0, b'c'), (106.0, b'')):
        event, = core.receive(frame(PONG, data), 0.0, now)
        got.append((event.latency, core.latency))
    assert got == [(0.5, 0.5), (2.0, 2.0), (None, 2.0), (None, 2.0), (None, 2.0)]
    core.send_ping(b'd', 110.0)
    event, = core.receive(frame(PONG, b'd'))
    assert event.latency is None and core.latency == 2.0


# --- the end ---

def test_end_of_stream():
    core = open_client()
    assert names(core.receive(frame(TEXT, b'1') + b'\x81\x05hal')) == ['text']
    assert list(core.receive(b'')) == []            # no half message
    assert core.state is states.DISCONNECTED
    assert list(core.receive(b'f.')) == list(core.receive(b'')) == []


def test_bytes_after_the_end_are_not_kept():
    for end in (lambda core: core.disconnect(), lambda core: core.fail(1001, 'x'),
                lambda core: list(core.receive(close_frame(1000))),
                lambda core: list(core.receive(b'\xff\xff'))):
        core = open_client()
        assert names(core.receive(frame(TEXT, b'x'))) == ['text']
        end(core)
        core.take_outgoing()
        for _ in range(50):
            assert list(core.receive(b'\x81\x01x' * 10000)) == []
        assert len(core.receive_buffer.buffer) <= 256 * 1024 and core.take_outgoing() == []


@pytest.mark.parametrize('end', ['fail', 'disconnect'])
def test_end_inside_of_a_large_payload(end):
    """Its place is given back; there is room for what still comes, which changes nothing."""
    core = open_client()
    assert list(core.receive(frame(BINARY, b'x' * 10000, length=1 << 20))) == []
    assert core.receive_buffer.direct is not None
    core.fail(1001, 'x') if end == 'fail' else core.disconnect()
    core.take_outgoing()
    for _ in range(200):
        room = len(core.get_buffer())
        assert room and list(core.buffer_updated(room)) == []
    assert core.receive_buffer.direct is None and core.take_outgoing() == []
    assert core.state is (states.FAILED if end == 'fail' else states.DISCONNECTED)


def test_disconnect_between_two_messages():
    for end, state, replies in ((lambda core: core.disconnect(), states.DISCONNECTED, []),
                                (lambda core: core.fail(1001, 'late'), states.FAILED,
                                 [(CLOSE, close_payload(1001, b'late'))])):
        core = open_client()
        events = core.receive(frame(TEXT, b'1') * 100 + close_frame(1000))
        next(events)
        end(core)
        assert list(events) == []
        assert core.state is state and core.take_outgoing() == replies


# --- memory ---

def scene(make, data=None, then=None, until=None):
    """A core that was fed, and its iterator of events, which may not be exhausted."""
    core = make()
    core.collect_body = lambda response: core is not None       # a callable may refer to the core
    events = () if data is None else core.receive(data)
    list(itertools.islice(events, until))
    if then is not None:
        then(core)
    return core, events


SCENES = [
    (client,), (functools.partial(client, deflate=Deflate()), answer(DEFLATE) + MESSAGES,
                lambda core: b''.join(core.send_message(TEXT, b'x' * 1000, compress=True))),
    (open_client, MESSAGES, None, 1),                           # between messages
    (open_client, frame(BINARY, b'x', length=1 << 20), lambda core: core.send_ping(b'')),
    (functools.partial(open_client, compression=DeflateParameters()),
     frame(TEXT, b'\xf2\x48\xcd', fin=False, rsv=4)),
    (open_client, close_frame(1000)), (open_client, b'\xff\xff'), (open_client, b''),
    (client, REFUSAL), (client, b'no http'), (client, ANSWER[:9])]
in_each_scene = pytest.mark.parametrize('arguments', SCENES, ids=[str(at) for at in range(len(SCENES))])


@counted
@in_each_scene
def test_release_leaves_no_cycle(arguments):
    with no_collector():
        core, events = scene(*arguments)
        core.release()
        core.release()
        assert core.take_outgoing() == [] and len(core.receive_buffer.buffer) == 1
        assert core._encoder.codec is None
        gone = weakref.ref(core)
        core = events = None            # noqa: F841
        assert gone() is None and gc.garbage == []


@counted
@in_each_scene
def test_core_that_nobody_releases_is_no_cycle(arguments):
    """Driven by feed() and forgotten: on 2.7 a suspended generator in a cycle is never freed."""
    with no_collector():
        core, events = scene(*arguments)
        core.collect_body = None
        gone = weakref.ref(core)
        core = events = None            # noqa: F841
        assert gone() is None


@counted
def test_unused_core_is_no_cycle():
    with no_collector():
        gone = weakref.ref(client())
        assert gone() is None


def test_zlib_is_given_back_at_the_end():
    for end in (b'\xff\xff', close_frame(1000), b''):
        core = open_client(compression=DeflateParameters())
        list(core.receive(frame(TEXT, b'\xf2\x48\xcd\xc9\xc9\x07\x00', rsv=4) + (end or b'')))
        if not end:
            list(core.receive(b''))
            core.release()
        assert core._encoder.codec is None
        assert core.supports_compression        # it was agreed on


def test_after_release():
    core = open_client()
    core.release()
    assert list(core.receive(MESSAGES)) == []
    assert len(core.receive_buffer.buffer) < 1024
    core = open_client()
    list(core.receive(b'\x81'))
    core.release()
    assert list(core.receive(b'\x01x')) == list(core.receive(b'')) == []
    assert core.state is states.DISCONNECTED


# --- both roles, tied together octet by octet ---

class Tied(object):
    """A client core and a server core; what one wants to send arrives at the other."""

    def __init__(self, piece=1, client_deflate=None, server_deflate=None, on_request=None, protocols=()):
        self.client = Log(client(client_deflate, protocols))
        self.server = Log(Connection(
            SERVER, ServerHandshake(protocols, server_deflate, on_request), deflate=server_deflate))
        self.piece = piece
        extensions = None if client_deflate is None else client_deflate.offer()
        self.to_server = encode_request('/chat', 'example.org', HANDSHAKE_KEY, protocols=protocols,
                                        extensions=extensions)
        self.to_client = b''

    def send(self, side, *arguments, **keywords):
        chunks = side.core.send_message(*arguments, **keywords)
        self.put(side, b''.join(bytes(bytearray(chunk)) for chunk in chunks))

    def put(self, side, data):
        if side is self.client:
            self.to_server += data
        else:
            self.to_client += data

    def close(self, side, *arguments):
        payload = side.core.close(*arguments)
        if payload is not None:
            self.put(side, side.core.encode_reply(CLOSE, payload))

    def run(self):
        """Until nobody has anything to say."""
        while self.to_server or self.to_client:
            for side in (self.server, self.client):
                line = 'to_server' if side is self.server else 'to_client'
                data = getattr(self, line)
                setattr(self, line, data[self.piece:])
                for event in side.core.receive(data[:self.piece], 0.0, 0.0) if data else ():
                    self.write_replies(side)
                    side.entries.append(facts(event))
                self.write_replies(side)

    def write_replies(self, side):
        for item in side.core.take_outgoing():
            self.put(side, side.core.encode_reply(*item))


DEFLATES = [(None, None), (Deflate(), Deflate()), (Deflate(), None), (None, Deflate()),
            (Deflate(server_max_window_bits=9, client_max_window_bits=9), Deflate(level=9, mem_level=9)),
            (Deflate(client_no_context_takeover=True, server_no_context_takeover=True, min_size=3),
             Deflate()), (Deflate(), Deflate(client_max_window_bits=8, server_max_window_bits=8))]


@pytest.mark.ends
@pytest.mark.parametrize('piece', [1, 7, 100000])
@pytest.mark.parametrize('deflates', DEFLATES)
def test_both_roles(piece, deflates):
    tied = Tied(piece, *deflates, protocols=['chat'])
    tied.run()
    assert tied.client.entries == tied.server.entries == [('ready', 'chat')]
    assert tied.client.core.subprotocol == tied.server.core.subprotocol == 'chat'
    compressed = None not in deflates
    for side in (tied.client, tied.server):
        assert side.core.supports_compression == compressed
        assert side.core.extensions == ({'permessage-deflate'} if compressed else set())
    messages = [(TEXT, b''), (TEXT, b'a'), (BINARY, b'spam ' * 100), (TEXT, '\u2603'.encode('utf-8') * 300),
                (BINARY, bytes(bytearray(range(256))) * (10 if piece == 1 else 300)),
                (BINARY, b'spam ' * 100), (TEXT, b'')]
    expected = [('text', payload.decode('utf-8')) if opcode == TEXT else ('binary', payload)
                for opcode, payload in messages]
    for sender, receiver in ((tied.client, tied.server), (tied.server, tied.client)):
        for number, (opcode, payload) in enumerate(messages):
            tied.send(sender, opcode, payload, compress=number != 4)
        tied.send(sender, TEXT, b'in ', fin=False)
        tied.put(sender, sender.core.send_ping(b'now', 0.0))
        tied.send(sender, 0, b'pieces')
        del receiver.entries[:]
    tied.run()
    assert tied.server.entries == expected + [('ping', b'now'), ('text', 'in pieces'), ('pong', b'now')]
    # The server's ping is behind the messages, its pong behind the client's.
    assert sorted(tied.client.entries, key=repr) == sorted(
        expected + [('ping', b'now'), ('text', 'in pieces'), ('pong', b'now')], key=repr)


@pytest.mark.parametrize('first', ['client', 'server', 'both'])
@pytest.mark.parametrize('code, reason', [(1000, 'bye'), (4999, ''), (None, '')])
def test_both_roles_close(first, code, reason):
    tied = Tied()
    tied.run()
    for name in ('client', 'server'):
        del getattr(tied, name).entries[:]
        if first in (name, 'both'):
            tied.close(getattr(tied, name), code, reason)
    tied.run()
    if first == 'both':
        assert tied.client.entries == tied.server.entries == [('closed', code, reason)]
        assert tied.client.core.state is tied.server.core.state is states.CLOSED
        return
    closer, other = (tied.client, tied.server) if first == 'client' else (tied.server, tied.client)
    assert other.entries == [('closing', code, reason)] and other.core.state is states.ECHOED
    echoed = reason if other is tied.server else ''     # browsers show what a server's echo says
    assert closer.entries == [('closed', code, echoed)] and closer.core.state is states.CLOSED


def test_server_refuses():
    tied = Tied(on_request=lambda request: (403, [('X-Why', 'no')], b'go away'))
    tied.client.core.collect_body = True
    tied.run()
    assert tied.server.entries == [('rejected', 'request was answered with status 403')]
    assert tied.client.entries == [('rejected', 'Websocket upgrade failed (code=403)')]
    assert tied.client.core.state is tied.server.core.state is states.REJECTED


def test_servers_answer_goes_first():
    """Before the pongs to pings that came with the request."""
    core = Connection(SERVER, ServerHandshake())
    events = core.receive(encode_request('/', 'example.org', HANDSHAKE_KEY)
                          + frame(PING, b'x', key=b'abcd'))
    assert next(events).name == 'ready'
    assert names(events) == ['ping']
    (raw, head), pong = core.take_outgoing()
    assert raw is None and head.startswith(b'HTTP/1.1 101 ') and pong == (PONG, b'x')
    assert core.encode_reply(raw, head) == head
    assert core.encode_reply(*pong) == frame(PONG, b'x')


def test_server_gets_no_http():
    core = Connection(SERVER, ServerHandshake())
    event, = core.receive(b'\x16\x03\x01\x02\x00')
    assert event.name == 'protocol_error' and event.critical is True
    assert core.state is states.FAILED


def test_client_masks_and_server_does_not():
    for core, masks in ((open_client(), True), (open_server(), False)):
        first, = core.send_message(TEXT, b'Hello')
        (fin, rsv, opcode, key, payload), = read_frames(first)
        assert (key is not None) == masks and payload == b'Hello'
        if masks:
            assert first == b'\x81\x85' + key + mask(key, b'Hello')
        assert bool(read_frames(core.encode_reply(CLOSE, b''))[0][3] is not None) == masks


def test_options_reach_the_codec():
    core = open_client(compression=DeflateParameters(), deflate=Deflate(min_size=10))
    for size, compress, rsv in ((9, True, 0), (10, True, 4), (100, False, 0)):
        sent, = read_frames(b''.join(core.send_message(TEXT, b'x' * size, compress=compress)))
        assert sent[1] == rsv
