"""The buffer: where bytes go, that none is lost, and what it costs."""

from __future__ import absolute_import, division, unicode_literals

import random

import pytest

from lomond.protocol.receive_buffer import FIRST_SIZE, LARGEST_SIZE, Intake


def put(intake, data):
    """Put bytes there as a socket would; False when not all of them fit."""
    place = intake.get_buffer()
    assert len(place) > 0
    count = min(len(place), len(data))
    place[:count] = data[:count]
    intake.advance(count)
    return data[count:]


def test_fresh():
    intake = Intake()
    assert len(intake.buffer) == FIRST_SIZE == len(intake.get_buffer()) == len(intake.get_buffer(1 << 30))
    assert (intake.start, intake.end, intake.direct, intake.received_time) == (0, 0, None, None)
    assert intake.take() == b''


def test_what_was_put_is_there():
    intake = Intake()
    assert put(intake, b'hello') == b''
    assert bytes(intake.buffer[intake.start:intake.end]) == b'hello'
    assert put(intake, b' world') == b''
    assert intake.take() == b'hello world'
    assert intake.take() == b''
    assert len(intake.get_buffer()) == FIRST_SIZE


def test_doubles_when_one_read_fills_it():
    intake = Intake()
    sizes = []
    data = b'x' * (1 << 20)
    while data:
        data = put(intake, data)
        intake.start = intake.end           # the parser has read it all
        sizes.append(len(intake.buffer))
    # not before there is more to read: what comes may be a large payload, with a place of its own
    assert sizes[:7] == [FIRST_SIZE, 2 * FIRST_SIZE, 4 * FIRST_SIZE, 8 * FIRST_SIZE, 16 * FIRST_SIZE,
                         LARGEST_SIZE, LARGEST_SIZE]
    assert max(sizes) == LARGEST_SIZE


def test_small_again_behind_a_large_payload():
    """What is read together with the header of the next large payload has to be copied."""
    intake = Intake()
    data = b'x' * (FIRST_SIZE * 7)
    while data:
        data = put(intake, data)
        intake.start = intake.end
    assert len(intake.get_buffer()) == 8 * FIRST_SIZE
    buffer = intake.buffer
    put(intake, b'header')
    intake.start = intake.end
    intake.direct, intake.filled = memoryview(bytearray(10)), 0
    put(intake, b'0123456789')
    intake.direct = None
    assert len(intake.get_buffer()) == FIRST_SIZE
    data = b'y' * FIRST_SIZE
    assert put(intake, data) == b''
    assert intake.take() == data
    assert len(intake.get_buffer()) == 2 * FIRST_SIZE       # of the buffer that there is
    assert intake.buffer is buffer


def test_no_growth_for_a_large_payload():
    """A first read that is full of it says nothing about the next header."""
    intake = Intake()
    for _ in range(5):
        put(intake, b'x' * FIRST_SIZE)
        intake.start = intake.end
        intake.direct, intake.filled = memoryview(bytearray(10)), 0
        put(intake, b'0123456789')
        intake.direct = None
    assert len(intake.buffer) == FIRST_SIZE == len(intake.get_buffer())


def test_does_not_grow_for_less():
    intake = Intake()
    for _ in range(100):
        put(intake, b'x' * (FIRST_SIZE - 1))
        put(intake, b'y')
        intake.start = intake.end
    assert len(intake.buffer) == FIRST_SIZE


def test_rest_moves_to_the_front():
    intake = Intake()
    put(intake, b'x' * (FIRST_SIZE - 4))
    put(intake, b'rest')
    buffer = intake.buffer
    size = len(buffer)
    intake.start = size - 3
    place = intake.get_buffer()
    assert intake.buffer is buffer and len(place) == size - 3
    assert intake.take() == b'est'


def test_grows_for_what_nobody_reads():
    intake = Intake()
    put(intake, b'x')
    intake.start = 1
    data = rest = bytes(bytearray(range(256))) * 1000
    while rest:
        rest = put(intake, rest)
    assert intake.take() == data


def test_any_order_of_reads():
    rng = random.Random(7)
    for _ in range(30):
        intake = Intake()
        sent = received = b''
        for _ in range(100):
            data = bytes(bytearray(rng.randrange(256) for _ in range(rng.choice([0, 1, 100, 3000]))))
            sent += data
            while data:
                data = put(intake, data)
            count = rng.randrange(intake.end - intake.start + 1)
            received += bytes(intake.buffer[intake.start:intake.start + count])
            intake.start += count
        assert received + intake.take() == sent


def test_views_that_are_kept_do_no_harm():
    """A bytearray of which somebody has a view cannot be resized: it is replaced."""
    intake = Intake()
    views = []
    data = rest = b'0123456789' * 50000
    while rest:
        views.append(intake.get_buffer())
        rest = put(intake, rest)
    assert intake.take() == data


@pytest.mark.parametrize('size', [0, 1, FIRST_SIZE, FIRST_SIZE + 1, 100000])
@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_put_back(size, kind):
    intake = Intake()
    data = (b'0123456789' * (size // 10 + 1))[:size]
    intake.put_back(kind(data))
    put(intake, b'more')
    assert intake.take() == data + b'more'


def test_direct():
    """A payload with a place of its own never passes the buffer."""
    intake = Intake()
    place = bytearray(10)
    intake.direct, intake.filled = memoryview(place), 0
    assert put(intake, b'012345') == b''
    assert intake.filled == 6 and len(intake.get_buffer()) == 4
    assert put(intake, b'6789abc') == b'abc'
    assert bytes(place) == b'0123456789' and intake.filled == 10
    assert intake.take() == b''


def test_drop():
    intake = Intake()
    put(intake, b'x' * 100)
    intake.direct = memoryview(bytearray(5))
    intake.drop()
    assert intake.direct is None and intake.take() == b'' and len(intake.get_buffer()) == FIRST_SIZE


def test_release():
    intake = Intake()
    put(intake, b'x' * FIRST_SIZE)
    intake.direct = memoryview(bytearray(5))
    intake.release()
    assert len(intake.buffer) == 1 and intake.direct is None
    assert len(intake.get_buffer()) == 1
    assert put(intake, b'ab') == b'b'
