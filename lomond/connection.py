"""One WebSocket connection as a protocol: bytes in, events and bytes out.

It must not know sockets, clocks, locks or threads, nor who drives it.  A driver does this:

``get_buffer()``
    gives a writable memoryview: where the next bytes should go (free space of the parse
    buffer, or the final place of a large payload).  The driver may keep the view alive.
``buffer_updated(n, received_time, now)``
    ``n`` bytes were put there: an iterator of events (0: the end of the stream).  The names
    are those of ``asyncio.BufferedProtocol``.
``receive(data, received_time, now)``
    the same for bytes that one already has; ``b''`` is the end of the stream.
``take_outgoing()``
    ``(opcode, payload)`` of pongs, close echoes and the close frame of a failure, in order, for
    ``encode_reply``; an opcode of None is raw bytes (the answer to a client's request).
``send_message``, ``send_ping``, ``send_pong``, ``close``
    check the state and give bytes to write.

The iterator is lazy: an event is made and handed out, and what answers it is in the queue,
before the next frame is looked at.  The echo of a close, and the close frame of a failure,
are queued when the iterator is resumed after their events.  A driver takes the outgoing
replies after each step of the iterator and exhausts it before it asks for a buffer or feeds.

``close()`` and ``disconnect()`` may be called from any thread and from signal handlers, also
while the driver is at work; everything else belongs to the driver (feeding) and to the holder
of its write lock (sending, ``encode_reply``, ``take_outgoing``).
"""

from __future__ import absolute_import, division, unicode_literals

import collections

from . import errors, states
from .compat import text_type
from .compression import Deflate, PerMessageDeflate
from .events import Closed, Closing, Event, Ping, Pong, ProtocolError
from .frame import MAX_CONTROL_PAYLOAD, encode_close_payload, parse_close_payload
from .frame_parser import parse_frames
from .intake import Intake
from .opcode import Opcode
from .opening import read_body, read_head
from .outgoing import Encoder, PingLog, Replies
from .status import Status

#: Bytes of one message, unless the caller says otherwise.
DEFAULT_MAX_MESSAGE_SIZE = 64 * 1024 * 1024

#: What the two sides do differently.
Role = collections.namedtuple('Role', 'name masks_outgoing expects_masked closes_tcp_first')
CLIENT = Role('client', masks_outgoing=True, expects_masked=False, closes_tcp_first=False)
SERVER = Role('server', masks_outgoing=False, expects_masked=True, closes_tcp_first=True)


class Connection(states.Progress):
    """The core of one connection, in either role.

    :param Role role: ``CLIENT`` or ``SERVER``
    :param handshake: a :class:`~lomond.handshake.ClientHandshake` or
        :class:`~lomond.handshake.ServerHandshake`; None: the connection is open already
    :param bytes initial: bytes that arrived before (behind a proxy's answer, or with the
        request that a WSGI server has parsed)
    :param max_message_size: most bytes of one message, after inflating; None for no limit
    :param deflate: the :class:`~lomond.compression.Deflate` options (level, memory) of what is
        sent compressed; None: defaults
    :param compression: agreed parameters, when the connection is open already
    :param str subprotocol: likewise
    """

    def __init__(self, role, handshake=None, initial=b'',
                 max_message_size=DEFAULT_MAX_MESSAGE_SIZE, deflate=None, compression=None,
                 subprotocol=None):
        super(Connection, self).__init__()
        self.role = role
        self.handshake = handshake
        self.max_message_size = max_message_size
        self.auto_pong = True
        #: True, or a predicate of the response: hold a rejection back until its body is there.
        self.collect_body = False
        self.subprotocol = subprotocol
        self.extensions = set()
        self.failure = None             # the text of what failed the connection
        self.close_code = None          # code and reason of the peer's close frame
        self.close_reason = ''
        self.close_received = False
        self.sent_close_time = None     # seconds since Ready, kept by the driver
        self.eof = False
        self.hungry = True              # the iterator of events is exhausted
        self.intake = Intake()
        self._body_over = False
        self._deflate = deflate
        self._codec = None
        self._encoder = Encoder(role.masks_outgoing)                # guarded by the write lock
        self.replies = Replies()
        self.pings = PingLog()
        self._now = None
        if handshake is None:
            self._set_compression(compression)
            self.move(states.READY)
        if initial:
            self.intake.put_back(initial)
        #: Events, and None whenever more bytes are needed; drivers in a hurry iterate this
        #: one directly after :meth:`advance`.  Made then: it refers to this object.
        self.events = None

    @property
    def supports_compression(self):
        """True when permessage-deflate was agreed on."""
        return self._codec is not None or (
            self.handshake is not None and self.handshake.compression is not None)

    @property
    def latency(self):
        """Seconds from the newest answered ping to its pong; None before."""
        return self.pings.latency

    # -- bytes in

    def get_buffer(self, sizehint=-1):
        """A writable memoryview for the next bytes; see the module's text."""
        return self.intake.get_buffer(sizehint)

    def advance(self, count, received_time=None, now=None):
        """``count`` bytes were put into the buffer (0: end of stream); iterate ``events`` now."""
        if not self.hungry:
            raise errors.WebSocketError(
                'bytes were fed while an earlier iterator of events is not exhausted')
        self.hungry = False
        if self.events is None:
            self.events = self._run()
        self._now = now
        if received_time is None:
            received_time = Event().received_time       # what an event takes by itself
        self.intake.received_time = received_time
        if count:
            self.intake.advance(count)
        else:
            self.eof = True

    def buffer_updated(self, count, received_time=None, now=None):
        """``count`` bytes were put into the buffer.

        :param int count: 0 is the end of the stream
        :param received_time: epoch seconds for the events
        :param now: monotonic seconds, for the latency of pongs
        :returns: a lazy iterator of events
        """
        self.advance(count, received_time, now)
        return self._until_hungry()

    def _until_hungry(self):
        for event in self.events:
            if event is None:
                break
            yield event
        self.hungry = True
        if self.eof:
            self.disconnect()

    def receive(self, data, received_time=None, now=None):
        """Feed bytes that one already has; they must not change until it is exhausted.

        :param data: bytes, bytearray or memoryview; empty: the end of the stream
        :returns: a lazy iterator of events
        """
        if not len(data):
            return self.buffer_updated(0, received_time, now)
        if not self.hungry:
            self.advance(0)             # raises
        return self._receive(memoryview(data), received_time, now)

    def _receive(self, data, received_time, now):
        while len(data):
            place = self.intake.get_buffer()
            count = min(len(place), len(data))
            place[:count] = data[:count]
            place = None                # the iterator may outgrow the buffer
            self.advance(count, received_time, now)
            for event in self.events:
                if event is None:
                    break
                yield event
            self.hungry = True
            data = data[count:]

    def finish_body(self):
        """The body of a rejection is waited for no longer; iterate ``events`` then."""
        self._body_over = True

    # -- events out

    def _run(self):
        intake = self.intake
        if self.handshake is not None:
            for event in self._shake_hands():
                yield event
        if self.state.may_pong:
            failure = None
            try:
                for event in parse_frames(
                        intake, self._on_control, self._codec, self.role.expects_masked,
                        self.max_message_size):
                    yield event
                    if self._known[1] is states.DISCONNECTED:
                        return
            except errors.CriticalProtocolError as error:
                failure = text_type(error), True, Status.BAD_DATA
            except errors.PayloadTooLarge as error:
                failure = text_type(error), False, Status.MESSAGE_TOO_LARGE
            except errors.ProtocolError as error:
                failure = text_type(error), False, Status.PROTOCOL_ERROR
            if failure is not None:
                text, critical, code = failure
                yield self._failed(text, critical)
                self._queue_close(code, text)
            elif not self.close_sent:           # Closing was handled: the echo
                self._queue_close(self.close_code, '')
        self._codec = None                      # zlib's memory; a sender may still hold it
        while self.state is not states.DISCONNECTED:
            intake.take()                       # bytes after the end change nothing
            yield None

    def _failed(self, text, critical):
        self.move(states.FAIL)
        self.failure = text
        return self._stamp(ProtocolError(text, critical))

    def _stamp(self, event):
        event.received_time = self.intake.received_time
        return event

    def _shake_hands(self):
        """The opening handshake: None until the head is there, then Ready or Rejected."""
        intake = self.intake
        failure = None
        try:
            for outcome in read_head(self.handshake, intake):
                if outcome is None:
                    yield None
                    if self.state is states.DISCONNECTED:
                        return
        except errors.CriticalProtocolError as error:
            failure = text_type(error)
        if failure is not None:
            self.take_close_token()             # nobody listens to frames yet
            yield self._failed(failure, True)
            return
        event = outcome.event
        if outcome.reply:
            self.replies.queue(None, outcome.reply)
        if event.name == 'ready':
            if self.move(states.READY) is states.DISCONNECTED:
                return
            self.subprotocol = outcome.protocol
            self.extensions = outcome.extensions
            self._set_compression(outcome.compression)
            if outcome.surplus:
                intake.put_back(outcome.surplus)
            yield self._stamp(event)
            return
        self.move(states.REJECT)
        collect = self.collect_body
        if collect and (collect is True or collect(event.response)):
            for _ in read_body(event.response, outcome.surplus, intake, self._is_body_over):
                yield None
        yield self._stamp(event)

    def _is_body_over(self):
        return self._body_over or self.eof

    def _set_compression(self, parameters):
        if parameters is not None:
            options = self._deflate or Deflate()
            self._encoder.codec = self._codec = PerMessageDeflate(
                parameters, self.role.masks_outgoing, options.level, options.mem_level,
                options.min_size)

    def _on_control(self, opcode, payload):
        """A ping, pong or close frame: queue what answers it and give the event."""
        if opcode == Opcode.PING:
            if self.auto_pong and self.state.may_pong:
                self.replies.queue_pong(payload)
            return Ping(payload)
        if opcode == Opcode.PONG:
            return Pong(payload, latency=self.pings.answered(payload, self._now))
        self.close_code, self.close_reason = parse_close_payload(payload)
        self.close_received = True
        kind = Closed if self.move(states.CLOSE_RECEIVED) is states.CLOSED else Closing
        return kind(self.close_code, self.close_reason)

    def _queue_close(self, code, text):
        """Queue the close frame of an echo or a failure, unless one was sent."""
        if self.take_close_token():
            self.move(states.CLOSE_SENT)
            self.replies.queue(Opcode.CLOSE, encode_close_payload(code, text))

    # -- bytes out

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
        :returns: an iterable of bytes; each must be written before the next is taken
        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        """
        state = self.state
        if not state.may_send:
            raise state.refuse()
        return self._encoder.encode_message(opcode, payload, compress, fin)

    def encode_message(self, opcode, payload, compress=False, fin=True):
        """As :meth:`send_message`, for a message that passed the check when it was queued."""
        return self._encoder.encode_message(opcode, payload, compress, fin)

    def send_ping(self, data=b'', now=None):
        """The bytes of a ping; ``now`` is when it is sent, for the latency of its pong.

        :raises ValueError: more than 125 bytes
        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        """
        frame = self._control(Opcode.PING, data)
        self.pings.sent(bytes(data), now)
        return frame

    def send_pong(self, data):
        """The bytes of a pong; errors as in :meth:`send_ping`."""
        return self._control(Opcode.PONG, data)

    def _control(self, opcode, data):
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
            return encode_close_payload(self.close_code, '')
        if state is states.DISCONNECTED:
            return None
        return payload

    def fail(self, code, text):
        """Fail the connection (RFC 6455, 7.1.7): queues a close frame with code and text."""
        self.failure = text
        if self.move(states.FAIL) is states.FAILED:
            self._queue_close(code, text)

    def release(self):
        """Give all memory back; for the driver, when it is done with the connection."""
        self.collect_body = False           # may be a method of one that refers to us
        if self.events is not None:
            self.events.close()
            self.events = iter(())
        self.intake.release()
        self.pings.clear()
        self.replies.clear()
