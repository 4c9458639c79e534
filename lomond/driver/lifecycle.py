"""What is due, what an event leads to, and what ends a connection: policy, without a
stream.

Blocking sessions, loops of many connections and servers share these decisions.  The
driver reports what happened (an event is about to be handed out, it was handled,
nothing is left to read, the stream ended) and does what is asked for here; it never
decides by itself.

The end is a record: :attr:`Lifecycle.ending` is ``(reason, graceful, error)``, what
``Disconnected`` will say.  Every reason is made in this module, except those of
connecting.

Client and server differ in three ways.  The server ends TCP first (RFC 6455, 7.1.1):
when both close frames are through, or the answer of a refusal is out, it ends its
direction, and reads until the client ends the other one, for at most LINGER_WAIT;
closing at once would discard what the client has sent meanwhile, and the reset of that
can destroy what it was sent.  It sends its first ping after ``ping_rate``, not at once.
And each side blames the other one in its own words.

Knows nothing of: streams, sockets, locks, how a connection came about.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import text_type
from ..errors import SendTimeout
from ..events import Drained, Poll, Unresponsive
from ..protocol import states
from ..status import Status
from . import deadlines

#: Minimum gap (seconds) before an overdue Poll, so that other work runs in between.
NEXT_TURN = 0.001
#: How long the answer to close() may still be found among what has arrived, once its
#: time is up (seconds): a slow handler may have kept us from reading it.
LATE_ANSWER = 0.5
#: How long to wait for the body of a rejection (seconds).
BODY_WAIT = 1.0

#: The reason when nobody answers our close frame, by the name of our role.
_NO_ANSWER = {'client': "disconnected; server didn't respond to close packet within {}s",
              'server': "disconnected; the client didn't answer the close frame within {}s"}

#: Sends of a loop of many connections that leave more bytes than this in the queue are
#: followed by Drained.
MUCH = 64 * 1024

#: What a step of :meth:`Lifecycle.act` returns when what is due must wait for the
#: reader.
_LATER = object()


class Lifecycle(object):
    """The decisions about one connection.  It belongs to the loop's thread, except
    ``stop``.

    :param core: the :class:`~lomond.protocol.connection.Connection`
    :param times: the :class:`~lomond.driver.deadlines.Deadlines` of the connection
    :param clock: monotonic seconds
    :param flush: called when something was queued that should go out now
    :param open_deadline: when the opening handshake must be done (monotonic), or None
    :param open_reason: the reason of ``Disconnected`` if it is not
    :param send_timeout: seconds that the peer may take nothing of what the loop has to
        write, such as the answer of a refusal (server); no limit if None
    :param on_ready: called with the answer, or request, of a good opening handshake;
        what it returns, unless None, is to be done instead of going on
    :param on_rejected: called with ``Rejected``; what it returns, unless None, is to be
        done instead of ending
    :param writer: is asked by ``look()`` when the peer last took something (monotonic;
        None if nothing waits for it), and told by ``give_up(error)`` that it takes
        nothing

    :ivar ending: ``(reason, graceful, error)`` once the connection is over
    :ivar again: what to do instead, from ``on_ready`` or ``on_rejected``
    :ivar response: of a rejection
    :ivar ready_at: when the connection became ready (monotonic)
    :ivar is_ending: True once our direction is to be ended, when everything is written
    :ivar left_much: True if sends that did not wait have left much in the queue
    :ivar is_all_out: True if a message in parts of the loop's thread was written
    :ivar retry_at: when the driver tries a blocked write again (monotonic), or None
    """

    __slots__ = ('ending', 'again', 'response', 'ready_at', 'is_ending', 'stopped', 'refused', 'retry_at',
                 'left_much', 'is_all_out', '_core', '_times', '_clock', '_flush', '_deadline',
                 '_deadline_reason', '_send_timeout', '_on_ready', '_on_rejected', '_ends_first',
                 '_fin_is_sent', '_body_is_awaited', '_give_up_at', '_writer', '_refusal')

    def __init__(self, core, times, clock, flush, open_deadline=None, open_reason='',
                 send_timeout=None, on_ready=None, on_rejected=None, writer=None):
        self.ending = None
        self.again = None
        self.response = None
        self.ready_at = None
        self.is_ending = False          # our direction is to be ended once all is written
        self.stopped = None             # the reason of a forced end; one store, by any thread
        self.refused = None             # (status, reason) of :meth:`refuse`; one store, by any thread
        self.retry_at = None
        self.left_much = False
        self.is_all_out = False
        self._core = core
        self._times = times
        self._clock = clock
        self._flush = flush
        self._deadline = open_deadline  # of the handshake, a rejection's body, or our answer
        self._deadline_reason = open_reason
        self._send_timeout = send_timeout
        self._on_ready = on_ready
        self._on_rejected = on_rejected
        self._writer = writer
        self._ends_first = core.role.closes_tcp_first
        self._fin_is_sent = False
        self._body_is_awaited = False
        self._give_up_at = None         # when to stop looking for the answer to close()
        self._refusal = None            # the reason of the end, after an answer that nobody asked for

    # -- time

    @property
    def session_time(self):
        """Seconds since Ready; 0.0 before it."""
        return 0.0 if self.ready_at is None else self._clock() - self.ready_at

    def next_deadline(self):
        """The nearest deadline (monotonic), or None."""
        times = self._times
        if times.ping_timeout is not None:      # hot path: before every poll
            times.oldest_ping = self._core.pings.oldest if self._core.pings.unanswered else None
        when = times.next_deadline()
        if self._deadline is not None:
            when = deadlines.earliest(when, self._deadline)
        return when if self.retry_at is None else deadlines.earliest(when, self.retry_at)

    def act(self, now, idle):
        """Do what is due, the most urgent first.

        :param now: monotonic seconds
        :param idle: everything that has arrived was handed out
        :returns: a generator of events
        """
        while self.ending is None and self.stopped is None:
            what = self._times.due(now, idle)
            if what is None:
                return
            event = self._STEPS[what](self, now, idle)
            if event is _LATER:
                return
            if event is None:
                continue
            yield event
            now = self._clock()
            if what is deadlines.PING_TIMEOUT:
                self._flush()
                self.ending = ('disconnected; ' + self._unresponsive_reason(), False, None)
            else:
                # A handler that takes longer than `poll`: everything else has its turn
                # first.
                self._times.next_poll = max(self._times.next_poll, now + NEXT_TURN)

    def _poll(self, now, idle):
        self._times.polled(now)
        return Poll()

    def _ping(self, now, idle):
        core, times = self._core, self._times
        if not core.state.may_send:
            times.stop_pings()
            return
        times.pinged(now)
        # If an earlier ping still waits in the queue, it serves for this one, too.
        if core.pings.oldest is None or not core.send_queue.pending:
            core.queue_ping(b'', now)
            self._flush()

    def _ping_timed_out(self, now, idle):
        core, times = self._core, self._times
        if not core.state.may_pong:         # the closing handshake has a limit of its own
            core.pings.clear()
            times.oldest_ping = None
            return None
        core.fail(Status.GOING_AWAY, self._unresponsive_reason())
        return Unresponsive(self._unresponsive_reason())

    def _unresponsive_reason(self):
        return 'exceeded {}s ping timeout'.format(self._times.ping_timeout)

    def _close_timed_out(self, now, idle):
        if self._give_up_at is None:
            self._give_up_at = now + LATE_ANSWER
        if not idle and now < self._give_up_at:
            return _LATER
        sentence = _NO_ANSWER[self._core.role.name]
        self.ending = (sentence.format(self._times.close_timeout), False, None)

    def _discard_timed_out(self, now, idle):
        self.ending = ('disconnected; ' + self._core.failure, False, None)

    def look(self, now, idle=False):
        """See whether the peer has taken anything of what the loop has to write."""
        times = self._times
        times.stalled_at, times.looked_at = self._writer.look(), now
        if times.stalled_at is not None and now >= times.stalled_at + times.send_timeout:
            times.stalled_at = None
            self._writer.give_up(SendTimeout(
                'socket fail; the peer took nothing for {}s (send_timeout)', times.send_timeout))

    def _end_cleanly(self, now, idle):
        self.ending = ('closed', True, None) if self._refusal is None else (self._refusal, False, None)

    _STEPS = {deadlines.POLL: _poll, deadlines.PING: _ping,
              deadlines.PING_TIMEOUT: _ping_timed_out, deadlines.CLOSE_TIMEOUT: _close_timed_out,
              deadlines.ECHO_TIMEOUT: _end_cleanly, deadlines.LINGER_TIMEOUT: _end_cleanly,
              deadlines.DISCARD_TIMEOUT: _discard_timed_out, deadlines.SEND_LOOK: look}

    # -- events

    def before(self, event):
        """Do what must be done before an event is handed out.

        :returns: False if the caller is not to see it
        """
        name = event.name
        if name == 'ready':
            if self._on_ready is not None:
                self.again = self._on_ready(event.response)
                if self.again is not None:
                    self.ending = ('closed', False, None)
                    return False
            self.ready_at = self._clock()
            self._times.start(self.ready_at, ping_at_once=not self._ends_first)
            self._times.send_timeout = self._send_timeout
            self._deadline = None
        elif name == 'rejected':
            self.response = event.response
            if self._on_rejected is not None:
                self.again = self._on_rejected(event)
            return self.again is None
        return True

    def after(self, event):
        """Do what an event leads to once it was handled.

        :returns: True if the connection is over
        """
        name = event.name
        if name in ('closed', 'rejected'):
            if not self._ends_first:
                self.ending = ('closed', True, None)
            else:
                if name == 'closed':
                    self.is_ending = True
                    self._times.finished_at = self._clock()
                else:
                    self._end_after_answer()
        elif name == 'protocol_error':
            if self.ready_at is None and self._ends_first:
                self._end_after_answer('disconnected; ' + event.error)
            elif self.ready_at is None:
                self.ending = ('disconnected; ' + event.error, False, None)
            else:
                self._times.failed_at = self._clock()
                self.is_ending = True
        if self.ending is not None and self.stopped is not None:
            self.end_as_told()
        return self.ending is not None

    # -- what is queued

    def note_queued(self, size):
        """Note how many bytes sends of the loop's thread have left in the queue."""
        if size > MUCH:
            self.left_much = True

    def find_drained(self, is_empty):
        """Return ``Drained`` if it is due, else None.

        :param is_empty: callable: whether everything was written
        """
        is_empty = self.left_much and is_empty()
        if not is_empty and not self.is_all_out:
            return None
        self.is_all_out = False
        self.left_much = self.left_much and not is_empty
        return Drained() if self._core.state.may_send else None

    def slow_reason(self, queued, limit):
        """Return why a client is dropped that does not take what is sent to it."""
        return ('disconnected; the client does not keep up: {} bytes wait to be sent; at most {} are allowed '
                '(max_queued)'.format(queued, limit))

    def note_failure(self):
        """Note a failure that no event has told: a message that cannot be finished."""
        if self._core.state is states.FAILED and self._times.failed_at is None and (
                self.ready_at is not None):
            self._times.failed_at = self._clock()
            self.is_ending = True

    # -- the end

    def stop(self, reason):
        """End the connection without a close frame; from any thread."""
        if self.stopped is None:
            self.stopped = reason

    def refuse(self, status, reason):
        """Answer with this status if the opening handshake is not complete; from any
        thread, which then wakes the loop.

        :param status: 503, or what else
            :func:`~lomond.protocol.handshake.encode_refusal` makes
        :param reason: the reason of ``Disconnected``
        """
        self.refused = status, reason

    def _answer(self, status, reason):
        """Send an answer without having got a whole request.

        One that has sent nothing is not told that it is late (408).
        """
        speaks = self._ends_first and (status != 408 or self._times.last_received is not None)
        if speaks and self._core.refuse(status):
            self._end_after_answer(reason)
        else:
            self.ending = (reason, False, None)

    def _end_after_answer(self, reason=None):
        """End our direction as soon as the answer of a refusal is written.

        :param reason: of the end; None if it is a good one
        """
        self.is_ending = True
        self._refusal = reason
        self._deadline = None if self._send_timeout is None else self._clock() + self._send_timeout

    def end_as_told(self):
        """End with the reason of :meth:`stop`."""
        self.ending = (self.stopped, False, None)

    def fin_is_due(self, now):
        """After a close frame, a failure or a refusal: who ends TCP, and until when.

        :returns: True if our direction is to be ended as soon as everything is written.
            Data left unread would make the kernel send a reset, which can destroy a
            close frame on its way, so after that we read on for a while.
        """
        if self._core.state is states.ECHOED and self._times.echoed_at is None:
            self._times.echoed_at = now
            self.is_ending = self._ends_first
        return self.is_ending and not self._fin_is_sent

    def fin_must_wait(self, now):
        """Our direction is to be ended, but not everything is written yet.

        The answer of a refusal has a time limit of its own, which also holds for a
        client that never stops sending.
        """
        limit = self._deadline
        if limit is not None and now >= limit:
            self._give_up_answer()

    def writes_on(self, end, write_error):
        """Say whether to go on writing though the stream has ended.

        A client may end its direction as soon as it has asked, and still take the
        answer.

        :param end: as for :meth:`stream_ended`
        :param write_error: as for :meth:`stream_ended`
        """
        return (self._ends_first and self.is_ending and not self._fin_is_sent and end == 0
                and write_error is None)

    def fin_was_sent(self, now):
        """Our direction has ended."""
        self._fin_is_sent = True
        if self._ends_first and self._times.failed_at is None:
            self._times.finished_at = now
            self._deadline = None

    def on_idle(self, now):
        """Nothing is left to hand out: judge what is missing.

        :returns: a generator of events
        """
        core = self._core
        if self.refused is not None and core.state is states.CONNECTING:
            self._answer(*self.refused)
            return
        if core.state is states.REJECTED and self.response is None and not (
                self._body_is_awaited or self.is_ending):
            self._body_is_awaited = True
            limit = now + BODY_WAIT
            self._deadline = limit if self._deadline is None else min(limit, self._deadline)
        if self._deadline is not None and now >= self._deadline:
            for event in self._on_deadline():
                yield event
            return
        for event in self.act(now, True):
            yield event

    def _on_deadline(self):
        core = self._core
        if self.is_ending:
            self._give_up_answer()
        elif core.state is not states.REJECTED:
            self._answer(408, self._deadline_reason)
        else:
            self._deadline = None
            core.finish_body()
            for event in core.events:
                if event is None:
                    break
                if self.before(event):
                    yield event
                self.after(event)

    def _give_up_answer(self):
        error = SendTimeout('socket fail; the client did not take the answer within {}s '
                            '(send_timeout)', self._send_timeout)
        self.ending = (text_type(error), False, error)

    def stream_ended(self, end, write_error=None, reset=None):
        """The stream has ended, or the wire is dead: the state says what that means.

        :param end: the exception that broke the stream; 0 for an end of it
        :param write_error: the :class:`~lomond.errors.TransportFail` of a write, or
            None
        :param reset: the reset that a write has met, or None
        """
        core = self._core
        error = end or reset
        if isinstance(write_error, SendTimeout):
            error = write_error
        if self._refusal is not None and not isinstance(error, SendTimeout):
            self.ending = (self._refusal, False, None)
        elif core.state.ends_graceful and not isinstance(error, SendTimeout):
            self.ending = ('closed', True, None)
        elif core.state is states.FAILED:
            self.ending = ('disconnected; ' + core.failure, False, None)
        elif error is None:
            self.ending = ('socket fail; connection lost', False, None)
        elif error is write_error:
            self.ending = (text_type(error), False, getattr(error, 'error', None) or error)
        else:
            from ..network.tls_errors import describe_error
            self.ending = ('socket fail; ' + describe_error(error), False, error)

    def close(self):
        """Drop the callbacks: they may be methods of one that refers to us."""
        self._on_ready = self._on_rejected = self._flush = self._writer = None
