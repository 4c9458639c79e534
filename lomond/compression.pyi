# Types of lomond.compression.

from collections.abc import Iterable
from typing import Final

NAME: Final = "permessage-deflate"

class Deflate:
    level: int
    mem_level: int
    client_max_window_bits: int | None
    server_max_window_bits: int | None
    client_no_context_takeover: bool
    server_no_context_takeover: bool
    min_size: int
    def __init__(
        self,
        level: int = 6,
        mem_level: int = 8,
        client_max_window_bits: int | None = None,
        server_max_window_bits: int | None = None,
        client_no_context_takeover: bool = False,
        server_no_context_takeover: bool = False,
        min_size: int = 0,
    ) -> None: ...
    def offer(self) -> str: ...

class DeflateParameters:
    server_no_context_takeover: bool
    client_no_context_takeover: bool
    server_max_window_bits: int
    client_max_window_bits: int
    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int = 15,
        client_max_window_bits: int = 15,
    ) -> None: ...

def parse_extensions(values: Iterable[str]) -> list[tuple[str, list[tuple[str, str | None]]]]: ...
def negotiate_client(
    deflate: Deflate | None, extensions: Iterable[str]
) -> tuple[set[str], DeflateParameters | None]: ...
def negotiate_server(
    deflate: Deflate | None, offers: Iterable[str]
) -> tuple[str, DeflateParameters] | tuple[None, None]: ...
