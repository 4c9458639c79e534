"""A WebSocket client: a connection is an iterator of events.

>>> from lomond import WebSocket
>>> from lomond.testing import Server, close_with
>>> with Server(close_with(1001, u'restart')) as server:
...     print(' '.join(event.name for event in WebSocket(server.url, proxies={})))
connecting connected ready poll closing disconnected

Its modules are attributes of the package, imported when they are first asked for (PEP 562), or
at once where Python cannot do that (2.7 and 3.6).
"""

from __future__ import absolute_import, division, unicode_literals

import importlib
import sys

from ._version import __version__  # noqa: F401 - ruff cannot read the list below

__all__ = [str('WebSocket'), str('__version__')]       # native: 2.7 takes nothing else

_MODULES = ('compression', 'constants', 'errors', 'events', 'opcode', 'persist', 'response', 'session',
            'status', 'testing', 'websocket')


def __getattr__(name):
    if name == '_is_lazy':
        return True
    if name == 'WebSocket':
        value = importlib.import_module('lomond.websocket').WebSocket
    elif name in _MODULES:
        value = importlib.import_module('lomond.' + name)
    else:
        raise AttributeError('module {!r} has no attribute {!r}'.format(__name__, name))
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_MODULES) | set(__all__))


if not getattr(sys.modules[__name__], '_is_lazy', False):      # nobody calls __getattr__ here
    for _name in _MODULES:
        if _name != 'testing':
            __getattr__(_name)
    __getattr__('WebSocket')
