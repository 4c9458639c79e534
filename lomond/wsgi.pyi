# Types of lomond.wsgi.

from typing import Any, Callable, Mapping, Sequence

from .compression import Deflate
from .response import Request
from .server import ServerWebSocket

_Environ = dict[str, Any]
_Handler = Callable[[ServerWebSocket], object]

def done(environ: _Environ, start_response: Callable[..., Any]) -> list[bytes]: ...
def upgrade(
    environ: _Environ,
    *,
    protocols: Sequence[str] | None = None,
    compress: bool | Deflate = False,
    origins: str | Sequence[str] | None = None,
    on_request: Callable[[Request], tuple[Any, ...] | None] | None = None,
    max_message_size: int | None = ...,
    poll: float | None = None,
    ping_rate: float | None = 30.0,
    ping_timeout: float | None = 30.0,
    auto_pong: bool = True,
    open_timeout: float | None = 10.0,
    close_timeout: float | None = 10.0,
    send_timeout: float | None = 30.0,
    stream_from: int | None = None,
    max_queued: int | None = ...,
) -> ServerWebSocket: ...

class WebSocketApp:
    def __init__(
        self,
        handler: _Handler | Mapping[str, _Handler],
        fallback: Callable[..., Any] | None = None,
        detach: bool = False,
        *,
        protocols: Sequence[str] | None = None,
        compress: bool | Deflate = False,
        origins: str | Sequence[str] | None = None,
        on_request: Callable[[Request], tuple[Any, ...] | None] | None = None,
        max_message_size: int | None = ...,
        max_connections: int | None = 1000,
        poll: float | None = None,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = 30.0,
        auto_pong: bool = True,
        open_timeout: float | None = 10.0,
        close_timeout: float | None = 10.0,
        send_timeout: float | None = 30.0,
        stream_from: int | None = None,
        max_queued: int | None = ...,
    ) -> None: ...
    @property
    def connections(self) -> list[ServerWebSocket]: ...
    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Any: ...
    def stop(self, timeout: float | None = 10.0, code: int = 1001, reason: str = "") -> bool: ...
