"""The server that tests/real tries with the clients of others.

    python lomond_server.py server|group PORT FULL-PORT [PING-RATE]
    FULL_PORT=1234 gunicorn lomond_server:application

Paths: /ws/echo, /ws/close (4000, 'bye'), /ws/ping (pings, and tells of the pong), and /ws/page,
an ordinary page.  At FULL-PORT there is room for one connection only.  SIGTERM ends it.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import os
import signal
import sys
import threading

from lomond.group import Group
from lomond.server import Server, serve
from lomond.wsgi import WebSocketApp

PAGE = (200, [('Content-Type', 'text/plain')], b'a page')


def answer(websocket, event):
    """Do what a path promises, at each event."""
    path = websocket.request.path
    if event.name == 'text':
        websocket.send_text(event.text)
    elif event.name == 'binary':
        websocket.send_binary(event.data)
    elif event.name == 'pong' and event.data == b'are you there':
        websocket.send_text('you are')
    elif event.name == 'accepted' and path == '/ws/close':
        websocket.close(4000, 'bye')
    elif event.name == 'accepted' and path == '/ws/ping':
        websocket.send_ping(b'are you there')


class Accepted(object):
    """What only a group tells."""

    name = 'accepted'


def handle(websocket):
    answer(websocket, Accepted)
    for event in websocket:
        answer(websocket, event)


HANDLERS = {'/ws/echo': handle, '/ws/close': handle, '/ws/ping': handle}


def on_request(request):
    if request.path == '/ws/page':
        return PAGE
    if request.path not in HANDLERS:        # a group has no dict of handlers
        return 404, [], b''


def run_group(ports, options):
    servers = [Server(host='127.0.0.1', port=port, max_connections=most, **options)
               for port, most in zip(ports, (1000, 1))]
    group = Group(servers)
    signal.signal(signal.SIGTERM, lambda number, frame: group.close())
    for websocket, event in group:
        if websocket is not None:           # a Poll is of the group
            answer(websocket, event)


def run_server(ports, options):
    in_background(Server(HANDLERS, '127.0.0.1', ports[1], max_connections=1, **options).serve_forever)
    serve(HANDLERS, '127.0.0.1', ports[0], **options)


def in_background(function):
    thread = threading.Thread(target=function)
    thread.daemon = True
    thread.start()


OPTIONS = dict(protocols=['chat.v1'], compress=True, on_request=on_request)
WSGI = [WebSocketApp(HANDLERS, detach=True, max_connections=most, **OPTIONS) for most in (1000, 1)]


def application(environ, start_response):
    return WSGI[environ['SERVER_PORT'] == os.environ['FULL_PORT']](environ, start_response)


if __name__ == '__main__':
    run = {'server': run_server, 'group': run_group}[sys.argv[1]]
    run([int(port) for port in sys.argv[2:4]], dict(OPTIONS, ping_rate=float((sys.argv[4:] or [30])[0])))
