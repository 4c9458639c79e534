"""Plain streams over pairs of sockets, and over scripts that raise system errors."""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket
import sys
import threading

import pytest
from support.streams import AGAIN, INTERRUPTED, RESET, FullScript, Script, gives, os_error, view

from lomond.network.poller import READ, WRITE, wait_for
from lomond.network.stream import ObjectStream, PlainStream, retry_pause


def test_plain(pair):
    ours, theirs = pair
    stream = PlainStream(ours)
    assert ours.gettimeout() == 0
    assert stream.fileno() == ours.fileno()
    assert (stream.recv_wants, stream.send_wants) == (READ, WRITE)
    assert not stream.is_tls and not stream.is_buffered
    place = view()
    assert stream.recv_into(place) is None
    theirs.sendall(b'hello')
    assert stream.recv_into(place) == 5
    assert place[:5].tobytes() == b'hello'
    assert stream.send(b'world') == 5
    assert theirs.recv(100) == b'world'
    assert stream.recv(5) is None
    theirs.sendall(b'large')
    assert stream.recv(5) == b'large'
    assert stream.flush()
    theirs.close()
    assert stream.recv_into(place) == 0
    assert stream.recv(5) == b''
    stream.close()
    stream.close()


def test_plain_peer_that_reads_nothing(pair):
    """send() returns None once the buffers are full; Linux knows how much is unsent."""
    stream = PlainStream(pair[0])
    sent = 0
    while True:
        count = stream.send(b'x' * 65536)
        if count is None:
            break
        sent += count
    assert sent > 0
    if sys.platform.startswith('linux'):
        before = stream.unsent()
        assert before > 0
        got = 0
        while stream.unsent() == before and got < sent:     # the kernels acknowledge when they like
            got += len(pair[1].recv(65536))
        assert stream.unsent() < before
    assert stream.recv_into(view()) is None


def test_unsent_is_unknown(monkeypatch):
    assert PlainStream(Script()).unsent() is None
    monkeypatch.setitem(sys.modules, str('fcntl'), None)
    assert PlainStream(Script()).unsent() is None


@pytest.mark.parametrize('steps, expected, calls', [
    ([b'abc'], 3, 1), ([b''], 0, 1), ([AGAIN], None, 1), ([INTERRUPTED, INTERRUPTED, b'ab'], 2, 3),
    ([RESET], RESET, 1)])
def test_what_can_only_recv(steps, expected, calls):
    sock = Script(*steps)
    place = view(10)
    gives(expected, PlainStream(sock).recv_into, place)
    received = steps[-1] if expected in (2, 3) else b''
    assert place.tobytes() == received.ljust(10, b'\0')
    assert sock.calls == [('recv', 10)] * calls


@pytest.mark.parametrize('steps, expected', [
    ([3], 3), ([AGAIN], None), ([INTERRUPTED, 3], 3), ([RESET], RESET)])
def test_errors(steps, expected):
    for method, argument in (('recv_into', view(10)), ('recv', 10), ('send', b'0123456789')):
        sock = FullScript(*steps)
        gives(expected, getattr(PlainStream(sock), method), argument)
        assert sock.calls == [('setblocking', False)] + [(method, 10)] * len(steps)


@pytest.mark.parametrize('step, expected', [
    (3, 3), (0, None), (None, None), (socket.timeout(), None), (AGAIN, None), (RESET, RESET),
    (os_error(errno.ETIMEDOUT), socket.error)])     # that is TCP which has given up
def test_object(step, expected):
    stream = ObjectStream(Script(step))
    gives(expected, stream.send, b'0123456789')
    assert stream.blocked == (expected is None) and stream.send_wants == WRITE


def test_pauses_between_sends_of_an_object(pair, monkeypatch):
    """They grow; a descriptor that always says that one can send is no longer asked."""
    sock = Script(*[AGAIN] * 8 + [5])
    monkeypatch.setattr(sock, 'fileno', pair[0].fileno)
    stream = ObjectStream(sock)
    pauses = []
    for _ in range(4):
        assert stream.send(memoryview(b'12345')) is None
        pauses.append(retry_pause(stream.blocked))
    assert pauses == [0.05, 0.1, 0.2, 0.4] and retry_pause(5) == retry_pause(10 ** 6) == 0.5
    assert stream.send_wants == 0
    assert stream.send(b'12345') == 5 and (stream.send_wants, stream.blocked) == (WRITE, 0)


def test_shutdown(pair):
    stream = PlainStream(pair[0])
    stream.shutdown_write()
    assert pair[1].recv(1) == b''
    pair[1].sendall(b'still')
    assert stream.recv_into(view()) == 5
    stream.shutdown()
    assert stream.recv_into(view()) == 0
    stream.close()
    stream.shutdown()           # EBADF is not raised


def test_shutdown_wakes_another_thread(pair):
    stream = PlainStream(pair[0])
    found = []
    thread = threading.Thread(target=lambda: found.append(wait_for(((stream.fileno(), READ),), 5)))
    thread.start()
    stream.shutdown()
    thread.join()
    assert len(found[0]) == 1


def test_shutdown_of_what_has_none():
    sock = Script(None)
    stream = PlainStream(sock)
    stream.shutdown()
    stream.shutdown_write()
    stream.close()
    assert sock.calls == [('close',)]


def test_shutdown_and_close_that_fail():
    sock = FullScript(os_error(errno.ENOTCONN), RESET)
    stream = PlainStream(sock)
    stream.shutdown()
    stream.close()
    assert sock.calls[1:] == [('shutdown', socket.SHUT_RDWR), ('close',)]
