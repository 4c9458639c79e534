"""The loop of a connected stream, from the answer to the request to the end.

It ties core, timers, stream and writer together; it must not know how the stream came about, nor WebSocket.
"""

from __future__ import absolute_import, division, unicode_literals

import weakref

from .._compat import OS_ERRORS, get_ident, without_frames
from ..events import Binary, Poll, Text, Unresponsive
from ..network.poller import READ
from ..protocol import states
from ..status import Status
from . import deadlines
from .backlog import Backlog
from .ending import ending_by_state
from .writer import Writer

#: While one read is handed out, the clock is read at the second event, then ever less, at every 16th at last;
EVENTS_PER_CLOCK = 16
#: and at every event once a handler took longer than this (seconds).
SLOW_HANDLER = 0.005
#: So many reads in a row before other connections of the same loop get their turn.
READS_IN_A_ROW = 32
#: A look for more behind what was read is what a stream wants; it costs an exchange of messages 2 us: after
#: so many in vain it is left out (a wait comes first), but for one of 16, which sees whether it is so still.
LOOKS_IN_VAIN, ONE_LOOK_OF = 2, 16
#: How long a Poll that is overdue already waits for other things (seconds).
NEXT_TURN = 0.001
#: How long the answer to close() is looked for among what has arrived, once the time is up (seconds).
LATE_ANSWER = 0.5
#: What is read once the wire is dead; kernels keep 6 MiB of what nobody has read (Linux).
LAST_READ = 8 * 1024 * 1024
#: How long the body of a rejection is waited for (seconds).
BODY_WAIT = 1.0


class Conversation(object):
    """One connected stream.  Its fields are the loop's, no lock guards them, but for the writer's.

    :param core: the :class:`~lomond.protocol.connection.Connection`, still waiting for its answer
    :param stream: the connected stream
    :param deadlines: the :class:`~lomond.driver.deadlines.Timers` of the connection
    :param waiting: clock and wake-up
    :param send_timeout: seconds, or None
    :param deadline: when the opening handshake must be over (monotonic), or None
    :param deadline_reason: the reason of its ``Disconnected``
    :param plan: ``follow(response)``, ``on_event``, ``on_sent``, ``on_reply``, ``on_received``
    """

    def __init__(self, core, stream, deadlines, waiting, send_timeout, deadline, deadline_reason, plan):
        self.core = core
        self.stream = stream
        self.timers = deadlines
        self.clock = waiting.monotonic
        # By a weak reference: a cycle would keep every connection until the collector runs.
        self.writer = Writer(core, stream, weakref.proxy(self), send_timeout, plan.on_sent,
                             plan.on_reply)
        self.loop_ident = get_ident()   # the thread that iterates the events
        self.ready_at = None
        self.ending = None              # (reason, graceful, error) once it is over
        self.again = None               # what to do instead of ending: see Plan.follow
        self.response = None            # of a rejection
        self._plan = plan
        self._waiting = waiting
        self._deadline = deadline
        self._deadline_reason = deadline_reason
        self._stopped = None            # a forced end; written once, by any thread
        self._busy = False              # more may be there to read without waiting
        self._waits = (None,)           # the newest answer of waits()
        self._was_short = False         # the newest read had room for more
        self._half_closed = False
        self._give_up_at = None         # when an answer to close() is not looked for any more
        self._backlog = Backlog()       # read, and not fed yet; it knows how the stream ended
        self._end_fed = False           # the core knows of that, too

    # -- for the session

    def waits(self):
        """What is waited for: ``((fileno, mask), (wake-up, READ))``; the same object while it is the same."""
        stream = self.stream
        mask = stream.recv_wants
        if self.writer.wants_write():
            mask |= stream.send_wants
        if (stream.fileno(), mask) != self._waits[0]:
            self._waits = ((stream.fileno(), mask), (self._waiting.fileno(), READ))
        return self._waits

    def next_deadline(self, now):
        """The nearest deadline, or None."""
        if self._busy:
            return now
        if self.timers.ping_timeout is not None:
            self.timers.oldest_ping = self.core.pings.oldest
        when = self.timers.next_deadline()
        return when if self._deadline is None else deadlines.earliest(when, self._deadline)

    def put_back(self, data):
        """Bytes of the stream that somebody else has read; before the first wait."""
        self._backlog.put(data, self._waiting.time())

    def stop(self, reason):
        """End it without a close frame, from any thread."""
        if self._stopped is None:
            self._stopped = reason
        self.stream.shutdown()
        self.wake()

    def close(self):
        """Close the stream; blocked senders are woken."""
        self.writer.close()
        self._backlog.clear()
        self.writer.on_sent = self.writer.on_reply = None       # bound methods of one that refers to us
        self._plan = None

    # -- for the writer

    def wake(self):
        """Let the loop look around; from any thread or signal handler."""
        self._waiting.wake()

    def is_loop_thread(self):
        """True in the thread that iterates the events."""
        return get_ident() == self.loop_ident

    @property
    def session_time(self):
        """Seconds since Ready."""
        return 0.0 if self.ready_at is None else self.clock() - self.ready_at

    def wait_in_send(self, mask, deadline):
        """A send from a handler waits: what arrives meanwhile is read and kept.

        :returns: True when one of ``mask`` is ready
        """
        stream, waiting = self.stream, self._waiting
        self._fill_backlog()
        reads = self._backlog.takes_more
        fd, wake_fd = stream.fileno(), waiting.fileno()
        wanted = mask | (stream.recv_wants if reads else 0)
        ready = dict(waiting.wait(((fd, wanted), (wake_fd, READ)), deadline))
        if wake_fd in ready:
            waiting.clear()
        found = ready.get(fd, 0)
        if reads and found & stream.recv_wants:
            self._fill_backlog()
        return bool(found & mask)

    def _fill_backlog(self):
        self._backlog.fill(self.stream, self._received)

    def _received(self, count):
        """So many bytes were read; the time for them."""
        if self._plan is not None and self._plan.on_received is not None:
            self._plan.on_received(count)
        if count:
            self.timers.last_received = self.clock()
        return self._waiting.time()

    # -- the loop

    def live(self):
        """The generator of events, and of None whenever it has to wait."""
        core, writer, clock, deadlines = self.core, self.writer, self.clock, self.timers
        pending = core.replies.pending
        observe = self._plan.on_event           # None when nobody listens
        reads = in_vain = 0
        now = clock()
        while True:
            self.loop_ident = get_ident()       # another thread may have taken the iterator over
            if pending or writer.tail or writer.chunks is not None:
                writer.try_flush()
            if core.close_received or deadlines.failed_at is not None:
                self._note_closing(now)
            if self._stopped is not None:
                self.ending = (self._stopped, False, None)
                return
            if writer.error is not None and self._backlog.end is None:
                self._read_the_last()
            if deadlines.due(now, False) is not None:
                for event in self._on_time(now, False):
                    yield event
                if self.ending is not None:
                    return
                now = clock()
            if reads >= READS_IN_A_ROW:
                reads = 0
                self._busy = True
                yield None
                self._busy = False
                now = clock()
            if reads and in_vain >= LOOKS_IN_VAIN and in_vain % ONE_LOOK_OF and self._poll_tells_all():
                in_vain += 1
                reads = 0                   # what is missing is judged after a look
                yield None
                now = clock()
                continue
            source = self._next_source(now)
            if reads:
                in_vain = in_vain + 1 if source is None else 0
            if source is None:
                # All that has arrived was handed out.
                deadlines.oldest_ping = core.pings.oldest
                if self.ready_at is None or self._end_fed or deadlines.due(now) is not None:
                    for event in self._on_idle(now):
                        yield event
                    if self.ending is not None:
                        return
                reads = 0
                if core.replies.is_waiting():
                    writer.try_flush()
                yield None
                now = clock()
                continue
            reads += 1
            step = countdown = 1
            for event in source:
                kind = event.__class__
                if kind is Text or kind is Binary:
                    if observe is not None:
                        observe(event)
                    yield event
                elif event is None:
                    break
                else:
                    if pending:
                        writer.try_flush()          # a pong goes out before its Ping
                    if self._before(event):
                        if observe is not None:
                            observe(event)
                        yield event
                    if self._after(event):
                        return
                    countdown = 0
                if countdown <= 0:
                    later = clock()
                    step = min(step * 2 or 1, EVENTS_PER_CLOCK) if later - now < SLOW_HANDLER else 0
                    countdown = step
                    now = later
                    if deadlines.due(now, False) is not None:
                        for event in self._on_time(now, False):
                            yield event
                        if self.ending is not None:
                            return
                countdown -= 1
            event = None                # a large message must not live on here
            core.hungry = True
            now = clock()               # a handler may have been slow

    def _poll_tells_all(self):
        """True when a wait would tell of everything there is to read; it is no matter yet what is missing."""
        backlog, stream = self._backlog, self.stream
        try:
            return (self._was_short and self.ready_at is not None and not backlog.parts and
                    backlog.end is None and stream.poll_tells_all and stream.fileno() >= 0)
        except OS_ERRORS:           # 2.7: a handler has closed it
            return False

    def _next_source(self, now):
        """An iterator of the events of the next bytes, or None when there are none yet."""
        core, backlog = self.core, self._backlog
        if backlog.parts:
            data, received_time = backlog.take()
            return core.receive(data, received_time, now)
        if backlog.end is None:
            try:
                place = core.intake.get_buffer()
                count = self.stream.recv_into(place)
            except OS_ERRORS as error:
                backlog.end = without_frames(error)
            else:
                if count is None:
                    return None
                self._was_short = count < len(place)
                if self._plan.on_received is not None:
                    self._plan.on_received(count)
                if count:
                    self.timers.last_received = now
                    core.advance(count, self._waiting.time(), now)
                    return core.events
                backlog.end = 0
        if self._end_fed:
            return None
        self._end_fed = True
        core.advance(0)
        return core.events

    def _read_the_last(self):
        """The wire is dead: what has arrived is handed out (a close frame says why), no more."""
        self._backlog.fill(self.stream, self._received, LAST_READ)
        if self._backlog.end is None:           # a peer that took nothing, and talks on and on
            self._backlog.end = self.writer.error

    def _on_idle(self, now):
        """Nothing is left to hand out: judge what is missing, and end what has ended."""
        core = self.core
        if self._end_fed:
            self.ending = ending_by_state(core, self.writer, self._backlog.end)
            return
        if core.state is states.REJECTED and self.response is None:
            self._deadline = min(now + BODY_WAIT, self._deadline or now + BODY_WAIT)
            self.response = False           # so that its second begins once
        if self._deadline is not None and now >= self._deadline:
            if core.state is not states.REJECTED:
                self.ending = (self._deadline_reason, False, None)
                return
            self._deadline = None
            core.finish_body()
            for event in core.events:
                if event is None:
                    break
                if self._before(event):
                    yield event
                self._after(event)
            return
        for event in self._on_time(now, True):
            yield event

    def _on_time(self, now, idle):
        """Do what is due, the most urgent first."""
        core, due = self.core, self.timers
        while self.ending is None and self._stopped is None:
            what = due.due(now, idle)
            if what is None:
                return
            if what is deadlines.POLL:
                due.polled(now)
                yield Poll()
                self.loop_ident = get_ident()       # another thread may have taken the iterator over
                now = self.clock()
                # A handler that takes longer than ``poll``: everything else has its turn first.
                due.next_poll = max(due.next_poll, now + NEXT_TURN)
            elif what is deadlines.PING:
                if core.state.may_send:
                    due.pinged(now)
                    if core.pings.oldest is None or not core.replies.pending:   # else one waits there
                        core.queue_ping(b'', now)
                        self.writer.try_flush()
                else:
                    due.stop_pings()
            elif what is deadlines.PING_TIMEOUT:
                if not core.state.may_pong:         # the closing handshake has its own limit
                    core.pings.clear()
                    due.oldest_ping = None
                    continue
                reason = 'exceeded {}s ping timeout'.format(due.ping_timeout)
                core.fail(Status.GOING_AWAY, reason)
                yield Unresponsive(reason)
                self.writer.try_flush()
                self.ending = ('disconnected; ' + reason, False, None)
            elif what is deadlines.CLOSE_TIMEOUT:
                if self._give_up_at is None:
                    self._give_up_at = now + LATE_ANSWER
                if not idle and now < self._give_up_at:
                    return              # a handler was slow; the answer may have arrived long ago
                self.ending = ("disconnected; server didn't respond to close packet within "
                               '{}s'.format(due.close_timeout), False, None)
            elif what is deadlines.ECHO_TIMEOUT:
                self.ending = ('closed', True, None)
            else:
                self.ending = ('disconnected; ' + core.failure, False, None)

    def _note_closing(self, now):
        """After a close frame: who ends TCP, and until when."""
        core, due = self.core, self.timers
        if core.close_received and due.echoed_at is None and core.state is states.ECHOED:
            due.echoed_at = now
        elif due.failed_at is not None and not self._half_closed and self.writer.is_done():
            # Data left unread would make the kernel send a reset, which can destroy the close
            # frame on its way: end our direction, and read on for a while.
            self._half_closed = True
            self.stream.shutdown_write()

    def _before(self, event):
        """What must be so when the event is handled; False: it is not for the caller."""
        name = event.name
        if name == 'ready':
            self.ready_at = self.clock()
            self.timers.start(self.ready_at)
            self._deadline = None
            self._plan.accepted(event.response)
        elif name == 'rejected':
            self.response = event.response
            self.again = self._plan.follow(event)
            return self.again is None
        return True

    def _after(self, event):
        """What an event leads to once it was handled; True: the conversation is over."""
        name = event.name
        if name in ('closed', 'rejected'):
            self.ending = ('closed', True, None)
        elif name == 'protocol_error':
            if self.ready_at is None:
                self.ending = ('disconnected; ' + event.error, False, None)
            else:
                self.timers.failed_at = self.clock()
        if self.ending is not None and self._stopped is not None:
            self.ending = (self._stopped, False, None)
        return self.ending is not None
