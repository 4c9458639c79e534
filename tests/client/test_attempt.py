# -*- coding: utf-8 -*-
"""Connection attempts: requests, what answers lead to, observers."""

from __future__ import absolute_import, division, unicode_literals

import logging
import re
import sys
import threading

import pytest
from support.client import in_thread
from support.cookies import CookieJar
from support.interrupt import EVENTS, each_step

from lomond import WebSocket, errors, events
from lomond.auth import DigestAuth
from lomond.client.attempt import Attempt, is_overridden
from lomond.client.trace import Observer, make_observer
from lomond.opcode import Opcode
from lomond.response import Response
from lomond.session import WebsocketSession

CHALLENGE = b'WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"'


def websocket_of(url='ws://me:pw@example.test/chat', **options):
    return WebSocket(url, proxies={}, **options)


def attempt_of(*args, **options):
    """An attempt that is ready to go, and its WebSocket."""
    websocket = websocket_of(*args, **options)
    assert websocket.state.prepare() is None
    return websocket.state, websocket


def listening(*args, **options):
    """An attempt as ``connect()`` makes it."""
    attempt = websocket_of(*args, **options).state
    attempt.listen()
    return attempt


def answer(status, *lines):
    return Response(b'HTTP/1.1 ' + status.encode('ascii') + b' x\r\n' + b''.join(
        line + b'\r\n' for line in lines) + b'\r\n')


def follow(attempt, response):
    """``(what it leads to, reason)``; as the core does, ask first whether it goes on."""
    goes_on = attempt.goes_on(response)
    event = events.Rejected(response, 'no')
    step = attempt.follow(event)
    assert goes_on == (step is not None)
    return step, event.reason


def lines_of(websocket, *names):
    """Lines of the request; those that begin with a name, if there are names."""
    lines = websocket.build_request().decode('utf-8').split('\r\n')[:-2]
    return [line for line in lines if not names or line.startswith(names)]


# -- what an answer leads to

@pytest.mark.parametrize('status', [
    '200', '300', '304', '305', '400', '401', '404', '407', '500', '999', 'abc', '1010'])
def test_other_answers_are_the_end(status):
    attempt, _ = attempt_of(max_redirects=5)
    assert follow(attempt, answer(status, b'Location: /x', CHALLENGE)) == (None, 'no')


@pytest.mark.parametrize('status', ['301', '302', '303', '307', '308'])
def test_redirect(status):
    attempt, websocket = attempt_of(max_redirects=1)
    assert follow(attempt, answer(status, b'Location: /x', b'Location: /y')) == ('ws://example.test/x', 'no')
    assert websocket.resource == '/x' and attempt.shows_connected
    assert attempt.shown_url == 'ws://me:***@example.test/chat'
    assert follow(attempt, answer(status, b'Location: /y')) == (
        None, 'no; more than 1 redirects (max_redirects)')


def test_redirects_are_not_asked_for():
    attempt, _ = attempt_of()
    assert follow(attempt, answer('302', b'Location: /x')) == (None, 'no')


@pytest.mark.parametrize('location, words', [
    (None, 'redirect has no location'), (b'ws://x:99999/', 'redirect location .* has a port .*'),
    (b'ws://example.test/', 'redirect from wss to ws refused: ws://example.test/')])
def test_redirects_that_are_refused(location, words):
    attempt, websocket = attempt_of('wss://example.test/', max_redirects=5)
    step, reason = follow(attempt, answer('302', *[b'Location: ' + location] if location else []))
    assert step is None and re.match('no; ' + words, reason)
    assert websocket.resource == '/'


def test_digest_is_answered_once_for_each_request():
    auth = DigestAuth('me', 'pw')
    attempt, websocket = attempt_of('ws://example.test/chat?x=1', auth=auth, max_redirects=1)
    key = websocket.key
    assert follow(attempt, answer('401', CHALLENGE)) == (Attempt.SILENT, 'no')
    assert not attempt.shows_connected
    attempt.restart()
    assert attempt.prepare() is None
    assert websocket.key != key
    authorization, = lines_of(websocket, 'Authorization')
    assert 'uri="/chat?x=1"' in authorization and 'nc=00000001' in authorization
    assert follow(attempt, answer('401', CHALLENGE)) == (None, 'no')
    # Another resource of the same server may be challenged anew.
    assert follow(attempt, answer('302', b'Location: /y'))[0] == 'ws://example.test/y'
    assert attempt.shows_connected
    assert not lines_of(websocket, 'Authorization')
    assert follow(attempt, answer('401', CHALLENGE))[0] == Attempt.SILENT


@pytest.mark.parametrize('value, words', [
    (5, 'its answer must be text, not int'), (['Secret'], 'its answer must be text, not list'),
    ('Secret\n', "header 'Authorization' has '\\n' in its value"),
    ('Secret\u20ac', 'its answer has a character above U+00FF'), ('Secret\ud800', 'half a surrogate pair')])
def test_answer_that_is_no_header(value, words):
    """What another object than DigestAuth says may be wrong, and secret."""
    class Auth(object):
        def answer(self, header_lines, method, uri):
            return value

    attempt, _ = attempt_of(auth=Auth())
    assert follow(attempt, answer('401', CHALLENGE))[0] == Attempt.FAILED
    reason, error, stage = attempt.failure
    assert reason.startswith('unable to connect; the auth object failed: ') and words in reason
    assert 'Secret' not in reason + repr(error) and stage == 'upgrade'


def test_digest_takes_the_place_of_what_was_refused():
    attempt, websocket = attempt_of(auth=DigestAuth('me', 'pw'), headers={'Authorization': 'Bearer old'})
    websocket.add_header(b'authorization', b'older')
    assert 'Bearer old' not in str(lines_of(websocket)) and 'older' in str(lines_of(websocket))
    follow(attempt, answer('401', CHALLENGE))
    found = [line for line in lines_of(websocket) if line.lower().startswith('authorization')]
    assert len(found) == 1 and found[0].startswith('Authorization: Digest ')


def test_digest_is_not_for_strangers():
    attempt, _ = attempt_of(auth=DigestAuth('me', 'pw'), max_redirects=5)
    assert follow(attempt, answer('302', b'Location: ws://other.test/'))[0] == 'ws://other.test/'
    assert follow(attempt, answer('401', CHALLENGE)) == (None, DROPPED)


@pytest.mark.parametrize('locations, has_secrets', [
    (['/x', '/y'], True), (['ws://EXAMPLE.test:80/'], True), (['https://example.test/', '/x'], True),
    (['wss://example.test:444/'], False), (['wss://a.example.test/', 'wss://example.test/'], False),
    (['ws://example.test:81/'], False), (['ws://a.example.test/'], False),
    (['ws://other.test/', 'ws://example.test/'], False)])
@pytest.mark.parametrize('options', [
    {}, {'auth': ('me', 'pw')}, {'headers': {'Authorization': 'x', 'Cookie': 'a=b', 'Host': 'x'}},
    {'cookies': {'a': 'b'}}])
def test_secrets_and_origins(locations, has_secrets, options):
    url = 'ws://example.test/' if options else 'ws://me:pw@example.test/'
    attempt, websocket = attempt_of(url, max_redirects=9, **options)
    before = lines_of(websocket, 'Authorization', 'Cookie', 'Host: x')
    assert before
    for location in locations:
        assert follow(attempt, answer('302', b'Location: ' + location.encode('ascii')))[0]
        attempt.restart()
        attempt.prepare()
    assert lines_of(websocket, 'Authorization', 'Cookie', 'Host: x') == (before if has_secrets else [])


@pytest.mark.parametrize('hops', [
    ['ws://other.test/', 'ws://example.test/'],                                 # A, B, A
    ['ws://other.test/', '/2'],                                                 # A, B, B/2
    ['ws://other.test/', '/2', 'ws://example.test/'],                           # A, B, B/2, A
    ['ws://other.test/', 'ws://example.test/', '/2', '/3'],                     # A, B, A, A/2, A/3
    ['ws://other.test/', 'ws://third.test/', 'ws://other.test/2', '/3'],        # A, B, C, B/2, B/3
    ['wss://example.test/', 'wss://other.test/', 'wss://example.test/']])       # A, A with TLS, B, A
@pytest.mark.parametrize('options', [
    {}, {'auth': ('me', 'pw')}, {'headers': {'Authorization': 'x', 'Cookie': 'a=b', 'Host': 'secret'}},
    {'cookies': {'a': 'b'}}, {'cookies': 'a=b'}, {'auth': DigestAuth('me', 'pw')}])
def test_dropped_secrets_stay_dropped(hops, options):
    """At each hop after the first foreign one, wherever it leads."""
    url = 'ws://example.test/' if options else 'ws://me:pw@example.test/'
    attempt, websocket = attempt_of(url, max_redirects=9, **options)
    websocket.add_header(b'Cookie' if options.get('headers') else b'X-Kept', b'added')
    for hop in hops:
        assert follow(attempt, answer('302', b'Location: ' + hop.encode('ascii')))[0]
        attempt.restart()
        assert attempt.prepare() is None
        if hop.startswith('wss://example') and not attempt.left_origin:
            continue
        names = [line.split(':')[0] for line in lines_of(websocket)]
        assert 'Authorization' not in names and 'Cookie' not in names
        assert ('X-Kept' in names) != ('headers' in options)
        assert 'Host: secret' not in lines_of(websocket)
        assert follow(attempt, answer('401', CHALLENGE)) == (None, DROPPED)


DROPPED = 'no; credentials were dropped: a redirect led to another origin'


@pytest.mark.parametrize('options, dropped', [
    ({'auth': ('me', 'pw')}, True), ({'cookies': 'a=b'}, True), ({'headers': {'cookie': 'a=b'}}, True),
    ({'headers': lambda: [('AUTHORIZATION', 'x')]}, True), ({'ssl_cert': 'x.pem'}, True),
    ({'url': 'wss://me@example.test/'}, True), ({'cookies': CookieJar()}, False),
    ({'headers': {'Host': 'x', 'X': 'y'}, 'server_hostname': 'x', 'cookies': {}}, False)])
def test_reason_says_that_credentials_were_dropped(options, dropped):
    options = dict(dict(url='wss://example.test/'), **options)
    for location, has_left in ((b'/x', False), (b'wss://other.test/', True)):
        for status in ('401', '403', '404'):
            attempt, _ = attempt_of(max_redirects=1, **options)
            follow(attempt, answer('302', b'Location: ' + location))
            assert follow(attempt, answer(status)) == (
                None, DROPPED if dropped and has_left and status != '404' else 'no')


@pytest.mark.parametrize('url, hops', [
    ('wss://example.test/', ['wss://other.test/', 'wss://example.test/', '/x']),
    ('ws://example.test/', ['wss://example.test/', 'wss://example.test:444/', 'wss://example.test/'])])
def test_tls_options_and_origins(url, hops):
    """The certificate and the name are for the first origin, the fingerprint for all."""
    options = dict(ssl_cert='x.pem', server_hostname='x.test', ssl_fingerprint='sha256:' + 'ab' * 32)
    attempt, websocket = attempt_of(url, max_redirects=9, **options)
    for number, hop in enumerate(['/y'] + hops):
        follow(attempt, answer('302', b'Location: ' + hop.encode('ascii')))
        attempt.restart()
        tls = attempt.route(WebsocketSession(websocket)).tls
        is_first = number == 0 or (number == 1 and url.startswith('ws:'))
        assert (tls['cert'], tls['name']) == (('x.pem', 'x.test') if is_first else (None, None))
        assert tls['fingerprint'] == options['ssl_fingerprint']
    assert websocket.ssl_cert == 'x.pem'


@pytest.mark.parametrize('location, goes_on', [
    (b'/x', True), (b'wss://example.test/', True), (b'ws://other.test/', False),
    (b'ws://example.test:81/', False)])
def test_unix_socket_leads_to_one_origin(location, goes_on):
    attempt, _ = attempt_of('ws://example.test/', max_redirects=5, uds='/x')
    step, reason = follow(attempt, answer('302', b'Location: ' + location))
    assert (step is not None) is goes_on
    assert reason == ('no' if goes_on else
                      'no; redirect to another origin refused: uds leads to the first one only')


# -- callables

def test_callables_are_asked_once():
    asked = []
    websocket = websocket_of(lambda: asked.append('url') or 'ws://example.test/',
                             headers=lambda: asked.append('headers') or {'X': '1'})
    assert (websocket.scheme, websocket.host, websocket.port, websocket.resource) == (None,) * 4
    attempt = websocket.state
    assert attempt.shown_url == ''
    assert attempt.prepare() is None and attempt.prepare() is None
    assert 'X: 1' in lines_of(websocket)
    assert asked == ['url', 'headers']
    assert (websocket.scheme, websocket.host, websocket.port, websocket.resource) == (
        'ws', 'example.test', 80, '/')


def test_callable_that_fails_the_second_time():
    """The URL of the previous connection is not shown."""
    urls = ['ws://example.test/', 5]
    websocket = websocket_of(lambda: urls.pop(0))
    assert websocket.state.prepare() is None
    websocket.reset()
    attempt = websocket.state
    reason, error, stage = attempt.prepare()
    assert (reason, stage) == ('unable to connect; url must be text, not int', 'prepare')
    assert isinstance(error, TypeError)
    assert attempt.shown_url == ''


def test_callable_must_not_name_the_proxys_password():
    websocket = websocket_of(headers=lambda: {'Proxy-Authorization': 'Basic c2VjcmV0'})
    reason, error, stage = websocket.state.prepare()
    assert stage == 'prepare' and isinstance(error, ValueError)
    assert 'proxy_headers' in reason and 'c2VjcmV0' not in reason + repr(error)


# -- the order of connections

def test_one_at_a_time():
    websocket = websocket_of()
    first, second = (WebsocketSession(websocket) for _ in range(2))
    attempt = websocket.state
    attempt.session = second
    with pytest.raises(errors.WebSocketError):
        attempt.begin(first)               # a later connect() has taken its place
    attempt.begin(second)
    for _ in range(2):
        with pytest.raises(errors.WebSocketError):
            attempt.begin(second)
        attempt.end(first)                 # not the session that is running
    attempt.end(second)
    attempt.begin(second)


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
    assert websocket.state.route(session).wrap is len
    assert websocket.state.route(WebsocketSession(websocket)).wrap is None


# -- observers

@pytest.fixture
def quiet():
    """DEBUG is disabled, whatever other tests have set."""
    logger = logging.getLogger('lomond')
    before = logger.level
    logger.setLevel(logging.WARNING)
    yield logger
    logger.setLevel(before)


def test_nobody_listens(quiet):
    attempt = listening()
    assert make_observer(None, 'ws://x/') is None
    assert (attempt.on_event, attempt.on_sent, attempt.on_reply, attempt.on_received) == (None,) * 4
    attempt.emit('connect_start')


def test_trace(quiet):
    records = []
    attempt = listening(trace=records.append)
    attempt.emit('tls_wrapped', verify=True)
    attempt.on_sent(5)
    attempt.on_reply(Opcode.PONG, b'123')
    attempt.on_reply(Opcode.CLOSE, b'\x03\xe8')
    attempt.on_reply(Opcode.CLOSE, b'')
    attempt.on_received(6)
    assert len(records) == 1, 'only noted'
    response = answer('403')
    for event in (events.Text('\xfcx'), events.Binary(b'xyz'), events.TextPart('\xfc', True, False),
                  events.BinaryPart(b'', False, True), events.Ping(b'1'), events.Pong(b'12'),
                  events.Poll(), events.Closing(1000, 'bye'), events.Closed(None, ''),
                  events.Rejected(response, 'no'), events.Ready(response, 'chat', set(['b', 'a']))):
        attempt.on_event(event)
    url = 'ws://me:***@example.test/chat'
    assert records == [dict(record, url=url) for record in (
        {'stage': 'tls_wrapped', 'verify': True}, {'stage': 'socket_send', 'length': 5},
        {'stage': 'send_pong', 'length': 3}, {'stage': 'close_requested', 'code': 1000, 'reason': ''},
        {'stage': 'socket_recv', 'length': 6}, {'stage': 'message_text', 'length': 3},
        {'stage': 'message_binary', 'length': 3}, {'stage': 'message_text', 'length': 2},
        {'stage': 'message_binary', 'length': 0}, {'stage': 'message_ping', 'length': 1},
        {'stage': 'message_pong', 'length': 2}, {'stage': 'message_close', 'code': 1000, 'reason': 'bye'},
        {'stage': 'message_close', 'code': None, 'reason': ''},
        {'stage': 'handshake_rejected', 'reason': 'no', 'status_code': 403},
        {'stage': 'handshake_ready', 'protocol': 'chat', 'extensions': ['a', 'b']})]


def test_trace_without_a_callable(quiet, caplog):
    """Any other true value means the log, whether or not it is enabled now."""
    quiet.setLevel(logging.DEBUG)
    listening(trace=True).emit('connect_start', poll=5)
    record, = caplog.records
    assert (record.name, record.levelno) == ('lomond', logging.DEBUG)
    assert 'connect_start' in record.getMessage() and 'pw' not in record.getMessage()


def test_trace_that_raises(quiet, caplog):
    def broken(record):
        raise ValueError('broken callback')
    quiet.setLevel(logging.DEBUG)
    listening(trace=broken).emit('connect_start')
    assert [record.levelno for record in caplog.records] == [logging.DEBUG, logging.WARNING]
    assert 'broken callback' in caplog.text


def test_log_handler_that_raises(quiet, capsys, monkeypatch):
    """It is shown as the module does it, and changes nothing."""
    class Broken(logging.Handler):
        def handle(self, record):
            raise ValueError('broken handler')
    monkeypatch.setattr(quiet, 'handlers', [Broken()])
    quiet.setLevel(logging.DEBUG)
    records = []
    listening(trace=records.append).emit('connect_start')
    assert len(records) == 1 and 'broken handler' in capsys.readouterr()[1]


def test_log_and_callback_fail_while_the_program_exits(quiet, monkeypatch):
    """Nobody can be told then, and nothing is raised."""
    monkeypatch.setattr(quiet, 'handlers', [None])
    quiet.setLevel(logging.DEBUG)
    attempt = listening(trace=[].pop)
    monkeypatch.setitem(sys.modules, 'logging', None)
    attempt.emit('disconnected')


def observed(trace):
    return Observer('ws://x/', trace, None)


@pytest.mark.parametrize('events', EVENTS)
def test_interrupt_while_records_are_told(events):
    """The others are told later, in order, and none twice; one may have been on its way."""
    def run(step):
        told = []
        observer = observed(lambda record: told.append(record.get('length', record['stage'])))
        for number in range(3):
            observer.on_sent(number)
        try:
            with step:
                observer.report()
        except KeyboardInterrupt:
            pass
        observer.note('disconnected')
        observer.emit('disconnected')
        if told[-1:] != ['disconnected'] or sorted(set(told[:-1])) != told[:-1] or len(told) < 3:
            return repr(told)
    assert each_step(run, events=(events,)) > 5


def test_order_of_records_of_two_threads():
    """What is noted while another thread tells is told by that one."""
    told, entered, go_on = [], threading.Event(), threading.Event()

    def trace(record):
        told.append(record['length'])
        entered.set()
        go_on.wait(5)
    observer = observed(trace)
    thread = in_thread(observer.emit, 'socket_recv', length=1)
    entered.wait(5)
    observer.emit('socket_recv', length=2)
    assert told == [1]
    go_on.set()
    thread.join()
    assert told == [1, 2]


def test_callback_that_does_not_return():
    """What waits for it is bounded: others tell it."""
    told, entered, go_on = [], threading.Event(), threading.Event()

    def trace(record):
        if record['length']:
            told.append(record['length'])
        else:
            entered.set()
            go_on.wait(5)
    observer = observed(trace)
    thread = in_thread(observer.emit, 'socket_recv', length=0)
    entered.wait(5)
    for number in range(1, 3000):
        observer.emit('socket_recv', length=number)
    assert told == list(range(1, len(told) + 1)) and len(told) > 1500
    go_on.set()
    thread.join()
    assert len(told) == 2999


def test_record_before_the_url_is_known(quiet):
    records = []
    attempt = listening(lambda: 'ws://x/', trace=records.append)
    attempt.emit('connect_start')
    attempt.prepare()
    attempt.emit('disconnected')
    assert records == [{'stage': 'connect_start', 'url': ''}, {'stage': 'disconnected', 'url': 'ws://x/'}]
