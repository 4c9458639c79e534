"""The WebSocket of one accepted connection: what a handler is called with.

It ties the sending half (``driver/sender``) to the session that drives the accepted
socket, and is an iterator of the session's events.

Knows nothing of: how connections are accepted, threads, which handler runs.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import get_ident, native, text_type
from ..client.options import check_time
from ..driver.sender import Sender
from ..network.url import bracketed
from ..status import Status
from .log import get_logger, log_failure

#: The owner of a connection that is a member of a group, instead of a thread.
IN_GROUP = 'group'


class ServerWebSocket(Sender):
    """One accepted WebSocket; a :class:`~lomond.server.Server` makes it.

    A handler is called with it once the opening handshake is complete, and iterates it.
    It is its own iterator: a handler may leave one loop and go on in another.

    >>> from lomond import WebSocket
    >>> from lomond.server import Server
    >>> def greet(websocket):
    ...     for event in websocket:
    ...         if event.name == 'text':
    ...             websocket.send_text(u'hello, ' + event.text)
    >>> with Server(greet) as server:
    ...     client = WebSocket(server.url, proxies={})
    ...     for event in client:
    ...         if event.name == 'ready':
    ...             client.send_text(u'world')
    ...         elif event.name == 'text':
    ...             print(event.text)
    ...             client.close()
    hello, world

    The events are those of a client from ``Ready`` on, without it; the last one is
    ``Disconnected``.  ``Poll`` comes only with ``poll=``.  Only what is asked for is
    read: a slow handler makes its client wait.  A handler that only sends must iterate,
    too, or it sees neither closes nor pings; it can send at ``Poll``.

    Threads: ``send_*``, :meth:`close` and :meth:`force_disconnect` may be called from
    any thread, the latter two also in signal handlers; one thread iterates and
    receives, that of the handler.

    Programs do not construct it.

    :param session: the ``lomond.server.accepted.AcceptedSession``
    :param acceptance: the ``Acceptance`` of the session
    :param address: ``(host, port)`` of the client, or of a proxy before it
    :param is_secure: True with TLS
    :param environ: the WSGI environ; None outside of a WSGI server
    """

    _events = None                      # as a client of lomond.ws4py has, for Group

    def __init__(self, session, acceptance, address, is_secure=False, environ=None):
        self.state = acceptance
        self.address = address
        self.is_secure = is_secure
        self.environ = environ
        self._session = session
        self._life = ()                 # its events, and None at each wait
        self._limit = None, None        # of receive(): seconds, and until when (monotonic)
        self._owner = None              # the thread that iterates; IN_GROUP for a member

    def __repr__(self):
        request = self.request
        return native("<ServerWebSocket '{}' {}>".format(
            '' if request is None else request.target[:80], self.state.core.state.name))

    # -- what it is

    @property
    def request(self):
        """The client's :class:`~lomond.response.Request`."""
        return self.state.request

    @property
    def protocol(self):
        """The subprotocol that was agreed on, text; None without one."""
        return self.state.core.subprotocol

    @property
    def extensions(self):
        """The set of the names of the extensions that were agreed on, text."""
        return set(self.state.core.extensions)

    # -- receiving

    def __iter__(self):
        return self

    def __next__(self):
        if self._owner != get_ident():
            self._check_owner()
        session, has_waited = self._session, False
        while True:
            is_over = True
            try:
                for event in self._life:
                    if event is not None:
                        return event
                    is_over = False
                    break
            except BaseException:
                if not session.is_running():    # else a signal handler has asked for the next one
                    session.end()
                raise
            if is_over:
                life = session.begin()
                self._life = life or ()
                if life is None:
                    raise StopIteration
                continue
            timeout, deadline = self._limit
            # What has arrived is looked for once, even if there is no time to wait.
            if has_waited and deadline is not None and session.monotonic() >= deadline:
                raise errors.ReceiveTimeout('the client sent nothing for {}s (timeout)', timeout)
            session.pause(deadline)
            has_waited = True

    next = __next__

    def receive(self, timeout=None):
        """Wait for the next event.

        It suits protocols of request and answer, and may be mixed with iterating.

        :param timeout: seconds; 0 looks only for what has arrived; None for no limit
        :returns: an :class:`~lomond.events.Event`; None after the last one
        :raises lomond.errors.ReceiveTimeout: if nothing comes in time; the connection
            goes on
        :raises TypeError: if ``timeout`` is not a number
        :raises ValueError: if it is below 0, and in another thread than the handler's
        """
        timeout = check_time('timeout', timeout)
        self._check_owner()
        before = self._limit
        try:
            self._limit = timeout, None if timeout is None else self._session.monotonic() + timeout
            return next(self, None)
        finally:
            self._limit = before

    def _next_event(self):
        """Return the next event, or None at the end; as a client of lomond.ws4py."""
        return next(self, None)

    def _check_owner(self):
        me = get_ident()
        if self._owner is None:
            self._owner = me
        elif self._owner == IN_GROUP:
            raise errors.WebSocketError(
                'the connection is a member of a group, whose loop hands out its events')
        elif self._owner != me:
            raise ValueError("only the thread of its handler may iterate a connection or receive from it")

    # -- the end

    def close(self, code=1000, reason=''):
        """Begin the closing handshake (RFC 6455, 7.1.2).

        Go on iterating until the events end, or return from the handler.  Never waits,
        and never raises because of the state of the connection.  May be called from any
        thread and in a signal handler.

        :param code: 1000 - 1003, 1007 - 1014 or 3000 - 4999 (RFC 6455, 7.4); None sends
            an empty close frame
        :param reason: text or UTF-8 bytes, cut to 123 bytes
        :raises TypeError: if ``code`` is not an integer, or ``reason`` neither text nor
            bytes
        :raises ValueError: if ``code`` may not be sent, or ``reason`` is not UTF-8
        """
        super(ServerWebSocket, self).close(code, reason)

    def __enter__(self):
        self._check_owner()
        return self

    def __exit__(self, exc_type, exc_value, exc_traceback):
        finish(self, Status.NORMAL if exc_type is None else Status.UNEXPECTED_CONDITION)


# For the code that makes it; not methods, because a handler has no use for them.

def prepare(websocket):
    """Open the descriptors that a connection needs, before it has a thread.

    :raises OSError: if none is free; it may be called again
    """
    websocket._session.prepare()


def shake_hands(websocket):
    """Read and answer the request; this thread is the one that iterates from now on.

    :returns: True if it was accepted; otherwise the connection is over
    """
    websocket._check_owner()
    for event in websocket:
        if event.name == 'ready':
            return True
        log_refusal(websocket, event)
    return False


def log_refusal(websocket, event):
    """Log an event of a connection whose opening handshake fails, at DEBUG."""
    if event.name == 'rejected':
        get_logger().debug('a request from %s was not upgraded: %s', describe_peer(websocket), event.reason)
    elif event.name == 'disconnected' and websocket.request is None:
        get_logger().debug('no request from %s: %s', describe_peer(websocket), event.reason)


def is_open(websocket):
    """Return True from the opening handshake to the end, or until it was dropped."""
    return websocket.request is not None and websocket.state.core.was_open and not websocket.is_closed


def stop(websocket, code, reason):
    """Close a connection whose server stops, or refuse its request; from any thread."""
    if websocket.state.core.was_open:
        websocket.close(code, reason)
    else:
        websocket._session.refuse('closed')


def take_over(websocket):
    """Let a group drive a connection that is not iterated yet.

    :raises WebSocketError: if it is
    """
    if websocket._owner is not None:
        raise errors.WebSocketError('somebody iterates the connection already, or it is in a group')
    websocket._owner = IN_GROUP


def release(websocket):
    """Let another thread, or a group, iterate a connection from now on.

    Once nothing refers to it, it is left as at the end of a loop.
    """
    websocket._owner = None
    websocket._session.end_with(websocket)


def drop(websocket):
    """Drop a connection, however far it is; from any thread."""
    websocket.state.core.disconnect()
    websocket._session.force_disconnect()


def finish(websocket, code, reason=''):
    """Close, unless that has begun; finish the closing handshake, end TCP."""
    try:
        websocket.close(code, reason)
        while next(websocket, None) is not None:
            pass
    finally:
        end(websocket)


def end(websocket):
    """Close the socket, however far the connection is; in its thread."""
    websocket._session.end()
    websocket._life = ()


def run_handler(websocket, handler):
    """Call a handler, then finish its connection.

    An exception of the handler is logged at ERROR, and the connection is closed with
    1011 and no reason.  If a send fails because the client has gone, that is not an
    error.

    :param websocket: a :class:`ServerWebSocket` whose opening handshake is complete
    :param handler: a callable that takes it
    :raises BaseException: of the handler, if it is not an :class:`Exception`; then the
        connection is ended without waiting for the client
    """
    try:
        code = _call(websocket, handler)
        finish(websocket, code)
    finally:
        end(websocket)


def _call(websocket, handler):
    """Return the code to close with."""
    try:
        handler(websocket)
        while websocket._session.is_streaming and next(websocket, None) is not None:
            pass                            # let its send_stream() finish first
        return Status.NORMAL
    except BaseException as error:      # pytest.fail() raises no Exception
        if isinstance(error, (errors.WebSocketUnavailable, errors.TransportFail)) and _is_gone(websocket):
            get_logger().debug('the client at %s has gone: %s', describe_peer(websocket), text_type(error))
            return Status.NORMAL
        websocket.close(Status.UNEXPECTED_CONDITION)
        log_failure('the handler of a connection from %s has failed', describe_peer(websocket),
                    stream=(websocket.environ or {}).get('wsgi.errors'))
        if not isinstance(error, Exception):
            raise
        return Status.UNEXPECTED_CONDITION


def describe_peer(websocket):
    """Return the address of the client, for the log."""
    host, port = websocket.address
    return '{}:{}'.format(bracketed(host), port) if host else 'an unnamed socket'


def _is_gone(websocket):
    """True if nothing can be sent: the client has gone, or is going."""
    driver = websocket._session.driver
    return not websocket.state.core.state.may_send or driver is None or driver.writer.error is not None
