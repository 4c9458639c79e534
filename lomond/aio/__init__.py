"""The same WebSocket in asyncio: ``async with``, ``async for`` and ``await``.

What a program has is here, because everything that needs asyncio is in this one module:
awaiting an event, waking the task, reconnecting.  The other modules of this folder only
call methods of the loop.
"""

# There is no async syntax here, because the byte-compiler of 2.7 fails on it:
# awaitables are objects with __await__, and iterators have __aiter__ and __anext__.
#
# The work is shared by four kinds of objects:
#
# * AsyncWebSocket and AsyncEvents are what a program has.  They refer to
# * the session, AsyncSession (session.py): it makes events whenever its descriptors are
#   ready, or a deadline has come, and puts them into
# * the box, _Box, from which the program takes them.  It makes no more than AHEAD
#   events that nobody takes: then it is held, and reads nothing.
# * The hub, Hub (hub.py), of a loop: what its connections share.
#
# A loop refers to a session while its descriptors are watched, but never to what the
# program has.  So a connection ends when the program drops both.
#
# Knows nothing of: frames, sockets; how a connection comes about.

from __future__ import absolute_import, division, unicode_literals

try:
    import asyncio
except ImportError:
    raise ImportError('lomond.aio needs asyncio, so Python 3.6 or newer; lomond.group has many '
                      'connections in one loop on every Python')

import collections
import inspect
import sys
import time
import types
import weakref

from .. import errors, events
from .._compat import monotonic
from ..client import options
from ..client.attempt import ALREADY_RUNNING
from ..client.backoff import MESSAGES, Retries, some_number
from ..network import dialer, proxy_settings  # noqa: F401 - now, or they would hold up the loop later
from ..opcode import Opcode
from ..websocket import WebSocket
from .awaitables import DONE, Done, Sent
from .cork import AsyncCork
from .session import AHEAD as AHEAD
from .session import MAX_QUEUED, AsyncSession
from .streams import AsyncPushedStream, PulledStream, drive

#: Timers go off early by less than this (seconds).
_SOON = 0.01

_get_loop = getattr(asyncio, 'get_running_loop', None) or asyncio.get_event_loop
_find_task = getattr(asyncio, 'current_task', None) or asyncio.Task.current_task        # 3.6


# -- awaitables

def _coroutine(function, name):
    """Return a function whose result is awaited, and taken by a task, as a coroutine.

    :param function: a generator function, in which ``yield`` waits for a future
    """
    generator_function = types.coroutine(function)
    if not asyncio.iscoroutine(generator_function(None)):
        # From 3.12 on, no task takes the generators that types.coroutine() gives.
        flags = function.__code__.co_flags & ~(inspect.CO_GENERATOR | inspect.CO_ITERABLE_COROUTINE)
        code = function.__code__.replace(co_flags=flags | inspect.CO_COROUTINE)
        generator_function = types.FunctionType(code, function.__globals__)
    generator_function.__name__ = name.rpartition('.')[2]
    generator_function.__qualname__ = name
    return generator_function


class _Waiter(object):
    """What a task waits for until there may be an event; it has what a task needs.

    Unlike a future, it can let the task go on at once, instead of in the loop's next
    turn.  That saves a round trip a turn: a call of epoll, and a sixth of its time.
    """

    __slots__ = ('_loop', '_asyncio_future_blocking', 'is_done', '_step', '_cancellation')

    def __init__(self, loop):
        self._loop = loop
        self._asyncio_future_blocking = True    # as the __await__() of a future says to a task
        self.is_done = False
        self._step = None               # what the task has asked to be called with, until it is
        self._cancellation = None       # the arguments of its CancelledError

    def add_done_callback(self, callback, **settings):
        """As for a future; called by the one task that waits."""
        self._step = callback, settings
        if self.is_done:
            self._schedule()

    def result(self):
        """As for a future."""
        if self._cancellation is not None:
            raise asyncio.CancelledError(*self._cancellation)

    def cancel(self, msg=None):
        """As for a future."""
        if self.is_done:
            return False
        self._cancellation = () if msg is None else (msg,)
        self.finish()
        return True

    def finish(self):
        """Let the task go on in the next turn of the loop."""
        self.is_done = True
        self._schedule()

    def _schedule(self):
        step, self._step = self._step, None
        if step is not None:
            callback, settings = step
            self._loop.call_soon(callback, self, **settings)

    def go_on(self):
        """Let the task go on now; in a callback of the loop, while no task runs."""
        self.is_done = True
        step, self._step = self._step, None
        if step is not None:
            callback, settings = step
            context = settings.get('context')
            if context is None:             # 3.6
                callback(self)
            else:
                context.run(callback, self)


class _Box(object):
    """Where a session leaves events, and who waits for them."""

    __slots__ = ('queue', 'waiter', 'loop', 'is_closed')

    def __init__(self):
        self.queue = collections.deque()
        self.waiter = None              # of the task that waits for an event
        self.loop = None
        self.is_closed = False          # by aclose()

    def wake(self, at_once=False):
        """Let the task that waits look again.

        :param at_once: true if it may go on before this returns
        """
        waiter = self.waiter
        if waiter is not None and not waiter.is_done:
            if at_once and _find_task(self.loop) is None:
                waiter.go_on()
            elif not self.loop.is_closed():
                waiter.finish()


# -- what a program has

class AsyncEvents(object):
    """The events of a connection, for ``async for``; what ``connect()`` returns.

    Nothing happens before the first event is awaited.  One task iterates, in the thread
    of the loop: a second one that waits for an event gets RuntimeError.  Canceling an
    ``await`` loses no event, and the connection goes on.

    :param AsyncWebSocket websocket: whose connection it is
    :param session: what drives it; None if another connection runs
    """

    def __init__(self, websocket, session=None):
        self._websocket = websocket     # so that it lives as long as this
        self._session = session
        self._box = _Box()
        self._queue = self._box.queue

    def __aiter__(self):
        return self

    # Hot path: a coroutine is four times as fast as an awaitable of our own.  The event
    # leaves the queue when it is resumed, so canceling it before loses nothing.
    __anext__ = _coroutine(
        lambda self: (self._queue.popleft() if self._queue or self._ask()
                      else self._awake((yield self._sleep()))),
        'AsyncEvents.__anext__')

    def aclose(self):
        """Leave the connection: close frame 1001 if it is open, no waiting.

        Events that were made ahead are dropped.  In the thread of the loop.

        :returns: an awaitable; all is done when it is returned
        """
        box = self._box
        if not box.is_closed:
            box.is_closed = True
            if box.loop is not None and self._session is not None:
                self._session.leave()
            box.queue.clear()
            box.wake()
        return Done()

    def _ask(self):
        """Make events, if some can be had now; called when none is left.

        :returns: False if it is necessary to wait
        :raises StopAsyncIteration: there are no more
        """
        box, session = self._box, self._session
        if box.loop is not None and box.loop is not _get_loop():
            raise RuntimeError('this connection belongs to another event loop')
        if session is not None and session.is_held:
            session.refill()
            if box.queue:
                return True
        if box.is_closed:
            raise StopAsyncIteration
        if box.loop is None:
            box.loop = _get_loop()
            self._begin()
        elif session is None or not session.is_running:
            self._go_on()
        return bool(box.queue)

    def _sleep(self):
        """Return what to yield until there may be an event."""
        box = self._box
        # A task that is canceled leaves a waiter behind that is done.
        if box.waiter is not None and not box.waiter.is_done:
            raise RuntimeError('another task waits for an event of this WebSocket; only one may iterate')
        box.waiter = waiter = _Waiter(box.loop)
        return waiter

    def _awake(self, _):
        """Return the event that has come."""
        self._box.waiter = None
        if not self._queue and not self._ask():
            raise RuntimeError('another task has taken the event; only one may iterate')
        return self._queue.popleft()

    def _begin(self):
        if self._session is None:
            self._box.is_closed = True
            raise errors.WebSocketError(ALREADY_RUNNING)
        self._tell_loop()
        self._session.begin(self._box)
        if not self._box.queue:
            self._go_on()

    def _tell_loop(self):
        """Let ``shutdown_asyncgens()`` of the loop close this, as if it were one."""
        first_iteration = sys.get_asyncgen_hooks().firstiter
        if first_iteration is not None:
            first_iteration(self)

    def _go_on(self):
        """Raise what the connection ended with; it is over."""
        session = self._session
        error, session.error = session.error, None
        self._box.is_closed = True
        raise StopAsyncIteration if error is None else error


class _PersistentEvents(AsyncEvents):
    """The events of one connection after the other; what ``apersist()`` returns."""

    def __init__(self, websocket, settings, retries):
        super(_PersistentEvents, self).__init__(websocket)
        self._settings = settings
        self._retries = retries
        self._delay = None              # of the pause, before it begins
        self._until = None              # its end, by the clock of the loop
        self._timer = None

    def aclose(self):
        self._stop_timer()
        return super(_PersistentEvents, self).aclose()

    def __del__(self):
        self._stop_timer()

    def _stop_timer(self):
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _begin(self):
        self._tell_loop()
        self._delay = self._until = None
        connection = self._websocket.connect(**self._settings)
        self._session = connection._session
        if self._session is None:
            super(_PersistentEvents, self)._begin()         # raises
        self._websocket._note_events(self)
        retries = self._retries

        def note(event):
            if not retries.has_message or event.name not in MESSAGES:
                retries.note(event, monotonic())
        self._session.begin(self._box, note)
        if not self._box.queue:
            self._go_on()

    def _go_on(self):
        box, session = self._box, self._session
        if session is not None:
            if session.error is not None:
                super(_PersistentEvents, self)._go_on()     # raises
            self._decide()
        elif self._delay is not None:
            self._pause()
        else:                           # after GaveUp
            box.is_closed = True
            raise StopAsyncIteration

    def _decide(self):
        """Say what comes next: a pause, or nothing."""
        box, retries = self._box, self._retries
        try:
            what, self._delay = retries.decide(some_number(), time.time())
        except BaseException:           # of retry_on
            box.is_closed = True
            raise
        self._session = None
        if what == 'gave_up':
            box.queue.append(events.GaveUp(retries.cause, retries.failures))
        else:
            box.queue.append(events.BackOff(self._delay, attempt=retries.failures, cause=retries.cause))

    def _pause(self):
        loop = self._box.loop
        self._stop_timer()
        if self._until is None:
            self._until = loop.time() + self._delay
        left = self._until - loop.time()
        if left > _SOON:
            self._timer = loop.call_later(left, self._box.wake)
        else:
            self._begin()


class AsyncWebSocket(WebSocket):
    """A WebSocket client for asyncio: the parameters are those of ``WebSocket``.

    ``async with`` leaves the connection at its end, whatever happens; ``async for``
    iterates the events of a connection with the defaults of :meth:`connect`.  It
    belongs to the loop in which it is connected.

    One task iterates; any task sends.  ``close()`` and ``force_disconnect()`` do
    not wait, are not awaited, and may be called from any thread; for the rest, other
    threads use ``loop.call_soon_threadsafe``.
    """

    _events = None                      # a weak reference to the newest iterator

    def connect(self, poll=None, ping_rate=30.0, ping_timeout=None, auto_pong=True, close_timeout=30.0,
                connect_timeout=30.0, send_timeout=30.0, max_queued=MAX_QUEUED):
        """Prepare a new connection.

        Nothing happens until the first event is awaited.  While a connection is
        running, a further call changes nothing: the first ``await`` raises
        :class:`~lomond.errors.WebSocketError`.

        While nobody asks, up to 16 events are made ahead, so that pings are answered
        and queues written; then reading pauses until they are taken.

        :param poll: seconds between two ``Poll`` events, above 0; if None, there are
            none
        :param ping_rate: seconds between two pings; with None or 0, none are sent
        :param ping_timeout: seconds without a pong, or any other byte, until
            ``Unresponsive``; None or 0 means no limit
        :param auto_pong: if false, pings are not answered automatically (RFC 6455,
            5.5.2)
        :param close_timeout: seconds to wait for the answer to ``close()``; None or 0
            means no limit
        :param connect_timeout: seconds for everything until ``Ready``; None or 0 means
            no limit
        :param send_timeout: seconds for which the server may take nothing of what is
            sent; None or 0 means no limit
        :param max_queued: bytes of messages that may wait for the server; None means no
            limit
        :returns: an async iterator of events, :class:`AsyncEvents`
        :raises TypeError: if a time or size is not a number
        :raises ValueError: if one is out of range; the message says what is allowed
        """
        max_queued = options.check_size('max_queued', max_queued, 1)
        events_ = self._events() if self._events is not None else None
        if events_ is None:             # nobody can take its events any longer
            self._leave()

        def make_session(websocket):
            session = AsyncSession(websocket)
            session.max_queued, session.polls = max_queued, poll is not None
            return session
        session = super(AsyncWebSocket, self).connect(
            make_session, 5.0 if poll is None else poll, ping_rate, ping_timeout, auto_pong,
            close_timeout, connect_timeout, send_timeout)
        if not isinstance(session, AsyncSession):       # it refuses
            return AsyncEvents(self)
        found = AsyncEvents(self, session)
        self._note_events(found)
        return found

    def _note_events(self, found):
        """Note who takes the events of the newest connection."""
        self._events = weakref.ref(found)

    def __aiter__(self):
        return self.connect()

    def __aenter__(self):
        return Done(self)

    def __aexit__(self, *exc_info):
        found = self._events() if self._events is not None else None
        if found is not None:
            found.aclose()
        self._leave()
        return Done()

    def _leave(self):
        session = self._running.session
        if session is not None:
            session.leave()

    def __del__(self):
        running = vars(self).get('_running')        # not there if the constructor raised
        if running is not None and running.session is not None:
            running.session.abandon()

    def __getstate__(self):
        state = super(AsyncWebSocket, self).__getstate__()
        state.pop('_events', None)
        return state

    def __iter__(self):
        raise TypeError('an AsyncWebSocket is iterated by "async for"')

    def __enter__(self):
        raise TypeError('an AsyncWebSocket is entered by "async with"')

    def open(self, *args, **settings):
        """Refuse a loop of your own; parameters as in :meth:`.WebSocket.open`.

        :returns: never
        :raises TypeError: always: the loop of asyncio takes the steps
        """
        raise TypeError('an AsyncWebSocket has no steps of its own; use open() of a WebSocket')

    # -- messages

    def send_text(self, text, compress=True):
        """Send a text message: ``await`` returns when the operating system has it.

        The call itself checks, raises, and sends or queues the whole message, so
        canceling the await, or leaving it out, changes nothing about that.

        :param text: text of any length
        :param compress: if false, the message is sent uncompressed even if compression
            was agreed on
        :returns: an awaitable, which may raise ``SendTimeout`` and ``TransportFail``
        :raises TypeError: if ``text`` is not text
        :raises WebSocketUnavailable: (or a subclass) if the state does not allow it
        :raises QueueFull: if more than ``max_queued`` bytes would wait
        :raises RuntimeError: in another thread
        """
        return self._sent(WebSocket.send_text, Opcode.TEXT, text, compress)

    def send_binary(self, data, compress=True):
        """Send a binary message; ``await`` and errors as for :meth:`send_text`.

        :param data: bytes, bytearray or memoryview; may change once this has returned
        :param compress: as for :meth:`send_text`
        :returns: an awaitable
        """
        return self._sent(WebSocket.send_binary, Opcode.BINARY, data, compress)

    def send_json(self, _obj=Ellipsis, **kwargs):
        """Send an object, or the keyword arguments, as JSON in a text message.

        Await and errors as for :meth:`send_text`.

        :param kwargs: the members of a JSON object, even ``compress``
        :returns: an awaitable
        :raises ValueError: if both an object and keywords are given
        :raises TypeError: if the object is not serializable
        """
        return WebSocket.send_json(self, _obj, **kwargs)      # it calls send_text()

    def cork(self):
        """Gather the messages that are sent in a block, to write them together.

        ``with websocket.cork():``, or ``async with``, whose end waits until all is with
        the operating system.  In the block, ``await`` of a send returns at once.  The
        rest is as in :meth:`.WebSocket.cork`; what was gathered is also written when
        the loop has its next turn, so other tasks need not wait for the end.

        :returns: a context manager, for one block.  Nothing is raised at the end of
            ``with``; the end of ``async with`` raises ``SendTimeout`` and
            ``TransportFail``
        :raises RuntimeError: at the begin, in another thread
        """
        session = self.state.session
        return AsyncCork(None if session is None or session.loop is None else session)

    def send_ping(self, data=b''):
        """Send a ping (RFC 6455, 5.5.2); ``await`` and errors as for :meth:`send_text`.

        :param bytes data: at most 125 bytes; the pong returns them
        :returns: an awaitable
        :raises ValueError: if ``data`` is too long
        """
        return self._sent(WebSocket.send_ping, Opcode.PING, data)

    def send_pong(self, data):
        """Send an unsolicited pong, or with ``auto_pong=False`` the answer to a ping.

        :param bytes data: at most 125 bytes; ``await`` and errors as for
            :meth:`send_ping`
        :returns: an awaitable
        """
        return self._sent(WebSocket.send_pong, Opcode.PONG, data)

    def send_stream(self, parts, compress=True):
        """Send one message in parts, as :meth:`.WebSocket.send_stream` does.

        The loop takes the parts of an iterable, or of a binary file, as the server
        takes them; canceling the ``await`` changes nothing about that.  Those of an
        async iterable are taken by the ``await``: canceling it leaves a message that
        cannot be finished, and the connection fails with 1011.

        :param parts: an iterable, or async iterable, of bytes, bytearrays and
            memoryviews, or of text; or a binary file
        :param compress: as for :meth:`send_text`
        :returns: an awaitable, which also raises what the iterable raises
        :raises TypeError: if ``parts`` is something else; for an iterable, also if the
            first part is
        :raises WebSocketError: if another message in parts is being sent
        """
        session = self.state.session
        if session is None or session.loop is None:
            WebSocket.send_stream(self, parts, compress)        # raises
            return DONE
        is_async = hasattr(parts, '__aiter__')
        stream = AsyncPushedStream(parts, compress) if is_async else PulledStream(parts, compress)
        stream.session = session
        if self.state.observer is not None:
            stream.on_end = self._note_stream
        session.begin_send()
        try:
            if not is_async:
                session.send_stream(stream)
                return Sent(session, stream)
            session.check_stream()
            return _push(stream)
        finally:
            session.end_send()

    def _sent(self, send, opcode, *args):
        """Send, and return what is to be awaited."""
        session = self.state.session
        if session is None or session.loop is None:
            send(self, *args)                   # raises
            return DONE
        mark = session.send_here(opcode, send, self, *args)
        return DONE if mark is None else Sent(session, mark)


_push = _coroutine(drive, 'AsyncWebSocket.send_stream')


def apersist(websocket, poll=None, min_wait=5, max_wait=30, ping_rate=30.0, ping_timeout=None,
             respect_retry_after=True, auto_pong=True, close_timeout=30.0, connect_timeout=30.0,
             send_timeout=30.0, max_retries=None, retry_on=None, stable_after=10.0, max_queued=MAX_QUEUED):
    """Connect, and reconnect whenever the connection ends, with a pause in between.

    This is :func:`lomond.persist.persist` for asyncio, and its parameters mean the
    same; ``poll`` and ``max_queued`` are those of :meth:`AsyncWebSocket.connect`.  To
    end it, cancel the task, and leave the ``async with`` of the WebSocket.

    :param AsyncWebSocket websocket: the WebSocket to connect
    :param poll: seconds between two ``Poll`` events, above 0; None for no events
    :param min_wait: the shortest pause, seconds, 0 or more
    :param max_wait: the longest pause, seconds, 0 or more
    :param ping_rate: seconds between two pings; with None or 0, none are sent
    :param ping_timeout: seconds without a pong, or any other byte, that end the
        connection; None or 0 means no limit
    :param respect_retry_after: if true, a ``Retry-After`` header of a refusal replaces
        the pause, within ``min_wait .. max(max_wait, 3600)`` seconds
    :param auto_pong: if false, pings are not answered automatically
    :param close_timeout: seconds to wait for the answer to ``close()``; None or 0 means
        no limit
    :param connect_timeout: seconds for everything until ``Ready``; None or 0 means no
        limit
    :param send_timeout: seconds for which the server may take nothing of what is sent;
        None or 0 means no limit
    :param max_retries: give up after this number of failures in a row, 1 or more; None
        means never
    :param retry_on: a callable that gets the event that ended the connection, and
        returns True to retry, False to give up, or a number of seconds to wait; if
        None, everything is retried.  What it raises comes out of the await
    :param stable_after: seconds after ``Ready`` from which a connection counts as a
        success, 0 or more
    :param max_queued: bytes of messages that may wait for the server; None means no
        limit
    :returns: an async iterator of the events of all connections, with a
        :class:`~lomond.events.BackOff` before each pause and a
        :class:`~lomond.events.GaveUp` at the end after giving up
    :raises TypeError: if an argument has the wrong type: at the call for those of
        ``apersist()`` itself, and at the first await, before any I/O, for those of
        ``connect()``
    :raises ValueError: if a value cannot be used; at the same times
    """
    if not isinstance(websocket, AsyncWebSocket):
        raise TypeError('apersist takes an AsyncWebSocket, not {!r}'.format(websocket))
    retries = Retries(min_wait, max_wait, max_retries, retry_on, stable_after, respect_retry_after)
    settings = dict(poll=poll, ping_rate=ping_rate, ping_timeout=ping_timeout, auto_pong=auto_pong,
                    close_timeout=close_timeout, connect_timeout=connect_timeout, send_timeout=send_timeout,
                    max_queued=max_queued)
    return _PersistentEvents(websocket, settings, retries)
