"""Connect once, in a process of its own, and print what happened as a line of JSON.

    python dial_once.py FOLDER URL CONNECT_TIMEOUT

FOLDER holds the package lomond.  It must not know who answers.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import json
import socket
import sys
import time


def say(what):
    sys.stdout.write(json.dumps(what) + '\n')
    sys.stdout.flush()


def main(folder, url, connect_timeout):
    sys.path.insert(0, folder)
    from lomond import WebSocket
    began = time.time()
    websocket = WebSocket(url, proxies={})
    events, ready = [], None
    for event in websocket.connect(connect_timeout=connect_timeout, ping_rate=0):
        if event.name == 'ready':
            ready = time.time() - began
            websocket.close()
        if event.name != 'poll':
            events.append([event.name, getattr(event, 'stage', None), getattr(event, 'reason', None)])
    say({'events': events, 'ready': ready, 'elapsed': time.time() - began})
    # What the resolver says of the same name, once all is measured: only for those who
    # connected.
    if ready is not None:
        host, _, port = url.split('/')[2].partition(':')
        say([address[4][0] for address in socket.getaddrinfo(host, int(port), 0, socket.SOCK_STREAM)])


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
