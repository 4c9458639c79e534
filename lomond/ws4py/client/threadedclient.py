"""The client of ws4py that runs in a thread of its own.

Knows nothing of: how a connection comes about.
"""

from __future__ import absolute_import, division, unicode_literals

from ..._compat import join, new_thread
from . import WebSocketBaseClient

#: How often one who waits for the thread looks whether Ctrl-C was pressed (seconds).
LOOK = 0.1


class WebSocketClient(WebSocketBaseClient):
    """A client that runs in a thread of its own after ``connect()``.

    Parameters are those of :class:`~lomond.ws4py.client.WebSocketBaseClient`.
    """

    def __init__(self, url, protocols=None, extensions=None, heartbeat_freq=None, ssl_options=None,
                 headers=None, exclude_headers=None):
        super(WebSocketClient, self).__init__(
            url, protocols, extensions, heartbeat_freq, ssl_options, headers, exclude_headers)
        self._th = new_thread(self.run, 'WebSocketClient')

    @property
    def daemon(self):
        """Whether the program may end while the thread runs; may be set before
        ``connect()``."""
        return self._th.daemon

    @daemon.setter
    def daemon(self, flag):
        self._th.daemon = flag

    def handshake_ok(self):
        """Called in ``connect()`` once the connection is open; starts the thread, which
        calls ``opened()``."""
        self._th.start()

    def run_forever(self):
        """Wait for the end of the connection."""
        while not self.terminated or self._th.is_alive():
            join(self._th, LOOK)
