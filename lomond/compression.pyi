# Types of lomond.compression.

from typing import Any, Final, Literal

from typing_extensions import Self

NAME: Final = "permessage-deflate"
FLAGS: Final[tuple[str, str]]

class Deflate:
    level: int
    mem_level: int
    client_max_window_bits: int | Literal[False] | None
    server_max_window_bits: int | None
    client_no_context_takeover: bool
    server_no_context_takeover: bool
    min_size: int
    zlib: Any
    def __init__(
        self,
        level: int = 6,
        mem_level: int = 8,
        client_max_window_bits: int | Literal[False] | None = None,
        server_max_window_bits: int | None = None,
        client_no_context_takeover: bool = False,
        server_no_context_takeover: bool = False,
        min_size: int = 0,
        zlib: Any = None,
    ) -> None: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any) -> Self: ...
    def offer(self) -> str: ...
