"""What ``cork()`` gathers, and its ``with`` block.

The writer has the idents of the threads that are in such a block, and one
:class:`Gathered` for all of them: frames are encoded under the write lock, and leave in
the order in which they were encoded, so compression and several threads need no
thought.

Knows nothing of: locks, streams, sessions.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import get_ident, imap

_ONCE = 'a cork is entered once; call cork() for each block'


class Gathered(object):
    """Frames that wait for the end of a block; guarded by the write lock.

    :ivar frames: their bytes
    :ivar size: bytes of their messages
    :ivar is_in_tail: True while what was taken is perhaps still to be written
    """

    __slots__ = ('frames', 'size', 'is_in_tail')

    def __init__(self):
        self.frames = bytearray()
        self.size = 0
        self.is_in_tail = False

    def take(self):
        """Empty it.

        :returns: ``(frames, size)``
        """
        frames, size = self.frames, self.size
        self.frames, self.size, self.is_in_tail = bytearray(), 0, True
        return frames, size


class Cork(object):
    """A block in which the sends of its thread are gathered; for ``with``.

    :param session: of the connection, or None; without a ``_cork_writer``, nothing is
        gathered
    """

    __slots__ = ('_session', '_place')

    def __init__(self, session):
        self._session = session
        self._place = None

    def __enter__(self):
        if self._place is not None:
            raise errors.WebSocketError(_ONCE)
        place = self._place = _Place(getattr(self._session, '_cork_writer', None))
        if place.writer is not None:
            # One step: an interrupt comes before or after it.
            any(imap(list.append, (place.mark, place.writer.corked), [get_ident()] * 2))

    def __exit__(self, kind, *_):
        if self._place.writer is not None:
            self._end(kind is None)

    def _end(self, may_wait):
        self._place.leave(may_wait)


class _Left(object):
    """A place that was left."""

    __slots__ = ('writer', 'mark')

    def leave(self, may_wait):
        """Do nothing."""


class _Place(_Left):
    """That of a block among those of a writer; it is left even if Ctrl-C cuts off the
    ``with`` statement.
    """

    __slots__ = ()

    def __init__(self, writer):
        self.writer = writer
        self.mark = []                  # the ident of the thread, while the writer has it, too

    def leave(self, may_wait):
        """Leave it, and write what was gathered, unless it is inside of another one."""
        mark, writer = self.mark[:], self.writer
        gathered = writer.gathered
        try:
            # Also one step; the second list is left alone if the first one is empty.
            any(imap(list.remove, (self.mark, writer.corked), mark * 2))
            self.__class__ = _Left      # so that no code runs when it is freed
        finally:
            if mark and mark[0] not in writer.corked:
                writer.uncork(gathered, may_wait)

    def __del__(self):
        if getattr(self, 'mark', None):         # not there if Ctrl-C came as it was made
            self.leave(False)
