"""Whom we trust: TLS contexts, and the checks after a handshake.

It must not know who connects, when, or through what: it gets settings, a host and a TLS
object.  ``ssl``, ``hashlib`` and ``certifi`` are imported when they are first needed.

No path is without verification but ``verify=False``, and a fingerprint, which is checked in
its place.  Whoever uses :func:`make_context` calls :func:`verify_peer` after the handshake,
before the first byte of the application is sent.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import os
import sys

from .. import _compat, errors
from .._compat import IS_WINDOWS, OS_ERRORS, Pattern, error_text, fspath, native, text_type, to_text
from .tls_errors import UNVERIFIED, CertificateFail, describe_error
from .url import ip_bytes, is_ip_address, printable

_FINGERPRINT = Pattern('sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})\\Z')
# What OpenSSL looks for in a directory: the hash of a subject's name, and a number.
_HASHED_NAME = Pattern('[0-9a-f]{8}\\.[0-9]+\\Z')


# -- what the constructor was given ----------------------------------------------------------

def _path_text(path):
    path = fspath(path)
    return path.decode('utf-8', 'replace') if isinstance(path, bytes) else path


def _check_path(what, path):
    text = _path_text(path)
    if not isinstance(text, text_type):
        raise TypeError('{} must be a path, not {}'.format(what, type(path).__name__))
    if not text or '\0' in text:
        raise ValueError("{} must be the path of a file, not '{}'".format(what, printable(text)))


def _split_cert(cert):
    """(certificate, key, password) of any form that ``ssl_cert`` may have."""
    if not isinstance(cert, (tuple, list)):
        return fspath(cert), None, None
    if len(cert) not in (2, 3):
        raise ValueError('ssl_cert must be a path, (certificate, key) or (certificate, key, password); '
                         'it has {} items'.format(len(cert)))
    return tuple(fspath(part) for part in cert) + (None,) * (3 - len(cert))


def parse_fingerprint(text):
    """The digest in ``'sha256:AB:CD...'``.

    :param text: text; 64 hex digits in any case, with or without colons between the bytes
    :returns: 32 bytes
    :raises TypeError: not text
    :raises ValueError: something else
    """
    text = to_text(text)
    if not isinstance(text, text_type):
        raise TypeError('ssl_fingerprint must be text, not {}'.format(type(text).__name__))
    match = _FINGERPRINT.match(text.lower())
    if not match:
        raise ValueError("ssl_fingerprint must be 'sha256:' and 64 hex digits, colons between bytes "
                         "allowed; not '{}'".format(printable(text)))
    return binascii.unhexlify(match.group(1).replace(':', '').encode('ascii'))


def check_options(verify, cafile, context, cert, fingerprint):
    """Refuse what can be seen to be wrong without opening a file; the arguments of ``WebSocket``.

    :param verify: ``ssl_verify``: True or False
    :param cafile: ``ssl_cafile``: a path (text, bytes or ``os.PathLike``) or None
    :param context: ``ssl_context``: an ``ssl.SSLContext`` (what has its ``wrap_socket`` will do) or None
    :param cert: ``ssl_cert``: a path, (path, path), (path, path, password) or None
    :param fingerprint: ``ssl_fingerprint``: see :func:`parse_fingerprint`, or None
    :raises TypeError: a value of a wrong type
    :raises ValueError: a value that is not allowed, or ``ssl_context`` with ``ssl_cert`` or
        ``ssl_fingerprint``
    """
    # None would be "do not verify", and that is nothing to fall into.
    if not isinstance(verify, _compat.integer_types):
        raise TypeError('ssl_verify must be True or False, not {}'.format(type(verify).__name__))
    if cafile is not None:
        _check_path('ssl_cafile', cafile)
    if context is not None and not callable(getattr(context, 'wrap_socket', None)):
        raise TypeError('ssl_context must be an ssl.SSLContext, not {}'.format(type(context).__name__))
    if cert is not None:
        certificate, key, password = _split_cert(cert)
        _check_path('ssl_cert', certificate)
        if isinstance(cert, (tuple, list)):
            _check_path('the key of ssl_cert', key)
        if not isinstance(password, (text_type, bytes, type(None))):
            raise TypeError('the password of ssl_cert must be text or bytes, not {}'.format(
                type(password).__name__))
    if fingerprint is not None:
        parse_fingerprint(fingerprint)
    for name, value in (('ssl_cert', cert), ('ssl_fingerprint', fingerprint)):
        if context is not None and value is not None:
            raise ValueError('ssl_context and {} cannot be given together: the context decides '
                             'everything about TLS'.format(name))


# -- contexts --------------------------------------------------------------------------------

def _matches_addresses(ssl):
    """True when OpenSSL itself compares the host, IP addresses too (3.7 and up)."""
    return hasattr(ssl, 'SSLCertVerificationError')


def _cannot(what, path, problem, cause=None):
    """The error for a file that cannot be used; the exception behind it is its ``error``."""
    fail = errors.ConnectFail('cannot {} {}: {}'.format(what, _path_text(path), problem))
    fail.error = fail.__cause__ = cause
    return fail


def _new_context(ssl, checks_chain, checks_name):
    """A client's context of TLS 1.2 and up that trusts nobody yet."""
    context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_CLIENT', ssl.PROTOCOL_SSLv23))
    if hasattr(context, 'minimum_version'):
        # A machine whose openssl.cnf asks for more is not talked out of it.
        if context.minimum_version < ssl.TLSVersion.TLSv1_2:
            context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        context.options |= ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    context.options |= ssl.OP_NO_COMPRESSION        # CRIME
    # The order matters: neither CERT_NONE with check_hostname nor the reverse is accepted.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if checks_chain else ssl.CERT_NONE
    context.check_hostname = checks_name
    path = _key_log()
    try:
        if path and hasattr(context, 'keylog_filename'):
            context.keylog_filename = path
    except OS_ERRORS as error:
        raise _cannot('write SSLKEYLOGFILE', path, error_text(error), error)
    return context


def _key_log():
    return None if sys.flags.ignore_environment else os.environ.get('SSLKEYLOGFILE')


def _hashed_names(path):
    return [name for name in os.listdir(path) if _HASHED_NAME.match(to_text(name))]


def _load_cafile(context, cafile):
    try:
        if not os.path.isdir(cafile):
            context.load_verify_locations(cafile=fspath(cafile))
            return
        hashed = _hashed_names(_path_text(cafile))
        context.load_verify_locations(capath=fspath(cafile))
    except OS_ERRORS + (ValueError,) as error:      # SSLError is one, and so is UnicodeError
        raise _cannot('read ssl_cafile', cafile, describe_error(error), error)
    if not hashed:
        raise _cannot('read ssl_cafile', cafile,
                      'no file in the directory is named by its hash (openssl rehash gives such names)')


def _store_places(ssl):
    """The file and the directories of the system's store, whether they exist or not."""
    paths = ssl.get_default_verify_paths()
    places = [os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile)]
    return places + os.environ.get(paths.openssl_capath_env, paths.openssl_capath).split(os.pathsep)


def _load_default_store(ssl, context):
    """Trust whom the machine trusts; whom certifi trusts when the machine says nothing."""
    # OpenSSL reads SSL_CERT_FILE now, and looks into directories during a handshake; Python
    # reads Windows' store now.  Neither complains of what it does not find.
    context.load_default_certs()
    if context.cert_store_stats()['x509']:
        return
    if any(os.path.isdir(place) and _hashed_names(place) for place in _store_places(ssl)[1:]):
        return
    import certifi
    path = certifi.where()
    try:
        context.load_verify_locations(cafile=path)
    except OS_ERRORS as error:
        raise _cannot('read the certificates of certifi', path, describe_error(error), error)


# The default store costs 18 ms and 800 KiB to load (144 CAs, OpenSSL 3.0), so connections
# without a certificate of their own share a context as long as nothing has changed on disk.
# Nobody is given it to modify, and OpenSSL's contexts may be shared by threads.
_shared = {}


def _shared_context(ssl, checks_name):
    state = _store_state(ssl)
    known = _shared.get(checks_name)
    if known is not None and known[0] == state:
        return known[1]
    context = _new_context(ssl, True, checks_name)
    _load_default_store(ssl, context)
    if not IS_WINDOWS:          # there is nothing to see a change of Windows' store by
        _shared[checks_name] = state, context
    return context


def _store_state(ssl):
    """What differs when the default store, or a setting beside it, has changed."""
    # The class itself is another one after gevent's patching.
    state = [ssl.SSLContext, _key_log()]
    for place in _store_places(ssl):
        paths = [place]
        if os.path.isdir(place):
            paths += [os.path.join(place, name) for name in sorted(_hashed_names(place))]
        for path in paths:
            try:
                stat = os.stat(path)
            except OS_ERRORS:
                state.append(path)
            else:
                state += [path, stat.st_mtime, stat.st_ctime, stat.st_size, stat.st_ino]
    return hash(tuple(state))


def _load_cert(context, cert):
    certificate, key, password = _split_cert(cert)
    # OpenSSL does not say which of two files is missing, and next to nothing of one that
    # holds something else.
    for path, mark, content in ((certificate, b'CERTIFICATE-----', 'certificate'),
                                (key or certificate, b'PRIVATE KEY-----', 'private key')):
        try:
            with open(path, 'rb') as file:
                found = mark in file.read()
        except OS_ERRORS + (ValueError,) as error:
            raise _cannot('read ssl_cert', path, error_text(error), error)
        if not found:
            raise _cannot('read ssl_cert', path, 'there is no PEM {} in it'.format(content))
    secret = password.encode('utf-8') if isinstance(password, text_type) else password or b''
    asked = []

    def get_password():
        # Without this OpenSSL would ask on the terminal.  It must not raise: below 3.8 it is
        # called again with the exception pending.  1023: PEM_BUFSIZE of OpenSSL, less one.
        asked.append(True)
        return secret if len(secret) < 1024 else b''

    try:
        context.load_cert_chain(certificate, key, get_password)
    except OS_ERRORS + (ValueError,) as error:
        problem = describe_error(error)
        if asked and 'mismatch' not in problem:     # "bad decrypt", "PEM lib" or nothing
            problem = ('the key has a password and none was given' if password is None else
                       'the password does not fit the key')
        raise _cannot('read ssl_cert', key or certificate, problem, error)


def make_context(verify=True, cafile=None, cert=None, fingerprint=None, host=None):
    """A context for one connection; the options have passed :func:`check_options`.

    TLS 1.2 or newer, without compression.  Certificate and host name are checked unless ``verify``
    is False or there is a fingerprint.  The context may be shared: do not modify it.
    It reads files: made anew for each connection it has what is on disk now.

    :param verify: False: neither certificate nor host name is checked
    :param cafile: PEM bundle, or directory, of the only CAs to trust; None: the system's
        store (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` count) if it holds anything, else certifi's
    :param cert: our own certificate: ``'both.pem'``, ``(certificate, key)`` or
        ``(certificate, key, password)``; None: we have none
    :param fingerprint: the digest that :func:`verify_peer` will look for, in place of all
        other checks (``cafile`` is not opened)
    :param host: the host to connect to; below 3.7, whose ``ssl`` cannot match IP addresses,
        :func:`verify_peer` does it for a host that is one
    :returns: ``ssl.SSLContext``
    :raises ConnectFail: a file cannot be read or used; the message has its path, ``error`` the cause
    """
    import ssl
    checks_chain = bool(verify) and fingerprint is None
    checks_name = checks_chain and (host is None or _matches_addresses(ssl) or not is_ip_address(host))
    if checks_chain and cafile is None and cert is None:
        return _shared_context(ssl, checks_name)
    context = _new_context(ssl, checks_chain, checks_name)
    if checks_chain and cafile is None:
        _load_default_store(ssl, context)
    elif checks_chain:
        _load_cafile(context, cafile)
    if cert is not None:
        _load_cert(context, cert)
    return context


# -- one connection --------------------------------------------------------------------------

def server_name(context, host, is_callers=False):
    """The ``server_hostname`` for ``wrap_socket`` and ``wrap_bio``.

    :param context: the context that will wrap
    :param host: the host to connect to, ASCII (``xn--``); a trailing dot and a zone id are left out
    :param is_callers: True: the context is the ``ssl_context`` of the caller, not of :func:`make_context`
    :returns: native ``str``; None for an IP address where ``ssl`` would send it as SNI
        (RFC 6066, 3, forbids that) or cannot match it: below 3.7, unless a caller's context needs it
    """
    import ssl
    if not is_ip_address(host):
        return native(host[:-1] if host.endswith('.') else host)
    if _matches_addresses(ssl) or (is_callers and getattr(context, 'check_hostname', False)):
        return native(host.partition('%')[0])
    return None


def _colons(digest):
    digits = binascii.hexlify(digest).decode('ascii')
    return ':'.join(digits[place:place + 2] for place in range(0, len(digits), 2))


def verify_peer(ssl_object, host, verify=True, fingerprint=None, is_callers=False):
    """What is left to check when the handshake is done.

    :param ssl_object: ``SSLSocket`` or ``SSLObject``
    :param host: as for :func:`make_context`
    :param verify: as for :func:`make_context`
    :param fingerprint: as for :func:`make_context`
    :param is_callers: True: the context is the caller's and has decided everything
    :raises ConnectFail: another certificate than expected; the sentence says whose it is
    """
    if is_callers:
        return
    if fingerprint is not None:
        import hashlib
        certificate = ssl_object.getpeercert(True)
        digest = hashlib.sha256(certificate).digest() if certificate else b''
        if digest != parse_fingerprint(fingerprint):
            raise CertificateFail('fingerprint mismatch: the server has ' + (
                'sha256:' + _colons(digest) if digest else 'no certificate'))
        return
    import ssl
    if not verify or _matches_addresses(ssl) or not is_ip_address(host):
        return
    names = ssl_object.getpeercert().get('subjectAltName', ())
    addresses = [ip_bytes(to_text(name).strip()) for kind, name in names if kind == 'IP Address']
    if ip_bytes(host) not in addresses:
        raise CertificateFail("{}: IP address mismatch, certificate is not valid for '{}' but for {}".format(
            UNVERIFIED, host, printable(', '.join("'" + to_text(name) + "'" for _, name in names), 300)
            or 'nothing'))
