"""A Group on real sockets: a crowd, each poller, slow and silent servers, signals, forks."""

from __future__ import absolute_import, division, unicode_literals

import gc
import os
import select
import signal
import socket
import struct
import threading

import pytest
from support.certificates import server_context
from support.frames import TEXT, close_payload, frame, read_frames
from support.network import open_descriptors
from support.peer import Server, upgrade

from lomond import WebSocket, errors
from lomond._compat import monotonic
from lomond.driver import lifecycle
from lomond.group import Group

pytestmark = pytest.mark.ends

posix = pytest.mark.skipif(not hasattr(os, 'fork'), reason='Windows has neither fork nor these signals')
#: Descriptors that a crowd may take, both ends included.
MOST = 2600
UNFINISHED = b'HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\npart'


class Crowd(object):
    """Accepts any number of clients in one thread, and then leaves them alone."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(1024)
        self.url = 'ws://127.0.0.1:{}/'.format(self.listener.getsockname()[1])
        self.socks = []
        self.thread = threading.Thread(target=self._run)
        self.thread.daemon = True
        self.thread.start()

    def _run(self):
        while True:
            sock, _ = self.listener.accept()
            head = b''
            while b'\r\n\r\n' not in head:
                data = sock.recv(4096)
                head += data
                if not data:
                    sock.close()
                    return
            key = head.lower().index(b'sec-websocket-key: ') + 19
            sock.sendall(upgrade(head[key:key + 24]))
            self.socks.append(sock)

    def reset(self, count):
        socks, self.socks = self.socks[:count], self.socks[count:]
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
            sock.close()

    def stop(self):
        try:
            socket.create_connection(self.listener.getsockname()).close()
            self.thread.join(5)
        finally:
            for sock in self.socks + [self.listener]:
                sock.close()


@pytest.fixture
def crowd():
    made = Crowd()
    yield made
    made.stop()


@pytest.fixture
def room():
    """How many clients there may be here: 1,000, or what the limit of descriptors allows."""
    resource = pytest.importorskip('resource')
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield min((most - 500) // 2, 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def client(url, **options):
    return WebSocket(url, proxies={}, **options)


def test_a_crowd(crowd, room):
    """1,000 clients; half of them are reset and come back; then the loop is left.

    A client costs one descriptor, the group at most four; the others notice nothing.
    """
    before = open_descriptors()
    group = Group(poll=0.05, ping_rate=None)
    for _ in range(room):
        group.persist(client(crowd.url), min_wait=0, max_wait=0.2)
    ready = lost = late = 0
    last = None
    for _, event in group:
        now = monotonic()
        if event.name == 'poll':
            late = max(late, 0 if last is None else now - last - 0.05)
            last = now
        ready += event.name == 'ready'
        lost += event.name == 'disconnected'
        if event.name == 'ready' and ready == room:
            while len(crowd.socks) < room:
                pass
            assert open_descriptors() - before <= 2 * room + 4
            crowd.reset(room // 2)
        if ready == room + room // 2:
            begin = monotonic()
            break
    assert lost == room // 2 and late < 1 and len(group) == 0
    del event
    assert monotonic() - begin < 0.6 * 3        # 0.6 s where nothing else runs
    while len(crowd.socks) < room:
        pass
    goodbye = close_payload(1001)
    for sock in crowd.socks:
        sock.settimeout(5)
        data = b''
        while True:
            more = sock.recv(4096)
            if not more:
                break
            data += more
        assert [payload for _, _, opcode, _, payload in read_frames(data)] == [goodbye]
    assert open_descriptors() - before <= room + 1     # the other ends


def test_rounds_leave_nothing(crowd):
    """1,000 rounds of add and remove: no descriptor, member or heap entry stays."""
    group, counts = Group(poll=30, max_connecting=None), []
    for _ in range(50):
        group.add(client(crowd.url))
    for websocket, event in group:
        if event.name == 'connecting':
            group.remove(websocket)
        elif event.name == 'connect_fail':
            loop = group._loop
            counts.append((open_descriptors(), len(group), len(loop._timers.heap), len(loop._owners)))
            if len(counts) == 1000:
                break
            group.add(websocket)
    assert all(after <= max(before, 51) for before, after in zip(counts[0], counts[-1])), counts[-1]


@pytest.mark.parametrize('kind', ['epoll', 'poll', 'select'])
def test_each_poller(monkeypatch, kind):
    """Chosen when the loop begins: what was removed (by gevent) is not used."""
    kinds = ['epoll', 'kqueue', 'poll']
    for name in kinds[:kinds.index(kind)] if kind in kinds else kinds:
        monkeypatch.delattr(select, name, raising=False)
    if kind != 'select' and not hasattr(select, kind):
        pytest.skip('this system has none')
    with Server(lambda peer: (peer.accept(), peer.echo())) as server:
        group = Group([client(server.url('ws'))])
        texts = []
        for websocket, event in group:
            if event.name == 'ready':
                assert type(group._loop._poller).__name__.lower().startswith(kind)
                websocket.send_text('0')
            elif event.name == 'text':
                texts.append(event.text)
                if len(texts) == 100:
                    websocket.close()
                else:
                    websocket.send_text('{}'.format(len(texts)))
    assert texts == [str(number) for number in range(100)]


def test_slow_and_silent_ones(certs):
    """A server that sends all the time, one that reads nothing, and one that talks."""
    flood = frame(TEXT, b'x' * 1000) * 60

    def talks(peer):
        peer.accept()
        for number in range(50):
            peer.send(frame(TEXT, str(number).encode('ascii')))
        peer.end()

    def floods(peer):
        peer.accept()
        peer.flood(flood)

    def stalls(peer):
        peer.accept()
        peer.wait_gone()
    with Server(talks) as one, Server(floods) as two, Server(stalls) as three:
        quiet, loud, still = (client(each.url('ws')) for each in (one, two, three))
        group = Group([quiet, loud, still], poll=0.05)
        seen, longest, last = [], 0, monotonic()
        for websocket, event in group:
            now = monotonic()
            if event.name == 'poll':
                longest, last = max(longest, now - last), now
            elif event.name == 'text' and websocket is quiet:
                seen.append(event.text)
            elif event.name == 'ready' and websocket is still:
                last = now
                websocket.send_binary(b'x' * 3000000)       # it does not wait
                assert monotonic() - now < 1
            if websocket is quiet and event.name == 'disconnected':
                break
    assert seen == [str(number) for number in range(50)] and longest < 1


def test_tls_with_several_records_at_once(certs):
    """What is buffered in the TLS object is handed out without a further packet."""
    def script(peer):
        peer.accept()
        peer.send(b''.join(frame(TEXT, b'x' * 5000) for _ in range(40)))
        peer.end()
    with Server(script, tls=server_context(certs.server)) as server:
        websocket = client(server.url('wss'), ssl_verify=False)
        names = [event.name for _, event in Group([websocket], poll=30)]
    assert names.count('text') == 40 and names[-1] == 'disconnected'


def test_rejected_body_that_does_not_end(monkeypatch):
    monkeypatch.setattr(lifecycle, 'BODY_WAIT', 0.1)
    with Server(lambda peer: (peer.read_head(), peer.send(UNFINISHED), peer.wait_gone())) as server:
        found = [event for _, event in Group([client(server.url('ws'))], poll=30)]
    assert [event.name for event in found[-2:]] == ['rejected', 'disconnected']
    assert found[-2].response.body == b'part'


@posix
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGALRM])
def test_signals(crowd, number):
    """Ctrl-C leaves the sleeping loop; close() in a handler closes it in good order."""
    group = Group([client(crowd.url)], poll=30, close_timeout=0.2)
    before = signal.signal(signal.SIGALRM, lambda *args: group.close())
    names = []
    try:
        for _, event in group:
            names.append(event.name)
            if event.name == 'ready':
                threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
        assert number == signal.SIGALRM and names[-1] == 'disconnected'
    except KeyboardInterrupt:
        assert number == signal.SIGINT
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(group) == 0


@posix
def test_fork(crowd):
    """The child can use nothing of it, and closes nothing; the parent goes on."""
    group = Group([client(crowd.url)], poll=0.02)
    iterator = iter(group)
    while next(iterator)[1].name != 'ready':
        pass
    while next(iterator)[1].name != 'poll':
        pass
    child = os.fork()
    if not child:
        status = 1
        try:
            for use in (lambda: next(iterator), lambda: len(group), group.close):
                try:
                    use()
                except errors.WebSocketError:
                    continue
                os._exit(2)
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    crowd.socks[0].sendall(frame(TEXT, b'still here'))
    assert [event.text for _, event in [next(iterator) for _ in range(20)] if event.name == 'text']
    iterator.close()
    assert read_frames(crowd.socks[0].recv(4096))[-1][-1] == close_payload(1001)
