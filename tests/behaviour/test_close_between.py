"""An end between a 401 or a redirect and the next attempt: it is not lost, and nobody is dialed."""

from __future__ import absolute_import, division, unicode_literals

import sys
import threading

import pytest
from support.client import check_order

from lomond import WebSocket, errors, session
from lomond.auth import DigestAuth
from lomond.client import attempt
from lomond.driver import lifecycle
from lomond.testing import ACCEPT, ScriptedTransport, session_class

#: Where test_at_any_line looks at lines.
TRACED = tuple(module.__file__.rpartition('.')[0] for module in (attempt, session, lifecycle))
ANSWERS = {
    'digest': b'HTTP/1.1 401 x\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\n',
    'redirect': b'HTTP/1.1 302 x\r\nLocation: /there\r\n\r\n'}
ENDS = {'close': lambda ws: ws.close(), 'force': lambda ws: ws.force_disconnect(),
        'session': lambda ws: ws.session.close()}


class Hooked(WebSocket):
    """Tells where it is when it calls methods of the program."""

    def __init__(self, tell):
        class Auth(DigestAuth):
            def answer(self, *args):
                tell('answer')
                return DigestAuth.answer(self, *args)
        self.tell = tell
        super(Hooked, self).__init__(
            'ws://example.org/', proxies={}, auth=Auth('me', 'pw'), max_redirects=1, cookies=self)

    def build_request(self):
        self.tell('build_request')
        return super(Hooked, self).build_request()

    def add_cookie_header(self, request):           # of a cookie jar
        self.tell('cookies')

    def extract_cookies(self, response, request):
        self.tell('set cookies')


class Between(object):
    """Plays one connection whose first answer leads to a second request, and ends it there.

    :param place: ``(where, number)``: the call that is the moment
    :ivar names: of the events
    :ivar was_dialed: whether the second connection had been made at that moment
    """

    def __init__(self, answer, end, place=None, in_thread=False, line=None):
        self.was_dialed = None
        self.names = []
        self._end, self._in_thread = end, in_thread
        self._place, self._line = place, line
        answer = ANSWERS[answer]
        self.wires = [ScriptedTransport([lambda wire: None]), ScriptedTransport([ACCEPT])]
        first = self.wires[0]
        first._steps = iter([lambda wire: answer])
        self.ws = Hooked(self._tell)
        events = self.ws.connect(session_class=session_class(*self.wires), ping_rate=0)
        try:
            for event in events:
                self.names.append(event.name)
                self._tell(event.name)
                if event.name == 'connected' and self.names.count('connected') == 1 and line is not None:
                    sys.settrace(self._trace)
                if event.name == 'ready':
                    break
                if self.was_dialed is not None:
                    assert not self.ws.is_active
        finally:
            sys.settrace(None)
        self.last = event
        self.ws = None                  # a cycle, which 2.7 keeps because of the generators in it
        for wire in self.wires:
            wire._core.release()

    def _tell(self, where):
        if self._place is not None and where == self._place[0]:
            self._place = where, self._place[1] - 1
            if not self._place[1]:
                self.act()

    def _trace(self, frame, kind, value):
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if kind == 'line' and self._line is not None:
            self._line -= 1
            if self.ws.state.core.was_open:
                sys.settrace(None)
            elif self._line < 0:
                self._line = None
                sys.settrace(None)
                self.act()
        return self._trace

    def act(self):
        self.was_dialed = self.wires[1]._step_time is not None
        if self._in_thread:
            thread = threading.Thread(target=self._end, args=(self.ws,))
            thread.start()
            thread.join(5)
            assert not thread.is_alive()
        else:
            self._end(self.ws)
        assert not self.ws.is_active
        with pytest.raises(errors.WebSocketClosed):
            self.ws.send_text('x')


    def check(self):
        check_order(self.names)
        assert self.names[-1] in ('connect_fail', 'disconnected') and 'ready' not in self.names
        assert 'closed' in self.last.reason or 'force_disconnect' in self.last.reason
        assert self.wires[1].is_closed or self.wires[1]._step_time is None
        assert self.was_dialed or self.wires[1].request is None


@pytest.mark.parametrize('in_thread', [False, True])
@pytest.mark.parametrize('end', sorted(ENDS))
@pytest.mark.parametrize('answer, where, number', [
    ('digest', 'answer', 1), ('digest', 'set cookies', 1), ('digest', 'build_request', 2),
    ('redirect', 'set cookies', 1), ('redirect', 'redirected', 1), ('redirect', 'cookies', 2)])
def test_in_a_call_of_the_program(answer, where, number, end, in_thread):
    got = Between(answer, ENDS[end], (where, number), in_thread)
    got.check()
    assert got.was_dialed == (number == 2) and got.names.count('connected') == 1
    assert got.was_dialed or got.wires[1]._step_time is None


@pytest.mark.skipif(hasattr(sys, 'gettrace') and sys.gettrace() is not None, reason='traced already')
@pytest.mark.parametrize('answer', sorted(ANSWERS))
@pytest.mark.ends
def test_at_any_line(answer):
    """As a signal handler would, from the first answer on."""
    for line in range(0, 1000, 2):
        got = Between(answer, ENDS['close' if line % 4 else 'force'], line=line)
        if got.was_dialed is None:
            break
        got.check()
    assert 50 < line < 998


@pytest.mark.parametrize('answer, where', [
    ('digest', 'answer'), ('digest', 'set cookies'), ('redirect', 'set cookies'), ('redirect', 'redirected')])
def test_flags_are_those_of_connecting(answer, where):
    def look(ws):
        assert (ws.is_active, ws.is_closing, ws.is_closed) == (True, False, False)
        with pytest.raises(errors.WebSocketUnavailable) as caught:
            ws.send_text('x')
        assert caught.type is errors.WebSocketUnavailable
        ws.close()
    Between(answer, look, (where, 1)).check()
