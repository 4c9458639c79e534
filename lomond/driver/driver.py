"""One connection over one stream, in time, from the opening handshake to the end.

How it works.  Four parts share the work:

* the *reader* decides what to read next, and feeds it to the protocol core;
* the *writer* owns the write lock; everything that goes out passes through it;
* the *lifecycle* decides: what is due, what an event leads to, what ends the
  connection;
* the *driver*, this module, pumps.  It moves bytes and events between the other three,
  and waits by handing out None.

``Driver.live()`` is the connection's life as a generator.  It yields events for the
program, and None whenever there is nothing to do before something becomes readable or
writable, or a deadline comes.  Its caller (the blocking session, a loop of many
connections, the thread of a server's handler) waits in its own way for what ``waits()``
and ``lifecycle.next_deadline()`` say, and resumes it.

One turn of the loop does the following, in this order:

1. write what is queued, as far as it goes without waiting;
2. end our direction of TCP, if the closing has come that far;
3. do what is due by time: Poll, ping, time limits other than ``ping_timeout``;
4. read once.  Only when that finds nothing is something missing judged: a pong, the
   answer to the request, the body of a rejection.  So a slow handler never makes the
   peer look dead;
5. hand out the events of this read, one by one or in batches.

Events are made lazily: the core makes one, it is handed out, what answers it is
written, and only then the next frame is looked at.  That gives the strict order of
replies and events and bounds memory.  Between two events the loop looks at the clock,
but rarely: at the 2nd, 4th, 8th and 16th event of one read, then at every 16th, and at
each one while handlers are slow.

What lies between two looks at the clock can be handed out as one list, if the caller
can take it (``gathers``): small messages that need no decision, so nothing would be
done between them (``lomond.protocol.batches``).  While handlers are slow, the clock is
read after each event, and so there are no batches.  The core knows the list that is
being handed out, and empties it when the connection is given up.

A message that the loop's thread sends in parts (``send_stream``) is fed between steps 1
and 2: the program's iterable is asked for a part whenever the peer has taken the one
before, up to BURST bytes in one turn.

A loop that is left says goodbye: ``say_goodbye()`` writes one last close frame if it
can go at once, ends our direction, and drops what has arrived: data left unread would
make the kernel send a reset, which can destroy that frame on its way.

Three rules keep this safe.  The loop never waits for a sender: it tries the write lock,
and its holder writes what the loop has queued.  Reading never depends on our writing,
so two peers that both send a lot cannot block each other.  And no reference leads from
here back to the program's objects after ``close()``, so a connection is freed without
the collector.

Knows nothing of: where the stream came from, options, redirects, ``WebSocket``.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import OS_ERRORS, fork_id, get_ident, import_weakref
from ..errors import TransportFail, WebSocketError
from ..events import Binary, BinaryPart, Text, TextPart
from ..network.stream import retry_pause
from ..protocol.states import FAILED, OPENED
from .lifecycle import Lifecycle
from .reader import YIELD_TURN, Reader
from .rules import ONE_CONNECTION
from .writer import BURST, QueuingWriter, Writer

#: The clock is read at the 2nd, 4th, 8th and 16th event of a read, then at every 16th.
EVENTS_PER_CLOCK = 16
#: Above this (seconds) a handler is slow, and the clock is read at every event.
SLOW_HANDLER = 0.005
#: A stream that takes a few bytes at a time is given a goodbye in this many pieces.
GOODBYE_PIECES = 160
#: Of what has arrived when the loop is left, at most this much is dropped: bytes, and
#: seconds for it.
DROP_BYTES, DROP_TIME = 1024 * 1024, 0.3


class Hooks(object):
    """What the driver tells its owner; None where nobody listens.

    :ivar on_event: called with each event before it is handed out
    :ivar on_sent: called with the number of bytes of each write; like the next two,
        perhaps under a lock or in a signal handler, so it must only note them
    :ivar on_received: called with the number of bytes of each read
    :ivar on_reply: called with opcode and payload of each automatic frame
    :ivar report: called by the loop, without a lock, when something may have been noted
    :ivar on_ready: called with the answer, or request, of a good opening handshake;
        unless it returns None, that is to be done instead of going on
    :ivar on_rejected: called with ``Rejected``; unless it returns None, that is to be
        done instead of ending
    """

    __slots__ = ('on_event', 'on_sent', 'on_received', 'on_reply', 'on_ready', 'on_rejected',
                 'report')

    def __init__(self, on_event=None, on_sent=None, on_received=None, on_reply=None, on_ready=None,
                 on_rejected=None, report=None):
        self.on_event = on_event
        self.on_sent = on_sent
        self.on_received = on_received
        self.on_reply = on_reply
        self.on_ready = on_ready
        self.on_rejected = on_rejected
        self.report = report


class Driver(object):
    """Drives one core over one connected stream.

    Its fields belong to the thread that iterates :meth:`live`.  ``wake`` and ``stop``
    may be called from any thread and from signal handlers; the writer has a lock of its
    own.

    :param core: the :class:`~lomond.protocol.connection.Connection`, still to shake
        hands
    :param stream: the connected stream
    :param deadlines: the :class:`~lomond.driver.deadlines.Deadlines` of the connection
    :param waiting: clock and wake-up
    :param send_timeout: seconds that the peer may take nothing; None for no limit
    :param open_deadline: when the opening handshake must be done (monotonic), or None
    :param open_reason: the reason of ``Disconnected`` if it is not
    :param hooks: a :class:`Hooks`
    :param rules: the :class:`~lomond.driver.rules.LoopRules` of the loop
    :param read_ahead: most bytes to read while a send waits; see
        :class:`~lomond.driver.reader.Reader`
    :param max_queued: bytes that sends which do not wait may leave in the queue; None
        for no limit

    :ivar drop_time: seconds for dropping what has arrived when the loop is left
    :ivar upload: the message that the loop's thread sends in parts, or None
    :ivar stops_at: classes of events after each of which :meth:`live` waits once, for a
        loop that takes events ahead of the program
    :ivar gathers: if true, :meth:`live` also yields lists of messages; not with hooks
        that want to know of each event
    :ivar sizes_batches: whether the pace of the program decides how long they are;
        otherwise the caller says so, by ``batch_size`` of the receive buffer
    """

    drop_time = DROP_TIME
    stops_at = ()
    gathers = False
    sizes_batches = True

    def __init__(self, core, stream, deadlines, waiting, send_timeout, open_deadline=None,
                 open_reason='', hooks=Hooks(), rules=ONE_CONNECTION,  # noqa: B008 - never changed
                 read_ahead=None, max_queued=None):
        self.core = core
        self.stream = stream
        self.clock = waiting.monotonic
        # By a weak reference: a cycle would keep every connection until the collector
        # runs.
        self._proxy = proxy = import_weakref().proxy    # at exit, globals may be None
        writer_class = Writer if rules.sends_wait else QueuingWriter
        self.writer = writer_class(core, stream, proxy(self), send_timeout, hooks.on_sent,
                                   hooks.on_reply, rules)
        self.max_queued = max_queued
        self.upload = None
        self._is_new_upload = False     # it has begun since the last turn
        self.reader = Reader(core, stream, deadlines, waiting, hooks.on_received, rules, read_ahead)
        self.lifecycle = Lifecycle(
            core, deadlines, self.clock, self.writer.try_flush, open_deadline, open_reason,
            send_timeout, hooks.on_ready, hooks.on_rejected, self.writer)
        if core.handshake is not None and core.handshake.outcome is not None:
            self.reader.begin()
        self.loop_ident = get_ident()   # the thread that iterates the events
        self._fork = fork_id()
        self._deadlines = deadlines
        self._on_event = hooks.on_event
        self._report = hooks.report
        self._waiting = waiting
        self.is_busy = False            # it only lets others have their turn: resume it at once
        self._waits = (None,)           # the newest answer of waits()
        self._blocked = 0               # how often the stream had blocked a write then
        self._is_left = False           # by another thread: what has arrived is still to be dropped

    # -- for the caller, who waits

    def waits(self):
        """Return ``((fileno, mask), wake-up)``, identical until it changes."""
        stream, writer, queue = self.stream, self.writer, self.core.send_queue
        mask = stream.recv_wants if self.reader.end is None else 0     # an end stays readable
        blocked = 0
        # Hot path: before every poll.  Asking nobody costs less.
        if (queue.pending or queue.newest_pong or writer.tail or writer.chunks is not None
                or stream.is_buffered) and writer.wants_write():
            mask |= stream.send_wants
            blocked = stream.blocked
        if blocked != self._blocked:
            self._blocked = blocked
            self.lifecycle.retry_at = self.clock() + retry_pause(blocked) if blocked else None
        wait = stream.fileno(), mask
        if wait != self._waits[0]:
            self._waits = (wait,) + self._waiting.wake_waits
        return self._waits

    def remember(self, waits):
        """Take over the newest tuple, so that the same wait is the same one."""
        if len(waits) == 1 + len(self._waiting.wake_waits):
            self._waits = waits

    def flush(self):
        """Write what is queued, while :meth:`live` is not resumed; keep time limits.

        For a loop whose program does not take the events: nobody else would write.

        :returns: when to do so again at the latest (monotonic); None if nothing waits
        """
        writer, deadlines = self.writer, self._deadlines
        if writer.gathered is not None:
            writer.uncork_here()
        if self.upload is not None and self._feed():
            return self.clock()
        if not writer.wants_write():
            return None
        writer.try_flush()
        when, now = deadlines.close_deadline()[0], self.clock()
        if when is not None:
            if now < when:
                return when
            writer.stop()
        deadlines.stalled_at = writer.stalled_since()
        when = deadlines.send_deadline()
        if when is not None and now >= when:
            self.lifecycle.look(now)
            when = deadlines.send_deadline()
        return when

    def stop(self, reason):
        """End the connection without a close frame, from any thread."""
        self.lifecycle.stop(reason)
        self.writer.stop()
        self.stream.shutdown()
        self.wake()

    def join(self, waiting, rules, max_queued):
        """Go on in the loop of many connections that calls this, and never wait again.

        :param waiting: clock and wake-up of that loop
        :param rules: its :class:`~lomond.driver.rules.LoopRules`
        :param max_queued: as for the constructor
        """
        self._waiting, self.max_queued = waiting, max_queued
        self.reader.join(waiting, rules)
        self.writer.join(rules)
        self.loop_ident = get_ident()
        self._waits = (None,)

    def say_goodbye(self, is_left):
        """Send the close frame of one who leaves, unless it would have to wait.

        Nothing is sent if a sender holds the lock, or if part of a frame waits for the
        peer: a frame never follows a half-written one.

        :param is_left: true if no thread iterates :meth:`live` now; otherwise the frame
            is all, and the loop does the rest in :meth:`close`
        """
        writer, stream = self.writer, self.stream
        if self._fork != fork_id():     # a forked child must not write into its parent's stream
            return
        if stream.is_tls and stream.is_entered() or not self.core.queue_goodbye():
            return
        # The collector, which also runs at exit, clears weak references before it
        # closes a generator.
        writer.set_loop(self._proxy(self))
        left = None
        for _ in range(GOODBYE_PIECES):
            writer.try_flush()
            if not writer.has_tail() or writer.error is not None or len(writer.tail) == left:
                break
            left = len(writer.tail)
        self._is_left = True
        if is_left:
            self._drop_arrived()

    def _drop_arrived(self):
        self._is_left = False
        stream, end = self.stream, self.clock() + self.drop_time
        stream.shutdown_write()
        place = memoryview(bytearray(64 * 1024))
        dropped = 0
        try:
            while dropped < DROP_BYTES and self.clock() < end:
                count = stream.recv_into(place)
                if not count:
                    return
                dropped += count
        except OS_ERRORS:               # the peer has gone
            pass

    def close(self):
        """Close the stream, and wake blocked senders."""
        if self._is_left:
            self._drop_arrived()
        self.writer.close()
        self.reader.close()
        self.lifecycle.close()
        self._on_event = self._report = None
        # Bound methods of one that refers to us.
        self.writer.on_sent = self.writer.on_reply = None
        upload, self.upload = self.upload, None
        if upload is not None:              # last: it is code of the program
            self.writer.cut(upload)

    # -- messages in parts

    def send_stream(self, stream):
        """Send a message in parts: in the loop's thread, begin only.

        :param stream: a new :class:`~lomond.driver.outgoing_stream.OutgoingStream`
        :raises WebSocketError: in the loop's thread, if it sends another one
        :raises Exception: whatever the iterable raises (in the loop's thread, before
            the first part), and what a send raises
        """
        if not self.is_loop_thread():
            stream.begin()
            self.writer.send_stream(stream)
            return
        self.check_upload()
        stream.begin()
        self.check_upload()            # it may have sent another one
        self.upload = stream
        self.writer.hold_for(stream)
        self._is_new_upload = True
        self.wake()

    def check_upload(self):
        """Raise WebSocketError if the loop's thread sends another message in parts."""
        if self.upload is not None and not self.upload.is_over:
            raise WebSocketError('this thread sends another message in parts; wait for Drained')
        self._end_upload()

    def _end_upload(self):
        stream, self.upload = self.upload, None
        if stream is not None:
            self.lifecycle.is_all_out = True
            if stream.on_end is not None:
                stream.on_end(stream)

    def _feed(self):
        """Send parts until the peer takes no more, or BURST bytes have gone.

        :returns: True if the next ones can go at once
        """
        stream, writer, sent = self.upload, self.writer, 0
        self._is_new_upload = False
        if not stream.is_over and (writer.error is not None or self.lifecycle.stopped is not None
                                   or not self.core.state.may_send):
            self.upload = None
            writer.cut(stream)
            return False
        while not stream.is_over:
            if sent >= BURST:
                return True
            if not stream.has_part:
                if not writer.has_turn(stream):
                    return False
                self._take_part(stream)
            if not stream.has_part or not writer.put_part(stream):
                return False
            sent += stream.size
        self._end_upload()
        return False

    def _take_part(self, stream):
        is_taken = False
        try:
            stream.advance()
            is_taken = True
        finally:
            if not is_taken:            # what the iterable raises goes to the program
                self.upload = None
                stream.is_begun = True
                self.writer.cut(stream)

    # -- for the writer

    def note_queued(self, size):
        """Note how many bytes sends of the loop's thread have left in the queue."""
        self.lifecycle.note_queued(size)

    def drop_slow(self, size):
        """Drop a client that does not take what is sent to it."""
        self.stop(self.lifecycle.slow_reason(size, self.max_queued))

    def wake(self):
        """Wake the event loop.  Safe from any thread and from signal handlers."""
        self._waiting.wake()

    def is_loop_thread(self):
        """Return True in the thread that iterates the events."""
        return get_ident() == self.loop_ident

    @property
    def session_time(self):
        """Seconds since Ready."""
        return self.lifecycle.session_time

    def wait_in_send(self, mask, deadline):
        """Wait on behalf of a handler's send; what arrives meanwhile is read and kept.

        :returns: True if one of ``mask`` is ready
        """
        stream, waiting, reader = self.stream, self._waiting, self.reader
        reader.read_ahead()
        reads = reader.takes_more
        fd, wake_waits = stream.fileno(), waiting.wake_waits
        was_asleep = waiting.is_asleep
        wanted = mask | (stream.recv_wants if reads else 0)
        ready = dict(waiting.wait(((fd, wanted),) + wake_waits, deadline))
        if wake_waits and wake_waits[0][0] in ready:
            waiting.clear()
        if was_asleep:                  # by a signal handler, which has interrupted the loop's wait
            waiting.is_asleep = True
            waiting.wake()
        found = ready.get(fd, 0)
        if reads and found & stream.recv_wants:
            reader.read_ahead()
        return bool(found & mask)

    # -- the loop

    def live(self):
        """Drive the connection to its end.

        :returns: a generator of events, of lists of them if it ``gathers``, and of None
            whenever it has to wait; when it is exhausted, ``lifecycle.ending`` or
            ``lifecycle.again`` is set
        """
        core, reader, writer, lifecycle = self.core, self.reader, self.writer, self.lifecycle
        clock, deadlines = self.clock, self._deadlines
        pending = core.send_queue.pending
        observe, report = self._on_event, self._report
        sizes_batches = self.gathers and self.sizes_batches and observe is None
        receive_buffer = core.receive_buffer
        now = began = clock()           # began: this turn
        while True:
            self.loop_ident = get_ident()       # another thread may have taken the iterator over
            self._waiting.is_woken = False      # what somebody did before is seen in this turn
            if core.inputs and core.inputs != OPENED and deadlines.closed_at is None:
                self._finish_close()
            if writer.gathered is not None:
                writer.uncork_here()
            if pending or writer.tail or writer.chunks is not None or writer.streams:
                writer.try_flush()
            feeds_on = self.upload is not None and self._feed()
            if lifecycle.left_much or lifecycle.is_all_out:
                event = lifecycle.find_drained(writer.is_done)
                if event is not None:
                    if observe is not None:
                        observe(event)
                    yield event
                    self.loop_ident = get_ident()
                    now = clock()
            if report is not None:
                report()
            if core.close_received or lifecycle.is_ending:
                self._end_our_direction(now)
                if lifecycle.ending is not None:
                    return
            if lifecycle.stopped is not None:
                lifecycle.end_as_told()
                return
            if writer.error is not None and reader.end is None:
                reader.read_the_last(writer.error)

            if deadlines.due(now, False) is not None:
                for event in self._act(now):
                    yield event
                if lifecycle.ending is not None:
                    return
                now = clock()

            # Before Ready, on_idle() has to see each head, body and refusal.
            pause = reader.reads and lifecycle.ready_at is not None and reader.find_pause(now - began)
            if pause:
                self.is_busy = pause is YIELD_TURN or feeds_on or self._is_new_upload
                deadlines.stalled_at = writer.stalled_at and writer.stalled_since()
                if report is not None:
                    report()
                yield None
                self.is_busy = False
                now = began = clock()
                continue
            source = reader.next_events(now)
            if source is None:
                deadlines.oldest_ping = core.pings.oldest
                if reader.end_was_fed and (
                        not lifecycle.writes_on(reader.end, writer.error) or writer.is_done()):
                    lifecycle.stream_ended(reader.end, writer.error, writer.reset)
                    return
                if lifecycle.ready_at is None or deadlines.due(now) is not None:
                    is_ending = lifecycle.is_ending
                    for event in lifecycle.on_idle(now):
                        yield event
                        self.loop_ident = get_ident()       # as below
                    if lifecycle.ending is not None:
                        return
                    if lifecycle.is_ending != is_ending:    # a late client was given an answer
                        now = clock()
                        continue
                if core.send_queue.is_waiting():
                    writer.try_flush()
                deadlines.stalled_at = writer.stalled_at and writer.stalled_since()
                if report is not None:
                    report()
                self.is_busy = feeds_on or self._is_new_upload
                yield None
                self.is_busy = False
                now = began = clock()
                continue

            step = countdown = 1                # events until the clock is read
            is_plain = True                     # nothing but messages has come
            if sizes_batches:
                receive_buffer.batch_size = 0
            for event in source:
                kind = event.__class__
                if kind is Text or kind is Binary or kind is BinaryPart or kind is TextPart:
                    if observe is not None:
                        observe(event)
                    yield event
                elif event is None:
                    break
                elif kind is list:
                    core.batch = event
                    if not core.given_up:       # asked now that others can empty it
                        yield event
                    core.batch = None
                    countdown = 0
                else:
                    is_plain = False
                    if pending:
                        writer.try_flush()      # a pong goes out before its Ping
                    if lifecycle.before(event):
                        if observe is not None:
                            observe(event)
                        yield event
                        if kind in self.stops_at:
                            yield None
                    if lifecycle.after(event):
                        return
                    countdown = 0
                if countdown <= 0:
                    later = clock()
                    is_slow = later - now >= SLOW_HANDLER
                    countdown = step = 0 if is_slow else min(step * 2 or 1, EVENTS_PER_CLOCK)
                    if sizes_batches:
                        receive_buffer.batch_size = step if step > 1 else 0
                    now = later
                    if deadlines.due(now, False) is not None:
                        for event in self._act(now):
                            yield event
                        if lifecycle.ending is not None:
                            return
                countdown -= 1
            event = None                # drop the reference: it would keep a large message alive
            core.events_consumed()
            now = clock()               # a handler may have been slow
            # After a single message, what the beginning of a turn would look at has not
            # changed, is told by waits() and next_deadline(), or has woken us.
            if (step == 1 and is_plain and report is None and self.upload is None
                    and core.inputs == OPENED and lifecycle.stopped is None
                    and writer.gathered is writer.error is None and not (
                        pending or writer.tail or writer.chunks is not None or writer.streams
                        or lifecycle.left_much or lifecycle.is_all_out)):
                pause = reader.reads and reader.find_pause(now - began)
                if pause:
                    self.is_busy = pause is YIELD_TURN
                    yield None
                    self.is_busy = False
                    now = began = clock()

    def _finish_close(self):
        """Complete a ``close()`` that was interrupted: its frame, and its time."""
        core, lifecycle = self.core, self.lifecycle
        lifecycle.note_failure()
        request = core.close_request
        if request is None:
            return
        core.finish_close()
        if not core.was_open:
            if core.state is not FAILED:    # then an answer may be on its way
                lifecycle.stop('closed')
        elif request.session_time is not None and lifecycle.ready_at is not None:
            self._deadlines.closed_at = lifecycle.ready_at + request.session_time

    def _end_our_direction(self, now):
        """End the sending half of TCP, if it is due and everything is written."""
        if not self.lifecycle.fin_is_due(now):
            return
        if self.writer.is_done():
            self.lifecycle.fin_was_sent(now)
            self.stream.shutdown_write()
        else:
            self.lifecycle.fin_must_wait(now)

    def _act(self, now):
        """Do what is due, while there may be more to read."""
        for event in self.lifecycle.act(now, False):
            yield event
            self.loop_ident = get_ident()       # another thread may have taken the iterator over

    # -- while the request is being sent

    def answer_has_begun(self):
        """Return True if bytes of the answer are there before the whole request is out.

        They are kept.  A server may refuse a request that it has not read to its end,
        and reset the connection (RFC 9112, 9.5); Linux still has what came before that.
        """
        self.reader.read_ahead(1)
        return bool(self.reader.parts)

    def find_cause(self):
        """Return what says most about why nothing more can be sent; None if it can.

        The peer may have said why: a TLS alert can come right after the handshake.
        """
        end, write_error = self.reader.end, self.writer.error
        if end is None and write_error is None:
            return None
        return end or getattr(write_error, 'error', None) or write_error or TransportFail('connection lost')
