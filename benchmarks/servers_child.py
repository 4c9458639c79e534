"""A server under measurement: ``servers_child.py SERVER``.

It prints its port, echoes, and prints its figures as JSON for each line of its standard
input: ``figures``, ``cpu``, or ``broadcast SIZE``.

Knows nothing of: the clients.
"""

import gc
import json
import os
import resource
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from clients.job import cpu_seconds, say  # noqa: E402


def figures():
    gc.collect()
    private = 0
    with open('/proc/self/smaps_rollup') as rollup:
        for line in rollup:
            if line.startswith('Private_'):
                private += int(line.split()[1]) * 1024
    return {'cpu': cpu_seconds(), 'private': private, 'threads': len(os.listdir('/proc/self/task')),
            'descriptors': len(os.listdir('/proc/self/fd'))}


def run_lomond():
    from lomond.server import Server, broadcast
    members = set()

    def handler(websocket):
        members.add(websocket)
        for event in websocket:
            if event.name == 'text':
                websocket.send_text(event.text)
            elif event.name == 'binary':
                websocket.send_binary(event.data)
        members.discard(websocket)

    server = Server(handler, '127.0.0.1', 0, ping_rate=None, max_connections=None)
    server.start()
    return server.port, lambda message: broadcast(members, message)


def run_group():
    from lomond.group import Group
    from lomond.server import Server, broadcast
    server = Server(None, '127.0.0.1', 0, ping_rate=None, max_connections=None)
    group = Group([server], poll=3600)

    def loop():
        for websocket, event in group:
            if event.name == 'text':
                websocket.send_text(event.text)
            elif event.name == 'binary':
                websocket.send_binary(event.data)

    threading.Thread(target=loop, daemon=True).start()
    return server.port, lambda message: broadcast(group.websockets, message)


def run_websockets():
    from websockets.sync.server import serve

    def handler(connection):
        for message in connection:
            connection.send(message)

    server = serve(handler, '127.0.0.1', 0, compression=None, max_size=None, ping_interval=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.socket.getsockname()[1], None


def _accept(handler):
    """Run ``handler(sock, environ)`` in a thread for each connection, as WSGI servers do."""
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(4096)

    def begin(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b''
        while b'\r\n\r\n' not in data:
            data += sock.recv(4096)
        environ = {'REQUEST_METHOD': 'GET', 'SERVER_PROTOCOL': 'HTTP/1.1'}
        for line in data.decode('latin-1').split('\r\n')[1:]:
            name, mark, value = line.partition(':')
            if mark:
                environ['HTTP_' + name.strip().upper().replace('-', '_')] = value.strip()
        handler(sock, environ)
        sock.close()

    def loop():
        while True:
            threading.Thread(target=begin, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return listener.getsockname()[1], None


def run_simple_websocket():
    from simple_websocket import ConnectionClosed, Server

    def handler(sock, environ):
        environ['werkzeug.socket'] = sock
        try:
            websocket = Server(environ, max_message_size=None)
            while True:
                websocket.send(websocket.receive())
        except ConnectionClosed:
            pass

    return _accept(handler)


def run_ws4py():
    import base64
    import hashlib

    from ws4py.websocket import EchoWebSocket

    def handler(sock, environ):
        key = environ['HTTP_SEC_WEBSOCKET_KEY'].encode('ascii') + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
        sock.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                     b'Sec-WebSocket-Accept: ' + base64.b64encode(hashlib.sha1(key).digest()) + b'\r\n\r\n')
        EchoWebSocket(sock).run()

    return _accept(handler)


RUNS = {'lomond': run_lomond, 'gevent': run_lomond, 'group': run_group, 'websockets': run_websockets,
        'simple-websocket': run_simple_websocket, 'ws4py': run_ws4py}


def main():
    lines = sys.stdin
    if sys.argv[1] == 'gevent':
        from gevent import monkey
        monkey.patch_all()
        from gevent.fileobject import FileObject
        lines = FileObject(sys.stdin.fileno(), 'r', close=False)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, send_all = RUNS[sys.argv[1]]()
    say(port)
    for line in iter(lines.readline, ''):
        words = line.split()
        if words[0] == 'broadcast':
            begun = time.monotonic()
            send_all('x' * int(words[1]))
            say(json.dumps({'seconds': time.monotonic() - begun}))
        elif words[0] == 'cpu':
            say(json.dumps({'cpu': cpu_seconds()}))
        else:
            say(json.dumps(figures()))
    os._exit(0)


if __name__ == '__main__':
    main()
