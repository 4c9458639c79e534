# -*- coding: utf-8 -*-
"""Host names beyond ASCII: the name that a browser would ask for, or an error."""

from __future__ import absolute_import, division, unicode_literals

import unicodedata

import pytest

from lomond.network.url import ascii_name

GOOD = [
    # kept by UTS 46 (non-transitional), other names in IDNA 2003
    ('fa\xdf.de', 'xn--fa-hia.de'), ('Fa\xdf.DE', 'xn--fa-hia.de'), ('FA\u1e9e.de', 'xn--fa-hia.de'),
    ('fass.de', 'fass.de'), ('stra\xdfe.b\xfccher.de', 'xn--strae-oqa.xn--bcher-kva.de'),
    ('\u03b2\u03cc\u03bb\u03bf\u03c2.com', 'xn--nxasmm1c.com'),
    ('\u0392\u038c\u039b\u039f\u03a3.com', 'xn--nxasmq6b.com'),         # the capital is no final sigma
    ('\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com', 'xn--mgba3gch31f060k.com'),
    ('\u0dc1\u0dca\u200d\u0dbb\u0dd3.com', 'xn--10cl1a0b660p.com'),
    ('\u0dc1\u0dca\u200c\u0dbb\u0dd3.com', 'xn--10cl1a0b160p.com'),
    ('\u0628\u064e\u200c\u064e\u0628', 'xn--ngba7ia3604a'),             # marks are transparent
    # mapped
    ('e\u0301a\u030a', 'xn--5cah'), ('\ufb01\u216b\u2460.\uff21\uff42\uff0e\u017fs', 'fixii1.ab.ss'),
    ('a\uff61b\uff0ec\u3002d', 'a.b.c.d'), ('a\xad\u200b\ufeff\ufe0f\U000e0100b', 'ab'),
    ('\u0130\u0149', 'xn--in-cob31a'), ('\U0001d6d3', 'xn--4xa'), ('\uff58n--fa-hia', 'xn--fa-hia'),
    ('i\u2764\ufe0f', 'xn--i-7iq'), ('\u2260', 'xn--1ch'),
    # right to left: the rule of RFC 5893 allows more than IDNA 2003
    ('\u05d0\u05d11', 'xn--1-zhcd'), ('\u05d0-\u05d1\u05b8', 'xn----ngc4ef'), ('1.\u05d0', '1.xn--4db'),
    # ASCII labels are not judged
    ('xn--a', 'xn--a'), ('XN--FA-HIA.de', 'xn--fa-hia.de'), ('-_-', '-_-')]

BAD = [(words, label) for words, labels in [
    ('joiner', ['a\u200cb', 'a\u200db', '\u200c\u0628', '\u0628\u200c', '\u0628\u200d\u0628', 'fa\xdf\u200d',
                '\u0627\u200c\u0628', '\u0628\u200ca', '\u0628\u200c\u200c\u0628', '\u2764\u200d\u2764']),
    ('combining mark', ['\u0301a', '\xad\u0308']), ('invisible', ['\xad', '\u200b\u2060']),
    ('not allowed', ['a b\xfc']), ('xn--', ['xn--b\xfccher', 'XN--\xdf']),
    ('right-to-left', ['a\u05d0', '\u05d0a', '1\u05d0', '\u05d0-', '\u0627\u0661' + '1', '-\u05d0']),
    ('not allowed', [
        '\u2100', 'a\u2026b', '\ufe12a', '\u2488', 'a\uff0fb', 'a\uff20b', 'a\uff1ab', 'a\xa0b', 'a\xa8',
        '\u200ea', '\u202e\u05d0', '\ue000', '\ufffd', '\ufdd0', '\u0378', '\ud800', '\U0010ffff', '\u0600',
        '\u04c0', '\u10a0', '\u2132', '\u2183', '\U0002f868', '\u115f', '\u1806', '\u2ff0', 'a%\xfc'])]
    for label in labels]


@pytest.mark.parametrize('host, name', GOOD)
def test_good_names(host, name):
    assert ascii_name(host) == ascii_name(name) == name


@pytest.mark.parametrize('words, label', BAD)
def test_bad_names(words, label):
    for host in (label, 'www.{}.test'.format(label)):
        with pytest.raises(ValueError) as caught:
            ascii_name(host)
        assert type(caught.value) is ValueError and words in str(caught.value)


def test_a_name_is_stable():
    """What a label was converted to means itself; nothing but ValueError is raised."""
    taken = 0
    for code in list(range(0x80, 0x3400, 5)) + list(range(0xf900, 0xffff, 7)):
        character = ('\\u%04x' % code).encode('ascii').decode('unicode_escape')
        try:
            name = ascii_name(character)
        except ValueError:
            continue
        taken += 1
        label = name[4:].encode('ascii').decode('punycode') if name.startswith('xn--') else name
        assert ascii_name(label) == name
        assert unicodedata.normalize('NFC', label) == label
    assert taken > 1500
