"""Requirements of RFC 6455 and RFC 7692 that Autobahn does not test.

Each row names a requirement whose violation a server can notice, and the tests for it.
Those that no other file has are below.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import re

import pytest
from support.client import play
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, close_payload, frame
from support.paths import find_test, read
from support.peer import Server, upgrade

from lomond import WebSocket
from lomond.status import Status

pytestmark = pytest.mark.ends

#: Requirements and their tests, as ``file:test``. Tests without a file are below.
ROWS = [
    # the request
    ('GET path?query HTTP/1.1; empty path; parameters kept',
     'test_request_line url:test_good'),
    ('one Host, with port unless default, brackets for IPv6',
     'test_one_header_of_each websocket:test_host'),
    ('one each of Upgrade, Connection, key (16 bytes, fresh for each connection), version',
     'test_one_header_of_each test_key_is_fresh handshake:test_make_key'),
    ('ASCII and CRLF only',
     'test_ascii_and_crlf_only'),
    ('no extension header when off',
     'test_one_header_of_each handshake:test_request'),
    ('no userinfo anywhere but in Authorization',
     'test_userinfo_is_nowhere_else request:test_one_authorization'),
    # the response
    ('names, websocket and upgrade in any case; Connection lists; no reason phrase; white space; '
     'octet by octet; 8 KB; repeated Set-Cookie',
     'handshake:test_accepted sequences:test_connected_by_odd_but_good_answers'),
    ('other versions and statuses; Upgrade, Connection or Accept missing or wrong, its case changed; '
     'a subprotocol not offered',
     'handshake:test_rejected handshake:test_subprotocol sequences:test_rejected'),
    ('an extension not offered',
     'handshake:test_extension_that_was_not_offered compression:test_not_offered'),
    ('permessage-deflate twice; window bits 7, 16, abc, 010, empty, missing; values where none may '
     'be; repeated or unknown parameters',
     'compression:test_refused_answers handshake:test_extension_that_is_wrong'),
    ('quoted values, odd white space',
     'compression:test_parse_extensions handshake:test_extension_that_was_offered'),
    # frames
    ('64-bit length with the top bit; lengths that are not minimal; control frames above 125 refused '
     'on the header',
     'frame_parser:test_wrong frame_parser:test_wrong_after_good '
     'frame_parser:test_refused_at_the_first_bytes test_control_frame_that_announces_much'),
    ('RSV1 on control and continuation frames',
     'frame_parser:test_rsv1_elsewhere'),
    ('invalid UTF-8 alone in a frame, split, cut, in compressed text, surrogates',
     'frame_parser:test_not_utf_8 frame_parser:test_not_utf_8_in_fragments '
     'frame_parser:test_not_utf_8_compressed frame_parser:test_not_utf_8_in_an_incomplete_frame '
     'frame_parser:test_text_ends_inside_a_character'),
    ('each with its close code',
     'connection:test_close_codes_of_failures sequences:test_violation'),
    # sending
    ('125, 126, 65535, 65536 bytes with minimal lengths; a new mask each',
     'test_lengths_and_masks_on_the_wire frames:test_lengths_are_minimal '
     'frames:test_masks_are_new_each_time'),
    ('one Close on close(), none after',
     'websocket:test_close sequences:test_client_closes'),
    ('codes 999, 1005, 1006, 1015 never sent',
     'test_codes_that_are_never_sent frames:test_every_code'),
    ('reasons and pings within 125',
     'frames:test_long_reasons_are_cut_between_characters websocket:test_arguments_that_are_refused '
     'connection:test_reason_of_a_failure_is_cut'),
    # closing
    ('echo with the same code; empty close echoed empty',
     'frame_parser:test_close_is_echoed sequences:test_server_closes '
     'sequences:test_client_closes_and_any_close_frame_answers'),
    ('the server drops TCP first after its close, the client at once after its own',
     'sequences:test_tcp_left_open_after_our_echo sequences:test_server_closes '
     'sequences:test_client_closes'),
    ('data after a received close dropped',
     'frame_parser:test_nothing_counts_after_close'),
    ('1012-1014 taken',
     'test_codes_of_the_registry_are_taken frames:test_every_code'),
    # deflate
    ('no parameters; each parameter alone and together; 8-15 bits both ways',
     'compression:test_every_answer_to_the_default_offer permessage_deflate:test_round_trip '
     'permessage_deflate:test_a_peer_with_the_agreed_window'),
    ('the client keeps within 512 bytes at 9 bits',
     'permessage_deflate:test_compressor_keeps_within_the_window'),
    ('BFINAL with and without context',
     'permessage_deflate:test_finished_messages '
     'permessage_deflate:test_bytes_behind_bfinal_are_never_dropped'),
    ('empty messages: 0x00, and no octets',
     'frame_parser:test_compressed_message_without_octets message:test_empty'),
    ('plain and compressed mixed; pings between compressed fragments',
     'frame_parser:test_compressed_and_plain frame_parser:test_rfc_7692'),
    ('garbage (1007), bombs (1009)',
     'permessage_deflate:test_garbage permessage_deflate:test_bomb frame_parser:test_bomb '
     'connection:test_close_codes_of_failures'),
]


def _tests_of(name):
    return re.findall(r'(?m)^ *def (\w+)\(', read('tests', find_test('test_%s.py' % name)))


@pytest.mark.parametrize('row, tests', ROWS)
def test_every_row_has_a_test(row, tests):
    for test in tests.split():
        name, colon, function = test.rpartition(':')
        assert function in _tests_of(name if colon else 'conformance'), test


# -- the request

def request_of(url, **options):
    """Return the lines of a request, and its bytes."""
    data = WebSocket(url, proxies={}, **options).build_request()
    assert data.endswith(b'\r\n\r\n')
    return data[:-4].split(b'\r\n'), data


@pytest.mark.parametrize('url, target', [
    ('ws://example.test', b'/'), ('ws://example.test/', b'/'), ('ws://example.test?a=b', b'/?a=b'),
    ('ws://example.test/chat?a=b&c', b'/chat?a=b&c'),
    ('ws://example.test/chat;v=1;w?a;b#c', b'/chat;v=1;w?a;b'),
    ('ws://example.test/a%20b/../c//d', b'/a%20b/../c//d')])
def test_request_line(url, target):
    assert request_of(url)[0][0] == b'GET ' + target + b' HTTP/1.1'


@pytest.mark.parametrize('url, host', [
    ('ws://example.test/', b'example.test'), ('ws://example.test:80/', b'example.test'),
    ('wss://example.test:443/', b'example.test'), ('ws://example.test:443/', b'example.test:443'),
    ('ws://[::1]/', b'[::1]'), ('wss://[::1]:81/', b'[::1]:81')])
def test_one_header_of_each(url, host):
    headers = [line.partition(b': ')[::2] for line in request_of(url)[0][1:]]
    names = [name.lower() for name, _ in headers]
    assert sorted(names) == [b'connection', b'host', b'sec-websocket-key', b'sec-websocket-version',
                             b'upgrade', b'user-agent']
    values = dict(zip(names, (value for _, value in headers)))
    assert (values[b'host'], values[b'upgrade'].lower(), values[b'connection'].lower(),
            values[b'sec-websocket-version']) == (host, b'websocket', b'upgrade', b'13')
    assert len(base64.b64decode(values[b'sec-websocket-key'])) == 16


def test_key_is_fresh():
    """Each connection has its own, and so does each redirect, as seen by the server."""
    with Server(lambda peer: (peer.accept(), peer.close_code(1000), peer.read_close())) as server:
        ws = WebSocket(server.url())
        for _ in range(3):
            list(ws.connect(ping_rate=0))
        assert len(set(peer.key for peer in server.peers)) == 3


def test_ascii_and_crlf_only():
    _, data = request_of('wss://b\xfccher.example/\u2603?\xe9#\u2603', headers={'X-Mine': b'plain'},
                         protocols=['a', 'b'], compress=True, auth=('\xfcser', 'p\xe4ss'))
    assert max(bytearray(data)) < 127
    assert data.count(b'\r') == data.count(b'\n') == data.count(b'\r\n')
    assert not [octet for octet in bytearray(data.replace(b'\r\n', b'')) if octet < 32]


def test_userinfo_is_nowhere_else():
    lines, data = request_of('ws://name:s3cr%65t@example.test/x', origin='http://example.test')
    assert [line for line in lines if line.startswith(b'Authorization: Basic ')] == [
        b'Authorization: Basic ' + base64.b64encode(b'name:s3cret')]
    for word in (b'name', b's3cr', b'@'):
        assert word not in data


# -- frames, as a server can send them

def fed(*chunks):
    """Feed a client by hand; return ``(names of its events, what it wrote)``."""
    class Session(object):
        session_time = 0.0

        def __init__(self, websocket):
            self.written = []
            self.write = self.written.append
            self.close = self.force_disconnect = lambda: None

        def run(self, **settings):
            return iter([])
    ws = WebSocket('ws://example.test/', proxies={})
    ws.connect(Session)
    chunks = (upgrade(ws.key),) + chunks
    return [event.name for chunk in chunks for event in ws.feed(chunk)][1:], ws.session.written


@pytest.mark.parametrize('opcode', [CLOSE, PING, PONG])
def test_control_frame_that_announces_much(opcode):
    """The header is enough to refuse it, without waiting for its 2**40 or 126 bytes."""
    first = bytes(bytearray([0x80 | opcode]))
    for length in (b'\x7f\x00\x00\x01\x00\x00\x00\x00\x00', b'\x7e\x00\x7e', b'\x7f', b'\x7e'):
        assert fed(first + length)[0] == ['protocol_error']


@pytest.mark.parametrize('code', [1012, 1013, 1014])
def test_codes_of_the_registry_are_taken(code):
    names, written = fed(close_frame(code, b'later'))
    assert names == ['closing'] and len(written) == 1


# -- sending

def test_lengths_and_masks_on_the_wire():
    """The reader of the server asserts that a length has its shortest form."""
    sizes = [0, 1, 125, 126, 127, 65535, 65536, 65537]
    seen = []

    def script(peer):
        peer.accept()
        peer.text('go')
        peer.answer_close()
        seen.extend(peer.frames)

    def send(ws, event):
        for size in sizes:
            ws.send_binary(b'x' * size)
            ws.send_text('y' * size)
        ws.close()
    play(script, {'text': send})
    assert [(fin, rsv, opcode, len(payload)) for fin, rsv, opcode, _, payload in seen[:-1]] == [
        (True, 0, opcode, size) for size in sizes for opcode in (BINARY, TEXT)]
    assert len(set(key for _, _, _, key, _ in seen)) == len(seen)
    assert [opcode for _, _, opcode, _, _ in seen].count(CLOSE) == 1


def test_codes_that_are_never_sent():
    ws = WebSocket('ws://example.test/')
    for code in [999, 1005, 1006, 1015] + sorted(Status.invalid_codes)[::997]:
        with pytest.raises(ValueError):
            ws.close(code)
    # nor if the server sends one, which is answered with 1002
    for code in (999, 1005, 1006, 1015):
        names, written = fed(frame(CLOSE, close_payload(code)))
        assert names == ['protocol_error'] and len(written) == 1
        data = bytearray(written[0])
        assert (data[6] ^ data[2]) << 8 | data[7] ^ data[3] == 1002


# -- deflate

def test_offer_by_default():
    lines, _ = request_of('ws://example.test/', compress=True)
    assert b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits' in lines
