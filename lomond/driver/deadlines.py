"""The deadlines of an open connection, as arithmetic on ``now``; no clock, no socket, no thread.

All times are seconds of one monotonic clock.  Poll, ping, pong and close are independent of
each other (``behaviour.md``, section 6 of the project's requirements).
"""

from __future__ import absolute_import, division, unicode_literals

#: What :meth:`Timers.due` can answer.
POLL = 'poll'
PING = 'ping'
PING_TIMEOUT = 'ping_timeout'
CLOSE_TIMEOUT = 'close_timeout'
ECHO_TIMEOUT = 'echo_timeout'
DISCARD_TIMEOUT = 'discard_timeout'

#: How long a server may leave TCP open after our echo when ``close_timeout`` is no limit.
ECHO_WAIT = 30.0
#: How long input is thrown away after the close frame of a failure was sent.
DISCARD_WAIT = 0.5


#: Pings do not come closer than this: ``now + 1e-7`` is ``now`` to a large clock.
LEAST_RATE = 0.001


def earliest(*times):
    """The least of some times, None standing for never."""
    least = None                    # twice as fast as min() of a list of those that are not None
    for time in times:
        if time is not None and (least is None or time < least):
            least = time
    return least


class Timers(object):
    """Poll, ping, pong and close deadlines; they are the loop's, no lock guards them.

    :param float poll: seconds between two Polls, above 0
    :param ping_rate: seconds between two pings; None or 0: no pings
    :param ping_timeout: seconds without a pong, or any other byte, after a ping; None or 0: no
        limit
    :param close_timeout: seconds to wait for the answer to a close frame; None or 0: no limit
    """

    __slots__ = ('poll', 'ping_rate', 'ping_timeout', 'close_timeout', 'next_poll', 'next_ping',
                 'oldest_ping', 'last_received', 'closed_at', 'echoed_at', 'failed_at')

    def __init__(self, poll=5.0, ping_rate=30.0, ping_timeout=None, close_timeout=30.0):
        self.poll = poll
        self.ping_rate = ping_rate or None
        self.ping_timeout = ping_timeout or None
        self.close_timeout = close_timeout or None
        self.next_poll = None       # None before Ready
        self.next_ping = None
        self.oldest_ping = None     # when the oldest unanswered ping was due or sent
        self.last_received = None   # when the newest bytes came
        self.closed_at = None       # when close() was called: one store, of any thread
        self.echoed_at = None       # when a close frame of the server was answered
        self.failed_at = None       # when a failure's close frame was queued

    def start(self, now):
        """The connection is Ready: the first Poll and the first ping are due at once."""
        self.next_poll = now
        self.next_ping = now if self.ping_rate else None
        self.last_received = now

    def polled(self, now):
        """A Poll was handed out."""
        self.next_poll = now + self.poll

    def pinged(self, now):
        """A ping was sent, or had to be queued; counted from now, so that none come in bursts."""
        self.next_ping = now + max(self.ping_rate, LEAST_RATE)
        if self.oldest_ping is None:
            self.oldest_ping = now

    def stop_pings(self):
        """No further pings are sent: a close frame was."""
        self.next_ping = None

    def ping_deadline(self):
        """When the peer counts as gone; None while no ping is unanswered.

        After the echo of a close frame, or a failure, the closing has its own limit.
        """
        if self.ping_timeout is None or self.oldest_ping is None or (
                self.failed_at is not None or self.echoed_at is not None):
            return None
        return max(self.oldest_ping, self.last_received) + self.ping_timeout

    def close_deadline(self):
        """``(when, what)`` ends the closing handshake; ``(None, None)`` while there is none."""
        if self.failed_at is not None:
            return self.failed_at + DISCARD_WAIT, DISCARD_TIMEOUT
        if self.echoed_at is not None:
            return self.echoed_at + (self.close_timeout or ECHO_WAIT), ECHO_TIMEOUT
        if self.closed_at is not None and self.close_timeout is not None:
            return self.closed_at + self.close_timeout, CLOSE_TIMEOUT
        return None, None

    def next_deadline(self):
        """The nearest of all deadlines, or None."""
        if self.ping_timeout is None and (
                self.closed_at is self.echoed_at is self.failed_at is None):
            return earliest(self.next_poll, self.next_ping)     # as a rule, at every wait
        return earliest(self.next_poll, self.next_ping, self.ping_deadline(),
                        self.close_deadline()[0])

    def due(self, now, idle=True):
        """What is to be done at ``now``, the most urgent first; None for nothing.

        :param bool idle: everything that has arrived was handed out, so that a missing pong
            can be judged
        """
        if self.closed_at is not None or self.echoed_at is not None or self.failed_at is not None:
            when, what = self.close_deadline()
            if when is not None and now >= when:
                return what
        if self.next_poll is not None and now >= self.next_poll:
            return POLL
        if self.next_ping is not None and now >= self.next_ping:
            return PING
        if idle and self.ping_timeout is not None:
            when = self.ping_deadline()
            if when is not None and now >= when:
                return PING_TIMEOUT
        return None
