"""The opening handshake as the first phase of a connection: from the first bytes to a verdict.

It must not know states, frames or replies: what a verdict leads to is decided by the connection.
Both are generators of None, which is "needs bytes": they are in the intake when it is resumed.
"""

from __future__ import absolute_import, division, unicode_literals

from ..response import BodyReader


def read_head(handshake, intake):
    """Give the handshake what arrives until it has come to a verdict.

    :param handshake: a :class:`~lomond.protocol.handshake.ClientHandshake` or
        :class:`~lomond.protocol.handshake.ServerHandshake`
    :param Intake intake: where the bytes arrive; emptied by this
    :returns: a generator of None, and at last the :class:`~lomond.protocol.handshake.Outcome`
    :raises CriticalProtocolError: this is no HTTP, or its head is too large
    """
    outcome = None
    while outcome is None:
        data = intake.take()
        if data:
            outcome = handshake.receive(data)
        yield outcome


def read_body(response, surplus, intake, is_over):
    """Collect the body of a rejection.

    :param Response response: gets it as its ``body``, as far as it came
    :param bytes surplus: what came behind the head
    :param Intake intake: where the bytes arrive; emptied by this
    :param is_over: callable; True: what there is will do
    :returns: a generator of None
    """
    reader = BodyReader(response)
    reader.feed(surplus)
    while not reader.is_complete and not is_over():
        yield None
        reader.feed(intake.take())
    response.body = reader.body
