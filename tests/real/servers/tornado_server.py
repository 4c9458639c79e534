"""The scripted server of tests/real on tornado: PORT or PORT:OPTIONS (JSON of compression options) ..."""

import asyncio
import json
import sys

from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

LIMIT = 16 * 1024 * 1024


class Scripted(WebSocketHandler):
    def get_compression_options(self):
        return self.application.compression

    def check_origin(self, origin):
        return True

    def select_subprotocol(self, offered):
        return 'chat' if 'chat' in offered else None

    def query(self, name, missing=None):
        return self.get_argument(name, missing, strip=False)

    async def open(self):
        path = self.request.path
        if path == '/close':
            code = self.query('code')
            self.close(int(code) if code else None, self.query('reason'))
        elif path == '/greet':
            for i in range(3):
                await self.write_message('greeting %d' % i)
        elif path == '/ping':
            for i in range(3):
                self.ping(b'ping %d' % i)
        elif path == '/big':
            size = int(self.query('size'))
            await self.write_message((b'abcdefghijklmnopqrstuvwxyz' * (size // 26 + 1))[:size], binary=True)
            await self.write_message('z' * size)

    async def on_pong(self, data):
        if data.startswith(b'ping '):
            await self.write_message('pong ' + data.decode())

    async def on_message(self, message):
        path = self.request.path
        if path == '/close-later':
            self.close(int(self.query('code')), self.query('reason'))
        elif path == '/drop':
            self.ws_connection.stream.close()
        else:
            await self.write_message(message, binary=isinstance(message, bytes))


class Rejecting(RequestHandler):
    def get(self):
        self.set_status(int(self.get_argument('status')))
        self.finish(self.get_argument('body', strip=False))


async def main(arguments):
    for argument in arguments:
        port, _, options = argument.partition(':')
        app = Application([('/reject', Rejecting), ('/.*', Scripted)], websocket_max_message_size=LIMIT)
        app.compression = json.loads(options) if options else None
        app.listen(int(port), '127.0.0.1')
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1:]))
