# -*- coding: utf-8 -*-
"""Pauses, Retry-After, and which failures are worth a retry."""

from __future__ import absolute_import, division, unicode_literals

import errno
import socket
import ssl
import sys
import threading

import pytest

from lomond import errors, events
from lomond.client import backoff
from lomond.client.backoff import Retries, back_off_delay, parse_retry_after, transient

NOW = 784111777.0       # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110, 5.6.7
HOSTILE = ['', ' ', '-1', '-0', '+5', '1.5', '1e3', 'nan', 'inf', '-inf', 'NaN', 'Infinity', '0x10', '1_000',
           '\u0661\u0662', '\xb2', '\uff11\uff12', '12\n', '1 2', '1,2', '120;', 'soon', 'None', '\x00',
           'Sun, 06 Nov 1994 08:49:37', 'Sun, 06 Nov 1994 08:49:37 CET', 'Sun, 06 Nov 1994 08:49:37 GMT x',
           'Sun, 06 Nov 1994 24:00:00 GMT', 'Sun, 06 Nov 1994 08:60:00 GMT', 'Sun, 06 Nov 1994 08:00:61 GMT',
           'Sun, 31 Feb 1994 08:49:37 GMT', 'Sun, 00 Nov 1994 08:49:37 GMT', 'Sun, 06 Foo 1994 08:49:37 GMT',
           'Sun, 06 Nov 0000 08:49:37 GMT', 'Sun, 06 Nov 99999 08:49:37 GMT', 'Sun Nov 6 08:49:37 1994',
           'Sun Nov    08:49:37 1994', 'Sun, 0\u0666 Nov 1994 08:49:37 GMT',
           'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT', '9' * 65536 + 'x']


@pytest.mark.parametrize('text, expected', [
    ('0', 0.0), ('000', 0.0), ('120', 120.0), (' \t120 ', 120.0), (str('120'), 120.0),
    ('9' * 30, backoff.LONGEST_DELAY), ('9' * 5000, backoff.LONGEST_DELAY), ('0' * 5000 + '7', 7.0),
    ('Sun, 06 Nov 1994 08:49:37 GMT', 0.0), ('Sun, 06 Nov 1994 08:50:37 GMT', 60.0),
    ('Sunday, 06-Nov-94 08:50:37 GMT', 60.0), ('Sun Nov  6 08:50:37 1994', 60.0),
    ('Sun Nov 06 08:50:37 1994', 60.0), ('Wed Nov 16 08:49:37 1994', 864000.0),
    ('Sun, 06 Nov 1994 08:49:60 GMT', 23.0), ('Thu, 01 Jan 1970 00:00:00 GMT', 0.0),
    ('Mon, 01 Jan 0001 00:00:00 GMT', 0.0), ('Fri, 31 Dec 9999 23:59:59 GMT', backoff.LONGEST_DELAY),
    ('Thursday, 29-Feb-96 00:00:00 GMT', backoff.LONGEST_DELAY),
    ('Monday, 01-Jan-44 00:00:00 GMT', backoff.LONGEST_DELAY),      # 2044: 50 years ahead
    ('Sunday, 01-Jan-45 00:00:00 GMT', 0.0),                        # 1945, not 2045
])
def test_retry_after(text, expected):
    """Digits and HTTP dates become seconds from now, never negative or unbounded."""
    assert parse_retry_after(text, NOW) == expected


@pytest.mark.parametrize('text', HOSTILE + [None, 120, 1.5, b'\xff', object(), ['120']])
def test_retry_after_unreadable(text):
    """Anything else is None, and the delay is as if the header were not there."""
    assert parse_retry_after(text, NOW) is None
    assert back_off_delay(3, 0.5, 5, 30, text, NOW) == 9.0


def test_two_digit_years_move_with_the_clock():
    """In 2060, the year 94 lies in the future and the year 20 in the past."""
    now = NOW + 66 * 31556952
    assert parse_retry_after('Sunday, 06-Nov-94 08:50:37 GMT', now) == backoff.LONGEST_DELAY
    assert parse_retry_after('Sunday, 06-Nov-20 08:50:37 GMT', now) == 0.0


@pytest.mark.parametrize('retries, random, min_wait, max_wait, expected', [
    (0, 0.0, 5, 30, 5.0), (0, 0.5, 5, 30, 5.5), (1, 0.0, 5, 30, 5.0), (1, 0.5, 5, 30, 6.0),
    (2, 0.5, 5, 30, 7.0), (3, 0.5, 5, 30, 9.0), (4, 0.5, 5, 30, 13.0),
    (5, 0.5, 5, 30, 17.5),      # 25, not 32
    (6, 0.5, 5, 30, 17.5), (10 ** 9, 0.5, 5, 30, 17.5), (3, 0.5, 0, 0, 0.0), (3, 0.5, 10, 10, 10.0),
    (3, 0.5, 10, 4, 7.0),       # 0.3.4's formula: between the two
    (10 ** 9, 0.999, 5, float('inf'), backoff.LONGEST_DELAY), (1, 0.5, 1e300, 1e300, backoff.LONGEST_DELAY)])
def test_delay(retries, random, min_wait, max_wait, expected):
    """min_wait + random() * min(max_wait - min_wait, 2**retries)"""
    delay = back_off_delay(retries, random, min_wait, max_wait)
    assert delay == expected and isinstance(delay, float)


@pytest.mark.parametrize('header, min_wait, max_wait, expected', [
    ('0', 5, 30, 5.0), ('4', 5, 30, 5.0), ('7', 5, 30, 7.0), ('120', 5, 30, 120.0), ('3601', 5, 30, 3600.0),
    ('9' * 30, 5, 30, 3600.0), ('9' * 30, 5, 7200, 7200.0),
    ('9' * 30, 5, float('inf'), backoff.LONGEST_DELAY), ('7200', 5, 7200, 7200.0), ('10', 4000, 30, 4000.0),
    ('Sun, 06 Nov 1994 08:50:37 GMT', 5, 30, 60.0), ('Sun, 06 Nov 1994 08:48:37 GMT', 5, 30, 5.0),
    ('Fri, 31 Dec 9999 23:59:59 GMT', 5, 30, 3600.0)])
def test_delay_that_was_asked_for(header, min_wait, max_wait, expected):
    """Retry-After replaces the delay, within min_wait .. max(max_wait, 3600)."""
    delay = back_off_delay(3, 0.5, min_wait, max_wait, header, NOW)
    assert delay == expected and isinstance(delay, float)


def test_event_can_wait_for_the_longest():
    """threading.Event.wait() accepts LONGEST_DELAY."""
    event = threading.Event()
    event.set()
    assert event.wait(backoff.LONGEST_DELAY)


# -- Retries: the tables of persist(), without a socket

LOST, ENDED = events.Disconnected('lost'), events.Disconnected('closed', graceful=True)
READY, TEXT = events.Ready(None, None, set()), events.Text('x')
FAILED = events.ConnectFail('no')
BUSY = events.Rejected(type(str('Response'), (), {'get': lambda _, name: '7'})(), '')


def ends(retries, *steps):
    """Note events; a number is a time that passes.  Return the decision."""
    now = 1000.0
    for step in steps:
        if isinstance(step, float):
            now += step
        else:
            retries.note(step, now)
    return retries.decide(0.5, NOW)


@pytest.mark.parametrize('steps, delay', [
    ((FAILED,), 17.5), ((LOST,), 17.5), ((), 17.5), ((READY, LOST), 17.5), ((READY, TEXT, LOST), 17.5),
    ((READY, ENDED), 17.5), ((READY, 9.9, LOST), 17.5), ((READY, 10.0, LOST), 5.5), ((10.0, LOST), 17.5),
    ((READY, TEXT, ENDED), 5.5), ((READY, events.BinaryPart(b'', True, False), ENDED), 5.5),
    ((BUSY, LOST), 7.0), ((BUSY, 100.0, LOST), 7.0)])
def test_what_counts_as_a_success(steps, delay):
    """Stable, or graceful after a message; what ends it first is the cause."""
    retries = Retries(5, 30)
    for failures in range(1, 10):
        ends(retries, FAILED)
        assert retries.failures == failures
    assert ends(retries, *steps) == ('back_off', delay)
    assert retries.failures == (0 if delay == 5.5 else 10)
    causes = [step for step in steps if step in (FAILED, LOST, ENDED, BUSY)]
    assert retries.cause is (causes[0] if causes else None)


def test_each_connection_is_judged_by_itself():
    """A message, Ready and the cause of one do not count for the next."""
    retries = Retries(0, 8, max_retries=3)
    assert ends(retries, READY, TEXT, ENDED) == ('back_off', 0.5)
    assert [ends(retries, READY, ENDED) for _ in range(3)] == [('back_off', 1.0), ('back_off', 2.0),
                                                               ('gave_up', None)]
    assert retries.decide(0.5, NOW)[0] == 'gave_up' and retries.cause is None and retries.failures == 4


@pytest.mark.parametrize('answer, expected', [
    (True, ('back_off', 6.0)), (False, ('gave_up', None)), (0, ('back_off', 0.0)), (2, ('back_off', 2.0)),
    (1e300, ValueError), (5e6, ('back_off', backoff.LONGEST_DELAY)), (-1, ValueError), ('1', TypeError),
    (None, TypeError)])
def test_retry_on_decides(answer, expected):
    """True, False, or seconds."""
    asked = []
    retries = Retries(5, 30, retry_on=lambda event: asked.append(event) or answer)
    if isinstance(expected, tuple):
        assert ends(retries, FAILED) == expected
    else:
        with pytest.raises(expected):
            ends(retries, FAILED)
    assert asked == [FAILED]


def test_retry_after_may_be_ignored():
    """respect_retry_after=False; and min_wait, max_wait hold for it."""
    assert ends(Retries(5, 30, respect_retry_after=False), BUSY) == ('back_off', 6.0)
    assert ends(Retries(8, 30), BUSY) == ('back_off', 8.0)


# -- transient

class Response(object):
    def __init__(self, status_code):
        self.status_code = status_code


@pytest.mark.parametrize('status, expected', [
    (408, True), (425, True), (429, True), (500, True), (502, True), (503, True), (599, True),
    (101, False), (200, False), (301, False), (400, False), (401, False), (403, False), (404, False),
    (407, False), (426, False), (600, False), (None, False)])
def test_transient_answers(status, expected):
    """HTTP 408, 425, 429 and 5xx."""
    assert transient(events.Rejected(Response(status), 'no')) is expected
    assert transient(events.Rejected(None, 'no')) is False      # a user's double may contain anything


@pytest.mark.parametrize('code, expected', [
    (None, True), (1001, True), (1005, True), (1006, True), (1011, True), (1012, True), (1013, True),
    (1014, True), (1000, False), (1002, False), (1003, False), (1007, False), (1008, False),
    (1009, False), (1010, False), (1015, False), (3000, False), (4000, False), (4401, False)])
@pytest.mark.parametrize('graceful', [True, False])
def test_transient_close_codes(code, expected, graceful):
    """1001, none, lost, 1011 - 1014."""
    assert transient(events.Disconnected('x', graceful, code=code)) is expected


@pytest.mark.parametrize('error, expected', [
    (None, True), (errors.TransportFail('socket fail; connection lost'), True),
    (errors.ProtocolError('bad frame'), False), (errors.PayloadTooLarge('too large'), False),
    (errors.CriticalProtocolError('bad text'), False)])
def test_transient_ends(error, expected):
    """A lost connection is transient; a violation of the protocol is not."""
    assert transient(events.Disconnected('x', error=error)) is expected


CERTIFICATE_ERROR = ssl.CertificateError('hostname mismatch')


@pytest.mark.parametrize('reason, stage, error, expected', [
    ('unable to connect; 127.0.0.1:9 connection refused', 'connect', None, True),
    ('unable to connect; certificate.test:9 connection refused', 'connect', None, True),
    ('unable to connect; Name or service not known', 'resolve', socket.gaierror(-2, 'x'), True),
    ('unable to connect; timed out', 'tls', None, True), ('unable to connect', None, None, True),
    (str('unable to connect'), None, None, True),
    ('unable to connect; certificate verify failed: self signed certificate', 'tls', None, False),
    ('unable to connect; CERTIFICATE_VERIFY_FAILED', None, None, False),
    ("unable to connect; hostname 'a' doesn't match 'b'", 'tls', None, False),
    ('unable to connect; fingerprint mismatch: the server has sha256:00', 'tls', None, False),
    ('unable to connect; tlsv1 alert unknown ca', 'tls', None, False),
    ('unable to connect; hostname mismatch', 'tls', CERTIFICATE_ERROR, False),
    ('unable to connect to proxy; hostname mismatch', 'proxy', CERTIFICATE_ERROR, False),
    ('unable to connect to proxy; certificate verify failed', 'proxy', None, False),
    ('unable to connect to proxy; connection refused', 'proxy', None, True),
    ('proxy fail; 407 Proxy Authentication Required', 'proxy', None, False),
    ('proxy fail; 403 Forbidden', 'proxy', None, False), ('proxy fail; 502 Bad Gateway', 'proxy', None, True),
    ('proxy fail; 503', 'proxy', None, True),
    ('proxy fail; SOCKS5 authentication failed', 'proxy', None, False),
    ('proxy fail; SOCKS5 no acceptable authentication method', 'proxy', None, False),
    ('proxy fail; SOCKS5 connection not allowed by ruleset', 'proxy', None, False),
    ('proxy fail; SOCKS5 command not supported', 'proxy', None, False),
    ('proxy fail; SOCKS4 can reach IPv4 addresses only, not [::1]', 'proxy', None, False),
    ('proxy fail; SOCKS5 connection refused', 'proxy', None, True),
    ('proxy fail; SOCKS4 request rejected or failed', 'proxy', None, True),
    ('proxy fail; the proxy closed the connection before its HTTP answer was complete', 'proxy', None, True),
    ('upgrade timed out after 30.0s', 'upgrade', None, True),
    ('bad url', 'prepare', ValueError('bad url'), False), ('nothing known', 'prepare', None, False),
    ('ca.pem: no such file', 'prepare', IOError(errno.ENOENT, 'No such file', 'ca.pem'), False),
    ('ca.pem: permission denied', 'prepare', OSError(errno.EACCES, 'Permission denied'), False),
    ('ca.pem: no PEM', 'prepare', ssl.SSLError('no certificate found'), False),
    ('url(): the token server is away', 'prepare', socket.error(errno.ECONNREFUSED, 'refused'), True)])
def test_transient_connect_fail(reason, stage, error, expected):
    """Network errors are transient; bad certificates, refusals and settings are not."""
    assert transient(events.ConnectFail(reason, error=error, stage=stage)) is expected


@pytest.mark.parametrize('status, expected', [
    (403, False), (407, False), (429, True), (503, True), (None, False)])
def test_transient_answer_of_a_proxy(status, expected):
    """Its status decides, whatever its words are."""
    fail = events.ConnectFail('x; certificate', stage='proxy', response=Response(status))
    assert transient(fail) is expected


def test_transient_without_ssl(monkeypatch):
    """It works without importing ssl, as in a program that never used TLS."""
    monkeypatch.delitem(sys.modules, 'ssl')
    assert transient(events.ConnectFail('x', error=ValueError('x'), stage='connect')) is True
    assert transient(events.ConnectFail('x', error=ValueError('x'), stage='prepare')) is False
    assert 'ssl' not in sys.modules
