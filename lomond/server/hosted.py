"""The session of an accepted connection that is one of many in a loop.

Knows nothing of: groups.
"""

from __future__ import absolute_import, division, unicode_literals

from ..driver.rules import MANY_CONNECTIONS
from .accepted import AcceptedSession


class HostedSession(AcceptedSession):
    """Drives an accepted socket as one of many.

    :ivar member: the :class:`~lomond.driver.members.Member` that it wakes
    """

    rules = MANY_CONNECTIONS
    member = None

    def waiting(self):
        return self.member
