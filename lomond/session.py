"""The blocking driver: it owns the clock, the connecting and the loop of one connection.

It must not know ``WebSocket``: it talks to the record of what to connect to that the facade
gives it (:class:`lomond.client.attempt.Plan`).  Two layers, so that other loops can drive the same code:

``waits()``, ``next_deadline()``, ``process(ready, now)``, ``is_over``
    the steps: what is waited for, until when, what came of it, and whether that was all
``run()``
    for ever: wait for the nearest deadline, process, yield

A connection's life is one generator, ``_live``: it yields events, and None whenever it has to wait.
"""

from __future__ import absolute_import, division, unicode_literals

from . import errors
from ._compat import OS_ERRORS, error_text, monotonic, text_type, without_frames
from .driver.deadlines import Deadlines, earliest
from .driver.driver import Driver, Hooks
from .events import Connected, ConnectFail, Connecting, Disconnected, Redirected
from .network.dialer import Dial, DialFail
from .network.poller import LONGEST, READ, Waiting
from .network.stream import as_stream
from .network.tls_context import describe_error
from .opcode import Opcode


class WebsocketSession(object):
    """Drives one connection of a :class:`~lomond.websocket.WebSocket`.

    Subclasses may override ``_connect`` and ``_wrap_socket``.  ``send``, ``write``,
    ``queue_message``, ``close`` and ``force_disconnect`` are for any thread; everything else
    belongs to the thread that iterates.

    :param websocket: who is to be connected
    """
    waiting = Waiting       #: clock, waiting and wake-up; tests put their own here

    def __init__(self, websocket):
        # No lock guards these: the loop's thread writes them, unless it says otherwise; others read.
        self._plan = websocket.plan     # dropped at the end: no reference cycle stays
        self._core = self._plan.core
        self._sock = None               # the connected socket, while there is one
        self._stream = None
        self._dial = None
        self._driver = None               # the Driver, once connected
        self._deadlines = None
        self._waiting = None
        self._life = None
        self._ended_time = None         # session_time at the end
        self._stopped = None            # the reason of a forced end; written once, any thread
        self._deadline = None           # of connecting, upgrade included; monotonic
        self._now = 0.0
        self._ready = ()
        self._proxy = None
        self._surplus = b''             # bytes behind a proxy's answer
        self._failure = None            # (reason, exception, stage) of a connect that failed
        self.is_over = False            #: True once nothing more will happen

    # -- the plug: what WebSocket calls

    def run(self, poll=5.0, ping_rate=30.0, ping_timeout=None, auto_pong=True, close_timeout=30.0,
            connect_timeout=30.0, send_timeout=30.0):
        """Drive the connection to its end; parameters as in :meth:`.WebSocket.connect`.

        :returns: a generator of events; closing it closes the socket
        """
        self.start(poll, ping_rate, ping_timeout, auto_pong, close_timeout, connect_timeout, send_timeout)
        return self._run()

    def start(self, poll=5.0, ping_rate=30.0, ping_timeout=None, auto_pong=True,
              close_timeout=30.0, connect_timeout=30.0, send_timeout=30.0):
        """Begin, for a loop of one's own, without :meth:`run`; parameters as in :meth:`run`."""
        self._settings = dict(poll=poll, ping_rate=ping_rate, ping_timeout=ping_timeout,
                              auto_pong=auto_pong, close_timeout=close_timeout)
        self._auto_pong = auto_pong
        self._connect_timeout = connect_timeout or None
        self._send_timeout = send_timeout or None
        self._deadlines = Deadlines(poll, ping_rate, ping_timeout, close_timeout)

    def _run(self):
        self._life = self._live()
        try:
            for event in self._life:
                if event is not None:
                    yield event
                    continue
                self._resume(self._waiting.wait(self.waits(), self.next_deadline()), self._now)
        finally:
            self._clean_up()

    def waits(self):
        """What is waited for now: ``((fileno, READ | WRITE), ...)``; it changes between calls."""
        if self._waiting is None or self.is_over:
            return ()
        if self._driver is not None and self._dial is None:
            return self._driver.waits()
        waits = ((self._waiting.fileno(), READ),)
        return waits if self._dial is None else tuple(self._dial.waits) + waits

    def next_deadline(self):
        """When :meth:`process` is to be called at the latest (monotonic), or None."""
        if self.is_over:
            return None
        driver = self._driver
        if driver is not None:
            return self._now if driver.is_busy else driver.lifecycle.next_deadline()
        return self._now if self._dial is None else earliest(self._dial.deadline, self._deadline)

    def monotonic(self):
        """The clock of :meth:`next_deadline` and :meth:`process`, seconds."""
        return monotonic() if self._waiting is None else self._waiting.monotonic()

    def process(self, ready, now):
        """Do what can be done now; exhaust it before the next call.

        :param ready: which of :meth:`waits` are ready, in the same shape
        :param now: seconds of the monotonic clock
        :returns: a lazy iterator of events
        """
        if self._life is None and not self.is_over:
            self._life = self._live()
        self._resume(ready, now)
        over = True
        try:
            for event in self._life or ():
                if event is None:
                    over = False
                    return
                yield event
        finally:
            if over:
                self._clean_up()

    def _resume(self, ready, now):
        self._ready, self._now = ready, now
        if self._waiting is not None:
            for fd, _ in ready or ():
                if fd == self._waiting.fileno():
                    self._waiting.clear()

    def send(self, opcode, payload, compress=False):
        """Check the state, compress, encode and write, as one act; from any thread.

        :param opcode: of a message, ping or pong; a close frame is queued, never waits or raises
        :param payload: bytes or memoryview
        :param compress: True: it is compressed if that was agreed on
        :raises WebSocketUnavailable: and SendTimeout, TransportFail, as ``WebSocket.send_text``
        """
        driver = self._driver
        if opcode == Opcode.CLOSE:
            if driver is not None and self._deadlines.closed_at is None:
                self._deadlines.closed_at = driver.clock()
            self._queue(opcode, payload)
            return
        if driver is None:
            self._core.check_send()
            raise errors.WebSocketUnavailable('nothing can be sent without a connection')
        driver.writer.send(opcode, payload, compress)
        if opcode == Opcode.PING and self._deadlines.ping_timeout is not None:
            self.wake()                     # the loop has a new deadline

    def queue_message(self, opcode, payload, compress=False):
        """Queue a message without waiting; :meth:`process` writes it as the peer takes it.

        :param opcode: ``Opcode.TEXT`` or ``BINARY``
        :param payload: bytes
        :param compress: True: it is compressed if that was agreed on
        :returns: how many bytes of messages wait now: what to hold against a high-water mark
        :raises WebSocketUnavailable: and subclasses, when the state forbids it
        """
        self._core.check_send()
        self._core.replies.queue_message(opcode, payload, compress)
        self._flush()
        return self._core.replies.queued_messages

    def write(self, data):
        """Write encoded frames as they are, behind what is queued already; never waits.

        :param data: bytes
        """
        self._queue(None, data)

    def _queue(self, opcode, payload):
        self._core.replies.queue(opcode, payload)
        self._flush()

    def _flush(self):
        driver = self._driver
        if driver is not None:
            driver.writer.try_flush()
        self.wake()

    def close(self):
        """Close the socket without a close frame; the loop ends; from any thread."""
        self._stop('closed')

    def force_disconnect(self):
        """Drop the connection at once; the loop ends; from any thread or signal handler."""
        self._stop('disconnected; force_disconnect')

    def _stop(self, reason):
        if self._stopped is None:
            self._stopped = reason
        self._core.disconnect()
        driver = self._driver
        if driver is not None:
            driver.stop(reason)
        self.wake()

    def wake(self):
        """Let the loop look around; from any thread or signal handler."""
        waiting = self._waiting
        if waiting is not None:
            waiting.wake()

    @property
    def session_time(self):
        """Seconds since Ready; 0.0 before it; it stands still after the end."""
        if self._ended_time is not None:
            return self._ended_time
        driver = self._driver
        return 0.0 if driver is None else driver.session_time

    # -- the life of a connection

    def _live(self):
        plan = self._plan
        plan.begin(self)
        failure = plan.prepare()
        try:
            self._waiting = self.waiting()
            self._now = self._waiting.monotonic()
        except OS_ERRORS as error:      # no descriptor is free
            failure = ('unable to connect; ' + error_text(error), error, 'prepare')
        plan.emit('connect_start', **self._settings)
        yield Connecting(plan.shown_url)
        if self._connect_timeout is not None and self._waiting is not None:
            self._deadline = self._waiting.monotonic() + self._connect_timeout
        while True:
            if failure is None:
                for _ in self._connect_steps():
                    yield None
                failure = self._failure
            if failure is not None:
                break
            if plan.shows_connected:
                yield Connected(plan.shown_url, self._proxy)
            for event in self._driver.live():
                yield event
            again = self._driver.lifecycle.again
            if again is None:
                break
            driver, self._driver = self._driver, None
            driver.close()
            failure = plan.restart()            # first: a close() in the handler is for what comes
            self._core = plan.core
            if again != plan.SILENT:
                yield Redirected(plan.shown_url, again, driver.lifecycle.response)
        if failure is not None:
            self._finish()
            yield ConnectFail(*failure)
            return
        reason, graceful, error = self._driver.lifecycle.ending
        self._finish()
        yield Disconnected(reason, graceful=graceful, error=error, code=self._core.close_code)

    def _connect_steps(self):
        """Connect and send the request; yields None to wait; ``_failure`` tells how it went."""
        self._failure = None
        stage = 'connect'
        try:
            self._check('unable to connect', stage)
            if not getattr(self._connect, 'is_default', False):
                sock, self._proxy = self._connect()
                if self._stream is not None and self._stream.sock is sock:
                    sock.setblocking(False)
                else:
                    self._stream = as_stream(sock)
            else:
                for _ in self._dial_steps():
                    yield None
            stage = 'upgrade'
            driver = self._begin_driver()
            driver.writer.write(self._plan.request())
            while True:
                driver.writer.try_flush()
                self._check('request failed', stage)        # first: what was shut down is broken, too
                if driver.writer.error is not None:
                    error = driver.find_cause()
                    raise DialFail('request failed; ' + describe_error(error), stage, error)
                if not driver.writer.has_tail():
                    return
                yield None
        except DialFail as fail:
            self._failure = (text_type(fail), without_frames(fail.error or fail), fail.stage)
        except Exception as error:          # of an overridden method, or a callable of the user
            problem = 'request failed; ' if stage == 'upgrade' else ''
            self._failure = (problem + error_text(error), without_frames(error), stage)

    def _begin_driver(self):
        plan, core = self._plan, self._core
        self._sock = self._stream.sock
        core.auto_pong = self._auto_pong
        core.collect_body = plan.wants_body
        hooks = Hooks(plan.on_event, plan.on_sent, plan.on_received, plan.on_reply, plan.accepted,
                      plan.follow)
        driver = self._driver = Driver(
            core, self._stream, self._deadlines, self._waiting, self._send_timeout, self._deadline,
            'disconnected; upgrade timed out after {}s'.format(self._connect_timeout), hooks)
        if self._surplus:
            driver.reader.put_back(self._surplus)
            self._surplus = b''
        return driver

    def _dial_steps(self):
        dial = self._dial = Dial(self._plan.route(self), self._waiting)
        try:
            for _ in dial.steps():
                self._check(dial.problem, dial.stage, dial)
                yield None
                self._check(dial.problem, dial.stage, dial)
                dial.ready = self._ready
            self._stream, self._proxy, self._surplus = dial.stream, dial.proxy, dial.surplus
            dial.stream = None
        finally:
            self._dial = None
            dial.close()

    def _check(self, problem, stage, dial=None):
        """End the connecting when it was stopped, or has taken too long."""
        if self._stopped is not None or not self._core.state.is_active:
            raise DialFail(problem + '; closed', stage)
        if self._deadline is not None and self._waiting.monotonic() >= self._deadline:
            details = dial.details() if dial is not None else ''
            raise DialFail('{}; {} timed out after {}s{}'.format(
                problem, stage, self._connect_timeout, details and ': ' + details), stage)

    def _connect(self):
        """Connect, TLS included; may be overridden.

        :returns: ``(connected socket, URL of the proxy or None)``
        :raises Exception: any; it becomes :class:`~lomond.events.ConnectFail` with its text
        """
        for _ in self._dial_steps():
            self._resume(self._waiting.wait(self.waits(), self.next_deadline()), self._now)
        self._stream.sock.settimeout(self.time_left())      # as in _wrap_socket: who calls it may use it
        return self._stream.sock, self._proxy

    _connect.is_default = True

    def _wrap_socket(self, sock, host):
        """Begin TLS on a connected socket; may be overridden.

        :param sock: a blocking socket; its timeout is what is left of ``connect_timeout``
        :param host: the host of the URL
        :returns: the TLS socket
        """
        return self._plan.wrap_socket(sock, host)

    _wrap_socket.is_default = True

    def time_left(self):
        """Seconds until ``connect_timeout``; None without one."""
        if self._deadline is None:
            return None
        return min(max(self._deadline - self._waiting.monotonic(), 0.001), LONGEST)

    # -- the end

    def _finish(self):
        """Close everything; the state is DISCONNECTED before the last event is handed out."""
        if self.is_over:
            return
        self._ended_time = self.session_time
        self._core.disconnect()
        self._plan.end(self)
        if self._driver is not None:
            self._driver.close()
        elif self._stream is not None:
            self._stream.shutdown()
            self._stream.close()
        self._sock = None
        self._plan.emit('disconnected')
        self.is_over = True             # last: what Ctrl-C has cut off is done again

    def _clean_up(self):
        """The iterator is over, however it ended."""
        life = self._life
        if life is not None and (self._waiting is not None or self._plan.is_running(self)):
            try:
                self._let_go(life)
            except BaseException:       # Ctrl-C in the midst of it: once more, to its end
                self._let_go(life)
                raise
        self._life = self._plan = None

    def _let_go(self, life):
        self._finish()
        life.close()
        self._core.release()
        if self._waiting is not None:
            self._waiting.close()
