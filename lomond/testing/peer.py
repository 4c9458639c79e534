"""One connection of the test server: what a handler is called with.

It must not know how connections are accepted, nor which handler runs.  It drives the protocol
core in its server role with the same :class:`~lomond.conversation.Conversation` that drives the
client.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import struct

from .. import errors, options, states
from ..compat import BYTES_LIKE, OS_ERRORS, encode_utf8, get_ident, text_type, to_bytes
from ..connection import SERVER, Connection
from ..conversation import Conversation
from ..frame import encode_frame
from ..handshake import ServerHandshake
from ..opcode import Opcode
from ..timers import Timers
from ..transport import TlsStream, as_stream
from ..waiting import LONGEST, READ, Waiting

#: How long the end of the client's stream is waited for after ours has ended.  Data left unread
#: would make the kernel send a reset, which can destroy the close frame on its way.
LINGER = 1.0
#: What one record costs besides its payload, roughly.
RECORD_SIZE = 200

_DEFAULT = object()


class ReceiveTimeout(errors.WebSocketError):
    """The client sent nothing for as long as a handler was ready to wait."""


class _Plan(object):
    """What a conversation asks whoever began it; a server wants nothing of it."""

    on_event = on_sent = on_received = None

    def accepted(self, response):
        """A cookie jar would look at it."""

    def follow(self, event):
        """A redirect would be followed."""


class ServerConnection(object):
    """One accepted connection; made by :class:`~lomond.testing.Server`.

    Iterating it gives the client's events (``Text``, ``Binary``, ``Ping``, ``Pong``,
    ``Closing``, ``Closed``, ``ProtocolError``) until the connection is over.  Pings are answered,
    and closes echoed, by themselves, in the order of :mod:`lomond.connection`: the echo of a close
    is sent when the handler asks for the next event, or returns.

    Threads: ``receive``, ``receive_raw``, ``pause`` and the iteration belong to the handler's
    thread; ``send_*``, ``close`` and ``drop`` may be called from any thread; what is recorded may
    be read by any thread.

    :ivar number: int: 1 for the first connection of the server
    :ivar address: the address of the client, as of ``socket.accept``
    :ivar request: :class:`~lomond.response.Request`; None before it has come
    :ivar protocol: text: the subprotocol agreed on, or None
    :ivar extensions: set of text: the extensions agreed on
    :ivar close_code: the code of the client's close frame, or None
    :ivar close_reason: its reason, text
    :ivar error: the exception that ended the handler, or None; also one that does not count as a
        failure because the client had gone
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
        self._server = server
        self._waiting = Waiting()
        self._sock = sock
        self._stream = None
        self._talk = None
        self._life = None               # the generator of events
        self._ended = False             # no further event will come
        self._is_stopping = False       # nothing is waited for any more (set by any thread)
        self._drop = None               # how it is to be dropped: 'end' or 'reset' (any thread)
        self._thread_ident = None
        self._events = collections.deque()      # appended by its thread, shortened by any
        self._core = Connection(
            SERVER, ServerHandshake(server.protocols, server.deflate, server.answer_request),
            max_message_size=server.max_message_size, deflate=server.deflate)

    def __repr__(self):
        return str('<ServerConnection {} {}>').format(self.number, self._core.state.name)

    # -- what was seen

    @property
    def events(self):
        """A list of the events so far, :class:`~lomond.events.Event`, also of those that the
        handler did not take.  What the server's ``record_limit`` does not allow is missing at
        the front.
        """
        return list(self._events)

    @property
    def messages(self):
        """A list of the messages so far: text, or bytes of the binary ones."""
        return [event.text if event.name == 'text' else event.data for event in self.events
                if event.name in ('text', 'binary')]

    @property
    def close_code(self):
        return self._core.close_code

    @property
    def close_reason(self):
        return self._core.close_reason

    @property
    def supports_compression(self):
        """True when permessage-deflate was agreed on."""
        return self._core.supports_compression

    @property
    def is_open(self):
        """True while messages may be sent."""
        return self._core.state.may_send

    def forget_oldest(self):
        """Drop the oldest recorded event (called by the server, to keep to its limit)."""
        self._events.popleft()

    # -- receiving

    def receive(self, timeout=_DEFAULT):
        """The next event of the client; waits for it.

        :param timeout: seconds; None: until the client or the server ends; default: the
            ``timeout`` of the server
        :returns: an :class:`~lomond.events.Event`; None when the connection is over, or the server
            stops and nothing is left to read
        :raises ReceiveTimeout: nothing came in time; the connection is still there
        """
        timeout, deadline = self._deadline(timeout)
        self._check_thread()
        while not self._ended:
            if self._drop is not None:
                self._end()
                break
            event = next(self._life, self)
            if event is self:
                self._end()
            elif event is None:
                if self._is_done():
                    self._ended = True
                else:
                    self._wait(deadline, timeout)
            elif event.name not in ('poll', 'ready'):
                self._server.record(self, event)
                return event
        return None

    def __iter__(self):
        return iter(self.receive, None)

    def receive_raw(self, timeout=_DEFAULT):
        """The next bytes as they come, behind the back of the protocol; waits for them.

        For a handler that is :func:`~lomond.testing.raw`, or one that shall neither answer pings
        nor see closes from now on.

        :param timeout: as for :meth:`receive`
        :returns: bytes; empty when the connection is over, or the server stops
        :raises ReceiveTimeout: nothing came in time
        """
        timeout, deadline = self._deadline(timeout)
        self._check_thread()
        place = bytearray(64 * 1024)
        while not self._ended and self._drop is None:
            try:
                count = self._stream.recv_into(memoryview(place))
            except OS_ERRORS as error:
                self.error = error
                count = 0
            if count is None:
                self._wait(deadline, timeout)
                continue
            if not count:
                self._end()
            return bytes(place[:count])
        self._end()
        return b''

    def pause(self, seconds=None):
        """Wait without reading.

        :param seconds: None: until the server stops
        :returns: False when the server stops, or :meth:`drop` was called
        """
        self._check_thread()
        clock, waiting = self._waiting.monotonic, self._waiting
        deadline = None if seconds is None else clock() + seconds
        while not self._is_stopping and self._drop is None:
            if deadline is not None and clock() >= deadline:
                return True
            waiting.wait(((waiting.fileno(), READ),), deadline)
            waiting.clear()
        return False

    def _deadline(self, timeout):
        if timeout is _DEFAULT:
            timeout = self._server.timeout
        if timeout is None:
            return None, None
        return timeout, self._waiting.monotonic() + timeout

    def _check_thread(self):
        if self._thread_ident != get_ident():
            raise errors.WebSocketError(
                "connection {}: only its handler's thread may receive".format(self.number))

    def _wait(self, deadline, timeout):
        """Wait for the client; at the deadline it raises, when the server stops it ends."""
        waiting, talk = self._waiting, self._talk
        if self._is_stopping:
            self._ended = True
            return
        now = waiting.monotonic()
        if deadline is not None and now >= deadline:
            raise ReceiveTimeout('connection {}: the client sent nothing for {}s (timeout)'.format(
                self.number, timeout))
        until = talk.next_deadline(now)
        if until is None or (deadline is not None and deadline < until):
            until = deadline
        wake_fd = waiting.fileno()
        for fd, _ in waiting.wait(talk.waits() + ((wake_fd, READ),), until):
            if fd == wake_fd:
                waiting.clear()

    def _is_done(self):
        """Our answer to the client's close is out: the server ends TCP (RFC 6455, 7.1.1)."""
        core = self._core
        return core.role.closes_tcp_first and core.state is states.ECHOED and self._is_flushed()

    # -- sending

    def send_text(self, text, compress=True):
        """Send a text message; waits for the client to take it.

        :param text: text
        :param compress: compress it when that was agreed on
        :raises TypeError: for anything else
        :raises WebSocketClosing, WebSocketClosed: after a close frame, or the end
        :raises SendTimeout: the client took nothing for ``timeout`` seconds of the server
        :raises TransportFail: the connection is broken
        """
        if not isinstance(text, text_type):
            raise TypeError('text must be text, not {}; use send_binary for bytes'.format(
                type(text).__name__))
        self._send(Opcode.TEXT, encode_utf8(text), compress)

    def send_binary(self, data, compress=True):
        """Send a binary message; errors as in :meth:`send_text`.

        :param data: bytes, bytearray or memoryview; it must not change until this returns
        """
        self._check_bytes(data)
        self._send(Opcode.BINARY, data if isinstance(data, bytes) else options.flat_view(data),
                   compress)

    def send_ping(self, data=b''):
        """Send a ping; errors as in :meth:`send_text`, ``ValueError`` above 125 bytes."""
        self._check_bytes(data)
        self._send(Opcode.PING, to_bytes(data))

    def send_pong(self, data=b''):
        """Send a pong; as :meth:`send_ping`."""
        self._check_bytes(data)
        self._send(Opcode.PONG, to_bytes(data))

    def send_frame(self, opcode, payload=b'', fin=True, rsv1=False):
        """Send one frame whatever the protocol says about it: fragments, reserved opcodes ...

        :param opcode: 0 - 15
        :param payload: bytes, bytearray or memoryview
        :param fin: False: the message goes on
        :param rsv1: True: the payload is compressed (it must be so already)
        :raises TransportFail, SendTimeout: as :meth:`send_text`
        """
        self._check_bytes(payload)
        self.send_raw(encode_frame(opcode, payload, None, fin, rsv1))

    def send_raw(self, data):
        """Send bytes as they are, behind what was sent before; waits for the client to take them.

        In another thread than the handler's it only leaves them to be sent.

        :param data: bytes, bytearray or memoryview
        :raises WebSocketClosed: after the end
        :raises TransportFail, SendTimeout: as :meth:`send_text`
        """
        self._check_bytes(data)
        talk = self._talk
        if talk is None or self._drop is not None:
            raise errors.WebSocketClosed('nothing can be sent, the connection is over')
        self._core.replies.queue(None, to_bytes(data))
        talk.writer.try_flush()
        if self._thread_ident == get_ident():
            self._flush()
        else:
            talk.wake()

    def close(self, code=1000, reason=''):
        """Begin the closing handshake, or answer the client's; it does not wait.

        The client's answer is the event ``Closed``.  A handler that returns without it waits for it,
        at most the ``timeout`` of the server.

        :param code: a close code that may be sent; None: an empty close frame
        :param reason: text or UTF-8 bytes, cut to 123 bytes
        :raises TypeError, ValueError: for what may not be sent (:meth:`send_frame` sends anything)
        """
        payload = self._core.close(code, reason)
        talk = self._talk
        if payload is None or talk is None:
            return
        self._timers.closed_at = talk.clock()
        self._core.replies.queue(Opcode.CLOSE, payload)
        talk.writer.try_flush()
        talk.wake()

    def drop(self, reset=False):
        """End the TCP connection without a close frame.

        Called by another thread than the handler's, it happens when the handler next receives or
        pauses, or ends; without ``reset`` at once.

        :param reset: True: the client gets a reset (ECONNRESET) in place of the end of the stream
        """
        if self._drop is None:
            self._drop = 'reset' if reset else 'end'
        self._core.disconnect()
        talk = self._talk
        if self._thread_ident == get_ident():
            self._end()
            self._shut()
        elif talk is not None and not reset:
            talk.stop('dropped')
        else:
            self._waiting.wake()

    def _check_bytes(self, data):
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be bytes, bytearray or memoryview, not {}; use send_text for '
                            'text'.format(type(data).__name__))

    def _send(self, opcode, payload, compress=False):
        talk = self._talk
        if talk is None:
            self._core.check_send()
            raise errors.WebSocketClosed('nothing can be sent, the connection is over')
        talk.writer.send(opcode, payload, compress)

    def _is_flushed(self):
        return not (self._core.replies.pending or self._talk.writer.has_tail())

    def _flush(self):
        """Wait until everything is out."""
        talk = self._talk
        writer, clock = talk.writer, talk.clock
        timeout = self._server.timeout
        deadline = None if timeout is None else clock() + timeout
        while not self._is_flushed() and writer.error is None and not self._is_stopping:
            if deadline is not None and clock() >= deadline:
                raise errors.SendTimeout('socket fail; the client did not take everything within '
                                         '{}s (timeout)'.format(timeout))
            talk.wait_in_send(self._stream.send_wants, deadline)
            writer.try_flush()
        if writer.error is not None:
            raise errors.TransportFail(text_type(writer.error))

    # -- the life of a connection, in its thread

    def run(self, handler):
        """Shake hands, call the handler, close; the body of the connection's thread."""
        self._thread_ident = get_ident()
        try:
            try:
                if self._open(getattr(handler, 'is_raw', False)):
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
            self._shut()
            self.is_over = True

    def _open(self, is_raw):
        """TLS and the opening handshake; True when the handler is to be called."""
        server, waiting = self._server, self._waiting
        timeout = server.timeout
        deadline = None if timeout is None else waiting.monotonic() + timeout
        try:
            if server.ssl_context is None:
                self._stream = as_stream(self._sock)
            else:
                self._sock.setblocking(False)
                self._sock = server.ssl_context.wrap_socket(
                    self._sock, server_side=True, do_handshake_on_connect=False)
                self._stream = TlsStream(self._sock)
        except OS_ERRORS as error:          # the client has gone already
            self.error = error
            return False
        self._timers = Timers(poll=LONGEST, ping_rate=None, close_timeout=timeout)
        self._talk = Conversation(
            self._core, self._stream, self._timers, waiting, timeout, deadline,
            'no request within {}s'.format(timeout), _Plan())
        if server.ssl_context is not None and not self._shake_tls(deadline):
            return False
        if is_raw:
            return True
        self._life = self._talk.live()
        while not self._ended and self._drop is None:
            event = next(self._life, self)
            if event is self:
                self._end()
            elif event is None:
                self._wait(None, None)
            elif event.name == 'ready':
                self.request, self.protocol = event.response, event.protocol
                self.extensions = event.extensions
                server.record_request(self.request)
                return True
            elif event.name == 'rejected':
                self.request = event.response
                server.record_request(self.request)
                self._ended = True
                self._flush()
            else:
                server.record(self, event)
        return False

    def _shake_tls(self, deadline):
        waiting = self._waiting
        try:
            while not self._is_stopping and self._drop is None:
                mask = self._stream.handshake()
                if mask is None:
                    return True
                if deadline is not None and waiting.monotonic() >= deadline:
                    break
                waiting.wait(((self._stream.fileno(), mask), (waiting.fileno(), READ)), deadline)
        except OS_ERRORS as error:          # the client does not trust us, or is no TLS client
            self.error = error
        self._ended = True
        return False

    def _finish(self):
        """What is left to do when the handler has ended: the closing handshake, and TCP."""
        if self._life is None or self._drop is not None:
            return
        if self._is_stopping:
            self.close(1001, 'the server stops')
        elif self.is_open:
            self.close(1000)
        while self.receive(None) is not None:
            pass
        talk = self._talk
        if self._drop is None and talk is not None and talk.ending in (
                None, ('closed', True, None)):
            self._linger()

    def _linger(self):
        """End our direction, and read until the client ends its own."""
        waiting, stream = self._waiting, self._stream
        stream.shutdown_write()
        deadline = waiting.monotonic() + LINGER
        place = memoryview(bytearray(64 * 1024))
        while True:
            count = stream.recv_into(place)
            if count == 0:
                return
            if count is None:
                if self._is_stopping or waiting.monotonic() >= deadline:
                    return
                waiting.wait(((stream.fileno(), stream.recv_wants), (waiting.fileno(), READ)),
                             deadline)

    def stop(self):
        """What has arrived is still handled, but nothing is waited for any more; any thread."""
        self._is_stopping = True
        self._waiting.wake()

    def abort(self):
        """Shut the socket down, so that a blocked send ends; any thread."""
        talk = self._talk
        if talk is not None:
            talk.stop('the server stops')

    def _end(self):
        self._ended = True
        self._core.disconnect()

    def _shut(self):
        """Close the socket; the state stays."""
        self._end()
        talk, self._talk = self._talk, None
        life, self._life = self._life, None
        if talk is None:
            if self._stream is None:
                self._sock.close()
            self._waiting.close()
            return
        if self._drop == 'reset':
            # Closed without an end before it: with this option the kernel sends a reset.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
            self._stream.shutdown = _do_nothing
        elif self._drop == 'end':
            self._discard()
        talk.close()
        if life is not None:
            life.close()
        self._core.release()
        self._waiting.close()

    def _discard(self):
        """Read what is there: closing a socket with unread data sends a reset."""
        self._stream.shutdown_write()
        place = memoryview(bytearray(64 * 1024))
        try:
            while self._stream.recv_into(place):
                pass
        except OS_ERRORS:       # the reset came from the client
            pass


def _do_nothing():
    """In place of ``shutdown``, which would announce an end before the reset."""
