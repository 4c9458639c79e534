"""Frames of RFC 6455, section 5, out of bytes; it must not know sockets, states or replies.

One long-lived generator that reads like the RFC's figure, top to bottom.  Its local
variables are its state.  It yields events, and ``None`` when it needs more bytes.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import decode_bytearray, to_bytes
from ..events import Binary, Text
from ..opcode import Opcode, is_reserved
from .frames import MAX_CONTROL_PAYLOAD
from .masking import mask_payload
from .message import Message, too_large
from .utf8 import decode as decode_utf8

#: From so many missing bytes on, a binary payload is read into its final place.
DIRECT = 64 * 1024
#: From so many bytes on, text is decoded out of the buffer: a slice of it and ``bytearray.decode`` take
#: 0.10 us instead of 0.15 for 128 bytes, but 1.28 instead of 0.97 for 16 KiB.
NO_SLICE = 4 * 1024


def parse_frames(receive_buffer, on_control, on_failure, codec=None, expects_masked=False,
                 max_message_size=None, given_up=()):
    """Parse one direction of a connection, from the first frame on.

    :param ReceiveBuffer receive_buffer: where the bytes arrive
    :param on_control: called with ``(opcode, payload)`` for each ping, pong and close frame,
        returns the event to hand out
    :param on_failure: called with the error (ProtocolError, PayloadTooLarge, CriticalProtocolError)
        when the peer broke the protocol, returns the event to hand out, or None
    :param codec: the :class:`~lomond.protocol.permessage_deflate.PerMessageDeflate`, or None
    :param expects_masked: True in the server, whose client must mask (5.1)
    :param max_message_size: most bytes of a message, after inflating; None for no limit
    :param given_up: not empty once nothing more is to be handed out
    :returns: a generator of events and Nones; it ends after a close frame, after a violation,
        and when it was given up
    """
    new_event = object.__new__
    no_slice = NO_SLICE         # a global costs 128 bytes 2 % of their time
    rsv1_allowed = codec is not None
    limit = 1 << 64 if max_message_size is None else max_message_size
    takes_plain = limit >= 65535 and not expects_masked
    message = None              # the data message under way, None between messages
    need = 2                    # bytes that must be there before the next step makes sense
    buf, view, pos, end = receive_buffer.buffer, receive_buffer.view, receive_buffer.start, receive_buffer.end
    received_time = receive_buffer.received_time

    try:
        while True:
            if given_up:
                return
            if end - pos < need:
                receive_buffer.start = pos
                yield None
                buf, view = receive_buffer.buffer, receive_buffer.view
                pos, end = receive_buffer.start, receive_buffer.end
                received_time = receive_buffer.received_time
                continue

            first = buf[pos]
            second = buf[pos + 1]

            # The frames that make up nearly all traffic: unmasked, below 64 KiB, and here as a whole;
            # a message of one frame (0x81 is final text, 0x82 final binary, 0xC1 and 0xC2 the
            # same compressed), or a fragment behind the first.  32 bytes take 0.3 us so, 1 KiB 0.5; by
            # the way of all other frames 1.0 and 1.2.  What is not so falls through, and is looked at
            # again there.
            if second < 127 and takes_plain:
                if second < 126:
                    start = pos + 2
                    size = second
                    stop = start + size
                elif end - pos >= 4:
                    start = pos + 4
                    size = buf[pos + 2] << 8 | buf[pos + 3]
                    stop = start + size if size > 125 else end + 1      # 16 bits for 125 are refused below
                else:
                    stop = end + 1
                if stop <= end:
                    if message is None:
                        if first == 0x81:
                            event = new_event(Text)
                            if size < no_slice:
                                try:
                                    event.text = decode_bytearray(buf[start:stop])
                                except UnicodeDecodeError:
                                    event.text = decode_utf8(buf[start:stop])       # raises, and says where
                            else:
                                event.text = decode_utf8(view[start:stop])
                            event.received_time = received_time
                            pos = stop
                            need = 2
                            yield event
                            continue
                        if first == 0x82:
                            event = new_event(Binary)
                            event.data = view[start:stop].tobytes()
                            event.received_time = received_time
                            pos = stop
                            need = 2
                            yield event
                            continue
                        if rsv1_allowed and (first == 0xC1 or first == 0xC2):
                            data = codec.inflate(view[start:stop], True, max_message_size)
                            if data is None:
                                raise too_large(None, max_message_size)
                            if first == 0xC1:
                                event = new_event(Text)
                                event.text = decode_utf8(data)
                            else:
                                event = new_event(Binary)
                                event.data = data
                            data = None
                            event.received_time = received_time
                            pos = stop
                            need = 2
                            yield event
                            event = None        # it may have inflated to a large message
                            continue
                    elif first == 0:
                        message.check_length(size)
                        if size:
                            message.add(view[start:stop])
                        pos = stop
                        need = 2
                        continue

            # The header (5.2).  All that a header can do wrong is refused here, at its first
            # byte that shows it.
            opcode = first & 0x0F
            fin = first & 0x80
            length = second & 0x7F
            is_masked = second & 0x80
            if first & 0x30:
                raise errors.ProtocolError('reserved bits {} are set; no extension that uses them '
                                           'was agreed on', _bits(first & 0x30))
            if is_reserved(opcode):
                raise errors.ProtocolError('opcode {} is reserved', opcode)
            if opcode >= 8:
                if not fin:
                    raise errors.ProtocolError('{} frame is fragmented; control frames may not be',
                                               _name(opcode))
                if length > MAX_CONTROL_PAYLOAD:
                    raise errors.ProtocolError(
                        '{} frame has more than 125 bytes of payload; at most 125 are allowed',
                        _name(opcode))
            elif opcode:
                if message is not None:
                    raise errors.ProtocolError(
                        '{} frame inside of a fragmented message; a continuation frame was due',
                        _name(opcode))
            elif message is None:
                raise errors.ProtocolError('continuation frame with no message to continue')
            if first & 0x40 and not (rsv1_allowed and 0 < opcode < 8):
                raise errors.ProtocolError(
                    'reserved bit rsv1 is set on a {} frame; only the first frame of a message '
                    'may have it, and only when compression was agreed on', _name(opcode))
            if is_masked and not expects_masked:
                raise errors.ProtocolError('frame from the server is masked; it must not be')
            if expects_masked and not is_masked:
                raise errors.ProtocolError('frame from the client is not masked; it must be')

            header = 2
            if length == 126:
                header = 4
            elif length == 127:
                header = 10
            if is_masked:
                header += 4
            if end - pos < header:
                need = header
                continue
            if length == 126:
                length = buf[pos + 2] << 8 | buf[pos + 3]
                if length < 126:
                    raise errors.ProtocolError(
                        'payload length {} is encoded in 16 bits; the shortest form is required',
                        length)
            elif length == 127:
                length = int(_hex(buf[pos + 2:pos + 10]), 16)
                if length >= 1 << 63:
                    raise errors.ProtocolError(
                        'payload length {} has its highest bit set; it must be 0', length)
                if length < 65536:
                    raise errors.ProtocolError(
                        'payload length {} is encoded in 64 bits; the shortest form is required',
                        length)
            masking_key = bytes(buf[pos + header - 4:pos + header]) if is_masked else None

            if opcode >= 8:
                stop = pos + header + length
                if stop > end:
                    need = header + length
                    continue
                payload = bytes(buf[pos + header:stop])
                if is_masked:
                    payload = mask_payload(masking_key, payload)
                pos = stop
                need = 2
                event = on_control(opcode, payload)
                event.received_time = received_time
                yield event
                if opcode != Opcode.CLOSE:
                    continue
                return

            # A data frame.  One that is a whole message and has arrived is taken at once.
            pos += header
            need = 2
            compressed = first & 0x40
            stop = pos + length
            if fin and opcode and stop <= end:
                payload = view[pos:stop]
                if is_masked:
                    payload = mask_payload(masking_key, payload)
                if compressed:
                    payload = codec.inflate(payload, True, max_message_size)
                    if payload is None:
                        raise too_large(None, max_message_size)
                elif length > limit:
                    raise too_large(length, max_message_size)
                if opcode == Opcode.TEXT:
                    event = new_event(Text)
                    event.text = decode_utf8(payload)
                else:
                    event = new_event(Binary)
                    event.data = to_bytes(payload)
                payload = None
                event.received_time = received_time
                pos = stop
                yield event
                event = None
                continue

            if opcode:
                message = Message(opcode == Opcode.TEXT, codec.inflate if compressed else None,
                                  max_message_size)
            message.check_length(length)
            left = length
            while True:
                count = end - pos
                if left - count >= DIRECT and message.is_plain_binary and not is_masked:
                    # The rest is read straight into its last place.
                    place = message.reserve(left)
                    place[:count] = view[pos:end]
                    receive_buffer.start = end
                    receive_buffer.direct, receive_buffer.filled = place, count
                    count = len(place)
                    while receive_buffer.filled < count:
                        yield None
                        if given_up:
                            return
                    place = receive_buffer.direct = None
                    message.commit(count)
                    left -= count
                else:
                    count = min(left, count)
                    left -= count
                    if count or (fin and not left):
                        part = view[pos:pos + count]
                        if is_masked:
                            part = mask_payload(masking_key, part)
                            turn = count & 3
                            masking_key = masking_key[turn:] + masking_key[:turn]
                        pos += count
                        message.add(part, bool(fin and not left))
                        part = None     # a view of the buffer would keep an outgrown one alive
                    if not left:
                        break
                    receive_buffer.start = pos
                    yield None
                    if given_up:
                        return
                buf, view = receive_buffer.buffer, receive_buffer.view
                pos, end = receive_buffer.start, receive_buffer.end
                received_time = receive_buffer.received_time
                if not left:
                    break
            if fin:
                if message.is_text:
                    event = new_event(Text)
                    event.text = message.take()
                else:
                    event = new_event(Binary)
                    event.data = message.take()
                message = None
                event.received_time = received_time
                yield event
                event = None            # a large message must not live on here
    except (errors.ProtocolError, errors.CriticalProtocolError) as error:
        # Here, and not in a generator around this one: each hop costs every message 20 ns.
        event = on_failure(error)
        if event is not None:
            yield event


def _bits(first):
    """The names of the reserved bits that are set in the first byte of a frame."""
    return ', '.join(name for name, bit in (('rsv1', 0x40), ('rsv2', 0x20), ('rsv3', 0x10))
                     if first & bit)


def _name(opcode):
    return Opcode.to_str(opcode).lower()


def _hex(octets):
    return ''.join('%02x' % octet for octet in octets)
