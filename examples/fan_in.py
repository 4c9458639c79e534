"""Fan-in: one thread per connection, and one queue that the main thread reads.

    python fan_in.py ws://127.0.0.1:8001/trades ws://127.0.0.1:8002/trades

The queue has a maximum size, so it slows down a server that sends too much: the thread
waits and stops reading, and TCP makes the server wait.  The program ends when all
servers have closed their connections, or with Ctrl-C.
"""

import queue
import sys
import threading

from lomond import WebSocket


def pump(websocket, events):
    """Put the events of a connection into the queue, and None at the end."""
    try:
        for event in websocket.connect(ping_timeout=60):
            if event.name in ('text', 'connect_fail', 'rejected', 'disconnected'):
                events.put((websocket, event))
    finally:
        events.put((websocket, None))


def main(urls):
    events = queue.Queue(maxsize=1000)
    websockets = [WebSocket(url) for url in urls]
    threads = [threading.Thread(target=pump, args=(each, events), daemon=True) for each in websockets]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            websocket, event = events.get()
            if event is None:
                running -= 1
            elif event.name == 'text':
                print(websocket.url, event.text)
            else:
                print(websocket.url, event.reason, file=sys.stderr)
    except KeyboardInterrupt:
        for websocket in websockets:
            websocket.close(1001)       # allowed in any thread; never blocks
        for thread in threads:
            thread.join(5)


if __name__ == '__main__':
    main(sys.argv[1:])
