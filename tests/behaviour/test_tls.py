"""TLS with real handshakes, end to end on loopback: trust, and reasons of refusals."""

from __future__ import absolute_import, division, unicode_literals

import os
import re
import socket
import ssl
import time
import warnings

import pytest
from support.addresses import Names
from support.certificates import note_names, server_context
from support.network import (
    FAILED,
    GOOD,
    LIMIT,
    fails,
    nothing_stays_open,  # noqa: F401 - a fixture
    run,
    succeeds,
)
from support.peer import bye, silent
from support.peer import lenient_server as Server
from support.proxy import Proxy

from lomond import WebSocket
from lomond.session import WebsocketSession

# From 3.7 on, OpenSSL checks names and addresses; before, Python does.
OPENSSL_MATCHES = hasattr(ssl, 'SSLCertVerificationError')


@pytest.fixture
def names(monkeypatch):
    """Make target.test 127.0.0.1."""
    names = Names({'target.test': ['127.0.0.1']})
    monkeypatch.setattr(socket, 'getaddrinfo', names)
    return names


def secure(certs, name='server', **options):
    """Return a server with that certificate."""
    return Server(options.pop('script', bye), server_context(getattr(certs, name), **options))


# -- good ones

@pytest.mark.parametrize('host', ['localhost', '127.0.0.1', 'target.test', 'LOCALHOST', 'target.test.'])
def test_trusted(certs, names, host):
    """Names and addresses on every Python; SNI only for names (RFC 6066, 3)."""
    names.names['target.test.'] = ['127.0.0.1']
    asked = []
    with secure(certs) as server:
        note_names(server.tls, asked)
        succeeds(run(server.url('wss', host), ssl_cafile=certs.ca))
    assert asked == [None if host == '127.0.0.1' else host.rstrip('.').lower()]


def test_ipv6_address(certs):
    probe = socket.socket(socket.AF_INET6)
    try:
        probe.bind(('::1', 0))
    except (OSError, socket.error):
        pytest.skip('this machine has no IPv6')
    finally:
        probe.close()
    asked = []
    with Server(bye, server_context(certs.server), socket.AF_INET6) as server:
        note_names(server.tls, asked)
        succeeds(run(server.url('wss', '[::1]'), ssl_cafile=certs.ca))
    assert asked == [None]


def test_unix_socket(certs, tmpdir):
    """The certificate is checked against the URL's host."""
    path = str(tmpdir.join('s'))
    with Server(bye, server_context(certs.server), socket.AF_UNIX, path):
        succeeds(run('wss://target.test/', uds=path, ssl_cafile=certs.ca))
        got = run('wss://other.test/', uds=path, ssl_cafile=certs.ca)
    fails(got, 'tls', 'unable to connect; certificate verify failed.*other.test.*')


@pytest.mark.parametrize('host', ['localhost', '127.0.0.1'])
def test_unverified(certs, host):
    with secure(certs, 'elsewhere') as server:
        succeeds(run(server.url('wss', host), ssl_verify=False))


def test_environment_names_the_authorities(certs, monkeypatch):
    with secure(certs) as server:
        assert run(server.url('wss', 'localhost')).names == FAILED
        for cafile, names in ((certs.ca, GOOD), (certs.other_ca, FAILED)):
            monkeypatch.setenv(str('SSL_CERT_FILE'), str(cafile))
            assert run(server.url('wss', 'localhost')).names == names


def test_fingerprint(certs):
    """An untrusted certificate for another name passes if its fingerprint is right."""
    with secure(certs) as server:
        succeeds(run(server.url('wss'), ssl_fingerprint=certs.fingerprint))
        succeeds(run(server.url('wss', 'localhost'), ssl_fingerprint=certs.fingerprint.upper().replace(
            'SHA256', 'sha256'), ssl_cafile='/no/such/file'))
    with secure(certs, 'elsewhere') as server:
        got = run(server.url('wss'), ssl_fingerprint=certs.fingerprint, ssl_verify=False)
        assert server.heads == []
    fails(got, 'tls',
          'unable to connect; fingerprint mismatch: the server has sha256:([0-9A-Fa-f]{2}:){31}..')


@pytest.mark.parametrize('scheme', ['direct', 'proxy'])
def test_client_certificate(certs, names, scheme):
    got_name = []

    def script(peer):
        got_name.append(peer.sock.getpeercert()['subject'])
        bye(peer)
    tls = server_context(certs.server, certs.ca)
    with Server(script, tls) as server, Server(Proxy('http', server.port)) as proxy:
        options = dict(ssl_cafile=certs.ca, proxies={'https': proxy.url('http')} if scheme == 'proxy' else {})
        succeeds(run(server.url('wss', 'target.test'), ssl_cert=certs.client, **options))
        assert len(got_name) == 1
        # No certificate. With TLS 1.3 the server only says so after our request.
        got = run(server.url('wss', 'target.test'), **options)
        assert 'ready' not in got.names
        # A proxy may lose it in a reset.
        assert 'TLS alert from the server: ' in got.last.reason or scheme == 'proxy'


@pytest.mark.parametrize('name, sni, fails_as', [
    ('elsewhere.test', 'elsewhere.test', None), ('ELSEWHERE.test', 'elsewhere.test', None),
    # Below 3.7, ssl decodes the name.
    ('b\xfccher.test', 'xn--bcher-kva.test', r'(?:xn--bcher-kva|b.*cher)\.test'),
    ('127.0.0.1', None, '127.0.0.1')])
@pytest.mark.parametrize('how', ['cafile', 'context', 'proxies', 'override'])
def test_server_hostname(certs, names, name, sni, fails_as, how):
    """It takes the place of the URL's host in TLS with the server, and nowhere else."""
    asked, context = [], ssl.create_default_context(cafile=certs.ca)
    Session, calls = wrapping(base)
    options = dict(ssl_cafile=certs.ca, server_hostname=name)
    if how == 'override':
        options['session_class'] = Session
    with secure(certs, 'elsewhere') as server, Server(
            Proxy('https', server.port), server_context(certs.server)) as proxy:
        note_names(server.tls, asked)
        if how == 'context':
            options = dict(ssl_context=context, server_hostname=name)
        elif how == 'proxies' and hasattr(ssl, 'MemoryBIO'):
            options['proxies'] = {'https': proxy.url('https', 'localhost')}
        got = run(server.url('wss', 'target.test'), **options)
        heads = server.heads
    asked = [found and found.encode('idna').decode('ascii') for found in asked]     # below 3.7 it is decoded
    assert asked == [sni] or fails_as == '127.0.0.1'
    assert [host for _, host in calls] == ([sni or name] if how == 'override' else [])
    if fails_as:
        return fails(got, 'tls', 'unable to connect; certificate verify failed.*{}.*'.format(fails_as))
    succeeds(got)
    assert b'\r\nHost: target.test:' in heads[0]


# -- bad ones

def other_words(old, new):
    return new if OPENSSL_MATCHES else old


@pytest.mark.parametrize('name, host, cafile, words', [
    ('server', 'localhost', 'other_ca', other_words(
        "certificate verify failed.*'localhost'.*", 'certificate verify failed: .*(issuer|self.signed).*')),
    ('expired', 'localhost', 'expired', other_words(
        "certificate verify failed.*'localhost'.*", 'certificate verify failed: .*expired.*')),
    ('elsewhere', 'localhost', 'ca', other_words(
        "certificate verify failed: hostname 'localhost' doesn't match '?u?'?elsewhere.test'.*",
        "certificate verify failed: Hostname mismatch, certificate is not valid for 'localhost'.*")),
    ('elsewhere', '127.0.0.1', 'ca', other_words(
        "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1' but for "
        "'elsewhere.test'",
        "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'.*"))])
def test_refused(certs, monkeypatch, name, host, cafile, words):
    """The verifier's own words; no request is sent, no further address is tried."""
    with secure(certs, name) as server, secure(certs) as second:
        if host == 'localhost':
            monkeypatch.setattr(socket, 'getaddrinfo', Names({
                'localhost': [('127.0.0.1', server.port), ('127.0.0.1', second.port)]}))
        got = run(server.url('wss', host), ssl_cafile=getattr(certs, cafile))
        assert server.heads == [] and second.accepted == 0
        # Nor is the rest sent as clear text.
        assert server.accepted == 1
    fails(got, 'tls', 'unable to connect; ' + words)


def old_context(certs):
    """Return a context for TLS 1.0 and 1.1 only; None if OpenSSL has neither."""
    context = server_context(certs.server)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # Python and OpenSSL warn that they are old
        try:
            context.set_ciphers(str('ALL:@SECLEVEL=0'))
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        except AttributeError:                  # below 3.7
            context.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
            context.options |= ssl.OP_NO_TLSv1_2 | getattr(ssl, 'OP_NO_TLSv1_3', 0)
        except (ssl.SSLError, ValueError):
            return None
    return context


@pytest.mark.parametrize('options', [{}, {'ssl_verify': False}, {'ssl_fingerprint': 'sha256:' + 'ab' * 32}])
def test_old_tls(certs, options):
    """TLS 1.1 is refused whatever the options are, and the reason names the version."""
    context = old_context(certs)
    if context is None:
        pytest.skip('this OpenSSL has no TLS 1.1')
    with Server(bye, context) as server:
        got = run(server.url('wss', 'localhost'), **dict({'ssl_cafile': certs.ca}, **options))
        assert server.heads == []
    fails(got, 'tls', 'unable to connect; .*(protocol version|unsupported protocol|'
          'no protocols available).*')


def test_address_of_another(certs, tmpdir):
    """The certificate has addresses, but not this one."""
    path = str(tmpdir.join('s'))
    with Server(bye, server_context(certs.server), socket.AF_UNIX, path) as server:
        for host, shown in (('192.0.2.7', '192.0.2.7'), ('[2001:db8::7]', '2001:db8::7')):
            got = run('wss://{}/'.format(host), uds=path, ssl_cafile=certs.ca)
            fails(got, 'tls', "unable to connect; certificate verify failed: IP address mismatch, "
                  "certificate is not valid for '{}'.*".format(shown))
        assert server.heads == []


@pytest.mark.parametrize('data', [b'HTTP/1.1 400 Bad Request\r\n\r\n', b'220 mail.test ESMTP\r\n'])
def test_server_without_tls(data):
    with Server(lambda peer: (peer.fill(), peer.send(data), peer.wait_gone())) as server:
        fails(run(server.url('wss')), 'tls',
              r'unable to connect; .*; does the server speak TLS on this port\?')


HALF_AN_ANSWER = b'\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03' + b'\0' * 20


@pytest.mark.parametrize('end', ['drop', 'reset'])
@pytest.mark.parametrize('place', ['before', 'after the hello', 'in the answer'])
@pytest.mark.parametrize('way', [
    'direct',
    # ssl.wrap_socket() forgets its socket when the reset arrives before getpeername().
    pytest.param('override', marks=pytest.mark.filterwarnings(
        str('ignore:unclosed <ssl.SSLSocket'))),
    'http', 'https', 'in https'])
def test_tcp_ends_in_the_handshake(certs, way, place, end):
    """The reason says so and names the address, that of the proxy if there is one."""
    if way == 'in https' and not hasattr(ssl, 'MemoryBIO'):
        pytest.skip('no TLS in TLS')

    def script(peer):
        if way in ('http', 'in https'):
            peer.read_head()
            peer.send(b'HTTP/1.1 200 OK\r\n\r\n')
            peer.fill()             # a reset must not overtake the answer of the proxy
        elif place != 'before':
            peer.fill()
        if place == 'in the answer':
            peer.send(HALF_AN_ANSWER)
            time.sleep(0.02)
        getattr(peer, end)()
    proxy = way.split()[-1]
    with Server(script, server_context(certs.server) if way == 'in https' else None) as server:
        options = dict(ssl_cafile=certs.ca)
        if way == 'override':
            options['session_class'] = wrapping(base)[0]
        if proxy.startswith('http'):
            options['proxies'] = {'all': server.url(proxy, 'localhost')}
        got = run(server.url('ws' if way == 'https' else 'wss'), **options)
    assert got.names == FAILED
    assert re.match('unable to connect( to proxy)?; .*in the TLS handshake', got.last.reason), got.last.reason
    assert '127.0.0.1:{}'.format(server.port) in got.last.reason
    assert got.last.stage in (('proxy', 'connect') if way == 'https' else ('tls', 'connect'))


@pytest.mark.parametrize('script', [
    silent, lambda peer: peer.trickle(b'\x16\x03\x03\x00\x7a\x02' + b'\0' * 99)])
def test_tls_that_never_ends(script):
    with Server(script) as server:
        fails(run(server.url('wss'), LIMIT), 'tls', 'unable to connect; tls timed out after 0.25s', LIMIT)


@pytest.mark.parametrize('options, path', [
    ({'ssl_cafile': '/no/such/ca.pem'}, '/no/such/ca.pem'),
    ({'ssl_cert': '/no/such/both.pem'}, '/no/such/both.pem'),
    ({'ssl_cert': ('/no/such/cert.pem', '/no/such/key.pem')}, '/no/such/cert.pem')])
def test_missing_files(options, path):
    """Missing files show before a packet is sent, and do not matter for ws."""
    with Server(bye) as server:
        got = run(server.url('wss'), **options)
        fails(got, 'prepare', 'unable to connect; .*' + path + '.*')
        assert isinstance(got.last.error, EnvironmentError)
        assert server.accepted == 0
        succeeds(run(server.url(), **options))


# -- the caller's context

def settings(context):
    return [getattr(context, name, None) for name in (
        'verify_mode', 'check_hostname', 'options', 'minimum_version', 'maximum_version', 'verify_flags',
        'keylog_filename', 'post_handshake_auth', 'sni_callback')]


def test_context_is_used_as_it_is(certs, monkeypatch, tmpdir):
    context = ssl.create_default_context(cafile=certs.ca)
    strict = ssl.create_default_context(cafile=certs.other_ca)
    monkeypatch.setenv(str('SSLKEYLOGFILE'), str(tmpdir.join('keys')))
    before = settings(context)
    with secure(certs) as server:
        succeeds(run(server.url('wss', 'localhost'), ssl_context=context))
        # The context decides these.
        succeeds(run(server.url('wss', 'localhost'), ssl_context=context, ssl_verify=False,
                     ssl_cafile='/no/such/file'))
        assert run(server.url('wss', 'localhost'), ssl_context=strict, ssl_verify=False).names == FAILED
    assert settings(context) == before
    assert not os.path.exists(str(tmpdir.join('keys')))


@pytest.mark.parametrize('checks_name', [False, True])
def test_context_for_an_address(certs, checks_name):
    """A context that checks names needs a server_hostname, and gets it everywhere."""
    context = ssl.create_default_context(cafile=certs.ca)
    context.check_hostname = checks_name
    asked = []
    with secure(certs) as server:
        note_names(server.tls, asked)
        got = run(server.url('wss'), ssl_context=context)
    if checks_name and not hasattr(ssl, 'match_hostname') or hasattr(ssl, 'MemoryBIO'):
        succeeds(got)
    else:
        assert got.names in (GOOD, FAILED)      # 2.7 cannot match addresses
    assert not checks_name or len(asked) == 1


def test_context_for_the_proxy_too(certs):
    context = ssl.create_default_context(cafile=certs.ca)
    with Server(bye) as target, Server(Proxy('https', target.port), server_context(certs.server)) as proxy:
        succeeds(run(target.url(), ssl_context=context, proxies={'http': proxy.url('https', 'localhost')}))


# -- _wrap_socket

def wrapping(wrap):
    """Return a session class with that method, and the list of its calls."""
    calls = []

    class Session(WebsocketSession):
        def _wrap_socket(self, sock, host):
            calls.append((sock.gettimeout(), host))
            return wrap(self, sock, host)
    return Session, calls


def base(session, sock, host):
    return WebsocketSession._wrap_socket(session, sock, host)


def wrapping_without_handshake(cafile):
    """Return a session class whose TLS handshake is left to us, and its sockets."""
    context = ssl.create_default_context(cafile=cafile)
    socks = []

    class Session(WebsocketSession):
        def _wrap_socket(self, sock, host):
            socks.append(context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False))
            return socks[-1]
    return Session, socks


def test_wrap_socket_without_a_handshake(certs):
    """The handshake is complete once Connected is emitted."""
    Session, socks = wrapping_without_handshake(certs.ca)
    subjects = []
    with secure(certs) as server:
        # getpeercert() raises ValueError until the handshake is done.
        got = run(server.url('wss', 'localhost'), session_class=Session, actions={
            'connected': lambda websocket: subjects.append(socks[0].getpeercert()['subjectAltName'])})
    succeeds(got)
    assert len(socks) == len(subjects) == 1 and ('DNS', 'localhost') in subjects[0]


def test_wrap_socket_without_a_handshake_that_fails(certs):
    """A failure of that handshake belongs to stage ``tls``, and no request is sent."""
    Session, socks = wrapping_without_handshake(certs.other_ca)
    with secure(certs) as server:
        fails(run(server.url('wss', 'localhost'), session_class=Session), 'tls',
              'unable to connect; certificate verify failed.*')
        assert server.heads == []
    assert len(socks) == 1


def test_wrap_socket_without_a_handshake_that_never_ends(certs):
    Session, socks = wrapping_without_handshake(certs.ca)
    with Server(silent) as server:
        fails(run(server.url('wss', 'localhost'), LIMIT, Session), 'tls',
              'unable to connect; tls timed out after 0.25s', LIMIT)
    assert len(socks) == 1


@pytest.mark.parametrize('handshake', [False, True])
def test_wrap_socket_of_ones_own(certs, handshake):
    context = ssl.create_default_context(cafile=certs.ca)
    Session, calls = wrapping(lambda self, sock, host: context.wrap_socket(
        sock, server_hostname=host, do_handshake_on_connect=handshake))
    with secure(certs) as server:
        succeeds(run(server.url('wss', 'localhost'), session_class=Session, connect_timeout=3))
    (timeout, host), = calls
    assert host == 'localhost' and 1 < timeout <= 3


def test_wrap_socket_without_a_time_limit(certs):
    Session, calls = wrapping(base)
    with secure(certs) as server:
        succeeds(run(server.url('wss', 'localhost'), session_class=Session, connect_timeout=None,
                     ssl_cafile=certs.ca))
    assert calls == [(None, 'localhost')]


@pytest.mark.parametrize('options, words', [
    ({}, 'certificate verify failed.*'), ({'ssl_cafile': '/no/such/file'}, '.*/no/such/file.*'),
    ({'ssl_fingerprint': 'sha256:' + 'ab' * 32}, 'fingerprint mismatch.*')])
def test_wrap_socket_calls_the_base(certs, options, words):
    Session, calls = wrapping(base)
    with secure(certs) as server:
        succeeds(run(server.url('wss', '127.0.0.1'), session_class=Session, ssl_cafile=certs.ca))
        fails(run(server.url('wss', '127.0.0.1'), session_class=Session, **options), 'tls',
              'unable to connect; ' + words)
    assert len(calls) == 2


@pytest.mark.parametrize('scheme, count', [('wss', 1), ('ws', 0)])
def test_wrap_socket_returns_clear_text(scheme, count):
    """Whatever it returns is used; for ws it is not called."""
    Session, calls = wrapping(lambda self, sock, host: sock)
    with Server(bye) as server:
        succeeds(run(server.url(scheme), session_class=Session))
    assert len(calls) == count


def test_wrap_socket_raises(certs):
    error = RuntimeError('not with me')

    def wrap(self, sock, host):
        raise error
    Session, calls = wrapping(wrap)
    with Server(silent) as server:
        got = run(server.url('wss'), session_class=Session)
    fails(got, 'tls', 'unable to connect; not with me')
    assert got.last.error is error


def test_wrap_socket_that_blocks():
    """Its handshake may take the rest of connect_timeout."""
    Session, calls = wrapping(base)
    with Server(silent) as server:
        fails(run(server.url('wss'), LIMIT, Session), 'tls', 'unable to connect; tls.* timed out.*', LIMIT)


def test_wrap_socket_through_a_proxy(certs, names):
    Session, calls = wrapping(base)
    with secure(certs) as server, Server(Proxy('socks5h', server.port)) as proxy:
        succeeds(run('wss://target.test/', session_class=Session, ssl_cafile=certs.ca,
                     proxies={'all': proxy.url('socks5h')}))
    assert [host for _, host in calls] == ['target.test']


def test_wrap_socket_cannot_do_tls_in_tls(certs):
    Session, calls = wrapping(base)
    fails(run('wss://target.test/', session_class=Session, proxies={'all': 'https://127.0.0.1:1'}), 'prepare',
          'unable to connect; an overridden _wrap_socket cannot be used through an https proxy')
    assert calls == []


def test_wrap_socket_set_on_the_object(certs):
    """An attribute of the session counts as an override as well."""
    calls = []

    def make(websocket):
        session = WebsocketSession(websocket)
        session._wrap_socket = lambda sock, host: calls.append(host) or sock
        return session
    with Server(bye) as server:
        succeeds(run(server.url('wss'), session_class=make))
    assert calls == ['127.0.0.1']


def test_connected_again(certs):
    with secure(certs) as server:
        websocket = WebSocket(server.url('wss', 'localhost'), ssl_cafile=certs.ca, proxies={})
        for _ in range(2):
            assert [event.name for event in websocket.connect() if event.name != 'poll'] == GOOD
