"""Gateway daemon: sends readings to a server for years, supervised by systemd.

    GATEWAY_URL=wss://example.org/gateway python gateway.py    # or: gateway.service

It tells systemd that it is ready once it is connected.  SIGTERM closes the connection.
"""

import logging
import os
import signal
import socket
import threading

from lomond import WebSocket
from lomond.errors import WebSocketError
from lomond.persist import persist, transient

log = logging.getLogger('gateway')


def tell_systemd(state):
    """Send a datagram to the socket named by systemd, as sd_notify() does."""
    address = os.environ.get('NOTIFY_SOCKET')
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(state.encode('utf-8'), address.replace('@', '\0', 1))


def main(url):
    leave = threading.Event()
    numbers = signal.SIGTERM, signal.SIGINT
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    # No signal handler: set() might need a lock that the interrupted wait() holds.
    threading.Thread(target=lambda: (signal.sigwait(numbers), leave.set()), daemon=True).start()
    websocket = WebSocket(url)
    for event in persist(websocket, poll=10, ping_timeout=60, exit_event=leave, retry_on=transient):
        try:
            if event.name == 'ready':
                tell_systemd('READY=1\nSTATUS=connected')
                websocket.send_json(gateway=socket.gethostname(), pid=os.getpid())
            elif event.name == 'poll':
                websocket.send_json(load=os.getloadavg()[0])
            elif event.name == 'text':
                log.info('told to: %s', event.text)
            elif event.name in ('connect_fail', 'rejected', 'disconnected'):
                log.warning('%s: %s', event.name, event.reason)
                tell_systemd('STATUS=' + event.reason)
            elif event.name == 'gave_up':
                return 1    # retrying is pointless: wrong URL, certificate, 403
        except WebSocketError as error:     # raised by a send; the loop logs why
            log.warning('not sent: %s', error)
    tell_systemd('STOPPING=1')
    return 0


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    raise SystemExit(main(os.environ['GATEWAY_URL']))
