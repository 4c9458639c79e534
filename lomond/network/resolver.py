"""Name look-ups that can be left behind; it must not know who connects to what.

``getaddrinfo`` cannot be interrupted.  It runs in a daemon thread, and whoever does not want to
wait any longer walks away; the thread ends when the resolver gives up.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import threading

from .._compat import fork_id, native
from .url import is_ip_address

#: So many look-ups run at a time in a process.  Others wait for their turn; when all that run were
#: left behind, the resolver hangs, and no further one is begun.
MOST_AT_A_TIME = 8

# What of IP addresses needs no thread, as long as nobody has put something else in its place.
_getaddrinfo = socket.getaddrinfo


class TooManyLookups(Exception):
    """So many look-ups hang already that no further one is begun."""


class Lookup(object):
    """One look-up, shared by all who ask for the same name at the same time.

    :ivar is_done: True once ``addresses`` or ``error`` is there
    :ivar addresses: what ``getaddrinfo`` returned; not empty
    :ivar error: what it raised
    """

    def __init__(self, table, key):
        self.is_done = False
        self.addresses = None
        self.error = None
        self.key = key
        self.wakes = []         # guarded by the table's lock
        self._table = table

    def leave(self, wake):
        """Walk away: ``wake`` is not called any more."""
        table = self._table
        with table.lock:
            if wake in self.wakes:
                self.wakes.remove(wake)
            if not self.wakes and self in table.queue:
                table.queue.remove(self)
                del table.known[self.key]


def _ask(key):
    """``(addresses, error)``; no traceback of the error leads back to its :class:`Lookup`."""
    getaddrinfo, host, port = key
    try:
        addresses = getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, 'the name has no address')
        return addresses, None
    except BaseException as caught:     # gaierror; UnicodeError; what gevent ends a thread with
        return None, caught


class _Table(object):
    """The look-ups of a process."""

    def __init__(self):
        self.fork = fork_id()
        self.lock = threading.Lock()
        self.known = {}                     # guarded by lock: key -> Lookup that runs or waits
        self.queue = collections.deque()    # guarded by lock: those that wait for their turn
        self.running = 0                    # guarded by lock

    def work(self, lookup):
        """Run one look-up after the other until none waits."""
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
    """Begin a look-up, or join one that is under way.

    :param host: a name in ASCII, or an IP address
    :param port: int
    :param wake: called without arguments, from another thread, once it is done
    :returns: a :class:`Lookup`; that of an IP address is done already
    :raises TooManyLookups: ``MOST_AT_A_TIME`` hang, and nobody waits for them any more
    """
    global _table
    # Looked up now: tests and gevent replace it; a look-up by another function is not joined.
    getaddrinfo = socket.getaddrinfo
    host = native(host)         # 2.7 would import encodings.idna in the thread, and can deadlock
    table = _table
    if table.fork != fork_id():             # a forked child has none of its parent's threads
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
            raise TooManyLookups('{} look-ups of names hang already; no further one is begun'.format(
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
    except Exception:           # no more threads: RuntimeError, thread.error on 2.7
        with table.lock:
            del table.known[key]
            table.running -= 1
        raise
    return lookup
