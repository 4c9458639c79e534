# -*- coding: utf-8 -*-
"""One message in parts, by itself and in a loop on a made-up wire and clock (loops.md, section 4)."""

from __future__ import absolute_import, division, unicode_literals

import io
import itertools
import os
import sys
import zlib
from functools import partial

import pytest
from support.cores import open_client, open_server
from support.frames import BINARY, CONTINUATION, TEXT, read_frames
from support.interrupt import EVENTS, each_step
from test_writer import FILES, make

from lomond import WebSocket, errors
from lomond._compat import to_bytes
from lomond.compression import Deflate
from lomond.driver.outgoing_stream import FILE_PART, OutgoingStream, PushedStream
from lomond.driver.writer import Behind
from lomond.protocol.permessage_deflate import DeflateParameters
from lomond.testing import ACCEPT, EOF, ScriptedTransport, close_frame, ping_frame, room, text_frame


class Iterable(object):
    """Gives these parts, or raises them; it notes when it is closed."""

    def __init__(self, *parts):
        self.parts = list(parts)
        self.is_closed = False

    def __iter__(self):
        while self.parts:
            part = self.parts.pop(0)
            if isinstance(part, Exception):
                raise part
            yield part() if callable(part) else part

    def close(self):
        self.is_closed = True


def encode(parts, core, compress=True):
    """Return the frames of a message: ``(fin, rsv, opcode, payload)``."""
    stream, data = OutgoingStream(parts, compress), b''
    stream.begin()
    while not stream.is_done:
        stream.advance()
        encoded = stream.encode(core)
        data += encoded if isinstance(encoded, (bytes, bytearray)) else b''.join(map(to_bytes, encoded))
    return [(fin, rsv, opcode, payload) for fin, rsv, opcode, _, payload in read_frames(data)]


# -- the parts

@pytest.mark.parametrize('core', [open_client, open_server])
@pytest.mark.parametrize('parts, opcode, payloads', [
    ([], BINARY, []), ([b''], BINARY, []), ([''], TEXT, []),
    (lambda: Iterable(b'a', b'', b'bc'), BINARY, [b'a', b'bc']),
    (['', 'ä', '€'], TEXT, [b'\xc3\xa4', b'\xe2\x82\xac']),
    (lambda: (bytearray(b'x' * 70000), memoryview(b'y'), b'z'), BINARY, [b'x' * 70000, b'y', b'z']),
    (lambda: io.BytesIO(b'f' * (FILE_PART + 1)), BINARY, [b'f' * FILE_PART, b'f']),
    (lambda: io.StringIO('text'), TEXT, [b'text']),
])
def test_each_part_is_a_frame_and_an_empty_one_ends_the_message(parts, opcode, payloads, core):
    frames = encode(parts() if callable(parts) else parts, core())
    assert frames == [(0, 0, CONTINUATION if number else opcode, payload)
                      for number, payload in enumerate(payloads)] + [
                          (1, 0, CONTINUATION if payloads else opcode, b'')]


@pytest.mark.parametrize('parts, error', [
    (b'bytes', 'parts must be an iterable of bytes or of text, or a binary file, not '),
    ('text', 'use send_binary or send_text'), (bytearray(b'x'), 'bytearray'),
    (memoryview(b'x'), 'memoryview'), (None, 'not NoneType'), (7, 'not int'),
    ([1, 2], 'parts must be bytes-like objects or text, not int'),
    ([None], 'not NoneType'), ([['x']], 'not list'), (io.StringIO, 'not type')])
def test_wrong_parts(parts, error):
    with pytest.raises(TypeError) as caught:
        OutgoingStream(parts).begin()
    assert error in str(caught.value)


@pytest.mark.parametrize('parts, error', [([b'x', '', b'y'], 'after bytes, '), (['', b'y'], 'after text, ')])
def test_mixed_parts(parts, error):
    with pytest.raises(TypeError) as caught:
        encode(parts, open_client())
    assert error in str(caught.value)


@pytest.mark.parametrize('settings', [{}, dict(client_no_context_takeover=True),
                                      dict(client_max_window_bits=9)])
def test_compressed_parts(settings):
    """RSV1 is on the first frame only, and each part can be inflated when it has come (RFC 7692, 7.2.1)."""
    core = open_client()
    core.set_up_codec(DeflateParameters(**settings))
    inflater = zlib.decompressobj(-15)
    for parts in [b'one ' * 50, b'', b'two' * 40000, b'3'], ['ä' * 200, '€'], [b'one ' * 50]:
        due = [part for part in parts if part]
        frames = encode(parts, core)
        assert [(fin, rsv, opcode) for fin, rsv, opcode, _ in frames] == (
            [(0, 4, BINARY if isinstance(due[0], bytes) else TEXT)] +
            [(0, 0, CONTINUATION)] * (len(due) - 1) + [(1, 0, CONTINUATION)])
        if settings:
            inflater = zlib.decompressobj(-15)
        for part, (_, _, _, payload) in zip(due, frames):
            assert inflater.decompress(payload) == (part if isinstance(part, bytes) else part.encode('utf-8'))
        assert inflater.decompress(frames[-1][3] + b'\0\0\xff\xff') == b'' and not frames[-1][3]
    assert [rsv for _, rsv, _, _ in encode([b'x', b'y'], core, compress=False)] == [0, 0, 0]
    assert encode([], core) == [(1, 0, BINARY, b'')]


# -- in a loop

def play(script, handlers, options=None, **settings):
    """Return the names of all events but Poll, the last event, and the wire."""
    wire = ScriptedTransport([ACCEPT] + script)
    websocket, names = WebSocket('ws://example.org/', proxies={}, **(options or {})), []
    settings = dict(dict(ping_rate=0, poll=1000), **settings)
    for event in websocket.connect(session_class=wire.session_class, **settings):
        names.append(event.name)
        handlers.get(event.name, lambda websocket: None)(websocket)
    return ' '.join(name for name in names if name != 'poll'), event, wire


def shown(wire):
    """What the server has seen: the name of each event, and what it says."""
    return [(event.name, getattr(event, 'data', getattr(event, 'text', getattr(event, 'code', None))))
            for _, event in wire.events]


def sent_frames(wire):
    """The opcodes of all frames."""
    data = b''.join(data for _, data in wire.sent)
    return [opcode for _, _, opcode, _, _ in read_frames(data[data.index(b'\r\n\r\n') + 4:])]


def test_loop_sends_the_parts_and_goes_on():
    """Events, pongs between the frames, messages after them, and Drained."""
    def ready(websocket):
        websocket.send_text('before')
        websocket.send_stream(parts)
        assert len(parts.parts) == 3 and websocket.session.is_streaming
        websocket.send_text('behind')
        websocket.session.queue_message(TEXT, b'last')
        websocket.send_ping(b'ping')
        with pytest.raises(errors.WebSocketError) as caught:
            websocket.send_stream([b'another'])
        assert 'another message in parts' in str(caught.value)

    def drained(websocket):
        if len(seen) == 0:
            websocket.send_stream(['again'])
        seen.append(websocket.session.is_streaming)
    seen, parts = [], Iterable(b'x' * 100, b'y' * 100, b'', b'z' * 100)
    names, last, wire = play(
        [room(0), 1, ping_frame(b'1'), 1, room(50), text_frame('x'), 1, room(80), ping_frame(b'2'), 1,
         room(None), 1, close_frame(1000), EOF], {'ready': ready, 'drained': drained})
    assert names == ('connecting connected ready ping text ping drained drained closing disconnected')
    assert last.graceful and seen == [True, False] and not parts.is_closed
    assert shown(wire) == [('text', 'before'), ('ping', b'ping'), ('pong', b'1'), ('pong', b'2'),
                           ('binary', b'x' * 100 + b'y' * 100 + b'z' * 100), ('text', 'behind'),
                           ('text', 'last'), ('text', 'again'), ('closing', 1000)]


@pytest.mark.parametrize('end, reason, codes', [
    (lambda websocket: websocket.close(1001), 'closed', [1001]),
    (lambda websocket: websocket.force_disconnect(), 'disconnected; force_disconnect', []),
    (lambda websocket: websocket.session.close(), 'closed', []), (None, 'socket fail; connection lost', [])])
def test_rest_is_given_up_at_the_end(end, reason, codes):
    """The iterable is closed, and nothing that follows is sent."""
    def text(websocket):
        assert parts.parts and not parts.is_closed
        websocket.send_text('behind')
        if end is not None:
            end(websocket)
    parts = Iterable(*[b'x' * 1000] * 50)
    script = [room(5000), text_frame('x'), 1] + [room(None), close_frame(1001)] * bool(codes) + [EOF]
    names, last, wire = play(script, {'ready': lambda websocket: websocket.send_stream(parts), 'text': text})
    assert (last.reason, names) == (reason, 'connecting connected ready text %sdisconnected' % (
        'closed ' if codes else ''))
    assert parts.is_closed and len(parts.parts) > 40
    assert [event for event in shown(wire) if event[0] != 'closing'] == []
    assert [code for name, code in shown(wire) if name == 'closing'] == codes


@pytest.mark.parametrize('parts, error', [
    (Iterable(b'x', ValueError('mine')), ValueError), (Iterable(b'x', 'y'), TypeError),
    (Iterable(b'x', b'y' * 100, 5), TypeError), (Iterable('', '\ud800'), UnicodeError)])
def test_parts_that_fail_end_the_connection(parts, error):
    """The exception comes out of the loop, and the peer is told 1011."""
    wire = ScriptedTransport([ACCEPT, 10, text_frame('never')])
    websocket, names = WebSocket('ws://example.org/', proxies={}), []
    with pytest.raises(error):
        for event in websocket.connect(session_class=wire.session_class, ping_rate=0, poll=1000):
            names.append(event.name)
            if event.name == 'ready':
                websocket.send_stream(parts)
    assert names[:3] == ['connecting', 'connected', 'ready'] and parts.is_closed and websocket.is_closed
    assert [code for name, code in shown(wire) if name == 'closing'] == [1011] and wire.is_closed
    assert 'binary' not in dict(shown(wire))


def test_first_part_that_fails_sends_nothing():
    def ready(websocket):
        for parts, error in ([ValueError('mine')], ValueError), ([7], TypeError):
            with pytest.raises(error):
                websocket.send_stream(Iterable(*parts))
        assert not websocket.session.is_streaming
        websocket.send_text('goes on')
    names, last, wire = play([1, close_frame(1000), EOF], {'ready': ready})
    assert last.graceful and shown(wire) == [('text', 'goes on'), ('closing', 1000)]


def test_send_timeout_holds_for_each_part():
    """A part every 3 s is enough for 4 s."""
    parts = Iterable(*[b'x' * 100] * 30)
    names, last, wire = play([room(0)] + [3, room(110)] * 5,
                             {'ready': lambda websocket: websocket.send_stream(parts)}, send_timeout=4.0)
    assert last.reason == 'socket fail; the peer took nothing for 4.0s (send_timeout)'
    assert wire.clock.elapsed == 19 and parts.is_closed and len(parts.parts) > 20


def test_slow_iterable_is_no_slow_peer():
    """It should not wait, but if it does, that does not count."""
    clocks = []
    parts = Iterable(*[lambda: clocks[0].advance(100) or b'x'] * 3)
    _, last, wire = play([lambda wire: clocks.append(wire.clock), 1000, close_frame(1000), EOF],
                         {'ready': lambda websocket: websocket.send_stream(parts)}, send_timeout=1.0)
    assert last.graceful and shown(wire)[0] == ('binary', b'xxx')


def test_others_have_their_turn_after_a_mebibyte():
    """A peer that takes everything: what it says is heard after 1 MiB, not after 64 MiB."""
    def text(websocket):
        seen.append(len(parts.parts))
    seen, parts = [], Iterable(*[b'x' * 65536] * 1024)
    play([text_frame('1'), text_frame('2'), 1, close_frame(1000), EOF],
         {'ready': lambda websocket: websocket.send_stream(parts), 'text': text})
    assert 1024 - 40 < seen[1] <= seen[0] < 1024 and not parts.parts


def test_it_is_a_message_for_the_trace():
    records = []
    play([1, close_frame(1000), EOF], {'ready': lambda websocket: websocket.send_stream(['ab', 'ä'])},
         dict(trace=records.append))
    record, = [record for record in records if record['stage'] == 'send_text']
    assert (record['length'], record['compressed']) == (4, False)


# -- interrupts

@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('in_loop, takes', [(False, 1 << 30), (False, 5), (True, 1 << 30), (True, 5)])
def test_interrupt_amid_a_stream(in_loop, takes, events):
    """The lock is free; the next send goes, is queued, or refused, and is never inside of the message."""
    def run(step):
        writer, wire, loop, core = make(takes=lambda now: takes)
        loop.is_loop_thread = lambda: in_loop
        loop.clock = partial(next, itertools.count(1000.0, 0.1))
        loop.max_queued, loop.note_queued = None, lambda size: None
        stream = OutgoingStream([b'one', b'two'])
        stream.begin()
        try:
            with step:
                if in_loop:
                    writer.hold_for(stream)
                    core.send_queue.queue_message(TEXT, b'held', False)
                    writer.try_flush()
                    while not stream.is_over:
                        stream.advance()
                        writer.put_part(stream)
                else:
                    writer.send_stream(stream)
        except KeyboardInterrupt:
            if in_loop:
                writer.cut(stream)
        if writer._lock.is_taken() or writer._row:
            return 'the lock is taken'
        try:
            try:
                writer.send(TEXT, b'after')
            except Behind:
                writer.send_behind(TEXT, b'after', False)
        except errors.WebSocketError as error:
            return None if writer.error is not None or not core.state.may_send else 'refused: %s' % error
        for _ in range(20):
            writer.try_flush()
        if writer.error is None and core.state.may_send:
            found = [item[4] for item in read_frames(wire.written)]
            parts = [part for part in found if part not in (b'held', b'after')]
            if found[-1:] != [b'after'] or parts not in ([], [b'one', b'two', b'']):
                return repr(found)
    assert each_step(run, files=FILES + (os.path.join('driver', 'outgoing_stream.py'), os.path.join(
        'protocol', 'send_queue.py')), events=(events,)) > 20


def test_parts_that_are_never_compressed_and_parts_that_are_pushed():
    core = open_client()
    core._deflate = Deflate(min_size=sys.maxsize)
    core.set_up_codec(DeflateParameters())
    assert [rsv for _, rsv, _, _ in encode([b'x' * 500], core)] == [0, 0]
    stream = PushedStream()
    stream.advance()                    # nobody asked to be told
    stream.push(b'')
    stream.advance()
    assert not stream.has_part
    stream.push(b'x')
    stream.advance()
    stream.advance()
    assert stream.has_part and (stream.size, stream.length) == (1, 1)
