# -*- coding: utf-8 -*-
"""Which web pages may connect (RFC 6455, 10.2): the table of ``origins``, and what a program may give."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond.protocol.origins import check_origins, is_allowed

APP = 'https://app.example'

#: (Origin lines, Host, allowed by default, allowed by a list of APP and 'null')
ROWS = [
    # programs
    ('', 'app.example', True, True), ('', '', True, True), ('', 'evil.example', True, True),
    # default ports, on either side
    (APP, 'app.example', True, True), (APP, 'app.example:443', True, True),
    (APP + ':443', 'app.example', True, False), (APP + ':443', 'app.example:443', True, False),
    (APP, 'app.example:', True, True), ('http://app.example', 'app.example', True, False),
    ('http://app.example', 'app.example:80', True, False), (APP, 'app.example:80', False, True),
    ('http://app.example:8080', 'app.example:8080', True, False), (APP, 'app.example:8080', False, True),
    ('http://app.example:8080', 'app.example', False, False),
    ('ws://app.example', 'app.example:80', True, False),
    # proxies: TLS may end there; a Host of the inside does not match
    (APP + ':8443', 'app.example:8443', True, False), (APP, '127.0.0.1:8000', False, True),
    (APP, 'backend', False, True), ('http://localhost:8000', '127.0.0.1:8000', False, False),
    # other hosts
    ('https://evil.example', 'app.example', False, False),
    ('https://app.example.evil.example', 'app.example', False, False),
    ('https://evil-app.example', 'app.example', False, False),
    ('https://www.app.example', 'app.example', False, False),
    ('https://evil.example', 'evil.example', True, False),          # DNS rebinding: only a list helps
    # IPv6
    ('http://[::1]:8080', '[::1]:8080', True, False), ('http://[::1]', '[::1]', True, False),
    ('http://[::1]', '[::1]:80', True, False), ('http://[::1]:8080', '[::2]:8080', False, False),
    ('http://[::1]:8080', '::1:8080', False, False), ('http://[::FFFF]', '[::ffff]', True, False),
    # null, case, userinfo
    ('null', 'app.example', False, True), ('null', 'null', False, True), ('', 'null', True, True),
    ('HTTPS://App.Example', 'aPP.eXAMPLE', True, True),
    ('https://app.example@evil.example', 'app.example', False, False),
    ('https://evil.example@app.example', 'app.example', False, False), (APP, 'user@app.example', False, True),
    # missing Host, two lines, no origins
    (APP, '', False, True), (APP + '|' + APP, 'app.example', False, False),
    (APP + '|null', 'app.example', False, False), (APP + ' ' + APP, 'app.example', False, False),
    (APP + ',' + APP, 'app.example', False, False), (APP + '/', 'app.example', False, False),
    (APP + '/page', 'app.example', False, False), ('app.example', 'app.example', False, False),
    ('https://', '', False, False), (' ', ' ', False, False), (APP + ':', 'app.example', False, False),
    (APP + ':443443', 'app.example', False, False), (APP + '\n', 'app.example', False, False),
    ('https://caf\xe9.example', 'caf\xe9.example', False, False),
    # other schemes have no default port
    ('chrome-extension://abc', 'abc', False, False), ('app://x:1', 'x:1', True, False),
    ('app://x', 'x:1', False, False)]


@pytest.mark.parametrize('origin, host, by_default, by_list', ROWS)
def test_foreign_origin(origin, host, by_default, by_list):
    lines = origin.split('|') if origin else []
    assert is_allowed(None, lines, host) is by_default
    assert is_allowed(check_origins([APP, 'null']), lines, host) is by_list
    assert is_allowed('*', lines, host)
    assert is_allowed(check_origins(()), lines, host) is (not origin)


def test_rebinding_needs_a_list():
    assert is_allowed(None, ['http://evil.example'], 'evil.example')
    assert not is_allowed(check_origins(['http://app.example']), ['http://evil.example'], 'evil.example')


@pytest.mark.parametrize('given, checked', [
    (None, None), ('*', '*'), ([], []), ([APP], [APP]), (('HTTPS://App.example', 'null'), [APP, 'null']),
    ({APP + ':443'}, [APP, APP + ':443']), (['http://x:8080'], ['http://x:8080']),
    (frozenset(['app://x:1']), ['app://x:1'])])
def test_check_origins(given, checked):
    found = check_origins(given)
    assert found == (frozenset(checked) if isinstance(checked, list) else checked)
    assert found is None or found == '*' or check_origins(found) == found


@pytest.mark.parametrize('given, error, words', [
    (APP, TypeError, "origins must be None, '*' or a list of text, not "), (7, TypeError, 'not 7'),
    ([7], TypeError, 'an origin must be text, not int'), ([None], TypeError, 'not NoneType'),
    (['app.example'], ValueError, "origin 'app.example' is not like 'https://app.example'"),
    ([APP + '/'], ValueError, 'no path'), ([APP + '/x'], ValueError, 'no path'),
    (['*'], ValueError, "origin '*' has a wildcard; each entry is one origin, and only origins='*' allows"),
    (['https://*.app.example'], ValueError, "origin 'https://*.app.example' has a wildcard"),
    (['https://a:65536'], ValueError, "origin 'https://a:65536' has port 65536; 0 to 65535 is allowed"),
    ([''], ValueError, "origin ''"),
    ([APP, 'https://a@b'], ValueError, 'a@b'), (['https://a:port'], ValueError, 'a:port')])
def test_bad_origins(given, error, words):
    with pytest.raises(error) as caught:
        check_origins(given)
    assert words in str(caught.value)
