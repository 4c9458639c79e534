"""How a connection comes about: names, addresses, proxies, TLS; a generator of waits.

It must not know WebSockets.  Each step sets what it waits for (``waits``, ``deadline``), yields,
and is resumed when something of it is ready (``ready``); none blocks.  So a blocking loop, a
loop over many sockets, and asyncio can drive the same code.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import socket

from . import errors, trust
from .compat import OS_ERRORS, error_number, error_text, is_in_progress, set_cloexec, text_type
from .proxy import make_conversation
from .resolver import TooManyLookups, look_up
from .transport import PlainStream, TlsInTlsStream, TlsStream, as_stream
from .url import bracketed, is_ip_address
from .waiting import WRITE

#: RFC 8305, section 5: the time between two connection attempts (seconds).
ATTEMPT_DELAY = 0.25

_SERVER = 'unable to connect'
_PROXY = 'unable to connect to proxy'


class DialFail(errors.ConnectFail):
    """No connection came about.

    :ivar stage: as in :class:`~lomond.events.ConnectFail`
    :ivar error: the exception behind it, or None
    """

    def __init__(self, text, stage, error=None):
        super(DialFail, self).__init__(text)
        self.stage = stage
        self.error = error


class Route(object):
    """Where to, and by which way.

    :param Url url: the server
    :param proxy: a :class:`~lomond.proxy.ProxyUrl`, or None
    :param uds: path of a Unix domain socket, or None
    :param source_address: ``(host, port)`` to bind, or None
    :param socket_options: list of ``(level, name, value)``
    :param dict tls: ``verify``, ``cafile``, ``context``, ``cert``, ``fingerprint``
    :param wrap: None, or ``wrap(sock, host)`` for TLS with the server, on a blocking socket
    :param time_left: called for the timeout of that socket: seconds or None
    :param emit: ``emit(stage, **values)`` for trace records
    """

    def __init__(self, url, proxy=None, uds=None, source_address=None, socket_options=(),
                 tls=None, wrap=None, time_left=lambda: None, emit=lambda stage, **values: None):
        self.url = url
        self.proxy = proxy
        self.uds = uds
        self.source_address = source_address
        self.socket_options = socket_options or ()
        self.tls = tls or {}
        self.wrap = wrap
        self.time_left = time_left
        self.emit = emit


class Dial(object):
    """One connection in the making; a driver iterates :meth:`steps` to its end.

    :param Route route: where to
    :param waiting: ``monotonic()`` and ``wake()``
    :ivar waits: ``((fileno, READ | WRITE), ...)`` to wait for, while it has yielded
    :ivar deadline: when to resume it though nothing is ready (monotonic), or None
    :ivar ready: set by the driver before it resumes
    :ivar stage: of :class:`~lomond.events.ConnectFail`
    :ivar stream: the result, connected, TLS included
    :ivar proxy: URL of the proxy without credentials, or None
    :ivar surplus: bytes that came behind the proxy's answer
    """

    def __init__(self, route, waiting):
        self.waits = ()
        self.deadline = None
        self.ready = ()
        self.stage = 'prepare'
        self.stream = None
        self.surplus = b''
        self.proxy = None if route.proxy is None or route.uds else route.proxy.safe
        self.problem = _SERVER if self.proxy is None else _PROXY
        self._route = route
        self._waiting = waiting
        self._socks = {}            # fileno -> (socket, address text): attempts under way
        self._tried = []            # texts: each address with its error
        self._lookup = None

    def steps(self):
        """Do it all; yields whenever it has to wait.

        :raises DialFail: with its stage
        """
        route, url = self._route, self._route.url
        proxy = None if route.uds else route.proxy
        server_context, proxy_context = self._prepare(proxy)
        if route.uds:
            for _ in self._connect_uds(route.uds):
                yield
        else:
            host, port = (url.host, url.port) if proxy is None else (proxy.host, proxy.port)
            for _ in self._resolve(host, port):
                yield
            for _ in self._race(self._addresses):
                yield
        if proxy is not None:
            for _ in self._pass_proxy(proxy, proxy_context):
                yield
        self.problem = _SERVER
        if url.is_secure:
            self.stage = 'tls'
            if self.surplus:
                raise DialFail('{}; {} bytes came from the proxy before TLS began'.format(
                    self.problem, len(self.surplus)), 'tls')
            for _ in self._begin_tls(server_context, url.host, True):
                yield
        self.stage = 'upgrade'

    def details(self):
        """What is known of the addresses that did not answer, for a reason; may be empty."""
        under_way = [text for _, text in self._socks.values()]
        return ', '.join(self._tried + [text + ' no answer' for text in under_way])

    def close(self):
        """Drop what has not become the result."""
        for sock, _ in self._socks.values():
            sock.close()
        self._socks.clear()
        if self._lookup is not None:
            self._lookup.leave(self._waiting.wake)
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    # -- before anything is opened

    def _prepare(self, proxy):
        """TLS contexts: files that cannot be read show before a packet is sent."""
        route, url, tls = self._route, self._route.url, self._route.tls
        server = through = None
        secure_proxy = proxy is not None and proxy.scheme == 'https'
        try:
            if url.is_secure and route.wrap is None:
                server = tls.get('context') or trust.make_context(
                    tls.get('verify', True), tls.get('cafile'), tls.get('cert'),
                    tls.get('fingerprint'), host=url.host)
            if secure_proxy:
                through = tls.get('context') or trust.make_context(
                    tls.get('verify', True), tls.get('cafile'), host=proxy.host)
        except Exception as error:      # OSError, ssl.SSLError, ValueError: of the caller's files
            raise DialFail('{}; {}'.format(_SERVER, error_text(error)), 'prepare',
                           getattr(error, 'error', None) or error)
        if secure_proxy and url.is_secure:
            if route.wrap is not None:
                raise DialFail(_SERVER + '; an overridden _wrap_socket cannot be used through an '
                               'https proxy', 'prepare')
            import ssl
            if not hasattr(ssl, 'MemoryBIO'):
                raise DialFail(_SERVER + '; wss through an https proxy needs Python 3.5 or newer '
                               '(TLS inside of TLS)', 'prepare')
        return server, through

    # -- names

    def _resolve(self, host, port):
        """Sets ``_addresses``, what ``getaddrinfo`` returns."""
        self.stage = 'resolve'
        try:
            if is_ip_address(host.split('%')[0]):       # no look-up, no thread
                self._addresses = socket.getaddrinfo(str(host), port, 0, socket.SOCK_STREAM)
                return
            lookup = self._lookup = look_up(host, port, self._waiting.wake)
        except TooManyLookups as error:
            raise DialFail('{}; {}'.format(self.problem, error), 'resolve', error)
        except Exception as error:      # gaierror; no more threads
            raise DialFail('{}; {}'.format(self.problem, error_text(error)), 'resolve', error)
        self.waits, self.deadline = (), None
        while not lookup.is_done:
            yield
        self._lookup = None
        if lookup.error is not None:
            raise DialFail('{}; {}'.format(self.problem, error_text(lookup.error)), 'resolve',
                           lookup.error)
        self._addresses = lookup.addresses

    # -- TCP

    def _connect_uds(self, path):
        self.stage = 'connect'
        family = getattr(socket, 'AF_UNIX', None)
        if family is None:
            raise DialFail(_SERVER + '; this system has no Unix domain sockets', 'connect')
        for _ in self._race([(family, socket.SOCK_STREAM, 0, '', path)]):
            yield

    def _race(self, addresses):
        """Happy eyeballs (RFC 8305, section 5): the first connection that stands wins."""
        self.stage = 'connect'
        clock = self._waiting.monotonic
        queue = collections.deque(_interleaved(addresses))
        next_at = clock()
        last_error = None
        while self.stream is None:
            now = clock()
            while queue and (not self._socks or now >= next_at):
                error = self._attempt(queue.popleft())
                if self.stream is not None:
                    break
                if error is None:
                    next_at = now + ATTEMPT_DELAY
                else:
                    last_error = error
            if self.stream is not None:
                break
            if not self._socks:
                raise DialFail('{}; {}'.format(
                    self.problem, ', '.join(self._tried) or 'the name has no address'),
                    'connect', last_error)
            self.waits = tuple((fd, WRITE) for fd in self._socks)
            self.deadline = next_at if queue else None
            yield
            for fd, _ in self.ready:
                if fd in self._socks:
                    error = self._look_at(fd)
                    if self.stream is not None:
                        break
                    if error is not None:
                        last_error = error
                        next_at = clock()       # a refusal starts the next at once
        for sock, _ in self._socks.values():
            sock.close()
        self._socks.clear()
        self.waits, self.deadline = (), None

    def _attempt(self, address):
        """Begin to connect: None, or the exception why not."""
        family, kind, number, _, where = address
        text = _address_text(family, where)
        sock = None
        try:
            sock = socket.socket(family, kind, number)
            set_cloexec(sock.fileno())
            sock.setblocking(False)
            if family in (socket.AF_INET, getattr(socket, 'AF_INET6', None)):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for option in self._route.socket_options:
                sock.setsockopt(*option)
            if self._route.source_address is not None and where is not self._route.uds:
                sock.bind(self._route.source_address)
            sock.connect(where)
        except OS_ERRORS as error:
            if sock is not None and is_in_progress(error):
                self._socks[sock.fileno()] = (sock, text)
                return None
            if sock is not None:
                sock.close()
            self._tried.append('{} {}'.format(text, _lower(error_text(error))))
            return error
        except BaseException:               # a socket option of the wrong type
            if sock is not None:
                sock.close()
            raise
        self.stream = PlainStream(sock)
        return None

    def _look_at(self, fd):
        """An attempt is ready: it stands (None), is refused (the exception), or is not yet done."""
        sock, text = self._socks[fd]
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        error = None
        if number:
            error = _os_error(number)
        else:
            try:
                sock.getpeername()
            except OS_ERRORS as caught:     # ready, no error, and not connected: it was a rumour
                if not _is_not_connected(caught):
                    error = caught
                else:
                    return None
        del self._socks[fd]
        if error is not None:
            sock.close()
            self._tried.append('{} {}'.format(text, _lower(error_text(error))))
            return error
        self.stream = PlainStream(sock)
        return None

    # -- the proxy

    def _pass_proxy(self, proxy, context):
        url = self._route.url
        host = url.host
        if proxy.resolves_here and not is_ip_address(host):
            problem, self.problem = self.problem, _SERVER
            for _ in self._resolve(host, url.port):
                yield
            host = _pick_address(self._addresses, proxy.scheme)
            self.problem = problem
        self.stage = 'proxy'
        if context is not None:
            for _ in self._begin_tls(context, proxy.host, False):
                yield
        self.problem = 'proxy fail'
        try:
            conversation = make_conversation(proxy, host, url.port)
            for _ in self._converse(conversation):
                yield
        except (errors.ProxyFail, ValueError) as error:
            raise DialFail(text_type(error), 'proxy', error)
        except OS_ERRORS as error:
            raise DialFail('proxy fail; ' + error_text(error), 'proxy', error)
        self.surplus = conversation.surplus

    def _converse(self, conversation):
        stream = self.stream
        place = memoryview(bytearray(16 * 1024))
        outgoing = b''
        while True:
            outgoing = outgoing or conversation.take_outgoing()
            sent = stream.send(outgoing) if outgoing else None
            if sent:
                outgoing = outgoing[sent:]
                continue
            stream.flush()
            if conversation.is_done and not outgoing:
                return
            count = stream.recv_into(place)
            if count is None:
                mask = stream.recv_wants | (stream.send_wants if outgoing else 0)
                self.waits = ((stream.fileno(), mask),)
                yield
            elif count == 0:
                conversation.receive_eof()
                return
            else:
                conversation.receive(place[:count])

    # -- TLS

    def _begin_tls(self, context, host, is_server):
        """TLS on top of the stream, with the server or with an https proxy."""
        route = self._route
        tls = route.tls
        own = tls.get('context') is None
        route.emit('tls_wrapped', verify=bool(tls.get('verify', True)), has_context=not own,
                   cafile=tls.get('cafile'))
        try:
            if is_server and route.wrap is not None:
                sock = self.stream.sock
                sock.settimeout(route.time_left())
                self.stream.sock = sock = route.wrap(sock, host)
                self.stream = as_stream(sock)
                if not self.stream.is_tls:
                    return
            else:
                name = trust.server_name(context, host, not own)
                if self.stream.is_tls:
                    self.stream = TlsInTlsStream(context, self.stream, name)
                else:
                    self.stream = TlsStream(context.wrap_socket(
                        self.stream.sock, server_hostname=name, do_handshake_on_connect=False))
            stream = self.stream
            while True:
                wanted = stream.handshake()
                if wanted is None:
                    break
                self.waits = ((stream.fileno(), wanted),)
                yield
            if route.wrap is None or not is_server:
                trust.verify_peer(
                    stream.ssl_object, host, tls.get('verify', True),
                    tls.get('fingerprint') if is_server else None, not own)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except Exception as error:      # ssl.SSLError, CertificateError (a ValueError), OSError ...
            raise DialFail('{}; {}'.format(self.problem, trust.describe_error(error, host)),
                           self.stage, getattr(error, 'error', None) or error)
        self.waits = ()


def _interleaved(addresses):
    """Alternate the families, the resolver's favourite first (RFC 8305, section 4)."""
    families = []
    for address in addresses:
        for group in families:
            if group[0][0] == address[0]:
                group.append(address)
                break
        else:
            families.append([address])
    result = []
    for at in range(max([len(group) for group in families] or [0])):
        result.extend(group[at] for group in families if at < len(group))
    return result


def _address_text(family, where):
    if isinstance(where, tuple):
        return '{}:{}'.format(bracketed(where[0]), where[1])
    return '{}'.format(where)


def _pick_address(addresses, scheme):
    """The address for a SOCKS proxy: IPv4 where there is one (SOCKS 4 knows nothing else)."""
    for family in (socket.AF_INET, getattr(socket, 'AF_INET6', None)):
        for address in addresses:
            if address[0] == family:
                return address[4][0]
    raise errors.ProxyFail('proxy fail; the name has no address that {} can carry', scheme)


def _os_error(number):
    import os
    return socket.error(number, os.strerror(number))


def _is_not_connected(error):
    import errno
    return error_number(error) == errno.ENOTCONN


def _lower(text):
    """The system's sentence inside of ours."""
    return text[:1].lower() + text[1:]

