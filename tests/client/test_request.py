"""The bytes of a request: which headers are sent, and in what order."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond import WebSocket


@pytest.mark.parametrize('added, given, auth, sent', [
    ([], [('Authorization', 'a'), ('authorization', 'b')], ('v', 'q'), [b'b']),
    ([b'x', b'y'], [('Authorization', 'a')], ('v', 'q'), [b'y']), ([b'x'], [], ('v', 'q'), [b'x']),
    ([], [], ('v', 'q'), [b'Basic djpx']), ([], [], None, [b'Basic dTpw']),
    ([], {'authorization': 'Bearer h'}, ('v', 'q'), [b'Bearer h']),
    ([b'Bearer a'], {'authorization': 'Bearer h'}, ('v', 'q'), [b'Bearer a'])])
def test_one_authorization(added, given, auth, sent):
    """The last one of add_header, else of headers, else that of auth, else that of the URL."""
    ws = WebSocket('ws://u:p@example.test/', headers=given, auth=auth)
    for value in added:
        ws.add_header(b'Authorization', value)
    lines = [line for line in ws.build_request().split(b'\r\n') if line.lower().startswith(b'authorization')]
    assert [line.split(b': ')[1] for line in lines] == sent


def test_add_header_wins_over_headers():
    ws = WebSocket('ws://x/', origin='o', headers=[
        ('HOST', 'h'), ('X', '1'), ('Origin', 'h'), ('user-agent', 'h')])
    for name in (b'host', b'ORIGIN', b'User-Agent'):
        ws.add_header(name, b'a')
    assert ws.build_request().split(b'\r\n')[1:6] == [
        b'Host: a', b'Origin: a', b'User-Agent: a', b'X: 1', b'Upgrade: websocket']


def test_order():
    """Those of add_header, those of headers, then what is made of auth and cookies."""
    ws = WebSocket('ws://example.test/', headers=[('authorization', 'h'), ('B', '2')], cookies='a=b')
    ws.add_header(b'A', b'1')
    lines = ws.build_request().split(b'\r\n')
    assert lines[1:5] == [b'A: 1', b'authorization: h', b'B: 2', b'Cookie: a=b']
