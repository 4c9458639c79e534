"""The buffer: where bytes go, that none is lost, and what it costs."""

from __future__ import absolute_import, division, unicode_literals

import random

import pytest

from lomond.protocol.receive_buffer import FIRST_SIZE, LARGEST_SIZE, ReceiveBuffer


@pytest.fixture
def receive_buffer():
    return ReceiveBuffer()


def put(receive_buffer, data):
    """Put bytes there as a socket would; the rest is returned."""
    place = receive_buffer.get_buffer()
    count = min(len(place), len(data))
    assert len(place) > 0
    place[:count] = data[:count]
    receive_buffer.advance(count)
    return data[count:]


def put_and_parse(receive_buffer, data):
    """Put all of it there, read by read; the sizes of the buffer when the parser has read each."""
    sizes = []
    while data:
        data = put(receive_buffer, data)
        receive_buffer.start = receive_buffer.end
        sizes.append(len(receive_buffer.buffer))
    return sizes


def put_directly(receive_buffer):
    """A payload of ten bytes comes with a place of its own."""
    receive_buffer.direct, receive_buffer.filled = memoryview(bytearray(10)), 0
    put(receive_buffer, b'0123456789')
    receive_buffer.direct = None


def test_fresh(receive_buffer):
    assert len(receive_buffer.buffer) == FIRST_SIZE
    assert len(receive_buffer.get_buffer()) == len(receive_buffer.get_buffer(1 << 30)) == FIRST_SIZE
    assert receive_buffer.start == receive_buffer.end == 0
    assert receive_buffer.direct is receive_buffer.received_time is None
    assert receive_buffer.take() == b''


def test_what_was_put_is_there(receive_buffer):
    assert put(receive_buffer, b'hello') == b''
    assert bytes(receive_buffer.buffer[receive_buffer.start:receive_buffer.end]) == b'hello'
    assert put(receive_buffer, b' world') == b''
    assert receive_buffer.take() == b'hello world'
    assert receive_buffer.take() == b''
    assert len(receive_buffer.get_buffer()) == FIRST_SIZE


def test_doubles_when_one_read_fills_it(receive_buffer):
    sizes = put_and_parse(receive_buffer, b'x' * (1 << 20))
    # not before there is more to read: what comes may be a large payload, with a place of its own
    assert sizes[:7] == [FIRST_SIZE, 2 * FIRST_SIZE, 4 * FIRST_SIZE, 8 * FIRST_SIZE, 16 * FIRST_SIZE,
                         LARGEST_SIZE, LARGEST_SIZE]
    assert max(sizes) == LARGEST_SIZE


def test_small_again_behind_a_large_payload(receive_buffer):
    """What is read together with the header of the next large payload has to be copied."""
    put_and_parse(receive_buffer, b'x' * (FIRST_SIZE * 7))
    assert len(receive_buffer.get_buffer()) == 8 * FIRST_SIZE
    buffer = receive_buffer.buffer
    put_and_parse(receive_buffer, b'header')
    put_directly(receive_buffer)
    assert len(receive_buffer.get_buffer()) == FIRST_SIZE
    data = b'y' * FIRST_SIZE
    assert put(receive_buffer, data) == b''
    assert receive_buffer.take() == data
    assert len(receive_buffer.get_buffer()) == 2 * FIRST_SIZE       # of the buffer that there is
    assert receive_buffer.buffer is buffer


def test_no_growth_for_a_large_payload(receive_buffer):
    """A first read that is full of it says nothing about the next header."""
    for _ in range(5):
        put_and_parse(receive_buffer, b'x' * FIRST_SIZE)
        put_directly(receive_buffer)
    assert len(receive_buffer.buffer) == FIRST_SIZE == len(receive_buffer.get_buffer())


def test_does_not_grow_for_less(receive_buffer):
    for _ in range(100):
        put(receive_buffer, b'x' * (FIRST_SIZE - 1))
        put_and_parse(receive_buffer, b'y')
    assert len(receive_buffer.buffer) == FIRST_SIZE


def test_rest_moves_to_the_front(receive_buffer):
    put(receive_buffer, b'x' * (FIRST_SIZE - 4))
    put(receive_buffer, b'rest')
    buffer = receive_buffer.buffer
    size = len(buffer)
    receive_buffer.start = size - 3
    place = receive_buffer.get_buffer()
    assert receive_buffer.buffer is buffer and len(place) == size - 3
    assert receive_buffer.take() == b'est'


def test_grows_for_what_nobody_reads(receive_buffer):
    put(receive_buffer, b'x')
    receive_buffer.start = 1
    data = rest = bytes(bytearray(range(256))) * 1000
    while rest:
        rest = put(receive_buffer, rest)
    assert receive_buffer.take() == data


def test_any_order_of_reads():
    rng = random.Random(7)
    for _ in range(10):
        receive_buffer = ReceiveBuffer()
        sent = received = b''
        for _ in range(100):
            data = bytes(bytearray(rng.randrange(256) for _ in range(rng.choice([0, 1, 100, 3000]))))
            sent += data
            while data:
                data = put(receive_buffer, data)
            count = rng.randrange(receive_buffer.end - receive_buffer.start + 1)
            received += bytes(receive_buffer.buffer[receive_buffer.start:receive_buffer.start + count])
            receive_buffer.start += count
        assert received + receive_buffer.take() == sent


def test_views_that_are_kept_do_no_harm(receive_buffer):
    """A bytearray of which somebody has a view cannot be resized: it is replaced."""
    views = []
    data = rest = b'0123456789' * 50000
    while rest:
        views.append(receive_buffer.get_buffer())
        rest = put(receive_buffer, rest)
    assert receive_buffer.take() == data


@pytest.mark.parametrize('size', [0, 1, FIRST_SIZE, FIRST_SIZE + 1, 100000])
@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_put_back(receive_buffer, size, kind):
    data = (b'0123456789' * (size // 10 + 1))[:size]
    receive_buffer.put_back(kind(data))
    put(receive_buffer, b'more')
    assert receive_buffer.take() == data + b'more'


def test_direct(receive_buffer):
    """A payload with a place of its own never passes the buffer."""
    place = bytearray(10)
    receive_buffer.direct, receive_buffer.filled = memoryview(place), 0
    assert put(receive_buffer, b'012345') == b''
    assert receive_buffer.filled == 6 and len(receive_buffer.get_buffer()) == 4
    assert put(receive_buffer, b'6789abc') == b'abc'
    assert bytes(place) == b'0123456789' and receive_buffer.filled == 10
    assert receive_buffer.take() == b''


def test_drop(receive_buffer):
    put(receive_buffer, b'x' * 100)
    receive_buffer.direct = memoryview(bytearray(5))
    receive_buffer.drop()
    assert receive_buffer.direct is None and receive_buffer.take() == b''
    assert len(receive_buffer.get_buffer()) == FIRST_SIZE


def test_release(receive_buffer):
    put(receive_buffer, b'x' * FIRST_SIZE)
    receive_buffer.direct = memoryview(bytearray(5))
    receive_buffer.release()
    assert len(receive_buffer.buffer) == 1 and receive_buffer.direct is None
    assert len(receive_buffer.get_buffer()) == 1
    assert put(receive_buffer, b'ab') == b'b'
