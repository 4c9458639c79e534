"""Name lookups that can be abandoned.

``getaddrinfo`` cannot be interrupted, so it runs in a daemon thread. A caller that
stops waiting abandons the thread, which ends when the resolver gives up.

Ctrl-C may come anywhere in a caller's thread.  So whatever the start of a lookup has
done by then can be undone: :func:`look_up` does so.

Knows nothing of: connections, proxies, clocks.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket
import sys

from .._compat import Pattern, fork_id, native, new_thread, without_frames
from .url import ascii_name, is_ip_address

#: At most this many threads look up names at once per process; further lookups queue.
#: If all of them have been abandoned, no new one is started.
MOST_AT_A_TIME = 8

# IP addresses need no thread, as long as this function has not been replaced.
_getaddrinfo = socket.getaddrinfo
# None if it had been replaced before this module was imported: it has to be asked then.
_standard = _getaddrinfo if isinstance(_getaddrinfo, type(len)) or (
    getattr(_getaddrinfo, '__globals__', None) is vars(socket)) else None
# In the one form that means the same everywhere.
_IPV4 = Pattern(r'(?:(?:[1-9]?[0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])(?:\.|\Z)){4}(?<!\.)\Z')


class TooManyLookups(Exception):
    """Raised when all running lookups hang and have been abandoned."""


#: The owner of a lookup that nobody will do; who joined it begins again.
_NOBODY = 'nobody'


class Lookup(object):
    """A lookup, shared by all callers that want the same name at the same time.

    :ivar is_done: True once ``addresses`` or ``error`` is set
    :ivar addresses: what ``getaddrinfo`` returned; not empty
    :ivar error: the exception that it raised
    :ivar has_blocked: True if no thread could be started, so that the caller did it
    """

    def __init__(self, table, key, is_local=False):
        self.is_done = False
        self.addresses = None
        self.error = None
        self.has_blocked = False
        self.key = key
        self.is_local = is_local
        self.wakes = []
        self._table = table
        self._owner = {}

    def claim(self, owner):
        """Return True if ``owner`` is the first one, or that one again."""
        return self._owner.setdefault('owner', owner) is owner

    @property
    def has_begun(self):
        """False while it waits for a thread."""
        return bool(self._owner)

    @property
    def is_dropped(self):
        """True if it will never be done: the caller that began it was interrupted."""
        return self._owner.get('owner') is _NOBODY

    def leave(self, wake):
        """Abandon the lookup; ``wake`` will not be called."""
        self._forget(wake)
        if not self.wakes:
            self._drop()

    def give_up(self, wake, owner):
        """Undo what the interrupted start of the lookup has done."""
        self._forget(wake)
        if not self._drop() and self.claim(owner):
            self._finish()

    def _forget(self, wake):
        if wake in self.wakes:
            self.wakes.remove(wake)

    def _drop(self):
        """Unregister it, and return True, unless it has begun."""
        if not self.claim(_NOBODY):
            return False
        self._table.remove(self)
        self._wake()            # who has joined in this very moment
        return True

    def run(self):
        """Do it, in whatever thread."""
        self.addresses, self.error = _ask(self.key)
        self._finish()

    def run_here(self, wake):
        """Do it in the thread of a caller, who need not be woken."""
        self._forget(wake)
        self.has_blocked = True
        self.run()
        if self.error is not None and not isinstance(self.error, Exception):
            raise self.error    # Ctrl-C

    def _finish(self):
        if self.addresses is None and self.error is None:
            self.error = socket.gaierror(socket.EAI_AGAIN, 'the lookup was interrupted')
        self.is_done = True
        self._wake()
        self._table.remove(self)

    def _wake(self):
        while self.wakes:
            self.wakes.pop()()


def _ask(key):
    """Return ``(addresses, error)``."""
    getaddrinfo, host, port = key
    try:
        addresses = getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, 'the name has no address')
        return addresses, None
    except BaseException as caught:     # gaierror; UnicodeError; gevent's way to kill a thread
        return None, without_frames(caught)     # which would hold the Lookup


class _Worker(object):
    """A thread that does one lookup after another until its queue is empty."""

    def __init__(self, table, queue):
        self.queue = queue
        self._table = table
        self._owner = {}

    def start(self):
        """Start the thread; return False if that is not possible."""
        try:
            new_thread(self._run, 'lomond-resolver').start()
        except Exception:       # out of threads or memory, or the program exits
            if not self.cancel():
                raise           # it is running: the error is that of a signal handler
            return False
        return True

    def cancel(self):
        """Return True if the thread has not begun; then it never will."""
        if self._owner.setdefault('owner', 'caller') != 'caller':
            return False
        self._table.dismiss(self)
        return True

    def _run(self):
        if self._owner.setdefault('owner', 'thread') != 'thread':
            return
        while True:
            try:
                lookup = self.queue.popleft()
            except IndexError:
                self._table.dismiss(self)
                # A caller may have queued another one just before.
                if not self.queue or not self._table.hire(self):
                    return
                continue
            if lookup.claim(self):
                lookup.run()


class _Table(object):
    """The lookups of one process.

    There is no lock: Ctrl-C can come between any two steps of a caller's thread, even
    at the end of a ``with``, and would leave it locked.  Each step is a single call of
    a dict, list or deque, and tells by its result who was first.
    """

    def __init__(self):
        self.fork = fork_id()
        self.known = {}                     # key -> Lookup, running or queued
        self.queue = collections.deque()    # lookups that wait for a thread
        self.places = {}                    # number -> the worker that serves the queue

    def find(self, key, is_local, wake):
        """Return the lookup that is queued or running, or a new one."""
        while True:
            lookup = self.known.get(key)
            if lookup is None:
                self._check_places(is_local)
                lookup = self.known.setdefault(key, Lookup(self, key, is_local))
            lookup.wakes.append(wake)
            if not lookup.is_dropped:
                return lookup
            self.remove(lookup)

    def _check_places(self, is_local):
        if is_local or len(self.places) < MOST_AT_A_TIME:
            return
        if not any(lookup.wakes for lookup in list(self.known.values()) if not lookup.is_local):
            raise TooManyLookups('{} name lookups are hanging; no further one is started'.format(
                MOST_AT_A_TIME))

    def remove(self, lookup):
        """Unregister a lookup; again is harmless."""
        if lookup in self.queue:
            try:
                self.queue.remove(lookup)
            except ValueError:              # a thread has just taken it
                pass
        if self.known.get(lookup.key) is lookup:
            self.known.pop(lookup.key, None)        # last: until then it can be found

    def enqueue(self, lookup):
        """Return the queue in which a lookup waits."""
        if lookup.is_local:                 # behind nobody
            return collections.deque((lookup,))
        if lookup not in self.queue:
            self.queue.append(lookup)
        return self.queue

    def hire(self, worker):
        """Return True if there is a place for one more worker."""
        if worker.queue is not self.queue:
            return True
        for number in range(MOST_AT_A_TIME):
            if self.places.setdefault(number, worker) is worker:
                return True
        return False

    def dismiss(self, worker):
        """Take its place away, if it has one."""
        for number in range(MOST_AT_A_TIME):
            if self.places.get(number) is worker:
                self.places.pop(number, None)


_table = _Table()


def look_up(host, port, wake):
    """Start a lookup, or join one that is running.

    If no thread can be started, it is done here, for as long as that takes.

    :param host: a name, or an IP address
    :param port: int
    :param wake: called without arguments, from another thread, when the lookup is done
    :returns: a :class:`Lookup`; for an IP address it is already done
    :raises TooManyLookups: if ``MOST_AT_A_TIME`` lookups hang and all are abandoned;
        those of IP addresses and of ``localhost`` neither count nor wait
    """
    global _table
    # Read at call time, because tests and gevent replace it. Only lookups that use the
    # same function are shared.
    getaddrinfo = socket.getaddrinfo
    host = _ascii(host)         # or 2.7 imports encodings.idna in the thread, which can deadlock
    table = _table
    if table.fork != fork_id():             # a forked child does not have its parent's threads
        table = _table = _Table()
    key = (getaddrinfo, host, port)
    is_address = is_ip_address(host)
    if is_address and getaddrinfo is _getaddrinfo:
        lookup = Lookup(table, key)
        lookup.addresses, lookup.error = _ask(key)
        lookup.is_done = True
        return lookup
    here, worker = [], None
    try:
        lookup = table.find(key, is_address or _is_local(host), wake)
        if not lookup.has_begun:
            worker = _Worker(table, table.enqueue(lookup))
            # No try in here: Ctrl-C at that line would miss the except below (3.11).
            if table.hire(worker) and not worker.start() and lookup.claim(here):
                lookup.run_here(wake)
        return lookup
    except BaseException:       # Ctrl-C
        lookup = table.known.get(key)
        if lookup is not None:
            lookup.give_up(wake, here)
        if worker is not None:
            worker.cancel()
        raise


def numeric_address(host, port):
    """Return what ``getaddrinfo`` would for an IPv4 address, at a tenth of its cost.

    :returns: None for anything else, for a replaced ``getaddrinfo``, and on macOS,
        which may translate the address (NAT64)
    """
    if socket.getaddrinfo is not _standard or sys.platform == 'darwin' or not _IPV4.match(host):
        return None
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, '', (native(host), port))]


def _ascii(host):
    try:
        host.encode('ascii')
    except UnicodeError:
        host = ascii_name(host)
    return native(host)


def _is_local(host):
    """True for a name that means this machine (RFC 6761, 6.3)."""
    name = host.lower()
    if name.endswith('.'):
        name = name[:-1]
    return name == 'localhost' or name.endswith('.localhost')
