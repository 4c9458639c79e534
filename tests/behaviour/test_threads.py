# -*- coding: utf-8 -*-
"""Several threads, signal handlers, and what is left behind."""

from __future__ import absolute_import, division, unicode_literals

import gc
import os
import signal
import sys
import threading
import time
import zlib

import pytest
from support.certificates import server_context
from support.client import SLACK, Played, Wait, in_thread, play
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame
from support.interpreters import counted
from support.peer import PATIENCE, Gone, Server

from lomond import WebSocket, errors
from lomond._compat import PY2, monotonic
from lomond.network.tls_stream import TlsStream

pytestmark = pytest.mark.ends

GOOD = 'connecting connected ready'
DEFLATE = b'Sec-WebSocket-Extensions: permessage-deflate'


@pytest.fixture
def nervous():
    """The interpreter switches threads all the time."""
    if hasattr(sys, 'setswitchinterval'):
        before, setter = sys.getswitchinterval(), sys.setswitchinterval
        setter(1e-6)
    else:
        before, setter = sys.getcheckinterval(), sys.setcheckinterval
        setter(1)
    yield
    setter(before)


class Inflater(object):
    """permessage-deflate of a server, with context takeover (RFC 7692, 7.2.2)."""

    def __init__(self):
        self._inflater = zlib.decompressobj(-15)

    def __call__(self, payload):
        return self._inflater.decompress(payload + b'\0\0\xff\xff')


def answers(peer):
    peer.accept()
    peer.answer_close_if_it_comes()


def test_messages_of_eight_threads_arrive_intact(how, nervous):
    server_options, options = how
    count, seen = 2000, []

    def script(peer):
        peer.accept(DEFLATE)
        start = monotonic()
        while [item[2] for item in peer.frames].count(TEXT) < 8 * count:
            peer.send(frame(BINARY, b'y' * 3000) + frame(PING, b'p'))       # the loop is busy, too
            peer.glance()
            assert monotonic() - start < 50
        peer.end()
        inflate = Inflater()
        for fin, rsv, opcode, _, payload in peer.frames:
            if opcode == TEXT:
                assert fin and rsv == 4
                seen.append(inflate(payload).decode('utf-8'))
            else:
                assert opcode in (PONG, PING, CLOSE)

    def text(who, number):
        return 'thread %d, message %d, %s' % (who, number, '\u2603' * (number * 7 % 500))

    def send(ws, who):
        for number in range(count):
            ws.send_text(text(who, number))
    threads = []
    played = play(script, {'ready': lambda ws, event: threads.extend(
        in_thread(send, ws, who) for who in range(8))}, dict(options, compress=True), server_options, threads,
        ping_rate=0.01)
    assert played.last.graceful
    for who in range(8):
        mine = [message for message in seen if message.startswith('thread %d,' % who)]
        assert mine == [text(who, number) for number in range(count)]


@pytest.mark.parametrize('closer', ['close', 'server'])
def test_no_data_behind_a_close_frame(how, closer, nervous):
    """Threads send while the connection is closed: never a frame behind the close
    frame.
    """
    server_options, options = how

    def script(peer):
        peer.accept()
        for _ in range(50):
            peer.read_frame()
        if closer == 'server':
            peer.close_code(1000)
            peer.read_until(CLOSE)
            peer.finish()
        else:
            close.set()
            peer.answer_close()
        peer.read_end()
        opcodes = [item[2] for item in peer.frames]
        assert opcodes.count(CLOSE) == 1 and opcodes[-1] == CLOSE

    def send(ws):
        try:
            while True:
                ws.send_text('x' * 300)
        except (errors.WebSocketUnavailable, errors.TransportFail):     # TCP was closed in the middle of it
            pass

    def closing(ws):
        close.wait()
        ws.close()
    for _ in range(3):
        close, threads = Wait(), []

        def ready(ws, event, threads=threads):
            threads.extend(in_thread(closing, ws) for _ in range(4 if closer == 'close' else 0))
            threads.extend(in_thread(send, ws) for _ in range(4))
        played = play(script, {'ready': ready}, options, server_options, threads)
        assert played.last.graceful and played.last.code == 1000
        assert played.names == GOOD + (' closing' if closer == 'server' else ' closed') + ' disconnected'


def test_close_in_many_threads_is_one_close_frame(nervous):
    def close(ws, start, reason):
        start.wait()
        ws.close(1000, reason)

    def script(peer):
        peer.accept()
        payload = peer.answer_close()
        peer.read_end()
        assert peer.opcodes() == [CLOSE] and payload[2:].startswith(b'thread ')
    for _ in range(5):
        with Server(script) as server:
            ws = WebSocket(server.url(), proxies={})
            start = Wait()
            threads = [in_thread(close, ws, start, 'thread %d' % who) for who in range(8)]
            Played(ws, {'ready': lambda event, start=start: start.set()}).ended(
                GOOD + ' closed disconnected', 'closed', True, 1000)
            for thread in threads:
                thread.join(2)
                assert thread.error is None


def test_every_call_at_any_moment(nervous):
    """Threads call everything all the time, from before the connection to after its
    end.
    """
    def script(peer):
        peer.accept()
        for _ in range(30):
            peer.send(frame(TEXT, b'x' * 100) + frame(PING, b'p'))
        time.sleep(0.05)
        peer.close_code(1000)
        peer.read_until(CLOSE)
    over = threading.Event()

    def call():
        done = 0
        while not over.is_set():
            for function in calls:
                try:
                    function()
                except (errors.WebSocketUnavailable, errors.TransportFail):
                    pass
            done += 1
        return done
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={})
        calls = [lambda: ws.send_text('t'), lambda: ws.send_binary(b'b'), lambda: ws.send_ping(b'p'),
                 lambda: ws.send_pong(b'p'), lambda: ws.send_json([1]), lambda: ws.is_active,
                 lambda: ws.is_closing, lambda: ws.is_closed, lambda: ws.sent_close_time, lambda: ws.latency,
                 lambda: repr(ws)]
        threads = [in_thread(call) for _ in range(3)]
        try:
            for _ in range(2):
                played = Played(ws)
                assert played.names.startswith(GOOD) and played.last.graceful
        finally:
            over.set()
        for thread in threads:
            thread.join(2)
            assert thread.error is None and thread.result


@pytest.mark.parametrize('action, reason', [
    ('close', 'closed'), ('force_disconnect', 'disconnected; force_disconnect')])
def test_loop_is_woken_at_once(action, reason, how):
    server_options, options = how
    threads = []
    played = play(answers, {'ready': lambda ws, event: threads.append(in_thread(
        lambda: (time.sleep(0.2), getattr(ws, action)(), monotonic())[-1]))}, options, server_options,
        threads, poll=30)
    assert played.last.reason == reason
    assert played.over - threads[0].result < 0.3


def test_force_disconnect_again_and_again():
    with Server(lambda peer: (peer.accept(), peer.read_end())) as server:
        ws = WebSocket(server.url(), proxies={})
        ws.force_disconnect()

        def ready(event):
            for _ in range(3):
                ws.force_disconnect()
        Played(ws, {'ready': ready}).ended(GOOD + ' disconnected', 'disconnected; force_disconnect')
        ws.force_disconnect()
        ws.close()


def test_second_thread_in_the_same_iterator():
    """It gets ValueError; the connection goes on."""
    waits, tried = Wait(), Wait()

    def script(peer):
        peer.accept()
        tried.wait()
        peer.text('still there')
        peer.end()
    with Server(script) as server:
        iterator = WebSocket(server.url(), proxies={}).connect(poll=30, ping_rate=0)

        def intruder():
            waits.wait()
            time.sleep(0.2)             # the loop sleeps in its wait
            try:
                next(iterator)
            finally:
                tried.set()
        thread = in_thread(intruder)
        names = []
        for event in iterator:
            names.append(event.name)
            if event.name == 'poll':
                waits.set()
        thread.join()
    assert isinstance(thread.error, ValueError)
    assert names == ['connecting', 'connected', 'ready', 'poll', 'text', 'closing', 'disconnected']


def test_iterator_goes_on_in_another_thread():
    """One at a time is fine: sends of its handlers keep reading, too."""
    def script(peer):
        peer.accept()
        peer.text('go')
        peer.send(frame(BINARY, b'y' * 12000000))
        peer.skip(12000014)
        peer.end()
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={})
        iterator = ws.connect(ping_rate=0, send_timeout=3)
        names = [next(iterator).name for _ in range(4)]

        def rest():
            for event in iterator:
                names.append(event.name)
                if event.name == 'text':
                    ws.send_binary(b'x' * 12000000)
        thread = in_thread(rest)
        thread.join(PATIENCE)
        assert thread.error is None
    assert names[4:] == ['text', 'binary', 'closing', 'disconnected']


# -- signal handlers

@pytest.fixture
def alarm():
    """``alarm(seconds, function)`` calls it in a signal handler of the main thread."""
    before = signal.getsignal(signal.SIGALRM)

    def arm(seconds, function):
        signal.signal(signal.SIGALRM, lambda number, stack: function())
        signal.setitimer(signal.ITIMER_REAL, seconds)
    yield arm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize('action', ['close', 'force_disconnect'])
def test_signal_handler_while_the_loop_waits(how, alarm, action):
    server_options, options = how
    played = play(answers, {'ready': lambda ws, event: alarm(0.2, getattr(ws, action))}, options,
                  server_options, poll=30)
    assert played.names == GOOD + (' closed disconnected' if action == 'close' else ' disconnected')
    assert played.elapsed < 1


@pytest.mark.parametrize('action', ['close', 'force_disconnect'])
def test_signal_handler_while_a_send_is_stuck(how, alarm, action):
    """Inside the interrupted writer, which holds the lock."""
    server_options, options = how

    def script(peer):
        peer.accept()
        peer.server.stopping.wait(PATIENCE)

    def ready(ws, event):
        alarm(0.2, lambda: called.append((getattr(ws, action)(), monotonic())))
        with pytest.raises(errors.WebSocketError):
            ws.send_binary(b'x' * 20000000)
    called = []
    played = play(script, {'ready': ready}, options, dict(server_options, receive_buffer=8192),
                  close_timeout=0.3, send_timeout=0.5)
    assert called and not played.last.graceful
    assert played.elapsed < 0.7 + SLACK


def test_signal_handler_that_sends_inside_of_a_send(alarm):
    """A send waits for the lock, which the interrupted one has: it is refused, and
    nothing hangs.
    """
    def script(peer):
        peer.accept()
        time.sleep(0.5)
        peer.skip(20000014)
        peer.end()

    def ready(ws, event):
        alarm(0.2, lambda: inside(ws))
        ws.send_binary(b'x' * 20000000)

    def inside(ws):
        with pytest.raises(errors.WebSocketError):
            ws.send_text('inside')
        refused.append(1)
    refused = []
    play(script, {'ready': ready}, server=dict(receive_buffer=8192)).ended(
        GOOD + ' closing disconnected', 'closed', True, 1000)
    assert refused


@pytest.mark.parametrize('action', ['close', 'force_disconnect', 'send_text'])
@pytest.mark.parametrize('place', ['_read', '_write'])
def test_signal_handler_inside_of_tls(certs, monkeypatch, action, place):      # noqa: F811
    """While this very thread holds the lock of the SSL object."""
    real, calls = getattr(TlsStream, place), []

    def script(peer):
        peer.accept()
        try:
            while True:
                peer.text('x' * 100)
                time.sleep(0.01)
                peer.glance()
                if CLOSE in peer.opcodes():
                    break
            peer.close_code(1000)
            peer.read_end()
        except Gone:
            pass

    def interrupted(self, data):
        if armed and not calls:
            calls.append(1)
            try:
                ws.send_text('x') if action == 'send_text' else getattr(ws, action)()
            except errors.WebSocketError:
                pass
        return real(self, data)

    def text(event):
        if not armed:
            armed.append(1)
            if place == '_write':
                try:
                    ws.send_text('y')
                except errors.WebSocketError:
                    pass
        elif ws.is_active and action == 'send_text':
            ws.close()
    armed = []
    monkeypatch.setattr(TlsStream, place, interrupted)
    with Server(script, tls=server_context(certs.server)) as server:
        ws = WebSocket(server.url(), proxies={}, ssl_cafile=certs.ca)
        played = Played(ws, {'text': text}, poll=30, close_timeout=2)
    assert calls
    assert played.elapsed < 1.5
    if action != 'force_disconnect':
        assert played.last.graceful


@pytest.mark.slow
def test_signal_handlers_at_random_moments(how, alarm):
    import random
    server_options, options = how
    rng = random.Random(7)

    def script(peer):
        peer.accept()
        while CLOSE not in peer.opcodes():
            peer.send(frame(BINARY, b'y' * 1000) + frame(PING, b'p'))
            peer.glance()
        peer.close_code(1000)
        peer.read_end()
    def binary(ws, event):
        try:
            ws.send_binary(event.data)
        except errors.WebSocketClosing:
            pass
    for _ in range(40):
        played = play(script, {'ready': lambda ws, event: alarm(rng.uniform(0.001, 0.03), ws.close),
                               'binary': binary}, options, server_options, close_timeout=5, ping_rate=0.001)
        played.ended(played.names, 'closed', True, 1000)


# -- what is left behind

def open_descriptors():
    return len(os.listdir('/proc/self/fd'))


def ends(peer):
    """A server that ends in every way, in turn."""
    number = len(peer.server.peers) % 4
    try:
        if number == 3:
            peer.read_head()
            peer.send(b'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n')
            peer.read_end()
            return
        peer.accept(DEFLATE, also=frame(TEXT, b'x' * 1000))
        if number == 0:
            peer.end()
        elif number == 1:
            peer.answer_close()
            peer.read_end()
        else:
            peer.reset()
    except Gone:
        pass


def connect_many(server, count):
    ws = WebSocket(server.url(), proxies={}, compress=True)
    for number in range(count):
        for event in ws.connect(ping_rate=0):
            if event.name == 'text':
                if number % 7 == 0:
                    break
                try:
                    ws.send_text('hello' * 100)
                except errors.WebSocketError:
                    pass
                ws.close()
    # other objects, too
    for number in range(count // 4):
        for event in WebSocket(server.url(), proxies={}).connect(ping_rate=0):
            if event.name == 'text' and number % 2:
                break


@counted
@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='no /proc')
def test_nothing_is_left_of_many_connections():
    with Server(ends) as server:
        connect_many(server, 40)
        server.join()
        del server.peers[:], server._threads[:]
        gc.collect()
        before = open_descriptors(), threading.active_count(), resident()
        connect_many(server, 500)
        server.join()
        del server.peers[:], server._threads[:]
        gc.collect()
        after = open_descriptors(), threading.active_count(), resident()
        print('500 connections: %d descriptors, %d threads, %d KiB left' % (
            after[0] - before[0], after[1] - before[1], (after[2] - before[2]) // 1024))
        assert after[:2] <= before[:2]
        assert after[2] - before[2] < 3 * 1024 * 1024
    assert gc.garbage == []


def resident():
    """Bytes of this process in memory."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf(str('SC_PAGE_SIZE'))


@counted
@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='no /proc')
def test_nothing_waits_for_the_collector(how):
    """With gc switched off: no descriptors, no threads, less than 20 KB for each
    connection.
    """
    server_options, options = how
    count = 100

    def script(peer):
        try:
            peer.accept(DEFLATE, also=frame(TEXT, b'x' * 1000) + close_frame(1000))
            peer.read_until(CLOSE)
        except Gone:
            pass
        del peer.server.peers[:]

    def connect():
        for number in range(count):
            ws = WebSocket(server.url(), compress=True, **options)
            for event in ws.connect(ping_rate=0):
                if event.name == 'text':
                    ws.send_text('hello' * 1000)
                    if number % 4 == 0:
                        break
            ws = None
        for thread in server._threads:
            thread.join(PATIENCE)
        del server._threads[:]
    with Server(script, **server_options) as server:
        connect()
        gc.collect()
        gc.disable()
        try:
            before = open_descriptors(), threading.active_count(), resident()
            connect()
            after = open_descriptors(), threading.active_count(), resident()
            unreachable = gc.collect()
        finally:
            gc.enable()
    print('%d connections without the collector: '
          '%d descriptors, %d threads, %d bytes each, %d objects left' % (
              count, after[0] - before[0], after[1] - before[1], (after[2] - before[2]) // count,
              unreachable))
    assert after[0] <= before[0] and after[1] <= before[1]
    assert after[2] - before[2] < 20000 * count
    assert unreachable < count, 'cycles are left to the collector'
    assert gc.garbage == []


@pytest.mark.skipif(PY2, reason='2.7 has no tracebacks in exceptions')
def test_errors_of_events_hold_no_frames():
    """Frames would keep the connection alive until the collector runs."""
    def resets(peer):
        peer.accept()
        peer.reset()
    with Server(resets) as server:
        last = [event for event in WebSocket(server.url(), proxies={})][-1:]
    last += [event for event in WebSocket('ws://127.0.0.1:1/', proxies={})][-1:]
    assert [event.name for event in last] == ['disconnected', 'connect_fail']
    for event in last:
        error = event.error
        while error is not None:
            assert error.__traceback__ is None
            error = error.__context__


@counted
@pytest.mark.parametrize('trace', [None, repr, True], ids=['', 'trace', 'log'])
def test_websocket_is_freed_with_its_last_reference(trace):
    """Neither the iterator, nor the session, nor who observes it keeps it alive in a
    cycle.
    """
    import weakref

    def script(peer):
        peer.accept(also=frame(TEXT, b'x') + close_frame(1000))
        try:
            peer.read_until(CLOSE)
        except Gone:
            pass
    gc.disable()
    try:
        with Server(script) as server:
            for leave in (True, False):
                ws = WebSocket(server.url(), proxies={}, trace=trace)
                for event in ws:
                    if leave and event.name == 'text':
                        break
                refs = [weakref.ref(ws), weakref.ref(ws.session), weakref.ref(ws.state.core)]
                ws = event = None
                assert [ref() for ref in refs] == [None] * 3
    finally:
        gc.enable()
