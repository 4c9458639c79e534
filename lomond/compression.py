"""permessage-deflate (RFC 7692): the options, and the negotiation of both roles.

It must not know what a message is; what is agreed on here is done in :mod:`lomond.deflate`.
"""

from __future__ import absolute_import, division, unicode_literals

import sys

from .compat import Pattern, integer_types, native, to_text
from .deflate import PerMessageDeflate  # noqa: F401 - users of compression need one module
from .errors import CompressionParameterError, HandshakeError
from .response import TCHAR, escape

NAME = 'permessage-deflate'

_FLAGS = ('server_no_context_takeover', 'client_no_context_takeover')
_WINDOWS = ('server_max_window_bits', 'client_max_window_bits')
# Decimal without leading zeros (RFC 7692, 7.1.2.1).
_WINDOW_BITS = dict((str(bits), bits) for bits in range(8, 16))


class Deflate(object):
    """How to compress, and what to offer the server, or, in a server, what to agree to (RFC 7692).

    :param level: 0 (stored) - 9 (smallest); 1 is 1.8 times as fast as 6
    :param mem_level: 1 - 9; the compressor takes ``2 ** (mem_level + 9)`` bytes and its window
    :param client_max_window_bits: 8 - 15: the client compresses with a window of ``2 ** bits``
        bytes; None: 15, or less if the server wants that
    :param server_max_window_bits: 8 - 15: the server has to do so; None: as it likes
    :param client_no_context_takeover: the client begins each message with an empty window
    :param server_no_context_takeover: the server has to do so
    :param min_size: messages shorter than so many bytes are sent as they are, every other one
        is compressed, even if that makes it longer
    :raises TypeError: no integer, or no bool, where one has to be
    :raises ValueError: a number out of its range

    One object may be used by any number of connections, in any thread; it is never changed.
    """

    def __init__(self, level=6, mem_level=8, client_max_window_bits=None, server_max_window_bits=None,
                 client_no_context_takeover=False, server_no_context_takeover=False, min_size=0):
        self.level = _check_integer('level', level, 0, 9)
        self.mem_level = _check_integer('mem_level', mem_level, 1, 9)
        self.client_max_window_bits = _check_bits('client_max_window_bits', client_max_window_bits)
        self.server_max_window_bits = _check_bits('server_max_window_bits', server_max_window_bits)
        self.client_no_context_takeover = _check_flag(
            'client_no_context_takeover', client_no_context_takeover)
        self.server_no_context_takeover = _check_flag(
            'server_no_context_takeover', server_no_context_takeover)
        self.min_size = _check_integer('min_size', min_size, 0, sys.maxsize)

    def __repr__(self):
        return native('Deflate({})'.format(', '.join('{}={}'.format(name, getattr(self, name)) for name in (
            'level', 'mem_level', 'client_max_window_bits', 'server_max_window_bits',
            'client_no_context_takeover', 'server_no_context_takeover', 'min_size'))))

    def offer(self):
        """Make the value of Sec-WebSocket-Extensions in the client's request (RFC 7692, 7.1).

        :returns: text

        >>> print(Deflate().offer())
        permessage-deflate; client_max_window_bits
        """
        # client_max_window_bits is always there: without it a server may not ask for less.
        words = [NAME] + [name for name in _FLAGS if getattr(self, name)]
        if self.server_max_window_bits is not None:
            words.append('server_max_window_bits={}'.format(self.server_max_window_bits))
        words.append('client_max_window_bits')
        if self.client_max_window_bits is not None:
            words[-1] += '={}'.format(self.client_max_window_bits)
        return '; '.join(words)


def _check_integer(name, value, least, most):
    if isinstance(value, bool) or not isinstance(value, integer_types):
        raise TypeError('{} must be an integer, not {}'.format(name, type(value).__name__))
    if not least <= value <= most:
        raise ValueError('{} is {}; {} is allowed'.format(
            name, value, '{} - {}'.format(least, most) if most < sys.maxsize else
            '{} or more'.format(least)))
    return value


def _check_bits(name, value):
    return None if value is None else _check_integer(name, value, 8, 15)


def _check_flag(name, value):
    if not isinstance(value, bool):
        raise TypeError('{} must be True or False, not {}'.format(name, type(value).__name__))
    return value


class DeflateParameters(object):
    """What client and server agreed on (RFC 7692, 7.1)."""

    __slots__ = _FLAGS + _WINDOWS

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
# What is quoted has to be a token once the backslashes are off (RFC 6455, 9.1).  No value behind
# the "=" is let through: whoever knows the parameter has the better words for it.
_PARAMETER = Pattern(
    ';[ \t]*({tchar}+)[ \t]*(?:(=)[ \t]*({tchar}+|"(?:\\\\?{tchar})*")?[ \t]*)?(?=[;,]|\\Z)'.format(
        tchar=TCHAR))


def parse_extensions(values):
    """The elements of Sec-WebSocket-Extensions (RFC 6455, 9.1).

    >>> parse_extensions(['a; b="c"; d, e']) == [('a', [('b', 'c'), ('d', None)]), ('e', [])]
    True

    :param values: list of text: values of headers, or elements of them
    :returns: ``[(name, [(parameter, value or None), ..]), ..]``, names in lower case
    :raises HandshakeError: when a value does not have the grammar of a list of extensions
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
    """The parameters of permessage-deflate as a dict, window bits as integers."""
    read = {}
    for name, value in pairs:
        if name in read:
            raise CompressionParameterError('parameter {} of {} is repeated'.format(name, NAME))
        if name in _FLAGS:
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
    """What the server agreed to, checked against what was offered (RFC 6455, 9.1; RFC 7692, 7.1).

    :param deflate: the :class:`Deflate` that was offered; None: no extension was
    :param extensions: list of text: Sec-WebSocket-Extensions of the answer
    :returns: ``(names, parameters)``: the set of the extensions that are in use, and
        :class:`DeflateParameters` or None
    :raises CompressionParameterError: permessage-deflate twice, or with parameters that may not be
    :raises HandshakeError: an extension that was not offered
    """
    parameters = None
    for name, pairs in parse_extensions(extensions):
        if deflate is None or name != NAME:
            raise HandshakeError("extension '{}' was not offered".format(escape(name)))
        if parameters is not None:
            raise CompressionParameterError('extension {} is there twice'.format(NAME))
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
        # The client's two in the offer are a promise, also when the answer does not ask for it.
        parameters = DeflateParameters(
            'server_no_context_takeover' in read,
            deflate.client_no_context_takeover or 'client_no_context_takeover' in read,
            server_bits,
            min(deflate.client_max_window_bits or 15, read.get('client_max_window_bits', 15)))
    return (set() if parameters is None else set((NAME,))), parameters


def negotiate_server(deflate, offers):
    """What to agree to of a client's offers: the first that can be accepted (RFC 7692, 5.1, 7.1).

    :param deflate: the server's :class:`Deflate`; None: no compression.  Its limits hold besides
        those of the client; a limit for a client that did not say that it can keep one is dropped
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
    for name in _FLAGS:
        if name in read or getattr(deflate, name):
            setattr(parameters, name, True)
            words.append(name)
    for name in _WINDOWS:
        bits = min(read.get(name) or 15, getattr(deflate, name) or 15)
        # The client's may be in the answer only if it was in the offer (RFC 7692, 7.1.2.2); the
        # server's has to be if it was.
        if name == 'client_max_window_bits' and name not in read:
            continue
        setattr(parameters, name, bits)
        if bits < 15 or read.get(name):
            words.append('{}={}'.format(name, bits))
    return '; '.join(words), parameters
