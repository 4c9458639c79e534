"""A WebSocket driven by hand: bytes in, events out, without a socket.

Knows nothing of: sockets.  The clock is read only to stamp the bytes that are fed.
"""

from __future__ import absolute_import, division, unicode_literals

import time

from .._compat import BYTES_LIKE, flat_view, monotonic
from ..opcode import Opcode
from ..protocol import states


class Feed(object):
    """The part of a ``WebSocket`` that takes bytes from the caller.

    Works on ``state``, the current :class:`~lomond.client.attempt.Attempt`.
    """

    def feed(self, data):
        """Take bytes and yield events, for a session of your own.

        Nothing happens until the generator is iterated, which only one thread may do.
        Automatic replies go to the session's ``write()``; without a session there are
        none.

        :param data: bytes, bytearray or memoryview, which must not change meanwhile;
            empty bytes are the end of the stream
        :returns: a generator of events, without ``Disconnected``; leaving it unfinished
            ends the connection
        :raises TypeError: for anything else, at the first ``next()``
        :raises WebSocketError: at the first ``next()``, if an earlier generator is not
            exhausted
        """
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be bytes, bytearray or memoryview, not {}'.format(
                type(data).__name__))
        state = self.state
        core = state.core
        if state.report is not None:
            state.report()              # what close() and force_disconnect() have noted
        if core.state.is_closed:        # perhaps by a generator left unfinished: not an error
            return
        if not isinstance(data, bytes):
            data = flat_view(data)
        observer = state.feed_observer
        events = core.receive(data, time.time(), monotonic())
        is_done = False
        try:
            for event in events:
                self._write_replies(state, core)
                if observer is not None:
                    observer.on_event(event)
                yield event
            self._write_replies(state, core)
            is_done = True
        finally:
            if not is_done:
                self.on_disconnect()
        if core.state is states.FAILED:
            self.force_disconnect()
        elif core.state in (states.REJECTED, states.DISCONNECTED):
            state.end_by_hand()
        if state.report is not None:
            state.report()

    def on_disconnect(self):
        """End the connection by closing the session, without a close frame.

        May be called from any thread.
        """
        state = self.state
        state.core.disconnect()
        if state.session is not None:
            state.session.close()
            state.end_by_hand()
        if state.report is not None:
            state.report()

    @staticmethod
    def _write_replies(state, core):
        session = state.session
        if session is None:
            return
        for opcode, payload in core.take_outgoing():
            if opcode == Opcode.CLOSE:
                core.note_close_sent(session.session_time)
            if state.feed_observer is not None:
                state.feed_observer.on_reply(opcode, payload)
            session.write(core.encode_reply(opcode, payload))
