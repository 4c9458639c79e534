"""``lomond demo``: an echo server and a client that talks to it, with explanations.

It requires nothing but the loopback interface: no network, and no proxy.
"""

from __future__ import absolute_import, division, unicode_literals

from contextlib import closing

from .._compat import OS_ERRORS, error_text, monotonic
from ..testing import Server, echo
from ..websocket import WebSocket
from . import CLEAN, FAILED
from .console import escape_text

#: Seconds for the whole demo, which usually takes a tenth of a second.
TIME_LIMIT = 10.0

LONG_TEXT = 'the same words over and over again, ' * 500

_ABOUT = {
    'connecting': 'always the first event; nothing has happened yet',
    'connected': 'the TCP connection is open, and the upgrade request is sent',
    'ready': 'the server has accepted; messages can be sent and received',
    'poll': 'comes right after Ready and then every few seconds, so that you can do other work',
    'text': 'a text message',
    'binary': 'a binary message',
    'pong': 'the answer to a ping',
    'closed': 'the server has answered our close frame',
    'disconnected': 'the last event; graceful, because both sides sent a close frame',
}


class Demo(object):
    """A client that sends a message, waits for its echo, and goes on with the next one.

    :param url: the URL of the echo server
    :param write: a function that takes a line of text
    """

    def __init__(self, url, write):
        # No proxies: those of the environment or the system cannot reach this server.
        self._websocket = WebSocket(url, proxies={}, compress=True, trace=self._trace)
        self._write = write
        self._steps = iter((
            ('text', 'Hello, WebSocket!', self._send_text),
            ('binary', b'\x00\x01\x02\xfd\xfe\xff', self._send_binary),
            ('text', LONG_TEXT, self._send_compressed),
            ('pong', b'are you there?', self._send_ping),
            ('closed', None, self._close),
        ))
        self._awaited = None            # (name of an event, its content)
        self._counted = [0, 0]          # bytes sent and received
        self._is_done = False

    def run(self):
        """Run the conversation; raise RuntimeError if it does not go as planned."""
        deadline = monotonic() + TIME_LIMIT
        with closing(self._websocket.connect(poll=1.0, ping_rate=None, connect_timeout=TIME_LIMIT,
                                             close_timeout=TIME_LIMIT)) as events:
            for event in events:
                self._handle(event)
                if event.name == 'poll' and monotonic() > deadline:
                    break
        if not self._is_done:
            raise RuntimeError('the conversation is incomplete')

    def _trace(self, record):
        # Count the bytes on the wire.
        for index, stage in enumerate(('socket_send', 'socket_recv')):
            if record['stage'] == stage:
                self._counted[index] += record['length']

    def _handle(self, event):
        """Print an event, and take the next step if it is the awaited one."""
        about = _ABOUT.get(event.name)
        self._write('<- {}'.format(_native_text(repr(event))))
        if event.name == 'text' and event.text == LONG_TEXT:
            about = 'a text message of {} characters, compressed: {} bytes out, {} bytes back'.format(
                len(event.text), *self._counted)
        elif event.name == 'pong' and event.latency is not None:
            about += ', after {:.2f} ms'.format(event.latency * 1000)
        if about:
            self._write('     {}'.format(about))
        if event.name == 'ready':
            self._next()
        elif self._awaited is not None and event.name == self._awaited[0]:
            content = getattr(event, 'text', getattr(event, 'data', None))
            if content != self._awaited[1]:
                raise RuntimeError('the echo differs from what was sent')
            self._next()
        elif event.name == 'disconnected' and self._awaited is None:
            self._is_done = event.graceful

    def _next(self):
        self._awaited = None
        for name, content, step in self._steps:
            self._awaited = name, content
            self._counted[:] = [0, 0]
            step(content)
            return

    def _send_text(self, text):
        self._tell('websocket.send_text({})'.format(_shown(text)), 'the server will send it back')
        self._websocket.send_text(text, compress=False)

    def _send_binary(self, data):
        self._tell('websocket.send_binary({})'.format(_shown(data)), 'bytes, not text')
        self._websocket.send_binary(data, compress=False)

    def _send_compressed(self, text):
        self._tell('websocket.send_text({}...)'.format(_shown(text[:36])),
                   '{} characters, compressed, because permessage-deflate was negotiated'.format(len(text)))
        self._websocket.send_text(text)

    def _send_ping(self, data):
        self._tell('websocket.send_ping({})'.format(_shown(data)), 'every endpoint has to answer a ping')
        self._websocket.send_ping(data)

    def _close(self, _):
        self._tell('websocket.close()', 'the closing handshake: a close frame each way')
        self._websocket.close()

    def _tell(self, call, why):
        self._write('')
        self._write('-> {}'.format(call))
        self._write('     {}'.format(why))


def _shown(value):
    """Return the literal of ASCII text or bytes as Python 3 writes it."""
    shown = _native_text(repr(value)).lstrip('bu')
    return 'b' + shown if isinstance(value, bytes) else shown


def _native_text(value):
    return value.decode('ascii', 'replace') if isinstance(value, bytes) else value


def run(console, options):
    """Run the demo, and return the exit status."""
    def write(text):
        console.out.write_line(escape_text(text))

    try:
        with Server(echo, raise_errors=False) as server:
            write('An echo server is listening at {}'.format(server.url))
            write('and a client talks to it: -> is a call that it makes, <- an event that it receives.')
            write('')
            Demo(server.url, write).run()
        write('')
        write('Done. Next, run  lomond serve  in one terminal and  lomond ws://127.0.0.1:8080/  in another.')
    except (RuntimeError,) + OS_ERRORS as error:
        console.err.write_line('lomond: the demo failed: {}'.format(error_text(error)))
        return FAILED
    return CLEAN
