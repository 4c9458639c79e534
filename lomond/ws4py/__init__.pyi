# Types of lomond.ws4py.

import logging

from .websocket import WebSocket

WS_KEY: bytes
WS_VERSION: tuple[int, ...]

def get_logger() -> logging.Logger: ...
def configure_logger(stdout: bool = True, filepath: str | None = None, level: int = 20) -> logging.Logger: ...
def format_addresses(ws: WebSocket) -> str: ...
