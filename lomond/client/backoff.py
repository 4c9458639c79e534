"""How long to wait before the next connection, and whether another one is worth trying.

:class:`Retries` decides for one WebSocket that is connected again and again; everything
else is a pure function.  The iterators of ``persist``, of a group and of asyncio ask
the same object.

Knows nothing of: clocks, random numbers, waiting, connections.
"""

from __future__ import absolute_import, division, unicode_literals

import re
import sys

from .. import _compat, errors
from .._compat import text_type
from ..network.poller import ENDLESS
from ..status import Status

#: The longest pause, in seconds (46 days), that ``Event.wait()`` accepts on every
#: platform: Windows and 32-bit builds raise OverflowError from 2**32 milliseconds on.
LONGEST_DELAY = 4000000.0
#: By ``Retry-After``, a server may ask for up to an hour, even if ``max_wait`` is
#: smaller.
LONGEST_RETRY_AFTER = 3600.0

#: The names of the events that are messages, or parts of one.
MESSAGES = frozenset(('text', 'binary', 'text_part', 'binary_part'))
_ENDINGS = frozenset(('connect_fail', 'rejected', 'disconnected'))


class Retries(object):
    """Decides, after each connection of one WebSocket, whether and when to try again.

    It is told what happens (:meth:`note`), and asked at the end of each connection
    (:meth:`decide`).  A connection counts as a success, which sets the count of
    failures to 0, if it was Ready for ``stable_after`` seconds, or if it ended
    gracefully after a message was received.

    :param min_wait: the shortest pause, seconds, 0 or more
    :param max_wait: the longest pause, seconds, 0 or more
    :param max_retries: give up after this number of failures in a row; None for never
    :param retry_on: as for :func:`lomond.persist.persist`
    :param stable_after: seconds after Ready from which a connection is a success
    :param respect_retry_after: if true, ``Retry-After`` of a refusal replaces the pause
    :raises TypeError: if a value has the wrong type; the message names it
    :raises ValueError: if a value cannot be used

    :ivar failures: how many connections have failed in a row
    :ivar has_message: True once the connection has received a message; further ones
        need not be noted
    :ivar cause: the event that ended the newest connection; None if there was none (a
        double in a user's test)
    """

    __slots__ = ('failures', 'cause', 'has_message', '_rules', '_ready_at', '_is_good', '_is_decided')

    def __init__(self, min_wait=5, max_wait=30, max_retries=None, retry_on=None, stable_after=10.0,
                 respect_retry_after=True):
        if retry_on is not None and not callable(retry_on):
            raise TypeError('retry_on is {!r}; a callable or None is allowed'.format(retry_on))
        if max_retries is not None:
            if isinstance(max_retries, bool) or not isinstance(max_retries, _compat.integer_types):
                raise TypeError('max_retries is {!r}; an integer or None is allowed'.format(max_retries))
            if max_retries < 1:
                raise ValueError('max_retries is {!r}; 1 or more, or None, is allowed'.format(max_retries))
        self._rules = (
            check_seconds('min_wait', min_wait), check_seconds('max_wait', max_wait, float('inf')),
            max_retries, retry_on, check_seconds('stable_after', stable_after, float('inf')),
            respect_retry_after)
        self.failures = 0
        self._begin()

    def _begin(self):
        self.cause = self._ready_at = None
        self.has_message = self._is_good = self._is_decided = False

    def note(self, event, now):
        """Note an event of the connection, before it is handed out.

        :param event: any event; one that comes after :meth:`decide` belongs to the next
            connection
        :param now: monotonic seconds
        """
        if self._is_decided:
            self._begin()
        name = getattr(event, 'name', None)
        if name in MESSAGES:
            self.has_message = True
        elif name == 'ready':
            self._ready_at = now
        elif name in _ENDINGS and self.cause is None:       # Disconnected follows Rejected
            self.cause = event
            is_stable = self._ready_at is not None and now - self._ready_at >= self._rules[4]
            self._is_good = is_stable or self.has_message and getattr(event, 'graceful', False)

    def decide(self, random, time):
        """Decide what comes after the connection, which is over.

        :param random: a number from 0 to below 1
        :param time: seconds since the epoch, for dates in ``Retry-After``
        :returns: ``('back_off', seconds)`` or ``('gave_up', None)``
        :raises Exception: what ``retry_on`` raises; TypeError or ValueError for what it
            returns
        """
        if self._is_decided:
            self._begin()
        self._is_decided = True
        min_wait, max_wait, max_retries, retry_on, _, respect_retry_after = self._rules
        self.failures = 0 if self._is_good else self.failures + 1
        if max_retries is not None and self.failures >= max_retries:
            return 'gave_up', None
        answer = _ask(retry_on, self.cause)
        if answer is False:
            return 'gave_up', None
        if answer is not True:
            return 'back_off', answer
        header = _retry_after(self.cause) if respect_retry_after else None
        return 'back_off', back_off_delay(self.failures, random, min_wait, max_wait, header, time)


def check_seconds(name, value, most=ENDLESS):
    """Return ``value`` as a float; raise an error that names it if it is not usable."""
    try:
        if isinstance(value, (text_type, bytes)):
            raise TypeError
        seconds = float(value)
    except OverflowError:
        seconds = float('inf') if value > 0 else float('-inf')
        most = min(most, ENDLESS)
    except (TypeError, ValueError):
        raise TypeError('{} is {!r}; a number of seconds is allowed'.format(name, value))
    if not 0 <= seconds <= most:        # false for nan
        raise ValueError('{} is {!r}; 0 or more seconds, below 9e9 (292 years), are allowed'.format(
            name, seconds))
    return seconds


def _ask(retry_on, cause):
    """Return what ``retry_on`` says: True, False, or a number of seconds."""
    if retry_on is None or cause is None:   # a double ended without an event
        return True
    answer = retry_on(cause)
    if answer is True or answer is False:
        return answer
    return min(check_seconds('the result of retry_on', answer), LONGEST_DELAY)


def _retry_after(cause):
    get = getattr(getattr(cause, 'response', None), 'get', None)
    return None if get is None else get('retry-after')


def some_number():
    """Return a random number from 0 to below 1, for :meth:`Retries.decide`."""
    try:
        import random  # 1 ms, only for programs that do back off
    except Exception:   # no descriptor is free to read it
        import time
        return time.time() * 1000 % 1
    return random.random()


# -- how long


def back_off_delay(retries, random, min_wait, max_wait, retry_after=None, now=None):
    """Return how long to wait before the next attempt; a pure function.

    The delay is ``min_wait + random * min(max_wait - min_wait, 2**retries)``, or what
    the server asked for, limited to ``min_wait .. max(max_wait, 3600)``.

    :param retries: the number of attempts that failed in a row, 0 or more
    :param random: a number from 0 to below 1
    :param min_wait: seconds, 0 or more
    :param max_wait: seconds; if it is below ``min_wait``, the delay lies between the
        two
    :param retry_after: text of a ``Retry-After`` header, or None; ignored if unreadable
    :param now: seconds since the epoch, for a ``retry_after`` that is a date
    :returns: seconds, a float of at most :data:`LONGEST_DELAY`
    """
    asked = parse_retry_after(retry_after, now)
    if asked is not None:
        delay = max(min_wait, min(asked, max(max_wait, LONGEST_RETRY_AFTER)))
    else:
        # 2**22 exceeds LONGEST_DELAY; after a year of failures, 2**retries overflows a
        # float.
        delay = min_wait + random * min(max_wait - min_wait, 2.0 ** min(retries, 22))
    return float(min(delay, LONGEST_DELAY))


_TIME = '(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})'
#: The three forms of RFC 9110, 5.6.7.  The name of the day is ignored.
_HTTP_DATES = (
    '[A-Z][a-z]{2}, (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) ' + _TIME + r' GMT\Z',
    '[A-Z][a-z]{5,8}, (?P<day>[0-9]{2})-(?P<month>[A-Z][a-z]{2})-(?P<year>[0-9]{2}) ' + _TIME + r' GMT\Z',
    '[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[0-9 ][0-9]) ' + _TIME + r' (?P<year>[0-9]{4})\Z',
)
_MONTHS = ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec')


def parse_retry_after(text, now):
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3).

    Never raises.

    :param text: the value: digits, or an HTTP date in one of its three forms
    :param now: seconds since the epoch
    :returns: a float from 0 (for dates in the past) to :data:`LONGEST_DELAY`; None if
        the text cannot be read
    """
    text = _compat.to_text(text)
    if not isinstance(text, text_type):
        return None
    text = text.strip(' \t')
    if re.match(r'[0-9]+\Z', text):     # str.isdigit() is true of Arabic digits as well
        # float, not int: since 3.11, int() refuses more than 4,300 digits
        return min(float(text), LONGEST_DELAY)
    for form in _HTTP_DATES:
        match = re.match(form, text)
        if match:
            date = _epoch_seconds(match.groupdict(), now)
            return None if date is None else min(max(date - now, 0.0), LONGEST_DELAY)
    return None


def _epoch_seconds(fields, now):
    import datetime
    if fields['month'] not in _MONTHS:
        return None
    year = int(fields['year'])
    if len(fields['year']) == 2:
        # RFC 9110, 5.6.7: at most 50 years in the future
        first = 1970 + int(now // 31556952) - 49
        year = first + (year - first) % 100
    hour, minute, second = (int(fields[name]) for name in ('hour', 'minute', 'second'))
    if hour > 23 or minute > 59 or second > 60:     # 60: a leap second
        return None
    try:
        date = datetime.date(year, _MONTHS.index(fields['month']) + 1, int(fields['day']))
    except ValueError:      # February 31, or the year 0
        return None
    days = date.toordinal() - 719163    # the ordinal of 1970-01-01
    return float(days * 86400 + hour * 3600 + minute * 60 + second)


# -- what is worth trying again

_CLOSE_CODES = frozenset((Status.GOING_AWAY, 1005, 1006, Status.UNEXPECTED_CONDITION, 1012, 1013, 1014))
#: Finds certificate failures that are not an ``ssl.CertificateError``: those of
#: OpenSSL, our own, and alerts of the peer.
_CERTIFICATE_WORDS = re.compile("certificate|fingerprint mismatch|unknown ca|doesn't match", re.I)
#: Answers that a SOCKS proxy would only repeat.
_PROXY_REFUSALS = re.compile('authentication|not allowed|not supported|identd|addresses only')


def transient(event):
    """A policy for ``persist(retry_on=transient)``: retry what may be temporary.

    It retries network errors, HTTP 408, 425, 429 and 5xx (of a proxy, too), and the
    close codes 1001, 1005 (none was sent), 1006 (the connection was lost) and 1011 -
    1014.  It does not retry untrusted certificates, other answers, other close codes,
    violations of the protocol, and settings that cannot be used.

    :param event: the :class:`~lomond.events.ConnectFail`,
        :class:`~lomond.events.Rejected` or :class:`~lomond.events.Disconnected` that
        ended the connection
    :returns: True to try again, False to give up
    """
    if event.name == 'rejected':
        return _is_transient_status(getattr(event.response, 'status_code', None))
    if event.name == 'connect_fail':
        return _is_transient_failure(event)
    code = getattr(event, 'code', None)
    if code is None:
        # No close frame (1006), an empty one (1005), or our own after a protocol error.
        return not isinstance(getattr(event, 'error', None),
                              (errors.ProtocolError, errors.CriticalProtocolError))
    return code in _CLOSE_CODES


def _is_transient_status(status):
    return status in (408, 425, 429) or (isinstance(status, int) and 500 <= status <= 599)


def _is_transient_failure(event):
    response = getattr(event, 'response', None)
    if response is not None:            # of a proxy
        return _is_transient_status(getattr(response, 'status_code', None))
    stage = getattr(event, 'stage', None)
    error = getattr(event, 'error', None)
    reason = _compat.to_text(event.reason)
    ssl = sys.modules.get('ssl')    # if ssl was never imported, no certificate was involved
    if ssl is not None and isinstance(error, ssl.CertificateError):
        return False
    if stage == 'prepare':
        # Usually a missing file, or an unusable URL or header.  But a callable may have
        # failed to fetch its token over the network.
        import errno
        return (isinstance(error, _compat.OS_ERRORS) and
                not (ssl is not None and isinstance(error, ssl.SSLError)) and
                _compat.error_number(error) not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
                                                   errno.EACCES, errno.EPERM))
    if stage in (None, 'tls', 'proxy') and _CERTIFICATE_WORDS.search(reason):
        return False
    if reason.startswith('proxy fail; '):
        status = re.match('proxy fail; ([0-9]{3})(?![0-9])', reason)
        if status:
            return _is_transient_status(int(status.group(1)))
        return not _PROXY_REFUSALS.search(reason)
    return True
