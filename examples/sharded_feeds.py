"""Share feeds among any number of workers, by means of a Redis server.

    redis-cli SADD feeds wss://example.org/a wss://example.org/b
    python sharded_feeds.py redis://127.0.0.1:6379/0

Start it as often as you like, on any number of machines. One worker at a time holds the
lease of a feed, and appends what the feed sends to the stream ``messages``. When a
worker dies, the others take its feeds after LEASE seconds; one that joins gets its
share. Ctrl-C hands them over.
"""

from __future__ import print_function

import math
import random
import signal
import sys
import uuid

import redis

from lomond import WebSocket
from lomond.group import Group

LEASE = 3.0         # seconds
BEAT = 0.5          # seconds between two looks at the leases
BATCH = 100         # messages

# A lease is the name of its owner. A script is one step, so a worker that was stopped for
# longer than its leases can neither renew them nor write.
TAKE = "return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0"
RENEW = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0"
RELEASE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"
CONNECT = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('incr', KEYS[2]) or 0"
APPEND = """for i = 2, #ARGV, 4 do
  local feed, epoch = ARGV[i], ARGV[i + 1]
  if redis.call('get', 'lease:' .. feed) == ARGV[1] and redis.call('get', 'epoch:' .. feed) == epoch then
    redis.call('xadd', 'messages', '*', 'feed', feed, 'epoch', epoch,
               'number', ARGV[i + 2], 'data', ARGV[i + 3])
  end
end"""


class Worker(object):
    def __init__(self, url):
        self.redis = redis.Redis.from_url(url, socket_timeout=1, decode_responses=True)
        self.name = uuid.uuid4().hex
        self.group = Group(keep_open=True, poll=BEAT, ping_timeout=30)
        self.feeds = {}             # WebSocket -> feed: those whose leases are ours
        self.leaving = set()        # those of them that are being closed
        self.places = {}            # WebSocket -> [epoch, number of its newest message]
        self.batch = []             # what the next APPEND gets

    def run(self):
        for websocket, event in self.group:
            try:
                self.handle(websocket, event)
            except redis.RedisError as error:       # nobody knows whose the feeds are
                print('redis:', error, file=sys.stderr)
                for websocket in list(self.feeds):
                    self.lose(websocket)
        self.redis.zrem('workers', self.name)

    def handle(self, websocket, event):
        if event.name == 'poll':
            self.beat()
        elif event.name == 'ready':     # each connection is an epoch, so a gap can be seen
            epoch = self.script(CONNECT, 'lease:' + self.feeds[websocket], self.name,
                                key='epoch:' + self.feeds[websocket])
            self.places[websocket] = [epoch, 0]
            if not epoch:
                self.lose(websocket)
        elif event.name == 'text' and websocket in self.places:
            place = self.places[websocket]
            place[1] += 1
            self.batch += [self.feeds[websocket], place[0], place[1], event.text]
            if len(self.batch) >= 4 * BATCH:
                self.hand_over()
        if websocket is not None and websocket not in self.group:
            self.end(websocket)

    def beat(self):
        seconds, micros = self.redis.time()
        now = seconds + micros / 1e6
        self.redis.zadd('workers', {self.name: now})
        self.redis.zremrangebyscore('workers', '-inf', now - LEASE)
        self.hand_over()
        for websocket, feed in list(self.feeds.items()):
            if not self.script(RENEW, 'lease:' + feed, self.name, int(LEASE * 1000)):
                self.lose(websocket)
        feeds = self.redis.smembers('feeds')
        share = int(math.ceil(len(feeds) / float(self.redis.zcard('workers'))))
        kept = [websocket for websocket in self.feeds if websocket not in self.leaving]
        gone = [websocket for websocket in kept if self.feeds[websocket] not in feeds]
        for websocket in gone or random.sample(kept, max(0, len(kept) - share)):
            self.leave(websocket)
        free = list(feeds - set(self.feeds.values()))
        random.shuffle(free)
        for feed in free:
            if len(self.feeds) - len(self.leaving) >= share:
                break
            if self.script(TAKE, 'lease:' + feed, self.name, int(LEASE * 1000)):
                websocket = WebSocket(feed)
                self.feeds[websocket] = feed
                self.group.persist(websocket, min_wait=0.1, max_wait=2)

    def lose(self, websocket):
        """The lease is another worker's: take nothing more from the feed."""
        self.places.pop(websocket, None)
        self.leave(websocket)

    def leave(self, websocket):
        self.leaving.add(websocket)
        self.group.remove(websocket)
        if websocket not in self.group:     # it was waiting, so no event will come
            self.end(websocket)

    def end(self, websocket):
        """The connection is closed: only now may another worker connect."""
        feed = self.feeds.pop(websocket, None)
        self.places.pop(websocket, None)
        self.leaving.discard(websocket)
        if feed is not None:
            self.hand_over()
            self.script(RELEASE, 'lease:' + feed, self.name)

    def hand_over(self):
        batch, self.batch = self.batch, []
        if batch:
            self.redis.eval(APPEND, 0, self.name, *batch)

    def script(self, text, lease, *arguments, **options):
        keys = [lease] + ([options['key']] if options else [])
        return self.redis.eval(text, len(keys), *(keys + list(arguments)))


def main(url):
    worker = Worker(url)
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda *ignored: worker.group.close())
    worker.run()


if __name__ == '__main__':
    main(*sys.argv[1:])
