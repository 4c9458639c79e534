"""Several feeds in asyncio: a task for each, one queue, reconnecting.

    python asyncio_feeds.py ws://127.0.0.1:8001/prices ws://127.0.0.1:8002/prices

The queue has a maximum size, so it slows down a server that sends too much: while it is
full, its task takes no events, reading pauses, and TCP makes the server wait.  Ctrl-C
ends the program, and closes all connections.
"""

import asyncio
import sys

from lomond.aio import AsyncWebSocket, apersist


async def follow(url, queue):
    """Put what a feed sends into the queue, for ever."""
    async with AsyncWebSocket(url) as websocket:
        async for event in apersist(websocket, min_wait=1, max_wait=30, ping_timeout=60):
            if event.name == 'ready':
                await websocket.send_json(subscribe='prices')
            elif event.name == 'text':
                await queue.put((url, event.json))
            elif event.name == 'back_off':
                print('{}: back in {:.1f} s'.format(url, event.delay), file=sys.stderr)


async def main(urls):
    queue = asyncio.Queue(maxsize=1000)
    tasks = [asyncio.ensure_future(follow(url, queue)) for url in urls]
    try:
        while True:
            url, price = await queue.get()
            print(url, price, flush=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == '__main__':
    loop = asyncio.new_event_loop()
    running = loop.create_task(main(sys.argv[1:]))
    try:
        loop.run_until_complete(running)
    except KeyboardInterrupt:
        running.cancel()
        loop.run_until_complete(asyncio.gather(running, return_exceptions=True))
    finally:
        loop.close()
