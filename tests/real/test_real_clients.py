"""Clients of others against lomond's own servers: directly, and behind nginx and HAProxy."""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from counterparts import (
    NPM,
    SERVERS,
    Counterpart,
    WebSocket,
    certificate,
    end_of,
    environment_program,
    needs,
    program,
    prove_echo,
    run,
)
from six.moves.http_client import HTTPConnection
from support.paths import CHECKOUT

import lomond
from lomond.group import Group

HERE = os.path.dirname(os.path.abspath(__file__))
#: What every client has to see.
SEEN = {'connect': 101, 'protocol': 'chat.v1', 'compressed': True, 'text': True, 'binary': True, 'ping': True,
        'close': [4001, 'd\xf6ne'], 'closed': [4000, 'bye'], 'pong': 'you are', 'large': 1009,
        'own origin': 101, 'refused': [403, 404, 503]}
#: Those that have no permessage-deflate.
UNCOMPRESSED = ('websocket-client', 'curl')


class Served(Counterpart):
    """lomond's server, on the Python that runs the tests.

    :param kind: 'server', 'group' or 'gunicorn'
    """

    def __init__(self, kind, *options):
        self.kind, self._options = kind, options
        super(Served, self).__init__(self._make_command, 2, {
            'PYTHONPATH': os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))})

    def _make_command(self, _):
        if self.kind == 'gunicorn':
            self.environ['FULL_PORT'] = '%d' % self.ports[1]
            return [environment_program('wsgi-2.7' if sys.version_info < (3,) else 'wsgi', 'python'),
                    '-c', 'from gunicorn.app.wsgiapp import run; run()', '--chdir', SERVERS,
                    '-k', 'gthread', '--threads', '4', '--log-level',
                    'warning', '-b', '127.0.0.1:%d' % self.port, '-b', '127.0.0.1:%d' % self.ports[1],
                    'lomond_server:application']
        return [sys.executable, os.path.join(SERVERS, 'lomond_server.py'), self.kind] + [
            '%s' % value for value in tuple(self.ports) + self._options]

    def url(self, number=0):
        return 'ws://127.0.0.1:%d' % self.ports[number]

    def wait(self):
        """Wait for its end; return its exit status."""
        return self._process.wait()


@pytest.fixture(scope='module', params=('server', 'group', 'gunicorn'))
def served(request):
    with contextlib.closing(Served(request.param)) as server:
        yield server
        assert server.output() == ''        # no client is worth a line in the log


def client_command(client, *arguments):
    if client == 'ws':
        needs(os.path.join(NPM, 'node_modules', 'ws'))
        return [program('node'), os.path.join(HERE, 'clients', 'ws_client.js'), NPM] + list(arguments)
    return [environment_program('clients', 'python'), os.path.join(HERE, 'clients', 'python_clients.py'),
            client] + list(arguments)


@pytest.mark.parametrize('client', ['websockets', 'websockets-asyncio', 'websocket-client', 'aiohttp', 'ws',
                                    'curl'])
def test_client(served, client):
    command = client_command(client, served.url(), served.url(1))
    seen = json.loads(subprocess.check_output(command).decode('utf-8'))
    assert seen == dict(SEEN, compressed=client not in UNCOMPRESSED)


# -- the curl of the command line, which knows nothing of WebSockets, or not much

ASKS = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']


@pytest.mark.parametrize('status, path, headers, more', [
    (101, '/ws/echo', ASKS, ()), (200, '/ws/page', (), ()), (426, '/ws/echo', (), ()),
    (426, '/ws/echo', ASKS[:2] + ['Sec-WebSocket-Version: 12'] + ASKS[3:], ()),
    (403, '/ws/echo', ASKS + ['Origin: https://evil.example'], ()), (404, '/ws/nothing', ASKS, ()),
    (400, '/ws/echo', ASKS[:3], ()), (400, '/ws/echo', ASKS, ['--request', 'GET', '--data', 'x']),
    (405, '/ws/echo', (), ['--request', 'DELETE'])])
def test_curl(served, status, path, headers, more):
    command = [program('curl'), '--silent', '--include', '--http1.1', '--noproxy', '*', '--max-time',
               '1' if status == 101 else '20', served.url().replace('ws:', 'http:') + path] + list(more)
    process = subprocess.Popen(command + sum((['-H', line] for line in headers), []), stdout=subprocess.PIPE)
    head = process.communicate()[0].decode('latin-1')
    assert head.split()[1] == '%d' % status
    if status == 101:
        assert 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=' in head
    elif status == 426:
        assert 'Sec-WebSocket-Version: 13' in head


# -- behind nginx and HAProxy, set up as the documentation says

def documented(name, port, **changes):
    """The block of the how-to that begins with a word, for our port."""
    with io.open(os.path.join(CHECKOUT, 'docs', 'howto', 'nginx.rst'), encoding='utf-8') as text:
        blocks = re.findall(r'\.\. code-block:: \w+\n\n((?:    .*\n|\n)+)', text.read())
    block, = [block for block in blocks if block.startswith('    ' + name)]
    assert block.count('127.0.0.1:8080') == 1
    block = block.replace('127.0.0.1:8080', '127.0.0.1:%d' % port)
    for old, new in changes.items():
        assert old in block
        block = re.sub(re.escape(old) + '[^\n;]*', new, block)
    return block


_NGINX = '''
daemon off;
worker_processes 1;
pid {0.folder}/pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {0.folder}/body;
    proxy_temp_path {0.folder}/proxy;
    fastcgi_temp_path {0.folder}/fastcgi;
    uwsgi_temp_path {0.folder}/uwsgi;
    scgi_temp_path {0.folder}/scgi;
    ssl_certificate {1};
    ssl_certificate_key {2};
    server {{
        listen 127.0.0.1:{0.ports[0]};
        listen 127.0.0.1:{0.ports[1]} ssl;
{3}
    }}
}}
'''
_HAPROXY = '''
global
    log stderr local0 err
frontend all
    bind 127.0.0.1:{0.ports[0]}
    bind 127.0.0.1:{0.ports[1]} ssl crt {1}
    default_backend app
{2}
'''


class Proxy(Counterpart):
    """nginx or HAProxy in front of a server, with the configuration of the how-to.

    :param changes: of its lines
    """

    def __init__(self, kind, served, **changes):
        self.kind = kind
        block = documented({'nginx': 'location', 'haproxy': 'defaults'}[kind], served.port, **changes)
        super(Proxy, self).__init__(lambda self: getattr(self, '_' + kind)(block), 2)

    def _nginx(self, block):
        text = _NGINX.format(self, needs(certificate('server.crt')), certificate('server.key'), block)
        return [program('nginx'), '-p', self.folder, '-e', 'stderr', '-c', self.write('nginx.conf', text)]

    def _haproxy(self, block):
        text = _HAPROXY.format(self, needs(certificate('server.pem')), block)
        return [program('haproxy'), '-db', '-f', self.write('haproxy.cfg', text)]

    def url(self, path='/ws/echo', secure=False):
        return '%s://localhost:%d%s' % ('wss' if secure else 'ws', self.ports[int(secure)], path)


def client(proxy, path='/ws/echo', secure=False, **options):
    return WebSocket(proxy.url(path, secure), proxies={}, ssl_cafile=certificate('ca.pem'), **options)


@pytest.fixture(scope='module', params=('nginx', 'haproxy'))
def front(request, served):
    with contextlib.closing(Proxy(request.param, served)) as proxy:
        yield proxy


@pytest.mark.parametrize('secure', (False, True), ids=('plain', 'tls'))
def test_behind_a_proxy(front, secure):
    """The origin is compared with the name that the browser used; all else is passed on."""
    own = front.url('', secure).replace('ws', 'http')
    prove_echo(front.url(secure=secure), origin=own, compress=True, ssl_cafile=certificate('ca.pem'))
    for path, status, origin in (('/ws/echo', 403, 'https://evil.example'), ('/ws/nothing', 404, own),
                                 ('/ws/page', 200, own)):
        answer = run(client(front, path, secure, origin=origin))[-2]
        assert (answer.name, answer.response.status_code) == ('rejected', status)
    happened = run(client(front, '/ws/close', secure))
    assert end_of(happened)[2:] == ['ready', 'closing', 'disconnected'] and happened[-1].graceful
    assert (happened[3].code, happened[3].reason) == (4000, 'bye')


@pytest.mark.parametrize('name', ['websockets', 'websocket-client', 'aiohttp', 'ws', 'curl'])
def test_client_behind_a_proxy(front, served, name):
    command = client_command(name, front.url('').replace('localhost', '127.0.0.1'), served.url(1))
    seen = json.loads(subprocess.check_output(command).decode('utf-8'))
    if name in UNCOMPRESSED and seen['large'] is None:
        seen['large'] = 1009            # nginx resets a connection of which nobody takes more
    assert seen == dict(SEEN, compressed=name not in UNCOMPRESSED)


def test_keep_alive(front):
    """Pages, refusals, and then a WebSocket: all on one connection to the proxy."""
    with contextlib.closing(HTTPConnection('127.0.0.1', front.port, timeout=10)) as connection:
        connection.connect()
        sock = connection.sock
        for path, headers, status in (('page', [], 200), ('echo', [], 426), ('nothing', ASKS, 404),
                                      ('page', [], 200), ('echo', ASKS, 101)):
            connection.request(str('GET'), str('/ws/') + str(path), headers=dict(
                str(line).split(str(': ')) for line in headers))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status and connection.sock is sock
        sock.sendall(b'\x88\x80abcd')
        assert sock.recv(2) == b'\x88\x00'


def idle(proxy, seconds):
    """A connection that is closed after some seconds without a message; its events."""
    websocket, began = client(proxy), time.time()
    for event in websocket.connect(ping_rate=0, poll=0.1, connect_timeout=10, close_timeout=5):
        if event.name == 'poll' and time.time() - began > seconds and websocket.is_active:
            websocket.close()
    return event


@pytest.mark.parametrize('kind, changes', [
    ('nginx', {'proxy_read_timeout': 'proxy_read_timeout 1s', 'proxy_send_timeout': 'proxy_send_timeout 1s'}),
    ('haproxy', {'timeout tunnel': 'timeout tunnel 1s'})])
def test_timeouts(kind, changes):
    """The proxy cuts what is silent; the pings of the server are enough."""
    for rate, graceful in ((0.3, True), (0, False)):
        with contextlib.closing(Served('server', rate)) as served:
            with contextlib.closing(Proxy(kind, served, **changes)) as proxy:
                assert idle(proxy, 2.5).graceful is graceful


def test_without_the_name():
    """As the how-to warns: nobody with a page gets in."""
    with contextlib.closing(Served('server')) as served:
        without = {'proxy_set_header Host': 'proxy_buffering off'}
        with contextlib.closing(Proxy('nginx', served, **without)) as proxy:
            refused = run(client(proxy, origin=proxy.url('').replace('ws', 'http')))[-2]
            assert refused.response.status_code == 403
            assert '127.0.0.1:%d' % served.port in refused.response.body.decode('ascii')


@pytest.mark.parametrize('kind', ('nginx', 'haproxy'))
@pytest.mark.parametrize('server', ('server', 'group', 'gunicorn'))
def test_drain_sigterm(server, kind):
    """All clients see 1001 and a clean end; then the proxy has nowhere to go to."""
    with contextlib.closing(Served(server)) as served:
        with contextlib.closing(Proxy(kind, served)) as proxy:
            group = Group([client(proxy, secure=number % 2 == 1) for number in range(40)])
            ready, ends = 0, []
            for _, event in group:
                if event.name == 'ready':
                    ready += 1
                    if ready == 40:
                        began = time.time()
                        served.signal(signal.SIGTERM)
                elif event.name == 'disconnected':
                    ends.append((event.code, event.graceful))
            assert ends == [(1001, True)] * 40 and time.time() - began < 2
            assert served.wait() == 0 and served.output() == ''
            refused = run(client(proxy))[-2]
            assert refused.response.status_code in (502, 503)
