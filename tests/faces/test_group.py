"""Group: turns, deadlines, pauses, members; scripted sessions, time that is made up."""

from __future__ import absolute_import, division, unicode_literals

import collections
import gc
import os
import random
import signal
import sys
import threading
import weakref

import pytest

from lomond import WebSocket, errors, events, group
from lomond.driver.members import Member
from lomond.group import Group
from lomond.network import poller as pollers
from lomond.network.poller import READ
from lomond.session import WebsocketSession

EVENTS = {
    'connecting': events.Connecting('ws://a.test/'), 'ready': events.Ready(None, None, set()),
    'text': events.Text('x'), 'connect_fail': events.ConnectFail('no'),
    'disconnected': events.Disconnected('closed', graceful=True)}
UP = ['connecting', 'ready']


class Stage(object):
    """Clock, poller and sessions of one test."""

    def __init__(self):
        self.now = 1000.0
        self.log = []           # (name, what is ready) of each turn
        self.ready = set()      # descriptors
        self.at = []            # (when, what to call), sorted
        self.sessions = {}
        self.pollers = []
        self.sleeps = []

    def __call__(self):
        return self.now

    def play(self, events, limit=200):
        """Iterate; return [(name of the member, name of the event)]."""
        shown = []
        for websocket, event in events:
            shown.append((websocket and websocket.name, event.name))
            assert len(shown) < limit
        return shown


class Poller(object):
    """Reports what the stage has ready; otherwise time passes."""

    limit = None

    def __init__(self, stage):
        self.stage, self.asked = stage, {}
        stage.pollers.append(self)

    def register(self, fd, mask):
        self.asked[fd] = mask

    def forget(self, fd):
        self.asked.pop(fd, None)

    def wait(self, timeout):
        stage = self.stage
        stage.sleeps.append(timeout)
        ready = sorted(fd for fd in stage.ready if self.asked.get(fd))
        if not ready and timeout:
            until = stage.now + timeout
            if stage.at and stage.at[0][0] <= until:
                until, call = stage.at.pop(0)
                call()
            stage.now = until
        return [(fd, READ) for fd in ready]

    def close(self):
        self.asked = None


class WakeUp(object):
    def __init__(self):
        self.sets = 0

    def fileno(self):
        return 3

    def set(self):
        self.sets += 1

    def clear(self):
        pass


class Session(object):
    """Plays the script of its WebSocket: a list of turns, each a list of steps.

    A step is the name of an event, a number of seconds, or a callable.
    """

    member = None
    session_time = 0.0
    is_closed = False

    def __init__(self, websocket):
        self.stage, self.websocket = websocket.stage, websocket
        self.turns = collections.deque(websocket.scripts.pop(0))
        self.stage.sessions[websocket.name] = self
        self.fd = ord(websocket.name[0])
        self.pair = ((self.fd, READ),)
        self.deadline = self.stage.now      # in the past before the first turn
        self.is_over = self.is_left = False

    def run(self, **settings):
        self.settings = settings
        return self

    def share(self):
        assert isinstance(self.member.loop.lender, group.Lender)

    def waits(self):
        return () if self.is_over else self.pair

    def next_deadline(self):
        if self.member.is_woken:
            return self.stage.now
        return None if self.is_over else self.deadline

    def plan(self):
        return self.waits(), self.next_deadline()

    def begin_turn(self, ready, now):
        self.stage.log.append((self.websocket.name, ready))
        self.deadline, self.member.is_asleep = None, False
        if ready:
            self.stage.ready.discard(self.fd)
        turn = self.turns.popleft() if self.turns else ()
        for step in turn:
            if self.is_closed and turn[0] != 'disconnected':
                break
            if callable(step):
                step()
            elif isinstance(step, (int, float)):
                self.stage.now += step
            else:
                self.is_over = step in ('disconnected', 'connect_fail')
                yield EVENTS[step]
        if not self.is_over:
            yield None

    def end_turn(self):
        self.member.is_asleep = True

    def end(self):
        assert self.is_over

    def close(self):
        if not (self.is_closed or self.is_over):
            self.is_closed = True
            self.turns = collections.deque([['disconnected']])
            self.member.wake()

    _driver = None

    def _clean_up(self):
        self.is_left = self.is_over = True


@pytest.fixture
def stage(monkeypatch):
    stage = Stage()
    monkeypatch.setattr(group, '_ClientSession', Session)
    monkeypatch.setattr(Member, 'monotonic', staticmethod(stage))
    monkeypatch.setattr(pollers, 'new_poller_of_many', lambda: Poller(stage))
    monkeypatch.setattr(pollers, 'new_wake_up', WakeUp)
    monkeypatch.setattr(random, 'random', lambda: 0.5)
    stage.websockets = []

    def client(name, *scripts):
        websocket = WebSocket('ws://a.test/', proxies={})
        websocket.stage, websocket.name, websocket.scripts = stage, name, list(scripts)
        stage.websockets.append(websocket)      # their numbers stay theirs
        return websocket
    stage.client = client
    return stage


def names(shown, name):
    return [event for who, event in shown if who == name]


# -- turns

def test_nobody(stage):
    """An empty group ends at once, and opens nothing before its loop begins."""
    empty = Group()
    assert not stage.pollers
    assert list(empty) == [] and stage.pollers[0].asked is None


def test_order_of_events(stage):
    """Poll comes first; each connection has its order; the loop ends after the last."""
    a, b = stage.client('a', [UP + ['text'], ['disconnected']]), stage.client('b', [['connect_fail']])
    many = Group([a, b], ping_timeout=60)
    assert len(many) == 2 and a in many and many.websockets == [a, b]
    stage.ready.add(ord('a'))
    shown = stage.play(many)
    assert shown[0] == (None, 'poll')
    assert names(shown, 'a') == UP + ['text', 'disconnected'] and names(shown, 'b') == ['connect_fail']
    assert len(many) == 0 and a not in many and many.websockets == []
    assert stage.sessions['a'].settings['ping_timeout'] == 60


def test_everybody_has_a_turn(stage):
    """One with more to read, or a slow handler, has its next turn after the others."""
    def more(name):
        def step():
            stage.sessions[name].deadline = stage.now       # what is_busy makes of it
        return step
    a = stage.client('a', [UP, ['text', 'text', more('a')], ['text', more('a')], ['text']])
    b = stage.client('b', [UP, ['text', 0.5], ['text', 0.5], ['text']])
    many = Group([a, b])
    shown = []
    for websocket, event in many:
        if event.name == 'ready' and websocket is b:
            del stage.log[:], stage.sleeps[:]
            stage.ready.update((ord('a'), ord('b')))
            stage.at.append((stage.now + 1, lambda: stage.ready.add(ord('b'))))
        if event.name == 'text':
            shown.append(websocket.name)
        if len(shown) == 6:
            break
    ready = lambda name: (name, ((ord(name), READ),))       # noqa: E731
    assert shown == ['a', 'a', 'b', 'a', 'a', 'b']
    assert stage.log == [ready('a'), ready('b'), ('a', ()), ('a', ()), ready('b')]
    assert stage.sleeps[:3] == [0, 0, 0] or stage.sleeps[1:3] == [0, 0]


def test_turn_that_is_no_longer_due(stage):
    """A descriptor that was closed in this round gives nobody a turn."""
    a = stage.client('a', [UP, [lambda: stage.sessions['b'].member.forget(ord('b')), 'text']])
    b = stage.client('b', [UP])
    for websocket, event in Group([a, b]):
        if event.name == 'ready' and websocket is b:
            stage.ready.update((ord('a'), ord('b')))
            del stage.log[:]
        if event.name == 'text':
            break
    assert ord('b') not in (stage.pollers[0].asked or ()) and len(stage.log) == 1


def test_poll(stage):
    """Every `poll` seconds; a slow body delays it, and a burst does not follow."""
    a = stage.client('a', [UP, ['disconnected']])
    stage.at.append((1009.0, lambda: stage.ready.add(ord('a'))))
    times = []
    for websocket, event in Group([a], poll=2):
        if event.name == 'poll':
            assert websocket is None
            times.append(stage.now)
            stage.now += 3 if len(times) == 2 else 0
    assert times == [1000.0, 1002.0, 1005.001, 1007.001]


# -- deadlines

def test_deadlines_are_a_heap(stage):
    """One entry each; one that moves later is looked at when its old time comes."""
    many = [stage.client(chr(100 + number), [UP]) for number in range(50)]
    seen = []

    def later(session):
        return lambda: setattr(session, 'deadline', stage.now + 10)
    for websocket, event in Group(many, poll=1000, max_connecting=None):
        session = websocket and stage.sessions[websocket.name]
        if event.name == 'ready':
            session.turns.extend([[later(session), 'text']] * 2)
            session.deadline = stage.now + 100 - session.fd % 10
        elif event.name == 'text':
            seen.append((stage.now, websocket))
        if len(seen) == 100:
            break
    assert [when for when, _ in seen[:50]] == sorted(1091.0 + number // 5 for number in range(50))
    assert [websocket for _, websocket in seen[:50]] == [websocket for _, websocket in seen[50:]]


def test_a_deadline_that_moves(stage):
    """The session has a turn when its time comes, not before."""
    a = stage.client('a', [UP, ['text'], ['disconnected']])
    times = []
    for _, event in Group([a], poll=1000):
        times.append((event.name, stage.now))
        session = stage.sessions.get('a')
        if event.name == 'ready':
            session.deadline = 1010.0
            stage.at.append((1005.0, lambda: setattr(stage.sessions['a'], 'deadline', 1020.0)))
        elif event.name == 'text':
            session.deadline = 1021.0
    assert times[-2:] == [('text', 1020.0), ('disconnected', 1021.0)]
    assert [name for name, _ in stage.log] == ['a', 'a', 'a']


# -- connecting

@pytest.mark.parametrize('limit, most', [(2, 2), (None, 5)])
def test_connecting_in_turn(stage, limit, most):
    """At most max_connecting at a time, in order, until Ready or the end."""
    ends = [UP, ['connect_fail'], UP, ['connect_fail'], UP]
    many = [stage.client('abcde'[number], [['connecting'], end[-1:]]) for number, end in enumerate(ends)]
    connecting, seen, order = set(), 0, []
    for websocket, event in Group(many, max_connecting=limit):
        if event.name == 'connecting':
            order.append(websocket.name)
            connecting.add(websocket)
            stage.ready.add(ord(websocket.name))
        elif websocket:
            connecting.discard(websocket)
        seen = max(seen, len(connecting))
        if len(order) == 5 and not connecting:
            break
    assert seen == most and order == list('abcde')


def test_limit_of_select(stage, monkeypatch):
    """On Windows, a client beyond the limit fails to connect, and says why."""
    monkeypatch.undo()
    monkeypatch.setattr(pollers.SelectOfMany, 'limit', 1)
    monkeypatch.setattr(pollers, 'IS_WINDOWS', True)
    monkeypatch.setattr(pollers, 'WINDOWS_LIMIT', 1)
    monkeypatch.setattr(pollers, 'new_poller_of_many', pollers.SelectOfMany)
    many = Group([WebSocket('ws://127.0.0.1:9/', proxies={}) for _ in range(3)], max_connecting=None)
    fails = [event for _, event in many if event.name == 'connect_fail']
    refused = [event for event in fails if 'at most 1 connections' in event.reason]
    assert len(fails) == 3 and len(refused) == 2
    assert all(event.stage == 'connect' and isinstance(event.error, Exception) for event in refused)


# -- pauses

def test_persist(stage):
    """Giving up is the last event of one member; the others go on."""
    a = stage.client('a', [['connecting', 'connect_fail']])
    b = stage.client('b', [UP])
    many = Group(poll=1)
    many.persist(a, max_retries=1)
    many.add(b)
    shown = []
    with pytest.raises(ValueError):
        for websocket, event in many:
            shown.append((websocket and websocket.name, event.name))
            if event.name == 'gave_up':
                assert a not in many and b in many
                raise ValueError
    assert names(shown, 'a') == UP[:1] + ['connect_fail', 'gave_up']
    assert stage.sessions['b'].is_left and len(many) == 0


def test_pause(stage):
    """It begins after the handler of BackOff; a message, then a graceful end, is a success."""
    script = [UP + ['text', 'disconnected']]
    a = stage.client('a', script, script, [['connect_fail']], [['connect_fail']])
    many = Group(poll=1000)
    many.persist(a, min_wait=2, max_wait=10, max_retries=2)
    pauses = []
    for _, event in many:
        if event.name == 'back_off':
            pauses.append((stage.now, event.delay, event.attempt))
            stage.now += 1
    assert pauses == [(1000.0, 2.5, 0), (1003.5, 2.5, 0), (1007.0, 3.0, 1)] and event.name == 'gave_up'
    assert event.attempts == 2 and stage.now == 1011.0


# -- remove

def play_and_remove(stage, many, at, a):
    """Remove a at its event (None: before the loop); return the names of its events."""
    if at is None:
        many.remove(a)
    shown = []
    for websocket, event in many:
        if websocket is a:
            shown.append(event.name)
            if event.name == at:
                many.remove(a, 4000, 'bye')
                if at in ('disconnected', 'back_off'):      # no further event follows
                    assert a not in many
        if len(many) == 1:
            many.close()
    return shown


@pytest.mark.parametrize('at, expected', [
    (None, []), ('connecting', ['connecting', 'disconnected']), ('ready', UP + ['disconnected']),
    ('disconnected', UP + ['disconnected']), ('back_off', UP + ['disconnected', 'back_off'])])
@pytest.mark.parametrize('persists', [True, False])
def test_remove(stage, at, expected, persists):
    """In each phase: its events go on to the last one, and no BackOff follows."""
    a, b = stage.client('a', [UP, ['disconnected']]), stage.client('b', [UP])
    many = Group([b])
    (many.persist if persists else many.add)(a)
    if at in ('disconnected', 'back_off'):
        stage.ready.add(ord('a'))
    if at == 'back_off' and not persists:
        expected = UP + ['disconnected']
    assert play_and_remove(stage, many, at, a) == expected
    assert a not in many and len(many) == 0
    Group([a])                              # it is nobody's


def test_remove_from_a_thread_as_the_pause_begins(stage):
    """It finds no session and no pause yet, so the loop takes the client out."""
    class Idle(dict):

        def __setitem__(self, number, record):
            many.remove(a)
            super(Idle, self).__setitem__(number, record)

    a = stage.client('a', [UP + ['disconnected']])
    many = Group()
    many.persist(a)
    shown = []
    for websocket, event in many:
        shown.append((websocket and websocket.name, event.name))
        if event.name == 'disconnected':
            many._idle = Idle()
    assert names(shown, 'a') == UP + ['disconnected']
    assert a not in many
    Group([a])                              # it is nobody's


def test_remove_while_it_waits_for_its_turn(stage):
    """Dropped without an event; it may be added again at once, by any thread."""
    a, b = stage.client('a', [UP]), stage.client('b', [['connecting'], ['connect_fail']])
    many = Group([b, a], max_connecting=1)
    for websocket, event in many:
        if event.name == 'connecting' and websocket is b:
            many.remove(a)
            assert a not in many and len(many) == 1
            many.remove(a)
            many.add(a, ping_rate=7)
            stage.ready.add(ord('b'))
        elif event.name == 'ready':
            assert stage.sessions['a'].settings['ping_rate'] == 7
            break
    assert websocket is a


def test_handler_of_the_last_event_adds_again(stage):
    a = stage.client('a', [['connect_fail']], [['connect_fail']])
    many = Group([a])
    count = 0
    for _, event in many:
        if event.name == 'connect_fail':
            count += 1
            assert a not in many
            if count == 1:
                many.add(a)
    assert count == 2


def test_rounds_leave_nothing(stage):
    """Rounds of add and remove: no member, no heap entry; test_group_real.py has more."""
    b = stage.client('b', [UP])
    many = Group([b], poll=10000)
    rounds = 0
    for websocket, event in many:
        if rounds == 200:
            loop = many._loop
            assert len(loop._timers.heap) <= 2 and len(loop._owners) <= 2 and len(many._members) == 2
            assert not loop._work and not loop._queue and not many._idle
            break
        if event.name in ('ready', 'disconnected'):
            if websocket is not b:
                many.remove(websocket)
            if event.name == 'disconnected' or websocket is b:
                rounds += 1
                a = stage.client('a', [UP])
                many.persist(a)
    assert rounds == 200


# -- other threads, signals, forks

def test_add_from_a_thread_while_it_sleeps(stage):
    """The pipe is written to only while the loop waits."""
    a, b = stage.client('a', [UP]), stage.client('b', [['connect_fail']])
    many = Group([a], poll=1000)

    def add():
        wake_up = many._loop._wake_up
        assert wake_up.sets == 0 and len(stage.pollers) == 1
        thread = threading.Thread(target=many.add, args=(b,))
        thread.start()
        thread.join()
        assert wake_up.sets == 1
    for websocket, event in many:
        if event.name == 'ready':
            many._loop.wake()
            stage.at.append((1001.0, add))
        if websocket is b:
            assert stage.now == 1001.0
            break


def test_loop_is_left_while_a_thread_adds(stage):
    a, many = stage.client('a', [UP]), Group(keep_open=True)
    iterator, claim = iter(many), a._running.claim
    next(iterator)
    a._running.claim = lambda mark: iterator.close() or claim(mark)
    many.add(a)
    assert a not in many and not many._idle
    Group([a])                              # it is nobody's


def test_close(stage):
    """Removes all; the loop ends after the last event; nothing can be added."""
    a, b, c = stage.client('a', [UP]), stage.client('b', [['connect_fail']]), stage.client('c', [UP])
    many = Group([a], keep_open=True, max_connecting=1)
    many.persist(b)
    many.add(c)
    shown = []
    for websocket, event in many:
        shown.append((websocket and websocket.name, event.name))
        if event.name == 'back_off':
            many.close(4001)
            assert len(many) == 1 + len(names(shown, 'c') and 'c')
            for call in (many.add, many.persist):
                with pytest.raises(errors.WebSocketError, match='closed'):
                    call(b)
    assert names(shown, 'a')[-1] == 'disconnected' and names(shown, 'b') == ['connect_fail', 'back_off']
    assert list(many) == []
    many.close()


@pytest.mark.skipif(not hasattr(signal, 'setitimer'), reason='no signals of that kind')
def test_keep_open_and_a_signal_handler():
    """An empty group that is kept open sleeps; close() in a handler ends it."""
    many = Group(keep_open=True, poll=30)
    before = signal.signal(signal.SIGALRM, lambda *args: many.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert [event.name for _, event in many] == ['poll']
    finally:
        signal.signal(signal.SIGALRM, before)


def test_one_iterator_at_a_time(stage):
    many = Group([stage.client('a', [UP], [UP])])
    first, second = iter(many), iter(many)
    assert next(first)[1].name == 'poll'
    with pytest.raises(errors.WebSocketError, match='one iterator'):
        next(second)
    assert next(first)[1].name == 'connecting'
    first.close()
    assert stage.sessions['a'].is_left and len(many) == 0
    assert list(many) == []


@pytest.mark.parametrize('how', ['break', 'error', 'with', 'close', 'lost'])
def test_leaving(stage, how):
    """Each connection is left as its own loop would; the group is empty, and usable."""
    a, b = stage.client('a', [UP], [UP]), stage.client('b', [['connect_fail'], []])
    many = Group([a], max_connecting=1)
    many.persist(b)
    iterator = iter(many)
    try:
        if how == 'with':
            many.__enter__()
        for _, event in iterator:
            if event.name == 'ready':
                if how == 'error':
                    raise KeyError
                break
    except KeyError:
        pass
    if how == 'with':
        many.__exit__(None, None, None)
    elif how == 'close':
        iterator.close()
    del iterator
    gc.collect()
    assert stage.sessions['a'].is_left and len(many) == 0 and stage.pollers[0].asked is None
    if how == 'with':
        with pytest.raises(errors.WebSocketError, match='closed'):
            many.add(a)
    else:
        many.add(a)
        assert a in many


def test_ctrl_c_while_leaving(stage):
    """The rest is left, too."""
    many = [stage.client(name, [UP]) for name in 'abc']
    loop = Group(many)
    count = []

    def interrupted(session):
        count.append(session)
        session.is_left = True
        if len(count) == 2:
            raise KeyboardInterrupt
    iterator = iter(loop)
    while len(stage.sessions) < 3 or not all(session.is_over or True for session in stage.sessions.values()):
        next(iterator)
    for session in stage.sessions.values():
        session._clean_up = lambda session=session: interrupted(session)
    with pytest.raises(KeyboardInterrupt):
        iterator.close()
    assert all(session.is_left for session in stage.sessions.values()) and len(loop) == 0
    assert list(loop) == []


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_forked_child(stage):
    """Every use raises; nothing of the parent is touched."""
    a = stage.client('a', [UP])
    many, started = Group([a]), Group([stage.client('b', [['connecting'], ['ready']])])
    iterator = iter(started)
    stage.ready.add(ord('b'))
    while next(iterator)[1].name != 'ready':
        pass
    for each in (many, started, started._loop):
        each._fork += 1
    for use in (lambda: len(many), lambda: a in many, lambda: many.websockets, lambda: many.add(a),
                lambda: many.persist(a), lambda: many.remove(a), many.close, lambda: iter(many),
                many.__enter__, lambda: many.__exit__(None, None, None), lambda: next(iterator)):
        with pytest.raises(errors.WebSocketError, match='forked child'):
            use()
    many.__exit__(ValueError, ValueError(), None)       # another exception goes on
    session = stage.sessions['b']
    session.member.wake()
    session.member.forget(ord('b'))
    assert not session.is_left and stage.pollers[0].asked[ord('b')] == READ
    assert started._loop._wake_up.sets == 0


# -- mistakes

class Overridden(WebSocket):
    def connect(self, *args, **kwargs):
        return super(Overridden, self).connect(*args, **kwargs)


@pytest.mark.parametrize('call, error, text', [
    (lambda: Group(poll=0), ValueError, 'poll'), (lambda: Group(poll='1'), TypeError, 'poll'),
    (lambda: Group(max_connecting=0), ValueError, 'max_connecting'),
    (lambda: Group(max_queued=0), ValueError, 'max_queued'),
    (lambda: Group(max_queued=1.5), TypeError, 'max_queued'),
    (lambda: Group(ping_rate=-1), ValueError, 'ping_rate'),
    (lambda: Group(session_class=None), TypeError, 'session_class'),
    (lambda: Group(min_wait=1), TypeError, 'min_wait'),
    (lambda: Group().add('ws://a.test/'), TypeError, 'WebSocket'),
    (lambda: Group([Overridden('ws://a.test/')]), TypeError, 'connect of Overridden'),
    (lambda: Group().add(WebSocket('ws://a.test/'), poll=5), TypeError, 'poll'),
    (lambda: Group().add(WebSocket('ws://a.test/'), ping_timeout='x'), TypeError, 'ping_timeout'),
    (lambda: Group().persist(WebSocket('ws://a.test/'), min_wait=-1), ValueError, 'min_wait'),
    (lambda: Group().persist(WebSocket('ws://a.test/'), exit_event=None), TypeError, 'exit_event'),
    (lambda: Group().remove(None, code=1005), ValueError, '1005'),
    (lambda: Group().close(1, ''), ValueError, '1'),
])
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_who_is_taken(stage):
    """A WebSocket is in one group, and connected by it alone; a failed add leaves nothing."""
    a = stage.client('a', [UP])
    many = Group([a])
    for other in (many, Group()):
        with pytest.raises(errors.WebSocketError, match='in a group'):
            other.add(a)
        assert len(other) == (other is many)
    with pytest.raises(errors.WebSocketError, match='in a group'):
        Group([stage.client('b'), a])
    gone = weakref.ref(many)
    del many, other
    gc.collect()
    assert gone() is None
    kept = Group([a])                       # its group is gone
    assert a in kept
    with pytest.raises(errors.WebSocketError, match='in a group'):
        next(iter(WebSocket.connect(a, session_class=WebsocketSession)))
    b = stage.client('b')
    b._running.session = object()
    with pytest.raises(errors.WebSocketError, match='running'):
        Group().add(b)
    b._running.session = None
    Group().add(b)


def test_it_is_not_imported():
    assert 'lomond.group' in sys.modules
    import lomond
    assert 'Group' not in vars(lomond)
