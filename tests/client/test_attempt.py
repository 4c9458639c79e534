# -*- coding: utf-8 -*-
"""What a connection is to be: requests, what answers lead to, observers; nothing is opened."""

from __future__ import absolute_import, division, unicode_literals

import logging
import re

import pytest

from lomond import WebSocket, errors, events
from lomond.auth import DigestAuth
from lomond.client.attempt import Plan, is_overridden
from lomond.client.trace import make_observer
from lomond.opcode import Opcode
from lomond.response import Response
from lomond.session import WebsocketSession

CHALLENGE = b'WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"'


def websocket_of(url='ws://me:pw@example.test/chat', **options):
    options.setdefault('proxies', {})
    return WebSocket(url, **options)


def plan_of(url='ws://me:pw@example.test/chat', **options):
    """A plan that is ready to go, and its WebSocket."""
    websocket = websocket_of(url, **options)
    plan = Plan(websocket)
    assert plan.prepare() is None
    return plan, websocket


def answer(status, *lines):
    return Response(b'HTTP/1.1 ' + status.encode('ascii') + b' x\r\n' + b''.join(
        line + b'\r\n' for line in lines) + b'\r\n')


def follow(plan, response):
    """``(what it leads to, reason)``; the plan is asked about the body first, as the core does."""
    wants_body = plan.wants_body(response)
    event = events.Rejected(response, 'no')
    step = plan.follow(event)
    assert wants_body == (step is None)
    return step, event.reason


def lines_of(websocket):
    return websocket.build_request().decode('utf-8').split('\r\n')[:-2]


# -- what an answer leads to

@pytest.mark.parametrize('status', [
    '200', '300', '304', '305', '400', '401', '404', '407', '500', '999', 'abc', '1010'])
def test_other_answers_are_the_end(status):
    plan, _ = plan_of(max_redirects=5)
    assert follow(plan, answer(status, b'Location: /x', CHALLENGE)) == (None, 'no')


@pytest.mark.parametrize('status', ['301', '302', '303', '307', '308'])
def test_redirect(status):
    plan, websocket = plan_of(max_redirects=1)
    assert follow(plan, answer(status, b'Location: /x', b'Location: /y')) == ('ws://example.test/x', 'no')
    assert websocket.resource == '/x' and plan.shows_connected
    assert plan.shown_url == 'ws://me:***@example.test/chat'
    assert follow(plan, answer(status, b'Location: /y')) == (
        None, 'no; more than 1 redirects (max_redirects)')


def test_redirects_are_not_asked_for():
    plan, _ = plan_of()
    assert follow(plan, answer('302', b'Location: /x')) == (None, 'no')


@pytest.mark.parametrize('location, words', [
    (None, 'redirect has no location'), (b'ws://x:99999/', 'redirect location .* has a port .*'),
    (b'ws://example.test/', 'redirect from wss to ws refused: ws://example.test/')])
def test_redirects_that_are_refused(location, words):
    plan, websocket = plan_of('wss://example.test/', max_redirects=5)
    lines = [] if location is None else [b'Location: ' + location]
    step, reason = follow(plan, answer('302', *lines))
    assert step is None
    assert re.match('no; ' + words, reason)
    assert websocket.resource == '/'


def test_digest_is_answered_once_for_each_request():
    auth = DigestAuth('me', 'pw')
    plan, websocket = plan_of('ws://example.test/chat?x=1', auth=auth, max_redirects=1)
    key = websocket.key
    assert follow(plan, answer('401', CHALLENGE)) == (Plan.SILENT, 'no')
    assert not plan.shows_connected
    assert plan.restart() is None
    assert websocket.key != key
    authorization, = [line for line in lines_of(websocket) if line.startswith('Authorization')]
    assert 'uri="/chat?x=1"' in authorization and 'nc=00000001' in authorization
    assert follow(plan, answer('401', CHALLENGE)) == (None, 'no')
    # Another resource of the same server is another question.
    assert follow(plan, answer('302', b'Location: /y'))[0] == 'ws://example.test/y'
    assert plan.shows_connected
    assert not [line for line in lines_of(websocket) if line.startswith('Authorization')]
    assert follow(plan, answer('401', CHALLENGE))[0] == Plan.SILENT


def test_digest_takes_the_place_of_what_was_refused():
    plan, websocket = plan_of(auth=DigestAuth('me', 'pw'), headers={'Authorization': 'Bearer old'})
    websocket.add_header(b'authorization', b'older')
    assert 'Bearer old' not in str(lines_of(websocket)) and 'older' in str(lines_of(websocket))
    follow(plan, answer('401', CHALLENGE))
    found = [line for line in lines_of(websocket) if line.lower().startswith('authorization')]
    assert len(found) == 1 and found[0].startswith('Authorization: Digest ')


def test_digest_is_not_for_strangers():
    plan, _ = plan_of(auth=DigestAuth('me', 'pw'), max_redirects=5)
    assert follow(plan, answer('302', b'Location: ws://other.test/'))[0] == 'ws://other.test/'
    assert follow(plan, answer('401', CHALLENGE)) == (None, 'no')


@pytest.mark.parametrize('locations, has_secrets', [
    (['/x', '/y'], True), (['ws://EXAMPLE.test:80/'], True), (['wss://example.test/'], False),
    (['ws://example.test:81/'], False), (['ws://a.example.test/'], False),
    (['ws://other.test/', 'ws://example.test/'], False)])
@pytest.mark.parametrize('options', [
    {}, {'auth': ('me', 'pw')}, {'headers': {'Authorization': 'x', 'Cookie': 'a=b'}},
    {'cookies': {'a': 'b'}}])
def test_secrets_and_origins(locations, has_secrets, options):
    url = 'ws://example.test/' if options else 'ws://me:pw@example.test/'
    plan, websocket = plan_of(url, max_redirects=9, **options)
    before = [line for line in lines_of(websocket) if line.startswith(('Authorization', 'Cookie'))]
    assert before
    for location in locations:
        assert follow(plan, answer('302', b'Location: ' + location.encode('ascii')))[0]
        plan.restart()
    after = [line for line in lines_of(websocket) if line.startswith(('Authorization', 'Cookie'))]
    assert after == (before if has_secrets else [])


# -- callables

def test_callables_are_asked_once():
    asked = []
    websocket = websocket_of(lambda: asked.append('url') or 'ws://example.test/',
                             headers=lambda: asked.append('headers') or {'X': '1'})
    assert (websocket.scheme, websocket.host, websocket.port, websocket.resource) == (None,) * 4
    plan = Plan(websocket)
    assert plan.shown_url == ''
    assert plan.prepare() is None and plan.prepare() is None
    assert 'X: 1' in lines_of(websocket)
    assert asked == ['url', 'headers']
    assert (websocket.scheme, websocket.host, websocket.port, websocket.resource) == (
        'ws', 'example.test', 80, '/')


def test_callable_that_fails_the_second_time():
    """What is shown is not the URL of the connection before."""
    urls = ['ws://example.test/', 5]
    websocket = websocket_of(lambda: urls.pop(0))
    assert Plan(websocket).prepare() is None
    websocket.reset()
    plan = Plan(websocket)
    reason, error, stage = plan.prepare()
    assert (reason, stage) == ('unable to connect; url must be text, not int', 'prepare')
    assert isinstance(error, TypeError)
    assert plan.shown_url == ''


# -- the order of connections

def test_one_at_a_time():
    websocket = websocket_of()
    first, second = (WebsocketSession(websocket) for _ in range(2))
    websocket.state.session = second
    plan = Plan(websocket)
    with pytest.raises(errors.WebSocketError):
        plan.begin(first)               # a later connect() has taken its place
    plan.begin(second)
    with pytest.raises(errors.WebSocketError):
        plan.begin(second)
    plan.end(first)                     # it is not that one's to end
    with pytest.raises(errors.WebSocketError):
        plan.begin(second)
    plan.end(second)
    plan.begin(second)


def test_overridden():
    class Session(WebsocketSession):
        def _connect(self):
            pass
    websocket = websocket_of()
    session = Session(websocket)
    assert is_overridden(session, '_connect') and not is_overridden(session, '_wrap_socket')
    assert not is_overridden(WebsocketSession(websocket), '_connect')
    session._wrap_socket = len
    assert is_overridden(session, '_wrap_socket')
    assert Plan(websocket).route(session).wrap is len
    assert Plan(websocket).route(WebsocketSession(websocket)).wrap is None


# -- observers

@pytest.fixture
def quiet():
    """Nobody wants to hear DEBUG, whatever the other tests have set."""
    logger = logging.getLogger('lomond')
    before = logger.level
    logger.setLevel(logging.WARNING)
    yield logger
    logger.setLevel(before)


def test_nobody_listens(quiet):
    plan = Plan(websocket_of())
    assert make_observer(websocket_of()) is None
    assert (plan.on_event, plan.on_sent, plan.on_reply, plan.on_received) == (None,) * 4
    plan.emit('connect_start')


def test_trace(quiet):
    records = []
    plan = Plan(websocket_of(trace=records.append))
    plan.emit('tls_wrapped', verify=True)
    plan.on_sent(5)
    plan.on_reply(Opcode.PONG, b'123')
    plan.on_reply(Opcode.CLOSE, b'\x03\xe8')
    plan.on_reply(Opcode.CLOSE, b'')
    plan.on_received(6)
    response = answer('403')
    for event in (events.Text('\xfcx'), events.Binary(b'xyz'), events.Ping(b'1'), events.Pong(b'12'),
                  events.Poll(), events.Closing(1000, 'bye'), events.Closed(None, ''),
                  events.Rejected(response, 'no'),
                  events.Ready(response, 'chat', set(['b', 'a']))):
        plan.on_event(event)
    url = 'ws://me:***@example.test/chat'
    assert records == [dict(record, url=url) for record in (
        {'stage': 'tls_wrapped', 'verify': True}, {'stage': 'socket_send', 'length': 5},
        {'stage': 'send_pong', 'length': 3}, {'stage': 'close_requested', 'code': 1000, 'reason': ''},
        {'stage': 'socket_recv', 'length': 6}, {'stage': 'message_text', 'length': 3},
        {'stage': 'message_binary', 'length': 3}, {'stage': 'message_ping', 'length': 1},
        {'stage': 'message_pong', 'length': 2}, {'stage': 'message_close', 'code': 1000, 'reason': 'bye'},
        {'stage': 'message_close', 'code': None, 'reason': ''},
        {'stage': 'handshake_rejected', 'reason': 'no', 'status_code': 403},
        {'stage': 'handshake_ready', 'protocol': 'chat', 'extensions': ['a', 'b']})]


def test_trace_without_a_callable(quiet, caplog):
    """Any truthy value: to the log, whether or not that is enabled now."""
    quiet.setLevel(logging.DEBUG)
    Plan(websocket_of(trace=True)).emit('connect_start', poll=5)
    record, = caplog.records
    assert (record.name, record.levelno) == ('lomond', logging.DEBUG)
    assert 'connect_start' in record.getMessage() and 'pw' not in record.getMessage()


def test_trace_that_raises(quiet, caplog):
    def broken(record):
        raise ValueError('broken callback')
    quiet.setLevel(logging.DEBUG)
    Plan(websocket_of(trace=broken)).emit('connect_start')
    assert [record.levelno for record in caplog.records] == [logging.DEBUG, logging.WARNING]
    assert 'broken callback' in caplog.text


def test_record_before_the_url_is_known(quiet):
    records = []
    Plan(websocket_of(lambda: 'ws://x/', trace=records.append)).emit('connect_start')
    assert records == [{'stage': 'connect_start', 'url': ''}]


@pytest.mark.parametrize('added, given, sent', [
    ([], [('Authorization', 'a'), ('authorization', 'b')], [b'b']),
    ([b'x', b'y'], [('Authorization', 'a')], [b'y']),
    ([b'x'], [], [b'x']),
])
def test_one_authorization(added, given, sent):
    from lomond import WebSocket
    ws = WebSocket('ws://u:p@example.test/', headers=given, auth=('v', 'q'))
    for value in added:
        ws.add_header(b'Authorization', value)
    lines = [line for line in ws.build_request().split(b'\r\n') if line.lower().startswith(b'authorization')]
    assert [line.split(b': ')[1] for line in lines] == sent
