"""What one connection is to be: its target, request, redirects, secrets and observers.

It must not know sockets or the loop; a session asks it, and lets go of it at the end.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import error_text, text_type
from ..network.dialer import Route
from ..network.proxy_settings import select_proxy
from ..network.url import cut_query, resolve_location, same_origin
from ..protocol.connection import CLIENT, Connection
from ..protocol.handshake import ClientHandshake, make_key
from ..response import escape
from .cookies import take_cookies
from .request import prepare_request
from .trace import make_observer

_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class ConnectionState(object):
    """The state of one connection of a WebSocket: made afresh by each ``connect()``.

    :ivar key: bytes: Sec-WebSocket-Key
    :ivar session: the session that drives it, or None
    """

    def __init__(self, target):
        self.key = make_key()
        self.session = None
        self.core = None
        self.target = target        # a Url, None while a callable was not asked
        #: The URL of events and records, without a password; a redirect does not change it.
        self.shown_url = '' if target is None else target.masked
        self.pairs = None           # what ``headers`` gave for this connection
        self.answer = None          # the Authorization that a challenge asked for
        self.redirects = 0
        self.is_astray = False      # a redirect led to another origin: secrets stay behind
        self.shows_connected = True

    @property
    def closing(self):
        return self.core.state.is_closing

    @property
    def closed(self):
        return self.core.state.is_closed


def make_core(websocket, state):
    """The protocol core of a connection, waiting for the answer to its request."""
    handshake = ClientHandshake(
        state.key, websocket.protocols, websocket.deflate,
        websocket.on_response if websocket.overrides('on_response') else None,
        websocket.process_extensions if websocket.overrides('process_extensions') else None)
    return Connection(CLIENT, handshake, max_message_size=websocket.max_message_size,
                      deflate=websocket.deflate)


class Plan(object):
    """The record that a session drives; it refers to the WebSocket, nothing of it refers back."""

    #: ``again`` of a second request that shows no events: a challenge was answered.
    SILENT = object()

    def __init__(self, websocket):
        self._websocket = websocket
        self._state = websocket.state
        self._proxy = None
        self._step = None, None         # the newest answer, and what it leads to
        self._observer = observer = make_observer(websocket)
        self.on_event = observer and observer.on_event
        self.on_sent = observer and observer.on_sent
        self.on_reply = observer and observer.on_reply
        self.on_received = observer and observer.on_received

    @property
    def core(self):
        return self._state.core

    @property
    def shown_url(self):
        """The URL of events and records, without a password."""
        return self._state.shown_url

    @property
    def shows_connected(self):
        return self._state.shows_connected

    def emit(self, stage, **values):
        """A trace record, and a line in the log."""
        if self._observer is not None:
            self._observer.emit(stage, **values)

    # -- the order of a connection

    def begin(self, session):
        """The connection runs from now on.

        :raises WebSocketError: another one runs, or has been begun since
        """
        self._websocket.begin(session, self._observer)

    def is_running(self, session):
        """True from :meth:`begin` to :meth:`end`."""
        return self._websocket.is_running(session)

    def end(self, session):
        """It is over."""
        self._websocket.end(session)

    def prepare(self):
        """Ask the callables and choose the proxy: None, or (reason, exception, stage)."""
        websocket, state = self._websocket, self._state
        try:
            prepare_request(websocket, state)
            self._proxy = None
            if websocket.uds is None:
                self._proxy = select_proxy(websocket.proxies, state.target, websocket.detects_proxies)
        except Exception as error:      # whatever a callable of the caller raises
            return ('unable to connect; ' + error_text(error), error, 'prepare')
        return None

    def route(self, session):
        """What the dialer needs."""
        websocket = self._websocket
        wrap = None
        if is_overridden(session, '_wrap_socket'):
            wrap = session._wrap_socket
        return Route(
            self._state.target, self._proxy, websocket.uds, websocket.source_address,
            websocket.socket_options, websocket.tls, wrap, session.time_left, self.emit)

    def request(self):
        """The bytes of the request."""
        return self._websocket.build_request()

    def wants_body(self, response):
        """False for an answer that is only a step on the way."""
        return self._step_after(response)[0] is None

    def accepted(self, response):
        """The server has agreed."""
        take_cookies(self._websocket.cookies, response, self._state.target)

    def follow(self, event):
        """What a rejection leads to.

        :param Rejected event: its reason may get a further sentence
        :returns: None for the end; ``SILENT`` for a second request; else the URL to go on with
        """
        state, response = self._state, event.response
        take_cookies(self._websocket.cookies, response, state.target)
        step, value = self._step_after(response)
        if step is None:
            if value:
                event.reason += '; ' + value
            return None
        if step == 'answer':
            state.answer = value
            state.shows_connected = False
            return self.SILENT
        if not same_origin(value, state.target):
            state.is_astray = True
        state.answer = None
        state.target = value
        state.redirects += 1
        state.shows_connected = True
        return value.masked

    def _step_after(self, response):
        # Asked twice for one answer, and a challenge may be answered only once: answers are counted.
        if self._step[0] is not response:
            self._step = response, self._next_step(response)
        return self._step[1]

    def _next_step(self, response):
        """``(None, sentence)``, ``('answer', Authorization)`` or ``('redirect', Url)``."""
        websocket, state = self._websocket, self._state
        auth = websocket.auth
        if response.status_code == 401 and hasattr(auth, 'answer') and state.answer is None and (
                not state.is_astray):
            answer = auth.answer(response.header_lines('www-authenticate'), 'GET',
                                 state.target.resource)
            if answer is not None:
                return 'answer', answer
        if response.status_code not in _REDIRECTS or not websocket.max_redirects:
            return None, ''
        if state.redirects >= websocket.max_redirects:
            return None, 'more than {} redirects (max_redirects)'.format(websocket.max_redirects)
        try:
            lines = response.header_lines('location')
            target = resolve_location(state.target, lines[0].encode('latin-1') if lines else None)
        except ValueError as error:
            return None, text_type(error)
        if state.target.is_secure and not target.is_secure:
            return None, 'redirect from wss to ws refused: {}'.format(escape(cut_query(target.masked)))
        return 'redirect', target

    def restart(self):
        """A fresh core and key for a further request; as :meth:`prepare`."""
        state = self._state
        state.key = make_key()
        state.core = make_core(self._websocket, state)
        return self.prepare()

    def wrap_socket(self, sock, host):
        """TLS on a blocking socket, as the dialer would begin it."""
        from ..network import tls_context
        tls = self._websocket.tls
        context = tls['context'] or tls_context.make_context(
            tls['verify'], tls['cafile'], tls['cert'], tls['fingerprint'], host=host)
        name = tls_context.server_name(context, host, tls['context'] is not None)
        sock = context.wrap_socket(sock, server_hostname=name)
        try:
            tls_context.verify_peer(sock, host, tls['verify'], tls['fingerprint'], tls['context'] is not None)
        except Exception:
            sock.close()
            raise
        return sock


def is_overridden(session, name):
    """True when a subclass, or the object itself, has a method of its own."""
    method = getattr(session, name)
    return not getattr(method, 'is_default', False)
