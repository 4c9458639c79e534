"""permessage-deflate: options, offers, and what may be answered (RFC 7692, 5 and 7.1)."""

from __future__ import absolute_import, division, unicode_literals

import copy
import itertools
import pickle
import random
import struct
import zlib

import pytest
from six import unichr

from lomond.auth import DigestAuth
from lomond.compression import Deflate
from lomond.errors import CompressionParameterError, HandshakeError
from lomond.protocol.permessage_deflate import (
    DeflateParameters,
    negotiate_client,
    negotiate_server,
    parse_extensions,
)
from lomond.response import is_token

NAME = 'permessage-deflate'
NAMES = ('server_no_context_takeover', 'client_no_context_takeover', 'server_max_window_bits',
         'client_max_window_bits')


def values(parameters):
    """DeflateParameters as a tuple: no takeover of server, client; bits of server, client."""
    return None if parameters is None else tuple(getattr(parameters, name) for name in NAMES)


# -- options

def test_defaults():
    options = Deflate()
    assert (options.level, options.mem_level, options.min_size) == (6, 8, 0)
    assert [getattr(options, name) for name in NAMES] == [False, False, None, None]
    assert values(DeflateParameters()) == (False, False, 15, 15)


def test_order_of_the_arguments():
    """api.md, section 2."""
    options = Deflate(1, 2, 13, 14, True, False, 7)
    assert repr(options) == (
        'Deflate(level=1, mem_level=2, client_max_window_bits=13, server_max_window_bits=14, '
        'client_no_context_takeover=True, server_no_context_takeover=False, min_size=7)')
    assert type(repr(options)) is str
    assert repr(DeflateParameters(True, False, 9, 10)) == (
        'DeflateParameters(server_no_context_takeover=True, client_no_context_takeover=False, '
        'server_max_window_bits=9, client_max_window_bits=10)')


@pytest.mark.parametrize('name, good, bad, allowed', [
    ('level', (0, 1, 9), (-1, 10, 2 ** 70), '0 - 9'), ('mem_level', (1, 9), (0, 10, -1), '1 - 9'),
    ('client_max_window_bits', (None, False, 8, 15), (7, 16, 0, -15), '8 - 15, False or None'),
    ('server_max_window_bits', (None, 8, 15), (7, 16, 0, -15), '8 - 15 or None'),
    ('min_size', (0, 1, 2 ** 31), (-1, 2 ** 70), '0 or more')])
def test_numbers(name, good, bad, allowed):
    for value in good:
        assert getattr(Deflate(**{str(name): value}), name) is value
    for value in bad:
        with pytest.raises(ValueError) as caught:
            Deflate(**{str(name): value})
        assert str(caught.value) == '%s is %d; %s is allowed' % (name, value, allowed)
    for value in (True, '9', b'9', 9.0, []):
        with pytest.raises(TypeError) as caught:
            Deflate(**{str(name): value})
        assert str(caught.value) == '%s must be an integer%s, not %s' % (
            name, allowed[6:] if 'None' in allowed else '', value if value is True else type(value).__name__)


@pytest.mark.parametrize('name', NAMES[:2])
def test_flags(name):
    assert getattr(Deflate(**{str(name): True}), name) is True
    for value in (1, 0, None, 'no'):
        with pytest.raises(TypeError) as caught:
            Deflate(**{str(name): value})
        assert str(caught.value) == '%s must be True or False, not %s' % (name, type(value).__name__)


@pytest.mark.parametrize('options, offer', [
    ({}, 'client_max_window_bits'), (dict(level=1, mem_level=9, min_size=100), 'client_max_window_bits'),
    (dict(client_max_window_bits=10), 'client_max_window_bits=10'),
    (dict(client_max_window_bits=15), 'client_max_window_bits=15'),
    (dict(client_max_window_bits=False, server_max_window_bits=9), 'server_max_window_bits=9'),
    (dict(client_max_window_bits=False, client_no_context_takeover=True), 'client_no_context_takeover'),
    (dict(server_max_window_bits=12), 'server_max_window_bits=12; client_max_window_bits'),
    (dict(server_no_context_takeover=True), 'server_no_context_takeover; client_max_window_bits'),
    (dict(client_no_context_takeover=True), 'client_no_context_takeover; client_max_window_bits'),
    (dict(client_no_context_takeover=True, server_no_context_takeover=True, server_max_window_bits=8,
          client_max_window_bits=9),
     'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; '
     'client_max_window_bits=9')])
def test_offer(options, offer):
    assert Deflate(**options).offer() == 'permessage-deflate; ' + offer
    assert Deflate(client_max_window_bits=False).offer() == 'permessage-deflate'


# -- another implementation

def test_another_module():
    options = Deflate(level=1, zlib=zlib)
    assert options.zlib is zlib and Deflate().zlib is None
    assert repr(options).endswith(', min_size=0, zlib=%r)' % zlib)
    for twin in (copy.copy(options), copy.deepcopy(options), copy.deepcopy([options])[0]):
        assert type(twin) is Deflate and twin is not options and vars(twin) == vars(options)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(options, protocol)
        assert 'cannot be pickled' in str(caught.value)
        assert vars(pickle.loads(pickle.dumps(Deflate(level=3), protocol))) == vars(Deflate(level=3))


@pytest.mark.parametrize('module', ['zlib', 0, False, struct, DigestAuth('a', 'b')])
def test_no_such_module(module):
    with pytest.raises(TypeError) as caught:
        Deflate(zlib=module)
    assert str(caught.value) == (
        'zlib must be a module with the interface of zlib, or None; %r has no compressobj' % (module,))


# -- the header

@pytest.mark.parametrize('header, extensions', [
    ([], []), ([''], []), ([' , ,\t,'], []), (['a'], [('a', [])]), (['a', 'b'], [('a', []), ('b', [])]),
    (['a, b', 'c'], [('a', []), ('b', []), ('c', [])]), ([',a ,,\tb,'], [('a', []), ('b', [])]),
    (['a; b; c=d'], [('a', [('b', None), ('c', 'd')])]),
    (['a;b;c=d,e;f'], [('a', [('b', None), ('c', 'd')]), ('e', [('f', None)])]),
    (['\ta ;\tb ; c = d ,e'], [('a', [('b', None), ('c', 'd')]), ('e', [])]),
    (['a; b="c"; d="e\\f"'], [('a', [('b', 'c'), ('d', 'ef')])]),
    (['a; b = "c" ; d'], [('a', [('b', 'c'), ('d', None)])]),
    (['a; b=; c=""'], [('a', [('b', ''), ('c', '')])]),
    (['A-Name; Param=Value'], [('a-name', [('param', 'Value')])]),
    (["!#$%&'*+-.^_`|~0aZ; !#$%&'*+-.^_`|~0aZ=!#$%&'*+-.^_`|~0aZ"],
     [("!#$%&'*+-.^_`|~0az", [("!#$%&'*+-.^_`|~0az", "!#$%&'*+-.^_`|~0aZ")])]),
    (['a; b; b; b=1'], [('a', [('b', None), ('b', None), ('b', '1')])]),
    ([str('a; b=c')], [('a', [('b', 'c')])])])
def test_parse_extensions(header, extensions):
    assert parse_extensions(header) == extensions


@pytest.mark.parametrize('header, at', [
    (';', ';'), ('=', '='), ('"', '"'), ('a b', 'a b'), ('a=b', 'a=b'), ('a;', ';'), ('a;,b', ';,b'),
    ('a;;b', ';;b'), ('a; =b', '; =b'), ('a; b c', '; b c'), ('a; b==c', '; b==c'), ('a; b="c', '; b="c'),
    ('a; b=c"', '; b=c"'), ('a; b="c"d', '; b="c"d'), ('a; b="c d"', '; b="c d"'),
    ('a; b="c,d"', '; b="c,d"'),
    ('a; b="c;d"', '; b="c;d"'), ('a; b="\\""', '; b="\\\\""'), ('a; b=c d', '; b=c d'), ('a; "b"', '; "b"'),
    ('"a"', '"a"'), ('a; (b)', '; (b)'), ('\xe9', '\\xe9'), ('a; \u2603', '; \\u2603'), ('a\x00', 'a\\x00'),
    ('a\r\nb', 'a\\r\\nb'), ('x, a\x0bb', 'a\\x0bb'), ('a; b=\x7f', '; b=\\x7f'), ('a\xa0', 'a\\xa0'),
    ('ok; fine, (' + 'x' * 200, '(' + 'x' * 79 + '...')])
def test_parse_junk(header, at):
    with pytest.raises(HandshakeError) as caught:
        parse_extensions(['good', header])
    assert str(caught.value) == "Sec-WebSocket-Extensions is malformed at '%s' (RFC 6455, 9.1)" % at


def test_token_characters():
    """Of names, parameters and values, plain and quoted: RFC 7230, 3.2.6, and nothing else."""
    for number in list(range(256)) + [0x130, 0x131, 0x17f, 0x212a, 0x660, 0xff10]:
        character = unichr(number)
        if number < 128 and is_token(character.encode('ascii')):
            expected = [('x' + character.lower(), [(character.lower(), character), ('y', character)])]
            assert parse_extensions(['x%s; %s=%s; y="%s"' % ((character,) * 4)]) == expected
        elif character not in ' \t;,=\\':
            for header in ('x%sy', 'x; y%s', 'x; y=y%sy', 'x; y="y%sy"', 'x; y="\\%sy"'):
                with pytest.raises(HandshakeError):
                    parse_extensions([header % character])


@pytest.mark.ends
def test_parse_takes_linear_time():
    """Quotes, backslashes and blanks that lead nowhere; a quadratic parser needs minutes for it."""
    for unit in ('a; b="', '\\', '"\\', ' ', ';', '; a', ',', 'a,', '; a="a"', 'a=', '"a', '\t;'):
        for head in ('a', 'a; b="', 'a; b=', ''):
            try:
                parse_extensions([head + unit * 20000])
            except HandshakeError:
                pass


# -- the client

NOT_OFFERED, TWICE = "extension '%s' was not offered", 'extension permessage-deflate is repeated'


def both(words):
    """The parameters with and without everything that the grammar leaves free."""
    yield NAME + ''.join('; ' + word for word in words)
    yield NAME.upper() + ''.join(';' + word.upper() for word in words)
    yield '\t' + NAME + ' ' + ''.join('\t; \t' + word.replace('=', ' =\t') + ' ' for word in words)
    yield NAME + ''.join('; ' + word.replace('=', '="') + '"' * ('=' in word) for word in words) + ','
    yield NAME + ''.join('; ' + word for word in reversed(words))


@pytest.mark.parametrize('flags', range(4))
@pytest.mark.parametrize('server_bits', [None] + list(range(8, 16)))
@pytest.mark.parametrize('client_bits', [None, 8, 9, 12, 15])
def test_every_answer_to_the_default_offer(flags, server_bits, client_bits):
    words = [name for bit, name in enumerate(NAMES[:2]) if flags >> bit & 1]
    words += ['server_max_window_bits=%s' % server_bits] * bool(server_bits)
    words += ['client_max_window_bits=%s' % client_bits] * bool(client_bits)
    for answer in both(words):
        names, parameters = negotiate_client(Deflate(), [answer])
        assert names == set([NAME])
        assert values(parameters) == (bool(flags & 1), bool(flags & 2), server_bits or 15, client_bits or 15)


def test_no_extension_and_junk():
    for options in (None, Deflate()):
        for answer in ([], [''], [' ,']):
            assert negotiate_client(options, answer) == (set(), None)
        with pytest.raises(HandshakeError):
            negotiate_client(options, [NAME + ';'])


@pytest.mark.parametrize('options, answer, expected', [
    (dict(client_max_window_bits=10), '', (False, False, 15, 10)),
    (dict(client_max_window_bits=10), '; client_max_window_bits=12', (False, False, 15, 10)),
    (dict(client_max_window_bits=10), '; client_max_window_bits=9', (False, False, 15, 9)),
    (dict(client_no_context_takeover=True), '', (False, True, 15, 15)),
    (dict(client_no_context_takeover=True), '; client_no_context_takeover', (False, True, 15, 15)),
    (dict(server_no_context_takeover=True), '; server_no_context_takeover', (True, False, 15, 15)),
    (dict(server_max_window_bits=12), '; server_max_window_bits=12', (False, False, 12, 15)),
    (dict(server_max_window_bits=12), '; server_max_window_bits=8', (False, False, 8, 15)),
    (dict(server_max_window_bits=15), '; server_max_window_bits=15', (False, False, 15, 15)),
    (dict(client_max_window_bits=False), '; server_max_window_bits=9', (False, False, 9, 15))])
def test_answers_to_other_offers(options, answer, expected):
    names, parameters = negotiate_client(Deflate(**options), [NAME + answer])
    assert values(parameters) == expected


def bits_message(name, what):
    return 'parameter %s of permessage-deflate has %s; 8 - 15 is allowed' % (name, what)


REFUSED = [
    ({}, NAME + ',' + NAME, TWICE), ({}, NAME + '; client_max_window_bits=9, ' + NAME.upper(), TWICE),
    ({}, NAME + '; unknown', "parameter 'unknown' of permessage-deflate is unknown"),
    ({}, NAME + '; unknown=1', "parameter 'unknown' of permessage-deflate is unknown"),
    ({}, NAME + '; server_no_context_takeover; Server_No_Context_Takeover',
     'parameter server_no_context_takeover of permessage-deflate is repeated'),
    ({}, NAME + '; server_max_window_bits=10; server_max_window_bits=10',
     'parameter server_max_window_bits of permessage-deflate is repeated'),
    ({}, NAME + '; server_no_context_takeover=1',
     "parameter server_no_context_takeover of permessage-deflate has the value '1'; none is allowed"),
    ({}, NAME + '; client_no_context_takeover=""',
     "parameter client_no_context_takeover of permessage-deflate has the value ''; none is allowed"),
    ({}, NAME + '; client_max_window_bits', bits_message('client_max_window_bits', 'no value')),
    (dict(client_max_window_bits=False), NAME + '; client_max_window_bits=15',
     'parameter client_max_window_bits of permessage-deflate was not offered'),
    (dict(server_no_context_takeover=True), NAME,
     'parameter server_no_context_takeover of permessage-deflate is missing; it was asked for'),
    (dict(server_max_window_bits=12), NAME,
     'parameter server_max_window_bits of permessage-deflate is missing; at most 12 was asked for'),
    (dict(server_max_window_bits=15), NAME,
     'parameter server_max_window_bits of permessage-deflate is missing; at most 15 was asked for'),
    (dict(server_max_window_bits=12), NAME + '; server_max_window_bits=13',
     'parameter server_max_window_bits of permessage-deflate is 13; at most 12 was asked for'),
] + [
    ({}, '%s; %s=%s' % (NAME, name, value), bits_message(name, "the value '%s'" % value.strip('"')))
    for name in NAMES[2:] for value in (
        '7', '16', '0', '010', '08', '1', '15.0', '+9', '-9', '0x9', '1e1', 'abc', '', '""', '"7"', '9' * 60)]


@pytest.mark.parametrize('options, answer, message', REFUSED)
def test_refused_answers(options, answer, message):
    with pytest.raises(CompressionParameterError) as caught:
        negotiate_client(Deflate(**options), [answer])
    assert str(caught.value) == message


@pytest.mark.parametrize('options, answer, name', [
    (None, NAME, NAME), (None, 'x-other; a=1', 'x-other'), (Deflate(), 'x-other', 'x-other'),
    (Deflate(), NAME + ', x-other', 'x-other'), (Deflate(), 'permessage-deflate2', 'permessage-deflate2'),
    (Deflate(), 'x-webkit-deflate-frame', 'x-webkit-deflate-frame'), (None, 'y' * 100, 'y' * 80 + '...')])
def test_not_offered(options, answer, name):
    with pytest.raises(HandshakeError) as caught:
        negotiate_client(options, [answer])
    assert type(caught.value) is HandshakeError and str(caught.value) == NOT_OFFERED % name


# -- the server

@pytest.mark.parametrize('options, offers, answer, expected', [
    ({}, ['; client_max_window_bits'], '', (False, False, 15, 15)), ({}, [''], '', (False, False, 15, 15)),
    ({}, ['; client_max_window_bits=15'], '; client_max_window_bits=15', (False, False, 15, 15)),
    ({}, ['; client_max_window_bits=10'], '; client_max_window_bits=10', (False, False, 15, 10)),
    ({}, ['; server_max_window_bits=15'], '; server_max_window_bits=15', (False, False, 15, 15)),
    ({}, ['; server_max_window_bits=8'], '; server_max_window_bits=8', (False, False, 8, 15)),
    ({}, ['; server_no_context_takeover'], '; server_no_context_takeover', (True, False, 15, 15)),
    ({}, ['; client_no_context_takeover'], '; client_no_context_takeover', (False, True, 15, 15)),
    (dict(server_no_context_takeover=True, client_no_context_takeover=True), [''],
     '; server_no_context_takeover; client_no_context_takeover', (True, True, 15, 15)),
    (dict(server_max_window_bits=11), [''], '; server_max_window_bits=11', (False, False, 11, 15)),
    (dict(server_max_window_bits=11), ['; server_max_window_bits=9'], '; server_max_window_bits=9',
     (False, False, 9, 15)),
    (dict(server_max_window_bits=11), ['; server_max_window_bits=12'], '; server_max_window_bits=11',
     (False, False, 11, 15)),
    (dict(client_max_window_bits=11), ['; client_max_window_bits'], '; client_max_window_bits=11',
     (False, False, 15, 11)),
    (dict(client_max_window_bits=11), ['; client_max_window_bits=9'], '; client_max_window_bits=9',
     (False, False, 15, 9)),
    (dict(client_max_window_bits=11), [''], '', (False, False, 15, 15)),
    (dict(client_max_window_bits=False), ['; client_max_window_bits=9'], '', (False, False, 15, 9)),
    (dict(client_max_window_bits=False), ['; client_max_window_bits'], '', (False, False, 15, 15)),
    # the first that can be accepted
    ({}, ['; unknown', '; server_max_window_bits=10'], '; server_max_window_bits=10', (False, False, 10, 15)),
    ({}, ['; server_max_window_bits', '; server_max_window_bits=7', ''], '', (False, False, 15, 15)),
    ({}, ['; server_max_window_bits=010', '; client_no_context_takeover=1', '; client_max_window_bits=x',
          '; server_no_context_takeover; server_no_context_takeover', '; client_max_window_bits=""', ';',
          '; client_max_window_bits=9', ''], '; client_max_window_bits=9', (False, False, 15, 9))])
def test_server(options, offers, answer, expected):
    for header in ([NAME + offer for offer in offers],
                   ['x-other; a="b"', 'x y z'] + [NAME + offer for offer in offers]):
        text, parameters = negotiate_server(Deflate(**options), header)
        assert text == NAME + answer and values(parameters) == expected
    if ';' not in offers:
        text, parameters = negotiate_server(Deflate(**options), [', '.join(NAME + offer for offer in offers)])
        assert text == NAME + answer and values(parameters) == expected


@pytest.mark.parametrize('options, offers', [
    (None, [NAME]), (None, []), (Deflate(), []), (Deflate(), ['']), (Deflate(), ['x-other']),
    (Deflate(), [NAME + '; unknown', 'junk;']), (Deflate(), [NAME + '; server_max_window_bits'])])
def test_server_agrees_to_nothing(options, offers):
    assert negotiate_server(options, offers) == (None, None)


def all_options():
    for server_bits, client_bits in itertools.product((None, 8, 9, 12, 15), (None, False, 8, 9, 12, 15)):
        for server_flag, client_flag in itertools.product((False, True), repeat=2):
            yield Deflate(client_max_window_bits=client_bits, server_max_window_bits=server_bits,
                          client_no_context_takeover=client_flag, server_no_context_takeover=server_flag)


def test_client_and_server_come_to_the_same():
    """Whatever both are set to, our client takes what our server answers and means the same by it."""
    servers = list(all_options())
    for client in all_options():
        for server in servers[::7] + [Deflate()]:
            answer, theirs = negotiate_server(server, [client.offer()])
            names, ours = negotiate_client(client, [answer])
            assert names == set([NAME]) and values(ours) == values(theirs)
            for name in NAMES[:2]:
                assert getattr(ours, name) >= getattr(client, name)
            for name in NAMES[2:]:
                assert getattr(ours, name) <= (getattr(client, name) or 15)


def test_hostile_headers():
    randoms = random.Random(7692)
    pieces = list(NAMES) + [
        NAME, ';', ';', ',', '=', '"', '\\', ' ', '9', '15', '7', '', 'x', '\xe9', '\x00', '; ', '=10']
    for _ in range(5000):
        header = ''.join(randoms.choice(pieces) for _ in range(randoms.randrange(12)))
        header = NAME + '; ' + header if randoms.random() < 0.5 else header
        try:
            names, parameters = negotiate_client(Deflate(), [header])
            assert (parameters is not None) == bool(names)
        except HandshakeError as error:
            assert len(str(error)) < 250 and '\n' not in str(error)
        answer, parameters = negotiate_server(Deflate(), [header])
        assert (parameters is None) == (answer is None)
