"""TLS streams over pairs of sockets, over scripts, and over a stream in memory."""

from __future__ import absolute_import, division, unicode_literals

import functools
import os
import ssl
import sys
import threading

import pytest
from support.certificates import server_context
from support.streams import AGAIN, INTERRUPTED, RESET, Script, gives, view

from lomond._compat import OS_ERRORS
from lomond.network.poller import READ, WRITE, wait_for
from lomond.network.stream import ObjectStream, PlainStream
from lomond.network.tls_stream import TLS_CHUNK, TlsBase, TlsInTlsStream, TlsStream, as_stream

needs_memory_bio = pytest.mark.skipif(not hasattr(ssl, 'MemoryBIO'), reason='TLS in TLS needs ssl.MemoryBIO')


def client_context(certs):
    return ssl.create_default_context(cafile=certs.ca)


def wrapped(certs, sock):
    """Return that socket as one of a TLS client, before the handshake."""
    return client_context(certs).wrap_socket(
        sock, server_hostname=str('localhost'), do_handshake_on_connect=False)


def connected(certs, pair):
    """Return a TlsStream, and the server's blocking end."""
    server = server_context(certs.server).wrap_socket(
        pair[1], server_side=True, do_handshake_on_connect=False)
    server.settimeout(5)
    thread = threading.Thread(target=server.do_handshake)
    thread.start()
    stream = TlsStream(wrapped(certs, pair[0]))
    shake(stream)
    thread.join()
    return stream, server


def shake(stream):
    while True:
        wanted = stream.handshake()
        if wanted is None:
            return
        assert wanted in (READ, WRITE)
        assert wait_for(((stream.fileno(), wanted),), 5)


def receive(stream, count, place=None):
    """Receive ``count`` bytes, waiting for them."""
    place = place or view(65536)
    data = b''
    while len(data) < count:
        got = stream.recv_into(place)
        if got is None:
            assert wait_for(((stream.fileno(), stream.recv_wants),), 5)
            continue
        assert got
        data += place[:got].tobytes()
    return data


@pytest.fixture
def tls(certs, pair):
    """Return a TlsStream, and the server's end."""
    stream, server = connected(certs, pair)
    yield stream, server
    stream.close()
    server.close()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('is_tls', [False, True])
def test_forked_child_leaves_it_alone(certs, pair, is_tls):
    stream, theirs = connected(certs, pair) if is_tls else (PlainStream(pair[0]), pair[1])
    child = os.fork()
    if not child:
        stream.shutdown()
        stream.shutdown_write()
        stream.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert stream.send(b'alive') == 5
    assert theirs.recv(10) == b'alive'
    stream.close()
    theirs.close()


def test_tls(tls):
    stream, server = tls
    assert stream.is_tls and not stream.is_buffered
    assert stream.fileno() == stream.sock.fileno()
    assert stream.ssl_object.getpeercert()
    assert stream.recv_into(view()) is None
    server.sendall(b'x' * 1000)
    assert receive(stream, 10, view(10)) == b'x' * 10
    assert receive(stream, 990) == b'x' * 990
    assert stream.send(b'hello') == 5
    assert server.recv(10) == b'hello'
    assert stream.flush()
    assert isinstance(stream.unsent(), int) or not sys.platform.startswith('linux')


def test_tls_record_at_a_time(tls):
    """Otherwise a slow peer would look like one that takes nothing at all."""
    stream, server = tls
    data = os.urandom(TLS_CHUNK + 5)
    assert stream.send(data) == TLS_CHUNK
    assert stream.send(memoryview(data)[TLS_CHUNK:]) == 5
    got = b''
    while len(got) < len(data):
        got += server.recv(65536)
    assert got == data


def test_tls_peer_that_reads_nothing(tls):
    stream, server = tls
    sent = 0
    while True:
        count = stream.send(b'x' * TLS_CHUNK)
        if count is None:
            break
        sent += count
    assert stream.send_wants == WRITE
    assert stream.send(b'x' * TLS_CHUNK) is None
    got = 0
    while got < sent:
        got += len(server.recv(65536))
    # The same bytes must be passed again.
    while stream.send(b'x' * TLS_CHUNK) is None:
        assert wait_for(((stream.fileno(), stream.send_wants),), 5)


def test_tls_end_with_close_notify(tls):
    stream, server = tls
    server.sendall(b'bye')

    def unwrap():
        try:
            server.unwrap()
        except OS_ERRORS:
            pass
    thread = threading.Thread(target=unwrap)
    thread.start()
    assert receive(stream, 3) == b'bye'
    assert wait_for(((stream.fileno(), READ),), 5)
    assert stream.recv_into(view()) == 0
    stream.shutdown()
    thread.join()


def test_tls_end_without_close_notify(tls, pair):
    """The closing handshake of RFC 6455 tells whether anything was cut off."""
    stream, server = tls
    server.close()
    pair[1].close()             # on 2.7 both hold the descriptor
    assert wait_for(((stream.fileno(), READ),), 5)
    assert stream.recv_into(view()) == 0


def test_tls_shutdown_leaves_no_clear_text(tls):
    """TCP ends but the TLS layer stays; SSLSocket.shutdown() would drop it."""
    stream, server = tls
    stream.shutdown_write()
    with pytest.raises(OS_ERRORS):
        while True:
            stream.send(b'secret')
    server.sendall(b'still encrypted')
    assert receive(stream, 15) == b'still encrypted'
    server.settimeout(5)
    try:
        assert server.recv(100) == b''
    except ssl.SSLError as error:           # 2.7 under OpenSSL 3
        assert 'unexpected eof' in str(error)
    stream.shutdown()
    stream.close()
    stream.shutdown()


def test_tls_handshake_that_fails(certs, pair):
    pair[1].sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
    stream = TlsStream(wrapped(certs, pair[0]))
    with pytest.raises(ssl.SSLError):
        shake(stream)
    stream.close()


class Tls(TlsBase):
    """TlsBase over a script."""

    def __init__(self, *steps):
        super(Tls, self).__init__()
        self.script = Script(*steps)

    def _do_handshake(self):
        return self.script._next('handshake')

    def _read(self, place):
        return self.script._next('read', len(place))

    def _write(self, data):
        return self.script._next('write', len(data))


WANT_READ, WANT_WRITE, EOF, ZERO_RETURN = (ssl.SSLError(number, 'x') for number in (
    ssl.SSL_ERROR_WANT_READ, ssl.SSL_ERROR_WANT_WRITE, ssl.SSL_ERROR_EOF, ssl.SSL_ERROR_ZERO_RETURN))
BROKEN = ssl.SSLError(ssl.SSL_ERROR_SSL, 'bad record mac')


@pytest.mark.parametrize('step, expected', [
    (None, None), (WANT_READ, READ), (WANT_WRITE, WRITE), (BROKEN, BROKEN), (ssl.SSLError(), ssl.SSLError)])
def test_steps_of_a_handshake(step, expected):
    gives(expected, Tls(step).handshake)


@pytest.mark.parametrize('steps, expected, wants', [
    ([5], 5, READ), ([WANT_READ], None, READ), ([WANT_WRITE], None, WRITE), ([AGAIN], None, READ),
    ([INTERRUPTED, 5], 5, READ), ([RESET], OS_ERRORS, READ), ([BROKEN], ssl.SSLError, READ),
    ([ssl.SSLError()], ssl.SSLError, READ), ([ZERO_RETURN], 0, READ), ([EOF], 0, READ),
    # OpenSSL 3 under older Pythons
    ([ssl.SSLError(ssl.SSL_ERROR_SSL, '[SSL: UNEXPECTED_EOF_WHILE_READING] unexpected eof while reading')],
     0, READ),
    ([ssl.SSLError(ssl.SSL_ERROR_SYSCALL, 'EOF occurred in violation of protocol')], 0, READ),
    ([ssl.SSLError(ssl.SSL_ERROR_SYSCALL, 'Some I/O error occurred (_ssl.c:2309)')], 0, READ)])
def test_reading_by_script(steps, expected, wants):
    stream = Tls(*steps)
    gives(expected, stream.recv_into, view(7))
    assert stream.recv_wants == wants
    assert stream.script.calls == [('read', 7)] * len(steps)


FULL = TLS_CHUNK


@pytest.mark.parametrize('steps, sizes', [
    # usually nothing follows a record that is not full: asking costs more than it saves
    ([5], [5]), ([FULL - 1], [FULL - 1]),
    ([FULL, 5], [FULL + 5]), ([FULL, FULL, FULL, 7], [3 * FULL + 7]),
    ([FULL] * 5 + [1], [4 * FULL, FULL + 1]),           # a sender needs the lock, too
    ([FULL, WANT_READ, WANT_READ], [FULL, None]), ([FULL, WANT_WRITE, WANT_WRITE, 3], [FULL, None, 3]),
    ([FULL, INTERRUPTED, 5], [FULL, 5]), ([FULL, AGAIN, 5], [FULL, None, 5]),
    ([FULL, 0, 0], [FULL, 0]), ([FULL, EOF], [FULL, 0]), ([FULL, RESET], [FULL, RESET]),
    ([FULL, FULL, BROKEN, 5], [2 * FULL, BROKEN, 5]), ([FULL, ssl.SSLError()], [FULL, ssl.SSLError])])
def test_full_records_are_read_in_a_row(steps, sizes):
    """An error after full records is raised by the next call, once."""
    stream = Tls(*steps)
    place = view(100000)
    for size in sizes:
        gives(size, stream.recv_into, place)
    assert len(stream.script.calls) == len(steps)


@pytest.mark.parametrize('second, tells_all', [
    (5, True), (WANT_READ, True), (0, False), (RESET, False), (EOF, False)])
def test_end_behind_a_record_is_looked_for(second, tells_all):
    """After close_notify TCP may stay open, so the socket may never become readable."""
    stream = Tls(FULL, second)
    stream.poll_tells_all = True
    stream.recv_into(view(100000))
    assert stream.poll_tells_all is tells_all


def test_records_in_a_row_stay_in_their_place():
    stream = Tls(FULL, 10, 5)
    assert stream.recv_into(view(FULL + 10)) == FULL + 10
    assert stream.recv_into(view(FULL)) == 5
    assert stream.script.calls == [('read', FULL + 10), ('read', 10), ('read', FULL)]


def test_tls_records_in_a_row(tls):
    stream, server = tls
    data = os.urandom(10 * FULL + 77)
    thread = threading.Thread(target=server.sendall, args=(data,))
    thread.start()
    got = receive(stream, len(data), view(3 * FULL + 5))
    thread.join()
    assert got == data


def test_reading_wants_what_it_wanted_last():
    stream = Tls(WANT_WRITE, 5)
    stream.recv_into(view())
    assert stream.recv_wants == WRITE
    stream.recv_into(view())
    assert stream.recv_wants == READ


@pytest.mark.parametrize('steps, expected, wants', [
    ([5], 5, WRITE), ([0], None, WRITE), ([WANT_READ], None, READ), ([WANT_WRITE], None, WRITE),
    ([AGAIN], None, WRITE), ([INTERRUPTED, 5], 5, WRITE), ([RESET], OS_ERRORS, WRITE),
    ([BROKEN], ssl.SSLError, WRITE), ([ssl.SSLError()], ssl.SSLError, WRITE)])
def test_writing_by_script(steps, expected, wants):
    stream = Tls(*steps)
    gives(expected, stream.send, b'1234567')
    assert stream.send_wants == wants
    assert stream.script.calls == [('write', 7)] * len(steps)


@pytest.mark.parametrize('first, second', [('read', 'write'), ('write', 'read')])
def test_tls_object_is_in_one_threads_hands(first, second):
    """A second thread waits; parallel SSL_read and SSL_write crash CPython."""
    entered, leave, order = threading.Event(), threading.Event(), []

    class Slow(Tls):
        def _enter(self, name):
            order.append(name)
            if name == first:
                entered.set()
                assert leave.wait(10)
                order.append(first + ' done')
            return 1

        def _read(self, place):
            return self._enter('read')

        def _write(self, data):
            return self._enter('write')

    stream = Slow()
    calls = {'read': lambda: stream.recv_into(view()), 'write': lambda: stream.send(b'x')}
    threads = [threading.Thread(target=calls[name]) for name in (first, second)]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    threads[1].join(0.1)            # it gets no further than this
    assert order == [first]
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == [first, first + ' done', second]


# -- TLS in TLS

class Below(object):
    """The stream below: records what it sends, returns what it is given, may stall."""

    is_tls = True
    recv_wants, send_wants = READ, WRITE

    def __init__(self):
        self.sock = self
        self.incoming = b''
        self.outgoing = b''
        self.room = None            # how many bytes it accepts; None for any number
        self.error = None           # what sending raises
        self.at_end = False
        self.is_whole = True        # else what comes is read in pieces
        self.calls = []
        self.shutdown, self.shutdown_write, self.close = (
            functools.partial(self.calls.append, name) for name in ('shutdown', 'shutdown_write', 'close'))

    def fileno(self):
        return 77

    def recv_into(self, place):
        if not self.incoming:
            return 0 if self.at_end else None
        if not self.is_whole:
            place = place[:100]
        count = min(len(place), len(self.incoming))
        place[:count] = self.incoming[:count]
        self.incoming = self.incoming[count:]
        return count

    def send(self, data):
        if self.error is not None:
            raise self.error
        count = len(data) if self.room is None else min(self.room, len(data))
        if not count:
            return None
        if self.room is not None:
            self.room -= count
        self.outgoing += bytes(data[:count])
        return count

    def unsent(self):
        return 42


class Inner(object):
    """The server inside the tunnel, in memory."""

    def __init__(self, certs, below):
        self.below = below
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = server_context(certs.server).wrap_bio(self.incoming, self.outgoing, server_side=True)

    def move(self, step):
        """Take what was sent, run a step, return what it produced."""
        self.incoming.write(self.below.outgoing)
        self.below.outgoing = b''
        try:
            return step()
        except ssl.SSLWantReadError:
            return None
        finally:
            self.below.incoming += self.outgoing.read()


def nest(certs):
    """Return ``(stream, below)`` before the handshake."""
    below = Below()
    return TlsInTlsStream(client_context(certs), below, str('localhost')), below


@pytest.fixture
def nested(certs):
    """Return ``(stream, below, server)`` after the handshake."""
    stream, below = nest(certs)
    server = Inner(certs, below)
    while stream.handshake() is not None:
        server.move(server.tls.do_handshake)
    server.move(server.tls.do_handshake)
    return stream, below, server


@needs_memory_bio
def test_nested(nested):
    stream, below, server = nested
    assert stream.is_tls and stream.is_buffered
    assert (stream.sock, stream.fileno(), stream.unsent()) == (below, 77, 42)
    assert stream.ssl_object.getpeercert()
    assert stream.recv_into(view()) is None
    server.move(lambda: server.tls.write(b'hello'))
    place = view(3)
    assert stream.recv_into(place) == 3
    assert stream.recv_into(place) == 2
    assert stream.recv_into(place) is None
    assert stream.send(b'x' * 20000) == TLS_CHUNK
    assert server.move(lambda: server.tls.read(20000)) == b'x' * TLS_CHUNK
    stream.shutdown_write()
    stream.shutdown()
    stream.close()
    assert below.calls == ['shutdown_write', 'shutdown', 'close']


@needs_memory_bio
def test_nested_waits_for_the_stream_below(nested):
    """At most one record that does not fit stays in this process."""
    stream, below, server = nested
    below.room = 5
    assert stream.send(b'first') == 5
    assert not stream.flush()
    assert stream.send(b'second') is None
    assert stream.send_wants == WRITE
    below.room = 7
    assert not stream.flush()
    below.room = None
    assert stream.send(b'second') == 6
    assert stream.flush()
    assert server.move(lambda: server.tls.read(100)) == b'first'
    assert server.move(lambda: server.tls.read(100)) == b'second'


@needs_memory_bio
@pytest.mark.parametrize('is_whole', [True, False])
@pytest.mark.parametrize('trouble', ['full', 'broken'])
def test_nested_reading_does_not_depend_on_writing(nested, trouble, is_whole):
    """Nothing that has arrived waits for what we have to send, or is lost with it."""
    stream, below, server = nested
    below.is_whole = is_whole
    if trouble == 'full':
        below.room = 10
        assert stream.send(b'x' * 1000) == 1000
        assert stream.send(b'y') is None and not stream.flush()
    else:
        below.error = RESET
        with pytest.raises(OS_ERRORS):
            stream.send(b'x' * 1000)
    data = os.urandom(100000)
    for start in range(0, len(data), 10000):
        server.move(lambda: server.tls.write(data[start:start + 10000]))     # noqa: B023
    got, place = b'', view()
    while len(got) < len(data):
        got += place[:stream.recv_into(place)].tobytes()
    assert got == data
    assert stream.recv_into(place) is None and stream.recv_wants == READ
    below.at_end = True
    assert stream.recv_into(place) == 0


@needs_memory_bio
def test_nested_reading_writes_nothing(nested):
    stream, below, server = nested
    below.outgoing = b''
    below.error = AssertionError('nobody asked for that')
    server.move(lambda: server.tls.write(b'hello'))
    assert stream.recv_into(view()) == 5
    assert stream.recv_into(view()) is None


@needs_memory_bio
def test_nested_wants_what_the_stream_below_wants(nested):
    stream, below, _server = nested
    below.recv_wants, below.send_wants = WRITE, READ
    assert stream.recv_into(view()) is None and stream.recv_wants == WRITE
    below.room = 0
    assert stream.send(b'x') == 1
    assert stream.send(b'x') is None and stream.send_wants == READ


@needs_memory_bio
def test_nested_handshake_that_cannot_write(certs):
    stream, below = nest(certs)
    below.room = 0
    assert stream.handshake() == WRITE
    below.room = 3
    assert stream.handshake() == WRITE
    below.room = None
    assert stream.handshake() == READ
    server = Inner(certs, below)
    server.move(server.tls.do_handshake)
    below.room = 0
    assert stream.handshake() == WRITE       # its last message
    below.room = None
    while stream.handshake() is not None:
        server.move(server.tls.do_handshake)


@needs_memory_bio
def test_nested_ends(nested):
    stream, below, server = nested
    below.at_end = True
    assert stream.recv_into(view()) == 0
    assert stream.recv_into(view()) == 0


@needs_memory_bio
def test_nested_handshake_ends(certs):
    stream, below = nest(certs)
    assert stream.handshake() == READ
    below.at_end = True
    with pytest.raises(ssl.SSLError):
        stream.handshake()


# -- sockets made elsewhere

def test_as_stream(pair, certs):
    assert type(as_stream(pair[0])) is PlainStream
    assert type(as_stream(Script())) is ObjectStream
    sock = wrapped(certs, pair[0])
    stream = as_stream(sock)
    assert type(stream) is TlsStream and stream.sock is sock
    stream.close()


def test_as_stream_without_ssl(pair, monkeypatch):
    monkeypatch.delitem(sys.modules, 'ssl')
    assert type(as_stream(pair[0])) is PlainStream
