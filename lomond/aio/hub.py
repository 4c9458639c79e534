"""What the connections of one event loop share: what watches their descriptors.

Knows nothing of: events, messages.
"""

from __future__ import absolute_import, division, unicode_literals

import weakref

from .._compat import new_thread
from ..network.poller import READ, WRITE, Waiting
from ..protocol.receive_buffer import Lender


class Watcher(object):
    """Tells sessions what is ready, with the ``add_reader`` of their loop."""

    def __init__(self, loop):
        self._loop = loop

    def watch(self, fd, before, mask, session):
        """Change what is watched of a descriptor from ``before`` to ``mask``."""
        loop, changed = self._loop, before ^ mask
        if changed & READ:
            if mask & READ:
                loop.add_reader(fd, session.on_ready, ((fd, READ),))
            else:
                loop.remove_reader(fd)
        if changed & WRITE:
            if mask & WRITE:
                loop.add_writer(fd, session.on_ready, ((fd, WRITE),))
            else:
                loop.remove_writer(fd)

    def stop(self):
        """Stop watching."""


class ThreadWatcher(object):
    """The same for a loop without ``add_reader`` (Proactor): a thread that selects.

    What is ready is not looked at again until the loop has dealt with it.  There is no
    lock: only the loop's thread changes ``_wanted``, in single steps.
    """

    def __init__(self, loop):
        self._loop = loop
        self._wanted = {}               # fd -> (mask, session)
        self._is_over = False
        self._waiting = Waiting()
        new_thread(self._run, 'lomond-aio').start()

    def watch(self, fd, before, mask, session):
        """As that of :class:`Watcher`."""
        if mask:
            self._wanted[fd] = mask, session
        else:
            self._wanted.pop(fd, None)
        self._waiting.wake()

    def _run(self):
        waiting, told = self._waiting, {}       # told: what the loop still has to deal with
        wake = waiting.wake_waits
        try:
            while not self._is_over:
                wanted = dict(self._wanted)
                told = dict((fd, each) for fd, each in told.items() if wanted.get(fd) is each)
                waits = tuple((fd, each[0]) for fd, each in wanted.items() if fd not in told)
                try:
                    ready = waiting.wait(waits + wake, None)
                except (OSError, ValueError):   # one was closed meanwhile (Windows): look again
                    continue
                found = [(fd, mask, wanted[fd]) for fd, mask in ready if fd in wanted]
                if len(found) != len(ready):
                    waiting.clear()
                if found:
                    told.update((fd, each) for fd, _, each in found)
                    self._loop.call_soon_threadsafe(self._tell, found)
                wanted = found = None
        except RuntimeError:                    # the loop is closed
            pass
        finally:
            waiting.close()

    def _tell(self, found):
        for fd, mask, each in found:
            if self._wanted.get(fd) is each:
                each[1].on_ready(((fd, mask),))
                if self._wanted.get(fd) is each:
                    self._wanted[fd] = each[0], each[1]         # a new tuple: it is looked at again
        self._waiting.wake()

    def stop(self):
        """End the thread."""
        self._is_over = True
        self._waiting.wake()


class Hub(object):
    """What the connections of one loop share; used by its thread."""

    _hubs = weakref.WeakKeyDictionary()

    def __init__(self, loop):
        self.lender = Lender()
        self.watcher = None
        self._loop = weakref.ref(loop)
        self._members = 0

    @classmethod
    def join(cls, loop):
        """Return the hub of a loop, for one more connection."""
        hub = cls._hubs.get(loop)
        if hub is None:
            hub = cls._hubs[loop] = cls(loop)
        hub._members += 1
        return hub

    def leave(self):
        """Forget a connection; the last one stops the watcher."""
        self._members -= 1
        if not self._members:
            if self.watcher is not None:
                self.watcher.stop()
            loop = self._loop()
            if loop is not None:
                self._hubs.pop(loop, None)

    def watch(self, fd, before, mask, session):
        """Change what is watched of a descriptor; see :meth:`Watcher.watch`."""
        if self.watcher is None:
            self.watcher = Watcher(session.loop)
        try:
            self.watcher.watch(fd, before, mask, session)
        except NotImplementedError:     # a Proactor loop
            self.watcher = ThreadWatcher(session.loop)
            self.watcher.watch(fd, before, mask, session)
