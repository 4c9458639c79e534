"""The scripted server of tests/real on PyPI's websockets: PORT or PORT:OPTIONS (JSON) ..."""

import asyncio
import http
import json
import sys
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

LIMIT = 16 * 1024 * 1024


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def handle(websocket):
    url = urlsplit(websocket.request.path)
    query = dict(parse_qsl(url.query))
    try:
        await handle_path(websocket, url.path, query)
    except ConnectionClosed:
        pass


async def handle_path(websocket, path, query):
    if path == '/close':
        await websocket.close(int(query.get('code', 1000)), query.get('reason', ''))
    elif path == '/close-later':
        await websocket.recv()
        await websocket.close(int(query['code']), query.get('reason', ''))
    elif path == '/drop':
        await websocket.recv()
        websocket.transport.abort()
    elif path == '/greet':
        for i in range(3):
            await websocket.send('greeting %d' % i)
        await echo(websocket)
    elif path == '/ping':
        for i in range(3):
            data = 'ping %d' % i
            await (await websocket.ping(data))
            await websocket.send('pong %s' % data)
        await echo(websocket)
    elif path == '/big':
        size = int(query['size'])
        await websocket.send((b'abcdefghijklmnopqrstuvwxyz' * (size // 26 + 1))[:size])
        await websocket.send('z' * size)
        await websocket.wait_closed()
    elif path == '/fragments':
        await websocket.send(['part %d;' % i for i in range(int(query['count']))])
        await websocket.wait_closed()
    else:
        await echo(websocket)


def process_request(connection, request):
    url = urlsplit(request.path)
    if url.path == '/reject':
        query = dict(parse_qsl(url.query))
        return connection.respond(http.HTTPStatus(int(query['status'])), query['body'])


async def main(arguments):
    for argument in arguments:
        port, _, options = argument.partition(':')
        extensions = [ServerPerMessageDeflateFactory(**json.loads(options))] if options else None
        await serve(handle, '127.0.0.1', int(port), compression=None, extensions=extensions, max_size=LIMIT,
                    process_request=process_request, subprotocols=['chat'],
                    select_subprotocol=lambda connection, offered: 'chat' if 'chat' in offered else None)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1:]))
