# -*- coding: utf-8 -*-
"""Messages in parts (``stream_from``); ``check_parser`` feeds all other vectors in parts, too."""

from __future__ import absolute_import, division, unicode_literals

import platform
import subprocess
import sys
import zlib

import pytest
from support.cores import Log, join_parts, open_client, open_server
from support.frames import BINARY, CONTINUATION, PING, TEXT, frame
from support.memory import growth, needs_tracemalloc

from lomond.protocol.frame_parser import GIVEN
from lomond.protocol.parts import LARGEST_PART, Parts
from lomond.protocol.permessage_deflate import DeflateParameters, PerMessageDeflate

HALF = '\u2603'.encode('utf-8')


def run(data, stream_from=0, make=open_client, **settings):
    """Feed bytes at once; return the entries of the log."""
    log = Log(make(stream_from=stream_from, **settings))
    for piece in data if isinstance(data, list) else [data]:
        log.feed(piece)
    return log.entries


def deflated(payload, end=zlib.Z_SYNC_FLUSH):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(payload) + compressor.flush(end)
    return data[:-4] if end == zlib.Z_SYNC_FLUSH else data


@pytest.mark.parametrize('stream_from, data, names', [
    (None, frame(TEXT, b'x' * 70000), ['text']),
    (5, frame(TEXT, b'12345'), ['text']),                   # the frame of the peer decides,
    (5, [frame(TEXT, b'12345')[:4], b'345'], ['text']),     # not how TCP cuts it
    (5, frame(TEXT, b'123456'), ['text_part']),
    (5, frame(BINARY, b'123456'), ['binary_part']),
    (0, frame(BINARY, b''), ['binary']),
    (0, frame(BINARY, b'1'), ['binary_part']),
    (9, frame(BINARY, b'', fin=False) + frame(CONTINUATION, b''), ['binary_part']),
    (9, frame(TEXT, b'1', fin=False) + frame(CONTINUATION, b''), ['text_part'] * 2),
    (9, frame(TEXT, b'1', fin=False) + frame(PING, b'') + frame(CONTINUATION, b'2'),
     ['text_part', 'send', 'ping', 'text_part']),
], ids=str)
def test_which_messages_come_in_parts(stream_from, data, names):
    assert [entry[0] for entry in run(data, stream_from)] == names


@pytest.mark.parametrize('size', [7, 8])
def test_size_on_the_wire_decides(size):
    data = deflated(b'x' * 500)
    kind = 'text' if size >= len(data) else 'text_part'
    assert len(data) == 8
    assert run(frame(TEXT, data, rsv=4), size, compression=DeflateParameters())[0][:2] == (kind, 'x' * 500)


@pytest.mark.parametrize('masked, make', [(False, open_client), (True, open_server)])
@pytest.mark.parametrize('at', range(1, 10))
def test_characters_are_not_cut(at, masked, make):
    text = '\xe9\u2603\U0001f600'           # of two, three and four bytes
    data = text.encode('utf-8')
    frames = [frame(TEXT, data[:at], fin=False, key=b'abcd' if masked else None),
              frame(CONTINUATION, data[at:], key=b'abcd' if masked else None)]
    if at == len(data):
        frames[1] = frame(CONTINUATION, b'', key=b'abcd' if masked else None)
    entries = run(frames, 0, make)
    assert join_parts(entries) == [('text', text)]
    assert ''.join(entry[1] for entry in entries[:-1]) == data[:at].decode('utf-8', 'ignore')


def test_large_parts_are_cut():
    parts = run(frame(BINARY, b'x' * (3 * LARGEST_PART + 1)))
    assert all(len(part[1]) <= LARGEST_PART for part in parts)
    parts = run(frame(TEXT, deflated(b'x' * (2 * LARGEST_PART)), rsv=4), compression=DeflateParameters())
    assert [(len(part[1]), part[2:]) for part in parts] == [
        (LARGEST_PART, (True, False)), (LARGEST_PART, (False, True))]


@pytest.mark.parametrize('make, key', [(open_client, None), (open_server, b'abcd')])
def test_bytes_of_the_system_are_parts(make, key):
    """Without a copy, while much is missing, and nothing is unparsed."""
    core, data = make(stream_from=0), bytes(bytearray(range(256))) * (GIVEN // 256)
    message = frame(BINARY, data + b'end' + data, key=key)
    header = len(message) - 2 * len(data) - 3
    place = core.receive_buffer
    assert [event.data for event in core.receive(message[:header + 1])] == [data[:1]]
    assert place.wanted == min(LARGEST_PART, 2 * len(data) + 2)
    parts = []
    for start, stop, is_wanted in (1, 5, True), (5, len(data) + 4, False):
        given = place.given = message[header + start:header + stop]
        parts.extend(core.buffer_updated(stop - start))
        assert key or parts[-1].data is given
        assert bool(place.wanted) == is_wanted
    parts.extend(core.receive(message[header + len(data) + 4:]))
    assert b''.join([data[:1]] + [part.data for part in parts]) == data + b'end' + data
    assert parts[-1].is_last and not place.wanted


PAGE_FAULTS = """
import resource
from lomond.protocol.connection import CLIENT, Connection
core = Connection(CLIENT, stream_from=0, max_message_size=None)
list(core.receive({header!r}))
first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    parts = [b'x' * size for size in (262144, 200000, 262144)]
    del parts
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)
"""


@pytest.mark.ends
@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc' or '__pypy__' in sys.modules,
                    reason='it is how CPython uses the C library of GNU')
def test_memory_of_large_parts_stays_with_the_process():
    """Otherwise a part of 256 KiB costs 64 page faults (14,000 here)."""
    script = PAGE_FAULTS.format(header=frame(BINARY, b'', length=1 << 30))
    assert int(subprocess.check_output([sys.executable, '-B', '-c', script])) < 2000


@pytest.mark.parametrize('data, before, error', [
    (frame(TEXT, b'good', fin=False) + frame(CONTINUATION, b'\xff', fin=False), 'good', '0xff at offset 4'),
    (frame(TEXT, b'good', fin=False) + frame(CONTINUATION, b'\xe2\x98'), 'good', 'ends inside a character'),
    (frame(BINARY, b'123456', fin=False) + frame(CONTINUATION, b'78901'), b'123456', 'message is 11 bytes'),
    (frame(BINARY, b'', length=11)[:2], None, 'message is 11 bytes'),
    (frame(BINARY, deflated(b'x' * 11), rsv=4), None, 'inflates to more than 10'),
    (frame(BINARY, b'\xff\xff', rsv=4), None, 'cannot be inflated'),
])
def test_wrong(data, before, error):
    entries = run(data, 0, max_message_size=10, compression=DeflateParameters())
    parts = [entry for entry in entries if entry[0].endswith('_part')]
    assert [part[1] for part in parts] == ([] if before is None else [before])
    assert not any(part[3] for part in parts)
    failure, = [entry for entry in entries if entry[0] == 'protocol_error']
    assert error in failure[1]


@pytest.mark.parametrize('end', [zlib.Z_SYNC_FLUSH, zlib.Z_FINISH])
@pytest.mark.parametrize('most', [1, 7, 1000, 1 << 20])
def test_pieces_are_what_inflate_makes(end, most):
    messages = [b'spam ' * 300, b'', b'x', bytes(bytearray(range(256))) * 9, b'spam ' * 300]
    for cut in 1, 5, 10000:
        whole, pieces = (PerMessageDeflate(DeflateParameters(), True) for _ in range(2))
        for message in messages:
            data = deflated(message, end) + (b'\0' if end == zlib.Z_FINISH else b'')
            parts = [data[at:at + cut] for at in range(0, len(data), cut)]
            found = [piece for number, part in enumerate(parts)
                     for piece in pieces.inflate_pieces(part, number == len(parts) - 1, most)]
            assert b''.join(found) == whole.inflate(data, True, None) == message
            assert all(0 < len(piece) <= most for piece in found)


@needs_tracemalloc
@pytest.mark.ends
def test_bomb_costs_a_part():
    """48 MiB in 48 KiB, without a limit."""
    data = frame(BINARY, deflated(bytes(bytearray(48 << 20))), rsv=4)

    def work():
        core = open_client(stream_from=0, max_message_size=None, compression=DeflateParameters())
        assert sum(len(event.data) for event in core.receive(data)) == 48 << 20
    assert growth(work)[0] < 2 << 20


def test_end_inside_a_message():
    log = Log(open_client(stream_from=0))
    log.feed(frame(BINARY, b'123', fin=False))
    log.feed(b'')
    assert log.entries == [('binary_part', b'123', True, False)]


@pytest.mark.parametrize('stream_from, names', [(0, ['text_part'] * 3), (None, ['text'])])
def test_fragments_that_arrive_at_once(stream_from, names):
    data = frame(TEXT, b'1', fin=False) + frame(CONTINUATION, b'2', fin=False) + frame(CONTINUATION, b'')
    for limit in (None, 3):
        assert [entry[0] for entry in run(data, stream_from, max_message_size=limit)] == names
    packed = frame(TEXT, deflated(b'123'), rsv=4, fin=False) + frame(CONTINUATION, b'')
    found = run(packed, stream_from, compression=DeflateParameters())
    assert ''.join(entry[1] for entry in found) == '123'


def test_pieces_that_end_amid_a_character():
    parts = Parts(True, lambda data, final, most: iter(data))

    def add(pieces, final=False):
        return [event.text for event in parts.add(pieces, final)]
    assert add([b'\xe2', b'\x98', b'\x83a', b'b']) == ['\u2603a', 'b']
    assert add([]) == add([b'\xe2']) == [] and add([b'\x98\x83'], True) == ['\u2603']
    assert list(PerMessageDeflate(DeflateParameters(), True).inflate_pieces(b'', False, 10)) == []
