# Types of lomond.websocket.

import ssl
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from http.cookiejar import CookieJar
from typing import Any, Protocol, TypeVar, overload

from _typeshed import StrOrBytesPath
from typing_extensions import Self, TypeAlias

from .auth import DigestAuth
from .compression import Deflate
from .events import AnyEvent, Event
from .response import Response
from .session import WebsocketSession

# A Mapping that is not a dict is refused, and dict is invariant in the type of its values, so
# these are spelled out.
_Proxies: TypeAlias = dict[str, str] | dict[str, None] | dict[str, str | None]
_HeaderDict: TypeAlias = dict[str, str] | dict[str, bytes] | dict[str, str | bytes] | dict[bytes, bytes]
_HeaderPair: TypeAlias = tuple[str | bytes, str | bytes] | list[str]
# Pairs are read for each connection: a generator would be exhausted by the first.
_Headers: TypeAlias = (
    _HeaderDict | Collection[_HeaderPair] | Callable[[], _HeaderDict | Iterable[_HeaderPair] | None]
)
class _BinaryFile(Protocol):
    def read(self, __size: int) -> bytes: ...

_Parts: TypeAlias = Iterable[bytes | bytearray | memoryview] | Iterable[str] | _BinaryFile
_ClientCertificate: TypeAlias = (
    StrOrBytesPath
    | tuple[StrOrBytesPath, StrOrBytesPath]
    | tuple[StrOrBytesPath, StrOrBytesPath, str | bytes | None]
)

_Events = TypeVar("_Events", bound=Iterator[Event])
_Events_co = TypeVar("_Events_co", bound=Iterator[Event], covariant=True)

# What session_class must return: run() gets the keywords of connect().
class _Session(Protocol[_Events_co]):
    @property
    def run(self) -> Callable[..., _Events_co]: ...

# What session_class must return for open(): it has these, and start(), which gets the keywords.
class _Steps(Protocol):
    @property
    def start(self) -> Callable[..., object]: ...
    @property
    def waits(self) -> Callable[[], tuple[tuple[int, int], ...]]: ...
    @property
    def next_deadline(self) -> Callable[[], float | None]: ...
    @property
    def process(self) -> Callable[..., Iterator[Event]]: ...
    @property
    def is_over(self) -> bool: ...

_StepsT = TypeVar("_StepsT", bound=_Steps)

class _State(Protocol):
    @property
    def closing(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def session(self) -> WebsocketSession | None: ...
    @property
    def key(self) -> bytes: ...

class WebSocket:
    # url and headers are kept as given: a callable remains a callable.
    url: str | Callable[[], str]
    proxies: dict[str, str | None]
    protocols: list[str]
    agent: str
    compress: bool | Deflate | None
    ssl_verify: bool
    ssl_cafile: StrOrBytesPath | None
    ssl_context: ssl.SSLContext | None
    trace: Callable[[dict[str, Any]], object] | bool | None
    headers: _Headers | None
    origin: str | None
    auth: tuple[str, str] | DigestAuth | None
    cookies: dict[str, str] | str | CookieJar | None
    ssl_cert: _ClientCertificate | None
    ssl_fingerprint: str | None
    max_message_size: int | None
    max_redirects: int
    source_address: tuple[str, int] | None
    socket_options: list[tuple[int, int, int | bytes]] | None
    uds: str | bytes | None
    server_hostname: str | None
    proxy_headers: _Headers | None
    stream_from: int | None
    state: _State
    def __init__(
        self,
        url: str | Callable[[], str],
        proxies: _Proxies | None = None,
        protocols: list[str] | tuple[str, ...] | None = None,
        agent: str | None = None,
        compress: bool | Deflate | None = False,
        ssl_verify: bool = True,
        ssl_cafile: StrOrBytesPath | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trace: Callable[[dict[str, Any]], object] | bool | None = None,
        headers: _Headers | None = None,
        origin: str | None = None,
        auth: tuple[str, str] | DigestAuth | None = None,
        cookies: dict[str, str] | str | CookieJar | None = None,
        ssl_cert: _ClientCertificate | None = None,
        ssl_fingerprint: str | None = None,
        max_message_size: int | None = 67108864,
        max_redirects: int = 0,
        source_address: tuple[str, int] | None = None,
        socket_options: Sequence[tuple[int, int, int | bytes]] | None = None,
        uds: StrOrBytesPath | None = None,
        server_hostname: str | None = None,
        proxy_headers: _Headers | None = None,
        stream_from: int | None = None,
    ) -> None: ...
    @overload
    def connect(
        self,
        session_class: Callable[[WebSocket], _Session[_Events]],
        poll: float = 5.0,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = None,
        auto_pong: bool = True,
        close_timeout: float | None = 30.0,
        connect_timeout: float | None = 30.0,
        send_timeout: float | None = 30.0,
    ) -> _Events: ...
    @overload
    def connect(
        self,
        session_class: Callable[[WebSocket], WebsocketSession] = ...,
        poll: float = 5.0,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = None,
        auto_pong: bool = True,
        close_timeout: float | None = 30.0,
        connect_timeout: float | None = 30.0,
        send_timeout: float | None = 30.0,
    ) -> Generator[AnyEvent, None, None]: ...
    @overload
    def open(
        self,
        session_class: Callable[[WebSocket], _StepsT],
        poll: float = 5.0,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = None,
        auto_pong: bool = True,
        close_timeout: float | None = 30.0,
        connect_timeout: float | None = 30.0,
        send_timeout: float | None = 30.0,
    ) -> _StepsT: ...
    @overload
    def open(
        self,
        session_class: Callable[[WebSocket], WebsocketSession] = ...,
        poll: float = 5.0,
        ping_rate: float | None = 30.0,
        ping_timeout: float | None = None,
        auto_pong: bool = True,
        close_timeout: float | None = 30.0,
        connect_timeout: float | None = 30.0,
        send_timeout: float | None = 30.0,
    ) -> WebsocketSession: ...
    def __iter__(self) -> Iterator[AnyEvent]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def __copy__(self) -> Self: ...
    def reset(self) -> None: ...
    def add_header(self, header: bytes, value: bytes) -> None: ...
    def build_request(self) -> bytes: ...
    def on_response(self, response: Response) -> tuple[str | None, set[str]]: ...
    def process_extensions(self, extensions: list[str]) -> set[str]: ...
    def send_text(self, text: str, compress: bool = True) -> None: ...
    def send_binary(self, data: bytes | bytearray | memoryview, compress: bool = True) -> None: ...
    def send_stream(self, parts: _Parts, compress: bool = True) -> None: ...
    def cork(self) -> AbstractContextManager[None]: ...
    def send_json(self, _obj: Any = ..., **kwargs: Any) -> None: ...
    def send_ping(self, data: bytes = b"") -> None: ...
    def send_pong(self, data: bytes) -> None: ...
    def close(self, code: int | None = 1000, reason: str | bytes = "goodbye") -> None: ...
    def force_disconnect(self) -> None: ...
    def on_disconnect(self) -> None: ...
    def feed(self, data: bytes | bytearray | memoryview) -> Generator[AnyEvent, None, None]: ...
    @property
    def scheme(self) -> str | None: ...
    @property
    def host(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def resource(self) -> str | None: ...
    @property
    def key(self) -> bytes: ...
    # A WebsocketSession, unless session_class made something else.
    @property
    def session(self) -> WebsocketSession | None: ...
    @property
    def is_secure(self) -> bool: ...
    @property
    def is_active(self) -> bool: ...
    @property
    def is_closing(self) -> bool: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def sent_close_time(self) -> float | None: ...
    @property
    def supports_compression(self) -> bool: ...
    @property
    def latency(self) -> float | None: ...
    @property
    def queued(self) -> int: ...
