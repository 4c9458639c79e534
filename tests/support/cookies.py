"""Cookies that nobody sent."""

from __future__ import absolute_import, division, unicode_literals

try:
    from http.cookiejar import Cookie, CookieJar  # noqa: F401 - for the tests
except ImportError:
    from cookielib import Cookie, CookieJar  # noqa: F401


def make_cookie(name, value, domain='127.0.0.1'):
    """A cookie that was put into a jar by hand."""
    return Cookie(0, str(name), value, None, False, domain, True, False, '/', True, False, None, False,
                  None, None, {})
