"""The sending half of a WebSocket: what any thread may call while a connection runs.

The same code serves a client's ``WebSocket`` and the WebSocket of an accepted
connection.  A subclass has an attribute ``state`` with these members, which it replaces
for each connection:

``core``
    the :class:`~lomond.protocol.connection.Connection`
``session``
    the object that drives the connection, or None; it has ``send``, ``close``,
    ``force_disconnect`` and ``session_time``
``observer``
    None, or an object with ``emit(stage, **values)``, which may run code of the
    program, and ``on_close(code, reason)``, which only notes
``has_custom_session``
    True if the session does not note by itself when a ping was sent

Knows nothing of: roles, how a connection comes about, received bytes.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import BYTES_LIKE, encode_utf8, flat_view, monotonic, text_type
from ..opcode import Opcode
from ..protocol import states
from ..protocol.frames import MAX_CONTROL_PAYLOAD, encode_close_payload


class Sender(object):
    """Sends messages, ends the connection, and reports its state.

    All methods may be called from any thread; :meth:`close` and
    :meth:`force_disconnect` also in signal handlers.
    """

    # -- messages

    def send_text(self, text, compress=True):
        """Send a text message; returns when the operating system has taken its bytes.

        May be called from any thread.

        :param text: text of any length
        :param compress: if false, the message is sent uncompressed even if compression
            was agreed on
        :raises TypeError: if ``text`` is not text
        :raises WebSocketUnavailable: before Ready
        :raises WebSocketClosing: after :meth:`close`, or once the peer's close was
            answered
        :raises WebSocketClosed: after the end
        :raises SendTimeout: the peer took nothing for ``send_timeout`` seconds
        :raises TransportFail: the connection is broken
        """
        if not isinstance(text, text_type):
            raise TypeError('text must be text, not {}; use send_binary for bytes'.format(
                type(text).__name__))
        # Hot path: not by _send, which would be a call more.
        payload, state = encode_utf8(text), self.state
        session = state.session
        if session is None or state.core.inputs != states.OPENED:
            session = _open_session(state)
        session.send(Opcode.TEXT, payload, compress)
        if state.observer is not None:
            self._note_message(state, Opcode.TEXT, payload, compress)

    def send_binary(self, data, compress=True):
        """Send a binary message.

        May be called from any thread; errors as for :meth:`send_text`.

        :param data: bytes, bytearray or memoryview; must not change until this returns
        :param compress: as for :meth:`send_text`
        """
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be bytes, bytearray or memoryview, not {}; use send_text for '
                            'text'.format(type(data).__name__))
        if not isinstance(data, bytes):
            data = flat_view(data)
        self._send(Opcode.BINARY, data, compress)

    def send_json(self, _obj=Ellipsis, **kwargs):
        """Send an object, or the keyword arguments, as JSON in a text message.

        ``send_json([1, 2])``, ``send_json(subscribe=u'prices')``; without arguments
        ``{}`` is sent.  From any thread, errors as for :meth:`send_text`.

        :param kwargs: the members of a JSON object, even ``compress``
        :raises ValueError: if both an object and keywords are given
        :raises TypeError: if the object is not serializable
        """
        if _obj is not Ellipsis and kwargs:
            raise ValueError('send_json takes one object or keywords, not both')
        import json
        try:
            text = json.dumps(kwargs if _obj is Ellipsis else _obj)
        except ValueError as error:     # an object that contains itself; bytes on 2.7
            raise TypeError('not serializable as JSON: {}'.format(error))
        return self.send_text(text if isinstance(text, text_type) else text.decode('ascii'))

    def send_stream(self, parts, compress=True):
        """Send one message in parts, while they are still being made.

        Each part that is not empty becomes a frame (RFC 6455, 5.4).  The first part
        decides the type of the message; without one it is empty and binary.  Messages
        that are sent meanwhile follow this one; pings, pongs, and :meth:`close` do not
        wait for it.

        In the thread that iterates the events this returns at once: the loop takes a
        part whenever the peer has taken the one before, and yields ``Drained`` at the
        end.  The iterable then runs in that thread and should not wait.  In another
        thread, this returns when the operating system has taken the last byte, and the
        iterable may wait.

        If the iterable raises, or mixes types, the message cannot be finished: the
        connection fails with 1011, and the exception comes out of this method, or of
        the loop.  When the connection ends before, the iterable is closed, if it has a
        ``close()``.

        :param parts: an iterable of bytes, bytearrays and memoryviews, or of text; or a
            binary file, which is read in parts of 64 KiB.  A part must not change until
            the next one is asked for
        :param compress: as for :meth:`send_text`
        :raises TypeError: if ``parts``, or the first of them, is something else;
            nothing is sent
        :raises WebSocketError: in the thread that iterates, if it sends another message
            in parts

        Other errors are those of :meth:`send_text`; ``send_timeout`` counts for each
        part, and waiting for the iterable does not count.
        """
        from .outgoing_stream import OutgoingStream
        stream = OutgoingStream(parts, compress)
        state = self.state
        session = _open_session(state)
        if not hasattr(session, 'send_stream'):
            raise errors.WebSocketError('{} has no send_stream'.format(type(session).__name__))
        if state.observer is not None:
            stream.on_end = self._note_stream
        session.send_stream(stream)

    def _note_stream(self, stream):
        observer = self.state.observer
        if observer is not None:
            observer.emit('send_' + Opcode.to_str(stream.opcode).lower(), length=stream.length,
                          compressed=bool(stream.compress and self.supports_compression))

    def cork(self):
        """Gather what this thread sends in a block, to write it together.

        ``with websocket.cork():``.  Each message is checked and encoded by its send,
        and all are written, in order, at the end of the block, and before that whenever
        64 KiB have gathered, or something else needs the wire: a send of another
        thread, a pong, a close frame, a part of :meth:`send_stream`, or the loop of the
        same thread, before it waits.  A message above 64 KiB is written at once.

        A block may be inside of another one: the outer one's end counts.  If the body
        raises, what it has sent is written without waiting (the loop writes the rest),
        and its exception is the one that comes out.  In a loop of many connections, and
        after :meth:`close`, sends behave as they do elsewhere.

        :returns: a context manager, for one block in one thread.  It works on the
            connection that there is at its begin; without one, nothing is gathered
        :raises WebSocketUnavailable: (or a subclass) at the end of the block, like the
            next two, if the connection ended before everything was written
        :raises SendTimeout: the peer took nothing for ``send_timeout`` seconds
        :raises TransportFail: the connection is broken
        """
        from .cork import Cork
        return Cork(self.state.session)

    def send_ping(self, data=b''):
        """Send a ping (RFC 6455, 5.5.2).

        May be called from any thread; errors as for :meth:`send_text`.

        :param bytes data: at most 125 bytes; the pong returns them
        :raises TypeError: if ``data`` is not bytes
        :raises ValueError: if ``data`` is too long
        """
        self._send_control(Opcode.PING, data)

    def send_pong(self, data):
        """Send an unsolicited pong, or with ``auto_pong=False`` the answer to a ping.

        :param bytes data: at most 125 bytes; errors as for :meth:`send_ping`
        """
        self._send_control(Opcode.PONG, data)

    def _send_control(self, opcode, data):
        if not isinstance(data, bytes):
            raise TypeError('data must be bytes, not {}'.format(type(data).__name__))
        if len(data) > MAX_CONTROL_PAYLOAD:
            raise ValueError('data is {} bytes; at most {} are allowed'.format(
                len(data), MAX_CONTROL_PAYLOAD))
        state = self.state
        session = _open_session(state)
        if opcode == Opcode.PING and state.has_custom_session:
            state.core.pings.sent(data, monotonic())
        session.send(opcode, data)
        if state.observer is not None:
            state.observer.emit('send_' + Opcode.to_str(opcode).lower(), length=len(data))

    def _send(self, opcode, payload, compress):
        # hot path: comparing the list of inputs is faster than asking for core.state
        state = self.state
        session = state.session
        if session is None or state.core.inputs != states.OPENED:
            session = _open_session(state)      # other states may allow sending, too
        session.send(opcode, payload, compress)
        if state.observer is not None:
            self._note_message(state, opcode, payload, compress)

    def _note_message(self, state, opcode, payload, compress):
        state.observer.emit('send_' + Opcode.to_str(opcode).lower(), length=len(payload),
                            compressed=bool(compress and self.supports_compression))

    # -- the end

    def close(self, code=1000, reason='goodbye'):
        """Begin the closing handshake (RFC 6455, 7.1.2).

        Go on iterating until the events end.  Never waits, and never raises because of
        the state of the connection.  May be called from any thread and in a signal
        handler.  Does nothing if the connection is closing or closed, or was never
        begun.

        :param code: 1000 - 1003, 1007 - 1014 or 3000 - 4999 (RFC 6455, 7.4); None sends
            an empty close frame
        :param reason: text or UTF-8 bytes, cut to 123 bytes
        :raises TypeError: if ``code`` is not an integer, or ``reason`` neither text nor
            bytes
        :raises ValueError: if ``code`` may not be sent, or ``reason`` is not UTF-8
        """
        payload = encode_close_payload(code, reason)        # reports bad arguments in any state
        state = self.state
        if state.session is None:
            return
        request = states.CloseRequest(payload, state.session.session_time)
        try:
            self._begin_close(state, request, code, reason)
        except BaseException:           # of a signal handler: the rest is done before it goes on
            self._begin_close(state, request, code, reason)
            raise

    @staticmethod
    def _begin_close(state, request, code, reason):
        """Do what :meth:`close` does; again, if it was cut off."""
        session, core = state.session, state.core
        payload = core.close_by(request)
        if payload is None:
            if core.close_request is request and not core.was_open:
                session.close()
            return
        core.note_close_sent(request.session_time)
        if state.observer is not None:
            state.observer.on_close(code, reason)
        if not (request.is_handed and state.has_custom_session):
            request.is_handed = True
            session.send(Opcode.CLOSE, payload)

    def force_disconnect(self):
        """Drop the connection at once, without a close frame.

        The loop then yields ``Disconnected``.  Never waits and never raises, and wakes
        senders that are waiting.  May be called from any thread and in a signal
        handler, any number of times.
        """
        state = self.state
        if state.session is not None:
            try:
                self._drop(state)
            except BaseException:       # of a signal handler: the rest is done before it goes on
                self._drop(state)
                raise

    def _drop(self, state):
        state.core.disconnect()
        state.session.force_disconnect()
        self._on_dropped(state)

    def _on_dropped(self, state):
        """Called after :meth:`force_disconnect`; for subclasses."""

    # -- the state of the connection

    @property
    def session(self):
        """The session of the current connection; None before the first connection."""
        return self.state.session

    @property
    def is_active(self):
        """True while the connection is neither closing nor closed.

        Also true before the first connection.
        """
        core = self.state.core
        return core.state.is_active

    @property
    def is_closing(self):
        """True from our close frame, or a failure, until the end.

        Still false while ``Closing`` is handled.
        """
        core = self.state.core
        return core.state.is_closing

    @property
    def is_closed(self):
        """True once the connection is over.

        Already true while the event that says so is handled.
        """
        core = self.state.core
        return core.state.is_closed

    @property
    def sent_close_time(self):
        """Seconds from ``Ready`` to our close frame, a float; None if none was sent."""
        core = self.state.core
        return core.sent_close_time

    @property
    def supports_compression(self):
        """True if permessage-deflate was agreed on for the current connection."""
        core = self.state.core
        return core.supports_compression

    @property
    def latency(self):
        """Seconds from the newest answered ping to its pong, a float.

        None before the first pong.
        """
        core = self.state.core
        return core.latency

    @property
    def queued(self):
        """Bytes of queued messages that the operating system has not taken yet.

        0 without a connection.  May be asked in any thread.
        """
        return getattr(self.state.session, 'queued', 0)


def _open_session(state):
    """Return the session, or raise the error that says why nothing can be sent."""
    if state.session is None:
        raise errors.WebSocketUnavailable('nothing can be sent before the first connection')
    state.core.check_send()
    return state.session
