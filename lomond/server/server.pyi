# Types of lomond.server.server.

import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

from typing_extensions import Self, TypeAlias

from ..compression import Deflate
from ..response import Request
from .connection import ServerWebSocket

_Handler: TypeAlias = Callable[[ServerWebSocket], object]
_Handlers: TypeAlias = _Handler | Mapping[str, _Handler]
_Pairs: TypeAlias = Iterable[tuple[str | bytes, str | bytes]]
_Answer: TypeAlias = tuple[int, _Pairs, bytes] | tuple[Literal["accept"], str | None, _Pairs] | None

class Server:
    port: int
    addresses: list[Any]
    def __init__(
        self,
        handler: _Handlers | None = None,
        host: str | None = "localhost",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        protocols: list[str] | tuple[str, ...] | None = None,
        compress: bool | Deflate | None = False,
        origins: Collection[str] | None = None,
        on_request: Callable[[Request], _Answer] | None = None,
        max_message_size: int | None = 1048576,
        max_connections: int | None = 1000,
        poll: float | None = None,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = 30.0,
        auto_pong: bool = True,
        open_timeout: float | None = 10.0,
        close_timeout: float | None = 10.0,
        send_timeout: float | None = 30.0,
        sock: socket.socket | list[socket.socket] | tuple[socket.socket, ...] | None = None,
        stream_from: int | None = None,
        max_queued: int | None = 1048576,
    ) -> None: ...
    @property
    def url(self) -> str: ...
    @property
    def connections(self) -> list[ServerWebSocket]: ...
    def start(self) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def serve_forever(self) -> None: ...
    def stop(
        self, timeout: float | None = 10.0, code: int | None = 1001, reason: str | bytes = ""
    ) -> bool: ...

def serve(handler: _Handlers, host: str | None = "localhost", port: int = 8080, **options: Any) -> None: ...
