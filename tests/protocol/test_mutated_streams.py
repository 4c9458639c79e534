"""20,000 mutated byte streams: whatever arrives, however it is cut, the same events come and no exception.

The first 2,000 run each time, all of them with ``-m slow`` or when this file is named.
"""

from __future__ import absolute_import, division, unicode_literals

import random
import zlib

import pytest
from support.cores import Log, cut
from support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame
from support.opening import HANDSHAKE_KEY, answer

from lomond.compression import Deflate
from lomond.protocol.connection import CLIENT, SERVER, Connection
from lomond.protocol.handshake import ClientHandshake, ServerHandshake, encode_request
from lomond.protocol.permessage_deflate import DeflateParameters

pytestmark = pytest.mark.ends

STREAMS = 20000
CHUNK = 500
LIMIT = 3000

REFUSAL = (b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="a, b"\r\n'
           b'Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n')
TEXTS = [b'', b'x', b'Hello', '\u2603\U0001f600\xe9'.encode('utf-8') * 9, b'spam ' * 60]


class Stream(object):
    """What a peer may send, before it is spoilt, and the kind of core it is for."""

    def __init__(self, rng):
        self.rng = rng
        self.is_server = rng.random() < .3
        self.is_compressed = rng.random() < .4
        self.opens = rng.random() < .3
        self._zobj = zlib.compressobj(6, zlib.DEFLATED, -15)

    def frame(self, opcode, payload=b'', **keywords):
        key = bytes(bytearray(self.rng.randrange(256) for _ in range(4))) if self.is_server else None
        return frame(opcode, payload, key=key, **keywords)

    def octets(self):
        data = self.opening() if self.opens else b''
        for _ in range(self.rng.randrange(1, 8)):
            data += self.message()
        if self.rng.random() < .3:
            data += self.frame(CLOSE, close_frame(self.rng.choice([1000, 1001, 4000]), b'bye')[2:])
        return data

    def opening(self):
        if self.is_server:
            return encode_request('/', 'example.org', HANDSHAKE_KEY, extensions='permessage-deflate')
        if self.rng.random() < .2:
            return REFUSAL
        return answer(*[b'Sec-WebSocket-Extensions: permessage-deflate'] * self.is_compressed)

    def message(self):
        rng = self.rng
        kind = rng.randrange(8)
        if kind == 0:
            return self.frame(rng.choice([PING, PONG]), b'p' * rng.choice([0, 1, 125]))
        opcode = rng.choice([TEXT, BINARY])
        payload = rng.choice(TEXTS)
        if kind == 1:
            payload = b'large ' * rng.choice([100, 499, 500, 501])
        rsv = 0
        if self.is_compressed and rng.random() < .7:
            rsv = 4
            payload = (self._zobj.compress(payload) + self._zobj.flush(zlib.Z_SYNC_FLUSH))[:-4]
        if kind < 5:
            return self.frame(opcode, payload, rsv=rsv)
        pieces = cut(payload, rng) or [b'']
        data = self.frame(opcode, pieces[0], fin=len(pieces) == 1, rsv=rsv)
        for number, piece in enumerate(pieces[1:], 2):
            if rng.random() < .2:
                data += self.frame(PING, b'between')
            data += self.frame(CONTINUATION, piece, fin=number == len(pieces))
        return data

    def core(self):
        role = SERVER if self.is_server else CLIENT
        offer = Deflate() if self.is_compressed else None
        if not self.opens:
            core = Connection(role, max_message_size=LIMIT,
                              compression=DeflateParameters() if offer else None)
        else:
            handshake = (ServerHandshake(deflate=offer) if self.is_server else
                         ClientHandshake(HANDSHAKE_KEY, deflate=offer))
            core = Connection(role, handshake, max_message_size=LIMIT)
        core.collect_body = not self.is_server
        return core


def spoil(data, rng):
    """A few changes of the kinds that lines, caches and attackers make."""
    data = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(7)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.choice([0, 0x7e, 0x7f, 0x80, 0xff, rng.randrange(256)])
        elif what == 2:
            data[at:at] = bytearray(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif what == 3:
            del data[at:at + rng.randrange(1, 9)]
        elif what == 4:
            data[at:at] = data[at:at + rng.randrange(1, 40)]
        elif what == 5:
            data = data[:at]
        else:
            data[at:at] = bytearray(frame(rng.randrange(16), b'odd', fin=rng.random() < .5,
                                          rsv=rng.randrange(8)))
    return bytes(data)


def run(core, pieces, method):
    """The entries of the log, the state, what is under way; then the end of the stream, twice."""
    log = Log(core)
    for piece in pieces:
        getattr(log, method)(piece)
    state = core.state.name
    log.feed(b'')
    log.feed(b'')
    assert core.state.name == 'DISCONNECTED'
    core.release()
    return state, log.entries


def shown(found, is_compressed):
    """What must not depend on the cuts.

    When a compressed text is both no UTF-8 and no deflate data, or too large, what is seen first does;
    and what is no HTTP is quoted as far as it came.
    """
    state, entries = found
    if state == 'FAILED' and (is_compressed or any('is not HTTP;' in str(entry[1]) for entry in entries
                                                   if entry[0] == 'protocol_error')):
        entries = [entry[:1] if entry[0] == 'protocol_error' else
                   entry[:2] if entry[:2] == ('send', CLOSE) else entry for entry in entries]
    return state, entries


def check(number):
    rng = random.Random(number)
    stream = Stream(rng)
    data = spoil(stream.octets(), rng)
    pieces = cut(data, rng)
    expected = shown(run(stream.core(), [data] if data else [], 'feed'), stream.is_compressed)
    for kind, some, method in ((memoryview, pieces, 'feed'), (bytes, pieces, 'feed'), (bytes, [data], 'fill'),
                               (bytearray, pieces, 'fill')):
        found = shown(run(stream.core(), [kind(piece) for piece in some], method), stream.is_compressed)
        assert found == expected, (number, kind, method)
    return expected


CHUNKS = [pytest.param(start, marks=[pytest.mark.slow] if start >= 2000 else [])
          for start in range(0, STREAMS, CHUNK)]


@pytest.mark.parametrize('start', CHUNKS)
def test_streams(start):
    states = set()
    for number in range(start, start + CHUNK):
        states.add(check(number)[0])
    # The streams are of all kinds, or this test says little.
    assert {'OPEN', 'ECHOED', 'FAILED', 'REJECTED', 'CONNECTING'} <= states
