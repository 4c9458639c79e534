"""Two thousand clients and their server in one process: two groups, two threads.

    python serve_group.py [CLIENTS]

Once all are there, each sends a line a second, and the server echoes it. Ctrl-C closes
all connections.
"""

import os
import resource
import signal
import sys
import threading

from lomond import WebSocket
from lomond.group import Group
from lomond.server import Server


def echo(group):
    for websocket, event in group:
        if event.name == 'text':
            websocket.send_text(event.text)


def main(count=2000):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))        # two descriptors for each client
    server = Server(host='127.0.0.1', max_connections=None)
    serving = Group([server])
    thread = threading.Thread(target=echo, args=(serving,))
    thread.start()
    clients = Group([WebSocket(server.url, proxies={}) for _ in range(count)], poll=1.0)
    signal.signal(signal.SIGINT, lambda number, frame: clients.close())
    ready, messages, closed = set(), 0, 0
    for websocket, event in clients:
        if event.name == 'text':
            messages += 1
        elif event.name == 'ready':
            ready.add(websocket)
        elif event.name == 'closed' and event.code == 1001:
            closed += 1
        elif event.name in ('connect_fail', 'rejected', 'disconnected') and event.reason != 'closed':
            print(event.reason, file=sys.stderr)
        elif event.name == 'poll':
            print('{} connections, {} messages a second, {} MiB, {} threads, {} descriptors'.format(
                len(serving), messages, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                threading.active_count(), len(os.listdir('/proc/self/fd'))))
            messages = 0
            for one in ready if len(ready) >= len(clients) else ():
                if one.is_active:
                    one.send_text('hello')
    serving.close()
    thread.join()
    print(closed, 'closed with 1001')


if __name__ == '__main__':
    main(*[int(argument) for argument in sys.argv[1:]])
