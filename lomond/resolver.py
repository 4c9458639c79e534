"""Name look-ups that can be left behind; it must not know who connects to what.

``getaddrinfo`` cannot be interrupted.  It runs in a daemon thread, and whoever does not want to
wait any longer walks away; the thread ends when the resolver gives up.
"""

from __future__ import absolute_import, division, unicode_literals

import socket
import threading

from .compat import native

#: So many look-ups may hang in the process; then connecting fails at once.
MOST_LEFT_BEHIND = 8

_lock = threading.Lock()    # guards _running and the fields of each look-up in it
_running = {}               # (getaddrinfo, host, port) -> Lookup


class TooManyLookups(Exception):
    """So many look-ups hang already that no further one is begun."""


class Lookup(object):
    """One look-up, shared by all who ask for the same name at the same time.

    :ivar is_done: True once ``addresses`` or ``error`` is there
    :ivar addresses: what ``getaddrinfo`` returned
    :ivar error: what it raised
    """

    def __init__(self):
        self.is_done = False
        self.addresses = None
        self.error = None
        self.wakes = []         # guarded by _lock

    def leave(self, wake):
        """Walk away: ``wake`` is not called any more."""
        with _lock:
            if wake in self.wakes:
                self.wakes.remove(wake)


def look_up(host, port, wake):
    """Begin a look-up, or join one that is under way.

    :param host: an ASCII name
    :param wake: called without arguments, from another thread, once it is done
    :returns: a :class:`Lookup`
    :raises TooManyLookups: at most ``MOST_LEFT_BEHIND`` hang in a process
    """
    # Looked up now: tests and gevent replace it; a look-up by another function is not joined.
    getaddrinfo = socket.getaddrinfo
    host = native(host)         # 2.7 would import encodings.idna in the thread, and can deadlock
    key = (getaddrinfo, host, port)
    with _lock:
        found = _running.get(key)
        if found is not None:
            found.wakes.append(wake)
            return found
        if len(_running) >= MOST_LEFT_BEHIND:
            raise TooManyLookups(
                '{} look-ups of names hang already; no further one is begun'.format(len(_running)))
        found = _running[key] = Lookup()
        found.wakes.append(wake)
    thread = threading.Thread(target=_run, args=(key, found), name=str('lomond-resolver'))
    thread.daemon = True
    try:
        thread.start()
    except Exception:           # no more threads: RuntimeError, thread.error on 2.7
        with _lock:
            _running.pop(key, None)
        raise
    return found


def _run(key, lookup):
    getaddrinfo, host, port = key
    addresses = error = None
    try:
        addresses = getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except Exception as caught:         # gaierror; UnicodeError for labels that are too long
        error = caught
    with _lock:
        _running.pop(key, None)
        lookup.addresses, lookup.error = addresses, error
        lookup.is_done = True
        wakes, lookup.wakes = lookup.wakes, []
    for wake in wakes:
        wake()
