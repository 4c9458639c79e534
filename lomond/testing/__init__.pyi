# Types of lomond.testing.

from .clock import FakeClock, ScriptError
from .handlers import (
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
from .scripted_transport import ScriptedTransport, session_class
from .server import Server, ServerError
from .server_connection import ReceiveTimeout, ServerConnection
from .steps import (
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
from .wsgi import wsgi_session

__all__ = [
    "Server",
    "ServerConnection",
    "ServerError",
    "ReceiveTimeout",
    "echo",
    "reject",
    "redirect",
    "silent",
    "unresponsive",
    "stall_reads",
    "garbage",
    "bad_frames",
    "drop_after",
    "close_with",
    "raw",
    "ScriptedTransport",
    "FakeClock",
    "ScriptError",
    "session_class",
    "wsgi_session",
    "ACCEPT",
    "EOF",
    "until",
    "room",
    "sends_fail",
    "text_frame",
    "binary_frame",
    "continuation_frame",
    "ping_frame",
    "pong_frame",
    "close_frame",
]
