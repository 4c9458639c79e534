"""A clock that tests set, and sessions that wait by it without waiting.

It must not know what arrives on a wire, only when something does.
"""

from __future__ import absolute_import, division, unicode_literals

import itertools

from ..network.poller import READ

#: Far above any descriptor: a call that reaches the system by mistake fails there.
_descriptors = itertools.count(1 << 30)


def new_descriptor():
    """A number for ``fileno()`` that no other fake has."""
    return next(_descriptors)


class ScriptError(Exception):
    """A script cannot be played: nothing of it is left, and the session would wait for ever."""


class FakeClock(object):
    """A clock that stands still, but for :meth:`advance` and for sessions that wait.

    It belongs to the thread that iterates the events.

    :param epoch: seconds since 1970 when it starts; the default is in September 2020
    """

    #: What :meth:`monotonic` begins with; not 0, which is easily taken for "none".
    START = 1024.0

    def __init__(self, epoch=1600000000.0):
        self._epoch = epoch
        self._now = self.START

    @property
    def elapsed(self):
        """Seconds since the clock was made."""
        return self._now - self.START

    def monotonic(self):
        """As ``time.monotonic()``: seconds, a float; 1024.0 at first.

        :returns: a float
        """
        return self._now

    def time(self):
        """As ``time.time()``: seconds since 1970.

        :returns: a float
        """
        return self._epoch + self.elapsed

    def advance(self, seconds):
        """Let time pass, as a slow handler would.

        :param seconds: 0 or more
        :raises ValueError: below 0
        """
        if seconds < 0:
            raise ValueError('seconds is {}; a clock does not go back'.format(seconds))
        self._now += seconds

    def advance_to(self, when):
        """Let time pass until a moment; nothing happens if that is over.

        :param when: seconds of :meth:`monotonic`
        """
        self._now = max(self._now, when)

    def event(self):
        """Make an event for ``persist(exit_event=..)`` whose ``wait`` takes fake time only.

        :returns: an object with ``set()``, ``is_set()``, ``wait(timeout)`` and ``waited``, the list of
            the seconds that were waited for
        """
        return FakeEvent(self)


class FakeEvent(object):
    """Like ``threading.Event`` for one thread; ``wait`` advances a :class:`FakeClock`.

    :ivar waited: list of the seconds that were waited for
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
        """Whether it is set, after ``timeout`` seconds of the clock if it is not."""
        if not self._is_set:
            if timeout is None:
                raise ScriptError('waiting for an event that nobody sets')
            self.waited.append(timeout)
            self._clock.advance(timeout)
        return self._is_set


class FakeWaiting(object):
    """What a session waits with: time goes to what comes first, and nothing waits.

    :param FakeClock clock: the clock
    :ivar transport: the :class:`ScriptedTransport` of now, or None
    """

    def __init__(self, clock):
        self.transport = None
        self._clock = clock
        self._fd = new_descriptor()
        self._is_woken = False
        self.monotonic = clock.monotonic
        self.time = clock.time

    def wait(self, waits, deadline):
        """As :meth:`lomond.network.poller.Waiting.wait`.

        :raises ScriptError: it would last for ever
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
                raise ScriptError('the session would wait for ever: it has no deadline, and nothing is '
                                  'left of the script')
            self._clock.advance_to(min(times))

    def _find(self, fd):
        if fd == self._fd:
            return READ if self._is_woken else 0
        return self.transport.find_ready() if self.transport is not None else 0

    def fileno(self):
        return self._fd

    def wake(self):
        self._is_woken = True

    def clear(self):
        self._is_woken = False

    def close(self):
        """There is nothing to let go of."""
