"""A client's loop, watched from Connecting to the end."""

from __future__ import absolute_import, division, unicode_literals

import re
import threading
import time

from lomond import WebSocket
from lomond._compat import monotonic, text_type

from .peer import PATIENCE, Server

#: What a busy machine may add to any time (seconds).
SLACK = 1.5


class Wait(object):
    """An event of another thread: ``set()`` there, ``wait()`` here."""

    def __init__(self):
        self._event = threading.Event()
        self.set = self._event.set

    def wait(self, seconds=PATIENCE):
        """Wait for it; raise AssertionError if it does not happen."""
        self._event.wait(seconds)
        assert self._event.is_set(), 'it did not happen'


#: (is_active, is_closing, is_closed) while an event is handled.
FLAGS = {
    'connecting': (True, False, False), 'connect_fail': (False, False, True),
    'connected': (True, False, False), 'ready': (True, False, False),
    'closing': (True, False, False), 'closed': (False, False, True),
    'rejected': (False, False, True), 'protocol_error': (False, True, False),
    'unresponsive': (False, True, False), 'disconnected': (False, False, True)}

ENDS = ('connect_fail', 'disconnected')

#: The address that a reason before Ready ends with.
_ADDRESS = re.compile(r' \((?:(?:, )?(?:[0-9.]+|\[[0-9a-f:.]+\]):[0-9]+)+\)\Z')


def bare(reason):
    """Return a reason without the address at its end."""
    return _ADDRESS.sub('', reason)


def check_order(names):
    """Assert what is true of the names of the events of every connection."""
    assert names[0] == 'connecting' and names.count('connecting') == 1, names
    assert names[-1] in ENDS and not [name for name in names[:-1] if name in ENDS], names
    assert names.count('ready') <= 1, names
    so_far = set()
    for name in names:
        if name in ('text', 'binary'):
            assert 'ready' in so_far, 'a message before Ready'
            assert not so_far & {'closing', 'closed'}, 'a message after a close frame'
        if name == 'poll':
            assert 'ready' in so_far, 'a Poll before Ready'
        so_far.add(name)


def check_end(websocket, last):
    """Assert what is true at the end of every connection."""
    assert (websocket.is_active, websocket.is_closing, websocket.is_closed) == (False, False, True)
    assert getattr(websocket.session, '_sock', None) is None
    assert isinstance(last.reason, text_type) and last.reason
    # nothing of the peer goes into a log line or a terminal unescaped
    assert not re.search('[\\x00-\\x1f\\x7f-\\x9f]', last.reason), last.reason
    if last.name == 'connect_fail':
        assert isinstance(last.error, Exception)
    elif last.error is not None:
        assert isinstance(last.error, Exception) and not last.graceful


class Played(object):
    """One connection from Connecting to the end, with what must be true of every one.

    :ivar events: all of them, in order
    :ivar times: monotonic seconds of each
    :ivar names: of all but Poll, joined with blanks
    :ivar start: monotonic seconds when the iteration began
    :ivar elapsed: seconds until the end
    :ivar over: monotonic seconds of the end
    """

    def __init__(self, websocket, handlers=None, **settings):
        self.websocket = websocket
        self.events, self.times = [], []
        settings.setdefault('ping_rate', 0)
        handlers = handlers or {}
        self.start = monotonic()
        iterator = websocket.connect(**settings)
        for event in iterator:
            self.events.append(event)
            self.times.append(monotonic())
            self._check_flags(event)
            handler = handlers.get(event.name)
            if handler is not None:
                handler(event)
        self.over = monotonic()
        self.elapsed = self.over - self.start
        for _ in range(2):
            assert next(iterator, None) is None
        self._check()

    def _check_flags(self, event):
        flags, state = self._read_flags()
        assert flags.count(True) == 1, (event, flags)
        expected = FLAGS.get(event.name)
        if expected is not None:
            assert flags == expected, (event, flags)
        assert state == flags[1:]

    def _read_flags(self):
        """The three flags and the two of ``state``, of one moment.

        Another thread, or a signal, may move the state between two of them.  It moves a
        few times and never back, so what is read twice in the same way was true at
        once.
        """
        ws = self.websocket
        found = None
        while True:
            before, found = found, ((ws.is_active, ws.is_closing, ws.is_closed),
                                    (ws.state.closing, ws.state.closed))
            if found == before:
                return found

    def _check(self):
        check_order([event.name for event in self.events])
        for event in self.events:
            assert abs(event.received_time - time.time()) < 100
        check_end(self.websocket, self.last)

    @property
    def names(self):
        return ' '.join(event.name for event in self.events if event.name != 'poll')

    @property
    def last(self):
        return self.events[-1]

    def all(self, name):
        """Return all events of this name."""
        return [event for event in self.events if event.name == name]

    def one(self, name):
        """Return the only event of this name."""
        found, = self.all(name)
        return found

    def time_of(self, name):
        """Return when the first event of this name came, in seconds since the start."""
        for event, at in zip(self.events, self.times):
            if event.name == name:
                return at - self.start
        raise AssertionError('no %s in %s' % (name, self.names))

    def ended(self, names, reason, graceful=False, code=None):
        """Assert the names of all events but Poll, and what Disconnected says."""
        assert self.names == names, self.events
        last = self.last
        assert last.name == 'disconnected'
        said = last.reason if 'ready' in names.split() else bare(last.reason)
        assert (said, last.graceful, last.code) == (reason, graceful, code), last
        return self


def play(target, handlers=None, options=None, server=None, threads=(), **settings):
    """Connect once; see :class:`Played`.

    :param target: a URL, or a script, or a list of scripts: a server runs them
    :param handlers: dict: name of an event -> function of (websocket, event)
    :param options: dict, for the constructor
    :param server: dict, for :class:`support.peer.Server`
    :param threads: from :func:`in_thread`; handlers may add some.  Each must end by
        itself, without an error
    :param settings: for ``connect()``
    """
    if not isinstance(target, text_type):
        with Server(*(target if isinstance(target, list) else [target]), **(server or {})) as running:
            return play(running.url(), handlers, options, threads=threads, **settings)
    options = dict(options or {})
    options.setdefault('proxies', {})
    websocket = WebSocket(target, **options)
    bound = dict((name, _bind(websocket, handler)) for name, handler in (handlers or {}).items())
    played = Played(websocket, bound, **settings)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), 'a thread does not end'
        if thread.error is not None:
            raise thread.error
    return played


def _bind(websocket, handler):
    return lambda event: handler(websocket, event)


def in_thread(function, *args, **kwargs):
    """Run a function in a thread, which has ``result`` and ``error`` afterwards."""
    def run():
        try:
            thread.result = function(*args, **kwargs)
        except BaseException as error:
            thread.error = error
    thread = threading.Thread(target=run)
    thread.result = thread.error = None
    thread.daemon = True
    thread.start()
    return thread
