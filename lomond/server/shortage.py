"""What a server does without a free descriptor or memory: warn, wait, try again.

Knows nothing of: what is tried again.
"""

from __future__ import absolute_import, division, unicode_literals

import errno

from .._compat import OS_ERRORS, error_number, error_text, monotonic

#: Seconds until the next try.
PAUSE = 0.1
#: Seconds between two warnings.
WARN_EVERY = 60.0

_LACKING = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM] + [
    getattr(errno, name) for name in ('WSAEMFILE', 'WSAENOBUFS') if hasattr(errno, name)])


def is_shortage(error):
    """Return True if an exception says that descriptors or memory have run out."""
    if isinstance(error, OS_ERRORS):
        return error_number(error) in _LACKING
    return isinstance(error, MemoryError)


class Shortage(object):
    """Warns of the shortages of one server.  Belongs to the thread that accepts.

    :param name: the name of the logger
    """

    def __init__(self, name):
        import logging  # now: without a free descriptor, nothing can be imported
        self._logger = logging.getLogger(name)
        self._next = None       # when to warn again; monotonic

    def note(self, error):
        """Log a WARNING, at most once a minute."""
        now = monotonic()
        if self._next is None or now >= self._next:
            self._next = now + WARN_EVERY
            self._logger.warning(
                'no further connection can be served now: %s; trying again every %s s',
                error_text(error), PAUSE)
