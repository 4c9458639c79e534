"""The queue of what is to be sent, and the log of pings."""

from __future__ import absolute_import, division, unicode_literals

import os
import threading

import pytest
from support.client import in_thread
from support.frames import BINARY, CLOSE, PING, PONG, TEXT
from support.interrupt import EVENTS, each_step

from lomond.protocol.send_queue import MAX_QUEUED_PONGS, MAX_REMEMBERED_PINGS, SHORT, PingLog, SendQueue


@pytest.fixture
def queue():
    return SendQueue()


def taken(queue):
    return list(iter(queue.next, None))


# --- queue ---

def test_replies_keep_their_order(queue):
    assert not queue.is_waiting() and queue.next() is None
    queue.queue(None, b'raw')
    queue.queue_pong(b'1')
    queue.queue(PING, b'2')
    queue.queue_message(TEXT, b'three', True)
    queue.queue_message(BINARY, b'4', False)
    assert queue.queued_messages == 6 and queue.is_waiting() and queue.pending
    assert taken(queue) == [(None, b'raw'), (PONG, b'1'), (PING, b'2'), (TEXT, (b'three', True)),
                              (BINARY, (b'4', False))]
    assert queue.queued_messages == 0 and not queue.is_waiting() and not queue.pending


def test_after_a_close_frame_only_pongs(queue):
    """RFC 6455, 5.5.1 and 5.5.2: no data, but pings are answered until the peer's close frame."""
    queue.queue_pong(b'before')
    queue.queue(CLOSE, b'close')
    queue.queue(PING, b'ping')
    queue.queue_pong(b'after')
    queue.queue_message(TEXT, b'text', False)
    queue.queue(CLOSE, b'second')
    queue.queue(None, b'raw')
    assert taken(queue) == [(PONG, b'before'), (CLOSE, b'close'), (PONG, b'after')]
    assert queue.queued_messages == 0
    queue.queue(PING, b'ping')
    assert queue.next() is None


def test_pong_queue_is_bounded(queue):
    """behaviour.md, 4: 64 KiB; when it is full, only the newest ping is answered (5.5.3)."""
    payloads = [('%05d' % number).encode('ascii') * 20 for number in range(10000)]
    for payload in payloads:
        queue.queue_pong(payload)
    assert taken(queue) == [
        (PONG, payload) for payload in payloads[:MAX_QUEUED_PONGS // 106] + payloads[-1:]]
    queue.queue_pong(b'again')
    assert taken(queue) == [(PONG, b'again')]


def test_exactly_the_bound(queue):
    assert MAX_QUEUED_PONGS == 65536
    for _ in range(MAX_QUEUED_PONGS // 8):
        queue.queue_pong(b'ab')
    assert len(queue.pending) == MAX_QUEUED_PONGS // 8
    queue.queue_pong(b'')
    assert len(queue.pending) == MAX_QUEUED_PONGS // 8
    queue.next()
    queue.queue_pong(b'')
    assert len(taken(queue)) == MAX_QUEUED_PONGS // 8 + 1       # with the newest


def test_small_pong_does_not_overtake(queue):
    """Though it fits where an older one did not."""
    for _ in range(MAX_QUEUED_PONGS // 131):
        queue.queue_pong(b'x' * 125)
    queue.queue_pong(b'y' * 125)
    queue.queue_pong(b'1')
    assert queue.next() == queue.next() == (PONG, b'x' * 125)
    queue.queue_pong(b'2')
    assert taken(queue)[-2:] == [(PONG, b'1'), (PONG, b'2')]


def test_sixty_thousand_pings_are_answered_when_they_can_be(queue):
    for start in range(0, 60000, 1000):
        payloads = [('%d' % number).encode('ascii') for number in range(start, start + 1000)]
        for payload in payloads:
            queue.queue_pong(payload)
        assert taken(queue) == [(PONG, payload) for payload in payloads]


def test_newest_pong_goes_before_the_close_frame(queue):
    """Its ping came before; the peer may not listen after."""
    for _ in range(2000):
        queue.queue_pong(b'x' * 125)
    queue.queue_pong(b'newest')
    queue.queue(CLOSE, b'bye')
    assert taken(queue)[-2:] == [(PONG, b'newest'), (CLOSE, b'bye')]


def test_replies_clear(queue):
    for _ in range(2000):
        queue.queue_pong(b'x' * 125)
    queue.clear()
    assert queue.next() is None and not queue.is_waiting()


def test_long_queue(queue):
    """It grows meanwhile; what was taken is forgotten, and the rest rarely moves."""
    due, lengths = [], []
    for number in range(3000):
        if number < 1000:
            for payload in (b'1', b'2'):
                queue.queue_message(TEXT, payload * number, False)
                due.append((TEXT, (payload * number, False)))
        if due:
            assert queue.next() == due.pop(0)
        assert [item for item in queue.pending if item is not None] == due
        lengths.append(len(queue.pending))
    assert queue.next() is None and lengths[-1] == 0
    assert sum(after < before for before, after in zip(lengths, lengths[1:])) < SHORT + 30


def test_clear_amid_a_step(queue):
    """The loop may end the connection while a sender takes what is queued."""
    for length in (1, 100):
        for _ in range(length):
            queue.queue(PING, b'1')
        item = queue.peek()
        queue.clear()
        queue.take(item)
        assert queue.next() is None and not queue.is_waiting()


@pytest.mark.parametrize('length, count', [(2, 0), (100, 10), (100, 49)])
@pytest.mark.parametrize('events', EVENTS)
def test_interrupt_amid_take(length, count, events):
    """Nothing is lost, and nothing that was taken comes again."""
    def run(step):
        queue = SendQueue()
        for number in range(length):
            queue.queue(PING, number)
        for _ in range(count):
            queue.next()
        item = queue.peek()
        try:
            with step:
                queue.take(item)
        except KeyboardInterrupt:
            queue.take(item)
        numbers = [number for _, number in taken(queue)]
        if numbers != list(range(count + 1, length)) or queue.is_waiting():
            return repr(numbers)
    assert each_step(run, files=(os.path.join('protocol', 'send_queue.py'),), events=(events,)) > 0


def test_totals_of_many_threads(queue):
    """None is lost, whoever else queues, and the list of numbers stays short."""
    def send():
        for _ in range(1000):
            queue.queue_message(BINARY, b'123', False)
            queue.totals()
    threads = [in_thread(send) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert queue.totals() == (12000, 0) and queue.queued_messages == 12000
    assert len(queue._messages_in.parts) <= 2 * SHORT
    assert len(taken(queue)) == 4000 and queue.queued_messages == 0


@pytest.mark.parametrize('events', EVENTS)
def test_interrupt_amid_queue_message(events):
    """What counts is there, and what is there counts."""
    def run(step):
        queue = SendQueue()
        queue._messages_in.parts[:] = [1] * 2 * SHORT
        try:
            with step:
                queue.queue_message(TEXT, b'x', False)
                queue.totals()
        except KeyboardInterrupt:
            pass
        if queue.queued_messages != 2 * SHORT + len(queue.pending):
            return repr(queue.totals())
    assert each_step(run, files=(os.path.join('protocol', 'send_queue.py'),), events=(events,)) > 0


# --- pings ---

def test_ping_log():
    """A pong answers its ping, and all that were sent before (RFC 6455, 5.5.3)."""
    log = PingLog()
    assert log.oldest is None and log.latency is None
    assert log.answered(b'', 1.0) is None
    for number, payload in enumerate((b'a', b'b', b'c', b'b')):
        log.sent(payload, 10.0 + number)
    assert log.oldest == 10.0
    assert log.answered(b'unknown', 20.0) is None and log.oldest == 10.0 and log.latency is None
    assert log.answered(b'b', 20.0) == 9.0 and log.latency == 9.0
    assert log.oldest == 12.0
    assert log.answered(b'a', 21.0) is None and log.latency == 9.0
    assert log.answered(b'b', 21.0) == 8.0
    assert log.oldest is None and log.latency == 8.0
    log.sent(b'd', 30.0)
    log.clear()
    assert log.oldest is None and log.answered(b'd', 31.0) is None


@pytest.mark.parametrize('sent, received', [(None, 1.0), (1.0, None), (None, None)])
def test_latency_needs_both_times(sent, received):
    log = PingLog()
    log.sent(b'', sent)
    assert log.answered(b'', received) is log.latency is log.oldest is None


def test_ping_log_is_bounded():
    log = PingLog()
    for number in range(MAX_REMEMBERED_PINGS + 5):
        log.sent(b'', number)
    assert log.oldest == 5


class Fleeting(list):
    """Other threads change it: whatever is looked at is gone."""

    def pop(self, _):
        raise IndexError


def test_ping_log_in_threads():
    log = PingLog()
    log.unanswered = Fleeting([(b'x', 1.0)])
    assert log.answered(b'x', 2.0) is None
    log = PingLog()
    stop = []
    def send():
        while not stop:
            log.sent(b'x', 1.0)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        for _ in range(2000):
            log.answered(b'x', 2.0)
    finally:
        stop.append(True)
        thread.join()


def test_interrupt_while_a_message_is_held_back(queue):
    """It was put among those that wait for the end of a message in parts, but not removed."""
    queue.stream = object()
    queue.queue_message(TEXT, b'1', False)
    queue._held = [queue.pending[0]]
    assert queue.next() is None and len(queue._held) == 1 and not queue.pending
    queue.end_stream()
    assert taken(queue) == [(TEXT, (b'1', False))]
