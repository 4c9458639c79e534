"""Many connections of one client in one process: ``many_client.py CLIENT < job.json``.

The last line of its output is a JSON object.  It then waits for the end of its standard
input, so that the server can end the connections first.

Everything is driven by messages: a client opens its connections, tells the meter of
each one that is open and of each message, and the meter asks the server for more.

Knows nothing of: other clients' figures, what is wanted.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from clients.job import cpu_seconds, say, status_bytes  # noqa: E402

#: Connections opened before counting, so that one-time costs are not charged to one.
WARM = 20
#: How many connect at a time.
AT_ONCE = 100
#: Messages before the clock starts.
WARM_MESSAGES = 500
#: Seconds between two Polls of the group while half of its members are reset.
POLL = 0.05


def count_descriptors():
    return len(os.listdir('/proc/self/fd'))


class Meter:
    """Measures one client.

    :param job: a dict: ``url``, ``fifo``, ``connections``, ``phases``: a list of
        (name, command, messages per command, commands), ``cafile``

    :ivar total: how many connections to open
    :ivar first: how many of them to open first; the rest once ``opened`` returns true
    :ivar result: figures by name
    :ivar finished: called at the end
    """

    def __init__(self, job):
        self.job = job
        self.url = job['url']
        self.first = WARM if job['connections'] > 1 else 1
        self.total = job['connections'] + (WARM if self.first == WARM else 0)
        self.result = {}
        self.is_done = False
        self.finished = lambda: None
        self._fifo = os.open(job['fifo'], os.O_WRONLY) if job['fifo'] else None
        self._open = 0
        self._begun = time.monotonic()
        self._descriptors = count_descriptors()
        self._size = None
        self._phases = list(job['phases'])
        self._left = self._commands = 0

    def command(self, byte):
        os.write(self._fifo, byte.encode('ascii'))

    def opened(self):
        """Note that one more connection is open.

        :returns: True if the rest of them is to be opened now
        """
        self._open += 1
        if self._open == self.first and self.first != self.total:
            gc.collect()
            self._size = status_bytes('VmRSS')
            return True
        if self._open == self.total:
            if self._size is not None:
                gc.collect()
                self.result['memory'] = (status_bytes('VmRSS') - self._size) / (self.total - self.first)
            self.result['descriptors'] = count_descriptors() - self._descriptors - self.total
            self.result['seconds'] = time.monotonic() - self._begun
            self.all_open()
        return False

    def all_open(self):
        """Begin with the next phase."""
        if not self._phases:
            self.finish()
            return
        self._name, self._byte, self._burst, self._count = self._phases.pop(0)
        # The clock starts when the warm-up is over.
        self._warm = 1 if self._byte == 'j' else -(-WARM_MESSAGES // self._burst)
        self._commands = 0
        self._left = 1 if self._byte == 'j' else self._burst
        self.command('i' if self._byte == 'j' else self._byte)

    def on_message(self, text):
        """Take a message of any connection."""
        self._left -= 1
        if self._left:
            return
        self._commands += 1
        if self._commands == self._warm:
            self._cpu = cpu_seconds()
        elif self._commands == self._warm + self._count:
            used = cpu_seconds() - self._cpu
            self.result[self._name] = used / (self._count * self._burst)
            self.all_open()
            return
        self._left = self._burst
        self.command(self._byte)

    def finish(self):
        self.is_done = True
        self.finished()


class Flooded(Meter):
    """One connection is flooded; messages to ten others say when they were sent."""

    def all_open(self):
        self._late = []
        self._bytes = 0
        self.command('f')
        self._since = time.monotonic()

    def on_message(self, text):
        if not isinstance(text, str):
            self._bytes += len(text)
        elif text == 'end':
            if not self.is_done:
                seconds = time.monotonic() - self._since
                late = sorted(self._late)
                self.result.update(rate=self._bytes / seconds, late=late[int(len(late) * 0.99)])
                self.finish()
        else:
            self._late.append(time.monotonic() - float(text))


# --- one function per client: open everything, and run until meter.is_done

def run_lomond(meter):
    """One connection in the blocking loop."""
    from lomond import WebSocket
    for event in WebSocket(meter.url, proxies={}).connect(poll=3600, ping_rate=0):
        if event.name == 'text':
            meter.on_message(event.text)
        elif event.name == 'ready':
            meter.opened()
        elif event.name in ('connect_fail', 'rejected', 'disconnected'):
            raise RuntimeError(repr(event))
        if meter.is_done:
            leave(meter)


def _group_and_sockets(meter, **settings):
    from lomond import WebSocket
    from lomond.group import Group
    options = {'ssl_cafile': meter.job['cafile']} if meter.job['cafile'] else {}
    group = Group(max_connecting=AT_ONCE, ping_rate=0, **settings)
    return group, lambda: WebSocket(meter.url, proxies={}, **options)


def run_group(meter):
    group, make = _group_and_sockets(meter, poll=3600)
    for _ in range(meter.first):
        group.add(make())
    for _websocket, event in group:
        name = event.name
        if name == 'text':
            meter.on_message(event.text)
        elif name == 'binary':
            meter.on_message(event.data)
        elif name == 'ready':
            if meter.opened():
                for _ in range(meter.total - meter.first):
                    group.add(make())
        elif name in ('connect_fail', 'rejected', 'disconnected'):
            raise RuntimeError(repr(event))
        if meter.is_done:
            leave(meter)


def run_reset(meter):
    """Half of the members are reset; how soon are all back, how late is the Poll?"""
    group, make = _group_and_sockets(meter, poll=POLL)
    for _ in range(meter.total):
        group.persist(make(), min_wait=0, max_wait=1)
    ready, reset_at, back_at, last_poll, late = 0, None, None, None, 0
    for _websocket, event in group:
        if event.name == 'ready':
            ready += 1
            if ready == meter.total and reset_at is None:
                meter.command('r')
                reset_at = time.monotonic()
            elif ready == meter.total:
                back_at = time.monotonic()
        elif event.name == 'disconnected':
            ready -= 1
        elif event.name == 'poll':
            now = time.monotonic()
            if reset_at is not None and last_poll is not None and last_poll > reset_at:
                late = max(late, now - last_poll - POLL)
            last_poll = now
            if back_at is not None and now > back_at + 0.5:
                meter.result.update(back=back_at - reset_at, poll_late=late)
                leave(meter)


def _run_tasks(meter, start):
    """Run a task per connection.

    :param start: ``await start(limit)`` opens one connection, under the semaphore
        ``limit``, and returns a coroutine that takes its messages; or None
    """
    async def one(limit, more):
        async with limit:
            taking = await start()
        if meter.opened():
            more.set()
        if taking is not None:
            await taking

    async def main():
        limit, more = asyncio.Semaphore(AT_ONCE), asyncio.Event()
        done = asyncio.get_running_loop().create_future()
        meter.finished = lambda: done.done() or done.set_result(None)

        def note(task):
            if not task.cancelled() and task.exception() is not None and not done.done():
                done.set_exception(task.exception())

        tasks = []
        for count in meter.first, meter.total - meter.first:
            for _ in range(count):
                tasks.append(asyncio.ensure_future(one(limit, more)))
                tasks[-1].add_done_callback(note)
            if count != meter.total:
                waiting = asyncio.ensure_future(more.wait())
                await asyncio.wait([waiting, done], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        await done
        leave(meter)

    asyncio.run(main())


def run_aio(meter):
    from lomond.aio import AsyncWebSocket

    async def take(events):
        async for event in events:
            if event.name == 'text':
                meter.on_message(event.text)
            elif event.name == 'binary':
                meter.on_message(event.data)
            elif event.name in ('connect_fail', 'rejected', 'disconnected'):
                raise RuntimeError(repr(event))

    async def start():
        events = AsyncWebSocket(meter.url, proxies={}).connect(ping_rate=0)
        async for event in events:
            if event.name == 'ready':
                return take(events)
            if event.name in ('connect_fail', 'rejected', 'disconnected'):
                raise RuntimeError(repr(event))

    _run_tasks(meter, start)


def run_websockets(meter):
    from websockets.asyncio.client import connect

    async def take(connection):
        async for message in connection:
            meter.on_message(message)

    async def start():
        return take(await connect(meter.url, compression=None, ping_interval=None, open_timeout=60,
                                  proxy=None))

    _run_tasks(meter, start)


def run_aiohttp(meter):
    import aiohttp
    session = None

    async def take(connection):
        async for message in connection:
            meter.on_message(message.data)

    async def start():
        nonlocal session
        if session is None:
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return take(await session.ws_connect(meter.url))

    _run_tasks(meter, start)


def run_picows(meter):
    from picows import WSListener, WSMsgType, ws_connect

    class Listener(WSListener):
        def on_ws_frame(self, transport, frame):
            if frame.msg_type == WSMsgType.TEXT:
                meter.on_message(frame.get_payload_as_utf8_text())
            elif frame.msg_type == WSMsgType.BINARY:
                meter.on_message(frame.get_payload_as_bytes())

    async def start():
        await ws_connect(Listener, meter.url)

    _run_tasks(meter, start)


def run_memory(meter):
    """By tracemalloc: a connection of the blocking loop, and one that never connected."""
    import tracemalloc

    from lomond import WebSocket

    def connect():
        websocket = WebSocket(meter.url, proxies={})
        events = websocket.connect()
        while next(events).name != 'ready':
            pass
        return websocket, events

    count = meter.job['connections']
    for name, make in ('connected', connect), ('unconnected', lambda: WebSocket(meter.url, proxies={})):
        kept = [make() for _ in range(WARM)]
        gc.collect()
        tracemalloc.start()
        kept.extend([make() for _ in range(count)])
        gc.collect()
        meter.result[name] = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        leave.kept.append(kept)         # until the end: closing is not measured


RUNS = {'lomond': run_lomond, 'group': run_group, 'aio': run_aio, 'websockets': run_websockets,
        'aiohttp': run_aiohttp, 'picows': run_picows, 'reset': run_reset, 'memory': run_memory}


def leave(meter):
    """Show the figures, and end the process once the server has gone."""
    say(json.dumps(meter.result))
    os.read(0, 1)
    os._exit(0)         # without closing the connections one by one


leave.kept = []


def main():
    job = json.loads(sys.stdin.readline())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    meter = (Flooded if job['is_flooded'] else Meter)(job)
    if job['is_flooded']:
        meter.first = meter.total
    RUNS[sys.argv[1]](meter)
    leave(meter)


if __name__ == '__main__':
    main()
