"""A WebSocket server: a handler in a thread of its own for each connection.

>>> from lomond import WebSocket
>>> from lomond.server import Server
>>> def echo(websocket):
...     for event in websocket:
...         if event.name == 'text':
...             websocket.send_text(event.text)
>>> with Server(echo) as server:
...     client = WebSocket(server.url, proxies={})
...     for event in client:
...         if event.name == 'ready':
...             client.send_text(u'hello')
...         elif event.name == 'text':
...             print(event.text)
...             client.close()
hello

Knows nothing of: recording, scripts, ``lomond.testing``.
"""

from __future__ import absolute_import, division, unicode_literals

from .broadcast import broadcast  # noqa: F401
from .connection import ServerWebSocket  # noqa: F401
from .server import Server, serve  # noqa: F401

# Native text: 2.7 takes nothing else.
__all__ = [str(name) for name in ('serve', 'Server', 'ServerWebSocket', 'broadcast')]
