# -*- coding: utf-8 -*-
"""HTTP around the opening handshake: redirects, authentication, cookies, secrets."""

from __future__ import absolute_import, division, unicode_literals

import base64
import logging
import re
import socket
import ssl

import pytest
from support.addresses import Names, free_port
from support.certificates import server_context
from support.cookies import CookieJar, make_cookie
from support.digest import Digest
from support.network import (
    FAILED,
    GOOD,
    LIMIT,
    SLACK,
    Run,
    fails,
    nothing_stays_open,  # noqa: F401 - a fixture
    run,
    succeeds,
)
from support.peer import CRLF, bye, reply
from support.peer import lenient_server as Server
from support.proxy import Proxy

from lomond import WebSocket
from lomond.auth import DigestAuth
from lomond.session import WebsocketSession

REJECTED = ['connecting', 'connected', 'rejected', 'disconnected']
REDIRECTED = ['connecting', 'connected', 'redirected'] + GOOD[1:]
#: A header that asks for Digest.
CHALLENGE = b'WWW-Authenticate', b'Digest realm="x", nonce="n", qop=auth'


def redirect(location, status=b'302 Found'):
    """Answer every request with a redirect."""
    location = location if isinstance(location, bytes) else location.encode('utf-8')

    def script(peer):
        peer.read_head()
        peer.answer(status, [(b'Location', location)], b'moved')
    return script


def pages(**answers):
    """Run the script for the path of the request (``root`` for '/'), its head read."""
    def script(peer):
        peer.read_head()
        path = peer.line.split(b' ')[1].partition(b'?')[0].decode('ascii').strip('/') or 'root'
        answer = answers[path]
        if isinstance(answer, bytes):
            return peer.answer(b'302 Found', [(b'Location', answer)], b'moved')
        answer(peer)
    return script


def agree(peer, *lines):
    """Upgrade, send a word and close, after a request was read."""
    peer.agree(*lines)
    peer.text('hello')
    peer.end()


def then_agree(do):
    """Do that with the first request and agree to the others."""
    def script(peer):
        peer.read_head()
        if len(peer.server.heads) == 1:
            do(peer)
        else:
            agree(peer)
    return script


def header(head, name):
    """Return the values of a header of a request."""
    lines = [line.partition(b':') for line in head.split(CRLF)[1:]]
    return [value.strip() for found, _, value in lines if found.lower() == name.encode('ascii')]


def line(head):
    return head.split(CRLF)[0].decode('ascii')


# -- redirects

@pytest.mark.parametrize('status', ['301 Moved Permanently', '302 Found', '303 See Other',
                                    '307 Temporary Redirect', '308 Permanent Redirect'])
def test_redirect(status):
    with Server(bye) as second:
        with Server(redirect(second.url(path='/there?x=1#fragment'), status.encode('ascii'))) as first:
            got = run(first.url(path='/here'), max_redirects=1)
            succeeds(got, REDIRECTED)
            event = got['redirected']
            assert (event.url, event.location) == (first.url(path='/here'), second.url(path='/there?x=1'))
            assert event.response.status_code == int(status[:3])
            assert line(second.heads[0]) == 'GET /there?x=1 HTTP/1.1'
            assert header(second.heads[0], 'host') == [second.url().split('/')[2].encode('ascii')]
            keys = [header(server.heads[0], 'sec-websocket-key') for server in (first, second)]
            assert keys[0] != keys[1]


@pytest.mark.parametrize('location, path', [
    ('/there', '/there'), ('there', '/a/there'), ('?q=2', '/a/b?q=2'), ('../there/./x', '/there/x'),
    ('//127.0.0.1:{port}/there', '/there'), ('http://127.0.0.1:{port}/there', '/there'),
    ('HTTP://127.0.0.1:{port}', '/'), ('ws://user:other@127.0.0.1:{port}/there', '/there'),
    ('/\xfcber', '/%C3%BCber'), ('/a b', '/a%20b')])
def test_location(location, path):
    def script(peer):
        peer.answer(b'302 Found', [(b'Location', location.format(port=peer.server.port).encode('utf-8'))])
    with Server(then_agree(script)) as server:
        succeeds(run(server.url(path='/a/b?q=1'), max_redirects=1), REDIRECTED)
        assert [line(head) for head in server.heads] == [
            'GET /a/b?q=1 HTTP/1.1', 'GET {} HTTP/1.1'.format(path)]
        assert header(server.heads[1], 'authorization') == []


def test_redirect_to_tls(certs):
    """https means wss."""
    with Server(bye, server_context(certs.server)) as second:
        with Server(redirect(second.url('https', 'localhost'))) as first:
            succeeds(run(first.url(), max_redirects=1, ssl_cafile=certs.ca), REDIRECTED)


@pytest.mark.parametrize('scheme', ['ws', 'http'])
def test_redirect_from_tls_is_refused(certs, scheme):
    with Server(bye) as second:
        location = second.url(scheme)
        with Server(redirect(location), server_context(certs.server)) as first:
            got = run(first.url('wss'), max_redirects=5, ssl_cafile=certs.ca)
        assert second.accepted == 0
    succeeds(got, REJECTED)
    assert got['rejected'].reason == (
        'Websocket upgrade failed (code=302); redirect from wss to ws refused: ' + location)
    assert got['rejected'].response.body == b'moved'
    assert got.last.graceful is True


@pytest.mark.parametrize('most', [0, 1, 3])
def test_redirects_without_end(most):
    with Server(redirect('/')) as server:
        got = run(server.url(), max_redirects=most)
        assert len(server.heads) == most + 1
    succeeds(got, ['connecting'] + ['connected', 'redirected'] * most + REJECTED[1:])
    assert got['rejected'].reason == 'Websocket upgrade failed (code=302)' + (
        '; more than {} redirects (max_redirects)'.format(most) if most else '')


@pytest.mark.parametrize('location', [
    b'', b'ftp://127.0.0.1/', b'http://', b'http:///x', b'ws://127.0.0.1:0/', b'//', b'http://a\x01b/',
    b'javascript:alert(1)', b'http://' + b'x' * 70 + b'.test/', b'\\\\127.0.0.1\\x', b'http://[::1/'])
def test_redirect_to_nowhere(location):
    with Server(redirect(location)) as server:
        got = run(server.url(), max_redirects=3)
        assert len(server.heads) == 1
    succeeds(got, REJECTED)
    assert re.match(r'Websocket upgrade failed \(code=302\); redirect ', got['rejected'].reason)


def test_redirect_without_location():
    with Server(lambda peer: (peer.read_head(), peer.answer(b'301 Moved'))) as server:
        got = run(server.url(), max_redirects=3)
    succeeds(got, REJECTED)
    assert got['rejected'].reason.endswith('; redirect has no location')


def test_redirect_to_one_who_is_down():
    port = free_port()
    with Server(redirect('ws://127.0.0.1:{}/'.format(port))) as server:
        got = run(server.url(), max_redirects=3)
    succeeds(got, ['connecting', 'connected', 'redirected', 'connect_fail'])
    assert got.last.reason == 'unable to connect; 127.0.0.1:{} connection refused'.format(port)


def test_redirects_have_one_budget():
    """Each redirect is quick, but all of them together take too long."""
    def script(peer):
        peer.read_head()
        peer.server.stopping.wait(LIMIT * 0.3)
        peer.answer(b'302 Found', [(b'Location', b'/')])
    with Server(script) as server:
        got = run(server.url(), connect_timeout=LIMIT, max_redirects=1000)
    assert 'timed out' in got.last.reason
    assert 2 <= got.names.count('redirected') <= 4
    assert LIMIT <= got.elapsed < LIMIT + SLACK


def test_redirect_without_the_end_of_its_body():
    """An unneeded body is not waited for."""
    def script(peer):
        peer.send(b'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 1000\r\n\r\nmov')
        peer.wait_gone()
    with Server(then_agree(script)) as server:
        got = run(server.url(), max_redirects=1)
    assert 'ready' in got.names and got.elapsed < 0.9


def test_url_is_what_it_was():
    """host, port and resource follow; the next connection starts at the beginning."""
    with Server(bye) as second, Server(redirect(second.url(path='/x'))) as first:
        websocket = WebSocket(first.url(), proxies={}, max_redirects=1)
        for _ in range(2):
            succeeds(Run(websocket), REDIRECTED)
            assert websocket.url == first.url()
            assert (websocket.port, websocket.resource) == (second.port, '/x')
        assert len(first.heads) == len(second.heads) == 2


def test_proxy_of_a_redirect(certs):
    """The proxy is chosen again: wss uses another one than ws."""
    with Server(bye, server_context(certs.server)) as second:
        with Server(redirect(second.url('wss'))) as first, Server(Proxy('http', second.port)) as proxy:
            got = run(first.url(), max_redirects=1, ssl_cafile=certs.ca, proxies={'https': proxy.url('http')})
    succeeds(got, REDIRECTED)
    assert [event.proxy for event in got.events if event.name == 'connected'] == [None, proxy.url('http')]


SECRET = 'Basic ' + base64.b64encode(b'me:s3cret').decode('ascii')
SECRETS = [
    dict(auth=('me', 's3cret')), dict(cookies={'id': 's3cret'}), dict(cookies='id=s3cret'),
    dict(headers={'Authorization': SECRET}), dict(headers=[('COOKIE', 'id=s3cret')]),
    dict(headers=lambda: {'authorization': SECRET, 'Cookie': 'id=s3cret'}), dict(userinfo='me:s3cret@'),
    dict(added=[(b'Authorization', SECRET.encode('ascii')), (b'cookie', b'id=s3cret')]),
    dict(auth=DigestAuth('me', 's3cret'))]


def with_secrets(server, options):
    options = dict(options, proxies={}, max_redirects=5)
    host, added = options.pop('userinfo', '') + '127.0.0.1', options.pop('added', [])
    websocket = WebSocket(server.url(host=host), **options)
    for pair in added + [(b'X-Kept', b'yes')]:
        websocket.add_header(*pair)
    return websocket


def has_secret(head):
    return b's3cret' in head or base64.b64encode(b'me:s3cret') in head or b'Digest' in head


@pytest.mark.parametrize('options', SECRETS)
def test_secrets_stay_with_their_origin(options):
    """Another port is another origin; coming back does not restore trust."""
    def front(peer):
        peer.read_head()
        if b'GET /back' in peer.head:
            agree(peer)
        elif 'auth' in options and not isinstance(options['auth'], tuple) and not has_secret(peer.head):
            peer.answer(b'401 Unauthorized', [CHALLENGE])
        elif b'GET /same' in peer.head:
            peer.answer(b'302 Found', [(b'Location', second.url(path='/other').encode('ascii'))])
        else:
            peer.answer(b'302 Found', [(b'Location', b'/same')])

    def back(peer):
        peer.read_head()
        peer.answer(b'302 Found', [(b'Location', first.url(path='/back').encode('ascii'))])
    with Server(back) as second, Server(front) as first:
        got = Run(with_secrets(first, options))
        asked = [head for head in first.heads if has_secret(head) or b'/back' in head]
        assert [line(head).split(' ')[1] for head in asked] == ['/', '/same', '/back']
        assert [has_secret(head) for head in asked] == [True, True, False]
        assert len(second.heads) == 1 and not has_secret(second.heads[0])
        for head in asked + second.heads:
            assert header(head, 'x-kept') == [b'yes']
    assert 'ready' in got.names


@pytest.mark.parametrize('options', SECRETS)
def test_secrets_stay_with_their_scheme(certs, options):
    def back(peer):
        peer.read_head()
        assert not has_secret(peer.head)
        peer.answer(b'401 Unauthorized', [CHALLENGE])
    with Server(back, server_context(certs.server)) as second:
        with Server(redirect(second.url('wss'))) as first:
            got = Run(with_secrets(first, dict(options, ssl_cafile=certs.ca)))
        assert len(second.heads) == 1
    assert got['rejected'].response.status_code == 401
    assert 'credentials were dropped' in got['rejected'].reason


def test_client_certificate_stays_with_its_origin(certs):
    """So does server_hostname; with _wrap_socket, too."""
    class Session(WebsocketSession):
        def _wrap_socket(self, sock, host):
            hosts.append(host)
            return super(Session, self)._wrap_socket(sock, host)

    def script(peer):
        seen.append(bool(peer.sock.getpeercert(True)))
        peer.read_head()
        peer.answer(*answers[len(seen) - 1])
    tls = server_context(certs.server, certs.ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    for session_class in (WebsocketSession, Session):
        seen, hosts = [], []
        with Server(script, tls) as second, Server(script, tls) as first:
            answers = [(b'302 Found', [(b'Location', where)]) for where in (
                b'/same', second.url('wss', 'localhost').encode('ascii'), first.url('wss').encode('ascii'))]
            answers.append((b'403 Forbidden',))
            got = run(first.url('wss'), session_class=session_class, ssl_cafile=certs.ca, max_redirects=5,
                      ssl_cert=certs.client, server_hostname='target.test')
        assert seen == [True, True, False, False]
        assert hosts in ([], ['target.test', 'target.test', 'localhost', '127.0.0.1'])
        assert 'credentials were dropped' in got['rejected'].reason


def test_host_stays_with_its_origin():
    with Server(bye) as second, Server(redirect(second.url())) as first:
        got = run(first.url(), max_redirects=1, headers={'Host': 'secret.test'})
        assert 'ready' in got.names
        assert header(first.heads[0], 'host') == [b'secret.test']
        assert header(second.heads[0], 'host') == ['127.0.0.1:{}'.format(second.port).encode('ascii')]


# -- authentication

def test_one_authorization():
    """add_header() wins, then headers, then auth, then the URL."""
    options = {}
    with Server(bye) as server:
        for level, wanted in enumerate([b'Basic ' + base64.b64encode(b'us@er:p/w'),
                                        b'Basic ' + base64.b64encode(b'me:auth'), b'headers', b'add_header']):
            if level == 1:
                options['auth'] = ('me', 'auth')
            if level == 2:
                options['headers'] = [('Authorization', 'headers')]
            websocket = WebSocket(server.url(host='us%40er:p%2Fw@127.0.0.1'), proxies={}, **options)
            if level == 3:
                websocket.add_header(b'authorization', b'add_header')
            succeeds(Run(websocket))
            assert header(server.heads[-1], 'authorization') == [wanted]
            assert b'@' not in header(server.heads[-1], 'host')[0]


def digest_server(algorithm, lines=None, close=True):
    """Require Digest of user b'me' for every path."""
    def script(peer):
        while True:
            peer.read_head()
            if digest.is_right(peer.header(b'authorization'), *peer.line.split(b' ')[:2]):
                agree(peer)
                return
            peer.answer(b'401 Unauthorized', [(b'WWW-Authenticate', line) for line in lines or digest.lines])
            if close:
                return
    digest = Digest(algorithm)
    script.seen = digest.seen
    return script


@pytest.mark.parametrize('close', [True, False])
@pytest.mark.parametrize('algorithm', ['MD5', 'SHA-256', 'MD5-sess', 'SHA-256-sess'])
def test_digest(algorithm, close):
    """Two requests are sent, but the events are those of one."""
    with Server(digest_server(algorithm, close=close)) as server:
        succeeds(run(server.url(path='/x?y=1,"z'), auth=DigestAuth('me', 's3cret')))
        assert len(server.heads) == server.accepted == 2
        assert header(server.heads[0], 'authorization') == []
        keys = [header(head, 'sec-websocket-key') for head in server.heads]
        assert keys[0] != keys[1]


def test_digest_is_refused():
    """After two requests in all, the answer is Rejected."""
    with Server(digest_server('MD5')) as server:
        got = run(server.url(), auth=DigestAuth('me', 'wrong'))
        assert len(server.heads) == 2
    succeeds(got, REJECTED)
    assert got['rejected'].response.status_code == 401


def test_digest_for_each_connection():
    with Server(digest_server('MD5')) as server:
        websocket = WebSocket(server.url(), proxies={}, auth=DigestAuth('me', 's3cret'))
        succeeds(Run(websocket))
        # The nonce was used before: the count would be 2, which this server rejects.
        assert Run(websocket).names == REJECTED
        assert [parameters[b'nc'] for parameters in server.scripts[0].seen] == [b'00000001', b'00000002']


@pytest.mark.parametrize('auth, challenge', [(None, None), (('me', 'x'), None)] + [
    (DigestAuth('me', 's3cret'), challenge) for challenge in (
        b'Basic realm="x"', b'Digest realm="x"', b'Digest realm="x", nonce="n", qop="auth-int"',
        b'Digest realm="x", nonce="n", algorithm=SHA3', b'', b'Digest realm="\x01", nonce="n"')])
def test_digest_that_cannot_be_answered(auth, challenge):
    """Nor is Basic, or no credentials at all, tried twice."""
    with Server(digest_server('MD5', lines=None if challenge is None else [challenge])) as server:
        succeeds(run(server.url(), auth=auth), REJECTED)
        assert len(server.heads) == 1


def test_digest_has_one_budget():
    def script(peer):
        peer.read_head()
        peer.server.stopping.wait(LIMIT * 0.6)
        if len(peer.server.heads) == 1:
            peer.answer(b'401 No', [CHALLENGE])
        else:
            peer.wait_gone()
    with Server(script) as server:
        got = run(server.url(), connect_timeout=LIMIT, auth=DigestAuth('me', 's3cret'))
    succeeds(got, ['connecting', 'connected', 'disconnected'])
    assert 'timed out' in got.last.reason
    assert LIMIT <= got.elapsed < LIMIT + SLACK


@pytest.mark.parametrize('status, field', [(b'401 No', CHALLENGE), (b'302 Found', (b'Location', b'/next'))])
def test_one_deadline(status, field):
    """The header is made once for all requests of a connection."""
    deadlines = []

    class Session(WebsocketSession):
        def next_deadline(self):
            deadlines.append(self._deadline)
            return super(Session, self).next_deadline()
    with Server(then_agree(lambda peer: peer.answer(status, [field]))) as server:
        succeeds(run(server.url(), session_class=Session, auth=DigestAuth('me', 's3cret'), max_redirects=1),
                 GOOD if field == CHALLENGE else REDIRECTED)
        assert len(server.heads) == 2
    assert len(deadlines) >= 2 and len(set(deadlines)) == 1


def test_digest_through_a_proxy():
    with Server(digest_server('SHA-256')) as server, Server(Proxy('http', server.port)) as proxy:
        got = run('ws://target.test/', auth=DigestAuth('me', 's3cret'), proxies={'http': proxy.url('http')})
    succeeds(got)
    assert got['connected'].proxy == proxy.url('http')


def test_digest_where_the_second_connection_fails():
    """The listener is closed by then."""
    def script(peer):
        peer.read_head()
        peer.server.listener.shutdown(socket.SHUT_RDWR)
        peer.server.listener.close()
        peer.answer(b'401 Unauthorized', [CHALLENGE])
    with Server(script) as server:
        got = run(server.url(), auth=DigestAuth('me', 's3cret'))
    succeeds(got, ['connecting', 'connected', 'connect_fail'])
    assert 'connection refused' in got.last.reason


class Raises(CookieJar):
    """A cookie jar and an auth object; what it is told to do raises."""

    def __init__(self, what, error):
        CookieJar.__init__(self)
        self.what, self.error = what, error

    def check(self, what):
        if what == self.what:
            raise self.error

    def add_cookie_header(self, request):
        self.check('add')

    def extract_cookies(self, response, request):
        self.check('extract')

    def answer(self, lines, method, uri):
        self.check('answer')
        return 'Digest x' if self.what != 'bad answer' else 'x\r\ny'


class Weird(Exception):
    def __str__(self):
        raise ValueError('not even a text')


@pytest.mark.parametrize('what, status, names', [
    ('add', b'101', []), ('answer', b'401', ['connected']), ('bad answer', b'401', ['connected'])] + [
    ('extract', status, ['connected']) for status in (b'101', b'302', b'401', b'404')])
@pytest.mark.parametrize('error', [RuntimeError('disk full'), StopIteration('disk full'), Weird()])
def test_cookie_jars_and_auth_objects_that_raise(what, status, names, error):
    """The exception becomes the last event, before any other of this answer."""
    def script(peer):
        peer.read_head()
        if status == b'101':
            agree(peer)
        else:
            peer.answer(status + b' No', [CHALLENGE, (b'Location', b'/there')], b'body')
    helper = Raises(what, error)
    with Server(script) as server:
        got = run(server.url(), cookies=helper, auth=helper, max_redirects=1)
    succeeds(got, ['connecting'] + names + ['connect_fail'])
    assert got.last.stage == 'upgrade'
    if what != 'bad answer':
        assert got.last.error is error
        assert ('Weird' if isinstance(error, Weird) else 'disk full') in got.last.reason


def test_fresh_token_for_each_connection():
    """url and headers may be callables, called once even if there are redirects."""
    asked = []
    with Server(pages(root=b'/x', x=agree)) as server:
        def headers():
            asked.append('headers')
            return {'Authorization': 'Bearer {}'.format(len(asked))}

        def url():
            asked.append('url')
            return server.url()
        websocket = WebSocket(url, proxies={}, headers=headers, max_redirects=1)
        for _ in range(2):
            assert 'ready' in Run(websocket).names
        assert asked == ['url', 'headers'] * 2
        assert [header(head, 'authorization') for head in server.heads] == (
            [[b'Bearer 2']] * 2 + [[b'Bearer 4']] * 2)


@pytest.mark.parametrize('options', [
    dict(url=lambda: 1 // 0), dict(url=lambda: 'ftp://x/'), dict(url=lambda: None),
    dict(url=lambda: 'ws://a\nb/'), dict(headers=lambda: 1 // 0), dict(headers=lambda: 5),
    dict(headers=lambda: {'a\r\nb': 'c'}), dict(headers=lambda: [('Upgrade', 'x')])])
def test_callables_that_fail(options):
    options = dict(options)
    url = options.pop('url', 'ws://127.0.0.1:1/')
    got = run(url, **options)
    fails(got, 'prepare', 'unable to connect; .*')
    assert got.events[0].url == ('' if callable(url) else url)


# -- cookies

def test_cookie_jar():
    """The jar gets the Set-Cookie lines of all answers; all requests use it."""
    def login(peer):
        peer.send(b'HTTP/1.1 302 Found\r\nLocation: /app/x\r\nContent-Length: 0\r\n'
                  b'Set-Cookie: id=1; Path=/\r\nSet-Cookie: app=a b; Path=/app\r\n'
                  b'Set-Cookie: secure=1; Path=/; Secure\r\nSet-Cookie: other=1; Domain=example.test\r\n'
                  b'Set-Cookie: gone=1; Path=/; Max-Age=0\r\n\r\n')

    def app(peer):
        agree(peer, b'Set-Cookie: id=2; Path=/; Expires=Wed, 01 Jan 2098 00:00:00 GMT')
    jar = CookieJar()
    with Server(pages(root=login, **{'app/x': app})) as server:
        websocket = WebSocket(server.url(), proxies={}, cookies=jar, max_redirects=1)
        for _ in range(2):
            assert 'ready' in Run(websocket).names
        found = [sorted(b'; '.join(header(head, 'cookie')).split(b'; ')) for head in server.heads]
        assert found == [[b''], [b'app=a b', b'id=1'], [b'id=2'], [b'app=a b', b'id=1']]
    assert sorted((cookie.name, cookie.value) for cookie in jar) == [
        ('app', 'a b'), ('id', '2'), ('secure', '1')]


def test_cookie_jar_across_origins():
    """A jar knows which host a cookie is for; ports do not matter to it."""
    def move(peer):
        peer.read_head()
        peer.answer(b'302 Found', [(b'Location', second.url(host='localhost').encode('ascii')),
                                   (b'Set-Cookie', b'id=1')])
    jar = CookieJar()
    with Server(bye) as second, Server(move) as first:
        assert 'ready' in run(first.url(), max_redirects=1, cookies=jar).names
        assert header(second.heads[0], 'cookie') == []
        assert 'ready' in run(second.url(), cookies=jar).names
        assert header(second.heads[1], 'cookie') == [b'id=1']


@pytest.mark.parametrize('cookies, headers, sent', [
    ({}, {}, []), ('', {}, []), ({'a': '1'}, {}, [b'a=1']), ('a=1; b="2"', {}, [b'a=1; b="2"']),
    ({'a': '\xfc'}, {}, [b'a=\xc3\xbc']), ({'a': '1'}, {'cookie': 'b=2'}, [b'b=2'])])
def test_cookies(cookies, headers, sent):
    """A cookie header of the caller wins."""
    with Server(bye) as server:
        succeeds(run(server.url(), cookies=cookies, headers=headers))
        assert header(server.heads[0], 'cookie') == sent


# -- rejections

@pytest.mark.parametrize('answer, body', [
    (b'Content-Length: 5\r\n\r\nsorry', b'sorry'), (b'Content-Length: 0\r\n\r\n', b''),
    (b'Content-Length: 5\r\n\r\nsorry, and more', b'sorry'),
    (b'Transfer-Encoding: chunked\r\n\r\n3\r\nsor\r\n2;x=y\r\nry\r\n0\r\nTrailer: x\r\n\r\n', b'sorry'),
    (b'Content-Length: 70000\r\n\r\n' + b'x' * 70000, b'x' * 65536)])
def test_body(answer, body):
    """Rejected is emitted at once, though TCP stays open."""
    with Server(reply(b'HTTP/1.1 403 Forbidden\r\n' + answer)) as server:
        got = run(server.url())
    succeeds(got, REJECTED)
    assert got['rejected'].response.body == body
    assert got['rejected'].reason == 'Websocket upgrade failed (code=403)'
    assert (got.last.reason, got.last.graceful) == ('closed', True)
    assert got.elapsed < 0.9


def test_body_until_the_end():
    def script(peer):
        peer.read_head()
        peer.send(b'HTTP/1.0 503 Service Unavailable\r\n\r\nlater, ')
        peer.server.stopping.wait(0.1)
        peer.send(b'please')
    with Server(script) as server:
        got = run(server.url())
    succeeds(got, REJECTED)
    assert got['rejected'].response.body == b'later, please'


@pytest.mark.parametrize('answer', [b'\r\nnever', b'Content-Length: 10\r\n\r\nnever',
                                    b'Transfer-Encoding: chunked\r\n\r\n5\r\nnever\r\n'])
def test_body_without_end(answer):
    """The body is what has arrived after a second, or at the time limit."""
    with Server(reply(b'HTTP/1.1 404 Not Found\r\n' + answer)) as server:
        got = run(server.url(), connect_timeout=LIMIT)
    succeeds(got, REJECTED)
    assert got['rejected'].response.body == b'never'
    assert LIMIT <= got.elapsed < LIMIT + SLACK


def test_body_has_a_second():
    with Server(lambda peer: (peer.read_head(), peer.send(b'HTTP/1.1 404 Not Found\r\n\r\n'),
                              peer.trickle(b'x' * 1000))) as server:
        got = run(server.url())
    succeeds(got, REJECTED)
    assert 1 <= got.elapsed < 1 + SLACK


# -- header injection

VECTORS = [
    'x\r\nX-Evil: 1', 'x\nX-Evil: 1', 'x\rX-Evil: 1', '\r\nX-Evil: 1', 'x\r\n\r\nGET /evil HTTP/1.1\r\n',
    'x\r\n X-Evil: 1', 'x\r\n\tX-Evil: 1', 'x\0', '\0', 'x\r', 'x\n', '\n', '\r', '\r\n', 'x\x0b', 'x\x0c',
    'x\x1b[0m', 'x\x7f', 'x\x85X-Evil: 1', 'x\u2028X-Evil: 1', 'x\u2029X-Evil: 1', 'x\u010aX-Evil: 1',
    'x\u010d\u010aX-Evil: 1', 'x\uff0d\uff0aX-Evil: 1', 'x%0d%0aX-Evil: 1', 'x%0D%0AX-Evil:%201', 'x%00',
    'x\\r\\nX-Evil: 1', 'x\x1c', 'x\x1e', 'x HTTP/1.1\r\nX-Evil: 1\r\nx', 'x y', 'x\ty', '\ufeffx', 'x\ud800']


def added(name, value):
    def make(url, vector):
        websocket = WebSocket(url, proxies={})
        pair = [part.format(vector).encode('utf-8', 'surrogatepass') if str is not bytes else
                part.format(vector).encode('utf-8') for part in (name, value)]
        websocket.add_header(*pair)
        return websocket
    return make


def by(**options):
    """Return a function that makes a WebSocket; callable options get the vector."""
    def make(url, vector):
        return WebSocket(url, **dict(dict(proxies={}), **dict(
            (name, value(vector)) for name, value in options.items())))
    return make


def jar_with(vector):
    jar = CookieJar()
    jar.set_cookie(make_cookie('id', vector))
    return jar


DOORS = {
    'path': lambda url, vector: WebSocket(url + vector, proxies={}),
    'query': lambda url, vector: WebSocket(url + '?q=' + vector, proxies={}),
    'fragment': lambda url, vector: WebSocket(url + '#' + vector, proxies={}),
    'host': lambda url, vector: WebSocket(url.replace('.1:', '.1{}:'.format(vector)), proxies={}),
    'user': lambda url, vector: WebSocket(url.replace('//', '//{}:x@'.format(vector)), proxies={}),
    'password': lambda url, vector: WebSocket(url.replace('//', '//x:{}@'.format(vector)), proxies={}),
    'callable url': lambda url, vector: WebSocket(lambda: url + vector, proxies={}),
    'protocol': by(protocols=lambda vector: ['a', vector]),
    'agent': by(agent=lambda vector: vector),
    'origin': by(origin=lambda vector: vector),
    'header name': by(headers=lambda vector: {'X' + vector: 'x'}),
    'header value': by(headers=lambda vector: [('X-Header', vector)]),
    'header of a callable': by(headers=lambda vector: lambda: {'X-Header': vector}),
    'header of bytes': by(headers=lambda vector: [(b'X-Header', vector.encode('utf-8', 'replace'))]),
    'Host': by(headers=lambda vector: {'Host': vector}),
    'User-Agent': by(headers=lambda vector: {'User-Agent': vector}),
    'auth user': by(auth=lambda vector: (vector, 'x')),
    'auth password': by(auth=lambda vector: ('x', vector)),
    'digest user': by(auth=lambda vector: DigestAuth(vector, 'x')),
    'cookie name': by(cookies=lambda vector: {vector: 'x'}),
    'cookie value': by(cookies=lambda vector: {'id': vector}),
    'cookies': by(cookies=lambda vector: 'id=' + vector),
    'cookie jar': by(cookies=jar_with),
    'add_header name': added('X{}', 'x'),
    'add_header value': added('X-Header', '{}'),
    'proxy user': lambda url, vector: WebSocket(url, proxies={
        'http': url.replace('ws://', 'http://{}:x@'.format(vector))}),
    'proxy password': lambda url, vector: WebSocket(url, proxies={
        'http': url.replace('ws://', 'http://x:{}@'.format(vector))}),
}
KNOWN = re.compile(br'\A(GET|CONNECT) \S+ HTTP/1\.1\r\n'
                   br'(?:(?:X[!#$%&\'*+.^_`|~0-9A-Za-z-]*|Host|Upgrade|Connection|Sec-WebSocket-[A-Za-z]+|'
                   br'User-Agent|Origin|Authorization|Proxy-Authorization|Cookie): '
                   br'?[^\x00-\x08\x0a-\x1f\x7f]*\r\n)+\r\n\Z')


@pytest.mark.parametrize('door', sorted(DOORS))
@pytest.mark.ends
def test_injection(door):
    """Each vector is refused, or stays inside the line where it belongs."""
    def script(peer):
        peer.read_head()
        rest.append(bytes(peer.buffer))
        if peer.line.startswith(b'CONNECT'):
            peer.answer(b'407 No')
        else:
            peer.answer(b'401 No', [CHALLENGE])
    rest, refused = [], 0
    with Server(script) as server:
        for vector in VECTORS:
            del server.heads[:]
            try:
                websocket = DOORS[door](server.url(), vector)
            except ValueError as error:
                refused += 1
                assert not re.search('[\\x00-\\x1f\\x7f]', '{}'.format(error))
                assert server.accepted == 0 or server.heads == []
                continue
            names = Run(websocket, connect_timeout=2).names
            assert names in (REJECTED, FAILED), vector
            for head in server.heads:
                assert KNOWN.match(head), (vector, head)
                assert not re.search(br'(?m)^X-Evil', head) and head.count(b'\n\r\n') == 1, (vector, head)
                assert len(header(head, 'sec-websocket-key')) == (head[:3] == b'GET')
        assert set(rest) <= set([b''])
        if door not in ('fragment', 'callable url', 'header of a callable', 'cookie jar'):
            assert refused >= 9


# -- secrets

def everything_said(websocket, limit, records, caplog):
    """Return everything that a connection says about itself, as one text."""
    said = [repr(websocket)]
    for event in websocket.connect(connect_timeout=limit):
        said.append(repr(event))
        for name in ('reason', 'url', 'location', 'proxy', 'error'):
            value = getattr(event, name, None)
            said.append('{} {!r}'.format(value, value))
        if event.name == 'connected':
            said.append(repr(websocket))
    said += [repr(said_of) for said_of in records + [websocket.auth, websocket._target]]
    said += [record.getMessage() for record in caplog.records]
    return '\n'.join(said)


@pytest.mark.parametrize('fate', ['good', 'rejected', 'redirected', 'digest', 'down', 'bad name', 'bad proxy',
                                  'proxy', 'proxy down', 'bad request', 'wss'])
def test_secrets_are_never_said(certs, monkeypatch, caplog, fate):
    caplog.set_level(logging.DEBUG)
    secrets = ['s3cret', 'p\xe4ss', 'k3y']
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'bad.test': socket.gaierror(-2, 'no such name')}))

    def act(peer):
        if fate == 'rejected':
            peer.answer(b'403 No', [(b'Set-Cookie', b'id=k3y')])
        elif fate == 'redirected':
            peer.answer(b'302 Found', [(b'Location', b'http://me:s3cret@127.0.0.1:1/')])
        elif fate == 'digest':
            peer.answer(b'401 No', [CHALLENGE])
        else:
            agree(peer)
    with Server(then_agree(act)) as server, Server(Proxy('http', server.port, (b'me', b's3cret'))) as proxy:
        place = {'down': '127.0.0.1:1', 'bad name': 'bad.test'}.get(fate, '127.0.0.1:{}'.format(server.port))
        proxies = {'proxy': {'http': 'http://me:s3cret@127.0.0.1:{}'.format(proxy.port)},
                   'bad proxy': {'http': 'socks5://me:s3cret@127.0.0.1:{}'.format(server.port)},
                   'proxy down': {'http': 'http://me:s3cret@127.0.0.1:1'}}.get(fate, {})
        records = []
        websocket = WebSocket(
            '{}://me:p%C3%A4ss@{}/'.format('wss' if fate == 'wss' else 'ws', place), proxies=proxies,
            auth=DigestAuth('me', 's3cret') if fate == 'digest' else None, cookies={'id': 'k3y'},
            headers=[('X-Token', 'k3y')], trace=records.append, max_redirects=1, ssl_cert=None)
        if fate == 'bad request':
            websocket.cookies = 'id=k3y\r\n'
        said = everything_said(websocket, LIMIT if fate in ('wss', 'bad proxy') else 4, records, caplog)
    assert records and caplog.records
    secrets += ['p%C3%A4ss', repr('p\xe4ss').strip('u\'"')]
    for userinfo in ('me:s3cret', 'me:p\xe4ss'):
        secrets.append(base64.b64encode(userinfo.encode('utf-8')).decode('ascii'))
    for secret in secrets:
        assert secret not in said, said
    assert 'nonce' not in said


def test_reprs_hide_secrets():
    auth = DigestAuth('me', 's3cret')
    for value in (WebSocket('wss://me:s3cret@x/', auth=auth), auth):
        assert 's3cret' not in repr(value)
    assert repr(WebSocket('ws://me:s3cret@x/')).replace("u'", "'") == "WebSocket('ws://me:***@x/')"
