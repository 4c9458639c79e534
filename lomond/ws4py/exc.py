"""The exceptions of ws4py.

Knows nothing of: who raises them.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import native


class WebSocketException(Exception):
    """Base of the exceptions; most of those of ws4py are other names of it."""


class HandshakeError(WebSocketException):
    """The opening handshake has failed.

    :ivar msg: why
    """

    def __init__(self, msg):
        super(HandshakeError, self).__init__(msg)
        self.msg = msg

    def __str__(self):
        return native(self.msg)


class StreamClosed(Exception):
    """Never raised: kept for ``except`` clauses."""


ProtocolException = WebSocketException
FrameTooLargeException = WebSocketException
UnsupportedFrameTypeException = WebSocketException
TextFrameEncodingException = WebSocketException
InvalidBytesError = WebSocketException
