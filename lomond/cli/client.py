"""``lomond URL``: connects the standard streams to a WebSocket server.

Knows nothing of: the parsing of options, the format of the output.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
from contextlib import closing

from .. import errors
from .._compat import encode_utf8, error_text
from ..network.poller import Waiting
from ..persist import persist
from ..session import WebsocketSession
from ..websocket import WebSocket
from . import CLEAN, FAILED, INTERRUPTED, REJECTED, USAGE, output
from .console import StreamBroken, escape_text
from .feed import Feed, InputFail, lines_of, texts_of
from .interrupts import PACE, Interrupts, Stop

#: Seconds between Poll events. Only Windows needs them, because signal handlers run
#: there only between two waits.
POLL = PACE or 86400.0


class Client(object):
    """One run of the client.

    It is called from three places: the main thread, which iterates over the events; the
    thread of the :class:`Feed`; and the signal handler, which calls only
    ``_interrupt``.
    """

    def __init__(self, console, options):
        self._console = console
        self._options = options
        self._stop = Stop()
        self._interrupts = Interrupts(self._interrupt, self._stop)
        self._is_in_handler = False
        self._records = collections.deque()     # trace records that are not shown yet
        self._progress = None
        self._is_ready = False
        self._is_leaving = False        # make no further connection
        self._is_urgent = False         # and close this one
        self._input_fail = None
        self._output_fail = None
        self._status = FAILED           # unless an event says otherwise
        self._websocket = self._make()
        self._feed = Feed(self._input(), self._send, options.persist, options.wait, self._finish,
                          self._fail_input)

    def _make(self):
        options, err = self._options, self._console.err
        if err.is_terminal and not options.quiet:
            self._progress = output.Progress(err)
        proxies = None
        if options.no_proxy:
            proxies = {}
        elif options.proxy is not None:
            proxies = {'all': options.proxy}
        cert = options.cert
        for message in options.messages:
            encode_utf8(message)        # raises ValueError for lone surrogates
        return WebSocket(
            options.url, proxies=proxies, protocols=options.protocols, compress=options.compress,
            ssl_verify=not options.insecure, ssl_cafile=options.cacert, headers=options.headers,
            ssl_cert=cert[0] if cert and len(cert) == 1 else cert,
            trace=self._trace if options.verbose or self._progress else None)

    def _trace(self, record):
        self._records.append(record)
        if self._is_in_handler:
            return              # the main thread may hold the lock on standard error
        try:
            while True:
                self._show_record(self._records.popleft())
        except IndexError:      # another thread has taken it
            pass

    def _show_record(self, record):
        if self._options.verbose:
            self._tell('trace', output.trace_text(record))
        if self._progress is not None:
            self._progress.count(record)

    def _tell(self, who, text):
        self._console.err.write_line('{}: {}'.format(who, escape_text(text)))

    # -- the main thread

    def run(self):
        """Run until the connection is over, and return the exit status."""
        try:
            with self._interrupts:
                with closing(self._events()) as events:
                    for event in events:
                        if not self._handle(event):
                            break
        except KeyboardInterrupt:       # a second signal, or closing took too long
            pass
        return self._end()

    def _events(self):
        options = self._options
        settings = dict(session_class=self._make_session, poll=POLL, ping_rate=options.ping_rate,
                        ping_timeout=options.ping_timeout, connect_timeout=options.connect_timeout)
        if options.persist:
            return persist(self._websocket, exit_event=self._stop, **settings)
        return self._websocket.connect(**settings)

    def _make_session(self, websocket):
        session = WebsocketSession(websocket)
        session.waiting = lambda: Waiting(self._stop.wake_up)       # signals end its waits
        return session

    def _handle(self, event):
        """Write an event and act on it; return False to leave the loop."""
        try:
            self._write(event)
        except StreamBroken as error:
            self._output_fail = error
            self._interrupts.limit()
            self._leave()
        name = event.name
        if name == 'ready':
            self._is_ready = True
            self._begin_sending()
        elif name in ('connect_fail', 'disconnected', 'rejected'):
            self._is_ready = False
            if name == 'rejected':
                self._status = REJECTED
            elif name == 'connect_fail':
                self._status = FAILED
            elif self._status != REJECTED:
                self._status = CLEAN if event.graceful else FAILED
            return name == 'rejected' or not self._is_leaving
        elif name == 'connecting':
            self._status = FAILED
        if self._is_urgent:
            self._leave()       # the first call may have come too early
        return True

    def _write(self, event):
        options, console = self._options, self._console
        if event.name == 'poll':
            return
        if options.verbose:
            self._tell('event', output.repr_text(event))
        if options.json:
            output.write_json(console.out, event)
        elif event.name in ('text', 'binary'):
            output.write_message(console.out, event, not options.binary)
        else:
            sentence = output.error_sentence(event)
            if sentence is None and not options.quiet:
                sentence = output.sentence(event)
            if sentence is not None:
                self._tell('lomond', sentence)
        if self._progress is not None and console.out.is_terminal:
            self._progress.reset()

    def _begin_sending(self):
        try:
            for message in self._options.messages:
                self._send(encode_utf8(message) if self._options.binary else message)
        except errors.WebSocketError as error:      # the loop reports the end, but not the loss
            self._tell('lomond', 'a message of -x was not sent; {}'.format(error_text(error)))
        if self._feed.ident is None:
            try:
                self._feed.start()
            except Exception as error:          # no further thread can be started
                self._fail_input(InputFail('cannot read the input: {}'.format(error_text(error))))
                return
        self._feed.gate.open()

    def _end(self):
        """Write the last error messages, and return the exit status."""
        self._feed.let_end()
        self._console.finish()
        if self._output_fail is not None:
            if self._output_fail.is_pipe:
                return CLEAN        # as in `lomond URL | head`
            self._tell('lomond', 'cannot write to standard output: {}'.format(self._output_fail))
            return FAILED
        if self._interrupts.was_interrupted:
            return INTERRUPTED
        if self._input_fail is not None:
            self._tell('lomond', error_text(self._input_fail))
            return USAGE
        if self._feed.has_unsent():
            self._tell('lomond', 'the connection ended before all input was sent')
        return self._status

    # -- the thread of the input

    def _input(self):
        options, console = self._options, self._console
        if console.input_is_terminal and options.messages and options.wait is not None:
            return iter(())         # given messages and a time, nobody is going to type
        if options.binary and not options.keep_line_ends:
            return iter(console.read, b'')
        lines = lines_of(console.read, options.keep_line_ends)
        return lines if options.binary else texts_of(lines, console.input_encoding)

    def _send(self, message):
        if self._options.binary:
            self._websocket.send_binary(message)
        else:
            self._websocket.send_text(message)

    def _finish(self):
        """Close: the input has ended, and the time to wait after it is over."""
        self._is_leaving = True
        if self._is_ready:
            self._websocket.close()
        else:
            self._leave()

    def _fail_input(self, error):
        self._input_fail = error
        self._finish()

    # -- the signal handler

    def _interrupt(self):
        self._is_in_handler = True
        self._leave()
        self._is_in_handler = False

    def _leave(self):
        """End soon, with close code 1001, without waiting; also used elsewhere."""
        self._is_leaving = self._is_urgent = True
        self._stop.set()
        self._websocket.close(1001, 'going away')


def run(console, options):
    """Run the client, and return the exit status."""
    try:
        client = Client(console, options)
    except (TypeError, ValueError) as error:
        options.fail(error_text(error))     # raises Usage
    return client.run()
