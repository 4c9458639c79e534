"""A message that is sent in parts, while the program still makes it.

Each part that is not empty becomes a frame, and an empty frame ends the message (RFC
6455, 5.4).  :class:`OutgoingStream` takes the parts from the program, and encodes them.
Who asks for the next part decides when: in the loop's thread it is the driver, which
asks when the peer has taken the one before; in another thread, the sender itself.

The program's iterable runs in ``begin``, ``advance`` and ``give_up``, without a lock;
``encode`` belongs to the holder of the write lock.

Knows nothing of: locks, streams of bytes, what else is being sent.
"""

from __future__ import absolute_import, division, unicode_literals

import threading

from .._compat import BYTES_LIKE, encode_utf8, flat_view, get_ident, text_type
from ..opcode import Opcode
from ..protocol.frames import RSV1

#: A file is read in parts of this many bytes.
FILE_PART = 64 * 1024


class OutgoingStream(object):
    """One message in parts.

    :param parts: an iterable of bytes-like objects, or of text, or a binary file
    :param compress: if true, it is compressed where that was agreed on
    :raises TypeError: if ``parts`` is something else

    :ivar opcode: BINARY or TEXT, by the first part; BINARY without one
    :ivar length: bytes of all parts so far
    :ivar size: bytes of the part that is to be sent next
    :ivar has_part: True if there is one; the end of the message counts as one
    :ivar is_begun: True once a frame of it was encoded
    :ivar is_done: True once its last frame was encoded
    :ivar is_over: True once it was written, or given up
    :ivar moved_at: when something of it was last sent (monotonic)
    :ivar on_end: called with this object once it was written, without a lock; or None
    :ivar wakes: of those who wait for its end: functions, called by any thread
    """

    __slots__ = ('opcode', 'compress', 'length', 'size', 'has_part', 'is_begun', 'is_done', 'is_over',
                 'moved_at', 'on_end', 'wakes', 'thread', '_source', '_parts', '_kinds', '_part', '_pack')

    def __init__(self, parts, compress=True):
        self.opcode = Opcode.BINARY
        self.compress = compress
        self.length = self.size = 0
        self.has_part = self.is_begun = self.is_done = self.is_over = False
        self.moved_at = 0.0
        self.on_end = None
        self.wakes = []
        self.thread = get_ident()       # whose iterable it is
        self._source = parts
        self._parts = self._open(parts)
        self._kinds = None              # what further parts may be; None before the first
        self._part = None
        self._pack = None

    def _open(self, parts):
        if isinstance(parts, BYTES_LIKE + (text_type,)):
            raise TypeError('parts must be an iterable of bytes or of text, or a binary file, not {}; use '
                            'send_binary or send_text'.format(type(parts).__name__))
        read = getattr(parts, 'read', None)
        if callable(read) and not isinstance(parts, type):
            return _read_parts(read)
        try:
            return iter(parts)
        except TypeError:
            raise TypeError('parts must be an iterable of bytes or of text, or a binary file, not {}'.format(
                type(parts).__name__))

    # -- for the thread that the iterable runs in

    def begin(self):
        """Take the first part, which decides the type of the message.

        :raises TypeError: if it is neither bytes nor text; then nothing is sent
        """
        self.advance(1)

    def advance(self, most=None):
        """Take the next part that is not empty, unless there is one already.

        :param most: try only this many parts
        :raises TypeError: if it is of another type than those before
        :raises Exception: whatever the iterable raises
        """
        while not self.has_part and not self.is_done and most != 0:
            most = None if most is None else most - 1
            try:
                part = next(self._parts)
            except StopIteration:
                part = None
            else:
                part = self._check(part)
                if not part:
                    continue
            self._part, self.size = part, len(part or b'')
            self.length += self.size
            self.has_part = True

    def _check(self, part):
        if not isinstance(part, self._kinds or BYTES_LIKE + (text_type,)):
            if self._kinds is None:
                raise TypeError('parts must be bytes-like objects or text, not {}'.format(
                    type(part).__name__))
            raise TypeError('the parts of a message must be of one type; after {}, {} came'.format(
                'text' if self.opcode == Opcode.TEXT else 'bytes', type(part).__name__))
        if isinstance(part, text_type):
            self.opcode, self._kinds = Opcode.TEXT, (text_type,)
            return encode_utf8(part)
        self._kinds = BYTES_LIKE
        return part if isinstance(part, bytes) else flat_view(part)

    def give_up(self):
        """Close the iterable, if it can be closed: no further parts are asked for."""
        source, self._source, self._parts, self._part = self._source, None, iter(()), None
        close = getattr(source, 'close', None)
        if callable(close):
            close()

    def finish(self):
        """Note that nothing more will be sent, and wake those who wait for that."""
        self.is_over = True
        for wake in self.wakes[:]:
            try:
                wake()
            except (RuntimeError, threading.ThreadError):       # it was woken already
                pass

    # -- for the holder of the write lock

    def encode(self, core):
        """Encode the part that was taken, or the end of the message.

        :param core: the :class:`~lomond.protocol.connection.Connection`
        :returns: as :meth:`~lomond.protocol.frames.Encoder.encode`
        """
        part, self._part, self.has_part = self._part, None, False
        opcode = Opcode.CONTINUATION if self.is_begun else self.opcode
        if part is None:
            self.is_begun = self.is_done = True
            return core.encode(opcode, b'', False)
        if not self.is_begun and self.compress and core.codec is not None:
            self._pack = core.codec.compress_parts()
            if self._pack is not None:
                opcode |= RSV1          # of the first frame only (RFC 7692, 6.1)
        self.is_begun = True
        return core.encode(opcode, part if self._pack is None else self._pack(part), False, False)


class PushedStream(OutgoingStream):
    """A message whose parts are handed in one by one: for a loop of another kind.

    ``push`` and ``end`` belong to the loop's thread; wake the session afterwards.  The
    driver calls ``on_wanted`` whenever it has sent what there was, and wants more.

    :param compress: as for :class:`OutgoingStream`
    :param on_wanted: called without arguments
    """

    __slots__ = ('_pushed', '_on_wanted')

    def __init__(self, compress=True, on_wanted=None):
        self._pushed = []
        self._on_wanted = on_wanted
        super(PushedStream, self).__init__((), compress)

    def push(self, part):
        """Hand in a part.

        :raises TypeError: as :meth:`OutgoingStream.advance`; the message then cannot be
            finished: call ``session.fail_stream()``
        """
        part = self._check(part)
        if part:
            self._pushed.append(part)

    def end(self):
        """Say that there are no further parts."""
        self._pushed.append(None)

    def begin(self):
        """Do nothing: the first part is handed in."""

    def advance(self, most=None):
        """Take a part that was handed in, or ask for one."""
        if self._pushed and not self.has_part:
            self._part = self._pushed.pop(0)
            self.size = len(self._part or b'')
            self.length += self.size
            self.has_part = True
        elif not self.has_part and not self.is_done and self._on_wanted is not None:
            self._on_wanted()


def _read_parts(read):
    while True:
        part = read(FILE_PART)
        if part is not None and not len(part):
            return
        yield part
