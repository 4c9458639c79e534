"""The asyncio client of websockets, without a size limit.

It compresses only if that is measured.
"""

import asyncio

from websockets.asyncio.client import connect

from .job import Wrong

IMPORT = 'from websockets.asyncio.client import connect'


async def _open(job):
    options = {'ssl': job.ssl_context()} if job.cafile else {}
    return await connect(job.url, max_size=None, proxy=None, compression='deflate' if job.deflate else None,
                         **options)


async def _receive(job):
    connection = await _open(job)
    job.check_warm([await connection.recv() for _ in range(job.warm)])
    await connection.send('go')
    total, left = 0, job.count
    job.begin()
    async for message in connection:
        total += len(message)
        left -= 1
        if not left:
            break
    job.end()
    job.check_received(total, message)


async def _round_trip(job):
    connection = await _open(job)
    payload = job.payload
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            await connection.send(payload)
            if await connection.recv() != payload:
                raise Wrong('the echo is not what was sent')
        job.end()


async def _send(job):
    connection = await _open(job)
    total = 0
    for count in job.warm, job.count:
        messages = job.sent(count)
        job.begin()
        for message in messages:
            await connection.send(message)
        report = await connection.recv()
        job.end()
        total += count
        job.check_report(report, total)


def receive(job):
    asyncio.new_event_loop().run_until_complete(_receive(job))


def round_trip(job):
    asyncio.new_event_loop().run_until_complete(_round_trip(job))


def send(job):
    asyncio.new_event_loop().run_until_complete(_send(job))


_loop = None


def open_idle(job):
    """Use one loop for all, as a program would."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
    return _loop.run_until_complete(_open(job))


def idle(job):
    async def wait():
        await (await _open(job)).recv()

    asyncio.new_event_loop().run_until_complete(wait())
