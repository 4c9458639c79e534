"""Options of permessage-deflate (RFC 7692), for clients and servers.

The negotiation and the codec are in ``lomond.protocol.permessage_deflate``.
"""

from __future__ import absolute_import, division, unicode_literals

import sys

from ._compat import integer_types, native

NAME = 'permessage-deflate'

#: The two flags among the parameters (RFC 7692, 7.1.1).
FLAGS = ('server_no_context_takeover', 'client_no_context_takeover')


class Deflate(object):
    """How to compress, and what to offer the server, or, in a server, what to agree to
    (RFC 7692).

    :param level: 0 (stored) - 9 (smallest); 1 is 1.8 times as fast as 6
    :param mem_level: 1 - 9; the compressor takes ``2 ** (mem_level + 9)`` bytes and its
        window
    :param client_max_window_bits: 8 - 15: the client compresses with a window of ``2 **
        bits`` bytes; None: 15, or less if the server wants that; False: 15, and the
        parameter is not mentioned, for servers that refuse it
    :param server_max_window_bits: 8 - 15: the window that the server must use, or
        None if it may choose
    :param client_no_context_takeover: the client begins each message with an empty
        window
    :param server_no_context_takeover: the server has to do so
    :param min_size: messages shorter than this many bytes are sent uncompressed; all
        others are compressed, even if that makes them longer
    :param zlib: a module with the interface of ``zlib`` (``isal.isal_zlib``,
        ``zlib_ng.zlib_ng``), used in its place; None for ``zlib``.  If its highest
        level is below ``level``, that one counts.  It is called under the lock for
        sending, and must not call back
    :raises TypeError: if an integer or a bool is needed and something else is given, or
        if ``zlib`` has no ``compressobj`` or ``decompressobj``
    :raises ValueError: if a number is out of range

    One object may be used by any number of connections, in any thread; it never
    changes.  It can be copied, and, without ``zlib``, pickled.
    """

    def __init__(self, level=6, mem_level=8, client_max_window_bits=None, server_max_window_bits=None,
                 client_no_context_takeover=False, server_no_context_takeover=False, min_size=0,
                 zlib=None):
        self.level = _check_integer('level', level, 0, 9)
        self.mem_level = _check_integer('mem_level', mem_level, 1, 9)
        if client_max_window_bits is not False:
            _check_bits('client_max_window_bits', client_max_window_bits, ', False or None')
        self.client_max_window_bits = client_max_window_bits
        self.server_max_window_bits = _check_bits('server_max_window_bits', server_max_window_bits)
        self.client_no_context_takeover = _check_flag(
            'client_no_context_takeover', client_no_context_takeover)
        self.server_no_context_takeover = _check_flag(
            'server_no_context_takeover', server_no_context_takeover)
        self.min_size = _check_integer('min_size', min_size, 0, sys.maxsize)
        for name in ('compressobj', 'decompressobj'):
            if zlib is not None and not callable(getattr(zlib, name, None)):
                raise TypeError('zlib must be a module with the interface of zlib, or None; {!r} has no '
                                '{}'.format(zlib, name))
        self.zlib = zlib

    def __repr__(self):
        values = ['{}={}'.format(name, getattr(self, name)) for name in (
            'level', 'mem_level', 'client_max_window_bits', 'server_max_window_bits',
            'client_no_context_takeover', 'server_no_context_takeover', 'min_size')]
        if self.zlib is not None:
            values.append('zlib={!r}'.format(self.zlib))
        return native('Deflate({})'.format(', '.join(values)))

    def __copy__(self):
        # The default would ask __getstate__, and a module can be neither copied nor
        # pickled.
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __getstate__(self):
        if self.zlib is not None:
            raise TypeError('a Deflate with zlib={!r} cannot be pickled'.format(self.zlib))
        return self.__dict__

    def offer(self):
        """Make the value of Sec-WebSocket-Extensions in the client's request (RFC 7692,
        7.1).

        :returns: text

        >>> print(Deflate().offer())
        permessage-deflate; client_max_window_bits
        """
        # client_max_window_bits is there unless it is False: without it a server may
        # not ask for less.
        words = [NAME] + [name for name in FLAGS if getattr(self, name)]
        if self.server_max_window_bits is not None:
            words.append('server_max_window_bits={}'.format(self.server_max_window_bits))
        if self.client_max_window_bits is not False:
            words.append('client_max_window_bits')
            if self.client_max_window_bits is not None:
                words[-1] += '={}'.format(self.client_max_window_bits)
        return '; '.join(words)


def _check_integer(name, value, least, most, besides=''):
    if isinstance(value, bool) or not isinstance(value, integer_types):
        raise TypeError('{} must be an integer{}, not {}'.format(
            name, besides, value if isinstance(value, bool) else type(value).__name__))
    if not least <= value <= most:
        raise ValueError('{} is {}; {}{} is allowed'.format(
            name, value, '{} - {}'.format(least, most) if most < sys.maxsize else
            '{} or more'.format(least), besides))
    return value


def _check_bits(name, value, besides=' or None'):
    return None if value is None else _check_integer(name, value, 8, 15, besides)


def _check_flag(name, value):
    if not isinstance(value, bool):
        raise TypeError('{} must be True or False, not {}'.format(name, type(value).__name__))
    return value
