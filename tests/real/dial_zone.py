"""Connect to link-local addresses of this machine, in a network namespace of its own;
prints JSON.

    python dial_zone.py FOLDER-OF-LOMOND

Everybody else's loopback has no such address.  It must not know what is expected.
"""

from __future__ import absolute_import, division, unicode_literals

import json
import os
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main(folder):
    sys.path[:0] = [folder, os.path.dirname(HERE)]
    from support.peer import bye
    from support.peer import lenient_server as Server

    from lomond import WebSocket
    for words in ('link set lo up', 'addr add fe80::1/64 dev lo nodad'):
        subprocess.check_call(['ip'] + words.split())
    where = socket.getaddrinfo('fe80::1%lo', 0, socket.AF_INET6, socket.SOCK_STREAM)[0][4]
    found = []
    with Server(bye, family=socket.AF_INET6, address=where) as server:
        for host, source in (('fe80::1%25lo', None), ('FE80::1%lo', None), ('fe80::1%251', None),
                             ('fe80::1%25lo', 'fe80::1%lo'), ('fe80::1', None), ('fe80::1%25nosuch', None)):
            websocket = WebSocket('ws://[%s]:%d/' % (host, server.port), proxies={},
                                  source_address=(source, 0) if source else None)
            del server.heads[:]
            events = list(websocket.connect(connect_timeout=5))
            line = server.heads[0].split(b'\r\n')[1].decode('ascii') if server.heads else None
            found.append([events[-1].name, websocket.host, line, events[-1].reason])
        sys.stdout.write(json.dumps({'port': server.port, 'found': found}) + '\n')


if __name__ == '__main__':
    main(sys.argv[1])
