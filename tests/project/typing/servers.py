"""Servers: in threads, in a group, and inside a WSGI server."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from lomond.errors import UpgradeRefused
from lomond.group import Group
from lomond.response import Request
from lomond.server import Server, ServerWebSocket, broadcast, serve
from lomond.wsgi import WebSocketApp, done, upgrade


def echo(websocket: ServerWebSocket) -> None:
    for event in websocket:
        if event.name == 'text':
            websocket.send_text(event.text)
    assert_type(websocket.request.path, str)


def check(request: Request) -> tuple[int, list[tuple[str, str]], bytes] | None:
    return None if request.context else (401, [('WWW-Authenticate', 'Bearer')], b'')


def view(environ: dict[str, Any], start_response: Any) -> Any:
    try:
        with upgrade(environ, protocols=['chat.v1'], origins='*') as websocket:
            assert_type(websocket, ServerWebSocket)
    except UpgradeRefused as refusal:
        return refusal(environ, start_response)
    return done(environ, start_response)


def run() -> None:
    handlers = {'/echo': echo}
    with Server(handlers, port=8080, on_request=check, origins=['https://app.example']) as server:
        assert_type(broadcast(server.connections, 'hello'), int)
        assert_type(server.stop(timeout=1, code=1012), bool)
    serve(echo, None, protocols=['a'])
    WebSocketApp(handlers, detach=True, max_connections=None)
    for websocket, event in Group([Server()]):
        if websocket is not None and event.name == 'accepted':
            assert_type(event.request, Request)
