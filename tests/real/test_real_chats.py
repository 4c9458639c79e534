"""Runs the chat of examples/ inside Flask, CherryPy and gunicorn.

The page loads while 40 WebSockets are open, all of them hear the same in the same order,
and SIGTERM says goodbye where the server lets Python end.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import signal
import subprocess
import sys
import time

import pytest
from counterparts import free_ports, is_listening
from support.paths import CHECKOUT
from test_real_wsgi import find_python

import lomond
from lomond import WebSocket
from lomond.group import Group

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
EXAMPLES = os.path.join(CHECKOUT, 'examples')
CLIENTS = 40

pytestmark = pytest.mark.skipif(sys.version_info < (3, 6), reason='the examples are written for Python 3')


def load_page(port):
    from urllib.request import urlopen
    return urlopen('http://127.0.0.1:{}/'.format(port), timeout=10).read().decode('utf-8')


@pytest.mark.parametrize('name, module, foot, says_goodbye', [
    ('serve_flask.py', 'flask', 'Flask', False), ('serve_cherrypy.py', 'cherrypy', 'CherryPy', True),
    ('serve_gunicorn.py', 'gunicorn', 'gunicorn', True)])
def test_chat_inside(name, module, foot, says_goodbye):
    python, (port,) = find_python(module), free_ports(1)
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join((PACKAGE, EXAMPLES)), PYTHONDONTWRITEBYTECODE='1')
    process = subprocess.Popen([python, os.path.join(EXAMPLES, name), str(port)], env=environ,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        end = time.time() + 30
        while not is_listening(port):
            assert process.poll() is None and time.time() < end, process.stdout.read()
            time.sleep(0.05)
        heard, codes, page, is_over = {}, [], None, False
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
                elif page is None and len(said['people']) == CLIENTS:
                    page = load_page(port)
                    for each in clients[:3]:
                        each.send_json(text='gr\xfc\xdfe \U0001f600')
                if not is_over and [len(lines) for lines in heard.values()] == [3] * CLIENTS:
                    is_over = True          # a second signal would cut the goodbyes off
                    process.send_signal(signal.SIGTERM)
            elif event.name == 'disconnected':
                codes.append(event.code)
        assert '<footer>{}</footer>'.format(foot) in page
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
