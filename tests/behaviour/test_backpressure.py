# -*- coding: utf-8 -*-
"""Sending to peers that take little or nothing, and what goes on meanwhile."""

from __future__ import absolute_import, division, unicode_literals

import os
import resource
import signal
import socket
import struct
import threading
import time

import pytest
from support.certificates import server_context
from support.client import SLACK, Wait, in_thread, play
from support.frames import BINARY, PING, PONG, TEXT, close_frame, frame
from support.peer import PATIENCE, Gone, Peer, Server

from lomond import errors
from lomond._compat import OS_ERRORS, monotonic
from lomond.driver import reader
from lomond.opcode import Opcode
from lomond.session import WebsocketSession

pytestmark = pytest.mark.ends

GOOD = 'connecting connected ready'
TIMED_OUT = 'socket fail; the peer took nothing for %ss (send_timeout)'
CHUNK = b'x' * 200000
#: A kernel that keeps little of what the peer does not take; it would keep 4 MB.
NARROW = {'proxies': {}, 'socket_options': [(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)]}


@pytest.fixture(params=['ws', pytest.param('wss', marks=pytest.mark.slow)])
def how(request):
    """``(keywords of Server, options of WebSocket)``."""
    if request.param == 'ws':
        return {}, NARROW
    certs_ = request.getfixturevalue('certs')
    return {'tls': server_context(certs_.server)}, dict(NARROW, ssl_cafile=certs_.ca)


def stall(peer):
    """A script that takes nothing."""
    peer.accept()
    peer.server.stopping.wait(PATIENCE)


def stuff(ws):
    """Send until it fails; return what it raised, and when."""
    with pytest.raises(errors.WebSocketError) as caught:
        while True:
            ws.send_binary(CHUNK)
    return caught.value, monotonic()


def play_stuffed(how, handlers=None, script=stall, senders=1, **settings):
    """Play while other threads send until it fails, which must be at the end, or
    before.

    The result has ``failed``, the exception of one sender.
    """
    server_options, options = how
    handlers, threads = dict(handlers or {}), []
    and_then = handlers.pop('ready', lambda ws, event: None)

    def ready(ws, event):
        threads.extend(in_thread(stuff, ws) for _ in range(senders))
        and_then(ws, event)
    played = play(script, dict(handlers, ready=ready), options, dict(server_options, receive_buffer=8192),
                  threads, **settings)
    for thread in threads:
        played.failed, when = thread.result
        assert when - played.over < 1
    return played


# -- send_timeout

def test_send_timeout_in_the_handler(how):
    server_options, options = how
    failed = []

    def ready(ws, event):
        start = monotonic()
        with pytest.raises(errors.SendTimeout) as caught:
            while True:
                ws.send_binary(CHUNK)
        failed.append((monotonic() - start, caught.value))
        for send in (lambda: ws.send_text('x'), lambda: ws.send_ping(b'x'), lambda: ws.send_pong(b'x')):
            with pytest.raises(errors.SendTimeout):
                send()
        ws.close()
    with Server(stall, receive_buffer=8192, **server_options) as server:
        played = play(server.url(), {'ready': ready}, options, send_timeout=0.4)
        seconds, error = failed[0]
    assert str(error) == TIMED_OUT % 0.4 and 0.4 <= seconds < 0.4 + SLACK
    played.ended(GOOD + ' disconnected', TIMED_OUT % 0.4)
    assert isinstance(played.last.error, errors.SendTimeout)
    assert played.elapsed < seconds + SLACK


def test_send_timeout_in_another_thread(how):
    played = play_stuffed(how, send_timeout=0.4)
    assert isinstance(played.failed, errors.SendTimeout)
    with pytest.raises(errors.WebSocketClosed):
        played.websocket.send_text('x')
    played.ended(GOOD + ' disconnected', TIMED_OUT % 0.4)
    assert 0.4 <= played.elapsed < 0.4 + SLACK


def test_nothing_goes_out_after_a_send_timeout():
    """Half a frame is on the wire: anything behind it would be read as its payload."""
    read = []

    def script(peer):
        peer.accept()
        timed_out.wait()
        try:
            while True:
                data = peer.recv(65536)
                if not data:
                    break
                read.append(len(data))
        except OS_ERRORS:
            pass

    def ready(ws, event):
        before = ws.session._sock
        with pytest.raises(errors.SendTimeout):
            ws.send_binary(b'x' * 20000000)
        sent.append(queued(before))
        timed_out.set()
        time.sleep(0.1)
        ws.close()
        time.sleep(0.1)
    timed_out, sent = Wait(), []
    play(script, {'ready': ready}, send_timeout=0.3, server=dict(receive_buffer=8192)).ended(
        GOOD + ' disconnected', TIMED_OUT % 0.3)
    assert 0 < sum(read) < 20000000


def queued(sock):
    """Bytes the kernel has taken and the peer has not."""
    import fcntl
    import termios
    return struct.unpack(str('i'), fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b'\0\0\0\0'))[0]


def test_send_timeout_though_the_peer_talks():
    """A peer that sends all the time and takes nothing: the loop ends, too."""
    def script(peer):
        peer.accept()
        data = frame(TEXT, b'talk' * 1000) * 10
        peer.flood(data)
    played = play_stuffed(({}, NARROW), script=script, send_timeout=0.3)
    assert played.elapsed < 0.3 + SLACK
    assert played.last.reason == TIMED_OUT % 0.3 and not played.last.graceful
    assert isinstance(played.failed, errors.SendTimeout)


@pytest.mark.parametrize('none', [None, pytest.param(0, marks=pytest.mark.slow)])
def test_no_send_timeout(none):
    """Without a limit a send ends with the connection."""
    def poll(ws, event):
        if monotonic() - started > 0.5:
            ws.force_disconnect()
    started = monotonic()
    played = play_stuffed(({}, NARROW), {'poll': poll}, send_timeout=none, poll=0.1)
    assert played.last.reason == 'disconnected; force_disconnect'
    assert not isinstance(played.failed, errors.SendTimeout)


def test_slow_peer_never_fails(how):
    """It takes a little every 0.05 s; the send takes many times send_timeout."""
    server_options, options = how
    done = Wait()

    def script(peer):
        peer.accept()
        got = 0
        while not done._event.is_set():
            time.sleep(0.05)
            got += len(peer.recv(16384))
        peer.sock.settimeout(8)
        peer.wait_gone()                            # half a frame was read by hand

    def ready(ws, event):
        start = monotonic()
        ws.send_binary(b'x' * size[0])
        took.append(monotonic() - start)
        done.set()
        ws.force_disconnect()
    size, took = [3000000], []
    with Server(script, receive_buffer=8192, **server_options) as server:
        threads = in_thread(lambda: (time.sleep(1.2), done.set()))      # then it reads fast
        played = play(server.url(), {'ready': ready}, options, send_timeout=0.3)
        threads.join()
    assert played.last.reason == 'disconnected; force_disconnect'
    assert took[0] > 0.9


def test_waiting_for_the_lock_is_no_failure_while_the_peer_takes_something():
    """A second sender waits longer than send_timeout, because the first one's message
    is long.
    """
    done, results = Wait(), []

    def script(peer):
        peer.accept()
        while not done._event.is_set():
            time.sleep(0.05)
            peer.recv(16384)
        peer.wait_gone()

    def second(ws):
        time.sleep(0.2)
        start = monotonic()
        ws.send_text('second')
        results.append(monotonic() - start)
        ws.force_disconnect()
    threads = [in_thread(lambda: (time.sleep(1.2), done.set()))]
    played = play(script, {'ready': lambda ws, event: threads.extend(
        [in_thread(ws.send_binary, b'x' * 3000000), in_thread(second, ws)])}, NARROW,
        dict(receive_buffer=8192), threads, send_timeout=0.3)
    assert played.last.reason == 'disconnected; force_disconnect'
    assert results[0] > 0.7


def test_waiting_for_a_sender_that_compresses(monkeypatch):
    """Whoever waits for the lock waits for send_timeout at most, though the peer is not to blame."""
    threads, took = [], []

    def ready(ws, event):
        codec = ws.state.core._encoder.codec
        compress, is_slow = codec.compress, threading.Event()

        def slow(self, payload):
            is_slow.set()
            time.sleep(0.6)
            return compress(payload)

        def fast():
            start = monotonic()
            try:
                ws.send_text('fast')
            finally:
                took.append(monotonic() - start)
        monkeypatch.setattr(type(codec), 'compress', slow)
        threads.append(in_thread(ws.send_text, 'slow'))
        is_slow.wait(5)
        threads.append(in_thread(fast))

    def script(peer):
        peer.accept(b'Sec-WebSocket-Extensions: permessage-deflate')
        peer.read_end()
    played = play(script, {'ready': ready}, dict(NARROW, compress=True), send_timeout=0.3)
    for thread in threads:
        thread.join()
        assert isinstance(thread.error, errors.SendTimeout)
    assert not played.last.graceful and 'send_timeout' in played.last.reason and 0.25 < took[0] < 0.6


# -- what waits in the queue

def test_queue_of_a_peer_that_takes_nothing(how):
    """The loop has its deadline though no sender waits (loops.md, section 1)."""
    queued = []

    def ready(ws, event):
        queued.append(ws.session.queue_message(Opcode.BINARY, b'x' * 6000000))
        assert 0 < ws.queued <= queued[0]
    server_options, options = how
    with Server(stall, receive_buffer=8192, **server_options) as server:
        played = play(server.url(), {'ready': ready}, options, send_timeout=0.3)
    played.ended(GOOD + ' disconnected', TIMED_OUT % 0.3)
    assert isinstance(played.last.error, errors.SendTimeout) and 0.3 <= played.elapsed < 0.6 + SLACK
    assert 5000000 < queued[0] <= 6000000 and played.websocket.queued == 0


def test_queue_of_a_slow_peer():
    """It takes a little at a time; what the kernel says counts, too, and what it has taken does not."""
    def script(peer):
        peer.accept()
        taken = 0
        for _ in range(8):
            time.sleep(0.1)
            taken += len(peer.recv(16384))
        peer.skip(2000014 - taken)
        peer.text('all')
        peer.end()
    left = []
    played = play(script, {
        'ready': lambda ws, event: left.append(ws.session.queue_message(Opcode.BINARY, b'x' * 2000000)),
        'text': lambda ws, event: left.append(ws.queued)},
        NARROW, dict(receive_buffer=4096), send_timeout=0.3)
    assert played.last.graceful and 1500000 < left[0] <= 2000000 and left[1] == 0


# -- both directions

def test_echo_of_much_in_each_direction(how):
    """Both send before they read: without a backlog this is a deadlock."""
    server_options, options = how
    size, count, sizes = 1024 * 1024, 64, []

    def script(peer):
        peer.accept()
        payload = b'y' * size
        for _ in range(count):
            peer.send(frame(BINARY, payload))
        peer.skip(count * (size + 14))
        peer.end()

    def binary(ws, event):
        sizes.append(len(event.data))
        ws.send_binary(event.data)
    with Server(script, **server_options) as server:
        options = dict(options, socket_options=[])      # a narrow one waits for delayed ACKs
        played = play(server.url(), {'binary': binary}, options, send_timeout=5)
    assert sizes == [size] * count
    assert (played.last.reason, played.last.code) == ('closed', 1000)


def test_what_came_during_a_send_is_delivered_in_order():
    """Messages, a ping and a close frame arrive while the handler's send is stuck."""
    def script(peer):
        peer.accept()
        peer.text('start')
        time.sleep(0.2)
        for number in range(1000):
            peer.text(str(number))
        peer.send(frame(PING, b'p') + frame(TEXT, b'\xe2\x98\x83') + close_frame(1000, b'bye'))
        peer.skip(3000014)
        assert peer.read_frame() == (PONG, b'p')
        assert peer.read_close(1000) == struct.pack(str('!H'), 1000)

    def text(ws, event):
        if event.text == 'start':
            ws.send_binary(b'x' * 3000000)
    played = play(script, {'text': text}, NARROW, server=dict(receive_buffer=8192))
    assert [event.text for event in played.all('text')] == (
        ['start'] + [str(number) for number in range(1000)] + ['\u2603'])
    assert played.names.endswith(' ping text closing disconnected')
    assert played.last.graceful


def test_backlog_is_limited(monkeypatch):
    """Beyond it reading pauses, and send_timeout decides; what had come is delivered.
    """
    monkeypatch.setattr(reader, 'BACKLOG_LIMIT', 1024 * 1024)
    payload = b'y' * 10000

    def script(peer):
        peer.accept()
        try:
            while True:
                peer.send(frame(BINARY, payload))
        except Gone:
            pass

    def binary(ws, event):
        if not failed:
            with pytest.raises(errors.SendTimeout):
                ws.send_binary(b'x' * 30000000)
            failed.append(ws.session._driver.reader._kept)
    failed = []
    played = play(script, {'binary': binary}, send_timeout=0.4, server=dict(receive_buffer=8192))
    assert 1024 * 1024 <= failed[0] < 1.2 * 1024 * 1024
    assert len(played.all('binary')) > 90
    assert played.last.reason == TIMED_OUT % 0.4 and played.elapsed < 0.4 + SLACK


def test_backlog_of_crumbs_is_limited(monkeypatch):
    """Small parts cost more than their bytes."""
    monkeypatch.setattr(reader, 'BACKLOG_LIMIT', 100000)
    parts = []

    class Stream(object):
        def recv_into(self, place):
            if len(parts) > 100000:
                raise AssertionError('more and more')
            parts.append(1)
            place[:1] = b'x'
            return 1
    def ready(ws, event):
        reading = ws.session._driver.reader
        stream, reading._stream = reading._stream, Stream()
        reading.read_ahead()
        reading._stream = stream
        ws.force_disconnect()
    play(lambda peer: (peer.accept(), peer.read_end()), {'ready': ready})
    assert 100 < len(parts) < 2000


# -- the loop and stuck senders

def test_poll_keeps_its_pace_while_a_sender_is_stuck(how):
    def poll(ws, event):
        if len(polls) > 8:
            ws.force_disconnect()
        polls.append(monotonic())
    polls = []
    played = play_stuffed(how, {'poll': poll}, poll=0.1)
    gaps = [after - before for before, after in zip(polls, polls[1:])]
    assert max(gaps) < 0.3 and len(polls) > 8
    assert played.last.reason == 'disconnected; force_disconnect'


def test_ping_timeout_while_a_sender_is_stuck(how):
    played = play_stuffed(how, poll=5, ping_rate=0.2, ping_timeout=0.5)
    played.ended(GOOD + ' unresponsive disconnected', 'disconnected; exceeded 0.5s ping timeout')
    assert 0.5 <= played.elapsed < 0.5 + SLACK


def test_pings_do_not_pile_up_while_a_sender_is_stuck():
    """One waits at a time; no burst of them follows once it can go."""
    def script(peer):
        peer.accept()
        time.sleep(0.6)
        peer.skip(3000014)
        assert peer.read_frame() == (PING, b'')
        peer.send(frame(PONG, b''))
        peer.end()
        assert len(peer.frames) < 6
    threads = []

    def poll(ws, event):
        if not threads:
            threads.append(in_thread(ws.send_binary, b'x' * 3000000))
            time.sleep(0.1)
    play(script, {'poll': poll}, NARROW, dict(receive_buffer=8192), threads,
         ping_rate=0.05, ping_timeout=5, poll=30).ended(
        GOOD + ' pong closing disconnected', 'closed', True, 1000)


def test_close_timeout_while_a_sender_is_stuck(how):
    """close() does not wait, though its frame cannot be written; the loop ends all the
    same.
    """
    def ready(ws, event):
        time.sleep(0.3)
        start = monotonic()
        ws.close()
        assert monotonic() - start < 0.1
        assert ws.is_closing and ws.sent_close_time is not None
    played = play_stuffed(how, {'ready': ready}, close_timeout=0.4)
    played.ended(GOOD + ' disconnected', "disconnected; server didn't respond to close packet within 0.4s")
    assert played.elapsed < 0.3 + 0.4 + SLACK


def test_nothing_spins_while_a_sender_is_stuck(how):
    """A pong that waits for the lock does not make the loop look at it all the time."""
    def script(peer):
        peer.accept()
        time.sleep(0.3)
        peer.send(frame(PING, b'1') + frame(PING, b'2') + frame(TEXT, b'x'))
        peer.server.stopping.wait(PATIENCE)

    def poll(ws, event):
        if len(used) == 1 and monotonic() - start > 0.8:
            used.append(time_used())
            ws.force_disconnect()
    used, start = [], monotonic()
    played = play_stuffed(how, {'text': lambda ws, event: used.append(time_used()), 'poll': poll}, script,
                          poll=0.1)
    assert played.names == GOOD + ' ping ping text disconnected'
    assert used[1] - used[0] < 0.2


def time_used():
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


MANY = pytest.mark.parametrize('count', [8000, pytest.param(60000, marks=pytest.mark.slow)])


@MANY
def test_pongs_that_cannot_be_written_are_bounded(count):
    """Thousands of pings to a client that cannot write: the newest is answered."""
    flood, flooded = Wait(), Wait()

    def script(peer):
        peer.accept()
        flood.wait()
        time.sleep(0.2)
        for start in range(0, count, 1000):
            peer.send(b''.join(frame(PING, b'%06d' % number) for number in range(start, start + 1000)))
        peer.text('flooded')
        flooded.wait(20)
        peer.skip(3000014)
        pongs = []
        while not pongs or pongs[-1] != b'%06d' % (count - 1):
            opcode, payload = peer.read_frame()
            if opcode == PONG:
                pongs.append(payload)
        assert pongs == sorted(pongs) and 5000 < len(pongs) < 6000
        peer.end()
    threads = []

    def ready(ws, event):
        threads.append(in_thread(ws.send_binary, b'x' * 3000000))
        flood.set()
    played = play(script, {'ready': ready, 'text': lambda ws, event: flooded.set()}, NARROW,
                  dict(receive_buffer=8192), threads)
    assert len(played.all('ping')) == count
    assert played.last.graceful


@MANY
def test_all_pings_are_answered_in_order(count):
    def script(peer):
        peer.accept()
        reader = in_thread(lambda: [peer.read_frame() for _ in range(count)])
        for start in range(0, count, 1000):
            peer.send(b''.join(frame(PING, b'%06d' % number) for number in range(start, start + 1000)))
        reader.join(20)
        assert reader.result == [(PONG, b'%06d' % number) for number in range(count)]
        peer.end()
    played = play(script)
    assert len(played.all('ping')) == count and played.last.graceful


# -- a failed send, and what had arrived

@pytest.mark.parametrize('where', ['handler', 'thread'])
@pytest.mark.parametrize('code', [1009, 1001])
def test_server_closes_while_we_are_sending(code, where):
    """It reads no more, sends its close frame and is gone: the frame is read and
    reported.
    """
    def script(peer):
        peer.accept()
        peer.recv(1000)
        peer.close_code(code, b'too big')
        time.sleep(0.3)
        peer.drop()                             # a reset, since much is unread
    if where == 'thread':
        played = play_stuffed(({}, NARROW), script=script)
    else:
        played = play(script, {'ready': lambda ws, event: stuff(ws)}, send_timeout=5,
                      server=dict(receive_buffer=8192))
    played.ended(GOOD + ' closing disconnected', 'closed', True, code)
    assert played.elapsed < 0.3 + SLACK


def test_messages_before_a_failed_send_are_delivered():
    gone = Wait()

    def script(peer):
        peer.accept()
        peer.text('first')
        for number in range(100):
            peer.text(str(number))
        peer.close_code(1011, b'crash')
        time.sleep(0.1)
        peer.reset()
        gone.set()

    def text(ws, event):
        if event.text == 'first':
            gone.wait()
            time.sleep(0.05)
            with pytest.raises(errors.TransportFail) as caught:
                for _ in range(3):
                    ws.send_text('x')
            assert str(caught.value).startswith('socket fail; ')
            assert not isinstance(caught.value, errors.SendTimeout)
    played = play(script, {'text': text}, NARROW)
    played.ended(GOOD + ' text' * 101 + ' closing disconnected', 'closed', True, 1011)


def test_failed_send_without_a_close_frame():
    gone = Wait()

    def script(peer):
        peer.accept()
        peer.text('only')
        time.sleep(0.05)
        peer.reset()
        gone.set()

    def text(ws, event):
        gone.wait()
        time.sleep(0.05)
        with pytest.raises(errors.TransportFail):
            ws.send_text('x')
        with pytest.raises(errors.TransportFail):
            ws.send_text('x')
        assert ws.is_active
        ws.close()
    played = play(script, {'text': text}, NARROW)
    assert played.names == GOOD + ' text disconnected'
    assert played.last.reason.startswith('socket fail; ') and not played.last.graceful


def test_send_timeout_is_not_graceful_though_the_server_closed():
    """Its close frame came, and then it stopped taking anything."""
    def script(peer):
        peer.accept()
        peer.close_code(1000)
        peer.server.stopping.wait(PATIENCE)

    def closing(ws, event):
        with pytest.raises(errors.SendTimeout):
            while True:
                ws.send_binary(CHUNK)
    played = play(script, {'closing': closing}, send_timeout=0.3, server=dict(receive_buffer=8192))
    played.ended(GOOD + ' closing disconnected', TIMED_OUT % 0.3, False, 1000)


def test_force_disconnect_wakes_a_sender(how):
    def ready(ws, event):
        time.sleep(0.3)
        ws.force_disconnect()
    play_stuffed(how, {'ready': ready}, senders=2).ended(
        GOOD + ' disconnected', 'disconnected; force_disconnect')


def test_force_disconnect_wakes_the_handlers_own_send(how):
    server_options, options = how
    threads = []

    def ready(ws, event):
        threads.append(in_thread(lambda: (time.sleep(0.3), ws.force_disconnect())))
        assert not isinstance(stuff(ws)[0], errors.SendTimeout)
    played = play(stall, {'ready': ready}, options, dict(server_options, receive_buffer=8192), threads)
    played.ended(GOOD + ' disconnected', 'disconnected; force_disconnect')
    assert played.elapsed < 0.3 + 1


def test_dropped_while_the_handler_sends(how):
    """A reset in the middle of a send."""
    server_options, options = how

    def script(peer):
        peer.accept()
        time.sleep(0.3)
        peer.reset()

    def ready(ws, event):
        assert isinstance(stuff(ws)[0], errors.TransportFail)
    played = play(script, {'ready': ready}, options, dict(server_options, receive_buffer=8192))
    assert played.names == GOOD + ' disconnected'
    assert played.last.reason.startswith('socket fail; ') and not played.last.graceful
    assert played.elapsed < 0.3 + SLACK


def test_half_closed_by_the_server_while_the_handler_sends():
    """Its direction has ended; ours goes on until the message is out, then it is over.
    """
    def script(peer):
        peer.accept()
        peer.text('start')
        peer.finish()
        time.sleep(0.2)
        peer.skip(3000014)
        peer.read_end()

    def text(ws, event):
        ws.send_binary(b'x' * 3000000)
    play(script, {'text': text}, server=dict(receive_buffer=8192)).ended(
        GOOD + ' text disconnected', 'socket fail; connection lost')


def test_handler_waits_for_another_thread_and_reads_on(how):
    """Its send waits for the lock; what arrives meanwhile is kept, and the lock is got
    at once.
    """
    server_options, options = how

    def script(peer):
        peer.accept()
        started.wait()
        time.sleep(0.1)
        peer.text('go')
        time.sleep(0.1)
        for _ in range(40):             # the stuck thread is not free before all of it is read
            peer.send(frame(BINARY, b'y' * 100000))
        peer.skip(3000014)
        assert peer.read_frame() == (TEXT, b'behind')
        peer.end()

    def text(ws, event):
        start = monotonic()
        ws.send_text('behind')
        waited.append(monotonic() - start)
    started, threads, waited = Wait(), [], []
    play(script, {'ready': lambda ws, event: (
        threads.append(in_thread(ws.send_binary, b'x' * 3000000)), started.set()), 'text': text},
        options, dict(server_options, receive_buffer=8192), threads).ended(
        GOOD + ' text' + ' binary' * 40 + ' closing disconnected', 'closed', True, 1000)
    assert waited[0] > 0.1


def test_send_behind_pongs_that_wait(how):
    """The peer floods with pings and does not read: pongs fill the wire, and a send has
    to push them out.
    """
    server_options, options = how
    payload = b'p' * 125

    def script(peer):
        peer.accept()
        for _ in range(40):
            peer.send(frame(PING, payload) * 100)
        peer.text('go')
        time.sleep(0.3)
        pongs = 0
        while True:
            opcode, data = peer.read_frame()
            if opcode == TEXT:
                break
            assert (opcode, data) == (PONG, payload)
            pongs += 1
        assert data == b'behind' and pongs > 100
        peer.end()
    played = play(script, {'text': lambda ws, event: ws.send_text('behind')}, options,
                  dict(server_options, receive_buffer=4096))
    assert len(played.all('ping')) == 4000 and played.last.graceful


def test_send_timeout_behind_pongs_that_wait():
    def script(peer):
        peer.accept()
        for _ in range(80):
            peer.send(frame(PING, b'p' * 125) * 100)
        peer.text('go')
        peer.server.stopping.wait(PATIENCE)

    def text(ws, event):
        with pytest.raises(errors.SendTimeout):
            ws.send_text('behind')
    played = play(script, {'text': text}, NARROW, send_timeout=0.3, server=dict(receive_buffer=4096))
    assert played.last.reason == TIMED_OUT % 0.3


def test_exception_inside_of_a_send_ends_the_connection():
    """A signal handler raises in the middle of a frame: nothing can follow half of it.
    """
    class Alarm(Exception):
        pass

    def script(peer):
        peer.accept()
        peer.fill(1)                    # the frame has begun
        os.kill(os.getpid(), signal.SIGALRM)
        peer.server.stopping.wait(PATIENCE)

    def handler(number, stack):
        raise Alarm()

    def ready(ws, event):
        before = signal.signal(signal.SIGALRM, handler)
        try:
            with pytest.raises(Alarm):
                ws.send_binary(b'x' * 20000000)
        finally:
            signal.signal(signal.SIGALRM, before)
        with pytest.raises(errors.TransportFail) as caught:
            ws.send_text('x')
        assert 'interrupted' in str(caught.value)
        ws.close()
    played = play(script, {'ready': ready}, NARROW, server=dict(receive_buffer=8192))
    assert played.names == GOOD + ' disconnected' and 'interrupted' in played.last.reason
    assert played.elapsed < 1           # close() does not wait, neither for close_timeout nor send_timeout


def test_sender_over_a_stream_that_nothing_wakes():
    """A stream of the caller's without shutdown: a stuck sender looks up by itself."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)

    class Plain(object):
        """Four methods, as the documentation asks for."""

        def __init__(self):
            self.fileno, self.recv, self.send, self.close = ours.fileno, ours.recv, ours.send, ours.close

    class Session(WebsocketSession):
        def _connect(self):
            ours.setblocking(False)
            return Plain(), None

    def play_server():
        theirs.settimeout(PATIENCE)
        peer = Peer(theirs)
        peer.accept()
        over.wait()
    over, threads = Wait(), []
    server = in_thread(play_server)

    def ready(ws, event):
        threads.append(in_thread(stuff, ws))
        time.sleep(0.2)
        ws.force_disconnect()
    played = play('ws://made.up/', {'ready': ready}, threads=threads, session_class=Session)
    played.ended(GOOD + ' disconnected', 'disconnected; force_disconnect')
    assert threads[0].result[1] - played.over < 1
    over.set()
    server.join(2)
    theirs.close()
    assert server.error is None
