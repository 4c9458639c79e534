# -*- coding: utf-8 -*-
"""Trace records and log lines: what they say, and what they never say."""

from __future__ import absolute_import, division, unicode_literals

import logging
import socket
import sys
import threading
import time

import pytest
from support.certificates import server_context
from support.client import Played, Wait, in_thread, play
from support.frames import BINARY, CLOSE, PING, TEXT, close_frame, frame
from support.interpreters import counted
from support.peer import Server, upgrade
from support.trace_fields import FIELDS

from lomond import WebSocket, errors
from lomond._compat import monotonic, text_type
from lomond.driver.sender import Sender
from lomond.driver.steps import Steps
from lomond.driver.writer import Writer
from lomond.network import resolver
from lomond.network.tls_stream import TlsBase

GOOD = 'connecting connected ready'
DEFLATE = b'Sec-WebSocket-Extensions: permessage-deflate'

class Records(object):
    """A trace callback that keeps what it gets."""

    def __init__(self):
        self.all = []

    def __call__(self, record):
        assert isinstance(record, dict)
        assert set(record) == {'stage', 'url'} | FIELDS[record['stage']]
        self.all.append(record)

    def __getitem__(self, stage):
        return [record for record in self.all if record['stage'] == stage]

    def stages(self):
        """All but those of the socket."""
        return [record['stage'] for record in self.all if not record['stage'].startswith('socket_')]

    def total(self, stage):
        return sum(record['length'] for record in self[stage])


def traced(url, handlers=None, options=None, **settings):
    """``(what was played, Records)``"""
    records = Records()
    return play(url, handlers, dict(options or {}, trace=records), **settings), records


def busy(peer):
    """A script with a message of each kind."""
    peer.accept(DEFLATE, b'Sec-WebSocket-Protocol: chat')
    import zlib
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(b'y' * 10000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    peer.send(frame(TEXT, '\u2603\u2603'.encode('utf-8')) + frame(BINARY, packed[:-4], rsv=4))
    peer.send(frame(PING, b'ping'))
    peer.read_until(PING)
    peer.send(frame(10, b'pong!'))
    peer.answer_close()
    peer.read_end()


def test_records_of_one_connection():
    def ready(ws, event):
        ws.send_text('\u2603' * 100)
        ws.send_text('\u2603', compress=False)
        ws.send_binary(b'x' * 50)
        ws.send_ping(b'abc')
        ws.send_pong(b'')
    played, records = traced(busy, {'ready': ready, 'pong': lambda ws, event: ws.close(4000, 'why')},
                             {'compress': True, 'protocols': ['chat']}, poll=7, close_timeout=3)
    played.ended(GOOD + ' text binary ping pong closed disconnected', 'closed', True, 4000)
    start, = records['connect_start']
    assert records.all[0] is start
    assert (start['poll'], start['ping_rate'], start['ping_timeout'], start['auto_pong'],
            start['close_timeout']) == (
        7, 0, None, True, 3)
    agreed, = records['handshake_ready']
    assert (agreed['protocol'], agreed['extensions']) == ('chat', ['permessage-deflate'])
    assert [(record['length'], record['compressed']) for record in records['send_text']] == [
        (300, True), (3, False)]
    assert [(record['length'], record['compressed']) for record in records['send_binary']] == [(50, True)]
    assert [record['length'] for record in records['send_ping']] == [3]
    assert [record['length'] for record in records['send_pong']] == [0, 4]      # the second is automatic
    assert [record['length'] for record in records['message_text']] == [6]
    assert [record['length'] for record in records['message_binary']] == [10000]
    assert [record['length'] for record in records['message_ping'] + records['message_pong']] == [4, 5]
    closed, = records['message_close']
    assert (closed['code'], closed['reason']) == (4000, 'why')
    requested, = records['close_requested']
    assert (requested['code'], requested['reason']) == (4000, 'why')
    assert records.stages()[-1] == 'disconnected' and len(records['disconnected']) == 1
    assert all(record['url'] == played.events[0].url and isinstance(record['url'], text_type)
               for record in records.all)


def test_automatic_pings_and_pongs_are_traced():
    """As in 0.3.4: a record for each ping and pong that goes out, automatic ones too."""
    def script(peer):
        peer.accept()
        peer.read_until(PING)
        peer.send(frame(PING, b'12345'))
        peer.answer_close()
        peer.read_end()
    played, records = traced(script, {'ping': lambda ws, event: ws.close()}, ping_rate=30)
    played.ended(GOOD + ' ping closed disconnected', 'closed', True, 1000)
    assert [record['length'] for record in records['send_ping']] == [0]
    assert [record['length'] for record in records['send_pong']] == [5]


def test_frames_of_a_close_that_nobody_called_are_traced():
    """As in 0.3.4: close_requested tells of each close frame of ours, once."""
    for data, code in ((close_frame(4000, b'why'), 4000), (frame(CLOSE), None), (frame(3), 1002)):
        _, records = traced(lambda peer, data=data: (peer.accept(), peer.send(data), peer.read_close()))
        assert [record['code'] for record in records['close_requested']] == [code]
        assert records['close_requested'][0]['reason'] == ('opcode 3 is reserved' if code == 1002 else '')


def by_hand(*chunks):
    """``(WebSocket, Records)``: a session of one's own, and what was fed."""
    class Session(object):
        session_time = 1.0

        def __init__(self, websocket):
            self.send = self.write = self.close = self.force_disconnect = lambda *args: None

        def run(self, **settings):
            return iter([])
    records = Records()
    ws = WebSocket('ws://me:secret@example.test/', trace=records, proxies={})
    ws.connect(Session, poll=7, connect_timeout=3)
    for chunk in chunks:
        list(ws.feed(chunk if chunk is not None else upgrade(ws.key)))
    return ws, records


def test_records_of_a_session_of_ones_own():
    """As in 0.3.4: all but what the session itself does, with its sockets."""
    ws, records = by_hand(None, frame(TEXT, b'abc') + frame(PING, b'p'))
    ws.send_text('\xe9')
    ws.send_ping(b'12')
    ws.close(1000, b'bye')
    list(ws.feed(close_frame(1000, b'ok')))
    assert records.stages() == [
        'connect_start', 'handshake_ready', 'message_text', 'send_pong', 'message_ping', 'send_text',
        'send_ping', 'close_requested', 'message_close']
    assert records['close_requested'][0]['reason'] == 'bye'
    assert records['connect_start'][0]['poll'] == 7
    ws.on_disconnect()
    ws.on_disconnect()
    assert records.stages()[-2:] == ['message_close', 'disconnected']


@pytest.mark.parametrize('chunks, stages', [
    ([b'HTTP/1.1 404 Not Found\r\n\r\n'], 'handshake_rejected disconnected'),
    ([None, b''], 'handshake_ready disconnected'),
    ([None, frame(3)], 'handshake_ready close_requested disconnected'),
    ([None, close_frame(1000, b'')], 'handshake_ready message_close close_requested'),
    ([None, close_frame(1000, b''), b''], 'handshake_ready message_close close_requested disconnected'),
    ([b'SSH-2.0'], 'disconnected')])
def test_ends_of_a_session_of_ones_own(chunks, stages):
    ws, records = by_hand(*chunks)
    assert records.stages() == ['connect_start'] + stages.split()
    before = list(records.all)
    ws.force_disconnect()
    assert records.all == before, 'nothing is told inside of it'
    ws.on_disconnect() if len(chunks) == 2 else list(ws.feed(b''))
    assert records.stages().count('disconnected') == 1


def test_close_of_a_session_of_ones_own_tells_later():
    """In the next feed(), once; its frame was handed to the session before."""
    ws, records = by_hand(None)
    ws.close(4000, b'why')
    assert records.stages() == ['connect_start', 'handshake_ready']
    list(ws.feed(frame(TEXT, b'x')))
    assert records.stages()[2:] == ['close_requested', 'message_text']


def test_bytes_of_the_socket():
    """All that was handed to TCP and got from it, also what was read while a send
    waited.
    """
    sizes = []

    def script(peer):
        peer.accept()
        sizes.append(len(peer.upgrade()))
        peer.text('start')
        time.sleep(0.1)
        data = b''.join(frame(BINARY, b'y' * 1000) for _ in range(500))
        peer.send(data)
        time.sleep(0.2)
        peer.skip(300000 + 14)
        peer.send(close_frame(1000))
        peer.read_close()
        sizes.append(len(frame(TEXT, b'start')) + len(data) + 4)
    played, records = traced(
        script, {'text': lambda ws, event: ws.send_binary(b'x' * 300000)},
        {'socket_options': [(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)]}, server=dict(receive_buffer=8192))
    assert len(played.all('binary')) == 500
    assert records.total('socket_recv') == sum(sizes)
    assert records.total('socket_send') == len(played.websocket.build_request()) + 300000 + 14 + 8
    assert all(record['length'] >= 0 for record in records['socket_recv'])
    assert all(record['length'] > 0 for record in records['socket_send'])


def test_tls_wrapped(certs):        # noqa: F811
    with Server(closes, tls=server_context(certs.server)) as server:
        played, records = traced(server.url(), options={'ssl_cafile': certs.ca})
        wrapped, = records['tls_wrapped']
        assert (wrapped['verify'], wrapped['has_context'], wrapped['cafile']) == (True, False, certs.ca)
        played, records = traced(server.url(), options={'ssl_verify': False})
        assert records['tls_wrapped'][0]['verify'] is False
    assert played.last.graceful


def test_rejected():
    _, records = traced(lambda peer: (peer.read_head(), peer.answer(b'403 No'), peer.read_end()))
    rejected, = records['handshake_rejected']
    assert (rejected['status_code'], rejected['reason']) == (403, 'Websocket upgrade failed (code=403)')
    assert records.stages() == ['connect_start', 'handshake_rejected', 'disconnected']


def quiet(peer):
    peer.accept(also=frame(TEXT, b'x'))
    peer.read_end()


def violates(peer):
    peer.accept(also=b'\x83\x00')
    peer.read_close()


def closes(peer):
    peer.accept(also=close_frame(1000))
    peer.read_close()


@pytest.mark.parametrize('script, handlers, settings', [
    (closes, {}, {}), (lambda peer: (peer.accept(), peer.reset()), {}, {}),
    (quiet, {'text': lambda ws, event: ws.force_disconnect()}, {}),
    (quiet, {'text': lambda ws, event: ws.close()}, {'close_timeout': 0.1}),
    (quiet, {'connecting': lambda ws, event: ws.close()}, {}),
    (lambda peer: (peer.read_head(), peer.read_end()), {'connected': lambda ws, event: ws.close()}, {}),
    (quiet, {}, {'ping_rate': 10, 'ping_timeout': 0.1}), (violates, {}, {}),
    (lambda peer: (peer.read_head(), peer.read_end()), {}, {'connect_timeout': 0.1}),
])
def test_disconnected_once(script, handlers, settings):
    """At the end of every session, however it came."""
    _, records = traced(script, handlers, **settings)
    assert len(records['disconnected']) == 1 and records.all[-1]['stage'] == 'disconnected'


@counted
def test_disconnected_of_a_loop_that_is_left():
    with Server(quiet) as server:
        records = Records()
        for event in WebSocket(server.url(), proxies={}, trace=records):
            if event.name == 'text':
                break
        assert len(records['disconnected']) == 1


def test_disconnected_of_a_connect_that_failed():
    _, records = traced('ws://127.0.0.1:1/')
    assert records.stages() == ['connect_start', 'disconnected']


def test_connections_have_records_of_their_own():
    with Server(closes) as server:
        records = Records()
        ws = WebSocket(server.url(), proxies={}, trace=records)
        for number in range(1, 4):
            Played(ws)
            assert len(records['connect_start']) == len(records['disconnected']) == number


def test_callback_that_raises(caplog):
    """It is logged, and changes nothing."""
    def broken(record):
        raise RuntimeError('debugging gone wrong')

    def script(peer):
        peer.accept(also=frame(TEXT, b'x') + frame(PING, b'p') + close_frame(1000))
        peer.read_close()
    with caplog.at_level(logging.WARNING, logger='lomond'):
        play(script, {'text': lambda ws, event: (ws.send_text('y'), ws.send_ping())},
             {'trace': broken}).ended(GOOD + ' text ping closing disconnected', 'closed', True, 1000)
    assert 'debugging gone wrong' in caplog.text


def test_callback_that_calls_back():
    """close() from within the callback, which may hold the write lock."""
    def trace(record):
        if record['stage'] == 'send_text':
            ws.close()
        elif record['stage'] == 'socket_send' and ws.is_closing:
            ws.close()

    with Server(lambda peer: (peer.accept(), peer.answer_close(), peer.read_end())) as server:
        ws = WebSocket(server.url(), proxies={}, trace=trace)
        Played(ws, {'ready': lambda event: ws.send_text('x')}, poll=30).ended(
            GOOD + ' closed disconnected', 'closed', True, 1000)


@pytest.mark.parametrize('stage',
                         ['connect_start', 'socket_send', 'socket_recv', 'handshake_ready', 'message_text'])
def test_callback_that_force_disconnects(stage):
    def trace(record):
        if record['stage'] == stage:
            ws.force_disconnect()

    with Server(quiet, is_strict=False) as server:
        ws = WebSocket(server.url(), proxies={}, trace=trace)
        start = monotonic()
        events = list(ws.connect(poll=30))
    assert monotonic() - start < 1 and events[-1].name == (
        'disconnected' if stage not in ('connect_start', 'socket_send') else 'connect_fail')
    assert 'force_disconnect' in events[-1].reason or 'closed' in events[-1].reason


class Watching(logging.Handler):
    """Trace callback and log handler; ``inside`` says in which methods of ours that hold a lock, or must not
    wait, they were called.
    """

    FORBIDDEN = set(method.__code__ for method in (
        Sender.close, Sender.force_disconnect, Writer.send, Writer.try_flush, TlsBase._locked,
        Steps.close, Steps.force_disconnect, resolver.look_up, resolver.Lookup.leave))

    def __init__(self, then=lambda stage: None):
        super(Watching, self).__init__()
        self.stages, self.inside, self._then = [], set(), then

    def __call__(self, record):
        self.stages.append(record['stage'])
        stack = sys._getframe()
        while stack is not None:
            if stack.f_code in self.FORBIDDEN:
                self.inside.add((record['stage'], stack.f_code.co_name))
            stack = stack.f_back
        self._then(record['stage'])

    def handle(self, record):           # without the lock of logging, which an emit() has
        if isinstance(record.args, tuple):
            self({'stage': record.args[0]})


@pytest.fixture(params=['trace', 'log'])
def watching(request, monkeypatch):
    """Returns the options for a function that is told each stage, and a :class:`Watching`."""
    logger = logging.getLogger('lomond')

    def make(then=lambda stage: None):
        watch = Watching(then)
        if request.param == 'trace':
            return dict(trace=watch), watch
        monkeypatch.setattr(logger, 'handlers', [watch])
        monkeypatch.setattr(logger, 'propagate', False)
        return dict(trace=True), watch
    before = logger.level
    logger.setLevel(logging.DEBUG if request.param == 'log' else logging.WARNING)
    yield make
    logger.setLevel(before)


@pytest.mark.parametrize('end', ['close', 'force_disconnect'])
@pytest.mark.parametrize('is_tls', [False, True])
def test_no_code_of_the_program_under_a_lock(watching, is_tls, end, certs):         # noqa: F811
    """Of writes, of TLS, of look-ups; nor inside of close() and force_disconnect()."""
    def script(peer):
        peer.accept()
        peer.send(frame(PING, b'p') * 3 + frame(BINARY, b'y' * 100000))
        peer.answer_close() if end == 'close' else peer.read_end()

    def send(ws):
        for _ in range(10):
            ws.send_binary(b'x' * 50000)
            ws.send_ping(b'p')
        done.wait()
        getattr(ws, end)()
    options, watch = watching()
    threads, done = [], Wait()
    play(script, {'ready': lambda ws, event: threads.append(in_thread(send, ws)),
                  'ping': lambda ws, event: ws.send_text('handled'), 'binary': lambda ws, event: done.set()},
         dict(options, ssl_cafile=certs.ca), dict(tls=server_context(certs.server) if is_tls else None,
                                                  is_strict=False), threads, ping_rate=0.01)
    assert not watch.inside and watch.stages[-1] == 'disconnected'
    assert set(['socket_send', 'socket_recv', 'send_ping', 'send_pong', 'send_text', 'connect_start']) <= set(
        watch.stages)
    assert [watch.stages.count(stage) for stage in ('disconnected', 'close_requested')] == [1, end == 'close']


def test_callback_that_takes_a_lock_of_the_program(watching):
    """Another thread holds it and sends: both go on."""
    lock, holds, returned, sent = threading.Lock(), threading.Event(), [], []

    def then(stage):
        if stage == 'socket_send' and holds.is_set():
            with lock:
                returned.append(stage)

    def send_locked(ws):
        with lock:
            holds.set()
            time.sleep(0.05)            # the other one is in its callback
            ws.send_text('two')
        sent.append('two')

    def send(ws):
        holds.wait(5)
        ws.send_text('one')
        sent.append('one')
    options, watch = watching(then)
    threads = []
    played = play(
        lambda peer: (peer.accept(), peer.answer_close(), peer.read_end()),
        {'ready': lambda ws, event: threads.extend([in_thread(send, ws), in_thread(send_locked, ws)]),
         'pong': lambda ws, event: len(sent) == 2 and ws.close()},
        options, threads=threads, ping_rate=0.02, send_timeout=2)
    assert played.last.graceful and len(returned) >= 3 and watch.stages.count('send_text') == 2


@pytest.mark.parametrize('action', ['close', 'force_disconnect'])
def test_close_amid_a_callback_that_holds_a_lock(watching, action):
    """As in a signal handler that interrupts a log handler, whose lock is not of the kind that its thread may
    take twice: a queue's, or any of 2.7's.
    """
    lock = threading.Lock()

    def then(stage):
        assert lock.acquire(False), 'the callback is called within itself'
        try:
            if stage == 'message_text':
                getattr(ws, action)()
        finally:
            lock.release()
    options, watch = watching(then)

    def script(peer):
        peer.accept(also=frame(TEXT, b'x'))
        if action == 'close':
            peer.answer_close()
        peer.read_end()
    with Server(script, is_strict=False) as server:
        ws = WebSocket(server.url(), proxies={}, **options)
        played = Played(ws, poll=30)
    assert played.last.graceful == (action == 'close') and watch.stages[-1] == 'disconnected'


def test_callback_that_sends_for_each_record(watching):
    """As a log handler does that sends the log: it has an end."""
    sent = []

    def then(stage):
        try:
            ws.send_text(stage)
            sent.append(stage)
        except errors.WebSocketError:
            pass
    options, watch = watching(then)

    def script(peer):
        peer.accept(also=frame(PING, b'p'))
        peer.answer_close()
        peer.read_end()
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={}, **options)
        Played(ws, {'ping': lambda event: ws.close()}, poll=30).ended(
            GOOD + ' ping closed disconnected', 'closed', True, 1000)
    assert 'send_text' in sent and 5 < len(sent) < 50 and watch.stages[-1] == 'disconnected'


def test_truthy_trace_goes_to_the_logger(caplog):
    with caplog.at_level(logging.DEBUG, logger='lomond'):
        play(closes, options={'trace': True})
    found = [record for record in caplog.records if record.name.split('.')[0] == 'lomond']
    assert found and all(record.levelno == logging.DEBUG for record in found)
    text = ' '.join(record.getMessage() for record in found)
    for stage in ('connect_start', 'socket_send', 'socket_recv', 'handshake_ready', 'message_close',
                  'disconnected'):
        assert stage in text


@pytest.mark.parametrize('trace', [None, False, 0])
def test_one_debug_record_per_connection(caplog, trace):
    with caplog.at_level(logging.DEBUG):
        play(closes, options={'trace': trace})
    found = [record for record in caplog.records if record.name.split('.')[0] == 'lomond']
    assert found and all(record.levelno == logging.DEBUG for record in found)


def test_callback_and_logger(caplog):
    """The callback gets its records when the log is on, too."""
    with caplog.at_level(logging.DEBUG, logger='lomond'):
        _, records = traced(closes)
    assert 'handshake_ready' in records.stages() and caplog.records


def test_nothing_above_debug(caplog):
    """Whatever network or peer do; and no level is set by us."""
    level = logging.getLogger('lomond').level
    with caplog.at_level(logging.DEBUG):
        for script, handlers, settings in [
                (violates, {}, {}), (lambda peer: (peer.accept(), peer.reset()), {}, {}),
                (lambda peer: peer.reset(), {}, {}), (quiet, {}, {'ping_rate': 10, 'ping_timeout': 0.1}),
                (lambda peer: (peer.read_head(), peer.send(b'HTTP/1.1 500 x\r\n\r\n')), {}, {}),
                (lambda peer: (peer.read_head(), peer.send(b'garbage\r\n')), {}, {})]:
            play(script, handlers, **settings)
        play('ws://127.0.0.1:1/')
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert logging.getLogger('lomond').level == level


def test_nobody_listens_nothing_is_made(monkeypatch):
    """No record is built when there is neither a callback nor a log."""
    from lomond.client import trace

    def never(*args, **kwargs):
        raise AssertionError('a record was made')
    monkeypatch.setattr(trace.Observer, 'emit', never)
    before = logging.getLogger('lomond').level
    logging.getLogger('lomond').setLevel(logging.INFO)
    try:
        play(closes).ended(GOOD + ' closing disconnected', 'closed', True, 1000)
    finally:
        logging.getLogger('lomond').setLevel(before)


def test_secrets(caplog):
    """Passwords, userinfo, tokens, cookies and payloads are in no record, line, repr or
    reason.
    """
    secrets = ['hunter2', 'c2VjcmV0', 'T0PS3CR3T', 'p%40ss', 'p@ss']

    def script(peer):
        peer.accept(b'Set-Cookie: session=T0PS3CR3T',
                    also=frame(TEXT, b'T0PS3CR3T') + frame(BINARY, b'T0PS3CR3T'))
        peer.read_until(TEXT)
        peer.send(b'\x83\x00')
        peer.read_close()
    with caplog.at_level(logging.DEBUG):
        with Server(script, script, script) as server:
            url = server.url().replace('://', '://user:p%40ss@')
            records = Records()
            played = play(url, {'text': lambda ws, event: ws.send_text('T0PS3CR3T')}, {
                'trace': records, 'headers': {'Authorization': 'Bearer hunter2', 'Cookie': 'hunter2'},
                'cookies': {'a': 'hunter2'}, 'auth': ('me', 'hunter2')})
        assert played.names == GOOD + ' text binary protocol_error disconnected'
        failed = play('ws://user:p%40ss@127.0.0.1:1/', options={
            'trace': records, 'proxies': {'http': 'http://user:hunter2@127.0.0.1:1'}})
        assert failed.names == 'connecting connect_fail'
    said = ' '.join([repr(records.all), caplog.text, repr(played.websocket), repr(failed.websocket)] + [
        repr(event) for event in played.events + failed.events if event.name not in ('text', 'binary')] + [
        text_type(event.reason) for event in (played.last, failed.last)] + [
        text_type(event.url) for event in played.events + failed.events if hasattr(event, 'url')])
    for secret in secrets:
        assert secret not in said, secret
    assert '***' in repr(played.websocket) and '***' in played.events[0].url


def test_threads_and_trace():
    """Records come from the threads that send, too."""
    stop = Wait()

    def script(peer):
        peer.accept()
        for _ in range(100):
            peer.read_until(TEXT)
        stop.set()
        peer.answer_close()
        peer.read_end()
    threads, done = [], []

    def send(ws):
        for _ in range(50):
            ws.send_text('x')
        done.append(True)
        stop.wait()
        while len(done) < 2:            # records behind the end would not be told
            time.sleep(0.001)
        ws.close()
    _, records = traced(script, {'ready': lambda ws, event: threads.extend(
        [in_thread(send, ws), in_thread(send, ws)])}, threads=threads)
    assert len(records['send_text']) == 100 and len(records['close_requested']) == 1
