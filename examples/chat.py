"""Chat client: lines that you type are sent, what others say is printed.

    lomond serve                            # in one terminal: a server that sends back
    python chat.py ws://127.0.0.1:8080      # in another

The end of the input (Ctrl-D) or Ctrl-C says goodbye.
"""

import signal
import sys
import threading

from lomond import WebSocket
from lomond.errors import WebSocketError


def send_lines(websocket):
    """What a thread does: sending is allowed in any thread, the events belong to one."""
    try:
        for line in sys.stdin:
            websocket.send_text(line.rstrip('\n'))
        websocket.close(1000, 'end of input')
    except WebSocketError:
        pass        # the connection is over; the loop below says so


def main(url):
    websocket = WebSocket(url)
    signal.signal(signal.SIGINT, lambda *args: websocket.close())
    for event in websocket.connect(ping_timeout=60):
        if event.name == 'ready':
            print('* connected to', websocket.host)
            # A daemon: nobody can interrupt the reading of a terminal.
            threading.Thread(target=send_lines, args=(websocket,), daemon=True).start()
        elif event.name == 'text':
            print('<', event.text, flush=True)
        elif event.name in ('connect_fail', 'rejected'):
            sys.exit('* {}'.format(event.reason))
        elif event.name == 'disconnected':
            print('* the end:', event.reason)
            return 0 if event.graceful else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
