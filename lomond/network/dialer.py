"""Make a connection: resolve names, connect, pass the proxy, start TLS.

Connecting is a generator of waits. Each step sets what it waits for (``waits``,
``deadline``), yields, and is resumed with what is ready (``ready``); none blocks. So a
blocking loop, a loop over many sockets, and asyncio can drive the same code.

Knows nothing of: WebSockets, events.
"""

from __future__ import absolute_import, division, unicode_literals

import socket

from .. import errors
from .._compat import OS_ERRORS, error_text, imap, text_type, without_frames
from . import tls_context
from .happy_eyeballs import Race
from .poller import READ
from .proxy_handshake import make_proxy_handshake
from .resolver import look_up, numeric_address
from .stream import PlainStream
from .tls_errors import describe_handshake_error
from .tls_stream import TlsInTlsStream, TlsStream, as_stream
from .url import is_ip_address, parse_host

_UNABLE = 'unable to connect'
_UNABLE_PROXY = 'unable to connect to proxy'
_PROXY_FAIL = 'proxy fail'
#: How long to wait for the body of a proxy's refusal (seconds).
_BODY_WAIT = 1.0
#: How long a proxy may take to close after a 407, without having said so, for the next
#: request to go to another connection (seconds).  Later, only a reset tells that it did
#: not get the request.
_CLOSING_WAIT = 0.05


class DialFail(errors.ConnectFail):
    """Raised when no connection could be made.

    :ivar stage: as in :class:`~lomond.events.ConnectFail`
    :ivar error: the exception behind it, or None
    :ivar response: the :class:`~lomond.response.Response` of a proxy that refused, or
        None
    :ivar blames_address: True if another address may be of more use
    """

    # Pickle calls it with the text only.
    def __init__(self, text, stage=None, error=None, response=None, blames_address=False):
        super(DialFail, self).__init__(text)
        self.stage = stage
        self.error = error
        self.response = response
        self.blames_address = blames_address


class Route(object):
    """Where to connect, and which way.

    :param Url url: the server
    :param proxy: :class:`~lomond.network.proxy_settings.ProxyUrl`, or None
    :param uds: path of a Unix domain socket, or None
    :param source_address: ``(host, port)`` to bind, or None
    :param socket_options: list of ``(level, name, value)``
    :param dict tls: ``verify``, ``cafile``, ``context``, ``cert``, ``fingerprint``;
        ``name``: the name of the server's certificate, if it is not the URL's host
    :param wrap: ``wrap(sock, host)``, which starts TLS with the server on a blocking
        socket; None for the default
    :param time_left: returns the timeout for that socket: seconds or None
    :param emit: ``emit(stage, **values)``, called with trace records
    :param experience: the :class:`~lomond.network.happy_eyeballs.Experience` with
        earlier attempts, or None
    :param agent: the ``User-Agent`` of CONNECT, text; None for the default
    :param proxy_headers: pairs of bytes, for CONNECT
    """

    def __init__(self, url, proxy=None, uds=None, source_address=None, socket_options=(),
                 tls=None, wrap=None, time_left=lambda: None, emit=lambda stage, **values: None,
                 experience=None, agent=None, proxy_headers=()):
        self.url = url
        self.proxy = proxy
        self.uds = uds
        self.source_address = source_address
        self.socket_options = socket_options or ()
        self.tls = tls or {}
        self.wrap = wrap
        self.time_left = time_left
        self.emit = emit
        self.experience = experience
        self.agent = agent
        self.proxy_headers = proxy_headers


class Dial(object):
    """One attempt to connect; a driver iterates :meth:`steps` to their end.

    :param Route route: where to connect
    :param waiting: has ``monotonic()`` and ``wake()``
    :param forget: called with each descriptor that was in ``waits`` before it is
        closed, except by :meth:`close`
    :ivar waits: after a yield, the ``((fileno, READ | WRITE), ...)`` to wait for
    :ivar deadline: after a yield, when to resume even if nothing is ready (monotonic),
        or None
    :ivar ready: what is ready; set by the driver before it resumes
    :ivar stage: as in :class:`~lomond.events.ConnectFail`
    :ivar stream: the result: connected, TLS included
    :ivar problem: how the reason begins if the attempt fails now
    :ivar proxy: URL of the proxy without credentials, or None
    :ivar surplus: bytes received after the proxy's answer
    """

    def __init__(self, route, waiting, forget=lambda fd: None):
        self.waits = ()
        self.deadline = None
        self.ready = ()
        self.stage = 'prepare'
        self.stream = None
        self.surplus = b''
        self.proxy = None if route.proxy is None or route.uds else route.proxy.safe
        self.problem = _UNABLE if self.proxy is None else _UNABLE_PROXY
        self._route = route
        self._waiting = waiting
        self._forget = forget
        self._race = None
        self._lookups = []          # the one that is waited for
        self._is_connected = False
        self._addresses = None      # result of the latest lookup
        self._handshake = None      # with the proxy
        self._sources = None        # addresses to bind, or None
        self._server_name = None    # whose certificate the server must have

    def steps(self):
        """Run all steps; yield whenever one must wait.

        :raises DialFail: if a step fails
        """
        route, url = self._route, self._route.url
        proxy = None if route.uds else route.proxy
        try:
            server_context, proxy_context = None, None
            if url.is_secure or proxy is not None:
                server_context, proxy_context = self._make_contexts(proxy)
            for _ in self._open_socket(proxy):
                yield
            if proxy is not None:
                for _ in self._open_tunnel(proxy, proxy_context):
                    yield
            self.problem = _UNABLE
            if url.is_secure:
                self.stage = 'tls'
                if self.surplus:
                    raise DialFail('{}; {} bytes came from the proxy before TLS began'.format(
                        self.problem, len(self.surplus)), 'tls')
                for _ in self._start_tls(server_context, self._server_name, True):
                    yield
            self.stage = 'upgrade'
        except DialFail as fail:
            if fail.stage != 'prepare':
                fail.args = (self.explain(text_type(fail)),)
            raise

    def explain(self, reason):
        """Name the environment variable in a reason that is about its proxy."""
        if self.problem in (_UNABLE_PROXY, _PROXY_FAIL):
            return self._route.proxy.explain(reason)
        return reason

    def details(self):
        """Return the addresses that have not connected, with errors; may be empty."""
        return self._race.details() if self._race is not None and self.stage == 'connect' else ''

    def give_up(self):
        """End the attempt because its time is up: a refusal need not be complete.

        :raises DialFail: if the proxy has refused, and only the rest of the body is
            missing
        """
        if self._handshake is not None and self._handshake.awaits_body:
            try:
                self._handshake.finish_body()
            except errors.ProxyFail as error:
                fail = self._refusal(error)
                fail.args = (self.explain(text_type(fail)),)
                raise fail

    @property
    def dialed(self):
        """The address of the connection, or those that were tried, as texts."""
        race = self._race
        if race is None:
            return ()
        return tuple(race.tried) if race.winner_text is None else (race.winner_text,)

    @property
    def suspects(self):
        """The socket addresses of the connection, or of attempts without an answer."""
        return self._race.suspects if self._race is not None and not self._route.uds else ()

    def close(self):
        """Close everything that is open, including ``stream``."""
        if self._race is not None:
            self._race.close()
        for lookup in self._lookups:
            lookup.leave(self._waiting.wake)
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        elif self._race is not None and self._race.winner is not None and not self._is_connected:
            self._race.winner.close()       # Ctrl-C came before it had become the stream

    # -- before anything is opened

    def _make_contexts(self, proxy):
        """Make TLS contexts first: unreadable files show before a packet is sent."""
        route, url, tls = self._route, self._route.url, self._route.tls
        for_server = for_proxy = None
        secure_proxy = proxy is not None and proxy.scheme == 'https'
        try:
            name = tls.get('name')
            self._server_name = url.host if name is None else parse_host(name, 'server_hostname')
            if url.is_secure and route.wrap is None:
                for_server = tls.get('context') or tls_context.make_context(
                    tls.get('verify', True), tls.get('cafile'), tls.get('cert'),
                    tls.get('fingerprint'), host=self._server_name)
            if secure_proxy:
                for_proxy = tls.get('context') or tls_context.make_context(
                    tls.get('verify', True), tls.get('cafile'), host=proxy.host)
        except Exception as error:      # OSError, ssl.SSLError, ValueError from the caller's files
            raise DialFail('{}; {}'.format(_UNABLE, error_text(error)), 'prepare',
                           getattr(error, 'error', None) or error)
        if secure_proxy and url.is_secure:
            if route.wrap is not None:
                raise DialFail(proxy.explain(_UNABLE + '; an overridden _wrap_socket cannot be used '
                                             'through an https proxy'), 'prepare')
            import ssl
            if not hasattr(ssl, 'MemoryBIO'):
                raise DialFail(proxy.explain(_UNABLE + '; wss through an https proxy needs Python 3.5 '
                                             'or newer (TLS inside TLS)'), 'prepare')
        return for_server, for_proxy

    # -- names and TCP, or a Unix domain socket

    def _open_socket(self, proxy):
        """Set ``stream`` to a connection to the server, or to its proxy."""
        route, url = self._route, self._route.url
        if not route.uds:
            if route.source_address is not None:
                for _ in self._resolve_source(*route.source_address):
                    yield
            host, port = (url.host, url.port) if proxy is None else (proxy.host, proxy.port)
            self._addresses = numeric_address(host, port)
            if self._addresses is None:
                for _ in self._resolve(host, port):
                    yield
        is_tls = url.is_secure if proxy is None else proxy.scheme == 'https'
        for _ in self._connect(None if route.uds else self._addresses, is_tls):
            yield

    def _resolve(self, host, port):
        """Set ``_addresses`` to what ``getaddrinfo`` returns."""
        self.stage = 'resolve'
        try:
            lookup = self._look_up(host, port)
        except Exception as error:      # TooManyLookups; a name that is not allowed
            raise DialFail('{}; {}'.format(self.problem, error_text(error)), 'resolve', error)
        if lookup.has_blocked:          # the time limit could not end it, but counts now
            self.waits, self.deadline = (), self._waiting.monotonic()
            yield
        self.waits, self.deadline = (), None
        while not lookup.is_done:
            yield
            if lookup.is_dropped:       # by another caller, who was interrupted
                lookup = self._look_up(host, port)
        del self._lookups[:]
        if lookup.error is not None:
            raise DialFail('{}; {}'.format(self.problem, error_text(lookup.error)), 'resolve',
                           lookup.error)
        self._addresses = lookup.addresses

    def _look_up(self, host, port):
        # A call and a store in one step: Ctrl-C between them would leave it registered.
        self._lookups.extend(imap(look_up, (host,), (port,), (self._waiting.wake,)))
        return self._lookups[-1]

    def _resolve_source(self, host, port):
        """Set ``_sources``; bind() itself would look up a name without a time limit."""
        if not host:                        # any address of this machine
            self._sources = [(family, 0, 0, '', ('', port))
                             for family in (socket.AF_INET, getattr(socket, 'AF_INET6', None))]
            return
        problem, self.problem = self.problem, _UNABLE + '; source_address'
        for _ in self._resolve(host, port):
            yield
        self.problem = problem
        self._sources = self._addresses

    def _connect(self, addresses, is_tls=False):
        """Connect to the first address that answers, or to the Unix domain socket."""
        self.stage = 'connect'
        route = self._route
        race = self._race = Race(self._waiting.monotonic, route.socket_options, self._sources,
                                 'the TLS handshake' if is_tls else None, self._forget,
                                 looks=route.proxy is None and not is_tls)
        steps = race.unix_steps(route.uds) if addresses is None else (
            race.steps(addresses, route.experience))
        for _ in steps:
            self.waits, self.deadline = race.waits, race.deadline
            yield
            race.ready = self.ready
        self.waits, self.deadline = (), None
        if race.winner is None:
            raise DialFail('{}; {}'.format(self.problem, race.details() or 'the name has no address'),
                           'connect', race.error)
        self.stream = PlainStream(race.winner, is_set_up=True)
        self._is_connected = True

    # -- the proxy

    def _open_tunnel(self, proxy, context):
        """Do the proxy's handshake, after which ``stream`` leads to the server."""
        url = self._route.url
        target = url.host
        if proxy.resolves_here and not is_ip_address(target):
            problem, self.problem = self.problem, _UNABLE
            for _ in self._resolve(target, url.port):
                yield
            target = _pick_address(self._addresses)
            self.problem = problem
        self.stage = 'proxy'
        for _ in self._start_proxy_tls(proxy, context):
            yield
        try:
            self._handshake = make_proxy_handshake(
                proxy, target, url.port, self._route.agent, self._route.proxy_headers)
            for _ in self._carry(self._handshake):
                yield
            if self._handshake.needs_connection:
                # The second CONNECT, which answers a challenge.
                self._forget(self.stream.fileno())
                self.stream.close()
                self.stream, self.problem = None, _UNABLE_PROXY
                for _ in self._connect(self._addresses, context is not None):
                    yield
                self.stage = 'proxy'
                for _ in self._start_proxy_tls(proxy, context):
                    yield
                self._handshake.needs_connection = False
                for _ in self._carry(self._handshake):
                    yield
        except (errors.ProxyFail, ValueError) as error:
            raise self._refusal(error)
        except OS_ERRORS as error:
            raise DialFail('proxy fail; ' + error_text(error), 'proxy', error, blames_address=True)
        self.surplus = self._handshake.surplus

    def _refusal(self, error):
        text, response = text_type(error), getattr(self._handshake, 'response', None)
        is_clear = response is not None or text.startswith('proxy fail; SOCKS')
        return DialFail(text, 'proxy', error, response,
                        blames_address=isinstance(error, errors.ProxyFail) and not is_clear)

    def _start_proxy_tls(self, proxy, context):
        if context is not None:
            for _ in self._start_tls(context, proxy.host, False):
                yield
        self.problem = _PROXY_FAIL

    def _carry(self, handshake):
        """Carry bytes between the proxy's handshake and the stream, until it is done or
        needs another connection."""
        stream = self.stream
        received = memoryview(bytearray(16 * 1024))
        outgoing = b''
        broken = give_up_at = None
        while not handshake.needs_connection:
            self.deadline = None
            if handshake.awaits_body:
                outgoing, now = b'', self._waiting.monotonic()
                self.deadline = give_up_at = give_up_at or now + _BODY_WAIT
                if now >= give_up_at:
                    handshake.finish_body()
                    continue
            if not outgoing:
                outgoing = handshake.take_outgoing()
                if outgoing and handshake.is_second:
                    quiet_until = self._waiting.monotonic() + _CLOSING_WAIT
                    self.waits, self.deadline = ((stream.fileno(), READ),), quiet_until
                    has_news = _has_news(stream, received)
                    while not has_news and self._waiting.monotonic() < quiet_until:
                        yield
                        has_news = _has_news(stream, received)
                    if has_news:
                        handshake.repeat()
                        return
                    self.deadline = None
            try:
                sent = stream.send(outgoing) if outgoing else None
            except OS_ERRORS as error:          # an answer may have arrived before
                outgoing, broken, sent = b'', without_frames(error), None
            if sent:
                outgoing = outgoing[sent:]
                continue
            if handshake.is_done and not outgoing:
                return
            try:
                count = stream.recv_into(received)
            except OS_ERRORS as error:
                if not handshake.awaits_body and not handshake.is_second:
                    raise
                count, broken = 0, without_frames(error)
            if count is None:
                mask = stream.recv_wants | (stream.send_wants if outgoing else 0)
                self.waits = ((stream.fileno(), mask),)
                yield
            elif count:
                handshake.receive(received[:count])
            elif handshake.is_second and broken is not None:
                handshake.repeat()              # the proxy closed before it got the request
            elif broken is not None and not handshake.awaits_body:
                raise broken
            else:
                handshake.receive_eof()         # raises, unless another connection helps

    # -- TLS

    def _start_tls(self, context, host, is_server):
        """Start TLS over the stream, with the server or with an https proxy."""
        route = self._route
        tls = route.tls
        is_callers = tls.get('context') is not None
        is_overridden = is_server and route.wrap is not None
        route.emit('tls_wrapped', verify=bool(tls.get('verify', True)), has_context=is_callers,
                   cafile=tls.get('cafile'))
        try:
            if is_overridden:
                self._wrap_by_override(host)
                if not self.stream.is_tls:
                    return
            else:
                self._wrap(context, tls_context.server_name(context, host, is_callers))
            stream = self.stream
            while True:
                wanted = stream.handshake()
                if wanted is None:
                    break
                self.waits = ((stream.fileno(), wanted),)
                yield
            if not is_overridden:
                tls_context.verify_peer(
                    stream.ssl_object, host, tls.get('verify', True),
                    tls.get('fingerprint') if is_server else None, is_callers)
        except Exception as error:      # ssl.SSLError, CertificateError (a ValueError), OSError ...
            text, is_lost = describe_handshake_error(error, host)
            if 'timed out' in text:     # from a blocking handshake: does not say which step
                text = '{}: {}'.format(self.stage, text)
            raise DialFail('{}; {}'.format(self.problem, text), self.stage,
                           getattr(error, 'error', None) or error,
                           blames_address=is_lost or 'speak TLS' in text or 'timed out' in text)
        self.waits = ()

    def _wrap(self, context, server_name):
        if self.stream.is_tls:
            self.stream = TlsInTlsStream(context, self.stream, server_name)
        else:
            self.stream = TlsStream(context.wrap_socket(
                self.stream.sock, server_hostname=server_name, do_handshake_on_connect=False))

    def _wrap_by_override(self, host):
        """Let an overridden ``_wrap_socket`` start TLS on a blocking socket."""
        sock = self.stream.sock
        self._forget(sock.fileno())     # it may be closed there, or come back in another object
        sock.settimeout(self._route.time_left())
        self.stream.sock = sock = self._route.wrap(sock, host)
        self.stream = as_stream(sock)


def _has_news(stream, buffer):
    """Return True if the peer has sent something, or has closed."""
    try:
        return stream.recv_into(buffer) is not None
    except OS_ERRORS:
        return True


def _pick_address(addresses):
    """Pick the address for a SOCKS proxy: IPv4 if possible, all that SOCKS 4 knows."""
    return sorted(addresses, key=lambda address: address[0] != socket.AF_INET)[0][4][0]
