"""Cookies for an opening handshake: from a dict, a text, or an ``http.cookiejar``.

A jar expects request and response objects of ``urllib``.  The two classes here have the
few methods that it calls, on all Pythons.

Knows nothing of: connections.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import native, native_octets, text_type


class _Request(object):
    """A request, as far as a jar needs one."""

    unverifiable = False

    def __init__(self, url):
        self.type = native('https' if url.is_secure else 'http')
        self.host = native(url.host_header)
        self.origin_req_host = native(url.host)
        self._url = native('{}://{}{}'.format(self.type, self.host, url.resource))
        self.cookie = None

    def get_full_url(self):
        return self._url

    def has_header(self, name):
        return False

    def get_header(self, name, default=None):
        return default

    def header_items(self):
        return []

    def add_unredirected_header(self, name, value):
        if name.lower() == 'cookie':
            self.cookie = value

    # names of 2.7

    def get_host(self):
        return self.host

    def get_type(self):
        return self.type

    def get_origin_req_host(self):
        return self.origin_req_host

    def is_unverifiable(self):
        return False


class _Answer(object):
    """A response, as far as a jar needs one."""

    def __init__(self, response):
        self._response = response

    def info(self):
        return self

    def get_all(self, name, default=None):
        # One character per octet, as urllib does it: a jar may be shared with it.
        return [native_octets(line) for line in self._response.header_lines(name)] or default

    def getheaders(self, name):
        # name of 2.7
        return self.get_all(name, [])


def is_jar(cookies):
    """True for an ``http.cookiejar.CookieJar`` and for objects with its methods."""
    return hasattr(cookies, 'add_cookie_header') and hasattr(cookies, 'extract_cookies')


def cookie_text(cookies):
    """Return the value of ``Cookie`` for a dict or a text, as text; perhaps empty."""
    if isinstance(cookies, dict):
        return '; '.join('{}={}'.format(name, value) for name, value in cookies.items())
    return cookies or ''


def cookie_header(cookies, url):
    """Return the value of ``Cookie`` for a URL.

    :param cookies: dict, text, a cookie jar, or None
    :param Url url: where the request goes
    :returns: bytes, or None
    """
    if not is_jar(cookies):
        return cookie_text(cookies).encode('utf-8') or None
    request = _Request(url)
    cookies.add_cookie_header(request)
    cookie = request.cookie
    if not isinstance(cookie, text_type):
        return cookie               # None, or octets on 2.7
    try:
        return cookie.encode('latin-1')     # as they came
    except UnicodeEncodeError:
        return cookie.encode('utf-8')       # the caller put it into the jar


def take_cookies(cookies, response, url):
    """Give the ``Set-Cookie`` lines of an answer to a jar; do nothing without a jar."""
    if is_jar(cookies):
        cookies.extract_cookies(_Answer(response), _Request(url))
