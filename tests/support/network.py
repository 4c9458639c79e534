"""One connection over the network, and what the tests of connecting assert of it."""

from __future__ import absolute_import, division, unicode_literals

import os
import re
import time

import pytest

from lomond import WebSocket
from lomond.session import WebsocketSession

from .client import SLACK, Played, bare
from .interpreters import collect_what_is_not_counted

#: The time limit of whatever never ends (seconds).
LIMIT = 0.25

GOOD = ['connecting', 'connected', 'ready', 'text', 'closing', 'disconnected']
FAILED = ['connecting', 'connect_fail']


class Run(Played):
    """The events of one connection, in order, without Poll; ``names`` is a list.

    :param websocket: the WebSocket
    :param actions: keyword by name of an event: what to call then, with the WebSocket
    """

    names = None

    def __init__(self, websocket, connect_timeout=4.0, session_class=WebsocketSession, **actions):
        handlers = dict((name, _bind(websocket, action)) for name, action in actions.items())
        super(Run, self).__init__(websocket, handlers, session_class=session_class, poll=60, ping_rate=30,
                                  connect_timeout=connect_timeout)
        self.events = [event for event in self.events if event.name != 'poll']
        self.names = [event.name for event in self.events]

    def __getitem__(self, name):
        """The one event of that name."""
        return self.one(name)


def _bind(websocket, action):
    return lambda event: action(websocket)


def run(url, connect_timeout=4.0, session_class=WebsocketSession, actions=(), **options):
    """Connect once; see :class:`Run`."""
    options.setdefault('proxies', {})
    return Run(WebSocket(url, **options), connect_timeout, session_class, **dict(actions))


def succeeds(got, names=GOOD):
    """Assert that the connection had these events."""
    assert got.names == names, got.last.reason


def fails(got, stage, pattern, limit=None):
    """Assert that connecting failed, at which stage and why.

    :param limit: the time limit that it failed by (seconds), if any
    """
    assert got.names == FAILED
    assert got.last.stage == stage, got.last.reason
    assert re.match(pattern + r'\Z', bare(got.last.reason)), got.last.reason
    if limit is None:
        assert got.elapsed < SLACK
    else:
        assert limit <= got.elapsed < limit + SLACK


def open_descriptors():
    return len(os.listdir('/proc/self/fd'))


@pytest.fixture(autouse=True)
def nothing_stays_open():
    """Assert that a test leaves no descriptor open."""
    if not os.path.isdir('/proc/self/fd'):
        yield
        return
    collect_what_is_not_counted()
    before = open_descriptors()
    yield
    collect_what_is_not_counted()
    for _ in range(50):
        if open_descriptors() <= before:
            return
        time.sleep(0.02)        # a thread that is about to end
    assert open_descriptors() <= before
