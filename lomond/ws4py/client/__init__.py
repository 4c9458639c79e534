"""The client of ws4py without a thread of its own.

Knows nothing of: threads, managers, frameworks.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket

from ..._compat import OS_ERRORS, native, to_text
from ...network.url import parse_url
from .._links import ClientLink, FilteredLink, Link
from ..exc import HandshakeError
from ..websocket import WebSocket

#: Seconds for the closing handshake.
CLOSE_TIMEOUT = 10.0


class WebSocketBaseClient(WebSocket):
    """A client: call :meth:`connect`, then ``run()``, or give it to a manager.

    :param url: ``ws://``, ``wss://``, or ``ws+unix:///path/to/socket``
    :param protocols: list of the subprotocols to offer
    :param extensions: list; ``'permessage-deflate'`` offers compression, other names
        are ignored
    :param heartbeat_freq: seconds between two pings, each of which must be answered
        within twice that time; None for no pings
    :param ssl_options: a dict: ``ca_certs`` (path of a PEM bundle), ``certfile``,
        ``keyfile``, and ``cert_reqs``: ``ssl.CERT_NONE`` turns the checks of
        certificate and host name off
    :param headers: list of pairs, sent with the request
    :param exclude_headers: names of headers that are not sent
    :raises ValueError: if the URL cannot be used

    :ivar resource: path and query of the request; may be set before :meth:`connect`
    """

    _ours = 'client_terminated'

    def __init__(self, url, protocols=None, extensions=None, heartbeat_freq=None, ssl_options=None,
                 headers=None, exclude_headers=None):
        super(WebSocketBaseClient, self).__init__(Link(), protocols, extensions, None, heartbeat_freq)
        self.url = url
        self.ssl_options = ssl_options or {}
        self.extra_headers = headers or []
        self.exclude_headers = [name.lower() for name in exclude_headers or []]
        self.unix_socket_path = None
        self._parse()

    def _parse(self):
        scheme, _, rest = to_text(self.url).partition(':')
        self.scheme, self.host, self.port = native(scheme), 'localhost', None
        if scheme in ('ws+unix', 'wss+unix'):
            path, mark, query = rest.partition('?')
            if not path.startswith('///'):
                raise ValueError("URL '{}' has no path of a socket, as in ws+unix:///path".format(self.url))
            self.unix_socket_path = path[2:]
            self.resource = '/' + mark + query
        elif scheme in ('ws', 'wss'):
            url = parse_url(to_text(self.url))
            self.host, self.port, self.resource = url.host, url.port, url.resource
        else:
            raise ValueError("URL '{}' has the scheme '{}'; ws, wss, ws+unix and wss+unix are allowed".format(
                self.url, scheme))

    @property
    def bind_addr(self):
        """The path of the Unix domain socket, or ``(host, port)``."""
        return self.unix_socket_path or (self.host, self.port)

    def handshake_ok(self):
        """Called in :meth:`connect` once the connection is open; calls ``opened()``.
        """
        self._open()

    def connect(self):
        """Connect, and complete the opening handshake.

        :raises ~lomond.ws4py.exc.HandshakeError: if the server refuses, or its answer
            is not one
        :raises OSError: if there is no connection
        :raises RuntimeError: if that was done before
        """
        if self._link is not None:
            raise RuntimeError('connect() may be called once only')
        link = self._socket.websocket = self._make_link()
        timeout = self._socket.timeout
        link.begin(ping_rate=None, close_timeout=CLOSE_TIMEOUT,
                   **({} if timeout is None else {'connect_timeout': timeout}))
        try:
            self._shake_hands(link)
        except BaseException:
            self._has_ended = self.client_terminated = self.server_terminated = True
            self.sock = None
            link.end()
            raise
        try:
            self.handshake_ok()
        except BaseException:
            self._fail()
            raise

    def _shake_hands(self, link):
        for event in iter(link._next_event, None):
            if event.name == 'ready':
                self.protocols = [native(event.protocol)] if event.protocol else []
                self.extensions = sorted(native(name) for name in event.extensions)
                return
            if event.name == 'rejected':
                raise HandshakeError(event.reason)
            if event.name == 'connect_fail':
                if isinstance(event.error, OS_ERRORS):
                    raise event.error
                raise socket.error(errno.ECONNABORTED, native(event.reason))
            if event.name == 'disconnected':
                raise HandshakeError(event.reason)

    def _make_link(self):
        origin, headers, protocols = None, [], [to_text(name) for name in self.protocols or ()]
        for name, value in self.extra_headers:
            name, value = to_text(name), to_text(value)
            if name.lower() == 'origin':
                origin = value
            elif name.lower() == 'sec-websocket-protocol':
                protocols += [element.strip() for element in value.split(',')]
            else:
                headers.append((name, value))
        host = '[{}]'.format(self.host) if ':' in self.host else self.host
        url = '{}://{}{}{}'.format(self.scheme.partition('+')[0], host,
                                   ':{}'.format(self.port) if self.port else '', to_text(self.resource))
        link = (FilteredLink if self.exclude_headers else ClientLink)(
            url, proxies={}, protocols=protocols or None, headers=headers or None, origin=origin,
            compress='permessage-deflate' in (self.extensions or ()), uds=self.unix_socket_path,
            socket_options=self._socket.options or None, **self._tls_settings())
        if self.exclude_headers:
            link.left_out = frozenset(to_text(name) for name in self.exclude_headers)
        return link

    def _tls_settings(self):
        given, settings = self.ssl_options, {}
        if not self.scheme.startswith('wss'):
            return settings
        if given.get('ca_certs'):
            settings['ssl_cafile'] = given['ca_certs']
        if given.get('certfile'):
            settings['ssl_cert'] = (
                (given['certfile'], given['keyfile']) if given.get('keyfile') else given['certfile'])
        if given.get('cert_reqs', 2) == 0:          # ssl.CERT_NONE
            settings['ssl_verify'] = False
        return settings
