"""The iterator of batches: what ends it, and what it has in common with a generator."""

from __future__ import absolute_import, division, unicode_literals

import copy
import gc
import threading
import weakref

import pytest
from support.frames import PING, TEXT, frame
from support.streams import Parts, StandingStill
from support.wire import Wire, connect, take
from test_driver import open_driver

from lomond import WebSocket
from lomond._compat import HANDS_OUT_BATCHES
from lomond.driver.handout import Events, hand_out
from lomond.protocol.connection import CLIENT
from lomond.session import WebsocketSession

needs_batches = pytest.mark.skipif(not HANDS_OUT_BATCHES, reason='events come one by one')


class Clock(StandingStill):
    now = 100.0

    def monotonic(self):
        return self.now


@needs_batches
def test_the_size_of_a_batch_follows_the_handler():
    clock = Clock()
    driver = open_driver(CLIENT, Parts(b'\x81\x01x' * 110), clock)
    driver.gathers = True
    live, sizes = driver.live(), []
    for item in iter(lambda: next(live), None):
        if isinstance(item, list) or item.name == 'text':
            sizes.append(len(item) if isinstance(item, list) else 1)
            clock.now += 0.01 if 30 < sum(sizes) < 36 else 0        # the handlers
    assert sizes == [1, 1, 2, 4, 8, 16, 1, 1, 1, 1, 1, 2, 4, 8, 16, 16, 16, 11]


def in_thread(call):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


@needs_batches
@pytest.mark.parametrize('end', [
    lambda websocket, events: websocket.force_disconnect(),
    lambda websocket, events: in_thread(websocket.force_disconnect),
    lambda websocket, events: websocket.session.close(),
    lambda websocket, events: websocket.state.core.fail(1011, 'no'),
    lambda websocket, events: events.close(),
    lambda websocket, events: websocket.session.end(),
    lambda websocket, events: websocket.__exit__(None, None, None),
], ids=['force', 'thread', 'session', 'fail', 'iterator', 'end', 'with'])
def test_nothing_comes_after_the_end(end):
    websocket, events, _ = connect(Wire([frame(TEXT, b'x') * 100]))
    take(events, 'text', 20)
    assert len(websocket.state.core.batch) > 5
    end(websocket, events)
    assert 'text' not in [event.name for event in events]


def test_given_up_while_the_batch_was_made():
    """By another thread, which did not know of the batch yet."""
    class Reader(object):
        reads, end, end_was_fed, parts = 0, None, False, ()

        def next_events(self, now):
            is_first = not core.given_up
            core.given_up.append('by another thread')
            return iter([['a message'], None]) if is_first else None

    driver = open_driver(CLIENT, Parts(b''))
    core, driver.reader = driver.core, Reader()
    live = driver.live()
    assert next(live).name == 'poll'
    assert next(live) is None


@needs_batches
def test_close_in_a_batch_lets_the_rest_come():
    websocket, events, _ = connect(Wire([frame(TEXT, b'x') * 60 + frame(PING) + frame(TEXT, b'y') * 3]))
    names = []
    for event in events:
        names.append(event.name)
        if names.count('text') == 20:
            websocket.close()
    assert names[1:65] == ['text'] * 60 + ['ping'] + ['text'] * 3


@needs_batches
@pytest.mark.parametrize('change, is_batched', [
    ({}, True), ({'_connect': None}, True), ({'process': None}, False), ({'send': None}, False)])
def test_a_subclass_takes_the_slow_way(change, is_batched):
    session_class = type(str('Session'), (WebsocketSession,), change)
    events = WebSocket('ws://x.test/', proxies={}).connect(session_class=session_class)
    assert isinstance(events, Events) is is_batched
    traced = WebSocket('ws://x.test/', proxies={}, trace=len).connect()
    assert not isinstance(traced, Events)


# --- like a generator ---

def batches(ended, *items):
    try:
        for item in items:
            if callable(item):
                item()
            else:
                yield item
    finally:
        ended.append('ended')


def test_dropping_it_ends_the_generator():
    ended = []
    events = hand_out(batches(ended, [1, 2], (3,)))
    seen = weakref.ref(events)
    assert next(events) == 1 and iter(events) is events and events.send(None) == 2
    with pytest.raises(TypeError, match='cannot be copied'):
        copy.copy(events)
    del events
    gc.collect()
    assert ended == ['ended'] and seen() is None


@pytest.mark.parametrize('leave', [
    lambda events: events.close(), lambda events: pytest.raises(KeyError, events.throw, KeyError('x'))])
def test_leaving_it_ends_the_generator(leave):
    ended = []
    events = hand_out(batches(ended, [1], [2]))
    assert next(events) == 1
    leave(events)
    assert ended == ['ended'] and list(events) == []
    gc.collect()                        # the error refers to itself, and to the generator
    leave(events)                       # once more does no harm


def test_one_thread_at_a_time():
    """The second one gets ValueError; the iteration of the first goes on."""
    ended, errors = [], []

    def intrude():
        for call in lambda: next(events), lambda: next(events), lambda: events.close():
            with pytest.raises(ValueError) as caught:
                call()
            errors.append(caught.value)

    events = hand_out(batches(ended, [1], lambda: in_thread(intrude), [2, 3], intrude, [4]))
    assert list(events) == [1, 2, 3, 4]
    assert len(errors) == 6 and 'another thread' in str(errors[0])


@pytest.mark.parametrize('kind', [ValueError, KeyboardInterrupt])
def test_an_error_of_the_generator_is_passed_on(kind):
    ended = []

    def fail():
        raise kind('of the program')
    events = hand_out(batches(ended, [1], fail))
    assert next(events) == 1
    with pytest.raises(kind, match='of the program'):
        next(events)
    assert ended == ['ended'] and list(events) == []
