# Types of lomond.session.

import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, ClassVar, Final

from .events import AnyEvent
from .websocket import WebSocket

# What waits() asks for, and process() is told: a descriptor can be read or written.
READ: Final = 1
WRITE: Final = 2

class WebsocketSession:
    # A class without parameters, or a method, that gives what
    # lomond.network.poller.Waiting gives.
    waiting: ClassVar[Any]
    is_over: bool
    look: Callable[[], float | None] | None
    # Whatever _connect() gave: mostly a socket.socket; None before it and after the end.
    _sock: Any
    def __init__(self, websocket: WebSocket) -> None: ...
    def run(
        self,
        poll: float = 5.0,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = None,
        auto_pong: bool = True,
        close_timeout: float | None = 30.0,
        connect_timeout: float | None = 30.0,
        send_timeout: float | None = 30.0,
    ) -> Generator[AnyEvent, None, None]: ...
    def start(
        self,
        poll: float = 5.0,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = None,
        auto_pong: bool = True,
        close_timeout: float | None = 30.0,
        connect_timeout: float | None = 30.0,
        send_timeout: float | None = 30.0,
    ) -> None: ...
    def waits(self) -> tuple[tuple[int, int], ...]: ...
    def next_deadline(self) -> float | None: ...
    def monotonic(self) -> float: ...
    def process(self, ready: Iterable[tuple[int, int]], now: float) -> Iterator[AnyEvent]: ...
    def send(self, opcode: int, payload: bytes | memoryview, compress: bool = False) -> None: ...
    def queue_message(self, opcode: int, payload: bytes | memoryview, compress: bool = False) -> int: ...
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def force_disconnect(self) -> None: ...
    def say_goodbye(self, is_left: bool | None = None) -> None: ...
    def wake(self) -> None: ...
    @property
    def session_time(self) -> float: ...
    def time_left(self) -> float | None: ...
    # The two override points: what has recv(), send(), fileno() and close(), and the URL of the
    # proxy; what _wrap_socket() gives stands for the connection from then on.
    def _connect(self) -> tuple[Any, str | None]: ...
    def _wrap_socket(self, sock: socket.socket, host: str) -> Any: ...
