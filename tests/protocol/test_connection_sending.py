"""What a connection sends in which state, and its one close frame."""

from __future__ import absolute_import, division, unicode_literals

import zlib

import pytest
from support.errors import raises
from support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, read_frames

from lomond import errors
from lomond.protocol import states
from lomond.protocol.connection import CLIENT, SERVER, Connection
from lomond.protocol.handshake import ClientHandshake
from lomond.protocol.permessage_deflate import DeflateParameters, PerMessageDeflate


def connecting(role=CLIENT):
    return Connection(role, ClientHandshake(b'key'))


def opened(masks=True):
    core = connecting(CLIENT if masks else SERVER)
    core.move(states.READY)
    return core


@pytest.mark.parametrize('masks', [True, False])
def test_messages(masks):
    core = opened(masks)
    data = b''.join(b''.join(chunks) for chunks in (
        core.send_message(TEXT, b'text'), core.send_message(BINARY, bytearray(b'bin'), compress=True),
        core.send_message(BINARY, memoryview(b'a'), fin=False), core.send_message(CONTINUATION, b'b')))
    data += bytes(core.encode(TEXT, b'queued'))
    data += core.send_ping(b'1') + core.send_ping() + core.send_pong(b'x' * 125)
    found = read_frames(data)
    assert [(frame[0], frame[1], frame[2], frame[4]) for frame in found] == [
        (True, 0, TEXT, b'text'), (True, 0, BINARY, b'bin'), (False, 0, BINARY, b'a'),
        (True, 0, CONTINUATION, b'b'), (True, 0, TEXT, b'queued'), (True, 0, PING, b'1'),
        (True, 0, PING, b''), (True, 0, PONG, b'x' * 125)]
    keys = [frame[3] for frame in found]
    assert len(set(keys)) == (8 if masks else 1) and (None in keys) != masks


def test_compressed_messages():
    core = opened()
    core._encoder.codec = PerMessageDeflate(DeflateParameters(), True)
    data = b''.join(core.send_message(TEXT, b'x' * 100, compress=True))
    data += bytes(core.encode(TEXT, b'x' * 100, compress=True))
    inflater = zlib.decompressobj(-15)
    for _, rsv, _, _, payload in read_frames(data):
        assert rsv == 4 and inflater.decompress(payload + b'\0\0\xff\xff') == b'x' * 100


def test_state_is_checked_at_once():
    """Not when the chunks are taken."""
    core = opened()
    chunks = core.send_message(TEXT, b'x' * 200000)
    core.close()
    with pytest.raises(errors.WebSocketClosing):
        core.send_message(TEXT, b'x')
    assert sum(len(chunk) for chunk in chunks) == 200014


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_pings_are_logged(kind):
    core = opened()
    core.send_ping(kind(b'one'), 5.0)
    core.queue_ping(b'two', 6.0)
    assert core.pings.oldest == 5.0 and core.latency is None
    assert core.pings.answered(b'one', 7.5) == 2.5
    assert core.latency == 2.5 and core.pings.oldest == 6.0


def test_refused_ping_is_not_logged():
    core = opened()
    for send, what in ((core.send_ping, 'ping'), (core.send_pong, 'pong')):
        with raises(ValueError, what + ' payload is 126 bytes; at most 125 are allowed'):
            send(b'x' * 126)
    core.close()
    with pytest.raises(errors.WebSocketClosing):
        core.send_ping(b'')
    assert core.pings.oldest is None


def test_replies():
    core = opened()
    core.send_queue.queue(None, b'raw')
    core.send_queue.queue_pong(b'p')
    core.queue_ping(b'q', 0.0)
    core.queue_close(1002, 'wrong')
    taken = core.take_outgoing()
    assert taken == [(None, b'raw'), (PONG, b'p'), (PING, b'q'), (CLOSE, close_payload(1002, b'wrong'))]
    assert core.take_outgoing() == []
    encoded = [core.encode_reply(*item) for item in taken]
    assert encoded[0] == b'raw'
    assert [(frame[2], frame[4]) for frame in read_frames(b''.join(encoded[1:]))] == taken[1:]
    assert all(frame[3] for frame in read_frames(b''.join(encoded[1:])))


# --- close() ---

@pytest.mark.parametrize('arguments, payload', [
    ((), close_payload(1000)), ((1001, 'away'), close_payload(1001, b'away')), ((None,), b''),
    ((None, 'reason'), b''), ((4999, b'\xe2\x98\x83'), close_payload(4999, b'\xe2\x98\x83')),
    ((1000, 'r' * 200), close_payload(1000, b'r' * 123)),
    ((1000, '\u2603' * 60), close_payload(1000, b'\xe2\x98\x83' * 41))])
def test_close(arguments, payload):
    core = opened()
    assert core.close(*arguments) == payload
    assert core.state is states.LOCAL_CLOSING and core.close_sent
    assert core.close() is None and core.take_outgoing() == []


def test_close_before_ready():
    core = connecting()
    assert core.close() is None
    assert core.state is states.DISCONNECTED and core.take_outgoing() == []


@pytest.mark.parametrize('before, payload', [
    ([states.FAIL], None), ([states.REJECT], None), ([states.DISCONNECT], None),
    ([states.READY, states.FAIL], close_payload(1000)), ([states.READY, states.DISCONNECT], None)])
def test_close_that_comes_second(before, payload, monkeypatch):
    """The loop moves the state between the look of close() at it and its own move."""
    core = connecting()
    request_close = Connection.request_close
    def move_and_request(core, request):
        for what in before:
            core.move(what)
        return request_close(core, request)
    monkeypatch.setattr(Connection, 'request_close', move_and_request)
    assert core.close() == payload and core.close_sent


@pytest.mark.parametrize('code, payload', [(4000, close_payload(4000)), (None, b'')])
def test_close_echoes(code, payload):
    """After Closing the server's code, whatever is given."""
    core = opened()
    core.close_code = code
    core.move(states.CLOSE_RECEIVED)
    assert core.close(1001, 'other') == payload and core.state is states.ECHOED
    core.queue_close(code)
    assert core.take_outgoing() == []


# --- fail() ---

def test_fail():
    core = opened()
    core.fail(1001, 'exceeded 60s ping timeout')
    assert core.state is states.FAILED and core.failure == 'exceeded 60s ping timeout'
    assert core.take_outgoing() == [(CLOSE, close_payload(1001, b'exceeded 60s ping timeout'))]
    core.fail(1011, 'again')
    assert core.failure == 'exceeded 60s ping timeout' and core.take_outgoing() == []


@pytest.mark.parametrize('move', [None, states.READY])
def test_fail_before_ready_and_after_close(move):
    """Nobody reads frames before Ready; after close() the close frame is out."""
    core = connecting()
    if move is not None:
        core.move(move)
        core.close()
    core.fail(1001, 'late')
    assert core.state is states.FAILED and core.failure == 'late'
    assert core.take_outgoing() == [] and core.close_sent and core.close() is None


@pytest.mark.parametrize('moves', [
    (states.CLOSE_RECEIVED, states.CLOSE_SENT), (states.CLOSE_SENT, states.CLOSE_RECEIVED),
    (states.DISCONNECT,)])
def test_fail_too_late(moves):
    core = opened()
    for move in moves:
        state = core.move(move)
    core.fail(1001, 'late')
    assert core.state is state and core.failure is None and core.take_outgoing() == []


def test_time_of_the_close_frame():
    """That of the first one: close() and the answer to a close frame may both tell."""
    core = opened()
    assert core.sent_close_time is None
    core.note_close_sent(2.5)
    core.note_close_sent(3.5)
    assert core.sent_close_time == 2.5


def test_close_that_was_interrupted_is_completed():
    """Only the request was noted: no frame was queued, and no time."""
    core = opened()
    core.finish_close()
    assert core.state_of_close() is None and not core.send_queue.pending
    core.request_close(states.CloseRequest(b'\x03\xe8', 5.0))
    core.finish_close()
    core.finish_close()
    assert core.take_outgoing() == [(CLOSE, b'\x03\xe8')]
