# -*- coding: utf-8 -*-
"""Names, addresses, time limits and the end of a dial, end to end on loopback."""

from __future__ import absolute_import, division, unicode_literals

import copy
import errno
import os
import socket
import threading
import time

import pytest
from six.moves import queue
from support.addresses import Names, dead_address, dead_unix_address, free_port
from support.certificates import server_context
from support.client import Wait, bare, in_thread
from support.interpreters import collect_what_is_not_counted
from support.network import (
    GOOD,
    LIMIT,
    SLACK,
    Run,
    fails,
    nothing_stays_open,  # noqa: F401 - a fixture
    run,
    succeeds,
)
from support.peer import PATIENCE, bye, hang_up, reply, silent
from support.peer import lenient_server as Server
from support.proxy import Proxy

from lomond import WebSocket
from lomond.network import happy_eyeballs
from lomond.network.poller import Waiting
from lomond.session import WebsocketSession


def can_bind(address):
    sock = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
    try:
        sock.bind((address, 0))
        return True
    except (OSError, socket.error):
        return False
    finally:
        sock.close()


needs_ipv6 = pytest.mark.skipif(not can_bind('::1'), reason='this machine has no IPv6')
# Only on Linux does all of 127.0.0.0/8 belong to this machine.
needs_127 = pytest.mark.skipif(not can_bind('127.0.0.5'), reason='127.0.0.5 is not this machine')


@pytest.fixture
def names(monkeypatch):
    """Return fake names, to be filled."""
    names = Names({})
    monkeypatch.setattr(socket, 'getaddrinfo', names)
    return names


def resolver_threads():
    return [thread for thread in threading.enumerate() if thread.name == 'lomond-resolver']


@pytest.fixture
def hanging(names):
    """Return the name hang.test, whose lookup never ends."""
    names.names['hang.test'] = event = threading.Event()
    yield names
    event.set()


# -- happy eyeballs

@pytest.mark.parametrize('dead', ['127.0.0.1', pytest.param('::1', marks=needs_ipv6)])
def test_dead_first_address(names, dead):
    """A dead first address costs about 0.3 s, not connect_timeout."""
    with Server(bye) as server, dead_address(dead) as where:
        names.names['name.test'] = [where[:2], ('127.0.0.1', server.port)]
        got = run('ws://name.test/', connect_timeout=None)
    succeeds(got)
    assert happy_eyeballs.ATTEMPT_DELAY <= got.elapsed < 1


def test_refused_first_address(names, monkeypatch):
    """A refusal starts the next attempt at once."""
    monkeypatch.setattr(happy_eyeballs, 'ATTEMPT_DELAY', 30)
    with Server(bye) as server:
        names.names['name.test'] = [('127.0.0.1', port) for port in (free_port(), free_port(), server.port)]
        got = run('ws://name.test/')
    succeeds(got)
    assert got.elapsed < SLACK


def test_all_are_refused(names):
    ports = [free_port() for _ in range(3)]
    names.names['name.test'] = [('127.0.0.1', port) for port in ports]
    got = run('ws://name.test/')
    fails(got, 'connect', 'unable to connect; ' + ', '.join(
        '127.0.0.1:{} connection refused'.format(port) for port in ports))
    assert got.last.error.args[0] == errno.ECONNREFUSED


@needs_ipv6
def test_families_take_turns(names):
    names.names['name.test'] = [('127.0.0.1', 1), ('127.0.0.1', 2), ('::1', 3), ('::1', 4)]
    fails(run('ws://name.test/'), 'connect', 'unable to connect; ' + ', '.join(
        text + ' connection refused' for text in
        ('127.0.0.1:1', r'\[::1\]:3', '127.0.0.1:2', r'\[::1\]:4')))


def test_time_limit_names_every_address(names):
    with dead_address() as where:
        port = free_port()
        names.names['name.test'] = [where, ('127.0.0.1', port)]
        got = run('ws://name.test/', connect_timeout=0.4)
    fails(got, 'connect', 'unable to connect; connect timed out after 0.4s: '
          '127.0.0.1:{} connection refused, 127.0.0.1:{} no answer'.format(port, where[1]), 0.4)


def test_late_refusal(names, monkeypatch):
    """All attempts are pending when the last one is refused."""
    monkeypatch.setattr(happy_eyeballs, 'ATTEMPT_DELAY', 0.01)
    port = free_port()
    with dead_address() as where:
        names.names['name.test'] = [where, where, ('127.0.0.1', port)]
        fails(run('ws://name.test/', connect_timeout=LIMIT), 'connect',
              '.*{} connection refused, .*{} no answer, .*no answer'.format(port, where[1]), LIMIT)


# -- names

def test_localhost():
    with Server(bye) as server:
        succeeds(run(server.url(host='localhost')))
        assert b'Host: localhost:' in server.heads[0]


def test_name_that_does_not_resolve(names):
    names.names['name.test'] = error = socket.gaierror(socket.EAI_NONAME, 'Name or service not known')
    got = run('ws://name.test/')
    fails(got, 'resolve', 'unable to connect; Name or service not known')
    assert got.last.error is error


def test_name_without_address(names):
    names.names['name.test'] = []
    fails(run('ws://name.test/'), 'resolve', 'unable to connect; the name has no address')


def test_international_name(names):
    with Server(bye) as server:
        names.names['xn--bcher-kva.test'] = ['127.0.0.1']
        succeeds(run('ws://b\xfccher.test:{}/'.format(server.port)))
        assert 'Host: xn--bcher-kva.test:{}\r\n'.format(server.port).encode('ascii') in server.heads[0]
    assert names.asked == ['xn--bcher-kva.test']


def test_resolver_that_hangs(hanging):
    fails(run('ws://hang.test/', LIMIT), 'resolve', 'unable to connect; resolve timed out after 0.25s', LIMIT)


def test_patched_resolver_that_hangs_on_addresses(monkeypatch):
    release = threading.Event()

    def hang(*args):
        release.wait()
        return []
    monkeypatch.setattr(socket, 'getaddrinfo', hang)
    got = run('ws://127.0.0.1:1/', connect_timeout=LIMIT)
    release.set()
    fails(got, 'resolve', 'unable to connect; resolve timed out after 0.25s', LIMIT)


def test_resolver_that_hangs_for_all(names):
    """After eight abandoned lookups connecting fails at once, until they are done."""
    event = threading.Event()
    for number in range(9):
        names.names['n{}.test'.format(number)] = event
    for number in range(8):
        fails(run('ws://n{}.test/'.format(number), connect_timeout=0.03), 'resolve', '.*timed out.*', 0.03)
    fails(run('ws://n8.test/'), 'resolve',
          'unable to connect; 8 name lookups are hanging; no further one is started')
    with Server(bye) as server:             # whoever asks for this machine waits behind nobody
        for host in ('127.0.0.1', 'localhost'):
            succeeds(run(server.url(host=host)))
    # The same name does not count as another lookup.
    fails(run('ws://n0.test/', connect_timeout=0.03), 'resolve', '.*timed out.*', 0.03)
    threads = resolver_threads()
    assert len(threads) == 8
    assert all(thread.daemon for thread in threads)
    event.set()
    for thread in threads:
        thread.join(5)
    names.names['name.test'] = ['127.0.0.1']
    with Server(bye) as server:
        succeeds(run(server.url(host='name.test')))


@pytest.mark.parametrize('takes', [0, 2 * LIMIT])
def test_no_thread_can_be_started(names, monkeypatch, takes):
    """The name is looked up in place; after that, connect_timeout applies again."""
    def refuse(thread, start=threading.Thread.start):
        if thread.name == 'lomond-resolver':        # the server's go on
            raise RuntimeError("can't start new thread")
        start(thread)

    def slow(*args):
        time.sleep(takes)
        return names(*args)
    monkeypatch.setattr(socket, 'getaddrinfo', slow)
    names.names['name.test'] = ['127.0.0.1']
    with Server(bye) as server:
        monkeypatch.setattr(threading.Thread, 'start', refuse)
        got = run(server.url(host='name.test'), connect_timeout=LIMIT)
    if takes:
        fails(got, 'resolve', 'unable to connect; resolve timed out after 0.25s', takes)
    else:
        succeeds(got)


def test_connections_share_a_look_up(names):
    """Two connections that need the same name at the same time look it up once."""
    event = threading.Event()
    real, answers = names.names, []

    class Slow(Names):
        def __call__(self, host, *args):
            self.asked.append(host)
            event.wait()
            return real['name.test']
    slow = socket.getaddrinfo = Slow({})
    with Server(bye) as server:
        real['name.test'] = names('127.0.0.1', server.port)
        threads = [threading.Thread(target=lambda: answers.append(run(server.url(host='name.test'))))
                   for _ in range(3)]
        for thread in threads:
            thread.start()
        while not resolver_threads():
            pass
        event.set()
        for thread in threads:
            thread.join()
    assert [got.names for got in answers] == [GOOD] * 3
    assert 1 <= len(slow.asked) <= 3


# -- addresses

@needs_ipv6
@pytest.mark.parametrize('host', ['[::1]', '[0:0:0:0:0:0:0:1]'])
def test_ipv6(host):
    with Server(bye, family=socket.AF_INET6) as server:
        succeeds(run(server.url(host=host)))
        assert '\r\nHost: {}:{}\r\n'.format(host, server.port).encode('ascii') in server.heads[0]


def test_zone_id_that_is_none():
    got = run('ws://[fe80::1%25nosuch]:1/')
    assert got.names == ['connecting', 'connect_fail']
    assert got.last.stage in ('resolve', 'connect')


@needs_127
@pytest.mark.parametrize('source, seen', [
    ('127.0.0.5', '127.0.0.5'), ('', '127.0.0.1'), ('source.test', '127.0.0.6')])
def test_source_address(names, source, seen):
    names.names['source.test'] = ['127.0.0.6']
    peers = []

    def script(peer):
        peers.append(peer.sock.getpeername())
        bye(peer)
    port = free_port()
    with Server(script) as server:
        succeeds(run(server.url(), source_address=(source, 0)))
        succeeds(run(server.url(), source_address=(source, port)))
    assert [peer[0] for peer in peers] == [seen] * 2
    assert peers[1][1] == port


def test_source_port_and_dead_first_address(names):
    """Both attempts, and the next connection, share a port, though we closed first."""
    port, peers = free_port(), queue.Queue()

    def script(peer):
        peers.put(peer.sock.getpeername()[1])
        peer.wait_gone()
    with Server(script) as server, dead_address() as where:
        names.names['name.test'] = [where[:2], ('127.0.0.1', server.port)]
        for _ in range(3):
            got = run('ws://name.test/', source_address=('127.0.0.1', port),
                      actions=dict(connected=WebSocket.force_disconnect))
            succeeds(got, ['connecting', 'connected', 'disconnected'])
            assert peers.get(timeout=PATIENCE) == port      # the server may be slower than the client


@pytest.mark.parametrize('source, stage, words', [
    ('192.0.2.1', 'connect', 'unable to connect; 127.0.0.1:1 source_address 192.0.2.1:0: '
                             'cannot assign requested address'),
    ('::1', 'connect', 'unable to connect; 127.0.0.1:1 source_address has no address of this family'),
    ('name.test', 'resolve', 'unable to connect; source_address; no such name')])
def test_unusable_source_address(names, source, stage, words):
    names.names['name.test'] = socket.gaierror(socket.EAI_NONAME, 'no such name')
    fails(run('ws://127.0.0.1:1/', source_address=(source, 0)), stage, words)


def test_socket_options():
    found = []

    def look(websocket):
        sock = websocket.session._sock
        for option in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_NODELAY)):
            found.append(bool(sock.getsockopt(*option)))
    with Server(bye) as server:
        succeeds(run(server.url(), actions=dict(connected=look)))
        succeeds(run(server.url(), actions=dict(connected=look), socket_options=[
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)]))
    assert found == [False, True, True, False]


@pytest.mark.parametrize('option, words', [
    ((socket.SOL_SOCKET, 9999, 1), '127.0.0.1:1 protocol not available'),
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 2 ** 80), '127.0.0.1:1 .*')])
def test_unusable_socket_option(option, words):
    fails(run('ws://127.0.0.1:1/', socket_options=[option]), 'connect', 'unable to connect; ' + words)


# -- Unix domain sockets

@pytest.mark.parametrize('name', ['socket', 'with blank', 's\xf6cket'])
@pytest.mark.parametrize('as_bytes', [False, True])
def test_unix_socket(tmpdir, name, as_bytes):
    path = os.path.join(str(tmpdir).encode('utf-8'), name.encode('utf-8'))
    with Server(bye, family=socket.AF_UNIX, address=path) as server:
        got = run('ws://some.test/x', uds=path if as_bytes else path.decode('utf-8'))
        succeeds(got)
        assert server.heads[0].startswith(b'GET /x HTTP/1.1\r\nHost: some.test\r\n')
    assert got['connected'].proxy is None


@pytest.mark.parametrize('path, words', [
    ('/no/such/socket', '/no/such/socket no such file or directory'),
    (b'/no/such/\xff', '/no/such/\ufffd no such file or directory'),
    ('/' + 'x' * 200, '/x+ AF_UNIX path too long')])
def test_unix_socket_that_is_not_there(path, words):
    fails(run('ws://some.test/', uds=path), 'connect', '(?i)unable to connect; ' + words)


def test_unix_socket_with_a_full_queue(tmpdir):
    """poll() does not report when there is room again: retry, without spinning."""
    path = str(tmpdir.join('s'))
    with dead_unix_address(path) as listener:
        before = os.times()[0]
        got = run('ws://some.test/', uds=path, connect_timeout=LIMIT)
        fails(got, 'connect', 'unable to connect; connect timed out after 0.25s.*', LIMIT)
        assert os.times()[0] - before < 0.3

        def accept():
            for _ in range(20):
                try:
                    accepted.append(listener.accept()[0])
                except (OSError, socket.error):
                    return
        accepted = []
        listener.settimeout(0.3)
        timer = threading.Timer(0.1, accept)
        timer.start()
        got = run('ws://some.test/', uds=path, connect_timeout=0.5)
        timer.join()
        for sock in accepted:
            sock.close()
        assert got.names[1] == 'connected'


def test_no_unix_sockets_here(monkeypatch):
    monkeypatch.delattr(socket, 'AF_UNIX')
    fails(run('ws://some.test/', uds='/x'), 'connect',
          'unable to connect; /x this system has no Unix domain sockets')


# -- what earlier attempts have met

@needs_127
@pytest.mark.parametrize('script, is_bad', [
    (hang_up, True), (lambda peer: (peer.read_head(), peer.reset()), True), (silent, True),
    (reply(b'SSH-2.0-x\r\n'), True),
    (lambda peer: (peer.read_head(), peer.send(b'HTTP/1.1 101')), True),
    (reply(b'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n'), False),
    (reply(b'HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n'), False),
    (reply(b'HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n'), False)])
@pytest.mark.parametrize('way', ['ws', 'wss', 'proxy'])
def test_address_of_no_use_goes_last(certs, names, script, is_bad, way):
    """If its connection ended before Ready, unless by a clear answer; a proxy's, too."""
    tls = server_context(certs.server) if way == 'wss' else None
    limit = LIMIT if script is silent else 4
    with Server(script, tls, address=(str('127.0.0.2'), 0)) as first, Server(bye, tls) as second, Server(
            Proxy('http', second.port)) as proxy:
        names.names['target.test'] = [
            ('127.0.0.2', first.port), ('127.0.0.1', (proxy if way == 'proxy' else second).port)]
        websocket = WebSocket(
            'wss://target.test/' if way == 'wss' else 'ws://target.test/', ssl_cafile=certs.ca,
            proxies={'all': 'http://target.test:80' if way == 'proxy' else None})
        before = Run(websocket, connect_timeout=limit)
        for _ in range(2):
            assert Run(websocket, connect_timeout=limit).names == (GOOD if is_bad else before.names)
        assert first.accepted == (1 if is_bad else 3)
        Run(copy.copy(websocket), connect_timeout=limit)        # a copy has met nothing yet
        assert first.accepted == (2 if is_bad else 4)
    if is_bad:
        assert before.last.reason.endswith(' (127.0.0.2:{})'.format(first.port))


def test_leaving_is_not_the_fault_of_the_address(names):
    """Nor is close()."""
    with Server(silent) as server:
        websocket = WebSocket(server.url(), proxies={})
        for action in (WebSocket.close, WebSocket.force_disconnect):
            Run(websocket, connected=action)
        for event in websocket:
            if event.name == 'connected':
                break
        assert websocket._running.experience is None


# -- time limits

def trickle(data):
    return lambda peer: (peer.read_head(), peer.trickle(data))


@pytest.mark.parametrize('script', [
    silent, trickle(b'HTTP/1.1 101 Switching Protocols\r\n'),
    trickle(b'HTTP/1.1 101 OK\r\nX: ' + b'x' * 100)])
def test_answer_that_never_ends(script):
    with Server(script) as server:
        got = run(server.url(), connect_timeout=LIMIT)
    succeeds(got, ['connecting', 'connected', 'disconnected'])
    assert bare(got.last.reason) == 'disconnected; upgrade timed out after 0.25s'
    assert got.last.graceful is False
    assert LIMIT <= got.elapsed < LIMIT + SLACK


#: Options for a request that is larger than all buffers.
LONG = {'headers': [('X-Long', 'x' * 4000000)],
        'socket_options': [(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)]}


def test_request_that_nobody_reads():
    """The request is larger than all buffers: the limit holds for sending, too."""
    with Server(lambda peer: peer.server.stopping.wait(5)) as server:
        got = run(server.url(), connect_timeout=1, **LONG)
    fails(got, 'upgrade', 'request failed; upgrade timed out after 1s', 1)


def test_request_to_one_who_hangs_up():
    """The server resets the connection before all of the request was written."""
    with Server(lambda peer: peer.read(1)) as server:
        got = run(server.url(), **LONG)
    fails(got, 'upgrade', 'request failed; (Connection reset by peer|Broken pipe|connection lost)')


@pytest.mark.parametrize('broken', [lambda websocket: b'GET / HTTP/1.1\r\n' * None, lambda websocket: 1 // 0])
def test_request_that_cannot_be_made(broken):
    class Broken(WebSocket):
        build_request = broken
    with Server(silent) as server:
        fails(Run(Broken(server.url(), proxies={})), 'upgrade', 'request failed; .*')


# -- the address in reasons

class OwnSocket(WebsocketSession):
    def _connect(self):
        super(OwnSocket, self)._connect()[0].close()
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours, None


def test_reasons_before_ready_name_where_it_went(names, tmpdir):
    """A proxy or a Unix domain socket, too; not what the caller has connected."""
    path = str(tmpdir.join('s'))
    with Server(hang_up) as server, Server(hang_up, family=socket.AF_UNIX, address=path):
        where = '127.0.0.1:{}'.format(server.port)
        names.names['some.test'] = ['127.0.0.1']
        for url, options, shown in (
                (server.url(), {}, where), (server.url(host='some.test'), {}, where),
                ('ws://some.test/', {'proxies': {'all': server.url('socks5')}}, where),
                ('ws://some.test/', {'proxies': {'all': server.url('http')}}, where),
                ('ws://some.test/', {'uds': path}, path),
                (server.url(), {'session_class': OwnSocket}, None)):
            reason = run(url, **options).last.reason
            assert reason.endswith(')') is (shown is not None), reason
            assert reason.count('({})'.format(shown)) == (shown is not None), reason


def test_no_address_is_named_twice(names):
    """Those that were tried are named once, and those of an earlier request never."""
    with dead_address() as where:
        names.names['some.test'] = [('127.0.0.2', free_port()), where[:2]]
        both = ['{}:{}'.format(*address[:2]) for address in names.names['some.test']]
        reason = run('ws://some.test/', LIMIT).last.reason
        assert [reason.count(address) for address in both] == [1, 1]
        reason = ended('ws://some.test/', close).last.reason
        assert reason == 'unable to connect; closed ({})'.format(', '.join(both))
    redirect = b'HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n'
    with Server(reply(redirect)) as server:
        got = run(server.url(), max_redirects=1, actions=dict(redirected=close))
        assert got.last.reason == 'unable to connect; closed'


# -- ended by the user, in every stage

def close(websocket):
    websocket.close()


def force_disconnect(websocket):
    websocket.force_disconnect()


both = pytest.mark.parametrize('end', [close, force_disconnect])


def ended(url, end, proxies=(), waits_for=2, **options):
    """Connect, and end the connection from another thread when nothing happens any longer.

    :param waits_for: wait for this number of descriptors; one is the wake-up
    """
    idle = Wait()

    class Idle(Waiting):
        def wait(self, waits, deadline):
            ready = ()
            if len(waits) == waits_for:
                ready = super(Idle, self).wait(waits, self.monotonic() + 0.05)
                if not ready:
                    idle.set()
            return ready or super(Idle, self).wait(waits, deadline)

    class Session(WebsocketSession):
        waiting = Idle

    def end_it():
        idle.wait()
        end(websocket)
    websocket = WebSocket(url, proxies=dict(proxies), **options)
    thread = in_thread(end_it)
    got = Run(websocket, connect_timeout=30, session_class=Session)
    thread.join()
    assert thread.error is None
    return got


@both
def test_ended_at_connecting(end):
    with Server(silent) as server:
        got = run(server.url(), actions=dict(connecting=end))
        assert server.accepted == 0
    fails(got, 'connect', 'unable to connect; closed')


@both
def test_ended_while_resolving(hanging, end):
    fails(ended('ws://hang.test/', end, waits_for=1), 'resolve', 'unable to connect; closed')


@both
def test_ended_while_connecting(names, end):
    with dead_address() as where:
        fails(ended('ws://127.0.0.1:{}/'.format(where[1]), end), 'connect', 'unable to connect; closed')


@both
@pytest.mark.parametrize('kind', ['http', 'socks5', 'https'])
def test_ended_at_the_proxy(end, kind):
    with Server(silent) as server:
        got = ended('ws://127.0.0.1/', end, proxies={'http': server.url(kind)}, ssl_verify=False)
    fails(got, 'proxy', '(proxy fail|unable to connect to proxy); closed')


@both
def test_ended_in_tls(end):
    with Server(silent) as server:
        fails(ended(server.url('wss'), end, ssl_verify=False), 'tls', 'unable to connect; closed')


@both
def test_ended_while_the_request_is_sent(end):
    def script(peer):
        peer.read(1)
        end(websocket)
        peer.server.stopping.wait(5)
    with Server(script) as server:
        websocket = WebSocket(server.url(), proxies={}, **LONG)
        fails(Run(websocket), 'upgrade', 'request failed; closed')


@pytest.mark.parametrize('end, reason', [
    (close, 'closed'), (force_disconnect, 'disconnected; force_disconnect')])
def test_ended_before_the_answer(end, reason):
    with Server(silent) as server:
        got = ended(server.url(), end)
    succeeds(got, ['connecting', 'connected', 'disconnected'])
    assert (bare(got.last.reason), got.last.graceful) == (reason, False)
    assert got.elapsed < SLACK


@both
def test_ended_in_the_handler_of_connected(end):
    with Server(silent) as server:
        succeeds(run(server.url(), actions=dict(connected=end)), ['connecting', 'connected', 'disconnected'])


def test_left_while_dialing():
    """A loop that is left at Connecting, or an iterator closed while it waits."""
    with dead_address() as where:
        websocket = WebSocket('ws://127.0.0.1:{}/'.format(where[1]), proxies={})
        for _event in websocket:
            break
        del _event
        collect_what_is_not_counted()
        iterator = websocket.connect(connect_timeout=30)
        next(iterator)
        iterator.close()
        assert not websocket.is_active


# -- override points: _connect and _wrap_socket

def connecting(connect):
    """Return a session class with that _connect."""
    return type(str('Session'), (WebsocketSession,), {str('_connect'): connect})


class Rest(object):
    """What a _connect must return at least: these four methods."""

    def __init__(self, sock):
        self._inner = sock
        sock.setblocking(False)
        self.fileno, self.recv, self.send, self.close = sock.fileno, sock.recv, sock.send, sock.close


@pytest.mark.parametrize('dress', [lambda sock: sock, Rest])
def test_connect_overridden(dress):
    ours, theirs = socket.socketpair()

    def serve():
        from support.peer import Gone, Peer
        try:
            bye(Peer(theirs))
        except Gone:
            pass
        theirs.close()
    thread = threading.Thread(target=serve)
    thread.start()
    got = run('ws://nowhere.test/', session_class=connecting(lambda session: (dress(ours), 'pipe://')))
    thread.join()
    succeeds(got)
    assert got['connected'].proxy == 'pipe://'


@pytest.mark.parametrize('error, words', [
    (ValueError('not today'), 'not today'), (socket.error(errno.EPERM, 'No'), 'No'),
    (Exception(), 'Exception'), (socket.timeout('timed out'), 'timed out')])
def test_connect_overridden_raises(error, words):
    def connect(session):
        raise error
    got = run('ws://nowhere.test/', session_class=connecting(connect))
    fails(got, 'connect', words)
    assert got.last.error is error


@pytest.mark.parametrize('result', [None, 5, (5,), (None, None)])
def test_connect_overridden_returns_nonsense(result):
    got = run('ws://nowhere.test/', session_class=connecting(lambda session: result))
    assert got.names == ['connecting', 'connect_fail'] and got.last.reason


def test_connect_overridden_calls_the_base(names):
    names.names['name.test'] = ['127.0.0.1']
    results = []

    def connect(session):
        results.append(WebsocketSession._connect(session))
        return results[0]
    Session = connecting(connect)
    with Server(bye) as server:
        succeeds(run(server.url(host='name.test'), session_class=Session))
        assert results[0][1] is None
        del results[:]
        fails(run('ws://127.0.0.1:{}/'.format(free_port()), session_class=Session), 'connect',
              'unable to connect; 127.0.0.1:[0-9]+ connection refused')
    with dead_address() as where:
        fails(run('ws://127.0.0.1:{}/'.format(where[1]), LIMIT, session_class=Session), 'connect',
              'unable to connect; connect timed out after 0.25s: .* no answer', LIMIT)


@pytest.mark.parametrize('limit', [5.0, None])
def test_what_the_base_connects_can_be_used(limit):
    """It gets a blocking socket with the rest of connect_timeout as its timeout."""
    timeouts = []

    class Session(WebsocketSession):
        def _connect(self):
            sock, proxy = super(Session, self)._connect()
            timeouts.append(sock.gettimeout())
            return sock, proxy
    with Server(bye) as server:
        websocket = WebSocket(server.url(), proxies={})
        for event in websocket.connect(session_class=Session, connect_timeout=limit):
            if event.name == 'ready':
                timeouts.append(websocket.session._sock.gettimeout())
    first, later = timeouts
    assert first is None if limit is None else 0 < first <= limit
    assert later == 0


def test_connected_sock_is_there_and_gone():
    socks = []
    with Server(bye) as server:
        websocket = WebSocket(server.url(), proxies={})
        for event in websocket.connect():
            if event.name == 'connecting':
                assert websocket.session._sock is None
            if event.name == 'ready':
                socks.append(websocket.session._sock)
                assert socks[0].fileno() >= 0
        assert websocket.session._sock is None
