"""A large message in parts: each is an event as soon as its bytes have arrived.

Like :class:`~lomond.protocol.message.Message`, but nothing is kept: what has come is
inflated, checked, decoded and handed out.  Only the up to three bytes of a character
that was cut wait for the next part.

Knows nothing of: frames, and which messages come in parts.
"""

from __future__ import absolute_import, division, unicode_literals

from ..events import BinaryPart, TextPart
from .message import check_announced, too_large
from .utf8 import Utf8Decoder

#: A part has at most this many bytes; a text, also those of a character that was cut.
LARGEST_PART = 256 * 1024


class Parts(object):
    """A text or binary message that is handed out as it arrives.

    :param is_text: whether the parts are text
    :param inflate_pieces: None, or ``inflate_pieces(data, final)`` of the connection's
        codec
    :param limit: most bytes of the whole message, None for no limit
    """

    __slots__ = ('_kind', '_inflate_pieces', '_limit', '_size', '_decoder', '_is_first', '_kept')

    is_streamed = True
    is_plain_binary = False         # its bytes have no final place

    def __init__(self, is_text, inflate_pieces=None, limit=None):
        self._kind = TextPart if is_text else BinaryPart
        self._decoder = Utf8Decoder() if is_text else None
        self._inflate_pieces = inflate_pieces
        self._limit = limit
        self._size = 0
        self._is_first = True
        self._kept = None           # the newest piece, until it is known whether it is the last

    def check_length(self, payload_length):
        """As :meth:`.Message.check_length`."""
        if self._limit is not None:
            check_announced(self._size, payload_length, self._limit, self._inflate_pieces is not None)

    def add(self, data, final=False):
        """Take the next bytes of the payload.

        :param data: bytes, bytearray or memoryview; not kept
        :param final: true for the last bytes
        :returns: a generator of events, at least one with the last bytes
        :raises PayloadTooLarge: if the message is larger than the limit
        :raises CriticalProtocolError: if it is not valid UTF-8, or not deflate data
        """
        for piece in self._pieces(data, final):
            if self._decoder is not None:
                piece = self._decoder.decode(piece)
            # A piece waits until there is another one: the last one has to say so.
            kept, self._kept = self._kept, piece
            if kept:
                yield self._event(kept, False)
        kept, self._kept = self._kept, None
        if final:
            rest = b'' if self._decoder is None else self._decoder.decode(b'', True)
            yield self._event(kept or rest, True)
        elif kept:
            yield self._event(kept, False)

    def _pieces(self, data, final):
        """Yield what ``data`` contains, as bytes of at most ``LARGEST_PART``."""
        if self._inflate_pieces is None:
            view = memoryview(data)
            self._grow(len(view))
            for at in range(0, len(view), LARGEST_PART):
                yield view[at:at + LARGEST_PART].tobytes()
            return
        for piece in self._inflate_pieces(data, final, LARGEST_PART):
            self._grow(len(piece))
            yield piece

    def _grow(self, count):
        self._size += count
        if self._limit is not None and self._size > self._limit:
            raise too_large(None if self._inflate_pieces is not None else self._size, self._limit)

    def _event(self, value, is_last):
        is_first, self._is_first = self._is_first, False
        return self._kind(value, is_first, is_last)
