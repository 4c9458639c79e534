# -*- coding: utf-8 -*-
"""Basic and Digest authentication: the vectors of the RFCs, and challenges as servers really write them."""

from __future__ import absolute_import, division, unicode_literals

import base64
import hashlib
import os

import pytest
from support.client import in_thread

from lomond.auth import DigestAuth, basic, parse_challenges
from lomond.response import Response

# --- Basic ---

@pytest.mark.parametrize('user, password, value', [
    ('Aladdin', 'open sesame', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='),       # RFC 7617, 2
    ('test', '123£', 'Basic dGVzdDoxMjPCow=='),                             # RFC 7617, 2.1
    ('', '', 'Basic Og=='), ('a', 'b:c:', 'Basic YTpiOmM6'),
    ('ü' * 100, 'p', 'Basic ' + base64.b64encode(('ü' * 100 + ':p').encode('utf-8')).decode('ascii')),
    (str('native'), str('text'), 'Basic bmF0aXZlOnRleHQ=')])
def test_basic(user, password, value):
    assert basic(user, password) == value
    assert isinstance(basic(user, password), type('text'))


BAD = [
    ('us:er', 'secret', ValueError, 'user has a colon'),
    ('us\ner', 'secret', ValueError, 'user has control characters'),
    ('user', 'sec\x00ret', ValueError, 'password has control characters'),
    ('user', 'sec\x7fret', ValueError, 'password has control characters'),
    (None, 'secret', TypeError, 'user must be text'), ('user', 7, TypeError, 'password must be text'),
    (b'\xe9', 'secret', TypeError, 'user must be text'),
    ('user', bytearray(b'secret'), TypeError, 'password must be text')]


@pytest.mark.parametrize('make', [basic, DigestAuth])
@pytest.mark.parametrize('user, password, error, message', BAD)
def test_bad_users_and_passwords(make, user, password, error, message):
    if make is DigestAuth and 'colon' in message:
        assert make(user, password)
        return
    with pytest.raises(error) as caught:
        make(user, password)
    assert message in str(caught.value)
    assert 'secret' not in str(caught.value) and 'sec' not in str(caught.value).replace('\n', '')


def test_half_a_surrogate_pair():
    thread = in_thread(basic, 'user', 'pass\ud800')     # whose exceptions have the context of no other test
    thread.join()
    assert isinstance(thread.error, ValueError)
    assert str(thread.error) == 'password has half a surrogate pair; it cannot be encoded as UTF-8'
    assert getattr(thread.error, '__context__', None) is None   # a UnicodeEncodeError carries the password


# --- challenges ---

CHALLENGES = [
    ([], []), (['', ' , ', '\t'], []), (['Basic'], [('basic', {})]),
    (['Basic realm="x"'], [('basic', {'realm': 'x'})]), (['BASIC REALM="X"'], [('basic', {'realm': 'X'})]),
    # RFC 7235, 4.1
    (['Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'],
     [('newauth', {'realm': 'apps', 'type': '1', 'title': 'Login to "apps"'}),
      ('basic', {'realm': 'simple'})]),
    (['Basic realm="a", Digest realm="b"', 'Digest realm="c"'],
     [('basic', {'realm': 'a'}), ('digest', {'realm': 'b'}), ('digest', {'realm': 'c'})]),
    (['Digest realm="a, b, Basic realm=c",opaque="x,y"'],
     [('digest', {'realm': 'a, b, Basic realm=c', 'opaque': 'x,y'})]),
    (['Digest realm = "a" , nonce\t=\tb'], [('digest', {'realm': 'a', 'nonce': 'b'})]),
    (['Digest ,, realm="a",,nonce=b,'], [('digest', {'realm': 'a', 'nonce': 'b'})]),
    (['Digest realm=""'], [('digest', {'realm': ''})]),
    (['Digest realm="\\\\\\a\\,"'], [('digest', {'realm': '\\a,'})]),
    (['Digest realm="first", realm="second"'], [('digest', {'realm': 'first'})]),
    (['Negotiate'], [('negotiate', {})]),
    (['Negotiate dG9rZW4=, NTLM  abc/+ , Basic realm=x'],
     [('negotiate', {'': 'dG9rZW4='}), ('ntlm', {'': 'abc/+'}), ('basic', {'realm': 'x'})]),
    (['Negotiate, Basic realm="x"'], [('negotiate', {}), ('basic', {'realm': 'x'})]),
    # a parameter before any scheme is a scheme that makes no sense; nothing hangs or fails
    (['realm="x"'], [('realm', {})]),
    # broken lines
    (['Digest realm="unterminated, nonce=x'], [('digest', {'realm': 'unterminated, nonce=x'})]),
    (['Digest realm="x\\'], [('digest', {'realm': 'x'})]),
    (['Digest realm="a", nonce=', 'Basic realm=b'], [('digest', {'realm': 'a'}), ('basic', {'realm': 'b'})]),
    (['Digest realm="a", nonce=@, opaque=x'], [('digest', {'realm': 'a'})]),
    (['Digest realm="a"; nonce="b"'], [('digest', {'realm': 'a'})]), (['@', '"', '= x'], []),
    (['Digest realm="caf\xe9"'], [('digest', {'realm': 'caf\xe9'})])]


@pytest.mark.parametrize('lines, challenges', CHALLENGES)
def test_parse_challenges(lines, challenges):
    assert parse_challenges(lines) == challenges


@pytest.mark.parametrize('line', [
    'a ' * 30000, 'a=' * 30000, 'Digest ' + 'a=b,' * 15000, 'Digest a="' + '\\"' * 30000, 'a' * 60000,
    'Digest ' + '=' * 60000, 'Digest ' + ' ' * 60000, 'Digest ' + 'a="",' * 12000, 'a ' + 'b' * 60000 + '@'])
@pytest.mark.ends
def test_long_lines_end(line):
    parse_challenges([line])


# --- Digest ---

RFC_7616 = ('Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=%s, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
            'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"')
RFC_2617 = ('Digest realm="testrealm@host.com", qop="auth,auth-int", '
            'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"')


def fields(value):
    """The parameters of an Authorization value, by the parser of challenges."""
    ((scheme, parameters),) = parse_challenges([value])
    assert scheme == 'digest'
    return parameters


@pytest.mark.parametrize('algorithm, response', [
    ('MD5', '8ca523f5e9506fed4657c9700eebdbec'),
    ('SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1')])
def test_rfc_7616_section_3_9_1(algorithm, response):
    cnonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ'
    auth = DigestAuth('Mufasa', 'Circle of Life')
    assert auth.answer([RFC_7616 % algorithm], 'GET', '/dir/index.html', cnonce) == (
        'Digest username="Mufasa", realm="http-auth@example.org", '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", uri="/dir/index.html", algorithm=' + algorithm
        + ', response="' + response + '", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", '
        'qop=auth, nc=00000001, cnonce="' + cnonce + '"')


def test_rfc_2617_section_3_5():
    auth = DigestAuth('Mufasa', 'Circle Of Life')
    assert auth.answer([RFC_2617], 'GET', '/dir/index.html', cnonce='0a4f113b') == (
        'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41", qop=auth, nc=00000001, cnonce="0a4f113b"')


def hashed(name, *parts):
    return getattr(hashlib, name)(b':'.join(part if isinstance(part, bytes) else part.encode('utf-8')
                                            for part in parts)).hexdigest()


@pytest.mark.parametrize('algorithm, name', [
    (None, 'md5'), ('MD5', 'md5'), ('md5-sess', 'md5'), ('SHA-256', 'sha256'), ('sha-256-SESS', 'sha256')])
@pytest.mark.parametrize('qop', [None, '', 'auth', 'auth-int,auth', ' AUTH '])
def test_by_the_book(algorithm, name, qop):
    """RFC 7616, 3.4.1-3.4.3; without qop RFC 2069."""
    challenge = 'Digest realm="r", nonce="n"' + (', algorithm=' + algorithm if algorithm else '') + (
        ', qop="' + qop + '"' if qop is not None else '')
    answer = fields(DigestAuth('u', 'p').answer([challenge], 'CONNECT', 'example.test:443', 'c'))
    a1 = hashed(name, 'u', 'r', 'p')
    is_session = 'sess' in (algorithm or '').lower()
    if is_session:
        a1 = hashed(name, a1, 'n', 'c')
    a2 = hashed(name, 'CONNECT', 'example.test:443')
    expected = {'username': 'u', 'realm': 'r', 'nonce': 'n', 'uri': 'example.test:443'}
    if algorithm:
        expected['algorithm'] = algorithm
    if qop:
        expected.update(qop='auth', nc='00000001',
                        response=hashed(name, a1, 'n', '00000001', 'c', 'auth', a2))
    else:
        expected['response'] = hashed(name, a1, 'n', a2)
    if qop or is_session:
        expected['cnonce'] = 'c'
    assert answer == expected


@pytest.mark.parametrize('lines', [
    [], ['Basic realm="x"'], ['Digest'], ['Digest realm="r"'], ['Digest nonce="n"'],
    ['Digest realm="r", nonce="n", qop="auth-int"'], ['Digest realm="r", nonce="n", qop=x'],
    ['Digest realm="r", nonce="n", algorithm=SHA-512-256'], ['Digest realm="r", nonce="n", algorithm=MD4'],
    ['Digest realm="r", nonce="n", algorithm=-sess'], ['Digest realm="r", nonce="n", algorithm=""'],
    # what could not go back in a header, or was decoded by somebody and lost
    ['Digest realm="r\x00", nonce="n"'], ['Digest realm="r", nonce="n\x1b"'],
    ['Digest realm="r", nonce="n", opaque="\x7f"'], ['Digest realm="\ufffd", nonce="n"']])
def test_not_supported(lines):
    assert DigestAuth('u', 'p').answer(lines, 'GET', '/') is None


def test_first_supported_challenge():
    lines = ['Negotiate, Basic realm="b", Digest realm="1", nonce="n", algorithm=SHA-512-256',
             'Digest realm="2", nonce="n", algorithm=SHA-256, qop="auth-int"',
             'Digest realm="3", nonce="n", algorithm=SHA-256, qop="auth"',
             'Digest realm="4", nonce="n", algorithm=MD5, qop="auth"']
    answer = fields(DigestAuth('u', 'p').answer(lines, 'GET', '/'))
    assert (answer['realm'], answer['algorithm']) == ('3', 'SHA-256')


def test_md5_that_is_switched_off(monkeypatch):
    """OpenSSL in FIPS mode."""
    def refuse(data=b''):
        raise ValueError('disabled for FIPS')
    monkeypatch.setattr(hashlib, 'md5', refuse)
    auth = DigestAuth('u', 'p')
    lines = ['Digest realm="r", nonce="n"', 'Digest realm="r", nonce="n", algorithm=SHA-256']
    assert auth.answer(lines[:1], 'GET', '/') is None
    assert fields(auth.answer(lines, 'GET', '/'))['algorithm'] == 'SHA-256'


def test_quoting_goes_both_ways():
    line = 'Digest realm="a \\"b\\", c\\\\d", nonce="n,\\"", opaque="o, \\\\"'
    response = Response(b'HTTP/1.1 401 x\r\nWWW-Authenticate: ' + line.encode('ascii') + b'\r\n\r\n')
    value = DigestAuth('u"s\\er', 'p').answer(response.header_lines('www-authenticate'), 'GET', '/?a="b"')
    answer = fields(value)
    assert 'username="u\\"s\\\\er", realm="a \\"b\\", c\\\\d", nonce="n,\\"", uri="/?a=\\"b\\""' in value
    assert answer['realm'] == 'a "b", c\\d' and answer['opaque'] == 'o, \\'
    assert answer['response'] == hashed('md5', hashed('md5', 'u"s\\er', 'a "b", c\\d', 'p'), 'n,"',
                                        hashed('md5', 'GET', '/?a="b"'))


def test_octets_of_the_realm_are_kept():
    raw = 'caf\xe9 \u2603'.encode('utf-8')
    response = Response(b'HTTP/1.1 401 x\r\nWWW-Authenticate: Digest realm="' + raw + b'", nonce=n\r\n\r\n')
    value = DigestAuth('u', 'p').answer(response.header_lines('WWW-Authenticate'), 'GET', '/')
    assert b'realm="' + raw + b'"' in value.encode('latin-1')
    assert fields(value)['response'] == hashed(
        'md5', hashed('md5', 'u', raw, 'p'), 'n', hashed('md5', 'GET', '/'))


USER = 'Jäsøn Doe'


@pytest.mark.parametrize('more, username', [
    (', charset=UTF-8', "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe,"),          # RFC 7616, 3.9.2
    (', charset="utf-8", userhash=false', "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe,"),
    ('', 'username="' + USER.encode('utf-8').decode('latin-1') + '",'),
    (', userhash=TRUE', 'username="' + hashed('md5', USER, 'r') + '",'),
    (', charset=UTF-8, userhash=true', 'username="' + hashed('md5', USER, 'r') + '",')])
def test_user_beyond_ascii(more, username):
    value = DigestAuth(USER, 'Secret, or not?').answer(['Digest realm=r, nonce=n' + more], 'GET', '/')
    assert value.startswith('Digest ' + username)
    assert value.endswith(', userhash=true') == ('userhash=t' in more.lower())
    assert 'response="%s"' % hashed('md5', hashed('md5', USER, 'r', 'Secret, or not?'), 'n',
                                    hashed('md5', 'GET', '/')) in value
    ascii_value = DigestAuth('u', 'p').answer(['Digest realm=r, nonce=n, charset=UTF-8'], 'GET', '/')
    assert 'username="u"' in ascii_value


def test_uses_of_a_nonce_are_counted():
    auth = DigestAuth('u', 'p')

    def count(nonce):
        line = 'Digest realm=r, qop=auth, nonce=' + nonce
        return fields(auth.answer([line], 'GET', '/'))['nc']
    assert [count('a'), count('a'), count('b'), count('a'), count('b')] == [
        '00000001', '00000002', '00000001', '00000003', '00000002']
    for number in range(100):
        assert count('n%d' % number) == '00000001'
    assert len(auth._uses) <= 8


def test_cnonce_is_random(monkeypatch):
    auth = DigestAuth('u', 'p')
    line = 'Digest realm=r, qop=auth, nonce=n'
    assert len(set(fields(auth.answer([line], 'GET', '/'))['cnonce'] for _ in range(10))) == 10
    monkeypatch.setattr(os, 'urandom', lambda size: b'\xab' * size)
    assert fields(auth.answer([line], 'GET', '/'))['cnonce'] == 'ab' * 16


def test_repr_shows_no_password():
    assert repr(DigestAuth('Mufasa', 'Circle')) == "DigestAuth('Mufasa', '***')"
    assert isinstance(repr(DigestAuth(USER, 'x')), str)
    assert repr(DigestAuth(USER, 'x')) == "DigestAuth('J\\xe4s\\xf8n Doe', '***')"
