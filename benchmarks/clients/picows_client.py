"""picows on the loop of asyncio: Cython, callbacks.

It passes frames to a callback, as views of its buffer that are valid during the call.
This module does what the other clients do themselves: decode text, copy payloads and
join fragments.
"""

import asyncio

from picows import WSListener, WSMsgType, ws_connect

from .job import Wrong, turns

IMPORT = 'from picows import ws_connect'


class _Listener(WSListener):
    def __init__(self, is_text):
        self.is_text = is_text
        self.parts = []
        self.waiting = None
        self.paused = None
        self.on_message = self.collect
        self.collected = []
        self.wanted = 0

    def on_ws_frame(self, transport, frame):
        if frame.fin and not self.parts:
            if frame.msg_type == WSMsgType.TEXT:
                self.on_message(frame.get_payload_as_utf8_text())
            elif frame.msg_type == WSMsgType.BINARY:
                self.on_message(frame.get_payload_as_bytes())
            elif frame.msg_type == WSMsgType.CLOSE:
                self.fail(Wrong('the connection was closed'))
            return
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self.parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                data = b''.join(self.parts)
                self.parts = []
                self.on_message(data.decode() if self.is_text else data)

    def collect(self, message):
        self.collected.append(message)
        if len(self.collected) == self.wanted:
            self.waiting.set_result(None)

    def fail(self, error):
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(error)

    def on_ws_disconnected(self, transport):
        self.fail(Wrong('the connection was lost'))

    def pause_writing(self):
        self.paused = asyncio.get_running_loop().create_future()

    def resume_writing(self):
        paused, self.paused = self.paused, None
        if paused is not None:
            paused.set_result(None)

    def expect(self, count):
        """Return a future that is done once the next messages are in `collected`."""
        self.collected = []
        self.wanted = count
        self.waiting = asyncio.get_running_loop().create_future()
        return self.waiting


async def _open(job):
    options = {'ssl_context': job.ssl_context()} if job.cafile else {}
    return await ws_connect(lambda: _Listener(job.is_text), job.url, max_frame_size=1 << 30, **options)


async def _receive(job):
    transport, listener = await _begin(job)
    total, left, last = 0, job.count, None
    done = listener.expect(0)

    def on_message(message):
        nonlocal total, left, last
        total += len(message)
        last = message
        left -= 1
        if not left:
            job.end()
            done.set_result(None)

    listener.on_message = on_message
    transport.send(WSMsgType.TEXT, b'go')
    job.begin()
    await done
    job.check_received(total, last)
    transport.disconnect()


async def _begin(job):
    # The warm-up messages may arrive with the response, before ws_connect() returns.
    listener = _Listener(job.is_text)
    waiting = listener.expect(job.warm)
    options = {'ssl_context': job.ssl_context()} if job.cafile else {}
    transport, _ = await ws_connect(lambda: listener, job.url, max_frame_size=1 << 30, **options)
    if job.warm:
        await waiting
        job.check_warm(listener.collected)
    return transport, listener


async def _round_trip(job):
    transport, listener = await _open(job)
    payload = job.payload
    done = left = None

    def post():
        if job.is_text:
            transport.send(WSMsgType.TEXT, payload.encode())
        else:
            transport.send(WSMsgType.BINARY, payload)

    def on_message(message):
        nonlocal left
        if message != payload:
            listener.fail(Wrong('the echo is not what was sent'))
        left -= 1
        if left:
            post()
        else:
            job.end()
            done.set_result(None)

    listener.on_message = on_message
    for left in job.warm, job.count:        # noqa: B007 - on_message counts it down
        done = listener.expect(0)
        job.begin()
        post()
        await done
    transport.disconnect()


async def _latency(job):
    transport, listener = await _open(job)
    for _ in turns(job):
        echo = listener.expect(1)
        transport.send(WSMsgType.TEXT, job.payload.encode())
        await echo
        if listener.collected != [job.payload]:
            raise Wrong('the echo is not what was sent')
    transport.disconnect()


async def _send(job):
    transport, listener = await _open(job)
    total = 0
    for count in job.warm, job.count:
        messages = job.sent(count)
        report = listener.expect(1)
        job.begin()
        if job.is_text:
            for message in messages:
                transport.send(WSMsgType.TEXT, message.encode())
                if listener.paused is not None:
                    await listener.paused
        else:
            for message in messages:
                transport.send(WSMsgType.BINARY, message)
                if listener.paused is not None:
                    await listener.paused
        await report
        job.end()
        total += count
        job.check_report(listener.collected[0], total)
    transport.disconnect()


def receive(job):
    asyncio.run(_receive(job))


def round_trip(job):
    asyncio.run(_round_trip(job))


def latency(job):
    asyncio.run(_latency(job))


def send(job):
    asyncio.run(_send(job))


class _Closing(WSListener):
    code = None

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            self.code = frame.get_close_code()
            transport.disconnect()


async def _connect(job):
    options = {'ssl_context': job.ssl_context()} if job.cafile else {}
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            transport, listener = await ws_connect(_Closing, job.url, **options)
            transport.send_close(1000)
            await transport.wait_disconnected()
            if listener.code != 1000:
                raise Wrong('closed with {}'.format(listener.code))
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
        transport, _ = await _open(job)
        await transport.wait_disconnected()

    asyncio.run(wait())
