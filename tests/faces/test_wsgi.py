# -*- coding: utf-8 -*-
"""lomond.wsgi: requests that a WSGI server has read, refusals as ordinary answers, and the end."""

from __future__ import absolute_import, division, unicode_literals

import logging
import threading
import time
from wsgiref.validate import validator

import pytest
from support.errors import raises
from support.opening import HANDSHAKE_KEY

from lomond import WebSocket, errors, wsgi
from lomond._compat import native, native_octets
from lomond.testing import wsgi_session
from lomond.wsgi import WebSocketApp, done, upgrade

pytestmark = pytest.mark.ends


def echo(websocket):
    for event in websocket:
        if event.name == 'text':
            websocket.send_text(event.text)
        elif event.name == 'binary':
            websocket.send_binary(event.data)


def play(app, react=None, url='ws://test/chat', environ=(), **options):
    """Connect to an application; return the events but Poll and Pong."""
    events = []
    client = WebSocket(url, proxies={}, **options)
    session_class = wsgi_session(app, **dict(environ))
    for event in client.connect(session_class=session_class, poll=100, ping_rate=0, close_timeout=5):
        if event.name not in ('connecting', 'connected', 'poll'):
            events.append(event)
        if react is not None:
            react(client, event)
    return events


def names(events):
    return ' '.join(event.name for event in events)


def say_hello(client, event):
    if event.name == 'ready':
        client.send_text('hello')
        client.send_binary(b'x' * 200000)
    elif event.name == 'binary':
        client.close(1000, 'bye')


def make_environ(path='/chat', asks=True, **more):
    environ = {'REQUEST_METHOD': 'GET', 'SCRIPT_NAME': '', 'PATH_INFO': path, 'SERVER_PROTOCOL': 'HTTP/1.1',
               'SERVER_NAME': 'x', 'SERVER_PORT': '80', 'HTTP_HOST': 'app.example', 'REMOTE_ADDR': '10.0.0.1',
               'wsgi.url_scheme': 'http'}
    if asks:
        environ.update(HTTP_UPGRADE='websocket', HTTP_CONNECTION='Upgrade', HTTP_SEC_WEBSOCKET_VERSION='13',
                       HTTP_SEC_WEBSOCKET_KEY=HANDSHAKE_KEY.decode('ascii'))
    environ.update(more)
    return dict((native(name), native_octets(value) if isinstance(value, type('')) else value)
                for name, value in environ.items())


def call(app, environ):
    """Call an application; return status, headers as a dict, body."""
    begun = []
    body = b''.join(app(environ, lambda status, headers: begun.append((status, headers))))
    (status, headers), = begun
    assert all(type(text) is str for pair in headers for text in pair) and type(status) is str
    return int(status[:3]), dict((name.lower(), value) for name, value in headers), body


# -- connections

@pytest.mark.parametrize('detach', [False, True])
@pytest.mark.parametrize('compress', [False, True])
def test_messages_and_a_close(detach, compress):
    seen = []

    def handler(websocket):
        seen.append((websocket.request.path, websocket.request.query, websocket.address, websocket.is_secure,
                     websocket.protocol, websocket.supports_compression, websocket.environ['REMOTE_USER'],
                     sorted(set(websocket.environ) & {'wsgi.input', 'lomond.sink'}),
                     app.connections == [websocket]))
        echo(websocket)

    app = WebSocketApp({'/chat': handler}, detach=detach, protocols=['b'], compress=True)
    events = play(app, say_hello, 'ws://test/chat?x=%20', {'REMOTE_USER': 'me', 'REMOTE_PORT': '99'},
                  protocols=['a', 'b'], compress=compress)
    assert names(events) == 'ready text binary closed disconnected' and events[-1].graceful
    assert (events[-2].code, events[-2].reason) == (1000, 'bye')
    assert seen == [('/chat', 'x=%20', ('127.0.0.1', 99), False, 'b', compress, 'me', [], True)]
    assert app.stop() and app.connections == []


def test_upgrade():
    def app(environ, start_response):
        with upgrade(environ, poll=0.01) as websocket:
            assert next(websocket).name == 'poll'
            websocket.send_text('inline')
            events = list(iter(websocket.receive, None))
            assert [event.text for event in events if event.name == 'text'] == ['answer']
        return done(environ, start_response)

    def react(client, event):
        if event.name == 'text':
            client.send_text('answer')
            client.close(1001)
    events = play(app, react)
    assert names(events) == 'ready text closed disconnected' and events[2].code == 1001


def wait_in_vain(websocket):
    with pytest.raises(errors.ReceiveTimeout):
        websocket.receive(0.01)


@pytest.mark.parametrize('use', [lambda websocket: None, wait_in_vain], ids=['unused', 'after a wait'])
def test_upgrade_that_is_dropped(use):
    """The connection is left at once, without the collector."""
    left, is_done = [], threading.Event()

    def app(environ, start_response):
        websocket = upgrade(environ)
        use(websocket)
        session = websocket.session
        del websocket
        left.append(session.is_over)
        session.end()
        is_done.set()
        return done(environ, start_response)
    events = play(app)
    assert is_done.wait(5) and left == [True]
    assert names(events) == 'ready closing disconnected' and events[1].code == 1001


class Stream(object):
    """For wsgi.errors, which another thread writes."""

    def __init__(self):
        self._text, self._written = '', threading.Event()

    def write(self, text):
        self._text += text
        self._written.set()

    def flush(self):
        self._is_flushed = True

    def wait(self):
        assert self._written.wait(5)
        return self._text


def test_upgrade_that_raises():
    """It closes with 1011, and what was raised goes on."""
    def app(environ, start_response):
        with upgrade(environ):
            raise KeyError('mine')
    stream = Stream()
    events = play(app, environ={'wsgi.errors': stream})
    assert names(events) == 'ready closing disconnected' and events[1].code == 1011
    assert stream.wait().count('KeyError: ') == 1


@pytest.mark.parametrize('has_logging', [True, False])
def test_handler_that_raises(has_logging, caplog, monkeypatch):
    """One traceback: in the log, or in wsgi.errors."""
    def bad(websocket):
        raise KeyError('a bug')
    stream = Stream()
    if not has_logging:
        monkeypatch.setattr('lomond.server.log._has_handler', lambda logger: False)
    with caplog.at_level(logging.ERROR, 'lomond.server'):
        events = play(WebSocketApp(bad), environ={'wsgi.errors': stream})
    assert names(events) == 'ready closing disconnected' and (events[1].code, events[1].reason) == (1011, '')
    assert len(caplog.records) == has_logging and ('KeyError' in stream._text) is not has_logging
    assert 'KeyError' in (caplog.text if has_logging else stream.wait())
    assert hasattr(stream, '_is_flushed') is not has_logging


# -- refusals

@pytest.mark.parametrize('environ, status, words', [
    (make_environ(asks=False), 426, b"Upgrade header is ''"),
    (make_environ('/other'), 404, b"there is nothing at '/other'"),
    (make_environ(HTTP_ORIGIN='https://evil.example'), 403,
     b"origin 'https://evil.example' is not allowed here"),
    (make_environ(HTTP_ORIGIN='http://app.example,http://app.example'), 403, b'origin '),
    (make_environ(SERVER_PROTOCOL='HTTP/1.0'), 400, b'version is HTTP/1.0'),
    (make_environ(CONTENT_LENGTH='3'), 400, b'request has a body'),
    (make_environ(REQUEST_METHOD='POST'), 405, b"method 'POST'"),
    (make_environ(HTTP_SEC_WEBSOCKET_VERSION='8'), 426, b"Sec-WebSocket-Version '8'"),
    (make_environ(REQUEST_METHOD='HEAD'), 426, b''),
    ({}, 400, b''), (make_environ(HTTP_X=7), 500, b'Internal Server Error\n'),
    (make_environ(HTTP_X='a\r\nEvil: b'), 400, b"header 'X' has '\\r' in its value"),
    (make_environ(PATH_INFO=7), 404, b"there is nothing at '7'")])
def test_refusals(environ, status, words):
    """Ordinary answers; the socket has not been touched: there is none."""
    app = WebSocketApp({'/chat': echo}, on_request=lambda request: request.get('x') and {}['x'])
    found, headers, body = call(app, environ)
    assert found == status and body.startswith(words) and not set(headers) & {'connection', 'upgrade'}
    assert ('sec-websocket-version' in headers) == (status == 426)
    with pytest.raises(errors.UpgradeRefused) as caught:
        wsgi._judge(environ, app._options)
    refusal = caught.value
    assert refusal.status == status and refusal.body == body and isinstance(refusal, errors.HandshakeError)
    assert call(refusal, environ) == (found, headers, body)


def test_valid_answers():
    """By the rules of PEP 3333."""
    import io
    environ = make_environ(asks=False, **{'wsgi.input': io.BytesIO(), 'wsgi.errors': io.StringIO(),
                                          'wsgi.version': (1, 0),
                                          'wsgi.multithread': True, 'wsgi.multiprocess': False,
                                          'wsgi.run_once': False,
                                          'QUERY_STRING': ''})
    environ.pop('HTTP_UPGRADE', None)
    answer = validator(WebSocketApp(echo))(environ, lambda status, headers, exc_info=None: None)
    assert b''.join(answer).startswith(b'Upgrade header')
    answer.close()


def test_fallback():
    def page(environ, start_response):
        start_response(native('200 OK'), [])
        return [b'page']
    app = WebSocketApp({'/chat': echo}, fallback=page)
    assert call(app, make_environ(asks=False))[2] == b'page'
    assert call(app, make_environ(HTTP_UPGRADE='h2c'))[2] == b'page'
    assert call(app, make_environ('/other'))[0] == 404


def test_socket_that_cannot_be_had():
    with pytest.raises(errors.UpgradeUnavailable) as caught:
        WebSocketApp(echo)(make_environ(SERVER_SOFTWARE='waitress'), None)
    assert str(caught.value).startswith('waitress keeps the socket to itself')


@pytest.mark.parametrize('environ, target', [
    (make_environ('/a b%/\xe9?#'), b'/a%20b%25/%E9%3F%23'), (make_environ(SCRIPT_NAME='/app'), b'/app/chat'),
    (make_environ(QUERY_STRING='x=%20&y'), b'/chat?x=%20&y'),
    (make_environ('', RAW_URI='//x/%2e?y'), b'//x/%2e?y'),
    (make_environ(REQUEST_URI='/r', RAW_URI=''), b'/r'), (make_environ(''), b'/')])
def test_target(environ, target):
    assert wsgi._find_target(environ) == target


def test_eventlet_says_http_1_0():
    environ = make_environ(SERVER_PROTOCOL='HTTP/1.0', **{'eventlet.input': object()})
    assert wsgi._judge(environ, WebSocketApp(echo)._options).status == 101


@pytest.mark.parametrize('arguments, options, error', [
    ((None,), {}, TypeError), ((echo, 7), {}, TypeError), ((echo,), {'host': 'x'}, TypeError),
    ((echo,), {'ssl_context': None}, TypeError), ((echo,), {'sock': None}, TypeError),
    ((echo,), {'poll': 0}, ValueError),
    ((echo,), {'origins': ['x']}, ValueError), (({'x': echo},), {}, ValueError)])
def test_bad_options(arguments, options, error):
    with pytest.raises(error):
        WebSocketApp(*arguments, **options)
    if arguments == (echo,):
        with pytest.raises(error):
            upgrade(make_environ(), **options)


@pytest.mark.parametrize('name', ['max_connections', 'handler', 'sock', 'origin'])
def test_upgrade_takes_fewer_options(name):
    with raises(TypeError, "upgrade() takes no '{}'".format(name)):
        upgrade(make_environ(), **{str(name): 7})
    if name in ('sock', 'origin'):
        with raises(TypeError, "WebSocketApp() takes no '{}'".format(name)):
            WebSocketApp(echo, **{str(name): 7})


# -- threads, and the end

def test_warning_of_a_server_without_threads(caplog):
    app = WebSocketApp(lambda websocket: None)
    for _ in range(2):
        play(app, environ={'wsgi.multithread': False})
    play(WebSocketApp(lambda websocket: None, detach=True), environ={'wsgi.multithread': False})
    assert [record.getMessage() for record in caplog.records if record.levelname == 'WARNING'] == [
        'a WebSocket blocks this process for all other requests, since the server has no threads; see detach']


def test_detached_connections_have_a_limit_and_an_end():
    app = WebSocketApp(echo, detach=True, max_connections=1)
    second = []

    def react(client, event):
        if event.name == 'ready':
            second.extend(play(app))
            threading.Thread(target=app.stop).start()
    first = play(app, react)
    assert names(first) == 'ready closing disconnected' and first[1].code == 1001
    assert names(second) == 'rejected disconnected'
    assert (second[0].response.status_code, second[0].response.get('retry-after')) == (503, '5')
    assert app.stop(0) and play(app)[0].response.status_code == 503
    with pytest.raises(ValueError):
        app.stop(-1)


def test_stop_drops_what_does_not_end():
    def hang(websocket):
        while websocket.is_active:
            time.sleep(0.01)
        for _ in websocket:
            pass
        time.sleep(0.05)
    app = WebSocketApp(hang, detach=True)

    def react(client, event):
        if event.name == 'ready':
            assert app.stop(0.05, 1012, 'restart')
    assert names(play(app, react)).startswith('ready')


def test_without_a_thread_it_is_503(monkeypatch):
    class NoThread(object):
        def start(self):
            raise RuntimeError("can't start new thread")
    app = WebSocketApp(echo, detach=True)
    monkeypatch.setattr(wsgi, 'new_thread', lambda *args: NoThread())
    assert play(app)[0].response.status_code == 503


def test_clients_get_1001_at_exit():
    app = WebSocketApp(echo, detach=True)

    def react(client, event):
        if event.name == 'ready':
            assert list(wsgi._active.values()) == [app]
            wsgi._stop_all()
    events = play(app, react)
    assert names(events) == 'ready closing disconnected' and events[1].code == 1001
    assert not wsgi._active


# -- wsgi_session

def test_any_application():
    def app(environ, start_response):
        write = start_response(native('418 Tea'), [(native('X-Path'), environ['PATH_INFO'])])
        write(b'tea' if environ['HTTP_X'] == 'tea' else b'')
        return [b'pot']
    client = play(app, url='ws://test/caf%C3%A9', headers={'X': 'tea'})
    assert names(client) == 'rejected disconnected'
    assert (client[0].response.status_code, client[0].response.header_lines('x-path')) == (418,
        ['/caf\xc3\xa9'])


def test_application_that_raises():
    def app(environ, start_response):
        raise KeyError('a bug')
    stream = Stream()
    assert play(app, environ={'wsgi.errors': stream})[0].response.status_code == 500
    assert 'KeyError' in stream.wait()
    with pytest.raises(TypeError):
        wsgi_session(7)


# -- in a group

def test_group_adopts_what_upgrade_returned():
    """One thread serves the connections of a WSGI server."""
    from lomond.group import Group
    group, seen = Group(keep_open=True), []

    def serve():
        for websocket, event in group:
            seen.append(event.name)
            if event.name == 'text':
                websocket.send_text(event.text)
            elif event.name == 'binary':
                websocket.send_binary(event.data)
            elif event.name == 'disconnected':
                group.close()

    def app(environ, start_response):
        websocket = upgrade(environ)
        group.add(websocket)
        with pytest.raises(errors.WebSocketError):
            group.add(websocket)
        with pytest.raises(errors.WebSocketError):
            websocket.receive()
        with pytest.raises(TypeError):
            group.add(websocket, ping_rate=1)
        return done(environ, start_response)

    thread = threading.Thread(target=serve)
    thread.start()
    events = play(app, say_hello)
    thread.join(5)
    assert names(events) == 'ready text binary closed disconnected' and events[-1].graceful
    assert [name for name in seen if name != 'poll'] == [
        'accepted', 'text', 'binary', 'closing', 'disconnected']
    assert not group.websockets
