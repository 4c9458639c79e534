"""The other public names: errors, codes, responses, options, a custom session."""

from __future__ import annotations

from typing_extensions import assert_type

import lomond
import lomond.auth
from lomond import errors
from lomond.constants import USER_AGENT, WS_KEY, WS_VERSION
from lomond.errors import WebSocketError
from lomond.opcode import Opcode, is_reserved, reserved_opcodes
from lomond.response import Request, Response
from lomond.status import Status

assert_type(lomond.__version__, str)
websocket: lomond.websocket.WebSocket = lomond.WebSocket('ws://example.org/')
response: lomond.response.Response = Response(bytearray(b'HTTP/1.1 200 OK\r\n\r\n'))
session: type[lomond.session.WebsocketSession] = lomond.session.WebsocketSession
deflate: lomond.compression.Deflate = lomond.compression.Deflate(level=9)
kinds: list[type[lomond.events.Event]] = [lomond.events.Text, lomond.events.Binary]
codes: list[int] = [
    lomond.status.Status.NORMAL, Status.GOING_AWAY, Status.PROTOCOL_ERROR, Status.DATA_NOT_UNDERSTOOD,
    Status.BAD_DATA, Status.POLICY_VIOLATION, Status.MESSAGE_TOO_LARGE, Status.EXTENSION_FAILED,
    Status.UNEXPECTED_CONDITION]
assert_type(1005 in Status.invalid_codes, bool)
assert_type(Opcode.to_str(Opcode.PING), str)
assert_type(is_reserved(3), bool)
assert_type(3 in reserved_opcodes, bool)
assert_type(WS_KEY, bytes)
assert_type(USER_AGENT, str)
version: int = WS_VERSION
lomond.persist.persist(websocket)

assert_type(response.raw, bytes)
assert_type(response.http_ver, str)
assert_type(response.status_code, 'int | None')
assert_type(response.status, str)
assert_type(response.headers, 'dict[str, str]')
assert_type(response.get('server'), 'str | None')
assert_type(response.get('server', ''), str)
assert_type(response.get('server', 0), 'str | int')
assert_type(response.get_list('upgrade'), 'list[str]')
assert_type(response.header_lines('set-cookie'), 'list[str]')
assert_type(response.body, bytes)
assert_type(Request(b'GET / HTTP/1.1\r\n\r\n').target, str)
assert_type(deflate.offer(), str)
assert_type(lomond.auth.basic('user', 'password'), str)
assert_type(lomond.auth.DigestAuth('user', 'password').answer([], 'GET', '/'), 'str | None')

raised: list[type[WebSocketError]] = [
    errors.CompressionParameterError, errors.ConnectFail, errors.CriticalProtocolError,
    errors.FrameBuildError, errors.HandshakeError, errors.PayloadTooLarge, errors.ProtocolError,
    errors.ProxyFail, errors.SendTimeout, errors.TransportFail, errors.WebSocketClosed,
    errors.WebSocketClosing, errors.WebSocketUnavailable]


def send(text: str) -> bool:
    try:
        websocket.send_text(text)
    except (errors.WebSocketClosing, errors.WebSocketClosed):
        return False
    except errors.SendTimeout as error:
        raise errors.TransportFail('{}: {reason}', text, reason=error)
    except errors.WebSocketUnavailable as error:
        print(str(error), error.args)
        return False
    return True
