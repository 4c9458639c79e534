# -*- coding: utf-8 -*-
"""WebSocket: its arguments, members and sends, and how connect() behaves."""

from __future__ import absolute_import, division, unicode_literals

import array
import base64
import copy
import gc
import inspect
import os
import pickle
import re
import ssl
import threading
import time
import weakref

import pytest
from support.client import Played, Wait, in_thread, play
from support.cookies import CookieJar
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, close_payload, frame, read_frames
from support.interpreters import counted
from support.peer import Server, upgrade

import lomond
from lomond import WebSocket, constants, errors
from lomond._compat import PY2, monotonic, text_type
from lomond.auth import DigestAuth
from lomond.compression import Deflate
from lomond.session import WebsocketSession
from lomond.testing import ACCEPT, EOF, ScriptedTransport

GOOD = 'connecting connected ready'
URL = 'ws://example.test/'


class FakeSession(object):
    """A session that only records its calls."""

    session_time = 2.5

    def __init__(self, websocket):
        self.websocket = websocket
        self.calls = []

    def run(self, **settings):
        self.settings = settings
        return iter([])

    def send(self, opcode, payload, compress=False):
        self.calls.append(('send', opcode, payload, compress))

    def write(self, data):
        self.calls.append(('write', data))

    def close(self):
        self.calls.append(('close',))

    def force_disconnect(self):
        self.calls.append(('force_disconnect',))


def ready(url=URL, **options):
    """A WebSocket that is Ready, with a :class:`FakeSession`."""
    ws = WebSocket(url, proxies={}, **options)
    ws.connect(FakeSession)
    assert [event.name for event in ws.feed(answer(ws))] == ['ready']
    return ws


def answer(ws, *lines):
    return upgrade(ws.key, *lines)


# -- the constructor

def test_defaults():
    ws = WebSocket(URL)
    expected = dict(url=URL, protocols=[], agent=constants.USER_AGENT, compress=False, ssl_verify=True,
                    ssl_cafile=None, ssl_context=None, trace=None, headers=None, origin=None, auth=None,
                    cookies=None, ssl_cert=None, ssl_fingerprint=None, max_message_size=64 * 1024 * 1024,
                    max_redirects=0, source_address=None, socket_options=None, uds=None,
                    server_hostname=None, proxy_headers=None, stream_from=None)
    assert dict((name, getattr(ws, name)) for name in expected) == expected
    assert (ws.proxies['http'], ws.proxies['https']) == (None, None)


def test_values_are_kept():
    context = ssl.create_default_context()
    values = dict(protocols=['a', 'b'], agent='me', compress=Deflate(level=9), ssl_verify=False,
                  ssl_cafile='ca.pem',
                  ssl_context=context, trace=print_, headers={'X': 'y'}, origin='https://x',
                  auth=('me', 'secret'),
                  cookies={'a': 'b'}, max_message_size=None, max_redirects=3, source_address=('127.0.0.1', 0),
                  socket_options=[(1, 2, 3)], uds='/tmp/x', server_hostname='Server.test',
                  proxy_headers=[('X', 'y')])
    ws = WebSocket(URL, **values)
    for name, value in values.items():
        assert getattr(ws, name) == value, name
    assert ws.ssl_context is context


def print_(record):
    """A trace callback."""


CALLABLE = lambda: URL          # noqa: E731

class Equal(object):
    """Equal to everything, as ``mock.ANY`` is; no dict."""

    __hash__ = None

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


#: Arguments that are refused, with the exception and a word of its message.
REFUSED = [
    (dict(url=None), TypeError, 'url'), (dict(url=80), TypeError, 'url'), (dict(url=''), ValueError, ''),
    (dict(url='ftp://x/'), ValueError, 'ftp'), (dict(url='ws:///x'), ValueError, 'host'),
    (dict(url='ws://x:0/'), ValueError, 'port'), (dict(url='ws://x:65536/'), ValueError, 'port'),
    (dict(url='ws://x/a\r\nb'), ValueError, ''), (dict(url='ws://x/a\tb'), ValueError, ''),
    (dict(url='ws://x\\y/'), ValueError, ''), (dict(url='ws://a..b/'), ValueError, 'label'),
    (dict(proxies='http://p:1'), TypeError, 'proxies'), (dict(proxies=Equal()), TypeError, 'proxies'),
    (dict(proxies={'http': 'ftp://p:1'}), ValueError, 'ftp'),
    (dict(proxies={'http': 5}), (TypeError, ValueError), ''),
    (dict(protocols='chat'), TypeError, 'protocols'), (dict(protocols=[1]), TypeError, 'protocol'),
    (dict(protocols=['']), ValueError, 'token'), (dict(protocols=['a b']), ValueError, 'token'),
    (dict(protocols=['a', 'a']), ValueError, 'twice'), (dict(protocols=['\xe9']), ValueError, 'token'),
    (dict(protocols=['a\r\nb']), ValueError, 'token'),
    (dict(agent=5), TypeError, 'agent'), (dict(agent='a\r\nb'), ValueError, ''),
    (dict(agent='a\0b'), ValueError, ''),
    (dict(compress='yes'), TypeError, 'compress'), (dict(compress=object()), TypeError, 'compress'),
    (dict(ssl_cafile=5), TypeError, 'ssl_cafile'), (dict(ssl_context='x'), TypeError, 'ssl_context'),
    (dict(ssl_context='CONTEXT', ssl_cert='x.pem'), ValueError, 'ssl_cert'),
    (dict(ssl_context='CONTEXT', ssl_fingerprint='sha256:' + 'ab' * 32), ValueError, 'ssl_fingerprint'),
    (dict(ssl_cert=5), TypeError, 'ssl_cert'),
    (dict(ssl_cert=('a', 'b', 'c', 'd')), (TypeError, ValueError), 'ssl_cert'),
    (dict(ssl_fingerprint=5), TypeError, 'ssl_fingerprint'),
    (dict(ssl_fingerprint='sha1:' + 'ab' * 20), ValueError, 'ssl_fingerprint'),
    (dict(ssl_fingerprint='sha256:abc'), ValueError, 'ssl_fingerprint'),
    (dict(headers='X: y'), TypeError, 'headers'), (dict(headers=5), TypeError, 'headers'),
    (dict(headers=[('a',)]), TypeError, 'pairs'), (dict(headers={'X': 5}), TypeError, 'header'),
    (dict(headers={'X': 'a\r\nb'}), ValueError, ''), (dict(headers={'X y': 'a'}), ValueError, ''),
    (dict(headers={'X': 'a\0b'}), ValueError, ''), (dict(headers={'': 'a'}), ValueError, ''),
    (dict(headers={'Upgrade': 'x'}), ValueError, 'upgrade'),
    (dict(headers={'connection': 'x'}), ValueError, 'connection'),
    (dict(headers={'Sec-WebSocket-Key': 'x'}), ValueError, 'sec-websocket-key'),
    (dict(origin=5), TypeError, 'origin'), (dict(origin='a\nb'), ValueError, ''),
    (dict(auth='me:secret'), TypeError, 'auth'), (dict(auth=('me',)), TypeError, 'auth'),
    (dict(auth=('m:e', 'secret')), ValueError, ''), (dict(auth=(1, 2)), TypeError, ''),
    (dict(cookies=5), TypeError, 'cookies'), (dict(cookies={'a': 5}), TypeError, 'cookie'),
    (dict(cookies={'a': 'b; c=d'}), ValueError, 'cookie'), (dict(cookies={'a=b': 'c'}), ValueError, 'cookie'),
    (dict(cookies='a=b\r\nX: y'), ValueError, ''),
    (dict(max_message_size=-1), ValueError, 'max_message_size'),
    (dict(max_message_size='1'), TypeError, 'max_message_size'),
    (dict(max_message_size=1.5), TypeError, 'max_message_size'),
    (dict(max_message_size=True), TypeError, 'max_message_size'),
    (dict(stream_from=-1), ValueError, 'stream_from'), (dict(stream_from=True), TypeError, 'stream_from'),
    (dict(stream_from=1.0), TypeError, 'stream_from'),
    (dict(max_redirects=-1), ValueError, 'max_redirects'),
    (dict(max_redirects='1'), TypeError, 'max_redirects'),
    (dict(source_address='127.0.0.1'), TypeError, 'source_address'),
    (dict(source_address=('127.0.0.1', 70000)), ValueError, 'source_address'),
    (dict(source_address=(5, 5)), TypeError, 'source_address'),
    (dict(source_address=('127.0.0.1', '5')), TypeError, 'source_address'),
    (dict(socket_options=5), TypeError, 'socket_options'),
    (dict(socket_options=[(1, 2)]), ValueError, 'socket option'),
    (dict(socket_options=[(1, 'x', 2)]), TypeError, 'socket option'),
    (dict(socket_options=[(1, 2, 'x')]), TypeError, 'socket option'),
    (dict(uds=5), TypeError, 'uds'), (dict(uds=''), ValueError, 'uds'),
    (dict(uds='/a\0b'), ValueError, 'uds'),
    (dict(server_hostname=5), TypeError, 'server_hostname'),
    (dict(server_hostname=''), ValueError, 'server_hostname'),
    (dict(server_hostname='a:443'), ValueError, 'server_hostname'),
    (dict(proxy_headers='X: y'), TypeError, 'proxy_headers'), (dict(proxy_headers=5), TypeError, 'not int'),
    (dict(proxy_headers=[('a',)]), TypeError, 'proxy_headers'),
    (dict(proxy_headers={'X': 5}), TypeError, 'header'), (dict(proxy_headers={'X y': 'a'}), ValueError, ''),
    (dict(proxy_headers={'X': 'a\r\nb'}), ValueError, "'X'"),
    (dict(proxy_headers=iter(())), TypeError, 'proxy_headers'),
    (dict(proxy_headers={'Connection': 'close'}), ValueError, 'cannot be given in proxy_headers'),
    (dict(proxies={'https://': 'http://p:1'}), ValueError, "'https://'")]


@pytest.mark.parametrize('values, kind, word', REFUSED)
def test_refused(values, kind, word):
    """The message names the value and says what is allowed; there is no I/O."""
    values = dict(dict(url=URL), **values)
    if values.get('ssl_context') == 'CONTEXT':
        values['ssl_context'] = ssl.create_default_context()
    with pytest.raises(kind) as caught:
        WebSocket(**values)
    sentence = text_type(caught.value)
    assert type(caught.value) in (TypeError, ValueError)
    assert word in sentence and len(sentence.split()) > 3
    assert not sentence.endswith('.')


@pytest.mark.parametrize('secret', [
    dict(auth=('user:with colon', 'hunter2')), dict(url='ws://user:hunter2@x:99999/'),
    dict(proxies={'http': 'ftp://user:hunter2@p:1/'}), dict(cookies='session=hunter2\n'),
    dict(headers={'Authorization': 'hunter2\n'}), dict(proxy_headers={'Proxy-Authorization': 'hunter2\n'}),
    dict(proxies={'http://user:hunter2@p:1/': 'http://p:1/'})])
def test_refusals_keep_secrets(secret):
    with pytest.raises(ValueError) as caught:
        WebSocket(**dict(dict(url=URL), **secret))
    assert 'hunter2' not in text_type(caught.value)


@pytest.mark.parametrize('values', [
    dict(protocols=('a', 'b')), dict(protocols=[]), dict(agent=''), dict(compress=None), dict(compress=1),
    dict(compress=0),
    dict(headers=[('A', 'b'), (b'A', b'c')]), dict(headers=CALLABLE), dict(headers={}), dict(origin='null'),
    dict(auth=DigestAuth('me', 'secret')), dict(auth=['me', '']), dict(cookies=''), dict(cookies='a=b; c=d'),
    dict(cookies={}),
    dict(max_message_size=0), dict(max_redirects=0), dict(source_address=('::1', 0)), dict(socket_options=()),
    dict(proxy_headers={b'Proxy-Authorization': 'x'}), dict(proxy_headers=CALLABLE), dict(proxy_headers=()),
    dict(uds=b'/tmp/x'), dict(trace=True), dict(trace=0), dict(proxies={'all': None}),
    dict(proxies={'ws': 'p:1'}), dict(ssl_cert=('a', 'b')), dict(ssl_cert=['a', 'b', 'c']),
    dict(ssl_fingerprint='sha256:' + 'AB:' * 31 + 'AB'),
    dict(url='http://x'), dict(url='https://x'), dict(url='ws://\u2603.test/\u2603?q=a b'),
    dict(url=CALLABLE), dict(url='ws://x:80?q#fragment')])
def test_accepted(values):
    ws = WebSocket(**dict(dict(url=URL), **values))
    assert ws.is_active and repr(ws).startswith('WebSocket(')


def test_files_are_not_opened():
    ws = WebSocket('wss://127.0.0.1:1/', ssl_cafile='/nowhere/ca.pem', ssl_cert='/nowhere/cert.pem',
                   proxies={})
    events = list(ws)
    assert [event.name for event in events] == ['connecting', 'connect_fail']
    assert events[1].stage == 'prepare' and '/nowhere/' in events[1].reason


def test_native_text_of_2_7():
    ws = WebSocket(str(URL), protocols=[str('a')], agent=str('me'), origin=str('o'),
                   headers={str('X'): str('y')}, auth=(str('u'), str('p')), cookies={str('a'): str('b')})
    for value in (ws.url, ws.protocols[0], ws.agent, ws.origin, ws.host, ws.scheme, ws.resource):
        assert isinstance(value, text_type)
    assert b'\r\nX: y\r\n' in ws.build_request()


def test_url_parts():
    ws = WebSocket('wss://user:p%40ss@Example.TEST:8443/a b?c=\xe9#frag')
    assert (ws.scheme, ws.host, ws.port, ws.resource) == ('wss', 'example.test', 8443, '/a%20b?c=%C3%A9')
    assert ws.is_secure and ws.url == 'wss://user:p%40ss@Example.TEST:8443/a b?c=\xe9#frag'
    assert 'p%40ss' not in repr(ws) and '***' in repr(ws)
    assert isinstance(repr(ws), str)
    assert repr(WebSocket('ws://example.test/x')) == "WebSocket('ws://example.test/x')"
    for name in ('scheme', 'host', 'port', 'resource', 'key', 'session', 'latency', 'is_active',
                 'sent_close_time'):
        with pytest.raises(AttributeError):
            setattr(ws, name, 1)


def test_url_that_is_called():
    urls = []

    def url():
        urls.append('ws://127.0.0.1:1/%d' % len(urls))
        return urls[-1]
    ws = WebSocket(url, proxies={})
    assert (ws.scheme, ws.host, ws.port, ws.resource) == (None,) * 4 and not urls
    assert not ws.is_secure and repr(ws)
    for number in range(3):
        events = list(ws.connect())
        assert events[0].url == 'ws://127.0.0.1:1/%d' % number
        assert (ws.scheme, ws.host, ws.port, ws.resource) == ('ws', '127.0.0.1', 1, '/%d' % number)
    assert ws.url is url


@pytest.mark.parametrize('options, url, word', [
    (dict(url=lambda: 1 // 0), '', 'zero'), (dict(url=lambda: None), '', ''),
    (dict(url=lambda: 'ftp://x/'), '', 'ftp')] + [
    (dict(headers=headers), 'ws://127.0.0.1:1/', '') for headers in (
        lambda: 1 // 0, lambda: {'X': 'a\r\nb'}, lambda: 5, lambda: {'Upgrade': 'x'})])
def test_options_that_are_called_in_vain(options, url, word):
    events = list(WebSocket(**dict(dict(url='ws://127.0.0.1:1/', proxies={}), **options)))
    assert [event.name for event in events] == ['connecting', 'connect_fail']
    assert events[0].url == url and events[1].stage == 'prepare' and word in events[1].reason
    assert events[1].reason.startswith('unable to connect; ') and isinstance(events[1].error, Exception)


def test_headers_that_are_called():
    tokens = iter(range(10))
    seen = []

    def script(peer):
        peer.accept(also=close_frame(1000))
        peer.read_close()
        seen.extend(re.findall(b'X-Token: (.*)\r\n', peer.head))
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={}, headers=lambda: {'X-Token': 'token %d' % next(tokens)})
        for _ in range(3):
            Played(ws)
    assert seen == [b'token 0', b'token 1', b'token 2']


# -- the request

def lines(ws):
    request = ws.build_request()
    assert isinstance(request, bytes) and request.endswith(b'\r\n\r\n')
    return request[:-4].split(b'\r\n')


def test_request():
    ws = WebSocket('ws://example.test:8080/a?b', ['x'] and None, ['p', 'q'], 'me', True, origin='o',
                   auth=('u', 'p'), cookies={'a': 'b'}, headers=[('X-Mine', 'y')])
    ws.add_header(b'X-Added', b'z')
    found = lines(ws)
    assert found[0] == b'GET /a?b HTTP/1.1' and found[1] == b'X-Added: z'
    assert set(found[2:]) == {
        b'X-Mine: y', b'Host: example.test:8080', b'Upgrade: websocket', b'Connection: Upgrade',
        b'Sec-WebSocket-Key: ' + ws.key, b'Sec-WebSocket-Version: 13', b'User-Agent: me',
        b'Sec-WebSocket-Protocol: p, q', b'Origin: o', b'Authorization: Basic dTpw', b'Cookie: a=b',
        b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'}


@pytest.mark.parametrize('url, host', [
    ('ws://x/', b'x'), ('ws://x:80/', b'x'), ('wss://x:443/', b'x'), ('ws://x:443/', b'x:443'),
    ('ws://[::1]/', b'[::1]'), ('wss://[::1]:80/', b'[::1]:80'),
    ('ws://b\xfccher.test/', b'xn--bcher-kva.test'), ('ws://user:secret@x:81/', b'x:81')])
def test_host(url, host):
    assert b'Host: ' + host in lines(WebSocket(url))


def test_headers_replace_defaults():
    found = lines(WebSocket(URL, agent='me', headers={'Host': 'other', 'User-Agent': 'you', 'Origin': 'x'},
                            origin='y'))
    assert len([line for line in found if line.lower().startswith((b'host', b'user-agent', b'origin'))]) == 3
    assert b'Host: other' in found and b'User-Agent: you' in found and b'Origin: x' in found


def test_add_header():
    ws = WebSocket(URL)
    for pair in ((b'Host', b'a'), (b'X', b'1'), (b'X', b'2'), (b'host', b'b'), (b'origin', b'c'),
                 (b'Y', b'3'), (b'User-Agent', b'd'), (b'USER-AGENT', b'e'), (b'A', b'4')):
        ws.add_header(*pair)
    found = lines(ws)
    assert found[1:8] == [b'X: 1', b'X: 2', b'Host: b', b'Origin: c', b'Y: 3', b'User-Agent: e', b'A: 4']
    assert len([line for line in found if line.lower().startswith((b'host', b'user-', b'origin'))]) == 3
    ws.reset()
    assert lines(ws)[1:8] == found[1:8]


def test_add_header_offers_subprotocols():
    """What goes out was offered, also in what feed() takes; ``protocols`` stays."""
    ws = WebSocket(URL, protocols=['a', 'b'])
    for value in (b'chat ,\tsuper.chat', b'c'):
        ws.add_header(b'sec-websocket-PROTOCOL', value)
    assert [line[24:] for line in lines(ws) if line.lower().startswith(b'sec-websocket-protocol')] == [
        b'a, b, chat, super.chat, c']
    assert ws.protocols == ['a', 'b']
    for protocol, name in ((b'a', 'ready'), (b'super.chat', 'ready'), (b'c', 'ready'), (b'd', 'rejected'),
                           (b'chat, c', 'rejected'), (b'CHAT', 'rejected')):
        event, = ws.feed(answer(ws, b'Sec-WebSocket-Protocol: ' + protocol))
        assert event.name == name
        ws.reset()


@pytest.mark.parametrize('pair, kind', [
    (('X', b'y') if not PY2 else (5, b'y'), TypeError), ((b'X', 5), TypeError), ((b'X', None), TypeError),
    ((b'X', b'a\r\nb'), ValueError), ((b'X', b'a\nb'), ValueError), ((b'X', b'a\0'), ValueError),
    ((b'', b'y'), ValueError), ((b'X y', b'z'), ValueError), ((b'X:', b'z'), ValueError),
    ((b'X\r\n', b'z'), ValueError)] + [((name, b'13'), ValueError) for name in (
        b'Upgrade', b'CONNECTION', b'Sec-WebSocket-Key', b'sec-websocket-version', b'sec-websocket-',
        b'Sec-WebSocket-Extensions', b'Sec-WebSocket-Protocol2', b'Proxy-Authorization')] + [
    ((b'Sec-WebSocket-Protocol', value), kind) for value, kind in (
        (b'', ValueError), (b',', ValueError), (b'd,', ValueError), (b'd, a', ValueError),
        (b'd,d', ValueError), (b'd e', ValueError), (b'"d"', ValueError), (b'd\xe9', ValueError),
        (b'd\r\nX: y', ValueError), (b'c', ValueError), ([b'd'], TypeError))])
def test_add_header_refuses(pair, kind):
    ws = WebSocket(URL, protocols=['a'])
    ws.add_header(b'Sec-WebSocket-Protocol', b'c')
    before = ws.build_request()
    with pytest.raises(kind):
        ws.add_header(*pair)
    assert ws.build_request() == before


def test_request_is_the_same_until_the_next_connect():
    ws = WebSocket(URL)
    first = ws.build_request()
    assert ws.build_request() == first
    ws.connect(FakeSession)
    second = ws.build_request()
    assert ws.build_request() == second != first
    ws.reset()
    assert ws.build_request() not in (first, second)


def test_key_is_random(monkeypatch):
    monkeypatch.setattr(os, 'urandom', lambda count: b'k' * count)
    ws = WebSocket(URL)
    assert ws.key == base64.b64encode(b'k' * 16)


def test_overridden_methods():
    calls = []

    class Mine(WebSocket):
        def build_request(self):
            return super(Mine, self).build_request().replace(b'GET / ', b'GET /mine ')

        def on_response(self, response):
            calls.append(response.status_code)
            return super(Mine, self).on_response(response)

        def process_extensions(self, extensions):
            calls.append(extensions)
            return super(Mine, self).process_extensions([e for e in extensions if 'unknown' not in e])

    class Refuses(WebSocket):
        def on_response(self, response):
            raise errors.HandshakeError('not with me')

    def script(peer):
        peer.accept(b'Sec-WebSocket-Extensions: x-unknown, permessage-deflate')
        peer.close_code(1000)
        peer.read_close()
    with Server(script) as server:
        played = Played(Mine(server.url(), proxies={}, compress=True))
        assert server.peer.head.startswith(b'GET /mine HTTP/1.1\r\n')
    played.ended(GOOD + ' closing disconnected', 'closed', True, 1000)
    assert calls == [101, ['x-unknown', 'permessage-deflate']]
    assert played.one('ready').extensions == {'permessage-deflate'}
    with Server(lambda peer: (peer.accept(), peer.read_end())) as server:
        played = Played(Refuses(server.url(), proxies={}))
    assert played.names == 'connecting connected rejected disconnected'
    assert played.one('rejected').reason == 'not with me'


@counted
def test_overrides_leave_no_cycle():
    """What a subclass has overridden is dropped at the end of the connection."""
    class Mine(WebSocket):
        def build_request(self):
            return super(Mine, self).build_request()

        def on_response(self, response):
            return super(Mine, self).on_response(response)

        def process_extensions(self, extensions):
            return super(Mine, self).process_extensions(extensions)
    gc.disable()
    try:
        with Server(bye) as server:
            ws = Mine(server.url(), proxies={})
            assert list(ws)[-1].name == 'disconnected'
            reference = weakref.ref(ws)
            del ws
            assert reference() is None
    finally:
        gc.enable()


# -- connect()

def test_settings_of_run():
    """Those of 0.3.4 are always passed, the new ones only if they differ."""
    ws = WebSocket(URL)
    ws.connect(FakeSession)
    assert ws.session.settings == dict(poll=5.0, ping_rate=30.0, ping_timeout=None, auto_pong=True,
                                       close_timeout=30.0)
    ws.connect(FakeSession, 1, 2, 3, False, 4, 5, 6)
    assert ws.session.settings == dict(poll=1, ping_rate=2, ping_timeout=3, auto_pong=False, close_timeout=4,
                                       connect_timeout=5, send_timeout=6)
    ws.connect(lambda websocket: FakeSession(websocket), connect_timeout=None, send_timeout=30)
    assert 'send_timeout' not in ws.session.settings and ws.session.settings['connect_timeout'] is None


@pytest.mark.parametrize('value', [10 ** 400, 1e308, float('inf')])
def test_times_that_no_clock_can_hold(value):
    """They are no limit, and no pings; poll is refused."""
    ws = WebSocket(URL)
    names = ['ping_rate', 'ping_timeout', 'close_timeout', 'connect_timeout', 'send_timeout']
    ws.connect(FakeSession, **dict.fromkeys(names, value))
    assert [ws.session.settings[name] for name in names] == [None] * 5
    with pytest.raises(ValueError):
        ws.connect(FakeSession, poll=value)


@pytest.mark.parametrize('name, value, kind', [
    ('poll', 0, ValueError), ('poll', -1, ValueError), ('poll', None, TypeError), ('poll', '5', TypeError),
    ('poll', float('nan'), ValueError), ('poll', True, TypeError)] + [
    (name, value, kind) for name in ('ping_rate', 'ping_timeout', 'close_timeout', 'connect_timeout',
                                     'send_timeout')
    for value, kind in ((-1, ValueError), ('5', TypeError), (float('nan'), ValueError), ([], TypeError))])
def test_settings_that_are_refused(name, value, kind):
    ws = WebSocket(URL)
    ws.connect(FakeSession)
    session = ws.session
    with pytest.raises(kind) as caught:
        ws.connect(FakeSession, **{str(name): value})
    assert name in text_type(caught.value) and ws.session is session


def bye(peer):
    peer.accept(also=frame(TEXT, b'x') + close_frame(1000))
    peer.read_until(CLOSE)


def test_connect_connects_nothing():
    accepted = []
    with Server(accepted.append) as server:
        ws = WebSocket(server.url(), proxies={})
        iterator = ws.connect()
        assert iter(iterator) is iterator
        time.sleep(0.05)
        assert not accepted and ws.is_active and ws.session._sock is None
        assert next(iterator).name == 'connecting'
        time.sleep(0.05)
        assert not accepted
        iterator.close()


ALL = GOOD + ' text closing disconnected'      # what bye() leads to


def test_connect_again_and_again():
    with Server(bye) as server:
        ws = WebSocket(server.url(), proxies={})
        keys = set()
        for _ in range(4):
            Played(ws).ended(ALL, 'closed', True, 1000)
            keys.add(ws.key)
        assert len(keys) == 4 and len(server.peers) == 4


def test_connect_before_the_first_next_supersedes():
    with Server(bye) as server:
        ws = WebSocket(server.url(), proxies={})
        first = ws.connect(ping_rate=0)
        second = ws.connect(ping_rate=0)
        with pytest.raises(errors.WebSocketError) as caught:
            next(first)
        assert 'superseded' in text_type(caught.value)
        assert next(first, None) is None
        assert [event.name for event in second if event.name != 'poll'] == ALL.split()
        assert len(server.peers) == 1


@pytest.mark.parametrize('at', ['connecting', 'connected', 'ready', 'text', 'closing'])
def test_connect_while_it_runs(at):
    """It changes nothing, and its first next() raises; the connection goes on."""
    def handler(ws, event):
        session, key = ws.session, ws.key
        other = ws.connect()
        assert (ws.session, ws.key) == (session, key)
        for attempt in (other, iter(ws)):
            with pytest.raises(errors.WebSocketError) as caught:
                next(attempt)
            assert 'already running' in text_type(caught.value)
            assert next(attempt, None) is None
    with Server(bye) as server:
        play(server.url(), {at: handler}).ended(ALL, 'closed', True, 1000)


def test_connect_within_and_after_disconnected():
    """Disconnected is the end: its handler may begin a connection of its own."""
    with Server(bye) as server:
        ws = WebSocket(server.url(), proxies={})
        for event in ws.connect(ping_rate=0):
            if event.name == 'disconnected':
                names = [other.name for other in ws.connect(ping_rate=0) if other.name != 'poll']
        assert event.name == 'disconnected' and names == ALL.split()
        assert next(ws.connect()).name == 'connecting'


def test_connect_in_another_thread_while_it_runs():
    is_ready, tried = Wait(), Wait()

    def script(peer):
        peer.accept()
        tried.wait()
        peer.close_code(1000)
        peer.read_close()

    def intruder():
        is_ready.wait()
        try:
            list(ws)
        finally:
            tried.set()
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={})
        thread = in_thread(intruder)
        played = Played(ws, {'ready': lambda event: is_ready.set()})
        thread.join()
    assert isinstance(thread.error, errors.WebSocketError)
    played.ended(GOOD + ' closing disconnected', 'closed', True, 1000)


def test_connection_that_begins_within_connect():
    """Another thread connects after connect() looked: one of them is refused."""
    class Racing(WebSocket):
        rivals = None               # transports of faster connections, if any are left
        winner = None

        def reset(self):
            super(Racing, self).reset()
            if self.rivals:
                self.winner = self.connect(session_class=self.rivals.pop().session_class)
                assert next(self.winner).name == 'connecting'
    first, second = ScriptedTransport([ACCEPT, EOF]), ScriptedTransport([ACCEPT, EOF])
    ws = Racing(URL, proxies={})
    ws.rivals = [first]
    late = ws.connect(session_class=second.session_class)
    with pytest.raises(errors.WebSocketError) as caught:
        next(late)
    assert 'already running' in '{}'.format(caught.value)
    assert [event.name for event in ws.winner][-1] == 'disconnected'


def test_iter_calls_connect():
    """An override of connect() counts."""
    class Mine(WebSocket):
        def connect(self, **settings):
            return iter(['mine'])
    assert list(Mine(URL)) == ['mine']


def test_with():
    with WebSocket(URL) as ws:              # never connected
        assert isinstance(ws, WebSocket)
    with pytest.raises(ZeroDivisionError):
        with ready() as ws:
            raise ZeroDivisionError()
    assert ws.session.calls == [('close',)]
    assert ws.is_closed and not ws.is_active and list(ws.feed(frame(TEXT, b'x'))) == []


def test_with_and_an_iterator_that_is_kept():
    """As on PyPy, where leaving a loop frees nothing at once."""
    def script(peer):
        peer.accept(also=frame(TEXT, b'x'))
        peer.read_end(1)
    with Server(script) as server:
        ws = WebSocket(server.url(), proxies={})
        kept = []
        for _ in range(3):
            with ws:
                kept.append(ws.connect(ping_rate=0))
                for event in kept[-1]:
                    if event.name == 'text':
                        break
            assert ws.is_closed and not ws.is_active
            server.join()
        assert [event.name for event in kept[-1]] == ['disconnected']
        for iterator in kept:
            iterator.close()


def test_reset():
    ws = ready()
    key, session = ws.key, ws.session
    ws.reset()
    assert ws.key != key and ws.session is None and ws.is_active and not ws.supports_compression
    assert session.calls == []
    with pytest.raises(errors.WebSocketUnavailable):
        ws.send_text('x')


def test_shallow_copy():
    """It has options, headers and a connection of its own."""
    with Server(bye) as server:
        ws = WebSocket(server.url(), proxies={}, protocols=['a'])
        ws.add_header(b'X', b'1')
        first = ws.connect(ping_rate=0)
        twin = copy.copy(ws)
        twin.agent = 'twin'
        twin.add_header(b'Y', b'2')
        assert type(twin) is WebSocket and twin.session is None and twin.key != ws.key
        assert (ws.agent, twin.agent) == (constants.USER_AGENT, 'twin') and twin.protocols == ['a']
        assert b'Y: 2' not in lines(ws) and {b'X: 1', b'Y: 2'} <= set(lines(twin))
        assert next(first).name == 'connecting'         # not superseded
        for iterator in (twin.connect(ping_rate=0), first):
            assert list(iterator)[-1].name == 'disconnected'


class Feed(WebSocket):
    """A subclass that pickle can find, with arguments and attributes of its own."""

    def __init__(self, name, **options):
        super(Feed, self).__init__('wss://me:pw@example.test/feed?x=1', trace=len, **options)
        self.name, self.seen = name, [1]

    def build_request(self):
        return super(Feed, self).build_request()


COPIES = [copy.copy, copy.deepcopy] + [lambda ws, protocol=protocol: pickle.loads(pickle.dumps(ws, protocol))
                                       for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]


@pytest.mark.parametrize('state', ['fresh', 'ready', 'closed'])
@pytest.mark.parametrize('make', COPIES)
def test_copies(make, state):
    """They were never connected; what may be changed is their own."""
    ws = Feed('mine', proxies={'wss': 'http://u:p@proxy:1'}, headers={'A': '1'}, protocols=['a'],
              cookies={'c': 'd'}, compress=Deflate(level=1), auth=DigestAuth('u', 'p'))
    ws.add_header(b'X', b'1')
    ws.add_header(b'Sec-WebSocket-Protocol', b'b')
    if state != 'fresh':
        ws.connect(FakeSession)
        assert [event.name for event in ws.feed(answer(ws))] == ['ready']
    if state == 'closed':
        ws.on_disconnect()
    twin = make(ws)
    assert type(twin) is Feed and (twin.name, twin.seen, twin.trace) == ('mine', [1], len)
    assert twin.session is None and twin.is_active and not twin.is_closed and twin.state is not ws.state
    assert (twin.url, twin.host, twin.port, twin.resource) == (ws.url, 'example.test', 443, '/feed?x=1')
    assert ws.key not in twin.build_request()
    before = ws.build_request()
    assert twin.build_request().replace(twin.key, ws.key) == before and b'Protocol: a, b\r\n' in before
    twin.add_header(b'Y', b'1')
    twin.add_header(b'Sec-WebSocket-Protocol', b'c')
    twin.headers['Z'] = twin.cookies['Z'] = twin.proxies['http'] = 'z'
    twin.protocols.append('z')
    assert ws.build_request() == before and 'Z' not in ws.cookies and ws.proxies['http'] is None
    assert b'Protocol: a, z, b, c\r\n' in twin.build_request()


def test_what_cannot_be_pickled_raises():
    for options in (dict(cookies=CookieJar()), dict(trace=lambda record: None), dict(headers=lambda: {})):
        ws = WebSocket(URL, proxies={}, **options)
        assert copy.copy(ws).cookies is ws.cookies
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(ws, 2)


def test_on_disconnect():
    ws = ready()
    ws.on_disconnect()
    assert ws.session.calls == [('close',)] and ws.is_closed
    with pytest.raises(errors.WebSocketClosed):
        ws.send_text('x')
    WebSocket(URL).on_disconnect()


def test_connect_fail_is_an_end():
    ws = WebSocket('ws://127.0.0.1:1/', proxies={})
    assert list(ws)[-1].name == 'connect_fail' and ws.is_closed and not ws.is_active and not ws.is_closing
    with pytest.raises(errors.WebSocketClosed):
        ws.send_text('x')


@pytest.mark.parametrize('action', ['close', 'force_disconnect', '__exit__'])
def test_close_between_connect_and_the_first_next(action):
    accepted = []
    with Server(accepted.append) as server:
        ws = WebSocket(server.url(), proxies={})
        iterator = ws.connect()
        getattr(ws, action)()
        assert ws.is_closed
        assert [event.name for event in iterator] == ['connecting', 'connect_fail'] and not accepted


@pytest.mark.parametrize('action', ['close', 'force_disconnect'])
def test_close_at_redirected(action):
    """The next connection is not made."""
    def script(peer):
        peer.read_head()
        peer.send(b'HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n')
        peer.read_end()
    with Server(script) as server:
        played = play(server.url(), {'redirected': lambda ws, event: (
            check_active(ws), getattr(ws, action)())}, {'max_redirects': 3})
        assert len(server.peers) == 1
    assert played.names == 'connecting connected redirected connect_fail'
    assert 'closed' in played.last.reason


def check_active(ws):
    assert ws.is_active and not ws.is_closed
    with pytest.raises(errors.WebSocketUnavailable) as caught:
        ws.send_text('x')
    assert not isinstance(caught.value, (errors.WebSocketClosed, errors.WebSocketClosing))


# -- what is sent

def sent(ws):
    return [call[1:] for call in ws.session.calls if call[0] == 'send']


def test_sends_go_through_the_session():
    ws = ready()
    ws.send_text('\u2603')
    ws.send_text('a', False)
    ws.send_binary(b'b')
    ws.send_binary(bytearray(b'c'), compress=False)
    ws.send_binary(memoryview(b'dd'))
    ws.send_ping()
    ws.send_ping(b'p')
    ws.send_pong(b'q' * 125)
    found = sent(ws)
    assert [(opcode, bytes(bytearray(payload))) for opcode, payload, _ in found] == [
        (TEXT, b'\xe2\x98\x83'), (TEXT, b'a'), (BINARY, b'b'), (BINARY, b'c'), (BINARY, b'dd'), (PING, b''),
        (PING, b'p'), (PONG, b'q' * 125)]
    assert [compress for _, _, compress in found] == [True, False, True, False, True, False, False, False]
    for _, payload, _ in found:
        assert isinstance(payload, (bytes, memoryview))


def test_latency_of_a_session_of_ones_own(monkeypatch):
    ws = ready()
    monkeypatch.setattr('lomond.driver.sender.monotonic', lambda: 10.0)
    ws.send_ping(b'p')
    monkeypatch.setattr('lomond.client.feed.monotonic', lambda: 10.5)
    pong, = ws.feed(frame(PONG, b'p'))
    assert (pong.latency, ws.latency) == (0.5, 0.5)


def test_strange_memoryviews():
    ws = ready()
    if not PY2:
        ws.send_binary(memoryview(array.array('H', [1, 2])))
        assert bytes(sent(ws)[-1][1]) == array.array('H', [1, 2]).tobytes()
        ws.send_binary(memoryview(b'abcdef')[::2])
        assert bytes(sent(ws)[-1][1]) == b'ace'
    ws.send_binary(memoryview(bytearray(b'')))
    assert len(sent(ws)[-1][1]) == 0


@pytest.mark.parametrize('call, kind', [
    (lambda ws: ws.send_text(b'bytes\xff'), TypeError), (lambda ws: ws.send_text(None), TypeError),
    (lambda ws: ws.send_text(5), TypeError), (lambda ws: ws.send_text('\ud800'), ValueError),
    (lambda ws: ws.send_binary('text'), TypeError), (lambda ws: ws.send_binary(None), TypeError),
    (lambda ws: ws.send_binary([1]), TypeError),
    (lambda ws: ws.send_ping('text'), TypeError), (lambda ws: ws.send_ping(bytearray(b'x')), TypeError),
    (lambda ws: ws.send_pong(None), TypeError), (lambda ws: ws.send_ping(b'x' * 126), ValueError),
    (lambda ws: ws.send_pong(b'x' * 126), ValueError), (lambda ws: ws.send_json(object()), TypeError),
    (lambda ws: ws.send_json({}, a=1), ValueError), (lambda ws: ws.send_json(None, a=1), ValueError),
    (lambda ws: ws.close(5), ValueError), (lambda ws: ws.close(1005), ValueError),
    (lambda ws: ws.close(2999), ValueError),
    (lambda ws: ws.close(5000), ValueError), (lambda ws: ws.close('1000'), TypeError),
    (lambda ws: ws.close(1000, b'\xff'), ValueError), (lambda ws: ws.close(1000, 5), TypeError),
    (lambda ws: ws.close(1000.0), TypeError), (lambda ws: ws.close(True), TypeError)])
def test_arguments_that_are_refused(call, kind):
    """In every state."""
    closed = ready()
    closed.force_disconnect()
    closing = ready()
    closing.close()
    for ws in (ready(), WebSocket(URL), closed, closing):
        before = list(ws.session.calls) if ws.session else None
        with pytest.raises(kind):
            call(ws)
        assert before is None or ws.session.calls == before


@pytest.mark.parametrize('args, kwargs, expected', [
    (([1, 'a'],), {}, [b'[1, "a"]']), ((None,), {}, [b'null']), ((), {}, [b'{}']),
    ((), {'a': 1}, [b'{"a": 1}']), ((), {'compress': True}, [b'{"compress": true}']),
    (({},), {}, [b'{}']), ((False,), {}, [b'false']),
    (('\u2603',), {}, [b'"\\u2603"', b'"\xe2\x98\x83"']), (([],), {}, [b'[]'])])
def test_send_json(args, kwargs, expected):
    ws = ready()
    ws.send_json(*args, **dict((str(name), value) for name, value in kwargs.items()))
    (opcode, payload, compress), = sent(ws)
    assert opcode == TEXT and payload in expected and compress is True


@pytest.mark.parametrize('args, payload', [
    ((), close_payload(1000, b'goodbye')), ((1001, ''), close_payload(1001)),
    ((4000, b'bytes'), close_payload(4000, b'bytes')),
    ((None,), b''), ((1000, '\u2603' * 50), close_payload(1000, b'\xe2\x98\x83' * 41)),
    ((3000, 'x' * 124), close_payload(3000, b'x' * 123)), ((1014, '\xe9'), close_payload(1014, b'\xc3\xa9'))])
def test_close(args, payload):
    ws = ready()
    ws.close(*args)
    assert sent(ws) == [(CLOSE, payload, False)]
    assert ws.is_closing and ws.sent_close_time == 2.5
    ws.close(4000, 'again')
    assert len(sent(ws)) == 1
    assert [event.name for event in ws.feed(close_frame(1000))] == ['closed']
    ws.close()
    assert len(sent(ws)) == 1 and ws.is_closed


def test_close_of_what_was_never_connected():
    ws = WebSocket(URL)
    ws.close()
    ws.close(None)
    ws.force_disconnect()
    assert ws.is_active and not ws.is_closed and ws.sent_close_time is None


@pytest.mark.parametrize('moment, kind', [
    ('never connected', errors.WebSocketUnavailable), ('connecting', errors.WebSocketUnavailable),
    ('connected', errors.WebSocketUnavailable), ('after close()', errors.WebSocketClosing),
    ('protocol_error', errors.WebSocketClosing), ('closed', errors.WebSocketClosed),
    ('disconnected', errors.WebSocketClosed), ('afterwards', errors.WebSocketClosed)])
def test_sends_by_moment(moment, kind):
    """Each send raises, and no byte is sent."""
    tried = []

    def attempt(ws):
        for send, data in ((ws.send_text, 'x'), (ws.send_binary, b'x'), (ws.send_ping, b'x'),
                           (ws.send_pong, b'x'), (ws.send_json, 1)):
            with pytest.raises(kind) as caught:
                send(data)
            assert type(caught.value) is kind and len(text_type(caught.value)) > 10
        tried.append(1)

    def script(peer):
        peer.accept()
        if moment == 'protocol_error':
            peer.send(b'\x83\x00')
            peer.read_close()
        elif moment in ('after close()', 'closed'):
            peer.answer_close()
        else:
            peer.close_code(1000)
            peer.read_close()
        peer.finish()
        peer.read_end()
        assert peer.opcodes() == [CLOSE]
    if moment == 'never connected':
        attempt(WebSocket(URL))
        return
    handlers = {moment: lambda ws, event: attempt(ws)}
    if moment == 'after close()':
        handlers = {'ready': lambda ws, event: (ws.close(), attempt(ws))}
    elif moment == 'closed':
        handlers['ready'] = lambda ws, event: ws.close()
    with Server(script) as server:
        played = play(server.url(), handlers)
        if moment == 'afterwards':
            attempt(played.websocket)
    assert tried


# -- members, while a connection lives

def test_members_at_each_event():
    seen = []

    def note(ws, event):
        seen.append((event.name, ws.is_active, ws.is_closing, ws.is_closed, ws.supports_compression))
        assert (ws.session._sock is not None) == (event.name not in ('connecting', 'disconnected'))
        if event.name in ('connecting', 'connected'):
            assert ws.session.session_time == 0
    names = ('connecting', 'connected', 'ready', 'text', 'closing', 'disconnected')

    def script(peer):
        peer.accept(b'Sec-WebSocket-Extensions: permessage-deflate')
        peer.text('x')
        peer.close_code(1000)
        peer.read_close()
    with Server(script) as server:
        played = play(server.url(), dict((name, note) for name in names), {'compress': True})
    assert seen == [
        ('connecting', True, False, False, False), ('connected', True, False, False, False),
        ('ready', True, False, False, True), ('text', True, False, False, True),
        ('closing', True, False, False, True), ('disconnected', False, False, True, True)]
    time_at_end = played.websocket.session.session_time
    time.sleep(0.02)
    assert played.websocket.session.session_time == time_at_end > 0


def test_sent_close_time():
    times = []

    def close(ws, event):
        assert ws.sent_close_time is None
        time.sleep(0.1)
        ws.close()
        times.append(ws.sent_close_time)
    with Server(lambda peer: (peer.accept(), peer.answer_close(), peer.read_end())) as server:
        play(server.url(), {'ready': close, 'closed': lambda ws, event: times.append(ws.sent_close_time)})
    assert times[0] == times[1] and 0.1 <= times[0] < 1


def test_sessions_are_sessions():
    with Server(bye) as server:
        ws = WebSocket(server.url(), proxies={})
        assert ws.session is None and ws.state.session is None
        Played(ws)
        assert isinstance(ws.session, WebsocketSession) and ws.state.session is ws.session
        assert isinstance(ws.state.key, bytes) and ws.state.closed and not ws.state.closing


# -- feed()

def test_feed_leaves_nothing_half_done():
    ws = ready()
    events = ws.feed(frame(TEXT, b'1') + frame(TEXT, b'2'))
    assert next(events).text == '1'
    with pytest.raises(errors.WebSocketError) as caught:
        list(ws.feed(frame(TEXT, b'3')))
    assert 'exhausted' in text_type(caught.value)
    assert next(events).text == '2'
    assert list(events) == []
    assert [event.text for event in ws.feed(frame(TEXT, b'3'))] == ['3']


def test_feed_that_is_abandoned():
    ws = ready()
    events = ws.feed(frame(TEXT, b'1') + frame(TEXT, b'2'))
    next(events)
    events.close()
    assert ws.is_closed and ws.session.calls == [('close',)]
    assert list(ws.feed(frame(TEXT, b'3'))) == []


@pytest.mark.parametrize('data, code', [(frame(TEXT, b'x', rsv=1), 1002), (frame(TEXT, b'\xff'), 1007)])
def test_feed_ends_with_a_protocol_error(data, code):
    """The close frame is written while it is handled; when feed() is done, so is the connection."""
    ws = ready()
    events = ws.feed(data + frame(TEXT, b'behind'))
    assert next(events).name == 'protocol_error'
    assert ws.is_closing and not ws.is_closed
    assert list(events) == []
    assert ws.is_closed and not ws.is_closing and not ws.is_active
    names = [call[0] for call in ws.session.calls]
    assert names.count('write') == 1 and names.index('write') < names.index('force_disconnect')
    written, = [call[1] for call in ws.session.calls if call[0] == 'write']
    (_, _, opcode, _, payload), = read_frames(written)
    assert opcode == CLOSE and payload[:2] == close_payload(code)
    assert list(ws.feed(frame(TEXT, b'more'))) == []


def test_feed_refuses():
    for data in ('text', None, 5, [1]):
        with pytest.raises(TypeError):
            list(ready().feed(data))


# -- the signature and the package

def test_signatures():
    spec = (inspect.getargspec if PY2 else inspect.getfullargspec)
    assert spec(WebSocket.__init__).args[1:] == [
        'url', 'proxies', 'protocols', 'agent', 'compress', 'ssl_verify', 'ssl_cafile', 'ssl_context',
        'trace', 'headers', 'origin', 'auth', 'cookies', 'ssl_cert', 'ssl_fingerprint', 'max_message_size',
        'max_redirects', 'source_address', 'socket_options', 'uds', 'server_hostname', 'proxy_headers',
        'stream_from']
    assert spec(WebSocket.connect).args[1:] == [
        'session_class', 'poll', 'ping_rate', 'ping_timeout', 'auto_pong', 'close_timeout',
        'connect_timeout', 'send_timeout']
    assert spec(WebSocket.connect).defaults == (WebsocketSession, 5.0, 30.0, None, True, 30.0, 30.0, 30.0)
    assert lomond.WebSocket is WebSocket


def test_constructing_is_cheap_and_opens_nothing():
    before = threading.active_count()
    start = monotonic()
    for _ in range(100):
        WebSocket(URL)
    assert monotonic() - start < 1 and threading.active_count() == before
