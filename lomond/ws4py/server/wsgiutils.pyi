# Types of lomond.ws4py.server.wsgiutils.

from collections.abc import Sequence
from typing import Any, Callable

from ..websocket import WebSocket

_Environ = dict[str, Any]

SOCKET: str
KEYS: tuple[str, str]

class WebSocketWSGIApplication:
    protocols: Sequence[str] | None
    extensions: Sequence[str] | None
    handler_cls: Callable[..., WebSocket]
    options: dict[str, Any]
    def __init__(
        self,
        protocols: Sequence[str] | None = None,
        extensions: Sequence[str] | None = None,
        handler_cls: Callable[..., WebSocket] = ...,
        **options: Any,
    ) -> None: ...
    def make_websocket(
        self, sock: Any, protocols: list[str], extensions: list[str], environ: _Environ
    ) -> WebSocket: ...
    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Any: ...

# For the servers.
def copy(environ: _Environ) -> _Environ: ...
def judge(
    environ: _Environ,
    protocols: Sequence[str] | None = None,
    extensions: Sequence[str] | None = None,
    **options: Any,
) -> Any: ...
def agreed(judged: Any) -> tuple[list[str], list[str]]: ...
def forget(environ: _Environ) -> WebSocket | None: ...
