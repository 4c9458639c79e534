"""Scenarios of the connecting: silence, a byte at a time, garbage, endless answers, at
every layer.
"""

from __future__ import absolute_import, division, unicode_literals

import chaos
from chaos import (
    CONNECT,
    ESTABLISHED,
    GRANTED_4,
    GRANTED_5,
    SHORT,
    SLACK,
    SOCKS_5,
    SOCKS_5_AUTH,
    TLS,
    WAYS,
    Watch,
    add,
    attempt,
    run,
    scenario,
)
from support.frames import frame

#: A TLS record that announces 16 KiB and does not end.
LONG_RECORD = b'\x16\x03\x03\x40\x00' + b'\0' * 16000
LONG_HEAD = b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 16000

FAIL = 'connecting connect_fail'
TIMED_OUT = r'unable to connect; %s timed out after 0.5s.*'
PROXY_TIMED_OUT = r'(unable to connect to proxy|proxy fail).* timed out after 0.5s.*'

# layer, way, the peer's steps before it falls silent, what it would say, stage, reason
LAYERS = [
    ('HTTP proxy', 'http', [['read_head']], LONG_HEAD, 'proxy', PROXY_TIMED_OUT),
    ('TLS to the proxy', 'https', [], LONG_RECORD, 'proxy', PROXY_TIMED_OUT),
    ('HTTP proxy in TLS', 'https', TLS + [['read_head']], LONG_HEAD, 'proxy', PROXY_TIMED_OUT),
    ('HTTP proxy for wss', 'wss by http', [['read_head']], LONG_HEAD, 'proxy', PROXY_TIMED_OUT),
    ('SOCKS 4', 'socks4', [['read_socks4']], GRANTED_4[:-1], 'proxy', PROXY_TIMED_OUT),
    ('SOCKS 4a', 'socks4a', [['read_socks4']], GRANTED_4[:-1], 'proxy', PROXY_TIMED_OUT),
    ('SOCKS 5, greeting', 'socks5', [['read_any']], b'\x05', 'proxy', PROXY_TIMED_OUT),
    ('SOCKS 5, password', 'socks5 with password', SOCKS_5_AUTH[:3], b'\x01', 'proxy', PROXY_TIMED_OUT),
    ('SOCKS 5, reply', 'socks5', SOCKS_5[:3], b'\x05\0\0\x03\xff' + b'n' * 200, 'proxy', PROXY_TIMED_OUT),
    ('TLS', 'wss', [], LONG_RECORD, 'tls', TIMED_OUT % 'tls'),
    ('TLS by an HTTP proxy', 'wss by http', CONNECT + [['read_any']], LONG_RECORD, 'tls', TIMED_OUT % 'tls'),
    ('TLS by SOCKS 5', 'wss by socks5', SOCKS_5 + [['read_any']], LONG_RECORD, 'tls', TIMED_OUT % 'tls'),
]


def _limited(world, way, steps, stage, reason):
    attempt(world, steps, way, FAIL, reason=reason, stage=stage, at_least=SHORT, at_most=SHORT + SLACK)
    assert 'secret' not in reason


def _limited_upgrade(world, way, steps):
    run(world, [['read_head']] + steps, way, settings={'connect_timeout': SHORT}, expect=dict(
        names='connecting connected disconnected', graceful=False, at_least=SHORT, at_most=SHORT + SLACK,
        reason='disconnected; upgrade timed out after 0.5s'))


def _make_layers():
    bound = 'connect_timeout +'
    for layer, way, steps, answer, stage, reason in LAYERS:
        add('silence', 'silence: ' + layer, bound,
            _limited, way, steps + [['hold']], stage, reason, quick=layer == 'SOCKS 5, reply')
        add('one byte at a time', 'a byte at a time: ' + layer, bound,
            _limited, way, steps + [['dribble', answer, 0.04], ['hold']], stage, reason,
            quick=layer == 'TLS to the proxy')
    for way in sorted(WAYS):
        for name, steps in (('silence', [['hold']]),
                            ('a byte at a time', [['dribble', LONG_HEAD.replace(b'200', b'101'), 0.04]]),
                            ('a line at a time', [['repeat', b'HTTP/1.1 101 Switching Protocols\r\n', 1],
                                                  ['every', b'X: y\r\n', 0.04, 20]])):
            add('silence' if name == 'silence' else 'one byte at a time', 'upgrade, %s: %s' % (way, name),
                bound, _limited_upgrade, way, steps, quick=way == 'wss' and name == 'a byte at a time')


_make_layers()


def _full(world, way, problem):
    attempt(world, [], way, FAIL, full=True, stage='connect', at_least=SHORT, at_most=SHORT + SLACK,
            reason=problem + r'; connect timed out after 0.5s: 127.0.0.1:\d+.*')


for _way in ('ws', 'wss', 'http', 'https', 'socks5'):
    add('silence', 'accept queue full: ' + _way, 'connect_timeout +', _full,
        _way, 'unable to connect' + ' to proxy' * ('ws' not in _way), quick=_way == 'ws')


@scenario('silence', 'connect_timeout +')
def name_that_never_resolves(world):
    peer = world.peer([])
    watch = Watch(world, peer=peer, settings={'connect_timeout': SHORT})
    watch.ws = type(watch.ws)('ws://never.test:%d/' % peer.port, proxies={})
    chaos.never_resolves(world)
    watch.run().expect(FAIL, TIMED_OUT % 'resolve', stage='resolve', at_least=SHORT, at_most=SHORT + SLACK)


# -- slow, but in time: not to be cut off

for _way in ('ws', 'wss', 'http', 'https', 'socks5 with password', 'wss by http'):
    def _slow_way(world, way=_way):
        prelude = [['dribble', step[1], 0.02] if step[0] == 'send' else step for step in WAYS[way].prelude]
        peer = world.peer(prelude + [
            ['read_head'], ['sleep', 0.3], ['respond', [], b'', 0, None, 0.005],
            ['send', frame(1, b'hi')], ['answer_close']])
        Watch(world, way=way, peer=peer, settings={'connect_timeout': 10.0},
              do={'text': chaos.close}).run().expect(
            chaos.GOOD + ' text closed disconnected', 'closed', graceful=True, at_most=9)
    add('slow, but in time', 'slow answers: ' + _way, 'not cut off', _slow_way)


# -- garbage

GARBAGE = [
    ('NULs', b'\0' * 3000), ('0xFF', b'\xff' * 3000),
    ('SSH', b'SSH-2.0-OpenSSH_9.2p1\r\n'), ('SMTP', b'220 mail.test ESMTP\r\n'),
    ('an HTTP error', b'HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!'),
    ('an alert of TLS', b'\x15\x03\x01\x00\x02\x02\x28'), ('a page', b'<html>' + b'x' * 70000),
]

# where, way, steps before, stage
PLACES = [
    ('HTTP proxy', 'http', [['read_head']], 'proxy'),
    ('TLS to the proxy', 'https', [['read_any']], 'proxy'),
    ('SOCKS 4', 'socks4', [['read_socks4']], 'proxy'), ('SOCKS 5', 'socks5', [['read_any']], 'proxy'),
    ('SOCKS 5, reply', 'socks5', SOCKS_5[:3], 'proxy'), ('TLS', 'wss', [['read_any']], 'tls'),
    ('TLS by SOCKS 5', 'wss by socks5', SOCKS_5 + [['read_any']], 'tls'),
]


def _garbage(world, way, steps, stage, data, names=FAIL):
    watch = attempt(world, steps + [['send', data], ['discard', 15]], way, names, stage=stage,
                    at_most=SHORT + SLACK)
    assert len(watch.last.reason) < 600
    if stage is not None:
        assert isinstance(watch.last.error, Exception)


for _name, _data in GARBAGE:
    for _place, _way, _steps, _stage in PLACES:
        add('garbage', '%s: %s' % (_place, _name), 'connect_timeout +', _garbage, _way, _steps, _stage, _data,
            quick=_place == 'TLS' and _name in ('NULs', 'SSH'))
    for _way in ('ws', 'wss'):
        _names = ('connecting connected rejected disconnected' if 'HTTP' in _name else
                  'connecting connected (protocol_error )?disconnected')
        add('garbage', 'upgrade, %s: %s' % (_way, _name), 'connect_timeout +',
            _garbage, _way, WAYS[_way].prelude + [['read_head']], None, _data, _names,
            quick=_way == 'ws' and _name in ('SMTP', 'an HTTP error'))


def _endless(world, way, steps, data, names, stage):
    with chaos.Memory() as memory:
        attempt(world, steps + [['repeat', data]], way, names, 20.0, stage=stage, at_most=2 + SLACK)
    assert memory.peak < 8e6, memory.peak


for _name, _data in (('headers', b'X-Header: value\r\n'), ('one header', b'x'), ('line ends', b'\r\nX:')):
    for _way in ('http', 'https'):
        add('endless', 'endless %s: proxy, %s' % (_name, _way), 'at once (64 KiB)', _endless,
            _way, WAYS[_way].prelude[:-1] + [['send', b'HTTP/1.1 200 OK\r\nX: ']], _data, FAIL, 'proxy',
            quick=_way == 'http' and _name == 'headers')
    for _way in ('ws', 'wss', 'socks5'):
        add('endless', 'endless %s: upgrade, %s' % (_name, _way), 'at once (64 KiB)', _endless,
            _way, WAYS[_way].prelude + [['read_head'], ['send', b'HTTP/1.1 101 Switching Protocols\r\nX: ']],
            _data, 'connecting connected protocol_error disconnected', None, quick=_way == 'ws')

for _name, _body in (('length', b'Content-Length: 99999999999\r\n\r\n'), ('no length', b'\r\n'),
                     ('chunks', b'Transfer-Encoding: chunked\r\n\r\n')):
    def _endless_body(world, body=_body):
        data = b'fff\r\n' + b'x' * 0xfff + b'\r\n' if b'chunked' in body else b'x' * 4096
        with chaos.Memory() as memory:
            watch = run(world,
                        [['read_head'], ['send', b'HTTP/1.1 404 Not Found\r\n' + body], ['repeat', data]],
                        expect=dict(names='connecting connected rejected disconnected', reason='closed',
                                    graceful=True, at_most=1 + SLACK))
        assert len(watch.one('rejected').response.body) <= 65536
        assert memory.peak < 8e6, memory.peak
    add('endless', 'endless body: ' + _name, '64 KiB or 1 s', _endless_body, quick=_name == 'chunks')

    def _slow_body(world, body=_body):
        data = b'1\r\nx\r\n' if b'chunked' in body else b'x'
        run(world, [['read_head'], ['send', b'HTTP/1.1 404 Not Found\r\n' + body], ['every', data, 0.1, 20]],
            expect=dict(names='connecting connected rejected disconnected', reason='closed', graceful=True,
                        at_least=1, at_most=1 + SLACK))
    add('one byte at a time', 'body of a rejection: ' + _name, '64 KiB or 1 s', _slow_body)


# -- ends of TCP while it connects

for _place, _way, _steps, _stage in PLACES + [
        ('HTTP proxy, in the answer', 'http', [['read_head'], ['send', ESTABLISHED[:20]]], 'proxy'),
        ('SOCKS 5, in the reply', 'socks5', SOCKS_5[:3] + [['send', GRANTED_5[:5]]], 'proxy'),
        ('TLS, in a record', 'wss', [['read_any'], ['send', LONG_RECORD[:100]]], 'tls')]:
    for _end in ('drop', 'reset', 'kill'):
        def _ended(world, way=_way, steps=_steps, end=_end, stage=_stage):
            attempt(world, steps + [['sleep', 0.02], [end]], way, FAIL, 20.0, stage=stage, at_most=SLACK,
                    reason='(unable to connect|proxy fail).+')
        add('ends', '%s: %s' % (_place, _end), 'at once', _ended,
            quick=_end == 'reset' and _place in ('TLS, in a record', 'SOCKS 5'))
