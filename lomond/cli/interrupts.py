"""Ctrl-C and SIGTERM: the first asks to end, the second, or a time limit, ends at once.

It must not know what is ended.  What runs in a signal handler here takes no lock: the main thread
may have been interrupted while it held it.
"""

from __future__ import absolute_import, division, unicode_literals

import signal

from .._compat import IS_WINDOWS, monotonic
from ..network.poller import READ, new_wake_up, wait_for

#: Seconds from the first signal until everything is dropped.
LIMIT = 2.0
#: Windows lets no signal interrupt a wait: there it is looked around so often (seconds); elsewhere
#: there is no need to.
PACE = 0.5 if IS_WINDOWS else None


class Stop(object):
    """As ``threading.Event``, but :meth:`set` may be called in a signal handler.

    An Event's has a lock; it would wait for ever when ``wait`` of the same thread holds it.
    """

    def __init__(self):
        self._is_set = False
        self._wake_up = new_wake_up()

    def set(self):
        """Let every :meth:`wait` return, now and later; never waits itself."""
        self._is_set = True
        self._wake_up.set()

    def is_set(self):
        """True once it was set."""
        return self._is_set

    def wait(self, timeout=None):
        """Wait until it is set, at most ``timeout`` seconds; True when it is."""
        deadline = None if timeout is None else monotonic() + timeout
        while not self._is_set:
            left = PACE
            if deadline is not None:
                left = deadline - monotonic()
                if left <= 0:
                    break
                left = left if PACE is None else min(left, PACE)
            wait_for(((self._wake_up.fileno(), READ),), left)
        return self._is_set


class Interrupts(object):
    """A context in which SIGINT and SIGTERM call a function, once; a second signal raises.

    A signal that is ignored (``nohup``, a shell's background job) stays ignored.

    :param callback: function without arguments, called in the signal handler

    :ivar was_interrupted: True after a signal
    """

    def __init__(self, callback):
        self._callback = callback
        self._previous = []
        self.was_interrupted = False

    def __enter__(self):
        self._install(signal.SIGINT, self._interrupt)
        self._install(signal.SIGTERM, self._interrupt)
        return self

    def __exit__(self, *exc_info):
        if hasattr(signal, 'setitimer') and self._previous:
            signal.setitimer(signal.ITIMER_REAL, 0)
        while self._previous:
            number, handler = self._previous.pop()
            signal.signal(number, handler)

    def _install(self, number, handler):
        previous = signal.getsignal(number)
        if previous in (signal.SIG_IGN, None):      # None: not Python's, so none of our business
            return
        try:
            signal.signal(number, handler)
        except ValueError:          # not the main thread; then somebody else takes care
            return
        self._previous.append((number, previous))

    def _interrupt(self, number, frame):
        if self.was_interrupted:
            raise KeyboardInterrupt
        self.was_interrupted = True
        self.limit()
        self._callback()

    def limit(self):
        """Raise KeyboardInterrupt in the main thread after :data:`LIMIT` seconds, wherever it is then.

        Windows cannot; there a second Ctrl-C does.
        """
        if hasattr(signal, 'setitimer'):
            self._install(signal.SIGALRM, self._overdue)
            signal.setitimer(signal.ITIMER_REAL, LIMIT, 0.5)

    def _overdue(self, number, frame):
        raise KeyboardInterrupt
