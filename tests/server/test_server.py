"""Server and serve(): real sockets and threads."""

from __future__ import absolute_import, division, unicode_literals

import os
import signal
import socket
import ssl
import sys
import threading
import time

import pytest
from support.accepted import REQUEST, Raw, close_all, logged, wait_until
from support.certificates import server_context
from support.client import in_thread, play
from support.errors import raises
from support.frames import KEY, close_payload, frame
from support.network import nothing_stays_open as nothing_stays_open

from lomond import WebSocket, protocol, testing
from lomond._compat import OS_ERRORS, monotonic, native_octets
from lomond.compression import Deflate
from lomond.errors import WebSocketError
from lomond.group import Group
from lomond.server import Server, acceptor, running, serve
from lomond.server import server as module

pytestmark = pytest.mark.ends


def echo(websocket):
    for event in websocket:
        if event.name == 'text':
            websocket.send_text(event.text)
        elif event.name == 'binary':
            websocket.send_binary(event.data)


@pytest.fixture(autouse=True)
def no_thread_stays(nothing_stays_open):
    before = threading.active_count()
    yield
    close_all()
    end = monotonic() + 5
    while threading.active_count() > before and monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before, threading.enumerate()


# -- the constructor

@pytest.mark.parametrize('options, sentence', [
    (dict(handler=3), 'TypeError: handler must be callable, or a dict of callables by path, not int'),
    (dict(handler={'/': 3}), "TypeError: the handler of '/' must be callable, not int"),
    (dict(handler={3: echo}), 'TypeError: a path of handler must be text, not int'),
    (dict(handler={'chat': echo}), "ValueError: path 'chat' of handler does not begin with /"),
    (dict(handler=lambda websocket: (yield)),
     'TypeError: handler must be a plain function; with async def or yield, a call would not run it'),
    (dict(handler={'/': lambda ws: (yield)}), "TypeError: the handler of '/' must be a plain function; "),
    (dict(handler={'/a?b': echo}),
     "ValueError: path '/a?b' of handler has '?'; a path is percent-encoded, and without its query"),
    (dict(handler={'/caf\xe9': echo}), "ValueError: path '/caf\\xe9' of handler has '\\xe9'; "),
    (dict(handler={'/a b': echo}), "ValueError: path '/a b' of handler has ' '; "),
    (dict(host=3), 'TypeError: host must be text, not int'),
    (dict(host=b'\xff'), 'TypeError: host must be text, not '),
    (dict(host=''), "ValueError: host '' is empty; a host name or an IP address is needed"),
    (dict(host='a:80'), "ValueError: host 'a:80' has a character that is not allowed in a host name; "),
    (dict(port='8080'), 'TypeError: port must be an integer, not '),
    (dict(port=65536), 'ValueError: port is 65536; 0 to 65535 is allowed'),
    (dict(port=-1), 'ValueError: port is -1; 0 to 65535 is allowed'),
    (dict(port=True), 'TypeError: port must be an integer, not bool'),
    (dict(ssl_context=True), 'TypeError: ssl_context must be an ssl.SSLContext, not bool'),
    (dict(protocols='chat'), 'TypeError: protocols must be a list or tuple of text, not '),
    (dict(protocols=['a b']), "ValueError: protocol 'a b' is not a token"),
    (dict(compress='yes'), 'TypeError: compress must be True, False or a Deflate, not '),
    (dict(origins=['app.example']), 'ValueError: '),
    (dict(origins=3), 'TypeError: '),
    (dict(on_request=3), 'TypeError: on_request must be callable, not int'),
    (dict(max_message_size=0), 'ValueError: max_message_size is 0; 1 or more is allowed'),
    (dict(max_message_size=1.5), 'TypeError: max_message_size must be an integer, not float'),
    (dict(max_connections=0), 'ValueError: max_connections is 0; 1 or more is allowed'),
    (dict(max_queued=0), 'ValueError: max_queued is 0; 1 or more is allowed'),
    (dict(stream_from=-1), 'ValueError: stream_from is -1; 0 or more is allowed'),
    (dict(poll=0), 'ValueError: poll is 0; seconds above 0 and below 9e9 (292 years) are allowed'),
    (dict(ping_rate=-1), 'ValueError: ping_rate is -1; 0 or more seconds, or None, are allowed'),
    (dict(ping_timeout='1'), 'TypeError: ping_timeout must be a number, not '),
    (dict(open_timeout=-1), 'ValueError: open_timeout is -1; '),
    (dict(close_timeout=float('nan')), 'ValueError: close_timeout is nan; a number of seconds is allowed'),
    (dict(send_timeout=[]), 'TypeError: send_timeout must be a number, not list'),
    (dict(sock=[]), 'ValueError: sock is an empty list; a listening socket is needed'),
    (dict(sock=3), 'TypeError: sock must be a listening socket, or a list of them, not int')])
def test_bad_values(options, sentence):
    """They raise before anything is bound."""
    with pytest.raises((TypeError, ValueError)) as caught:
        Server(**dict(dict(handler=echo), **options))
    assert '{}: {}'.format(caught.type.__name__, caught.value).startswith(sentence)


@pytest.mark.skipif(not hasattr(ssl, 'PROTOCOL_TLS_CLIENT'), reason='contexts are for both sides')
def test_context_of_a_client():
    with raises(ValueError, 'ssl_context is for clients; use ssl.create_default_context('
                'ssl.Purpose.CLIENT_AUTH), and its load_cert_chain()'):
        Server(echo, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


class Table(object):
    items = {'/': echo}.items


@pytest.mark.parametrize('handler', [echo, Table()])
def test_good_values(handler):
    server = Server(handler, protocols=None, compress=Deflate(), max_message_size=None, max_connections=None,
                    ping_rate=None, ping_timeout=0, open_timeout=None, close_timeout=0, send_timeout=None,
                    max_queued=None, poll=1, stream_from=0, origins='*')
    assert server.stop() is True


# -- where it is

def test_where():
    server = Server(echo)
    assert server.url == 'ws://localhost:{}/'.format(server.port)
    assert repr(server) == str("<Server '{}'>").format(server.url)
    assert set(port for _, port in server.addresses) == {server.port}
    for host, _ in server.addresses:        # it listens already; nobody accepts yet
        socket.create_connection((host, server.port), 10).close()
    assert server.connections == [] and server.stop() is True
    for host, _ in server.addresses:
        with pytest.raises(OS_ERRORS):
            socket.create_connection((host, server.port), 10)


@pytest.mark.parametrize('host, expected', [
    (None, 'localhost'), ('0.0.0.0', '127.0.0.1'), ('127.0.0.1', '127.0.0.1')])
def test_url(host, expected, certs):
    server = Server(echo, host, ssl_context=server_context(certs.server))
    assert server.url == 'wss://{}:{}/'.format(expected, server.port)
    server.stop()


def test_sock():
    """Sockets of one's own, as systemd hands them over; stop() closes them."""
    socks = [socket.socket(), socket.socket()]
    with pytest.raises(ValueError):
        Server(echo, sock=socks[0])
    for sock in socks:
        sock.bind(('127.0.0.1', 0))
        sock.listen(5)
    with Server(echo, sock=socks) as server:
        assert server.addresses == [sock.getsockname() for sock in socks]
        for address in server.addresses:
            play('ws://127.0.0.1:{}/'.format(address[1]), {'ready': lambda ws, event: ws.close()}).ended(
                'connecting connected ready closed disconnected', 'closed', True, 1000)
    for sock in socks:
        with pytest.raises(OS_ERRORS):
            sock.getsockname()


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='one loopback address')
@pytest.mark.parametrize('host, expected', [
    ('127.0.0.2', '127.0.0.2'), ('127.0.0.1', 'localhost'), ('0.0.0.0', 'localhost')])
def test_url_of_a_sock(host, expected):
    sock = socket.socket()
    sock.bind((host, 0))
    sock.listen(5)
    server = Server(echo, sock=sock)
    assert server.url == 'ws://{}:{}/'.format(expected, sock.getsockname()[1])
    server.stop()


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='no Unix sockets')
def test_unix_socket(tmpdir):
    sock = socket.socket(socket.AF_UNIX)
    path = str(tmpdir.join('s'))
    sock.bind(path)
    sock.listen(5)
    seen = []
    with Server(lambda websocket: seen.append(websocket.address), sock=sock) as server:
        assert (server.port, server.addresses, server.url) == (None, [path], 'ws://localhost/')
        play(server.url, options=dict(uds=path)).ended(
            'connecting connected ready closing disconnected', 'closed', True, 1000)
    assert seen == [('', 0)]


# -- serving

@pytest.mark.parametrize('tls', [False, True])
def test_echo(certs, tls):
    options = dict(ssl_context=server_context(certs.server)) if tls else {}
    with Server(echo, compress=True, **options) as server:
        played = play(server.url, {
            'ready': lambda ws, event: (ws.send_text('hello'), ws.send_binary(b'x' * 200000)),
            'binary': lambda ws, event: ws.close(3000, 'bye')},
            dict(ssl_cafile=certs.ca, compress=True))
        played.ended('connecting connected ready text binary closed disconnected', 'closed', True, 3000)
        assert played.one('text').text == 'hello' and played.one('binary').data == b'x' * 200000
        assert played.one('closed').reason == 'bye'


@pytest.mark.parametrize('error', [SystemExit, KeyboardInterrupt])
def test_on_request_that_exits(error):
    """In a thread of the server it is a mistake like any other; in the main thread, it is Ctrl-C."""
    def leave(request):
        raise error
    with logged() as records, Server(echo, on_request=leave) as server:
        assert Raw(server).read().startswith(b'HTTP/1.1 500')
    assert [record.exc_info[0] for record in records if record.exc_info] == [error]
    server = Server(on_request=leave)
    Raw(server)
    with pytest.raises(error), Group([server]) as group:
        list(group)


def test_threads_and_connections():
    seen = []

    def handler(websocket):
        seen.append(threading.current_thread())
        assert websocket in server.connections
        echo(websocket)
    with Server(handler) as server:
        with Raw(server), Raw(server) as second:
            wait_until(lambda: len(seen) == 2)
            connections = server.connections
            assert len(connections) == 2 and len(set(seen)) == 2
            assert [websocket.address for websocket in connections][1] == second.sock.getsockname()
            assert all(thread.daemon for thread in seen)
        wait_until(lambda: not server.connections)
    assert connections[0].is_closed


def test_handlers_by_path():
    def other(websocket):
        websocket.close(3001)
    with Server({'/echo': echo, '/other': other}) as server:
        ended = 'connecting connected ready closing disconnected'
        play(server.url + 'other?a=b').ended(ended, 'closed', True, 3001)
        assert play(server.url + 'echo', {'ready': lambda ws, event: ws.close()}).last.graceful
        for path in ('', 'echo/', 'other/x', '%6fther'):
            assert play(server.url + path).one('rejected').response.status_code == 404


def test_uses():
    server = Server(None)
    for use in (server.start, server.__enter__, server.serve_forever):
        with raises(ValueError, 'handler is None; a server without a handler can only join a Group'):
            use()
    server.stop()
    with raises(ValueError, 'handler is None; serve() needs a handler'):
        serve(None)
    server = Server(echo)
    assert server.start() is server
    with raises(WebSocketError, 'the server was started already; make another one'):
        server.start()
    with server as same:                # with goes on with one that was started
        assert same is server
    for use in (server.start, server.serve_forever):
        with pytest.raises(WebSocketError):
            use()
    never = Server(echo)
    never.stop()
    with raises(WebSocketError, 'the server was stopped already; make another one'):
        never.start()


def test_no_thread_for_accepting(monkeypatch):
    """start() raises, and may be called again."""
    server = Server(echo)
    with monkeypatch.context() as patch:
        patch.setattr(acceptor, 'new_thread', lambda *args: NoThread())
        with pytest.raises(RuntimeError):
            server.start()
    with server:
        play(server.url, {'ready': lambda ws, event: ws.close()})


class NoThread(object):
    def start(self):
        raise RuntimeError("can't start new thread")


def test_503_without_a_thread(monkeypatch):
    with Server(echo) as server:
        monkeypatch.setattr(acceptor, 'new_thread', lambda *args: NoThread())
        with logged('WARNING') as records:
            for _ in range(3):
                client = Raw(server)
                answer = client.read()
                client.close()
                assert answer.startswith(b'HTTP/1.1 503 ') and b'Retry-After: 5\r\n' in answer
        assert len(records) == 1
        monkeypatch.undo()
        with Raw(server):
            pass


@pytest.mark.parametrize('make', [Server, testing.Server])
def test_connections_import_nothing(make, monkeypatch):
    """They could not, without a free descriptor."""
    names = 'hashlib', 'lomond.protocol.permessage_deflate'
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr(protocol, 'permessage_deflate', raising=False)
    make(echo).stop()
    assert set(names) <= set(sys.modules)


def test_accepting_survives_what_is_ours(monkeypatch):
    with Server(echo) as server:
        monkeypatch.setattr(server._options, 'take', lambda *args: 1 / 0)
        with logged('ERROR') as records:
            Raw(server).close()
            wait_until(lambda: records)
        monkeypatch.undo()
        with Raw(server):
            pass


def test_vanished():
    """A phone that has left the network: its thread is free after ping_rate + ping_timeout."""
    with Server(echo, ping_rate=0.15, ping_timeout=0.15) as server:
        with Raw(server):
            wait_until(lambda: server.connections)
            begun = monotonic()
            wait_until(lambda: not server.connections)
            assert 0.15 < monotonic() - begun < 1.3


def test_many_come_and_go():
    """500 connections: no thread, no descriptor (the fixtures see to it), and none is lost."""
    with Server(echo, max_connections=None) as server:
        for _ in range(10):
            clients = [Raw(server) for _ in range(50)]
            for client in clients:
                client.ready().close()
        wait_until(lambda: not len(server._reception.running))


# -- stop()

def test_stop():
    with Server(echo) as server:
        clients = [Raw(server).ready() for _ in range(40)]
        answers = [in_thread(client.answer_close) for client in clients]
        begun = monotonic()
        assert server.stop(5, 1012, 'restart') is True and monotonic() - begun < 2
        for thread in answers:
            thread.join(10)
            assert thread.result == [close_payload(1012, b'restart')]
        assert server.stop() is True and server.connections == []


@pytest.mark.parametrize('options, error', [
    (dict(timeout=-1), ValueError), (dict(timeout='1'), TypeError), (dict(code=1005), ValueError),
    (dict(reason=3), TypeError)])
def test_stop_refuses(options, error):
    with Server(echo) as server:
        with pytest.raises(error):
            server.stop(**options)
        with Raw(server):               # nothing has happened
            pass


def test_stop_in_a_handler():
    """Its own thread is not waited for."""
    results = []

    def handler(websocket):
        for event in websocket:
            if event.name == 'text':
                results.append(server.stop())
                results.append([event.name for event in websocket])
    server = Server(handler).start()
    play(server.url, {'ready': lambda ws, event: ws.send_text('stop')}).ended(
        'connecting connected ready closing disconnected', 'closed', True, 1001)
    wait_until(lambda: len(results) == 2)
    assert results == [True, ['closed', 'disconnected']]


def test_stop_drops_what_is_left():
    """A client that does not answer the close frame."""
    with Server(echo) as server, Raw(server) as client:
        wait_until(lambda: server.connections)
        begun = monotonic()
        assert server.stop(timeout=0.2) is True and 0.2 <= monotonic() - begun < 0.9
        assert client.close_frame() == [close_payload(1001)]


def test_stop_names_what_hangs(monkeypatch):
    monkeypatch.setattr(running, 'LAST_WAIT', 0.1)
    release = threading.Event()

    names = {'release': release}
    exec(compile('def hang(websocket): release.wait(30)', native_octets('/h\xe9/hang.py'), 'exec'), names)
    with logged('WARNING') as records:
        server = Server(names['hang']).start()
        with Raw(server):
            wait_until(lambda: server.connections)
            assert server.stop(timeout=0) is False
            assert server.stop(timeout=0) is False and server.connections == []
    release.set()
    record, = records
    assert record.levelname == 'WARNING' and 'in hang' in record.getMessage()
    assert '/hang.py:1 ' in record.getMessage()


def test_stop_can_be_hurried():
    """A second call shortens the timeout of the first one."""
    with Server(echo) as server, Raw(server):
        wait_until(lambda: server.connections)
        first = in_thread(server.stop, 30)
        time.sleep(0.05)
        assert server.stop(0) is True
        first.join(5)
        assert first.result is True


def test_stop_answers_unfinished_handshakes():
    with Server(echo) as server:
        client = Raw(server, REQUEST[:30])
        wait_until(lambda: len(server._reception.running))
        stopping = in_thread(server.stop)
        answer = client.read()
        client.close()
        stopping.join(5)
        assert stopping.result is True
        assert answer.startswith(b'HTTP/1.1 503 ') and b'Retry-After: 5\r\n' in answer


@pytest.mark.parametrize('pause', [0, 0.001, 0.003, 0.01, 0.03])
def test_stop_during_everything(pause):
    """Accepting, shaking hands, handlers, sends: stop() ends it all."""
    def handler(websocket):
        for event in websocket:
            if event.name == 'text':
                websocket.send_binary(b'x' * 100000)

    def connect():
        try:
            while True:
                client = Raw(server, REQUEST + frame(1, b'go', key=KEY))
                client.read(b'\r\n\r\n')
                client.close()
        except OS_ERRORS:
            pass
    server = Server(handler).start()
    threads = [in_thread(connect) for _ in range(4)]
    time.sleep(pause)
    assert server.stop(timeout=2) is True
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive() and thread.error is None


def test_serve_forever_waits_for_the_end():
    server = Server(echo)
    forever = in_thread(server.serve_forever)
    with Raw(server) as client:
        wait_until(lambda: server.connections)
        server.stop(timeout=0.1)
        forever.join(5)
        assert not forever.is_alive() and forever.error is None
        assert client.close_frame() == [close_payload(1001)]


# -- serve()

@pytest.fixture
def handlers_stay():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.skipif(os.name == 'nt', reason='signals cannot be sent')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_serve_sigterm(handlers_stay, capsys, number):
    def client():
        try:
            websocket = WebSocket('ws://localhost:{}/'.format(sock.getsockname()[1]), proxies={})
            for event in websocket:
                events.append(event)
                if event.name == 'ready':
                    os.kill(os.getpid(), number)
        except BaseException as error:
            events.append(error)
    sock, events = socket.socket(), []
    sock.bind(('127.0.0.1', 0))
    sock.listen(5)
    thread = in_thread(client)
    begun = monotonic()
    assert serve(echo, sock=sock) is None
    assert monotonic() - begun < 2
    thread.join(10)
    assert events[-1].graceful and events[-1].code == 1001
    assert capsys.readouterr() == ('', '')


@pytest.mark.skipif(os.name == 'nt', reason='signals cannot be sent')
def test_second_signal(handlers_stay):
    def clients():
        with Raw(server):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)
            time.sleep(0.5)
    sock = socket.socket()
    sock.bind(('127.0.0.1', 0))
    sock.listen(5)

    class server(object):
        addresses, port = [sock.getsockname()], sock.getsockname()[1]
    thread = in_thread(clients)
    begun = monotonic()
    serve(echo, sock=sock)
    assert monotonic() - begun < 2
    thread.join(10)


def test_serve_in_another_thread(handlers_stay, monkeypatch):
    """Signals are left alone there."""
    made = []

    class Noted(Server):
        def __init__(self, *args, **options):
            super(Noted, self).__init__(*args, **options)
            made.append(self)
    monkeypatch.setattr(module, 'Server', Noted)
    thread = in_thread(serve, echo, '127.0.0.1', 0, poll=1.0)
    wait_until(lambda: made)
    play(made[0].url, {'ready': lambda ws, event: ws.close()})
    made[0].stop()
    thread.join(10)
    assert not thread.is_alive() and thread.error is None and thread.result is None


def test_serve_says_what_is_wrong():
    sock = socket.socket()
    sock.bind(('127.0.0.1', 0))
    sock.listen(1)
    with pytest.raises(OS_ERRORS, match='cannot listen on 127.0.0.1 port'):
        serve(echo, '127.0.0.1', sock.getsockname()[1])
    sock.close()
    with pytest.raises(TypeError):
        serve(echo, ping=3)
