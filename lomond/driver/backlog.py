"""What arrives before the loop can look at it: while a send of a handler waits for the peer.

It must not know what the bytes mean, nor who waits.
"""

from __future__ import absolute_import, division, unicode_literals

import collections

from .._compat import OS_ERRORS, without_frames

#: So much is kept (bytes, costs included: 64 MiB of what arrives in packets of Ethernet's
#: size, more of larger ones); beyond it reading pauses.
LIMIT = 80 * 1024 * 1024
#: What one part costs besides its bytes, roughly.
PART_COST = 200
#: One read.
PART_SIZE = 64 * 1024


class Backlog(object):
    """Parts of a stream in order; used by the loop's thread.

    :ivar parts: what is kept, a deque of ``(bytes, received_time)``
    :ivar end: None while the stream goes on; 0 at its end; the exception that broke it
    """

    def __init__(self):
        self.end = None
        self.parts = collections.deque()
        self._size = 0

    def __len__(self):
        """How many parts there are."""
        return len(self.parts)

    @property
    def takes_more(self):
        """True while there is a point in waiting for more."""
        return self.end is None and self._size < LIMIT

    def put(self, data, received_time):
        """Keep bytes that somebody has read."""
        self.parts.append((data, received_time))
        self._size += len(data) + PART_COST

    def take(self):
        """The oldest part: ``(bytes, received_time)``."""
        part = self.parts.popleft()
        self._size -= len(part[0]) + PART_COST
        return part

    def fill(self, stream, on_received, most=LIMIT):
        """Read what can be had without waiting.

        :param stream: as those of :mod:`lomond.network.stream`
        :param on_received: called with the number of bytes of each read; gives the time for them
        :param most: bytes to read at most, beside what is kept already, or a little more
        """
        most = min(self._size + most, LIMIT)
        if self.end is not None:
            return
        place = memoryview(bytearray(PART_SIZE))
        try:
            while self._size < most:
                count = stream.recv_into(place)
                if count is None:
                    return
                received_time = on_received(count)
                if not count:
                    self.end = 0
                    return
                self.put(place[:count].tobytes(), received_time)
        except OS_ERRORS as error:
            self.end = without_frames(error)

    def clear(self):
        """Forget it all."""
        self.parts.clear()
