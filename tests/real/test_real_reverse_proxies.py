"""nginx, HAProxy, Caddy, Apache and Varnish in front, with and without TLS."""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import signal
import socket
import ssl
import time

import counterparts
import pytest
from counterparts import (
    CLOSED_BY_US,
    ScriptedServer,
    WebSocket,
    at_ready,
    certificate,
    converse,
    names,
    prove_bare_end,
    prove_both_send,
    prove_comeback,
    prove_echo,
    prove_lost,
    prove_threads,
    run,
)
from reverse_proxies import PASSWORD, USER, ReverseProxy

from lomond.auth import DigestAuth

KINDS = ('nginx', 'haproxy', 'caddy', 'apache', 'varnish')
HAS_TLS13 = getattr(ssl, 'HAS_TLSv1_3', False)


@pytest.fixture(scope='module')
def upstream():
    with contextlib.closing(ScriptedServer('websockets')) as server:
        yield server


@pytest.fixture(scope='module', params=KINDS)
def proxy(request, upstream):
    with contextlib.closing(ReverseProxy(request.param, upstream)) as started:
        yield started


@pytest.fixture(scope='module')
def nginx(upstream):
    with contextlib.closing(ReverseProxy('nginx', upstream)) as started:
        yield started


def client(proxy, path='/echo', port=None, host='localhost', **options):
    options.setdefault('ssl_cafile', certificate('ca.pem'))
    return WebSocket(proxy.url(path, port, host), proxies={}, **options)


def rejection(websocket):
    happened = run(websocket)
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected'], happened
    assert happened[-1].graceful
    return happened[2].response


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
@pytest.mark.parametrize('port', ('plain', 'tls12', 'tls13'))
def test_echo(proxy, port, compress):
    if port == 'tls13' and not HAS_TLS13:
        pytest.skip('this Python has no TLS 1.3')
    to_send = counterparts.messages() + counterparts.messages([counterparts.BIG])
    url = proxy.url(port=getattr(proxy, port))
    prove_echo(url, to_send, compress=compress, ssl_cafile=certificate('ca.pem'))


@pytest.mark.parametrize('host', ('localhost', '127.0.0.1'))
@pytest.mark.parametrize('port', ('tls12', 'tls13'))
def test_protocol_and_name_of_tls(proxy, port, host):
    """What was agreed on, in the server's words: the protocol, and a name only where
    there is one.
    """
    if port == 'tls13' and not HAS_TLS13:
        pytest.skip('this Python has no TLS 1.3')
    response = rejection(client(proxy, '/forbidden', getattr(proxy, port), host))
    assert response.status_code == 403
    said = response.body.decode('utf-8').lower().replace('v', '').split()
    assert said[:2] == ['no', {'tls12': 'tls1.2', 'tls13': 'tls1.3'}[port]]
    names_told = [word for word in said[2:] if word not in ('-', '(null)')]
    assert names_told == (['localhost'] if host == 'localhost' else [])


def test_tls13_is_not_to_be_had(proxy):
    if HAS_TLS13:
        pytest.skip('this Python has TLS 1.3')
    assert names(run(client(proxy, port=proxy.tls13))) == ['connecting', 'connect_fail']


@pytest.mark.parametrize('options, words', (
    ({'ssl_cafile': None}, 'certificate verify failed'),
    ({'ssl_cafile': 'client'}, 'certificate verify failed'),
    ({'ssl_fingerprint': 'sha256:' + 'AB' * 32}, 'fingerprint mismatch'),
), ids=('unknown CA', 'other CA', 'fingerprint'))
def test_certificate_that_is_not_trusted(proxy, options, words):
    options = dict(options)
    if options.get('ssl_cafile'):
        options['ssl_cafile'] = certificate(options['ssl_cafile'] + '.crt')
    happened = run(client(proxy, port=proxy.tls12, **options))
    assert names(happened) == ['connecting', 'connect_fail']
    assert happened[1].stage == 'tls'
    assert words in happened[1].reason.lower()


@pytest.mark.parametrize('form', ('both', 'pair', 'locked'))
def test_client_certificate(proxy, form):
    pair = certificate('client.pem')
    if form == 'pair':
        pair = (certificate('client.crt'), certificate('client.key'))
    elif form == 'locked':
        pair = (certificate('client.crt'), certificate('locked.key'), 'secret')
    prove_echo(proxy.url(port=proxy.mutual), ssl_cafile=certificate('ca.pem'), ssl_cert=pair)


def test_client_certificate_is_missing(proxy):
    """nginx answers with a page, the others break TLS off: in TLS 1.3 that comes behind
    our request.
    """
    happened = run(client(proxy, port=proxy.mutual))
    assert happened[-1].name in ('connect_fail', 'disconnected')
    if proxy.kind == 'nginx':
        assert happened[2].response.status_code == 400
        assert b'No required SSL certificate was sent' in happened[2].response.body
    else:
        assert 'ready' not in names(happened)
        assert not getattr(happened[-1], 'graceful', False)
        assert 'certificate' in happened[-1].reason or 'handshake' in happened[-1].reason, happened[-1]


def test_forbidden_with_a_body(proxy):
    response = rejection(client(proxy, '/forbidden'))
    assert response.status_code == 403 and response.body.startswith(b'no')


def test_busy_with_a_body(proxy):
    response = rejection(client(proxy, '/busy'))
    assert (response.status_code, response.body, response.get('Retry-After')) == (503, b'busy', '7')


def test_rejection_of_the_server_behind(proxy):
    response = rejection(client(proxy, '/reject?status=404&body=not%20here'))
    assert (response.status_code, response.body) == (404, b'not here')


def test_server_behind_is_down(proxy):
    if proxy.kind == 'varnish':     # it has begun to pipe, and hangs up without a word
        happened = run(client(proxy, '/dead/echo'))
        assert names(happened) == ['connecting', 'connected', 'disconnected']
        assert happened[-1].reason.startswith('socket fail; connection lost (') and not happened[-1].graceful
        return
    response = rejection(client(proxy, '/dead/echo'))
    assert response.status_code in (502, 503)


def test_redirect_is_a_rejection(proxy):
    assert rejection(client(proxy, '/moved')).status_code == 302


@pytest.mark.parametrize('port', ('plain', 'tls12'))
def test_redirect_is_followed(proxy, port):
    happened, back = converse(client(proxy, '/moved', getattr(proxy, port), max_redirects=1), ['after it'])
    assert names(happened) == ['connecting', 'connected', 'redirected'] + CLOSED_BY_US[1:]
    assert back == ['after it']


@pytest.mark.parametrize('by', ('auth', 'headers', 'url'))
def test_basic(proxy, by):
    options, url = {}, proxy.url('/basic/echo')
    if by == 'auth':
        options['auth'] = (USER, PASSWORD)
    elif by == 'headers':
        token = counterparts.base64.b64encode((USER + ':' + PASSWORD).encode('utf-8')).decode('ascii')
        options['headers'] = {'Authorization': 'Basic ' + token}
    else:
        url = url.replace('//', '//user:secret%3a%20w%C3%B6rd@')
    prove_echo(url, ['let in'], **options)


@pytest.mark.parametrize('auth', (None, (USER, 'wrong'), ('nobody', PASSWORD)),
                         ids=('none', 'wrong', 'nobody'))
def test_basic_with_the_wrong_password(proxy, auth):
    response = rejection(client(proxy, '/basic/echo', auth=auth))
    assert response.status_code == 401
    assert 'Basic' in response.get('WWW-Authenticate')


def test_digest(upstream):
    with contextlib.closing(ReverseProxy('apache', upstream)) as proxy:
        prove_echo(proxy.url('/digest/echo?x=1,2'), ['let in'], auth=DigestAuth(USER, PASSWORD))
        response = rejection(client(proxy, '/digest/echo', auth=DigestAuth(USER, 'wrong')))
        assert response.status_code == 401


def test_impatient_proxy(proxy):
    """It drops who is silent for a second, with a bare FIN; pings keep the connection.
    """
    if proxy.kind in ('caddy', 'apache', 'varnish'):
        pytest.skip('%s: has no such limit for one path' % proxy.kind)
    began = time.time()
    prove_bare_end(run(client(proxy, '/impatient/echo'), ping_rate=0))
    assert time.time() - began < 5
    websocket = client(proxy, '/impatient/echo')
    began = time.time()
    for event in websocket.connect(**dict(counterparts.LIMITS, ping_rate=0.3, poll=0.2)):  # noqa: B007
        if time.time() - began > 2.2:
            websocket.close()
    assert event.graceful


@pytest.mark.parametrize('code', (1000, 1001, 4001))
def test_server_behind_closes(proxy, code):
    happened = run(client(proxy, '/close?code=%d&reason=bye' % code, proxy.tls12))
    assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
    assert (happened[-1].code, happened[-1].graceful, happened[-1].reason) == (code, True, 'closed')


def test_server_behind_drops(proxy):
    for port in (proxy.plain, proxy.tls12, proxy.tls13 if HAS_TLS13 else proxy.tls12):
        prove_lost(converse(client(proxy, '/drop', port), ['go'])[0])


@pytest.mark.parametrize('port', ('plain', 'tls12'))
def test_echo_while_both_send(proxy, port):
    websocket = client(proxy, port=getattr(proxy, port))
    prove_both_send(websocket, b'0123456789abcdef' * 32768, 20)


def test_threads_over_tls(proxy):
    prove_threads(client(proxy, port=proxy.tls12, compress=True), 300)


@pytest.mark.parametrize('port', ('plain', 'tls12'))
def test_kill_and_restart(proxy, port):
    """persist comes back after the proxy was killed in mid-connection."""
    prove_comeback(client(proxy, port=getattr(proxy, port), compress=True), proxy, 1, 'back_off')


# -- what nginx alone is asked

def all_names_lead_here(monkeypatch):
    genuine = socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo',
                        lambda host, *rest, **more: genuine('127.0.0.1', *rest, **more))


@pytest.mark.parametrize('name', ('localhost', 'other.localhost'))
def test_two_names_on_one_port(nginx, monkeypatch, name):
    all_names_lead_here(monkeypatch)
    assert names(converse(client(nginx, port=nginx.sni, host=name), ['x'])[0]) == CLOSED_BY_US


def test_name_that_is_not_served(nginx, monkeypatch):
    all_names_lead_here(monkeypatch)
    happened = run(client(nginx, port=nginx.sni, host='third.localhost'))
    assert names(happened) == ['connecting', 'connect_fail']
    assert 'unrecognized name' in happened[1].reason.lower().replace('_', ' ')
    # Without SNI nginx cannot choose and refuses too.
    assert names(run(client(nginx, port=nginx.sni, host='127.0.0.1'))) == ['connecting', 'connect_fail']


def test_certificate_of_another_name(nginx, monkeypatch):
    all_names_lead_here(monkeypatch)
    happened = run(client(nginx, port=nginx.tls12, host='third.localhost'))
    assert names(happened) == ['connecting', 'connect_fail']
    assert 'third.localhost' in happened[1].reason


@pytest.mark.parametrize('path, hops, readies', (
    ('/moved-absolutely', 1, 1), ('/moved-around', 3, 0), ('/moved-to-plain', 0, 0)))
def test_redirects(nginx, path, hops, readies):
    """Absolute ones are followed, rings end at the limit, from TLS to plain nobody
    goes.
    """
    happened = converse(client(nginx, path, nginx.tls12, max_redirects=3), ['x'])[0]
    seen = names(happened)
    assert seen.count('ready') == readies
    if not readies:
        assert seen[-2:] == ['rejected', 'disconnected']
    assert seen.count('redirected') == hops


@pytest.mark.parametrize('port', ('plain', 'tls12', 'tls13'))
def test_reload_is_a_bare_end(nginx, port):
    if port == 'tls13' and not HAS_TLS13:
        pytest.skip('this Python has no TLS 1.3')
    prove_bare_end(at_ready(client(nginx, port=getattr(nginx, port)), lambda: nginx.signal(signal.SIGHUP)))
