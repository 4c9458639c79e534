"""lomond.testing.Server: handlers, scripts, records, errors, and that nothing is left of it."""

from __future__ import absolute_import, division, unicode_literals

import errno
import gc
import logging
import os
import socket
import ssl
import threading
import time

import pytest
from support.certificates import server_context
from support.interpreters import collect_what_is_not_counted

import lomond.testing.pytest_plugin  # noqa: F401 - before a test changes the folder (2.7)
from lomond import WebSocket, errors
from lomond._compat import OS_ERRORS, monotonic, native_octets
from lomond.compression import Deflate
from lomond.persist import persist
from lomond.server import listener, shortage
from lomond.server.accepted import AcceptedSession
from lomond.testing import (
    ReceiveTimeout,
    Server,
    ServerError,
    bad_frames,
    close_with,
    drop_after,
    echo,
    garbage,
    raw,
    redirect,
    reject,
    silent,
    stall_reads,
    unresponsive,
)
from lomond.testing import server as server_module

pytest_plugins = [str('pytester')]

LOST = 'socket fail; connection lost'
GOOD = 'connecting connected ready'


class Played(object):
    """What one connection has shown, Polls and pongs left out."""

    def __init__(self, events):
        self.events = [event for event in events if event.name not in ('poll', 'pong')]
        self.names = ' '.join(event.name for event in self.events)
        self.last = self.events[-1]
        self.messages = [getattr(event, 'text', getattr(event, 'data', None)) for event in self.events
                         if event.name in ('text', 'binary')]

    def __getitem__(self, name):
        found, = (event for event in self.events if event.name == name)
        return found


def play(url, handlers=None, websocket=None, **settings):
    """Run a connection; ``handlers``: functions of (websocket, event) by the name of the event."""
    websocket = websocket or WebSocket(url)
    events = []
    settings.setdefault('ping_rate', 0)
    for event in websocket.connect(**settings):
        events.append(event)
        handler = (handlers or {}).get(event.name)
        if handler is not None:
            handler(websocket, event)
    return Played(events)


def say(*messages):
    """Handlers that send messages at Ready, and close when as many have come back."""
    left = list(messages)

    def ready(websocket, event):
        for message in messages:
            (websocket.send_binary if isinstance(message, bytes) else websocket.send_text)(message)

    def received(websocket, event):
        left.pop()
        if not left:
            websocket.close(1000, 'bye')

    return {'ready': ready, 'text': received, 'binary': received}


def descriptors():
    return len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else 0


# -- echo

@pytest.mark.parametrize('compress', [False, True, Deflate(server_max_window_bits=9,
                                                           client_no_context_takeover=True)])
@pytest.mark.parametrize('messages', [
    ('one', b'two', '', b''),
    ('snow \u2603' * 30000, b'\0\xff' * 400000),
])
def test_echo(compress, messages):
    with Server(echo) as server:
        played = play(None, say(*messages), WebSocket(server.url, compress=compress))
    assert played.messages == list(messages)
    assert played.last.graceful
    assert played['closed'].code == 1000
    connection, = server.connections
    assert connection.messages == list(messages)
    assert (connection.close_code, connection.close_reason) == (1000, 'bye')
    assert connection.supports_compression == bool(compress)
    assert connection.extensions == ({'permessage-deflate'} if compress else set())
    assert connection.is_over and not connection.is_open and connection.error is None
    assert server.connection_count == 1


def test_echo_answers_pings():
    with Server(echo) as server:
        played = play(server.url, {'ready': lambda websocket, event: websocket.send_ping(b'?'),
                                   'poll': lambda websocket, event: websocket.latency is not None
                                   and websocket.close()}, poll=0.02)
    assert played.last.graceful
    assert [event.name for event in server.connections[0].events] == ['ping', 'closing']


def test_echo_is_the_default_and_takes_many():
    with Server() as server:
        threads = [threading.Thread(target=play, args=(server.url, say('x', b'y'))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert server.connection_count == len(server.connections) == len(server.requests) == 20
    assert all(connection.messages == ['x', b'y'] for connection in server.connections)
    assert sorted(connection.number for connection in server.connections) == list(range(1, 21))


def test_no_compression_unless_wanted():
    for deflate in (False, None):
        with Server(echo, deflate=deflate) as server:
            played = play(None, say('x'), WebSocket(server.url, compress=True))
        assert played['ready'].extensions == set()


def test_violation_is_answered_with_a_close_frame():
    """The close frame is not destroyed by a reset, though input is left unread."""
    with Server(echo) as server:
        sock = socket.create_connection(('127.0.0.1', server.port))
        sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                     b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
        head = b''
        while b'\r\n\r\n' not in head:
            head += sock.recv(4096)
        sock.sendall(b'\x81\x00' + b'unread' * 100)
        answer = b''
        for data in iter(lambda: sock.recv(4096), b''):
            answer += data
        sock.close()
    assert head.startswith(b'HTTP/1.1 101 ')
    assert answer[0:1] == b'\x88' and answer[2:4] == b'\x03\xea' and b'not masked' in answer


# -- scripts

def test_reject():
    with Server(reject(404, {'X-Why': 'none'}, b'no such thing')) as server:
        played = play(server.url)
    assert played.names == 'connecting connected rejected disconnected'
    response = played['rejected'].response
    assert (response.status_code, response.get('x-why'), response.body) == (404, 'none', b'no such thing')
    assert server.requests[0].target == '/'
    assert server.connections[0].events == []


def test_reject_with_a_large_body():
    body = b'x' * 3000000
    with Server(reject(503, [('Retry-After', '7')], body)) as server:
        sock = socket.create_connection(('127.0.0.1', server.port))
        sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                     b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
        data = b''.join(iter(lambda: sock.recv(65536), b''))
        sock.close()
    assert data.endswith(body) and b'Retry-After: 7' in data


@pytest.mark.parametrize('wrong', [(99,), (403, [('bad name', 'x')]), (403, {'X': 'a\r\nb'})])
def test_reject_refuses_what_cannot_be_sent(wrong):
    with pytest.raises(ValueError):
        reject(*wrong)


def test_redirect():
    with Server(echo) as target:
        with Server(redirect(target.url_of('/there?x=1'), 307)) as server:
            played = play(None, say('x'), WebSocket(server.url, max_redirects=1))
    assert played.names == 'connecting connected redirected connected ready text closed disconnected'
    assert target.requests[0].target == '/there?x=1'


def test_silent():
    with Server(silent) as server:
        played = play(server.url, connect_timeout=0.2)
    assert played.names == 'connecting connected disconnected'
    assert 'upgrade timed out after 0.2s' in played.last.reason


def test_unresponsive():
    with Server(unresponsive) as server:
        played = play(server.url, ping_rate=0.1, ping_timeout=0.2)
        assert played.names == GOOD + ' unresponsive disconnected'
        played = play(server.url, {'ready': lambda websocket, event: websocket.close()}, close_timeout=0.2)
        assert "didn't respond to close" in played.last.reason


def test_stall_reads():
    failed = []

    def ready(websocket, event):
        with pytest.raises(errors.SendTimeout):
            while True:
                websocket.send_binary(b'x' * 1000000)
        failed.append(True)

    with Server(stall_reads) as server:
        played = play(server.url, {'ready': ready}, send_timeout=0.3)
    assert failed and not played.last.graceful


def test_garbage_and_bad_frames():
    with Server(garbage) as server:
        played = play(server.url)
    assert played.names == 'connecting connected protocol_error disconnected'
    with Server(bad_frames) as server:
        played = play(server.url)
    assert played.names == GOOD + ' protocol_error disconnected'
    assert server.connections[0].close_code == 1002


def test_drop_after():
    with Server(drop_after(0)) as server:
        played = play(server.url)
    assert (played.names, played.last.reason) == (GOOD + ' disconnected', LOST)
    with Server(drop_after(2)) as server:
        played = play(server.url, {
            'ready': lambda websocket, event: (websocket.send_ping(), websocket.send_text('one')),
            'text': lambda websocket, event: websocket.send_binary(b'two')})
    assert (played.names, played.last.reason) == (GOOD + ' text binary disconnected', LOST)
    with Server(drop_after(1, reset=True)) as server:
        played = play(server.url, {'ready': lambda websocket, event: websocket.send_text('one')})
    assert played.last.reason.startswith('socket fail; ') and 'reset' in played.last.reason
    with Server(drop_after(1)) as server:
        played = play(server.url, {'ready': lambda websocket, event: websocket.close()})
    assert played.last.graceful
    with pytest.raises(ValueError):
        drop_after(-1)
    with pytest.raises(TypeError) as caught:        # drop_after in place of drop_after(1)
        drop_after(None)
    assert str(caught.value) == 'messages must be a number, not NoneType'


def test_close_with():
    with Server(close_with(1012, 'restart')) as server:
        played = play(server.url)
    assert played.names == GOOD + ' closing disconnected'
    assert (played['closing'].code, played['closing'].reason, played.last.graceful) == (1012, 'restart', True)
    assert server.connections[0].close_code == 1012
    with Server(close_with(None)) as server:
        assert play(server.url)['closing'].code is None
    with pytest.raises(ValueError):
        close_with(1005)


# -- handlers

def test_handler_sends_all_kinds():
    def handler(connection):
        assert connection.request.target == '/path?q'
        assert connection.protocol == 'b'
        assert connection.address[0] == '127.0.0.1'
        connection.send_text('text')
        connection.send_binary(bytearray(b'array'))
        connection.send_binary(memoryview(b'view'))
        connection.send_frame(1, b'frag', fin=False)
        connection.send_ping(b'ping')
        connection.send_frame(0, b'ments')
        connection.send_raw(b'\x82\x01!')
        connection.send_pong(b'pong')
        assert connection.receive().data == b'ping'
        for wrong in (connection.send_binary, connection.send_ping, connection.send_pong,
                      connection.send_raw):
            with pytest.raises(TypeError):
                wrong('text')
        with pytest.raises(TypeError):
            connection.send_text(b'bytes')
        with pytest.raises(ValueError):
            connection.send_ping(b'x' * 126)
        with pytest.raises(ValueError):
            connection.close(1005)
        connection.close()
        connection.close()
        assert connection.receive().name == 'closed'
        assert connection.receive() is None
        assert connection.receive() is None
        with pytest.raises(errors.WebSocketClosed):
            connection.send_text('late')

    with Server(handler, protocols=['b', 'c']) as server:
        played = play(None, None, WebSocket(server.url_of('path?q'), protocols=['a', 'b']))
    assert played.messages == ['text', b'array', b'view', 'fragments', b'!']
    assert played.names == GOOD + ' text binary binary ping text binary closing disconnected'
    assert 'DISCONNECTED' in repr(server.connections[0])
    with pytest.raises(errors.WebSocketClosed):
        server.connections[0].send_raw(b'late')
    with pytest.raises(errors.WebSocketClosed):
        server.connections[0].send_text('late')
    server.connections[0].close()
    server.connections[0].drop()


def test_return_closes():
    with Server(lambda connection: connection.send_text('only this')) as server:
        played = play(server.url)
    assert played.names == GOOD + ' text closing disconnected'
    assert played['closing'].code == 1000


def test_echo_of_close_comes_after_what_the_handler_sends():
    def handler(connection):
        for event in connection:
            if event.name == 'closing':
                connection.send_text('last words')

    with Server(handler) as server:
        played = play(server.url, {'ready': lambda websocket, event: websocket.close()})
    assert played.names == GOOD + ' text closed disconnected'


def test_close_in_reply_to_a_close():
    def handler(connection):
        assert connection.receive().name == 'closing'

    with Server(handler) as server:
        played = play(server.url, {'ready': lambda websocket, event: websocket.close(4321)})
    assert played['closed'].code == 4321


def test_send_to_a_client_that_has_gone_is_no_failure():
    def handler(connection):
        while True:
            connection.send_binary(b'x' * 100000)

    with Server(handler) as server:
        play(server.url, {'binary': lambda websocket, event: websocket.force_disconnect()})
    assert isinstance(server.connections[0].error, (errors.TransportFail, errors.WebSocketUnavailable))
    assert server.errors == []


def test_send_to_a_client_that_does_not_read():
    def handler(connection):
        while True:
            connection.send_binary(b'x' * 1000000)

    with pytest.raises(errors.SendTimeout):
        with Server(handler, timeout=0.3) as server:
            sock = connect(server)
            while not server.errors:
                threading.Event().wait(0.02)
    sock.close()


@pytest.mark.parametrize('is_raw', [False, True])
def test_send_raw_to_a_client_that_does_not_read(is_raw):
    def handler(connection):
        connection.send_raw(b'x' * 20000000)

    if is_raw:
        raw(handler)
    with pytest.raises(errors.SendTimeout):
        with Server(handler, timeout=0.3) as server:
            sock = connect(server)
            while not server.errors:
                threading.Event().wait(0.02)
    sock.close()


def connect(server):
    """A client that has sent its request, and nothing else."""
    sock = socket.create_connection(('127.0.0.1', server.port))
    sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                 b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
    return sock


def test_receive_timeout():
    def handler(connection):
        with pytest.raises(ReceiveTimeout) as info:
            connection.receive(0.05)
        assert str(info.value) == 'connection 1: the client sent nothing for 0.05s (timeout)'
        with pytest.raises(ReceiveTimeout):
            connection.receive_raw(0.05)
        assert connection.pause(0.01)
        connection.receive()

    begun = monotonic()
    with pytest.raises(ReceiveTimeout):
        with Server(handler, timeout=0.1) as server:
            played = play(server.url)
            assert played['closing'].reason == 'the handler raised ReceiveTimeout'
    assert monotonic() - begun < 2


@pytest.mark.parametrize('ends_by', ['stop', 'drop'])
def test_pause_after_the_end(ends_by):
    paused = []

    def handler(connection):
        assert [event.name for event in connection] == ['closing']
        paused.append(connection.pause(0.01))
        ended.set()
        paused.append(connection.pause())

    ended = threading.Event()
    with Server(handler) as server:
        play(server.url, {'ready': lambda websocket, event: websocket.close()})
        assert ended.wait(10)
        if ends_by == 'drop':
            server.drop_connections()
            while not server.connections[0].is_over:
                threading.Event().wait(0.01)
    assert paused == [True, False]


def test_looks_for_what_has_arrived_without_waiting():
    """receive(0) finds what has arrived, and nothing else."""
    found = []

    def handler(connection):
        connection.receive()
        sent.wait(10)
        for _ in range(3):
            found.append(connection.receive(0).text)
        with pytest.raises(ReceiveTimeout):
            connection.receive(0)

    def ready(websocket, event):
        for text in ('begin', 'one', 'two', 'three'):
            websocket.send_text(text)
        sent.set()

    sent = threading.Event()
    with Server(handler) as server:
        play(server.url, {'ready': ready})
    assert found == ['one', 'two', 'three']


def test_raw_handler_sleeps_while_it_waits():
    """Neither time limits nor what another thread has left to send make it spin."""
    waits = []

    @raw
    def handler(connection):
        wait = connection._session.wait
        connection._session.wait = lambda *args: waits.append(args) or wait(*args)
        assert connection.receive_raw(None)
        connection._session.write(b'x' * 20000000)      # as send_raw of another thread
        assert connection.receive_raw(None)

    with Server(handler, timeout=0.05) as server:
        client = socket.create_connection(('127.0.0.1', server.port))
        time.sleep(0.3)
        client.sendall(b'late')
        time.sleep(0.3)
        client.sendall(b'later')
        client.close()
    assert len(waits) < 20


def test_other_threads_send_and_close():
    def handler(connection):
        def work(number):
            for index in range(100):
                connection.send_text('{} {}'.format(number, index))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        thread = threading.Thread(target=connection.send_raw, args=(b'\x81\x03end',))
        thread.start()
        thread.join(10)
        threading.Thread(target=connection.close, args=(1001,)).start()
        assert connection.receive().name == 'closed'

    with Server(handler) as server:
        played = play(None, None, WebSocket(server.url, compress=True))
    assert sorted(played.messages[:400]) == sorted(
        '{} {}'.format(number, index) for number in range(4) for index in range(100))
    assert played.messages[400:] == ['end']
    assert played['closing'].code == 1001


def test_only_the_handler_may_receive():
    with Server(echo) as server:
        played = play(server.url, {'ready': lambda websocket, event: (
            pytest.raises(errors.WebSocketError, server.connections[0].receive), websocket.close())})
    assert played.last.graceful


def test_raw_handler_waits_for_the_client():
    received = []

    @raw
    def handler(connection):
        received.append(connection.receive_raw())

    with Server(handler) as server:
        client = socket.create_connection(('127.0.0.1', server.port))
        time.sleep(0.1)
        client.sendall(b'late')
        assert client.recv(1) == b''
        client.close()
    assert received == [b'late']


def test_raw_handler():
    @raw
    def handler(connection):
        with pytest.raises(errors.WebSocketError):
            connection.receive()
        assert connection.receive_raw().startswith(b'GET / HTTP/1.1\r\n')
        connection.send_raw(b'HTTP/1.0 200 OK\r\n\r\nhello')

    with Server(handler) as server:
        played = play(server.url)
    assert played['rejected'].response.body == b'hello'
    assert server.requests == []


# -- drop

@pytest.mark.parametrize('reset', [False, True])
def test_drop_in_the_handler(reset):
    def handler(connection):
        connection.send_text('x')
        assert connection.receive().text == 'take this'
        connection.drop(reset)
        assert connection.receive() is None
        assert connection.receive_raw() == b''
        assert not connection.pause()
        with pytest.raises(errors.WebSocketClosed):
            connection.send_text('late')

    with Server(handler) as server:
        played = play(server.url, {'text': lambda websocket, event: websocket.send_text('take this')})
    assert played.names == GOOD + ' text disconnected'
    assert ('reset' in played.last.reason) == reset


@pytest.mark.parametrize('reset', [False, True])
@pytest.mark.parametrize('handler', [echo, unresponsive, stall_reads])
def test_drop_by_another_thread(reset, handler):
    with Server(handler) as server:
        begun = monotonic()
        played = play(server.url, {'ready': lambda websocket, event: server.drop_connections(reset)})
        assert monotonic() - begun < 5
    assert played.names == GOOD + ' disconnected'
    assert ('reset' in played.last.reason) == reset


@pytest.mark.parametrize('has_thread', [True, False])
def test_drop_before_the_request(has_thread, monkeypatch):
    with Server(silent) as server:
        if not has_thread:
            prepare = server_module.ServerConnection.prepare
            monkeypatch.setattr(server_module.ServerConnection, 'prepare', lambda connection: (
                server.drop_connections(), prepare(connection)))
        sock = socket.create_connection(('127.0.0.1', server.port), 20)
        while not server.connections:
            threading.Event().wait(0.01)
        if has_thread:
            server.drop_connections()
        assert sock.recv(1) == b''
        sock.close()


# -- requests

def test_on_request():
    def on_request(request):
        if request.get('authorization') != 'Bearer good':
            return 401, [('WWW-Authenticate', 'Bearer')], b'who?'
        if request.target == '/accept':
            return 'accept', 'chosen', [('X-More', 'yes')]
        return None

    with Server(echo, on_request=on_request) as server:
        assert play(server.url)['rejected'].response.status_code == 401
        headers = {'Authorization': 'Bearer good'}
        websocket = WebSocket(server.url_of('/accept'), headers=headers, protocols=['other', 'chosen'])
        ready = play(None, say('x'), websocket)['ready']
        assert (ready.protocol, ready.response.get('x-more')) == ('chosen', 'yes')
        assert play(None, say('x'), WebSocket(server.url, headers=headers)).last.graceful
    assert [request.get('authorization') for request in server.requests] == [None] + ['Bearer good'] * 2


def test_on_request_that_raises():
    def on_request(request):
        raise ZeroDivisionError('mine')

    with pytest.raises(ZeroDivisionError):
        with Server(echo, on_request=on_request) as server:
            assert not play(server.url).last.graceful


def test_request_that_is_no_websocket():
    with Server(echo) as server:
        sock = socket.create_connection(('127.0.0.1', server.port))
        sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        assert b''.join(iter(lambda: sock.recv(4096), b'')).startswith(b'HTTP/1.1 426 ')
        sock.close()
        sock = socket.create_connection(('127.0.0.1', server.port))
        sock.sendall(b'\x16\x03\x01\r\n\r\n')
        assert sock.recv(4096) == b''
        sock.close()
    assert len(server.requests) == 1
    assert [event.name for event in server.connections[1].events] == ['protocol_error']


def test_nobody_asks():
    """The opening handshake has a deadline."""
    with Server(echo, timeout=0.1) as server:
        sock = socket.create_connection(('127.0.0.1', server.port))
        assert sock.recv(1) == b''
        sock.close()


# -- TLS

def test_tls(certs):
    with Server(echo, ssl_context=server_context(certs.server)) as server:
        assert server.url == 'wss://localhost:{}/'.format(server.port)
        played = play(None, say('x', b'y' * 500000), WebSocket(server.url, ssl_cafile=certs.ca))
        assert played.messages == ['x', b'y' * 500000]
        assert played.last.graceful
        played = play(None, None, WebSocket(server.url))
        assert played.names == 'connecting connect_fail'
        sock = socket.create_connection(('127.0.0.1', server.port))
        sock.sendall(b'GET / HTTP/1.1\r\n\r\n')
        for _ in iter(lambda: sock.recv(4096), b''):
            pass
        sock.close()
    assert server.errors == []
    assert any(isinstance(connection.error, ssl.SSLError) for connection in server.connections)


def test_tls_handshake_has_a_deadline(certs):
    with Server(echo, ssl_context=server_context(certs.server), timeout=0.1) as server:
        sock = socket.create_connection(('127.0.0.1', server.port))
        assert sock.recv(1) == b''
        sock.close()
        stopped = socket.create_connection(('127.0.0.1', server.port))
    stopped.close()


@pytest.mark.parametrize('script, end', [(drop_after(0), LOST), (drop_after(0, True), 'reset')])
def test_tls_drops(certs, script, end):
    with Server(script, ssl_context=server_context(certs.server)) as server:
        played = play(None, None, WebSocket(server.url, ssl_cafile=certs.ca))
    assert end in played.last.reason


# -- errors

def test_failure_is_raised_at_the_end():
    def handler(connection):
        assert connection.receive().text == 'right', 'mine'

    with pytest.raises(AssertionError, match='mine'):
        with Server(handler) as server:
            played = play(server.url, {'ready': lambda websocket, event: websocket.send_text('wrong')})
            assert (played['closing'].code, played['closing'].reason) == (
                1011, 'the handler raised AssertionError')
    assert [type(error) for error in server.errors] == [AssertionError]
    assert server.connections[0].error is server.errors[0]


def fail(connection):
    raise KeyError(connection.number)


def test_failure_is_only_listed():
    with Server(fail, raise_errors=False) as server:
        play(server.url)
    assert [type(error) for error in server.errors] == [KeyError]


def test_failure_of_the_block_wins(capsys):
    with pytest.raises(ZeroDivisionError):
        with Server(fail) as server:
            play(server.url)
            raise ZeroDivisionError
    assert 'KeyError: 1' in capsys.readouterr().err


def test_further_failures_are_shown(capsys):
    def fail(connection):
        raise ValueError(native_octets('\xe9'))
    with pytest.raises(ValueError):
        with Server(fail) as server:
            play(server.url)
            play(server.url)
    assert 'the handler of connection 2 raised:' in capsys.readouterr().err


def test_pytest_fail_counts():
    def handler(connection):
        pytest.fail('in the handler')

    with pytest.raises(BaseException, match='in the handler'):
        with Server(handler) as server:
            play(server.url)


# -- the end

def test_nothing_is_left():
    gc.collect()
    collect_what_is_not_counted()       # of the tests before
    before = threading.active_count(), descriptors()
    servers = []
    for _ in range(5):
        with Server(echo) as server:
            held = [socket.create_connection(('127.0.0.1', server.port))]
            play(server.url, say('x'))
            held.append(connect(server))
            assert held[1].recv(12) == b'HTTP/1.1 101'
        for sock in held:
            sock.close()
        servers.append(server)
    collect_what_is_not_counted()
    assert (threading.active_count(), descriptors()) == before


def test_stop_is_quick_and_tells_the_clients():
    with Server(echo) as server:
        events = iter(WebSocket(server.url).connect(ping_rate=0))
        for event in events:
            if event.name == 'ready':
                break
        begun = monotonic()
        server.stop()
        assert monotonic() - begun < 1.4
        rest = Played(list(events))
    assert rest.names == 'closing disconnected'
    assert rest['closing'].code == 1001
    assert rest.last.graceful
    with pytest.raises(OS_ERRORS):
        socket.create_connection(('127.0.0.1', server.port))


def test_what_has_arrived_is_handled_before_the_end():
    seen = []

    def handler(connection):
        assert gate.wait(10)
        seen.extend(event.name for event in connection)

    gate = threading.Event()
    for _ in range(10):
        del seen[:]
        gate.clear()
        with Server(handler) as server:
            websocket = WebSocket(server.url)
            for event in websocket.connect(ping_rate=0):
                if event.name == 'ready':
                    for _ in range(50):
                        websocket.send_text('x')
                    websocket.close()
                    websocket.force_disconnect()
            gate.set()
        assert seen == ['text'] * 50 + ['closing']


def test_stop_ends_a_blocked_send():
    def handler(connection):
        started.set()
        connection.send_binary(b'x' * 50000000)

    started = threading.Event()
    begun = monotonic()
    with Server(handler) as server:
        sock = connect(server)
        assert started.wait(10)
    assert monotonic() - begun < 2.5
    assert server.errors == []
    sock.close()


def test_timeout_that_no_clock_can_hold():
    def handler(connection):
        connection.send_text(connection.receive(10 ** 400).text)
        connection.pause(10 ** 400)
    with Server(handler, timeout=10 ** 400) as server:
        drop = dict(say('x'), text=lambda websocket, event: server.drop_connections())
        assert play(server.url, drop).messages == ['x']


# -- when the machine has no more to give

class Fails(object):
    """Fails a few times with what it makes of a message, then does what it stands for.
    """

    def __init__(self, function, error, times=3):
        self.function, self.error, self.left = function, error, times

    def __call__(self, *args):
        if self.left:
            self.left -= 1
            raise self.error('nothing left')
        return self.function(*args)


def no(number, kind=socket.error):
    return lambda message: kind(number, message)


@pytest.mark.parametrize('where, error, warnings', [
    ('accept', no(errno.EMFILE), 1), ('accept', no(errno.ENFILE), 1), ('accept', no(errno.ENOBUFS), 1),
    ('accept', no(errno.ENOMEM), 1), ('accept', MemoryError, 1), ('accept', no(errno.ECONNABORTED), 0),
    ('accept', no(errno.EINTR), 0), ('wake-up', no(errno.EMFILE, OSError), 1), ('wake-up', MemoryError, 1),
    ('thread', RuntimeError, 1), ('thread', MemoryError, 1)])
def test_shortage(monkeypatch, caplog, where, error, warnings):
    """The client is served as soon as there is what it needs; one WARNING a minute."""
    class Listener(object):
        def __init__(self, sock):
            self.accept = Fails(sock.accept, error)
            self.fileno, self.close = sock.fileno, sock.close
    monkeypatch.setattr(listener, 'PAUSE', 0.01)
    server = Server()
    if where == 'accept':
        server._listener._socks = [Listener(sock) for sock in server._listener._socks]
    elif where == 'wake-up':
        monkeypatch.setattr(AcceptedSession, 'waiting', staticmethod(Fails(AcceptedSession.waiting, error)))
    with server, caplog.at_level(logging.WARNING):
        if where == 'thread':
            start = Fails(threading.Thread.start, error)
            monkeypatch.setattr(threading.Thread, 'start', lambda thread: start(thread))
        assert play(server.url, say('x')).messages == ['x']
    assert [record.levelname for record in caplog.records] == ['WARNING'] * warnings
    assert not warnings or 'served now: nothing left; trying again every 0.1 s' in caplog.text


def test_shortage_is_told_once_a_minute(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(shortage, 'monotonic', lambda: now[0])
    noted = shortage.Shortage('lomond.x')
    for step in (0, 59.9, 0.1, 59.9, 60):
        now[0] += step
        noted.note(MemoryError())
    assert len(caplog.records) == 3


@pytest.mark.parametrize('spare', range(6))
def test_no_descriptor_is_left(spare, caplog):
    """Nothing spins; when the others have gone, a new client is served."""
    resource = pytest.importorskip('resource')
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = Server()
    idle = [connect(server) for _ in range(12)]
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 6 + spare, limits[1]))
    try:
        with server:
            threading.Event().wait(0.1)
            begun = sum(os.times()[:2])
            threading.Event().wait(0.3)
            used = sum(os.times()[:2]) - begun
            for sock in idle:
                sock.close()
            assert play(server.url, say('x')).messages == ['x'] and used < 0.1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ['WARNING']


def test_no_thread_for_the_server(monkeypatch):
    monkeypatch.setattr(threading.Thread, 'start', Fails(None, RuntimeError))
    server = Server()
    with pytest.raises(RuntimeError):
        server.start()
    server.stop()


def test_stop_ends_a_pause_and_a_wait_for_ever():
    for handler in (stall_reads, unresponsive, silent, lambda connection: connection.receive(None)):
        begun = monotonic()
        with Server(handler) as server:
            sock = connect(server)
            while not server.connections:
                threading.Event().wait(0.01)
        assert monotonic() - begun < 5
        sock.close()


def test_a_handler_that_hangs_is_named(monkeypatch, capsys):
    monkeypatch.setattr('lomond.testing.server.GRACE', 0.05)
    monkeypatch.setattr('lomond.testing.server.LAST_WAIT', 0.1)
    release = threading.Event()

    def hanging(connection):
        started.set()
        release.wait(20)

    started = threading.Event()
    with pytest.raises(ServerError) as info:
        with Server(hanging) as server:
            sock = connect(server)
            assert started.wait(10)
    assert str(info.value).startswith('1 of the handlers did not end within 0.15')
    assert 'connection 1 is at ' in str(info.value)
    with pytest.raises(ZeroDivisionError):
        with Server(hanging) as server:
            other = connect(server)
            started.clear()
            assert started.wait(10)
            raise ZeroDivisionError
    assert 'did not end' in capsys.readouterr().err
    release.set()
    sock.close()
    other.close()
    for thread in threading.enumerate():
        if thread.name.startswith('lomond.testing'):
            thread.join(10)


def test_stop_in_a_handler():
    def handler(connection):
        server.stop()

    with Server(handler) as server:
        play(server.url)


def test_start_and_stop_without_with():
    server = Server(echo)
    assert repr(server) == "<Server '{}'>".format(server.url)
    assert server.start() is server
    with pytest.raises(ServerError):
        server.start()
    with server:
        assert play(server.url, say('x')).last.graceful
    server.stop()
    with pytest.raises(ServerError):
        server.start()
    Server(echo).stop()


def test_persist_sees_restarts():
    """Each connection gets the handler anew."""
    with Server(drop_after(0)) as server:
        count = 0
        for event in persist(WebSocket(server.url), min_wait=0.01, max_wait=0.02, max_retries=3):
            count += event.name == 'ready'
    assert count == 3 == server.connection_count


# -- records and options

def test_records_are_limited():
    def handler(connection):
        for event in connection:
            if event.name == 'text':
                connection.close()

    with Server(handler, record_limit=3000) as server:
        play(server.url, {'ready': lambda websocket, event: (
            [websocket.send_binary(b'%d' % number * 500) for number in range(9)],
            websocket.send_text('end'))})
        first, = server.connections
        assert [message[:1] for message in first.messages] == [b'6', b'7', b'8', 'e']
        play(server.url, {'ready': lambda websocket, event: (
            [websocket.send_binary(b'y' * 500) for _ in range(9)], websocket.send_text('end'))})
    assert first.events == []
    assert len(server.connections[1].messages) == 4


def test_max_message_size():
    with Server(echo, max_message_size=1000) as server:
        played = play(server.url, {'ready': lambda websocket, event: websocket.send_binary(b'x' * 1001)})
    assert played['closing'].code == 1009


@pytest.mark.parametrize('error, options', [
    (TypeError, dict(handler='echo')),
    (TypeError, dict(on_request=5)),
    (TypeError, dict(deflate='yes')),
    (ValueError, dict(protocols=['a b'])),
])
def test_bad_options(error, options):
    with pytest.raises(error):
        Server(**options)


def test_address_in_use():
    with Server(echo) as server:
        with pytest.raises(OS_ERRORS):
            Server(echo, port=server.port)


@pytest.mark.parametrize('host, url', [
    ('0.0.0.0', 'ws://127.0.0.1:{}/'), ('localhost', 'ws://127.0.0.1:{}/'), ('::1', 'ws://[::1]:{}/')])
def test_other_hosts(host, url):
    try:
        server = Server(echo, host=host)
    except OS_ERRORS:
        pytest.skip('cannot listen on {}'.format(host))
    with server:
        assert server.url == url.format(server.port)
        assert play(server.url, say('x')).last.graceful


# -- the fixture of pytest

def test_fixture(testdir):
    testdir.makeconftest('from lomond.testing.pytest_plugin import wsserver')
    testdir.makepyfile(test_it='''
        from lomond import WebSocket
        from lomond.testing import close_with

        def names(url):
            return [event.name for event in WebSocket(url) if event.name in ('closing', 'closed')]

        def test_good(wsserver):
            one, other = wsserver(close_with(1001)), wsserver(close_with(1002), deflate=None)
            assert one.port != other.port
            assert names(one.url) == names(other.url) == ['closing']

        def test_default_is_echo(wsserver):
            ws = WebSocket(wsserver().url)
            for event in ws:
                if event.name == 'ready':
                    ws.close()

        def test_handler_fails(wsserver):
            def handler(connection):
                raise KeyError('mine')
            names(wsserver(handler).url)
            names(wsserver(handler).url)
    ''')
    result = testdir.runpytest(str('-p'), str('no:cacheprovider'))
    outcomes = result.parseoutcomes()
    assert outcomes['passed'] == 3
    assert outcomes.get('error', outcomes.get('errors')) == 1
    result.stdout.fnmatch_lines(['*KeyError: *mine*'])
