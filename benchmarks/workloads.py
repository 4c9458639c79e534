"""The workloads by name, and the messages and frames that they consist of.

Knows nothing of: clients, servers, processes. It is plain data.
"""

import json
import random
import struct
import zlib
from collections import namedtuple

KIB, MIB = 1024, 1024 * 1024

#: One row of the table.  mode: receive, round-trip, send, send-cork (CPU per message);
#: connect (CPU per connection); import (CPU); memory-idle, memory-peak (bytes); wake-ups
#: (in ten seconds); parts-receive, parts-send (CPU and bytes of one message in parts;
#: warm and count are MiB) kind: text or binary; messages: the name of a function below;
#: fragment: bytes per frame, or None
#: warm, count: the number of messages before the clock starts, and the minimum after
#: that goal: the least multiple of 0.3.4 (CPU), or a maximum (memory-idle: bytes;
#: memory-peak: multiples of the message; wake-ups: their number; parts: multiples of
#: the CPU of the limit); zlib: of lomond's compression, the module and the level; `goals`
#: has different ones for some Pythons; growth: with
#: parts, a maximum in bytes
Workload = namedtuple(
    'Workload', 'name title mode kind messages warm count goal goals tls deflate fragment quick growth zlib')


def _row(name, title, mode, goal, messages=None, kind='text', warm=0, count=0, goals=None, tls=False,
         deflate=False, fragment=None, quick=False, growth=None, zlib=None):
    return Workload(name, title, mode, kind, messages, warm, count, goal, goals or {}, tls,
                    deflate or zlib is not None, fragment, quick, growth, zlib)


#: On 2.7 and 3.8, small messages should be five times as fast as with 0.3.4.
_SMALL = {'2.7': 5, '3.8': 5}

WORKLOADS = (
    _row('receive-32', 'receive 32 B text', 'receive', 12, 'text-32', warm=5000, count=20000,
         goals=dict(_SMALL, **{'3.13': 10}), quick=True),
    _row('receive-128', 'receive 128 B text', 'receive', 12, 'text-128', warm=5000, count=20000,
         goals=dict(_SMALL, **{'3.13': 10}), quick=True),
    _row('receive-1k-text', 'receive 1 KiB text', 'receive', 9, 'text-1k', warm=2000, count=10000,
         quick=True),
    _row('receive-1k-binary', 'receive 1 KiB binary', 'receive', 6.5, 'binary-1k', 'binary', 2000, 10000),
    _row('receive-16k-ascii', 'receive 16 KiB ASCII text', 'receive', 13, 'text-16k', warm=300, count=2000),
    _row('receive-16k-mixed', 'receive 16 KiB mixed text', 'receive', 4, 'mixed-16k', warm=300, count=2000),
    _row('receive-1m', 'receive 1 MiB binary', 'receive', 4.5, 'binary-1m', 'binary', 20, 60, quick=True),
    _row('receive-16m-binary', 'receive 16 MiB binary', 'receive', 3, 'binary-16m', 'binary', 2, 4,
         quick=True),
    _row('receive-16m-text', 'receive 16 MiB text', 'receive', 6, 'text-16m', 'text', 1, 3),
    _row('receive-16m-fragments', 'receive 16 MiB in 4 KiB fragments', 'receive', 2.5, 'binary-16m', 'binary',
         1, 3, fragment=4 * KIB),
    _row('round-trip-32', 'round trip 32 B text', 'round-trip', 1.35, 'text-32', warm=500, count=2000,
         quick=True),
    _row('round-trip-1k', 'round trip 1 KiB text', 'round-trip', 1.6, 'text-1k', warm=500, count=2000),
    _row('round-trip-64k', 'round trip 64 KiB binary', 'round-trip', 1.5, 'binary-64k', 'binary', 100, 400),
    _row('send-32', 'send 32 B text', 'send', 2, 'text-32', warm=2000, count=10000, quick=True),
    _row('send-32-cork', 'send 32 B text, many in one cork()', 'send-cork', 4.3, 'text-32', warm=2000,
         count=40000),
    _row('send-1k', 'send 1 KiB text', 'send', 1.4, 'text-1k', warm=2000, count=10000),
    _row('send-1m', 'send 1 MiB binary', 'send', 1.2, 'binary-1m', 'binary', 5, 40),
    _row('deflate-receive', 'receive 1 KiB JSON, deflate', 'receive', 3, 'json-1k', warm=1000, count=10000,
         deflate=True),
    _row('deflate-send', 'send 1 KiB JSON, deflate', 'send', 1.1, 'json-1k', warm=500, count=4000,
         deflate=True),
    _row('deflate-send-1', 'the same at level 1', 'send', 2, 'json-1k', warm=500, count=4000,
         zlib=('zlib', 1)),
    _row('deflate-send-ng', 'the same with zlib_ng at level 1', 'send', 6, 'json-1k', warm=500, count=4000,
         zlib=('zlib_ng.zlib_ng', 1)),
    _row('deflate-send-isal', 'the same with isal at level 1', 'send', 3, 'json-1k', warm=500, count=4000,
         zlib=('isal.isal_zlib', 1)),
    _row('deflate-receive-ng', 'receive 1 KiB JSON, zlib_ng', 'receive', 2, 'json-1k', warm=1000, count=10000,
         zlib=('zlib_ng.zlib_ng', 1)),
    _row('deflate-receive-isal', 'receive 1 KiB JSON, isal', 'receive', 1, 'json-1k', warm=1000, count=10000,
         zlib=('isal.isal_zlib', 1)),
    _row('tls-round-trip', 'TLS: round trip 32 B text', 'round-trip', 1.3, 'text-32', warm=500, count=2000,
         tls=True),
    _row('tls-receive-1k', 'TLS: receive 1 KiB text', 'receive', 6.5, 'text-1k', warm=2000, count=10000,
         tls=True),
    _row('tls-receive-16m', 'TLS: receive 16 MiB binary', 'receive', 1.6, 'binary-16m', 'binary', 2, 4,
         tls=True),
    _row('connect', 'connect, Ready, close', 'connect', 1, warm=20, count=60, quick=True),
    _row('tls-connect', 'TLS: connect, Ready, close', 'connect', 1, warm=5, count=20, tls=True),
    _row('import', 'import', 'import', 2.5, quick=True),
    _row('memory-idle', 'an idle connection, of 500', 'memory-idle', 32 * KIB, count=500, quick=True),
    _row('memory-peak', 'peak while receiving 16 MiB', 'memory-peak', 2.05, 'binary-16m', 'binary', 0, 6,
         quick=True),
    _row('wake-ups', 'wake-ups of an idle connection, 10 s', 'wake-ups', 4),
    _row('parts-receive', 'parts: receive 1 GiB, one frame', 'parts-receive', 1.5, 'binary-1m', 'binary',
         16, 1024, growth=8 * MIB),
    _row('parts-receive-fragments', 'parts: receive 1 GiB, 64 KiB fragments', 'parts-receive', 1.8,
         'binary-1m', 'binary', 16, 1024, fragment=64 * KIB, growth=8 * MIB),
    _row('parts-receive-deflate', 'parts: receive 1 GiB, deflate', 'parts-receive', 1.6, 'json-1m', 'binary',
         16, 1024, deflate=True, growth=4 * MIB),
    _row('parts-send', 'parts: send 1 GiB, 64 KiB parts', 'parts-send', 1.1, 'binary-64k', 'binary', 16, 1024,
         fragment=64 * KIB, growth=8 * MIB),
)

BY_NAME = dict((workload.name, workload) for workload in WORKLOADS)

#: Modes whose figures are seconds of CPU, shown as multiples of 0.3.4.
CPU_MODES = ('receive', 'round-trip', 'send', 'send-cork', 'connect', 'import')
#: Modes whose figures are pairs: seconds of CPU for the whole message, which are shown
#: as multiples of the limit, and bytes by which the process grew.
PARTS_MODES = ('parts-receive', 'parts-send')
#: MiB of one message in parts with --quick.
QUICK_PARTS = 128


def goal(workload, python):
    """Return the goal of a workload on a Python ('3.11').

    The goals of the table hold from 3.11 on.

    :returns: a number; 1 if the only goal is not to be slower than 0.3.4
    """
    if python in workload.goals:
        return workload.goals[python]
    if workload.mode in CPU_MODES and tuple(int(part) for part in python.split('.')) < (3, 11):
        return 1
    return workload.goal


# --- messages: lists of bytes of payload ---

def _numbered(size, count):
    """Make ASCII texts that all differ."""
    filler = 'the quick brown fox jumps over the lazy dog, again and again; ' * (size // 62 + 1)
    return [('%08d %s' % (number, filler))[:size].encode('ascii') for number in range(count)]


def _mixed(size, count):
    """Make texts in several scripts, with one to four bytes per character."""
    piece = ('plain words, then Stra\u00dfe und Gr\u00fc\u00dfe, \u0434\u043e\u0431\u0440\u044b\u0439 '
             '\u0434\u0435\u043d\u044c, \u4f60\u597d\u4e16\u754c, \U0001f40d\U0001f980; 0123456789 ')
    texts = []
    for number in range(count):
        data = (('%08d ' % number) + piece * (size // 60)).encode('utf-8')[:size]
        text = data.decode('utf-8', 'ignore').encode('utf-8')
        texts.append(text + b'.' * (size - len(text)))
    return texts


def _binary(size, count):
    rng = random.Random(6455)
    block = bytes(rng.getrandbits(8) for _ in range(64 * KIB))
    return [(struct.pack('!I', number) + block * (size // len(block) + 1))[:size] for number in range(count)]


def _json(size, count):
    """Make JSON texts such as market data, of about `size` bytes each."""
    rng = random.Random(7692)
    texts = []
    for number in range(count):
        data = {'type': 'update', 'sequence': 1000000 + number, 'time': 1700000000 + rng.random() * 1e6,
                'channel': rng.choice(['ticker', 'trades', 'depth']), 'levels': []}
        text = json.dumps(data)
        while len(text) < size - 40:
            data['levels'].append({'price': round(rng.random() * 50000, 2),
                                   'size': round(rng.random() * 10, 6), 'side': rng.choice(['buy', 'sell'])})
            text = json.dumps(data)
        texts.append(text.encode('ascii'))
    return texts


MESSAGES = {
    'text-32': lambda: _numbered(32, 8000),
    'text-128': lambda: _numbered(128, 4000),
    'text-1k': lambda: _numbered(KIB, 1000),
    'text-16k': lambda: _numbered(16 * KIB, 64),
    'text-16m': lambda: _numbered(16 * MIB, 1),
    'mixed-16k': lambda: _mixed(16 * KIB, 64),
    'binary-1k': lambda: _binary(KIB, 1000),
    'binary-64k': lambda: _binary(64 * KIB, 1),
    'binary-1m': lambda: _binary(MIB, 2),
    'binary-16m': lambda: _binary(16 * MIB, 1),
    'json-1k': lambda: _json(KIB, 400),
    'json-1m': lambda: [(b'\n'.join(_json(KIB, 1100)))[:MIB]],
}


# --- frames of a server ---

def encode_header(first, length):
    """Encode the header of an unmasked frame with the given first byte."""
    if length < 126:
        return struct.pack('!BB', first, length)
    if length < 65536:
        return struct.pack('!BBH', first, 126, length)
    return struct.pack('!BBQ', first, 127, length)


def encode_frame(first, payload):
    """Encode an unmasked frame with the given first byte."""
    return encode_header(first, len(payload)) + payload


def encode_stream(workload, messages):
    """Encode messages as frames that can be sent repeatedly on one connection.

    This is true of compressed frames as well (RFC 7692, with context takeover): no
    frame refers to anything before the first one, and what it refers to reappears at
    the same distance.

    :returns: a list of bytes, one item per message
    """
    opcode = 1 if workload.kind == 'text' else 2
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    encoded = []
    for payload in messages:
        if workload.deflate:
            payload = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            encoded.append(encode_frame(0xC0 | opcode, payload[:-4]))
        elif workload.fragment is not None:
            parts = [payload[at:at + workload.fragment] for at in range(0, len(payload), workload.fragment)]
            firsts = [opcode] + [0] * (len(parts) - 2) + [0x80]
            encoded.append(b''.join(encode_frame(*pair) for pair in zip(firsts, parts)))
        else:
            encoded.append(encode_frame(0x80 | opcode, payload))
    return encoded


def parts_payload(workload, message):
    """Return what the payload of one endless message repeats: ``message``, deflated if
    that is measured.

    Repeated, deflated data is one valid stream: each repetition ends with an empty
    stored block, whose last four bytes are missing at the very end (RFC 7692, 7.2.1).
    """
    if not workload.deflate:
        return message
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)


def frame_bytes(payload, fragment):
    """Return how many bytes a payload has on the wire, in fragments (None: one frame)."""
    whole, rest = divmod(payload, fragment or payload)
    return whole * len(encode_header(0, fragment or payload)) + payload + (
        len(encode_header(0, rest)) if rest else 0)


def stream_name(workload):
    """Return the name of the file with the frames of a workload."""
    name = workload.messages
    if workload.mode in PARTS_MODES:
        return name + ('-parts-deflate' if workload.deflate else '-parts')
    if workload.deflate:
        name += '-deflate'
    if workload.fragment is not None:
        name += '-fragments'
    return name


def sum_cycle(sizes, start, count):
    """Sum `count` numbers of an endlessly repeated list, from index `start` on."""
    start %= len(sizes)
    rounds, rest = divmod(count, len(sizes))
    twice = sizes + sizes
    return rounds * sum(sizes) + sum(twice[start:start + rest])
