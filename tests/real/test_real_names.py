"""Names by way of the machine's own resolver, from a name server of ours that answers,
or hangs.

A process of its own has another ``/etc/resolv.conf``; nothing is patched in it.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from counterparts import HERE, program
from sandbox import with_files
from support.addresses import dead_address
from support.peer import bye
from support.peer import lenient_server as Server

import lomond

LOMOND = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
LIMIT = 1.0
SLACK = 1.5

pytestmark = pytest.mark.skipif(not sys.platform.startswith('linux'),
                                reason='needs mount namespaces, and all of 127.0.0.0/8')


class NameServer(object):
    """A name server on an address of its own; port 53 is the only one that resolv.conf
    can say.

    :param answer: called with a name (bytes, with dots); gives a list of IPv4
        addresses, the code of an error, or None: no answer at all
    """

    def __init__(self, answer):
        self._answer = answer
        self.asked = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = '127.9.%d.%d' % (os.getpid() // 250 % 250 + 1, os.getpid() % 250 + 1)
        try:
            self._socket.bind((self.address, 53))
        except (OSError, IOError) as error:
            self._socket.close()
            pytest.skip('a name server cannot listen here (%s)' % error)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            data, where = self._socket.recvfrom(2048)
            if not data:
                return
            name, place = [], 12
            while data[place:place + 1] != b'\0':
                length = bytearray(data)[place]
                name.append(data[place + 1:place + 1 + length])
                place += 1 + length
            name = b'.'.join(name)
            kind, = struct.unpack(str('>H'), data[place + 1:place + 3])
            self.asked.append(name)
            found = self._answer(name)
            if found is None:
                continue
            code, addresses = (found, []) if isinstance(found, int) else (0, found if kind == 1 else [])
            answer = data[:2] + struct.pack(str('>HHHHH'), 0x8180 | code, 1, len(addresses), 0, 0)
            answer += data[12:place + 5]
            for address in addresses:
                answer += struct.pack(str('>HHHIH'), 0xc00c, 1, 1, 0, 4) + socket.inet_aton(address)
            self._socket.sendto(answer, where)

    def close(self):
        self._socket.sendto(b'', (self.address, 53))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def dial(tmpdir):
    """A function: connect in a process of its own that asks this name server; gives
    what it printed.
    """
    def run(answer, url, limit=LIMIT):
        with contextlib.closing(NameServer(answer)) as server:
            files = {'/etc/resolv.conf': 'nameserver %s\noptions timeout:30 attempts:3\n' % server.address,
                     '/etc/nsswitch.conf': 'hosts: dns\n'}
            places = {}
            for path, text in files.items():
                place = tmpdir.join(os.path.basename(path))
                place.write(text)
                places[path] = str(place)
            command = with_files(places, [sys.executable, os.path.join(HERE, 'dial_once.py'), LOMOND, url,
                                          str(limit)])
            began = time.time()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=str(tmpdir))
            lines = process.communicate()[0].decode('utf-8').splitlines()
            took = time.time() - began
            assert process.returncode == 0
            return [json.loads(line) for line in lines], server.asked, took
    return run


def prove_failure(said, words, limit=0.0):
    (got,) = said
    assert [event[0] for event in got['events']] == ['connecting', 'connect_fail']
    name, stage, reason = got['events'][-1]
    assert stage == 'resolve' and reason.startswith('unable to connect; ' + words), reason
    assert limit <= got['elapsed'] < limit + SLACK


def test_name_server_that_hangs(dial):
    """It is left behind at connect_timeout, and does not keep the process alive either.
    """
    said, asked, took = dial(lambda name: None, 'ws://name.test:80/')
    prove_failure(said, 'resolve timed out after 1.0s', LIMIT)
    assert b'name.test' in asked        # so it was the name server's fault
    assert took < LIMIT + 2 * SLACK


@pytest.mark.parametrize('code, words', [(3, 'Name or service not known'),
                                         (2, 'Temporary failure in name resolution')])
def test_name_server_that_says_no(dial, code, words):
    """No such name, and a name server in trouble: the resolver's own words."""
    said, asked, _ = dial(lambda name: code, 'ws://name.test:80/', 5)
    prove_failure(said, words)
    assert b'name.test' in asked


def test_name_server_that_answers(dial):
    with Server(bye) as server:
        said, asked, _ = dial(lambda name: ['127.0.0.1'], 'ws://Name.test:%d/' % server.port)
    assert said[0]['ready'] is not None and said[0]['events'][-1][0] == 'disconnected'
    assert asked.count(b'name.test') >= 1
    assert server.heads[0].split(b'\r\n')[1] == 'Host: name.test:{}'.format(server.port).encode('ascii')


def test_dead_first_address(dial):
    """The first address that the resolver gives has a full accept queue; Ready within a
    second.
    """
    with dead_address('127.0.0.1') as (dead, port):
        with Server(bye, address=('127.0.0.2', port)) as server:
            said, _, _ = dial(lambda name: ['127.0.0.2', '127.0.0.1'], 'ws://name.test:%d/' % port, 5)
        assert server.accepted == 1
    # Of two addresses the C library prefers the one that is like ours: the dead one.
    assert said[1] == ['127.0.0.1', '127.0.0.2']
    assert 0.2 < said[0]['ready'] < 1


def test_zone_ids():
    """A link-local address needs its zone, in either form; Host has none (RFC 6874, 4).
    """
    command = [program('unshare'), '-n', '--', program('true')]
    program('ip')
    if subprocess.call(command, stderr=subprocess.STDOUT):
        pytest.skip('no network namespaces here')
    output = subprocess.check_output(command[:3] + [
        sys.executable, os.path.join(HERE, 'dial_zone.py'), LOMOND])
    got = json.loads(output.decode('utf-8'))
    host = 'Host: [fe80::1]:%d' % got['port']
    good = [['disconnected', zoned, host, 'closed'] for zoned in (
        'fe80::1%lo', 'fe80::1%lo', 'fe80::1%1', 'fe80::1%lo')]
    assert got['found'][:4] == good
    assert [row[0] for row in got['found'][4:]] == ['connect_fail'] * 2
    assert got['found'][4][3] == 'unable to connect; [fe80::1]:%d invalid argument' % got['port']
