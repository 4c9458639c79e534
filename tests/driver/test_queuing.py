"""Sends that never wait, in the thread of a loop of many connections (loops.md, section 2)."""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket
from functools import partial

import pytest
from support.client import in_thread
from support.cores import open_client, open_server
from support.frames import BINARY, PING, PONG, TEXT, read_frames
from support.interrupt import EVENTS, each_step
from test_writer import FILES, Loop, Stream, once

from lomond import WebSocket, errors
from lomond.driver.rules import MANY_CONNECTIONS
from lomond.driver.writer import QueuingWriter
from lomond.opcode import Opcode
from lomond.server import broadcast
from lomond.testing import ACCEPT, EOF, ScriptedTransport, close_frame, room, text_frame


class ManyLoop(Loop):
    """A loop of many: nobody waits in it."""

    max_queued = None
    is_ours = True

    def __init__(self):
        super(ManyLoop, self).__init__()
        self.queued, self.dropped = [], []
        self.note_queued, self.drop_slow = self.queued.append, self.dropped.append

    def is_loop_thread(self):
        return self.is_ours

    def wait_in_send(self, mask, deadline):
        raise AssertionError('it waits')


def make(core=open_client, takes=lambda now: 1 << 30):
    core, stream, loop = core(), Stream(takes), ManyLoop()
    stream.loop = loop
    return QueuingWriter(core, stream, loop, 1.0, rules=MANY_CONNECTIONS), stream, loop, core.send_queue


def payloads(stream):
    return [(item[2], item[4]) for item in read_frames(stream.written)]


@pytest.mark.parametrize('core', [open_client, open_server])
@pytest.mark.parametrize('size, goes', [(100, 0), (100, 50), (200000, 0), (200000, 70000), (200000, None)])
@pytest.mark.parametrize('kind', [bytes, bytearray, lambda data: memoryview(bytearray(data))])
def test_what_does_not_go_is_queued_whole_and_in_order(core, size, goes, kind):
    """The caller may change its buffer then."""
    writer, stream, loop, queue = make(core, once(goes) if goes is not None else lambda now: 1 << 30)
    data = kind(b'x' * size)
    writer.send(BINARY, data, True)
    is_left = goes is not None
    assert (0 < queue.queued <= size) == is_left == bool(loop.wakes) and (queue.queued == size) == (goes == 0)
    if kind is not bytes:
        data[:] = b'y' * size
    writer.send(TEXT, b'second')
    writer.send(PING, b'third')
    stream.takes = lambda now: 1 << 30
    writer.send(BINARY, b'fourth')
    assert payloads(stream) == [(BINARY, b'x' * size), (TEXT, b'second'), (PING, b'third'),
                                (BINARY, b'fourth')]
    queued, written = queue.totals()
    assert queued == written and queue.queued == 0 and not writer.has_tail()


@pytest.mark.parametrize('core, is_server', [(open_client, False), (open_server, True)])
def test_queue_is_limited(core, is_server):
    """One message into an empty queue always goes; a server drops its client instead of raising."""
    writer, stream, loop, queue = make(core, lambda now: None)
    loop.max_queued = 100
    writer.send(BINARY, b'x' * 1000)
    for opcode, payload in (TEXT, b'more'), (BINARY, b''), (PING, b'ping'):
        if is_server:
            writer.send(opcode, payload)
        else:
            with pytest.raises(errors.QueueFull) as caught:
                writer.send(opcode, payload)
            assert str(caught.value) == ('1000 bytes wait to be sent, and %d more came; at most 100 are '
                                         'allowed (max_queued)' % len(payload))
    assert loop.dropped == [1000] * 3 * is_server and queue.queued == 1000 and queue.totals()[0] == 1000
    writer.send(PONG, b'pong')                  # limited in another way
    stream.takes = once(950)
    writer.try_flush()
    if not is_server:
        writer.send(BINARY, b'y' * 40)
        with pytest.raises(errors.QueueFull):
            writer.send(BINARY, b'z' * 60)
    stream.takes = lambda now: 1 << 30
    writer.try_flush()
    assert payloads(stream) == [(BINARY, b'x' * 1000), (PONG, b'pong')] + (
        [] if is_server else [(BINARY, b'y' * 40)])


def test_broken_wire_raises_nothing():
    """But what the program does wrong still raises."""
    def fails(now):
        raise socket.error(errno.EPIPE, 'Broken pipe')
    writer, _, loop, _ = make(takes=fails)
    for opcode in (TEXT, PING, PONG):
        writer.send(opcode, b'x')
    assert 'roken pipe' in str(writer.error) and loop.wakes
    loop.is_ours = False
    with pytest.raises(errors.TransportFail):
        writer.send(TEXT, b'x')
    loop.is_ours = True
    writer._core.close(1000, '')
    with pytest.raises(errors.WebSocketClosing):
        writer.send(TEXT, b'x')


def test_another_thread_that_writes_does_the_rest():
    """Its own sends wait as usual, and give up after send_timeout."""
    writer, stream, loop, queue = make()

    def takes(now):
        if not sent:
            sent.append(1)
            loop.is_ours = True
            writer.send(TEXT, b'from the loop')
            loop.is_ours = False
        return 1 << 30
    sent, stream.takes, loop.is_ours = [], takes, False
    in_thread(writer.send, BINARY, b'from another').join()
    assert payloads(stream) == [(BINARY, b'from another'), (TEXT, b'from the loop')] and not queue.queued
    stream.takes, loop.clock = lambda now: None, partial(next, iter(range(1000, 2000)))
    thread = in_thread(writer.send, TEXT, b'x')
    thread.join()
    assert isinstance(thread.error, errors.SendTimeout)


@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('size, takes', [(10, 1 << 30), (100, 50), (70000, 66000)])
def test_interrupt_amid_a_send_that_does_not_wait(size, takes, events):
    """The lock is free, and the next send goes, unless a frame was cut."""
    def run(step):
        writer, stream, _, queue = make(takes=once(takes))
        try:
            with step:
                writer.send(BINARY, bytearray(size))
        except KeyboardInterrupt:
            pass
        if writer._lock.is_taken() or writer._row:
            return 'the lock is taken'
        stream.takes = lambda now: 1 << 30
        writer.send(TEXT, b'after')
        found = [payload for _, payload in payloads(stream)] if writer.error is None else [b'after']
        if found[-1:] != [b'after'] or found[:-1] not in ([], [b'\0' * size]):
            return repr(found)
        if writer.error is None and queue.queued:
            return queue.totals()
    assert each_step(run, files=FILES + (os.path.join('protocol', 'frames.py'),), events=(events,)) > 5


# -- the event

def play(script, handlers, max_queued=None, **settings):
    """Return the names of all events but Poll, and the last event."""
    wire = ScriptedTransport([ACCEPT] + script)

    class Session(wire.session_class):
        rules = MANY_CONNECTIONS
    Session.max_queued = max_queued
    websocket, names = WebSocket('ws://example.org/', proxies={}), []
    for event in websocket.connect(session_class=Session, ping_rate=0, poll=1000, **settings):
        names.append(event.name)
        handlers.get(event.name, lambda websocket: None)(websocket)
    return ' '.join(name for name in names if name != 'poll'), event, wire


@pytest.mark.parametrize('sizes, expected', [
    ([65536], ''), ([65537], ' drained'), ([40000, 40000], ' drained'), ([10], '')])
@pytest.mark.parametrize('how', ['send', 'queue', 'broadcast'])
def test_drained(sizes, expected, how):
    """Once the queue is empty again, if more than 64 KiB had been left in it."""
    def ready(websocket):
        for size in sizes:
            if how == 'send':
                websocket.send_binary(os.urandom(size))
            elif how == 'broadcast':
                assert broadcast([websocket], os.urandom(size)) == 1
            else:
                websocket.session.queue_message(Opcode.BINARY, os.urandom(size))
        assert websocket.queued == sum(sizes)
    seen = []
    names, last, wire = play(
        [room(0), 1, text_frame('x'), 1, room(100), 1, room(None), 1, close_frame(1000), EOF],
        {'ready': ready, 'drained': lambda websocket: seen.append(websocket.queued)})
    assert names == 'connecting connected ready text%s closing disconnected' % expected and last.graceful
    assert seen == [0] * bool(expected) and len(wire.events) == len(sizes) + 1


def test_queue_full_leaves_the_connection_open():
    def ready(websocket):
        websocket.send_binary(b'x' * 50)
        with pytest.raises(errors.QueueFull):
            websocket.send_text('y' * 60)
        websocket.close()
    names, last, wire = play([room(0), 1, room(None), close_frame(1000), EOF], {'ready': ready}, 100)
    assert names.endswith('ready closed disconnected')
    assert [event.name for _, event in wire.events] == ['binary', 'closing']
