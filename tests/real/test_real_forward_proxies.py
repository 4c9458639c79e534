"""tinyproxy, squid, mitmproxy, microsocks and dante between us and the server."""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import signal
import sys
import time

import counterparts
import pytest
from counterparts import (
    ScriptedServer,
    WebSocket,
    certificate,
    converse,
    names,
    prove_both_send,
    prove_comeback,
    prove_echo,
    prove_lost,
    run,
    take,
)
from forward_proxies import KINDS, ForwardProxy
from reverse_proxies import ReverseProxy

CASES = [(kind, scheme) for kind in sorted(KINDS) for scheme in sorted(KINDS[kind][1])]
HTTP_CASES = [case for case in CASES if case[1].startswith('http')]
SOCKS_CASES = [case for case in CASES if case[1].startswith('socks')]
GOOD = 'user:s%65cret@'


@pytest.fixture(scope='module')
def server():
    with contextlib.closing(ScriptedServer('websockets')) as started:
        yield started


@pytest.fixture(scope='module')
def tls(server):
    """nginx in front of the server."""
    with contextlib.closing(ReverseProxy('nginx', server)) as started:
        yield started


@pytest.fixture(scope='module')
def proxies():
    """A function that starts a proxy when it is first asked for it."""
    started = {}

    def get(kind, auth=False):
        if (kind, auth) not in started:
            started[kind, auth] = ForwardProxy(kind, auth)
        return started[kind, auth]

    try:
        yield get
    finally:
        for proxy in started.values():
            proxy.close()


def target(request, target_scheme, path='/echo', host='127.0.0.1'):
    if target_scheme == 'ws':
        url = request.getfixturevalue('server').url(path)
    else:
        nginx = request.getfixturevalue('tls')
        url = nginx.url(path, nginx.tls12)
    return url.replace('127.0.0.1', host).replace('localhost', host)


def client(url, proxy_url, **options):
    proxies = {'http': proxy_url, 'https': proxy_url}
    return WebSocket(url, proxies=proxies, ssl_cafile=certificate('ca.pem'), **options)


def skip_tls_in_tls(scheme, target_scheme):
    if sys.version_info < (3,) and (scheme, target_scheme) == ('https', 'wss'):
        pytest.skip('no TLS in TLS on 2.7')


def failure(websocket, **settings):
    """The ConnectFail that a connection ends with."""
    happened = run(websocket, **settings)
    assert names(happened) == ['connecting', 'connect_fail'], happened
    assert 'secret' not in happened[1].reason and 'wrong' not in happened[1].reason
    return happened[1]


@pytest.mark.parametrize('target_scheme', ('ws', 'wss'))
@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
@pytest.mark.parametrize('kind, scheme', CASES)
def test_echo(request, proxies, kind, scheme, target_scheme, compress):
    skip_tls_in_tls(scheme, target_scheme)
    proxy = proxies(kind)
    to_send = counterparts.messages((0, 1, 125, 126, 65535, 65536, counterparts.BIG))
    url = proxy.url(scheme)
    happened = prove_echo(target(request, target_scheme), to_send, compress=compress, proxies={'all': url},
                          ssl_cafile=certificate('ca.pem'))
    assert happened[1].proxy == url


# dante takes the 0.0.0.1 of SOCKS 4a for an address, in any client (curl fares the
# same).
@pytest.mark.parametrize('kind, scheme', [case for case in CASES if case[1] != 'socks4a'])
def test_name_of_the_target(request, proxies, kind, scheme):
    """Here or at the proxy: localhost is found."""
    websocket = client(target(request, 'ws', host='localhost'), proxies(kind).url(scheme))
    assert names(converse(websocket, ['x'])[0]) == counterparts.CLOSED_BY_US


@pytest.mark.parametrize('target_scheme', ('ws', 'wss'))
# SOCKS 4 has no passwords, and dante wants one.
@pytest.mark.parametrize('kind, scheme', [case for case in CASES if not case[1].startswith('socks4')])
def test_password(request, proxies, kind, scheme, target_scheme):
    skip_tls_in_tls(scheme, target_scheme)
    proxy = proxies(kind, True)
    happened = prove_echo(target(request, target_scheme), ['let in'], ssl_cafile=certificate('ca.pem'),
                          proxies={'all': proxy.url(scheme, GOOD)})
    assert happened[1].proxy == proxy.url(scheme)


@pytest.mark.parametrize('userinfo', ('', 'user:wrong@', 'nobody:secret@'), ids=('none', 'wrong', 'nobody'))
@pytest.mark.parametrize('kind, scheme', HTTP_CASES)
def test_wrong_password(request, proxies, kind, scheme, userinfo):
    failed = failure(client(target(request, 'ws'), proxies(kind, True).url(scheme, userinfo)))
    assert failed.stage == 'proxy'
    if kind == 'tinyproxy' and userinfo:
        assert failed.reason.startswith('proxy fail; 401 Unauthorized (')
    else:
        assert failed.reason.startswith('proxy fail; 407 Proxy Authentication Required')


@pytest.mark.parametrize('userinfo', ('', 'user:wrong@', 'nobody:secret@'), ids=('none', 'wrong', 'nobody'))
@pytest.mark.parametrize('kind, scheme', SOCKS_CASES)
def test_wrong_password_of_socks(request, proxies, kind, scheme, userinfo):
    failed = failure(client(target(request, 'ws'), proxies(kind, True).url(scheme, userinfo)))
    assert failed.stage == 'proxy'
    if scheme.startswith('socks5'):
        assert failed.reason.partition(' (')[0] == 'proxy fail; SOCKS5 ' + (
            'authentication failed' if userinfo else 'no acceptable authentication method')
    else:
        assert failed.reason.startswith('proxy fail; '), failed.reason


def test_squid_that_wants_digest(request, proxies):
    """It gets Basic at first, and what it asks for then."""
    proxy = proxies('squid', 'digest')
    for scheme in ('http', 'https'):
        prove_echo(target(request, 'ws'), ['let in'], ssl_cafile=certificate('ca.pem'),
                   proxies={'all': proxy.url(scheme, GOOD)})
        for userinfo in ('', 'user:wrong@', 'nobody:secret@'):
            failed = failure(client(target(request, 'ws'), proxy.url(scheme, userinfo)))
            assert failed.reason.startswith('proxy fail; 407 ')
            assert failed.response.status_code == 407 and b'ERR_CACHE_ACCESS_DENIED' in failed.response.body


@pytest.mark.parametrize('kind, scheme', CASES)
def test_target_is_down(proxies, kind, scheme):
    dead = counterparts.free_ports(1)[0]
    websocket = client('ws://127.0.0.1:%d/' % dead, proxies(kind).url(scheme))
    began = time.time()
    happened = run(websocket)
    assert time.time() - began < 5
    if kind == 'mitmproxy' and happened[-1].name == 'disconnected':
        # It agrees to CONNECT before it has tried.
        assert names(happened)[:3] == ['connecting', 'connected', 'rejected']
        assert happened[2].response.status_code == 502
        return
    assert names(happened) == ['connecting', 'connect_fail']
    assert happened[1].stage == 'proxy' and happened[1].reason.startswith('proxy fail; ')
    if scheme.startswith('socks5'):
        assert 'refused' in happened[1].reason


@pytest.mark.parametrize('kind, scheme', [('squid', 'https'), ('mitmproxy', 'https')])
def test_certificate_of_the_proxy(request, proxies, kind, scheme):
    websocket = WebSocket(target(request, 'ws'), proxies={'all': proxies(kind).url(scheme)})
    failed = failure(websocket)
    assert failed.stage == 'proxy' and 'certificate verify failed' in failed.reason.lower()


def test_tls_in_tls_on_old_python(request, proxies):
    if sys.version_info >= (3,):
        pytest.skip('3.x can do TLS in TLS')
    failed = failure(client(target(request, 'wss'), proxies('squid').url('https')))
    assert 'TLS' in failed.reason


@pytest.mark.parametrize('kind, scheme', CASES)
def test_server_closes_and_drops(request, proxies, kind, scheme):
    url = proxies(kind).url(scheme)
    happened = run(client(target(request, 'ws', '/close?code=4001&reason=bye'), url))
    assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
    assert happened[-1].code == 4001 and happened[-1].graceful
    happened = converse(client(target(request, 'ws', '/drop'), url), ['go'])[0]
    if kind == 'mitmproxy':
        # It speaks WebSocket itself, and closes properly in the server's place.
        assert names(happened) == ['connecting', 'connected', 'ready', 'closing', 'disconnected']
        return
    prove_lost(happened)


@pytest.mark.parametrize('kind, scheme', CASES)
def test_greeting_and_rejection(request, proxies, kind, scheme):
    """Data right behind the 101, bodies of refusals: nothing is lost in the tunnel."""
    url = proxies(kind).url(scheme)
    greetings = take(client(target(request, 'ws', '/greet'), url), 3, 'text')
    assert [event.text for event in greetings] == ['greeting 0', 'greeting 1', 'greeting 2']
    happened = run(client(target(request, 'ws', '/reject?status=403&body=no'), url))
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected']
    assert happened[2].response.body == b'no'


@pytest.mark.parametrize('kind, scheme', [case for case in CASES if case[0] != 'dante'])
def test_proxy_that_is_frozen(request, proxies, kind, scheme):
    """Its kernel still takes connections, nobody answers: the end comes at
    connect_timeout.
    """
    proxy = proxies(kind)
    proxy.signal(signal.SIGSTOP)
    try:
        time.sleep(0.1)     # the guard has to pass the signal on
        began = time.time()
        failed = failure(client(target(request, 'ws'), proxy.url(scheme)), connect_timeout=1)
        assert 0.9 < time.time() - began < 2.5
        assert failed.stage == 'proxy' and 'timed out' in failed.reason
    finally:
        proxy.signal(signal.SIGCONT)


@pytest.mark.parametrize('kind, scheme', CASES)
def test_proxy_is_killed_and_comes_back(request, proxies, kind, scheme):
    proxy = proxies(kind)
    websocket = client(target(request, 'ws'), proxy.url(scheme), compress=True)
    failed = [event for event in prove_comeback(websocket, proxy, 1) if event.name == 'connect_fail']
    assert failed
    for event in failed:
        assert event.reason.startswith('unable to connect to proxy; ') and 'refused' in event.reason


@pytest.mark.parametrize('variable', ('ws_proxy', 'HTTP_PROXY', 'ALL_PROXY'))
def test_proxy_of_the_environment(request, proxies, monkeypatch, variable):
    proxy = proxies('tinyproxy', True)
    url = target(request, 'ws')
    monkeypatch.setenv(str(variable), str(proxy.url('http', GOOD)))
    assert prove_echo(url, ['x'], proxies=None)[1].proxy == proxy.url('http')
    monkeypatch.setenv(str('NO_PROXY'), str('127.0.0.0/8'))
    assert prove_echo(url, ['x'], proxies=None)[1].proxy is None


@pytest.mark.parametrize('target_scheme', ('ws', 'wss'))
@pytest.mark.parametrize('kind, scheme', [('squid', 'http'), ('squid', 'https'), ('dante', 'socks5h')])
def test_echo_while_both_send(request, proxies, kind, scheme, target_scheme):
    """Twenty messages of half a megabyte are under way before the first comes back; TLS
    in TLS, too.
    """
    skip_tls_in_tls(scheme, target_scheme)
    websocket = client(target(request, target_scheme), proxies(kind).url(scheme))
    prove_both_send(websocket, counterparts.bytes_of(512 * 1024), 20)
