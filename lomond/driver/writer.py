"""The one place where bytes go out: the write lock, the queue of replies, blocked senders.

It must not know events, timers or how connections are made.  Check, compress, encode and
write are one act under one lock.  Who may wait for what:

* a sender waits for the lock and for the peer, at most ``send_timeout`` without progress;
* the loop never waits for the lock: it tries, and whoever holds it drains the queue;
* ``close()`` waits for nothing: it appends, tries, and wakes the loop.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import sys
import threading
from types import GeneratorType

from .. import errors
from .._compat import OS_ERRORS, acquire, error_number, error_text, get_ident, text_type, without_frames
from ..network.poller import wait_for
from ..opcode import Opcode
from ..protocol.states import OPENED

#: A sender that waits looks up this often (seconds): it ends even on a stream that no shutdown wakes.
LOOK_UP = 0.5

_NESTED = 'a send was begun inside of another send or read of the same thread (in a signal handler?)'
_INTERRUPTED = 'a send was interrupted inside of a frame'


class Writer(object):
    """Sends for one connection; its methods may be called from any thread.

    :param core: the :class:`~lomond.protocol.connection.Connection`
    :param stream: where bytes go
    :param loop: the session: ``is_loop_thread()``, ``wait_in_send(mask, deadline)``,
        ``wake()``, ``session_time``, ``clock``
    :param send_timeout: seconds without progress until :class:`.SendTimeout`; None for no limit
    :param on_sent: called with the number of bytes after each write, or None
    :param on_reply: called with opcode and payload of each automatic frame, or None
    """

    def __init__(self, core, stream, loop, send_timeout, on_sent=None, on_reply=None):
        self._core = core
        self._pending = core.replies.pending
        self._newest_pong = core.replies.newest_pong
        self._stream = stream
        self._send = stream.send
        self._is_entered = stream.is_entered if stream.is_tls else None
        self._is_buffered = stream.is_buffered
        self._loop = loop
        self._send_timeout = send_timeout
        self.on_sent = on_sent
        self.on_reply = on_reply
        self._lock = threading.Lock()
        self._holder = None         # guarded by _lock: the thread that uses core and stream under it
        self.tail = b''             # guarded by _lock: the rest of a reply, first to go
        self._progress = 0.0        # guarded by _lock: when the peer last took something
        self._unsent = None         # guarded by _lock: what the kernel had at the last look
        self._rest = None           # guarded by _lock: what one write left over
        self.chunks = None          # guarded by _lock: more of a queued message
        self.error = None           # set once, by the holder of _lock: the wire is dead
        self._closing = False       # set once, by the loop: the last user of the descriptor closes it
        self._closed = False        # set by that last user; closing twice does no harm
        self._loop_waits = False    # the loop's own thread waits for the lock (set by it)

    # -- the loop's side: never waits

    def try_flush(self):
        """Write what is queued, as far as it goes without waiting."""
        core = self._core
        if self._is_entered is not None and self._is_entered():
            return                          # a signal handler: the loop does it, or who is writing
        while self._lock.acquire(False):
            blocked = True
            try:
                self._holder = get_ident()
                if self.error is None and not self._closing:
                    blocked = not self._drain()
            except OS_ERRORS as error:
                self._break(error)
            except BaseException:           # Ctrl-C: nobody knows what of the frame went
                self._break(errors.TransportFail(_INTERRUPTED))
                raise
            finally:
                self._release()
            # Somebody may have appended after the drain, and tried the lock in vain.
            if blocked or not core.replies.pending:
                return

    def wants_write(self):
        """True when there is something to write and nobody is writing."""
        waits = bool(self._pending or self.tail or self._newest_pong) or self.chunks is not None
        if (not (waits or self._stream.is_buffered) or self.error is not None       # as a rule, at every wait
                or self._closing or self._lock.locked()):
            return False
        if waits:
            return True
        try:
            return not self._stream.flush()     # it may write
        except OS_ERRORS as error:
            self._break(error)
            return False

    def is_done(self):
        """True when nothing is left to write; else the loop is woken when whoever writes is done."""
        self._loop_waits = self._lock.locked()
        return not (self._loop_waits or self._core.replies.is_waiting() or self.has_tail())

    def has_tail(self):
        """True when part of a reply could not be written yet."""
        return len(self.tail) > 0 or self.chunks is not None

    @property
    def reset(self):
        """The reset that a write has met, or None: the kernel tells of it once, and a read sees an end."""
        cause = getattr(self.error, 'error', None)
        return cause if cause is not None and error_number(cause) == errno.ECONNRESET else None

    def write(self, data):
        """Raw bytes: the request; part of it may stay behind as the tail."""
        with self._lock:
            self.tail = self.tail + data if self.tail else data

    def close(self):
        """End both directions; wakes blocked senders.  The last user closes the descriptor."""
        self._closing = True
        self._stream.shutdown()
        self._close_if_free()

    def _close_if_free(self):
        # Asked is who uses the stream, not the lock: Ctrl-C beside an acquire or a release leaves that
        # taken for ever.  Whoever becomes the holder after this look finds _closing set, and keeps off;
        # and in this very thread no send goes on any more.
        if self._holder in (None, get_ident()) and not self._closed:
            self.tail = b''
            self._stream.close()
            self._closed = True         # last: what Ctrl-C has cut off is done again

    # -- senders: may wait

    def send(self, opcode, payload, compress=False):
        """Check, compress, encode and write one message or control frame.

        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        :raises SendTimeout: the peer took nothing for ``send_timeout`` seconds
        :raises TransportFail: the connection is broken
        """
        # Calls of our own are what a small message costs, besides the one of the system (60 ns
        # each): this method looks at fields instead of asking its neighbours.
        core, pending = self._core, self._pending
        if self._is_entered is not None and self._is_entered():
            raise errors.WebSocketError(_NESTED)
        if not self._lock.acquire(False):
            self._wait_for_lock()
        begun = False
        try:
            self._holder = get_ident()  # inside: see _close_if_free
            if self.error is not None or self._closing:
                self._refuse()
            if pending or self.tail or self.chunks is not None:
                begun = True
                self._drain_all()
                begun = False
            if core.inputs != OPENED:
                core.check_send()
            if opcode <= Opcode.BINARY:
                begun = compress            # the compressor moves on with the message
                data = core.encode(opcode, payload, compress)
            elif opcode == Opcode.PING:
                data = core.send_ping(payload, self._loop.clock())
            else:
                data = core.send_pong(payload)
            begun = True
            if type(data) is GeneratorType:
                for chunk in data:
                    if self._write(chunk) != len(chunk):
                        self._write_rest()
            else:
                count = self._send(data)
                if (count != len(data) or self.on_sent is not None) and self._note(count, data) != len(data):
                    self._write_rest()
            if pending:
                self._drain()
            begun = False
        except errors.WebSocketError:
            begun = False                   # refused before a byte, or broken already
            raise
        except OS_ERRORS as error:
            begun = False
            self._break(error)
            raise self._dead()
        finally:
            if begun:
                # Ctrl-C in a frame, say: its rest is lost, and what came next would be read as that.
                self._break(errors.TransportFail(_INTERRUPTED))
            self._holder = None
            self._lock.release()
            if (pending or self.tail or self._loop_waits or self._closing or self._newest_pong or
                    self._is_buffered):
                self._after_send()

    def _after_send(self):
        """The lock is free again, and others may have something to do."""
        if self._loop_waits or self._closing:
            self._after_release()
        # Also when the send was refused: what others have queued meanwhile, finding the
        # lock taken, nobody else would write (the close frame that was the reason of it).
        if self._pending:
            self.try_flush()
        if self.wants_write():
            self._loop.wake()           # the loop is to wait until the rest can go

    def _refuse(self):
        if self.error is not None:
            raise self._dead()
        self._core.check_send()
        raise errors.WebSocketClosed('nothing can be sent, the connection is over')

    def _release(self):
        self._holder = None
        self._lock.release()
        self._after_release()

    def _after_release(self):
        if self._loop_waits:
            self._loop.wake()
        if self._closing:
            self._close_if_free()

    def _write(self, data):
        """One attempt; the number of bytes that went."""
        return self._note(self._send(data), data)

    def _note(self, count, data):
        """What came of one attempt: the rest is kept; the number of bytes that went."""
        if count is None:
            self._rest = memoryview(data)
            return 0
        on_sent = self.on_sent          # once: the loop may set it to None
        if on_sent is not None:
            on_sent(count)
        if count != len(data):
            self._rest = memoryview(data)[count:]
        return count

    def _write_rest(self):
        """Write what :meth:`_write` left over, waiting for the peer."""
        self._begin_wait()
        while self._rest is not None:
            rest, self._rest = self._rest, None
            if self._write(rest):
                self._begin_wait()
            else:
                self._wait_for_peer()

    def _drain(self):
        """Write the tail and the queue without waiting; False when something is left."""
        while True:
            if not self.tail and not self._next_tail():
                return self._stream.flush()
            count = self._write(self.tail)
            if count == len(self.tail):
                self.tail = b''
            else:
                if count:
                    self.tail = self._rest
                return False

    def _next_tail(self):
        """Encode what is queued next; False when there is nothing."""
        core = self._core
        while True:
            if self.chunks is not None:
                for chunk in self.chunks:
                    self.tail = chunk
                    return True
                self.chunks = None
            item = core.replies.next()
            if item is None:
                return False
            opcode, payload = item
            if opcode in (Opcode.TEXT, Opcode.BINARY):
                encoded = core.encode(opcode, *payload)
                self.chunks = encoded if type(encoded) is GeneratorType else iter((encoded,))
                continue
            if opcode == Opcode.CLOSE and core.sent_close_time is None:
                core.sent_close_time = self._loop.session_time
            self.tail = core.encode_reply(opcode, payload)
            on_reply = self.on_reply
            if on_reply is not None:
                on_reply(opcode, payload)
            return True

    def _drain_all(self):
        """Write the tail and the queue, waiting for the peer."""
        self._begin_wait()
        left = self.tail
        while not self._drain():
            if self.tail is not left:      # something went
                left = self.tail
                self._begin_wait()
            self._wait_for_peer()

    # -- waiting

    def _begin_wait(self):
        """The peer has just taken something, or nothing was tried before."""
        self._progress = self._loop.clock()
        self._unsent = None

    def _wait_for_peer(self):
        """Wait until the peer may take more; the holder of the lock only.

        :raises SendTimeout: it took nothing for ``send_timeout`` seconds
        """
        clock = self._loop.clock
        while True:
            left = LOOK_UP
            if self._send_timeout is not None:
                unsent = self._stream.unsent()
                if unsent is not None and self._unsent is not None and unsent < self._unsent:
                    self._progress = clock()
                self._unsent = unsent
                left = self._progress + self._send_timeout - clock()
                if left <= 0:
                    self._break(errors.SendTimeout(
                        'socket fail; the peer took nothing for {}s (send_timeout)', self._send_timeout))
                    raise self._dead()
            ready = self._wait(self._stream.send_wants, min(left, LOOK_UP))
            if self._closing:
                raise errors.TransportFail('socket fail; the connection was closed during a send')
            if self.error is not None:
                raise self._dead()
            if ready:
                return

    def _wait(self, mask, seconds):
        """True when the stream may be ready."""
        if self._loop.is_loop_thread():
            return self._loop.wait_in_send(mask, self._loop.clock() + seconds)
        return bool(wait_for(((self._stream.fileno(), mask),), seconds))

    def _wait_for_lock(self):
        """Take the lock.  No time limit of its own: its holder has one, and whoever waits ends with it;

        but a holder that compresses for a minute is no peer that takes nothing.
        """
        if self._is_nested():
            raise errors.WebSocketError(_NESTED)
        in_loop = self._loop.is_loop_thread()
        while True:
            if in_loop:
                self._loop_waits = True
                try:
                    if self._lock.acquire(False):
                        return
                    self._loop.wait_in_send(0, self._loop.clock() + LOOK_UP)
                finally:
                    self._loop_waits = False
            elif acquire(self._lock, LOOK_UP):
                return
            if self.error is not None:
                raise self._dead()
            if self._closing:
                raise errors.TransportFail('socket fail; the connection was closed during a send')

    def _is_nested(self):
        """True in a signal handler that has interrupted this thread while it has the lock."""
        if self._holder is not None:
            return self._holder == get_ident()
        # Perhaps between the lock and the name of its holder.  To note more would cost each send; to look
        # for the interrupted method costs only who finds the lock taken.
        frame = sys._getframe(2).f_back
        while frame is not None:
            if frame.f_code in _LOCKERS and frame.f_locals.get('self') is self:
                return True
            frame = frame.f_back
        return False

    def _break(self, error):
        """The wire is dead: nothing more goes out, and the loop ends the connection."""
        if self.error is None:
            if not isinstance(error, errors.TransportFail):
                cause = without_frames(error)
                error = errors.TransportFail('socket fail; ' + error_text(cause))
                error.error = cause
            self.error = error
        self.tail = b''
        self._loop.wake()

    def _dead(self):
        """A fresh exception for each sender: one that is raised again grows its traceback."""
        error = type(self.error)(text_type(self.error))
        error.error = getattr(self.error, 'error', None)
        return error


#: What takes the lock, in its own frame.
_LOCKERS = frozenset(method.__code__ for method in (Writer.try_flush, Writer.write, Writer.send))
