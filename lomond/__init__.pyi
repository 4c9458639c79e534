# Types of the package; at run time its modules are imported when they are first asked for.

from . import (
    compression as compression,
    constants as constants,
    errors as errors,
    events as events,
    opcode as opcode,
    persist as persist,
    response as response,
    session as session,
    status as status,
    testing as testing,
    websocket as websocket,
)
from ._version import __version__ as __version__
from .websocket import WebSocket as WebSocket

__all__ = ["WebSocket", "__version__"]
