"""What attackers get: a test for each row of the table in *Log-in and origins*.

Most clients are scripts, and time is a FakeClock; real sockets have tests with a Server.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import logging
import os
import socket
import struct
import subprocess
import sys
import time
import zlib

import pytest
from support.accepted import BIG, END, REQUEST, START_READING, Client, Raw, ask, logged, text, wait_until
from support.accepted import close_clients as close_clients
from support.certificates import server_context
from support.frames import BINARY, CLOSE, CONTINUATION, KEY, PING, PONG, TEXT, close_frame, deflate, frame
from support.memory import growth

from lomond._compat import OS_ERRORS, monotonic
from lomond.server import Server

MIB = 1024 * 1024


def is_reached(script, options=None, handler=None, **client):
    """Play a client; return it, and whether the handler was called."""
    called = []

    def note(websocket):
        called.append(websocket)
        return (handler or list)(websocket)
    played = Client(script, **client)
    with logged('ERROR') as records:
        played.serve(note, **(options or {}))
    played.records = records
    return played, bool(called)


def names(websocket, found):
    found.extend(event.name for event in websocket)


# -- who may connect

# The host of the request, its Origin, and whether that page may connect.
ORIGINS = [
    ('app.example', 'https://app.example', True), ('app.example', 'http://app.example', True),
    ('APP.example', 'https://app.EXAMPLE', True), ('app.example:443', 'https://app.example', True),
    ('app.example:80', 'http://app.example', True), ('app.example', 'https://app.example:443', True),
    ('app.example', 'http://app.example:80', True), ('app.example:8080', 'http://app.example:8080', True),
    ('app.example:8443', 'https://app.example:8443', True), ('localhost:8080', 'http://localhost:8080', True),
    ('[::1]:8080', 'http://[::1]:8080', True), ('[::1]', 'http://[::1]', True),
    ('127.0.0.1:5000', 'http://127.0.0.1:5000', True),
    ('xn--bcher-kva.test', 'https://xn--bcher-kva.test', True),
    ('app.example', 'https://evil.example', False), ('app.example', 'https://app.example.evil.test', False),
    ('app.example', 'https://evil-app.example', False), ('app.example', 'https://evilapp.example', False),
    ('app.example', 'https://www.app.example', False), ('www.app.example', 'https://app.example', False),
    ('app.example', 'https://app.example:8443', False), ('app.example:8443', 'https://app.example', False),
    ('app.example:8080', 'http://app.example:8081', False), ('app.example:443', 'http://app.example', False),
    ('app.example:80', 'https://app.example', False), ('app.example', 'null', False),
    ('app.example', '', False),
    ('app.example', 'app.example', False), ('app.example', '//app.example', False),
    ('app.example', 'https://app.example/', False), ('app.example', 'https://app.example/path', False),
    ('app.example', 'https://user@app.example', False),
    ('app.example', 'https://app.example@evil.test', False),
    ('app.example', 'https://evil.example#app.example', False),
    ('app.example', 'https://evil.example?app.example', False),
    ('app.example', 'https://app.example:', False),
    ('app.example', 'https://app.example:x', False),
    ('app.example', 'https://evil.example, https://app.example', False),
    ('app.example', 'file://', False), ('localhost:8080', 'http://127.0.0.1:8080', False),
    ('app.example', 'chrome-extension://app.example', False)]


@pytest.mark.parametrize('host, origin, is_allowed', ORIGINS)
def test_foreign_origin(host, origin, is_allowed):
    request = ask(b'Origin: ' + origin.encode('ascii'), host=host.encode('ascii'))
    client, reached = is_reached([(0, request), (0, END)])
    assert (client.status, reached) == ((101, True) if is_allowed else (403, False))
    if not is_allowed:
        assert client.body.endswith(' is not allowed here (Host is \'{}\'; see origins=)\n'.format(host))


def test_two_origins():
    same = b'Origin: https://x'
    for second in (b'Origin: https://evil.example', same):
        client, reached = is_reached([(0, ask(same, second)), (0, END)])
        assert (client.status, reached) == (403, False)


def test_no_origin():
    """A program, which could send any: check its credentials in on_request."""
    assert is_reached([(0, REQUEST), (0, END)])[1]
    client, reached = is_reached([(0, REQUEST), (0, END)], dict(
        on_request=lambda request: None if request.get('authorization') else (401, [], b'')))
    assert (client.status, reached) == (401, False)


def test_rebinding_needs_a_list():
    """Host and Origin are the same foreign name, which resolves to this machine."""
    request = ask(b'Origin: http://evil.example', host=b'evil.example')
    assert is_reached([(0, request), (0, END)])[1]
    client, reached = is_reached([(0, request), (0, END)], dict(origins=['https://app.example']))
    assert (client.status, reached) == (403, False)


# -- slow and many

@pytest.mark.parametrize('script', [
    [(0, REQUEST[:50])], [(second, REQUEST[second:second + 1]) for second in range(20)]])
def test_slow_head(script):
    """A byte now and then does not extend the time."""
    client, reached = is_reached(script)
    assert (client.status, reached) == (408, False) and client.ended_at == 10.0
    assert client.clock.elapsed <= 11.0


def test_silent():
    client, reached = is_reached([])
    assert (client.received, reached) == (b'', False) and client.clock.elapsed <= 11.0
    assert client.ended_at == 10.0


@pytest.mark.parametrize('script', [
    [], [(second, b'\x16\x03\x01\x02\x00'[second:second + 1]) for second in range(5)]])
def test_slow_tls(certs, script):
    client, reached = is_reached(script, dict(ssl_context=server_context(certs.server)))
    assert (client.received, reached) == (b'', False) and client.ended_at == 10.0


@contextlib.contextmanager
def serving(handler=list, *args, **options):
    """Give a Server that waits for nobody when the block ends."""
    running = Server(handler, *args, **options).start()
    try:
        yield running
    finally:
        assert running.stop(0) is True


@pytest.mark.ends
@pytest.mark.parametrize('first', [REQUEST, b'', REQUEST[:20]])
def test_full(first):
    """Opening handshakes count, too; the answer comes at once, and a place is free again
    as soon as a connection is over."""
    with serving(list, max_connections=2) as running:
        taken = [Raw(running, first) for _ in range(2)]
        wait_until(lambda: len(running._reception.running) == 2)
        for _ in range(3):
            answer = Raw(running).read()
            assert answer.startswith(b'HTTP/1.1 503 Service Unavailable\r\n')
            assert b'\r\nRetry-After: 5\r\n' in answer
        for client in taken:
            client.close()
        wait_until(lambda: len(running._reception.running) < 2)
        Raw(running).ready()


@pytest.mark.ends
def test_full_with_tls(certs):
    with serving(list, max_connections=1, ssl_context=server_context(certs.server)) as running:
        Raw(running, b'')
        wait_until(lambda: len(running._reception.running) == 1)
        assert Raw(running, b'').read() == b''


@pytest.mark.ends
@pytest.mark.skipif(os.name == 'nt', reason='no limit of descriptors')
@pytest.mark.parametrize('spare', [0, 1, 2])
def test_no_descriptor(spare):
    """Without one for accept, or for what a connection needs next: one warning, and no
    spin; then those who wait are served."""
    import resource
    fillers, limits = [], resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(list, '127.0.0.1') as running, logged('WARNING') as records:
        socks = Raw.socks
        socks.extend(socket.socket() for _ in range(3))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(socks[-1].fileno(), 64) + 10, limits[1]))
        try:
            try:
                while True:
                    fillers.append(os.open(os.devnull, os.O_RDONLY))
            except OS_ERRORS:
                pass
            for _ in range(spare):
                os.close(fillers.pop())
            for sock in socks:
                sock.connect(running.addresses[0])
                sock.sendall(REQUEST)
            wait_until(lambda: records)
            used = sum(os.times()[:2])
            time.sleep(0.25)
            assert sum(os.times()[:2]) - used <= 0.03
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for filler in fillers:
                os.close(filler)
        for sock in socks:
            sock.settimeout(5)
            assert sock.recv(12) == b'HTTP/1.1 101'
    assert [record.levelname for record in records] == ['WARNING']


# -- large

def test_large_head():
    client, reached = is_reached([(0, REQUEST[:-2] + b'X: ' + b'x' * 70000 + b'\r\n\r\n'), (0, END)])
    assert (client.status, reached) == (431, False)


# Each would take minutes in quadratic time.
HARD = [
    b'Sec-WebSocket-Extensions: permessage-deflate;a="' + b'\\"' * 25000, b'Connection: ' + b'",' * 25000,
    b'Sec-WebSocket-Extensions: ' + b',' * 50000, b'Sec-WebSocket-Protocol: ' + b'"\\,' * 15000,
    b'Sec-WebSocket-Extensions: permessage-deflate' + b' ' * 50000 + b'x', b'X: a' + b'\r\n b' * 10000,
    b'Origin: https://' + b'a.' * 25000, b'Content-Length: 0' + b'\r\nContent-Length: 0' * 2500,
    b'X: \xff\r\n' * 8000 + b'X:']


def test_heads_that_are_hard_to_read():
    begun = sum(os.times()[:2])
    for line in HARD:
        client, _ = is_reached([(0, ask(line)), (0, END)], dict(compress=True, protocols=['chat']))
        assert client.status in (101, 403)
    assert sum(os.times()[:2]) - begun <= 5


def endless(first, then, count):
    return b''.join([first] + [then] * count)


FRAGMENT = frame(CONTINUATION, b'x' * 60000, fin=False, key=KEY)
BOMB = deflate(b'\0' * (64 * MIB), zlib.compressobj(9, zlib.DEFLATED, -15))


@pytest.mark.parametrize('data, options', [
    (frame(BINARY, b'x' * 100, key=KEY, length=1 << 40), {}),
    (frame(TEXT, b'', key=KEY, length=MIB + 1), {}),
    (endless(frame(BINARY, fin=False, key=KEY), FRAGMENT, 20), {}),
    (frame(BINARY, BOMB, rsv=4, key=KEY), dict(compress=True))])
def test_memory_of_a_message(data, options):
    offer = [b'Sec-WebSocket-Extensions: permessage-deflate'] if options else []
    script = [(0, ask(*offer)), (2, END)]
    script[1:1] = [(1 + at / 1e9, data[at:at + 60000]) for at in range(0, len(data), 60000)]
    found = []
    size, (client, _) = growth(is_reached, script, options, lambda websocket: names(websocket, found))
    assert found == ['protocol_error', 'disconnected'] and not client.records
    closed = [payload[:2] for opcode, payload in client.status_and_frames()[1] if opcode == CLOSE]
    assert closed == [struct.pack(str('!H'), 1009)] and size < 16 * MIB


def fill(client, data):
    """Send this until it would wait; return how many bytes went."""
    count = 0
    try:
        while count < 16 * MIB:
            count += client.sock.send(data)
    except OS_ERRORS:
        pass
    return count


def test_memory_of_a_flood():
    """A client that sends and never reads: so much is read ahead, until send_timeout."""
    def handler(websocket):
        for event in websocket:
            if event.name == 'text':
                websocket.send_binary(BIG)
    client = Client(reads=False)
    flood = frame(BINARY, b'x' * 60000, key=KEY) * 10
    client.script([(0, REQUEST + text('go'))])
    client.script((second, lambda: fill(client, flood)) for second in range(1, 40))
    with logged() as records:
        size, _ = growth(client.serve, handler)
    assert size < 16 * MIB and client.clock.elapsed <= 31
    assert [record.levelname for record in records] == ['DEBUG']


def test_ping_flood():
    """Pongs that are not taken: 64 KiB of them are kept, and the newest one."""
    client, sent, flood = Client(reads=False), [], frame(PING, b'p' * 100, key=KEY) * 1000
    client.script([(0, REQUEST)])
    client.script((second / 8, lambda: sent.append(fill(client, flood))) for second in range(1, 8))
    client.script([(2, START_READING), (3, END)])
    client.serve()
    pongs = [payload for opcode, payload in client.status_and_frames()[1] if opcode == PONG]
    assert sum(sent) > MIB and len(pongs) * 102 < 600 * 1024


# -- those who stay

def test_vanished():
    found = []
    client, _ = is_reached([(0, REQUEST), (20, text('last words'))],
                           handler=lambda websocket: names(websocket, found))
    assert found == ['text', 'unresponsive', 'disconnected'] and client.clock.elapsed <= 61


@pytest.mark.parametrize('data', [frame(PING, key=KEY), text('more'), b'\x82\xff'])
def test_ignored_close(data):
    """Nothing that the client sends extends the time."""
    script = [(0, REQUEST)] + [(1 + second / 2, data) for second in range(40)]
    client, _ = is_reached(script, handler=lambda websocket: None)
    assert client.clock.elapsed <= 11.0


@pytest.mark.parametrize('data, code', [
    (frame(TEXT, b'unmasked'), 1002), (frame(3, key=KEY), 1002), (frame(TEXT, rsv=4, key=KEY), 1002),
    (frame(PING, b'x' * 126, key=KEY), 1002), (frame(CONTINUATION, key=KEY), 1002),
    (frame(TEXT, b'\xff', key=KEY), 1007), (frame(CLOSE, b'\x03\xe8\xff', key=KEY), 1007),
    (frame(CLOSE, b'x', key=KEY), 1002), (close_frame(1005, key=KEY), 1002)])
def test_violations(data, code):
    found = []
    client, _ = is_reached([(0, REQUEST), (1, data)], handler=lambda websocket: names(websocket, found))
    assert found == ['protocol_error', 'disconnected'] and client.clock.elapsed == 1.5
    assert [payload[:2] for _, payload in client.status_and_frames()[1]] == [struct.pack(str('!H'), code)]


# -- what is told

def fail(anything):
    raise ValueError('the password is secret')


def test_nothing_leaks():
    """Neither what was raised, nor our name or version."""
    for options, handler in (({}, fail), (dict(on_request=fail), None)):
        client, _ = is_reached([(0, REQUEST), (1, close_frame(1000, key=KEY)), (1, END)], options, handler)
        told = client.received.lower()
        assert b'secret' not in told and b'valueerror' not in told and b'lomond' not in told
        assert b'\r\nserver:' not in told and b'python' not in told and len(client.records) == 1
        assert client.status == 500 or client.status_and_frames()[1][0][1] == b'\x03\xf3'


@pytest.mark.parametrize('answer', [
    (200, [('X', 'a\r\nSet-Cookie: b')], b''), (200, [('X\r\nY', 'a')], b''), (200, [('X', 'a\nb')], b''),
    ('accept', None, [('X', 'a\r\n\r\nb')]), ('accept', 'a\r\nX: b', []), (200, [('X', 'a\0')], b'')])
def test_response_splitting(answer):
    client, reached = is_reached([(0, REQUEST), (0, END)], dict(on_request=lambda request: answer))
    assert (client.status, reached) == (500, False) and len(client.records) == 1
    assert b'Set-Cookie' not in client.received and b'\nX' not in client.received


def test_log():
    """Refusals are DEBUG; what comes from outside is escaped and cut; no secrets."""
    secrets = b'Authorization: Basic c2VjcmV0', b'Cookie: id=secret'
    requests = [
        ask(b'Origin: http://evil\x1b[31m.example', *secrets), ask(b'Origin: ' + b'x' * 5000, *secrets),
        ask(*secrets, target=b'/' + b'x' * 5000), REQUEST.replace(b'GET', b'G\x1b[31mT'),
        ask(b'Cookie id=secret'), ask(b'Authorization\tBasic c2VjcmV0:'),
        b'\x16\x03\x01\x02\x00\n\n', REQUEST.replace(b'GET', b'POST'), REQUEST.replace(b'13', b'\xff\n8'),
        b'']
    for request in requests:
        for options in ({}, dict(on_request=fail)):
            with logged() as records:
                Client([(0, request), (0, END)]).serve({'/none': list}, **options)
            for record in records:
                said = record.getMessage()
                assert len(said) < 600 and 'c2VjcmV0' not in said and 'id=' not in said
                assert not [char for char in said if not ' ' <= char <= '~'], said
                assert record.levelno == logging.DEBUG or options


def test_forged_address():
    def handler(websocket):
        assert websocket.address == ('192.0.2.1', 4711)
    request = ask(b'X-Forwarded-For: 10.0.0.1', b'Forwarded: for=10.0.0.1')
    client, reached = is_reached([(0, request), (0, END)], handler=handler)
    assert reached and not client.records


@pytest.mark.parametrize('target', [
    b'/a/../chat', b'//chat', b'/%63hat', b'/chat/', b'/CHAT', b'/chat;a', b'/./chat', b'chat', b'*',
    b'http://x/chat2', b'/chat%3Fa', b'/chat%00'])
def test_paths(target):
    client = Client([(0, ask(target=target)), (0, END)])
    client.serve({'/chat': fail})
    assert client.status in (400, 404)


@pytest.mark.parametrize('line', [
    b'Content-Length: 3', b'Transfer-Encoding: chunked', b'Content-Length: x'])
def test_body(line):
    client, reached = is_reached([(0, ask(line) + b'abc'), (0, END)])
    assert (client.status, reached) == (400, False)


@pytest.mark.ends
def test_bound_addresses():
    with serving(list) as running:
        assert set(host for host, _ in running.addresses) <= {'127.0.0.1', '::1'}


LOOK = '''import os, sys
for fd in sys.argv[1:]:
    try: os.fstat(int(fd)); print(fd)
    except OSError: pass
'''


@pytest.mark.ends
@pytest.mark.skipif(os.name == 'nt', reason='looks at descriptors of a child')
def test_inheritance():
    """A child program has neither the listening sockets nor the connections."""
    with serving(list) as running:
        Raw(running).ready()
        ours = [listening.fileno() for listening in running._reception.listener._socks] + [
            connection._session.stream.fileno() for connection in running.connections]
        assert len(ours) >= 2
        child = subprocess.Popen([sys.executable, '-S', '-c', LOOK] + [str(fd) for fd in ours],
                                 close_fds=False, stdout=subprocess.PIPE)
        assert child.communicate()[0] == b''


@pytest.mark.ends
def test_handlers_are_isolated():
    """One that raises, or hangs, ends its own connection only; stop() drops it."""
    def handler(websocket):
        if websocket.request.path == '/fail':
            raise ValueError('x')
        if websocket.request.path == '/hang':
            websocket.send_binary(BIG * 10)
        for event in websocket:
            if event.name == 'text':
                websocket.send_text(event.text)
    with serving(handler) as running, logged('ERROR') as records:
        hanging = Raw(running, ask(target=b'/hang'))
        with Raw(running, ask(target=b'/fail') + close_frame(1000, key=KEY)) as failing:
            failing.read()
        assert b'hello' in Raw(running, REQUEST + text('hello')).read(b'hello')
        wait_until(lambda: len(running.connections) == 2)
        assert hanging and len(records) == 1
        begun = monotonic()
        assert running.stop(timeout=0.1) is True and monotonic() - begun < 1.5
