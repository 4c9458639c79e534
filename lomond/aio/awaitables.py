"""What the methods of ``lomond.aio`` return for ``await``, without async syntax.

Knows nothing of: the event loop, but for the futures that it waits for.
"""

from __future__ import absolute_import, division, unicode_literals

import functools


class Awaitable(object):
    """What ``await`` takes, and a task as well: a coroutine without async syntax."""

    __slots__ = ('_future', '_steps')

    def __init__(self):
        self._future = None
        self._steps = None

    def __await__(self):
        return self

    def __next__(self):
        return self.send(None)

    def _sleep(self, future):
        """Return what to yield until ``future`` is done."""
        self._future = future
        self._steps = future.__await__()
        return next(self._steps)

    def _wake(self):
        """Look at the future: it is done, or raises."""
        future, steps = self._future, self._steps
        self._future = self._steps = None
        try:
            next(steps)
        except StopIteration:
            return
        future.cancel()
        raise RuntimeError('resumed by something other than an event loop of asyncio')

    def send(self, value):
        """Go on; for the event loop."""
        raise StopIteration(value)

    def throw(self, kind, value=None, traceback=None):
        """Go on with an exception; for the event loop."""
        self.close()
        if value is None:
            value = kind() if isinstance(kind, type) else kind
        raise value if traceback is None else value.with_traceback(traceback)

    def close(self):
        """Give up waiting."""
        future, self._future, self._steps = self._future, None, None
        if future is not None:
            future.cancel()


class Done(Awaitable):
    """An ``await`` that returns at once."""

    __slots__ = ('_result',)

    def __init__(self, result=None):
        super(Done, self).__init__()
        self._result = result

    def send(self, value):
        raise StopIteration(self._result)


class Nothing(Done):
    """The same for no result: without a call of Python."""

    __slots__ = ()

    __await__ = staticmethod(functools.partial(iter, ()))


DONE = Nothing()


class Sent(Awaitable):
    """The ``await`` of bytes that the operating system has not taken yet.

    :param mark: what :meth:`.AsyncSession.has_written` takes
    """

    __slots__ = ('_session', '_mark')

    def __init__(self, session, mark):
        super(Sent, self).__init__()
        self._session = session
        self._mark = mark

    def send(self, value):
        if self._steps is not None:
            self._wake()
        elif not self._session.has_written(self._mark):
            return self._sleep(self._session.wait_for(self._mark))
        raise StopIteration
