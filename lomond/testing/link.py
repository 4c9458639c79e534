"""The life of one connection of the test server: TLS, opening handshake, handler, end of TCP.

It must not know how connections are accepted, nor what a handler may do with one.  It drives the
protocol core in its server role with the same :class:`~lomond.driver.driver.Driver` that drives
the client.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import struct

from .. import errors
from .._compat import OS_ERRORS, get_ident, text_type
from ..driver.deadlines import Deadlines
from ..driver.driver import Driver
from ..network.poller import LONGEST, READ, Waiting
from ..network.tls_stream import TlsStream, as_stream
from ..protocol import states
from ..protocol.connection import SERVER, Connection
from ..protocol.handshake import ServerHandshake

#: How long the end of the client's stream is waited for after ours has ended.  Data left unread
#: would make the kernel send a reset, which can destroy the close frame on its way.
LINGER = 1.0


class ReceiveTimeout(errors.WebSocketError):
    """The client sent nothing for as long as a handler was ready to wait."""


class Link(object):
    """The base of :class:`~lomond.testing.ServerConnection`: its thread, socket and waiting.

    ``run`` belongs to the connection's thread, ``stop`` and ``abort`` to any.

    :param server: :class:`~lomond.testing.Server`
    :param sock: the accepted socket
    :param address: of the client
    :param int number: 1 for the first connection of the server
    """

    def __init__(self, server, sock, address, number):
        self.number = number
        self.address = address
        self.request = None
        self.protocol = None
        self.extensions = set()
        self.error = None
        self.is_over = False
        self._server = server           # until the end: it refers to us
        self._timeout = server.timeout
        self._is_raw = False
        self._waiting = Waiting()
        self._sock = sock
        self._stream = None
        self._deadlines = None
        self._driver = None
        self._life = None               # the generator of events
        self._ended = False             # no further event will come
        self._is_stopping = False       # nothing is waited for any more (set by any thread)
        self._drop = None               # how it is to be dropped: 'end' or 'reset' (any thread)
        self._thread_ident = None
        self.recorded = collections.deque()     # guarded by a lock of the server's
        self._core = Connection(
            SERVER, ServerHandshake(server.protocols, server.deflate, server.answer_request),
            max_message_size=server.max_message_size, deflate=server.deflate)

    # -- the life of a connection, in its thread

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
            self._shut()
            self._server = None
            self.is_over = True

    def _open(self):
        """TLS and the opening handshake; True when the handler is to be called."""
        server, waiting = self._server, self._waiting
        timeout = self._timeout
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
        self._stream.poll_tells_all = False     # receive(timeout=0) is to look, not to wait first
        self._deadlines = Deadlines(poll=LONGEST, ping_rate=None, close_timeout=timeout)
        self._driver = Driver(
            self._core, self._stream, self._deadlines, waiting, timeout, deadline,
            'no request within {}s'.format(timeout))
        if server.ssl_context is not None and not self._shake_tls(deadline):
            return False
        if self._is_raw:
            return True
        self._life = self._driver.live()
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
                self._wait_for(mask, deadline)
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
        while self._next_event(None, None) is not None:
            pass
        driver = self._driver
        if self._drop is None and driver is not None and driver.lifecycle.ending in (
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
                self._wait_for(stream.recv_wants, deadline)

    def _next_event(self, timeout, deadline):
        """The next event of the client, or None at the end."""
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
                    self._wait(timeout, deadline)
            elif event.name not in ('poll', 'ready'):
                self._server.record(self, event)
                return event
        return None

    def _check_thread(self):
        if self._thread_ident != get_ident():
            raise errors.WebSocketError(
                "connection {}: only its handler's thread may receive".format(self.number))

    def _wait(self, timeout, deadline):
        """Wait for the client; at the deadline it raises, when the server stops it ends."""
        waiting, driver = self._waiting, self._driver
        if self._is_stopping:
            self._ended = True
            return
        now = waiting.monotonic()
        if deadline is not None and now >= deadline:
            raise ReceiveTimeout('connection {}: the client sent nothing for {}s (timeout)'.format(
                self.number, timeout))
        until = now if driver.is_busy else driver.lifecycle.next_deadline()
        if until is None or (deadline is not None and deadline < until):
            until = deadline
        self._wait_for(driver.waits()[0][1], until)

    def _wait_for(self, mask, deadline):
        """Wait for the socket (``mask`` 0: not for it), or to be woken."""
        waiting = self._waiting
        wake_fd = waiting.fileno()
        waits = ((wake_fd, READ),)
        if mask:
            waits += ((self._stream.fileno(), mask),)
        for fd, _ in waiting.wait(waits, deadline):
            if fd == wake_fd:
                waiting.clear()

    def _is_done(self):
        """Our answer to the client's close is out: the server ends TCP (RFC 6455, 7.1.1)."""
        core = self._core
        return core.role.closes_tcp_first and core.state is states.ECHOED and self._is_flushed()

    def _is_flushed(self):
        return not (self._core.send_queue.pending or self._driver.writer.has_tail())

    def _flush(self):
        """Wait until everything is out."""
        driver = self._driver
        writer, clock = driver.writer, driver.clock
        timeout = self._timeout
        deadline = None if timeout is None else clock() + timeout
        while not self._is_flushed() and writer.error is None and not self._is_stopping:
            if deadline is not None and clock() >= deadline:
                raise errors.SendTimeout('socket fail; the client did not take everything within '
                                         '{}s (timeout)'.format(timeout))
            if self._is_raw:
                self._wait_for(self._stream.send_wants, deadline)
            else:
                driver.wait_in_send(self._stream.send_wants, deadline)    # reads meanwhile
            writer.try_flush()
        if writer.error is not None:
            raise errors.TransportFail(text_type(writer.error))

    def stop(self):
        """What has arrived is still handled, but nothing is waited for any more; any thread."""
        self._is_stopping = True
        self._waiting.wake()

    def abort(self):
        """Shut the socket down, so that a blocked send ends; any thread."""
        driver = self._driver
        if driver is not None:
            driver.stop('the server stops')

    def _end(self):
        self._ended = True
        self._core.disconnect()

    def _shut(self):
        """Close the socket; the state stays."""
        self._end()
        # On 2.7 a socket is closed when nothing refers to it any more.
        sock, self._sock = self._sock, None
        stream, self._stream = self._stream, None
        driver, self._driver = self._driver, None
        life, self._life = self._life, None
        if sock is None:
            return
        if driver is None:
            sock.close()
        else:
            self._close(sock, stream, driver)
        if life is not None:
            life.close()
        self._core.release()
        self._waiting.close()

    def _close(self, sock, stream, driver):
        if self._drop == 'reset':
            # Closed without an end before it: with this option the kernel sends a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
            stream.shutdown = _do_nothing
        elif self._drop == 'end':
            _discard(stream)
        driver.close()


def _discard(stream):
    """Read what is there: closing a socket with unread data sends a reset."""
    stream.shutdown_write()
    place = memoryview(bytearray(64 * 1024))
    try:
        while stream.recv_into(place):
            pass
    except OS_ERRORS:       # the reset came from the client
        pass


def _do_nothing():
    """In place of ``shutdown``, which would announce an end before the reset."""
