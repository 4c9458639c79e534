"""Waiting for descriptors, deadlines and wake-ups, with both kinds of each."""

from __future__ import absolute_import, division, unicode_literals

import errno
import gc
import math
import os
import select
import signal
import socket
import sys
import threading
import time

import pytest

from lomond._compat import monotonic
from lomond.network import poller as poller_module
from lomond.network.poller import READ, WRITE, EventWakeUp, SocketWakeUp, Waiting, WakeUp, wait_for

POLLERS = [poller_module._Poll, poller_module._Select] if hasattr(select, 'poll') else [poller_module._Select]
pollers = pytest.mark.parametrize('make', POLLERS)
needs_poll = pytest.mark.skipif(not hasattr(select, 'poll'), reason='this system has no poll')
on_posix = pytest.mark.skipif(sys.platform == 'win32', reason='select() on Windows accepts only sockets')


@pytest.fixture
def pair():
    """Return two sockets that are connected to each other."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


# -- wake-ups

wake_ups = pytest.mark.parametrize('make', [
    pytest.param(WakeUp, marks=on_posix), SocketWakeUp, pytest.param(EventWakeUp, marks=pytest.mark.skipif(
        not hasattr(os, 'eventfd'), reason='no eventfd'))])


@wake_ups
def test_wake_up(make):
    wake_up = make()
    waits = ((wake_up.fileno(), READ),)
    assert wait_for(waits, 0) == ()
    wake_up.set()
    wake_up.set()
    assert wait_for(waits, 1) == waits
    wake_up.clear()
    assert wait_for(waits, 0) == ()
    wake_up.clear()


@wake_ups
@pytest.mark.ends
def test_wake_up_that_nobody_clears(make):
    """A full pipe wakes just as well; clear() empties it."""
    wake_up = make()
    for _ in range(300000):
        wake_up.set()
    waits = ((wake_up.fileno(), READ),)
    assert wait_for(waits, 0) == waits
    deadline = monotonic() + 5
    while wait_for(waits, 0.05) and monotonic() < deadline:     # sockets deliver it with some delay
        wake_up.clear()
    assert wait_for(waits, 0) == ()


@wake_ups
def test_descriptors_go_with_the_last_reference(make):
    wake_up = other = make()
    fd = wake_up.fileno()
    del wake_up
    os.fstat(fd)
    del other
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(fd)


def test_stranger_at_the_socket(monkeypatch):
    """For a moment, any program on the machine may connect."""
    strangers = []

    class Socket(socket.socket):
        def connect(self, where):
            strangers.append(real())
            strangers[0].connect(where)
            real.connect(self, where)
    real = socket.socket
    monkeypatch.setattr(poller_module.socket, 'socket', Socket)
    wake_up = SocketWakeUp()
    strangers[0].sendall(b'x')
    strangers[0].close()
    waits = ((wake_up.fileno(), READ),)
    assert wait_for(waits, 0) == ()
    wake_up.set()
    assert wait_for(waits, 1) == waits


@on_posix
def test_wake_up_is_not_inherited():
    import fcntl
    wake_up = WakeUp()
    for fd in (wake_up._read, wake_up._write):
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


def check_errors(wake_up, number, kind):
    """All but EIO are ignored."""
    for call in (wake_up.set, wake_up.clear):
        if number == errno.EIO:
            with pytest.raises(kind):
                call()
        else:
            call()


@pytest.mark.parametrize('number', [errno.EAGAIN, errno.EINTR, errno.EIO])
def test_errors_of_a_pipe(monkeypatch, number):
    wake_up = WakeUp()

    def fail(*args):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(poller_module.os, 'write', fail)
    monkeypatch.setattr(poller_module.os, 'read', fail)
    check_errors(wake_up, number, OSError)


@pytest.mark.parametrize('number', [errno.EAGAIN, errno.EIO])
def test_errors_of_a_socket(number):
    class Broken(object):
        def send(self, *args):
            raise socket.error(number, os.strerror(number))
        recv = send

        def close(self):
            pass
    wake_up = SocketWakeUp()
    wake_up._read.close()
    wake_up._write.close()
    wake_up._read = wake_up._write = Broken()
    check_errors(wake_up, number, socket.error)


# -- single waits

@pollers
def test_what_is_ready(make, pair):
    ours, theirs = (sock.fileno() for sock in pair)
    poller = make()
    assert poller.wait(((ours, READ),), 0) == ()
    assert poller.wait(((ours, WRITE),), None) == ((ours, WRITE),)
    assert poller.wait(((ours, READ | WRITE),), 1) == ((ours, WRITE),)
    pair[1].sendall(b'x')
    assert poller.wait(((ours, READ),), 1) == ((ours, READ),)
    assert poller.wait(((ours, READ | WRITE),), 1) == ((ours, READ | WRITE),)
    assert sorted(poller.wait(((ours, READ), (theirs, WRITE)), 1)) == sorted([(ours, READ), (theirs, WRITE)])
    assert poller.wait(((theirs, READ),), 0) == ()


@pollers
def test_time_is_up(make, pair):
    poller = make()
    for waits in (((pair[0].fileno(), READ),), ()):
        start = monotonic()
        assert poller.wait(waits, 0.05) == ()
        assert 0.045 <= monotonic() - start < 1


@pollers
def test_time_below_a_millisecond_is_waited_for(make, pair):
    """Timeouts are rounded up: poll(0) would spin until the 0.4 ms have passed."""
    start = monotonic()
    make().wait(((pair[0].fileno(), READ),), 0.0004)
    assert monotonic() - start >= 0.0004


@pollers
def test_hung_up(make, pair):
    """A hang-up is reported if anything was asked for, and only then."""
    ours, theirs = pair
    fd = ours.fileno()
    theirs.close()
    poller = make()
    assert poller.wait(((fd, READ),), 1) == ((fd, READ),)
    assert poller.wait(((fd, WRITE),), 1) == ((fd, WRITE),)
    start = monotonic()
    assert poller.wait(((fd, 0),), 0.03) == ()
    assert monotonic() - start >= 0.025


@needs_poll
def test_closed_descriptor():
    """A closed descriptor is ready, so that its user learns what is wrong."""
    ours, theirs = socket.socketpair()
    fd = ours.fileno()
    ours.close()
    theirs.close()
    assert poller_module._Poll().wait(((fd, READ),), 1) == ((fd, READ),)


@needs_poll
def test_poll_registers_what_has_changed(pair):
    """An equal wait registers nothing; a descriptor may be given twice."""
    ours, theirs = (sock.fileno() for sock in pair)
    poller = poller_module._Poll()
    assert poller.wait(((ours, READ), (theirs, READ)), 0) == ()
    kept = poller._current
    assert kept[0] == ((ours, READ), (theirs, READ))
    assert poller.wait(((ours, READ), (theirs, READ)), 0) == ()
    assert poller._current is kept
    assert poller.wait(((ours, WRITE), (ours, WRITE)), 0) == ((ours, WRITE),)
    assert poller.wait(((theirs, WRITE),), 0) == ((theirs, WRITE),)
    assert poller._current[0] == ((theirs, WRITE),)


@needs_poll
@pytest.mark.parametrize('next_one', ['before', 'after'])
@pytest.mark.parametrize('which', [0, 1])
def test_poll_registers_again_what_ctrl_c_has_cut_off(pair, monkeypatch, which, next_one):
    ours, theirs = (sock.fileno() for sock in pair)
    before, after = ((ours, WRITE),), ((theirs, WRITE), (ours, READ))
    poller = poller_module._Poll()
    assert poller.wait(before, 0) == before
    made = select.poll

    class Cut(object):
        def __init__(self):
            self.poll, self.count = made(), 0

        def register(self, fd, bits):
            self.count += 1
            if self.count > which:
                raise KeyboardInterrupt
            self.poll.register(fd, bits)

    monkeypatch.setattr(select, 'poll', Cut)
    with pytest.raises(KeyboardInterrupt):
        poller.wait(after, 0)
    monkeypatch.setattr(select, 'poll', made)
    if next_one == 'before':
        assert poller.wait(before, 0) == before
    assert poller.wait(after, 0) == ((theirs, WRITE),)


@needs_poll
def test_poll_of_a_signal_handler_in_the_middle(pair, monkeypatch):
    """A signal handler may use the same poller; the outer wait is not affected."""
    ours, theirs = (sock.fileno() for sock in pair)
    poller, made = poller_module._Poll(), select.poll

    class Nested(object):
        def __init__(self):
            self.real = made()
            self.poll = self.real.poll

        def register(self, fd, bits):
            self.real.register(fd, bits)
            monkeypatch.setattr(select, 'poll', made)
            assert poller.wait(((ours, READ | WRITE), (theirs, WRITE)), 0) == ((ours, WRITE), (theirs, WRITE))

    monkeypatch.setattr(select, 'poll', Nested)
    start = monotonic()
    assert poller.wait(((ours, READ), (theirs, READ)), 0.03) == ()
    assert poller.wait(((ours, READ), (theirs, READ)), 0.03) == ()
    assert monotonic() - start >= 0.05          # it does not return for what only the handler waited for


@needs_poll
def test_poll_says_more_than_was_asked(monkeypatch):
    """Some systems report POLLIN when only writing was asked for."""
    class Fake(object):
        def poll(self, timeout):
            assert timeout == 1000
            return [(5, select.POLLIN), (6, select.POLLOUT | select.POLLIN)]

        def register(self, fd, bits):
            pass
    monkeypatch.setattr(select, 'poll', Fake)
    poller = poller_module._Poll()
    assert poller.wait(((5, WRITE), (6, WRITE)), 1) == ((6, WRITE),)


@pollers
@pytest.mark.parametrize('number', [errno.EINTR, errno.EINVAL])
def test_interruption(monkeypatch, make, number):
    """On 2.7 a signal ends the wait and nothing else; other errors are raised."""
    def fail(*args):
        raise OSError(number, os.strerror(number))

    class Fake(object):
        def register(self, fd, bits):
            pass

        def poll(self, timeout):
            fail()

    monkeypatch.setattr(poller_module.select, 'poll', Fake, raising=False)
    poller = make()
    monkeypatch.setattr(poller_module.select, 'select', fail)
    if number == errno.EINTR:
        assert poller.wait(((5, READ),), 1) == ()
    else:
        with pytest.raises(OSError):
            poller.wait(((5, READ),), 1)


@on_posix
@pollers
def test_signal(make, pair):
    """The handler runs at once; the wait continues or ends early."""
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *args: seen.append(monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        start = monotonic()
        assert make().wait(((pair[0].fileno(), READ),), 0.1) == ()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(seen) == 1 and seen[0] - start < 0.09


def test_select_without_end(monkeypatch):
    """Windows rejects three empty lists."""
    slept = []
    monkeypatch.setattr(poller_module.time, 'sleep', slept.append)
    assert poller_module._Select().wait((), None) == ()
    assert poller_module._Select().wait(((5, 0),), 3) == ()
    assert slept == [poller_module.LONGEST, 3]


def test_select_and_a_refusal(monkeypatch):
    """On Windows a refused connect shows in the third list."""
    monkeypatch.setattr(poller_module.select, 'select', lambda reads, writes, errors, timeout: ([], [], [5]))
    assert poller_module._Select().wait(((5, READ | WRITE),), 1) == ((5, WRITE),)


def test_poller_is_looked_up_when_it_is_made(monkeypatch):
    """gevent removes poll."""
    if hasattr(select, 'poll'):
        assert isinstance(poller_module.new_poller(), poller_module._Poll)
        monkeypatch.delattr(select, 'poll')
    assert isinstance(poller_module.new_poller(), poller_module._Select)


# -- many descriptors

class FakeKqueue(object):
    """What select.kqueue does, by poll(); so this can be tested anywhere."""

    def __init__(self):
        self.filters, self.is_open = set(), True

    def control(self, changes, most, timeout=None):
        for fd, kind, flag in changes or ():
            if flag == 'delete' and (fd, kind) not in self.filters:
                raise OSError(errno.ENOENT, 'no such filter')
            try:
                os.fstat(fd)
            except OSError:                     # closing it has removed its filters
                self.filters = set(each for each in self.filters if each[0] != fd)
                raise
            (self.filters.add if flag == 'add' else self.filters.remove)((fd, kind))
        waits = [(fd, READ if kind == 'read' else WRITE) for fd, kind in self.filters]
        found = [(fd, kind) for wait in waits for fd, kind in
                 (poller_module._Poll().wait((wait,), 0) if most else ())]
        if not found and most:
            time.sleep(timeout)
        return [Event(fd, 'read' if mask == READ else 'write') for fd, mask in found]

    def close(self):
        self.is_open = False


class Event(object):
    def __init__(self, ident, kind):
        self.ident, self.filter = ident, kind


@pytest.fixture(params=['epoll', 'kqueue', 'poll', 'select'])
def many(request, monkeypatch):
    """Each poller of many, as it is chosen where it is the best."""
    names = ['epoll', 'kqueue', 'poll']
    for name in names:
        if name == request.param or request.param == 'kqueue':
            break
        monkeypatch.delattr(select, name, raising=False)
    if request.param == 'kqueue':
        if not hasattr(select, 'poll'):
            pytest.skip('no poll to imitate it with')
        monkeypatch.delattr(select, 'epoll', raising=False)
        monkeypatch.setattr(select, 'kqueue', FakeKqueue, raising=False)
        monkeypatch.setattr(select, 'kevent', lambda *change: change, raising=False)
        for name in ('EV_ADD', 'EV_DELETE', 'FILTER_READ', 'FILTER_WRITE'):
            monkeypatch.setattr(select, 'KQ_' + name, name.split('_')[1].lower(), raising=False)
    elif request.param != 'select' and not hasattr(select, request.param):
        pytest.skip('this system has none')
    poller = poller_module.new_poller_of_many()
    assert type(poller).__name__.lower() == request.param + 'ofmany'
    yield poller
    poller.close()
    assert not poller.asked


def test_many_descriptors(many, pair):
    """Registered, changed and forgotten; nothing is ready that was not asked for."""
    ours, theirs = (sock.fileno() for sock in pair)
    many.forget(ours)                           # never registered
    many.register(ours, READ)
    assert many.wait(0) == [] and many.limit is None
    many.register(theirs, WRITE)
    many.register(theirs, WRITE)
    assert many.wait(1) == [(theirs, WRITE)]
    pair[1].sendall(b'x')
    assert sorted(many.wait(1)) == sorted([(ours, READ), (theirs, WRITE)])
    many.register(ours, READ | WRITE)
    many.register(theirs, 0)
    assert many.wait(1) == [(ours, READ | WRITE)] and many.asked == {ours: READ | WRITE, theirs: 0}
    many.register(ours, WRITE)
    assert many.wait(1) == [(ours, WRITE)]
    many.forget(ours)
    pair[0].close()                             # a hang-up of the other one, which asks for nothing
    start = monotonic()
    assert many.wait(0.0304) == [] and monotonic() - start >= 0.0304 and many.asked == {theirs: 0}
    many.register(theirs, READ)
    assert many.wait(1) == [(theirs, READ)]


def test_many_and_what_is_closed(many):
    """What the system refuses counts as ready; a number may be used again."""
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    many.register(-1, READ)
    assert many.wait(1) == [(-1, READ)]
    many.register(-1, 0)
    many.register(theirs.fileno(), READ)
    many.register(number, READ)
    ours.close()                                # without forget()
    many.forget(number)
    many.register(number, WRITE)
    assert many.wait(1)[:1] == [(theirs.fileno(), READ)] or (number, WRITE) in many.wait(1)
    for fd in (number, -1, theirs.fileno()):
        many.forget(fd)
    assert many.wait(0) == [] and not many.asked
    theirs.close()


@needs_poll
@pytest.mark.parametrize('name', ['epoll', 'poll'])
def test_number_of_a_closed_descriptor(monkeypatch, name):
    """Somebody has closed a descriptor behind our back; now the number is another's."""
    if name == 'poll':
        monkeypatch.delattr(select, 'epoll', raising=False)
    many = poller_module.new_poller_of_many()
    ours, theirs = socket.socketpair()
    many.register(ours.fileno(), READ)
    number = os.dup(theirs.fileno())
    os.dup2(number, ours.fileno())
    many.register(ours.fileno(), WRITE)
    assert many.wait(1) == [(ours.fileno(), WRITE)]
    os.close(number)
    ours.close()
    theirs.close()


def test_many_and_a_signal(many, pair):
    """EINTR of 2.7 ends a wait; another error is raised."""
    def fail(timeout):
        raise OSError(numbers.pop(), 'of the wait')
    numbers = [errno.EINVAL, errno.EINTR]
    many._wait = fail
    assert many.wait(1) == []
    with pytest.raises(OSError):
        many.wait(1)
    many._change = lambda *change: fail(0)
    numbers.append(errno.ENOSPC)
    with pytest.raises(OSError):                # there is no room to wait for more
        many.register(pair[0].fileno(), READ)


def test_limit_of_windows(monkeypatch, pair):
    """select() takes 512 there: 500 connections, and what they need to be made."""
    asked = []

    def refuse_many(readers, writers, others, timeout):
        asked.append(len(readers))
        if len(readers) > 1:
            raise ValueError('too many file descriptors in select()')
        return real(readers, writers, others, timeout)
    real = select.select
    monkeypatch.setattr(poller_module, 'IS_WINDOWS', True)
    monkeypatch.setattr(select, 'select', refuse_many)
    many = poller_module.SelectOfMany()
    assert many.limit == 500
    for sock in pair:
        many.register(sock.fileno(), READ)
    assert many.wait(0.001) == []
    pair[1].sendall(b'x')
    assert many.wait(1) == [(pair[0].fileno(), READ)] and asked == [2, 1, 1] * 2


# -- a session's waiting

class Recorder(object):
    """A poller that records its timeouts."""

    def __init__(self):
        self.timeouts = []

    def wait(self, waits, timeout):
        self.timeouts.append(timeout)
        return ()


def test_deadlines(monkeypatch):
    wait = Waiting()
    wait._poller = recorder = Recorder()
    monkeypatch.setattr(wait, 'monotonic', lambda: 100.0)
    for deadline in (None, 100.0, 99.0, 101.5, 1e9, float('inf')):
        assert wait.wait((), deadline) == ()
    longest = poller_module.LONGEST
    assert recorder.timeouts == [longest, 0, 0, 1.5, longest, longest]
    # The milliseconds that poll() gets must fit in a C int.
    assert math.ceil(poller_module.LONGEST * 1000) < 2 ** 31


def test_wake_from_another_thread():
    wait = Waiting()
    start = monotonic()
    threading.Timer(0.05, wait.wake).start()
    ready = wait.wait(wait.wake_waits, start + 10)
    assert ready == wait.wake_waits
    assert monotonic() - start < 5
    wait.clear()
    assert wait.wait(wait.wake_waits, monotonic()) == ()
    wait.close()


def test_clocks():
    wait = Waiting()
    assert abs(wait.time() - time.time()) < 5
    first = wait.monotonic()
    assert wait.monotonic() >= first


def test_closed():
    """A late wake() of another thread does nothing to a reused descriptor."""
    wait = Waiting()
    wait.wake()                             # nothing is open yet
    (fd, _), = wait.wake_waits
    wait.close()
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(fd)
    wait.wake()
    wait.clear()
    wait.close()
