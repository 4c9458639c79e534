# Types of lomond.wsgi.

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from typing_extensions import TypeAlias, Unpack

from .compression import Deflate
from .response import Request
from .server import ServerWebSocket

_Environ: TypeAlias = dict[str, Any]
_Handler: TypeAlias = Callable[[ServerWebSocket], object]

class _Options(TypedDict, total=False):
    protocols: Sequence[str] | None
    compress: bool | Deflate
    origins: str | Sequence[str] | None
    on_request: Callable[[Request], tuple[Any, ...] | None] | None
    max_message_size: int | None
    poll: float | None
    ping_rate: float | None
    ping_timeout: float | None
    auto_pong: bool
    open_timeout: float | None
    close_timeout: float | None
    send_timeout: float | None
    stream_from: int | None
    max_queued: int | None

class _AppOptions(_Options, total=False):
    max_connections: int | None

def done(environ: _Environ, start_response: Callable[..., Any]) -> list[bytes]: ...
def upgrade(environ: _Environ, **options: Unpack[_Options]) -> ServerWebSocket: ...

class WebSocketApp:
    def __init__(
        self,
        handler: _Handler | Mapping[str, _Handler],
        fallback: Callable[..., Any] | None = None,
        detach: bool = False,
        **options: Unpack[_AppOptions],
    ) -> None: ...
    @property
    def connections(self) -> list[ServerWebSocket]: ...
    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Any: ...
    def stop(self, timeout: float | None = 10.0, code: int = 1001, reason: str = "") -> bool: ...
