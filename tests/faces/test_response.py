"""HTTP heads and bodies: tables of octets, whole and one by one."""

from __future__ import absolute_import, division, unicode_literals

import random

import pytest

from lomond.errors import CriticalProtocolError
from lomond.response import (
    TOKEN_CHARACTERS,
    BodyReader,
    HeadReader,
    Request,
    Response,
    escape,
    is_token,
    split_list,
)

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
    ('"a,b",c', ['"a,b"', 'c']),
    ('x; p="1, 2, 3", y', ['x; p="1, 2, 3"', 'y']),
    ('"a\\",b",c', ['"a\\",b"', 'c']),
    ('"a\\\\",b', ['"a\\\\"', 'b']),
    ('a, "b" "c", d', ['a', '"b" "c"', 'd']),
    ('"a, "b", "c', ['"a, "b", "c']),
    ('"a, b", "c, d', ['"a, b"', '"c', 'd']),
    ('"a, b, c', ['"a', 'b', 'c']),
    ('a, b", c', ['a', 'b"', 'c'])])
def test_split_list(value, elements):
    assert split_list(value) == elements


# --- Response ---

def test_status_line():
    response = Response(RAW)
    assert (response.http_ver, response.status_code) == ('HTTP/1.1', 101)
    assert response.status == 'Switching Protocols'
    assert response.first_line == 'HTTP/1.1 101 Switching Protocols'
    assert response.body == b''
    assert response.defect is None


@pytest.mark.parametrize('line, parts', [
    (b'HTTP/1.1 404', ('HTTP/1.1', 404, '')),
    (b'HTTP/1.1 404 ', ('HTTP/1.1', 404, '')),
    (b'HTTP/1.0 200 All is \t well ', ('HTTP/1.0', 200, 'All is \t well')),
    (b'HTTP/2 7 x', ('HTTP/2', 7, 'x')),
    (b'HTTP/1.1 0 x', ('HTTP/1.1', 0, 'x')),
    (b'', ('', None, '')),
    (b'garbage', ('garbage', None, '')),
    (b'HTTP/1.1', ('HTTP/1.1', None, '')),
    (b'HTTP/1.1  101 x', ('HTTP/1.1', None, '101 x')),
    (b'HTTP/1.1\t101 x', ('HTTP/1.1\t101', None, '')),
    (b'HTTP/1.1 101\tx', ('HTTP/1.1', None, '')),
    (b'HTTP/1.1 abc x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 +101 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 -1 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 1_01 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 0101 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 101.0 x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 ' + b'9' * 6000 + b' x', ('HTTP/1.1', None, 'x')),
    (b'HTTP/1.1 500 caf\xe9', ('HTTP/1.1', 500, 'caf\ufffd')),
    (b'HTTP/1.1 \xd9\xa1 x', ('HTTP/1.1', None, 'x')),
])
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
    for name in ('twice', 'Twice', 'TWICE'):
        assert response.get(name) == 'one,two'
        assert response.get_list(name) == ['one', 'two']
        assert response.header_lines(name) == ['one', 'two']
    assert response.get('nope') is None
    assert response.get('nope', 'x') == 'x'
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


def test_native_name():
    assert Response(RAW).get(str('upgrade')) == 'websocket'


@pytest.mark.parametrize('make', [bytes, bytearray, memoryview])
def test_raw(make):
    response = Response(make(RAW))
    assert response.raw == RAW and isinstance(response.raw, bytes)
    assert response.get('upgrade') == 'websocket'


@pytest.mark.parametrize('data', ['text', None, 7])
def test_header_data_must_be_bytes(data):
    if isinstance(data, bytes):
        pytest.skip('native text is bytes here')
    with pytest.raises(TypeError):
        Response(data)


@pytest.mark.parametrize('lines, headers, defect', [
    (b'X: y\n', {'x': 'y'}, None),
    (b'X: y\r\nZ:a\rb\r\n', {'x': 'y', 'z': 'a b'}, None),
    (b'no colon\r\n folded\r\nA: b\r\n', {'a': 'b'}, "header line 'no colon' has no name before a colon"),
    (b': nothing\r\n:\r\nA: b\r\n', {'a': 'b'}, "header line '' has no name before a colon"),
    (b' : nothing\r\nA: b\r\n', {'a': 'b'}, 'folded line without a header'),
    (b' x\r\n\ty\r\n', {}, 'folded line without a header'),
    (b'Upgrade : websocket\r\n', {'upgrade': 'websocket'},
     "header line 'Upgrade ' has no name before a colon"),
    (b'\xe9\x00: v\r\n', {'\ufffd\x00': 'v'}, "header line '\\xe9\\x00' has no name before a colon"),
    (b'A: \x0b\x1cv\r\n', {'a': '\x0b\x1cv'}, None),
])
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
        BodyReader(Response(raw)).feed(raw)


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


# --- HeadReader ---

HEADS = [
    ('response', b'HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n'),
    ('response', b'HTTP/1.1 101\r\n\r\n'),
    ('response', b'HTTP/1.1 101\n\n'),
    ('response', b'HTTP/1.1 101\nA: b\r\nC: d\n\r\n'),
    ('response', b'HTTP/1.1 101\r\nA: b\r\n\n'),
    ('response', b'HTTP/\r\r\n\r\n'),
    ('request', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    ('request', b'M-SEARCH * HTTP/1.1\n\n'),
]


@pytest.mark.parametrize('kind, head', HEADS)
@pytest.mark.parametrize('make', [bytes, bytearray, memoryview])
@pytest.mark.parametrize('surplus', [b'', b'\x81\x01a', b'\r\n\r\nHTTP/1.1\n\n'])
def test_head_however_it_is_cut(kind, head, make, surplus):
    reader = HeadReader(kind=kind)
    assert reader.feed(make(head + surplus)) == head
    assert reader.surplus == surplus and isinstance(reader.surplus, bytes)
    for size in (1, 2, 3, 5):
        reader = HeadReader(kind=kind)
        data = head + surplus
        for start in range(0, len(data), size):
            found = reader.feed(make(data[start:start + size]))
            if found is not None:
                break
            assert reader.surplus == b''
        assert found == head and isinstance(found, bytes)
        assert reader.surplus == data[len(head):start + size]


@pytest.mark.parametrize('kind, data, at', [
    ('response', b'SSH-2.0-x\r\n', 1), ('response', b'\r\nHTTP/1.1 101\r\n\r\n', 1), ('response', b'\n\n', 1),
    ('response', b'http/1.1 101\r\n\r\n', 1), ('response', b' HTTP/1.1', 1), ('response', b'HTTP 1.1', 5),
    ('response', b'HTTPS/1.1', 5), ('response', b'HT\x00', 3), ('response', b'\x15\x03\x01', 1),
    ('request', b'\x16\x03\x01\x02\x00', 1), ('request', b'\r\nGET / HTTP/1.1', 1), ('request', b' GET /', 1),
    ('request', b'GET\t/ HTTP/1.1', 4), ('request', b'GET\r\n', 4), ('request', b'G\xc3T / ', 2)])
def test_no_http_is_noticed_at_once(kind, data, at):
    with pytest.raises(CriticalProtocolError) as caught:
        HeadReader(kind=kind).feed(data)
    assert 'no HTTP' in str(caught.value)
    assert '\r' not in str(caught.value) and '\x00' not in str(caught.value)
    reader = HeadReader(kind=kind)
    for position in range(at - 1):
        assert reader.feed(data[position:position + 1]) is None
    with pytest.raises(CriticalProtocolError):
        reader.feed(data[at - 1:at])


def test_what_came_instead_is_shown():
    with pytest.raises(CriticalProtocolError) as caught:
        HeadReader().feed(b'SSH-2.0-OpenSSH\r\n' + b'x' * 100)
    assert str(caught.value) == (
        "response begins with 'SSH-2.0-OpenSSH\\r\\nxxxxxxxxxxxxxxx...', not with HTTP/: no HTTP")


def test_nothing_is_no_mistake():
    for kind in ('response', 'request'):
        assert HeadReader(kind=kind).feed(b'') is None


@pytest.mark.parametrize('step', [1, 1000, 10 ** 6])
def test_head_limit(step):
    for size, is_good in ((65536, True), (65537, False)):
        head = b'HTTP/1.1 101 x\r\nFill: '
        head += b'y' * (size - len(head) - 4) + b'\r\n\r\n'
        reader = HeadReader()

        def feed(size=size, head=head, reader=reader):
            for start in range(0, size, step):
                found = reader.feed(head[start:start + step])
            return found
        if is_good:
            assert feed() == head
        else:
            with pytest.raises(CriticalProtocolError) as caught:
                feed()
            assert str(caught.value) == 'header block is above 64 KiB (65536 bytes)'


def test_head_limit_without_an_end():
    for kind, start in (('response', b'HTTP/1.1 101 x\r\n'), ('request', b'GET / HTTP/1.1\r\n'),
                        ('request', b'')):
        reader = HeadReader(limit=2048, kind=kind)
        with pytest.raises(CriticalProtocolError) as caught:
            reader.feed(start + b'x' * 2049)
        assert str(caught.value) == 'header block is above 2 KiB (2048 bytes)'


def test_surplus_does_not_count():
    reader = HeadReader(limit=100)
    assert reader.feed(b'HTTP/1.1 101\r\n\r\n' + b'x' * 100000) == b'HTTP/1.1 101\r\n\r\n'
    assert len(reader.surplus) == 100000


def test_kind():
    with pytest.raises(ValueError):
        HeadReader(kind='answer')


# --- BodyReader ---

def body_of(headers, data, size, status=404, limit=65536):
    reader = BodyReader(Response(b'HTTP/1.1 %d x\r\n' % status + headers + b'\r\n'), limit)
    for start in range(0, len(data), size):
        reader.feed(data[start:start + size])
    assert isinstance(reader.body, bytes)
    return reader.body, reader.is_complete


CHUNKED = b'Transfer-Encoding: chunked\r\n'
BODIES = [
    # headers, data, body, whole before the end of the stream
    (b'', b'abc', b'abc', False),
    (b'', b'', b'', False),
    (b'Content-Length: 3\r\n', b'abc', b'abc', True),
    (b'Content-Length: 3\r\n', b'abcdef', b'abc', True),
    (b'Content-Length: 3\r\n', b'ab', b'ab', False),
    (b'Content-Length: 0\r\n', b'abc', b'', True),
    (b'Content-Length: 3\r\nContent-Length: 3\r\n', b'abcd', b'abc', True),
    (b'Content-Length: 3, 3\r\n', b'abcd', b'abc', True),
    # nothing to go by: to the end of the stream
    (b'Content-Length: 3\r\nContent-Length: 4\r\n', b'abcde', b'abcde', False),
    (b'Content-Length: -3\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: +3\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: 1_0\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: x\r\n', b'abcd', b'abcd', False),
    (b'Content-Length:\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: ' + b'9' * 5000 + b'\r\n', b'abcd', b'abcd', False),
    (b'Transfer-Encoding: gzip\r\n', b'abcd', b'abcd', False),
    (b'Transfer-Encoding: chunked, gzip\r\n', b'abcd', b'abcd', False),
    # chunks
    (CHUNKED, b'3\r\nabc\r\n0\r\n\r\n', b'abc', True),
    (CHUNKED, b'3\r\nabc\r\n0\r\n\r\nmore', b'abc', True),
    (b'Transfer-Encoding: gzip, Chunked\r\n', b'1\r\na\r\n0\r\n\r\n', b'a', True),
    (CHUNKED + b'Content-Length: 5\r\n', b'3\r\nabc\r\n0\r\n\r\n', b'abc', True),
    (CHUNKED, b'3\nabc\n0\n\n', b'abc', True),
    (CHUNKED, b'3;a=b;c="d\te"\r\nabc\r\n00a \r\n0123456789\r\n000;x\r\n\r\n', b'abc0123456789', True),
    (CHUNKED, b'B\r\n\r\n0\r\n\r\n\r\n\r\n\r\n0\r\n\r\n', b'\r\n0\r\n\r\n\r\n\r\n', True),
    (CHUNKED, b'1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nmore', b'a', True),
    (CHUNKED, b'1\r\na\r\n0\r\nTrailer: x\r\n', b'a', False),
    (CHUNKED, b'3\r\nabc\r\n', b'abc', False),
    (CHUNKED, b'5\r\nabc', b'abc', False),
    (CHUNKED, b'0\r\n\r\n', b'', True),
    # broken chunks end it
    (CHUNKED, b'3\r\nabcd\r\n2\r\nef\r\n', b'abc', True),
    (CHUNKED, b'\r\nabc', b'', True),
    (CHUNKED, b'x\r\nabc', b'', True),
    (CHUNKED, b'-1\r\nabc', b'', True),
    (CHUNKED, b'0x3\r\nabc', b'', True),
    (CHUNKED, b'1\r\na\r\nabc\xe9\r\n', b'a', True),
    (CHUNKED, b'1' * 16 + b'\r\nabc', b'', True),
    (CHUNKED, b'f' * 15 + b'\r\nabc', b'abc', False),
    (CHUNKED, b'1' * 5000, b'', True),
    (CHUNKED, b'1\r\na\r\n0\r\n' + b'x' * 5000, b'a', True),
]


@pytest.mark.parametrize('headers, data, body, is_complete', BODIES)
@pytest.mark.parametrize('size', [1, 2, 3, 7, 10 ** 6])
def test_body(headers, data, body, is_complete, size):
    assert body_of(headers, data, size) == (body, is_complete)


@pytest.mark.parametrize('status, is_complete', [
    (100, True), (101, True), (199, True), (204, True), (304, True), (99, False), (200, False), (205, False)])
def test_statuses_without_a_body(status, is_complete):
    for headers in (b'', b'Content-Length: 3\r\n', CHUNKED):
        assert body_of(headers, b'', 1, status=status) == (b'', is_complete)
    assert body_of(b'', b'abc', 1, status=status)[0] == (b'' if is_complete else b'abc')


def test_body_of_a_response_without_a_status():
    reader = BodyReader(Response(b'HTTP/1.1 abc\r\n\r\n'))
    reader.feed(b'x')
    assert (reader.body, reader.is_complete) == (b'x', False)


@pytest.mark.parametrize('headers, data', [
    (b'', b'x' * 500), (b'Content-Length: 500\r\n', b'x' * 500), (b'Content-Length: 100\r\n', b'x' * 500),
    (CHUNKED, b'1f4\r\n' + b'x' * 500), (CHUNKED, b'a\r\nxxxxxxxxxx\r\n' * 50)])
@pytest.mark.parametrize('size', [1, 7, 99, 100, 101, 1000])
def test_body_limit(headers, data, size):
    assert body_of(headers, data, size, limit=100) == (b'x' * 100, True)


@pytest.mark.parametrize('make', [bytes, bytearray, memoryview])
def test_body_buffer_types(make):
    reader = BodyReader(Response(b'HTTP/1.1 404 x\r\n' + CHUNKED + b'\r\n'))
    reader.feed(make(b'3\r\nabc\r\n0\r\n'))
    reader.feed(make(b'\r\n'))
    assert (reader.body, reader.is_complete) == (b'abc', True)
