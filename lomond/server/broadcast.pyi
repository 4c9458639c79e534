# Types of lomond.server.broadcast.

from collections.abc import Iterable

from ..websocket import WebSocket
from .connection import ServerWebSocket

def broadcast(
    websockets: Iterable[ServerWebSocket | WebSocket],
    message: str | bytes | bytearray | memoryview,
    compress: bool = True,
    limit: int | None = 1048576,
) -> int: ...
