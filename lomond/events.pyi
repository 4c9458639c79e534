# Types of lomond.events: each class has a literal ``name``, so that ``event.name == 'text'`` narrows
# an AnyEvent as well as isinstance() does.

# ``name`` belongs to the class and is only read; there is no way to say so that lets a subclass
# narrow it.
# pyright: reportIncompatibleVariableOverride=false

from typing import Any, ClassVar, Literal

from typing_extensions import TypeAlias

from .response import Request, Response

# What ended a connection: all that retry_on of persist() is asked about.
_Ending: TypeAlias = ConnectFail | Rejected | Disconnected

# What a loop over connect(), a WebSocket or persist() gives.
AnyEvent: TypeAlias = (
    Connecting
    | ConnectFail
    | Connected
    | Redirected
    | Ready
    | Rejected
    | Text
    | Binary
    | TextPart
    | BinaryPart
    | Ping
    | Pong
    | Poll
    | Drained
    | Closing
    | Closed
    | Unresponsive
    | ProtocolError
    | Disconnected
    | UnknownMessage
    | BackOff
    | GaveUp
)

CUT_PAYLOAD: int
CUT_TEXT: int

class Event:
    name: ClassVar[str]
    received_time: float
    def __init__(self) -> None: ...

class Connecting(Event):
    name: ClassVar[Literal["connecting"]]
    url: str
    def __init__(self, url: str) -> None: ...

class ConnectFail(Event):
    name: ClassVar[Literal["connect_fail"]]
    reason: str
    error: BaseException | None
    stage: Literal["prepare", "resolve", "connect", "proxy", "tls", "upgrade"] | None
    response: Response | None
    def __init__(
        self,
        reason: str,
        error: BaseException | None = None,
        stage: Literal["prepare", "resolve", "connect", "proxy", "tls", "upgrade"] | None = None,
        response: Response | None = None,
    ) -> None: ...

class Connected(Event):
    name: ClassVar[Literal["connected"]]
    url: str
    proxy: str | None
    def __init__(self, url: str, proxy: str | None = None) -> None: ...

class Redirected(Event):
    name: ClassVar[Literal["redirected"]]
    url: str
    location: str
    response: Response
    def __init__(self, url: str, location: str, response: Response) -> None: ...

class Ready(Event):
    name: ClassVar[Literal["ready"]]
    response: Response
    protocol: str | None
    extensions: set[str]
    def __init__(self, response: Response, protocol: str | None, extensions: set[str]) -> None: ...

class Rejected(Event):
    name: ClassVar[Literal["rejected"]]
    response: Response
    reason: str
    def __init__(self, response: Response, reason: str) -> None: ...

class Text(Event):
    name: ClassVar[Literal["text"]]
    text: str
    def __init__(self, text: str) -> None: ...
    @property
    def json(self) -> Any: ...

class Binary(Event):
    name: ClassVar[Literal["binary"]]
    data: bytes
    def __init__(self, data: bytes) -> None: ...

class TextPart(Event):
    name: ClassVar[Literal["text_part"]]
    text: str
    is_first: bool
    is_last: bool
    def __init__(self, text: str, is_first: bool, is_last: bool) -> None: ...

class BinaryPart(Event):
    name: ClassVar[Literal["binary_part"]]
    data: bytes
    is_first: bool
    is_last: bool
    def __init__(self, data: bytes, is_first: bool, is_last: bool) -> None: ...

class Ping(Event):
    name: ClassVar[Literal["ping"]]
    data: bytes
    def __init__(self, data: bytes) -> None: ...

class Pong(Event):
    name: ClassVar[Literal["pong"]]
    data: bytes
    latency: float | None
    def __init__(self, data: bytes, latency: float | None = None) -> None: ...

class Poll(Event):
    name: ClassVar[Literal["poll"]]

class Drained(Event):
    name: ClassVar[Literal["drained"]]

class Closing(Event):
    name: ClassVar[Literal["closing"]]
    code: int | None
    reason: str
    def __init__(self, code: int | None, reason: str) -> None: ...

class Closed(Event):
    name: ClassVar[Literal["closed"]]
    code: int | None
    reason: str
    def __init__(self, code: int | None, reason: str) -> None: ...

class Unresponsive(Event):
    name: ClassVar[Literal["unresponsive"]]
    reason: str
    def __init__(self, reason: str = "") -> None: ...

class ProtocolError(Event):
    name: ClassVar[Literal["protocol_error"]]
    error: str
    critical: bool
    def __init__(self, error: str, critical: bool) -> None: ...

class Disconnected(Event):
    name: ClassVar[Literal["disconnected"]]
    reason: str
    graceful: bool
    error: BaseException | None
    code: int | None
    def __init__(
        self,
        reason: str = "closed",
        graceful: bool = False,
        error: BaseException | None = None,
        code: int | None = None,
    ) -> None: ...

class UnknownMessage(Event):
    name: ClassVar[Literal["unknown"]]
    message: Any
    def __init__(self, message: Any) -> None: ...

class BackOff(Event):
    name: ClassVar[Literal["back_off"]]
    delay: float
    attempt: int | None
    cause: _Ending | None
    def __init__(self, delay: float, attempt: int | None = None, cause: _Ending | None = None) -> None: ...

class GaveUp(Event):
    name: ClassVar[Literal["gave_up"]]
    cause: _Ending
    attempts: int
    def __init__(self, cause: _Ending, attempts: int) -> None: ...

# A group with a Server gives it; a client's loop never does, so AnyEvent does not have it.
class Accepted(Event):
    name: ClassVar[Literal["accepted"]]
    request: Request
    protocol: str | None
    extensions: set[str]
    def __init__(self, request: Request, protocol: str | None, extensions: set[str]) -> None: ...
