"""Consecutive small messages of one read as one list: the fast half of the parser.

Most messages are small, plain and whole, and a read brings many of them.  One at a
time, each costs a resumption of every generator on its way to the program; sixteen in a
list cost one.

A batch holds only what needs no decision: messages of at most 4 KiB in one frame each,
uncompressed and unmasked.  It ends before anything else: a control frame, a fragment, a
compressed or larger message, bytes that are missing, a violation.  The parser
(:mod:`lomond.protocol.frame_parser`) then meets that frame as if there had been no
batch.

Knows nothing of: what comes before and after a batch, how large a batch should be.
"""

from __future__ import absolute_import, division, unicode_literals

from ..events import Binary, Text

#: The largest payload in a batch.  That bounds what a batch keeps, and larger ones gain
#: nothing.
LARGEST = 4 * 1024


def gather(view, most, limit, received_time):
    """Return the messages with which some bytes begin, as far as it goes.

    Not on 2.7, where an item of bytes is not an integer.

    :param view: a memoryview that begins with a frame; all of it is copied, so it
        should end soon after ``most`` messages
    :param most: messages, at most
    :param limit: the largest payload that may be taken
    :param received_time: of the events
    :returns: ``(batch, size)``: a new list, perhaps empty, and how many bytes are in it
    """
    new_event = object.__new__
    data = view.tobytes()               # slices of bytes are what the events need
    pos, end = 0, len(data)
    batch = []
    try:
        for _ in range(most):
            first, length, start = data[pos], data[pos + 1], pos + 2
            if length > 125:
                if length != 126:
                    break
                length = data[start] << 8 | data[start + 1]
                if length < 126:
                    break
                start += 2
            stop = start + length
            if stop > end or length > limit:
                break
            if first == 0x81:
                event = new_event(Text)
                event.text = data[start:stop].decode()
            elif first == 0x82:
                event = new_event(Binary)
                event.data = data[start:stop]
            else:
                break
            event.received_time = received_time
            batch.append(event)
            pos = stop
    except (IndexError, UnicodeDecodeError):        # the rest of a header is missing; a violation
        pass
    return batch, pos
