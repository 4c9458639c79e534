"""HTTP heads: tables of octets, and what they become."""

from __future__ import absolute_import, division, unicode_literals

import random

import pytest

from lomond.response import TOKEN_CHARACTERS, Request, Response, escape, is_token, split_list

RAW = (b'HTTP/1.1 101 Switching Protocols\r\n'
       b'Upgrade: websocket\r\n'
       b'X-Mixed-CASE:   padded value  \r\n'
       b'Empty:\r\n'
       b'List: a, b ,c,,\r\n'
       b'Twice: one\r\n'
       b'TWICE: two\r\n'
       b'Folded: first\r\n'
       b'\tsecond\r\n'
       b'  \r\n'
       b'   third\r\n'
       b'Colons: a:b:c\r\n'
       b'Set-Cookie: a="1, 2"; x\r\n'
       b'set-cookie: b=\xe9\r\n'
       b'\r\n'
       b'Behind: the end\r\n\r\n')


# --- small helpers ---

@pytest.mark.parametrize('data, expected', [
    (b'', False), (b'a', True), (TOKEN_CHARACTERS, True), (b'a b', False), (b'a:', False), (b'\xe9', False),
    (b'a\x00', False), (b'a\n', False), (b'"a"', False), (b'(', False), (b'@', False), (b'/', False)])
def test_is_token(data, expected):
    assert is_token(data) is expected


def test_is_token_octet_by_octet():
    tokens = [octet for octet in range(256) if is_token(bytes(bytearray([octet])))]
    assert len(tokens) == 77 == len(TOKEN_CHARACTERS)


@pytest.mark.parametrize('value, shown', [
    ('plain', 'plain'), (b'plain', 'plain'), ('a\r\nb\x1b\x00', 'a\\r\\nb\\x1b\\x00'), (b'\xff', '\\xff'),
    (bytearray(b'ab'), 'ab'), ('\u2603', '\\u2603'), ('x' * 10, 'x' * 10), ('x' * 11, 'x' * 10 + '...'),
    (b'x' * 1000, 'x' * 10 + '...'), ('', '')])
def test_escape(value, shown):
    assert escape(value, 10) == shown


@pytest.mark.parametrize('value, elements', [
    ('', []), (' , ,', []), ('a', ['a']), ('a,b', ['a', 'b']), (' a ,\tb ', ['a', 'b']),
    ('"a,b",c', ['"a,b"', 'c']), ('x; p="1, 2, 3", y', ['x; p="1, 2, 3"', 'y']),
    ('"a\\",b",c', ['"a\\",b"', 'c']), ('"a\\\\",b', ['"a\\\\"', 'b']),
    ('a, "b" "c", d', ['a', '"b" "c"', 'd']), ('"a, "b", "c', ['"a, "b", "c']),
    ('"a, b", "c, d', ['"a, b"', '"c', 'd']), ('"a, b, c', ['"a', 'b', 'c']), ('a, b", c', ['a', 'b"', 'c'])])
def test_split_list(value, elements):
    assert split_list(value) == elements


# --- Response ---

def test_status_line():
    response = Response(RAW)
    assert (response.http_ver, response.status_code, response.status, response.first_line) == (
        'HTTP/1.1', 101, 'Switching Protocols', 'HTTP/1.1 101 Switching Protocols')
    assert response.body == b'' and response.defect is None


@pytest.mark.parametrize('line, parts', [
    (b'HTTP/1.1 404', ('HTTP/1.1', 404, '')), (b'HTTP/1.1 404 ', ('HTTP/1.1', 404, '')),
    (b'HTTP/1.0 200 All is \t well ', ('HTTP/1.0', 200, 'All is \t well')),
    (b'HTTP/2 7 x', ('HTTP/2', 7, 'x')), (b'HTTP/1.1 0 x', ('HTTP/1.1', 0, 'x')), (b'', ('', None, '')),
    (b'garbage', ('garbage', None, '')), (b'HTTP/1.1', ('HTTP/1.1', None, '')),
    (b'HTTP/1.1  101 x', ('HTTP/1.1', None, '101 x')), (b'HTTP/1.1\t101 x', ('HTTP/1.1\t101', None, '')),
    (b'HTTP/1.1 101\tx', ('HTTP/1.1', None, '')), (b'HTTP/1.1 abc x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 +101 x', ('HTTP/1.1', None, 'x')), (b'HTTP/1.1 -1 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 1_01 x', ('HTTP/1.1', None, 'x')), (b'HTTP/1.1 0101 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 101.0 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 ' + b'9' * 6000 + b' x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 500 caf\xe9', ('HTTP/1.1', 500, 'caf\ufffd')),
    (b'HTTP/1.1 \xd9\xa1 x', ('HTTP/1.1', None, 'x'))])
@pytest.mark.parametrize('end', [b'\r\n\r\n', b'\n\n', b'\r\n', b''])
def test_status_lines(line, parts, end):
    response = Response(line + end)
    assert (response.http_ver, response.status_code, response.status) == parts
    assert response.headers == {}


def test_headers():
    response = Response(RAW)
    assert response.headers == {
        'upgrade': 'websocket', 'x-mixed-case': 'padded value', 'empty': '', 'list': 'a, b ,c,,',
        'twice': 'one,two', 'folded': 'first second  third', 'colons': 'a:b:c',
        'set-cookie': 'a="1, 2"; x,b=\ufffd'}
    for name in ('twice', 'Twice', 'TWICE', str('twice')):
        assert response.get(name) == 'one,two'
        assert response.get_list(name) == ['one', 'two']
        assert response.header_lines(name) == ['one', 'two']
    assert response.get('nope') is None and response.get('nope', 'x') == 'x'
    assert response.get('empty', 'x') == ''
    assert response.get_list('list') == ['a', 'b', 'c']
    assert response.get_list('empty') == response.get_list('nope') == response.header_lines('nope') == []


def test_header_lines_lose_nothing():
    assert Response(RAW).header_lines('Set-Cookie') == ['a="1, 2"; x', 'b=\xe9']
    folded = Response(b'HTTP/1.1 401\r\nA: Basic,\r\n Digest a="b",\r\n\tc=d\r\nA: e\r\n\r\n')
    assert folded.header_lines('a') == ['Basic, Digest a="b", c=d', 'e']


@pytest.mark.parametrize('name', [b'\xe9', 7, None])
def test_name_must_be_text(name):
    for method in (Response(RAW).get, Response(RAW).get_list, Response(RAW).header_lines):
        with pytest.raises(TypeError) as caught:
            method(name)
        assert 'header name must be text' in str(caught.value)


@pytest.mark.parametrize('make', [bytes, bytearray, memoryview])
def test_raw(make):
    response = Response(make(RAW))
    assert response.raw == RAW and isinstance(response.raw, bytes)
    assert response.get('upgrade') == 'websocket'


@pytest.mark.parametrize('data', ['text', None, 7])
def test_header_data_must_be_bytes(data):
    with pytest.raises(TypeError):
        Response(data)


@pytest.mark.parametrize('lines, headers, defect', [
    (b'X: y\n', {'x': 'y'}, None), (b'X: y\r\nZ:a\rb\r\n', {'x': 'y', 'z': 'a b'}, None),
    (b'no colon\r\n folded\r\nA: b\r\n', {'a': 'b'}, "header line 'no ...' has no name before a colon"),
    (b': nothing\r\n:\r\nA: b\r\n', {'a': 'b'}, "header line '' has no name before a colon"),
    (b' : nothing\r\nA: b\r\n', {'a': 'b'}, 'folded line without a header'),
    (b' x\r\n\ty\r\n', {}, 'folded line without a header'),
    (b'Upgrade : websocket\r\n', {'upgrade': 'websocket'},
     "header line 'Upgrade ' has no name before a colon"),
    (b'\xe9\x00: v\r\n', {'\ufffd\x00': 'v'}, "header line '\\xe9\\x00' has no name before a colon"),
    (b'A: \x0b\x1cv\r\n', {'a': '\x0b\x1cv'}, None)])
def test_odd_lines(lines, headers, defect):
    response = Response(b'HTTP/1.1 200 OK\r\n' + lines + b'\r\n')
    assert response.headers == headers
    assert response.defect == defect


@pytest.mark.parametrize('raw, shown', [
    (b'HTTP/1.1 101 Web Socket Protocol Handshake\r\n\r\n',
     '<response HTTP/1.1 101 Web Socket Protocol Handshake>'),
    (b'HTTP/1.1 404\r\n\r\n', '<response HTTP/1.1 404>'), (b'', '<response >'),
    (b'HTTP/1.1 500 \xe9\x1b[2J\r\n\r\n', '<response HTTP/1.1 500 \\ufffd\\x1b[2J>'),
    (b'x' * 1000, '<response ' + 'x' * 200 + '...>')])
def test_repr(raw, shown):
    assert repr(Response(raw)) == shown
    assert isinstance(repr(Response(raw)), str)


def test_any_octets_make_a_response():
    choose = random.Random(7)
    pieces = [b'HTTP/1.1', b' ', b'\r\n', b'\n', b':', b'a', b'\t', b'\xff', b'\x00', b'"', b',', b'101',
              b'\r']
    for _ in range(2000):
        raw = b''.join(choose.choice(pieces) for _ in range(choose.randrange(40)))
        for kind in (Response, Request):
            head = kind(raw)
            assert head.raw == raw
            repr(head)
            for name in head.headers:
                head.get_list(name)
                assert head.header_lines(name)


def test_repeated_and_folded_headers_are_linear():
    lines = b'A: b\r\n c\r\n' * 6000
    assert len(Response(b'HTTP/1.1 200 OK\r\n' + lines + b'\r\n').get_list('a')) == 6000


# --- Request ---

def test_request():
    request = Request(b'GET /chat?x=1 HTTP/1.1\r\nHost: example.test\r\n\r\n')
    assert (request.method, request.target, request.http_ver) == ('GET', '/chat?x=1', 'HTTP/1.1')
    assert request.get('host') == 'example.test'
    assert repr(request) == '<request GET /chat?x=1 HTTP/1.1>'


@pytest.mark.parametrize('line', [b'', b'GET', b'GET /', b'GET  / HTTP/1.1', b'GET /a b HTTP/1.1'])
def test_request_line_without_three_parts(line):
    request = Request(line + b'\r\n\r\n')
    assert (request.method, request.target, request.http_ver) == ('', '', '')
    assert request.first_line == line.decode('ascii')
