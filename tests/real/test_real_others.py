"""mosquitto (MQTT over WebSocket) and uvicorn, each with habits of its own."""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import signal
import struct
import time

import counterparts
import pytest
from counterparts import (
    Counterpart,
    WebSocket,
    at_ready,
    converse,
    environment_program,
    names,
    program,
    prove_bare_end,
    prove_echo,
    prove_lost,
    run,
    take,
    talk,
)

# -- mosquitto

_MOSQUITTO = '''
user {user}
persistence false
allow_anonymous true
log_dest stderr
listener {ports[1]} 127.0.0.1
listener {ports[0]} 127.0.0.1
protocol websockets
'''


@pytest.fixture(scope='module')
def mosquitto():
    # The user counts for root alone; without a listener of the other kind, one on all
    # interfaces is made.
    with contextlib.closing(Counterpart(lambda self: [program('mosquitto'), '-c', self.write(
            'mosquitto.conf', _MOSQUITTO.format(ports=self.ports, user='nobody'))], 2)) as started:
        yield started


def mqtt_text(text):
    data = text.encode('utf-8')
    return struct.pack(str('>H'), len(data)) + data


def mqtt_packet(first, body):
    """A packet of MQTT 3.1.1: type and flags, remaining length, the rest."""
    length, encoded = len(body), bytearray()
    while True:
        length, low = divmod(length, 128)
        encoded.append(low | (0x80 if length else 0))
        if not length:
            return bytes(bytearray([first]) + encoded) + body


def mqtt_connect(keep_alive=60):
    return mqtt_packet(0x10, mqtt_text('MQTT') + b'\x04\x02' + struct.pack(str('>H'), keep_alive) +
                       mqtt_text('lomond-%d' % time.time()))


SUBSCRIBE = mqtt_packet(0x82, b'\x00\x01' + mqtt_text('a/topic') + b'\x00')
DISCONNECT = b'\xe0\x00'


def mqtt_client(mosquitto, **options):
    options.setdefault('protocols', ['mqtt'])
    return WebSocket('ws://127.0.0.1:%d/mqtt' % mosquitto.port, proxies={}, **options)


@pytest.mark.parametrize('end', ('ours', 'mqtt'))
@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_mqtt(mosquitto, compress, end):
    """Subscribe to what we publish; big messages come back as a fragment of 4 KiB each
    100 ms.
    """
    websocket = mqtt_client(mosquitto, compress=compress)
    published = [mqtt_packet(0x30, mqtt_text('a/topic') + counterparts.bytes_of(size))
                 for size in (0, 1, 117, 1000, 20000, 65536)]
    wanted, came, happened = b''.join(published), b'', []
    for event in websocket.connect(**counterparts.LIMITS):
        happened.append(event)
        if event.name == 'ready':
            assert event.protocol == 'mqtt'
            websocket.send_binary(mqtt_connect())
        elif event.name == 'binary':
            came += event.data
            if came == b'\x20\x02\x00\x00':
                websocket.send_binary(SUBSCRIBE)
            elif came == b'\x20\x02\x00\x00\x90\x03\x00\x01\x00':
                for packet in published:
                    websocket.send_binary(packet)
            elif len(came) == len(wanted) + 9:
                if end == 'ours':
                    websocket.close()
                else:
                    websocket.send_binary(DISCONNECT)
    assert came[9:] == wanted
    if end == 'ours':
        assert names(happened) == counterparts.CLOSED_BY_US and happened[-1].graceful
    else:
        prove_bare_end(happened)


def test_mqtt_broker_that_loses_patience(mosquitto):
    """Nothing said for one and a half times the keep-alive: the broker goes."""
    websocket, began = mqtt_client(mosquitto), time.time()
    prove_bare_end(at_ready(websocket, lambda: websocket.send_binary(mqtt_connect(keep_alive=1))))
    assert time.time() - began < 10


def test_mqtt_garbage(mosquitto):
    prove_bare_end(converse(mqtt_client(mosquitto), [b'\x00garbage'])[0])


def test_mqtt_pings(mosquitto):
    websocket = mqtt_client(mosquitto)
    pongs = []

    def on_event(event):
        if event.name == 'ready':
            websocket.send_binary(mqtt_connect())
        elif event.name == 'pong':
            pongs.append(event)
            if len(pongs) == 5:
                websocket.close()
    assert talk(websocket, on_event, ping_rate=0.1, ping_timeout=3)[-1].graceful and len(pongs) >= 5


def test_mqtt_broker_is_killed(mosquitto):
    websocket = mqtt_client(mosquitto)

    def on_event(event):
        if event.name == 'ready':
            websocket.send_binary(mqtt_connect())
        elif event.name == 'binary':
            mosquitto.kill()
    prove_lost(talk(websocket, on_event))
    mosquitto.start()


# -- uvicorn

IMPLEMENTATIONS = ('websockets', 'websockets-sansio', 'wsproto')


class Uvicorn(Counterpart):
    def __init__(self, implementation):
        self.implementation = implementation
        super(Uvicorn, self).__init__(lambda self: [
            environment_program('servers', 'uvicorn'), '--host', '127.0.0.1', '--port', '%d' % self.port,
            '--ws', implementation, '--ws-ping-interval', '0.5', '--ws-ping-timeout', '5',
            '--log-level', 'error', '--app-dir', counterparts.SERVERS, 'asgi_app:application'])

    def client(self, path, **options):
        return WebSocket('ws://127.0.0.1:%d%s' % (self.port, path), proxies={}, **options)


@pytest.fixture(scope='module', params=IMPLEMENTATIONS)
def uvicorn(request):
    with contextlib.closing(Uvicorn(request.param)) as started:
        yield started


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_uvicorn_echo(uvicorn, compress):
    to_send = counterparts.messages() + counterparts.messages([counterparts.BIG])
    happened = prove_echo('ws://127.0.0.1:%d/echo' % uvicorn.port, to_send, protocols=['chat'],
                          compress=compress)
    assert happened[2].protocol == 'chat'
    assert happened[2].extensions == (set(['permessage-deflate']) if compress else set())


@pytest.mark.parametrize('code', (1000, 1001, 3000, 4001))
def test_uvicorn_closes(uvicorn, code):
    """It may reset the connection behind the closing handshake, which changes nothing.
    """
    for _ in range(5):
        happened = run(uvicorn.client('/close?code=%d&reason=bye' % code))
        assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
        assert (happened[-2].code, happened[-2].reason) == (code, 'bye')
        assert happened[-1].graceful and happened[-1].reason == 'closed'


def test_uvicorn_is_closed(uvicorn):
    for _ in range(5):
        happened = converse(uvicorn.client('/echo'), [])[0]
        assert names(happened) == counterparts.CLOSED_BY_US
        assert happened[-1].graceful and happened[-1].reason == 'closed'


def test_uvicorn_refuses(uvicorn):
    happened = run(uvicorn.client('/refuse'))
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected']
    assert happened[2].reason == 'Websocket upgrade failed (code=403)'


@pytest.mark.parametrize('status', (400, 401, 404, 503))
def test_uvicorn_rejects_with_a_body(uvicorn, status):
    began = time.time()
    happened = run(uvicorn.client('/reject?status=%d&body=because' % status))
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected']
    assert (happened[2].response.status_code, happened[2].response.body) == (status, b'because')
    assert time.time() - began < 3


def test_uvicorn_greets(uvicorn):
    greetings = take(uvicorn.client('/greet'), 3, 'text')
    assert [event.text for event in greetings] == ['greeting 0', 'greeting 1', 'greeting 2']


def test_uvicorn_pings(uvicorn):
    """Its own pings, with short patience, are answered while nothing else happens."""
    if uvicorn.implementation == 'wsproto':
        pytest.skip('sends no pings with wsproto')
    assert len(take(uvicorn.client('/echo'), 3, 'ping')) >= 3


def test_uvicorn_application_ends(uvicorn):
    """An application that ends without a close."""
    prove_bare_end(converse(uvicorn.client('/end'), ['go'])[0])


@pytest.mark.parametrize('number', ('TERM', 'KILL'))
def test_uvicorn_is_ended(uvicorn, number):
    """Asked to stop it closes with 1012; killed it just goes."""
    websocket = uvicorn.client('/echo')

    def on_event(event):
        if event.name == 'ready':
            websocket.send_text('x')
        elif event.name == 'text' and number == 'TERM':
            uvicorn.signal(signal.SIGTERM)
        elif event.name == 'text':
            uvicorn.kill()
    happened = talk(websocket, on_event)
    if number == 'TERM':
        uvicorn.kill()
        assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
        assert happened[-1].code == 1012 and happened[-1].graceful
    else:
        prove_lost(happened)
    uvicorn.start()
