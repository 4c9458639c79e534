"""permessage-deflate (RFC 7692): options, negotiation in both roles, and the codec.

It must not know frames or connections.
"""

from __future__ import absolute_import, division, unicode_literals

import re
import struct
import zlib

from . import errors
from .compat import error_text, integer_types, native, to_bytes
from .response import escape, is_token, split_list

NAME = 'permessage-deflate'

#: What ends each flushed block, and is not sent (RFC 7692, 7.2.1).
_TAIL = b'\x00\x00\xff\xff'
_WINDOW = 32 * 1024
#: Each costs a new inflater: an empty one is two bytes long.
_MOST_STREAMS = 1000
_BITS = re.compile('^(?:[89]|1[0-5])$')
_FLAGS = ('server_no_context_takeover', 'client_no_context_takeover')
_WINDOWS = ('server_max_window_bits', 'client_max_window_bits')


class Deflate(object):
    """What to offer, and how to compress what is sent.

    :param int level: 0 (stored) to 9 (smallest); 1 is 1.8 times faster than 6
    :param int mem_level: 1 to 9: memory of the compressor, 2**(mem_level + 9) bytes
    :param client_max_window_bits: 8 to 15: offer to keep our window to 2**n bytes; None: as the
        server likes
    :param server_max_window_bits: 8 to 15: ask the server for the same; None: do not ask
    :param client_no_context_takeover: offer to begin each message with an empty window
    :param server_no_context_takeover: ask the server for that
    :param int min_size: shorter messages (bytes) are sent as they are
    :raises TypeError, ValueError: for other values
    """

    def __init__(self, level=6, mem_level=8, client_max_window_bits=None,
                 server_max_window_bits=None, client_no_context_takeover=False,
                 server_no_context_takeover=False, min_size=0):
        self.level = _check('level', level, 0, 9)
        self.mem_level = _check('mem_level', mem_level, 1, 9)
        self.client_max_window_bits = client_max_window_bits
        self.server_max_window_bits = server_max_window_bits
        for name in _WINDOWS:
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), 8, 15)
        self.client_no_context_takeover = bool(client_no_context_takeover)
        self.server_no_context_takeover = bool(server_no_context_takeover)
        self.min_size = _check('min_size', min_size, 0, None)

    def __repr__(self):
        return native('Deflate(level={}, mem_level={}, client_max_window_bits={}, '
                      'server_max_window_bits={}, client_no_context_takeover={}, '
                      'server_no_context_takeover={}, min_size={})'.format(
                          self.level, self.mem_level, self.client_max_window_bits,
                          self.server_max_window_bits, self.client_no_context_takeover,
                          self.server_no_context_takeover, self.min_size))

    def offer(self):
        """The value of Sec-WebSocket-Extensions that offers this."""
        parts = [NAME]
        parts += [name for name in _FLAGS if getattr(self, name)]
        if self.server_max_window_bits is not None:
            parts.append('server_max_window_bits={}'.format(self.server_max_window_bits))
        parts.append('client_max_window_bits' if self.client_max_window_bits is None else
                     'client_max_window_bits={}'.format(self.client_max_window_bits))
        return '; '.join(parts)


def _check(name, value, least, most):
    if isinstance(value, bool) or not isinstance(value, integer_types):
        raise TypeError('{} must be an int, not {}'.format(name, type(value).__name__))
    if value < least or (most is not None and value > most):
        raise ValueError('{} is {}; {} is allowed'.format(
            name, value, '{} or more'.format(least) if most is None else
            '{} to {}'.format(least, most)))
    return value


class DeflateParameters(object):
    """What both sides have agreed on."""

    __slots__ = _FLAGS + _WINDOWS

    def __init__(self, server_no_context_takeover=False, client_no_context_takeover=False,
                 server_max_window_bits=15, client_max_window_bits=15):
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits


# -- negotiation

def parse_extensions(values):
    """Elements of Sec-WebSocket-Extensions (RFC 6455, 9.1).

    :param values: list of texts, whole header values or single elements
    :returns: ``[(name in lower case, [(parameter, value or None), ...]), ...]``
    :raises HandshakeError: not of that grammar
    """
    found = []
    for value in values:
        for element in split_list(value):
            parts = _split_quoted(element)
            name = parts[0].strip().lower()
            if not is_token(name.encode('utf-8')):
                raise errors.HandshakeError(
                    "extension name '{}' is no token".format(escape(name)))
            found.append((name, [_parse_parameter(part) for part in parts[1:]]))
    return found


def _split_quoted(text):
    """Split at semicolons, but for those inside of quotes."""
    parts, part, quoted, escaped = [], '', False, False
    for char in text:
        if char == ';' and not quoted:
            parts.append(part)
            part = ''
            continue
        part += char
        if escaped:
            escaped = False
        elif quoted and char == '\\':
            escaped = True
        elif char == '"':
            quoted = not quoted
    return parts + [part]


def _parse_parameter(text):
    name, equals, value = (part.strip() for part in text.partition('='))
    if equals and len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r'\\(.)', r'\1', value[1:-1])
    if not is_token(name.encode('utf-8')) or (equals and not is_token(value.encode('utf-8'))):
        raise errors.CompressionParameterError(
            "extension parameter '{}' is not name or name=value".format(escape(text.strip())))
    return name.lower(), value if equals else None


def _parse_parameters(pairs, in_offer=False):
    """A dict of the parameters of permessage-deflate; numbers as ints."""
    found = {}
    for name, value in pairs:
        if name in found:
            raise errors.CompressionParameterError('parameter {} is repeated', name)
        if name in _FLAGS:
            if value is not None:
                raise errors.CompressionParameterError(
                    "parameter {} has the value '{}'; it may have none", name, escape(value))
            found[name] = True
        elif name in _WINDOWS:
            if value is None and in_offer and name == 'client_max_window_bits':
                found[name] = None
                continue
            if value is None or not _BITS.match(value):
                raise errors.CompressionParameterError(
                    "parameter {} is '{}'; 8 to 15 is allowed", name, escape(value or ''))
            found[name] = int(value)
        else:
            raise errors.CompressionParameterError(
                "parameter '{}' is not of permessage-deflate", escape(name))
    return found


def negotiate_client(deflate, extensions):
    """Judge the extensions in a server's answer (RFC 6455, 4.1; RFC 7692, 7.1).

    :param deflate: the :class:`Deflate` that was offered, or None
    :param extensions: list of texts of Sec-WebSocket-Extensions
    :returns: ``(set of enabled names, DeflateParameters or None)``
    :raises HandshakeError: an extension that was not offered
    :raises CompressionParameterError: permessage-deflate twice, or parameters that may not be
    """
    parameters = None
    for name, pairs in parse_extensions(extensions):
        if name != NAME or deflate is None:
            raise errors.HandshakeError(
                "extension '{}' was not offered".format(escape(name)))
        if parameters is not None:
            raise errors.CompressionParameterError('extension {} is there twice', NAME)
        found = _parse_parameters(pairs)
        if deflate.server_no_context_takeover and 'server_no_context_takeover' not in found:
            raise errors.CompressionParameterError(
                'server_no_context_takeover was asked for and is not in the answer')
        asked = deflate.server_max_window_bits
        if asked is not None and found.get('server_max_window_bits', 16) > asked:
            raise errors.CompressionParameterError(
                'server_max_window_bits={} was asked for; the answer has {}', asked,
                found.get('server_max_window_bits', 'none'))
        ours = deflate.client_max_window_bits or 15
        parameters = DeflateParameters(
            'server_no_context_takeover' in found,
            'client_no_context_takeover' in found or deflate.client_no_context_takeover,
            found.get('server_max_window_bits', 15),
            min(ours, found.get('client_max_window_bits', 15)))
    return (set([NAME]) if parameters is not None else set()), parameters


def negotiate_server(deflate, offers):
    """Choose the first offer of a client that can be met.

    :param deflate: the :class:`Deflate` of the server, or None
    :param offers: list of texts of Sec-WebSocket-Extensions
    :returns: ``(text of the answer or None, DeflateParameters or None)``
    """
    if deflate is None:
        return None, None
    try:
        offered = parse_extensions(offers)
    except errors.HandshakeError:           # an offer that cannot be read is none
        return None, None
    for name, pairs in offered:
        if name != NAME:
            continue
        try:
            found = _parse_parameters(pairs, in_offer=True)
        except errors.CompressionParameterError:
            continue                        # RFC 7692, 5.1: the next one may do
        answer = [NAME]
        server_bits = min(deflate.server_max_window_bits or 15,
                          found.get('server_max_window_bits', 15))
        client_bits = 15
        no_server = deflate.server_no_context_takeover or 'server_no_context_takeover' in found
        no_client = deflate.client_no_context_takeover or 'client_no_context_takeover' in found
        if no_server:
            answer.append('server_no_context_takeover')
        if no_client:
            answer.append('client_no_context_takeover')
        if server_bits < 15 or 'server_max_window_bits' in found:
            answer.append('server_max_window_bits={}'.format(server_bits))
        if 'client_max_window_bits' in found:
            client_bits = min(deflate.client_max_window_bits or 15,
                              found['client_max_window_bits'] or 15)
            if client_bits < 15:
                answer.append('client_max_window_bits={}'.format(client_bits))
        return '; '.join(answer), DeflateParameters(no_server, no_client, server_bits, client_bits)
    return None, None


# -- the codec

class PerMessageDeflate(object):
    """Compresses and inflates the messages of one connection.

    ``compress`` is guarded by the write lock, ``inflate`` belongs to the loop.

    :param DeflateParameters parameters: what was agreed on
    :param bool is_client: which side this is
    :param level, mem_level, min_size: see :class:`Deflate`
    """

    def __init__(self, parameters, is_client, level=6, mem_level=8, min_size=0):
        if is_client:
            bits = parameters.client_max_window_bits
            self._resets_out = parameters.client_no_context_takeover
            self._resets_in = parameters.server_no_context_takeover
        else:
            bits = parameters.server_max_window_bits
            self._resets_out = parameters.server_no_context_takeover
            self._resets_in = parameters.client_no_context_takeover
        # zlib has no raw window of 256 bytes; with 512 it keeps within 250: its matches end
        # MIN_LOOKAHEAD (262) before the window does.
        self._bits = max(bits, 9)
        self._level = level
        self._mem_level = mem_level
        self._min_size = min_size
        self._deflater = None
        self._inflater = None
        # The last 32 KiB that were inflated, as references to outputs: a block with BFINAL set
        # ends zlib's stream, and what follows may still refer to this window.
        self._history = []
        self._history_size = 0
        self._streams = 0               # that ended inside of the message under way

    def compress(self, payload):
        """A whole message, deflated, without the tail; None: it goes as it is."""
        if len(payload) < self._min_size:
            return None
        if not len(payload):
            return b'\x00'                  # RFC 7692, 7.2.3.6
        deflater = self._deflater
        if deflater is None:
            deflater = zlib.compressobj(self._level, zlib.DEFLATED, -self._bits, self._mem_level)
            if not self._resets_out:
                self._deflater = deflater
        data = deflater.compress(to_bytes(payload))
        data += deflater.flush(zlib.Z_SYNC_FLUSH)
        return data[:-4]

    def inflate(self, data, final, limit):
        """What one part of a message inflates to.

        :param data: bytes-like
        :param final: the message ends with it
        :param limit: most bytes that may come out; None for no limit
        :returns: bytes, or None when there would be more than ``limit``
        :raises CriticalProtocolError: undecodable
        """
        if self._inflater is None:
            self._inflater = zlib.decompressobj(-15)
        data = to_bytes(data)
        if final:
            data += _TAIL
        try:
            # To zlib a limit of 0 is none.
            result = self._inflater.decompress(data, 0 if limit is None else limit + 1)
            if limit is not None and len(result) > limit:
                return None
            newest = result
            if self._inflater.unused_data:
                result, newest = self._go_on(result, final, limit)
                if result is None:
                    return None
        except zlib.error as error:
            raise errors.CriticalProtocolError(
                'compressed data cannot be inflated; {}', error_text(error))
        if not final:
            self._remember(newest)
            return result
        self._streams = 0
        if self._resets_in:
            self._inflater = None
            self._history = []
            self._history_size = 0
        elif newest:
            self._remember(newest)
        return result

    def _go_on(self, result, final, limit):
        """A block with BFINAL ended zlib's stream, and there is more (RFC 7692, 7.2.3.4)."""
        results = [result]
        size = len(result)
        while True:
            rest = self._inflater.unused_data
            if not rest:
                break
            self._streams += 1
            if self._streams > _MOST_STREAMS:
                raise errors.CriticalProtocolError(
                    'compressed message has more than {} blocks with BFINAL set', _MOST_STREAMS)
            self._remember(results[-1])
            self._inflater = self._new_inflater()
            if final and rest == _TAIL:     # it ended with the message: the tail is ours alone
                results.append(b'')
                break
            results.append(self._inflater.decompress(
                rest, 0 if limit is None else limit - size + 1))
            size += len(results[-1])
            if limit is not None and size > limit:
                return None, None
        return b''.join(results), results[-1]       # the others are in the history already

    def _new_inflater(self):
        """An inflater that knows the window: it is told as a stored block (2.7 has no zdict)."""
        inflater = zlib.decompressobj(-15)
        window = b''.join(self._history)[-_WINDOW:]
        if window:
            inflater.decompress(b'\x00' + struct.pack(
                str('<HH'), len(window), len(window) ^ 0xFFFF) + window)
        return inflater

    def _remember(self, result):
        size = len(result)
        history = self._history
        if size >= _WINDOW:
            history[:] = [result[-_WINDOW:]]
            self._history_size = _WINDOW
            return
        history.append(result)
        self._history_size += size
        if self._history_size > 2 * _WINDOW or len(history) > 64:
            history[:] = [b''.join(history)[-_WINDOW:]]
            self._history_size = len(history[0])

    def close(self):
        """Give zlib's memory back."""
        self._deflater = self._inflater = None
        self._history = []
        self._history_size = 0
