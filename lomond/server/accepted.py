"""One accepted connection: TLS as the server, opening handshake, and then the driver.

:class:`AcceptedSession` has the steps of :class:`~lomond.session.WebsocketSession`,
beginning with an accepted socket; nothing in it blocks except
:meth:`AcceptedSession.wait`.  What it drives is an :class:`Acceptance`, the counterpart
of the client's attempt.

The first event is ``Ready`` or ``Rejected``, unless the client breaks off before or
sends something that is not HTTP; the last one is always ``Disconnected``.

Knows nothing of: how sockets are accepted, handlers, threads.
"""

from __future__ import absolute_import, division, unicode_literals

import itertools
import weakref

from .._compat import OS_ERRORS, without_frames
from ..driver.deadlines import Deadlines
from ..driver.driver import Driver, Hooks
from ..driver.steps import Steps
from ..events import Disconnected
from ..network.poller import LONGEST, time_limit
from ..network.tls_errors import describe_error
from ..network.tls_stream import TlsStream, as_stream
from ..protocol.connection import DEFAULT_MAX_MESSAGE_SIZE, SERVER, Connection
from ..protocol.handshake import ServerHandshake

#: How many bytes a waiting send reads ahead, if messages have no limit.
READ_AHEAD = 1024 * 1024
_PAUSE = (None,)


def import_early():
    """Import what connections import when they first need it, once a server is made.

    Without a free descriptor, nothing can be imported.
    """
    import codecs
    import hashlib  # noqa: F401

    from ..protocol import permessage_deflate  # noqa: F401
    codecs.lookup(str('latin-1'))


class Acceptance(object):
    """What a server agrees to on one connection, and who is told about it.

    A subclass may replace the hooks; ``on_*`` are None where nobody listens.  It is
    also the ``state`` of a :class:`~lomond.driver.sender.Sender`.

    :param protocols: subprotocols of the server, texts
    :param deflate: the :class:`~lomond.compression.Deflate` to agree to; None for no
        compression
    :param on_request: as for :class:`~lomond.protocol.handshake.ServerHandshake`
    :param max_message_size: most bytes of one message, after inflating; None for no
        limit
    :param handshake: a :class:`~lomond.protocol.handshake.ServerHandshake` to be used
        instead of one of ``protocols``, ``deflate`` and ``on_request``
    :param stream_from: like ``outcome`` and ``initial``, as for
        :class:`~lomond.protocol.connection.Connection`

    :ivar core: the :class:`~lomond.protocol.connection.Connection`
    :ivar session: the session that drives it, or has done so; None before
    :ivar request: the :class:`~lomond.response.Request`; None until it has come
    """

    on_event = on_sent = on_received = on_reply = None
    observer = None
    has_custom_session = False

    def __init__(self, protocols=(), deflate=None, on_request=None,
                 max_message_size=DEFAULT_MAX_MESSAGE_SIZE, handshake=None, stream_from=None,
                 outcome=None, initial=b''):
        self.session = None
        self.request = None
        if outcome is None and handshake is None:
            handshake = ServerHandshake(protocols, deflate, on_request)
        self.core = Connection(
            SERVER, handshake, initial, max_message_size=max_message_size, deflate=deflate,
            stream_from=stream_from, outcome=outcome)

    def begin(self, session):
        """Note that the session has begun."""
        self.session = session

    def accepted(self, request):
        """Note that the request was accepted."""
        self.request = request

    def follow(self, event):
        """Note that the request was refused.

        :param event: ``Rejected``
        :returns: None, which means that a refusal is the end
        """
        self.request = event.response

    def end(self, session):
        """Note that the connection is over."""


class AcceptedSession(Steps):
    """Drives one accepted socket.

    ``send``, ``write``, ``queue_message``, ``close`` and ``force_disconnect`` may be
    called from any thread; everything else belongs to the thread that iterates.

    :param acceptance: an :class:`Acceptance`
    :param sock: the accepted socket; it belongs to the session from now on
    :param ssl_context: the ``ssl.SSLContext`` of a server; None for no TLS

    :ivar stream: the stream, once there is one; None after the end
    :ivar is_connected: True once TLS is set up, and the request is the next thing to
        come
    """

    def __init__(self, acceptance, sock, ssl_context=None):
        super(AcceptedSession, self).__init__(acceptance.core)
        self._acceptance = acceptance   # dropped at the end: no reference cycle stays
        self._sock = sock
        self._ssl_context = ssl_context
        self._refused = None            # arguments of Lifecycle.refuse(); one store, by any thread
        self._tls_wants = None          # what the TLS handshake waits for, while it goes on
        self._loops = ()                # the generators of its life, the inner one first
        self._user = None               # a weak reference, if it ends with an object
        self.stream = None
        self.is_connected = False
        self.start()

    def start(self, poll=LONGEST, ping_rate=None, ping_timeout=None, auto_pong=True,
              open_timeout=10.0, close_timeout=10.0, send_timeout=30.0):
        """Set the times; before the first :meth:`process`.

        :param poll: seconds between two ``Poll`` events, above 0; the first one follows
            ``Ready``; None for none
        :param ping_rate: seconds between two pings; None or 0 for no pings
        :param ping_timeout: seconds without a sign of the client after a ping; None or
            0 for no limit
        :param auto_pong: if true, pings are answered
        :param open_timeout: seconds from the first :meth:`process` to the last byte of
            the request, TLS included; None or 0 for no limit
        :param close_timeout: seconds to wait for the answer to a close frame; None or 0
            for no limit
        :param send_timeout: seconds that the client may take nothing; None or 0 for no
            limit
        """
        self._core.auto_pong = auto_pong
        self._open_timeout = time_limit(open_timeout)
        self._send_timeout = time_limit(send_timeout)
        self._deadline = None           # of the opening handshake; monotonic
        self._deadlines = Deadlines(poll, ping_rate, ping_timeout, close_timeout)

    def prepare(self):
        """Open the wake-up, which :meth:`process` otherwise does.

        :raises OSError: if no descriptor is free; it may be called again
        """
        if self._waiting is None:
            waiting = self.waiting()
            waiting.is_asleep = waiting.is_woken = False
            self._wake_waits = waiting.wake_waits       # opens the descriptor, if it has one
            self._waiting = waiting

    # -- in a thread of its own

    def begin(self):
        """Let the connection begin, for a thread that iterates what this returns.

        That costs less than :meth:`process`, which belongs to loops of many.

        :returns: an iterator of events, and of None wherever the thread has to call
            :meth:`pause`; None if the connection is over
        """
        if self._life is None and not self.is_over:
            self._life = self._live()
            return self._life
        self.end()
        return None

    def end_with(self, user):
        """End the connection, as :meth:`end` does, once an object is no longer used.

        Its generators refer to the session, so nothing but the collector would do so.

        :param user: what iterates; it can be referred to weakly
        """
        self._user = weakref.ref(user, lambda _: self.end())

    def is_running(self):
        """Return True while that iterator is being resumed."""
        return any(loop.gi_running for loop in self._loops)

    def pause(self, limit=None):
        """Block until there is something to do.

        :param limit: monotonic seconds, or None
        """
        waiting, wake_waits = self._waiting, self._wake_waits
        waits, until = self.plan()
        if limit is not None and (until is None or limit < until):
            until = limit
        ready = waiting.wait(waits, until)
        if wake_waits and wake_waits[0] in ready:
            waiting.clear()

    # -- the loop

    def waits(self):
        """Return what to poll.

        :returns: file descriptors as ``((fileno, READ | WRITE), ...)``; the set can
            change after each :meth:`process` call
        """
        if self._waiting is None or self.is_over:
            return ()
        if self._driver is not None:
            self._waits = waits = self._driver.waits()
            return waits
        shaking = () if self._tls_wants is None else ((self.stream.fileno(), self._tls_wants),)
        return self._remember(shaking + self._wake_waits)

    def next_deadline(self):
        """Return the latest time at which :meth:`process` must be called, or None."""
        driver = self._driver
        if self.is_over:
            return None
        if self._waiting is not None and self._waiting.is_woken:
            return self._now            # while it was not asleep
        if driver is not None:
            return self._now if driver.is_busy else driver.lifecycle.next_deadline()
        return self._now if self._tls_wants is None else self._deadline

    def wait(self, waits, deadline):
        """Block until something is ready, the session is woken, or the time has come.

        For a connection that has a thread of its own.

        :param waits: what to wait for, besides the wake-up
        :param deadline: monotonic seconds, or None
        :returns: what is ready, for :meth:`process`
        """
        waiting = self._waiting
        wake_up = self._wake_waits
        if wake_up and wake_up[0] not in waits:
            waits = tuple(waits) + wake_up
        ready = waiting.wait(waits, deadline)
        if wake_up and any(fd == wake_up[0][0] for fd, _ in ready):
            waiting.clear()
        return ready

    @property
    def driver(self):
        """The :class:`~lomond.driver.driver.Driver`; None unless ``is_connected``."""
        return self._driver

    @property
    def is_lingering(self):
        """True once only the client's end of TCP is missing; no message will follow."""
        return self._deadlines.finished_at is not None

    def refuse(self, reason, status=503):
        """Answer with this status, unless the opening handshake is complete.

        From any thread.  A client that shakes hands as TLS gets no answer.

        :param reason: the reason of ``Disconnected``
        """
        self._refused = status, reason
        driver = self._driver
        if driver is not None:
            driver.lifecycle.refuse(status, reason)
        self.wake()

    # -- the life of a connection

    def _live(self):
        # A chain, because a generator around that of the driver has to be resumed twice
        # for each message.
        stages = self._stages()
        self._loops = (stages,)
        return itertools.chain.from_iterable(stages)

    def _stages(self):
        """Yield iterators: of events, and of None to wait."""
        self._acceptance.begin(self)
        failure = None
        try:
            self.prepare()
            self._now = self._waiting.monotonic()
            if self._open_timeout is not None:
                self._deadline = self._now + self._open_timeout
            self._open_stream()
            for wants in self._shake_tls():
                self._tls_wants = wants
                yield _PAUSE
                failure = self._find_failure()
                if failure is not None:
                    break
        except OS_ERRORS as error:          # of TLS: the client does not trust us, or has gone
            failure = 'disconnected; ' + describe_error(error), without_frames(error)
        if failure is None:
            driver = self._begin_driver()
            driver.is_busy = True           # a TLS handshake is expensive: let others have their turn
            yield _PAUSE
            driver.is_busy = False
            self._loops = driver.live(), self._loops[0]
            yield self._loops[0]
            if driver.lifecycle.ending is None:
                return                      # an exception has left it
            reason, graceful, error = driver.lifecycle.ending
        else:
            (reason, error), graceful = failure, False
        self._finish()
        yield Disconnected(reason, graceful=graceful, error=error, code=self._core.close_code),

    def _open_stream(self):
        context, self._ssl_context = self._ssl_context, None
        if context is None:
            self.stream = as_stream(self._sock)
            return
        self._sock.setblocking(False)
        self._sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self.stream = TlsStream(self._sock)

    def _shake_tls(self):
        """Shake hands as the TLS server; yields what to wait for."""
        if self.stream.is_tls:
            while True:
                wants = self.stream.handshake()
                if wants is None:
                    return
                yield wants

    def _find_failure(self):
        """Return ``(reason, None)`` if TLS was stopped or takes too long, else None."""
        if self._stopped is not None:
            return self._stopped, None
        if self._refused is not None:
            return self._refused[1], None
        if self._deadline is not None and self._waiting.monotonic() >= self._deadline:
            return 'disconnected; no TLS handshake within {}s (open_timeout)'.format(
                self._open_timeout), None
        return None

    def _begin_driver(self):
        record = self._acceptance
        hooks = Hooks(record.on_event, record.on_sent, record.on_received, record.on_reply,
                      record.accepted, record.follow)
        driver = self._driver = Driver(
            self._core, self.stream, self._deadlines, self._waiting, self._send_timeout,
            self._deadline, 'disconnected; no request within {}s (open_timeout)'.format(
                self._open_timeout), hooks, self.rules, self._core.max_message_size or READ_AHEAD,
            self.max_queued)
        driver.remember(self._waits)
        self._tls_wants = None
        self.is_connected = True
        if self._stopped is not None:       # by another thread that found no driver yet
            driver.stop(self._stopped)
        if self._refused is not None:
            driver.lifecycle.refuse(*self._refused)
        return driver

    def join(self, waiting, rules):
        """Go on in another loop, as one of many; in its thread, after ``Ready``.

        :param waiting: clock and wake-up of that loop
        :param rules: its :class:`~lomond.driver.rules.LoopRules`
        """
        before, self._waiting, self._wake_waits, self.rules = self._waiting, waiting, (), rules
        self._driver.join(waiting, rules, self.max_queued)
        before.close()

    # -- the end

    def _finish(self):
        """Close everything; the state is DISCONNECTED before the last event."""
        if self.is_over:
            return
        self._ended_time = self.session_time
        self._core.disconnect()
        self._forget_sockets(self._wake_waits)
        self._acceptance.end(self)
        if self._driver is not None:
            self._driver.close()
        elif self.stream is not None:
            self.stream.shutdown()
            self.stream.close()
        elif self._sock is not None:
            self._sock.close()
        # 2.7: a socket is closed once nothing refers to it.
        self._sock = self.stream = None
        self.is_over = True             # last: what Ctrl-C has cut off is done again

    def _clean_up(self):
        loops = self._loops
        try:
            self.say_goodbye(True)
            self._let_go(loops)
        except BaseException:           # Ctrl-C in the middle of it: once more, to its end
            try:
                self.say_goodbye(True)
            finally:
                self._let_go(loops)
            raise
        self._life = self._acceptance = self._user = None
        self._loops = ()

    def _let_go(self, loops):
        if self._acceptance is None:
            return
        self._finish()
        for loop in loops:
            loop.close()
        self._core.release()
        self._driver = None             # its buffers may be large
        if self._waiting is not None:
            self._waiting.close()
