"""What a client says to a proxy: HTTP CONNECT, SOCKS 4, 4a and 5.

A handshake takes bytes and returns bytes (sans-IO); the dialer carries them, and knows
the time.

Knows nothing of: sockets, TLS, clocks.
"""

from __future__ import absolute_import, division, unicode_literals

import struct

from .. import constants
from .._compat import text_type, to_bytes
from .._http11 import BodyReader, HeadReader, encode_head
from ..auth import DigestAuth, basic
from ..errors import CriticalProtocolError, ProxyFail
from ..response import Response, escape
from .url import ascii_name, bracketed, ip_bytes, printable

# Limit for the heads of all answers to one request.
_ANSWER_LIMIT = 64 * 1024


class _Handshake(object):
    """Base class: send :meth:`take_outgoing`, pass on what comes, until ``is_done``.

    :ivar is_done: True once the tunnel is open
    :ivar surplus: bytes after the proxy's answer: the first ones out of the tunnel
    :ivar response: the :class:`~lomond.response.Response` by which an HTTP proxy
        refused, or None
    :ivar awaits_body: True while only the body of that response is still missing; not
        to be waited for without a limit, see :meth:`finish_body`
    :ivar needs_connection: True if what is to be sent next needs a new connection to
        the proxy; the driver resets it
    :ivar is_second: True while a second request on the same connection is to be sent,
        or waits for the first byte of its answer
    """

    _name = None        # name of the protocol, for messages

    response = None
    awaits_body = needs_connection = is_second = False

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
    """HTTP CONNECT (RFC 9110, 9.3.6) with Basic (RFC 7617) and Digest (RFC 7616).

    Basic is sent at once. A 407 that asks for Digest is answered by a second request:
    on the same connection if the proxy keeps it open, or else on a new one.

    :param host: where the tunnel leads: a name in ASCII, or an IP address (IPv6 without
        brackets)
    :param port: int
    :param user: text; if None, no ``Proxy-Authorization`` is sent
    :param password: text or None
    :param user_agent: text; if None, ``constants.USER_AGENT``
    :param headers: pairs of bytes; a Host, User-Agent or Proxy-Authorization among them
        replaces the one made here (the last one, if there are several)
    :raises ValueError: if a value is not allowed in a header
    """

    _name = 'HTTP'

    def __init__(self, host, port, user=None, password=None, user_agent=None, headers=()):
        super(HttpConnect, self).__init__()
        self._target = '{}:{}'.format(bracketed(_split_host(host)[0]), port)
        self._own = {b'host': self._target, b'user-agent': user_agent or constants.USER_AGENT}
        self._digest = None
        if user is not None:
            self._own[b'proxy-authorization'] = basic(user, password or '')
            self._digest = DigestAuth(user, password or '')
        self._headers = []
        for name, value in headers:
            if name.lower() == b'proxy-authorization':
                self._digest = None             # the caller does it all
            if name.lower() in (b'host', b'user-agent', b'proxy-authorization'):
                self._own[name.lower()] = value
            else:
                self._headers.append((name, value))
        self._answer = None             # the Digest answer that goes into the second request
        self._body = None
        self._ask()

    def _ask(self):
        own = self._own
        pairs = [(b'Host', own[b'host']), (b'User-Agent', own[b'user-agent'])] + self._headers
        if b'proxy-authorization' in own:
            pairs.append((b'Proxy-Authorization', own[b'proxy-authorization']))
        self._outgoing = encode_head('CONNECT {} HTTP/1.1'.format(self._target).encode('ascii'), pairs)
        self._reader = HeadReader(_ANSWER_LIMIT, tls='the proxy speaks TLS; use https in its URL')

    def _parse(self, data):
        if self._body is not None:
            self._read_body(data)
            return
        if data:
            self.is_second = False
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
        else:
            self._refuse(response)

    def _refuse(self, response):
        self.response = response
        self._body = BodyReader(response)
        self.awaits_body = True
        self._outgoing = b''
        if response.status_code == 407 and self._digest is not None:
            self._answer = self._digest.answer(
                response.header_lines('proxy-authenticate'), 'CONNECT', self._target)
        if self._answer is not None and not (_keeps_open(response) and self._body.is_delimited):
            self.finish_body()          # the body of a step on the way: nobody wants it
        else:
            self._read_body(self._reader.surplus)

    def _read_body(self, data):
        self._body.feed(data)
        if self._body.is_complete:
            self.finish_body()

    def finish_body(self):
        """Wait for the body no longer: answer the challenge, or fail.

        :raises ProxyFail: unless a challenge can be answered
        """
        response, body = self.response, self._body
        self.awaits_body, self._body = False, None
        if self._answer is None:
            response.body = body.body
            self._fail('{} {}'.format(response.status_code, escape(response.status)).strip())
        self.is_second = body.ended_well and _keeps_open(response)
        self.needs_connection = not self.is_second
        self.response = self._digest = None
        self._own[b'proxy-authorization'] = self._answer.encode('latin-1')
        self._answer = None
        self._ask()

    def receive_eof(self):
        """Process the end of the stream.

        :raises ProxyFail: unless the tunnel is already open, or a new connection helps
        """
        if self.awaits_body:
            self.finish_body()
        else:
            super(HttpConnect, self).receive_eof()

    def repeat(self):
        """Send the second request again, because the proxy never got it."""
        self.is_second, self.needs_connection = False, True
        self._ask()


def _keeps_open(response):
    """Return True if another request may follow on the connection (RFC 9112, 9.3)."""
    options = response.get_list('connection') + response.get_list('proxy-connection')
    options = [option.lower() for option in options]
    if 'close' in options:
        return False
    return response.http_ver != 'HTTP/1.0' or 'keep-alive' in options


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


def make_proxy_handshake(proxy, host, port, user_agent=None, headers=()):
    """Return the handshake that a proxy expects.

    :param proxy: :class:`~lomond.network.proxy_settings.ProxyUrl`
    :param host: where the tunnel leads: a name in ASCII or an IP address; must be an
        address if ``proxy.resolves_here``
    :param port: int
    :param user_agent: text, for CONNECT
    :param headers: pairs of bytes, for CONNECT
    :returns: :class:`HttpConnect`, :class:`Socks4` or :class:`Socks5`
    :raises ProxyFail: if the proxy cannot reach such a host
    """
    if proxy.scheme.startswith('socks4'):
        return Socks4(host, port, proxy.user, remote_dns=proxy.scheme == 'socks4a')
    if proxy.scheme.startswith('socks5'):
        return Socks5(host, port, proxy.user, proxy.password)
    return HttpConnect(host, port, proxy.user, proxy.password, user_agent, headers)
