"""What callbacks get, and what ``send()`` takes besides text and bytes.

Knows nothing of: connections.
"""

from __future__ import absolute_import, division, unicode_literals

import struct

from .._compat import BYTES_LIKE, native, text_str, text_type, to_bytes
from ..opcode import Opcode


@text_str
class Message(object):
    """A message, or what a control frame carries.

    :param opcode: an :class:`~lomond.opcode.Opcode`
    :param data: bytes, or text, which is encoded
    :param encoding: how text is encoded; None for bytes only
    :raises TypeError: if ``data`` is neither, or text without an encoding

    :ivar data: bytes
    :ivar completed: True for one that was received whole
    """

    is_text = is_binary = False

    def __init__(self, opcode, data=b'', encoding='utf-8'):
        self.opcode = opcode
        self.encoding = encoding
        self.completed = False
        self.data = self._encode(data)

    def _encode(self, data):
        if isinstance(data, text_type):
            if not self.encoding:
                raise TypeError('data must be bytes, not text, for a message without an encoding')
            return data.encode(self.encoding)
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be text or bytes, not {}'.format(type(data).__name__))
        return to_bytes(data)

    def extend(self, data):
        """Append text or bytes."""
        self.data += self._encode(data)

    def __len__(self):
        """Return the number of characters, or of bytes if it is binary."""
        return len(self.data.decode(self.encoding) if self.encoding else self.data)

    def __str__(self):
        return self.data.decode(self.encoding or 'utf-8', 'strict' if self.encoding else 'replace')

    def __repr__(self):
        return native('<{} of {} bytes>'.format(type(self).__name__, len(self.data)))


class TextMessage(Message):
    """A text message."""

    is_text = True

    def __init__(self, text=b''):
        super(TextMessage, self).__init__(Opcode.TEXT, text)


class BinaryMessage(Message):
    """A binary message."""

    is_binary = True

    def __init__(self, bytes=b''):
        super(BinaryMessage, self).__init__(Opcode.BINARY, bytes, encoding=None)


@text_str
class CloseControlMessage(Message):
    """A close frame; its text is the reason.

    :ivar code: int, or None
    :ivar reason: bytes
    """

    def __init__(self, code=1000, reason=''):
        reason = b'' if reason is None else reason
        self.code = code
        self.reason = reason.encode('utf-8') if isinstance(reason, text_type) else to_bytes(reason)
        super(CloseControlMessage, self).__init__(
            Opcode.CLOSE, (struct.pack(native('!H'), code) if code else b'') + self.reason)

    def __len__(self):
        return len(self.reason.decode('utf-8'))

    def __str__(self):
        return self.reason.decode('utf-8')


class PingControlMessage(Message):
    """A ping."""

    def __init__(self, data=b''):
        super(PingControlMessage, self).__init__(Opcode.PING, data)


class PongControlMessage(Message):
    """A pong."""

    def __init__(self, data=b''):
        super(PongControlMessage, self).__init__(Opcode.PONG, data)
