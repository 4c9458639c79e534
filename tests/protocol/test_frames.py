"""Frames: the RFC's examples, every form of the length, every close code, every cut of a reason."""

from __future__ import absolute_import, division, unicode_literals

import itertools
import random
import struct
import zlib

import pytest
from support.errors import raises
from support.frames import BINARY, CONTINUATION, KEY, PING, TEXT, read_frames

from lomond import errors
from lomond.protocol import frames, masking
from lomond.protocol.frames import encode_close_payload, encode_frame, encode_masked, parse_close_payload
from lomond.protocol.permessage_deflate import DeflateParameters, PerMessageDeflate
from lomond.status import Status

# RFC 6455, 5.7, RFC 7692, 7.2.3: what is given to encode_frame, and the bytes
EXAMPLES = [
    (dict(opcode=1, payload=b'Hello'), b'\x81\x05Hello'),
    (dict(opcode=1, payload=b'Hello', masking_key=KEY), b'\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58'),
    (dict(opcode=1, payload=b'Hel', fin=False), b'\x01\x03Hel'),
    (dict(opcode=0, payload=b'lo'), b'\x80\x02lo'),
    (dict(opcode=9, payload=b'Hello'), b'\x89\x05Hello'),
    (dict(opcode=10, payload=b'Hello', masking_key=KEY), b'\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58'),
    (dict(opcode=2, payload=b'x' * 256), b'\x82\x7e\x01\x00' + b'x' * 256),
    (dict(opcode=2, payload=b'x' * 65536), b'\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00' + b'x' * 65536),
    (dict(opcode=1, payload=b'\xf2\x48\xcd\xc9\xc9\x07\x00', rsv1=True),
     b'\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00'),
    (dict(opcode=1, payload=b'\xf2\x48\xcd', fin=False, rsv1=True), b'\x41\x03\xf2\x48\xcd'),
    (dict(opcode=8, payload=b''), b'\x88\x00'),
    (dict(opcode=8, payload=b'', masking_key=KEY), b'\x88\x80' + KEY),
]

LENGTHS = [(0, b'\x00'), (1, b'\x01'), (125, b'\x7d'), (126, b'\x7e\x00\x7e'), (127, b'\x7e\x00\x7f'),
           (65535, b'\x7e\xff\xff'), (65536, b'\x7f\x00\x00\x00\x00\x00\x01\x00\x00'),
           (2 ** 32, b'\x7f\x00\x00\x00\x01\x00\x00\x00\x00'), (2 ** 63 - 1, b'\x7f\x7f' + b'\xff' * 7)]


@pytest.mark.parametrize('arguments, frame', EXAMPLES)
@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
def test_examples(arguments, frame, to_type):
    arguments = dict(arguments, payload=to_type(arguments['payload']))
    encoded = encode_frame(**arguments)
    assert encoded == frame and type(encoded) is bytes
    payload = arguments.pop('payload')
    header = frames.encode_header(payload_length=len(payload), **arguments)
    assert encoded.startswith(header) and len(encoded) == len(header) + len(payload)


@pytest.mark.parametrize('length, encoded', LENGTHS)
def test_lengths_are_minimal(length, encoded):
    assert frames.encode_header(2, length) == b'\x82' + encoded
    masked = b'\x82' + bytes(bytearray([bytearray(encoded)[0] | 0x80])) + encoded[1:]
    assert frames.encode_header(2, length, KEY) == masked + KEY


def test_first_byte():
    for opcode, fin, rsv1 in itertools.product(range(16), (True, False), (True, False)):
        expected = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
        for key in (None, KEY):
            for length in (5, 300, 70000):
                assert bytearray(frames.encode_header(opcode, length, key, fin, rsv1))[0] == expected


def test_a_key_of_zeros_is_a_key():
    assert encode_frame(1, b'Hello', b'\x00\x00\x00\x00') == b'\x81\x85\x00\x00\x00\x00Hello'


def read_frame(data):
    """What a plain reader has of one frame: ``(first octet, whether it is masked, payload)``."""
    (fin, rsv, opcode, key, payload), = read_frames(data)
    return fin << 7 | rsv << 4 | opcode, key is not None, payload


def test_round_trip():
    randoms = random.Random(6455)
    for length in list(range(140)) + [randoms.randrange(3000) for _ in range(30)] + [65535, 65536]:
        payload = bytes(bytearray(randoms.randrange(256) for _ in range(length)))
        key = bytes(bytearray(randoms.randrange(256) for _ in range(4)))
        assert read_frame(encode_frame(2, payload, key)) == (0x82, True, payload)
        assert read_frame(encode_frame(2, payload)) == (0x82, False, payload)


@pytest.fixture
def stock(monkeypatch):
    """An empty one, whose last number is the next key."""
    numbers = []
    monkeypatch.setattr(frames, 'stock', numbers)
    monkeypatch.setattr(masking, 'stock', numbers)
    return numbers


def test_what_a_client_sends(stock):
    """Every length where the way changes, every number where a sign or a carry could show."""
    randoms = random.Random(7)
    edges = [frames.MASK_BEHIND_FROM + more for more in (-5, -4, -3, -2, -1, 0, 1)]
    lengths = list(range(300)) + edges + [randoms.randrange(300, 2100) for _ in range(40)] + [65535, 65536]
    numbers = [0, 1, 0x80, 0xff000000, 0x80000000, 0x7fffffff, 0xffffffff]
    for length in lengths:
        payload = bytes(bytearray(randoms.randrange(256) for _ in range(min(length, 500))))
        payload = (payload * (length // 500 + 1))[:length]
        more = [randoms.randrange(2 ** 32) for _ in range(3)]
        for number in numbers + more if length < 300 else numbers[-2:]:
            for first, opcode, fin, rsv1 in ((0x81, 1, True, False), (0x42, 2, False, True),
                                             (0x00, 0, False, False)):
                expected = encode_frame(opcode, payload, masking.key_bytes(number), fin, rsv1)
                stock.append(number)
                assert bytes(encode_masked(first, payload)) == expected, (length, number)
                assert not stock


@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
def test_what_a_client_sends_is_not_changed(to_type):
    for length in 0, 1, 125, 126, 300, 3000:
        payload = to_type(b'x' * length)
        assert read_frame(bytes(encode_masked(0x82, payload))) == (0x82, True, b'x' * length)
        assert bytes(bytearray(payload)) == b'x' * length


@pytest.mark.skipif(encode_masked is not frames._encode_masked, reason='there is no int.from_bytes on 2.7')
def test_shapes_of_frames_are_bounded(monkeypatch):
    monkeypatch.setattr(frames, '_shapes', {})
    monkeypatch.setattr(frames, '_places', {})
    monkeypatch.setattr(frames, 'MASK_BEHIND_FROM', 1300)    # also where wsaccel is
    most = 0
    for first in 0x81, 0x82:
        for length in range(1300):
            encode_masked(first, b'x' * length)
            most = max(most, len(frames._shapes))
    assert most == frames.MOST_SHAPES
    assert len(frames._places) <= 327


# -- close frames

NEVER_SENT = 'close code %d may not be sent; 1000 - 1003, 1007 - 1014 and 3000 - 4999 are allowed'
SENDABLE = set(range(1000, 5000)) - set((1004, 1005, 1006, 1015)) - set(range(1016, 3000))


@pytest.mark.ends
def test_every_code():
    """api.md: what may not be sent; what may be sent may be received, and nothing else."""
    for code in range(65536):
        payload = struct.pack(str('!H'), code) + b'bye'
        if code in SENDABLE:
            assert encode_close_payload(code, 'bye') == payload
            assert parse_close_payload(payload) == (code, 'bye')
            continue
        for call, arguments, kind in ((encode_close_payload, (code, 'bye'), ValueError),
                                      (parse_close_payload, (payload,), errors.ProtocolError)):
            try:                        # pytest.raises takes 25 us, and there are 120,000 of these
                call(*arguments)
            except kind as error:
                assert str(error) == NEVER_SENT % code
            else:
                raise AssertionError(code)


@pytest.mark.parametrize('code', [-1, -1000, 65536, 65536 + 1000, 2 ** 64])
def test_codes_out_of_range(code):
    with raises(ValueError, NEVER_SENT % code):
        encode_close_payload(code)


@pytest.mark.parametrize('code', ['1000', b'1000', 1000.0, True, False, [], object()])
def test_codes_of_a_wrong_type(code):
    with raises(TypeError, 'close code must be an integer or None, not %s' % type(code).__name__):
        encode_close_payload(code, 'bye')


@pytest.mark.parametrize('reason', ['', 'ignored', None, 5, b'\xff'])
def test_empty_close_frame(reason):
    assert encode_close_payload(None, reason) == b''
    assert parse_close_payload(b'') == (None, '')


@pytest.mark.parametrize('reason, encoded', [
    ('', b''), (b'', b''), ('goodbye', b'goodbye'), (b'goodbye', b'goodbye'), ('\u2603', b'\xe2\x98\x83'),
    (b'\xe2\x98\x83', b'\xe2\x98\x83'), ('\U0001f40d', b'\xf0\x9f\x90\x8d'), ('\x00', b'\x00')])
def test_reasons(reason, encoded):
    payload = encode_close_payload(1000, reason)
    assert payload == b'\x03\xe8' + encoded and type(payload) is bytes
    assert parse_close_payload(payload) == (1000, encoded.decode('utf-8'))
    assert encode_close_payload(3000) == b'\x0b\xb8'          # the default is none


@pytest.mark.parametrize('reason', [None, 5, True, bytearray(b'x'), memoryview(b'x'), ['x']])
def test_reasons_of_a_wrong_type(reason):
    with raises(TypeError, 'close reason must be text or bytes, not %s' % type(reason).__name__):
        encode_close_payload(1000, reason)


@pytest.mark.parametrize('reason', [
    b'\xff', b'\xe2\x98', b'\xed\xa0\x80', b'x' * 200 + b'\xff', '\ud800', 'a\udc00b', 'x' * 200 + '\udfff'])
def test_reasons_that_are_not_utf8(reason):
    with pytest.raises(ValueError) as caught:
        encode_close_payload(1000, reason)
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith('close reason ') and str(caught.value).endswith(' is not valid UTF-8')
    assert len(str(caught.value)) < 130


@pytest.mark.parametrize('character', ['x', '\xe9', '\u2603', '\U0001f40d'])
@pytest.mark.parametrize('is_text', [True, False])
def test_long_reasons_are_cut_between_characters(character, is_text):
    width = len(character.encode('utf-8'))
    for before in range(118, 130):
        reason = 'a' * before + character * 40
        payload = encode_close_payload(1000, reason if is_text else reason.encode('utf-8'))
        code, cut = parse_close_payload(payload)            # in one piece: it is UTF-8
        assert reason.startswith(cut) and len(payload) <= frames.MAX_CONTROL_PAYLOAD == 125
        assert len(payload) > frames.MAX_CONTROL_PAYLOAD - (width if before < 123 else 1)
        assert len(encode_frame(8, payload, KEY)) == 2 + 4 + len(payload)


def test_longest_reason():
    assert encode_close_payload(1000, 'x' * 123) == b'\x03\xe8' + b'x' * 123
    assert encode_close_payload(1000, 'x' * 124) == b'\x03\xe8' + b'x' * 123
    assert encode_close_payload(1000, '\u2603' * 41) == b'\x03\xe8' + b'\xe2\x98\x83' * 41


def test_payload_of_one_byte():
    for octet in (b'\x00', b'\x03', b'\xff'):
        with raises(errors.ProtocolError, 'close frame payload is 1 byte; none, or at least 2 are allowed'):
            parse_close_payload(octet)


@pytest.mark.parametrize('reason', [
    b'\xff', b'ok\xe2\x98', b'\xed\xa0\x80', b'\xc0\x80', b'\xf4\x90\x80\x80'])
def test_received_reason_that_is_not_utf8(reason):
    with raises(errors.CriticalProtocolError, 'close reason (of code 1001) is not valid UTF-8'):
        parse_close_payload(b'\x03\xe9' + reason)


def test_what_may_be_sent_is_what_status_says():
    assert SENDABLE == set(code for code in range(65536) if code not in Status.invalid_codes)


def test_hostile_payloads():
    randoms = random.Random(8)
    for _ in range(3000):
        payload = bytes(bytearray(randoms.randrange(256) for _ in range(randoms.randrange(126))))
        if randoms.random() < 0.5:
            payload = b'\x03' + payload[:124]
        try:
            code, reason = parse_close_payload(payload)
        except (errors.ProtocolError, errors.CriticalProtocolError):
            continue
        assert code is None or encode_close_payload(code, reason) == payload


def test_empty_stock_of_keys(stock):
    for size in 5, 5000:
        assert read_frame(bytes(encode_masked(0x82, b'x' * size))) == (0x82, True, b'x' * size)
        assert len(stock) == 255
        del stock[:]


# --- messages as bytes ---

@pytest.mark.parametrize('masks', [True, False])
@pytest.mark.parametrize('size', [0, 1, 125, 126, 65535, 65536, frames.CHUNK + 1, 3 * frames.CHUNK, 200001])
@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_encode_message(masks, size, kind):
    """conformance.md: minimal lengths (the reader asserts them), a new mask each."""
    payload = (b'0123456789abc' * (size // 13 + 1))[:size]
    encoder = frames.Encoder(masks)
    chunks = [bytes(bytearray(chunk)) for chunk in encoder.encode_message(BINARY, kind(payload), True, True)]
    (fin, rsv, opcode, key, found), = read_frames(b''.join(chunks))
    assert (fin, rsv, opcode, found) == (True, 0, BINARY, payload)
    assert (key is not None) == masks
    assert max(len(chunk) for chunk in chunks) <= frames.CHUNK + 14
    if size > frames.CHUNK:
        assert len(chunks) >= size // frames.CHUNK


def test_masks_are_new_each_time():
    encoder = frames.Encoder(True)
    keys = [read_frames(b''.join(encoder.encode_message(TEXT, b'x', False, True)))[0][3] for _ in range(500)]
    keys += [read_frames(encoder.encode_control(PING, b'x'))[0][3] for _ in range(500)]
    assert len(set(keys)) > 990


def test_large_messages_are_masked_while_they_are_sent():
    chunks = iter(frames.Encoder(True).encode_message(BINARY, b'x' * 10 * frames.CHUNK, False, True))
    assert len(next(chunks)) == frames.CHUNK + 14


def test_fragments():
    encoder = frames.Encoder(False)
    data = b''.join(b''.join(encoder.encode_message(opcode, payload, True, fin)) for opcode, payload, fin in (
        (TEXT, b'a', False), (CONTINUATION, b'b', False), (CONTINUATION, b'', True)))
    assert [frame[:3] + frame[4:] for frame in read_frames(data)] == [
        (False, 0, TEXT, b'a'), (False, 0, CONTINUATION, b'b'), (True, 0, CONTINUATION, b'')]


def test_compressed():
    encoder = frames.Encoder(True)
    encoder.codec = PerMessageDeflate(DeflateParameters(), True, min_size=4)
    inflater = zlib.decompressobj(-15)
    sent = [(TEXT, b'spam ' * 50, True, True), (TEXT, b'spam', False, True), (BINARY, b'abc', True, True),
            (BINARY, b'spam ' * 50, True, True), (TEXT, b'spam ', True, False),
            (CONTINUATION, b'spam', True, True)]
    found = read_frames(b''.join(b''.join(encoder.encode_message(*arguments)) for arguments in sent))
    # compress=False, shorter than min_size, and frames of a fragmented message go as they are.
    assert [frame[1] for frame in found] == [4, 0, 0, 4, 0, 0]
    for arguments, (fin, rsv, opcode, _, payload) in zip(sent, found):
        assert (opcode, fin) == (arguments[0], arguments[3])
        if rsv:
            payload = inflater.decompress(payload + b'\0\0\xff\xff')
        assert payload == arguments[1]
