"""The events that iterating over a connection yields.

``event.name == 'text'`` is as good as ``isinstance(event, Text)``.  Two events are
equal only if they are the same object.  ``copy`` and ``pickle`` work if the values
support them.

Knows nothing of: who makes the events.
"""

from __future__ import absolute_import, division, unicode_literals

import time

from ._compat import Pattern, native, text_type

#: Most units of a message that a repr shows: a line of a log must not be as long as a
#: payload.
CUT_PAYLOAD = 24
#: The same for reasons and URLs: room for a cause that names several addresses.
CUT_TEXT = 256
_URLS = frozenset(('url', 'location', 'proxy'))
_USERINFO, _QUERY = Pattern('//[^/?#]*@'), Pattern(r'(?s)\?.+')
# Where there is no host: ``ws:///user:password@host``.
_MISPLACED = Pattern(r'(?s)\A([^/?#]*//)(?::[0-9]*)?[/?#].*@')


def _show(value, cut, unit):
    """``repr(value)`` as text, of its first ``cut`` units when it is text or bytes."""
    rest = 0
    if isinstance(value, (text_type, bytes, bytearray)) and len(value) > cut:
        rest = len(value) - cut
        value = value[:cut]
    try:
        shown = repr(value)
    except Exception:               # a broken __repr__; on 2.7 one beyond ASCII is enough
        shown = object.__repr__(value)
    shown = shown.decode('utf-8', 'replace') if isinstance(shown, bytes) else shown
    return '{} + {} {}'.format(shown, rest, unit) if rest else shown


# Each __init__ is flat: a chain of super() calls costs as much again as the whole event
# does. time.time is looked up when it is called, as tests and gevent replace it.

class Event(object):
    """Base of all events.

    What an event is made with are its attributes.  The library does not change it
    later; it may be handed to any thread.

    :ivar name: its kind, text: ``'text'``, ``'disconnected'`` ...
    :ivar received_time: seconds since the epoch, a float: when its bytes were read, or,
        without bytes, when it was made
    """
    __slots__ = ('received_time',)

    name = 'event'

    #: The attributes that the repr shows, and how much of a long one.
    _shown = ()
    _cut = CUT_TEXT
    _unit = 'chars'

    def __init__(self):
        self.received_time = time.time()

    # For the protocols 0 and 1 of pickle, which do not know slots; 0 is 2.7's default.

    def __getstate__(self):
        state = dict(getattr(self, '__dict__', ()))     # a subclass may have one
        for kind in type(self).__mro__:
            state.update((name, getattr(self, name)) for name in vars(kind).get('__slots__', ())
                         if hasattr(self, name))
        return state

    def __setstate__(self, state):
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self):
        return self._repr(self._shown)

    def _repr(self, names):
        shown = []
        for name in names:
            value = getattr(self, name)
            if name in _URLS and isinstance(value, (text_type, str)):
                # Keep passwords, and codes in a server's Location, out of logs.
                value = _MISPLACED.sub(native('\\1***@'), value)
                value = _USERINFO.sub(native('//***@'), value)
                value = _QUERY.sub(native('?...'), value) if name == 'location' else value
            shown.append('{}={}'.format(name, _show(value, self._cut, self._unit)))
        return native('{}({})'.format(type(self).__name__, ', '.join(shown)))


class Connecting(Event):
    """A connection is about to be made; always the first event.

    :param url: the URL, text
    """
    __slots__ = ('url',)
    name = 'connecting'
    _shown = ('url',)

    def __init__(self, url):
        self.received_time = time.time()
        self.url = url


class ConnectFail(Event):
    """The connection could not be made; the last event.

    :param reason: why, in words, text: ``'unable to connect; 127.0.0.1:9 connection
        refused'``
    :param error: the exception behind it, None when there was none
    :param stage: how far it came, text: ``'prepare'``, ``'resolve'``, ``'connect'``
        (until TCP to the server or the proxy stands), ``'proxy'`` (until the tunnel
        stands, TLS to the proxy included), ``'tls'`` or ``'upgrade'``
    :param response: the answer of an HTTP proxy that refused, a
        :class:`~lomond.response.Response` with up to 64 KiB of its ``body``; or None
    """
    __slots__ = ('reason', 'error', 'stage', 'response')
    name = 'connect_fail'
    _shown = ('reason',)

    def __init__(self, reason, error=None, stage=None, response=None):
        self.received_time = time.time()
        self.reason = reason
        self.error = error
        self.stage = stage
        self.response = response


class Connected(Event):
    """TCP, proxy and TLS are up; the request for the upgrade is sent, or is still being
    sent if the server answers early.

    :param url: the URL, text
    :param proxy: URL of the proxy without credentials, None without a proxy
    """
    __slots__ = ('url', 'proxy')
    name = 'connected'

    def __init__(self, url, proxy=None):
        self.received_time = time.time()
        self.url = url
        self.proxy = proxy

    def __repr__(self):
        return self._repr(('url',) if self.proxy is None else ('url', 'proxy'))


class Redirected(Event):
    """The server redirected us, and we follow (RFC 9110, 15.4); only with
    ``max_redirects``.

    :param url: the URL that was asked for, text
    :param location: the URL that is asked next, text
    :param response: the answer that said so, a :class:`~lomond.response.Response`
    """
    __slots__ = ('url', 'location', 'response')
    name = 'redirected'
    _shown = ('url', 'location', 'response')

    def __init__(self, url, location, response):
        self.received_time = time.time()
        self.url = url
        self.location = location
        self.response = response


class Ready(Event):
    """The opening handshake is done (RFC 6455, 4.1): messages may be sent and will
    come.

    :param response: the server's answer, a :class:`~lomond.response.Response`
    :param protocol: the subprotocol that the server chose, text; None for none
    :param extensions: set of the extensions in use, text
    """
    __slots__ = ('response', 'protocol', 'extensions')
    name = 'ready'
    _shown = ('response', 'protocol', 'extensions')

    def __init__(self, response, protocol, extensions):
        self.received_time = time.time()
        self.response = response
        self.protocol = protocol
        self.extensions = extensions


class Rejected(Event):
    """The server answered, but did not upgrade the connection (RFC 6455, 4.1);
    ``Disconnected`` follows.

    :param response: the answer, a :class:`~lomond.response.Response`; its ``body`` has
        up to 64 KiB, decoded if it came as gzip or deflate
    :param reason: what is wrong with the answer, in words, text
    """
    __slots__ = ('response', 'reason')
    name = 'rejected'
    _shown = ('response', 'reason')

    def __init__(self, response, reason):
        self.received_time = time.time()
        self.response = response
        self.reason = reason


class Text(Event):
    """A text message, whole (RFC 6455, 5.6).

    :param text: the text
    """

    # The parser makes these by __new__ and two stores: no other slot may need a value.
    __slots__ = ('text', '_json')
    name = 'text'
    _shown = ('text',)
    _cut = CUT_PAYLOAD

    def __init__(self, text):
        self.received_time = time.time()
        self.text = text

    @property
    def json(self):
        """The text decoded as JSON, once: later it is the same object.

        :raises ValueError: the error of ``json.loads`` if the text is not JSON
        """
        try:
            return self._json
        except AttributeError:
            pass
        import json
        self._json = value = json.loads(self.text)
        return value


class Binary(Event):
    """A binary message, whole (RFC 6455, 5.6).

    :param data: bytes
    """
    __slots__ = ('data',)
    name = 'binary'
    _shown = ('data',)
    _cut = CUT_PAYLOAD
    _unit = 'bytes'

    def __init__(self, data):
        self.received_time = time.time()
        self.data = data


class TextPart(Event):
    """Part of a text message that comes in parts (``stream_from``), as it arrived.

    :param text: the text; characters are never cut.  Empty only in a last part
    :param is_first: True in the first part of the message
    :param is_last: True in its last part, which may be its first
    """
    __slots__ = ('text', 'is_first', 'is_last')
    name = 'text_part'
    _shown = ('text', 'is_last')
    _cut = CUT_PAYLOAD

    def __init__(self, text, is_first, is_last):
        self.received_time = time.time()
        self.text = text
        self.is_first = is_first
        self.is_last = is_last


class BinaryPart(Event):
    """Part of a binary message that comes in parts (``stream_from``), as it arrived.

    :param data: bytes; empty only in a last part
    :param is_first: True in the first part of the message
    :param is_last: True in its last part, which may be its first
    """
    __slots__ = ('data', 'is_first', 'is_last')
    name = 'binary_part'
    _shown = ('data', 'is_last')
    _cut = CUT_PAYLOAD
    _unit = 'bytes'

    def __init__(self, data, is_first, is_last):
        self.received_time = time.time()
        self.data = data
        self.is_first = is_first
        self.is_last = is_last


class Ping(Event):
    """A ping came (RFC 6455, 5.5.2); with ``auto_pong`` it is answered already.

    :param data: its payload, bytes (125 at most)
    """
    __slots__ = ('data',)
    name = 'ping'
    _shown = ('data',)
    _cut = CUT_PAYLOAD
    _unit = 'bytes'

    def __init__(self, data):
        self.received_time = time.time()
        self.data = data


class Pong(Event):
    """A pong came (RFC 6455, 5.5.3).

    :param data: its payload, bytes (125 at most)
    :param latency: seconds since the ping it answers was sent, a float; None when it
        answers none
    """
    __slots__ = ('data', 'latency')
    name = 'pong'
    _shown = ('data',)
    _cut = CUT_PAYLOAD
    _unit = 'bytes'

    def __init__(self, data, latency=None):
        self.received_time = time.time()
        self.data = data
        self.latency = latency


class Poll(Event):
    """Emitted every ``poll`` seconds, so that the loop can do other work."""
    __slots__ = ()
    name = 'poll'


class Drained(Event):
    """What was queued has gone out: there is room for more.

    It follows when the queue is empty again, if sends in the thread of a loop of many
    connections had left more than 64 KiB in it; and at the end of a message that
    ``send_stream`` sends in parts.
    """
    __slots__ = ()
    name = 'drained'


class Closing(Event):
    """The server is closing the connection (RFC 6455, 5.5.1); messages may be sent
    until this is handled.

    :param code: its close code, int; None when it sent none
    :param reason: its words, text, just as they came
    """
    __slots__ = ('code', 'reason')
    name = 'closing'
    _shown = ('code', 'reason')

    def __init__(self, code, reason):
        self.received_time = time.time()
        self.code = code
        self.reason = reason


class Closed(Event):
    """The server answered our close: the closing handshake is done (RFC 6455, 7.1.4).

    :param code: its close code, int; None when it sent none
    :param reason: its words, text, just as they came
    """
    __slots__ = ('code', 'reason')
    name = 'closed'
    _shown = ('code', 'reason')

    def __init__(self, code, reason):
        self.received_time = time.time()
        self.code = code
        self.reason = reason


class Unresponsive(Event):
    """The server answered no ping within ``ping_timeout``; ``Disconnected`` follows.

    :param reason: in words, text
    """
    __slots__ = ('reason',)
    name = 'unresponsive'

    def __init__(self, reason=''):
        self.received_time = time.time()
        self.reason = reason


class ProtocolError(Event):
    """The server broke the protocol; the connection is failed (RFC 6455, 7.1.7).

    :param error: what it did, in words, text: also the reason of our close frame, cut
        to 123 bytes
    :param critical: False for a broken rule (close code 1002, or 1009 for size), True
        when its bytes cannot be understood (1007)
    """
    __slots__ = ('error', 'critical')
    name = 'protocol_error'
    _shown = ('error', 'critical')

    def __init__(self, error, critical):
        self.received_time = time.time()
        self.error = error
        self.critical = critical


class Disconnected(Event):
    """The connection is over; the last event.

    :param reason: why, in words, text: ``'closed'``, ``'socket fail; connection lost'``
        ...
    :param graceful: True when both sides had closed, or the upgrade was refused
    :param error: the exception behind it, None when there was none
    :param code: the close code that the server sent, int; None when it sent none
    """
    __slots__ = ('reason', 'graceful', 'error', 'code')
    name = 'disconnected'
    _shown = ('reason', 'graceful')

    def __init__(self, reason=str('closed'), graceful=False, error=None, code=None):
        self.received_time = time.time()
        self.reason = reason
        self.graceful = graceful
        self.error = error
        self.code = code


class UnknownMessage(Event):
    """Never emitted; the name is kept for programs that refer to it.

    :param message: anything
    """
    __slots__ = ('message',)
    name = 'unknown'

    def __init__(self, message):
        self.received_time = time.time()
        self.message = message


class BackOff(Event):
    """``persist`` waits before it connects again.

    :param delay: seconds, a float
    :param attempt: how many attempts have failed in a row, int; 0 if the
        last one did not fail
    :param cause: the event that ended the last one: ``ConnectFail``, ``Rejected`` or
        ``Disconnected``
    """
    __slots__ = ('delay', 'attempt', 'cause')
    name = 'back_off'

    def __init__(self, delay, attempt=None, cause=None):
        self.received_time = time.time()
        self.delay = delay
        self.attempt = attempt
        self.cause = cause

    def __repr__(self):
        try:
            return native('BackOff(delay=%.1f)' % (self.delay,))
        except TypeError:           # whatever else was given is shown as it is
            return self._repr(('delay',))


class GaveUp(Event):
    """``persist`` ends, as its limit is reached or ``retry_on`` said so; the last
    event.

    :param cause: the event that ended the last attempt: ``ConnectFail``, ``Rejected``
        or
        ``Disconnected``
    :param attempts: how many attempts have failed in a row, int
    """
    __slots__ = ('cause', 'attempts')
    name = 'gave_up'
    _shown = ('cause', 'attempts')

    def __init__(self, cause, attempts):
        self.received_time = time.time()
        self.cause = cause
        self.attempts = attempts


class Accepted(Event):
    """A connection of a :class:`~lomond.server.Server` in a group was accepted; its
    first event.

    Messages may be sent and will come.  Only a :class:`~lomond.group.Group` gives it.

    :param request: the client's :class:`~lomond.response.Request`
    :param protocol: the subprotocol that was agreed on, text; None for none
    :param extensions: set of the extensions in use, text
    """
    __slots__ = ('request', 'protocol', 'extensions')
    name = 'accepted'
    _shown = ('request', 'protocol', 'extensions')

    def __init__(self, request, protocol, extensions):
        self.received_time = time.time()
        self.request = request
        self.protocol = protocol
        self.extensions = extensions
