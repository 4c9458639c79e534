"""Lookups in threads: shared, queued, abandoned, after a fork."""

from __future__ import absolute_import, division, unicode_literals

import gc
import os
import socket
import threading

import pytest

from lomond._compat import PY2
from lomond.network import resolver
from lomond.network.resolver import MOST_AT_A_TIME, TooManyLookups, look_up

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 6, '', ('192.0.2.1', 80))


class Resolver(object):
    """A ``getaddrinfo`` that answers when told to."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        self.release = threading.Event()

    def __call__(self, host, port, family=0, kind=0):
        assert type(host) is str and family == 0 and kind == socket.SOCK_STREAM
        self.asked.append(host)
        assert self.release.wait(5)
        answer = self.answers.get(host, [ADDRESS])
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def slow(monkeypatch):
    """A fresh table, and a resolver that waits to be released."""
    monkeypatch.setattr(resolver, '_table', resolver._Table())
    slow = Resolver()
    monkeypatch.setattr(socket, 'getaddrinfo', slow)
    yield slow
    slow.release.set()
    join_workers()


def workers():
    return [thread for thread in threading.enumerate() if thread.name == 'lomond-resolver']


def join_workers():
    for thread in workers():
        thread.join(5)


class Waker(object):
    """A callable that records that a lookup is done."""

    def __init__(self):
        self.event = threading.Event()
        self.calls = 0

    def __call__(self):
        self.calls += 1
        self.event.set()

    def wait(self):
        assert self.event.wait(5)


def looked_up():
    """Look up x.test and wait for the answer."""
    waker = Waker()
    lookup = look_up('x.test', 80, waker)
    waker.wait()
    return lookup


def nothing():
    raise AssertionError('nobody waits')


@pytest.mark.parametrize('host', ['127.0.0.1', '::1'])
def test_addresses_need_no_thread(host):
    lookup = look_up(host, 80, nothing)
    assert lookup.is_done and lookup.error is None
    assert lookup.addresses[0][4][:2] == (host, 80)
    assert workers() == []


def test_zone_that_is_none():
    lookup = look_up('fe80::1%nosuch', 80, nothing)
    assert lookup.is_done
    assert lookup.error is None or isinstance(lookup.error, socket.gaierror)


def test_addresses_of_a_patched_resolver(slow):
    """If ``getaddrinfo`` was replaced, the replacement is called, and may hang."""
    waker = Waker()
    lookup = look_up('127.0.0.1', 80, waker)
    assert not lookup.is_done
    slow.release.set()
    waker.wait()
    assert (lookup.is_done, lookup.addresses, lookup.error) == (True, [ADDRESS], None)
    assert slow.asked == ['127.0.0.1']


@pytest.mark.parametrize('answer', [
    socket.gaierror(-2, 'no such name'), UnicodeError('label too long'), KeyboardInterrupt(), []])
def test_errors(slow, answer):
    slow.answers['x.test'] = answer
    slow.release.set()
    lookup = looked_up()
    assert lookup.addresses is None
    if answer:
        assert lookup.error is answer
    else:
        assert isinstance(lookup.error, socket.gaierror) and 'no address' in str(lookup.error)


def test_joined(slow):
    """All callers with the same (host, port) share a lookup, and may leave it."""
    wakers = [Waker() for _ in range(3)]
    lookups = [look_up('x.test', 80, waker) for waker in wakers]
    other = look_up('x.test', 81, Waker())
    assert lookups[0] is lookups[1] is lookups[2] is not other
    lookups[1].leave(wakers[1])
    lookups[1].leave(wakers[1])
    slow.release.set()
    wakers[0].wait()
    wakers[2].wait()
    assert [waker.calls for waker in wakers] == [1, 0, 1]
    assert slow.asked == ['x.test'] * 2
    lookups[0].leave(wakers[0])         # too late to have an effect
    # The lookup is done, so the next caller starts a new one.
    assert look_up('x.test', 80, Waker()) is not lookups[0]


def test_joined_only_when_the_resolver_is_the_same(slow, monkeypatch):
    first = look_up('x.test', 80, Waker())
    monkeypatch.setattr(socket, 'getaddrinfo', Resolver())
    socket.getaddrinfo.release.set()
    assert looked_up() is not first


def test_more_wait_for_their_turn(slow):
    """Twenty connections at once all get their answer."""
    wakers = [Waker() for _ in range(20)]
    lookups = [look_up('n{}.test'.format(number), 80, waker) for number, waker in enumerate(wakers)]
    assert len(workers()) == MOST_AT_A_TIME
    # One in the queue leaves: its name is never looked up.
    lookups[15].leave(wakers[15])
    slow.release.set()
    for number, waker in enumerate(wakers):
        if number != 15:
            waker.wait()
            assert lookups[number].addresses == [ADDRESS]
    assert len(slow.asked) == 19 and 'n15.test' not in slow.asked
    assert not lookups[15].is_done
    join_workers()
    assert resolver._table.running == 0 and not resolver._table.known and not resolver._table.queue


def test_left_behind(slow):
    """While eight abandoned lookups hang, no further one is started."""
    waker = Waker()
    lookups = [look_up('n{}.test'.format(number), 80, waker) for number in range(MOST_AT_A_TIME)]
    for lookup in lookups:
        lookup.leave(waker)
    with pytest.raises(TooManyLookups) as caught:
        look_up('x.test', 80, waker)
    assert str(caught.value) == '8 name lookups are hanging; no further one is started'
    assert look_up('n3.test', 80, waker) is lookups[3]
    # A caller waits for one of them again, so new lookups may queue.
    later = Waker()
    lookup = look_up('x.test', 80, later)
    assert len(workers()) == MOST_AT_A_TIME
    slow.release.set()
    waker.wait()
    later.wait()
    assert lookup.addresses == [ADDRESS]
    assert waker.calls == 1


def test_no_more_threads(slow, monkeypatch):
    class Thread(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")
    monkeypatch.setattr(threading, 'Thread', Thread)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            look_up('x.test', 80, nothing)
    assert resolver._table.running == 0 and not resolver._table.known


def test_threads_are_daemons(slow):
    look_up('x.test', 80, Waker())
    assert [thread.daemon for thread in workers()] == [True]


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_forked_child_asks_anew(slow):
    """A child has none of its parent's threads, and the lock may be held forever."""
    lookup = look_up('x.test', 80, Waker())
    resolver._table.lock.acquire()
    child = os.fork()
    if not child:
        status = 1
        try:
            socket.getaddrinfo = Resolver()
            socket.getaddrinfo.release.set()
            found = looked_up()
            status = 0 if found is not lookup and found.addresses == [ADDRESS] else 2
        finally:
            os._exit(status)
    resolver._table.lock.release()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(PY2, reason='errors of 2.7 have no traceback')
def test_no_cycle_stays(slow):
    """A failed lookup is freed without the garbage collector."""
    slow.answers['x.test'] = socket.gaierror(-2, 'no such name')
    slow.release.set()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            looked_up()
            join_workers()
        slow.answers.clear()
        assert not [found for found in gc.get_objects() if isinstance(found, resolver.Lookup)]
    finally:
        gc.enable()
