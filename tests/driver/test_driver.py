"""The order in which the driver writes, ends its direction and reads."""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.streams import Parts, StandingStill

from lomond.driver.deadlines import Deadlines
from lomond.driver.driver import Driver
from lomond.events import Ready
from lomond.protocol.connection import CLIENT, SERVER, Connection
from lomond.response import Response

#: A frame with a reserved opcode; that of a client is masked.
BAD_FRAMES = {CLIENT: b'\x83\x00', SERVER: b'\x83\x80abcd'}


def open_driver(role, stream):
    """Return the driver of a connection that is open."""
    driver = Driver(Connection(role), stream, Deadlines(poll=1e6, ping_rate=None), StandingStill(), None)
    driver.lifecycle.before(Ready(Response(b'HTTP/1.1 101 x\r\n\r\n'), None, set()))
    return driver


def names_until_wait(live):
    """Return the names of the events before the driver waits."""
    return [event.name for event in iter(lambda: next(live), None)]


@pytest.mark.parametrize('role', [CLIENT, SERVER])
def test_our_direction_ends_only_after_the_close_frame_of_a_failure(role):
    """A peer that takes nothing yet must still learn why."""
    stream = Parts(BAD_FRAMES[role])
    stream.is_blocked = True
    live = open_driver(role, stream).live()
    assert names_until_wait(live) == ['poll', 'protocol_error']
    assert names_until_wait(live) == [] and stream.calls == []
    stream.is_blocked = False
    assert names_until_wait(live) == []
    assert stream.calls == ['send', 'shutdown_write']
