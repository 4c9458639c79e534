"""Certificates for loopback, good and bad, and the TLS contexts of servers."""

from __future__ import absolute_import, division, unicode_literals

import datetime
import hashlib
import os
import ssl
import warnings

import pytest


def server_context(pem, client_ca=None):
    """Return the TLS context of a server."""
    context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
    context.load_cert_chain(pem)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def note_names(context, names):
    """Append to ``names`` the name that each client sends by SNI, or None."""
    def note(sock, name, context):
        names.append(name)
    if hasattr(context, 'sni_callback'):
        context.sni_callback = note
    else:
        context.set_servername_callback(note)


class Certs(object):
    """Paths of PEM files, by attribute."""


def _expired():
    """Return PEM of a self-signed certificate for localhost that expired in 2001."""
    from cryptography import x509
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1(), default_backend())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(9).not_valid_before(datetime.datetime(2000, 1, 1))
        .not_valid_after(datetime.datetime(2001, 1, 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName('localhost')]), critical=False)
        .sign(key, hashes.SHA256(), default_backend()))
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()) + certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope='session')
def certs(tmpdir_factory):
    """Two certificate authorities, and what the first one has signed."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # cryptography tells how old this Python is
        trustme = pytest.importorskip('trustme')
    folder = str(tmpdir_factory.mktemp('certs'))
    found = Certs()

    def write(name, data):
        path = os.path.join(folder, name + '.pem')
        with open(path, 'wb') as file:
            file.write(data)
        setattr(found, name, path)
    ca, other = trustme.CA(), trustme.CA()
    write('ca', ca.cert_pem.bytes())
    write('other_ca', other.cert_pem.bytes())
    leaf = ca.issue_cert('localhost', 'target.test', '127.0.0.1', '::1')
    write('server', leaf.private_key_and_cert_chain_pem.bytes())
    found.fingerprint = 'sha256:' + hashlib.sha256(ssl.PEM_cert_to_DER_cert(
        leaf.cert_chain_pems[0].bytes().decode('ascii'))).hexdigest()
    write('elsewhere', ca.issue_cert('elsewhere.test').private_key_and_cert_chain_pem.bytes())
    write('expired', _expired())
    write('client', ca.issue_cert('client.test').private_key_and_cert_chain_pem.bytes())
    return found


@pytest.fixture(params=['ws', 'wss'])
def how(request):
    """``(keywords of Server, options of WebSocket)``: in clear text and with TLS."""
    if request.param == 'ws':
        return {}, {'proxies': {}}
    found = request.getfixturevalue(str('certs'))
    return {'tls': server_context(found.server)}, {'proxies': {}, 'ssl_cafile': found.ca}
