"""Digest authentication (RFC 7616), from the side that asks for it."""

from __future__ import absolute_import, division, unicode_literals

import hashlib
import re

HASHES = {'MD5': hashlib.md5, 'SHA-256': hashlib.sha256}
USER, REALM, NONCE, OPAQUE = b'me', b'a "b", c', b'n,1', b'o=1'


class Digest(object):
    """A challenge, and the check of its answer.

    :param algorithm: ``'MD5'``, ``'SHA-256'``, or one of these with ``-sess``
    :ivar lines: values of WWW-Authenticate or Proxy-Authenticate: two that cannot be
        answered, and the challenge
    :ivar seen: the parameters of each answer, by name
    """

    def __init__(self, algorithm='MD5', password=b's3cret'):
        self.algorithm, self.password = algorithm, password
        self.seen = []
        self.lines = [b'Basic realm="x"', b'Digest realm="y", algorithm=SHA-512-256, nonce="z"', (
            'Digest realm="a \\"b\\", c", qop="auth-int, auth", algorithm={}, nonce="n,1", '
            'opaque="o=1"'.format(algorithm).encode('ascii'))]

    def is_right(self, value, method, uri):
        """Return whether a value of Authorization or Proxy-Authorization is the answer."""
        if not value or not value.startswith(b'Digest '):
            return False
        parameters = {}
        for match in re.finditer(br'([a-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', value):
            quoted, plain = match.group(2), match.group(3)
            parameters[match.group(1)] = plain if quoted is None else re.sub(br'\\(.)', br'\1', quoted)
        self.seen.append(parameters)
        hash_of = HASHES[self.algorithm.replace('-sess', '')]

        def digest(*parts):
            return hash_of(b':'.join(parts)).hexdigest().encode('ascii')
        secret = digest(USER, REALM, self.password)
        if self.algorithm.endswith('-sess'):
            secret = digest(secret, NONCE, parameters[b'cnonce'])
        wanted = digest(secret, NONCE, parameters[b'nc'], parameters[b'cnonce'], b'auth', digest(method, uri))
        return (wanted == parameters[b'response'] and parameters[b'uri'] == uri
                and parameters[b'nc'] == b'00000001' and parameters[b'opaque'] == OPAQUE)
