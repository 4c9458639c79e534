# Types of lomond.server.

from .broadcast import broadcast
from .connection import ServerWebSocket
from .server import Server, serve

__all__ = ["serve", "Server", "ServerWebSocket", "broadcast"]
