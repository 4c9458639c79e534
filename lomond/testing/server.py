"""A WebSocket server for tests, in threads of the test process.

It is the loop of :mod:`lomond.server`, which accepts and starts threads; what it adds
is that it keeps what the connections record, collects the errors of handlers, and
never turns a client away.  Each connection is a
:class:`~lomond.testing.ServerConnection`.

Knows nothing of: the protocol, how sockets are accepted.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import sys
import threading
import traceback

from .._compat import error_text, monotonic, reraise
from ..client.options import check_protocols
from ..compression import Deflate
from ..server.accepted import import_early
from ..server.acceptor import Acceptor
from ..server.listener import Listener, bind
from ..server.running import Running, find_place
from .handlers import echo
from .server_connection import ServerConnection

#: How long handlers may continue with what has arrived when the server stops (seconds).
GRACE = 0.5
#: How long handlers may take to end after their sockets were shut down (seconds).
LAST_WAIT = 1.0
#: Approximate cost of one record besides its payload (bytes).
RECORD_SIZE = 200
#: At most this many connections and requests are remembered.
MOST_RECORDS = 1000


class ServerError(Exception):
    """The server was misused, or some of its handlers do not end."""


class Server(object):
    """A WebSocket server for tests.

    >>> from lomond import WebSocket
    >>> from lomond.testing import Server, echo
    >>> with Server(echo) as server:
    ...     ws = WebSocket(server.url)
    ...     for event in ws:
    ...         if event.name == 'ready':
    ...             ws.send_text(u'hello')
    ...         elif event.name == 'text':
    ...             ws.close()
    >>> [str(text) for text in server.connections[0].messages]
    ['hello']

    It listens as soon as it is constructed, by default on the loopback interface, and
    accepts connections from :meth:`start` on, or inside of ``with``.  :meth:`stop`, or
    the end of ``with``, leaves no thread and no descriptor; what was recorded stays.

    Errors: if a handler raises an exception, its connection is closed with code 1011,
    and leaving ``with`` raises the same exception, unless the block has raised one
    itself (then the handler's traceback goes to standard error).  An exception from a
    send does not count if its cause is that the client has gone.

    If descriptors or threads run out, further clients wait: it logs a WARNING (at most
    one a minute) and tries again every 0.1 s.

    Threads: all methods may be called from any thread.

    :param handler: a function that takes a :class:`ServerConnection`, called in a
        thread for each connection; or one of the ready-made handlers of
        :mod:`lomond.testing`
    :param protocols: list of text: the subprotocols of this server
    :param deflate: True agrees to permessage-deflate; a
        :class:`~lomond.compression.Deflate` does so with these options; False or None
        never agrees
    :param ssl_context: an ``ssl.SSLContext`` with a certificate; None for no TLS
    :param on_request: a function that takes the :class:`~lomond.response.Request`,
        called before it is accepted.  It returns None to accept it; ``(status, headers,
        body)`` to answer with that instead; or ``('accept', protocol, headers)`` to
        accept it with this subprotocol (or None) and these additional headers.  Headers
        are a list of pairs (name, value)
    :param host: the address to listen on
    :param port: 1 - 65535; 0 takes any free port
    :param max_message_size: most bytes of one message of the client, 64 MiB; None for
        no limit
    :param timeout: seconds that a handler waits for the client unless it says
        otherwise; also the limit of the opening and of the closing handshake; None for
        no limit
    :param raise_errors: if false, leaving ``with`` raises nothing; see ``errors``
    :param record_limit: most bytes of messages that are kept, of all connections
        together, 64 MiB; the oldest are forgotten first
    :raises TypeError: if a value has the wrong type
    :raises ValueError: if a value cannot be used
    :raises OSError: if listening there is not possible (``socket.error`` on 2.7)

    :ivar errors: list of the exceptions of handlers
    :ivar connection_count: the number of connections that were accepted
    """

    def __init__(self, handler=echo, protocols=(), deflate=True, ssl_context=None, on_request=None,
                 host='127.0.0.1', port=0, max_message_size=64 * 1024 * 1024, timeout=10.0,
                 raise_errors=True, record_limit=64 * 1024 * 1024):
        for name, value in (('handler', handler), ('on_request', on_request)):
            if not callable(value) and not (value is None and name == 'on_request'):
                raise TypeError('{} must be callable, not {}'.format(name, type(value).__name__))
        if deflate is not None and not isinstance(deflate, (bool, Deflate)):
            raise TypeError('deflate must be True, False or a Deflate, not {}'.format(
                type(deflate).__name__))
        import_early()
        self.handler = handler
        self.protocols = check_protocols(list(protocols))
        self.deflate = Deflate() if deflate is True else deflate or None
        self.ssl_context = ssl_context
        self.max_message_size = max_message_size
        self.timeout = timeout
        self.raise_errors = raise_errors
        self.record_limit = record_limit
        self.errors = []
        self.connection_count = 0
        self._on_request = on_request
        self._lock = threading.Lock()
        self._recorded = collections.deque()        # guarded by _lock: (connection, size)
        self._recorded_size = 0             # guarded by _lock
        self._failures = []                 # (connection, exc_info); append is atomic
        self._requests = collections.deque(maxlen=MOST_RECORDS)
        self._connections = collections.deque(maxlen=MOST_RECORDS)
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        sock, = bind([(family, (host, port))], port, takes_ipv4=True)
        self._listener = Listener([sock], 'lomond.testing')
        self._host, self.port = self._listener.addresses[0]
        self._running = Running()
        self._acceptor = None

    # -- where it is

    @property
    def url(self):
        """The URL of ``/``: ``ws://127.0.0.1:<port>/``, or ``wss://localhost:<port>/``.

        With TLS it contains ``localhost`` because of the certificate.
        """
        return self.url_of('/')

    def url_of(self, path):
        """Return the URL of a path of this server.

        :param path: text: path and query
        :returns: text
        """
        host = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(self._host, self._host)
        if self.ssl_context is not None and host in ('127.0.0.1', '::1'):
            host = 'localhost'
        if ':' in host:
            host = '[{}]'.format(host)
        return '{}://{}:{}/{}'.format('ws' if self.ssl_context is None else 'wss', host, self.port,
                                      path.lstrip('/'))

    def __repr__(self):
        return str("<Server '{}'>").format(self.url)

    # -- what was seen

    @property
    def connections(self):
        """A list of the connections so far (the newest 1000), as
        :class:`ServerConnection`.
        """
        return list(self._connections)

    @property
    def requests(self):
        """A list of the requests so far (the newest 1000), as
        :class:`~lomond.response.Request`.
        """
        return list(self._requests)

    def record(self, connection, event):
        """Keep an event of a connection (called by it)."""
        payload = getattr(event, 'data', None)
        if payload is None:
            payload = getattr(event, 'text', '')
        size = len(payload) + RECORD_SIZE
        with self._lock:
            connection.recorded.append(event)
            self._recorded.append((connection, size))
            self._recorded_size += size
            while self._recorded_size > self.record_limit:
                oldest, size = self._recorded.popleft()
                self._recorded_size -= size
                oldest.recorded.popleft()

    def record_request(self, request):
        """Keep a request (called by the connection)."""
        self._requests.append(request)

    def answer_request(self, request):
        """Say what to do with a valid request (called by the connection)."""
        for ask in (self._on_request, getattr(self.handler, 'on_request', None)):
            answer = None if ask is None else ask(request)
            if answer is not None:
                return answer
        return None

    def fail(self, connection, error):
        """Note that a handler has failed (called while the exception is handled)."""
        self.errors.append(error)
        self._failures.append((connection, sys.exc_info()))

    # -- from start to stop

    def start(self):
        """Accept connections from now on.

        :returns: the server
        :raises ServerError: if it was started before
        :raises RuntimeError: if no thread can be started (``thread.error`` on 2.7)
        """
        if self._acceptor is not None or not self._listener.is_open:
            raise ServerError('the server was started already; a stopped one cannot be started again')
        self._acceptor = acceptor = _Acceptor(self, self._listener, self._running)
        try:
            acceptor.open()
            acceptor.start()
        except Exception:
            self._acceptor = None
            raise
        return self

    def _take(self, sock, address):
        """Make the connection of an accepted socket.

        :returns: the :class:`~lomond.server.running.Place`
        """
        self.connection_count += 1
        connection = ServerConnection(self, sock, address, self.connection_count)
        place = self._running.add(connection)       # first: from now on, drop_connections() sees it
        self._connections.append(connection)
        return place

    def drop_connections(self, reset=False):
        """End all open TCP connections without a close frame.

        :param reset: as for :meth:`ServerConnection.drop`
        """
        for place in self._running.places():
            place.websocket.drop(reset)

    def stop(self):
        """Stop listening and end all connections.

        Handlers continue with what has already arrived, for at most 0.5 s; when nothing
        is left, ``receive`` returns None.  Their clients get close code 1001.

        :raises ServerError: if a handler does not end within 1.5 s; its thread is left
            behind
        """
        acceptor, running = self._acceptor, self._running
        if acceptor is None:
            self._listener.close()
            return
        acceptor.stop_soon()
        acceptor.stop_listening()
        for place in running.places():
            place.websocket.stop_waiting()
        if not self._wait(GRACE):
            return
        for place in running.places():
            place.websocket.abort()
        threads = self._wait(LAST_WAIT)
        hanging = [place for place in running.places() if place.thread in threads]
        if hanging:
            raise ServerError('{} of the handlers did not end within {}s after stop(): {}'.format(
                len(hanging), GRACE + LAST_WAIT, '; '.join(
                    'connection {} is at {}'.format(place.websocket.number, find_place(place.thread))
                    for place in hanging)))

    def _wait(self, seconds):
        """Wait for all threads but this one; return those that are still running."""
        deadline = monotonic() + seconds
        return self._running.wait(lambda: deadline, (self._acceptor.thread,))

    def __enter__(self):
        return self if self._acceptor is not None else self.start()

    def __exit__(self, exc_type, exc_value, exc_traceback):
        try:
            self.stop()
        except ServerError as error:
            if exc_type is None and self.raise_errors and not self._failures:
                raise
            sys.stderr.write('{}\n'.format(error_text(error)))
        failures, self._failures = self._failures, []
        if not self.raise_errors:
            return
        shown = failures if exc_type is not None else failures[1:]
        for connection, exc_info in shown:
            sys.stderr.write(str('the handler of connection {} raised:\n{}').format(
                connection.number, str('').join(traceback.format_exception(*exc_info))))
        if failures and exc_type is None:
            reraise(*failures[0][1])


class _Acceptor(Acceptor):
    """Serves each connection by the handler of a server for tests."""

    waits_for_threads = True

    def __init__(self, server, listener, running):
        super(_Acceptor, self).__init__(listener, running, 'lomond.testing')
        self._server = server

    def admit(self, sock, address, now):
        return self._server._take(sock, address)

    def prepare(self, place):
        place.websocket.prepare()

    def serve(self, place):
        try:
            place.websocket.run(self._server.handler)
        finally:
            self.running.remove(place.websocket)

    def turn_down(self, place, sock):
        place.websocket.discard()
