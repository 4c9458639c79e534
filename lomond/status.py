"""The close codes of RFC 6455, 7.4; they must not know who sends them."""

from __future__ import absolute_import, division, unicode_literals


class Status(object):
    """Close codes that the library itself sends or explains (RFC 6455, 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    DATA_NOT_UNDERSTOOD = 1003
    BAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_LARGE = 1009
    EXTENSION_FAILED = 1010
    UNEXPECTED_CONDITION = 1011

    #: Codes that may not be received: reserved, forbidden on the wire or of no registry
    #: (RFC 6455, 7.4.2).  1012 - 1014 are registered with IANA and fine.
    invalid_codes = frozenset(
        list(range(0, 1000)) + [1004, 1005, 1006, 1015] +
        list(range(1016, 3000)) + list(range(5000, 65536)))
