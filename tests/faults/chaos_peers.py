"""Scenarios of an open connection: peers that stop, vanish, are slow, or send too much.
"""

from __future__ import absolute_import, division, unicode_literals

import hashlib
import struct
import zlib

import chaos
from chaos import GOOD, SHORT, SLACK, Memory, Watch, add, close, run, send_much
from chaos_ends import DEFLATE, HELLO, deflated
from support.frames import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame

from lomond import errors

MiB = 1024 * 1024
PING_TIMEOUT = {'poll': 30, 'ping_rate': 0.2, 'ping_timeout': 1.0}
UNRESPONSIVE = 'disconnected; exceeded 1.0s ping timeout'
BROKEN = (errors.TransportFail, errors.WebSocketUnavailable)

# -- stopped

def _resume(watch, seconds):
    """In another thread: let a peer go on some time after it has stopped itself."""
    watch.peer.wait_stopped()
    chaos.time.sleep(seconds)
    watch.peer.resume()


def _dead(world, way, steps):
    run(world, [['accept']] + steps + [['stop'], ['hold']], way, settings=PING_TIMEOUT, expect=dict(
        names=GOOD + ' unresponsive disconnected', reason=UNRESPONSIVE, graceful=False, at_least=1,
        at_most=1 + SLACK))


for _way in ('ws', 'wss'):
    add('stopped', '%s: SIGSTOP behind the answer' % _way, 'ping_timeout +', _dead, _way, [],
        quick=_way == 'ws')
    add('stopped', '%s: SIGSTOP in a payload' % _way, 'ping_timeout +', _dead,
        _way, [['send', frame(BINARY, b'x' * 5000)[:99]]])

    def _resumed(world, way=_way):
        script = [['accept'], ['send', HELLO[:3]], ['stop'], ['send', HELLO[3:]], ['answer_close']]
        watch = Watch(world, script, way, settings=dict(PING_TIMEOUT, ping_timeout=5.0), do={'text': close})

        def resume():
            watch.wait('ready')
            _resume(watch, 1)
        watch.in_thread(resume)
        watch.run().expect(GOOD + '( pong| ping)* text( pong)* closed disconnected', 'closed', graceful=True,
                           at_least=1, at_most=1 + SLACK)
    add('stopped', '%s: stopped in a payload, resumed' % _way, 'not cut off', _resumed, quick=_way == 'wss')

    def _resumed_before(world, way=_way):
        watch = Watch(world, [['stop'], ['accept'], ['answer_close']], way, settings={'connect_timeout': 10},
                      do={'ready': close})
        watch.in_thread(_resume, watch, 0.7)
        watch.run().expect(GOOD + ' closed disconnected', 'closed', graceful=True, at_most=3)
    add('stopped', '%s: stopped in the upgrade, resumed' % _way, 'not cut off', _resumed_before)

    def _stopped_before(world, way=_way):
        run(world, [['stop'], ['hold']], way, settings={'connect_timeout': SHORT}, expect=dict(
            names='connecting connected disconnected', reason='disconnected; upgrade timed out after 0.5s',
            at_least=SHORT, at_most=SHORT + SLACK))
    add('stopped', '%s: stopped in the upgrade' % _way, 'connect_timeout +', _stopped_before)


# -- a send is stuck: (name, the peer's steps, what is done from here, kinds of the sender's exception)

STUCK = [
    ('reads nothing', [['hold']], None, errors.SendTimeout),
    ('is stopped', [['stop'], ['hold']], None, errors.SendTimeout),
    ('is killed', [['hold']], 'kill', errors.TransportFail),
    ('resets', [['wait', 'go'], ['reset']], 'go', errors.TransportFail),
    ('closes its socket', [['wait', 'go'], ['drop']], 'go', errors.TransportFail),
    ('sends FIN', [['wait', 'go'], ['finish'], ['hold']], 'go', errors.TransportFail),
    ('closes with 1009, and its socket', [['wait', 'go'], ['send', close_frame(1009, b'too big')], ['drop']],
     'go', errors.TransportFail),
]


def _act(watch, what):
    chaos.time.sleep(0.3)
    if what == 'kill':
        watch.peer.kill()
    elif what:
        watch.peer.tell(what)


def _stuck_in_handler(world, way, steps, what, kind, size):
    watch = Watch(world, [['accept'], ['mark', 'open']] + steps, way,
                  settings={'send_timeout': 1.0, 'poll': 30}, receive_buffer=8192)
    watch.do['ready'] = lambda watch: (watch.in_thread(_act, watch, what), send_much(watch, size))
    watch.run()
    limit = 1 if what is None or 'finish' in str(steps) else 0.3
    watch.expect(GOOD + '( closing)? disconnected', '(socket fail; .+|closed)', at_most=limit + SLACK)
    assert watch.last.graceful is ('closing' in watch.names)
    watch.sender_ended(kind)
    if kind is errors.SendTimeout:
        watch.expect(at_least=1, reason='socket fail; .*send_timeout.*')


def _stuck_in_thread(world, way, steps, what, kind, size):
    watch = Watch(world, [['accept']] + steps, way, settings={'send_timeout': 1.0, 'poll': 0.2},
                  receive_buffer=8192)
    data = b'd' * size
    watch.do['ready'] = lambda watch: (watch.in_thread(_act, watch, what), watch.send_in_thread(data),
                                       watch.send_in_thread(data))
    watch.run()
    watch.expect(GOOD + '( closing)? disconnected', '(socket fail; .+|closed)', at_most=1 + SLACK)
    watch.sender_ended(BROKEN)
    assert len(watch.senders) == 2
    if kind is errors.SendTimeout:
        assert errors.SendTimeout in [type(error) for error, _ in watch.senders], watch.senders


for _name, _steps, _what, _kind in STUCK:
    for _way in ('ws', 'wss'):
        for _size in (MiB, 1000):
            if _size == 1000 and _name not in ('is stopped', 'is killed'):
                continue
            _words = '%s, a send of %d bytes is stuck, the peer ' % (_way, _size) + _name
            add('stuck', 'handler: ' + _words, 'send_timeout +' if _what is None else 'at once',
                _stuck_in_handler, _way, _steps, _what, _kind, _size,
                quick=_size == MiB and (_way, _name) == ('ws', 'is killed'))
            add('stuck', 'thread: ' + _words, 'sender within 1 s of X', _stuck_in_thread,
                _way, _steps, _what, _kind, _size,
                quick=_size == MiB and (_way, _name) == ('wss', 'is killed'))

for _way in ('ws', 'wss'):
    def _pace(world, way=_way):
        watch = Watch(world, [['accept'], ['hold']], way, receive_buffer=8192, settings=dict(
            poll=0.5, ping_rate=1.0, ping_timeout=2.0, send_timeout=30.0))
        watch.do['ready'] = lambda watch: watch.send_in_thread()
        watch.run().expect(GOOD + ' unresponsive disconnected', 'disconnected; exceeded 2.0s ping timeout',
                           at_least=2, at_most=2 + 2.5)
        gaps = [later - one for one, later in zip(watch.polls, watch.polls[1:])]
        assert gaps and max(gaps) < 0.7 + 0.2, gaps
        watch.sender_ended(BROKEN)
    add('stuck', '%s: Poll and ping_timeout beside a stuck sender' % _way,
        'Poll gap 0.7 s, ping_timeout + 2.5 s', _pace)

    def _closed_beside(world, way=_way):
        watch = Watch(world, [['accept'], ['hold']], way, receive_buffer=8192, settings=dict(
            poll=30, send_timeout=30.0, close_timeout=SHORT))

        def then_close():
            chaos.time.sleep(0.3)
            watch.ws.close()
        watch.do['ready'] = lambda watch: (watch.send_in_thread(), watch.in_thread(then_close))
        watch.run().expect(GOOD + ' disconnected', "disconnected; server didn't respond.*", graceful=False,
                           at_least=SHORT, at_most=0.3 + SHORT + SLACK)
        watch.sender_ended(BROKEN)
    add('stuck', '%s: close() beside a stuck sender' % _way, 'close_timeout +', _closed_beside,
        quick=_way == 'ws')

    def _freed(world, way=_way):
        # 8 MiB are stuck for a while, and go on: nothing is lost.
        watch = Watch(world, [['accept'], ['stop'], ['read_count', 8 * MiB], ['answer_close']], way,
                      receive_buffer=8192, settings=dict(poll=30, send_timeout=20.0), do={})

        def send(watch):
            watch.in_thread(_resume, watch, 1)
            for _ in range(8):
                watch.ws.send_binary(b'd' * MiB)
            watch.ws.close()
        watch.do['ready'] = send
        watch.run().expect(GOOD + ' closed disconnected', 'closed', graceful=True)
        assert watch.peer.over()['count'] == 8 * MiB
    add('stopped', '%s: stopped while we send, resumed' % _way, 'not cut off', _freed)

    def _slow_reader(world, way=_way):
        # Takes 16 KB each 0.1 s: the whole takes longer than send_timeout, no pause of
        # it does.
        watch = Watch(world, [['accept'], ['slow_read', 16384, 0.1, 3.0], ['discard', 20]], way,
                      receive_buffer=8192, settings=dict(poll=30, send_timeout=1.0))

        def send(watch):
            watch.ws.send_binary(b'd' * 4 * MiB, compress=False)
            watch.ws.force_disconnect()
        watch.do['ready'] = send
        watch.run().expect(GOOD + ' disconnected', 'disconnected; force_disconnect', at_least=2, at_most=20)
    add('slow', '%s: a peer that takes 16 KB at a time' % _way, 'not cut off by send_timeout', _slow_reader)

    def _slow_writer(world, way=_way):
        run(world, [['accept'], ['dribble', frame(TEXT, b'x' * 25), 0.1], ['answer_close']], way,
            settings=dict(poll=30, ping_rate=0.3, ping_timeout=0.6), do={'text': close}, expect=dict(
                names=GOOD + ' text( pong)? closed disconnected', reason='closed', graceful=True, at_least=2))
    add('slow', '%s: a message that takes 2.7 s, pings unanswered' % _way, 'any byte is life', _slow_writer)

    def _slow_fragments(world, way=_way):
        script = [['accept'], ['send', frame(TEXT, b'a', fin=False)],
                  ['every', frame(CONTINUATION, b'b', fin=False),
                  0.1, 1.5], ['send', frame(CONTINUATION)], ['answer_close']]
        run(world, script, way, settings=dict(poll=30, ping_rate=0.3, ping_timeout=0.6), do={'text': close},
            expect=dict(names=GOOD + ' text( pong)? closed disconnected', reason='closed', graceful=True))
    add('slow', '%s: a fragment each 0.1 s' % _way, 'not cut off', _slow_fragments)

    def _slow_handler(world, way=_way):
        # The pong is in the socket while the handler sleeps: it is read before anything
        # is judged.
        run(world, [['accept'], ['send', HELLO], ['answer_close']], way, do={
            'text': lambda watch: chaos.time.sleep(2), 'pong': close},
            settings=dict(poll=30, ping_rate=0.2, ping_timeout=0.7), expect=dict(
                names=GOOD + ' text pong closed disconnected', reason='closed', graceful=True))
    add('slow', '%s: a handler of 2 s, ping_timeout=0.7' % _way, 'not cut off', _slow_handler)


# -- floods

def _flood(script, names, do=None, settings=None, options=None, way='ws', limit=16 * MiB, check=None,
           receive_buffer=None, **expected):
    def function(world):
        with Memory() as memory:
            watch = run(world, script, way, do=do, settings=settings,
                        expect=dict(names=GOOD + names, **expected),
                        options=dict({'max_message_size': MiB}, **(options or {})),
                        receive_buffer=receive_buffer)
        assert memory.peak < limit, 'memory grew by %.1f MB' % (memory.peak / 1e6)
        if check is not None:
            check(watch)
    return function


def _counted(name, count):
    def check(watch):
        assert watch.counts.get(name) == count, watch.counts
    return check


def _all_pongs(watch):
    facts = watch.peer.over()
    pongs = [one[4] for one in facts['frames'] if one[0] == PONG]
    assert facts['total'] == 20001, facts['total']
    assert pongs == [struct.pack(str('!I'), number) for number in range(len(pongs))]


_NUMBERED_PINGS = b''.join(frame(PING, struct.pack(str('!I'), number)) for number in range(20000))
_CLOSED = ' closing disconnected'
for _way in ('ws', 'wss'):
    add('floods', _way + ': 300,000 pings, nobody reads the pongs', '16 MiB', _flood(
        [['accept'], ['repeat', frame(PING, b'p' * 125), 300000], ['send', close_frame(1000)], ['hold']],
        # The peer takes no pong: on a slow machine, send_timeout would end it first.
        ' ping' + _CLOSED, way=_way, settings={'close_timeout': SHORT, 'send_timeout': None},
        check=_counted('ping', 300000), reason='closed', graceful=True, receive_buffer=8192))
    add('floods', _way + ': 300,000 empty messages', 'all are delivered', _flood(
        [['accept'], ['repeat', frame(TEXT), 300000], ['send', close_frame(1000)], ['read_close']],
        ' text' + _CLOSED, way=_way, check=_counted('text', 300000), reason='closed', graceful=True))
    add('floods', _way + ': 65,536 fragments in one message', 'all are delivered', _flood(
        [['accept'], ['send', frame(BINARY, b'0', fin=False)],
         ['repeat', frame(CONTINUATION, b'1', fin=False), 65534],
         ['send', frame(CONTINUATION, b'2') + close_frame(1000)], ['read_close']], ' binary' + _CLOSED,
        way=_way, reason='closed', graceful=True,
        do={'binary': lambda watch: watch.senders.append(watch.event.data)},
        check=lambda watch: watch.senders == [b'0' + b'1' * 65534 + b'2'] or _wrong()))
    add('floods', _way + ': 200 MB of fragments, no end', '16 MiB, Close 1009', _flood(
        [['accept'], ['send', frame(BINARY, b'', fin=False)],
         ['repeat', frame(CONTINUATION, b'x' * 1000, fin=False), 200000], ['discard']],
        ' protocol_error disconnected', way=_way, reason='disconnected; .*max_message_size.*',
        graceful=False), quick=_way == 'ws')


def _wrong():
    raise AssertionError('not what was sent')


add('floods', '20,000 pings are answered in order', 'none is left out', _flood(
    [['accept'], ['mark', 'x'], ['send', _NUMBERED_PINGS[:12000]], ['mark', 'y'],
     ['send', _NUMBERED_PINGS[12000:]],
     ['send', close_frame(1000)], ['read_close']], ' ping' + _CLOSED, check=_all_pongs, reason='closed'))
for _count, _words in ((2000000, '2 million'), (100000, '100,000')):
    add('floods', _words + ' empty fragments', '16 MiB', _flood(
        [['accept'], ['send', frame(BINARY, b'', fin=False)],
         ['repeat', frame(CONTINUATION, b'', fin=False), _count],
         ['send', frame(CONTINUATION, b'end') + close_frame(1000)], ['read_close']], ' binary' + _CLOSED,
        check=_counted('binary', 1), reason='closed'),
        quick=_count == 100000, limit=60 if _count == 2000000 else 40)
add('floods', '100,000 pongs nobody asked for', 'nothing happens', _flood(
    [['accept'], ['repeat', frame(PONG, b'x'), 100000], ['send', close_frame(1000)], ['read_close']],
    ' pong' + _CLOSED, check=_counted('pong', 100000), reason='closed'))
add('floods', 'anything behind a close frame', 'is dropped', _flood(
    [['accept'], ['send', close_frame(1000)], ['repeat', HELLO + frame(PING) + b'\xff\xff', 200000],
     ['read_close']],
    _CLOSED, reason='closed', graceful=True), quick=True)
add('floods', 'announced 2**62 bytes', 'Close 1009, 1 s', _flood(
    [['accept'], ['send', frame(BINARY, b'', length=2 ** 62)], ['repeat', b'x' * 1000]],
    ' protocol_error disconnected', reason='disconnected; .*max_message_size.*', at_most=1 + SLACK),
    quick=True)


def _under_a_flood(world):
    watch = Watch(world, [['accept'], ['repeat', HELLO]], settings=dict(poll=0.2, close_timeout=SHORT))

    def on_poll(watch):
        if len(watch.polls) == 5:
            watch.ws.close()
    watch.do['poll'] = on_poll
    watch.run().expect(GOOD + ' text disconnected', "disconnected; server didn't respond.*", graceful=False,
                       at_least=0.8 + SHORT, at_most=1 + SHORT + SLACK)
    gaps = [later - one for one, later in zip(watch.polls, watch.polls[1:])]
    assert max(gaps) < 0.5, gaps


add('floods', 'Poll, close() and close_timeout under a stream of messages', 'Poll each 0.2 s', _under_a_flood,
    quick=True)


def _bomb(way, size, fragments):
    # Blocks of one compressor refer backwards within its window: the second one of
    # zeros can be repeated.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(b'\0' * 40000) + packer.flush(zlib.Z_SYNC_FLUSH)
    block = packer.compress(b'\0' * 32 * MiB) + packer.flush(zlib.Z_SYNC_FLUSH)
    count = max(size // len(block), 1)
    # Each frame is within max_message_size: what matters is what comes out of it.
    if fragments:
        script = [['repeat', frame(CONTINUATION, block, fin=False), count]]
        first = frame(BINARY, start[:100], rsv=4, fin=False) + frame(CONTINUATION, start[100:], fin=False)
    else:
        script = [['repeat', block, count]]
        first = frame(BINARY, start, rsv=4, length=len(start) + len(block) * count)
    script = [['read_head'], ['respond', [DEFLATE]], ['repeat', frame(BINARY, b'x' * 1000), 5000],
              ['send', first]] + script
    # The messages before it make the client's buffer as large as it gets: more is
    # inflated at a time.
    return _flood(script + [['discard']], ' binary protocol_error disconnected', options={'compress': True},
                  way=way, reason='disconnected; .*max_message_size.*', graceful=False)


for _way in ('ws', 'wss'):
    add('bombs', _way + ': 1 GB in a frame of 1 MB', '16 MiB, Close 1009', _bomb(_way, 1000000, False),
        quick=_way == 'ws')
    add('bombs', _way + ': 3 GB in fragments of 32 KB', '16 MiB, Close 1009', _bomb(_way, 3 * MiB, True),
        quick=_way == 'ws')
add('bombs', '200 bombs of 1 MB in one read', '16 MiB', _flood(
    [['read_head'], ['respond', [DEFLATE], frame(BINARY, deflated(b'\0' * MiB), rsv=4)],
     ['sleep', 0.1], ['repeat', frame(BINARY, deflated(b'\0' * MiB), rsv=4), 200],
     ['send', close_frame(1000)], ['read_close']], ' binary' + _CLOSED, options={'compress': True},
    check=_counted('binary', 201), reason='closed'))


def _large(world, size):
    for _ in range(2):              # the second one finds a used heap
        seen = []
        script = [['accept'], ['send', b'\x82\x7f' + struct.pack(str('!Q'), size)],
                  ['repeat', b'x' * 65536, size // 65536], ['send', close_frame(1000)],
                  ['read_close']]
        with Memory() as memory:
            run(world, script, do={'binary': lambda watch, seen=seen: seen.append(len(watch.event.data))},
                expect=dict(names=GOOD + ' binary closing disconnected', reason='closed'))
        assert seen == [size]
        assert memory.peak < 2.2 * size, memory.peak / size
        world.end()


for _size in (16, 64):
    add('bombs', 'messages of %d MiB' % _size, '2.2 times the message', _large, _size * MiB)


# -- both sides send at once

def _both(world, way, size, compress):
    count = size // MiB
    messages = [struct.pack(str('!I'), number) * (MiB // 4) for number in range(1, count + 1)]
    digest = hashlib.md5(b''.join(messages)).hexdigest()
    options = {'compress': True} if compress else {}
    script = [['read_head'], ['respond', [DEFLATE] if compress else []], ['messages', count, MiB],
              ['read_count', size] if not compress else ['read_until', PING], ['answer_close']]
    got = []
    watch = Watch(world, script, way, settings=dict(poll=30, send_timeout=20.0), options=options)

    def send(watch):
        for message in messages:
            watch.ws.send_binary(message)
        if compress:
            watch.ws.send_ping(b'that was all')

    def receive(watch):
        got.append(watch.event.data == messages[len(got)])
        if len(got) == count:
            watch.ws.close()
    watch.do.update(ready=send, binary=receive)
    watch.run().expect(GOOD + ' binary( pong)? closed disconnected', 'closed', graceful=True)
    assert got == [True] * count
    if not compress:
        assert watch.peer.over()['digest'] == digest


for _way in ('ws', 'wss'):
    add('both send', _way + ': 48 MB in each direction at once', 'no deadlock, nothing lost',
        _both, _way, 48 * MiB, False, limit=60)
    add('both send', _way + ': 8 MB in each direction at once', 'no deadlock, nothing lost',
        _both, _way, 8 * MiB, False, quick=_way == 'wss')


def _echoing(world, way, size, count):
    """The handler echoes each message while the peer, a naive one, sends them all
    before it reads.
    """
    script = [['accept'], ['messages', count, size], ['read_count', count * size],
              ['send', close_frame(1000)], ['read_close']]
    watch = Watch(world, script, way, settings=dict(poll=30, send_timeout=20.0), receive_buffer=16384,
                  do={'binary': lambda watch: watch.ws.send_binary(watch.event.data)})
    watch.run().expect(GOOD + ' binary closing disconnected', 'closed', graceful=True, code=1000)
    facts = watch.peer.over()
    wanted = b''.join(struct.pack(str('!I'), number) * (size // 4) for number in range(1, count + 1))
    assert facts['digest'] == hashlib.md5(wanted).hexdigest()


for _way in ('ws', 'wss'):
    add('both send', _way + ': echo of 48 MB, the peer reads last', 'no deadlock, nothing lost',
        _echoing, _way, MiB, 48, limit=60)
    add('both send', _way + ': echo of 20,000 small messages, the peer reads last',
        'no deadlock, nothing lost', _echoing, _way, 1000, 20000, limit=60)
