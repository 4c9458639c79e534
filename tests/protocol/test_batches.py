"""Batches: the parser gives the same events, in lists where nothing needs a decision."""

from __future__ import absolute_import, division, unicode_literals

import random

import pytest
from support.cores import cut, facts, open_client
from support.frames import BINARY, CONTINUATION, PING, TEXT, close_frame, frame

from lomond._compat import PY2
from lomond.protocol.batches import LARGEST

pytestmark = pytest.mark.skipif(PY2, reason='there are no batches on 2.7')

SMALL = frame(TEXT, b'\xc3\xa91'), frame(BINARY, b'\xff' * 200), frame(TEXT, b'x' * LARGEST), frame(TEXT)
FRAGMENTS = frame(TEXT, b'a', fin=False) + frame(CONTINUATION, b'b')


def collect(pieces, size, **settings):
    """Feed a client; return the facts of its events, and the sizes of its batches."""
    core, found, sizes = open_client(**settings), [], []
    for piece in pieces:
        core.receive_buffer.batch_size = size
        for item in core.receive(piece, 1.0, 1.0):
            if isinstance(item, list):
                sizes.append(len(item))
            found += [facts(event) for event in (item if isinstance(item, list) else [item])]
    return found, sizes


@pytest.mark.parametrize('settings', [
    {}, {'stream_from': 100}, {'max_message_size': 250}, {'max_message_size': 5}])
@pytest.mark.parametrize('end', [
    b'', close_frame(1000), b'\x83\x00', frame(TEXT, b'\xff'), b'\x81\x7e\x00\x01x', b'\x81\x82abcdxy',
    frame(CONTINUATION), b'\x81', b'\x81\x7e\x01'])
def test_the_events_are_the_same(end, settings):
    rng = random.Random(6455)
    for _ in range(10):
        kinds = SMALL * 6 + (frame(PING, b'p'), FRAGMENTS, frame(TEXT, b'x' * (LARGEST + 1)))
        data = b''.join(rng.choice(kinds) for _ in range(60)) + end + frame(TEXT, b'after')
        for pieces in [data], cut(data, rng):
            expected, sizes = collect(pieces, 0, **settings)
            assert collect(pieces, rng.randrange(2, 17), **settings)[0] == expected and sizes == []


@pytest.mark.parametrize('between', [
    frame(PING), FRAGMENTS, close_frame(1000), b'\x83\x00', frame(TEXT, b'\xff'),
    frame(BINARY, b'x' * (LARGEST + 1)), b'\x81\x7e\x00\x01x', b'\x81\x82abcdxy'])
def test_a_batch_ends_before_what_needs_a_decision(between):
    core = open_client()
    core.receive_buffer.batch_size = 16
    events = core.receive(frame(TEXT, b'x') * 3 + between + frame(TEXT, b'y') * 20)
    assert [event.text for event in next(events)] == ['x'] * 3
    assert not isinstance(next(events), list)
    assert core.send_queue.has_close is False


def test_a_batch_is_as_long_as_asked_for():
    assert collect([frame(TEXT, b'x') * 40], 16)[1] == [16, 16, 8]
