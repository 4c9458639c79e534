# -*- coding: utf-8 -*-
"""Which proxy to use: URLs, environment, the system's settings, NO_PROXY."""

from __future__ import absolute_import, division, unicode_literals

import random
import sys
import types
from fractions import Fraction

import pytest

from lomond import _compat
from lomond._compat import PY2
from lomond.network import proxy_settings
from lomond.network.proxy_settings import (
    bypass_proxy,
    environment_proxies,
    normalize_proxies,
    parse_proxy,
    select_proxy,
)
from lomond.network.url import parse_url

# text -> scheme, host, port, user, password, safe
GOOD = [
    ('http://127.0.0.1:3128', 'http', '127.0.0.1', 3128, None, None, 'http://127.0.0.1:3128'),
    ('http://127.0.0.1:3128/', 'http', '127.0.0.1', 3128, None, None, 'http://127.0.0.1:3128/'),
    ('http://proxy', 'http', 'proxy', 80, None, None, 'http://proxy'),
    ('HTTPS://proxy', 'https', 'proxy', 443, None, None, 'HTTPS://proxy'),
    ('socks4://proxy', 'socks4', 'proxy', 1080, None, None, 'socks4://proxy'),
    ('socks4a://proxy', 'socks4a', 'proxy', 1080, None, None, 'socks4a://proxy'),
    ('socks5://proxy', 'socks5', 'proxy', 1080, None, None, 'socks5://proxy'),
    ('socks5h://proxy:9050', 'socks5h', 'proxy', 9050, None, None, 'socks5h://proxy:9050'),
    ('socks://u:p@proxy/', 'socks5h', 'proxy', 1080, 'u', 'p', 'socks://proxy/'),
    ('SOCKS://[::1]:9050', 'socks5h', '::1', 9050, None, None, 'SOCKS://[::1]:9050'),
    ('proxy', 'http', 'proxy', 80, None, None, 'proxy'),
    ('proxy:3128', 'http', 'proxy', 3128, None, None, 'proxy:3128'),
    ('127.0.0.1:3128/', 'http', '127.0.0.1', 3128, None, None, '127.0.0.1:3128/'),
    ('//proxy:3128', 'http', 'proxy', 3128, None, None, '//proxy:3128'),
    ('[::1]:3128', 'http', '::1', 3128, None, None, '[::1]:3128'),
    ('http://[fe80::1%25eth0]:3128', 'http', 'fe80::1%eth0', 3128, None, None,
     'http://[fe80::1%25eth0]:3128'),
    ('http://user:secret@h:1', 'http', 'h', 1, 'user', 'secret', 'http://h:1'),
    ('http://user:@h:1/', 'http', 'h', 1, 'user', '', 'http://h:1/'),
    ('http://user@h:1', 'http', 'h', 1, 'user', '', 'http://h:1'),
    ('http://u:p:q@h:1', 'http', 'h', 1, 'u', 'p:q', 'http://h:1'),
    ('http://u:p@q@h:1', 'http', 'h', 1, 'u', 'p@q', 'http://h:1'),
    ('http://me%40work:p%3Aw@h:1', 'http', 'h', 1, 'me@work', 'p:w', 'http://h:1'),
    ('http://@h:1', 'http', 'h', 1, None, None, 'http://h:1'),
    ('user:pw@h:1', 'http', 'h', 1, 'user', 'pw', 'h:1'),
    ('//user:pw@h:1', 'http', 'h', 1, 'user', 'pw', '//h:1'),
    ('socks5://u%3Aser:p%C3%A4ss@[::1]', 'socks5', '::1', 1080, 'u:ser', 'p\xe4ss', 'socks5://[::1]'),
    ('socks5://:pw@h', 'socks5', 'h', 1080, '', 'pw', 'socks5://h'),
    ('socks5://' + 'u' * 255 + ':' + 'p' * 255 + '@h', 'socks5', 'h', 1080, 'u' * 255, 'p' * 255,
     'socks5://h'),
    ('http://' + 'u' * 256 + ':x@h', 'http', 'h', 80, 'u' * 256, 'x', 'http://h'),
    ('http://pr\xf6xy.test:1', 'http', 'xn--prxy-6qa.test', 1, None, None, 'http://pr\xf6xy.test:1')]

BAD = [
    ('', 'no host'), ('http://', 'no host'), ('http://:3128', 'no host'), (':3128', 'no host'),
    ('ftp://h', 'scheme'), ('socks5a://h', 'scheme'), ('socks6://h', 'socks5h'), ('://h', 'scheme'),
    ('h:0', '65535'), ('h:65536', '65535'), ('h:x', '65535'), ('::1', 'brackets'),
    ('http://[::1', 'brackets'), ('h/path', 'continues'), ('http://h:1/x', 'continues'),
    ('http://h:1?x', 'continues'), ('http://h:1#x', 'continues'),
    ('http://user:12/34Secret@h:1', 'continues'), ('http://user:pw/Secret@h:1', '65535'),
    ('h\r\nEvil: yes', 'control'), ('http://h\t', 'control'), ('h x', 'space'), ('http://u:%0d@h', 'control'),
    ('socks5://u:%00@h', 'control'), ('http://u%3A:Secret@h', 'colon'), ('https://u%3A:Secret@h', 'colon'),
    ('socks5://' + 'u' * 256 + ':Secret@h', '255'), ('socks5h://u:' + 'Secret' * 43 + '@h', '255'),
    ('socks5://u:' + '\u2603' * 86 + '@h', '255'), ('a..b', 'label'), ('a' * 64, '63')]


@pytest.mark.parametrize('text, scheme, host, port, user, password, safe', GOOD)
def test_parse_proxy(text, scheme, host, port, user, password, safe):
    found = parse_proxy(text)
    assert (found.scheme, found.host, found.port, found.user, found.password, found.safe) == (
        scheme, host, port, user, password, safe)
    assert found.is_secure is (scheme == 'https')
    assert found.resolves_here is (scheme in ('socks4', 'socks5'))
    assert isinstance(repr(found), str)
    assert repr(found) == str("ProxyUrl('{}')").format(_compat.native(safe))


@pytest.mark.parametrize('text, words', BAD)
def test_parse_proxy_refuses(text, words):
    with pytest.raises(ValueError) as caught:
        parse_proxy(text)
    message = str(caught.value)
    assert type(caught.value) is ValueError
    assert message.startswith("proxy url '") and words in message and 'Secret' not in message
    assert all(32 <= ord(character) < 127 for character in message)


@pytest.mark.parametrize('value', [None, 1, [], bytearray(b'h')])
def test_parse_proxy_type(value):
    with pytest.raises(TypeError) as caught:
        parse_proxy(value)
    assert str(caught.value) == 'proxy url must be text, not ' + type(value).__name__


def test_authority():
    assert parse_proxy('h').authority == 'h:80'
    assert parse_proxy('socks5://[fe80::1%25eth0]').authority == '[fe80::1]:1080'


@pytest.mark.parametrize('environ, expected', [
    ({}, {}), ({'http_proxy': 'a'}, {'http': 'a'}), ({'HTTP_PROXY': 'a'}, {'http': 'a'}),
    ({'HTTP_PROXY': 'A', 'http_proxy': 'a'}, {'http': 'a'}), ({'HTTP_PROXY': 'A', 'http_proxy': ''}, {}),
    ({'HTTPS_PROXY': 'b'}, {'https': 'b'}), ({'https_proxy': 'b', 'HTTPS_PROXY': 'B'}, {'https': 'b'}),
    ({'ws_proxy': 'c', 'WSS_PROXY': 'd'}, {'ws': 'c', 'wss': 'd'}),
    ({'all_proxy': 'e', 'NO_PROXY': 'f'}, {'all': 'e', 'no': 'f'}),
    ({'ALL_PROXY': 'e', 'no_proxy': 'f', 'NO_PROXY': 'F'}, {'all': 'e', 'no': 'f'}),
    ({'NO_PROXY': 'F', 'no_proxy': ''}, {}), ({'http_proxy': '  a \n'}, {'http': 'a'}),
    ({'http_proxy': ' '}, {}), ({'Http_Proxy': 'a', 'ftp_proxy': 'x', 'proxy': 'y'}, {}),
    ({'HTTP_PROXY': 'a', 'REQUEST_METHOD': 'GET'}, {}),
    ({'http_proxy': 'a', 'REQUEST_METHOD': 'GET'}, {'http': 'a'}),
    ({'HTTP_PROXY': 'A', 'http_proxy': 'a', 'REQUEST_METHOD': ''}, {'http': 'a'}),
    ({'HTTPS_PROXY': 'b', 'ALL_PROXY': 'c', 'REQUEST_METHOD': 'GET'}, {'https': 'b', 'all': 'c'}),
    ({'http_proxy': b'caf\xc3\xa9'}, {'http': 'caf\xe9'}), ({'http_proxy': b'\xff'}, {'http': '\ufffd'}),
    ({'http_proxy': 'no : url'}, {'http': 'no : url'})])
def test_environment_proxies(environ, expected):
    found, variables = environment_proxies(environ)
    assert found == dict({'http': None, 'https': None}, **expected)
    assert all(value is None or isinstance(value, type('')) for value in found.values())
    assert set(variables) == set(expected)
    for kind, name in variables.items():
        assert name.lower() == kind + '_proxy' and environ[name]
        assert name.islower() or kind + '_proxy' not in environ


@pytest.fixture
def clean(monkeypatch):
    """Remove all proxy variables."""
    import os
    for name in list(os.environ):
        if name.lower().endswith('_proxy') or name == 'REQUEST_METHOD':
            monkeypatch.delenv(name)
    return monkeypatch


def test_os_environ(clean):
    clean.setattr(sys, 'platform', str('linux'))
    assert environment_proxies() == ({'http': None, 'https': None}, {})
    clean.setenv(str('http_proxy'), str('http://a:1'))
    clean.setenv(str('NO_PROXY'), str('b'))
    assert environment_proxies() == ({'http': 'http://a:1', 'https': None, 'no': 'b'},
                                     {'http': 'http_proxy', 'no': 'NO_PROXY'})


@pytest.mark.parametrize('platform, settings, expected', [
    ('darwin', {}, {}),
    ('darwin', {'http': 'http://a:1', 'https': 'https://b:2', 'ftp': 'x', 'socks': 'y', 'no': ''},
     {'http': 'http://a:1', 'https': 'https://b:2'}),
    ('win32', {'http': str('http://a:1'), 'https': str('https://b:2'), 'no': 'c <local>'},
     {'http': 'http://a:1', 'https': 'http://b:2', 'no': 'c <local>'}),
    ('win32', {'https': 'http://b:2'}, {'https': 'http://b:2'}), ('linux', None, {})])
def test_system_settings(clean, platform, settings, expected):
    def system_proxies():
        if settings is None:
            raise AssertionError('not on Linux')
        return settings
    clean.setattr(sys, 'platform', str(platform))
    clean.setattr(proxy_settings, 'system_proxies', system_proxies)
    assert environment_proxies() == (dict({'http': None, 'https': None}, **expected), {})
    assert environment_proxies({}) == ({'http': None, 'https': None}, {})
    clean.setenv(str('all_proxy'), str('c'))
    assert environment_proxies()[0] == {'http': None, 'https': None, 'all': 'c'}


def fake(monkeypatch, name, **names):
    module = types.ModuleType(str(name))
    for key, value in names.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)


def test_system_proxies_of_urllib(clean):
    request = pytest.importorskip(str('urllib' if PY2 else 'urllib.request'))
    clean.setattr(request, 'getproxies', lambda: {'http': 'http://a:1'})
    assert _compat.system_proxies() == {'http': 'http://a:1', 'no': ''}
    fake(clean, '_scproxy', _get_proxy_settings=lambda: {
        'exclude_simple': True, 'exceptions': ['*.local', '169.254/16']})
    assert _compat.system_proxies() == {'http': 'http://a:1', 'no': '*.local 169.254/16 <local>'}
    fake(clean, '_scproxy', _get_proxy_settings=lambda: {'exclude_simple': False})
    assert _compat.system_proxies()['no'] == ''
    clean.setattr(request, 'getproxies', lambda: {'no': 'mine'})
    assert _compat.system_proxies()['no'] == 'mine'


@pytest.mark.parametrize('name', ['_winreg', 'winreg'] if PY2 else ['winreg'])
def test_system_proxies_of_windows(clean, name):
    class Key(object):
        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

    def query(key, value):
        assert value == 'ProxyOverride'
        if missing:
            raise OSError(2, 'not found')
        return 'intra.test;192.168.*;<local>', 1
    fake(clean, name, OpenKey=lambda root, path: Key(), HKEY_CURRENT_USER=1, QueryValueEx=query)
    missing = False
    assert _compat.system_proxies()['no'] == 'intra.test 192.168.* <local>'
    missing = True
    assert _compat.system_proxies()['no'] == ''


@pytest.mark.parametrize('given, expected', [
    ({}, {}), ({'http': None}, {}), ({'http': ''}, {}),
    ({'http': 'a:1', 'https': 'http://b:2'}, {'http': 'a:1', 'https': 'http://b:2'}),
    ({'ws': None, 'wss': '', 'all': 'c'}, {'ws': None, 'wss': None, 'all': 'c'}),
    ({'ftp': 5, 'no': 'x', 'gopher': '', 'rsync': None}, {'ftp': 5, 'no': 'x', 'gopher': '', 'rsync': None}),
    ({str('http'): str('a:1')}, {'http': 'a:1'})])
def test_normalize_proxies(given, expected):
    before = dict(given)
    found = normalize_proxies(given)
    assert found == dict({'http': None, 'https': None}, **expected)
    assert given == before and found is not given
    assert normalize_proxies(found) == found


@pytest.mark.parametrize('given, error, words', [
    (None, TypeError, 'dict or None, not NoneType'), ([], TypeError, 'not list'),
    ('http://h', TypeError, 'not '),
    ({'http': 1}, TypeError, "proxies['http'] must be text or None, not int"),
    ({'all': bytearray(b'h')}, TypeError, 'not bytearray'), ({'http': 'ftp://h'}, ValueError, 'proxy url'),
    ({'wss': 'h:x'}, ValueError, 'proxy url'), ({'all': 'http://u:Secret@'}, ValueError, '***')])
def test_normalize_proxies_refuses(given, error, words):
    with pytest.raises(error) as caught:
        normalize_proxies(given)
    assert words in str(caught.value) and 'Secret' not in str(caught.value)


@pytest.mark.parametrize('key, shown', [(key, "'{}'".format(key)) for key in (
    'https://', 'http://h', 'HTTP', 'Https', 'socks', 'socks5', 'http_proxy', 'htps', '', ' http', 'NO')
] + [(5, '5'), (None, 'None'), (('http',), 'http'), ('h\xe9', 'h\\xe9'), (b'\xff', '\\xff'), ('a\n', 'a\\n'),
     ('http://u:Secret@h', 'http://u:***@h'), (Fraction(1, 3), 'Fraction(1, 3)')] + (
    [] if PY2 else [(b'http', "b'http'"), (b'http://u:Secret@h', "b'http://u:***@h'")]))
def test_normalize_proxies_refuses_keys(key, shown):
    """A proxy that would never be used."""
    with pytest.raises(ValueError) as caught:
        normalize_proxies({key: 'http://h', 'http': None})
    assert str(caught.value).startswith('proxies has the key ') and shown in str(caught.value)
    assert str(caught.value).endswith("; 'ws', 'wss', 'http', 'https' and 'all' are allowed")
    assert 'Secret' not in str(caught.value)


WS, WSS = 'ws://h.test/', 'wss://h.test/'


@pytest.mark.parametrize('proxies, url, expected', [
    ({}, WS, None), ({'http': 'a'}, WS, 'a'), ({'http': 'a'}, WSS, None), ({'https': 'a'}, WS, None),
    ({'https': 'a'}, WSS, 'a'), ({'http': 'a', 'https': 'b', 'all': 'c'}, WS, 'a'),
    ({'http': 'a', 'https': 'b', 'all': 'c'}, WSS, 'b'), ({'all': 'c'}, WS, 'c'), ({'all': 'c'}, WSS, 'c'),
    ({'http': None, 'all': 'c'}, WS, 'c'), ({'ws': 'w', 'wss': 'x', 'http': 'a', 'https': 'b'}, WS, 'w'),
    ({'ws': 'w', 'wss': 'x', 'http': 'a', 'https': 'b'}, WSS, 'x'),
    ({'ws': 'w', 'http': 'a', 'https': 'b'}, WSS, 'b'), ({'ws': None, 'http': 'a', 'all': 'c'}, WS, None),
    ({'wss': '', 'https': 'a', 'all': 'c'}, WSS, None), ({'http': 'a', 'https': 'b'}, 'https://h.test/', 'b'),
])
def test_select_proxy(proxies, url, expected):
    for variables in (None, {}, {'ws': 'ws_proxy', 'http': 'HTTP_PROXY', 'all': 'all_proxy'}):
        found = select_proxy(normalize_proxies(proxies), parse_url(url), variables)
        assert (found and found.safe) == expected
        if variables and url == WS and found:
            assert found.variable == {'w': 'ws_proxy', 'a': 'HTTP_PROXY', 'c': 'all_proxy'}[expected]


def test_select_proxy_exceptions():
    proxies = {'http': 'a', 'https': None, 'no': 'other,.test:80'}
    assert select_proxy(proxies, parse_url(WS), {}) is None
    assert select_proxy(proxies, parse_url('ws://h.test:81/'), {}).safe == 'a'
    assert select_proxy(proxies, parse_url(WS)).safe == 'a'


def test_select_proxy_unusable():
    proxies, variables = environment_proxies({'HTTP_PROXY': 'ftp://u:Secret@h', 'no_proxy': 'free.test'})
    with pytest.raises(ValueError) as caught:
        select_proxy(proxies, parse_url(WS), variables)
    assert 'Secret' not in str(caught.value) and str(caught.value).endswith('; proxy from HTTP_PROXY')
    assert select_proxy(proxies, parse_url('ws://free.test/'), variables) is None
    assert select_proxy(proxies, parse_url(WSS), variables) is None


@pytest.mark.parametrize('no_proxy, host, expected', [
    ('', 'h', False), (' ,, ', 'h', False), ('*', 'h', True), ('a, *', '10.0.0.1', True),
    ('*:81', 'h', False), ('*:80', 'h', True), ('example.com', 'example.com', True),
    ('example.com', 'a.example.com', True), ('example.com', 'a.b.example.com', True),
    ('example.com', 'myexample.com', False), ('example.com', 'example.com.evil', False),
    ('example.com', 'com', False), ('.example.com', 'a.example.com', True),
    ('.example.com', 'example.com', True), ('.example.com', 'myexample.com', False),
    ('*.example.com', 'a.example.com', True), ('*.example.com', 'myexample.com', False),
    ('EXAMPLE.com', 'A.Example.COM', True), ('example.com.', 'example.com', True),
    ('example.com', 'a.example.com.', True), ('a,example.com', 'example.com', True),
    ('a , example.com ,b', 'example.com', True), ('a example.com', 'example.com', True),
    ('a;example.com', 'example.com', True), ('example.com:80', 'example.com', True),
    ('example.com:80', 'a.example.com', True), ('example.com:81', 'example.com', False),
    ('example.com:', 'example.com', False), ('example.com:x', 'example.com', False),
    ('example.com:' + '8' * 5000, 'example.com', False), ('b\xfccher.test', 'xn--bcher-kva.test', True),
    ('.', 'h', False), ('..', 'h', False), ('a b..c', 'h', False), ('/', 'h', False),
    ('http://h', 'h', False), ('10.0.0.1', '10.0.0.1', True), ('10.0.0.1', '10.0.0.2', False),
    ('10.0.0.1:80', '10.0.0.1', True), ('10.0.0.1:81', '10.0.0.1', False), ('0.1', '10.0.0.1', False),
    ('.0.0.1', '10.0.0.1', False), ('10.0.0.1', 'a.10.0.0.1', True), ('10.0.0.0/8', '10.200.3.4', True),
    ('10.0.0.0/8', '11.0.0.1', False), ('10.1.2.3/8', '10.200.3.4', True),
    ('192.168.1.128/25', '192.168.1.129', True), ('192.168.1.128/25', '192.168.1.127', False),
    ('10.0.0.1/32', '10.0.0.1', True), ('10.0.0.1/32', '10.0.0.2', False), ('0.0.0.0/0', '1.2.3.4', True),
    ('0.0.0.0/0', '::1', False), ('0.0.0.0/0', 'h', False), ('10.0.0.0/33', '10.0.0.0', False),
    ('10.0.0.0/', '10.0.0.0', False), ('10.0.0.0/-1', '10.0.0.0', False), ('10.0.0.0/x', '10.0.0.0', False),
    ('10.0.0.0/8/8', '10.0.0.0', False), ('10.0.0.0/' + '8' * 5000, '10.0.0.0', False),
    ('169.254/16', '169.254.7.7', True), ('169.254/16', '169.255.7.7', False), ('10/8', '10.7.7.7', True),
    ('/8', '0.7.7.7', False), ('192.168.*', '192.168.3.4', True), ('192.168.*', '192.169.3.4', False),
    ('intra*', 'intranet', True), ('a*z', 'abc', False), ('::1', '::1', True), ('0:0::1', '::1', True),
    ('::1', '::2', False), ('[::1]', '::1', True), ('[::1]:80', '::1', True), ('[::1]:81', '::1', False),
    ('FD00::/8', 'fdaa::7', True), ('fd00::/8', 'fe00::7', False), ('[fd00::/8]', 'fdaa::7', True),
    ('::/0', '1.2.3.4', False), ('fe80::1', 'fe80::1%eth0', True), ('1.2.3.4', '::1', False),
    ('localhost', '127.0.0.1', False), ('<local>', 'printer', True), ('<LOCAL>', 'printer', True),
    ('<local>', 'printer.test', False), ('<local>', '::1', False)])
def test_bypass_proxy(no_proxy, host, expected):
    assert bypass_proxy(no_proxy, host, 80) is expected


@pytest.mark.ends
def test_bypass_proxy_random():
    dice = random.Random(7)
    pieces = ['*', '.', ':', '::', '[', ']', '/', '8', '10', '0', 'a', '<local>', ',', ' ', '\xfc', '-',
              '99999', '%', '@']
    for _ in range(5000):
        text = ''.join(dice.choice(pieces) for _ in range(dice.randrange(9)))
        for host in ('a.test', '10.0.0.8', '::8', 'fe80::8%a'):
            assert bypass_proxy(text, host, 80) in (True, False)
