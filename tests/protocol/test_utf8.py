"""UTF-8: every border of RFC 3629, every split, and the first byte that is wrong."""

from __future__ import absolute_import, division, unicode_literals

import itertools
import random

import pytest
from support.cores import split
from support.errors import raises

from lomond.errors import CriticalProtocolError
from lomond.protocol.utf8 import Utf8Decoder, decode

# RFC 3629, 4, as ranges of octets.
GRAMMAR = [[(0x00, 0x7f)], [(0xc2, 0xdf), (0x80, 0xbf)],
           [(0xe0, 0xe0), (0xa0, 0xbf), (0x80, 0xbf)], [(0xe1, 0xec), (0x80, 0xbf), (0x80, 0xbf)],
           [(0xed, 0xed), (0x80, 0x9f), (0x80, 0xbf)], [(0xee, 0xef), (0x80, 0xbf), (0x80, 0xbf)],
           [(0xf0, 0xf0), (0x90, 0xbf), (0x80, 0xbf), (0x80, 0xbf)],
           [(0xf1, 0xf3), (0x80, 0xbf), (0x80, 0xbf), (0x80, 0xbf)],
           [(0xf4, 0xf4), (0x80, 0x8f), (0x80, 0xbf), (0x80, 0xbf)]]

VALID = [
    b'', b'hello', b'\x00', b'\x7f', b'\xc2\x80', b'\xdf\xbf', b'\xe0\xa0\x80', b'\xec\xbf\xbf',
    b'\xed\x80\x80', b'\xed\x9f\xbf',
    b'\xee\x80\x80', b'\xef\xbf\xbd', b'\xef\xbf\xbe', b'\xef\xbf\xbf', b'\xef\xbb\xbfbom',
    b'\xf0\x90\x80\x80', b'\xf3\xbf\xbf\xbf', b'\xf4\x8f\xbf\xbf', b'a\xe2\x98\x83b\xf0\x9f\x90\x8dc\xc3\xa9',
    b'\xed\x9f\xbf\xed\x9f\xbf', b'\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5']

# bytes, the index of the first that makes it invalid (its length: the end does)
INVALID = [
    (b'\x80', 0), (b'\xbf', 0), (b'\xc0', 0), (b'\xc0\x80', 0), (b'\xc1\xbf', 0), (b'\xf5', 0),
    (b'\xf8\x88\x80\x80\x80', 0), (b'\xfc\x84\x80\x80\x80\x80', 0), (b'\xfe', 0), (b'\xff', 0),
    (b'a\xffb', 1), (b'a\x80', 1), (b'\xc2\x80\x80', 2), (b'\xc2', 1), (b'\xe2\x98', 2),
    (b'\xf0\x9f\x90', 3), (b'abc\xf0', 4), (b'\xc2a', 1), (b'\xe2\x98a', 2), (b'\xe2a', 1),
    (b'\xf0\x9f\x90a', 3), (b'\xf0\x9fa', 2), (b'\xc2\xc2\x80', 1),
    (b'\xe0\x80\x80', 1), (b'\xe0\x9f\xbf', 1), (b'\xf0\x80\x80\x80', 1), (b'\xf0\x8f\xbf\xbf', 1),
    (b'\xed\xa0\x80', 1), (b'\xed\xbf\xbf', 1), (b'x\xed\xa0\xbd\xed\xb2\xa9', 2),
    (b'\xed\x9f\xbf\xed\xa0', 4), (b'x\xed\xa0\x80\xff', 2), (b'\xe2\xed\xa0\x80', 1),
    (b'\xf4\x90\x80\x80', 1), (b'\xf4\xbf', 1), (b'\xf4\x8f\xbf\xc0', 3),
    (b'\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited', 12)]


def first_bad(data):
    """Index of the first octet after which no valid text can begin like this; None: there is none.

    By brute force: each prefix is matched with the grammar.
    """
    rows = []
    for index, octet in enumerate(bytearray(data)):
        rows = [row[1:] for row in rows or GRAMMAR if row[0][0] <= octet <= row[0][1]]
        if not rows:
            return index
        rows = [row for row in rows if row]
    return len(data) if rows else None


def first_failure(decoder, parts, method='decode'):
    """Index of the part with which a decoder fails, and its message; None when it does not."""
    take = getattr(decoder, method)
    for index, part in enumerate(parts):
        try:
            take(part)
        except CriticalProtocolError as error:
            return index, str(error)
    try:
        take(b'', final=True)
    except CriticalProtocolError as error:
        return len(parts), str(error)
    return None


def octets(data):
    return [data[at:at + 1] for at in range(len(data))]


def sentence(data, bad):
    if bad == len(data):
        return 'text is not valid UTF-8; it ends inside a character'
    return 'text is not valid UTF-8; byte 0x%02x at offset %d' % (bytearray(data)[bad], bad)


def test_oracle_agrees_with_the_tables():
    for data in VALID:
        assert first_bad(data) is None
    for data, bad in INVALID:
        assert first_bad(data) == bad


@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
@pytest.mark.parametrize('data', VALID)
def test_decode(data, to_type):
    text = decode(to_type(data))
    assert text == data.decode('utf-8') and isinstance(text, type(''))


@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
@pytest.mark.parametrize('data, bad', INVALID)
def test_decode_refuses(data, bad, to_type):
    for before in (b'', b'ok', b'\xe2\x98\x83' * 100):
        with raises(CriticalProtocolError, sentence(before + data, len(before) + bad)):
            decode(to_type(before + data))


@pytest.mark.parametrize('data', VALID)
def test_every_split(data):
    for cut in range(len(data) + 1):
        for second in range(cut, len(data) + 1):
            decoder = Utf8Decoder()
            text = decoder.decode(data[:cut]) + decoder.decode(data[cut:second])
            text += decoder.decode(data[second:], final=True)
            assert text == data.decode('utf-8') and decoder.pending == 0


@pytest.mark.parametrize('data, bad', INVALID)
def test_every_split_fails_with_the_first_bad_byte(data, bad):
    for cut in range(len(data) + 1):
        for second in range(cut, len(data) + 1):
            parts = [data[:cut], data[cut:second], data[second:]]
            index = 0 if bad < cut else 1 if bad < second else 2 if bad < len(data) else 3
            assert first_failure(Utf8Decoder(), parts) == (index, sentence(data, bad))
    assert first_failure(Utf8Decoder(), octets(data)) == (bad, sentence(data, bad))


@pytest.mark.parametrize('data, bad', INVALID + [(data, None) for data in VALID])
def test_check_fails_where_decode_does(data, bad):
    for before in b'', b'ascii', b'\xe2\x98\x83':
        whole = before + data
        for cut in range(len(whole) + 1):
            parts = [whole[:cut], whole[cut:]]
            expected = first_failure(Utf8Decoder(), parts)
            assert first_failure(Utf8Decoder(), parts, 'check') == expected
            assert (expected is None) == (bad is None)


def check(data):
    bad = first_bad(data)
    failed = first_failure(Utf8Decoder(), octets(data))
    if bad is None:
        assert failed is None and decode(data) == data.decode('utf-8')
        return
    assert failed == (bad, sentence(data, bad)), repr(data)
    with raises(CriticalProtocolError, sentence(data, bad)):
        decode(data)


LEADS = bytearray(b'\x00\x7f\x80\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xf8\xff')
FOLLOWERS = bytearray(b'\x41\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xf0')


@pytest.mark.ends
def test_every_pair_of_octets():
    decoder = Utf8Decoder()
    for data in (bytes(bytearray(pair)) for pair in itertools.product(range(256), repeat=2)):
        bad = first_bad(data)
        decoder.reset()
        failed = first_failure(decoder, octets(data))
        assert (failed and failed[0]) == bad, repr(data)


@pytest.mark.ends
def test_the_borders_of_longer_sequences():
    for lead in LEADS:
        for follow in itertools.product(FOLLOWERS, repeat=2):
            check(bytes(bytearray((lead,) + follow)))
    for lead in bytearray(b'\xe1\xed\xf0\xf1\xf4\xf5'):
        for follow in itertools.product(FOLLOWERS, repeat=3):
            check(bytes(bytearray((lead,) + follow)))


def test_random_bytes_cut_at_random():
    randoms = random.Random(3629)
    pieces = VALID[1:] + [data for data, _ in INVALID]
    for _ in range(1500):
        data = b''.join(randoms.choice(pieces if randoms.random() < 0.2 else VALID)
                        for _ in range(randoms.randrange(12)))
        bad = first_bad(data)
        parts = split(data, randoms, 4)
        decoder = Utf8Decoder()
        if bad is None:
            text = ''.join(decoder.decode(memoryview(part)) for part in parts) + decoder.decode(b'', True)
            assert text == data.decode('utf-8')
        else:
            cuts = [sum(map(len, parts[:count])) for count in range(1, 5)]
            at = sum(cut <= bad for cut in cuts) + (bad == len(data))
            assert first_failure(decoder, parts) == (at, sentence(data, bad))


def test_text_comes_as_soon_as_it_is_complete():
    decoder = Utf8Decoder()
    out = [(decoder.decode(part), decoder.pending) for part in octets(b'a\xe2\x98\x83\xf0\x9f\x90\x8dz')]
    assert out == [
        ('a', 0), ('', 1), ('', 2), ('\u2603', 0), ('', 1), ('', 2), ('', 3), ('\U0001f40d', 0), ('z', 0)]


def test_parts_of_any_type():
    for to_type in (bytes, bytearray, memoryview):
        decoder = Utf8Decoder()
        text = decoder.decode(to_type(b'snow \xe2\x98')) + decoder.decode(to_type(b'\x83'))
        assert text + decoder.decode(to_type(b''), final=True) == 'snow \u2603'


def test_part_is_not_kept():
    """The parser's buffer is overwritten by the next read."""
    decoder, buffer = Utf8Decoder(), bytearray(b'a\xe2\x98')
    decoder.decode(memoryview(buffer))
    buffer[:] = b'zzz'
    assert decoder.decode(b'\x83') == '\u2603'


@pytest.mark.parametrize('method', ['decode', 'check'])
def test_reset(method):
    decoder = Utf8Decoder()
    take = getattr(decoder, method)
    take(b'12345\xe2')
    decoder.reset()
    assert decoder.pending == 0
    take(memoryview(b'plain'))
    with raises(CriticalProtocolError, sentence(b'plain1\xff', 6)):
        take(b'1\xff')
    decoder.reset()
    assert decoder.decode(b'fine', final=True) == 'fine'


def test_offsets_count_from_the_start_of_the_text():
    decoder = Utf8Decoder()
    for _ in range(1000):
        decoder.decode(b'\xe2\x98')
        decoder.decode(b'\x83')
    with raises(CriticalProtocolError, 'text is not valid UTF-8; byte 0xb0 at offset 3002'):
        decoder.decode(b'a\xed\xb0')
