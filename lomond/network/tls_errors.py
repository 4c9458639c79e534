"""What went wrong with TLS, in words; it must not know who connects, or to what.

``ssl`` is not imported here: where it is not loaded, no error can be of it.
"""

from __future__ import absolute_import, division, unicode_literals

import sys

from .. import errors
from .._compat import Pattern, error_text
from .url import printable

# How Python frames OpenSSL's words: "[SSL: REASON] words (_ssl.c:1006)".
_FRAME = Pattern(r'\A\[[^\]]*\] *| *\(_ssl\.c:[0-9]+\)')
_ALERT = Pattern(r'\A(?:sslv3|tlsv1|tlsv13|ssl/tls) alert (.+)\Z')
_CERTIFICATE_ALERT = Pattern(r'alert (?:unknown ca|.*certificate)')
# What OpenSSL says when an answer is no TLS record at all.
_NO_TLS = ('wrong version number', 'unknown protocol', 'http request', 'packet length too long',
           'record layer failure')
UNVERIFIED = 'certificate verify failed'
#: Most characters of an error: a certificate may hold hundreds of names.
_CUT = 400


class CertificateFail(errors.ConnectFail):
    """The server's certificate is not the one it should be."""


def _ssl_classes(*names):
    # Where ssl is not imported nothing can be of it, and asking need not cost its 15 ms.
    ssl = sys.modules.get('ssl')
    return tuple(getattr(ssl, name) for name in names if hasattr(ssl, name))


def describe_error(error, host=None):
    """What an exception says, for a reason: the verifier's own words without source positions.

    :param error: any exception, of ``ssl`` or not
    :param host: the host that was connected to; named where the words say nothing else (below 3.7)
    :returns: text, one line; what the peer had to do with is escaped and cut
    """
    text = error_text(error)
    if not isinstance(error, _ssl_classes('SSLError', 'CertificateError')):
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


def is_certificate_error(error):
    """True when it is about a certificate, so that trying again soon is no use.

    That is: the server's is not trusted, expired, of another host, has another fingerprint;
    or the server says so of ours.
    """
    if isinstance(error, (CertificateFail,) + _ssl_classes('SSLCertVerificationError', 'CertificateError')):
        return True
    return (isinstance(error, _ssl_classes('SSLError')) and (
        getattr(error, 'reason', None) == 'CERTIFICATE_VERIFY_FAILED'
        or bool(_CERTIFICATE_ALERT.search(error_text(error)))))
