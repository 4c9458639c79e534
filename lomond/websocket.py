"""``WebSocket``: what and where to connect to, and the sending half of a connection.

It must not know sockets: a session drives them, the core knows the protocol.
"""

from __future__ import absolute_import, division, unicode_literals

from copy import copy

from . import errors
from .client import options
from .client.attempt import Attempt, Hooks, Running
from .client.endpoint import Endpoint, EndpointAttributes
from .client.feed import Feed
from .driver.sender import Sender
from .protocol.connection import DEFAULT_MAX_MESSAGE_SIZE
from .session import WebsocketSession


class WebSocket(EndpointAttributes, Feed, Sender):
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
        self._endpoint = Endpoint(
            url, proxies, protocols, agent, compress, ssl_verify, ssl_cafile, ssl_context, trace, headers,
            origin, auth, cookies, ssl_cert, ssl_fingerprint, max_message_size, max_redirects,
            source_address, socket_options, uds)
        self._running = Running()
        self.state = None
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
        if self._running.session is not None:
            return _refused('a connection of this WebSocket runs already; one at a time')
        self.reset()
        state = self.state
        state.listen()
        session = session_class(self)
        state.session = session
        if not isinstance(session, WebsocketSession):
            state.begin_by_hand(settings)
        return session.run(**settings)

    def __iter__(self):
        return self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        session = self.session
        if session is not None:
            session.close()
            self.state.end(session)     # the iterator may still exist (PyPy), but is useless now

    def reset(self):
        """Create a fresh state and a fresh key, and do nothing else.

        :meth:`connect` does this by itself.
        """
        first_target = None
        if self.state is not None:
            self.state.is_superseded = True
            first_target = self.state.first_target
        hooks = Hooks(*[getattr(self, name) if self._overrides(name) else None for name in Hooks._fields])
        self.state = Attempt(self._endpoint, self._running, hooks, first_target)

    def _overrides(self, name):
        """True if a subclass, or this object, has its own method of that name."""
        method = getattr(self, name)
        return getattr(method, '__func__', method) is not vars(WebSocket)[name]

    def __copy__(self):
        twin = self.__class__.__new__(self.__class__)
        vars(twin).update(vars(self), _endpoint=copy(self._endpoint), _running=Running(), state=None)
        twin.reset()
        return twin

    # -- the request and its answer

    def add_header(self, header, value):
        """Send a header with each request from now on, before the built-in ones.

        Repeats are allowed, but ``Host`` is replaced.

        :param bytes header: its name
        :param bytes value: its value
        :raises TypeError: unless both are bytes
        :raises ValueError: the name is no token, or a value would not stay in its line
        """
        self._endpoint.add_header(header, value)

    def build_request(self):
        """The request as bytes (RFC 6455, 4.1); the same until the next ``connect()``.

        A subclass may override it: the session sends what it returns.
        """
        return self.state.build_request()

    def on_response(self, response):
        """Judge the answer to the request (RFC 6455, 4.1); may be overridden.

        :param response: the server's answer, a :class:`~lomond.response.Response`
        :returns: ``(subprotocol or None, set of extensions)``, text
        :raises HandshakeError: it is not acceptable
        """
        return self.state.check_response(response, self.process_extensions)

    def process_extensions(self, extensions):
        """Set up what the server has agreed to (RFC 6455, 9.1); may be overridden.

        :param extensions: list of text: elements of Sec-WebSocket-Extensions
        :returns: the set of names that are enabled, text
        :raises HandshakeError: something that was not offered, or parameters that may not be
        """
        return self.state.negotiate(extensions)

    def _on_dropped(self, state):
        state.end_by_hand()


def _refused(sentence):
    """An iterator whose first ``next()`` raises; the connection that runs goes on."""
    raise errors.WebSocketError(sentence)
    yield

