"""``WebSocket``: what and where to connect to, and the sending half of a connection.

It must not know sockets: a session drives them, the core knows the protocol.
"""

from __future__ import absolute_import, division, unicode_literals

from . import constants, errors
from ._compat import BYTES_LIKE, encode_utf8, flat_view, monotonic, text_type
from .client import options
from .client.attempt import ConnectionState, Plan, make_core
from .client.endpoint import Members
from .client.feed import Feeding
from .client.request import encode_handshake
from .client.trace import make_observer
from .network import tls_context
from .network.proxy_settings import environment_proxies, normalise_proxies
from .network.url import parse_url
from .opcode import Opcode
from .protocol import states
from .protocol.connection import DEFAULT_MAX_MESSAGE_SIZE
from .protocol.frames import MAX_CONTROL_PAYLOAD, encode_close_payload
from .protocol.handshake import check_header
from .session import WebsocketSession


class WebSocket(Feeding, Members):
    """A WebSocket client: iterate it for the events of a connection.

    >>> from lomond import WebSocket
    >>> from lomond.testing import Server, close_with
    >>> with Server(close_with(1001, u'restart')) as server:
    ...     for event in WebSocket(server.url, proxies={}):
    ...         if event.name == 'disconnected':
    ...             print('%s %s' % (event.code, event.reason))
    1001 closed

    The constructor says what and where, :meth:`connect` says how long and how often.  It opens
    nothing.  A WebSocket can be connected again and again, one connection at a time.  Leaving a
    ``with`` block closes the socket at once, without a close frame.  Each parameter is an
    attribute of the same name.

    Threads: ``send_*``, :meth:`close` and :meth:`force_disconnect` may be called from any thread,
    at any time; the events are iterated by one thread.

    :param url: text, ``ws://`` or ``wss://`` (``http`` and ``https`` are aliases); or a callable
        without arguments that returns it, called for every connection
    :param proxies: None: from the environment (``https_proxy``, ``no_proxy`` ...), which is read
        now; ``{}``: none; or a dict of URLs (None: no proxy) by ``'ws'``, ``'wss'``, ``'http'`` (for
        ws), ``'https'`` (for wss), ``'all'``.  Schemes: http, https, socks4, socks4a, socks5, socks5h
    :param protocols: list or tuple of the subprotocols to offer, text, in order of preference
        (RFC 6455, 1.9); None: none
    :param agent: User-Agent, text; None or empty: :data:`lomond.constants.USER_AGENT`
    :param compress: False: none; True: permessage-deflate (RFC 7692) is offered; or a
        :class:`~lomond.compression.Deflate`
    :param ssl_verify: True: certificate and host name are checked; False: neither
    :param ssl_cafile: path of a PEM bundle or of a directory, in place of the default store (the
        system's; where there is none, certifi's)
    :param ssl_context: an ``ssl.SSLContext`` that is used as it is and decides all about TLS; None:
        one of ours, with TLS 1.2 or newer
    :param trace: callable that gets a dict for each step; True: they go to the log at DEBUG
    :param headers: dict or list of pairs, text or bytes; or a callable without arguments that returns
        one, called for every connection.  They replace default headers of the same name
    :param origin: value of the ``Origin`` header, text; None: it is not sent
    :param auth: ``(user, password)`` for Basic, or a :class:`~lomond.auth.DigestAuth`
    :param cookies: dict; text for the ``Cookie`` header; or an ``http.cookiejar.CookieJar``, which also
        takes what the answer sets
    :param ssl_cert: client certificate: path of a PEM file with both, ``(cert, key)`` or ``(cert, key,
        password)``; None: none
    :param ssl_fingerprint: ``'sha256:..'``: the server's certificate must have this digest, and need
        then not be signed by a known authority nor carry the host's name; None: not asked for
    :param max_message_size: most bytes of a message, after inflating; 64 MiB; None: no limit
    :param max_redirects: how many redirects to follow; 0: a redirect is ``Rejected``
    :param source_address: ``(host, port)`` to connect from; None: the system chooses
    :param socket_options: list of ``(level, name, value)``, set before connecting; ``TCP_NODELAY``
        is on by default
    :param uds: path of a Unix domain socket to connect to; the URL still gives host and path
    :raises TypeError: a value of a wrong type; the message names it
    :raises ValueError: a value that cannot be used; the message says what is allowed
    """

    def __init__(self, url, proxies=None, protocols=None, agent=None, compress=False,
                 ssl_verify=True, ssl_cafile=None, ssl_context=None, trace=None,
                 headers=None, origin=None, auth=None, cookies=None, ssl_cert=None,
                 ssl_fingerprint=None, max_message_size=DEFAULT_MAX_MESSAGE_SIZE, max_redirects=0,
                 source_address=None, socket_options=None, uds=None):
        self.first_target = None if callable(url) else parse_url(url)
        self.url = url if callable(url) else self.first_target.text
        self.detects_proxies = proxies is None
        self.proxies = environment_proxies() if proxies is None else normalise_proxies(proxies)
        self.protocols = options.check_protocols(protocols)
        self.agent = options.check_text_header('agent', b'User-Agent', agent) or constants.USER_AGENT
        self.compress = compress
        self.deflate = options.check_compress(compress)
        tls_context.check_options(ssl_verify, ssl_cafile, ssl_context, ssl_cert, ssl_fingerprint)
        self.ssl_verify = ssl_verify
        self.ssl_cafile = ssl_cafile
        self.ssl_context = ssl_context
        self.ssl_cert = ssl_cert
        self.ssl_fingerprint = ssl_fingerprint
        self.trace = trace
        self.headers = options.check_headers(headers)
        self.origin = options.check_text_header('origin', b'Origin', origin)
        self.auth = options.check_auth(auth)
        self.cookies = options.check_cookies(cookies)
        self.max_message_size = options.check_size('max_message_size', max_message_size, 0)
        self.max_redirects = options.check_size('max_redirects', max_redirects, 0) or 0
        self.source_address = options.check_source_address(source_address)
        self.socket_options = options.check_socket_options(socket_options)
        self.uds = options.check_path('uds', uds)
        self.added_headers = []
        self._running = None        # the session whose connection runs
        self.reset()

    # -- connecting

    def connect(self, session_class=WebsocketSession, poll=5.0, ping_rate=30.0, ping_timeout=None,
                auto_pong=True, close_timeout=30.0, connect_timeout=30.0, send_timeout=30.0):
        """Start afresh; nothing is connected before the result is iterated.

        While a connection runs, a further call changes nothing: the first ``next()`` of what it
        returns raises :class:`~lomond.errors.WebSocketError`.

        :param session_class: called with the WebSocket, gives the session that drives it
        :param poll: seconds between two ``Poll`` events, above 0
        :param ping_rate: seconds between two pings; None or 0: none are sent
        :param ping_timeout: seconds without a pong, or any other byte, until ``Unresponsive``;
            None or 0: no limit
        :param auto_pong: True: pings are answered by themselves (RFC 6455, 5.5.2)
        :param close_timeout: seconds to wait for the answer to :meth:`close`; None or 0: no limit
        :param connect_timeout: seconds for everything until ``Ready``; None or 0: no limit
        :param send_timeout: seconds that the server may take nothing of a message; None or 0: no
            limit
        :returns: an iterator of events, to be iterated by one thread; leaving it closes the socket
        :raises TypeError: a time that is no number
        :raises ValueError: a time below 0, or ``poll`` not above it
        """
        settings = dict(
            poll=options.check_poll(poll),
            ping_rate=options.check_time('ping_rate', ping_rate),
            ping_timeout=options.check_time('ping_timeout', ping_timeout),
            auto_pong=auto_pong,
            close_timeout=options.check_time('close_timeout', close_timeout))
        for name, value in (('connect_timeout', connect_timeout), ('send_timeout', send_timeout)):
            if options.check_time(name, value) != 30.0:
                settings[name] = value
        if self._running is not None:
            return _refused('a connection of this WebSocket runs already; one at a time')
        self.reset()
        session = session_class(self)
        self.state.session = session
        if not isinstance(session, WebsocketSession):
            self.begin_by_hand(make_observer(self), settings)
        return session.run(**settings)

    def __iter__(self):
        return self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        session = self.session
        if session is not None:
            session.close()
            self.end(session)       # an iterator that is still there (PyPy) is of no use any more

    def reset(self):
        """Make a fresh state and a fresh key, nothing else; :meth:`connect` does it by itself."""
        state = ConnectionState(self.first_target if not callable(self.url) else None)
        state.core = make_core(self, state)
        self.state = state
        self._observer = self._feed_observer = None     # while somebody listens

    @property
    def plan(self):
        """What a session drives; made for it."""
        return Plan(self)

    def overrides(self, name):
        """True when a subclass, or this object, has its own method of that name."""
        method = getattr(self, name)
        return getattr(method, '__func__', method) is not vars(WebSocket)[name]

    def begin(self, session, observer):
        """The session's connection runs from now on (called by its plan).

        :raises WebSocketError: it was superseded, or another connection runs
        """
        if self._running is not None:
            raise errors.WebSocketError('a connection of this WebSocket runs already; one at a time')
        if self.state.session is not session:
            raise errors.WebSocketError('superseded by a later connect() of this WebSocket')
        self._running = session
        self._observer = observer

    def is_running(self, session):
        """True while the session's connection runs."""
        return self._running is session

    def end(self, session):
        """The session's connection is over (called by its plan)."""
        if self._running is session:
            self._running = None

    # -- the request and its answer

    def add_header(self, header, value):
        """Send a header with each request from now on, before the built-in ones.

        Repeats are allowed, but ``Host`` is replaced.

        :param bytes header: its name
        :param bytes value: its value
        :raises TypeError: unless both are bytes
        :raises ValueError: the name is no token, or a value would not stay in its line
        """
        check_header(header, value)
        if header.lower() == b'host':
            self.added_headers = [pair for pair in self.added_headers
                                  if pair[0].lower() != b'host']
        self.added_headers.append((header, value))

    def build_request(self):
        """The request as bytes (RFC 6455, 4.1); the same until the next ``connect()``.

        A subclass may override it: the session sends what it returns.
        """
        return encode_handshake(self, self.state)

    def on_response(self, response):
        """Judge the answer to the request (RFC 6455, 4.1); may be overridden.

        :param response: the server's answer, a :class:`~lomond.response.Response`
        :returns: ``(subprotocol or None, set of extensions)``, text
        :raises HandshakeError: it is not acceptable
        """
        return self.state.core.handshake.check_response(response, self.process_extensions)

    def process_extensions(self, extensions):
        """Set up what the server has agreed to (RFC 6455, 9.1); may be overridden.

        :param extensions: list of text: elements of Sec-WebSocket-Extensions
        :returns: the set of names that are enabled, text
        :raises HandshakeError: something that was not offered, or parameters that may not be
        """
        return self.state.core.handshake.negotiate(extensions)

    # -- sending

    def send_text(self, text, compress=True):
        """Send a text message; returns when its bytes are with the operating system.

        May be called from any thread.

        :param text: text, of any length
        :param compress: True: it is compressed if that was agreed on; False: it is not
        :raises TypeError: unless it is text
        :raises WebSocketUnavailable: before Ready
        :raises WebSocketClosing: after :meth:`close`, or after the server's close was answered
        :raises WebSocketClosed: after the end
        :raises SendTimeout: the server took nothing for ``send_timeout`` seconds
        :raises TransportFail: the connection is broken
        """
        if not isinstance(text, text_type):
            raise TypeError('text must be text, not {}; use send_binary for bytes'.format(
                type(text).__name__))
        self._send(Opcode.TEXT, encode_utf8(text), compress)

    def send_binary(self, data, compress=True):
        """Send a binary message; from any thread, errors as in :meth:`send_text`.

        :param data: bytes, bytearray or memoryview; it must not change until this returns
        :param compress: True: it is compressed if that was agreed on; False: it is not
        """
        if not isinstance(data, BYTES_LIKE):
            raise TypeError('data must be bytes, bytearray or memoryview, not {}; use send_text for '
                            'text'.format(type(data).__name__))
        if not isinstance(data, bytes):
            data = flat_view(data)
        self._send(Opcode.BINARY, data, compress)

    def send_json(self, _obj=Ellipsis, **kwargs):
        """Send an object, or keywords, as JSON in a text message.

        ``send_json([1, 2])``, ``send_json(subscribe=u'prices')``; with neither it is ``{}``.  From any
        thread, errors as in :meth:`send_text`.

        :param kwargs: the members of a JSON object, ``compress`` too
        :raises ValueError: an object and keywords
        :raises TypeError: what cannot be serialised
        """
        if _obj is not Ellipsis and kwargs:
            raise ValueError('send_json takes one object or keywords, not both')
        import json
        try:
            text = json.dumps(kwargs if _obj is Ellipsis else _obj)
        except ValueError as error:     # an object inside of itself; bytes on 2.7
            raise TypeError('not serialisable as JSON: {}'.format(error))
        self.send_text(text if isinstance(text, text_type) else text.decode('ascii'))

    def send_ping(self, data=b''):
        """Send a ping (RFC 6455, 5.5.2); from any thread, errors as in :meth:`send_text`.

        :param bytes data: at most 125 bytes; the pong brings them back
        :raises TypeError: unless they are bytes
        :raises ValueError: more than that
        """
        self._send_control(Opcode.PING, data)

    def send_pong(self, data):
        """Send a pong that nobody asked for, or with ``auto_pong=False`` one that was asked for.

        :param bytes data: at most 125 bytes; errors as in :meth:`send_ping`
        """
        self._send_control(Opcode.PONG, data)

    def _send_control(self, opcode, data):
        if not isinstance(data, bytes):
            raise TypeError('data must be bytes, not {}'.format(type(data).__name__))
        if len(data) > MAX_CONTROL_PAYLOAD:
            raise ValueError('data is {} bytes; at most {} are allowed'.format(
                len(data), MAX_CONTROL_PAYLOAD))
        session = self._open_session()
        if opcode == Opcode.PING and not isinstance(session, WebsocketSession):
            self.state.core.pings.sent(data, monotonic())       # ours writes this down by itself
        session.send(opcode, data)
        if self._observer is not None:
            self._observer.emit('send_' + Opcode.to_str(opcode).lower(), length=len(data))

    def _send(self, opcode, payload, compress):
        session = self.state.session
        if session is None or self.state.core.inputs != states.OPENED:
            session = self._open_session()      # it may be open for sending all the same
        session.send(opcode, payload, compress)
        if self._observer is not None:
            self._observer.emit('send_' + Opcode.to_str(opcode).lower(), length=len(payload),
                                compressed=bool(compress and self.supports_compression))

    def _open_session(self):
        state = self.state
        if state.session is None:
            raise errors.WebSocketUnavailable('nothing can be sent before it is connected')
        now = state.core.state
        if not now.may_send:
            raise now.refuse()
        return state.session

    # -- ending

    def close(self, code=1000, reason='goodbye'):
        """Begin the closing handshake (RFC 6455, 7.1.2); go on with the loop until it ends.

        It never waits, and never raises because of the wire.  May be called from any thread, and in
        a signal handler.  Nothing happens when it is closing or closed, or was never connected.

        :param code: 1000 - 1003, 1007 - 1014 or 3000 - 4999 (RFC 6455, 7.4); None: an empty close
            frame
        :param reason: text or UTF-8 bytes, cut to 123 bytes
        :raises TypeError: a code that is no integer, a reason that is neither text nor bytes
        :raises ValueError: a code that may not be sent, a reason that is not UTF-8
        """
        state = self.state
        session, core = state.session, state.core
        if session is None:
            encode_close_payload(code, reason)      # a mistake shows at once
            return
        before = core.state
        payload = core.close(code, reason)
        if payload is None:
            if before is states.CONNECTING:
                session.close()
            return
        if core.sent_close_time is None:
            core.sent_close_time = session.session_time
        if self._observer is not None:
            self._observer.on_close(code, reason)
        session.send(Opcode.CLOSE, payload)

    def force_disconnect(self):
        """Drop the connection at once, without a close frame; ``Disconnected`` follows in the loop.

        It never waits and never raises, and it wakes senders that wait.  May be called from any
        thread, and in a signal handler, as often as you like.
        """
        session = self.state.session
        if session is not None:
            self.state.core.disconnect()
            session.force_disconnect()
            self.end_by_hand()

    def on_disconnect(self):
        """End the connection: the session is closed, without a close frame; from any thread."""
        self.state.core.disconnect()
        session = self.state.session
        if session is not None:
            session.close()
            self.end_by_hand()


def _refused(sentence):
    """An iterator whose first ``next()`` raises; the connection that runs goes on."""
    raise errors.WebSocketError(sentence)
    yield

