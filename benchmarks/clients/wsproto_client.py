"""wsproto over a blocking socket, as in its documentation, without any time limits."""

import socket
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from . import job as jobs

IMPORT = 'from wsproto import WSConnection'


class _Client:
    def __init__(self, job):
        url = urlsplit(job.url)
        self.sock = socket.create_connection((url.hostname, url.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if url.scheme == 'wss':
            self.sock = job.ssl_context().wrap_socket(self.sock, server_hostname=url.hostname)
        self.connection = WSConnection(ConnectionType.CLIENT)
        target = url.path + ('?' + url.query if url.query else '')
        extensions = [PerMessageDeflate()] if job.deflate else []
        request = Request(host=url.netloc, target=target, extensions=extensions)
        self.sock.sendall(self.connection.send(request))
        self.events = iter(())
        event = self.next_event()
        if not isinstance(event, AcceptConnection):
            raise jobs.Wrong('no connection: {!r}'.format(event))

    def next_event(self):
        while True:
            for event in self.events:
                return event
            data = self.sock.recv(65536)
            if not data:
                raise jobs.Wrong('the connection has ended')
            self.connection.receive_data(data)
            self.events = self.connection.events()

    def recv(self):
        parts = []
        while True:
            event = self.next_event()
            if isinstance(event, (TextMessage, BytesMessage)):
                if event.message_finished and not parts:
                    return event.data
                parts.append(event.data)
                if event.message_finished:
                    return type(event.data)().join(parts)
            elif isinstance(event, Ping):
                self.sock.sendall(self.connection.send(event.response()))
            elif isinstance(event, CloseConnection):
                raise jobs.Wrong('the connection was closed')

    def send(self, message):
        kind = TextMessage if isinstance(message, str) else BytesMessage
        self.sock.sendall(self.connection.send(kind(data=message)))


def receive(job):
    client = _Client(job)
    if not job.is_text:
        recv = client.recv
        client.recv = lambda: bytes(recv())         # it returns bytearrays
    jobs.receive(job, client.recv, client.send)


def round_trip(job):
    client = _Client(job)
    jobs.round_trip(job, client.recv, client.send)


def latency(job):
    client = _Client(job)
    jobs.latency(job, client.recv, client.send)


def send(job):
    client = _Client(job)
    jobs.send(job, client.recv, client.send)


def connect(job):
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            client = _Client(job)
            client.sock.sendall(client.connection.send(CloseConnection(code=1000)))
            event = client.next_event()
            if not isinstance(event, CloseConnection) or event.code != 1000:
                raise jobs.Wrong('the close frame was not answered: {!r}'.format(event))
            client.sock.close()
        job.end()


def open_idle(job):
    return _Client(job)


def idle(job):
    _Client(job).recv()
