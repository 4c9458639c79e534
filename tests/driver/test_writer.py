"""The write lock, and senders that wait, on a made-up wire and clock (behaviour.md, section 5)."""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket
import threading

import pytest
from support.client import in_thread
from support.cores import open_client
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, read_frames
from support.interrupt import EVENTS, StepAt, each_step

from lomond import errors
from lomond._compat import to_bytes
from lomond.driver.cork import Gathered
from lomond.driver.outgoing_stream import OutgoingStream
from lomond.driver.writer import Behind, Writer
from lomond.network.poller import READ, WRITE
from lomond.network.stream import BEGUN
from lomond.protocol.connection import Connection
from lomond.protocol.permessage_deflate import DeflateParameters
from lomond.protocol.send_queue import PARTS

#: Where senders and the lock are.
FILES = os.path.join('driver', 'writer.py'), os.path.join('network', 'lock.py')


class Stream(object):
    """A wire: ``takes`` is called for each write with the time, and says how many bytes go, or None."""

    is_tls = is_buffered = False
    recv_wants, send_wants = READ, WRITE
    blocked = 0

    def __init__(self, takes=lambda now: 1 << 30, unsent=lambda now: None):
        self.takes = takes
        self.left = unsent
        self.loop = None
        self.written = b''
        self.calls = []

    def send(self, data):
        self.calls.append('send')
        count = self.takes(self.loop.now)
        if count is None:
            return None
        self.written += to_bytes(data[:count])
        return min(count, len(data))

    def send_noted(self, data, done):
        done.append(self.send(data))

    def unsent(self):
        return self.left(self.loop.now)

    def flush(self):
        return True

    def shutdown(self):
        self.calls.append('shutdown')

    def close(self):
        self.calls.append('close')

    def fileno(self):
        return 5


class Loop(object):
    """The loop's thread: waiting makes time go by, at most ``pace`` seconds at once."""

    session_time = 0.0
    pace = 0.5

    def __init__(self):
        self.now = 1000.0
        self.wakes = 0

    def clock(self):
        return self.now

    def is_loop_thread(self):
        return True

    def wait_in_send(self, mask, deadline):
        self.now = min(deadline, self.now + self.pace)
        return True

    def wake(self):
        self.wakes += 1


def make(send_timeout=1.0, **behaviour):
    """``(writer, stream, loop, core)`` of an open client."""
    core, stream, loop = open_client(), Stream(**behaviour), Loop()
    stream.loop = loop
    return Writer(core, stream, loop, send_timeout), stream, loop, core


def one_each(seconds, count):
    """A ``takes``: so many bytes go, and then none for this time."""
    last = [1000.0]

    def takes(now):
        if now - last[0] < seconds:
            return None
        last[0] = now
        return count
    return takes


def once(count):
    """A ``takes``: these bytes go, and then none."""
    gives = [count]
    return lambda now: gives.pop() if gives else None


def payloads(stream):
    return [(item[2], item[4]) for item in read_frames(stream.written)]


# -- send_timeout

@pytest.mark.parametrize('unsent', [
    lambda now: None,
    lambda now: 5000000,        # the kernel always tells the same: no progress
])
def test_peer_that_takes_nothing(unsent):
    writer, _, loop, _ = make(takes=lambda now: None, unsent=unsent)
    with pytest.raises(errors.SendTimeout) as caught:
        writer.send(TEXT, b'x')
    assert '{}'.format(caught.value) == 'socket fail; the peer took nothing for 1.0s (send_timeout)'
    assert 1001.0 <= loop.now <= 1001.5 and writer.error is not None and loop.wakes


def test_dead_wire_is_left_alone():
    """Whatever wants to be written after the time is up, and though the peer reads again."""
    writer, stream, _, core = make(takes=lambda now: None)
    with pytest.raises(errors.SendTimeout):
        writer.send(TEXT, b'x')
    tried, stream.takes = len(stream.calls), lambda now: 1 << 30
    for opcode in (TEXT, BINARY, PING, PONG):
        with pytest.raises(errors.SendTimeout):
            writer.send(opcode, b'y')
    core.send_queue.queue_pong(b'z')
    core.send_queue.queue(CLOSE, core.close(1000, 'bye'))
    writer.try_flush()
    assert len(stream.calls) == tried and not writer.wants_write() and stream.written == b''


def test_slow_peer_that_the_kernel_knows_of():
    """The send buffer is full for 20 s, but what is in it becomes less and less."""
    writer, stream, loop, _ = make(takes=lambda now: None if now < 1020 else 1 << 30,
                                   unsent=lambda now: 5000000 - int(now))
    writer.send(TEXT, b'x' * 100)
    assert payloads(stream) == [(TEXT, b'x' * 100)] and loop.now >= 1020


def test_slow_peer_that_takes_a_byte_at_a_time():
    """One each 0.9 s."""
    writer, stream, loop, _ = make(takes=one_each(0.9, 1))
    loop.pace = 0.1
    writer.send(BINARY, b'y' * 20)
    assert payloads(stream) == [(BINARY, b'y' * 20)] and loop.now > 1020


def test_replies_in_front_that_cannot_go():
    """What waits for them waits no longer than for the peer."""
    writer, _, loop, core = make(takes=lambda now: None)
    for _ in range(3):
        core.send_queue.queue_pong(b'pong')
    writer.try_flush()
    assert writer.has_tail() and loop.now == 1000
    with pytest.raises(errors.SendTimeout):
        writer.send(TEXT, b'x')
    assert loop.now <= 1001.5


def test_replies_in_front_that_go_slowly():
    """Each of 40 takes 0.4 s."""
    writer, stream, loop, core = make(takes=one_each(0.4, 1 << 30))
    loop.pace = 0.1
    for _ in range(40):
        core.send_queue.queue_pong(b'pong')
    writer.send(TEXT, b'x')
    assert payloads(stream) == [(PONG, b'pong')] * 40 + [(TEXT, b'x')]


# -- what the loop has to write

def test_drain_that_is_blocked_is_noted():
    """From the first blocked write on; anew whenever bytes went, or the kernel has fewer."""
    left = [9000]
    writer, stream, loop, core = make(takes=lambda now: None, unsent=lambda now: left[0])
    assert writer.look() is None
    core.send_queue.queue_message(TEXT, b'x' * 100, False)
    writer.try_flush()
    assert writer.stalled_at == writer.look() == 1000
    for now, unsent, takes, expected in (
            (1001, 9000, None, 1000), (1002, 8999, None, 1002), (1003, 8999, None, 1002),
            (1004, 9500, None, 1002), (1005, 9400, None, 1005), (1006, 9999, 10, 1006),
            (1007, 9999, None, 1006)):
        left[0], loop.now, stream.takes = unsent, now, once(takes)
        assert writer.look() == writer.stalled_since() == expected, now
    writer._taken[0] = [0]              # a sender, who looks by itself
    assert writer.look() is writer.stalled_since() is None
    writer._taken.clear()
    stream.takes = lambda now: 1 << 30
    assert writer.look() is None and payloads(stream) == [(TEXT, b'x' * 100)]
    core.send_queue.queue_message(TEXT, b'again', False)
    stream.takes, loop.now = lambda now: None, 1050
    assert writer.look() == 1050
    writer.give_up(errors.SendTimeout('nothing'))
    assert writer.look() is None and not writer.wants_write()


def test_no_look_without_a_limit():
    writer, _, _, core = make(send_timeout=None, takes=lambda now: None)
    core.send_queue.queue_message(TEXT, b'x', False)
    writer.try_flush()
    assert writer.has_tail() and writer.stalled_at is writer.look() is None


@pytest.mark.parametrize('size, compress, steps', [
    (1000, False, [500, 400]), (0, False, [1]), (200000, False, [5, 70000, 60000, 60000]),
    (300000, True, [100, 50000, 20000])])
def test_bytes_count_until_they_are_written(size, compress, steps):
    """Of two messages of that size, each so many bytes at a time."""
    writer, stream, _, core = make(takes=lambda now: None)
    core.set_up_codec(DeflateParameters())
    for _ in range(2):
        core.send_queue.queue_message(BINARY, os.urandom(size) if size > 100000 else b'x' * size, compress)
    due, before = [size or 1, 2 * (size or 1)], 0
    assert core.send_queue.totals() == (due[1], 0)
    for step in steps:
        stream.takes = once(step)
        writer.try_flush()
        queued, written = core.send_queue.totals()
        assert queued == due[1] and before <= written < due[0]
        assert compress or written <= len(stream.written) <= written + 14 or not size
        before = written
    stream.takes = lambda now: 1 << 30
    writer.try_flush()
    assert core.send_queue.totals() == (due[1], due[1]) and len(payloads(stream)) == 2


# -- who waits for whom

class Stuck(object):
    """Another thread, inside a write, until it is let go."""

    def __init__(self):
        self.entered, self.go_on = threading.Event(), threading.Event()

    def __call__(self, now):
        if not self.entered.is_set():
            self.entered.set()
            assert self.go_on.wait(10)
        return 1 << 30

    def send(self, writer):
        """The thread, once it writes."""
        sender = in_thread(writer.send, TEXT, b'x')
        assert self.entered.wait(10)
        return sender


def test_loop_never_waits_for_a_sender():
    stuck = Stuck()
    writer, stream, _, core = make(takes=stuck)
    sender = stuck.send(writer)
    core.send_queue.queue_pong(b'pong')
    flusher = in_thread(writer.try_flush)
    flusher.join(2)
    assert not flusher.is_alive(), 'it waits for the lock'
    assert stream.written == b''
    stuck.go_on.set()
    sender.join()
    # Whoever held the lock has written what was queued meanwhile.
    assert payloads(stream) == [(TEXT, b'x'), (PONG, b'pong')]


@pytest.mark.parametrize('act', [
    lambda writer, queue: queue.queue_pong(b'first') or writer.try_flush(),
    lambda writer, queue: writer.send_at_once(PONG, b'first', False)], ids=['try_flush', 'send_at_once'])
def test_reply_that_comes_between_the_last_look_and_the_release(act):
    """Whoever queued it tried the lock in vain, so nobody else would write it."""
    writer, stream, _, core = make()
    late, release = [b'late'], writer._release

    def queue_and_release(hold):
        if late:
            core.send_queue.queue_pong(late.pop())
        release(hold)
    writer._release = queue_and_release
    act(writer, core.send_queue)
    assert payloads(stream) == [(PONG, b'first'), (PONG, b'late')]


def test_nothing_to_write_while_another_is_writing():
    """Else the loop would wait for writability, and spin."""
    stuck = Stuck()
    writer, _, _, core = make(takes=stuck)
    sender = stuck.send(writer)
    core.send_queue.queue_pong(b'pong')
    assert not writer.wants_write()
    stuck.go_on.set()
    sender.join()
    assert not writer.wants_write()


@pytest.mark.parametrize('waits_for, kind, words', [
    ('peer', errors.TransportFail, 'closed during a send'),
    ('lock', errors.WebSocketClosed, 'nothing can be sent, the connection is over')])
def test_close_ends_whoever_waits(waits_for, kind, words):
    """Within a look, though nothing wakes it; who has sent nothing is refused."""
    stuck = Stuck()
    writer, _, loop, _ = make(send_timeout=None, takes=stuck if waits_for == 'lock' else lambda now: None)
    first = stuck.send(writer) if waits_for == 'lock' else None
    begun, real = loop.now, loop.wait_in_send

    def wait_in_send(mask, deadline):
        if loop.now > begun + 5:
            writer.close()
        return real(mask, deadline)
    loop.wait_in_send = wait_in_send
    with pytest.raises(kind) as caught:
        writer.send(TEXT, b'y')
    assert words in '{}'.format(caught.value) and loop.now < begun + 7
    stuck.go_on.set()
    if first is not None:
        first.join()


def test_descriptor_is_closed_by_whoever_still_writes():
    """close() in another thread, amid a write: the number must not be used again under it."""
    writer, stream, _, _ = make()

    def takes(now):
        in_thread(writer.close).join()
        stream.calls.append('sent')
        return 1 << 30
    stream.takes = takes
    writer.send(TEXT, b'x')
    assert stream.calls == ['send', 'shutdown', 'sent', 'close']
    writer.close()
    assert stream.calls.count('close') == 1
    with pytest.raises(errors.WebSocketClosed):
        writer.send(TEXT, b'y')


def test_reset_while_the_loop_asks_what_to_wait_for():
    """TLS in TLS keeps bytes in this process, and asking tries to send them: no exception of the loop's."""
    writer, stream, loop, _ = make()

    def flush():
        raise socket.error(errno.ECONNRESET, 'Connection reset by peer')
    stream.is_buffered, stream.flush = True, flush
    assert not writer.wants_write() and loop.wakes
    assert 'reset by peer' in '{}'.format(writer.error) and writer.reset is not None


@pytest.mark.parametrize('takes', [1 << 30, 3])
@pytest.mark.parametrize('calls', range(3))
def test_trace_that_ends_while_a_sender_reports(takes, calls):
    """The loop forgets the observers at the end, between any two looks of a sender."""
    class Ended(Writer):
        looks = 0

        @property
        def on_sent(self):
            self.looks += 1
            return told.append if self.looks <= calls else None

        @on_sent.setter
        def on_sent(self, value):
            """That of the constructor."""
    told, core, stream, loop = [], open_client(), Stream(lambda now: takes), Loop()
    stream.loop = loop
    Ended(core, stream, loop, 1.0).send(TEXT, b'0123456789')
    assert payloads(stream) == [(TEXT, b'0123456789')]


# -- signal handlers

def send_in_handler(number, outer, in_loop, monkeypatch):
    """Whether a send in a handler before that line is refused; None if there are not so many lines."""
    writer, stream, loop, core = make(send_timeout=None)
    expected = set([b'pong', b'x'] if outer == 'send' else [b'pong'])
    waited, found = [], []

    def wait(*_):
        waited.append(1)
        assert len(waited) < 20, 'it waits for itself'
        return False

    def handler():
        try:
            writer.send(TEXT, b'inside')
            expected.add(b'inside')
            found.append(False)
        except errors.WebSocketError as error:
            assert 'signal handler' in '{}'.format(error)
            found.append(True)
    loop.is_loop_thread = lambda: in_loop
    loop.wait_in_send = wait
    monkeypatch.setattr('lomond.network.lock.acquire', wait)
    core.send_queue.queue_pong(b'pong')
    with StepAt(number, handler, files=FILES) as step:
        writer.send(TEXT, b'x') if outer == 'send' else writer.try_flush()
    if not step.is_over:
        return None
    assert set(payload for _, payload in payloads(stream)) == expected
    assert writer.error is None and not writer.has_tail()
    writer.send(TEXT, b'the lock is free')
    return found[0]


@pytest.mark.parametrize('outer', ['send', 'try_flush'])
@pytest.mark.parametrize('in_loop', [True, False])
def test_signal_handler_that_sends_before_any_line(outer, in_loop, monkeypatch):
    """It is refused while this thread has the lock, also with nobody's name on it; else its message goes."""
    found = []
    while None not in found:
        found.append(send_in_handler(len(found) + 1, outer, in_loop, monkeypatch))
    assert found.count(True) > 10 and found.count(False) > 3


def record_replies(monkeypatch):
    """The list to which each reply is added once it is encoded."""
    encoded, encode_reply = [], Connection.encode_reply

    def encode(self, opcode, payload):
        encoded.append(encode_reply(self, opcode, payload))
        return encoded[-1]
    monkeypatch.setattr(Connection, 'encode_reply', encode)
    return encoded


@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('takes', [1 << 30, 3])
def test_interrupt_amid_a_reply(takes, events, monkeypatch):
    """Ctrl-C of a thread that called close(): all goes, no byte goes twice, and the lock is free."""
    encoded = record_replies(monkeypatch)

    def run(step):
        del encoded[:]
        writer, stream, _, core = make(takes=lambda now: takes)
        core.send_queue.queue_pong(b'first')
        core.send_queue.queue(CLOSE, core.close(1000, 'bye'))
        try:
            with step:
                writer.try_flush()
        except KeyboardInterrupt:
            pass
        if writer._lock.is_taken():
            return 'the lock is taken'
        for _ in range(20):
            writer.try_flush()
        if writer.error is not None or [item[0] for item in payloads(stream)] != [PONG, CLOSE]:
            return '%s, %r' % (writer.error, encoded)
    assert each_step(run, files=FILES, events=(events,)) > 5


@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('queued, opcode, compress, takes', [
    (0, TEXT, False, 1 << 30), (2, BINARY, True, 1 << 30), (1, PING, False, 1 << 30), (0, TEXT, True, 5)])
def test_interrupt_amid_a_send(queued, opcode, compress, takes, events):
    """The next send does not hang: it goes, or is refused because a frame was cut."""
    def run(step):
        writer, stream, _, core = make(takes=lambda now: takes)
        for _ in range(queued):
            core.send_queue.queue_pong(b'pong')
        try:
            with step:
                writer.send(opcode, b'amid', compress)
        except KeyboardInterrupt:
            pass
        if writer._lock.is_taken() or writer._row:
            return 'the lock is taken'
        try:
            writer.send(TEXT, b'after')
        except errors.TransportFail:
            return None if writer.error is not None else 'refused, but not dead'
        found = [payload for _, payload in payloads(stream)]
        if found[-1:] != [b'after'] or found[:-1] not in (
                [b'pong'] * queued, [b'pong'] * queued + [b'amid']):
            return repr(found)
        if core.pings.oldest is not None and b'amid' not in found:
            return 'a pong is waited for that will not come'
    assert each_step(run, files=FILES, events=(events,)) > 0


@pytest.mark.parametrize('in_loop', [True, False])
@pytest.mark.parametrize('events', EVENTS)
def test_interrupt_while_waiting_for_the_lock(in_loop, events, monkeypatch):
    """Whoever waits next is not held up, and nobody is left in the row."""
    def run(step):
        writer, _, loop, _ = make()
        holder, late = [0], []

        def give_back(*_):
            writer._lock.release(holder)
            late.append(1)
            return len(late) > 1        # at first it is not woken
        loop.is_loop_thread = lambda: in_loop
        loop.wait_in_send = give_back
        monkeypatch.setattr('lomond.network.lock.acquire', give_back)
        writer._lock.take(holder)
        try:
            with step:
                writer.send(TEXT, b'x')
        except KeyboardInterrupt:
            writer._lock.release(holder)
        if writer._lock.is_taken() or writer._row:
            return 'somebody has it, or waits'
        if writer.error is None:
            writer.send(TEXT, b'y')
    assert each_step(run, files=FILES, events=(events,)) > 5


@pytest.mark.parametrize('in_loop', [True, False])
def test_who_waits_for_the_lock_is_limited_by_send_timeout(in_loop, monkeypatch):
    """By whoever has it: a stream that never returns, a thread that is gone.  The connection ends."""
    writer, _, loop, _ = make(send_timeout=3.0)
    loop.is_loop_thread = lambda: in_loop
    monkeypatch.setattr('lomond.network.lock.acquire', lambda gate, seconds: (
        loop.wait_in_send(0, loop.now + seconds)))
    writer._lock.take([0])
    begun, real = loop.now, loop.wait_in_send

    def wait_in_send(mask, deadline):
        real(mask, deadline)
        if loop.now == begun + 2:       # another one has it now: it counts anew
            writer._taken[0] = [0]
        if loop.now == begun + 4:       # the peer takes something
            writer._progress = loop.now
        return False
    loop.wait_in_send = wait_in_send
    with pytest.raises(errors.SendTimeout):
        writer.send(TEXT, b'y')
    assert begun + 7 <= loop.now <= begun + 7.5 and writer.error is not None and loop.wakes


def test_lock_that_two_interrupts_left():
    """The second one came when the first was being seen to: the connection ends, and no send hangs."""
    writer, _, loop, _ = make()
    writer._lock.take([threading.current_thread().ident])
    with pytest.raises(errors.TransportFail):
        writer.send(TEXT, b'x')
    assert not writer._lock.is_taken() and 'interrupted' in '{}'.format(writer.error)


def test_broken_wire_ends_a_sender_that_waits_for_the_lock():
    """Within a look, though the holder of the lock is still busy."""
    stuck = Stuck()
    writer, _, loop, _ = make(send_timeout=None, takes=stuck)
    holder = stuck.send(writer)
    begun, real = loop.now, loop.wait_in_send

    def wait_in_send(mask, deadline):
        if loop.now > begun + 5:
            writer.error = errors.TransportFail('socket fail; broken pipe')
        if loop.now > begun + 20:
            stuck.go_on.set()
        return real(mask, deadline)
    loop.wait_in_send = wait_in_send
    with pytest.raises(errors.TransportFail) as caught:
        writer.send(TEXT, b'y')
    assert 'broken pipe' in '{}'.format(caught.value) and loop.now < begun + 7
    stuck.go_on.set()
    holder.join()


# -- what one interrupt, or one thread, rarely leads to

def fail_once(writer, name):
    """Raise KeyboardInterrupt in place of the first call of a method."""
    real, left = getattr(writer, name), [1]

    def method(*args):
        if left:
            raise KeyboardInterrupt(left.pop())
        return real(*args)
    setattr(writer, name, method)


def interrupt_write(now):
    raise KeyboardInterrupt


@pytest.mark.parametrize('act', [
    lambda writer: writer.try_flush(),
    lambda writer: writer.send_at_once(BINARY, b'x', False),
    lambda writer: writer.put_part(writer.streams[0]),
    lambda writer: writer.uncork(Gathered(), True)])
def test_interrupt_amid_the_release(act):
    """Giving the lock back is repeated; the wire goes on, as everything was written."""
    writer, stream, _, core = make()
    core.send_queue.queue(PONG, b'x')
    hold_first_part(writer)
    fail_once(writer, '_release')
    with pytest.raises(KeyboardInterrupt):
        act(writer)
    assert not writer._lock.is_taken() and writer.error is None and payloads(stream)[0] == (PONG, b'x')


def hold_first_part(writer):
    stream = OutgoingStream((b'part',))
    stream.begin()
    writer.hold_for(stream)
    stream.advance()
    return stream


@pytest.mark.parametrize('name', ['send', 'send_at_once'])
def test_two_interrupts_amid_a_write(name):
    writer, stream, loop, _ = make(takes=interrupt_write)
    fail_once(writer, '_break_off')
    with pytest.raises(KeyboardInterrupt):
        getattr(writer, name)(BINARY, b'x', False)
    assert not writer._lock.is_taken() and writer.error is not None and loop.wakes


def test_interrupt_amid_the_rest_of_a_reply():
    """It is not known how much went: nothing may follow."""
    writer, stream, _, core = make(takes=once(1))
    core.send_queue.queue(PONG, b'x')
    writer.try_flush()

    def send_noted(data, done):
        done.append(BEGUN)
        raise KeyboardInterrupt
    stream.send_noted = send_noted
    with pytest.raises(KeyboardInterrupt):
        writer.try_flush()
    writer.try_flush()
    assert writer.error is not None and not writer._lock.is_taken()


def test_handler_amid_tls_leaves_the_stream_alone(monkeypatch):
    monkeypatch.setattr(Stream, 'is_tls', True)
    monkeypatch.setattr(Stream, 'is_entered', lambda stream: True, raising=False)
    writer, stream, _, core = make()
    core.send_queue.queue(PONG, b'x')
    writer.try_flush()
    assert writer.send_at_once(BINARY, b'x', False) is False and not stream.calls
    with pytest.raises(errors.WebSocketError, match='signal handler'):
        writer.send(BINARY, b'x')


def test_send_within_a_send_is_refused():
    writer = make(takes=lambda now: writer.send(PING, b''))[0]
    with pytest.raises(errors.WebSocketError, match='signal handler'):
        writer.send(BINARY, b'x')
    assert not writer._lock.is_taken()


def test_wire_that_breaks_between_two_writes():
    writer, _, _, _ = make(takes=lambda now: writer._break(socket.error(errno.EPIPE, 'Broken pipe')) or 1)
    with pytest.raises(errors.TransportFail, match='Broken pipe'):
        writer.send(BINARY, b'x')
    assert writer.put_part(hold_first_part(writer)) is False


def test_force_disconnect_between_two_chunks():
    """The rest of a large message is not written."""
    writer, stream, _, _ = make(takes=lambda now: writer.stop() or 1 << 30)
    with pytest.raises(errors.TransportFail, match='closed during a send'):
        writer.send(BINARY, b'x' * 200000)
    assert stream.calls == ['send'] and not writer._lock.is_taken()


def test_control_frames_at_once_and_replies_meanwhile():
    replies = [b'reply']
    writer, stream, _, core = make(
        takes=lambda now: core.send_queue.queue(PONG, replies.pop()) if replies else 1 << 30)
    assert writer.send_at_once(PONG, b'at once', False)
    assert payloads(stream) == [(PONG, b'at once'), (PONG, b'reply')]


class Ends(object):
    """A message in parts that another thread ends after a few looks."""

    is_begun = is_done = True
    thread, moved_at, on_end = 0, 0.0, None

    def __init__(self, looks):
        self.wakes, self._looks = [], looks

    @property
    def is_over(self):
        self._looks -= 1
        return self._looks < 0

    def finish(self):
        self._looks = 0

    give_up = finish


def test_ends_of_messages_in_parts(monkeypatch):
    ended = []
    writer, stream, loop, _ = make(send_timeout=None)
    monkeypatch.setattr(Loop, 'is_loop_thread', lambda loop: False)
    monkeypatch.setattr('lomond.driver.writer.new_gate', lambda: (list, lambda seconds: None))
    parts = OutgoingStream((b'a', b'b'))
    parts.begin()
    parts.thread, parts.on_end = 0, ended.append
    writer.send_stream(parts)
    assert ended == [parts] and len(payloads(stream)) == 3 and loop.wakes
    writer.send_stream(Ends(3))                 # another thread's drain ends it
    writer.streams.append(Ends(6))
    writer.send_behind(BINARY, b'after it', False)
    assert payloads(stream)[-1] == (BINARY, b'after it')
    writer._break(socket.error(errno.EPIPE, 'Broken pipe'))
    writer.streams.append(Ends(100))
    for act in (lambda: writer.send_stream(Ends(3)), lambda: writer.send_behind(BINARY, b'x', False)):
        with pytest.raises(errors.TransportFail):
            act()


@pytest.mark.parametrize('in_parts', [False, True])
def test_message_in_parts_that_begins_while_a_sender_drains(in_parts):
    """It is before the sender's message, which has passed the first check."""
    def takes(now):
        if not held:                    # the loop's thread, amid the drain
            held.append(hold_first_part(writer))
        return 1 << 30
    held, other = [], OutgoingStream((b'other',))
    other.advance()
    writer, stream, _, core = make(takes=takes)
    core.send_queue.queue_pong(b'pong')
    with pytest.raises(Behind):
        writer.send(*(PARTS, other) if in_parts else (BINARY, b'other'))
    assert payloads(stream) == [(PONG, b'pong')] and core.send_queue.stream is held[0]


def test_who_waits_behind_messages_in_parts(monkeypatch):
    """It is woken once at each end, and is on no list afterwards: behind two in a row, and after Ctrl-C."""
    writer, stream, loop, _ = make()
    loop.is_loop_thread = lambda: False
    streams, listed, send = [Ends(3), Ends(3)], [], writer.send

    def pause(seconds):
        if seconds == 0.001:            # it stands back: others have waited longer
            raise KeyboardInterrupt
    monkeypatch.setattr('lomond.driver.writer.new_gate', lambda: (list, pause))

    def send_once_another_has_begun(*args):
        listed.append([len(parts.wakes) for parts in streams])
        writer.streams.extend(streams[len(writer.streams):])
        send(*args)
    writer.send = send_once_another_has_begun
    writer.streams.append(streams[0])
    writer.send_behind(BINARY, b'after both', False)
    assert payloads(stream) == [(BINARY, b'after both')] and listed == [[1, 0], [1, 1]]
    assert [parts.wakes for parts in streams] == [[], []]
    streams[0].wakes.append(None)       # of another thread
    writer.streams[:] = streams[:1]
    with pytest.raises(KeyboardInterrupt):
        writer.send_behind(PARTS, streams[1], False)
    assert streams[0].wakes == [None]
