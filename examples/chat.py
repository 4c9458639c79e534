"""Chat client: sends the lines that you type and prints what others write.

    lomond serve                            # in one terminal: an echo server
    python chat.py ws://127.0.0.1:8080      # in another

The end of the input (Ctrl-D) or Ctrl-C closes the connection.
"""

import signal
import sys
import threading

from lomond import WebSocket
from lomond.errors import WebSocketError


def send_lines(websocket):
    """Send lines; runs in a thread of its own. Any thread may send."""
    try:
        for line in sys.stdin:
            websocket.send_text(line.rstrip('\n'))
        websocket.close(1000, 'end of input')
    except WebSocketError:
        pass        # the connection has ended; the loop below reports it


def main(url):
    websocket = WebSocket(url)
    signal.signal(signal.SIGINT, lambda *args: websocket.close())
    for event in websocket.connect(ping_timeout=60):
        if event.name == 'ready':
            print('* connected to', websocket.host)
            # A daemon thread, because reading from a terminal cannot be interrupted.
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
