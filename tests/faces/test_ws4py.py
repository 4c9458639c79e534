# -*- coding: utf-8 -*-
"""lomond.ws4py: the programs of support/ws4py_programs, and what they do not show.

`tests/real/test_real_ws4py.py` runs the same programs with ws4py 0.6.0 and compares the logs.
"""

from __future__ import absolute_import, division, unicode_literals

import importlib
import logging
import socket
import ssl
import sys
import threading

import pytest
from six import StringIO
from support import ws4py_programs as programs

from lomond import ws4py
from lomond._compat import native, text_type
from lomond.testing import Server, close_with, echo, wsgi_session
from lomond.websocket import WebSocket
from lomond.ws4py import exc, messaging
from lomond.ws4py.client import WebSocketBaseClient
from lomond.ws4py.client.threadedclient import WebSocketClient
from lomond.ws4py.manager import WebSocketManager
from lomond.ws4py.server.wsgiutils import WebSocketWSGIApplication
from lomond.ws4py.websocket import EchoWebSocket, Heartbeat

pytestmark = pytest.mark.ends

GONE = ['closed', 1006, 'Going away', False]
LOGS = {
    'threaded': [
        ['opened'], ['text', 'h\xe9llo', 5, True], ['binary', '\x00\x01', 2, True],
        ['text', 'array', 5, True], ['text', 'one two three', 13, True], ['text', 'more', 4, True],
        ['binary', 'message', 7, True], ['pong', 'beat'], ['text', 'the last', 8, True],
        ['closed', 3001, 'bye', False], ['1', None, True, True, 'the last']],
    'endings': [[['opened'], ['closed', 1001, 'restart', False]], [['opened'], ['closed', 1005, '', False]],
                [['opened'], GONE]],
    'refusals': [True, False],
    'base': [[True, '/'], 'handshake_ok', ['opened'], ['closed', 1000, 'done', False], '/1.0/events'],
    'managed': [['opened'], [1, True, True], ['text', 'to all', 6, True], ['closed', 1000, 'over', False]],
    'wsgiref': [
        [['opened'], [['chat'], 'make_websocket', '/ws', '127.0.0.1']] * 2 + [
            ['text', 'raise', 5, True], GONE],
        [['opened'], ['text', 'news', 4, True], ['text', 'one only', 8, True],
         ['closed', 1001, 'Server is shutting down', False]]],
}


@pytest.mark.parametrize('name', sorted(LOGS))
def test_program(name, caplog):
    if name == 'base' and not hasattr(socket, 'AF_UNIX'):
        pytest.skip('no Unix domain sockets here')
    log = getattr(programs, name)(lambda module: importlib.import_module('lomond.ws4py.' + module))
    assert log == LOGS[name]
    failures = [record.exc_info[1].args for record in caplog.records if record.name == 'lomond.ws4py']
    assert failures == ([('on purpose',)] if name == 'wsgiref' else [])


# -- messages

@pytest.mark.parametrize('message, data, length, text, kinds', [
    (messaging.TextMessage('h\xe9'), b'h\xc3\xa9', 2, 'h\xe9', (True, False)),
    (messaging.TextMessage(b'h\xc3\xa9'), b'h\xc3\xa9', 2, 'h\xe9', (True, False)),
    (messaging.BinaryMessage(bytearray(b'\xc3\xa9')), b'\xc3\xa9', 2, '\xe9', (False, True)),
    (messaging.PingControlMessage('p'), b'p', 1, 'p', (False, False)),
    (messaging.PongControlMessage(b'p'), b'p', 1, 'p', (False, False)),
    (messaging.CloseControlMessage(1001, 'h\xe9'), b'\x03\xe9h\xc3\xa9', 2, 'h\xe9', (False, False)),
])
def test_messages(message, data, length, text, kinds):
    assert type(message.data) is bytes and message.data == data and len(message) == length
    assert text_type(message if str is text_type else message.__unicode__()) == text
    assert type(str(message)) is str
    assert ((message.is_text, message.is_binary), message.completed) == (kinds, False)
    message.extend(b'!')
    assert message.data == data + b'!'


def test_bad_messages():
    with pytest.raises(TypeError):
        messaging.BinaryMessage('text')
    with pytest.raises(TypeError):
        messaging.TextMessage(7)
    with pytest.raises(ValueError, match='not int'):
        EchoWebSocket(None).send(7)
    with pytest.raises(RuntimeError, match='not open yet'):
        EchoWebSocket(None).send('x')


def test_exceptions():
    assert issubclass(exc.HandshakeError, exc.WebSocketException)
    assert not issubclass(exc.StreamClosed, exc.WebSocketException)
    assert exc.ProtocolException is exc.InvalidBytesError is exc.WebSocketException
    assert (str(exc.HandshakeError('why')), exc.HandshakeError('why').msg) == ('why', 'why')


# -- clients

@pytest.mark.parametrize('url, expected', [
    ('ws://example.org', ('ws', 'example.org', 80, '/')),
    ('wss://example.org/a?b=c', ('wss', 'example.org', 443, '/a?b=c')),
    ('ws://[::1]:8080/', ('ws', '::1', 8080, '/')),
    ('ws+unix:///run/lxd.socket', ('ws+unix', 'localhost', None, '/')),
])
def test_urls(url, expected):
    client = WebSocketBaseClient(url)
    assert (client.scheme, client.host, client.port, client.resource) == expected
    assert client.bind_addr == ('/run/lxd.socket' if client.unix_socket_path else expected[1:3])


@pytest.mark.parametrize('url', ['http://x/', 'ws+unix:x', 'ws://'])
def test_bad_urls(url):
    with pytest.raises(ValueError):
        WebSocketBaseClient(url)


@pytest.mark.parametrize('given, expected', [
    ({}, {}), ({'cert_reqs': ssl.CERT_NONE}, {'ssl_verify': False}),
    ({'cert_reqs': ssl.CERT_REQUIRED, 'ca_certs': 'x.pem'}, {'ssl_cafile': 'x.pem'}),
    ({'certfile': 'c', 'keyfile': 'k'}, {'ssl_cert': ('c', 'k')}), ({'certfile': 'c'}, {'ssl_cert': 'c'}),
])
def test_tls_is_checked_unless_told(given, expected):
    assert WebSocketBaseClient('wss://x/', ssl_options=given)._tls_settings() == expected


def test_request():
    with Server(close_with(1000), protocols=['b']) as server:
        client = WebSocketBaseClient(
            server.url, protocols=['a'], extensions=['permessage-deflate'], exclude_headers=['User-Agent'],
            headers=[('Origin', 'http://o'), ('Sec-WebSocket-Protocol', 'b'), ('Cookie', 'c=1')])
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.connect()
        assert (client.protocols, client.extensions) == (['b'], ['permessage-deflate'])
        assert client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert ws4py.format_addresses(client) == '[Local => {}:{} | Remote => 127.0.0.1:{}]'.format(
            *(client.local_address + (server.port,)))
        client.run()
        with pytest.raises(RuntimeError):
            client.connect()
    request = server.requests[0]
    assert [request.get(name) for name in ('user-agent', 'origin', 'sec-websocket-protocol', 'cookie')] == [
        None, 'http://o', 'a, b', 'c=1']


@pytest.mark.parametrize('where', ['opened', 'received_message'])
def test_callback_that_raises_closes_with_1011(where):
    calls = []

    class Client(WebSocketBaseClient):
        def handshake_ok(self):
            pass

        def closed(self, code, reason=None):
            calls.append(code)

    def fail(*args):
        raise KeyError('on purpose')
    with Server(echo) as server:
        client = Client(server.url)
        setattr(client, where, fail)
        client.connect()
        client.send('x')
        with pytest.raises(KeyError):
            client.run()
        client.terminate()
        assert calls == [1006] and client.terminated and client.once() is False
    assert server.connections[0].close_code == 1011


def test_heartbeat_is_a_ping_that_must_be_answered():
    calls = []

    class Client(WebSocketClient):
        def closed(self, code, reason=None):
            calls.append(code)

    def ignore(connection):
        for _ in iter(lambda: connection.receive_raw(), b''):
            pass
    with Server(ignore) as server:
        client = Client(server.url, heartbeat_freq=0.05)
        client.connect()
        client.run_forever()
    assert calls == [1006]
    with Server(echo) as server:
        client = WebSocketBaseClient(server.url)
        client.connect()
        session = client._link.session
        with Heartbeat(client, 0.5):
            assert (session._deadlines.ping_rate, session._deadlines.ping_timeout) == (0.5, 1.0)
        assert session._deadlines.ping_rate is None
        client.terminate()


# -- connections that were accepted

def test_socket_whose_handshake_is_done():
    ours, theirs = socket.socketpair()
    websocket = EchoWebSocket(ours)
    thread = threading.Thread(target=websocket.run)
    thread.start()
    theirs.sendall(b'\x81\x82\0\0\0\0hi')
    assert theirs.recv(100) == b'\x81\x02hi'
    theirs.sendall(b'\x88\x82\0\0\0\0\x03\xe8')
    assert theirs.recv(100) == b'\x88\x02\x03\xe8'
    theirs.close()
    thread.join()
    assert websocket.terminated and websocket.sock is None


@pytest.mark.parametrize('origin, ending', [(None, (1000, 'bye')), ('http://evil.example', None)])
def test_application_under_another_server(origin, ending):
    app = WebSocketWSGIApplication(handler_cls=EchoWebSocket)
    got = []
    client = WebSocket('ws://test/', origin=origin, proxies={})
    for event in client.connect(session_class=wsgi_session(app)):
        if event.name == 'ready':
            client.send_text('hi')
        elif event.name == 'text':
            client.close(1000, 'bye')
        elif event.name == 'closed':
            got.append((event.code, event.reason))
        elif event.name == 'rejected':
            assert event.response.status_code == 403
    assert got == ([ending] if ending else [])


@pytest.mark.parametrize('options, error, words', [
    (dict(handler_cls=5), TypeError, 'handler_cls must be a WebSocket class, not int'),
    (dict(origin='*'), TypeError, "WebSocketWSGIApplication.. takes no 'origin'"),
    (dict(max_message_size=0), ValueError, 'max_message_size is 0; 1 or more is allowed'),
    (dict(stream_from=1), TypeError, "'stream_from' cannot be used: "),
    (dict(protocols='chat'), TypeError, 'protocols must be a list or tuple of text')])
def test_bad_options_of_an_application(options, error, words):
    with pytest.raises(error, match=words):
        WebSocketWSGIApplication(**options)


# -- the manager, and the log

def test_manager_that_was_never_started():
    with Server(echo) as server:
        manager, calls = WebSocketManager('poller'), []
        client = WebSocketBaseClient(server.url)
        client.closed = lambda code, reason=None: calls.append(code)
        with pytest.raises(RuntimeError):
            manager.add(client)
        client.connect()
        manager.add(client)
        manager.add(client)
        assert list(manager) == [client] and manager
        manager.stop()
        other = WebSocketBaseClient(server.url)
        other.connect()
        with pytest.raises(RuntimeError, match='stopped'):
            manager.add(other)
        assert other.terminated
    assert (calls, len(manager), manager.poller) == ([1006], 0, 'poller')


def test_removed_connection_goes_on_without_callbacks():
    with Server(echo) as server:
        manager, calls = WebSocketManager(), []
        manager.start()
        client = WebSocketBaseClient(server.url)
        client.received_message = client.closed = lambda *args: calls.append(args)
        client.connect()
        manager.add(client)
        manager.remove(client)
        client.send('still open')
        manager.stop()
        manager.join()
    assert (calls, server.connections[0].messages) == ([], ['still open'])


def test_log(tmpdir, monkeypatch):
    monkeypatch.setattr(sys, 'stdout', StringIO())
    logger = ws4py.configure_logger(filepath=str(tmpdir.join('log')), level=logging.WARNING)
    try:
        logger.info('not this')
        logger.warning('this')
        assert native('WARNING this') in sys.stdout.getvalue()
        assert tmpdir.join('log').read() == sys.stdout.getvalue()
    finally:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.NOTSET)
    assert (ws4py.WS_VERSION, len(ws4py.WS_KEY)) == ((8, 13), 36)
