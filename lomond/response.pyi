# Types of lomond.response.

from typing import Final, Literal, TypeVar, overload

_T = TypeVar("_T")

HEAD_LIMIT: Final[int]
BODY_LIMIT: Final[int]
TOKEN_CHARACTERS: Final[bytes]

def is_token(data: bytes) -> bool: ...
def escape(value: str | bytes | bytearray | memoryview, limit: int = 80) -> str: ...
def split_list(value: str) -> list[str]: ...

class Head:
    raw: bytes
    first_line: str
    headers: dict[str, str]
    defect: str | None
    def __init__(self, header_data: bytes | bytearray) -> None: ...
    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def get_list(self, name: str) -> list[str]: ...
    def header_lines(self, name: str) -> list[str]: ...

class Response(Head):
    http_ver: str
    status_code: int | None
    status: str
    body: bytes

class Request(Head):
    method: str
    target: str
    http_ver: str

class HeadReader:
    surplus: bytes
    def __init__(self, limit: int = ..., kind: Literal["response", "request"] = "response") -> None: ...
    def feed(self, data: bytes | bytearray | memoryview) -> bytes | None: ...

class BodyReader:
    is_complete: bool
    def __init__(self, response: Response, limit: int = ...) -> None: ...
    @property
    def body(self) -> bytes: ...
    def feed(self, data: bytes | bytearray | memoryview) -> None: ...
