"""What a client says to a proxy: HTTP CONNECT, SOCKS 4, 4a and 5.

A handshake takes bytes and returns bytes (sans-IO); the dialer carries them.

Knows nothing of: sockets, TLS, clocks.
"""

from __future__ import absolute_import, division, unicode_literals

import struct

from .. import constants
from .._compat import Pattern, text_type, to_bytes
from .._http11 import HeadReader
from ..auth import basic
from ..errors import CriticalProtocolError, ProxyFail
from ..response import Response, escape
from .url import ascii_name, bracketed, ip_bytes, printable

# Limit for all that a proxy sends before the tunnel is open.
_ANSWER_LIMIT = 64 * 1024

_CONTROL = Pattern(r'[\x00-\x1f\x7f]')


class _Handshake(object):
    """Base class: send :meth:`take_outgoing`, pass on what comes, until ``is_done``.

    :ivar is_done: True once the tunnel is open
    :ivar surplus: bytes after the proxy's answer: the first ones out of the tunnel
    """

    _name = None        # name of the protocol, for messages

    def __init__(self):
        self.is_done = False
        self.surplus = b''
        self._outgoing = b''
        self._failure = None

    def take_outgoing(self):
        """Return bytes to send to the proxy now; ``b''`` if there are none."""
        data, self._outgoing = self._outgoing, b''
        return data

    def receive(self, data):
        """Process what the proxy sent.

        :param data: bytes, bytearray or memoryview, split anywhere
        :raises ProxyFail: if the proxy refuses, or does not speak its protocol; raised
            by every later call, too
        """
        if self._failure:
            raise ProxyFail(self._failure)
        if self.is_done:
            self.surplus += to_bytes(data)
        else:
            self._parse(to_bytes(data))

    def receive_eof(self):
        """Process the end of the stream.

        :raises ProxyFail: unless the tunnel is already open
        """
        self.receive(b'')
        if not self.is_done:
            self._fail('the proxy closed the connection before its {} answer was complete'.format(self._name))

    def _fail(self, words):
        self._outgoing = b''
        self._failure = 'proxy fail; ' + words
        raise ProxyFail(self._failure)


class HttpConnect(_Handshake):
    """HTTP CONNECT (RFC 9110, 9.3.6) with Basic authentication (RFC 7617).

    :param host: where the tunnel leads: a name in ASCII, or an IP address (IPv6 without
        brackets)
    :param port: int
    :param user: text; if None, no ``Proxy-Authorization`` is sent
    :param password: text or None
    :param user_agent: text; if None, ``constants.USER_AGENT``
    :raises ValueError: if a value is not allowed in a header
    """

    _name = 'HTTP'

    def __init__(self, host, port, user=None, password=None, user_agent=None):
        super(HttpConnect, self).__init__()
        target = '{}:{}'.format(bracketed(_split_host(host)[0]), port)
        lines = ['CONNECT {} HTTP/1.1'.format(target), 'Host: ' + target, 'User-Agent: ' + (
            user_agent or constants.USER_AGENT)]
        if user is not None:
            lines.append('Proxy-Authorization: ' + basic(user, password or ''))
        if _CONTROL.search(''.join(lines)):
            raise ValueError('user agent has a control character')
        self._outgoing = ('\r\n'.join(lines) + '\r\n\r\n').encode('utf-8')
        self._reader = HeadReader(_ANSWER_LIMIT)
        self._room = _ANSWER_LIMIT

    def _parse(self, data):
        while data:
            try:
                head = self._reader.feed(data)
            except CriticalProtocolError as error:
                self._fail(text_type(error))
            if head is None:
                return
            response = Response(head)
            code = response.status_code
            if code is None or not 100 <= code < 1000:
                self._fail("'{}' is not an HTTP status line".format(escape(response.first_line)))
            if 200 <= code < 300:
                # The tunnel follows, never a body, whatever Content-Length says.
                self.is_done = True
                self.surplus = self._reader.surplus
                return
            if code >= 300 or code == 101:
                self._fail('{} {}'.format(code, escape(response.status)).strip())
            # Skip other 1xx answers (RFC 9110, 15.2), but not without limit.
            data = self._reader.surplus
            self._room -= len(head)
            self._reader = HeadReader(max(self._room, 0))


def _split_host(host):
    """Return ``(address without zone id, packed address)``, or ``(name, None)``."""
    packed = ip_bytes(host)
    if packed is not None:
        return host.partition('%')[0], packed
    try:
        return ascii_name(host), None
    except ValueError as error:
        raise ValueError("host '{}' {}".format(printable(host), error))


class _Socks(_Handshake):
    """Base class for SOCKS, whose replies have known lengths.

    :meth:`_read_replies` yields the length that it needs next.
    """

    def __init__(self):
        super(_Socks, self).__init__()
        self._buffer = b''
        self._reader = self._read_replies()
        self._wanted = next(self._reader)

    def _parse(self, data):
        self._buffer += data
        while len(self._buffer) >= self._wanted:
            part, self._buffer = self._buffer[:self._wanted], self._buffer[self._wanted:]
            try:
                self._wanted = self._reader.send(bytearray(part))
            except StopIteration:
                self.is_done = True
                self.surplus, self._buffer = self._buffer, b''
                return

    def _expect(self, number, *allowed):
        if number not in allowed:
            self._fail('not a {} answer: got 0x{:02x}, expected 0x{:02x}'.format(
                self._name, number, allowed[0]))


class Socks4(_Socks):
    """SOCKS 4, or SOCKS 4a, where the proxy resolves the name.

    :param host: an IPv4 address, or with ``remote_dns`` also a name in ASCII
    :param port: int
    :param user: text or None; SOCKS 4 has no passwords
    :param remote_dns: if true, use SOCKS 4a for a name
    :raises ProxyFail: if the host is an IPv6 address, which SOCKS 4 cannot express
    :raises ValueError: if the host is a name and ``remote_dns`` is false, or if the
        user contains NUL
    """

    _name = 'SOCKS4'
    _FAILURES = {
        91: 'request rejected or failed', 92: 'request rejected: no identd answers here',
        93: 'request rejected: identd names another user'}

    def __init__(self, host, port, user=None, remote_dns=False):
        super(Socks4, self).__init__()
        name, packed = _split_host(host)
        if packed is not None and len(packed) != 4:
            self._fail('SOCKS4 can reach IPv4 addresses only, not {}'.format(bracketed(host)))
        if packed is None and not remote_dns:
            raise ValueError("host '{}' is not an IPv4 address; SOCKS4 needs one".format(name))
        if '\x00' in (user or ''):
            raise ValueError('user contains NUL; SOCKS4 does not allow it')
        self._outgoing = struct.pack(str('>BBH'), 4, 1, port) + (packed or b'\x00\x00\x00\x01')
        self._outgoing += (user or '').encode('utf-8') + b'\x00'
        if packed is None:
            self._outgoing += name.encode('ascii') + b'\x00'

    def _read_replies(self):
        version, reply = yield 2
        self._expect(version, 0, 4)         # 4 is wrong, but not rare
        if reply != 90:
            self._fail('SOCKS4 ' + self._FAILURES.get(reply, 'unknown reply {}'.format(reply)))
        yield 6


class Socks5(_Socks):
    """SOCKS 5 (RFC 1928), with user and password if the proxy asks for them (RFC 1929).

    :param host: an IP address (IPv6 without brackets), or a name in ASCII, which the
        proxy resolves
    :param port: int
    :param user: text of at most 255 bytes; if None, only "no authentication" is offered
    :param password: text of at most 255 bytes, or None
    :raises ValueError: if one of them is longer
    """

    _name = 'SOCKS5'
    _FAILURES = {
        1: 'general failure', 2: 'connection not allowed by ruleset', 3: 'network unreachable',
        4: 'host unreachable', 5: 'connection refused', 6: 'TTL expired', 7: 'command not supported',
        8: 'address type not supported'}

    def __init__(self, host, port, user=None, password=None):
        super(Socks5, self).__init__()
        name, packed = _split_host(host)
        if packed is None:
            address = b'\x03' + _with_length('host', name)
        else:
            address = (b'\x01' if len(packed) == 4 else b'\x04') + packed
        self._request = b'\x05\x01\x00' + address + struct.pack(str('>H'), port)
        self._credentials = None
        if user is not None or password is not None:
            self._credentials = b'\x01' + _with_length('user', user or '')
            self._credentials += _with_length('password', password or '')
        self._outgoing = b'\x05\x02\x00\x02' if self._credentials else b'\x05\x01\x00'

    def _read_replies(self):
        version, method = yield 2
        self._expect(version, 5)
        if method == 0xff:
            self._fail('SOCKS5 no acceptable authentication method')
        if method == 2 and self._credentials:
            self._outgoing = self._credentials
            version, status = yield 2
            self._expect(version, 1, 5)         # 5 is wrong, but not rare
            if status:
                self._fail('SOCKS5 authentication failed')
        elif method:
            self._fail('SOCKS5 authentication method {} was chosen, but not offered'.format(method))
        self._outgoing = self._request
        version, reply = yield 2
        self._expect(version, 5)
        if reply:
            self._fail('SOCKS5 ' + self._FAILURES.get(reply, 'unknown reply {}'.format(reply)))
        _, kind, length = yield 3               # reserved, address type, first byte of the address
        self._expect(kind, 1, 3, 4)
        yield {1: 3, 3: length, 4: 15}[kind] + 2


def _with_length(what, text):
    data = text.encode('utf-8')
    if len(data) > 255:
        raise ValueError('{} has {} bytes; SOCKS5 allows 255'.format(what, len(data)))
    return struct.pack(str('B'), len(data)) + data


def make_proxy_handshake(proxy, host, port):
    """Return the handshake that a proxy expects.

    :param proxy: :class:`~lomond.network.proxy_settings.ProxyUrl`
    :param host: where the tunnel leads: a name in ASCII or an IP address; must be an
        address if ``proxy.resolves_here``
    :param port: int
    :returns: :class:`HttpConnect`, :class:`Socks4` or :class:`Socks5`
    :raises ProxyFail: if the proxy cannot reach such a host
    """
    if proxy.scheme.startswith('socks4'):
        return Socks4(host, port, proxy.user, remote_dns=proxy.scheme == 'socks4a')
    kind = Socks5 if proxy.scheme.startswith('socks5') else HttpConnect
    return kind(host, port, proxy.user, proxy.password)
