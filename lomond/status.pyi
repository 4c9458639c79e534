# Types of lomond.status.

from collections.abc import Collection
from typing import ClassVar, Final

class Status:
    NORMAL: Final = 1000
    GOING_AWAY: Final = 1001
    PROTOCOL_ERROR: Final = 1002
    DATA_NOT_UNDERSTOOD: Final = 1003
    BAD_DATA: Final = 1007
    POLICY_VIOLATION: Final = 1008
    MESSAGE_TOO_LARGE: Final = 1009
    EXTENSION_FAILED: Final = 1010
    UNEXPECTED_CONDITION: Final = 1011
    invalid_codes: ClassVar[Collection[int]]
