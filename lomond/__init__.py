"""A WebSocket client: a connection is an iterator of events.

>>> from lomond import WebSocket
>>> for event in WebSocket('wss://example.org/feed'):      # doctest: +SKIP
...     print(event)
"""

from __future__ import absolute_import

from . import (constants, errors, events, opcode, persist, response, session,      # noqa: F401
               status, websocket)
from ._version import __version__                                               # noqa: F401
from .websocket import WebSocket                                                # noqa: F401

__all__ = ['WebSocket', '__version__']
