# -*- coding: utf-8 -*-
"""A message while its parts arrive: text, binary, inflated; limits, and places for large parts."""

from __future__ import absolute_import, division, unicode_literals

import io
import random

import pytest
from support.cores import split
from support.errors import raises
from support.frames import deflate

from lomond.errors import CriticalProtocolError, PayloadTooLarge
from lomond.protocol import message as message_module
from lomond.protocol.message import JOIN_AFTER, STEP, Message, too_large
from lomond.protocol.permessage_deflate import DeflateParameters, PerMessageDeflate
from lomond.protocol.utf8 import Utf8Decoder

STORES = [message_module._PlainStore] + (
    [message_module._Store] if hasattr(io.BytesIO, 'getbuffer') else [])


@pytest.fixture(params=STORES)
def store(request, monkeypatch):
    """Each way to keep binary payload, on every Python that has it."""
    monkeypatch.setattr(message_module, 'new_store', request.param)
    return request.param


@pytest.fixture(params=[message_module._Text, message_module._WideText], autouse=True)
def text(request, monkeypatch):
    """Each way to keep text, on every Python."""
    monkeypatch.setattr(message_module, 'new_text', request.param)
    return request.param


def inflater(**parameters):
    return PerMessageDeflate(DeflateParameters(**parameters), True).inflate


def put_together(message, parts):
    for number, part in enumerate(parts):
        message.add(part, number == len(parts) - 1)
    return message.take()


DATA = 'pl\xe4in \u2603 \U0001f600 '.encode('utf-8') * 30


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
@pytest.mark.parametrize('is_text', [True, False])
@pytest.mark.parametrize('compressed', [True, False])
def test_parts(store, kind, is_text, compressed):
    rng = random.Random(1)
    expected = DATA.decode('utf-8') if is_text else DATA
    for _ in range(50):
        message = Message(is_text, inflater() if compressed else None, len(DATA))
        assert message.is_plain_binary == (not is_text and not compressed)
        parts = split(deflate(DATA) if compressed else DATA, rng)
        found = put_together(message, [kind(part) for part in parts])
        assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize('is_text', [True, False])
@pytest.mark.parametrize('compressed', [True, False])
def test_empty(store, is_text, compressed):
    for parts in ([b''], [b'', b'']):
        assert put_together(Message(is_text, inflater() if compressed else None),
                            parts) == ('' if is_text else b'')


def test_many_small_texts_are_joined(text):
    message = Message(True)
    for _ in range(JOIN_AFTER * 2 + 3):
        message.add(b'x')
        assert text is message_module._WideText or len(message._store._texts) < JOIN_AFTER
    assert message.take() == 'x' * (JOIN_AFTER * 2 + 3)


def test_one_part_of_text_is_decoded_once(text, monkeypatch):
    calls = []
    decode = Utf8Decoder.decode
    def counted(decoder, part, final=False):
        calls.append(len(part))
        return decode(decoder, part, final)
    monkeypatch.setattr(Utf8Decoder, 'decode', counted)
    monkeypatch.setattr(Utf8Decoder, 'check', None)
    assert put_together(Message(True), [DATA]) == DATA.decode('utf-8')
    assert calls == [len(DATA)]


# --- limits ---

@pytest.mark.parametrize('limit, lengths, error', [
    (10, [10], None), (10, [11], 'message is 11 bytes; at most 10 are allowed (max_message_size)'),
    (10, [5, 5, 0], None), (10, [5, 5, 1], 'message is 11 bytes; at most 10 are allowed (max_message_size)'),
    (0, [0], None), (0, [1], 'message is 1 bytes; at most 0 are allowed (max_message_size)'),
    (None, [1 << 62], None),
    (10, [3, 1 << 62], 'message is 4611686018427387907 bytes; at most 10 are allowed (max_message_size)')])
@pytest.mark.parametrize('is_text', [True, False])
def test_check_length(limit, lengths, error, is_text):
    message = Message(is_text, None, limit)
    for length in lengths[:-1]:
        message.check_length(length)
        message.add(b'x' * length)
    if error is None:
        message.check_length(lengths[-1])
    else:
        with raises(PayloadTooLarge, error):
            message.check_length(lengths[-1])


def test_check_length_of_compressed_data():
    """It may be longer than what comes out of it, but only as zlib makes it."""
    message = Message(False, inflater(), 100)
    message.check_length(1000)
    with pytest.raises(PayloadTooLarge):
        message.check_length(2000)


@pytest.mark.parametrize('is_text', [True, False])
def test_limit_of_what_is_inflated(is_text):
    data = deflate(b'x' * 1000)
    for limit in (1000, None):
        assert len(put_together(Message(is_text, inflater(), limit), [data])) == 1000
    for parts in ([data], [data[:3], data[3:]]):
        with raises(PayloadTooLarge,
                    'message inflates to more than 999 bytes; at most 999 are allowed (max_message_size)'):
            put_together(Message(is_text, inflater(), 999), parts)


def test_too_large():
    assert str(too_large(5, 4)) == 'message is 5 bytes; at most 4 are allowed (max_message_size)'
    assert str(too_large(None, 4)) == (
        'message inflates to more than 4 bytes; at most 4 are allowed (max_message_size)')


# --- bad data ---

@pytest.mark.parametrize('parts', [
    [b'\xff'], [b'\xe2', b'\x28'], [b'ok', b'\xe2\x98'], [b'\xed\xa0', b'\x80']])
@pytest.mark.parametrize('compressed', [True, False])
def test_not_utf_8(parts, compressed):
    data = b''.join(parts)
    message = Message(True, inflater() if compressed else None)
    with pytest.raises(CriticalProtocolError):
        put_together(message, [deflate(data)] if compressed else parts)


def test_garbage():
    with pytest.raises(CriticalProtocolError):
        Message(False, inflater()).add(b'\xff' * 10, True)


# --- places ---

def fill(message, data):
    """As a driver does: into places of at most STEP bytes."""
    while data:
        place = message.reserve(len(data))
        assert 0 < len(place) <= STEP
        count = len(place)
        place[:] = data[:count]
        place = None
        message.commit(count)
        data = data[count:]


@pytest.mark.parametrize('size', [1, 1000, 70000, STEP + 3])
@pytest.mark.ends
def test_reserve(store, size):
    data = (bytes(bytearray(range(256))) * (size // 256 + 1))[:size]
    message = Message(False)
    fill(message, data)
    found = message.take()
    assert found == data and type(found) is bytes


def test_reserve_between_parts(store):
    message = Message(False, None, 150016)
    for part in (b'head', b'A' * 5000, b'', b'B' * 70000, b'tail'):
        message.add(part)
        fill(message, part[::-1])
    message.check_length(0)
    with pytest.raises(PayloadTooLarge):        # what was filled is counted
        message.check_length(1)
    assert message.take() == b'headdaeh' + b'A' * 10000 + b'B' * 140000 + b'tailliat'


def test_views_that_are_kept(store):
    """A driver may keep the views it was given; what it has not filled is written elsewhere then."""
    message = Message(False)
    views = []
    expected = b''
    for number in range(6):
        data = bytes(bytearray([number])) * 1000
        views.append(message.reserve(1000))
        views[-1][:] = data
        message.commit(1000)
        expected += data
        if number % 3 != 1:
            message.add(b'between')
            expected += b'between'
    assert message.take() == expected


def test_a_view_of_the_last_step_that_is_kept(store, monkeypatch):
    """A frame above STEP grows in its place, or goes on in a copy of it."""
    monkeypatch.setattr(message_module, 'STEP', 1000)
    message = Message(False)
    views = []
    for octet in b'a', b'b', b'c':
        views.append(message.reserve(5000))
        views[-1][:] = octet * 1000
        message.commit(1000)
    assert message.take() == b'a' * 1000 + b'b' * 1000 + b'c' * 1000


def test_pieces(store, monkeypatch):
    """What comes in small parts is joined, in order, whatever comes between."""
    monkeypatch.setattr(message_module, 'PIECE', 100)
    message = Message(False)
    expected = b''
    for number in range(1000):
        part = (b'%d ' % number) * (number % 7)
        message.add(part)
        expected += part
        if number % 100 == 50:
            fill(message, part)
            expected += part
    assert message.take() == expected


def test_reserve_is_not_believed_at_once(store):
    """A length of 2**62 costs no more than a step."""
    message = Message(False)
    assert len(message.reserve(1 << 62)) == STEP
