"""Scenarios of the exchange: FIN, reset, death, end of TLS at every point of it;
closing; violations.
"""

from __future__ import absolute_import, division, unicode_literals

import zlib

import chaos
from chaos import GOOD, LOST, RESET, SHORT, SLACK, WAYS, Watch, add, close, run, saw_close, saw_nothing
from support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame

HELLO = frame(TEXT, b'hello')
DEFLATE = b'Sec-WebSocket-Extensions: permessage-deflate'
ENDS = ['drop', 'reset', 'kill', 'finish']


def deflated(data):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


COMPRESSED = 'in a compressed message'
UPGRADE = 'connecting connected disconnected'
LOST_EARLY = GOOD + ' disconnected'
LOST_LATER = GOOD + ' text disconnected'

# name, steps before the end, events
POINTS = [
    ('before the answer', [['read_head']], UPGRADE),
    ('in the status line', [['read_head'], ['respond', [], b'', 0, 9]], UPGRADE),
    ('in a header', [['read_head'], ['respond', [], b'', 0, 60]], UPGRADE),
    ('before the empty line', [['read_head'], ['respond', [], b'', 0, -2]], UPGRADE),
    ('behind the answer', [['accept']], LOST_EARLY),
    ('behind a message', [['accept'], ['send', HELLO]], LOST_LATER),
    ('in the header of a frame', [['accept'], ['send', HELLO + b'\x82']], LOST_LATER),
    ('in a 16 bit length', [['accept'], ['send', b'\x82\x7e\x01']], LOST_EARLY),
    ('in a 64 bit length', [['accept'], ['send', b'\x82\x7f\0\0\0']], LOST_EARLY),
    ('in a short payload', [['accept'], ['send', HELLO + HELLO[:-1]]], LOST_LATER),
    ('in a long payload', [['accept'], ['send', frame(BINARY, b'x' * 200000)[:-1]]], LOST_EARLY),
    ('between fragments', [['accept'], ['send', frame(TEXT, b'hel', fin=False)]], LOST_EARLY),
    (COMPRESSED, [['read_head'], ['respond', [DEFLATE], frame(TEXT, deflated(b'hello' * 100), rsv=4)[:-1]]],
     LOST_EARLY),
    ('in a ping', [['accept'], ['send', frame(PING, b'12345')[:-1]]], LOST_EARLY),
    ('behind a ping', [['accept'], ['send', frame(PING, b'12345')], ['read_until', PONG]],
     GOOD + ' ping disconnected'),
    ('in a close frame', [['accept'], ['send', close_frame(1000, b'bye')[:-1]]], LOST_EARLY),
]


def _lost(world, way, steps, end, names, options):
    # Half closed: the client is to end its side, too.
    steps = steps + [['sleep', 0.02], [end]] + ([['read_on']] if end == 'finish' else [])
    watch = run(world, steps, way, options=options, settings={'poll': 30}, expect=dict(
        names=names, reason=RESET if end == 'reset' else LOST, graceful=False, at_most=SLACK))
    assert watch.last.code is None
    if 'kill' not in end:
        facts = watch.peer.over()
        assert not [one for one in facts['frames'] if one[0] == CLOSE]


for _way in ('ws', 'wss', 'wss by http'):
    for _name, _steps, _names in POINTS:
        _options = {'compress': True} if _name == COMPRESSED else {}
        for _end in ENDS + ['notify'] * (_way != 'ws'):
            if _way == 'wss by http' and _end not in ('kill', 'notify'):
                continue
            add('ends', '%s, %s: %s' % (_way, _name, _end), 'at once', _lost,
                _way, _steps, _end, _names, _options,
                quick=_way == 'ws' and _end in ('drop', 'reset') or _way == 'wss' and _end == 'kill')


# -- in the closing handshake: (name, who begins, steps before the end, events, graceful, code)

CLOSING = [
    ('behind its close frame', [['accept'], ['send', HELLO + close_frame(1001, b'away')]],
     None, GOOD + ' text closing disconnected', True, 1001),
    ('behind our echo', [['accept'], ['send', close_frame(1001, b'away')], ['read_close']],
     None, GOOD + ' closing disconnected', True, 1001),
    ('behind our echo, with stray bytes', [['accept'], ['send', close_frame(1001, b'away') + b'\xff stray'],
                                           ['read_close']],
     None, GOOD + ' closing disconnected', True, 1001),
    ('before an answer to our close', [['accept'], ['read_close']],
     close, GOOD + ' disconnected', False, None),
    ('in the answer to our close', [['accept'], ['read_close'], ['send', close_frame(1000, b'x')[:-1]]],
     close, GOOD + ' disconnected', False, None),
    ('behind the answer to our close', [['accept'], ['read_close'], ['send', close_frame(1000)]],
     close, GOOD + ' closed disconnected', True, 1000),
    ('behind messages and the answer', [['accept'], ['read_close'], ['send', HELLO * 3 + close_frame(1000)]],
     close, GOOD + ' text closed disconnected', True, 1000),
    ('behind a crossing close', [['read_head'], ['respond', [], close_frame(1001)]],
     close, GOOD + ' closed disconnected', True, 1001),
]


def _closing(world, way, steps, action, end, names, graceful, code):
    reason = 'closed' if graceful else RESET if end == 'reset' else LOST
    watch = run(world, steps + [[end]] + ([['read_on']] if end == 'finish' else []), way,
                do={'ready': action} if action else None, settings={'poll': 30},
                expect=dict(names=names, reason=reason, graceful=graceful, at_most=SLACK))
    assert watch.last.code == code


for _way in ('ws', 'wss'):
    for _name, _steps, _action, _names, _graceful, _code in CLOSING:
        for _end in ENDS + ['notify'] * (_way != 'ws'):
            add('ends', '%s, %s: %s' % (_way, _name, _end), 'at once; graceful: %s' % _graceful, _closing,
                _way, _steps, _action, _end, _names, _graceful, _code, quick=_way == 'ws')


# -- violations: the close frame arrives, whatever the peer is doing

VIOLATIONS = [
    ('reserved bit', frame(TEXT, b'x', rsv=2), 1002), ('rsv1 not agreed on', frame(TEXT, b'x', rsv=4), 1002),
    ('reserved opcode', frame(3), 1002), ('reserved control opcode', frame(11), 1002),
    ('masked', b'\x81\x81\0\0\0\0x', 1002), ('long ping', b'\x89\x7e\x00\x7e' + b'x' * 126, 1002),
    ('fragmented ping', frame(PING, b'', fin=False), 1002),
    ('nothing to continue', frame(CONTINUATION), 1002),
    ('message in a message', frame(TEXT, b'', fin=False) + frame(TEXT), 1002),
    ('length with the top bit', b'\x82\x7f\xff' + b'\0' * 7, 1002),
    ('length not minimal', b'\x82\x7e\x00\x05hello', 1002), ('close of one byte', frame(CLOSE, b'x'), 1002),
    ('close code 1005', close_frame(1005), 1002), ('close code 999', close_frame(999), 1002),
    ('reason that is not UTF-8', close_frame(1000, b'\xff'), 1007),
    ('text that is not UTF-8', frame(TEXT, b'good \xc3('), 1007),
    ('surrogate', frame(TEXT, b'\xed\xa0\x80'), 1007),
    ('bad byte in a text that does not end', frame(TEXT, b'ab\xff', length=100000), 1007),
    ('2**62 bytes', frame(BINARY, b'', length=2 ** 62), 1009),
    ('one byte too many', frame(BINARY, b'', length=1024 * 1024 + 1), 1009),
    ('one fragment too many', frame(BINARY, b'x' * 1024 * 1024, fin=False) + frame(CONTINUATION, b'x'), 1009),
]


def _violation(world, way, data, code, script_end):
    critical = code == 1007
    steps = [['accept'], ['send', HELLO + data]] + script_end
    watch = run(world, steps, way, options={'max_message_size': 1024 * 1024}, settings={'poll': 30},
                expect=dict(names=GOOD + ' text protocol_error disconnected', reason='disconnected; .+',
                            graceful=False, at_most=0.5 + SLACK))
    assert watch.one('protocol_error').critical is critical
    assert watch.last.reason == 'disconnected; ' + watch.one('protocol_error').error
    if script_end[-1] == ['read_on']:
        saw_close(code)(watch.peer.over())


for _name, _data, _code in VIOLATIONS:
    for _way in ('ws', 'wss'):
        add('violations', '%s: %s' % (_way, _name), 'Close %d, 0.5 s' % _code, _violation,
            _way, _data, _code, [['read_on']], quick=_way == 'ws' and _code != 1002)
for _way in ('ws', 'wss'):
    for _name, _bound, _steps in (('goes on and on', '0.5 s', [['repeat', HELLO]]),
                                  ('reads nothing', '0.5 s', [['hold']]),
                                  ('is stopped', '0.5 s', [['stop'], ['hold']]),
                                  ('is gone', 'at once', [['kill']])):
        add('violations', '%s: and the peer %s' % (_way, _name), _bound, _violation,
            _way, frame(3), 1002, _steps, quick=_way == 'ws' and _name == 'reads nothing')


def _half_closed(world):
    # The peer sees the end of our direction at once; the client reads on for 0.5 s.
    # Best of three.
    waits = []
    for _ in range(3):
        watch = Watch(world, [['accept'], ['send', frame(3)], ['read_close'], ['see_end'], ['hold']],
                      settings={'poll': 30})
        watch.run().expect(GOOD + ' protocol_error disconnected', at_least=0.5, at_most=0.5 + SLACK)
        waits.append(watch.peer.mark('end')['time'] - watch.one('protocol_error').received_time)
    assert min(waits) < 0.3, waits


add('violations', 'ws: our direction ends before the 0.5 s', 'at once', _half_closed)


# -- no answers in the closing handshake

def _no_answer(world, way, steps):
    run(world, [['accept']] + steps, way, do={'ready': close},
        settings={'close_timeout': SHORT, 'poll': 30},
        expect=dict(names=GOOD + '( text| ping)* disconnected', graceful=False, at_least=SHORT,
                    at_most=SHORT + SLACK,
                    reason="disconnected; server didn't respond to close packet within 0.5s"))


def _left_open(world, way, steps):
    run(world, [['accept'], ['send', close_frame(1000)]] + steps, way,
        settings={'close_timeout': SHORT, 'poll': 30},
        expect=dict(names=GOOD + ' closing disconnected', reason='closed', graceful=True, code=1000,
                    at_least=SHORT, at_most=SHORT + SLACK))


for _way in ('ws', 'wss'):
    for _name, _steps in (('silence', [['read_close'], ['hold']]),
                          ('stopped', [['read_close'], ['stop'], ['hold']]),
                          ('reads nothing', [['hold']]), ('messages', [['repeat', HELLO]]),
                          ('pings', [['read_close'], ['every', frame(PING, b'x'), 0.02, 20]]),
                          ('a byte at a time', [['dribble', frame(BINARY, b'x' * 1000), 0.05]])):
        add('closing', '%s, our close is not answered: %s' % (_way, _name), 'close_timeout +',
            _no_answer, _way, _steps, quick=_way == 'ws' and _name == 'messages')
    for _name, _steps in (('silence', [['read_close'], ['hold']]),
                          ('stopped', [['read_close'], ['stop'], ['hold']]),
                          ('stray bytes', [['repeat', b'stray']])):
        add('closing', '%s, TCP is left open: %s' % (_way, _name), 'close_timeout +',
            _left_open, _way, _steps, quick=_way == 'wss' and _name == 'stray bytes')


# -- the loop is left: the socket is closed, without a close frame

def _run_to_the_end(watch):
    # A function of its own: on 2.7 the traceback, and with it the iterator, lives as
    # long as the function that has caught the exception.
    try:
        watch.run()
    except (chaos.Leave, KeyboardInterrupt, StopIteration):
        pass


def _leave(world, way, at, how):
    script = [['accept'], ['send', HELLO + frame(PING, b'x')]]
    settings = {'poll': 0.1}
    if at == 'protocol_error':
        script += [['send', frame(3)]]
    elif at == 'closing':
        script += [['send', close_frame(1000)]]
    elif at == 'closed':
        script = [['accept'], ['answer_close']]
    elif at == 'rejected':
        script = [['read_head'], ['send', b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n']]
    elif at == 'unresponsive':
        script += [['hold']]
        settings.update(ping_rate=10, ping_timeout=0.3)
    reads = at != 'unresponsive'
    watch = Watch(world, script + [['discard', 20]] if reads else script, way, settings=settings)
    left = []

    def leave(watch):
        left.append(chaos.monotonic())
        if how == 'exception':
            raise chaos.Leave()
        if how == 'close':
            # from outside, as the interpreter does it: see below
            raise StopIteration('close')
        raise KeyboardInterrupt()
    watch.do = {at: leave}
    if at == 'closed':
        watch.do['ready'] = close
    _run_to_the_end(watch)
    if how == 'close':
        watch.iterator.close()
    else:
        watch.iterator = None           # what ``for`` had; nothing else refers to it
        chaos.collect()
    assert left, watch.names
    assert chaos.monotonic() - left[0] < 0.6
    ws = watch.ws
    assert not ws.is_active and ws.session._sock is None
    if reads and at != 'connecting':
        facts = watch.peer.over(seconds=0.6 + SLACK)
        assert facts['time'] is not None and facts['how'] in ('fin', 'reset'), facts['how']
        if at not in ('closed', 'protocol_error'):
            saw_nothing(dict(facts, frames=[one for one in facts['frames'] if one[0] == CLOSE]))


for _how in ('exception', 'close', 'Ctrl-C in the handler'):
    for _at in ('connecting', 'connected', 'ready', 'text', 'ping', 'poll', 'closing', 'closed', 'rejected',
                'protocol_error', 'unresponsive'):
        for _way in ('ws', 'wss'):
            add('leaving', '%s, left at %s: %s' % (_way, _at, _how), '0.6 s', _leave, _way, _at, _how,
                quick=_way == 'ws' and _how == 'close')


# -- bytes in the packet of the answer

def _surplus(world, way):
    script = [['read_head'], ['respond', [], HELLO * 3 + close_frame(1000, b'bye')], ['read_close']]
    watch = run(world, script, way, sees=saw_close(1000), expect=dict(
        names=GOOD + ' text closing disconnected', reason='closed', graceful=True, code=1000,
        at_most=SLACK))
    assert watch.counts['text'] == 3


for _way in sorted(WAYS):
    add('order', 'messages in the packet of the answer: ' + _way, 'all are delivered', _surplus, _way)
