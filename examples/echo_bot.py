"""Echo bot: answers what others say, and comes back whenever the connection is lost.

    python echo_bot.py wss://example.org/room

Try it with a chat room of your own; it does not answer itself.  Ctrl-C ends it.
"""

import logging
import sys

from lomond import WebSocket
from lomond.errors import WebSocketError
from lomond.persist import persist

SIGN = 'echo: '         # what our own messages begin with


def run(websocket):
    for event in persist(websocket, ping_timeout=60):
        if event.name == 'ready':
            logging.info('here we are')
        elif event.name == 'text' and not event.text.startswith(SIGN):
            try:
                websocket.send_text(SIGN + event.text)
            except WebSocketError as error:     # the connection has just ended; the loop tells why
                logging.warning('not sent: %s', error)
        elif event.name in ('connect_fail', 'rejected', 'disconnected'):
            logging.warning('%s: %s', event.name, event.reason)


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    try:
        run(WebSocket(sys.argv[1]))
    except KeyboardInterrupt:
        pass
