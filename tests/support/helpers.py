"""What the tests of the protocol share: frames made by hand, and cores driven in every way.

Nothing here uses the encoders of lomond: a mistake there must not hide one in the parser.
"""

from __future__ import absolute_import, division, unicode_literals

import gc
import platform
import random
import struct

import pytest

from lomond.protocol.connection import CLIENT, SERVER, Connection

#: Objects are freed with their last reference; on PyPy some time later.
IS_COUNTED = platform.python_implementation() == 'CPython'

#: For tests of what is freed without the collector.
counted = pytest.mark.skipif(not IS_COUNTED, reason='this Python frees nothing at once: use with')

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: A client's masking key, where a test has no other in mind.
KEY = b'\x37\xfa\x21\x3d'

# One for each thing the core says; nothing else of an event is compared.
_SHOWN = {'text': ('text',), 'binary': ('data',), 'ping': ('data',), 'pong': ('data',),
          'closing': ('code', 'reason'), 'closed': ('code', 'reason'),
          'protocol_error': ('error', 'critical'), 'ready': ('protocol',), 'rejected': ('reason',)}


def collect_what_is_not_counted():
    """Let PyPy free what CPython has freed already."""
    if not IS_COUNTED:
        for _ in range(3):          # finalizers free further objects
            gc.collect()


def mask(key, payload):
    """The payload masked, octet by octet (RFC 6455, 5.3)."""
    key = bytearray(key)
    return bytes(bytearray(octet ^ key[at % 4] for at, octet in enumerate(bytearray(payload))))


def frame(opcode, payload=b'', fin=True, rsv=0, key=None, length=None, form=None):
    """The octets of a frame, right or wrong.

    :param rsv: the three reserved bits, 4 is rsv1
    :param length: what the header announces instead of the true length
    :param form: 7, 16 or 64: how many bits it uses for that
    """
    length = len(payload) if length is None else length
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0 if key is None else 0x80
    if form == 7:
        header = struct.pack(str('!BB'), first, masked | length)
    elif form == 16:
        header = struct.pack(str('!BBH'), first, masked | 126, length)
    else:
        header = struct.pack(str('!BBQ'), first, masked | 127, length)
    if key is None:
        return header + payload
    return header + key + mask(key, payload)


def close_payload(code, reason=b''):
    return struct.pack(str('!H'), code) + reason


def close_frame(code, reason=b'', key=None):
    return frame(CLOSE, close_payload(code, reason), key=key)


class Reader(object):
    """Takes frames apart that one of our sides has written; as naive as can be."""

    def __init__(self):
        self._data = b''

    def feed(self, data):
        """The frames that are whole: ``(fin, rsv, opcode, key or None, payload)``."""
        self._data += data
        frames = []
        while True:
            found = self._next()
            if found is None:
                return frames
            frames.append(found)

    def _next(self):
        data = self._data
        if len(data) < 2:
            return None
        first, second = struct.unpack(str('!BB'), data[:2])
        length, at = second & 127, 2
        if length == 126:
            at = 4
        elif length == 127:
            at = 10
        if len(data) < at:
            return None
        if length == 126:
            length, = struct.unpack(str('!H'), data[2:4])
            assert length > 125
        elif length == 127:
            length, = struct.unpack(str('!Q'), data[2:10])
            assert length > 65535
        key = None
        if second & 128:
            key, at = data[at:at + 4], at + 4
        if len(data) < at + length or (key is not None and len(key) < 4):
            return None
        payload = data[at:at + length]
        self._data = data[at + length:]
        return (bool(first & 128), first >> 4 & 7, first & 15, key,
                payload if key is None else mask(key, payload))


def read_frames(data):
    """All frames of some octets, which must end with one."""
    reader = Reader()
    frames = reader.feed(data)
    assert not reader._data, 'ends inside of a frame'
    return frames


def facts(event):
    """What is compared of an event: its name and what it says."""
    return (event.name,) + tuple(getattr(event, name) for name in _SHOWN[event.name])


def open_client(**settings):
    """A client core that is open already."""
    return Connection(CLIENT, **settings)


def open_server(**settings):
    """A server core that is open already."""
    return Connection(SERVER, **settings)


class Log(object):
    """A core driven by hand, and what came of it in order.

    Events are the tuples of :func:`facts`; what it wants to be written is
    ``('send', opcode, payload)``, found before the event that came with it.
    """

    def __init__(self, core):
        self.core = core
        self.entries = []
        self.events = []

    def take(self, events):
        """Exhaust an iterator of events."""
        for event in events:
            self.step(event)
        self.take_outgoing()

    def step(self, event):
        """One event has come."""
        self.take_outgoing()
        self.entries.append(facts(event))
        self.events.append(event)

    def take_outgoing(self):
        self.entries.extend(('send',) + item for item in self.core.take_outgoing())

    def feed(self, data, received_time=1.5, now=None):
        """Feed bytes by ``receive``."""
        self.take(self.core.receive(data, received_time, now))

    def fill(self, data, received_time=1.5, now=None):
        """Feed bytes by ``get_buffer`` and ``buffer_updated``."""
        data = memoryview(data)
        while len(data):
            place = self.core.get_buffer()
            count = min(len(place), len(data))
            assert count
            place[:count] = data[:count]
            self.take(self.core.buffer_updated(count, received_time, now))
            data = data[count:]


def cut(data, rng):
    """A list of the pieces of some bytes, cut at random places."""
    count = rng.choice([1, 2, 3, 8, 20])
    places = sorted(rng.randrange(len(data) + 1) for _ in range(min(count, len(data))))
    return [data[start:stop] for start, stop in zip([0] + places, places + [len(data)]) if start < stop]


def ways(data, seed=6455):
    """Every way to feed some bytes: ``(name, [pieces], method)``."""
    rng = random.Random(seed)
    yield 'whole', [data], 'feed'
    yield 'whole, into the buffer', [data], 'fill'
    if len(data) <= 4096:
        octets = [data[at:at + 1] for at in range(len(data))]
        yield 'octet by octet', octets, 'feed'
        yield 'octet by octet, into the buffer', octets, 'fill'
    for at in range(1, min(len(data), 20)):
        yield 'cut at %d' % at, [data[:at], data[at:]], 'feed'
    for number in range(10):
        yield 'cut at random, %d' % number, cut(data, rng), 'feed'
    yield 'cut at random, into the buffer', cut(data, rng), 'fill'


def check_parser(data, expected, state=None, make=open_client, trailing=b'\x81'):
    """Feed some bytes in every way; each time the same must come of it.

    :param data: bytes
    :param expected: list of :class:`Log` entries
    :param state: name of the state at the end
    :param make: makes the core
    :param trailing: bytes behind them that change nothing: the beginning of a frame
    """
    for name, pieces, method in ways(data):
        for kind in (bytes, bytearray, memoryview):
            log = Log(make())
            for piece in pieces:
                getattr(log, method)(kind(piece))
            assert log.entries == expected, '%s, as %s' % (name, kind.__name__)
            if state is not None:
                assert log.core.state.name == state, name
        log.feed(trailing)
        assert log.entries == expected, name + ', and then something trailing'
    log = Log(make())
    log.feed(data + trailing)
    assert log.entries == expected, 'with something trailing in the same read'
