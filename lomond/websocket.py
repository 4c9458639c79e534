"""The WebSocket client: an object to connect, iterate and send with."""

# WebSocket ties three parts together: the options (client.endpoint), the sending half
# (driver.sender), and one attempt after the other (client.attempt), each of which is
# driven by a session.
#
# Knows nothing of: sockets, frames.

from __future__ import absolute_import, division, unicode_literals

from . import errors
from .client import options
from .client.attempt import ALREADY_RUNNING, NO_HOOKS, Attempt, Hooks, Running
from .client.endpoint import Endpoint, EndpointAttributes
from .client.feed import Feed
from .driver.sender import Sender
from .protocol.connection import DEFAULT_MAX_MESSAGE_SIZE
from .session import WebsocketSession

_HOOKS = frozenset(Hooks.__slots__)


class WebSocket(EndpointAttributes, Feed, Sender):
    """A WebSocket client: iterate it for the events of a connection.

    >>> from lomond import WebSocket
    >>> from lomond.testing import Server, close_with
    >>> with Server(close_with(1001, u'restart')) as server:
    ...     for event in WebSocket(server.url, proxies={}):
    ...         if event.name == 'disconnected':
    ...             print('%s %s' % (event.code, event.reason))
    1001 closed

    The constructor says what to connect to; :meth:`connect` says how long and how
    often.  The constructor opens nothing.  A WebSocket can be connected again and
    again, one connection at a time.  Leaving the loop or a ``with`` block closes the
    socket at once; if the connection is open, a close frame 1001 ("going away") is sent
    before, unless it would have to wait.  Each parameter is an attribute of the same
    name.

    Threads: ``send_*``, :meth:`close` and :meth:`force_disconnect` may be called from
    any thread at any time; one thread iterates the events.

    A WebSocket can be copied, deep-copied and pickled if what it was given can be.  The
    copy was never connected, and has headers of its own.

    :param url: text with the scheme ``ws`` or ``wss`` (``http`` and ``https`` are
        aliases), or a callable without arguments that returns it and is called for
        every connection
    :param proxies: a dict of proxy URLs (None: no proxy) with the keys ``'ws'``,
        ``'wss'``, ``'http'`` (for ws), ``'https'`` (for wss) and ``'all'``; ``{}``
        means no proxy.  If None, the environment is read now (``https_proxy``,
        ``no_proxy`` and so on).  The schemes are http, https, socks4, socks4a, socks5,
        socks5h and socks, which means socks5h
    :param protocols: list or tuple of the subprotocols to offer, text, in order of
        preference (RFC 6455, 1.9); None offers none
    :param agent: the ``User-Agent``, text; if None or empty,
        :data:`lomond.constants.USER_AGENT`
    :param compress: if true, permessage-deflate (RFC 7692) is offered; a
        :class:`~lomond.compression.Deflate` sets its parameters
    :param ssl_verify: if false, neither the certificate nor the host name is checked
    :param ssl_cafile: path of a PEM bundle, or of a directory, to use instead of the
        default store (the system's, or certifi's if the system has none); every
        certificate in it is trusted, also an intermediate or the server's own
    :param ssl_context: an ``ssl.SSLContext``, used as it is; it decides everything
        about TLS.  If None, a context is made that accepts TLS 1.2 and newer
    :param trace: a callable that gets a dict for each step; any other true value sends
        these to the log at DEBUG
    :param headers: dict or list of pairs, text or bytes, or a callable without
        arguments that returns one of these and is called for every connection.  They
        replace default headers of the same name; those of the opening handshake are not
        allowed, nor is ``Proxy-Authorization``
    :param origin: the ``Origin`` header, text; not sent if None
    :param auth: ``(user, password)`` for Basic, or a :class:`~lomond.auth.DigestAuth`
    :param cookies: dict or text for the ``Cookie`` header, or an
        ``http.cookiejar.CookieJar``, which also receives the cookies that the answer
        sets
    :param ssl_cert: the client certificate, shown to the original origin only: path of
        a PEM file with certificate and key, ``(cert, key)`` or ``(cert, key,
        password)``
    :param ssl_fingerprint: ``'sha256:..'``, the digest that the server's certificate
        must have; with it, the certificate needs neither a known authority nor the
        host's name
    :param max_message_size: the largest message to accept, in bytes after decompression
        (64 MiB); None means no limit
    :param max_redirects: how many redirects to follow; with 0, a redirect is
        ``Rejected``
    :param source_address: ``(host, port)`` to connect from; None leaves it to the
        system
    :param socket_options: list of ``(level, name, value)``, set before connecting;
        ``TCP_NODELAY`` is on by default
    :param uds: path of a Unix domain socket to connect to; the URL still gives host and
        path
    :param server_hostname: the name for SNI and for verification, instead of the URL's
        host, also with ``ssl_context``; it does not change ``Host``, and is used
        neither for a proxy nor after a redirect to another origin
    :param proxy_headers: headers of the ``CONNECT`` request to an HTTP proxy, and of no
        other request: as for ``headers``, and a callable is called for every connection
        through such a proxy.  ``Proxy-Authorization`` takes the place of the
        credentials in the proxy's URL
    :param stream_from: bytes, 0 or more: a message whose first frame announces a larger
        payload (as it is on the wire), or is not final, comes in parts as it arrives
        (:class:`~lomond.events.TextPart`, :class:`~lomond.events.BinaryPart`).  If
        None, all messages come whole
    :raises TypeError: if a value has the wrong type; the message names it
    :raises ValueError: if a value cannot be used; the message says what is allowed
    """

    def __init__(self, url, proxies=None, protocols=None, agent=None, compress=False,
                 ssl_verify=True, ssl_cafile=None, ssl_context=None, trace=None,
                 headers=None, origin=None, auth=None, cookies=None, ssl_cert=None,
                 ssl_fingerprint=None, max_message_size=DEFAULT_MAX_MESSAGE_SIZE, max_redirects=0,
                 source_address=None, socket_options=None, uds=None, server_hostname=None,
                 proxy_headers=None, stream_from=None):
        self._endpoint = Endpoint(
            url, proxies, protocols, agent, compress, ssl_verify, ssl_cafile, ssl_context, trace, headers,
            origin, auth, cookies, ssl_cert, ssl_fingerprint, max_message_size, max_redirects,
            source_address, socket_options, uds, server_hostname, proxy_headers, stream_from)
        self._running = Running()
        if self.__class__ is WebSocket:         # nobody has overridden anything yet
            self.state = Attempt(self._endpoint, self._running)
        else:
            self.state = None
            self.reset()

    # -- connecting

    def connect(self, session_class=WebsocketSession, poll=5.0, ping_rate=30.0, ping_timeout=None,
                auto_pong=True, close_timeout=30.0, connect_timeout=30.0, send_timeout=30.0):
        """Prepare a new connection.

        Nothing happens until the returned iterator is advanced.  While a connection is
        running, a further call changes nothing: the first ``next()`` of the iterator
        that it returns raises :class:`~lomond.errors.WebSocketError`.

        :param session_class: called with the WebSocket; returns the session that drives
            it
        :param poll: seconds between two ``Poll`` events, above 0
        :param ping_rate: seconds between two pings; with None or 0, none are sent
        :param ping_timeout: seconds without a pong, or any other byte, until
            ``Unresponsive``; None or 0 means no limit
        :param auto_pong: if false, pings are not answered automatically (RFC 6455,
            5.5.2)
        :param close_timeout: seconds to wait for the answer to :meth:`close`; None or 0
            means no limit
        :param connect_timeout: seconds for everything until ``Ready``; None or 0 means
            no limit
        :param send_timeout: seconds for which a send tolerates that the server takes
            nothing; None or 0 means no limit
        :returns: an iterator of events, for one thread; leaving it closes the socket
        :raises TypeError: if a time is not a number
        :raises ValueError: if a time is below 0, or ``poll`` not above it, or as large
            as no clock can hold (292 years; for the other times, that means no limit,
            or no pings)
        """
        settings = options.check_settings(
            poll, ping_rate, ping_timeout, auto_pong, close_timeout, connect_timeout, send_timeout)
        if self._running.session is not None:
            return _refuse(ALREADY_RUNNING)
        return self._begin(session_class, settings).run(**settings)

    def open(self, session_class=WebsocketSession, poll=5.0, ping_rate=30.0, ping_timeout=None,
             auto_pong=True, close_timeout=30.0, connect_timeout=30.0, send_timeout=30.0):
        """Prepare a connection for a loop of yours; parameters as in :meth:`connect`.

        The steps of the session never wait: ``waits()``, ``next_deadline()``,
        ``process(ready, now)`` and ``is_over`` of
        :class:`~lomond.session.WebsocketSession`.  Nothing is connected before the
        first ``process()``.  While a connection is running, a further call changes
        nothing: the first ``process()`` of the session that it returns raises
        :class:`~lomond.errors.WebSocketError`.

        :param session_class: called with the WebSocket; returns the session, which has
            the steps, and ``start(**settings)``
        :returns: the session, for one thread
        :raises TypeError: if a time is not a number, or ``session_class`` does not have
            the steps
        :raises ValueError: as for :meth:`connect`
        """
        settings = options.check_settings(
            poll, ping_rate, ping_timeout, auto_pong, close_timeout, connect_timeout, send_timeout)
        if isinstance(session_class, type):
            options.check_steps(session_class, ('start', 'waits', 'next_deadline', 'process'))
        if self._running.session is not None:
            session = WebsocketSession(_Busy(self._endpoint))
        else:
            session = self._begin(session_class, settings)
            options.check_steps(session, ('start', 'waits', 'next_deadline', 'process', 'is_over'))
        session.start(**settings)
        return session

    def _begin(self, session_class, settings):
        self.reset()
        state = self.state
        state.listen()
        session = session_class(self)
        state.session = session
        if session_class is WebsocketSession:
            session.is_ours = True
        elif not isinstance(session, WebsocketSession):
            state.begin_by_hand(settings)
        return session

    def __iter__(self):
        return self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        session = self.session
        if session is None:
            return
        if not isinstance(session, WebsocketSession):
            Feed.on_disconnect(self)
            return
        try:
            session.say_goodbye()
        finally:
            session.close()
            self.state.end(session)     # the iterator may still exist (PyPy), but is useless now
        session._leave()

    def reset(self):
        """Create a fresh state and a fresh key, and do nothing else.

        :meth:`connect` does this by itself.
        """
        first_target = None
        if self.state is not None:
            self.state.is_superseded = True
            first_target = self.state.first_target
        hooks = NO_HOOKS
        if self.__class__ is not WebSocket or not _HOOKS.isdisjoint(self.__dict__):
            hooks = Hooks(*[getattr(self, name) if self._overrides(name) else None
                            for name in Hooks.__slots__])
        self.state = Attempt(self._endpoint, self._running, hooks, first_target)

    def _overrides(self, name):
        """True if a subclass, or this object, has its own method of that name."""
        method = getattr(self, name)
        return getattr(method, '__func__', method) is not vars(WebSocket)[name]

    def __copy__(self):
        from copy import copy
        twin = self.__class__.__new__(self.__class__)
        twin.__setstate__(dict(self.__getstate__(), _endpoint=copy(self._endpoint)))
        return twin

    # For pickle and deepcopy: a copy was never connected.

    def __getstate__(self):
        return dict((name, value) for name, value in vars(self).items() if name not in ('state', '_running'))

    def __setstate__(self, state):
        vars(self).update(state, _running=Running(), state=None)
        self.reset()

    # -- the request and its answer

    def add_header(self, header, value):
        """Send a header with each further request, before the built-in ones.

        A header may be added repeatedly, except ``Host``, ``Origin`` and
        ``User-Agent``, which replace the built-in header and earlier ones.
        ``Sec-WebSocket-Protocol`` adds its subprotocols to those of ``protocols``.

        :param bytes header: its name
        :param bytes value: its value
        :raises TypeError: if either is not bytes
        :raises ValueError: if the name is not a token, or the value contains a line end
            or NUL; for other headers of the opening handshake (RFC 6455, 4.1); for
            ``Proxy-Authorization``, which would not reach the proxy; and for a
            subprotocol that is not a token, or is offered already
        """
        self._endpoint.add_header(header, value)

    def build_request(self):
        """Return the request as bytes (RFC 6455, 4.1).

        It stays the same until the next :meth:`connect`.  A subclass may override this
        method; the session sends what it returns.

        :returns: bytes
        """
        return self.state.build_request()

    def on_response(self, response):
        """Check the answer to the request (RFC 6455, 4.1).

        A subclass may override this method.

        :param response: the server's answer, a :class:`~lomond.response.Response`
        :returns: ``(subprotocol or None, set of extensions)``, text
        :raises ~lomond.errors.HandshakeError: if the answer is not acceptable
        """
        return self.state.check_response(response, self.process_extensions)

    def process_extensions(self, extensions):
        """Set up the extensions that the server agreed to (RFC 6455, 9.1).

        A subclass may override this method.

        :param extensions: list of text, the elements of ``Sec-WebSocket-Extensions``
        :returns: the set of the names of the enabled extensions, text
        :raises ~lomond.errors.HandshakeError: if an extension was not offered, or a
            parameter is not allowed
        """
        return self.state.negotiate(extensions)

    def _on_dropped(self, state):
        state.end_by_hand()


class _Busy(object):
    """Stands for a WebSocket whose connection runs: no session of it can begin."""

    def __init__(self, endpoint):
        running = Running()
        running.session = self
        self.state = Attempt(endpoint, running)


def _refuse(sentence):
    """An iterator whose first ``next()`` raises; the running connection goes on."""
    raise errors.WebSocketError(sentence)
    yield
