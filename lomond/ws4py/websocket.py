"""A connection with callbacks, in either role.

Knows nothing of: how a connection comes about, managers, frameworks.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket
import types

from .. import errors
from .._compat import BYTES_LIKE, OS_ERRORS, error_text, get_ident, native, text_type, to_bytes
from ..opcode import Opcode
from ..protocol.frames import encode_close_payload, encode_frame
from . import get_logger
from ._links import Link, adopt_socket
from .messaging import BinaryMessage, CloseControlMessage, Message, PongControlMessage, TextMessage

_OPCODES = {'send_text': Opcode.TEXT, 'send_binary': Opcode.BINARY, 'send_ping': Opcode.PING,
            'send_pong': Opcode.PONG}


class Heartbeat(object):
    """A context manager that sets the ping rate of a connection.

    A ping that is not answered within twice that time ends the connection.

    :param websocket: a :class:`WebSocket`
    :param frequency: seconds between two pings; None or 0 changes nothing
    """

    def __init__(self, websocket, frequency=2.0):
        self.websocket = websocket
        self.frequency = frequency
        self._before = None

    def start(self):
        """Set the rate."""
        session = self._session()
        if self.frequency and session is not None:
            deadlines = session._deadlines
            self._before = deadlines.ping_rate, deadlines.ping_timeout
            deadlines.ping_timeout = 2.0 * self.frequency
            deadlines.ping_rate = float(self.frequency)
            deadlines.next_ping = session.monotonic() + self.frequency
            session.wake()

    def stop(self):
        """Set the rate that was before."""
        before, self._before = self._before, None
        session = self._session()
        if before is not None and session is not None and not session.is_over:
            deadlines = session._deadlines
            deadlines.next_ping = None if before[0] is None else session.monotonic() + before[0]
            deadlines.ping_rate, deadlines.ping_timeout = before
            session.wake()

    def _session(self):
        link = self.websocket._link
        return None if link is None else link.session

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.stop()


class WebSocket(object):
    """One connection: subclasses override the callbacks.

    :meth:`opened` comes first, then :meth:`received_message` and :meth:`ponged`, and
    once, as the last one, :meth:`closed`.  They are called in the thread that runs the
    connection: that of :meth:`run`, or of a manager.

    Threads: :meth:`send`, :meth:`ping`, :meth:`close` and :meth:`close_connection` may
    be called from any thread.

    :param sock: what a server of this package gives its handlers; or the socket of a
        client whose opening handshake is done
    :param protocols: list of the subprotocol that was agreed on
    :param extensions: list of the extensions that were agreed on
    :param environ: the WSGI environ, or None
    :param heartbeat_freq: seconds between two pings; None leaves that to the server

    :ivar sock: addresses and options of the socket; None after the end
    :ivar client_terminated: True once the client has begun, or answered, the close
    :ivar server_terminated: the same for the server
    """

    _ours = 'server_terminated'         # which flag is that of our side

    def __init__(self, sock, protocols=None, extensions=None, environ=None, heartbeat_freq=None):
        if sock is not None and not isinstance(sock, Link):
            sock = adopt_socket(sock)
        self.sock = self._socket = sock
        self.protocols = protocols
        self.extensions = extensions
        self.environ = environ
        self.heartbeat_freq = heartbeat_freq
        self.client_terminated = False
        self.server_terminated = False
        self._addresses = {}
        self._ending = None             # code and reason that the peer has sent
        self._late_close = None         # the close that follows a message in parts
        self._was_opened = self._has_ended = False
        self._thread = None             # that runs it
        self._manager = None            # that runs it

    @property
    def _link(self):
        return None if self._socket is None else self._socket.websocket

    # -- callbacks

    def opened(self):
        """Called when the connection is open."""

    def received_message(self, message):
        """Called for each message.

        :param message: a :class:`~lomond.ws4py.messaging.TextMessage` or
            :class:`~lomond.ws4py.messaging.BinaryMessage`
        """

    def ponged(self, pong):
        """Called for each pong.

        :param pong: a :class:`~lomond.ws4py.messaging.PongControlMessage`
        """

    def closed(self, code, reason=None):
        """Called once, at the end.

        :param code: that of the peer's close frame: 1005 if it has none, 1006 if no
            close frame came
        :param reason: text
        """

    def unhandled_error(self, error):
        """Called before :meth:`closed` with the socket's error that ends the
        connection."""
        get_logger().error('the connection is broken: %s', error_text(error))

    # -- state

    @property
    def terminated(self):
        """True once both sides have closed."""
        return bool(self.client_terminated and self.server_terminated)

    @property
    def connection(self):
        """The same as ``sock``."""
        return self.sock

    @property
    def local_address(self):
        """Our address: ``(host, port)``, or the path of a Unix domain socket."""
        return self._address('getsockname')

    @property
    def peer_address(self):
        """The peer's address, in the same shape."""
        return self._address('getpeername')

    def _address(self, name):
        if name not in self._addresses:
            address = getattr(self._socket, name)()
            self._addresses[name] = address[:2] if isinstance(address, tuple) else address
        return self._addresses[name]

    # -- sending

    def send(self, payload, binary=False):
        """Send a message.

        :param payload: text or bytes; a generator of these, which makes one message; or
            a message of :mod:`lomond.ws4py.messaging`
        :param binary: if true, it is sent as a binary message, else as text
        :raises ValueError: if ``payload`` is something else
        :raises RuntimeError: if the connection is not open
        :raises OSError: if it is broken
        """
        if isinstance(payload, (text_type,) + BYTES_LIKE):
            self._send(_convert(payload, binary), binary)
        elif isinstance(payload, CloseControlMessage):
            self.close(payload.code, payload.reason)
        elif isinstance(payload, Message):
            if payload.opcode in (Opcode.PING, Opcode.PONG):
                name = 'send_ping' if payload.opcode == Opcode.PING else 'send_pong'
                self._call(name, payload.data)
            else:
                binary = payload.opcode == Opcode.BINARY
                self._send(_convert(payload.data, binary), binary)
        elif isinstance(payload, types.GeneratorType):
            self._stream(payload, binary)
        else:
            raise ValueError('payload must be text, bytes, a generator or a message, not {}'.format(
                type(payload).__name__))

    def _send(self, payload, binary):
        self._call('send_binary' if binary else 'send_text', payload)

    def _stream(self, generator, binary):
        parts = (_convert(part, binary) for part in generator)
        link = self._link
        # One at a time in the thread that runs it.
        if link is None or link.session.is_streaming:
            self._send((b'' if binary else '').join(parts), binary)
        else:
            self._call('send_stream', parts)

    def _call(self, name, *args):
        link = self._link
        sock = self._socket.borrowed() if link is None and self._socket is not None else None
        if sock is not None and name in _OPCODES:
            payload = args[0].encode('utf-8') if isinstance(args[0], text_type) else to_bytes(args[0])
            sock.sendall(encode_frame(_OPCODES[name], payload, None))
            return
        if link is None or self.terminated:
            raise RuntimeError('nothing can be sent: the connection is {}'.format(
                'over' if self.terminated else 'not open yet'))
        try:
            getattr(link, name)(*args)
        except errors.TransportFail as error:
            timed_out = isinstance(error, errors.SendTimeout)
            raise socket.error(errno.ETIMEDOUT if timed_out else errno.EPIPE, native(text_type(error)))
        except (errors.WebSocketUnavailable, errors.QueueFull) as error:
            raise RuntimeError('nothing can be sent: {}'.format(error))

    def ping(self, message):
        """Send a ping; errors as for :meth:`send`.

        :param message: text or bytes, at most 125 bytes
        """
        self._call('send_ping', _convert(message, True))

    def close(self, code=1000, reason=''):
        """Begin the closing handshake; does nothing if it has begun.

        A message in parts that is being sent is finished first.

        :param code: as for :meth:`~lomond.websocket.WebSocket.close`
        :param reason: text or bytes
        """
        link = self._link
        if link is None or getattr(self, self._ours):
            return
        encode_close_payload(code, reason)      # reports bad arguments
        setattr(self, self._ours, True)
        if link.session.is_streaming:
            self._late_close = code, reason     # after the end of the message
        if not link.session.is_streaming:
            link.close(code, reason)

    def close_connection(self):
        """Drop the connection, without the closing handshake."""
        self.sock = None
        if self._link is not None:
            self._link.force_disconnect()

    # -- running

    def run(self):
        """Run the connection to its end, in this thread.

        An exception of a callback closes with 1011, and propagates after
        :meth:`closed`.
        """
        try:
            with Heartbeat(self, self.heartbeat_freq):
                self._take()
                self._open()
                while self.once():
                    pass
        except BaseException:
            self._fail()
            raise
        finally:
            self.terminate()

    def once(self):
        """Wait for the next event, and call its callback.

        :returns: False once there is nothing more to wait for; :meth:`terminate` is to
            be called then
        """
        link = self._link
        if link is None or self._has_ended:
            return False
        self._thread = get_ident()
        event = link._next_event()
        return event is not None and self._handle(event)

    def terminate(self):
        """Call :meth:`closed`, unless that was done, and drop what is left of the
        connection."""
        self._finish(True)

    def _finish(self, drops):
        """Do what :meth:`terminate` does.

        :param drops: if false, the closing handshake may still go on
        """
        if self._has_ended:
            return
        self._has_ended = True
        try:
            self.closed(*(self._ending or (1006, 'Going away')))
        finally:
            self.client_terminated = self.server_terminated = True
            self.sock = self.environ = None
            if drops and self._link is not None:
                self._link.force_disconnect()
                if self._is_ours():
                    _end(self._link)

    def _is_ours(self):
        """True if no manager, and no other thread, runs the connection."""
        return self._manager is None and self._thread in (None, get_ident())

    def _take(self):
        """Have this thread run the connection: its sends look at what comes in."""
        self._thread = get_ident()
        driver = None if self._link is None else self._link.session._driver
        if driver is not None:
            driver.loop_ident = self._thread

    def _open(self):
        """Call :meth:`opened`, once."""
        if not self._was_opened:
            self._was_opened = True
            self.opened()

    def _fail(self):
        """A callback has raised: close with 1011, and call :meth:`closed`."""
        link = self._link
        if link is None or self._has_ended:
            return
        link.close(1011, '')
        try:
            self._finish(False)
        finally:
            if self._is_ours():
                try:
                    while link._next_event() is not None:
                        pass
                finally:
                    _end(link)

    def _handle(self, event):
        """Call the callback of an event; return False after the last one."""
        name = event.name
        if name == 'text':
            self.received_message(_complete(TextMessage(event.text)))
        elif name == 'binary':
            self.received_message(_complete(BinaryMessage(event.data)))
        elif name == 'pong':
            self.ponged(_complete(PongControlMessage(event.data)))
        elif name in ('closing', 'closed'):
            self._ending = 1005 if event.code is None else event.code, event.reason or ''
            if name == 'closed' and self._ours == 'server_terminated':
                self.client_terminated = True
            setattr(self, self._ours, True)
        elif name == 'drained' and self._late_close and not self._link.session.is_streaming:
            self._link.close(*self._late_close)
        elif name == 'disconnected':
            if isinstance(event.error, OS_ERRORS):
                self.unhandled_error(event.error)
            return False
        return True


def _end(link):
    if hasattr(link, 'end'):
        link.end()
    else:
        from ..server.connection import end
        end(link)


def _complete(message):
    message.completed = True
    return message


def _convert(payload, binary):
    """Return bytes, or text."""
    if binary:
        return payload.encode('utf-8') if isinstance(payload, text_type) else payload
    return payload if isinstance(payload, text_type) else to_bytes(payload).decode('utf-8')


class EchoWebSocket(WebSocket):
    """Sends each message back."""

    def received_message(self, message):
        """Send it back."""
        self.send(message.data, message.is_binary)
