"""A large message in parts: each is an event as soon as its bytes have arrived.

Like :class:`~lomond.protocol.message.Message`, but nothing is kept: what has come is
inflated, checked, decoded and handed out.  Only the up to three bytes of a character
that was cut wait for the next part.

Knows nothing of: frames, and which messages come in parts.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import to_bytes
from ..events import BinaryPart, TextPart
from .message import check_announced, too_large
from .utf8 import Utf8Decoder

#: A part has at most this many bytes; a text, also those of a character that was cut.
LARGEST_PART = 256 * 1024

_is_kept = []


def keep_freed_memory():
    """Make the C library keep the memory of a freed part for the next one.

    Otherwise glibc gives it back to the system again and again, and each new part costs
    64 page faults: a third of the time of a large message.  glibc keeps twice the size
    of the largest block that it has mapped and unmapped, so one of 1 MiB does it, once
    in a process.
    """
    if not _is_kept:
        bytearray(4 * LARGEST_PART)
        _is_kept.append(True)


class Parts(object):
    """A text or binary message that is handed out as it arrives.

    :param is_text: whether the parts are text
    :param inflate_pieces: None, or ``inflate_pieces(data, final)`` of the connection's
        codec
    :param limit: most bytes of the whole message, None for no limit

    :ivar size: bytes of the message so far
    :ivar is_first: whether the next part is its first one
    """

    __slots__ = ('is_compressed', 'is_plain_binary', 'size', 'is_first', '_inflate_pieces', '_limit',
                 '_decoder')

    is_streamed = True

    def __init__(self, is_text, inflate_pieces=None, limit=None):
        self.is_compressed = inflate_pieces is not None
        self.is_plain_binary = not is_text and inflate_pieces is None
        self._decoder = Utf8Decoder() if is_text else None
        self._inflate_pieces = inflate_pieces
        self._limit = limit
        self.size = 0
        self.is_first = True

    def check_length(self, payload_length):
        """As :meth:`.Message.check_length`."""
        if self._limit is not None:
            check_announced(self.size, payload_length, self._limit, self.is_compressed)

    def part(self, data, final):
        """Take the next bytes of an uncompressed payload, whose length was checked.

        :param data: bytes, bytearray or memoryview, at most ``LARGEST_PART``; not kept.
            Empty only if final
        :param final: true for the last bytes
        :returns: their event; None if they are the begin of a character only
        :raises CriticalProtocolError: if it is not valid UTF-8
        """
        self.size += len(data)
        return self._event(data, final)

    def add(self, data, final=False):
        """Take the next bytes of a compressed payload.

        :param data: bytes, bytearray or memoryview; not kept
        :param final: true for the last bytes
        :returns: a generator of events, at least one with the last bytes
        :raises PayloadTooLarge: if the message is larger than the limit
        :raises CriticalProtocolError: if it is not valid UTF-8, or not deflate data
        """
        kept = b''
        for piece in self._inflate_pieces(data, final, LARGEST_PART):
            self.size += len(piece)
            if self._limit is not None and self.size > self._limit:
                raise too_large(None, self._limit)
            # A piece waits until there is another one: the last one has to say so.
            if kept:
                event = self._event(kept, False)
                if event is not None:
                    yield event
                    event = None
            kept = piece
        if kept or final:
            event = self._event(kept, final)
            if event is not None:
                yield event

    def _event(self, data, final):
        if self._decoder is None:
            event = object.__new__(BinaryPart)
            event.data = data if type(data) is bytes else to_bytes(data)
        else:
            text = self._decoder.decode(data, final)
            if not text and not final:
                return None
            event = object.__new__(TextPart)
            event.text = text
        event.is_first = self.is_first
        event.is_last = final
        self.is_first = False
        return event
