"""The order in which the driver writes, ends its direction and reads."""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.frames import BINARY, TEXT
from support.streams import Parts, StandingStill

from lomond.driver import driver as driver_module
from lomond.driver.cork import Cork
from lomond.driver.deadlines import Deadlines
from lomond.driver.driver import GOODBYE_PIECES, Driver
from lomond.driver.lifecycle import LATE_ANSWER
from lomond.driver.outgoing_stream import OutgoingStream
from lomond.driver.rules import MANY_CONNECTIONS
from lomond.events import Ready
from lomond.opcode import Opcode
from lomond.protocol.connection import CLIENT, SERVER, Connection
from lomond.protocol.states import CloseRequest
from lomond.response import Response

#: A frame with a reserved opcode; that of a client is masked.
BAD_FRAMES = {CLIENT: b'\x83\x00', SERVER: b'\x83\x80abcd'}


def open_driver(role, stream, waiting=None):
    """Return the driver of a connection that is open."""
    deadlines = Deadlines(poll=1e6, ping_rate=None)
    driver = Driver(Connection(role), stream, deadlines, waiting or StandingStill(), None)
    driver.lifecycle.before(Ready(Response(b'HTTP/1.1 101 x\r\n\r\n'), None, set()))
    return driver


def names_until_wait(live):
    """Return the names of the events before the driver waits."""
    return [event.name for event in iter(lambda: next(live), None)]


@pytest.mark.parametrize('role', [CLIENT, SERVER])
def test_our_direction_ends_only_after_the_close_frame_of_a_failure(role):
    """A peer that takes nothing yet must still learn why."""
    stream = Parts(BAD_FRAMES[role])
    stream.is_blocked = True
    live = open_driver(role, stream).live()
    assert names_until_wait(live) == ['poll', 'protocol_error']
    assert names_until_wait(live) == [] and stream.calls == []
    stream.is_blocked = False
    assert names_until_wait(live) == []
    assert stream.calls == ['send', 'shutdown_write']


def test_how_often_the_clock_is_read_between_messages():
    """After a slow handler at each one, then at twice as many each time, up to 16."""
    class Clock(StandingStill):
        now, readings = 100.0, 0

        def monotonic(self):
            self.readings += 1
            return self.now

    clock = Clock()
    live = open_driver(CLIENT, Parts(b'\x81\x01x' * 110), clock).live()
    while next(live).name != 'text':
        pass
    gaps, slow = [0], (30, 40)
    for number in range(100):
        before = clock.readings
        clock.now += 0.01 if number in slow else 0
        assert next(live).name == 'text'
        gaps[-1] += 1
        if clock.readings > before:
            gaps.append(0)
    assert gaps == [2, 2, 4, 8, 16, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 16, 16, 4]


def test_flush_keeps_the_limit_of_a_close():
    """Nobody takes the events, but what is queued is written, until close_timeout ends it."""
    clock, stream = StandingStill(), Parts(b'')
    stream.is_blocked = True
    driver = open_driver(CLIENT, stream, clock)
    assert driver.find_cause() is None and driver.flush() is None
    driver._finish_close()                      # there was none
    driver.core.send_queue.queue(Opcode.PONG, b'x')
    assert driver.flush() is None and driver.writer.wants_write()
    driver._deadlines.closed_at, driver._deadlines.close_timeout = clock.monotonic() + 1.0, 5.0
    assert driver.flush() == clock.monotonic() + 6.0
    driver._deadlines.closed_at -= 10.0
    assert driver.flush() is None and driver.find_cause() is not None


def test_drained_follows_a_single_message():
    """While nobody took that, a loop has sent all of a message in parts."""
    stream = Parts(b'\x81\x01x')
    driver = open_driver(CLIENT, stream)
    stream.poll_tells_all, driver.reader._rules = True, MANY_CONNECTIONS
    live = driver.live()
    assert [next(live).name, next(live).name] == ['poll', 'text']
    driver.send_stream(OutgoingStream([b'one', b'two'], False))
    while driver.upload is not None:
        driver.flush()
    assert names_until_wait(live) == ['drained']


def test_flush_writes_what_a_block_has_gathered():
    """A coroutine that waits amid a block of cork() would wait for an answer."""
    stream = Parts()
    driver = open_driver(CLIENT, stream)

    class Session(object):
        _cork_writer = driver.writer
    with Cork(Session):
        driver.writer.send(TEXT, b'x')
        assert stream.calls == [] and driver.flush() is None and stream.calls == ['send']


def test_flush_lets_others_have_their_turn(monkeypatch):
    """After a burst of a message in parts, it says that it can go on at once."""
    monkeypatch.setattr(driver_module, 'BURST', 2)
    driver = open_driver(CLIENT, Parts())
    driver.send_stream(OutgoingStream([b'x'] * 5, False))
    assert [driver.flush() for _ in range(4)] == [100.0, 100.0, None, None] and driver.upload is None


def test_goodbye_to_a_stream_that_takes_an_octet_at_a_time():
    """It is given so many, and then no more: its frame waits behind a message."""
    class Sips(Parts):
        def send(self, data):
            super(Sips, self).send(data)
            return 1

    stream = Sips()
    driver = open_driver(SERVER, stream)
    driver.core.send_queue.queue_message(BINARY, b'x' * 1000, False)
    driver.say_goodbye(True)
    assert stream.calls == ['send'] * GOODBYE_PIECES + ['shutdown_write']


def test_limit_of_a_close_ends_a_connection_amid_a_read():
    """Its messages have come, but their handlers are slow, and the answer isn't among the first ones."""
    class Clock(StandingStill):
        now = 100.0

        def monotonic(self):
            return self.now

    clock, texts = Clock(), 0
    driver = open_driver(CLIENT, Parts(b'\x81\x01x' * 110), clock)
    for event in driver.live():
        if event is not None and event.name == 'text':
            if not texts:
                driver.core.close(1000, '')
                driver._deadlines.closed_at, clock.now = 100.0, 200.0
            clock.now += LATE_ANSWER / 2
            texts += 1
    assert 2 < texts < 6 and driver.lifecycle.ending[0].startswith("disconnected; server didn't respond")


def test_close_that_was_cut_off_is_completed():
    """An interrupt came after it had moved the state: the loop sends its frame, and keeps its time."""
    stream = Parts()
    driver = open_driver(CLIENT, stream)
    driver.core.request_close(CloseRequest(b'\x03\xe8', 7.0))
    assert names_until_wait(driver.live()) == ['poll'] and stream.calls == ['send']
    assert driver._deadlines.closed_at == 107.0 and driver.core.sent_close_time == 7.0
