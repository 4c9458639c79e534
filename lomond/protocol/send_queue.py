"""The queue of what a connection has to write, and the log of its pings.

Three kinds of threads use them without a lock, because each step on a list is atomic:
the driver's loop queues pongs and looks up pings (``queue_pong``, ``answered``), the
holder of the write lock takes items (``peek``, ``take``), and any thread may queue
messages or a close frame.  They are lists because most stay empty: an empty deque takes
620 to 760 bytes.

Bytes of queued messages count from ``queue_message`` until the operating system has
them: the holder of the write lock says what is left of the message that it has taken
(``note_left``).

Knows nothing of: states, events, the bytes of a frame.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import imap
from ..opcode import Opcode

#: Instead of an opcode: here a message in parts begins.  Its item has the object that
#: gives the parts; it goes to :attr:`SendQueue.stream`.
PARTS = 16

#: Instead of an opcode: whatever the driver has gathered must go before the next item.
UNCORK = 17

#: Limit of the pongs that wait to be written, in bytes.  Beyond it only the newest ping
#: is answered (RFC 6455, 5.5.3).
MAX_QUEUED_PONGS = 64 * 1024

#: Up to this length, removing the first item of a list costs no more than of a deque.
SHORT = 64

#: Remember at most this many of our own unanswered pings.
MAX_REMEMBERED_PINGS = 1024


class Total(object):
    """A sum to which any thread may add, without a lock.

    :ivar parts: what was added; an interrupt between this and another step is avoided
        by appending to it directly, see :meth:`SendQueue.queue_message`
    """

    __slots__ = ('parts', '_turn')

    def __init__(self):
        self.parts = []
        self._turn = [True]             # who pops it may shorten the list

    def value(self):
        """Return the sum."""
        if len(self.parts) > 2 * SHORT:
            self._shorten()
        return sum(self.parts[:])

    def _shorten(self):
        try:
            turn = self._turn.pop()
        except IndexError:              # another thread is at it
            return
        try:
            count = len(self.parts)
            self.parts[:count] = (sum(self.parts[:count]),)     # one step; others only append
        finally:
            self._turn.append(turn)


class SendQueue(object):
    """Replies, close frames and queued messages, in order: ``(opcode, payload)``."""

    __slots__ = ('pending', 'newest_pong', 'has_close', '_taken', '_queued_size', '_taken_size',
                 '_close_taken', '_messages_in', '_messages_out', '_owed', 'written', 'stream', '_held')

    def __init__(self):
        #: The queue itself; it is true while something is waiting.  Drivers keep a
        #: reference.
        self.pending = []
        #: The newest pong that did not fit there, if any; it waits as well.
        self.newest_pong = []
        #: True once a close frame was queued; a second one is dropped.
        self.has_close = False
        self._taken = 0                 # how many items at its front are None; as _taken_size
        self._queued_size = 0           # written by the driver's loop only
        self._taken_size = 0            # written by the holder of the write lock only
        self._close_taken = False       # written by the holder of the write lock only
        self._messages_in = Total()     # bytes
        # Written by the holder of the write lock only:
        self._messages_out = 0          # bytes of messages that were taken
        self._owed = 0                  # bytes of the newest of them that are still to be encoded
        #: How many bytes of all messages that were ever queued were written.
        self.written = 0
        #: The message in parts that has begun, or None: until it is at its end, only
        #: control frames follow (RFC 6455, 5.4), and messages are held back.
        self.stream = None
        self._held = ()                 # these, in order

    def is_waiting(self):
        """Return True if :meth:`next` may have an item."""
        return bool(self.pending or self.newest_pong)

    def queue(self, opcode, payload):
        """Queue a close frame, a ping, or raw bytes (opcode None), uncounted."""
        self.pending.append((opcode, payload))
        if opcode == Opcode.CLOSE:
            self.has_close = True

    def queue_pong(self, payload):
        """Queue a pong; in a full queue, only the newest one is kept."""
        pongs = [payload]
        newest = self._next_newest()
        if newest is not None:
            pongs.insert(0, newest[1])          # it may fit now
        fits = True
        for pong in pongs:
            size = len(pong) + 6
            fits = fits and self._queued_size - self._taken_size + size <= MAX_QUEUED_PONGS
            if fits:
                self._queued_size += size
                self.pending.append((Opcode.PONG, pong))
            else:
                self.newest_pong[:] = (pong,)

    def queue_message(self, opcode, payload, compress):
        """Queue a text or binary message, for a driver whose sends do not wait.

        Or a ping of the program, which counts, too.  Any thread may do so.  An empty
        message counts as one byte, so that it can be told whether it was written.
        """
        # One step, so that no interrupt comes amid it: it is counted, and then there.
        any(imap(list.append, (self._messages_in.parts, self.pending),
                 (len(payload) or 1, (opcode, (payload, compress)))))

    @property
    def queued_messages(self):
        """Bytes of queued messages that :meth:`next` has not returned yet."""
        return self._messages_in.value() - self._messages_out

    def totals(self):
        """Return ``(queued, written)``: the bytes of all messages that were ever
        queued, and how many of these were written.
        """
        written = self.written          # first, so that it is not the larger one
        return self._messages_in.value(), written

    @property
    def queued(self):
        """Bytes of queued messages that were not written yet."""
        queued, written = self.totals()
        return queued - written

    def note_rest(self, size, left):
        """Note a message that was begun without being queued.

        :param size: bytes of it that were not written
        :param left: bytes of its chunk that were not written
        """
        self._messages_in.parts.append(size)
        self._messages_out += size
        self._owed = max(size - left, 0)

    def as_whole(self, encoded):
        """Return the chunks of a message that was encoded in one piece."""
        self._owed = 0
        return iter((encoded,))

    def note_chunk(self, size):
        """Note that ``size`` bytes of the newest message are written next."""
        self._owed = max(self._owed - size, 0)

    def note_left(self, size):
        """Note that ``size`` bytes are left of the chunk that is being written."""
        self.written = max(self.written, self._messages_out - self._owed - size)

    def note_end(self):
        """Note that the newest message was written."""
        self.written = self._messages_out

    def next(self):
        """Take the next item and return it; None if the queue is empty."""
        item = self.peek()
        if item is not None:
            self.take(item)
        return item

    def peek(self):
        """Return the next item, or None; :meth:`take` removes it.

        After a close frame, only pongs follow (RFC 6455, 5.5.1, 5.5.2).
        """
        pending = self.pending
        while pending:
            try:
                item = pending[self._taken]
            except IndexError:              # an interrupt, or clear(), has cut off take()
                taken, self._taken = self._taken, 0
                del pending[:taken]
                continue
            if item is None:
                self._taken += 1
                continue
            opcode = item[0]
            if opcode == Opcode.PONG:
                return item
            if self._close_taken:
                self.take(item)
                self.note_end()         # as it never will be
            elif opcode == Opcode.CLOSE:
                return self._next_newest() or item      # its ping came before the close frame
            elif self.stream is not None and opcode in (Opcode.TEXT, Opcode.BINARY, PARTS):
                self._hold(item)
            else:
                return item
        return self._next_newest() if self.newest_pong else None

    def _hold(self, item):
        if not self._held:
            self._held = [item]
        elif self._held[-1] is not item:        # else an interrupt came before the last line
            self._held.append(item)
        self._remove(self._taken)

    def end_stream(self):
        """The message in parts is at its end: queue again what was held back.

        An interrupt amid this loses messages.
        """
        self.stream = None
        if self._held:
            self.pending[self._taken:self._taken] = self._held
            self._held = ()

    def take(self, item):
        """Remove what :meth:`peek` has returned.

        Doing it again does no harm: an interrupt may have cut it off.
        """
        pending, taken = self.pending, self._taken
        if taken >= len(pending) or pending[taken] is not item:
            return                      # the newest pong, or removed before
        opcode, payload = item
        if opcode == Opcode.PONG:
            self._taken_size += len(payload) + 6
        elif type(payload) is tuple:    # it counts
            self._owed = len(payload[0]) or 1
            self._messages_out += self._owed
        elif opcode == Opcode.CLOSE:
            self._close_taken = True
        self._remove(taken)

    def _remove(self, taken):
        pending = self.pending
        pending[taken:taken + 1] = (None,)
        # Of a long queue, half at a time: to move the rest for each item would take
        # quadratic time.
        if SHORT < len(pending) > 2 * taken + 2:
            self._taken = taken + 1
        else:
            self._taken = 0
            del pending[:taken + 1]

    def _next_newest(self):
        if not self.newest_pong:
            return None
        try:
            return Opcode.PONG, self.newest_pong.pop()
        except IndexError:
            return None

    def clear(self):
        """Drop everything; the connection is over."""
        del self.pending[:], self.newest_pong[:]
        self._taken, self._held = 0, ()


class PingLog(object):
    """Our unanswered pings, oldest first, and when they were sent."""

    __slots__ = ('unanswered', 'latency')

    def __init__(self):
        #: Seconds to the latest pong, or None; written by the loop, read by any thread.
        self.latency = None
        #: ``(payload, time)``; senders and the loop append, only the loop takes.
        self.unanswered = []

    def sent(self, payload, now):
        """Note a ping that was sent or queued at ``now`` (None if not known)."""
        self.unanswered.append((payload, now))
        if len(self.unanswered) > MAX_REMEMBERED_PINGS:
            del self.unanswered[:-MAX_REMEMBERED_PINGS]

    @property
    def oldest(self):
        """When the oldest unanswered ping was sent, or None."""
        # Safe because only the loop takes.  Hot path: catching an IndexError costs 0.4
        # us.
        return self.unanswered[0][1] if self.unanswered else None

    def answered(self, payload, now):
        """Note a pong: it answers its own ping and all earlier ones.

        :returns: seconds since its ping was sent; None for an unsolicited pong, or if
            one of the times is not known
        """
        if payload not in [data for data, _ in self.unanswered[:]]:
            return None
        try:
            while True:
                data, then = self.unanswered.pop(0)
                if data == payload:
                    break
        except IndexError:          # other threads have sent 1024 pings meanwhile
            return None
        if then is None or now is None:
            return None
        self.latency = now - then
        return self.latency

    def clear(self):
        del self.unanswered[:]
