"""Which proxy: URLs of proxies, the environment's and the system's settings, ``NO_PROXY``.

It must not know what is said to a proxy; it opens and resolves nothing.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import os
import sys

from .._compat import Pattern, native, system_proxies, text_type, to_text
from .url import ascii_name, bracketed, cut_query, ip_bytes, mask_password, printable, split_url

# A proxy's default port; 1080 is IANA's for SOCKS.
_PORTS = {'http': 80, 'https': 443, 'socks4': 1080, 'socks4a': 1080, 'socks5': 1080, 'socks5h': 1080}
_KINDS = ('ws', 'wss', 'http', 'https', 'all')

_USERINFO = Pattern(r'((?:[^:/?#@]*:)?//)?[^/?#]*@')
_SEPARATORS, _BITS = Pattern(r'[\s,;]+'), Pattern('[0-9]{1,3}\\Z')
_EXCEPTION = Pattern(r'(?:\[([^\]]*)\]|([^:]*))(?::([0-9]{1,5}))?\Z')


class ProxyUrl(object):
    """Where a proxy is and how it is spoken to; made by :func:`parse_proxy` and never changed.

    :ivar scheme: ``http``, ``https``, ``socks4``, ``socks4a``, ``socks5`` or ``socks5h``
    :ivar host: ASCII; IPv6 without brackets
    :ivar port: int
    :ivar user: percent-decoded text, or None without credentials
    :ivar password: the same; ``''`` when there is only a user
    :ivar safe: the URL as it was given, without credentials
    :ivar authority: ``host:port`` for messages
    :ivar resolves_here: True when the proxy wants an address, not a name
    :ivar is_secure: True when TLS is spoken with the proxy itself
    """

    __slots__ = ('scheme', 'host', 'port', 'user', 'password', 'safe', 'authority', 'resolves_here',
                 'is_secure')

    def __init__(self, text, scheme, host, port, userinfo):
        self.scheme = scheme
        self.host = host
        self.port = port
        self.user, self.password = userinfo or (None, None)
        self.safe = _USERINFO.sub(lambda match: match.group(1) or '', text, 1)
        self.authority = '{}:{}'.format(bracketed(host), port)
        self.resolves_here = scheme in ('socks4', 'socks5')
        self.is_secure = scheme == 'https'

    def __repr__(self):
        return native("ProxyUrl('{}')".format(self.safe))


def parse_proxy(text):
    """A :class:`ProxyUrl` of text.

    :param text: ``scheme://user:password@host:port``; all but the host may be left out: the scheme is
        ``http`` then, the port 80, 443 (https) or 1080 (SOCKS); credentials are percent-encoded
    :raises TypeError: not text
    :raises ValueError: it cannot be used; the sentence says why, with the password masked
    """
    text = to_text(text)
    if not isinstance(text, text_type):
        raise TypeError('proxy url must be text, not {}'.format(type(text).__name__))
    full = text
    if text.startswith('//'):
        full = 'http:' + text
    elif '://' not in text:
        full = 'http://' + text
    scheme, userinfo, host, port, rest = split_url(full, 'proxy url')
    problem = None
    if scheme not in _PORTS:
        problem = 'has a scheme that is not allowed; http, https, socks4, socks4a, socks5 and socks5h are'
    elif rest not in ('', '/'):
        problem = 'goes on behind host and port; nothing, or "/", is allowed there'
    elif userinfo and ':' in userinfo[0] and scheme.startswith('http'):
        problem = 'has a colon in its user name; Basic authentication allows none'
    elif scheme.startswith('socks5') and any(len(part.encode('utf-8')) > 255 for part in userinfo or ()):
        problem = 'has a user name or password of more than 255 bytes; SOCKS5 allows 255'
    if problem:
        shown = cut_query(mask_password(full))
        if '@' in rest:         # "user:12/34@host": perhaps a password that should have been encoded
            shown = scheme + '://***' + full[full.rindex('@'):]
        raise ValueError("proxy url '{}' {}".format(printable(shown), problem))
    return ProxyUrl(text, scheme, host, port or _PORTS[scheme], userinfo)


def environment_proxies(environ=None):
    """The proxies that the environment names, unchecked.

    ``ws_proxy``, ``wss_proxy``, ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in lower
    case (which wins, even when empty) or upper case; ``HTTP_PROXY`` not where ``REQUEST_METHOD`` is set: in
    a CGI script it is a header of the client's.  Without any of them the settings of macOS or Windows count.

    :param environ: dict; None: ``os.environ``
    :returns: dict of text: ``'http'`` and ``'https'`` (None for none); ``'ws'``, ``'wss'``, ``'all'``
        and ``'no'`` when they are set
    """
    # A plain dict: that of Windows finds HTTP_PROXY under any case.
    found = dict(os.environ if environ is None else environ)
    proxies = {'http': None, 'https': None}
    for kind in _KINDS + ('no',):
        name = kind + '_proxy'
        value = found.get(name)
        if value is None and not (kind == 'http' and 'REQUEST_METHOD' in found):
            value = found.get(name.upper())
        if isinstance(value, bytes):
            value = value.decode('utf-8', 'replace')
        if value and value.strip():
            proxies[kind] = value.strip()
    if environ is None and sys.platform in ('darwin', 'win32') and not any(map(proxies.get, _KINDS)):
        settings = system_proxies()
        for kind in ('http', 'https', 'no'):
            if settings.get(kind):
                proxies[kind] = to_text(settings[kind])
        # Older Pythons make https://.. of a Windows setting without a scheme (bpo-42627); such a
        # proxy speaks clear text.
        if sys.platform == 'win32' and (proxies['https'] or '').startswith('https://'):
            proxies['https'] = proxies['https'].replace('https', 'http', 1)
    return proxies


def normalise_proxies(proxies):
    """The proxies that a caller gives, checked, as a dict of their own.

    :param proxies: dict; ``'ws'``, ``'wss'``, ``'http'``, ``'https'`` and ``'all'`` are looked at, each text
        or None; other keys stay, unused (``getproxies()`` gives some)
    :returns: dict with ``'http'`` and ``'https'`` in it, None for none
    :raises TypeError: no dict, or a value that is neither text nor None
    :raises ValueError: see :func:`parse_proxy`
    """
    if not isinstance(proxies, dict):
        raise TypeError('proxies must be a dict or None, not {}'.format(type(proxies).__name__))
    checked = dict(proxies)
    for kind in _KINDS:
        value = to_text(checked.get(kind))
        if value is not None and not isinstance(value, text_type):
            raise TypeError("proxies['{}'] must be text or None, not {}".format(kind, type(value).__name__))
        if value:
            parse_proxy(value)
        if kind in checked or kind.startswith('http'):
            checked[kind] = value or None
    return checked


def select_proxy(proxies, url, detected):
    """The proxy for a URL: of ``'ws'`` or ``'wss'``, else ``'http'`` or ``'https'``, else ``'all'``.

    ``'ws'`` or ``'wss'`` that is there and None ends the search: no proxy.  The other two are always there,
    so None in them only means that nothing is set, and ``'all'`` counts.

    :param proxies: of :func:`environment_proxies` or :func:`normalise_proxies`
    :param url: :class:`lomond.network.url.Url`
    :param detected: True when they came from the environment: ``'no'`` excepts hosts then
    :returns: :class:`ProxyUrl` or None
    :raises ValueError: see :func:`parse_proxy`; only for proxies that were detected
    """
    first, second = ('wss', 'https') if url.is_secure else ('ws', 'http')
    chosen = proxies[first] if first in proxies else proxies.get(second) or proxies.get('all')
    if not chosen or (detected and bypass_proxy(proxies.get('no') or '', url.host, url.port)):
        return None
    return parse_proxy(chosen)


def bypass_proxy(no_proxy, host, port):
    """True when ``NO_PROXY`` excepts a host.

    :param no_proxy: text; entries are separated by commas, semicolons or blanks: a host, which stands for all
        hosts below it, too (``example.com``, ``.example.com``, ``*.example.com``), ``host:port``, an IP
        address (IPv6 also in brackets), a network (``10.0.0.0/8``, ``fd00::/8``), a pattern
        (``192.168.*``), ``<local>`` (names without a dot), ``*``
    :param host: text, IPv6 without brackets
    :param port: int
    """
    host = host.partition('%')[0].rstrip('.').lower()
    packed = ip_bytes(host)
    return any(_is_excepted(entry, host, packed, port) for entry in _SEPARATORS.split(no_proxy.lower()))


def _is_excepted(entry, host, packed, port):
    if entry in ('*', '<local>'):
        return entry == '*' or (packed is None and '.' not in host)
    match = _EXCEPTION.match(entry)
    literal, name, wanted = match.groups() if match else (entry, None, None)    # else IPv6, bare
    if wanted and int(wanted) != port:
        return False
    name = (name if literal is None else literal).rstrip('.')
    if name.startswith('*.'):
        name = name[1:]
    if '*' in name:
        import re
        return bool(re.match('.*'.join(map(re.escape, name.split('*'))) + r'\Z', host))
    if packed is not None:
        return _is_in_network(name, packed)
    try:
        name = ascii_name(name.lstrip('.'))
    except ValueError:
        return False
    return ('.' + host).endswith('.' + name)


def _is_in_network(name, packed):
    """True when an address is that of ``name``, or in the network ``address/bits``."""
    address, slash, bits = name.partition('/')
    if slash and ':' not in address:
        address += '.0' * (3 - address.count('.'))      # macOS: 169.254/16
    network = ip_bytes(address)
    size = len(packed) * 8
    if network is None or len(network) != len(packed) or (slash and not _BITS.match(bits)):
        return False
    shift = size - int(bits) if slash else 0
    difference = int(binascii.hexlify(network), 16) ^ int(binascii.hexlify(packed), 16)
    return shift >= 0 and not difference >> shift
