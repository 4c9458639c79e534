"""Loops over events: by name, by class, by match, and with separate handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from typing_extensions import assert_never, assert_type

from lomond import WebSocket, events
from lomond.events import Binary, Closed, Closing, Pong, Ready, Rejected, Text
from lomond.group import Group
from lomond.response import Request, Response

if TYPE_CHECKING:           # only the stubs have this name
    from lomond.events import AnyEvent


def by_name(websocket: WebSocket) -> None:
    for event in websocket:
        assert_type(event.received_time, float)
        if event.name == 'text':
            assert_type(event, events.Text)
            assert_type(event.text, str)
            assert_type(event.json, Any)
        elif event.name == 'binary':
            assert_type(event.data, bytes)
        elif event.name == 'ready':
            assert_type(event.response, Response)
            assert_type(event.protocol, 'str | None')
            assert_type(event.extensions, 'set[str]')
        elif event.name == 'rejected':
            print(event.response.status_code, event.response.body, event.reason)
        elif event.name == 'connect_fail':
            print(event.stage == 'tls', event.error)
        elif event.name == 'pong' and event.latency is not None:
            print(event.latency * 1000)
        elif event.name != 'disconnected':
            continue
        else:
            assert_type(event, events.Disconnected)
            print(event.graceful, event.code)


def by_class(websocket: WebSocket) -> None:
    for event in websocket.connect(poll=1, ping_rate=None):
        if isinstance(event, Text):
            print(event.text.upper())
        elif isinstance(event, (Closing, Closed)):
            assert_type(event.code, 'int | None')
        elif isinstance(event, Rejected):
            print(event.response.get('retry-after', '0') + event.reason)


def by_match(event: AnyEvent) -> str:
    match event:
        case Text(text=text):
            return text
        case Binary(data=data):
            return data.decode('latin-1')
        case Ready():
            return event.protocol or ''
        case Pong(latency=float(latency)):
            return str(latency)
        case _:
            return event.name


def by_match_of_name(event: AnyEvent) -> str:
    match event.name:
        case 'text':
            return event.text
        case 'closing' | 'closed':
            return event.reason
        case name:
            return name


def several_names(event: AnyEvent) -> int:
    """pyright does not narrow by ``event.name in (..)``; both understand ``or``."""
    if event.name == 'ping' or event.name == 'pong':
        return len(event.data)
    if not (event.name == 'closing' or event.name == 'closed'):
        return 0
    return event.code or 1005


def to_the_last(event: AnyEvent) -> str:
    """A checker reports if a kind of event is missing here."""
    if event.name == 'text':
        return event.text
    if event.name == 'binary' or event.name == 'ping' or event.name == 'pong':
        return event.data.hex()
    if event.name == 'text_part':
        return event.text if event.is_last else ''
    if event.name == 'binary_part':
        return event.data.hex() if event.is_first else ''
    if event.name == 'connecting':
        return event.url
    if event.name == 'connected':
        return event.proxy or event.url
    if event.name == 'redirected':
        return event.url + event.location + (event.response.get('location') or '')
    if event.name == 'ready':
        return event.protocol or ''
    if event.name == 'poll':
        return str(event.received_time)
    if event.name == 'protocol_error':
        return event.error if event.critical else ''
    if event.name == 'closing' or event.name == 'closed' or event.name == 'disconnected':
        return event.reason
    if event.name == 'connect_fail' or event.name == 'rejected' or event.name == 'unresponsive':
        return event.reason
    if event.name == 'unknown':
        return str(event.message)
    if event.name == 'back_off':
        return str(event.delay + (event.attempt or 0))
    if event.name == 'gave_up':
        return str(event.attempts)
    if event.name == 'drained':
        return ''
    assert_never(event)


def many(urls: list[str]) -> int:
    """A group gives pairs; its own Poll comes without a WebSocket."""
    group = Group([WebSocket(url) for url in urls], ping_timeout=60, max_connecting=None)
    group.persist(WebSocket('ws://example.org/'), max_wait=5, ping_rate=None)
    with group:
        for websocket, event in group:
            if event.name == 'text':
                websocket.send_text(event.text)
            elif event.name == 'accepted':
                assert_type(event.request, Request)
            elif event.name == 'gave_up':
                group.remove(websocket, reason='enough')
        return len(group) + len(group.websockets)


HANDLERS: dict[str, Callable[[WebSocket, Any], None]] = {
    'text': lambda websocket, event: websocket.send_text(event.text),
}


def dispatch(websocket: WebSocket) -> None:
    for event in websocket:
        handler = HANDLERS.get(event.name)
        if handler is not None:
            handler(websocket, event)


def base_class(event: events.Event) -> float:
    """A function that takes any Event narrows by class."""
    return len(event.text) if isinstance(event, Text) else event.received_time


class Bot:
    """Methods named after events, as in many programs."""

    def on_text(self, event: Text) -> None: ...

    def on_ready(self, event: Ready) -> None: ...

    def run(self, websocket: WebSocket) -> None:
        for event in websocket:
            if event.name == 'text':
                self.on_text(event)
            elif event.name == 'ready':
                self.on_ready(event)


def made_by_hand() -> list[AnyEvent]:
    """For the tests of a handler."""
    response = Response(b'HTTP/1.1 101 Switching Protocols\r\n\r\n')
    return [
        events.Connecting('ws://example.org/'), events.Connected('ws://example.org/', proxy=None),
        events.Ready(response, None, set()), events.Text('hello'), events.Binary(b'\0'),
        events.Ping(b''), events.Pong(b'', latency=0.1), events.Poll(), events.Closing(1000, 'bye'),
        events.Closed(None, ''), events.Unresponsive(), events.ProtocolError('bad', True),
        events.Rejected(response, 'no'), events.ConnectFail('no', error=OSError(), stage='tls'),
        events.Redirected('ws://a/', 'ws://b/', response), events.UnknownMessage(None),
        events.Disconnected(), events.Disconnected('closed', True, None, 1000)]
