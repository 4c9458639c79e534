"""The order in which the driver writes, ends its direction and reads."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond.driver.deadlines import Deadlines
from lomond.driver.driver import Driver
from lomond.events import Ready
from lomond.network.poller import READ, WRITE
from lomond.protocol.connection import CLIENT, SERVER, Connection
from lomond.response import Response

#: A frame with a reserved opcode; that of a client is masked.
BAD_FRAMES = {CLIENT: b'\x83\x00', SERVER: b'\x83\x80abcd'}


class Waiting(object):
    """A clock that stands still."""

    def fileno(self):
        return 6

    def monotonic(self):
        return 100.0

    def time(self):
        return 1e9

    def wake(self):
        pass


class Stream(object):
    """Gives some bytes, then nothing; takes nothing while it is blocked."""

    recv_wants, send_wants = READ, WRITE
    is_tls = is_buffered = poll_tells_all = False

    def __init__(self, *parts):
        self.parts = list(parts)
        self.is_blocked = False
        self.calls = []

    def fileno(self):
        return 5

    def send(self, data):
        if self.is_blocked:
            return None
        self.calls.append('send')
        return len(data)

    def flush(self):
        return True

    def recv_into(self, place):
        if not self.parts:
            return None
        part = self.parts.pop(0)
        place[:len(part)] = part
        return len(part)

    def shutdown_write(self):
        self.calls.append('shutdown_write')


def open_driver(role, stream):
    """Return the driver of a connection that is open."""
    driver = Driver(Connection(role), stream, Deadlines(poll=1e6, ping_rate=None), Waiting(), None)
    driver.lifecycle.before(Ready(Response(b'HTTP/1.1 101 x\r\n\r\n'), None, set()))
    return driver


def names_until_wait(live):
    """Return the names of the events before the driver waits."""
    return [event.name for event in iter(lambda: next(live), None)]


@pytest.mark.parametrize('role', [CLIENT, SERVER])
def test_our_direction_ends_only_after_the_close_frame_of_a_failure(role):
    """A peer that takes nothing yet must still learn why."""
    stream = Stream(BAD_FRAMES[role])
    stream.is_blocked = True
    live = open_driver(role, stream).live()
    assert names_until_wait(live) == ['poll', 'protocol_error']
    assert names_until_wait(live) == [] and stream.calls == []
    stream.is_blocked = False
    assert names_until_wait(live) == []
    assert stream.calls == ['send', 'shutdown_write']
