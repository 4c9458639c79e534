"""``lomond URL``: a connection between a WebSocket server and the standard streams.

It must not know how words become options, nor how what is written looks.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
from contextlib import closing

from .. import errors
from .._compat import encode_utf8, error_text
from ..persist import persist
from ..websocket import WebSocket
from . import CLEAN, FAILED, INTERRUPTED, REJECTED, USAGE, output
from .console import StreamBroken, escape_text
from .feed import Feed, lines_of, texts_of
from .interrupts import PACE, Interrupts, Stop

#: Seconds between two Poll events, for which there is no use here but on Windows, where signal
#: handlers run only between two waits.
POLL = PACE or 86400.0


class Client(object):
    """One run of the client.

    Three parties call: the main thread, which iterates; the thread of the :class:`Feed`; and the
    signal handler, which uses nothing but ``_interrupt``.
    """

    def __init__(self, console, options):
        self._console = console
        self._options = options
        self._stop = Stop()
        self._interrupts = Interrupts(self._interrupt)
        self._is_in_handler = False
        self._records = collections.deque()     # of the trace, not shown yet
        self._progress = None
        self._is_ready = False
        self._is_leaving = False        # no further connection
        self._is_urgent = False         # and this one is to be closed
        self._input_fail = None
        self._output_fail = None
        self._status = FAILED           # when nothing says how it ended
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
            encode_utf8(message)        # ValueError for what no message may have
        return WebSocket(
            options.url, proxies=proxies, protocols=options.protocols, compress=options.compress,
            ssl_verify=not options.insecure, ssl_cafile=options.cacert, headers=options.headers,
            ssl_cert=cert[0] if cert and len(cert) == 1 else cert,
            trace=self._trace if options.verbose or self._progress else None)

    def _trace(self, record):
        self._records.append(record)
        if self._is_in_handler:
            return              # the main thread may hold the lock of standard error
        try:
            while True:
                self._show_record(self._records.popleft())
        except IndexError:      # another thread may have taken it
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
        """Connect, until it is over; returns the exit status."""
        try:
            with self._interrupts:
                with closing(self._events()) as events:
                    for event in events:
                        if not self._handle(event):
                            break
        except KeyboardInterrupt:       # a second signal, or the first took too long
            pass
        return self._end()

    def _events(self):
        options = self._options
        settings = dict(poll=POLL, ping_rate=options.ping_rate, ping_timeout=options.ping_timeout,
                        connect_timeout=options.connect_timeout)
        if options.persist:
            return persist(self._websocket, exit_event=self._stop, **settings)
        return self._websocket.connect(**settings)

    def _handle(self, event):
        """Write an event and do what it asks for; False when the loop is to be left."""
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
            self._leave()       # it may have been too early for the first call
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
        except errors.WebSocketError as error:      # the loop tells the end, but not what it cost
            self._tell('lomond', 'a message of -x was not sent; {}'.format(error_text(error)))
        if self._feed.ident is None:
            self._feed.start()
        self._feed.gate.open()

    def _end(self):
        """The exit status, and the last words."""
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
            self._tell('lomond', 'the connection ended before all of the input was sent')
        return self._status

    # -- the thread of the input

    def _input(self):
        options, console = self._options, self._console
        if console.input_is_terminal and options.messages and options.wait is not None:
            return iter(())         # who gives messages and a time is not going to type
        if options.binary:
            return iter(console.read, b'')
        return texts_of(lines_of(console.read), console.input_encoding)

    def _send(self, message):
        if self._options.binary:
            self._websocket.send_binary(message)
        else:
            self._websocket.send_text(message)

    def _finish(self):
        """The time after the end of the input is over."""
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
        """End soon, with close code 1001; never waits; also called by the others."""
        self._is_leaving = self._is_urgent = True
        self._stop.set()
        self._websocket.close(1001, 'going away')


def run(console, options):
    """Be a client; returns the exit status."""
    try:
        client = Client(console, options)
    except (TypeError, ValueError) as error:
        options.fail(error_text(error))     # raises Usage
    return client.run()
