"""The one place where bytes go out: the write lock, the queue, and senders that wait.

Why one lock.  Compression makes the order of encoding and the order on the wire the
same thing, and a data frame must never follow a close frame.  So checking the state,
compressing, encoding and writing are one act, under one lock, from the check to the
last byte.

Who may wait for what:

* A sender (``send``) waits for the lock and for the peer.  Its peer may take nothing
  for ``send_timeout`` at most; a slow peer that takes something never causes a failure.
* The loop never waits for a sender.  It tries the lock; if it is taken, the holder
  writes what the loop has queued.
* ``close()`` and ``force_disconnect()`` wait for nothing: they append to the queue,
  try, and wake the loop.  So they are safe in signal handlers.

Who writes the queue.  Anybody may append to the core's queue of replies at any time.
The holder of the lock drains the queue before its own check and after its own write,
never in between, and looks again after it has let go: what was appended meanwhile, by
somebody who found the lock taken, would otherwise stay behind.  A reply that could not
be written whole is the *tail*, and goes first.  If something is left, the loop is woken
to wait until the stream takes more.

Who notices that the peer takes nothing.  A sender that waits looks by itself.  For what
the loop has to write, nobody waits here: a blocked drain notes when that began
(``stalled_at``), the lifecycle asks from time to time whether anything has moved
(``look``), and decides when to give up.

Sends that do not wait.  In a loop of many connections, a send of the loop's thread
writes what goes at once and queues the rest (:class:`QueuingWriter`).  What it leaves
is limited by ``max_queued``.

Messages in parts.  Between two of its parts the lock is free, so control frames pass.
Messages must not (RFC 6455, 5.4): the queue holds them back while one is open, other
threads that send stand back until it is over (``Behind``), and the loop's own messages
are queued.  The driver feeds the one of the loop's thread (``put_part``); another
thread sends its own (``send_stream``).  The program's iterable never runs under the
lock.

Corks.  In a block of ``cork()``, the sends of a thread end after encoding: their
frames are gathered, in the order of encoding, for all threads in such blocks.  They are
written before anything else: an item in the queue says that somebody needs the wire, so
a drain of the queue takes what was gathered first, as the tail.  The end of a block
queues an item (``UNCORK``) that says just that, and so does a send of another thread.

Interrupts.  A signal handler may raise at any bytecode.  The lock is one that no
interrupt leaves taken (``network.lock``).  An interrupt inside a frame leaves half of
it on the wire, so the wire is declared dead (``error``), and the loop ends the
connection.  Queued replies are written so that an interrupt loses nothing: what was
encoded is stored in one step (``_adopted``), and so is how much of it went
(``_attempt``).  Only if that cannot be known is the wire dead, too.  A handler that
sends while its own thread is in the middle of a send or read is refused: waiting would
be a deadlock.

User code.  What was written is noted, not told: ``on_sent`` and ``on_reply`` must only
keep their arguments.  The one code of others that runs under the lock is that of the
stream, and of the compressor.

The descriptor is closed by its last user.  ``close()`` shuts the stream down, which
wakes every sender that waits; its last user closes it, so a descriptor
is never reused under somebody else's poll.

This is one idea, the write lock, and what must happen under it; so it is one module.

Knows nothing of: events, deadlines, how connections are made.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import sys
import time
from types import GeneratorType

from .. import errors
from .._compat import OS_ERRORS, error_number, error_text, get_ident, text_type, to_bytes, without_frames
from ..network.lock import LOOK_UP, Lock, new_gate
from ..network.poller import wait_for
from ..network.stream import BEGUN, retry_pause
from ..opcode import Opcode
from ..protocol.frames import CHUNK
from ..protocol.send_queue import PARTS, UNCORK
from ..protocol.states import OPENED
from ..status import Status
from .rules import ONE_CONNECTION

_NESTED = 'a send was begun inside of another send or read of the same thread (in a signal handler?)'
_INTERRUPTED = 'socket fail; a send was interrupted inside of a frame'
_CLOSED = 'socket fail; the connection was closed during a send'
_INSIDE = 'a message cannot be sent by the iterable that gives the parts of another one'
_CUT = 'a message that is sent in parts cannot be finished'

#: With a message in parts open, write at most this many bytes before others have their
#: turn, such as the reader.
BURST = 1024 * 1024


_IS_CLOSED = 'closed'

#: Queued by one who needs the wire, so that what was gathered is written.
_UNCORK = UNCORK, None


class Behind(errors.WebSocketError):
    """Another message is being sent in parts; this one has to wait for its end."""


class Writer(object):
    """Sends for one connection.  Its methods may be called from any thread.

    :param core: the :class:`~lomond.protocol.connection.Connection`
    :param stream: where bytes go
    :param loop: the driver: ``is_loop_thread()``, ``wait_in_send(mask, deadline)``,
        ``wake()``, ``session_time``, ``clock``, ``max_queued``, ``note_queued(size)``,
        ``drop_slow(size)``
    :param send_timeout: seconds without progress until :class:`.SendTimeout`; None for
        no limit
    :param on_sent: called with the number of bytes after each write, or None; under the
        lock, so it must only note them
    :param on_reply: the same with opcode and payload of each automatic frame
    :param rules: the :class:`~lomond.driver.rules.LoopRules` of the loop

    :ivar tail: the rest of a reply, first to go
    :ivar chunks: the rest of a queued message, or None
    :ivar stalled_at: when the peer last took something (monotonic), while a drain is
        blocked; None otherwise, and without ``send_timeout``
    :ivar streams: messages in parts that are being sent, or wait for their turn
    :ivar corked: the idents of threads in a block of ``cork()``, once for each block;
        changed by any thread, in single steps
    :ivar gathered: what they have sent and is not written, or None
    :ivar error: the :class:`.TransportFail` that says why the wire is dead, or None
    """

    # With a 30th field, each access to one takes longer (CPython 3.11): a send costs a
    # tenth more.
    def __init__(self, core, stream, loop, send_timeout, on_sent=None, on_reply=None,
                 rules=ONE_CONNECTION):
        self._core = core
        self._pending = core.send_queue.pending
        self._newest_pong = core.send_queue.newest_pong
        self._stream = stream
        self._send = stream.send
        self._is_entered = stream.is_entered if stream.is_tls else None
        self._is_buffered = stream.is_buffered
        self._loop = loop
        self._send_timeout = send_timeout
        self.on_sent = on_sent
        self.on_reply = on_reply
        self._lock = Lock()
        self._taken, self._row = self._lock.taken, self._lock.row
        # Guarded by _lock:
        self.tail = b''
        self.chunks = None
        self.gathered = None
        self.stalled_at = None
        self._progress = 0.0        # when the peer last took something, as far as senders know
        self._unsent = None         # what the kernel held at the last look
        self._rest = None           # what one write left over
        self._adopted = None        # (item of the queue, its bytes), on the way to the tail
        self._attempt = None        # (tail, done) while it is being sent
        self._is_torn = False       # an interrupt now loses bytes of a message
        # Not guarded:
        self.error = None           # set once: by the holder of _lock, stop(), or a sender that gives up
        self._closing = False       # set by the loop; _IS_CLOSED by the last user, who closes the descriptor
        self._loop_waits = False    # the loop's own thread waits for the lock (set by it)
        self.streams = []
        self.corked = []

    # -- the loop's side, which never waits

    def join(self, rules):
        """Be the writer of a loop of many from now on: it has the same fields."""
        self.__class__ = QueuingWriter

    def set_loop(self, loop):
        """Set ``loop`` again, if it was a weak reference that may be dead."""
        self._loop = loop

    def try_flush(self):
        """Write what is queued, as far as it goes without waiting."""
        core = self._core
        if self._is_entered is not None and self._is_entered():
            return              # in a signal handler: the loop or the current writer will do it
        blocked = False
        while not blocked:
            hold, is_over = [get_ident()], False
            try:
                try:
                    if not self._lock.try_take(hold):
                        return          # its holder writes what is queued
                    blocked = True
                    if self.error is None and not self._closing:
                        blocked = not self._drain()
                except OS_ERRORS as error:
                    self._break(error)
                finally:
                    self._release(hold)
                    is_over = True
            finally:
                if not is_over:         # an interrupt has cut it off
                    self._release(hold)
            # Somebody may have appended after the drain, and found the lock taken.
            if not core.send_queue.pending:
                return

    def wants_write(self):
        """Return True if there is something to write and nobody is writing."""
        # Hot path: called before every poll.
        waits = bool(self._pending or self.tail or self._newest_pong) or self.chunks is not None
        if (not (waits or self._stream.is_buffered) or self.error is not None
                or self._closing or self._taken):
            return False
        if waits:
            return True
        try:
            return not self._stream.flush()     # it may write
        except OS_ERRORS as error:
            self._break(error)
            return False

    def is_done(self):
        """Return True if all is written; otherwise the loop is woken once it is."""
        self._loop_waits = bool(self._taken)
        return not (self._loop_waits or self._core.send_queue.is_waiting() or self.has_tail())

    def has_left(self):
        """Return True if something is left to write, now or by one who is writing."""
        return self._core.send_queue.is_waiting() or self.has_tail() or bool(self._stream.is_buffered)

    def has_tail(self):
        """Return True if part of a reply or message could not be written yet."""
        return bool(self.tail) or self.chunks is not None

    def stalled_since(self):
        """Return ``stalled_at``; None while a sender has the lock, who looks by itself.
        """
        return None if self._taken else self.stalled_at

    def look(self):
        """Look whether the peer takes what the loop has to write.

        :returns: when it last took something (monotonic); None if nothing waits for it
        """
        self.try_flush()
        if self.stalled_at is None or self._taken or self.error is not None:
            return None
        unsent = self._stream.unsent()
        if unsent is not None and self._unsent is not None and unsent < self._unsent:
            self.stalled_at = self._loop.clock()
        self._unsent = unsent
        return max(self.stalled_at, self._progress)

    def give_up(self, error):
        """Declare the wire dead, because the peer takes nothing.

        :param error: the :class:`.SendTimeout` that later sends raise
        """
        self._break(error)

    @property
    def reset(self):
        """The reset that a write has met, or None.

        The kernel reports a reset once; a later read sees an ordinary end.
        """
        cause = getattr(self.error, 'error', None)
        return cause if cause is not None and error_number(cause) == errno.ECONNRESET else None

    def write(self, data):
        """Make raw bytes (the request) the tail, before anybody can send."""
        self.tail = self.tail + data if self.tail else data

    def stop(self):
        """End blocked senders, also where no shutdown wakes them; from any thread."""
        if self.error is None:
            self.error = errors.TransportFail(_CLOSED)

    def close(self):
        """End both directions, and wake blocked senders.

        The last user closes the descriptor.
        """
        self._closing = self._closing or True
        self._stream.shutdown()
        self._close_if_free()

    def _close_if_free(self):
        # A thread that takes the lock after this check finds _closing set and leaves
        # the stream alone; in this thread no send is under way any longer.
        if (not self._taken or self._lock.is_mine()) and self._closing is not _IS_CLOSED:
            self.tail = b''
            self._stream.close()
            self._closing = _IS_CLOSED  # last, so that what Ctrl-C cuts off is done again

    # -- senders, which may wait

    def send(self, opcode, payload, compress=False):
        """Check, compress, encode and write one message or control frame.

        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        :raises SendTimeout: the peer took nothing for ``send_timeout`` seconds
        :raises TransportFail: the connection is broken
        :raises Behind: a message in parts is before it: see :meth:`send_behind`
        """
        # The call into the system aside, the cost of a small message is our own calls
        # (60 ns each), so this method looks at fields instead of asking its neighbors.
        core, pending, taken = self._core, self._pending, self._taken
        if self._is_entered is not None and self._is_entered():
            raise errors.WebSocketError(_NESTED)
        hold = [get_ident()]
        gathers = self.corked and hold[0] in self.corked and opcode != PARTS and len(payload) <= CHUNK
        is_half_written = False         # or half compressed: an interrupt now kills the wire
        is_mine = is_over = is_full = False
        try:
            try:
                if self._row or taken.setdefault(0, hold) is not hold:
                    if self.streams and self._is_behind(opcode, payload):
                        raise Behind()
                    self._wait_for_lock(hold)
                is_mine = True
                if self.error is not None or self._closing:
                    self._refuse()
                if self.streams and self._is_behind(opcode, payload):
                    raise Behind()
                if pending or self.tail or self.chunks is not None or (
                        self.gathered is not None and not gathers):
                    is_half_written = True
                    if self.gathered is not None:
                        pending.append(_UNCORK)
                    self._drain_all()
                    is_half_written = False
                    if self.streams and self._is_behind(opcode, payload):
                        raise Behind()
                if core.inputs != OPENED:
                    core.check_send()
                if opcode <= Opcode.BINARY:
                    is_half_written = compress      # the compressor moves on with the message
                    data = core.encode(opcode, payload, compress)
                    if compress and self.error is not None:
                        raise self._dead()          # others have waited too long meanwhile
                    is_half_written = True
                elif opcode == PARTS:
                    is_half_written = True
                    data = self._begin_part(payload)
                else:
                    data = core.encode_control(opcode, payload)
                    is_half_written = True
                    if opcode == Opcode.PING:
                        core.pings.sent(to_bytes(payload), self._loop.clock())
                if gathers:
                    gathered = self.gathered
                    if gathered is None or type(data) is GeneratorType:
                        is_full = self._put_aside(data, payload)
                    else:                           # the same without a call
                        frames = gathered.frames
                        frames += data
                        gathered.size += len(payload) or 1
                        is_full = len(frames) >= CHUNK
                elif type(data) is GeneratorType:   # a large message, in chunks
                    for chunk in data:
                        self._progress = self._loop.clock()     # for those who wait for the lock
                        if self._write(chunk) != len(chunk):
                            self._write_rest()
                        if self.error is not None:      # force_disconnect()
                            raise self._dead()
                else:
                    count = self._send(data)
                    is_noted = count == len(data) and self.on_sent is None
                    if not is_noted and self._note(count, data) != len(data):
                        self._write_rest()
                if pending:
                    self._drain()
                is_half_written = False
            except errors.WebSocketError:
                is_half_written = False     # refused before the first byte, or broken already
                raise
            except OS_ERRORS as error:
                self._break(error)
                is_half_written = False
                raise self._dead()
            finally:
                if is_half_written:
                    self._break_off()
                if is_mine:
                    taken.clear()
                    if (pending or self.tail or self._newest_pong or self._is_buffered or self._row
                            or self._loop_waits or self._closing):
                        self._after_send()
                    is_over = True
        finally:
            if not is_over:                 # an interrupt has cut it off, or the wait failed
                if is_half_written:
                    self._break_off()
                self._lock.release(hold)
                self._after_send()
        if is_full:
            self.uncork(self.gathered, True)

    def _after_send(self):
        """Do what others wait for, now that the lock is free."""
        self._after_release()
        # Also if the send was refused: what others queued while the lock was taken
        # would not be written by anybody else (such as the close frame that was the
        # reason for refusing).
        if self._pending:
            self.try_flush()
        if self.wants_write():
            self._loop.wake()           # so that it waits until the rest can go

    def _refuse(self):
        if self.error is not None:
            raise self._dead()
        self._core.check_send()
        raise errors.WebSocketClosed('nothing can be sent, the connection is over')

    def _release(self, hold):
        """Let go of the lock after a drain; done again, it does no harm."""
        if self._taken.get(0) is hold:
            if self._attempt is not None:
                self._settle()
            if self._is_torn:
                self._break_off()
            self._taken.clear()
        if self._row or self._loop_waits or self._closing:
            self._after_release()

    def _after_release(self):
        if self._row:
            self._lock.wake_next()
        if self._loop_waits:
            self._loop.wake()
        if self._closing:
            self._close_if_free()

    def _write(self, data):
        """Try once.

        :returns: how many bytes went
        """
        return self._note(self._send(data), data)

    def _note(self, count, data):
        """Keep what one attempt left over.

        :returns: how many bytes went
        """
        if count is None:
            self._rest = memoryview(data)
            return 0
        on_sent = self.on_sent          # once: the loop may set it to None
        if on_sent is not None:
            on_sent(count)
        if count != len(data):
            self._rest = memoryview(data)[count:]
        return count

    def _write_rest(self):
        """Write what :meth:`_write` left over; wait for the peer."""
        self._begin_wait()
        while self._rest is not None:
            rest, self._rest = self._rest, None
            if self.error is not None:              # as above
                raise self._dead()
            if self._write(rest):
                self._begin_wait()
            else:
                self._wait_for_peer()

    def _drain(self):
        """Write the tail and the queue without waiting.

        :returns: False if something is left
        """
        has_moved, moved, stream = False, 0, self._core.send_queue.stream
        while True:
            if self._adopted is not None:
                self._adopt()               # an interrupt came when it was to become the tail
            if not self.tail and not self._next_tail():
                is_done = not self._is_buffered or self._flush_stream()
                break
            tail, done = self.tail, []
            self._attempt = tail, done
            self._stream.send_noted(tail, done)
            is_done = self._settle()
            if self.tail is not tail:
                has_moved = True
                if stream is not None:
                    moved += len(tail) - len(self.tail)
            if not is_done or (stream is not None and moved >= BURST):
                is_done = False
                break
        if stream is not None and has_moved:
            stream.moved_at = self._loop.clock()
        if is_done:
            self.stalled_at = None
        elif self._send_timeout is not None and (has_moved or self.stalled_at is None):
            self._unsent = self._stream.unsent()
            self.stalled_at = self._loop.clock()
        return is_done

    def _settle(self):
        """Cut off what the newest attempt has sent of the tail.

        :returns: True if all of it went
        """
        tail, done = self._attempt
        count = done[-1] if done else None
        if tail is self.tail:           # else an interrupt came after the next line
            if count is BEGUN:
                self._break_off()
            elif count:
                self.tail = b'' if count == len(tail) else memoryview(tail)[count:]
                if self.chunks is not None:
                    self._core.send_queue.note_left(len(self.tail))
        self._attempt = None
        on_sent = self.on_sent          # once: the loop may set it to None
        if on_sent is not None and count is not BEGUN and count is not None:
            on_sent(count)
        return not self.tail

    def _next_tail(self):
        """Encode what is queued next.

        :returns: False if nothing is
        """
        core = self._core
        queue = core.send_queue
        while True:
            if self.chunks is not None:
                self._is_torn = True
                for chunk in self.chunks:
                    self.tail = chunk
                    queue.note_chunk(len(chunk))
                    self._is_torn = False
                    return True
                self.chunks = None
                queue.note_end()
                self._is_torn = False
                if self.gathered is not None:
                    self.gathered.is_in_tail = False
            if queue.stream is not None and queue.stream.is_done:
                self._end_stream(queue.stream)
            if self.gathered is not None and queue.is_waiting() and self._take_gathered():
                return True
            item = queue.peek()
            if item is None:
                return False
            opcode, payload = item
            if opcode == UNCORK:
                queue.take(item)
            elif opcode == PARTS:
                queue.take(item)
                if not payload.is_over:
                    queue.stream = payload
                    self._loop.wake()           # it feeds it
            elif type(payload) is tuple:        # a message, or a ping of the program
                self._is_torn = True
                queue.take(item)
                encoded = (core.encode(opcode, *payload) if opcode != Opcode.PING else
                           core.encode_reply(opcode, payload[0]))
                self.chunks = encoded if type(encoded) is GeneratorType else queue.as_whole(encoded)
                self._is_torn = False
            else:
                if opcode == Opcode.CLOSE and core.sent_close_time is None:
                    core.note_close_sent(self._loop.session_time)
                self._adopted = item, core.encode_reply(opcode, payload)
                self._adopt()
                on_reply = self.on_reply
                if on_reply is not None:
                    on_reply(opcode, payload)
                return True

    def _take_gathered(self):
        """Let what was gathered be the tail: somebody needs the wire.

        :returns: False if it is empty
        """
        gathered = self.gathered
        if gathered.frames:
            self._is_torn = True
            self.tail, size = gathered.take()
            self.chunks = iter(())
            self._core.send_queue.note_rest(min(size, len(self.tail)), len(self.tail))
            self._is_torn = False
        if not self.corked:
            self.gathered = None
        return bool(self.tail)

    def _flush_stream(self):
        self._is_torn = True
        is_empty = self._stream.flush()
        self._is_torn = False
        return is_empty

    def _adopt(self):
        """Let a frame of the queue be the tail, and not be in the queue any longer."""
        item, self.tail = self._adopted
        self._core.send_queue.take(item)
        self._adopted = None

    def _drain_all(self):
        """Write the tail and the queue; wait for the peer."""
        self._begin_wait()
        left = self.tail
        while not self._drain():
            if self.tail is not left:      # something went
                left = self.tail
                self._begin_wait()
            self._wait_for_peer()

    # -- corks

    def gathered_size(self):
        """Return the bytes of messages that wait for the end of a block."""
        gathered = self.gathered
        return 0 if gathered is None else gathered.size

    def _put_aside(self, data, payload):
        """Gather a frame, for the holder of the lock.

        :returns: True if enough has gathered
        """
        gathered = self.gathered
        if gathered is None:
            from .cork import Gathered
            gathered = self.gathered = Gathered()
        if type(data) is GeneratorType:         # compressing has made it longer
            data = bytearray().join(data)
        gathered.frames += data
        gathered.size += len(payload) or 1
        return len(gathered.frames) >= CHUNK

    def uncork(self, gathered, may_wait):
        """Write what was gathered.

        :param gathered: the :class:`~lomond.driver.cork.Gathered` until now, or None
        :param may_wait: if false, the loop writes what does not go at once, and nothing
            is raised
        :raises SendTimeout: and others, like :meth:`send`
        """
        if gathered is None:
            return
        self._pending.append(_UNCORK)       # first: if this is cut off, others write it
        if not may_wait:
            self.try_flush()
            if self.wants_write():
                self._loop.wake()           # so that it waits until the rest can go
            return
        hold, is_over = [get_ident()], False
        try:
            try:
                if self._row or self._taken.setdefault(0, hold) is not hold:
                    self._wait_for_lock(hold)
                if self.error is None and not self._closing:
                    self._drain_all()
                elif gathered.frames or gathered.is_in_tail:
                    self._refuse()
            except OS_ERRORS as error:
                self._break(error)
                raise self._dead()
            finally:
                self._release(hold)
                is_over = True
        finally:
            if not is_over:                 # an interrupt has cut it off: the loop does the rest
                self._release(hold)
            self._after_send()

    def uncork_here(self):
        """Let the next drain write what this thread has gathered: its loop may wait."""
        if self.gathered.frames and get_ident() in self.corked:
            self._pending.append(_UNCORK)

    # -- messages in parts

    def send_stream(self, stream):
        """Send a message in parts from another thread than the loop's; may wait.

        :param stream: the :class:`~lomond.driver.outgoing_stream.OutgoingStream`; its
            first part was taken
        :raises Exception: whatever its iterable raises, and what :meth:`send` raises
        """
        try:
            self._send_parts(stream)
        finally:
            if not stream.is_over:
                self.cut(stream)
        if stream.on_end is not None:
            stream.on_end(stream)

    def _send_parts(self, stream):
        while not stream.is_done:
            stream.advance()
            self._send_part(stream)
        while not stream.is_over:           # a drain ends it
            self.try_flush()
            if not stream.is_over:
                if self._closing or self.error is not None:
                    self._refuse()
                time.sleep(0.001)           # another thread is writing

    def _send_part(self, stream):
        try:
            self.send(PARTS, stream)
        except Behind:
            self.send_behind(PARTS, stream, False)

    def cut(self, stream):
        """Give up a message in parts; if it has begun, it cannot be finished.

        The connection then fails.  Not under the lock: the iterable is closed.
        """
        try:
            if not stream.is_begun:
                stream.is_done = True       # nothing of it went: others may go on
            elif not stream.is_done and self.error is None and self._core.state.may_send:
                self._core.fail(Status.UNEXPECTED_CONDITION, _CUT)
        finally:
            stream.finish()
            self.try_flush()
            self._loop.wake()
            stream.give_up()

    def hold_for(self, stream):
        """Queue a message in parts of the loop's thread, for :meth:`put_part`."""
        self.streams.append(stream)
        self._pending.append((PARTS, stream))

    def has_turn(self, stream):
        """Return True if the peer has taken everything before the next part."""
        return self._core.send_queue.stream is stream and not self.has_tail() and self.error is None

    def put_part(self, stream):
        """Write the next part of a message of the loop's thread, as far as it goes
        without waiting.

        :returns: False if another thread is writing: then the loop is woken
        """
        # No return amid it: an interrupt at one would skip what follows (3.13).
        hold, is_over, core, is_put = [get_ident()], False, self._core, False
        try:
            try:
                self._loop_waits = not self._lock.try_take(hold)
                if not self._loop_waits and self.error is None and not self._closing and (
                        not (self._pending or self.has_tail()) or self._drain()) and (
                        core.send_queue.stream is stream and (
                            core.inputs == OPENED or core.state.may_send)):
                    self._is_torn = True
                    encoded = stream.encode(core)
                    if type(encoded) is GeneratorType:
                        self.chunks = encoded
                    else:
                        count = self._note(self._send(encoded), encoded)
                        self._rest = None
                        if count != len(encoded):
                            self.tail = memoryview(encoded)[count:]
                    self._is_torn = False
                    if self._pending or self.has_tail() or stream.is_done:
                        self._drain()
                    else:
                        stream.moved_at = self._loop.clock()
                    is_put = True
            except OS_ERRORS as error:
                self._break(error)
            finally:
                self._release(hold)
                is_over = True
        finally:
            if not is_over:             # an interrupt has cut it off
                self._release(hold)
        return is_put

    def _begin_part(self, stream):
        """Encode the next part of a message of another thread than the loop's."""
        queue = self._core.send_queue
        if queue.stream is not stream:
            self.streams.append(stream)
            queue.stream = stream
        stream.moved_at = self._loop.clock()
        return stream.encode(self._core)

    def _end_stream(self, stream):
        """Let others send again: a message in parts was written."""
        self._is_torn = True
        self._core.send_queue.end_stream()
        self._is_torn = False
        stream.finish()
        if not stream.wakes and stream in self.streams:
            self.streams.remove(stream)
        if stream.thread != get_ident():
            self._loop.wake()           # it may be that of the loop

    def _is_behind(self, opcode, payload):
        """Say whether a message must wait for the end of one in parts."""
        for stream in self.streams[:]:
            if stream.is_over and not stream.wakes:
                try:
                    self.streams.remove(stream)
                except ValueError:      # another thread was faster
                    pass
        if opcode == PARTS:             # also for those who have waited for the last one
            return self._core.send_queue.stream is not payload and bool(self.streams)
        return opcode <= Opcode.BINARY and not all(stream.is_over for stream in self.streams)

    def send_behind(self, opcode, payload, compress):
        """Send once the message in parts is over; in the loop's thread, queue it."""
        if self._loop.is_loop_thread():
            self._queue_message(opcode, payload, compress)
            return
        wake, pause = new_gate()
        waits_for = []
        try:
            while True:
                self._wait_for_streams(wake, pause, waits_for)
                if opcode == PARTS:         # those who have waited for their ends go first
                    for stream in waits_for:
                        stream.wakes.remove(wake)
                    while any(stream.wakes for stream in waits_for):
                        pause(0.001)
                    del waits_for[:]
                try:
                    return self.send(opcode, payload, compress)
                except Behind:
                    pass
        finally:
            for stream in waits_for:
                if wake in stream.wakes:
                    stream.wakes.remove(wake)

    def _wait_for_streams(self, wake, pause, waits_for):
        clock, limit = self._loop.clock, self._send_timeout
        begun = clock()
        for stream in self.streams[:]:
            if stream.thread == get_ident() and not stream.is_over:
                raise errors.WebSocketError(_INSIDE)
            if stream not in waits_for:
                waits_for.append(stream)
                stream.wakes.append(wake)
        for stream in waits_for[:]:
            while not stream.is_over:
                self._core.check_send()
                if self._closing or self.error is not None:
                    self._refuse()
                left = LOOK_UP
                if limit is not None:
                    left = min(left, max(begun, stream.moved_at, self._progress) + limit - clock())
                if not left > 0:
                    raise errors.WebSocketError(
                        'a message that is sent in parts has sent nothing for {}s (send_timeout); this '
                        'one would have followed it, and was not sent', limit)
                pause(left)

    # -- sends that do not wait

    def _queue_message(self, opcode, payload, compress):
        """Queue a message or ping of the loop's thread, unless too much is waiting.

        :raises QueueFull: more than ``max_queued`` bytes would wait; a server drops the
            client instead
        """
        core, queue, limit = self._core, self._core.send_queue, self._loop.max_queued
        if opcode == Opcode.PONG:
            queue.queue_pong(to_bytes(payload))
        else:
            queued = 0 if limit is None else queue.queued + self.gathered_size()
            if queued and queued + len(payload) > limit:
                if core.role.closes_tcp_first:          # no client may end the loop of a server
                    self._loop.drop_slow(queued)
                    return
                raise errors.QueueFull(
                    '{} bytes wait to be sent, and {} more came; at most {} are allowed (max_queued)',
                    queued, len(payload), limit)
            if opcode == Opcode.PING:
                core.pings.sent(to_bytes(payload), self._loop.clock())
            queue.queue_message(opcode, to_bytes(payload), compress)
        if not self.has_tail():
            self.try_flush()
        self._after_queuing()

    def _after_queuing(self):
        self._loop.note_queued(self._core.send_queue.queued)
        if self.wants_write():
            self._loop.wake()           # so that it waits until the rest can go

    # -- waiting

    def _begin_wait(self):
        """Start the clock of send_timeout: the peer has just taken something."""
        self._progress = self._loop.clock()
        self._unsent = None

    def _wait_for_peer(self):
        """Wait until the peer may take more; for the holder of the lock only.

        :raises SendTimeout: it took nothing for ``send_timeout`` seconds
        """
        clock = self._loop.clock
        while True:
            left = LOOK_UP
            if self._send_timeout is not None:
                unsent = self._stream.unsent()
                if unsent is not None and self._unsent is not None and unsent < self._unsent:
                    self._progress = clock()
                self._unsent = unsent
                left = self._progress + self._send_timeout - clock()
                if left <= 0:
                    self._break(errors.SendTimeout(
                        'socket fail; the peer took nothing for {}s (send_timeout)', self._send_timeout))
                    raise self._dead()
            left, blocked = min(left, LOOK_UP), self._stream.blocked
            if blocked:
                left = min(left, retry_pause(blocked))
            ready = self._wait(self._stream.send_wants, left)
            if self._closing:
                raise errors.TransportFail(_CLOSED)
            if self.error is not None:
                raise self._dead()
            if ready or blocked:
                return

    def _wait(self, mask, seconds):
        """Wait for the stream.

        :returns: True if it may be ready
        """
        if self._loop.is_loop_thread():
            return self._loop.wait_in_send(mask, self._loop.clock() + seconds)
        return bool(wait_for(((self._stream.fileno(), mask),), seconds))

    def _wait_for_lock(self, hold):
        """Take the lock.

        The limit is ``send_timeout`` as well, counted from when the holder took the
        lock, or the peer took something: the holder may compress for long, or use a
        stream whose ``send`` does not return.
        """
        if self._lock.is_mine():
            self._check_nested()
        loop, clock = self._loop, self._loop.clock
        wake, sleep = new_gate()
        if not loop.is_loop_thread():
            if self._lock.take_soon(hold):
                return
        else:
            wake = loop.wake

            def sleep(seconds):
                end = clock() + seconds
                loop.wait_in_send(0, end)
                return clock() < end
        seen = [self._taken.get(0), clock()]
        limit = self._send_timeout

        def pause():
            """Wait for a turn; see :meth:`.Lock.claim`."""
            now = clock()
            end = now + LOOK_UP
            if limit is not None:
                end = min(end, max(seen[1], self._progress) + limit)
            is_woken = sleep(max(end - now, 0.001))
            if self.error is not None:
                raise self._dead()
            if self._closing:
                self._refuse()          # nothing of this message was sent
            holder, later = self._taken.get(0), clock()
            if holder is not seen[0]:
                seen[:] = holder, later
            if limit is not None and later >= max(seen[1], self._progress) + limit:
                self._break(errors.SendTimeout(
                    'socket fail; another send has not come to its end for {}s (send_timeout)', limit))
                raise self._dead()
            return is_woken or later < now + LOOK_UP
        self._lock.claim(hold, wake, pause)

    def _check_nested(self):
        """Refuse a send in a signal handler that interrupted one of this thread."""
        owner = self._taken.get(0)
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code in _LOCKERS and frame.f_locals.get('hold') is owner:
                raise errors.WebSocketError(_NESTED)
            frame = frame.f_back
        self._break_off()               # two interrupts have left it: nobody will give it back
        self._taken.clear()

    def _break_off(self):
        """Declare the wire dead: it is not known how much of a frame went."""
        self._break(errors.TransportFail(_INTERRUPTED))

    def _break(self, error):
        """Declare the wire dead: nothing more goes out, and the loop ends."""
        if self.error is None:
            if not isinstance(error, errors.TransportFail):
                cause = without_frames(error)
                error = errors.TransportFail('socket fail; ' + error_text(cause))
                error.error = cause
            self.error = error
        self.tail = b''
        self._loop.wake()

    def _dead(self):
        """Make an exception for one sender.

        Raising the same object again and again would grow its traceback.
        """
        error = type(self.error)(text_type(self.error))
        error.error = getattr(self.error, 'error', None)
        return error

    # -- without waiting

    def send_at_once(self, opcode, payload, compress, frame=None, gathers=False):
        """Write a message if nothing is before it, and keep what is left of it.

        Never waits.

        :param frame: the bytes of the whole frame, if it is not compressed; the owner
            must not change them
        :param gathers: true for a thread in a block of ``cork()``
        :returns: False if it has to be queued
        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        """
        if self._is_entered is not None and self._is_entered():
            return False
        core, is_half_written, is_over, is_mine = self._core, False, False, False
        hold = [get_ident()]
        # No return amid it: an interrupt at one would skip what follows (3.13).
        try:
            try:
                # Otherwise its holder writes what is queued.
                is_mine = not self._taken and self._taken.setdefault(0, hold) is hold
                is_mine = is_mine and self.error is None and not self._closing
                if is_mine and core.inputs != OPENED:
                    core.check_send()
                if is_mine and (self._pending or self.tail or self.chunks is not None or (
                        self.gathered is not None and (not gathers or self._has_gathered(payload)))):
                    if self.gathered is not None:
                        self._pending.append(_UNCORK)
                    is_mine = self._drain()
                if is_mine and not (self.streams and self._is_behind(opcode, payload)):
                    is_half_written = True
                    if frame is not None and not (compress and core.codec):
                        data = frame
                    elif opcode <= Opcode.BINARY:
                        data = core.encode(opcode, payload, compress)
                    else:
                        data = core.encode_control(opcode, payload)
                        if opcode == Opcode.PING:
                            core.pings.sent(to_bytes(payload), self._loop.clock())
                    if gathers:
                        self._put_aside(data, payload)
                    else:
                        self._write_or_keep(data, payload)
                    if self._pending:
                        self._drain()
                    is_half_written = False
                else:
                    is_mine = False
            except errors.WebSocketError:
                is_half_written = False         # refused before the first byte
                raise
            except OS_ERRORS as error:
                self._break(error)
                is_half_written = False
            finally:
                if is_half_written:
                    self._break_off()
                self._release(hold)
                is_over = True
        finally:
            if not is_over:                 # an interrupt has cut it off
                if is_half_written:
                    self._break_off()
                self._release(hold)
        if not is_mine and self.error is None:
            return False
        if self._pending:
            self.try_flush()
        return True

    def _has_gathered(self, payload):
        """Return True if a further message would be more than may be queued."""
        limit = self._loop.max_queued
        return limit is not None and self.gathered.size + len(payload) > limit

    def _write_or_keep(self, data, payload):
        size, count = len(payload), 0
        if type(data) is GeneratorType:
            self.chunks = data
            self._core.send_queue.note_rest(size, 0)
        else:
            count = self._send(data)
            if count == len(data) and self.on_sent is None:
                return
            count = self._note(count, data)
            self._rest = None
            if count == len(data):
                return
            self.tail, self.chunks = memoryview(data)[count:], iter(())
            self._core.send_queue.note_rest(min(size or 1, len(self.tail)), len(self.tail))
        self._drain()
        if self.chunks is not None and type(payload) is not bytes:
            self.tail = to_bytes(self.tail)     # the caller may change its buffer now
            self.chunks = iter([to_bytes(chunk) for chunk in self.chunks])


class QueuingWriter(Writer):
    """The writer of a loop of many connections: a send of its thread never waits."""

    def send(self, opcode, payload, compress=False):
        """Send, like :meth:`Writer.send`; in the loop's thread, queue what does not go.

        A broken wire raises nothing there: the loop will say so.

        :raises QueueFull: more than ``max_queued`` bytes would wait
        """
        if not self._loop.is_loop_thread():
            super(QueuingWriter, self).send(opcode, payload, compress)
            return
        if self._core.inputs != OPENED:
            self._core.check_send()
        if self.error is not None or self._closing:
            return
        gathers = self.corked and get_ident() in self.corked and len(payload) <= CHUNK
        if not self.send_at_once(opcode, payload, compress, None, gathers):
            self._queue_message(opcode, payload, compress)
        elif gathers:
            self._after_gathering(len(payload) or 1)
        elif self.tail or self.chunks is not None or self._pending:
            self._after_queuing()

    def _after_gathering(self, size):
        gathered = self.gathered
        if gathered is None:            # the wire broke, so the message was dropped
            return
        if len(gathered.frames) >= CHUNK:
            self.uncork(gathered, False)
        elif gathered.size == size:
            self._loop.wake()           # others in this thread must not wait for the end of the block

    def uncork(self, gathered, may_wait):
        """Write what was gathered; in the loop's thread, never wait or raise."""
        if not self._loop.is_loop_thread():
            super(QueuingWriter, self).uncork(gathered, may_wait)
        elif gathered is not None:
            self._pending.append(_UNCORK)
            self.try_flush()
            self._after_queuing()


#: The methods that take the lock in their own frame.
_LOCKERS = frozenset(method.__code__ for method in (
    Writer.try_flush, Writer.send, Writer.put_part, Writer.send_at_once, Writer.uncork))
