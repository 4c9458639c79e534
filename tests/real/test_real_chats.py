"""Runs the chat of examples/ inside Flask, CherryPy and gunicorn.

The page loads in two browsers while 40 WebSockets are open, all of them hear the same in
the same order, and SIGTERM says goodbye where the server lets Python end.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import signal
import subprocess
import time

import pytest
from browsers import PHONE, browsers, processes  # noqa: F401 (fixtures)
from counterparts import free_ports, is_listening
from support.paths import CHECKOUT, python3
from test_real_wsgi import find_python

import lomond
from lomond import WebSocket
from lomond.group import Group

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
EXAMPLES = os.path.join(CHECKOUT, 'examples')
CLIENTS = 40

pytestmark = [python3, pytest.mark.timeout(200)]


def show_page(tab, foot, picture):
    """Wait until everybody is here and all has been said; who is said to serve the page."""
    tab.wait_for("document.querySelectorAll('#people li').length === {}".format(CLIENTS + 2))
    tab.wait_for("document.querySelectorAll('#messages p').length === 3")
    tab.wait_for_text('status', '^connected, compressed$')
    tab.picture(picture)
    tab.resize(*PHONE)
    tab.picture(picture + '-phone')
    assert tab.evaluate("document.querySelector('footer').textContent") == foot


@pytest.mark.parametrize('name, module, foot, says_goodbye', [
    ('serve_flask.py', 'flask', 'Flask', False), ('serve_cherrypy.py', 'cherrypy', 'CherryPy', True),
    ('serve_gunicorn.py', 'gunicorn', 'gunicorn', True)])
def test_chat_inside_and_sigterm(name, module, foot, says_goodbye, browsers):        # noqa: F811
    for each in ('chromium', 'firefox'):
        browsers[each]          # is started before anything else, or the test is skipped
    python, (port,) = find_python(module), free_ports(1)
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join((PACKAGE, EXAMPLES)), PYTHONDONTWRITEBYTECODE='1')
    process = subprocess.Popen([python, os.path.join(EXAMPLES, name), str(port)], env=environ,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        end = time.time() + 30
        while not is_listening(port):
            assert process.poll() is None and time.time() < end, process.stdout.read()
            time.sleep(0.05)
        heard, codes, tabs, state = {}, [], [], 'coming'
        clients = [WebSocket('ws://127.0.0.1:{}/'.format(port), proxies={}, compress=True)
                   for _ in range(CLIENTS)]
        for websocket, event in Group(clients, poll=30):
            if event.name == 'ready':
                heard[websocket] = []
                websocket.send_json(name='client {}'.format(clients.index(websocket)))
            elif event.name == 'text':
                said = event.json
                if 'text' in said:
                    heard[websocket].append((said['name'], said['text']))
                elif state == 'coming' and len(said['people']) == CLIENTS:
                    state = 'waiting for pages'
                    tabs = [(browser, browsers[browser].open('http://127.0.0.1:{}/?name={}'.format(
                        port, browser))) for browser in ('chromium', 'firefox')]
                elif state == 'waiting for pages' and len(said['people']) == CLIENTS + 2:
                    state = 'talking'
                    for each in clients[:3]:
                        each.send_json(text='gr\xfc\xdfe \U0001f600')
                if state == 'talking' and [len(lines) for lines in heard.values()] == [3] * CLIENTS:
                    state = 'over'          # a second signal would cut the goodbyes off
                    for browser, tab in tabs:
                        show_page(tab, foot, 'chat-{}-{}'.format(module, browser))
                    process.send_signal(signal.SIGTERM)
                    at = time.time()
            elif event.name == 'disconnected':
                codes.append(event.code)
        print('{}: all gone {:.2f} s after SIGTERM'.format(foot, time.time() - at))
        code = 1001 if says_goodbye else 1006
        for _, tab in tabs:
            tab.wait_for_text('status', r'^closed \({}\), reconnecting$'.format(code))
        lines = list(heard.values())
        assert len(lines) == CLIENTS and lines == [lines[0]] * CLIENTS
        assert sorted(lines[0]) == [
            ('client {}'.format(number), 'gr\xfc\xdfe \U0001f600') for number in range(3)]
        assert codes == [1001 if says_goodbye else None] * CLIENTS
    finally:
        if process.poll() is None:
            process.kill()
        output = process.communicate()[0].decode('utf-8', 'replace')
    assert 'Traceback' not in output, output
