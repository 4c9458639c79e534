"""Scenarios of many threads: messages stay whole, nothing follows a close frame, one
thread has TLS.
"""

from __future__ import absolute_import, division, unicode_literals

import gc
import hashlib
import random
import ssl
import struct
import sys
import threading

import chaos
from chaos import GOOD, Memory, Watch, add, monotonic, saw_close
from chaos_ends import DEFLATE
from support.frames import BINARY, CLOSE, close_frame, frame

from lomond import errors


class Switching(object):
    """Threads take turns as often as can be."""

    def __enter__(self):
        if hasattr(sys, 'setswitchinterval'):
            self._set, self._before = sys.setswitchinterval, sys.getswitchinterval()
            sys.setswitchinterval(1e-6)
        else:
            self._set, self._before = sys.setcheckinterval, sys.getcheckinterval()
            sys.setcheckinterval(1)

    def __exit__(self, *_):
        self._set(self._before)


def make_message(rng, thread, number):
    """What a thread sends: its number, the message's, a digest of the rest, the rest.
    """
    rest = (struct.pack(str('!I'), rng.getrandbits(32)) * 300)[:rng.choice([0, 1, 5, 120, 130, 1000, 1200])]
    return struct.pack(str('!HI'), thread, number) + hashlib.md5(rest).digest() + rest


def check_message(data):
    """The thread's number and the message's, of a message that is whole."""
    assert data[6:22] == hashlib.md5(data[22:]).digest(), 'a message is not what was sent'
    return struct.unpack(str('!HI'), data[:6])


def _threads(world, way, compress, count, threads=8):
    """Each thread sends, the peer echoes: what comes back is whole, complete and in
    each thread's order.

    With compression the peer cannot inflate: it sends back frames as they came, rsv1
    and all, so that our inflater, with one window for all messages, sees each byte in
    the order in which it was made.
    """
    script = [['read_head'], ['respond', [DEFLATE] if compress else []],
              ['echo_frames' if compress else 'echo']]
    watch = Watch(world, script, way, settings=dict(poll=30, send_timeout=30.0),
                  options={'compress': compress})
    seen = [[] for _ in range(threads)]

    def send(thread):
        rng = random.Random(thread)
        for number in range(count):
            watch.ws.send_binary(make_message(rng, thread, number))
            if number % 50 == 0:
                watch.ws.send_ping(b'%d' % number if sys.version_info[0] > 2 else str(number))

    def receive(watch):
        thread, number = check_message(watch.event.data)
        seen[thread].append(number)
        if watch.counts['binary'] == threads * count:
            watch.ws.close()
    watch.do = {'ready': lambda watch: [watch.in_thread(send, thread) for thread in range(threads)],
                'binary': receive}
    with Switching():
        watch.run().expect(GOOD + '( binary| pong)+ closed disconnected', 'closed', graceful=True)
    assert seen == [list(range(count))] * threads


for _way in ('ws', 'wss'):
    for _compress in (False, True):
        for _count, _quick in ((2000, False), (100, True)):
            add('threads', '%s, 8 threads x %d messages%s' % (
                _way, _count, ', compressed' if _compress else ''),
                'byte for byte', _threads, _way, _compress, _count,
                quick=_quick and (_way == 'wss') != _compress, limit=120)


# -- nothing follows a close frame

def _send_until_refused(watch):
    try:
        while True:
            watch.ws.send_text('data')
    except errors.WebSocketUnavailable as error:
        return error


def _check_last(facts, code):
    if facts['total'] == len(facts['frames']):
        saw_close(code)(facts)
        assert facts['frames'][-1][0] == CLOSE


def _races(world, way, count):
    peer = world.peer(chaos.WAYS[way].prelude + [['accept'], ['answer_close'], ['read_on']])
    rng = random.Random(6455)
    with Switching():
        for race in range(count):
            watch = Watch(world, way=way, peer=peer, settings=dict(poll=30, close_timeout=10.0))
            refused, pause = [], rng.random() * 0.004

            def send(watch=watch, refused=refused):
                refused.append(_send_until_refused(watch))

            def end(watch=watch, pause=pause):
                chaos.time.sleep(pause)
                watch.ws.close()

            def ready(watch, send=send, end=end):
                for function in (send, send, end, end):
                    watch.in_thread(function)
            watch.do['ready'] = ready
            watch.run().expect(GOOD + ' closed disconnected', 'closed', graceful=True, code=1000)
            assert len(refused) == 2, refused
            facts = peer.over(race)
            assert facts['total'] == len(facts['frames']) or facts['total'] > 1999
            _check_last(facts, 1000)


for _way in ('ws', 'wss'):
    for _count in (200, 20):
        add('threads', '%s, %d races of close() and senders' % (_way, _count),
            'nothing follows a close frame', _races, _way, _count,
            quick=_count == 20 and _way == 'ws', limit=120)


def _crossing(world, count):
    """The server closes while threads send: our echo is the last frame."""
    # The end of its direction ends the client, once the echo is out; and it reads
    # on.
    peer = world.peer([['accept'], ['read_frame'], ['send', close_frame(1001)], ['read_close'],
                       ['finish'], ['read_on']])
    with Switching():
        for race in range(count):
            watch = Watch(world, peer=peer, settings=dict(poll=30, close_timeout=10.0))
            watch.do['ready'] = lambda watch: [watch.in_thread(_send_until_refused, watch) for _ in range(3)]
            watch.run().expect(GOOD + ' closing disconnected', 'closed', graceful=True, code=1001)
            _check_last(peer.over(race), 1001)


add('threads', '100 races of an echo and senders', 'nothing follows a close frame', _crossing, 100, limit=120)
add('threads', '10 races of an echo and senders', 'nothing follows a close frame', _crossing, 10, quick=True)


# -- TLS: reading and writing at the same time

class OneAtATime(object):
    """Notes when two threads are inside TLS at once; without a lock CPython crashes
    now and then only.
    """

    def __enter__(self):
        self.overlaps, self._inside = [], []
        self._real = dict((name, getattr(ssl.SSLSocket, name)) for name in ('recv_into', 'send'))
        for name, real in self._real.items():
            setattr(ssl.SSLSocket, name, self._watched(getattr(real, '__func__', real)))
        return self

    def _watched(self, real):
        def method(*args, **keywords):
            self._inside.append(1)
            if len(self._inside) > 1:
                self.overlaps.append(1)
            try:
                return real(*args, **keywords)
            finally:
                self._inside.pop()
        return method

    def __exit__(self, *_):
        for name, real in self._real.items():
            setattr(ssl.SSLSocket, name, getattr(real, '__func__', real))


def _watched_tls(world, seconds):
    with OneAtATime() as one:
        _tls(world, seconds)
    assert not one.overlaps, '%d overlaps' % len(one.overlaps)


def _tls(world, seconds, way='wss'):
    # Pongs may follow the client's close frame.  If TCP is closed while they are unread,
    # it is reset, and the answer is lost.
    script = [['accept'], ['duplex', seconds], ['answer_close'], ['finish'], ['read_on']]
    watch = Watch(world, script, way, settings=dict(poll=0.1, ping_rate=0.05, send_timeout=20.0))
    sent = [0] * 4
    rng = random.Random(1)
    payload = bytes(bytearray(rng.getrandbits(8) for _ in range(40000)))

    def send(which):
        size, end = (3, 300, 20000, 40000)[which], monotonic() + seconds
        while monotonic() < end:
            watch.ws.send_binary(payload[:size])
            sent[which] += size

    def receive(watch):
        data = watch.event.data
        assert data == data[:1] * len(data)

    def ready(watch):
        for which in range(4):
            watch.in_thread(send, which)
        watch.in_thread(finish)

    def finish():
        for thread in watch._threads[:4]:
            thread.join()
        watch.ws.close()
    watch.do = {'ready': ready, 'binary': receive}
    with Switching():
        watch.run().expect(GOOD + '( binary| pong| ping)+ closed disconnected', 'closed', graceful=True)
    facts = watch.peer.over()
    assert facts['count'] == sum(sent), (facts['count'], sum(sent))
    assert watch.counts['binary'] > 10


add('threads', 'TLS is read and written for 60 s', 'no crash, nothing lost', _tls, 60, limit=140)
add('threads', 'TLS is read and written for 2 s', 'one thread at a time', _watched_tls, 2, quick=True)
add('threads', 'TLS by a proxy is read and written for 5 s', 'no crash, nothing lost', _tls, 5, 'wss by http')


# -- many connections leave nothing behind

def _many(world, way, count, fate):
    if fate == 'close':
        script = [['accept'], ['send', frame(BINARY, b'x' * 1000)], ['answer_close']]
    elif fate == 'drop':
        script = [['accept'], ['drop']]
    elif fate == 'refuse':
        script = [['read_head'], ['send', b'HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno']]
    else:
        script = [['accept'], ['send', frame(3)], ['read_on']]

    def one(world, peer):
        Watch(world, way=way, peer=peer, settings=dict(poll=30), options={'compress': True},
              do={'binary': chaos.close} if fate == 'close' else {}).run()
    peer = world.peer(chaos.WAYS[way].prelude + script)
    for _ in range(10):
        one(world, peer)
    gc.collect()
    before = chaos.descriptors(), threading.active_count(), Memory._read('VmRSS')
    gc.disable()
    try:
        for _ in range(count):
            one(world, peer)
        after = Memory._read('VmRSS')
    finally:
        gc.enable()
    chaos.wait_until(lambda: chaos.descriptors() <= before[0] and threading.active_count() <= before[1],
                     3, 'descriptors or threads are left')
    left = (after - before[2]) / count
    # the pages of the interpreter and of OpenSSL come in lumps
    assert left < 20e3 + 1.5e6 / count, '%.1f kB a connection' % (left / 1e3)
    gc.collect()
    assert not gc.garbage


for _way in ('ws', 'wss'):
    for _fate in ('close', 'drop', 'refuse', 'violate'):
        _count = 500 if _fate == 'close' else 100
        add('many', '%s: %d connections without gc: %s' % (_way, _count, _fate),
            '20 KB each, no descriptor, no thread', _many, _way, _count, _fate, limit=120)
