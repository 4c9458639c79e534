"""Programs for ws4py, one for each kind of use; each returns the log of its callbacks.

``load`` gives a module by its name in the tree: that of ws4py 0.6.0, or of lomond.ws4py.  As a program, this
prints the logs of those named, as JSON, for the package that is named first.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import sys

if __name__ == '__main__' and sys.argv[2:] == ['gevent']:
    from gevent import monkey
    monkey.patch_all()

import contextlib
import importlib
import json
import os
import socket
import tempfile
import threading
import time
from wsgiref.simple_server import make_server

from lomond.testing import Server, close_with, echo


def text(value):
    return value.decode('utf-8') if isinstance(value, bytes) else value


def logged(base, log, act=None):
    """A subclass that notes its callbacks; `act(websocket, what)` is called after each."""
    class Logged(base):
        def note(self, *what):
            log.append([text(part) for part in what])
            if act is not None:
                act(self, what)

        def opened(self):
            self.note('opened')

        def received_message(self, message):
            self.note('text' if message.is_text else 'binary', message.data, len(message), message.completed)

        def ponged(self, pong):
            self.note('pong', pong.data)

        def closed(self, code, reason=None):
            log.append(['closed', code, text(reason), self.terminated])
    return Logged


def wait_until(true, seconds=5.0):
    deadline = time.time() + seconds
    while not true() and time.time() < deadline:
        time.sleep(0.005)
    assert true()


def threaded(load):
    """All that a client in a thread sends and gets."""
    log = []

    def act(client, what):
        if what[0] == 'opened':
            client.send('h\xe9llo')
            client.send(b'\x00\x01', binary=True)
            client.send(bytearray(b'array'))
            client.send(str(part) for part in ['one ', 'two ', 'three'])
            client.send(str(part) for part in ['more'])
            client.send(load('messaging').BinaryMessage(b'message'))
        elif what[0] == 'binary' and what[1] == b'message':
            client.ping('beat')
        elif what[0] == 'pong':
            client.send(str(part) for part in ['the', ' last'])
            client.close(3001, 'bye')
    with Server(echo) as server:
        client = logged(load('client.threadedclient').WebSocketClient, log, act)(
            server.url + 'chat?x=1', headers=[('X-One', '1')], exclude_headers=['Origin'])
        assert client.daemon and (client.host, client.resource) == ('127.0.0.1', '/chat?x=1')
        client.connect()
        client.run_forever()
        request = server.requests[0]
        log.append([request.get('x-one'), request.get('origin'), client.terminated, client.sock is None,
                    server.connections[0].messages[-1]])
    with _suppress((RuntimeError, AttributeError)):     # the latter in ws4py
        client.send('too late')
        log.append('no error')
    return log


@contextlib.contextmanager
def _suppress(kind):
    try:
        yield
    except kind:
        pass


def endings(load):
    """How a connection ends, from the server's side."""
    logs = []

    def drop(connection):
        connection.drop()

    for handler in (close_with(1001, 'restart'), close_with(None, ''), drop):
        log = []
        with Server(handler) as server:
            client = logged(load('client.threadedclient').WebSocketClient, log)(server.url)
            client.unhandled_error = lambda error: None
            client.connect()
            client.run_forever()
        logs.append(log)
    return logs


def refusals(load):
    """What connect() raises."""
    kinds = []
    from lomond.testing import reject
    with Server(reject(403)) as server, contextlib.closing(socket.socket()) as closed:
        closed.bind(('127.0.0.1', 0))
        for url in (server.url, 'ws://127.0.0.1:{}/'.format(closed.getsockname()[1])):
            try:
                load('client.threadedclient').WebSocketClient(url).connect()
            except (load('exc').HandshakeError, socket.error) as error:
                kinds.append(isinstance(error, load('exc').HandshakeError))
    return kinds


def base(load):
    """A client without a thread, on a Unix domain socket; it sets its resource."""
    log = []
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, 's')
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(path)
        listening.listen(1)
        with Server(close_with(1000, 'done')) as server:
            pipe = threading.Thread(target=_forward, args=(listening, server.port))
            pipe.start()

            class Client(logged(load('client').WebSocketBaseClient, log)):
                def handshake_ok(self):
                    log.append('handshake_ok')
            client = Client('ws+unix://' + path)
            log.append([client.bind_addr == path, client.resource])
            client.resource = '/1.0/events'
            client.connect()
            client.run()
            pipe.join()
            log.append(server.requests[0].target)
    os.unlink(path)
    os.rmdir(folder)
    return log


def _forward(listening, port):
    here, _ = listening.accept()
    there = socket.create_connection(('127.0.0.1', port))

    def copy(source, target):
        with _suppress(socket.error):
            for data in iter(lambda: source.recv(65536), b''):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
    back = threading.Thread(target=copy, args=(there, here))
    back.start()
    copy(here, there)
    back.join()
    here.close()
    there.close()


def managed(load):
    """Clients in a manager, as pylxd has them."""
    log = []
    manager = load('manager').WebSocketManager()
    manager.start()

    class Client(logged(load('client').WebSocketBaseClient, log)):
        def handshake_ok(self):
            manager.add(self)
    with Server(echo) as server:
        client = Client(server.url)
        client.connect()
        log.append([len(manager), client in manager, list(manager.websockets.values()) == [client]])
        manager.broadcast('to all')
        wait_until(lambda: len(log) == 3)
        client.close(1000, 'over')
        wait_until(lambda: len(manager) == 0)
    manager.stop()
    manager.join()
    return log


@contextlib.contextmanager
def wsgiref_server(load, handler_class):
    server_module, utils = load('server.wsgirefserver'), load('server.wsgiutils')
    server_module.WebSocketWSGIHandler.http_version = '1.1'

    class Application(utils.WebSocketWSGIApplication):
        def make_websocket(self, *args):
            websocket = utils.WebSocketWSGIApplication.make_websocket(self, *args)
            websocket.made_by = 'make_websocket'
            return websocket

    class Quiet(server_module.WebSocketWSGIRequestHandler):
        def log_message(self, *args):
            pass
    server = make_server('127.0.0.1', 0, server_class=server_module.WSGIServer, handler_class=Quiet,
                         app=Application(protocols=['chat'], handler_cls=handler_class))
    server.initialize_websockets_manager()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wsgiref(load):
    """A server as Frigate has it: broadcasts, a callback that raises, and the end."""
    log, clients = [], []

    def act(websocket, what):
        if what[0] == 'opened':
            log.append([websocket.protocols, websocket.made_by, websocket.environ['PATH_INFO'],
                        websocket.peer_address[0]])
        elif what[:2] == ('text', b'raise'):
            raise ValueError('on purpose')
        elif what[0] == 'text':
            websocket.send('echo of {}'.format(text(what[1])))
    with wsgiref_server(load, logged(load('websocket').WebSocket, log, act)) as server:
        client_class = load('client.threadedclient').WebSocketClient
        for _ in range(2):
            clients.append([])
            client = logged(client_class, clients[-1])(
                'ws://127.0.0.1:{}/ws'.format(server.server_port), protocols=['chat'])
            client.connect()
            wait_until(lambda: len(server.manager) == len(clients))
        server.manager.broadcast('news')
        wait_until(lambda: all(len(got) == 2 for got in clients))
        for websocket in server.manager:
            if websocket.peer_address != client.local_address:
                websocket.send('one only')
        client.send('raise')
        wait_until(lambda: len(server.manager) == 1)
    wait_until(lambda: clients[0][-1][0] == 'closed')
    return [[entry for entry in log if entry[0] != 'closed' or entry[1] == 1006], clients[0]]


def cherrypy(load):
    """The tool and the plugin: a page handler that refuses, a broadcast, the end of the engine.

    As in Salt, the page handler forks a process that sends, once the client has said that it is ready.
    """
    import cherrypy
    log, got = [], []
    module = load('server.cherrypyserver')
    plugin = module.WebSocketPlugin(cherrypy.engine)
    plugin.subscribe()
    cherrypy.tools.websocket = module.WebSocketTool()

    def act(websocket, what):
        if what[0] == 'text':
            os.write(websocket.pipe, b'1')

    class Root(object):
        @cherrypy.expose
        def ws(self, refuse=None):
            log.append(['page handler', cherrypy.request.ws_handler.protocols])
            if refuse:
                raise cherrypy.HTTPError(403, str('no'))
            handler, (reading, handler.pipe) = cherrypy.request.ws_handler, os.pipe()
            if not os.fork():
                os.read(reading, 1)
                handler.send('from the child')
                os._exit(0)
            os.close(reading)
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    cherrypy.config.update({'server.socket_host': str('127.0.0.1'), 'server.socket_port': port,
                            'log.screen': False, 'engine.autoreload.on': False})
    cherrypy.tree.mount(Root(), str('/'), {str('/ws'): {
        'tools.websocket.on': True, 'tools.websocket.protocols': ['chat'],
        'tools.websocket.handler_cls': logged(load('websocket').WebSocket, log, act)}})
    cherrypy.engine.start()
    try:
        client_class = logged(load('client.threadedclient').WebSocketClient, got)
        url = 'ws://127.0.0.1:{}/ws'.format(port)
        try:
            client_class(url + '?refuse=1', protocols=['chat']).connect()
        except load('exc').HandshakeError:
            log.append('refused')
        client = client_class(url, protocols=['chat'])
        client.connect()
        wait_until(lambda: len(plugin.manager) == 1)
        cherrypy.engine.publish('websocket-broadcast', 'news')
        wait_until(lambda: len(got) == 2)
        client.send('ready')
        wait_until(lambda: len(got) == 3)
    finally:
        cherrypy.engine.exit()
    wait_until(lambda: client.terminated)
    if module.__name__.startswith('ws4py') and log.count(['opened']) == 2:
        log.remove(['opened'])              # on a busy machine, ws4py opens what was refused
    return [[entry for entry in log if entry[0] != 'closed'], got]


def gevent(load):
    """Server and client in greenlets: the client queues its messages; the server stops."""
    log = []
    server = load('server.geventserver').WSGIServer(
        ('127.0.0.1', 0), load('server.wsgiutils').WebSocketWSGIApplication(
            handler_cls=logged(load('websocket').EchoWebSocket, log)), log=None)
    server.start()
    clients = []
    for _ in range(2):
        client = load('client.geventclient').WebSocketClient('ws://127.0.0.1:{}/'.format(server.server_port))
        client.connect()
        client.send('hello')
        clients.append(client)
    clients[0].close(3000, 'bye')
    wait_until(lambda: len(server.pool) == 1)
    log.append([clients[0].receive() is None, len(server.pool)])
    server.stop()
    return log + [[clients[1].receive() is None, clients[1].terminated]]


def tornado(load):
    """A client in Tornado's loop; one that is refused."""
    from tornado.ioloop import IOLoop
    log, loop = [], IOLoop()

    def act(client, what):
        if what[0] == 'opened':
            client.send('hello')
        else:
            client.close(3000, 'bye')

    class Client(logged(load('client.tornadoclient').TornadoWebSocketClient, log, act)):
        def closed(self, code, reason=None):
            log.append([code, text(reason)[:17]])
            loop.stop()
    with Server(echo) as server:
        Client(server.url, io_loop=loop).connect()
        loop.start()
    client = Client(server.url, io_loop=loop)
    client.unhandled_error = lambda error: log.append('unhandled_error')
    client.connect()
    loop.start()
    return log


if __name__ == '__main__':
    package = sys.argv[1]
    for program in sys.argv[2:]:
        print(json.dumps([program, globals()[program](
            lambda name: importlib.import_module(package + '.' + name))]))
        sys.stdout.flush()
    os._exit(0)                         # threads of ws4py's manager may hang
