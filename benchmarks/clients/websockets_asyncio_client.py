"""The asyncio client of websockets, without a size limit.

It compresses only if that is measured.
"""

import asyncio

from websockets.asyncio import client

from .job import Wrong, turns

IMPORT = 'from websockets.asyncio.client import connect'


def _open(job):
    options = {'ssl': job.ssl_context()} if job.cafile else {}
    options['compression'] = 'deflate' if job.deflate else None
    return client.connect(job.url, max_size=None, proxy=None, **options)


async def _receive(job):
    async with _open(job) as connection:
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
    async with _open(job) as connection:
        payload = job.payload
        for count in job.warm, job.count:
            job.begin()
            for _ in range(count):
                await connection.send(payload)
                if await connection.recv() != payload:
                    raise Wrong('the echo is not what was sent')
            job.end()


async def _latency(job):
    async with _open(job) as connection:
        for _ in turns(job):
            await connection.send(job.payload)
            if await connection.recv() != job.payload:
                raise Wrong('the echo is not what was sent')


async def _send(job):
    async with _open(job) as connection:
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
    asyncio.run(_receive(job))


def round_trip(job):
    asyncio.run(_round_trip(job))


def latency(job):
    asyncio.run(_latency(job))


def send(job):
    asyncio.run(_send(job))


async def _connect(job):
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            connection = await _open(job)
            await connection.close()
            if connection.close_code != 1000:
                raise Wrong('closed with {}'.format(connection.close_code))
        job.end()


def connect(job):
    asyncio.run(_connect(job))


_loop = None


def open_idle(job):
    """Use one loop for all, as a program would."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()

    async def connect_one():
        return await _open(job)

    return _loop.run_until_complete(connect_one())


def idle(job):
    async def wait():
        async with _open(job) as connection:
            await connection.recv()

    asyncio.run(wait())
