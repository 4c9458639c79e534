# -*- coding: utf-8 -*-
"""Readable TLS errors."""

from __future__ import absolute_import, division, unicode_literals

import errno
import ssl
import sys

import pytest

from lomond import errors
from lomond.network.tls_errors import describe_error, is_certificate_error, is_end


@pytest.mark.parametrize('words, text, about_certificate', [
    ('[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate '
     'chain (_ssl.c:1006)',
     'certificate verify failed: self-signed certificate in certificate chain', False),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not "
     "valid for 'x'. (_ssl.c:1006)",
     "certificate verify failed: Hostname mismatch, certificate is not valid for 'x'", False),
    ('[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:727)',
     "certificate verify failed for 'h'", False),
    ('[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)',
     'wrong version number; does the server speak TLS on this port?', False),
    ('[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:852)',
     'TLS alert from the server: unknown ca', True),
    ('[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure (_ssl.c:1006)',
     'TLS alert from the server: handshake failure', False),
    ('[SSL: SSL/TLS_ALERT_BAD_CERTIFICATE] ssl/tls alert bad certificate (_ssl.c:1032)',
     'TLS alert from the server: bad certificate', True),
    ('[SSL] tlsv13 alert certificate required (_ssl.c:2570)',
     'TLS alert from the server: certificate required', True),
    ('[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)',
     'EOF occurred in violation of protocol', False),
    ('The handshake operation timed out', 'The handshake operation timed out', False),
    ('[X509] PEM lib (_ssl.c:3905)', 'PEM lib', False),
    ('odd \x1b\u2603 words\nof the peer', 'odd \\x1b\\u2603 words of the peer', False)])
def test_describe(words, text, about_certificate):
    error = ssl.SSLError(1, words)
    assert describe_error(error, 'h') == text
    assert is_certificate_error(error) is about_certificate


def test_describe_mismatch_of_old_ssl():
    """Below 3.7 ssl.CertificateError is a ValueError that lacks "certificate"."""
    number = (1,) if hasattr(ssl, 'SSLCertVerificationError') else ()
    error = ssl.CertificateError(*number + ("hostname 'x' doesn't match 'y'",))
    assert is_certificate_error(error)
    assert describe_error(error) == "certificate verify failed: hostname 'x' doesn't match 'y'"
    error = ssl.CertificateError(*number + ('hostname ' + 'x' * 1000,))
    assert len(describe_error(error)) <= 403


@pytest.mark.parametrize('error, text', [
    (OSError(errno.ECONNREFUSED, 'Connection refused'), 'Connection refused'),
    (ValueError('check_hostname requires server_hostname (_ssl.c:1)'),
     'check_hostname requires server_hostname (_ssl.c:1)'),
    (errors.ConnectFail('caf\xe9'), 'caf\xe9'), (KeyError(), 'KeyError')])
def test_describe_others(error, text):
    assert describe_error(error) == text
    assert is_certificate_error(error) is False


def test_nothing_is_imported_for_other_errors(monkeypatch):
    monkeypatch.delitem(sys.modules, 'ssl')
    error = OSError(errno.ECONNREFUSED, 'Connection refused')
    assert describe_error(error) == 'Connection refused'
    assert is_certificate_error(error) is False
    assert 'ssl' not in sys.modules


def test_end_while_the_program_exits(monkeypatch):
    end = ssl.SSLError(ssl.SSL_ERROR_EOF, 'EOF occurred in violation of protocol')
    monkeypatch.delitem(sys.modules, 'ssl')
    assert is_end(end) and not is_end(ssl.SSLError(1, 'bad record mac'))
