"""Messages in parts over real sockets: threads that send meanwhile, waits, and ends (loops.md, section 4)."""

from __future__ import absolute_import, division, unicode_literals

import socket
import threading
import time

import pytest
from support.client import SLACK, Wait, in_thread, play
from support.frames import BINARY, CONTINUATION, PING, PONG, TEXT, frame
from support.peer import PATIENCE

from lomond import errors
from lomond._compat import monotonic

pytestmark = pytest.mark.ends

NARROW = {'proxies': {}, 'socket_options': [(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)]}
LATE = 'has sent nothing for 0.3s (send_timeout)'


def messages(frames):
    """Put messages together, and assert that nothing is inside of one but control frames."""
    whole, open_one = [], None
    for fin, _, opcode, _, payload in frames:
        if opcode >= 8:
            continue
        assert (opcode == CONTINUATION) == (open_one is not None), 'a message inside of another one'
        if open_one is None:
            open_one = [opcode, b'']
        open_one[1] += payload
        if fin:
            whole.append(tuple(open_one))
            open_one = None
    assert open_one is None
    return whole


def read_all(peer):
    """A script that reads to the end, after the close frame is answered."""
    peer.accept()
    peer.read_close()
    peer.send(b'\x88\x02\x03\xe8')
    peer.read_end()


@pytest.mark.parametrize('in_loop', [True, False])
def test_eight_threads_send_whole_messages_during_a_stream(in_loop):
    """None is inside of it, and none is lost; those of the loop's thread follow it."""
    frames, parts = [], [b'p' * 20000] * 60
    threads, about_to_send = [], Wait()

    def script(peer):
        read_all(peer)
        frames.extend(peer.frames)

    def send(ws, number):
        about_to_send.set()
        for count in range(10):
            ws.send_text('%d %d' % (number, count))
            ws.send_ping(b'ping')

    def give_parts():
        yield parts[0]
        if not in_loop:
            about_to_send.wait()
            time.sleep(0.02)
        for part in parts[1:]:
            yield part

    def stream(ws):
        ws.send_stream(give_parts())
        if not in_loop:
            for part in b'again', b'and again':
                ws.send_stream([part])

    def ready(ws, event):
        if in_loop:
            stream(ws)
        else:
            threads.append(in_thread(stream, ws))
        threads.extend(in_thread(send, ws, number) for number in range(8))
        for count in range(10):
            ws.send_text('loop %d' % count)
        threads.append(in_thread(lambda: (
            [thread.join() for thread in threads[:8 + (not in_loop)]], ws.close())))
    played = play(script, {'ready': ready}, NARROW, dict(receive_buffer=8192), threads)
    assert played.last.graceful and len(played.all('drained')) == in_loop
    found = messages(frames)
    assert len(found) == 91 + 2 * (not in_loop) and found.count((BINARY, b''.join(parts))) == 1
    for name in list('01234567') + ['loop']:
        assert [payload.decode('ascii') for opcode, payload in found
                if opcode == TEXT and payload.startswith(name.encode('ascii') + b' ')] == [
                    '%s %d' % (name, count) for count in range(10)]
    if in_loop:
        assert found.index((BINARY, b''.join(parts))) < found.index((TEXT, b'loop 0'))


def test_ping_during_an_upload_is_answered_at_once():
    took = []

    def script(peer):
        peer.accept()
        for _ in range(3):
            peer.next_frame()
            peer.send(frame(PING, b'are you there'))
            begun = monotonic()
            peer.read_until(PONG)
            took.append(monotonic() - begun)
        peer.read_until(CONTINUATION)
        while not peer.frames[-1][0] or peer.frames[-1][2] >= 8:
            peer.next_frame()
        peer.end()

    def parts():
        while len(took) < 3:
            yield b'x' * 16384
    played = play(script, {'ready': lambda ws, event: ws.send_stream(parts())}, NARROW,
                  dict(receive_buffer=8192))
    assert played.last.graceful and max(took) < 0.2 and len(played.all('ping')) == 3


def test_iterable_of_another_thread_may_wait():
    """Control frames pass meanwhile; a message of the loop follows; one of a third thread gives up."""
    order, go_on, threads = [], Wait(), []

    def script(peer):
        peer.accept()
        assert peer.read_frame() == (BINARY, b'first')
        peer.send(frame(PING, b'ping') + frame(TEXT, b'go'))
        order.extend(peer.read_frame() for _ in range(5))
        peer.end()

    def parts():
        yield b'first'
        go_on.wait()
        yield b'second'

    def third(ws):
        with pytest.raises(errors.WebSocketError) as caught:
            ws.send_text('third')
        assert LATE in str(caught.value) and not isinstance(caught.value, errors.TransportFail)
        go_on.set()

    def text(ws, event):
        begun = monotonic()
        ws.send_text('from the loop')
        assert monotonic() - begun < 0.2
        ws.send_ping(b'mine')
        threads.append(in_thread(third, ws))
    played = play(script, {'ready': lambda ws, event: threads.append(in_thread(ws.send_stream, parts())),
                           'text': text}, threads=threads, send_timeout=0.3)
    assert played.last.graceful and 'drained' not in played.names
    assert order == [(PONG, b'ping'), (PING, b'mine'), (CONTINUATION, b'second'), (CONTINUATION, b''),
                     (TEXT, b'from the loop')]


class Endless(object):
    """Parts without an end; ``thread`` is the one that has closed it."""

    thread = None

    def __iter__(self):
        while True:
            yield b'x' * 10000

    def close(self):
        self.thread = threading.current_thread()


@pytest.mark.parametrize('end, error', [
    (lambda ws: ws.close(), errors.WebSocketClosing), (None, errors.SendTimeout),
    (lambda ws: ws.force_disconnect(), errors.WebSocketError)])
def test_end_during_a_stream_of_another_thread(end, error):
    """It raises what a send raises, and closes its iterable; who waits behind it raises, too."""
    parts, threads = Endless(), []

    def script(peer):
        peer.accept()
        if end is None:
            peer.server.stopping.wait(PATIENCE)
        else:
            peer.skip(200000)
            peer.text('now')
            peer.wait_gone()

    def send(ws, method, what, error=errors.WebSocketError):
        with pytest.raises(error):
            getattr(ws, method)(what)

    def ready(ws, event):
        threads.append(in_thread(send, ws, 'send_stream', parts, error))
        time.sleep(0.05)
        threads.append(in_thread(send, ws, 'send_text', 'behind'))
    play(script, {'ready': ready, 'text': lambda ws, event: end(ws)}, NARROW, dict(receive_buffer=8192),
         threads, send_timeout=0.3, close_timeout=0.3)
    assert parts.thread is threads[0]


@pytest.mark.parametrize('wrong', ['text', ValueError('mine')])
def test_parts_of_another_thread_that_fail(wrong):
    """The exception comes out of send_stream, and the connection fails with 1011."""
    threads, codes = [], []

    def parts():
        yield b'first'
        if isinstance(wrong, Exception):
            raise wrong
        yield wrong

    def send(ws):
        with pytest.raises(ValueError if isinstance(wrong, Exception) else TypeError):
            ws.send_stream(parts())
        with pytest.raises(errors.WebSocketUnavailable):
            ws.send_text('too late')

    def script(peer):
        peer.accept()
        codes.append(peer.read_close(1011))
        assert [item[2] for item in peer.frames] == [BINARY, 8]
        peer.read_end()
    played = play(script, {'ready': lambda ws, event: threads.append(in_thread(send, ws))}, threads=threads)
    played.ended('connecting connected ready disconnected',
                 'disconnected; a message that is sent in parts cannot be finished')
    assert played.elapsed < 0.5 + SLACK and codes


def test_iterable_that_sends():
    """In another thread it would wait for itself; in the loop's thread, its message follows."""
    threads, found = [], []

    def parts(ws, in_loop):
        yield b'first'
        if in_loop:
            ws.send_text('inner')
        else:
            for send in lambda: ws.send_text('inner'), lambda: ws.send_stream([b'inner']):
                with pytest.raises(errors.WebSocketError):
                    send()
        yield b'second'

    def script(peer):
        read_all(peer)
        found.extend(messages(peer.frames))

    def ready(ws, event):
        threads.append(in_thread(ws.send_stream, parts(ws, False)))
        threads[0].join()
        ws.send_stream(parts(ws, True))
    play(script, {'ready': ready, 'drained': lambda ws, event: ws.close()}, threads=threads)
    assert found == [(BINARY, b'firstsecond')] * 2 + [(TEXT, b'inner')]
