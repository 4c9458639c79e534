"""What a loop of many connections keeps for each of them, and for their deadlines.

A :class:`Member` is also the Waiting of its session: a connection in such a loop has no
descriptor but its socket, and an idle one no object that is not needed.

Knows nothing of: sessions, streams, who has a turn.
"""

from __future__ import absolute_import, division, unicode_literals

import heapq
import time

from .._compat import monotonic


class Member(object):
    """A member, and the Waiting of its session.

    :ivar host: of an accepted connection: the record of its server; of that: itself
    :ivar removal: ``(code, reason)`` once it is to leave
    :ivar entry: its entry among the deadlines, or None
    :ivar watched: what the poller waits for, for it
    :ivar is_new: True while the loop has to look at its events
    """

    __slots__ = ('number', 'websocket', 'session', 'settings', 'retries', 'host', 'loop', 'removal', 'entry',
                 'watched', 'is_asleep', 'is_woken', 'is_busy', 'is_new', 'is_connecting')

    def __init__(self, number, websocket, settings=None, retries=None):
        self.number = number
        self.websocket = websocket
        self.session = None
        self.settings = settings
        self.retries = retries
        self.host = self.loop = self.removal = self.entry = None
        self.watched = ()
        self.is_asleep = self.is_woken = self.is_busy = False
        self.is_new = self.is_connecting = False

    #: What wakes the session: the one wake-up of the loop serves all.
    wake_waits = ()
    monotonic = staticmethod(monotonic)

    def time(self):
        """Return seconds since the epoch."""
        return time.time()

    def wake(self):
        """Have the session have a turn; any thread and signal handlers."""
        loop = self.loop
        if loop is not None and not self.is_woken:
            self.is_woken = True
            if self.is_asleep:              # otherwise its next deadline shows it
                loop.woken.append(self)
                loop.wake()

    def forget(self, fd):
        """Wait for a descriptor no longer, which is closed next; the loop's thread."""
        loop = self.loop
        if loop is not None:
            loop.forget(self, fd)

    def clear(self):
        """Do nothing: the loop knows what it has done."""

    def close(self):
        """Do nothing: it has no descriptor."""


class Timers(object):
    """A heap of deadlines: one entry for each record that has one, and stale ones.

    A deadline that moves later keeps its entry, and is looked at when its old time
    comes.
    """

    __slots__ = ('heap', 'stale')

    def __init__(self):
        self.heap = []
        self.stale = 0                  # entries that are nobody's newest one

    def push(self, when, record):
        """Note the deadline of a record, unless an earlier entry will lead to it."""
        if record.entry is not None:
            if record.entry[0] <= when:
                return
            self.stale += 1
        record.entry = when, record.number, record      # numbers: records have no order
        heapq.heappush(self.heap, record.entry)
        self._sweep()

    def drop(self, record):
        """Forget the deadline of a record."""
        if record.entry is not None:
            record.entry = None
            self.stale += 1
            self._sweep()

    def pop(self):
        """Take the first entry; return its record, or None if it is stale."""
        entry = heapq.heappop(self.heap)
        record = entry[2]
        if record.entry is not entry:
            self.stale -= 1
            return None
        record.entry = None
        return record

    def _sweep(self):
        if self.stale * 2 > len(self.heap):
            self.heap[:] = [entry for entry in self.heap if entry[2].entry is entry]
            heapq.heapify(self.heap)
            self.stale = 0
