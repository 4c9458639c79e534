"""A script for :class:`support.peer.Server` that makes it an HTTP or SOCKS proxy."""

from __future__ import absolute_import, division, unicode_literals

import base64
import re
import select
import socket
import struct

from .peer import PATIENCE


class Proxy(object):
    """A script that tunnels.

    :param kind: ``'http'``, ``'https'``, ``'socks4'``, ``'socks4a'``, ``'socks5'`` or
        ``'socks5h'``
    :param where: the port of 127.0.0.1 that all tunnels lead to
    :param auth: ``(user, password)``, bytes, that it requires; or a
        :class:`support.digest.Digest`; None for an open proxy
    :param refusal: further header lines of a 407, pairs of bytes
    :param keeps_open: if true, another request may follow a 407
    :param also: bytes that are sent after the response, in the same packet
    :ivar asked: list of ``(host, port)``, bytes and int, that clients asked for
    :ivar heads: list of the CONNECT requests
    """

    def __init__(self, kind, where, auth=None, also=b'', version=b'HTTP/1.1', refusal=(), keeps_open=False):
        self.kind = kind
        self.where = where
        self.auth = auth
        self.also = also
        self.version = version
        self.refusal = list(refusal)
        self.keeps_open = keeps_open
        self.asked = []
        self.heads = []

    def __call__(self, peer):
        if self.kind.startswith('http'):
            answer = self._http(peer)
        elif self.kind.startswith('socks4'):
            answer = self._socks4(peer)
        else:
            answer = self._socks5(peer)
        if answer is None:
            return
        try:
            target = socket.create_connection(('127.0.0.1', self.where))
        except (OSError, socket.error):
            refusals = {'http': b'HTTP/1.1 502 Bad Gateway\r\n\r\n', 'socks4': b'\0\x5b\0\0\0\0\0\0',
                        'socks5': b'\5\5\0\1\0\0\0\0\0\0'}
            peer.send(refusals[re.match('http|socks[45]', self.kind).group()])
            return
        try:
            peer.send(answer + self.also)
            pump(peer, target)
        finally:
            target.close()

    def _http(self, peer):
        while True:
            self.heads.append(peer.read_head())
            method, place, _ = peer.line.split(b' ')
            assert method == b'CONNECT'
            host, _, port = place.rpartition(b':')
            self.asked.append((host, int(port)))
            given = peer.header(b'proxy-authorization')
            if self.auth is None:
                assert given is None
                lines = []
            elif isinstance(self.auth, tuple):
                lines = [b'Basic realm="x"'] * (given != b'Basic ' + base64.b64encode(b':'.join(self.auth)))
            else:
                lines = [] if self.auth.is_right(given, method, place) else self.auth.lines
            if not lines:
                return self.version + b' 200 Connection established\r\nVia: x\r\n\r\n'
            peer.answer(b'407 Proxy Authentication Required',
                        [(b'Proxy-Authenticate', line) for line in lines] + self.refusal, b'who are you?')
            if not self.keeps_open:
                return None

    def _socks4(self, peer):
        version, command, port = struct.unpack(str('>BBH'), peer.read(4))
        assert (version, command) == (4, 1)
        address = peer.read(4)
        user = peer.read_through(b'\0')[:-1]
        host = socket.inet_ntoa(address).encode('ascii')
        if address[:3] == b'\0\0\0' and address[3:] != b'\0':
            host = peer.read_through(b'\0')[:-1]
        self.asked.append((host, port))
        if self.auth is not None and user != self.auth[0]:
            peer.send(b'\0\x5d\0\0\0\0\0\0')
            return None
        return b'\0\x5a\0\0\0\0\0\0'

    def _socks5(self, peer):
        version, count = bytearray(peer.read(2))
        assert version == 5
        methods = bytearray(peer.read(count))
        if self.auth is not None:
            if 2 not in methods:
                peer.send(b'\5\xff')
                return None
            peer.send(b'\5\2')
            assert peer.read(1) == b'\1'
            given = []
            for _ in range(2):
                given.append(peer.read(bytearray(peer.read(1))[0]))
            peer.send(b'\1' + (b'\0' if tuple(given) == self.auth else b'\1'))
            if tuple(given) != self.auth:
                return None
        else:
            assert 0 in methods
            peer.send(b'\5\0')
        assert peer.read(3) == b'\5\1\0'
        kind = bytearray(peer.read(1))[0]
        if kind == 1:
            host = socket.inet_ntoa(peer.read(4)).encode('ascii')
        elif kind == 4:
            host = socket.inet_ntop(socket.AF_INET6, peer.read(16)).encode('ascii')
        else:
            host = peer.read(bytearray(peer.read(1))[0])
        port, = struct.unpack(str('>H'), peer.read(2))
        self.asked.append((host, port))
        return b'\5\0\0\1\0\0\0\0\0\0'


def pump(peer, target):
    """Carry bytes both ways until one side ends, in one thread because of TLS."""
    client = peer.sock
    if peer.buffer:
        target.sendall(bytes(peer.buffer))
    while True:
        waiting = [one for one in (client, target) if getattr(one, 'pending', int)()]
        if not waiting:
            waiting = select.select([client, target], [], [], PATIENCE)[0]
        assert waiting, 'nothing moves in the tunnel'
        for one in waiting:
            try:
                data = one.recv(16384)
                (target if one is client else client).sendall(data)
            except (OSError, socket.error):
                return
            if not data:
                return
