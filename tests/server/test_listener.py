"""Listener: addresses and ports, accepting without waiting, shortages, clients that are
turned away."""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket

import pytest
from support.accepted import logged
from support.addresses import Names
from support.network import nothing_stays_open as nothing_stays_open

from lomond._compat import OS_ERRORS, monotonic
from lomond.network.poller import READ, wait_for
from lomond.server import shortage
from lomond.server.listener import MOST_LEAVING, Listener, listen


def has_ipv6():
    try:
        sock = socket.socket(socket.AF_INET6)
    except OS_ERRORS:
        return False
    try:
        sock.bind(('::1', 0))
        return True
    except OS_ERRORS:
        return False
    finally:
        sock.close()


BOTH = ['127.0.0.1', '::1'] if has_ipv6() else ['127.0.0.1']
ANY = ['0.0.0.0', '::'] if has_ipv6() else ['0.0.0.0']


def hosts(host, port=0):
    """Return the addresses that are listened on, and check that their port is the same."""
    listener = Listener(listen(host, port))
    try:
        assert set(port for _, port in listener.addresses) == {listener.port} and listener.port
        return [address for address, _ in listener.addresses]
    finally:
        listener.close()


# -- binding

@pytest.mark.parametrize('host, expected', [
    ('localhost', BOTH), ('LocalHost.', BOTH), ('127.0.0.1', ['127.0.0.1']), (None, ANY),
    ('::1', ['::1'] if len(BOTH) > 1 else None)])
def test_addresses(host, expected):
    if expected is None:
        pytest.skip('no IPv6')
    assert hosts(host) == expected


def test_localhost_that_resolves_to_one_family(monkeypatch):
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'localhost': ['::1']}))
    assert hosts('localhost') == BOTH


def test_address_that_the_machine_has_not_is_skipped(monkeypatch):
    names = {'here.test': ['203.0.113.1', '127.0.0.1', '127.0.0.1'],
             'elsewhere.test': ['203.0.113.1', '203.0.113.2'],
             'nowhere.test': socket.gaierror(socket.EAI_NONAME, 'not known')}
    monkeypatch.setattr(socket, 'getaddrinfo', Names(names))
    assert hosts('here.test') == ['127.0.0.1']
    with pytest.raises(OS_ERRORS, match='cannot listen on 203.0.113.1 port 0: '):
        listen('elsewhere.test', 0)
    with pytest.raises(socket.gaierror, match='cannot listen on nowhere.test: not known'):
        listen('nowhere.test', 0)


def test_port_in_use():
    first, = listen('127.0.0.1', 0)
    port = first.getsockname()[1]
    try:
        with pytest.raises(OS_ERRORS) as caught:
            listen('localhost', port)
        assert caught.value.errno == errno.EADDRINUSE
        assert 'cannot listen on 127.0.0.1 port {}: '.format(port) in str(caught.value)
    finally:
        first.close()


def test_free_port_is_free_on_all_addresses(monkeypatch):
    """The one that the system gives for the first address may be in use on another."""
    taken = listen('localhost', 0)
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'two.test': ['127.0.0.2', '127.0.0.1']}))
    real, calls = socket.socket.bind, []

    def bind(sock, address):
        calls.append(address)
        if address == ('127.0.0.2', 0) and len(calls) == 1:
            address = ('127.0.0.2', taken[0].getsockname()[1])
        real(sock, address)
    class Socket(socket.socket):
        def bind(self, address):
            bind(self, address)
    monkeypatch.setattr(socket, 'socket', Socket)
    try:
        found = Listener(listen('two.test', 0))
        assert len(found.addresses) == 2 and found.port != taken[0].getsockname()[1]
        found.close()
    finally:
        for sock in taken:
            sock.close()


# -- accepting

@pytest.fixture
def listener():
    listener = Listener(listen('127.0.0.1', 0))
    yield listener
    listener.close()


@pytest.fixture
def connect(listener):
    """A function that connects clients."""
    socks = []

    def connect(count=1):
        socks.extend(socket.create_connection(('127.0.0.1', listener.port), 10) for _ in range(count))
        return socks[-count:]
    yield connect
    for sock in socks:
        sock.close()


def accept(listener, now=None, **options):
    ready = wait_for(listener.waits(), 0.2)
    accepted = list(listener.process(ready, monotonic() if now is None else now, **options))
    for sock, _ in accepted:
        sock.close()
    return [address for _, address in accepted]


def test_accepting(listener, connect):
    assert listener.waits() is listener.waits() and listener.next_deadline() is None
    assert list(listener.process((), 0)) == []
    clients = connect(3)
    assert accept(listener, most=2) == [sock.getsockname() for sock in clients[:2]]
    assert accept(listener) == [clients[2].getsockname()]
    assert list(listener.process(listener.waits(), 0)) == []           # nobody is there: no wait, no error
    listener.stop_listening()
    assert listener.waits() == () and not listener.is_open
    with pytest.raises(OS_ERRORS):
        connect()


class Refusing(object):
    """A listening socket whose accept() raises."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def accept(self):
        if self.errors:
            raise self.errors.pop(0)
        raise OSError(errno.EAGAIN, 'not now')

    def fileno(self):
        return 1000

    def getsockname(self):
        return '127.0.0.1', 1

    def setblocking(self, flag):
        pass

    close = stop = fileno


@pytest.mark.parametrize('error, warns', [
    (OSError(errno.EMFILE, 'Too many open files'), True), (OSError(errno.ENFILE, 'x'), True),
    (OSError(errno.ENOBUFS, 'x'), True), (socket.error(errno.ENOMEM, 'x'), True), (MemoryError(), True),
    (OSError(errno.EPERM, 'a firewall'), False)])
def test_shortage(error, warns):
    """A pause, and a warning once a minute; the other sockets go on."""
    two = Listener([Refusing(error, error), Refusing()])
    with logged('WARNING') as records:
        assert list(two.process(two.waits()[:1], 10.0)) == []
        assert two.waits() == ((1000, READ),) and two.next_deadline() == 10.0 + shortage.PAUSE
        assert list(two.process((), 10.05)) == [] and len(two.waits()) == 1
        assert list(two.process((), 10.1)) == [] and len(two.waits()) == 2
        assert list(two.process(two.waits()[:1], 10.1)) == []
    assert len(records) == warns
    assert not warns or 'no further connection can be served now' in records[0].getMessage()


@pytest.mark.parametrize('number', [errno.ECONNABORTED, errno.EINTR])
def test_clients_that_are_gone_are_skipped(number):
    many = Listener([Refusing(*[OSError(number, 'x')] * 2000)])
    assert list(many.process(many.waits(), 0)) == [] and many.next_deadline() is None


# -- no room

def turn_away(listener, now, answer=b'HTTP/1.1 503 Busy\r\n\r\n'):
    for sock, _ in list(listener.process(wait_for(listener.waits(), 0.2), now)):
        listener.turn_away(sock, answer, now)


def read(sock):
    data = b''
    while True:
        more = sock.recv(1000)
        data += more
        if not more:
            return data


def test_turned_away(listener, connect):
    """The answer arrives whole, whatever the client has sent; its end is waited for."""
    client, = connect()
    client.sendall(b'GET / HTTP/1.1\r\n' * 1000)
    turn_away(listener, 5.0)
    assert read(client) == b'HTTP/1.1 503 Busy\r\n\r\n'
    assert not listener.is_idle and listener.next_deadline() == 6.0 and len(listener.waits()) == 2
    client.close()
    for _ in range(100):
        list(listener.process(wait_for(listener.waits(), 0.1), 5.5))
        if listener.is_idle:
            break
    assert listener.is_idle and listener.next_deadline() is None and len(listener.waits()) == 1


def test_turned_away_and_stays(listener, connect):
    client, = connect()
    turn_away(listener, 5.0)
    listener.stop_listening()
    assert len(listener.waits()) == 1
    list(listener.process((), 5.9))
    assert not listener.is_idle
    list(listener.process((), 6.0))
    assert listener.is_idle and read(client)


def test_turned_away_with_tls(listener, connect):
    client, = connect()
    turn_away(listener, 5.0, b'')
    assert listener.is_idle and read(client) == b''


def test_most_that_leave(listener, connect):
    clients = connect(MOST_LEAVING + 5)
    while len(listener.waits()) <= MOST_LEAVING:
        turn_away(listener, 5.0)
    turn_away(listener, 5.0)
    assert len(listener.waits()) == MOST_LEAVING + 1        # further ones were closed at once
    assert all(read(client) for client in clients)
