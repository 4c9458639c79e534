"""Servers on loopback that follow a script: WebSocket servers, HTTP and SOCKS proxies, dead addresses.

Nothing here imports lomond, so that a mistake there cannot hide itself.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import contextlib
import datetime
import errno
import hashlib
import os
import re
import select
import socket
import ssl
import struct
import threading
import traceback
import warnings

import pytest

#: How long a server waits for anything from a client (seconds).
PATIENCE = 5.0
GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
CRLF = b'\r\n'


class Gone(Exception):
    """The client has closed the connection."""


class Peer(object):
    """The server's end of one connection."""

    def __init__(self, sock, server):
        self.sock = sock
        self.server = server
        self.buffer = b''
        self.head = b''
        self.line = b''             # the first line of the newest head
        self.headers = []           # (lower-case name, value): bytes

    # -- reading

    def fill(self):
        """Wait for more bytes."""
        try:
            data = self.sock.recv(65536)
        except (socket.timeout, ssl.SSLError) as error:
            if 'timed out' in str(error):
                raise AssertionError('the client sent nothing more behind %r' % (self.buffer,))
            raise Gone()
        except (OSError, socket.error):
            raise Gone()
        if not data:
            raise Gone()
        self.buffer += data

    def read(self, count):
        """So many bytes."""
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_until(self, mark):
        """Everything up to and including the mark."""
        while mark not in self.buffer:
            self.fill()
        end = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def read_head(self):
        """A request; kept by the server, too."""
        self.head = self.read_until(CRLF + CRLF)
        lines = self.head[:-4].split(CRLF)
        self.line = lines[0]
        self.headers = []
        for line in lines[1:]:
            name, _, value = line.partition(b':')
            self.headers.append((name.strip().lower(), value.strip()))
        self.server.heads.append(self.head)
        return self.head

    def header(self, name, default=None):
        """The value of a header of the newest head; repeats joined."""
        values = [value for found, value in self.headers if found == name]
        return b', '.join(values) if values else default

    def wait_gone(self):
        """True once the client has closed; what it sends is thrown away."""
        try:
            while True:
                self.buffer = b''
                self.fill()
        except Gone:
            return True

    # -- writing

    def send(self, data):
        """All of it."""
        try:
            self.sock.sendall(data)
        except (OSError, socket.error, ssl.SSLError):
            raise Gone()

    def trickle(self, data, pause=0.1):
        """A byte at a time, until the client goes."""
        for place in range(len(data)):
            self.send(data[place:place + 1])
            self.server.stopping.wait(pause)

    def answer(self, status, headers=(), body=b''):
        """An HTTP answer with a body of known length."""
        lines = [b'HTTP/1.1 ' + status] + [name + b': ' + value for name, value in headers]
        lines.append(b'Content-Length: ' + str(len(body)).encode('ascii'))
        self.send(CRLF.join(lines) + CRLF + CRLF + body)

    # -- WebSocket

    def accept(self, extra=b'', also=b''):
        """Read the request and agree; ``also`` goes in the same packet."""
        self.read_head()
        self.agree(extra, also)

    def agree(self, extra=b'', also=b''):
        """Agree to the request that was read."""
        accept = base64.b64encode(hashlib.sha1(self.header(b'sec-websocket-key') + GUID).digest())
        self.send(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                  b'Sec-WebSocket-Accept: ' + accept + CRLF + extra + CRLF + also)

    def read_frame(self):
        """``(opcode, payload)`` of a small frame."""
        first, second = bytearray(self.read(2))
        size = second & 0x7f
        assert size < 126 and second & 0x80
        key = bytearray(self.read(4))
        return first & 15, bytes(bytearray(
            byte ^ key[place & 3] for place, byte in enumerate(bytearray(self.read(size)))))

    def frame(self, opcode, payload=b''):
        """Send a small frame."""
        self.send(struct.pack(str('>BB'), 0x80 | opcode, len(payload)) + payload)

    def end(self):
        """Close: read on to the client's answer, then TCP ends."""
        self.frame(8, struct.pack(str('>H'), 1000))
        while self.read_frame()[0] != 8:
            pass

    def echo(self):
        """Send back what comes, until the client closes."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == 9:
                self.frame(10, payload)
            elif opcode in (1, 2):
                self.frame(opcode, payload)
            elif opcode == 8:
                self.frame(8, payload)
                self.wait_gone()
                return


def echo(peer):
    """A WebSocket server that sends back what comes."""
    peer.accept()
    peer.echo()


def bye(peer):
    """A WebSocket server that says one word and closes."""
    peer.accept()
    peer.frame(1, b'hello')
    peer.end()


def silent(peer):
    """Takes everything and says nothing."""
    peer.wait_gone()


def hang_up(peer):
    """Closes at once."""


def reply(data):
    """Reads a request and answers with these bytes, whatever they are."""
    def script(peer):
        peer.read_head()
        peer.send(data)
        peer.wait_gone()
    return script


class Server(object):
    """Runs a script for each connection; a context manager.

    :param script: called with a :class:`Peer`; what it raises, but ``Gone``, is raised at the end
    :param tls: an ``ssl.SSLContext`` of a server, or None
    :param family: of the socket; for AF_UNIX ``address`` is a path
    """

    def __init__(self, script, tls=None, family=socket.AF_INET, address=None):
        self.script = script
        self.tls = tls
        self.heads = []             # every request that was read
        self.accepted = 0
        self.failures = []
        self.tracebacks = []
        self.names = []             # what SNI asked for, None without
        self.alerts = []            # failed TLS handshakes
        self.stopping = threading.Event()
        self._threads = []
        self._socks = []
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address or ('::1' if family == socket.AF_INET6 else '127.0.0.1', 0))
        self.listener.listen(20)
        self.port = None
        if family in (socket.AF_INET, socket.AF_INET6):
            self.port = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.daemon = True

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind is None:
            assert self.failures == [], ''.join(self.tracebacks)

    def stop(self):
        """Close everything and wait for the threads."""
        self.stopping.set()
        # close() alone does not wake accept().
        with _ignored():
            self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self.listener.close()
        for sock in self._socks:
            with _ignored():
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)

    def url(self, scheme='ws', host='127.0.0.1', path='/'):
        """Its URL."""
        return '%s://%s:%d%s' % (scheme, host, self.port, path)

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self.listener.accept()
            except (OSError, socket.error):
                return
            self.accepted += 1
            self._socks.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            thread.daemon = True
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        plain = sock
        try:
            sock.settimeout(PATIENCE)
            if self.tls is not None:
                try:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                except (OSError, socket.error, ssl.SSLError) as error:
                    self.alerts.append(error)
                    return
                self._socks.append(sock)
            try:
                self.script(Peer(sock, self))
            except Gone:
                pass
            except Exception as error:
                if not self.stopping.is_set():
                    self.failures.append(error)
                self.tracebacks.append(traceback.format_exc())
        finally:
            # A close with data left unread would be a reset.
            for one in (sock, plain):
                with _ignored():
                    one.shutdown(socket.SHUT_WR)
                with _ignored():
                    one.close()


@contextlib.contextmanager
def _ignored():
    try:
        yield
    except (OSError, socket.error, ValueError):
        pass


def server_context(pem, client_ca=None):
    """The TLS context of a server."""
    context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
    context.load_cert_chain(pem)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def note_names(context, names):
    """Append to ``names`` what each client asks for by SNI; None for nothing."""
    def note(sock, name, context):
        names.append(name)
    if hasattr(context, 'sni_callback'):
        context.sni_callback = note
    else:
        context.set_servername_callback(note)


# -- proxies

class Proxy(object):
    """A script that tunnels, for :class:`Server`.

    :param kind: ``'http'``, ``'https'``, ``'socks4'``, ``'socks4a'``, ``'socks5'``, ``'socks5h'``
    :param auth: ``(user, password)`` that it wants, bytes; None: none
    :param where: port of 127.0.0.1 where all tunnels lead, whatever is asked for
    :param also: bytes that go out with the answer, in one packet
    :ivar asked: list of ``(host, port)``, bytes and int, that was asked for
    :ivar heads: list of the heads of CONNECT
    """

    def __init__(self, kind, where, auth=None, also=b'', version=b'HTTP/1.1'):
        self.kind = kind
        self.where = where
        self.auth = auth
        self.also = also
        self.version = version
        self.asked = []
        self.heads = []

    def __call__(self, peer):
        if self.kind.startswith('http'):
            answer = self._http(peer)
        elif self.kind.startswith('socks4'):
            answer = self._socks4(peer)
        else:
            answer = self._socks5(peer)
        if answer is None:
            return
        try:
            target = socket.create_connection(('127.0.0.1', self.where))
        except (OSError, socket.error):
            refusals = {'http': b'HTTP/1.1 502 Bad Gateway\r\n\r\n', 'socks4': b'\0\x5b\0\0\0\0\0\0',
                        'socks5': b'\5\5\0\1\0\0\0\0\0\0'}
            peer.send(refusals[re.match('http|socks[45]', self.kind).group()])
            return
        try:
            peer.send(answer + self.also)
            pump(peer, target)
        finally:
            target.close()

    def _http(self, peer):
        self.heads.append(peer.read_head())
        method, place, _ = peer.line.split(b' ')
        assert method == b'CONNECT'
        host, _, port = place.rpartition(b':')
        self.asked.append((host, int(port)))
        if self.auth is not None:
            wanted = b'Basic ' + base64.b64encode(b':'.join(self.auth))
            if peer.header(b'proxy-authorization') != wanted:
                peer.answer(b'407 Proxy Authentication Required',
                            [(b'Proxy-Authenticate', b'Basic realm="x"')], b'who are you?')
                return None
        else:
            assert peer.header(b'proxy-authorization') is None
        return self.version + b' 200 Connection established\r\nVia: x\r\n\r\n'

    def _socks4(self, peer):
        version, command, port = struct.unpack(str('>BBH'), peer.read(4))
        assert (version, command) == (4, 1)
        address = peer.read(4)
        user = peer.read_until(b'\0')[:-1]
        host = socket.inet_ntoa(address).encode('ascii')
        if address[:3] == b'\0\0\0' and address[3:] != b'\0':
            host = peer.read_until(b'\0')[:-1]
        self.asked.append((host, port))
        if self.auth is not None and user != self.auth[0]:
            peer.send(b'\0\x5d\0\0\0\0\0\0')
            return None
        return b'\0\x5a\0\0\0\0\0\0'

    def _socks5(self, peer):
        version, count = bytearray(peer.read(2))
        assert version == 5
        methods = bytearray(peer.read(count))
        if self.auth is not None:
            if 2 not in methods:
                peer.send(b'\5\xff')
                return None
            peer.send(b'\5\2')
            assert peer.read(1) == b'\1'
            given = []
            for _ in range(2):
                given.append(peer.read(bytearray(peer.read(1))[0]))
            peer.send(b'\1' + (b'\0' if tuple(given) == self.auth else b'\1'))
            if tuple(given) != self.auth:
                return None
        else:
            assert 0 in methods
            peer.send(b'\5\0')
        assert peer.read(3) == b'\5\1\0'
        kind = bytearray(peer.read(1))[0]
        if kind == 1:
            host = socket.inet_ntoa(peer.read(4)).encode('ascii')
        elif kind == 4:
            host = socket.inet_ntop(socket.AF_INET6, peer.read(16)).encode('ascii')
        else:
            host = peer.read(bytearray(peer.read(1))[0])
        port, = struct.unpack(str('>H'), peer.read(2))
        self.asked.append((host, port))
        return b'\5\0\0\1\0\0\0\0\0\0'


def pump(peer, target):
    """Carry bytes both ways until one side ends; one thread, as a TLS object wants it."""
    client = peer.sock
    if peer.buffer:
        target.sendall(peer.buffer)
    while True:
        waiting = [one for one in (client, target) if getattr(one, 'pending', int)()]
        if not waiting:
            waiting = select.select([client, target], [], [], PATIENCE)[0]
        assert waiting, 'nothing moves in the tunnel'
        for one in waiting:
            try:
                data = one.recv(16384)
                (target if one is client else client).sendall(data)
            except (OSError, socket.error):
                return
            if not data:
                return


# -- addresses that are dead

@contextlib.contextmanager
def dead_address(host='127.0.0.1'):
    """A port that neither accepts nor refuses: its accept queue is full; gives its socket address."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    fillers = []
    try:
        listener.bind((host, 0))
        listener.listen(0)
        where = listener.getsockname()
        for _ in range(20):
            filler = socket.socket(family, socket.SOCK_STREAM)
            fillers.append(filler)
            filler.setblocking(False)
            if filler.connect_ex(where) not in (0, errno.EINPROGRESS):
                pytest.skip('connecting on loopback answers at once')
            if not select.select([], [filler], [], 0.1)[1]:
                break
        else:
            pytest.skip('an accept queue cannot be filled here')
        yield where
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


@contextlib.contextmanager
def dead_unix_address(path):
    """The same for a Unix domain socket; gives the listener."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fillers = []
    try:
        listener.bind(path)
        listener.listen(0)
        for _ in range(20):
            filler = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            fillers.append(filler)
            filler.setblocking(False)
            if filler.connect_ex(path):
                break
        yield listener
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


def free_port(host='127.0.0.1'):
    """A port on which nothing listens."""
    sock = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    sock.bind((host, 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


# -- names

class Names(object):
    """A ``getaddrinfo`` of ours: ``names[host]`` is a list of addresses, or what to raise.

    Use ``monkeypatch.setattr(socket, 'getaddrinfo', Names({...}))``.  Addresses are texts, or
    ``(text, port)``; IP addresses are left to the real one.
    """

    def __init__(self, names):
        self.names = names
        self.asked = []
        self._real = socket.getaddrinfo

    def __call__(self, host, port, family=0, type=0, proto=0, flags=0):
        if isinstance(host, bytes):
            host = host.decode('ascii')
        if host not in self.names:
            return self._real(host, port, family, type, proto, flags)
        self.asked.append(host)
        found = self.names[host]
        if isinstance(found, Exception):
            raise found
        if hasattr(found, 'wait'):
            found.wait()
            raise socket.gaierror(socket.EAI_AGAIN, 'the name server came back')
        result = []
        for address in found:
            address, its_port = address if isinstance(address, tuple) else (address, port)
            result += self._real(address, its_port, family, type, proto, flags)
        return result


# -- certificates

class Certs(object):
    """Paths of PEM files, by attribute."""


def _expired():
    """PEM of key and certificate of localhost, its own authority, that was good until 2001."""
    from cryptography import x509
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1(), default_backend())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(9).not_valid_before(datetime.datetime(2000, 1, 1))
        .not_valid_after(datetime.datetime(2001, 1, 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName('localhost')]), critical=False)
        .sign(key, hashes.SHA256(), default_backend()))
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()) + certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope='session')
def certs(tmpdir_factory):
    """A CA, another one, and what they have signed."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # cryptography tells how old this Python is
        trustme = pytest.importorskip('trustme')
    folder = str(tmpdir_factory.mktemp('certs'))
    found = Certs()

    def write(name, data):
        path = os.path.join(folder, name + '.pem')
        with open(path, 'wb') as file:
            file.write(data)
        setattr(found, name, path)
    ca, other = trustme.CA(), trustme.CA()
    write('ca', ca.cert_pem.bytes())
    write('other_ca', other.cert_pem.bytes())
    leaf = ca.issue_cert('localhost', 'target.test', '127.0.0.1', '::1')
    write('server', leaf.private_key_and_cert_chain_pem.bytes())
    found.fingerprint = 'sha256:' + hashlib.sha256(ssl.PEM_cert_to_DER_cert(
        leaf.cert_chain_pems[0].bytes().decode('ascii'))).hexdigest()
    write('elsewhere', ca.issue_cert('elsewhere.test').private_key_and_cert_chain_pem.bytes())
    write('expired', _expired())
    write('client', ca.issue_cert('client.test').private_key_and_cert_chain_pem.bytes())
    return found
