# Types of lomond.ws4py.client.

from collections.abc import Sequence
from typing import Any

from ..websocket import WebSocket

CLOSE_TIMEOUT: float

class WebSocketBaseClient(WebSocket):
    url: str
    scheme: str
    host: str
    port: int | None
    resource: str
    unix_socket_path: str | None
    ssl_options: dict[str, Any]
    extra_headers: Sequence[tuple[str, str]]
    exclude_headers: list[str]
    def __init__(
        self,
        url: str,
        protocols: Sequence[str] | None = None,
        extensions: Sequence[str] | None = None,
        heartbeat_freq: float | None = None,
        ssl_options: dict[str, Any] | None = None,
        headers: Sequence[tuple[str, str]] | None = None,
        exclude_headers: Sequence[str] | None = None,
    ) -> None: ...
    @property
    def bind_addr(self) -> str | tuple[str, int]: ...
    def handshake_ok(self) -> None: ...
    def connect(self) -> None: ...
