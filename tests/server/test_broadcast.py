"""broadcast(): to many connections, waiting for none of them."""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.accepted import REQUEST, Raw, ask, wait_until
from support.accepted import close_clients as close_clients
from support.client import in_thread
from support.errors import raises
from support.frames import BINARY, TEXT, Reader

from lomond import WebSocket
from lomond._compat import monotonic
from lomond.server import Server, broadcast

pytestmark = pytest.mark.ends
MIB = 1024 * 1024


@pytest.fixture
def server():
    running = Server(list, compress=True, max_connections=None).start()
    yield running
    assert running.stop(0) is True


def connect(server, count, request=REQUEST):
    """Return clients, and wait until the server knows them."""
    before = len(server.connections)
    clients = [Raw(server, request) for _ in range(count)]
    for client in clients:
        client.ready()
    wait_until(lambda: len(server.connections) == before + count)
    return clients


def frames(client, count):
    """Read so many frames of a client; return (rsv, opcode, payload) of each."""
    reader, rest = Reader(), client.received.partition(b'\r\n\r\n')[2]
    found = reader.feed(rest)
    while len(found) < count:
        found += reader.feed(client.sock.recv(65536))
    return [(rsv, opcode, payload) for _, rsv, opcode, _, payload in found]


@pytest.mark.parametrize('message, opcode, payload', [
    ('Gr\xfc\xdfe', TEXT, 'Gr\xfc\xdfe'.encode('utf-8')), ('', TEXT, b''), (b'\0\xff', BINARY, b'\0\xff'),
    (bytearray(b'x' * 200000), BINARY, b'x' * 200000), (memoryview(b'abc'), BINARY, b'abc')],
    ids=['text', 'empty', 'bytes', 'large', 'view'])
def test_messages(server, message, opcode, payload):
    clients = connect(server, 3)
    assert broadcast(iter(server.connections), message) == 3
    for client in clients:
        assert frames(client, 1) == [(0, opcode, payload)]


def test_some_compress(server):
    plain, = connect(server, 1)
    packed, = connect(server, 1, ask(b'Sec-WebSocket-Extensions: permessage-deflate'))
    text = 'hello ' * 100
    assert broadcast(server.connections, text) == broadcast(server.connections, text, compress=False) == 2
    assert frames(plain, 2) == [(0, TEXT, text.encode('ascii'))] * 2
    (first, _, payload), second = frames(packed, 2)
    assert first == 4 and len(payload) < 100 and second == (0, TEXT, text.encode('ascii'))


def test_clients_too(server):
    """A message to WebSockets; those that are not open are skipped."""
    got, websockets = [], [WebSocket('ws://example.org/', proxies={})]
    client = WebSocket(server.url, proxies={})
    for event in client:
        if event.name == 'ready':
            wait_until(lambda: server.connections)
            websockets += [client] + server.connections
            assert broadcast(websockets, 'hello') == 2
        elif event.name == 'text':
            got.append(event.text)
            client.close()
            assert broadcast(websockets[:2], 'late') == 0
    assert got == ['hello'] and broadcast(websockets, 'late') == 0 and broadcast([], 'x') == 0


@pytest.mark.parametrize('options, error, words', [
    (dict(message=3), TypeError, 'message must be text, bytes, bytearray or memoryview, not int'),
    (dict(message=None), TypeError, 'message must be .* not NoneType'),
    (dict(limit='1'), TypeError, 'limit must be an integer, not '),
    (dict(limit=-1), ValueError, 'limit is -1; 0 or more is allowed'),
    (dict(websockets=None), TypeError,
     'websockets must be an iterable of ServerWebSocket and WebSocket, not NoneType')])
def test_bad_values(options, error, words):
    with pytest.raises(error, match=words):
        broadcast(**dict(dict(websockets=[], message='x'), **options))


def test_something_else_among_them(server):
    client, = connect(server, 1)
    with raises(TypeError, 'websockets has 5; ServerWebSocket and WebSocket are allowed'):
        broadcast(server.connections + [5], 'x')
    assert broadcast(server.connections, 'y') == 1 and frames(client, 1)[0][2] == b'y'


def test_order(server):
    """Messages of one thread arrive in order everywhere, however many threads there are."""
    clients = connect(server, 4)
    threads = [in_thread(lambda name: [broadcast(server.connections, '{} {}'.format(name, number))
                                       for number in range(50)], name) for name in 'abcd']
    for client in clients:
        said = [payload.decode('ascii').split() for _, _, payload in frames(client, 200)]
        for name in 'abcd':
            assert [int(number) for who, number in said if who == name] == list(range(50))
    for thread in threads:
        thread.join(10)
        assert thread.error is None


def test_slow_reader(server):
    """One that does not read delays nobody, and is gone after `limit`."""
    slow, = connect(server, 1)
    good, = connect(server, 1)
    reading = in_thread(frames, good, 40)
    (lost, fine), count, spent = server.connections, [], 0
    for _ in range(40):
        spent -= monotonic()
        count.append(broadcast([lost, fine], b'x' * 300000))
        spent += monotonic()
        wait_until(lambda: not fine.queued)     # it does keep up, however busy the machine is
    assert spent < 5 and count[0] == 2 and count[-1] == 1
    assert lost.is_closed and lost.queued <= MIB + 300000
    reading.join(10)
    assert len(reading.result) == 40
    wait_until(lambda: len(server.connections) == 1)


def test_connection_whose_handler_waits_in_a_send():
    """It waits for its client, and broadcast() does not wait for it."""
    running = Server(lambda websocket: websocket.send_binary(b'y' * 20 * MIB)).start()
    connect(running, 1)
    writer = running.connections[0].session.driver.writer
    wait_until(lambda: writer._taken and writer._progress)
    now = monotonic()
    assert [broadcast(running.connections, b'x' * 500000) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert monotonic() - now < 1 and running.stop(0) is True
