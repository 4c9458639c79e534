# -*- coding: utf-8 -*-
"""The opening handshake of both sides: the tables of RFC 6455, 4, and client and server tied together."""

from __future__ import absolute_import, division, unicode_literals

import base64
import os
import sys
import weakref

import pytest
from support.interpreters import no_collector
from support.opening import HANDSHAKE_KEY as KEY
from support.opening import answer

from lomond import constants
from lomond.compression import Deflate
from lomond.errors import CompressionParameterError, CriticalProtocolError, HandshakeError
from lomond.events import Ready, Rejected
from lomond.protocol import handshake, permessage_deflate
from lomond.protocol.handshake import ClientHandshake, ServerHandshake, accept_value, encode_request, make_key
from lomond.response import Request, Response

ACCEPT = b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='


# --- keys ---

def test_accept_value():
    """RFC 6455, 1.3."""
    assert accept_value(KEY) == ACCEPT


def test_make_key(monkeypatch):
    keys = set(make_key() for _ in range(100))
    assert len(keys) == 100
    assert all(isinstance(key, bytes) and len(base64.b64decode(key)) == 16 for key in keys)
    monkeypatch.setattr(os, 'urandom', lambda size: b'\x00' * size)
    assert make_key() == b'AAAAAAAAAAAAAAAAAAAAAA=='


# --- the request ---

def test_request():
    assert encode_request('/chat?x=1', 'example.test:8080', KEY, user_agent='Mine/1') == (
        b'GET /chat?x=1 HTTP/1.1\r\nHost: example.test:8080\r\nUpgrade: websocket\r\n'
        b'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
        b'Sec-WebSocket-Version: 13\r\nUser-Agent: Mine/1\r\n\r\n')


def lines_of(request):
    assert request.endswith(b'\r\n\r\n') and request.count(b'\r\n\r\n') == 1
    return request[:-4].split(b'\r\n')


def test_request_with_everything():
    request = encode_request(
        b'/', b'[::1]:90', KEY, user_agent='M\xfc', protocols=('v2.x', b'chat'),
        headers=[(b'B', b'1'), (b'A', b'\xff'), (b'B', b'2'), (b'Authorization', b'x y')],
        extensions='permessage-deflate; client_max_window_bits', origin='https://example.test')
    assert lines_of(request) == [
        b'GET / HTTP/1.1', b'B: 1', b'A: \xff', b'B: 2', b'Authorization: x y', b'Host: [::1]:90',
        b'Upgrade: websocket', b'Connection: Upgrade', b'Sec-WebSocket-Key: ' + KEY,
        b'Sec-WebSocket-Version: 13', b'User-Agent: M\xc3\xbc', b'Origin: https://example.test',
        b'Sec-WebSocket-Protocol: v2.x, chat',
        b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits']
    assert isinstance(request, bytes)


def test_headers_take_the_place_of_built_in_ones():
    request = encode_request('/', 'built.in', KEY, origin='http://built.in', headers=[
        (b'HOST', b'one'), (b'X', b'1'), (b'host', b'two'), (b'User-agent', b'mine'), (b'ORIGIN', b'null')])
    assert lines_of(request) == [
        b'GET / HTTP/1.1', b'X: 1', b'Host: two', b'User-Agent: mine', b'Origin: null', b'Upgrade: websocket',
        b'Connection: Upgrade', b'Sec-WebSocket-Key: ' + KEY, b'Sec-WebSocket-Version: 13']
    request = encode_request('/', 'built.in', KEY, headers=[(b'Origin', b'http://x')])
    assert lines_of(request)[1:3] == [b'Origin: http://x', b'Host: built.in']


@pytest.mark.parametrize('agent', [None, '', b''])
def test_default_user_agent(agent):
    expected = b'User-Agent: ' + constants.USER_AGENT.encode('utf-8')
    assert expected in lines_of(encode_request('/', 'x', KEY, user_agent=agent))
    assert expected in lines_of(encode_request('/', 'x', KEY))


@pytest.mark.parametrize('arguments, error', [
    ({'resource': ''}, ValueError), ({'resource': '/a b'}, ValueError), ({'resource': '/\xe9'}, ValueError),
    ({'resource': '/\r\nEvil: yes'}, ValueError), ({'resource': '/\x7f'}, ValueError),
    ({'resource': None}, TypeError),
    ({'host_header': 'x\r\nEvil: yes'}, ValueError), ({'host_header': None}, TypeError),
    ({'key': b'x\nEvil: yes'}, ValueError), ({'key': 7}, TypeError),
    ({'headers': [(b'Evil\r\n', b'x')]}, ValueError), ({'headers': [(b'Host', b'x\n')]}, ValueError),
    ({'headers': [(b'X', b'x\r')]}, ValueError), ({'headers': [('X', 'x')]}, TypeError),
    ({'user_agent': 'x\r\nEvil: yes'}, ValueError), ({'user_agent': 7}, TypeError),
    ({'origin': 'x\r\nEvil: yes'}, ValueError), ({'origin': 7}, TypeError),
    ({'extensions': 'x\r\nEvil: yes'}, ValueError), ({'extensions': 7}, TypeError),
    ({'protocols': ['a\r\nEvil: yes']}, ValueError), ({'protocols': ['a,b']}, ValueError),
    ({'protocols': ['']}, ValueError), ({'protocols': ['\xe9']}, ValueError),
    ({'protocols': [7]}, TypeError)])
def test_nothing_is_injected(arguments, error):
    values = {'resource': '/', 'host_header': 'example.test', 'key': KEY}
    values.update(arguments)
    with pytest.raises(error):
        encode_request(**values)


# --- the client ---

def response(drop=(), status=b'HTTP/1.1 101 Switching Protocols', extra=(), **replace):
    headers = [(b'Upgrade', replace.get('upgrade', b'websocket')),
               (b'Connection', replace.get('connection', b'Upgrade')),
               (b'Sec-WebSocket-Accept', replace.get('accept', ACCEPT))]
    lines = [name + b': ' + value for name, value in headers if name not in drop]
    return b'\r\n'.join([status] + lines + list(extra)) + b'\r\n\r\n'


def judge(data, **options):
    """The outcome of a response, fed whole and octet by octet."""
    whole = ClientHandshake(KEY, **options).receive(data + b'\x81\x00')
    client = ClientHandshake(KEY, **options)
    for position in range(len(data) - 1):
        assert client.receive(data[position:position + 1]) is None
    last = client.receive(memoryview(data[-1:] + b'\x81\x00'))
    assert isinstance(whole, handshake.Outcome)
    assert type(whole.event) is type(last.event)
    assert whole.surplus == last.surplus == b'\x81\x00' and whole.reply == b''
    assert whole.event.response.raw == data
    if isinstance(whole.event, Rejected):
        assert whole.event.reason == last.event.reason
        assert (whole.protocol, whole.extensions, whole.compression) == (None, set(), None)
    else:
        assert (whole.protocol, whole.extensions) == (whole.event.protocol, whole.event.extensions)
    return whole


@pytest.mark.parametrize('data', [
    response(), response(upgrade=b'WebSocket', connection=b'keep-alive, UPGRADE'),
    response(upgrade=b' \t websocket \t', connection=b'Upgrade,,'),
    response(status=b'HTTP/1.1 101'), response(status=b'HTTP/1.1 101 '),
    response(extra=[b'Set-Cookie: a=b', b'Set-Cookie: c=d', b'Fill: ' + b'y' * 8000]),
    response(extra=[b'Sec-WebSocket-Extensions:']), response().replace(b'\r\n', b'\n'),
    response().replace(b'Upgrade:', b'uPGRADE:').replace(b'Accept:', b'ACCEPT:'),
    response().replace(b'Upgrade\r\n', b'keep-alive\r\nConnection: upgrade\r\n')])
def test_accepted(data):
    outcome = judge(data)
    assert isinstance(outcome.event, Ready)
    assert (outcome.protocol, outcome.extensions, outcome.compression) == (None, set(), None)


def test_thirty_kilobytes_of_headers():
    data = response(extra=[b'Set-Cookie: ' + b'c' * 5000] * 6)
    assert isinstance(ClientHandshake(KEY).receive(data).event, Ready)


@pytest.mark.parametrize('data, reason', [
    # the status is looked at first
    (b'HTTP/1.1 404 Not Found\r\n\r\n', 'Websocket upgrade failed (code=404)'),
    (b'HTTP/1.0 503 x\r\nUpgrade: h2c\r\n\r\n', 'Websocket upgrade failed (code=503)'),
] + [(response(status=b'HTTP/1.1' + rest), 'Websocket upgrade failed (code=%s)' % code) for rest, code in (
    (b' 099 x', '099'), (b' 200 OK', '200'), (b' +101 x', '+101'), (b' 1_01 x', '1_01'),
    (b' 0101 x', '0101'), (b' 1010 x', '1010'), (b'  101 x', ''), (b'\t101 x', 'x'), (b' 101\tx', '101\\tx'),
    (b'', ''), (b' ' + b'9' * 5000, '99999999999999999999...'))
] + [(response(status=version + b' 101 x'), "version of the response is '%s'; HTTP/1.1 is needed" % shown)
     for version, shown in (
         (b'HTTP/1.0', 'HTTP/1.0'), (b'HTTP/2', 'HTTP/2'), (b'HTTP/1.1\x1b', 'HTTP/1.1\\x1b'))
] + [(data, "Can't upgrade to " + shown) for data, shown in (
    (response(drop=[b'Upgrade']), '<header missing>'), (response(upgrade=b'h2c'), 'h2c'),
    (response(upgrade=b'x\x1b[2J\xff'), 'x\\x1b[2J\\ufffd'), (response(upgrade=b'y' * 500), 'y' * 80 + '...'),
    (response(upgrade=b''), '<header empty>'), (response(upgrade=b'websocket, h2c'), 'websocket, h2c'),
    (response(extra=[b'Upgrade: websocket']), 'websocket,websocket'))
] + [(data, "Connection header is '%s'; the token Upgrade is needed" % shown) for data, shown in (
    (response(drop=[b'Connection']), ''), (response(connection=b'close'), 'close'),
    (response(connection=b'xupgrade, upgrade-x'), 'xupgrade, upgrade-x'))
] + [(response(accept=accept), 'Sec-WebSocket-Accept challenge failed') for accept in (
    b'', ACCEPT.swapcase(), ACCEPT + b'=', b'"' + ACCEPT + b'"', ACCEPT + b'\xff', accept_value(b'x' * 24))
] + [
    (response(extra=[b'Sec-WebSocket-Accept: ' + ACCEPT]), 'Sec-WebSocket-Accept challenge failed'),
    (response(drop=[b'Sec-WebSocket-Accept']), 'No Sec-WebSocket-Accept header'),
    (response(extra=[b'Sec-WebSocket-Protocol: c']), "subprotocol 'c' was not offered")])
def test_rejected(data, reason):
    event = judge(data).event
    assert isinstance(event, Rejected) and event.reason == reason


@pytest.mark.parametrize('lines, protocol', [
    ([], None), ([b'a'], 'a'), ([b' Chat '], 'Chat'),
    ([b'A'], "subprotocol 'A' was not offered"), ([b'chat'], "subprotocol 'chat' was not offered"),
    ([b'a, Chat'], "subprotocol 'a, Chat' was not offered"), ([b''], "subprotocol '' was not offered"),
    ([b'\xe9\x00'], "subprotocol '\\xe9\\x00' was not offered"),
    ([b'a', b'a'], '2 Sec-WebSocket-Protocol headers; one is allowed'),
    ([b'a', b''], '2 Sec-WebSocket-Protocol headers; one is allowed')])
def test_subprotocol(lines, protocol):
    outcome = judge(response(extra=[b'Sec-WebSocket-Protocol: ' + line for line in lines]),
                    protocols=['a', 'Chat'])
    if isinstance(outcome.event, Ready):
        assert outcome.protocol == protocol
    else:
        assert outcome.event.reason == protocol


@pytest.mark.parametrize('data', [
    b'SSH-2.0', b'\r\n', b'HTTP 1.1', b'HTTP/1.1 101\r\n' + b'X: y\r\n' * 20000])
def test_no_http(data):
    with pytest.raises(CriticalProtocolError):
        ClientHandshake(KEY).receive(data)


# --- the client's extensions ---

def judge_extensions(lines, deflate):
    return judge(response(extra=[b'Sec-WebSocket-Extensions: ' + line for line in lines]), deflate=deflate)


@pytest.mark.parametrize('lines', [
    [], [b'permessage-deflate'], [b' permessage-deflate ; server_max_window_bits="12"'],
    [b'permessage-deflate; client_no_context_takeover,']])
def test_extension_that_was_offered(lines):
    outcome = judge_extensions(lines, Deflate())
    assert isinstance(outcome.event, Ready)
    assert outcome.extensions == ({'permessage-deflate'} if lines else set())
    assert (outcome.compression is not None) == bool(lines)


@pytest.mark.parametrize('value', [b'permessage-deflate', b'x-unknown', b'permessage-deflate; a="b, c"'])
def test_extension_that_was_not_offered(value):
    event = judge_extensions([value], None).event
    assert isinstance(event, Rejected) and event.reason


@pytest.mark.parametrize('lines', [
    [b'permessage-deflate', b'permessage-deflate'], [b'permessage-deflate, permessage-deflate'],
    [b'permessage-deflate; unknown'], [b'permessage-deflate; server_max_window_bits=16'],
    [b'permessage-deflate, x-unknown'], [b'permessage-deflate; server_max_window_bits=7']])
def test_extension_that_is_wrong(lines):
    event = judge_extensions(lines, Deflate()).event
    assert isinstance(event, Rejected) and event.reason


def test_compression_is_forgotten_with_a_rejection():
    def on_response(answer):
        client.check_response(answer)
        assert client.compression is not None
        raise HandshakeError('on second thoughts')
    client = ClientHandshake(KEY, deflate=Deflate(), on_response=on_response)
    outcome = client.receive(response(extra=[b'Sec-WebSocket-Extensions: permessage-deflate']))
    assert outcome.event.reason == 'on second thoughts'
    assert outcome.compression is client.compression is None


def test_negotiate_by_hand():
    client = ClientHandshake(KEY, deflate=Deflate())
    assert client.negotiate([]) == set() and client.compression is None
    assert client.negotiate(['permessage-deflate']) == {'permessage-deflate'}
    assert client.compression is not None
    with pytest.raises(CompressionParameterError):
        client.negotiate(['permessage-deflate; server_max_window_bits=16'])
    assert client.compression is None


def test_process_extensions_may_be_overridden():
    seen = []
    def process(texts):
        seen.append(texts)
        return ['mine']
    data = response(extra=[b'Sec-WebSocket-Extensions: x-mine; a="b, c", y', b'Sec-WebSocket-Extensions: z'])
    outcome = judge(data, process_extensions=process)
    assert outcome.extensions == {'mine'} and outcome.compression is None
    assert seen == [['x-mine; a="b, c"', 'y', 'z']] * 2
    # the argument of check_response goes before the one of the constructor
    client = ClientHandshake(KEY, process_extensions=process)
    assert client.check_response(Response(data), lambda texts: ['argument']) == (None, {'argument'})
    assert client.check_response(Response(data)) == (None, {'mine'})


# --- on_response ---

def test_on_response_decides():
    outcome = judge(b'HTTP/1.1 404 x\r\n\r\n', on_response=lambda answer: ('any', ['one']))
    assert isinstance(outcome.event, Ready)
    assert (outcome.protocol, outcome.extensions, outcome.compression) == ('any', {'one'}, None)


def test_on_response_refuses():
    def refuse(answer):
        raise HandshakeError('no {braces}\n please')
    assert judge(response(), on_response=refuse).event.reason == 'no {braces} please'


def test_on_response_that_is_broken():
    """A bug of the caller is no verdict."""
    def broken(answer):
        raise KeyError('bug')
    client = ClientHandshake(KEY, on_response=broken)
    with pytest.raises(KeyError):
        client.receive(response())


def test_check_response_by_hand():
    client = ClientHandshake(KEY, protocols=['p'])
    good = Response(response(extra=[b'Sec-WebSocket-Protocol: p']))
    assert client.check_response(good) == client.check_response(good) == ('p', set())
    with pytest.raises(HandshakeError):
        client.check_response(Response(b'HTTP/1.1 404 Nope\r\n\r\n'))


class Owner(object):
    def __init__(self):
        self.client = ClientHandshake(KEY, on_response=self.decide, process_extensions=self.process)
        self.server = ServerHandshake(on_request=self.ask)

    def decide(self, answer):
        return self.client.check_response(answer)

    def process(self, texts):
        return texts

    def ask(self, request):
        return None


@pytest.mark.skipif(not hasattr(sys, 'getrefcount'), reason='references are not counted')
def test_no_cycles_after_the_outcome():
    owner = Owner()
    gone = weakref.ref(owner)
    assert isinstance(owner.client.receive(response()).event, Ready)
    assert isinstance(owner.server.receive(REQUEST).event, Ready)
    with no_collector():
        del owner
        assert gone() is None


# --- the server ---

REQUEST = (b'GET /chat?x=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n'
           b'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
           b'Sec-WebSocket-Version: 13\r\n\r\n')
ANSWER = answer()


def request(*changes):
    """REQUEST with (old, new) replaced, and further lines at the end."""
    data = REQUEST
    for change in changes:
        if isinstance(change, tuple):
            assert change[0] in data
            data = data.replace(*change)
        else:
            data = data[:-2] + change + b'\r\n\r\n'
    return data


def serve(data, **options):
    """The outcome of a request, fed whole and octet by octet."""
    whole = ServerHandshake(**options).receive(data + b'\x81\x80')
    server = ServerHandshake(**options)
    for position in range(len(data) - 1):
        assert server.receive(data[position:position + 1]) is None
    last = server.receive(bytearray(data[-1:] + b'\x81\x80'))
    assert type(whole.event) is type(last.event)
    assert whole.reply == last.reply and whole.surplus == last.surplus == b'\x81\x80'
    assert isinstance(whole.event.response, Request)
    return whole


def test_server_accepts():
    """RFC 6455, 1.3."""
    outcome = serve(REQUEST)
    assert isinstance(outcome.event, Ready) and outcome.reply == ANSWER
    assert (outcome.protocol, outcome.extensions, outcome.compression) == (None, set(), None)
    assert outcome.event.response.target == '/chat?x=1'


@pytest.mark.parametrize('changes', [
    [(b'Upgrade: websocket', b'Upgrade: WebSocket, h2c')],
    [(b'Connection: Upgrade', b'Connection: keep-alive, UPGRADE')],
    [(b'HTTP/1.1', b'HTTP/1.2')], [(b'HTTP/1.1', b'HTTP/2.0')], [(b'Host: server.example.com', b'host:')],
    [(b'\r\n', b'\n')], [(b'GET /', b'GET http://server.example.com/')], [b'Folded: a\r\n b'],
    [b'Sec-WebSocket-Protocol: a', b'Sec-WebSocket-Extensions: x-unknown, permessage-deflate; what=ever']])
def test_server_accepts_variations(changes):
    assert serve(request(*changes)).reply == ANSWER


@pytest.mark.parametrize('changes, status, reason', [
    ([(b'GET ', b'POST ')], 405, "method 'POST' is not GET"),
    ([(b'GET ', b'get ')], 405, "method 'get' is not GET"),
    ([(b'/1.1', b'/1.0')], 400, 'version is HTTP/1.0; HTTP/1.1 or newer is needed'),
    ([(b' HTTP/1.1', b'')], 400, "request line 'GET /chat?x=1' is not a method, a target and a version"),
    ([(b' HTTP/1.1', b' HTTP/1')], 400,
     "request line 'GET /chat?x=1 HTTP/1' is not a method, a target and a version"),
    ([(b' HTTP/1.1', b' HTTP/11.1')], 400, 'is not a method, a target and a version'),
    ([(b'/chat', b'/a b')], 400, 'is not a method, a target and a version'),
    ([(b'/chat?x=1', b'')], 400, 'is not a method, a target and a version'),
    ([b'no colon'], 400, "header line 'no ...' has no name before a colon"),
    ([(b'Host:', b'Host :')], 400, "header line 'Host ' has no name before a colon"),
    ([(b'Host: server.example.com\r\n', b'')], 400, '0 Host headers; one is needed'),
    ([b'Host: other'], 400, '2 Host headers; one is needed'),
    ([(b'Upgrade: websocket\r\n', b'')], 426, "Upgrade header is ''; the token websocket is needed"),
    ([(b'websocket\r\n', b'h2c\r\n')], 426, "Upgrade header is 'h2c'; the token websocket is needed"),
    ([(b'Connection: Upgrade\r\n', b'')], 400, "Connection header is ''; the token Upgrade is needed"),
    ([(b'n: Upgrade', b'n: close')], 400, "Connection header is 'close'; the token Upgrade is needed"),
    ([(b'Version: 13', b'Version: 8')], 426, "Sec-WebSocket-Version '8' is not 13"),
    ([(b'Version: 13', b'Version: 013')], 426, "Sec-WebSocket-Version '013' is not 13"),
    ([(b'Sec-WebSocket-Version: 13\r\n', b'')], 426, "Sec-WebSocket-Version '' is not 13"),
    ([b'Sec-WebSocket-Version: 13'], 426, "Sec-WebSocket-Version '13,13' is not 13"),
    ([(b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n', b'')], 400,
     'Sec-WebSocket-Key is not 16 octets in base64'),
] + [([change], 400, 'Sec-WebSocket-Key is not') for change in (
    (b'ZQ==', b'Z==='), (b'ZQ==', b'ZQ'), (b'dGhl', b''), (b'dGhl', b'dGhldGhl'), (b'dGhl', b'dG l'),
    (b'dGhl', b'dG-l'), b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')])
def test_server_refuses(changes, status, reason):
    outcome = serve(request(*changes))
    assert isinstance(outcome.event, Rejected) and reason in outcome.event.reason
    assert (outcome.protocol, outcome.extensions, outcome.compression) == (None, set(), None)
    head, _, body = outcome.reply.partition(b'\r\n\r\n')
    reply = Response(head)
    assert reply.status_code == status and reply.status
    assert body.decode('ascii') == outcome.event.reason + '\n'
    assert reply.get('content-length') == '%d' % len(body) and 'close' in reply.get_list('connection')
    assert reply.get('sec-websocket-version') == ('13' if status == 426 else None)
    assert reply.get('upgrade') == ('websocket' if status == 426 else None)
    assert reply.get('allow') == ('GET' if status == 405 else None)


@pytest.mark.parametrize('data', [
    b'\x16\x03\x01\x02\x00\x01', b'\r\nGET / HTTP/1.1', b'GET / HTTP/1.1\r\n' + b'x' * 70000])
def test_server_no_http(data):
    with pytest.raises(CriticalProtocolError):
        ServerHandshake().receive(data)


@pytest.mark.parametrize('offered, protocol', [
    ([], None), ([b'x'], None), ([b'b, a'], 'b'),
    ([b'x', b'a,b'], 'a'), ([b'A, b'], 'b'), ([b'', b'a'], 'a')])
def test_server_chooses_a_subprotocol(offered, protocol):
    outcome = serve(request(*[b'Sec-WebSocket-Protocol: ' + line for line in offered]), protocols=('a', 'b'))
    assert outcome.protocol == outcome.event.protocol == protocol
    found = Response(outcome.reply).header_lines('sec-websocket-protocol')
    assert found == ([protocol] if protocol else [])


def test_server_agrees_to_compression():
    server = ServerHandshake(deflate=Deflate())
    assert server.compression is None
    outcome = server.receive(request(b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'))
    assert outcome.extensions == outcome.event.extensions == {'permessage-deflate'}
    assert outcome.compression is server.compression is not None
    assert Response(outcome.reply).get('sec-websocket-extensions').startswith('permessage-deflate')
    outcome = ServerHandshake(deflate=Deflate()).receive(REQUEST)
    assert (outcome.extensions, outcome.compression) == (set(), None)


def test_server_refuses_broken_offers(monkeypatch):
    def refuse(deflate, offers):
        raise HandshakeError('broken offer')
    monkeypatch.setattr(permessage_deflate, 'negotiate_server', refuse)
    outcome = ServerHandshake().receive(request(b'Sec-WebSocket-Extensions: x'))
    assert outcome.event.reason == 'broken offer'
    assert outcome.reply.startswith(b'HTTP/1.1 400 Bad Request\r\n')


# --- on_request ---

def test_on_request_is_asked_about_good_requests_only():
    seen = []
    serve(REQUEST, on_request=seen.append)
    serve(request((b'GET', b'PUT')), on_request=seen.append)
    assert [found.target for found in seen] == ['/chat?x=1'] * 2


def test_on_request_answers():
    outcome = serve(REQUEST, on_request=lambda _: (401, [('WWW-Authenticate', 'Basic realm="x"')], b'who?'))
    assert isinstance(outcome.event, Rejected)
    assert outcome.event.reason == 'request was answered with status 401'
    assert outcome.reply == (b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n'
                             b'Content-Length: 4\r\nConnection: close\r\n\r\nwho?')
    assert (outcome.protocol, outcome.extensions, outcome.compression) == (None, set(), None)


@pytest.mark.parametrize('protocol', [None, 'mine'])
def test_on_request_accepts_by_its_own_rules(protocol):
    outcome = serve(request(b'Sec-WebSocket-Protocol: a'), protocols=['a'],
                    on_request=lambda _: ('accept', protocol, [('Set-Cookie', 'a=b'), (b'X', b'y')]))
    assert isinstance(outcome.event, Ready) and outcome.protocol == protocol
    reply = Response(outcome.reply)
    assert (reply.get('set-cookie'), reply.get('x')) == ('a=b', 'y')
    assert reply.get('sec-websocket-protocol') == protocol


def test_on_request_refuses_with_a_sentence():
    def refuse(asked):
        raise HandshakeError('not today')
    outcome = serve(REQUEST, on_request=refuse)
    assert outcome.event.reason == 'not today'
    assert outcome.reply.startswith(b'HTTP/1.1 400 ') and outcome.reply.endswith(b'not today\n')


# --- requests somebody else has read ---

PARTS = [('Host', 'example.test'), (b'Upgrade', b'websocket'), ('Connection', 'Upgrade'),
         ('Sec-WebSocket-Key', KEY), ('Sec-WebSocket-Version', '13')]


def test_from_parts():
    outcome = ServerHandshake(protocols=['p']).from_parts(
        'GET', b'/\xff?x', PARTS + [('Sec-WebSocket-Protocol', 'p'), ('X', 'caf\xe9'), ('Y', 'a\tb')])
    assert isinstance(outcome.event, Ready) and outcome.protocol == 'p' and outcome.surplus == b''
    assert outcome.reply.startswith(b'HTTP/1.1 101 ')
    asked = outcome.event.response
    assert (asked.method, asked.target) == ('GET', '/\ufffd?x')
    assert asked.header_lines('x') == ['caf\xe9'] and asked.get('y') == 'a\tb'


@pytest.mark.parametrize('method, target, headers, reason', [
    ('POST', '/', PARTS, "method 'POST' is not GET"),
    ('GET', '/', PARTS[1:], '0 Host headers; one is needed'),
    ('GET', '/', PARTS + [('X\r\nEvil', 'y')], "header name 'X' goes on with '\\r'"),
    ('GET', '/', PARTS + [('X', 'y\r\nEvil: yes'), ('Z\n', '')], "header 'X' has '\\r' in its value"),
    ('GET', '/\r\nEvil: yes', PARTS, 'request line has blanks or control characters'),
    ('GET', '/a b', PARTS + [('', '')], 'request line has blanks or control characters'),
    ('GET X', '/', PARTS, 'request line has blanks or control characters'),
    ('GET', '', PARTS, 'is not a method, a target and a version'),
    ('', '/', PARTS, "method '' is not GET")])
def test_from_parts_refuses(method, target, headers, reason):
    outcome = ServerHandshake().from_parts(method, target, headers)
    assert isinstance(outcome.event, Rejected) and reason in outcome.event.reason
    assert outcome.event.response.get('evil') is None
    assert outcome.reply.startswith(b'HTTP/1.1 40')


@pytest.mark.parametrize('method, target, headers', [
    (None, '/', PARTS), ('GET', 7, PARTS), ('GET', '/', [('A', 7)]), ('GET', '/', [(7, 'a')])])
def test_from_parts_types(method, target, headers):
    with pytest.raises(TypeError):
        ServerHandshake().from_parts(method, target, headers)


# --- both together ---

@pytest.mark.parametrize('deflate', [None, True])
@pytest.mark.parametrize('protocols', [[], ['b', 'a']])
def test_client_and_server(deflate, protocols):
    deflate = Deflate() if deflate else None
    key = make_key()
    asked = encode_request('/', 'example.test', key, protocols=protocols,
                           extensions='permessage-deflate; client_max_window_bits' if deflate else None)
    server = ServerHandshake(['a', 'b'], deflate).receive(asked)
    client = ClientHandshake(key, protocols, deflate).receive(server.reply + b'more')
    assert isinstance(server.event, Ready) and isinstance(client.event, Ready)
    assert client.protocol == server.protocol == ('b' if protocols else None)
    assert client.extensions == server.extensions == ({'permessage-deflate'} if deflate else set())
    assert (client.compression is None) == (server.compression is None) == (deflate is None)
    assert client.surplus == b'more'


def test_hashlib_is_imported_when_needed():
    assert not hasattr(handshake, 'hashlib')
