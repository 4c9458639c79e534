"""Name lookups that can be abandoned.

``getaddrinfo`` cannot be interrupted, so it runs in a daemon thread. A caller that
stops waiting abandons the thread, which ends when the resolver gives up.

Knows nothing of: connections, proxies, clocks.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import threading

from .._compat import fork_id, native
from .url import is_ip_address

#: At most this many lookups run at once per process; further ones queue. If all of them
#: have been abandoned, no new one is started.
MOST_AT_A_TIME = 8

# IP addresses need no thread, as long as this function has not been replaced.
_getaddrinfo = socket.getaddrinfo


class TooManyLookups(Exception):
    """Raised when all running lookups hang and have been abandoned."""


class Lookup(object):
    """A lookup, shared by all callers that want the same name at the same time.

    :ivar is_done: True once ``addresses`` or ``error`` is set
    :ivar addresses: what ``getaddrinfo`` returned; not empty
    :ivar error: the exception that it raised
    """

    def __init__(self, table, key):
        self.is_done = False
        self.addresses = None
        self.error = None
        self.key = key
        self.wakes = []         # guarded by the table's lock
        self._table = table

    def leave(self, wake):
        """Abandon the lookup; ``wake`` will not be called."""
        table = self._table
        with table.lock:
            if wake in self.wakes:
                self.wakes.remove(wake)
            if not self.wakes and self in table.queue:
                table.queue.remove(self)
                del table.known[self.key]


def _ask(key):
    """Return ``(addresses, error)``; the error's traceback does not hold the Lookup."""
    getaddrinfo, host, port = key
    try:
        addresses = getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, 'the name has no address')
        return addresses, None
    except BaseException as caught:     # gaierror; UnicodeError; gevent's way to kill a thread
        return None, caught


class _Table(object):
    """The lookups of one process."""

    def __init__(self):
        self.fork = fork_id()
        self.lock = threading.Lock()
        self.known = {}                     # guarded by lock: key -> Lookup, running or queued
        self.queue = collections.deque()    # guarded by lock: lookups that wait for a thread
        self.running = 0                    # guarded by lock

    def work(self, lookup):
        """Run one lookup after another until the queue is empty."""
        while lookup is not None:
            lookup.addresses, lookup.error = _ask(lookup.key)
            with self.lock:
                lookup.is_done = True
                del self.known[lookup.key]
                wakes, lookup.wakes = lookup.wakes, []
                lookup = self.queue.popleft() if self.queue else None
                if lookup is None:
                    self.running -= 1
            for wake in wakes:
                wake()


_table = _Table()


def look_up(host, port, wake):
    """Start a lookup, or join one that is running.

    :param host: a name in ASCII, or an IP address
    :param port: int
    :param wake: called without arguments, from another thread, when the lookup is done
    :returns: a :class:`Lookup`; for an IP address it is already done
    :raises TooManyLookups: if ``MOST_AT_A_TIME`` lookups hang and all are abandoned
    """
    global _table
    # Read at call time, because tests and gevent replace it. Only lookups that use the
    # same function are shared.
    getaddrinfo = socket.getaddrinfo
    host = native(host)         # or 2.7 imports encodings.idna in the thread, which can deadlock
    table = _table
    if table.fork != fork_id():             # a forked child does not have its parent's threads
        table = _table = _Table()
    key = (getaddrinfo, host, port)
    if getaddrinfo is _getaddrinfo and is_ip_address(host):
        lookup = Lookup(table, key)
        lookup.addresses, lookup.error = _ask(key)
        lookup.is_done = True
        return lookup
    with table.lock:
        lookup = table.known.get(key)
        if lookup is not None:
            lookup.wakes.append(wake)
            return lookup
        is_full = table.running >= MOST_AT_A_TIME
        if is_full and not any(known.wakes for known in table.known.values()):
            raise TooManyLookups('{} name lookups are hanging; no further one is started'.format(
                table.running))
        lookup = table.known[key] = Lookup(table, key)
        lookup.wakes.append(wake)
        if is_full:
            table.queue.append(lookup)
            return lookup
        table.running += 1
    thread = threading.Thread(target=table.work, args=(lookup,), name=native('lomond-resolver'))
    thread.daemon = True
    try:
        thread.start()
    except Exception:           # out of threads: RuntimeError, thread.error on 2.7
        with table.lock:
            del table.known[key]
            table.running -= 1
        raise
    return lookup
