"""The connections of one server, the threads that serve them, and draining them.

No lock is used: each operation on the dict is atomic, and a signal handler may stop a
server at any line of any of these methods.

Knows nothing of: how connections are accepted.
"""

from __future__ import absolute_import, division, unicode_literals

import itertools
import os
import sys
import threading

from .._compat import join, monotonic
from . import connection
from .log import get_logger

#: How often a wait for threads looks at its deadline, which may change (seconds).
LOOK = 0.05
#: How long threads may take to end after their connections were dropped (seconds).
LAST_WAIT = 1.0


class Place(object):
    """A connection, and the thread that serves it, or None.

    A place is taken from ``accept`` until the socket is closed.
    """

    __slots__ = ('number', 'websocket', 'thread')

    def __init__(self, number, websocket, thread):
        self.number, self.websocket, self.thread = number, websocket, thread


class Running(object):
    """The connections of one server.

    All methods may be called from any thread, and in signal handlers.

    :ivar stopping: the code and reason to close with, once the server stops; else None
    """

    def __init__(self):
        self._places = {}               # websocket -> Place; each step is atomic
        self._numbers = itertools.count(1)
        self.stopping = None
        self._has_warned = False

    def __len__(self):
        return len(self._places)

    def add(self, websocket, thread=None):
        """Add a connection before its opening handshake; return its :class:`Place`."""
        place = Place(next(self._numbers), websocket, thread)
        self._places[websocket] = place
        return place

    def remove(self, websocket):
        """Forget a connection.  Does nothing if it was forgotten before."""
        self._places.pop(websocket, None)

    def places(self):
        """Return a list of the places that are taken, the oldest first."""
        while True:
            try:
                return sorted(self._places.values(), key=lambda place: place.number)
            except RuntimeError:        # the dict has changed in the meantime
                pass

    def websockets(self):
        """Return a list of the open connections."""
        return [place.websocket for place in self.places() if connection.is_open(place.websocket)]

    def serve(self, websocket, options):
        """Bring a connection to its end, in its thread; then forget it.

        :param websocket: a :class:`~lomond.server.ServerWebSocket`, its opening
            handshake still to come
        :param options: the :class:`~lomond.server.options.Options`, for its handler
        :raises Exception: if something other than the handler fails
        """
        try:
            if connection.shake_hands(websocket):
                if self.stopping is not None:
                    connection.finish(websocket, *self.stopping)
                else:
                    connection.run_handler(websocket, options.find_handler(websocket))
        finally:
            try:
                connection.end(websocket)
            finally:
                self.remove(websocket)

    # -- the end

    def stop(self, code, reason):
        """Close all connections; refuse those whose opening handshake is not done."""
        if self.stopping is None:
            self.stopping = code, reason        # first: what is accepted from now on sees it
        for place in self.places():
            connection.stop(place.websocket, *self.stopping)

    def drop(self):
        """Drop all connections except the one that this thread serves."""
        me = threading.current_thread()
        for place in self.places():
            if place.thread is not me:
                connection.drop(place.websocket)

    def wait(self, deadline, others=()):
        """Wait for all threads except this one.

        :param deadline: a callable that returns when to stop waiting (monotonic), or
            None
        :param others: further threads; None counts as one that has ended
        :returns: the list of threads that are still running
        """
        while True:
            threads = self.threads(others)
            if not threads:
                return threads
            when = deadline()
            left = LOOK if when is None else when - monotonic()
            if left <= 0:
                return threads
            join(threads[0], min(left, LOOK))

    def threads(self, others=()):
        """Return a list of the running threads, without this one."""
        me = threading.current_thread()
        threads = [place.thread for place in self.places()] + list(others)
        return [thread for thread in threads if thread is not None and thread is not me and thread.is_alive()]

    def drain(self, deadline, others=()):
        """Wait for the threads, drop the connections that are left, and wait again.

        A WARNING names the threads that still do not end.

        :param deadline: as for :meth:`wait`
        :param others: as for :meth:`wait`
        :returns: True if no thread except this one is left
        """
        if self.wait(deadline, others):
            self.drop()
            give_up_at = monotonic() + LAST_WAIT
            hanging = self.wait(lambda: give_up_at, others)
            if hanging and not self._has_warned:
                self._has_warned = True
                get_logger().warning('%s of the threads did not end when the server stopped: %s',
                                     len(hanging), '; '.join(find_place(thread) for thread in hanging))
            return not hanging
        return True


#: What hangs is the caller of code in these folders, unless that was installed there.
#: Paths are native text: on 2.7 they may have bytes above 127.
_BELOW = tuple(os.path.join(folder, str('')) for folder in (
    os.path.dirname(os.path.dirname(Place.__init__.__code__.co_filename)),
    os.path.dirname(threading.Thread.__init__.__code__.co_filename)))


def find_place(thread):
    """Return the line at which a thread is, outside lomond and the standard library."""
    frame = getattr(sys, '_current_frames', dict)().get(thread.ident)
    if frame is None:
        return 'an unknown place'
    innermost = frame
    while frame is not None and (frame.f_code.co_filename.startswith(_BELOW)
                                 and str('-packages') not in frame.f_code.co_filename):
        frame = frame.f_back
    frame = frame or innermost
    place = str('{}:{} in {}').format(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
    return place.decode('utf-8', 'replace') if isinstance(place, bytes) else place
