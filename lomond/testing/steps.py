"""Steps of the scripts of :class:`~lomond.testing.ScriptedTransport`, and frames of a server.

It must not know who plays them.
"""

from __future__ import absolute_import, division, unicode_literals

import collections

from ..compat import encode_utf8, native
from ..frame import encode_close_payload, encode_frame
from ..opcode import Opcode


class _Mark(object):
    """A step that is known by its identity."""

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return native(self._name)


#: The request is waited for, and answered as a good server does.
ACCEPT = _Mark('ACCEPT')
#: The end of the stream.
EOF = _Mark('EOF')

Until = collections.namedtuple(str('Until'), 'condition')
Room = collections.namedtuple(str('Room'), 'size')
SendsFail = collections.namedtuple(str('SendsFail'), 'error')


def until(condition):
    """Wait until something is so.

    :param condition: name of an event (``'ping'``, ``'text'``, ``'closing'`` ...) that the client is
        to send from now on; or a callable with the transport, asked now and after each send
    """
    return Until(condition)


def room(size):
    """From now on so many bytes can be sent.

    :param size: 0: nothing can be sent; None: any number
    """
    return Room(size)


def sends_fail(error):
    """From now on sending raises this exception."""
    return SendsFail(error)


def text_frame(text, fin=True):
    """Bytes of a server's text message, or of its first fragment."""
    return encode_frame(Opcode.TEXT, encode_utf8(text), fin=fin)


def binary_frame(data, fin=True):
    """Bytes of a server's binary message, or of its first fragment."""
    return encode_frame(Opcode.BINARY, data, fin=fin)


def continuation_frame(data, fin=True):
    """Bytes of a further fragment."""
    return encode_frame(Opcode.CONTINUATION, data, fin=fin)


def ping_frame(data=b''):
    """Bytes of a server's ping."""
    return encode_frame(Opcode.PING, data)


def pong_frame(data=b''):
    """Bytes of a server's pong."""
    return encode_frame(Opcode.PONG, data)


def close_frame(code=1000, reason=''):
    """Bytes of a server's close frame; ``code`` None: an empty one."""
    return encode_frame(Opcode.CLOSE, encode_close_payload(code, reason))
