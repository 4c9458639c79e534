# -*- coding: utf-8 -*-
"""What events come in which case, how a connection ends, and what the server sees of
it.

Names, proxies and certificates that fail are in ``test_dialing``, ``test_proxies`` and
``test_tls``.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

import pytest
from support.addresses import dead_address
from support.certificates import server_context
from support.client import SLACK, Played, Wait, bare, in_thread, play
from support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, close_payload, frame
from support.interpreters import counted
from support.peer import PATIENCE, Gone, Server

from lomond import WebSocket, errors
from lomond._compat import OS_ERRORS, monotonic
from lomond.auth import DigestAuth
from lomond.driver import deadlines, lifecycle
from lomond.session import WebsocketSession

LOST = 'socket fail; connection lost'
GOOD = 'connecting connected ready'


# -- the closing handshake

@pytest.mark.parametrize('args, code, reason', [
    ((1000, b'bye'), 1000, 'bye'),
    ((1001,), 1001, ''),
    ((4999, '\u2603'.encode('utf-8')), 4999, '\u2603'),
    ((1012, b'restart'), 1012, 'restart'),
    ((), None, ''),
])
def test_server_closes(args, code, reason):
    def script(peer):
        peer.accept()
        peer.text('last words')
        peer.close_code(*args)
        assert peer.read_frame() == (TEXT, b'still')
        assert peer.read_frame() == (PONG, b'too')
        opcode, payload = peer.read_frame()
        assert opcode == CLOSE
        assert payload == (close_payload(code) if code else b'')
        time.sleep(0.05)
        assert select.select([peer.sock], [], [], 0)[0] == [], 'the client ended TCP first'
        peer.drop()
        assert len(peer.frames) == 3

    def closing(ws, event):
        assert (event.code, event.reason) == (code, reason)
        assert ws.sent_close_time is None
        ws.send_text('still')
        ws.send_pong(b'too')
    played = play(script, {'closing': closing})
    played.ended(GOOD + ' text closing disconnected', 'closed', True, code)
    assert played.elapsed < 1
    assert played.websocket.sent_close_time >= 0


def test_server_closes_and_close_is_called_in_the_handler():
    """The server's code is echoed, whatever close() says; once."""
    def script(peer):
        peer.accept()
        peer.close_code(1001, b'away')
        assert peer.read_close() == close_payload(1001)
        peer.drop()
        assert peer.opcodes() == [CLOSE]

    def closing(ws, event):
        ws.close(4000, 'mine')
        assert ws.is_closing
        with pytest.raises(errors.WebSocketClosing):
            ws.send_text('late')
        ws.close()
    play(script, {'closing': closing}).ended(GOOD + ' closing disconnected', 'closed', True, 1001)


def test_client_closes():
    def script(peer):
        peer.accept()
        assert peer.read_close(4001, b'enough') == close_payload(4001, b'enough')
        for number in range(3):
            peer.text('between %d' % number)
        peer.send(frame(PING, b'answer me'))
        assert peer.read_frame() == (PONG, b'answer me')
        peer.close_code(4001, b'enough')
        start = monotonic()
        assert peer.read_end() == 'fin'
        assert monotonic() - start < 0.5, 'TCP is closed at once'
        assert peer.opcodes() == [CLOSE, PONG]

    def ready(ws, event):
        ws.close(4001, 'enough')
        assert ws.is_closing and not ws.is_active
    played = play(script, {'ready': ready})
    played.ended(GOOD + ' text text text ping closed disconnected', 'closed', True, 4001)
    closed = played.one('closed')
    assert (closed.code, closed.reason) == (4001, 'enough')
    assert played.elapsed < 1


@pytest.mark.parametrize('args, sent, answer, crosses', [
    ((), (1000, b'goodbye'), (1000, b'goodbye'), False),
    ((), (1000, b'goodbye'), (1001, b'other'), False),
    ((), (1000, b'goodbye'), (), False),
    ((None,), (), (), False),
    ((1000, 'mine'), (1000, b'mine'), (1001, b'away'), True),
])
def test_client_closes_and_any_close_frame_answers(args, sent, answer, crosses):
    """Also one that was sent at the same time; it is not echoed."""
    def script(peer):
        peer.accept(also=close_frame(*answer) if crosses else b'')
        assert peer.read_close() == (close_payload(*sent) if sent else b'')
        if not crosses:
            peer.close_code(*answer)
        assert peer.read_end() == 'fin'
        assert peer.opcodes() == [CLOSE]
    played = play(script, {'ready': lambda ws, event: ws.close(*args)})
    code = answer[0] if answer else None
    played.ended(GOOD + ' closed disconnected', 'closed', True, code)
    assert played.one('closed').code == code


def test_close_by_another_thread_is_noticed_at_once():
    done, threads = [], []

    def script(peer):
        peer.accept()
        peer.answer_close()
        done.append(monotonic())
        assert peer.read_end() == 'fin'

    def closer(ws):
        time.sleep(0.1)
        done.append(monotonic())
        ws.close()
    played = play(script, {'ready': lambda ws, event: threads.append(in_thread(closer, ws))},
                  threads=threads, poll=30)
    played.ended(GOOD + ' closed disconnected', 'closed', True, 1000)
    assert done[1] - done[0] < 0.5 and played.elapsed < 1


@pytest.mark.parametrize('end', ['drop', 'reset', 'stray bytes, drop', 'stray frames, reset'])
@pytest.mark.parametrize('who', ['server closes', 'client closes'])
def test_anything_after_both_close_frames(end, who):
    def script(peer):
        peer.accept()
        if who == 'server closes':
            peer.end(1000, b'bye')
        else:
            peer.answer_close()
        try:
            if 'bytes' in end:
                peer.send(b'\xff\xff\xff stray')
            elif 'frames' in end:
                peer.send(frame(TEXT, b'stray') + frame(PING, b'stray') + close_frame(1002))
        except Gone:
            return                              # the client was faster
        time.sleep(0.02)
        getattr(peer, end.split()[-1])()
    played = play(script, {'ready': lambda ws, event: who == 'client closes' and ws.close()})
    between = 'closing' if who == 'server closes' else 'closed'
    played.ended(GOOD + ' %s disconnected' % between, 'closed', True, 1000)


@pytest.mark.parametrize('end', ['drop', 'reset', 'finish'])
def test_server_closes_and_is_gone(end):
    """Our echo cannot be written, or the server does not read it: still a clean end."""
    gone = Wait()

    def script(peer):
        peer.accept()
        peer.text('x')
        peer.close_code(1011, b'crash')
        if end == 'reset':
            time.sleep(0.05)        # what it has not read yet the reset would take from the client
        getattr(peer, end)()
        gone.set()
        if end == 'finish':
            peer.read_close(1011)
            assert peer.read_end() == 'fin'

    def closing(ws, event):
        gone.wait()
        time.sleep(0.05)
        try:
            for _ in range(3):
                ws.send_text('into the void')
                time.sleep(0.02)
        except errors.TransportFail:
            pass
    played = play(script, {'closing': closing})
    played.ended(GOOD + ' text closing disconnected', 'closed', True, 1011)


def test_server_closes_and_its_echo_is_forced_away():
    def script(peer):
        peer.accept()
        peer.close_code(1000)
        peer.read_end()
        assert peer.opcodes() == []
    play(script, {'closing': lambda ws, event: ws.force_disconnect()}).ended(
        GOOD + ' closing disconnected', 'disconnected; force_disconnect', False, 1000)


@pytest.mark.parametrize('data', [b'', frame(TEXT, b'late'), close_frame(1000)[:3]])
def test_dropped_after_our_close(data):
    """Unanswered: a close frame alone is not a closing handshake."""
    def script(peer):
        peer.accept()
        peer.read_close(1000, b'goodbye')
        peer.send(data)
        peer.finish()
        peer.read_end()
    play(script, {'ready': lambda ws, event: ws.close()}).ended(
        GOOD + (' text' if data == frame(TEXT, b'late') else '') + ' disconnected', LOST)


@pytest.mark.parametrize('name', ['closed', 'rejected'])
def test_force_disconnect_in_the_last_handler(name):
    """Disconnected is not graceful then, though all was said."""
    def script(peer):
        if name == 'rejected':
            peer.read_head()
            peer.send(b'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n')
        else:
            peer.accept()
            peer.answer_close()
        peer.read_end()
    played = play(script, {'ready': lambda ws, event: ws.close(),
                               name: lambda ws, event: ws.force_disconnect()})
    assert played.names.endswith(name + ' disconnected')
    assert (bare(played.last.reason), played.last.graceful) == ('disconnected; force_disconnect', False)


def test_no_answer_to_close():
    def script(peer):
        peer.accept()
        peer.read_close(1000, b'goodbye')
        assert peer.read_end() == 'fin'
    played = play(script, {'ready': lambda ws, event: ws.close()}, close_timeout=0.3)
    played.ended(GOOD + ' disconnected',
                 "disconnected; server didn't respond to close packet within 0.3s")
    assert 0.3 <= played.elapsed < 0.3 + SLACK


def test_no_answer_to_close_under_a_stream_of_messages():
    def script(peer):
        peer.accept()
        data = frame(BINARY, b'x' * 1000) * 60
        end = monotonic() + 5
        with pytest.raises(Gone):
            while monotonic() < end:
                peer.send(data)
    # Slower than the peer, so that there is always something to read.
    handlers = {'ready': lambda ws, event: ws.close(), 'binary': lambda ws, event: time.sleep(0.001)}
    played = play(script, handlers, close_timeout=0.3)
    assert played.last.reason == "disconnected; server didn't respond to close packet within 0.3s"
    assert 0.3 <= played.elapsed < 0.3 + SLACK and len(played.all('binary')) > 10


def test_tcp_left_open_after_our_echo():
    def script(peer):
        peer.accept()
        peer.end(1000, b'bye')
        start = monotonic()
        assert peer.read_end() == 'fin'
        assert 0.25 < monotonic() - start < 0.3 + SLACK
    played = play(script, close_timeout=0.3, poll=0.1)
    played.ended(GOOD + ' closing disconnected', 'closed', True, 1000)
    names = [event.name for event in played.events]
    assert 'poll' in names[names.index('closing'):]


@pytest.mark.parametrize('end, reason', [('drop', LOST), ('reset', None)])
def test_dropped_instead_of_an_answer(end, reason):
    def script(peer):
        peer.accept()
        peer.read_close(1000)
        getattr(peer, end)()
    played = play(script, {'ready': lambda ws, event: ws.close()})
    assert played.names == GOOD + ' disconnected'
    assert not played.last.graceful and played.last.code is None
    assert played.last.reason.startswith('socket fail; ')
    assert played.last.reason == (reason or played.last.reason)


@pytest.mark.parametrize('how', ['unwrap', 'cut', 'reset'])
@pytest.mark.parametrize('closes', [True, False])
def test_ends_of_tls(certs, how, closes):       # noqa: F811
    """With or without close_notify; after both close frames it is not a failure."""
    def script(peer):
        peer.accept()
        peer.text('x')
        if closes:
            peer.end()
        time.sleep(0.05)
        if how == 'unwrap':
            peer.sock.settimeout(1)
            try:
                peer.sock.unwrap()
            except OS_ERRORS:               # the client sends no close_notify of its own
                pass
        elif how == 'reset':
            peer.reset()
        else:
            peer.cut()
    played = play(script, options={'ssl_cafile': certs.ca}, server=dict(tls=server_context(certs.server)))
    if closes:
        played.ended(GOOD + ' text closing disconnected', 'closed', True, 1000)
    else:
        assert played.names == GOOD + ' text disconnected'
        assert not played.last.graceful
        reset = 'socket fail; ' + os.strerror(errno.ECONNRESET)
        assert played.last.reason == (reset if how == 'reset' else LOST)
    assert played.elapsed < 2


# -- before Ready

def test_refused():
    listener = socket.socket()
    listener.bind((str('127.0.0.1'), 0))
    port = listener.getsockname()[1]
    listener.close()
    played = play('ws://127.0.0.1:%d/' % port)
    assert played.names == 'connecting connect_fail'
    assert played.last.reason == 'unable to connect; 127.0.0.1:%d connection refused' % port
    assert (played.last.stage, type(played.last.error).__name__) in [
        ('connect', 'ConnectionRefusedError'), ('connect', 'error')]


@pytest.mark.parametrize('action', ['close', 'force_disconnect', 'on_disconnect', '__exit__'])
def test_close_at_connecting(action):
    accepted = []
    played = play(accepted.append, {'connecting': lambda ws, event: getattr(ws, action)()})
    assert played.names == 'connecting connect_fail'
    assert played.last.reason.startswith('unable to connect; ') and 'closed' in played.last.reason
    assert not accepted


@pytest.mark.parametrize('action, reason', [
    ('close', 'closed'), ('__exit__', 'closed'), ('on_disconnect', 'closed'),
    ('force_disconnect', 'disconnected; force_disconnect')])
def test_close_at_connected(action, reason):
    def script(peer):
        peer.read_head()
        peer.read_end()
        assert peer.frames == []
    played = play(script, {'connected': lambda ws, event: getattr(ws, action)()})
    played.ended('connecting connected disconnected', reason)
    assert played.elapsed < 1


def test_close_by_another_thread_while_connecting():
    """Before the answer to the request; the loop wakes up."""
    asked, threads = Wait(), []

    def script(peer):
        peer.read_head()
        asked.set()
        peer.read_end()
        assert peer.frames == []
    played = play(script, {'connecting': lambda ws, event: threads.append(in_thread(
        lambda: (asked.wait(), time.sleep(0.1), ws.close())))}, threads=threads, poll=30)
    played.ended('connecting connected disconnected', 'closed')
    assert played.elapsed < 1


@pytest.mark.parametrize('action', ['close', 'force_disconnect'])
def test_close_by_another_thread_while_tcp_connects(action):
    threads = []
    with dead_address() as address:
        played = play('ws://%s:%d/' % address, {'connecting': lambda ws, event: threads.append(in_thread(
            lambda: (time.sleep(0.2), getattr(ws, action)())))}, threads=threads, connect_timeout=5)
    assert played.names == 'connecting connect_fail'
    assert 'closed' in played.last.reason and played.elapsed < 1


def test_tcp_times_out():
    with dead_address() as address:
        played = play('ws://%s:%d/' % address, connect_timeout=0.3)
    assert played.names == 'connecting connect_fail' and played.last.stage == 'connect'
    assert 'timed out' in played.last.reason and 'connect' in played.last.reason
    assert 0.3 <= played.elapsed < 0.3 + SLACK


def silent(peer):
    peer.read_head()
    peer.read_end()


def dribble(peer):
    """One byte after the other, never an end."""
    peer.read_head()
    try:
        peer.trickle(peer.upgrade(b'X-Fill: ' + b'x' * 1000), 0.02)
    except Gone:
        pass


@pytest.mark.parametrize('script', [silent, dribble])
def test_upgrade_times_out(script):
    played = play(script, connect_timeout=0.4)
    played.ended('connecting connected disconnected', 'disconnected; upgrade timed out after 0.4s')
    assert 0.4 <= played.elapsed < 0.4 + SLACK


@pytest.mark.parametrize('none', [None, 0])
def test_no_limit_for_connecting(none):
    def script(peer):
        peer.read_head()
        time.sleep(0.2)
        peer.send(peer.upgrade() + close_frame(1000))
        peer.read_close()
    play(script, connect_timeout=none).ended(GOOD + ' closing disconnected', 'closed', True, 1000)


HINT = b'HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n'


@pytest.mark.parametrize('before', [HINT, HINT * 16])
@pytest.mark.parametrize('pause', [0, 0.05])
def test_informational_answers_before_the_final_one(before, pause):
    def upgraded(peer):
        peer.read_head()
        peer.send(before)
        time.sleep(pause)
        peer.agree()
        peer.text('hello')
        peer.end()
    play(upgraded).ended(GOOD + ' text closing disconnected', 'closed', True, 1000)

    def refused(peer):
        peer.read_head()
        peer.send(before[:-3])
        time.sleep(pause)
        peer.send(before[-3:] + b'HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy')
        peer.read_end()
    played = play(refused).ended('connecting connected rejected disconnected', 'closed', True)
    response = played.one('rejected').response
    assert (response.status_code, response.get('retry-after'), response.body) == (503, '7', b'busy')


@pytest.mark.parametrize('end, data', [
    ('drop', b''), ('drop', b'HTTP/1.1 101 Swit'), ('drop', b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n'),
    ('drop', HINT), ('finish', HINT * 16), ('drop', HINT + b'HTTP/'),
    ('finish', b''), ('reset', b''), ('reset', b'HTTP/1.1 101 Swit'),
])
def test_drop_in_the_answer(end, data):
    def script(peer):
        peer.read_head()
        peer.send(data)
        time.sleep(0.05)
        getattr(peer, end)()
        if end == 'finish':
            assert peer.read_end() == 'fin'
    played = play(script)
    assert played.names == 'connecting connected disconnected'
    assert not played.last.graceful
    said = bare(played.last.reason)
    assert said != played.last.reason               # the address
    assert said == LOST if end != 'reset' else said.startswith('socket fail; ')
    assert played.elapsed < 1


def test_request_cannot_be_sent():
    """The connection breaks while the request goes out."""
    class Session(WebsocketSession):
        def _connect(self):
            ours, theirs = socket.socketpair()
            theirs.close()
            return ours, None
    played = play('ws://example.test/', session_class=Session)
    assert played.names == 'connecting connect_fail'
    assert played.last.reason.startswith('request failed; ') and played.last.stage == 'upgrade'


def test_request_that_nobody_takes():
    """A long request, and a peer that reads nothing."""
    kept = []

    class Session(WebsocketSession):
        def _connect(self):
            ours, theirs = socket.socketpair()
            kept.append(theirs)
            return ours, None
    played = play('ws://example.test/', options={'headers': {'X-Long': 'x' * 3000000}},
                  session_class=Session, connect_timeout=0.3)
    kept[0].close()
    assert played.names == 'connecting connect_fail'
    assert played.last.reason == 'request failed; upgrade timed out after 0.3s'
    assert played.elapsed < 0.3 + SLACK


#: For a request that the kernel does not take as a whole.
LONG = {'headers': {'X-Long': 'x' * 60000}, 'socket_options': [(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)]}


def play_long(how, answer, end):
    def script(peer):
        peer.recv(2048)
        peer.send(answer)
        if end:
            getattr(peer, end)()
        peer.server.stopping.wait(PATIENCE)
    server = dict(how[0], receive_buffer=4096, is_strict=False)
    return play(script, options=dict(how[1], **LONG), server=server)


@pytest.mark.parametrize('end', ['drop', 'finish', 'reset', 'wait_gone', None])
@pytest.mark.parametrize('answer', [
    b'HTTP/1.1 431 Too Large\r\nContent-Length: 9\r\n\r\ntoo large',
    HINT + b'HTTP/1.0 431 Too Large\r\n\r\ntoo large'])
def test_answer_before_the_request_is_sent(how, end, answer, monkeypatch):
    """It is told, whatever becomes of the request (RFC 9112, 9.5)."""
    monkeypatch.setattr(lifecycle, 'BODY_WAIT', 0.2)
    played = play_long(how, answer, end)
    played.ended('connecting connected rejected disconnected', 'closed', True)
    response = played.one('rejected').response
    assert (response.status_code, response.body) == (431, b'too large')
    assert played.elapsed < 1


@pytest.mark.parametrize('answer, names, reason', [
    (b'', 'connecting connect_fail', 'request failed; '),
    (HINT, 'connecting connected disconnected', 'socket fail; '),
    (b'HTTP/1.1 4', 'connecting connected disconnected', 'socket fail; '),
    (b'SSH-2.0-x\r\n', 'connecting connected protocol_error disconnected', 'disconnected; response is not')])
@pytest.mark.parametrize('end', ['drop', 'finish', 'reset'])
def test_no_answer_before_the_request_is_sent(how, answer, names, reason, end):
    played = play_long(how, answer, end)
    assert played.names == names
    assert played.last.reason.startswith(reason)
    assert played.elapsed < 1


def test_challenge_before_the_request_is_sent():
    def script(peer):
        peer.recv(2048)
        peer.send(b'HTTP/1.1 401 x\r\nWWW-Authenticate: Digest realm="x", nonce="n", qop="auth"\r\n\r\n')
        peer.wait_gone()

    def second(peer):
        peer.accept()
        peer.end()
    played = play([script, second], options=dict(LONG, auth=DigestAuth('me', 'pw')),
                  server={'receive_buffer': 4096, 'is_strict': False})
    played.ended(GOOD + ' closing disconnected', 'closed', True, 1000)


def test_request_that_cannot_be_made():
    class Broken(WebSocket):
        def build_request(self):
            raise KeyError('no token')
    accepted = []
    with Server(accepted.append) as server:
        played = Played(Broken(server.url(), proxies={}))
    assert played.names == 'connecting connect_fail'
    assert played.last.reason.startswith('request failed; ') and 'no token' in played.last.reason
    assert isinstance(played.last.error, KeyError)


# -- rejections

NOT_FOUND = b'HTTP/1.1 404 Not Found\r\n'


@pytest.mark.parametrize('answer, body', [
    (NOT_FOUND + b'Content-Length: 4\r\n\r\nlost', b'lost'),
    (NOT_FOUND + b'Content-Length: 0\r\n\r\n', b''),
    (NOT_FOUND + b'Content-Length: 4\r\n\r\nlost and more', b'lost'),
    (NOT_FOUND + b'Transfer-Encoding: chunked\r\n\r\n2\r\nlo\r\n2;x=y\r\nst\r\n0\r\n\r\n', b'lost'),
    (NOT_FOUND + b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', b''),
    (NOT_FOUND + b'Content-Encoding: deflate\r\nContent-Length: 6\r\n\r\n\xcb\xc9/.\x01\x00', b'lost'),
    (NOT_FOUND + b'Content-Length: 70000\r\n\r\n' + b'x' * 65536, b'x' * 65536),
    (NOT_FOUND + b'\r\n' + b'x' * 65537, b'x' * 65536),
    (NOT_FOUND + b'Transfer-Encoding: chunked\r\n\r\n30000\r\n' + b'x' * 65600, b'x' * 65536),
    (b'HTTP/1.1 204 No Content\r\n\r\n', b''),
])
@pytest.mark.parametrize('cut', [False, True])
def test_rejected_with_a_body(answer, body, cut):
    """It is handed out once the body is whole, though TCP stays open."""
    def script(peer):
        peer.read_head()
        if cut:
            head, rest = answer.split(b'\r\n\r\n', 1)
            peer.send(head + b'\r\n\r\n')
            for at in range(0, len(rest), max(len(rest) // 3, 1)):
                time.sleep(0.02)
                try:
                    peer.send(rest[at:at + max(len(rest) // 3, 1)])
                except Gone:
                    return
        else:
            peer.send(answer)
        peer.read_end()
    played = play(script)
    played.ended('connecting connected rejected disconnected', 'closed', True)
    rejected = played.one('rejected')
    code = rejected.response.status_code
    assert rejected.reason == 'Websocket upgrade failed (code=%d)' % code
    assert rejected.response.body == body
    assert played.elapsed < 0.9


@pytest.mark.parametrize('end', ['drop', 'finish', 'reset'])
def test_rejected_body_until_the_end(end):
    def script(peer):
        peer.read_head()
        peer.send(NOT_FOUND + b'\r\nuntil ')
        time.sleep(0.05)
        peer.send(b'the end')
        time.sleep(0.1 if end == 'reset' else 0)
        getattr(peer, end)()
        if end == 'finish':
            peer.read_end()
    played = play(script)
    played.ended('connecting connected rejected disconnected', 'closed', True)
    assert played.one('rejected').response.body == b'until the end'
    assert played.elapsed < 0.9


@pytest.mark.parametrize('rest', [b'Content-Length: 100\r\n\r\npart', b'\r\npart',
                                  b'Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n'])
@pytest.mark.parametrize('wait, connect_timeout', [(0.2, 30), (3.0, 0.4)])
def test_rejected_body_that_does_not_end(rest, wait, connect_timeout, monkeypatch):
    """It is waited for until its own limit or connect_timeout, whichever comes first.
    """
    monkeypatch.setattr(lifecycle, 'BODY_WAIT', wait)
    played = play(lambda peer: (peer.read_head(), peer.send(NOT_FOUND + rest), peer.read_end()),
                  connect_timeout=connect_timeout)
    played.ended('connecting connected rejected disconnected', 'closed', True)
    assert played.one('rejected').response.body == b'part'
    limit = min(wait, connect_timeout)
    assert limit <= played.elapsed < limit + SLACK


def test_rejected_body_that_dribbles():
    """The second is not begun anew with each byte."""
    def script(peer):
        peer.read_head()
        peer.send(NOT_FOUND + b'\r\n')
        try:
            while True:
                peer.send(b'x')
                time.sleep(0.05)
        except Gone:
            pass
    played = play(script)
    played.ended('connecting connected rejected disconnected', 'closed', True)
    assert played.one('rejected').response.body.startswith(b'xxxxx')
    assert 0.9 <= played.elapsed < 1 + SLACK


def test_close_while_the_body_is_waited_for():
    answered, threads = Wait(), []

    def script(peer):
        peer.read_head()
        peer.send(NOT_FOUND + b'\r\npart')
        time.sleep(0.1)
        answered.set()
        peer.read_end()
    played = play(script, {'connecting': lambda ws, event: threads.append(in_thread(
        lambda: (answered.wait(), ws.force_disconnect())))}, threads=threads)
    played.ended('connecting connected disconnected', 'disconnected; force_disconnect')
    assert played.elapsed < 0.9


GOOD_HEAD = [b'HTTP/1.1 101 Switching Protocols', b'Upgrade: websocket', b'Connection: Upgrade',
             b'Sec-WebSocket-Accept: %ACCEPT%']


def answer_of(peer, lines):
    accept = peer.upgrade().split(b'Sec-WebSocket-Accept: ')[1][:28]
    if lines[0] != GOOD_HEAD[0]:
        lines = lines + [b'Content-Length: 0']
    return b'\r\n'.join(line.replace(b'%ACCEPT%', accept).replace(b'%accept%', accept.swapcase())
                        for line in lines) + b'\r\n\r\n'


def changed(at, *lines):
    return GOOD_HEAD[:at] + list(lines) + GOOD_HEAD[at + 1:]


UPGRADE_FAILED = 'Websocket upgrade failed (code=%s)'


@pytest.mark.parametrize('lines, reason', [
    (changed(0, b'HTTP/1.1 200 OK'), UPGRADE_FAILED % 200),
    (changed(0, b'HTTP/1.1 502 Bad Gateway'), UPGRADE_FAILED % 502),
    (changed(0, b'HTTP/1.0 101 Switching Protocols'), None),
    (changed(0, b'HTTP/1.1 0101 Switching Protocols'), None),
    (changed(0, b'HTTP/1.1 +101 Switching Protocols'), None),
    (changed(1, b'Upgrade: h2c'), "Can't upgrade to h2c"),
    (changed(1), "Can't upgrade to <header missing>"),
    (changed(2, b'Connection: close'), None),
    (changed(2), None),
    (changed(3), 'No Sec-WebSocket-Accept header'),
    (changed(3, b'Sec-WebSocket-Accept: bm8='), 'Sec-WebSocket-Accept challenge failed'),
    (changed(3, b'Sec-WebSocket-Accept: %accept%'), 'Sec-WebSocket-Accept challenge failed'),
    (GOOD_HEAD + [b'Sec-WebSocket-Protocol: other'], None),
    (GOOD_HEAD + [b'Sec-WebSocket-Extensions: permessage-deflate'], None),
    (GOOD_HEAD + [b'Sec-WebSocket-Extensions: x-unknown'], None),
])
def test_rejected(lines, reason):
    def script(peer):
        peer.read_head()
        peer.send(answer_of(peer, lines))
        assert peer.read_end() == 'fin'
        assert peer.frames == []
    played = play(script, {'rejected': cannot_send}, {'protocols': ['mine']})
    played.ended('connecting connected rejected disconnected', 'closed', True)
    assert played.one('rejected').reason == (reason or played.one('rejected').reason)
    assert played.elapsed < 2


def cannot_send(ws, event):
    with pytest.raises(errors.WebSocketClosed):
        ws.send_text('x')
    ws.close()


@pytest.mark.parametrize('extension', [
    b'permessage-deflate; foo', b'permessage-deflate, permessage-deflate', b'x-other',
    b'permessage-deflate; server_max_window_bits=7', b'permessage-deflate; server_no_context_takeover=1',
    b'permessage-deflate; client_no_context_takeover; client_no_context_takeover',
])
def test_rejected_extension(extension):
    def script(peer):
        peer.accept(b'Sec-WebSocket-Extensions: ' + extension)
        assert peer.read_end() == 'fin'
    play(script, options={'compress': True}).ended(
        'connecting connected rejected disconnected', 'closed', True)


def test_connected_by_odd_but_good_answers():
    def script(peer):
        peer.read_head()
        accept = peer.upgrade().split(b'Sec-WebSocket-Accept: ')[1]
        peer.send(b'HTTP/1.1 101\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\n'
                  b'X-Fill: ' + b'x' * 30000 + b'\r\nsec-websocket-accept:' + accept)
        peer.end()
    play(script).ended(GOOD + ' closing disconnected', 'closed', True, 1000)


# -- no HTTP

@pytest.mark.parametrize('data', [
    b'SSH-2.0-OpenSSH_9.6\r\n', b'\x15\x03\x01\x00\x02\x02\x46', b'\x81\x05hello', b'\x00', HINT * 17,
    HINT + b'HTTP/1.1 101 Switching Protocols\r\n' + b'X-Fill: ' + b'x' * 65500,
    b'HTTP/1.1 101 Switching Protocols\r\n' + b'X-Fill: ' + b'x' * 70000,
    b'HTTP/1.1 101 Switching Protocols\r\n' + b'X-Fill: y\r\n' * 7000,
])
def test_no_http(data):
    def script(peer):
        peer.read_head()
        peer.send(data)
        peer.read_end(SLACK)
        assert peer.frames == []
    played = play(script, connect_timeout=20)
    assert played.names == 'connecting connected protocol_error disconnected'
    problem = played.one('protocol_error')
    assert problem.critical is True
    assert bare(played.last.reason) == 'disconnected; ' + problem.error != played.last.reason
    assert ('the server speaks TLS; use wss' in problem.error) == (data[:1] == b'\x15')
    assert not played.last.graceful
    assert played.elapsed < SLACK


# -- the stream breaks

@pytest.mark.parametrize('data', [
    b'', frame(TEXT, b'x' * 10)[:5], frame(BINARY, b'x' * 100000)[:70000],
    frame(TEXT, b'half', fin=False), close_frame(1000, b'cut')[:4],
])
@pytest.mark.parametrize('end', ['drop', 'finish'])
def test_dropped(data, end):
    def script(peer):
        peer.accept()
        peer.text('whole')
        peer.send(data)
        getattr(peer, end)()
        if end == 'finish':
            peer.read_end()
            assert peer.opcodes() == []
    play(script).ended(GOOD + ' text disconnected', LOST)


def test_reset():
    received = Wait()

    def script(peer):
        peer.accept()
        peer.text('whole')
        received.wait()
        peer.reset()
    played = play(script, {'text': lambda ws, event: received.set()})
    assert played.names == GOOD + ' text disconnected'
    assert played.last.reason.startswith('socket fail; ') and played.last.reason != LOST
    assert isinstance(played.last.error, OS_ERRORS) and not played.last.graceful


def test_socket_closed_by_a_handler(how):
    """The connection ends all the same (2.7 would wait forever, or raise)."""
    server_options, options = how
    played = play(lambda peer: (peer.accept(), peer.text('x'), peer.read_end()),
                  {'text': lambda ws, event: ws.session._sock.close()}, options, server_options, poll=30)
    played.ended(GOOD + ' text disconnected', 'socket fail; ' + os.strerror(errno.EBADF))
    assert played.elapsed < SLACK


def test_reset_that_a_send_meets_first():
    """The kernel tells of it once; the loop's read sees an end of the stream behind it.
    """
    gone = Wait()

    def send(ws, event):
        gone.wait()
        with pytest.raises(errors.TransportFail) as caught:
            for _ in range(100):        # until the reset is here
                ws.send_text('x')
                time.sleep(0.01)
        assert caught.value.error.errno == errno.ECONNRESET
    played = play(lambda peer: (peer.accept(), peer.reset(), gone.set()), {'ready': send})
    assert played.names == GOOD + ' disconnected'
    assert played.last.reason == 'socket fail; ' + os.strerror(errno.ECONNRESET)


@pytest.mark.parametrize('close', [False, True])
def test_reset_behind_messages(close):
    """What the kernel still has is delivered; a close frame among it counts (Linux
    keeps it).
    """
    gone = Wait()

    def script(peer):
        peer.accept()
        time.sleep(0.05)
        for number in range(50):
            peer.text('message %d' % number)
        if close:
            peer.close_code(1001, b'kill')
        time.sleep(0.1)             # a reset destroys what the server's kernel still has
        peer.reset()
        gone.set()
    # The client does not read before the reset is there.
    played = play(script, {'ready': lambda ws, event: (gone.wait(), time.sleep(0.05))})
    texts = [event.text for event in played.all('text')]
    if sys.platform.startswith('linux'):
        assert texts == ['message %d' % number for number in range(50)]
    assert texts == ['message %d' % number for number in range(len(texts))]
    if close:
        assert played.names.endswith(' text closing disconnected')
        assert (played.last.reason, played.last.graceful, played.last.code) == ('closed', True, 1001)
    else:
        assert played.last.reason.startswith('socket fail; ') and not played.last.graceful


# -- violations

VIOLATIONS = [
    (b'\x83\x00', 1002), (b'\xc1\x00', 1002), (b'\x81\x80abcd', 1002), (b'\x80\x00', 1002),
    (b'\x09\x00', 1002), (frame(PING, b'x' * 126), 1002), (frame(CLOSE, b'\x03'), 1002),
    (close_frame(1005), 1002), (frame(TEXT, b'a', fin=False) + frame(TEXT, b'b'), 1002),
    (frame(BINARY, b'x', length=2000, form=16), 1009), (frame(BINARY, b'', length=2 ** 62, form=64), 1009),
    (frame(BINARY, b'x' * 600, fin=False) + frame(CONTINUATION, b'x' * 600), 1009),
    (frame(TEXT, b'\xff\xfe'), 1007), (frame(TEXT, b'\xed\xa0\x80'), 1007),
    (close_frame(1000, b'\xff'), 1007),
]


@pytest.mark.parametrize('data, code', VIOLATIONS)
def test_violation(data, code):
    """The event, then the close frame where the server can read it, then the end of
    TCP.
    """
    seen = []

    def script(peer):
        peer.accept()
        peer.text('good')
        peer.send(frame(PING, b'p') + data + frame(TEXT, b'too late'))
        assert peer.read_frame() == (TEXT, b'answer to good')
        assert peer.read_frame() == (PONG, b'p')
        payload = peer.read_close(code)
        assert peer.read_end() == 'fin'
        seen.append(payload[2:].decode('utf-8'))
        peer.drop()

    def violated(ws, event):
        with pytest.raises(errors.WebSocketClosing):
            ws.send_text('x')
        ws.close()
    played = play(script, {'text': lambda ws, event: ws.send_text('answer to ' + event.text),
                           'protocol_error': violated}, {'max_message_size': 1000})
    problem = played.one('protocol_error')
    played.ended(GOOD + ' text ping protocol_error disconnected', 'disconnected; ' + problem.error)
    assert problem.critical is (code == 1007)
    assert seen == [problem.error[:123]]
    assert played.elapsed < 0.5 + SLACK


def test_violation_in_a_flood(how):
    """Unread input would make the kernel send a reset, which can destroy the close
    frame.
    """
    server_options, options = how
    codes = []

    def script(peer):
        peer.accept()
        peer.send(frame(TEXT, b'good') + b'\x83\x00')
        flood = frame(BINARY, b'x' * 50000)
        try:
            for _ in range(10):
                peer.send(flood)
        except Gone:
            raise AssertionError('the flood was not discarded')
        codes.append(peer.read_close()[:2])
        start = monotonic()
        peer.read_end()
        assert monotonic() - start < 0.5 + SLACK
    played = play(script, options=options, server=server_options)
    assert played.names == GOOD + ' text protocol_error disconnected'
    assert codes == [struct.pack(str('!H'), 1002)]


def test_violation_ends_our_side_at_once(monkeypatch):
    """The peer need not wait for the end of what is discarded."""
    monkeypatch.setattr(deadlines, 'DISCARD_WAIT', 6.0)
    waited = []

    def script(peer):
        peer.accept()
        peer.send(b'\x83\x00')
        peer.read_close()
        start = monotonic()
        assert peer.read_end() == 'fin'
        waited.append(monotonic() - start)
    assert play(script).names == GOOD + ' protocol_error disconnected'
    assert waited[0] < 3.0


def test_violation_and_a_peer_that_goes_on():
    """The socket is closed 0.5 s after the close frame, whatever comes in."""
    def script(peer):
        peer.accept()
        data = b'\x83\x00' + frame(BINARY, b'x' * 50000)
        start = monotonic()
        with pytest.raises(Gone):
            while monotonic() - start < 5:
                peer.send(data)
        assert monotonic() - start < 0.5 + SLACK
    played = play(script)
    assert played.names == GOOD + ' protocol_error disconnected'
    assert 0.4 < played.elapsed < 0.5 + SLACK


def test_violation_and_a_peer_that_says_nothing():
    def script(peer):
        peer.accept()
        peer.send(b'\x83\x00')
        peer.read_close(1002)
        start = monotonic()
        assert peer.read_end() == 'fin'             # our direction is ended at once ...
        assert monotonic() - start < 0.3
        time.sleep(0.6)
        with pytest.raises(Gone):                   # ... and the socket closed 0.5 s later
            for _ in range(20):
                peer.send(b'x')
                time.sleep(0.02)
    played = play(script)
    assert 0.4 < played.elapsed < 0.5 + SLACK
    assert played.names == GOOD + ' protocol_error disconnected'


def test_violation_and_a_peer_that_reads_nothing():
    """The close frame cannot even be written; the end comes all the same."""
    sent = Wait()

    def script(peer):
        peer.accept()
        sent.wait()
        time.sleep(0.2)
        peer.send(b'\x83\x00')
        peer.server.stopping.wait(PATIENCE)
    def stuff(ws):
        with pytest.raises(errors.WebSocketError):
            while True:
                ws.send_binary(b'x' * 100000)
        return monotonic()

    def ready(ws, event):
        threads.append(in_thread(stuff, ws))
        sent.set()
    threads = []
    played = play(script, {'ready': ready}, server=dict(receive_buffer=4096), threads=threads,
                  send_timeout=30)
    assert played.names == GOOD + ' protocol_error disconnected'
    assert played.elapsed < 0.2 + 0.5 + SLACK
    assert threads[0].result - played.over < 1


def test_violation_while_a_send_waits(monkeypatch):
    """Our direction ends behind the close frame, which is written behind the message of
    the sender.
    """
    monkeypatch.setattr(deadlines, 'DISCARD_WAIT', 6.0)
    threads, sending = [], Wait()

    def script(peer):
        peer.accept()
        sending.wait()
        time.sleep(0.2)
        peer.send(b'\x83\x00')
        time.sleep(0.3)                 # the client has read it, and cannot write yet
        peer.skip(3000014)
        peer.read_close(1002)
        assert peer.read_end() == 'fin'

    def ready(ws, event):
        threads.append(in_thread(ws.send_binary, b'x' * 3000000))
        sending.set()
    options = {'socket_options': [(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)]}
    played = play(script, {'ready': ready}, options, dict(receive_buffer=8192), threads)
    assert played.names == GOOD + ' protocol_error disconnected'


def test_messages_before_a_violation_in_a_fragment():
    """UTF-8 fails at the first bad byte, though the frame is not complete."""
    def script(peer):
        peer.accept()
        peer.send(frame(TEXT, b'good') + frame(TEXT, b'abc\xff', length=1000))
        peer.read_close(1007)
        peer.read_end()
    played = play(script)
    assert played.names == GOOD + ' text protocol_error disconnected'
    assert played.elapsed < 0.5 + SLACK


# -- unresponsive

def test_unresponsive():
    codes = []

    def script(peer):
        peer.accept()
        codes.append(peer.read_close()[:2])
        peer.read_end()

    def unresponsive(ws, event):
        assert event.reason == 'exceeded 0.3s ping timeout'
        with pytest.raises(errors.WebSocketClosing):
            ws.send_text('x')
    played = play(script, {'unresponsive': unresponsive}, ping_rate=0.1, ping_timeout=0.3)
    played.ended(GOOD + ' unresponsive disconnected', 'disconnected; exceeded 0.3s ping timeout')
    assert 0.3 <= played.elapsed < 0.3 + SLACK
    assert codes == [struct.pack(str('!H'), 1001)]


# -- the loop is left

class Leave(Exception):
    """Raised in the body of a loop."""


def look_for(at, iterator):
    for event in iterator:
        if event.name == at:
            return
    raise AssertionError('there was no ' + at)


def leave_by_break(ws, at, **settings):
    look_for(at, ws.connect(**settings))


def leave_by_exception(ws, at, **settings):
    with pytest.raises(Leave):
        for event in ws.connect(**settings):
            if event.name == at:
                raise Leave()


def leave_by_with(ws, at, **settings):
    kept.append(ws.connect(**settings))     # its reference does not keep the socket open
    with ws:
        look_for(at, kept[-1])


def leave_by_close(ws, at, **settings):
    kept.append(ws.connect(**settings))
    look_for(at, kept[-1])
    kept[-1].close()
    assert next(kept[-1], None) is None


def leave_by_throw(ws, at, **settings):
    iterator = ws.connect(**settings)
    look_for(at, iterator)
    with pytest.raises(KeyboardInterrupt):
        iterator.throw(KeyboardInterrupt())
    assert next(iterator, None) is None


kept = []
#: The close frame that the server sees if the loop is left at an event.
GOODBYES = {'connected': [], 'rejected': [], 'closing': [close_payload(1012)], 'closed': [b'\x03\xe8goodbye'],
            'protocol_error': [close_payload(1002, b'opcode 3 is reserved')]}


@pytest.mark.parametrize('leave', [pytest.param(leave_by_break, marks=counted),
                                   pytest.param(leave_by_exception, marks=counted),
                                   leave_by_with, leave_by_close, leave_by_throw])
@pytest.mark.parametrize('at', ['connecting', 'connected', 'ready', 'text', 'poll', 'closing', 'closed',
                                'protocol_error', 'rejected'])
def test_loop_is_left(leave, at):
    left, ended = Wait(), []

    def script(peer):
        if at == 'rejected':
            peer.read_head()
            peer.send(b'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n')
        elif at == 'connected':
            peer.read_head()
        else:
            peer.accept()
            if at == 'closing':
                peer.close_code(1012, b'restart')
            elif at == 'protocol_error':
                peer.send(b'\x83\x00')
            elif at == 'closed':
                peer.answer_close()
            else:
                peer.text('x')
        left.wait()
        start = monotonic()
        peer.read_end()
        assert monotonic() - start < 0.6
        ended.append([item[4] for item in peer.frames if item[2] == CLOSE])

    with Server(script) as server:
        ws = Closes(server.url(), proxies={}) if at == 'closed' else WebSocket(server.url(), proxies={})
        leave(ws, at, poll=0.02, ping_rate=0)
        left.set()
        if at != 'connecting':
            deadline = monotonic() + 3
            while not ended and monotonic() < deadline:
                time.sleep(0.005)
            assert ended == [GOODBYES.get(at, [close_payload(1001)])]
            assert (ws.sent_close_time is None) == (ended == [[]])
        if leave is not leave_by_with or at != 'connecting':
            assert not ws.is_active and ws.is_closed
            assert ws.session._sock is None or leave is leave_by_with
        with pytest.raises(errors.WebSocketClosed):
            ws.send_text('x')
        del kept[:]
        if at == 'connecting':
            assert server.peers == []


class Closes(WebSocket):
    """Calls close() as soon as it is Ready."""

    def connect(self, **settings):
        with contextlib.closing(super(Closes, self).connect(**settings)) as events:
            for event in events:
                if event.name == 'ready':
                    self.close()
                yield event


def test_loop_is_left_before_it_began():
    """A generator that was never started is closed: nothing runs, the next connect()
    works.
    """
    def script(peer):
        peer.accept(also=close_frame(1000))
        peer.read_close()
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={})
        iterator = ws.connect()
        iterator.close()
        del iterator
        Played(ws).ended(GOOD + ' closing disconnected', 'closed', True, 1000)


@counted
def test_loop_is_left_and_begun_again():
    def script(peer):
        peer.accept(also=frame(TEXT, b'x'))
        peer.read_end()
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={})
        for _ in range(5):
            for event in ws:
                if event.name == 'text':
                    break
            assert ws.is_closed


def test_interrupt_while_it_waits():
    """Ctrl-C in the wait: KeyboardInterrupt comes out of next(), and the socket is
    closed.
    """
    def interrupt(number, stack):
        raise KeyboardInterrupt()
    gone = []

    def script(peer):
        peer.accept()
        peer.read_end()
        gone.append((monotonic(), peer.opcodes()))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for at in ('ready', 'connected', 'poll'):
            del gone[:]
            with Server(script if at != 'connected' else lambda peer: (
                    peer.read_head(), peer.read_end(),
                gone.append((monotonic(), peer.opcodes())))) as server:
                ws = WebSocket(server.url(), proxies={})
                with pytest.raises(KeyboardInterrupt):
                    for event in ws.connect(poll=0.5, ping_rate=0):
                        if event.name == at:
                            signal.setitimer(signal.ITIMER_REAL, 0.1)
                start = monotonic()
                assert ws.is_closed and ws.session._sock is None
                server.join()
                assert gone[0][0] - start < 0.6 and gone[0][1] == [CLOSE] * (at != 'connected')
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_bug_in_an_observer_of_ours_propagates():
    """An exception inside the loop that is not a network failure comes out,
    socket closed.
    """
    class Broken(WebSocket):
        def on_response(self, response):
            raise ZeroDivisionError('a bug')

    def script(peer):
        peer.accept()
        assert peer.read_end() == 'fin'
    with Server(script) as server:
        ws = Broken(server.url(), proxies={})
        with pytest.raises(ZeroDivisionError):
            for _ in ws.connect():
                pass
        assert ws.is_closed and ws.session._sock is None
        server.join()


@pytest.mark.parametrize('method', ['_clean_up', '_finish'])
def test_second_clean_up(method):
    """It changes nothing, neither of the connection that is over nor of the next one.
    """
    stages = []
    with Server(lambda peer: (peer.accept(), peer.end())) as server:
        ws = WebSocket(server.url(), proxies={}, trace=lambda record: stages.append(record['stage']))
        for number in range(1, 3):
            before = ws.session
            Played(ws, {'ready': lambda event, before=before: before and getattr(before, method)()}).ended(
                GOOD + ' closing disconnected', 'closed', True, 1000)
            getattr(ws.session, method)()
            assert stages.count('disconnected') == number


# -- order

def test_messages_in_the_packet_of_the_answer():
    def script(peer):
        peer.accept(also=b''.join(frame(TEXT, b'%d' % number) for number in range(20)) + close_frame(1000))
        peer.read_close()
    played = play(script)
    played.ended(GOOD + ' text' * 20 + ' closing disconnected', 'closed', True, 1000)
    assert [event.text for event in played.all('text')] == [str(number) for number in range(20)]
    names = [event.name for event in played.events]
    assert names[3] == 'poll', 'the first Poll comes right after Ready'


def test_answers_are_written_before_the_close():
    """All of it comes in one read; the handler's answers go out before pongs and echo
    that follow.
    """
    def script(peer):
        peer.accept(also=frame(TEXT, b'1') + frame(PING, b'2') + frame(TEXT, b'3') + close_frame(1000, b'4') +
                    frame(TEXT, b'dropped') + frame(PING, b'dropped') + b'\x83\x00')
        assert [peer.read_frame() for _ in range(4)] == [
            (TEXT, b'1'), (PONG, b'2'), (TEXT, b'3'), (CLOSE, close_payload(1000))]
        time.sleep(0.05)
        peer.drop()
    play(script, {'text': lambda ws, event: ws.send_text(event.text)}).ended(
        GOOD + ' text ping text closing disconnected', 'closed', True, 1000)


def test_pong_is_written_before_its_event():
    heard = Wait()

    def script(peer):
        peer.accept(also=frame(PING, b'p'))
        assert peer.read_frame() == (PONG, b'p')
        heard.set()
        peer.end()
    play(script, {'ping': lambda ws, event: heard.wait()}).ended(
        GOOD + ' ping closing disconnected', 'closed', True, 1000)


def test_no_pong_without_auto_pong():
    def script(peer):
        peer.accept(also=frame(PING, b'p'))
        assert peer.read_frame() == (PONG, b'by hand')
        peer.end()
    play(script, {'ping': lambda ws, event: ws.send_pong(b'by hand')}, auto_pong=False).ended(
        GOOD + ' ping closing disconnected', 'closed', True, 1000)


def test_echo_is_written_after_closing_was_handled():
    def script(peer):
        peer.accept(also=close_frame(1000))
        start = monotonic()
        peer.read_close()
        assert monotonic() - start >= 0.15
    play(script, {'closing': lambda ws, event: time.sleep(0.2)}).ended(
        GOOD + ' closing disconnected', 'closed', True, 1000)


def test_close_in_a_handler_with_more_in_the_same_read():
    """Messages behind it are still delivered, until the answer; nothing is sent twice.
    """
    def script(peer):
        peer.accept(also=frame(TEXT, b'1') + frame(TEXT, b'2') + frame(TEXT, b'3'))
        assert peer.read_close() == close_payload(1000, b'goodbye')
        peer.text('4')
        peer.close_code(1000, b'goodbye')
        peer.read_end()
        assert peer.opcodes() == [CLOSE]
    play(script, {'text': lambda ws, event: ws.close()}).ended(
        GOOD + ' text text text text closed disconnected', 'closed', True, 1000)


def test_force_disconnect_drops_what_is_in_hand():
    """Frames of the same read that were not handed out yet are dropped."""
    def script(peer):
        peer.accept(also=frame(TEXT, b'1') + frame(TEXT, b'2') + close_frame(1000))
        peer.read_end()
        assert peer.opcodes() == []
    played = play(script, {'text': lambda ws, event: ws.force_disconnect()})
    assert played.last.reason == 'disconnected; force_disconnect' and not played.last.graceful
    assert len(played.all('text')) <= 2


def test_everything_is_delivered_before_an_end(how):
    server_options, options = how

    def script(peer):
        peer.accept()
        for number in range(300):
            peer.send(frame(BINARY, struct.pack(str('!I'), number) * 1000))
        peer.close_code(1001, b'done')
        peer.finish() if not server_options else None
        peer.read_close()
    played = play(script, options=options, server=server_options)
    assert [struct.unpack(str('!I'), event.data[:4])[0] for event in played.all('binary')] == list(range(300))
    assert (played.last.reason, played.last.graceful, played.last.code) == ('closed', True, 1001)


@counted
def test_nothing_is_left_behind():
    """A loop left in a thread that has ended; the collector is not needed."""
    def script(peer):
        peer.accept(also=frame(TEXT, b'x'))
        peer.read_end()
    gc.disable()
    try:
        with Server(script) as server:
            ws = WebSocket(server.url(), proxies={})

            def loop():
                for event in ws:
                    if event.name == 'text':
                        return
            in_thread(loop).join()
            server.join()
            assert ws.is_closed and threading.active_count() < 20
    finally:
        gc.enable()
