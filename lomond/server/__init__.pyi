# Types of lomond.server.

from .connection import ServerWebSocket
from .server import Server, serve

__all__ = ["serve", "Server", "ServerWebSocket"]
