"""TLS contexts, and peer verification after the handshake.

``ssl``, ``hashlib`` and ``certifi`` are imported when first needed.

The only ways to skip verification are ``verify=False`` and a fingerprint, which is
checked instead. Users of :func:`make_context` call :func:`verify_peer` after the
handshake, before the first byte of the application is sent.

Knows nothing of: sockets, proxies, when and why a connection is made.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import os
import sys
import threading

from .. import _compat, errors
from .._compat import (
    IS_WINDOWS,
    OS_ERRORS,
    Pattern,
    acquire,
    error_text,
    fspath,
    monotonic,
    native,
    text_type,
    to_text,
)
from .tls_errors import UNVERIFIED, CertificateFail, describe_error
from .url import ip_bytes, is_ip_address, printable

_FINGERPRINT = Pattern('sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})\\Z')
# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN: what is in the store is an anchor, self-signed or
# not (RFC 5280, 6.1.1). ``ssl`` has a name for it from 3.10 on.
_PARTIAL_CHAIN = 0x80000
# Names that OpenSSL looks for in a directory: the hash of a subject, and a number.
_HASHED_NAME = Pattern('[0-9a-f]{8}\\.[0-9]+\\Z')


# -- options ---------------------------------------------------------------------------

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
    """Return ``(certificate, key, password)`` for any form of ``ssl_cert``."""
    if not isinstance(cert, (tuple, list)):
        return fspath(cert), None, None
    if len(cert) not in (2, 3):
        raise ValueError('ssl_cert must be a path, (certificate, key) or (certificate, key, password); '
                         'it has {} items'.format(len(cert)))
    return tuple(fspath(part) for part in cert) + (None,) * (3 - len(cert))


def parse_fingerprint(text):
    """Return the digest in ``'sha256:AB:CD...'``.

    :param text: 64 hex digits in any case, with or without colons between the bytes
    :returns: 32 bytes
    :raises TypeError: if it is not text
    :raises ValueError: if it has another form
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
    """Check the TLS arguments of ``WebSocket`` without opening any file.

    :param verify: ``ssl_verify``: True or False
    :param cafile: ``ssl_cafile``: a path (text, bytes or ``os.PathLike``) or None
    :param context: ``ssl_context``: an ``ssl.SSLContext``, or any object that has its
        ``wrap_socket``; or None
    :param cert: ``ssl_cert``: a path, (path, path), (path, path, password) or None
    :param fingerprint: ``ssl_fingerprint``: see :func:`parse_fingerprint`; or None
    :raises TypeError: if a value has a wrong type
    :raises ValueError: if a value is not allowed, or ``ssl_context`` is combined with
        ``ssl_cert`` or ``ssl_fingerprint``
    """
    # Reject None: it would silently disable verification.
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


# -- contexts --------------------------------------------------------------------------

def _matches_addresses(ssl):
    """Return True if OpenSSL itself checks the host, also IP addresses (3.7 and up)."""
    return hasattr(ssl, 'SSLCertVerificationError')


def _cannot(what, path, problem, cause=None):
    """Return the error for an unusable file; its ``error`` is the cause."""
    fail = errors.ConnectFail('cannot {} {}: {}'.format(what, _path_text(path), problem))
    fail.error = fail.__cause__ = cause
    return fail


def _new_context(ssl, checks_chain, checks_name):
    """Return a client context for TLS 1.2 and up that does not trust any CA yet."""
    context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_CLIENT', ssl.PROTOCOL_SSLv23))
    if hasattr(context, 'minimum_version'):
        # Keep a stricter minimum from the machine's openssl.cnf.
        if context.minimum_version < ssl.TLSVersion.TLSv1_2:
            context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        context.options |= ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    context.options |= ssl.OP_NO_COMPRESSION        # CRIME
    if ssl.HAS_ALPN:
        context.set_alpn_protocols([native('http/1.1')])    # RFC 7301
    if checks_chain and hasattr(context, 'verify_flags'):
        context.verify_flags |= _PARTIAL_CHAIN
    # The order matters: check_hostname cannot be combined with CERT_NONE at any time.
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
    return [name for name in os.listdir(path) if _HASHED_NAME.match(_path_text(name))]


def _load_cafile(context, cafile):
    try:
        if not os.path.isdir(cafile):
            context.load_verify_locations(cafile=fspath(cafile))
            return
        hashed = _hashed_names(_path_text(cafile))
        context.load_verify_locations(capath=fspath(cafile))
    except OS_ERRORS + (ValueError,) as error:      # includes SSLError and UnicodeError
        raise _cannot('read ssl_cafile', cafile, describe_error(error), error)
    if not hashed:
        raise _cannot('read ssl_cafile', cafile,
                      'no file in the directory is named by its hash (run openssl rehash)')


def _store_places(ssl):
    """Return the file and directories of the system's store, existing or not."""
    paths = ssl.get_default_verify_paths()
    places = [os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile)]
    return places + os.environ.get(paths.openssl_capath_env, paths.openssl_capath).split(os.pathsep)


def _load_default_store(ssl, context):
    """Trust the machine's CAs, or certifi's if the machine has none."""
    # OpenSSL reads SSL_CERT_FILE now, and directories during a handshake; Python reads
    # Windows' store now. Neither complains about missing files.
    context.load_default_certs()
    try:
        if context.cert_store_stats()['x509']:
            return
    except NotImplementedError:     # truststore, injected: it asks the machine's verifier itself
        return
    if any(os.path.isdir(place) and _hashed_names(place) for place in _store_places(ssl)[1:]):
        return
    import certifi
    path = certifi.where()
    try:
        context.load_verify_locations(cafile=path)
    except OS_ERRORS as error:
        raise _cannot('read the certificates of certifi', path, describe_error(error), error)


# Loading the default store costs 18 ms and 800 KiB (144 CAs, OpenSSL 3.0), so
# connections with the same options share a context until something changes on disk.
# Users never get it, because they might modify it. OpenSSL's contexts may be shared by
# threads, and by a forked child.

#: How many contexts are kept: of the options that were used last.
KEPT = 32
#: How long to wait for a thread that makes the same context (seconds); then make one.
_SAME_WAIT = 2.0
_shared = {}                            # options -> _Shared
_salt = os.urandom(16)                  # passwords are not kept, only what tells them apart


class _Shared(object):
    """The newest context for one set of options.

    The lock keeps threads that start together from loading the same files. A fork or
    Ctrl-C may leave it locked forever, so it is given up after a while.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._made = None               # (state of the files, context)
        self.used = 0.0

    def get(self, find_state, make):
        """Return the context for what is on disk now; make it if necessary."""
        self.used = monotonic()
        made = self._made               # once: other threads may replace it
        if made is not None and made[0] == find_state():
            return made[1]
        lock, is_locked = self._lock, False
        try:
            is_locked = acquire(lock, _SAME_WAIT)
            if not is_locked:
                self._lock = threading.Lock()
            # From before, so that a change during make() is seen next time.
            made, state = self._made, find_state()
            if made is None or made[0] != state:
                made = self._made = state, make()
        finally:
            if is_locked:
                lock.release()
        return made[1]


def _share(key, find_state, make):
    """Return the context that all connections with this key share."""
    shared = _shared.get(key)
    if shared is None:
        shared = _shared.setdefault(key, _Shared())
        by_age = sorted(list(_shared.items()), key=lambda item: item[1].used, reverse=True)
        for old, _ in by_age[KEPT - 1:]:
            if old != key:
                _shared.pop(old, None)
    return shared.get(find_state, make)


def _state_of(place):
    """Return a list that changes with a file, or with a directory of certificates."""
    paths, state = [place], []
    try:
        if os.path.isdir(place):
            paths += [os.path.join(place, name) for name in sorted(_hashed_names(place))]
    except OS_ERRORS:                   # make() says why it cannot be read
        pass
    for path in paths:
        try:
            stat = os.stat(path)
        except OS_ERRORS + (ValueError,):
            state.append(path)
        else:
            state += [path, stat.st_mtime, stat.st_ctime, stat.st_size, stat.st_ino, stat.st_dev]
    return state


def _secret_bytes(password):
    return password.encode('utf-8') if isinstance(password, text_type) else password or b''


def _load_cert(context, certificate, key, password):
    # OpenSSL does not say which of two files is missing, and says hardly anything about
    # a file with other contents.
    for path, mark, content in ((certificate, b'CERTIFICATE-----', 'certificate'),
                                (key or certificate, b'PRIVATE KEY-----', 'private key')):
        try:
            with open(path, 'rb') as file:
                found = mark in file.read()
        except OS_ERRORS + (ValueError,) as error:
            raise _cannot('read ssl_cert', path, error_text(error), error)
        if not found:
            raise _cannot('read ssl_cert', path, 'the file contains no PEM {}'.format(content))
    secret = _secret_bytes(password)
    asked = []

    def get_password():
        # Without this OpenSSL would ask on the terminal. It must not raise: below 3.8
        # it would be called again with the exception pending. 1023 is OpenSSL's
        # PEM_BUFSIZE minus one.
        asked.append(True)
        return secret if len(secret) < 1024 else b''

    try:
        context.load_cert_chain(certificate, key, get_password)
    except OS_ERRORS + (ValueError,) as error:
        problem = describe_error(error)
        if asked and 'mismatch' not in problem:     # "bad decrypt", "PEM lib" or nothing
            problem = ('the key is encrypted and no password was given' if password is None else
                       'the password does not match the key')
        raise _cannot('read ssl_cert', key or certificate, problem, error)


def make_context(verify=True, cafile=None, cert=None, fingerprint=None, host=None):
    """Return a context for one connection; the options must have been checked.

    TLS 1.2 or newer, without compression. Certificate and host name are checked unless
    ``verify`` is false or a fingerprint is given. ALPN offers ``http/1.1``; with a
    certificate, post-handshake authentication is allowed. The context is shared with
    other connections: do not modify it. Each call checks what is on disk now, so new
    connections see changes.

    :param verify: if false, neither the certificate nor the host name is checked
    :param cafile: PEM bundle, or directory, of the only CAs to trust; None for the
        system's store (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` count) if it contains
        anything, else certifi's
    :param cert: our own certificate: ``'both.pem'``, ``(certificate, key)`` or
        ``(certificate, key, password)``; or None
    :param fingerprint: the digest that :func:`verify_peer` will check instead of
        everything else (``cafile`` is not opened)
    :param host: the host to connect to. Below 3.7, ``ssl`` cannot check IP addresses,
        so :func:`verify_peer` does
    :returns: ``ssl.SSLContext``
    :raises ConnectFail: if a file cannot be read or used; the message has its path, and
        ``error`` is the cause
    """
    import ssl
    checks_chain = bool(verify) and fingerprint is None
    checks_name = checks_chain and (host is None or _matches_addresses(ssl) or not is_ip_address(host))
    cafile = fspath(cafile) if checks_chain else None
    certificate, private_key, password = (None,) * 3 if cert is None else _split_cert(cert)
    uses_store = checks_chain and cafile is None

    def find_state():
        state = [ssl.SSLContext, _key_log()]    # gevent's patching replaces the class itself
        places = [place for place in (cafile, certificate, private_key) if place is not None]
        for place in places + (_store_places(ssl) if uses_store else []):
            state += _state_of(place)
        return hash(tuple(state))

    def make():
        context = _new_context(ssl, checks_chain, checks_name)
        if uses_store:
            _load_default_store(ssl, context)
        elif checks_chain:
            _load_cafile(context, cafile)
        if certificate is not None:
            _load_cert(context, certificate, private_key, password)
            # RFC 8446, 4.2.6.  Without verification, 3.6 takes it for a demand to
            # verify (bpo-37428).
            if hasattr(context, 'post_handshake_auth') and (checks_chain or hasattr(ssl, 'TLSVersion')):
                context.post_handshake_auth = True
        # truststore, injected, would trust the machine's store besides the file.
        inner = getattr(context, '_ctx', None) if cafile is not None else None
        return inner if hasattr(inner, 'wrap_socket') else context

    if uses_store and IS_WINDOWS:           # changes of its store cannot be noticed
        return make()
    # By repr: under "python -bb", comparing text with bytes is an error.
    return _share((checks_chain, checks_name, repr(cafile), repr(certificate), repr(private_key),
                   _tell_apart(password)), find_state, make)


def _tell_apart(password):
    """Return what tells two passwords apart, and says nothing about them."""
    if password is None:
        return None
    import hashlib
    import hmac
    return hmac.new(_salt, _secret_bytes(password), hashlib.sha256).digest()


# -- connections -----------------------------------------------------------------------

def server_name(context, host, is_callers=False):
    """Return the ``server_hostname`` for ``wrap_socket`` and ``wrap_bio``.

    :param context: the context that will wrap
    :param host: the host to connect to, in ASCII (``xn--``); a trailing dot or a zone
        id is removed
    :param is_callers: True if the context is the caller's ``ssl_context`` and not from
        :func:`make_context`
    :returns: native ``str``. None for an IP address below 3.7, where ``ssl`` would send
        it as SNI (RFC 6066, 3, forbids that) and cannot check it, unless the caller's
        context requires a name
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
    """Check what remains to be checked after the handshake.

    :param ssl_object: ``SSLSocket`` or ``SSLObject``
    :param host: as for :func:`make_context`
    :param verify: as for :func:`make_context`
    :param fingerprint: as for :func:`make_context`
    :param is_callers: True if the context is the caller's, which decides everything
    :raises ConnectFail: if the certificate is not the expected one; the message says
        whose it is
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
