"""One connection of the test server: what a handler is called with.

It must not know how connections are accepted, nor which handler runs.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import BYTES_LIKE, OS_ERRORS, encode_utf8, flat_view, get_ident, text_type, to_bytes
from ..opcode import Opcode
from ..protocol.frames import encode_frame
from .link import Link

_DEFAULT = object()


class ServerConnection(Link):
    """One accepted connection; made by :class:`~lomond.testing.Server`.

    Iterating it gives the client's events (``Text``, ``Binary``, ``Ping``, ``Pong``,
    ``Closing``, ``Closed``, ``ProtocolError``) until the connection is over.  Pings are answered,
    and closes echoed, by themselves: the echo of a close is sent when the handler asks for the next
    event, or returns.

    Threads: ``receive``, ``receive_raw``, ``pause`` and the iteration belong to the handler's
    thread; ``send_*``, ``close`` and ``drop`` may be called from any thread; what is recorded may
    be read by any thread.

    :ivar number: int: 1 for the first connection of the server
    :ivar address: the address of the client, as of ``socket.accept``
    :ivar request: :class:`~lomond.response.Request`; None before it has come
    :ivar protocol: text: the subprotocol agreed on, or None
    :ivar extensions: set of text: the extensions agreed on
    :ivar error: the exception that ended the handler, or None; also one that does not count as a
        failure because the client had gone
    :ivar is_over: True once the handler has ended and the socket is closed
    """

    def __repr__(self):
        return str('<ServerConnection {} {}>').format(self.number, self._core.state.name)

    # -- what was seen

    @property
    def events(self):
        """A list of the events so far, :class:`~lomond.events.Event`, also of those that the
        handler did not take.  What the server's ``record_limit`` does not allow is missing at
        the front.
        """
        return list(self.recorded)

    @property
    def messages(self):
        """A list of the messages so far: text, or bytes of the binary ones."""
        return [event.text if event.name == 'text' else event.data for event in self.events
                if event.name in ('text', 'binary')]

    @property
    def close_code(self):
        """The code of the client's close frame, int; None when it sent none."""
        return self._core.close_code

    @property
    def close_reason(self):
        """The reason in the client's close frame, text."""
        return self._core.close_reason

    @property
    def supports_compression(self):
        """True when permessage-deflate was agreed on."""
        return self._core.supports_compression

    @property
    def is_open(self):
        """True while messages may be sent."""
        return self._core.state.may_send

    # -- receiving

    def receive(self, timeout=_DEFAULT):
        """The next event of the client; waits for it.

        :param timeout: seconds; None: until the client or the server ends; default: the
            ``timeout`` of the server
        :returns: an :class:`~lomond.events.Event`; None when the connection is over, or the server
            stops and nothing is left to read
        :raises ReceiveTimeout: nothing came in time; the connection is still there
        """
        self._check_thread()
        if self._is_raw:
            raise errors.WebSocketError('connection {} has had no opening handshake; its handler is '
                                        'raw, and has receive_raw()'.format(self.number))
        return self._next_event(*self._deadline(timeout))

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
        self._check_thread()
        timeout, deadline = self._deadline(timeout)
        place = bytearray(64 * 1024)
        while not self._ended and self._drop is None:
            try:
                count = self._stream.recv_into(memoryview(place))
            except OS_ERRORS as error:
                self.error = error
                count = 0
            if count is None:
                self._wait(timeout, deadline)
                continue
            if not count:
                self._end()
            return bytes(place[:count])
        return b''

    def pause(self, seconds=None):
        """Wait without reading.

        :param seconds: None: until the server stops
        :returns: False when the server stops, or :meth:`drop` was called
        """
        self._check_thread()
        clock = self._waiting.monotonic
        deadline = None if seconds is None else clock() + seconds
        while not self._is_stopping and self._drop is None:
            if deadline is not None and clock() >= deadline:
                return True
            self._wait_for(0, deadline)
        return False

    def _deadline(self, timeout):
        if timeout is _DEFAULT:
            timeout = self._timeout
        if timeout is None:
            return None, None
        return timeout, self._waiting.monotonic() + timeout

    # -- sending

    def send_text(self, text, compress=True):
        """Send a text message; waits for the client to take it.

        :param text: text
        :param compress: True: it is compressed if that was agreed on
        :raises TypeError: for anything else
        :raises WebSocketClosing: after a close frame
        :raises WebSocketClosed: after the end
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
        :param compress: True: it is compressed if that was agreed on
        """
        self._check_bytes(data)
        self._send(Opcode.BINARY, data if isinstance(data, bytes) else flat_view(data),
                   compress)

    def send_ping(self, data=b''):
        """Send a ping (RFC 6455, 5.5.2); errors as in :meth:`send_text`.

        :param data: bytes, bytearray or memoryview, at most 125 bytes
        :raises ValueError: more than that
        """
        self._check_bytes(data)
        self._send(Opcode.PING, to_bytes(data))

    def send_pong(self, data=b''):
        """Send a pong that nobody asked for (RFC 6455, 5.5.3).

        :param data: as for :meth:`send_ping`
        """
        self._check_bytes(data)
        self._send(Opcode.PONG, to_bytes(data))

    def send_frame(self, opcode, payload=b'', fin=True, rsv1=False):
        """Send one frame whatever the protocol says about it: fragments, reserved opcodes ...

        :param opcode: 0 - 15
        :param payload: bytes, bytearray or memoryview
        :param fin: False: the message goes on
        :param rsv1: True: the payload is compressed (it must be so already)
        :raises TransportFail: the connection is broken
        :raises SendTimeout: as in :meth:`send_text`
        """
        self._check_bytes(payload)
        self.send_raw(encode_frame(opcode, payload, None, fin, rsv1))

    def send_raw(self, data):
        """Send bytes as they are, behind what was sent before; waits for the client to take them.

        In another thread than the handler's it only leaves them to be sent.

        :param data: bytes, bytearray or memoryview
        :raises WebSocketClosed: after the end
        :raises TransportFail: the connection is broken
        :raises SendTimeout: as in :meth:`send_text`
        """
        self._check_bytes(data)
        driver = self._driver
        if driver is None or self._drop is not None:
            raise errors.WebSocketClosed('nothing can be sent, the connection is over')
        self._core.send_queue.queue(None, to_bytes(data))
        driver.writer.try_flush()
        if self._thread_ident == get_ident():
            self._flush()
        else:
            driver.wake()

    def close(self, code=1000, reason=''):
        """Begin the closing handshake, or answer the client's (RFC 6455, 5.5.1); it does not wait.

        The client's answer is the event ``Closed``.  A handler that returns without it waits for it,
        at most the ``timeout`` of the server.

        :param code: a close code that may be sent; None: an empty close frame
        :param reason: text or UTF-8 bytes, cut to 123 bytes
        :raises TypeError: a code that is no integer, a reason that is neither text nor bytes
        :raises ValueError: for what may not be sent (:meth:`send_frame` sends anything)
        """
        payload = self._core.close(code, reason)
        driver = self._driver
        if payload is None or driver is None:
            return
        self._deadlines.closed_at = driver.clock()
        self._core.send_queue.queue(Opcode.CLOSE, payload)
        driver.writer.try_flush()
        driver.wake()

    def drop(self, reset=False):
        """End the TCP connection without a close frame.

        Called by another thread than the handler's, it happens when the handler next receives or
        pauses, or ends; without ``reset`` at once.

        :param reset: True: the client gets a reset (ECONNRESET) in place of the end of the stream
        """
        if self._drop is None:
            self._drop = 'reset' if reset else 'end'
        self._core.disconnect()
        driver = self._driver
        if self._thread_ident == get_ident():
            self._end()
            self._shut()
        elif driver is not None and not reset:
            driver.stop('dropped')
        else:
            self._waiting.wake()

    def _check_bytes(self, data):
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be bytes, bytearray or memoryview, not {}; use send_text for '
                            'text'.format(type(data).__name__))

    def _send(self, opcode, payload, compress=False):
        driver = self._driver
        if driver is None:
            self._core.check_send()
            raise errors.WebSocketClosed('nothing can be sent, the connection is over')
        driver.writer.send(opcode, payload, compress)

