"""The buffer in which received bytes wait for the parser.

A driver asks :meth:`ReceiveBuffer.get_buffer` where to put the next bytes and tells
:meth:`ReceiveBuffer.advance` how many it put there.  The parser reads
``buffer[start:end]`` and moves ``start``.  A large payload has a place of its own
(``direct``): its bytes are not copied through the buffer.

Knows nothing of: what the bytes mean.
"""

from __future__ import absolute_import, division, unicode_literals

#: Bytes of a fresh buffer: what an idle connection costs.
FIRST_SIZE = 8 * 1024
#: What is used of the buffer doubles after each read that has filled it with small
#: messages, up to this.  A kept buffer and ``recv_into`` cost 0.24 us for 128 bytes; a
#: fresh ``recv(262144)`` costs 15 us.
LARGEST_SIZE = 256 * 1024


class ReceiveBuffer(object):
    """Bytes received and not parsed yet, for one connection; used by one thread."""

    __slots__ = ('buffer', 'view', 'room', 'was_filled', 'start', 'end', 'direct', 'filled', 'received_time')

    def __init__(self):
        self._allocate(FIRST_SIZE)
        self.room = FIRST_SIZE      # how much of the buffer is used
        self.was_filled = False     # by the newest read
        self.start = 0              # the parser has read up to here
        self.end = 0                # bytes have arrived up to here
        self.direct = None          # a writable memoryview: where a large payload's next bytes go
        self.filled = 0             # how much of it has arrived
        self.received_time = None   # epoch seconds of the newest bytes

    def _allocate(self, size):
        # Always a new bytearray: while a driver holds a view of it, it cannot be
        # resized.
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)

    def get_buffer(self, sizehint=-1):
        """A writable memoryview, never empty, for the next bytes.

        :param sizehint: ignored (the argument of ``asyncio.BufferedProtocol``)
        """
        if self.direct is not None:
            # Behind a large payload comes another one, as a rule: what is read together
            # with its header has to be copied.
            self.room = FIRST_SIZE
            self.was_filled = False
            return self.direct[self.filled:]
        left = self.end - self.start
        if self.start:
            if left:                            # of a header or a control frame
                self.buffer[:left] = self.buffer[self.start:self.end]
            self.start, self.end = 0, left
        if self.was_filled:
            self.was_filled = False
            self.room = min(self.room * 2, LARGEST_SIZE)
        size = len(self.buffer)
        if left >= self.room:
            self.room = left * 2                # the head of an answer
        if self.room > size:
            self._grow(self.room)
        elif self.room == size and not left:
            return self.view
        return self.view[left:self.room]

    def _grow(self, size):
        kept = self.buffer[:self.end]
        self._allocate(size)
        self.buffer[:len(kept)] = kept

    def advance(self, count):
        """``count`` bytes were put into what :meth:`get_buffer` gave."""
        if self.direct is not None:
            self.filled += count
            return
        self.end += count
        # One read filled it all: there is more where that came from.
        self.was_filled = self.end == self.room and count * 2 > self.room

    def put_back(self, data):
        """Bytes that an earlier parser did not use go to the front of an empty buffer."""
        size = len(self.buffer)
        while size < len(data):
            size *= 2
        if size != len(self.buffer):
            self._allocate(size)
        self.room = max(self.room, size)
        self.start, self.end = 0, len(data)
        self.buffer[:len(data)] = data

    def take(self):
        """All unparsed bytes, as bytes; nothing is left."""
        data = self.view[self.start:self.end].tobytes()
        self.start = self.end = 0
        return data

    def drop(self):
        """Whatever has arrived and was not parsed is of no use."""
        self.start = self.end = 0
        self.direct = None

    def release(self):
        """Give the memory back; the connection is over."""
        self._allocate(1)           # one byte, so that a late driver still has a place to write
        self.room = 1
        self.was_filled = False
        self.drop()
