"""One connection of the test server: what a handler is called with.

It is an accepted session in the thread of its handler, plus what tests need: it records
what the client does, receiving has a timeout, and a handler can bypass the protocol
(raw bytes, invalid frames, an end of TCP without a close frame).

Knows nothing of: how connections are accepted, which handler runs.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import struct
import threading

from .. import errors
from .._compat import (
    BYTES_LIKE,
    OS_ERRORS,
    encode_utf8,
    flat_view,
    get_ident,
    text_type,
    to_bytes,
    wait_for_event,
)
from ..errors import ReceiveTimeout
from ..network.poller import ENDLESS
from ..opcode import Opcode
from ..protocol.frames import encode_frame
from ..server.accepted import Acceptance, AcceptedSession

_DEFAULT = object()

#: Events of a session that are neither recorded nor handed to a handler.
_UNSEEN = frozenset(('ready', 'rejected', 'poll', 'disconnected'))


def _after(now, seconds):
    """Return the time of ``now`` plus the seconds; None if that is never."""
    return None if seconds is None or seconds >= ENDLESS else now + seconds


class ServerConnection(object):
    """One accepted connection; made by :class:`~lomond.testing.Server`.

    Iterating it yields the client's events (``Text``, ``Binary``, ``Ping``, ``Pong``,
    ``Closing``, ``Closed``, ``ProtocolError``) until the connection is over.  Pings are
    answered and closes echoed automatically: the echo of a close is sent when the
    handler asks for the next event, or returns.

    Threads: ``receive``, ``receive_raw``, ``pause`` and the iteration belong to the
    handler's thread; ``send_*``, ``close`` and ``drop`` may be called from any thread;
    what is recorded may be read by any thread.

    :param server: the :class:`~lomond.testing.Server`
    :param sock: the accepted socket
    :param address: the address of the client, as returned by ``socket.accept``
    :param number: int: 1 for the first connection of the server

    :ivar number: as given
    :ivar address: as given
    :ivar request: the :class:`~lomond.response.Request`; None until it has come
    :ivar protocol: text: the subprotocol agreed on, or None
    :ivar extensions: set of text: the extensions agreed on
    :ivar error: the exception that ended the handler, or None; also one that does not
        count as a failure because the client had gone
    :ivar is_over: True once the handler has ended and the socket is closed
    """

    def __init__(self, server, sock, address, number):
        self.number = number
        self.address = address
        self.request = None
        self.protocol = None
        self.extensions = set()
        self.error = None
        self.is_over = False
        self.recorded = collections.deque()     # guarded by a lock of the server's
        self._server = server           # until the end: it refers to us
        self._timeout = timeout = server.timeout
        self._is_raw = False
        self._ended = False             # no further event will come
        self._is_stopping = False       # nothing is waited for any more (set by any thread)
        self._drop = None               # how to drop it: 'end' or 'reset' (set by any thread)
        self._stop_pausing = threading.Event()
        self._thread_ident = None
        self._ready = ()                # what the newest wait has found
        self._events = None             # the rest of what the newest step gave
        acceptance = Acceptance(server.protocols, server.deflate, server.answer_request,
                                server.max_message_size)
        self._core = acceptance.core
        self._session = AcceptedSession(acceptance, sock, server.ssl_context)
        self._session.start(open_timeout=timeout, close_timeout=timeout, send_timeout=timeout)

    def __repr__(self):
        return str('<ServerConnection {} {}>').format(self.number, self._core.state.name)

    # -- what was seen

    @property
    def events(self):
        """A list of the events so far, as :class:`~lomond.events.Event`; it includes
        those that the handler did not receive.  If the server's ``record_limit`` is
        exceeded, the oldest are missing.
        """
        return list(self.recorded)

    @property
    def messages(self):
        """A list of the messages so far: text, or bytes for binary messages."""
        return [event.text if event.name == 'text' else event.data for event in self.events
                if event.name in ('text', 'binary')]

    @property
    def close_code(self):
        """The code of the client's close frame, int; None if it sent none."""
        return self._core.close_code

    @property
    def close_reason(self):
        """The reason in the client's close frame, text."""
        return self._core.close_reason

    @property
    def supports_compression(self):
        """True if permessage-deflate was agreed on."""
        return self._core.supports_compression

    @property
    def is_open(self):
        """True while messages may be sent."""
        return self._core.state.may_send

    # -- the life of a connection, in its thread

    def prepare(self):
        """Open the descriptors that it needs, before its thread is started."""
        self._session.prepare()

    def discard(self):
        """Close the socket; the end, also of a connection that has got no thread."""
        self._shut()
        self._server = None
        self.is_over = True

    def run(self, handler):
        """Shake hands, call the handler, close; the body of the connection's thread."""
        self._thread_ident = get_ident()
        try:
            try:
                self._is_raw = getattr(handler, 'is_raw', False)
                if self._open():
                    handler(self)
            except (errors.WebSocketUnavailable, errors.TransportFail) as error:
                self.error = error
                if isinstance(error, errors.SendTimeout):
                    self._server.fail(self, error)
            except BaseException as error:      # pytest.fail() raises no Exception
                self.error = error
                self._server.fail(self, error)
                self.close(1011, 'the handler raised {}'.format(type(error).__name__))
            try:
                self._finish()
            except (errors.WebSocketError,) + OS_ERRORS as error:
                self.error = self.error or error
        finally:
            self.discard()

    def _open(self):
        """TLS and the opening handshake; return True if the handler is to be called."""
        session = self._session
        while not self._ended and self._drop is None:
            event = self._step()
            if event is None:
                if self._is_raw and session.is_connected:
                    return True
                if not self._ended:
                    self._wait(session.waits(), None)
            elif event.name == 'ready':
                self.request, self.protocol = event.response, event.protocol
                self.extensions = event.extensions
                self._server.record_request(self.request)
                return True
            elif event.name == 'rejected':
                self.request = event.response
                self._server.record_request(self.request)
            elif event.name == 'disconnected':
                if isinstance(event.error, errors.SendTimeout):     # of a refusal
                    raise event.error
                if not session.is_connected:
                    self.error = event.error
            else:
                self._server.record(self, event)
        return False

    def _step(self):
        """Return the session's next event; None if it has to wait, or is over."""
        session = self._session
        if self._events is None:
            ready, self._ready = self._ready, ()
            self._events = session.process(ready, session.monotonic())
        event = next(self._events, None)
        if event is None:
            self._events = None
            self._ended = self._ended or session.is_over
        return event

    def _next_event(self, timeout, deadline):
        """Return the client's next event, or None at the end."""
        self._check_thread()
        session = self._session
        has_waited = False
        while not self._ended:
            if self._drop is not None:
                self._end()
                break
            event = self._step()
            if event is not None:
                if event.name not in _UNSEEN:
                    self._server.record(self, event)
                    return event
            elif session.is_lingering:      # the rest is for _finish
                break
            elif not self._ended:
                # What has arrived is looked for once, even if there is no time to wait.
                self._wait(session.waits(), timeout, deadline, has_waited)
                has_waited = True
        return None

    def _wait(self, waits, timeout, deadline=None, raises=True):
        """Wait for the client; end the connection instead if the server stops.

        :raises ReceiveTimeout: if the deadline has passed, unless ``raises`` is false
        """
        session = self._session
        if self._is_stopping:
            self._ended = True
            return
        if raises and deadline is not None and session.monotonic() >= deadline:
            raise ReceiveTimeout('connection {}: the client sent nothing for {}s (timeout)'.format(
                self.number, timeout))
        until = None if self._is_raw else session.next_deadline()
        if until is None or (deadline is not None and deadline < until):
            until = deadline
        self._ready = session.wait(waits, until)

    def _check_thread(self):
        if self._thread_ident != get_ident():
            raise errors.WebSocketError(
                "connection {}: only its handler's thread may receive".format(self.number))

    def _finish(self):
        """Do what is left after the handler: the closing handshake, the end of TCP."""
        session = self._session
        if self._is_raw or self._drop is not None:
            return
        if self._is_stopping:
            self.close(1001, 'the server stops')
        elif self.is_open:
            self.close(1000)
        while self._next_event(None, None) is not None:
            pass
        while not self._ended and self._drop is None:       # only the end of TCP is missing
            if self._step() is None and not self._ended:
                self._wait(session.waits(), None)
        if self._drop is None and not session.is_over:      # the server stops
            _discard(session.stream)

    def stop_waiting(self):
        """Stop waiting; what has arrived is still handled.  From any thread."""
        self._is_stopping = True
        self._stop_pausing.set()
        self._session.wake()

    def abort(self):
        """Shut the socket down, so that a blocked send ends.  From any thread."""
        self._session.force_disconnect()

    def _end(self):
        self._ended = True
        self._core.disconnect()

    def _shut(self):
        """Close the socket; the state stays."""
        self._end()
        session = self._session
        stream = session.stream
        if stream is not None and self._drop == 'reset':
            # With this option, closing sends a reset, unless an end was sent before.
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
            stream.shutdown = _do_nothing
        elif stream is not None and self._drop == 'end':
            _discard(stream)
        session.end()
        self._events = None             # not before: it would close the socket

    # -- receiving

    def receive(self, timeout=_DEFAULT):
        """Wait for the client's next event.

        :param timeout: seconds; None waits until the client or the server ends; the
            default is the ``timeout`` of the server
        :returns: an :class:`~lomond.events.Event`; None if the connection is over, or
            if the server stops and nothing is left to read
        :raises ReceiveTimeout: if nothing comes in time; the connection stays open
        """
        self._check_thread()
        if self._is_raw:
            raise errors.WebSocketError('connection {} has had no opening handshake; its handler is '
                                        'raw, and has receive_raw()'.format(self.number))
        return self._next_event(*self._deadline(timeout))

    def __iter__(self):
        return iter(self.receive, None)

    def receive_raw(self, timeout=_DEFAULT):
        """Wait for the next bytes, as they are, bypassing the protocol.

        For a handler that is :func:`~lomond.testing.raw`, or one that from now on
        should neither answer pings nor see closes.

        :param timeout: as for :meth:`receive`
        :returns: bytes; empty if the connection is over, or the server stops
        :raises ReceiveTimeout: if nothing comes in time
        """
        self._check_thread()
        timeout, deadline = self._deadline(timeout)
        session = self._session
        place = bytearray(64 * 1024)
        while not self._ended and self._drop is None:
            try:
                count = session.stream.recv_into(memoryview(place))
            except OS_ERRORS as error:
                self.error = error
                count = 0
            if count is None:
                session.driver.writer.try_flush()       # of send_raw in another thread
                self._wait(session.driver.waits(), timeout, deadline)
                continue
            if not count:
                self._end()
            return bytes(place[:count])
        return b''

    def pause(self, seconds=None):
        """Wait without reading.

        :param seconds: how long; None waits until the server stops
        :returns: False if the server stops, or :meth:`drop` was called
        """
        self._check_thread()
        session = self._session
        deadline = _after(session.monotonic(), seconds)
        while not self._is_stopping and self._drop is None:
            left = None if deadline is None else deadline - session.monotonic()
            if left is not None and left <= 0:
                return True
            if session.is_over:
                wait_for_event(self._stop_pausing, left)
            else:
                session.wait((), deadline)
        return False

    def _deadline(self, timeout):
        if timeout is _DEFAULT:
            timeout = self._timeout
        return timeout, _after(self._session.monotonic(), timeout)

    # -- sending

    def send_text(self, text, compress=True):
        """Send a text message; wait until the client takes it.

        :param text: text
        :param compress: if false, the message is sent uncompressed in any case
        :raises TypeError: if it is not text
        :raises WebSocketClosing: after a close frame
        :raises WebSocketClosed: after the end
        :raises SendTimeout: if the client takes nothing for the server's ``timeout``
        :raises TransportFail: if the connection is broken
        """
        if not isinstance(text, text_type):
            raise TypeError('text must be text, not {}; use send_binary for bytes'.format(
                type(text).__name__))
        self._send(Opcode.TEXT, encode_utf8(text), compress)

    def send_binary(self, data, compress=True):
        """Send a binary message; errors as for :meth:`send_text`.

        :param data: bytes, bytearray or memoryview; it must not change until this
            returns
        :param compress: as for :meth:`send_text`
        """
        self._check_bytes(data)
        self._send(Opcode.BINARY, data if isinstance(data, bytes) else flat_view(data),
                   compress)

    def send_ping(self, data=b''):
        """Send a ping (RFC 6455, 5.5.2); errors as for :meth:`send_text`.

        :param data: bytes, bytearray or memoryview, at most 125 bytes
        :raises ValueError: if ``data`` is too long
        """
        self._check_bytes(data)
        self._send(Opcode.PING, to_bytes(data))

    def send_pong(self, data=b''):
        """Send an unsolicited pong (RFC 6455, 5.5.3).

        :param data: as for :meth:`send_ping`
        """
        self._check_bytes(data)
        self._send(Opcode.PONG, to_bytes(data))

    def send_frame(self, opcode, payload=b'', fin=True, rsv1=False):
        """Send any frame, even one that the protocol forbids.

        :param opcode: 0 - 15
        :param payload: bytes, bytearray or memoryview
        :param fin: if false, more fragments follow
        :param rsv1: if true, the payload is marked as compressed; compress it yourself
        :raises TransportFail: if the connection is broken
        :raises SendTimeout: as for :meth:`send_text`
        """
        self._check_bytes(payload)
        self.send_raw(encode_frame(opcode, payload, None, fin, rsv1))

    def send_raw(self, data):
        """Send bytes as they are, and wait until the client takes them.

        In a thread other than the handler's, they are only queued.

        :param data: bytes, bytearray or memoryview
        :raises WebSocketClosed: after the end
        :raises TransportFail: if the connection is broken
        :raises SendTimeout: as for :meth:`send_text`
        """
        self._check_bytes(data)
        session = self._session
        if session.is_over or self._drop is not None:
            raise errors.WebSocketClosed('nothing can be sent, the connection is over')
        session.write(to_bytes(data))
        if self._thread_ident == get_ident():
            self._flush()

    def _flush(self):
        """Wait until everything is out."""
        session, timeout = self._session, self._timeout
        driver, stream = session.driver, session.stream
        writer, clock = driver.writer, session.monotonic
        deadline = _after(clock(), timeout)
        while ((self._core.send_queue.pending or writer.has_tail()) and writer.error is None
               and not self._is_stopping):
            if deadline is not None and clock() >= deadline:
                raise errors.SendTimeout('socket fail; the client did not take everything within '
                                         '{}s (timeout)'.format(timeout))
            if self._is_raw:
                session.wait(((stream.fileno(), stream.send_wants),), deadline)
            else:
                driver.wait_in_send(stream.send_wants, deadline)    # reads meanwhile
            writer.try_flush()
        if writer.error is not None:
            raise errors.TransportFail(text_type(writer.error))

    def close(self, code=1000, reason=''):
        """Begin the closing handshake, or answer the client's (RFC 6455, 5.5.1).

        This never waits.  The client's answer is the event ``Closed``.  If a handler
        returns without having received it, the server waits for it, at most for its
        ``timeout``.

        :param code: a close code that may be sent; None for an empty close frame
        :param reason: text or UTF-8 bytes, cut to 123 bytes
        :raises TypeError: if the code is not an integer, or the reason neither text nor
            bytes
        :raises ValueError: if the code may not be sent (:meth:`send_frame` sends
            anything)
        """
        payload = self._core.close(code, reason)
        if payload is not None:
            self._session.send(Opcode.CLOSE, payload)

    def drop(self, reset=False):
        """End the TCP connection without a close frame.

        In a thread other than the handler's, a reset is sent when the handler next
        receives or pauses, or ends; without ``reset``, the connection ends at once.

        :param reset: if true, the client gets a reset (ECONNRESET) instead of the end
            of the stream
        """
        if self._drop is None:
            self._drop = 'reset' if reset else 'end'
        self._stop_pausing.set()
        self._core.disconnect()
        if self._thread_ident == get_ident():
            self._shut()
        elif not reset:
            self._session.force_disconnect()
        else:
            self._session.wake()

    def _check_bytes(self, data):
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be bytes, bytearray or memoryview, not {}; use send_text for '
                            'text'.format(type(data).__name__))

    def _send(self, opcode, payload, compress=False):
        self._session.send(opcode, payload, compress)


def _discard(stream):
    """End our direction, and read what is there: unread data would cause a reset."""
    stream.shutdown_write()
    place = memoryview(bytearray(64 * 1024))
    try:
        while stream.recv_into(place):
            pass
    except OS_ERRORS:       # the reset came from the client
        pass


def _do_nothing():
    """Takes the place of ``shutdown``, which would announce an end before the reset."""
