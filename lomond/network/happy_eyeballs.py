"""Happy eyeballs (RFC 8305): connect to the first of several addresses that answers.

As in :mod:`lomond.network.dialer`, the steps are generators that yield whenever they
must wait; none blocks.

Knows nothing of: names, proxies, TLS.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import errno
import os
import socket

from .._compat import IS_WINDOWS, OS_ERRORS, error_number, error_text, is_in_progress, set_cloexec
from .poller import WRITE
from .url import bracketed

#: Time between the starts of two connection attempts (seconds; RFC 8305, section 5).
ATTEMPT_DELAY = 0.25
#: Most addresses that are remembered as bad.
MOST_BAD = 16
#: How often to retry a Unix domain socket whose accept queue is full (seconds): poll()
#: does not report when it has room again.
UNIX_RETRY = 0.05


class Experience(object):
    """What came of the addresses of earlier attempts (RFC 8305, 4).

    An address whose connection was of no use is tried last; the next one that is of use
    there clears it. One WebSocket has one of these, used by one thread at a time.
    """

    def __init__(self):
        self._bad = []              # socket addresses, the newest failure last

    def failed(self, sockaddr):
        """Note that a connection was of no use."""
        self.worked(sockaddr)
        self._bad.append(sockaddr)
        del self._bad[:-MOST_BAD]

    def worked(self, sockaddr):
        """Note that a connection was of use."""
        self._bad = [bad for bad in self._bad if bad != sockaddr]

    def sort(self, addresses):
        """Return what ``getaddrinfo`` returned with bad addresses last."""
        bad = self._bad
        return sorted(addresses, key=lambda address: bad.index(address[4]) if address[4] in bad else -1)


class Race(object):
    """Attempts to connect to one host; a driver iterates the steps to their end.

    :param clock: function that returns monotonic seconds
    :param socket_options: ``(level, name, value)`` of each option to set before
        connecting
    :param sources: what ``getaddrinfo`` returned for the address to bind, or None
    :param next_step: what is to be done over the connection, for the error of one that
        is reset as soon as it is made
    :param forget: called with each descriptor that was in ``waits`` before it is closed
    :param looks: if true, do not wait for a connection that stands at once, as within
        this machine
    :ivar waits: after a yield, the ``((fileno, WRITE), ...)`` to wait for
    :ivar deadline: after a yield, when to resume even if nothing is ready (monotonic),
        or None
    :ivar ready: what is ready; set by the driver before it resumes
    :ivar winner: the connected socket, which then belongs to the driver; None if all
        attempts failed
    :ivar winner_text: its address, for messages
    :ivar tried: the addresses of all attempts so far, for messages
    :ivar suspects: socket addresses: the winner's, or those without an answer yet
    :ivar error: the exception of the last attempt that failed
    """

    def __init__(self, clock, socket_options=(), sources=None, next_step=None,
                 forget=lambda fd: None, looks=False):
        self.waits = ()
        self.deadline = None
        self.ready = ()
        self.winner = None
        self.winner_text = None
        self.tried = []
        self.suspects = ()
        self.error = None
        self._clock = clock
        self._socket_options = socket_options
        self._sources = sources
        self._next_step = next_step
        self._forget = forget
        self._looks = looks
        self._pending = {}          # fileno -> (socket, address as text, socket address)
        self._failures = []         # texts: each address with its error

    def steps(self, addresses, experience=None):
        """Connect by TCP.

        :param addresses: what ``getaddrinfo`` returned; socket addresses are used as
            they are
        :param experience: an :class:`Experience`, or None
        """
        clock = self._clock
        if len(addresses) > 1:
            addresses = interleave(addresses)
            if experience is not None:
                addresses = experience.sort(addresses)
        queue = collections.deque(addresses)
        now = next_start = clock()
        while True:
            while queue and self.winner is None and (not self._pending or now >= next_start):
                if self._start_attempt(queue.popleft()):
                    next_start = now + ATTEMPT_DELAY
            if self.winner is not None or not self._pending:
                break
            self.waits = tuple((fd, WRITE) for fd in self._pending)
            self.deadline = next_start if queue else None
            self.suspects = tuple(sockaddr for _, _, sockaddr in self._pending.values())
            yield
            now = clock()
            for fd, _ in self.ready:
                if self.winner is None and fd in self._pending and self._settle(fd):
                    next_start = now        # a refusal starts the next attempt at once
        self.close()

    def unix_steps(self, path):
        """Connect to a Unix domain socket.

        :param path: text or bytes
        """
        text = path.decode('utf-8', 'replace') if isinstance(path, bytes) else path
        family = getattr(socket, 'AF_UNIX', None)
        if family is None:
            self._note_failure(text, OSError(errno.EAFNOSUPPORT, 'this system has no Unix domain sockets'))
            return
        while self._start_attempt((family, socket.SOCK_STREAM, 0, '', _path_bytes(path)), text):
            # EAGAIN: the queue is full, and this socket has not started to connect.
            self._close_pending()
            self.waits, self.deadline = (), self._clock() + UNIX_RETRY
            yield

    def details(self):
        """Return each address that did not connect, with its error; may be empty."""
        pending = [text + ' no answer' for _, text, _ in self._pending.values()]
        return ', '.join(self._failures + pending)

    def close(self):
        """Close the sockets of all attempts that did not win."""
        if self._pending:
            self._close_pending()
        self.waits, self.deadline = (), None

    def _close_pending(self):
        for fd, (sock, _, _) in self._pending.items():
            self._forget(fd)
            sock.close()
        self._pending.clear()

    def _note_failure(self, text, error):
        text = '{} {}'.format(text, _lower(error_text(error)))
        if self._next_step is not None and error_number(error) == errno.ECONNRESET:
            text += ' in ' + self._next_step
        self._failures.append(text)
        self.error = error

    def _start_attempt(self, address, text=None):
        """Start to connect; return True if the attempt is now pending."""
        family, kind, protocol, _, sockaddr = address
        if text is None:
            text = _address_text(sockaddr)
        if text not in self.tried:
            self.tried.append(text)
        sock = None                     # the socket to close at the end, if any
        try:
            sock = socket.socket(family, kind, protocol)
            self._prepare(sock, family)
            try:
                sock.connect(sockaddr)
            except OS_ERRORS as error:
                if not is_in_progress(error):
                    raise
                if not self._looks or not _is_connected(sock, text):
                    self._pending[sock.fileno()] = sock, text, sockaddr
                    sock = None
                    return True
            self._win(sock, text, sockaddr)
            sock = None
        except Exception as error:      # OSError; OverflowError of a socket option
            self._note_failure(text, error)
        finally:
            if sock is not None:
                sock.close()
        return False

    def _win(self, sock, text, sockaddr):
        self.winner, self.winner_text, self.suspects = sock, text, (sockaddr,)

    def _prepare(self, sock, family):
        set_cloexec(sock)
        sock.setblocking(False)
        if family == socket.AF_INET or family != getattr(socket, 'AF_UNIX', None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._sources is not None:
                self._bind(sock, family)
        for option in self._socket_options:
            sock.setsockopt(*option)

    def _bind(self, sock, family):
        for source in self._sources:
            source_family, sockaddr = source[0], source[4]
            if source_family == family:
                if sockaddr[1] and not IS_WINDOWS:      # on Windows it would steal a port in use
                    # Parallel attempts share one source port, which may still be in
                    # TIME_WAIT.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind(sockaddr)
                except OS_ERRORS as error:
                    raise _os_error(error_number(error), 'source_address {}: {}'.format(
                        _address_text(sockaddr), _lower(error_text(error))))
                return
        raise _os_error(errno.EAFNOSUPPORT, 'source_address has no address of this family')

    def _settle(self, fd):
        """Find out how a ready attempt ended; return True if it was refused."""
        sock, text, sockaddr = self._pending[fd]
        error = None
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            error = _os_error(number, os.strerror(number))
        else:
            try:
                sock.getpeername()
            except OS_ERRORS as caught:
                if error_number(caught) == errno.ENOTCONN:
                    return False            # spurious wake-up: ready, but still connecting
                error = caught
        del self._pending[fd]
        if error is None:
            self._win(sock, text, sockaddr)
            return False
        self._forget(fd)
        sock.close()
        self._note_failure(text, error)
        return True


def interleave(addresses):
    """Alternate the address families, starting with the first (RFC 8305, section 4).

    :param addresses: what ``getaddrinfo`` returned
    :returns: list of the same addresses
    """
    families = []
    for address in addresses:
        for group in families:
            if group[0][0] == address[0]:
                group.append(address)
                break
        else:
            families.append([address])
    return [group[place] for place in range(max([len(group) for group in families] or [0]))
            for group in families if place < len(group)]


def _is_connected(sock, text):
    """Return True if a connection that is in progress stands already.

    Within this machine it usually does; to wait for it would cost much more.
    """
    if text[:4] != '127.' and text[:6] != '[::1]:':
        return False
    try:
        sock.getpeername()
    except OS_ERRORS:           # ENOTCONN, or what will be found when it is ready
        return False
    return True


def _address_text(sockaddr):
    return '%s:%s' % (bracketed(sockaddr[0]), sockaddr[1])


def _path_bytes(path):
    if isinstance(path, bytes):
        return path
    # 2.7 has no fsencode, and its socket module would encode text as ASCII.
    return os.fsencode(path) if hasattr(os, 'fsencode') else path.encode('utf-8')


def _os_error(number, text):
    return socket.error(number, text)


def _lower(text):
    """Lower the first letter, to quote the system's sentence inside another one."""
    return text[:1].lower() + text[1:]
