"""TLS inside of TLS: a ``wss`` connection by way of an HTTPS proxy; it must not know what a proxy is.

TLS right over a socket is in :mod:`lomond.network.stream`.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import get_ident
from .stream import TLS_CHUNK, TlsBase


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
