"""Measures the cells of docs/matrix.rst; it must not know what they should be.

    python docs/check_matrix.py lomond|websocket-client|websockets|ws4py

Run it once for each client, in an environment where that client is installed (lomond 0.3.4 and
this one are both ``lomond``).  It needs Python 3.  Servers are on loopback; a case that has no
end is given up after 35 seconds.
"""

import base64
import hashlib
import os
import socket
import struct
import sys
import threading
import time

GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
LIMIT = 35


def listen(script, family=socket.AF_INET, address=('127.0.0.1', 0)):
    """A server that runs the script for each connection; its port."""
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
    except OSError:
        pass            # the client has gone


def read_head(sock):
    head = b''
    while b'\r\n\r\n' not in head:
        data = sock.recv(4096)
        if not data:
            break
        head += data
    return head


def shake_hands(sock):
    head = read_head(sock)
    key = [line.split(b':')[1].strip() for line in head.split(b'\r\n')
           if line.lower().startswith(b'sec-websocket-key')][0]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    sock.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                 b'Sec-WebSocket-Accept: ' + accept + b'\r\n\r\n')
    return head


def sink(sock):
    while sock.recv(65536):
        pass


# -- the clients: open(url, **ping) and a function that receives until the end

class Lomond:
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
            if event.name in ('disconnected', 'text', 'binary'):
                return event.name
        return 'end'

    def send(self, opened, data):
        # The events belong to the thread that has begun to iterate them.
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
        raise failures[0]

    pings = dict(ping_rate=1, ping_timeout=2)


class WebSocketClient:
    def __init__(self):
        import websocket
        self.name = 'websocket-client ' + websocket.__version__

    def open(self, url, **settings):
        import websocket
        return websocket.create_connection(url)

    def receive(self, opened):
        return 'received {!r}'.format(opened.recv())

    def send(self, opened, data):
        opened.send_binary(data)

    pings = {}          # only of WebSocketApp


class Websockets:
    def __init__(self):
        import websockets
        self.name = 'websockets ' + websockets.__version__

    def open(self, url, **settings):
        from websockets.sync.client import connect
        return connect(url, **settings)

    def receive(self, opened):
        return 'received {!r}'.format(opened.recv())

    def send(self, opened, data):
        opened.send(data)

    pings = dict(ping_interval=1, ping_timeout=2)


class Ws4py:
    def __init__(self):
        import ws4py
        self.name = 'ws4py ' + ws4py.__version__

    def open(self, url, **settings):
        from ws4py.client.threadedclient import WebSocketClient
        client = WebSocketClient(url)
        client.ended = threading.Event()
        client.closed = lambda *args: client.ended.set()
        client.connect()
        return client

    def receive(self, opened):
        opened.ended.wait()
        return 'closed'

    def send(self, opened, data):
        opened.send(data, binary=True)

    pings = {}


CLIENTS = {'lomond': Lomond, 'websocket-client': WebSocketClient, 'websockets': Websockets, 'ws4py': Ws4py}


def limited(function, *args, **kwargs):
    """What came of it, and after how long."""
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


def main(name):
    client = CLIENTS[name]()
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
            sock.sendall(data)
            sink(sock)
        return script

    def receive(script):
        return client.receive(client.open(url(script)))

    place = url(quiet)
    before = threading.active_count()
    kept = client.open(place)
    time.sleep(0.2)
    say('threads of an open connection', threading.active_count() - before - 1)     # one is the server's
    extensions = [line for line in heads[0].split(b'\r\n') if b'extensions' in line.lower()]
    say('compression offered by default', extensions or 'no')
    say('server that never answers', limited(client.open, url(sink)))
    say('message of 2**62 bytes announced', limited(receive, then(b'\x82\x7f' + struct.pack('!Q', 2 ** 62))))
    say('bad UTF-8 in an unfinished frame', limited(receive, then(b'\x81\x0a\xff\xff')))
    say('frame with a mask', limited(receive, then(b'\x81\x81\0\0\0\0a')))

    def stuck():
        def script(sock):
            shake_hands(sock)
            time.sleep(600)
        client.send(client.open(url(script), **client.pings), bytes(50000000))
        return 'sent'
    say('send to a server that stopped, pings each second' if client.pings else
        'send to a server that stopped', limited(stuck))

    connects = []

    def proxy(sock):
        connects.append(read_head(sock).split(b'\r\n')[0])
        sock.sendall(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')

    os.environ['http_proxy'] = os.environ['https_proxy'] = 'http://127.0.0.1:{}'.format(listen(proxy))
    say('proxy refuses', limited(client.open, 'ws://example.org/'))
    say('the proxy of http_proxy was asked', connects or 'no')
    os.environ['no_proxy'] = '127.0.0.1'
    del connects[:]
    say('with no_proxy', limited(client.open, url(lambda sock: sock.close())))
    say('it was asked all the same', connects or 'no')
    del kept


if __name__ == '__main__':
    main(sys.argv[1])
    os._exit(0)         # threads of a client may have no end
