"""Twenty conversations in greenlets of one thread: FOLDER-OF-LOMOND URL CAFILE; prints what happened."""

from __future__ import absolute_import, division, print_function, unicode_literals

from gevent import monkey

monkey.patch_all()      # before anything else is imported

import json  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

sys.path.insert(0, sys.argv[1])
from lomond import WebSocket  # noqa: E402


def converse(number):
    websocket = WebSocket(sys.argv[2], proxies={}, ssl_cafile=sys.argv[3], compress=number % 2 == 0)
    back, event = [], None
    for event in websocket.connect(connect_timeout=20, close_timeout=10, ping_rate=0.1, poll=0.2):
        if event.name == 'ready':
            for size in (1, 1000, 100000):
                websocket.send_text('%d' % number * size)
        elif event.name == 'text':
            back.append(event.text == '%d' % number * (1, 1000, 100000)[len(back)])
            if len(back) == 3:
                websocket.close()
    return [back, event.name, getattr(event, 'graceful', None), getattr(event, 'reason', None)]


def listen_to_nobody():
    """A server that takes the connection and says nothing must not hold up the others."""
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(5)
    events = list(WebSocket('ws://127.0.0.1:%d/' % listener.getsockname()[1], proxies={}).connect(
        connect_timeout=1.5))
    listener.close()
    return events[-1].reason


def ticks(until):
    """How often a greenlet had its turn, ten times a second."""
    number = 0
    while not until.is_set():
        number += 1
        time.sleep(0.1)
    return number


def main():
    began, done = time.time(), threading.Event()
    clock, silent = gevent.spawn(ticks, done), gevent.spawn(listen_to_nobody)
    talks = [gevent.spawn(converse, number) for number in range(20)]
    gevent.joinall(talks, raise_error=True)
    silent.join()
    elapsed = time.time() - began
    done.set()
    print(json.dumps({'talks': [talk.value for talk in talks], 'silent': silent.value,
                      'ticks': clock.get(), 'elapsed': elapsed}))


main()
