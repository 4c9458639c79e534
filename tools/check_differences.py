"""Reproduce what docs/differences.rst describes, with the lomond that is installed.

    python tools/check_differences.py

Run it with lomond 0.3.4 for the first column of the page and with this version for the second.  It
uses only documented names of both.  It needs Python 3 and ``trustme``.  All servers are on loopback.
A case that has not ended after 35 seconds is reported as such.

Knows nothing of: what the results should be.
"""

import logging
import os
import socket
import ssl
import struct
import sys
import threading
import time

import trustme

import lomond
from lomond import WebSocket
from lomond.persist import persist

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'benchmarks'))
from check_matrix import limited, listen, read_head, shake_hands, sink  # noqa: E402


def say(what, result):
    print('{:46} {}'.format(what, result), flush=True)


def url_of(script):
    return 'ws://127.0.0.1:{}/'.format(listen(script))


def follow(websocket, handle=None, **settings):
    """Iterate to the end; return the repr of the last event and of the one before it."""
    shown = []
    for event in websocket.connect(**settings):
        if event.name not in ('poll', 'connecting', 'connected', 'ping', 'pong'):
            shown.append(repr(event))
        if handle is not None:
            handle(event)
    return ', after '.join(reversed(shown[-2:]))


def polite(sock):
    """Complete the handshake and read everything, without answering a close frame."""
    shake_hands(sock)
    sink(sock)


def answering(data):
    def script(sock):
        read_head(sock)
        sock.sendall(data)
        sink(sock)
    return script


def open_and_send(data):
    def script(sock):
        shake_hands(sock)
        time.sleep(0.2)
        sock.sendall(data)
        sink(sock)
    return script


def follow_and_close(websocket, *args):
    """Close at Ready, and end soon no matter what the server does."""
    return limited(follow, websocket, lambda event: event.name == 'ready' and websocket.close(*args),
                   ping_rate=0, close_timeout=1, poll=1)


def still(sock):
    shake_hands(sock)
    time.sleep(600)


def wait_things():
    say('server that never answers', limited(follow, WebSocket(url_of(sink))))
    proxy = 'http://127.0.0.1:{}'.format(listen(sink))
    say('proxy that never answers', limited(
        follow, WebSocket('ws://example.invalid/', proxies={'http': proxy, 'https': proxy})))
    websocket = WebSocket(url_of(polite))
    say('close_timeout=1, poll=30', limited(
        follow, websocket, lambda event: event.name == 'ready' and websocket.close(),
        poll=30, close_timeout=1))
    stuck = WebSocket(url_of(still))
    say('send to a server that does not read', limited(
        follow, stuck, lambda event: event.name == 'ready' and stuck.send_binary(bytes(50000000))))

    leave, begun = threading.Event(), []

    def follow_persist():
        for event in persist(WebSocket(url_of(polite)), exit_event=leave):
            if event.name == 'ready':
                begun.append(time.monotonic())
                leave.set()
        return 'ended {:.1f} s after it was set'.format(time.monotonic() - begun[0])
    say('exit_event, set while connected', limited(follow_persist))


def reasons():
    say('refused', limited(follow, WebSocket('ws://127.0.0.1:9/')))
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert('other.test').configure_cert(context)

    def tls(sock):
        sink(context.wrap_socket(sock, server_side=True))
    say('certificate not trusted', limited(follow, WebSocket('wss://127.0.0.1:{}/'.format(listen(tls)))))
    ca.cert_pem.write_to_path('check-ca.pem')
    try:
        say('certificate for another host', limited(follow, WebSocket(
            'wss://localhost:{}/'.format(listen(tls)), ssl_cafile='check-ca.pem')))
    finally:
        os.unlink('check-ca.pem')
    proxy = 'http://127.0.0.1:{}'.format(listen(answering(
        b'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n')))
    say('proxy refuses', limited(follow, WebSocket(
        'ws://example.invalid/', proxies={'http': proxy, 'https': proxy})))
    say('masked frame', limited(follow, WebSocket(url_of(open_and_send(b'\x81\x81\0\0\0\0a')))))

    def reset(sock):
        shake_hands(sock)
        time.sleep(0.2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        sock.close()
    say('reset', limited(follow, WebSocket(url_of(reset))))
    say('answer that is not HTTP', limited(follow, WebSocket(url_of(answering(b'SSH-2.0-x\r\n\r\n')))))
    bodies = []
    say('refusal with a body', limited(follow, WebSocket(url_of(answering(
        b'HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nsorry'))),
        lambda event: bodies.append(getattr(getattr(event, 'response', None), 'body', 'none'))))
    say('... its body', [body for body in bodies if body != 'none'][:1] or 'none')


def strictness():
    heads = []

    def keep(sock):
        heads.append(shake_hands(sock))
        sink(sock)

    def tried(make, *args, **kwargs):
        del heads[:]
        try:
            made = make(*args, **kwargs)
        except Exception as error:
            return '{}: {}'.format(type(error).__name__, error)
        return repr(made)

    def request(path='', header=None):
        websocket = WebSocket(url_of(keep) + path)
        if header:
            websocket.add_header(*header)
        follow_and_close(websocket)
        return heads[0].split(b'\r\n')[:3]
    say('CR LF in a header', tried(request, header=(b'X-A', b'1\r\nX-B: 2')))
    say('space in a path', tried(request, 'a b'))
    for url in ('ftp://x/', '//x/', 'ws://', 'ws://x:0/', 'ws://a..b/', 'ws://x/"', 'ws://[::1]/'):
        say(url, tried(lambda: WebSocket(url).build_request().split(b'\r\n')[:2]))  # noqa: B023
    say('a protocol twice', tried(WebSocket, 'ws://x/', protocols=['a', 'a']))
    say('poll=0', tried(lambda: next(WebSocket('ws://x/').connect(poll=0))))
    say('103 Early Hints, then 404', follow_and_close(WebSocket(url_of(answering(
        b'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n')))))

    say('close(), never connected', tried(WebSocket('ws://127.0.0.1:9/').close))
    say('send_text, never connected', tried(WebSocket('ws://127.0.0.1:9/').send_text, 'x'))
    taking = WebSocket(url_of(polite))
    say('send_binary of a bytearray', limited(follow, taking, lambda event: event.name == 'ready' and (
        taking.send_binary(bytearray(b'x')), taking.close()), close_timeout=1, poll=1))
    say('reserved bits', limited(follow, WebSocket(url_of(open_and_send(b'\xc1\x00')))))

    early = WebSocket(url_of(lambda sock: heads.append(read_head(sock) + sock.recv(100)) or sink(sock)))

    def send_early(event):
        if event.name == 'connected':
            early.send_text('early')
    say('send_text at Connected', tried(lambda: limited(follow, early, send_early)))
    say('... what the server got after the request', [head.partition(b'\r\n\r\n')[2][:1] for head in heads])
    got = []

    def take(sock):
        shake_hands(sock)
        got.append(sock.recv(100))
        sink(sock)
    websocket = WebSocket(url_of(take))
    say('close(999)', follow_and_close(websocket, 999, b''))
    say('... frames on the wire begin with', [data[:1] for data in got])

    def other_protocol(sock):
        shake_hands(sock, b'Sec-WebSocket-Protocol: mqtt\r\n')
        sink(sock)
    websocket = WebSocket(url_of(other_protocol))
    say('subprotocol that was not offered', follow_and_close(websocket))
    say('2**62 bytes announced', limited(follow, WebSocket(url_of(
        open_and_send(b'\x82\x7f' + struct.pack('!Q', 2 ** 62))))))

    twice = WebSocket(url_of(polite))
    first = iter(twice.connect())
    for event in first:
        if event.name == 'ready':
            break
    say('second connect() while one runs', tried(lambda: [next(iter(twice.connect())).name, twice.is_active]))
    place = url_of(keep).replace('127', 'me:secret@127')
    del heads[:]
    websocket = WebSocket(place)
    shown = []
    limited(follow, websocket, lambda event: (
        shown.append(repr(event)), event.name == 'ready' and websocket.close()), close_timeout=1, poll=1)
    lines = heads[0].split(b'\r\n') if heads else [b'no request']
    say('user and password in the URL', [line for line in lines if b'uthor' in line])
    say('... as shown', shown[:1])
    asked = []
    proxy = 'socks5://127.0.0.1:{}'.format(listen(lambda sock: asked.append(sock.recv(100))))
    say('socks5 proxy', limited(lambda: follow(WebSocket(
        'ws://example.invalid/', proxies={'http': proxy, 'https': proxy}))))
    say('... what it received', asked)


class Records(logging.Handler):
    """Keeps the level of each record."""

    def __init__(self):
        super().__init__()
        self.levels = set()

    def emit(self, record):
        self.levels.add(record.levelname)


def habits():
    def recorder(*after):
        """Return a script that sends data and records what it gets up to a close frame, and the record."""
        got = []

        def script(sock):
            shake_hands(sock)
            time.sleep(0.2)
            sock.sendall(b''.join(after))
            sock.settimeout(1)
            data = sock.recv(4096)
            got.append(data[:1] + bytes(byte ^ data[2 + index % 4] for index, byte in enumerate(data[6:])))
        return script, got

    def hang_up(sock):
        shake_hands(sock)
        sock.recv(100)
        sock.close()
    websocket = WebSocket(url_of(hang_up))
    say('our close answered by the end of TCP', follow_and_close(websocket))

    script, got = recorder(b'\x88\x09\x03\xe9restart')
    websocket = WebSocket(url_of(script))
    say('the server closes, and TCP stays open', limited(
        follow, websocket, ping_rate=0, close_timeout=1, poll=1))
    say('... our echo', got)

    def leave(finish):
        script, got = recorder()
        websocket = WebSocket(url_of(script))
        events = websocket.connect(ping_rate=0)
        for event in events:
            if event.name == 'ready':
                break
        finish(websocket, events)
        time.sleep(0.4)
        return got
    say('break: frames', limited(leave, lambda websocket, events: events.close()))
    say('break, later close()', limited(leave, lambda websocket, events: websocket.close()))

    def close_early(name):
        script, got = recorder()
        websocket = WebSocket(url_of(script))
        shown = limited(follow, websocket, lambda event: event.name == name and websocket.close(),
                        close_timeout=1, poll=1, ping_rate=0)
        time.sleep(0.2)
        return '{}; frames {}'.format(shown, got)
    say('close() at Connecting', close_early('connecting'))
    say('close() at Connected', close_early('connected'))

    class Loop(WebSocket):
        def connect(self, **settings):
            for event in self:
                yield event

    def first_names():
        return [event.name for _, event in zip(range(2), Loop(url_of(polite)).connect())]
    say('a connect() that iterates itself', limited(first_names))

    def extended(sock):
        shake_hands(sock, b'Sec-WebSocket-Extensions: x-unknown\r\n')
        sink(sock)
    say('extension that was not offered', follow_and_close(WebSocket(url_of(extended))))

    for variable in ('ALL_PROXY', 'ws_proxy', 'http_proxy'):
        os.environ[variable] = 'http://127.0.0.1:9/'
        say(variable + ' in the environment', follow_and_close(WebSocket(url_of(polite))))
        del os.environ[variable]

    leave_now = threading.Event()

    def names_of_persist():
        names = []
        for event in persist(WebSocket('ws://127.0.0.1:9/'), exit_event=leave_now):
            names.append(event.name)
            leave_now.set()
        return names
    say('exit_event, set before the pause', limited(names_of_persist))

    logging.disable(logging.NOTSET)
    records = Records()
    logging.getLogger('lomond').addHandler(records)
    logging.getLogger('lomond').propagate = False
    limited(leave, lambda websocket, events: events.close())
    say('levels of log records after a break', sorted(records.levels))
    logging.disable(logging.CRITICAL)

    for key in ('https://', 'socks', 'HTTP'):
        say('proxies={{{!r}: ..}}'.format(key), limited(WebSocket, 'ws://x/', proxies={key: 'http://127.0.0.1:9'}))

    def header(name, value):
        heads = []

        def keep(sock):
            heads.append(shake_hands(sock, name + b': ' + value + b'\r\n' if b'Protocol' in name else b''))
            sink(sock)
        websocket = WebSocket(url_of(keep))
        websocket.add_header(name, value)
        shown = follow_and_close(websocket)
        return [line for line in heads[0].split(b'\r\n') if line.startswith(name)], shown
    say('Proxy-Authorization by add_header', limited(header, b'Proxy-Authorization', b'Basic eA=='))
    say('Sec-WebSocket-Protocol by add_header', limited(header, b'Sec-WebSocket-Protocol', b'mqtt'))
    say('Sec-WebSocket-Key by add_header', limited(header, b'Sec-WebSocket-Key', b'eA=='))


if __name__ == '__main__':
    logging.disable(logging.CRITICAL)
    for variable in [key for key in os.environ if key.lower().endswith('_proxy')]:
        del os.environ[variable]
    print('lomond', lomond.__version__, '/', sys.version.split()[0])
    wait_things()
    reasons()
    strictness()
    habits()
    os._exit(0)
