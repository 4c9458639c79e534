"""What is read while a handler's send waits: kept in order, within a limit, and given back."""

from __future__ import absolute_import, division, unicode_literals

import errno
from functools import partial

import pytest
from support.frames import BINARY, frame
from support.streams import Parts, StandingStill

from lomond.driver import reader as reader_module
from lomond.driver.deadlines import Deadlines
from lomond.driver.driver import Driver
from lomond.driver.reader import Reader
from lomond.network.poller import READ, WRITE
from lomond.protocol.connection import CLIENT, Connection
from lomond.protocol.frame_parser import GIVEN
from lomond.protocol.parts import LARGEST_PART
from lomond.protocol.receive_buffer import Lender


class Endless(Parts):
    """Fills every buffer that it gets."""

    count = 0

    def recv_into(self, place):
        self.count += 1
        return len(place)


def make(stream, **settings):
    core = Connection(CLIENT, **settings)
    return Reader(core, stream, Deadlines(), StandingStill())


def texts_of(reader):
    """The texts of the next read."""
    texts = []
    for event in reader.next_events(100.0):
        if event is None:
            break
        texts.append(event.text)
    reader._core.events_consumed()
    return texts


def test_close_gives_a_shared_buffer_back():
    """Also amid the events of a read, as for a redirect."""
    reader, lender = make(Parts(b'\x81\x011\x81\x012')), Lender()
    reader._core.receive_buffer.share(lender)
    assert next(reader.next_events(100.0)).text == '1' and lender.is_lent
    reader.close()
    assert not lender.is_lent


def test_at_least_64_mib_are_kept():
    """In packets of Ethernet's size, as they come from a slow network."""
    reader, part = make(Parts()), b'x' * 1448
    while reader.takes_more:
        reader.put_back(part)
    assert 64 << 20 <= len(reader.parts) * len(part) < 80 << 20


def test_order_is_kept():
    reader = make(Parts(b'\x81\x011', b'\x81\x012'))
    reader.put_back(b'\x81\x010')
    reader.read_ahead()
    assert not reader._stream.parts
    assert [texts_of(reader) for _ in range(3)] == [['0'], ['1'], ['2']]
    assert not reader.parts and reader.next_events(100.0) is None


def test_size_goes_down_as_the_backlog_is_consumed(monkeypatch):
    """Otherwise a long connection would stop reading ahead for good."""
    monkeypatch.setattr(reader_module, 'BACKLOG_LIMIT', 1000)
    message = b'\x81\x7d' + b'x' * 125
    reader = make(Parts())
    for _ in range(20):
        count = 0
        while reader.takes_more:
            reader.put_back(message)
            count += 1
        assert count == 4               # 1000 / (127 + 200), the last one over the limit
        while reader.parts:
            assert not reader.takes_more or count < 4
            assert texts_of(reader) == ['x' * 125]
            count -= 1
        assert reader.takes_more and reader._kept == 0


def test_it_does_not_read_beyond_its_limit(monkeypatch):
    monkeypatch.setattr(reader_module, 'BACKLOG_LIMIT', 1 << 20)
    stream = Endless()
    reader = make(stream)
    for _ in range(3):
        reader.read_ahead()
    assert len(reader.parts) == stream.count <= (1 << 20) // reader_module.PART_SIZE + 1
    assert not reader.takes_more


@pytest.mark.parametrize('limit, kept', [(100, 100), (70000, 69800), (1 << 20, None)])
def test_setting_of_a_server(limit, kept):
    """Not a byte more is read: one connection that sends and never reads costs no more than this."""
    reader = Reader(Connection(CLIENT), Endless(), Deadlines(), StandingStill(), read_ahead=limit)
    for _ in range(3):
        reader.read_ahead()
    size = sum(len(data) for data, _ in reader.parts)
    assert limit - 20 * reader_module.PART_COST < size <= limit and kept in (size, None)
    assert not reader.takes_more


@pytest.mark.parametrize('end, expected', [(b'', 0), (OSError(104, 'reset'), OSError)])
def test_the_end_is_remembered_behind_what_came_before(end, expected):
    reader = make(Parts(b'\x81\x011', end, b'\x81\x012'))
    reader.read_ahead()
    reader.read_ahead()                 # nothing is read behind the end
    assert not reader.takes_more and len(reader._stream.parts) == 1
    assert reader.end == 0 if expected == 0 else isinstance(reader.end, expected)
    assert texts_of(reader) == ['1'] and not reader.end_was_fed
    assert texts_of(reader) == [] and reader.end_was_fed
    assert reader.next_events(100.0) is None


def test_interrupt_of_a_read_is_the_end():
    """What it has taken from the system may be lost; what came before is handed out."""
    reader = make(Parts(b'\x81\x011', KeyboardInterrupt(), b'\x81\x012'))
    with pytest.raises(KeyboardInterrupt):
        reader.read_ahead()
    assert reader.end.errno == errno.EINTR and not reader.takes_more
    assert [texts_of(reader), texts_of(reader), reader.next_events(100.0)] == [['1'], [], None]


def test_each_read_is_counted():
    reader, counts = make(Parts(b'\x81\x011', b'\x81\x0222')), []
    reader.on_received = counts.append
    reader.read_ahead()
    assert counts == [3, 4]


def test_a_dead_wire_is_read_once_more_and_no_longer(monkeypatch):
    monkeypatch.setattr(reader_module, 'LAST_READ', 1 << 18)
    stream, error = Endless(), OSError(32, 'broken pipe')
    reader = make(stream)
    reader.read_the_last(error)
    assert reader.end is error
    assert stream.count <= (1 << 18) // reader_module.PART_SIZE + 1


@pytest.mark.parametrize('is_full', [False, True])
def test_reading_pauses_when_it_is_full(is_full, monkeypatch):
    """Then it is not waited for either: the socket is readable, and the wait would return at once."""
    if is_full:
        monkeypatch.setattr(reader_module, 'BACKLOG_LIMIT', 0)
    waiting = StandingStill()
    driver = Driver(Connection(CLIENT), Parts(), Deadlines(), waiting, None)
    assert not driver.wait_in_send(WRITE, 1.0)
    assert waiting.asked == {5: WRITE if is_full else READ | WRITE, 6: READ}


def test_what_poll_cannot_see_is_read_before_a_send_waits():
    """TLS may hold bytes already; nothing would say so during the wait."""
    driver = Driver(Connection(CLIENT), Parts(b'held by TLS'), Deadlines(), StandingStill(), None)
    driver.wait_in_send(WRITE, 1.0)
    assert [data for data, _ in driver.reader.parts] == [b'held by TLS']


def test_large_parts_are_handed_out_as_they_were_received():
    """The bytes object that the system call has made is the one that the program gets."""
    class Giving(Parts):
        gives_bytes, rooms = True, []

        def recv(self, size):
            self.rooms.append(size)
            return self.parts.pop(0)

    large, small = b'x' * LARGEST_PART, b'y' * 50
    header = frame(BINARY, b'', length=LARGEST_PART + GIVEN + 50)
    reader, found = make(Giving(header, None, large, small, b''), stream_from=0), []
    while not reader.end_was_fed:
        for event in iter(partial(next, reader.next_events(100.0) or iter([None])), None):
            found.append(event.data)
        reader._core.events_consumed()
    assert found[0] is large and found[1] is small and len(found) == 2 and reader.end == 0
    assert Giving.rooms == [LARGEST_PART, LARGEST_PART, GIVEN + 50, GIVEN]
