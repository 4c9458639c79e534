"""Protocol cores driven by hand: every way to feed them, and what came out."""

from __future__ import absolute_import, division, unicode_literals

import itertools
import os
import random

from lomond.protocol.connection import CLIENT, SERVER, Connection
from lomond.protocol.parts import LARGEST_PART
from lomond.protocol.receive_buffer import SHARED_SIZE, Lender

# What is compared of each event, by its name.
_SHOWN = {'text': ('text',), 'binary': ('data',), 'ping': ('data',), 'pong': ('data',),
          'closing': ('code', 'reason'), 'closed': ('code', 'reason'),
          'text_part': ('text', 'is_first', 'is_last'), 'binary_part': ('data', 'is_first', 'is_last'),
          'protocol_error': ('error', 'critical'), 'ready': ('protocol',), 'rejected': ('reason',)}


def facts(event):
    """Return what is compared of an event: its name and what it says."""
    return (event.name,) + tuple(getattr(event, name) for name in _SHOWN[event.name])


def open_client(**settings):
    """Return a client core that is open already."""
    return Connection(CLIENT, **settings)


def open_server(**settings):
    """Return a server core that is open already."""
    return Connection(SERVER, **settings)


class Scribbled(Lender):
    """A buffer for many connections that is overwritten whenever one gives it back."""

    garbage = b'\x8a\x02\xff\x00' * (SHARED_SIZE // 4)
    reach = SHARED_SIZE             # how much of it is overwritten

    @property
    def is_lent(self):
        return self._is_lent

    @is_lent.setter
    def is_lent(self, value):
        self._is_lent = value
        if not value:
            self.view[:self.reach] = self.garbage[:min(self.reach, len(self.view))]


#: A buffer that cores share, one after the other.
SHARED = Scribbled()
#: False on the interpreters between the oldest and the newest of a run.
IS_AN_END = 'ends' not in os.environ.get('LOMOND_ELSEWHERE', '').split()


class Log(object):
    """A core driven by hand, and what came out of it, in order.

    Events are the tuples of :func:`facts`; what it wants to be written is
    ``('send', opcode, payload)``, found before the event that came with it.
    """

    def __init__(self, core):
        self.core = core
        self.entries = []
        self.events = []

    def take(self, events):
        """Exhaust an iterator of events: those of one read, or more."""
        for event in events:
            self.step(event)
        self.take_outgoing()
        self.core.receive_buffer.settle()

    def step(self, event):
        """Record one event."""
        self.take_outgoing()
        self.entries.append(facts(event))
        self.events.append(event)

    def take_outgoing(self):
        self.entries.extend(('send',) + item for item in self.core.take_outgoing())

    def feed(self, data, received_time=1.5, now=None):
        """Feed bytes with ``receive``."""
        self.take(self.core.receive(data, received_time, now))

    def fill(self, data, received_time=1.5, now=None):
        """Feed bytes with ``get_buffer`` and ``buffer_updated``."""
        data = memoryview(data)
        while len(data):
            place = self.core.get_buffer()
            count = min(len(place), len(data))
            assert count
            place[:count] = data[:count]
            self.take(self.core.buffer_updated(count, received_time, now))
            data = data[count:]


def join_parts(entries):
    """Return the entries with the parts of each complete message as one entry of it.

    Asserts what holds for every part: the flags, its size, and that it is not empty.
    """
    joined, parts = [], []
    for entry in entries:
        if not entry[0].endswith('_part'):
            joined.append(entry)
            continue
        name, value, is_first, is_last = entry
        assert is_first == (not parts) and (value or is_last)
        assert len(value if name == 'binary_part' else value.encode('utf-8')) <= LARGEST_PART + 3
        parts.append(value)
        if is_last:
            joined.append((name.split('_')[0], value[:0].join(parts)))
            parts = []
    return joined


def split(data, rng, count=5):
    """Return some bytes cut at ``count`` random places; parts may be empty."""
    places = sorted(rng.randrange(len(data) + 1) for _ in range(count))
    return [data[start:stop] for start, stop in zip([0] + places, places + [len(data)])]


def cut(data, rng):
    """Return pieces of some bytes, cut at random places."""
    count = rng.choice([1, 2, 3, 8, 20])
    return [piece for piece in split(data, rng, min(count, len(data))) if piece]


def ways(data, seed=6455):
    """Yield every way to feed some bytes: ``(name, [pieces], method)``."""
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
    """Feed some bytes in every way, and assert that the result is always the same.

    As a bytearray, they arrive in a shared buffer that is overwritten between two reads.
    Each way is tried with each type of bytes, and between the oldest and the newest
    interpreter with one of them in turn.

    :param data: bytes
    :param expected: list of :class:`Log` entries
    :param state: name of the state at the end
    :param make: returns a new core
    :param trailing: bytes after them that change nothing: the beginning of a frame
    """
    shared = Scribbled()
    shared.reach = min(len(data) + 100, SHARED_SIZE)
    for number, (name, pieces, method) in enumerate(ways(data)):
        kinds = (bytes, bytearray, memoryview)[:2 if method == 'fill' else 3]   # copied into the buffer
        for kind in kinds if IS_AN_END else kinds[number % len(kinds):][:1]:
            log = Log(make())
            if kind is bytearray:
                log.core.receive_buffer.share(shared)
            for piece in pieces:
                getattr(log, method)(kind(piece))
                assert not shared.is_lent
            assert log.entries == expected, '%s, as %s' % (name, kind.__name__)
            if state is not None:
                assert log.core.state.name == state, name
        log.feed(trailing)
        assert log.entries == expected, name + ', and then something trailing'
    for stream_from, (name, pieces, method) in itertools.product((0, 1), itertools.islice(ways(data), 6)):
        log = Log(make())
        log.core.stream_from = stream_from
        log.core.receive_buffer.share(shared)
        for piece in pieces:
            getattr(log, method)(piece)
        assert join_parts(log.entries) == expected, '%s, stream_from=%d' % (name, stream_from)
    log = Log(make())
    log.feed(data + trailing)
    assert log.entries == expected, 'with something trailing in the same read'
