# Types of lomond.ws4py.server.wsgirefserver.

from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.simple_server import WSGIServer as _WSGIServer

from ..manager import WebSocketManager
from ..websocket import WebSocket

MAX_LINE: int

class WebSocketWSGIHandler(SimpleHandler):
    def setup_environ(self) -> None: ...
    def finish_response(self) -> None: ...

class WebSocketWSGIRequestHandler(WSGIRequestHandler):
    WebSocketWSGIHandler: type[SimpleHandler]
    def handle(self) -> None: ...

class WSGIServer(_WSGIServer):
    manager: WebSocketManager
    def initialize_websockets_manager(self) -> None: ...
    def link_websocket_to_server(self, ws: WebSocket) -> None: ...
    def server_close(self) -> None: ...
