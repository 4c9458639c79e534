"""The sending half of a connection: what may be sent in which state, and its bytes.

It must not know what is received, nor how: the receiving half
(:class:`~lomond.protocol.connection.Connection`) builds on this one and moves the state, too.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import to_bytes
from ..opcode import Opcode
from ..status import Status
from . import states
from .frames import MAX_CONTROL_PAYLOAD, encode_close_payload
from .send_queue import Encoder, PingLog, Replies


class SendingHalf(states.Progress):
    """What one side of a connection sends.

    ``close`` and ``disconnect`` are for any thread and for signal handlers; what encodes is for
    the holder of the write lock.

    :param masks: True in the client (RFC 6455, 5.3)
    """

    def __init__(self, masks):
        super(SendingHalf, self).__init__()
        # Written by the loop before the state moves, read by anybody behind it: no lock.
        self.failure = None             # the text of what failed the connection
        self.close_code = None          # code and reason of the peer's close frame
        self.close_reason = ''
        self.replies = Replies()
        self.pings = PingLog()
        self._encoder = Encoder(masks)       # guarded by the write lock
        #: :meth:`~lomond.protocol.send_queue.Encoder.encode`, for who holds the write lock and may send.
        self.encode = self._encoder.encode

    @property
    def codec(self):
        """The :class:`~lomond.protocol.permessage_deflate.PerMessageDeflate` in use, or None."""
        return self._encoder.codec

    @property
    def latency(self):
        """Seconds from the newest answered ping to its pong; None before."""
        return self.pings.latency

    # -- what wants to be written

    def take_outgoing(self):
        """All ``(opcode, payload)`` that want to be written now, in order."""
        return list(iter(self.replies.next, None))

    def encode_reply(self, opcode, payload):
        """The bytes of one item of :meth:`take_outgoing`."""
        if opcode is None:
            return payload
        return self._encoder.encode_control(opcode, payload)

    def queue_ping(self, payload, now):
        """An automatic ping, to be written with the other replies; it counts from ``now``."""
        self.pings.sent(payload, now)
        self.replies.queue(Opcode.PING, payload)

    # -- what the caller sends

    def check_send(self):
        """Refuse a send that the state forbids.

        :raises WebSocketUnavailable, WebSocketClosing, WebSocketClosed: see the state table
        """
        state = self.state
        if not state.may_send:
            raise state.refuse()

    def send_message(self, opcode, payload, compress=False, fin=True):
        """The bytes of one message, or of one frame of it.

        :param opcode: ``Opcode.TEXT`` or ``BINARY`` (``CONTINUATION`` for further frames)
        :param payload: bytes, bytearray, or a memoryview of bytes
        :param compress: compress it when that was agreed on (whole messages only)
        :param fin: False: further frames follow
        :returns: an iterable of bytes-like objects; each must be written before the next is taken
        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        """
        self.check_send()
        return self._encoder.encode_message(opcode, payload, compress, fin)

    def send_ping(self, data=b'', now=None):
        """The bytes of a ping; ``now`` is when it is sent, for the latency of its pong.

        :raises ValueError: more than 125 bytes
        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        """
        frame = self._encode_control(Opcode.PING, data)
        self.pings.sent(to_bytes(data), now)
        return frame

    def send_pong(self, data):
        """The bytes of a pong; errors as in :meth:`send_ping`."""
        return self._encode_control(Opcode.PONG, data)

    def _encode_control(self, opcode, data):
        if len(data) > MAX_CONTROL_PAYLOAD:
            raise ValueError('{} payload is {} bytes; at most {} are allowed'.format(
                Opcode.to_str(opcode).lower(), len(data), MAX_CONTROL_PAYLOAD))
        self.check_send()
        return self._encoder.encode_control(opcode, data)

    # -- the end

    def close(self, code=Status.NORMAL, reason=''):
        """Begin the closing handshake, or answer the peer's (RFC 6455, 7.1.2).

        The state moves at once, and never waits.  After the peer's close frame its code is
        echoed, whatever is given here.  Before Ready the connection is over.

        :param code: a close code that may be sent; None for an empty close frame
        :param reason: text, or bytes of UTF-8; cut to 123 bytes
        :returns: the payload of the close frame that is to be written, or None when there is
            nothing to do
        :raises TypeError, ValueError: for a code or reason that may not be sent
        """
        payload = encode_close_payload(code, reason)
        if not (self.state.is_active and self.take_close_token()):
            return None
        state = self.move(states.CLOSE_SENT)
        if state is states.ECHOED:
            return encode_close_payload(self.close_code)
        return payload if self.was_open and state is not states.DISCONNECTED else None

    def fail(self, code, text):
        """Fail the connection (RFC 6455, 7.1.7); queues a close frame with code and text.

        Nothing is queued before the opening handshake is done, and nothing changes once the
        connection has failed or the peer's close frame was answered.
        """
        if self.move(states.FAIL) is states.FAILED and self.failure is None:
            self.failure = text
            if self.was_open:
                self.queue_close(code, text)
            else:
                self.take_close_token()         # nobody listens to frames yet

    def queue_close(self, code, text=''):
        """Queue the close frame of an echo or a failure, unless one was sent."""
        if self.take_close_token():
            self.move(states.CLOSE_SENT)
            self.replies.queue(Opcode.CLOSE, encode_close_payload(code, text))
