"""Drives the pages of examples/ in headless Chromium, by its DevTools protocol over lomond.

The screenshots are kept in .real/screenshots; a person looks at each.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from counterparts import REAL, Counterpart, free_ports, is_listening, program
from support.paths import CHECKOUT

import lomond
from lomond import WebSocket

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
SCREENSHOTS = os.path.join(REAL, 'screenshots')
LIMIT = 20

pytestmark = [pytest.mark.skipif(sys.version_info < (3, 6), reason='the examples are written for Python 3'),
              pytest.mark.timeout(180)]


class Tab(object):
    """A page in Chromium.

    :param browser: the Counterpart
    :param url: what it shows
    """

    def __init__(self, browser, url):
        from urllib.request import Request, urlopen
        request = Request('http://127.0.0.1:{}/json/new?{}'.format(browser.port, url), method='PUT')
        told = json.loads(urlopen(request, timeout=LIMIT).read().decode('utf-8'))
        websocket = WebSocket(told['webSocketDebuggerUrl'], proxies={}, max_message_size=None)
        self._events = websocket.connect(poll=1)
        self._websocket, self._number = websocket, 0
        next(event for event in self._events if event.name == 'ready')

    def ask(self, method, **params):
        self._number += 1
        self._websocket.send_json(id=self._number, method=method, params=params)
        for event in self._events:
            if event.name == 'text' and event.json.get('id') == self._number:
                return event.json['result']
        raise AssertionError('the browser has ended')

    def evaluate(self, code):
        result = self.ask('Runtime.evaluate', expression=code, returnByValue=True)
        assert 'exceptionDetails' not in result, result
        return result['result'].get('value')

    def wait_for(self, code, limit=LIMIT):
        end = time.time() + limit
        code = 'try {{ {} }} catch (error) {{ false }}'.format(code)        # the page may be loading
        while not self.evaluate(code):
            assert time.time() < end, repr(self.evaluate('document.body.innerText'))
            time.sleep(0.05)

    def text(self, name):
        return self.evaluate('document.getElementById({}).textContent'.format(json.dumps(name)))

    def picture(self, name=None):
        data = base64.b64decode(self.ask('Page.captureScreenshot')['data'])
        if name is not None:
            if not os.path.isdir(SCREENSHOTS):
                os.makedirs(SCREENSHOTS)
            with open(os.path.join(SCREENSHOTS, name), 'wb') as out:
                out.write(data)
        return data

    def close(self):
        self.ask('Page.close')
        self._events.close()


@pytest.fixture
def chromium():
    started = Counterpart(lambda self: [
        program('chromium'), '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
        '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--user-data-dir=' + os.path.join(self.folder, 'user'), '--remote-debugging-address=127.0.0.1',
        '--remote-debugging-port=%d' % self.port, '--window-size=860,640', 'about:blank'])
    yield started
    started.close()


class Example(object):
    """A server of examples/ on a port, which may be started again."""

    def __init__(self, name, *options):
        self._name, self._options = name, options
        self.port, = free_ports(1)
        self.url = 'http://localhost:{}/'.format(self.port)
        self.start()

    def start(self):
        environ = dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE='1')
        path = os.path.join(CHECKOUT, 'examples', self._name)
        self.process = subprocess.Popen([sys.executable, path] + list(self._options) + [str(self.port)],
                                        env=environ)
        end = time.time() + LIMIT
        while not is_listening(self.port):
            assert self.process.poll() is None and time.time() < end
            time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)


def test_chat(chromium):
    """Names and messages in the same order in two browsers; it reconnects after a restart."""
    chat = Example('serve_chat.py')
    try:
        names = ['Ann', 'B\xf6b']
        tabs = [Tab(chromium, chat.url + '?name=' + name.replace('\xf6', '%C3%B6')) for name in names]
        for tab in tabs:
            tab.wait_for("document.querySelectorAll('#people li').length === 2")
            assert tab.text('status') == 'connected, compressed'
        for tab, words in zip(tabs, ('sch\xf6ne Gr\xfc\xdfe', 'thanks \U0001f600')):
            tab.evaluate('socket.send(JSON.stringify({{text: {}}}))'.format(json.dumps(words)))
            for each in tabs:
                each.wait_for('document.getElementById("messages").textContent.includes({})'.format(
                    json.dumps(words)))
        expected = ['Ann: sch\xf6ne Gr\xfc\xdfe', 'B\xf6b: thanks \U0001f600']
        said = "[...document.querySelectorAll('#messages p')].map(p => p.textContent)"
        assert [tab.evaluate(said) for tab in tabs] == [expected, expected]
        for tab, name in zip(tabs, ('ann', 'bob')):
            tab.picture('chat-{}.png'.format(name))
        assert chat.stop() == 0
        for tab in tabs:
            tab.wait_for("document.getElementById('status').textContent === 'closed (1001), reconnecting'")
        tabs[0].picture('chat-closed.png')
        chat.start()
        for tab in tabs:
            tab.wait_for("document.getElementById('status').textContent.startsWith('connected')")
            assert tab.evaluate(said) == expected
        tabs[1].picture('chat-again.png')
        for tab in tabs:
            tab.close()
    finally:
        chat.stop()


def test_page_of_another_origin(chromium):
    """It is refused before the handler."""
    chat = Example('serve_chat.py')
    try:
        tab = Tab(chromium, 'http://127.0.0.1:{}/json/version'.format(chromium.port))
        tab.evaluate('''window.state = 'waiting'; const ws = new WebSocket('ws://localhost:%d/');
                        ws.onopen = () => window.state = 'open';
                        ws.onclose = event => window.state = event.code;
                        ''' % chat.port)
        tab.wait_for("window.state !== 'waiting'")
        assert tab.evaluate('window.state') == 1006
        tab.close()
    finally:
        chat.stop()


def test_sensors(chromium):
    """The chart moves; a viewer that does not read is dropped, and comes back."""
    sensors = Example('serve_sensors.py', '--fake')
    try:
        tab = Tab(chromium, sensors.url)
        tab.wait_for("/^(19|20|21) values.s, 1 viewer$/.test(document.getElementById('status').textContent)")
        time.sleep(3)
        first = tab.picture('sensors.png')
        time.sleep(1)
        assert tab.picture() != first
        tab.close()
    finally:
        sensors.stop()
