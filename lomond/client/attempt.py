"""One connection attempt: where to connect, what to send, and what an answer leads to.

An :class:`Attempt` is made by each ``connect()``.  It reads the options of the
:class:`~lomond.client.endpoint.Endpoint` and calls the methods that a subclass of
``WebSocket`` has overridden (:class:`Hooks`); it does not know the ``WebSocket``.  The
session drives it in this order::

    begin
    prepare, route, request          for each request (after restart, later on)
    goes_on, follow / accepted       for each answer
    end

Knows nothing of: sockets, loops, ``WebSocket``.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import error_text, text_type, without_frames
from ..network.url import cut_query, resolve_location, same_origin
from ..protocol.connection import CLIENT, Connection
from ..protocol.handshake import ClientHandshake, make_key
from ..response import escape
from .cookies import take_cookies
from .endpoint import NO_PROXIES
from .options import check_text_header, evaluate_headers
from .request import drops_credentials, encode_handshake, prepare_request
from .trace import make_observer

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
#: The settings of ``connect()`` that the trace record ``connect_start`` contains.
LOOP_SETTINGS = ('poll', 'ping_rate', 'ping_timeout', 'auto_pong', 'close_timeout')

# Imported when they are first needed, and once: an import costs a connection 4 us.
select_proxy = Route = None

ALREADY_RUNNING = 'a connection of this WebSocket is already running; only one at a time is allowed'


def _import_network():
    global select_proxy, Route
    from ..network import dialer
    from ..network.proxy_settings import select_proxy
    Route = dialer.Route        # last: it says that all are there


class Hooks(object):
    """Methods that the caller has overridden, as callables; None for the default."""

    # Not a namedtuple: making one takes as long as importing a small module.
    __slots__ = ('build_request', 'on_response', 'process_extensions')

    def __init__(self, build_request=None, on_response=None, process_extensions=None):
        self.build_request = build_request
        self.on_response = on_response
        self.process_extensions = process_extensions


NO_HOOKS = Hooks()


class Running(object):
    """What all attempts of one WebSocket share.

    :ivar session: the session whose connection is running, or None
    :ivar experience: the :class:`~lomond.network.happy_eyeballs.Experience`, once there
        were addresses that were of no use
    """

    session = experience = group = None

    def blame(self, addresses):
        """Note socket addresses that were of no use."""
        if addresses and self.experience is None:
            from ..network.happy_eyeballs import Experience
            self.experience = Experience()
        for address in addresses:
            self.experience.failed(address)

    def claim(self, mark):
        """Take the WebSocket for a group, in one step; any thread.

        :param mark: a weak reference to the group
        :returns: False if it is another group's
        """
        held = vars(self).setdefault('group', mark)
        if held() is None:              # that one was never iterated, and is gone
            vars(self).pop('group', None)
            return self.claim(mark)
        return held is mark

    def release(self, mark):
        """Undo :meth:`claim`, if it was done."""
        if vars(self).get('group') is mark:
            vars(self).pop('group', None)


class _Made(object):
    """An attribute of :class:`Attempt` that is made when it is first asked for.

    Later on it is an attribute like any other, at the cost of one.
    """

    def __init__(self, name):
        self._name = name

    def __get__(self, attempt, kind=None):
        if attempt is None:
            return self
        made = attempt._made
        if not made:
            made.append(attempt._make_core())
        attempt.key, attempt.core = made[0]     # the first one counts, for any thread
        return getattr(attempt, self._name)


class Attempt(object):
    """One connection attempt, and the state of the connection that it leads to.

    :param Endpoint endpoint: the options
    :param Running running: says whether a connection runs
    :param Hooks hooks: what a subclass has overridden
    :param first_target: where the previous attempt went, until a callable ``url`` is
        called

    :ivar key: bytes: the Sec-WebSocket-Key
    :ivar session: the session that drives the attempt, or None
    :ivar core: the :class:`~lomond.protocol.connection.Connection`; like ``key``, made
        when it is first asked for
    :ivar target: the :class:`~lomond.network.url.Url` of the current request; None
        until a callable ``url`` has been called
    :ivar shown_url: the URL of events and records, without a password; a redirect does
        not change it
    :ivar pairs: the pairs of ``headers``, or None until they are needed
    :ivar answer: the ``Authorization`` that answers a challenge, or None
    :ivar left_origin: True after a cross-origin redirect; credentials are no longer
        sent
    :ivar shows_connected: False if the next connection only answers a challenge
    :ivar failure: ``(reason, exception, stage)`` of a ``ConnectFail``, once something
        has returned ``FAILED``
    :ivar observer: the :class:`~lomond.client.trace.Observer`, or None
    :ivar is_superseded: True once a later attempt has taken the place of this one
    :ivar addresses: the socket addresses that the current request may have reached
    :ivar has_custom_session: True if the session is not a ``WebsocketSession``
    """

    #: What :meth:`follow` returns for a second request that shows no events.
    SILENT = object()
    #: What it and :meth:`accepted` return if an object of the caller raised.
    FAILED = object()

    # Most WebSockets are connected before anything else is asked of them, and each
    # connection has an attempt of its own: the one of the constructor needs none.
    key, core = _Made('key'), _Made('core')
    # The observer's methods; None if nobody listens.
    on_event = on_sent = on_reply = on_received = report = None
    # What most attempts never change.
    session = target = pairs = answer = failure = observer = None
    feed_observer = None                # the observer while feed() has to report to it
    shown_url = ''
    left_origin = is_superseded = has_custom_session = False
    shows_connected = True
    addresses = ()
    _proxy = None
    _proxy_pairs = None                 # of proxy_headers, or None until they are needed
    _redirects = 0
    _step = None, None                  # the newest answer, and what it leads to

    def __init__(self, endpoint, running, hooks=NO_HOOKS, first_target=None):
        self.first_target = first_target
        self._endpoint = endpoint
        self._running = running
        self._hooks = hooks
        self._made = []                 # of (key, core)
        if endpoint.target is not None and not callable(endpoint.url):
            self.target = self.first_target = endpoint.target
            self.shown_url = endpoint.target.masked

    def _make_core(self):
        endpoint, hooks, key = self._endpoint, self._hooks, make_key()
        handshake = ClientHandshake(key, endpoint.offered_protocols, endpoint.deflate,
                                    hooks.on_response, hooks.process_extensions)
        return key, Connection(CLIENT, handshake, max_message_size=endpoint.max_message_size,
                               deflate=endpoint.deflate, stream_from=endpoint.stream_from)

    def set_first_target(self, target):
        """Set the URL of the first request."""
        self.target = self.first_target = target
        self.shown_url = target.masked
        if self.observer is not None:
            self.observer.url = target.masked

    @property
    def closing(self):
        """True while the connection is being closed."""
        return self.core.state.is_closing

    @property
    def closed(self):
        """True once the connection is over."""
        return self.core.state.is_closed

    # -- observers

    def listen(self):
        """Make the observer, if somebody listens; once."""
        if self.observer is not None:
            return
        self.observer = observer = make_observer(self._endpoint.trace, self.shown_url)
        if observer is not None:
            self.on_event, self.on_sent = observer.on_event, observer.on_sent
            self.on_reply, self.on_received = observer.on_reply, observer.on_received
            self.report = observer.report

    def emit(self, stage, **values):
        """Emit a trace record and a line of the log, if somebody listens."""
        if self.observer is not None:
            self.observer.emit(stage, **values)

    def begin_by_hand(self, settings):
        """Report the start of a custom session; others report it themselves."""
        self.has_custom_session = True
        self.feed_observer = self.observer
        self.emit('connect_start', **dict((name, settings[name]) for name in LOOP_SETTINGS))

    def end_by_hand(self):
        """Note the end of a custom session, once; what it calls next reports it."""
        observer, self.feed_observer = self.feed_observer, None
        if observer is not None:
            observer.note('disconnected')

    # -- the order of a connection

    def begin(self, session):
        """Note that the session's connection runs from now on.

        :raises WebSocketError: as for :meth:`check_begin`
        """
        self.check_begin(session)
        self._running.session = session

    def check_begin(self, session):
        """Make sure that the session's connection may begin.

        :raises WebSocketError: another one runs, a later attempt has superseded this
            one, or a group connects the WebSocket
        """
        group = self._running.group
        if group is not None and group() is not None and getattr(session, 'member', None) is None:
            raise errors.WebSocketError('the WebSocket is in a group, which connects it')
        if self._running.session is not None:
            raise errors.WebSocketError(ALREADY_RUNNING)
        if self.is_superseded or self.session is not session:
            raise errors.WebSocketError('superseded by a later connect() of this WebSocket')

    def is_running(self, session):
        """True from :meth:`begin` to :meth:`end`."""
        return self._running.session is session

    def end(self, session):
        """Note that the session's connection is over."""
        if self._running.session is session:
            self._running.session = None
            self._hooks = NO_HOOKS      # bound methods of the object that owns this one

    def prepare(self):
        """Call the callables and choose the proxy.

        :returns: None, or ``(reason, exception, stage)`` of a ``ConnectFail``
        """
        endpoint = self._endpoint
        try:
            prepare_request(endpoint, self)
            if self.target.is_secure:
                self.core.handshake.note_tls()
            self._proxy = None
            if endpoint.uds is None:
                if Route is None:
                    _import_network()
                if endpoint.proxies != NO_PROXIES:
                    self._proxy = select_proxy(endpoint.proxies, self.target, endpoint.proxy_variables)
            is_asked = self._proxy is not None and self._proxy.scheme.startswith('http')    # by CONNECT
            if is_asked and self._proxy_pairs is None:
                self._proxy_pairs = evaluate_headers(endpoint.proxy_headers, 'proxy_headers')
        except Exception as error:      # whatever a callable of the caller raises
            return ('unable to connect; ' + error_text(error), error, 'prepare')
        return None

    def route(self, session):
        """Return the :class:`~lomond.network.dialer.Route` for the dialer."""
        if Route is None:
            _import_network()
        endpoint = self._endpoint
        wrap = None
        if is_overridden(session, '_wrap_socket'):
            wrap = session._wrap_socket
        return Route(
            self.target, self._proxy, endpoint.uds, endpoint.source_address,
            endpoint.socket_options, self._tls, wrap, session.time_left, self.emit,
            self._running.experience, agent=endpoint.agent, proxy_headers=self._proxy_pairs or ())

    @property
    def _tls(self):
        """The TLS options for the current origin."""
        tls = self._endpoint.tls
        if self.left_origin:
            tls.update(cert=None, name=None)
        return tls

    def request(self):
        """Return the bytes to send; calls ``build_request`` if it is overridden."""
        return (self._hooks.build_request or self.build_request)()

    def build_request(self):
        """Return the request as bytes (RFC 6455, 4.1)."""
        return encode_handshake(self._endpoint, self)

    def check_response(self, response, process_extensions):
        """Judge the server's answer; see ``WebSocket.on_response``."""
        return self.core.handshake.check_response(response, process_extensions)

    def negotiate(self, extensions):
        """Set up the extensions; see ``WebSocket.process_extensions``."""
        return self.core.handshake.negotiate(extensions)

    # -- what an answer leads to

    def accepted(self, response):
        """Note that the server has accepted the connection.

        :returns: None, or ``FAILED``
        """
        if self._running.experience is not None:
            for address in self.addresses:
                self._running.experience.worked(address)
        try:
            if self._endpoint.cookies is not None:
                take_cookies(self._endpoint.cookies, response, self.target)
        except Exception as error:      # whatever a jar raises, perhaps one that is on disk
            return self._fail('the cookie jar', error)
        return None

    def _fail(self, what, error):
        reason = 'unable to connect; {} failed: {}'.format(what, error_text(error))
        self.failure = reason, without_frames(error), 'upgrade'
        return self.FAILED

    def blame_addresses(self):
        """Note that the connection ended before Ready, and not by a clear answer."""
        self._running.blame(self.addresses)

    def goes_on(self, response):
        """True if the answer is only a step on the way to another request."""
        return self._step_after(response)[0] is not None

    def follow(self, event):
        """Decide what a rejection leads to.

        :param Rejected event: its reason may be extended by a sentence
        :returns: None if this is the end; ``SILENT`` for a second request; ``FAILED``;
            else the URL to continue with
        """
        response = event.response
        step, value = self._step_after(response)
        if step == 'fail' or self.accepted(response) is self.FAILED:
            return self.FAILED
        if step is None:
            if not value and response.status_code in (401, 403) and drops_credentials(self._endpoint, self):
                value = 'credentials were dropped: a redirect led to another origin'
            if value:
                event.reason += '; ' + value
            return None
        if step == 'answer':
            self.answer = value
            self.shows_connected = False
            return self.SILENT
        if not same_origin(self.target, value):
            self.left_origin = True     # for good: a redirect back may be the attacker's, too
        self.answer = None
        self.target = value
        self._redirects += 1
        self.shows_connected = True
        return value.masked

    def _step_after(self, response):
        # Asked twice per answer, but a challenge may be answered only once: the nonce
        # is counted.
        if self._step[0] is not response:
            self._step = response, self._next_step(response)
        return self._step[1]

    def _next_step(self, response):
        """``(None, sentence)``, ``('answer', text)``, ``('redirect', Url)`` or
        ``('fail', FAILED)``.
        """
        try:
            answer = self._answer_challenge(response)
        except Exception as error:      # from an auth object of the caller
            return 'fail', self._fail('the auth object', error)
        if answer is not None:
            return 'answer', answer
        most = self._endpoint.max_redirects
        if response.status_code not in _REDIRECTS or not most:
            return None, ''
        if self._redirects >= most:
            return None, 'more than {} redirects (max_redirects)'.format(most)
        try:
            lines = response.header_lines('location')
            target = resolve_location(self.target, lines[0].encode('latin-1') if lines else None)
        except ValueError as error:
            return None, text_type(error)
        if self.target.is_secure and not target.is_secure:
            return None, 'redirect from wss to ws refused: {}'.format(escape(cut_query(target.masked)))
        if self._endpoint.uds is not None and not same_origin(self.target, target):
            return None, 'redirect to another origin refused: uds leads to the first one only'
        return 'redirect', target

    def _answer_challenge(self, response):
        """Return the ``Authorization`` that answers a 401, or None."""
        auth = self._endpoint.auth
        if response.status_code != 401 or not hasattr(auth, 'answer'):
            return None
        if self.answer is not None or self.left_origin:
            return None
        answer = check_text_header('its answer', b'Authorization', auth.answer(
            response.header_lines('www-authenticate'), 'GET', self.target.resource))
        if answer is not None and max(answer or '\0') > '\xff':
            raise ValueError('its answer has a character above U+00FF; each must be an octet')
        return answer

    def restart(self):
        """Begin a further request, with a fresh core and key.

        :meth:`prepare` is next.
        """
        self.key, self.core = self._make_core()

    def wrap_socket(self, sock, host):
        """Return a TLS socket over a blocking socket, set up as by the dialer."""
        from ..network import tls_context
        tls = self._tls
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
    """True if a subclass, or the object itself, has a method of its own."""
    method = getattr(session, name)
    return not getattr(method, 'is_default', False)
