"""What to read next, and how often: the receiving side of the driver.

The reader hands bytes to the protocol core, keeps what arrives while a send of the
handler waits (the backlog), and remembers how the stream ended.  It belongs to the
thread that iterates the events; no lock guards it.

Knows nothing of: what the bytes mean, deadlines other than "the peer is alive", user
code.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import errno
import socket

from .._compat import OS_ERRORS, without_frames
from .rules import ONE_CONNECTION

#: In a loop of many, a turn ends after the first read that is finished this long after
#: its begin (seconds): a handler is slow.
TURN_TIME = 0.01
#: After this many reads that found nothing, skip the extra recv and poll first, which
#: saves 2 us per round trip; still try one recv in ONE_LOOK_OF, to notice when that
#: changes.
LOOKS_IN_VAIN, ONE_LOOK_OF = 2, 16
#: Read at most this much after a write error; Linux buffers up to 6 MiB.
LAST_READ = 8 * 1024 * 1024
#: Most bytes that the backlog keeps, costs included: 64 MiB if they arrive in packets
#: of Ethernet's size, more in larger ones.  Beyond it, reading pauses.
BACKLOG_LIMIT = 80 * 1024 * 1024
#: What one part of the backlog costs besides its bytes, roughly.
PART_COST = 200
#: Bytes of one read into the backlog.
PART_SIZE = 64 * 1024

#: What :meth:`Reader.find_pause` can answer.
YIELD_TURN, POLL_FIRST = 'yield turn', 'poll first'


class Reader(object):
    """Reads one stream and feeds one core.

    :param core: the :class:`~lomond.protocol.connection.Connection`
    :param stream: one of :mod:`lomond.network.stream`
    :param deadlines: told when bytes arrive
    :param waiting: monotonic and epoch clock
    :param on_received: called with the number of bytes of each read, or None
    :param rules: the :class:`~lomond.driver.rules.LoopRules` of the loop
    :param read_ahead: most bytes that the backlog keeps; None for BACKLOG_LIMIT

    :ivar reads: how many reads in a row have found something, without a wait between
        them
    :ivar end: None while the stream goes on, 0 at its end, the exception that broke it
    :ivar end_was_fed: True once the core knows of the end, too
    :ivar parts: the backlog: ``(bytes, received_time)`` of each read, in a deque once
        there is one
    """

    __slots__ = ('reads', 'end', 'end_was_fed', 'parts', 'on_received', '_core', '_stream',
                 '_deadlines', '_waiting', '_kept', '_had_room', '_in_vain', '_rules', '_read_ahead')

    def __init__(self, core, stream, deadlines, waiting, on_received=None,
                 rules=ONE_CONNECTION, read_ahead=None):
        self.reads = 0
        self.end = None
        self.end_was_fed = False
        self.parts = ()                 # most connections never need a deque
        self.on_received = on_received
        self._core = core
        self._stream = stream
        self._deadlines = deadlines
        self._waiting = waiting
        self._kept = 0                  # bytes of the backlog, costs included
        self._had_room = False          # the newest read left room in the buffer
        self._in_vain = 0               # looks for more that found nothing, in a row
        self._rules = rules
        self._read_ahead = read_ahead

    def join(self, waiting, rules):
        """Go on in another loop; see :meth:`.Driver.join`."""
        self._waiting, self._rules = waiting, rules

    # -- how often

    def find_pause(self, elapsed):
        """Say whether to wait before the next read, and why; asked when ``reads`` is
        not 0.

        :param elapsed: seconds since the turn began
        :returns: YIELD_TURN, if this stream was read so often that others should have
            their turn; POLL_FIRST, if looking for more bytes is not worth a system
            call; None to read
        """
        in_vain, rules = self._in_vain, self._rules
        if rules.looks_again:
            if self.reads >= rules.reads_in_a_row:
                self.reads = 0
                return YIELD_TURN
            if in_vain < LOOKS_IN_VAIN or not in_vain % ONE_LOOK_OF:
                return None
        # Polling alone is enough only if no unread bytes can be hidden from poll().
        stream = self._stream
        try:
            is_enough = (self._had_room and not self.parts and self.end is None and
                         stream.poll_tells_all and stream.fileno() >= 0)
        except OS_ERRORS:               # 2.7: a handler has closed it
            return None
        if not is_enough:
            if not rules.looks_again and (self.reads >= rules.reads_in_a_row or elapsed > TURN_TIME):
                self.reads = 0
                return YIELD_TURN
            return None
        self._in_vain = in_vain + 1
        self.reads = 0                  # after the wait, look in any case
        return POLL_FIRST

    # -- what to read

    def next_events(self, now):
        """Feed the next bytes.

        :param now: monotonic seconds
        :returns: an iterator of their events; None if there are no bytes yet
        """
        core, events = self._core, None
        if self.parts:
            data, received_time = self._take()
            events = (core.resume(received_time, now) if data is None else
                      core.receive(data, received_time, now))
        elif self.end is None:
            try:
                receive_buffer = core.receive_buffer
                room = receive_buffer.wanted
                if room and self._stream.gives_bytes:
                    data = self._stream.recv(room)
                    count = None if data is None else len(data)
                    if count:
                        receive_buffer.given = data
                    data = None     # it is large
                else:
                    place = receive_buffer.get_buffer()
                    room = len(place)
                    count = self._stream.recv_into(place)
            except OS_ERRORS as error:
                self.end = without_frames(error)
            else:
                if count is not None:
                    self._had_room = count < room
                    if self.on_received is not None:
                        self.on_received(count)
                    if count:
                        self._deadlines.last_received = now
                        core.advance(count, self._waiting.time(), now)
                        events = core.events
                    else:
                        self.end = 0
        if events is None and self.end is not None and not self.end_was_fed:
            self.end_was_fed = True
            core.advance(0)
            events = core.events
        if self.reads:
            self._in_vain = self._in_vain + 1 if events is None else 0
        self.reads = 0 if events is None else self.reads + 1
        return events

    # -- the backlog

    @property
    def _limit(self):
        return BACKLOG_LIMIT if self._read_ahead is None else self._read_ahead

    def begin(self):
        """Let the core make the events for which it needs no bytes."""
        self.parts = collections.deque([(None, self._waiting.time())])
        self._kept = PART_COST

    @property
    def takes_more(self):
        """True while there is a point in waiting for more."""
        return self.end is None and self._kept < self._limit

    def put_back(self, data):
        """Keep bytes of the stream that were read before this reader existed."""
        self._keep(data, self._waiting.time())

    def read_ahead(self, most=None):
        """Read what can be had without waiting, and keep it.

        :param most: stop after this many bytes, or a little more; None for as many as
            the backlog may have
        """
        limit = self._limit
        most = limit if most is None else min(self._kept + most, limit)
        if self.end is not None:
            return
        place = memoryview(bytearray(PART_SIZE))
        is_kept = True
        try:
            while self._kept < most:
                is_kept = False
                count = self._stream.recv_into(place[:limit - self._kept])
                if count is None:
                    is_kept = True
                    return
                if self.on_received is not None:
                    self.on_received(count)
                if not count:
                    self.end = 0
                    return
                self._deadlines.last_received = self._waiting.monotonic()
                self._keep(place[:count].tobytes(), self._waiting.time())
                is_kept = True
        except OS_ERRORS as error:
            self.end = without_frames(error)
        finally:
            if not is_kept and self.end is None:    # Ctrl-C in a handler's send
                self.end = socket.error(errno.EINTR, 'a read was interrupted')

    def read_the_last(self, write_error):
        """The wire is dead: what has arrived is handed out (a close frame says why), no
        more.

        :param write_error: the exception of the write
        """
        self.read_ahead(LAST_READ)
        if self.end is None:            # a peer that takes nothing, and goes on talking
            self.end = write_error

    def _keep(self, data, received_time):
        if not self.parts:
            self.parts = collections.deque()
        self.parts.append((data, received_time))
        self._kept += len(data) + PART_COST

    def _take(self):
        part = self.parts.popleft()
        self._kept -= len(part[0] or b'') + PART_COST
        return part

    def close(self):
        """Drop the backlog, what the core has not parsed, and the callback."""
        self.parts = ()
        self._core.receive_buffer.release()     # it may be lent
        self.on_received = None
