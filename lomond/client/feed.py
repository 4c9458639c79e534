"""A WebSocket driven by hand: bytes in, events out, without a socket.

It must not know sockets, and reads the clock only to stamp what is fed.
"""

from __future__ import absolute_import, division, unicode_literals

import time

from .._compat import BYTES_LIKE, flat_view, monotonic
from ..opcode import Opcode
from ..protocol import states

# Of connect(): what the trace record connect_start holds.
LOOP_SETTINGS = ('poll', 'ping_rate', 'ping_timeout', 'auto_pong', 'close_timeout')


class Feeding(object):
    """The part of :class:`~lomond.websocket.WebSocket` that takes bytes from a caller."""

    def begin_by_hand(self, observer, settings):
        """A session that is not ours was made; what ours writes to the trace is written here."""
        self._observer = self._feed_observer = observer
        if observer is not None:
            observer.emit('connect_start', **dict((name, settings[name]) for name in LOOP_SETTINGS))

    def end_by_hand(self):
        """It is over; once."""
        observer, self._feed_observer = self._feed_observer, None
        if observer is not None:
            observer.emit('disconnected')

    def feed(self, data):
        """Bytes in, events out, for a session of one's own; nothing happens before it is iterated.

        Automatic replies go to the session's ``write()``; without a session there are none.  It
        belongs to one thread.

        :param data: bytes, bytearray or memoryview, which must not change meanwhile; empty: the
            end of the stream
        :returns: a generator of events, without ``Disconnected``; one that is left unfinished ends
            the connection
        :raises TypeError: anything else, at the first ``next()``
        :raises WebSocketError: an earlier one is not exhausted, at the first ``next()``
        """
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be bytes, bytearray or memoryview, not {}'.format(
                type(data).__name__))
        core = self.state.core
        if core.state.is_closed:        # also by one that was left unfinished, which is no error then
            return
        if not isinstance(data, bytes):
            data = flat_view(data)
        observer = self._feed_observer
        events = core.receive(data, time.time(), monotonic())
        is_done = False
        try:
            for event in events:
                self._write_replies(core)
                if observer is not None:
                    observer.on_event(event)
                yield event
            self._write_replies(core)
            is_done = True
        finally:
            if not is_done:
                self.on_disconnect()
        if core.state is states.FAILED:
            self.force_disconnect()
        elif core.state in (states.REJECTED, states.DISCONNECTED):
            self.end_by_hand()

    def _write_replies(self, core):
        session = self.state.session
        for opcode, payload in core.take_outgoing() if session is not None else ():
            if opcode == Opcode.CLOSE and core.sent_close_time is None:
                core.sent_close_time = session.session_time
            if self._feed_observer is not None:
                self._feed_observer.on_reply(opcode, payload)
            session.write(core.encode_reply(opcode, payload))
