"""Runs the example of several machines: workers that share feeds by a Redis server.

It has 60 feeds of ten numbered messages a second, and three workers. One is killed, a
new one joins, one is stopped for longer than its leases.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from counterparts import Counterpart, environment_program, program

import lomond
from lomond.group import Group
from lomond.server import Server, broadcast

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'examples', 'sharded_feeds.py')
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))
FEEDS = 60

pytestmark = pytest.mark.skipif(sys.version_info < (3, 6), reason='the example runs on Python 3')


class Feeds(object):
    """A server whose clients get a number ten times a second, all the same one."""

    def __init__(self):
        self.server = Server(host='127.0.0.1')
        self.group = Group([self.server], poll=0.1, keep_open=True)
        self.most = collections.Counter()       # path -> most connections at a time
        self._open = collections.Counter()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        number = 0
        for websocket, event in self.group:
            if event.name == 'poll':
                number += 1
                broadcast(self.group.websockets, str(number))
            elif event.name == 'accepted':
                path = websocket.request.path
                self._open[path] += 1
                self.most[path] = max(self.most[path], self._open[path])
            elif event.name == 'disconnected':
                self._open[websocket.request.path] -= 1

    def close(self):
        self.group.close()
        self._thread.join(20)


class Farm(object):
    """A Redis server and the workers."""

    def __init__(self, client, counterpart, python):
        self.client = client
        self.url = 'redis://127.0.0.1:%d/0' % counterpart.port
        self._python = python
        self.workers = []

    def start(self):
        environ = dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE='1')
        worker = subprocess.Popen([self._python, EXAMPLE, self.url], env=environ)
        self.workers.append(worker)
        return worker

    def shares(self):
        """How many leases each worker holds, in order."""
        leases = self.client.keys('lease:*')
        owners = collections.Counter(self.client.mget(leases)) if leases else {}
        return sorted(owners.values())

    def wait_for(self, what, limit):
        """Wait until a function returns true; returns the seconds that it took."""
        begun = time.time()
        while not what():
            assert time.time() - begun < limit, self.shares()
            time.sleep(0.05)
        return time.time() - begun

    def flowing(self):
        """Wait until each feed has sent something that was written from now on."""
        last = self.client.xrevrange('messages', count=1)[0][0]
        seen = set()

        def is_complete():
            seen.update(entry['feed'] for _, entry in self.client.xrange('messages', min='(' + last))
            return len(seen) == FEEDS
        return is_complete


@pytest.fixture
def farm():
    python = environment_program('redis', 'python')
    sys.path.append(subprocess.check_output(
        [python, '-c', 'import redis; print(redis.__path__[0])']).decode().strip().rsplit(os.sep, 1)[0])
    redis = pytest.importorskip('redis')
    counterpart = Counterpart(lambda self: [
        program('redis-server'), '--port', str(self.port), '--bind', '127.0.0.1', '--save', '',
        '--dir', self.folder])
    client = redis.Redis(port=counterpart.port, decode_responses=True)
    made = Farm(client, counterpart, python)
    yield made
    for worker in made.workers:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
    client.close()
    counterpart.close()
    sys.path.pop()


def check_stream(entries):
    """No duplicates; order kept for each feed; gaps only where an epoch changes."""
    places = {}
    longest = 0
    for _, entry in entries:
        epoch, number, data = int(entry['epoch']), int(entry['number']), int(entry['data'])
        old_epoch, old_number, old_data = places.get(entry['feed'], (0, 0, 0))
        assert epoch >= old_epoch and data > old_data, entry
        if epoch == old_epoch:
            assert number == old_number + 1 and data == old_data + 1, entry
        elif old_epoch:
            assert number == 1
            longest = max(longest, data - old_data - 1)
        places[entry['feed']] = epoch, number, data
    assert len(places) == FEEDS
    return longest / 10


def test_workers_come_and_go(farm, capsys):
    feeds = Feeds()
    try:
        base = feeds.server.url.rstrip('/')
        farm.client.sadd('feeds', *['%s/feed/%d' % (base, number) for number in range(FEEDS)])
        workers = [farm.start() for _ in range(3)]
        farm.wait_for(lambda: farm.client.zcard('workers') == 3, 20)
        times = [('three workers', farm.wait_for(lambda: farm.shares() == [20, 20, 20], 5))]
        farm.wait_for(lambda: farm.client.xlen('messages') > 0, 5)
        farm.wait_for(farm.flowing(), 5)

        workers[0].kill()
        is_flowing = farm.flowing()
        times.append(('one is killed', farm.wait_for(
            lambda: farm.shares() == [30, 30] and is_flowing(), 5)))
        workers[0] = farm.start()
        farm.wait_for(lambda: farm.client.zcard('workers') == 3, 20)
        times.append(('one joins', farm.wait_for(lambda: farm.shares() == [20, 20, 20], 5)))
        farm.wait_for(farm.flowing(), 5)

        os.kill(workers[1].pid, signal.SIGSTOP)
        times.append(('one is stopped', farm.wait_for(lambda: farm.shares() == [30, 30], 5)))
        os.kill(workers[1].pid, signal.SIGCONT)
        times.append(('it goes on', farm.wait_for(lambda: farm.shares() == [20, 20, 20], 5)))
        farm.wait_for(farm.flowing(), 5)

        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        assert [worker.wait(10) for worker in workers] == [0, 0, 0]
        assert farm.shares() == [] and farm.client.zcard('workers') == 0
    finally:
        feeds.close()
    entries = farm.client.xrange('messages')
    longest = check_stream(entries)
    assert longest <= 5
    with capsys.disabled():
        print('\n%d messages, longest gap %.1f s' % (len(entries), longest))
        for name, seconds in times:
            print('%-16s %.1f s' % (name, seconds))
