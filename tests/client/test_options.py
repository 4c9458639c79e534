"""The checks of the arguments of ``WebSocket``, one by one."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond._compat import PY2
from lomond.auth import DigestAuth
from lomond.client import options
from lomond.compression import Deflate

NAN = float('nan')


class Path(object):
    """A path of ``pathlib``, which 2.7 does not have."""

    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return self._path


GOOD = [
    (options.check_protocols, (None,), []), (options.check_protocols, ([],), []),
    (options.check_protocols, (('b', 'a'),), ['b', 'a']),
    (options.check_text_header, ('agent', b'User-Agent', None), None),
    (options.check_text_header, ('agent', b'User-Agent', '\xfc'), '\xfc'),
    (options.header_pairs, (None,), []), (options.header_pairs, ({'a': b'b'},), [(b'a', b'b')]),
    (options.header_pairs, ([('a', '\xe9'), [b'a', b'c']],), [(b'a', b'\xc3\xa9'), (b'a', b'c')]),
    (options.check_headers, (None,), None), (options.check_headers, (list,), list),
    (options.check_auth, (None,), None), (options.check_auth, (['u', 'p'],), ('u', 'p')),
    (options.check_cookies, (None,), None), (options.check_cookies, ({'a': 'b=c'},), {'a': 'b=c'}),
    (options.check_cookies, ('a=b; c=d',), 'a=b; c=d'),
    (options.check_compress, (False,), None), (options.check_compress, (None,), None),
    (options.check_compress, (0,), None),
    (options.check_size, ('most', None, 0), None), (options.check_size, ('most', 0, 0), 0),
    (options.check_time, ('poll', None), None), (options.check_time, ('poll', 0), 0),
    (options.check_time, ('poll', 1.5), 1.5), (options.check_poll, (0.001,), 0.001),
    (options.check_time, ('poll', 10 ** 9), 10 ** 9), (options.check_poll, (1e9,), 1e9),
    (options.check_time, ('poll', 10 ** 400), None), (options.check_time, ('poll', 1e308), None),
    (options.check_time, ('poll', float('inf')), None),
    (options.check_source_address, (None,), None), (options.check_source_address, (['::1', 0],), ('::1', 0)),
    (options.check_socket_options, (None,), None),
    (options.check_socket_options, ([[1, 2, 3], (1, 2, b'x')],), [(1, 2, 3), (1, 2, b'x')]),
    (options.check_path, ('uds', None), None), (options.check_path, ('uds', b'/x'), b'/x'),
    (options.check_path, ('uds', Path('/x')), '/x')]


@pytest.mark.parametrize('check, arguments, expected', GOOD)
def test_good(check, arguments, expected):
    assert check(*arguments) == expected


BAD = [
    (options.check_protocols, ('a',), TypeError, 'list or tuple'),
    (options.check_protocols, ([1],), TypeError, 'int'),
    (options.check_protocols, (['a b'],), ValueError, "'a b' is not a token"),
    (options.check_protocols, (['\ud800'],), ValueError, "'\\ud800' is not a token"),
    (options.check_protocols, (['a', 'a'],), ValueError, "'a' is listed twice"),
    (options.check_text_header, ('agent', b'User-Agent', 5), TypeError, 'agent must be text, not int'),
    (options.check_text_header, ('agent', b'User-Agent', '\ud800'), ValueError, 'agent has half a surrogate'),
    (options.check_text_header, ('agent', b'User-Agent', 'a\nb'), ValueError, 'User-Agent'),
    (options.header_pairs, (iter([]),), TypeError, 'iterator'),
    (options.header_pairs, (['ab'],), TypeError, 'pairs'),
    (options.header_pairs, ([('a', 'b', 'c')],), TypeError, 'pairs'),
    (options.header_pairs, ({'a': None},), TypeError, 'NoneType'),
    (options.header_pairs, ({'a': '\ud800'},), ValueError, 'half a surrogate'),
    (options.header_pairs, ({'UPGRADE': 'x'},), ValueError, "'upgrade' belongs to"),
    (options.header_pairs, ({b'Sec-WebSocket-Foo': 'x'},), ValueError, "'sec-websocket-foo' belongs to"),
    (options.header_pairs, ([(b'proxy-AUTHORIZATION', 'x')],), ValueError, 'into proxy_headers'),
    (options.check_headers, ({'Proxy-Authorization': 'x'},), ValueError, "into the proxy's URL"),
    (options.check_headers, (5,), TypeError, 'int'),
    (options.check_auth, ('u:p',), TypeError, 'auth must be'),
    (options.check_auth, (('u',),), TypeError, 'auth must be'),
    (options.check_auth, ((1, 'p'),), TypeError, 'int'), (options.check_cookies, (5,), TypeError, 'int'),
    (options.check_cookies, ({'a': 1},), TypeError, 'value of a cookie'),
    (options.check_cookies, ({1: 'a'},), TypeError, 'name of a cookie'),
    (options.check_cookies, ({'a': 'b;c'},), ValueError, "value of cookie 'a'"),
    (options.check_cookies, ({'': 'b'},), ValueError, 'name of cookie'),
    (options.check_cookies, ({'a=': 'b'},), ValueError, 'name of cookie'),
    (options.check_cookies, ('a\r\nb',), ValueError, 'Cookie'),
    (options.check_compress, ('yes',), TypeError, 'str' if not PY2 else 'unicode'),
    (options.check_size, ('most', -1, 0), ValueError, 'most is -1; 0 or more is allowed'),
    (options.check_size, ('most', 1.5, 0), TypeError, 'float'),
    (options.check_size, ('most', True, 0), TypeError, 'bool'),
    (options.check_time, ('poll', -0.1), ValueError, 'poll is -0.1'),
    (options.check_time, ('poll', NAN), ValueError, 'nan'),
    (options.check_time, ('poll', '5'), TypeError, 'poll must be a number'),
    (options.check_time, ('poll', -10 ** 5000), ValueError, 'poll is -9'),
    (options.check_poll, (10 ** 5000,), ValueError, 'poll is too large'),
    (options.check_poll, (float('inf'),), ValueError, 'too large'),
    (options.check_poll, (-10 ** 400,), ValueError, 'above 0'),
    (options.check_poll, (0,), ValueError, 'above 0'), (options.check_poll, (None,), TypeError, 'NoneType'),
    (options.check_source_address, ('::1',), TypeError, '(host, port)'),
    (options.check_source_address, ((1, 2),), TypeError, 'host of source_address'),
    (options.check_source_address, (('::1', 65536),), ValueError, '65536'),
    (options.check_source_address, (('::1', '1'),), TypeError, 'port of source_address'),
    (options.check_socket_options, (5,), TypeError, 'int'),
    (options.check_socket_options, ([(1, 2)],), ValueError, '(1, 2)'),
    (options.check_socket_options, ([(1, 'x', 2)],), TypeError, 'level and name'),
    (options.check_socket_options, ([(1, 2, True)],), TypeError, 'bool'),
    (options.check_path, ('uds', 5), TypeError, 'int'),
    (options.check_path, ('uds', ''), ValueError, 'empty'),
    (options.check_path, ('uds', b'a\0'), ValueError, 'NUL'),
    (options.check_path, ('uds', 'a\0'), ValueError, 'NUL')]


@pytest.mark.parametrize('check, arguments, kind, words', BAD)
def test_bad(check, arguments, kind, words):
    with pytest.raises(kind) as caught:
        check(*arguments)
    assert type(caught.value) is kind and words in str(caught.value)


def test_objects_are_kept():
    digest, deflate = DigestAuth('user', 'password'), Deflate(level=1)
    assert options.check_auth(digest) is digest and options.check_compress(deflate) is deflate
    for true in (True, 1):
        assert isinstance(options.check_compress(true), Deflate)
