"""aiohttp on the loop of asyncio, without a size limit.

It compresses only if that is measured.
"""

import asyncio
import contextlib

import aiohttp

from .job import Wrong, turns

IMPORT = 'import aiohttp'


@contextlib.asynccontextmanager
async def _open(job):
    options = {'ssl': job.ssl_context()} if job.cafile else {}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(job.url, compress=15 if job.deflate else 0, max_msg_size=0,
                                      **options) as connection:
            yield connection


async def _messages(connection, count):
    return [(await connection.receive()).data for _ in range(count)]


async def _receive(job):
    async with _open(job) as connection:
        job.check_warm(await _messages(connection, job.warm))
        await connection.send_str('go')
        total, left = 0, job.count
        job.begin()
        async for message in connection:
            data = message.data
            total += len(data)
            left -= 1
            if not left:
                break
        job.end()
        job.check_received(total, data)


async def _round_trip(job):
    async with _open(job) as connection:
        payload = job.payload
        send = connection.send_str if job.is_text else connection.send_bytes
        receive = connection.receive
        for count in job.warm, job.count:
            job.begin()
            for _ in range(count):
                await send(payload)
                if (await receive()).data != payload:
                    raise Wrong('the echo is not what was sent')
            job.end()


async def _latency(job):
    async with _open(job) as connection:
        for _ in turns(job):
            await connection.send_str(job.payload)
            if (await connection.receive()).data != job.payload:
                raise Wrong('the echo is not what was sent')


async def _send(job):
    async with _open(job) as connection:
        send = connection.send_str if job.is_text else connection.send_bytes
        total = 0
        for count in job.warm, job.count:
            messages = job.sent(count)
            job.begin()
            for message in messages:
                await send(message)
            report = (await connection.receive()).data
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
    # One session for all, as its documentation advises.
    options = {'ssl': job.ssl_context()} if job.cafile else {}
    async with aiohttp.ClientSession() as session:
        for count in job.warm, job.count:
            job.begin()
            for _ in range(count):
                connection = await session.ws_connect(job.url, **options)
                if not await connection.close() or connection.close_code != 1000:
                    raise Wrong('closed with {}'.format(connection.close_code))
            job.end()


def connect(job):
    asyncio.run(_connect(job))


_loop = _session = None


def open_idle(job):
    """Use one loop and one session for all, as a program would."""
    global _loop, _session
    if _loop is None:
        _loop = asyncio.new_event_loop()

    async def connect():
        global _session
        if _session is None:
            _session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return await _session.ws_connect(job.url)

    return _loop.run_until_complete(connect())


def idle(job):
    async def wait():
        async with _open(job) as connection:
            await connection.receive()

    asyncio.run(wait())
