"""Subclasses in programs: of WebSocket, session and event, and test doubles."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from typing_extensions import assert_type

from lomond import WebSocket
from lomond.errors import ConnectFail, HandshakeError
from lomond.events import Event, Ready, Text
from lomond.network.poller import READ, monotonic
from lomond.response import Response
from lomond.session import WebsocketSession

if TYPE_CHECKING:
    from lomond.events import AnyEvent


class Client(WebSocket):
    """Overrides every method that may be overridden."""

    def __init__(self, room: str, **options: Any) -> None:
        super().__init__('wss://example.org/' + room, **options)
        self.room = room

    def build_request(self) -> bytes:
        return super().build_request().replace(b'User-Agent', b'USER-AGENT')

    def on_response(self, response: Response) -> tuple[str | None, set[str]]:
        if response.get('x-room') != self.room:
            raise HandshakeError('no such room')
        return super().on_response(response)

    def process_extensions(self, extensions: list[str]) -> set[str]:
        return super().process_extensions([one for one in extensions if one != 'x-unknown'])

    def on_disconnect(self) -> None:
        print('over')
        super().on_disconnect()

    def connect(self, *args: Any, **settings: Any) -> Any:
        return super().connect(*args, **dict(settings, poll=1.0))

    def __iter__(self) -> Iterator[AnyEvent]:
        return super().connect(poll=1.0)


class PipeSession(WebsocketSession):
    """Makes its own connection."""

    def _connect(self) -> tuple[socket.socket, str | None]:
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours, None


class StrictSession(WebsocketSession):
    """Uses its own TLS."""

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self.websocket = websocket

    def _wrap_socket(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        try:
            return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        except OSError as error:
            raise ConnectFail('{}: {}', host, error)


class Double:
    """A stand-in for a session in tests."""

    def __init__(self, websocket: WebSocket) -> None:
        self.session_time = 0.0

    def run(self, poll: float, ping_rate: float | None, ping_timeout: float | None, auto_pong: bool,
            close_timeout: float | None) -> Iterator[Text]:
        yield Text('hello')

    def send(self, opcode: int, payload: bytes, compress: bool = False) -> None: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def force_disconnect(self) -> None: ...


def make_session(websocket: WebSocket) -> WebsocketSession:
    return PipeSession(websocket)


class Tick(Event):
    """An event of a program, for its own queue."""

    name = 'tick'

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count


class Greeting(Text):
    """Extends an existing event."""

    def words(self) -> list[str]:
        return self.text.split()


Client('kitchen', compress=True).connect().close()
client = WebSocket('wss://example.org/')
for session_class in (PipeSession, StrictSession):
    for event in client.connect(session_class):
        print(event.name)
texts: Iterator[Text] = client.connect(session_class=Double)
made: Generator[AnyEvent, None, None] = client.connect(session_class=make_session, poll=1)
opened: WebsocketSession = client.open(ping_timeout=60)
assert_type(client.open(PipeSession, poll=1), PipeSession)
for waited in opened.waits():
    assert_type(waited, 'tuple[int, int]')
for event in opened.process([(3, READ)], opened.monotonic()):
    assert_type(event.received_time, float)
piped: Generator[AnyEvent, None, None] = client.connect(lambda websocket: PipeSession(websocket))
with contextlib.closing(client.connect(StrictSession, 1)) as events:
    next(events)
with Client('kitchen') as entered:
    print(entered.room)

own_queue: list[Event] = [Tick(1), Greeting('hello you')]
for found in own_queue:
    if isinstance(found, Tick):
        print(found.count)
    elif isinstance(found, Greeting):
        print(found.words())
    elif isinstance(found, Ready):
        print(found.protocol)


def drive(session: WebsocketSession) -> None:
    """A custom driver."""
    session.start(poll=1.0, ping_timeout=10)
    while not session.is_over:
        deadline = session.next_deadline()
        wait = None if deadline is None else deadline - session.monotonic()
        for fd, mask in session.waits():
            print(fd, mask, wait)
        ready = [(fd, mask & READ) for fd, mask in session.waits()]
        for event in session.process(ready, monotonic()):
            print(event.name)
    session.queue_message(1, b'text')
    session.wake()
