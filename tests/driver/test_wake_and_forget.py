"""When a wake-up costs a system call, that none is lost, and that each descriptor is forgotten
before it is closed.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import signal
import socket
import threading

import pytest
from support.addresses import Names, dead_address, free_port
from support.digest import Digest
from support.peer import lenient_server
from support.proxy import Proxy

from lomond import WebSocket
from lomond._compat import monotonic, native
from lomond.network.poller import Waiting, wait_for
from lomond.opcode import Opcode
from lomond.server.accepted import Acceptance, AcceptedSession
from lomond.session import WebsocketSession
from lomond.testing import Server, close_with, echo, redirect, stall_reads

pytestmark = pytest.mark.ends

#: Seconds after which a test has hung.
LIMIT = 20.0


def drive(session, registered=None):
    """Drive a session by its steps, with a loop that registers what it waits for; its events."""
    end = monotonic() + LIMIT
    while not session.is_over:
        waits = session.waits()
        if registered is not None:
            registered.update(waits)
        deadline = session.next_deadline()
        ready = wait_for(waits, 1 if deadline is None else max(deadline - session.monotonic(), 0))
        for event in session.process(ready, session.monotonic()):
            yield event
        assert monotonic() < end, 'it hangs'


#: By the blocking loop, and by the steps.
both_loops = pytest.mark.parametrize('begin', [WebSocket.connect, lambda websocket, **settings: drive(
    websocket.open(**settings))], ids=['blocking', 'steps'])


# -- wake-ups

@pytest.fixture
def on_alarm():
    """A function that sets what SIGALRM does."""
    if not hasattr(signal, 'setitimer'):
        pytest.skip('no timers')
    before = signal.getsignal(signal.SIGALRM)
    yield lambda handler: signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def writes(monkeypatch):
    """What os.write was called with."""
    found, real = [], os.write
    monkeypatch.setattr(os, 'write', lambda fd, data: found.append(data) or real(fd, data))
    return found


@both_loops
def test_a_handler_that_queues_writes_no_wake_up(writes, begin):
    with Server(echo) as server:
        websocket = WebSocket('ws://127.0.0.1:{}/'.format(server.port), proxies={})
        texts, counts = [], []
        for event in begin(websocket, ping_timeout=5):
            if event.name == 'ready':
                counts.append(len(writes))
                for number in range(10):
                    websocket.session.queue_message(Opcode.TEXT, b'%d' % number)
                websocket.send_ping(b'x')
            elif event.name == 'text':
                texts.append(event.text)
                if len(texts) == 10:
                    websocket.close()
        counts.append(len(writes))
    assert counts[0] == counts[1] and texts == [str(number) for number in range(10)]


@both_loops
@pytest.mark.parametrize('begun, ended', [
    ('ready', 'closed'), ('connecting', 'connect_fail')])       # of the latter, only the wake-up tells
def test_close_in_a_signal_handler_while_the_loop_sleeps(begin, on_alarm, begun, ended):
    with Server(echo) as server, dead_address() as (_, port):
        port = server.port if begun == 'ready' else port
        websocket = WebSocket('ws://127.0.0.1:{}/'.format(port), proxies={})
        times = {}

        def handler(number, frame):
            times['signal'] = monotonic()
            websocket.close()
        on_alarm(handler)
        for event in begin(websocket, poll=LIMIT, ping_rate=None):
            times[event.name] = monotonic()
            if event.name == begun:
                signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert times[ended] - times['signal'] < 0.5


def test_a_signal_handler_that_waits_takes_no_wake_up(on_alarm):
    """The wait that it has interrupted ends, too."""
    with Server(stall_reads) as server:
        websocket = WebSocket(server.url, proxies={})
        waiting = []

        def handler(number, frame):
            session = websocket.session
            driver = session._driver
            threading.Timer(0.05, websocket.close).start()
            waiting.append(driver.wait_in_send(0, monotonic() + 0.2))   # as a blocked send does
        on_alarm(handler)
        start = monotonic()
        for event in websocket.connect(poll=LIMIT, ping_rate=None, close_timeout=0.3):
            if event.name == 'ready':
                signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert waiting == [False] and event.name == 'disconnected' and monotonic() - start < 5


@pytest.mark.parametrize('own_loop', [False, True])
def test_no_wake_up_is_lost(own_loop):
    """Each of two threads wakes as soon as the last wake-up has come through."""
    waiting = Waiting()
    asked, done, total, late = [0, 0], [0, 0], 500, []

    def ask(which):
        for number in range(total):
            asked[which] += 1
            waiting.wake()
            end = monotonic() + 5
            while done[which] <= number and not late:
                if monotonic() > end:
                    late.append(number)

    waits = waiting.wake_waits
    threads = [threading.Thread(target=ask, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    while min(done) < total and not late:
        if own_loop:
            waiting.is_asleep = True        # as at the end of process()
            ready = wait_for(waits, 0 if waiting.is_woken else 6)
            waiting.is_asleep = waiting.is_woken = False
        else:
            ready = waiting.wait(waits, monotonic() + 6)
        if ready:
            waiting.clear()
        done[:] = asked
    for thread in threads:
        thread.join()
    assert not late and done == [total, total]


def test_a_waiting_that_wraps_another_one():
    class Wrapper(object):
        def __init__(self):
            self._waiting = Waiting()

        def __getattr__(self, name):
            return getattr(self._waiting, name)

    class Session(WebsocketSession):
        waiting = Wrapper

    with dead_address() as (_, port):
        websocket = WebSocket('ws://127.0.0.1:{}/'.format(port), proxies={})
        threading.Timer(0.1, websocket.close).start()
        start = monotonic()
        assert [event.name for event in drive(websocket.open(Session))] == ['connecting', 'connect_fail']
        assert monotonic() - start < 5


def test_no_pipe_before_it_is_needed():
    waiting = Waiting()
    waiting.wake()
    waiting.clear()
    waiting.close()
    assert waiting.wake_waits == ()


# -- descriptors

class Recorder(object):
    """A loop that registers descriptors, and the Waiting that tells it about them."""

    def __init__(self, **names):
        recorder = self
        self.registered, self.forgotten = {}, []

        class Recording(Waiting):
            def forget(self, fd):
                recorder.unregister(fd)
                recorder.forgotten.append(fd)

        self.session_class = type(native('Session'), (WebsocketSession,), dict(names, waiting=Recording))

    def update(self, waits):
        """Register what is new, and unregister what is not waited for any longer."""
        if waits is self.waits:
            return
        for fd in set(self.registered) - set(fd for fd, _ in waits):
            self.unregister(fd)
        for fd, _ in waits:
            self.registered.setdefault(fd, os.fstat(fd).st_ino)
        self.check()
        self.waits = waits
        if len(self.registered) == 2:
            self.on_connecting()

    waits = None
    on_connecting = staticmethod(lambda: None)

    def check(self):
        """Nothing that is registered has been closed, or is another one of that number."""
        for fd, inode in self.registered.items():
            assert os.fstat(fd).st_ino == inode

    def unregister(self, fd):
        self.check()
        del self.registered[fd]


    def drive(self, websocket, on_event=lambda event: None, **settings):
        """Drive a connection; return the names of its events."""
        names = []
        for event in drive(websocket.open(self.session_class, **settings), self):
            self.check()
            names.append(event.name)
            on_event(event)
        assert not self.registered
        return names


def test_forget_a_refused_address(monkeypatch):
    recorder = Recorder()
    with Server(close_with(1000)) as server:
        monkeypatch.setattr(socket, 'getaddrinfo', Names({'first.test': [
            ('127.0.0.1', free_port()), ('127.0.0.1', server.port)]}))
        websocket = WebSocket('ws://first.test:{}/'.format(server.port), proxies={})
        assert recorder.drive(websocket)[-1] == 'disconnected'
    wake_up, sock = recorder.forgotten[-1], recorder.forgotten[0]
    assert recorder.forgotten[:2] == [sock, sock] and wake_up != sock       # the number comes back


def test_forget_at_a_redirect():
    recorder = Recorder()
    with Server(close_with(1000)) as target, Server(redirect(target.url)) as server:
        names = recorder.drive(WebSocket(server.url, proxies={}, max_redirects=1))
    assert names.count('connected') == 2 and len(recorder.forgotten) == 3


def test_forget_before_a_second_connect_to_a_proxy():
    recorder = Recorder()
    with Server(close_with(1000)) as server:
        proxy = Proxy('http', server.port, auth=Digest(), refusal=[(b'Connection', b'close')])
        with lenient_server(proxy) as front:
            websocket = WebSocket('ws://target.test/', proxies={
                'ws': 'http://me:s3cret@127.0.0.1:{}'.format(front.port)})
            assert recorder.drive(websocket)[-1] == 'disconnected'
    assert len(proxy.heads) == 2 and len(recorder.forgotten) == 3


@pytest.mark.parametrize('end', ['end', 'force_disconnect', 'thread', 'leave'])
def test_forget_at_the_end(end):
    recorder = Recorder()
    with Server(echo) as server:
        websocket = WebSocket(server.url, proxies={})

        def on_event(event):
            if event.name == 'ready':
                if end == 'end':
                    websocket.close()
                elif end == 'leave':
                    raise ZeroDivisionError
                elif end == 'thread':
                    threading.Timer(0.05, websocket.force_disconnect).start()
                else:
                    websocket.force_disconnect()
        try:
            recorder.drive(websocket, on_event)
        except ZeroDivisionError:
            pass
    assert len(recorder.forgotten) == 2 and not recorder.registered


@pytest.mark.parametrize('wrap', [False, True])
def test_forget_a_failed_attempt(certs, wrap):
    """It is given up; and a TLS socket that somebody else makes."""
    def _wrap_socket(self, sock, host):
        assert recorder.forgotten == [sock.fileno()]
        sock.close()
        raise ValueError('no')

    recorder = Recorder(**(dict(_wrap_socket=_wrap_socket) if wrap else {}))
    with dead_address() as (_, port), Server(echo) as server:
        url = 'wss://127.0.0.1:{}/'.format(server.port if wrap else port)
        websocket = WebSocket(url, proxies={})
        if not wrap:
            recorder.on_connecting = websocket.close
        names = recorder.drive(websocket)
    assert names == ['connecting', 'connect_fail'] and len(recorder.forgotten) == 2


def test_forget_what_a_server_accepts():
    recorder = Recorder()
    accepted, client = socket.socketpair()
    if type(accepted) is not socket.socket:         # 2.7
        accepted = socket.socket(_sock=accepted)
    session = AcceptedSession(Acceptance(), accepted)
    session.waiting = recorder.session_class.waiting
    client.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    client.shutdown(socket.SHUT_WR)
    assert [event.name for event in drive(session, recorder)] == ['rejected', 'disconnected']
    assert len(recorder.forgotten) == 2 and not recorder.registered
    client.close()
