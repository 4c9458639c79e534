"""Servers of other projects: npm's ws, PyPI's websockets, aiohttp and tornado."""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import time

import counterparts
import pytest
from counterparts import (
    ScriptedServer,
    WebSocket,
    at_ready,
    converse,
    names,
    prove_both_send,
    prove_comeback,
    prove_echo,
    prove_lost,
    prove_threads,
    run,
    take,
)

from lomond.compression import Deflate

KINDS = ('ws', 'websockets', 'aiohttp', 'tornado')

#: What we may want of permessage-deflate, by a name of ours.
OFFERS = {
    'none': False, 'default': True, 'fast': Deflate(level=1, mem_level=1), 'stored': Deflate(level=0),
    'client 8': Deflate(client_max_window_bits=8), 'client 9': Deflate(client_max_window_bits=9),
    'server 9': Deflate(server_max_window_bits=9), 'both 12': Deflate(client_max_window_bits=12,
                                                                     server_max_window_bits=12),
    'client no takeover': Deflate(client_no_context_takeover=True),
    'server no takeover': Deflate(server_no_context_takeover=True),
    'no takeover, small': Deflate(client_no_context_takeover=True, server_no_context_takeover=True,
                                  client_max_window_bits=9, server_max_window_bits=9, min_size=500),
}


@pytest.fixture(scope='module', params=KINDS)
def server(request):
    with contextlib.closing(ScriptedServer(request.param)) as started:
        yield started


def only(kinds, server, why):
    if server.kind not in kinds:
        pytest.skip('%s: %s' % (server.kind, why))


def client(server, path, **options):
    return WebSocket(server.url(path), proxies={}, **options)


#: What ws answers with 400: a window larger than the one that was offered.
REFUSED_BY_WS = {
    'both 12': ('client 15',), 'client 8': ('client 9', 'both 12', 'client 15'),
    'client 9': ('both 12', 'client 15'), 'server 9': ('both 12',),
    'no takeover, small': ('both 12', 'client 15'),
}


def prove_refusal(url, compress, reason):
    happened, _ = converse(WebSocket(url, proxies={}, compress=compress), [])
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected']
    assert happened[2].reason == reason


@pytest.mark.parametrize('offer', sorted(OFFERS))
def test_echo(server, offer):
    """Every size comes back, whatever both sides want of permessage-deflate."""
    for set_name in server.names:
        if server.kind == 'ws' and set_name in REFUSED_BY_WS.get(offer, ()):
            prove_refusal(server.url(set_name=set_name), OFFERS[offer], 'Websocket upgrade failed (code=400)')
            continue
        if server.kind == 'tornado' and set_name != 'plain' and getattr(
                OFFERS[offer], 'server_no_context_takeover', False):
            # Tornado overlooks parameters without a value, agrees, and does not do it.
            prove_refusal(server.url(set_name=set_name), OFFERS[offer],
                          'parameter server_no_context_takeover of permessage-deflate is missing; '
                          'it was asked for')
            continue
        ready = prove_echo(server.url(set_name=set_name), compress=OFFERS[offer])[2]
        if offer == 'none' or set_name == 'plain':
            assert ready.extensions == set()
        elif offer == 'default':
            assert 'permessage-deflate' in ready.extensions


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_echo_of_a_megabyte(server, compress):
    to_send = counterparts.messages((counterparts.BIG, counterparts.BIG + 1, 0, 3))
    prove_echo(server.url(), to_send, compress=compress)


def test_subprotocol(server):
    happened, _ = converse(client(server, '/echo', protocols=['other', 'chat']), [])
    assert happened[2].protocol == 'chat'


@pytest.mark.parametrize('code, reason', ((1000, 'bye'), (1001, ''), (1008, 'not for you \xe4\u20ac'),
                                          (1011, 'x' * 100), (3000, 'registered'), (4001, 'private')))
def test_server_closes_at_once(server, code, reason):
    happened = run(client(server, '/close?code=%d&reason=%s' % (code, reason)))
    assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
    assert (happened[-2].code, happened[-2].reason) == (code, reason)
    end = happened[-1]
    assert (end.graceful, end.reason, end.code) == (True, 'closed', code)


def test_server_closes_without_a_code(server):
    only(('ws', 'tornado'), server, 'always sends a code')
    happened = run(client(server, '/close'))
    assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
    assert happened[-2].code is None
    assert happened[-1].graceful


def test_server_closes_upon_a_message(server):
    websocket = client(server, '/close-later?code=4002&reason=enough', compress=True)
    happened = converse(websocket, ['last words'])[0]
    assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
    assert happened[-2].code == 4002
    assert happened[-1].graceful


@pytest.mark.parametrize('code', (1000, 1001, 3000, 4999, None))
def test_we_close(server, code):
    websocket = client(server, '/echo')
    happened = at_ready(websocket, lambda: websocket.close(code, 'reason' if code else ''))
    assert names(happened) == counterparts.CLOSED_BY_US
    if code is not None:        # aiohttp answers every code with 1000
        assert happened[-2].code == (1000 if server.kind == 'aiohttp' else code)
    assert happened[-1].graceful


@pytest.mark.parametrize('status', (400, 401, 403, 404, 429, 500, 503))
def test_rejection_with_a_body(server, status):
    began = time.time()
    happened = run(client(server, '/reject?status=%d&body=because%%20of%%20%%E2%%82%%AC' % status))
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected']
    rejected = happened[2]
    assert rejected.reason == 'Websocket upgrade failed (code=%d)' % status
    assert rejected.response.status_code == status
    assert rejected.response.body == 'because of \u20ac'.encode('utf-8')
    assert (happened[3].reason, happened[3].graceful) == ('closed', True)
    assert time.time() - began < 3


def test_data_right_behind_the_response(server):
    happened, back = converse(client(server, '/greet', compress=True), [])
    assert back[0] == 'greeting 0'
    assert happened[2].name == 'ready'
    greetings = take(client(server, '/greet'), 3, 'text')
    assert [event.text for event in greetings] == ['greeting 0', 'greeting 1', 'greeting 2']


def test_pings_of_the_server(server):
    came = take(client(server, '/ping'), 6, 'ping', 'text')
    assert [event.data for event in came if event.name == 'ping'] == [b'ping 0', b'ping 1', b'ping 2']
    assert [event.text for event in came if event.name == 'text'] == [
        'pong ping 0', 'pong ping 1', 'pong ping 2']


def test_our_pings(server):
    websocket = client(server, '/echo')
    pongs, own = [], 0
    for event in websocket.connect(**dict(counterparts.LIMITS, ping_rate=0.2)):
        if event.name == 'ready':
            websocket.send_ping(b'')
            websocket.send_ping(b'p' * 125)
        elif event.name == 'pong':
            pongs.append(event.data)
            own += event.latency is not None
            if len(pongs) == 5:
                websocket.close()
    assert b'p' * 125 in pongs
    assert own and 0 <= websocket.latency < 5


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_big_messages_of_the_server(server, compress):
    size = 3 * counterparts.BIG + 7
    back = take(client(server, '/big?size=%d' % size, compress=compress), 2, 'text', 'binary')
    assert [counterparts.received(event) for event in back] == [
        (b'abcdefghijklmnopqrstuvwxyz' * (size // 26 + 1))[:size], 'z' * size]


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_message_above_our_limit(server, compress):
    happened = run(client(server, '/big?size=100001', compress=compress, max_message_size=100000))
    assert names(happened) == ['connecting', 'connected', 'ready', 'protocol_error', 'disconnected']
    assert '100000' in happened[-2].error and not happened[-1].graceful


def test_message_above_the_limit_of_the_server(server):
    """The server closes with 1009 while we are still sending; its word is reported."""
    websocket = client(server, '/echo')

    def send():
        try:
            websocket.send_binary(b'\x00' * (24 * 1024 * 1024))
        except counterparts.TransportFail:
            pass
    happened = at_ready(websocket, send)
    assert happened[-1].name == 'disconnected'
    if server.kind != 'tornado':        # which drops the connection without a word
        assert happened[-2].name == 'closing' and happened[-2].code == 1009


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_fragments(server, compress):
    only(('ws', 'websockets'), server, 'cannot be made to send fragments')
    websocket = client(server, '/fragments?count=1000', compress=compress)
    event, = take(websocket, 1, 'text')
    assert event.text == ''.join('part %d;' % i for i in range(1000))


def test_server_drops(server):
    prove_lost(converse(client(server, '/drop'), ['go'])[0])


def test_many_messages_under_way(server):
    """2,000 compressed messages of several threads, all come back."""
    prove_threads(client(server, '/echo', compress=True), 500)


def test_echo_while_both_send(server):
    """20 MB under way in each direction: neither side waits for the other forever."""
    prove_both_send(client(server, '/echo'), b'0123456789abcdef' * 32768, 40)


@pytest.mark.parametrize('kind', KINDS)
def test_persist_across_kill_and_restart(kind):
    with contextlib.closing(ScriptedServer(kind)) as server:
        for event in prove_comeback(client(server, '/echo', compress=True), server, 2):
            assert event.name != 'connect_fail' or 'refused' in event.reason
