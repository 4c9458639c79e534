"""How long to wait before the next connection, and whether another one is worth trying.

Pure functions.  Knows nothing of: clocks, random numbers, connections.
"""

from __future__ import absolute_import, division, unicode_literals

import re
import sys

from .. import _compat, errors
from .._compat import text_type
from ..status import Status

#: The longest pause, in seconds (46 days), that ``Event.wait()`` accepts on every
#: platform: Windows and 32-bit builds raise OverflowError from 2**32 milliseconds on.
LONGEST_DELAY = 4000000.0
#: By ``Retry-After``, a server may ask for up to an hour, even if ``max_wait`` is
#: smaller.
LONGEST_RETRY_AFTER = 3600.0


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
