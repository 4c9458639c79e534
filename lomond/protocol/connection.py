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
import functools
import itertools
import weakref

from .. import errors
from .._compat import text_type
from ..compression import Deflate
from ..events import Closed, Closing, Event, Ping, Pong, ProtocolError
from ..opcode import Opcode
from ..status import Status
from . import states
from .frame_parser import parse_frames
from .frames import parse_close_payload
from .opening import read_body, read_head
from .permessage_deflate import PerMessageDeflate
from .receive_buffer import Intake
from .sending import SendingHalf

#: Bytes of one message, unless the caller says otherwise.
DEFAULT_MAX_MESSAGE_SIZE = 64 * 1024 * 1024

#: What the two sides do differently.
Role = collections.namedtuple('Role', 'name masks_outgoing expects_masked closes_tcp_first')
CLIENT = Role('client', masks_outgoing=True, expects_masked=False, closes_tcp_first=False)
SERVER = Role('server', masks_outgoing=False, expects_masked=True, closes_tcp_first=True)


class Connection(SendingHalf):
    """The core of one connection, in either role.

    :param Role role: ``CLIENT`` or ``SERVER``
    :param handshake: a :class:`~lomond.protocol.handshake.ClientHandshake` or
        :class:`~lomond.protocol.handshake.ServerHandshake`; None: the connection is open already
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
        super(Connection, self).__init__(role.masks_outgoing)
        self.role = role
        self.handshake = handshake
        self.max_message_size = max_message_size
        self.auto_pong = True
        #: True, or a predicate of the response: hold a rejection back until its body is there.
        self.collect_body = False
        self.subprotocol = subprotocol
        self.extensions = set()
        self.close_received = False
        self.sent_close_time = None     # seconds since Ready; one store, of whoever has the close token
        self.eof = False
        self.hungry = True              # the iterator of events is exhausted
        self.intake = Intake()
        self.body_over = False          # the body of a rejection is waited for no longer
        self._deflate = deflate
        self._compression = compression
        self.now = None                 # monotonic seconds of the newest bytes
        if handshake is None:
            self.set_up_codec(compression)
            self.move(states.READY)
        if initial:
            self.intake.put_back(initial)
        #: Events, and None whenever more bytes are needed; drivers in a hurry iterate this
        #: one directly after :meth:`advance`.
        self.events = None

    @property
    def supports_compression(self):
        """True when permessage-deflate was agreed on."""
        agreed = self._compression if self.handshake is None else self.handshake.compression
        return agreed is not None

    # -- bytes in

    def get_buffer(self, sizehint=-1):
        """A writable memoryview for the next bytes; see the module's text."""
        return self.intake.get_buffer(sizehint)

    def advance(self, count, received_time=None, now=None):
        """``count`` bytes were put into the buffer (0: end of stream); iterate ``events`` now."""
        self._begin(received_time, now)
        if count:
            self.intake.advance(count)
        else:
            self.eof = True

    def _begin(self, received_time, now):
        if not self.hungry:
            self._check_hungry()
        self.hungry = False
        if self.events is None:
            # By a weak reference: a cycle through a suspended generator is never freed on 2.7.
            # And as a chain: one generator around the others costs 20 ns a message.
            self.events = itertools.chain.from_iterable(_stages(weakref.proxy(self)))
        self.now = now
        if received_time is None:
            received_time = Event().received_time       # what an event takes by itself
        self.intake.received_time = received_time

    def _check_hungry(self):
        if not self.hungry:
            raise errors.WebSocketError(
                'bytes were fed while an earlier iterator of events is not exhausted')

    def buffer_updated(self, count, received_time=None, now=None):
        """``count`` bytes were put into the buffer.

        :param int count: 0 is the end of the stream
        :param received_time: epoch seconds for the events
        :param now: monotonic seconds, for the latency of pongs
        :returns: a lazy iterator of events
        """
        self.advance(count, received_time, now)
        return self._until_hungry()

    def resume(self, received_time=None, now=None):
        """As :meth:`buffer_updated`, for what is there already: ``initial``, or a body that
        :meth:`finish_body` has ended."""
        self._begin(received_time, now)
        return self._until_hungry()

    def _until_hungry(self):
        for event in self.events:
            if event is None:
                break
            yield event
        else:
            self.intake.drop()      # bytes after the end must not pile up
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
        self._check_hungry()
        return self._receive(memoryview(data), received_time, now)

    def _receive(self, data, received_time, now):
        while len(data):
            self._check_hungry()        # of another iterator that was begun since
            place = self.intake.get_buffer()
            count = min(len(place), len(data))
            place[:count] = data[:count]
            place = None                # the iterator may outgrow the buffer
            for event in self.buffer_updated(count, received_time, now):
                yield event
            data = data[count:]

    def finish_body(self):
        """The body of a rejection is waited for no longer; :meth:`resume` gives its event."""
        self.body_over = True

    # -- the end

    def set_up_codec(self, parameters):
        """Compression was agreed on, with these parameters; None: it was not."""
        if parameters is not None:
            options = self._deflate or Deflate()
            self._encoder.codec = PerMessageDeflate(
                parameters, self.role.masks_outgoing, options.level, options.mem_level,
                options.min_size)

    def drop_codec(self):
        """zlib's memory is needed no longer; a sender may still hold it."""
        self._encoder.codec = None

    def release(self):
        """Give all memory back; for the driver, when it is done with the connection."""
        self.collect_body = False           # may be a method of one that refers to us
        self.events = ()
        self.drop_codec()
        self.intake.release()
        self.pings.clear()
        self.replies.clear()


# The stages of a connection's life; ``core`` is a weak proxy of it.

def _stages(core):
    """Iterators of events, and of None whenever more bytes are needed, one behind the other."""
    if core.handshake is not None:
        yield _shake_hands(core)
    if core.state.may_pong:                 # OPEN, or LOCAL_CLOSING already
        close_frame = []                    # code and text of a failure's
        failed = functools.partial(_on_failure, core, close_frame)
        yield parse_frames(
            core.intake, functools.partial(_on_control, core), failed, core.codec,
            core.role.expects_masked, core.max_message_size, core.given_up)
        if close_frame:                     # the event was handled
            core.queue_close(*close_frame)
        elif core.state is states.REMOTE_CLOSING:       # Closing was handled: the echo
            core.queue_close(core.close_code)
    core.drop_codec()
    yield _ignore(core)


def _on_failure(core, close_frame, error):
    """The peer broke the protocol: the event that says so, or None when all is over anyway."""
    text = text_type(error)
    if core.move(states.FAIL) is not states.FAILED:
        return None
    core.failure = text
    critical = isinstance(error, errors.CriticalProtocolError)
    if critical:
        code = Status.BAD_DATA
    elif isinstance(error, errors.PayloadTooLarge):
        code = Status.MESSAGE_TOO_LARGE
    else:
        code = Status.PROTOCOL_ERROR
    close_frame.extend((code, text))
    return _stamp(core, ProtocolError(text, critical))


def _ignore(core):
    while core.state is not states.DISCONNECTED:
        core.intake.drop()                  # bytes after the end change nothing
        yield None


def _stamp(core, event):
    event.received_time = core.intake.received_time
    return event


def _shake_hands(core):
    """The opening handshake: None until the head is there, then Ready or Rejected."""
    intake = core.intake
    failure = None
    try:
        for outcome in read_head(core.handshake, intake):
            if outcome is None:
                yield None
                if core.state is not states.CONNECTING:
                    return
    except errors.CriticalProtocolError as error:
        failure = text_type(error)
    if failure is not None:
        if core.move(states.FAIL) is states.FAILED:
            core.take_close_token()         # nobody listens to frames yet
            core.failure = failure
            yield _stamp(core, ProtocolError(failure, True))
        return
    event = outcome.event
    if outcome.reply:
        core.replies.queue(None, outcome.reply)
    if event.name == 'ready':
        if core.move(states.READY) is states.DISCONNECTED:
            return
        core.subprotocol = outcome.protocol
        core.extensions = outcome.extensions
        core.set_up_codec(outcome.compression)
        if outcome.surplus:
            intake.put_back(outcome.surplus)
        yield _stamp(core, event)
        return
    if core.move(states.REJECT) is states.DISCONNECTED:
        return
    if _wants_body(core.collect_body, event.response):
        for _ in read_body(event.response, outcome.surplus, intake,
                           lambda: core.body_over or core.eof):
            yield None
    yield _stamp(core, event)


def _wants_body(collect, response):
    return collect and (collect is True or collect(response))


def _on_control(core, opcode, payload):
    """A ping, pong or close frame: queue what answers it and give the event."""
    if opcode == Opcode.PING:
        if core.auto_pong and core.state.may_pong:
            core.replies.queue_pong(payload)
        return Ping(payload)
    if opcode == Opcode.PONG:
        return Pong(payload, latency=core.pings.answered(payload, core.now))
    core.close_code, core.close_reason = parse_close_payload(payload)
    core.close_received = True
    kind = Closed if core.move(states.CLOSE_RECEIVED) is states.CLOSED else Closing
    return kind(core.close_code, core.close_reason)
