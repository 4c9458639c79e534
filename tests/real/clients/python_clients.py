"""What clients of others in Python see of lomond's server.

    python python_clients.py CLIENT URL FULL-URL

CLIENT is websockets, websockets-asyncio, websocket-client, aiohttp or curl; the paths are those of
../servers/lomond_server.py.  Prints what was seen as JSON; it must not know what is expected.
"""

import asyncio
import json
import sys

TEXT, BINARY = 'h\u00e4llo \u20ac', bytes(range(256)) * 782       # 200,192 bytes
PROTOCOLS = ['chat.v0', 'chat.v1']
LARGE = 2 * 1024 * 1024
EVIL = 'https://evil.example'


class Websockets:
    """websockets.sync"""

    def connect(self, url, origin=None):
        from websockets.exceptions import ConnectionClosed, InvalidStatus
        from websockets.sync.client import connect
        for _ in range(20):
            try:
                self.ws = connect(url, subprotocols=PROTOCOLS, origin=origin, proxy=None,
                                  max_size=None).__enter__()
                return 101
            except InvalidStatus as refused:
                return refused.response.status_code
            except (ConnectionClosed, AssertionError):      # the answer came before it had asked
                pass

    def agreed(self):
        return self.ws.subprotocol, self.ws.response.headers.get('Sec-WebSocket-Extensions', '')

    def send(self, message):
        self.ws.send(message)

    def receive(self):
        return self.ws.recv(20)

    def ping(self):
        return self.ws.ping(b'ours').wait(20)

    def close(self, code, reason):
        self.ws.close(code, reason)
        return self.closed()

    def closed(self):
        from websockets.exceptions import ConnectionClosed
        try:
            while True:
                self.receive()
        except ConnectionClosed as closed:
            return [closed.rcvd.code, closed.rcvd.reason]


class Asynchronous:
    """Runs the coroutines below, one after the other."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def __getattribute__(self, name):
        found = object.__getattribute__(self, name)
        if not asyncio.iscoroutinefunction(found):
            return found
        return lambda *args: self.loop.run_until_complete(asyncio.wait_for(found(*args), 20))


class WebsocketsAsyncio(Asynchronous):
    agreed = Websockets.agreed

    async def connect(self, url, origin=None):
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus
        try:
            self.ws = await connect(url, subprotocols=PROTOCOLS, origin=origin, proxy=None, max_size=None)
        except InvalidStatus as refused:
            return refused.response.status_code
        return 101

    async def send(self, message):
        await self.ws.send(message)

    async def receive(self):
        return await self.ws.recv()

    async def ping(self):
        await (await self.ws.ping(b'ours'))
        return True

    async def close(self, code, reason):
        await self.ws.close(code, reason)
        return await end_of(self.ws)

    async def closed(self):
        return await end_of(self.ws)


async def end_of(ws):
    from websockets.exceptions import ConnectionClosed
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as closed:
        return [closed.rcvd.code, closed.rcvd.reason]


class Aiohttp(Asynchronous):
    async def connect(self, url, origin=None):
        import aiohttp
        self.session = aiohttp.ClientSession()
        try:
            self.ws = await self.session.ws_connect(
                url, protocols=PROTOCOLS, compress=15, origin=origin, max_msg_size=0, autoping=False)
        except aiohttp.WSServerHandshakeError as refused:
            await self.session.close()
            return refused.status
        return 101

    def agreed(self):
        return self.ws.protocol, 'permessage-deflate' if self.ws.compress else ''

    async def send(self, message):
        await (self.ws.send_str if isinstance(message, str) else self.ws.send_bytes)(message)

    async def receive(self):
        import aiohttp
        while True:
            message = await self.ws.receive()
            if message.type == aiohttp.WSMsgType.PING:
                await self.ws.pong(message.data)
            else:
                return message.data

    async def ping(self):
        await self.ws.ping(b'ours')
        return bytes((await self.ws.receive()).data) == b'ours'

    async def close(self, code, reason):
        await self.ws.close(code=code, message=reason.encode())
        await self.session.close()
        return [self.ws.close_code, reason]     # it does not keep the reason

    async def closed(self):
        while not self.ws.closed:
            message = await self.ws.receive()
        await self.session.close()
        # close_code is 1006 if the server did not wait for the echo, as after 1009
        return [message.data, message.extra]


class WebsocketClient:
    def connect(self, url, origin=None):
        import websocket
        self.module = websocket
        try:
            self.ws = websocket.create_connection(url, timeout=20, subprotocols=PROTOCOLS, **(
                {'origin': origin} if origin else {'suppress_origin': True}))
        except websocket.WebSocketBadStatusException as refused:
            return refused.status_code
        return 101

    def agreed(self):
        return self.ws.subprotocol, self.ws.headers.get('sec-websocket-extensions', '')

    def send(self, message):
        (self.ws.send if isinstance(message, str) else self.ws.send_binary)(message)

    def receive(self):
        return self.ws.recv()

    def ping(self):
        self.ws.ping(b'ours')
        opcode, frame = self.ws.recv_data_frame(control_frame=True)
        return (opcode, frame.data) == (self.module.ABNF.OPCODE_PONG, b'ours')

    def close(self, code, reason):
        self.ws.send_close(code, reason.encode())
        return self.closed()

    def closed(self):
        while True:
            opcode, frame = self.ws.recv_data_frame(control_frame=True)
            if opcode == self.module.ABNF.OPCODE_CLOSE:
                self.ws.shutdown()
                return [int.from_bytes(frame.data[:2], 'big'), frame.data[2:].decode()]


class Curl:
    """libcurl's own WebSockets, by pycurl."""

    def connect(self, url, origin=None):
        import pycurl
        self.pycurl, self.lines = pycurl, []
        self.curl = pycurl.Curl()
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.CONNECT_ONLY, 2)
        self.curl.setopt(pycurl.PROXY, '')
        self.curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        self.curl.setopt(pycurl.HTTPHEADER, ['Sec-WebSocket-Protocol: ' + ', '.join(PROTOCOLS)] + (
            ['Origin: ' + origin] if origin else []))
        try:
            self.curl.perform()
        except pycurl.error:
            pass
        return int(self.lines[0].split()[1])

    def agreed(self):
        headers = {name.lower(): value.strip() for name, _, value in (
            line.decode().partition(':') for line in self.lines)}
        return headers.get('sec-websocket-protocol'), headers.get('sec-websocket-extensions', '')

    def send(self, message, flags=None):
        data = message.encode() if isinstance(message, str) else message
        flags = flags or (self.pycurl.WS_TEXT if isinstance(message, str) else self.pycurl.WS_BINARY)
        while data:
            try:
                sent = self.curl.ws_send(data, flags)
            except BlockingIOError:
                self.wait(4)
                continue
            data = data[sent:]

    def wait(self, events):
        import select
        poll = select.poll()
        poll.register(self.curl.getinfo(self.pycurl.ACTIVESOCKET), events)
        if not poll.poll(500):      # libcurl sends its pong with what is sent next
            self.send(b'-', self.pycurl.WS_PONG)

    def frame(self):
        """The next message or control frame: its flags and data."""
        whole = b''
        while True:
            try:
                data, meta = self.curl.ws_recv(65536)
            except BlockingIOError:
                self.wait(1)
                continue
            whole += data
            if not meta.bytesleft and not meta.flags & self.pycurl.WS_CONT:
                return meta.flags, whole

    def receive(self):
        while True:
            flags, data = self.frame()
            if flags & self.pycurl.WS_TEXT:
                return data.decode()
            if flags & self.pycurl.WS_BINARY:
                return data

    def ping(self):
        self.send(b'ours', self.pycurl.WS_PING)
        flags, data = self.frame()
        return bool(flags & self.pycurl.WS_PONG) and data == b'ours'

    def close(self, code, reason):
        self.send(code.to_bytes(2, 'big') + reason.encode(), self.pycurl.WS_CLOSE)
        return self.closed()

    def closed(self):
        flags = 0
        while not flags & self.pycurl.WS_CLOSE:
            flags, data = self.frame()
        self.curl.close()
        return [int.from_bytes(data[:2], 'big'), data[2:].decode()]


def main(client, url, full_url):
    seen = {'connect': client.connect(url + '/ws/echo')}
    seen['protocol'], extensions = client.agreed()
    seen['compressed'] = 'permessage-deflate' in extensions
    client.send(TEXT)
    seen['text'] = client.receive() == TEXT
    client.send(BINARY)
    seen['binary'] = bytes(client.receive()) == BINARY
    seen['ping'] = client.ping()
    seen['close'] = client.close(4001, 'd\u00f6ne')
    client.connect(url + '/ws/close')
    seen['closed'] = client.closed()
    client.connect(url + '/ws/ping')
    seen['pong'] = client.receive()
    client.close(1000, '')
    client.connect(url + '/ws/echo')
    try:
        client.send(bytes(LARGE))
    except Exception as error:          # nobody takes all of it
        print(repr(error), file=sys.stderr)
    try:
        seen['large'] = client.closed()[0]
    except Exception as error:
        print(repr(error), file=sys.stderr)
        seen['large'] = None
    seen['own origin'] = client.connect(url + '/ws/echo', url.replace('ws:', 'http:'))
    client.close(1000, '')
    seen['refused'] = [client.connect(url + '/ws/echo', EVIL), client.connect(url + '/ws/nothing')]
    first = type(client)()
    first.connect(full_url + '/ws/echo')
    seen['refused'].append(client.connect(full_url + '/ws/echo'))
    first.close(1000, '')
    print(json.dumps(seen))


if __name__ == '__main__':
    main({'websockets': Websockets, 'websockets-asyncio': WebsocketsAsyncio, 'aiohttp': Aiohttp,
          'websocket-client': WebsocketClient, 'curl': Curl}[sys.argv[1]](), *sys.argv[2:])
