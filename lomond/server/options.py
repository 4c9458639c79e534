"""The options of a server, checked once and then applied to each connection.

A value of the wrong type raises ``TypeError``, a value that cannot be used
``ValueError``, with the same sentences as in the client.

Knows nothing of: listening, threads.
"""

from __future__ import absolute_import, division, unicode_literals

import sys
import threading

from .._compat import Pattern, text_type, to_text
from ..client import options
from ..protocol.handshake import ServerHandshake
from ..protocol.origins import check_origins
from ..response import escape
from .accepted import Acceptance, AcceptedSession, import_early
from .connection import ServerWebSocket
from .log import log_failure

#: Flags of code objects: of generators, coroutines, and asynchronous generators.
_DEFERRED = 0x20 | 0x80 | 0x200
_NOT_IN_PATH = Pattern('[^\x21-\x7e]|[?#]')


def _check_callable(what, value):
    if value is not None and not callable(value):
        raise TypeError('{} must be callable, not {}'.format(what, type(value).__name__))
    return value


def _check_context(context):
    if context is None:
        return None
    if not hasattr(context, 'wrap_socket'):
        raise TypeError('ssl_context must be an ssl.SSLContext, not {}'.format(type(context).__name__))
    import ssl
    if getattr(context, 'protocol', None) == getattr(ssl, 'PROTOCOL_TLS_CLIENT', ssl):
        raise ValueError('ssl_context is for clients; use '
                         'ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), and its load_cert_chain()')
    return context


def _check_runs(what, function):
    code = getattr(getattr(function, '__func__', function), '__code__', None)
    if code is not None and getattr(code, 'co_flags', 0) & _DEFERRED:
        raise TypeError('{} must be a plain function; with async def or yield, a call would not run '
                        'it'.format(what))


def check_handler(handler):
    """Return a callable, None, or a dict of callables by path."""
    if not hasattr(handler, 'items') or callable(handler):
        if handler is not None and not callable(handler):
            raise TypeError('handler must be callable, or a dict of callables by path, not {}'.format(
                type(handler).__name__))
        _check_runs('handler', handler)
        return handler
    checked = {}
    for path, function in handler.items():
        path = to_text(path)
        if not isinstance(path, text_type):
            raise TypeError('a path of handler must be text, not {}'.format(type(path).__name__))
        if not path.startswith('/'):
            raise ValueError("path '{}' of handler does not begin with /".format(escape(path)))
        bad = _NOT_IN_PATH.search(path)
        if bad:                         # no request would have it
            raise ValueError("path '{}' of handler has '{}'; a path is percent-encoded, and without its query"
                             .format(escape(path), escape(bad.group())))
        if not callable(function):
            raise TypeError("the handler of '{}' must be callable, not {}".format(
                path, type(function).__name__))
        _check_runs("the handler of '{}'".format(path), function)
        checked[path] = function
    return checked


def _fail(request):
    error = sys.exc_info()[1]
    if not isinstance(error, Exception) and isinstance(threading.current_thread(), threading._MainThread):
        raise                           # Ctrl-C, or a signal handler that exits: not the request's
    log_failure('on_request has failed for %s %s', request.method, escape(request.path))


class Options(object):
    """The options of a :class:`~lomond.server.Server`, under the same names."""

    def __init__(self, handler=None, ssl_context=None, protocols=None, compress=False, origins=None,
                 on_request=None, max_message_size=1024 * 1024, max_connections=1000, poll=None,
                 ping_rate=30.0, ping_timeout=30.0, auto_pong=True, open_timeout=10.0, close_timeout=10.0,
                 send_timeout=30.0, stream_from=None, max_queued=1024 * 1024):
        import_early()
        self.handler = check_handler(handler)
        self.ssl_context = _check_context(ssl_context)
        self.protocols = options.check_protocols(protocols)
        self.deflate = options.check_compress(compress)
        self.origins = check_origins(origins)
        self.on_request = _check_callable('on_request', on_request)
        self.max_message_size = options.check_size('max_message_size', max_message_size, 1)
        self.max_connections = options.check_size('max_connections', max_connections, 1)
        self.stream_from = options.check_size('stream_from', stream_from, 0)
        self.max_queued = options.check_size('max_queued', max_queued, 1)
        self.times = dict((name, options.check_time(name, value)) for name, value in (
            ('ping_rate', ping_rate), ('ping_timeout', ping_timeout), ('open_timeout', open_timeout),
            ('close_timeout', close_timeout), ('send_timeout', send_timeout)))
        self.times.update(poll=None if poll is None else options.check_poll(poll), auto_pong=auto_pong)

    def new_handshake(self):
        """Return the object that judges one request."""
        return ServerHandshake(
            self.protocols, self.deflate, self.on_request, origins=self.origins,
            paths=self.handler if isinstance(self.handler, dict) else None, asks_all=True, on_error=_fail)

    def take(self, sock, address, session_class=AcceptedSession):
        """Make the WebSocket of an accepted socket.

        :param sock: the socket; it belongs to the session from the first step on
        :param address: that of the client, as returned by ``socket.accept``
        :param session_class: an :class:`~lomond.server.accepted.AcceptedSession`
        """
        acceptance = Acceptance(deflate=self.deflate, max_message_size=self.max_message_size,
                                handshake=self.new_handshake(), stream_from=self.stream_from)
        session = session_class(acceptance, sock, self.ssl_context)
        session.start(**self.times)
        address = address[:2] if isinstance(address, tuple) else ('', 0)        # that of a Unix socket
        return ServerWebSocket(session, acceptance, address, self.ssl_context is not None)

    def find_handler(self, websocket):
        """Return the handler of an open connection."""
        handler = self.handler
        return handler[websocket.request.path] if isinstance(handler, dict) else handler


_code = Options.__init__.__code__
#: The names of all options.
OPTIONS = frozenset(_code.co_varnames[1:_code.co_argcount])
