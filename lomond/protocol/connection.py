"""One WebSocket connection as a protocol: bytes in, events and bytes out.

A driver uses it like this:

``get_buffer()``
    returns a writable memoryview for the next bytes: free space in the receive buffer,
    or the final place of a large payload.  The driver may keep the view alive.
``buffer_updated(n, received_time, now)``
    tells that ``n`` bytes were put there (0: the end of the stream) and returns an
    iterator of events.  The names are those of ``asyncio.BufferedProtocol``.
``receive(data, received_time, now)``
    does the same with bytes that the caller already has; ``b''`` is the end of the
    stream.
``take_outgoing()``
    returns ``(opcode, payload)`` of pongs, close echoes and the close frame of a
    failure, in order, for ``encode_reply``.  An opcode of None stands for raw bytes (a
    server's answer to the request).
``send_message``, ``send_ping``, ``send_pong``, ``close``
    check the state and return bytes to write.

The iterator is lazy: each event is made and handed out, and its reply is queued, before
the next frame is parsed.  The echo of a close frame, and the close frame of a failure,
are queued when the iterator is resumed after their events.  A driver takes the outgoing
replies after each step of the iterator, and exhausts it before it asks for a buffer or
feeds bytes.

``close()`` and ``disconnect()`` may be called from any thread and from signal handlers,
even while the driver is running.  Everything else belongs to the driver (feeding) and
to the holder of its write lock (sending, ``encode_reply``, ``take_outgoing``).

Knows nothing of: sockets, clocks, locks, threads, drivers.
"""

from __future__ import absolute_import, division, unicode_literals

import functools
import itertools

from .. import errors
from .._compat import import_weakref, text_type, to_bytes
from .._http11 import BodyReader
from ..compression import Deflate
from ..events import Closed, Closing, Event, Ping, Pong, ProtocolError
from ..opcode import Opcode
from ..status import Status
from . import states
from .frame_parser import parse_frames
from .frames import MAX_CONTROL_PAYLOAD, Encoder, encode_close_payload, parse_close_payload
from .receive_buffer import LARGEST_FOR_PARTS, LARGEST_SIZE, ReceiveBuffer
from .send_queue import PingLog, SendQueue

#: Default limit for one message, in bytes.
DEFAULT_MAX_MESSAGE_SIZE = 64 * 1024 * 1024

_NO_EXTENSIONS = frozenset()        # one for all: an empty set takes 216 bytes


class Role(object):
    """What client and server do differently."""

    # Not a namedtuple: that is made from source text, which takes half a millisecond.
    __slots__ = ('name', 'masks_outgoing', 'expects_masked', 'closes_tcp_first')

    def __init__(self, name, masks_outgoing, expects_masked, closes_tcp_first):
        self.name = name
        self.masks_outgoing = masks_outgoing
        self.expects_masked = expects_masked
        self.closes_tcp_first = closes_tcp_first


CLIENT = Role('client', masks_outgoing=True, expects_masked=False, closes_tcp_first=False)
SERVER = Role('server', masks_outgoing=False, expects_masked=True, closes_tcp_first=True)


class Connection(states.Progress):
    """The core of one connection, in either role.

    :param Role role: ``CLIENT`` or ``SERVER``
    :param handshake: a :class:`~lomond.protocol.handshake.ClientHandshake` or
        :class:`~lomond.protocol.handshake.ServerHandshake`; if None, the connection is
        already open
    :param bytes initial: bytes that arrived earlier (after a proxy's answer, or behind
        the request that a WSGI server has parsed)
    :param max_message_size: most bytes of one message, after inflating; None for no
        limit
    :param deflate: the :class:`~lomond.compression.Deflate` options (level, memory) for
        what is sent compressed; None for the defaults
    :param compression: the agreed parameters, if the connection is already open
    :param str subprotocol: the agreed subprotocol, if the connection is already open
    :param stream_from: a message whose first frame has a larger payload (bytes on the
        wire), or is not final, comes in parts; if None, messages come whole
    :param outcome: instead of a handshake, the
        :class:`~lomond.protocol.handshake.Outcome` for a request that another server
        (WSGI) has read; its event is the first one, and its ``reply`` is queued
    """

    # More than 30 fields would make the dict of each connection 1.6 KB on 3.11 and
    # newer.
    __slots__ = (
        'failure', 'failure_close', 'close_code', 'close_reason', 'send_queue', 'pings', '_encoder',
        'encode', 'role', 'handshake', 'max_message_size', 'stream_from', 'auto_pong', 'collect_body',
        'goes_on', 'subprotocol', 'extensions', 'close_received', 'sent_close_time', 'eof', '_consumed',
        'receive_buffer', 'body_over', '_deflate', '_compression', 'now', 'events', '__weakref__')

    def __init__(self, role, handshake=None, initial=b'',
                 max_message_size=DEFAULT_MAX_MESSAGE_SIZE, deflate=None, compression=None,
                 subprotocol=None, stream_from=None, outcome=None):
        super(Connection, self).__init__()
        # The loop writes these before the state moves; others read them afterwards: no
        # lock.
        self.failure = None             # why the connection failed, as text
        self.failure_close = None       # code and text of the close frame for that
        self.close_code = None          # code and reason of the peer's close frame
        self.close_reason = ''
        self.send_queue = SendQueue()
        self.pings = PingLog()
        self._encoder = Encoder(role.masks_outgoing)    # guarded by the write lock
        #: :meth:`~lomond.protocol.frames.Encoder.encode`, for the holder of the write
        #: lock.
        self.encode = self._encoder.encode
        self.role = role
        if outcome is not None:
            from .handshake import Judged
            handshake = Judged(outcome)
        self.handshake = handshake
        self.max_message_size = max_message_size
        self.stream_from = stream_from
        self.auto_pong = True
        #: True, or a predicate of the response: whether Rejected waits for the body.
        self.collect_body = False
        #: A predicate of the response, or None: whether the driver goes on with another
        #: request, which makes ``Rejected`` a step on the way that moves no state.
        self.goes_on = None
        self.subprotocol = subprotocol
        self.extensions = _NO_EXTENSIONS
        self.close_received = False
        #: Seconds since Ready, or None; set by :meth:`note_close_sent` alone.
        self.sent_close_time = None
        self.eof = False
        self._consumed = True           # the previous batch of events has been consumed
        self.receive_buffer = ReceiveBuffer(LARGEST_SIZE if stream_from is None else LARGEST_FOR_PARTS)
        self.body_over = False          # stop waiting for the body of a rejected handshake
        self._deflate = deflate
        self._compression = compression
        self.now = None                 # monotonic seconds of the newest bytes
        if handshake is None:
            self.set_up_codec(compression)
            self.move(states.READY)
        if initial:
            self.receive_buffer.put_back(initial)
        #: Events, and None whenever more bytes are needed.  A driver may iterate it
        #: directly after :meth:`advance`, which is faster than :meth:`buffer_updated`.
        self.events = None

    @property
    def supports_compression(self):
        """True if permessage-deflate was agreed on."""
        agreed = self._compression if self.handshake is None else self.handshake.compression
        return agreed is not None

    @property
    def codec(self):
        """The codec in use (``permessage_deflate.PerMessageDeflate``), or None."""
        return self._encoder.codec

    @property
    def latency(self):
        """Seconds from a ping to the latest pong that answers one, or None."""
        return self.pings.latency

    # -- bytes in

    def get_buffer(self, sizehint=-1):
        """Return a writable memoryview for the next bytes.

        :param sizehint: ignored (the argument of ``asyncio.BufferedProtocol``)
        """
        return self.receive_buffer.get_buffer(sizehint)

    def advance(self, count, received_time=None, now=None):
        """Take ``count`` bytes that were put into the buffer; iterate ``events`` next.

        :param count: 0 for the end of the stream; None if nothing was put there
            (:meth:`resume`)

        Call :meth:`events_consumed` once ``events`` has yielded None.
        """
        if not self._consumed:
            self._check_consumed()
        self._consumed = False
        if self.events is None:
            # A weak reference, because 2.7 never frees a cycle through a suspended
            # generator. A chain, because a generator around the others costs 20 ns per
            # message.
            self.events = itertools.chain.from_iterable(_stages(import_weakref().proxy(self)))
        self.now = now
        if received_time is None:
            received_time = Event().received_time       # the default of an event
        self.receive_buffer.received_time = received_time
        if count:
            self.receive_buffer.advance(count)
        elif count is not None:
            self.eof = True

    def events_consumed(self):
        """Allow the next bytes to be fed: ``events`` has yielded None.

        A driver that iterates ``events`` itself calls this once per read.
        """
        self._consumed = True

    def _check_consumed(self):
        if not self._consumed:
            raise errors.WebSocketError(
                'bytes were fed while an earlier iterator of events is not exhausted')

    def buffer_updated(self, count, received_time=None, now=None):
        """Take ``count`` bytes that were put into the buffer.

        :param int count: 0 for the end of the stream
        :param received_time: seconds since the epoch, for the events
        :param now: monotonic seconds, for the latency of pongs
        :returns: a lazy iterator of events
        """
        self.advance(count, received_time, now)
        return self._until_consumed()

    def resume(self, received_time=None, now=None):
        """Like :meth:`buffer_updated`, without new bytes.

        For ``initial``, for ``outcome``, and for a body that :meth:`finish_body` has
        ended.
        """
        return self.buffer_updated(None, received_time, now)

    def _until_consumed(self):
        for event in self.events:
            if event is None:
                break
            yield event
        else:
            self.receive_buffer.drop()      # bytes after the end must not pile up
        self._consumed = True
        if self.eof:
            self.disconnect()

    def receive(self, data, received_time=None, now=None):
        """Feed bytes; they must not change until the iterator is exhausted.

        :param data: bytes, bytearray or memoryview; empty for the end of the stream
        :returns: a lazy iterator of events
        """
        if not len(data):
            return self.buffer_updated(0, received_time, now)
        self._check_consumed()
        return self._receive(memoryview(data), received_time, now)

    def _receive(self, data, received_time, now):
        while len(data):
            self._check_consumed()      # another iterator may have been started meanwhile
            place = self.receive_buffer.get_buffer()
            count = min(len(place), len(data))
            place[:count] = data[:count]
            place = None                # release the view: the buffer may be replaced
            for event in self.buffer_updated(count, received_time, now):
                yield event
            data = data[count:]

    def finish_body(self):
        """Stop waiting for the body of a rejection; :meth:`resume` yields its event."""
        self.body_over = True

    def refuse(self, status):
        """Refuse the client before its request is complete; for the driver.

        The answer is queued; what the client sends from now on is dropped.

        :param status: 408 or 503
        :returns: False if it is too late for that
        """
        if self.state is not states.CONNECTING or self.move(states.REJECT) is not states.REJECTED:
            return False
        from .handshake import encode_refusal
        self.send_queue.queue(None, encode_refusal(status))
        return True

    # -- replies

    def take_outgoing(self):
        """Return all ``(opcode, payload)`` that are to be written now, in order."""
        return list(iter(self.send_queue.next, None))

    def encode_reply(self, opcode, payload):
        """Return the bytes of one item of :meth:`take_outgoing`."""
        if opcode is None:
            return payload
        return self._encoder.encode_control(opcode, payload)

    def queue_ping(self, payload, now):
        """Queue an automatic ping; its latency counts from ``now``."""
        self.pings.sent(payload, now)
        self.send_queue.queue(Opcode.PING, payload)

    # -- messages, pings and pongs of the caller

    def check_send(self):
        """Raise if the state does not allow sending.

        :raises WebSocketUnavailable, WebSocketClosing, WebSocketClosed: see the state
            table
        """
        state = self.state
        if not state.may_send:
            raise state.refuse()

    def send_message(self, opcode, payload, compress=False, fin=True):
        """Return the bytes of one message, or of one frame of it.

        :param opcode: ``Opcode.TEXT`` or ``BINARY`` (``CONTINUATION`` for further
            frames)
        :param payload: bytes, bytearray, or a memoryview of bytes
        :param compress: compress it if that was agreed on (whole messages only)
        :param fin: false if further frames follow
        :returns: an iterable of bytes-like objects; each must be written before the
            next is taken
        :raises WebSocketUnavailable: and subclasses, if the state forbids it
        """
        self.check_send()
        return self._encoder.encode_message(opcode, payload, compress, fin)

    def send_ping(self, data=b'', now=None):
        """Return the bytes of a ping.

        :param data: at most 125 bytes
        :param now: when it is sent, in monotonic seconds, for the latency of its pong
        :raises ValueError: if there are more than 125 bytes
        :raises WebSocketUnavailable: and subclasses, if the state forbids it
        """
        frame = self.encode_control(Opcode.PING, data)
        self.pings.sent(to_bytes(data), now)
        return frame

    def send_pong(self, data):
        """Return the bytes of a pong; raises like :meth:`send_ping`."""
        return self.encode_control(Opcode.PONG, data)

    def encode_control(self, opcode, data):
        """Return the bytes of a ping or pong, which is not noted; raises as it."""
        if len(data) > MAX_CONTROL_PAYLOAD:
            raise ValueError('{} payload is {} bytes; at most {} are allowed'.format(
                Opcode.to_str(opcode).lower(), len(data), MAX_CONTROL_PAYLOAD))
        self.check_send()
        return self._encoder.encode_control(opcode, data)

    # -- the end

    def close(self, code=Status.NORMAL, reason=''):
        """Start the closing handshake, or answer the peer's (RFC 6455, 7.1.2).

        The state moves at once; this never waits.  After the peer's close frame its
        code is echoed, by a server with its reason, whatever is given here.  Before
        Ready it ends the connection.

        :param code: a close code that may be sent; None for an empty close frame
        :param reason: text, or bytes of UTF-8; cut to 123 bytes
        :returns: the payload of the close frame to write, or None if nothing has to be
            written
        :raises TypeError, ValueError: for a code or reason that may not be sent
        """
        return self.close_by(states.CloseRequest(encode_close_payload(code, reason)))

    def close_by(self, request):
        """Start the closing handshake as :meth:`close` does; repeating it does no harm.

        :param request: a :class:`~lomond.protocol.states.CloseRequest`
        :returns: as :meth:`close`
        """
        if not self.state.is_active and not any(what is request for what in self.inputs):
            return None
        return self._due_close() if self.request_close(request) else None

    def _due_close(self):
        """Return the payload of our one close frame; None if it is not due."""
        request, state = self.close_request, self.state_of_close()
        if state is states.ECHOED:
            return encode_close_payload(*self._echo())
        return request.payload if self.was_open and state is not states.DISCONNECTED else None

    def finish_close(self):
        """Queue our close frame if an interrupt has kept ``close()`` from it.

        A driver calls this once the state is one in which it may be due.
        """
        if not self.send_queue.has_close and self.close_request is not None:
            payload = self._due_close()
            if payload is not None:
                self.note_close_sent(self.close_request.session_time)
                self.send_queue.queue(Opcode.CLOSE, payload)

    def note_close_sent(self, session_time):
        """Note when our close frame was sent; only the first call has an effect.

        :param float session_time: seconds since Ready
        """
        if self.sent_close_time is None:
            self.sent_close_time = session_time

    def fail(self, code, text):
        """Fail the connection (RFC 6455, 7.1.7) and queue a close frame with code and
        text.

        Nothing is queued before the opening handshake is complete, and nothing changes
        after the connection has failed or the peer's close frame was answered.
        """
        if self.failure_close is None:
            self.failure_close = code, text
        if self.move(states.FAIL) is states.FAILED and self.failure is None:
            self.failure = text
            if self.was_open:
                self.queue_due_close()
            else:
                self.request_close(states.CloseRequest(None))       # the peer does not read frames yet

    def queue_due_close(self):
        """Queue the echo, or the close frame of a failure, if one is due."""
        state = self.state
        if state is states.FAILED and self.failure_close is not None:
            self.queue_close(*self.failure_close)
        elif state is states.REMOTE_CLOSING:
            self.queue_close(*self._echo())

    def _echo(self):
        """Return code and reason of the echo: browsers show what a server's one has."""
        return self.close_code, self.close_reason if self.role is SERVER else ''

    def queue_goodbye(self):
        """Queue the close frame of a driver that leaves (RFC 6455, 7.4.1).

        That is an empty 1001, or the close frame that is due anyway.  After our close
        frame, and unless the connection is open, nothing is queued.

        :returns: False if there is nobody to say goodbye to
        """
        state = self.state
        if not self.was_open or state is states.DISCONNECTED:
            return False
        if state is states.OPEN:
            self.queue_close(Status.GOING_AWAY)
        else:
            self.queue_due_close()
        self.finish_close()             # what an interrupt may have cut off
        return True

    def queue_close(self, code, text=''):
        """Queue a close frame, unless one was sent."""
        request = states.CloseRequest(encode_close_payload(code, text))
        if self.close_request is None and self.request_close(request):
            self.send_queue.queue(Opcode.CLOSE, request.payload)

    def set_up_codec(self, parameters):
        """Set up compression with the agreed parameters; None disables it."""
        if parameters is not None:
            from .permessage_deflate import PerMessageDeflate
            options = self._deflate or Deflate()
            self._encoder.codec = PerMessageDeflate(
                parameters, self.role.masks_outgoing, options.level, options.mem_level,
                options.min_size, options.zlib)

    def drop_codec(self):
        """Drop the codec and zlib's memory; a sender may still hold it."""
        self._encoder.codec = None

    def release(self):
        """Free all memory; a driver calls this when it is done."""
        self.collect_body = self.goes_on = None     # may be methods of one that refers to us
        self.events = ()
        self.drop_codec()
        self.receive_buffer.release()
        self.pings.clear()
        self.send_queue.clear()


# The stages of a connection.  ``core`` is a weak proxy of it.

def _stages(core):
    """Yield an iterator per stage: of events, and of None when bytes are needed."""
    if core.handshake is not None:
        yield _shake_hands(core)
    if core.state.may_pong:                 # OPEN, or LOCAL_CLOSING already
        yield parse_frames(
            core.receive_buffer, functools.partial(_on_control, core),
            functools.partial(_on_failure, core), core.codec,
            core.role.expects_masked, core.max_message_size, core.given_up, core.stream_from)
        core.queue_due_close()              # Closing, or ProtocolError, was handled
    core.drop_codec()
    yield _ignore(core)


def _on_failure(core, error):
    """Return the event of a violation, or None if the connection is already over."""
    text = text_type(error)
    critical = isinstance(error, errors.CriticalProtocolError)
    if critical:
        code = Status.BAD_DATA
    elif isinstance(error, errors.PayloadTooLarge):
        code = Status.MESSAGE_TOO_LARGE
    else:
        code = Status.PROTOCOL_ERROR
    core.failure_close = code, text         # first: the driver may be left at any moment
    if core.move(states.FAIL) is not states.FAILED:
        return None
    core.failure = text
    return _stamp(core, ProtocolError(text, critical))


def _ignore(core):
    while core.state is not states.DISCONNECTED:
        core.receive_buffer.drop()          # bytes after the end change nothing
        yield None


def _stamp(core, event):
    event.received_time = core.receive_buffer.received_time
    return event


def _shake_hands(core):
    """Yield None until the head has arrived, then Ready or Rejected."""
    receive_buffer = core.receive_buffer
    failure = None
    try:
        for outcome in _read_head(core.handshake, receive_buffer):
            if outcome is None:
                yield None
                if core.state is not states.CONNECTING:
                    return
    except errors.CriticalProtocolError as error:
        failure, reply = text_type(error), core.handshake.answer_to(error)
    if failure is not None:
        if core.move(states.FAIL) is states.FAILED:
            core.request_close(states.CloseRequest(None))       # the peer does not read frames yet
            core.failure = failure
            if reply:
                core.send_queue.queue(None, reply)
            yield _stamp(core, ProtocolError(failure, True))
        return
    event = outcome.event
    if outcome.reply:
        core.send_queue.queue(None, outcome.reply)
    if event.name == 'ready':
        if core.move(states.READY) is states.DISCONNECTED:
            return
        core.subprotocol = outcome.protocol
        core.extensions = outcome.extensions or _NO_EXTENSIONS
        core.set_up_codec(outcome.compression)
        if outcome.surplus:
            receive_buffer.put_back(outcome.surplus)
        yield _stamp(core, event)
        return
    if core.goes_on is not None and core.state is states.CONNECTING and core.goes_on(event.response):
        yield _stamp(core, event)
        return
    if core.move(states.REJECT) is states.DISCONNECTED:
        return
    if _wants_body(core.collect_body, event.response):
        for _ in _read_body(event.response, outcome.surplus, receive_buffer,
                            lambda: core.body_over or core.eof):
            yield None
    yield _stamp(core, event)


def _read_head(handshake, receive_buffer):
    """Feed the handshake until it has an outcome.

    :param handshake: a :class:`~lomond.protocol.handshake.ClientHandshake` or
        :class:`~lomond.protocol.handshake.ServerHandshake`
    :param ReceiveBuffer receive_buffer: where the bytes arrive; emptied by this
    :returns: a generator of None, and finally of the
        :class:`~lomond.protocol.handshake.Outcome`
    :raises CriticalProtocolError: if the bytes are not HTTP, or the head is too large
    """
    outcome = handshake.outcome
    if outcome is not None:             # of a request that somebody else has read
        yield outcome
    while outcome is None:
        data = receive_buffer.take()
        if data:
            outcome = handshake.receive(data)
        yield outcome


def _read_body(response, surplus, receive_buffer, is_over):
    """Collect the body of a rejection.

    :param Response response: its ``body`` is set to what has arrived
    :param bytes surplus: the bytes that came with the head
    :param ReceiveBuffer receive_buffer: where the bytes arrive; emptied by this
    :param is_over: callable; once it returns true, the rest of the body is not waited
        for
    :returns: a generator of None
    """
    reader = BodyReader(response)
    reader.feed(surplus)
    while not reader.is_complete and not is_over():
        yield None
        reader.feed(receive_buffer.take())
    response.body = reader.body


def _wants_body(collect, response):
    return collect and (collect is True or collect(response))


def _on_control(core, opcode, payload):
    """Return the event of a control frame; the reply to a ping is queued."""
    if opcode == Opcode.PING:
        if core.auto_pong and core.state.may_pong:
            core.send_queue.queue_pong(payload)
        return Ping(payload)
    if opcode == Opcode.PONG:
        return Pong(payload, latency=core.pings.answered(payload, core.now))
    core.close_code, core.close_reason = parse_close_payload(payload)
    core.close_received = True
    kind = Closed if core.move(states.CLOSE_RECEIVED) is states.CLOSED else Closing
    return kind(core.close_code, core.close_reason)
