"""The options of a ``WebSocket``, checked, in one record.

:class:`Endpoint` keeps what the caller said; an :class:`~lomond.client.attempt.Attempt`
reads it.  :class:`EndpointAttributes` makes the record visible as attributes of a
``WebSocket``.  The two are separate objects so that a connection can refer to its
options without keeping the ``WebSocket`` alive in a reference cycle.

Knows nothing of: sockets, sessions, the progress of a connection.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import constants
from .._compat import native
from .._http11 import check_header
from ..network.url import parse_url
from ..protocol.handshake import REPLACEABLE
from . import options

#: What ``proxies`` is if there are none: not even these two.
NO_PROXIES = {'http': None, 'https': None}

#: Options that are None unless they are given, and how each is checked then.
_CHECKS = {
    'headers': options.check_headers,
    'origin': lambda value: options.check_text_header('origin', b'Origin', value),
    'auth': options.check_auth,
    'cookies': options.check_cookies,
    'stream_from': lambda value: options.check_size('stream_from', value, 0),
    'source_address': options.check_source_address,
    'socket_options': options.check_socket_options,
    'uds': lambda value: options.check_path('uds', value),
    'server_hostname': lambda value: options.check_host('server_hostname', value),
    'proxy_headers': lambda value: options.check_headers(value, 'proxy_headers'),
}


class Endpoint(object):
    """Where to connect to, and with which options.

    The parameters are those of :class:`~lomond.websocket.WebSocket`.  Nothing is opened
    here.

    :ivar target: the parsed URL, or None if ``url`` is a callable
    :ivar proxy_variables: the environment variables that ``proxies`` come from, by the
        keys of these; None if the caller gave them
    :ivar deflate: the :class:`~lomond.compression.Deflate` to offer, or None
    :ivar added_headers: pairs of bytes, from :meth:`add_header`
    :ivar added_protocols: subprotocols, text, from :meth:`add_header`
    :raises TypeError: if a value has the wrong type
    :raises ValueError: if a value cannot be used
    """

    headers = origin = auth = cookies = stream_from = source_address = None
    socket_options = uds = server_hostname = proxy_headers = None

    def __init__(self, url, proxies, protocols, agent, compress, ssl_verify, ssl_cafile, ssl_context,
                 trace, headers, origin, auth, cookies, ssl_cert, ssl_fingerprint, max_message_size,
                 max_redirects, source_address, socket_options, uds, server_hostname=None,
                 proxy_headers=None, stream_from=None):
        self.target = None if callable(url) else parse_url(url)
        self.url = url if self.target is None else self.target.text
        self.proxies, self.proxy_variables = dict(NO_PROXIES), None
        # What is left out is neither looked at nor imported.
        if proxies is None:
            from ..network.proxy_settings import environment_proxies
            self.proxies, self.proxy_variables = environment_proxies()
        elif proxies or not isinstance(proxies, dict):
            from ..network.proxy_settings import normalize_proxies
            self.proxies = normalize_proxies(proxies)
        self.protocols = [] if protocols is None else options.check_protocols(protocols)
        self.agent = constants.USER_AGENT
        if agent is not None:
            self.agent = options.check_text_header('agent', b'User-Agent', agent) or self.agent
        self.compress = compress
        self.deflate = None if compress is False else options.check_compress(compress)
        if not (ssl_verify is True and ssl_cafile is ssl_context is ssl_cert is ssl_fingerprint is None):
            from ..network import tls_context
            tls_context.check_options(ssl_verify, ssl_cafile, ssl_context, ssl_cert, ssl_fingerprint)
        self.ssl_verify = ssl_verify
        self.ssl_cafile = ssl_cafile
        self.ssl_context = ssl_context
        self.ssl_cert = ssl_cert
        self.ssl_fingerprint = ssl_fingerprint
        self.trace = trace
        for name, value in (('headers', headers), ('origin', origin), ('auth', auth), ('cookies', cookies),
                            ('stream_from', stream_from), ('source_address', source_address),
                            ('socket_options', socket_options), ('uds', uds),
                            ('server_hostname', server_hostname), ('proxy_headers', proxy_headers)):
            if value is not None:
                setattr(self, name, _CHECKS[name](value))
        self.max_message_size = options.check_size('max_message_size', max_message_size, 0)
        self.max_redirects = options.check_size('max_redirects', max_redirects, 0) or 0
        self.added_headers = []
        self.added_protocols = []

    @property
    def tls(self):
        """The TLS options, by the names that :mod:`lomond.network.tls_context` uses."""
        return dict(verify=self.ssl_verify, cafile=self.ssl_cafile, context=self.ssl_context,
                    cert=self.ssl_cert, fingerprint=self.ssl_fingerprint, name=self.server_hostname)

    def add_header(self, header, value):
        """Add a header to all further requests; see ``WebSocket.add_header``."""
        check_header(header, value)
        lower = header.lower()
        if lower == b'sec-websocket-protocol':
            self.added_protocols += options.split_protocols(value, self.offered_protocols())
            return
        options.check_header_is_free(header, 'add_header')
        if lower in REPLACEABLE:
            self.added_headers = [pair for pair in self.added_headers if pair[0].lower() != lower]
        self.added_headers.append((header, value))

    def offered_protocols(self):
        """Return the subprotocols of ``protocols`` and :meth:`add_header`, a list."""
        if not self.added_protocols:
            return list(self.protocols)
        return list(self.protocols) + [
            protocol for protocol in self.added_protocols if protocol not in self.protocols]

    def __copy__(self):
        from copy import copy
        twin = Endpoint.__new__(Endpoint)
        for name, value in vars(self).items():
            # What the caller, or add_header, may change in one of them only.
            setattr(twin, name, copy(value) if isinstance(value, (list, dict)) else value)
        return twin


def _option(name):
    # Without docstrings: the parameters are documented with the class already.
    def read(self):
        return getattr(self._endpoint, name)

    def write(self, value):
        setattr(self._endpoint, name, value)

    return property(read, write)


class EndpointAttributes(object):
    """The attributes of a ``WebSocket`` that say where it connects to.

    The options are those of ``_endpoint``, which the next connection reads.  The others
    are looked up in ``state``, the current :class:`~lomond.client.attempt.Attempt`, and
    can be read from any thread.
    """

    url = _option('url')
    proxies = _option('proxies')
    protocols = _option('protocols')
    agent = _option('agent')
    compress = _option('compress')
    ssl_verify = _option('ssl_verify')
    ssl_cafile = _option('ssl_cafile')
    ssl_context = _option('ssl_context')
    trace = _option('trace')
    headers = _option('headers')
    origin = _option('origin')
    auth = _option('auth')
    cookies = _option('cookies')
    ssl_cert = _option('ssl_cert')
    ssl_fingerprint = _option('ssl_fingerprint')
    max_message_size = _option('max_message_size')
    max_redirects = _option('max_redirects')
    source_address = _option('source_address')
    socket_options = _option('socket_options')
    uds = _option('uds')
    server_hostname = _option('server_hostname')
    stream_from = _option('stream_from')
    proxy_headers = _option('proxy_headers')

    @property
    def _target(self):
        state = self.state
        return state.target or state.first_target

    @property
    def scheme(self):
        """``'ws'`` or ``'wss'``; None until a callable ``url`` has been called."""
        return self._target and self._target.scheme

    @property
    def host(self):
        """The host (``xn--`` if it is not ASCII); None as for :attr:`scheme`."""
        return self._target and self._target.host

    @property
    def port(self):
        """The port, 1 - 65535; None as for :attr:`scheme`."""
        return self._target and self._target.port

    @property
    def resource(self):
        """Path and query, percent-encoded; None as for :attr:`scheme`."""
        return self._target and self._target.resource

    @property
    def is_secure(self):
        """True for ``wss``."""
        return self.scheme == 'wss'

    @property
    def key(self):
        """The ``Sec-WebSocket-Key`` of the connection, bytes (RFC 6455, 4.1)."""
        return self.state.key

    def __repr__(self):
        target = self.state.first_target
        shown = 'callable' if target is None else target.masked
        return native("WebSocket('{}')".format(shown))
