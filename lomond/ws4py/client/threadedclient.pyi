# Types of lomond.ws4py.client.threadedclient.

from . import WebSocketBaseClient

LOOK: float

class WebSocketClient(WebSocketBaseClient):
    daemon: bool
    def handshake_ok(self) -> None: ...
    def run_forever(self) -> None: ...
