"""Deadlines of many connections: a heap that is looked at lazily."""

from __future__ import absolute_import, division, unicode_literals

from lomond.driver.members import Member, Timers


def test_timers():
    """Stale entries go when they are more than half; equal times are no problem."""
    timers = Timers()
    records = [Member(number, None) for number in range(10)]
    for record in records:
        timers.push(5.0, record)
        timers.push(7.0, record)        # later: the first entry will lead to it
    assert len(timers.heap) == 10 and timers.stale == 0
    for when in (4.0, 3.0, 2.0):
        for record in records:
            timers.push(when, record)
            assert timers.stale * 2 <= len(timers.heap)
    for record in records[:9]:
        timers.drop(record)
        timers.drop(record)
    assert len(timers.heap) <= 2
    found = [timers.pop() for _ in range(len(timers.heap))]
    assert [record for record in found if record] == records[9:] and timers.stale == 0


def test_first_entry_that_is_stale():
    timers, records = Timers(), [Member(number, None) for number in range(4)]
    for when, record in enumerate(records):
        timers.push(when, record)
    timers.drop(records[0])
    assert timers.stale == 1 and timers.pop() is None
    assert timers.stale == 0 and timers.pop() is records[1]


def test_member_of_no_loop():
    """Its session may wake it before it joins, and close its socket after it has left."""
    member = Member(1, None)
    member.wake()
    member.forget(5)
    assert not member.is_woken
