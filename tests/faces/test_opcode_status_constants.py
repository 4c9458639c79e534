"""Numbers and texts: opcodes, close codes, constants."""

from __future__ import absolute_import, division, unicode_literals

import platform

import pytest

import lomond
from lomond import constants, opcode, status
from lomond.opcode import Opcode, is_reserved, reserved_opcodes
from lomond.status import Status


def test_opcodes():
    """RFC 6455, 5.2; api.md, section 4."""
    names = 'CONTINUATION TEXT BINARY RESERVED1 RESERVED2 RESERVED3 RESERVED4 RESERVED5'.split()
    names += ['CLOSE', 'PING', 'PONG', 'RESERVED6', 'RESERVED7', 'RESERVED8', 'RESERVED9', 'RESERVED10']
    assert [getattr(Opcode, name) for name in names] == list(range(16))
    assert [Opcode.to_str(number) for number in range(16)] == names
    for nothing in (-1, 16, None, 'TEXT'):
        assert Opcode.to_str(nothing) == '?'


def test_reserved():
    assert sorted(reserved_opcodes) == [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
    assert [number for number in range(16) if is_reserved(number)] == sorted(reserved_opcodes)
    assert opcode.is_reserved is is_reserved


def test_status():
    upper = dict((name, value) for name, value in vars(Status).items() if name.isupper())
    assert upper == {
        'NORMAL': 1000, 'GOING_AWAY': 1001, 'PROTOCOL_ERROR': 1002, 'DATA_NOT_UNDERSTOOD': 1003,
        'BAD_DATA': 1007, 'POLICY_VIOLATION': 1008, 'MESSAGE_TOO_LARGE': 1009, 'EXTENSION_FAILED': 1010,
        'UNEXPECTED_CONDITION': 1011}
    assert status.Status is Status


INVALID = set(range(1000)) | {1004, 1005, 1006, 1015} | set(range(1016, 3000)) | set(range(5000, 65536))


def test_invalid_codes():
    codes = Status.invalid_codes
    assert [code in codes for code in range(-5, 65600)] == [code in INVALID for code in range(-5, 65600)]
    assert len(codes) == len(INVALID) and set(codes) == INVALID and sorted(codes) == list(codes)


@pytest.mark.parametrize('code, is_invalid', [(1005.0, True), (True, True)] + [(code, False) for code in (
    None, '', 'x', b'1005', 1005.5, float('nan'), float('inf'), (), object(), 1j)])
def test_codes_of_other_types(code, is_invalid):
    """`event.code in Status.invalid_codes`, with a close frame that had none."""
    assert (code in Status.invalid_codes) is is_invalid


def test_constants():
    assert constants.WS_KEY == b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11' and isinstance(constants.WS_KEY, bytes)
    assert constants.WS_VERSION == 13


def test_user_agent():
    assert constants.USER_AGENT == 'Lomond/{} {}/{} {}/{} ({})'.format(
        lomond.__version__, platform.python_implementation(), platform.python_version(),
        platform.system(), platform.release(), platform.platform())
    assert isinstance(constants.USER_AGENT, type(''))
    assert constants.USER_AGENT is constants.USER_AGENT
    from lomond.constants import USER_AGENT
    assert USER_AGENT == constants.USER_AGENT


def test_user_agent_is_made_when_asked_for(monkeypatch):
    if not hasattr(constants, '__getattr__'):       # before 3.7 it is made at import
        return
    expected = constants.USER_AGENT
    monkeypatch.delattr(constants, 'USER_AGENT')
    assert 'USER_AGENT' not in vars(constants)
    assert constants.USER_AGENT == expected and 'USER_AGENT' in vars(constants)


def test_other_names_are_none():
    with pytest.raises(AttributeError) as caught:
        assert constants.WS_NOTHING
    assert 'WS_NOTHING' in str(caught.value)
