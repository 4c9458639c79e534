"""Loops over events in asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from typing_extensions import assert_type

from lomond import events
from lomond.aio import AsyncEvents, AsyncWebSocket, apersist


async def follow(url: str) -> None:
    async with AsyncWebSocket(url, compress=True) as websocket:
        assert_type(websocket, AsyncWebSocket)
        async for event in websocket:
            if event.name == 'text':
                assert_type(event, events.Text)
                assert_type(event.text, str)
            elif event.name == 'ready':
                assert_type(await websocket.send_json(subscribe='prices'), None)
                await asyncio.gather(websocket.send_text('one'), websocket.send_binary(b'two'))
            elif event.name == 'drained':
                assert_type(websocket.queued, int)
        websocket.close(1000, 'enough')
        print(websocket.is_closed, websocket.latency)


async def with_settings(websocket: AsyncWebSocket) -> None:
    found = websocket.connect(poll=None, ping_timeout=60, max_queued=None)
    assert_type(found, AsyncEvents)
    event = await asyncio.wait_for(found.__anext__(), 5)
    if event.name == 'disconnected':
        assert_type(event.graceful, bool)
    task: asyncio.Task[None] = asyncio.create_task(websocket.send_ping(b'x'))
    await task
    await found.aclose()


async def again_and_again(websocket: AsyncWebSocket) -> None:
    async for event in apersist(websocket, max_wait=30, retry_on=lambda cause: cause.name != 'rejected'):
        if event.name == 'back_off':
            assert_type(event.delay, float)


async def parts() -> AsyncIterator[bytes]:
    yield b'one'


async def in_parts(websocket: AsyncWebSocket) -> None:
    await websocket.send_stream(parts())
    await websocket.send_stream(['one', 'two'])
    with open('dump', 'rb') as file:
        await websocket.send_stream(file)


async def together(websocket: AsyncWebSocket) -> None:
    with websocket.cork():
        await websocket.send_text('x')
    async with websocket.cork():
        await websocket.send_text('x')


def mistakes(websocket: AsyncWebSocket) -> Any:
    websocket.connect(session_class=None)  # type: ignore[call-arg]
