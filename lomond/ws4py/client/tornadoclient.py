"""The client of ws4py that runs in Tornado's loop.

Knows nothing of: how a connection comes about.
"""

from __future__ import absolute_import, division, unicode_literals

from tornado.ioloop import IOLoop

from ..._compat import OS_ERRORS, native
from ...session import READ, WRITE
from .. import get_logger
from ..websocket import Heartbeat
from . import CLOSE_TIMEOUT, WebSocketBaseClient


class TornadoWebSocketClient(WebSocketBaseClient):
    """A client that runs in a loop of Tornado; nothing of it blocks.

    :param io_loop: the ``IOLoop``; None for the current one

    Other parameters are those of :class:`~lomond.ws4py.client.WebSocketBaseClient`.
    """

    def __init__(self, url, protocols=None, extensions=None, io_loop=None, ssl_options=None, headers=None,
                 exclude_headers=None):
        super(TornadoWebSocketClient, self).__init__(
            url, protocols, extensions, None, ssl_options, headers, exclude_headers)
        self.io_loop = io_loop
        self._watched = {}              # descriptor -> what the loop waits for
        self._timer = None

    def connect(self):
        """Begin to connect; ``opened()`` or ``closed()`` follows in the loop."""
        if self._link is not None:
            raise RuntimeError('connect() may be called once only')
        if self.io_loop is None:
            self.io_loop = IOLoop.current()
        self._manager = self            # the loop runs it
        self._socket.websocket = self._make_link()
        self._link.begin(ping_rate=None, close_timeout=CLOSE_TIMEOUT)
        self.io_loop.add_callback(self._turn)

    def _turn(self, ready=()):
        session = self._link.session
        if self._timer is not None:
            self.io_loop.remove_timeout(self._timer)
            self._timer = None
        if not session.is_over:
            for event in session.process(ready, session.monotonic()):
                try:
                    if not self._has_ended:
                        self._note(event)
                except Exception:
                    get_logger().error('a callback of a connection has failed', exc_info=True)
                    self._fail()
        self._wait(session)

    def _note(self, event):
        if event.name == 'ready':
            self.protocols = [native(event.protocol)] if event.protocol else []
            self.extensions = sorted(native(name) for name in event.extensions)
            Heartbeat(self, self.heartbeat_freq).start()
            self.handshake_ok()
        elif event.name in ('rejected', 'connect_fail'):
            self._ending = 1006, event.reason
            if isinstance(getattr(event, 'error', None), OS_ERRORS):
                self.unhandled_error(event.error)
            if event.name == 'connect_fail':
                self.terminate()
        elif not self._handle(event):
            self.terminate()

    def _wait(self, session):
        loop, wanted = self.io_loop, {} if session.is_over else dict(session.waits())
        for fd in list(self._watched):
            if self._watched[fd] != wanted.get(fd):
                loop.remove_handler(fd)
                del self._watched[fd]
        for fd, mask in wanted.items():
            if fd not in self._watched:
                loop.add_handler(fd, self._on_ready,
                                 (loop.READ if mask & READ else 0) | (loop.WRITE if mask & WRITE else 0))
                self._watched[fd] = mask
        when = None if session.is_over else session.next_deadline()
        if when is not None:
            self._timer = loop.call_later(max(when - session.monotonic(), 0), self._turn)

    def _on_ready(self, fd, events):
        loop = self.io_loop
        mask = (READ if events & (loop.READ | loop.ERROR) else 0) | (WRITE if events & loop.WRITE else 0)
        self._turn(((fd, mask & self._watched.get(fd, mask) or mask),))
