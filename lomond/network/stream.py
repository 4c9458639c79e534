"""Streams of bytes that never block: TCP or anything like it, and TLS on top.

They must not know what the bytes mean.  A stream has ``recv_into`` and ``send``, which
return None when there is nothing to do yet, and ``recv_wants`` / ``send_wants``, what to wait
for then.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket
import sys
import threading

from .._compat import OS_ERRORS, error_text, fork_id, get_ident, was_interrupted, without_frames, would_block
from .poller import READ, WRITE

#: What TLS is given at a time: one record.  SSL_write takes all of it or nothing, so a larger
#: piece would hide from ``send_timeout`` that a slow peer does take something.
TLS_CHUNK = 16 * 1024
#: Behind a full record there are more of them, as a rule: so many are read in a row.  For 1 KiB messages in
#: full records it saves a sixth of all that a message costs, and who sends waits 60 us for the lock at most.
RECORDS = 4
#: Linux' number for a TCP socket that is over, and not by a FIN of the peer alone.
TCP_CLOSE = 7


class _SocketStream(object):
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


class PlainStream(_SocketStream):
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


class TlsBase(object):
    """What TLS over a socket and TLS over TLS share: one record at a time under a small lock.

    One SSL object is never in two threads' hands at once: concurrent SSL_read and SSL_write
    crash CPython 2.7, 3.8 and 3.13 within seconds.  Waiting happens outside of the lock.
    """

    is_tls = True
    is_buffered = False
    poll_tells_all = False

    def __init__(self):
        import ssl
        self._ssl = ssl
        self._lock = threading.Lock()       # guards every call of the SSL object
        self._late = None                   # an error behind records that were read in a row
        self._inside = {}                   # the threads that have it, or wait for it; each its own key
        self.recv_wants = READ              # written by who reads
        self.send_wants = WRITE             # written by the holder of the write lock

    def handshake(self):
        """One step of the TLS handshake: None when it is done, else what to wait for."""
        ssl = self._ssl
        try:
            with self._lock:
                self._do_handshake()
        except ssl.SSLError as error:
            if error.args and error.args[0] == ssl.SSL_ERROR_WANT_READ:
                return READ
            if error.args and error.args[0] == ssl.SSL_ERROR_WANT_WRITE:
                return WRITE
            raise
        return None

    def recv_into(self, view):
        """As :meth:`PlainStream.recv_into`; at most ``RECORDS`` records."""
        ssl = self._ssl
        me = get_ident()
        while True:
            self._inside[me] = True         # before the lock: a signal handler may come in between
            try:
                with self._lock:
                    count = self._read_records(view)
            except ssl.SSLError as error:
                number = error.args[0] if error.args else None
                if number == ssl.SSL_ERROR_WANT_READ:
                    self.recv_wants = READ
                    return None
                if number == ssl.SSL_ERROR_WANT_WRITE:
                    self.recv_wants = WRITE
                    return None
                if number in (ssl.SSL_ERROR_ZERO_RETURN, ssl.SSL_ERROR_EOF) or _is_eof(error):
                    # Without close_notify, too: the closing handshake of RFC 6455 tells
                    # whether something was cut off.
                    is_known = number != ssl.SSL_ERROR_EOF or getattr(error, 'reason', None)
                    if not is_known and self._is_reset():
                        raise socket.error(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
                    return 0
                raise
            except OS_ERRORS as error:
                if would_block(error):
                    return None
                if was_interrupted(error):
                    continue
                raise
            finally:
                self._inside.pop(me, None)
            self.recv_wants = READ
            return count

    def _read_records(self, view):
        """One record, and full ones behind a full one; the lock is held."""
        if self._late is not None:
            error, self._late = self._late, None
            raise error
        count = more = self._read(view)
        most = min(len(view), RECORDS * TLS_CHUNK)
        try:
            while more == TLS_CHUNK and count < most:
                more = self._read(view[count:most])
                count += more
        except OS_ERRORS as error:
            # Bytes were read: what is wrong, or only not there yet, is for the next call.
            if not (isinstance(error, self._ssl.SSLError) and error.args and error.args[0] in (
                    self._ssl.SSL_ERROR_WANT_READ, self._ssl.SSL_ERROR_WANT_WRITE)):
                self._late = without_frames(error)
        if self._late is not None or not more:
            self.poll_tells_all = False     # an end that was read, and that only the next call tells of
        return count

    def send(self, data):
        """As :meth:`PlainStream.send`; after None the very same bytes must come next."""
        ssl = self._ssl
        if len(data) > TLS_CHUNK:
            data = memoryview(data)[:TLS_CHUNK]
        me = get_ident()
        while True:
            self._inside[me] = True
            try:
                with self._lock:
                    count = self._write(data)
            except ssl.SSLError as error:
                number = error.args[0] if error.args else None
                if number == ssl.SSL_ERROR_WANT_WRITE:
                    self.send_wants = WRITE
                    return None
                if number == ssl.SSL_ERROR_WANT_READ:
                    self.send_wants = READ
                    return None
                raise
            except OS_ERRORS as error:
                if would_block(error):
                    return None
                if was_interrupted(error):
                    continue
                raise
            finally:
                self._inside.pop(me, None)
            self.send_wants = WRITE
            return count or None

    def _is_reset(self):
        return False

    def is_entered(self):
        """True in a signal handler that has interrupted this thread inside of the SSL object: hands off."""
        return get_ident() in self._inside


def _is_eof(error):
    """OpenSSL 3 under Pythons before 3.8 has its own words for an end without close_notify."""
    text = error_text(error)        # the last one: of a MemoryBIO, which knows no other errors
    return 'unexpected eof' in text.lower() or 'EOF occurred' in text or 'Some I/O error' in text


class TlsStream(TlsBase, _SocketStream):
    """TLS over a socket: an ``ssl.SSLSocket`` that does not block."""

    poll_tells_all = True           # OpenSSL reads one record of the socket, and a short read was all of it

    def __init__(self, sock):
        TlsBase.__init__(self)
        _SocketStream.__init__(self, sock)
        sock.suppress_ragged_eofs = False       # or a reset is an end: see _is_reset

    def _is_reset(self):
        # 3.10 - 3.12.2 lose what the system said (gh-115627): a reset is an end there, but one for
        # which OpenSSL has no reason.  OpenSSL 1.1 has none for a FIN either: TCP is asked.
        try:
            return bytearray(self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0] == TCP_CLOSE
        except (AttributeError,) + OS_ERRORS:       # another system, or no TCP
            return False

    @property
    def ssl_object(self):
        """What knows the peer's certificate."""
        return self.sock

    def _do_handshake(self):
        self.sock.do_handshake()

    def _read(self, view):
        return self.sock.recv_into(view)

    def _write(self, data):
        return self.sock.send(data)

    def _find_shutdown(self):
        # SSLSocket.shutdown() drops the TLS layer, and what is sent after it is clear text:
        # the plain socket's is called.
        return super(self._ssl.SSLSocket, self.sock).shutdown


def as_stream(sock):
    """The stream for a connected socket of somebody else, TLS or not."""
    ssl = sys.modules.get('ssl')        # without it no socket can be an SSLSocket
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        return TlsStream(sock)
    return PlainStream(sock)
