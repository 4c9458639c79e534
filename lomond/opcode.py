"""The opcodes of RFC 6455, 5.2."""

from __future__ import absolute_import, division, unicode_literals


class Opcode(object):
    """Frame types (RFC 6455, 5.2 and 11.8); plain integers."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    RESERVED1 = 3
    RESERVED2 = 4
    RESERVED3 = 5
    RESERVED4 = 6
    RESERVED5 = 7
    CLOSE = 8
    PING = 9
    PONG = 10
    RESERVED6 = 11
    RESERVED7 = 12
    RESERVED8 = 13
    RESERVED9 = 14
    RESERVED10 = 15

    @classmethod
    def to_str(cls, opcode):
        """The name of an opcode.

        :param opcode: int
        :returns: text: ``'TEXT'``, ``'PING'`` ...; ``'?'`` for any other
            number
        """
        return _NAMES.get(opcode, '?')


_NAMES = dict((value, name) for name, value in vars(Opcode).items() if name.isupper())

#: The numbers without a meaning (RFC 6455, 5.2): a frame that has one fails the
#: connection.
reserved_opcodes = frozenset((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))


def is_reserved(opcode):
    """True when RFC 6455, 5.2 gives the opcode no meaning.

    :param opcode: int
    """
    return opcode in reserved_opcodes
