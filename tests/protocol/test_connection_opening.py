"""The opening handshake as the first stage of a connection: heads and bodies."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond.errors import CriticalProtocolError
from lomond.protocol.connection import _read_body, _read_head
from lomond.protocol.handshake import ClientHandshake
from lomond.protocol.receive_buffer import ReceiveBuffer
from lomond.response import Response

HEAD = b'HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n'


@pytest.fixture
def receive_buffer():
    return ReceiveBuffer()


def put(receive_buffer, data):
    receive_buffer.get_buffer()[:len(data)] = data
    receive_buffer.advance(len(data))


def test_read_head(receive_buffer):
    reading = _read_head(ClientHandshake(b'key'), receive_buffer)
    assert next(reading) is None            # nothing has arrived
    for at in range(len(HEAD) - 1):
        put(receive_buffer, HEAD[at:at + 1])
        assert next(reading) is None
    put(receive_buffer, HEAD[-1:] + b'behind')
    outcome = next(reading)
    assert outcome.event.name == 'rejected' and outcome.surplus == b'behind'
    assert next(reading, 'over') == 'over'
    assert receive_buffer.take() == b''


def test_no_head(receive_buffer):
    put(receive_buffer, b'SSH-2.0-x')
    with pytest.raises(CriticalProtocolError):
        next(_read_head(ClientHandshake(b'key'), receive_buffer))


@pytest.mark.parametrize('surplus, arriving, body', [
    (b'Hello', [], b'Hello'), (b'', [b'Hel', b'lo'], b'Hello'), (b'He', [b'', b'llo behind'], b'Hello'),
    (b'', [b'He', None], b'He'), (b'Hello', [None], b'Hello'), (b'', [None], b'')])
def test_read_body(receive_buffer, surplus, arriving, body):
    """None: it is waited for no longer."""
    response = Response(HEAD)
    over = []
    if arriving and arriving[0] is None:
        over.append(arriving.pop(0))
    reading = _read_body(response, surplus, receive_buffer, lambda: bool(over))
    for data in arriving:
        assert next(reading) is None and response.body == b''
        if data is None:
            over.append(data)
        else:
            put(receive_buffer, data)
    assert next(reading, 'over') == 'over'
    assert response.body == body
