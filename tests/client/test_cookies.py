# -*- coding: utf-8 -*-
"""What a cookie jar gets to see, and the headers that come of it."""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.cookies import make_cookie

from lomond._compat import native_octets
from lomond.client.cookies import cookie_header, cookie_text, is_jar, take_cookies
from lomond.network.url import parse_url
from lomond.response import Response

try:
    from http.cookiejar import CookieJar
except ImportError:
    from cookielib import CookieJar

WS = parse_url('ws://example.test/chat/room?x=1')
WSS = parse_url('wss://example.test/chat/room?x=1')


def answer(*lines):
    return Response(b'HTTP/1.1 200 OK\r\n' + b''.join(
        b'Set-Cookie: ' + line + b'\r\n' for line in lines) + b'\r\n')


def jar_of(*lines, **options):
    jar = CookieJar()
    take_cookies(jar, answer(*lines), options.get('url', WS))
    return jar


def sent(jar, url):
    """The cookies of a request, sorted."""
    return sorted((cookie_header(jar, parse_url(url)) or b'').split(b'; '))


@pytest.mark.parametrize('cookies, expected', [
    (None, None), ({}, None), ('', None), ({'a': 'b'}, b'a=b'), ('a=b; c=d', b'a=b; c=d'),
    ({'a': '\xe9'}, b'a=\xc3\xa9')])
def test_without_a_jar(cookies, expected):
    assert cookie_header(cookies, WS) == expected
    assert cookie_text(cookies) == (expected or b'').decode('utf-8')
    assert not is_jar(cookies)
    take_cookies(cookies, answer(b'a=1'), WS)        # nothing happens


@pytest.mark.parametrize('url, expected', [
    ('ws://example.test/chat/', [b'path=2', b'top=1']), ('ws://example.test:8000/', [b'top=1']),
    ('wss://example.test/chat/x', [b'path=2', b'secure=3', b'top=1']), ('ws://other.test/chat/', [b''])])
def test_rules_of_the_jar(url, expected):
    jar = jar_of(b'top=1; Path=/', b'path=2; Path=/chat', b'secure=3; Path=/; Secure', b'old=5; Max-Age=0',
                 b'other=6; Domain=elsewhere.test')
    assert sent(jar, url) == expected


def test_domain_cookie():
    jar = jar_of(b'd=1; Domain=.example.test; Path=/', url=parse_url('ws://a.example.test/'))
    assert sent(jar, 'ws://b.example.test/') == [b'd=1']
    assert sent(jar, 'ws://example.org/') == [b'']


def test_addresses_and_single_names():
    for url in ('ws://127.0.0.1:81/', 'ws://[::1]:81/', 'ws://localhost:81/'):
        assert sent(jar_of(b'a=1', url=parse_url(url)), url) == [b'a=1']


def test_octets_go_back_as_they_came():
    """The server gets back the octets that it sent, in any encoding."""
    for value in (b'\xc3\xa9', b'\xe9', b'caf\xe9 \xff'):
        assert sent(jar_of(b'a=' + value), 'ws://example.test/chat/room') == [b'a=' + value]


def test_cookie_put_in_by_hand():
    jar = CookieJar()
    jar.set_cookie(make_cookie('a', native_octets('\xe9'), 'example.test'))
    assert sent(jar, 'ws://example.test/') == [b'a=\xe9']
    jar.set_cookie(make_cookie('a', '\u20ac', 'example.test'))
    assert sent(jar, 'ws://example.test/') == [b'a=\xe2\x82\xac']


def test_jar_of_somebody_else():
    """Only the two methods are needed."""
    class Jar(object):
        def add_cookie_header(self, request):
            assert request.get_full_url() == 'https://example.test/chat/room?x=1'
            assert not request.has_header('Cookie')
            assert request.get_header('Cookie', 'no') == 'no' and request.header_items() == []
            assert (request.type, request.host, request.origin_req_host) == (
                request.get_type(), request.get_host(), request.get_origin_req_host()) == (
                'https', 'example.test', 'example.test')
            assert request.unverifiable is request.is_unverifiable() is False
            for value in (request.type, request.host, request.get_full_url()):
                assert isinstance(value, str)
            request.add_unredirected_header('Cookie2', '$Version="1"')
            request.add_unredirected_header('Cookie', 'a=b')

        def extract_cookies(self, response, request):
            self.got = response.info().get_all('Set-Cookie'), response.info().getheaders('Set-Cookie2')
    jar = Jar()
    assert is_jar(jar)
    assert cookie_header(jar, WSS) == b'a=b'
    take_cookies(jar, answer(b'a=1', b'b=2'), WSS)
    assert jar.got == (['a=1', 'b=2'], [])
