"""Echo bot: repeats what others write, and reconnects when the connection is lost.

    python echo_bot.py wss://example.org/room

Try it in a chat room of your own.  It does not answer itself.  Ctrl-C stops it.
"""

import logging
import sys

from lomond import WebSocket
from lomond.errors import WebSocketError
from lomond.persist import persist

SIGN = 'echo: '         # prefix of our own messages


def run(websocket):
    for event in persist(websocket, ping_timeout=60):
        if event.name == 'ready':
            logging.info('here we are')
        elif event.name == 'text' and not event.text.startswith(SIGN):
            try:
                websocket.send_text(SIGN + event.text)
            except WebSocketError as error:     # the connection just ended
                logging.warning('not sent: %s', error)
        elif event.name in ('connect_fail', 'rejected', 'disconnected'):
            logging.warning('%s: %s', event.name, event.reason)


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    try:
        run(WebSocket(sys.argv[1]))
    except KeyboardInterrupt:
        pass
