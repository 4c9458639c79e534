"""Runs the programs in examples/ as processes, with a server that others might have.

Tests that need programs of other projects are in tests/real/test_real_examples.py.
"""

from __future__ import absolute_import, division, unicode_literals

import glob
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from support.addresses import free_port
from support.client import in_thread, play
from support.paths import CHECKOUT, import_from, python3, read

import lomond
from lomond._compat import OS_ERRORS
from lomond.cli.chat import PAGE
from lomond.testing import Server, close_with, echo, reject

try:
    from urllib.request import urlopen
except ImportError:
    urlopen = None                              # 2.7: its tests are skipped

pytestmark = pytest.mark.ends

EXAMPLES = os.path.join(CHECKOUT, 'examples')
MOST_LINES = 59
#: Examples that need more, since they are about more than one program.
LONGER = {'sharded_feeds.py': 150}
#: Seconds for one example.
LIMIT = 40

class Example(object):
    """A running example, which is ended at the end of ``with`` at the latest."""

    def __init__(self, name, *arguments, **environ):
        package = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
        environ = dict(os.environ, PYTHONPATH=package, PYTHONIOENCODING='utf-8', PYTHONUNBUFFERED='1',
                       PYTHONDONTWRITEBYTECODE='1', **environ)
        self.process = subprocess.Popen(
            [sys.executable, name if name == '-c' else os.path.join(EXAMPLES, name)] + list(arguments),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        self.process.wait()

    def end(self, text=None, number=None):
        """Wait for its end; return ``(status, stdout, stderr)``.

        :param text: its input
        :param number: a signal for it
        """
        if number is not None:
            self.process.send_signal(number)
        limit = threading.Timer(LIMIT, self.process.kill)       # 2.7 has no other time-out
        limit.start()
        try:
            out, err = self.process.communicate(text and text.encode('utf-8'))
        finally:
            limit.cancel()
        return self.process.returncode, out.decode('utf-8'), err.decode('utf-8')


def text_of(connection):
    """Return the next text message."""
    return next(event.text for event in connection if event.name == 'text')


def all_examples():
    return sorted(os.path.basename(path) for path in glob.glob(os.path.join(EXAMPLES, '*.py')))


@pytest.mark.parametrize('name', all_examples())
def test_form(name):
    """Each is short, has a docstring that says how to run it, and is run by a test."""
    text = read('examples', name)
    lines = re.sub("(?s)= '''<!DOCTYPE.*?'''", '', text).splitlines()        # less its page
    assert len(lines) <= LONGER.get(name, MOST_LINES)
    assert re.match(r'""".+\n\n(.*\n)*?    .*(python \S*|\$ )?{}'.format(re.escape(name)), text)
    assert any("'{}'".format(name) in read('tests', *path) for path in (
        ('project', 'test_examples.py'), ('real', 'test_real_examples.py'),
        ('real', 'test_sharded_feeds.py'), ('real', 'test_real_chats.py'), ('real', 'test_real_browsers.py')))


@python3
def test_echo_bot():
    """It answers others, but not itself; it reconnects; Ctrl-C ends it."""
    answered = threading.Event()

    def room(connection):
        connection.send_text('hello')
        assert text_of(connection) == 'echo: hello'
        connection.send_text('echo: mine')
        connection.send_text('m\xf6ve')
        assert text_of(connection) == 'echo: m\xf6ve'
        answered.set()
        list(connection)                        # until its end

    with Server(room) as server, Example('echo_bot.py', server.url) as bot:
        assert answered.wait(LIMIT)
        status, _, err = bot.end(number=signal.SIGINT)
    assert (status, err) == (0, 'here we are\n')


@python3
def test_echo_bot_comes_back():
    with Server(close_with(1012, 'restart')) as server, Example('echo_bot.py', server.url) as bot:
        lines = [bot.process.stderr.readline().decode('utf-8').strip() for _ in range(2)]
        assert lines == ['here we are', 'disconnected: closed']
        assert bot.process.poll() is None
        bot.process.kill()


@python3
def test_chat():
    def friend(connection):
        assert text_of(connection) == 'who is there?'
        connection.send_text('M\xf6ve')
        assert text_of(connection) == 'bye'
        list(connection)                        # until its end

    with Server(friend) as server:
        with Example('chat.py', server.url) as chat:
            chat.process.stdin.write(b'who is there?\n')
            chat.process.stdin.flush()
            assert chat.process.stdout.readline().decode('utf-8').strip() == '* connected to 127.0.0.1'
            assert chat.process.stdout.readline().decode('utf-8').strip() == '< M\xf6ve'
            status, out, err = chat.end('bye\n')
        assert server.connections[0].close_reason == 'end of input'
    assert (status, out.strip(), err) == (0, '* the end: closed', '')


@python3
def test_chat_says_goodbye_at_ctrl_c():
    with Server(echo) as server, Example('chat.py', server.url) as chat:
        assert b'connected' in chat.process.stdout.readline()
        chat.process.send_signal(signal.SIGINT)
        assert chat.process.stdout.readline().strip() == b'* the end: closed'
        assert chat.end()[0] == 0
        assert server.connections[0].close_code == 1000


@python3
def test_live_plot():
    def sensors(connection):
        for value in (20, 23.5, 27):
            connection.send_text('{"sensor": "kitchen", "value": %s}' % value)
        for other in ('{"sensor": "roof", "value": -1}', 'no JSON', '[]', '{"sensor": 1, "value": "x"}'):
            connection.send_text(other)

    with Server(sensors) as server, Example('live_plot.py', server.url) as plot:
        status, out, err = plot.end()
    assert (status, err) == (0, '')
    lines = [re.split(' +', line.strip()) for line in out.splitlines() if line.strip()]
    assert lines[:2] == [['kitchen', '\u2581\u2584\u2588', '27.00'], ['roof', '\u2581', '-1.00']]


@python3
@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='needs systemd, so Unix')
def test_gateway(tmpdir):
    """It tells systemd that it is ready, sends, and closes when it is stopped."""
    address = str(tmpdir.join('notify'))
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        notified.bind(address)
        notified.settimeout(LIMIT)
        with Server(echo) as server:
            with Example('gateway.py', GATEWAY_URL=server.url, NOTIFY_SOCKET=address) as gateway:
                assert notified.recv(1000) == b'READY=1\nSTATUS=connected'
                assert gateway.process.stderr.readline().startswith(b'told to: {"')
                assert gateway.end(number=signal.SIGTERM)[0] == 0
            assert notified.recv(1000) == b'STATUS=closed'
            assert notified.recv(1000) == b'STOPPING=1'
            assert server.connections[0].close_code == 1001
    finally:
        notified.close()


@python3
def test_gateway_that_nobody_wants():
    """A failure that will not go away ends it, and systemd is told."""
    with Server(reject(403)) as server, Example('gateway.py', GATEWAY_URL=server.url) as gateway:
        status, _, err = gateway.end()
    assert status == 1 and 'rejected: ' in err


def test_unit_of_the_gateway():
    """The unit file names what exists, and waits longer than the gateway takes."""
    settings = dict(re.findall('(?m)^([A-Z][A-Za-z]+)=(.*?) *$', read('examples', 'gateway.service')))
    assert settings['Type'] == 'notify' and settings['ExecStart'].endswith('/gateway.py')
    assert settings['Environment'].startswith('GATEWAY_URL=wss://')
    assert int(settings['TimeoutStopSec']) > 1


def test_fan_in():
    """It delivers all messages of all servers, those of each server in order."""
    def feed(connection):
        for number in range(1500):
            connection.send_text('{}'.format(number))

    with Server(feed) as one, Server(feed) as two, Example('fan_in.py', one.url, two.url) as fan_in:
        status, out, err = fan_in.end()
    lines = [line.split(' ') for line in out.splitlines()]
    for server in (one, two):
        assert [int(number) for url, number in lines if url == server.url] == list(range(1500))
        assert server.url + ' closed' in err
    assert status == 0 and len(lines) == 3000


def test_fan_in_is_interrupted():
    with Server(echo) as server:
        accepted = threading.Event()
        server.handler = lambda connection: (connection.send_text('x'), accepted.set(), echo(connection))
        with Example('fan_in.py', server.url, server.url) as fan_in:
            assert fan_in.process.stdout.readline() and fan_in.process.stdout.readline()
            assert fan_in.end(number=signal.SIGINT)[0] == 0
        assert [connection.close_code for connection in server.connections] == [1001, 1001]


@python3
def test_asyncio_feeds():
    """Two servers, one of which restarts; Ctrl-C says goodbye to both."""
    def feed(connection):
        assert text_of(connection) == '{"subscribe": "prices"}'
        connection.send_text('{"from": %d}' % len(restarting.connections))
        if len(restarting.connections) == 1 and connection in restarting.connections:
            connection.close(1012, 'restart')
        list(connection)                        # until its end

    with Server(feed) as steady, Server(feed) as restarting:
        with Example('asyncio_feeds.py', steady.url, restarting.url) as feeds:
            lines = [feeds.process.stdout.readline().decode('utf-8').strip() for _ in range(3)]
            assert restarting.url + " {'from': 2}" in lines
            status, _, err = feeds.end(number=signal.SIGINT)
        assert [each.connections[-1].close_code for each in (steady, restarting)] == [1001, 1001]
    assert status == 0 and err.startswith(restarting.url + ': back in ')


def connect_soon(port):
    """Wait until somebody listens there."""
    end = time.time() + LIMIT
    while True:
        try:
            return socket.create_connection(('127.0.0.1', port), LIMIT).close()
        except OS_ERRORS:
            assert time.time() < end
            time.sleep(0.05)


@python3
def test_serve_echo():
    """It is run on another port than its own."""
    port, code = free_port(), (
        'import functools, runpy, sys, lomond.server as module; serve = module.serve; '
        'module.serve = lambda handler, host, port: serve(handler, host, int(sys.argv[2])); '
        'runpy.run_path(sys.argv[1], run_name="__main__")')
    path = os.path.join(EXAMPLES, 'serve_echo.py')
    with Example('-c', code, path, str(port)) as server:
        connect_soon(port)
        played = play('ws://localhost:{}/'.format(port), {
            'ready': lambda ws, event: ws.send_text('hello'),
            'text': lambda ws, event: server.process.terminate()})
        assert played.one('text').text == 'hello' and played.last.code == 1001
        assert server.end() == (0, '', '')


@python3
def test_serve_chat():
    """Names, messages in the same order, the page; SIGTERM closes with 1001."""
    port, both = free_port(), []

    def talk(websocket, event, name):
        said = event.json
        if 'text' in said:
            seen[name].append((said['name'], said['text']))
        elif said['people'] == ['Ann', 'B\xf6b']:
            both.append(name)
            websocket.send_json(text='I am {} \U0001f600'.format(name))
        if both == ['stop'] or len(seen['Ann']) == len(seen['B\xf6b']) == 2:
            both[:] = ['stop']
            server.process.terminate()

    def join(name):
        return play(url, {'ready': lambda ws, event: ws.send_json(name=name),
                          'text': lambda ws, event: talk(ws, event, name)}, dict(compress=True))
    seen, url = {'Ann': [], 'B\xf6b': []}, 'ws://localhost:{}/'.format(port)
    with Example('serve_chat.py', str(port)) as server:
        connect_soon(port)
        page = urlopen('http://127.0.0.1:{}/'.format(port))
        assert 'charset=utf-8' in page.headers['Content-Type'] and b'reconnecting' in page.read()
        other = in_thread(join, 'B\xf6b')
        ann = join('Ann')
        other.join(LIMIT)
        assert ann.last.code == other.result.last.code == 1001
        assert ann.one('ready').extensions == {'permessage-deflate'}
        assert server.end() == (0, '', '')
    assert len(seen['Ann']) == 2 and seen['Ann'] == seen['B\xf6b']


@python3
def test_serve_chat_to_somebody_without_a_name():
    """Whoever calls himself null keeps nobody out."""
    port = free_port()
    url = 'ws://localhost:{}/'.format(port)

    def ann_joins(websocket, event):
        if len(event.json['people']) == 1:
            found.append(play(url, {'ready': lambda ws, event: ws.send_json(name='Ann'),
                                    'text': lambda ws, event: ws.close()}))
            websocket.close()

    found = []
    with Example('serve_chat.py', str(port)):
        connect_soon(port)
        play(url, {'ready': lambda ws, event: ws.send_json(name=None), 'text': ann_joins})
    assert found[0].one('text').json == {'people': ['Ann', 'None']}


@python3
def test_pages_of_both_chats():
    """The page of ``lomond serve --chat`` is the example's, but for its title."""
    page = import_from('examples', 'serve_chat').PAGE
    assert PAGE == page.replace('<title>', '<title>lomond ').replace('<h1>C', '<h1>lomond c')


@python3
def test_serve_group():
    """A line a second; Ctrl-C closes all clients, and both loops end."""
    pytest.importorskip('resource')
    with Example('serve_group.py', '30') as group:
        wanted = '30 connections, 30 messages a second, [0-9]+ MiB, 2 threads, [0-9]+ descriptors\n'
        # The third line, unless the machine is busy.
        assert any(re.match(wanted, group.process.stdout.readline().decode()) for _ in range(9))
        status, rest, err = group.end(number=signal.SIGINT)
    assert (status, rest.splitlines()[-1], err) == (0, '30 closed with 1001', '')


@python3
@pytest.mark.parametrize('text', ['no JSON', '[1, 2]', '["x", 0, 0]', '[1%0400d, 0, 0]' % 0, '[' * 1024],
                         ids=['no-json', 'two', 'word', 'large', 'deep'])
def test_serve_sensors(text):
    """Its one loop survives every text of a sensor; SIGTERM ends it."""
    port = free_port()
    url = 'ws://127.0.0.1:{}/sensor'.format(port)
    with Example('serve_sensors.py', str(port)) as server:
        connect_soon(port)
        played = play(url, {'ready': lambda ws, event: ws.send_text(text)})
        assert played.last.code == 1007
        assert server.end(number=signal.SIGTERM) == (0, '', '')
