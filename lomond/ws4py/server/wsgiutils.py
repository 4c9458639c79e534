"""The WSGI application of ws4py.

Knows nothing of: which server calls it.
"""

from __future__ import absolute_import, division, unicode_literals

from ..._compat import native
from ...errors import UpgradeRefused
from ...wsgi import _Judged, _upgrade_options, done
from .. import get_logger
from .._links import Link
from ..websocket import WebSocket

#: Where a server puts the socket, to say that it runs the connection itself.
SOCKET = native('ws4py.socket')
#: Where it finds the connection: both, as porting by sed changes strings, too.
KEYS = native('ws4py.websocket'), native('lomond.ws4py.websocket')


class WebSocketWSGIApplication(object):
    """Completes the opening handshake, and makes a ``WebSocket`` of ws4py.

    A server of this package runs it; under another one whose socket can be taken over,
    it runs inside the request.

    :param protocols: list of the subprotocols to choose from
    :param extensions: list; ``'permessage-deflate'`` allows compression, other names
        are ignored
    :param handler_cls: a :class:`~lomond.ws4py.websocket.WebSocket`
    :param options: those of :func:`lomond.wsgi.upgrade`, such as ``origins``
    :raises TypeError: if a value has the wrong type
    :raises ValueError: if a value cannot be used
    """

    def __init__(self, protocols=None, extensions=None, handler_cls=WebSocket, **options):
        if not callable(handler_cls):
            raise TypeError('handler_cls must be a WebSocket class, not {}'.format(
                type(handler_cls).__name__))
        _upgrade_options('WebSocketWSGIApplication', _all_options(protocols, extensions, options))
        self.protocols = protocols
        self.extensions = extensions
        self.handler_cls = handler_cls
        self.options = options

    def make_websocket(self, sock, protocols, extensions, environ):
        """Make the connection, and put it into the environ; may be overridden.

        :param sock: stands for the socket
        :param protocols: list of the subprotocol that was agreed on
        :param extensions: list of the extensions that were agreed on
        :param environ: the WSGI environ
        """
        websocket = self.handler_cls(sock, protocols, extensions, copy(environ))
        environ[KEYS[0]] = environ[KEYS[1]] = websocket
        return websocket

    def __call__(self, environ, start_response):
        """Answer one request; a refusal is an ordinary answer."""
        try:
            judged = judge(environ, self.protocols, self.extensions, **self.options)
            link = Link()
            websocket = self.make_websocket(link, *(agreed(judged) + (environ,)))
            link.websocket = judged.take()
        except UpgradeRefused as refusal:
            forget(environ)
            return refusal(environ, start_response)
        if SOCKET not in environ:
            forget(environ)
            try:
                websocket.run()
            except Exception:
                get_logger().error('a callback of a connection has failed', exc_info=True)
        return done(environ, start_response)


def copy(environ):
    """Return a copy of an environ, without the socket of the server."""
    return dict((key, value) for key, value in environ.items() if key not in ('wsgi.input', SOCKET))


def judge(environ, protocols=None, extensions=None, **options):
    """Judge a request.

    :returns: what has ``outcome``, and ``take()``, which takes the connection
    :raises UpgradeRefused: if it is not accepted
    """
    return _Judged(environ, **_all_options(protocols, extensions, options))


def _all_options(protocols, extensions, options):
    """Return the options for :func:`lomond.wsgi.upgrade`."""
    if 'stream_from' in options:
        raise TypeError("'stream_from' cannot be used: received_message() gets whole messages")
    options = dict(options, protocols=protocols or None)
    if 'permessage-deflate' in (extensions or ()):
        options.setdefault('compress', True)
    return options


def agreed(judged):
    """Return the lists of the subprotocol and of the extensions."""
    protocol, extensions = judged.outcome.protocol, judged.outcome.extensions
    return [native(protocol)] if protocol else [], sorted(native(name) for name in extensions or ())


def forget(environ):
    """Take the connection out of an environ; return it, or None."""
    websocket = None
    for key in KEYS:
        websocket = environ.pop(key, None) or websocket
    return websocket
