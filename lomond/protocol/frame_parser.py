"""Frames out of bytes (RFC 6455, 5): the receiving side of a connection as one
generator.

It reads like the figure in section 5.2, from top to bottom.  Its local variables are
its state.  It yields events, and None whenever it needs more bytes.

A driver may ask for batches of a size (``ReceiveBuffer.batch_size``).  It then also
gets lists of at most this many messages: small ones, one after the other, that need no
decision.

Knows nothing of: sockets, the states of a connection, and how control frames are
answered.
"""

from __future__ import absolute_import, division, unicode_literals

import struct

from .. import errors
from .._compat import decode_bytearray
from ..events import Binary, BinaryPart, Text
from ..opcode import Opcode, is_reserved
from .batches import LARGEST as LARGEST_IN_BATCH
from .batches import gather
from .frames import MAX_CONTROL_PAYLOAD
from .masking import mask_payload
from .message import Message, largest_compressed, too_large
from .parts import LARGEST_PART, Parts, keep_freed_memory
from .utf8 import decode as decode_utf8

#: Binary payloads with at least this many bytes missing are received directly into
#: their final buffer.
DIRECT = 64 * 1024
#: What is missing of a payload that comes in parts is taken as the system makes it if
#: it has at least this many bytes.
GIVEN = 128 * 1024
#: Text of at least this many bytes is decoded straight from the buffer.  For shorter
#: text, a slice and ``bytearray.decode`` are faster: 0.10 us instead of 0.15 for 128
#: bytes, but 1.28 instead of 0.97 for 16 KiB.
NO_SLICE = 4 * 1024

_unpack_64 = struct.Struct(str('!Q')).unpack_from


def _rules(*data_frames):
    """Make a table by the first byte of a frame: the largest 7-bit length it may have.

    That is -1 for a frame that is not allowed, 125 for a control frame (5.5), and 127,
    which announces a length of 64 bits, for a data frame.
    """
    rules = [-1] * 256
    for first in data_frames:
        rules[first] = 127
    for first in (0x88, 0x89, 0x8A):
        rules[first] = MAX_CONTROL_PAYLOAD
    return rules


# What may come between messages, with and without compression (RFC 7692, 6), and within
# a fragmented one (5.4).  0x80 is FIN, 0x40 RSV1; the opcodes are 1 for text, 2 for
# binary and 0 for a continuation.
_BETWEEN = _rules(0x81, 0x82, 0x01, 0x02)
_BETWEEN_COMPRESSED = _rules(0x81, 0x82, 0x01, 0x02, 0xC1, 0xC2, 0x41, 0x42)
_WITHIN = _rules(0x80, 0x00)
_PLAIN = 0x81, 0x82

# By the second byte of a frame: the size of its header, and the 7-bit length.  With the
# wrong mask bit (5.1) the length is above all that the first byte allows.
_WRONG = [(0, 255)] * 128
_UNMASKED = [(2, length) for length in range(126)] + [(4, 126), (10, 127)] + _WRONG
_MASKED = _WRONG + [(6, length) for length in range(126)] + [(8, 126), (14, 127)]


def parse_frames(receive_buffer, on_control, on_failure, codec=None, expects_masked=False,
                 max_message_size=None, given_up=(), stream_from=None):
    """Parse one direction of a connection, from the first frame on.

    :param ReceiveBuffer receive_buffer: where the bytes arrive
    :param on_control: called with ``(opcode, payload)`` for each ping, pong and close
        frame; returns the event to hand out
    :param on_failure: called with the error (ProtocolError, PayloadTooLarge,
        CriticalProtocolError) when the peer breaks the protocol; returns the event to
        hand out, or None
    :param codec: the :class:`~lomond.protocol.permessage_deflate.PerMessageDeflate`, or
        None
    :param expects_masked: true in a server, whose client must mask (5.1)
    :param max_message_size: the most bytes of a message, after inflating; None for no
        limit
    :param given_up: a list; when it is not empty, no more events are produced
    :param stream_from: a message whose first frame has a larger payload, or is not
        final, comes in parts; if None, messages come whole
    :returns: a generator of events and Nones, and of batches where these are asked for;
        it ends after a close frame, after a violation, and when ``given_up`` says so
    """
    new_event = object.__new__
    headers = _MASKED if expects_masked else _UNMASKED
    between = _BETWEEN if codec is None else _BETWEEN_COMPRESSED
    limit = (1 << 63) - 1 if max_message_size is None else max_message_size
    is_streaming = stream_from is not None
    whole = stream_from if is_streaming else (1 << 63) - 1          # the largest such payload
    inflatable = largest_compressed(limit)
    if is_streaming:
        inflatable, limit = min(whole, inflatable), min(limit, whole)
    # A global costs 2 % of the time of 128 bytes.
    no_slice, in_batch = ((NO_SLICE, LARGEST_IN_BATCH) if limit > NO_SLICE + LARGEST_IN_BATCH else
                          (min(NO_SLICE, limit + 1), min(LARGEST_IN_BATCH, limit)))
    message, rules = None, between      # the message of which not all has arrived
    need = 2                    # bytes that must be there before it makes sense to go on
    buf, view = receive_buffer.buffer, receive_buffer.view
    pos, end = receive_buffer.start, receive_buffer.end
    received_time = receive_buffer.received_time

    try:
        while not given_up:
            if end - pos < need:
                receive_buffer.start = pos
                event = None    # drop the reference: it would keep a large message alive
                yield None
                buf, view = receive_buffer.buffer, receive_buffer.view
                pos, end = receive_buffer.start, receive_buffer.end
                received_time = receive_buffer.received_time
                need = 2
                continue

            # The header.  An error in it is refused at the first byte that shows it.
            first = buf[pos]
            header_size, length = headers[buf[pos + 1]]
            if length > rules[first]:
                raise _refusal(first, buf[pos + 1], rules is _WITHIN, codec is not None)
            start = pos + header_size
            if length > 125:
                if start > end:
                    need = header_size
                    continue
                if length == 126:
                    length = buf[pos + 2] << 8 | buf[pos + 3]
                    if length < 126:
                        raise _not_shortest(length, 16)
                else:
                    length, = _unpack_64(buf, pos + 2)
                    if length >= 1 << 63:
                        raise errors.ProtocolError(
                            'payload length {} has its highest bit set; it must be 0', length)
                    if length < 65536:
                        raise _not_shortest(length, 64)
            stop = start + length

            # The payload: of the messages that have arrived whole, an event.
            if stop <= end:
                if expects_masked or receive_buffer.batch_size:
                    if expects_masked:
                        data = mask_payload(bytes(buf[start - 4:start]), view[start:stop])
                        if first in _PLAIN and length <= limit and (first == 0x82 or length >= no_slice):
                            if first == 0x82:           # without two further copies
                                event = new_event(Binary)
                                event.data = data
                            else:
                                event = new_event(Text)
                                event.text = decode_utf8(data)
                            data = None                 # it may be large
                            event.received_time = received_time
                            pos = stop
                            yield event
                            continue
                        view[start:stop] = data
                    elif first in _PLAIN and length <= in_batch:
                        most = receive_buffer.batch_size
                        # The others will have about the size of this one.
                        event, size = gather(view[pos:min(end, pos + (stop - pos) * most)], most, in_batch,
                                             received_time)
                        if event:
                            pos += size
                            yield event
                            continue
                if first == 0x81:
                    if length < no_slice:
                        event = new_event(Text)
                        try:
                            event.text = decode_bytearray(buf[start:stop])
                        except UnicodeDecodeError:
                            event.text = decode_utf8(buf[start:stop])       # raises, and says where
                    elif length <= limit:
                        event = new_event(Text)
                        event.text = decode_utf8(view[start:stop])
                    else:
                        event = None
                elif first == 0x82 and length <= limit:
                    event = new_event(Binary)
                    event.data = view[start:stop].tobytes()
                elif first <= 0x80:                     # not FIN, or a continuation
                    if message is None:
                        message, rules = _begin_message(first, codec, max_message_size, is_streaming), _WITHIN
                    if max_message_size is not None:
                        message.check_length(length)
                    if is_streaming:
                        event = None
                        if message.is_plain_binary and 0 < length <= LARGEST_PART:
                            event = new_event(BinaryPart)
                            event.data = view[start:stop].tobytes()
                            event.is_first, message.is_first = message.is_first, False
                            event.is_last = first == 0x80
                            message.size += length
                            if first == 0x80:
                                message, rules = None, between
                    else:
                        if first < 0x80:
                            message.add(view[start:stop])
                            pos = stop
                            continue
                        message.add(view[start:stop], True)
                        event = _end_message(message)
                        message, rules = None, between
                elif first > 0xC0 and length <= inflatable:
                    data = codec.inflate(view[start:stop], True, max_message_size)
                    if data is None:
                        raise too_large(None, max_message_size)
                    if first == 0xC1:
                        event = new_event(Text)
                        event.text = decode_utf8(data)
                    else:
                        event = new_event(Binary)
                        event.data = data
                    data = None                         # it may be large
                elif first & 0x08:
                    event = on_control(first & 0x0F, bytes(buf[start:stop]))
                    if first == 0x88:
                        event.received_time = received_time
                        yield event
                        return
                else:
                    event = None
            elif first & 0x08 or start > end:           # a control frame: wait for all of it
                need = stop - pos if first & 0x08 else header_size
                continue
            else:
                event = None

            # Of the others, what is there: nothing yet, the whole message, or parts.
            if event is None:
                if message is None:
                    message = _begin_message(first, codec, max_message_size,
                                             is_streaming and (first < 0x80 or length > whole))
                    rules = _WITHIN
                message.check_length(length)
                receive_buffer.start = start
                masking_key = bytes(buf[start - 4:start]) if expects_masked and stop > end else None
                is_plain = message.is_streamed and not message.is_compressed
                receive = _receive_parts if is_plain else _receive_payload
                for event in receive(receive_buffer, message, length, first >= 0x80, masking_key):
                    if event is not None:
                        event.received_time = receive_buffer.received_time
                    yield event
                    event = None
                    if given_up:
                        return
                buf, view = receive_buffer.buffer, receive_buffer.view
                stop, end = receive_buffer.start, receive_buffer.end
                received_time = receive_buffer.received_time
                if first >= 0x80:
                    event = _end_message(message)
                    message, rules = None, between
                if event is None:
                    pos = stop
                    continue

            event.received_time = received_time
            pos = stop
            yield event
    except (errors.ProtocolError, errors.CriticalProtocolError) as error:
        # Here, and not in a generator around this one: each hop costs every message
        # 20 ns.
        event = on_failure(error)
        if event is not None:
            yield event


def _begin_message(first, codec, limit, is_streamed=False):
    is_text = first & 0x0F == Opcode.TEXT
    if is_streamed:
        return Parts(is_text, codec.inflate_pieces if first & 0x40 else None, limit)
    return Message(is_text, codec.inflate if first & 0x40 else None, limit)


def _end_message(message):
    """Return the event of a message that is complete; None if its parts were events."""
    if message.is_streamed:
        return None
    if message.is_text:
        event = object.__new__(Text)
        event.text = message.take()
    else:
        event = object.__new__(Binary)
        event.data = message.take()
    return event


def _receive_parts(receive_buffer, message, left, is_final, masking_key):
    """Hand out an uncompressed payload in parts, as it arrives.

    The arguments and the result are those of :func:`_receive_payload`.
    """
    if not left and is_final:
        yield message.part(b'', True)
    while left:
        data = receive_buffer.given
        if data is not None:
            receive_buffer.given = None
            count = len(data)
        else:
            start = receive_buffer.start
            count = min(receive_buffer.end - start, left, LARGEST_PART)
            if not count:
                if left >= GIVEN:
                    receive_buffer.wanted = min(left, LARGEST_PART)
                    keep_freed_memory()
                yield None
                receive_buffer.wanted = 0
                continue
            receive_buffer.start = start + count
            data = receive_buffer.view[start:start + count]
        left -= count
        if masking_key is not None:
            data = mask_payload(masking_key, data)
            turn = count & 3
            masking_key = masking_key[turn:] + masking_key[:turn]
        event = message.part(data, is_final and not left)
        data = None             # it is large; and a view would keep an outgrown buffer alive
        if event is not None:
            yield event
            event = None


def _receive_payload(receive_buffer, message, left, is_final, masking_key):
    """Give a payload to its message, as it arrives.

    :param left: how many bytes are to come, those in the buffer included
    :param is_final: whether the message ends with this frame
    :param masking_key: 4 bytes, or None if the payload is not masked
    :returns: a generator of the parts of a streamed message, and of Nones: each asks
        for more bytes
    """
    if not left and is_final:
        for event in message.add(b'', True) or ():
            yield event
    while left:
        start = receive_buffer.start
        count = min(receive_buffer.end - start, left)
        part = receive_buffer.view[start:start + count]
        receive_buffer.start = start + count
        if left - count >= DIRECT and message.is_plain_binary and masking_key is None:
            place = message.reserve(left)
            place[:count] = part
            receive_buffer.direct, receive_buffer.filled = place, count
            left -= len(place)
            count = len(place)
            part = place = None
            while receive_buffer.filled < count:
                yield None
            receive_buffer.direct = None
            message.commit(count)
            continue
        left -= count
        if masking_key is not None:
            part = mask_payload(masking_key, part)
            turn = count & 3
            masking_key = masking_key[turn:] + masking_key[:turn]
        if count:
            for event in message.add(part, is_final and not left) or ():
                yield event
                event = None
        part = None             # a view would keep a buffer alive that was outgrown
        if left:
            yield None


def _refusal(first, second, is_within, rsv1_allowed):
    """The error of a frame that must not come: what is wrong with its first two bytes.

    :param is_within: whether a fragmented message is under way
    """
    opcode = first & 0x0F
    name = Opcode.to_str(opcode).lower()
    if first & 0x30:
        return errors.ProtocolError(
            'reserved bits {} are set; no extension that uses them was agreed on', _bits(first & 0x30))
    if is_reserved(opcode):
        return errors.ProtocolError('opcode {} is reserved', opcode)
    if opcode >= 8:
        if first < 0x80:
            return errors.ProtocolError('{} frame is fragmented; control frames may not be', name)
        if second & 0x7F > MAX_CONTROL_PAYLOAD:
            return errors.ProtocolError(
                '{} frame has more than 125 bytes of payload; at most 125 are allowed', name)
    elif opcode and is_within:
        return errors.ProtocolError(
            '{} frame inside a fragmented message; a continuation frame was expected', name)
    elif not opcode and not is_within:
        return errors.ProtocolError('continuation frame with no message to continue')
    if first & 0x40 and not (rsv1_allowed and 0 < opcode < 8):
        return errors.ProtocolError(
            'reserved bit rsv1 is set on a {} frame; only the first frame of a message '
            'may have it, and only when compression was agreed on', name)
    if second & 0x80:
        return errors.ProtocolError('frame from the server is masked; it must not be')
    return errors.ProtocolError('frame from the client is not masked; it must be')


def _not_shortest(length, bits):
    return errors.ProtocolError(
        'payload length {} is encoded in {} bits; the shortest form is required', length, bits)


def _bits(first):
    """The names of the reserved bits that are set in the first byte of a frame."""
    return ', '.join(name for name, bit in (('rsv1', 0x40), ('rsv2', 0x20), ('rsv3', 0x10))
                     if first & bit)
