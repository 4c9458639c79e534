"""Strict parsing of URLs: anything not allowed is rejected, never repaired.

Opens and resolves nothing.

Knows nothing of: sockets, requests, proxies.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import socket

from .._compat import BYTES_LIKE, OS_ERRORS, Pattern, native, text_type, to_bytes, to_text

# http and https are aliases, as in a browser's WebSocket; https is never clear text.
_SCHEMES = {'ws': 'ws', 'wss': 'wss', 'http': 'ws', 'https': 'wss'}
_DEFAULT_PORTS = {'ws': 80, 'wss': 443}

# RFC 3986, appendix B, without the fragment.
_REFERENCE = Pattern(r'(?s)(?:([A-Za-z][A-Za-z0-9+.\-]*):)?(?://([^/?]*))?([^?]*)(\?.*)?\Z')
_BEGIN_OF_AUTHORITY = Pattern(r'(?:[^:/?#@]*:)?//')
_END_OF_AUTHORITY = Pattern(r'[/?#]')
_FORBIDDEN = Pattern(r'(?u)[\x00-\x1f\x7f-\x9f\\]|[^\S ]')
_CONTROL = Pattern(r'[\x00-\x1f\x7f]')
_PORT = Pattern(r'0*([1-9][0-9]{0,4})\Z')
_LABEL = Pattern(r'[A-Za-z0-9_\-]+\Z')
_DOTS = Pattern('[.\u3002\uff0e\uff61]')         # RFC 3490, 3.1: the label separators
_ADDRESS = Pattern(r'[0-9A-Fa-f:.]+\Z')
_ZONE = Pattern(r'[A-Za-z0-9._~:@+\-]+\Z')
# Names of at most 63 characters a part, and nothing to decode or to refuse: most URLs.
_PLAIN_URL = Pattern(r'([A-Za-z]+)://([A-Za-z0-9_\-]{1,63}(?:\.[A-Za-z0-9_\-]{1,63})*\.?)(?::([1-9][0-9]{0,4}))?'
                     r"((?:[/?][A-Za-z0-9._~!$&'()*+,;=:@/?\-]*)?)\Z")
_PLAIN_AUTHORITY = Pattern(r'(?:\[[^\]]*\]|[^:]+)(?::[0-9]{0,5})?\Z')
_ESCAPE = Pattern(b'%([0-9A-Fa-f]{2})')
# RFC 3986, 3.3 and 3.4: pchar, "/" and "?" may stand in path and query.
_TO_ESCAPE = Pattern(b"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")
_PLAIN_PATH = Pattern("/[A-Za-z0-9._~!$&'()*+,;=:@/-]*\\Z")
_TOO_LONG = 'has a host of more than 253 characters; 1 to 253 are allowed'
_SURROGATE = Pattern(b'\xed[\xa0-\xbf][\x80-\xbf]')      # 2.7's codec does not reject them


def printable(text, limit=200):
    """Return text as printable ASCII, cut after ``limit`` characters (plus ``...``)."""
    shown = text[:limit].encode('unicode_escape').decode('ascii')
    return shown[:limit] + '...' if len(text) > limit or len(shown) > limit else shown


def mask_password(text):
    """Replace the password in a URL, or userinfo without one, by ``***``.

    :param text: a URL, or something meant to be one; if it cannot be parsed, this
        rather masks too much
    :returns: text; unchanged if there is no userinfo
    """
    if '@' not in text:
        return text
    begin = _BEGIN_OF_AUTHORITY.match(text)
    start = begin.end() if begin else 0
    end = _END_OF_AUTHORITY.search(text, start) if begin else None
    at = text.rfind('@', start, end.start() if end else len(text))
    if at < 0 and end and not _PLAIN_AUTHORITY.match(text[start:end.start()]):
        at = text.rfind('@')                # a password with, or behind, an unencoded slash
    if at <= start:
        return text
    colon = text.find(':', start, at)
    if colon < 0 or colon == at - 1:        # a user alone is more often a token than a name
        return text[:start] + '***' + text[at:]
    return text[:colon] + ':***' + text[at:]


def cut_query(text):
    """Drop a URL's query, which often holds a token, before quoting it in a message."""
    begin, mark, query = text.partition('?')
    return begin + mark + '...' if query else text


def percent_decode(text):
    """Decode percent-encoded text (RFC 3986, 2.1) as UTF-8.

    :param text: a stray ``%`` is kept; bytes that are not UTF-8 become U+FFFD
    """
    data = _ESCAPE.sub(lambda match: binascii.unhexlify(match.group(1)), text.encode('utf-8', 'replace'))
    return _SURROGATE.sub(b'\xff\xff\xff', data).decode('utf-8', 'replace')


def ip_bytes(host):
    """Return an IP address as 4 or 16 bytes in network order; None for a name.

    :param host: text without brackets; the zone id of an IPv6 address is ignored
    """
    address, percent, _ = host.partition('%')
    if not _ADDRESS.match(address) or (percent and ':' not in address):
        return None
    try:
        return socket.inet_pton(socket.AF_INET6 if ':' in address else socket.AF_INET, str(address))
    except OS_ERRORS + (AttributeError,):   # not an address; Windows lacks inet_pton on 2.7
        return None


def is_ip_address(host):
    """Return True for an IPv4 address, or an IPv6 address without brackets."""
    return ip_bytes(host) is not None


def bracketed(host):
    """Return a host as written before a port: IPv6 in brackets, without zone id."""
    return '[{}]'.format(host.partition('%')[0]) if ':' in host else host


def _unusable(what, text, problem):
    return ValueError('{} \'{}\' {}'.format(what, printable(cut_query(mask_password(text))), problem))


def _refuse_forbidden(text, what):
    if _FORBIDDEN.search(text):
        raise _unusable(what, text, 'has white space, a control character or a backslash; '
                                    'only plain spaces in path and query are allowed')


def ascii_name(host):
    """Return the ``xn--`` form of a host name, for DNS, SNI and Host.

    Non-ASCII labels are converted as browsers do it (:mod:`lomond.network.idna`), the
    others to lower case (RFC 3986, 3.2.2).

    :param host: text; one trailing dot is allowed and kept
    :raises ValueError: if a label is empty, longer than 63 characters, or contains a
        character that is not allowed in names; the message continues a sentence that
        begins with the URL
    """
    labels = _DOTS.split(host)
    if len(labels) > 128:               # early: each of them takes time
        raise ValueError(_TOO_LONG)
    names = []
    for number, label in enumerate(labels):
        # Check the length first: Punycode takes quadratic time.
        if len(label) <= 63 and any(character > '\x7f' for character in label):
            from .idna import encode_label
            try:
                label = encode_label(label)
            except ValueError as error:
                raise ValueError('has a host label that {} (IDNA)'.format(error))
        if len(label) > 63:
            raise ValueError('has a host label of more than 63 characters; 1 to 63 are allowed')
        if not label and (number == 0 or number < len(labels) - 1):
            raise ValueError('has an empty host label; 1 to 63 characters are allowed')
        if label and not _LABEL.match(label):   # also what IDNA makes of U+2100 and the like
            raise ValueError('has a character that is not allowed in a host name; '
                             'letters, digits, "-", "_" and "." are')
        names.append(label)
    name = '.'.join(names).lower()
    if len(name) > 254 or (len(name) == 254 and labels[-1]):
        raise ValueError(_TOO_LONG)
    return name


def _ipv6_literal(text):
    """Decode an address from brackets: ``fe80::1%eth0`` for ``fe80::1%25eth0``."""
    address, percent, zone = text.partition('%')
    if zone.startswith('25') and len(zone) > 2:     # RFC 6874; otherwise RFC 4007's bare form
        zone = percent_decode(zone[2:])
    if ':' not in address or not is_ip_address(address):
        raise ValueError('has brackets around something that is not an IPv6 address')
    if percent and not _ZONE.match(zone):
        raise ValueError('has a zone id that is not allowed; letters, digits and "-._~:@+" are')
    return address.lower() + percent + zone


def parse_host(host, what):
    """Return the ASCII form of a host given by itself, checked like the host of a URL.

    :param host: a name, or an IP address; IPv6 with or without brackets
    :param what: how to name it in errors
    :raises TypeError: if it is not text (on 2.7, an ASCII native ``str`` will do)
    :raises ValueError: if it is not allowed; the message names it
    """
    text = to_text(host)
    if not isinstance(text, text_type):
        raise TypeError('{} must be text, not {}'.format(what, type(host).__name__))
    try:
        if text.startswith('[') and text.endswith(']'):
            return _ipv6_literal(text[1:-1])
        if is_ip_address(text):
            return _ipv6_literal(text) if ':' in text else text
        if not text:
            raise ValueError('is empty; a host name or an IP address is needed')
        return ascii_name(text)
    except ValueError as error:
        raise ValueError("{} '{}' {}".format(what, printable(mask_password(text)), error))


def split_url(text, what='url'):
    """Split a URL into its parts and check each of them (RFC 3986, 3).

    :param text: text with ``scheme://``
    :param what: how to name it in errors
    :returns: ``(scheme, userinfo, host, port, rest)``: scheme in lower case; userinfo
        ``(user, password)`` percent-decoded, or None; host in ASCII, IPv6 without
        brackets; port as int, or None; rest: path, query and fragment as given
    :raises ValueError: if a part is not allowed; the message names the URL with its
        password masked
    """
    plain = _PLAIN_URL.match(text)
    if plain:
        scheme, host, port, rest = plain.groups()
        number = int(port or 0)
        if len(host) <= 253 and number <= 65535:
            return scheme.lower(), None, host.lower(), number or None, rest
    data = text.encode('utf-8', 'replace')
    _refuse_forbidden(text, what)
    if data.decode('utf-8') != text or _SURROGATE.search(data):
        raise _unusable(what, text, 'has half a surrogate pair; it cannot be encoded as UTF-8')
    scheme, separator, rest = text.partition('://')
    if not separator or _END_OF_AUTHORITY.search(scheme):
        raise _unusable(what, text, 'has no scheme')
    end = _END_OF_AUTHORITY.search(rest)
    authority, rest = (rest[:end.start()], rest[end.start():]) if end else (rest, '')
    if ' ' in scheme or ' ' in authority or ' ' in rest.partition('#')[2]:
        raise _unusable(what, text, 'has a space; it is allowed in path and query only')
    userinfo, _, place = authority.rpartition('@')
    try:
        if place.startswith('['):
            literal, bracket, tail = place[1:].partition(']')
            if not bracket or tail[:1] not in ('', ':'):
                raise ValueError('has misplaced brackets; [address] or [address]:port is allowed')
            host, port = _ipv6_literal(literal), tail[1:]
        else:
            host, _, port = place.partition(':')
            if ':' in port:
                raise ValueError('has more than one colon in host and port; an IPv6 address needs brackets')
            if not host:
                raise ValueError('has no host')
            host = ascii_name(host)
        number = _PORT.match(port)
        # An empty port means the default (RFC 3986, 6.2.3).
        if port and (not number or int(number.group(1)) > 65535):
            raise ValueError('has a port that is not a number from 1 to 65535')
        user, _, password = userinfo.partition(':')
        credentials = percent_decode(user), percent_decode(password)
        if _CONTROL.search(''.join(credentials)):
            raise ValueError('has a control character in its userinfo')
    except ValueError as error:
        raise _unusable(what, text, error)
    return (scheme.lower(), credentials if any(credentials) else None, host,
            int(number.group(1)) if port else None, rest)


class Url(object):
    """Target of a WebSocket; made by :func:`parse_url` and never modified.

    :ivar text: as given
    :ivar masked: ``text`` with ``***`` as password, for ``repr``, traces and reasons
    :ivar scheme: ``'ws'`` or ``'wss'``
    :ivar host: ASCII in lower case; IPv6 without brackets, with its zone id
        (``fe80::1%eth0``)
    :ivar port: int
    :ivar resource: path and query, percent-encoded: the request target
    :ivar userinfo: ``(user, password)``, percent-decoded, or None
    :ivar host_header: the value of ``Host``: without zone id and default port
    :ivar authority: ``host:port`` for CONNECT and messages: without zone id
    :ivar origin_key: ``(scheme, host, port)``
    :ivar is_secure: True for wss
    :ivar is_ip: True if the host is an IP address
    """

    __slots__ = ('text', 'masked', 'scheme', 'host', 'port', 'resource', 'userinfo', 'host_header',
                 'authority', 'origin_key', 'is_secure')

    def __init__(self, text, scheme, host, port, resource, userinfo):
        self.text = text
        self.masked = mask_password(text)
        self.scheme = scheme
        self.host = host
        self.port = port
        self.resource = resource
        self.userinfo = userinfo
        shown = bracketed(host)
        self.authority = '%s:%d' % (shown, port)
        self.host_header = shown if port == _DEFAULT_PORTS[scheme] else self.authority
        self.origin_key = scheme, host, port
        self.is_secure = scheme == 'wss'

    @property
    def is_ip(self):
        return is_ip_address(self.host)

    def __reduce__(self):
        return Url, (self.text, self.scheme, self.host, self.port, self.resource, self.userinfo)

    def __repr__(self):
        return native("Url('{}')".format(self.masked))


def _escape(match):
    return b'%' + binascii.hexlify(match.group()).upper()


def parse_url(url, what='url'):
    """Parse text into a :class:`Url`.

    :param url: ``ws://`` or ``wss://`` (or the aliases ``http://`` and ``https://``),
        host, port (1-65535, default 80 or 443), path and query. A fragment is dropped.
        In path and query, whatever RFC 3986 does not allow is percent-encoded as
        UTF-8: non-ASCII characters, spaces, ``"<>[]{}|^``, the backtick, and a ``%``
        without two hex digits after it.  What is already encoded stays.
    :param what: how to name it in errors
    :raises TypeError: if it is not text (on 2.7, an ASCII native ``str`` will do)
    :raises ValueError: if it cannot be used; the message says why, with the password
        masked
    """
    text = to_text(url)
    if not isinstance(text, text_type):
        raise TypeError('{} must be text, not {}'.format(what, type(url).__name__))
    scheme, userinfo, host, port, rest = split_url(text, what)
    if scheme not in _SCHEMES:
        raise _unusable(what, text, 'has a scheme that is not allowed; ws, wss, http and https are')
    if userinfo and ':' in userinfo[0]:
        raise _unusable(what, text, 'has a colon in its user name; Basic authentication does not allow that')
    scheme = _SCHEMES[scheme]
    resource = rest or '/'
    if not _PLAIN_PATH.match(resource):
        path, _, query = rest.partition('#')[0].partition('?')
        # "?" only before a non-empty query (RFC 6455, 3).
        resource = (path or '/') + ('?' + query if query else '')
        resource = _TO_ESCAPE.sub(_escape, resource.encode('utf-8')).decode('ascii')
    return Url(text, scheme, host, port or _DEFAULT_PORTS[scheme], resource, userinfo)


def _without_dots(path):
    """Remove dot segments from a path that begins with a slash (RFC 3986, 5.2.4)."""
    kept = []
    segments = path.split('/')[1:]
    for segment in segments:
        if segment == '..':
            del kept[-1:]
        elif segment != '.':
            kept.append(segment)
    if segments[-1] in ('.', '..'):
        kept.append('')
    return '/' + '/'.join(kept)


def resolve_location(base, location):
    """Return where a redirect leads (RFC 3986, 5.2; RFC 9110, 10.2.2).

    :param base: the :class:`Url` of the request
    :param location: the value of ``Location``, absolute or relative: text, or bytes in
        UTF-8; None is refused
    :returns: a :class:`Url`, without the location's userinfo and fragment
    :raises ValueError: if it is not something to connect to
    """
    text = to_bytes(location).decode('utf-8', 'replace') if isinstance(location, BYTES_LIKE) else location
    text = (text or '').strip(' \t')
    if not text:
        raise ValueError('redirect has no location')
    _refuse_forbidden(text, 'redirect location')        # also in what is dropped: userinfo, fragment
    scheme, authority, path, query = _REFERENCE.match(text.partition('#')[0]).groups()
    if scheme and authority is None:
        raise _unusable('redirect location', text, 'has no host')
    if authority is None:
        authority = base.host_header
        if '%' in base.host:        # a zone id is local to this machine: keep it
            authority = '[{}]:{}'.format(base.host.replace('%', '%25'), base.port)
        base_path, _, base_query = base.resource.partition('?')
        if not path:
            path, query = base_path, query or '?' + base_query
        elif not path.startswith('/'):
            path = base_path[:base_path.rindex('/') + 1] + path
    text = '{}://{}{}{}'.format(scheme or base.scheme, authority.rpartition('@')[2],
                                _without_dots(path or '/'), query or '')
    return parse_url(text, 'redirect location')


def same_origin(first, second):
    """Return True if secrets for one :class:`Url` may be sent to another one.

    From ws (port 80) to wss (port 443) of the same host they may: that is how sites
    move to TLS (RFC 6797, 8.3).
    """
    upgraded = ('wss', first.host, 443) if first.origin_key == ('ws', first.host, 80) else None
    return second.origin_key in (first.origin_key, upgraded)
