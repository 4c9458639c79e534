"""ServerWebSocket: its events, receive(), its end, what a handler may do and raise."""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.accepted import BIG, END, REQUEST, RESET, START_READING, Client, ask, logged, text
from support.accepted import close_clients as close_clients
from support.client import in_thread
from support.errors import raises
from support.frames import BINARY, CLOSE, KEY, PING, PONG, TEXT, close_frame, close_payload, frame

from lomond._compat import OS_ERRORS, native_octets, would_block
from lomond.errors import (
    ReceiveTimeout,
    SendTimeout,
    WebSocketClosed,
    WebSocketClosing,
    WebSocketUnavailable,
)
from lomond.server import ServerWebSocket

BYE = close_frame(1000, b'bye', key=KEY)


def names(events):
    return ' '.join(event.name for event in events)


def collect(events, then=None):
    """Return a handler that collects its events."""
    def handler(websocket):
        for event in websocket:
            events.append(event)
            if then is not None:
                then(websocket, event)
        assert list(websocket) == [] and websocket.receive() is None
    return handler


# -- events and attributes

def test_events_and_answers():
    def answer(websocket, event):
        if event.name == 'text':
            websocket.send_text(event.text)
    events = []
    client = Client([(0, REQUEST), (1, text('one')), (2, frame(BINARY, b'two', key=KEY)),
                     (3, frame(PING, b'?', key=KEY)), (4, frame(PONG, key=KEY)), (5, BYE), (5.5, END)])
    client.serve(collect(events, answer))
    assert names(events) == 'text binary ping pong closing disconnected'
    last = events[-1]
    assert (last.reason, last.graceful, last.code) == ('closed', True, 1000)
    assert client.status_and_frames() == (
        b'101', [(TEXT, b'one'), (PONG, b'?'), (CLOSE, close_payload(1000, b'bye'))])
    assert client.ended_at == 5.0 and client.clock.elapsed == 5.5      # FIN first, then the client's


def test_cork_ends_before_the_handler_waits():
    """A handler that waits for an answer in its block has sent the question."""
    def handler(websocket):
        with websocket.cork():
            websocket.send_text('one')
            websocket.send_text('two')
            assert websocket.queued == 6
            assert websocket.receive().text == 'answer' and websocket.queued == 0
            websocket.send_text('three')
    client = Client([(0, REQUEST), (1, text('answer')), (3, BYE), (3.5, END)])
    client.serve(handler)
    assert [payload for _, payload in client.status_and_frames()[1]][:3] == [b'one', b'two', b'three']


def test_attributes():
    def handler(websocket):
        assert iter(websocket) is websocket and isinstance(websocket, ServerWebSocket)
        assert websocket.is_active and not websocket.is_secure
        assert not (websocket.is_closing or websocket.is_closed)
        assert websocket.request.path == '/a%20b' and websocket.request.query == 'c=d'
        assert websocket.request.context == {} and websocket.request.get('host') == 'x'
        assert websocket.address == ('192.0.2.1', 4711) and websocket.environ is None
        assert websocket.protocol == 'v2' and websocket.extensions == {'permessage-deflate'}
        assert websocket.supports_compression and websocket.latency is None
        assert websocket.session is not None and websocket.sent_close_time is None
        assert repr(websocket) == "<ServerWebSocket '/a%20b?c=d' OPEN>"
        websocket.send_json(a=1)
        assert websocket.queued == 0
        seen.append(websocket)
    seen = []
    offer = (b'Sec-WebSocket-Protocol: v3, v2, v1', b'Sec-WebSocket-Extensions: permessage-deflate')
    client = Client([(0, ask(*offer, target=b'/a%20b?c=d')), (1, BYE), (1, END)])
    client.serve(handler, protocols=['v1', 'v2'], compress=True)
    websocket, = seen
    assert websocket.is_closed and websocket.sent_close_time == 0.0
    with pytest.raises(WebSocketClosed):
        websocket.send_text('late')
    websocket.close()
    websocket.force_disconnect()


def test_no_poll_and_no_early_ping():
    """The first ping is sent after ping_rate: some clients take none amid a message."""
    client = Client([(0, REQUEST), (29.5, BYE), (29.5, END)])
    events = []
    client.serve(collect(events))
    assert names(events) == 'closing disconnected'
    assert [opcode for opcode, _ in client.status_and_frames()[1]] == [CLOSE]
    client = Client([(0, REQUEST), (30, frame(PONG, key=KEY)), (30.5, BYE), (30.5, END)])
    client.serve()
    assert [opcode for opcode, _ in client.status_and_frames()[1]] == [PING, CLOSE]


def test_poll_to_send_at():
    client = Client([(0, REQUEST), (3.5, BYE), (3.5, END)])
    client.serve(lambda websocket: [websocket.send_text('tick') for event in websocket
                                    if event.name == 'poll'], poll=1.0)
    assert client.status_and_frames()[1] == [(TEXT, b'tick')] * 4 + [(CLOSE, close_payload(1000, b'bye'))]


def test_handler_may_go_on_in_another_loop():
    seen = []

    def handler(websocket):
        for event in websocket:
            if event.name == 'text':
                seen.append('log-in ' + event.text)
                break
        seen.append(websocket.receive().text)
        for event in websocket:
            seen.append(event.name)
    client = Client([(0, REQUEST + text('me') + text('one') + text('two') + BYE), (0, END)])
    client.serve(handler)
    assert seen == ['log-in me', 'one', 'text', 'closing', 'disconnected']


# -- receive()

def test_receive():
    def handler(websocket):
        clock = client.clock
        assert websocket.receive(timeout=0).text == 'there'             # it has arrived: no time is needed
        with raises(ReceiveTimeout, 'the client sent nothing for 2s (timeout)'):
            websocket.receive(timeout=2)
        assert clock.elapsed == 2.0
        websocket.send_text('still open')
        assert websocket.receive(timeout=5).text == 'late' and clock.elapsed == 3.0
        assert websocket.receive().name == 'closing' and websocket.receive(1).name == 'disconnected'
        assert websocket.receive() is None and websocket.receive(timeout=1) is None
    client = Client([(0, REQUEST + text('there')), (3, text('late')), (4, BYE), (4, END)])
    with logged('ERROR') as records:
        client.serve(handler)
    assert not records and client.status_and_frames()[1][0] == (TEXT, b'still open')


@pytest.mark.parametrize('timeout, error', [('1', TypeError), (-1, ValueError), (float('nan'), ValueError)])
def test_receive_refuses_what_is_no_time(timeout, error):
    def handler(websocket):
        with pytest.raises(error):
            websocket.receive(timeout=timeout)
    client = Client([(0, REQUEST), (1, BYE), (1, END)])
    with logged('ERROR') as records:
        client.serve(handler)
    assert not records


def test_one_thread_iterates():
    def handler(websocket):
        for call in (lambda: next(websocket), websocket.receive, websocket.__enter__):
            thread = in_thread(call)
            thread.join(10)
            assert isinstance(thread.error, ValueError)
        sender = in_thread(websocket.send_text, 'any thread may')
        sender.join(10)
        assert sender.error is None
    client = Client([(0, REQUEST), (1, BYE), (1, END)])
    with logged('ERROR') as records:
        client.serve(handler)
    assert not records and client.status_and_frames()[1][0] == (TEXT, b'any thread may')


# -- the end

def leave(websocket):
    pass


def fail(websocket):
    raise ValueError('a secret')


def in_a_block(websocket):
    with websocket as same:
        assert same is websocket
    assert websocket.is_closed and websocket.receive() is None


def in_a_block_that_fails(websocket):
    with websocket:
        raise KeyError('a secret')


def close_it(websocket):
    websocket.close(3000, 'as I like')


@pytest.mark.parametrize('handler, payload, errors', [
    (leave, close_payload(1000), 0), (fail, close_payload(1011), 1), (in_a_block, close_payload(1000), 0),
    (in_a_block_that_fails, close_payload(1011), 1), (close_it, close_payload(3000, b'as I like'), 0),
    (lambda websocket: websocket.close(), close_payload(1000), 0),
    (lambda websocket: websocket.close(None), b'', 0)])
def test_end_of_a_handler(handler, payload, errors):
    client = Client([(0, REQUEST), (1, close_frame(1000, key=KEY)), (1.25, END)])
    with logged('ERROR') as records:
        client.serve(handler)
    assert client.status_and_frames()[1] == [(CLOSE, payload)]
    assert client.ended_at == 1.0 and client.clock.elapsed == 1.25
    assert len(records) == errors and all(record.exc_info for record in records)


def test_close_that_is_not_answered():
    client, events = Client([(0, REQUEST)]), []
    client.serve(lambda websocket: (websocket.close(), events.extend(websocket)))
    assert names(events) == 'disconnected' and client.clock.elapsed == 10.0
    assert (events[0].reason, events[0].graceful) == (
        "disconnected; the client didn't answer the close frame within 10.0s", False)


def test_stream_is_finished_when_its_handler_returns():
    client = Client([(0, REQUEST), (1, frame(PING, b'?', key=KEY)), (2, START_READING), (3, BYE), (3, END)],
                    reads=False)
    client.serve(lambda websocket: websocket.send_stream(b'x' * 65536 for _ in range(40)))
    found = client.status_and_frames()[1]
    assert b''.join(payload for opcode, payload in found if opcode < CLOSE) == b'x' * 65536 * 40
    assert found[-1] == (CLOSE, close_payload(1000)) and (PONG, b'?') in found


@pytest.mark.parametrize('goes_on', [False, True])
def test_stream_that_fails(goes_on):
    def parts():
        yield b'x'
        raise ValueError('a secret')
    client = Client([(0, REQUEST), (1, BYE), (1, END)])
    with logged('ERROR') as records:
        client.serve(lambda websocket: (websocket.send_stream(parts()), goes_on and list(websocket)))
    assert len(records) == 1 and client.status_and_frames()[1][-1][1][:2] == close_payload(1011)


def test_linger_ends_after_a_second():
    client = Client([(0, REQUEST), (1, BYE)])
    client.serve()
    assert client.ended_at == 1.0 and client.clock.elapsed == 2.0


def drop(websocket):
    websocket.force_disconnect()
    assert [event.name for event in websocket] == ['disconnected']


def test_force_disconnect():
    client = Client([(0, REQUEST)])
    client.serve(drop)
    assert client.status_and_frames() == (b'101', []) and client.clock.elapsed == 0


def send_after_close(websocket):
    websocket.close()
    websocket.send_text('late')


def send_to_nobody(websocket):
    list(websocket)
    websocket.send_text('late')


@pytest.mark.parametrize('handler, script, error', [
    (send_after_close, [(0, REQUEST), (1, BYE), (1, END)], WebSocketClosing),
    (send_to_nobody, [(0, REQUEST), (1, END)], WebSocketClosed),
    (lambda websocket: websocket.send_binary(BIG), [(0, REQUEST), (5, RESET)], None),
    (lambda websocket: websocket.send_binary(BIG), [(0, REQUEST)], SendTimeout)])
def test_client_that_has_gone_is_no_error(handler, script, error):
    client = Client(script, reads=False)
    with logged() as records:
        client.serve(handler, send_timeout=7.0)
    assert [record.levelname for record in records] == ['DEBUG']
    assert client.clock.elapsed <= 7.0


def test_error_of_another_websocket_is_one():
    def handler(websocket):
        raise WebSocketUnavailable('of a client that the handler has')
    client = Client([(0, REQUEST), (1, BYE), (1, END)])
    with logged('ERROR') as records:
        client.serve(handler)
    assert len(records) == 1 and client.status_and_frames()[1] == [(CLOSE, close_payload(1011))]


def test_what_is_no_exception_goes_on():
    def handler(websocket):
        raise KeyboardInterrupt
    client = Client([(0, REQUEST)])
    with logged('ERROR') as records:
        with pytest.raises(KeyboardInterrupt):
            client.serve(handler)
    client.play()
    assert len(records) == 1 and client.status_and_frames()[1] == [(CLOSE, close_payload(1011))]
    assert client.clock.elapsed == 0


def test_failure_without_logging(capsys, monkeypatch):
    """It goes to standard error, also on 2.7, which would be silent."""
    import logging
    def handler(websocket):
        raise ValueError(native_octets('a secret \xe9'))
    monkeypatch.setattr(logging.getLogger('lomond.server'), 'propagate', False)
    Client([(0, REQUEST), (1, BYE), (1, END)]).serve(handler)
    written = capsys.readouterr()[1]
    assert 'the handler of a connection from 192.0.2.1:4711 has failed' in written
    assert 'ValueError: a secret' in written and written.count('Traceback') == 1


@pytest.mark.parametrize('address, name', [
    (('192.0.2.1', 5), '192.0.2.1:5'), (('::1', 5), '[::1]:5'), (('', 0), 'an unnamed socket')])
def test_log_names_client_and_request(address, name):
    for options, record in (
            (dict(handler=fail), 'the handler of a connection from {} has failed'),
            (dict(on_request=fail), 'on_request has failed for GET /chat'),
            (dict(on_request=lambda request: (200, [], b'')),
             'a request from {} was not upgraded: request was answered with status 200')):
        with logged() as records:
            Client([(0, ask(target=b'/chat?token=1')), (1, BYE), (1, END)]).serve(address=address, **options)
        assert records[0].getMessage() == record.format(name)


# -- back-pressure

def fill(client, sent):
    """Let the client send until that would wait."""
    data = frame(BINARY, b'y' * 60000, key=KEY) * 10
    try:
        while sum(sent) < 1 << 26:
            sent.append(client.sock.send(data))
    except OS_ERRORS as error:
        assert would_block(error)


def test_only_what_is_asked_for_is_read():
    """The kernel's buffers are full, then the client waits."""
    def handler(websocket):
        assert websocket.receive().text == 'one'
        fill(client, sent)
        websocket.send_text('a send that need not wait reads nothing')
        fill(client, sent)
        websocket.force_disconnect()
    client, sent = Client([(0, REQUEST + text('one'))]), []
    with logged('ERROR') as records:
        client.serve(handler)
    assert not records and sum(sent) < 1 << 23


@pytest.mark.parametrize('limit, most', [(300000, 300000), (None, 1024 * 1024)])
def test_waiting_send_reads_ahead_so_much(limit, most):
    def handler(websocket):
        fill(client, in_kernel)
        websocket.send_binary(BIG)
        websocket.force_disconnect()
    client = Client(reads=False)
    in_kernel, sent = [], []
    client.script([(0, REQUEST)] + [(second / 8, lambda: fill(client, sent)) for second in range(1, 64)] +
                  [(8, START_READING)])
    with logged('ERROR') as records:
        client.serve(handler, max_message_size=limit)
    assert not records and most - 100000 <= sum(sent) < most + 200000
