"""Measure the cells of docs/matrix.rst.

    python benchmarks/check_matrix.py CLIENT

CLIENT is lomond, websocket-client, websockets, ws4py, aiohttp, aiohttp-trust-env, picows or wsproto.
Run it once for each client, in an environment where that client is installed (lomond 0.3.4 and
this version are both ``lomond``).  It needs Python 3.  All servers are on loopback.  A case that
has not ended after 35 seconds is reported as such.

Knows nothing of: what the cells should be.
"""

import base64
import hashlib
import os
import queue
import socket
import struct
import sys
import threading
import time

GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
LIMIT = 35


def listen(script, family=socket.AF_INET, address=('127.0.0.1', 0)):
    """Start a server that runs the script for each connection; return its port."""
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(5)

    def run():
        while True:
            sock = listener.accept()[0]
            threading.Thread(target=guarded, args=(script, sock), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def guarded(script, sock):
    try:
        script(sock)
    except (OSError, IndexError):
        pass            # the client closed the connection during its request


def read_head(sock):
    head = b''
    while b'\r\n\r\n' not in head:
        data = sock.recv(4096)
        if not data:
            break
        head += data
    return head


def shake_hands(sock, more=b''):
    head = read_head(sock)
    key = [line.split(b':')[1].strip() for line in head.split(b'\r\n')
           if line.lower().startswith(b'sec-websocket-key')][0]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    sock.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' + more +
                 b'Sec-WebSocket-Accept: ' + accept + b'\r\n\r\n')
    return head


def sink(sock):
    while sock.recv(65536):
        pass


# -- the clients: open(url, **settings), receive(opened) waits for something, send(opened, data)

class Lomond:
    pings = dict(ping_rate=1, ping_timeout=2)

    def __init__(self):
        import lomond
        self.name = 'lomond ' + lomond.__version__

    def open(self, url, **settings):
        from lomond import WebSocket
        websocket = WebSocket(url)
        events = iter(websocket.connect(**settings))
        for event in events:
            if event.name == 'ready':
                return websocket, events
            if event.name in ('connect_fail', 'disconnected'):
                raise EOFError(event.reason)
        raise EOFError('no event')

    def receive(self, opened):
        for event in opened[1]:
            if event.name == 'protocol_error':
                return 'protocol error: ' + event.error
            if event.name == 'disconnected':
                return 'disconnected: ' + event.reason
            if event.name in ('text', 'binary'):
                return event.name
        return 'end'

    def send(self, opened, data):
        # Events must be iterated by the thread that started to do so.
        failures = []

        def run():
            try:
                opened[0].send_binary(data)
            except Exception as error:
                failures.append(error)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        for _ in opened[1]:
            if not thread.is_alive():
                break
        thread.join()
        if failures:
            raise failures[0]

    def watch(self, url):
        return self.receive(self.open(url, **self.pings))

    def send_watched(self, url, data):
        self.send(self.open(url, **self.pings), data)


class WebSocketClient:
    def __init__(self):
        import websocket
        self.name = 'websocket-client ' + websocket.__version__

    def open(self, url, **settings):
        import websocket
        return websocket.create_connection(url)

    def receive(self, opened):
        return 'received {!r}'.format(opened.recv())

    def _run(self, url, on_open=None):
        """Use an app: create_connection() sends no pings.  The interval must exceed the timeout."""
        import websocket
        errors = []
        app = websocket.WebSocketApp(url, on_open=on_open, on_error=lambda app, error: errors.append(error))
        app.run_forever(ping_interval=3, ping_timeout=2)
        return 'ended: {}'.format(errors)

    def watch(self, url):
        return self._run(url)

    def send_watched(self, url, data):
        from websocket import ABNF
        return self._run(url, lambda app: app.send(data, ABNF.OPCODE_BINARY))


class Websockets:
    pings = dict(ping_interval=1, ping_timeout=2)

    def __init__(self):
        import websockets
        self.name = 'websockets ' + websockets.__version__

    def open(self, url, **settings):
        from websockets.sync.client import connect
        return connect(url, legacy=True, **settings)      # no "with": it is opened here and used elsewhere

    def receive(self, opened):
        return 'received {!r}'.format(opened.recv())

    def watch(self, url):
        return self.receive(self.open(url, **self.pings))

    def send_watched(self, url, data):
        self.open(url, **self.pings).send(data)


class Ws4py:
    def __init__(self):
        import ws4py
        self.name = 'ws4py ' + ws4py.__version__

    def open(self, url, **settings):
        from ws4py.client.threadedclient import WebSocketClient
        client = WebSocketClient(url, **settings)
        client.found = queue.Queue()
        client.closed = lambda *args: client.found.put('closed {!r}'.format(args))
        client.received_message = lambda message: client.found.put('received {!r}'.format(message.data))
        client.connect()
        return client

    def receive(self, opened):
        return opened.found.get()

    def watch(self, url):
        return self.receive(self.open(url, heartbeat_freq=1))

    def send_watched(self, url, data):
        self.open(url, heartbeat_freq=1).send(data, binary=True)


class Asyncio:
    """Base of asyncio clients: runs a loop in a thread, which is not counted."""

    def __init__(self):
        import asyncio
        self.asyncio = asyncio
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.loop.set_default_executor(self.executor())

    def executor(self):
        """Return an executor for name lookups whose thread exists before threads are counted."""
        from concurrent.futures import ThreadPoolExecutor
        executor = ThreadPoolExecutor(1)
        executor.submit(int).result()
        return executor

    def wait_for(self, coroutine):
        return self.asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def open(self, url, **settings):
        return self.wait_for(self.open_it(url, **settings))

    def receive(self, opened):
        return self.wait_for(self.receive_it(opened))

    def watch(self, url):
        return self.receive(self.open(url, **self.pings))

    def send_watched(self, url, data):
        opened = self.open(url, **self.pings)
        return self.wait_for(self.send_it(opened, data))


class Aiohttp(Asyncio):
    pings = dict(heartbeat=2)       # the pong may take half of that

    def __init__(self, trust_env=False):
        import aiohttp
        super().__init__()
        self.trust_env = trust_env
        self.name = 'aiohttp {}{}'.format(aiohttp.__version__, ', trust_env' if trust_env else '')

    async def open_it(self, url, **settings):
        import aiohttp
        session = aiohttp.ClientSession(trust_env=self.trust_env)
        return session, await session.ws_connect(url, **settings)

    async def receive_it(self, opened):
        message = await opened[1].receive()
        return '{} {!r}'.format(message.type.name, message.data)

    async def send_it(self, opened, data):
        await opened[1].send_bytes(data)


class Picows(Asyncio):
    pings = dict(enable_auto_ping=True, auto_ping_idle_timeout=1, auto_ping_reply_timeout=1)

    def __init__(self):
        from importlib.metadata import version

        import picows
        super().__init__()
        self.picows = picows
        self.name = 'picows ' + version('picows')

    async def open_it(self, url, **settings):
        found = self.asyncio.Queue()

        class Listener(self.picows.WSListener):
            def on_ws_frame(self, transport, frame):
                found.put_nowait('{} {!r}'.format(frame.msg_type.name, frame.get_payload_as_bytes()))

            def on_ws_disconnected(self, transport):
                found.put_nowait('disconnected')
        transport, _ = await self.picows.ws_connect(Listener, url, **settings)
        return transport, found

    async def receive_it(self, opened):
        return await opened[1].get()

    async def send_it(self, opened, data):
        opened[0].send(self.picows.WSMsgType.BINARY, data)
        return 'returned at once: send() queues; then ' + await opened[1].get()


class Wsproto:
    """A protocol without I/O: the socket, and therefore every wait, is ours."""
    is_protocol_only = True

    def __init__(self):
        import wsproto
        self.name = 'wsproto ' + wsproto.__version__

    def open(self, url):
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import AcceptConnection, Request
        host, port = url.split('/')[2].split(':')
        sock = socket.create_connection((host, int(port)))
        connection = WSConnection(ConnectionType.CLIENT)
        sock.sendall(connection.send(Request(host=host, target='/')))
        while True:
            connection.receive_data(sock.recv(65536))
            for event in connection.events():
                assert isinstance(event, AcceptConnection), event
                return sock, connection

    def receive(self, opened):
        sock, connection = opened
        while True:
            data = sock.recv(65536)
            connection.receive_data(data or None)
            for event in connection.events():
                return repr(event)


CLIENTS = {'lomond': Lomond, 'websocket-client': WebSocketClient, 'websockets': Websockets, 'ws4py': Ws4py,
           'aiohttp': Aiohttp, 'aiohttp-trust-env': lambda: Aiohttp(True), 'picows': Picows,
           'wsproto': Wsproto}


def limited(function, *args, **kwargs):
    """Call the function; return its result or error, and how long it took."""
    found = []

    def run():
        start = time.monotonic()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            result = '{}: {}'.format(type(error).__name__, error)
        found.append('{} after {:.1f} s'.format(str(result)[:110], time.monotonic() - start))
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT)
    return found[0] if found else 'nothing after {} s'.format(LIMIT)


def is_refused(client, url, size):
    """Return whether the client refuses a message of the announced size, as seen by the server."""
    refused = threading.Event()

    def script(sock):
        shake_hands(sock)
        time.sleep(0.2)
        sock.sendall(b'\x82\x7f' + struct.pack('!Q', size))
        sock.settimeout(1.5)
        try:
            while True:         # small masked frames from the client: pings, or a close frame
                head = sock.recv(2, socket.MSG_WAITALL)
                if head[:1] in (b'', b'\x88'):
                    refused.set()
                    return
                sock.recv(4 + (head[1] & 127), socket.MSG_WAITALL)
        except socket.timeout:
            pass            # the client waits for the payload

    thread = threading.Thread(target=limited, args=(lambda: client.receive(client.open(url(script))),))
    thread.daemon = True
    thread.start()
    return refused.wait(2.5)


def dead_address():
    """Return a port of 127.0.0.2 with a full accept queue: Linux drops packets, like a firewall."""
    full = socket.socket()
    full.bind(('127.0.0.2', 0))
    full.listen(0)
    kept = [full]
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
        kept.append(sock)
    time.sleep(0.2)
    return full.getsockname()[1], kept


def main(name):
    client = CLIENTS[name]()
    only = getattr(client, 'is_protocol_only', False)
    for proxy in [key for key in os.environ if key.lower().endswith('_proxy')]:
        del os.environ[proxy]
    print(client.name, '/', sys.version.split()[0])

    def url(script):
        return 'ws://127.0.0.1:{}/'.format(listen(script))

    def say(what, result):
        print('{:34} {}'.format(what, result), flush=True)

    heads = []

    def quiet(sock):
        heads.append(shake_hands(sock))
        sink(sock)

    def then(data):
        def script(sock):
            shake_hands(sock)
            time.sleep(0.2)         # not in the packet of the response: some clients fail
            sock.sendall(data)
            sink(sock)
        return script

    def receive(script):
        return client.receive(client.open(url(script)))

    place = url(quiet)
    before = threading.active_count()
    kept = client.open(place)
    time.sleep(0.2)
    say('threads of an open connection', threading.active_count() - before - 1)     # minus the server's
    extensions = [line for line in heads[0].split(b'\r\n') if b'extensions' in line.lower()]
    say('compression offered by default', extensions or 'no')
    say('message of 2**62 bytes announced', limited(receive, then(b'\x82\x7f' + struct.pack('!Q', 2 ** 62))))
    refused = [size for size in (1, 4, 10, 16, 64, 256) if is_refused(client, url, size * 2 ** 20 + 1)]
    limit = 'refuses {} MiB + 1'.format(refused[0]) if refused else 'none up to 256 MiB'
    say('limit of a message', limit)
    say('bad UTF-8 in an unfinished frame', limited(receive, then(b'\x81\x0a\xff\xff')))
    say('bad UTF-8, whole message', limited(receive, then(b'\x81\x02\xff\xff')))
    say('frame with a mask', limited(receive, then(b'\x81\x81\0\0\0\0a')))
    say('fragments', limited(receive, then(b'\x01\x01a\x80\x01b')))
    if only:
        return
    say('server that never answers', limited(client.open, url(sink)))

    def still(sock):
        shake_hands(sock)
        time.sleep(600)
    say('dead server, pings', limited(client.watch, url(quiet)))
    say('send to a server that stopped, pings', limited(client.send_watched, url(still), bytes(50000000)))

    port, full = dead_address()
    listen(quiet, address=('127.0.0.1', port))
    looked_up, socket.getaddrinfo = socket.getaddrinfo, lambda host, port, *args, **kwargs: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, int(port))) for address in (
            ['127.0.0.2', '127.0.0.1'] if host in ('two.test', b'two.test') else ['127.0.0.1'])]
    say('the first of two addresses is dead', limited(client.open, 'ws://two.test:{}/'.format(port)))
    socket.getaddrinfo = looked_up

    connects = []

    def proxy(sock):
        connects.append(read_head(sock).split(b'\r\n')[0].decode())
        sock.sendall(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')

    os.environ['http_proxy'] = os.environ['https_proxy'] = 'http://127.0.0.1:{}'.format(listen(proxy))
    say('proxy refuses', limited(client.open, 'ws://example.invalid/'))
    say('the proxy of http_proxy was asked', connects or 'no')
    os.environ['ws_proxy'] = os.environ.pop('http_proxy')
    del connects[:]
    limited(client.open, 'ws://example.invalid/')
    say('the proxy of ws_proxy was asked', connects or 'no')
    os.environ['http_proxy'] = os.environ['ws_proxy']
    os.environ['no_proxy'] = '127.0.0.1'
    del connects[:]
    say('with no_proxy', limited(client.open, url(lambda sock: sock.close())))
    say('it was asked all the same', connects or 'no')
    del kept, full


if __name__ == '__main__':
    main(sys.argv[1])
    os._exit(0)         # threads of a client may never end
