"""Readable TLS errors.

``ssl`` is not imported here: if nothing has loaded it, no error can come from it.

Knows nothing of: contexts, sockets, WebSockets.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import sys

from .. import errors
from .._compat import OS_ERRORS, Pattern, error_number, error_text
from .url import printable

# Python's frame around OpenSSL's words: "[SSL: REASON] words (_ssl.c:1006)".
_FRAME = Pattern(r'\A\[[^\]]*\] *| *\(_ssl\.c:[0-9]+\)')
_ALERT = Pattern(r'\A(?:sslv3|tlsv1|tlsv13|ssl/tls) alert (.+)\Z')
_CERTIFICATE_ALERT = Pattern(r'alert (?:unknown ca|.*certificate)')
# What OpenSSL says when an answer is not a TLS record.
_NO_TLS = ('wrong version number', 'unknown protocol', 'http request', 'packet length too long',
           'record layer failure')
UNVERIFIED = 'certificate verify failed'
#: Numbers of the errors that end TCP; others come from what a caller has overridden.
_LOST = frozenset((0, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN, errno.ESHUTDOWN,
                   errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH))
#: Maximum length of an error, because a certificate may hold hundreds of names.
_CUT = 400


class CertificateFail(errors.ConnectFail):
    """Raised when the server's certificate is not the expected one."""


def _of_ssl(*names):
    # If ssl was never imported, no error comes from it; save the 15 ms of importing it.
    # While the program exits, it may be gone again.
    ssl = sys.modules.get('ssl')
    return tuple(getattr(ssl, name) for name in names if hasattr(ssl, name))


def describe_error(error, host=None):
    """Put an exception into words: those of the verifier, without source positions.

    :param error: any exception, from ``ssl`` or elsewhere
    :param host: the host that was connected to; added where OpenSSL's words contain no
        detail (below 3.7)
    :returns: one line of text; what the peer may have sent is escaped and shortened
    """
    text = error_text(error)
    if not isinstance(error, _of_ssl('SSLError', 'CertificateError')):
        return text
    text = _FRAME.sub('', text).rstrip('.')
    alert = _ALERT.match(text)
    if text == UNVERIFIED and host:
        text += " for '{}'".format(host)
    elif alert:
        text = 'TLS alert from the server: ' + alert.group(1)
    elif text in _NO_TLS:
        text += '; does the server speak TLS on this port?'
    elif is_certificate_error(error) and 'certificate' not in text:
        text = UNVERIFIED + ': ' + text        # below 3.7: "hostname 'x' doesn't match 'y'"
    return printable(text, _CUT)


def is_end(error):
    """Return True if an error of ``ssl`` means that the peer has ended the stream."""
    number = error.args[0] if error.args else None
    if number in _of_ssl('SSL_ERROR_ZERO_RETURN', 'SSL_ERROR_EOF'):
        return True
    # What OpenSSL 3 tells Pythons before 3.8. "Some I/O error": a MemoryBIO reports
    # nothing else that way.
    text = error_text(error)
    return 'unexpected eof' in text.lower() or 'EOF occurred' in text or 'Some I/O error' in text


def describe_handshake_error(error, host):
    """Put an exception of a TLS handshake into words.

    :param error: as for :func:`describe_error`
    :param host: as for :func:`describe_error`
    :returns: ``(text, is_lost)``; ``is_lost`` is True if TCP ended, so that the peer
        has not said what it does not like
    """
    text = describe_error(error, host)
    if isinstance(error, _of_ssl('SSLError')):
        is_lost = is_end(error) and not is_certificate_error(error)
        return 'connection lost in the TLS handshake' if is_lost else text, is_lost
    is_lost = isinstance(error, OS_ERRORS) and error_number(error) in _LOST
    if is_lost and not error_number(error):
        text = 'connection lost'        # "[Errno 0] Error" of OpenSSL 1.1
    return text + ' in the TLS handshake' if is_lost else text, is_lost


def is_certificate_error(error):
    """Return True if an error is about a certificate, so that retrying is pointless.

    Either the server's certificate is untrusted, expired, for another host or has
    another fingerprint, or the server rejected ours.
    """
    if isinstance(error, (CertificateFail,) + _of_ssl('SSLCertVerificationError', 'CertificateError')):
        return True
    return (isinstance(error, _of_ssl('SSLError')) and (
        getattr(error, 'reason', None) == 'CERTIFICATE_VERIFY_FAILED'
        or bool(_CERTIFICATE_ALERT.search(error_text(error)))))
