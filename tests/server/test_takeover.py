"""Taking a connection over: where the socket is, and what is left to the WSGI server."""

from __future__ import absolute_import, division, unicode_literals

import errno
import io
import os
import socket
import ssl
import sys
import threading
import types

import pytest
from support.certificates import server_context

from lomond._compat import OS_ERRORS
from lomond.errors import UpgradeUnavailable
from lomond.server import takeover

pytestmark = pytest.mark.ends


class Thing(object):
    """Has what it is told to have."""

    def __init__(self, **members):
        self.__dict__.update(members)


class Fd(object):
    def __init__(self, fd=7):
        self._fd = fd

    def fileno(self):
        return self._fd


class Failing(object):
    @property
    def rfile(self):
        raise ValueError('closed')


def below(sock, *steps):
    """A chain of objects that leads to a socket."""
    found = Thing(_sock=sock)
    for step in reversed(steps):
        found = Thing(_read=types.MethodType(lambda self: b'',
                                             found)) if step == '_read' else Thing(**{step: found})
    return found


SOCK = Fd()


@pytest.mark.parametrize('environ', [
    {'lomond.socket': SOCK, 'werkzeug.socket': Fd(8)}, {'werkzeug.socket': SOCK}, {'gunicorn.socket': SOCK},
    {'gunicorn.sock': SOCK}, {'eventlet.input': Thing(get_socket=lambda: SOCK)}, {'wsgi.input': below(SOCK)},
    {'wsgi.input': below(SOCK, 'raw')}, {'wsgi.input': below(SOCK, 'rfile', 'raw')},
    {'wsgi.input': below(SOCK, 'stream', '_stream', '_read', 'rfile', 'raw')},
    {'wsgi.input': below(SOCK, *['stream'] * 6)}])
def test_where_the_socket_is(environ):
    assert takeover.find_socket(environ).sock is SOCK


@pytest.mark.parametrize('environ, words', [
    ({'SERVER_SOFTWARE': str('waitress'), 'wsgi.input': io.BytesIO()},
     'waitress keeps the socket to itself; run the '
     'application under gunicorn, gevent, uWSGI, werkzeug or cheroot, or beside it with lomond.server'),
    ({'SERVER_SOFTWARE': str('Apache/2.4 (Unix) mod_wsgi/5')}, 'Apache keeps the socket to itself'),
    ({}, 'this server keeps'), ({'SERVER_SOFTWARE': None, 'wsgi.input': below(SOCK, *['stream'] * 7)},
                                'this server'),
    ({'wsgi.input': Failing()}, 'this server'), ({'gunicorn.socket': Fd(-1)}, 'this server'),
    ({'lomond.socket': object()}, 'this server'),
    ({'lomond.socket': type(str('socket'), (Fd,), {'__module__': str('gevent._socket3')})()},
     'gevent serves this request, but select is not patched; call gevent.monkey.patch_all() first')])
def test_unavailable(environ, words, monkeypatch):
    monkeypatch.delitem(sys.modules, 'gevent.monkey', raising=False)
    with pytest.raises(UpgradeUnavailable) as caught:
        takeover.find_socket(environ)
    assert str(caught.value).startswith(words)


@pytest.fixture
def pair():
    server, client = socket.socketpair()
    client.settimeout(5)
    yield server, client
    client.close()
    server.close()


def take(server, environ, **more):
    environ.update({'lomond.socket': server}, **more)
    return takeover.take_over(takeover.find_socket(environ), environ)


def test_the_server_is_left_with_a_sink(pair):
    server, client = pair
    fd, environ = server.fileno(), {}
    client.sendall(b'for us')
    stream, data = take(server, environ)
    assert server.fileno() == fd != stream.fileno() and data == b''
    server.sendall(b'HTTP/1.1 101 Switching Protocols\r\n\r\n')     # swallowed
    assert server.recv(10) == b''
    place = memoryview(bytearray(10))
    assert stream.recv_into(place) == 6 and stream.recv_into(place) is None
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    assert stream.send(b'ours') == 4 and client.recv(10) == b'ours'
    sink = environ[takeover.SINK].sock
    environ.clear()
    assert not takeover._is_descriptor(sink)        # it goes away with the request
    stream.close()
    assert client.recv(1) == b''


def test_what_the_server_has_read_ahead():
    server, client = socket.socketpair()
    reader = server.makefile('rb')
    if not hasattr(reader, 'peek'):
        pytest.skip('a file of 2.7 cannot peek')
    client.sendall(b'head\nahead')
    assert reader.readline() == b'head\n'
    environ = {'wsgi.input': Thing(rfile=reader)}
    stream, data = takeover.take_over(takeover.find_socket(environ), environ)
    assert data == b'ahead'
    for each in (reader, server, client, stream):
        each.close()


def test_sink_of_uwsgi_outlives_the_request(pair, monkeypatch):
    """uWSGI writes the head of the 101 after it, and would log a broken pipe."""
    server, client = pair
    monkeypatch.setitem(sys.modules, 'uwsgi', Thing(connection_fd=server.fileno))
    environ = {'uwsgi.version': b'2.0.31'}
    stream, _ = takeover.take_over(takeover.find_socket(environ), environ)
    assert takeover.SINK not in environ and len(takeover._sinks) == 1
    stream.close()
    takeover.sweep()
    server.sendall(b'late')
    assert len(takeover._sinks) == 1
    server.close()
    takeover.sweep()
    assert takeover._sinks == []


def test_without_a_descriptor_nothing_changes(pair, monkeypatch):
    server, client = pair

    def fail(*args, **kwargs):
        raise OSError(errno.EMFILE, 'no more')
    for name in ('dup', 'dup2'):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, fail)
            with pytest.raises(OSError):
                take(server, {})
        server.sendall(b'x')
        assert client.recv(10) == b'x'


@pytest.fixture
def tls_pair(certs, pair):
    """The SSLSocket of a server, and that of its client."""
    server, client = pair
    if not isinstance(server, socket.socket):       # 2.7
        server, client = socket.socket(_sock=server), socket.socket(_sock=client)
    done = []
    thread = threading.Thread(target=lambda: done.append(ssl.create_default_context(
        cafile=certs.ca).wrap_socket(client, server_hostname='localhost')))
    thread.start()
    accepted = server_context(certs.server).wrap_socket(server, server_side=True)
    thread.join()
    yield accepted, done[0]
    done[0].close()
    accepted.close()


@pytest.mark.parametrize('closes_early', [True, False])
def test_tls(tls_pair, closes_early):
    server, client = tls_pair
    stream, data = take(server, {})
    assert stream.is_tls and stream.handshake() is None and data == b''
    assert (server.recv(10), server.recv_into(bytearray(9)), server.unwrap(), server.detach()) == (b'', 0,
        None, -1)
    for send in (server.send, server.sendall):
        with pytest.raises(OS_ERRORS) as caught:
            send(b'HTTP/1.1 101')
        assert caught.value.errno == errno.EPIPE
    server.settimeout(1)
    server.setblocking(True)
    server.shutdown(socket.SHUT_RDWR)
    if closes_early:                    # as for a detached connection
        server.close()
    if hasattr(server, '_sock'):        # 2.7: cheroot closes it
        server._sock.close()
    assert stream.send(b'ours') == 4 and client.recv(10) == b'ours'
    client.sendall(b'theirs')
    place = memoryview(bytearray(10))
    while stream.recv_into(place) is None:
        pass
    assert place[:6].tobytes() == b'theirs'
    stream.shutdown_write()
    try:
        assert client.recv(10) == b''
    except OS_ERRORS:                   # 2.7, of an end without close_notify
        assert sys.version_info[0] == 2
    stream.close()
    assert takeover._is_descriptor(server) is not closes_early      # some servers still poll it
    server.close()
    assert not takeover._is_descriptor(server)


def test_tls_of_wsgiref(tls_pair):
    """2.7's would log EPIPE."""
    stream, _ = take(tls_pair[0], {}, SERVER_SOFTWARE=str('WSGIServer/0.1 Python/2.7.18'))
    assert tls_pair[0].send(b'HTTP/1.1 101') == 12
    stream.close()


def test_socket_that_cannot_be_replaced(pair, monkeypatch):
    """On Windows it is used as it is, and given back."""
    server, client = pair
    monkeypatch.setattr(takeover, 'IS_WINDOWS', True)
    server.settimeout(3.0)
    stream, _ = take(server, {})
    assert stream.fileno() == server.fileno() and stream.send(b'x') == 1 and client.recv(1) == b'x'
    stream.close()
    assert client.recv(1) == b'' and server.gettimeout() == 3.0
