"""Masking of payloads and the keys for it (RFC 6455, 5.3).

Three ways lead to the same bytes; which one is fastest depends on the size.  Measured
in microseconds for one payload on CPython 3.11 (3.13, where it is another world; 2.7
has no
``int.from_bytes``), including wsaccel's call and object.  For whole client frames see
:func:`lomond.protocol.frames.encode_masked`.

==========  =============  =============  ================
payload     big integer    stripes        wsaccel
==========  =============  =============  ================
32 B        0.30 (0.40)    1.0 (1.3)      0.29 (0.37)
128 B       0.53 (0.62)    1.1 (1.4)      0.34 (0.42)
512 B       1.2 (1.5)      1.6 (1.9)      0.58 (0.64)
1 KiB       2.1 (2.8)      1.8 (2.3)      0.81 (0.94)
16 KiB      28 (35)        13 (15)        8.4 (9.3)
==========  =============  =============  ================

In a later measurement, 16 KiB took wsaccel 54 and stripes 36.  So both are timed when
the first large payload comes, and the faster one is used.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import struct

from .._compat import make_own_stock, monotonic

try:
    from wsaccel.xormask import XorMaskerSimple as _XorMasker
except ImportError:
    _XorMasker = None

HAS_WSACCEL = _XorMasker is not None

#: From this size (bytes), four strided translates are faster than one big integer.
STRIPES_FROM = 768
#: From this size (bytes), wsaccel is faster than one big integer.
WSACCEL_FROM = 48
#: From this size (bytes), it is measured whether wsaccel or stripes are faster.
LARGE_FROM = 4096
_SAMPLE = 16 * 1024         # bytes of the payload with which that is measured


class _Tables(dict):
    """Tables for ``translate``, by the byte of a key; at most 256 of 289 bytes."""

    def __missing__(self, key_byte):
        table = self[key_byte] = bytes(bytearray(octet ^ key_byte for octet in range(256)))
        return table


_tables = _Tables()


def _stripes_behind(header, payload, masking_key):
    # One copy of the payload, and no bytes object of it at the end, which malloc
    # would map each time at 64 KiB: 70 us instead of 115.
    data = bytearray(header)
    start = len(data)
    data += payload
    for key_byte in bytearray(masking_key):
        data[start::4] = data[start::4].translate(_tables[key_byte])
        start += 1
    return data


def _mask_stripes(masking_key, payload):
    return bytes(_stripes_behind(b'', payload, masking_key))


def _find_faster(ways):
    """Return the fastest of some ways to mask a large payload; takes 0.3 ms."""
    payload, masking_key = b'\0' * _SAMPLE, b'\1\2\3\4'

    def shortest(way):
        times = []
        for _ in range(3):
            begun = monotonic()
            way(b'', payload, masking_key)
            times.append(monotonic() - begun)
        return min(times)

    return min(ways, key=shortest)


def _choose_behind(masker):
    found = []              # the way for large payloads, once there was one

    def accelerated_behind(header, payload, masking_key):
        return header + masker(masking_key).process(payload)

    def accelerated_by_size(header, payload, masking_key):
        if len(payload) < LARGE_FROM:
            return header + masker(masking_key).process(payload)
        if not found:
            found.append(_find_faster((accelerated_behind, _stripes_behind)))
        return found[0](header, payload, masking_key)

    return _stripes_behind if masker is None else accelerated_by_size


#: ``mask_behind(header, payload, masking_key)`` -> header and masked payload, bytes or
#: bytearray; for large payloads, at most 64 KiB at a time, which fit in the processor's
#: cache.
mask_behind = _choose_behind(_XorMasker)


def _choose(masker, from_bytes, behind):
    """The function that masks, of what this interpreter has.

    :param masker: wsaccel's ``XorMaskerSimple``, or None
    :param from_bytes: ``int.from_bytes``, or None on 2.7
    :param behind: what masks large payloads, like :func:`mask_behind`
    """
    def mask_accelerated(masking_key, payload):
        length = len(payload)
        if length >= LARGE_FROM:
            return bytes(behind(b'', payload, masking_key))
        if length >= WSACCEL_FROM:
            return masker(masking_key).process(payload)
        repeated = masking_key * (length >> 2) + masking_key[:length & 3]
        return (from_bytes(payload, 'little') ^ from_bytes(repeated, 'little')).to_bytes(length, 'little')

    def mask_by_size(masking_key, payload):
        length = len(payload)
        if length >= STRIPES_FROM:
            return _mask_stripes(masking_key, payload)
        repeated = masking_key * (length >> 2) + masking_key[:length & 3]
        return (from_bytes(payload, 'little') ^ from_bytes(repeated, 'little')).to_bytes(length, 'little')

    def mask_always_accelerated(masking_key, payload):
        return bytes(behind(b'', payload, masking_key))

    if from_bytes is None:
        return _mask_stripes if masker is None else mask_always_accelerated
    return mask_by_size if masker is None else mask_accelerated


_mask = _choose(_XorMasker, getattr(int, 'from_bytes', None), mask_behind)
_mask.__name__ = str('mask_payload')
_mask.__doc__ = """XOR a payload with a masking key; doing it twice restores the payload (RFC 6455, 5.3).

    :param masking_key: 4 bytes
    :param payload: bytes, bytearray, or a memoryview of bytes.  A large one is best masked in
        chunks whose size is a multiple of 4: 64 KiB stay in the processor's cache
    :returns: bytes of the same length

    May be called by any thread.
    """
#: ``mask_payload(masking_key, payload)`` -> bytes
mask_payload = _mask


# -- masking keys
#
# They must be unpredictable (RFC 6455, 5.3 and 10.3), so they come from os.urandom.  A
# call for each key takes 500 ns, a key out of a stock 25.  The process has one stock,
# so that an idle connection needs none; popping from a list is atomic, so no lock is
# needed and no byte is used twice.

#: Bytes to request at a time.
STOCK_SIZE = 1024
#: Keys as numbers: ``stock.pop()``, and ``refill()`` on IndexError.  It is empty in a
#: forked child, which would otherwise use its parent's keys.
stock = make_own_stock()
#: Converts such a number to 4 bytes, lowest first.
key_bytes = struct.Struct(str('<I')).pack
_unpack_keys = struct.Struct(str('{}I').format(STOCK_SIZE // 4)).unpack


def refill():
    """Fill the stock and return one key."""
    keys = list(_unpack_keys(os.urandom(STOCK_SIZE)))
    first = keys.pop()
    stock.extend(keys)
    return first


def make_masking_key():
    """Return a new, unpredictable masking key of 4 bytes."""
    try:
        return key_bytes(stock.pop())
    except IndexError:
        return key_bytes(refill())
