"""A block of ``cork()`` in a loop of asyncio.

Knows nothing of: asyncio, frames.
"""

from __future__ import absolute_import, division, unicode_literals

from ..driver.cork import Cork
from ..opcode import Opcode
from .awaitables import DONE, Sent
from .session import NEVER


class AsyncCork(Cork):
    """What ``cork()`` of an AsyncWebSocket returns, for ``with`` and ``async with``.

    :param session: the :class:`~lomond.aio.session.AsyncSession`, or None without a
        connection
    """

    __slots__ = ('_of',)

    def __init__(self, session):
        super(AsyncCork, self).__init__(session)
        self._of = session

    def __enter__(self):
        if self._of is not None:
            self._of.begin_send()       # in another thread, it raises
            self._of.end_send()
        super(AsyncCork, self).__enter__()

    def _end(self, may_wait):
        self._of.begin_send()
        try:
            super(AsyncCork, self)._end(may_wait)
        finally:
            self._of.end_send()

    def __aenter__(self):
        self.__enter__()
        return DONE

    def __aexit__(self, kind, *exc_info):
        self.__exit__(kind, *exc_info)
        session, writer = self._of, self._place.writer
        if kind is not None or writer is None or writer.error is None and session.is_empty():
            return DONE
        return Sent(session, session.mark(Opcode.TEXT) if writer.error is None else NEVER)
