"""Frames as bytes: headers, whole small frames, payloads of close frames (RFC 6455, 5.2, 5.5.1).

It must not know of connections: what may be sent when is decided elsewhere.
"""

from __future__ import absolute_import, division, unicode_literals

import struct

from .compat import integer_types, text_type, to_bytes, utf_8_decode
from .errors import CriticalProtocolError, ProtocolError
from .mask import mask_payload
from .status import Status

#: Most bytes of payload in a control frame (RFC 6455, 5.5).
MAX_CONTROL_PAYLOAD = 125
#: Most bytes of a close frame's reason: two are for the code.
MAX_CLOSE_REASON = MAX_CONTROL_PAYLOAD - 2

_pack_7 = struct.Struct(str('!BB')).pack
_pack_7_masked = struct.Struct(str('!BB4s')).pack
_pack_16 = struct.Struct(str('!BBH')).pack
_pack_16_masked = struct.Struct(str('!BBH4s')).pack
_pack_64 = struct.Struct(str('!BBQ')).pack
_pack_64_masked = struct.Struct(str('!BBQ4s')).pack
_pack_code = struct.Struct(str('!H')).pack
_unpack_code = struct.Struct(str('!H')).unpack


def encode_header(opcode, payload_length, masking_key=None, fin=True, rsv1=False):
    """The header of a frame, with the length in its shortest form (RFC 6455, 5.2)::

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
    :param masking_key: 4 bytes, with which the payload is masked; None: it is not
    :param fin: the message ends with this frame
    :param rsv1: the message is compressed (RFC 7692, 6)
    :returns: bytes; the masking key is at their end
    """
    if fin:
        opcode |= 0x80
    if rsv1:
        opcode |= 0x40
    if masking_key is not None:
        if payload_length < 126:
            return _pack_7_masked(opcode, 0x80 | payload_length, masking_key)
        if payload_length < 65536:
            return _pack_16_masked(opcode, 0x80 | 126, payload_length, masking_key)
        return _pack_64_masked(opcode, 0x80 | 127, payload_length, masking_key)
    if payload_length < 126:
        return _pack_7(opcode, payload_length)
    if payload_length < 65536:
        return _pack_16(opcode, 126, payload_length)
    return _pack_64(opcode, 127, payload_length)


def encode_frame(opcode, payload, masking_key=None, fin=True, rsv1=False):
    """A whole frame: header and (masked) payload.

    Made for payloads of up to 64 KiB; larger ones are better masked and sent in chunks, after
    :func:`encode_header`.

    :param payload: bytes, bytearray, or a memoryview of bytes
    :returns: bytes

    The other parameters are those of :func:`encode_header`.
    """
    length = len(payload)
    if length < 126 and masking_key is not None:
        # Most of what a client sends; without a call for the header (0.1 us of 0.5).
        if fin:
            opcode |= 0x80
        if rsv1:
            opcode |= 0x40
        return _pack_7_masked(opcode, 0x80 | length, masking_key) + mask_payload(
            masking_key, payload)
    header = encode_header(opcode, length, masking_key, fin, rsv1)
    if masking_key is None:
        return header + to_bytes(payload)
    return header + mask_payload(masking_key, payload)


def encode_close_payload(code, reason=''):
    """The payload of a close frame (RFC 6455, 5.5.1).

    :param code: a close code that may be sent: 1000 - 1003, 1007 - 1014, 3000 - 4999; None for an
        empty payload (the reason is then ignored)
    :param reason: text, or bytes of UTF-8; cut between two characters to 123 bytes
    :returns: bytes, at most 125
    :raises TypeError: the code is no integer, the reason neither text nor bytes
    :raises ValueError: the code may not be sent, or the reason is not UTF-8
    """
    if code is None:
        return b''
    if isinstance(code, bool) or not isinstance(code, integer_types):
        raise TypeError('close code must be an integer or None, not {}'.format(type(code).__name__))
    if not 1000 <= code < 5000 or code in Status.invalid_codes:
        raise ValueError('close code {} may not be sent; 1000 - 1003, 1007 - 1014 and '
                         '3000 - 4999 are allowed'.format(code))
    if not isinstance(reason, (text_type, bytes)):
        raise TypeError('close reason must be text or bytes, not {}'.format(type(reason).__name__))
    try:
        encoded = reason if isinstance(reason, bytes) else reason.encode('utf-8')
        utf_8_decode(encoded, 'strict', True)       # 2.7 encodes lone surrogates, too
    except UnicodeError:
        raise ValueError('close reason {!r:.80} is not valid UTF-8'.format(reason))
    cut = len(encoded)
    if cut > MAX_CLOSE_REASON:
        cut = MAX_CLOSE_REASON
        while 0x80 <= ord(encoded[cut:cut + 1]) < 0xc0:     # inside a character
            cut -= 1
    return _pack_code(code) + encoded[:cut]


def parse_close_payload(payload):
    """Code and reason of a close frame that came (RFC 6455, 5.5.1, 7.4).

    :param payload: bytes
    :returns: ``(code, reason)``: an integer and text; ``(None, '')`` for an empty payload
    :raises ProtocolError: when it is one byte, or the code may not be sent
    :raises CriticalProtocolError: when the reason is not UTF-8
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
