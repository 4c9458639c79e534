"""Handlers for :class:`~lomond.testing.Server` that are ready to use; they know one connection.

A handler is a function of a :class:`~lomond.testing.ServerConnection`, called in a thread of its
own after the opening handshake.  It may have two attributes: ``on_request``, a function of the
request that answers it (as the parameter of :class:`~lomond.testing.Server`), and ``is_raw``
(:func:`raw`).
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import integer_types, to_bytes
from .._http11 import encode_answer
from ..protocol.frames import encode_close_payload


def raw(handler):
    """Decorate a handler that gets the TCP (or TLS) connection without an opening handshake.

    It has ``receive_raw``, ``send_raw``, ``pause`` and ``drop`` to play with.

    :param handler: function of a :class:`~lomond.testing.ServerConnection`
    :returns: the same function
    """
    handler.is_raw = True
    return handler


def echo(connection):
    """Send each message back until the client closes; pings are answered.

    Text comes back as text, binary as binary, both compressed if that was agreed on.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    try:
        while True:
            event = connection.receive(None)
            if event is None:
                return
            if event.name == 'text':
                connection.send_text(event.text)
            elif event.name == 'binary':
                connection.send_binary(event.data)
    except errors.SendTimeout:
        connection.drop()           # a client that does not read is no failure of the handler


def reject(status=403, headers=(), body=b''):
    """Make a handler that answers the request with a status in place of 101.

    :param status: int, 100 - 599
    :param headers: pairs (name, value) of text or bytes; or a dict
    :param bytes body: body of the answer
    :returns: a handler
    :raises TypeError: a wrong type
    :raises ValueError: for what cannot be sent
    """
    headers = list(headers.items() if isinstance(headers, dict) else headers)
    body = to_bytes(body)
    encode_answer(status, headers, body)        # a mistake shows here, not in a thread

    def rejecting(connection):
        """Never called: no request is accepted."""

    rejecting.on_request = lambda request: (status, headers, body)
    return rejecting


def redirect(url, status=302):
    """Make a handler that answers the request with a redirect.

    :param url: text: value of ``Location``, absolute or relative
    :param status: 301, 302, 303, 307 or 308
    :returns: a handler
    """
    return reject(status, [('Location', url)])


@raw
def silent(connection):
    """Take everything and say nothing, not even an answer to the request.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    while connection.receive_raw(None):
        pass


def unresponsive(connection):
    """Shake hands, then take everything and say nothing: no message, no pong, no close frame.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    while connection.receive_raw(None):
        pass


def stall_reads(connection):
    """Shake hands, then read nothing: what is sent piles up until nothing more can be sent.

    The kernels of both sides keep some megabytes before that.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    connection.pause()


@raw
def garbage(connection):
    """Answer the request with something that is no HTTP.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    connection.receive_raw(None)
    connection.send_raw(b'\x16\x03\x01 this is no HTTP\r\n\r\n')
    silent(connection)


def bad_frames(connection):
    """Shake hands, then send something that is no frame.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    connection.send_raw(b'\xff\xff this is no frame')
    for _ in iter(lambda: connection.receive(None), None):
        pass


def drop_after(messages, reset=False):
    """Make a handler that echoes so many messages, and then ends TCP without a close frame.

    :param int messages: 0 or more; 0: right after the opening handshake
    :param reset: True: with a reset
    :returns: a handler
    :raises ValueError: below 0
    """
    if not isinstance(messages, integer_types):
        raise TypeError('messages must be a number, not {}'.format(type(messages).__name__))
    if messages < 0:
        raise ValueError('messages is {}; 0 or more is allowed'.format(messages))

    def dropping(connection):
        left = messages
        while left:
            event = connection.receive(None)
            if event is None:
                return
            if event.name == 'text':
                connection.send_text(event.text)
            elif event.name == 'binary':
                connection.send_binary(event.data)
            else:
                continue
            left -= 1
        connection.drop(reset)

    return dropping


def close_with(code=1000, reason=''):
    """Make a handler that begins the closing handshake right after the opening handshake.

    :param code: a close code that may be sent; None: an empty close frame
    :param reason: text or UTF-8 bytes, cut to 123 bytes
    :returns: a handler
    :raises TypeError: a code that is no integer, a reason that is neither text nor bytes
    :raises ValueError: for what may not be sent
    """
    encode_close_payload(code, reason)          # a mistake shows here, not in a thread

    def closing(connection):
        connection.close(code, reason)

    return closing
