"""Trace records and log lines of one connection.

Knows nothing of: sockets, sessions, requests.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import text_type
from ..opcode import Opcode
from ..protocol.frames import parse_close_payload


class _Observer(object):
    """Trace records and log lines of one connection; made only when somebody listens."""

    def __init__(self, state, trace, logger):
        self._state = state         # not the WebSocket, which refers to us: no cycle
        self._trace = trace
        self._logger = logger
        self._close_requested = False

    def emit(self, stage, **values):
        record = dict(values, stage=stage, url=self._state.shown_url)
        if self._logger is not None:
            self._logger.debug('%s %s', stage, record)
        if self._trace is not None:
            try:
                self._trace(record)
            except Exception:
                import logging
                logging.getLogger('lomond').warning('the trace callback failed', exc_info=True)

    def on_sent(self, count):
        self.emit('socket_send', length=count)

    def on_reply(self, opcode, payload):
        """An automatic frame goes out; traced as if its method had been called, as it is in 0.3.4."""
        if opcode in (Opcode.PING, Opcode.PONG):
            self.emit('send_' + Opcode.to_str(opcode).lower(), length=len(payload))
        elif opcode == Opcode.CLOSE and not self._close_requested:
            self.on_close(*parse_close_payload(payload))

    def on_close(self, code, reason):
        """A close frame is due; of ``close()`` itself this tells before the frame goes out."""
        self._close_requested = True
        self.emit('close_requested', code=code,
                  reason=reason if isinstance(reason, text_type) else reason.decode('utf-8'))

    def on_received(self, count):
        self.emit('socket_recv', length=count)

    def on_event(self, event):
        name = event.name
        if name == 'text':
            self.emit('message_text', length=len(event.text.encode('utf-8')))
        elif name in ('binary', 'ping', 'pong'):
            self.emit('message_' + name, length=len(event.data))
        elif name in ('closing', 'closed'):
            self.emit('message_close', code=event.code, reason=event.reason)
        elif name == 'ready':
            self.emit('handshake_ready', protocol=event.protocol,
                      extensions=sorted(event.extensions))
        elif name == 'rejected':
            self.emit('handshake_rejected', reason=event.reason,
                      status_code=event.response.status_code)


def make_observer(websocket):
    """An observer, or None when nobody listens: then nothing is paid for one."""
    import logging
    logger = logging.getLogger('lomond')
    trace, state = websocket.trace, websocket.state
    if trace and not callable(trace):
        return _Observer(state, None, logger)
    if logger.isEnabledFor(logging.DEBUG):
        return _Observer(state, trace or None, logger)
    return _Observer(state, trace, None) if trace else None
