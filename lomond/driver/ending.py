"""What the end of a stream means: the reason of ``Disconnected``, and whether it was a clean end.

It must not know what ended the stream, nor what is done then.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import OS_ERRORS, text_type
from ..errors import SendTimeout
from ..network.tls_context import describe_error
from ..protocol import states


def find_cause(core, stream, writer):
    """The exception that says most about a write that failed: the peer may have said why."""
    try:
        stream.recv_into(core.get_buffer())
    except OS_ERRORS as error:      # a TLS alert that came behind the handshake
        return error
    return getattr(writer.error, 'error', None) or writer.error


def ending_by_state(core, writer, end):
    """The stream has ended, or the wire is dead: what that means says the state.

    :param core: the :class:`~lomond.protocol.connection.Connection`
    :param writer: the :class:`~lomond.driver.writer.Writer`
    :param end: the exception that broke the stream; 0 for an end of it
    :returns: ``(reason, graceful, error)``
    """
    state = core.state
    error = end or writer.reset
    if isinstance(writer.error, SendTimeout):
        error = writer.error
    if state.ends_graceful and not isinstance(error, SendTimeout):
        return 'closed', True, None
    if state is states.FAILED:
        return 'disconnected; ' + core.failure, False, None
    if error is None:
        return 'socket fail; connection lost', False, None
    if error is writer.error:
        return text_type(error), False, getattr(error, 'error', None) or error
    return 'socket fail; ' + describe_error(error), False, error
