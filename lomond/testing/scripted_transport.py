"""A wire that a test plays by a script: sessions without sockets.

It must not know how a session works, apart from the two places where it can be plugged:
``waiting`` and ``_connect`` of :class:`~lomond.session.WebsocketSession`.
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

    The script is a list (or any iterable, a generator for instance) of steps:

    ======================== ======================================================================
    bytes                    arrive, as one read
    a number                 so many seconds pass before the next step
    an exception             receiving raises it, once what came before has been received
    ``EOF``                  the end of the stream
    ``ACCEPT``               waits for the request and answers it as a good server
    ``until('ping')``        waits until the client sends such an event, from now on
    ``until(condition)``     waits until ``condition(transport)``; asked after each send
    ``room(n)``              from now on only so many bytes can be sent; ``room(None)``: any number
    ``sends_fail(error)``    from now on sending raises it
    a callable               is called with the transport; bytes that it returns arrive
    ======================== ======================================================================

    When the script is over nothing arrives any more, and time goes from deadline to deadline of
    the session for at most ``patience`` seconds; then :class:`ScriptError` is raised.  Everything
    happens in the thread that iterates the events.

    :param script: the steps
    :param clock: a :class:`FakeClock` to share; None: a new one
    :param protocols: list of subprotocols of the server, text, for ``ACCEPT``
    :param deflate: True or a :class:`~lomond.compression.Deflate`: ``ACCEPT`` agrees to
        permessage-deflate; None: it does not
    :param answers: True: pings and close frames of the client are answered at once, after a
        closing handshake the stream ends; False: the script does it
    :param connect_error: an exception: connecting raises it; None: it succeeds
    :param patience: seconds of the clock, 0 or more

    :ivar clock: the clock
    :ivar sent: list of ``(seconds, bytes)``: what was sent, by the clock's ``elapsed``
    :ivar events: list of ``(seconds, event)``: the same as events: pings, texts, closes ...
    :ivar request: :class:`~lomond.response.Request`; None before it has come
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
        self._step_time = None          # when the last step was done; None before the beginning
        self._event_mark = 0            # how many events there were when the step began to wait
        self._broken = None             # the exception of a step
        self._is_played = False         # nothing is left of the script
        self._connect_error = connect_error
        self._incoming = collections.deque()    # bytes, EOF or an exception
        self._room = None
        self._send_error = None
        self._fd = new_descriptor()
        # What the client sends is read by a server core; ACCEPT and ``answers`` are its replies.
        self._core = Acceptance(protocols, Deflate() if deflate is True else deflate).core
        self._core.auto_pong = answers
        self._answers = answers
        self._acceptance = None

    @property
    def session_class(self):
        """For ``WebSocket.connect(session_class=..)``; good for one connection."""
        return session_class(self)

    def encode_message(self, opcode, payload, compress=True, fin=True):
        """Make the bytes of a message, compressed if that was agreed on.

        :param opcode: ``Opcode.TEXT`` or ``BINARY``
        :param payload: bytes
        :param compress: False: not compressed in any case
        :param fin: False: a first fragment, others follow
        :returns: bytes
        """
        return b''.join(to_bytes(chunk) for chunk in self._core.send_message(
            opcode, payload, compress, fin))

    # -- playing the script

    def begin(self):
        """It is connected now (called by the session).

        :raises ScriptError: a second time
        """
        if self._step_time is not None:
            raise ScriptError('the script was played already; session_class(..) takes several transports')
        self._step_time = self.clock.monotonic()
        if self._connect_error is not None:
            raise self._connect_error

    def _play(self):
        """Do all steps that are due; what one of them raises, raises from then on."""
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
        """The same in a send: what it raises would be taken for a send that failed."""
        try:
            self._play()
        except Exception:           # kept: the next wait raises it
            pass

    def _do(self, step):
        """One step; False: its time has not come."""
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
            raise ScriptError('{!r} is no step of a script'.format(step))
        if isinstance(step, Until) or step is ACCEPT:
            self._step_time = now
        return True

    def _is_so(self, condition):
        if callable(condition):
            return condition(self)
        return any(event.name == condition for _, event in self.events[self._event_mark:])

    def next_times(self):
        """When the script goes on by itself, or runs out of patience: one time or none."""
        self._play()
        if isinstance(self._step, float):
            return [self._step]
        if self._is_played and self.clock.monotonic() > self._step_time + self.patience:
            raise ScriptError('the script has been over for {}s (patience), and the session still '
                              'runs'.format(self.patience))
        return []

    def find_ready(self):
        """``READ`` and ``WRITE``, if that would not block."""
        self._play()
        return (READ if self._incoming or self.is_closed else 0) | (
            WRITE if self._room is None or self._room > 0 or self._send_error else 0)

    # -- the socket

    def fileno(self):
        """No descriptor: a number that no system call takes."""
        return self._fd

    def recv(self, size):
        """The next bytes of the script, at most ``size``."""
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
        """Nothing more can be sent, or received."""
        if how != socket.SHUT_WR:
            self._incoming.clear()
            self._incoming.append(EOF)
        self._send_error = socket.error(errno.EPIPE, 'the stream was shut down')

    def close(self):
        """The end."""
        self.is_closed = True

    def _check_open(self):
        if self.is_closed:
            raise socket.error(errno.EBADF, 'the socket was closed')

    def _read(self, data):
        """What the client sends, as events."""
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
    """Make a class for ``connect(session_class=..)`` and ``persist(session_class=..)``.

    Each connection that is made (a redirect makes one, too) takes the next transport; all go by
    the clock of the first.

    :param transports: one :class:`ScriptedTransport` for each connection
    :returns: a class
    :raises ValueError: without a transport
    """
    if not transports:
        raise ValueError('at least one transport is needed')
    clock = transports[0].clock
    left = collections.deque(transports)

    class ScriptedSession(WebsocketSession):
        """Connected to a script."""

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
