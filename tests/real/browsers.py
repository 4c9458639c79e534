"""Drive headless browsers over lomond itself: Chromium by its DevTools protocol, Firefox
by WebDriver BiDi; it must not know what they show.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import json
import os
import re
import time

import pytest
from counterparts import DEBIAN, REAL, Counterpart, program

from lomond import WebSocket

SCREENSHOTS = os.path.join(REAL, 'screenshots')
#: Seconds for one question, and for what a page waits for.
LIMIT = 60
#: Nothing that a browser wants from outside gets there; addresses of this machine go past
#: a proxy.
NOWHERE = '127.0.0.1', 9
#: Width, height and scale of windows.
DESKTOP, PHONE = (860, 640, 1), (390, 700, 2)


class Browser(object):
    """A process, and the WebSocket that it is driven by; `Chromium` and `Firefox` say how."""

    def __init__(self):
        self._number, self.tabs = 0, []
        self._process = Counterpart(self._command)
        try:
            websocket = self._websocket = WebSocket(self._find_url(), proxies={}, max_message_size=None)
            self._events = websocket.connect(poll=1, ping_rate=0)
            assert [event.name for _, event in zip(range(3), self._events)][-1] == 'ready'
            self._begin()
        except BaseException:
            self._process.close()
            raise

    def _command(self, process):
        fonts = os.path.join(DEBIAN, 'usr', 'share', 'fonts')
        if os.path.isdir(fonts):        # for the emoji
            os.symlink(fonts, os.path.join(process.folder, '.fonts'))
        return self.command(process)

    def _begin(self):
        """What comes before the first tab."""

    def ask(self, method, params, **others):
        """The result of a command."""
        self._number += 1
        self._websocket.send_json(dict(others, id=self._number, method=method, params=params))
        end = time.time() + LIMIT
        for event in self._events:
            if event.name == 'text' and event.json.get('id') == self._number:
                assert 'error' not in event.json, event.json
                return event.json['result']
            assert time.time() < end, '{} was not answered'.format(method)
        raise AssertionError('the browser has ended')

    def open(self, url='about:blank', size=DESKTOP):
        """Show a page in a window of its own; it may still be loading."""
        tab = self.tab_class(self, url)
        self.tabs.append(tab)
        tab.resize(*size)
        return tab

    def close_tabs(self):
        while self.tabs:
            self.tabs[0].close()

    def close(self):
        """End the process; its profile goes with the folder."""
        self._websocket.force_disconnect()
        self._events.close()
        self._process.close()


class Tab(object):
    """A page."""

    def __init__(self, browser, url):
        self._browser = browser
        self._begin(url)

    def evaluate(self, expression):
        """The value of an expression or, if that is a promise, what it becomes."""
        text = self._evaluate('(async () => JSON.stringify(await ({})))()'.format(expression))
        return None if text is None else json.loads(text)

    def wait_for(self, expression):
        """Wait until an expression is true.

        :returns: its value
        """
        end, found = time.time() + LIMIT, None
        while not found:
            assert time.time() < end, '{}: {}'.format(expression, self.evaluate('document.body.innerText'))
            time.sleep(0.02)
            try:
                found = self.evaluate(expression)
            except AssertionError:      # the page is loading
                pass
        return found

    def wait_for_text(self, name, pattern):
        """Wait until the text of the element with an id matches.

        :param pattern: of JavaScript
        """
        return self.wait_for('RegExp({}).test(document.getElementById({}).textContent)'.format(
            json.dumps(pattern), json.dumps(name)))

    def picture(self, name=None):
        """What the window shows, as a PNG; kept under a name."""
        data = base64.b64decode(self._picture())
        if name is not None:
            if not os.path.isdir(SCREENSHOTS):
                os.makedirs(SCREENSHOTS)
            with open(os.path.join(SCREENSHOTS, name + '.png'), 'wb') as out:
                out.write(data)
        return data

    def close(self):
        self._browser.tabs.remove(self)
        self._close()


class ChromiumTab(Tab):

    def _begin(self, url):
        self._target = self._browser.ask('Target.createTarget', {'url': url, 'newWindow': True})['targetId']
        self._session = self._browser.ask(
            'Target.attachToTarget', {'targetId': self._target, 'flatten': True})['sessionId']

    def _ask(self, method, **params):
        return self._browser.ask(method, params, sessionId=self._session)

    def resize(self, width, height, scale):
        self._ask('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale,
                  mobile=scale > 1)

    def _evaluate(self, expression):
        told = self._ask('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        assert 'exceptionDetails' not in told, told
        return told['result'].get('value')

    def _picture(self):
        return self._ask('Page.captureScreenshot')['data']

    def _close(self):
        self._browser.ask('Target.closeTarget', {'targetId': self._target})


class Chromium(Browser):

    tab_class = ChromiumTab

    def command(self, process):
        path = os.path.join(DEBIAN, 'usr', 'lib', 'chromium', 'chromium')   # its script knows /usr only
        return [path if os.path.exists(path) else program('chromium'), '--headless', '--no-sandbox',
                '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
                '--disable-component-update', '--disable-sync', '--proxy-server=%s:%d' % NOWHERE,
                '--user-data-dir=' + os.path.join(process.folder, 'user'),
                '--remote-debugging-port=%d' % process.port, 'about:blank']

    def _find_url(self):
        end, said = time.time() + LIMIT, None
        while not said:
            assert time.time() < end, self._process.output()
            said = re.search(r'DevTools listening on (\S+)\n', self._process.output())
        return said.group(1)


class FirefoxTab(Tab):

    def _begin(self, url):
        self._context = self._browser.ask('browsingContext.create', {'type': 'window'})['context']
        self._ask('browsingContext.navigate', url=url, wait='none')

    def _ask(self, method, **params):
        return self._browser.ask(method, dict(params, context=self._context))

    def resize(self, width, height, scale):
        self._ask('browsingContext.setViewport', viewport={'width': width, 'height': height},
                  devicePixelRatio=scale)

    def _evaluate(self, expression):
        told = self._browser.ask('script.evaluate', {
            'expression': expression, 'target': {'context': self._context}, 'awaitPromise': True})
        assert told['type'] == 'success', told
        return told['result'].get('value')

    def _picture(self):
        return self._ask('browsingContext.captureScreenshot')['data']

    def _close(self):
        self._ask('browsingContext.close')


class Firefox(Browser):

    tab_class = FirefoxTab

    def command(self, process):
        os.mkdir(os.path.join(process.folder, 'profile'))
        settings = [('type', 1)] + [(scheme + end, value) for scheme in ('http', 'ssl')
                                    for end, value in zip(('', '_port'), NOWHERE)]
        process.write(os.path.join('profile', 'user.js'), ''.join(
            'user_pref("network.proxy.{}", {});\n'.format(name, json.dumps(value))
            for name, value in settings))
        return [program('firefox-esr'), '--headless', '--no-remote',
                '--profile', os.path.join(process.folder, 'profile'),
                '--remote-debugging-port', str(process.port), 'about:blank']

    def _find_url(self):
        return 'ws://127.0.0.1:{}/session'.format(self._process.port)

    def _begin(self):
        self.ask('session.new', {'capabilities': {}})


class Browsers(object):
    """Both, each started when it is first wanted; the test is skipped where it is missing."""

    def __init__(self):
        self._started = {}

    def __getitem__(self, name):
        if name not in self._started:
            self._started[name] = {'chromium': Chromium, 'firefox': Firefox}[name]()
        return self._started[name]

    def close_tabs(self):
        for browser in self._started.values():
            browser.close_tabs()

    def close(self):
        for browser in self._started.values():
            browser.close()


@pytest.fixture(scope='module')
def processes():
    """For `browsers`."""
    started = Browsers()
    yield started
    started.close()


@pytest.fixture
def browsers(processes):
    """The browsers by name, without tabs; a process serves all tests of a file."""
    yield processes
    processes.close_tabs()


@pytest.fixture(params=['chromium', 'firefox'])
def browser(request, browsers):
    """Each of them."""
    return browsers[request.param]
