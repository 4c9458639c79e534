# Types of lomond.testing.link.

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from ..errors import WebSocketError
from ..events import AnyEvent
from ..response import Request
from .server import Server
from .server_connection import ServerConnection

LINGER: Final[float]

class ReceiveTimeout(WebSocketError): ...

class Link:
    number: int
    address: Any
    # None before the request has come, which a handler sees only if it is raw: so it is not said.
    request: Request
    protocol: str | None
    extensions: set[str]
    error: BaseException | None
    is_over: bool
    recorded: deque[AnyEvent]
    def __init__(self, server: Server, sock: socket.socket, address: Any, number: int) -> None: ...
    def run(self, handler: Callable[[ServerConnection], object]) -> None: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
