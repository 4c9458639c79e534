"""Reconnecting: :func:`persist` connects again whenever a connection ends."""

# persist() alternates two steps: one connection, and the decision what to do next.  The
# loop is _persist, the steps are _one_connection and Retries.decide; _ExitWatch ends a
# connection early.  Of a WebSocket, only connect(), close(), force_disconnect() and the
# events are used.
#
# Knows nothing of: sockets, sessions, frames.

from __future__ import absolute_import, division, unicode_literals

import threading
import time

from . import _compat, events
from .client.backoff import (  # noqa: F401 - some are for users
    LONGEST_DELAY,
    MESSAGES,
    Retries,
    back_off_delay,
    parse_retry_after,
    some_number,
    transient,
)
from .client.options import check_poll
from .network.poller import ENDLESS
from .status import Status

#: The defaults of ``connect()``.  Values equal to them are not passed on: the doubles
#: in users' tests accept only poll, ping_rate and ping_timeout.
CONNECT_DEFAULTS = {'auto_pong': True, 'close_timeout': 30.0, 'connect_timeout': 30.0,
                    'send_timeout': 30.0, 'session_class': None}


# -- exit_event

#: Seconds between two checks of an ``exit_event``.
POLL_EXIT = 0.1
#: Seconds from the check that found it set until the connection is dropped, which is
#: 0.85 - 0.95 s after it was set.
EXIT_GRACE = 0.85
#: A ``wait(0)`` that takes longer does not return at once, so it cannot be used for
#: checking.
AT_ONCE = 0.1


def _is_true(answer):
    # A Mock in a user's test returns a Mock, which is true, but the event was not set.
    return isinstance(answer, int) and bool(answer)


def _log(message, *args):
    try:
        import logging  # 5 ms: only when there is something to log
    except Exception:   # no descriptor is free to read it
        return
    logging.getLogger('lomond.persist').debug(message, *args)


class _NoWatch(object):
    """The watch of a ``persist()`` without ``exit_event``: it never ends anything."""

    #: True while a connection runs.
    is_running = True
    #: True if the connection should have ended but cannot be disconnected.
    must_leave = False
    #: True if there is no thread, so that :meth:`look_when_due` has to be called.
    must_look = False

    def prepare(self, websocket):
        """Get ready to watch the connection that is about to begin."""

    def begin(self):
        """Note that a connection is running."""

    def end(self):
        """Note that it has ended."""

    def is_over(self):
        """True if the ``exit_event`` is known to be set."""
        return False

    def stop(self):
        """Stop watching, and end the thread."""


class _ExitWatch(_NoWatch):
    """Watches an ``exit_event`` and ends the running connection when it is set.

    One daemon thread does this, even while the consumer's handler is busy.  If none can
    be started, the session's loop does it between two waits, and persist() after each
    event; then all of this happens in the consumer's thread.

    There is no lock: each field is written by one thread (the consumer's or the
    watch's, as noted) in one store, and ``list.pop()`` makes sure that ``close()`` is
    called only once.
    """

    def __init__(self, websocket, exit_event):
        self.must_leave = False         # written by the watch
        self._deadline = None           # written by the watch: None until it saw the event set
        self.is_running = False         # written by the consumer
        self._is_quick = False          # written by the watch: wait(0) returned at once
        self._tokens = ['close']        # the thread that pops the token calls close()
        self._websocket = websocket
        self._exit_event = exit_event
        self._is_set = getattr(exit_event, 'is_set', None)
        self._get_ident = _compat.get_ident      # see stop(): modules may be empty there
        self._stopped = threading.Event()
        self._thread = _compat.new_thread(self._run, 'lomond-persist')
        self._due = None                # written by the consumer: when to look, without a thread

    def prepare(self, websocket):
        if self._thread.ident is None and not self.must_look:
            try:
                self._thread.start()
            except Exception as error:      # RuntimeError, MemoryError, thread.error of 2.7
                if self._thread.ident is not None:
                    raise       # of a signal handler
                _log('exit_event %r is watched without a thread: %s', self._exit_event, error)
                self._due = _compat.monotonic()
                self.must_look = True
        session = getattr(websocket, 'session', None)
        if self.must_look and getattr(session, 'look', self) is None:
            session.look = self.look_when_due

    def begin(self):
        self.is_running = True
        if self._deadline is not None:
            self._close()       # the event was set while the connection was being set up

    def end(self):
        self.is_running = False

    def is_over(self):
        if self._deadline is not None:
            return True
        if self._is_set is not None:
            return _is_true(self._is_set())
        return self._is_quick and _is_true(self._exit_event.wait(0))

    def stop(self):
        self.is_running = False
        self._stopped.set()
        # The garbage collector may finish an abandoned persist() in any thread, even in
        # this one.  When 2.7 exits, it empties modules before it closes generators: do
        # not wait then.
        is_exit = getattr(threading, 'current_thread', None) is None
        if not is_exit and self._thread.ident not in (None, self._get_ident()):
            _compat.join(self._thread, 0.25)

    def _run(self):
        # On 2.7, Event.wait(timeout) polls, about 10 times in 0.1 s; on 3.x it sleeps.
        pause = POLL_EXIT
        try:
            while pause is not None and not _compat.wait_for_event(self._stopped, pause):
                pause = self.look()
        except Exception as error:      # of the user's is_set() or wait()
            self._note(error)

    def look_when_due(self):
        """Look in the consumer's thread, unless that was done a moment ago.

        :returns: seconds until the next time, or None if nothing is left to do
        """
        if self._due is None:
            return None
        pause = self._due - _compat.monotonic()
        if pause <= 0:
            try:
                pause = self.look()
            except Exception as error:      # of the user's event, as in _run
                self._note(error)
                pause = None
            self._due = None if pause is None else _compat.monotonic() + pause
        return pause

    def _note(self, error):
        # persist() itself will raise it, too.
        _log('exit_event %r cannot be watched: %s', self._exit_event, error)

    def look(self):
        """Check once, and do what is due.

        :returns: seconds until the next check, or None if nothing is left to do
        """
        if self._deadline is None:
            can_tell, is_set = self._ask()
            if not is_set:
                return POLL_EXIT if can_tell else None
            self._deadline = _compat.monotonic() + EXIT_GRACE
        if not self.is_running:
            return POLL_EXIT
        self._close()
        left = self._deadline - _compat.monotonic()
        if left > 0:
            return min(left, POLL_EXIT)
        self.must_leave = not self._call('force_disconnect')
        return None

    def _ask(self):
        """Return ``(whether asking again is useful, whether the event is set)``."""
        if self._is_set is not None:
            return True, _is_true(self._is_set())
        if not self.is_running:
            return True, False      # the consumer's wait(delay) will notice it
        begun = _compat.monotonic()
        answer = self._exit_event.wait(0)
        self._is_quick = _compat.monotonic() - begun <= AT_ONCE
        return self._is_quick, _is_true(answer)

    def _close(self):
        try:
            self._tokens.pop()
        except IndexError:
            return
        self._call('close', Status.GOING_AWAY, 'going away')

    def _call(self, name, *args):
        method = getattr(self._websocket, name, None)
        if method is None:
            return False        # a double in a user's test
        try:
            method(*args)
        except Exception as error:      # a bug, or a double: still try the other method
            _log('%s() failed at the exit_event: %s', name, error)
            return False
        return True


# -- persist

def persist(websocket, poll=5, min_wait=5, max_wait=30, ping_rate=30, ping_timeout=None, exit_event=None,
            respect_retry_after=True, auto_pong=True, close_timeout=30.0, connect_timeout=30.0,
            send_timeout=30.0, session_class=None, max_retries=None, retry_on=None, stable_after=10.0):
    """Connect, and reconnect whenever the connection ends, with a pause in between.

    >>> from lomond import WebSocket
    >>> from lomond.testing import Server, reject
    >>> with Server(reject(503, {'Retry-After': '7'})) as server:
    ...     websocket = WebSocket(server.url, proxies={})
    ...     for event in persist(websocket, min_wait=0, max_wait=0.1, max_retries=2,
    ...                          respect_retry_after=False):
    ...         if event.name in ('rejected', 'back_off', 'gave_up'):
    ...             print(event.name)
    rejected
    back_off
    rejected
    gave_up

    The pause takes ``min_wait + random() * min(max_wait - min_wait, 2**retries)``
    seconds, where ``retries`` counts the attempts that failed in a row.  The count goes
    back to 0 after a connection that was Ready for ``stable_after`` seconds, or that
    ended gracefully after a message was received.

    The iterator belongs to one thread.  Leaving its loop closes the connection, with a
    close frame 1001 if it is open.

    :param websocket: the WebSocket to connect
    :param poll: seconds between two :class:`~lomond.events.Poll` events, above 0
    :param min_wait: the shortest pause, seconds, 0 or more
    :param max_wait: the longest pause, seconds, 0 or more
    :param ping_rate: seconds between two pings; with None or 0, none are sent
    :param ping_timeout: seconds without a pong, or any other byte, that end the
        connection; None or 0 means no limit
    :param exit_event: a ``threading.Event``, or an object with its ``wait(timeout)``
        and, to be noticed at once, its ``is_set()``.  Within a second after it was set,
        in whatever phase, the iteration ends: a connection is closed with 1001, and
        dropped if the server has not answered after 0.9 s.  This takes one daemon
        thread; if none can be started, the loop wakes up ten times a second instead.
        Do not set a ``threading.Event`` in a signal handler: the handler may
        have interrupted a ``wait()`` that holds the lock which ``set()`` needs.  If
        None, the iteration goes on until its loop is left
    :param bool respect_retry_after: if true, a ``Retry-After`` header of a refusal, by
        the server or by an HTTP proxy (RFC 9110, 10.2.3), replaces the pause, within
        ``min_wait .. max(max_wait, 3600)`` seconds
    :param auto_pong: as for :meth:`WebSocket.connect()
        <lomond.websocket.WebSocket.connect>`, like the next four
    :param close_timeout: seconds to wait for the answer to ``close()``; None or 0 means
        no limit
    :param connect_timeout: seconds for everything until ``Ready``; None or 0 means no
        limit
    :param send_timeout: seconds for which a send tolerates that the server takes
        nothing; None or 0 means no limit
    :param session_class: if None, the default of ``connect()``
    :param max_retries: give up after this number of failures in a row, 1 or more; None
        means never
    :param retry_on: a callable that gets the event that ended the connection
        (``ConnectFail``, ``Rejected`` or ``Disconnected``) and returns True to retry,
        False to give up, or a number of seconds to wait before the retry.
        :func:`transient` is a ready-made one.  If None, everything is retried.  An
        exception that it raises ends the iteration
    :param stable_after: seconds after ``Ready`` from which a connection counts as a
        success, 0 or more
    :returns: a lazy iterator of the events of all connections, with a
        :class:`~lomond.events.BackOff` before each pause and a
        :class:`~lomond.events.GaveUp` at the end after giving up
    :raises TypeError: if an argument has the wrong type: at the call for the arguments
        of ``persist()`` itself, and at the first ``next()``, before any I/O, for those
        of ``connect()``
    :raises ValueError: if a value cannot be used; at the same times
    """
    if exit_event is not None and not callable(getattr(exit_event, 'wait', None)):
        raise TypeError('exit_event is {!r}; an object with a wait() method, such as a threading.Event, '
                        'or None is allowed'.format(exit_event))
    retries = Retries(min_wait, max_wait, max_retries, retry_on, stable_after, respect_retry_after)
    if isinstance(poll, _compat.integer_types + (float,)) and poll >= ENDLESS:
        check_poll(poll)        # raises; the rest is checked by connect()
    settings = {'poll': poll, 'ping_rate': ping_rate, 'ping_timeout': ping_timeout}
    optional = {'auto_pong': auto_pong, 'close_timeout': close_timeout, 'connect_timeout': connect_timeout,
                'send_timeout': send_timeout, 'session_class': session_class}
    settings.update((name, value) for name, value in optional.items() if value != CONNECT_DEFAULTS[name])
    return _persist(websocket, settings, exit_event, retries)


def _persist(websocket, settings, exit_event, retries):
    """Alternate one connection and the decision what to do next."""
    if exit_event is None:
        exit_event, watch = threading.Event(), _NoWatch()
    else:
        watch = _ExitWatch(websocket, exit_event)
    halt = _compat.halt_at_exit     # globals may be None when it is needed
    try:
        while not watch.is_over():
            connection = _one_connection(websocket, settings, watch, retries)
            try:
                for event in connection:
                    yield event
            finally:
                connection.close()      # now, even on PyPy
            if watch.is_over():
                return
            what, delay = retries.decide(some_number(), time.time())
            if what == 'gave_up':
                yield events.GaveUp(retries.cause, retries.failures)
                return
            _log('%r: attempt %s in %.1f s, after %r', websocket, retries.failures + 1, delay, retries.cause)
            yield events.BackOff(delay, attempt=retries.failures, cause=retries.cause)
            if _compat.wait_for_event(exit_event, delay):
                return
    except:  # noqa: E722 - at exit, 2.7 sets even BaseException to None
        halt()
        raise
    finally:
        watch.stop()


# -- one connection

def _one_connection(websocket, settings, watch, retries):
    """Yield the events of one connection, and note them."""
    connection = iter(websocket.connect(**settings))
    try:
        watch.prepare(websocket)
        for event in connection:
            if not watch.is_running:
                watch.begin()       # from here on close() has something to close
            if not retries.has_message or getattr(event, 'name', None) not in MESSAGES:
                retries.note(event, _compat.monotonic())
            yield event
            if watch.must_look:
                watch.look_when_due()
            if watch.must_leave:
                return
    finally:
        watch.end()
        if hasattr(connection, 'close'):    # if the loop was left: at once, not when collected
            connection.close()
