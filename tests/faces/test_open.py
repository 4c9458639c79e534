"""`WebSocket.open()`: each sentence about the steps, and the old way to get at them."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond import WebSocket
from lomond._compat import monotonic
from lomond.errors import WebSocketError
from lomond.network.poller import Waiting, WakeUp, wait_for
from lomond.persist import persist
from lomond.session import READ, WRITE, WebsocketSession
from lomond.testing import Server, close_with, echo

pytestmark = pytest.mark.ends


class Steps(WebsocketSession):
    """As the how-to said before there was `open()`."""

    def run(self, **settings):
        self.start(**settings)
        return self


#: Ways to a session that somebody else drives.
WAYS = {
    'open': lambda websocket, **settings: websocket.open(**settings),
    'open a session_class': lambda websocket, **settings: websocket.open(Steps, **settings),
    'the old way': lambda websocket, **settings: websocket.connect(session_class=Steps, **settings),
}


@pytest.fixture(scope='module')
def server():
    with Server(echo) as server:
        yield server


def turns(session, also=(), limit=20.0):
    """Drive a session: an iterator of its iterators.

    :param also: what to wait for, too
    """
    end = monotonic() + limit
    while not session.is_over:
        assert monotonic() < end, 'it hangs'
        deadline = session.next_deadline()
        seconds = None if deadline is None else max(deadline - session.monotonic(), 0)
        yield session.process(wait_for(session.waits() + also, seconds), session.monotonic())


def drive(session, on_event=lambda event: None):
    """Drive it to the end; return the names of the events."""
    names = []
    for events in turns(session):
        for event in events:
            if event.name not in ('poll', 'pong'):
                names.append(event.name)
            on_event(event)
    return names


@pytest.mark.parametrize('way', sorted(WAYS))
def test_the_steps(server, way):
    websocket = WebSocket(server.url, proxies={})
    session = WAYS[way](websocket, poll=0.02, ping_rate=None)
    assert websocket.session is session and isinstance(session, WebsocketSession)
    assert (session.waits(), session.is_over) == ((), False)
    assert session.next_deadline() < session.monotonic()
    seen, polls, over = [()], [], []

    def on_event(event):
        over.append(session.is_over)
        if event.name == 'ready':
            websocket.send_text('hello')
        elif event.name == 'poll':
            polls.append(event)
            if len(polls) == 2:
                websocket.close()

    names = []
    for events in turns(session):
        names += [event.name for event in events if on_event(event) is None and event.name != 'poll']
        waits = session.waits()
        assert waits is session.waits()
        assert waits is seen[-1] or waits != seen[-1]
        seen.append(waits)
    assert names == ['connecting', 'connected', 'ready', 'text', 'closed', 'disconnected']
    assert all(len(waits) in (1, 2) and set(mask for _, mask in waits) <= set((READ, WRITE, READ | WRITE))
               for waits in seen[1:-1])
    assert over == [False] * (len(over) - 1) + [True] and len(polls) >= 2
    assert (session.waits(), session.next_deadline()) == ((), None)
    assert list(session.process((), session.monotonic())) == []


def test_nothing_happens_before_the_first_event(server):
    count = server.connection_count
    websocket = WebSocket(server.url, proxies={})
    events = websocket.open().process((), monotonic())
    assert (websocket.session.waits(), websocket.is_active, server.connection_count) == ((), True, count)
    assert next(events).name == 'connecting'
    events.close()


@pytest.mark.parametrize('begun', [0, 1])
def test_process_before_the_last_one_is_exhausted(server, begun):
    websocket = WebSocket(server.url, proxies={})
    session = websocket.open()
    events = session.process((), session.monotonic())
    for _ in range(begun):
        next(events)
    with pytest.raises(WebSocketError, match='was called before the iterator'):
        session.process((), session.monotonic())
    list(events)                            # nothing has happened to it

    def on_event(event):
        if event.name == 'ready':
            websocket.close()
    assert drive(session, on_event)[-2:] == ['closed', 'disconnected']


@pytest.mark.parametrize('how', ['break', 'raise', 'end', 'with'])
def test_leaving_the_iterator_leaves_the_connection(how):
    codes = []

    def handler(connection):
        codes.extend(event.code for event in connection if event.name == 'closing')
    with Server(handler) as server:
        websocket = WebSocket(server.url, proxies={})
        session = websocket.open()

        def on_event(event):
            if event.name == 'ready':
                raise KeyboardInterrupt
        if how == 'raise':
            with pytest.raises(KeyboardInterrupt):
                drive(session, on_event)
        else:
            names = []
            for events in turns(session):
                for event in events:
                    names.append(event.name)
                    if how == 'break' and event.name == 'ready':
                        break
                del events                  # the last reference
                if how == 'end' and 'ready' in names:
                    session.end()
                elif how == 'with' and 'ready' in names:
                    with websocket:
                        pass
        assert session.is_over and websocket.state.closed
        assert (session.waits(), session.next_deadline()) == ((), None)
        assert list(session.process((), monotonic())) == []
    assert codes == [1001]


def test_open_while_a_connection_runs(server):
    websocket = WebSocket(server.url, proxies={})
    events = iter(websocket)
    while next(events).name != 'ready':
        pass
    session, key = websocket.session, websocket.key
    other = websocket.open(poll=1)
    assert (websocket.session, websocket.key) == (session, key)
    assert (other.waits(), other.is_over) == ((), False) and other.next_deadline() < other.monotonic()
    for _ in range(2):
        with pytest.raises(WebSocketError, match='a connection of this WebSocket is already running'):
            other.process((), monotonic())
    other.close()
    websocket.send_text('it goes on')
    assert next(event.text for event in events if event.name == 'text') == 'it goes on'
    websocket.close()
    assert [event.name for event in events][-1] == 'disconnected'
    with pytest.raises(WebSocketError, match='a connection of this WebSocket is already running'):
        other.process((), monotonic())


def test_open_starts_afresh(server):
    websocket = WebSocket(server.url, proxies={})
    first, key = websocket.open(), websocket.key
    second = websocket.open()
    assert websocket.key != key and websocket.session is second
    with pytest.raises(WebSocketError, match='superseded by a later'):
        first.process((), monotonic())
    for make in (lambda: second, websocket.open):
        names = drive(make(), lambda event: event.name == 'ready' and websocket.close())
        assert names == ['connecting', 'connected', 'ready', 'closed', 'disconnected']


class NoSteps(object):
    def __init__(self, websocket):
        pass

    def run(self, **settings):
        return iter(())


class NoEnd(NoSteps):
    start = waits = next_deadline = process = NoSteps.run


@pytest.mark.parametrize('settings, kind, text', [
    (dict(session_class=NoSteps), TypeError, 'NoSteps'),
    (dict(session_class=lambda websocket: NoSteps(websocket)), TypeError, 'has no start'),
    (dict(session_class=NoEnd), TypeError, 'has no is_over'),
    (dict(poll=0), ValueError, 'poll is 0'),
    (dict(ping_timeout='1'), TypeError, 'ping_timeout'),
    (dict(send_timeout=-1), ValueError, 'send_timeout'),
    (dict(max_wait=1), TypeError, 'max_wait'),
])
def test_bad_arguments(settings, kind, text):
    with pytest.raises(kind, match=text):
        WebSocket('ws://open.test/').open(**settings)


def test_an_open_of_a_subclass():
    class Door(WebSocket):
        def open(self):
            raise AssertionError('called by the library')

    with Server(close_with(1000)) as server:
        door = Door(server.url, proxies={})
        with door:
            names = [event.name for event in door]
        for event in persist(door):
            names.append(event.name)
            if event.name == 'disconnected':
                break
    assert names.count('disconnected') == 2


def test_a_shared_wake_up(server):
    class Shared(Waiting):
        wake_waits = ()

        def wake(self):
            wake_up.set()

    class Session(WebsocketSession):
        waiting = Shared

    websocket = WebSocket('ws://127.0.0.1:{}/'.format(server.port), proxies={})
    session = websocket.open(Session)
    sizes, names, wake_up = set(), [], WakeUp()
    for events in turns(session, ((wake_up.fileno(), READ),)):
        wake_up.clear()
        for event in events:
            names.append(event.name)
            if event.name == 'ready':
                websocket.close()
        sizes.add(len(session.waits()))
    assert (sizes, names[-1]) == (set((1, 0)), 'disconnected'), event
