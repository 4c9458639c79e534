"""permessage-deflate (RFC 7692): the negotiation of both roles (7.1), and the codec
(7.2).

Knows nothing of: frames, readers, writers.
"""

from __future__ import absolute_import, division, unicode_literals

import struct
import sys
import zlib

from .._compat import Pattern, error_text, join_bytes, native, to_bytes, to_text
from ..compression import FLAGS, NAME
from ..errors import CompressionParameterError, CriticalProtocolError, HandshakeError
from ..response import TCHAR, escape

_WINDOWS = ('server_max_window_bits', 'client_max_window_bits')
# Decimal without leading zeros (RFC 7692, 7.1.2.1).
_WINDOW_BITS = dict((str(bits), bits) for bits in range(8, 16))
# The end of what Z_SYNC_FLUSH produces; it is not sent (RFC 7692, 7.2.1).
_TAIL = b'\x00\x00\xff\xff'
# An empty message: what is left of an empty stored block without the tail (RFC 7692,
# 7.2.3.6).
_EMPTY = b'\x00'
_WINDOW = 32 * 1024
# Each output in the history counts as this many extra bytes (the object and its slot).
_OVERHEAD = 512
_MOST_HISTORY = 3 * _WINDOW
# After a block with BFINAL set, data goes to the next inflater in pieces: what that
# does not take is copied by zlib's wrapper, and thousands of such blocks must not copy
# a large message each.
_PIECE = 16 * 1024
# At most this many of these blocks per message: two bytes of each cost a new inflater.
_MOST_STREAMS = 1000
_stored_block = struct.Struct(str('<BHH')).pack


def _not_deflate(error):
    return CriticalProtocolError('compressed message cannot be inflated; {}'.format(error_text(error)))


class PerMessageDeflate(object):
    """The codec of one connection: compresses what is sent, inflates what is received.

    :meth:`compress` is called by the holder of the connection's write lock,
    :meth:`inflate` by the thread that reads; they do not share state.
    zlib's objects (about 270 KiB to compress, 40 KiB to inflate) are made when first
    needed.

    :param parameters: :class:`~lomond.protocol.permessage_deflate.DeflateParameters`
    :param is_client: true if our side is the client
    :param level, mem_level, min_size: as in :class:`~lomond.compression.Deflate`
    :param module: the module to use; None for :mod:`zlib`
    """

    def __init__(self, parameters, is_client, level=6, mem_level=8, min_size=0, module=None):
        if is_client:
            window_bits = parameters.client_max_window_bits
            self._compress_anew = parameters.client_no_context_takeover
            self._inflate_anew = parameters.server_no_context_takeover
        else:
            window_bits = parameters.server_max_window_bits
            self._compress_anew = parameters.server_no_context_takeover
            self._inflate_anew = parameters.client_no_context_takeover
        # zlib has no raw deflate with 8 bits.  With 9 it looks back 250 bytes at most:
        # its window less MIN_LOOKAHEAD, 262 (MAX_DIST in deflate.h), so a window of 256
        # is enough for the peer.  Another module may look back further: then nothing is
        # compressed.
        self._zlib = module = zlib if module is None else module
        level = min(level, getattr(module, 'Z_BEST_COMPRESSION', 9))
        self._compressor_arguments = (level, zlib.DEFLATED, -max(window_bits, 9), mem_level)
        self._errors = (zlib.error, getattr(module, 'error', zlib.error))
        self._min_size = min_size if window_bits > 8 or module is zlib else sys.maxsize
        self._compressor = None         # guarded by the write lock; what follows is the reader's
        self._inflater = None
        self._in_message = False        # some of a message has been inflated, but not its end
        self._streams = 0               # that blocks with BFINAL set have ended in this message
        # The newest outputs: the window, for an inflater that has to begin after
        # BFINAL.
        self._history = []
        self._history_size = 0

    def compress(self, payload):
        """Compress a whole message (RFC 7692, 7.2.1).

        :param payload: bytes, bytearray, or a memoryview of bytes
        :returns: bytes; or None if the message is to be sent uncompressed, because it
            is shorter than ``min_size``
        """
        size = len(payload)
        if size < self._min_size:
            return None
        if not size:
            return _EMPTY               # zlib produces nothing for a second flush in a row
        compressor = self._compressor or self._new_compressor()
        head = compressor.compress(payload if type(payload) is bytes else to_bytes(payload))
        rest = compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        return head + rest if head else rest

    def _new_compressor(self):
        compressor = self._zlib.compressobj(*self._compressor_arguments)
        if not self._compress_anew:
            self._compressor = compressor
        return compressor

    def compress_parts(self):
        """Begin a message that is compressed part by part (RFC 7692, 7.2.1).

        :returns: a function that takes a part that is not empty (bytes-like), and
            returns the payload of its frame, from which all of the part can be
            inflated; None if nothing is to be compressed
        """
        if self._min_size == sys.maxsize:
            return None
        compressor = self._compressor or self._new_compressor()
        # What flush() ends with is not sent at the end of the message, where an empty
        # frame follows, and so it goes before the next part.
        tail = [b'']

        def compress(part):
            packed = tail[0] + compressor.compress(to_bytes(part)) + compressor.flush(zlib.Z_SYNC_FLUSH)
            tail[0] = packed[-4:]
            return packed[:-4]
        return compress

    def inflate(self, data, final, limit):
        """Inflate a part of a message (RFC 7692, 7.2.2).

        :param data: bytes, bytearray, or a memoryview of bytes: payload of the message,
            cut anywhere
        :param final: true if the message ends with this part
        :param limit: most bytes that may come out of this part, 0 or more;
            None for no limit
        :returns: bytes; or None if there would be more than ``limit``; they are not
            made, and the codec must not be used afterwards
        :raises CriticalProtocolError: if this is not deflate data
        """
        if not data and not (final and self._in_message):
            return b''                  # an empty message: the tail alone is not a block
        inflater = self._inflater
        if inflater is None:
            inflater = self._inflater = self._new_inflater()
        try:
            # One byte more than allowed shows that there is too much.  0 means no limit
            # in zlib.
            result = inflater.decompress(
                join_bytes((data, _TAIL)) if final else to_bytes(data),
                limit + 1 if limit is not None and limit < sys.maxsize else 0)
            if inflater.unused_data:
                result = self._inflate_on(result, final, limit)
            else:
                self._history.append(result)
                self._history_size += len(result) + _OVERHEAD
                if self._history_size > _MOST_HISTORY:
                    self._trim_history()
        except self._errors as error:
            raise _not_deflate(error)
        if limit is not None and result is not None and len(result) > limit:
            return None
        self._end_part(final)
        return result

    def _inflate_on(self, result, final, limit):
        """Continue where a block with BFINAL set has ended zlib's stream (RFC 7692,
        7.2.3.4).

        What follows, here or in later messages, may refer to earlier output, so a new
        inflater is primed with the window.  Returns None for more than ``limit``.
        """
        results = [result]
        size = len(result)
        rest = self._inflater.unused_data
        end = len(rest) - len(_TAIL) if final else len(rest)        # of what the peer sent
        self._remember(result)
        self._inflater = inflater = None
        at = 0
        # At the very end, the tail that we appended must not go to a new inflater.
        while at < end or (inflater is not None and at < len(rest)):
            if inflater is None:
                self._count_stream()
                inflater = self._new_inflater()
            piece = rest[at:at + _PIECE]
            result = inflater.decompress(
                piece, limit - size + 1 if limit is not None and limit < sys.maxsize else 0)
            at += len(piece)
            size += len(result)
            if limit is not None and size > limit:
                return None
            results.append(result)
            self._remember(result)
            if inflater.unused_data:
                at -= len(inflater.unused_data)
                inflater = None
        self._inflater = inflater
        return b''.join(results)

    def inflate_pieces(self, data, final, most):
        """Inflate like :meth:`inflate`, but hand out what there is piece by piece.

        :param most: most bytes of a piece
        :returns: a generator of bytes, none of them empty; exhaust it before the next
            call
        :raises CriticalProtocolError: if this is not deflate data
        """
        if not data and not (final and self._in_message):
            return
        rest = join_bytes((data, _TAIL)) if final else to_bytes(data)
        end = len(rest) - len(_TAIL) if final else len(rest)        # of what the peer sent
        at = 0
        try:
            # The tail must not go to an inflater that has no other data: see
            # _inflate_on.
            while at < end or (self._inflater is not None and at < len(rest)):
                if self._inflater is None:
                    self._inflater = self._new_inflater()
                inflater, piece = self._inflater, rest[at:at + _PIECE]
                at += len(piece)
                result = None
                # A full result: zlib may hold back more of it.
                while piece or result is None or len(result) == most:
                    result = inflater.decompress(piece, most)
                    self._remember(result)
                    if result:
                        yield result
                    piece = inflater.unconsumed_tail
                    if inflater.unused_data:
                        at -= len(inflater.unused_data)
                        self._inflater = None
                        self._count_stream()
                        break
        except self._errors as error:
            raise _not_deflate(error)
        self._end_part(final)

    def _count_stream(self):
        self._streams += 1
        if self._streams > _MOST_STREAMS:
            raise CriticalProtocolError(
                'compressed message has more than {} blocks with BFINAL set'.format(_MOST_STREAMS))

    def _end_part(self, final):
        self._in_message = not final
        if final:
            self._streams = 0
            if self._inflate_anew:
                self._inflater = None
                self._forget()

    def _new_inflater(self):
        # Always 15 bits: it costs nothing, and some peers ignore a smaller agreed
        # window.
        inflater = self._zlib.decompressobj(-15)
        if self._history:
            self._trim_history()
            window = self._history[0]
            # As a stored block: 2.7 has no preset dictionary.
            inflater.decompress(_stored_block(0, len(window), len(window) ^ 0xffff) + window)
        return inflater

    def _remember(self, result):
        self._history.append(result)
        self._history_size += len(result) + _OVERHEAD
        if self._history_size > _MOST_HISTORY:
            self._trim_history()

    def _trim_history(self):
        """Reduce the history to one bytes object of the size of the window."""
        history = self._history
        if len(history[-1]) >= _WINDOW:
            window = history[-1][-_WINDOW:]
        else:
            window = b''.join(history)[-_WINDOW:]
        history[:] = [window]
        self._history_size = len(window) + _OVERHEAD

    def _forget(self):
        del self._history[:]
        self._history_size = 0

    def close(self):
        """Free zlib's memory and the history; a call in another thread can finish."""
        self._compressor = self._inflater = None
        self._forget()


class DeflateParameters(object):
    """What client and server agreed on (RFC 7692, 7.1)."""

    __slots__ = FLAGS + _WINDOWS

    def __init__(self, server_no_context_takeover=False, client_no_context_takeover=False,
                 server_max_window_bits=15, client_max_window_bits=15):
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits

    def __repr__(self):
        return native('DeflateParameters({})'.format(', '.join(
            '{}={}'.format(name, getattr(self, name)) for name in self.__slots__)))


# -- negotiation

_BETWEEN = Pattern('[ \t,]*')
_EXTENSION = Pattern('(' + TCHAR + '+)[ \t]*(?=[;,]|\\Z)')
# A quoted value has to be a token once the backslashes are removed (RFC 6455, 9.1).  A
# missing value after "=" is allowed here: the check of the parameter words it better.
_PARAMETER = Pattern(
    ';[ \t]*({tchar}+)[ \t]*(?:(=)[ \t]*({tchar}+|"(?:\\\\?{tchar})*")?[ \t]*)?(?=[;,]|\\Z)'.format(
        tchar=TCHAR))


def parse_extensions(values):
    """Parse the elements of Sec-WebSocket-Extensions (RFC 6455, 9.1).

    >>> parse_extensions(['a; b="c"; d, e']) == [('a', [('b', 'c'), ('d', None)]), ('e', [])]
    True

    :param values: list of text: values of headers, or elements of them
    :returns: ``[(name, [(parameter, value or None), ..]), ..]``, names in lower case
    :raises HandshakeError: if a value is not a well-formed list of extensions
    """
    extensions = []
    for header in values:
        header = to_text(header)
        at = _BETWEEN.match(header).end()
        while at < len(header):
            found = _EXTENSION.match(header, at)
            if not found:
                raise _no_extension(header, at)
            parameters = []
            extensions.append((found.group(1).lower(), parameters))
            at = found.end()
            while header.startswith(';', at):
                found = _PARAMETER.match(header, at)
                if not found:
                    raise _no_extension(header, at)
                name, equals, value = found.groups()
                if equals:
                    value = (value or '').strip('"').replace('\\', '')
                parameters.append((name.lower(), value))
                at = found.end()
            at = _BETWEEN.match(header, at).end()
    return extensions


def _no_extension(value, at):
    return HandshakeError("Sec-WebSocket-Extensions is malformed at '{}' (RFC 6455, 9.1)".format(
        escape(value[at:])))


def _read_parameters(pairs, is_offer):
    """Return the parameters as a dict, with window bits as integers."""
    read = {}
    for name, value in pairs:
        if name in read:
            raise CompressionParameterError('parameter {} of {} is repeated'.format(name, NAME))
        if name in FLAGS:
            if value is not None:
                raise CompressionParameterError(
                    "parameter {} of {} has the value '{}'; none is allowed".format(
                        name, NAME, escape(value)))
            read[name] = True
        elif name in _WINDOWS:
            bits = _WINDOW_BITS.get(value)
            if bits is None and not (is_offer and value is None and name == 'client_max_window_bits'):
                raise CompressionParameterError('parameter {} of {} has {}; 8 - 15 is allowed'.format(
                    name, NAME, 'no value' if value is None else "the value '{}'".format(escape(value))))
            read[name] = bits
        else:
            raise CompressionParameterError("parameter '{}' of {} is unknown".format(escape(name), NAME))
    return read


def negotiate_client(deflate, extensions):
    """Check what the server agreed to against what was offered.

    RFC 6455, 9.1; RFC 7692, 7.1.

    :param deflate: the :class:`Deflate` that was offered, or None
    :param extensions: list of text: Sec-WebSocket-Extensions of the answer
    :returns: ``(names, parameters)``: the set of the extensions that are in use, and
        :class:`DeflateParameters` or None
    :raises CompressionParameterError: permessage-deflate twice, or with parameters that
        may not be
    :raises HandshakeError: an extension that was not offered
    """
    parameters = None
    for name, pairs in parse_extensions(extensions):
        if deflate is None or name != NAME:
            raise HandshakeError("extension '{}' was not offered".format(escape(name)))
        if parameters is not None:
            raise CompressionParameterError('extension {} is repeated'.format(NAME))
        read = _read_parameters(pairs, is_offer=False)
        if deflate.server_no_context_takeover and 'server_no_context_takeover' not in read:
            raise CompressionParameterError('parameter server_no_context_takeover of {} is missing; '
                                            'it was asked for'.format(NAME))
        asked = deflate.server_max_window_bits
        server_bits = read.get('server_max_window_bits', 15)
        if asked is not None and ('server_max_window_bits' not in read or server_bits > asked):
            raise CompressionParameterError(
                'parameter server_max_window_bits of {} is {}; at most {} was asked for'.format(
                    NAME, read.get('server_max_window_bits', 'missing'), asked))
        if deflate.client_max_window_bits is False and 'client_max_window_bits' in read:
            raise CompressionParameterError(
                'parameter client_max_window_bits of {} was not offered'.format(NAME))
        # The client's parameters in the offer are binding, even if the answer omits
        # them.
        parameters = DeflateParameters(
            'server_no_context_takeover' in read,
            deflate.client_no_context_takeover or 'client_no_context_takeover' in read,
            server_bits,
            min(deflate.client_max_window_bits or 15, read.get('client_max_window_bits', 15)))
    return (set() if parameters is None else set((NAME,))), parameters


def negotiate_server(deflate, offers):
    """What to agree to of a client's offers: the first that can be accepted (RFC 7692,
    5.1, 7.1).

    :param deflate: the server's :class:`Deflate`, or None for no compression.  Its
        limits hold besides those of the client; a limit for a client that did not say
        that it can keep one is dropped
    :param offers: list of text: Sec-WebSocket-Extensions of the request
    :returns: ``(answer, parameters)``: the value of Sec-WebSocket-Extensions and
        :class:`DeflateParameters`; ``(None, None)`` when there is nothing to agree to
    """
    for offer in offers if deflate is not None else ():
        try:
            extensions = parse_extensions((offer,))
        except HandshakeError:
            continue
        for name, pairs in extensions:
            if name == NAME:
                try:
                    return _accept(deflate, _read_parameters(pairs, is_offer=True))
                except CompressionParameterError:
                    continue            # declined (RFC 7692, 7.1): the next one may do
    return None, None


def _accept(deflate, read):
    parameters = DeflateParameters()
    words = [NAME]
    for name in FLAGS:
        if name in read or getattr(deflate, name):
            setattr(parameters, name, True)
            words.append(name)
    for name in _WINDOWS:
        bits = min(read.get(name) or 15, getattr(deflate, name) or 15)
        # The client's may be in the answer only if it was in the offer (RFC 7692,
        # 7.1.2.2), and need not be even then; the server's has to be if it was.
        if name == 'client_max_window_bits' and name not in read:
            continue
        setattr(parameters, name, bits)
        if (bits < 15 or read.get(name)) and getattr(deflate, name) is not False:
            words.append('{}={}'.format(name, bits))
    return '; '.join(words), parameters
