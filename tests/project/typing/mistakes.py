"""Wrong programs: each of these lines has to be an error, or ``ignore`` is unused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lomond import WebSocket
from lomond.compression import Deflate
from lomond.events import Event, Text
from lomond.persist import persist
from lomond.response import Response
from lomond.testing import ScriptedTransport, Server

websocket = WebSocket('ws://example.org/')
frozen: Mapping[str, str] = MappingProxyType({})

WebSocket()  # type: ignore[call-arg]
WebSocket(b'ws://example.org/')  # type: ignore[arg-type]
WebSocket('ws://a/', protocols='chat')  # type: ignore[arg-type]
WebSocket('ws://a/', headers='X-One: two')  # type: ignore[arg-type]
WebSocket('ws://a/', headers=frozen)  # type: ignore[arg-type]
WebSocket('ws://a/', headers={'X-One': 1})  # type: ignore[arg-type]
WebSocket('ws://a/', proxies='http://proxy')  # type: ignore[arg-type]
WebSocket('ws://a/', auth='user:password')  # type: ignore[arg-type]
WebSocket('ws://a/', timeout=3)  # type: ignore[call-arg]
WebSocket('ws://a/', trace=print)
Deflate(client_max_window_bits='9')  # type: ignore[arg-type]
websocket.connect(poll=None)  # type: ignore[call-overload]
websocket.connect(session_class=Text)  # type: ignore[arg-type]
websocket.connect(connect_timout=3)  # type: ignore[call-overload]
websocket.add_header('X-One', b'two')  # type: ignore[arg-type]
websocket.send_text(b'bytes')  # type: ignore[arg-type]
websocket.send_binary('text')  # type: ignore[arg-type]
websocket.send_ping('text')  # type: ignore[arg-type]
websocket.send_pong()  # type: ignore[call-arg]
websocket.close('bye')  # type: ignore[arg-type]
websocket.host = 'other'  # type: ignore[misc]
print(websocket.session.session_time)  # type: ignore[union-attr]
persist(websocket, max_retry=3)  # type: ignore[call-arg]
persist(websocket, exit_event=True)  # type: ignore[arg-type]
persist(websocket, retry_on=3)  # type: ignore[arg-type]
Response('text')  # type: ignore[arg-type]
Server(echo=True)  # type: ignore[call-arg]
ScriptedTransport(['text'])  # type: ignore[list-item]

for event in websocket:
    print(event.text)  # type: ignore[union-attr]
    if event.name == 'text':
        print(event.data)  # type: ignore[attr-defined]
        event.name = 'text'  # type: ignore[misc]
    if event.name == 'txet':  # type: ignore[comparison-overlap]
        print('never')


def narrow(found: Event) -> None:
    if found.name == 'text':
        print(found.text)  # type: ignore[attr-defined]
