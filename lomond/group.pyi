# Types of lomond.group.

from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Final, TypedDict

from typing_extensions import Self, TypeAlias, Unpack

from .events import Accepted, AnyEvent, _Ending
from .websocket import WebSocket

MAX_QUEUED: Final[int]
NEXT_TURN: Final[float]
DROP_TIME: Final[float]
DRAIN_TIME: Final[float]

# The group's own Poll comes with None instead of a WebSocket.  A checker cannot know that the other
# events never do, so Any is one of the types.
_Member: TypeAlias = WebSocket | Any

# Those of connect() that a client in a group may have.
class _Settings(TypedDict, total=False):
    ping_rate: float | None
    ping_timeout: float | None
    auto_pong: bool
    close_timeout: float | None
    connect_timeout: float | None
    send_timeout: float | None

class Group:
    def __init__(
        self,
        members: Iterable[Any] = (),
        poll: float = 5.0,
        keep_open: bool = False,
        max_connecting: int | None = 100,
        max_queued: int | None = 16777216,
        **settings: Unpack[_Settings],
    ) -> None: ...
    def add(
        self,
        member: Any,
        **settings: Unpack[_Settings],
    ) -> None: ...
    def persist(
        self,
        websocket: WebSocket,
        min_wait: float = 5,
        max_wait: float = 30,
        respect_retry_after: bool = True,
        max_retries: int | None = None,
        retry_on: Callable[[_Ending], float] | None = None,
        stable_after: float = 10.0,
        **settings: Unpack[_Settings],
    ) -> None: ...
    def remove(self, member: object, code: int | None = 1001, reason: str | bytes = "") -> None: ...
    def close(self, code: int | None = 1001, reason: str | bytes = "") -> None: ...
    @property
    def websockets(self) -> list[Any]: ...
    def __len__(self) -> int: ...
    def __contains__(self, member: object) -> bool: ...
    def __iter__(self) -> Generator[tuple[_Member, AnyEvent | Accepted], None, None]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: type[BaseException] | BaseException | TracebackType | None) -> None: ...
