"""The output for events: messages, JSON, sentences and progress.

Knows nothing of: connections. It receives events and writes text.
"""

from __future__ import absolute_import, division, unicode_literals

import base64

from .._compat import error_text, monotonic, text_type
from ..events import Event
from ..response import Response
from .console import escape_bytes, escape_text

MIB = 1024 * 1024
#: Progress is shown once a transfer has taken this many seconds and this many bytes.
LONG_TIME = 1.0
LONG_SIZE = MIB
#: Seconds between two updates of the progress.
PACE = 0.2


# -- standard output

def write_message(out, event, has_line_ends=True):
    """Write a Text or Binary event.

    :param out: :class:`~lomond.cli.console.Writer`
    :param has_line_ends: whether a newline follows each message; a terminal always gets
        one
    """
    is_text = event.name == 'text'
    if out.is_terminal:
        out.write_line(escape_text(event.text) if is_text else escape_bytes(event.data))
        return
    data = event.text.encode('utf-8') if is_text else event.data
    out.write_bytes(data + b'\n' if has_line_ends else data)


def write_json(out, event):
    """Write an event as a JSON object on one line."""
    import json
    record = {'name': event.name, 'time': event.received_time}
    for name in type(event).__slots__:
        if not name.startswith('_'):
            value = getattr(event, name, None)
            record[name] = base64.b64encode(value).decode('ascii') if name == 'data' else _plain(value)
    if event.name in ('rejected', 'connect_fail') and event.response is not None:
        record['body'] = event.response.body.decode('utf-8', 'replace')
    out.write_line(json.dumps(record, sort_keys=True))


def _plain(value):
    """Convert an attribute of an event to what JSON supports."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Response):
        return {'status_code': value.status_code, 'status': value.status, 'headers': value.headers}
    if isinstance(value, Event):
        return value.name
    if isinstance(value, Exception):
        return error_text(value)
    return value


# -- standard error

def error_sentence(event):
    """Return what went wrong as text, or None if the event is not a failure."""
    if event.name == 'connect_fail':
        return event.reason
    if event.name == 'rejected':
        body = event.response.body[:200].decode('utf-8', 'replace').strip()
        return 'rejected; {}{}'.format(event.reason, ': ' + body if body else '')
    if event.name == 'protocol_error':
        return 'protocol error; {}'.format(event.error)
    if event.name == 'disconnected' and not event.graceful:
        return 'connection broke; {}'.format(event.reason)
    return None


def sentence(event):
    """Describe an event that is not a failure; return None if it needs no mention."""
    if event.name == 'ready':
        details = sorted(event.extensions)
        if event.protocol:
            details.insert(0, 'subprotocol ' + event.protocol)
        return 'connected' + (' ({})'.format(', '.join(details)) if details else '')
    if event.name in ('closing', 'closed'):
        what = 'closed by the server' if event.name == 'closing' else 'closed'
        if event.code is None:
            return what
        return '{}: {}{}'.format(what, event.code, ' ' + event.reason if event.reason else '')
    if event.name == 'back_off':
        return 'next attempt in {:.1f} s'.format(event.delay)
    return None


def repr_text(value):
    """Return ``repr(value)`` as text."""
    shown = repr(value)
    return shown.decode('utf-8', 'replace') if isinstance(shown, bytes) else shown


def trace_text(record):
    """Format a trace record as one line of text."""
    words = [record.get('stage', '?')]
    for name in sorted(record):
        if name != 'stage':
            value = record[name]
            words.append('{}={}'.format(name, value if isinstance(value, text_type) else repr_text(value)))
    return ' '.join(words)


class Progress(object):
    """The progress of a long transfer, shown on the last line of a terminal.

    It counts the bytes in trace records, from any thread.

    :param err: :class:`~lomond.cli.console.Writer`
    """

    def __init__(self, err):
        self._err = err
        self.reset()

    def reset(self):
        """Start counting again, because other output has shown progress."""
        self._begun = self._shown_at = None
        self._sent = self._received = 0

    def count(self, record):
        """Count the bytes in a trace record, and show the progress if it is time."""
        stage = record['stage']
        if stage == 'socket_send':
            self._sent += record['length']
        elif stage == 'socket_recv':
            self._received += record['length']
        else:
            return
        now = monotonic()
        if self._begun is None:
            self._begun = self._shown_at = now
        size = self._sent + self._received
        seconds = now - self._begun
        if seconds < LONG_TIME or size < LONG_SIZE or now - self._shown_at < PACE:
            return
        self._shown_at = now
        self._err.show('sent {:.1f} MiB, received {:.1f} MiB, {:.1f} MiB/s'.format(
            self._sent / MIB, self._received / MIB, size / MIB / seconds))
