"""The opening handshake that is the example of RFC 6455, 1.3; nothing here imports lomond."""

from __future__ import absolute_import, division, unicode_literals

HANDSHAKE_KEY = b'dGhlIHNhbXBsZSBub25jZQ=='


def answer(*headers):
    """Return the head of a response that accepts a request with :data:`HANDSHAKE_KEY`."""
    return b'\r\n'.join((b'HTTP/1.1 101 Switching Protocols', b'Upgrade: websocket', b'Connection: Upgrade',
                         b'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=') + headers) + b'\r\n\r\n'
