# -*- coding: utf-8 -*-
"""How a server judges requests: the order of refusals, origins, paths, bodies, on_request."""

from __future__ import absolute_import, division, unicode_literals

import sys

import pytest
from support.frames import BINARY, KEY, frame
from support.opening import HANDSHAKE_KEY, answer

from lomond.errors import CriticalProtocolError, HandshakeError
from lomond.protocol import states
from lomond.protocol.connection import SERVER, Connection
from lomond.protocol.handshake import ServerHandshake, encode_refusal
from lomond.response import Request, Response

GOOD = ('GET /chat?x=1 HTTP/1.1', 'Host: app.example', 'Upgrade: websocket', 'Connection: Upgrade',
        'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: ' + HANDSHAKE_KEY.decode('ascii'))
PLAIN = ('GET /chat HTTP/1.1', 'Host: app.example')
EVIL = 'Origin: https://evil.example'
UNPARSED = ('Bad header', 'Host : x')


def judge(lines, **options):
    """Feed a request whole, in octets, and as parts: the same outcome; return status, body, Response."""
    options.setdefault('asks_all', True)
    data = '\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n'
    first = ServerHandshake(**options).receive(data)
    again = ServerHandshake(**options)
    for position in range(len(data)):
        outcome = again.receive(data[position:position + 1])
    outcomes = [first, outcome]
    parts = lines[0].split(' ')
    if len(parts) == 3 and not any(line in lines for line in UNPARSED):
        outcomes.append(ServerHandshake(**options).from_parts(
            parts[0], parts[1], [line.split(': ', 1) for line in lines[1:]], parts[2]))
    for outcome in outcomes:
        assert outcome.reply == first.reply and outcome.event.name == first.event.name
        head, _, body = outcome.reply.partition(b'\r\n\r\n')
        assert (outcome.status, outcome.body) == (Response(head).status_code, body)
        assert [name + b': ' + value for name, value in outcome.headers] == head.split(b'\r\n')[1:]
        assert outcome.event.name == ('ready' if outcome.status == 101 else 'rejected')
        assert 'lomond' not in head.decode('latin-1').lower() and b'Server:' not in head
        if outcome.status != 101:
            assert b'Connection: close' in head
    return first.status, first.body, Response(head)


# --- Request ---

@pytest.mark.parametrize('target, path, query', [
    ('/', '/', ''), ('/chat?x=1&y=%20?', '/chat', 'x=1&y=%20?'), ('/a/../b', '/a/../b', ''),
    ('/%2e//?', '/%2e//', ''),
    ('http://x:80/p/q?r', '/p/q', 'r'), ('HTTPS://x', '/', ''), ('*', '*', ''), ('//x/y', '//x/y', '')])
def test_path_and_query(target, path, query):
    request = Request('GET {} HTTP/1.1\r\nA: 1, 2\r\nA: 3\r\n\r\n'.format(target).encode('ascii'))
    assert (request.target, request.path, request.query) == (target, path, query)
    assert request.get_list('a') == ['1', '2', '3'] and request.header_lines('A') == ['1, 2', '3']
    assert request.context == {} and request.context is not Request(b'GET / HTTP/1.1\r\n\r\n').context


# --- the order of refusals ---

def deny(request):
    return 401, [('X-Seen', request.method)], b'who?'


#: Each request has this fault and all later ones; the answer is about the first.
FAULTS = [
    (400, 'Bad header'), (400, 'Content-Length: 3'), (405, 'POST'), (403, EVIL), (401, None), (404, None),
    (426, None)]


@pytest.mark.parametrize('first', range(len(FAULTS)))
def test_order(first):
    faults = FAULTS[first:]
    lines = [PLAIN[0].replace('GET', 'POST') if (405, 'POST') in faults else PLAIN[0]] + list(GOOD[1:4])
    lines += ['Sec-WebSocket-Version: 8'] + [words for _, words in faults if words and ':' in words]
    lines += [words for _, words in faults if words == 'Bad header']
    options = {'origins': None, 'paths': {'/chat'} if first == 6 else {'/other'}}
    if first <= 4:
        options['on_request'] = deny
    assert judge(lines, **options)[0] == faults[0][0]


@pytest.mark.parametrize('lines, status, words', [
    (('GET / HTTP/1.1', 'Host : x'), 400, "header line 'Host ' has no name before a colon"),
    (('GET /',), 400, "request line 'GET /' is not a method, a target and a version"),
    (('GET /a\x1b[31m HTTP/1.1',) + GOOD[1:], 400, 'request line has blanks or control characters'),
    (('GET /a\rb HTTP/1.1',) + GOOD[1:], 400, 'request line has blanks or control characters'),
    (GOOD + ('x: a\0b',), 400, "header 'x' has '\\x00' in its value (offset 1); it must not"),
    (GOOD + ('x: a\tb', 'y: \x7f'), 400, "header 'y' has '\\x7f' in its value (offset 0); it must not"),
    (('GET / HTTP/1.1',), 400, '0 Host headers; one is needed'),
    (PLAIN + ('Host: b',), 400, '2 Host headers; one is needed'),
    (GOOD + ('Content-Length: 1',), 400, 'request has a body; none is allowed'),
    (GOOD + ('Content-Length: +0',), 400, "Content-Length '+0' is not a number"),
    (GOOD + ('Transfer-Encoding: chunked',), 400, 'request has a body; none is allowed'),
    (('GET / HTTP/1.0',) + GOOD[1:], 400, 'version is HTTP/1.0; HTTP/1.1 or newer is needed'),
    (('OPTIONS /chat HTTP/1.1', PLAIN[1]), 405, "method 'OPTIONS' is not GET"),
    (GOOD + (EVIL,), 403,
     "origin 'https://evil.example' is not allowed here (Host is 'app.example'; see origins=)"),
    (GOOD + ('Origin: https://app.example', 'Origin: null'), 403,
     "origin 'https://app.example, null' is not allowed"),
    (GOOD + ('Origin: \xe9' + 'y' * 99,), 403, "origin '\\xe9" + 'y' * 79 + "...' is not allowed here"),
    (('GET /other?/chat HTTP/1.1',) + GOOD[1:], 404, "there is nothing at '/other'"),
    (('GET /chat/ HTTP/1.1',) + GOOD[1:], 404, "there is nothing at '/chat/'"),
    (('GET /%63hat HTTP/1.1',) + GOOD[1:], 404, "there is nothing at '/%63hat'"),
    (('GET //chat HTTP/1.1',) + GOOD[1:], 404, "there is nothing at '//chat'"),
    (('GET /chat/../chat HTTP/1.1',) + GOOD[1:], 404, "there is nothing at '/chat/../chat'"),
    (PLAIN, 426, "Upgrade header is ''; the token websocket is needed"),
    (PLAIN + (EVIL,), 426, "Upgrade header is ''; the token websocket is needed"),
    (('GET /chat HTTP/1.0',), 426, "Upgrade header is ''; the token websocket is needed"),
    (GOOD[:4] + ('Sec-WebSocket-Version: 8',), 426, "Sec-WebSocket-Version '8' is not 13"),
    (GOOD[:3] + GOOD[4:], 400, "Connection header is ''; the token Upgrade is needed"),
    (GOOD[:5], 400, 'Sec-WebSocket-Key is not 16 octets in base64')])
def test_refusals(lines, status, words):
    found, body, reply = judge(lines, origins=None, paths={'/chat': None})
    assert found == status and body.decode('ascii').startswith(words) and body.endswith(b'\n')
    assert reply.get('content-type') == 'text/plain; charset=utf-8'
    assert (reply.get('upgrade'), reply.get('sec-websocket-version')) == (
        ('websocket', '13') if status == 426 else (None, None))
    assert reply.get('allow') == ('GET, HEAD' if status == 405 else None)


@pytest.mark.parametrize('extra', [(), ('Origin: http://app.example',), ('Content-Length: 0',)])
def test_accepted(extra):
    assert ServerHandshake(origins=None, paths={'/chat'}, asks_all=True).receive(
        '\r\n'.join(GOOD + extra).encode('ascii') + b'\r\n\r\n').reply == answer()
    assert judge(GOOD + extra, origins=None, paths={'/chat'})[:2] == (101, b'')


def test_head_is_answered_but_not_upgraded():
    status, body, reply = judge(('HEAD' + GOOD[0][3:],) + GOOD[1:])
    assert (status, body, reply.get('upgrade')) == (426, b'', 'websocket')
    assert reply.get('content-length') == '%d' % len("method 'HEAD' is not GET\n")


# --- on_request ---

def test_on_request_is_asked_about_every_get_and_head():
    seen = []
    for lines in (GOOD, PLAIN, ('HEAD' + PLAIN[0][3:],) + GOOD[1:], GOOD[:4], ('GET /health HTTP/1.0',)):
        handshake = ServerHandshake(origins=None, paths=(), asks_all=True, on_request=seen.append)
        assert handshake.receive('\r\n'.join(lines).encode('ascii') + b'\r\n\r\n').status == 404
    assert [(request.method, request.path) for request in seen] == [
        ('GET', '/chat'), ('GET', '/chat'), ('HEAD', '/chat'), ('GET', '/chat'), ('GET', '/health')]
    for lines in (GOOD + (EVIL,), ('POST' + PLAIN[0][3:], PLAIN[1])):
        assert judge(lines, origins=None, on_request=seen.append)[0] in (403, 405)
    assert len(seen) == 5


@pytest.mark.parametrize('lines, kind', [(GOOD, list), (PLAIN, iter)])
def test_on_request_answers(lines, kind):
    status, body, reply = judge(lines, on_request=lambda request: (
        200, kind([('A', 'caf\xe9'), (b'B', b'2')]), bytearray(b'ok')))
    assert (status, body) == (200, b'ok') and reply.get('content-length') == '2'
    assert reply.header_lines('a') == ['caf\xc3\xa9'] and reply.get('b') == '2'


@pytest.mark.parametrize('on_request, status, length', [
    (lambda request: (200, [], b'page'), 200, '4'), (None, 426, '52'),
    (lambda request: (204, [], b''), 204, None)])
def test_head_has_no_body(on_request, status, length):
    found, body, reply = judge(('HEAD' + PLAIN[0][3:], PLAIN[1]), on_request=on_request)
    assert (found, body, reply.get('content-length')) == (status, b'', length)


@pytest.mark.parametrize('protocol', [None, 'mine'])
def test_on_request_accepts(protocol):
    lines = GOOD + ('Sec-WebSocket-Protocol: a',)
    reply = judge(lines, protocols=['a'], on_request=lambda request: ('accept', protocol, [('Set-Cookie',
        'a=b')]))[2]
    assert (reply.status_code, reply.get('sec-websocket-protocol'), reply.get('set-cookie')) == (101,
        protocol, 'a=b')


def test_accept_does_not_replace_what_is_missing():
    accept = {'on_request': lambda request: ('accept', None, [])}
    assert judge(PLAIN, **accept)[0] == 426 and judge(GOOD, paths=(), **accept)[0] == 404


def failing(request):
    raise HandshakeError('a secret')


def leaving(request):
    raise SystemExit(3)


ONE_OF = "on_request must return None, (status, headers, body) or ('accept', protocol, headers), not "


@pytest.mark.parametrize('reply, words', [
    (True, ONE_OF + 'bool'), ((200, []), ONE_OF + '2 values'), ([404], ONE_OF + '1 values'),
    (('acept', None, []), "; a number from 200 to 599, or 'accept', is allowed"),
    ((200, [], 'page'), 'the body must be bytes, not '),
    ((200, {'A': 'b'}, b''), 'headers must be a list of pairs of name and value, not dict'),
    (('accept', None, None), 'headers must be a list of pairs of name and value, not NoneType'),
    ((200, ['X: y'], b''), 'headers must be a list of pairs of name and value, not of something else')])
def test_log_says_what_on_request_may_return(reply, words):
    told = []
    judge(GOOD, on_request=lambda request: reply, on_error=lambda request: told.append(sys.exc_info()[1]))
    assert len(told) == 3 and all(words in str(error) for error in told)


@pytest.mark.parametrize('reply', [
    failing, leaving, (200, [], 'text'), (200, [('A', 'b\r\nEvil: yes')], b''),
    (200, [('A\r\nEvil', 'b')], b''), (200, {'A': 'b'}, b''),
    (101, [], b''), (199, [], b''), (600, [], b''), ('200', [], b''), (200, []), 200, 'accept', True,
    (204, [], b'x'),
    ('accept', 'a b', []), ('accept', 7, []), ('accept', None, [('A', 'b\nc')]), ('accept', None, None),
    ('accept', None, [('Sec-WebSocket-Accept', 'x')]), ('accept', None, [(b'connection', b'close')])])
def test_response_splitting(reply):
    """What cannot be sent is a 500 that says nothing else, and one word to the log."""
    told = []
    def note(request):
        told.append((request.path, sys.exc_info()[0] is not None))
    status, body, response = judge(GOOD, on_request=reply if callable(reply) else lambda request: reply,
                                   on_error=note)
    assert (status, body) == (500, b'Internal Server Error\n') and response.get('evil') is None
    assert told == [('/chat', True)] * 3
    if reply is leaving:
        with pytest.raises(SystemExit):
            judge(GOOD, on_request=leaving)
    else:                               # nobody has to be told
        assert judge(GOOD, on_request=reply if callable(reply) else lambda request: reply)[0] == 500


def test_old_meaning():
    """lomond.testing asks about good requests only, and what goes wrong is raised."""
    with pytest.raises(TypeError):
        judge(GOOD, asks_all=False, on_request=lambda request: 200)
    assert judge(PLAIN, asks_all=False, on_request=deny)[0] == 426
    assert judge(GOOD, asks_all=False, on_request=failing)[:2] == (400, b'a secret\n')
    assert judge(('HEAD' + GOOD[0][3:],) + GOOD[1:], asks_all=False)[2].get('allow') == 'GET'


# --- Connection ---

@pytest.mark.parametrize('status, words', [
    (400, 'Bad Request'), (408, 'Request Timeout'), (431, 'Request Header Fields Too Large'),
    (500, 'Internal Server Error'), (503, 'Service Unavailable')])
def test_encode_refusal(status, words):
    head, _, body = encode_refusal(status).partition(b'\r\n\r\n')
    reply = Response(head)
    assert (reply.status_code, reply.status, body) == (status, words, words.encode('ascii') + b'\n')
    assert reply.get('retry-after') == ('5' if status == 503 else None)
    assert encode_refusal(status, 'why').endswith(b'\r\n\r\nwhy\n')


@pytest.mark.parametrize('data, status', [
    (b'\x16\x03\x01\x02\x00', 400), (b'GET / HTTP/1.1\r\n' + b'x' * 70000, 431)])
def test_what_is_no_request_is_answered(data, status):
    for pieces in ([data], [data[at:at + 1] for at in range(len(data) if status == 400 else 0)]):
        core = Connection(SERVER, ServerHandshake(asks_all=True))
        events = [event for piece in pieces for event in core.receive(piece)]
        assert [(event.name, event.critical) for event in events] in ([('protocol_error', True)], [])
        assert (core.take_outgoing() == [(None, encode_refusal(status))]) is bool(events)
    with pytest.raises(CriticalProtocolError):
        ServerHandshake().receive(data)


def test_refuse():
    core = Connection(SERVER, ServerHandshake())
    assert list(core.receive(b'GET / HTTP')) == []
    assert core.refuse(408) and core.state is states.REJECTED and not core.refuse(503)
    assert core.take_outgoing() == [(None, encode_refusal(408))]
    assert list(core.receive('\r\n'.join(GOOD).encode('ascii') + b'\r\n\r\n')) == []
    core = Connection(SERVER)
    assert not core.refuse(503) and core.state is states.OPEN and not core.take_outgoing()


def test_outcome_of_a_request_that_somebody_else_has_read():
    outcome = ServerHandshake(['p']).from_parts('GET', '/', [line.split(': ') for line in GOOD[1:]] + [
        ('Sec-WebSocket-Protocol', 'p')])
    core = Connection(SERVER, outcome=outcome, initial=frame(BINARY, b'early', key=KEY))
    assert core.state is states.CONNECTING
    ready, binary = core.resume()
    assert ready is outcome.event and binary.data == b'early' and core.subprotocol == 'p'
    assert core.state is states.OPEN and core.take_outgoing() == [(None, outcome.reply)]
    assert [event.name for event in core.receive(frame(BINARY, b'', key=KEY))] == ['binary']
    refused = ServerHandshake().from_parts('GET', '/', [])
    core = Connection(SERVER, outcome=refused)
    assert [event.name for event in core.resume()] == ['rejected']
    assert core.take_outgoing() == [(None, refused.reply)] and core.state is states.REJECTED
