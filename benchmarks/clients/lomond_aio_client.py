"""lomond on the loop of asyncio: ``async for event in websocket``, with defaults."""

import asyncio

from lomond.aio import AsyncWebSocket

from .job import Wrong, turns

IMPORT = 'from lomond.aio import AsyncWebSocket'


async def _open(job):
    """Return an AsyncWebSocket and its iterator after Ready."""
    options = {'compress': True} if job.deflate else {}
    if job.cafile:
        options['ssl_cafile'] = job.cafile
    websocket = AsyncWebSocket(job.url, **options)
    events = websocket.connect()
    async for event in events:
        if event.name == 'ready':
            return websocket, events
    raise Wrong('no connection: {!r}'.format(event))


async def _messages(events, count):
    """Return a list of messages."""
    found = []
    while len(found) < count:
        event = await events.__anext__()
        if event.name in ('text', 'binary'):
            found.append(event.text if event.name == 'text' else event.data)
        elif event.name in ('disconnected', 'protocol_error'):
            raise Wrong(repr(event))
    return found


async def _receive(job):
    websocket, events = await _open(job)
    job.check_warm(await _messages(events, job.warm))
    await websocket.send_text('go')
    total, left = 0, job.count
    job.begin()
    if job.is_text:
        async for event in events:
            if event.name == 'text':
                message = event.text
                total += len(message)
                left -= 1
                if not left:
                    break
    else:
        async for event in events:
            if event.name == 'binary':
                message = event.data
                total += len(message)
                left -= 1
                if not left:
                    break
    job.end()
    job.check_received(total, message)
    await events.aclose()


async def _round_trip(job):
    websocket, events = await _open(job)
    payload = job.payload
    send = websocket.send_text if job.is_text else websocket.send_binary
    name, attribute = ('text', 'text') if job.is_text else ('binary', 'data')
    for left in job.warm, job.count:
        job.begin()
        await send(payload)
        async for event in events:
            if event.name == name:
                if getattr(event, attribute) != payload:
                    raise Wrong('the echo is not what was sent')
                left -= 1
                if not left:
                    break
                await send(payload)
        job.end()
    await events.aclose()


async def _latency(job):
    websocket, events = await _open(job)
    for _ in turns(job):
        await websocket.send_text(job.payload)
        async for event in events:
            if event.name == 'text':
                break
        if event.text != job.payload:
            raise Wrong('the echo is not what was sent')
    await events.aclose()


async def _send(job):
    websocket, events = await _open(job)
    send = websocket.send_text if job.is_text else websocket.send_binary
    total = 0
    for count in job.warm, job.count:
        messages = job.sent(count)
        job.begin()
        for message in messages:
            await send(message)
        report, = await _messages(events, 1)
        job.end()
        total += count
        job.check_report(report, total)
    await events.aclose()


def receive(job):
    asyncio.run(_receive(job))


def round_trip(job):
    asyncio.run(_round_trip(job))


def latency(job):
    asyncio.run(_latency(job))


def send(job):
    asyncio.run(_send(job))


async def _connect(job):
    options = {'ssl_cafile': job.cafile} if job.cafile else {}
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            websocket = AsyncWebSocket(job.url, **options)
            async for event in websocket.connect():
                if event.name == 'ready':
                    websocket.close()
            if event.name != 'disconnected' or not event.graceful:
                raise Wrong('no connection, or no end: {!r}'.format(event))
        job.end()


def connect(job):
    asyncio.run(_connect(job))


_loop = None


def open_idle(job):
    """Use one loop for all, as a program would."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
    return _loop.run_until_complete(_open(job))


def idle(job):
    async def wait():
        _, events = await _open(job)
        async for _ in events:
            pass

    asyncio.run(wait())
