"""The limit: a blocking socket and prepared bytes. It parses nothing and only counts.

It sends the same frame again and again, masked in advance. With deflate, that frame is
neither compressed nor checked. With parts, it inflates with zlib alone, and what it
sends are whole messages of lomond.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import io
import os
import socket
import struct
import zlib

from .job import Wrong, turns

IMPORT = 'import socket'


def _connect(job):
    scheme, _, rest = job.url.partition('://')
    address, _, path = rest.partition('/')
    host, _, port = address.partition(':')
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == 'wss':
        sock = job.ssl_context().wrap_socket(sock, server_hostname=host)
    sock.sendall(('GET /{} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n'
                  'Sec-WebSocket-Key: {}\r\n\r\n').format(
                      path, address, base64.b64encode(os.urandom(16)).decode('ascii')).encode('ascii'))
    data = b''
    while b'\r\n\r\n' not in data:
        data += sock.recv(1)
    if not data.startswith(b'HTTP/1.1 101'):
        raise Wrong('no connection: {!r:.80}'.format(data))
    return sock


def _frame(opcode, payload):
    """Encode a client frame with a masking key of zeros, which changes nothing."""
    length = len(payload)
    if length < 126:
        header = struct.pack(str('!BB'), 0x80 | opcode, 0x80 | length)
    elif length < 65536:
        header = struct.pack(str('!BBH'), 0x80 | opcode, 0x80 | 126, length)
    else:
        header = struct.pack(str('!BBQ'), 0x80 | opcode, 0x80 | 127, length)
    return header + b'\0\0\0\0' + payload


def _count(sock, view, total):
    recv_into = sock.recv_into
    left = total
    while left > 0:
        count = recv_into(view)
        if not count:
            raise Wrong('received only {} of {} bytes'.format(total - left, total))
        left -= count
    if left:
        raise Wrong('received {} bytes instead of {}'.format(total - left, total))


def receive(job):
    sock = _connect(job)
    view = memoryview(bytearray(256 * 1024))
    _count(sock, view, job.wire_warm)
    sock.sendall(_frame(1, b'go'))
    job.begin()
    _count(sock, view, job.wire_count)
    job.end()


def _payload(job):
    return _frame(1, job.payload.encode('utf-8')) if job.is_text else _frame(2, job.payload)


def round_trip(job):
    sock = _connect(job)
    view = memoryview(bytearray(256 * 1024))
    frame = _payload(job)
    size = len(frame) - 4
    sendall = sock.sendall
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            sendall(frame)
            _count(sock, view, size)
        job.end()


def latency(job):
    sock = _connect(job)
    view = memoryview(bytearray(65536))
    frame = _payload(job)
    for _ in turns(job):
        sock.sendall(frame)
        _count(sock, view, len(frame) - 4)


def send(job):
    _send_all(job, 1)


def send_cork(job):
    """Send the same frames, as many at a time as fit into 64 KiB."""
    _send_all(job, 65536 // len(_payload(job)))


def _send_all(job, at_once):
    sock = _connect(job)
    frame = _payload(job)
    sendall = sock.sendall
    block, total = frame * at_once, 0
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count // at_once):
            sendall(block)
        if count % at_once:
            sendall(frame * (count % at_once))
        report = sock.recv(65536)
        job.end()
        total += count
        if not job.deflate:
            job.check_report(report[4 if report[1:2] == b'\x7e' else 2:].decode('ascii'), total)


def parts_receive(job):
    """Receive and count; with deflate, only inflate what would have been received."""
    if job.deflate:
        # The name of the stream is in the path, and its file is here.
        with io.open(job.url.split('/')[4], 'rb') as data:
            block = memoryview(data.read())
        pieces = [block[at:at + 65536] for at in range(0, len(block), 65536)]
        inflater = zlib.decompressobj(-15)
        total, left = 0, job.count
        job.begin()
        while left:
            for piece in pieces:
                while piece:        # with a limit: much faster for what inflates to a lot
                    total += len(inflater.decompress(piece, 256 * 1024))
                    piece = inflater.unconsumed_tail
            left -= len(job.payload)
        job.end()
        if total != job.count:
            raise Wrong('inflated to {} bytes instead of {}'.format(total, job.count))
        return
    sock = _connect(job)
    view = memoryview(bytearray(256 * 1024))
    for total in job.wire_warm, job.wire_count:
        job.begin()
        sock.sendall(_frame(1, b'go'))
        _count(sock, view, total)
        job.end()


def open_idle(job):
    return _connect(job)


def idle(job):
    _connect(job).recv(1)
