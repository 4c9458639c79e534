"""Text out of UTF-8, checked while it arrives (RFC 3629).

The codec of the standard library does the validation: it is written in C and twenty
times faster than any check in Python.  But it does not refuse a bad byte before the
character is complete (``ED A0`` can only become a surrogate, ``F4 90`` is above
U+10FFFF), so the bytes it holds back are checked here.

Knows nothing of: what the text is for.
"""

from __future__ import absolute_import, division, unicode_literals

import codecs

from .._compat import Pattern, to_bytes, utf_8_decode
from ..errors import CriticalProtocolError

# A character that is not complete but may become one (RFC 3629, 4).
_UNFINISHED = Pattern(
    b'(?:[\xc2-\xdf]'
    b'|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?'
    b'|(?:\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3](?:[\x80-\xbf][\x80-\xbf]?)?'
    b'|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?))')


def decode(data):
    """Decode a whole payload.

    :param data: bytes, bytearray, or a memoryview of bytes
    :returns: text
    :raises CriticalProtocolError: if it is not valid UTF-8; surrogates are refused on
        2.7 as well
    """
    try:
        return utf_8_decode(data, 'strict', True)[0]
    except UnicodeDecodeError as error:
        raise _refusal(to_bytes(data), error.start, 0)


def _refusal(data, start, offset):
    """Make the error for an invalid character that begins at ``start``.

    :param offset: bytes of the text before ``data``
    """
    found = _UNFINISHED.match(data, start)
    bad = found.end() if found else start
    if bad == len(data):
        return CriticalProtocolError('text is not valid UTF-8; it ends inside a character')
    return CriticalProtocolError('text is not valid UTF-8; byte 0x{:02x} at offset {}'.format(
        ord(data[bad:bad + 1]), offset + bad))


class Utf8Decoder(object):
    """Decodes text in parts, which may end inside a character.

    >>> decoder = Utf8Decoder()
    >>> len(decoder.decode(b'snow \\xe2\\x98')), decoder.pending
    (5, 2)
    >>> decoder.decode(b'\\x83', final=True) == b'\\xe2\\x98\\x83'.decode('utf-8')
    True

    For one thread at a time.  After an error, only :meth:`reset` may be called.
    """

    __slots__ = ('_held_back', '_offset', '_is_ascii')

    def __init__(self):
        self.reset()

    def reset(self):
        """Start a new text; bytes that were held back are dropped."""
        self._held_back = b''
        self._offset = 0
        self._is_ascii = True       # so far, for :meth:`check`

    @property
    def pending(self):
        """Number of bytes held back because their character is incomplete: 0 to 3."""
        return len(self._held_back)

    def decode(self, part, final=False):
        """Return the text of the characters that this part completes.

        :param part: bytes, bytearray, or a memoryview of bytes; may be empty
        :param final: the text ends with this part
        :returns: text
        :raises CriticalProtocolError: at the first byte that makes the text invalid,
            whatever follows; and if the text ends inside a character
        """
        if self._held_back:
            part = self._held_back + to_bytes(part)
        try:
            text, used = utf_8_decode(part, 'strict', final)
        except UnicodeDecodeError as error:
            raise _refusal(to_bytes(part), error.start, self._offset)
        if used == len(part):
            self._held_back = b''
        else:
            held_back = self._held_back = to_bytes(part[used:])
            found = _UNFINISHED.match(held_back)
            if not found or found.end() < len(held_back):
                raise _refusal(held_back, 0, self._offset + used)
        self._offset += used
        return text

    def check(self, part, final=False):
        """Validate like :meth:`decode` without building text.

        Text that is ASCII up to here takes half the time.
        """
        if self._is_ascii:
            part = to_bytes(part)
            try:
                codecs.ascii_decode(part)
            except UnicodeDecodeError:
                self._is_ascii = False
            else:
                self._offset += len(part)
                return
        self.decode(part, final)
