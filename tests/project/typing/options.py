"""Every parameter of WebSocket and connect() in each form, and every member."""

from __future__ import annotations

import contextlib
import socket
import ssl
import zlib
from collections.abc import Generator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import assert_type

from lomond import WebSocket
from lomond.auth import DigestAuth
from lomond.compression import Deflate
from lomond.session import WebsocketSession

if TYPE_CHECKING:
    from lomond.events import AnyEvent


def token() -> dict[str, str]:
    return {'Authorization': 'Bearer abc'}


def look(record: dict[str, Any]) -> None:
    print(record['stage'])


def address() -> str:
    return 'wss://example.org/'


def nothing() -> None:
    """``headers`` may return nothing."""


# the order of 0.3.4
WebSocket('ws://example.org/', {}, ['chat'], 'agent', True, True, None, None, look)
WebSocket(address, proxies={'http': None, 'https': 'http://proxy:8080'})
WebSocket('ws://a/', proxies={'all': None})
proxies = {'https': 'socks5h://proxy'}
WebSocket('ws://a/', proxies=proxies, protocols=('a', 'b'), trace=True)
WebSocket('ws://a/', compress=Deflate(level=1, client_no_context_takeover=True, min_size=64))
WebSocket('ws://a/', compress=Deflate(client_max_window_bits=False, zlib=zlib))
WebSocket('ws://a/', ssl_verify=False, ssl_cafile='ca.pem')
WebSocket('ws://a/', ssl_cafile=Path('ca.pem'), ssl_cert=('cert.pem', Path('key.pem'), 'password'))
WebSocket('ws://a/', ssl_cert='both.pem', ssl_fingerprint='sha256:' + 32 * 'AB')
WebSocket('ws://a/', ssl_context=ssl.create_default_context())
WebSocket('ws://a/', headers=token, origin='https://example.org')
WebSocket('ws://a/', headers=nothing)
WebSocket('ws://a/', headers=lambda: [('X-One', 'two')])
WebSocket('ws://a/', headers={'X-One': 'two'})
WebSocket('ws://a/', headers={b'X-One': b'two'})
WebSocket('ws://a/', headers={'X-One': b'two'})
both: dict[str, str | bytes] = {'X-One': b'two', 'X-Two': 'three'}
WebSocket('ws://a/', headers=both)
WebSocket('ws://a/', headers=[('X-One', 'two'), (b'X-Two', b'three')])
headers = {'X-One': 'two'}
WebSocket('ws://a/', headers=headers)
pairs = [('X-One', 'two')]
WebSocket('ws://a/', headers=pairs)
lists = [['X-One', 'two']]
WebSocket('ws://a/', headers=lists)
WebSocket('ws://a/', auth=('user', 'password'), cookies={'name': 'value'})
WebSocket('ws://a/', auth=DigestAuth('user', 'password'), cookies=CookieJar())
WebSocket('ws://a/', cookies='a=b; c=d', max_message_size=None, max_redirects=5)
WebSocket('ws://a/', source_address=('127.0.0.1', 0), uds='/run/socket')
options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
WebSocket('ws://a/', socket_options=options, uds=Path('/run/socket'), server_hostname='server.test')
WebSocket('ws://a/', proxy_headers=headers)
WebSocket('ws://a/', proxy_headers=lambda: {'X-One': 'two'})
WebSocket('ws://a/', socket_options=[(socket.SOL_SOCKET, socket.SO_LINGER, b'\0' * 8)])

websocket = WebSocket('wss://example.org/feed')

by_default: Generator[AnyEvent, None, None] = websocket.connect()
in_order: Generator[AnyEvent, None, None] = websocket.connect(WebsocketSession, 5, 30, 60, False, 10)
with contextlib.closing(websocket.connect(poll=1)) as events:
    print(next(events).name)
for event in websocket.connect(poll=0.5, ping_rate=0, ping_timeout=None, auto_pong=True, close_timeout=None,
                               connect_timeout=10, send_timeout=None):
    print(event)

with websocket as entered:
    assert_type(entered, WebSocket)

websocket.add_header(b'X-One', b'two')
assert_type(websocket.build_request(), bytes)
websocket.send_text('text')
websocket.send_text('text', compress=False)
websocket.send_binary(b'bytes')
websocket.send_binary(bytearray(b'bytes'), compress=False)
websocket.send_binary(memoryview(b'bytes'))
websocket.send_json({'a': [1, None]})
websocket.send_json(None)
websocket.send_json()
websocket.send_json(action='subscribe', compress=True)
websocket.send_stream([bytearray(b'x')], compress=False)
websocket.send_stream(line for line in ('a', 'b'))
with open('picture.raw', 'rb') as file:
    websocket.send_stream(file)
with websocket.cork():
    websocket.send_text('x')
websocket.send_ping()
websocket.send_ping(b'data')
websocket.send_pong(b'data')
websocket.close()
websocket.close(1001, b'reason')
websocket.close(None)
websocket.force_disconnect()
websocket.on_disconnect()
websocket.reset()
generator = websocket.feed(b'\x81\x00')
for event in generator:
    print(event.name)
generator.close()

assert_type(websocket.scheme, 'str | None')
assert_type(websocket.host, 'str | None')
assert_type(websocket.port, 'int | None')
assert_type(websocket.resource, 'str | None')
assert_type(websocket.key, bytes)
assert_type(websocket.is_secure, bool)
assert_type(websocket.is_active, bool)
assert_type(websocket.is_closing, bool)
assert_type(websocket.is_closed, bool)
assert_type(websocket.sent_close_time, 'float | None')
assert_type(websocket.supports_compression, bool)
assert_type(websocket.latency, 'float | None')
assert_type(websocket.queued, int)
assert_type(websocket.proxies, 'dict[str, str | None]')
assert_type(websocket.protocols, 'list[str]')
assert_type(websocket.agent, str)
assert_type(websocket.state.closing, bool)
assert_type(websocket.state.closed, bool)
assert_type(websocket.state.key, bytes)
if websocket.session is not None:
    assert_type(websocket.session.session_time, float)
print(websocket.url, websocket.headers, websocket.auth, websocket.cookies, websocket.trace,
      websocket.compress, websocket.ssl_verify, websocket.ssl_cafile, websocket.ssl_context,
      websocket.ssl_cert, websocket.ssl_fingerprint, websocket.origin, websocket.max_message_size,
      websocket.max_redirects, websocket.source_address, websocket.socket_options, websocket.uds,
      websocket.server_hostname)
