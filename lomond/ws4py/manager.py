"""Many connections in one thread: a :class:`~lomond.group.Group` with callbacks.

Knows nothing of: how the connections came about.
"""

from __future__ import absolute_import, division, unicode_literals

import threading

from .._compat import native
from ..errors import WebSocketError
from ..group import Group
from ..server import broadcast
from . import get_logger
from .messaging import Message
from .websocket import Heartbeat, _convert, _end

#: Seconds between two events of the group that nobody needs.
SELDOM = 3600.0
#: Bytes that may wait to be sent to one client.
MAX_QUEUED = 16 * 1024 * 1024


class WebSocketManager(threading.Thread):
    """Calls the callbacks of many connections, in a thread of its own.

    A callback that raises is logged, and its connection is closed with 1011; the others
    go on.

    Threads: all members may be used from any thread.

    :param poller: accepted and ignored

    :ivar running: True while the thread runs
    :ivar lock: free for programs; nothing here takes it
    """

    def __init__(self, poller=None):
        super(WebSocketManager, self).__init__(name=native('WebSocketManager'))
        self.poller = poller
        self.lock = threading.Lock()
        self.running = False
        self._loop = Group(poll=SELDOM, keep_open=True)
        self._is_stopped = False
        self._managed = {}              # link -> WebSocket; each step is atomic

    # -- members

    @property
    def websockets(self):
        """A dict of the connections by descriptor, a snapshot."""
        return dict((websocket._socket.fileno(), websocket) for websocket in self)

    def __len__(self):
        return len(self._managed)

    def __bool__(self):
        return True                     # as a thread; len() may be 0

    __nonzero__ = __bool__

    def __iter__(self):
        return iter(list(self._managed.copy().values()))

    def __contains__(self, websocket):
        return self._managed.get(websocket._link) is websocket

    def add(self, websocket):
        """Call ``opened()`` of a connection, in this thread, and run it from then on.

        Nothing happens if it is managed already.

        :param websocket: a :class:`~lomond.ws4py.websocket.WebSocket` that is open
        :raises RuntimeError: if it is not, or is in another manager, or this one was
            stopped, which closes the connection with 1001
        """
        link = websocket._link
        if link is None or websocket.terminated:
            raise RuntimeError('the connection is {}'.format('over' if link is not None else 'not open yet'))
        if websocket._manager not in (None, self):
            raise RuntimeError('the connection is in another manager')
        if self._is_stopped:
            websocket.close(1001)
            websocket.terminate()
            raise RuntimeError('the manager was stopped')
        self._managed[link] = websocket
        if websocket._manager is self:
            return
        websocket._manager = self
        try:
            websocket._open()
        except Exception:
            self._break_off(websocket)
        Heartbeat(websocket, websocket.heartbeat_freq).start()
        if hasattr(link.session, 'max_queued') and link.session.max_queued is None:
            link.session.max_queued = MAX_QUEUED
        try:
            if not link.session.is_over:
                self._loop.add(link)
                return
        except WebSocketError:              # stopped meanwhile
            websocket._manager = None
        self._managed.pop(link, None)
        websocket.terminate()

    def remove(self, websocket):
        """Call no further callbacks of a connection, not even ``closed()``.

        It stays open, and may still send, until somebody closes it.
        """
        if websocket in self:
            self._managed.pop(websocket._link, None)

    # -- all of them

    def broadcast(self, message, binary=False):
        """Send a message to all connections, without waiting for any of them.

        One whose peer does not keep up is dropped.

        :param message: text, bytes, or a message of :mod:`lomond.ws4py.messaging`
        :param binary: if true, it is a binary message
        """
        if isinstance(message, Message):
            message, binary = message.data, message.is_binary
        broadcast([websocket._link for websocket in self], _convert(message, binary))

    def close_all(self, code=1001, message='Server is shutting down'):
        """Begin to close all connections; does not wait."""
        for websocket in self:
            websocket.close(code, message)

    # -- the thread

    def run(self):
        """Run the connections, until :meth:`stop`."""
        self.running = True
        try:
            for link, event in self._loop:
                websocket = self._managed.get(link)
                if websocket is not None:
                    self._deliver(websocket, event)
        finally:
            self.running = False

    def _deliver(self, websocket, event):
        try:
            if not websocket._handle(event):
                self._managed.pop(websocket._link, None)
                websocket.terminate()
        except Exception:
            self._break_off(websocket)

    def _break_off(self, websocket):
        get_logger().error('a callback of a connection has failed', exc_info=True)
        self._managed.pop(websocket._link, None)
        try:
            websocket._fail()
        except Exception:
            get_logger().error('closed() of a connection has failed', exc_info=True)

    def stop(self):
        """Close what is open with 1001; ``join()`` waits for that.

        No connection can be added from now on.
        """
        was_started, self.running, self._is_stopped = self.ident is not None, False, True
        self._loop.close(1001, '')
        if not was_started:
            for websocket in self:
                self._managed.pop(websocket._link, None)
                websocket.terminate()
                _end(websocket._link)
