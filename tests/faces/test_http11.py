"""HTTP/1.1 on the wire: heads and bodies, whole and octet by octet; headers and answers."""

from __future__ import absolute_import, division, unicode_literals

import os
import random
import time
import zlib

import pytest

from lomond._http11 import BodyReader, HeadReader, check_header, decode_body, encode_answer
from lomond.errors import CriticalProtocolError
from lomond.response import Response

# --- HeadReader ---

HEADS = [
    ('response', b'HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n'), ('response', b'HTTP/1.1 101\r\n\r\n'),
    ('response', b'HTTP/1.1 101\n\n'), ('response', b'HTTP/1.1 101\nA: b\r\nC: d\n\r\n'),
    ('response', b'HTTP/1.1 101\r\nA: b\r\n\n'), ('response', b'HTTP/\r\r\n\r\n'),
    ('request', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), ('request', b'M-SEARCH * HTTP/1.1\n\n')]


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
    assert 'not HTTP' in str(caught.value)
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
        "response is not HTTP; it begins with 'SSH-2.0-OpenSSH\\r\\nxxxxxxxxxxxxxxx...', not with HTTP/")


@pytest.mark.parametrize('step', [1, 1000, 10 ** 6])
def test_head_limit(step):
    def feed(size):
        start = b'HTTP/1.1 101 x\r\nFill: '
        head = start + b'y' * (size - len(start) - 4) + b'\r\n\r\n'
        reader = HeadReader()
        for at in range(0, size, step):
            found = reader.feed(head[at:at + step])
        assert found == head
    feed(65536)
    with pytest.raises(CriticalProtocolError) as caught:
        feed(65537)
    assert str(caught.value) == 'header block is above 64 KiB (65536 bytes)'


def test_head_limit_without_an_end():
    for kind, start in (('response', b'HTTP/1.1 101 x\r\n'), ('request', b'GET / HTTP/1.1\r\n'),
                        ('request', b'')):
        reader = HeadReader(limit=2048, kind=kind)
        with pytest.raises(CriticalProtocolError) as caught:
            reader.feed(start + b'x' * 2049)
        assert str(caught.value) == 'header block is above 2 KiB (2048 bytes)'


FINAL = b'HTTP/1.1 101 x\r\nA: b\r\n\r\n'


def find_head(data, size, **options):
    """Return what a reader finds in data that comes in pieces of this size."""
    reader = HeadReader(**options)
    for start in range(0, len(data), size):
        found = reader.feed(data[start:start + size])
        if found is not None:
            return found, reader.surplus + data[start + size:]


@pytest.mark.parametrize('before', [
    b'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n', b'HTTP/1.1 100 Continue\r\n\r\n' * 16,
    b'HTTP/1.1 102\r\n\r\n', b'HTTP/1.0 199 \n\n', b'HTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\n'])
def test_informational_answers_are_skipped(before):
    for size in (1, 2, 5, 10 ** 6):
        assert find_head(before, size) is None
        for final in (FINAL, b'HTTP/1.1 404\r\n\r\n', b'HTTP/1.1 1000\n\n', b'HTTP/1.1 0103 \n\n',
                      b'HTTP/1.1 103x\n\n', b'HTTP/1.1 10\n\n', b'HTTP/1.1  103\n\n'):
            assert find_head(before + final + b'\x81\x01a', size) == (final, b'\x81\x01a')


@pytest.mark.parametrize('data, message', [
    (b'HTTP/1.1 100\r\n\r\n' * 17, 'more than 16 informational answers (1xx) came before the final one'),
    (b'HTTP/1.1 100 x\r\nFill: ' + b'y' * 60000 + b'\r\n\r\nHTTP/1.1 101 x\r\nFill: ' + b'y' * 6000,
     'header block is above 64 KiB (65536 bytes, with the informational answers before it)'),
    (b'HTTP/1.1 100 x\r\n\r\nSSH-2.0\r\n', "response is not HTTP; it begins with 'S")])
def test_informational_answers_without_an_end(data, message):
    for size in (1, 1000, 10 ** 6):
        with pytest.raises(CriticalProtocolError) as caught:
            find_head(data, size)
        assert str(caught.value).startswith(message)


def test_all_heads_together_may_be_64_kib():
    def data(size):
        first = b'HTTP/1.1 100 x\r\nFill: ' + b'y' * 5000 + b'\r\n\r\n'
        start = b'HTTP/1.1 101 x\r\nFill: '
        return first + start + b'y' * (size - len(first) - len(start) - 4) + b'\r\n\r\n'
    assert find_head(data(65536), 4096)[1] == b''
    with pytest.raises(CriticalProtocolError):
        find_head(data(65537), 4096)


TLS, HTTP_2 = 'the server speaks TLS; use wss', 'HTTP/2'


@pytest.mark.parametrize('data, words', [
    (b'\x15\x03\x01\x00\x02\x02\x46', TLS), (b'\x16\x03\x03\x00\x7a\x02\x00', TLS),
    (b'\x15\x03\x00\x00\x02\x02\x28', TLS), (b'\x17\x03\x03', TLS),
    (b'\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64', HTTP_2),
    (b'\x00\x00\x00\x04\x01\x00\x00\x00\x00', HTTP_2), (b'\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00', HTTP_2),
    (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', HTTP_2),
    # neither
    (b'\x80\x2e\x04\x00\x01\x00\x02', None), (b'\x80\x03\x00\x00\x01', None), (b'\x15\x04\x01', None),
    (b'\x16\x03\x09', None), (b'\x00\x00\x12\x00\x00\x00\x00\x00\x00', None),
    (b'\x00\x00\x12\x04\x00\x00\x00\x00\x05', None), (b'\x00' * 20, None), (b'PROXY TCP4', None),
    (b'<html>It works</html>', None), (b'220 mail.example.test ESMTP\r\n', None), (b'SSH-2.0-x\r\n', None),
    (b'-ERR unknown command\r\n', None), (b'\x81\x05hello', None), (b'{}', None)])
def test_other_protocols_are_named(data, words):
    """On the first octet already, so that one that came alone is not waited for."""
    for size in (1, 2, len(data)):
        with pytest.raises(CriticalProtocolError) as caught:
            find_head(data, size, tls=TLS)
        text = str(caught.value)
        assert 'response is not HTTP;' in text
        if words is not None and data[:1] != b'P' or size == len(data):
            assert (TLS in text, HTTP_2 in text) == (words == TLS, words == HTTP_2) or 'perhaps' in text
            assert ('perhaps' in text) == (words is not None and size < 3)


def test_surplus_does_not_count():
    reader = HeadReader(limit=100)
    assert reader.feed(b'HTTP/1.1 101\r\n\r\n' + b'x' * 100000) == b'HTTP/1.1 101\r\n\r\n'
    assert len(reader.surplus) == 100000


def test_kinds():
    for kind in ('response', 'request'):
        assert HeadReader(kind=kind).feed(b'') is None
    with pytest.raises(ValueError):
        HeadReader(kind='answer')


# --- BodyReader ---

def body_of(headers, data, size, status=404, limit=65536):
    head = 'HTTP/1.1 {} x\r\n'.format(status).encode('ascii') + headers + b'\r\n'
    reader = BodyReader(Response(head), limit)
    for start in range(0, len(data), size):
        reader.feed(data[start:start + size])
    assert isinstance(reader.body, bytes)
    return reader.body, reader.is_complete


CHUNKED = b'Transfer-Encoding: chunked\r\n'
BODIES = [
    # headers, data, body, whole before the end of the stream
    (b'', b'abc', b'abc', False), (b'', b'', b'', False), (b'Content-Length: 3\r\n', b'abc', b'abc', True),
    (b'Content-Length: 3\r\n', b'abcdef', b'abc', True), (b'Content-Length: 3\r\n', b'ab', b'ab', False),
    (b'Content-Length: 0\r\n', b'abc', b'', True),
    (b'Content-Length: 3\r\nContent-Length: 3\r\n', b'abcd', b'abc', True),
    (b'Content-Length: 3, 3\r\n', b'abcd', b'abc', True),
    # nothing to go by: to the end of the stream
    (b'Content-Length: 3\r\nContent-Length: 4\r\n', b'abcde', b'abcde', False),
    (b'Content-Length: -3\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: +3\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: 1_0\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: x\r\n', b'abcd', b'abcd', False), (b'Content-Length:\r\n', b'abcd', b'abcd', False),
    (b'Content-Length: ' + b'9' * 5000 + b'\r\n', b'abcd', b'abcd', False),
    (b'Transfer-Encoding: gzip\r\n', b'abcd', b'abcd', False),
    (b'Transfer-Encoding: chunked, gzip\r\n', b'abcd', b'abcd', False),
    # chunks
    (CHUNKED, b'3\r\nabc\r\n0\r\n\r\n', b'abc', True), (CHUNKED, b'3\r\nabc\r\n0\r\n\r\nmore', b'abc', True),
    (b'Transfer-Encoding: gzip, Chunked\r\n', b'1\r\na\r\n0\r\n\r\n', b'a', True),
    (CHUNKED + b'Content-Length: 5\r\n', b'3\r\nabc\r\n0\r\n\r\n', b'abc', True),
    (CHUNKED, b'3\nabc\n0\n\n', b'abc', True),
    (CHUNKED, b'3;a=b;c="d\te"\r\nabc\r\n00a \r\n0123456789\r\n000;x\r\n\r\n', b'abc0123456789', True),
    (CHUNKED, b'B\r\n\r\n0\r\n\r\n\r\n\r\n\r\n0\r\n\r\n', b'\r\n0\r\n\r\n\r\n\r\n', True),
    (CHUNKED, b'1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nmore', b'a', True),
    (CHUNKED, b'1\r\na\r\n0\r\nTrailer: x\r\n', b'a', False), (CHUNKED, b'3\r\nabc\r\n', b'abc', False),
    (CHUNKED, b'5\r\nabc', b'abc', False), (CHUNKED, b'0\r\n\r\n', b'', True),
    # broken chunks end it
    (CHUNKED, b'3\r\nabcd\r\n2\r\nef\r\n', b'abc', True), (CHUNKED, b'\r\nabc', b'', True),
    (CHUNKED, b'x\r\nabc', b'', True), (CHUNKED, b'-1\r\nabc', b'', True),
    (CHUNKED, b'0x3\r\nabc', b'', True), (CHUNKED, b'1\r\na\r\nabc\xe9\r\n', b'a', True),
    (CHUNKED, b'1' * 16 + b'\r\nabc', b'', True), (CHUNKED, b'f' * 15 + b'\r\nabc', b'abc', False),
    (CHUNKED, b'1' * 5000, b'', True), (CHUNKED, b'1\r\na\r\n0\r\n' + b'x' * 5000, b'a', True)]


@pytest.mark.parametrize('headers, data, body, is_complete', BODIES)
@pytest.mark.parametrize('size', [1, 2, 3, 7, 10 ** 6])
def test_body(headers, data, body, is_complete, size):
    assert body_of(headers, data, size) == (body, is_complete)


@pytest.mark.parametrize('headers, data, is_delimited, ended_well', [
    (b'', b'abc', False, False), (b'Transfer-Encoding: gzip\r\n', b'', False, False),
    (b'Content-Length: 3\r\n', b'abc', True, True), (b'Content-Length: 3\r\n', b'ab', True, False),
    (b'Content-Length: 3\r\n', b'abcd', True, False), (b'Content-Length: 0\r\n', b'', True, True),
    (b'Content-Length: 0\r\n', b'a', True, False), (b'Content-Length: 101\r\n', b'x' * 101, True, True),
    (b'Content-Length: 102\r\n', b'x' * 101, True, False),
    (CHUNKED, b'1\r\na\r\n0\r\nA: b\r\n\r\n', True, True),
    (CHUNKED, b'1\r\na\r\n0\r\n', True, False), (CHUNKED, b'1\r\na\r\n0\r\n\r\n?', True, False),
    (CHUNKED, b'1\r\nabc\r\n', True, False), (CHUNKED, b'x\r\n', True, False)])
def test_end_of_a_body(headers, data, is_delimited, ended_well):
    reader = BodyReader(Response(b'HTTP/1.1 407 x\r\n' + headers + b'\r\n'), 100)
    assert reader.is_delimited == is_delimited
    reader.feed(data)
    assert reader.ended_well == ended_well


@pytest.mark.parametrize('status, is_complete', [
    (100, True), (101, True), (199, True), (204, True), (304, True), (99, False), (200, False), (205, False),
    ('abc', False)])
def test_statuses_without_a_body(status, is_complete):
    for headers in (b'', b'Content-Length: 3\r\n', CHUNKED):
        assert body_of(headers, b'', 1, status=status) == (b'', is_complete)
    assert body_of(b'', b'abc', 1, status=status)[0] == (b'' if is_complete else b'abc')


@pytest.mark.parametrize('headers, data', [
    (b'', b'x' * 500), (b'Content-Length: 500\r\n', b'x' * 500), (b'Content-Length: 100\r\n', b'x' * 500),
    (CHUNKED, b'1f4\r\n' + b'x' * 500), (CHUNKED, b'a\r\nxxxxxxxxxx\r\n' * 50)])
@pytest.mark.parametrize('size', [1, 7, 99, 100, 101, 1000])
def test_body_limit(headers, data, size):
    assert body_of(headers, data, size, limit=100) == (b'x' * 100, True)


TEXT = b'{"error": "not found"}' * 50
LONG = os.urandom(30000)


def pack(data=TEXT, window_bits=31):
    packer = zlib.compressobj(6, zlib.DEFLATED, window_bits)
    return packer.compress(data) + packer.flush()


CODED = [
    # Content-Encoding, what came, the body
    ('gzip', pack(), TEXT), ('x-gzip', pack(), TEXT), ('GZip', pack(), TEXT),
    ('deflate', pack(TEXT, 15), TEXT), ('deflate', pack(TEXT, -15), TEXT), ('deflate', pack(), TEXT),
    ('gzip', pack(TEXT, 15), TEXT), ('identity', TEXT, TEXT), ('gzip', b'', b''), ('deflate', b'', b''),
    ('gzip', pack(b''), b''),
    ('gzip', pack(b'ab') + pack(b'') + pack(b'c'), b'abc'), ('gzip', pack(b'ab') + b'\0' * 9, b'ab'),
    ('deflate', pack(b'ab', 15) + b'more', b'ab'), ('deflate', pack(b'ab', -15) + b'more', b'ab'),
    ('gzip, deflate', pack(pack(), 15), TEXT), ('identity, gzip, identity', pack(), TEXT),
    ('gzip\r\nContent-Encoding: deflate', pack(pack(), 15), TEXT),
    # bombs
    ('gzip', pack(b'\0' * 10 ** 7), b'\0' * 65536), ('deflate', pack(b'\0' * 10 ** 7, -15), b'\0' * 65536),
    ('gzip, gzip', pack(pack(b'\0' * 10 ** 7)), b'\0' * 65536),
    # cut off
    ('gzip', pack(LONG)[:9], b''), ('gzip', pack()[:-8], TEXT), ('gzip', pack()[:-1], TEXT),
    # not what it says
    ('br', pack(), pack()), ('gzip, br', pack(), pack()), ('br, gzip', pack(), pack()), ('*', TEXT, TEXT),
    ('compress', pack(), pack()), ('gzip', TEXT, TEXT), ('deflate', TEXT, TEXT), ('gzip', b'a', b'a'),
    ('gzip', pack(TEXT, -15), pack(TEXT, -15)), (', '.join(['gzip'] * 5), pack(), pack())]


@pytest.mark.parametrize('coding, data, body', CODED, ids=[str(at) for at in range(len(CODED))])
def test_coded_body(coding, data, body):
    size = 1 if len(data) < 5000 else 999
    header = 'Content-Encoding: {}\r\n'.format(coding).encode('ascii')
    assert body_of(header, data, size) == (body, False)
    length = 'Content-Length: {}\r\n'.format(len(data)).encode('ascii')
    assert body_of(header + length, data + b'more', size) == (body, True)
    chunked = '{:x}\r\n'.format(len(data)).encode('ascii') + data + b'\r\n0\r\n\r\n' if data else b'0\r\n\r\n'
    assert body_of(header + CHUNKED, chunked, size) == (body, True)


def test_transfer_coding_gzip():
    assert body_of(b'Transfer-Encoding: gzip\r\n', pack(), 7) == (TEXT, False)
    chunk = '{:x}\r\n'.format(len(pack())).encode('ascii') + pack() + b'\r\n0\r\n\r\n'
    assert body_of(b'Transfer-Encoding: gzip, chunked\r\n', chunk, 7) == (TEXT, True)


@pytest.mark.parametrize('rest', [b'', b'x' * 100, pack()], ids='abc')
def test_good_part_of_a_broken_body(rest):
    found = decode_body(pack(LONG)[:20000] + rest, ['gzip'])
    assert 19900 < len(found) < 20200 and found[:19900] == LONG[:19900]


@pytest.mark.parametrize('packed', [pack(b'') * 3000, pack(b'x') * 3000, pack(b'x' * 65536)[:50] * 900],
                         ids='abc')
def test_odd_members_take_no_time(packed):
    start = time.time()
    assert len(decode_body(packed[:65536], ['gzip'] * 4)) <= 65536
    assert time.time() - start < 3


@pytest.mark.parametrize('make', [bytes, bytearray, memoryview])
def test_body_buffer_types(make):
    reader = BodyReader(Response(b'HTTP/1.1 404 x\r\n' + CHUNKED + b'\r\n'))
    reader.feed(make(b'3\r\nabc\r\n0\r\n'))
    reader.feed(make(b'\r\n'))
    assert (reader.body, reader.is_complete) == (b'abc', True)


def test_any_octets_have_a_body():
    choose = random.Random(7)
    pieces = [b'HTTP/1.1', b' ', b'\r\n', b'\n', b':', b'a', b'\t', b'\xff', b'\x00', b'"', b',', b'101',
              b'\r', b'Transfer-Encoding: chunked\r\n']
    for _ in range(2000):
        raw = b''.join(choose.choice(pieces) for _ in range(choose.randrange(40)))
        BodyReader(Response(raw)).feed(raw)


# --- check_header ---

@pytest.mark.parametrize('name, value', [
    (b'X', b'1'), (b'X', b''), (b"!#$%&'*+-.^_`|~09azAZ", b'a\tb \x80\xff "'), (b'Cookie', b'a=b; c="d"')])
def test_good_headers(name, value):
    assert check_header(name, value) is None


SECRET = b'S3cret'


@pytest.mark.parametrize('name, value, message', [
    (b'', b'x', "header name '' is empty; letters, digits and !#$%&'*+-.^_`|~ are allowed"),
    (b'X: y', b'1', "header name 'X' goes on with ':'; letters, digits and !#$%&'*+-.^_`|~ are allowed"),
    (b'X\r\nEvil', b'1', "header name 'X' goes on with '\\r'"),
    (b'Authorization: Bearer ' + SECRET, b'', "header name 'Authorization' goes on with ':'"),
    (b' X', b'1', "header name '' goes on with ' '"),
    (b'X\xe9', b'1', "header name 'X' goes on with '\\xe9'"),
    (b'X', b'1\r\nEvil: yes', "header 'X' has '\\r' in its value (offset 1); it must not"),
    (b'X', b'a\nEvil: b', "header 'X' has '\\n' in its value (offset 1)"),
    (b'X', b'\x00', "header 'X' has '\\x00'"), (b'X', b'\x1b[2J', "'\\x1b'"), (b'X', b'\x7f', "'\\x7f'"),
    (b'Authorization', SECRET + b'\r\n', "header 'Authorization' has '\\r' in its value (offset 6)"),
    (b'cookie', SECRET + b'\n', "header 'cookie' has '\\n'"),
    (b'Proxy-Authorization', SECRET + b'\x00', "header 'Proxy-Authorization' has '\\x00'")])
def test_bad_headers(name, value, message):
    with pytest.raises(ValueError) as caught:
        check_header(name, value)
    assert message in str(caught.value)
    assert 'S3cret' not in str(caught.value)


@pytest.mark.parametrize('name, value', [
    ('X', b'1'), (b'X', '1'), (1, b'1'), (b'X', None), (b'X', bytearray(b'1'))])
def test_header_types(name, value):
    with pytest.raises(TypeError) as caught:
        check_header(name, value)
    assert 'must be bytes, not ' in str(caught.value)


# --- encode_answer ---

@pytest.mark.parametrize('arguments, answer', [
    ((404,), b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
    ((200, [('A', 'b'), (b'C', b'\xff')], b'body'),
     b'HTTP/1.1 200 OK\r\nA: b\r\nC: \xff\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody'),
    ((299, [], b'x'), b'HTTP/1.1 299 \r\nContent-Length: 1\r\nConnection: close\r\n\r\nx'),
    ((200, [('content-length', '9'), ('CONNECTION', 'keep-alive')], b'x'),
     b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\nCONNECTION: keep-alive\r\n\r\nx'),
    ((200, [('Transfer-Encoding', 'chunked')], b'0\r\n\r\n'),
     b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n'),
    ((204,), b'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n'),
    ((304,), b'HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n'),
    ((599,), b'HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
    ((101, [('Upgrade', 'websocket')]), b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'),
    ((503, [('X', 'caf\xe9')]),
     b'HTTP/1.1 503 Service Unavailable\r\nX: caf\xc3\xa9\r\n'
     b'Content-Length: 0\r\nConnection: close\r\n\r\n')])
def test_encode_answer(arguments, answer):
    assert encode_answer(*arguments) == answer


@pytest.mark.parametrize('arguments, error', [
    ((99,), ValueError), ((600,), ValueError), (('200',), ValueError), ((None,), ValueError),
    ((200, [('A', 'b\r\nEvil: yes')]), ValueError), ((200, [('A:', 'b')]), ValueError),
    ((200, [(7, 'b')]), TypeError), ((200, [('A', 7)]), TypeError)])
def test_bad_answers(arguments, error):
    with pytest.raises(error):
        encode_answer(*arguments)
