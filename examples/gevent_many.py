"""Many connections in one thread with gevent, each in its own greenlet.

    pip install gevent lomond
    python gevent_many.py ws://127.0.0.1:8080 100

Patch before you import lomond, so that other greenlets run while lomond waits.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

from lomond import WebSocket  # noqa: E402


def talk(url, number):
    """Send a message and wait for its echo; return the seconds it took, or None."""
    began = time.time()
    websocket = WebSocket(url)
    for event in websocket:
        if event.name == 'ready':
            websocket.send_text('hello from {}'.format(number))
        elif event.name == 'text':
            took = time.time() - began
            websocket.close()
        elif event.name in ('connect_fail', 'rejected'):
            print(event, file=sys.stderr)
        elif event.name == 'disconnected' and event.graceful:
            return took
    return None


def main(url, count):
    greenlets = [gevent.spawn(talk, url, number) for number in range(count)]
    gevent.joinall(greenlets)
    times = [greenlet.value for greenlet in greenlets if greenlet.value is not None]
    print('{} of {} were answered, the slowest in {:.3f} s'.format(len(times), count, max(times or [0])))
    return 0 if len(times) == count else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
