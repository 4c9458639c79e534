"""The session of an accepted connection in a group: a client cannot end the loop.

Knows nothing of: groups.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import get_ident
from ..driver.rules import MANY_CONNECTIONS
from .accepted import AcceptedSession


class HostedSession(AcceptedSession):
    """Drives an accepted socket as one of many.

    A send of the loop's thread never raises because of the client: if its wire is
    broken, nothing happens, and if it does not keep up, it is dropped.  Mistakes of the
    program still raise.

    :ivar member: what it wakes
    """

    rules = MANY_CONNECTIONS
    member = None

    def waiting(self):
        return self.member

    def send(self, opcode, payload, compress=False):
        driver = self._driver
        try:
            super(HostedSession, self).send(opcode, payload, compress)
        except errors.QueueFull:
            # The state stays as it is until Disconnected says what has happened: what
            # the program sends meanwhile must not raise either.
            reason = 'disconnected; the client does not keep up: {} bytes wait for it (max_queued)'.format(
                self.queued)
            if self._stopped is None:
                self._stopped = reason
            driver.stop(reason)
        except errors.TransportFail:
            if driver is None or driver.loop_ident != get_ident():
                raise
