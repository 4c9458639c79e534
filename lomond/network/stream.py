"""Non-blocking streams of bytes: TCP, Unix domain sockets, or anything like them.

``recv_into`` and ``send`` return None when nothing can be done yet; ``recv_wants`` and
``send_wants`` then say what to wait for.

Knows nothing of: TLS, clocks, the meaning of the bytes.
"""

from __future__ import absolute_import, division, unicode_literals

import operator
import socket

from .._compat import OS_ERRORS, fork_id, imap, to_bytes, was_interrupted, would_block
from .poller import READ, WRITE, is_writable

#: A write that is blocked is tried again after this many seconds, where the descriptor
#: may not tell; twice as many each time.
FIRST_RETRY, LAST_RETRY = 0.05, 0.5
#: In ``done`` of :meth:`PlainStream.send_noted`: it is not known whether anything was
#: sent.
BEGUN = 'begun'


def retry_pause(blocked):
    """Return how long to wait before a blocked send is tried again.

    :param blocked: the number of blocked sends in a row
    :returns: seconds
    """
    return min(FIRST_RETRY * 2 ** min(blocked - 1, 9), LAST_RETRY)


class SocketStream(object):
    """Base class of streams over a socket: how they end, what the kernel knows."""

    recv_wants = READ
    send_wants = WRITE
    is_tls = False
    is_buffered = False             # True if ``send`` may leave bytes in this process
    blocked = 0                     # sends in a row that have to be tried again after a pause, too
    # True if polling is enough: after a read that did not fill its buffer, no unread
    # bytes can be hidden from poll().
    poll_tells_all = False
    # True if it has ``recv``, which makes bytes without a copy of them.
    gives_bytes = False

    def __init__(self, sock, is_set_up=False):
        self.sock = sock
        self._fork = fork_id()
        if not is_set_up and hasattr(sock, 'setblocking'):
            sock.setblocking(False)

    #: The method of the socket: before each wait, a call of Python less.
    fileno = property(operator.attrgetter('sock.fileno'))

    def flush(self):
        """Return True when no bytes that ``send`` accepted remain in this process."""
        return True

    def unsent(self):
        """Return how many sent bytes the peer has not acknowledged; None if unknown.

        A full send buffer only becomes writable again once a third of it is free, which
        can take minutes with a slow peer. This number shows progress before that.
        """
        try:
            import fcntl
            import struct
            import termios
            return struct.unpack(str('i'), fcntl.ioctl(self.fileno(), termios.TIOCOUTQ,
                                                       b'\0\0\0\0'))[0]
        except (ImportError, AttributeError, ValueError) + OS_ERRORS:   # Windows; not a socket; closed
            return None

    def shutdown_write(self):
        """Shut down our direction; what was already sent still arrives."""
        self._shutdown(socket.SHUT_WR)

    def shutdown(self):
        """Shut down both directions; wakes every thread that waits for this socket."""
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how):
        shutdown = self._find_shutdown()
        # A forked child must not end its parent's connection.
        if shutdown is not None and self._fork == fork_id():
            try:
                shutdown(how)
            except OS_ERRORS:       # ENOTCONN: the peer was faster; EBADF: its owner closed it
                pass

    def _find_shutdown(self):
        return getattr(self.sock, 'shutdown', None)

    def close(self):
        """Close the socket."""
        try:
            self.sock.close()
        except OS_ERRORS:           # ECONNRESET (BSD): the socket is closed anyway
            pass


class PlainStream(SocketStream):
    """Stream over a connected socket.

    One thread may receive while another one sends.

    :param is_set_up: true if the socket does not block already
    """

    def __init__(self, sock, is_set_up=False):
        super(PlainStream, self).__init__(sock, is_set_up)
        self._recv_into = getattr(sock, 'recv_into', None)
        self._send = sock.send
        self._is_one_step = isinstance(sock.send, type(len))    # in C: no interrupt can come amid it
        self.poll_tells_all = type(sock) is socket.socket       # other objects may buffer bytes
        self.gives_bytes = self.poll_tells_all

    def recv_into(self, view):
        """Receive into ``view``.

        :returns: the number of bytes; 0 at the end; None if none are there yet
        """
        while True:
            try:
                if self._recv_into is not None:
                    return self._recv_into(view)
                data = self.sock.recv(len(view))
            except OS_ERRORS as error:
                if would_block(error):
                    self.sock.fileno()      # 2.7: raises if a handler has closed the socket
                    return None
                if was_interrupted(error):
                    continue
                raise
            if data is None:            # as in the io module: nothing yet
                return None
            view[:len(data)] = data
            return len(data)

    def recv(self, size):
        """Receive at most ``size`` bytes.

        :returns: bytes, empty at the end; None if none are there yet
        """
        while True:
            try:
                return self.sock.recv(size)
            except OS_ERRORS as error:
                if would_block(error):
                    return None
                if not was_interrupted(error):
                    raise

    def send(self, data):
        """Return how many bytes were accepted, or None if none can be accepted now."""
        while True:
            try:
                return self._send(data)
            except OS_ERRORS as error:
                if would_block(error):
                    return None
                if not was_interrupted(error):
                    raise

    def send_noted(self, data, done):
        """Send, and append what :meth:`send` returns to ``done`` in the same step.

        If an interrupt comes, the last of ``done`` says what went: a number, None if
        nothing did, as if it is empty, and ``BEGUN`` if that is not known.
        """
        while True:
            if not self._is_one_step:
                done.append(BEGUN)
            try:
                done.extend(imap(self._send, (data,)))
                return
            except OS_ERRORS as error:
                if not would_block(error) and not was_interrupted(error):
                    raise
                done.append(None)
                if would_block(error):
                    return

    def close(self):
        """Close the socket."""
        super(PlainStream, self).close()
        # On 2.7 these are methods of an inner socket and keep it alive: the descriptor
        # would stay open until the last reference to this stream is gone.
        self._send = self.sock.send
        self._recv_into = getattr(self.sock, 'recv_into', None)


class ObjectStream(PlainStream):
    """Stream over an object with the basic methods of a socket, such as a tunnel.

    The object needs ``fileno``, ``recv``, ``send`` and ``close``.  "Not now" may be
    EAGAIN, a time-out of its own, the wish of an SSL object, or a ``send`` that takes
    nothing.  Its descriptor tells when to receive; whether it also tells when to send
    is not known, so a blocked send is tried again after :func:`retry_pause`.
    """

    def __init__(self, sock):
        super(ObjectStream, self).__init__(sock)
        self._wants_bytes = self._recv_into is None     # what knows one buffer knows them all

    def send(self, data):
        """Send bytes, like :meth:`PlainStream.send`."""
        if self._wants_bytes and type(data) is not bytes:
            data = to_bytes(data)
        is_writable_now = False
        while True:
            try:
                count = self._send(data)
            except OS_ERRORS as error:
                if was_interrupted(error):
                    continue
                if not would_block(error):
                    raise
                count = None
            if count:
                self.blocked = 0
                self.send_wants = WRITE
                return count
            if is_writable_now or not is_writable(self.fileno()):
                break
            is_writable_now = True      # it has just become so, or its descriptor always says so
        self.blocked += 1
        self.send_wants = 0 if is_writable_now else WRITE       # polling for WRITE would spin
        return None

    def send_noted(self, data, done):
        """Send, like :meth:`PlainStream.send_noted`."""
        done.append(BEGUN)
        done.append(self.send(data))
