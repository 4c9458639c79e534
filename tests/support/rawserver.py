"""A WebSocket server that follows a script on a raw socket, and a client loop that is watched.

The server has no code of lomond in it, so that a mistake there cannot hide itself.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import hashlib
import socket
import ssl
import struct
import threading
import time
import traceback

from lomond import WebSocket
from lomond._compat import OS_ERRORS, monotonic, text_type, was_interrupted
from support.helpers import CLOSE, PING, PONG, TEXT, Reader, close_frame, close_payload, frame

#: What a busy machine may add to any time (behaviour.md).
SLACK = 1.5
#: How long a script waits for anything from the client (seconds).
PATIENCE = 8.0
GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
END = b'\r\n\r\n'


class Gone(Exception):
    """The client has ended the connection; ``how`` is ``'fin'`` or ``'reset'``."""

    def __init__(self, how):
        super(Gone, self).__init__(how)
        self.how = how


class Peer(object):
    """The server's end of one connection."""

    def __init__(self, sock, server):
        self.sock = sock
        self.server = server
        self.request = b''
        self.frames = []            # that came, in order: (fin, rsv, opcode, key, payload)
        self._waiting = []          # of these, the ones no script has looked at
        self._reader = Reader()

    # -- what the client sends

    def _fill(self):
        try:
            data = self.recv(65536)
        except socket.timeout:
            raise AssertionError('the client sent nothing more; so far: %s' % (
                [(item[2], item[4][:40]) for item in self.frames],))
        except OS_ERRORS as error:
            if 'timed out' in str(error):
                raise AssertionError('the client sent nothing more')
            # OpenSSL 3 under Python 3.6 calls the end of TCP an error.
            raise Gone('fin' if 'eof' in str(error).lower() else 'reset')
        if not data:
            raise Gone('fin')
        return data

    def recv(self, size):
        """Bytes that are no frames of interest; signals are no end (2.7)."""
        while True:
            try:
                return self.sock.recv(size)
            except OS_ERRORS as error:
                if not was_interrupted(error):
                    raise

    def take(self, size):
        """Read so many of them."""
        while size:
            data = self.recv(min(size, 1024 * 1024))
            assert data
            size -= len(data)

    def read_request(self):
        """Read up to the end of a request."""
        data = b''
        while END not in data:
            data += self._fill()
        self.request, rest = data.split(END, 1)
        if rest:
            self._take(rest)
        return self.request

    def _take(self, data):
        found = self._reader.feed(data)
        self.frames += found
        self._waiting += found

    @property
    def key(self):
        for line in self.request.split(b'\r\n'):
            name, _, value = line.partition(b':')
            if name.lower() == b'sec-websocket-key':
                return value.strip()
        raise AssertionError('the request has no key')

    def accept(self, *lines, **options):
        """Read the request and say 101.

        :param lines: further header lines, bytes
        :param also: bytes behind the head, in the same packet
        """
        self.read_request()
        self.send(self.answer(*lines) + options.get('also', b''))

    def answer(self, *lines):
        """The bytes of a good answer."""
        accept = base64.b64encode(hashlib.sha1(self.key + GUID).digest())
        return b'\r\n'.join((b'HTTP/1.1 101 Switching Protocols', b'Upgrade: websocket',
                             b'Connection: Upgrade', b'Sec-WebSocket-Accept: ' + accept) + lines) + END

    def read_frame(self):
        """The next frame: ``(opcode, payload)``."""
        while not self._waiting:
            self._take(self._fill())
        found = self._waiting.pop(0)
        assert found[3] is not None, 'a frame of the client is not masked'
        return found[2], found[4]

    def glance(self):
        """Take what is there; for scripts that send all the time.  (TLS does not bear two threads.)"""
        self.sock.settimeout(0.001)
        try:
            while True:
                data = self.recv(65536)
                if not data:
                    raise Gone('fin')
                self._take(data)
        except (socket.timeout, ssl.SSLError) as error:
            if not isinstance(error, socket.timeout) and 'timed out' not in str(error):
                raise Gone('reset')
        except OS_ERRORS:
            raise Gone('reset')
        finally:
            self.sock.settimeout(PATIENCE)

    def read_until(self, opcode, answer_pings=False):
        """Skip frames up to one of this kind; its payload."""
        while True:
            found, payload = self.read_frame()
            if found == PING and answer_pings:
                self.send(frame(PONG, payload))
            if found == opcode:
                return payload

    def read_close(self, *code):
        """Skip frames up to the client's close frame, with this code and reason; its payload."""
        payload = self.read_until(CLOSE)
        assert payload.startswith(close_payload(*code) if code else b''), payload
        return payload

    def read_end(self, seconds=PATIENCE):
        """How the client ends, ``'fin'`` or ``'reset'``, within so many seconds."""
        deadline = monotonic() + seconds
        try:
            while True:
                self.sock.settimeout(max(deadline - monotonic(), 0.001))
                self._take(self._fill())
        except Gone as gone:
            return gone.how
        finally:
            self.sock.settimeout(PATIENCE)

    def opcodes(self):
        """All that came so far, pings left out."""
        return [item[2] for item in self.frames if item[2] != PING]

    # -- what the server sends

    def send(self, data):
        try:
            self.sock.sendall(data)
        except socket.timeout:
            raise AssertionError('the client takes nothing more')
        except OS_ERRORS as error:
            if was_interrupted(error) and len(data) < 1000:     # 2.7; nothing of it was sent
                return self.send(data)
            raise Gone('reset')

    def text(self, text):
        self.send(frame(TEXT, text.encode('utf-8')))

    def close_code(self, *args):
        """Send a close frame with code and reason, or an empty one."""
        self.send(close_frame(*args) if args else frame(CLOSE))

    def answer_close(self):
        """Wait for the client's close frame and answer it; its payload."""
        payload = self.read_until(CLOSE, answer_pings=True)
        self.send(frame(CLOSE, payload))
        return payload

    # -- ends

    def drop(self):
        """End TCP as a program does that exits: FIN, or a reset when bytes were left unread."""
        self.sock.close()

    def finish(self):
        """End our direction only."""
        self._tcp_shutdown(socket.SHUT_WR)

    def _tcp_shutdown(self, how):
        # SSLSocket.shutdown would go on in clear text.
        if hasattr(self.sock, '_sock'):             # 2.7
            self.sock._sock.shutdown(how)
        else:
            socket.socket.shutdown(self.sock, how)

    def cut(self):
        """End TCP without an end of TLS."""
        self._tcp_shutdown(socket.SHUT_RDWR)

    def reset(self):
        """End TCP with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
        self.sock.close()


class Server(object):
    """Listens on loopback and runs a script, a function of a :class:`Peer`, for each connection.

    ``with Server(script) as server``; at the end it waits for the scripts and raises what one raised.

    :param scripts: one for each connection; the last one for all that follow
    :param context: an ``ssl.SSLContext``: TLS
    :param receive_buffer: bytes of SO_RCVBUF, to be a peer that takes little
    """

    def __init__(self, *scripts, **options):
        self.scripts = scripts
        self.context = options.pop('context', None)
        receive_buffer = options.pop('receive_buffer', None)
        assert not options
        self.peers = []
        self.errors = []
        self.over = threading.Event()       # the block of ``with`` has ended
        self._threads = []
        self._stopping = False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((str('127.0.0.1'), 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        if self.context is None:
            self.url = 'ws://127.0.0.1:%d/' % self.port
        else:
            self.url = 'wss://localhost:%d/' % self.port
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.daemon = True
        self._acceptor.start()

    def _accept(self):
        while True:
            try:
                sock = self._listener.accept()[0]
            except OS_ERRORS as error:
                if was_interrupted(error):
                    continue
                return
            if self._stopping:
                sock.close()
                return
            number = len(self._threads)
            # In a list that the thread empties: on 2.7 a TCP connection ends with the last reference.
            thread = threading.Thread(target=self._run, args=([sock], number))
            sock = None
            thread.daemon = True
            thread.start()
            self._threads.append(thread)

    def _run(self, box, number):
        sock = box.pop()
        try:
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            peer = Peer(sock, self)
            self.peers.append(peer)
            self.scripts[min(number, len(self.scripts) - 1)](peer)
        except Gone as gone:
            self.errors.append('connection %d: %s before the script was over\n%s' % (
                number, gone.how, traceback.format_exc()))
        except Exception:
            self.errors.append('connection %d: %s' % (number, traceback.format_exc()))
        finally:
            sock.close()

    def join(self):
        """Wait for the scripts; raises what one raised."""
        for thread in list(self._threads):
            thread.join(PATIENCE + 2)
            assert not thread.is_alive(), 'a script does not end'
        assert not self.errors, '\n'.join(self.errors)

    @property
    def peer(self):
        """The first connection; it is waited for."""
        deadline = monotonic() + PATIENCE
        while not self.peers and monotonic() < deadline:
            time.sleep(0.002)
        return self.peers[0]

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_traceback):
        self._stopping = True
        self.over.set()
        try:
            if exc_type is None:
                self.join()
        finally:
            for peer in self.peers:
                try:
                    peer.sock.shutdown(socket.SHUT_RDWR)
                except (OS_ERRORS + (ssl.SSLError,)):
                    pass
            self._listener.close()
            try:            # wakes an accept that the close does not
                socket.create_connection(('127.0.0.1', self.port), 0.2).close()
            except OS_ERRORS:
                pass
            self._acceptor.join(2)


class Wait(object):
    """Something that happens in another thread: ``set()`` there, ``wait()`` here."""

    def __init__(self):
        self._event = threading.Event()
        self.set = self._event.set

    def wait(self, seconds=PATIENCE):
        """Wait for it; AssertionError when it does not happen."""
        self._event.wait(seconds)
        assert self._event.is_set(), 'it did not happen'


#: (is_active, is_closing, is_closed) while an event is handled; None: depends on what was done.
FLAGS = {
    'connecting': (True, False, False), 'connect_fail': (False, False, True),
    'connected': (True, False, False), 'ready': (True, False, False),
    'closing': (True, False, False), 'closed': (False, False, True),
    'rejected': (False, False, True), 'protocol_error': (False, True, False),
    'unresponsive': (False, True, False), 'disconnected': (False, False, True)}

ENDS = ('connect_fail', 'disconnected')


class Played(object):
    """One connection from Connecting to the end, with what must be true of every one.

    :ivar events: all of them, in order
    :ivar times: monotonic seconds of each
    :ivar names: of those that are no Poll, joined with blanks
    :ivar start: monotonic seconds when the iteration began
    :ivar elapsed: seconds until the end
    """

    def __init__(self, websocket, handlers=None, **settings):
        self.websocket = websocket
        self.events, self.times = [], []
        self.closed_by_handler = False
        settings.setdefault('ping_rate', 0)
        handlers = handlers or {}
        self.start = monotonic()
        iterator = websocket.connect(**settings)
        for event in iterator:
            self.events.append(event)
            self.times.append(monotonic())
            self._check_flags(event)
            handler = handlers.get(event.name)
            if handler is not None:
                handler(event)
        self.elapsed = monotonic() - self.start
        for _ in range(2):
            assert next(iterator, None) is None
        self._check()

    def _check_flags(self, event):
        flags, state = self._read_flags()
        assert flags.count(True) == 1, (event, flags)
        expected = FLAGS.get(event.name)
        if expected is not None:
            assert flags == expected, (event, flags)
        assert state == flags[1:]

    def _read_flags(self):
        """The three flags and the two of ``state``, of one moment.

        Another thread, or a signal, may move the state between two of them.  It moves a few times and never
        back, so what is read twice in the same way was true at once.
        """
        ws = self.websocket
        found = None
        while True:
            before, found = found, ((ws.is_active, ws.is_closing, ws.is_closed),
                                    (ws.state.closing, ws.state.closed))
            if found == before:
                return found

    def _check(self):
        names = [event.name for event in self.events]
        assert names[0] == 'connecting' and names.count('connecting') == 1
        assert names[-1] in ENDS and not [name for name in names[:-1] if name in ENDS]
        assert names.count('ready') <= 1
        so_far = set()
        for name in names:
            if name in ('text', 'binary'):
                assert 'ready' in so_far, 'a message before Ready'
                assert not so_far & {'closing', 'closed'}, 'a message after a close frame'
            if name == 'poll':
                assert 'ready' in so_far, 'a Poll before Ready'
            so_far.add(name)
        for event in self.events:
            assert abs(event.received_time - time.time()) < 100
        ws = self.websocket
        assert (ws.is_active, ws.is_closing, ws.is_closed) == (False, False, True)
        assert ws.session._sock is None
        last = self.last
        assert isinstance(last.reason, text_type) and last.reason
        if last.name == 'disconnected' and last.error is not None:
            assert isinstance(last.error, Exception) and not last.graceful

    @property
    def names(self):
        return ' '.join(event.name for event in self.events if event.name != 'poll')

    @property
    def last(self):
        return self.events[-1]

    def all(self, name):
        """All events of a name."""
        return [event for event in self.events if event.name == name]

    def one(self, name):
        """The only event of a name."""
        found, = self.all(name)
        return found

    def time_of(self, name):
        """When the first event of a name came, in seconds since the start."""
        for event, at in zip(self.events, self.times):
            if event.name == name:
                return at - self.start
        raise AssertionError('no %s in %s' % (name, self.names))

    def ended(self, names, reason, graceful=False, code=None):
        """Assert names of all events but Poll, and the facts of Disconnected."""
        assert self.names == names, self.events
        last = self.last
        assert last.name == 'disconnected'
        assert (last.reason, last.graceful, last.code) == (reason, graceful, code), last
        return self


def play(url, handlers=None, options=None, **settings):
    """Connect once to a URL; see :class:`Played`.

    :param handlers: dict: name of an event -> function of (websocket, event)
    :param options: dict, for the constructor
    :param settings: for ``connect()``
    """
    options = dict(options or {})
    options.setdefault('proxies', {})
    websocket = WebSocket(url, **options)
    bound = dict((name, _bind(websocket, handler)) for name, handler in (handlers or {}).items())
    return Played(websocket, bound, **settings)


def _bind(websocket, handler):
    return lambda event: handler(websocket, event)


def in_thread(function, *args):
    """Run a function in a thread; the thread has ``result`` and ``error`` afterwards."""
    def run():
        try:
            thread.result = function(*args)
        except BaseException as error:
            thread.error = error
    thread = threading.Thread(target=run)
    thread.result = thread.error = None
    thread.daemon = True
    thread.start()
    return thread
