"""What a ``WebSocket`` of ws4py stands on: a *link*, and what it shows as its socket.

A link is a :class:`~lomond.server.ServerWebSocket`, or a :class:`ClientLink`: it sends
and closes, ``_next_event()`` waits for its next event, in any thread but one at a time,
and a :class:`~lomond.group.Group` may take it over.

Knows nothing of: callbacks.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket

from .._compat import fork_id
from ..session import WebsocketSession
from ..websocket import WebSocket


class MovableSession(WebsocketSession):
    """The session of a client, which a group may drive once it is open."""

    def join(self, waiting, rules):
        """Go on in another loop, as an accepted session does."""
        before, self._waiting, self._wake_waits, self.rules = self._waiting, waiting, (), rules
        self._driver.join(waiting, rules, self.max_queued)
        before.close()


class ClientLink(WebSocket):
    """A client that is driven step by step, and that a group may take over."""

    # As in ServerWebSocket, for Group.
    _is_taken = True
    _owner = None
    _events = None                      # the rest of what the newest step gave
    request = protocol = None
    extensions = frozenset()

    @property
    def _session(self):
        return self.session

    def begin(self, **settings):
        """Begin to connect."""
        self._events = None
        self.open(session_class=MovableSession, poll=3600.0, **settings)

    def _next_event(self):
        """Wait for the next event; None at the end."""
        session = self.session
        while True:
            event = None if self._events is None else next(self._events, None)
            if event is not None or session.is_over:
                return event
            ready = ()
            if self._events is not None:
                ready = session._waiting.wait(session.waits(), session.next_deadline())
            self._events = session.process(ready, session.monotonic())

    def end(self):
        """Close the socket, however far the connection is."""
        events, self._events = self._events, None
        if events is not None:
            events.close()
        self.session.end()


class FilteredLink(ClientLink):
    """A client that leaves headers out of its request.

    :ivar left_out: their names, lower case
    """

    left_out = frozenset()

    def build_request(self):
        """Return the request without these headers."""
        lines = super(FilteredLink, self).build_request().split(b'\r\n')
        return b'\r\n'.join(lines[:1] + [
            line for line in lines[1:]
            if line.partition(b':')[0].decode('latin-1').lower() not in self.left_out])


class Link(object):
    """Stands for the socket of a connection: addresses, options, the descriptor.

    It holds no reference to the socket, and reads nothing from it.

    :ivar websocket: the link; None before the connection
    """

    def __init__(self, websocket=None):
        self.websocket = websocket
        self.options = []               # set before the connection
        self.timeout = None             # given before the connection
        self._lent = None               # fork_id, socket of the server

    def lend(self, sock):
        """Note the socket of the server, until the connection is taken."""
        self._lent = fork_id(), sock

    def borrowed(self):
        """Return the socket in a child that was forked meanwhile, else None.

        Salt sends from such a child; its descriptor remains that of the client.
        """
        return self._lent[1] if self._lent is not None and self._lent[0] != fork_id() else None

    def _find(self):
        session = None if self.websocket is None else self.websocket.session
        stream = getattr(session, 'stream', None) or getattr(session, '_stream', None)
        sock = getattr(stream, 'sock', None) or getattr(session, '_sock', None)
        if sock is None:
            raise socket.error(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return sock

    def fileno(self):
        """Return the descriptor; -1 before the connection and after it."""
        try:
            return self._find().fileno()
        except socket.error:
            return -1

    def getsockname(self):
        """Return our address."""
        return self._find().getsockname()

    def getpeername(self):
        """Return the peer's address."""
        return self._find().getpeername()

    def getsockopt(self, *args):
        """Return an option of the socket."""
        return self._find().getsockopt(*args)

    def setsockopt(self, *args):
        """Set an option of the socket, now or once it is made."""
        try:
            sock = self._find()
        except socket.error:
            self.options.append(args)
        else:
            sock.setsockopt(*args)

    def settimeout(self, timeout):
        """Set the seconds for connecting; before that only."""
        self.timeout = timeout

    def gettimeout(self):
        """Return what was given to :meth:`settimeout`."""
        return self.timeout

    def setblocking(self, flag):
        """Do nothing: how the socket waits is not for others to say."""

    def shutdown(self, how=None):
        """Drop the connection."""
        if self.websocket is not None:
            self.websocket.force_disconnect()

    close = shutdown


def adopt_socket(sock):
    """Return the :class:`Link` of a socket whose opening handshake is done."""
    from ..wsgi import _adopt
    try:
        address = sock.getpeername()[:2]
    except socket.error:
        address = ()
    return Link(_adopt(sock, address if len(address) == 2 and not hasattr(address, 'encode') else ('', 0)))
