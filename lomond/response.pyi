# Types of lomond.response.

from typing import Any, Final, TypeVar, overload

_T = TypeVar("_T")

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
    path: str
    query: str
    http_ver: str
    context: dict[Any, Any]
