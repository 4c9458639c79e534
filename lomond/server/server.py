"""A WebSocket server with a thread for each connection.

It ties a listener, the options, the running connections and the thread that accepts
together.

Knows nothing of: the protocol, how a connection is driven, how sockets are accepted.
"""

from __future__ import absolute_import, division, unicode_literals

import signal

from .. import errors
from .._compat import IS_WINDOWS, OS_ERRORS, integer_types, monotonic, native, text_type, to_text
from ..client.options import check_number, check_time
from ..network.url import parse_host
from ..protocol.frames import encode_close_payload
from . import connection
from .acceptor import Acceptor
from .listener import Listener, listen
from .log import log_failure
from .options import Options
from .reception import Reception


def _check_host(host):
    """Return the host as text without brackets, or None."""
    if host is None:
        return None
    host = to_text(host)
    name, mark, zone = host.partition('%') if isinstance(host, text_type) else (host, '', '')
    return parse_host(name, 'host') + mark + zone


def _check_port(port):
    check_number('port', port, integer_types)
    if not 0 <= port <= 65535:
        raise ValueError('port is {}; 0 to 65535 is allowed'.format(port))
    return port


def _check_socks(sock):
    """Return a list of listening sockets."""
    import socket
    socks = list(sock) if isinstance(sock, (list, tuple)) else [sock]
    if not socks:
        raise ValueError('sock is an empty list; a listening socket is needed')
    for one in socks:
        if not hasattr(one, 'accept') or not hasattr(one, 'getsockname'):
            raise TypeError('sock must be a listening socket, or a list of them, not {}'.format(
                type(one).__name__))
        try:
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except (AttributeError,) + OS_ERRORS:       # not every system can tell
            continue
        if not listens:
            raise ValueError('sock does not listen; call its listen() first')
    return socks


class Server(object):
    """A WebSocket server.

    It listens as soon as it is constructed, and accepts from :meth:`start` or
    :meth:`serve_forever` on, or inside of ``with``.

    >>> from lomond import WebSocket
    >>> from lomond.server import Server
    >>> def handler(websocket):
    ...     websocket.send_text(websocket.request.path)
    >>> with Server(handler) as server:
    ...     for event in WebSocket(server.url + 'news', proxies={}):
    ...         if event.name == 'text':
    ...             print(event.text)
    /news

    A handler that raises ends its own connection only, with 1011 and no reason; the
    traceback goes to the logger ``lomond.server``, or to standard error if logging is
    not configured.

    Threads: all members may be used from any thread.

    :param handler: a callable that takes one :class:`ServerWebSocket`, run in a thread
        of its own for each connection, which is closed with 1000 when it returns; or a
        dict of such callables by ``request.path``, which is percent-encoded and without
        the query; any other path is answered with 404.  None for a
        :class:`~lomond.group.Group`
    :param host: text: a name or an IP address; the server listens on all addresses of
        the name that the machine has.  ``'localhost'`` is 127.0.0.1 and ::1; None all
        interfaces
    :param port: 1 - 65535; 0 takes a free port, the same for all addresses
    :param ssl_context: an ``ssl.SSLContext`` of a server, with a certificate, used as
        it is; None for no TLS
    :param protocols: list or tuple of the subprotocols of this server, text; the first
        one of the client's that is among them is chosen.  If none is, the connection is
        accepted without one
    :param compress: if true, permessage-deflate (RFC 7692) is agreed to; a
        :class:`~lomond.compression.Deflate` sets its parameters
    :param origins: which pages may connect (RFC 6455, 10.2): a list of origins,
        text; ``'*'`` for any; if None, those whose ``Origin`` has the host and port of
        ``Host``.  Programs, which send no ``Origin``, may in any case
    :param on_request: callable(request), called in the connection's thread for every
        well-formed ``GET`` and ``HEAD``.  It returns None to go on; ``(status, headers,
        body)`` to answer with that and close; or ``('accept', protocol or None,
        headers)`` to accept with these.  The headers are a list of pairs, the body is
        bytes.  The origin was checked before; ``open_timeout`` does not interrupt it.
        If it fails: 500, and a record at ERROR
    :param max_message_size: the largest message to accept, in bytes after decompression
        (1 MiB); None means no limit
    :param max_connections: most connections, opening handshakes included; further ones
        are answered with 503 at once, or closed with TLS.  None means no limit
    :param poll: seconds between two ``Poll`` events, above 0; None for none
    :param ping_rate: seconds between two pings; with None or 0, none are sent
    :param ping_timeout: seconds without a pong, or any other byte, until
        ``Unresponsive``; None or 0 means no limit
    :param auto_pong: if false, pings are not answered automatically
    :param open_timeout: seconds from ``accept`` to the last byte of the request's head,
        TLS included, until the answer is 408 (nothing if not a byte has come); None or
        0 means no limit
    :param close_timeout: seconds to wait for the answer to a close frame; None or 0
        means no limit
    :param send_timeout: seconds for which a send tolerates that the client takes
        nothing; None or 0 means no limit
    :param sock: a listening socket, or a list of them, to use instead of host and port;
        :meth:`stop` closes them
    :param stream_from: as for :class:`~lomond.websocket.WebSocket`
    :param max_queued: bytes of messages that may wait for one connection in a group (1
        MiB); None means no limit
    :raises TypeError: if a value has the wrong type; the message names it
    :raises ValueError: if a value cannot be used; the message says what is allowed
    :raises OSError: if listening there is not possible (``socket.error`` on 2.7)

    :ivar port: the port; None for a Unix socket
    :ivar addresses: list of ``(host, port)``, or of paths of Unix sockets
    """

    def __init__(self, handler=None, host='localhost', port=0, ssl_context=None, protocols=None,
                 compress=False, origins=None, on_request=None, max_message_size=1024 * 1024,
                 max_connections=1000, poll=None, ping_rate=30.0, ping_timeout=30.0, auto_pong=True,
                 open_timeout=10.0, close_timeout=10.0, send_timeout=30.0, sock=None, stream_from=None,
                 max_queued=1024 * 1024):
        self._options = Options(
            handler, ssl_context, protocols, compress, origins, on_request, max_message_size,
            max_connections, poll, ping_rate, ping_timeout, auto_pong, open_timeout, close_timeout,
            send_timeout, stream_from, max_queued)
        host = _check_host(host)
        port = _check_port(port)
        self._use = {}                  # 0: what it is used for, once that is decided
        self._group = None
        listener = Listener(listen(host, port) if sock is None else _check_socks(sock))
        self._reception = Reception(listener, self._options)
        self._acceptor = _Acceptor(self._reception)
        self.port = listener.port
        self.addresses = listener.addresses
        if sock is not None:            # its own address counts
            host = 'localhost' if self.port is None else self.addresses[0][0]
            if host in ('127.0.0.1', '::1', '0.0.0.0', '::'):
                host = 'localhost'
        self._host = host

    def __repr__(self):
        return native("<Server '{}'>".format(self.url))

    @property
    def url(self):
        """The URL of ``/``: ``ws://localhost:8080/``; with TLS it begins with ``wss``.
        """
        host = self._host
        if self.port is None:           # of a Unix socket
            authority = 'localhost'
        else:
            host = {None: 'localhost', '0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host)
            authority = '{}:{}'.format('[{}]'.format(host) if ':' in host else host, self.port)
        return '{}://{}/'.format('ws' if self._options.ssl_context is None else 'wss', authority)

    @property
    def connections(self):
        """A list of the open connections, as :class:`ServerWebSocket`; a snapshot."""
        return self._reception.running.websockets()

    # -- accepting

    def start(self):
        """Accept in a daemon thread from now on.

        :returns: the server
        :raises ValueError: if it has no handler
        :raises WebSocketError: if it was started or stopped before, or is in a group
        :raises RuntimeError: if no thread can be started (``thread.error`` on 2.7)
        """
        self._begin()
        try:
            self._acceptor.start()
        except Exception:
            self._use.clear()           # it may be tried again
            raise
        return self

    def __enter__(self):
        return self if self._acceptor.thread is not None else self.start()

    def __exit__(self, *exc_info):
        self.stop()

    def serve_forever(self):
        """Accept in this thread until :meth:`stop`, and until that is done.

        :raises ValueError: if it has no handler
        :raises WebSocketError: if it was started or stopped before, or is in a group
        """
        self._begin()
        self._serve_here()

    def _begin(self):
        if self._options.handler is None and not self._use:
            raise ValueError('handler is None; a server without a handler can only join a Group')
        self._claim('was started')
        try:
            self._acceptor.open()
        except BaseException:
            self._use.clear()
            raise

    def _claim(self, use):
        """Say what the server is used for; once."""
        mine = [use]
        found = self._use.setdefault(0, mine)
        if found is not mine:
            raise errors.WebSocketError('the server {} already; make another one'.format(found[0]))

    def _serve_here(self):
        self._acceptor.run()
        self._reception.begin_stop()
        self._reception.running.drain(self._acceptor.drop_at)

    # -- the end

    def stop(self, timeout=10.0, code=1001, reason=''):
        """Stop listening, close all connections, and wait for their handlers.

        Opening handshakes that are not complete are answered with 503.  What is left
        after the timeout is dropped; its threads get one more second.  May be called
        from any thread, from a handler, whose own thread is not waited for, and again,
        also to shorten the timeout.

        :param timeout: seconds for the handlers; None for no limit
        :param code: close code for all connections; 1012 for a restart
        :param reason: text, cut to 123 bytes of UTF-8
        :returns: True if no thread but the caller's is left; otherwise a WARNING names
            the line at which each of them hangs.  In a group, stop() waits for nothing,
            and returns True if no connection is open
        :raises TypeError: if a value has the wrong type
        :raises ValueError: if the timeout is below 0, or the code may not be sent
        """
        timeout = check_time('timeout', timeout)
        encode_close_payload(code, reason)
        if self._group is not None:
            return self._group._drain(self, timeout, code, reason)
        self._stop_soon(timeout, code, reason)
        acceptor, reception = self._acceptor, self._reception
        acceptor.stop_listening()
        reception.begin_stop()
        return reception.running.drain(acceptor.drop_at, (acceptor.thread,))

    def _stop_soon(self, timeout, code=1001, reason=''):
        """Begin to stop; never waits.  In signal handlers, too."""
        self._use.setdefault(0, ['was stopped'])
        self._reception.close_soon(code, reason)
        self._acceptor.stop_soon(None if timeout is None else monotonic() + timeout)

    def _join(self, group):
        """Belong to a group from now on, whose thread accepts.

        :returns: the :class:`~lomond.server.reception.Reception`
        :raises ValueError: if it has a handler, or a ``poll``
        :raises WebSocketError: if it was started or stopped, or is in a group
        """
        for name, value in (('handler', self._options.handler), ('poll', self._options.times['poll'])):
            if value is not None:
                raise ValueError('a server in a group must not have a {0}, because the group is one loop for '
                                 'all of its connections'.format(name))
        self._claim('is in a group')
        self._group = group
        return self._reception


class _Acceptor(Acceptor):
    """Serves each connection by the handler of its server.

    :param reception: a :class:`~lomond.server.reception.Reception`
    """

    def __init__(self, reception):
        super(_Acceptor, self).__init__(reception.listener, reception.running, 'lomond.server')
        self._reception = reception

    def admit(self, sock, address, now):
        if self._reception.turns_away(sock, now):
            return None
        return self.running.add(self._reception.options.take(sock, address))

    def prepare(self, place):
        connection.prepare(place.websocket)

    def serve(self, place):
        try:
            self.running.serve(place.websocket, self._reception.options)
        except Exception:
            log_failure('a connection from %s has failed', connection.describe_peer(place.websocket))

    def turn_down(self, place, sock):
        self._reception.tell_busy(sock, monotonic())


class _Signals(object):
    """A context in which SIGINT and SIGTERM stop a server; a second one at once.

    In other threads than the main one, signals are left alone; so is one that is
    ignored (by ``nohup``).  Python calls its handlers between two bytecodes, and one
    that arrives just before a wait would be noticed after it; so each signal also
    writes to the wake-up of the server.
    """

    def __init__(self, stop, wake_up):
        self._stop = stop
        self._wake_up = wake_up
        self._previous = []
        self._previous_fd = None
        self._count = 0

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.getsignal(number)
            if previous in (signal.SIG_IGN, None):      # None if Python did not install it
                continue
            try:
                signal.signal(number, self._on_signal)
            except ValueError:          # not in the main thread
                return self
            self._previous.append((number, previous))
        if not IS_WINDOWS and self._previous:
            self._previous_fd = signal.set_wakeup_fd(self._wake_up.write_fileno())
        return self

    def __exit__(self, *exc_info):
        if self._previous_fd is not None:
            signal.set_wakeup_fd(self._previous_fd)
        while self._previous:
            signal.signal(*self._previous.pop())

    def _on_signal(self, number, frame):
        self._count += 1
        self._stop(10.0 if self._count == 1 else 0)


def serve(handler, host='localhost', port=8080, **options):
    """Serve until SIGINT or SIGTERM.

    It is ``Server(handler, host, port, **options).serve_forever()``.  In the main
    thread, SIGINT (Ctrl-C) and SIGTERM stop the server: all clients get close code
    1001, and handlers have 10 s to end; a second signal drops what is left at once.
    The previous signal handlers are restored.  Prints nothing.

    :param handler: as for :class:`Server`; not None
    :param host: as for :class:`Server`
    :param port: as for :class:`Server`
    :param options: those of :class:`Server`
    :raises TypeError: as for :class:`Server`
    :raises ValueError: as for :class:`Server`
    :raises OSError: as for :class:`Server`
    """
    if handler is None:
        raise ValueError('handler is None; serve() needs a handler')
    server = Server(handler, host, port, **options)
    try:
        server._begin()
        with _Signals(server._stop_soon, server._acceptor.wake_up):
            server._serve_here()
    finally:
        server.stop(0)
