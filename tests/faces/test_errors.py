# -*- coding: utf-8 -*-
"""The tree of exceptions, and what their messages are."""

from __future__ import absolute_import, division, unicode_literals

import copy
import pickle

import pytest

from lomond import errors
from lomond.network.dialer import DialFail
from lomond.network.tls_errors import CertificateFail

# api.md, section 5
PARENTS = {
    'WebSocketError': 'Exception', 'FrameBuildError': 'WebSocketError', 'HandshakeError': 'WebSocketError',
    'CompressionParameterError': 'HandshakeError', 'ProtocolError': 'WebSocketError',
    'PayloadTooLarge': 'ProtocolError', 'CriticalProtocolError': 'WebSocketError',
    'ConnectFail': 'WebSocketError', 'ProxyFail': 'ConnectFail', 'TransportFail': 'WebSocketError',
    'SendTimeout': 'TransportFail', 'QueueFull': 'WebSocketError', 'WebSocketUnavailable': 'WebSocketError',
    'WebSocketClosing': 'WebSocketUnavailable', 'WebSocketClosed': 'WebSocketUnavailable',
    'ReceiveTimeout': 'WebSocketError', 'UpgradeRefused': 'HandshakeError',
    'UpgradeUnavailable': 'WebSocketError'}
ALL = sorted(PARENTS)


def text_of(error):
    """The message as text on every Python."""
    return '{}'.format(error)


def test_tree():
    found = dict((name, value.__mro__[1].__name__) for name, value in vars(errors).items()
                 if isinstance(value, type) and issubclass(value, Exception))
    assert found == PARENTS
    assert all(getattr(errors, name).__doc__ for name in PARENTS)


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('arguments, keywords, message', [
    ((), {}, ''), (('finished',), {}, 'finished'),
    (('braces {} {0} {x} }{ are harmless',), {}, 'braces {} {0} {x} }{ are harmless'),
    (('{} of {!r}', 1, 2), {}, '1 of 2'), (('{x}',), {'x': 'y'}, 'y'), (('{0} {x}', 1), {'x': 2}, '1 2'),
    (('\xfcber \u2603',), {}, '\xfcber \u2603'), (('{}', '\u2603'), {}, '\u2603')])
def test_message(name, arguments, keywords, message):
    error = getattr(errors, name)(*arguments, **keywords)
    assert text_of(error) == message
    assert error.args == (message,)
    assert isinstance(str(error), str)          # on 2.7 UTF-8
    assert isinstance(repr(error), str)


@pytest.mark.parametrize('value', [b'\xc3\xbc', b'plain', 5, None])
def test_odd_messages(value):
    """Whatever was given, it can be shown."""
    error = errors.WebSocketError(value)
    assert error.args == (value,)
    assert text_of(error) in ('\xfc', 'plain', '5', 'None')
    error.args = ()
    assert text_of(error) == ''


@pytest.mark.parametrize('error', [getattr(errors, name)('50 % of {}', 'x') for name in ALL] + [
    DialFail('50 % of x', 'tls', errors.TransportFail('y')), CertificateFail('50 % of x')])
def test_copies(error):
    """Among processes: `multiprocessing` hands exceptions on."""
    error.error = errors.SendTimeout('{}')      # some have the cause as an attribute
    for other in [copy.copy(error), copy.deepcopy(error)] + [
            pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]:
        assert type(other) is type(error) and other.args == error.args and text_of(other) == '50 % of x'
        assert text_of(other.error) == '{}' and getattr(other, 'stage', 'tls') == 'tls'


@pytest.mark.parametrize('base', ALL)
def test_raised_and_caught(base):
    for name in ALL:
        kind, parent = getattr(errors, name), getattr(errors, base)
        if issubclass(kind, parent):
            with pytest.raises(parent):
                raise kind('x')
