"""lomond.aio against real servers: with the loop of asyncio, with one that has no
``add_reader`` (as on Windows), and with uvloop.

2.7 ignores this file (``tests/conftest.py``): it has async syntax.
"""

import asyncio
import functools
import gc
import io
import os
import pickle
import random
import select
import socket
import sys
import threading
import time
import warnings

import pytest
from support.addresses import free_port
from support.certificates import server_context
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, frame
from support.network import open_descriptors
from support.peer import Server, bye, echo, lenient_server, reply

from lomond import WebSocket, aio, errors
from lomond.aio import AsyncWebSocket, apersist
from lomond.driver import lifecycle
from lomond.network.poller import READ
from lomond.persist import persist

#: What takes long, or needs another loop: one Python finds most mistakes there.
ends = pytest.mark.ends

#: Connections that are canceled at random.
ROUNDS = int(os.environ.get('LOMOND_ROUNDS', 100))


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
        assert open_descriptors() <= before and not aio.session.Hub._hubs
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    gc.collect()
    assert complaints == []
    return result


@pytest.fixture(params=['asyncio', pytest.param('thread', marks=ends), pytest.param('uvloop', marks=ends)])
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


def test_rejected_body_that_does_not_end(run_on, monkeypatch):
    monkeypatch.setattr(lifecycle, 'BODY_WAIT', 0.1)
    unfinished = b'HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\npart'
    with lenient_server(lambda peer: (peer.read_head(), peer.send(unfinished), peer.wait_gone())) as server:
        found = run_on(collect(client(server)))
    assert [event.name for event in found] == ['connecting', 'connected', 'rejected', 'disconnected']
    assert found[2].response.body == b'part'


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


@pytest.mark.parametrize('seed', [0, pytest.param(1, marks=ends), pytest.param(2, marks=ends)])
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


# --- turns of the loop ---

class Turns(asyncio.SelectorEventLoop):
    """Counts what is put off until the next turn."""

    count = 0

    def call_soon(self, *args, **kwargs):
        self.count += 1
        return super(Turns, self).call_soon(*args, **kwargs)


def test_a_message_costs_no_further_turn():
    """Its task goes on in the turn in which the message arrives."""
    async def main():
        events = client(server).connect()
        await take(events, 'ready')
        loop, task, counts = asyncio.get_event_loop(), aio._find_task(), []
        for _ in range(20):
            loop.count = 0
            await events._websocket.send_text('x')
            await take(events, 'text')
            counts.append(loop.count)
            assert aio._find_task() is task
        await events.aclose()
        return counts

    with Server(echo) as server:
        assert run(main(), Turns) == [0] * 20


def test_no_task_runs_inside_another_one():
    """A loop that calls back while a task runs, as those that can be nested do."""
    async def main():
        events = client(server).connect()
        await take(events, 'ready')
        events._websocket.send_text('x')
        waiting = asyncio.ensure_future(take(events, 'text'))
        await asyncio.sleep(0)
        fd, = (pair[0] for pair in events._session.waits())
        while not waiting.done() and not select.select([fd], [], [], 5)[0]:
            pass
        events._session.on_ready(((fd, READ),))
        assert not waiting.done()           # it waits for its turn
        assert (await waiting).text == 'x'
        await events.aclose()

    with Server(echo) as server:
        run(main())


@pytest.mark.parametrize('is_traced', [False, True])
def test_small_messages_come_in_batches(is_traced):
    """They are taken one by one, and a trace sees each."""
    async def main():
        traced, calls = [], []
        options = {'trace': traced.append} if is_traced else {}
        events = client(server, **options).connect()
        await take(events, 'ready')
        websocket, found = events._websocket, []
        await websocket.send_text('go')
        sys.setprofile(lambda frame, what, arg: calls.append(what) if what == 'call' else None)
        try:
            async for event in events:
                if event.name == 'text':
                    found.append(int(event.text))
                    if len(found) == 4000:
                        break
        finally:
            sys.setprofile(None)
        await events.aclose()
        assert found == list(range(4000))
        assert not is_traced or [record['stage'] for record in traced].count('message_text') == 4000
        return len(calls)

    def script(peer):
        peer.accept()
        assert peer.read_until(TEXT) == b'go'
        peer.send(b''.join(frame(TEXT, b'%d' % number) for number in range(4000)))
        peer.wait_gone()

    with Server(script) as server:
        count = run(main())
    assert is_traced or '__pypy__' in sys.modules or count < 4000 * 3, count


# --- while nobody asks ---

def test_pings_are_answered_while_the_consumer_sleeps(run_on):
    waited = []

    def script(peer):
        peer.accept()
        for number in range(10):
            began = time.time()
            peer.send(frame(PING, b'%d' % number))
            assert peer.read_until(PONG) == b'%d' % number
            waited.append(time.time() - began)
        peer.answer_close()

    async def main():
        async with client(server) as websocket:
            events = websocket.connect(ping_rate=0)
            await take(events, 'ready')
            await asyncio.sleep(0.4)
            assert len(waited) == 10 and sorted(waited)[5] < 0.1
            websocket.close()
            return [event.name for event in await collect(events)]

    with Server(script) as server:
        assert run_on(main()) == ['ping'] * 10 + ['closed', 'disconnected']


@ends
def test_reading_pauses_after_16_events(run_on):
    """The server cannot send more than the buffers of TCP hold."""
    def script(peer):
        peer.accept()
        peer.sock.settimeout(0.3)
        try:
            while True:
                peer.sock.send(frame(BINARY, b'x' * 65000))
                sent.append(1)
        except socket.timeout:
            pass
        is_blocked.set()
        peer.sock.settimeout(5)
        peer.end()

    async def main():
        async with client(server) as websocket:
            events = websocket.connect()
            await take(events, 'ready')
            while not is_blocked.is_set():
                await asyncio.sleep(0.05)
            assert len(events._queue) == aio.AHEAD
            return sum(len(event.data) for event in await collect(events) if event.name == 'binary')

    sent, is_blocked = [], threading.Event()
    with lenient_server(script) as server:
        assert run_on(main()) // 65000 >= len(sent) - 1 > aio.AHEAD


def test_what_handlers_send_goes_out_before_the_echo(run_on):
    """Events after Closing are not made ahead."""
    def script(peer):
        peer.accept()
        peer.send(frame(TEXT, b'one') + frame(CLOSE, b'\x03\xe8bye'))
        peer.read_until(CLOSE)
        sent.extend(payload for _, _, opcode, _, payload in peer.frames if opcode == TEXT)

    async def main():
        async with client(server) as websocket:
            async for event in websocket:
                if event.name in ('text', 'closing'):
                    await asyncio.sleep(0.05)
                    await websocket.send_text(event.name)

    sent = []
    with lenient_server(script) as server:
        run_on(main())
    assert sent == [b'text', b'closing']


def test_nothing_is_made_ahead_after_a_violation():
    async def main():
        async with client(server) as websocket:
            events = websocket.connect()
            await take(events, 'text')
            await asyncio.sleep(0.05)
            return [event.name for event in events._queue], [event.name async for event in events]

    with lenient_server(breaks_the_rules) as server:
        assert run(main()) == (['protocol_error'], ['protocol_error', 'disconnected'])


@ends
def test_polls_do_not_fill_the_queue():
    async def main():
        async with client(server) as websocket:
            events = websocket.connect(poll=0.01)
            await take(events, 'ready')
            await asyncio.sleep(0.3)
            websocket.close()
            return [event.name for event in await collect(events)]

    with Server(echo) as server:
        names = run(main())
    assert names.count('poll') < 4 and names[-1] == 'disconnected'


# --- tasks and threads ---

def test_one_task_iterates(run_on):
    async def main():
        async with client(server) as websocket:
            events = websocket.connect()
            await take(events, 'pong')          # of the first ping: nothing else comes
            first = asyncio.ensure_future(events.__anext__())
            await asyncio.sleep(0.02)
            with pytest.raises(RuntimeError, match='another task waits for an event'):
                await events.__anext__()
            await websocket.send_text('x')
            return (await first).text

    with lenient_server(echo) as server:
        assert run_on(main()) == 'x'


@pytest.mark.parametrize('end', ['close', 'force_disconnect'])
def test_ending_it_from_another_thread(end, run_on):
    async def main():
        async with client(server) as websocket:
            events = websocket.connect()
            await take(events, 'pong')
            thread = threading.Timer(0.05, getattr(websocket, end))
            thread.start()
            event = [event async for event in events][-1]
            thread.join()
            return event.name, event.graceful

    with lenient_server(echo) as server:
        assert run_on(main()) == ('disconnected', end == 'close')


def test_sending_in_another_thread_is_refused():
    async def main():
        async with client(server) as websocket:
            await take(websocket.connect(), 'ready')
            with pytest.raises(RuntimeError, match='loop.call_soon_threadsafe'):
                await asyncio.get_event_loop().run_in_executor(None, websocket.send_text, 'x')

    with lenient_server(echo) as server:
        run(main())


def test_another_loop_is_refused():
    async def begin():
        await take(events, 'ready')

    async def go_on():
        with pytest.raises(RuntimeError, match='another event loop'):
            await events.__anext__()
            await events.__anext__()

    with lenient_server(echo) as server:
        websocket = client(server)
        events = websocket.connect()
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(begin())
        other = asyncio.SelectorEventLoop()
        other.run_until_complete(go_on())
        other.close()
        loop.close()


@pytest.mark.parametrize('use, sentence', [
    (iter, 'async for'), (AsyncWebSocket.__enter__, 'async with'), (AsyncWebSocket.open, 'no steps'),
    (lambda websocket: websocket.connect(max_queued=0), 'max_queued is 0'),
    (lambda websocket: websocket.connect(poll=0), 'poll is 0'),
    (lambda websocket: apersist(WebSocket('ws://x')), 'AsyncWebSocket'),
    (lambda websocket: apersist(websocket, min_wait=-1), 'min_wait is -1'),
    (lambda websocket: websocket.send_text('x'), 'before the first connection')])
def test_what_is_refused(use, sentence):
    websocket = AsyncWebSocket('ws://127.0.0.1/')
    with pytest.raises((TypeError, ValueError, errors.WebSocketUnavailable)) as caught:
        use(websocket)
    assert sentence in str(caught.value)
    pickle.loads(pickle.dumps(websocket))


# --- leaving ---

async def leave_block(websocket):
    async with websocket:
        async for event in websocket:
            if event.name == 'ready':
                break


async def close_iterator(websocket):
    events = websocket.connect()
    await take(events, 'ready')
    await events.aclose()
    assert await collect(events) == []


async def drop_everything(websocket):
    await take(websocket, 'ready')


async def cancel_the_task(websocket):
    async def iterate():
        async for event in websocket:
            if event.name == 'ready':
                ready.set()

    ready = asyncio.Event()
    async with websocket:
        task = asyncio.ensure_future(iterate())
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert websocket.is_active              # that is left to "async with"
        await websocket.send_text('still here')


@pytest.mark.parametrize('leave', [leave_block, close_iterator, drop_everything, cancel_the_task])
def test_leaving_says_goodbye(leave, run_on):
    def script(peer):
        peer.accept()
        assert peer.read_close(1001) and peer.read_end() == 'fin'

    with Server(script) as server:
        run_on(leave(client(server)))


@pytest.mark.parametrize('how', ['shutdown', 'drop', 'close', 'force_disconnect'])
def test_a_closed_loop_keeps_nothing(how):
    """Also if nobody has left the connection."""
    async def main():
        events = websocket.connect()
        await take(events, 'ready')
        return events

    def script(peer):
        peer.accept()
        peer.read_end()

    before = open_descriptors()
    with Server(script) as server:
        websocket = client(server)
        loop = asyncio.SelectorEventLoop()
        events = loop.run_until_complete(main())
        if how == 'shutdown':               # by asyncio.run()
            loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        if how == 'drop':
            del websocket, events
        elif how != 'shutdown':
            getattr(websocket, how)()
        server.join()
    assert open_descriptors() <= before


@ends
def test_connections_canceled_at_random():
    """None leaves a descriptor, a handle or a warning: ``run`` looks."""
    async def use(rng):
        async with client(rng.choice([server.url(), 'ws://localhost:%d/' % dead])) as websocket:
            async for event in rng.choice([websocket, apersist(websocket, min_wait=0, max_wait=0.01)]):
                if event.name == 'ready':
                    await websocket.send_text('x')

    async def main():
        rng = random.Random(1)
        for _ in range(ROUNDS // 20):
            tasks = [asyncio.ensure_future(use(rng)) for _ in range(20)]
            for task in tasks:
                await asyncio.sleep(rng.choice([0, 0, 0.001, 0.005]))
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    dead = free_port()
    with lenient_server(echo) as server, warnings.catch_warnings():
        warnings.simplefilter('error')
        run(main(), limit=55)


# --- again and again ---

def names_of(events):
    return [(event.name, getattr(event, 'attempt', None)) for event in events if event.name != 'poll']


@pytest.mark.parametrize('options', [
    dict(max_retries=2), dict(retry_on=lambda event: event.name != 'disconnected')])
def test_apersist_is_persist(options, run_on):
    scripts = reply(b'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'), bye, drop
    options = dict(options, min_wait=0, max_wait=0.01)
    with lenient_server(None) as server:
        server.scripts = scripts
        expected = names_of(persist(client(server, WebSocket), **options))
    with lenient_server(None) as server:
        server.scripts = scripts
        assert names_of(run_on(collect(apersist(client(server), **options)))) == expected
    assert expected[-1][0] == 'gave_up'


def test_what_retry_on_raises():
    def fail(event):
        raise KeyError('mine')

    async def main():
        events = apersist(client(server), retry_on=fail)
        with pytest.raises(KeyError):
            await take(events, 'back_off')
        assert await collect(events) == []

    with lenient_server(bye) as server:
        run(main())


@pytest.mark.parametrize('way', ['aclose', 'cancel', 'block'])
def test_leaving_a_pause(way):
    async def main():
        async with client(server) as websocket:
            events = apersist(websocket, min_wait=30)
            await take(events, 'back_off')
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(events.__anext__(), 0.05)
            if way == 'aclose':
                await events.aclose()
                assert await collect(events) == []
            elif way == 'cancel':
                del events

    with lenient_server(bye) as server:
        run(main())


# --- sending ---

BIG = b'x' * (12 * 1024 * 1024)


def takes_nothing(peer):
    peer.accept()
    peer.server.stopping.wait(8)


def takes_later(go):
    """Return a script that reads it all, once ``go`` is set."""
    def script(peer):
        peer.accept()
        assert go.wait(8) and peer.read_until(BINARY) == BIG
        peer.answer_close()
    return script


@ends
@pytest.mark.parametrize('sleeps', [False, True])
def test_a_stalled_server(sleeps, run_on):
    """SendTimeout in the task that awaits, Disconnected in the loop."""
    def script(peer):
        peer.accept()
        if sleeps:              # so much that the iterator stops, which nobody asks
            peer.send(frame(TEXT, b'x') * 20)
        peer.server.stopping.wait(8)

    async def main():
        async with client(server) as websocket:
            events = websocket.connect(send_timeout=0.3, ping_rate=0)
            await take(events, 'ready')
            began = time.time()
            with pytest.raises(errors.SendTimeout) as caught:
                await websocket.send_binary(BIG)
            assert str(caught.value) == 'socket fail; the peer took nothing for 0.3s (send_timeout)'
            assert time.time() - began < 3
            with pytest.raises(errors.SendTimeout):
                await websocket.send_text('more')
            server.stopping.set()
            return [event async for event in events][-1]

    with lenient_server(script) as server:
        last = run_on(main())
    assert last.name == 'disconnected' and 'took nothing for 0.3s' in last.reason


@ends
def test_a_canceled_send_goes_out_whole(run_on):
    async def main():
        async with client(server) as websocket:
            events = websocket.connect()
            await take(events, 'ready')
            data = bytearray(BIG)
            task = asyncio.ensure_future(websocket.send_binary(data))
            data[:] = bytes(len(data))          # which is ours again
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert 0 < websocket.queued <= len(BIG)
            go.set()
            assert (await take(events, 'drained')).name == 'drained' and websocket.queued == 0
            websocket.close()
            await collect(events)

    go = threading.Event()
    with Server(takes_later(go)) as server:
        run_on(main())


@ends
def test_the_await_returns_when_all_is_out(run_on):
    async def main():
        async with client(server) as websocket:
            events = websocket.connect(max_queued=len(BIG))
            await take(events, 'ready')
            sent = websocket.send_binary(BIG)
            with pytest.raises(errors.QueueFull):
                websocket.send_binary(BIG)
            ping = websocket.send_ping(b'behind it')
            assert websocket.queued
            go.set()
            await asyncio.gather(sent, ping)
            assert not websocket.queued
            websocket.close()
            await collect(events)

    go = threading.Event()
    with Server(takes_later(go)) as server:
        run_on(main())


def test_a_block_of_cork(run_on):
    """One write for each; other tasks do not wait for its end; another thread is refused."""
    async def main():
        writes, texts = [], []
        async with client(server) as websocket:
            with websocket.cork():                      # before the connection
                events = websocket.connect(ping_rate=0)
            await take(events, 'ready')
            websocket.session._driver.writer.on_sent = writes.append
            with websocket.cork():
                await websocket.send_text('one')
                await websocket.send_text('two')
                assert (len(writes), websocket.queued) == (0, 6)
            assert (len(writes), websocket.queued) == (1, 0)
            async with websocket.cork():
                await websocket.send_text('three')
                for _ in range(1000):
                    await asyncio.sleep(0)
                    if not websocket.queued:
                        break
                assert len(writes) == 2
                await websocket.send_text('four')
            assert (len(writes), websocket.queued) == (3, 0)
            with pytest.raises(RuntimeError):
                await asyncio.get_event_loop().run_in_executor(None, websocket.cork().__enter__)
            for _ in range(4):
                texts.append((await take(events, 'text')).text)
            with pytest.raises(errors.TransportFail):
                async with websocket.cork():
                    await websocket.send_text('five')
                    websocket.force_disconnect()
            await collect(events)
        assert texts == ['one', 'two', 'three', 'four']

    with lenient_server(echo) as server:
        run_on(main())


@ends
def test_a_send_that_the_end_cuts_off():
    async def main():
        async with client(server) as websocket:
            await take(websocket.connect(), 'ready')
            sent = asyncio.ensure_future(websocket.send_binary(BIG))
            await asyncio.sleep(0.02)
            websocket.force_disconnect()
            with pytest.raises(errors.TransportFail, match='closed during a send'):
                await sent
            server.stopping.set()

    with lenient_server(takes_nothing) as server:
        run(main())


async def slowly(parts):
    for part in parts:
        await asyncio.sleep(0)
        yield part


PARTS = [b'x' * 100000] * 40


@pytest.mark.parametrize('make', [iter, slowly, lambda parts: io.BytesIO(b''.join(parts))])
def test_messages_in_parts(make, run_on):
    async def main():
        async with client(server) as websocket:
            events = websocket.connect()
            await take(events, 'ready')
            task = asyncio.ensure_future(websocket.send_stream(make(PARTS)))
            await asyncio.sleep(0)
            with pytest.raises(errors.WebSocketError, match='another message in parts'):
                websocket.send_stream(slowly(PARTS))        # the call itself
            await websocket.send_text('behind it')
            await task
            return (await take(events, 'binary')).data, (await take(events, 'text')).text

    with lenient_server(glue) as server:
        assert run_on(main()) == (b''.join(PARTS), 'behind it')


def glue(peer):
    """Echoes messages, the fragments of each in one frame, and fills the queue of events."""
    peer.accept()
    first, parts = None, []
    while True:
        fin, _, opcode, _, payload = peer.next_frame()
        if opcode in (BINARY, TEXT, 0):
            first = opcode or first
            parts.append(payload)
            if fin:
                peer.send(frame(first, b''.join(parts)))
                del parts[:]
            else:
                peer.send(frame(PING, b'%d' % len(parts)))


@pytest.mark.parametrize('fails', ['raises', 'async raises', 'mixes', 'canceled'])
def test_messages_that_cannot_be_finished(fails):
    def broken():
        yield b'one'
        yield {'mixes': 'text'}.get(fails, b'two')
        raise KeyError('mine')

    async def hangs():
        yield b'one'
        await asyncio.sleep({'canceled': 60}.get(fails, 0))
        raise KeyError('mine')

    async def main():
        async with client(server) as websocket:
            events = websocket.connect()
            await take(events, 'ready')
            parts = broken() if fails in ('raises', 'mixes') else hangs()
            sent = asyncio.ensure_future(websocket.send_stream(parts))
            await asyncio.sleep(0.05)
            if fails == 'canceled':
                sent.cancel()
            with pytest.raises({'mixes': TypeError, 'canceled': asyncio.CancelledError}.get(fails, KeyError)):
                await sent
            return [event async for event in events][-1].reason

    def script(peer):
        peer.accept()
        peer.read_close(1011)
        peer.close_code(1011)

    with lenient_server(script) as server:
        assert 'in parts cannot be finished' in run(main())


def test_what_the_parts_raise_is_not_lost():
    """Nobody awaits the message: it comes out of the iteration."""
    async def main():
        async with client(server) as websocket:
            with pytest.raises(ZeroDivisionError):
                async for event in websocket:
                    if event.name == 'ready':
                        websocket.send_stream(b'%d' % (1 // number) for number in (1, 0))

    with lenient_server(echo) as server:
        run(main())
