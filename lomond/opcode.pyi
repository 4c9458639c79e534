# Types of lomond.opcode.

from typing import Final

class Opcode:
    CONTINUATION: Final = 0
    TEXT: Final = 1
    BINARY: Final = 2
    RESERVED1: Final = 3
    RESERVED2: Final = 4
    RESERVED3: Final = 5
    RESERVED4: Final = 6
    RESERVED5: Final = 7
    CLOSE: Final = 8
    PING: Final = 9
    PONG: Final = 10
    RESERVED6: Final = 11
    RESERVED7: Final = 12
    RESERVED8: Final = 13
    RESERVED9: Final = 14
    RESERVED10: Final = 15
    @classmethod
    def to_str(cls, opcode: int) -> str: ...

reserved_opcodes: Final[frozenset[int]]

def is_reserved(opcode: int) -> bool: ...
