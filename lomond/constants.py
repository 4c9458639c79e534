"""Numbers and texts that the whole package shares; they must not know who uses them."""

from __future__ import absolute_import, division, unicode_literals

import platform

from ._version import __version__
from .compat import python_name

#: The GUID of RFC 6455, 1.3: key + GUID, hashed, is the value of Sec-WebSocket-Accept.
WS_KEY = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

#: Sec-WebSocket-Version (RFC 6455, 4.1).
WS_VERSION = 13

#: The User-Agent when none was given.
USER_AGENT = '{}/{} {}/{} {}/{} ({})'.format(
    'Lomond', __version__, python_name()[0], python_name()[1],
    platform.system(), platform.release(), platform.platform())
