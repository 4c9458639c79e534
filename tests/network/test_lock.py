"""The lock that no interrupt leaves taken."""

from __future__ import absolute_import, division, unicode_literals

import os
import time

import pytest
from support.client import in_thread
from support.interrupt import EVENTS, each_step

from lomond._compat import get_ident
from lomond.network.lock import LOOK_UP, Lock, new_gate


def counted(lock, log, name):
    """One use, by the pattern."""
    hold = [get_ident()]
    try:
        try:
            lock.take(hold)
            log.append(name)
        finally:
            lock.release(hold)
    finally:
        lock.release(hold)


@pytest.mark.parametrize('events', EVENTS)
@pytest.mark.parametrize('others', [[], [lambda: None]])
def test_interrupt_at_each_step(others, events, monkeypatch):
    """Of taking and giving back, when it is free, and when another one waits, and never comes."""
    monkeypatch.setattr('lomond.network.lock.acquire', lambda gate, seconds: False)

    def run(step):
        lock, log = Lock(), []
        lock.row.extend(others)
        try:
            with step:
                counted(lock, log, 'first')
        except KeyboardInterrupt:
            pass
        if lock.is_taken() or lock.row not in (others, []):
            return 'it is taken, or somebody waits'
        counted(lock, log, 'next')
    assert each_step(run, files=[os.path.join('network', 'lock.py')], events=(events,)) > 1


def test_first_come_first_served():
    lock, log, hold, threads = Lock(), [], [get_ident()], []
    lock.take(hold)
    for name in 'abc':
        threads.append(in_thread(counted, lock, log, name))
        while len(lock.row) < len(threads):
            time.sleep(0.001)
    assert not lock.try_take([0])
    start = time.time()
    lock.release(hold)
    for thread in threads:
        thread.join()
    assert log == ['a', 'b', 'c'] and time.time() - start < LOOK_UP / 2
    assert not lock.row and not lock.is_taken()


def test_thread_without_a_pause_does_not_keep_others_out():
    lock, log, over = Lock(), [], []

    def greedy():
        while not over:
            counted(lock, log, 'greedy')
    thread = in_thread(greedy)
    for _ in range(20):
        counted(lock, log, 'modest')
    over.append(True)
    thread.join()
    assert log.count('modest') == 20 and not lock.row


def test_releasing_again_does_not_touch_the_next_one():
    lock, first, second = Lock(), [1], [1]
    lock.take(first)
    lock.release(first)
    lock.take(second)
    lock.release(first)
    assert lock.is_taken() and not lock.try_take(first)


def test_is_mine():
    lock, hold = Lock(), [get_ident()]
    assert not lock.is_mine()
    lock.take(hold)
    other = in_thread(lock.is_mine)
    other.join()
    assert lock.is_mine() and other.result is False


def test_left_by_this_thread_itself():
    """No frame of it gives it back any more: the next use has it."""
    lock, log = Lock(), []
    lock.take([get_ident()])
    counted(lock, log, 'next')
    assert log == ['next'] and not lock.is_taken()


def test_gate():
    wake, pause = new_gate()
    assert pause(0.01) is False
    wake()
    assert pause(5) is True and pause(0) is False
