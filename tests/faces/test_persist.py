# -*- coding: utf-8 -*-
"""persist(): attempts and pauses with fake time, and exit_event with real threads."""

from __future__ import absolute_import, division, unicode_literals

import gc
import inspect
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time

import pytest
from support.client import in_thread
from support.frames import CLOSE, close_payload
from support.peer import Peer, Server, lenient_server

from lomond import WebSocket, _compat, errors, events
from lomond import persist as module
from lomond.persist import persist

LIMIT = 8.0         # seconds after which a wait in a test is a failure
UNCHANGED = {'poll': 5, 'ping_rate': 30, 'ping_timeout': None}


class Clock(object):
    """Stands in for compat.monotonic."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when the test says so; random() is 0.5."""
    clock = Clock()
    monkeypatch.setattr(_compat, 'monotonic', clock)
    monkeypatch.setattr(random, 'random', lambda: 0.5)
    return clock


class Scripted(object):
    """A double like those of users: it has only connect(), which plays one script.

    The next call plays the next script, and the last one is repeated.
    A number in a script is seconds that pass, an exception is raised.
    """

    def __init__(self, clock, *scripts):
        self.clock = clock
        self.scripts = list(scripts)
        self.calls = []
        self.closed = 0

    def connect(self, **settings):
        script = self.scripts[min(len(self.calls), len(self.scripts) - 1)]
        self.calls.append(settings)
        return self._play(script)

    def _play(self, script):
        try:
            for step in script:
                if isinstance(step, (int, float)):
                    self.clock.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed += 1


class Pauses(object):
    """An exit_event with only wait(), which is true after a number of pauses."""

    def __init__(self, count, clock=None):
        self.delays = []
        self.count = count
        self.clock = clock

    def wait(self, delay):
        if isinstance(delay, float):        # else a look of the watch's thread, on a slow machine
            self.delays.append(delay)
            if self.clock is not None:
                self.clock.sleep(delay)
        return len(self.delays) >= self.count


class Response(object):
    def __init__(self, status_code, **headers):
        self.status_code = status_code
        self.headers = headers

    def get(self, name, default=None):
        assert isinstance(name, _compat.text_type)
        return self.headers.get(name.replace('-', '_'), default)


CONNECTING = events.Connecting('ws://test/')
CONNECTED = events.Connected('ws://test/')
READY = events.Ready(None, None, set())
TEXT = events.Text('x')
BINARY = events.Binary(b'x')
PONG = events.Pong(b'')
FAIL = events.ConnectFail('unable to connect; x')
LOST = events.Disconnected('socket fail; connection lost')
GONE = events.Disconnected('closed', graceful=True)

FAILS = [CONNECTING, FAIL]
DROPS = [CONNECTING, CONNECTED, READY, LOST]
REFUSES = [CONNECTING, CONNECTED, events.Rejected(Response(503), 'no'), GONE]


def names(found):
    return [event.name for event in found]


class Played(object):
    """What persist() makes of scripts: its events, the delays, and the calls of the double.

    :param pauses: the exit_event is set after so many
    """

    def __init__(self, clock, *scripts, **options):
        websocket, exit_event = Scripted(clock, *scripts), Pauses(options.pop('pauses', 100))
        iterator = persist(websocket, exit_event=exit_event, **options)
        self.events = list(iterator)
        assert list(iterator) == []
        self.delays, self.calls, self.closed = exit_event.delays, websocket.calls, websocket.closed
        self.pauses = [event for event in self.events if isinstance(event, events.BackOff)]
        self.last = self.events[-1]


# -- the interface

def test_signature():
    """api.md, section 6."""
    spec = (inspect.getargspec if _compat.PY2 else inspect.getfullargspec)(persist)
    assert spec.args == [
        'websocket', 'poll', 'min_wait', 'max_wait', 'ping_rate', 'ping_timeout', 'exit_event',
        'respect_retry_after', 'auto_pong', 'close_timeout', 'connect_timeout', 'send_timeout',
        'session_class', 'max_retries', 'retry_on', 'stable_after']
    assert spec.defaults == (5, 5, 30, 30, None, None, True, True, 30.0, 30.0, 30.0, None, None, None, 10.0)


def test_is_lazy(clock):
    """Nothing is connected, and no thread started, before the first next()."""
    websocket = Scripted(clock, FAILS)
    before = threading.active_count()
    iterator = persist(websocket, exit_event=threading.Event())
    assert inspect.isgenerator(iterator)
    assert websocket.calls == [] and threading.active_count() == before
    iterator.close()
    assert websocket.calls == []


@pytest.mark.parametrize('options, passed_on', [
    ({}, {}), ({'auto_pong': True, 'close_timeout': 30, 'connect_timeout': 30.0, 'send_timeout': 30,
                'session_class': None}, {})] + [(options, options) for options in (
        {'poll': 1}, {'ping_rate': 0}, {'ping_rate': None}, {'ping_timeout': 7}, {'auto_pong': False},
        {'close_timeout': 1}, {'close_timeout': None}, {'connect_timeout': None}, {'send_timeout': 0},
        {'session_class': Scripted}, {'poll': 2, 'ping_timeout': 3, 'auto_pong': False, 'send_timeout': 4})])
def test_connect_keywords(clock, options, passed_on):
    """Besides poll, ping_rate and ping_timeout, only what differs from its default."""
    assert Played(clock, FAILS, pauses=2, **options).calls == [dict(UNCHANGED, **passed_on)] * 2


NO_SECONDS = [None, '5', b'5', [], object()]
BAD_SECONDS = [-1, -0.001, float('nan'), float('-inf'), 10 ** 400]


@pytest.mark.parametrize('name', ['min_wait', 'max_wait', 'stable_after'])
@pytest.mark.parametrize('error, values', [(TypeError, NO_SECONDS), (ValueError, BAD_SECONDS)])
def test_bad_seconds(clock, name, error, values):
    """The error comes at the call and names the option."""
    for value in values:
        with pytest.raises(error) as info:
            persist(Scripted(clock, FAILS), **{name: value})
        assert name in str(info.value) and 'seconds' in str(info.value)


def test_endless_seconds(clock):
    """A shortest wait must be finite; a longest wait and stable_after need not be."""
    for options in ({'min_wait': float('inf')}, {'min_wait': 1e308}, {'poll': 10 ** 400}, {'poll': 1e308}):
        with pytest.raises(ValueError):
            persist(Scripted(clock, FAILS), **options)
    played = Played(clock, FAILS, pauses=40, max_wait=float('inf'), stable_after=float('inf'))
    assert played.delays[-1] == 5 + 2.0 ** 22 / 2


@pytest.mark.parametrize('options, error', [
    ({'max_retries': 0}, ValueError), ({'max_retries': -1}, ValueError), ({'max_retries': 1.0}, TypeError),
    ({'max_retries': True}, TypeError), ({'max_retries': '3'}, TypeError), ({'retry_on': 5}, TypeError),
    ({'retry_on': [FAIL]}, TypeError), ({'exit_event': 5}, TypeError), ({'exit_event': False}, TypeError)])
def test_bad_options(clock, options, error):
    """The error comes at the call and names the option, its value, and what is allowed."""
    with pytest.raises(error) as info:
        persist(Scripted(clock, FAILS), **options)
    (name, value), = options.items()
    assert str(info.value).startswith(str('%s is %r; ') % (str(name), value))
    assert 'allowed' in str(info.value)


def test_connect_may_raise(clock):
    """Errors of connect() are mistakes of the caller: they are not retried."""
    class Picky(Scripted):
        def connect(self, **settings):
            raise ValueError('poll is 0')
    iterator = persist(Picky(clock, FAILS), poll=0)
    with pytest.raises(ValueError):
        next(iterator)
    assert list(iterator) == []


def test_bugs_propagate(clock):
    """An exception raised by the connection passes through."""
    websocket = Scripted(clock, [CONNECTING, RuntimeError('bug')])
    iterator = persist(websocket)
    assert next(iterator) is CONNECTING
    with pytest.raises(RuntimeError):
        next(iterator)
    assert websocket.closed == 1


def test_default_event_is_made_of_threading(clock, monkeypatch):
    """Users of 0.3.4 patch lomond.persist.threading.Event."""
    made = []
    monkeypatch.setattr(module.threading, 'Event', lambda: made.append(Pauses(2)) or made[-1])
    assert names(persist(Scripted(clock, FAILS))) == ['connecting', 'connect_fail', 'back_off'] * 2
    assert made[0].delays == [6.0, 7.0] and len(made) == 1


# -- attempts and pauses

def test_all_events_then_back_off(clock):
    """The events of the connection, BackOff, one wait."""
    script = [CONNECTING, CONNECTED, READY, TEXT, BINARY, PONG, LOST]
    played = Played(clock, script, pauses=1)
    assert played.events[:-1] == script
    assert played.last.name == 'back_off'
    assert (played.last.delay, played.last.attempt, played.last.cause) == (6.0, 1, LOST)
    assert played.delays == [6.0]


@pytest.mark.parametrize('script', [
    FAILS, DROPS, REFUSES, [CONNECTING, CONNECTED, LOST],
    [CONNECTING, CONNECTED, READY, GONE],               # graceful, but nothing was said
    [CONNECTING, CONNECTED, READY, PONG, GONE],
    [CONNECTING, CONNECTED, READY, TEXT, LOST],         # something was said, not graceful
    [CONNECTING, CONNECTED, READY, 9.99, LOST],
    [CONNECTING, 60, CONNECTED, READY, LOST],           # not the time before Ready
    [CONNECTING, 60, FAIL],
    [CONNECTING],                                       # doubles
    [], ['what', 'ever']])
def test_failures(clock, script):
    """Each failure in a row doubles the range of the pause, until max_wait."""
    played = Played(clock, script, pauses=7)
    assert played.delays == [6.0, 7.0, 9.0, 13.0, 17.5, 17.5, 17.5]
    assert [event.attempt for event in played.pauses] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.delay for event in played.pauses] == played.delays
    assert len(played.calls) == played.closed == 7


@pytest.mark.parametrize('script', [
    [CONNECTING, CONNECTED, READY, TEXT, GONE], [CONNECTING, CONNECTED, READY, BINARY, GONE],
    [CONNECTING, CONNECTED, READY, events.TextPart('x', True, False), GONE],
    [CONNECTING, CONNECTED, READY, 10, LOST], [CONNECTING, CONNECTED, READY, TEXT, 10, LOST],
    [CONNECTING, CONNECTED, READY, 3, PONG, 8, GONE]])
def test_good_connections(clock, script):
    """After a stable or graceful connection, the count of failures restarts."""
    played = Played(clock, FAILS, FAILS, FAILS, script, FAILS, FAILS, pauses=6)
    assert played.delays == [6.0, 7.0, 9.0, 5.5, 6.0, 7.0]
    assert [event.attempt for event in played.pauses] == [1, 2, 3, 0, 1, 2]
    assert played.pauses[3].cause is script[-1]


@pytest.mark.parametrize('stable_after, ready, attempts', [(0, 0, [0, 0]), (3, 2.9, [1, 2]), (3, 3, [0, 0])])
def test_stable_after(clock, stable_after, ready, attempts):
    """The time from Ready to the end, in seconds."""
    played = Played(clock, [CONNECTING, CONNECTED, READY, ready, LOST], pauses=2, stable_after=stable_after)
    assert [event.attempt for event in played.pauses] == attempts


def test_the_consumer_may_be_slow(clock):
    """The time that a handler spends on Disconnected does not count."""
    for event in persist(Scripted(clock, DROPS), exit_event=Pauses(1)):
        if event is LOST:
            clock.sleep(60)
    assert event.attempt == 1


def test_rejected_is_the_cause(clock):
    """The cause is not the Disconnected that follows."""
    assert Played(clock, REFUSES, pauses=1).last.cause is REFUSES[2]


def test_no_cause(clock):
    """A double that just stops gives no cause; retry_on is not asked."""
    played = Played(clock, [CONNECTING], pauses=1, retry_on=lambda event: False)
    assert names(played.events) == ['connecting', 'back_off'] and played.last.cause is None


def test_connection_may_be_any_iterable(clock):
    class Listed(Scripted):
        def connect(self, **settings):
            return list(FAILS)
    found = persist(Listed(clock), exit_event=Pauses(2))
    assert names(found) == ['connecting', 'connect_fail', 'back_off'] * 2
    for _event in persist(Listed(clock)):
        break       # nothing to close


def test_a_year_of_failures(clock):
    """No number grows without bound."""
    played = Played(clock, FAILS, pauses=3000)
    assert played.delays[-1] == 17.5 and played.last.attempt == 3000


@pytest.mark.parametrize('seed', range(40))
def test_flapping_server(clock, monkeypatch, seed):
    """It accepts and drops: at most 12 connects in 20 s (min_wait=.2, max_wait=8)."""
    monkeypatch.setattr(random, 'random', random.Random(seed).random)
    websocket = Scripted(clock, DROPS)
    begun = clock.now
    for event in persist(websocket, min_wait=.2, max_wait=8, exit_event=Pauses(1000, clock)):
        if event is CONNECTING and clock.now - begun > 20:
            break
    assert len(websocket.calls) - 1 <= 12


@pytest.mark.parametrize('header, delay', [
    ('0', 5.0), ('120', 120.0), ('9' * 30, 3600.0), ('-1', 6.0), ('nan', 6.0), ('inf', 6.0), ('', 6.0),
    ('Fri, 31 Dec 9999 23:59:59 GMT', 3600.0), ('Sun, 06 Nov 1994 08:49:37 GMT', 5.0), (None, 6.0), (7, 6.0)])
def test_retry_after(clock, header, delay):
    """It counts for one refusal, of the server or a proxy, unless respect_retry_after is false."""
    answer = Response(503, retry_after=header)
    for refusal in ([CONNECTING, CONNECTED, events.Rejected(answer, 'no'), GONE],
                    [CONNECTING, events.ConnectFail('proxy fail; 503', response=answer)]):
        assert Played(clock, refusal, FAILS, pauses=2).delays == [delay, 7.0]
        assert Played(clock, refusal, FAILS, pauses=2, respect_retry_after=False).delays == [6.0, 7.0]


def test_retry_after_date(clock, monkeypatch):
    """A date is compared with the wall clock."""
    monkeypatch.setattr(time, 'time', lambda: 784111777.0)
    refusal = [CONNECTING, events.Rejected(Response(503, retry_after='Sun, 06 Nov 1994 08:50:37 GMT'), 'no')]
    assert Played(clock, refusal, pauses=1).delays == [60.0]


def test_rejected_of_a_double(clock):
    """Its response may be anything."""
    assert Played(clock, [events.Rejected(None, 'no')], pauses=1).delays == [6.0]


# -- giving up

@pytest.mark.parametrize('count', [1, 2, 5])
def test_max_retries(clock, count):
    """N attempts, N-1 BackOff, GaveUp, the end."""
    played = Played(clock, FAILS, max_retries=count)
    assert names(played.events) == (['connecting', 'connect_fail', 'back_off'] * count)[:-1] + ['gave_up']
    assert (played.last.cause, played.last.attempts) == (FAIL, count)
    assert len(played.calls) == count and len(played.delays) == count - 1


def test_max_retries_are_in_a_row(clock):
    """A good connection resets the count."""
    good = [CONNECTING, CONNECTED, READY, TEXT, GONE]
    played = Played(clock, FAILS, FAILS, good, FAILS, FAILS, DROPS, max_retries=3)
    assert len(played.calls) == 6
    assert names(played.events)[-2:] == ['disconnected', 'gave_up'] and played.last.attempts == 3


def test_retry_on(clock):
    """True is the normal delay, a number is a delay in seconds, False is the end."""
    answers = [True, 0.25, 0, 10 ** 9, True, False]
    asked = []

    def retry_on(event):
        asked.append(event)
        return answers[len(asked) - 1]
    played = Played(clock, FAILS, DROPS, REFUSES, FAILS, retry_on=retry_on)
    assert asked == [FAIL, LOST, REFUSES[2], FAIL, FAIL, FAIL]
    assert played.delays == [6.0, 0.25, 0.0, module.LONGEST_DELAY, 17.5]
    assert [event.delay for event in played.pauses] == played.delays
    assert played.last.name == 'gave_up' and (played.last.cause, played.last.attempts) == (FAIL, 6)


def test_retry_on_may_raise(clock):
    def retry_on(event):
        raise KeyError('policy')
    iterator = persist(Scripted(clock, FAILS), retry_on=retry_on)
    assert [next(iterator), next(iterator)] == FAILS
    with pytest.raises(KeyError):
        next(iterator)


@pytest.mark.parametrize('answer, error', [(None, TypeError), ('5', TypeError), (float('nan'), ValueError),
                                           (-1, ValueError), (float('inf'), ValueError)])
def test_retry_on_nonsense(clock, answer, error):
    """A forgotten return does not end a daemon silently."""
    with pytest.raises(error) as info:
        list(persist(Scripted(clock, FAILS), retry_on=lambda event: answer))
    assert 'retry_on' in str(info.value)


def test_transient(clock):
    """lomond.persist.transient retries after 503 and gives up after 404."""
    rejected = events.Rejected(Response(404), 'no')
    played = Played(clock, REFUSES, FAILS, DROPS, [CONNECTING, CONNECTED, rejected, GONE],
                    retry_on=module.transient)
    assert names(played.events)[-3:] == ['rejected', 'disconnected', 'gave_up']
    assert played.last.cause is rejected and len(played.calls) == 4


# -- leaving the loop

def leave_by(how, iterators):
    """Leave an iterator, the only one in a list; ``del`` drops it."""
    if how == 'throw':
        with pytest.raises(KeyboardInterrupt):
            iterators[0].throw(KeyboardInterrupt())
    elif how == 'close':
        iterators[0].close()
    else:
        if how == 'break':
            for _ in iterators[0]:
                break
        del iterators[:]
        gc.collect()


@pytest.mark.parametrize('how', ['close', 'throw', 'del'])
def test_leaving_closes_the_connection(clock, how):
    """It closes at once, although a reference to the iterator is left."""
    websocket = Scripted(clock, DROPS)
    kept = []
    play = websocket._play
    websocket._play = lambda script: kept.append(play(script)) or kept[-1]
    iterators = [persist(websocket)]
    assert [next(iterators[0]), next(iterators[0])] == DROPS[:2]
    assert websocket.closed == 0
    leave_by(how, iterators)
    assert websocket.closed == 1


def test_leaving_in_a_pause(clock):
    """A generator's close() at BackOff, and Ctrl-C in the wait, end it."""
    class Interrupted(Pauses):
        def wait(self, delay):
            raise KeyboardInterrupt()
    iterator = persist(Scripted(clock, FAILS))
    assert [next(iterator).name for _ in range(3)] == ['connecting', 'connect_fail', 'back_off']
    iterator.close()
    assert list(iterator) == []
    with pytest.raises(KeyboardInterrupt):
        list(persist(Scripted(clock, FAILS), exit_event=Interrupted(1)))


def test_logging(clock, caplog):
    """Nothing is logged above DEBUG, and all of it under lomond."""
    with caplog.at_level(logging.DEBUG):
        Played(clock, FAILS, pauses=2)
    assert [(record.name, record.levelname) for record in caplog.records] == [('lomond.persist', 'DEBUG')] * 2
    assert 'unable to connect; x' in caplog.records[0].getMessage()


# -- exit_event: real threads, every wait bounded

class Live(object):
    """A WebSocket whose connection goes on until it is closed; records where it hangs.

    :param phase: the events before it waits
    :param answers: whether the server answers close(); else only force_disconnect()
        ends it
    """

    def __init__(self, phase, answers=True):
        self.phase = phase
        self.answers = answers
        self.stuck = threading.Event()
        self.over = threading.Event()
        self.calls = []
        self.connects = 0

    def connect(self, poll, ping_rate, ping_timeout):
        self.connects += 1
        for event in self.phase:
            yield event
        self.stuck.set()
        assert self.over.wait(LIMIT)
        if CONNECTED in self.phase:
            yield events.Disconnected('closed', graceful=self.answers)
        else:
            yield events.ConnectFail('closed')

    def close(self, code=1000, reason='goodbye'):
        self.calls.append(('close', code, time.time()))
        if self.answers:
            self.over.set()

    def force_disconnect(self):
        self.calls.append(('force', None, time.time()))
        self.over.set()


def set_when(condition, exit_event):
    """Set exit_event once a condition is true; (thread, list that gets the time)."""
    times = []

    def target():
        assert condition.wait(LIMIT)
        times.append(time.time())
        exit_event.set()
    return in_thread(target), times


@pytest.fixture
def no_threads_left():
    """What persist() started is gone when its generator is."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in set(threading.enumerate()) - before if thread.name == 'lomond-persist']
    for thread in left:
        thread.join(5)              # it was told to end; a busy machine may run it later
        assert not thread.is_alive()


@pytest.fixture(params=['thread', 'no thread'])
def watch_kind(request, monkeypatch, no_threads_left):
    """persist() with its thread, and when none can be started."""
    def refuse(thread, start=threading.Thread.start):
        if thread.name == 'lomond-persist':
            raise RuntimeError("can't start new thread")
        start(thread)
    if request.param == 'no thread':
        monkeypatch.setattr(threading.Thread, 'start', refuse)


class OnlyWait(object):
    """An event that has no is_set()."""

    def __init__(self):
        self._event = threading.Event()
        self.set = self._event.set
        self.waits = []

    def wait(self, delay):
        self.waits.append(delay)
        return self._event.wait(delay)


PHASES = [[CONNECTING], [CONNECTING, CONNECTED], [CONNECTING, CONNECTED, READY]]


@pytest.mark.parametrize('make', [threading.Event, OnlyWait])
@pytest.mark.parametrize('phase', PHASES, ids=names(phase[-1] for phase in PHASES))
@pytest.mark.parametrize('answers', [True, False])
def test_exit_event_in_a_connection(make, phase, answers, no_threads_left):
    """close(1001) within 0.25 s, dropped at 0.9 s, over after a second; no BackOff."""
    websocket, exit_event = Live(phase, answers), make()
    thread, times = set_when(websocket.stuck, exit_event)
    found = list(persist(websocket, exit_event=exit_event))
    ended = time.time()
    thread.join(LIMIT)
    assert names(found[:-1]) == names(phase)
    assert found[-1].name == ('disconnected' if CONNECTED in phase else 'connect_fail')
    assert [call[:2] for call in websocket.calls] == [('close', 1001), ('force', None)][:2 - answers]
    assert websocket.connects == 1
    moments = [call[2] - times[0] for call in websocket.calls]
    assert moments[0] < 0.25 + 1.5      # the slack of a busy machine
    assert ended - times[0] < (0.25 if answers else 1) + 1.5
    assert answers or 0.7 < moments[1] < 1 + 1.5


def test_exit_event_in_a_pause(no_threads_left):
    """wait(delay) returns, and the iteration ends."""
    websocket, exit_event = Scripted(Clock(), FAILS), threading.Event()
    waiting = threading.Event()
    wait = exit_event.wait

    def observed(delay):
        waiting.set()
        return wait(delay)
    exit_event.wait = observed
    thread, times = set_when(waiting, exit_event)
    found = list(persist(websocket, exit_event=exit_event))
    assert time.time() - times[0] < 1 + 1.5
    thread.join(LIMIT)
    assert names(found) == ['connecting', 'connect_fail', 'back_off'] and len(websocket.calls) == 1


def test_exit_event_in_a_pause_closes_nothing(no_threads_left):
    """The earlier connection is over; somebody else may use the WebSocket by now."""
    class Seen(object):
        """Returns from wait() once the watch has seen that the event is set."""
        looks = []
        enough = threading.Event()

        def is_set(self):
            if self.looks and threading.current_thread().name == 'lomond-persist':
                self.looks.append(True)
                self.enough.set()
            return bool(self.looks)

        def wait(self, delay):
            self.looks.append(True)
            assert self.enough.wait(LIMIT)
            watch, = [thread for thread in threading.enumerate() if thread.name == 'lomond-persist']
            watch.join(0.3)     # time to make the mistake
            return True
    websocket = Live([CONNECTING])
    websocket.over.set()
    assert names(persist(websocket, exit_event=Seen())) == ['connecting', 'connect_fail', 'back_off']
    assert websocket.calls == []


def test_exit_event_that_is_set_already():
    """Nothing is connected, no thread started."""
    exit_event = threading.Event()
    exit_event.set()
    websocket = Scripted(Clock(), FAILS)
    before = threading.active_count()
    assert list(persist(websocket, exit_event=exit_event)) == []
    assert websocket.calls == [] and threading.active_count() == before


@pytest.mark.parametrize('name, rest', [
    ('connecting', []), ('connect_fail', []), ('back_off', ['back_off'])])
def test_exit_event_set_by_the_handler(name, rest, no_threads_left):
    """All events of the connection are handed out, and no BackOff follows."""
    exit_event, found = threading.Event(), []
    for event in persist(Scripted(Clock(), FAILS), exit_event=exit_event):
        found.append(event)
        if event.name == name:
            exit_event.set()
    assert found[:2] == FAILS and names(found[2:]) == rest


def test_exit_event_while_a_handler_is_busy(no_threads_left):
    """The watch closes and drops even if the consumer's handler does not return."""
    websocket, exit_event, found = Live(PHASES[2], answers=False), threading.Event(), []
    for event in persist(websocket, exit_event=exit_event):
        found.append(event.name)
        if event is READY:
            exit_event.set()
            assert websocket.over.wait(LIMIT)
    assert found == ['connecting', 'connected', 'ready', 'disconnected']
    assert [call[:2] for call in websocket.calls] == [('close', 1001), ('force', None)]


def test_close_by_the_handler_itself(no_threads_left):
    """The way gateways stop: exit_event.set(), then ws.close()."""
    websocket, exit_event, found = Live(PHASES[2]), threading.Event(), []
    for event in persist(websocket, exit_event=exit_event):
        found.append(event.name)
        if event is READY:
            exit_event.set()
            websocket.close()
    assert found == ['connecting', 'connected', 'ready', 'disconnected']
    assert websocket.calls[0][:2] == ('close', 1000)


class Endless(object):
    """A double with connect() alone, whose connection never ends by itself."""

    closed = False

    def connect(self, poll, ping_rate, ping_timeout):
        try:
            yield CONNECTING
            while True:
                time.sleep(0.01)    # its poll
                yield events.Poll()
        finally:
            self.closed = True


def test_exit_event_with_a_double(watch_kind):
    """Without close() and force_disconnect(), its iterator is abandoned at 0.9 s."""
    websocket, exit_event = Endless(), threading.Event()
    begun = None
    for event in persist(websocket, exit_event=exit_event):
        if begun is None and event.name == 'poll':
            begun = time.time()
            exit_event.set()
    assert 0.7 < time.time() - begun < 1 + 1.5
    assert event.name == 'poll' and websocket.closed


@pytest.mark.parametrize('how', ['break', 'close', 'throw'])
def test_the_thread_ends_with_the_generator(how, no_threads_left):
    """One named daemon thread, only while there is something to watch."""
    websocket = Endless()
    iterators = [persist(websocket, exit_event=threading.Event())]
    next(iterators[0])
    watches = [thread for thread in threading.enumerate() if thread.name == 'lomond-persist']
    assert len(watches) == 1 and watches[0].daemon
    leave_by(how, iterators)
    assert websocket.closed


def test_one_thread_for_all_connections(monkeypatch, no_threads_left):
    """A persist() without exit_event starts no thread."""
    monkeypatch.setattr(random, 'random', lambda: 0.0)
    before = set(threading.enumerate())
    seen = set()
    for _event in persist(Scripted(Clock(), DROPS), min_wait=0, exit_event=threading.Event(), max_retries=30):
        seen.update(set(threading.enumerate()) - before)
    assert [thread.daemon for thread in seen] == [True]
    for _event in persist(Scripted(Clock(), DROPS), min_wait=0, max_retries=3):
        assert set(threading.enumerate()) - before - seen == set()


LEFT_AT_EXIT = ["""
import threading
from lomond import events, persist
class Double(object):
    def connect(self, **settings):
        while True:
            yield events.Poll()
iterator = persist.persist(Double(), exit_event=threading.Event())
next(iterator)
""", """
import socket, threading, time
from lomond import WebSocket
from lomond.persist import persist
from lomond.testing import Server
def look_up(host, port, *rest):
    sleep(0.02)
    return real('127.0.0.1', port, *rest)
def run(name, WebSocket=WebSocket, persist=persist, Event=threading.Event, port=Server().start().port):
    for event in persist(WebSocket('ws://%s:%s/' % (name, port), proxies={}), 0.02, 0, 0, exit_event=Event()):
        if event.name == 'poll' and name != 'x':
            break
real, sleep, socket.getaddrinfo = socket.getaddrinfo, time.sleep, look_up
for name in 'abcdxxxxxx':
    thread = threading.Thread(target=run, args=(name,))
    thread.daemon = True
    thread.start()
time.sleep(0.3)
"""]


@pytest.mark.parametrize('program', LEFT_AT_EXIT, ids=['generator', 'threads'])
@pytest.mark.ends
def test_left_at_exit(program):
    """A program that exits during a connection prints nothing, even on 2.7."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(module.__file__)))
    process = subprocess.Popen([sys.executable, '-c', program], cwd=root,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.communicate()[0] == b'' and process.returncode == 0


# -- the watch by itself, without its thread

def make_watch(exit_event, websocket=None):
    watch = module._ExitWatch(websocket or Live(PHASES[2]), exit_event)
    watch.is_running = True
    return watch


def test_watch_steps(clock):
    """Nothing, then close() once, then at 0.85 s force_disconnect() once."""
    websocket, exit_event = Live(PHASES[2], answers=False), threading.Event()
    watch = make_watch(exit_event, websocket)
    assert watch.look() == 0.1 and websocket.calls == [] and not watch.is_over()
    exit_event.set()
    assert watch.is_over()
    clock.sleep(100)
    assert watch.look() == 0.1 and watch.look() == 0.1
    clock.sleep(0.84)
    assert 0.009 < watch.look() < 0.011
    assert [call[0] for call in websocket.calls] == ['close']
    clock.sleep(0.02)
    assert watch.look() is None
    assert [call[0] for call in websocket.calls] == ['close', 'force']
    assert watch.is_over() and not watch.must_leave
    watch.stop()


def test_watch_between_connections(clock):
    """If the event was set between two connections, the next one is closed."""
    websocket, exit_event = Live(PHASES[2]), threading.Event()
    watch = make_watch(exit_event, websocket)
    watch.end()
    exit_event.set()
    assert watch.look() == 0.1 and websocket.calls == [] and watch.is_over()
    watch.begin()
    assert [call[0] for call in websocket.calls] == ['close']
    watch.stop()
    assert not watch.is_running


def test_watch_of_methods_that_raise(clock, caplog):
    """If one method raises, the other one is still tried."""
    class Broken(object):
        calls = []

        def close(self, code, reason):
            self.calls.append('close')
            raise ValueError('bug')

        def force_disconnect(self):
            self.calls.append('force')
            raise ValueError('bug')
    exit_event = threading.Event()
    exit_event.set()
    watch = make_watch(exit_event, Broken())
    with caplog.at_level(logging.DEBUG):
        assert watch.look() == 0.1
        clock.sleep(1)
        assert watch.look() is None
    assert Broken.calls == ['close', 'force'] and watch.must_leave
    assert [record.levelname for record in caplog.records] == ['DEBUG'] * 2


def test_watch_of_wait_alone(clock):
    """wait(0) is called while a connection runs; later only if it returned at once."""
    exit_event = OnlyWait()
    watch = make_watch(exit_event)
    watch.end()
    assert watch.look() == 0.1 and not watch.is_over() and exit_event.waits == []
    watch.is_running = True
    assert watch.look() == 0.1 and exit_event.waits == [0]
    assert not watch.is_over() and exit_event.waits == [0, 0]
    exit_event.set()
    assert watch.is_over() and exit_event.waits == [0, 0, 0]
    assert watch.look() == 0.1 and watch.is_over()
    assert exit_event.waits == [0] * 4


@pytest.mark.parametrize('answer', [True, False])
def test_watch_of_a_wait_that_takes_its_time(clock, answer):
    """A slow wait(0) is called only once."""
    class Slow(object):
        waits = 0

        def wait(self, delay):
            self.waits += 1
            clock.sleep(0.5)
            return answer
    exit_event = Slow()
    watch = make_watch(exit_event)
    assert watch.look() == (0.1 if answer else None)
    assert watch.is_over() is answer and exit_event.waits == 1


def test_watch_of_a_mock(clock):
    """A Mock's is_set() is true although nothing was set; users have such tests."""
    class Mock(Pauses):
        def is_set(self):
            return Mock(1)
    exit_event = Mock(2)
    found = list(persist(Scripted(clock, FAILS), exit_event=exit_event))
    assert names(found) == ['connecting', 'connect_fail', 'back_off'] * 2
    assert make_watch(exit_event).look() == 0.1


def test_watch_of_an_event_that_raises(caplog, no_threads_left):
    """The thread ends quietly; persist() itself raises the same exception."""
    class Broken(Pauses):
        is_broken = threading.Event()

        def is_set(self):
            if threading.current_thread().name == 'lomond-persist':
                self.is_broken.set()
            if self.is_broken.is_set():
                raise RuntimeError('bug')
    found = []
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(RuntimeError):
            for event in persist(Scripted(Clock(), DROPS), exit_event=Broken(5)):
                found.append(event)
                assert event is not READY or Broken.is_broken.wait(LIMIT)
    assert found == DROPS
    assert 'cannot be watched' in caplog.text


def test_watch_stopped_by_its_own_thread(monkeypatch):
    """The collector may finish an abandoned persist() in the watch's own thread."""
    stopped = []

    class Websocket(object):
        def close(self, code, reason):
            watch.stop()
            stopped.append(threading.current_thread())
    exit_event = threading.Event()
    watch = module._ExitWatch(Websocket(), exit_event)
    watch.prepare(None)
    watch.begin()
    exit_event.set()
    watch._thread.join(LIMIT)
    assert not watch._thread.is_alive() and stopped == [watch._thread]


# -- with a WebSocket, over loopback

def refuse(peer):
    peer.read_head()
    peer.send(b'HTTP/1.1 503 Later\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n')


def silent(peer, has_request):
    peer.read_head()
    has_request.set()
    peer.wait_gone()


def mute(peer, _=None):
    peer.accept()
    peer.read_end()


def greet(peer, _=None):
    peer.accept(also=b'\x81\x02hi')
    peer.answer_close()


def shown(found):
    return [event.name for event in found if event.name != 'poll']


def close_codes(server):
    """What came in close frames, without the reasons."""
    return [item[4][:2] for peer in server.peers for item in peer.frames if item[2] == CLOSE]


def test_live_reconnects():
    """Refused, dropped, closed after a message, and from the beginning."""
    found = []
    with Server(refuse, Peer.accept, greet) as server:
        websocket = WebSocket(server.url(), proxies={})
        for event in persist(websocket, min_wait=0, max_wait=0, ping_rate=0, exit_event=Pauses(3)):
            found.append(event)
            if event.name == 'text':
                websocket.close()
    assert shown(found) == [
        'connecting', 'connected', 'rejected', 'disconnected', 'back_off',
        'connecting', 'connected', 'ready', 'disconnected', 'back_off',
        'connecting', 'connected', 'ready', 'text', 'closed', 'disconnected', 'back_off']
    assert [event.attempt for event in found if event.name == 'back_off'] == [1, 2, 0]
    assert close_codes(server) == [close_payload(1000)]


def test_live_refused():
    """Three attempts at a port where nobody listens."""
    free = socket.socket()
    free.bind(('127.0.0.1', 0))     # bound but not listening: connections are refused
    websocket = WebSocket('ws://127.0.0.1:{}/'.format(free.getsockname()[1]), proxies={})
    found = list(persist(websocket, min_wait=0, max_wait=0, max_retries=3))
    free.close()
    assert shown(found) == ['connecting', 'connect_fail', 'back_off'] * 2 + [
        'connecting', 'connect_fail', 'gave_up']
    assert 'refused' in found[-1].cause.reason and found[-1].attempts == 3
    assert module.transient(found[-1].cause)


@pytest.mark.parametrize('spare', range(4))
def test_live_without_descriptors(spare):
    """Each attempt fails and says why; what cannot be imported then is not missed."""
    resource = pytest.importorskip('resource')
    free = socket.socket()
    free.bind(('127.0.0.1', 0))
    websocket = WebSocket('ws://127.0.0.1:{}/'.format(free.getsockname()[1]), proxies={})
    list(websocket)
    limits, last = resource.getrlimit(resource.RLIMIT_NOFILE), os.dup(0)
    os.close(last)
    kept = sys.modules.pop('random')
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + spare, limits[1]))
    try:
        found = list(persist(websocket, min_wait=0, max_wait=0, max_retries=2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        sys.modules['random'] = kept
        free.close()
    assert shown(found) == ['connecting', 'connect_fail', 'back_off', 'connecting', 'connect_fail', 'gave_up']
    wake_up = 1 if hasattr(os, 'eventfd') else 2
    assert ('refused' if spare > wake_up else 'oo many open files') in found[-1].cause.reason


@pytest.mark.parametrize('script, at, limit, expected, make', [
    (silent, None, 1, ['connecting', 'connected', 'disconnected'], threading.Event),
    (mute, 'ready', 1, ['connecting', 'connected', 'ready', 'disconnected'], threading.Event),
    (greet, 'text', 0.25, ['connecting', 'connected', 'ready', 'text', 'closed', 'disconnected'], OnlyWait)])
def test_live_exit_event(watch_kind, script, at, limit, expected, make):
    """In each phase, whether or not close() is answered: no BackOff."""
    reached, exit_event, found = threading.Event(), make(), []
    thread, times = set_when(reached, exit_event)
    with Server(lambda peer: script(peer, reached)) as server:
        websocket = WebSocket(server.url(), proxies={})
        for event in persist(websocket, poll=30, ping_rate=0, exit_event=exit_event):
            found.append(event)
            if event.name == at:
                reached.set()
        assert times and time.time() - times[0] < limit + 1.5
        thread.join(LIMIT)
    assert shown(found) == expected and found[-1].graceful is (script is greet)
    assert close_codes(server) == ([] if script is silent else [close_payload(1001)])
    assert websocket.is_closed


def flood(peer, _=None):
    peer.accept()
    while True:
        peer.send(b'\x81\x02hi' * 1000)


@pytest.mark.ends
def test_live_exit_event_in_a_flood(watch_kind):
    """The loop never has to wait."""
    exit_event, begun = threading.Event(), []
    with lenient_server(flood) as server:
        for event in persist(WebSocket(server.url(), proxies={}), exit_event=exit_event):
            if event.name == 'text' and not begun:
                begun.append(time.time())
                exit_event.set()
        assert event.name == 'disconnected' and time.time() - begun[0] < 1 + 1.5


def test_live_exit_event_in_a_blocked_send(watch_kind):
    """The peer reads nothing, and the handler is in a send."""
    exit_event, begun = threading.Event(), []
    with Server(lambda peer: (peer.accept(), peer.server.stopping.wait(LIMIT))) as server:
        websocket = WebSocket(server.url(), proxies={})
        for event in persist(websocket, exit_event=exit_event, send_timeout=None):
            if event.name == 'ready':
                threading.Timer(0.1, lambda: (begun.append(time.time()), exit_event.set())).start()
                with pytest.raises(errors.TransportFail):
                    websocket.send_binary(b'x' * 30000000)
        assert event.name == 'disconnected' and time.time() - begun[0] < 1 + 1.5


def test_live_exit_event_while_resolving(monkeypatch, watch_kind):
    """A hanging resolver is abandoned."""
    hangs, answer = threading.Event(), threading.Event()

    def getaddrinfo(*args):
        hangs.set()
        assert answer.wait(LIMIT)
        raise socket.gaierror(-2, 'unknown')
    monkeypatch.setattr(socket, 'getaddrinfo', getaddrinfo)
    exit_event = threading.Event()
    thread, times = set_when(hangs, exit_event)
    found = list(persist(WebSocket('ws://persist.test/', proxies={}), exit_event=exit_event))
    ended = time.time()
    answer.set()
    thread.join(LIMIT)
    assert shown(found) == ['connecting', 'connect_fail'] and ended - times[0] < 0.25 + 1.5


def test_live_leaving(no_threads_left):
    """break closes the socket even if the WebSocket is kept."""
    with Server(mute) as server:
        websocket = WebSocket(server.url(), proxies={})
        iterator = persist(websocket, exit_event=threading.Event())
        for event in iterator:
            if event.name == 'ready':
                break
        iterator.close()
        assert not websocket.is_active and websocket.session._sock is None
