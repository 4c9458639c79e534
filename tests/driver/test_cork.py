"""cork(): what is gathered, when it goes, and who is told that it does not (speed.md, section 2)."""

from __future__ import absolute_import, division, unicode_literals

import os
import socket
import zlib

import pytest
from support.client import in_thread
from support.cores import open_client
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, read_frames
from support.interrupt import EVENTS, each_step
from test_queuing import ManyLoop
from test_writer import FILES, Loop, Stream, once, payloads

from lomond import WebSocket, errors
from lomond.driver.cork import Cork
from lomond.driver.outgoing_stream import OutgoingStream
from lomond.driver.writer import QueuingWriter, Writer
from lomond.protocol.permessage_deflate import DeflateParameters
from lomond.testing import ACCEPT, EOF, ScriptedTransport, close_frame, text_frame

ALL = 1 << 30
FILES += os.path.join('driver', 'cork.py'),


class Session(object):
    """A writer and all that is around it: the session of a Cork."""

    def __init__(self, takes=lambda now: ALL, many=False, send_timeout=1.0, max_queued=None):
        self.core, self.stream = open_client(), Stream(takes)
        self.loop = self.stream.loop = ManyLoop() if many else Loop()
        self.loop.max_queued = max_queued
        self._cork_writer = self.writer = (QueuingWriter if many else Writer)(
            self.core, self.stream, self.loop, send_timeout)
        self.send, self.queue = self.writer.send, self.core.send_queue

    def cork(self):
        return Cork(self)

    def found(self):
        """Payloads in the order of the wire, and how many writes it took."""
        assert not (self.writer._lock.is_taken() or self.writer.has_tail())
        return [payload for _, payload in payloads(self.stream)], self.stream.calls.count('send')


def send_all(session, *messages):
    for message in messages:
        session.send(PING if message.startswith(b'ping') else TEXT, message)


@pytest.mark.parametrize('many', [False, True])
def test_one_write_at_the_end_of_the_outer_block(many):
    session = Session(many=many)
    with session.cork():
        send_all(session, b'one', b'ping', b'')
        with session.cork():
            send_all(session, b'four')
        send_all(session, b'five')
        assert session.stream.calls == [] and session.writer.gathered_size() == 3 + 4 + 1 + 4 + 4
        assert not session.writer.wants_write()
    assert session.found() == ([b'one', b'ping', b'', b'four', b'five'], 1)
    send_all(session, b'six')
    assert session.found()[1] == 2 and session.writer.gathered is None and session.queue.queued == 0


@pytest.mark.parametrize('many', [False, True])
def test_64_kib(many):
    session = Session(many=many)
    with session.cork():
        for _ in range(66):
            session.send(BINARY, b'x' * 1000)
        assert session.stream.calls == ['send'] and len(session.stream.written) == 66 * 1008
        session.send(BINARY, b'small')
        session.send(BINARY, b'y' * 70000)          # not gathered; those before it go first
        session.send(BINARY, b'last')
    found, _ = session.found()
    assert [len(payload) for payload in found] == [1000] * 66 + [5, 70000, 4]


@pytest.mark.parametrize('needs', [
    lambda session: in_thread(session.send, TEXT, b'other').join(),
    lambda session: session.queue.queue_pong(b'other') or session.writer.try_flush(),
    lambda session: session.queue.queue_message(TEXT, b'other', False) or session.writer.try_flush(),
    lambda session: session.writer.send_at_once(TEXT, b'other', False),
    lambda session: in_thread(session.writer.send_stream, OutgoingStream([b'other'])).join()],
    ids='sender reply queued broadcast parts'.split())
@pytest.mark.parametrize('many', [False, True])
def test_others_who_need_the_wire(needs, many):
    """What was gathered goes first; what is sent afterwards is gathered again."""
    session = Session(many=many)
    if many:
        session.loop.is_loop_thread = lambda ident=in_thread: True
    with session.cork():
        send_all(session, b'one', b'two')
        if many and needs.__code__.co_names[0] == 'in_thread':
            session.loop.is_ours = False            # in the thread of another loop, it waits
            session.loop.is_loop_thread = lambda: False
        needs(session)
        session.loop.is_loop_thread = lambda: True
        found, count = session.found()
        assert found[:3] == [b'one', b'two', b'other']
        send_all(session, b'three')
        assert session.found()[1] == count
    assert session.found() == (found + [b'three'], count + 1)


def test_close_in_the_block():
    """The close frame comes last, at once; further sends are refused, and the end says nothing."""
    session = Session()
    with session.cork():
        send_all(session, b'one')
        session.queue.queue(CLOSE, session.core.close(1000, 'bye'))
        session.writer.try_flush()
        assert [opcode for opcode, _ in payloads(session.stream)] == [TEXT, CLOSE]
        with pytest.raises(errors.WebSocketClosing):
            send_all(session, b'two')
    assert len(payloads(session.stream)) == 2


@pytest.mark.parametrize('end, kind', [
    (lambda session: session.writer.stop(), errors.TransportFail),
    (lambda session: session.core.disconnect() and session.writer.close(), errors.WebSocketClosed),
    (lambda session: setattr(session.stream, 'takes', lambda now: None), errors.SendTimeout),
    (lambda session: setattr(session.stream, 'takes', lambda now: broken()), errors.TransportFail)],
    ids='stop close stuck broken'.split())
@pytest.mark.parametrize('body', ['ends', 'raises', 'sends nothing', 'is written'])
def test_errors_come_out_of_the_end(end, kind, body):
    """Unless nothing is lost, or the body has raised: its exception comes out."""
    session, reached = Session(), []

    def run():
        with session.cork():
            if body != 'sends nothing':
                send_all(session, b'one')
            if body == 'is written':
                session.queue.queue_pong(b'needs the wire')
                session.writer.try_flush()
            end(session)
            reached.append(1)
            if body == 'raises':
                raise KeyError('body')
    if body in ('sends nothing', 'is written'):
        run()
    else:
        with pytest.raises(KeyError if body == 'raises' else kind):
            run()
    assert reached and not session.writer.corked and not session.writer._lock.is_taken()


def broken():
    raise socket.error(104, 'reset')


@pytest.mark.parametrize('in_loop', [True, False])
def test_broken_wire_and_blocks_of_a_loop_of_many(in_loop):
    """The end of a block raises in other threads only: the loop says so by itself."""
    session = Session(many=True)
    session.loop.is_ours = in_loop

    def run():
        with session.cork():
            send_all(session, b'lost')
            session.writer.stop()
    if in_loop:
        run()
    else:
        with pytest.raises(errors.TransportFail):
            run()
    assert not session.writer.corked


def test_wire_that_breaks_amid_a_block_of_a_loop_of_many():
    """When a send writes what is before its message: nothing is gathered, and nothing raised."""
    session = Session(takes=lambda now: None, many=True)
    session.queue.queue_pong(b'first')
    session.writer.try_flush()
    session.stream.takes = lambda now: broken()
    with session.cork():
        send_all(session, b'lost')
    assert session.writer.error is not None and session.writer.gathered is None


@pytest.mark.parametrize('many', [False, True])
def test_end_of_a_block_while_another_thread_writes(many):
    """It waits, but never in a loop of many, and not where nothing was sent."""
    session, holder, waits = Session(many=many), [0], []
    lock = session.writer._lock
    session.loop.wait_in_send = lambda mask, deadline: waits.append(lock.release(holder)) or True
    lock.take(holder)
    with session.cork():
        pass
    assert lock.is_taken() and not (session.queue.pending or session.loop.wakes or waits)
    lock.release(holder)
    with session.cork():
        send_all(session, b'one')
        lock.take(holder)
    assert len(waits) == (not many)
    lock.release(holder)
    session.writer.try_flush()
    assert session.found() == ([b'one'], 1)



def test_body_that_raises_does_not_wait():
    """What does not go at once is left to the loop; what was lost in the middle is told by its send."""
    session = Session(takes=once(3))
    with pytest.raises(KeyError), session.cork():
        send_all(session, b'one', b'two')
        raise KeyError('body')
    assert session.loop.now == 1000.0 and session.writer.wants_write() and session.loop.wakes
    session.stream.takes = lambda now: ALL
    session.writer.try_flush()
    assert session.found()[0] == [b'one', b'two']


@pytest.mark.parametrize('many', [False, True])
def test_message_that_compressing_makes_longer_than_64_kib(many):
    """It is gathered all the same, and that is enough for a write."""
    session, data = Session(many=many), os.urandom(65536)
    session.core.set_up_codec(DeflateParameters())
    with session.cork():
        send_all(session, b'one')
        session.send(BINARY, data, True)
        assert session.stream.calls == ['send']
    found, _ = session.found()
    assert found[0] == b'one' and len(found[1]) > 65536
    assert zlib.decompressobj(-15).decompress(found[1] + b'\0\0\xff\xff') == data


def test_two_threads_with_compression():
    """The order of the compressor is that of the wire, whichever thread's block ends first."""
    session = Session()
    session.core.set_up_codec(DeflateParameters())
    texts = [('message %s ' % number).encode('ascii') * 5 for number in range(5)]

    def other():
        with session.cork():
            session.send(TEXT, texts[1], True)
            session.send(TEXT, texts[2], True)
    with session.cork():
        session.send(TEXT, texts[0], True)
        in_thread(other).join()
        session.send(TEXT, texts[3], True)
    session.send(TEXT, texts[4], True)
    inflater = zlib.decompressobj(-15)
    assert [inflater.decompress(item[4] + b'\0\0\xff\xff') for item in read_frames(session.stream.written)
            ] == texts


def test_queue_of_a_loop_of_many():
    """Nothing waits or raises there but QueueFull: for what does not go, as for other sends."""
    session = Session(takes=once(20), many=True, max_queued=100)
    with session.cork():
        for _ in range(4):
            session.send(TEXT, b'x' * 24)       # 96 bytes; one more would be too many
        assert session.stream.calls == []
        with pytest.raises(errors.QueueFull):
            session.send(TEXT, b'x' * 24)
        assert session.stream.calls.count('send') >= 1
    assert 0 < session.queue.queued <= 100 and session.loop.queued
    session.stream.takes = lambda now: ALL
    session.writer.try_flush()
    assert session.found()[0] == [b'x' * 24] * 4 and session.queue.queued == 0
    session.stream.takes = lambda now: broken()
    with session.cork():
        session.send(TEXT, b'lost')
    assert session.writer.error is not None


def test_loop_of_the_same_thread_does_not_wait_with_it():
    session = Session()
    with session.cork():
        send_all(session, b'one')
        session.writer.uncork_here()
        session.writer.try_flush()
        assert session.found() == ([b'one'], 1)
        in_thread(session.writer.uncork_here).join()
        send_all(session, b'two')
        in_thread(session.writer.uncork_here).join()
        assert not session.queue.pending


def test_wrong_use():
    cork = Session().cork()
    with cork:
        pass
    with pytest.raises(errors.WebSocketError):
        cork.__enter__()
    with Cork(None), Cork(object()):
        pass


@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('compress, takes', [(False, 1 << 30), (True, 1 << 30), (False, 5)])
def test_interrupt_amid_a_block(compress, takes, events):
    """No lock is left, no cork, and nothing is withheld; or a frame was cut, and the wire is dead."""
    def block(session, step):
        try:
            with step:
                with session.cork():
                    session.send(TEXT, b'one', compress)
                    session.send(TEXT, b'two', compress)
        except KeyboardInterrupt:       # 2.7 keeps it, and what it has seen, until this returns
            pass

    def run(step):
        session = Session(takes=lambda now: takes)
        block(session, step)
        writer = session.writer
        if writer._lock.is_taken() or writer._row or writer.corked:
            return 'the lock is taken, or a thread is corked'
        if writer.error is not None:
            return
        for _ in range(20):
            writer.try_flush()
        session.send(PONG, b'after')
        found, _ = session.found()
        if found not in ([b'after'], [b'one', b'after'], [b'one', b'two', b'after']) or session.queue.queued:
            return repr(found)
    assert each_step(run, files=FILES, events=(events,)) > 5


# -- on a connection

def test_blocks_on_a_connection():
    """In the loop's thread: one write; before it waits; close() in a signal handler; and at the end."""
    wire = ScriptedTransport([ACCEPT, 1, text_frame('a'), 1, text_frame('b'), 1, close_frame(1000), EOF])
    websocket, writes = WebSocket('ws://example.org/', proxies={}), []

    def send(*texts):
        for text in texts:
            websocket.send_text(text)
        writes.append((len(wire.sent), websocket.queued))
    with websocket.cork():                      # there is no connection: nothing is gathered
        iterator = websocket.connect(session_class=wire.session_class, ping_rate=0, poll=1000)
        for event in iterator:
            if event.name == 'ready':
                send('one')
                cork = websocket.cork()
                cork.__enter__()
                send('two', 'three')
            elif event.name == 'text' and event.text == 'a':
                send('four')                    # two and three went before the loop waited
                cork.__exit__(None, None, None)
                send()
            elif event.name == 'text':
                with websocket.cork():
                    send('five')
                    websocket.close()
                send()
    first = writes[0][0]
    assert writes == [(first, 0), (first, 8), (first + 1, 4), (first + 2, 0), (first + 2, 4), (first + 4, 0)]
    assert event.name == 'disconnected' and event.graceful
    with websocket.cork():                      # it is over
        with pytest.raises(errors.WebSocketClosed):
            send('six')
