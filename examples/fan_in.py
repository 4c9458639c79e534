"""Fan-in: print what several servers send, in one thread.

    python fan_in.py ws://127.0.0.1:8001/trades ws://127.0.0.1:8002/trades

The program ends when all servers have closed their connections, or with Ctrl-C, which
closes them with 1001.
"""

from __future__ import print_function

import signal
import sys

from lomond import WebSocket
from lomond.group import Group


def main(urls):
    group = Group([WebSocket(url) for url in urls], ping_timeout=60)
    signal.signal(signal.SIGINT, lambda number, frame: group.close())
    for websocket, event in group:
        if event.name == 'text':
            print(websocket.url, event.text)
        elif event.name in ('connect_fail', 'rejected', 'disconnected'):
            print(websocket.url, event.reason, file=sys.stderr)


if __name__ == '__main__':
    main(sys.argv[1:])
