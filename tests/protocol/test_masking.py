"""Masking by every way there is, and the stock of keys."""

from __future__ import absolute_import, division, unicode_literals

import importlib
import itertools
import os
import random
import sys
import threading
import types

import pytest

import lomond
from lomond._compat import make_own_stock
from lomond.protocol import masking
from lomond.protocol.masking import make_masking_key, mask_payload


class Integer(object):
    """Stands in for the integers of 3.x where ``int.from_bytes`` is not."""

    def __init__(self, octets):
        self.octets = bytearray(octets)

    @classmethod
    def from_bytes(cls, data, order):
        assert order == 'little'
        return cls(data.tobytes() if isinstance(data, memoryview) else data)

    def __xor__(self, other):
        assert len(self.octets) == len(other.octets)
        return Integer(a ^ b for a, b in zip(self.octets, other.octets))

    def to_bytes(self, length, order):
        assert order == 'little' and length == len(self.octets)
        return bytes(self.octets)


FROM_BYTES = getattr(int, 'from_bytes', Integer.from_bytes)


class Masker(object):
    """Has the interface of wsaccel's XorMaskerSimple."""

    used = 0

    def __init__(self, key):
        self.key = key

    def process(self, payload):
        Masker.used += 1
        return plain_xor(self.key, payload)


def plain_xor(key, payload):
    """RFC 6455, 5.3, word for word."""
    key = bytearray(key)
    return bytes(bytearray(octet ^ key[i % 4] for i, octet in enumerate(bytearray(payload))))


def choose(masker, from_bytes):
    return masking._choose(masker, from_bytes, masking._choose_behind(masker))


WAYS = {
    'ours': mask_payload,
    'stripes': choose(None, None),
    'accelerated': choose(Masker, None),
    'big integer, stripes': choose(None, FROM_BYTES),
    'big integer, accelerated': choose(Masker, FROM_BYTES),
}

EDGES = sorted(set(
    list(range(0, 140)) + [510, 511, 512, 513] + [edge + more for more in (-2, -1, 0, 1, 2, 3) for edge in (
        masking.WSACCEL_FROM, masking.STRIPES_FROM, 1024, 2048, 4096, 65536)]))


@pytest.fixture(params=sorted(WAYS))
def way(request):
    return WAYS[request.param]


def test_example_of_the_rfc(way):
    """RFC 6455, 5.7: a single-frame masked text message."""
    assert way(b'\x37\xfa\x21\x3d', b'Hello') == b'\x7f\x9f\x4d\x51\x58'


@pytest.fixture(scope='module')
def examples():
    """Of every length: ``(key, payload, masked)``."""
    randoms, found = random.Random(7), []
    for length in EDGES:
        key = bytes(bytearray(randoms.randrange(256) for _ in range(4)))
        payload = bytes(bytearray(randoms.randrange(256) for _ in range(min(length, 600))))
        payload = (payload * (length // 600 + 1))[:length]
        found.append((key, payload, plain_xor(key, payload)))
    return found


@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
@pytest.mark.ends
def test_every_length(way, to_type, examples):
    for key, payload, expected in examples:
        masked = way(key, to_type(payload))
        assert type(masked) is bytes
        assert masked == expected, len(payload)
        assert way(key, masked) == payload


@pytest.mark.parametrize('key', [b'\x00' * 4, b'\xff' * 4, b'\x00\x00\x00\x01', b'\x80\x00\x00\x00'])
def test_odd_keys(way, key):
    for length in (0, 1, 3, 4, 7, 64, 1000):
        for payload in (b'\x00' * length, b'\xff' * length, b'\x00\x01' * length):
            assert way(key, payload) == plain_xor(key, payload)


def test_part_of_a_view(way):
    """The parser masks slices of its buffer; nothing may be written to it."""
    buffer = bytearray(b'..' + b'payload!' * 200 + b'..')
    before = bytes(buffer)
    for stop in (5, 80, 1602):
        assert way(b'1234', memoryview(buffer)[2:stop]) == plain_xor(b'1234', buffer[2:stop])
    assert buffer == before


def test_chunks_of_a_multiple_of_4(way):
    """What frame by frame senders do: the key begins anew with each chunk."""
    payload = os.urandom(10000)
    for size in (4, 64, 1024, 4096):
        chunks = [way(b'\x01\x02\x03\x04', payload[at:at + size]) for at in range(0, len(payload), size)]
        assert b''.join(chunks) == plain_xor(b'\x01\x02\x03\x04', payload)


@pytest.mark.parametrize('masker', [None, Masker])
@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
def test_mask_behind(masker, to_type):
    """A header in front of the payload stays as it is."""
    behind = masking._choose_behind(masker)
    for header in b'', b'abc', b'header!!':
        for length in (0, 1, 2, 3, 4, 5, 1001, 65536):
            payload = (b'0123456789abc' * 6000)[:length]
            kept, key = to_type(payload), b'\x01\x80\xff\x00'
            assert behind(header, kept, key) == header + plain_xor(key, payload)
            assert bytes(bytearray(kept)) == payload


@pytest.mark.parametrize('cost, used', [(1, 5), (3, 3)])
def test_first_large_payload_decides(cost, used, monkeypatch):
    """Three runs of each way; the faster one masks this payload, and the next."""
    clock, stripes = [0], masking._stripes_behind

    class Timed(Masker):
        def process(self, payload):
            clock[0] += cost
            return Masker.process(self, payload)

    def timed_stripes(*args):
        clock[0] += 2
        return stripes(*args)

    monkeypatch.setattr(masking, 'monotonic', lambda: clock[0])
    monkeypatch.setattr(masking, '_stripes_behind', timed_stripes)
    mask = choose(Timed, FROM_BYTES)
    mask(b'1234', b'x' * (masking.LARGE_FROM - 1))
    Masker.used = 0
    for size in masking.LARGE_FROM, 65536:
        assert mask(b'1234', b'x' * size) == plain_xor(b'1234', b'x' * size)
    assert Masker.used == used


def test_choice():
    """wsaccel where it is faster, and only there."""
    Masker.used = 0
    for name, size, used in (('accelerated', 0, 1), ('big integer, accelerated', masking.WSACCEL_FROM - 1, 1),
                             ('big integer, accelerated', masking.WSACCEL_FROM, 2)):
        WAYS[name](b'abcd', b'x' * size)
        assert Masker.used == used
    assert mask_payload.__name__ == 'mask_payload' and 'RFC 6455, 5.3' in mask_payload.__doc__


def _import_anew(monkeypatch):
    monkeypatch.delitem(sys.modules, 'lomond.protocol.masking')
    monkeypatch.setattr(lomond.protocol, 'masking', masking)       # import sets it; put back at the end
    fresh = importlib.import_module('lomond.protocol.masking')
    assert fresh is not masking
    return fresh


def test_without_wsaccel(monkeypatch):
    monkeypatch.setitem(sys.modules, 'wsaccel.xormask', None)
    fresh = _import_anew(monkeypatch)
    assert fresh._XorMasker is None
    assert fresh.mask_payload(b'abcd', b'x' * 3000) == plain_xor(b'abcd', b'x' * 3000)


def test_with_wsaccel(monkeypatch):
    package, module = types.ModuleType(str('wsaccel')), types.ModuleType(str('wsaccel.xormask'))
    package.xormask, module.XorMaskerSimple = module, Masker
    monkeypatch.setitem(sys.modules, 'wsaccel', package)
    monkeypatch.setitem(sys.modules, 'wsaccel.xormask', module)
    fresh = _import_anew(monkeypatch)
    Masker.used = 0
    assert fresh.mask_payload(b'abcd', b'x' * 3000) == plain_xor(b'abcd', b'x' * 3000)
    assert Masker.used == 1


# -- keys

class Urandom(object):
    """Gives each 4 bytes once, and notes what it was asked for."""

    def __init__(self):
        self.asked = []
        self._numbers = itertools.count()

    def __call__(self, size):
        self.asked.append(size)
        return b''.join(('%04x' % next(self._numbers)).encode() for _ in range((size + 3) // 4))[:size]


@pytest.fixture
def urandom(monkeypatch):
    fake = Urandom()
    monkeypatch.setattr(os, 'urandom', fake)
    return fake


@pytest.fixture
def stock(monkeypatch):
    """An empty one, of this test alone."""
    made = make_own_stock()
    monkeypatch.setattr(masking, 'stock', made)
    return made


def test_make_masking_key(urandom, stock):
    assert urandom.asked == []          # nothing at import
    keys = [make_masking_key() for _ in range(1024)]
    assert urandom.asked == [masking.STOCK_SIZE] * 4
    assert len(set(keys)) == 1024


def test_real_keys():
    keys = [make_masking_key() for _ in range(2000)]
    assert set(len(key) for key in keys) == set([4]) and len(set(keys)) > 1990


def test_numbers_are_keys(urandom, stock):
    """Both ways to take from the stock: the bytes of the system, each once."""
    with pytest.raises(IndexError):
        stock.pop()
    number = masking.refill()
    taken = [masking.key_bytes(number)] + [make_masking_key() for _ in range(100)]
    taken += [masking.key_bytes(stock.pop()) for _ in range(155)]
    assert not stock and urandom.asked == [1024]
    swap = sys.byteorder == 'big'
    assert sorted(key[::-1] if swap else key for key in taken) == [('%04x' % i).encode() for i in range(256)]


def test_no_key_twice_in_threads(urandom, stock):
    """The stock has no lock."""
    keys = []
    def take():
        keys.extend([make_masking_key() for _ in range(3000)])
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 12000 == len(set(keys))


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork here')
@pytest.mark.parametrize('taken', [1, 256])
def test_forked_child_has_other_keys(taken):
    for _ in range(taken):
        make_masking_key()
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writable, b''.join(make_masking_key() for _ in range(300)))
        finally:
            os._exit(0)
    os.close(writable)
    ours = [make_masking_key() for _ in range(300)]
    theirs = os.read(readable, 2000)
    os.close(readable)
    os.waitpid(child, 0)
    assert len(theirs) == 1200
    assert not set(ours) & set(theirs[at:at + 4] for at in range(0, 1200, 4))
