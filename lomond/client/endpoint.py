"""What a ``WebSocket`` says about itself: its read-only members.

They must not change anything; each is looked up in the target or in the state of the current
connection (:class:`lomond.client.attempt.ConnectionState`).
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import native


class Members(object):
    """The read-only half of :class:`~lomond.websocket.WebSocket`; from any thread."""

    @property
    def tls(self):
        """The options of TLS, by the names that :mod:`lomond.network.tls_context` uses."""
        return dict(verify=self.ssl_verify, cafile=self.ssl_cafile, context=self.ssl_context,
                    cert=self.ssl_cert, fingerprint=self.ssl_fingerprint)

    @property
    def _target(self):
        return self.state.target or self.first_target

    @property
    def scheme(self):
        """``'ws'`` or ``'wss'``, text; None as long as a callable ``url`` was not asked."""
        return self._target and self._target.scheme

    @property
    def host(self):
        """The host, text: ``xn--`` where it is not ASCII; None as :attr:`scheme`."""
        return self._target and self._target.host

    @property
    def port(self):
        """The port, 1 - 65535; None as :attr:`scheme`."""
        return self._target and self._target.port

    @property
    def resource(self):
        """Path and query, text, percent-encoded; None as :attr:`scheme`."""
        return self._target and self._target.resource

    @property
    def key(self):
        """Sec-WebSocket-Key of the current connection, bytes (RFC 6455, 4.1)."""
        return self.state.key

    @property
    def session(self):
        """The session of the current connection; None before the first."""
        return self.state.session

    @property
    def is_secure(self):
        """True for ``wss``."""
        return self.scheme == 'wss'

    @property
    def is_active(self):
        """True while the connection is neither closed nor being closed; on a fresh WebSocket, too."""
        return self.state.core.state.is_active

    @property
    def is_closing(self):
        """True from our close frame, or a failure, until the end; not yet while ``Closing`` is handled."""
        return self.state.core.state.is_closing

    @property
    def is_closed(self):
        """True once the connection is over, already while the event that tells so is handled."""
        return self.state.core.state.is_closed

    @property
    def sent_close_time(self):
        """Seconds from ``Ready`` to our close frame, a float; None as long as none was sent."""
        return self.state.core.sent_close_time

    @property
    def supports_compression(self):
        """True when permessage-deflate was agreed on for the current connection."""
        return self.state.core.supports_compression

    @property
    def latency(self):
        """Seconds from the newest answered ping to its pong, a float; None before."""
        return self.state.core.latency

    def __repr__(self):
        target = self.first_target
        shown = 'callable' if target is None else target.masked
        return native("WebSocket('{}')".format(shown))
