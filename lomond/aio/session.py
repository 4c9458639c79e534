"""A connection that is driven by the callbacks of an event loop.

The session makes events whenever its descriptors are ready or a deadline has come, and
puts them into the box of the program, which wakes the task that waits for them.

Knows nothing of: awaitables, what a program has; how a connection comes about.
"""

from __future__ import absolute_import, division, unicode_literals

import time

from .. import errors, events
from .._compat import HANDS_OUT_BATCHES, get_ident, monotonic, text_type, without_frames
from ..driver.rules import MANY_CONNECTIONS
from ..network.poller import READ
from ..opcode import Opcode
from ..session import WebsocketSession
from .hub import Hub

#: Events that are made while nobody asks for one; then reading pauses.
AHEAD = 16
#: ``max_queued`` of ``connect()``, in bytes.
MAX_QUEUED = 16 * 1024 * 1024
#: After these nothing is made before their handler, and those of earlier events, are
#: through: what they send goes out before the close frame that ends the connection.
_STOPS = frozenset((events.Closing, events.ProtocolError))

#: The mark of what never goes out; see :meth:`AsyncSession.mark`.
NEVER = float('inf'), True

_WRONG_THREAD = ('an AsyncWebSocket sends in the thread of its loop; in other threads, use '
                 'loop.call_soon_threadsafe')
_CLOSED = 'socket fail; the connection was closed during a send'


class LoopWaiting(object):
    """Clock and wake-up of a session in asyncio; nothing waits here."""

    #: The loop has a wake-up of its own.
    wake_waits = ()

    #: Of those who wait; here the loop does.
    is_asleep = is_woken = False

    monotonic = staticmethod(monotonic)

    def __init__(self, session):
        self._session = session

    def time(self):
        """Return seconds since the epoch."""
        return time.time()

    def wake(self):
        """Let the loop look again.  Safe from any thread and signal handler."""
        session = self._session
        if session is not None:
            session.wake_loop()

    def forget(self, fd):
        """Stop watching a descriptor that is about to be closed."""
        session = self._session
        if session is not None:
            session.forget(fd)

    def close(self):
        """Let go of the session."""
        self._session = None


class AsyncSession(WebsocketSession):
    """Drives a connection in the callbacks of an event loop."""

    rules = MANY_CONNECTIONS

    loop = None                 # once it has begun
    error = None                # what to raise instead of going on
    max_queued = MAX_QUEUED
    polls = False               # whether there are Poll events
    _box = None
    _hub = None
    _ident = None               # the thread of the loop
    _note = None                # called with events, for Retries
    _nested = 0                 # above 0 while it makes events, or sends, in the loop's thread
    is_held = False             # it stops at an event until that is taken
    _is_paused = False          # reading, too
    _again = False              # something has changed meanwhile
    _leaves = False             # leave() was called meanwhile
    _timer = None
    _timer_at = None            # when it goes off (monotonic)
    _is_steady = False          # it was set after Ready
    _turn = None                # the handle of on_turn()
    _asked = None               # the answer of waits() that is watched
    _watched = {}               # {fd: mask}; replaced, never changed
    _senders = ()               # (mark, future) of those who wait until all is written

    def run(self, poll=5.0, **settings):
        """Return what ``connect()`` gets: the session itself."""
        self.start(poll if self.polls else None, **settings)
        return self

    def waiting(self):
        """Make clock and wake-up."""
        return LoopWaiting(self)

    def begin(self, box, note=None):
        """Begin to connect, in the loop that is running."""
        try:
            self._check_begin()
        except errors.WebSocketError as error:
            self.error = error
            return
        self.loop = box.loop
        self._ident = get_ident()
        self._box, self._note = box, note
        self._hub = Hub.join(self.loop)
        self._core.receive_buffer.share(self._hub.lender)
        self._life = self._live()
        self._work()

    def _begin_driver(self):
        driver = super(AsyncSession, self)._begin_driver()
        driver.stops_at = _STOPS
        self._gathers = driver.gathers = HANDS_OUT_BATCHES and self._attempt.on_event is None
        driver.sizes_batches = False        # no handler runs between two events
        return driver

    def _restart(self):
        super(AsyncSession, self)._restart()
        self._is_steady = False
        self._core.receive_buffer.share(self._hub.lender)

    @property
    def is_running(self):
        """True from :meth:`begin` to the end."""
        return self._life is not None

    # -- making events

    def on_ready(self, ready):
        """Called by the loop when a descriptor is ready."""
        if self._life is None:
            return
        if not self.is_held:
            self._ready, self._now = ready, monotonic()
            self._work(True)
        else:
            if ready[0][1] & READ:
                self._is_paused = True      # nobody takes what there is
                self._asked = None
            self._attend()

    def refill(self):
        """Make further events for one who has taken all; only if it is held."""
        # Hot path: once in AHEAD messages.
        self.is_held = False
        if self._is_paused or self._note is not None or self.polls:
            if self._is_paused:
                self._is_paused = False
                self._asked = None
            self._work()
            return
        queue = self._box.queue
        self._make(queue)
        if len(queue) == AHEAD and not (self._again or self._senders or self._leaves):
            writer = self._driver.writer
            if not writer.tail and not self._core.send_queue.pending:
                self.is_held = True
                return              # there is nothing new to wait for
        self._settle(len(queue))
        self._attend()

    def _go_on(self):
        """Look again: time has passed, or something has changed."""
        if self._life is None:
            return
        if self.is_held:
            self._attend()
        else:
            self._resume((), monotonic())
            self._work()

    def _work(self, at_once=False):
        """Make events until there is nothing to do, or nobody takes them.

        :param at_once: true if the one who waits for them may go on before this returns
        """
        queue = self._box.queue
        before = len(queue)
        self._make(queue)
        self._settle(len(queue) - before)
        self._attend(at_once)

    def _make(self, queue):
        """Make events until AHEAD are in the queue, or one is made by waiting only."""
        # Hot path: of many small messages, the first comes alone, the others in a list.
        gathers, place, left = self._gathers, self._core.receive_buffer, AHEAD - len(queue)
        self._nested += 1
        try:
            place.batch_size = 0
            for found in self._life if left > 0 else ():
                if found is None:
                    break
                if found.__class__ is list:
                    queue.extend(found)
                    left -= len(found)
                else:
                    queue.append(found)
                    left -= 1
                if left <= 0:
                    break
                if gathers:
                    place.batch_size = left
        except BaseException as error:
            self._fail(error)
        finally:
            self._nested -= 1

    def _fail(self, error):
        """End after an exception: of an object of the program, or Ctrl-C."""
        try:
            self._clean_up()
        finally:
            if not isinstance(error, Exception):
                self._attend()
                raise error
        self.error = without_frames(error)

    def _settle(self, count):
        """Find out why no more events were made."""
        queue, life = self._box.queue, self._life
        if count and (self._note is not None or self.polls):
            self._look_at(count)
        if life is None:
            return
        if len(queue) >= AHEAD or count and queue[-1].__class__ in _STOPS:
            self.is_held = True
        elif life.gi_frame is None:
            self._clean_up()
        else:
            self._core.receive_buffer.settle()

    def _look_at(self, count):
        """Look at the newest events in the queue."""
        queue = self._box.queue
        newest = [queue.pop() for _ in range(count)]
        for event in reversed(newest):
            if self._note is not None:
                self._note(event)
            if event.name != 'poll' or not queue or queue[-1].name != 'poll':       # one tells as much
                queue.append(event)

    def _flush_held(self):
        """Write what is queued, while no events are made.

        :returns: when to do so again at the latest, or None
        """
        if self._driver is None:
            return None
        self._nested += 1
        try:
            return self._driver.flush()
        finally:
            self._nested -= 1

    # -- what to wait for

    def _attend(self, at_once=False):
        """Tell those who wait, and watch what there is to wait for."""
        box = self._box
        if self._leaves and not self._nested and self._life is not None:
            self._clean_up()
        when = None
        if self.is_held and self._life is not None:
            when = self._flush_held()
        if self._senders:
            self._tell_senders()
        if self._life is None:
            box.wake()
            self._end()
            return
        if box.queue and not at_once:
            box.wake()
        # Hot path: messages, which move no deadline to an earlier time.
        driver = self._driver
        waits = driver.waits() if self._is_steady and driver is not None else self.waits()
        if not (at_once and waits is self._asked and self._is_steady and not self.is_held
                and self._now < self._timer_at and waits[0][1] == READ and not driver.is_busy):
            if waits is not self._asked:
                self._asked = self._waits = waits
                self._watch(dict(waits))
            self._set_timer(when if self.is_held else self.next_deadline())
            driver = self._driver
            self._is_steady = (self._timer is not None and driver is not None
                               and driver.lifecycle.ready_at is not None)
        if self._again:
            self.look_soon()
        if at_once and box.queue:       # last: the program goes on before this returns
            box.wake(True)

    def _watch(self, wanted):
        watched = self._watched
        if self._is_paused:
            wanted = dict((fd, mask & ~READ) for fd, mask in wanted.items())
        self._watched = wanted
        for fd in watched:
            if watched[fd] and fd not in wanted:
                self._hub.watch(fd, watched[fd], 0, self)
        for fd, mask in wanted.items():
            if mask != watched.get(fd, 0):
                self._hub.watch(fd, watched.get(fd, 0), mask, self)

    def forget(self, fd):
        """Stop watching a descriptor that is about to be closed."""
        mask = self._watched.get(fd)
        if mask is not None:
            self._watched = dict(item for item in self._watched.items() if item[0] != fd)
            self._asked = None
            if mask and not self.loop.is_closed():
                self._hub.watch(fd, mask, 0, self)

    def _set_timer(self, when):
        if self._timer is not None:
            if when is not None and self._timer_at <= when:
                return                  # looked at again when it goes off
            self._timer.cancel()
            self._timer = None
        if when is None:
            return
        delay = when - monotonic()
        if delay > 0:
            self._timer_at = when
            self._timer = self.loop.call_later(delay, self._on_timer)
        else:
            self.look_soon()

    def look_soon(self):
        """Look again when the loop is free."""
        self._again = False
        if self._turn is None and not self.loop.is_closed():
            self._turn = self.loop.call_soon(self._on_turn)

    def _on_timer(self):
        self._timer = None
        self._is_steady = False
        self._go_on()

    def _on_turn(self):
        self._turn = None
        self._go_on()

    def wake_loop(self):
        """Let the loop look again.  Safe from any thread and signal handler."""
        if self._nested and get_ident() == self._ident:
            self._again = True
            return
        try:
            self.loop.call_soon_threadsafe(self._go_on)
        except RuntimeError:            # the loop is closed: it will not look
            if not self._leaves and get_ident() == self._ident:
                self.leave()

    # -- sending

    def begin_send(self):
        """Note that the loop's thread sends, so that it need not be woken.

        :returns: True if the wire is dead
        :raises RuntimeError: in another thread
        """
        if get_ident() != self._ident:
            raise RuntimeError(_WRONG_THREAD)
        self._nested += 1
        driver = self._driver
        return driver is not None and driver.writer.error is not None

    def end_send(self):
        """Note that it has sent."""
        self._nested -= 1
        if self._again and not self._nested:
            self.look_soon()

    def send_here(self, opcode, send, *args):
        """Send a message, ping or pong in the loop's thread.

        :param send: called with the other arguments
        :returns: the mark to wait for; None if everything is with the operating system
        :raises RuntimeError: in another thread
        """
        # Hot path: what begin_send() and end_send() do, without their calls.
        if get_ident() != self._ident:
            raise RuntimeError(_WRONG_THREAD)
        driver = self._driver
        is_dead = driver is not None and driver.writer.error is not None
        self._nested += 1
        try:
            send(*args)
        finally:
            self._nested -= 1
            if self._again and not self._nested:
                self.look_soon()
        if is_dead:                         # nothing was sent: the ``await`` will say so
            return NEVER
        return None if self.is_empty() else self.mark(opcode)

    # -- the end

    def leave(self):
        """Leave the connection as leaving a loop does; in the loop's thread."""
        self._leaves = True             # first: what follows may wake the loop
        if not self._nested and self._life is not None:
            self._clean_up()
            self._attend()

    def abandon(self):
        """Leave it, because nobody can use it any longer; in any thread."""
        if self._life is None:
            return
        if get_ident() != self._ident:
            try:
                self.loop.call_soon_threadsafe(self.leave)
                return
            except RuntimeError:        # the loop is closed
                pass
        self.leave()

    def _end(self):
        """Leave nothing behind in the loop."""
        for handle in (self._timer, self._turn):
            if handle is not None:
                handle.cancel()
        self._timer = self._turn = None
        self.is_held = False
        if self._hub is not None:
            if not self.loop.is_closed():
                self._watch({})
            self._hub.leave()
            self._hub = None

    # -- those who wait until all is written

    def mark(self, opcode):
        """Return what stands for all that was sent until now."""
        return self.message_totals()[0], opcode <= Opcode.BINARY

    def has_written(self, mark):
        """Return True if what was sent before is with the operating system.

        :param mark: ``(bytes, is_message)`` of :meth:`mark`, or a stream
        :raises TransportFail: (or SendTimeout) if it never will be
        :raises Exception: what the iterable of the stream has raised
        """
        is_message = False
        if type(mark) is tuple:
            count, is_message = mark
            written = self.message_totals()[1]
            if written > count or is_message and written == count:
                return True
        elif getattr(mark, 'error', None) is not None:
            self.error = None           # it does not come out of the iteration, too
            raise mark.error
        elif mark.is_over and mark.is_begun and mark.is_done:
            return True
        self.check_wire()
        return type(mark) is tuple and not is_message and not self._driver.writer.wants_write()

    def check_wire(self):
        """Raise TransportFail (or SendTimeout) if nothing more can go out."""
        error = None if self._driver is None else self._driver.writer.error
        if error is not None:
            raise type(error)(text_type(error))
        if self._driver is None or self._life is None:
            raise errors.TransportFail(_CLOSED)

    def check_stream(self):
        """Raise WebSocketError if no message in parts may begin."""
        self._core.check_send()
        self._driver.check_upload()

    def is_empty(self):
        """Return True if nothing that was sent waits any longer."""
        writer = self._driver.writer        # hot path: asking for the totals takes longer
        return (not writer.tail and writer.chunks is None and not self._core.send_queue.pending
                and not writer.streams)

    def wait_for(self, mark):
        """Return a future that is done once ``has_written(mark)`` has an answer."""
        future = self.loop.create_future()
        self._senders += ((mark, future),)
        return future

    def _tell_senders(self):
        left = []
        for mark, future in self._senders:
            if future.done():           # canceled: the message goes out nevertheless
                continue
            try:
                if self.has_written(mark):
                    future.set_result(None)
                else:
                    left.append((mark, future))
            except Exception as error:
                future.set_exception(error)
        self._senders = tuple(left)
