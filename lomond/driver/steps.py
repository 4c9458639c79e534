"""The steps of one connection, for a loop of any kind; client and server share them.

``waits()``, ``next_deadline()``, ``process(ready, now)``, ``is_over``
    what to wait for, until when, what came of it, and whether that was all
``send``, ``queue_message``, ``write``, ``close``, ``force_disconnect``
    for any thread; what they cannot do at once, the loop completes

A subclass brings the connection's life as a generator: it says how the stream comes
about, and what happens before and after the driver.

Knows nothing of: how a stream comes about, options, events.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import monotonic
from ..network.poller import Waiting
from ..opcode import Opcode
from .rules import ONE_CONNECTION
from .writer import Behind

_NOT_EXHAUSTED = 'process() was called before the iterator of the call before was exhausted'


class Steps(object):
    """The base of the sessions of both sides.

    A subclass has ``_live``, which returns a generator of events, and of None whenever
    it has to wait; and ``_finish``, which closes everything, and may be called again.
    It sets ``_driver``, ``_deadlines`` and ``_waiting`` when it has them.

    :param core: the :class:`~lomond.protocol.connection.Connection`
    """

    waiting = Waiting       #: makes the clock, the waiting and the wake-up of a connection
    #: Bytes that sends which do not wait may leave in the queue; None for no limit.
    max_queued = None
    rules = ONE_CONNECTION  #: how it behaves in its loop: a ``lomond.driver.rules.LoopRules``

    def __init__(self, core):
        # Without a lock: the loop's thread writes these, unless noted; others read.
        self._core = core
        self._driver = None             # the Driver, once there is a stream
        self._deadlines = None
        self._waiting = None
        self._wake_waits = ()           # of the Waiting
        self._waits = ()                # the newest answer of waits(), less what was forgotten
        self._is_turn = False           # an iterator of process() is not exhausted
        self._life = None
        self._ended_time = None         # session_time at the end
        self._stopped = None            # the reason of a forced end; one store, by any thread
        self._now = 0.0
        self._ready = ()
        self.is_over = False            #: True once nothing more will happen

    # -- the loop

    def monotonic(self):
        """Read the clock of all deadlines.

        :returns: seconds
        """
        return monotonic() if self._waiting is None else self._waiting.monotonic()

    def process(self, ready, now):
        """Do what can be done now.

        :param ready: those of :meth:`waits` that are ready, in the same shape
        :param now: the time, from :meth:`monotonic`
        :returns: a lazy iterator of events; leaving it leaves the connection
        :raises WebSocketError: if the iterator of an earlier call is not exhausted; in
            the first call, if a connection runs already
        """
        if self._is_turn:
            raise errors.WebSocketError(_NOT_EXHAUSTED)
        if self._life is None and not self.is_over:
            self._check_begin()
            self._life = self._live()
        self._is_turn = True
        return self._process(ready, now)

    def _process(self, ready, now):
        waiting = self._waiting
        if waiting is not None:
            waiting.is_asleep = waiting.is_woken = False
        self._resume(ready, now)
        over = True
        try:
            for event in self._life or ():
                if event is None:
                    over = self._is_turn = False
                    self._core.receive_buffer.settle()
                    # From now on a wake-up has to end somebody's wait; what came before
                    # shows in next_deadline().
                    self._waiting.is_asleep = True
                    return
                yield event
        finally:
            if over:
                self._clean_up()
                self._is_turn = False

    def begin_turn(self, ready, now):
        """Do what :meth:`process` does, at less cost, for a loop of our own, which has
        one wake-up for all.

        It iterates the result itself: up to None, and calls :meth:`end_turn` then; or
        to the end, and then calls :meth:`end`, as it does after an exception.

        :returns: an iterator of events, and of None where the turn is over
        """
        if self._is_turn:
            raise errors.WebSocketError(_NOT_EXHAUSTED)
        if self._life is None and not self.is_over:
            self._check_begin()
            self._life = self._live()
        waiting = self._waiting
        if waiting is not None:
            waiting.is_asleep = waiting.is_woken = False
        self._ready, self._now = ready, now
        return () if self._life is None else self._life

    def end_turn(self):
        """End a turn; from now on a wake-up has to end somebody's wait."""
        self._core.receive_buffer.settle()
        self._waiting.is_asleep = True

    def plan(self):
        """Return what ``waits()`` and ``next_deadline()`` do; a connection that runs is
        asked at less cost.
        """
        driver = self._driver
        if driver is None or driver.is_busy or self._waiting.is_woken or self.is_over:
            return self.waits(), self.next_deadline()
        self._waits = driver.waits()
        return self._waits, driver.lifecycle.next_deadline()

    def _check_begin(self):
        """Raise WebSocketError if the connection cannot begin."""

    def _resume(self, ready, now):
        self._ready, self._now = ready, now
        for wake_up, _ in self._wake_waits if ready else ():
            for fd, _ in ready:
                if fd == wake_up:
                    self._waiting.clear()

    def _remember(self, waits):
        """Return the newest answer of ``waits()``, unless it has changed."""
        if waits != self._waits:
            self._waits = waits
        return self._waits

    def _forget(self, fd):
        """Tell the loop, if it waits for a descriptor, that it will be closed next.

        The next answer of ``waits()`` is another tuple, also if the number comes back.
        """
        if any(fd == known for known, _ in self._waits):
            self._waiting.forget(fd)
            self._waits = tuple(pair for pair in self._waits if pair[0] != fd)

    def _forget_sockets(self, also=()):
        for pair in self._waits:
            if pair not in self._wake_waits or pair in also:
                self._forget(pair[0])

    # -- for any thread

    def send(self, opcode, payload, compress=False):
        """Check the state, compress, encode and write, as one act; from any thread.

        A close frame is queued instead: it is not checked, and never waits or raises.

        :param opcode: that of a message, ping, pong or close frame
        :param payload: bytes or memoryview
        :param compress: if true, the message is compressed where that was agreed on
        :raises WebSocketUnavailable: (or a subclass) if the state does not allow it
        :raises SendTimeout: if the peer takes nothing for ``send_timeout`` seconds
        :raises TransportFail: if the connection is broken
        """
        driver = self._driver
        if opcode == Opcode.CLOSE:
            if driver is not None and self._deadlines.closed_at is None:
                self._deadlines.closed_at = driver.clock()
            self._queue(opcode, payload)
            return
        if driver is None:
            self._core.check_send()
            raise errors.WebSocketUnavailable('nothing can be sent without a connection')
        try:
            driver.writer.send(opcode, payload, compress)
        except Behind:
            driver.writer.send_behind(opcode, payload, compress)
        if opcode == Opcode.PING and self._deadlines.ping_timeout is not None:
            self.wake()                     # the loop has a new deadline

    def send_stream(self, stream):
        """Send a message in parts.

        In the loop's thread it begins only: :meth:`process` sends the rest, and then
        yields ``Drained``.  Another thread waits.

        :param stream: a new ``lomond.driver.outgoing_stream.OutgoingStream``
        :raises WebSocketUnavailable: (or a subclass) if the state does not allow it
        :raises WebSocketError: in the loop's thread, if it sends another one
        """
        self._core.check_send()
        driver = self._driver
        if driver is None:
            raise errors.WebSocketUnavailable('nothing can be sent without a connection')
        driver.send_stream(stream)

    @property
    def _cork_writer(self):
        """The writer whose sends ``cork()`` gathers; None without a connection."""
        driver = self._driver
        return None if driver is None else driver.writer

    @property
    def is_streaming(self):
        """True while the loop's thread sends a message in parts."""
        driver = self._driver
        return driver is not None and driver.upload is not None

    def fail_stream(self):
        """Give up the message that the loop's thread sends in parts; its thread only.

        If it has begun, the connection fails with 1011.
        """
        driver = self._driver
        if driver is not None and driver.upload is not None:
            stream, driver.upload = driver.upload, None
            driver.writer.cut(stream)

    def queue_message(self, opcode, payload, compress=False):
        """Queue a message without waiting; :meth:`process` writes it bit by bit.

        :param opcode: ``Opcode.TEXT`` or ``Opcode.BINARY``
        :param payload: bytes
        :param compress: if true, the message is compressed where that was agreed on
        :returns: :attr:`queued`, to compare with a high-water mark
        :raises WebSocketUnavailable: (or a subclass) if the state does not allow it
        """
        self._core.check_send()
        self._core.send_queue.queue_message(opcode, payload, compress)
        driver = self._driver
        if driver is None:
            self.wake()
        else:
            driver.writer.try_flush()
            if not self.rules.sends_wait and driver.is_loop_thread():
                driver.note_queued(self.queued)
            if driver.writer.has_left():
                self.wake()                 # the loop writes the rest; to wake it for nothing is dear
        return self.queued

    def _post_message(self, opcode, payload, compress=False, frame=None):
        """Send a message without waiting; what does not go at once is queued.

        :param opcode: ``Opcode.TEXT`` or ``Opcode.BINARY``
        :param payload: bytes
        :param compress: as for :meth:`queue_message`
        :param frame: the bytes of the whole frame, if it is not compressed
        :raises WebSocketUnavailable: (or a subclass) if the state does not allow it
        """
        driver = self._driver
        if driver is None or not driver.writer.send_at_once(opcode, payload, compress, frame):
            self.queue_message(opcode, payload, compress)
        elif driver.writer.has_left():
            if not self.rules.sends_wait and driver.is_loop_thread():
                driver.note_queued(self.queued)
            self.wake()

    @property
    def queued(self):
        """Bytes of queued messages that the operating system has not taken yet.

        The rest of one that was started is included, and so is what waits for the end
        of a block of ``cork()``.  0 without a connection.
        """
        driver = self._driver
        if driver is None or self.is_over:
            return 0
        queued, written = self._core.send_queue.totals()
        return queued - written + driver.writer.gathered_size()

    def message_totals(self):
        """Return ``(queued, written)``, two running totals of bytes of messages.

        A message that was queued when the first was ``Q`` is with the operating system
        once the second is at least ``Q``.
        """
        return self._core.send_queue.totals()

    def write(self, data):
        """Write encoded frames as they are, after what is queued already; never waits.

        :param data: bytes
        """
        self._queue(None, data)

    def _queue(self, opcode, payload):
        self._core.send_queue.queue(opcode, payload)
        self._flush()

    def _flush(self):
        driver = self._driver
        if driver is not None:
            driver.writer.try_flush()
        self.wake()

    def close(self):
        """Close the socket without a close frame, and end the loop; from any thread."""
        self._stop('closed')

    def force_disconnect(self):
        """Drop the connection at once, and end the loop.

        Safe from any thread and from signal handlers.
        """
        self._stop('disconnected; force_disconnect')

    def _stop(self, reason):
        if self._stopped is None:
            self._stopped = reason
        self._core.disconnect()
        driver = self._driver
        if driver is not None:
            driver.stop(reason)
        self.wake()

    def say_goodbye(self, is_left=None):
        """Send 1001, or the close frame that is due, if it can go at once.

        For one who leaves the loop of an open connection, and closes it next.  Does
        nothing before Ready, and after a close frame.  Never waits; from any thread.

        :param is_left: true if nobody iterates any longer, so that our direction can be
            ended; if None, the loop's thread is taken for that
        """
        driver = self._driver
        if driver is not None and not self.is_over:
            driver.say_goodbye(driver.is_loop_thread() if is_left is None else is_left)

    def wake(self):
        """Wake the event loop.  Safe from any thread and from signal handlers."""
        waiting = self._waiting
        if waiting is not None:
            waiting.wake()

    @property
    def session_time(self):
        """Seconds since Ready; 0.0 before it.  After the end it stands still."""
        if self._ended_time is not None:
            return self._ended_time
        driver = self._driver
        return 0.0 if driver is None else driver.lifecycle.session_time

    # -- the end

    def end(self):
        """Leave the connection, as leaving a loop does.

        Close frame 1001, if it can go at once; then everything is closed, without
        further events.  For the loop's thread, between two :meth:`process`.
        """
        self._clean_up()

    def _leave(self):
        """Leave the connection, if a loop of its own drives it by :meth:`process`."""
        driver = self._driver
        if not self._is_turn and self._wake_waits and (driver is None or driver.is_loop_thread()):
            self._clean_up()

    def _clean_up(self):
        """Give everything back: the iterator is over, however it ended."""
        raise NotImplementedError
