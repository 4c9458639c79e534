# Types of lomond.testing.

from .clock import FakeClock as FakeClock, ScriptError as ScriptError
from .fakes import ScriptedTransport as ScriptedTransport, session_class as session_class
from .link import ReceiveTimeout as ReceiveTimeout
from .peer import ServerConnection as ServerConnection
from .scripts import (
    bad_frames as bad_frames,
    close_with as close_with,
    drop_after as drop_after,
    echo as echo,
    garbage as garbage,
    raw as raw,
    redirect as redirect,
    reject as reject,
    silent as silent,
    stall_reads as stall_reads,
    unresponsive as unresponsive,
)
from .server import Server as Server, ServerError as ServerError
from .steps import (
    ACCEPT as ACCEPT,
    EOF as EOF,
    binary_frame as binary_frame,
    close_frame as close_frame,
    continuation_frame as continuation_frame,
    ping_frame as ping_frame,
    pong_frame as pong_frame,
    room as room,
    sends_fail as sends_fail,
    text_frame as text_frame,
    until as until,
)

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
