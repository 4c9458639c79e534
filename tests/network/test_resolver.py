"""Lookups in threads: shared, queued, abandoned, after a fork."""

from __future__ import absolute_import, division, unicode_literals

import gc
import importlib
import os
import socket
import sys
import threading

import pytest

import lomond
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


def nothing_yet():
    """Called when the lookup is done, after what the test is about."""


def is_empty():
    table = resolver._table
    return not (table.places or table.known or table.queue)


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


def test_addresses_of_a_resolver_that_was_patched_early(monkeypatch):
    """The module is imported by the first connection; what it finds then need not be
    the standard function.
    """
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *args: [ADDRESS])
    assert resolver.numeric_address('192.0.2.7', 80) is None
    monkeypatch.setattr(lomond.network, 'resolver', resolver)       # to be put back
    monkeypatch.delitem(sys.modules, resolver.__name__)
    fresh = importlib.import_module(resolver.__name__)
    assert fresh is not resolver and fresh.numeric_address('192.0.2.7', 80) is None
    assert fresh.look_up('192.0.2.7', 80, nothing).addresses == [ADDRESS]


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
    assert is_empty()


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


LOCAL = ['127.0.0.1', '::1', 'localhost', 'LOCALHOST', 'localhost.', 'db.localhost']


@pytest.mark.parametrize('host', LOCAL)
def test_this_machine_is_found_while_lookups_hang(slow, host):
    """RFC 6761, 6.3: whoever asks for it waits behind nobody."""
    for number in range(2 * MOST_AT_A_TIME):
        look_up('n{}.test'.format(number), 80, nothing_yet)
    hung, slow.release = slow.release, threading.Event()
    slow.release.set()
    waker = Waker()
    lookup = look_up(host, 80, waker)
    waker.wait()
    assert lookup.addresses == [ADDRESS] and host in slow.asked
    hung.set()


@pytest.mark.parametrize('host', ['localhost.test', 'xlocalhost', 'localhost..', '10.in-addr.test'])
def test_other_names_queue(slow, host):
    for number in range(MOST_AT_A_TIME):
        look_up('n{}.test'.format(number), 80, nothing_yet)
    look_up(host, 80, nothing_yet)
    assert len(workers()) == MOST_AT_A_TIME and resolver._table.queue[-1].key[1] == host


def test_names_reach_the_thread_in_ascii(slow):
    waker = Waker()
    look_up('b\xfccher.test', 80, waker)
    slow.release.set()
    waker.wait()
    assert slow.asked == ['xn--bcher-kva.test']
    with pytest.raises(ValueError):
        look_up('\xfc..test', 80, nothing)


class NoThread(threading.Thread):
    error = RuntimeError

    def start(self):
        raise self.error("can't create new thread at interpreter shutdown")


@pytest.mark.parametrize('error', [RuntimeError, MemoryError] + ([__import__('thread').error] if PY2 else []))
def test_without_a_thread_it_is_done_here(slow, monkeypatch, error):
    monkeypatch.setattr(NoThread, 'error', error)
    monkeypatch.setattr(threading, 'Thread', NoThread)
    slow.release.set()
    for host in ('x.test', 'localhost'):
        lookup = look_up(host, 80, nothing)
        assert lookup.is_done and lookup.has_blocked and lookup.addresses == [ADDRESS]
    slow.answers['x.test'] = socket.gaierror(-2, 'no such name')
    assert look_up('x.test', 80, nothing).error is slow.answers['x.test']
    slow.answers['x.test'] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        look_up('x.test', 80, nothing)
    assert is_empty()


def test_who_joined_before_the_thread_failed(slow, monkeypatch):
    waker, joined = Waker(), []

    class Joined(NoThread):
        def start(self):
            joined.append(resolver._table.find((slow, 'x.test', 80), False, waker))
            super(Joined, self).start()
    monkeypatch.setattr(threading, 'Thread', Joined)
    slow.release.set()
    lookup = look_up('x.test', 80, nothing)
    assert joined == [lookup] and lookup.is_done and waker.calls == 1


class Interrupt(object):
    """Raise at the n-th line or call of this package, in this thread."""

    def __init__(self, number, error):
        self.left, self.error, self.where = number, error, None

    def __call__(self, frame, what, arg):
        if not frame.f_code.co_filename.startswith(os.path.dirname(os.path.abspath(lomond.__file__))):
            return None
        if what in ('line', 'call'):
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                self.where = frame.f_code.co_name, frame.f_lineno
                raise self.error
        return self


@pytest.mark.parametrize('has_threads', [True, False])
@pytest.mark.parametrize('error', [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize('host', ['x.test', 'localhost'])
@pytest.mark.ends
def test_interrupted_anywhere(slow, monkeypatch, has_threads, error, host):
    """Nothing stays registered, no lock stays taken: the next caller gets an answer."""
    slow.release.set()
    if not has_threads:
        monkeypatch.setattr(threading, 'Thread', NoThread)
    previous, number, has_ended = sys.gettrace(), 0, False
    while not has_ended:
        number += 1
        interrupt = Interrupt(number, error)
        sys.settrace(interrupt)
        try:
            look_up(host, 80, nothing_yet)
            has_ended = interrupt.left > 0
        except error:
            pass
        finally:
            sys.settrace(previous)
        waker = Waker()
        assert look_up(host, 80, waker).is_done or waker.wait() is None
        join_workers()
        assert is_empty(), interrupt.where
    assert number > 40


def test_threads_are_daemons(slow):
    look_up('x.test', 80, Waker())
    assert [thread.daemon for thread in workers()] == [True]


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_forked_child_asks_anew(slow):
    """A child has none of its parent's threads."""
    lookup = look_up('x.test', 80, Waker())
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
