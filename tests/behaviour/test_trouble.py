# -*- coding: utf-8 -*-
"""What docs/trouble.rst shows is what connections say: each sentence is made here."""

from __future__ import absolute_import, division, unicode_literals

import errno
import io
import os
import re
import socket

import pytest
from support.addresses import Names, dead_address, free_port
from support.certificates import server_context
from support.client import Wait, bare, play
from support.frames import BINARY, TEXT, frame
from support.paths import CHECKOUT
from support.peer import PATIENCE, Gone, Server, silent
from support.peer import lenient_server as ProxyServer
from support.proxy import Proxy

from lomond import WebSocket
from lomond.network import resolver

PAGE = os.path.join(CHECKOUT, 'docs', 'trouble.rst')
#: A time limit, where one has to be waited for (seconds).
LIMIT = 0.3


def literals():
    """The sentences in the second columns of the tables of failures."""
    with io.open(PAGE, encoding='utf-8') as file:
        text = file.read()
    cells = re.findall(r'^   \* - .*?^     - (.*?)^     - (.*?)^     - (.*?)(?=^   \* - |^\S|\Z)', text,
                       re.MULTILINE | re.DOTALL)
    found = [literal for cell in cells for column in cell
             for literal in re.findall('``(.*?)``', column, re.DOTALL)]
    return set(' '.join(literal.split()) for literal in found
               if re.search("; |reason=|valid UTF-8|at most", literal))


def is_like(literal, said):
    """Whether something that was said is what the page shows: numbers may differ,
    ``...`` is anything.
    """
    pattern = re.escape(literal).replace('\\.\\.\\.', '.*')
    pattern = re.sub(r'[0-9]+(?:\\?\.[0-9]+)*', lambda match: r'[0-9]+(?:\.[0-9]+)*', pattern)
    return re.match(pattern + r'\Z', said) is not None


def failed(url, limit=PATIENCE, **options):
    """The reason of a connection that does not come about."""
    options.setdefault('proxies', {})
    events = list(WebSocket(url, **options).connect(connect_timeout=limit, poll=30))
    assert [event.name for event in events] == ['connecting', 'connect_fail']
    return bare(events[-1].reason)


def through(proxy_answer, scheme, limit=PATIENCE):
    def script(peer):
        if scheme == 'http':
            peer.read_head()
        peer.send(proxy_answer)
        peer.wait_gone()
    with ProxyServer(script) as proxy:
        url = '{}://me:pw@127.0.0.1:{}'.format(scheme, proxy.port)
        return failed('ws://target.test/', limit, proxies={'all': url})


def said(script, handlers=None, options=None, **settings):
    """What the events of a connection say, as the page writes it."""
    played = play(script, handlers, options, **settings)
    last = played.last
    last.reason = bare(last.reason)
    sentences = ["Disconnected(reason={!r}, graceful={})".format(str(last.reason), last.graceful),
                 "Disconnected(reason={!r})".format(str(last.reason))]
    for event in played.all('rejected'):
        sentences.append('Rejected(reason={!r})'.format(str(event.reason)))
    sentences += [event.error for event in played.all('protocol_error')]
    return sentences


def answers(data):
    def script(peer):
        peer.read_head()
        peer.send(data)
        peer.read_end()
    return script


def after_accept(*steps):
    """A script: the handshake, and then methods of the peer, by name."""
    def script(peer):
        peer.accept()
        try:
            for step in steps:
                getattr(peer, step[0])(*step[1:])
        except Gone:
            pass
    return script


def stall(peer):
    peer.accept()
    peer.server.stopping.wait(PATIENCE)


def stuff(ws, event):
    try:
        while True:
            ws.send_binary(b'x' * 200000)
    except Exception as error:
        assert type(error).__name__ in ('SendTimeout', 'TransportFail')


def close(ws, event):
    ws.close()


# -- what the rows of the page say, by their names

def nobody_answers(world):
    with dead_address() as where:
        return [failed('ws://127.0.0.1:{}/'.format(where[1]), LIMIT)]


def resolver_does_not_answer_at_all(world):
    world.monkeypatch.setattr(resolver, 'MOST_AT_A_TIME', 1)
    return [failed('ws://hang.test/', LIMIT), failed('ws://hang.test:81/', LIMIT)]


def no_descriptor(world):
    def pipe(*args):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with world.monkeypatch.context() as patch:
        patch.setattr(os, 'pipe', pipe)
        patch.setattr(os, 'eventfd', pipe, raising=False)
        return [failed('ws://127.0.0.1:9/')]


def refused_certificate(world, **options):
    with ProxyServer(silent, server_context(world.certs.server)) as server:
        return [failed(server.url('wss'), **options)]


def proxy_refuses(world):
    with ProxyServer(Proxy('http', free_port(), (b'me', b'other'))) as proxy:
        first = failed('ws://127.0.0.1:1/', proxies={'all': proxy.url('http')})
    return [first, through(b'\x05\x02\x01\x01', 'socks5h'), through(b'\x05\xff', 'socks5h')]


def tls_gets_no_answer(world):
    with Server(lambda peer: peer.server.stopping.wait(PATIENCE)) as server:
        return [failed(server.url().replace('ws:', 'wss:'), LIMIT)]


def tls_is_cut(world):
    found = []
    for end in ('cut', 'reset'):
        with Server(lambda peer: (peer.fill(), getattr(peer, end)())) as server:    # noqa: B023
            found.append(failed(server.url('wss')))
    return found


def no_tls(world):
    with ProxyServer(lambda peer: peer.send(b'HTTP/1.1 400 Bad Request\r\n\r\n')) as server:
        return [failed(server.url('wss'))]


def no_request(world):
    def take_nothing(peer):
        peer.server.stopping.wait(PATIENCE)

    class Big(WebSocket):
        def build_request(self):
            return b'x' * 30000000
    found = []
    for script, limit in ((lambda peer: (peer.recv(100), peer.reset()), PATIENCE), (take_nothing, 2 * LIMIT)):
        with Server(script, receive_buffer=4096) as server:
            events = list(Big(server.url(), proxies={}).connect(connect_timeout=limit))
            assert events[-1].stage == 'upgrade'
            found.append(bare(events[-1].reason))
    return found


def closed_before_connected(world):
    ws = WebSocket('ws://127.0.0.1:1/', proxies={})
    reasons = []
    for event in ws.connect():
        ws.close()
        reasons.append(getattr(event, 'reason', ''))
    return reasons[-1:]


def redirected(world):
    redirect = answers(b'HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /again\r\n\r\n')
    return said(redirect) + said(redirect, options={'max_redirects': 3}) + said(
        answers(b'HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ws://127.0.0.1/\r\n\r\n'),
        options={'max_redirects': 3, 'ssl_cafile': world.certs.ca},
        server={'tls': server_context(world.certs.server)})


def send_meets_the_end(world):
    gone = Wait()

    def script(peer):
        peer.accept()
        peer.reset()
        gone.set()
    return said(script, {'ready': lambda ws, event: (gone.wait(), stuff(ws, event))})


ROWS = {
    'refused': lambda world: [failed('ws://127.0.0.1:{}/'.format(free_port()))],
    'nobody_answers': nobody_answers,
    'name_is_not_known': lambda world: [failed('ws://unknown.test/')],
    'resolver_does_not_answer': lambda world: [failed('ws://hang.test/', LIMIT)],
    'resolver_does_not_answer_at_all': resolver_does_not_answer_at_all,
    'no_descriptor': no_descriptor,
    'not_trusted': lambda world: refused_certificate(world, ssl_cafile=world.certs.other_ca),
    'wrong_fingerprint': lambda world: refused_certificate(world, ssl_fingerprint='sha256:' + 'ab' * 32),
    'proxy_is_not_there': lambda world: [
        failed('ws://target.test/', proxies={'all': 'http://127.0.0.1:{}'.format(free_port())})],
    'proxy_refuses': proxy_refuses,
    'proxy_does_not_reach_it': lambda world: [
        through(b'HTTP/1.1 502 Bad Gateway\r\n\r\n', 'http'),
        through(b'\x05\x00\x05\x05' + b'\x00\x01' + b'\0' * 6, 'socks5h')],
    'proxy_says_nothing_or_nonsense': lambda world: [
        through(b'', 'http', LIMIT), through(b'SSH-2.0-x\r\n', 'http')],
    'tls_gets_no_answer': tls_gets_no_answer,
    'tls_is_cut': tls_is_cut,
    'no_tls': no_tls,
    'no_request': no_request,
    'closed_before_connected': closed_before_connected,
    'not_101': lambda world: said(answers(b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')),
    'redirected': redirected,
    'no_answer': lambda world: said(lambda peer: (
        peer.read_head(), peer.server.stopping.wait(PATIENCE)), connect_timeout=LIMIT),
    'speaks_tls_or_http_2': lambda world: sum([said(answers(data)) for data in (
        b'\x15\x03\x01\x00\x02\x02\x46', b'\x00\x00\x00\x04\x00\x00\x00\x00\x00')], []),
    'hangs_up': lambda world: said(lambda peer: (peer.read_head(), peer.drop())),
    'closed_before_ready': lambda world: said(lambda peer: peer.read_end(), {'connected': close}),
    'server_closes': lambda world: said(after_accept(('end',))),
    'is_cut': lambda world: said(after_accept(('drop',))),
    'is_reset': lambda world: said(after_accept(('text', 'x'), ('reset',))),
    'send_meets_the_end': send_meets_the_end,
    'dead': lambda world: said(stall, ping_rate=0.1, ping_timeout=LIMIT),
    'does_not_read': lambda world: said(stall, {'ready': stuff}, server={'receive_buffer': 8192},
                                        send_timeout=LIMIT),
    'breaks_the_protocol': lambda world: said(after_accept(('send', b'\x83\x00'), ('read_close',))),
    'is_not_utf_8': lambda world: said(after_accept(('send', frame(TEXT, b'\xff')), ('read_close',))),
    'is_too_large': lambda world: said(after_accept(('send', frame(BINARY, b'x' * 2000)), ('read_close',)),
                                       options={'max_message_size': 1000}),
    'no_answer_to_close': lambda world: said(stall, {'ready': close}, close_timeout=LIMIT),
    'hangs_up_after_close': lambda world: said(after_accept(('read_close',), ('drop',)), {'ready': close}),
    'leaves_tcp_open': lambda world: said(after_accept(('end',), ('read_end',)), close_timeout=LIMIT),
    'force_disconnect': lambda world: said(after_accept(('read_end',)), {
        'ready': lambda ws, event: ws.force_disconnect()}),
}


class World(object):
    """What the rows need."""

    def __init__(self, certs, monkeypatch):
        self.certs = certs
        self.monkeypatch = monkeypatch


@pytest.fixture
def world(certs, monkeypatch):
    hanging = Wait()
    monkeypatch.setattr(socket, 'getaddrinfo', Names({
        'unknown.test': socket.gaierror(socket.EAI_NONAME, 'Name or service not known'),
        'hang.test': hanging}))
    yield World(certs, monkeypatch)
    hanging.set()


_SAID = {}              # row -> what it has said, once it was run


@pytest.mark.parametrize('row', sorted(ROWS))
def test_row(world, row):
    """What is said stands on the page."""
    shown = literals()
    sentences = ROWS[row](world)
    _SAID[row] = sentences
    assert len(shown) > 30
    for sentence in sentences:
        if sentence.startswith('Disconnected(') or 'protocol' in row or 'utf' in row:
            continue
        assert any(is_like(literal, sentence) for literal in shown), sentence
    assert any(is_like(literal, sentence) for literal in shown for sentence in sentences), sentences


def test_page_shows_nothing_else(world):
    """Each sentence of the page was said by one of the rows."""
    sentences = [sentence for row in ROWS for sentence in (_SAID.get(row) or ROWS[row](world))]
    alone = [literal for literal in literals()
             if not any(is_like(literal, sentence) for sentence in sentences)]
    assert alone == []
