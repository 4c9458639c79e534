# -*- coding: utf-8 -*-
"""Proxies, end to end on loopback: each scheme, ws and wss, and what a proxy may do.

The proxies and servers are scripts (``support/proxy.py``); tests with the proxies of other
projects are in ``real/``.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import pickle
import re
import socket
import ssl
import struct

import pytest
from support.addresses import Names, free_port
from support.certificates import note_names, server_context
from support.client import bare
from support.digest import Digest
from support.network import (
    GOOD,
    LIMIT,
    fails,
    nothing_stays_open,  # noqa: F401 - a fixture
    run,
    succeeds,
)
from support.peer import CRLF, bye, reply, silent
from support.peer import lenient_server as Server
from support.proxy import Proxy

from lomond import WebSocket
from lomond.network import dialer

SCHEMES = ('http', 'https', 'socks4', 'socks4a', 'socks5', 'socks5h')
needs_memory_bio = pytest.mark.skipif(not hasattr(ssl, 'MemoryBIO'), reason='TLS in TLS needs ssl.MemoryBIO')


# -- proxies: each scheme, ws and wss, whatever the proxy does

def tls_of_proxy(kind, certs):
    return server_context(certs.server) if kind == 'https' else None


def tls_of_target(secure, certs):
    return server_context(certs.server) if secure else None


def via(script, kind, certs, secure=False, **options):
    """Connect through a proxy that follows the script, while it runs."""
    with Server(script, tls_of_proxy(kind, certs)) as proxy:
        return through(kind, proxy.port, secure, certs, **options)


def through(kind, port, secure, certs, credentials='', host=None, **options):
    """Connect to target.test through the proxy."""
    limit = options.pop('connect_timeout', 4.0)
    proxy_host = host or ('localhost' if kind == 'https' else '127.0.0.1')
    options.setdefault('ssl_cafile', certs.ca)
    return run('{}://target.test:8123/'.format('wss' if secure else 'ws'), limit, proxies={
        'all': '{}://{}{}:{}'.format(kind, credentials, proxy_host, port)}, **options)


matrix = pytest.mark.parametrize('kind, secure', [
    pytest.param(kind, secure, id='{}-{}'.format(kind, 'wss' if secure else 'ws'),
                 marks=[needs_memory_bio] if secure and kind == 'https' else [])
    for kind in SCHEMES for secure in (False, True)])


@pytest.fixture
def names(monkeypatch):
    """Make target.test 127.0.0.1."""
    names = Names({'target.test': ['127.0.0.1']})
    monkeypatch.setattr(socket, 'getaddrinfo', names)
    return names


@matrix
@pytest.mark.parametrize('auth', [False, True])
def test_proxy(certs, names, kind, secure, auth):
    """It works with and without a password, percent-encoded in the URL."""
    with Server(bye, tls_of_target(secure, certs)) as target:
        script = Proxy(kind, target.port, (b'us@er', b'p:w/\xc3\xa9') if auth else None)
        with Server(script, tls_of_proxy(kind, certs)) as proxy:
            got = through(kind, proxy.port, secure, certs, 'us%40er:p%3Aw%2F%C3%A9@' if auth else '')
    succeeds(got)
    asked = b'127.0.0.1' if kind in ('socks4', 'socks5') else b'target.test'
    assert script.asked == [(asked, 8123)]
    # Either side may look up the name.
    assert names.asked == (['target.test'] if asked == b'127.0.0.1' else [])
    host = 'localhost' if kind == 'https' else '127.0.0.1'
    assert got['connected'].proxy == '{}://{}:{}'.format(kind, host, proxy.port)
    assert b'Host: target.test:8123\r\n' in target.heads[0]
    assert b'proxy-' not in target.heads[0].lower()


@matrix
@pytest.mark.parametrize('credentials', ['', 'user:wrong@'])
def test_proxy_wants_a_password(certs, names, kind, secure, credentials):
    """No password, or a wrong one: the reason has the proxy's own words."""
    with Server(bye, tls_of_target(secure, certs)) as target:
        script = Proxy(kind, target.port, (b'other', b'right'))
        got = via(script, kind, certs, secure, credentials=credentials)
        assert target.accepted == 0
    words = '407 Proxy Authentication Required'
    if kind.startswith('socks4'):
        words = 'SOCKS4 request rejected: identd names another user'
    elif kind.startswith('socks5'):
        words = 'SOCKS5 ' + (
            'authentication failed' if credentials else 'no acceptable authentication method')
    fails(got, 'proxy', 'proxy fail; ' + words)
    assert type(got.last.error).__name__ == 'ProxyFail'


@matrix
def test_proxy_is_down(certs, kind, secure):
    port = free_port()
    got = through(kind, port, secure, certs, host='127.0.0.1')
    fails(got, 'connect', 'unable to connect to proxy; 127.0.0.1:{} connection refused'.format(port))
    assert got.last.error.args[0] == errno.ECONNREFUSED


@matrix
def test_proxy_cannot_reach_the_target(certs, names, kind, secure):
    got = via(Proxy(kind, free_port()), kind, certs, secure)
    words = {'http': '502 Bad Gateway', 'socks4': 'SOCKS4 request rejected or failed',
             'socks5': 'SOCKS5 connection refused'}[re.match('http|socks[45]', kind).group()]
    fails(got, 'proxy', 'proxy fail; ' + words)


@matrix
def test_proxy_is_silent(certs, names, kind, secure):
    """The proxy accepts the connection (and TLS), and then stays silent."""
    got = via(silent, kind, certs, secure, connect_timeout=LIMIT)
    fails(got, 'proxy', 'proxy fail; proxy timed out after 0.25s', LIMIT)


@matrix
@pytest.mark.parametrize('data, words', [
    (b'SSH-2.0-OpenSSH_9.2\r\n\r\n', {'http': ".*not HTTP.*'SSH-2.0-OpenSSH_9.2.*",
                                      'socks': 'not a SOCKS. answer: got 0x53, expected 0x0.'}),
    (b'\x05', {'http': '.*closed.*|.*not HTTP.*',
               'socks': 'not a SOCKS4 answer.*|the proxy closed the connection before its SOCKS. .*'})])
def test_proxy_talks_garbage(certs, names, kind, secure, data, words):
    def script(peer):
        peer.send(data)
        peer.sock.shutdown(socket.SHUT_WR)      # keep reading, to avoid a reset
        peer.wait_gone()
    got = via(script, kind, certs, secure)
    assert got.names == ['connecting', 'connect_fail']
    assert got.last.stage == 'proxy'
    assert re.match('proxy fail; (?:{})$'.format(words[re.match('http|socks', kind).group()]),
                    bare(got.last.reason)), got.last.reason


@matrix
def test_proxy_hangs_up(certs, names, kind, secure):
    fails(via(lambda peer: peer.fill(), kind, certs, secure), 'proxy',
          'proxy fail; the proxy closed the connection before its (HTTP|SOCKS[45]) answer was complete')


@pytest.mark.parametrize('kind, data', [
    ('http', b'HTTP/1.1 200 Connection established\r\n'),
    ('https', b'HTTP/1.1 200 Connection established\r\n'),
    ('socks4', b'\0'), ('socks5', b'\5'), ('socks5h', b'\5\0\5\0\0\3\xff' + b'x' * 100)])
def test_proxy_that_answers_a_byte_at_a_time(certs, names, kind, data):
    """The limit is for all bytes together, not for each."""
    got = via(lambda peer: (peer.fill(), peer.trickle(data), peer.wait_gone()), kind, certs,
              connect_timeout=LIMIT)
    fails(got, 'proxy', 'proxy fail; proxy timed out after 0.25s', LIMIT)


def test_proxy_resets(certs):
    def script(peer):
        peer.fill()
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
        peer.sock.close()
    fails(via(script, 'http', certs), 'proxy', 'proxy fail; Connection reset by peer')


@pytest.mark.parametrize('answer, words', [
    (b'HTTP/1.1 200 OK\r\n' + b'X: ' + b'y' * 70000, '.*65536.*'),
    (b'HTTP/1.1 403 \x1b[31mNo\x00\r\n\r\n', r'403 \\x1b\[31mNo\\x00'),
    (b'HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n\r\n',
     '407 Proxy Authentication Required'),
    (b'HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n', '302 Found'),
    (b'<html>\r\n\r\n', ".*not HTTP.*'<html>.*")])
def test_answers_of_http_proxies(certs, answer, words):
    fails(via(reply(answer), 'http', certs), 'proxy', 'proxy fail; ' + words)


KEEPS, SAYS_CLOSE, JUST_CLOSES = (dict(keeps_open=True), dict(refusal=[(b'Connection', b'close')]), {})


@pytest.mark.parametrize('secure', [False, True])
@pytest.mark.parametrize('kind, ending', [
    ('http', KEEPS), ('https', KEEPS), ('http', SAYS_CLOSE), ('https', SAYS_CLOSE), ('http', JUST_CLOSES)])
def test_digest(certs, kind, ending, secure):
    """Basic is sent at once; a 407 is answered, on the same connection if there is one."""
    if secure and kind == 'https' and not hasattr(ssl, 'MemoryBIO'):
        pytest.skip('TLS in TLS needs ssl.MemoryBIO')
    with Server(bye, tls_of_target(secure, certs)) as target:
        script = Proxy(kind, target.port, Digest('SHA-256'), **ending)
        with Server(script, tls_of_proxy(kind, certs)) as proxy:
            succeeds(through(kind, proxy.port, secure, certs, 'me:s3cret@'))
            assert proxy.accepted == (1 if ending is KEEPS else 2)
        assert target.accepted == 1
    assert [re.search(b'Proxy-Authorization: (\\S+)', head).group(1) for head in script.heads] == [
        b'Basic', b'Digest']


@pytest.mark.parametrize('ending', [KEEPS, SAYS_CLOSE])
@pytest.mark.parametrize('credentials, asked', [('', 1), ('me:wrong@', 2)])
def test_digest_is_refused(certs, ending, credentials, asked):
    with Server(silent) as target:
        script = Proxy('http', target.port, Digest(), **ending)
        got = via(script, 'http', certs, credentials=credentials)
    fails(got, 'proxy', 'proxy fail; 407 Proxy Authentication Required')
    assert (got.last.response.status_code, got.last.response.body) == (407, b'who are you?')
    assert len(script.heads) == asked and 'response' not in repr(got.last)
    again = pickle.loads(pickle.dumps(got.last, 2))
    assert again.response.body == b'who are you?' and str(again.error) == bare(got.last.reason)


def test_digest_answered_by_a_reset(certs, monkeypatch):
    """The proxy closes late, and has not read the second request: it is sent again."""
    digest = Digest()

    def script(peer):
        peer.read_head()
        if digest.is_right(peer.header(b'proxy-authorization'), b'CONNECT', b'target.test:8123'):
            peer.send(b'HTTP/1.1 200 OK\r\n\r\n')
            bye(peer)
            return
        peer.answer(b'407 No', [(b'Proxy-Authenticate', line) for line in digest.lines])
        peer.server.stopping.wait(0.1)
        peer.reset()
    monkeypatch.setattr(dialer, '_CLOSING_WAIT', 0.01)
    with Server(script) as proxy:
        succeeds(through('http', proxy.port, False, certs, 'me:s3cret@'))
        assert proxy.accepted == 2


def test_digest_answered_by_hanging_up(certs):
    """The proxy has read the second request: there is no third one."""
    def script(peer):
        for _ in range(2):
            peer.read_head()
            if len(peer.server.heads) == 1:
                peer.answer(b'407 No', [(b'Proxy-Authenticate', line) for line in Digest().lines])
    with Server(script) as proxy:
        got = through('http', proxy.port, False, certs, 'me:s3cret@')
        assert (len(proxy.heads), proxy.accepted) == (2, 1)
    fails(got, 'proxy', 'proxy fail; the proxy closed the connection before its HTTP answer was complete')
    assert got.last.response is None


@pytest.mark.parametrize('is_digest', [False, True])
@pytest.mark.parametrize('wait, limit', [(0.1, 4.0), (4.0, LIMIT)])
def test_refusal_whose_body_does_not_end(certs, monkeypatch, wait, limit, is_digest):
    """The body is waited for, at most for a second and for the time that is left."""
    def script(peer):
        peer.read_head()
        peer.send(b'HTTP/1.1 407 No\r\nProxy-Authenticate: ' + Digest().lines[-1] +
                  b'\r\nContent-Length: 99\r\n\r\nwait for ')
        peer.trickle(b'x' * 90, 0.02)
    monkeypatch.setattr(dialer, '_BODY_WAIT', wait)
    with Server(script) as proxy:
        got = through('http', proxy.port, False, certs, 'me:s3cret@' * is_digest, connect_timeout=limit)
        assert proxy.accepted == (2 if is_digest and limit > 1 else 1)
    assert got.elapsed < min(wait, limit) * (1 + is_digest) + 1.5
    if is_digest and limit < 1:
        fails(got, 'proxy', 'proxy fail; proxy timed out after 0.25s')
    else:
        fails(got, 'proxy', 'proxy fail; 407 No')
        assert re.match(b'wait for x+\\Z', got.last.response.body)


def test_refusal_before_the_request_is_read(certs):
    """A long CONNECT is answered before all of it was sent, and the connection reset."""
    def script(peer):
        peer.read(1000)
        peer.send(b'HTTP/1.1 431 Too Long\r\nRetry-After: 9\r\nContent-Length: 2\r\n\r\nno')
        peer.server.stopping.wait(0.1)
        peer.drop()
    got = via(script, 'http', certs, proxy_headers={'X-Long': 'x' * 500000},
              socket_options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)])
    fails(got, 'proxy', 'proxy fail; 431 Too Long')
    assert (got.last.response.body, got.last.response.get('retry-after')) == (b'no', '9')


def test_close_while_the_body_of_a_refusal_is_awaited(certs):
    websocket = []

    def script(peer):
        peer.read_head()
        peer.send(b'HTTP/1.1 503 No\r\n\r\n')
        peer.server.stopping.wait(0.05)
        websocket[0].close()
        peer.wait_gone()
    got = via(script, 'http', certs, actions={'connecting': websocket.append})
    fails(got, 'proxy', 'proxy fail; closed')


def test_agent_and_headers_go_to_the_proxy_only(certs):
    """To each proxy that is asked, and neither to the server nor through SOCKS."""
    calls = []

    def make():
        calls.append(1)
        return {'X-Session': '17', b'proxy-authorization': b'Bearer t', 'User-Agent': 'Own/1'}
    with Server(bye) as target, Server(Proxy('socks5h', target.port)) as socks:
        answer = b'HTTP/1.1 200 OK\r\n\r\n'
        with Server(lambda peer: (peer.read_head(), peer.send(answer), bye(peer))) as proxy:
            for options, agent in ((dict(proxy_headers=[('X-Session', '17')]), b'Mine/1'),
                                   (dict(proxy_headers=make), b'Own/1')):
                succeeds(through('http', proxy.port, False, certs, 'me:s3cret@', agent='Mine/1', **options))
                connect, request = proxy.heads[-2:]
                assert b'\r\nX-Session: 17\r\n' in connect and b'X-Session' not in request
                assert b'\r\nUser-Agent: ' + agent + b'\r\n' in connect
                assert b'\r\nUser-Agent: Mine/1\r\n' in request
                assert re.findall(b'(?i)proxy-authorization: (.*)\r', connect) == [
                    b'Bearer t' if agent == b'Own/1' else b'Basic bWU6czNjcmV0']
                assert b'uthorization' not in request
        assert calls == [1]
        succeeds(through('socks5h', socks.port, False, certs, proxy_headers=make))
        assert b'X-Session' not in target.heads[0] and calls == [1]


@pytest.mark.parametrize('headers, words', [
    (lambda: 1 / 0, 'division'), (lambda: ['x'], 'proxy_headers must be pairs'), (lambda: 5, 'not int'),
    (lambda: {'A': 'b\nc'}, "header 'A' has"),
    (lambda: {'Upgrade': 'x'}, 'cannot be given in proxy_headers')])
def test_proxy_headers_that_fail(certs, headers, words):
    got = through('http', 1, False, certs, proxy_headers=headers)
    fails(got, 'prepare', 'unable to connect; .*' + words + '.*')


def test_old_proxy(certs):
    """HTTP/1.0, and a 1xx answer first."""
    with Server(bye) as target:
        script = Proxy('http', target.port, version=b'HTTP/1.1 102 Wait\r\n\r\nHTTP/1.0')
        succeeds(via(script, 'http', certs))


def test_bytes_behind_the_answer_are_kept(certs):
    """The target speaks first: its bytes arrive together with the proxy's answer."""
    got = via(reply(b'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'),
              'http', certs)
    assert got.names == ['connecting', 'connected', 'rejected', 'disconnected']
    assert got['rejected'].response.body == b'no'


def test_bytes_before_tls_are_refused(certs):
    got = via(reply(b'HTTP/1.1 200 OK\r\n\r\nhello'), 'http', certs, secure=True)
    fails(got, 'tls', 'unable to connect; 5 bytes came from the proxy before TLS began')


@pytest.mark.parametrize('kind', ['http', 'socks5h'])
def test_tunnel_leads_to_no_tls(certs, kind):
    with Server(reply(b'')) as target:
        got = via(Proxy(kind, target.port), kind, certs, secure=True, connect_timeout=LIMIT)
    fails(got, 'tls', 'unable to connect; tls timed out after 0.25s', LIMIT)


def test_https_proxy_without_certificate(certs):
    """A proxy's certificate is checked like a server's; nothing is sent to it."""
    with Server(silent, server_context(certs.elsewhere)) as proxy:
        got = through('https', proxy.port, False, certs)
        fails(got, 'proxy', "unable to connect to proxy; .*(localhost|elsewhere.test).*")
        got = through('https', proxy.port, False, certs, ssl_cafile=certs.other_ca)
        fails(got, 'proxy', 'unable to connect to proxy; certificate verify failed.*')
        assert proxy.heads == []


def test_https_proxy_without_tls(certs):
    with Server(lambda peer: (peer.fill(), peer.send(b'HTTP/1.1 400 Bad Request\r\n\r\n'))) as proxy:
        got = through('https', proxy.port, False, certs)
    fails(got, 'proxy', 'unable to connect to proxy; .*does the server speak TLS on this port.*')


def test_https_proxy_whose_tls_is_silent(certs):
    with Server(silent) as proxy:
        got = through('https', proxy.port, False, certs, connect_timeout=LIMIT)
    fails(got, 'proxy', 'unable to connect to proxy; proxy timed out after 0.25s', LIMIT)


def test_fingerprint_is_of_the_server_not_of_the_proxy(certs):
    with Server(bye) as target:
        succeeds(via(Proxy('https', target.port), 'https', certs, ssl_fingerprint='sha256:' + 'ab' * 32))


@needs_memory_bio
@pytest.mark.parametrize('size', [0, 1, 16384, 200000])
def test_tls_in_tls_carries_messages(certs, size):
    """Both certificates are checked; large messages pass in both directions."""
    data = bytes(bytearray(range(256))) * (size // 256) + b'x' * (size % 256)

    def echo_once(peer):
        peer.accept()
        head = peer.read(2)
        count = bytearray(head)[1] & 0x7f
        size_bytes = peer.read({126: 2, 127: 8}.get(count, 0))
        if size_bytes:
            count, = struct.unpack(str({126: '>H', 127: '>Q'}[count]), size_bytes)
        key = bytearray(peer.read(4)) * (count // 4 + 1)
        masked = bytearray(peer.read(count))
        peer.send(b'\x82' + bytes(bytearray([bytearray(head)[1] & 0x7f])) + size_bytes + bytes(
            bytearray(a ^ b for a, b in zip(masked, key))))
        peer.end()
    names, got = [], []
    outer, inner = server_context(certs.server), server_context(certs.server)
    for context in (outer, inner):
        note_names(context, names)
    with Server(echo_once, inner) as target, Server(Proxy('https', target.port), outer) as proxy:
        websocket = WebSocket('wss://target.test/', ssl_cafile=certs.ca, proxies={
            'https': 'https://localhost:{}'.format(proxy.port)})
        for event in websocket.connect(connect_timeout=4, ping_rate=0):
            if event.name == 'ready':
                websocket.send_binary(data)
            elif event.name == 'binary':
                got.append(event.data)
    assert got == [data]
    assert names == ['localhost', 'target.test']
    assert event.name == 'disconnected' and event.graceful


@needs_memory_bio
@pytest.mark.parametrize('inner, options, words', [
    ('elsewhere', {}, '.*(target.test|elsewhere.test).*'),
    ('server', {'ssl_fingerprint': 'sha256:' + 'ab' * 32}, 'fingerprint mismatch: the server has sha256:.*')])
def test_tls_in_tls_checks_the_server(certs, inner, options, words):
    with Server(bye, server_context(getattr(certs, inner))) as target:
        got = via(Proxy('https', target.port), 'https', certs, secure=True, **options)
        assert target.heads == []
    fails(got, 'tls', 'unable to connect; ' + words)


@needs_memory_bio
def test_tls_in_tls_that_is_slow(certs):
    """The limit also holds if the outer TLS delivers one byte at a time."""
    def script(peer):
        peer.read_head()
        peer.send(b'HTTP/1.1 200 OK\r\n\r\n')
        peer.fill()
        peer.trickle(b'\x16\x03\x03\x00\x7a\x02' + b'\0' * 100)
    got = via(script, 'https', certs, secure=True, connect_timeout=LIMIT)
    fails(got, 'tls', 'unable to connect; tls timed out after 0.25s', LIMIT)


@pytest.mark.parametrize('kind, problem', [
    ('socks4', 'proxy fail; SOCKS4 can reach IPv4 addresses only, not .*'), ('socks5', None)])
def test_socks_and_ipv6(certs, monkeypatch, kind, problem):
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'target.test': ['2001:db8::1']}))
    with Server(bye) as target:
        script = Proxy(kind, target.port)
        got = via(script, kind, certs)
    if problem:
        fails(got, 'proxy', problem)
    else:
        succeeds(got)
        assert script.asked == [(b'2001:db8::1', 8123)]


@pytest.mark.parametrize('kind', ['socks4', 'socks5'])
def test_name_that_the_proxy_does_not_resolve(certs, monkeypatch, kind):
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'target.test': socket.gaierror(-2, 'no such name')}))
    fails(via(silent, kind, certs), 'resolve', 'unable to connect; no such name')


def test_name_of_the_proxy_does_not_resolve(certs, monkeypatch):
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'proxy.test': socket.gaierror(-2, 'no such name')}))
    fails(through('http', 1, False, certs, host='proxy.test'), 'resolve',
          'unable to connect to proxy; no such name')


@pytest.mark.parametrize('host, place', [
    ('[2001:db8::1]', b'[2001:db8::1]:81'), ('[fe80::1%25lo]', b'[fe80::1]:81'),
    ('192.0.2.7', b'192.0.2.7:81'), ('b\xfccher.test', b'xn--bcher-kva.test:81')])
def test_connect_line(host, place):
    with Server(bye) as target, Server(Proxy('http', target.port)) as proxy:
        succeeds(run('ws://{}:81/'.format(host), proxies={'http': proxy.url('http')}))
        assert proxy.heads[0].startswith(b'CONNECT ' + place + b' HTTP/1.1\r\nHost: ' + place + CRLF)
    assert b'\r\nHost: ' + place + CRLF in target.heads[0]


@pytest.mark.parametrize('excepted, is_direct', [
    ('', False), ('*', True), ('127.0.0.1', True), ('127.0.0.0/8', True), ('10.0.0.0/8, 127.0.0.1', True),
    ('127.0.0.1:{port}', True), ('127.0.0.1:1', False), ('example.com', False)])
def test_no_proxy(monkeypatch, excepted, is_direct):
    with Server(bye) as target, Server(Proxy('http', target.port)) as proxy:
        monkeypatch.setenv(str('http_proxy'), str(proxy.url('http')))
        monkeypatch.setenv(str('no_proxy'), str(excepted.format(port=target.port)))
        got = run(target.url(), proxies=None)
        succeeds(got)
        assert len(proxy.heads) == (0 if is_direct else 1)
        assert (got['connected'].proxy is None) == is_direct
        # no_proxy is from the environment and applies only to proxies from there.
        got = run(target.url(), proxies={'http': proxy.url('http')})
        assert got['connected'].proxy == proxy.url('http')


@pytest.mark.parametrize('name, url, stage, reason', [
    ('HTTP_PROXY', 'http://me:s3cret@/', 'prepare',
     r"unable to connect; proxy url 'http://me:\*\*\*@/' has no host"),
    ('ws_proxy', 'ftp://me:s3cret@h', 'prepare',
     "unable to connect; proxy url '.*' has a scheme that is not allowed.*"),
    ('WS_PROXY', 'http://me:s3cret@no.test', 'resolve', 'unable to connect to proxy; no such name'),
    ('all_proxy', 'socks5h://me:s3cret@127.0.0.1:{down}', 'connect',
     'unable to connect to proxy; .* connection refused'),
    ('ALL_PROXY', 'https://me:s3cret@127.0.0.1:{port}', 'proxy', 'unable to connect to proxy; .*'),
    ('all_proxy', 'socks://me:s3cret@127.0.0.1:{port}', 'proxy', 'proxy fail; not a SOCKS5 answer.*'),
    ('http_proxy', 'me:s3cret@127.0.0.1:{port}', 'proxy', 'proxy fail; 407 Proxy Authentication Required')])
def test_reasons_name_the_variable(monkeypatch, name, url, stage, reason):
    """Every reason that is about a value of the environment."""
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'no.test': socket.gaierror(-2, 'no such name')}))
    answer = b'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n'
    with Server(lambda peer: (peer.fill(), peer.send(answer), peer.wait_gone())) as proxy:
        monkeypatch.setenv(str(name), str(url.format(port=proxy.port, down=free_port())))
        got = run('ws://target.test/', proxies=None)
    fails(got, stage, reason + '; proxy from ' + name)
    assert 's3cret' not in got.last.reason


def test_timeouts_name_the_variable_and_others_do_not(monkeypatch):
    with Server(silent) as proxy:
        monkeypatch.setenv(str('http_proxy'), str(proxy.url('http')))
        fails(run('ws://target.test/', LIMIT, proxies=None), 'proxy',
              'proxy fail; proxy timed out after 0.25s; proxy from http_proxy', LIMIT)
        got = run('ws://target.test/', proxies=None,
                  actions={'connecting': lambda websocket: websocket.close()})
        fails(got, 'connect', 'unable to connect; closed')


def test_no_proxy_for_a_unix_socket(tmpdir):
    path = str(tmpdir.join('s'))
    with Server(bye, family=socket.AF_UNIX, address=path) as target:
        got = run('ws://some.test/', uds=path, proxies={'all': 'http://127.0.0.1:1'})
    assert got.names == GOOD and got['connected'].proxy is None
    assert b'Host: some.test\r\n' in target.heads[0]
