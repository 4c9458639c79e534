"""The opening handshake of both sides (RFC 6455, 4): bytes in, a verdict and bytes out.

Knows nothing of: what comes after it.  Bytes that arrived after the head are handed on.
"""

from __future__ import absolute_import, division, unicode_literals

import binascii
import os

from .. import constants
from .._compat import BYTES_LIKE, Pattern, error_text, integer_types, text_type, to_bytes, to_text
from .._http11 import (
    HeadReader,
    HeadTooLarge,
    are_values,
    check_header,
    complete_headers,
    encode_answer,
    join_head,
    reason_phrase,
    to_octets,
)
from ..constants import WS_KEY, WS_VERSION
from ..errors import HandshakeError
from ..events import Ready, Rejected
from ..response import Request, Response, escape, is_token, split_list

_VERSION = text_type(WS_VERSION)
#: What each request has besides, after Host.
_UPGRADE_HEADERS = ((b'Upgrade', b'websocket'), (b'Connection', b'Upgrade'),
                    (b'Sec-WebSocket-Version', _VERSION.encode('ascii')))
_BAD_IN_RESOURCE = Pattern(b'[^\x21-\x7e]')
_BAD_IN_TARGET = Pattern(b'[\x00-\x20\x7f]')     # for a server, which accepts all other bytes
_BAD_TARGET = 'request line has blanks or control characters'
_CONTROL = Pattern(b'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')     # line ends are the syntax's
# 16 octets in base64 are 22 characters and two of padding.
_KEY = Pattern('[A-Za-z0-9+/]{22}==\\Z')
# RFC 7231, 6.5.15: a 426 says what to upgrade to.
_UPGRADE = (('Upgrade', 'websocket'), ('Connection', 'close, Upgrade'))
#: The headers of a request that are sent once, and that the caller may replace.
REPLACEABLE = {b'host': b'Host', b'user-agent': b'User-Agent', b'origin': b'Origin'}
_LENGTH = Pattern('[0-9]+\\Z')
#: What a program cannot set in a 101: we do.
_OURS = frozenset((b'upgrade', b'connection', b'sec-websocket-accept', b'sec-websocket-protocol',
                   b'sec-websocket-extensions', b'content-length', b'transfer-encoding'))
#: Seconds after which a client may try again, after a 503.
_RETRY_AFTER = '5'
_HTTP_VERSION = Pattern('HTTP/[0-9][.][0-9]\\Z')


def accept_value(key):
    """Compute the value of Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2).

    >>> accept_value(b'dGhlIHNhbXBsZSBub25jZQ==') == b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    True

    :param key: bytes of Sec-WebSocket-Key, as sent
    :returns: bytes
    """
    import hashlib
    return binascii.b2a_base64(hashlib.sha1(key + WS_KEY).digest())[:-1]        # less its newline


def make_key():
    """Make a value of Sec-WebSocket-Key: 16 random bytes in base64 (RFC 6455, 4.1)."""
    return binascii.b2a_base64(os.urandom(16))[:-1]


def encode_request(resource, host_header, key, headers=(), user_agent=None, protocols=(),
                   extensions=None, origin=None):
    """Make the request of a client (RFC 6455, 4.1).

    :param resource: text or bytes: path and query, percent-encoded
    :param host_header: text or bytes: value of Host
    :param key: bytes: value of Sec-WebSocket-Key
    :param headers: pairs of bytes, sent first and in this order; the last Host,
        User-Agent or Origin among them is sent instead of the one made here
    :param user_agent: text or bytes; None or empty: ``constants.USER_AGENT``
    :param protocols: texts: subprotocols to offer, in order of preference
    :param extensions: text or bytes: value of Sec-WebSocket-Extensions; None to
        send none
    :param origin: text or bytes: value of Origin; None to send none
    :returns: bytes
    :raises TypeError: for a value of another type
    :raises ValueError: for a value that would break, or add to, the request
    """
    resource = to_octets('resource', resource)
    if _BAD_IN_RESOURCE.search(resource) or not resource:
        raise ValueError("resource '{}' has characters other than visible ASCII".format(escape(resource)))
    pairs, replaced = [], set()
    for name, value in reversed(list(headers)) if headers else ():
        check_header(name, value)
        own = REPLACEABLE.get(name.lower())
        if own is None:
            pairs.append((name, value))
        elif own not in replaced:
            pairs.append((own, value))
            replaced.add(own)
    pairs = pairs[::-1]
    offered = []
    for protocol in protocols:
        protocol = to_octets('subprotocol', protocol)
        if not is_token(protocol):
            raise ValueError("subprotocol '{}' is not a token".format(escape(protocol)))
        offered.append(protocol)
    upgrade, connection, version = _UPGRADE_HEADERS
    built_in = [(b'Host', host_header), upgrade, connection, (b'Sec-WebSocket-Key', key), version,
                (b'User-Agent', user_agent or constants.USER_AGENT)]
    if origin is not None:
        built_in.append((b'Origin', origin))
    if offered:
        built_in.append((b'Sec-WebSocket-Protocol', b', '.join(offered)))
    if extensions is not None:
        built_in.append((b'Sec-WebSocket-Extensions', extensions))
    own, values = [], []
    for name, value in built_in:
        if name not in replaced:
            if value.__class__ is text_type:
                value = value.encode('utf-8')
            elif value.__class__ is not bytes:
                value = to_octets('value of header', value)
            own += (name, value),
            values += value,
    if not are_values(values):
        bad = [pair for pair in own if not are_values(pair[1:])]
        check_header(*bad[0])               # says what is wrong with it
    return join_head(b'GET ' + resource + b' HTTP/1.1', pairs + own)


def _missing_token(head, name, token):
    """Describe a header that lacks a token; None if it has the token, in any case."""
    if token.lower() in [element.lower() for element in head.get_list(name)]:
        return None
    return "{} header is '{}'; the token {} is needed".format(name, escape(head.get(name, '')), token)


class Outcome(object):
    """The outcome of an opening handshake.

    ``event``: :class:`~lomond.events.Ready` or :class:`~lomond.events.Rejected`.
    ``surplus``: bytes that came after the head.  ``protocol``: text or None.
    ``extensions``: set of text.  ``compression``: the agreed parameters of
    permessage-deflate, or None.
    ``reply``: bytes that a server has to send.  ``status``, ``headers``, ``body``: what
    they consist of: int, pairs of bytes, bytes (none for ``HEAD``).
    """

    __slots__ = ('event', 'surplus', 'protocol', 'extensions', 'compression', 'reply', 'status', 'headers',
                 'body')

    def __init__(self, event, surplus, protocol, extensions, compression, status=101, headers=(), body=b''):
        self.event, self.surplus = event, surplus
        self.protocol, self.extensions, self.compression = protocol, extensions, compression
        self.status, self.headers, self.body, self.reply = status, headers, body, b''


class Judged(object):
    """Takes the place of a handshake whose outcome is known already."""

    __slots__ = ('outcome', 'compression')

    def __init__(self, outcome):
        self.outcome, self.compression = outcome, outcome.compression


class ClientHandshake(object):
    """Reads and checks the answer to one request (RFC 6455, 4.1).

    :param key: bytes of the Sec-WebSocket-Key that was sent
    :param protocols: texts: the subprotocols offered; or a callable that returns them
    :param deflate: the :class:`~lomond.compression.Deflate` that was offered, or None
    :param on_response: callable(response) that replaces :meth:`check_response`
    :param process_extensions: callable(list of text) that replaces :meth:`negotiate`

    The callables are dropped with the outcome, because they may belong to an object
    that owns this one.  ``compression`` is the result of :meth:`negotiate`: the
    parameters of permessage-deflate, or None.
    """

    outcome = None                      # not known before bytes have come

    def __init__(self, key, protocols=(), deflate=None, on_response=None, process_extensions=None):
        self.compression = None
        self._key, self._deflate = key, deflate
        self._protocols = protocols if callable(protocols) else tuple(protocols)
        self._on_response, self._process_extensions = on_response, process_extensions
        self._reader = HeadReader(kind='response', tls='the server speaks TLS; use wss')

    def note_tls(self):
        """Note that the connection is TLS already, so that ``wss`` is not advised."""
        self._reader.tls = 'the server speaks TLS inside of TLS'

    def receive(self, data):
        """Take the bytes that have arrived.

        :param data: bytes, bytearray or memoryview
        :returns: None until the head is complete, then an :class:`Outcome`, once
        :raises CriticalProtocolError: if this is not HTTP, or the head is too large
        """
        head = self._reader.feed(data)
        if head is None:
            return None
        response = Response(head)
        surplus, self._reader = self._reader.surplus, None      # with its buffer
        try:
            protocol, extensions = (self._on_response or self.check_response)(response)
        except HandshakeError as error:
            self.compression = None
            return Outcome(Rejected(response, error_text(error)), surplus, None, set(), None)
        finally:
            self._on_response = self._process_extensions = None
        extensions = set(extensions)
        return Outcome(Ready(response, protocol, extensions), surplus, protocol, extensions, self.compression)

    @staticmethod
    def answer_to(error):
        """Return what to send to a peer that does not speak HTTP: nothing."""
        return b''

    def check_response(self, response, process_extensions=None):
        """Check a response by the rules of RFC 6455, 4.1.

        :param response: :class:`~lomond.response.Response`
        :param process_extensions: callable(list of text) -> set of text; None for the
            one given to the constructor, or else :meth:`negotiate`
        :returns: (subprotocol as text or None, set of the names of the extensions
            agreed on)
        :raises HandshakeError: with one sentence that says what is wrong
        """
        # status_code is an int for plain digits only, so 101 is literally "101".
        if response.status_code != 101:
            code = (response.first_line.split(' ', 2) + [''])[1]
            raise HandshakeError('Websocket upgrade failed (code={})'.format(escape(code, 20)))
        if response.http_ver != 'HTTP/1.1':
            raise HandshakeError("version of the response is '{}'; HTTP/1.1 is needed".format(
                escape(response.http_ver, 20)))
        headers = response.headers
        upgrade = headers.get('upgrade', '<header missing>')
        if upgrade.lower() != 'websocket':
            raise HandshakeError("Can't upgrade to {}".format(escape(upgrade) or '<header empty>'))
        if headers.get('connection') != 'Upgrade':      # as nearly all servers write it
            missing = _missing_token(response, 'Connection', 'Upgrade')
            if missing:
                raise HandshakeError(missing)
        accept = headers.get('sec-websocket-accept')
        if accept is None:
            raise HandshakeError('No Sec-WebSocket-Accept header')
        if accept != accept_value(self._key).decode('ascii'):
            raise HandshakeError('Sec-WebSocket-Accept challenge failed')
        protocol = self._check_protocol(response) if 'sec-websocket-protocol' in headers else None
        process = process_extensions or self._process_extensions or self.negotiate
        extensions = headers.get('sec-websocket-extensions')
        return protocol, set(process(split_list(extensions) if extensions else []))

    def _check_protocol(self, response):
        lines = response.header_lines('sec-websocket-protocol')
        if len(lines) > 1:
            raise HandshakeError('{} Sec-WebSocket-Protocol headers; one is allowed'.format(len(lines)))
        offered = self._protocols() if callable(self._protocols) else self._protocols
        if lines[0] not in offered:
            raise HandshakeError("subprotocol '{}' was not offered".format(escape(lines[0])))
        return lines[0]

    def negotiate(self, extension_texts):
        """Check the extensions of the response, and set :attr:`compression`.

        :param extension_texts: list of text: the elements of Sec-WebSocket-Extensions
        :returns: set of text: the names of the extensions agreed on
        :raises HandshakeError: if something was not offered or is not allowed (RFC
            7692, 7.1)
        """
        self.compression = None
        if not extension_texts:
            return set()
        from .permessage_deflate import negotiate_client
        names, self.compression = negotiate_client(self._deflate, extension_texts)
        return names


class _Refusal(HandshakeError):
    """Refuse a request with this status and these headers."""

    def __init__(self, status, reason, *headers):
        super(_Refusal, self).__init__(reason)
        self.status = status
        self.headers = headers


def _refusal(status, reason, headers=()):
    """Return the arguments of ``encode_answer`` for a refusal in words."""
    headers = (('Content-Type', 'text/plain; charset=utf-8'),) + tuple(headers)
    if status == 503:
        headers += (('Retry-After', _RETRY_AFTER),)
    return status, headers, (reason + '\n').encode('utf-8')


def encode_refusal(status, reason=None):
    """Make the answer of a server that has not read, or not understood, the request.

    :param status: 400, 408, 431, 500 or 503 (which says when to try again)
    :param reason: text, the body; None for the usual words of the status
    :returns: bytes
    """
    return encode_answer(*_refusal(status, reason or reason_phrase(status)))


def make_refusal(status, reason=None):
    """Make the parts of :func:`encode_refusal`.

    :returns: status, headers as a list of pairs of bytes, body
    """
    status, headers, body = _refusal(status, reason or reason_phrase(status))
    return status, complete_headers(status, headers, body), body


class ServerHandshake(object):
    """Reads, checks and answers one request (RFC 6455, 4.2).

    Refusals go in this order: 400 (not HTTP, a bad request line or header, a body),
    405, 403 (``origins``), what ``on_request`` says, 404 (``paths``), 426, and 400 for
    the rest of RFC 6455, 4.2.1.  Without ``asks_all``, ``on_request`` comes last, and
    what is not HTTP gets no answer.

    :param protocols: texts: the subprotocols this server has
    :param deflate: the :class:`~lomond.compression.Deflate` to agree to; None for no
        compression
    :param on_request: callable(request), asked about requests that are otherwise good;
        returns None: accept; ``(status, [(name, value)..], body)``: answer with that;
        ``('accept', protocol or None, [(name, value)..])``: accept with this
        subprotocol and these further headers.  It is dropped with the outcome.
    :param origins: which web pages may connect: what
        :func:`~lomond.protocol.origins.check_origins` returns
    :param paths: a container of text: the paths that there are; None for all
    :param asks_all: if true, ``on_request`` is asked about every ``GET`` and ``HEAD``
        that is good HTTP; None from it means to go on.  If it raises, or returns what
        cannot be sent, the answer is 500
    :param on_error: callable(request), called while that exception is being handled,
        which it may raise again

    ``compression``: as in :class:`ClientHandshake`
    """

    outcome = None

    def __init__(self, protocols=(), deflate=None, on_request=None, origins='*', paths=None, asks_all=False,
                 on_error=None):
        self._protocols, self._deflate, self._on_request = tuple(protocols), deflate, on_request
        self._origins, self._paths, self._asks_all, self._on_error = origins, paths, asks_all, on_error
        self._reader, self.compression = HeadReader(kind='request'), None

    def receive(self, data):
        """Take the bytes that have arrived; see :meth:`ClientHandshake.receive`.

        The bytes to send are :attr:`Outcome.reply`, whether or not it accepts.
        """
        head = self._reader.feed(data)
        if head is None:
            return None
        surplus, self._reader = self._reader.surplus, None      # with its buffer
        return self._judge(Request(head), surplus)

    def answer_to(self, error):
        """Return what to send if :meth:`receive` has raised: 400 or 431; only with
        ``asks_all``.

        :param error: ``CriticalProtocolError``
        :returns: bytes
        """
        if not self._asks_all:
            return b''
        return encode_refusal(431 if isinstance(error, HeadTooLarge) else 400)

    def from_parts(self, method, target, headers, version='HTTP/1.1'):
        """Judge a request that another server (WSGI) has read.

        :param method: text or bytes
        :param target: text or bytes: path and query
        :param headers: pairs (name, value) of text (each character an octet) or bytes
        :param version: text or bytes, as in the request line
        :returns: :class:`Outcome`
        :raises TypeError: for anything else
        """
        parts = [to_octets(what, value, 'latin-1') for what, value in (
            ('method', method), ('target', target), ('version', version))]
        defect = None
        lines = [b' '.join(parts)]
        if _BAD_IN_TARGET.search(b''.join(parts)):
            lines, defect = [b''], _BAD_TARGET
        for name, value in headers:
            name = to_octets('header name', name, 'latin-1')
            value = to_octets('header value', value, 'latin-1')
            try:
                check_header(name, value)
            except ValueError as error:     # the client's mistake: answer it, do not raise
                defect = defect or error_text(error)
            else:
                lines.append(name + b': ' + value)
        request = Request(b'\r\n'.join(lines) + b'\r\n\r\n')
        request.defect = defect or request.defect
        return self._judge(request, b'')

    def _judge(self, request, surplus):
        try:
            self._check_http(request)
            if not self._asks_all:
                self._check_upgrade(request)
            self._check_origin(request)
            reply = self._ask(request)
            if reply is not None and reply[0] != 'accept':
                reason = 'request was answered with status {}'.format(reply[0])
                return self._refuse(request, surplus, reason, *reply)
            if self._paths is not None and request.path not in self._paths:
                raise _Refusal(404, "there is nothing at '{}'".format(escape(request.path)))
            if self._asks_all:
                self._check_upgrade(request)
            return self._accept(request, surplus, *(reply or ('accept', self._choose_protocol(request), ())))
        except HandshakeError as error:
            reason = error_text(error)
            return self._refuse(request, surplus, reason, *_refusal(
                getattr(error, 'status', 400), reason, getattr(error, 'headers', ())))
        finally:
            self._on_request = self._on_error = self._paths = None

    @staticmethod
    def _refuse(request, surplus, reason, status, headers, body):
        outcome = Outcome(Rejected(request, reason), surplus, None, set(), None, status,
                          complete_headers(status, headers, body), body)
        outcome.reply = encode_answer(status, headers, body, request.method == 'HEAD')
        if request.method == 'HEAD':
            outcome.body = b''
        return outcome

    def _check_http(self, request):
        """Check what any server of HTTP/1.1 has to check (RFC 9112), and the method."""
        if request.defect:
            raise _Refusal(400, request.defect)
        _check_characters(request)
        if not (request.target and _HTTP_VERSION.match(request.http_ver)):
            raise _Refusal(400, "request line '{}' is not a method, a target and a version".format(
                escape(request.first_line)))
        is_old = request.http_ver < 'HTTP/1.1'
        if is_old and _asks_for_upgrade(request):
            raise _Refusal(400, 'version is {}; HTTP/1.1 or newer is needed'.format(request.http_ver))
        hosts = len(request.header_lines('host'))
        if hosts != 1 and not (is_old and not hosts):
            raise _Refusal(400, '{} Host headers; one is needed'.format(hosts))
        lengths = request.header_lines('content-length')
        if any(not _LENGTH.match(length) for length in lengths):
            raise _Refusal(400, "Content-Length '{}' is not a number".format(escape(','.join(lengths))))
        if any(length.strip('0') for length in lengths) or request.get('transfer-encoding') is not None:
            raise _Refusal(400, 'request has a body; none is allowed')
        if request.method != 'GET' and not (self._asks_all and request.method == 'HEAD'):
            raise _Refusal(405, "method '{}' is not GET".format(escape(request.method)),
                           ('Allow', 'GET, HEAD' if self._asks_all else 'GET'))

    def _check_origin(self, request):
        lines = request.header_lines('origin')
        if self._origins == '*' or not lines or not _asks_for_upgrade(request):
            return
        from .origins import is_allowed
        host = ','.join(request.header_lines('host'))
        if not is_allowed(self._origins, lines, host):
            raise _Refusal(403, "origin '{}' is not allowed here (Host is '{}'; see origins=)".format(
                escape(', '.join(lines)), escape(host)))

    def _ask(self, request):
        """Return the answer of ``on_request``, in a form that can be sent, or None."""
        if self._on_request is None:
            return None
        if not self._asks_all:
            return self._on_request(request)
        try:
            reply = self._on_request(request)
            return reply if reply is None else _check_reply(reply)
        except BaseException as error:      # sys.exit() too is a mistake that the client is told of
            if self._on_error is not None:
                self._on_error(request)
            elif not isinstance(error, Exception):
                raise
        raise _Refusal(500, reason_phrase(500))

    @staticmethod
    def _check_upgrade(request):
        """Check the request by RFC 6455, 4.2.1, item by item."""
        missing = _missing_token(request, 'Upgrade', 'websocket')
        if missing:
            raise _Refusal(426, missing, ('Sec-WebSocket-Version', _VERSION), *_UPGRADE)
        if request.method != 'GET':
            raise _Refusal(426, "method '{}' is not GET".format(escape(request.method)),
                           ('Sec-WebSocket-Version', _VERSION), *_UPGRADE)
        missing = _missing_token(request, 'Connection', 'Upgrade')
        if missing:
            raise _Refusal(400, missing)
        version = request.get('sec-websocket-version', '')
        if version != _VERSION:
            raise _Refusal(426, "Sec-WebSocket-Version '{}' is not {}".format(escape(version), _VERSION),
                           ('Sec-WebSocket-Version', _VERSION), *_UPGRADE)
        if not _KEY.match(request.get('sec-websocket-key', '')):
            raise _Refusal(400, 'Sec-WebSocket-Key is not 16 octets in base64')

    def _choose_protocol(self, request):
        """Return the first offered subprotocol that this server has, or None."""
        for offered in request.get_list('sec-websocket-protocol'):
            if offered in self._protocols:
                return offered
        return None

    def _accept(self, request, surplus, _, protocol, further):
        from .permessage_deflate import negotiate_server
        answer, self.compression = negotiate_server(
            self._deflate, request.get_list('sec-websocket-extensions'))
        headers = [('Upgrade', 'websocket'), ('Connection', 'Upgrade'), ('Sec-WebSocket-Accept', accept_value(
            request.get('sec-websocket-key').encode('ascii')))]
        if protocol is not None:
            headers.append(('Sec-WebSocket-Protocol', protocol))
        extensions = set()
        if answer is not None:
            headers.append(('Sec-WebSocket-Extensions', answer))
            extensions.update(part.partition(';')[0].strip() for part in split_list(answer))
        headers = complete_headers(101, headers + list(further), b'')
        outcome = Outcome(Ready(request, protocol, extensions), surplus, protocol, extensions,
                          self.compression, 101, headers)
        outcome.reply = encode_answer(101, headers)
        return outcome


def _asks_for_upgrade(request):
    """Return True if an upgrade to a WebSocket is asked for, whether or not it is
    good."""
    return _missing_token(request, 'Upgrade', 'websocket') is None


def _check_characters(request):
    """Refuse control characters other than the tab (RFC 9110, 5.5)."""
    found = _CONTROL.search(request.raw)
    if '\r' in request.first_line or found and found.start() < request.raw.find(b'\n'):
        raise _Refusal(400, _BAD_TARGET)
    if found:
        faults = [_find_fault(name, value) for name in request.headers
                  for value in request.header_lines(name)]
        raise _Refusal(400, [fault for fault in faults + ['the head has control characters'] if fault][0])


def _find_fault(name, value):
    try:
        check_header(name.encode('ascii'), value.encode('latin-1'))
    except ValueError as error:
        return error_text(error)
    return None


def _check_pairs(headers):
    """Return a list of pairs from any iterable of them, except a dict."""
    pairs = None if hasattr(headers, 'items') or not hasattr(headers, '__iter__') else list(headers)
    if pairs is None or any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs):
        raise TypeError('headers must be a list of pairs of name and value, not {}'.format(
            type(headers).__name__ if pairs is None else 'of something else'))
    return pairs


def _check_reply(reply):
    """Check what ``on_request`` has returned, all of which is sent as it is.

    :returns: the same, with bytes
    :raises TypeError, ValueError: if it cannot be sent
    """
    if not isinstance(reply, (tuple, list)) or len(reply) != 3:
        found = '{} values'.format(len(reply)) if isinstance(reply, (tuple, list)) else type(reply).__name__
        raise TypeError("on_request must return None, (status, headers, body) or ('accept', protocol, "
                        'headers), not {}'.format(found))
    status, headers, body = reply
    if status == 'accept':
        protocol, further = to_text(headers), complete_headers(101, _check_pairs(body), b'')
        if protocol is not None and not isinstance(protocol, text_type):
            raise TypeError('the subprotocol must be text or None, not {}'.format(type(protocol).__name__))
        if protocol is not None and not is_token(protocol.encode('utf-8', 'replace')):
            raise ValueError("subprotocol '{}' is not a token".format(escape(protocol)))
        for name, _ in further:
            if name.lower() in _OURS:
                raise ValueError("header '{}' of a 101 is made by the server".format(escape(name)))
        return status, protocol, further
    if not isinstance(status, integer_types) or not 200 <= status <= 599:
        raise ValueError("status is {!r}; a number from 200 to 599, or 'accept', is allowed".format(status))
    if not isinstance(body, BYTES_LIKE):
        raise TypeError('the body must be bytes, not {}'.format(type(body).__name__))
    headers = _check_pairs(headers)
    if status in (204, 304) and body:
        raise ValueError('an answer with status {} has no body'.format(status))
    return int(status), complete_headers(status, headers, body), to_bytes(body)
