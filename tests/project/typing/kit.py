"""The testing kit, as used in tests of programs."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from typing_extensions import assert_type

from lomond import WebSocket, testing
from lomond.compression import Deflate
from lomond.persist import persist
from lomond.response import Request
from lomond.session import WebsocketSession
from lomond.testing import FakeClock, ReceiveTimeout, ScriptedTransport, Server, ServerConnection, raw


def greet(connection: ServerConnection) -> None:
    assert_type(connection.request, Request)
    connection.send_text('hello')
    try:
        event = connection.receive(timeout=1)
    except ReceiveTimeout:
        connection.drop(reset=True)
        return
    if event is not None and event.name == 'text':
        connection.send_text(event.text, compress=False)
    connection.send_binary(bytearray(3))
    connection.send_ping()
    connection.send_pong(b'data')
    connection.send_frame(1, b'half', fin=False)
    connection.send_raw(memoryview(b'\x80\x00'))
    for event in connection:
        if event.name == 'closing':
            assert_type(event.code, 'int | None')
    connection.receive(None)
    connection.pause(0.1)
    connection.close(1001, 'restart')


@raw
def no_http(connection: ServerConnection) -> None:
    assert_type(connection.receive_raw(), bytes)
    connection.send_raw(b'no HTTP')


def decide(request: Request) -> tuple[int, list[tuple[str, str]], bytes] | None:
    return None if request.get('authorization') else (401, [('X-One', 'two')], b'')


def with_server(context: ssl.SSLContext) -> None:
    with Server() as server:
        assert_type(server, Server)
        assert_type(server.url, str)
        for event in WebSocket(server.url_of('/path')):
            print(event)
        server.drop_connections(reset=True)
        assert_type(server.requests[0].target, str)
        assert_type(server.connections[0].messages, 'list[str | bytes]')
        print(server.connections[0].close_code, server.connections[0].events, server.errors)
    Server(greet, ['chat'], Deflate(level=1), context, decide, '127.0.0.1', 0, None, None, False, 1024)
    for handler in (testing.echo, testing.silent, testing.unresponsive, testing.stall_reads,
                    testing.garbage, testing.bad_frames, no_http):
        Server(handler).start().stop()
    for made in (testing.reject(), testing.reject(429, {'Retry-After': '3'}, b'later'),
                 testing.reject(503, [(b'X-One', 'two')]), testing.redirect('/other', 307),
                 testing.drop_after(3, reset=True), testing.close_with(None),
                 testing.close_with(1001, 'bye')):
        Server(made, timeout=1)
    Server(lambda connection: connection.close())
    print(testing.ServerError)


def test_by_fixture(wsserver: Callable[..., Server]) -> None:
    server = wsserver(testing.echo, timeout=3)
    print(WebSocket(server.url))


def with_script() -> None:
    clock = FakeClock(epoch=0)
    wire = ScriptedTransport(
        [testing.ACCEPT, testing.text_frame('one'), 60, 0.5, testing.until('ping'), testing.pong_frame(),
         testing.ping_frame(b'x'), testing.until(lambda transport: len(transport.sent) > 2), testing.room(0),
         testing.room(None), OSError('reset'), testing.sends_fail(OSError('broken')),
         testing.text_frame('a', fin=False), testing.continuation_frame(b'b'), testing.binary_frame(b'c'),
         testing.close_frame(1001, 'bye'), testing.close_frame(None),
         lambda transport: b'' if transport.is_closed else None, testing.EOF],
        clock=clock, protocols=['chat'], deflate=True, answers=True, connect_error=None, patience=10)
    made: type[WebsocketSession] = wire.session_class
    websocket = WebSocket('ws://example.org/', proxies={})
    for event in websocket.connect(session_class=made):
        print(event.name)
    for event in persist(websocket, exit_event=clock.event(),
                         session_class=testing.session_class(wire, ScriptedTransport([testing.EOF]))):
        print(event.name)
    assert_type(wire.sent, 'list[tuple[float, bytes]]')
    if wire.request is not None:
        print(wire.request.headers)
    for when, event in wire.events:
        if event.name == 'text':
            print(when, event.text)
    clock.advance(1.5)
    assert_type(clock.elapsed, float)
    print(testing.ScriptError)
