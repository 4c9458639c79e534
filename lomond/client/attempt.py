"""What one connection is to be: its target, request, redirects, secrets and observers.

It must not know sockets or the loop; a session asks it, and lets go of it at the end.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import error_text, text_type
from ..auth import basic
from ..network.dialer import Route
from ..network.proxy_settings import select_proxy
from ..network.url import cut_query, parse_url, resolve_location, same_origin
from ..opcode import Opcode
from ..protocol.connection import CLIENT, Connection
from ..protocol.frames import parse_close_payload
from ..protocol.handshake import ClientHandshake, encode_request, make_key
from ..response import escape
from .cookies import cookie_header, take_cookies
from .options import header_pairs

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
#: Headers that are for the first server only (besides ``auth`` and ``cookies``).
_FOR_ONE_ORIGIN = frozenset((b'authorization', b'cookie', b'host'))


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


def prepare_request(websocket, state):
    """Ask ``url`` and ``headers`` where they are callables, once for each connection."""
    if state.target is None:
        websocket.first_target = None       # of the connection before; this one may raise
        state.target = websocket.first_target = parse_url(websocket.url())
        state.shown_url = state.target.masked
    if state.pairs is None:
        headers = websocket.headers
        state.pairs = header_pairs(headers() if callable(headers) else headers)


def encode_handshake(websocket, state):
    """The bytes of the request (RFC 6455, 4.1)."""
    prepare_request(websocket, state)
    target = state.target
    added, given = websocket.added_headers, state.pairs
    if state.is_astray:
        added, given = [[pair for pair in pairs if pair[0].lower() not in _FOR_ONE_ORIGIN]
                        for pairs in (added, given)]
    authorization = _authorization(websocket, state)
    # One Authorization: of add_header, else of headers, each time the last.
    secrets = [pair for pairs in (given, added) for pair in pairs
               if pair[0].lower() == b'authorization']
    pairs = [pair for pair in list(added) + list(given)
             if pair[0].lower() != b'authorization' or pair is secrets[-1]]
    named = set(name.lower() for name, _ in pairs)
    if state.answer is not None:
        pairs = [pair for pair in pairs if pair[0].lower() != b'authorization']
        pairs.append((b'Authorization', state.answer.encode('latin-1')))
    elif authorization is not None and b'authorization' not in named:
        pairs.append((b'Authorization', authorization.encode('ascii')))
    if b'cookie' not in named and not (state.is_astray and not hasattr(
            websocket.cookies, 'add_cookie_header')):
        cookie = cookie_header(websocket.cookies, target)
        if cookie:
            pairs.append((b'Cookie', cookie))
    deflate = websocket.deflate
    return encode_request(
        target.resource, target.host_header, state.key, pairs, websocket.agent,
        websocket.protocols, None if deflate is None else deflate.offer(), websocket.origin)


def _authorization(websocket, state):
    """Of ``auth``, else of the URL; never for another origin."""
    if state.is_astray:
        return None
    if isinstance(websocket.auth, tuple):
        return basic(*websocket.auth)
    # A redirect within the origin names no user, and loses none.
    userinfo = websocket.first_target.userinfo
    if userinfo is not None and websocket.auth is None:
        return basic(*userinfo)
    return None


class _Observer(object):
    """Trace records and log lines of one connection; made only when somebody listens."""

    def __init__(self, state, trace, logger):
        self._state = state         # not the WebSocket, which refers to us: no cycle
        self._trace = trace
        self._logger = logger
        self._close_requested = False

    def emit(self, stage, **values):
        record = dict(values, stage=stage, url=self._state.shown_url)
        if self._logger is not None:
            self._logger.debug('%s %s', stage, record)
        if self._trace is not None:
            try:
                self._trace(record)
            except Exception:
                import logging
                logging.getLogger('lomond').warning('the trace callback failed', exc_info=True)

    def on_sent(self, count):
        self.emit('socket_send', length=count)

    def on_reply(self, opcode, payload):
        """An automatic frame goes out; traced as if its method had been called, as it is in 0.3.4."""
        if opcode in (Opcode.PING, Opcode.PONG):
            self.emit('send_' + Opcode.to_str(opcode).lower(), length=len(payload))
        elif opcode == Opcode.CLOSE and not self._close_requested:
            self.on_close(*parse_close_payload(payload))

    def on_close(self, code, reason):
        """A close frame is due; of ``close()`` itself this tells before the frame goes out."""
        self._close_requested = True
        self.emit('close_requested', code=code,
                  reason=reason if isinstance(reason, text_type) else reason.decode('utf-8'))

    def on_received(self, count):
        self.emit('socket_recv', length=count)

    def on_event(self, event):
        name = event.name
        if name == 'text':
            self.emit('message_text', length=len(event.text.encode('utf-8')))
        elif name in ('binary', 'ping', 'pong'):
            self.emit('message_' + name, length=len(event.data))
        elif name in ('closing', 'closed'):
            self.emit('message_close', code=event.code, reason=event.reason)
        elif name == 'ready':
            self.emit('handshake_ready', protocol=event.protocol,
                      extensions=sorted(event.extensions))
        elif name == 'rejected':
            self.emit('handshake_rejected', reason=event.reason,
                      status_code=event.response.status_code)


def make_observer(websocket):
    """An observer, or None when nobody listens: then nothing is paid for one."""
    import logging
    logger = logging.getLogger('lomond')
    trace, state = websocket.trace, websocket.state
    if trace and not callable(trace):
        return _Observer(state, None, logger)
    if logger.isEnabledFor(logging.DEBUG):
        return _Observer(state, trace or None, logger)
    return _Observer(state, trace, None) if trace else None

