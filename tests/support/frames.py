"""Frames made and taken apart by hand, as naively as RFC 6455, 5.2, describes them.

Nothing here imports lomond: a mistake in its encoder must not hide one in its parser.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import struct
import zlib

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: A client's masking key, for tests that do not care which.
KEY = b'\x37\xfa\x21\x3d'


def mask(key, payload):
    """Mask or unmask a payload (RFC 6455, 5.3).

    As one number: octet by octet, 48 MB would take minutes.
    """
    size = len(payload)
    if not size:
        return b''
    keys = (bytes(key) * (size // 4 + 1))[:size]
    number = int(binascii.hexlify(payload), 16) ^ int(binascii.hexlify(keys), 16)
    return binascii.unhexlify(('%x' % number).rjust(size * 2, '0').encode('ascii'))


def frame(opcode, payload=b'', fin=True, rsv=0, key=None, length=None, form=None):
    """Return the octets of a frame, correct or not.

    :param rsv: the three reserved bits; 4 is rsv1
    :param length: what the header announces instead of the true length
    :param form: 7, 16 or 64: how many bits it uses for that
    """
    length = len(payload) if length is None else length
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0 if key is None else 0x80
    if form == 7:
        header = struct.pack(str('!BB'), first, masked | length)
    elif form == 16:
        header = struct.pack(str('!BBH'), first, masked | 126, length)
    else:
        header = struct.pack(str('!BBQ'), first, masked | 127, length)
    if key is None:
        return header + payload
    return header + key + mask(key, payload)


def deflate(data, compressor=None, tail=4):
    """Return the payload of a compressed message (RFC 7692, 7.2.1).

    :param compressor: has the context of earlier messages; by default there is none
    :param tail: how many octets of the last, empty block are left out; 0 for a fragment
    """
    compressor = compressor or zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return packed[:len(packed) - tail]


def close_payload(code, reason=b''):
    return struct.pack(str('!H'), code) + reason


def close_frame(code, reason=b'', key=None):
    return frame(CLOSE, close_payload(code, reason), key=key)


def take_frame(data):
    """Take one frame off the beginning of a bytearray.

    :returns: ``(fin, rsv, opcode, key or None, payload)``; None, and nothing is taken,
        while the frame is not complete
    """
    if len(data) < 2:
        return None
    first, second = data[0], data[1]
    length, at = second & 127, 2
    for marker, form, largest in ((126, '!H', 125), (127, '!Q', 65535)):
        if length == marker:
            at += struct.calcsize(str(form))
            if len(data) < at:
                return None
            length, = struct.unpack(str(form), bytes(data[2:at]))
            assert length > largest, 'a length is not in its shortest form'
            break
    key = None
    if second & 128:
        key, at = bytes(data[at:at + 4]), at + 4
    if len(data) < at + length:
        return None
    payload = bytes(data[at:at + length])
    if key is not None:
        payload = mask(key, payload)
    del data[:at + length]
    return bool(first & 128), first >> 4 & 7, first & 15, key, payload


class Reader(object):
    """Takes apart the frames that one of our sides has written."""

    def __init__(self):
        self.rest = bytearray()

    def feed(self, data):
        """Return the list of frames that are complete now; see :func:`take_frame`."""
        self.rest += data
        return list(iter(lambda: take_frame(self.rest), None))


def read_frames(data):
    """Return all frames of some octets, which must end with a complete one."""
    reader = Reader()
    frames = reader.feed(data)
    assert not reader.rest, 'ends inside a frame'
    return frames
