"""Cookies of ``http.cookiejar`` for an opening handshake; it must not know who connects.

A jar wants objects of ``urllib``; these have the few methods that it calls, on all Pythons.
"""

from __future__ import absolute_import, division, unicode_literals

from .compat import native


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
        return [native(line) for line in self._response.header_lines(name)] or default

    def getheaders(self, name):
        return self.get_all(native(name).decode('ascii') if isinstance(name, bytes) else name, [])


def is_jar(cookies):
    """True for an ``http.cookiejar.CookieJar``, or what does the same."""
    return hasattr(cookies, 'add_cookie_header') and hasattr(cookies, 'extract_cookies')


def cookie_header(cookies, url):
    """The value of ``Cookie`` for a URL, or None.

    :param cookies: dict, text, or a jar
    :param Url url: where the request goes
    """
    if is_jar(cookies):
        request = _Request(url)
        cookies.add_cookie_header(request)
        return request.cookie
    if isinstance(cookies, dict):
        return '; '.join('{}={}'.format(name, value) for name, value in cookies.items()) or None
    return cookies or None


def take_cookies(cookies, response, url):
    """Give the ``Set-Cookie`` lines of an answer to a jar; anything else stays as it is."""
    if is_jar(cookies):
        cookies.extract_cookies(_Answer(response), _Request(url))
