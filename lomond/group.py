"""Many connections in one loop: :class:`Group`.

The face and its loop are one module: which thread may touch what is one set of rules.
"""

# How it works.  A Group knows its members; any thread may add and remove some.  While
# its iterator runs, a _Loop has what only the iterating thread uses: the poller, the
# deadlines, and who is to have a turn.
#
# A turn is one call of a session's process(): it never waits.  The loop gives turns, in
# this order, to those whose deadline has come, and to those whose descriptor is ready,
# who were woken by another thread, or who have more to read.  When nobody is left it
# sleeps.
#
# Nothing here has a lock: close() and remove() may be called by a signal handler that
# has interrupted anything else in this module.  Each step on a dict or deque is atomic.
# A client that waits for its turn or pauses is in _idle.  The loop and remove() both
# take it out there, and the one that succeeds decides what becomes of it.
#
# Knows nothing of: streams, frames, how a connection is made.

from __future__ import absolute_import, division, unicode_literals

import collections
import functools
import itertools
import time
import weakref

from . import errors, events
from ._compat import fork_id, halt_at_exit
from .client import options
from .client.attempt import ALREADY_RUNNING
from .client.backoff import Retries, some_number
from .driver.deadlines import earliest
from .driver.members import Member, Timers
from .driver.rules import MANY_CONNECTIONS
from .network import poller as pollers
from .network.poller import LONGEST, READ
from .protocol.frames import encode_close_payload
from .protocol.receive_buffer import Lender
from .session import WebsocketSession
from .websocket import WebSocket

#: Bytes of messages that may wait to be sent for one connection.
MAX_QUEUED = 16 * 1024 * 1024
#: Least seconds between two Polls of a group whose body takes longer than ``poll``.
NEXT_TURN = 0.001
#: Seconds for the connections of a server that is removed, until they are dropped.
DRAIN_TIME = 10.0
#: Seconds for dropping what has arrived, of all connections, when the loop is left.
DROP_TIME = 0.2

_FORKED = 'the group belongs to the process that made it; a forked child has to make its own'
_SECOND = 'the group is iterated already; only one iterator at a time is allowed'
_MEMBER = 'the WebSocket is in a group already'
_CLOSED = 'the group is closed; nothing can be added'


class Group(object):
    """Many connections in one loop and one thread.

    >>> from lomond import WebSocket
    >>> from lomond.group import Group
    >>> from lomond.testing import Server, close_with
    >>> with Server(close_with(1000, u'one')) as one, Server(close_with(1000, u'two')) as two:
    ...     group = Group([WebSocket(server.url, proxies={}) for server in (one, two)])
    ...     reasons = [event.reason for websocket, event in group if event.name == 'closing']
    >>> print(' '.join(sorted(reasons)))
    one two

    Iterating it yields pairs ``(websocket, event)``.  The events of a connection come
    in their usual order, but members have no ``Poll``: the group has one of its own,
    ``(None, Poll())``.  The loop ends when no member is left.

    A send in the group's thread never waits: what the kernel does not take is queued.
    See ``max_queued`` and :class:`~lomond.events.Drained`.

    Leaving the loop leaves each connection as its own loop would: with a close frame
    1001, if that can be written at once.  The group is then empty, and may be iterated
    again.  At the end of a ``with`` block the loop is left and the group is closed.

    Threads: :meth:`add`, :meth:`persist`, :meth:`remove`, :meth:`close`, ``len()``,
    ``in`` and :attr:`websockets` may be used in any thread, :meth:`remove` and
    :meth:`close` also in signal handlers; one thread iterates.  In a forked child,
    every use of its parent's group raises :class:`~lomond.errors.WebSocketError`.

    :param members: given to :meth:`add`, one after the other
    :param poll: seconds between two ``(None, Poll())``, above 0; the first one comes
        when the loop begins
    :param keep_open: if true, the loop ends only after :meth:`close`
    :param max_connecting: how many clients may connect at a time; others wait in order.
        None for no limit
    :param max_queued: bytes of messages that may wait to be sent for one client (16
        MiB); a message beyond it raises :class:`~lomond.errors.QueueFull`.  None for no
        limit
    :param settings: those of :meth:`.WebSocket.connect` except ``poll`` and
        ``session_class``, for all clients
    :raises TypeError: if a value has the wrong type
    :raises ValueError: if a value cannot be used
    :raises WebSocketError: as :meth:`add`
    """

    def __init__(self, members=(), poll=5.0, keep_open=False, max_connecting=100, max_queued=MAX_QUEUED,
                 **settings):
        self._poll = options.check_poll(poll)
        self._keep_open = keep_open
        self._max_connecting = options.check_size('max_connecting', max_connecting, 1)
        self._max_queued = options.check_size('max_queued', max_queued, 1)
        self._settings = _check_settings(settings)
        self._fork = fork_id()
        self._mark = weakref.ref(self)      # what its clients are claimed with
        self._numbers = itertools.count(1)
        self._members = {}                  # id of the WebSocket -> Member
        self._idle = {}                     # number -> Member: of clients that wait or pause
        self._servers = {}                  # id of the Server -> _Host, until it is drained
        self._arriving = {}                 # number -> Member: accepted, its opening handshake goes on
        self._news = collections.deque()    # Members that the loop has to look at
        self._closed = False                # one store, by any thread
        self._loop = None                   # the _Loop while there is one
        self._left_alone = None             # in a forked child: what belongs to its parent
        try:
            for member in members:
                self.add(member)
        except BaseException:               # let go of those before it
            self.close()
            raise

    # -- members

    def add(self, member, **settings):
        """Connect a WebSocket, once; accept the connections of a Server; or take over a
        connection of a WSGI server.

        Returns at once; any thread may call it, before and during the loop.

        :param member: a :class:`~lomond.websocket.WebSocket`; or a
            :class:`~lomond.server.Server` without ``handler`` and ``poll``, which
            accepts while the loop runs; or what :func:`lomond.wsgi.upgrade` has
            returned and nothing iterates
        :param settings: as for the group, for this client
        :raises TypeError: if it is neither, its ``connect`` is overridden, or settings
            are given for another member than a client; and as
            :meth:`.WebSocket.connect`
        :raises ValueError: for a server with a ``handler`` or ``poll``; and as
            :meth:`.WebSocket.connect`
        :raises WebSocketError: if it is in a group, its connection runs, the server was
            started or stopped, or the group is closed
        """
        self._check_fork()
        if not isinstance(member, WebSocket):
            from .server.connection import ServerWebSocket
            from .server.server import Server
            if isinstance(member, Server):
                self._enter_server(member, settings)
                return
            if isinstance(member, ServerWebSocket):
                self._enter_taken(member, settings)
                return
        elif getattr(member, '_is_taken', False):
            self._enter_taken(member, settings)     # a client of lomond.ws4py
            return
        _check_client(member)
        self._enter(Member(next(self._numbers), member, self._merge(settings)))

    def persist(self, websocket, min_wait=5, max_wait=30, respect_retry_after=True, max_retries=None,
                retry_on=None, stable_after=10.0, **settings):
        """Connect a WebSocket, and reconnect whenever the connection ends.

        The pauses, and the events :class:`~lomond.events.BackOff` and
        :class:`~lomond.events.GaveUp`, are those of :func:`lomond.persist.persist`.  A
        pause does not delay other members.

        :param websocket: the client, a WebSocket
        :param min_wait: as for :func:`lomond.persist.persist`, like the next five
        :param max_wait: the longest pause, seconds, 0 or more
        :param respect_retry_after: if true, ``Retry-After`` of a refusal replaces the
            pause
        :param max_retries: give up after this number of failures in a row; None means
            never
        :param retry_on: a callable that decides what is tried again, or None.  An
            exception that it raises comes out of the loop
        :param stable_after: seconds after ``Ready`` from which a connection counts as a
            success
        :param settings: as for the group, for this client
        :raises TypeError: as :meth:`add`
        :raises ValueError: as :meth:`add`
        :raises WebSocketError: as :meth:`add`
        """
        self._check_fork()
        _check_client(websocket)
        retries = Retries(min_wait, max_wait, max_retries, retry_on, stable_after, respect_retry_after)
        self._enter(Member(next(self._numbers), websocket, self._merge(settings), retries))

    def remove(self, member, code=1001, reason=''):
        """Close the connection of a member, which leaves the group at its end.

        Its events go on until the last one, and no ``BackOff`` follows.  A client that
        pauses, or waits for its turn to connect, is dropped without an event.  Nothing
        happens if it is not in the group.  Never waits; any thread and signal handlers
        may call it.

        :param member: the WebSocket
        :param code: as for :meth:`~lomond.websocket.WebSocket.close`
        :param reason: as for :meth:`~lomond.websocket.WebSocket.close`
        :raises TypeError: if a value has the wrong type
        :raises ValueError: if ``code`` or ``reason`` may not be sent
        """
        self._check_fork()
        encode_close_payload(code, reason)      # reports bad arguments in any case
        record = self._find(member)
        if record is not None:
            self._remove(record, code, reason)
        elif id(member) in self._servers:
            self._drain(member, DRAIN_TIME, code, reason)

    def close(self, code=1001, reason=''):
        """Remove all members; nothing can be added from now on.

        The loop ends after their last events, ``close_timeout`` at the latest.  Never
        waits; any thread and signal handlers may call it.

        :param code: as for :meth:`~lomond.websocket.WebSocket.close`
        :param reason: as for :meth:`~lomond.websocket.WebSocket.close`
        :raises TypeError: if a value has the wrong type
        :raises ValueError: if ``code`` or ``reason`` may not be sent
        """
        self._check_fork()
        encode_close_payload(code, reason)
        self._closed = True                 # first: what is added meanwhile is taken back
        for record in self._records():
            self._remove(record, code, reason)
        for host in self._servers.copy().values():
            self._drain(host.server, DRAIN_TIME, code, reason)
        for record in self._arriving.copy().values():
            self._close_arriving(record, code, reason)
        self._wake()

    def __len__(self):
        self._check_fork()
        return len(self._members)

    def __contains__(self, member):
        self._check_fork()
        host = self._servers.get(id(member))
        return self._find(member) is not None or (
            host is not None and host.server is member and host.removal is None)

    @property
    def websockets(self):
        """A list of the connections that are members, at this moment.

        Clients are among them from :meth:`add` until their last event is handed out,
        also while they wait or pause; accepted connections from
        :class:`~lomond.events.Accepted` on.
        """
        self._check_fork()
        return [websocket for websocket in [record.websocket for record in self._records()]
                if websocket is not None]

    def _records(self):
        return self._members.copy().values()        # copy() is one step

    def _find(self, member):
        record = self._members.get(id(member))
        return record if record is not None and record.websocket is member else None

    def _merge(self, settings):
        return dict(self._settings, **_check_settings(settings)) if settings else self._settings

    def _enter(self, record):
        """Take a client as a member, unless it cannot be one."""
        websocket = record.websocket
        running = websocket._running
        if self._closed:
            raise errors.WebSocketError(_CLOSED)
        if self._members.setdefault(id(websocket), record) is not record:
            raise errors.WebSocketError(_MEMBER)
        try:
            if not running.claim(self._mark):
                raise errors.WebSocketError(_MEMBER)
            if running.session is not None:
                raise errors.WebSocketError(ALREADY_RUNNING)
            self._idle[record.number] = record
            self._news.append(record)
            if self._closed and self._take_idle(record):    # meanwhile
                raise errors.WebSocketError(_CLOSED)
            if self._members.get(id(websocket)) is not record and self._take_idle(record):
                running.release(self._mark)     # the loop was left meanwhile, with all members
        except BaseException:
            self._take_idle(record)
            self._forget(record)
            raise
        self._wake()

    def _check_bare(self, settings):
        if settings:
            raise TypeError("'{}' is given with a member that is not a client; only clients have "
                            'settings'.format(sorted(settings)[0]))
        if self._closed:
            raise errors.WebSocketError(_CLOSED)

    def _enter_taken(self, websocket, settings):
        from .server.connection import take_over
        self._check_bare(settings)
        take_over(websocket)
        record = Member(next(self._numbers), websocket)
        record.host, record.is_new = _DOOR, True
        self._arriving[record.number] = record
        self._news.append(record)
        if self._closed:                    # meanwhile
            self._close_arriving(record, 1001, '')
        self._wake()

    def _close_arriving(self, record, code, reason):
        """Close a connection that is not a member yet; that of a server does it."""
        if record.host is _DOOR:
            record.websocket.close(code, reason)
            if not self._is_running() and self._arriving.pop(record.number, None):
                record.websocket._session.end()

    def _enter_server(self, server, settings):
        self._check_bare(settings)
        host = _Host(next(self._numbers), server, server._join(self))
        self._servers[id(server)] = host
        self._news.append(host)
        if self._closed:                    # meanwhile
            self._drain(server, 0, 1001, '')
        self._wake()

    def _drain(self, server, timeout, code, reason):
        """Stop a server; never waits, from any thread and in signal handlers.

        :param timeout: seconds until what is left is dropped, or None
        :returns: True if none of its connections is open
        """
        host = self._servers.get(id(server))
        if host is None:
            return True
        if timeout is not None:
            when = Member.monotonic() + timeout
            host.drop_at = when if host.drop_at is None else min(host.drop_at, when)
        if host.removal is None:
            host.removal = code, reason     # the loop looks at it
        if self._is_running():
            self._news.append(host)
            self._wake()
        else:
            host.reception.begin_stop(code, reason)
            host.reception.end()
            self._servers.pop(id(server), None)
        return not host.reception.running.websockets()

    def _is_running(self):
        return '_place' in vars(self) and self._fork == fork_id()

    def _take_idle(self, record):
        """Return True for the one who takes a member out of its pause, or its queue."""
        return self._idle.pop(record.number, None) is not None

    def _remove(self, record, code, reason):
        record.removal = code, reason       # first: the loop looks at it, after it has taken it
        if self._take_idle(record):
            self._forget(record)
            self._news.append(record)       # its pause is still among the deadlines
        else:
            session, websocket = record.session, record.websocket
            if record.host is None and session is not None and session.is_over:
                self._forget(record)        # its last event is handed out: no BackOff follows
            elif websocket is not None:
                websocket.close(code, reason)
        self._wake()

    def _forget(self, record):
        """Let go of a member: it may be added again, by any thread."""
        websocket = record.websocket
        if self._members.get(id(websocket)) is record:
            if record.host is None:
                websocket._running.release(self._mark)
            self._members.pop(id(websocket), None)
        self._arriving.pop(record.number, None)

    def _wake(self):
        loop = self._loop
        if loop is not None:
            loop.wake()

    def _check_fork(self):
        if self._fork != fork_id():
            raise errors.WebSocketError(_FORKED)

    # -- the loop

    def __iter__(self):
        self._check_fork()
        place = []
        iterator = self._iterate(place)
        place.append(weakref.ref(iterator))
        return iterator

    def __enter__(self):
        self._check_fork()
        return self

    def __exit__(self, *exc_info):
        if self._fork != fork_id():
            if exc_info[0] is None:
                raise errors.WebSocketError(_FORKED)
            return
        place = vars(self).get('_place')
        iterator = place[0]() if place else None
        try:
            if iterator is not None:
                iterator.close()
        except ValueError:                  # another thread runs it, and ends it by itself
            pass
        finally:
            self.close()

    def _iterate(self, place):
        """The loop: a generator of ``(websocket, event)``.

        :param place: a list with a weak reference to this generator
        """
        self._check_fork()
        halt = halt_at_exit                 # globals may be None when it is needed
        loop = None
        where = fork_id
        try:
            if vars(self).setdefault('_place', place) is not place:
                raise errors.WebSocketError(_SECOND)
            loop = self._loop = _Loop(self)
            while True:
                record = loop.next()
                if record is None:
                    return
                session, websocket = record.session, record.websocket
                if session is None:
                    yield None, events.Poll()
                    self._check_fork()
                    loop.polled()
                    continue
                for event in session.begin_turn(loop.ready, loop.now):
                    if event is None:
                        session.end_turn()
                        break
                    if record.is_new or session.is_over:
                        event = loop.note(record, event)
                        if event is None:   # before Accepted
                            continue
                    yield websocket, event
                    if where() != self._fork:
                        self._check_fork()
                else:
                    session.end()
                event = None                # it would keep a large message alive
                event = loop.settle(record)
                if event is not None:       # BackOff or GaveUp
                    yield websocket, event
                    self._check_fork()
                    loop.pause(record, event)
                    event = None
        except:  # noqa: E722 - at exit, 2.7 sets even BaseException to None
            halt()
            raise
        finally:
            if where() != self._fork:
                self._left_alone = loop
            elif vars(self).get('_place') is place:
                self._leave(loop)

    def _leave(self, loop):
        try:
            self._let_go(loop)
        except BaseException:               # Ctrl-C in the middle: once more, to the end
            self._let_go(loop)
            raise
        finally:
            vars(self).pop('_place', None)

    def _let_go(self, loop):
        """End all connections, and forget everything; the loop is over."""
        if loop is not None:
            loop.end()
        for record in self._records():
            self._idle.pop(record.number, None)
            self._forget(record)
        for host in self._servers.copy().values():
            host.reception.end()
            self._servers.pop(id(host.server), None)
        self._news.clear()
        self._loop = None


#: The settings of ``connect()`` that a client in a group may have, and their defaults.
_SETTINGS = (('ping_rate', 30.0), ('ping_timeout', None), ('auto_pong', True), ('close_timeout', 30.0),
             ('connect_timeout', 30.0), ('send_timeout', 30.0))


def _check_settings(settings):
    """Return settings of ``connect()``; raise TypeError or ValueError as that does."""
    names = [name for name, _ in _SETTINGS]
    for name, value in settings.items():
        if name not in names:
            raise TypeError("'{}' is not a setting of a client in a group; {} are".format(
                name, ', '.join(names)))
        if name != 'auto_pong':
            options.check_time(name, value)
    return settings


def _check_client(websocket):
    if not isinstance(websocket, WebSocket):
        raise TypeError('a member must be a WebSocket, not {}'.format(type(websocket).__name__))
    if websocket._overrides('connect'):
        raise TypeError('connect of {} is overridden; a group connects by itself'.format(
            type(websocket).__name__))


class _Host(Member):
    """A server among the members: its turns accept.

    :ivar drop_at: when to drop what is left of its connections, or None
    :ivar is_draining: True once it has stopped to listen
    """

    __slots__ = ('server', 'reception', 'drop_at', 'is_draining')

    is_over = False

    def __init__(self, number, server, reception):
        super(_Host, self).__init__(number, None)
        self.host = self
        self.server = server
        self.reception = reception
        self.session = self                     # it has the steps, but for the events
        self.drop_at = None
        self.is_draining = False

    def waits(self):
        """Return what to wait for."""
        return self.reception.listener.waits()

    def plan(self):
        """Return both."""
        return self.waits(), self.next_deadline()

    def next_deadline(self):
        """Return when its next turn is due, or None."""
        return earliest(self.reception.listener.next_deadline(), self.drop_at if self.is_draining else None)


class _Door(object):
    """What stands for the server of a connection that was taken over."""

    removal = None
    is_draining = False

    @property
    def reception(self):
        return self

    def release(self, websocket):
        """Do nothing: nobody counts these."""


_DOOR = _Door()


def _take_over(websocket, session, ready, now):
    """The first turn of a connection whose opening handshake somebody else has done."""
    del session.begin_turn              # only now it is not the method
    yield events.Ready(websocket.request, websocket.protocol, websocket.extensions)
    rest, websocket._events = websocket._events, None       # of the turn that it was taken in
    for event in session.begin_turn(ready, now) if rest is None else rest:
        yield event
    if rest is not None and not session.is_over:
        yield None


class _ClientSession(WebsocketSession):
    """The session of a client in a group."""

    rules = MANY_CONNECTIONS
    member = refusal = None

    def run(self, poll=None, **settings):
        self.start(None, **settings)
        return self

    def waiting(self):
        return self.member

    def share(self):
        """Read into the buffer of the loop."""
        self._core.receive_buffer.share(self.member.loop.lender)

    def _restart(self):
        super(_ClientSession, self)._restart()
        self.share()

    def _connect_steps(self):
        if self.refusal is None:
            return super(_ClientSession, self)._connect_steps()
        self._failure = ('unable to connect; ' + self.refusal, errors.WebSocketError(self.refusal),
                         'connect')
        return ()


class _Loop(object):
    """One run of a group's loop; for the thread that iterates, unless noted.

    :ivar now: monotonic seconds when the newest turn began
    :ivar ready: what is ready for it
    :ivar woken: records that another thread has woken; any thread appends
    """

    def __init__(self, group):
        self._group = group
        self._fork = fork_id()
        self._clock = Member.monotonic
        self._halt = halt_at_exit
        self._timers = Timers()
        self._owners = {}               # descriptor -> record
        self._work = collections.deque()        # (record, what is ready): turns of this round
        self._busy = []                 # records that have more to do in the next one
        self._queue = collections.deque()       # clients that wait to connect
        self._connecting = 0
        self._sessions = 0
        self._is_waiting = False        # while it does, a wake-up is needed
        self.woken = collections.deque()
        self.lender = Lender()
        self.ready = ()
        self.now = self._clock()
        # With few descriptors left, the second of these may raise.
        self._wake_up = pollers.new_wake_up()
        self._poller = pollers.new_poller_of_many()
        self._poller.register(self._wake_up.fileno(), READ)
        self._poll = Member(0, None)
        self._timers.push(self.now, self._poll)

    def wake(self):
        """Make the loop look again; any thread and signal handlers."""
        if self._is_waiting and self._fork == fork_id():
            wake_up = self._wake_up         # a reference keeps it open meanwhile
            if wake_up is not None:
                wake_up.set()

    # -- whose turn it is

    def next(self):
        """Return the record whose turn it is, waiting for one; None at the end."""
        timers, work, group, clock = self._timers, self._work, self._group, self._clock
        heap = timers.heap
        while True:
            now = self.now = clock()
            if heap and heap[0][0] <= now:
                record = timers.pop()
                if record is None or not self._is_due(record, now):
                    continue
                ready = ()
            elif work:
                record, ready = work.popleft()
                if record.session is None:
                    continue                # it has ended in this round
                if not ready:
                    if not record.is_woken and not record.is_busy:
                        continue            # it had a turn in this round
                elif self._owners.get(ready[0][0]) is not record:
                    continue                # closed in this round; the number may be another's
                record.is_woken = record.is_busy = False
            else:
                if group._news:
                    self._take_news()
                if not group._members and self._is_done():
                    return None
                self._refill(now)
                continue
            if record.host is not record:
                self.ready = ready
                return record
            self._serve(record, ready)

    def _is_done(self):
        group = self._group
        return not group._members and (group._closed or not group._keep_open) and (
            not group._servers and not group._arriving)

    def _is_due(self, record, now):
        session = record.session
        if session is None:
            if record is self._poll:
                return not self._is_done()
            self._queue.append(record)      # its pause is over
            return False
        when = session.next_deadline()
        if when is None:
            return False
        if when > now:                      # it has moved
            self._timers.push(when, record)
            return False
        record.is_woken = record.is_busy = False
        return True

    def _take_news(self):
        news, group = self._group._news, self._group
        while news:
            record = news.popleft()
            if record.host is record:
                self._take_host(record)
            elif record.number in group._idle:
                self._queue.append(record)
            elif record.host is _DOOR:
                self._take_over(record)
            else:
                self._timers.drop(record)   # removed
                record.websocket = None

    def _refill(self, now):
        """Wait until somebody has something to do."""
        work, group, heap, woken = self._work, self._group, self._timers.heap, self.woken
        if self._queue:
            self._begin_some()
        self._is_waiting = True             # who comes from here on wakes us
        try:
            timeout = heap[0][0] - now if heap else LONGEST
            if self._busy or woken or group._news or not group._members and self._is_done():
                timeout = 0
            found = self._poller.wait(timeout if timeout < LONGEST else LONGEST)
        finally:
            self._is_waiting = False
        if not found:
            self._halt()
        owners = self._owners
        for item in found:
            record = owners.get(item[0])
            if record is not None:
                work.append((record, (item,)))
            elif item[0] == self._wake_up.fileno():
                self._wake_up.clear()
        while woken:
            work.append((woken.popleft(), ()))
        if self._busy:
            work.extend([(record, ()) for record in self._busy])
            del self._busy[:]

    def _begin_some(self):
        most = self._group._max_connecting
        while self._queue and (most is None or self._connecting < most):
            record = self._queue.popleft()
            if self._group._take_idle(record):
                self._begin(record)

    # -- the life of a member

    def _begin(self, record):
        """Open the session of a client."""
        record.loop = self
        record.is_new = record.is_connecting = True
        self._connecting += 1
        session = WebSocket.connect(record.websocket, session_class=_ClientSession, **record.settings)
        session.member = record
        session.max_queued = self._group._max_queued
        limit, self._sessions = self._poller.limit, self._sessions + 1
        if limit is not None and self._sessions > limit:
            session.refusal = 'select() on this system serves at most {} connections in a group'.format(limit)
        session.share()
        record.session = session
        if record.removal is not None:      # remove() came before it had a session
            record.websocket.close(*record.removal)
        self._make_busy(record)

    def _make_busy(self, record):
        if not record.is_busy:
            record.is_busy = True
            self._busy.append(record)

    def note(self, record, event):
        """Look at an event before it is handed out.

        :returns: the event to hand out, or None
        """
        if record.host is not None:
            return self._note_accepted(record, event)
        session, retries = record.session, record.retries
        if retries is not None:
            retries.note(event, self._clock())
        if record.is_connecting and (session.is_over or event.name == 'ready'):
            record.is_connecting = False
            self._connecting -= 1
        record.is_new = record.is_connecting or retries is not None and not retries.has_message
        if session.is_over and (retries is None or record.removal is not None):
            self._group._forget(record)     # first: its handler may add it again
        return event

    def settle(self, record):
        """See after a turn what the member waits for.

        :returns: an event that follows the end of a connection, or None
        """
        session = record.session
        if session.is_over:
            return self._end(record)
        waits, when = session.plan()
        if waits is not record.watched:
            self._register(record, waits)
        if when is not None:
            if when <= self.now:
                self._make_busy(record)
            elif record.entry is None or when < record.entry[0]:
                self._timers.push(when, record)
        return None

    def _register(self, record, waits):
        owners, poller = self._owners, self._poller
        wanted = dict(waits)
        for fd, _ in record.watched:
            if fd not in wanted:
                self.forget(record, fd)
        for fd, mask in waits:
            if fd < 0:                      # 2.7: a handler has closed it
                self._make_busy(record)
                continue
            if owners.get(fd) is not record:
                if fd in owners:
                    poller.forget(fd)       # closed without a word; the number is ours now
                owners[fd] = record
            poller.register(fd, mask)
        record.watched = waits

    def forget(self, record, fd):
        """Wait for a descriptor of a member no longer."""
        if self._owners.get(fd) is record and self._fork == fork_id():
            del self._owners[fd]
            self._poller.forget(fd)
            record.watched = ()

    def _end(self, record):
        for fd, _ in record.watched:
            self.forget(record, fd)
        self._timers.drop(record)
        self._sessions -= 1
        record.session.member = None
        record.session = record.loop = None
        group, retries = self._group, record.retries
        if record.host is not None:
            self._end_accepted(record)
            return None
        if group._members.get(id(record.websocket)) is not record:
            record.websocket = None         # no cycle stays
            return None
        what, delay = 'gave_up', None
        if record.removal is None:
            what, delay = retries.decide(some_number(), time.time())
        if what == 'gave_up' or record.removal is not None:
            group._forget(record)
            record.websocket = None
            return None if record.removal is not None else events.GaveUp(retries.cause, retries.failures)
        group._idle[record.number] = record
        if record.removal is not None and group._take_idle(record):     # meanwhile
            group._forget(record)
            record.websocket = None
            return None
        return events.BackOff(delay, attempt=retries.failures, cause=retries.cause)

    def pause(self, record, event):
        """Begin the pause of a client; the handler of its BackOff has returned."""
        if record.number in self._group._idle:
            self._timers.push(self._clock() + event.delay, record)

    def polled(self):
        """The group's Poll was handled: see when the next one is due."""
        self._timers.push(max(self.now + self._group._poll, self._clock() + NEXT_TURN), self._poll)

    # -- servers

    def _take_host(self, host):
        """A server is new, or has been told to stop."""
        host.loop = self
        if host.removal is not None and not host.is_draining:
            host.is_draining = True
            for fd, _ in host.watched:
                self.forget(host, fd)
            host.reception.begin_stop(*host.removal)
        self._make_busy(host)

    def _serve(self, host, ready):
        """Give a server a turn: it accepts, or waits for its last connections."""
        reception, now = host.reception, self.now
        for sock, address in reception.listener.process(ready, now):
            self._accept(host, sock, address)
            sock = None                     # 2.7: it stays open while anything refers to it
        if host.is_draining:
            if reception.is_idle:
                self._end_host(host)
                return
            if host.drop_at is not None and now >= host.drop_at:
                host.drop_at = None
                reception.drop()
        self.settle(host)

    def _accept(self, host, sock, address):
        from .server.hosted import HostedSession
        reception, group, limit = host.reception, self._group, self._poller.limit
        if limit is not None and self._sessions >= limit:
            reception.tell_busy(sock, self.now)
            return
        websocket = reception.accept(sock, address, self.now, HostedSession)
        if websocket is None:
            return
        record = Member(next(group._numbers), websocket)
        record.host, record.loop, record.is_new = host, self, True
        record.session = session = websocket._session
        session.member = record
        group._arriving[record.number] = record
        self._arrive(record)

    def _arrive(self, record):
        record.session._core.receive_buffer.share(self.lender)
        self._sessions += 1
        self._make_busy(record)

    def _take_over(self, record):
        """Go on with a connection whose opening handshake somebody else has done."""
        session = record.websocket._session
        if record.number not in self._group._arriving:
            return                          # close() was faster
        record.loop, record.session = self, session
        session.join(record, MANY_CONNECTIONS)
        session.begin_turn = functools.partial(_take_over, record.websocket, session)
        self._arrive(record)

    def _note_accepted(self, record, event):
        group, websocket = self._group, record.websocket
        if not record.is_new:
            group._forget(record)           # its last event
            return event
        if event.name != 'ready':
            from .server.connection import log_refusal
            log_refusal(websocket, event)
            return None
        record.is_new = False
        group._members[id(websocket)] = record
        group._arriving.pop(record.number, None)
        removal = record.host.removal or ((1001, '') if group._closed else None)
        if removal is not None:             # it was too late for a refusal
            websocket.close(*removal)
        return events.Accepted(event.response, event.protocol, event.extensions)

    def _end_accepted(self, record):
        host = record.host
        host.reception.release(record.websocket)
        self._group._forget(record)
        record.websocket = None
        if host.is_draining:
            self._make_busy(host)

    def _end_host(self, host):
        for fd, _ in host.watched:
            self.forget(host, fd)
        self._timers.drop(host)
        host.reception.end()
        host.session = host.loop = None
        self._group._servers.pop(id(host.server), None)

    # -- the end

    def end(self):
        """End all connections; may be called again, after an interrupt."""
        until = self._clock() + DROP_TIME
        group = self._group
        for record in list(group._records()) + list(group._arriving.copy().values()):
            session = record.session
            if session is not None:
                if session._driver is not None:
                    session._driver.drop_time = until - self._clock()
                session._clean_up()
                session.member = None
                record.session = record.loop = None
                if record.host is not None:
                    record.host.reception.release(record.websocket)
                    group._arriving.pop(record.number, None)
        self._poller.close()
        self._wake_up = None
        self._owners.clear()
        self._work.clear()
        self._queue.clear()
        self.woken.clear()
        del self._busy[:], self._timers.heap[:]
