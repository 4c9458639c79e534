"""Opens pages in headless Chromium and Firefox: what WebSockets do there with a server of
ours, and what the pages of examples/ show.

The screenshots are kept in .real/screenshots; a person looks at each.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from browsers import LIMIT, PHONE, browser, browsers, processes  # noqa: F401 (fixtures)
from counterparts import free_ports, is_listening, program
from support.paths import CHECKOUT, python3

import lomond
from lomond.server import Server

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))

pytestmark = pytest.mark.timeout(400)

PAGE = '''<!DOCTYPE html>
<meta charset="utf-8">
<title>a page of the tests</title>
<script>
'use strict';
const here = location.href.replace(/^http/, 'ws');
let socket;
/** What becomes of a WebSocket: {is, protocol, extensions}, or how it was closed. */
const open = (protocols, url) => new Promise(done => {
  socket = new WebSocket(url || here, protocols || []);
  socket.binaryType = 'arraybuffer';
  socket.over = new Promise(told => socket.onclose = ({code, reason, wasClean}) => {
    const what = {is: 'closed', code, reason, wasClean};
    told(what);
    done(what);
  });
  socket.onopen = () => done({is: 'open', protocol: socket.protocol, extensions: socket.extensions});
});
/** Send messages; what came back, and after how many seconds. */
const echo = messages => new Promise(done => {
  const back = [], start = performance.now();
  socket.onmessage = event => {
    back.push(event.data);
    if (back.length === messages.length)
      done([back, (performance.now() - start) / 1000]);
  };
  messages.forEach(message => socket.send(message));
});
</script>
'''


class Served(object):
    """A server of this process, with a page, that notes how its connections are closed."""

    def __init__(self, **options):
        self.ended, self.done = [], threading.Event()
        self._server = Server(self._handle, on_request=self._answer, **options)
        self.port = self._server.port
        self.origin = 'http://localhost:{}'.format(self.port)

    def _answer(self, request):
        if request.get('Upgrade') is None:
            return 200, [('Content-Type', 'text/html; charset=utf-8')], PAGE.encode('utf-8')

    def _handle(self, websocket):
        for event in websocket:
            if event.name == 'text':
                if event.text == 'bye':
                    websocket.close(4000, 'tsch\xfc\xdf')
                else:
                    websocket.send_text(event.text)
            elif event.name == 'binary':
                websocket.send_binary(event.data)
            elif event.name in ('closing', 'closed'):
                self.ended.append((event.name, event.code, event.reason))
                self.done.set()

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *ignored):
        assert self._server.stop()


def test_messages(browser):                     # noqa: F811
    """Compressed, with a subprotocol, in order, and large ones; the page closes."""
    with Served(compress=True, protocols=['b', 'a'], max_message_size=4 * 1024 * 1024) as served:
        tab = browser.open(served.origin)
        tab.wait_for('here')
        told = tab.evaluate("open(['a', 'b'])")
        assert (told['is'], told['protocol']) == ('open', 'a')
        assert told['extensions'].startswith('permessage-deflate')
        is_same, seconds = tab.evaluate('''(async () => {
            const sent = Array.from({length: 5000}, (_, i) => 'gr\xfc\xdfe ' + i);
            const [back, seconds] = await echo(sent);
            return [back.every((text, i) => text === sent[i]), seconds]; })()''')
        assert is_same
        print('5,000 messages there and back: {:.2f} s'.format(seconds))
        is_same, seconds = tab.evaluate('''(async () => {
            const sent = new Uint32Array(750000).map((_, i) => Math.imul(i, 2654435761));
            const [[data], seconds] = await echo([sent]), back = new Uint32Array(data);
            return [back.length === 750000 && back.every((part, i) => part === sent[i]), seconds]; })()''')
        assert is_same
        print('3 MB there and back: {:.2f} s'.format(seconds))
        tab.evaluate("socket.close(4001, 'gr\xfc\xdfe')")
        assert tab.evaluate('socket.over') == {
            'is': 'closed', 'code': 4001, 'reason': 'gr\xfc\xdfe', 'wasClean': True}
        assert served.done.wait(LIMIT) and served.ended[0] == ('closing', 4001, 'gr\xfc\xdfe')


def test_server_closes(browser):                # noqa: F811
    """The page is told why."""
    with Served() as served:
        tab = browser.open(served.origin)
        tab.wait_for('here')
        tab.evaluate('open()')
        tab.evaluate("socket.send('bye')")
        assert tab.evaluate('socket.over') == {
            'is': 'closed', 'code': 4000, 'reason': 'tsch\xfc\xdf', 'wasClean': True}
        assert served.done.wait(LIMIT) and served.ended == [('closed', 4000, 'tsch\xfc\xdf')]


def test_tab_closed(browser):                   # noqa: F811
    """The server hears of it."""
    with Served() as served:
        tab = browser.open(served.origin)
        tab.wait_for('here')
        assert tab.evaluate('open()')['is'] == 'open'
        tab.close()
        assert served.done.wait(LIMIT) and served.ended == [('closing', 1001, '')]


def test_no_protocol_in_common(browser, request):       # noqa: F811
    """Chromium fails the connection, Firefox keeps it without one."""
    with Served(protocols=['c']) as served:
        tab = browser.open(served.origin)
        tab.wait_for('here')
        told = tab.evaluate("open(['a', 'b'])")
        if 'firefox' in request.node.name:
            assert told == {'is': 'open', 'protocol': '', 'extensions': ''}
        else:
            assert told == {'is': 'closed', 'code': 1006, 'reason': '', 'wasClean': False}


def test_page_of_another_origin(browser):       # noqa: F811
    """It is refused unless it is named."""
    with Served() as served:
        tab = browser.open(served.origin)
        tab.wait_for('here')
        for origins, expected in ((None, 'closed'), ([served.origin], 'open')):
            with Served(origins=origins) as other:
                told = tab.evaluate("open([], '{}/')".format(other.origin.replace('http', 'ws')))
                assert told['is'] == expected and told.get('code') in (None, 1006)
                tab.evaluate('socket.close()')
                tab.evaluate('socket.over')


class Example(object):
    """A server in a process, which may be started again on the same port.

    :param command: list of text: its arguments of Python; the port comes after them
    """

    def __init__(self, *command):
        self._command = list(command)
        self.port, = free_ports(1)
        self.url = 'http://localhost:{}/'.format(self.port)
        self.start()

    def start(self):
        environ = dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE='1')
        self._process = subprocess.Popen([sys.executable] + self._command + [str(self.port)], env=environ,
                                         cwd=os.path.join(CHECKOUT, 'examples'))
        end = time.time() + LIMIT
        while not is_listening(self.port):
            assert self._process.poll() is None and time.time() < end
            time.sleep(0.02)

    def stop(self):
        """SIGTERM, and the status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait()

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@pytest.mark.parametrize('kind, command', [
    pytest.param('example', ['serve_chat.py'], marks=python3),
    ('command', ['-m', 'lomond', 'serve', '--chat', '--port'])])
def test_chat_and_sigterm(browsers, kind, command):     # noqa: F811
    """Chromium and Firefox talk to one another, and come back after a restart."""
    with contextlib.closing(Example(*command)) as chat:
        tabs = [browsers['chromium'].open(chat.url + '?name=Ann'), browsers['firefox'].open(chat.url)]
        tabs[1].wait_for('!!find')
        tabs[1].evaluate("find('name').value = 'B\xf6b', document.querySelector('#join button').click()")
        expected = ['Ann: sch\xf6ne Gr\xfc\xdfe', 'B\xf6b: thanks \U0001f600']
        for tab in tabs:
            tab.wait_for("document.querySelectorAll('#people li').length === 2")
            tab.wait_for_text('status', '^connected, compressed$')
            tab.evaluate("void socket.addEventListener('close', event => window.ended = event)")
        for tab, line in zip(tabs, expected):
            tab.evaluate("find('text').value = {}, find('send').click()".format(json.dumps(line[5:])))
            for each in tabs:
                each.wait_for('find("messages").textContent.includes({})'.format(json.dumps(line)))
        lines = "[...document.querySelectorAll('{}')].map(each => each.textContent)"
        for tab, name in zip(tabs, ('chromium', 'firefox')):
            assert tab.evaluate(lines.format('#people li')) == ['Ann', 'B\xf6b']
            assert tab.evaluate(lines.format('#messages p')) == expected
            tab.picture('chat-{}-{}'.format(kind, name))
        assert chat.stop() == 0
        for tab, name in zip(tabs, ('chromium', 'firefox')):
            tab.wait_for_text('status', r'^closed \(1001\), reconnecting$')
            assert tab.evaluate('[ended.code, ended.reason, ended.wasClean]') == [1001, '', True]
            tab.picture('chat-{}-{}-closed'.format(kind, name))
        chat.start()
        for tab, name in zip(tabs, ('chromium', 'firefox')):
            tab.wait_for_text('status', '^connected, compressed$')
            tab.wait_for("document.querySelectorAll('#people li').length === 2")
            assert tab.evaluate(lines.format('#messages p')) == expected
            tab.picture('chat-{}-{}-again'.format(kind, name))
        tabs[0].resize(*PHONE)
        tabs[0].picture('chat-{}-phone'.format(kind))


@python3
def test_sensors(browser, request):             # noqa: F811
    """The chart moves; a phone's page shows it, too."""
    name = request.node.callspec.params['browser']
    with contextlib.closing(Example('serve_sensors.py', '--fake')) as sensors:
        tab = browser.open(sensors.url)
        tab.wait_for('points.length > 150')
        tab.wait_for_text('status', '^20 values/s, 1 viewer$')
        first = tab.picture('sensors-' + name)
        time.sleep(1)
        assert tab.picture() != first
        tab.resize(*PHONE)
        tab.wait_for_text('status', '^20 values/s, 1 viewer$')
        tab.picture('sensors-{}-phone'.format(name))
        assert sensors.stop() == 0
        tab.wait_for_text('status', r'^closed \(1001\), reconnecting$')


@python3
def test_phone_that_sends(browser, request):    # noqa: F811
    """What its page is told goes to the viewers."""
    with contextlib.closing(Example('serve_sensors.py')) as sensors:
        phone = browser.open(sensors.url + 'sensor', PHONE)
        phone.wait_for('!!find')
        phone.evaluate("find('start').click()")
        phone.wait_for_text('status', '^connected$')
        phone.evaluate('window.ondevicemotion({accelerationIncludingGravity: {x: 1, y: -2.5, z: 9.81}})')
        phone.picture('sensors-{}-sender'.format(request.node.callspec.params['browser']))
        tab = browser.open(sensors.url)
        tab.wait_for_text('newest', '^x 1.00y -2.50z 9.81$')


class Road(object):
    """The way to a server, which a phone may be slow on: nothing comes through while
    `is_clear` is not set.
    """

    def __init__(self, port):
        self._port, self._sockets = port, []
        self.is_clear = threading.Event()
        self.is_clear.set()
        self._listener = socket.socket()
        self._listener.bind(('127.0.0.1', 0))
        self._listener.listen(10)
        self.url = 'http://127.0.0.1:{}/'.format(self._listener.getsockname()[1])
        self._threads = []
        self._start(self._accept)

    def _start(self, *call):
        self._threads.append(threading.Thread(target=call[0], args=call[1:]))
        self._threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):      # close() ends it
            while True:
                near = self._listener.accept()[0]
                far = socket.socket()
                # The kernels on the way hold 40 KB, not megabytes: a viewer is dropped before
                # its pong is due.
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 88)
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                far.connect(('127.0.0.1', self._port))
                self._sockets += [near, far]
                self._start(self._carry, near, far)
                self._start(self._carry, far, near)

    def _carry(self, source, target):
        with contextlib.suppress(OSError):
            for data in iter(lambda: source.recv(65536), b''):
                self.is_clear.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.is_clear.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets + [self._listener]:
            each.close()


@python3
def test_slow_viewer(browsers):                 # noqa: F811
    """It is dropped, delays nobody, and comes back."""
    with contextlib.closing(Example('serve_sensors.py', '--fake')) as sensors, \
            contextlib.closing(Road(sensors.port)) as road:
        slow = [browsers[name].open(road.url) for name in ('chromium', 'firefox')]
        quick = browsers['chromium'].open(sensors.url)
        quick.wait_for_text('status', ' 3 viewers$')
        road.is_clear.clear()
        quick.wait_for_text('status', ' 1 viewer$')
        for tab in slow:
            tab.evaluate('''void new MutationObserver(() => {
                if (!isOpen) window.told = find('status').textContent;
            }).observe(find('status'), {childList: true}), pause = 5000''')     # time for a picture
        road.is_clear.set()
        for tab, name in zip(slow, ('chromium', 'firefox')):
            assert tab.wait_for('window.told') == 'too slow, reconnecting'
            tab.picture('sensors-{}-slow'.format(name))
        for tab, name in zip(slow, ('chromium', 'firefox')):
            tab.wait_for('isOpen && points.length > 150')
            tab.wait_for_text('status', '^20 values/s, 3 viewers$')
            tab.picture('sensors-{}-again'.format(name))


class Terminal(object):
    """A command in a terminal, and what is seen there.

    :param shown: what somebody would have typed
    :param arguments: of Python
    """

    def __init__(self, shown, *arguments):
        self.text = '$ {}\n'.format(shown)
        self._ours, theirs = os.openpty()
        environ = dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE='1')
        self._process = subprocess.Popen(
            [program('setsid'), '--ctty', sys.executable] + list(arguments), env=environ,
            cwd=os.path.join(CHECKOUT, 'examples'), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)

    def wait_for(self, pattern=None):
        """Wait for a line, or for the end."""
        end = time.time() + 2 * LIMIT
        while not (pattern and re.search('(?m)^{}$'.format(pattern), self.text)):
            assert time.time() < end, self.text
            if select.select([self._ours], [], [], 1)[0]:
                try:
                    self.text += os.read(self._ours, 65536).decode('utf-8').replace('\r\n', '\n')
                except OSError:         # it has ended
                    assert not pattern, self.text
                    return self._process.wait()

    def interrupt(self):
        """Ctrl-C."""
        os.write(self._ours, b'\x03')

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)


def show_terminals(browser, name, *terminals):      # noqa: F811
    """Make a picture of them, one above the other."""
    tab = browser.open()
    texts = [each.text.splitlines(True) for each in terminals]
    tab.evaluate('''{}.forEach(text => {{
        const made = document.createElement('pre');
        made.textContent = text;
        made.style = 'padding: 1em; border-radius: 6px; font-size: 14px; color: #eee; background: #1d2430';
        document.body.append(made);
    }})'''.format(json.dumps([''.join(lines[:1] + lines[1:][-23:]) for lines in texts])))
    tab.picture(name)


@python3
def test_echo_in_terminals(browsers):           # noqa: F811
    """A server in one, a client in the other."""
    if is_listening(8080):
        pytest.skip('something listens at port 8080')
    client = '-m lomond ws://localhost:8080/ -x hello --wait 0.2'
    with contextlib.closing(Terminal('python serve_echo.py', 'serve_echo.py')) as server:
        end = time.time() + LIMIT
        while not is_listening(8080):
            assert time.time() < end, server.text
            time.sleep(0.02)
        with contextlib.closing(Terminal(client[3:], *client.split())) as other:
            assert other.wait_for() == 0
            assert '\nhello\n' in other.text
            show_terminals(browsers['chromium'], 'terminal-echo', server, other)
        server.interrupt()
        assert server.wait_for() == 0 and 'Traceback' not in server.text


@python3
def test_group_in_a_terminal(browsers):         # noqa: F811
    """2,000 connections, a line a second; Ctrl-C closes all."""
    with contextlib.closing(Terminal('python serve_group.py', 'serve_group.py')) as group:
        group.wait_for('(2000 connections, [0-9]+ messages a second, [0-9]+ MiB, 2 threads, '
                       '[0-9]+ descriptors\n){3,}.*')
        group.interrupt()
        assert group.wait_for() == 0
        # The terminal may show ^C at the beginning of that line.
        assert re.search('(\n|\\^C)2000 closed with 1001\n$', group.text) and 'Traceback' not in group.text
        show_terminals(browsers['chromium'], 'terminal-group', group)
