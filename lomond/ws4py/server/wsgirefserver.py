"""WebSockets in the server of ``wsgiref``: one thread for requests, one for all
connections.

Knows nothing of: how a socket is taken over.
"""

from __future__ import absolute_import, division, unicode_literals

from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.simple_server import WSGIServer as _WSGIServer

from ..manager import WebSocketManager
from .wsgiutils import SOCKET, forget

#: The longest line of a request, as in wsgiref.
MAX_LINE = 65536


class WebSocketWSGIHandler(SimpleHandler):
    """Calls the application, and hands its connection to the server."""

    def __init__(self, *args, **kwargs):
        SimpleHandler.__init__(self, *args, **kwargs)
        self.http_version = SimpleHandler.http_version      # one set for the class has no effect

    def setup_environ(self):
        """Say that this server runs connections."""
        SimpleHandler.setup_environ(self)
        self.environ[SOCKET] = self.request_handler.connection

    def finish_response(self):
        """Answer, and hand the connection over, if there is one."""
        websocket = None
        if self.environ:
            self.environ.pop(SOCKET, None)
            websocket = forget(self.environ)
        try:
            SimpleHandler.finish_response(self)
        except BaseException:
            if websocket is not None:
                websocket.close(1011)
                websocket.terminate()
            raise
        if websocket is not None:
            self.request_handler.server.link_websocket_to_server(websocket)


class WebSocketWSGIRequestHandler(WSGIRequestHandler):
    """Reads one request.

    :ivar WebSocketWSGIHandler: the class that calls the application
    """

    WebSocketWSGIHandler = WebSocketWSGIHandler

    def handle(self):
        """Read one request, and answer it."""
        self.raw_requestline = self.rfile.readline(MAX_LINE + 1)
        if len(self.raw_requestline) > MAX_LINE:
            self.requestline = self.request_version = self.command = ''
            self.send_error(414)
        elif self.parse_request():          # otherwise it has answered
            handler = self.WebSocketWSGIHandler(
                self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=False)
            handler.request_handler = self
            handler.run(self.server.get_app())


class WSGIServer(_WSGIServer):
    """The server; call :meth:`initialize_websockets_manager` before it serves.

    :ivar manager: the :class:`~lomond.ws4py.manager.WebSocketManager`
    """

    def initialize_websockets_manager(self):
        """Start the thread that runs the connections."""
        self.manager = WebSocketManager()
        self.manager.daemon = True
        self.manager.start()

    def link_websocket_to_server(self, ws):
        """Have the manager run a connection."""
        self.manager.add(ws)

    def server_close(self):
        """Close all connections with 1001, and the listening socket."""
        manager = vars(self).pop('manager', None)
        if manager is not None:
            manager.close_all()
            manager.stop()
            manager.join()
        _WSGIServer.server_close(self)
