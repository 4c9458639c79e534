"""Runs wstest on 127.0.0.1 only.

For CPython 2.7, in wstest's environment:

    wstest_local.py cases                             print the ids of all cases as JSON
    wstest_local.py fuzzingserver SPEC.json           listen on a free port, and print it
    wstest_local.py fuzzingclient SPEC.json SECONDS   cut each connection after SECONDS

wstest itself binds all interfaces, regardless of the url in its spec, and does not
support port 0. So the port is bound here and passed to Twisted; no other program can
take it in between. The process ends when its standard input does, so that nothing is
left behind if run.py is killed.

Knows nothing of: the library under test.
"""

from __future__ import print_function

import json
import os
import socket
import sys
import threading

from autobahntestsuite import (
    fuzzing,
    wstest,  # first, because it chooses Twisted's reactor
)
from autobahntestsuite.case import CaseBasename, CaseCategories, Cases, CaseSetname, CaseSubCategories
from autobahntestsuite.caseset import CaseSet
from twisted.internet import reactor


def watch_stdin():
    """End the process when standard input ends."""
    def watch():
        while os.read(0, 1):  # not sys.stdin, whose lock would be held at exit
            pass
        os._exit(3)

    thread = threading.Thread(target=watch)
    thread.daemon = True
    thread.start()


def listen_on_loopback(spec):
    """Bind a port of 127.0.0.1, put it into the spec, and let Twisted listen there."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(('127.0.0.1', 0))
    listener.listen(50)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    spec['url'] = 'ws://127.0.0.1:%d' % port

    def listen_tcp(wanted, factory, backlog=50, interface=''):
        if wanted != port:
            raise ValueError('wstest wants to listen on port %r; only %r is allowed' % (wanted, port))
        return reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, factory)

    reactor.listenTCP = listen_tcp

    def announce():
        print('compliance: listening %d' % port)

    reactor.callWhenRunning(announce)


def limit_connections(seconds):
    """Cut connections that last longer, because wstest itself has no time limit."""
    protocol = fuzzing.FuzzingClientProtocol
    connection_made = protocol.connectionMade
    connection_lost = protocol.connectionLost

    def cut(self):
        print('compliance: cut %s' % self.factory.currentCaseId)
        self.transport.abortConnection()

    def limited_connection_made(self):
        self.compliance_timer = reactor.callLater(seconds, cut, self)
        connection_made(self)

    def limited_connection_lost(self, reason):
        if self.compliance_timer.active():
            self.compliance_timer.cancel()
        connection_lost(self, reason)

    protocol.connectionMade = limited_connection_made
    protocol.connectionLost = limited_connection_lost


def main():
    mode = sys.argv[1]
    if mode == 'cases':
        ids = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories).CasesById
        print('compliance: cases %s' % json.dumps(sorted(ids)))
        return
    with open(sys.argv[2]) as spec_file:
        spec = json.load(spec_file)
    watch_stdin()
    if mode == 'fuzzingserver':
        listen_on_loopback(spec)
    else:
        limit_connections(float(sys.argv[3]))
    wstest.start({'mode': mode, 'webport': 0}, spec)  # wstest -m MODE -u 0 -s SPEC


if __name__ == '__main__':
    main()
