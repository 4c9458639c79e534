"""TLS over a socket, and TLS inside of TLS: a ``wss`` connection by way of an HTTPS proxy.

It must not know what a proxy is.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket
import sys
import threading

from .._compat import OS_ERRORS, error_text, get_ident, was_interrupted, without_frames, would_block
from .poller import READ, WRITE
from .stream import PlainStream, SocketStream

#: What TLS is given at a time: one record.  SSL_write takes all of it or nothing, so a larger
#: piece would hide from ``send_timeout`` that a slow peer does take something.
TLS_CHUNK = 16 * 1024
#: Behind a full record there are more of them, as a rule: so many are read in a row.  For 1 KiB messages in
#: full records it saves a sixth of all that a message costs, and who sends waits 60 us for the lock at most.
RECORDS = 4
#: Linux' number for a TCP socket that is over, and not by a FIN of the peer alone.
TCP_CLOSE = 7


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


class TlsStream(TlsBase, SocketStream):
    """TLS over a socket: an ``ssl.SSLSocket`` that does not block."""

    poll_tells_all = True           # OpenSSL reads one record of the socket, and a short read was all of it

    def __init__(self, sock):
        TlsBase.__init__(self)
        SocketStream.__init__(self, sock)
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


class TlsInTlsStream(TlsBase):
    """TLS over another stream, by way of memory (``ssl.MemoryBIO``, not on 2.7)."""

    is_buffered = True

    def __init__(self, context, stream, server_hostname):
        super(TlsInTlsStream, self).__init__()
        self._stream = stream
        self.sock = stream.sock
        self._incoming = self._ssl.MemoryBIO()
        self._outgoing = self._ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, False, server_hostname)
        self._scratch = bytearray(TLS_CHUNK)
        self._unsent = b''                  # guarded by _lock, as the other four are

    @property
    def ssl_object(self):
        """What knows the peer's certificate."""
        return self._object

    def fileno(self):
        return self._stream.fileno()

    def _flush(self):
        """Hand ciphertext to the stream below; True when all of it went."""
        while True:
            if not self._unsent:
                self._unsent = self._outgoing.read()
                if not self._unsent:
                    return True
            count = self._stream.send(self._unsent)
            if count is None:
                return False
            self._unsent = self._unsent[count:]

    def _fill(self):
        """Take ciphertext from the stream below; False when there is none yet."""
        count = self._stream.recv_into(memoryview(self._scratch))
        if count is None:
            return False
        if count:
            self._incoming.write(self._scratch[:count])
        else:
            self._incoming.write_eof()
        return True

    def _pump(self, step):
        """Do one thing with the SSL object, moving ciphertext both ways as far as it goes."""
        ssl = self._ssl
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                if not self._flush():
                    raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, 'write')
                if not self._fill():
                    raise
                continue
            self._flush()
            return result

    def _do_handshake(self):
        self._pump(self._object.do_handshake)
        if not self._flush():
            raise self._ssl.SSLWantWriteError(self._ssl.SSL_ERROR_WANT_WRITE, 'write')

    def _read(self, view):
        return self._pump(lambda: self._object.read(len(view), view))

    def _write(self, data):
        # A MemoryBIO takes everything: no more than one record waits for the stream below.
        if not self._flush():
            raise self._ssl.SSLWantWriteError(self._ssl.SSL_ERROR_WANT_WRITE, 'write')
        return self._pump(lambda: self._object.write(data))

    def flush(self):
        """Send ciphertext that waits in memory; True when none is left."""
        me = get_ident()
        self._inside[me] = True
        try:
            with self._lock:
                return self._flush()
        finally:
            self._inside.pop(me, None)

    def unsent(self):
        return self._stream.unsent()

    def shutdown_write(self):
        self._stream.shutdown_write()

    def shutdown(self):
        self._stream.shutdown()

    def close(self):
        self._stream.close()


def as_stream(sock):
    """The stream for a connected socket of somebody else, TLS or not."""
    ssl = sys.modules.get('ssl')        # without it no socket can be an SSLSocket
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        return TlsStream(sock)
    return PlainStream(sock)
