"""The deadlines of an open connection, as arithmetic on ``now``.

All times are seconds of one monotonic clock.  Poll, ping, pong and close are
independent of each other: a long ``poll`` delays neither pings nor the end of the
closing handshake.

Knows nothing of: clocks, sockets, threads.
"""

from __future__ import absolute_import, division, unicode_literals

from ..network.poller import ENDLESS, time_limit

#: What :meth:`Deadlines.due` can answer.
POLL = 'poll'
PING = 'ping'
PING_TIMEOUT = 'ping_timeout'
CLOSE_TIMEOUT = 'close_timeout'
ECHO_TIMEOUT = 'echo_timeout'
DISCARD_TIMEOUT = 'discard_timeout'
LINGER_TIMEOUT = 'linger_timeout'
SEND_LOOK = 'send_look'

#: How long a server may leave TCP open after our echo if ``close_timeout`` sets no
#: limit.
ECHO_WAIT = 30.0
#: How long input is discarded after the close frame of a failure was sent.
DISCARD_WAIT = 0.5
#: How long a server that has ended its direction waits for the client to end the other
#: one.
LINGER_WAIT = 1.0

#: While the peer takes nothing, look this many times per ``send_timeout``: the kernel
#: does not say when it got rid of something.
LOOKS = 4

#: Least seconds between two pings: to a large clock ``now + 1e-7`` is ``now``.
LEAST_RATE = 0.001


def earliest(*times):
    """Return the earliest of some times, where None stands for never."""
    least = None                    # twice as fast as min() over those that are not None
    for time in times:
        if time is not None and (least is None or time < least):
            least = time
    return least


class Deadlines(object):
    """When to poll, ping, give up on a pong, and give up on a close.

    They belong to the loop's thread and have no lock, but ``closed_at`` may be stored
    by any thread.  ``send_timeout`` and ``stalled_at`` are stored by others: what the
    loop has to write, and the peer does not take, has a deadline, too.

    :param float poll: seconds between two Polls, above 0; None for no Polls
    :param ping_rate: seconds between two pings; None or 0 for no pings
    :param ping_timeout: seconds without a pong, or any other byte, after a ping; None
        or 0 for no limit
    :param close_timeout: seconds to wait for the answer to a close frame; None or 0 for
        no limit
    """

    __slots__ = ('poll', 'ping_rate', 'ping_timeout', 'close_timeout', 'next_poll', 'next_ping',
                 'oldest_ping', 'last_received', 'closed_at', 'echoed_at', 'failed_at',
                 'finished_at', 'send_timeout', 'stalled_at', 'looked_at')

    def __init__(self, poll=5.0, ping_rate=30.0, ping_timeout=None, close_timeout=30.0):
        self.poll = None if poll is None else min(poll, ENDLESS)
        self.ping_rate = time_limit(ping_rate)
        self.ping_timeout = time_limit(ping_timeout)
        self.close_timeout = time_limit(close_timeout)
        self.next_poll = None       # None before Ready
        self.next_ping = None
        self.oldest_ping = None     # when the oldest unanswered ping was due or sent
        self.last_received = None   # when the newest bytes came
        self.closed_at = None       # when close() was called: one store, by any thread
        self.echoed_at = None       # when the peer's close frame was answered
        self.failed_at = None       # when a failure's close frame was queued
        self.finished_at = None     # when a server ended its direction, or was about to
        self.send_timeout = None    # seconds that the peer may take nothing; None before Ready
        self.stalled_at = None      # when the peer last took something, while a write is blocked
        self.looked_at = None       # when the loop last looked whether it has taken something

    def start(self, now, ping_at_once=True):
        """Start, at Ready: the first Poll is due at once.

        :param ping_at_once: if true, so is the first ping; else after ``ping_rate``
        """
        self.next_poll = None if self.poll is None else now
        self.next_ping = now if self.ping_rate else None
        if self.ping_rate and not ping_at_once:
            self.next_ping = now + max(self.ping_rate, LEAST_RATE)
        self.last_received = now

    def polled(self, now):
        """Note that a Poll is handed out."""
        self.next_poll = now + self.poll

    def pinged(self, now):
        """Note that a ping was sent or queued.

        The next one is counted from now, so a pause is not followed by a burst.
        """
        self.next_ping = now + max(self.ping_rate, LEAST_RATE)
        if self.oldest_ping is None:
            self.oldest_ping = now

    def stop_pings(self):
        """Send no further pings, because a close frame was sent."""
        self.next_ping = None

    def ping_deadline(self):
        """Return when the peer counts as gone; None while no ping is unanswered.

        After the echo of a close frame, or a failure, the closing has a limit of its
        own.
        """
        if self.ping_timeout is None or self.oldest_ping is None or (
                self.failed_at is not None or self.echoed_at is not None
                or self.finished_at is not None):
            return None
        return max(self.oldest_ping, self.last_received) + self.ping_timeout

    def close_deadline(self):
        """Return ``(when, what)`` of the end of the closing, or ``(None, None)``."""
        if self.failed_at is not None:
            return self.failed_at + DISCARD_WAIT, DISCARD_TIMEOUT
        if self.finished_at is not None:
            return self.finished_at + LINGER_WAIT, LINGER_TIMEOUT
        if self.echoed_at is not None:
            return self.echoed_at + (self.close_timeout or ECHO_WAIT), ECHO_TIMEOUT
        if self.closed_at is not None and self.close_timeout is not None:
            return self.closed_at + self.close_timeout, CLOSE_TIMEOUT
        return None, None

    def send_deadline(self):
        """Return when to look whether the peer takes anything, or None.

        Once the closing has begun, that has a limit of its own.
        """
        if self.stalled_at is None or self.send_timeout is None or not (
                self.closed_at is self.echoed_at is self.failed_at is self.finished_at is None):
            return None
        looked_at = self.stalled_at if self.looked_at is None else max(self.looked_at, self.stalled_at)
        return min(self.stalled_at + self.send_timeout, looked_at + self.send_timeout / LOOKS)

    def next_deadline(self):
        """Return the nearest of all deadlines, or None."""
        if (self.ping_timeout is None or self.oldest_ping is None) and (
                self.closed_at is self.echoed_at is self.failed_at is self.finished_at
                is self.stalled_at is None):
            poll, ping = self.next_poll, self.next_ping         # hot path: before every poll
            return ping if poll is None or ping is not None and ping < poll else poll
        return earliest(self.next_poll, self.next_ping, self.ping_deadline(),
                        self.close_deadline()[0], self.send_deadline())

    def due(self, now, idle=True):
        """Return what to do at ``now``, the most urgent first; None for nothing.

        :param bool idle: True if everything that has arrived was handed out, so that a
            missing pong can be judged
        """
        if self.echoed_at is self.failed_at is self.finished_at is None:
            if self.closed_at is not None and self.close_timeout is not None and (
                    now >= self.closed_at + self.close_timeout):
                return CLOSE_TIMEOUT
        else:
            when, what = self.close_deadline()
            if when is not None and now >= when:
                return what
        if self.stalled_at is not None:
            when = self.send_deadline()
            if when is not None and now >= when:
                return SEND_LOOK
        if self.next_poll is not None and now >= self.next_poll:
            return POLL
        if self.next_ping is not None and now >= self.next_ping:
            return PING
        if idle and self.ping_timeout is not None:
            when = self.ping_deadline()
            if when is not None and now >= when:
                return PING_TIMEOUT
        return None
