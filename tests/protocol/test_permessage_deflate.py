"""The codec of permessage-deflate: the RFC's examples, BFINAL, windows, bombs, garbage."""

from __future__ import absolute_import, division, unicode_literals

import binascii
import itertools
import random
import struct
import sys
import zlib

import pytest
from support.cores import split
from support.errors import raises
from support.memory import growth, needs_tracemalloc

from lomond.errors import CriticalProtocolError
from lomond.protocol import permessage_deflate
from lomond.protocol.permessage_deflate import DeflateParameters, PerMessageDeflate

TAIL = b'\x00\x00\xff\xff'
TEXT = ''.join('{"id": %d, "name": "sensor", "on": true} ' % i for i in range(60)).encode('ascii')
# "Hello" for the first time; again, by way of the window; for the first time, with BFINAL
HELLO = b'\xf2\x48\xcd\xc9\xc9\x07\x00'
HELLO_AGAIN = b'\xf2\x00\x11\x00\x00'
HELLO_FINISHED = b'\xf3\x48\xcd\xc9\xc9\x07\x00'


def pair(*parameters, **options):
    """Codecs of a client and a server that agreed on the parameters (in DeflateParameters' order)."""
    return [PerMessageDeflate(DeflateParameters(*parameters), is_client, **options)
            for is_client in (True, False)]


def noise(size, seed=1):
    number = random.Random(seed).getrandbits(8 * size)
    return binascii.unhexlify(('%0*x' % (2 * size, number)).encode('ascii'))


def cut(data, randoms):
    """The parts of ``data``, cut at random places, as ``inflate`` takes them: (part, final)."""
    parts = split(data, randoms, randoms.randrange(4))
    return [(part, index == len(parts) - 1) for index, part in enumerate(parts)]


def inflate_parts(codec, parts, limit=None):
    return b''.join(codec.inflate(part, final, limit) for part, final in parts)


# -- the RFC's examples

@pytest.mark.parametrize('messages', [
    # 7.2.3.1 and 7.2.3.2: one block; sharing the window
    [(HELLO, b'Hello'), (HELLO_AGAIN, b'Hello')], [(HELLO, b'Hello'), (HELLO, b'Hello')],
    # 7.2.3.3: no compression
    [(b'\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00', b'Hello')] * 2,
    # 7.2.3.4: BFINAL
    [(HELLO_FINISHED + b'\x00', b'Hello'), (HELLO_AGAIN, b'Hello')],
    # 7.2.3.5: two blocks in one message
    [(b'\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00', b'Hello'), (HELLO_AGAIN, b'Hello')],
    # 7.2.3.6: empty
    [(b'\x00', b''), (HELLO, b'Hello'), (b'\x00', b''), (HELLO_AGAIN, b'Hello')],
    # ... and what some peers send for it
    [(b'\x02\x00', b''), (b'\x03\x00', b''), (b'\x01\x00\x00\xff\xff', b''), (b'', b''), (b'', b''),
     (HELLO, b'Hello'), (b'', b''), (HELLO_AGAIN, b'Hello')]])
@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
def test_examples(messages, to_type):
    codec = pair()[0]
    for data, message in messages:
        result = codec.inflate(to_type(data), True, 5)
        assert result == message and type(result) is bytes
    for middle in range(8):                 # and in two and three parts
        codec = pair()[0]
        for data, message in messages:
            parts = [(to_type(data[:middle]), False), (to_type(b''), False), (to_type(data[middle:]), True)]
            assert inflate_parts(codec, parts, 5) == message
            assert codec.inflate(to_type(b''), True, None) == b''
    codec = pair()[0]
    for data, message in messages:          # the last fragment may be empty
        assert inflate_parts(codec, [(data, False), (b'', True)], None) == message


def test_compress_examples():
    client, server = pair()
    assert client.compress(b'Hello') == HELLO
    assert client.compress(b'Hello') == HELLO_AGAIN
    assert client.compress(b'') == client.compress(b'') == b'\x00'
    anew, _ = pair(False, True)
    assert [anew.compress(b'Hello') for _ in range(2)] == [HELLO] * 2


def test_empty_messages_without_zlib(monkeypatch):
    """Not every zlib gives something for a second flush in a row; 1.2.13 does."""
    client, _ = pair()
    monkeypatch.setattr(permessage_deflate.zlib, 'compressobj', None)
    assert client.compress(b'') == client.compress(b'') == b'\x00'


# -- round trips

MESSAGES = [
    b'Hello', b'', TEXT, b'', b'', TEXT[:1000], b'x' * 100000, b'\x00', noise(5000), noise(5000), TEXT,
    noise(40000, 2), noise(40000, 2), b'Hello', b'y' * 65536, TEXT + noise(100), b'z']


@pytest.mark.ends
@pytest.mark.parametrize('server_anew', [False, True])
@pytest.mark.parametrize('client_anew', [False, True])
@pytest.mark.parametrize('server_bits, client_bits', [(15, 15), (8, 8), (9, 12), (15, 9), (10, 15)])
@pytest.mark.parametrize('level, mem_level', [(6, 8), (1, 1), (9, 9), (0, 8)])
def test_round_trip(server_anew, client_anew, server_bits, client_bits, level, mem_level):
    randoms = random.Random(str((server_bits, client_bits, level)))
    client, server = pair(server_anew, client_anew, server_bits, client_bits,
                          level=level, mem_level=mem_level)
    for message, (sender, receiver) in itertools.product(MESSAGES, ((client, server), (server, client))):
        packed = sender.compress(message)
        assert type(packed) is bytes and packed and not packed.endswith(TAIL)
        assert inflate_parts(receiver, cut(packed, randoms), len(message)) == message


@pytest.mark.parametrize('to_type', [bytes, bytearray, memoryview])
def test_payloads_of_any_type(to_type):
    client, server = pair()
    for message in MESSAGES:
        assert server.inflate(to_type(client.compress(to_type(message))), True, None) == message


def test_a_peer_that_uses_more_than_was_agreed():
    """15 bits, though 9 were agreed on."""
    codec, _ = pair(False, False, 9)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    for _ in range(2):
        packed = compressor.compress(noise(30000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert codec.inflate(packed[:-4], True, 30000) == noise(30000)
    assert len(packed) < 1000, 'it looked back 30000 bytes'


@pytest.mark.parametrize('is_client', [True, False])
@pytest.mark.parametrize('bits', [8, 9, 10, 12, 15])
@pytest.mark.parametrize('anew', [False, True])
def test_a_peer_with_the_agreed_window(is_client, bits, anew):
    """An independent inflater that has no more window than was agreed on understands all of it."""
    parameters = (anew, not anew, bits, 15) if not is_client else (not anew, anew, 15, bits)
    codec = PerMessageDeflate(DeflateParameters(*parameters), is_client)
    inflater = zlib.decompressobj(-bits)
    for message in MESSAGES:
        if anew:
            inflater = zlib.decompressobj(-bits)
        assert inflater.decompress(codec.compress(message) + TAIL) == message


def reaches_back_within(window_bits, packed_and_size):
    """True when no distance in the deflate data is larger than the window.

    zlib does not look at distances within the output buffer of one call, so octet by octet: all
    it has then is its window.
    """
    inflater = zlib.decompressobj(-window_bits)
    try:
        for data, size in packed_and_size:
            while data or size:
                size -= len(inflater.decompress(data, 1))
                data = inflater.unconsumed_tail
    except zlib.error as error:
        assert 'too far back' in str(error)
        return False
    return True


def with_distances(least, most):
    """Noise with repeats at every distance in the range, cut to messages."""
    whole = noise(most)
    for distance in range(least, most):
        whole += noise(5, distance)
        whole += whole[len(whole) - distance:][:12]
    return [whole[at:at + 700] for at in range(0, len(whole), 700)]


@pytest.mark.parametrize('bits', [8, 9, 10])
@pytest.mark.parametrize('level', [1, 6, 9])
def test_compressor_keeps_within_the_window(bits, level):
    """Also with 8 bits, for which zlib has no raw deflate; 9 stay below 256 (deflate.h, MAX_DIST)."""
    messages = with_distances(240, 280) + with_distances(490, 530) + with_distances(1010, 1040)
    messages += [TEXT, b'x' * 3000, TEXT]
    def is_within(deflating_bits):
        client, _ = pair(False, False, 15, deflating_bits, level=level)
        packed = [(client.compress(message) + TAIL, len(message)) for message in messages]
        return reaches_back_within(bits, packed)
    assert is_within(bits)
    # The check can tell: a compressor with one bit more (zlib's 10 for our 9) does not keep within.
    assert not is_within(max(bits, 9) + 1)


def test_no_context_takeover():
    """Each message stands alone, whichever side has promised it."""
    for is_client in (True, False):
        codec = PerMessageDeflate(DeflateParameters(not is_client, is_client), is_client)
        for message in MESSAGES:
            assert zlib.decompressobj(-15).decompress(codec.compress(message) + TAIL) == message
        # The other direction has its context.
        codec.inflate(HELLO, True, None)
        assert codec.inflate(HELLO_AGAIN, True, None) == b'Hello'


def test_peer_that_breaks_its_promise_of_no_context():
    codec = pair(True, False)[0]
    codec.inflate(HELLO, True, None)
    with pytest.raises(CriticalProtocolError) as caught:
        codec.inflate(HELLO_AGAIN, True, None)
    assert str(caught.value).startswith('compressed message cannot be inflated; ')
    assert 'too far back' in str(caught.value)


def test_min_size():
    client, server = pair(min_size=10)
    for small in (b'', b'x' * 9, memoryview(b'x' * 9)):
        assert client.compress(small) is None
    assert server.inflate(client.compress(b'x' * 10), True, None) == b'x' * 10
    assert pair(min_size=0)[0].compress(b'') == b'\x00'


# -- BFINAL (RFC 7692, 7.2.3.4)

class Finisher(object):
    """Deflates like a peer that sets BFINAL here and there, and goes on with its window."""

    def __init__(self):
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
        self._inflater = zlib.decompressobj(-15)

    def block(self, data, finished):
        """A block that ends at an octet: with BFINAL set, or with the empty block of a flush."""
        raw = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        if not finished:
            assert self._inflater.decompress(raw) == data
            return raw
        copy = self._inflater.copy()
        assert self._inflater.decompress(raw) == data
        raw = bytes(bytearray([bytearray(raw)[0] | 1])) + raw[1:]
        assert copy.decompress(raw) == data and copy.unused_data        # it was one block
        return raw[:-len(copy.unused_data)]

    def message(self, blocks, octet=b'\x00'):
        """Of ``[(data, finished), ...]``; ``octet``: what follows if the last block is finished."""
        packed = b''.join(self.block(*block) for block in blocks)
        return packed + octet if blocks[-1][1] else packed[:-4]


@pytest.mark.parametrize('octet', [b'\x00', b''])
@pytest.mark.parametrize('is_cut', [False, True])
def test_finished_messages(octet, is_cut):
    """Every message ends with BFINAL; each refers to those before it, up to a window back."""
    randoms, peer, codec = random.Random(4), Finisher(), pair()[0]
    for message in (b'Hello', b'Hello', TEXT, TEXT, noise(15000, 5), noise(15000, 6), noise(15000, 5)[:9000],
                    b'Hello', b'y' * 90000, TEXT, b'Hello'):
        packed = peer.message([(message, True)], octet)
        parts = cut(packed, randoms) if is_cut else [(packed, True)]
        assert inflate_parts(codec, parts, len(message)) == message


def test_far_matches_are_there_after_bfinal():
    peer, codec = Finisher(), pair()[0]
    for message in [noise(1000, seed) for seed in range(30)]:           # 1000 to 30,000 back
        assert codec.inflate(peer.message([(message, False)]), True, None) == message
    codec.inflate(peer.message([(b'!', True)]), True, None)
    packed = peer.message([(noise(1000, 0), False)])
    assert len(packed) < 100                                            # it does refer to it
    assert codec.inflate(packed, True, None) == noise(1000, 0)


def test_many_small_messages_before_bfinal():
    """The history is trimmed all the time and never too short."""
    peer, codec = Finisher(), pair()[0]
    sent = [noise(50, seed) for seed in range(700)]
    for message in sent:
        assert codec.inflate(peer.message([(message, False)]), True, None) == message
        assert len(codec._history) < 200
    codec.inflate(peer.message([(b'!', True)]), True, None)
    for message in sent[150::100]:
        packed = peer.message([(message, False)])
        assert len(packed) < 15 and codec.inflate(packed, True, None) == message


@pytest.mark.parametrize('anew', [False, True])
@pytest.mark.parametrize('seed', range(12))
def test_blocks_of_all_kinds_in_one_message(anew, seed):
    randoms = random.Random(seed)
    peer, codec = Finisher(), pair(anew, False)[0]
    for _ in range(25):
        pieces = (b'Hello', TEXT, TEXT[:500], b'a', noise(100, seed), noise(3000, 7), b'z' * 20000)
        blocks = [(randoms.choice(pieces), randoms.random() < 0.5) for _ in range(randoms.randrange(1, 6))]
        message = b''.join(data for data, _ in blocks)
        if anew:
            peer = Finisher()
        packed = peer.message(blocks, randoms.choice((b'\x00', b'')))
        assert inflate_parts(codec, cut(packed, randoms), len(message)) == message
        if randoms.random() < 0.2:
            assert codec.inflate(b'', True, None) == b''


def test_cut_at_every_octet():
    blocks = [(b'Hello', True), (b'Hello, Hello', False), (b'lo, Hel', True), (b'Hello', True)]
    message = b''.join(data for data, _ in blocks)
    for octet in (b'', b'\x00'):
        packed = Finisher().message(blocks, octet)
        for middle in range(len(packed) + 1):
            parts = [(packed[:middle], False), (packed[middle:], True)]
            assert inflate_parts(pair()[0], parts, len(message)) == message
        octets = [(packed[at:at + 1], False) for at in range(len(packed))] + [(b'', True)]
        assert inflate_parts(pair()[0], octets, len(message)) == message


def test_large_message_behind_bfinal():
    """Goes to the next inflater in pieces; a block's end may lie at the border of a piece."""
    piece = permessage_deflate._PIECE
    for size in list(range(piece - 12, piece + 3)) + [3 * piece]:
        for finished in (b'\x01', b'\x00'):
            body = noise(size)
            stored = finished + struct.pack(str('<HH'), size, size ^ 0xffff) + body
            for parts in ([(HELLO_FINISHED + stored + b'\x00', True)],
                          [(HELLO_FINISHED + stored, False), (b'\x00', True)],
                          [(HELLO_FINISHED, False), (stored, False), (b'\x00', True)]):
                codec = pair()[0]
                assert inflate_parts(codec, parts, size + 5) == b'Hello' + body
                assert codec.inflate(HELLO, True, 5) == codec.inflate(HELLO_AGAIN, True, 5) == b'Hello'


def test_bytes_behind_bfinal_are_never_dropped():
    for rest in (b'\xff', b'\x07', b'\x00\x01\x02\x03\x04\x05', b'\x06\x00\x00'):
        for final in (True, False):
            codec = pair()[0]
            with pytest.raises(CriticalProtocolError):
                codec.inflate(HELLO_FINISHED + rest, final, None)
                codec.inflate(b'\x00', True, None)


def test_last_block_that_the_tail_completes():
    """Cut inside the last block with BFINAL: what is left of the tail is not taken for data."""
    for data in (b'\x01', b'\x03', b'\xf3\x48\xcd\xc9\xc9\x07'):
        codec = pair()[0]
        assert codec.inflate(data, True, None) in (b'', b'Hello')
        assert codec.inflate(HELLO, True, None) == b'Hello'


def test_limit_counts_all_streams_of_a_message():
    blocks = [(b'Hello' * 10, True)] * 4
    packed = Finisher().message(blocks)
    assert len(pair()[0].inflate(packed, True, 200)) == 200
    for limit in (199, 150, 149, 100, 51, 50, 49, 0):
        assert pair()[0].inflate(packed, True, limit) is None
    codec, peer = pair()[0], Finisher()
    assert codec.inflate(peer.block(b'x' * 50, True), False, 50) == b'x' * 50
    assert codec.inflate(peer.block(b'x' * 50, True), True, 49) is None


def test_too_many_streams():
    most = permessage_deflate._MOST_STREAMS
    codec = pair()[0]
    for _ in range(2):                                                         # counted by message
        assert codec.inflate(b'\x03\x00' * (most + 1), True, None) == b''
    for count in (most + 2, 100000):
        with raises(CriticalProtocolError, 'compressed message has more than 1000 blocks with BFINAL set'):
            pair()[0].inflate(b'\x03\x00' * count, True, None)
    codec = pair()[0]
    with pytest.raises(CriticalProtocolError):
        for _ in range(most + 3):
            codec.inflate(b'\x03\x00', False, None)


# -- limits and bombs

def test_limit_is_exact():
    for size in (1, 100, 16384, 65536, 300000):
        packed = pair()[0].compress(b'x' * size)
        for limit in (size, size + 1, sys.maxsize - 1, sys.maxsize, 2 ** 63 - 1, 2 ** 70, None):
            assert pair()[1].inflate(packed, True, limit) == b'x' * size
        for limit in (size - 1, size // 2, 0):
            assert pair()[1].inflate(packed, True, limit) is None
    assert pair()[1].inflate(b'\x00', True, 0) == b''


MIB = 1024 * 1024


def make_bomb(flush):
    """3 GB in 3 MB: a block of a megabyte that refers to nothing before it, 3,000 times."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(b'\x00' * MIB) + compressor.flush(flush)) * 3000


@pytest.mark.parametrize('flush', [zlib.Z_FULL_FLUSH, zlib.Z_FINISH])
@pytest.mark.parametrize('limit', [MIB - 1, MIB, 3 * MIB])
@pytest.mark.ends
def test_bomb(flush, limit):
    bomb = make_bomb(flush)
    assert 2900000 < len(bomb) < 3200000
    peak, result = growth(pair()[0].inflate, memoryview(bomb), True, limit)
    assert result is None and peak < 16 * MIB


@needs_tracemalloc
@pytest.mark.ends
def test_bomb_behind_bfinal():
    """The inflater that goes on behind the block has the same limit."""
    bomb = Finisher().message([(b'Hello', True)])[:-1] + pair()[0].compress(b'\0' * (64 * MIB))
    peak, result = growth(pair()[0].inflate, bomb, True, MIB)
    assert result is None and peak < 8 * MIB


def test_bomb_in_parts():
    bomb, codec, left = make_bomb(zlib.Z_FULL_FLUSH), pair()[0], 10 * MIB
    for at in range(0, len(bomb), 1500):
        result = codec.inflate(bomb[at:at + 1500], False, left)
        if result is None:
            break
        left -= len(result)
    assert result is None and 0 <= left < 3 * MIB


# -- garbage

@pytest.mark.parametrize('data', [
    b'\xff\xff\xff\xff\xff', b'\x07', b'\x00\x05\x00\x00\x00Hello', HELLO_AGAIN, b'\x06\xff'])
def test_garbage(data):
    for parts in ([(data, True)], [(data, False), (b'\x00', True)]):
        with pytest.raises(CriticalProtocolError) as caught:
            inflate_parts(pair()[0], parts)
        assert str(caught.value).startswith('compressed message cannot be inflated; Error -3')


@pytest.mark.ends
def test_mutated_messages():
    """Nothing but bytes within the limit, None or the documented error, whatever comes."""
    randoms = random.Random(13)
    seen = set()
    for turn in range(1500):
        peer, codec = Finisher(), pair(turn % 5 == 0, False)[0]
        for _ in range(3):
            blocks = [(randoms.choice((b'Hello', TEXT[:300], b'z' * 5000)), randoms.random() < 0.4)
                      for _ in range(2)]
            packed = bytearray(peer.message(blocks))
            for _ in range(randoms.randrange(3)):
                place = randoms.randrange(len(packed))
                kind = randoms.randrange(3)
                if kind == 0:
                    packed[place] ^= 1 << randoms.randrange(8)
                elif kind == 1:
                    del packed[place:]
                    packed += b'\x00'
                else:
                    packed[place:place] = bytearray(noise(2, turn))
            try:
                for part, final in cut(bytes(packed), randoms):
                    result = codec.inflate(part, final, 20000)
                    seen.add(type(result))
                    assert result is None or (type(result) is bytes and len(result) <= 20000)
                    if result is None:
                        break
            except CriticalProtocolError as error:
                assert '\n' not in str(error) and len(str(error)) < 120
                seen.add('error')
                break
            if result is None:
                break
    assert 'error' in seen and bytes in seen


def test_random_bytes():
    for seed in range(300):
        try:
            pair()[0].inflate(noise(50, seed), True, 1000)
        except CriticalProtocolError:
            pass


# -- memory

class CountingZlib(object):
    """zlib, with the objects counted that are made."""

    def __init__(self):
        self.made = []

    def __getattr__(self, name):
        return getattr(zlib, name)

    def compressobj(self, *arguments):
        self.made.append('compressobj')
        return zlib.compressobj(*arguments)

    def decompressobj(self, *arguments):
        self.made.append('decompressobj')
        return zlib.decompressobj(*arguments)


def test_objects_are_made_when_needed(monkeypatch):
    counting = CountingZlib()
    monkeypatch.setattr(permessage_deflate, 'zlib', counting)
    client, server = pair(min_size=2)
    assert client.compress(b'x') is None and server.inflate(b'', True, None) == b''
    assert counting.made == []
    packed = [client.compress(TEXT) for _ in range(3)]
    assert counting.made == ['compressobj']
    for data in packed:
        assert server.inflate(data, True, None) == TEXT
    assert counting.made == ['compressobj', 'decompressobj']
    anew, other = pair(True, True)
    for _ in range(2):
        assert other.inflate(anew.compress(TEXT), True, None) == TEXT
    assert counting.made[2:] == ['compressobj', 'decompressobj'] * 2


def test_history_is_small():
    """What is kept for BFINAL stays within a few windows, whatever the messages are like."""
    for size in (1, 100, 5000, 20000, 40000, 300000):
        codec, packer = pair()
        for turn in range(20 + 100000 // size // 20):
            codec.inflate(packer.compress(noise(min(size, 500), turn) * (size // 500 or 1)), True, None)
            assert sum(map(len, codec._history)) <= 3 * 32768 and len(codec._history) < 200
    anew = pair(True, False)[0]
    anew.inflate(HELLO, True, None)
    assert anew._history == [] and anew._inflater is None


def test_close_gives_all_back():
    client, server = pair()
    server.inflate(client.compress(TEXT), True, None)
    for codec in (client, server):
        codec.close()
    assert client._compressor is None and server._inflater is None and server._history == []
    client.close()
    assert zlib.decompressobj(-15).decompress(client.compress(TEXT) + TAIL) == TEXT      # harmless


def test_close_while_another_thread_compresses():
    """A sender may hold the write lock while the connection ends: its message is finished."""
    client, server = pair()
    first = client.compress(b'first')
    class Closing(object):
        """A compressor during whose work the connection ends."""
        def __init__(self, compressor):
            self._compressor = compressor
        def compress(self, data):
            client.close()
            return self._compressor.compress(data)
        def flush(self, mode):
            return self._compressor.flush(mode)
    client._compressor = Closing(client._compressor)
    second = client.compress(b'second')
    assert client._compressor is None
    assert [server.inflate(data, True, None) for data in (first, second)] == [b'first', b'second']


# -- another implementation

class Module(object):
    """Like zlib, with fewer levels and errors of its own; notes what is called."""

    Z_BEST_COMPRESSION = 3

    class error(Exception):
        pass

    def __init__(self):
        self.called = []

    def compressobj(self, level, *arguments):
        self.called.append(level)
        return zlib.compressobj(level, *arguments)

    def decompressobj(self, window_bits):
        self.called.append('decompress')
        return self

    def decompress(self, data, limit):
        raise self.error('no')


def test_another_module_is_used_both_ways():
    module = Module()
    codec = PerMessageDeflate(DeflateParameters(), True, module=module)
    assert pair()[1].inflate(codec.compress(TEXT), True, None) == TEXT
    with raises(CriticalProtocolError, 'compressed message cannot be inflated; no'):
        codec.inflate(HELLO, True, None)
    assert module.called == [3, 'decompress']
    module.called = []
    for level in (0, 2):
        PerMessageDeflate(DeflateParameters(), False, level, module=module).compress(TEXT)
    assert module.called == [0, 2]


def test_another_module_that_may_look_back_too_far():
    """A window of 256 bytes is what only zlib is known to keep to."""
    def codec(is_client, module):
        bits = {'client_max_window_bits' if is_client else 'server_max_window_bits': 8}
        return PerMessageDeflate(DeflateParameters(**bits), is_client, module=module)
    for is_client in (True, False):
        assert codec(is_client, Module()).compress(TEXT) is None
        assert codec(is_client, zlib).compress(TEXT) is not None
    assert codec(True, Module()).compress(b'') is None
