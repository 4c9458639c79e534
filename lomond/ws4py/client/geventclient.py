"""The client of ws4py that runs in a greenlet; gevent must have patched ``select``.

Knows nothing of: how a connection comes about.
"""

from __future__ import absolute_import, division, unicode_literals

from gevent import Greenlet
from gevent.queue import Queue

from . import WebSocketBaseClient


class WebSocketClient(WebSocketBaseClient):
    """A client that runs in a greenlet after ``connect()``, and queues its messages.

    Parameters are those of :class:`~lomond.ws4py.client.WebSocketBaseClient`.

    :ivar messages: the queue; ``StopIteration`` is put into it at the end
    """

    def __init__(self, url, protocols=None, extensions=None, heartbeat_freq=None, ssl_options=None,
                 headers=None, exclude_headers=None):
        super(WebSocketClient, self).__init__(
            url, protocols, extensions, heartbeat_freq, ssl_options, headers, exclude_headers)
        self._th = Greenlet(self.run)
        self.messages = Queue()

    def handshake_ok(self):
        """Called in ``connect()`` once the connection is open; starts the greenlet."""
        self._th.start()

    def received_message(self, message):
        """Queue a message."""
        self.messages.put(message)

    def closed(self, code, reason=None):
        """Queue the end."""
        self.messages.put(StopIteration)

    def receive(self, block=True):
        """Return the next message, or None at the end.

        :param block: if false, it does not wait
        :raises queue.Empty: if it does not wait, and no message is there
        """
        if self.terminated and self.messages.empty():
            return None
        message = self.messages.get(block=block)
        return None if message is StopIteration else message
