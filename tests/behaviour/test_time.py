# -*- coding: utf-8 -*-
"""Poll, pings and limits against real sockets, with small times."""

from __future__ import absolute_import, division, unicode_literals

import signal
import socket
import threading
import time

import pytest
from support.client import SLACK, Wait, bare, in_thread, play
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame

from lomond._compat import monotonic
from lomond.network.poller import Waiting
from lomond.session import WebsocketSession

GOOD = 'connecting connected ready'


def slow(value):
    """A parameter whose test is slow."""
    return pytest.param(value, marks=pytest.mark.slow)


def until_over(peer):
    """A script that says nothing, answers close frames and lets pings be."""
    peer.accept()
    peer.answer_close_if_it_comes()


def quiet(peer):
    """A script that never says anything after the handshake."""
    peer.accept()
    peer.read_end()


def close_after(seconds):
    """A handler for Poll that closes when so much time has gone by since the first one.
    """
    start = []

    def poll(ws, event):
        start.append(monotonic())
        if start[-1] - start[0] >= seconds and ws.is_active:
            ws.close()
    return poll


def gaps(played, name='poll'):
    times = [at for event, at in zip(played.events, played.times) if event.name == name]
    return [after - before for before, after in zip(times, times[1:])]


class Counted(WebsocketSession):
    """Counts how often it waits."""

    waits_begun = 0

    class waiting(Waiting):
        def wait(self, waits, deadline):
            Counted.waits_begun += 1
            return super(Counted.waiting, self).wait(waits, deadline)


# -- Poll

def test_first_poll_and_first_ping_come_right_after_ready():
    def script(peer):
        peer.accept(also=frame(TEXT, b'early'))
        assert peer.read_frame() == (PING, b'')
        assert peer.read_frame() == (TEXT, b'early'), 'the ping comes first'
        peer.end()
    played = play(script, {'text': lambda ws, event: ws.send_text(event.text)}, poll=30, ping_rate=30)
    assert [event.name for event in played.events] == [
        'connecting', 'connected', 'ready', 'poll', 'text', 'closing', 'disconnected']
    assert played.time_of('poll') - played.time_of('ready') < 0.1


def test_poll_keeps_its_pace():
    played = play(until_over, {'poll': close_after(0.6)}, poll=0.1)
    assert played.names == GOOD + ' closed disconnected'
    assert 5 <= len(played.all('poll')) <= 8
    assert 0.095 < min(gaps(played)) and max(gaps(played)) < 0.3


def test_poll_under_a_stream_of_messages():
    def script(peer):
        peer.accept()
        # Large ones: the player keeps every event, and the collector walks through
        # hundreds of thousands of them for longer than the gap that is allowed.
        data = frame(BINARY, b'x' * 16000) * 4
        peer.flood(data)
    start = []

    def poll(ws, event):
        start.append(monotonic())
        if monotonic() - start[0] > 0.6:
            ws.force_disconnect()
    played = play(script, {'poll': poll}, poll=0.1)
    assert len(played.all('binary')) > 500
    assert 5 <= len(played.all('poll')) <= 8 and max(gaps(played)) < 0.3


def test_poll_between_the_messages_of_one_read():
    """Their handler is slow; Poll and pings do not wait for all of them."""
    pings = []

    def script(peer):
        peer.accept(also=frame(TEXT, b'x') * 60 + close_frame(1000))
        peer.read_close()
        pings.extend(item for item in peer.frames if item[2] == PING)
    slept = []

    def handle(ws, event):
        begun = time.time()
        time.sleep(0.01)
        slept.append(time.time() - begun)
    played = play(script, {'text': handle}, poll=0.1, ping_rate=0.1)
    assert len(slept) == 60
    most = played.elapsed / 0.1 + 1         # a busy machine sleeps longer
    assert 5 <= len(played.all('poll')) <= most and max(gaps(played)) < 0.23 + 2 * max(slept)
    assert 5 <= len(pings) <= most


def test_poll_whose_handler_is_slower_than_poll():
    """Messages and the end come through, and so do pings."""
    def script(peer):
        peer.accept()
        for number in range(5):
            peer.text(str(number))
            time.sleep(0.01)
        peer.read_until(PING)
        peer.read_until(PING)
        peer.end()
    played = play(script, {'poll': lambda ws, event: time.sleep(0.03)}, poll=0.001, ping_rate=0.05)
    played.ended(GOOD + ' text' * 5 + ' closing disconnected', 'closed', True, 1000)
    assert played.elapsed < 1.5


def test_no_poll_before_ready():
    def script(peer):
        peer.read_head()
        time.sleep(0.3)
        peer.send(peer.upgrade() + close_frame(1000))
        peer.read_close()
    played = play(script, poll=0.05)
    assert played.names == GOOD + ' closing disconnected'       # the order was checked by Played


def test_poll_for_ever():
    played = play(lambda peer: (peer.accept(), time.sleep(0.1), peer.end()), poll=8e9, **dict.fromkeys(
        ['ping_rate', 'ping_timeout', 'close_timeout', 'connect_timeout', 'send_timeout'], float('inf')))
    played.ended(GOOD + ' closing disconnected', 'closed', True, 1000)
    assert len(played.all('poll')) == 1


# -- pings

def test_pings_have_their_own_pace():
    """``poll=30`` does not hold them up."""
    times = []

    def script(peer):
        peer.accept()
        for _ in range(6):
            peer.read_until(PING)
            times.append(monotonic())
        peer.end()
    played = play(script, poll=30, ping_rate=0.15)
    found = [after - before for before, after in zip(times, times[1:])]
    assert 0.12 < min(found) and max(found) < 0.4
    assert len(played.all('poll')) == 1


@pytest.mark.parametrize('rate', [0, None])
def test_no_pings(rate):
    def script(peer):
        peer.accept()
        time.sleep(0.2)
        peer.end()
        assert [item[2] for item in peer.frames] == [CLOSE]
    play(script, poll=0.05, ping_rate=rate).ended(GOOD + ' closing disconnected', 'closed', True,
                                                      1000)


@pytest.mark.parametrize('at', ['ready', slow('text'), slow('poll')])
def test_no_bursts_of_pings_after_a_pause(at):
    paused = Wait()
    seen = []

    def script(peer):
        peer.accept(also=frame(TEXT, b'x'))
        paused.wait()
        time.sleep(0.08)
        peer.end()
        seen.extend(item for item in peer.frames if item[2] == PING)
    done = []

    def pause(ws, event):
        if not done:
            done.append(time.sleep(0.6))
            paused.set()
    play(script, {at: pause}, poll=30, ping_rate=0.1)
    assert 1 <= len(seen) <= 3


def test_pings_stop_at_close():
    def script(peer):
        peer.accept()
        peer.read_until(CLOSE)
        time.sleep(0.3)
        peer.close_code(1000)
        peer.read_end()
        assert [item[2] for item in peer.frames][-1] == CLOSE
    play(script, {'ready': lambda ws, event: ws.close()}, ping_rate=0.05).ended(
        GOOD + ' closed disconnected', 'closed', True, 1000)


def test_latency():
    def script(peer):
        peer.accept()
        payload = peer.read_until(PING)
        time.sleep(0.1)
        peer.send(frame(PONG, payload))
        assert peer.read_until(PING) == b'mine'
        peer.send(frame(PONG, b'mine') + frame(PONG, b'nobody asked'))
        peer.end()

    def pong(ws, event):
        found.append((event.data, event.latency, ws.latency))
        if len(found) == 1:
            ws.send_ping(b'mine')

    def ready(ws, event):
        assert ws.latency is None
    found = []
    play(script, {'ready': ready, 'pong': pong}, ping_rate=30)
    assert [data for data, _, _ in found] == [b'', b'mine', b'nobody asked']
    assert 0.1 <= found[0][1] < 0.1 + SLACK and found[0][1] == found[0][2]
    assert 0 <= found[1][1] < SLACK and found[2][1:] == (None, found[1][1])


# -- ping_timeout

def test_ping_timeout_does_not_wait_for_poll():
    played = play(quiet, poll=30, ping_rate=10, ping_timeout=0.4)
    played.ended(GOOD + ' unresponsive disconnected', 'disconnected; exceeded 0.4s ping timeout')
    assert 0.4 <= played.elapsed < 0.4 + SLACK


def test_ping_timeout_counts_from_the_oldest_ping():
    """Further pings that stay unanswered do not put it off."""
    played = play(quiet, poll=30, ping_rate=0.1, ping_timeout=0.5)
    assert played.last.reason == 'disconnected; exceeded 0.5s ping timeout'
    assert 0.5 <= played.elapsed < 0.5 + SLACK


@pytest.mark.parametrize('rate', [slow(0), None])
def test_no_ping_no_timeout(rate):
    played = play(until_over, {'poll': close_after(0.5)}, poll=0.1, ping_rate=rate, ping_timeout=0.2)
    assert played.names == GOOD + ' closed disconnected'


def test_ping_of_the_caller_counts():
    played = play(quiet, {'ready': lambda ws, event: ws.send_ping(b'x')}, poll=30, ping_rate=0,
                  ping_timeout=0.3)
    assert played.names == GOOD + ' unresponsive disconnected'
    assert 0.3 <= played.elapsed < 0.3 + SLACK


def test_ping_of_another_thread_counts():
    threads = []
    played = play(quiet, {'ready': lambda ws, event: threads.append(in_thread(
        lambda: (time.sleep(0.1), ws.send_ping(b'x'))))}, threads=threads, poll=30, ping_timeout=0.3)
    assert played.names == GOOD + ' unresponsive disconnected'
    assert played.elapsed < 0.4 + SLACK


def test_answered_pings_do_not_time_out():
    def script(peer):
        peer.accept()
        end = monotonic() + 0.6
        while monotonic() < end:
            payload = peer.read_until(PING)
            time.sleep(0.1)
            peer.send(frame(PONG, payload))
        peer.end()
    played = play(script, poll=30, ping_rate=0.05, ping_timeout=0.4)
    assert played.last.graceful and len(played.all('pong')) > 3


def test_a_long_download_is_life():
    """No pong for a long time, but bytes: of one message that is not complete."""
    def script(peer):
        peer.accept()
        data = frame(BINARY, b'x' * 1400)
        for at in range(0, len(data), 100):
            peer.send(data[at:at + 100])
            time.sleep(0.05)
        peer.end()
    played = play(script, poll=30, ping_rate=0.1, ping_timeout=0.4)
    played.ended(GOOD + ' binary closing disconnected', 'closed', True, 1000)
    assert played.elapsed > 0.6


def test_silence_after_life_times_out():
    """It counts from the last byte then, not from the last ping."""
    def script(peer):
        peer.accept()
        for _ in range(8):
            peer.text('x')
            time.sleep(0.05)
        peer.read_end()
    played = play(script, poll=30, ping_rate=0.1, ping_timeout=0.4)
    assert played.names == GOOD + ' text' * 8 + ' unresponsive disconnected'
    assert 0.7 <= played.elapsed < 0.8 + SLACK


def test_ping_timeout_ends_during_our_close():
    """After close() the answer has its own limit; a silent peer ends by one of both."""
    played = play(quiet, {'ready': lambda ws, event: (ws.send_ping(b'x'), ws.close())},
                  poll=30, ping_timeout=0.3, close_timeout=5)
    assert played.names == GOOD + ' unresponsive disconnected'
    assert played.elapsed < 0.3 + SLACK


def test_no_ping_timeout_after_our_echo():
    """TCP is left open by the server; close_timeout ends it, gracefully."""
    def script(peer):
        peer.accept()
        peer.read_until(PING)
        peer.close_code(1000)
        peer.read_end()
    played = play(script, poll=30, ping_rate=0.1, ping_timeout=0.2, close_timeout=0.7)
    played.ended(GOOD + ' closing disconnected', 'closed', True, 1000)
    assert 0.6 < played.elapsed < 0.9 + SLACK


# -- close_timeout

def test_close_timeout_counts_from_the_call():
    """A handler that goes on after close() for long: the time is up when it is done."""
    played = play(quiet, {'ready': lambda ws, event: (ws.close(), time.sleep(0.5))},
                  poll=30, close_timeout=0.4)
    assert "didn't respond" in played.last.reason
    assert 0.5 <= played.elapsed < 0.4 + SLACK


def test_close_timeout_of_a_close_in_another_thread():
    """It wakes the loop, which sleeps until Poll."""
    threads = []
    played = play(quiet, {'ready': lambda ws, event: threads.append(in_thread(
        lambda: (time.sleep(0.2), ws.close())))}, threads=threads, poll=30, close_timeout=0.3)
    assert "didn't respond" in played.last.reason
    assert 0.5 <= played.elapsed < 0.5 + SLACK


@pytest.mark.parametrize('none', [slow(0), None])
def test_no_close_timeout(none):
    def script(peer):
        peer.accept()
        peer.read_until(CLOSE)
        time.sleep(0.5)
        peer.close_code(1000)
        peer.read_end()
    play(script, {'ready': lambda ws, event: ws.close()}, close_timeout=none).ended(
        GOOD + ' closed disconnected', 'closed', True, 1000)


def test_late_answer_in_the_socket_counts():
    """The answer came in time; only the handler was slow."""
    def script(peer):
        peer.accept()
        peer.answer_close()
        peer.read_end()
    played = play(script, {'ready': lambda ws, event: (ws.close(), time.sleep(0.6))},
                  close_timeout=0.3)
    assert played.elapsed < 0.6 + SLACK
    played.ended(GOOD + ' closed disconnected', 'closed', True, 1000)


def test_late_answer_behind_messages_counts():
    def script(peer):
        peer.accept(also=frame(TEXT, b'x') * 10)
        peer.answer_close()
        peer.read_end()

    def text(ws, event):
        if ws.is_active:
            ws.close()
            time.sleep(0.4)
    play(script, {'text': text}, close_timeout=0.3).ended(
        GOOD + ' text' * 10 + ' closed disconnected', 'closed', True, 1000)


def test_close_timeout_and_slow_handlers():
    """There are messages in hand for a minute."""
    def script(peer):
        peer.accept(also=frame(TEXT, b'x') * 300)
        peer.read_end()
    played = play(script, {'ready': lambda ws, event: ws.close(),
                               'text': lambda ws, event: time.sleep(0.2)}, close_timeout=0.3)
    assert "didn't respond" in played.last.reason
    assert 0.3 <= played.elapsed < 0.3 + SLACK


def test_connect_timeout_begins_with_connecting():
    """A slow handler of Connecting takes nothing away from it."""
    def script(peer):
        peer.accept(also=close_frame(1000))
        peer.read_close()
    play(script, {'connecting': lambda ws, event: time.sleep(0.4)}, connect_timeout=0.3).ended(
        GOOD + ' closing disconnected', 'closed', True, 1000)


def test_late_upgrade_in_the_socket_counts():
    def script(peer):
        peer.accept()
        peer.end()
    play(script, {'connected': lambda ws, event: time.sleep(0.5)}, connect_timeout=0.3).ended(
        GOOD + ' closing disconnected', 'closed', True, 1000)


# -- sleeping

def test_idle_connection_sleeps():
    """Nothing wakes it but its deadlines."""
    before = Counted.waits_begun
    played = play(until_over, {'poll': close_after(0.55)}, session_class=Counted, poll=0.2)
    assert played.names == GOOD + ' closed disconnected'
    # connecting, the answer, the polls, the answer to close()
    assert Counted.waits_begun - before <= 4 + len(played.all('poll'))


@pytest.mark.slow
def test_idle_connection_of_ten_seconds():
    counts = []

    def poll(ws, event):
        counts.append((monotonic(), Counted.waits_begun))
        if counts[-1][0] - counts[0][0] > 9.9:
            ws.close()
    threads = threading.active_count()
    play(lambda peer: (peer.accept(), peer.sock.settimeout(12), peer.answer_close(), peer.read_end()),
         {'poll': poll}, session_class=Counted, ping_rate=30)
    assert counts[-1][1] - counts[0][1] <= 4
    assert threading.active_count() <= threads + 3


def test_a_wait_ends_with_the_wake_up():
    """A wake-up that comes before the wait is not lost."""
    waiting = Waiting()
    waiting.wake()
    waiting.wake()
    start = monotonic()
    assert waiting.wait(waiting.wake_waits, start + 5) == waiting.wake_waits
    waiting.clear()
    assert waiting.wait(waiting.wake_waits, monotonic() + 0.05) == ()
    assert monotonic() - start < 1
    waiting.close()
    waiting.wake()
    waiting.clear()


# -- clocks and signals

@pytest.fixture
def restless():
    """A signal every 3 ms, in the main thread; on 2.7 system calls end with EINTR."""
    count = []
    before = signal.signal(signal.SIGALRM, lambda number, stack: count.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    yield count
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_signals_end_nothing(restless):
    """Connecting, waiting, sending, a stuck send, and limits that keep their length."""
    def script(peer):
        peer.read_head()
        time.sleep(0.1)
        peer.send(peer.upgrade())
        time.sleep(0.2)
        peer.skip(600014)
        peer.text('got it')
        peer.read_close()
        peer.read_end()

    def text(ws, event):
        ws.close()
    played = play(script, {'ready': lambda ws, event: ws.send_binary(b'x' * 600000), 'text': text},
                  {'proxies': {}, 'socket_options': [(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)]},
                  poll=0.1, close_timeout=0.3)
    assert played.names == GOOD + ' text disconnected'
    assert "didn't respond" in played.last.reason
    assert played.elapsed >= 0.5 and len(restless) > 50


def test_signals_and_upgrade_time_out(restless):
    played = play(lambda peer: (peer.read_head(), peer.read_end()), connect_timeout=0.3)
    assert bare(played.last.reason) == 'disconnected; upgrade timed out after 0.3s'
    assert 0.3 <= played.elapsed < 0.3 + SLACK


def test_wall_clock_that_steps_back(monkeypatch):
    """Poll and limits go on; nothing waits for an hour."""
    real, offset = time.time, [0]
    monkeypatch.setattr(time, 'time', lambda: real() + offset[0])
    played = play(quiet, {'ready': lambda ws, event: offset.__setitem__(0, -50)}, poll=0.1,
                  ping_rate=0.1, ping_timeout=0.5)
    assert played.names == GOOD + ' unresponsive disconnected'
    assert len(played.all('poll')) >= 4
