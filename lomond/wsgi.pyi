# Types of lomond.wsgi.

from collections.abc import Callable, Collection
from typing import Any, TypedDict

from typing_extensions import TypeAlias, Unpack

from .compression import Deflate
from .response import Request
from .server import ServerWebSocket
from .server.server import _Answer, _Handlers

_Environ: TypeAlias = dict[str, Any]

class _Options(TypedDict, total=False):
    protocols: list[str] | tuple[str, ...] | None
    compress: bool | Deflate | None
    origins: Collection[str] | None
    on_request: Callable[[Request], _Answer] | None
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
        handler: _Handlers,
        fallback: Callable[..., Any] | None = None,
        detach: bool = False,
        **options: Unpack[_AppOptions],
    ) -> None: ...
    @property
    def connections(self) -> list[ServerWebSocket]: ...
    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Any: ...
    def stop(
        self, timeout: float | None = 10.0, code: int | None = 1001, reason: str | bytes = ""
    ) -> bool: ...
