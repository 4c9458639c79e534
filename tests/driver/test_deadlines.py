"""Deadlines as tables of (now, what is due); behaviour.md, section 6.  No clock is read."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond.driver.deadlines import (
    CLOSE_TIMEOUT,
    DISCARD_TIMEOUT,
    DISCARD_WAIT,
    ECHO_TIMEOUT,
    ECHO_WAIT,
    PING,
    PING_TIMEOUT,
    POLL,
    SEND_LOOK,
    Deadlines,
)


def started(at=100.0, **settings):
    deadlines = Deadlines(**settings)
    deadlines.start(at)
    return deadlines


def polled(facts, poll=1000, ping_rate=None, **settings):
    """Deadlines after the first Poll, with these facts."""
    deadlines = started(poll=poll, ping_rate=ping_rate, **settings)
    deadlines.polled(100)
    for name, value in facts.items():
        setattr(deadlines, name, value)
    return deadlines


def run(deadlines, times):
    """What is due at each of the times, done as the session does it."""
    done = []
    for now in times:
        what = deadlines.due(now)
        while what is not None:
            done.append((now, what))
            if what not in (POLL, PING):
                return done
            (deadlines.polled if what == POLL else deadlines.pinged)(now)
            what = deadlines.due(now)
    return done


def test_nothing_before_ready():
    assert Deadlines().next_deadline() is None
    assert Deadlines().due(1e9) is None


def test_no_polls():
    deadlines = started(poll=None, ping_rate=None)
    assert deadlines.next_deadline() is deadlines.due(1e9) is None


def test_first_ping_of_a_server():
    deadlines = Deadlines(poll=None, ping_rate=30)
    deadlines.start(100, ping_at_once=False)
    assert run(deadlines, [100, 129.9, 130, 159, 160]) == [(130, PING), (160, PING)]
    deadlines = Deadlines(poll=None, ping_rate=None)
    deadlines.start(100, ping_at_once=False)
    assert deadlines.next_deadline() is None


def test_defaults():
    deadlines = Deadlines()
    assert (deadlines.poll, deadlines.ping_rate) == (5.0, 30.0)
    assert (deadlines.ping_timeout, deadlines.close_timeout) == (None, 30.0)
    assert (ECHO_WAIT, DISCARD_WAIT) == (30.0, 0.5)


@pytest.mark.parametrize('value', [10 ** 400, float('inf')])
def test_times_that_no_clock_can_hold(value):
    facts = dict(oldest_ping=100, closed_at=100)
    deadlines = polled(facts, value, value, ping_timeout=value, close_timeout=value)
    assert deadlines.next_deadline() > 9e9 and deadlines.due(1e9) is None


def test_poll_and_ping_at_ready():
    """The first of both right after Ready, the Poll before."""
    deadlines = started()
    assert deadlines.next_deadline() == 100.0
    assert run(deadlines, [100.0, 100.0]) == [(100.0, POLL), (100.0, PING)]
    assert deadlines.next_deadline() == 105.0


@pytest.mark.parametrize('settings, times, expected', [
    # every `poll` seconds
    (dict(poll=5, ping_rate=None), [100, 104.9, 105, 109, 111, 115.9, 116],
     [(100, POLL), (105, POLL), (111, POLL), (116, POLL)]),
    # independent of each other: pings every second, though Poll is far away
    (dict(poll=30, ping_rate=1), [100, 100.5, 101, 102, 103],
     [(100, POLL), (100, PING), (101, PING), (102, PING), (103, PING)]),
    # counted from now: no bursts after a pause
    (dict(poll=1, ping_rate=2), [100, 120, 120.5, 121, 122],
     [(100, POLL), (100, PING), (120, POLL), (120, PING), (121, POLL), (122, POLL), (122, PING)]),
    # no pings
    (dict(poll=5, ping_rate=0), [100, 1000], [(100, POLL), (1000, POLL)]),
    (dict(poll=5, ping_rate=None), [100, 1000], [(100, POLL), (1000, POLL)]),
    # a clock that stands still
    (dict(poll=.5, ping_rate=.5), [100, 100, 100], [(100, POLL), (100, PING)]),
])
def test_poll_and_ping(settings, times, expected):
    assert run(started(100, **settings), times) == expected


def test_tiny_ping_rate():
    """``now + 1e-9`` is ``now`` to a clock that has run for a while: a ping without end."""
    deadlines = started(at=1e9, poll=50, ping_rate=1e-9)
    deadlines.pinged(1e9)
    assert deadlines.next_ping > 1e9


def test_stop_pings():
    deadlines = started(poll=50, ping_rate=1)
    run(deadlines, [100])
    deadlines.stop_pings()
    assert run(deadlines, [110, 149]) == []
    assert deadlines.next_deadline() == 150


@pytest.mark.parametrize('ping_timeout, closed_at', [(None, None), (60, None), (None, 100), (60, 100)])
def test_next_ping_is_a_deadline(ping_timeout, closed_at):
    """Whatever else there is to wait for."""
    deadlines = polled(dict(closed_at=closed_at), poll=30, ping_rate=1, ping_timeout=ping_timeout)
    deadlines.pinged(100)
    assert deadlines.next_deadline() == 101


# sent: when the oldest unanswered ping was; received: the newest bytes
@pytest.mark.parametrize('ping_timeout, oldest, received, deadline', [
    (None, 100, 100, None), (0, 100, 100, None), (2, None, 100, None),
    (2, 100, 100, 102), (2, 100, 90, 102), (2, 100, 101.5, 103.5), (60, 110, 105, 170)])
def test_ping_timeout(ping_timeout, oldest, received, deadline):
    """From the oldest unanswered ping; any byte since is life."""
    deadlines = polled(dict(oldest_ping=oldest, last_received=received), ping_timeout=ping_timeout)
    assert deadlines.ping_deadline() == deadline
    assert deadlines.next_deadline() == (1100 if deadline is None else deadline)
    if deadline is not None:
        assert deadlines.due(deadline - .001) is None
        assert deadlines.due(deadline) == PING_TIMEOUT
        # Not before everything that has arrived was handed out.
        assert deadlines.due(deadline, idle=False) is None


def test_ping_timeout_of_a_ping_that_cannot_be_written():
    """A ping that is due but waits in the queue counts from when it was due."""
    deadlines = started(poll=1000, ping_rate=1, ping_timeout=3)
    assert run(deadlines, [100, 101, 102, 102.9, 103]) == [
        (100, POLL), (100, PING), (101, PING), (102, PING), (103, PING), (103, PING_TIMEOUT)]


def test_download_is_life():
    deadlines = started(poll=1000, ping_rate=10, ping_timeout=2)
    for now in range(100, 160):
        deadlines.last_received = now
        assert PING_TIMEOUT not in [what for _, what in run(deadlines, [now, now + 1.9])]
    assert run(deadlines, [161])[-1] == (161, PING_TIMEOUT)


@pytest.mark.parametrize('close_timeout, closed, deadline', [
    (30.0, 105, 135), (.5, 105, 105.5), (None, 105, None), (0, 105, None), (30, None, None)])
def test_close_timeout(close_timeout, closed, deadline):
    """From the call of close(); None or 0: never."""
    deadlines = polled(dict(closed_at=closed), close_timeout=close_timeout)
    if deadline is None:
        assert deadlines.close_deadline() == (None, None)
        assert run(deadlines, [1000]) == []
    else:
        assert deadlines.close_deadline() == (deadline, CLOSE_TIMEOUT)
        assert deadlines.next_deadline() == deadline
        assert deadlines.due(deadline - .001) is None
        assert deadlines.due(deadline) == deadlines.due(deadline, False) == CLOSE_TIMEOUT


@pytest.mark.parametrize('close_timeout, deadline', [(5, 110), (None, 105 + ECHO_WAIT), (0, 105 + ECHO_WAIT)])
def test_echo_timeout(close_timeout, deadline):
    """Our echo, TCP left open: close_timeout, and 30 s where that is no limit."""
    deadlines = polled(dict(closed_at=102, echoed_at=105), close_timeout=close_timeout)
    assert deadlines.close_deadline() == (deadline, ECHO_TIMEOUT)


def test_discard_timeout_comes_first():
    """After a failure input is thrown away for half a second, whatever else was under way."""
    deadlines = polled(dict(oldest_ping=100, closed_at=100, echoed_at=100, failed_at=200),
                       ping_timeout=.1, close_timeout=.1)
    assert deadlines.close_deadline() == (200 + DISCARD_WAIT, DISCARD_TIMEOUT)
    assert deadlines.ping_deadline() is None
    assert run(deadlines, [200, 200.4, 200.5]) == [(200.5, DISCARD_TIMEOUT)]


@pytest.mark.parametrize('facts, times, due', [
    # After the echo, the server may leave TCP open for close_timeout; its pong will not come.
    (dict(echoed_at=101), [110, 130.9, 131], (131, ECHO_TIMEOUT)),
    # While the answer to close() is awaited, both limits hold.
    (dict(closed_at=101), [101.9, 102], (102, PING_TIMEOUT))])
def test_missing_pong_while_closing(facts, times, due):
    deadlines = polled(dict(facts, oldest_ping=100), ping_timeout=2, close_timeout=30)
    assert run(deadlines, times) == [due]


def test_most_urgent_first():
    """An end comes before a Poll, a Poll before a ping, a ping before the judgement of the last one."""
    deadlines = started(poll=1, ping_rate=1, ping_timeout=1, close_timeout=1)
    deadlines.oldest_ping = 100
    assert run(deadlines, [101]) == [(101, POLL), (101, PING), (101, PING_TIMEOUT)]
    deadlines.closed_at = 100
    assert deadlines.due(200) == deadlines.due(200, idle=False) == CLOSE_TIMEOUT


def test_polls_go_on_while_closing():
    deadlines = started(poll=1, ping_rate=None, close_timeout=3)
    deadlines.closed_at = 100
    assert run(deadlines, [100, 101, 102, 103]) == [
        (100, POLL), (101, POLL), (102, POLL), (103, CLOSE_TIMEOUT)]


@pytest.mark.parametrize('changes, deadline', [
    ({}, 105), (dict(next_poll=200), 130), (dict(next_ping=101), 101),
    (dict(oldest_ping=99, ping_timeout=1), 101),
    (dict(closed_at=100, close_timeout=2), 102), (dict(failed_at=100), 100.5),
    (dict(echoed_at=100, close_timeout=1), 101),
])
def test_next_deadline(changes, deadline):
    deadlines = started()
    run(deadlines, [100])
    deadlines.oldest_ping = None
    for name, value in changes.items():
        setattr(deadlines, name, value)
    assert deadlines.next_deadline() == deadline


# -- what the loop has to write

@pytest.mark.parametrize('facts, expected, due_at', [
    (dict(stalled_at=100.0), 101.0, 101.0),                             # a quarter of send_timeout
    (dict(stalled_at=100.0, looked_at=102.5), 103.5, 103.5),
    (dict(stalled_at=100.0, looked_at=103.9), 104.0, 104.0),            # all of it
    (dict(stalled_at=105.0, looked_at=101.0), 106.0, 106.0),            # something went meanwhile
    (dict(stalled_at=100.0, send_timeout=None), 1100.0, None),
    (dict(stalled_at=None, looked_at=102.0), 1100.0, None),
    (dict(stalled_at=100.0, closed_at=100.5), 130.5, None),             # the closing has its own limit
    (dict(stalled_at=100.0, closed_at=100.5, close_timeout=None), 1100.0, None),
    (dict(stalled_at=100.0, failed_at=100.0), 100.5, None),
    (dict(stalled_at=100.0, ping_timeout=3.0, oldest_ping=100.0), 101.0, 101.0),
])
def test_what_the_peer_does_not_take(facts, expected, due_at):
    deadlines = polled(dict(dict(send_timeout=4.0), **facts))
    assert deadlines.next_deadline() == expected
    if due_at is None:
        assert deadlines.due(110.0, False) != SEND_LOOK
    else:
        assert deadlines.due(due_at - 0.01, False) is None and deadlines.due(due_at, False) == SEND_LOOK
