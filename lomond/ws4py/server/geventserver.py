"""WebSockets in ``gevent.pywsgi``: a greenlet for each connection.

gevent must have patched ``select``: call ``gevent.monkey.patch_all()`` first.

Knows nothing of: how a socket is taken over.
"""

from __future__ import absolute_import, division, unicode_literals

from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler
from gevent.pywsgi import WSGIServer as _WSGIServer

from .wsgiutils import SOCKET, forget


class WebSocketWSGIHandler(WSGIHandler):
    """Calls the application, and runs its connection, if there is one."""

    def run_application(self):
        """Answer one request; return at the end of its connection."""
        if not self.environ.get('HTTP_UPGRADE'):
            return super(WebSocketWSGIHandler, self).run_application()
        environ = self.environ
        environ[SOCKET] = self.socket
        try:
            super(WebSocketWSGIHandler, self).run_application()
        finally:
            environ.pop(SOCKET, None)
            websocket = forget(environ)
        if websocket is not None:
            self.server.pool.track(websocket).join()


class GEventWebSocketPool(Pool):
    """The greenlets that run connections."""

    def __init__(self, *args, **kwargs):
        super(GEventWebSocketPool, self).__init__(*args, **kwargs)
        self._websockets = {}           # greenlet -> WebSocket

    def track(self, websocket):
        """Run a connection in a greenlet, which is returned."""
        greenlet = self.spawn(websocket.run)
        self._websockets[greenlet] = websocket
        greenlet.link(lambda greenlet: self._websockets.pop(greenlet, None))
        return greenlet

    def clear(self):
        """Begin to close all connections with 1001."""
        for websocket in list(self._websockets.values()):
            websocket.close(1001, 'Server is shutting down')


class WSGIServer(_WSGIServer):
    """The server of ``gevent.pywsgi``; :meth:`stop` closes connections with 1001.

    :ivar pool: the :class:`GEventWebSocketPool`
    """

    handler_class = WebSocketWSGIHandler

    def __init__(self, *args, **kwargs):
        super(WSGIServer, self).__init__(*args, **kwargs)
        self.pool = GEventWebSocketPool()

    def stop(self, *args, **kwargs):
        """Stop; arguments are those of gevent."""
        self.pool.clear()
        super(WSGIServer, self).stop(*args, **kwargs)
