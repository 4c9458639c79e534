"""Host names beyond ASCII, as browsers convert them (UTS 46, non-transitional).

Python's own codec is IDNA 2003: it takes the sharp s for ``ss`` and drops joiners,
which leads to another domain.  Here a label is mapped and checked by what
``unicodedata`` knows about its characters.  Where the Unicode versions in use disagree
about a character, it is refused, so the result is that of browsers, or none.

Knows nothing of: URLs, ASCII names, dots between labels.
"""

from __future__ import absolute_import, division, unicode_literals

import unicodedata

from .._compat import Pattern, casefold

_ZWNJ, _ZWJ = '\u200c', '\u200d'
# The deviations of UTS 46, section 4.  The capital sharp s belongs to them because its
# case folding is "ss", too.
_MAPPED = {'\xdf': '\xdf', '\u1e9e': '\xdf', '\u03c2': '\u03c2', _ZWNJ: _ZWNJ, _ZWJ: _ZWJ}
# What an editor puts into text unseen: soft hyphens, variation selectors and the like.
_IGNORED = Pattern('[\xad\u034f\u180b-\u180d\u200b\u2060\ufe00-\ufe0f\ufeff]')
# No pattern: 2.7 may have characters of two bytes, and then takes no such range.
_MORE_IGNORED = '\U000e0100', '\U000e01ef'
# Not valid, although neither categories nor mappings say so: letters that have had no
# lower case, or another decomposition, in IDNA 2003; fillers that nobody sees; and
# descriptions of ideographs.
_REFUSED = Pattern('[\u04c0\u10a0-\u10c5\u2132\u2183\u115f\u1160\u17b4\u17b5\u1806\u180f\u3164\uffa0'
                   '\u2ff0-\u2fff\u31ef\ufffc\ufffd]')
_MORE_REFUSED = frozenset(('\U0002f868', '\U0002f874', '\U0002f91f', '\U0002f95f', '\U0002f9bf'))
_BAD_ASCII = Pattern(r'[\x00-,./:-@\[-^`{-\x7f\u3002]')     # all but letters, digits, "-" and "_"
# Control, format, surrogate, private use, unassigned, separators.
_BAD_CATEGORIES = frozenset(('Cc', 'Cf', 'Cs', 'Co', 'Cn', 'Zs', 'Zl', 'Zp'))
_VIRAMA = 9                             # canonical combining class

# RFC 5893, 2: what each kind of label may consist of, and (before marks) end with.
_RIGHT_TO_LEFT = frozenset(('R', 'AL', 'AN'))
_NEUTRAL = frozenset(('EN', 'ES', 'CS', 'ET', 'ON', 'BN', 'NSM'))


def encode_label(label):
    """Return the ``xn--`` form of a label, or ASCII if that is what it is mapped to.

    :param label: text of at most 63 characters (longer text takes quadratic time)
    :returns: text; not checked for its length
    :raises ValueError: if it is not valid; the message continues "the host ..."
    """
    mapped = unicodedata.normalize('NFC', ''.join(map(_map, label)))
    _check(mapped)
    if all(character < '\x80' for character in mapped):
        return mapped
    if mapped.startswith('xn--'):
        raise ValueError('begins with xn-- and is not ASCII')
    return 'xn--' + mapped.encode('punycode').decode('ascii')


def _map(character):
    """UTS 46, section 5: how a character is written in lower case."""
    if character in _MAPPED:
        return _MAPPED[character]
    if _IGNORED.match(character) or _MORE_IGNORED[0] <= character <= _MORE_IGNORED[1]:
        return ''
    if _REFUSED.match(character) or character in _MORE_REFUSED:
        raise ValueError('contains a character that is not allowed')
    before, mapped = None, character
    while mapped != before:
        before, mapped = mapped, unicodedata.normalize('NFKC', casefold(mapped))
    return mapped


def _check(label):
    """UTS 46, section 4.1, without CheckHyphens."""
    if not label:
        raise ValueError('consists of invisible characters')
    if unicodedata.category(label[0]).startswith('M'):
        raise ValueError('begins with a combining mark')
    for position, character in enumerate(label):
        if character in (_ZWNJ, _ZWJ):
            if not _may_join(label, position):
                raise ValueError('contains a joiner that has no effect')
        elif unicodedata.category(character) in _BAD_CATEGORIES or _BAD_ASCII.match(character):
            raise ValueError('contains a character that is not allowed')
    classes = [unicodedata.bidirectional(character) for character in label]
    if not _RIGHT_TO_LEFT.isdisjoint(classes) and not _is_bidi_label(classes):
        raise ValueError('mixes right-to-left and left-to-right characters')


def _may_join(label, position):
    """RFC 5892, A.1 and A.2: a joiner needs a virama before it, or letters to part."""
    if position and unicodedata.combining(label[position - 1]) == _VIRAMA:
        return True
    if label[position] == _ZWJ:
        return False
    sides = []
    for side in (reversed(label[:position]), label[position + 1:]):
        sides.append(next((letter for letter in side if unicodedata.category(letter) != 'Mn'), ''))
    before, after = sides
    return before in _joining('<initial>') and after in _joining('<final>')


_forms = {}


def _joining(form):
    """The Arabic letters that have this presentation form.

    ``unicodedata`` has no joining types.  A letter with an initial form joins what
    follows it, one with a final form joins what precedes it.  This finds the letters of
    Arabic, Persian, Urdu and so on, not those of other scripts.
    """
    if not _forms:
        found = {'<initial>': set(), '<final>': set()}
        for code in range(0xfb50, 0xff00):
            parts = unicodedata.decomposition(_character(code)).split()
            if len(parts) == 2 and parts[0] in found:
                found[parts[0]].add(_character(int(parts[1], 16)))
        _forms.update(found)
    return _forms[form]


def _character(code):
    return ('\\u%04x' % code).encode('ascii').decode('unicode_escape')


def _is_bidi_label(classes):
    """RFC 5893, 2, for a label with right-to-left characters."""
    end = [kind for kind in classes if kind != 'NSM'][-1:]
    return (classes[0] in ('R', 'AL') and _NEUTRAL.union(_RIGHT_TO_LEFT).issuperset(classes)
            and end[0] in ('R', 'AL', 'EN', 'AN') and not ('EN' in classes and 'AN' in classes))
