"""What a connection wants to write: its queue of replies, and the log of its pings.

It must not know states or events.  Who may touch what: the driver's loop queues and asks
(``queue_pong``, ``answered``), the holder of the write lock takes (``next``), any thread
queues a close frame; the ends of a deque are atomic.
"""

from __future__ import absolute_import, division, unicode_literals

import collections

from ..opcode import Opcode

#: Bytes of pongs that wait to be written; beyond it only the newest ping is answered
#: (RFC 6455, 5.5.3).
MAX_QUEUED_PONGS = 64 * 1024

#: How many of our own unanswered pings are remembered.
MAX_REMEMBERED_PINGS = 1024


class SendQueue(object):
    """Automatic replies and close frames in order, as ``(opcode, payload)``."""

    __slots__ = ('pending', 'newest_pong', '_queued_size', '_taken_size', '_close_taken',
                 '_messages_in', '_messages_out')

    def __init__(self):
        #: The queue itself, to ask whether there is something: ``if send_queue.pending``.
        self.pending = collections.deque()
        #: The pong that found no room there, if any: it waits, too.
        self.newest_pong = collections.deque(maxlen=1)
        self._queued_size = 0           # written by the driver's loop only
        self._taken_size = 0            # written by the holder of the write lock only
        self._close_taken = False       # likewise
        self._messages_in = 0           # bytes; written by the thread that queues messages
        self._messages_out = 0          # written by the holder of the write lock only

    def is_waiting(self):
        """True when :meth:`next` may have something to give."""
        return bool(self.pending or self.newest_pong)

    def queue(self, opcode, payload):
        """A frame that is not counted: close, ping, or raw bytes (opcode None)."""
        self.pending.append((opcode, payload))

    def queue_pong(self, payload):
        """The answer to a ping; in a full queue it takes the place of an older one."""
        pongs = [payload]
        newest = self._next_newest()
        if newest is not None:
            pongs.insert(0, newest[1])          # there may be room for it now
        fits = True
        for pong in pongs:
            size = len(pong) + 6
            fits = fits and self._queued_size - self._taken_size + size <= MAX_QUEUED_PONGS
            if fits:
                self._queued_size += size
                self.pending.append((Opcode.PONG, pong))
            else:
                self.newest_pong.append(pong)

    def queue_message(self, opcode, payload, compress):
        """A text or binary message of a driver that does not wait."""
        self._messages_in += len(payload)
        self.pending.append((opcode, (payload, compress)))

    @property
    def queued_messages(self):
        """Bytes of messages that nobody has begun to write."""
        return self._messages_in - self._messages_out

    def next(self):
        """The next item, or None; after a close frame nothing comes but pongs (5.5.1, 5.5.2)."""
        while True:
            try:
                item = self.pending.popleft()
            except IndexError:
                return self._next_newest()
            opcode, payload = item
            if opcode == Opcode.PONG:
                self._taken_size += len(payload) + 6
                return item
            if opcode in (Opcode.TEXT, Opcode.BINARY):
                self._messages_out += len(payload[0])
            if self._close_taken:
                continue
            if opcode == Opcode.CLOSE:
                newest = self._next_newest()
                if newest is not None:          # its ping came before
                    self.pending.appendleft(item)
                    return newest
                self._close_taken = True
            return item

    def _next_newest(self):
        try:
            return Opcode.PONG, self.newest_pong.popleft()
        except IndexError:
            return None

    def clear(self):
        self.pending.clear()
        self.newest_pong.clear()


class PingLog(object):
    """Our pings that have no pong yet, oldest first, and when they were sent."""

    __slots__ = ('_pings', 'latency')

    def __init__(self):
        self.latency = None         # seconds of the newest answered one; the loop's, read by anybody
        # No lock: senders and the loop append, the loop alone takes; the ends of a deque are atomic.
        self._pings = collections.deque(maxlen=MAX_REMEMBERED_PINGS)

    def sent(self, payload, now):
        """A ping was sent, or queued, at ``now`` (any clock; None: not known)."""
        self._pings.append((payload, now))

    @property
    def oldest(self):
        """When the oldest unanswered ping was sent, or None."""
        # For the loop, which alone takes; at every wait: an exception costs 0.4 us.
        return self._pings[0][1] if self._pings else None

    def answered(self, payload, now):
        """A pong came: forget the pings it answers, which are its own and all before it.

        :returns: seconds since its ping was sent; None for a pong that nobody asked for, and
            when one of the times is not known
        """
        if not any(data == payload for data, _ in _snapshot(self._pings)):
            return None
        try:
            while True:
                data, then = self._pings.popleft()
                if data == payload:
                    break
        except IndexError:          # other threads have sent 1024 pings meanwhile
            return None
        if then is None or now is None:
            return None
        self.latency = now - then
        return self.latency

    def clear(self):
        self._pings.clear()


def _snapshot(pings):
    """A list of a deque that other threads append to."""
    while True:
        try:
            return list(pings)
        except RuntimeError:        # it grew meanwhile: free-threaded builds, PyPy
            continue
