"""Steps of the scripts of ``ScriptedTransport``, and frames of a server.

Knows nothing of: how scripts are played.
"""

from __future__ import absolute_import, division, unicode_literals

import collections

from .._compat import encode_utf8, native
from ..opcode import Opcode
from ..protocol.frames import encode_close_payload, encode_frame


class _Mark(object):
    """A step that is recognized by its identity."""

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return native(self._name)


#: Wait for the request, and answer it as a well-behaved server does.
ACCEPT = _Mark('ACCEPT')
#: The end of the stream.
EOF = _Mark('EOF')

Until = collections.namedtuple(str('Until'), 'condition')
Room = collections.namedtuple(str('Room'), 'size')
SendsFail = collections.namedtuple(str('SendsFail'), 'error')


def until(condition):
    """Make a step that waits for a condition.

    :param condition: the name of an event (``'ping'``, ``'text'``, ``'closing'``...)
        that the client has to send from now on; or a callable that takes the transport,
        called now and after each send
    :returns: a step of a script
    """
    return Until(condition)


def room(size):
    """Make a step that limits how much the client can send from now on.

    :param size: the number of bytes, 0 or more; None for no limit
    :returns: a step of a script
    """
    return Room(size)


def sends_fail(error):
    """Make a step after which sending raises an exception.

    :param error: the exception
    :returns: a step of a script
    """
    return SendsFail(error)


def text_frame(text, fin=True):
    """Make the frame of a server's text message, or of its first fragment.

    See RFC 6455, 5.6.

    :param text: text
    :param fin: if false, more fragments follow
    :returns: bytes
    """
    return encode_frame(Opcode.TEXT, encode_utf8(text), fin=fin)


def binary_frame(data, fin=True):
    """Make the frame of a server's binary message, or of its first fragment.

    See RFC 6455, 5.6.

    :param data: bytes
    :param fin: if false, more fragments follow
    :returns: bytes
    """
    return encode_frame(Opcode.BINARY, data, fin=fin)


def continuation_frame(data, fin=True):
    """Make the frame of a further fragment (RFC 6455, 5.4).

    :param data: bytes; for a text message, a piece of its UTF-8
    :param fin: if false, more fragments follow
    :returns: bytes
    """
    return encode_frame(Opcode.CONTINUATION, data, fin=fin)


def ping_frame(data=b''):
    """Make a server's ping (RFC 6455, 5.5.2).

    :param data: bytes, at most 125
    :returns: bytes
    """
    return encode_frame(Opcode.PING, data)


def pong_frame(data=b''):
    """Make a server's pong (RFC 6455, 5.5.3).

    :param data: bytes, at most 125
    :returns: bytes
    """
    return encode_frame(Opcode.PONG, data)


def close_frame(code=1000, reason=''):
    """Make a server's close frame (RFC 6455, 5.5.1).

    :param code: a close code that may be sent; None for an empty frame
    :param reason: text or UTF-8 bytes
    :returns: bytes
    """
    return encode_frame(Opcode.CLOSE, encode_close_payload(code, reason))
