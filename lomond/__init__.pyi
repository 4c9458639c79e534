# Types of the package; at run time, its modules are imported when they are first used.

from . import aio as aio
from . import auth as auth
from . import compression as compression
from . import constants as constants
from . import errors as errors
from . import events as events
from . import group as group
from . import opcode as opcode
from . import persist as persist
from . import response as response
from . import server as server
from . import session as session
from . import status as status
from . import testing as testing
from . import websocket as websocket
from . import ws4py as ws4py
from . import wsgi as wsgi
from ._version import __version__
from .websocket import WebSocket

__all__ = ["WebSocket", "__version__"]
