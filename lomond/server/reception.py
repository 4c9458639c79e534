"""Admission to one server: is there room for another connection?

A server with threads and a group both use it.

Knows nothing of: threads, loops.
"""

from __future__ import absolute_import, division, unicode_literals

from ..protocol.handshake import encode_refusal
from . import connection
from .running import Running


class Reception(object):
    """The listening sockets, the options and the connections of one server.

    :param listener: a :class:`~lomond.server.listener.Listener`
    :param options: an :class:`~lomond.server.options.Options`

    :ivar running: the :class:`~lomond.server.running.Running` connections
    :ivar close_with: code and reason to close with, once the server stops; else None
    """

    def __init__(self, listener, options):
        self.listener = listener
        self.options = options
        self.running = Running()
        self.close_with = None
        self._busy = b'' if options.ssl_context is not None else encode_refusal(503)

    def turns_away(self, sock, now):
        """Answer 503 if there is no room for an accepted socket.

        :param sock: the socket; the listener closes it if there is no room
        :param now: monotonic seconds
        :returns: True if it was turned away
        """
        most = self.options.max_connections
        if self.close_with is None and (most is None or len(self.running) < most):
            return False
        self.tell_busy(sock, now)
        return True

    def tell_busy(self, sock, now):
        """Answer 503 and close; with TLS, only close."""
        self.listener.turn_away(sock, self._busy, now)

    # -- the end

    def close_soon(self, code, reason):
        """Turn all clients away from now on.  Safe in signal handlers."""
        if self.close_with is None:
            self.close_with = code, reason

    def begin_stop(self, code=1001, reason=''):
        """Stop listening, and close all connections; never waits."""
        self.close_soon(code, reason)
        self.listener.stop_listening()
        self.running.stop(*self.close_with)

    # -- for a group

    def accept(self, sock, address, now, session_class):
        """Make the WebSocket of an accepted socket, for a group to drive.

        :param now: monotonic seconds
        :param session_class: an :class:`~lomond.server.accepted.AcceptedSession`
        :returns: the :class:`~lomond.server.ServerWebSocket`; None if there is no room
            for it
        """
        if self.turns_away(sock, now):
            return None
        websocket = self.options.take(sock, address, session_class)
        websocket._session.max_queued = self.options.max_queued
        connection.take_over(websocket)
        self.running.add(websocket)
        return websocket

    def release(self, websocket):
        """Forget a connection that is over.  Safe from any thread."""
        self.running.remove(websocket)

    @property
    def is_idle(self):
        """True once no connection is left, including those that were turned away."""
        return not len(self.running) and self.listener.is_idle

    def drop(self):
        """Drop all connections."""
        self.running.drop()

    def end(self):
        """Drop all connections and close everything."""
        self.close_soon(1001, '')
        self.running.drop()
        self.listener.close()
