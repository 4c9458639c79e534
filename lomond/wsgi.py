"""WebSockets inside a WSGI server (PEP 3333): an application, and a function for views.

The WSGI server has read the request, which is checked like any other and may be refused
with an ordinary answer.  If it is accepted, the connection is taken over from the
server, and continues like one of :class:`lomond.server.Server`.

Knows nothing of: frameworks, how a socket is taken over.
"""

from __future__ import absolute_import, division, unicode_literals

import threading

from . import errors
from ._compat import OS_ERRORS, join_bytes, monotonic, native_octets, new_thread, sleep, text_type
from ._http11 import reason_phrase
from .events import Ready
from .network.tls_stream import as_stream
from .protocol.frames import encode_close_payload
from .protocol.handshake import Outcome, make_refusal
from .response import Request
from .server import connection
from .server.accepted import Acceptance, AcceptedSession
from .server.connection import ServerWebSocket
from .server.log import get_logger, log_failure
from .server.options import OPTIONS, Options
from .server.running import LAST_WAIT, Running
from .server.shortage import is_shortage
from .server.takeover import SINK, find_socket, is_patched, take_over

#: Hop-by-hop headers, which an application must not send (RFC 9110, 7.6.1; PEP 3333).
_HOP_BY_HOP = frozenset((b'connection', b'upgrade', b'keep-alive', b'transfer-encoding', b'te', b'trailer',
                         b'proxy-authenticate', b'proxy-authorization', b'proxy-connection'))
#: Options of a Server that are up to the WSGI server here.
_NOT_OURS = frozenset(('host', 'port', 'sock', 'ssl_context'))
#: Bytes that need no quoting in a path (RFC 3986, 3.3).
_PLAIN = frozenset(bytearray(b"/-._~!$&'()*+,;=:@0123456789"
                             b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'))
#: How often stop() looks whether the handlers have ended (seconds).
_LOOK = 0.02
#: How long the connections may take to end when the process exits (seconds).
_AT_EXIT = 3.0

_active = {}                            # the applications that have connections, to stop them at exit
_is_registered = []


def done(environ, start_response):
    """Answer a request whose connection was taken; see :func:`upgrade`.

    :param environ: as for any WSGI application, like ``start_response``
    :param start_response: called with 101, which access logs show
    :returns: an empty body
    """
    start_response(str('101 Switching Protocols'), [])
    return []


def upgrade(environ, **options):
    """Take the connection of a request over, for views that want it in their own flow.

    >>> from lomond import WebSocket
    >>> from lomond.testing import wsgi_session
    >>> from lomond.wsgi import done, upgrade
    >>> def view(environ, start_response):
    ...     with upgrade(environ, protocols=['chat.v1']) as websocket:
    ...         websocket.send_text(u'hello')
    ...     return done(environ, start_response)
    >>> client = WebSocket('ws://test/', protocols=['chat.v1'])
    >>> for event in client.connect(session_class=wsgi_session(view)):
    ...     if event.name == 'text':
    ...         print(event.text)
    hello

    A view of Flask (``@app.route('/rooms/<name>', websocket=True)``) gives it
    ``request.environ``, and returns ``done``.  Leaving ``with`` closes with 1000, or
    with 1011 after an exception, which propagates.  This thread iterates.

    :param environ: the WSGI environ of the request
    :param options: those of :class:`WebSocketApp`, without ``max_connections``
    :returns: a :class:`~lomond.server.ServerWebSocket`
    :raises UpgradeRefused: if the request does not ask properly for a WebSocket, or is
        not wanted; it is a WSGI application that answers so (Flask: ``return refusal``)
    :raises UpgradeUnavailable: if the server does not let go of its socket
    :raises TypeError, ValueError: for a bad option
    """
    return _Judged(environ, **options).take()


class _Judged(object):
    """A request that was accepted, and whose connection is not taken yet.

    Parameters and errors are those of :func:`upgrade`.

    :ivar outcome: the :class:`~lomond.protocol.handshake.Outcome`
    """

    def __init__(self, environ, **options):
        self._environ = environ
        self._options = _upgrade_options('upgrade', options)
        self.outcome = _judge(environ, self._options)
        self._found = find_socket(environ)

    @property
    def sock(self):
        """The server's socket."""
        return self._found.sock

    def take(self):
        """Take the connection, and answer the request.

        :returns: a :class:`~lomond.server.ServerWebSocket`
        :raises UpgradeRefused: 503, without a descriptor
        """
        return _open(_take(self._environ, self._options, self.outcome, self._found))


def _adopt(sock, address):
    """Make the WebSocket of a socket whose opening handshake is done.

    :param address: ``(host, port)`` of the client
    :returns: a :class:`~lomond.server.ServerWebSocket`
    """
    request = Request(b'GET / HTTP/1.1\r\n\r\n')
    acceptance = Acceptance(outcome=Outcome(Ready(request, None, set()), b'', None, set(), None),
                            max_message_size=1024 * 1024)
    session = _TakenSession(acceptance, None)
    session.start(poll=None, ping_rate=30.0, ping_timeout=30.0)
    session.stream = as_stream(sock)
    return _open(ServerWebSocket(session, acceptance, address, session.stream.is_tls))


def _open(websocket):
    """Complete the opening handshake; afterwards, any thread or group may iterate."""
    try:
        connection.shake_hands(websocket)
    except BaseException:
        connection.end(websocket)
        raise
    connection.release(websocket)
    return websocket


class WebSocketApp(object):
    """A WSGI application that serves WebSockets.

    Mount it at a path, return it from a view (Flask: ``@app.route('/ws',
    websocket=True)``), or graft it into CherryPy.

    >>> from lomond import WebSocket
    >>> from lomond.testing import wsgi_session
    >>> from lomond.wsgi import WebSocketApp
    >>> def greet(websocket):
    ...     websocket.send_text(u'hello from ' + websocket.request.path)
    >>> client = WebSocket('ws://test/chat')
    >>> for event in client.connect(session_class=wsgi_session(WebSocketApp(greet))):
    ...     if event.name == 'text':
    ...         print(event.text)
    hello from /chat

    A handler that raises closes with 1011; its traceback goes to the logger
    ``lomond.server``, or to ``wsgi.errors`` if logging is not configured.

    When the process exits, clients of detached connections get 1001.

    Threads: all members may be used from any thread; :meth:`stop` in a signal handler,
    too, as far as the close frames go.

    :param handler: as for :class:`~lomond.server.Server`
    :param fallback: a WSGI application for requests that do not ask for a WebSocket;
        None answers 426
    :param detach: if false, the handler runs inside the request, with its thread and
        context, and the server's limit of threads is the limit of connections.  If
        true, it runs in a thread of its own, and the server's thread is free at once;
        beyond ``max_connections`` the answer is 503
    :param options: those of :class:`~lomond.server.Server`, but ``host``, ``port``,
        ``sock`` and ``ssl_context``; ``open_timeout`` has no effect
    :raises TypeError: if a value has the wrong type
    :raises ValueError: if a value cannot be used
    """

    def __init__(self, handler, fallback=None, detach=False, **options):
        if fallback is not None and not callable(fallback):
            raise TypeError('fallback must be callable, not {}'.format(type(fallback).__name__))
        if handler is None:
            raise TypeError('handler must be callable, or a dict of callables by path, not None')
        self._options = _make_options('WebSocketApp', handler, options, _NOT_OURS)
        self._fallback = fallback
        self._detach = bool(detach)
        self._running = Running()
        self._has_warned = False

    @property
    def connections(self):
        """A list of the open connections, a snapshot."""
        return self._running.websockets()

    def __call__(self, environ, start_response):
        """Answer one request; raises ``UpgradeUnavailable`` if the server keeps its
        socket."""
        if self._fallback is not None and 'websocket' not in _elements(environ.get('HTTP_UPGRADE')):
            return self._fallback(environ, start_response)
        try:
            outcome = _judge(environ, self._options)
            found = find_socket(environ)
            if self._running.stopping is not None or self._is_full():
                raise _refuse(*make_refusal(503))
            if self._detach:
                self._serve_detached(environ, outcome, found)
            else:
                self._serve_inline(environ, outcome, found)
        except errors.UpgradeRefused as refusal:
            return refusal(environ, start_response)
        return done(environ, start_response)

    def _is_full(self):
        most = self._options.max_connections
        return self._detach and most is not None and len(self._running) >= most

    # -- inside the request

    def _serve_inline(self, environ, outcome, found):
        if not (environ.get('wsgi.multithread', True) or self._has_warned or is_patched('socket')):
            self._has_warned = True
            get_logger().warning('a WebSocket blocks this process for all other requests, since the server '
                                 'has no threads; see detach')
        self._serve(_take(environ, self._options, outcome, found), threading.current_thread())

    def _serve(self, websocket, thread):
        running = self._running
        running.add(websocket, thread)
        _note_active(self)
        try:
            running.serve(websocket, self._options)
        finally:
            if not len(running):
                _active.pop(id(self), None)

    # -- in a thread of its own

    def _serve_detached(self, environ, outcome, found):
        # First the thread, then the socket: without a thread, the answer is 503.
        box, is_filled = [], threading.Event()
        thread = new_thread(self._serve_later, 'lomond.wsgi connection', box, is_filled)
        try:
            thread.start()
        except Exception:               # RuntimeError, thread.error, MemoryError
            raise _refuse(*make_refusal(503))
        try:
            box.append(_take(environ, self._options, outcome, found))
        finally:
            is_filled.set()

    def _serve_later(self, box, is_filled):
        is_filled.wait()
        if box:
            try:
                self._serve(box.pop(), threading.current_thread())
            except Exception:
                log_failure('a connection has failed')

    # -- the end

    def stop(self, timeout=10.0, code=1001, reason=''):
        """Close all connections, and wait for their handlers; further requests get 503.

        What is left after the timeout is dropped, and gets one more second.  From any
        thread, also from a handler, which is not waited for; it may be called again.

        :param timeout: seconds for the handlers; None for no limit
        :param code: close code for all connections; 1012 for a restart
        :param reason: text, cut to 123 bytes of UTF-8
        :returns: True if no handler but the caller's is left
        :raises TypeError: if a value has the wrong type
        :raises ValueError: if the timeout is below 0, or the code may not be sent
        """
        from .client.options import check_time
        timeout = check_time('timeout', timeout)
        encode_close_payload(code, reason)
        self._running.stop(code, reason)
        if self._wait(timeout):
            return True
        self._running.drop()
        return self._wait(LAST_WAIT)

    def _wait(self, seconds):
        deadline = None if seconds is None else monotonic() + seconds
        me = threading.current_thread()
        while any(place.thread is not me for place in self._running.places()):
            if deadline is not None and monotonic() >= deadline:
                return False
            sleep(_LOOK)
        return True


def _note_active(app):
    if not _is_registered:
        _is_registered.append(True)
        import atexit
        atexit.register(_stop_all)
    _active[id(app)] = app


def _stop_all():
    apps = list(_active.values())
    for app in apps:
        app._running.stop(1001, '')     # all at once, then one after the other
    deadline = monotonic() + _AT_EXIT
    for app in apps:
        app.stop(max(deadline - monotonic(), 0))


# -- the request

def _make_options(what, handler, options, without):
    for name in options:
        if name in without or name not in OPTIONS:
            raise TypeError("{}() takes no '{}'".format(what, name))
    return Options(handler, **options)


def _upgrade_options(what, options):
    """Check the options of :func:`upgrade`.

    :param what: whose options they are, for messages
    """
    return _make_options(what, None, options, _NOT_OURS | frozenset(('handler', 'max_connections')))


def _judge(environ, options):
    """Judge a request.

    :returns: the :class:`~lomond.protocol.handshake.Outcome` if it was accepted
    :raises UpgradeRefused: if not
    """
    # eventlet always says HTTP/1.0.
    version = 'HTTP/1.1' if 'eventlet.input' in environ else environ.get('SERVER_PROTOCOL', 'HTTP/1.1')
    outcome = options.new_handshake().from_parts(
        _octets(environ.get('REQUEST_METHOD')), _find_target(environ), _find_headers(environ),
        _octets(version))
    if outcome.status == 101:
        return outcome
    get_logger().debug('a request from %s was not upgraded: %s', environ.get('REMOTE_ADDR'),
                       outcome.event.reason)
    raise _refuse(outcome.status, outcome.headers, outcome.body, outcome.event.reason)


def _refuse(status, headers, body, reason=None):
    refusal = errors.UpgradeRefused(reason or reason_phrase(status))
    refusal.status, refusal.body = status, body
    refusal.headers = [
        (native_octets(name.decode('latin-1')), native_octets(value.decode('latin-1')))
        for name, value in headers if name.lower() not in _HOP_BY_HOP]
    return refusal


def _octets(value):
    """Return a value of the environ as the bytes that the server has read."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, text_type):
        value = '' if value is None else text_type(value)
    try:
        return value.encode('latin-1')
    except UnicodeEncodeError:
        return value.encode('utf-8', 'replace')


def _find_target(environ):
    for name in ('RAW_URI', 'REQUEST_URI'):
        if environ.get(name):
            return _octets(environ[name])
    path = _octets(environ.get('SCRIPT_NAME')) + _octets(environ.get('PATH_INFO'))
    quoted = join_bytes(
        bytes(bytearray((octet,))) if octet in _PLAIN else '%{:02X}'.format(octet).encode('ascii')
        for octet in bytearray(path or b'/'))
    query = _octets(environ.get('QUERY_STRING'))
    return quoted + b'?' + query if query else quoted


def _find_headers(environ):
    headers = []
    for name, value in list(environ.items()):
        name = _octets(name)
        if name.startswith(b'HTTP_'):
            headers.append((name[5:].replace(b'_', b'-').title(), _octets(value)))
        elif name == b'CONTENT_LENGTH' and value:
            headers.append((b'Content-Length', _octets(value)))
    return headers


def _elements(value):
    return [element.strip() for element in _octets(value).decode('latin-1').lower().split(',')]


# -- the connection

class _TakenSession(AcceptedSession):
    """Drives a connection that was taken over; its stream is set from outside."""

    def _open_stream(self):
        pass

    def _shake_tls(self):
        return ()


def _take(environ, options, outcome, found):
    """Take the connection of an accepted request.

    :param found: from :func:`~lomond.server.takeover.find_socket`
    :returns: a :class:`~lomond.server.ServerWebSocket`, its 101 still to be sent
    :raises UpgradeRefused: 503, without a descriptor
    """
    acceptance = Acceptance(deflate=options.deflate, max_message_size=options.max_message_size,
                            stream_from=options.stream_from, outcome=outcome)
    session = _TakenSession(acceptance, None)
    session.start(**options.times)
    session.max_queued = options.max_queued
    try:
        session.prepare()
        session.stream, data = take_over(found, environ)
    except (MemoryError,) + OS_ERRORS as error:
        session.end()
        if not is_shortage(error):
            raise
        get_logger().warning('no further connection can be served now: %s', error)
        raise _refuse(*make_refusal(503))
    if data:
        acceptance.core.receive_buffer.put_back(data)
    port = _octets(environ.get('REMOTE_PORT'))
    address = _octets(environ.get('REMOTE_ADDR')).decode('latin-1'), int(port) if port.isdigit() else 0
    kept = dict((name, value) for name, value in environ.items() if name not in ('wsgi.input', SINK))
    return ServerWebSocket(session, acceptance, address, environ.get('wsgi.url_scheme') == 'https', kept)
