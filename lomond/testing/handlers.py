"""Ready-made handlers for :class:`~lomond.testing.Server`.

A handler is a function that takes a :class:`~lomond.testing.ServerConnection`.  It is
called in a thread of its own after the opening handshake.  It may have two attributes:
``on_request``, which has the meaning of the parameter of
:class:`~lomond.testing.Server`, and ``is_raw`` (see :func:`raw`).

Knows nothing of: the server, other connections.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import integer_types, to_bytes
from .._http11 import encode_answer
from ..protocol.frames import encode_close_payload


def raw(handler):
    """Decorate a handler that wants the bare TCP or TLS connection.

    It is called without an opening handshake, and can use ``receive_raw``,
    ``send_raw``, ``pause`` and ``drop``.

    :param handler: a function that takes a :class:`~lomond.testing.ServerConnection`
    :returns: the same function
    """
    handler.is_raw = True
    return handler


def _send_back(connection, event):
    """Send a message back; return False if the event is not a message."""
    if event.name == 'text':
        connection.send_text(event.text)
    elif event.name == 'binary':
        connection.send_binary(event.data)
    else:
        return False
    return True


def echo(connection):
    """Send each message back until the client closes; answer pings.

    Text comes back as text and binary as binary, both compressed if that was agreed on.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    try:
        for event in iter(lambda: connection.receive(None), None):
            _send_back(connection, event)
    except errors.SendTimeout:
        connection.drop()           # it is not the handler's fault if the client does not read


def reject(status=403, headers=(), body=b''):
    """Make a handler that answers the request with a status other than 101.

    :param status: int, 100 - 599
    :param headers: pairs (name, value) of text or bytes; or a dict
    :param bytes body: the body of the answer
    :returns: a handler
    :raises TypeError: if a parameter has the wrong type
    :raises ValueError: if the answer could not be sent
    """
    headers = list(headers.items() if isinstance(headers, dict) else headers)
    body = to_bytes(body)
    encode_answer(status, headers, body)        # raise here, not in a thread

    def rejecting(connection):
        """Never called, because no request is accepted."""

    rejecting.on_request = lambda request: (status, headers, body)
    return rejecting


def redirect(url, status=302):
    """Make a handler that answers the request with a redirect.

    :param url: text: the value of ``Location``, absolute or relative
    :param status: 301, 302, 303, 307 or 308
    :returns: a handler
    """
    return reject(status, [('Location', url)])


@raw
def silent(connection):
    """Read everything and send nothing, not even an answer to the request.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    while connection.receive_raw(None):
        pass


def unresponsive(connection):
    """Shake hands, then read everything and send nothing: no pong, no close frame.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    while connection.receive_raw(None):
        pass


def stall_reads(connection):
    """Shake hands, then read nothing, so that in the end the client cannot send either.

    Before that happens, the kernels of both sides buffer a few megabytes.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    connection.pause()


@raw
def garbage(connection):
    """Answer the request with something that is not HTTP.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    connection.receive_raw(None)
    connection.send_raw(b'\x16\x03\x01 this is not HTTP\r\n\r\n')
    silent(connection)


def bad_frames(connection):
    """Shake hands, then send something that is not a frame.

    :param connection: the :class:`~lomond.testing.ServerConnection`
    """
    connection.send_raw(b'\xff\xff this is not a frame')
    for _ in iter(lambda: connection.receive(None), None):
        pass


def drop_after(messages, reset=False):
    """Make a handler that echoes some messages, then ends TCP without a close frame.

    :param int messages: how many; 0 ends it right after the opening handshake
    :param reset: if true, the client gets a reset instead of the end of the stream
    :returns: a handler
    :raises TypeError: if ``messages`` is not a number
    :raises ValueError: if ``messages`` is below 0
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
            left -= _send_back(connection, event)
        connection.drop(reset)

    return dropping


def close_with(code=1000, reason=''):
    """Make a handler that starts the closing handshake at once.

    :param code: a close code that may be sent; None for an empty close frame
    :param reason: text or UTF-8 bytes, cut to 123 bytes
    :returns: a handler
    :raises TypeError: if the code is not an integer, or the reason neither text nor
        bytes
    :raises ValueError: if the code may not be sent
    """
    encode_close_payload(code, reason)          # raise here, not in a thread

    def closing(connection):
        connection.close(code, reason)

    return closing
