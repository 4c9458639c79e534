"""The buffer: where bytes go, that none is lost, and what it costs."""

from __future__ import absolute_import, division, unicode_literals

import random

import pytest

from lomond.protocol.receive_buffer import FIRST_SIZE, LARGEST_SIZE, SHARED_SIZE, Lender, ReceiveBuffer


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
    """It takes no memory before bytes are due."""
    assert len(receive_buffer.buffer) == len(receive_buffer.view) == 0 and receive_buffer.take() == b''
    receive_buffer.drop()
    receive_buffer.settle()
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


@pytest.mark.ends
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


# --- a buffer for many connections

@pytest.fixture
def lender():
    return Lender()


@pytest.fixture
def shared(lender):
    """Two connections of one loop."""
    pair = ReceiveBuffer(), ReceiveBuffer()
    for receive_buffer in pair:
        receive_buffer.share(lender)
    return pair


def parse(receive_buffer, count):
    """Parse so many bytes, and end the events of the read."""
    parsed = receive_buffer.buffer[receive_buffer.start:receive_buffer.start + count]
    receive_buffer.start += len(parsed)
    receive_buffer.settle()
    return bytes(parsed)


def test_reads_go_into_the_shared_buffer(shared, lender):
    assert SHARED_SIZE == 128 * 1024
    for receive_buffer in shared * 3:
        assert len(receive_buffer.get_buffer()) == len(receive_buffer.get_buffer()) == SHARED_SIZE
        receive_buffer.settle()                                     # the read was in vain
        assert not lender.is_lent
        put(receive_buffer, b'x' * SHARED_SIZE)
        assert receive_buffer.buffer is lender.buffer and lender.is_lent
        assert len(parse(receive_buffer, SHARED_SIZE)) == SHARED_SIZE
        assert not lender.is_lent and len(receive_buffer.buffer) == 0


def test_what_is_unparsed_moves_to_a_buffer_of_its_size(shared, lender):
    one, two = shared
    put(one, b'whole messages, and half a header')
    assert parse(one, 20) == b'whole messages, and '
    assert bytes(one.buffer) == b'half a header' and not lender.is_lent
    put(two, b'overwritten' * 10)
    assert parse(two, 110) == b'overwritten' * 10
    assert len(one.get_buffer()) == FIRST_SIZE - 13 and one.buffer is not lender.buffer
    assert len(one.get_buffer()) == FIRST_SIZE - 13                 # nothing came
    put(one, b' and the rest')
    assert parse(one, 26) == b'half a header and the rest'
    put(one, b'shared again')
    assert one.buffer is lender.buffer


def test_a_lent_buffer_is_nobody_elses(shared, lender):
    """A handler may read another connection before the events of a read are all handed out."""
    one, two = shared
    put(one, b'one')
    put(two, b'two')
    assert two.buffer is not lender.buffer
    assert parse(two, 3) == b'two' and lender.is_lent
    put(one, b'more')                                               # before it was settled
    assert parse(one, 7) == b'onemore' and not lender.is_lent


@pytest.mark.parametrize('end', [
    lambda one: one.release(), lambda one: (one.drop(), one.settle()), lambda one: (one.take(), one.settle()),
    lambda one: put(one, b'y' * (SHARED_SIZE - 5)) and None or put(one, b'more')])
def test_the_shared_buffer_is_given_back(shared, lender, end):
    one, two = shared
    put(one, b'x' * 10)
    end(one)
    assert not lender.is_lent and one.buffer is not lender.buffer
    put(two, b'y')
    assert two.buffer is lender.buffer


def test_put_back_into_a_shared_buffer(shared, lender):
    one, two = shared
    one.put_back(b'early ')
    put(one, b'late')
    assert one.buffer is not lender.buffer and parse(one, 10) == b'early late'
    put(two, b'head and surplus')
    assert two.take() == b'head and surplus'
    two.put_back(b'surplus')
    assert two.buffer is lender.buffer and parse(two, 3) == b'sur' and bytes(two.buffer) == b'plus'


def test_direct_with_a_shared_buffer(shared, lender):
    """The place is the payload's; what is read together with the next header is little."""
    one, two = shared
    put(one, b'header')
    parse(one, 6)
    put_directly(one)
    assert not lender.is_lent and len(two.get_buffer()) == SHARED_SIZE
    two.settle()
    sizes = []
    for _ in range(6):
        sizes.append(len(one.get_buffer()))
        put(one, b'x' * SHARED_SIZE)
        assert one.buffer is lender.buffer
        parse(one, SHARED_SIZE)
    assert sizes == [FIRST_SIZE, 2 * FIRST_SIZE, 4 * FIRST_SIZE, 8 * FIRST_SIZE, SHARED_SIZE, SHARED_SIZE]
