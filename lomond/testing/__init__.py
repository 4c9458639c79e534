"""Tools for testing WebSocket programs: a server with scripts, a fake clock and wire.

They need nothing that is not installed with lomond, and no test framework.

>>> from lomond import WebSocket
>>> from lomond.testing import Server, close_with
>>> with Server(close_with(1001, u'restart')) as server:
...     str([event for event in WebSocket(server.url) if event.name == 'closing'][0].code)
'1001'
"""

from __future__ import absolute_import, division, unicode_literals

from .clock import FakeClock, ScriptError  # noqa: F401
from .handlers import (  # noqa: F401
    bad_frames,
    close_with,
    drop_after,
    echo,
    garbage,
    raw,
    redirect,
    reject,
    silent,
    stall_reads,
    unresponsive,
)
from .scripted_transport import ScriptedTransport, session_class  # noqa: F401
from .server import Server, ServerError  # noqa: F401
from .server_connection import ReceiveTimeout, ServerConnection  # noqa: F401
from .steps import (  # noqa: F401
    ACCEPT,
    EOF,
    binary_frame,
    close_frame,
    continuation_frame,
    ping_frame,
    pong_frame,
    room,
    sends_fail,
    text_frame,
    until,
)
from .wsgi import wsgi_session  # noqa: F401

# Native text: 2.7 takes nothing else.
__all__ = [str(name) for name in (
    'Server', 'ServerConnection', 'ServerError', 'ReceiveTimeout',
    'echo', 'reject', 'redirect', 'silent', 'unresponsive', 'stall_reads', 'garbage', 'bad_frames',
    'drop_after', 'close_with', 'raw',
    'ScriptedTransport', 'FakeClock', 'ScriptError', 'session_class', 'wsgi_session',
    'ACCEPT', 'EOF', 'until', 'room', 'sends_fail',
    'text_frame', 'binary_frame', 'continuation_frame', 'ping_frame', 'pong_frame', 'close_frame')]
