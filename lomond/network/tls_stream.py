"""Non-blocking TLS streams: over a socket, or over another TLS stream.

TLS inside TLS is what a ``wss`` connection through an HTTPS proxy needs.

Knows nothing of: proxies, certificates, clocks, the meaning of the bytes.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket
import sys
from itertools import chain

from .._compat import OS_ERRORS, get_ident, imap, was_interrupted, without_frames, would_block
from .lock import Lock
from .poller import READ, WRITE
from .stream import BEGUN, ObjectStream, PlainStream, SocketStream
from .tls_errors import is_end

#: Write at most one record at a time. SSL_write accepts all or nothing, so with larger
#: pieces ``send_timeout`` would not see that a slow peer makes progress.
TLS_CHUNK = 16 * 1024
#: A full record is usually followed by more; read up to this many at once. For 1 KiB
#: messages in full records this saves a sixth of the total cost per message, and a
#: sender waits at most 60 us for the lock.
RECORDS = 4
#: Linux's state of a TCP socket that is closed, not merely half-closed by the peer.
TCP_CLOSE = 7


class TlsBase(object):
    """Base class of TLS streams: at most one call of the SSL object at a time.

    A small lock guards each call, because concurrent SSL_read and SSL_write on one
    object crash CPython 2.7, 3.8 and 3.13 within seconds. Waiting happens outside the
    lock.
    """

    is_tls = True
    is_buffered = False
    blocked = 0
    poll_tells_all = False

    def __init__(self):
        import ssl
        self._ssl = ssl
        self._lock = Lock()                 # guards every call of the SSL object
        self._late = None                   # an error that came after records already read
        self.recv_wants = READ              # written by the reading thread
        self.send_wants = WRITE             # written by the holder of the write lock

    def handshake(self):
        """Run one step of the handshake; return None when done, or what to wait for."""
        ssl = self._ssl
        try:
            self._locked(self._do_handshake)
        except ssl.SSLError as error:
            if error.args and error.args[0] == ssl.SSL_ERROR_WANT_READ:
                return READ
            if error.args and error.args[0] == ssl.SSL_ERROR_WANT_WRITE:
                return WRITE
            raise
        return None

    def recv_into(self, view):
        """Receive at most ``RECORDS`` records, like :meth:`PlainStream.recv_into`."""
        ssl = self._ssl
        while True:
            try:
                count = self._locked(self._read_records, view)
            except ssl.SSLError as error:
                number = error.args[0] if error.args else None
                if number == ssl.SSL_ERROR_WANT_READ:
                    self.recv_wants = READ
                    return None
                if number == ssl.SSL_ERROR_WANT_WRITE:
                    self.recv_wants = WRITE
                    return None
                if is_end(error):
                    # Accept an end without close_notify as well: the closing handshake
                    # of RFC 6455 tells whether anything was cut off.
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
            self.recv_wants = READ
            return count

    def _read_records(self, view):
        """Read one record, and more while they are full; the lock must be held."""
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
            # Deliver what was read; the next call reports the error, if it was one.
            if not (isinstance(error, self._ssl.SSLError) and error.args and error.args[0] in (
                    self._ssl.SSL_ERROR_WANT_READ, self._ssl.SSL_ERROR_WANT_WRITE)):
                self._late = without_frames(error)
        if self._late is not None or not more:
            self.poll_tells_all = False     # the end was read, and only the next call reports it
        return count

    def send(self, data, done=None):
        """Send like :meth:`PlainStream.send`; after None, pass the same bytes again.

        :param done: as for :meth:`PlainStream.send_noted`
        """
        ssl = self._ssl
        if len(data) > TLS_CHUNK:
            data = memoryview(data)[:TLS_CHUNK]
        while True:
            try:
                count = self._locked(self._write, data) if done is None else (
                    self._locked(self._write_noted, data, done))
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
            self.send_wants = WRITE
            return count or None

    def send_noted(self, data, done):
        """Send like :meth:`PlainStream.send_noted`."""
        self.send(data, done)

    def _write_noted(self, data, done):
        try:
            # One step, but for what the ssl module does in Python.
            done.extend(chain((BEGUN,), imap(self._find_write(), (data,))))
        except OS_ERRORS:
            done.append(None)
            raise

    def _find_write(self):
        return self._write

    def _locked(self, step, *args):
        """Let one thread at a time call the SSL object."""
        lock, hold, is_over = self._lock, [get_ident()], False
        try:
            try:
                lock.take(hold)
                return step(*args)
            finally:
                lock.release(hold)
                is_over = True
        finally:
            if not is_over:             # an interrupt has cut it off
                lock.release(hold)

    def _is_reset(self):
        return False

    def is_entered(self):
        """Return True if this thread was interrupted inside the SSL object.

        The caller is then a signal handler, and must not touch the stream.
        """
        return self._lock.is_mine()


class TlsStream(TlsBase, SocketStream):
    """TLS over a socket: a non-blocking ``ssl.SSLSocket``."""

    poll_tells_all = True           # OpenSSL reads record by record; a short read took all there was

    def __init__(self, sock):
        TlsBase.__init__(self)
        SocketStream.__init__(self, sock)
        sock.suppress_ragged_eofs = False       # otherwise a reset looks like an end: see _is_reset

    def _is_reset(self):
        # 3.10 - 3.12.2 lose the system's error (gh-115627): a reset looks like an end
        # for which OpenSSL gives no reason. OpenSSL 1.1 gives none for a FIN either,
        # so ask TCP.
        try:
            return bytearray(self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0] == TCP_CLOSE
        except (AttributeError,) + OS_ERRORS:       # another system, or not TCP
            return False

    @property
    def ssl_object(self):
        """The object to ask for the peer's certificate."""
        return self.sock

    def _do_handshake(self):
        self.sock.do_handshake()

    def _read(self, view):
        return self.sock.recv_into(view)

    def _write(self, data):
        return self.sock.send(data)

    def _find_write(self):
        return self.sock.send

    def _find_shutdown(self):
        # SSLSocket.shutdown() drops the TLS layer, and anything sent afterwards would
        # be clear text; call the plain socket's method.
        return super(self._ssl.SSLSocket, self.sock).shutdown


class TakenTlsStream(TlsStream):
    """TLS over an ``ssl.SSLSocket`` that was taken from somebody who still has it.

    Methods of the object do nothing any longer; those of its class work.

    :param sock: the object
    :param give_back: called at the end, instead of closing it
    """

    def __init__(self, sock, give_back):
        self._class = type(sock)
        self._give_back = give_back
        super(TakenTlsStream, self).__init__(sock)
        self._class.setblocking(sock, False)

    def handshake(self):
        """Return None: it was done."""
        return None

    def _read(self, view):
        return self._class.recv_into(self.sock, view)

    def _write(self, data):
        return self._class.send(self.sock, data)

    def _find_write(self):
        return self._write

    def close(self):
        """Let the other owner have what is left of the object."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class TlsInTlsStream(TlsBase):
    """TLS over another stream, through memory (``ssl.MemoryBIO``, which 2.7 lacks).

    Reading depends on nothing that we write: two peers that both send a lot would wait
    for each other. It writes nothing, either, because a failed write would cost what
    has arrived. What TLS wants to say meanwhile (KeyUpdate, post-handshake
    authentication) stays in memory for :meth:`flush`, which the loop calls before it
    waits.
    """

    is_buffered = True

    def __init__(self, context, stream, server_hostname):
        super(TlsInTlsStream, self).__init__()
        self._stream = stream
        self.sock = stream.sock
        self._incoming = self._ssl.MemoryBIO()
        self._outgoing = self._ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, False, server_hostname)
        self._scratch = bytearray(TLS_CHUNK)
        self._unsent = b''                  # guarded by _lock, like the four above

    @property
    def ssl_object(self):
        """The object to ask for the peer's certificate."""
        return self._object

    def fileno(self):
        return self._stream.fileno()

    def _flush(self):
        """Pass ciphertext to the stream below; return True if none is left."""
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
        """Take ciphertext from the stream below; return False if none has come."""
        count = self._stream.recv_into(memoryview(self._scratch))
        if count is None:
            return False
        if count:
            self._incoming.write(self._scratch[:count])
        else:
            self._incoming.write_eof()
        return True

    def _want(self, mask):
        """Return the exception for a stream below that is not ready."""
        ssl = self._ssl
        if mask == READ:
            return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, 'read')
        return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, 'write')

    def _pump(self, step):
        """Call the SSL object once, moving ciphertext both ways as far as possible."""
        while True:
            try:
                return step()
            except self._ssl.SSLWantReadError:
                is_flushed = self._flush()
                if not self._fill():
                    raise self._want(self._stream.recv_wants if is_flushed else self._stream.send_wants)

    def _do_handshake(self):
        self._pump(self._object.do_handshake)
        if not self._flush():
            raise self._want(self._stream.send_wants)

    def _read(self, view):
        while True:
            try:
                return self._object.read(len(view), view)
            except self._ssl.SSLWantReadError:
                if not self._fill():
                    raise self._want(self._stream.recv_wants)

    def _write(self, data):
        # A MemoryBIO accepts everything; let at most one record wait for the stream.
        if not self._flush():
            raise self._want(self._stream.send_wants)
        count = self._pump(lambda: self._object.write(data))
        self._flush()
        return count

    def flush(self):
        """Send ciphertext that waits in memory; return True when none is left."""
        return self._locked(self._flush)

    def unsent(self):
        return self._stream.unsent()

    def shutdown_write(self):
        self._stream.shutdown_write()

    def shutdown(self):
        self._stream.shutdown()

    def close(self):
        self._stream.close()


def as_stream(sock):
    """Return a stream for a connected socket, with TLS if it is an SSLSocket."""
    ssl = sys.modules.get('ssl')        # if ssl was never imported, this is not an SSLSocket
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        return TlsStream(sock)
    # 2.7's socketpair() returns sockets of another class, which work as objects, too.
    return (PlainStream if isinstance(sock, socket.socket) else ObjectStream)(sock)
