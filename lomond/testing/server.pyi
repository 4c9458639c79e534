# Types of lomond.testing.server.

import ssl
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Literal

from typing_extensions import Self, TypeAlias

from ..compression import Deflate
from ..events import AnyEvent
from ..response import Request
from .server_connection import ServerConnection

_Pairs: TypeAlias = Iterable[tuple[str | bytes, str | bytes]]
_Answer: TypeAlias = tuple[int, _Pairs, bytes] | tuple[Literal["accept"], str | None, _Pairs] | None

GRACE: Final[float]
LAST_WAIT: Final[float]
RECORD_SIZE: Final[int]
MOST_RECORDS: Final[int]

class ServerError(Exception): ...

class Server:
    handler: Callable[[ServerConnection], object]
    protocols: list[str]
    deflate: Deflate | None
    ssl_context: ssl.SSLContext | None
    max_message_size: int | None
    timeout: float | None
    raise_errors: bool
    record_limit: int
    errors: list[BaseException]
    connection_count: int
    port: int
    def __init__(
        self,
        handler: Callable[[ServerConnection], object] = ...,
        protocols: Iterable[str] = (),
        deflate: bool | Deflate | None = True,
        ssl_context: ssl.SSLContext | None = None,
        on_request: Callable[[Request], _Answer] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        max_message_size: int | None = 67108864,
        timeout: float | None = 10.0,
        raise_errors: bool = True,
        record_limit: int = 67108864,
    ) -> None: ...
    @property
    def url(self) -> str: ...
    def url_of(self, path: str) -> str: ...
    @property
    def connections(self) -> list[ServerConnection]: ...
    @property
    def requests(self) -> list[Request]: ...
    def start(self) -> Self: ...
    def stop(self) -> None: ...
    def drop_connections(self, reset: bool = False) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None: ...
    # For its connections.
    def record(self, connection: ServerConnection, event: AnyEvent) -> None: ...
    def record_request(self, request: Request) -> None: ...
    def answer_request(self, request: Request) -> _Answer: ...
    def fail(self, connection: ServerConnection, error: BaseException) -> None: ...
