"""A WebSocket server in threads of this process, for tests; it must not know the protocol.

Each connection is a :class:`~lomond.testing.server_connection.ServerConnection` with a thread of its own.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import sys
import threading
import traceback

from .._compat import OS_ERRORS, error_text, monotonic, reraise, set_cloexec
from ..client.options import check_protocols
from ..compression import Deflate
from ..network.poller import READ, Waiting
from .handlers import echo
from .server_connection import ServerConnection

#: How long handlers may go on with what they have, once the server stops (seconds), ...
GRACE = 0.5
#: ... and how long they may take to end after their sockets were shut down.
LAST_WAIT = 1.0
#: What one record costs besides its payload, roughly.
RECORD_SIZE = 200
#: Connections and requests that are remembered.
MOST_RECORDS = 1000


class ServerError(Exception):
    """The server could not do its work: handlers that do not end."""


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

    It listens from construction on, on the loopback interface unless told otherwise, and accepts from
    :meth:`start` on, or from ``with``.  :meth:`stop`, or the end of ``with``, leaves no thread and
    no descriptor; what was recorded stays.

    Errors: a handler that raises ends its connection with close code 1011, and leaving ``with``
    raises the same exception, unless the block has raised one itself (then the handler's traceback
    goes to standard error).  Exceptions out of a send because the client has gone do not count.

    Threads: all methods may be called from any thread.

    :param handler: function of a :class:`ServerConnection`, called in a thread for each connection;
        one of the scripts of :mod:`lomond.testing`
    :param protocols: list of subprotocols this server has, text
    :param deflate: True: agree to permessage-deflate; a :class:`~lomond.compression.Deflate`: with
        these options; False or None: never
    :param ssl_context: an ``ssl.SSLContext`` with a certificate: TLS; None: no TLS
    :param on_request: function of the :class:`~lomond.response.Request`, called before it is
        accepted; returns None: accept; ``(status, [(name, value)..], body)``: answer with that;
        ``('accept', protocol or None, [(name, value)..])``: accept with this
    :param host: address to listen on
    :param port: 1 - 65535; 0: any free one
    :param max_message_size: most bytes of a message of the client, 64 MiB; None: no limit
    :param timeout: seconds: how long a handler waits for the client, unless it says otherwise; also for
        the opening and the closing handshake; None: no limit
    :param raise_errors: False: leaving ``with`` raises nothing; ``errors`` tells
    :param record_limit: most bytes of messages that are kept, of all connections, 64 MiB; the
        oldest are forgotten first
    :raises TypeError: a value of a wrong type
    :raises ValueError: a value that cannot be used
    :raises OSError: when nobody can listen there (``socket.error`` on 2.7)

    :ivar errors: list of the exceptions of handlers
    :ivar connection_count: how many connections were accepted
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
        self._threads = {}                  # guarded by _lock: thread -> connection
        self._recorded = collections.deque()        # guarded by _lock: (connection, size)
        self._recorded_size = 0             # guarded by _lock
        self._failures = []                 # (connection, exc_info); append is atomic
        self._requests = collections.deque(maxlen=MOST_RECORDS)
        self._connections = collections.deque(maxlen=MOST_RECORDS)
        self._is_stopping = False
        self._acceptor = None
        self._waiting = None
        self._listener = self._listen(host, port)
        self._host, self.port = self._listener.getsockname()[:2]

    def _listen(self, host, port):
        listener = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
        try:
            set_cloexec(listener.fileno())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(128)
            listener.setblocking(False)
        except Exception:
            listener.close()
            raise
        return listener

    # -- where it is

    @property
    def url(self):
        """``ws://127.0.0.1:<port>/``; with TLS ``wss://localhost:<port>/``, for the certificate."""
        return self.url_of('/')

    def url_of(self, path):
        """Make the URL of a path of this server.

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
        """A list of the connections so far, :class:`ServerConnection` (the newest 1000)."""
        return list(self._connections)

    @property
    def requests(self):
        """A list of the requests so far, :class:`~lomond.response.Request` (the newest 1000)."""
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
        """What to do with a request that is otherwise good (called by the connection)."""
        for ask in (self._on_request, getattr(self.handler, 'on_request', None)):
            answer = None if ask is None else ask(request)
            if answer is not None:
                return answer
        return None

    def fail(self, connection, error):
        """A handler has failed (called by the connection, while it handles the exception)."""
        self.errors.append(error)
        self._failures.append((connection, sys.exc_info()))

    # -- from start to stop

    def start(self):
        """Accept connections from now on.

        :returns: the server
        :raises ServerError: it was started before
        """
        if self._acceptor is not None or self._is_stopping:
            raise ServerError('the server was started already; a stopped one cannot be started again')
        self._waiting = Waiting()
        self._acceptor = threading.Thread(target=self._accept, name='lomond.testing.Server')
        self._acceptor.daemon = True
        self._acceptor.start()
        return self

    def _accept(self):
        listener, waiting = self._listener, self._waiting
        fd, wake_fd = listener.fileno(), waiting.fileno()
        while not self._is_stopping:
            waiting.wait(((fd, READ), (wake_fd, READ)), None)
            try:
                sock, address = listener.accept()
            except OS_ERRORS:       # nobody there any more, or no descriptor left: try again
                continue
            set_cloexec(sock.fileno())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(sock, address)
            sock = None         # 2.7: a socket under TLS is open as long as anybody refers to it

    def _begin(self, sock, address):
        with self._lock:
            self.connection_count += 1
            connection = ServerConnection(self, sock, address, self.connection_count)
            thread = threading.Thread(target=self._run, args=(connection,), name=(
                'lomond.testing connection {}'.format(connection.number)))
            thread.daemon = True
            self._threads[thread] = connection
            self._connections.append(connection)
        thread.start()

    def _run(self, connection):
        try:
            connection.run(self.handler)
        finally:
            with self._lock:
                self._threads.pop(threading.current_thread(), None)

    def drop_connections(self, reset=False):
        """End the TCP connections that there are, without a close frame.

        :param reset: as of :meth:`ServerConnection.drop`
        """
        for connection in self._running().values():
            connection.drop(reset)

    def _running(self):
        with self._lock:
            return dict(self._threads)

    def stop(self):
        """Stop listening and end all connections.

        Handlers go on with what has arrived already, for at most 0.5 s; ``receive`` gives them None
        when nothing is left.  Their clients get close code 1001.

        :raises ServerError: a handler does not end within 1.5 s; its thread is left behind
        """
        self._is_stopping = True
        acceptor = self._acceptor
        if acceptor is not None and acceptor is not threading.current_thread():
            self._waiting.wake()
            acceptor.join(LAST_WAIT)
        self._listener.close()
        running = self._running()
        for connection in running.values():
            connection.stop_waiting()
        self._join(running, GRACE)
        running = self._running()
        for connection in running.values():
            connection.abort()
        hanging = self._join(running, LAST_WAIT)
        if self._waiting is not None:
            self._waiting.close()
        if hanging:
            raise ServerError('{} of the handlers did not end within {}s after stop(): {}'.format(
                len(hanging), GRACE + LAST_WAIT, '; '.join(
                    'connection {} is at {}'.format(connection.number, _place(thread))
                    for thread, connection in hanging)))

    @staticmethod
    def _join(running, seconds):
        """Wait for threads; the pairs of those that are still there."""
        deadline = monotonic() + seconds
        alive = []
        for thread, connection in running.items():
            if thread is threading.current_thread():
                continue
            thread.join(max(deadline - monotonic(), 0))
            if thread.is_alive():
                alive.append((thread, connection))
        return alive

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
            sys.stderr.write('the handler of connection {} raised:\n{}'.format(
                connection.number, ''.join(traceback.format_exception(*exc_info))))
        if failures and exc_type is None:
            reraise(*failures[0][1])


def _place(thread):
    """Where a thread is, as text."""
    frame = sys._current_frames().get(thread.ident)
    if frame is None:
        return 'an unknown place'
    # Not in lomond itself: the line of the handler that does not come back.
    innermost = frame
    while frame is not None and '/lomond/' in frame.f_code.co_filename.replace('\\', '/'):
        frame = frame.f_back
    frame = frame or innermost
    return '{}:{} in {}'.format(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
