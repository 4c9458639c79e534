# Types of lomond.testing.scripted_transport.

from collections.abc import Callable, Iterable, Sequence

from typing_extensions import TypeAlias

from ..compression import Deflate
from ..events import AnyEvent
from ..response import Request
from ..session import WebsocketSession
from .clock import FakeClock
from .steps import Room, SendsFail, Until, _Mark

_Step: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | float
    | Exception
    | _Mark
    | Until
    | Room
    | SendsFail
    | Callable[[ScriptedTransport], bytes | None]
)

class ScriptedTransport:
    clock: FakeClock
    patience: float
    sent: list[tuple[float, bytes]]
    events: list[tuple[float, AnyEvent]]
    request: Request | None
    is_closed: bool
    def __init__(
        self,
        script: Iterable[_Step] = (),
        clock: FakeClock | None = None,
        protocols: Sequence[str] = (),
        deflate: bool | Deflate | None = None,
        answers: bool = False,
        connect_error: Exception | None = None,
        patience: float = 3600.0,
    ) -> None: ...
    @property
    def session_class(self) -> type[WebsocketSession]: ...
    def encode_message(
        self, opcode: int, payload: bytes, compress: bool = True, fin: bool = True
    ) -> bytes: ...
    def begin(self) -> None: ...
    def next_times(self) -> list[float]: ...
    def find_ready(self) -> int: ...
    def fileno(self) -> int: ...
    def recv(self, size: int) -> bytes: ...
    def send(self, data: bytes | bytearray | memoryview) -> int: ...
    def shutdown(self, how: int) -> None: ...
    def close(self) -> None: ...

def session_class(*transports: ScriptedTransport) -> type[WebsocketSession]: ...
