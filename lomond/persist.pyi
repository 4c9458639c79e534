# Types of lomond.persist.

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Final, Protocol

from .events import AnyEvent, Event, _Ending
from .websocket import WebSocket, _Session

CONNECT_DEFAULTS: Final[dict[str, Any]]
POLL_EXIT: Final[float]
EXIT_GRACE: Final[float]
AT_ONCE: Final[float]

# A test double of a WebSocket is accepted: only connect() is always called.
class _Connects(Protocol):
    @property
    def connect(self) -> Callable[..., Iterable[AnyEvent]]: ...

class _Waits(Protocol):
    @property
    def wait(self) -> Callable[[float], object]: ...

def persist(
    websocket: _Connects,
    poll: float = 5,
    min_wait: float = 5,
    max_wait: float = 30,
    ping_rate: float | None = 30,
    ping_timeout: float | None = None,
    exit_event: _Waits | None = None,
    respect_retry_after: bool = True,
    auto_pong: bool = True,
    close_timeout: float | None = 30.0,
    connect_timeout: float | None = 30.0,
    send_timeout: float | None = 30.0,
    session_class: Callable[[WebSocket], _Session[Iterator[Event]]] | None = None,
    max_retries: int | None = None,
    retry_on: Callable[[_Ending], float] | None = None,
    stable_after: float = 10.0,
) -> Generator[AnyEvent, None, None]: ...
def transient(event: _Ending) -> bool: ...
def back_off_delay(
    retries: int,
    random: float,
    min_wait: float,
    max_wait: float,
    retry_after: str | None = None,
    now: float | None = None,
) -> float: ...
