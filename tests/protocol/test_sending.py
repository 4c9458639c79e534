"""The sending half: what goes out in which state, and the one close frame."""

from __future__ import absolute_import, division, unicode_literals

import zlib

import pytest
from support.helpers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, read_frames

from lomond import errors
from lomond.protocol import states
from lomond.protocol.permessage_deflate import DeflateParameters, PerMessageDeflate
from lomond.protocol.sending import SendingHalf


def opened(masks=True):
    half = SendingHalf(masks)
    half.move(states.READY)
    return half


@pytest.mark.parametrize('masks', [True, False])
def test_messages(masks):
    half = opened(masks)
    data = b''.join(half.send_message(TEXT, b'text'))
    data += b''.join(half.send_message(BINARY, bytearray(b'bin'), compress=True))
    data += b''.join(half.send_message(BINARY, memoryview(b'a'), fin=False))
    data += b''.join(half.send_message(CONTINUATION, b'b'))
    data += bytes(half.encode(TEXT, b'queued'))
    data += half.send_ping(b'1') + half.send_ping() + half.send_pong(b'x' * 125)
    found = read_frames(data)
    assert [(frame[0], frame[1], frame[2], frame[4]) for frame in found] == [
        (True, 0, TEXT, b'text'), (True, 0, BINARY, b'bin'), (False, 0, BINARY, b'a'),
        (True, 0, CONTINUATION, b'b'),
        (True, 0, TEXT, b'queued'), (True, 0, PING, b'1'), (True, 0, PING, b''), (True, 0, PONG, b'x' * 125)]
    keys = [frame[3] for frame in found]
    assert len(set(keys)) == (8 if masks else 1) and (None in keys) != masks


def test_compressed_messages():
    half = opened()
    half._encoder.codec = PerMessageDeflate(DeflateParameters(), True)
    data = b''.join(half.send_message(TEXT, b'x' * 100, compress=True))
    data += bytes(half.encode(TEXT, b'x' * 100, compress=True))
    inflater = zlib.decompressobj(-15)
    for _, rsv, _, _, payload in read_frames(data):
        assert rsv == 4 and inflater.decompress(payload + b'\0\0\xff\xff') == b'x' * 100


def test_state_is_checked_at_once():
    """Not when the chunks are taken."""
    half = opened()
    chunks = half.send_message(TEXT, b'x' * 200000)
    half.close()
    with pytest.raises(errors.WebSocketClosing):
        half.send_message(TEXT, b'x')
    assert sum(len(chunk) for chunk in chunks) == 200014


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_pings_are_logged(kind):
    half = opened()
    half.send_ping(kind(b'one'), 5.0)
    half.queue_ping(b'two', 6.0)
    assert half.pings.oldest == 5.0
    assert half.latency is None
    assert half.pings.answered(b'one', 7.5) == 2.5
    assert half.latency == 2.5 and half.pings.oldest == 6.0


def test_refused_ping_is_not_logged():
    half = opened()
    with pytest.raises(ValueError) as caught:
        half.send_ping(b'x' * 126)
    assert str(caught.value) == 'ping payload is 126 bytes; at most 125 are allowed'
    with pytest.raises(ValueError) as caught:
        half.send_pong(b'x' * 126)
    assert str(caught.value) == 'pong payload is 126 bytes; at most 125 are allowed'
    half.close()
    with pytest.raises(errors.WebSocketClosing):
        half.send_ping(b'')
    assert half.pings.oldest is None


def test_replies():
    half = opened()
    half.replies.queue(None, b'raw')
    half.replies.queue_pong(b'p')
    half.queue_ping(b'q', 0.0)
    half.queue_close(1002, 'wrong')
    taken = half.take_outgoing()
    assert taken == [(None, b'raw'), (PONG, b'p'), (PING, b'q'), (CLOSE, close_payload(1002, b'wrong'))]
    assert half.take_outgoing() == []
    encoded = [half.encode_reply(*item) for item in taken]
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
    half = opened()
    assert half.close(*arguments) == payload
    assert half.state is states.LOCAL_CLOSING and half.close_sent
    assert half.close() is None
    assert half.take_outgoing() == []


@pytest.mark.parametrize('code', [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70000])
def test_codes_that_are_never_sent(code):
    half = opened()
    with pytest.raises(ValueError):
        half.close(code)
    assert half.state is states.OPEN and not half.close_sent


@pytest.mark.parametrize('code, reason', [('1000', ''), (1000.0, ''), (True, ''), (1000, None), (1000, 5)])
def test_close_takes_these_types(code, reason):
    with pytest.raises(TypeError):
        opened().close(code, reason)


def test_close_before_ready():
    half = SendingHalf(True)
    assert half.close() is None
    assert half.state is states.DISCONNECTED and half.take_outgoing() == []


@pytest.mark.parametrize('before, payload', [
    ([states.FAIL], None), ([states.REJECT], None), ([states.DISCONNECT], None),
    ([states.READY, states.FAIL], close_payload(1000)), ([states.READY, states.DISCONNECT], None)])
def test_close_that_comes_second(before, payload):
    """The loop moves the state between the look of close() at it and its own move."""
    half = SendingHalf(True)
    take = half.take_close_token

    def and_move():
        for what in before:
            half.move(what)
        return take()

    half.take_close_token = and_move
    assert half.close() == payload and half.close_sent


@pytest.mark.parametrize('code, payload', [(4000, close_payload(4000)), (None, b'')])
def test_close_echoes(code, payload):
    """After Closing the server's code, whatever is given."""
    half = opened()
    half.close_code = code
    half.move(states.CLOSE_RECEIVED)
    assert half.close(1001, 'other') == payload
    assert half.state is states.ECHOED
    half.queue_close(code)
    assert half.take_outgoing() == []


# --- fail() ---

def test_fail():
    half = opened()
    half.fail(1001, 'exceeded 60s ping timeout')
    assert half.state is states.FAILED and half.failure == 'exceeded 60s ping timeout'
    assert half.take_outgoing() == [(CLOSE, close_payload(1001, b'exceeded 60s ping timeout'))]
    half.fail(1011, 'again')
    assert half.failure == 'exceeded 60s ping timeout' and half.take_outgoing() == []


def test_fail_before_ready():
    """Nobody reads frames there."""
    half = SendingHalf(True)
    half.fail(1001, 'late')
    assert half.state is states.FAILED and half.failure == 'late'
    assert half.take_outgoing() == [] and half.close_sent and half.close() is None


def test_fail_after_close():
    half = opened()
    half.close()
    half.fail(1001, 'late')
    assert half.state is states.FAILED and half.failure == 'late' and half.take_outgoing() == []


@pytest.mark.parametrize('moves', [
    (states.CLOSE_RECEIVED, states.CLOSE_SENT), (states.CLOSE_SENT, states.CLOSE_RECEIVED),
    (states.DISCONNECT,)])
def test_fail_too_late(moves):
    half = opened()
    for move in moves:
        state = half.move(move)
    half.fail(1001, 'late')
    assert half.state is state and half.failure is None and half.take_outgoing() == []
