"""What people connect to: NATS, Chromium's DevTools, Jupyter kernels, Socket.IO,
GraphQL; and gevent.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import json
import os
import signal
import subprocess
import uuid

import counterparts
import pytest
from counterparts import (
    CLOSED_BY_US,
    DEBIAN,
    NPM,
    SERVERS,
    ScriptedServer,
    WebSocket,
    certificate,
    end_of,
    environment_program,
    names,
    needs,
    program,
    run,
    running,
    talk,
)
from reverse_proxies import ReverseProxy
from six.moves.urllib.request import Request, urlopen

import lomond

LOMOND = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
CLOSED_BY_SERVER = ['connecting', 'connected', 'ready', 'closing', 'disconnected']


# -- NATS

_NATS = '''
listen: "127.0.0.1:{ports[1]}"
ping_interval: "300ms"
write_deadline: "2s"
max_payload: 1MB
websocket {{
    listen: "127.0.0.1:{ports[0]}"
    no_tls: true
    compression: true
}}
authorization {{ token: "let me in" }}
'''


@pytest.fixture(scope='module')
def nats():
    with running(lambda self: [program('nats-server'), '-c', self.write(
            'nats.conf', _NATS.format(ports=self.ports))], 2) as started:
        yield started


class NatsClient(object):
    """Says its sentences one after the other; ``lines`` is what came back, as one text
    of bytes.
    """

    def __init__(self, nats, token='let me in', **options):
        self.websocket = WebSocket('ws://127.0.0.1:%d/' % nats.port, proxies={}, **options)
        self._token = token
        self.came = b''
        self.pings = 0

    def say(self, data):
        self.websocket.send_binary(data)

    def on_event(self, event):
        if event.name == 'ready':
            self.say(('CONNECT {"verbose":false,"pedantic":false,"auth_token":"%s"}\r\nPING\r\n' %
                      self._token).encode('ascii'))
        elif event.name == 'binary':
            self.came += event.data
            while b'PING\r\n' in self.came:
                self.came = self.came.replace(b'PING\r\n', b'', 1)
                self.pings += 1
                self.say(b'PONG\r\n')


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_nats(nats, compress):
    """Subscribe to what we publish; its pings are messages, and answered."""
    sizes = (0, 1, 125, 126, 70000, 900000)
    client = NatsClient(nats, compress=compress)
    wanted = b''.join(b'MSG a.topic 1 %d\r\n' % size + counterparts.bytes_of(size) + b'\r\n'
                      for size in sizes)
    state = []

    def on_event(event):
        client.on_event(event)
        if b'PONG\r\n' in client.came and not state:
            state.append(client.came.startswith(b'INFO {'))
            client.came = b''
            client.say(b'SUB a.topic 1\r\n')
            for size in sizes:
                client.say(b'PUB a.topic %d\r\n' % size + counterparts.bytes_of(size) + b'\r\n')
        elif state and len(client.came) >= len(wanted) and client.pings >= 2:
            client.websocket.close()

    happened = talk(client.websocket, on_event)
    assert client.came == wanted and state == [True]
    assert end_of(happened) == CLOSED_BY_US and happened[-1].graceful
    ready, = [event for event in happened if event.name == 'ready']
    assert ready.extensions == (set(['permessage-deflate']) if compress else set())


def test_nats_refuses(nats):
    client = NatsClient(nats, token='wrong')
    happened = talk(client.websocket, client.on_event)
    assert b"-ERR 'Authorization Violation'" in client.came
    assert end_of(happened) in (CLOSED_BY_SERVER, ['connecting', 'connected', 'ready', 'disconnected'])


@pytest.mark.parametrize('number', (signal.SIGTERM, signal.SIGKILL), ids=('TERM', 'KILL'))
def test_nats_is_ended(nats, number):
    client = NatsClient(nats)

    def on_event(event):
        client.on_event(event)
        if b'PONG\r\n' in client.came:
            client.came = b''
            nats.signal(number)

    happened = talk(client.websocket, on_event)
    nats.kill()
    nats.start()
    assert happened[-1].name == 'disconnected'
    if number == signal.SIGKILL:
        assert happened[-1].reason.startswith('socket fail; ') and not happened[-1].graceful


# -- Chromium's DevTools

def chromium_command(self):
    # The wrapper of Debian's package knows one place only.
    path = os.path.join(DEBIAN, 'usr', 'lib', 'chromium', 'chromium')
    if not os.path.exists(path):
        path = program('chromium')
    return [path, '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-dev-shm-usage',
            '--remote-debugging-port=%d' % self.port,
            '--user-data-dir=' + os.path.join(self.folder, 'profile'), 'about:blank']


@pytest.fixture(scope='module')
def chromium():
    with running(chromium_command) as started:
        yield started


def get_json(url, data=None, headers=()):
    return json.loads(urlopen(Request(url, data, dict(headers)), timeout=20).read().decode('utf-8'))


def devtools_url(chromium):
    """Of the page that is open."""
    pages = get_json('http://127.0.0.1:%d/json/list' % chromium.port)
    return [page['webSocketDebuggerUrl'] for page in pages if page['type'] == 'page'][0]


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_devtools(chromium, compress):
    """Commands, events that nobody asked for in between, and an answer of 5 MB."""
    websocket = WebSocket(devtools_url(chromium), proxies={}, compress=compress)
    answers = {}

    def say(number, method, **parameters):
        websocket.send_json(id=number, method=method, params=parameters)

    def on_event(event):
        if event.name == 'ready':
            say(1, 'Runtime.enable')
            say(2, 'Runtime.evaluate', expression='6 * 7')
            say(3, 'Runtime.evaluate', expression='console.log("seen"); "\u20ac\U0001f600".repeat(700000)')
            say(4, 'Runtime.evaluate', expression='"%s".length' % ('x' * 1000000))
        elif event.name == 'text':
            message = event.json
            answers[message.get('id', message.get('method'))] = message
            if 4 in answers:
                websocket.close()

    happened = talk(websocket, on_event)
    assert answers[2]['result']['result']['value'] == 42
    assert answers[3]['result']['result']['value'] == '\u20ac\U0001f600' * 700000
    assert answers[4]['result']['result']['value'] == 1000000
    assert 'Runtime.consoleAPICalled' in answers
    assert end_of(happened) == CLOSED_BY_US and happened[-1].graceful


def test_devtools_wants_no_origin(chromium):
    """Pages of the web may not talk to it: 403 with a body that says why."""
    happened = run(WebSocket(devtools_url(chromium), proxies={}, origin='https://example.org'))
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected']
    assert happened[2].response.status_code == 403
    assert b'--remote-allow-origins' in happened[2].response.body


# -- Jupyter kernels

TOKEN = 'not-so-secret'


def jupyter_command(self):
    self.environ.update((name, os.path.join(self.folder, name)) for name in (
        'JUPYTER_CONFIG_DIR', 'JUPYTER_RUNTIME_DIR', 'JUPYTER_DATA_DIR', 'IPYTHONDIR'))
    return [environment_program('jupyter', 'python'), '-m', 'jupyter_server', '--ServerApp.ip=127.0.0.1',
            '--ServerApp.port=%d' % self.port, '--ServerApp.port_retries=0', '--ServerApp.open_browser=False',
            '--ServerApp.allow_root=True', '--ServerApp.root_dir=' + self.folder,
            '--IdentityProvider.token=' + TOKEN, '--log-level=ERROR']


@pytest.fixture(scope='module')
def jupyter():
    with running(jupyter_command) as started:
        yield started


@pytest.fixture(scope='module')
def kernel(jupyter):
    """Path of the channels of a kernel."""
    made = get_json('http://127.0.0.1:%d/api/kernels' % jupyter.port, b'{}', {
        'Authorization': 'token ' + TOKEN, 'Content-Type': 'application/json'})
    return '/api/kernels/%s/channels' % made['id']


def execute_request(code):
    header = {'msg_id': uuid.uuid4().hex, 'msg_type': 'execute_request', 'username': '', 'version': '5.3',
              'session': uuid.uuid4().hex, 'date': '2026-01-01T00:00:00Z'}
    return {'header': header, 'parent_header': {}, 'metadata': {}, 'buffers': [], 'channel': 'shell',
            'content': {'code': code, 'silent': False, 'store_history': False, 'user_expressions': {},
                        'allow_stdin': False, 'stop_on_error': True}}


@pytest.mark.parametrize('by', ('header', 'query'))
@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_jupyter_kernel(jupyter, kernel, compress, by):
    """Run a cell: its output, a megabyte of it, and its end arrive."""
    url = 'ws://127.0.0.1:%d%s' % (jupyter.port, kernel)
    options = {'headers': {'Authorization': 'token ' + TOKEN}}
    if by == 'query':
        url, options = url + '?token=' + TOKEN, {}
    websocket = WebSocket(url, proxies={}, compress=compress, **options)
    request = execute_request('print("\\u20ac" * 300000); print(6 * 7)')
    printed, replies = [], []

    def on_event(event):
        if event.name == 'ready':
            websocket.send_json(request)
        elif event.name == 'text':
            message = event.json
            if message['parent_header'].get('msg_id') != request['header']['msg_id']:
                return
            if message['msg_type'] == 'stream':
                printed.append(message['content']['text'])
            elif message['msg_type'] == 'execute_reply':
                replies.append(message['content']['status'])
            if replies and ''.join(printed).endswith('42\n'):
                websocket.close()

    happened = talk(websocket, on_event, ping_rate=1, ping_timeout=20)
    assert ''.join(printed) == '\u20ac' * 300000 + '\n42\n' and replies == ['ok']
    assert end_of(happened) == CLOSED_BY_US and happened[-1].graceful


def test_jupyter_without_the_token(jupyter, kernel):
    websocket = WebSocket('ws://127.0.0.1:%d%s' % (jupyter.port, kernel), proxies={})
    happened = run(websocket)
    assert names(happened) == ['connecting', 'connected', 'rejected', 'disconnected']
    assert happened[2].response.status_code == 403


# -- Socket.IO

@pytest.fixture(scope='module')
def socketio():
    needs(os.path.join(NPM, 'node_modules', 'socket.io'))
    with running(lambda self: [program('node'), os.path.join(SERVERS, 'socketio_server.js'), NPM,
                                      '%d' % self.port]) as started:
        yield started


class SocketIo(object):
    """Engine.IO 4 and Socket.IO 5 by hand; ``answers_pings``: its patience is 0.4 s."""

    def __init__(self, server, answers_pings=True, **options):
        self.websocket = WebSocket('ws://127.0.0.1:%d/socket.io/?EIO=4&transport=websocket&name=J\xfcrgen' %
                                   server.port, proxies={}, **options)
        self._answers_pings = answers_pings
        self.pings = 0
        self.packets = []

    def on_event(self, event):
        if event.name == 'binary':
            self.packets.append(event.data)
        elif event.name == 'text' and event.text == '2':
            self.pings += 1
            if self._answers_pings:
                self.websocket.send_text('3')
        elif event.name == 'text' and event.text.startswith('0'):
            self.websocket.send_text('40')
        elif event.name == 'text' and not event.text.startswith('40'):
            self.packets.append(event.text)


@pytest.mark.parametrize('compress', (False, True), ids=('plain', 'deflate'))
def test_socketio(socketio, compress):
    """Text, an acknowledgement, bytes as attachments, heartbeats."""
    client = SocketIo(socketio, compress=compress)
    say, data = client.websocket.send_text, counterparts.bytes_of(100000)

    def on_event(event):
        count = len(client.packets)
        client.on_event(event)
        if len(client.packets) == 1 and not count:
            say('421["say","m\xf6ve"]')
            say('451-["say",{"_placeholder":true,"num":0}]')
            client.websocket.send_binary(data)
        elif len(client.packets) == 5 and client.pings >= 3:
            client.websocket.close()

    happened = talk(client.websocket, on_event)
    assert client.packets == ['42["hello","J\xfcrgen"]', '42["said","m\xf6ve"]', '431["ok"]',
                              '451-["said",{"_placeholder":true,"num":0}]', data]
    assert end_of(happened) == CLOSED_BY_US and happened[-1].graceful


def test_socketio_loses_patience(socketio):
    """A client that does not answer its heartbeats is let go."""
    client = SocketIo(socketio, answers_pings=False)
    happened = talk(client.websocket, client.on_event)
    assert client.pings == 1
    assert end_of(happened) == CLOSED_BY_SERVER
    assert happened[-1].graceful and happened[-1].code is None      # a close frame without a code


def test_socketio_lets_us_go(socketio):
    client = SocketIo(socketio)

    def on_event(event):
        count = len(client.packets)
        client.on_event(event)
        if len(client.packets) == 1 and not count:
            client.websocket.send_text('42["leave"]')

    happened = talk(client.websocket, on_event)
    assert client.packets[-1] == '41'
    assert end_of(happened) == CLOSED_BY_SERVER and happened[-1].graceful


# -- GraphQL

@pytest.fixture(scope='module')
def graphql():
    needs(os.path.join(NPM, 'node_modules', 'graphql-ws'))
    needs(os.path.join(NPM, 'node_modules', 'graphql'))
    with running(lambda self: [program('node'), os.path.join(SERVERS, 'graphql_server.mjs'), NPM,
                                      '%d' % self.port]) as started:
        yield started


def graphql_client(graphql, **options):
    options.setdefault('protocols', ['graphql-transport-ws'])
    return WebSocket('ws://127.0.0.1:%d/graphql' % graphql.port, proxies={}, **options)


def test_graphql(graphql):
    """A query, a subscription, an error; its pings are frames."""
    websocket = graphql_client(graphql)
    came, answered = [], []

    def on_event(event):
        if event.name == 'ready':
            assert event.protocol == 'graphql-transport-ws'
            websocket.send_json(type='connection_init', payload={'token': 'let me in'})
        elif event.name == 'ping':
            answered.append(event.data)
        elif event.name == 'text':
            message = event.json
            came.append((message.get('id'), message['type']))
            if message['type'] == 'connection_ack':
                for number, query in (('q', '{ hello(name: "m\xf6ve") }'), ('e', '{ nonsense }'),
                                      ('s', 'subscription { count(to: 50) }')):
                    websocket.send_json(id=number, type='subscribe', payload={'query': query})
            elif message.get('id') == 'q' and message['type'] == 'next':
                assert message['payload']['data'] == {'hello': 'hello m\xf6ve'}
        if len(came) == 1 + 2 + 51 + 1 and answered:
            websocket.close()

    happened = talk(websocket, on_event)
    assert came.count(('s', 'next')) == 50 and came.count(('s', 'complete')) == 1
    assert came.count(('q', 'next')) == 1 and came.count(('e', 'error')) == 1
    assert end_of(happened) == CLOSED_BY_US and happened[-1].graceful


@pytest.mark.parametrize('to_send, protocol, code, reason', (
    ([], 'graphql-transport-ws', 4408, 'Connection initialisation timeout'),
    ([{'type': 'connection_init'}], 'graphql-transport-ws', 4403, 'Forbidden'),
    ([{'type': 'subscribe', 'id': 's', 'payload': {'query': '{ hello }'}}], 'graphql-transport-ws', 4401,
     'Unauthorized'),
    ([{'type': 'nonsense'}], 'graphql-transport-ws', 4400, None),
    ([], None, 4406, 'Subprotocol not acceptable'),
))
def test_graphql_refuses(graphql, to_send, protocol, code, reason):
    """By close codes of its own, with the reason in the frame."""
    websocket = graphql_client(graphql, protocols=[protocol] if protocol else None)

    def on_event(event):
        if event.name == 'ready':
            for message in to_send:
                websocket.send_json(message)

    happened = talk(websocket, on_event)
    assert end_of(happened) == CLOSED_BY_SERVER
    assert happened[-1].graceful and happened[-1].code == code
    closing = happened[-2]
    assert closing.name == 'closing' and closing.code == code
    assert closing.reason == reason or (reason is None and closing.reason)


# -- gevent

@pytest.mark.parametrize('scheme', ('ws', 'wss'))
def test_gevent(scheme):
    """Twenty conversations at once in one thread, where gevent has patched sockets and
    threads.
    """
    python = environment_program('gevent', 'python')
    with contextlib.closing(ScriptedServer('websockets')) as server:
        with contextlib.closing(ReverseProxy('nginx', server)) as nginx:
            url = nginx.url(port=nginx.plain if scheme == 'ws' else nginx.tls12)
            output = subprocess.check_output([
                python, os.path.join(SERVERS, 'gevent_client.py'), LOMOND, url, certificate('ca.pem')])
    got = json.loads(output.decode('utf-8'))
    assert got['talks'] == [[[True] * 3, 'disconnected', True, 'closed']] * 20
    assert 'timed out' in got['silent']
    assert got['ticks'] >= got['elapsed'] / 0.1 / 3         # nobody held up the others
