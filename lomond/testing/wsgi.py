"""Run a WSGI application against a client without any server.

The client's session gets one end of a socket pair; the application runs in a thread of
its own, and gets the other end as ``lomond.socket``.

Knows nothing of: WebSockets.
"""

from __future__ import absolute_import, division, unicode_literals

import io
import socket
import sys
import traceback

from .._compat import OS_ERRORS, join_bytes, native, native_octets, new_thread, unquote_octets
from .._http11 import HeadReader, to_octets
from ..errors import CriticalProtocolError
from ..response import Request
from ..session import WebsocketSession


def wsgi_session(app, **environ):
    """Make a ``session_class`` that runs a WSGI application, without any server.

    >>> from lomond import WebSocket
    >>> from lomond.testing import wsgi_session
    >>> def app(environ, start_response):
    ...     start_response('404 Not Found', [('X-Path', environ['PATH_INFO'])])
    ...     return [b'nothing here']
    >>> client = WebSocket('ws://test/path')
    >>> for event in client.connect(session_class=wsgi_session(app)):
    ...     if event.name == 'rejected':
    ...         print(event.response.get('x-path'))
    /path

    For any WSGI application: a :class:`lomond.wsgi.WebSocketApp`, or one of Flask with
    a view that calls :func:`lomond.wsgi.upgrade`.  Each connection, and each redirect,
    calls it once, in a thread of its own.  If it raises, the answer is 500 and the
    traceback goes to ``wsgi.errors``, which is standard error.

    :param app: the application
    :param environ: what its environ has besides, or instead, such as ``REMOTE_USER``
    :returns: a class
    :raises TypeError: if ``app`` is not callable
    """
    if not callable(app):
        raise TypeError('app must be callable, not {}'.format(type(app).__name__))

    class WsgiSession(WebsocketSession):
        """A session that is connected to a WSGI application."""

        def _connect(self):
            ours, theirs = socket.socketpair()
            if not isinstance(ours, socket.socket):         # 2.7
                ours, theirs = socket.socket(_sock=ours), socket.socket(_sock=theirs)
            new_thread(_serve, 'lomond.testing.wsgi_session', app, theirs, environ).start()
            return ours, None

    return WsgiSession


def _serve(app, sock, environ):
    """Read one request, call the application, answer; the body of the thread."""
    try:
        reader, head = HeadReader(kind='request'), None
        while head is None:
            data = sock.recv(65536)
            if not data:
                return
            head = reader.feed(data)
        sock.sendall(_call(app, _make_environ(Request(head), reader.surplus, sock, environ)))
    except (CriticalProtocolError,) + OS_ERRORS:        # the client has gone, or speaks no HTTP
        pass
    finally:
        sock.close()


def _make_environ(request, surplus, sock, further):
    path = unquote_octets(request.path)
    environ = {
        'REQUEST_METHOD': native(request.method), 'SCRIPT_NAME': native(''), 'PATH_INFO': path,
        'QUERY_STRING': native(request.query), 'SERVER_PROTOCOL': native(request.http_ver),
        'SERVER_NAME': native('localhost'), 'SERVER_PORT': native('80'),
        'SERVER_SOFTWARE': native('lomond.testing'), 'REMOTE_ADDR': native('127.0.0.1'),
        'REMOTE_PORT': native('0'), 'wsgi.version': (1, 0), 'wsgi.url_scheme': native('http'),
        'wsgi.input': io.BytesIO(surplus), 'wsgi.errors': sys.stderr, 'wsgi.multithread': True,
        'wsgi.multiprocess': False, 'wsgi.run_once': False, 'lomond.socket': sock}
    for name in request.headers:
        key = name.upper().replace('-', '_')
        if key not in ('CONTENT_LENGTH', 'CONTENT_TYPE'):
            key = 'HTTP_' + key
        environ[key] = native_octets(','.join(request.header_lines(name)))
    environ.update(further)
    return dict((native(name), value) for name, value in environ.items())


def _call(app, environ):
    """Call the application; return its answer as bytes."""
    begun, parts = [], []

    def start_response(status, headers, exc_info=None):
        begun[:] = [(status, headers)]
        return parts.append

    try:
        body = app(environ, start_response)
        try:
            parts.extend(body)
        finally:
            if hasattr(body, 'close'):
                body.close()
        (status, headers), = begun
    except Exception:
        environ['wsgi.errors'].write(native(traceback.format_exc()))
        status, headers, parts = '500 Internal Server Error', [], []
    lines = [b'HTTP/1.1 ' + to_octets('status', status, 'latin-1')]
    for pair in headers:
        lines.append(b': '.join(to_octets('header', text, 'latin-1') for text in pair))
    return join_bytes([b'\r\n'.join(lines + [b'Connection: close', b'', b''])] + parts)
