"""Answers to HTTP authentication challenges: Basic (RFC 7617), Digest (RFC 7616, 2617).

Knows nothing of: who asks, an origin server (WWW-Authenticate, Authorization) or a
proxy (Proxy-Authenticate, Proxy-Authorization), and how the answer is sent.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import os

from ._compat import Pattern, encode_utf8, native, text_type, to_text
from .response import TCHAR, TOKEN_CHARACTERS, escape

_TOKEN = Pattern(TCHAR + '+')
_TOKEN68 = Pattern('[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|\\Z))')
_BLANKS = Pattern('[ \t]*')
_SEPARATORS = Pattern('[ \t,]*')
# A quoted string (RFC 7230, 3.2.6); one that does not end goes to the end of the line.
_QUOTED = Pattern('(?s)"([^"\\\\]*(?:\\\\.[^"\\\\]*)*)"?')
_QUOTED_PAIR = Pattern('(?s)\\\\(.)')
_CONTROL = Pattern('[\x00-\x1f\x7f]')
_NOT_FOR_HEADERS = Pattern('[^\x20-\x7e\x80-\xff]')
_SPECIAL = Pattern('(["\\\\])')

_NOT_ASCII = Pattern(b'[\x80-\xff]')
_PLAIN = TOKEN_CHARACTERS.decode('ascii').translate(dict.fromkeys(map(ord, "'*%")))

# By the name in a challenge; "-sess" may be added to each.
_HASHES = {'md5': 'md5', 'sha-256': 'sha256'}
# nonces whose uses are counted: a few proxies and servers at a time
_NONCES_KEPT = 8


def basic(user, password):
    """The value of an Authorization header for Basic (RFC 7617), in UTF-8.

    >>> print(basic('Aladdin', 'open sesame'))
    Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==

    :param user: text without colon and control characters
    :param password: text without control characters
    :returns: text
    :raises TypeError: unless both are text
    :raises ValueError: when one has what it must not have; the message shows neither
    """
    user, password = _check('user', user), _check('password', password)
    if b':' in user:
        raise ValueError('user has a colon; Basic authentication cannot carry it')
    return 'Basic ' + binascii.b2a_base64(user + b':' + password)[:-1].decode('ascii')


def parse_challenges(header_lines):
    """The challenges in WWW-Authenticate or Proxy-Authenticate (RFC 7235, 4.1).

    :param header_lines: list of text, one for each header line
        (:meth:`Response.header_lines <lomond.response.Head.header_lines>`): commas in
        quoted strings do no harm
    :returns: list of (scheme in lower case, dict of parameters): names in lower case,
        values without quotes; a token68 instead of parameters (``Negotiate dG9rZW4=``)
        has the name ``''``.  A malformed line yields what precedes the error
    """
    challenges = []
    for line in header_lines:
        parameters = None
        position = _SEPARATORS.match(line).end()
        while position < len(line):
            name = _TOKEN.match(line, position)
            if not name:
                break
            position = _BLANKS.match(line, name.end()).end()
            if line[position:position + 1] == '=' and parameters is not None:
                position = _BLANKS.match(line, position + 1).end()
                value = _QUOTED.match(line, position)
                if value:
                    text = _QUOTED_PAIR.sub('\\1', value.group(1))
                else:
                    value = _TOKEN.match(line, position)
                    if not value:
                        break
                    text = value.group()
                parameters.setdefault(name.group().lower(), text)
                position = value.end()
            else:
                parameters = {}
                challenges.append((name.group().lower(), parameters))
                value = _TOKEN68.match(line, position) if position > name.end() else None
                if value:
                    parameters[''] = value.group()
                    position = value.end()
            position = _SEPARATORS.match(line, position).end()
    return challenges


class DigestAuth(object):
    """User and password for Digest authentication (RFC 7616), as ``auth=`` of a
    WebSocket.

    MD5, SHA-256 and their ``-sess`` forms; ``qop`` auth.  A 401 is answered once, by
    connecting again.  (A proxy that asks for Digest gets the credentials of its URL.)

    >>> DigestAuth('Mufasa', 'Circle of Life')
    DigestAuth('Mufasa', '***')

    One object may answer several servers and proxies, in one thread at a time.

    :param user: text without control characters
    :param password: text without control characters
    :raises TypeError: unless both are text
    :raises ValueError: when one has what it must not have; the message shows neither
    """

    def __init__(self, user, password):
        self._user = _check('user', user)
        self._password = _check('password', password)
        self._uses = []         # [nonce, how often it was used], oldest first

    def __repr__(self):
        return native("DigestAuth('{}', '***')".format(escape(self._user.decode('utf-8'))))

    def answer(self, header_lines, method, uri, cnonce=None):
        """Answer the first challenge that is supported.

        :param header_lines: list of text: WWW-Authenticate or Proxy-Authenticate, one
            for each line
        :param method: text: method of the request that will carry the answer
        :param uri: text: its target, query included; for CONNECT host and port
        :param cnonce: text: the client's nonce; None: 16 random octets
        :returns: text whose characters are octets (to be encoded in latin-1): the value
            for Authorization or Proxy-Authorization; None when no challenge is
            supported
        """
        for scheme, parameters in parse_challenges(header_lines):
            if scheme == 'digest':
                answer = self._answer(parameters, method, uri, cnonce)
                if answer is not None:
                    return answer
        return None

    def _answer(self, challenge, method, uri, cnonce):
        """Answer one challenge by RFC 7616, 3.4, or None if that is not possible.

        Without qop: RFC 2069 (RFC 2617, 3.2.2.1).
        """
        algorithm = challenge.get('algorithm', 'MD5').lower()
        is_session = algorithm.endswith('-sess')
        digest = _find_digest(algorithm[:-5] if is_session else algorithm)
        options = [option.strip(' \t').lower() for option in challenge.get('qop', '').split(',')]
        qop = 'auth' if 'auth' in options else ''
        realm, nonce, opaque = [challenge.get(name) for name in ('realm', 'nonce', 'opaque')]
        if digest is None or realm is None or nonce is None or not (qop or options == ['']):
            return None
        if _NOT_FOR_HEADERS.search(realm + nonce + (opaque or '')):
            return None                 # they would have to go back in one

        if cnonce is None:
            cnonce = binascii.hexlify(os.urandom(16)).decode('ascii')
        count = '{:08x}'.format(self._count(nonce))
        secret = digest(self._user, realm, self._password)
        if is_session:
            secret = digest(secret, nonce, cnonce)
        middle = (count, cnonce, qop) if qop else ()
        response = digest(secret, nonce, *(middle + (digest(method, uri),)))

        has_hashed_user = challenge.get('userhash', '').lower() == 'true'
        is_utf8 = challenge.get('charset', '').lower() == 'utf-8'
        if has_hashed_user:
            fields = ['username=' + _quote(digest(self._user, realm))]
        elif is_utf8 and _NOT_ASCII.search(self._user):
            fields = ["username*=UTF-8''" + _percent_encode(self._user)]
        else:
            fields = ['username=' + _quote(self._user.decode('latin-1'))]
        fields += ['realm=' + _quote(realm), 'nonce=' + _quote(nonce), 'uri=' + _quote(uri)]
        if 'algorithm' in challenge:
            fields.append('algorithm=' + challenge['algorithm'])
        fields.append('response=' + _quote(response))
        if opaque is not None:
            fields.append('opaque=' + _quote(opaque))
        if qop:
            fields += ['qop=' + qop, 'nc=' + count]
        if qop or is_session:
            fields.append('cnonce=' + _quote(cnonce))
        if has_hashed_user:
            fields.append('userhash=true')
        return 'Digest ' + ', '.join(fields)

    def _count(self, nonce):
        """Count the uses of this nonce, including this one (RFC 7616, 3.4: nc)."""
        for use in self._uses:
            if use[0] == nonce:
                use[1] += 1
                return use[1]
        self._uses = self._uses[1 - _NONCES_KEPT:] + [[nonce, 1]]
        return 1


def _check(what, value):
    """A user or password as UTF-8; no message shows it."""
    value = to_text(value)
    if not isinstance(value, text_type):
        raise TypeError('{} must be text, not {}'.format(what, type(value).__name__))
    if _CONTROL.search(value):
        raise ValueError('{} has control characters; HTTP authentication allows none'.format(what))
    try:
        return encode_utf8(value)
    except UnicodeError:
        pass                            # raised below: the codec's error carries the secret
    raise ValueError('{} has half a surrogate pair; it cannot be encoded as UTF-8'.format(what))


def _find_digest(algorithm):
    """Return a function that hashes its arguments, joined with colons, or None."""
    if algorithm not in _HASHES:
        return None
    import hashlib
    make = getattr(hashlib, _HASHES[algorithm])
    try:
        make(b'')
    except ValueError:                  # MD5 where OpenSSL is in FIPS mode
        return None

    def digest(*parts):
        return make(b':'.join(
            part if isinstance(part, bytes) else part.encode('latin-1') for part in parts)).hexdigest()
    return digest


def _quote(text):
    return '"' + _SPECIAL.sub('\\\\\\1', text) + '"'


def _percent_encode(data):
    """RFC 8187, 3.2: all but letters, digits and a few others."""
    return ''.join(char if char in _PLAIN else '%{:02X}'.format(ord(char)) for char in data.decode('latin-1'))
