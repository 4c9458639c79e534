"""lomond.aio against real servers: with the loop of asyncio, with one that has no
``add_reader`` (as on Windows), and with uvloop.

2.7 ignores this file (``tests/conftest.py``): it has async syntax.
"""

import asyncio
import functools
import gc
import random
import time

import pytest
from support.addresses import free_port
from support.certificates import server_context
from support.frames import BINARY, TEXT, frame
from support.network import open_descriptors
from support.peer import Server, bye, echo, lenient_server, reply

from lomond import WebSocket, aio
from lomond.aio import AsyncWebSocket

pytestmark = pytest.mark.ends


class NoReaders(asyncio.SelectorEventLoop):
    """As a Proactor loop: it has neither ``add_reader`` nor ``add_writer``."""

    def add_reader(self, *args):
        raise NotImplementedError

    add_writer = add_reader


def new_uvloop():
    uvloop = pytest.importorskip('uvloop', reason='uvloop is not installed')
    return uvloop.new_event_loop()


LOOPS = {'asyncio': asyncio.SelectorEventLoop, 'thread': NoReaders, 'uvloop': new_uvloop}


def run(coroutine, new_loop=asyncio.SelectorEventLoop, limit=20):
    """Run it to its end, in debug mode: nothing stays behind, and nobody complains."""
    loop, complaints = new_loop(), []
    loop.set_debug(True)
    loop.slow_callback_duration = 10
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = open_descriptors()
    try:
        result = loop.run_until_complete(asyncio.wait_for(coroutine, limit))
        assert not any(not handle.cancelled() for handle in getattr(loop, '_scheduled', ()))
        for _ in range(100):            # the thread of NoReaders
            gc.collect()
            if open_descriptors() <= before:
                break
            time.sleep(0.01)
        assert open_descriptors() <= before and not aio._Hub._hubs
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    gc.collect()
    assert complaints == []
    return result


@pytest.fixture(params=sorted(LOOPS))
def run_on(request):
    """:func:`run` on each kind of loop."""
    if request.param == 'uvloop':
        pytest.importorskip('uvloop', reason='uvloop is not installed')
    return functools.partial(run, new_loop=LOOPS[request.param])


def client(server, kind=AsyncWebSocket, **options):
    return kind(server.url() if isinstance(server, Server) else server, proxies={}, **options)


async def collect(events):
    return [event async for event in events]


async def take(events, name):
    """Return the next event of this name."""
    async for event in events:
        if event.name == name:
            return event


def drop(peer):
    peer.accept()
    peer.text('x')


def breaks_the_rules(peer):
    peer.accept()
    peer.send(frame(TEXT, b'good') + frame(TEXT, b'\xff'))
    peer.wait_gone()


def many(peer):
    peer.accept()
    peer.send(b''.join(frame(TEXT, str(number).encode()) for number in range(500)))
    peer.send(frame(BINARY, b'x' * 300000))
    peer.end(4000, b'enough')


# --- the same events ---

def shown(events, server):
    port = str(server.port if isinstance(server, Server) else server)
    return [(event.name, repr(event).replace(port, 'PORT')) for event in events if event.name != 'poll']


@pytest.mark.parametrize('script', [
    bye, drop, breaks_the_rules, many, reply(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'), None,
    reply(b'HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n')])
def test_events_are_those_of_the_blocking_session(script, run_on):
    if script is None:
        url = 'ws://127.0.0.1:%d/' % free_port()
        expected = shown(WebSocket(url, proxies={}), url)
        assert shown(run_on(collect(AsyncWebSocket(url, proxies={}))), url) == expected
        return
    found = []
    for kind, get in ((WebSocket, list), (AsyncWebSocket, lambda events: run_on(collect(events)))):
        with lenient_server(script) as server:
            found.append(shown(get(client(server, kind, max_redirects=1)), server))
    assert found[0] == found[1] and found[0][-1][0] in ('disconnected', 'connect_fail')


def test_tls(certs, run_on):
    with Server(echo, tls=server_context(certs.server)) as server:
        async def main():
            async with client(server, ssl_cafile=certs.ca) as websocket:
                async for event in websocket:
                    if event.name == 'ready':
                        await websocket.send_binary(b'x' * 1000000)
                    elif event.name == 'binary':
                        websocket.close()
                        size = len(event.data)
                return size, event.name
        assert run_on(main()) == (1000000, 'disconnected')


# --- canceling loses nothing ---

async def cancel_at_random(rng, awaitable):
    """Await it, in one of the ways in which programs do, and cancel that anywhere."""
    if rng.randrange(2):
        return await asyncio.wait_for(awaitable, rng.choice([0, 0.0001, 0.001, 0.01]))
    make_task = asyncio.ensure_future if rng.randrange(2) else asyncio.get_event_loop().create_task
    task = make_task(awaitable)
    for _ in range(rng.randrange(5)):
        await asyncio.sleep(0)
    task.cancel()
    return await task


@pytest.mark.parametrize('seed', range(3))
def test_fuzzed_cancellation(seed, run_on):
    rng = random.Random(seed)

    async def main(url):
        sent, received = 0, []
        async with AsyncWebSocket(url, proxies={}) as websocket:
            events = websocket.connect()
            while len(received) < 200:
                try:
                    if is_ready and sent < 200 and rng.randrange(2):
                        sent += 1
                        await cancel_at_random(rng, websocket.send_text(str(sent - 1)))
                    else:
                        event = await cancel_at_random(rng, events.__anext__())
                        if event.name == 'text':
                            received.append(int(event.text))
                        elif event.name == 'ready':
                            is_ready.append(1)
                except (asyncio.CancelledError, asyncio.TimeoutError):
                    pass
        return received

    is_ready = []
    with lenient_server(echo) as server:
        assert run_on(main(server.url())) == list(range(200))
