# -*- coding: utf-8 -*-
"""No secret is in a repr, a reason, a log line, a trace record, or the text of a
traceback (SECURITY.md).

What a connection says while it goes well or fails is in ``test_http_answers`` and
``test_trace``, what the command line says in ``test_cli``.
"""

from __future__ import absolute_import, division, unicode_literals

import logging
import traceback

import pytest
from support.certificates import server_context
from support.client import play
from support.peer import Server

from lomond import WebSocket
from lomond._compat import text_type
from lomond.auth import DigestAuth
from lomond.network.proxy_handshake import Socks4, Socks5
from lomond.network.proxy_settings import parse_proxy
from lomond.persist import persist

SECRET = 'hunter2'
URL = 'ws://127.0.0.1:1/'


def told(error):
    """All that a traceback says: the messages of causes and contexts, too."""
    lines = traceback.format_exception(type(error), error, getattr(error, '__traceback__', None))
    return '\n'.join(line if isinstance(line, text_type) else line.decode('utf-8', 'replace')
                     for line in lines) + repr(error)


REFUSED = [
    dict(url='ws://me:hunter2@host:99999/'), dict(url='ws://hunter2@host:99999/'),
    dict(url='ws://hunter2:@host:99999/'), dict(url='ftp://me:hunter2@host/'),
    dict(url='ws://me:hunter2\n@host/'), dict(url='ws://me:hun/ter2hunter2@host/'),
    dict(url='ws://me:hunter2\ud800@host/'), dict(url='ws://h\xf6st..x/?token=hunter2'),
    dict(url='ws://host:0/?token=hunter2#hunter2'), dict(url='ws://host/ \t?token=hunter2'),
    dict(url='ws://host/?token=hunter2\r\nX: y'), dict(url='me:hunter2@host'),
    dict(url=b'ws://me:hunter2@h\xff'),
    dict(proxies={'http': 'ftp://me:hunter2@p:1/'}), dict(proxies={'all': 'http://hunter2@p:99999'}),
    dict(proxies={'all': 'socks5://me:' + 'hunter2' * 50 + '@p:1'}),
    dict(proxies={'all': 'http://me:hunter2@p:1/path?hunter2'}), dict(proxies={'all': 'me:hunter2@p:x'}),
    dict(proxies={'all': ['http://me:hunter2@p']}),
    dict(auth=('me:x', 'hunter2')), dict(auth=('me', 'hunter2\n')), dict(auth=('me', 'hunter2\ud800')),
    dict(auth=('hunter2', 5)), dict(auth='me:hunter2'), dict(auth=('me', 'hunter2', 'x')),
    dict(headers={'Authorization': 'Bearer hunter2\r\n'}),
    dict(headers={'Authorization: Bearer hunter2': 'x'}),
    dict(headers={'Authorization': ['hunter2']}), dict(headers=['Authorization: hunter2']),
    dict(headers={'X': 'hunter2\ud800\n'}), dict(headers='Authorization: hunter2'),
    dict(headers=[('Cookie', 'hunter2', 'x')]), dict(headers={'Sec-WebSocket-Key': 'hunter2'}),
    dict(cookies='id=hunter2\n'), dict(cookies={'id': 'hunter2;'}), dict(cookies={'id': ['hunter2']}),
    dict(cookies={'id': 'hunter2\x00'}), dict(cookies='id=hunter2\ud800'), dict(origin='hunter2\ud800'),
    dict(agent='hunter2\ud800'), dict(cookies=['id=hunter2']), dict(cookies=7),
    dict(ssl_cert=('a.pem', 'b.pem', 'hunter2', 'x')), dict(ssl_cert=('a.pem', 'b.pem', ['hunter2'])),
    dict(ssl_cert=('a.pem', '', 'hunter2')), dict(ssl_cert=('a.pem', 'b.pem', 'hunter2'), ssl_context=7),
]


@pytest.mark.parametrize('options', REFUSED, ids=lambda options: repr(sorted(options)))
def test_refusals(options):
    """Of the constructor, whatever is wrong and wherever."""
    with pytest.raises((ValueError, TypeError)) as caught:
        WebSocket(**dict(dict(url=URL), **options))
    assert SECRET not in told(caught.value)


def test_refusals_of_methods():
    made = WebSocket(URL, proxies={})
    for name, value in ((b'Authorization', b'hunter2\n'), (b'Authorization: hunter2', b''),
                        ('Authorization', 'hunter2'), (b'Cookie', 'hunter2')):
        with pytest.raises((ValueError, TypeError)) as caught:
            made.add_header(name, value)
        assert SECRET not in told(caught.value)
    for values in (('me', 'hunter2\n'), ('me', b'hunter2\xff'), ('me', 'hunter2\ud800'),
                   ('hunter2\x7f', 'x')):
        with pytest.raises((ValueError, TypeError)) as caught:
            DigestAuth(*values)
        assert SECRET not in told(caught.value)
    user = (SECRET + '\x00') * 40
    for make in (lambda: Socks4('host.test', 80, user, remote_dns=True),
                 lambda: Socks5('host.test', 80, user)):
        with pytest.raises(ValueError) as caught:
            make()
        assert SECRET not in told(caught.value)


REPRS = [
    dict(url='ws://me:hunter2@host/'), dict(url='wss://hunter2@host/'), dict(url='wss://hunter2:@host/'),
    dict(url='ws://:hunter2@host/'), dict(auth=('me', 'hunter2')), dict(auth=DigestAuth('me', 'hunter2')),
    dict(cookies={'id': 'hunter2'}), dict(headers={'Authorization': 'hunter2'}),
    dict(proxies={'all': 'http://hunter2@p:1'}), dict(ssl_cert=('a.pem', 'b.pem', 'hunter2')),
]


@pytest.mark.parametrize('options', REPRS, ids=lambda options: repr(sorted(options)))
def test_reprs(options):
    made = WebSocket(**dict(dict(url=URL, proxies={}), **options))
    made.add_header(b'Cookie', b'hunter2')
    connection = made.connect()
    parts = [made, made.state, made.session, made.session._core, made._endpoint, made._target, connection,
             made.state.core.handshake]
    if 'proxies' in options:
        parts.append(parse_proxy(options['proxies']['all']))
    if hasattr(made.auth, 'answer'):
        parts.append(made.auth)
    for part in parts:
        assert SECRET not in repr(part), part


def everything(ws, caplog, **settings):
    """The events of a connection, and all it says on every way that SECURITY.md names.
    """
    records, said = [], []
    ws.trace = records.append
    events = list(ws.connect(**settings))
    for event in events:
        said.append(repr(event))
        for name in ('reason', 'url', 'proxy', 'location'):
            said.append('{}'.format(getattr(event, name, '')))
        if getattr(event, 'error', None) is not None and isinstance(event.error, Exception):
            said.append(told(event.error))
    said += [repr(records), repr(ws)] + [record.getMessage() for record in caplog.records]
    assert records and caplog.records
    return events, '\n'.join(said)


@pytest.mark.parametrize('userinfo', ['hunter2@', 'hunter2:@', 'me:hunter2@', ':hunter2@', 'me:%68unter2@'])
def test_userinfo(caplog, userinfo):
    """A token as a user without a password is as secret as a password."""
    caplog.set_level(logging.DEBUG)
    heads = []

    def script(peer):
        heads.append(peer.read_head())
        peer.send(b'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n')
    with Server(script) as server:
        ws = WebSocket(server.url().replace('://', '://' + userinfo), proxies={})
        events, said = everything(ws, caplog)
    assert [event.name for event in events] == ['connecting', 'connected', 'rejected', 'disconnected']
    assert '***@127.0.0.1' in events[0].url and '***@127.0.0.1' in repr(ws)
    assert SECRET not in said and userinfo not in said


@pytest.mark.parametrize('location', [
    'ftp://host/?code=hunter2', '//me:hunter2@host:0/', 'ws://hunter2@host:99999/', '/\\?code=hunter2',
    'http://me:hunter2@127.0.0.1:{port}/next?code=hunter2', '/next?code=hunter2#hunter2'])
def test_redirects(caplog, location):
    """A Location may hold a code that is as good as a password."""
    caplog.set_level(logging.DEBUG)

    def script(peer):
        head = peer.read_head()
        if b'/next' in head:
            peer.send(b'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n')
            return
        place = location.format(port=server.port)
        peer.send(b'HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ' + place.encode('ascii') +
                  b'\r\n\r\n')
    with Server(script, script) as server:
        events, said = everything(WebSocket(server.url(), proxies={}, max_redirects=2), caplog)
    names = [event.name for event in events]
    assert names[-2:] == ['rejected', 'disconnected'] and ('redirected' in names) == ('next' in location)
    shown = said
    for event in events:
        if event.name == 'redirected':      # the attribute is the URL that is asked; all else tells less
            assert event.location.endswith('/next?code=hunter2') and 'me:' not in event.location
            shown = shown.replace('\n' + event.location + '\n', '\n')
    assert SECRET not in shown


def test_redirect_to_clear_text(caplog, certs):
    caplog.set_level(logging.DEBUG)

    def script(peer):
        peer.read_head()
        peer.send(b'HTTP/1.1 302 Found\r\nContent-Length: 0\r\n'
                  b'Location: http://127.0.0.1:1/?code=hunter2\r\n\r\n')
    with Server(script, tls=server_context(certs.server)) as server:
        ws = WebSocket(server.url(), proxies={}, max_redirects=2, ssl_cafile=certs.ca)
        events, said = everything(ws, caplog)
    assert events[-2].name == 'rejected' and 'redirect from wss to ws refused' in events[-2].reason
    assert SECRET not in said


@pytest.mark.parametrize('scheme', ['http', 'socks4a', 'socks5h'])
def test_proxies(caplog, scheme):
    """It says no; with its password, and in the words of a proxy that repeats it."""
    caplog.set_level(logging.DEBUG)

    def script(peer):
        if scheme == 'http':
            peer.read_head()
        peer.send({'http': b'HTTP/1.1 407 No\r\nX: hunter2\r\n\r\n', 'socks4a': b'\x00\x5b' + b'\0' * 6,
                   'socks5h': b'\x05\xff'}[scheme])
        peer.read_end()
    with Server(script) as server:
        proxy = '{}://me:hunter2@127.0.0.1:{}'.format(scheme, server.port)
        events, said = everything(WebSocket('ws://host.test/', proxies={'all': proxy}), caplog)
    assert events[-1].name == 'connect_fail' and events[-1].reason.startswith('proxy fail; ')
    assert SECRET not in said


def test_password_of_a_certificate(caplog, certs, tmpdir):
    caplog.set_level(logging.DEBUG)
    key = tmpdir.join('locked.pem')
    key.write('-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n'
              '-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2\n-----END ENCRYPTED PRIVATE KEY-----\n')
    for path in ('/nowhere/at/all.pem', str(key)):
        ws = WebSocket('wss://127.0.0.1:1/', proxies={}, ssl_cert=(path, path, 'hunter2'))
        events, said = everything(ws, caplog)
        assert events[-1].stage == 'prepare' and path in events[-1].reason
        assert SECRET not in said


def test_persist_tells_no_more(caplog):
    caplog.set_level(logging.DEBUG)
    ws = WebSocket('ws://me:hunter2@127.0.0.1:1/', proxies={}, headers={'Cookie': 'hunter2'})
    said = [repr(event) for event in persist(ws, max_retries=2, min_wait=0, max_wait=0)]
    said += [record.getMessage() for record in caplog.records]
    assert 'GaveUp' in said[-len(caplog.records) - 1] and any('attempt' in line for line in said)
    assert SECRET not in '\n'.join(said)


def test_values_of_headers_that_come(caplog):
    """Cookies and challenges of the server are no matter for a log."""
    caplog.set_level(logging.DEBUG)

    def script(peer):
        peer.accept(b'Set-Cookie: session=hunter2')
        peer.text('hunter2')
        peer.end()
    with Server(script) as server:
        records = []
        played = play(server.url(), options={'trace': records.append, 'proxies': {}})
    assert played.names.endswith('text closing disconnected')
    said = [repr(event) for event in played.events if event.name != 'text']
    said += [repr(records)] + [record.getMessage() for record in caplog.records]
    assert SECRET not in '\n'.join(said)
