"""Ctrl-C and SIGTERM: the first asks the program to end, a second one ends it.

Nothing here that runs in a signal handler takes a lock, because the interrupted main
thread may be holding it.

Knows nothing of: what is ended.
"""

from __future__ import absolute_import, division, unicode_literals

import signal

from .._compat import IS_WINDOWS, monotonic
from ..network.poller import READ, new_wake_up, wait_for

#: Seconds from the first signal until the program ends regardless.
LIMIT = 2.0
#: Seconds between checks for a signal on Windows, where signals do not interrupt a
#: wait; None elsewhere.
PACE = 0.5 if IS_WINDOWS else None


class Stop(object):
    """Like ``threading.Event``, but :meth:`set` may be called in a signal handler.

    ``Event.set()`` takes a lock; it would wait forever if ``wait()`` in the same thread
    holds it.
    """

    def __init__(self):
        self._is_set = False
        #: Ends the waiting of the main thread; shared with a session and with signals.
        self.wake_up = new_wake_up()

    def set(self):
        """Make every :meth:`wait` return, now and later, without waiting."""
        self._is_set = True
        self.wake_up.set()

    def is_set(self):
        """Return whether :meth:`set` was called."""
        return self._is_set

    def wait(self, timeout=None):
        """Wait at most ``timeout`` seconds; return whether :meth:`set` was called."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            self.wake_up.clear()        # first: a signal may come between the lines
            if self._is_set:
                break
            left = PACE
            if deadline is not None:
                left = deadline - monotonic()
                if left <= 0:
                    break
                left = left if PACE is None else min(left, PACE)
            wait_for(((self.wake_up.fileno(), READ),), left)
        return self._is_set


class Interrupts(object):
    """A context in which the first SIGINT or SIGTERM calls a function.

    A second signal raises KeyboardInterrupt. A signal that is ignored (by ``nohup``, or
    in a shell's background job) stays ignored.

    Python calls its handlers between two bytecodes. If a signal arrives just before the
    main thread begins to wait, it would be noticed only after the wait. Therefore each
    signal also writes to the wake-up of ``stop``, for which the main thread waits.

    :param callback: a function without arguments, called in the signal handler
    :param stop: the :class:`Stop` whose wake-up the main thread waits for

    :ivar was_interrupted: True after the first signal
    """

    def __init__(self, callback, stop):
        self._callback = callback
        self._stop = stop
        self._previous = []
        self._previous_fd = None
        self.was_interrupted = False

    def __enter__(self):
        try:
            if not IS_WINDOWS:          # see PACE
                self._previous_fd = signal.set_wakeup_fd(self._stop.wake_up.write_fileno())
        except ValueError:              # outside of the main thread
            pass
        self._install(signal.SIGINT, self._interrupt)
        self._install(signal.SIGTERM, self._interrupt)
        return self

    def __exit__(self, *exc_info):
        if hasattr(signal, 'setitimer') and self._previous:
            signal.setitimer(signal.ITIMER_REAL, 0)
        while self._previous:
            number, handler = self._previous.pop()
            signal.signal(number, handler)
        if self._previous_fd is not None:
            signal.set_wakeup_fd(self._previous_fd)

    def _install(self, number, handler):
        previous = signal.getsignal(number)
        if previous in (signal.SIG_IGN, None):      # None if Python did not install it
            return
        try:
            signal.signal(number, handler)
        except ValueError:          # outside of the main thread, signals are up to the caller
            return
        self._previous.append((number, previous))

    def _interrupt(self, number, frame):
        if self.was_interrupted:
            raise KeyboardInterrupt
        self.was_interrupted = True
        self.limit()
        self._callback()

    def limit(self):
        """Raise KeyboardInterrupt in the main thread after :data:`LIMIT` seconds.

        Windows has no such timer; press Ctrl-C again there.
        """
        if hasattr(signal, 'setitimer'):
            self._install(signal.SIGALRM, self._overdue)
            signal.setitimer(signal.ITIMER_REAL, LIMIT, 0.5)

    def _overdue(self, number, frame):
        raise KeyboardInterrupt
