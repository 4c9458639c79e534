# -*- coding: utf-8 -*-
"""TLS contexts and identity checks, with real handshakes over a pair of sockets."""

from __future__ import absolute_import, division, unicode_literals

import datetime
import errno
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from lomond import errors
from lomond._compat import PY2
from lomond.network import tls_context
from lomond.network.tls_errors import describe_error, is_certificate_error

OPENSSL_MATCHES = hasattr(ssl, 'SSLCertVerificationError')
HASH = 'ab' * 32


class Paths(object):
    """The files of the fixture, by attribute."""


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(folder, name, *blobs):
    path = os.path.join(folder, name)
    with open(path, 'wb') as file:
        file.write(b''.join(blobs))
    return path


def self_signed(not_after):
    """Return ``(certificate, key)`` in PEM for a self-signed server certificate."""
    from cryptography import x509
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1(), default_backend())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(datetime.datetime(2000, 1, 1)).not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName('localhost')]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256(), default_backend()))
    return (certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def encrypted(key, password):
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives import serialization
    key = serialization.load_pem_private_key(key, None, default_backend())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode('utf-8')))


@pytest.fixture(scope='session')
def paths(tmpdir_factory):
    trustme = pytest.importorskip('trustme')
    folder = str(tmpdir_factory.mktemp('trust'))
    paths = Paths()
    ca, other = trustme.CA(), trustme.CA()
    paths.ca = write(folder, 'ca.pem', ca.cert_pem.bytes())
    paths.other = write(folder, 'other.pem', other.cert_pem.bytes())
    leaf = ca.issue_cert('localhost', '*.wild.test', '127.0.0.1', '::1')
    paths.server = write(folder, 'server.pem', leaf.private_key_and_cert_chain_pem.bytes())
    paths.digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(
        leaf.cert_chain_pems[0].bytes().decode('ascii'))).hexdigest()
    named = ca.issue_cert('localhost')
    paths.named = write(folder, 'named.pem', named.private_key_and_cert_chain_pem.bytes())
    middle = ca.create_child_ca()
    deep = middle.issue_cert('localhost')
    paths.deep = write(folder, 'deep.pem', deep.private_key_and_cert_chain_pem.bytes())
    paths.middle = write(folder, 'middle.pem', middle.cert_pem.bytes())
    paths.deep_leaf = write(folder, 'deep_leaf.pem', deep.cert_chain_pems[0].bytes())
    client = ca.issue_cert('client.test')
    key = client.private_key_pem.bytes()
    paths.client = write(folder, 'client.pem', client.private_key_and_cert_chain_pem.bytes())
    paths.client_cert = write(folder, 'cert.pem', client.cert_chain_pems[0].bytes())
    paths.client_key = write(folder, 'key.pem', key)
    paths.locked_key = write(folder, 'locked.pem', encrypted(key, 'se\xe9cret'))
    for name, year in (('expired', 2001), ('selfmade', 2100)):
        certificate, key = self_signed(datetime.datetime(year, 1, 1))
        setattr(paths, name, write(folder, name + '.pem', key, certificate))
        setattr(paths, name + '_ca', write(folder, name + '_ca.pem', certificate))
    paths.garbage = write(folder, 'garbage.pem', b'no certificate at all\n')
    paths.missing = os.path.join(folder, 'missing.pem')
    paths.empty_folder = os.path.join(folder, 'empty')
    os.mkdir(paths.empty_folder)
    return paths


@pytest.fixture(scope='session')
def hashed(paths, tmpdir_factory):
    """Return a directory in which OpenSSL finds the CA."""
    try:
        output = subprocess.check_output(['openssl', 'x509', '-hash', '-noout', '-in', paths.ca])
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('needs the openssl command')
    folder = str(tmpdir_factory.mktemp('hashed'))
    write(folder, output.decode('ascii').strip() + '.0', read(paths.ca))
    return folder


@pytest.fixture(autouse=True)
def no_memory(monkeypatch):
    """Give each test the module as it is after import."""
    monkeypatch.setattr(tls_context, '_shared', {})
    monkeypatch.delenv(str('SSLKEYLOGFILE'), raising=False)


@pytest.fixture
def old_ssl(monkeypatch):
    """Pretend that ssl cannot match IP addresses, as below 3.7."""
    monkeypatch.setattr(tls_context, '_matches_addresses', lambda ssl: False)


def socket_pair():
    pair = socket.socketpair()
    if PY2:
        pair = [socket.socket(_sock=sock) for sock in pair]
    for sock in pair:
        sock.settimeout(20)
    return pair


class OneHandshake(threading.Thread):
    """A TLS server for one handshake, which records what it learned."""

    def __init__(self, sock, cert, client_ca=None):
        super(OneHandshake, self).__init__()
        self.daemon = True
        self.sock = sock
        self.name_asked = self.client = self.error = None
        self.context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
        self.context.load_cert_chain(cert)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.context.set_servername_callback(self.on_name)
        if ssl.HAS_ALPN:
            self.context.set_alpn_protocols([str('h2'), str('http/1.1')])

    def on_name(self, sock, name, context):
        self.name_asked = name

    def run(self):
        try:
            sock = self.context.wrap_socket(self.sock, server_side=True)
            self.client = sock.getpeercert()
            self.alpn = sock.selected_alpn_protocol() if ssl.HAS_ALPN else 'http/1.1'
            sock.sendall(b'x')
            sock.recv(1)
            sock.close()
        except (ssl.SSLError, EnvironmentError) as error:
            self.error = error
        self.sock.close()       # on 2.7 the descriptor stays open until both are closed


def shake(server_cert, host='localhost', client_ca=None, context=None, **options):
    """Do a whole handshake with its checks; return the server's side."""
    left, right = socket_pair()
    peer = OneHandshake(right, server_cert, client_ca)
    peer.start()
    is_callers = context is not None
    sock = left
    try:
        if not is_callers:
            context = tls_context.make_context(host=host, **options)
        sock = context.wrap_socket(left, server_hostname=tls_context.server_name(context, host, is_callers))
        tls_context.verify_peer(sock, host, options.get('verify', True),
                                options.get('fingerprint'), is_callers)
        assert sock.recv(1) == b'x'         # with TLS 1.3 the server rejects us only here
        peer.version = sock.version()
    finally:
        sock.close()
        left.close()
        peer.join(20)
    return peer


def refused(*args, **options):
    """Return the error of a handshake that must fail."""
    with pytest.raises(Exception) as caught:
        shake(*args, **options)
    return caught.value


def unusable(**options):
    """Return the words of the ConnectFail for options that give no context."""
    with pytest.raises(errors.ConnectFail) as caught:
        tls_context.make_context(**options)
    return str(caught.value)


# -- options ---------------------------------------------------------------------------

@pytest.mark.parametrize('text', [
    'sha256:' + HASH, 'sha256:' + HASH.upper(), 'SHA256:' + HASH, 'sha256:' + ':'.join(['aB'] * 32),
    str('sha256:' + HASH)])
def test_fingerprint(text):
    assert tls_context.parse_fingerprint(text) == b'\xab' * 32


@pytest.mark.parametrize('text', [
    '', HASH, 'sha1:' + 'ab' * 20, 'md5:' + 'ab' * 16, 'sha256:', 'sha256:' + HASH[:-2],
    'sha256:' + HASH + 'ab', 'sha256:' + HASH[:-1], 'sha256:' + HASH[:-1] + 'g', 'sha256:' + HASH + '\n',
    'sha256:' + HASH + ':', 'sha256::' + HASH, 'sha256:a:b' + HASH[2:], 'sha256=' + HASH,
    '\u017fha256:' + HASH, 'sha256:' + '\u0661' * 64, ' sha256:' + HASH])
def test_fingerprint_refused(text):
    with pytest.raises(ValueError) as caught:
        tls_context.parse_fingerprint(text)
    assert "must be 'sha256:' and 64 hex digits" in str(caught.value)
    with pytest.raises(ValueError):
        tls_context.check_options(True, None, None, None, text)


def check(verify=True, cafile=None, context=None, cert=None, fingerprint=None):
    return tls_context.check_options(verify, cafile, context, cert, fingerprint)


class Path(object):
    def __fspath__(self):
        return 'x.pem'


@pytest.mark.parametrize('options', [
    {}, {'verify': False}, {'verify': 1}, {'cafile': '/no/such/file'}, {'cafile': b'/no/such/file'},
    {'cafile': Path()}, {'cert': 'x.pem'}, {'cert': ('x', 'y')}, {'cert': ['x', 'y']},
    {'cert': ('x', Path(), 'p')}, {'cert': ('x', 'y', b'p')}, {'cert': ('x', 'y', None)},
    {'fingerprint': 'sha256:' + HASH}, {'fingerprint': 'sha256:' + HASH, 'cert': 'x', 'cafile': 'x'},
    {'context': ssl.SSLContext(ssl.PROTOCOL_SSLv23) if PY2 else ssl.create_default_context()},
    {'context': ssl.create_default_context(), 'cafile': 'x', 'verify': False}])
def test_options(options):
    assert check(**options) is None


@pytest.mark.parametrize('options, kind, words', [
    ({'verify': None}, TypeError, 'ssl_verify must be True or False, not NoneType'),
    ({'verify': '/etc/ca.pem'}, TypeError, 'ssl_verify must be True or False, not '),
    ({'cafile': 7}, TypeError, 'ssl_cafile must be a path, not int'),
    ({'cafile': ''}, ValueError, "ssl_cafile must be the path of a file, not ''"),
    ({'cafile': 'a\0b'}, ValueError, "ssl_cafile must be the path of a file, not 'a\\x00b'"),
    ({'context': True}, TypeError, 'ssl_context must be an ssl.SSLContext, not bool'),
    ({'context': 'x'}, TypeError, 'ssl_context must be an ssl.SSLContext, not '),
    ({'cert': 7}, TypeError, 'ssl_cert must be a path, not int'),
    ({'cert': ''}, ValueError, 'ssl_cert must be the path of a file'),
    ({'cert': ('x',)}, ValueError, '(certificate, key) or (certificate, key, password); it has 1 items'),
    ({'cert': ('x', 'y', 'z', 'a')}, ValueError, 'it has 4 items'),
    ({'cert': ('x', None)}, TypeError, 'the key of ssl_cert must be a path, not NoneType'),
    ({'cert': (None, 'x')}, TypeError, 'ssl_cert must be a path, not NoneType'),
    ({'cert': ('x', 'y', 7)}, TypeError, 'the password of ssl_cert must be text or bytes, not int'),
    ({'fingerprint': 7}, TypeError, 'ssl_fingerprint must be text, not int'),
    ({'context': ssl.create_default_context(), 'cert': 'x'}, ValueError,
     'ssl_context and ssl_cert cannot be given together'),
    ({'context': ssl.create_default_context(), 'fingerprint': 'sha256:' + HASH}, ValueError,
     'ssl_context and ssl_fingerprint cannot be given together')])
def test_options_refused(options, kind, words):
    with pytest.raises(kind) as caught:
        check(**options)
    assert words in str(caught.value)


if sys.version_info >= (3, 7):
    def has_old_versions(context):
        return context.minimum_version < ssl.TLSVersion.TLSv1_2
else:
    def has_old_versions(context):
        wanted = ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
        return context.options & wanted != wanted


@pytest.mark.parametrize('options, verify_mode, check_hostname', [
    ({}, ssl.CERT_REQUIRED, True), ({'host': 'localhost'}, ssl.CERT_REQUIRED, True),
    ({'host': '127.0.0.1'}, ssl.CERT_REQUIRED, OPENSSL_MATCHES),
    ({'host': '::1'}, ssl.CERT_REQUIRED, OPENSSL_MATCHES), ({'cafile': 'ca'}, ssl.CERT_REQUIRED, True),
    ({'cert': 'client'}, ssl.CERT_REQUIRED, True), ({'verify': False}, ssl.CERT_NONE, False),
    ({'verify': False, 'host': '127.0.0.1', 'cafile': 'missing'}, ssl.CERT_NONE, False),
    ({'fingerprint': 'sha256:' + HASH, 'cafile': 'missing'}, ssl.CERT_NONE, False),
    ({'fingerprint': 'sha256:' + HASH, 'verify': False}, ssl.CERT_NONE, False)])
def test_context(paths, options, verify_mode, check_hostname):
    for name in ('cafile', 'cert'):
        if name in options:
            options = dict(options, **{str(name): getattr(paths, options[name])})
    context = tls_context.make_context(**options)
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode == verify_mode
    assert context.check_hostname == check_hostname
    assert context.options & ssl.OP_NO_COMPRESSION == ssl.OP_NO_COMPRESSION
    assert not has_old_versions(context)


def test_context_without_minimum_version(monkeypatch):
    """Options refuse older versions where minimum_version is missing (below 3.7)."""
    class Old(object):
        set_alpn_protocols = id

        def __init__(self, protocol):
            self.options = 0
    monkeypatch.setattr(ssl, 'SSLContext', Old)
    context = tls_context.make_context(verify=False)
    assert context.options == (ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1
                               | ssl.OP_NO_TLSv1_1 | ssl.OP_NO_COMPRESSION)


@pytest.mark.skipif(sys.version_info < (3, 7), reason='no minimum_version')
@pytest.mark.parametrize('before, after', [('MINIMUM_SUPPORTED', 'TLSv1_2'), ('TLSv1_2', 'TLSv1_2'),
                                           ('TLSv1_3', 'TLSv1_3')])
def test_minimum_version(monkeypatch, before, after):
    class Made(object):
        set_alpn_protocols = id

        def __init__(self, protocol):
            self.options = 0
            self.minimum_version = getattr(ssl.TLSVersion, before)
    monkeypatch.setattr(ssl, 'SSLContext', Made)
    context = tls_context.make_context(verify=False)
    assert context.minimum_version == getattr(ssl.TLSVersion, after)
    assert context.options == ssl.OP_NO_COMPRESSION


# -- names, addresses, chains ----------------------------------------------------------

@pytest.mark.parametrize('host, asked', [
    ('localhost', 'localhost'), ('LOCALHOST', 'LOCALHOST'), ('localhost.', 'localhost'),
    ('a.wild.test', 'a.wild.test'), ('127.0.0.1', None), ('::1', None), ('0:0::0:1', None), ('::1%lo', None)])
def test_right_host(paths, host, asked):
    peer = shake(paths.server, host, cafile=paths.ca)
    assert (peer.name_asked, peer.alpn) == (asked, 'http/1.1')
    assert peer.version in ('TLSv1.2', 'TLSv1.3')


@pytest.mark.parametrize('host', ['127.0.0.1', '::1', '::1%lo', '0:0::1'])
def test_right_address_with_old_ssl(paths, old_ssl, host):
    assert shake(paths.server, host, cafile=paths.ca).name_asked is None


@pytest.mark.parametrize('host', ['other.test', 'wild.test', 'a.b.wild.test', 'localhost.test',
                                  '127.0.0.2', '::2', '::ffff:127.0.0.1'])
def test_wrong_host(paths, host):
    error = refused(paths.server, host, cafile=paths.ca)
    assert is_certificate_error(error)
    text = describe_error(error, host)
    assert text.startswith('certificate verify failed: ')
    assert "'" + host + "'" in text
    assert '_ssl.c' not in text and not text.endswith('.')
    if not OPENSSL_MATCHES:
        assert "'localhost'" in text


@pytest.mark.parametrize('cert, host, names', [('named', '127.0.0.1', "'localhost'")] + [
    ('server', host, "'localhost', '*.wild.test', '127.0.0.1', '0:0:0:0:0:0:0:1'")
    for host in ('127.0.0.2', '::2', '::ffff:127.0.0.1')])
def test_wrong_address_with_old_ssl(paths, old_ssl, cert, host, names):
    error = refused(getattr(paths, cert), host, cafile=paths.ca)
    assert isinstance(error, errors.ConnectFail)
    assert is_certificate_error(error)
    assert describe_error(error) == ("certificate verify failed: IP address mismatch, certificate is not "
                                     "valid for '{}' but for {}".format(host, names))


class Shaken(object):
    """An SSL object after its handshake."""

    def __init__(self, *names):
        self.names = names

    def getpeercert(self, binary_form=False):
        if binary_form:
            return None
        return {'subjectAltName': self.names} if self.names else {}


@pytest.mark.parametrize('names, text', [
    ((), 'but for nothing'),
    ((('DNS', '127.0.0.1'),), "but for '127.0.0.1'"),       # a name is not an address
    ((('IP Address', '<invalid>'),), "but for '<invalid>'"),
    ((('DNS', 'a\x1b\u2603'),), "but for 'a\\x1b\\u2603'"),
    ((('DNS', 'x' * 500),), "but for '" + 'x' * 299 + '...')])
def test_address_not_in_the_certificate(old_ssl, names, text):
    with pytest.raises(errors.ConnectFail) as caught:
        tls_context.verify_peer(Shaken(*names), '127.0.0.1')
    assert str(caught.value).endswith(text)


def test_address_with_a_line_end(old_ssl):
    """Some versions of OpenSSL print IPv6 addresses like this (bpo-37463)."""
    assert tls_context.verify_peer(Shaken(('IP Address', '0:0:0:0:0:0:0:1\n')), '::1') is None


def test_untrusted(paths):
    error = refused(paths.server, cafile=paths.other)
    assert is_certificate_error(error)
    assert describe_error(error, 'localhost') == (
        'certificate verify failed: unable to get local issuer certificate' if OPENSSL_MATCHES else
        "certificate verify failed for 'localhost'")


@pytest.mark.parametrize('name, cafile, words', [
    ('expired', 'expired_ca', 'certificate has expired'), ('selfmade', 'ca', 'self')])
def test_bad_certificate(paths, name, cafile, words):
    error = refused(getattr(paths, name), cafile=getattr(paths, cafile))
    assert is_certificate_error(error)
    text = describe_error(error)
    assert text.startswith('certificate verify failed')
    assert words in text or not OPENSSL_MATCHES


@pytest.mark.parametrize('name', ['ca', 'middle', 'deep_leaf'])
def test_any_certificate_is_an_anchor(paths, tmpdir, name):
    """It need not be self-signed (RFC 5280, 6.1.1 (d)), and vouches for no other name or chain."""
    anchor = getattr(paths, name)
    shake(paths.deep, cafile=anchor)
    shake(paths.deep, cafile=write(str(tmpdir), 'more.pem', read(paths.other), read(anchor)))
    assert is_certificate_error(refused(paths.deep, 'other.test', cafile=anchor))
    assert (name == 'ca') is is_trusted(paths, cafile=anchor)


def test_trusted_itself(paths):
    shake(paths.selfmade, cafile=paths.selfmade_ca)


@pytest.mark.parametrize('host', ['localhost', 'other.test', '127.0.0.1', '127.0.0.2', '::2'])
@pytest.mark.parametrize('cert', ['server', 'expired', 'selfmade'])
def test_no_verify(paths, host, cert):
    shake(getattr(paths, cert), host, verify=False)


@pytest.mark.parametrize('verify', [True, False])
def test_fingerprints(paths, verify):
    for host in ('localhost', 'other.test', '127.0.0.2'):
        shake(paths.server, host, verify=verify, fingerprint='sha256:' + paths.digest)
    error = refused(paths.server, verify=verify, fingerprint='sha256:' + HASH, cafile=paths.ca)
    assert isinstance(error, errors.ConnectFail)
    assert is_certificate_error(error)
    text = describe_error(error)
    assert text.startswith('fingerprint mismatch: the server has sha256:')
    assert (tls_context.parse_fingerprint(text.rpartition(' ')[2])
            == tls_context.parse_fingerprint('sha256:' + paths.digest))
    assert text.count(':') == 2 + 31


def test_no_certificate():
    with pytest.raises(errors.ConnectFail) as caught:
        tls_context.verify_peer(Shaken(), 'h', True, 'sha256:' + HASH)
    assert str(caught.value) == 'fingerprint mismatch: the server has no certificate'


def test_callers_context(paths):
    """It is used as given, and decides everything."""
    context = ssl.create_default_context(cafile=paths.ca)
    options = context.options
    assert shake(paths.server, context=context).name_asked == 'localhost'
    assert context.options == options
    context = ssl.create_default_context(cafile=paths.other)
    assert is_certificate_error(refused(paths.server, context=context))
    assert context.options == options
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for host in ('localhost', 'other.test', '127.0.0.2'):
        shake(paths.server, host, context=context)


@pytest.mark.parametrize('host, name', [
    ('example.com', 'example.com'), ('example.com.', 'example.com'),
    ('xn--bcher-kva.test', 'xn--bcher-kva.test'), ('127.0.0.1', '127.0.0.1'), ('::1', '::1'),
    ('fe80::1%eth0', 'fe80::1')])
def test_server_name(monkeypatch, host, name):
    context = ssl.create_default_context()
    is_address = ':' in host or host[0] == '1'
    for is_callers in (False, True):
        monkeypatch.setattr(tls_context, '_matches_addresses', lambda ssl: True)
        got = tls_context.server_name(context, host, is_callers)
        assert got == name and isinstance(got, str)
        monkeypatch.setattr(tls_context, '_matches_addresses', lambda ssl: False)
        # Without a server_hostname, a context that checks it raises ValueError.
        assert tls_context.server_name(context, host, is_callers) == (
            None if is_address and not is_callers else name)
    context.check_hostname = False
    assert tls_context.server_name(context, host, True) == (None if is_address else name)


# -- stores ----------------------------------------------------------------------------

@pytest.fixture
def store(monkeypatch, paths):
    """Return a function that fills the stores of the machine and of certifi."""
    import certifi

    def store(file=None, folder=None, bundle=None):
        monkeypatch.setenv(str('SSL_CERT_FILE'), str(file or paths.missing))
        monkeypatch.setenv(str('SSL_CERT_DIR'), str(folder or paths.missing))
        monkeypatch.setattr(certifi, 'where', lambda: bundle or paths.other)
    store()
    return store


def is_trusted(paths, **options):
    try:
        shake(paths.server, **options)
    except Exception as error:
        assert is_certificate_error(error)
        return False
    return True


def test_machine_store(paths, store):
    store(file=paths.ca, bundle=paths.missing)
    assert is_trusted(paths)
    assert is_trusted(paths, host='127.0.0.1')
    assert is_trusted(paths, cert=paths.client)


def test_machine_store_is_enough(paths, store):
    """If the machine has a store, certifi adds nothing."""
    store(file=paths.other, bundle=paths.ca)
    assert not is_trusted(paths)


@pytest.mark.parametrize('before', [(), ('missing', 'empty_folder')])
def test_machine_directories(paths, store, hashed, before):
    folders = [getattr(paths, name) for name in before] + [hashed]
    store(folder=os.pathsep.join(folders), bundle=paths.missing)
    assert is_trusted(paths)


def test_certifi(paths, store):
    """certifi is used if the machine has no store, whatever the reason."""
    for file in (None, paths.garbage, paths.empty_folder):
        for folder in (None, paths.empty_folder, paths.ca):
            store(file=file, folder=folder, bundle=paths.ca)
            assert is_trusted(paths)
            tls_context._shared.clear()
    store(bundle=paths.other)
    assert not is_trusted(paths)


def test_certifi_without_its_file(paths, store):
    store(bundle=paths.missing)
    assert unusable() == 'cannot read the certificates of certifi {}: {}'.format(
        paths.missing, os.strerror(errno.ENOENT))


def test_cafile_replaces_the_store(paths, store):
    store(file=paths.ca, bundle=paths.ca)
    assert not is_trusted(paths, cafile=paths.other)


def test_cafile_directory(paths, hashed):
    assert is_trusted(paths, cafile=hashed)
    assert is_trusted(paths, cafile=hashed.encode('ascii'))


@pytest.mark.skipif(PY2, reason='no os.PathLike')
def test_path_objects(paths):
    import pathlib
    peer = shake(paths.server, cafile=pathlib.Path(paths.ca), client_ca=paths.ca,
                 cert=(pathlib.Path(paths.client_cert), pathlib.Path(paths.client_key)))
    assert peer.client
    assert 'cannot read ssl_cafile ' + paths.missing in unusable(cafile=pathlib.Path(paths.missing))


@pytest.mark.parametrize('name, words', [
    ('missing', os.strerror(errno.ENOENT)), ('garbage', 'no certificate'),
    ('empty_folder', 'no file in the directory is named by its hash')])
def test_bad_cafile(paths, name, words):
    path = getattr(paths, name)
    for cafile in (path, path.encode('ascii')):
        with pytest.raises(errors.ConnectFail) as caught:
            tls_context.make_context(cafile=cafile)
        assert str(caught.value).startswith('cannot read ssl_cafile ' + path + ': ')
        assert words in str(caught.value) and '_ssl.c' not in str(caught.value)
        assert caught.value.error is caught.value.__cause__
        assert (caught.value.error is None) == (name == 'empty_folder')
        assert not is_certificate_error(caught.value)


# -- shared contexts -------------------------------------------------------------------

LOCKED = ('client_cert', 'locked_key', 'se\xe9cret')
SETS = [{}, {'host': 'localhost', 'verify': False}, {'cafile': 'ca'}, {'cafile': 'other'}, {'cert': 'client'},
        {'cert': LOCKED}, {'cert': LOCKED[:2]}, {'cert': ('client_cert', 'client_key', 'x')},
        {'cert': 'client', 'cafile': 'ca'}, {'cert': 'client', 'fingerprint': 'sha256:' + HASH}]


def context_of(paths, **options):
    """Return the context of options that name files of the fixture; None if they give none."""
    files = vars(paths)
    for name, value in options.items():
        options[name] = (files.get(value, value) if not isinstance(value, tuple) else
                         tuple(files.get(part, part) for part in value))
    try:
        return tls_context.make_context(**options)
    except errors.ConnectFail:
        return None


def test_contexts_are_shared(paths, store, monkeypatch):
    """Connections with the same options share one, and with no others."""
    store(file=paths.ca)
    made, new = [], tls_context._new_context
    monkeypatch.setattr(tls_context, '_new_context', lambda *args: made.append(1) or new(*args))
    first = [context_of(paths, **options) for options in SETS]
    assert first.pop(6) is None                     # the password of another set does not help
    again = [context_of(paths, **options) for options in SETS]
    assert again.pop(6) is None
    assert [one is two for one, two in zip(first, again)] == [True] * len(first)
    assert len(set(map(id, first))) == len(first) == len(made) - 2
    assert (tls_context.make_context(host='127.0.0.1') is first[0]) == OPENSSL_MATCHES
    assert 'cret' not in repr([vars(kept) for kept in tls_context._shared.values()])
    assert 'cret' not in repr(list(tls_context._shared))


@pytest.mark.parametrize('change', ['time', 'size', 'inode', 'gone'])
@pytest.mark.parametrize('what', ['cafile', 'cert', 'key'])
def test_change_of_a_file_makes_a_new_context(paths, tmpdir, change, what):
    files = dict((name, write(str(tmpdir), name, read(getattr(paths, source)))) for name, source in (
        ('cafile', 'ca'), ('cert', 'client_cert'), ('key', 'client_key')))
    options = dict(cafile=files['cafile'], cert=(files['cert'], files['key']))
    before, path = context_of(paths, **options), files[what]
    assert context_of(paths, **options) is before
    if change == 'gone':
        os.remove(path)
        assert context_of(paths, **options) is None
    elif change == 'time':
        os.utime(path, (1000000000, 1000000000))
    elif change == 'inode':
        os.rename(write(str(tmpdir), 'new', read(path)), path)
    else:
        write(str(tmpdir), what, read(path), b'\n')
    after = context_of(paths, **options)
    assert after is not before and context_of(paths, **options) is after


def test_threads_share_a_context(paths, monkeypatch):
    made, new = [], tls_context._new_context

    def slow(*args):
        made.append(1)
        time.sleep(0.05)
        return new(*args)
    monkeypatch.setattr(tls_context, '_new_context', slow)
    got = []
    threads = [threading.Thread(target=lambda: got.append(context_of(paths, cafile='ca'))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == len(set(map(id, got))) == 1 and len(got) == 8


def test_a_lock_that_nobody_releases(paths, monkeypatch):
    """A fork in another thread, or Ctrl-C, may leave it like that: it is given up once."""
    before = context_of(paths, cafile='ca')
    shared, = tls_context._shared.values()
    shared._lock.acquire()
    monkeypatch.setattr(tls_context, '_SAME_WAIT', 0.01)
    monkeypatch.setattr(ssl, 'SSLContext', type(str('Other'), (ssl.SSLContext,), {}))
    monkeypatch.setattr(tls_context, '_new_context', lambda *args: before)
    assert context_of(paths, cafile='ca') is before and not shared._lock.locked()


def test_few_contexts_are_kept(paths, tmpdir):
    files = [write(str(tmpdir), 'ca%d' % number, read(paths.ca)) for number in range(tls_context.KEPT + 9)]
    first = context_of(paths, cafile=files[0])
    for file in files:
        context_of(paths, cafile=file)
        assert context_of(paths, cafile=files[0]) is first          # used all the time
    assert len(tls_context._shared) == tls_context.KEPT


class Injected(ssl.SSLContext):
    """What truststore puts in the place of ssl.SSLContext."""

    def __init__(self, protocol=None):
        self._ctx = ORIGINAL(protocol)

    def __getattribute__(self, name):
        if name in ('cert_store_stats', 'get_ca_certs'):
            raise NotImplementedError()
        own = object.__getattribute__
        return own(self, name) if name[0] == '_' else getattr(own(self, '_ctx'), name)

    def __setattr__(self, name, value):
        if name == '_ctx':
            return object.__setattr__(self, name, value)
        # The setters of the original class look up ssl.SSLContext, and would call each other.
        getattr(super(ORIGINAL, ORIGINAL), name).__set__(self._ctx, value)

    def wrap_socket(self, *args, **options):
        self._ctx.set_default_verify_paths()
        return self._ctx.wrap_socket(*args, **options)


ORIGINAL = ssl.SSLContext


@pytest.mark.skipif(sys.version_info < (3, 10), reason='truststore needs 3.10')
def test_truststore(paths, store, monkeypatch):
    """The machine's verifier judges, unless the caller says what to trust."""
    monkeypatch.setattr(ssl, 'SSLContext', Injected)
    store(file=paths.ca, bundle=paths.missing)
    assert is_trusted(paths) and is_trusted(paths, cert=paths.client)
    assert is_trusted(paths, cafile=paths.ca) and not is_trusted(paths, cafile=paths.other)
    store(file=paths.other, bundle=paths.ca)
    assert not is_trusted(paths) and is_trusted(paths, verify=False)
    assert is_trusted(paths, fingerprint='sha256:' + paths.digest)


def test_store_of_windows_is_loaded_each_time(paths, store, monkeypatch):
    store(file=paths.ca)
    monkeypatch.setattr(tls_context, 'IS_WINDOWS', True)
    assert tls_context.make_context() is not tls_context.make_context()


def test_addresses_get_a_context_of_their_own(paths, store, old_ssl):
    store(file=paths.ca)
    assert tls_context.make_context(host='127.0.0.1') is tls_context.make_context(host='::1')
    assert tls_context.make_context(host='localhost').check_hostname is True
    assert tls_context.make_context(host='127.0.0.1').check_hostname is False


def test_change_of_the_store_is_seen(paths, store, tmpdir, hashed):
    file = write(str(tmpdir), 'store.pem', read(paths.ca))
    store(file=file)
    assert is_trusted(paths)
    os.rename(write(str(tmpdir), 'new.pem', read(paths.other)), file)
    assert not is_trusted(paths)
    folder = str(tmpdir.mkdir('folder'))
    store(file=file, folder=folder)
    assert not is_trusted(paths)
    name, = os.listdir(hashed)
    write(folder, name, read(os.path.join(hashed, name)))
    assert is_trusted(paths)


def test_change_of_the_class_is_seen(paths, store, monkeypatch):
    """gevent's patching replaces ssl.SSLContext by another class."""
    store(file=paths.ca)
    before = tls_context.make_context()
    monkeypatch.setattr(tls_context, '_new_context', lambda *args: 'patched')
    monkeypatch.setattr(tls_context, '_load_default_store', lambda *args: None)
    assert tls_context.make_context() is before
    monkeypatch.setattr(ssl, 'SSLContext', object)
    assert tls_context.make_context() == 'patched'


def test_cafile_replaced_on_disk(paths, tmpdir):
    for source, trusted in ((paths.other, False), (paths.ca, True)):
        cafile = write(str(tmpdir), 'cafile.pem', read(source))
        assert is_trusted(paths, cafile=cafile) is trusted


# -- key log ---------------------------------------------------------------------------

has_key_log = pytest.mark.skipif(not hasattr(ssl.SSLContext, 'keylog_filename'), reason='from 3.8 on')


@pytest.fixture
def log_keys(tmpdir, monkeypatch):
    """Return a function that sets SSLKEYLOGFILE and returns the file."""
    def log_keys(file=None):
        file = file or tmpdir.join('keys')
        monkeypatch.setenv(str('SSLKEYLOGFILE'), str(file))
        return file
    return log_keys


@has_key_log
def test_key_log(paths, log_keys):
    file = log_keys()
    shake(paths.server, cafile=paths.ca)
    assert 'TRAFFIC_SECRET' in file.read() or 'CLIENT_RANDOM' in file.read()


@has_key_log
def test_key_log_of_the_shared_context(paths, store, log_keys):
    store(file=paths.ca)
    shake(paths.server)
    file = log_keys()
    shake(paths.server)
    assert file.read()


@has_key_log
def test_key_log_that_cannot_be_written(paths, log_keys):
    path = log_keys(os.path.join(paths.missing, 'keys'))
    assert unusable(verify=False).startswith('cannot write SSLKEYLOGFILE ' + path)


def test_key_log_with_ignored_environment(paths, log_keys, monkeypatch):
    class Sys(object):
        class flags(object):
            ignore_environment = 1
    file = log_keys()
    monkeypatch.setattr(tls_context, 'sys', Sys)
    shake(paths.server, cafile=paths.ca)
    assert not file.check()


# -- client certificates ---------------------------------------------------------------

def test_client_certificate(paths):
    for cert in (paths.client, (paths.client_cert, paths.client_key),
                 [paths.client_cert, paths.client_key, None],
                 (paths.client_cert, paths.locked_key, 'se\xe9cret'),
                 (paths.client_cert, paths.locked_key, 'se\xe9cret'.encode('utf-8')),
                 (paths.client_cert, paths.client_key, 'not needed')):
        peer = shake(paths.server, client_ca=paths.ca, cafile=paths.ca, cert=cert)
        assert getattr(tls_context.make_context(cert=cert), 'post_handshake_auth', True)
        assert ('DNS', 'client.test') in peer.client['subjectAltName']


def test_client_certificate_with_fingerprint(paths):
    peer = shake(paths.server, client_ca=paths.ca, cert=paths.client, fingerprint='sha256:' + paths.digest)
    assert peer.client


@pytest.mark.parametrize('cert, guilty, words', [
    ('missing', 'missing', os.strerror(errno.ENOENT)),
    (('missing', 'client_key'), 'missing', os.strerror(errno.ENOENT)),
    (('client_cert', 'missing'), 'missing', os.strerror(errno.ENOENT)), ('empty_folder', 'empty_folder', ''),
    ('garbage', 'garbage', 'the file contains no PEM certificate'),
    (('garbage', 'client_key'), 'garbage', 'the file contains no PEM certificate'),
    (('client_cert', 'garbage'), 'garbage', 'the file contains no PEM private key'),
    ('client_cert', 'client_cert', 'the file contains no PEM private key'),
    ('client_key', 'client_key', 'the file contains no PEM certificate'),
    (('client_cert', 'server'), 'server', 'key values mismatch'),
    (('client_cert', 'locked_key'), 'locked_key', 'the key is encrypted and no password was given'),
    (('client_cert', 'locked_key', 'wrong'), 'locked_key', 'the password does not match the key'),
    (('client_cert', 'locked_key', ''), 'locked_key', 'the password does not match the key'),
    (('client_cert', 'locked_key', 'x' * 5000), 'locked_key', 'the password does not match the key')])
def test_bad_client_certificate(paths, cert, guilty, words):
    names = cert if isinstance(cert, tuple) else (cert,)
    names = tuple(getattr(paths, name) for name in names[:2]) + names[2:]
    reason = unusable(cert=names if isinstance(cert, tuple) else names[0], verify=False)
    assert reason.startswith('cannot read ssl_cert ' + getattr(paths, guilty) + ': ')
    assert words in reason and 'wrong' not in reason


def test_locked_key_with_the_password_of_another(paths):
    """The key can be decrypted, but belongs to another certificate."""
    assert unusable(cert=(paths.server, paths.locked_key, 'se\xe9cret'), verify=False).endswith(
        'key values mismatch')


@pytest.mark.skipif(sys.version_info < (3, 7), reason='the alert comes after the handshake')
def test_client_certificate_missing(paths):
    error = refused(paths.server, client_ca=paths.ca, cafile=paths.ca)
    assert isinstance(error, EnvironmentError)
    if isinstance(error, ssl.SSLError):         # a reset may overtake the alert
        assert is_certificate_error(error)
        assert describe_error(error) == 'TLS alert from the server: certificate required'


# -- TLS in memory ---------------------------------------------------------------------

@pytest.mark.skipif(not hasattr(ssl, 'MemoryBIO'), reason='not on 2.7')
@pytest.mark.parametrize('host, good', [('localhost', True), ('other.test', False), ('127.0.0.1', True),
                                        ('127.0.0.2', False)])
def test_in_memory(paths, host, good):
    """TLS in TLS uses an SSLObject instead of a socket."""
    context = tls_context.make_context(cafile=paths.ca, host=host)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(paths.server)
    server = server.wrap_bio(to_server, to_client, server_side=True)
    client = context.wrap_bio(to_client, to_server, server_hostname=tls_context.server_name(context, host))

    def run():
        for _ in range(10):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        tls_context.verify_peer(client, host)
    if good:
        return run()
    with pytest.raises(Exception) as caught:
        run()
    assert is_certificate_error(caught.value)
