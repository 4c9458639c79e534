# Types of lomond.constants.

from typing import Final

WS_KEY: Final[bytes]
WS_VERSION: Final = 13
USER_AGENT: Final[str]
