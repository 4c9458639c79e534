"""Cookies of ``http.cookiejar`` for an opening handshake; it must not know who connects.

A jar wants objects of ``urllib``; these have the few methods that it calls, on all Pythons.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import native, native_octets, text_type


class _Request(object):
    """What a jar asks of a request."""

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

    # the names of 2.7

    def get_host(self):
        return self.host

    def get_type(self):
        return self.type

    def get_origin_req_host(self):
        return self.origin_req_host

    def is_unverifiable(self):
        return False


class _Answer(object):
    """What a jar asks of an answer."""

    def __init__(self, response):
        self._response = response

    def info(self):
        return self

    def get_all(self, name, default=None):
        # Characters that are octets, as urllib has them: a jar may be shared with it.
        return [native_octets(line) for line in self._response.header_lines(name)] or default

    def getheaders(self, name):
        # of 2.7
        return self.get_all(name, [])


def is_jar(cookies):
    """True for an ``http.cookiejar.CookieJar``, or what does the same."""
    return hasattr(cookies, 'add_cookie_header') and hasattr(cookies, 'extract_cookies')


def cookie_text(cookies):
    """The value of ``Cookie`` of a dict or a text, as text; empty when there is none."""
    if isinstance(cookies, dict):
        return '; '.join('{}={}'.format(name, value) for name, value in cookies.items())
    return cookies or ''


def cookie_header(cookies, url):
    """The value of ``Cookie`` for a URL.

    :param cookies: dict, text, a jar or None
    :param Url url: where the request goes
    :returns: bytes, or None
    """
    if not is_jar(cookies):
        return cookie_text(cookies).encode('utf-8') or None
    request = _Request(url)
    cookies.add_cookie_header(request)
    cookie = request.cookie
    if not isinstance(cookie, text_type):
        return cookie               # None, or the octets of 2.7
    try:
        return cookie.encode('latin-1')     # as they came
    except UnicodeEncodeError:
        return cookie.encode('utf-8')       # put into the jar by hand


def take_cookies(cookies, response, url):
    """Give the ``Set-Cookie`` lines of an answer to a jar; anything else stays as it is."""
    if is_jar(cookies):
        cookies.extract_cookies(_Answer(response), _Request(url))
