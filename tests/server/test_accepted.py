"""AcceptedSession: TLS, the opening handshake and the end of accepted sockets.

The clients of the first part are scripts at the other end of a socket pair, in the same thread;
time is a FakeClock, which advances only when nothing else can happen.  Those of the second part
are real, on loopback.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket
import ssl
import struct
import threading

import pytest
from support import accepted as scripts
from support.accepted import BIG, END, REQUEST, RESET, START_READING, text
from support.accepted import close_clients as close_clients
from support.certificates import server_context
from support.frames import BINARY, CLOSE, KEY, PING, PONG, TEXT, close_frame, frame

from lomond import WebSocket
from lomond._compat import OS_ERRORS, monotonic
from lomond.compression import Deflate
from lomond.driver.sender import Sender
from lomond.errors import SendTimeout, WebSocketClosed, WebSocketUnavailable
from lomond.network.poller import READ
from lomond.opcode import Opcode
from lomond.protocol.handshake import ServerHandshake
from lomond.server.accepted import Acceptance, AcceptedSession


class Client(scripts.Client):
    """A scripted client of a session without a handler."""

    acceptance = None

    def connect(self, ssl_context=None, protocols=(), deflate=None, on_request=None,
                max_message_size=None, handshake=None, outcome=None, initial=b'', **times):
        """Return a session that has the other end."""
        self.acceptance = Noting(protocols, deflate, on_request, max_message_size, handshake,
                                 outcome=outcome, initial=initial)
        session = self.session_class(self.acceptance, self.accept(), ssl_context)
        session.start(**times)
        return session


class Noting(Acceptance):
    """Notes what it is told."""

    def __init__(self, *args, **kwargs):
        super(Noting, self).__init__(*args, **kwargs)
        self.told = []

    def begin(self, session):
        super(Noting, self).begin(session)
        assert self.session is session
        self.told.append('begin')

    def accepted(self, request):
        super(Noting, self).accepted(request)
        self.told.append('accepted')

    def follow(self, event):
        self.told.append('follow')
        return super(Noting, self).follow(event)

    def end(self, session):
        super(Noting, self).end(session)
        self.told.append('end')


def drive(session, handlers=None):
    """Drive a session to its end by its steps.

    :param handlers: functions of the event, by its name
    :returns: the events except Poll
    """
    events, ready = [], ()
    while not session.is_over:
        for event in session.process(ready, session.monotonic()):
            if event.name != 'poll':
                events.append(event)
            if event.name in (handlers or ()):
                handlers[event.name](event)
        if not session.is_over:
            ready = session.wait(session.waits(), session.next_deadline())
    assert (session.waits(), session.next_deadline(), session.stream) == ((), None, None)
    return events


def names(events):
    return ' '.join(event.name for event in events)


def code(number):
    return struct.pack(str('!H'), number)


def close(session, core, number):
    session.send(Opcode.CLOSE, core.close(number))


# -- a whole connection

def test_messages_and_a_close():
    client = Client([(0, REQUEST), (1, text('one') + frame(BINARY, b'two', key=KEY)),
                     (2, frame(PING, b'?', key=KEY)), (3, close_frame(1000, b'bye', key=KEY)), (3.5, END)])
    session = client.connect()
    assert not session.is_connected and session.driver is None
    events = drive(session, {
        'text': lambda event: session.send(Opcode.TEXT, event.text.encode('utf-8')),
        'binary': lambda event: session.queue_message(Opcode.BINARY, event.data)})
    assert names(events) == 'ready text binary ping closing disconnected'
    assert events[0].response.target == '/chat'
    last = events[-1]
    assert (last.reason, last.graceful, last.error, last.code) == ('closed', True, None, 1000)
    assert client.status_and_frames() == (
        b'101', [(TEXT, b'one'), (BINARY, b'two'), (PONG, b'?'), (CLOSE, code(1000) + b'bye')])
    assert client.ended_at == 3.0 and client.clock.elapsed == 3.5
    assert client.acceptance.told == ['begin', 'accepted', 'end']
    assert client.acceptance.request.target == '/chat' and client.acceptance.session is session
    assert session.session_time == 3.5


def test_queued_message_wakes_the_loop_only_for_a_rest():
    client = Client([(0, REQUEST), (2, START_READING), (3, END)], reads=False)
    session = client.connect()
    woken = []

    def queue(event):
        session.wake = lambda: woken.append(1)
        for message, wakes in ((b'small', 0), (BIG, 1), (b'behind it', 2)):
            session.queue_message(Opcode.BINARY, message)
            assert len(woken) == wakes
        del session.wake

    drive(session, {'ready': queue})
    assert [len(payload) for _, payload in client.status_and_frames()[1]] == [5, len(BIG), 9]


def test_request_that_somebody_else_has_read():
    """The first events need no bytes, and more may have come with the request."""
    headers = [line.split(': ') for line in REQUEST.decode('ascii').split('\r\n')[1:] if line]
    outcome = ServerHandshake().from_parts('GET', '/chat', headers)
    client = Client([(1, text('two')), (2, END)])
    session = client.connect(outcome=outcome, initial=text('one'))
    events = drive(session)
    assert names(events) == 'ready text text disconnected' and client.status_and_frames()[0] == b'101'
    assert [event.text for event in events[1:3]] == ['one',
                                                     'two'] and client.acceptance.request.target == '/chat'
    assert client.clock.elapsed == 2.0


def test_what_was_agreed_on():
    offer = b'\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n'
    client = Client([(0, REQUEST.replace(b'\r\n\r\n', offer)), (1, END)])
    ready = drive(client.connect(protocols=['b'], deflate=Deflate()))[0]
    assert (ready.protocol, ready.extensions) == ('b', {'permessage-deflate'})


def test_hooks_hear_of_everything():
    client = Client([(0, REQUEST), (1, frame(PING, b'?', key=KEY)), (2, END)])
    session = client.connect()
    heard = []
    client.acceptance.on_event = lambda event: heard.append(event.name)
    client.acceptance.on_sent = lambda count: heard.append('sent')
    client.acceptance.on_received = lambda count: heard.append('received {}'.format(count))
    client.acceptance.on_reply = lambda opcode, payload: heard.append((opcode, payload[:12]))
    drive(session)
    assert heard == ['received {}'.format(len(REQUEST)), (None, b'HTTP/1.1 101'), 'sent', 'ready',
                     'received 7', (PONG, b'?'), 'sent', 'ping', 'received 0']


def test_sender_over_an_acceptance():
    """The sending half of the client's WebSocket works on an accepted connection, too."""
    class ServerSide(Sender):
        def __init__(self, state):
            self.state = state

    client = Client([(0, REQUEST), (1, close_frame(1000, key=KEY)), (2, END)])
    session = client.connect()
    sender = ServerSide(client.acceptance)
    with pytest.raises(WebSocketUnavailable):
        sender.send_text('early')
    drive(session, {'ready': lambda event: (sender.send_text('one'), sender.send_ping(b'?'),
                                            sender.close(1001, 'bye'))})
    assert client.status_and_frames()[1] == [(TEXT, b'one'), (PING, b'?'), (CLOSE, code(1001) + b'bye')]
    assert sender.is_closed and sender.sent_close_time == 0.0
    with pytest.raises(WebSocketClosed):
        sender.send_text('late')


def test_auto_pong_can_be_off():
    client = Client([(0, REQUEST), (1, frame(PING, b'?', key=KEY)), (2, END)])
    assert names(drive(client.connect(auto_pong=False))) == 'ready ping disconnected'
    assert client.status_and_frames() == (b'101', [])


def test_too_large_a_message():
    client = Client([(0, REQUEST), (1, text('x' * 101)), (2, END)])
    events = drive(client.connect(max_message_size=100))
    assert names(events) == 'ready protocol_error disconnected'
    assert client.status_and_frames()[1][0][1][:2] == code(1009)


# -- the opening handshake in time

@pytest.mark.parametrize('script', [
    [], [(0, REQUEST[:50])], [(second, REQUEST[second:second + 1]) for second in range(20)]])
def test_slow_head(script):
    client = Client(script)
    last, = drive(client.connect(open_timeout=7.0))
    assert client.ended_at == (7.0 if script else None) and client.clock.elapsed == (8.0 if script else 7.0)
    assert client.received == (answer(408, b'Request Timeout') if script else b'')
    assert (last.reason, last.graceful) == ('disconnected; no request within 7.0s (open_timeout)', False)
    assert client.acceptance.told == ['begin', 'end'] and client.acceptance.request is None


def answer(status, words, *lines):
    return b'\r\n'.join((b'HTTP/1.1 %d %s' % (status, words), b'Content-Type: text/plain; charset=utf-8')
                        + lines + (b'Content-Length: %d' % (len(words) + 1), b'Connection: close', b'',
                                   words + b'\n'))


NO_HTTP = "request is not HTTP; it begins with '\\x16\\x03\\x01\\x02\\x00', not with a method and a blank"


@pytest.mark.parametrize('data, status, words, reason', [
    (b'\x16\x03\x01\x02\x00', 400, b'Bad Request', NO_HTTP),
    (b'GET / HTTP/1.1\r\n' + b'x' * 70000, 431, b'Request Header Fields Too Large',
     'header block is above 64 KiB (65536 bytes)')])
@pytest.mark.parametrize('ends', [True, False])
def test_answer_to_what_is_no_request(data, status, words, reason, ends):
    """It is written, TCP ends as after any refusal, and what else comes is read: no reset destroys it."""
    client = Client([(1, data), (1.5, b'x' * 100000)] + [(1.75, END)] * ends)
    error, last = drive(client.connect(handshake=ServerHandshake(asks_all=True)))
    assert (error.name, error.error, error.critical) == ('protocol_error', reason, True)
    assert (last.reason, last.graceful) == ('disconnected; ' + reason, False)
    assert client.received == answer(status, words)
    assert client.ended_at == 1.0 and client.clock.elapsed == (1.75 if ends else 2.0)


@pytest.mark.parametrize('head, elapsed', [(b'', 3.0), (REQUEST[:-1], 3.0), (REQUEST, 4.0)])
def test_refuse(head, elapsed):
    """Of a server that stops or is full; it does nothing to a connection that is open."""
    busy = answer(503, b'Service Unavailable', b'Retry-After: 5')
    client = Client([(0, head)] * bool(head) + [(2, lambda: session.refuse('disconnected; the server stops'))]
                    + [(4, END)] * (head == REQUEST))
    session = client.connect()
    events = drive(session)
    assert client.clock.elapsed == elapsed
    if head == REQUEST:
        assert names(events) == 'ready disconnected' and client.status_and_frames() == (b'101', [])
    else:
        assert (events[0].reason, events[0].graceful) == ('disconnected; the server stops', False)
        assert (client.received, client.ended_at) == (busy, 2.0)


def test_refuse_during_a_read():
    """Another thread does so after the turn has begun, and before the next one."""
    client = Client([(0, REQUEST[:30]), (3, END)])
    session = client.connect()
    client.acceptance.on_received = lambda count: session.refuse('disconnected; the server stops')
    events = drive(session)
    assert events[0].reason == 'disconnected; the server stops' and client.ended_at == 0.0
    assert client.received == answer(503, b'Service Unavailable', b'Retry-After: 5')


def test_refuse_during_tls(certs):
    client = Client([(0, b'\x16'), (2, lambda: session.refuse('disconnected; the server stops'))])
    session = client.connect(ssl_context=server_context(certs.server))
    last, = drive(session)
    assert last.reason == 'disconnected; the server stops' and client.clock.elapsed == 2.0


def test_answer_that_the_client_does_not_take():
    client = Client([(0, REQUEST[:9])], reads=False)
    big = []
    session = client.connect(open_timeout=7.0, send_timeout=5.0)
    client.acceptance.on_received = lambda count: big or big.append(session.write(BIG))
    last, = drive(session)
    assert last.reason.startswith('socket fail; the client did not take the answer within 5.0s')
    assert isinstance(last.error, SendTimeout) and client.clock.elapsed == 12.0


def test_head_without_a_time_limit():
    script = [(second * 100, REQUEST[second:second + 1]) for second in range(len(REQUEST))]
    client = Client(script + [(len(script) * 100, END)])
    assert names(drive(client.connect(open_timeout=0))) == 'ready disconnected'
    assert client.clock.elapsed == len(script) * 100


@pytest.mark.parametrize('script', [
    [], [(second, b'\x16\x03\x01\x02\x00'[second:second + 1]) for second in range(5)]])
def test_slow_tls(certs, script):
    client = Client(script)
    session = client.connect(open_timeout=7.0, ssl_context=server_context(certs.server))
    last, = drive(session)
    assert client.clock.elapsed == 7.0 and not session.is_connected
    assert (last.reason, last.graceful) == (
        'disconnected; no TLS handshake within 7.0s (open_timeout)', False)


class SlowTlsSession(AcceptedSession):
    """Its TLS handshake takes three bytes of the client."""

    def _open_stream(self):
        super(SlowTlsSession, self)._open_stream()
        self._left = 3
        self.stream.is_tls, self.stream.handshake = True, self._shake_hands

    def _shake_hands(self):
        if self.stream.recv_into(memoryview(bytearray(1))):
            self._left -= 1
        if self._left:
            return READ
        self.stream.is_tls = False


def test_tls_and_request_have_one_deadline(monkeypatch):
    monkeypatch.setattr(scripts, 'AcceptedSession', SlowTlsSession)
    client = Client([(2, b'1'), (4, b'2'), (6, b'3')])
    session = client.connect(open_timeout=7.0)
    last, = drive(session)
    assert session.is_connected and client.clock.elapsed == 7.0
    assert last.reason == 'disconnected; no request within 7.0s (open_timeout)'


@pytest.mark.parametrize('step', [b'GET / HTTP/1.1\r\n\r\n', END, RESET])
def test_tls_that_fails(certs, step):
    client = Client([(1, step)])
    last, = drive(client.connect(ssl_context=server_context(certs.server)))
    assert client.clock.elapsed == 1.0
    assert last.reason.startswith('disconnected; ') and isinstance(last.error, OS_ERRORS)
    assert not last.graceful and client.acceptance.told == ['begin', 'end']


def test_tls_that_is_stopped(certs):
    client = Client([(1, lambda: session.force_disconnect())])
    session = client.connect(ssl_context=server_context(certs.server))
    last, = drive(session)
    assert client.clock.elapsed == 1.0
    assert (last.reason, last.error) == ('disconnected; force_disconnect', None)


# -- refusals

def refuse(body=b'no'):
    return lambda request: (503, [('Retry-After', '5')], body)


def test_refusal():
    client = Client([(0, REQUEST), (0.5, END)])
    events = drive(client.connect(on_request=refuse()))
    assert names(events) == 'rejected disconnected'
    assert (events[1].reason, events[1].graceful) == ('closed', True)
    assert client.received.startswith(b'HTTP/1.1 503 ') and client.received.endswith(b'\r\n\r\nno')
    assert client.ended_at == 0 and client.clock.elapsed == 0.5
    assert client.acceptance.told == ['begin', 'follow', 'end']
    assert client.acceptance.request.target == '/chat'


def test_refusal_whose_client_does_not_end_tcp():
    client = Client([(0, REQUEST)])
    assert drive(client.connect(on_request=refuse()))[-1].graceful
    assert client.ended_at == 0 and client.clock.elapsed == 1.0


def test_refusal_that_is_not_taken():
    client = Client([(0, REQUEST)], reads=False)
    events = drive(client.connect(on_request=refuse(BIG), send_timeout=7.0))
    assert names(events) == 'rejected disconnected' and client.clock.elapsed == 7.0
    last = events[1]
    assert last.reason == 'socket fail; the client did not take the answer within 7.0s (send_timeout)'
    assert isinstance(last.error, SendTimeout) and not last.graceful


def test_large_refusal_that_is_taken_late():
    client = Client([(0, REQUEST), (6.5, START_READING), (6.75, END)], reads=False)
    assert drive(client.connect(on_request=refuse(BIG), send_timeout=7.0))[-1].graceful
    assert client.received.endswith(BIG) and client.clock.elapsed == 6.75


def test_large_refusal_of_a_client_that_has_ended_its_direction():
    """Nothing more can come from it, but the answer still can go out."""
    client = Client([(0, REQUEST), (1, START_READING)], reads=False)
    session = client.connect(on_request=refuse(BIG))
    client.play()
    client.sock.shutdown(socket.SHUT_WR)
    events = drive(session)
    client.play()
    assert names(events) == 'rejected disconnected' and events[1].graceful
    assert client.received.endswith(BIG) and client.clock.elapsed == 1.0


def test_refusal_that_is_not_taken_by_a_client_that_sends():
    """There is always something to read: the time limit is judged all the same."""
    client = Client([(0, REQUEST)], reads=False)
    session = client.connect(on_request=refuse(BIG), send_timeout=7.0)

    def flood(count):
        client.clock.advance(0.25)
        assert client.clock.elapsed < 10
        client.sock.sendall(b'more')
    client.acceptance.on_received = flood
    events = drive(session)
    assert names(events) == 'rejected disconnected' and 7.0 <= client.clock.elapsed < 8
    assert isinstance(events[1].error, SendTimeout)


# -- the end of TCP

def test_linger_after_the_echo():
    client = Client([(0, REQUEST), (1, close_frame(1001, key=KEY))])
    session = client.connect()
    lingers = []
    events = drive(session, {'closing': lambda event: lingers.append(session.is_lingering)})
    assert names(events) == 'ready closing disconnected' and events[-1].graceful
    assert client.ended_at == 1.0 and client.clock.elapsed == 2.0
    assert lingers + [session.is_lingering] == [False, True]


def test_linger_after_the_answer_to_our_close():
    client = Client([(0, REQUEST), (1, close_frame(1000, key=KEY)), (1.75, END)])
    session = client.connect()
    events = drive(session, {'ready': lambda event: close(session, client.acceptance.core, 1000)})
    assert names(events) == 'ready closed disconnected' and events[-1].graceful
    assert client.ended_at == 1.0 and client.clock.elapsed == 1.75


def test_what_comes_during_the_linger_does_not_prolong_it():
    client = Client([(0, REQUEST), (1, close_frame(1000, key=KEY))] + [
        (1 + eighths / 8, b'more') for eighths in range(1, 8)])
    assert drive(client.connect())[-1].graceful
    assert client.clock.elapsed == 2.0


def test_close_that_is_not_answered():
    client = Client([(0, REQUEST), (8, text('still here'))])
    session = client.connect(close_timeout=9.0)
    events = drive(session, {'ready': lambda event: close(session, client.acceptance.core, 1001)})
    assert names(events) == 'ready text disconnected' and client.clock.elapsed == 9.0
    last = events[-1]
    assert (last.reason, last.graceful) == (
        "disconnected; the client didn't answer the close frame within 9.0s", False)


# -- clients that go

@pytest.mark.parametrize('begin, expected', [([], 'disconnected'), ([(0, REQUEST)], 'ready disconnected')])
@pytest.mark.parametrize('how', [END, RESET])
def test_client_that_goes(begin, expected, how):
    client = Client(begin + [(5, how)], reads=False)
    events = drive(client.connect())
    assert names(events) == expected and client.clock.elapsed == 5.0
    assert events[-1].reason.startswith('socket fail; ') and not events[-1].graceful


def test_client_that_vanishes():
    """Neither an end of TCP nor a reset says so; only the pong is missing."""
    client = Client([(0, REQUEST), (40, text('last words'))])
    events = drive(client.connect(ping_rate=30.0, ping_timeout=30.0))
    assert names(events) == 'ready text unresponsive disconnected'
    assert events[-1].reason == 'disconnected; exceeded 30.0s ping timeout'
    assert client.clock.elapsed == 70.0         # the message was a sign of life


def test_client_that_breaks_the_protocol():
    client = Client([(0, REQUEST), (1, b'\x81\x00'), (1.25, END)])
    events = drive(client.connect())
    assert names(events) == 'ready protocol_error disconnected'
    assert client.status_and_frames()[1][0][1][:2] == code(1002)
    assert client.ended_at == 1.0 and not events[-1].graceful


# -- the session's own end

@pytest.mark.parametrize('method, reason', [
    ('force_disconnect', 'disconnected; force_disconnect'), ('close', 'closed')])
@pytest.mark.parametrize('script', [[], [(0, REQUEST)]])
def test_stop(method, reason, script):
    client = Client(script + [(2, lambda: getattr(session, method)())])
    session = client.connect()
    last = drive(session)[-1]
    assert (last.reason, last.graceful) == (reason, False) and client.clock.elapsed == 2.0


def test_stop_before_the_beginning():
    client = Client()
    session = client.connect()
    session.force_disconnect()
    assert names(drive(session)) == 'disconnected'


def test_sends_need_an_open_connection():
    client = Client([(0, REQUEST), (1, END)])
    session = client.connect()
    for send in session.send, session.queue_message:
        with pytest.raises(WebSocketUnavailable):
            send(Opcode.TEXT, b'early')
    drive(session)
    for send in session.send, session.queue_message:
        with pytest.raises(WebSocketClosed):
            send(Opcode.TEXT, b'late')
    session.write(b'late')
    session.force_disconnect()


def test_send_that_is_not_taken():
    def send(event):
        with pytest.raises(SendTimeout):
            session.send(Opcode.BINARY, BIG)

    client = Client([(0, REQUEST)], reads=False)
    session = client.connect(send_timeout=7.0)
    last = drive(session, {'ready': send})[-1]
    assert client.clock.elapsed == 7.0 and 'took nothing for 7.0s' in last.reason


@pytest.mark.parametrize('steps', [0, 1, 2])
def test_end_in_the_middle(steps):
    """The socket is closed and nothing is left; doing it again changes nothing."""
    client = Client([(0, REQUEST)])
    session = client.connect()
    client.play()
    iterators = []
    for _ in range(steps):
        iterators.append(session.process((), session.monotonic()))
        next(iterators[-1], None)
    session.end()
    session.end()
    client.play()
    assert session.is_over and client.ended_at == 0
    assert [list(events) for events in iterators] == [[]] * steps
    assert list(session.process((), session.monotonic())) == []
    assert client.acceptance.told[-1:] == ['end']


def test_iterator_that_is_closed_ends_the_connection():
    client = Client([(0, REQUEST)])
    session = client.connect()
    client.play()
    assert list(session.process((), session.monotonic())) == []
    events = session.process((), session.monotonic())
    assert next(events).name == 'ready'
    events.close()
    client.play()
    assert session.is_over and client.ended_at == 0


def test_no_descriptor_for_the_wake_up():
    def waiting():
        raise OSError(errno.EMFILE, 'Too many open files')

    client = Client()
    session = client.connect()
    session.waiting = waiting
    last, = session.process((), session.monotonic())
    assert 'Too many open files' in last.reason and session.is_over
    client.play()
    assert client.ended_at == 0


# -- real clients on loopback

@pytest.fixture
def listener():
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(5)
    listener.settimeout(20)
    yield listener
    listener.close()


class Real(object):
    """A WebSocket in a thread, and the session of its accepted socket in this one."""

    def __init__(self, listener, handlers, certs=None, ca=None, **options):
        scheme = 'ws' if certs is None else 'wss'
        self._websocket = WebSocket('{}://localhost:{}/'.format(scheme, listener.getsockname()[1]),
                                    proxies={}, ssl_cafile=ca)
        self._events = []
        self._handlers = handlers
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        self._thread.start()
        self.acceptance = Acceptance(**options)
        self.session = AcceptedSession(self.acceptance, listener.accept()[0],
                                       None if certs is None else server_context(certs.server))

    def _run(self):
        for event in self._websocket.connect(ping_rate=0):
            if event.name != 'poll':
                self._events.append(event)
            if event.name in self._handlers:
                self._handlers[event.name](self._websocket)

    def drive(self, handlers=None):
        """Return the events of both sides."""
        begun = monotonic()
        found = drive(self.session, handlers)
        self._thread.join(20)
        assert not self._thread.is_alive() and monotonic() - begun < 10
        return found, self._events


@pytest.mark.parametrize('tls', [False, True])
def test_client_closes(listener, certs, tls):
    real = Real(listener, {'ready': lambda websocket: websocket.send_binary(BIG),
                           'binary': lambda websocket: websocket.close(1000, 'bye')},
                *((certs, certs.ca) if tls else ()))
    found, seen = real.drive({'binary': lambda event: real.session.send(Opcode.BINARY, event.data)})
    assert names(found) == 'ready binary closing disconnected' and found[-1].graceful
    assert names(seen) == 'connecting connected ready binary closed disconnected' and seen[-1].graceful
    assert found[1].data == seen[3].data == BIG and found[2].reason == 'bye'


@pytest.mark.parametrize('tls', [False, True])
def test_server_closes(listener, certs, tls):
    real = Real(listener, {}, *((certs, certs.ca) if tls else ()))
    found, seen = real.drive({'ready': lambda event: close(real.session, real.acceptance.core, 1001)})
    assert names(found) == 'ready closed disconnected' and found[-1].graceful
    assert names(seen) == 'connecting connected ready closing disconnected'
    assert seen[-1].graceful and seen[-2].code == 1001


def test_server_refuses(listener):
    real = Real(listener, {}, on_request=refuse(BIG))
    found, seen = real.drive()
    assert names(found) == 'rejected disconnected' and found[-1].graceful
    assert names(seen) == 'connecting connected rejected disconnected'
    assert seen[2].response.status_code == 503


def test_client_drops(listener):
    real = Real(listener, {'ready': lambda websocket: websocket.force_disconnect()})
    found, _ = real.drive()
    assert names(found) == 'ready disconnected'
    assert found[-1].reason.startswith('socket fail; ') and not found[-1].graceful


def test_server_drops(listener):
    real = Real(listener, {})
    found, seen = real.drive({'ready': lambda event: real.session.force_disconnect()})
    assert found[-1].reason == 'disconnected; force_disconnect'
    assert names(seen) == 'connecting connected ready disconnected' and not seen[-1].graceful


def test_client_that_does_not_trust_us(listener, certs):
    real = Real(listener, {}, certs, certs.other_ca)
    found, seen = real.drive()
    assert names(found) == 'disconnected' and isinstance(found[0].error, ssl.SSLError)
    assert names(seen) == 'connecting connect_fail'
