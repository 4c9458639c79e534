"""The states of a connection and the moves between them, as one table.

The connection, the flags of ``WebSocket``, the tests and the picture in the
documentation all read this table.

Knows nothing of: what causes a move.
"""

from __future__ import absolute_import, division, unicode_literals

from .. import errors
from .._compat import text_type


class State(object):
    """One state: what is true while a connection is in it.

    :param is_active, is_closing, is_closed: the flags of the same names of
        ``WebSocket``
    :param may_send: messages, pings and pongs may be sent
    :param may_pong: pings are answered
    :param refusal: the exception class of a send that is not allowed
    :param ends_graceful: an end of the TCP connection is a clean end
    """

    __slots__ = ('name', 'is_active', 'is_closing', 'is_closed', 'may_send', 'may_pong',
                 'ends_graceful', '_refusal', '_sentence')

    def __init__(self, name, flag, may_send=False, may_pong=False, ends_graceful=False,
                 refusal=None, sentence=''):
        self.name = name
        self.is_active = flag == 'active'
        self.is_closing = flag == 'closing'
        self.is_closed = flag == 'closed'
        self.may_send = may_send
        self.may_pong = may_pong
        self.ends_graceful = ends_graceful
        self._refusal = refusal
        self._sentence = sentence

    def refuse(self):
        """Return the exception to raise for a send in this state."""
        return self._refusal(self._sentence)

    def __repr__(self):
        return str('<State {}>').format(self.name)


_NOT_READY = 'nothing can be sent before Ready'
_CLOSING = 'nothing can be sent once the closing handshake has begun'
_CLOSED = 'nothing can be sent, the connection is over'

CONNECTING = State('CONNECTING', 'active',
                   refusal=errors.WebSocketUnavailable, sentence=_NOT_READY)
OPEN = State('OPEN', 'active', may_send=True, may_pong=True)
#: The peer's close frame came, and Closing is being handled.
REMOTE_CLOSING = State('REMOTE_CLOSING', 'active', may_send=True, ends_graceful=True)
#: We sent a close frame and wait for the peer's.
LOCAL_CLOSING = State('LOCAL_CLOSING', 'closing', may_pong=True,
                      refusal=errors.WebSocketClosing, sentence=_CLOSING)
#: We answered the peer's close frame and wait for the end of TCP.
ECHOED = State('ECHOED', 'closing', ends_graceful=True,
               refusal=errors.WebSocketClosing, sentence=_CLOSING)
#: The peer answered our close frame.
CLOSED = State('CLOSED', 'closed', ends_graceful=True,
               refusal=errors.WebSocketClosed, sentence=_CLOSED)
#: The connection failed (RFC 6455, 7.1.7); a close frame is due or was sent.
FAILED = State('FAILED', 'closing', refusal=errors.WebSocketClosing, sentence=_CLOSING)
#: The server answered, but did not upgrade the connection.
REJECTED = State('REJECTED', 'closed', ends_graceful=True,
                 refusal=errors.WebSocketClosed, sentence=_CLOSED)
DISCONNECTED = State('DISCONNECTED', 'closed',
                     refusal=errors.WebSocketClosed, sentence=_CLOSED)

STATES = (CONNECTING, OPEN, REMOTE_CLOSING, LOCAL_CLOSING, ECHOED, CLOSED, FAILED, REJECTED,
          DISCONNECTED)

# The inputs: what can happen to a connection.
READY = 'valid opening handshake'
REJECT = 'any other answer'
FAIL = 'violation or time-out'
CLOSE_SENT = 'close() or echo'
CLOSE_RECEIVED = 'close frame'
DISCONNECT = 'end of stream, time-out or force_disconnect()'


class CloseRequest(text_type):
    """The input ``CLOSE_SENT``, with the frame that it stands for.

    So one store (``list.append``) both moves the state and keeps what is to be sent: an
    interrupt comes before or after it, and the loop completes the rest.

    :ivar payload: of the close frame; None if none will be sent
    :ivar session_time: seconds from Ready to the call of ``close()``, or None
    :ivar is_handed: True once a session was given the frame
    """

    def __new__(cls, payload, session_time=None):
        self = text_type.__new__(cls, CLOSE_SENT)
        self.payload = payload
        self.session_time = session_time
        self.is_handed = False
        return self


#: The inputs of a connection whose state is OPEN; any further input ends that state.
OPENED = [READY]

INPUTS = (READY, REJECT, FAIL, CLOSE_SENT, CLOSE_RECEIVED, DISCONNECT)

#: (state, input) -> state.  A pair that is not listed is a bug of ours.  Pairs that
#: lead back to their state are races between close() in one thread and the loop in
#: another, and time-outs that have nothing left to fail.
MOVES = {
    (CONNECTING, READY): OPEN,
    (CONNECTING, REJECT): REJECTED,
    (CONNECTING, FAIL): FAILED,
    (CONNECTING, CLOSE_SENT): DISCONNECTED,
    (OPEN, CLOSE_SENT): LOCAL_CLOSING,
    (OPEN, CLOSE_RECEIVED): REMOTE_CLOSING,
    (OPEN, FAIL): FAILED,
    (LOCAL_CLOSING, CLOSE_RECEIVED): CLOSED,
    (LOCAL_CLOSING, FAIL): FAILED,
    (LOCAL_CLOSING, CLOSE_SENT): LOCAL_CLOSING,
    (REMOTE_CLOSING, CLOSE_SENT): ECHOED,
    (REMOTE_CLOSING, FAIL): FAILED,
    (ECHOED, FAIL): ECHOED,
    (ECHOED, CLOSE_SENT): ECHOED,
    (CLOSED, FAIL): CLOSED,
    (CLOSED, CLOSE_SENT): CLOSED,
    (FAILED, FAIL): FAILED,
    (FAILED, CLOSE_SENT): FAILED,
    (REJECTED, FAIL): REJECTED,
    (REJECTED, CLOSE_SENT): REJECTED,
}
MOVES.update(((state, DISCONNECT), DISCONNECTED) for state in STATES)
MOVES.update(((DISCONNECTED, what), DISCONNECTED) for what in INPUTS)


class Progress(object):
    """Where in the table one connection is, and which close frame is ours.

    No lock is needed, not even in a signal handler.  The inputs are kept in the order
    in which they came (``list.append`` is atomic), and the state follows from that
    order in every thread.  So does the one close frame: that of the first
    :class:`CloseRequest`.
    """

    __slots__ = ('inputs', 'given_up', 'batch', '_known')

    def __init__(self):
        #: The inputs so far.  The state is OPEN if they equal :data:`OPENED`: this
        #: check takes 25 ns, ``state`` takes 90, and senders need it twice per message.
        self.inputs = []
        #: When it is not empty, messages that have arrived are no longer handed out.
        self.given_up = []
        #: The list of messages that is being handed out; giving up empties it.
        self.batch = None
        self._known = (0, CONNECTING)

    @property
    def state(self):
        """The :class:`State` that the inputs so far lead to."""
        count, state = self._known
        news = self.inputs[count:]
        if news:
            for what in news:
                state = MOVES[state, what]
                count += 1
            self._known = (count, state)        # one store: any thread may do it
        return state

    def move(self, what):
        """Note an input and return the new state."""
        self.inputs.append(what)
        if what is DISCONNECT or what is FAIL:
            self.given_up.append(what)
            batch = self.batch
            if batch:
                del batch[:]            # a list may be emptied while it is iterated
        return self.state

    def disconnect(self):
        """End the connection (end of stream, reset, time-out, force); any thread."""
        state = self.state
        return state if state is DISCONNECTED else self.move(DISCONNECT)

    @property
    def was_open(self):
        """True once the opening handshake was completed."""
        return self.inputs[:1] == OPENED

    @property
    def close_request(self):
        """The :class:`CloseRequest` whose frame is sent, or None."""
        for what in self.inputs:
            if what == CLOSE_SENT:
                return what
        return None

    @property
    def close_sent(self):
        """True once our close frame is due, or if none will be sent."""
        return self.close_request is not None

    def request_close(self, request):
        """Note a request, unless that was done before.

        :returns: True if its frame is the one to send
        """
        for what in self.inputs:
            if what is request:
                break
        else:
            self.move(request)
        return self.close_request is request

    def state_of_close(self):
        """Return the state that the first request led to; None without one."""
        state = CONNECTING
        for what in self.inputs:
            state = MOVES[state, what]
            if what == CLOSE_SENT:
                return state
        return None
