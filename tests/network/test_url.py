# -*- coding: utf-8 -*-
"""URLs: what is accepted, what is refused, and how passwords are masked."""

from __future__ import absolute_import, division, unicode_literals

import ast
import io
import random
import socket

import pytest

from lomond._compat import PY2
from lomond.network import url as url_module
from lomond.network.url import (
    Url,
    ascii_name,
    bracketed,
    ip_bytes,
    is_ip_address,
    mask_password,
    parse_host,
    parse_url,
    percent_decode,
    printable,
    resolve_location,
    same_origin,
    split_url,
)

# url -> scheme, host, port, resource
GOOD = [
    ('ws://example.test', 'ws', 'example.test', 80, '/'),
    ('ws://example.test/', 'ws', 'example.test', 80, '/'),
    ('wss://example.test', 'wss', 'example.test', 443, '/'),
    ('http://example.test', 'ws', 'example.test', 80, '/'),
    ('https://example.test/x', 'wss', 'example.test', 443, '/x'),
    ('WsS://Example.TEST:8443/A/b?C=d&e=f', 'wss', 'example.test', 8443, '/A/b?C=d&e=f'),
    ('ws://example.test?b=c', 'ws', 'example.test', 80, '/?b=c'),
    ('ws://example.test?', 'ws', 'example.test', 80, '/'),              # RFC 6455, 3
    ('ws://example.test/a?', 'ws', 'example.test', 80, '/a'),
    ('ws://example.test/a?b?c', 'ws', 'example.test', 80, '/a?b?c'),
    ('ws://example.test#f', 'ws', 'example.test', 80, '/'),
    ('ws://example.test/a#f?g@h:1/', 'ws', 'example.test', 80, '/a'),
    ('ws://example.test/a?b#f', 'ws', 'example.test', 80, '/a?b'),
    ('ws://example.test:/a', 'ws', 'example.test', 80, '/a'),           # RFC 3986, 6.2.3
    ('ws://example.test:1/', 'ws', 'example.test', 1, '/'),
    ('ws://example.test:65535/', 'ws', 'example.test', 65535, '/'),
    ('ws://example.test:0080/', 'ws', 'example.test', 80, '/'),
    ('ws://example.test./', 'ws', 'example.test.', 80, '/'), ('ws://my_host-1/', 'ws', 'my_host-1', 80, '/'),
    ('ws://h/a b?c d', 'ws', 'h', 80, '/a%20b?c%20d'),
    ('ws://h/a%20b?%c3%A9', 'ws', 'h', 80, '/a%20b?%c3%A9'), ('ws://h/100%', 'ws', 'h', 80, '/100%25'),
    ('ws://h/%?%2g&%%41&% 20&%\xe9', 'ws', 'h', 80, '/%25?%252g&%25%41&%25%2020&%25%C3%A9'),
    ('ws://h/"<>[]{}|^`?"<>[]{}|^`', 'ws', 'h', 80,
     '/%22%3C%3E%5B%5D%7B%7D%7C%5E%60?%22%3C%3E%5B%5D%7B%7D%7C%5E%60'),
    ("ws://h/-._~!$&'()*+,;=:@/%7B?-._~!$&'()*+,;=:@/?%7b", 'ws', 'h', 80,
     "/-._~!$&'()*+,;=:@/%7B?-._~!$&'()*+,;=:@/?%7b"),
    ('ws://h/caf\xe9?q=\u2603', 'ws', 'h', 80, '/caf%C3%A9?q=%E2%98%83'),
    ('ws://h/\U0001f600', 'ws', 'h', 80, '/%F0%9F%98%80'),
    ('ws://h/a/../b/./c', 'ws', 'h', 80, '/a/../b/./c'),
    ('ws://h//x//', 'ws', 'h', 80, '//x//'),
    ('ws://h/@:://', 'ws', 'h', 80, '/@:://'), ('ws://127.0.0.1:9000/', 'ws', '127.0.0.1', 9000, '/'),
    ('ws://[::1]:9000/', 'ws', '::1', 9000, '/'), ('wss://[2001:DB8::1]', 'wss', '2001:db8::1', 443, '/'),
    ('ws://[::ffff:1.2.3.4]:', 'ws', '::ffff:1.2.3.4', 80, '/'),
    ('ws://[fe80::1%25eth0]/', 'ws', 'fe80::1%eth0', 80, '/'),         # RFC 6874
    ('ws://[FE80::A%25Eth0]/', 'ws', 'fe80::a%Eth0', 80, '/'),
    ('ws://\u212a.Test/', 'ws', 'k.test', 80, '/'),                    # the sign of Kelvin
    ('ws://[fe80::1%25eth%30%2e5]/', 'ws', 'fe80::1%eth0.5', 80, '/'),
    ('ws://[fe80::1%eth0]:81/', 'ws', 'fe80::1%eth0', 81, '/'),
    ('ws://[fe80::1%25]/', 'ws', 'fe80::1%25', 80, '/'),
    ('ws://[fe80::1%2525]/', 'ws', 'fe80::1%25', 80, '/'),
    ('ws://b\xfccher.example:81/', 'ws', 'xn--bcher-kva.example', 81, '/'),
    ('ws://B\xdcCHER.Example./', 'ws', 'xn--bcher-kva.example.', 80, '/'),
    ('ws://\u4f8b\u3048\u3002\u30c6\u30b9\u30c8/', 'ws', 'xn--r8jz45g.xn--zckzah', 80, '/'),
    ('ws://\uff11\uff12\uff17.0.0.1/', 'ws', '127.0.0.1', 80, '/'),
    ('ws://user:pw@example.test:81/', 'ws', 'example.test', 81, '/'),
    ('ws://user:p@w@example.test/', 'ws', 'example.test', 80, '/'),
    ('ws://' + 'a' * 63 + '.test/', 'ws', 'a' * 63 + '.test', 80, '/'),
    ('ws://' + '.'.join(['a' * 49] * 5) + '.abc/', 'ws', '.'.join(['a' * 49] * 5) + '.abc', 80, '/'),
    ('ws://' + '.'.join(['a' * 49] * 5) + '.abc./', 'ws', '.'.join(['a' * 49] * 5) + '.abc.', 80, '/')]

# words of the error -> urls
BAD = [(text, words) for words, texts in [
    ('no scheme', ['', 'example.test', '//example.test/', 'ws:/example.test', 'ws:example.test',
                   '127.0.0.1:80/x', '/x?ws://h']),
    ('scheme that is not allowed', ['://h/', 'wsss://h/', 'w\u017f://h/']),
    ('ws, wss, http and https', ['ftp://h/']),
    ('space', ['ws ://h/', ' ws://h/']),
    ('no host', ['ws://', 'ws:///x', 'ws://?x', 'ws://:80/', 'ws://u:p@/', 'ws://u:p@:80/']),
    ('1 to 65535', ['ws://h:0/', 'ws://h:00/', 'ws://h:65536/', 'ws://h:100000/',
                    'ws://h:' + '9' * 5000 + '/', 'ws://h:-1/', 'ws://h:+1/', 'ws://h:8o/', 'ws://h:\u0661/', 'ws://[::1]:x/']),
    ('brackets', ['ws://::1/', 'ws://2001:db8::1:80/', 'ws://[::1/', 'ws://[::1]80/', 'ws://[::1].test/']),
    ('IPv6 address', ['ws://[]/', 'ws://[127.0.0.1]/', 'ws://[1::2::3]/', 'ws://[v1.x]/',
                      'ws://[example.test]/', 'ws://[::g]/']),
    ('zone id', ['ws://[fe80::1%]/', 'ws://[fe80::1%25%0d%0a]/', 'ws://[fe80::1%25a%2fb]/',
                 'ws://[fe80::1%a%b]/']),
    ('empty host label', ['ws://a..b/', 'ws://.a/', 'ws://./', 'ws://../', 'ws://a.../',
                          'ws://a\u3002\u3002b/']),
    ('IDNA', ['ws://\xad.test/', 'ws://\u0378\u200e.test/']),      # more in test_idna
    ('63', ['ws://' + 'a' * 64 + '.test/', 'ws://' + '\xfc' * 64 + '.test/',
            'ws://' + '\u4f8b\u3048\u30c6' * 21 + '.test/', 'ws://' + '\ufdf4' * 63 + '.test/',
            'ws://' + '\xfc' * 60000 + '.test/']),
    ('253', ['ws://' + '\xfc.' * 50000 + 'a/', 'ws://' + 'a.' * 128 + '/']),
    ('253', ['ws://' + '.'.join(['a' * 49] * 5) + end for end in ('.abcd/', '.abcd./')]),
    # NFKC makes the last three a/c, ... and %.
    ('character that is not allowed', ['ws://ex%61mple.test/', 'ws://h%0d%0a/', 'ws://a,b/', 'ws://a*b/',
                                       'ws://a]b/', 'ws://\u2100.test/', 'ws://a\u2026b/', 'ws://a\uff05b/']),
    ('path and query only', ['ws://a b/', 'ws://h /', 'ws://u ser@h/', 'ws://h/#a b']),
    ('colon in its user name', ['ws://u%3Aser:pw@h/']),
    ('control character in its userinfo', ['ws://us%0Aer:pw@h/', 'ws://user:p%00w@h/', 'ws://user:p%7fw@h/']),
    ('surrogate', ['ws://h/\ud800', 'ws://h/\udc00x', 'ws://\udfff/'])] for text in texts]

# Not allowed anywhere: white space other than spaces, control characters, backslashes.
NOWHERE = ['\t', '\n', '\r', '\x0b', '\x0c', '\x00', '\x01', '\x1b', '\x1f', '\x7f', '\x80', '\x85',
           '\x9f', '\xa0', '\u1680', '\u2003', '\u2028', '\u2029', '\u202f', '\u3000', '\\']


def refusal(call, *args):
    """Return the message of a ValueError; it must be one line of printable ASCII."""
    with pytest.raises(ValueError) as caught:
        call(*args)
    text = str(caught.value)
    assert type(caught.value) is ValueError
    assert all(32 <= ord(character) < 127 for character in text) and len(text) < 450
    assert not text.endswith('.') and '{' not in text
    return text


@pytest.mark.parametrize('text, scheme, host, port, resource', GOOD)
def test_good(text, scheme, host, port, resource):
    url = parse_url(text)
    assert (url.scheme, url.host, url.port, url.resource) == (scheme, host, port, resource)
    assert url.text == text
    assert url.is_secure is (scheme == 'wss')
    assert url.origin_key == (scheme, host, port)
    for value in (url.scheme, url.host, url.resource, url.host_header, url.authority, url.masked):
        assert isinstance(value, type(''))
    assert all(33 <= ord(character) < 127 for character in url.resource + url.host_header + url.authority)


@pytest.mark.parametrize('text, words', BAD)
def test_bad(text, words):
    message = refusal(parse_url, text)
    assert message.startswith("url '") and words in message


@pytest.mark.parametrize('character', NOWHERE)
@pytest.mark.parametrize('place', [
    '{}ws://h/', 'w{}s://h/', 'ws:{}//h/', 'ws:/{}/h/', 'ws://{}h/', 'ws://h{}/', 'ws://h:8{}0/',
    'ws://h:80{}/', 'ws://u{}:p@h/', 'ws://u:p{}@h/', 'ws://[::1{}]/', 'ws://h/{}', 'ws://h/a{}b',
    'ws://h/?{}', 'ws://h/#{}', 'ws://h{}'])
def test_nowhere(place, character):
    assert 'white space, a control character or a backslash' in refusal(parse_url, place.format(character))


def test_injection():
    """A URL cannot add a header."""
    for text in ('ws://h/a\r\nEvil: yes', 'ws://h/a b\nEvil: yes', 'ws://h\r\nEvil: yes/',
                 'ws://h/?\r\n\r\n'):
        refusal(parse_url, text)
    assert parse_url('ws://h/%0d%0aEvil: yes').resource == '/%0d%0aEvil:%20yes'


@pytest.mark.parametrize('value', [None, 1, 1.5, [], {}, object(), bytearray(b'ws://h/'),
                                   b'ws://caf\xc3\xa9/'])
def test_type(value):
    with pytest.raises(TypeError) as caught:
        parse_url(value)
    assert str(caught.value) == 'url must be text, not ' + type(value).__name__


def test_bytes():
    if PY2:
        url = parse_url(b'ws://example.test/')
        assert url.text == 'ws://example.test/' and isinstance(url.text, type(''))
    else:
        with pytest.raises(TypeError):
            parse_url(b'ws://example.test/')


@pytest.mark.parametrize('text, userinfo', [
    ('ws://h/', None), ('ws://@h/', None), ('ws://:@h/', None), ('ws://user@h/', ('user', '')),
    ('ws://user:@h/', ('user', '')), ('ws://:pw@h/', ('', 'pw')), ('ws://u:p:q@h/', ('u', 'p:q')),
    ('ws://me%40work:p%3Aw@h/', ('me@work', 'p:w')), ('ws://user@work:pw@h/', ('user@work', 'pw')),
    ('ws://j\xf6rg:%E2%98%83\u2603@h/', ('j\xf6rg', '\u2603\u2603')),
    ('ws://a%ffb:100%@h/', ('a\ufffdb', '100%')), ('ws://u:p@[::1]:80/', ('u', 'p')), ('ws://h/u:p@x', None)])
def test_userinfo(text, userinfo):
    url = parse_url(text)
    assert url.userinfo == userinfo
    assert '@' not in url.host_header and '@' not in url.authority


@pytest.mark.parametrize('text, host_header, authority', [
    ('ws://h/', 'h', 'h:80'), ('ws://h:80/', 'h', 'h:80'), ('ws://h:443/', 'h:443', 'h:443'),
    ('wss://h/', 'h', 'h:443'), ('wss://h:443/', 'h', 'h:443'), ('wss://h:80/', 'h:80', 'h:80'),
    ('https://h:443/', 'h', 'h:443'), ('ws://[::1]/', '[::1]', '[::1]:80'),
    ('ws://[::1]:9000/', '[::1]:9000', '[::1]:9000'),
    ('ws://[fe80::1%25eth0]:9000/', '[fe80::1]:9000', '[fe80::1]:9000'),
    ('ws://[fe80::1%eth0]/', '[fe80::1]', '[fe80::1]:80'),
    ('ws://u:p@b\xfccher.test:81/', 'xn--bcher-kva.test:81', 'xn--bcher-kva.test:81')])
def test_host_header(text, host_header, authority):
    url = parse_url(text)
    assert (url.host_header, url.authority) == (host_header, authority)


@pytest.mark.parametrize('text, masked', [
    ('ws://h/', 'ws://h/'), ('ws://token@h/', 'ws://***@h/'), ('ws://token@[::1]:80/', 'ws://***@[::1]:80/'),
    ('ws://token:@h/', 'ws://***@h/'), ('ws://user:pw@h/', 'ws://user:***@h/'),
    ('ws://:pw@h/', 'ws://:***@h/'), ('ws://u:p:q@h:81/x?y#z', 'ws://u:***@h:81/x?y#z'),
    ('ws://u:p@w@h/a@b', 'ws://u:***@h/a@b'), ('ws://u:p@[::1]:80/', 'ws://u:***@[::1]:80/'),
    ('ws://h/?mail=a:b@c', 'ws://h/?mail=a:b@c'), ('ws://h:80/a:b@c', 'ws://h:80/a:b@c'),
    ('ws://[::1]:80/a:b@c', 'ws://[::1]:80/a:b@c'), ('ws://user:p\xe4ss@h/', 'ws://user:***@h/'),
    # cannot be parsed
    ('', ''), ('@', '@'), ('a:b', 'a:b'), ('user:pw@h', 'user:***@h'),
    ('user:pw@h/?x=http://b', 'user:***@h/?x=http://b'),
    ('//user:pw@h/?x=http://b', '//user:***@h/?x=http://b'), ('://user:pw@h', '://user:***@h'),
    ('ws:/user:pw@h/', 'ws:***@h/'), ('ws:user:pw@h/', 'ws:***@h/'), ('ws:\\\\user:pw@h/', 'ws:***@h/'),
    ('w:s://user:pw@h/', 'w:***@h/'), ('ws://user:p/w@h/', 'ws://user:***@h/'),
    ('ws://user:p?w@h/', 'ws://user:***@h/'), ('ws://user:p#w@h/', 'ws://user:***@h/'),
    ('ws://user:123456/w@h/', 'ws://user:***@h/'), ('ws://user:p\nw@h/', 'ws://user:***@h/'),
    ('ws:///user:pw@h', 'ws:///user:***@h'), ('ws:////user:p@w/pw@h/', 'ws:////user:***@h/'),
    ('wss:///pw@h', 'wss://***@h'), ('ws://:80/user:pw@h', 'ws://:***@h'), ('ws://?user:pw@h', 'ws://?user:***@h'),
    ('ws://user:p w@h:0/', 'ws://user:***@h:0/'), ('ws://user:pw@', 'ws://user:***@'),
    ('nope://user:pw@h:x:y/', 'nope://user:***@h:x:y/'), ('ws://h:x/nothing', 'ws://h:x/nothing')])
def test_mask_password(text, masked):
    assert mask_password(text) == masked
    assert mask_password(masked) == masked
    try:
        url = parse_url(text)
    except ValueError as error:
        assert 'pw' not in str(error)
    else:
        assert url.masked == masked
        assert repr(url) == repr(url).encode('ascii', 'backslashreplace').decode('ascii') or not PY2
        assert 'pw' not in repr(url)


def test_password_is_never_shown():
    """Whatever is wrong with a URL, the error does not show the password."""
    for place in ('nope://user:Secret@h/', 'ws://user:Secret@/', 'ws://user:Secret@h:0/',
                  'ws://user:Secret@a..b/',
                  'ws://user:Sec\nret@h/', 'ws://user:Secret@[::1/', 'ws://user:Sec/ret@h/',
                  'ws:user:Secret@h', 'ws:///user:Secret@h', 'ws:////user:Sec/ret@h/', 'ws:///Secret@h?x',
                  'ws://us%3Aer:Secret@h/', 'ws://user:Secret%00@h/', 'ws://user:Sec ret@h/',
                  'ws://user:Sec\ud800ret@h', 'user:Secret@h'):
        message = refusal(parse_url, place)
        assert 'Sec' not in message and 'ret' not in message and '***' in message


def test_repr():
    assert repr(parse_url('wss://example.test/x')) == "Url('wss://example.test/x')"
    assert isinstance(repr(parse_url('ws://b\xfccher.test/')), str)


@pytest.mark.parametrize('text, shown', [
    ('', ''), ('abc', 'abc'), ('a\r\nb', 'a\\r\\nb'), ('caf\xe9', 'caf\\xe9'), ('\u2603', '\\u2603'),
    ('\\', '\\\\'), ('x' * 10, 'x' * 10), ('x' * 11, 'x' * 10 + '...'), ('\u2603' * 3, '\\u2603\\u26...')])
def test_printable(text, shown):
    assert printable(text, 10) == shown


@pytest.mark.parametrize('text, decoded', [
    ('', ''), ('abc', 'abc'), ('%41%6a%6A', 'Ajj'), ('%', '%'), ('%4', '%4'), ('%zz', '%zz'), ('%%41', '%A'),
    ('%2541', '%41'), ('%C3%A9', '\xe9'), ('\xe9%C3%A9', '\xe9\xe9'), ('%F0%9F%98%80', '\U0001f600'),
    ('%ff', '\ufffd'), ('a+b', 'a+b'), ('%ED%A0%80', '\ufffd' * 3)])
def test_percent_decode(text, decoded):
    assert percent_decode(text) == decoded


@pytest.mark.parametrize('host, packed', [
    ('127.0.0.1', b'\x7f\x00\x00\x01'), ('255.255.255.255', b'\xff' * 4), ('::', b'\x00' * 16),
    ('::1', b'\x00' * 15 + b'\x01'), ('fe80::1%eth0', b'\xfe\x80' + b'\x00' * 13 + b'\x01'),
    ('fe80::1%', b'\xfe\x80' + b'\x00' * 13 + b'\x01'),
    ('::ffff:1.2.3.4', b'\x00' * 10 + b'\xff\xff\x01\x02\x03\x04'), ('', None), ('localhost', None),
    ('1.2.3', None), ('1.2.3.4.5', None), ('256.1.1.1', None), ('127.1', None), ('[::1]', None),
    ('1::2::3', None), (':::', None), ('1.2.3.4%eth0', None), ('%eth0', None), ('::1\x00', None),
    ('\u0661.2.3.4', None), ('::1 ', None), ('abcd', None), ('g::', None), ('1.2.3.4\n', None),
    ('fe80::1\n', None)])
def test_ip_bytes(host, packed):
    assert ip_bytes(host) == packed
    assert is_ip_address(host) is (packed is not None)


def test_no_inet_pton(monkeypatch):
    """Without inet_pton (2.7 on Windows) addresses are not recognized; no errors."""
    monkeypatch.delattr(socket, 'inet_pton')
    assert ip_bytes('127.0.0.1') is None
    assert parse_url('ws://127.0.0.1/').host == '127.0.0.1'
    refusal(parse_url, 'ws://[::1]/')


@pytest.mark.parametrize('text, is_ip', [
    ('ws://127.0.0.1/', True), ('ws://[::1]/', True), ('ws://[fe80::1%25eth0]/', True),
    ('ws://localhost/', False), ('ws://1.2.3.4.5/', False), ('ws://127.0.0.1./', False)])
def test_is_ip(text, is_ip):
    assert parse_url(text).is_ip is is_ip


def test_bracketed():
    assert [bracketed(host) for host in ('h', '1.2.3.4', '::1', 'fe80::1%eth0')] == [
        'h', '1.2.3.4', '[::1]', '[fe80::1]']


def test_ascii_name():
    assert ascii_name('B\xfccher.Test.') == 'xn--bcher-kva.test.'
    with pytest.raises(ValueError):
        ascii_name('a b')


def test_split_url():
    assert split_url('HTTP://u:p@h:3128/x?y#z', 'proxy url') == ('http', ('u', 'p'), 'h', 3128, '/x?y#z')
    assert split_url('socks5://h') == ('socks5', None, 'h', None, '')
    assert refusal(split_url, 'socks5://', 'proxy url') == "proxy url 'socks5://' has no host"


# RFC 3986, 5.4: base "http://a/b/c/d;p?q", without what a server would never send
REFERENCES = [
    ('g', '/b/c/g'), ('./g', '/b/c/g'), ('g/', '/b/c/g/'), ('/g', '/g'), ('?y', '/b/c/d;p?y'),
    ('g?y', '/b/c/g?y'), ('#s', '/b/c/d;p?q'), ('g#s', '/b/c/g'), ('g?y#s', '/b/c/g?y'), (';x', '/b/c/;x'),
    ('g;x', '/b/c/g;x'), ('.', '/b/c/'), ('./', '/b/c/'), ('..', '/b/'), ('../', '/b/'), ('../g', '/b/g'),
    ('../..', '/'), ('../../', '/'), ('../../g', '/g'), ('../../../g', '/g'), ('../../../../g', '/g'),
    ('/./g', '/g'), ('/../g', '/g'), ('g.', '/b/c/g.'), ('.g', '/b/c/.g'), ('g..', '/b/c/g..'),
    ('..g', '/b/c/..g'), ('./../g', '/b/g'), ('./g/.', '/b/c/g/'), ('g/./h', '/b/c/g/h'),
    ('g/../h', '/b/c/h'), ('g;x=1/./y', '/b/c/g;x=1/y'), ('g;x=1/../y', '/b/c/y'),
    ('g?y/./x', '/b/c/g?y/./x'), ('g?y/../x', '/b/c/g?y/../x'), ('g#s/../x', '/b/c/g'), ('  g\t', '/b/c/g'),
    ('a b', '/b/c/a%20b'), ('caf\xe9', '/b/c/caf%C3%A9'),
    ('{g}?[%]|%7B', '/b/c/%7Bg%7D?%5B%25%5D%7C%7B'), ('?', '/b/c/d;p'), ('1:2', '/b/c/1:2'),
    ('//a', '/'), ('//a/x/../y?z', '/y?z'), ('ws://a/./x', '/x'), ('http://a', '/'), ('/x//y', '/x//y'),
    ('http://a/..', '/')]


@pytest.mark.parametrize('location, resource', REFERENCES)
def test_resolve_location(location, resource):
    base = parse_url('http://u:p@a/b/c/d;p?q#f')
    for given in (location, location.encode('utf-8'), bytearray(location.encode('utf-8'))):
        found = resolve_location(base, given)
        assert (found.scheme, found.host, found.port, found.resource) == ('ws', 'a', 80, resource)
        assert found.userinfo is None and '@' not in found.text
        assert same_origin(base, found)


@pytest.mark.parametrize('base, location, scheme, authority, resource', [
    ('ws://a/', 'ws://b/', 'ws', 'b:80', '/'), ('ws://a/', 'wss://a/', 'wss', 'a:443', '/'),
    ('ws://a/', 'https://a/x', 'wss', 'a:443', '/x'), ('ws://a/', 'HTTP://B:81?q', 'ws', 'b:81', '/?q'),
    ('wss://a:81/', '//b/x', 'wss', 'b:443', '/x'), ('wss://a:81/', '//b:82', 'wss', 'b:82', '/'),
    ('wss://a:81/x', '/y', 'wss', 'a:81', '/y'), ('wss://a', 'y', 'wss', 'a:443', '/y'),
    ('ws://a/p', '#x', 'ws', 'a:80', '/p'), ('ws://a/', 'ws://user:pw@b/x@y', 'ws', 'b:80', '/x@y'),
    ('ws://a/', '//user:p@w@b', 'ws', 'b:80', '/'), ('ws://[::1]:81/', '/y', 'ws', '[::1]:81', '/y'),
    ('ws://[::1]/', 'y', 'ws', '[::1]:80', '/y'),
    ('ws://a/', 'ws://b\xfccher.test/', 'ws', 'xn--bcher-kva.test:80', '/')])
def test_resolve_location_elsewhere(base, location, scheme, authority, resource):
    found = resolve_location(parse_url(base), location)
    assert (found.scheme, found.authority, found.resource) == (scheme, authority, resource)
    assert found.userinfo is None


def test_resolve_location_keeps_the_zone():
    for text in ('ws://[fe80::1%25eth0]:81/a', 'ws://[fe80::1%eth0]:81/a'):
        assert resolve_location(parse_url(text), 'b').host == 'fe80::1%eth0'


@pytest.mark.parametrize('location, words', [
    (None, 'has no location'), ('', 'has no location'), (' \t ', 'has no location'), (b'', 'has no location'),
    ('mailto:a@b', 'no host'), ('ws:/x', 'no host'), ('localhost:80/x', 'no host'),
    ('javascript:x', 'no host'), ('ftp://a/', 'not allowed'), ('file:///etc/passwd', 'no host'),
    ('ws:///x', 'no host'), ('//', 'no host'), ('//u:p@', 'no host'), ('ws://a:0/', '65535'),
    ('/a\r\nEvil: yes', 'control'), ('/a\x00', 'control'), ('\\\\b\\x', 'backslash'), ('/\\b', 'backslash'),
    ('//a\\@b/', 'backslash'), ('http://u:\\@b', 'backslash'), ('/#\\', 'backslash'), ('//\t@b', 'control'),
    ('//a b/', 'space'), ('ws://[::1/', 'brackets'), ('/' + '\n' * 5000, 'control')])
def test_resolve_location_nonsense(location, words):
    message = refusal(resolve_location, parse_url('ws://a/'), location)
    assert message.startswith('redirect ') and words in message


def test_resolve_location_not_utf8():
    assert resolve_location(parse_url('ws://a/'), b'/\xff').resource == '/%EF%BF%BD'


@pytest.mark.parametrize('host, expected', [
    ('server.test', 'server.test'), ('Server.TEST.', 'server.test.'), (str('a_b'), 'a_b'),
    ('b\xfccher.test', 'xn--bcher-kva.test'), ('127.0.0.1', '127.0.0.1'), ('::1', '::1'),
    ('[2001:DB8::1]', '2001:db8::1'), ('', 'is empty'), ('[a]', 'not an IPv6 address'),
    ('a..b', 'empty host label'), ('.', 'empty host label'), ('x' * 64, '63'), ('\ud800', 'host')] + [
        (host, 'not allowed') for host in (
            ' ', 'a b', 'a\n', 'a\0', 'a\\b', 'a:443', 'a/b', '*.test', 'me:hunter2@a', 'wss://a', '::1]')])
def test_parse_host(host, expected):
    """The same hosts as in URLs, and errors that name the value."""
    try:
        assert parse_host(host, 'server_hostname') == expected
    except ValueError as error:
        assert expected in str(error) and str(error).startswith("server_hostname '")
        assert 'hunter2' not in str(error)


@pytest.mark.parametrize('first, second, same', [
    ('ws://a/', 'ws://A:80/x?y', True), ('ws://a/', 'http://u:p@a/', True), ('ws://a/', 'wss://a/', True),
    ('http://a:80/', 'https://A:443/x', True), ('ws://[::1]/', 'wss://[::1]/', True),
    ('wss://a/', 'ws://a/', False), ('wss://a:80/', 'wss://a:443/', False), ('ws://a:81/', 'wss://a/', False),
    ('ws://a/', 'wss://a:444/', False), ('ws://a:81/', 'wss://a:81/', False), ('ws://a/', 'wss://b/', False),
    ('ws://a/', 'wss://a.b/', False), ('ws://a/', 'wss://a./', False), ('ws://a/', 'wss://a:80/', False),
    ('ws://a:443/', 'wss://a/', False), ('ws://a/', 'ws://a:81/', False), ('ws://a/', 'ws://b/', False),
    ('ws://[::1]/', 'ws://[::1]:80/', True)])
def test_same_origin(first, second, same):
    assert same_origin(parse_url(first), parse_url(second)) is same


PIECES = [
    'ws', 'wss', 'http', ':', '://', '//', '/', '@', '[', ']', '::1', '%25', '%', '?', '#', 'a',
    'example.test', '.', '..', ':80', '0', '\xe9', '\u2603', '\u3002', '\xdf', ' ', '\t', '\\', '\r\n', '%0d',
    '\ud800', 'u:p@', '\u2100', '\xad', 'xn--', '-', '_', '127.0.0.1', '\U0001f600']


@pytest.mark.ends
def test_random():
    """Only ValueError is raised, and nothing malformed gets on the wire."""
    dice = random.Random(6455)
    base = parse_url('ws://base.test/x')
    taken = 0
    for _ in range(6000):
        text = ''.join(dice.choice(PIECES) for _ in range(dice.randrange(1, 9)))
        if dice.random() < 0.6:
            text = 'ws://' + text
        mask_password(text)
        for call in (parse_url, lambda value: resolve_location(base, value)):
            try:
                url = call(text)
            except ValueError as error:
                assert all(32 <= ord(character) < 127 for character in str(error))
                continue
            taken += 1
            assert isinstance(url, Url) and 0 < url.port < 65536 and url.host
            wire = url.resource + url.host_header + url.authority + url.host
            assert all(33 <= ord(character) < 127 for character in wire)
            again = parse_url('{}://{}{}'.format(url.scheme, url.authority, url.resource))
            assert (again.resource, again.port) == (url.resource, url.port)
    assert taken > 150


def test_floor():
    """Importing the module loads nothing heavy, and of lomond only compat."""
    with io.open(url_module.__file__.replace('.pyc', '.py'), encoding='utf-8') as source:
        tree = ast.parse(source.read().encode('utf-8'))
    names = set(alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names)
    assert names == set(['binascii', 'socket'])
