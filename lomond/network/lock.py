"""A lock that no interrupt leaves taken.

A signal handler may raise between any two steps of Python: when ``acquire()`` has
returned and nobody has kept that it did, or (up to 3.10) at the end of a ``with``
block, just before ``__exit__`` is called.  A ``threading.Lock`` then stays taken for
good.  Here, taking the lock and noting whose it is are one step, a
``dict.setdefault``, and giving it back can be repeated.  So this is the pattern::

    hold = [get_ident()]            # a new list each time; its identity counts
    try:
        try:
            lock.take(hold)
            ...
        finally:
            lock.release(hold)
    finally:
        lock.release(hold)          # an interrupt may have cut off the first one

A thread that finds it taken looks again and again for some milliseconds: handing the
lock over at each message would make many threads five times slower.  Then it claims
it: from there on, those who claim it have it, first come, first served.  So a thread
that sends without a pause cannot keep the others out.

Knows nothing of: what is guarded.
"""

from __future__ import absolute_import, division, unicode_literals

import threading
import time

from .._compat import LOCKS_WAIT, acquire, get_ident

#: A thread that waits looks again after this time (seconds), even if nothing wakes it.
LOOK_UP = 0.5
#: Sleeps between the looks before a thread claims the lock (seconds).
_PATIENCE = (0, 0, 0.00005, 0.0001, 0.0002, 0.0004, 0.0008)
if not LOCKS_WAIT:                      # handing it over takes a millisecond
    _PATIENCE += (0.0016, 0.0032, 0.005, 0.005)


class Lock(object):
    """See the module.

    :ivar taken: ``{0: hold}`` while somebody has the lock, empty otherwise
    :ivar row: functions that wake those who claim it, in order; they return at once
    """

    __slots__ = ('taken', 'row')

    def __init__(self):
        self.taken = {}
        self.row = []

    def is_taken(self):
        """Return True while anybody has it."""
        return bool(self.taken)

    def is_mine(self):
        """Return True if this thread has it: the caller is a signal handler."""
        hold = self.taken.get(0)
        return hold is not None and hold[0] == get_ident()

    def try_take(self, hold):
        """Take it if it is free, though others may claim it.

        :returns: True if ``hold`` has it now
        """
        return self.taken.setdefault(0, hold) is hold

    def take(self, hold):
        """Take it, and wait as long as that takes; not for a thread that has it."""
        if not self.row and self.taken.setdefault(0, hold) is hold:
            return
        if self.is_mine():              # no frame of this thread will give it back
            self.taken.clear()
        if not self.take_soon(hold):
            wake, pause = new_gate()
            self.claim(hold, wake, lambda: pause(LOOK_UP))

    def take_soon(self, hold):
        """Look for it for some milliseconds.

        :returns: True if ``hold`` has it now
        """
        for seconds in _PATIENCE:
            time.sleep(seconds)
            if not self.row and self.taken.setdefault(0, hold) is hold:
                return True
        return False

    def claim(self, hold, wake, pause):
        """Take it as one of those who claim it.

        :param wake: called by another thread, or in a signal handler, to end the pause
        :param pause: waits until ``wake`` is called; returns False if it was not, for
            ``LOOK_UP`` seconds.  It may raise to give up
        """
        try:
            try:
                is_late = False
                while not self._try_in_row(hold, wake, is_late):
                    is_late = not pause()
            finally:
                self._leave(wake)
        finally:
            self._leave(wake)

    def _try_in_row(self, hold, wake, is_late):
        row = self.row
        if wake not in row:
            row.append(wake)
        if not (is_late or row[:1] == [wake]) or self.taken.setdefault(0, hold) is not hold:
            return False
        if row[:1] != [wake]:
            del row[:1]                 # nobody is behind it, or it comes back
        return True

    def _leave(self, wake):
        try:
            self.row.remove(wake)
        except ValueError:              # it has left
            pass
        self.wake_next()

    def release(self, hold):
        """Give it back, if ``hold`` has it, and wake the first of those who claim it.

        Doing it again does no harm.
        """
        if self.taken.get(0) is hold:
            self.taken.clear()
        if self.row:
            self.wake_next()

    def wake_next(self):
        """Wake the first of those who claim it, if the lock is free."""
        if self.row and not self.taken:
            try:
                self.row[0]()
            except (IndexError, RuntimeError, threading.ThreadError):
                pass                    # it has just left, or was woken already


def new_gate():
    """Make something to wait for, once or repeatedly.

    :returns: ``(wake, pause)``: ``pause(seconds)`` waits until ``wake()`` is called, at
        most so long; it returns False if that did not happen
    """
    gate = threading.Lock()
    gate.acquire()
    return gate.release, lambda seconds: acquire(gate, seconds)
