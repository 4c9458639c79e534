"""Streams of bytes that never block: TCP or anything like it.

They must not know what the bytes mean.  A stream has ``recv_into`` and ``send``, which
return None when there is nothing to do yet, and ``recv_wants`` / ``send_wants``, what to wait
for then.
"""

from __future__ import absolute_import, division, unicode_literals

import socket

from .._compat import OS_ERRORS, fork_id, was_interrupted, would_block
from .poller import READ, WRITE


class SocketStream(object):
    """What streams right over a socket share: its end, and what the kernel knows of it."""

    recv_wants = READ
    send_wants = WRITE
    is_tls = False
    is_buffered = False             # ``send`` may leave bytes in this process
    poll_tells_all = False          # a wait tells of all there is, behind a read that did not fill its place

    def __init__(self, sock):
        self.sock = sock
        self._fork = fork_id()
        if hasattr(sock, 'setblocking'):
            sock.setblocking(False)

    def fileno(self):
        return self.sock.fileno()

    def flush(self):
        """True when nothing that ``send`` took is still waiting in this process."""
        return True

    def unsent(self):
        """Bytes that the kernel has taken and the peer has not; None when it cannot tell.

        A full send buffer is not writable again before a third of it is free, which a slow peer
        may need minutes for; this shows that it does take something.
        """
        try:
            import fcntl
            import struct
            import termios
            return struct.unpack(str('i'), fcntl.ioctl(self.fileno(), termios.TIOCOUTQ,
                                                       b'\0\0\0\0'))[0]
        except (ImportError, AttributeError, ValueError) + OS_ERRORS:   # Windows; no socket; closed
            return None

    def shutdown_write(self):
        """End our direction; what was sent still arrives."""
        self._shutdown(socket.SHUT_WR)

    def shutdown(self):
        """End both directions; wakes every thread that waits for this socket."""
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how):
        shutdown = self._find_shutdown()
        # In a forked child it would end the connection of the parent.
        if shutdown is not None and self._fork == fork_id():
            try:
                shutdown(how)
            except OS_ERRORS:       # ENOTCONN: the peer was faster; EBADF: closed by its owner
                pass

    def _find_shutdown(self):
        return getattr(self.sock, 'shutdown', None)

    def close(self):
        """Close the socket."""
        try:
            self.sock.close()
        except OS_ERRORS:           # ECONNRESET (BSD): it is closed all the same
            pass


class PlainStream(SocketStream):
    """A connected socket (or what has ``fileno``, ``recv``, ``send`` and ``close``).

    One thread may receive while another one sends.
    """

    def __init__(self, sock):
        super(PlainStream, self).__init__(sock)
        self._recv_into = getattr(sock, 'recv_into', None)
        self._send = sock.send
        self.poll_tells_all = type(sock) is socket.socket       # who knows what another object keeps?

    def recv_into(self, view):
        """The number of bytes put into ``view``, 0 at the end, None when there are none yet."""
        while True:
            try:
                if self._recv_into is not None:
                    return self._recv_into(view)
                data = self.sock.recv(len(view))
            except OS_ERRORS as error:
                if would_block(error):
                    self.sock.fileno()      # 2.7: raises for a socket that a handler has closed
                    return None
                if was_interrupted(error):
                    continue
                raise
            view[:len(data)] = data
            return len(data)

    def send(self, data):
        """How many bytes were taken, or None when none can be taken now."""
        while True:
            try:
                return self._send(data)
            except OS_ERRORS as error:
                if would_block(error):
                    return None
                if not was_interrupted(error):
                    raise

    def close(self):
        """Close the socket."""
        super(PlainStream, self).close()
        # On 2.7 these are methods of an inner socket, which lives as long as they do: the
        # descriptor would stay open until the last reference to this stream goes.
        self._send = self.sock.send
        self._recv_into = getattr(self.sock, 'recv_into', None)
