"""The server under test, which echoes what Autobahn's fuzzing client sends.

    echo_server.py SERVER [STREAM_FROM]

SERVER is ``testing`` (the echo server of lomond.testing), ``serve`` (lomond.server: a
thread for each connection) or ``group`` (all connections in one loop). With
STREAM_FROM, large messages come in parts, and are joined.

It prints its URL for run.py, and ends when its standard input does.

Knows nothing of: how it is judged.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import os
import sys

from echo_client import Echo, describe, tell, watch_stdin

from lomond.errors import WebSocketError
from lomond.testing import Server, echo

#: Autobahn's largest message has 16 MiB.
LARGEST = 64 * 1024 * 1024


def handle(websocket):
    """Run an echo loop as an application would write it."""
    answer = Echo(websocket).answer
    for event in websocket:
        try:
            answer(event)
        except WebSocketError as error:         # closing; the loop goes on with the events
            tell('note', '{}: {}'.format(type(error).__name__, error))


def serve_group(server):
    """Echo in one loop."""
    from lomond.group import Group
    echoes = {}
    for websocket, event in Group([server]):
        if event.name == 'accepted':
            echoes[id(websocket)] = Echo(websocket)
        elif event.name == 'disconnected':
            del echoes[id(websocket)]
        elif websocket is not None:
            try:
                echoes[id(websocket)].answer(event)
            except WebSocketError as error:
                tell('note', '{}: {}'.format(type(error).__name__, error))


def main():
    kind = sys.argv[1]
    describe()
    if kind == 'testing':
        with Server(echo) as server:
            tell('url', server.url)
            while os.read(0, 1):
                pass
        return
    from lomond import server as servers
    options = dict((str('stream_from'), int(word)) for word in sys.argv[2:])
    server = servers.Server(handle if kind == 'serve' else None, '127.0.0.1', 0, compress=True,
                            max_message_size=LARGEST, **options)
    watch_stdin()
    tell('url', server.url)
    if kind == 'serve':
        server.serve_forever()
    else:
        serve_group(server)


if __name__ == '__main__':
    main()
