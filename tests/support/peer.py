"""The scripted peer of the tests: a server that runs a function for each connection.

Nothing here imports lomond, so that a mistake there cannot hide itself.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import errno
import hashlib
import select
import socket
import ssl
import struct
import threading
import time
import traceback

from .frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, close_payload, frame, take_frame

#: How long a script waits for anything from the client (seconds).
PATIENCE = 8.0
GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
CRLF = b'\r\n'
END = CRLF + CRLF
#: What sockets raise, on each version of Python.
ERRORS = (OSError, IOError, socket.error, select.error, ssl.SSLError)

now = getattr(time, 'monotonic', time.time)


def was_interrupted(error):
    """Return whether a signal ended the system call (2.7 does not repeat it)."""
    return getattr(error, 'errno', None) == errno.EINTR


def upgrade(key, *lines):
    """Return the response that accepts an opening handshake.

    :param lines: further header lines, bytes
    """
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return CRLF.join((b'HTTP/1.1 101 Switching Protocols', b'Upgrade: websocket', b'Connection: Upgrade',
                      b'Sec-WebSocket-Accept: ' + accept) + lines) + END


class Gone(Exception):
    """The client has ended the connection; ``how`` is ``'fin'`` or ``'reset'``."""

    def __init__(self, how):
        super(Gone, self).__init__(how)
        self.how = how


class Peer(object):
    """The server's end of one connection.

    :ivar number: of the connection, from 0
    :ivar head: the newest request, with the empty line at its end
    :ivar buffer: bytes that came and were not looked at yet, a bytearray
    :ivar frames: all that came, in order: ``(fin, rsv, opcode, key, payload)``
    """

    patience = PATIENCE

    def __init__(self, sock, server=None, number=0):
        self.sock = self.plain = sock
        self.server, self.number = server, number
        self.buffer = bytearray()
        self.head = b''
        self.frames = []
        self._waiting = []          # frames that no script has looked at

    # -- bytes

    def recv(self, size):
        """Read from the socket, past the buffer; a signal does not end it (2.7)."""
        while True:
            try:
                return self.sock.recv(size)
            except ERRORS as error:
                if not was_interrupted(error):
                    raise

    def fill(self, size=65536):
        """Wait for more bytes."""
        try:
            data = self.recv(size)
        except ERRORS as error:
            if 'timed out' in str(error):
                raise AssertionError('the client sent nothing more; so far: %r, %s' % (
                    bytes(self.buffer[:200]), [(item[2], item[4][:40]) for item in self.frames[-20:]]))
            # OpenSSL 3 under Python 3.6 reports the end of TCP as an error.
            raise Gone('fin' if 'eof' in str(error).lower() else 'reset')
        if not data:
            raise Gone('fin')
        self.buffer += data

    def read(self, count):
        """Read exactly this number of bytes."""
        while len(self.buffer) < count:
            self.fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_through(self, mark):
        """Read everything up to and including the mark."""
        while mark not in self.buffer:
            self.fill()
        return self.read(self.buffer.index(mark) + len(mark))

    def skip(self, size):
        """Read this number of bytes and throw them away."""
        while size:
            if not self.buffer:
                self.fill(min(size, 1024 * 1024))
            taken = min(size, len(self.buffer))
            del self.buffer[:taken]
            size -= taken

    def wait_gone(self):
        """Throw away what the client sends until it has closed; return True."""
        try:
            while True:
                self.fill()
                del self.buffer[:]
        except Gone:
            return True

    def send(self, data):
        try:
            self.sock.sendall(data)
        except socket.timeout:
            raise AssertionError('the client takes nothing more')
        except ERRORS as error:
            if was_interrupted(error) and len(data) < 1000:     # 2.7; nothing of it was sent
                return self.send(data)
            raise Gone('reset')

    def flood(self, data):
        """Send the same again and again, until the client has gone."""
        try:
            while True:
                self.send(data)
        except Gone:
            pass

    def trickle(self, data, pause=0.1):
        """Send a byte at a time, until the client goes."""
        for place in range(len(data)):
            self.send(data[place:place + 1])
            self.server.stopping.wait(pause)

    # -- HTTP

    def read_head(self):
        """Read a request up to the empty line; the server keeps it, too."""
        self.head = self.read_through(END)
        if self.server is not None:
            self.server.heads.append(self.head)
        return self.head

    @property
    def line(self):
        """The first line of the newest request."""
        return self.head.split(CRLF)[0]

    @property
    def headers(self):
        """Pairs of lower-case name and value of the newest request, bytes."""
        pairs = [line.partition(b':') for line in self.head[:-4].split(CRLF)[1:]]
        return [(name.strip().lower(), value.strip()) for name, _, value in pairs]

    def header(self, name, default=None):
        """Return the value of a header of the newest request; repeated ones joined."""
        values = [value for found, value in self.headers if found == name]
        return b', '.join(values) if values else default

    def answer(self, status, headers=(), body=b''):
        """Send an HTTP response with a body of known length."""
        lines = [b'HTTP/1.1 ' + status] + [name + b': ' + value for name, value in headers]
        lines.append(b'Content-Length: ' + str(len(body)).encode('ascii'))
        self.send(CRLF.join(lines) + END + body)

    @property
    def key(self):
        """The Sec-WebSocket-Key of the newest request."""
        return self.header(b'sec-websocket-key')

    def upgrade(self, *lines):
        """Return the bytes that accept the request; see :func:`upgrade`."""
        return upgrade(self.key, *lines)

    def agree(self, *lines, **options):
        """Accept the request that was read.

        :param lines: further header lines, bytes
        :param also: bytes after the response, in the same packet
        """
        self.send(self.upgrade(*lines) + options.get('also', b''))

    def accept(self, *lines, **options):
        """Read a request and accept it; see :meth:`agree`."""
        self.read_head()
        self.agree(*lines, **options)

    # -- frames that the client sends

    def parse(self):
        """Move complete frames from the buffer to ``frames``."""
        for found in iter(lambda: take_frame(self.buffer), None):
            self.note(found)
            self._waiting.append(found)

    def note(self, found):
        """Keep a frame that came."""
        self.frames.append(found)

    def next_frame(self):
        """Return the next frame, as it is in ``frames``."""
        self.parse()
        while not self._waiting:
            self.fill()
            self.parse()
        found = self._waiting.pop(0)
        assert found[3] is not None, 'a frame of the client is not masked'
        return found

    def read_frame(self):
        """Return the next frame: ``(opcode, payload)``."""
        return self.next_frame()[2::2]

    def glance(self):
        """Take what is there, for scripts that send all the time.

        A second thread could not read: TLS objects do not bear two.
        """
        self.sock.settimeout(0.001)
        try:
            while True:
                self.fill()
                self.parse()
        except AssertionError as error:
            if 'nothing more' not in str(error):
                raise
        finally:
            self.sock.settimeout(self.patience)

    def read_until(self, opcode, answer_pings=False):
        """Skip frames up to one of this kind; return its payload."""
        while True:
            found, payload = self.read_frame()
            if found == PING and answer_pings:
                self.send(frame(PONG, payload))
            if found == opcode:
                return payload

    def read_close(self, *code):
        """Skip up to a close frame, with this code and reason; return its payload."""
        payload = self.read_until(CLOSE)
        assert payload.startswith(close_payload(*code) if code else b''), payload
        return payload

    def read_end(self, seconds=PATIENCE):
        """Return how the client ends, ``'fin'`` or ``'reset'``, within this time."""
        deadline = now() + seconds
        try:
            while True:
                self.sock.settimeout(max(deadline - now(), 0.001))
                self.fill()
                self.parse()
        except Gone as gone:
            return gone.how
        finally:
            self.sock.settimeout(self.patience)

    def opcodes(self):
        """Return the opcodes of all frames so far, pings left out."""
        return [item[2] for item in self.frames if item[2] != PING]

    # -- frames that the server sends

    def text(self, text):
        self.send(frame(TEXT, text.encode('utf-8')))

    def close_code(self, *args):
        """Send a close frame with code and reason, or an empty one."""
        self.send(close_frame(*args) if args else frame(CLOSE))

    def answer_close(self):
        """Wait for the client's close frame and answer it; return its payload."""
        payload = self.read_until(CLOSE, answer_pings=True)
        self.send(frame(CLOSE, payload))
        return payload

    def end(self, code=1000, reason=b''):
        """Close, and wait for the answer."""
        self.close_code(code, reason)
        self.read_close()

    def answer_close_if_it_comes(self):
        """Answer a close frame, if the client sends one, and wait for its end."""
        try:
            self.answer_close()
            self.read_end()
        except Gone:
            pass

    def echo(self):
        """Send back what comes, until the client closes."""
        while True:
            opcode, payload = self.read_frame()
            if opcode in (TEXT, BINARY, CLOSE):
                self.send(frame(opcode, payload))
            elif opcode == PING:
                self.send(frame(PONG, payload))
            if opcode == CLOSE:
                return

    # -- ends

    def drop(self):
        """End TCP as a program that exits does: FIN, or a reset if bytes are unread."""
        self.sock.close()
        self.plain.close()          # on 2.7 TLS has a descriptor in common with it

    def finish(self):
        """End our direction only."""
        self._tcp_shutdown(socket.SHUT_WR)

    def cut(self):
        """End TCP without an end of TLS."""
        self._tcp_shutdown(socket.SHUT_RDWR)

    def _tcp_shutdown(self, how):
        # SSLSocket.shutdown would go on in clear text.
        if hasattr(self.sock, '_sock'):             # 2.7
            self.sock._sock.shutdown(how)
        else:
            socket.socket.shutdown(self.sock, how)

    def reset(self):
        """End TCP with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
        self.drop()


class Server(object):
    """Listens on loopback and runs a script, a function of a Peer, for each connection.

    ``with Server(script) as server``; at the end it waits for the scripts, and raises
    what one raised.

    :param scripts: one for each connection; the last one for all that follow
    :param tls: an ``ssl.SSLContext``, or None for plain TCP
    :param receive_buffer: bytes of SO_RCVBUF, to be a peer that takes little
    :param family: of the socket; for AF_UNIX ``address`` is a path
    :param is_strict: if false, a script may be cut short: by a client that leaves, by a
        TLS handshake that fails, or by the end of the block
    :ivar heads: every request that was read
    :ivar alerts: failed TLS handshakes
    :ivar stopping: an Event: the block of ``with`` has ended
    """

    def __init__(self, *scripts, **options):
        self.scripts = scripts
        self.tls = options.pop('tls', None)
        self._is_strict = options.pop('is_strict', True)
        receive_buffer = options.pop('receive_buffer', None)
        family = options.pop('family', socket.AF_INET)
        address = options.pop('address', None) or (
            str('::1' if family == socket.AF_INET6 else '127.0.0.1'), 0)
        assert not options, options
        self.peers, self.heads, self.alerts, self.errors = [], [], [], []
        self.accepted = 0
        self.stopping = threading.Event()
        self._open, self._threads = [], []      # peers whose script runs
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind(address)
        self.listener.listen(64)
        self.port = None if family == getattr(socket, 'AF_UNIX', None) else self.listener.getsockname()[1]
        self._acceptor = start_thread(self._accept)

    def url(self, scheme=None, host=None, path='/'):
        """Return its URL; for TLS the name of the certificate is the default host."""
        if scheme is None:
            scheme, host = ('ws', host) if self.tls is None else ('wss', host or 'localhost')
        return '%s://%s:%d%s' % (scheme, host or '127.0.0.1', self.port, path)

    def _accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except ERRORS as error:
                if was_interrupted(error):
                    continue
                return
            if self.stopping.is_set():
                sock.close()
                return
            self.accepted += 1
            # The thread empties the list: on 2.7 TCP ends with the last reference.
            self._threads.append(start_thread(self._run, [sock], len(self._threads)))
            sock = None

    def _run(self, box, number):
        peer = Peer(box.pop(), self, number)
        self._open.append(peer)
        try:
            peer.sock.settimeout(PATIENCE)
            if peer.sock.family != getattr(socket, 'AF_UNIX', None):
                peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                try:
                    peer.sock = self.tls.wrap_socket(peer.sock, server_side=True)
                except ERRORS as error:
                    self.alerts.append(error)
                    if self._is_strict:
                        raise
                    return
            self.peers.append(peer)
            self.scripts[min(number, len(self.scripts) - 1)](peer)
        except Gone as gone:
            if self._is_strict:
                self.errors.append('connection %d: %s before the script was over\n%s' % (
                    number, gone.how, traceback.format_exc()))
        except Exception:
            if self._is_strict or not self.stopping.is_set():
                self.errors.append('connection %d: %s' % (number, traceback.format_exc()))
        finally:
            if not self._is_strict:         # a close with data left unread would be a reset
                _shutdown(peer.sock, socket.SHUT_WR)
            peer.drop()
            self._open.remove(peer)

    def join(self):
        """Wait for the scripts; raise what one raised."""
        for thread in list(self._threads):
            thread.join(PATIENCE + 2)
            assert not thread.is_alive(), 'a script does not end'
        assert not self.errors, '\n'.join(self.errors)

    @property
    def peer(self):
        """The first connection; waits for it."""
        deadline = now() + PATIENCE
        while not self.peers and now() < deadline:
            time.sleep(0.002)
        return self.peers[0]

    def stop(self):
        """Close everything, and wait for the scripts."""
        self.stopping.set()
        _shutdown(self.listener)            # close() alone does not wake accept()
        self._acceptor.join(0.5)
        if self._acceptor.is_alive():       # nor does this everywhere: a connection does
            socket.create_connection(self.listener.getsockname(), PATIENCE).close()
            self._acceptor.join(PATIENCE)
        self.listener.close()
        for peer in list(self._open):
            _shutdown(peer.sock)
        self.join()

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_traceback):
        self.stopping.set()
        try:
            if exc_type is None and self._is_strict:
                self.join()
        finally:
            try:
                self.stop()
            except AssertionError:
                if exc_type is None:
                    raise


def lenient_server(script, tls=None, family=socket.AF_INET, address=None):
    """Return a :class:`Server` whose scripts may be cut short."""
    return Server(script, tls=tls, family=family, address=address, is_strict=False)


def _shutdown(sock, how=socket.SHUT_RDWR):
    try:
        sock.shutdown(how)
    except ERRORS + (ValueError,):
        pass


def start_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.daemon = True
    thread.start()
    return thread


def fill_accept_queue(listener):
    """Connect to a listener until it takes no more.

    :returns: the sockets; None if the listener takes everything
    """
    fillers = []
    for _ in range(20):
        filler = socket.socket(listener.family, socket.SOCK_STREAM)
        fillers.append(filler)
        filler.setblocking(False)
        problem = filler.connect_ex(listener.getsockname())
        if problem == errno.EAGAIN:         # a Unix domain socket
            return fillers
        if problem not in (0, errno.EINPROGRESS):
            break
        if not select.select([], [filler], [], 0.1)[1]:
            return fillers
    for filler in fillers:
        filler.close()
    return None


# -- scripts

def echo(peer):
    """Send back what comes."""
    peer.accept()
    peer.echo()
    peer.wait_gone()


def bye(peer):
    """Say one word and close."""
    peer.accept()
    peer.text('hello')
    peer.end()


def silent(peer):
    """Take everything and say nothing."""
    peer.wait_gone()


def hang_up(peer):
    """Close at once."""


def reply(data):
    """Return a script that answers a request with these bytes."""
    def script(peer):
        peer.read_head()
        peer.send(data)
        peer.wait_gone()
    return script
