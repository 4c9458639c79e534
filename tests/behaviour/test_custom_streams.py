"""Streams from an overridden ``_connect`` that have fileno, recv, send and close, and no more."""

from __future__ import absolute_import, division, unicode_literals

import errno
import select
import socket
import ssl
import sys
import threading

import pytest
from support.certificates import server_context
from support.client import in_thread
from support.frames import BINARY
from support.peer import PATIENCE, Server

from lomond import WebSocket
from lomond._compat import OS_ERRORS, monotonic, would_block
from lomond.errors import WebSocketError
from lomond.opcode import Opcode
from lomond.session import WebsocketSession

BIG = b'x' * 500000


class Channel(object):
    """A stream over a socket.

    :param says: what it raises for "nothing yet", called for each; None to return 0 or None
    :param most: how many bytes one call takes or gives
    """

    def __init__(self, sock, says, most=1 << 20):
        sock.setblocking(False)
        self.says, self.most = says, most
        self.calls = 0
        self._sock = sock

    def fileno(self):
        return self._sock.fileno()

    def close(self):
        self._sock.close()

    def recv(self, size):
        return self._call(self._sock.recv, min(size, self.most), None)

    def send(self, data):
        assert type(data) is bytes, 'not every stream takes other buffers'
        self.calls += 1
        return self._call(self._sock.send, data[:self.most], 0)

    def _call(self, method, value, nothing):
        try:
            return method(value)
        except OS_ERRORS as error:
            if not would_block(error):
                raise
        if self.says is not None:
            raise self.says()
        return nothing


class Mute(Channel):
    """Its descriptor tells when there is something to receive, and never when to send."""

    def __init__(self, sock, *args):
        super(Mute, self).__init__(sock, *args)
        self._epoll = select.epoll()
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self.fileno = self._epoll.fileno

    def close(self):
        self._epoll.close()
        super(Mute, self).close()


class Eager(Channel):
    """Its descriptor always says that one can send, but it takes little at a time."""

    free_at = 0.0

    def send(self, data):
        self.calls += 1
        if monotonic() < self.free_at:
            raise self.says()
        self.free_at = monotonic() + 0.02
        return self._sock.send(data[:200000])


def again():
    return socket.error(errno.EAGAIN, 'not now')


def wants(name):
    kind, number = getattr(ssl, 'SSLWant{}Error'.format(name)), getattr(ssl, 'SSL_ERROR_WANT_' + name.upper())
    return lambda: kind(number, 'not now')


KINDS = [(Channel, socket.timeout), (Channel, again), (Channel, None), (Channel, again, 1000),
         (Channel, wants('Write')), (Eager, socket.timeout)]
if hasattr(select, 'epoll'):
    KINDS += [(Mute, socket.timeout), (Mute, again)]
if sys.version_info[0] > 2:
    KINDS += [(Channel, TimeoutError), (Channel, BlockingIOError)]


class Connecting(object):
    """Makes sessions over a kind of stream; ``stream`` is the newest."""

    def __init__(self, server, kind, wrap=None):
        connecting = self

        class Session(WebsocketSession):
            def _connect(self):
                sock = socket.create_connection(('127.0.0.1', server.port))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
                connecting.stream = kind[0](sock if wrap is None else wrap(sock), *kind[1:])
                return connecting.stream, None

        self.session_class = Session


@pytest.mark.parametrize('way', ['handler', 'thread', 'queue'])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.ends
def test_more_than_it_takes_at_once(kind, way):
    """A blocked write is tried again, neither too late nor all the time."""
    def script(peer):
        peer.accept()
        peer.server.stopping.wait(0.05)
        opcode, payload = peer.read_frame()
        peer.send(b'\x81\x02' + (b'ok' if (opcode, payload) == (BINARY, BIG) else b'no'))
        peer.end()

    def send():
        if way == 'queue':
            ws.session.queue_message(Opcode.BINARY, BIG)
        else:
            ws.send_binary(BIG)

    with Server(script, receive_buffer=65536) as server:
        connecting = Connecting(server, kind)
        ws = WebSocket('ws://inside.test/', proxies={})
        begun, texts = monotonic(), []
        for event in ws.connect(session_class=connecting.session_class, ping_rate=0, poll=30):
            if event.name == 'ready':
                in_thread(send) if way == 'thread' else send()
            elif event.name == 'text':
                texts.append(event.text)
        assert texts == ['ok'] and event.graceful
        assert monotonic() - begun < 4
        assert connecting.stream.calls < 200 + len(BIG) // min(connecting.stream.most, 65536)


def test_over_an_ssl_socket(certs):
    """A wrapper hides that it is one."""
    def wrap(sock):
        context = ssl.create_default_context(cafile=certs.ca)
        return context.wrap_socket(sock, server_hostname='localhost')

    def script(peer):
        peer.accept()
        assert peer.read_frame() == (BINARY, BIG)
        peer.end()
    with Server(script, tls=server_context(certs.server)) as server:
        session_class = Connecting(server, (Channel, wants('Read')), wrap).session_class
        ws = WebSocket('ws://inside.test/', proxies={})
        for event in ws.connect(session_class=session_class, ping_rate=0):
            if event.name == 'ready':
                ws.send_binary(BIG)
        assert event.graceful


@pytest.mark.parametrize('end', [lambda ws: ws.force_disconnect(), lambda ws: ws.session.close()])
@pytest.mark.parametrize('kind', KINDS[:1] + KINDS[5:7])
@pytest.mark.parametrize('senders', [0, 3])
def test_blocked_sends_are_ended(kind, end, senders):
    """In the handler, and in other threads, although no shutdown can wake them."""
    def script(peer):
        peer.accept()
        peer.server.stopping.wait(PATIENCE)

    ended = []

    def stuff():
        with pytest.raises(WebSocketError):
            while True:
                ws.send_binary(BIG)
        ended.append(monotonic())

    with Server(script, receive_buffer=65536) as server:
        ws = WebSocket('ws://inside.test/', proxies={})
        settings = {'session_class': Connecting(server, kind).session_class, 'send_timeout': None,
                    'ping_rate': 0, 'poll': 30}
        begun = None
        for event in ws.connect(**settings):
            if event.name == 'ready':
                threads = [in_thread(stuff) for _ in range(senders)]
                begun = monotonic() + 0.1
                timer = threading.Timer(0.1, end, [ws])
                timer.start()
                if not senders:
                    stuff()
        assert not event.graceful and monotonic() - begun < 1
        for thread in threads:
            thread.join(1)
        assert len(ended) == max(senders, 1) and max(ended) - begun < 1
        timer.join()
