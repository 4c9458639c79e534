"""Trace records and log lines of one connection.

Knows nothing of: sockets, sessions, requests.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import text_type
from ..opcode import Opcode
from ..protocol.frames import parse_close_payload


class Observer(object):
    """Emits the trace records of one connection; made only if somebody listens.

    :param url: the URL to show, without a password; may be set later
    :param trace: a callable that takes a record, or None
    :param logger: the logger that gets the records at DEBUG, or None
    """

    def __init__(self, url, trace, logger):
        self.url = url
        self._trace = trace
        self._logger = logger
        self._close_requested = False

    def emit(self, stage, **values):
        """Emit one record."""
        record = dict(values, stage=stage, url=self.url)
        if self._logger is not None:
            self._logger.debug('%s %s', stage, record)
        if self._trace is not None:
            try:
                self._trace(record)
            except Exception:
                import logging
                logging.getLogger('lomond').warning('the trace callback failed', exc_info=True)

    def on_sent(self, count):
        """``count`` bytes were handed to TLS or TCP."""
        self.emit('socket_send', length=count)

    def on_reply(self, opcode, payload):
        """An automatic frame goes out; traced like a call, as in 0.3.4."""
        if opcode in (Opcode.PING, Opcode.PONG):
            self.emit('send_' + Opcode.to_str(opcode).lower(), length=len(payload))
        elif opcode == Opcode.CLOSE and not self._close_requested:
            self.on_close(*parse_close_payload(payload))

    def on_close(self, code, reason):
        """A close frame will be sent; ``close()`` reports this beforehand."""
        self._close_requested = True
        self.emit('close_requested', code=code,
                  reason=reason if isinstance(reason, text_type) else reason.decode('utf-8'))

    def on_received(self, count):
        """``count`` bytes came from TLS or TCP; 0 is the end of the stream."""
        self.emit('socket_recv', length=count)

    def on_event(self, event):
        """An event is about to be handed out."""
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


def make_observer(trace, url):
    """Return an :class:`Observer`, or None if nobody listens.

    :param trace: a callable; any other true value means the logger, whether or not it
        is enabled now
    :param url: the URL to show
    """
    import logging
    logger = logging.getLogger('lomond')
    if trace and not callable(trace):
        return Observer(url, None, logger)
    if logger.isEnabledFor(logging.DEBUG):
        return Observer(url, trace or None, logger)
    return Observer(url, trace, None) if trace else None
