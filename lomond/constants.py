"""Numbers and texts that the whole package shares.

``USER_AGENT`` (text, the default User-Agent) names the library, the interpreter and the
system.  It is made when it is first used: the calls to ``platform`` would take a third
of the import time.
"""

from __future__ import absolute_import, division, unicode_literals

from ._compat import HAS_MODULE_GETATTR, python_name
from ._version import __version__

#: The GUID of RFC 6455, 1.3: key + GUID, hashed, is the value of Sec-WebSocket-Accept.
WS_KEY = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

#: Sec-WebSocket-Version (RFC 6455, 4.1).
WS_VERSION = 13


def _user_agent():
    import platform
    implementation, version = python_name()
    return 'Lomond/{} {}/{} {}/{} ({})'.format(
        __version__, implementation, version, platform.system(), platform.release(),
        platform.platform())


if HAS_MODULE_GETATTR:
    def __getattr__(name):
        if name != 'USER_AGENT':
            raise AttributeError('module {!r} has no attribute {!r}'.format(__name__, name))
        value = globals()[name] = _user_agent()
        return value
else:
    USER_AGENT = _user_agent()
