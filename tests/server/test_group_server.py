"""Servers in a Group: one thread accepts, shakes hands, serves and drains."""

from __future__ import absolute_import, division, unicode_literals

import errno
import logging
import select
import socket
import threading

import pytest
from support.accepted import REQUEST
from support.certificates import server_context
from support.frames import CLOSE, KEY, TEXT, close_payload, frame
from support.network import nothing_stays_open as nothing_stays_open
from support.network import open_descriptors

from lomond import WebSocket, errors
from lomond._compat import monotonic
from lomond.group import Group
from lomond.server import Server, ServerWebSocket, listener
from lomond.wsgi import upgrade

pytestmark = [pytest.mark.ends, pytest.mark.usefixtures('nothing_stays_open')]

FIRST = ['connecting', 'connected', 'ready']


class Raw(object):
    """A client in the thread of the group: it never waits."""

    def __init__(self, server, data=b''):
        self.sock = socket.create_connection(server.addresses[0], 5)
        self.sock.sendall(data)
        self.sock.setblocking(False)
        self.received = b''
        self.has_ended = False

    def look(self):
        """Read what is there; return whether the server has ended the connection."""
        while not self.has_ended and select.select([self.sock], [], [], 0)[0]:
            data = self.sock.recv(65536)
            self.received += data
            self.has_ended = not data
        return self.has_ended

    def close(self):
        self.sock.close()


@pytest.fixture
def server():
    made = []

    def make(**options):
        made.append(Server(**options))
        return made[-1]
    yield make
    for each in made:
        each.stop(0)


@pytest.fixture
def raw():
    made = []

    def make(server, data=b''):
        made.append(Raw(server, data))
        return made[-1]
    yield make
    for each in made:
        each.close()


def client(server, **options):
    return WebSocket(server.url, proxies={}, **options)


def play(group, handle, seconds=5):
    """Iterate until handle(websocket, event) returns true, or the end; return all names."""
    names, end = {}, monotonic() + seconds
    for websocket, event in group:
        names.setdefault(websocket, []).append(event.name)
        if handle(websocket, event):
            break
        assert monotonic() < end, names
    return names


def accepted_of(names):
    return [events for websocket, events in names.items() if isinstance(websocket, ServerWebSocket)]


# -- joining

def test_joining(server):
    """What a group takes, and what the server is for from then on."""
    for options, name in (({'handler': lambda websocket: None}, 'handler'), ({'poll': 1}, 'poll')):
        with pytest.raises(ValueError, match=name):
            Group([server(**options)])
    mine = server()
    group = Group([mine])
    assert mine in group and len(group) == 0 and group.websockets == []
    for other in (group, Group()):
        with pytest.raises(errors.WebSocketError, match='in a group'):
            other.add(mine)
    for use in (mine.start, mine.__enter__, mine.serve_forever):
        with pytest.raises((errors.WebSocketError, ValueError)):
            use()
    with pytest.raises(TypeError, match='ping_rate'):
        group.add(server(), ping_rate=1)
    with pytest.raises(TypeError):
        group.persist(server())
    stopped = server()
    stopped.stop()
    with pytest.raises(errors.WebSocketError, match='stopped'):
        Group([stopped])
    group.remove(mine)                  # no loop runs: at once
    assert mine not in group and list(group) == []
    with pytest.raises(socket.error):
        socket.create_connection(mine.addresses[0], 1)
    assert mine.stop() is True


# -- accepting

@pytest.mark.parametrize('secure', [False, True])
def test_accepted(server, secure, certs):
    """The events of both ends; Accepted is first, and no Poll is between them."""
    options = {'ssl_context': server_context(certs.server)} if secure else {}
    mine = server(protocols=['chat'], **options)
    theirs = WebSocket(mine.url, proxies={}, protocols=['chat'], ssl_verify=False)
    group = Group([mine, theirs], poll=0.01)

    def handle(websocket, event):
        if event.name == 'accepted':
            assert event.request is websocket.request and event.request.path == '/'
            assert event.protocol == 'chat' and event.extensions == set()
            assert websocket.address[0] in ('127.0.0.1', '::1') and websocket.is_secure is secure
            assert websocket in group and len(group) == 2 and websocket in group.websockets
            for use in (lambda: next(websocket), websocket.receive, websocket.__enter__):
                with pytest.raises(errors.WebSocketError, match='group'):
                    use()
            websocket.send_text('hello')
        elif event.name == 'text':
            assert websocket is theirs and event.text == 'hello'
            theirs.close(4000, 'bye')
        elif event.name == 'closing':
            assert (event.code, event.reason) == (4000, 'bye')
        elif event.name == 'disconnected' and not len(group):
            group.close()
    names = play(group, handle)
    assert names[theirs] == FIRST + ['text', 'pong', 'closed', 'disconnected']
    assert accepted_of(names) == [['accepted', 'ping', 'closing', 'disconnected']] and len(group) == 0


def test_loop_goes_on_without_a_connection(server):
    """A server is a member; the first client comes later, and is accepted in this thread."""
    mine, threads = server(on_request=lambda request: threads.append(threading.current_thread())), []
    group = Group([mine], poll=0.02)
    polls = []

    def handle(websocket, event):
        if event.name == 'poll':
            polls.append(1)
            if len(polls) == 2:
                group.add(client(mine))
        if event.name == 'accepted':
            group.close()
    play(group, handle)
    assert threads == [threading.current_thread()] and mine not in group


@pytest.mark.parametrize('data, answer', [
    (b'\x16\x03\x01\n\n', b'HTTP/1.1 400'), (REQUEST.replace(b'GET', b'PUT'), b'HTTP/1.1 405'),
    (REQUEST[:-2] + b'Origin: http://evil.example\r\n\r\n', b'HTTP/1.1 403'), (REQUEST[:20], b'HTTP/1.1 408'),
    (b'', b''), (b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', b'HTTP/1.1 500')])
def test_refusal(server, raw, data, answer, caplog):
    """It shows no event, and is never a member."""
    def fail(request):
        if request.get('upgrade') is None:
            raise KeyError('of the program')
    mine = server(on_request=fail, open_timeout=0.1)
    group, theirs = Group([mine], poll=0.01), raw(mine, data)
    names = play(group, lambda websocket, event: theirs.look() or len(group))
    assert theirs.received.startswith(answer) and bool(answer) == bool(theirs.received)
    assert list(names) == [None] and len(group) == 0
    failed = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failed) == (answer.endswith(b'500')) and mine not in group


def test_who_leaves_before_accepted_shows_nothing(server, raw):
    mine = server()
    group, theirs = Group([mine], poll=0.02), raw(mine, REQUEST[:-2])
    theirs.close()
    count = []
    assert list(play(group, lambda *pair: count.append(1) or len(count) > 3)) == [None]


def test_full(server, raw):
    """max_connections counts opening handshakes; beyond it 503 at once."""
    mine = server(max_connections=1, open_timeout=5)
    first, second = raw(mine), None
    group, second = Group([mine], poll=0.01), raw(mine, REQUEST)
    play(group, lambda *pair: second.look())
    assert second.received.startswith(b'HTTP/1.1 503') and b'Retry-After: 5' in second.received
    assert first.look() and not first.received      # the loop was left


def test_slow_ones_delay_nobody(server, raw, certs):
    """Silent TLS, a slow head: 50 of each; others are served meanwhile."""
    plain, secure = server(), server(ssl_context=server_context(certs.server))
    for _ in range(20):
        raw(plain, REQUEST[:30])
        raw(secure)
    theirs = client(plain)
    group = Group([plain, secure, theirs])
    begin = monotonic()
    play(group, lambda websocket, event: event.name == 'accepted')
    assert monotonic() - begin < 1


def test_no_descriptor_is_left(server, monkeypatch):
    """A pause of 0.1 s for this socket, one WARNING; everything else goes on."""
    mine, warnings, failures = server(), [], []
    real = listener.Listener._accept
    limit = [monotonic() + 0.25]

    class Full(object):
        def __init__(self, sock):
            self.sock = sock

        def accept(self):
            if monotonic() < limit[0]:
                failures.append(1)
                raise OSError(errno.EMFILE, 'Too many open files')
            return self.sock.accept()
    monkeypatch.setattr(listener.Listener, '_accept', lambda self, index, sock, now: real(
        self, index, Full(sock), now))
    monkeypatch.setattr(listener.Shortage, 'note', lambda self, error: warnings.append(error))
    group, late = Group([mine, client(mine)], poll=0.02), []

    def handle(websocket, event):
        if event.name == 'poll':
            late.append(monotonic())
        return event.name == 'accepted'
    play(group, handle)
    assert 1 <= len(failures) <= 8 and len(late) > 5
    assert max(after - before for before, after in zip(late, late[1:])) < 0.5


def test_taking_over(raw):
    """A connection of a WSGI server, its first message included; it begins with Accepted."""
    ours, theirs = socket.socketpair()
    environ = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/chat', 'SERVER_PROTOCOL': 'HTTP/1.1', 'HTTP_HOST': 'x',
               'HTTP_UPGRADE': 'websocket', 'HTTP_CONNECTION': 'Upgrade', 'HTTP_SEC_WEBSOCKET_VERSION': '13',
               'HTTP_SEC_WEBSOCKET_KEY': 'AAAAAAAAAAAAAAAAAAAAAA==', 'lomond.socket': ours,
               'wsgi.url_scheme': 'http', 'REMOTE_ADDR': '127.0.0.1', 'REMOTE_PORT': '1'}
    theirs.sendall(frame(TEXT, b'first', key=KEY))
    websocket = upgrade(environ)
    group, texts, before = Group(poll=0.02), [], open_descriptors()
    with pytest.raises(TypeError, match='ping_rate'):
        group.add(websocket, ping_rate=1)
    group.add(websocket)
    with pytest.raises(errors.WebSocketError):
        Group([websocket])
    assert len(group) == 0

    def handle(member, event):
        if event.name == 'accepted':
            assert member is websocket and event.request.path == '/chat' and len(group) == 1
            for _ in range(30):
                websocket.send_binary(b'x' * 100000)        # nobody reads; it never waits
        elif event.name == 'text':
            texts.append(event.text)
        return event.name == 'disconnected'
    names = play(group, handle)
    assert names[websocket] == ['accepted', 'text', 'disconnected'] or names[websocket] == [
        'accepted', 'disconnected']         # it does not keep up
    assert open_descriptors() < before
    for sock in (ours, theirs):
        sock.close()


# -- sends

def test_client_that_has_gone_raises_nothing(server, raw):
    """A send to a broken wire does nothing; Disconnected follows."""
    mine = server()
    group, theirs = Group([mine], poll=0.01), raw(mine, REQUEST)
    members = []

    def handle(websocket, event):
        if event.name == 'accepted':
            members.append(websocket)
            theirs.close()
        elif members and event.name == 'poll':
            for _ in range(3):
                members[0].send_binary(b'x' * 100000)
        return event.name == 'disconnected'
    assert accepted_of(play(group, handle)) == [['accepted', 'disconnected']]


def test_client_that_does_not_keep_up_is_dropped(server, raw):
    """Beyond max_queued: no exception, Disconnected with the reason; mistakes still raise."""
    mine = server(max_queued=300000)
    group = Group([mine], poll=0.05)
    theirs = raw(mine, REQUEST)
    reasons = []

    def handle(websocket, event):
        if event.name == 'accepted':
            for _ in range(200):
                websocket.send_binary(b'x' * 100000)
            with pytest.raises(TypeError):
                websocket.send_text(b'x')
        elif event.name == 'disconnected':
            reasons.append(event.reason)
            with pytest.raises(errors.WebSocketClosed):
                websocket.send_text('x')
        return reasons
    play(group, handle)
    assert 'does not keep up' in reasons[0] and theirs.sock


# -- draining

@pytest.mark.parametrize('how', ['remove', 'stop', 'close'])
def test_draining(server, raw, how):
    """Listening ends, unfinished handshakes get 503, connections are closed with 1001."""
    mine = server()
    theirs, group = client(mine), Group(poll=0.02)
    unfinished = raw(mine, REQUEST[:-2])
    group.add(mine)
    group.add(theirs)
    codes = []

    def handle(websocket, event):
        if event.name == 'pong':
            assert mine in group
            if how == 'stop':
                assert mine.stop(code=1012, reason='again') is False
            else:
                group.remove(mine, 1012, 'again') if how == 'remove' else group.close(1012, 'again')
            assert mine not in group and len(group) == 2
        elif event.name == 'closing':
            codes.append((event.code, event.reason))
        elif event.name == 'poll' and codes:
            with pytest.raises(socket.error):
                socket.create_connection(mine.addresses[0], 1)
        if unfinished.look():
            unfinished.close()
    names = play(group, handle)
    if how != 'close':                  # there, the other end closes at the same time
        assert codes == [(1012, 'again')]
    assert [events[-1] for events in accepted_of(names) + [names[theirs]]] == ['disconnected'] * 2
    assert unfinished.has_ended and unfinished.received.startswith(b'HTTP/1.1 503')
    assert mine.stop() is True and group.websockets == []


def test_what_does_not_answer_is_dropped(server, raw):
    """Those left after the timeout, which may be shortened; nobody waits."""
    mine = server()
    group, theirs = Group([mine], poll=0.02), raw(mine, REQUEST)
    begin = monotonic()

    def handle(websocket, event):
        if event.name == 'accepted':
            assert mine.stop(timeout=5) is False and mine.stop(timeout=0.1) is False
        elif event.name == 'disconnected':
            assert not event.graceful
    assert accepted_of(play(group, handle)) == [['accepted', 'disconnected']]
    assert 0.1 <= monotonic() - begin < 2 and theirs.look()
    assert theirs.received.endswith(frame(CLOSE, close_payload(1001)))


def test_leaving(server, raw):
    """Everything is closed, at once; the group is empty."""
    mine = server()
    theirs = raw(mine, REQUEST)
    group = Group([mine])
    begin = monotonic()
    play(group, lambda websocket, event: event.name == 'accepted')
    assert monotonic() - begin < 1 and mine not in group and len(group) == 0 and mine.connections == []
    assert theirs.look() and theirs.received.endswith(frame(CLOSE, close_payload(1001)))
    with pytest.raises(socket.error):
        socket.create_connection(mine.addresses[0], 1)
    with pytest.raises(errors.WebSocketError):
        group.add(mine)


def test_remove_one_connection(server):
    """remove() and close() of a member; a message of the client is handed out before."""
    mine = server()
    theirs, group = client(mine), Group(poll=0.02)
    group.add(mine)
    group.add(theirs)

    def handle(websocket, event):
        if event.name == 'accepted':
            group.remove(websocket, 4001, 'out')
            assert websocket in group
        if event.name == 'closing':
            assert (event.code, event.reason) == (4001, 'out')
        return event.name == 'disconnected' and websocket is not theirs
    assert accepted_of(play(group, handle))[0][-2:] == ['closed', 'disconnected'] and KEY


def test_rounds_leave_nothing(server):
    """300 clients come, 50 at a time, and go: no descriptor, member or heap entry stays."""
    mine, gone = server(max_connections=60), [50]
    group = Group([mine], poll=30, ping_rate=None)
    counts = []

    def handle(websocket, event):
        gone[0] += event.name == 'disconnected' and not isinstance(websocket, ServerWebSocket)
        if event.name == 'ready':
            group.remove(websocket)
        if event.name in ('poll', 'disconnected') and gone[0] == 50 and len(mine.connections) < 9:
            gone[0] = 0
            for _ in range(50):
                group.add(client(mine))
            loop = group._loop
            counts.append((open_descriptors(), len(loop._timers.heap) // 20, len(loop._owners) // 20))
        return len(counts) > 6
    play(group, handle, 20)
    assert all(after <= before + 12 for before, after in zip(counts[0], counts[-1])), counts
