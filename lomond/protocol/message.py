"""One message while its parts arrive.

Parts are inflated, checked and decoded as they come.  A bad byte, or one byte too many,
ends the connection at once, and no part is kept twice.

Knows nothing of: frames.
"""

from __future__ import absolute_import, division, unicode_literals

import io

from .. import errors
from .._compat import BYTES_IO_LENDS, WIDE_TEXT
from .utf8 import Utf8Decoder

#: Never allocate more than this for an announced but unreceived length.  It is as much
#: as malloc keeps in its heap (2.7 copies at each step, and holes would cost a third
#: copy).
STEP = 32 * 1024 * 1024
#: A fragmented message is kept in pieces of about this many bytes.
PIECE = 1024 * 1024
#: Join this many small texts into one: a million fragments of one character must not
#: cost a million objects.
JOIN_AFTER = 1024


def too_large(size, limit):
    """Make the error for a message of ``size`` bytes (None if inflated)."""
    if size is None:
        return errors.PayloadTooLarge(
            'message inflates to more than {} bytes; at most {} are allowed '
            '(max_message_size)'.format(limit, limit))
    return errors.PayloadTooLarge(
        'message is {} bytes; at most {} are allowed (max_message_size)'.format(size, limit))


def check_announced(size, payload_length, limit, is_compressed):
    """Refuse a frame by its announced length, before any of its payload is read.

    :param size: of the message so far
    :raises PayloadTooLarge: if the message will exceed the limit
    """
    if not is_compressed:
        if size + payload_length > limit:
            raise too_large(size + payload_length, limit)
    elif payload_length > largest_compressed(limit):
        raise too_large(payload_length, limit)


def largest_compressed(limit):
    """Return how long a message of at most ``limit`` bytes can be, compressed."""
    return limit + (limit >> 3) + (limit >> 6) + 1024       # more than zlib's compressBound


class _Store(object):
    """Payload bytes in their final place, where Python can give them away without a
    copy.

    ``io.BytesIO`` hands out its inner bytes object when nothing else refers to it
    (``getvalue``), and lets itself be written by ``recv_into`` (``getbuffer``): a
    payload of 16 MiB costs 16 MiB, once.  What comes in fragments is kept in pieces
    that are joined at the end: a BytesIO that grows to 16 MiB by 4 KiB is moved again
    and again, 13 ms instead of 4.
    """

    def __init__(self):
        self._pieces = []           # bytes, in order; complete
        self._file = io.BytesIO()   # the newest piece
        self._size = 0              # of that one

    def write(self, part):
        if self._size >= PIECE:
            self._end_piece()
        try:
            self._file.write(part)
        except BufferError:
            self._let_go()
            self._file.write(part)
        self._size += len(part)

    def _end_piece(self):
        self._pieces.append(self._file.getvalue())
        self._file = io.BytesIO()
        self._size = 0

    def _let_go(self):
        """Continue with a copy: a driver still holds a view of a reserved place."""
        self._file = io.BytesIO(self._file.getvalue())
        self._file.seek(self._size)

    def reserve(self, count):
        """Return a writable memoryview of ``count`` bytes after what is there."""
        if 0 < self._size < STEP:
            self._end_piece()
        size = self._size
        if size == 0:
            self._file = io.BytesIO(bytes(count))       # calloc: untouched pages cost nothing
        else:                                           # one frame, in steps: it stays in one piece
            try:
                self._extend(size + count)
            except BufferError:
                self._let_go()
                self._extend(size + count)
        return self._file.getbuffer()[size:size + count]

    def _extend(self, size):
        self._file.seek(size - 1)
        self._file.write(b'\0')

    def commit(self, count):
        """Take ``count`` bytes that were put into the result of :meth:`reserve`."""
        self._size += count
        self._file.seek(self._size)

    def take(self):
        if not self._pieces:
            return self._file.getvalue()
        self._end_piece()
        return b''.join(self._pieces)


class _PlainStore(object):
    """Like _Store, where ssl cannot read into a BytesIO (2.7, PyPy): a bytearray."""

    def __init__(self):
        self._data = bytearray()

    def write(self, part):
        try:
            self._data += part
        except BufferError:         # a driver still holds a view of it
            self._data = self._data + part

    def reserve(self, count):
        # All in one new place: parts that are put together, or moved as they grow,
        # leave holes that the copy at the end does not fit into, and it would be there
        # a third time.
        size = len(self._data)
        place = bytearray(size + count)
        place[:size] = self._data
        self._data = place
        return memoryview(place)[size:]

    def commit(self, count):
        """Do nothing: the bytes are already in place."""

    def take(self):
        return bytes(self._data)


new_store = _Store if BYTES_IO_LENDS else _PlainStore


class _Text(object):
    """Text that is decoded as its parts come."""

    def __init__(self):
        self._decoder = Utf8Decoder()
        self._texts = []
        self._joined = []

    def add(self, part, final):
        text = self._decoder.decode(part, final)
        if text:
            self._texts.append(text)
            if len(self._texts) >= JOIN_AFTER:
                self._joined.append(''.join(self._texts))
                del self._texts[:]

    def take(self):
        self._joined.extend(self._texts)
        return ''.join(self._joined)


class _WideText(object):
    """The same where each character takes four bytes (2.7): checked as its parts come,
    decoded at the end.

    To join them takes 41 ms for 16 MiB of ASCII, and 128 MiB; to check them 9, to
    decode them at once 46. What comes as one part is decoded once.
    """

    def __init__(self):
        self._decoder = Utf8Decoder()
        self._data = bytearray()
        self._text = ''

    def add(self, part, final):
        if final and not self._data:
            self._text = self._decoder.decode(part, True)
            return
        self._decoder.check(part, final)
        self._data += part

    def take(self):
        return self._text or self._data.decode('utf-8')


new_text = _WideText if WIDE_TEXT else _Text


class Message(object):
    """A text or binary message that is assembled from parts.

    :param is_text: decode to text
    :param inflate: None, or ``inflate(data, final, limit)`` of the connection's codec
    :param limit: most bytes of the whole message, None for no limit
    """

    __slots__ = ('is_text', 'is_plain_binary', '_inflate', '_limit', '_size', '_store')

    is_streamed = False

    def __init__(self, is_text, inflate=None, limit=None):
        self.is_text = is_text
        self.is_plain_binary = not is_text and inflate is None
        self._inflate = inflate
        self._limit = limit
        self._size = 0
        self._store = new_text() if is_text else new_store()

    def check_length(self, payload_length):
        """Refuse a frame by its announced length, before any of its payload is read.

        :raises PayloadTooLarge: if the message will exceed the limit
        """
        if self._limit is not None:     # as often as there are fragments
            check_announced(self._size, payload_length, self._limit, self._inflate is not None)

    def add(self, part, final=False):
        """Add the next part of the payload.

        :param part: bytes, bytearray or memoryview; not kept
        :param final: true for the last part
        :raises PayloadTooLarge: if the message is larger than the limit
        :raises CriticalProtocolError: if it is not valid UTF-8, or not deflate data
        """
        if self._inflate is not None:
            if not final and not len(part):
                return
            limit = self._limit
            part = self._inflate(part, final, None if limit is None else limit - self._size)
            if part is None:
                raise too_large(None, limit)
        self._size += len(part)
        if self.is_text:
            self._store.add(part, final)
        elif len(part):
            self._store.write(part)

    def reserve(self, count):
        """Return a writable memoryview for the next bytes of an uncompressed binary
        message.

        It has at most ``STEP`` bytes; call :meth:`commit` once it is filled.
        """
        return self._store.reserve(min(count, STEP))

    def commit(self, count):
        self._store.commit(count)
        self._size += count

    def take(self):
        """Return the whole payload, as text or bytes; the message is complete."""
        return self._store.take()
