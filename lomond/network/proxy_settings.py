"""Which proxy to use: proxy URLs, environment and system settings, ``NO_PROXY``.

Opens and resolves nothing.

Knows nothing of: sockets, what is said to a proxy.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import os
import sys

from .._compat import Pattern, lacks_variables, native, system_proxies, text_type, to_text
from ..response import escape
from .url import ascii_name, bracketed, cut_query, ip_bytes, mask_password, printable, split_url

# Default ports; 1080 is IANA's for SOCKS.
_PORTS = {'http': 80, 'https': 443, 'socks4': 1080, 'socks4a': 1080, 'socks5': 1080, 'socks5h': 1080}
# Desktops write socks:// for "a SOCKS proxy"; it should see names, not our look-ups.
_ALIASES = {'socks': 'socks5h'}
_KINDS = ('ws', 'wss', 'http', 'https', 'all')
# Of each kind: the names of its variable, in the order in which they are looked for.
_VARIABLES = tuple((kind, kind + '_proxy', (kind + '_proxy').upper()) for kind in _KINDS + ('no',))
_NAMES = frozenset(name.encode('ascii') for names in _VARIABLES for name in names[1:])
# What urllib.request.getproxies() also returns.
_IGNORED = ('no', 'ftp', 'gopher', 'rsync')

_USERINFO = Pattern(r'((?:[^:/?#@]*:)?//)?[^/?#]*@')
_SEPARATORS, _BITS = Pattern(r'[\s,;]+'), Pattern('[0-9]{1,3}\\Z')
_EXCEPTION = Pattern(r'(?:\[([^\]]*)\]|([^:]*))(?::([0-9]{1,5}))?\Z')


class ProxyUrl(object):
    """Address of a proxy; made by :func:`parse_proxy` and never modified.

    :ivar scheme: ``http``, ``https``, ``socks4``, ``socks4a``, ``socks5`` or
        ``socks5h``
    :ivar host: ASCII; IPv6 without brackets
    :ivar port: int
    :ivar user: percent-decoded text, or None without credentials
    :ivar password: percent-decoded text, ``''`` if there is only a user, or None
    :ivar safe: the URL as given, without credentials
    :ivar authority: ``host:port`` for messages
    :ivar resolves_here: True if the proxy needs an address instead of a name
    :ivar is_secure: True if TLS is used with the proxy itself
    :ivar variable: the environment variable that names it, or None
    """

    __slots__ = ('scheme', 'host', 'port', 'user', 'password', 'safe', 'authority', 'resolves_here',
                 'is_secure', 'variable')

    def __init__(self, text, scheme, host, port, userinfo, variable=None):
        self.scheme = scheme
        self.host = host
        self.port = port
        self.user, self.password = userinfo or (None, None)
        self.safe = _USERINFO.sub(lambda match: match.group(1) or '', text, 1)
        self.authority = '{}:{}'.format(bracketed(host), port)
        self.resolves_here = scheme in ('socks4', 'socks5')
        self.is_secure = scheme == 'https'
        self.variable = variable

    def explain(self, reason):
        """Add to a reason about this proxy where it is configured."""
        return _explain(reason, self.variable)

    def __repr__(self):
        return native("ProxyUrl('{}')".format(self.safe))


def _explain(reason, variable):
    return '{}; proxy from {}'.format(reason, variable) if variable else reason


def parse_proxy(text, variable=None):
    """Parse text into a :class:`ProxyUrl`.

    :param text: ``scheme://user:password@host:port``, where all but the host may be
        omitted. The default scheme is ``http``, the default port 80, 443 (https) or
        1080 (SOCKS); ``socks`` means ``socks5h``. Credentials are percent-encoded.
    :param variable: the environment variable that contains it, or None
    :raises TypeError: if it is not text
    :raises ValueError: if it cannot be used; the message says why, with the password
        masked, and names the variable
    """
    try:
        return _parse(text, variable)
    except ValueError as error:
        raise ValueError(_explain(text_type(error), variable))


def _parse(text, variable):
    text = to_text(text)
    if not isinstance(text, text_type):
        raise TypeError('proxy url must be text, not {}'.format(type(text).__name__))
    full = text
    if text.startswith('//'):
        full = 'http:' + text
    elif '://' not in text:
        full = 'http://' + text
    scheme, userinfo, host, port, rest = split_url(full, 'proxy url')
    scheme = _ALIASES.get(scheme, scheme)
    problem = None
    if scheme not in _PORTS:
        problem = ('has a scheme that is not allowed; http, https, socks4, socks4a, socks5, socks5h and '
                   'socks are')
    elif rest not in ('', '/'):
        problem = 'continues after host and port; only "/" is allowed there'
    elif userinfo and ':' in userinfo[0] and scheme.startswith('http'):
        problem = 'has a colon in its user name; Basic authentication does not allow that'
    elif scheme.startswith('socks5') and any(len(part.encode('utf-8')) > 255 for part in userinfo or ()):
        problem = 'has a user name or password of more than 255 bytes; SOCKS5 allows 255'
    if problem:
        shown = cut_query(mask_password(full))
        if '@' in rest:         # "user:12/34@host": perhaps a password that was not encoded
            shown = scheme + '://***' + full[full.rindex('@'):]
        raise ValueError("proxy url '{}' {}".format(printable(shown), problem))
    return ProxyUrl(text, scheme, host, port or _PORTS[scheme], userinfo, variable)


def environment_proxies(environ=None):
    """Return the proxies that the environment names, unchecked.

    Reads ``ws_proxy``, ``wss_proxy``, ``http_proxy``, ``https_proxy``, ``all_proxy``
    and ``no_proxy``, in lower case (which wins, even if empty) or upper case.
    ``HTTP_PROXY`` is ignored if ``REQUEST_METHOD`` is set: in a CGI script it is a
    header sent by the client. If none of them is set, the settings of macOS or Windows
    are used.

    :param environ: dict; None for ``os.environ``
    :returns: two dicts of text: the proxies, with ``'http'`` and ``'https'`` (None if
        not set), and with ``'ws'``, ``'wss'``, ``'all'`` and ``'no'`` if they are set;
        and by the same keys the names of the variables that set them
    """
    proxies, variables = {'http': None, 'https': None}, {}
    found = os.environ if environ is None else environ
    if sys.platform == 'win32':             # os.environ there finds HTTP_PROXY in any case
        found = dict(found)                 # elsewhere, that would decode all variables
    for kind, name, upper in () if environ is None and lacks_variables(_NAMES) else _VARIABLES:
        value = found.get(name)
        if value is None and not (kind == 'http' and 'REQUEST_METHOD' in found):
            name, value = upper, found.get(upper)
        if isinstance(value, bytes):
            value = value.decode('utf-8', 'replace')
        if value and value.strip():
            proxies[kind] = value.strip()
            variables[kind] = name
    if environ is None and sys.platform in ('darwin', 'win32') and not any(map(proxies.get, _KINDS)):
        settings = system_proxies()
        for kind in ('http', 'https', 'no'):
            if settings.get(kind):
                proxies[kind] = to_text(settings[kind])
        # For a Windows setting without a scheme, older Pythons return https://..
        # (bpo-42627), but such a proxy speaks clear text.
        if sys.platform == 'win32' and (proxies['https'] or '').startswith('https://'):
            proxies['https'] = proxies['https'].replace('https', 'http', 1)
    return proxies, variables


def normalize_proxies(proxies):
    """Check the proxies that a caller gives, and return them in a new dict.

    :param proxies: dict with text or None for ``'ws'``, ``'wss'``, ``'http'``,
        ``'https'`` and ``'all'``; ``'no'``, ``'ftp'``, ``'gopher'`` and ``'rsync'``,
        which ``getproxies()`` can return, are kept but not used
    :returns: dict that contains at least ``'http'`` and ``'https'``, None if not set
    :raises TypeError: if it is not a dict, or a value is neither text nor None
    :raises ValueError: for any other key, which would be a proxy that is never used;
        see also :func:`parse_proxy`
    """
    if not isinstance(proxies, dict):
        raise TypeError('proxies must be a dict or None, not {}'.format(type(proxies).__name__))
    checked = dict(proxies)
    for key in checked:
        if not isinstance(to_text(key), text_type) or key not in _KINDS + _IGNORED:
            raise ValueError("proxies has the key {}; 'ws', 'wss', 'http', 'https' and 'all' are allowed"
                             .format(_shown_key(key)))
    for kind in _KINDS:
        value = to_text(checked.get(kind))
        if value is not None and not isinstance(value, text_type):
            raise TypeError("proxies['{}'] must be text or None, not {}".format(kind, type(value).__name__))
        if value:
            parse_proxy(value)
        if kind in checked or kind.startswith('http'):
            checked[kind] = value or None
    return checked


def _shown_key(key):
    """Return a key for a message; it may be a URL with a password."""
    if isinstance(key, bytes):
        key = mask_password(key.decode('latin-1')).encode('latin-1')
    return "'{}'".format(printable(mask_password(key))) if isinstance(key, text_type) else escape(repr(key))


def select_proxy(proxies, url, variables=None):
    """Return the proxy for a URL.

    Looks for ``'ws'`` or ``'wss'``, then ``'http'`` or ``'https'``, then ``'all'``. If
    ``'ws'`` or ``'wss'`` is present and None, no proxy is used. ``'http'`` and
    ``'https'`` are always present, so None means only that they are not set.

    :param proxies: from :func:`environment_proxies` or :func:`normalize_proxies`
    :param url: :class:`lomond.network.url.Url`
    :param variables: from :func:`environment_proxies`, so that ``'no'`` applies; None
        for proxies that the caller gave
    :returns: :class:`ProxyUrl` or None
    :raises ValueError: see :func:`parse_proxy`; only for detected proxies
    """
    first, second = ('wss', 'https') if url.is_secure else ('ws', 'http')
    kind = first if first in proxies else second if proxies.get(second) else 'all'
    chosen = proxies.get(kind)
    if not chosen or (variables is not None and bypass_proxy(proxies.get('no') or '', url.host, url.port)):
        return None
    return parse_proxy(chosen, (variables or {}).get(kind))


def bypass_proxy(no_proxy, host, port):
    """Return True if ``NO_PROXY`` exempts a host from proxies.

    :param no_proxy: entries separated by commas, semicolons or spaces. An entry is a
        host and all hosts below it (``example.com``, ``.example.com``,
        ``*.example.com``), ``host:port``, an IP address (IPv6 also in brackets), a
        network (``10.0.0.0/8``, ``fd00::/8``), a pattern (``192.168.*``), ``<local>``
        (names without a dot), or ``*``.
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
    literal, name, wanted = match.groups() if match else (entry, None, None)    # bare IPv6
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
    """Return True if an address is ``name``, or in the network ``address/bits``."""
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
