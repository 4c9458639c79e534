"""Messages in parts that a program of asyncio sends.

The loop takes the parts of an ordinary iterable; those of an async iterable are taken
by the ``await`` of the send.

Knows nothing of: the event loop, but for the futures that it makes.
"""

from __future__ import absolute_import, division, unicode_literals

import inspect

from ..driver.outgoing_stream import OutgoingStream, PushedStream


class PulledStream(OutgoingStream):
    """A message whose parts the loop takes from an iterable.

    What that raises ends the connection with 1011, and comes out of the await; if
    nobody awaits, it comes out of the iteration.
    """

    __slots__ = ('session', 'error')

    def __init__(self, parts, compress):
        self.session = self.error = None
        super(PulledStream, self).__init__(parts, compress)

    def advance(self, most=None):
        """Take the next part."""
        if most is not None:            # the first one: for the caller
            super(PulledStream, self).advance(most)
            return
        try:
            super(PulledStream, self).advance()
        except Exception as error:
            self.error = self.session.error = error
            self.is_begun = True
            self.session.fail_stream()

    def finish(self):
        """Note that nothing more will be sent."""
        super(PulledStream, self).finish()
        self.session.look_soon()


class AsyncPushedStream(PushedStream):
    """A message whose parts an ``await`` takes from an async iterable."""

    __slots__ = ('session', '_parts_of', '_wanted', '_takes')

    def __init__(self, parts, compress):
        super(AsyncPushedStream, self).__init__(compress, self._want)
        self.session = None
        self._parts_of = parts.__aiter__()
        self._wanted = None             # the future of an ``await`` until more is wanted
        self._takes = False             # it waits for a part

    def _want(self):
        wanted = self._wanted
        if wanted is not None and not wanted.done() and not self.session.loop.is_closed():
            wanted.set_result(None)

    def finish(self):
        """Note that nothing more will be sent."""
        super(AsyncPushedStream, self).finish()
        self._want()
        self.session.look_soon()

    def start(self):
        """Begin the message.

        :returns: like the next two, what to drive next: an iterator of futures
        """
        session = self.session
        session.begin_send()
        try:
            session.send_stream(self)
        finally:
            session.end_send()
        return self._take_next()

    def _take_next(self):
        self._takes = True
        part = self._parts_of.__anext__()
        return part if inspect.isgenerator(part) else part.__await__()

    def go_on(self, result):
        """Go on with the result of what was driven."""
        if not self._takes:             # it waited
            return None if self.is_over and self.session.has_written(self) else self._take_next()
        self._takes = False
        self.push(result)
        return self._sleep()

    def finish_up(self):
        """Go on after the last part."""
        self.end()
        self._takes = False
        self.session.look_soon()
        return None if self.session.has_written(self) else self.session.wait_for(self).__await__()

    def _sleep(self):
        self._wanted = self.session.loop.create_future()
        if self.is_over:
            self._want()
        self.session.look_soon()
        return self._wanted.__await__()

    def leave(self):
        """Give it up unless it is finished."""
        if not self.is_over and not self._pushed[-1:] == [None] and not self.is_done:
            self.session.fail_stream()


def drive(stream):
    """Take the parts of an async iterable; the body of the coroutine of a send.

    :param stream: a :class:`AsyncPushedStream`
    """
    step, failure = None, None
    try:
        step = stream.start()
        while step is not None:
            try:
                waited = next(step) if failure is None else step.throw(failure)
            except StopIteration as stop:
                step, failure = stream.go_on(stop.value), None
                continue
            except StopAsyncIteration:
                step, failure = stream.finish_up(), None
                continue
            failure = None
            try:
                yield waited
            except BaseException as error:
                failure = error
    finally:
        stream.leave()
