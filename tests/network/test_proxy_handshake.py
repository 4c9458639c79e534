# -*- coding: utf-8 -*-
"""Handshakes with proxies: whole, byte by byte, split at random, with extra bytes."""

from __future__ import absolute_import, division, unicode_literals

import base64
import functools
import random

import pytest

from lomond.auth import DigestAuth, basic
from lomond.constants import USER_AGENT
from lomond.errors import ConnectFail, ProxyFail
from lomond.network.proxy_handshake import HttpConnect, Socks4, Socks5, make_proxy_handshake
from lomond.network.proxy_settings import parse_proxy

TAIL = b'\x00\xff tunnel \r\n\r\n'
V6 = b' \x01\r\xb8' + b'\x00' * 11 + b'\x01'       # 2001:db8::1


DICE = random.Random(1928)
#: How :func:`cut` splits: not, one by one as bytes and as a bytearray, four times anywhere.
WAYS = range(7)


def cut(data, way):
    """Return the same bytes whole, one by one or split anywhere, in some bytes type.

    Above 4 KiB, what is one by one elsewhere is 97 octets each.
    """
    if way == 0:
        return [data]
    if way <= 2:
        size = 1 if len(data) <= 4096 else 97
        kind = bytes if way == 1 else bytearray
        return [kind(data[index:index + size]) for index in range(0, len(data), size)]
    places = sorted(DICE.randrange(len(data) + 1) for _ in range(3))
    return [memoryview(data[start:end]) for start, end in zip([0] + places, places + [len(data)])]


def talk(make, answers, tail=b''):
    """Return what is sent to the proxy; the same for each way to split its answers."""
    heard = set()
    for way in WAYS:
        conversation = make()
        said = [conversation.take_outgoing()]
        assert conversation.take_outgoing() == b''
        for index, answer in enumerate(answers):
            last = index == len(answers) - 1
            assert not conversation.is_done and conversation.surplus == b''
            for piece in cut(answer + (tail if last else b''), way):
                conversation.receive(piece)
            said.append(conversation.take_outgoing())
        assert conversation.is_done
        assert conversation.surplus == tail and isinstance(conversation.surplus, bytes)
        conversation.receive(b'more')
        assert conversation.surplus == tail + b'more'
        conversation.receive_eof()          # belongs to the tunnel, not to us
        assert said.pop() == b''
        heard.add(tuple(said))
    assert len(heard) == 1
    return list(heard.pop())


def check(make, answers, expected):
    for tail in (b'', TAIL):
        assert talk(make, answers, tail) == expected


def failure(make, answers, tail=b''):
    """Return the ProxyFail's message, the same for each way to split the answers."""
    reasons = set()
    for way in WAYS:
        conversation = make()
        for answer in answers[:-1]:
            conversation.receive(answer)
            assert conversation.take_outgoing()
        with pytest.raises(ProxyFail) as caught:
            for piece in cut(answers[-1] + tail, way):
                conversation.receive(piece)
            conversation.receive_eof()
        assert isinstance(caught.value, ConnectFail)
        assert not conversation.is_done and conversation.take_outgoing() == b''
        reason = str(caught.value)
        for again in (functools.partial(conversation.receive, b'x'), conversation.receive_eof):
            with pytest.raises(ProxyFail) as caught:
                again()
            assert str(caught.value) == reason
        assert reason.startswith('proxy fail; ') and len(reason) < 200
        assert all(32 <= ord(character) < 127 for character in reason)
        reasons.add(reason)
    assert len(reasons) == 1
    return reasons.pop()


# -- HTTP CONNECT

def request(place, more=''):
    return ('CONNECT {0} HTTP/1.1\r\nHost: {0}\r\nUser-Agent: {1}\r\n{2}\r\n'.format(
        place, USER_AGENT, more)).encode('latin-1')


@pytest.mark.parametrize('host, port, place', [
    ('target.test', 80, 'target.test:80'), ('target.test', 443, 'target.test:443'),
    ('xn--bcher-kva.test', 8123, 'xn--bcher-kva.test:8123'), ('10.0.0.1', 81, '10.0.0.1:81'),
    ('2001:db8::1', 81, '[2001:db8::1]:81'), ('fe80::1%eth0', 81, '[fe80::1]:81')])
def test_connect_request(host, port, place):
    check(lambda: HttpConnect(host, port), [b'HTTP/1.1 200 OK\r\n\r\n'], [request(place)])


@pytest.mark.parametrize('user, password, credentials', [
    ('user', 'secret', b'user:secret'), ('user', '', b'user:'), ('user', None, b'user:'),
    ('u', 'p:q', b'u:p:q'), ('me@work', 'p w', b'me@work:p w'),
    ('j\xf6rg', '\u2603', 'j\xf6rg:\u2603'.encode('utf-8')), ('', 'x', b':x')])
def test_connect_authorization(user, password, credentials):
    value = base64.b64encode(credentials).decode('ascii')
    check(lambda: HttpConnect('h', 80, user, password), [b'HTTP/1.1 200 OK\r\n\r\n'],
          [request('h:80', 'Proxy-Authorization: Basic {}\r\n'.format(value))])


@pytest.mark.parametrize('headers, user, expected', [
    ([], None, b'Host: h:80\r\nUser-Agent: Mine/1'),
    ([(b'X-A', b'1'), (b'x-a', b'2')], None, b'Host: h:80\r\nUser-Agent: Mine/1\r\nX-A: 1\r\nx-a: 2'),
    ([(b'host', b'other'), (b'USER-AGENT', b'Own')], None, b'Host: other\r\nUser-Agent: Own'),
    ([(b'Proxy-authorization', b'Bearer 1'), (b'Proxy-Authorization', b'Bearer 2')], 'me',
     b'Host: h:80\r\nUser-Agent: Mine/1\r\nProxy-Authorization: Bearer 2')])
def test_connect_headers(headers, user, expected):
    said = HttpConnect('h', 80, user, 'pw', 'Mine/1', headers).take_outgoing()
    assert said == b'CONNECT h:80 HTTP/1.1\r\n' + expected + b'\r\n\r\n'


LINE_407 = b'HTTP/1.1 407 Proxy Authentication Required\r\n'
CHALLENGE = 'Digest realm="p", nonce="abc", qop="auth"'
#: What begins a 407 that asks for Digest.
ASKS = LINE_407 + b'Proxy-Authenticate: ' + CHALLENGE.encode('ascii') + b'\r\n'
OK = b'HTTP/1.1 200 OK\r\n\r\n'


@pytest.fixture
def constant_cnonce(monkeypatch):
    monkeypatch.setattr('os.urandom', lambda size: b'x' * size)


def digest_request(place, challenge=CHALLENGE, user='me', password='pw'):
    answer = DigestAuth(user, password).answer([challenge], 'CONNECT', place)
    return request(place, 'Proxy-Authorization: {}\r\n'.format(answer))


def basic_request(place, user='me', password='pw'):
    return request(place, 'Proxy-Authorization: {}\r\n'.format(basic(user, password)))


@pytest.mark.parametrize('host, place', [('h', 'h:80'), ('::1', '[::1]:80')])
@pytest.mark.parametrize('end', [
    b'Content-Length: 0\r\n\r\n', b'Content-Length: 4\r\n\r\nbody',
    b'Proxy-Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nA: b\r\n\r\n'])
def test_digest_on_the_same_connection(constant_cnonce, host, place, end):
    check(lambda: HttpConnect(host, 80, 'me', 'pw'), [b'HTTP/1.1 102 Wait\r\n\r\n' + ASKS + end, OK],
          [basic_request(place), digest_request(place)])


@pytest.mark.parametrize('challenge', [
    'Digest realm="p", nonce="n", algorithm=SHA-256, qop="auth,auth-int"', 'Digest realm="p", nonce="n"',
    'Digest realm="p", nonce="n", algorithm=MD5-sess, qop=auth, stale=true, opaque="a, b"',
    'Basic realm="x", Digest realm="p", algorithm=SHA-512-256, nonce="m", Digest realm="p", nonce="n"'])
def test_digest_challenges(constant_cnonce, challenge):
    answer = LINE_407 + b'Proxy-Authenticate: ' + challenge.encode('ascii') + b'\r\nContent-Length: 0\r\n\r\n'
    check(lambda: HttpConnect('h', 80, 'j\xf6rg', ''), [answer, OK],
          [basic_request('h:80', 'j\xf6rg', ''), digest_request('h:80', challenge, 'j\xf6rg', '')])


@pytest.mark.parametrize('end, size, eof', [
    (b'Connection: close\r\nContent-Length: 4\r\n\r\n', 0, False),
    (b'Proxy-Connection: Close\r\nContent-Length: 0\r\n\r\n', 0, False),
    (b'\r\n', 0, False),                                 # the body ends with the connection
    (b'Content-Length: 4\r\n\r\n', 2, True),
    (b'Content-Length: 4\r\n\r\n', 5, False),           # nobody asked for the fifth
    (b'Content-Length: 70000\r\n\r\n', 65536, False),
    (b'Transfer-Encoding: chunked\r\n\r\nnonsense\r\n', 0, False)])
@pytest.mark.parametrize('version', [b'1.1', b'1.0'])
def test_digest_on_a_new_connection(constant_cnonce, version, end, size, eof):
    conversation = HttpConnect('h', 80, 'me', 'pw')
    assert conversation.take_outgoing() == basic_request('h:80')
    conversation.receive(ASKS.replace(b'1.1', version) + end + b'x' * size)
    eof = eof and version == b'1.1'
    assert conversation.awaits_body == eof
    if eof:
        conversation.receive_eof()
    assert conversation.needs_connection and not conversation.awaits_body and not conversation.is_second
    assert conversation.take_outgoing() == digest_request('h:80') and conversation.response is None
    conversation.needs_connection = False
    conversation.receive(OK + TAIL)
    assert conversation.is_done and conversation.surplus == TAIL


def test_digest_after_http_1_0_that_keeps_the_connection(constant_cnonce):
    answer = ASKS.replace(b'1.1', b'1.0') + b'Connection: Keep-Alive\r\nContent-Length: 0\r\n\r\n'
    check(lambda: HttpConnect('h', 80, 'me', 'pw'), [answer, OK],
          [basic_request('h:80'), digest_request('h:80')])


@pytest.mark.parametrize('make, answers', [
    # there are at most two requests, even if the nonce was stale
    (lambda: HttpConnect('h', 80, 'me', 'pw'), [ASKS + b'Content-Length: 0\r\n\r\n',
                                               ASKS[:-2] + b', stale=true\r\nContent-Length: 4\r\n\r\nbody']),
    (lambda: HttpConnect('h', 80), [ASKS + b'Content-Length: 4\r\n\r\nbody']),
    (lambda: HttpConnect('h', 80, 'me', 'pw', headers=[(b'proxy-authorization', b'Bearer x')]),
     [ASKS + b'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n']),
    (lambda: HttpConnect('h', 80, 'me', 'pw'), [
        ASKS.replace(b'qop="auth"', b'qop="auth-int"') + b'Content-Length: 4\r\n\r\nbody']),
    (lambda: HttpConnect('h', 80, 'me', 'pw'), [
        LINE_407 + b'Proxy-Authenticate: Basic realm="x"\r\n\r\nbody'])])
def test_digest_that_cannot_be_answered(make, answers):
    assert failure(make, answers) == 'proxy fail; 407 Proxy Authentication Required'


@pytest.mark.parametrize('end, body', [
    (b'Content-Length: 3\r\n\r\nabcd', b'abc'), (b'\r\nabc', b'abc'),
    (b'Content-Length: 9\r\n\r\nabc', b'abc'), (b'Content-Encoding: deflate\r\n\r\nKLJ\x06\x00', b'abc'),
    (b'Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n', b'abc'),
    (b'\r\n' + b'x' * 70000, b'x' * 65536)], ids=lambda value: str(len(value)))
@pytest.mark.parametrize('is_cut', [False, True])
def test_body_of_a_refusal(end, body, is_cut):
    conversation = HttpConnect('h', 80)
    with pytest.raises(ProxyFail) as caught:
        conversation.receive(b'HTTP/1.1 503 No\r\nRetry-After: 7\r\n' + end)
        assert conversation.awaits_body
        (conversation.finish_body if is_cut else conversation.receive_eof)()
    assert str(caught.value) == 'proxy fail; 503 No'
    assert conversation.response.body == body and conversation.response.get('retry-after') == '7'


@pytest.mark.parametrize('make', [
    lambda: HttpConnect('h', 80, user_agent='a\r\nEvil: yes'), lambda: HttpConnect('h\r\nEvil: yes', 80),
    lambda: HttpConnect('a b', 80), lambda: HttpConnect('', 80), lambda: HttpConnect('a' * 64, 80),
    lambda: HttpConnect('.'.join(['a' * 60] * 5), 80), lambda: HttpConnect('h', 80, 'u:x', 'p'),
    lambda: HttpConnect('h', 80, 'u', 'p\n'), lambda: Socks4('h', 80),
    lambda: Socks4('10.0.0.1', 80, 'u\x00'), lambda: Socks4('.'.join(['a' * 60] * 5), 80, remote_dns=True),
    lambda: Socks5('.'.join(['a' * 60] * 5), 80), lambda: Socks5('h\x00', 80),
    lambda: Socks5('h', 80, 'u' * 256, 'p'), lambda: Socks5('h', 80, 'u', '\u2603' * 86)])
def test_bad_values(make):
    with pytest.raises(ValueError) as caught:
        make()
    assert all(32 <= ord(character) < 127 for character in str(caught.value))


@pytest.mark.parametrize('answer', [
    b'HTTP/1.1 200 Connection established\r\n\r\n', b'HTTP/1.0 200 OK\r\nVia: 1.1 me\r\nX: y\r\n\r\n',
    b'HTTP/1.1 204 No Content\r\n\r\n', b'HTTP/1.1 299\r\n\r\n',
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', b'HTTP/1.0 200 OK\n\n',
    b'HTTP/1.1 200 caf\xe9\r\nX-Odd: \xff\xfe\r\n\r\n',
    b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    b'HTTP/1.1 102 Processing\r\nX: y\r\n\r\n' * 16 + b'HTTP/1.1 200 OK\r\n\r\n',
    b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 60000 + b'\r\n\r\n'])
def test_connect_succeeds(answer):
    check(lambda: HttpConnect('h', 80), [answer], [request('h:80')])


@pytest.mark.parametrize('answer, reason', [
    (b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n',
     '407 Proxy Authentication Required'),
    (b'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nabc', '502 Bad Gateway'),
    (b'HTTP/1.0 403 Forbidden\r\n\r\n', '403 Forbidden'), (b'HTTP/1.1 503\r\n\r\n', '503'),
    (b'HTTP/1.1 301 {} {x}\r\n\r\n', '301 {} {x}'),
    (b'HTTP/1.1 101 Switching Protocols\r\n\r\n', '101 Switching Protocols'),
    (b'HTTP/1.1 999 x\r\n\r\n', '999 x')])
def test_connect_refused(answer, reason):
    assert failure(lambda: HttpConnect('h', 80), [answer]) == 'proxy fail; ' + reason


@pytest.mark.parametrize('answer, words', [
    (b'HTTP/1.1 500 ' + b'x' * 5000 + b'\r\n\r\n', '500 xxxx'),
    (b'HTTP/1.1 500 a\x1b[2J\x00b\r\n\r\n', '500 a\\x1b[2J\\x00b'),
    (b'HTTP/1.1 caf\xe9\r\n\r\n', 'not an HTTP status line'),
    (b'HTTP/1.1 20 OK\r\n\r\n', 'not an HTTP status line'),
    (b'HTTP/1.1 +200 OK\r\n\r\n', 'not an HTTP status line'),
    (b'HTTP/1.1 2000 OK\r\n\r\n', 'not an HTTP status line'),
    (b'HTTP/1.1 99999999999999999999 OK\r\n\r\n', 'not an HTTP status line'),
    (b'HTTP/\r\n\r\n', 'not an HTTP status line'), (b'', 'closed the connection'),
    (b'HTTP/1.1 200 OK\r\n', 'closed the connection'),
    (b'HTTP/1.1 200 OK\r\nX: y\r\n', 'closed the connection'),
    (b'HTTP/1.1 100 Continue\r\n\r\n', 'closed the connection'),
    (b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 70000, 'KiB'),
    (b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 70000 + b'\r\n\r\n', 'KiB')])
def test_connect_fails(answer, words):
    assert words in failure(lambda: HttpConnect('h', 80), [answer])


@pytest.mark.parametrize('answer', [
    b'nonsense\r\n\r\n', b'\x05\x00', b'\r\n\r\n', b'\x15\x03\x01\x00\x02\x02\x28', b'SSH-2.0-x\r\n',
    b'\xff' * 9])
def test_connect_garbage(answer):
    """Fails at once, without waiting for a complete head; the words depend on it."""
    for way in WAYS:
        conversation = HttpConnect('h', 80)
        with pytest.raises(ProxyFail) as caught:
            for piece in cut(answer, way):
                conversation.receive(piece)
        assert str(caught.value).startswith('proxy fail; ') and 'HTTP' in str(caught.value)
        assert ('the proxy speaks TLS; use https' in str(caught.value)) == (answer[:1] == b'\x15')


@pytest.mark.ends
def test_connect_news_without_end():
    conversation = HttpConnect('h', 80)
    with pytest.raises(ProxyFail) as caught:
        for _ in range(10000):
            conversation.receive(b'HTTP/1.1 100 Continue\r\n\r\n')
    assert 'more than 16 informational answers' in str(caught.value)
    assert 'header block is above' in failure(lambda: HttpConnect('h', 80), [
        b'HTTP/1.1 100 Continue\r\nX: ' + b'y' * 40000 + b'\r\n\r\n' +
        b'HTTP/1.1 100 Continue\r\nX: ' + b'y' * 40000 + b'\r\n\r\n'])


# -- SOCKS 4

GRANTED = b'\x00\x5a\x00\x00\x00\x00\x00\x00'


@pytest.mark.parametrize('make, said', [
    (lambda: Socks4('10.0.0.1', 80), b'\x04\x01\x00\x50\x0a\x00\x00\x01\x00'),
    (lambda: Socks4('66.102.7.99', 80, 'Fred'), b'\x04\x01\x00\x50\x42\x66\x07\x63Fred\x00'),
    (lambda: Socks4('10.0.0.1', 65535, 'j\xf6rg'), b'\x04\x01\xff\xff\x0a\x00\x00\x01j\xc3\xb6rg\x00'),
    (lambda: Socks4('10.0.0.1', 80, remote_dns=True), b'\x04\x01\x00\x50\x0a\x00\x00\x01\x00'),
    (lambda: Socks4('h.test', 443, remote_dns=True), b'\x04\x01\x01\xbb\x00\x00\x00\x01\x00h.test\x00'),
    (lambda: Socks4('h.test', 443, 'Fred', True), b'\x04\x01\x01\xbb\x00\x00\x00\x01Fred\x00h.test\x00')])
def test_socks4(make, said):
    check(make, [GRANTED], [said])
    check(make, [b'\x00\x5a\xff\xff\xff\xff\xff\xff'], [said])
    check(make, [b'\x04\x5a' + b'\x00' * 6], [said])       # wrong, but not rare


@pytest.mark.parametrize('answer, words', [
    (b'\x00\x5b\x00\x00\x00\x00\x00\x00', 'SOCKS4 request rejected or failed'),
    (b'\x00\x5b', 'SOCKS4 request rejected or failed'),
    (b'\x00\x5c', 'SOCKS4 request rejected: no identd answers here'),
    (b'\x00\x5d', 'SOCKS4 request rejected: identd names another user'),
    (b'\x04\x5b', 'SOCKS4 request rejected or failed'), (b'\x04\x04', 'SOCKS4 unknown reply 4'),
    (b'\x00\x00', 'SOCKS4 unknown reply 0'), (b'\x00\xff', 'SOCKS4 unknown reply 255'),
    (b'\x05\x00', 'not a SOCKS4 answer: got 0x05, expected 0x00'),
    (b'HTTP/1.1 400 Bad Request\r\n\r\n', 'not a SOCKS4 answer: got 0x48, expected 0x00'),
    (b'', 'the proxy closed the connection before its SOCKS4 answer was complete'),
    (GRANTED[:7], 'the proxy closed the connection before its SOCKS4 answer was complete')])
def test_socks4_fails(answer, words):
    assert failure(lambda: Socks4('10.0.0.1', 80), [answer]) == 'proxy fail; ' + words


@pytest.mark.parametrize('remote_dns', [False, True])
def test_socks4_ipv6(remote_dns):
    with pytest.raises(ProxyFail) as caught:
        Socks4('fe80::1%eth0', 80, remote_dns=remote_dns)
    assert str(caught.value) == 'proxy fail; SOCKS4 can reach IPv4 addresses only, not [fe80::1]'


# -- SOCKS 5

DONE = b'\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00'


@pytest.mark.parametrize('host, port, said', [
    ('10.0.0.1', 80, b'\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50'),
    ('2001:db8::1', 443, b'\x05\x01\x00\x04' + V6 + b'\x01\xbb'),
    ('2001:db8::1%eth0', 443, b'\x05\x01\x00\x04' + V6 + b'\x01\xbb'),
    ('h.test', 65535, b'\x05\x01\x00\x03\x06h.test\xff\xff')])
@pytest.mark.parametrize('answer', [
    DONE, b'\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90', b'\x05\x00\xff\x04' + V6 + b'\x1f\x90',
    b'\x05\x00\x00\x03\x05proxy\x1f\x90', b'\x05\x00\x00\x03\x00\x1f\x90',
    b'\x05\x00\x00\x03\xff' + b'x' * 255 + b'\x1f\x90'])
def test_socks5(host, port, said, answer):
    check(lambda: Socks5(host, port), [b'\x05\x00', answer], [b'\x05\x01\x00', said])


@pytest.mark.parametrize('user, password, said', [
    ('user', 'secret', b'\x01\x04user\x06secret'), ('user', '', b'\x01\x04user\x00'),
    ('user', None, b'\x01\x04user\x00'), (None, 'x', b'\x01\x00\x01x'),
    ('j\xf6rg', '\u2603', b'\x01\x05j\xc3\xb6rg\x03\xe2\x98\x83'),
    ('u' * 255, 'p' * 255, b'\x01\xff' + b'u' * 255 + b'\xff' + b'p' * 255)])
def test_socks5_authentication(user, password, said):
    wanted = b'\x05\x01\x00\x03\x01h\x00\x50'
    for good in (b'\x01\x00', b'\x05\x00'):
        check(lambda: Socks5('h', 80, user, password), [b'\x05\x02', good, DONE],
              [b'\x05\x02\x00\x02', said, wanted])
    # this proxy did not ask for the password, so it is not sent
    check(lambda: Socks5('h', 80, user, password), [b'\x05\x00', DONE], [b'\x05\x02\x00\x02', wanted])


CLOSED = 'the proxy closed the connection before its SOCKS5 answer was complete'


@pytest.mark.parametrize('answers, words', [
    ([b''], CLOSED), ([b'\x05'], CLOSED), ([b'\x05\xff'], 'SOCKS5 no acceptable authentication method'),
    ([b'\x05\x02'], 'SOCKS5 authentication method 2 was chosen, but not offered'),
    ([b'\x05\x01'], 'SOCKS5 authentication method 1 was chosen, but not offered'),
    ([b'\x04\x00'], 'not a SOCKS5 answer: got 0x04, expected 0x05'),
    ([b'HTTP/1.1 400 Bad Request\r\n\r\n'], 'not a SOCKS5 answer: got 0x48, expected 0x05'),
    ([b'\x05\x00', b''], CLOSED), ([b'\x05\x00', DONE[:9]], CLOSED),
    ([b'\x05\x00', b'\x05\x00\x00\x03\xff' + b'x' * 256], CLOSED),
    ([b'\x05\x00', b'\x05\x01'], 'SOCKS5 general failure'),
    ([b'\x05\x00', b'\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00'], 'SOCKS5 connection not allowed by ruleset'),
    ([b'\x05\x00', b'\x05\x03\x00'], 'SOCKS5 network unreachable'),
    ([b'\x05\x00', b'\x05\x04'], 'SOCKS5 host unreachable'),
    ([b'\x05\x00', b'\x05\x05'], 'SOCKS5 connection refused'),
    ([b'\x05\x00', b'\x05\x06'], 'SOCKS5 TTL expired'),
    ([b'\x05\x00', b'\x05\x07'], 'SOCKS5 command not supported'),
    ([b'\x05\x00', b'\x05\x08'], 'SOCKS5 address type not supported'),
    ([b'\x05\x00', b'\x05\x09'], 'SOCKS5 unknown reply 9'),
    ([b'\x05\x00', b'\x05\xff'], 'SOCKS5 unknown reply 255'),
    ([b'\x05\x00', b'\x00\x00'], 'not a SOCKS5 answer: got 0x00, expected 0x05'),
    ([b'\x05\x00', b'\x05\x00\x00\x02\x00'], 'not a SOCKS5 answer: got 0x02, expected 0x01')])
def test_socks5_fails(answers, words):
    assert failure(lambda: Socks5('h', 80), answers) == 'proxy fail; ' + words


@pytest.mark.parametrize('answers, words', [
    ([b'\x05\xff'], 'SOCKS5 no acceptable authentication method'),
    ([b'\x05\x01'], 'SOCKS5 authentication method 1 was chosen, but not offered'),
    ([b'\x05\x02', b'\x01\x01'], 'SOCKS5 authentication failed'),
    ([b'\x05\x02', b'\x05\xff'], 'SOCKS5 authentication failed'),
    ([b'\x05\x02', b'\x00\x00'], 'not a SOCKS5 answer: got 0x00, expected 0x01'),
    ([b'\x05\x02', b'\x01'], CLOSED), ([b'\x05\x02', b''], CLOSED)])
def test_socks5_authentication_fails(answers, words):
    reason = failure(lambda: Socks5('h', 80, 'user', 'Secret'), answers)
    assert reason == 'proxy fail; ' + words and 'Secret' not in reason


# -- all of them

@pytest.mark.parametrize('proxy, host, first', [
    ('http://p', 'h', request('h:80')), ('p', '::1', request('[::1]:80')),
    ('https://u:p@p', 'h', request('h:80', 'Proxy-Authorization: Basic dTpw\r\n')),
    ('socks4://u:p@p', '10.0.0.1', b'\x04\x01\x00\x50\x0a\x00\x00\x01u\x00'),
    ('socks4a://u@p', 'h', b'\x04\x01\x00\x50\x00\x00\x00\x01u\x00h\x00'),
    ('socks5://p', '10.0.0.1', b'\x05\x01\x00'), ('socks5h://p', 'h', b'\x05\x01\x00'),
    ('socks5h://u:p@p', 'h', b'\x05\x02\x00\x02')])
def test_make_proxy_handshake(proxy, host, first):
    assert make_proxy_handshake(parse_proxy(proxy), host, 80).take_outgoing() == first


def test_make_proxy_handshake_refuses():
    with pytest.raises(ProxyFail):
        make_proxy_handshake(parse_proxy('socks4a://p'), '::1', 80)
    with pytest.raises(ValueError):
        make_proxy_handshake(parse_proxy('socks4://p'), 'h', 80)


HOSTILE = [b'HTTP/', b'HTTP/1.1 ', b'200', b'100 x\r\n\r\n', b' ', b'\r\n', b'\n', b'\r\n\r\n', b':', b'\x00',
           b'\x05', b'\x01',
           b'\x02', b'\x03', b'\x04', b'\x5a', b'\x5b', b'\xff', b'x' * 300, b'\x05\x00', b'\x05\x02',
           b'\x01\x00']


@pytest.mark.ends
def test_hostile():
    """Whatever a proxy sends: done, ProxyFail, or more needed, and nothing else."""
    dice = random.Random(1080)
    ends = set()
    talks = [
        (lambda: HttpConnect('h', 80, 'u', 'p'), [b'HTTP/1.1 ', b'100 x\r\n\r\n', b'HTTP/1.1 ', b'200',
                                                  b'\r\n\r\n']),
        (lambda: HttpConnect('h', 80, 'u', 'p'), [
            ASKS, b'Transfer-Encoding: chunked\r\n\r\n', b'2\r\nxx', b'\r\n0\r\n\r\n', OK[:9], OK[9:]]),
        (lambda: Socks4('10.0.0.1', 80), [b'\x00', b'\x5a', b'x' * 6]),
        (lambda: Socks5('h', 80), [b'\x05\x00', b'\x05', b'\x00\x00', b'\x01', b'x' * 6]),
        (lambda: Socks5('h', 80, 'u', 'p'), [b'\x05\x02', b'\x01\x00', b'\x05\x00\x00', b'\x03', b'\x05',
                                             b'x' * 7]),
    ]
    for _ in range(6000):
        number = dice.randrange(len(talks))
        make, pieces = talks[number]
        pieces = list(pieces)
        for _ in range(dice.randrange(4)):
            place = dice.randrange(len(pieces))
            noise = bytes(bytearray(dice.randrange(256) for _ in range(dice.randrange(20))))
            pieces[place:place + dice.randrange(2)] = [dice.choice(HOSTILE), noise][:dice.randrange(1, 3)]
        conversation = make()
        try:
            for piece in pieces:
                conversation.receive(piece)
                assert isinstance(conversation.take_outgoing(), bytes)
            conversation.receive_eof()
            assert conversation.is_done or conversation.needs_connection
        except ProxyFail as error:
            assert str(error).startswith('proxy fail; ') and not conversation.is_done
        ends.add((number, conversation.is_done))
    assert len(ends) == 10
