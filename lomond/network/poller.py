"""Waiting for descriptors, deadlines and wake-ups; the only reader of clocks.

A session has one :class:`Waiting`; tests may replace it with an object that has the
same methods.  A loop of many connections has a poller of many descriptors, which keeps
what it was told between two waits (:func:`new_poller_of_many`).  The kinds of pollers
stand side by side because each has to keep the same promises.

Knows nothing of: what is waited for.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import math
import os
import select
import socket
import time
from itertools import starmap

from .._compat import (
    IS_WINDOWS,
    OS_ERRORS,
    error_number,
    halt_at_exit,
    set_cloexec,
    set_nonblocking,
    was_interrupted,
    would_block,
)
from .._compat import monotonic as monotonic  # for drivers; type checkers want the name twice

READ = 1
WRITE = 2

#: A single wait lasts at most this long (a day), then starts again. ``poll`` takes
#: milliseconds in a C int, which overflows after 25 days.
LONGEST = 86400.0
#: 2**63 nanoseconds, 292 years: no more fits into what Python waits with.  A limit of
#: that length is none.
ENDLESS = 2.0 ** 63 / 1e9


def time_limit(seconds):
    """Return a time limit, or None if it is none: None, 0, or 292 years and more."""
    return seconds if seconds and seconds < ENDLESS else None


class WakeUp(object):
    """A pipe to oneself: any thread or signal handler writes, the waiting thread reads.

    Users hold a reference, and the last reference closes the pipe: a byte written to a
    descriptor number that has been reused would end up in an unrelated file.
    """

    _pipe = ()

    def __init__(self):
        self._pipe = []
        # A call and a store in one step: Ctrl-C between them would leave the pipe open.
        self._pipe.extend(starmap(os.pipe, ((),)))
        self._read, self._write = self._pipe[0]
        for fd in (self._read, self._write):
            set_cloexec(fd)
            set_nonblocking(fd)

    def fileno(self):
        return self._read

    def write_fileno(self):
        """Return the descriptor that makes this one readable when it is written to."""
        return self._write

    def set(self):
        """Make the pipe readable. Never blocks or raises."""
        try:
            os.write(self._write, b'\0')
        except OS_ERRORS as error:
            # A full pipe wakes just as well. EINTR on 2.7 comes before anything was
            # written, and the signal itself has woken the wait.
            if not would_block(error) and not was_interrupted(error):
                raise

    def clear(self):
        """Discard all bytes in the pipe. Never blocks."""
        try:
            while len(os.read(self._read, 4096)) == 4096:
                pass
        except OS_ERRORS as error:
            if not would_block(error) and not was_interrupted(error):
                raise

    def __del__(self, close=os.close):      # 2.7 empties modules first when a program exits
        for read, write in self._pipe:      # it is empty when no descriptor is free
            try:
                close(read)
            finally:
                close(write)


class EventWakeUp(object):
    """The same with a single descriptor: eventfd, of Linux and Python 3.10 on.

    It takes numbers of eight bytes, so it is not for ``signal.set_wakeup_fd``.
    """

    _fds = ()

    def __init__(self):
        self._fds = []
        # In one step, as above.
        self._fds.extend(starmap(os.eventfd, ((0, os.EFD_CLOEXEC | os.EFD_NONBLOCK),)))

    def fileno(self):
        return self._fds[0]

    def set(self):
        """Make it readable. Never blocks or raises."""
        try:
            os.eventfd_write(self._fds[0], 1)
        except OS_ERRORS as error:      # EAGAIN: so often that it wakes in any case
            if not would_block(error):
                raise

    def clear(self):
        """Make it unreadable. Never blocks."""
        try:
            os.eventfd_read(self._fds[0])
        except OS_ERRORS as error:
            if not would_block(error):
                raise

    def __del__(self):
        for fd in self._fds:            # none if no descriptor was free
            os.close(fd)


class SocketWakeUp(object):
    """Socket-based wake-up for Windows, where select() accepts only sockets."""

    def __init__(self):
        listener = socket.socket()
        try:
            listener.bind(('127.0.0.1', 0))
            listener.listen(5)
            self._write = socket.socket()
            self._write.connect(listener.getsockname())
            while True:
                self._read, peer = listener.accept()
                if peer == self._write.getsockname():
                    break
                self._read.close()          # another program was faster
        finally:
            listener.close()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def fileno(self):
        return self._read.fileno()

    def set(self):
        """Make the socket readable. Never blocks."""
        try:
            self._write.send(b'\0')
        except OS_ERRORS as error:
            if not would_block(error):
                raise

    def clear(self):
        """Discard all bytes in the socket. Never blocks."""
        try:
            while len(self._read.recv(4096)) == 4096:
                pass
        except OS_ERRORS as error:
            if not would_block(error):
                raise

    def __del__(self):
        self._read.close()
        self._write.close()




new_wake_up = SocketWakeUp if IS_WINDOWS else WakeUp
#: The same, where the wake-up need not be a pipe.
new_event = EventWakeUp if hasattr(os, 'eventfd') else new_wake_up


def wait_for(waits, timeout, _halt=halt_at_exit):       # globals may be None when it is needed
    """Wait once; for threads without a :class:`Waiting` of their own.

    :param waits: ``((fileno, READ | WRITE), ...)``
    :param timeout: seconds, or None for no limit
    :returns: what is ready, as ``((fileno, READ | WRITE), ...)``; empty after a timeout
        or an interruption
    """
    ready = new_poller().wait(waits, timeout if timeout is None else min(timeout, LONGEST))
    _halt()
    return ready


def is_writable(fd):
    """Return True if poll() says that a descriptor is writable now, or broken."""
    try:
        if not hasattr(select, 'poll'):
            return bool(select.select([], [fd], [], 0)[1])
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        return any(bits != select.POLLNVAL for _, bits in poll.poll(0))
    except (ValueError, OverflowError) + OS_ERRORS:         # it is closed, or no descriptor
        return False


class _Poll(object):
    # For one or two descriptors poll() costs as much as epoll, needs no descriptor of
    # its own and, unlike select(), has no limit on descriptor numbers.

    _halt = staticmethod(halt_at_exit)      # here: globals may be None when it is needed

    def __init__(self):
        # What to wait for, the poll object for it, its masks, known answers.
        self._current = (None, None, None, None)

    def wait(self, waits, timeout):
        """Wait like :func:`wait_for`; cheaper if ``waits`` is the same tuple again."""
        registered, poll, asked, answers = self._current
        if waits is not registered and waits != registered:
            poll, asked, answers = self._register(waits)
        milliseconds = None if timeout is None else int(math.ceil(timeout * 1000))
        try:
            found = poll.poll(milliseconds)
        except RuntimeError:                # in a signal handler that has interrupted this wait
            return _Poll().wait(waits, timeout)
        except OS_ERRORS as error:
            if not was_interrupted(error):
                raise
            return ()
        if not found:
            self._halt()
            return ()
        single = found[0] if len(found) == 1 else None
        if single in answers:               # hot path: the same as before
            return answers[single]
        bad = select.POLLHUP | select.POLLERR | select.POLLNVAL
        ready = ()
        for fd, bits in found:
            mask = asked[fd] & ((READ if bits & (select.POLLIN | bad) else 0) | (
                WRITE if bits & (select.POLLOUT | bad) else 0))
            if mask:
                ready += ((fd, mask),)
        if single is not None:
            answers[single] = ready
        return ready

    def _register(self, waits):
        # Build everything first and store it at once: Ctrl-C, or a signal handler that
        # waits for something else here, may come between any two lines.
        poll = select.poll()                # looked up now: gevent replaces it
        for fd, mask in waits:
            if mask:                        # POLLHUP is always reported, and would spin
                poll.register(fd, (select.POLLIN if mask & READ else 0) |
                              (select.POLLOUT if mask & WRITE else 0))
        asked, answers = dict(waits), {}
        self._current = (waits, poll, asked, answers)
        return poll, asked, answers


class _Select(object):
    def wait(self, waits, timeout):
        readers = [fd for fd, mask in waits if mask & READ]
        writers = [fd for fd, mask in waits if mask & WRITE]
        if not readers and not writers:     # Windows refuses three empty lists
            time.sleep(LONGEST if timeout is None else timeout)
            return ()
        try:
            # A refused connect shows in the third list on Windows.
            can_read, can_write, bad = select.select(readers, writers, writers, timeout)
        except OS_ERRORS as error:
            if not was_interrupted(error):
                raise
            return ()
        ready = dict.fromkeys(can_read, READ)
        for fd in can_write + bad:
            ready[fd] = ready.get(fd, 0) | WRITE
        return tuple(ready.items())


def new_poller():
    """Return the best poller here; looks up ``select`` now (monkey patching)."""
    return _Poll() if hasattr(select, 'poll') else _Select()


# -- many descriptors

#: Sockets of a select() on Windows; a few are left for connections that are being made.
WINDOWS_LIMIT = 500
#: Seconds between two looks, if select() has to be asked for each descriptor by itself.
LOOK_AGAIN = 0.01
#: Most events that kqueue returns at once, as epoll does.
MOST_EVENTS = 1023

_CLOSED = frozenset((errno.EBADF, errno.EPERM))     # EPERM: epoll takes no files
_UNKNOWN = frozenset((errno.ENOENT, errno.EBADF, errno.EPERM))


class _OfMany(object):
    """Waits for many descriptors; for one thread.

    :ivar asked: what it waits for, by descriptor
    :ivar limit: how many connections it can serve; None for no limit
    """

    limit = None

    def __init__(self):
        self.asked = {}
        self._broken = {}           # what the system refuses to wait for; by descriptor

    def register(self, fd, mask):
        """Wait for this from now on, instead of what was asked for before.

        :param fd: the descriptor; one that is closed counts as ready, so that its user
            learns what is wrong
        :param mask: of READ and WRITE; 0 for nothing: not even a hang-up is reported
        """
        before = self.asked.get(fd, 0)
        self.asked[fd] = mask
        if before == mask or self._broken and self._was_broken(fd, mask):
            return
        try:
            self._change(fd, before, mask)
        except (ValueError, OverflowError):     # below 0
            self._broken[fd] = mask
        except OS_ERRORS as error:
            if error_number(error) not in _CLOSED:
                raise
            self._broken[fd] = mask

    def forget(self, fd):
        """Wait for a descriptor no longer; call it before the descriptor is closed.

        Nothing happens for one that was never registered.
        """
        mask = self.asked.pop(fd, 0)
        if mask and self._broken.pop(fd, None) is None:
            try:
                self._change(fd, mask, 0)
            except (ValueError, OverflowError):
                pass
            except OS_ERRORS as error:
                if error_number(error) not in _UNKNOWN:     # closed without us
                    raise

    def wait(self, timeout):
        """Wait once.

        :param timeout: seconds, 0 to LONGEST
        :returns: list of ``(fileno, mask)``; empty after a time-out or an interruption
        """
        broken = ()
        if self._broken:
            broken = [(fd, mask) for fd, mask in self._broken.items() if mask]
        try:
            ready = self._wait(0 if broken else timeout)
        except OS_ERRORS as error:
            if not was_interrupted(error):
                raise
            ready = []
        return ready + broken if broken else ready

    def close(self):
        """Close the descriptor of the poller, if it has one."""
        self.asked.clear()
        self._broken.clear()

    def _was_broken(self, fd, mask):
        if fd not in self._broken:
            return False
        self._broken[fd] = mask
        return True


class _BitsOfMany(_OfMany):
    """What poll() and epoll share: both say by bits what is ready."""

    _kind = ''

    def __init__(self):
        super(_BitsOfMany, self).__init__()
        read, write = (getattr(select, self._kind + name) for name in ('IN', 'OUT'))
        self._bits = (0, read, write, read | write)         # by mask
        self._masks = {read: READ, write: WRITE, read | write: READ | WRITE}

    def _read_bits(self, found):
        masks, asked, ready = self._masks, self.asked, []
        for fd, bits in found:
            mask = masks.get(bits)
            if mask is None:                # an error or a hang-up, which ends any wait
                mask = READ | WRITE
            mask &= asked.get(fd, 0)
            if mask:
                ready.append((fd, mask))
        return ready


class EpollOfMany(_BitsOfMany):
    """A poller by epoll (Linux)."""

    _kind = 'EPOLL'

    def __init__(self):
        super(EpollOfMany, self).__init__()
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        set_cloexec(self._epoll.fileno())

    def _change(self, fd, before, mask):
        epoll, bits = self._epoll, self._bits[mask]
        if not mask:
            epoll.unregister(fd)
        elif not before:
            epoll.register(fd, bits)
        else:
            try:
                epoll.modify(fd, bits)
            except OS_ERRORS as error:
                if error_number(error) != errno.ENOENT:
                    raise
                epoll.register(fd, bits)        # somebody has closed it; this is another one

    def _wait(self, timeout):
        # Rounded up, as 2.7 does not: it would spin for the rest of a millisecond.
        found, masks = self._poll(math.ceil(timeout * 1000) / 1000), self._masks
        try:
            return [(fd, masks[bits]) for fd, bits in found]
        except KeyError:
            return self._read_bits(found)

    def close(self):
        """Close the descriptor of epoll."""
        super(EpollOfMany, self).close()
        self._epoll.close()


class KqueueOfMany(_OfMany):
    """A poller by kqueue (BSD, macOS)."""

    def __init__(self):
        super(KqueueOfMany, self).__init__()
        self._kqueue = select.kqueue()
        self._filters = ((READ, select.KQ_FILTER_READ), (WRITE, select.KQ_FILTER_WRITE))

    def _change(self, fd, before, mask):
        for part, kind in self._filters:
            if (before ^ mask) & part:
                change = select.kevent(fd, kind, select.KQ_EV_ADD if mask & part else select.KQ_EV_DELETE)
                self._kqueue.control([change], 0)

    def _wait(self, timeout):
        ready = {}
        for event in self._kqueue.control(None, MOST_EVENTS, timeout):
            part = WRITE if event.filter == select.KQ_FILTER_WRITE else READ
            ready[int(event.ident)] = ready.get(event.ident, 0) | part
        return list(ready.items())

    def close(self):
        """Close the descriptor of kqueue."""
        super(KqueueOfMany, self).close()
        self._kqueue.close()


class PollOfMany(_BitsOfMany):
    """A poller by poll()."""

    _kind = 'POLL'

    def __init__(self):
        super(PollOfMany, self).__init__()
        self._poll = select.poll()

    def _change(self, fd, before, mask):
        if mask:
            self._poll.register(fd, self._bits[mask])
        else:
            try:
                self._poll.unregister(fd)
            except KeyError:                # gevent's knows nothing of a closed one
                pass

    def _wait(self, timeout):
        return self._read_bits(self._poll.poll(int(math.ceil(timeout * 1000))))


class SelectOfMany(_OfMany):
    """A poller by select(): Windows, and where others were removed (eventlet)."""

    def __init__(self):
        super(SelectOfMany, self).__init__()
        self.limit = WINDOWS_LIMIT if IS_WINDOWS else None
        self._select = _Select()

    def _change(self, fd, before, mask):
        pass

    def _wait(self, timeout):
        try:
            return list(self._select.wait(self.asked.items(), timeout))
        except (ValueError,) + OS_ERRORS:   # one of them is closed, or they are too many
            return self._look_at_each(timeout)

    def _look_at_each(self, timeout):
        ready = []
        for wait in list(self.asked.items()):
            try:
                ready += self._select.wait((wait,), 0)
            except (ValueError,) + OS_ERRORS:
                ready += [wait] if wait[1] else []
        if not ready:
            time.sleep(min(timeout, LOOK_AGAIN))
        return ready


def new_poller_of_many():
    """Return the best poller of many descriptors; looks up ``select`` now (gevent)."""
    for name, kind in (('epoll', EpollOfMany), ('kqueue', KqueueOfMany), ('poll', PollOfMany)):
        if hasattr(select, name):
            return kind()
    return SelectOfMany()


# -- one connection

class Waiting(object):
    """Clock and wait of one session's loop; other threads may only call ``wake``.

    A subclass may serve a loop of many: its ``wake_waits`` is ``()``, and its ``wake``
    wakes that loop.

    No wake-up is lost, and none costs a system call while the loop is busy: before it
    waits, the loop sets ``is_asleep`` and then looks at ``is_woken``; ``wake`` does the
    opposite.  The flag decides, not the thread: a signal handler that has interrupted
    the wait has to end it.

    :param wake_up: what :meth:`wake` sets; None makes one
    :ivar is_asleep: False while the loop is busy, and will look at ``is_woken``
    :ivar is_woken: True if :meth:`wake` was called since the last wait
    """

    is_asleep, is_woken = True, False

    def __init__(self, wake_up=None):
        self._poller = None             # used by the loop's thread only
        # Set to None by the loop; others take a reference first.
        self._wake_up = wake_up
        self._wake_waits = ()
        self._is_closed = False

    #: Seconds of a monotonic clock. Not a method, because a round trip reads it three
    #: times.
    monotonic = staticmethod(monotonic)

    def time(self):
        """Return seconds since the epoch."""
        return time.time()

    def wait(self, waits, deadline):
        """Wait until something is ready or the deadline has passed.

        :param waits: ``((fileno, READ | WRITE), ...)``
        :param deadline: a time of :meth:`monotonic`, or None
        :returns: what is ready, as ``((fileno, READ | WRITE), ...)``; may be empty even
            before the deadline
        """
        if self._poller is None:
            self._poller = new_poller()
        timeout = LONGEST
        if deadline is not None:
            timeout = deadline - self.monotonic()
            if not 0 <= timeout <= LONGEST:         # comparing takes a quarter of min() and max()
                timeout = min(max(timeout, 0), LONGEST)
        self.is_asleep = True
        ready = self.wake_waits if self.is_woken else self._poller.wait(waits, timeout)
        # In this order, before the loop looks at anything: what comes later is seen.
        self.is_asleep = self.is_woken = False
        return ready

    @property
    def wake_waits(self):
        """What :meth:`wake` makes ready, in the shape of ``waits``.

        The first use opens it; before that, nobody waits.

        :raises OSError: no descriptor is free
        """
        if self._wake_up is None:
            if self._is_closed:
                return ()
            self._wake_up = new_event()
        if not self._wake_waits:
            self._wake_waits = ((self._wake_up.fileno(), READ),)
        return self._wake_waits

    def forget(self, fd):
        """Take note that a descriptor that was waited for will be closed next.

        The loop's thread calls this, before anybody closes it; here it does nothing.
        """

    def wake(self):
        """Make :meth:`wait` return. Safe from any thread and signal handler."""
        self.is_woken = True
        if self.is_asleep:
            wake_up = self._wake_up     # a reference keeps it open meanwhile
            if wake_up is not None:
                wake_up.set()

    def clear(self):
        """Reset after a wake-up."""
        wake_up = self._wake_up
        if wake_up is not None:
            wake_up.clear()

    def close(self):
        """Close the descriptors, once no other thread uses them."""
        self._is_closed = True
        self._wake_up = None
        self._poller = None


class Looking(object):
    """A :class:`Waiting` that does something else in between.

    :param waiting: the Waiting
    :param look: called before each wait; returns the seconds after which the wait has
        to end, or None
    """

    def __init__(self, waiting, look):
        self._waiting = waiting
        self._look = look

    def __getattr__(self, name):
        return getattr(self._waiting, name)

    is_asleep, is_woken = [property(
        lambda self, name=name: getattr(self._waiting, name),
        lambda self, value, name=name: setattr(self._waiting, name, value),
    ) for name in ('is_asleep', 'is_woken')]

    def wait(self, waits, deadline):
        """Wait like :meth:`Waiting.wait`."""
        pause = None if self._look is None else self._look()
        if pause is not None:
            end = self.monotonic() + pause
            deadline = end if deadline is None else min(deadline, end)
        return self._waiting.wait(waits, deadline)

    def close(self):
        """Close the Waiting; forget the function, which may refer to our owner."""
        self._look = None
        self._waiting.close()
