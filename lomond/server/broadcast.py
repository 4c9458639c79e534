"""One message to many connections, without waiting for any of them.

Knows nothing of: how the connections came about.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import BYTES_LIKE, encode_utf8, text_type, to_bytes
from ..client.options import check_size
from ..opcode import Opcode
from ..protocol.frames import encode_frame
from ..protocol.states import OPENED


def broadcast(websockets, message, compress=True, limit=1024 * 1024):
    """Send a message to each of many connections.

    It never waits, and never raises because of one of them.  Those that are not open
    are skipped.  A connection whose peer does not keep up is dropped.  What the kernel
    does not take at once goes out from the thread that iterates the connection.

    Any number of threads may call it; messages of one thread arrive in order
    everywhere.

    :param websockets: an iterable of :class:`ServerWebSocket` or
        :class:`~lomond.websocket.WebSocket`; it is copied first
    :param message: text, or bytes, bytearray or memoryview
    :param compress: if false, the message is sent uncompressed in any case
    :param limit: bytes of earlier messages that the operating system has not taken;
        with more, a connection is dropped.  None for no limit
    :returns: for how many connections the message was queued
    :raises TypeError: if the message is neither text nor bytes, ``limit`` not a number,
        or one of ``websockets`` something else; then nothing was sent
    :raises ValueError: if ``limit`` is below 0
    """
    limit = check_size('limit', limit, 0)
    if isinstance(message, text_type):
        opcode, payload = Opcode.TEXT, encode_utf8(message)
    elif isinstance(message, BYTES_LIKE):
        opcode, payload = Opcode.BINARY, to_bytes(message)
    else:
        raise TypeError('message must be text, bytes, bytearray or memoryview, not {}'.format(
            type(message).__name__))
    try:
        each = iter(websockets)
    except TypeError:
        raise TypeError('websockets must be an iterable of ServerWebSocket and WebSocket, not {}'.format(
            type(websockets).__name__))
    websockets = list(each)
    for websocket in websockets:
        if not hasattr(websocket, 'state'):
            raise TypeError('websockets has {!r}; ServerWebSocket and WebSocket are allowed'.format(
                websocket))
    count, frame = 0, None
    for websocket in websockets:
        core, session = websocket.state.core, websocket.state.session
        if core.inputs != OPENED and not core.state.may_send or not hasattr(session, '_post_message'):
            continue                    # not open, or driven by a session that can only wait
        if limit is not None and session.queued > limit:
            websocket.force_disconnect()
            continue
        if frame is None and not core.role.masks_outgoing:
            frame = encode_frame(opcode, payload, None)     # once for all servers that do not compress
        try:
            session._post_message(opcode, payload, compress, None if core.role.masks_outgoing else frame)
        except errors.WebSocketError:   # it has just begun to close
            continue
        count += 1
    return count
