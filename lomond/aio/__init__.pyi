# Types of lomond.aio.

from collections.abc import AsyncIterable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, NoReturn

from typing_extensions import Self

from ..events import AnyEvent, _Ending
from ..websocket import WebSocket, _Parts

AHEAD: Final[int]
MAX_QUEUED: Final[int]

class AsyncEvents:
    def __init__(self, websocket: AsyncWebSocket, session: Any = None) -> None: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> AnyEvent: ...
    def aclose(self) -> Coroutine[Any, Any, None]: ...

class _Cork(AbstractContextManager[None]):
    def __exit__(self, *exc_info: object) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, None]: ...
    def __aexit__(self, *exc_info: object) -> Coroutine[Any, Any, None]: ...

# A WebSocket, of which the awaitable and the refused methods differ.
class AsyncWebSocket(WebSocket):
    def connect(  # type: ignore[override]
        self,
        poll: float | None = None,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = None,
        auto_pong: bool = True,
        close_timeout: float | None = 30.0,
        connect_timeout: float | None = 30.0,
        send_timeout: float | None = 30.0,
        max_queued: int | None = 16777216,
    ) -> AsyncEvents: ...
    def __aiter__(self) -> AsyncEvents: ...
    def __aenter__(self) -> Coroutine[Any, Any, Self]: ...
    def __aexit__(self, *exc_info: object) -> Coroutine[Any, Any, None]: ...
    def __del__(self) -> None: ...
    def __iter__(self) -> NoReturn: ...
    def __enter__(self) -> NoReturn: ...
    def open(self, *args: Any, **settings: Any) -> NoReturn: ...
    def send_text(self, text: str, compress: bool = True) -> Coroutine[Any, Any, None]: ...  # type: ignore[override]
    def send_binary(  # type: ignore[override]
        self, data: bytes | bytearray | memoryview, compress: bool = True
    ) -> Coroutine[Any, Any, None]: ...
    def send_json(self, _obj: Any = ..., **kwargs: Any) -> Coroutine[Any, Any, None]: ...  # type: ignore[override]
    def cork(self) -> _Cork: ...
    def send_stream(  # type: ignore[override]
        self,
        parts: _Parts | AsyncIterable[bytes | bytearray | memoryview] | AsyncIterable[str],
        compress: bool = True,
    ) -> Coroutine[Any, Any, None]: ...
    def send_ping(self, data: bytes = b"") -> Coroutine[Any, Any, None]: ...  # type: ignore[override]
    def send_pong(self, data: bytes) -> Coroutine[Any, Any, None]: ...  # type: ignore[override]

def apersist(
    websocket: AsyncWebSocket,
    poll: float | None = None,
    min_wait: float = 5,
    max_wait: float = 30,
    ping_rate: float | None = 30.0,
    ping_timeout: float | None = None,
    respect_retry_after: bool = True,
    auto_pong: bool = True,
    close_timeout: float | None = 30.0,
    connect_timeout: float | None = 30.0,
    send_timeout: float | None = 30.0,
    max_retries: int | None = None,
    retry_on: Callable[[_Ending], float] | None = None,
    stable_after: float = 10.0,
    max_queued: int | None = 16777216,
) -> AsyncEvents: ...
