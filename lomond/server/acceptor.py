"""The loop that accepts in a thread of its own, and a thread for each connection.

An :class:`Acceptor` waits for the listening sockets, gives each connection what it
needs (descriptors, a thread), and holds one back while the machine has run out of
them.  It never waits for a connection.  A subclass says what a connection is:
:class:`lomond.server.Server` has one, and so has the server of ``lomond.testing``.

Knows nothing of: options, handlers, the protocol.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import IS_WINDOWS, OS_ERRORS, get_ident, monotonic, new_thread, sleep
from ..driver.deadlines import earliest
from ..network.poller import Waiting, new_wake_up
from .log import log_failure
from .shortage import PAUSE, is_shortage

#: The longest wait on Windows, where signals do not end one.
PACE = 0.5 if IS_WINDOWS else None


class Acceptor(object):
    """Accepts the connections of one server, and serves each in a thread.

    :meth:`stop_soon`, :meth:`stop_listening` and what is read may be used from any
    thread.

    :param listener: a :class:`~lomond.server.listener.Listener`
    :param running: the :class:`~lomond.server.running.Running` connections
    :param name: of the thread; those of the connections have a number as well

    :ivar wake_up: what ends a wait, also for signals; None unless it is open
    :ivar thread: that of :meth:`start`; None before
    """

    #: If false, a client is turned down at once if no thread can be started for it.
    waits_for_threads = False

    def __init__(self, listener, running, name):
        self.listener = listener
        self.running = running
        self.wake_up = None
        self.thread = None
        self._name = name
        self._waiting = None
        self._ident = None              # of the thread that accepts, while it does
        self._is_stopping = False
        self._stop_at = []              # when to drop what is left; monotonic, or None
        self._held = None               # a place and a socket that still lack descriptors, or a thread

    # -- what a subclass says

    def admit(self, sock, address, now):
        """Make the connection of an accepted socket, and add it to those that run.

        :param sock: the socket; it belongs to the connection, unless this raises
        :param address: as returned by ``socket.accept``
        :param now: monotonic seconds
        :returns: its :class:`~lomond.server.running.Place`; None if it was turned away
        """
        raise NotImplementedError

    def prepare(self, place):
        """Open the descriptors that a connection needs, before it has a thread.

        :raises OSError: if none is free; it is called again
        """
        raise NotImplementedError

    def serve(self, place):
        """Serve one connection to its end; in its thread."""
        raise NotImplementedError

    def turn_down(self, place, sock):
        """End a connection that gets no thread."""
        raise NotImplementedError

    # -- accepting

    def open(self):
        """Open the wake-up, before :meth:`run` or :meth:`start`.

        :raises OSError: if no descriptor is free
        """
        self.wake_up = new_wake_up()
        self._waiting = Waiting(self.wake_up)

    def start(self):
        """Accept in a daemon thread.

        :raises RuntimeError: if it cannot be started (``thread.error`` on 2.7); the
            wake-up is closed
        """
        thread = new_thread(self.run, self._name)
        try:
            thread.start()
        except Exception:
            self._waiting = self.wake_up = None
            raise
        self.thread = thread

    def run(self):
        """Accept until :meth:`stop_soon`; then close what listens."""
        listener, waiting = self.listener, self._waiting
        wake_up = waiting.wake_waits
        self._ident = get_ident()
        try:
            while not self._is_stopping or not listener.is_idle:
                drop_at = None
                if self._is_stopping:           # clients that were turned away may still leave
                    self._stop_listening()
                    drop_at = self.drop_at()
                    if drop_at is not None and monotonic() >= drop_at:
                        break
                try:
                    deadline = earliest(listener.next_deadline(), drop_at)
                    if PACE is not None:
                        deadline = earliest(deadline, monotonic() + PACE)
                    ready = waiting.wait(listener.waits() + wake_up, deadline)
                    if ready:
                        waiting.clear()
                    self._take_all(ready)
                except Exception:       # ours: it must not end the server, nor spin
                    log_failure('accepting has failed; it goes on in %s s', PAUSE)
                    sleep(PAUSE)
            self._stop_listening()
            listener.close()
        finally:
            self._ident = None
            waiting.close()
            self.wake_up = None

    def _take_all(self, ready):
        held, self._held = self._held, None
        if held is not None:
            self._begin(*held)
        for sock, address in self.listener.process(ready, monotonic()):
            try:
                place = self.admit(sock, address, monotonic())
            except BaseException:
                sock.close()
                raise
            if place is not None:
                self._begin(place, sock)
            sock = None                 # 2.7: it stays open while anything refers to it

    def _begin(self, place, sock):
        """Give a connection what it needs, and begin to serve it."""
        try:
            self.prepare(place)
        except (MemoryError,) + OS_ERRORS as error:
            if not is_shortage(error):
                self._give_up(place, sock)
                raise
            self._hold(place, sock, error)
            return
        place.thread = new_thread(self.serve, '{} connection {}'.format(self._name, place.number), place)
        try:
            place.thread.start()
        except Exception as error:      # RuntimeError, thread.error, MemoryError
            place.thread = None
            if self.waits_for_threads:
                self._hold(place, sock, error)
            else:
                self.listener.pause(error, None)
                self._give_up(place, sock)

    def _hold(self, place, sock, error):
        """Accept nothing else until a connection gets what it lacks."""
        self._held = place, sock
        self.listener.pause(error, monotonic())

    def _give_up(self, place, sock):
        self.running.remove(place.websocket)
        self.turn_down(place, sock)

    # -- the end

    def stop_soon(self, drop_at=None):
        """Begin to stop.  Never waits; safe from any thread and in signal handlers.

        :param drop_at: when to drop what is left (monotonic), or None; the earliest one
            counts
        """
        self._stop_at.append(drop_at)
        self._is_stopping = True
        waiting = self._waiting
        if waiting is not None:
            waiting.wake()

    def drop_at(self):
        """Return when to drop what is left (monotonic), or None."""
        return earliest(*self._stop_at)

    def _stop_listening(self):
        held, self._held = self._held, None
        if held is not None:
            self._give_up(*held)
        self.listener.stop_listening()

    def stop_listening(self):
        """Wait until nothing listens, after :meth:`stop_soon`."""
        me = get_ident()
        while self.listener.is_open and self._ident not in (None, me):
            sleep(0.001)                # its thread closes it, for it may be polling it
        self.listener.stop_listening()
        if self._ident is None:
            self.listener.close()
