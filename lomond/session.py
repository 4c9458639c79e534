"""The session: connects one WebSocket and drives its connection in a thread that waits.

There are two layers, so that other loops can drive the same code; the first one is that
of ``lomond.driver.steps``:

``waits()``, ``next_deadline()``, ``process(ready, now)``, ``is_over``
    the steps: what to wait for, until when, what came of it, and whether that was all
``run()``
    repeat until the connection ends: wait, process, yield events

The life of a connection is one generator, ``_live``.  It dials (``lomond.network``),
sends the request, and lets a driver (``lomond.driver``) do the rest; a redirect or a
challenge begins again.  It yields events, and None whenever it has to wait.

Knows nothing of: ``WebSocket``, which hands in an attempt (what to connect to).
"""

from __future__ import absolute_import, division, unicode_literals

from ._compat import HANDS_OUT_BATCHES, OS_ERRORS, error_text, halt_at_exit, text_type, without_frames
from .driver.deadlines import Deadlines, earliest
from .driver.driver import Driver, Hooks
from .driver.handout import hand_out
from .driver.steps import Steps
from .events import Connected, ConnectFail, Connecting, Disconnected, Redirected
from .network.poller import LONGEST, READ, WRITE, Looking, time_limit  # noqa: F401 - two are for users

# Imported by the first connection, and once: an import costs each connection 4 us.
_Dial = _DialFail = None


def _import_dialer():
    """Import what connecting needs.

    :returns: None, or the arguments of ConnectFail: no descriptor is free, for example
    """
    global _Dial, _DialFail
    try:
        # The last one says that all are there.
        from .network.dialer import Dial as _Dial
        from .network.dialer import DialFail as _DialFail
    except Exception as error:
        return 'unable to connect; ' + error_text(error), without_frames(error), 'connect'


class WebsocketSession(Steps):
    """Drives one connection of a :class:`~lomond.websocket.WebSocket`.

    Subclasses may override ``_connect`` and ``_wrap_socket``.  ``send``, ``write``,
    ``queue_message``, ``close`` and ``force_disconnect`` may be called from any thread;
    everything else belongs to the thread that iterates.

    :param websocket: the WebSocket to connect
    """

    #: Called by the loop before it waits, if set before it begins: does something else,
    #: and returns the seconds until it has to be called again, or None for never.
    look = None
    #: True for the default session, which nobody else has seen before it runs.
    is_ours = False
    _gathers = False        # the iterator of run() hands out batches

    def __init__(self, websocket):
        # Without a lock, like the fields of Steps: the loop's thread writes them.
        super(WebsocketSession, self).__init__(websocket.state.core)
        self._attempt = websocket.state     # dropped at the end, so that no cycle stays
        self._sock = None               # the connected socket, while there is one
        self._stream = None
        self._dial = None
        self._deadline = None           # of connecting, upgrade included; monotonic
        self._proxy = None
        self._surplus = b''             # bytes behind a proxy's answer
        self._failure = None            # the arguments of ConnectFail, after a failed attempt
        self._dialed = ()               # the address of the connection, or those tried; for reasons

    # -- what WebSocket calls

    def run(self, poll=5.0, ping_rate=30.0, ping_timeout=None, auto_pong=True, close_timeout=30.0,
            connect_timeout=30.0, send_timeout=30.0):
        """Drive the connection to its end; parameters as in :meth:`.WebSocket.connect`.

        :returns: a generator of events; closing it closes the socket
        """
        self.start(poll, ping_rate, ping_timeout, auto_pong, close_timeout, connect_timeout, send_timeout)
        self._gathers = HANDS_OUT_BATCHES and self._attempt.on_event is None and (
            self.is_ours or _METHODS.isdisjoint(self.__dict__) and _is_plain(type(self)))
        return hand_out(self._run()) if self._gathers else self._run()

    def start(self, poll=5.0, ping_rate=30.0, ping_timeout=None, auto_pong=True,
              close_timeout=30.0, connect_timeout=30.0, send_timeout=30.0):
        """Prepare the connection for a loop of your own; parameters as in :meth:`run`.
        """
        self._settings = dict(poll=poll, ping_rate=ping_rate, ping_timeout=ping_timeout,
                              auto_pong=auto_pong, close_timeout=close_timeout)
        self._auto_pong = auto_pong
        self._connect_timeout = time_limit(connect_timeout)
        self._send_timeout = time_limit(send_timeout)
        self._deadlines = Deadlines(poll, ping_rate, ping_timeout, close_timeout)

    def _run(self):
        halt, gathers = halt_at_exit, self._gathers     # globals may be None when they are needed
        self._life = self._live()
        self._is_turn = True            # nobody else may call process()
        try:
            try:
                for event in self._life:
                    if event is not None:
                        yield (event,) if gathers and event.__class__ is not list else event
                        continue
                    self._resume(self._waiting.wait(self.waits(), self.next_deadline()), self._now)
            except:  # noqa: E722 - at exit, 2.7 sets even BaseException to None
                halt()
                raise
            finally:
                self._clean_up()
        finally:                        # if Ctrl-C came before it had begun
            self._clean_up()

    def waits(self):
        """Return what to poll.

        :returns: file descriptors as ``((fileno, READ | WRITE), ...)``, which can
            change after each :meth:`process` call: the identical tuple while nothing
            changes; ``()`` before the first :meth:`process` and after the end
        """
        if self._waiting is None or self.is_over:
            return ()
        if self._driver is not None and self._dial is None:
            self._waits = waits = self._driver.waits()
            return waits
        dialing = () if self._dial is None else tuple(self._dial.waits)
        return self._remember(dialing + self._wake_waits)

    def next_deadline(self):
        """Return the latest time at which :meth:`process` must be called.

        :returns: seconds of :meth:`monotonic`, in the past before the first call; None
            if there is no limit, or the connection is over
        """
        if self.is_over:
            return None
        if self._waiting is not None and self._waiting.is_woken:
            return self._now            # while it was not asleep
        driver = self._driver
        if driver is not None:
            return self._now if driver.is_busy else driver.lifecycle.next_deadline()
        return self._now if self._dial is None else earliest(self._dial.deadline, self._deadline)

    # -- the life of a connection

    def _check_begin(self):
        self._attempt.check_begin(self)

    def _live(self):
        attempt, failure = self._attempt, None
        attempt.begin(self)
        # Now: an import that is interrupted later, in the middle of a dial, can leave a
        # lock of the import system taken, for which the thread of a look-up would wait.
        if _DialFail is None:
            failure = _import_dialer()
        failure = failure or attempt.prepare()
        try:
            waiting = self.waiting()
            waiting.is_asleep = waiting.is_woken = False
            self._wake_waits = waiting.wake_waits       # opens the descriptor, if it has one
            self._waiting = waiting if self.look is None else Looking(waiting, self.look)
            self._now = self._waiting.monotonic()
        except OS_ERRORS as error:      # no descriptor is free
            failure = ('unable to connect; ' + error_text(error), error, 'prepare')
        if attempt.observer is not None:
            attempt.emit('connect_start', **self._settings)
        yield Connecting(attempt.shown_url)
        if self._connect_timeout is not None and self._waiting is not None:
            self._deadline = self._waiting.monotonic() + self._connect_timeout
        while True:
            if failure is None:
                for _ in self._connect_steps():
                    yield None
                failure = self._failure
            if failure is not None:
                break
            if attempt.shows_connected:
                yield Connected(attempt.shown_url, self._proxy)
            driver = self._driver
            if driver.stream.poll_tells_all and not (
                    driver.reader.parts or driver.lifecycle.stopped or self._core.inputs
                    or self._waiting.is_woken):
                yield None              # the answer takes a while: do not even look
            for event in driver.live():
                yield event
            again = self._driver.lifecycle.again
            if again is None:
                break
            if again is attempt.FAILED:
                failure = attempt.failure
                break
            self._forget_sockets()
            driver, self._driver = self._driver, None
            driver.close()
            self._dialed = ()
            # First: a close() while Redirected is handled is for the next attempt.
            self._restart()
            failure = attempt.prepare() if self._stopped is None else None
            if again != attempt.SILENT:
                yield Redirected(attempt.shown_url, again, driver.lifecycle.response)
        if failure is not None:
            self._finish()
            yield ConnectFail(self._with_address(failure[0]), *failure[1:])
            return
        lifecycle = self._driver.lifecycle
        reason, graceful, error = lifecycle.ending
        if lifecycle.ready_at is None and reason != 'closed':
            reason = self._with_address(reason)
            if lifecycle.stopped is None and lifecycle.response is None:
                attempt.blame_addresses()
        self._finish()
        yield Disconnected(reason, graceful=graceful, error=error, code=self._core.close_code)

    def _restart(self):
        """Take a fresh core for the next request; the end of the old one counts for it.
        """
        if not self._core.state.is_active and self._stopped is None:
            self._stopped = 'closed'        # a close() that Ctrl-C has cut off
        self._attempt.restart()
        self._core = self._attempt.core
        # In this order: _stop() in another thread sets the one and reads the other.
        if self._stopped is not None:
            self._core.disconnect()

    def _with_address(self, reason):
        """Name the addresses in a reason that does not have them already."""
        missing = ', '.join(address for address in self._dialed if address not in reason)
        return '{} ({})'.format(reason, missing) if missing else reason

    def _connect_steps(self):
        """Connect and send the request, or what of it is sent when the answer begins.

        :returns: a generator that yields None to wait; afterwards ``_failure`` says how
            it went
        """
        self._failure = None
        self._dialed = self._attempt.addresses = ()
        stage = 'connect'
        try:
            self._check('unable to connect', stage)
            if not getattr(self._connect, 'is_default', False):
                sock, self._proxy = self._connect()
                if self._stream is not None and self._stream.sock is sock:
                    sock.setblocking(False)
                else:
                    from .network.tls_stream import as_stream
                    self._stream = as_stream(sock)
                    self._dialed = self._attempt.addresses = ()
                self._check('unable to connect', stage)     # it may have been stopped
            else:
                for _ in self._dial_steps():
                    yield None
            stage = 'upgrade'
            driver = self._begin_driver()
            request = self._attempt.request()
            self._check('request failed', stage)        # it may be made by the program, which may close
            driver.writer.write(request)
            while True:
                driver.writer.try_flush()
                if self._attempt.report is not None:
                    self._attempt.report()
                # First: a stream that was shut down is a broken one, too.
                self._check('request failed', stage)
                if driver.writer.error is None and not driver.writer.has_tail():
                    return
                if driver.answer_has_begun():
                    return              # what is left of the request is written meanwhile
                error = driver.find_cause()
                if error is not None:
                    from .network.tls_errors import describe_error
                    raise _DialFail('request failed; ' + describe_error(error), stage, error,
                                    blames_address=True)
                yield None
        except _DialFail as fail:
            if fail.blames_address:
                self._attempt.blame_addresses()
            self._failure = (text_type(fail), without_frames(fail.error or fail), fail.stage, fail.response)
        except Exception as error:      # from an override or callable of the user
            problem = 'request failed; ' if stage == 'upgrade' else ''
            self._failure = (problem + error_text(error), without_frames(error), stage)

    def _begin_driver(self):
        attempt, core = self._attempt, self._core
        self._sock = self._stream.sock
        core.auto_pong = self._auto_pong
        core.collect_body, core.goes_on = True, attempt.goes_on
        hooks = Hooks(attempt.on_event, attempt.on_sent, attempt.on_received, attempt.on_reply,
                      on_ready=attempt.accepted, on_rejected=attempt.follow, report=attempt.report)
        driver = self._driver = Driver(
            core, self._stream, self._deadlines, self._waiting, self._send_timeout, self._deadline,
            'disconnected; upgrade timed out after {}s'.format(self._connect_timeout), hooks, self.rules,
            max_queued=self.max_queued)
        driver.gathers = self._gathers
        if self._waits:
            driver.remember(self._waits)
        if self._surplus:
            driver.reader.put_back(self._surplus)
            self._surplus = b''
        return driver

    def _dial_steps(self):
        dial = self._dial = _Dial(self._attempt.route(self), self._waiting, self._forget)
        is_done = False
        try:
            for _ in dial.steps():
                self._check(dial.problem, dial.stage, dial)
                yield None
                self._check(dial.problem, dial.stage, dial)
                dial.ready = self._ready
            self._stream, self._proxy, self._surplus = dial.stream, dial.proxy, dial.surplus
            dial.stream = None
            is_done = True
        finally:
            if not is_done:
                self._forget_sockets()
            self._dialed = dial.dialed
            if self._attempt is not None:           # else Ctrl-C has ended all before
                self._attempt.addresses = dial.suspects
            dial.close()
            self._dial = None           # last: if Ctrl-C comes here, _finish closes it

    def _check(self, problem, stage, dial=None):
        """Raise DialFail if the attempt was canceled or timed out."""
        core = self._core
        if self._stopped is not None or core.inputs and not core.state.is_active:
            raise _DialFail(problem + '; closed', stage)
        if self._deadline is not None and self._waiting.monotonic() >= self._deadline:
            details = ''
            if dial is not None:
                dial.give_up()
                details = dial.details()
            reason = '{}; {} timed out after {}s{}'.format(
                problem, stage, self._connect_timeout, details and ': ' + details)
            raise _DialFail(reason if dial is None else dial.explain(reason), stage, blames_address=True)

    def _connect(self):
        """Connect, TLS included.  Subclasses may override it.

        The socket may be any stream that does not block: it needs ``fileno``, ``recv``,
        ``send`` and ``close`` only, and may raise ``socket.timeout`` for "not now".

        :returns: ``(connected socket, URL of the proxy or None)``
        :raises Exception: of any kind: it becomes a :class:`~lomond.events.ConnectFail`
            with its text
        """
        for _ in self._dial_steps():
            self._resume(self._waiting.wait(self.waits(), self.next_deadline()), self._now)
        # As in _wrap_socket: an override that calls this may use the socket.
        self._stream.sock.settimeout(self.time_left())
        return self._stream.sock, self._proxy

    _connect.is_default = True

    def _wrap_socket(self, sock, host):
        """Begin TLS on a connected socket.  Subclasses may override it.

        :param sock: a blocking socket; its timeout is what is left of
            ``connect_timeout``
        :param host: the name of the server's certificate: ``server_hostname``, or the
            host of the URL
        :returns: the TLS socket
        """
        return self._attempt.wrap_socket(sock, host)

    _wrap_socket.is_default = True

    def time_left(self):
        """Ask for what is left of ``connect_timeout``.

        :returns: seconds; None if there is no limit
        """
        if self._deadline is None:
            return None
        return min(max(self._deadline - self._waiting.monotonic(), 0.001), LONGEST)

    # -- the end

    def _finish(self):
        """Close everything.

        The state is DISCONNECTED before the last event is handed out.
        """
        if self.is_over:
            return
        self._ended_time = self.session_time
        self._core.disconnect()
        waits, self._waits = self._waits, ()
        for fd, _ in waits:             # before they are closed
            self._waiting.forget(fd)
        self._attempt.end(self)
        if self._dial is not None:
            self._dial.close()
            self._dial = None
        if self._driver is not None:
            self._driver.close()
        elif self._stream is not None:
            self._stream.shutdown()
            self._stream.close()
        self._sock = None
        if self._attempt.observer is not None:
            self._attempt.emit('disconnected')
        self.is_over = True             # last, so that what Ctrl-C cuts off is done again

    def _clean_up(self):
        """Let go of everything once the iterator has ended, in whatever way."""
        life = self._life
        if life is not None and (self._waiting is not None or self._attempt.is_running(self)):
            try:
                self.say_goodbye(True)
                self._let_go(life)
            except BaseException:       # Ctrl-C in the middle: once more, to the end
                try:
                    self.say_goodbye(True)
                finally:
                    self._let_go(life)
                self._life = None
                raise
        self._life = self._attempt = None
        self.is_over = True             # also if it could not begin

    def _let_go(self, life):
        self._finish()
        life.close()
        self._core.release()
        if self._waiting is not None:
            self._waiting.close()


#: What a subclass of the session, or its owner, may set, and events still come in
#: batches.
_HARMLESS = ('_connect', '_wrap_socket', 'waiting', 'look', 'max_queued', 'rules', '_gathers')
_METHODS = frozenset(
    name for name in dir(WebsocketSession) if not name.startswith('__')).difference(_HARMLESS)


def _is_plain(session_class):
    """True unless the loop of a session, or something that it calls, is overridden."""
    for kind in session_class.__mro__:
        if kind is WebsocketSession:
            break
        if not _METHODS.isdisjoint(kind.__dict__):
            return False
    return True
