"""An ASGI application for uvicorn: echo, or what the path says."""

from urllib.parse import parse_qsl


async def application(scope, receive, send):
    if scope['type'] == 'lifespan':
        while (await receive())['type'] != 'lifespan.shutdown':
            await send({'type': 'lifespan.startup.complete'})
        return await send({'type': 'lifespan.shutdown.complete'})
    if scope['type'] != 'websocket':
        await send({'type': 'http.response.start', 'status': 404, 'headers': []})
        return await send({'type': 'http.response.body', 'body': b'a WebSocket is wanted here'})
    path, query = scope['path'], dict(parse_qsl(scope['query_string'].decode()))
    await receive()
    if path == '/refuse':
        return await send({'type': 'websocket.close', 'code': 1008})
    if path == '/reject':
        await send({'type': 'websocket.http.response.start', 'status': int(query['status']),
                    'headers': [(b'content-type', b'text/plain')]})
        return await send({'type': 'websocket.http.response.body', 'body': query['body'].encode()})
    subprotocol = 'chat' if 'chat' in scope['subprotocols'] else None
    await send({'type': 'websocket.accept', 'subprotocol': subprotocol})
    if path == '/close':
        return await send({'type': 'websocket.close', 'code': int(query['code']), 'reason': query['reason']})
    if path == '/greet':
        for i in range(3):
            await send({'type': 'websocket.send', 'text': 'greeting %d' % i})
    while True:
        message = await receive()
        if message['type'] == 'websocket.disconnect':
            return
        if path == '/end':
            return      # without a close
        if message.get('text') is not None:
            await send({'type': 'websocket.send', 'text': message['text']})
        else:
            await send({'type': 'websocket.send', 'bytes': message['bytes']})
