"""persist(): its events and policies, and stand-ins for its arguments."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from typing_extensions import assert_type

from lomond import WebSocket
from lomond import persist as module
from lomond.events import BackOff, ConnectFail, Disconnected, GaveUp, Rejected, Text
from lomond.persist import persist, transient
from lomond.session import WebsocketSession

if TYPE_CHECKING:
    from lomond.events import AnyEvent

websocket = WebSocket('wss://example.org/')


def plain() -> None:
    for event in persist(websocket):
        if event.name == 'text':
            print(event.text)
        elif event.name == 'back_off':
            assert_type(event, BackOff)
            assert_type(event.delay, float)
            assert_type(event.attempt, 'int | None')
            if event.cause is not None:
                assert_type(event.cause, 'ConnectFail | Rejected | Disconnected')
                print(event.cause.reason)
        elif event.name == 'gave_up':
            assert_type(event, GaveUp)
            assert_type(event.attempts, int)
            if event.cause.name == 'rejected':
                print(event.cause.response.status_code)
            elif isinstance(event.cause, Disconnected):
                print(event.cause.code)


def policy(event: ConnectFail | Rejected | Disconnected) -> bool | float:
    if event.name == 'rejected':
        return event.response.status_code == 503
    if event.name == 'connect_fail':
        return 60
    assert_type(event, Disconnected)
    return event.code != 1008


def on_any(event: AnyEvent) -> bool:
    return event.name != 'rejected'


leave = threading.Event()
persist(websocket, 5, 5, 30, 30, None, leave, True)
persist(websocket, exit_event=leave, max_retries=3, retry_on=transient, stable_after=1)
persist(websocket, retry_on=policy, session_class=WebsocketSession, send_timeout=None)
persist(websocket, retry_on=on_any, min_wait=0.5, max_wait=60, connect_timeout=None)
persist(websocket, retry_on=lambda event: event.name != 'rejected' or event.response.status_code != 401)
persist(websocket, poll=1, ping_rate=0, ping_timeout=60, auto_pong=False, close_timeout=5,
        respect_retry_after=False)
assert_type(module.back_off_delay(1, 0.5, 5, 30, 'Fri, 31 Dec 1999 23:59:59 GMT', 0.0), float)

events: Generator[AnyEvent, None, None] = persist(
    websocket, session_class=lambda websocket: WebsocketSession(websocket))
first = next(events)
events.close()


class Stop:
    """All that exit_event needs."""

    def wait(self, timeout: float) -> bool:
        return False


class Double:
    """All that persist() needs of a WebSocket in a test."""

    def connect(self, poll: float, ping_rate: float | None, ping_timeout: float | None) -> Iterator[AnyEvent]:
        yield Text('hello')
        yield Disconnected()


persist(Double(), exit_event=Stop())
