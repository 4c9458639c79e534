"""The listening sockets of one server: bind, accept, and turn clients away.

A :class:`Listener` has steps, like a session: ``waits()``, ``next_deadline()`` and
``process(ready, now)``, which accepts and never waits.  So the thread of a server and
the loop of a group use it alike.

A client for which there is no room gets its answer at once, without a thread.  Then our
direction of TCP ends, and what the client still sends is discarded until it ends its
own: data left unread would make the kernel send a reset, which can destroy the answer.

Knows nothing of: threads, handlers, WebSockets.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket

from .._compat import (
    IS_WINDOWS,
    OS_ERRORS,
    error_number,
    error_text,
    set_cloexec,
    to_text,
    was_interrupted,
    would_block,
)
from ..network.poller import READ
from .log import NAME
from .shortage import PAUSE, Shortage, is_shortage

#: Connections that may wait in the kernel, which may allow fewer.
BACKLOG = 1024
#: Connections to accept from one socket before the next one has its turn.
ACCEPTS_IN_A_ROW = 64
#: Limits for clients that were turned away and have not ended TCP yet: how many there
#: may be, and for how long (seconds).
MOST_LEAVING, LEAVE_TIME = 100, 1.0
#: Bytes of such a client to read and discard in one turn.
DROP_SIZE = 64 * 1024
#: Attempts to find a port that is free on all addresses.
TRIES = 20

_MISSING = frozenset(getattr(errno, name) for name in (
    'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EPROTONOSUPPORT', 'WSAEADDRNOTAVAIL', 'WSAEAFNOSUPPORT')
    if hasattr(errno, name))
_IN_USE = frozenset(getattr(errno, name) for name in ('EADDRINUSE', 'EACCES', 'WSAEADDRINUSE', 'WSAEACCES')
                    if hasattr(errno, name))


def find_addresses(host, port):
    """Return ``(family, address)`` of everything that a host name stands for.

    :param host: text; None for all interfaces
    :param port: 0 - 65535
    :raises OSError: if the name is not known; the message names it
    """
    if host is None:
        return [(socket.AF_INET, ('0.0.0.0', port)), (socket.AF_INET6, ('::', port))]
    if host.rstrip('.').lower() == 'localhost':     # some systems know one of them by that name
        return [(socket.AF_INET, ('127.0.0.1', port)), (socket.AF_INET6, ('::1', port))]
    try:
        answers = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise socket.gaierror(error_number(error), str('cannot listen on {}: {}').format(
            host, str(error_text(error))))
    found = []
    for family, _, _, _, address in answers:
        if (family, address) not in found:
            found.append((family, address))
    return found


def _bind(family, address, takes_ipv4):
    """Return a listening socket; raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        set_cloexec(sock.fileno())
        if IS_WINDOWS:                  # SO_REUSEADDR would let others take the port away
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not takes_ipv4:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def bind(addresses, port, takes_ipv4=False):
    """Listen on those of some addresses that the machine has.

    :param addresses: list of ``(family, address)``
    :param port: 0 - 65535; 0 takes a free port, the same for all of them
    :param takes_ipv4: if true, ``'::'`` may also stand for ``'0.0.0.0'``; if false,
        the same port of IPv4 can have a socket of its own
    :returns: list of listening sockets
    :raises OSError: if none of the addresses can be used (``socket.error`` on 2.7)
    """
    socks, missing = [], None
    try:
        for family, address in addresses:
            try:
                sock = _bind(family, (address[0], port) + tuple(address[2:]), takes_ipv4)
            except OS_ERRORS as error:
                if error_number(error) in _MISSING:
                    missing = missing or (address, error)
                    continue
                raise _explain(error, address, port)
            socks.append(sock)
            port = sock.getsockname()[1]        # the same for all of them
        if not socks:
            raise _explain(missing[1], missing[0], port)
    except BaseException:
        for sock in socks:
            sock.close()
        raise
    return socks


def _explain(error, address, port):
    return type(error)(error_number(error), str('cannot listen on {} port {}: {}').format(
        address[0], port, str(error_text(error))))


def listen(host, port):
    """Listen on all addresses of a host.

    :param host: text; None for all interfaces
    :param port: 0 - 65535; 0 takes a port that is free on all of them
    :returns: list of listening sockets
    :raises OSError: if none of the addresses can be used (``socket.error`` on 2.7)
    """
    addresses = find_addresses(host, port)
    for left in range(TRIES - 1, -1, -1):
        try:
            return bind(addresses, port)
        except OS_ERRORS as error:
            if port or not left or error_number(error) not in _IN_USE:
                raise


class Listener(object):
    """Accepts the connections of one server.

    It belongs to one thread, but :attr:`port`, :attr:`addresses` and :attr:`family` may
    be read by any.

    :param socks: listening sockets, which belong to it from now on
    :param logger: the name of the logger to which a shortage is told

    :ivar addresses: list of what they are bound to: ``(host, port)``, or the path of a
        Unix socket
    :ivar port: the port of the first one; None for a Unix socket
    :ivar is_open: False once :meth:`stop_listening` was called
    """

    def __init__(self, socks, logger=NAME):
        self._socks = list(socks)
        self.addresses = []
        for sock in self._socks:
            sock.setblocking(False)
            name = sock.getsockname()
            self.addresses.append(name[:2] if isinstance(name, tuple) else to_text(name))
        first = self.addresses[0]
        self.port = first[1] if isinstance(first, tuple) else None
        self.is_open = True
        self._shortage = Shortage(logger)
        self._paused_until = {}         # index of a socket -> monotonic
        self._leaving = {}              # fileno -> (socket, deadline)
        self._waits = None              # the newest answer of waits(), or None

    # -- the steps

    def waits(self):
        """Return ``((fileno, READ), ...)``, identical until it changes."""
        if self._waits is None:
            socks = [sock for index, sock in enumerate(self._socks) if index not in self._paused_until]
            self._waits = tuple([(sock.fileno(), READ) for sock in socks] +
                                [(fd, READ) for fd in self._leaving])
        return self._waits

    def next_deadline(self):
        """Return when to call :meth:`process` at the latest, or None."""
        if not self._paused_until and not self._leaving:
            return None
        return min(list(self._paused_until.values()) + [deadline for _, deadline in self._leaving.values()])

    def process(self, ready, now, most=ACCEPTS_IN_A_ROW):
        """Accept what has arrived, and read from clients that were turned away.

        :param ready: those of :meth:`waits` that are ready
        :param now: monotonic seconds
        :param most: the largest number of connections to accept from one socket
        :returns: a generator of ``(socket, address)``, as from ``socket.accept``; if it
            is not exhausted, the next call accepts the rest
        """
        for index in [index for index, until in self._paused_until.items() if now >= until]:
            del self._paused_until[index]
            self._waits = None
        ready = frozenset(fd for fd, _ in ready)
        self._see_off(ready, now)
        for index, sock in enumerate(self._socks):
            if sock.fileno() not in ready:
                continue
            for _ in range(most):
                if not self.is_open:
                    return
                accepted = None if index in self._paused_until else self._accept(index, sock, now)
                if accepted is None:
                    break
                yield accepted

    def _accept(self, index, listener, now):
        sock = None
        while True:
            try:
                sock, address = listener.accept()
                set_cloexec(sock.fileno())
                sock.setblocking(False)
                if isinstance(address, tuple):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock, address
            except (MemoryError,) + OS_ERRORS as error:
                has_gone = sock is not None or error_number(error) == errno.ECONNABORTED
                if sock is not None:
                    sock.close()
                    sock = None
                if is_shortage(error):
                    self.pause(error, now, index)
                elif has_gone or was_interrupted(error):
                    continue            # the next one
                elif not would_block(error):
                    self._rest(now, index)      # whatever it is, it must not spin
                return None

    # -- shortages

    def pause(self, error, now, index=None):
        """Stop accepting for 0.1 s, because the machine has run out of something.

        :param error: the exception that said so; it is logged, at most once a minute
        :param now: monotonic seconds; None to log the exception only
        :param index: the index of the socket to pause; None for all of them
        """
        self._shortage.note(error)
        if now is not None:
            self._rest(now, index)

    def _rest(self, now, index):
        for which in range(len(self._socks)) if index is None else (index,):
            self._paused_until[which] = now + PAUSE
        self._waits = None

    # -- clients that are turned away

    def turn_away(self, sock, answer, now):
        """Answer a client for which there is no room, and close.

        :param sock: the accepted socket; it belongs to the listener from now on
        :param answer: bytes to send; empty to close at once
        :param now: monotonic seconds
        """
        try:
            if answer and len(self._leaving) < MOST_LEAVING:
                sock.send(answer)       # it fits into any new socket's buffer
                sock.shutdown(socket.SHUT_WR)
                self._leaving[sock.fileno()] = sock, now + LEAVE_TIME
                self._waits = None
                return
            if answer:
                sock.send(answer)
        except OS_ERRORS:               # it has gone
            pass
        sock.close()

    def _see_off(self, ready, now):
        for fd, (sock, deadline) in list(self._leaving.items()):
            if now >= deadline or (fd in ready and self._has_left(sock)):
                self._waits = None
                del self._leaving[fd]
                sock.close()

    @staticmethod
    def _has_left(sock):
        try:
            return not sock.recv(DROP_SIZE)
        except OS_ERRORS as error:
            return not (would_block(error) or was_interrupted(error))

    @property
    def is_idle(self):
        """True once all clients that were turned away have gone."""
        return not self._leaving

    # -- the end

    def stop_listening(self):
        """Close the listening sockets; keep the clients that were turned away."""
        self.is_open = False
        socks, self._socks = self._socks, []
        self._paused_until.clear()
        self._waits = None
        for sock in socks:
            sock.close()

    def close(self):
        """Close everything."""
        self.stop_listening()
        leaving, self._leaving = self._leaving, {}
        self._waits = None
        for sock, _ in leaving.values():
            sock.close()
