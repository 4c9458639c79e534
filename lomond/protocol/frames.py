"""Frames as bytes: headers, small frames, messages, and payloads of close frames.

RFC 6455, 5.2 to 5.5.

Knows nothing of: connections, and what may be sent when.
"""

from __future__ import absolute_import, division, unicode_literals

import struct
from types import GeneratorType

from .._compat import integer_types, text_type, to_bytes, utf_8_decode
from ..errors import CriticalProtocolError, ProtocolError
from ..status import Status
from .masking import HAS_WSACCEL, make_masking_key, mask_behind, mask_payload, refill, stock

#: Bits of the first byte of a frame; the low four bits are the opcode.
FIN, RSV1 = 0x80, 0x40
#: Maximum payload of a control frame, in bytes (RFC 6455, 5.5).
MAX_CONTROL_PAYLOAD = 125
#: Maximum reason of a close frame, in bytes: two are needed for the code.
MAX_CLOSE_REASON = MAX_CONTROL_PAYLOAD - 2
#: Messages are masked and sent in pieces of this many bytes.  This masks 1 MiB nearly
#: twice as fast, and the first piece is on the wire while the next one is masked.
CHUNK = 64 * 1024

_pack_7 = struct.Struct(str('!BB')).pack
_pack_7_masked = struct.Struct(str('!BB4s')).pack
_pack_16 = struct.Struct(str('!BBH')).pack
_pack_16_masked = struct.Struct(str('!BBH4s')).pack
_pack_64 = struct.Struct(str('!BBQ')).pack
_pack_64_masked = struct.Struct(str('!BBQ4s')).pack
_pack_code = struct.Struct(str('!H')).pack
_unpack_code = struct.Struct(str('!H')).unpack


def encode_header(opcode, payload_length, masking_key=None, fin=True, rsv1=False):
    """Make the header of a frame, with the length in its shortest form (RFC 6455,
    5.2)::

         0                   1                   2                   3
         0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
        +-+-+-+-+-------+-+-------------+-------------------------------+
        |F|R|R|R| opcode|M| length      | length, 16 bits if that is 126|
        |I|S|S|S|  (4)  |A|     (7)     |         64 bits if it is 127  |
        |N|V|V|V|       |S|             |                               |
        | |1|2|3|       |K|             | masking key, if M is set      |
        +-+-+-+-+-------+-+-------------+-------------------------------+

    :param opcode: 0 - 15
    :param payload_length: bytes, below 2**63
    :param masking_key: the 4 bytes that the payload is masked with; None if it is not
        masked
    :param fin: true if the message ends with this frame
    :param rsv1: true if the message is compressed (RFC 7692, 6)
    :returns: bytes; they end with the masking key
    """
    first = opcode | (FIN if fin else 0) | (RSV1 if rsv1 else 0)
    return pack_header(first, payload_length, masking_key)


def pack_header(first, payload_length, masking_key=None):
    """Like :func:`encode_header`, but takes the first byte of the frame."""
    if masking_key is not None:
        if payload_length < 126:
            return _pack_7_masked(first, 0x80 | payload_length, masking_key)
        if payload_length < 65536:
            return _pack_16_masked(first, 0x80 | 126, payload_length, masking_key)
        return _pack_64_masked(first, 0x80 | 127, payload_length, masking_key)
    if payload_length < 126:
        return _pack_7(first, payload_length)
    if payload_length < 65536:
        return _pack_16(first, 126, payload_length)
    return _pack_64(first, 127, payload_length)


def encode_frame(opcode, payload, masking_key=None, fin=True, rsv1=False):
    """Make a whole frame: header and (masked) payload.

    Meant for payloads of up to 64 KiB.  Larger ones are better masked and sent in
    chunks, after :func:`encode_header`.

    :param payload: bytes, bytearray, or a memoryview of bytes
    :returns: bytes

    The other parameters are those of :func:`encode_header`.
    """
    header = encode_header(opcode, len(payload), masking_key, fin, rsv1)
    if masking_key is None:
        return header + to_bytes(payload)
    return header + mask_payload(masking_key, payload)


# -- frames of a client
#
# Fast path for client frames: same bytes as encode_frame().  Microseconds for a whole
# frame and its key on CPython 3.11 (3.13); encode_frame alone is without wsaccel:
#
#     payload     one integer     stripes         wsaccel         encode_frame alone
#     32 B        0.48 (0.56)     1.20 (1.61)     0.63 (0.77)     0.51 (0.63)
#     256 B       0.79 (0.90)     1.46 (1.83)     0.76 (0.89)     0.90 (1.00)
#     1 KiB       2.13 (2.31)     2.29 (2.62)     1.32 (1.42)     2.25 (2.56)
#     2 KiB       3.82 (4.11)     3.29 (3.63)                     3.39 (3.62)
#     64 KiB      115 (120)       69 (74)                         115 (114)

#: From this payload size (bytes), masking as one integer is not the fastest way.
MASK_BEHIND_FROM = 256 if HAS_WSACCEL else 1300
#: Cache at most this many shapes of frames (first byte and length): 0.3 MiB.
MOST_SHAPES = 1024

_shapes = {}
_places = {}            # shared by shapes; at most 327 entries, 0.2 MiB
_from_bytes = getattr(int, 'from_bytes', None)


def _encode_behind(first, payload):
    masking_key = make_masking_key()
    return mask_behind(pack_header(first, len(payload), masking_key), payload, masking_key)


def _encode_masked(first, payload):
    # One XOR masks the payload and fills in the key: the frame with a masking key of
    # zero, XOR the key repeated in each place it belongs.  The latter is the key times
    # ``places``, a number with a 1 in each of these places.
    length = len(payload)
    if length >= MASK_BEHIND_FROM:
        return _encode_behind(first, payload)
    try:
        key_number = stock.pop()
    except IndexError:
        key_number = refill()
    try:
        header, places, whole, size = _shapes[length << 8 | first]
    except KeyError:
        header, places, whole, size = _make_shape(first, length)
    frame = (_from_bytes(header + payload, 'little') ^ key_number * places).to_bytes(whole, 'little')
    return frame if whole == size else frame[:size]


def _make_shape(first, length):
    header = pack_header(first, length, b'\0\0\0\0')
    before = len(header) - 4
    keys = 1 + (length + 3) // 4
    places = _places.get((before, keys))
    if places is None:
        places = _places[before, keys] = _from_bytes(b'\0' * before + b'\1\0\0\0' * keys, 'little')
    if len(_shapes) >= MOST_SHAPES:
        _shapes.clear()
    shape = _shapes[length << 8 | first] = header, places, before + 4 * keys, len(header) + length
    return shape


#: ``encode_masked(first, payload)`` returns a whole client frame with a fresh key, as
#: bytes or bytearray; ``first`` is its first byte, ``payload`` has at most 64 KiB.
encode_masked = _encode_behind if _from_bytes is None else _encode_masked


class Encoder(object):
    """Encodes the frames of one side of a connection; guarded by its write lock.

    With compression, messages must be encoded in the order in which they are written,
    so encoding happens at the time of writing.

    :param masks: true in the client (RFC 6455, 5.3)
    """

    __slots__ = ('codec', '_masks')

    def __init__(self, masks):
        #: The codec that compresses messages, or None.
        self.codec = None
        self._masks = masks

    def encode_control(self, opcode, payload):
        """Return the bytes of one control frame."""
        if self._masks and _from_bytes is not None:
            return _encode_masked(opcode | FIN, payload)
        return encode_frame(opcode, payload, make_masking_key() if self._masks else None)

    def encode(self, opcode, payload, compress=False, fin=True):
        """Encode one message, or one frame of it, to be written at once.

        :returns: bytes or bytearray; for more than 64 KiB a generator of them (without
            masking, also of memoryviews), so that a large message is masked while it is
            sent
        """
        first = opcode | FIN if fin else opcode
        codec = self.codec
        if compress and codec is not None and fin and opcode:
            packed = codec.compress(payload)
            if packed is not None:
                payload = packed
                first |= RSV1
        if len(payload) > CHUNK:
            return _encode_chunks(first, payload, make_masking_key() if self._masks else None)
        if self._masks:
            return encode_masked(first, payload)
        if len(payload) < 126 and type(payload) is bytes:
            return _pack_7(first, len(payload)) + payload
        return pack_header(first, len(payload)) + to_bytes(payload)

    def encode_message(self, opcode, payload, compress=False, fin=True):
        """Like :meth:`encode`, but always return an iterable of bytes-like objects."""
        encoded = self.encode(opcode, payload, compress, fin)
        return encoded if isinstance(encoded, GeneratorType) else (to_bytes(encoded),)


def _encode_chunks(first, payload, masking_key):
    view = memoryview(payload)
    header = pack_header(first, len(view), masking_key)
    if masking_key is None:
        yield header
        for at in range(0, len(view), CHUNK):
            yield view[at:at + CHUNK]
        return
    for at in range(0, len(view), CHUNK):
        yield mask_behind(header, view[at:at + CHUNK], masking_key)
        header = b''


def encode_close_payload(code, reason=''):
    """Make the payload of a close frame (RFC 6455, 5.5.1).

    :param code: a close code that may be sent: 1000 - 1003, 1007 - 1014, 3000 - 4999;
        None for an empty payload (the reason is then ignored)
    :param reason: text, or bytes of UTF-8; cut between two characters to 123 bytes
    :returns: bytes, at most 125
    :raises TypeError: if the code is not an integer, or the reason is neither text nor
        bytes
    :raises ValueError: if the code may not be sent, or the reason is not UTF-8
    """
    if code is None:
        return b''
    if code.__class__ is not int and (isinstance(code, bool) or not isinstance(code, integer_types)):
        raise TypeError('close code must be an integer or None, not {}'.format(type(code).__name__))
    if not 1000 <= code < 5000 or code in Status.invalid_codes:
        raise ValueError('close code {} may not be sent; 1000 - 1003, 1007 - 1014 and '
                         '3000 - 4999 are allowed'.format(code))
    if not isinstance(reason, (text_type, bytes)):
        raise TypeError('close reason must be text or bytes, not {}'.format(type(reason).__name__))
    try:
        encoded = reason if isinstance(reason, bytes) else reason.encode('utf-8')
        utf_8_decode(encoded, 'strict', True)       # 2.7 would encode lone surrogates
    except UnicodeError:
        raise ValueError('close reason {!r:.80} is not valid UTF-8'.format(reason))
    cut = len(encoded)
    if cut > MAX_CLOSE_REASON:
        cut = MAX_CLOSE_REASON
        while 0x80 <= ord(encoded[cut:cut + 1]) < 0xc0:     # inside a character
            cut -= 1
    return _pack_code(code) + encoded[:cut]


def parse_close_payload(payload):
    """Parse the payload of a received close frame (RFC 6455, 5.5.1, 7.4).

    :param payload: bytes
    :returns: ``(code, reason)``: an integer and text; ``(None, '')`` for an empty
        payload
    :raises ProtocolError: if it is one byte long, or the code may not be sent
    :raises CriticalProtocolError: if the reason is not UTF-8
    """
    if not payload:
        return None, ''
    if len(payload) == 1:
        raise ProtocolError('close frame payload is 1 byte; none, or at least 2 are allowed')
    code, = _unpack_code(payload[:2])
    if code in Status.invalid_codes:
        raise ProtocolError('close code {} may not be sent; 1000 - 1003, 1007 - 1014 and '
                            '3000 - 4999 are allowed'.format(code))
    try:
        return code, utf_8_decode(payload[2:], 'strict', True)[0]
    except UnicodeDecodeError:
        raise CriticalProtocolError('close reason (of code {}) is not valid UTF-8'.format(code))
