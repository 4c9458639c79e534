"""Endpoint and Attempt without a WebSocket: one record of options, several attempts."""

from __future__ import absolute_import, division, unicode_literals

import copy

import pytest

from lomond import WebSocket, errors
from lomond.client.attempt import Attempt, Hooks, Running
from lomond.response import Response

REDIRECT = Response(b'HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n')


def endpoint_of(url='ws://example.test/chat', **options):
    """The endpoint of a WebSocket with these options."""
    return WebSocket(url, proxies={}, **options)._endpoint


def test_attempt_needs_only_an_endpoint():
    endpoint = endpoint_of(protocols=['a'], headers={'X': '1'})
    attempt = Attempt(endpoint, Running())
    assert attempt.prepare() is None and attempt.shown_url == 'ws://example.test/chat'
    lines = attempt.request().split(b'\r\n')
    assert lines[0] == b'GET /chat HTTP/1.1'
    assert {b'X: 1', b'Sec-WebSocket-Protocol: a', b'Sec-WebSocket-Key: ' + attempt.key} <= set(lines)


def test_an_attempt_changes_nothing_in_its_endpoint():
    urls = ['ws://example.test/a', 'ws://example.test/b']
    endpoint = endpoint_of(lambda: urls.pop(0), max_redirects=1)
    before = dict(vars(endpoint))
    first = Attempt(endpoint, Running())
    assert first.prepare() is None and first.goes_on(REDIRECT)
    second = Attempt(endpoint, Running(), first_target=first.first_target)
    assert second.target is None and second.first_target.resource == '/a'       # until it is asked
    assert second.prepare() is None and second.first_target.resource == '/b'
    assert vars(endpoint) == before


def test_attempts_of_one_websocket_run_one_at_a_time():
    endpoint, running = endpoint_of(), Running()
    first, second = Attempt(endpoint, running), Attempt(endpoint, running)
    first.session, second.session = object(), object()
    first.begin(first.session)
    assert first.is_running(first.session) and not second.is_running(second.session)
    with pytest.raises(errors.WebSocketError) as caught:
        second.begin(second.session)
    assert 'already running' in str(caught.value)
    second.end(second.session)              # it did not run, so nothing changes
    assert first.is_running(first.session)
    first.end(first.session)
    second.is_superseded = True
    with pytest.raises(errors.WebSocketError) as caught:
        second.begin(second.session)
    assert 'superseded' in str(caught.value)


def test_hooks_are_called_until_the_end():
    attempt = Attempt(endpoint_of(), Running(), Hooks(lambda: b'mine', None, None))
    attempt.session = object()
    attempt.begin(attempt.session)
    assert attempt.request() == b'mine' != attempt.build_request()
    attempt.end(attempt.session)
    assert attempt.request() == attempt.build_request()


def test_what_a_copy_has_of_its_own():
    endpoint = endpoint_of(protocols=['a'])
    endpoint.add_header(b'X', b'1')
    twin = copy.copy(endpoint)
    twin.add_header(b'X', b'2')
    twin.agent = 'twin'
    assert endpoint.added_headers == [(b'X', b'1')] and twin.added_headers == [(b'X', b'1'), (b'X', b'2')]
    assert endpoint.agent != 'twin' and twin.protocols == ['a'] and twin.target is endpoint.target
