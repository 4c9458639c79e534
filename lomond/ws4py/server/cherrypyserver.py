"""WebSockets in CherryPy: a tool that upgrades, and a plugin that runs the connections.

Knows nothing of: how a socket is taken over.
"""

from __future__ import absolute_import, division, unicode_literals

import cherrypy
from cherrypy.process import plugins

from ..._compat import native
from ...errors import UpgradeRefused
from .. import get_logger
from .._links import Link
from ..manager import WebSocketManager
from ..websocket import WebSocket
from .wsgiutils import agreed, copy, judge

_UPGRADED = native('101 Switching Protocols')


class WebSocketTool(cherrypy.Tool):
    """A tool that upgrades requests.

    The page handler finds the connection as ``cherrypy.request.ws_handler``.  It is
    open once the handler has returned; a handler that raises refuses.

    Keys of the configuration, after ``tools.websocket``: ``on``; ``handler_cls``, a
    :class:`~lomond.ws4py.websocket.WebSocket`; ``protocols`` and ``extensions``, as in
    :class:`~lomond.ws4py.server.wsgiutils.WebSocketWSGIApplication`;
    ``heartbeat_freq``; and the options of :func:`lomond.wsgi.upgrade`, such as
    ``origins`` and ``max_message_size``.
    """

    def __init__(self):
        cherrypy.Tool.__init__(self, native('before_request_body'), self.upgrade)

    def _setup(self):
        settings = self._merged_args()
        priority = settings.pop(native('priority'), self._priority)
        hooks = cherrypy.serving.request.hooks
        hooks.attach(self._point, self.callable, priority=priority, **settings)
        hooks.attach(native('before_finalize'), self.complete, priority=priority)
        hooks.attach(native('on_end_request'), self.start_handler, priority=70)

    def upgrade(self, protocols=None, extensions=None, version=None, handler_cls=WebSocket,
                heartbeat_freq=None, **options):
        """Judge the request, and make the connection.

        :param version: accepted and ignored: it is 13
        :param options: those of :func:`lomond.wsgi.upgrade`
        """
        request, response = cherrypy.serving.request, cherrypy.serving.response
        request.process_request_body = False
        judged = _try(judge, request.wsgi_environ, protocols, extensions, **options)
        link = Link()
        link.lend(judged.sock)
        request.ws_handler = handler_cls(link, *agreed(judged), environ=copy(request.wsgi_environ),
                                         heartbeat_freq=heartbeat_freq)
        request.ws_upgrade = judged, link
        response.stream = True
        response.status = _UPGRADED

    def complete(self):
        """Take the connection, if the page handler has not refused."""
        request, response = cherrypy.serving.request, cherrypy.serving.response
        judged, link = vars(request).pop('ws_upgrade', (None, None))
        if judged is None:
            return
        if response.status != _UPGRADED:
            del request.ws_handler
            return
        link.websocket = _try(judged.take)
        response.body = []

    def start_handler(self):
        """Hand the connection to the plugin, at the end of the request."""
        request = cherrypy.serving.request
        websocket = vars(request).pop('ws_handler', None)
        if websocket is None:
            return
        address = request.remote.ip, request.remote.port
        if not cherrypy.engine.publish('handle-websocket', websocket, address):
            get_logger().error('nobody takes the connection of %s: subscribe a WebSocketPlugin', address[0])
            websocket.close(1011)
            websocket.terminate()


def _try(function, *args, **kwargs):
    """Call a function; a refusal becomes an answer of CherryPy."""
    try:
        return function(*args, **kwargs)
    except UpgradeRefused as error:
        refusal = error
    vars(cherrypy.serving.request).pop('ws_handler', None)
    for name, value in refusal.headers:
        if name.lower() not in ('content-type', 'content-length'):
            cherrypy.serving.response.headers[name] = value
    raise cherrypy.HTTPError(refusal.status, str(refusal))


class WebSocketPlugin(plugins.SimplePlugin):
    """Runs the connections of the tool, in one thread.

    The bus's channel ``websocket-broadcast`` sends a message to all of them.

    :ivar manager: the :class:`~lomond.ws4py.manager.WebSocketManager`
    """

    def __init__(self, bus):
        plugins.SimplePlugin.__init__(self, bus)
        self.manager = WebSocketManager()

    def _channels(self):
        return (('stop', self.cleanup), ('handle-websocket', self.handle),
                ('websocket-broadcast', self.broadcast))

    def start(self):
        """Begin, with the engine."""
        self.bus.log('Starting the WebSocket manager')
        if self.manager.ident is not None and not self.manager.running:
            self.manager = WebSocketManager()       # the engine was restarted
        for channel, listener in self._channels():
            self.bus.subscribe(channel, listener)
        self.manager.daemon = True
        self.manager.start()

    def stop(self):
        """End, with the engine."""
        self.bus.log('Ending the WebSocket manager')
        for channel, listener in self._channels():
            self.bus.unsubscribe(channel, listener)

    def handle(self, ws_handler, peer_addr):
        """Run a connection.

        :param ws_handler: a :class:`~lomond.ws4py.websocket.WebSocket`
        :param peer_addr: address and port of the client
        """
        self.manager.add(ws_handler)
        return True

    def cleanup(self):
        """Close all connections with 1001."""
        self.manager.close_all()
        self.manager.stop()
        self.manager.join()

    def broadcast(self, message, binary=False):
        """Send a message to all connections; as in the manager."""
        self.manager.broadcast(message, binary)
