"""A connection that follows a script: sessions without sockets, network or waiting.

It replaces two methods of :class:`~lomond.session.WebsocketSession`, ``waiting`` and
``_connect``.

Knows nothing of: what else a session does.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import errno
import socket

from .._compat import BYTES_LIKE, integer_types, to_bytes
from ..compression import Deflate
from ..network.poller import READ, WRITE
from ..server.accepted import Acceptance
from ..session import WebsocketSession
from .clock import FakeClock, FakeWaiting, ScriptError, new_descriptor
from .steps import ACCEPT, EOF, Room, SendsFail, Until


class ScriptedTransport(object):
    """A connected socket whose other end is a script.

    >>> from lomond import WebSocket
    >>> from lomond.testing import ACCEPT, EOF, ScriptedTransport, text_frame
    >>> wire = ScriptedTransport([ACCEPT, text_frame(u'one'), 60, text_frame(u'two'), EOF])
    >>> ws = WebSocket('ws://example.org/', proxies={})
    >>> for event in ws.connect(session_class=wire.session_class, poll=3600):
    ...     if event.name == 'text':
    ...         print('%s %s' % (wire.clock.elapsed, event.text))
    0.0 one
    60.0 two
    >>> [when for when, event in wire.events if event.name == 'ping']
    [0.0, 30.0, 60.0]

    The script is an iterable of steps, such as a list or a generator:

    ======================== =========================================================
    bytes                    arrive, as one read
    a number                 that number of seconds passes before the next step
    an exception             receiving raises it, once everything before was received
    ``EOF``                  the end of the stream
    ``ACCEPT``               waits for the request and accepts it
    ``until('ping')``        waits until the client sends such an event from now on
    ``until(condition)``     waits until ``condition(transport)`` is true; it is called
                             now and after each send
    ``room(n)``              from now on only n bytes can be sent; ``room(None)``
                             removes the limit
    ``sends_fail(error)``    from now on sending raises the exception
    a callable               is called with the transport; bytes that it returns arrive
    ======================== =========================================================

    When the script is over, nothing more arrives.  The clock then jumps from one
    deadline of the session to the next, for at most ``patience`` seconds; after that,
    :class:`ScriptError` is raised.  Everything happens in the thread that iterates the
    events.

    :param script: the steps
    :param clock: a :class:`FakeClock` to share; None creates one
    :param protocols: list of text: the subprotocols of the server, for ``ACCEPT``
    :param deflate: True, or a :class:`~lomond.compression.Deflate`, lets ``ACCEPT``
        agree to permessage-deflate; None does not
    :param answers: if true, the client's pings and close frames are answered at once,
        and the stream ends after the closing handshake; if false, that is left to the
        script
    :param connect_error: an exception that connecting raises; None lets it succeed
    :param patience: seconds of the clock, 0 or more

    :ivar clock: the clock
    :ivar sent: list of ``(seconds, bytes)``: what was sent, and the clock's ``elapsed``
    :ivar events: list of ``(seconds, event)``: the same as events (pings, texts,
        closes...)
    :ivar request: the :class:`~lomond.response.Request`; None until it has come
    :ivar is_closed: True once the socket was closed
    """

    def __init__(self, script=(), clock=None, protocols=(), deflate=None, answers=False,
                 connect_error=None, patience=3600.0):
        self.clock = clock or FakeClock()
        self.patience = patience
        self.sent = []
        self.events = []
        self.request = None
        self.is_closed = False
        self._steps = iter(script)
        self._step = None               # the one that waits: a time or an Until
        self._step_time = None          # when the last step was done; None before the first
        self._event_mark = 0            # the number of events when the step began to wait
        self._broken = None             # the exception of a step
        self._is_played = False         # the script is over
        self._connect_error = connect_error
        self._incoming = collections.deque()    # bytes, EOF or an exception
        self._room = None
        self._send_error = None
        self._fd = new_descriptor()
        # A server core reads what the client sends; ACCEPT and ``answers`` use its
        # replies.
        self._core = Acceptance(protocols, Deflate() if deflate is True else deflate).core
        self._core.auto_pong = answers
        self._answers = answers
        self._acceptance = None

    @property
    def session_class(self):
        """A class for ``WebSocket.connect(session_class=...)``, for one connection."""
        return session_class(self)

    def encode_message(self, opcode, payload, compress=True, fin=True):
        """Make the bytes of a message, compressed if that was agreed on.

        :param opcode: ``Opcode.TEXT`` or ``Opcode.BINARY``
        :param payload: bytes
        :param compress: if false, the message is never compressed
        :param fin: if false, this is a first fragment, and others follow
        :returns: bytes
        """
        return b''.join(to_bytes(chunk) for chunk in self._core.send_message(
            opcode, payload, compress, fin))

    # -- playing the script

    def begin(self):
        """Begin the script (called by the session).

        :raises ScriptError: if it was played before
        """
        if self._step_time is not None:
            raise ScriptError('the script was played already; session_class(...) takes several '
                              'transports')
        self._step_time = self.clock.monotonic()
        if self._connect_error is not None:
            raise self._connect_error

    def _play(self):
        """Do all steps that are due; if one raises, raise the same from then on."""
        if self._broken is not None:
            raise self._broken
        try:
            while not self._is_played:
                step = self._step
                self._step = None
                if step is None:
                    step = next(self._steps, None)
                    if step is None:
                        self._is_played = True
                        return
                    self._event_mark = len(self.events)
                    if isinstance(step, integer_types + (float,)):
                        step = self._step_time + step
                if not self._do(step):
                    self._step = step
                    return
        except Exception as error:
            self._broken = error
            raise

    def _play_quietly(self):
        """Play in a send, where an exception would be taken for a failed send."""
        try:
            self._play()
        except Exception:           # kept, and raised by the next wait
            pass

    def _do(self, step):
        """Do one step; return False if it has to wait."""
        now = self.clock.monotonic()
        if isinstance(step, float):
            if now < step:
                return False
            self._step_time = step
            return True
        if isinstance(step, Until):
            if not self._is_so(step.condition):
                return False
        elif step is ACCEPT:
            if self._acceptance is None:
                return False
            self._incoming.append(self._acceptance)
        elif isinstance(step, Room):
            self._room = step.size
        elif isinstance(step, SendsFail):
            self._send_error = step.error
        elif step is EOF or isinstance(step, BYTES_LIKE + (Exception,)):
            self._incoming.append(step)
        elif callable(step):
            found = step(self)
            if found:
                self._incoming.append(found)
        else:
            raise ScriptError('{!r} is not a step of a script'.format(step))
        if isinstance(step, Until) or step is ACCEPT:
            self._step_time = now
        return True

    def _is_so(self, condition):
        if callable(condition):
            return condition(self)
        return any(event.name == condition for _, event in self.events[self._event_mark:])

    def next_times(self):
        """Return when the script continues by itself: a list of one time, or none."""
        self._play()
        if isinstance(self._step, float):
            return [self._step]
        if self._is_played and self.clock.monotonic() - self._step_time > self.patience:
            raise ScriptError('the script has been over for {}s (patience), and the session is '
                              'still running'.format(self.patience))
        return []

    def find_ready(self):
        """Return READ, WRITE or both: what would not block."""
        self._play()
        return (READ if self._incoming or self.is_closed else 0) | (
            WRITE if self._room is None or self._room > 0 or self._send_error else 0)

    # -- the socket

    def fileno(self):
        """Return a number that is not a descriptor, so that any system call fails."""
        return self._fd

    def recv(self, size):
        """Return the next bytes of the script, at most ``size``."""
        self._check_open()
        self._play()
        if not self._incoming:
            raise socket.error(errno.EAGAIN, 'nothing has arrived')
        first = self._incoming[0]
        if first is EOF:
            return b''
        if isinstance(first, Exception):
            raise first
        self._incoming.popleft()
        if len(first) > size:
            self._incoming.appendleft(first[size:])
        return to_bytes(first[:size])

    def send(self, data):
        """Take bytes, as far as there is room for them."""
        self._check_open()
        self._play_quietly()
        if self._send_error is not None:
            raise self._send_error
        data = to_bytes(data)
        if self._room is not None:
            data = data[:self._room]
            if not data:
                raise socket.error(errno.EAGAIN, 'there is no room')
            self._room -= len(data)
        self.sent.append((self.clock.elapsed, data))
        self._read(data)
        self._play_quietly()
        return len(data)

    def shutdown(self, how):
        """End the sending direction, or both."""
        if how != socket.SHUT_WR:
            self._incoming.clear()
            self._incoming.append(EOF)
        self._send_error = socket.error(errno.EPIPE, 'the stream was shut down')

    def close(self):
        """Close the socket."""
        self.is_closed = True

    def _check_open(self):
        if self.is_closed:
            raise socket.error(errno.EBADF, 'the socket was closed')

    def _read(self, data):
        """Turn what the client sends into events, and queue the answers."""
        core = self._core
        for event in core.receive(data, self.clock.time(), self.clock.monotonic()):
            if event.name == 'ready':
                self.request = event.response
                self._acceptance = b''.join(reply for _, reply in core.take_outgoing())
            else:
                self.events.append((self.clock.elapsed, event))
        for opcode, payload in core.take_outgoing():
            if self._answers or opcode is None:
                self._incoming.append(core.encode_reply(opcode, payload))
        if self._answers and core.close_received:
            self._incoming.append(EOF)


def session_class(*transports):
    """Make a ``session_class`` for ``connect()`` or ``persist()`` from transports.

    Each connection takes the next transport; so does a redirect, which connects again.
    All of them share the clock of the first one.

    :param transports: one :class:`ScriptedTransport` for each connection
    :returns: a class
    :raises ValueError: if no transport is given
    """
    if not transports:
        raise ValueError('at least one transport is needed')
    clock = transports[0].clock
    left = collections.deque(transports)

    class ScriptedSession(WebsocketSession):
        """A session that is connected to a script."""

        def waiting(self):
            return FakeWaiting(clock)

        def _connect(self):
            if not left:
                raise ScriptError('all {} scripts were played already'.format(len(transports)))
            transport = left.popleft()
            transport.clock = clock
            self._waiting.transport = transport
            transport.begin()
            return transport, None

    return ScriptedSession
