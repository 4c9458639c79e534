"""Dials and races, driven by hand; fakes where a real network is too well-behaved."""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket
import ssl
import threading

import pytest
from support.addresses import Names, dead_address, free_port
from support.certificates import server_context
from support.network import nothing_stays_open  # noqa: F401 - a fixture
from support.peer import bye, silent
from support.peer import lenient_server as Server
from support.proxy import Proxy

from lomond._compat import monotonic
from lomond.network import dialer, happy_eyeballs
from lomond.network.dialer import Dial, DialFail, Route
from lomond.network.happy_eyeballs import MOST_BAD, Experience, Race, interleave
from lomond.network.poller import READ, WRITE, Waiting
from lomond.network.proxy_settings import parse_proxy
from lomond.network.stream import PlainStream
from lomond.network.tls_stream import TlsStream
from lomond.network.url import parse_url

INET, INET6 = socket.AF_INET, getattr(socket, 'AF_INET6', 10)


def drive(dial, waiting, limit=5):
    """Drive a dial with a blocking loop; return what it waited for."""
    waited = []
    give_up = waiting.monotonic() + limit
    for _ in dial.steps():
        deadline = give_up if dial.deadline is None else min(dial.deadline, give_up)
        waits = tuple(dial.waits)
        waited.append(waits)
        dial.ready = waiting.wait(waits + waiting.wake_waits, deadline)
        waiting.clear()
        assert waiting.monotonic() < give_up, dial.details()
    return waited


@pytest.fixture
def waiting():
    waiting = Waiting()
    yield waiting
    waiting.close()


# -- dials

def test_plain(waiting):
    with Server(bye) as server:
        dial = Dial(Route(parse_url(server.url())), waiting)
        assert (dial.stage, dial.proxy, dial.problem) == ('prepare', None, 'unable to connect')
        drive(dial, waiting)
        assert type(dial.stream) is PlainStream
        assert (dial.stage, dial.waits, dial.deadline, dial.surplus) == ('upgrade', (), None, b'')
        assert dial.stream.sock.getpeername() == ('127.0.0.1', server.port)
        dial.close()
        dial.close()
        assert dial.stream is None


def test_everything(certs, waiting, monkeypatch):
    """Each step in turn: a proxy given by name, a proxy that needs an address, TLS."""
    names = Names({'proxy.test': ['127.0.0.1'], 'target.test': ['127.0.0.1']})
    monkeypatch.setattr(socket, 'getaddrinfo', names)
    records, stages = [], []

    class Watched(Dial):
        def __setattr__(self, name, value):
            if name == 'stage':         # also stages without any waiting
                stages.append(value)
            super(Watched, self).__setattr__(name, value)
    with Server(bye, server_context(certs.server)) as server, Server(Proxy('socks5', server.port)) as proxy:
        route = Route(
            parse_url('wss://target.test/'), parse_proxy('socks5://proxy.test:{}'.format(proxy.port)),
            tls=dict(cafile=certs.ca), emit=lambda stage, **values: records.append((stage, values)))
        dial = Watched(route, waiting)
        assert dial.problem == 'unable to connect to proxy'
        for _ in dial.steps():
            dial.ready = waiting.wait(tuple(dial.waits) + waiting.wake_waits, monotonic() + 5)
            waiting.clear()
        assert type(dial.stream) is TlsStream
        dial.close()
    assert stages == ['prepare', 'resolve', 'connect', 'resolve', 'proxy', 'tls', 'upgrade']
    assert names.asked == ['proxy.test', 'target.test']
    assert records == [('tls_wrapped', dict(verify=True, has_context=False, cafile=certs.ca))]
    assert dial.proxy == 'socks5://proxy.test:{}'.format(proxy.port)


def test_wake_ups_that_mean_nothing(waiting):
    """A dial that is resumed while nothing of its own is ready keeps waiting."""
    with dead_address() as where:
        dial = Dial(Route(parse_url('ws://127.0.0.1:{}/'.format(where[1]))), waiting)
        steps = dial.steps()
        next(steps)
        assert dial.stage == 'connect' and dial.details() == '127.0.0.1:{} no answer'.format(where[1])
        waits = dial.waits
        assert [mask for _, mask in waits] == [WRITE]
        for ready in ((), ((12345, WRITE),), waits):     # the last is spurious: ready, but still connecting
            dial.ready = ready
            next(steps)
            assert dial.waits == waits
        steps.close()
        dial.close()
        assert dial.details() == ''


def test_left_while_resolving(waiting, monkeypatch):
    """An abandoned lookup does not wake anybody."""
    event = threading.Event()
    monkeypatch.setattr(socket, 'getaddrinfo', Names({'x.test': event}))
    dial = Dial(Route(parse_url('ws://x.test/')), waiting)
    steps = dial.steps()
    next(steps)
    assert (dial.stage, dial.waits, dial.deadline, dial.details()) == ('resolve', (), None, '')
    steps.close()
    dial.close()
    event.set()
    assert waiting.wait(waiting.wake_waits, waiting.monotonic() + 0.05) == ()


def fail_of(route, waiting):
    dial = Dial(route, waiting)
    with pytest.raises(DialFail) as caught:
        drive(dial, waiting)
    dial.close()
    return caught.value


def test_no_memory_bio(waiting, monkeypatch, certs):
    monkeypatch.delattr(ssl, 'MemoryBIO', raising=False)
    fail = fail_of(Route(parse_url('wss://x.test/'), parse_proxy('https://127.0.0.1:1')), waiting)
    assert fail.stage == 'prepare'
    assert str(fail) == ('unable to connect; wss through an https proxy needs Python 3.5 or newer '
                         '(TLS inside TLS)')


def test_proxy_that_breaks(waiting, monkeypatch):
    """The socket fails during the proxy's handshake."""
    def fail(*args):
        raise socket.error(errno.EPIPE, 'Broken pipe')
    monkeypatch.setattr(dialer.PlainStream, 'recv_into', fail)
    with Server(silent) as server:
        fail = fail_of(Route(parse_url('ws://x.test/'), parse_proxy(server.url('http'))), waiting)
    assert (str(fail), fail.stage) == ('proxy fail; Broken pipe', 'proxy')


def test_proxy_that_reads_slowly(waiting, monkeypatch):
    """A CONNECT is sent in pieces."""
    real = dialer.PlainStream.send
    calls = []

    def send(self, data):
        calls.append(len(data))
        return real(self, data[:7]) if len(calls) % 2 else None
    monkeypatch.setattr(dialer.PlainStream, 'send', send)
    with Server(bye) as target:
        script = Proxy('http', target.port)
        with Server(script) as server:
            dial = Dial(Route(parse_url('ws://x.test:81/'), parse_proxy(server.url('http'))), waiting)
            waited = drive(dial, waiting)
            dial.close()
        assert script.asked == [(b'x.test', 81)]
    assert any(waits and waits[0][1] == READ | WRITE for waits in waited)


def test_user_that_socks4_cannot_say(waiting):
    with Server(silent) as server:
        proxy = parse_proxy(server.url('socks4a'))
        proxy.user = 'a\0b'
        fail = fail_of(Route(parse_url('ws://x.test/'), proxy), waiting)
    assert fail.stage == 'proxy' and 'NUL' in str(fail)


# -- races

def race(addresses, clock=monotonic, **options):
    """Run a race to its end and return it."""
    found = Race(clock, **options)
    waiting = Waiting()
    give_up = monotonic() + 5
    for _ in found.steps(addresses):
        found.ready = waiting.wait(found.waits, min(found.deadline or give_up, give_up))
        assert monotonic() < give_up
    waiting.close()
    assert found.waits == ()
    return found


def address(host, port):
    return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]


@pytest.mark.parametrize('given, expected', [
    ('', ''), ('4a', '4a'), ('4a 4b 4c', '4a 4b 4c'), ('6a 6b 4a 4b', '6a 4a 6b 4b'),
    ('4a 6a 6b 6c', '4a 6a 6b 6c'), ('6a 4a 4b 4c', '6a 4a 4b 4c'), ('4a 4b 6a x 6b', '4a 6a x 4b 6b')])
def test_interleave(given, expected):
    families = {'4': INET, '6': INET6}
    assert interleave([(families.get(name[0], 99), name) for name in given.split()]) == [
        (families.get(name[0], 99), name) for name in expected.split()]


def test_first_that_connects_wins():
    with Server(silent) as server, dead_address() as where:
        found = race([address(*where), address('127.0.0.1', free_port()), address('127.0.0.1', server.port)])
        assert found.winner.getpeername() == ('127.0.0.1', server.port)
        assert found.winner.gettimeout() == 0
        assert found.details().endswith('connection refused')
        found.winner.close()


def test_all_fail():
    port = free_port()
    found = race([address('127.0.0.1', port)] * 2)
    assert found.winner is None
    assert found.details() == ', '.join(['127.0.0.1:{} connection refused'.format(port)] * 2)
    assert found.error.args[0] == errno.ECONNREFUSED


def test_no_address():
    found = race([])
    assert (found.winner, found.error, found.details()) == (None, None, '')


def test_families_this_machine_does_not_know():
    found = race([(12345, socket.SOCK_STREAM, 0, '', ('2001:db8::1', 80))])
    assert found.winner is None
    assert found.details().startswith('[2001:db8::1]:80 ')


class FakeSocket(object):
    """A socket whose connect is in progress and then ends as wanted."""

    def __init__(self, so_error=0, peer=None):
        self.so_error = so_error
        self.peer = peer
        self.closed = False

    def fileno(self):
        return 77

    def getsockopt(self, level, name):
        return self.so_error

    def getpeername(self):
        if self.peer:
            raise socket.error(self.peer, os.strerror(self.peer))

    def close(self):
        self.closed = True


@pytest.fixture
def attempts(monkeypatch):
    """Return the list of sockets with pending connects, in the order they were made."""
    class Attempt(FakeSocket):
        def __init__(self, *args):
            super(Attempt, self).__init__()
            made.append(self)
            self.number = 100 + len(made)

        def fileno(self):
            return self.number

        def connect(self, where):
            self.where = where
            raise socket.error(errno.EINPROGRESS, 'in progress')

        setblocking = setsockopt = lambda self, *args: None
    made = []
    monkeypatch.setattr(happy_eyeballs.socket, 'socket', Attempt)
    monkeypatch.setattr(happy_eyeballs, 'set_cloexec', lambda fd: None)
    return made


def test_connects_at_once(monkeypatch, attempts):
    """An immediate connect, as with Unix sockets, starts nothing else."""
    monkeypatch.setattr(happy_eyeballs.socket.socket, 'connect', lambda sock, where: None)
    found = Race(monotonic)
    assert list(found.steps([(INET, socket.SOCK_STREAM, 0, '', ('192.0.2.1', 80))] * 2)) == []
    assert [found.winner] == attempts
    assert not found.winner.closed


class Steps(object):
    """A race on a fake clock."""

    def __init__(self, *places):
        self.now = 1000.0
        self.race = Race(lambda: self.now)
        self._steps = self.race.steps([(INET6 if len(place) > 2 else INET, socket.SOCK_STREAM, 0, '', place)
                                       for place in places])

    def at(self, now, *ready):
        """Resume the race at that time; return False if it is over."""
        self.now = 1000.0 + now
        self.race.ready = tuple((sock.fileno(), WRITE) for sock in ready)
        return next(self._steps, self) is None


def test_attempts_are_spaced(attempts):
    """Attempts start 250 ms apart, in the resolver's order, whatever else happens."""
    steps = Steps(('192.0.2.1', 80), ('2001:db8::1', 80, 0, 7), ('192.0.2.2', 80))
    for now, count in ((0, 1), (0.1, 1), (0.24, 1), (0.25, 2), (0.49, 2), (0.5, 3), (9, 3)):
        assert steps.at(now)
        assert len(attempts) == count, now
        assert steps.race.deadline == (None if count == 3 else 1000 + 0.25 * count)
        assert [fd for fd, _ in steps.race.waits] == [101, 102, 103][:count]
    assert [sock.where for sock in attempts] == [
        ('192.0.2.1', 80), ('2001:db8::1', 80, 0, 7), ('192.0.2.2', 80)]


def test_refusal_starts_the_next_at_once(attempts):
    steps = Steps(('192.0.2.1', 80), ('192.0.2.2', 80), ('192.0.2.3', 80))
    steps.at(0)
    steps.at(0.25)
    attempts[1].so_error = errno.ECONNREFUSED
    assert steps.at(0.3, attempts[1])
    assert len(attempts) == 3 and attempts[1].closed and not attempts[0].closed
    assert [fd for fd, _ in steps.race.waits] == [101, 103]


def test_first_of_two_that_are_ready_wins(attempts):
    steps = Steps(('192.0.2.1', 80), ('192.0.2.2', 80), ('192.0.2.3', 80))
    for now in (0, 0.25, 0.5):
        steps.at(now)
    assert not steps.at(0.6, attempts[1], attempts[2])
    assert steps.race.winner is attempts[1]
    assert [sock.closed for sock in attempts] == [True, False, True]
    assert steps.race.waits == () and steps.race.deadline is None


@pytest.mark.parametrize('so_error, peer, goes_on, words', [
    (0, None, True, ''), (errno.ECONNREFUSED, None, False, 'x connection refused'),
    # Ready without being connected: FreeBSD and macOS have been seen to report this.
    (0, errno.ENOTCONN, True, 'x no answer'), (0, errno.EINVAL, False, 'x invalid argument'),
    # Made and reset before we look.
    (errno.ECONNRESET, None, False, 'x connection reset by peer in the TLS handshake')])
def test_what_a_ready_socket_says(so_error, peer, goes_on, words):
    found = Race(monotonic, next_step='the TLS handshake')
    sock = FakeSocket(so_error, peer)
    found._pending[77] = sock, 'x', ('x', 1)
    assert found._settle(77) is not goes_on
    assert found.details() == words
    assert (found.winner is sock) == (so_error == 0 and peer is None)
    assert sock.closed is not goes_on
    found.close()
    assert sock.closed == (found.winner is not sock)


def test_bad_addresses_go_last():
    """The newest failure goes last of all, and only so many are kept."""
    found = Experience()
    addresses = [(socket.AF_INET, 1, 6, '', (host, 80)) for host in 'abcd']

    def order():
        return ''.join(address[4][0] for address in found.sort(addresses))
    for happened, expected in (('a-', 'bcda'), ('c-', 'bdac'), ('a-', 'bdca'), ('x-', 'bdca'), ('c+', 'bcda'),
                               ('b-', 'cdab'), ('d+', 'cdab'), ('a+', 'acdb'), ('b+', 'abcd')):
        (found.worked if '+' in happened else found.failed)((happened[0], 80))
        assert order() == expected
    found.failed(('a', 80))
    for port in range(MOST_BAD):
        assert order() == 'bcda'
        found.failed(('x', port))
    assert order() == 'abcd'
