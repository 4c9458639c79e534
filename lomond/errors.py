"""The exceptions.

A mistake of the caller is raised.  A mistake of the peer or the network is an event
(:mod:`lomond.events`), with one of these exceptions as its ``error``.

Knows nothing of: how a message came about.
"""

from __future__ import absolute_import, division, unicode_literals

from ._compat import text_str, text_type


@text_str
class WebSocketError(Exception):
    """Base of all errors of this package.

    :param msg: the finished message; braces in it are harmless
    :param args: with these, or with keywords, ``msg.format(*args, **kwargs)`` is the
        message
    """

    def __init__(self, msg='', *args, **kwargs):
        if args or kwargs:
            msg = msg.format(*args, **kwargs)
        super(WebSocketError, self).__init__(msg)

    def __str__(self):
        msg = self.args[0] if self.args else ''
        return msg.decode('utf-8', 'replace') if isinstance(msg, bytes) else text_type(msg)


class FrameBuildError(WebSocketError):
    """A frame cannot be built from what was given."""


class HandshakeError(WebSocketError):
    """The answer to the opening handshake is not one that RFC 6455, 4.1 allows."""


class UpgradeRefused(HandshakeError):
    """A request under WSGI was refused; see :func:`lomond.wsgi.upgrade`.

    It is a WSGI application that answers so.

    :ivar status: int
    :ivar headers: list of pairs of native text, without those of one connection only
    :ivar body: bytes
    """

    def __init__(self, msg='', *args, **kwargs):
        # Like all errors, it is made of its message only, so that copies and pickles
        # are complete; upgrade() stores the rest.
        super(UpgradeRefused, self).__init__(msg, *args, **kwargs)
        self.status = 500
        self.headers = []
        self.body = b''

    def __call__(self, environ, start_response):
        from ._http11 import reason_phrase
        start_response(str('{} {}').format(self.status, reason_phrase(self.status)), list(self.headers))
        return [self.body]


class UpgradeUnavailable(WebSocketError):
    """The WSGI server does not let go of its socket; see :mod:`lomond.wsgi`."""


class CompressionParameterError(HandshakeError):
    """The peer's parameters of permessage-deflate are not allowed by RFC 7692."""


class ProtocolError(WebSocketError):
    """The peer broke RFC 6455; the connection fails with 1002 (or 1009)."""


class PayloadTooLarge(ProtocolError):
    """A message is larger than ``max_message_size``; the connection fails with 1009."""


class CriticalProtocolError(WebSocketError):
    """The peer's bytes cannot be understood; not a :class:`ProtocolError`."""


class ConnectFail(WebSocketError):
    """The connection could not be made."""


class ProxyFail(ConnectFail):
    """The proxy refused, or did not speak its protocol."""


class TransportFail(WebSocketError):
    """The socket is broken; ``Disconnected`` follows in the loop."""


class SendTimeout(TransportFail):
    """The peer took nothing for ``send_timeout`` seconds; the connection is dead."""


class QueueFull(WebSocketError):
    """More than ``max_queued`` bytes would wait to be sent; nothing of the message was
    sent.

    Only in loops of many connections, whose thread never waits in a send.
    """


class WebSocketUnavailable(WebSocketError):
    """Not (yet) connected: nothing can be sent."""


class WebSocketClosing(WebSocketUnavailable):
    """The closing handshake has begun: nothing more can be sent."""


class WebSocketClosed(WebSocketUnavailable):
    """The connection is over: nothing more can be sent."""


class ReceiveTimeout(WebSocketError):
    """The peer sent nothing for as long as ``receive()`` was willing to wait."""
