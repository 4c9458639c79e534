"""Trace records and log lines of one connection.

What happens is noted where it happens, often under a lock or in a signal handler, and
told later: by the loop, or by a sender that has let go of the lock.  So the program's
trace callback and log handlers may take locks of their own, and may send.

Records are told in the order in which they were noted, by one thread at a time.
Nobody waits for that thread: what others note meanwhile is left to it.

A callback that sends makes new records, which are told once it has returned.  If it
sends for each record, that would never end; so what it sends because of *those* is not
noted.

Knows nothing of: sockets, sessions, requests.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import sys

from .._compat import get_ident, text_type
from ..network.lock import Lock
from ..opcode import Opcode
from ..protocol.frames import parse_close_payload

#: At most this many records wait for a callback that does not return; then other
#: threads tell theirs.
MOST_WAITING = 1000
#: The stages of what a send does.
_OF_SENDS = ('send_', 'socket_send')


class Observer(object):
    """Tells of one connection; made only if somebody listens.

    ``note`` and ``on_*``, except ``on_event``, run no code of the program.

    :param url: the URL to show, without a password; may be set later
    :param trace: a callable that takes a record, or None
    :param logger: the logger that gets the records at DEBUG, or None
    """

    def __init__(self, url, trace, logger):
        self.url = url
        self._trace = trace
        self._logger = logger
        self._records = collections.deque()     # (record, depth): told when it is their turn
        # Nobody waits for this one: who has it tells the records of all.
        self._telling = Lock()
        self._depth = 0                 # of the record that is being told
        self._close_is_told = False
        self._is_over = False           # 'disconnected' was told

    def note(self, stage, **values):
        """Keep one record; in any thread, under a lock, and in signal handlers."""
        depth = self._depth + 1 if self._telling.is_mine() else 0
        if depth < 2 or not stage.startswith(_OF_SENDS):
            self._records.append((dict(values, stage=stage, url=self.url), depth))

    def emit(self, stage, **values):
        """Note one record, and tell what was noted."""
        self.note(stage, **values)
        self.report()

    def report(self):
        """Tell what was noted; not under a lock, nor inside of ``close()``."""
        records, telling = self._records, self._telling
        while records:
            hold, is_over = [get_ident()], False
            try:
                try:
                    if not telling.try_take(hold) and len(records) < MOST_WAITING:
                        return          # the thread that tells goes on until nothing is left
                    self._tell_all()
                finally:
                    telling.release(hold)
                    is_over = True
            finally:
                if not is_over:         # an interrupt has cut it off
                    telling.release(hold)

    def _tell_all(self):
        records = self._records
        while records:
            try:
                record, self._depth = records.popleft()
            except IndexError:          # another thread was faster: see MOST_WAITING
                return
            if not self._is_over:
                self._tell(record)

    def _tell(self, record):
        stage = record['stage']
        if stage == 'close_requested':
            if self._close_is_told:
                return
            self._close_is_told = True
        elif stage == 'disconnected':
            self._is_over = True        # first: it is told once, and last
        if self._logger is not None:
            try:
                self._logger.debug('%s %s', stage, record)
            except Exception:           # a log handler that raises; the module's own way to say so
                logging = _find_logging()
                if logging is not None:
                    logging.Handler().handleError(logging.makeLogRecord({'msg': stage}))
        if self._trace is not None:
            try:
                self._trace(record)
            except Exception:
                logging = _find_logging()
                if logging is not None:
                    logging.getLogger('lomond').warning('the trace callback failed', exc_info=True)

    def on_sent(self, count):
        """``count`` bytes were handed to TLS or TCP."""
        self.note('socket_send', length=count)

    def on_reply(self, opcode, payload):
        """An automatic frame goes out; traced like a call, as in 0.3.4."""
        if opcode in (Opcode.PING, Opcode.PONG):
            self.note('send_' + Opcode.to_str(opcode).lower(), length=len(payload))
        elif opcode == Opcode.CLOSE:
            self.on_close(*parse_close_payload(payload))

    def on_close(self, code, reason):
        """A close frame will be sent; ``close()`` notes this beforehand.

        The first one is told.
        """
        self.note('close_requested', code=code,
                  reason=reason if isinstance(reason, text_type) else reason.decode('utf-8'))

    def on_received(self, count):
        """``count`` bytes came from TLS or TCP; 0 is the end of the stream."""
        self.note('socket_recv', length=count)

    def on_event(self, event):
        """Tell that an event is about to be handed out."""
        name = event.name
        if name in ('text', 'text_part'):           # a part counts as a message
            self.emit('message_text', length=len(event.text.encode('utf-8')))
        elif name in ('binary', 'binary_part', 'ping', 'pong'):
            self.emit('message_' + name.split('_')[0], length=len(event.data))
        elif name in ('closing', 'closed'):
            self.emit('message_close', code=event.code, reason=event.reason)
        elif name == 'ready':
            self.emit('handshake_ready', protocol=event.protocol,
                      extensions=sorted(event.extensions))
        elif name == 'rejected':
            self.emit('handshake_rejected', reason=event.reason,
                      status_code=event.response.status_code)


def _find_logging():
    """Return the module; None while the program exits: nobody can be told then."""
    try:
        import logging
    except ImportError:
        return None
    return logging


def make_observer(trace, url):
    """Return an :class:`Observer`, or None if nobody listens.

    :param trace: a callable; any other true value means the logger, whether or not it
        is enabled now
    :param url: the URL to show
    """
    is_of_log = trace and not callable(trace)
    if is_of_log or 'logging' in sys.modules:       # what nobody has imported, nobody has set up
        import logging
        logger = logging.getLogger('lomond')
        if is_of_log:
            return Observer(url, None, logger)
        if logger.isEnabledFor(logging.DEBUG):
            return Observer(url, trace or None, logger)
    return Observer(url, trace, None) if trace else None
