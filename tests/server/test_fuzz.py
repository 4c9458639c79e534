"""Requests that nobody thought of: heads, their cuts into reads, and the environ of WSGI servers.

Each outcome is an answer with a documented status, or a documented exception: never a traceback,
never a hang.  ``--hypothesis-profile=deep`` tries more of them.
"""

from __future__ import absolute_import, division, unicode_literals

import io
import socket

import pytest
from support.accepted import Client, close_all, logged
from support.accepted import close_clients as close_clients

from lomond import errors
from lomond._compat import native
from lomond.wsgi import WebSocketApp, upgrade

hypothesis = pytest.importorskip('hypothesis')
st = hypothesis.strategies

pytestmark = pytest.mark.ends

FIRST = [b'GET /chat HTTP/1.1'] * 6 + [
    b'HEAD /chat HTTP/1.1', b'POST /chat HTTP/1.1', b'get /chat HTTP/1.1', b'GET /chat HTTP/1.0',
    b'GET /chat', b'', b'GET http://x/chat HTTP/1.1', b'GET * HTTP/1.1', b'GET  /chat HTTP/1.1',
    b'GET /\xc3\xa9?\xff HTTP/1.1',
    b'GET /chat HTTP/2.0', b'GET /' + b'x' * 9000 + b' HTTP/1.1', b'\x16\x03\x01\x02\x00\x01',
    b'PRI * HTTP/2.0']
GOOD = [b'Host: x', b'Upgrade: websocket', b'Connection: keep-alive, Upgrade', b'Sec-WebSocket-Version: 13',
        b'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==']
MORE = [b'Origin: http://x', b'Origin: null', b'Origin: \xff', b'Content-Length: 0', b'Content-Length: 5',
        b'Content-Length: -1', b'Transfer-Encoding: chunked', b'Sec-WebSocket-Protocol: a, chat, ,a',
        b'Sec-WebSocket-Protocol: "', b'Sec-WebSocket-Version: 8, 13', b' folded', b'x', b': y',
        b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99',
        b'Sec-WebSocket-Extensions: permessage-deflate;;=,"\\',
        b'A:', b'Expect: 100-continue', b'\0: \0', b'Host:', b'B: ' + b'y' * 66000]
#: What a server may answer to a request (server.md, 3).
STATUSES = (101, 400, 403, 404, 405, 408, 426, 431)


@st.composite
def heads(draw):
    """A request, good or not so good."""
    lines = [line for line in GOOD if draw(st.integers(0, 9))]
    for line in draw(st.lists(st.sampled_from(MORE) | st.binary(max_size=20), max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), line)
    head = draw(st.sampled_from([b'\r\n'] * 5 + [b'\n', b'\r'])).join(
        [draw(st.sampled_from(FIRST) | st.binary(max_size=20))] + lines + [b'', b''])
    if not draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(head)))
        head = head[:at] + draw(st.binary(max_size=3)) + head[at + draw(st.integers(0, 3)):]
    return head


def judge(parts):
    """Send a request in parts; return the status, and whether the handler was called."""
    called = []
    client = Client([(0.001 * number, part) for number, part in enumerate(parts)])
    with logged('ERROR') as records:
        client.serve({'/chat': called.append}, protocols=['chat'], compress=True)
    close_all()
    assert not records and client.ended_at is not None and client.ended_at <= 21
    return client.status, len(called)


@hypothesis.given(heads(), st.lists(st.integers(1, 400), max_size=6))
def test_heads(head, cuts):
    status, called = judge([head])
    assert status in STATUSES or status is None and not head.strip(b'\r\n')
    assert called == (status == 101)
    parts = []
    for size in cuts:
        parts.append(head[:size])
        head = head[size:]
    assert judge(parts + [head]) == (status, called)


ENVIRON = {'REQUEST_METHOD': 'GET', 'SCRIPT_NAME': '', 'PATH_INFO': '/chat', 'QUERY_STRING': '',
           'SERVER_PROTOCOL': 'HTTP/1.1', 'HTTP_HOST': 'x', 'HTTP_UPGRADE': 'WebSocket',
           'HTTP_CONNECTION': 'Upgrade', 'HTTP_SEC_WEBSOCKET_VERSION': '13',
           'HTTP_SEC_WEBSOCKET_KEY': 'AAAAAAAAAAAAAAAAAAAAAA==', 'REMOTE_ADDR': '192.0.2.1',
           'REMOTE_PORT': '4711', 'wsgi.url_scheme': 'http', 'wsgi.multithread': True}
OTHERS = ['HTTP_ORIGIN', 'RAW_URI', 'REQUEST_URI', 'CONTENT_LENGTH', 'CONTENT_TYPE', 'HTTP_TRANSFER_ENCODING',
          'HTTP_SEC_WEBSOCKET_PROTOCOL', 'HTTP_SEC_WEBSOCKET_EXTENSIONS', 'SERVER_SOFTWARE', 'wsgi.input',
          'wsgi.errors', 'eventlet.input', 'werkzeug.socket', 'http_upgrade', 'HTTP_', 'HTTP_\xe9', '']
VALUES = st.one_of(
    st.sampled_from(['', 'GET', 'HTTP/1.0', 'HTTP/1.1', 'websocket', 'h2c, WEBSOCKET', 'upgrade', '/chat',
                     '/ch\xe4t', 'http://x', '0', '5', '\u20ac', 'a\r\nb', None, True, 0, 13, 1.5, (), [], {},
                     object(), io.BytesIO(b'x')]),
    st.text(max_size=9), st.binary(max_size=9))


def drop(websocket):
    """Drop a connection, and bring it to its end."""
    websocket.force_disconnect()
    return websocket


@hypothesis.given(st.sets(st.sampled_from(sorted(ENVIRON)), max_size=2),
                  st.dictionaries(st.sampled_from(sorted(ENVIRON) + OTHERS), VALUES, max_size=3),
                  st.booleans())
def test_environ(missing, changes, has_socket):
    environ = dict((native(name), value) for name, value in ENVIRON.items() if name not in missing)
    environ.update(changes)
    statuses, called = [], []
    app = WebSocketApp({'/chat': called.append}, protocols=['chat'], compress=True)

    def start(status, headers):
        statuses.append(int(status.split()[0]))
        assert all(type(text) is str for pair in headers for text in pair)
    for serve in (lambda given: b''.join(app(given, start)), lambda given: list(drop(upgrade(given)))):
        given, (client, accepted) = dict(environ), socket.socketpair()
        client.close()
        if has_socket:
            given[native('lomond.socket')] = accepted
        try:
            serve(given)
        except errors.UpgradeRefused as refusal:
            statuses.append(refusal.status)
        except errors.UpgradeUnavailable:
            assert not has_socket
        else:
            statuses[1:] = statuses[1:] or [101]        # what upgrade() has not refused
        accepted.close()
    assert set(statuses) <= set((101, 400, 403, 404, 405, 426))
    assert len(called) == (statuses[:1] == [101])
