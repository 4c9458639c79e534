"""The scripted server of tests/real on aiohttp: PORT or PORT:1 (with permessage-deflate) ..."""

import asyncio
import sys

from aiohttp import WSMsgType, web

LIMIT = 16 * 1024 * 1024


async def echo(websocket, answers_pings=True):
    async for message in websocket:
        if message.type == WSMsgType.TEXT:
            await websocket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await websocket.send_bytes(message.data)
        elif message.type == WSMsgType.PONG:
            await websocket.send_str('pong ' + message.data.decode())
        elif message.type == WSMsgType.PING and answers_pings:
            await websocket.pong(message.data)


async def handle(request):
    path, query = request.path, request.query
    if path == '/reject':
        return web.Response(status=int(query['status']), text=query['body'])
    websocket = web.WebSocketResponse(compress=request.app['compress'], max_msg_size=LIMIT,
                                      protocols=('chat',), autoping=path != '/ping')
    await websocket.prepare(request)
    if path == '/close':
        await websocket.close(code=int(query.get('code', 1000)), message=query.get('reason', '').encode())
    elif path == '/close-later':
        await websocket.receive()
        await websocket.close(code=int(query['code']), message=query.get('reason', '').encode())
    elif path == '/drop':
        await websocket.receive()
        request.transport.abort()
    elif path == '/greet':
        for i in range(3):
            await websocket.send_str('greeting %d' % i)
        await echo(websocket)
    elif path == '/ping':
        for i in range(3):
            await websocket.ping(b'ping %d' % i)
        await echo(websocket)
    elif path == '/big':
        size = int(query['size'])
        await websocket.send_bytes((b'abcdefghijklmnopqrstuvwxyz' * (size // 26 + 1))[:size])
        await websocket.send_str('z' * size)
        await echo(websocket)
    else:
        await echo(websocket)
    return websocket


async def main(arguments):
    for argument in arguments:
        port, _, options = argument.partition(':')
        app = web.Application()
        app['compress'] = bool(options)
        app.router.add_get('/{path:.*}', handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, '127.0.0.1', int(port)).start()
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1:]))
