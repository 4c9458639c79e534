"""A clock that tests set, and the waiting of sessions that follow it.

Knows nothing of: what arrives on a wire, only when something does.
"""

from __future__ import absolute_import, division, unicode_literals

import itertools

from ..network.poller import READ

#: Far above any descriptor, so that a system call made by mistake fails.
_descriptors = itertools.count(1 << 30)


def new_descriptor():
    """Return a number for ``fileno()`` that no other fake has."""
    return next(_descriptors)


class ScriptError(Exception):
    """A script cannot be played: it is over, and the session would wait forever."""


class FakeClock(object):
    """A clock that advances only by :meth:`advance`, or when a session waits.

    It belongs to the thread that iterates the events.

    :param epoch: seconds since 1970 when it starts; the default is in September 2020
    """

    #: The first value of :meth:`monotonic`; not 0, which is easily mistaken for "none".
    START = 1024.0

    def __init__(self, epoch=1600000000.0):
        self._epoch = epoch
        self._now = self.START

    @property
    def elapsed(self):
        """Seconds since the clock was created."""
        return self._now - self.START

    def monotonic(self):
        """Return the monotonic time, like ``time.monotonic()``; 1024.0 at first.

        :returns: seconds, a float
        """
        return self._now

    def time(self):
        """Return the time of day, like ``time.time()``.

        :returns: seconds since 1970, a float
        """
        return self._epoch + self.elapsed

    def advance(self, seconds):
        """Let time pass, as a slow handler would.

        :param seconds: 0 or more
        :raises ValueError: if ``seconds`` is below 0
        """
        if seconds < 0:
            raise ValueError('seconds is {}; a clock does not go back'.format(seconds))
        self._now += seconds

    def advance_to(self, when):
        """Let time pass until a moment; do nothing if it is in the past.

        :param when: seconds of :meth:`monotonic`
        """
        self._now = max(self._now, when)

    def event(self):
        """Make an event for ``persist(exit_event=...)`` that waits in fake time.

        :returns: an object with ``set()``, ``is_set()``, ``wait(timeout)`` and
            ``waited``, a list of the timeouts that were waited for
        """
        return FakeEvent(self)


class FakeEvent(object):
    """A ``threading.Event`` for one thread; ``wait`` advances a :class:`FakeClock`.

    :ivar waited: list of the timeouts that were waited for, in seconds
    """

    def __init__(self, clock):
        self._clock = clock
        self._is_set = False
        self.waited = []

    def is_set(self):
        return self._is_set

    def set(self):
        self._is_set = True

    def wait(self, timeout=None):
        """Return whether it is set; if not, let ``timeout`` seconds pass first."""
        if not self._is_set:
            if timeout is None:
                raise ScriptError('waiting for an event that nobody sets')
            self.waited.append(timeout)
            self._clock.advance(timeout)
        return self._is_set


class FakeWaiting(object):
    """Takes the place of a session's waiting: the clock jumps to what comes first.

    :param FakeClock clock: the clock
    :ivar transport: the current :class:`ScriptedTransport`, or None
    """

    is_asleep = is_woken = False

    def __init__(self, clock):
        self.transport = None
        self._clock = clock
        self._fd = new_descriptor()
        self._is_woken = False
        self.monotonic = clock.monotonic
        self.time = clock.time

    def wait(self, waits, deadline):
        """Do what :meth:`lomond.network.poller.Waiting.wait` does, without waiting.

        :raises ScriptError: if it would last forever
        """
        while True:
            ready = tuple(found for found in (
                (fd, self._find(fd) & mask) for fd, mask in waits) if found[1])
            if ready or (deadline is not None and self._clock.monotonic() >= deadline):
                return ready
            times = [] if deadline is None else [deadline]
            if self.transport is not None:
                times.extend(self.transport.next_times())
            if not times:
                raise ScriptError('the session would wait forever: it has no deadline, and the script '
                                  'is over')
            self._clock.advance_to(min(times))

    def _find(self, fd):
        if fd == self._fd:
            return READ if self._is_woken else 0
        return self.transport.find_ready() if self.transport is not None else 0

    @property
    def wake_waits(self):
        return ((self._fd, READ),)

    def forget(self, fd):
        """Do nothing: no descriptor is registered."""

    def wake(self):
        self._is_woken = True

    def clear(self):
        self._is_woken = False

    def close(self):
        """Do nothing: no descriptor is held."""
