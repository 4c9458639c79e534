"""The buffer in which bytes from the wire wait for the parser; it must not know what they mean.

Who reads a socket asks :meth:`Intake.get_buffer` where to put the next bytes and tells with
:meth:`Intake.advance` how many came.  The parser reads ``buffer[start:end]`` and moves
``start``.  A large payload has a place of its own (``direct``): its bytes never pass the
buffer.
"""

from __future__ import absolute_import, division, unicode_literals

#: Bytes of a fresh buffer: what an idle connection costs.
FIRST_SIZE = 8 * 1024
#: The buffer doubles each time one read has filled it, up to this.  A kept buffer and
#: ``recv_into`` cost 0.24 us for 128 bytes; a fresh ``recv(262144)`` costs 15 us.
LARGEST_SIZE = 256 * 1024


class Intake(object):
    """Bytes received and not parsed yet, for one connection; used by one thread."""

    __slots__ = ('buffer', 'view', 'start', 'end', 'direct', 'filled', 'received_time')

    def __init__(self):
        self._allocate(FIRST_SIZE)
        self.start = 0              # the parser has read up to here
        self.end = 0                # bytes have arrived up to here
        self.direct = None          # a writable memoryview: where a large payload's next bytes go
        self.filled = 0             # how much of it has arrived
        self.received_time = None   # epoch seconds of the newest bytes

    def _allocate(self, size):
        # Always a new bytearray: while a driver holds a view of it, it cannot be resized.
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)

    def get_buffer(self, sizehint=-1):
        """A writable memoryview, never empty, for the next bytes.

        :param sizehint: ignored (the argument of ``asyncio.BufferedProtocol``)
        """
        if self.direct is not None:
            return self.direct[self.filled:]
        start, end = self.start, self.end
        if start == end:
            self.start = self.end = 0
            return self.view
        size = len(self.buffer)
        if end == size:
            left = end - start
            if left * 2 > size:             # mostly unparsed: moving it would gain too little
                self._grow(size * 2)
            else:
                self.buffer[:left] = self.buffer[start:end]
                self.start, self.end = 0, left
        return self.view[self.end:]

    def _grow(self, size):
        left = self.end - self.start
        rest = self.buffer[self.start:self.end]
        self._allocate(size)
        self.buffer[:left] = rest
        self.start, self.end = 0, left

    def advance(self, count):
        """``count`` bytes were put into what :meth:`get_buffer` gave."""
        if self.direct is not None:
            self.filled += count
            return
        self.end += count
        size = len(self.buffer)
        if self.start == 0 and count == size and size < LARGEST_SIZE:
            # One read filled it all: there is more where that came from.
            self._grow(min(size * 2, LARGEST_SIZE))

    def put_back(self, data):
        """Bytes that an earlier parser did not use go to the front of an empty buffer."""
        size = len(self.buffer)
        while size < len(data):
            size *= 2
        if size != len(self.buffer):
            self._allocate(size)
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
        self.drop()
