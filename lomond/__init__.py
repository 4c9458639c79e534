"""A WebSocket client and server: a connection is an iterator of events.

>>> from lomond import WebSocket
>>> from lomond.testing import Server, close_with
>>> with Server(close_with(1001, u'restart')) as server:
...     print(' '.join(event.name for event in WebSocket(server.url, proxies={})))
connecting connected ready poll closing disconnected

The public modules are attributes of the package and are imported when they are first
used (PEP 562; on 2.7 and 3.6, which lack it, the package is a module with a class of
its own).
"""

from __future__ import absolute_import, division, unicode_literals

import os
import sys
import types

from ._version import __version__  # noqa: F401 - ruff does not understand the list below

__all__ = [str('WebSocket'), str('__version__')]       # native str: 2.7 accepts nothing else

# Modules are imported later, perhaps from another directory (on 2.7, '' stays in
# sys.path).
__path__ = [os.path.abspath(place) for place in __path__]

_MODULES = ('auth', 'compression', 'constants', 'errors', 'events', 'group', 'opcode', 'persist', 'response',
            'server', 'session', 'status', 'testing', 'websocket', 'ws4py', 'wsgi')
if hasattr(types, 'CoroutineType'):             # 2.7 has no asyncio
    _MODULES += ('aio',)


def __getattr__(name):
    if name == '_is_lazy':
        return True
    if name == 'WebSocket':
        from .websocket import WebSocket
        sys.modules[__name__].WebSocket = WebSocket
        return WebSocket
    if name not in _MODULES:
        raise AttributeError('module {!r} has no attribute {!r}'.format(__name__, name))
    # Freezers such as PyInstaller look for import statements, and only relative ones
    # find a vendored copy. `from . import auth` would ask this function for 'auth'.
    if name == 'aio':
        from .aio import __name__ as found
    elif name == 'auth':
        from .auth import __name__ as found
    elif name == 'compression':
        from .compression import __name__ as found
    elif name == 'constants':
        from .constants import __name__ as found
    elif name == 'errors':
        from .errors import __name__ as found
    elif name == 'events':
        from .events import __name__ as found
    elif name == 'group':
        from .group import __name__ as found
    elif name == 'opcode':
        from .opcode import __name__ as found
    elif name == 'persist':
        from .persist import __name__ as found
    elif name == 'response':
        from .response import __name__ as found
    elif name == 'server':
        from .server import __name__ as found
    elif name == 'session':
        from .session import __name__ as found
    elif name == 'status':
        from .status import __name__ as found
    elif name == 'testing':
        from .testing import __name__ as found
    elif name == 'websocket':
        from .websocket import __name__ as found
    elif name == 'ws4py':
        from .ws4py import __name__ as found
    elif name == 'wsgi':
        from .wsgi import __name__ as found
    return sys.modules[found]


def __dir__():
    return sorted(set(vars(sys.modules[__name__])) | set(_MODULES) | set(__all__))


class _Package(types.ModuleType):
    """A module that calls the functions above, where Python does not."""

    def __getattr__(self, name):
        return __getattr__(name)

    def __dir__(self):
        return __dir__()


_module = sys.modules[__name__]
if not getattr(_module, '_is_lazy', False):     # Python did not call __getattr__
    try:
        _module.__class__ = _Package            # 3.6
    except TypeError:                           # 2.7: another module takes its place
        _package = _Package(__name__, __doc__)
        vars(_package).update(vars(_module))    # keeps _module alive: otherwise 2.7 would empty these globals
        sys.modules[__name__] = _package
