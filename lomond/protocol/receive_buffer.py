"""The buffer in which received bytes wait for the parser.

A driver asks :meth:`ReceiveBuffer.get_buffer` where to put the next bytes and tells
:meth:`ReceiveBuffer.advance` how many it put there.  The parser reads
``buffer[start:end]`` and moves ``start``.  A large payload has a place of its own
(``direct``): its bytes are not copied through the buffer.  A large part of a message
may also be given as the bytes object that the system call has made (``wanted``,
``given``): that saves a copy, and a sixth of the time.

A loop of many connections has one buffer for all of them, a :class:`Lender`.  A
connection borrows it for one read and the events of that read; between two reads it has
no more than the bytes of a header or control frame that is not complete.

Knows nothing of: what the bytes mean.
"""

from __future__ import absolute_import, division, unicode_literals

#: Bytes of a connection's first buffer: the cost of an idle one in a loop of its own.
FIRST_SIZE = 8 * 1024
#: After each read that fills the buffer with small messages, the used part doubles, up
#: to this size.  Reusing a buffer with ``recv_into`` costs 0.24 us for 128 bytes; a new
#: ``recv(262144)`` costs 15 us.
LARGEST_SIZE = 256 * 1024
#: The same where messages come in parts.  A fragment that is cut at the end of the
#: buffer costs an event more: 1 GiB in fragments of 64 KiB takes 430 ms with 256 KiB,
#: 370 with 512 KiB, 345 with 1 MiB.
LARGEST_FOR_PARTS = 1024 * 1024
#: Bytes of the buffer that the connections of one loop share.
SHARED_SIZE = 128 * 1024

#: Where nothing has arrived yet.
_NO_BUFFER = bytearray()
_NO_VIEW = memoryview(_NO_BUFFER)


class Lender(object):
    """One buffer for all connections of a loop; used by its thread.

    :param size: its size in bytes
    """

    __slots__ = ('buffer', 'view', 'is_lent')

    def __init__(self, size=SHARED_SIZE):
        self.buffer = bytearray(size)
        self.view = memoryview(self.buffer)
        #: True while the bytes of a connection are there; others then use buffers of
        #: their own.
        self.is_lent = False


class ReceiveBuffer(object):
    """Received bytes that are not parsed yet, of one connection; used by one thread.

    It has no memory before :meth:`get_buffer` is called.

    :param largest: bytes that one read may bring of small messages
    """

    __slots__ = ('buffer', 'view', 'room', 'was_filled', 'start', 'end', 'direct', 'filled', 'received_time',
                 'wanted', 'given', 'largest', 'batch_size', '_lender')

    def __init__(self, largest=LARGEST_SIZE):
        self.buffer = _NO_BUFFER
        self.view = _NO_VIEW
        self._lender = None         # the Lender, if the connection shares a buffer
        self.room = FIRST_SIZE      # how much of the buffer is used
        self.largest = largest      # how much at most
        self.was_filled = False     # by the newest read
        self.start = 0              # the parser has read up to here
        self.end = 0                # bytes have arrived up to here
        self.direct = None          # a writable memoryview: where a large payload's next bytes go
        self.filled = 0             # how much of it has arrived
        self.received_time = None   # epoch seconds of the newest bytes
        self.wanted = 0             # not 0: up to this many of the next bytes may be given as they are
        self.given = None           # these bytes, instead of bytes in the buffer
        self.batch_size = 0         # this many small messages may come as a list; 0: one by one

    def _replace(self, buffer):
        # Always by another bytearray: one cannot be resized while a driver holds a view
        # of it.
        lender = self._lender
        if lender is not None and self.buffer is lender.buffer:
            lender.is_lent = False
        self.buffer = buffer
        self.view = memoryview(buffer) if buffer else _NO_VIEW

    # -- a buffer for many connections

    def share(self, lender):
        """Read into the lender's buffer from now on, whenever nothing is unparsed.

        Call :meth:`settle` after the events of each read, and after a read that found
        nothing.

        :param Lender lender: that of the loop
        """
        self._lender = lender
        self.room = len(lender.buffer)
        self.was_filled = False

    def settle(self):
        """Give a shared buffer back; what is unparsed moves to a buffer of its size."""
        lender = self._lender
        if lender is None:
            return
        if self.start < self.end:
            self._replace(self.buffer[self.start:self.end])
        elif self.buffer is not _NO_BUFFER:
            if self.buffer is lender.buffer:
                lender.is_lent = False
            self.buffer, self.view = _NO_BUFFER, _NO_VIEW
        self.start, self.end = 0, len(self.buffer)

    # -- bytes in and out

    def get_buffer(self, sizehint=-1):
        """Return a writable memoryview, never empty, for the next bytes.

        :param sizehint: ignored (the argument of ``asyncio.BufferedProtocol``)
        """
        if self.start == self.end and self.room == len(self.buffer) and not self.was_filled and (
                self.direct is None):
            self.start = self.end = 0           # hot path: all was parsed
            return self.view
        if self.direct is not None:
            # A large payload is usually followed by another one, and what is read
            # together with its header has to be copied.
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
            self.room = min(self.room * 2, self.largest)
        size = len(self.buffer)
        if left >= self.room:
            self.room = left * 2                # the head of an answer
        if self.room > size:
            lender = self._lender
            if lender is None:
                self._grow(self.room)
            elif left or lender.is_lent and self.buffer is not lender.buffer:
                self._grow(max(left * 2, FIRST_SIZE))
                return self.view[left:]
            else:
                lender.is_lent = True
                self.buffer, self.view = lender.buffer, lender.view
                if self.room >= len(self.buffer):
                    self.room = len(self.buffer)
                    return self.view
        elif self.room == size and not left:
            return self.view
        return self.view[left:self.room]

    def _grow(self, size):
        kept = self.buffer[:self.end]
        self._replace(bytearray(size))
        self.buffer[:len(kept)] = kept

    def advance(self, count):
        """Take ``count`` bytes that were put into the result of :meth:`get_buffer`."""
        if self.direct is not None:
            self.filled += count
            return
        if self.given is not None:
            return
        self.end += count
        # A single read filled it, so there is probably more.
        self.was_filled = self.end == self.room and count * 2 > self.room

    def put_back(self, data):
        """Put bytes that an earlier parser did not use into the empty buffer."""
        size = len(self.buffer) or FIRST_SIZE
        while size < len(data):
            size *= 2
        if size != len(self.buffer):
            self._replace(bytearray(size))
        self.room = max(self.room, size)
        self.start, self.end = 0, len(data)
        self.buffer[:len(data)] = data

    def take(self):
        """Return all unparsed bytes and empty the buffer."""
        data = self.view[self.start:self.end].tobytes()
        self.start = self.end = 0
        return data

    def drop(self):
        """Discard all unparsed bytes."""
        self.start = self.end = self.wanted = 0
        self.direct = self.given = None

    def release(self):
        """Free the memory; the connection is over."""
        if self.room != 1 or self._lender is not None:
            self._replace(bytearray(1))     # one byte, so that a late driver still has a place to write
            self._lender = None
            self.room = 1
            self.was_filled = False
        self.start = self.end = self.wanted = 0
        self.direct = self.given = None
