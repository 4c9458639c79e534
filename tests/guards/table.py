"""The bounds, limits, orders and invariants of behaviour.md, and what keeps each in the library.

``G(section, name, file of lomond/, text, what it becomes without the guard, tests...)``.  ``run.py``
takes them out one at a time, and each of the tests must fail; ``test_guards.py`` sees that texts
and tests are there.  A text has to be in its file exactly once: choose it short.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import os

from support.paths import find_test

Guard = collections.namedtuple('Guard', 'section name file old new tests')

GUARDS = []


def G(section, name, file, old, new, *tests):
    """Add one entry; tests as ``file::function`` without ``test_`` and ``.py``."""
    names = []
    for test in tests:
        test_file, _, function = test.partition('::')
        names.append(find_test('test_%s.py' % test_file).replace(os.sep, '/') + '::test_' + function)
    GUARDS.append(Guard(section, name, file, old, new, tuple(names)))


# -- 1. Event sequences ------------------------------------------------------------------------

G('1', 'server closes: its close is echoed', 'protocol/connection.py',
  'elif core.state is states.REMOTE_CLOSING:', 'elif False:',
  'frame_parser::close_is_echoed', 'sequences::server_closes')
G('1', 'server closes: the echo goes out after Closing was handled', 'protocol/connection.py',
  'return kind(core.close_code, core.close_reason)',
  'core.queue_close(core.close_code)\n    return kind(core.close_code, core.close_reason)',
  'sequences::echo_is_written_after_closing_was_handled')
G('1', 'server closes: sending while Closing is handled works', 'protocol/states.py',
  "'REMOTE_CLOSING', 'active', may_send=True, ends_graceful=True)",
  "'REMOTE_CLOSING', 'active', ends_graceful=True, refusal=errors.WebSocketClosing)",
  'sequences::server_closes', 'states::flags')
G('1', 'client closes: graceful', 'protocol/states.py',
  "CLOSED = State('CLOSED', 'closed', ends_graceful=True,", "CLOSED = State('CLOSED', 'closed',",
  'states::flags')
G('1', 'both close at once: no echo', 'protocol/states.py',
  'except IndexError:\n            return False', 'except IndexError:\n            return True',
  'states::second_close_frame_is_never_made', 'states::races_for_the_close_frame')
G('1', 'refused: the cause begins "unable to connect"', 'network/dialer.py',
  "_UNABLE = 'unable to connect'", "_UNABLE = 'cannot connect'",
  'sequences::refused')
G('1', 'refused: every address is named', 'network/happy_eyeballs.py',
  "return ', '.join(self._failures + pending)", 'return (self._failures + pending)[-1]',
  'dialing::all_are_refused')
G('1', 'refused: addresses that gave no answer are named, too', 'network/happy_eyeballs.py',
  'self._failures + pending', 'self._failures',
  'dialing::time_limit_names_every_address')
G('1', 'name does not resolve: the words of the resolver', 'network/dialer.py',
  'error_text(lookup.error)', "'no such name'",
  'dialing::name_that_does_not_resolve')
G('1', 'certificate: the own words of the verifier', 'network/tls_errors.py',
  "text = _FRAME.sub('', text).rstrip('.')", "text = 'certificate verify failed'",
  'tls_errors::describe')
G('1', 'certificate: host and names, below 3.7 by ourselves', 'network/tls_context.py',
  'if ip_bytes(host) not in addresses:', 'if False:',
  'tls_context::address_not_in_the_certificate')
G('1', 'proxy down: its own words', 'network/dialer.py',
  "_UNABLE_PROXY = 'unable to connect to proxy'", "_UNABLE_PROXY = 'unable to connect'",
  'proxies::proxy_is_down')
G('1', 'proxy refuses: status and reason', 'network/proxy_handshake.py',
  'if code >= 300 or code == 101:', 'if code == 101:',
  'proxy_handshake::connect_refused')
G('1', 'proxy refuses: SOCKS5 authentication failed', 'network/proxy_handshake.py',
  'if status:\n', 'if False:\n',
  'proxy_handshake::socks5_authentication_fails')
G('1', 'proxy refuses: no acceptable authentication method', 'network/proxy_handshake.py',
  'if method == 0xff:', 'if False:',
  'proxy_handshake::socks5_fails')
G('1', 'proxy refuses: the SOCKS5 reply in words', 'network/proxy_handshake.py',
  "'SOCKS5 ' + self._FAILURES.get(reply, ", "'SOCKS5 ' + {}.get(reply, ",
  'proxy_handshake::socks5_fails')
G('1', 'proxy refuses: the SOCKS4 reply in words', 'network/proxy_handshake.py',
  "'SOCKS4 ' + self._FAILURES.get(reply, ", "'SOCKS4 ' + {}.get(reply, ",
  'proxy_handshake::socks4_fails')
G('1', 'proxy refuses: the socket is closed', 'session.py',
  'self._dial = None\n            dial.close()', 'self._dial = None',
  'proxies::proxy_is_silent')
G('1', 'request cannot be sent: request failed', 'session.py',
  "'request failed; ' + describe_error(error)", 'describe_error(error)',
  'sequences::request_cannot_be_sent')
G('1', 'any step too long: ConnectFail with the stage', 'session.py',
  'if self._deadline is not None and self._waiting.monotonic() >= self._deadline:', 'if False:',
  'sequences::tcp_times_out', 'proxies::proxy_is_silent', 'tls::tls_that_never_ends')
G('1', 'close() at Connecting: no connection is made', 'session.py',
  'if self._stopped is not None or not self._core.state.is_active:', 'if False:',
  'sequences::close_at_connecting')
G('1', 'close() at Connecting: closed is in the reason', 'session.py',
  "problem + '; closed'", 'problem',
  'sequences::close_at_connecting')
G('1', 'close() at Connected: no frame is sent', 'protocol/connection.py',
  'return payload if self.was_open and state is not states.DISCONNECTED else None', 'return payload',
  'connection_sending::close_before_ready', 'sequences::close_at_connected')
G('1', 'status other than 101: Rejected', 'protocol/handshake.py',
  'if response.status_code != 101:', 'if False:',
  'handshake::rejected')
G('1', 'Rejected ends graceful, and is_closed', 'protocol/states.py',
  "'REJECTED', 'closed', ends_graceful=True,", "'REJECTED', 'closing',",
  'states::flags')
G('1', 'Rejected: feed() hands it out at the end of the head', 'protocol/connection.py',
  'if _wants_body(core.collect_body, event.response):', 'if True:',
  'connection::rejected_at_the_end_of_the_head')
G('1', 'Rejected: the body is waited for', 'session.py',
  'core.collect_body = plan.wants_body', 'pass',
  'sequences::rejected_with_a_body')
G('1', 'Rejected: body ends at Content-Length', '_http11.py',
  'self._left = int(min(lengths))', 'pass',
  'http11::body', 'sequences::rejected_with_a_body')
G('1', 'Rejected: body ends at the last chunk', '_http11.py',
  'self.is_complete = not line', 'pass',
  'http11::body')
G('1', 'Rejected: chunks are decoded', '_http11.py',
  "if codings[-1].lower() == 'chunked':", 'if False:',
  'http11::body')
G('1', 'Rejected: body ends with the stream', 'protocol/connection.py',
  'lambda: core.body_over or core.eof', 'lambda: core.body_over',
  'sequences::rejected_body_until_the_end')
G('1', 'Rejected: 64 KiB of body at most', '_http11.py',
  'self.is_complete = (len(self._body) >= self._limit', 'self.is_complete = (False',
  'http11::body_limit')
G('1', 'Rejected: no more than 64 KiB are kept', '_http11.py',
  'data[position:min(end, position + self._limit - len(self._body))]', 'data[position:end]',
  'http11::body_limit')
G('1', 'Rejected: a line of chunked coding has a limit', '_http11.py',
  'elif len(self._line) > _CHUNK_LINE_LIMIT:', 'elif False:',
  'http11::body')
G('1', 'Upgrade wrong: Rejected', 'protocol/handshake.py',
  "if upgrade.lower() != 'websocket':", 'if False:',
  'handshake::rejected')
G('1', 'Upgrade missing: <header missing>', 'protocol/handshake.py',
  "'<header missing>'", "'websocket'",
  'handshake::rejected')
G('1', 'Accept missing: Rejected', 'protocol/handshake.py',
  'if accept is None:', 'if False:',
  'handshake::rejected')
G('1', 'Accept wrong: compared byte for byte', 'protocol/handshake.py',
  "if accept != accept_value(self._key).decode('ascii'):",
  "if accept.lower() != accept_value(self._key).decode('ascii').lower():",
  'handshake::rejected')
G('1', 'not HTTP/1.1: Rejected', 'protocol/handshake.py',
  "if response.http_ver != 'HTTP/1.1':", 'if False:',
  'handshake::rejected')
G('1', 'status is exactly 101', 'response.py',
  '_STATUS_CODE.match(parts[1])', "parts[1].strip('+0').isdigit()",
  'response::status_lines')
G('1', 'Connection needs the token upgrade', 'protocol/handshake.py',
  "missing = _missing_token(response, 'Connection', 'Upgrade')", 'missing = None',
  'handshake::rejected')
G('1', 'Connection: upgrade is a token, no part of one', 'protocol/handshake.py',
  'if token.lower() in [element.lower() for element in head.get_list(name)]:',
  "if token.lower() in head.get(name, '').lower():",
  'handshake::rejected')
G('1', 'subprotocol that was not offered: Rejected', 'protocol/handshake.py',
  'if lines[0] not in self._protocols:', 'if False:',
  'handshake::rejected')
G('1', 'subprotocol twice: Rejected', 'protocol/handshake.py',
  'if len(lines) > 1:', 'if False:',
  'handshake::subprotocol')
G('1', 'redirects: Rejected at the limit', 'client/attempt.py',
  'if self._redirects >= most:', 'if False:',
  'http_answers::redirects_without_end')
G('1', 'redirects: none unless asked for', 'client/attempt.py',
  'not in _REDIRECTS or not most:', 'not in _REDIRECTS:',
  'attempt::redirects_are_not_asked_for')
G('1', 'Digest shows nothing of the 401', 'client/attempt.py',
  'self.answer = value\n            self.shows_connected = False', 'self.answer = value',
  'http_answers::digest')
G('1', 'header block above 64 KiB: at once', '_http11.py',
  'if end > self._limit:', 'if False:',
  'http11::head_limit_without_an_end', 'sequences::no_http')
G('1', '30 KiB of headers are fine', '_http11.py',
  'HEAD_LIMIT = BODY_LIMIT = 64 * 1024', 'HEAD_LIMIT = 16 * 1024\nBODY_LIMIT = 64 * 1024',
  'handshake::thirty_kilobytes_of_headers')
G('1', 'a first line that is no HTTP: at once', '_http11.py',
  'if not good:', 'if False:',
  'sequences::no_http', 'http11::no_http_is_noticed_at_once')
G('1', 'no HTTP: critical', 'protocol/connection.py',
  'ProtocolError(failure, True)', 'ProtocolError(failure, False)',
  'connection::no_http')
G('1', 'after both close frames: graceful whatever comes', 'protocol/states.py',
  "ECHOED = State('ECHOED', 'closing', ends_graceful=True,", "ECHOED = State('ECHOED', 'closing',",
  'sequences::anything_after_both_close_frames', 'sequences::server_closes_and_is_gone')
G('1', 'server closes and is gone: graceful though no echo could go', 'protocol/states.py',
  "'REMOTE_CLOSING', 'active', may_send=True, ends_graceful=True)",
  "'REMOTE_CLOSING', 'active', may_send=True)",
  'states::flags')
G('1', 'drop after our close, unanswered: not graceful', 'protocol/states.py',
  "LOCAL_CLOSING = State('LOCAL_CLOSING', 'closing', may_pong=True,",
  "LOCAL_CLOSING = State('LOCAL_CLOSING', 'closing', may_pong=True, ends_graceful=True,",
  'sequences::dropped_after_our_close', 'states::flags')
G('1', 'violation: the event before the close frame', 'protocol/connection.py',
  'return _stamp(core, ProtocolError(text, critical))',
  'core.queue_close(code, text)\n    return _stamp(core, ProtocolError(text, critical))',
  'connection::close_frame_of_a_failure_is_queued_after_its_event')
G('1', 'violation: Close 1002', 'protocol/connection.py',
  'code = Status.PROTOCOL_ERROR', 'code = Status.NORMAL',
  'connection::close_codes_of_failures', 'sequences::violation')
G('1', 'violation by size: Close 1009', 'protocol/connection.py',
  'code = Status.MESSAGE_TOO_LARGE', 'code = Status.PROTOCOL_ERROR',
  'connection::close_codes_of_failures', 'sequences::violation')
G('1', 'invalid data: critical, Close 1007', 'protocol/connection.py',
  'code = Status.BAD_DATA', 'code = Status.PROTOCOL_ERROR',
  'connection::close_codes_of_failures', 'sequences::violation')
G('1', 'violation: the error is the text of the Close', 'protocol/connection.py',
  'close_frame.extend((code, text))', 'close_frame.extend((code,))',
  'frame_parser::wrong[rsv2]')
G('1', 'violation: our side is shut down after it', 'driver/driver.py',
  'self.stream.shutdown_write()', 'pass',
  'sequences::violation_ends_our_side_at_once')
G('1', 'violation: input is discarded', 'protocol/connection.py',
  'core.receive_buffer.drop()          # bytes', 'pass          # bytes',
  'connection::bytes_after_the_end_are_not_kept')
G('1', 'violation: for 0.5 s at most', 'driver/deadlines.py',
  'DISCARD_WAIT = 0.5', 'DISCARD_WAIT = 6.0',
  'deadlines::defaults', 'sequences::violation_and_a_peer_that_goes_on')
G('1', 'loop left: the socket is closed', 'session.py',
  '        finally:\n            self._clean_up()\n\n    def waits',
  '        finally:\n            pass\n\n    def waits',
  'sequences::loop_is_left')
G('1', 'loop left: not active', 'session.py',
  'self._ended_time = self.session_time\n        self._core.disconnect()',
  'self._ended_time = self.session_time',
  'sequences::loop_is_left')
G('1', 'Connecting comes first', 'session.py',
  'yield Connecting(plan.shown_url)\n        if', 'pass\n        if',
  'sequences::server_closes')
G('1', 'nothing follows ConnectFail', 'session.py',
  'yield ConnectFail(*failure)\n',
  'yield ConnectFail(*failure)\n            yield Disconnected(failure[0])\n',
  'sequences::refused')
G('1', 'no message after Closing or Closed', 'protocol/frame_parser.py',
  'yield event\n                        return', 'yield event\n                        continue',
  'frame_parser::nothing_counts_after_close', 'frame_parser::generator_ends_after_a_close_frame')
G('1', 'no message while force_disconnect() is under way', 'protocol/frame_parser.py',
  'while not given_up:', 'while True:',
  'sequences::force_disconnect_drops_what_is_in_hand', 'connection::disconnect_between_two_messages')
G('1', 'feed() yields nothing after the end, though an earlier one was left', 'client/feed.py',
  'if core.state.is_closed: ', 'if False: ',
  'websocket::feed_that_is_abandoned')
G('1', 'text of the peer is escaped: status and headers', 'response.py',
  "shown = value[:limit].encode('unicode_escape').decode('ascii')", 'shown = value[:limit]',
  'response::escape', 'handshake::rejected')
G('1', 'text of the peer is cut: status and headers', 'response.py',
  "return shown + '...' if len(value) > limit else shown", 'return shown',
  'response::escape')
G('1', 'text of the peer is cut: certificates', 'network/tls_errors.py',
  'return printable(text, _CUT)', 'return text',
  'tls_errors::describe')
G('1', 'text of the peer is escaped: Location', 'network/url.py',
  "shown = text[:limit].encode('unicode_escape').decode('ascii')", 'shown = text[:limit]',
  'url::printable')
G('1', 'text of the peer is cut: Location', 'network/url.py',
  "return shown[:limit] + '...' if len(text) > limit or len(shown) > limit else shown", 'return shown',
  'url::printable')
G('1', 'close frame of a failure is cut to 123 bytes', 'protocol/frames.py',
  'if cut > MAX_CLOSE_REASON:', 'if False:',
  'connection::reason_of_a_failure_is_cut', 'frames::longest_reason')
G('1', 'order: answers are written before the next frame is looked at', 'protocol/connection.py',
  '        for event in self.events:\n            if event is None:\n'
  '                break\n            yield event\n',
  '        for event in list(iter(self.events.__next__, None)):\n            yield event\n',
  'connection::iterator_is_lazy')
G('1', 'order: a pong is written before its Ping', 'driver/driver.py',
  'if pending:\n                        writer.try_flush()',
  'if False:\n                        writer.try_flush()',
  'sequences::pong_is_written_before_its_event')
G('1', 'order: a pong is queued before its Ping', 'protocol/connection.py',
  'core.send_queue.queue_pong(payload)\n        return Ping(payload)', 'return Ping(payload)',
  'connection::pong_is_queued_before_its_event')
G('1', 'order: what comes in the packet of the 101 is delivered', 'protocol/connection.py',
  'if outcome.surplus:', 'if False:',
  'connection::large_surplus', 'sequences::messages_in_the_packet_of_the_answer')


# -- 2. Connecting -----------------------------------------------------------------------------

G('2', 'connect_timeout is one budget, redirects and a challenge included', 'session.py',
  'failure = plan.restart()            # first',
  'self._deadline = self._connect_timeout and self._waiting.monotonic() + self._connect_timeout\n'
  '            failure = plan.restart()            # first',
  'http_answers::one_deadline')
G('2', 'connect_timeout: the loop wakes for it while dialing', 'session.py',
  'else earliest(self._dial.deadline, self._deadline)', 'else self._dial.deadline',
  'proxies::proxy_is_silent')
G('2', 'connect_timeout ends a look-up that hangs', 'session.py',
  'self._check(dial.problem, dial.stage, dial)\n'
  '                yield None\n                self._check(dial.problem, dial.stage, dial)',
  'yield None',
  'dialing::resolver_that_hangs')
G('2', 'a look-up that hangs is left in a daemon thread', 'network/resolver.py',
  'thread.daemon = True', 'pass',
  'resolver::threads_are_daemons')
G('2', 'look-ups that hang are bounded: 8', 'network/resolver.py',
  'if is_full and not any(known.wakes for known in table.known.values()):', 'if False:',
  'resolver::left_behind', 'dialing::resolver_that_hangs_for_all')
G('2', 'look-ups at a time are bounded: 8', 'network/resolver.py',
  'is_full = table.running >= MOST_AT_A_TIME', 'is_full = False',
  'resolver::more_wait_for_their_turn')
G('2', 'one look-up for one name', 'network/resolver.py',
  'lookup = table.known.get(key)', 'lookup = None',
  'resolver::joined')
G('2', 'getaddrinfo is looked up at call time', 'network/resolver.py',
  'getaddrinfo = socket.getaddrinfo\n    host', 'getaddrinfo = _getaddrinfo\n    host',
  'resolver::joined_only_when_the_resolver_is_the_same', 'resolver::addresses_of_a_patched_resolver')
G('2', 'socket addresses of the resolver are used as they come', 'network/happy_eyeballs.py',
  'sock.connect(sockaddr)', 'sock.connect(sockaddr[:2])',
  'dialer::attempts_are_spaced')
G('2', 'names are ASCII before the thread starts', 'network/url.py',
  'host = ascii_name(host)\n', 'pass\n',
  'url::good', 'dialing::international_name')
G('2', 'addresses: families take turns', 'network/happy_eyeballs.py',
  'queue = collections.deque(interleave(addresses))', 'queue = collections.deque(addresses)',
  'dialing::families_take_turns')
G('2', 'addresses: 250 ms between attempts', 'network/happy_eyeballs.py',
  'ATTEMPT_DELAY = 0.25', 'ATTEMPT_DELAY = 5.0',
  'dialing::dead_first_address')
G('2', 'addresses: not all at once', 'network/happy_eyeballs.py',
  'while queue and self.winner is None and (not self._pending or now >= next_start):',
  'while queue and self.winner is None:',
  'dialer::attempts_are_spaced')
G('2', 'addresses: a refusal starts the next at once', 'network/happy_eyeballs.py',
  'next_start = clock()    # a refusal', 'pass       # a refusal',
  'dialer::refusal_starts_the_next_at_once')
G('2', 'addresses: the first that connects wins', 'network/happy_eyeballs.py',
  'if self.winner is None and fd in self._pending', 'if fd in self._pending',
  'dialer::first_of_two_that_are_ready_wins')
G('2', 'addresses: losers are closed', 'network/happy_eyeballs.py',
  'for sock, _ in self._pending.values():\n            sock.close()',
  'for sock, _ in ():\n            sock.close()',
  'dialer::first_of_two_that_are_ready_wins', 'dialer::first_that_connects_wins')
G('2', 'redirects: http(s) means ws(s)', 'network/url.py',
  "'http': 'ws', 'https': 'wss'}", '}',
  'url::resolve_location')
G('2', 'redirects: relative Location', 'network/url.py',
  "path = base_path[:base_path.rindex('/') + 1] + path", "path = '/' + path",
  'url::resolve_location')
G('2', 'redirects: Authorization, Cookie, Host of headers stay behind', 'client/request.py',
  "(b'authorization', b'cookie', b'host')", '()',
  'attempt::secrets_and_origins', 'http_answers::secrets_stay_with_their_origin',
  'http_answers::host_stays_with_its_origin')
G('2', 'redirects: auth and userinfo stay behind', 'client/request.py',
  'if attempt.left_origin:\n        return None', 'if False:\n        return None',
  'http_answers::secrets_stay_with_their_origin')
G('2', 'redirects: cookies stay behind', 'client/request.py',
  'if attempt.left_origin and not is_jar(', 'if False and not is_jar(',
  'http_answers::secrets_stay_with_their_origin')
G('2', 'redirects: Digest is not answered elsewhere', 'client/attempt.py',
  'if self.answer is not None or self.left_origin:', 'if self.answer is not None:',
  'attempt::digest_is_not_for_strangers')
G('2', 'redirects: the answer to a challenge stays behind', 'client/attempt.py',
  'self.answer = None\n        self.target = value', 'self.target = value',
  'attempt::digest_is_answered_once_for_each_request')
G('2', 'redirects: another scheme is another origin', 'network/url.py',
  'self.origin_key = scheme, host, port', 'self.origin_key = host, port',
  'url::same_origin')
G('2', 'redirects: another port is another origin', 'network/url.py',
  'self.origin_key = scheme, host, port', 'self.origin_key = scheme, host',
  'url::same_origin')
G('2', 'redirects: another host is another origin', 'network/url.py',
  'self.origin_key = scheme, host, port', 'self.origin_key = scheme, port',
  'url::same_origin')
G('2', 'redirects: from wss to ws is refused', 'client/attempt.py',
  'if self.target.is_secure and not target.is_secure:', 'if False:',
  'attempt::redirects_that_are_refused', 'http_answers::redirect_from_tls_is_refused')
G('2', 'redirects: userinfo in a Location is dropped', 'network/url.py',
  "authority.rpartition('@')[2]", 'authority',
  'url::resolve_location_elsewhere')
G('2', 'a challenge is answered once', 'client/attempt.py',
  'if self.answer is not None or self.left_origin:', 'if self.left_origin:',
  'attempt::digest_is_answered_once_for_each_request', 'http_answers::digest_is_refused')
G('2', 'CR, LF, NUL in header values are refused', '_http11.py',
  'bad = _BAD_IN_VALUE.search(value)', 'bad = None',
  'http11::bad_headers', 'websocket::refused', 'http_answers::injection')
G('2', 'header names are tokens', '_http11.py',
  'if not is_token(name):', 'if False:',
  'http11::bad_headers')
G('2', 'subprotocols are tokens', 'client/options.py',
  "if not is_token(protocol.encode('utf-8')):", 'if False:',
  'websocket::refused')
G('2', 'subprotocols are there once', 'client/options.py',
  'if protocol in checked:', 'if False:',
  'websocket::refused')
G('2', 'headers of the opening handshake are refused', 'client/options.py',
  "if lower in _HANDSHAKE_HEADERS or lower.startswith(b'sec-websocket-'):", 'if False:',
  'websocket::refused')
G('2', 'URL: white space, control characters, backslash', 'network/url.py',
  'if _FORBIDDEN.search(text):', 'if False:',
  'url::injection')
G('2', 'URL: port 1 - 65535', 'network/url.py',
  'if port and (not number or int(number.group(1)) > 65535):', 'if port and not number:',
  'url::bad')
G('2', 'URL: labels of at most 63', 'network/url.py', 'if len(label) > 63:', 'if False:', 'url::bad')
G('2', 'URL: no empty labels', 'network/url.py',
  'if not label and (number == 0 or number < len(labels) - 1):', 'if False:',
  'url::bad')
G('2', 'URL: no control characters in userinfo', 'network/url.py',
  "if _CONTROL.search(''.join(credentials)):", 'if False:',
  'url::bad')
G('2', 'resource: nothing that would end its line', 'protocol/handshake.py',
  'if _BAD_IN_RESOURCE.search(resource) or not resource:', 'if not resource:',
  'handshake::nothing_is_injected')
G('2', 'TLS 1.2 or newer', 'network/tls_context.py',
  'context.minimum_version = ssl.TLSVersion.TLSv1_2', 'context.minimum_version = ssl.TLSVersion.TLSv1',
  'tls_context::minimum_version')
G('2', 'TLS: no compression', 'network/tls_context.py',
  'context.options |= ssl.OP_NO_COMPRESSION', 'context.options &= ~ssl.OP_NO_COMPRESSION',
  'tls_context::context')
G('2', 'TLS: certificates are required', 'network/tls_context.py',
  'ssl.CERT_REQUIRED if checks_chain', 'ssl.CERT_OPTIONAL if checks_chain',
  'tls_context::context')
G('2', 'TLS: the host name is checked', 'network/tls_context.py',
  'context.check_hostname = checks_name', 'context.check_hostname = False',
  'tls_context::context', 'tls_context::wrong_host')
G('2', 'TLS: no verification only when asked', 'network/tls_context.py',
  'checks_chain = bool(verify) and fingerprint is None', 'checks_chain = False',
  'tls_context::context', 'tls::refused')
G('2', 'TLS: a fingerprint is checked', 'network/tls_context.py',
  'if digest != parse_fingerprint(fingerprint):', 'if False:',
  'tls_context::wrong_fingerprint')
G('2', 'TLS: verify_peer is called', 'network/dialer.py',
  'if not is_overridden:\n                tls_context', 'if False:\n                tls_context',
  'tls::fingerprint')
G('2', 'TLS: no SNI for addresses below 3.7', 'network/tls_context.py',
  'if _matches_addresses(ssl) or (is_callers and', 'if True or (is_callers and',
  'tls_context::server_name')
G('2', 'TLS: SNI for names', 'network/tls_context.py',
  "return native(host[:-1] if host.endswith('.') else host)", 'return None',
  'tls_context::server_name')
G('2', 'TLS: the store of the system comes first', 'network/tls_context.py',
  "if context.cert_store_stats()['x509']:\n        return", 'if False:\n        return',
  'tls_context::machine_store_is_enough')
G('2', 'TLS: certifi when the machine has none', 'network/tls_context.py',
  'context.load_verify_locations(cafile=path)', 'pass',
  'tls_context::certifi')
G('2', 'TLS: SSL_CERT_FILE is heeded', 'network/tls_context.py',
  'context.load_default_certs()', 'pass',
  'tls_context::machine_store', 'tls::environment_names_the_authorities')
G('2', 'TLS: SSLKEYLOGFILE is heeded', 'network/tls_context.py',
  "if path and hasattr(context, 'keylog_filename'):", 'if False:',
  'tls_context::key_log')
G('2', 'TLS: a context of the caller is used as it is', 'network/dialer.py',
  "for_server = tls.get('context') or tls_context.make_context(", 'for_server = tls_context.make_context(',
  'tls::context_is_used_as_it_is')
G('2', 'TLS: the certificate of an https proxy is checked', 'network/dialer.py',
  "for_proxy = tls.get('context') or tls_context.make_context(\n                    tls.get('verify', True)",
  "for_proxy = tls.get('context') or tls_context.make_context(\n                    False",
  'proxies::https_proxy_without_certificate')
G('2', 'TLS in TLS on 2.7: a sentence', 'network/dialer.py',
  "if not hasattr(ssl, 'MemoryBIO'):", 'if False:',
  'dialer::no_memory_bio')
G('2', 'TLS: bytes of the proxy before TLS are refused', 'network/dialer.py',
  'if self.surplus:', 'if False:',
  'proxies::bytes_before_tls_are_refused')
G('2', 'proxies: bytes behind the answer are kept', 'session.py',
  'if self._surplus:', 'if False:',
  'proxies::bytes_behind_the_answer_are_kept')
G('2', 'proxies: an answer above 64 KiB', 'network/proxy_handshake.py',
  'self._reader = HeadReader(_ANSWER_LIMIT)', 'self._reader = HeadReader(1 << 30)',
  'proxy_handshake::connect_fails')
G('2', 'proxies: 1xx answers without end', 'network/proxy_handshake.py',
  'self._room -= len(head)', 'pass',
  'proxy_handshake::connect_news_without_end')
G('2', 'proxies: an answer that is no HTTP', 'network/proxy_handshake.py',
  'if code is None or not 100 <= code < 1000:', 'if code is None:',
  'proxy_handshake::connect_fails')
G('2', 'proxies: garbage in SOCKS', 'network/proxy_handshake.py',
  'if number not in allowed:', 'if False:',
  'proxy_handshake::socks5_fails')
G('2', 'proxies: one that hangs up', 'network/proxy_handshake.py',
  'if not self.is_done:\n            self._fail', 'if False:\n            self._fail',
  'proxy_handshake::connect_fails', 'proxies::proxy_hangs_up')
G('2', 'proxies: Proxy-Authorization goes to the proxy only', 'client/request.py',
  'names = set(name.lower() for name, _ in pairs)',
  "pairs.append((b'Proxy-Authorization', (endpoint.proxies.get('http') or '').encode('ascii')))\n    names = set(name.lower() for name, _ in pairs)",
  'proxies::proxy')
G('2', 'proxies: IPv6 in brackets in CONNECT', 'network/proxy_handshake.py',
  'bracketed(_split_host(host)[0])', '_split_host(host)[0]',
  'proxy_handshake::connect_request', 'proxies::connect_line')
G('2', 'proxies: user and password of SOCKS5 below 256', 'network/proxy_settings.py',
  "elif scheme.startswith('socks5') and any(", 'elif False and any(',
  'proxy_settings::parse_proxy_refuses')
G('2', 'NO_PROXY: a suffix begins at a dot', 'network/proxy_settings.py',
  "return ('.' + host).endswith('.' + name)", 'return host.endswith(name)',
  'proxy_settings::bypass_proxy')
G('2', 'NO_PROXY: host:port', 'network/proxy_settings.py',
  'if wanted and int(wanted) != port:', 'if False:',
  'proxy_settings::bypass_proxy')
G('2', 'NO_PROXY: CIDR', 'network/proxy_settings.py',
  'return shift >= 0 and not difference >> shift', 'return not difference',
  'proxy_settings::bypass_proxy')
G('2', 'NO_PROXY: *', 'network/proxy_settings.py',
  "return entry == '*' or (", 'return False or (',
  'proxy_settings::bypass_proxy')
G('2', 'NO_PROXY: for detected proxies only', 'network/proxy_settings.py',
  'if not chosen or (detected and bypass_proxy(', 'if not chosen or (bypass_proxy(',
  'proxy_settings::select_proxy_exceptions')
G('2', 'HTTP_PROXY does not count in a CGI script', 'network/proxy_settings.py',
  "not (kind == 'http' and 'REQUEST_METHOD' in found)", 'True',
  'proxy_settings::environment_proxies')

# -- 3. Frames -----------------------------------------------------------------------------------

G('3', 'reserved bits', 'protocol/frame_parser.py',
  'if first & 0x30:', 'if False:',
  'frame_parser::wrong[rsv2]', 'frame_parser::wrong[rsv3]')
G('3', 'reserved opcodes', 'protocol/frame_parser.py',
  'if is_reserved(opcode):', 'if False:',
  'frame_parser::wrong[opcode 3]')
G('3', 'masked frames of a server', 'protocol/frame_parser.py',
  '(10, 127)] + _WRONG', '(10, 127)] + [(6, length) for length in range(128)]',
  'frame_parser::wrong[masked]', 'frame_parser::wrong[masked ping]')
G('3', 'unmasked frames of a client', 'protocol/frame_parser.py',
  '_MASKED = _WRONG + ', '_MASKED = [(2, length) for length in range(128)] + ',
  'frame_parser::server_wants_masks')
G('3', 'control frames above 125 bytes', 'protocol/frame_parser.py',
  'rules[first] = MAX_CONTROL_PAYLOAD', 'rules[first] = 127',
  'frame_parser::wrong[ping of 126]')
G('3', 'control frames that are fragmented', 'protocol/frame_parser.py',
  'in (0x88, 0x89, 0x8A):', 'in (0x88, 0x89, 0x8A, 0x08, 0x09):',
  'frame_parser::wrong[fragmented ping]', 'frame_parser::wrong[fragmented close]')
G('3', 'continuation with nothing to continue', 'protocol/frame_parser.py',
  '_BETWEEN = _rules(0x81, 0x82, 0x01, 0x02)', '_BETWEEN = _rules(0x81, 0x82, 0x01, 0x02, 0x80, 0x00)',
  'frame_parser::wrong[continuation]')
G('3', 'a new message inside one', 'protocol/frame_parser.py',
  '_WITHIN = _rules(0x80, 0x00)', '_WITHIN = _rules(0x80, 0x00, 0x81, 0x82, 0x01, 0x02)',
  'frame_parser::wrong[binary in a message]')
G('3', '64-bit length with the top bit', 'protocol/frame_parser.py',
  'if length >= 1 << 63:', 'if False:',
  'frame_parser::wrong[2**63]')
G('3', '16-bit length that is not minimal', 'protocol/frame_parser.py',
  'if length < 126:', 'if False:',
  'frame_parser::wrong[125 in 16 bits]')
G('3', '64-bit length that is not minimal', 'protocol/frame_parser.py',
  'if length < 65536:', 'if False:',
  'frame_parser::wrong[65535 in 64 bits]')
G('3', 'RSV1 without deflate', 'protocol/frame_parser.py',
  'if first & 0x40 and not (rsv1_allowed and 0 < opcode < 8):', 'if first & 0x40 and not 0 < opcode < 8:',
  'frame_parser::wrong[rsv1]')
G('3', 'RSV1 on a control frame', 'protocol/frame_parser.py',
  '(rsv1_allowed and 0 < opcode < 8)', '(rsv1_allowed and 0 < opcode)',
  'frame_parser::rsv1_elsewhere[rsv1 on a ping]')
G('3', 'RSV1 on a continuation', 'protocol/frame_parser.py',
  '(rsv1_allowed and 0 < opcode < 8)', '(rsv1_allowed and opcode < 8)',
  'frame_parser::rsv1_elsewhere[rsv1 on a continuation]')
G('3', 'checked on the header, before payload', 'protocol/frame_parser.py',
  'need = 2                    # bytes that', 'need = 4                    # bytes that',
  'frame_parser::refused_at_the_first_bytes')
G('3', 'close payload of 1 byte', 'protocol/frames.py',
  'if len(payload) == 1:', 'if False:',
  'frames::payload_of_one_byte', 'frame_parser::wrong[close of 1 byte]')
G('3', 'close codes that may not be received', 'protocol/frames.py',
  'if code in Status.invalid_codes:', 'if False:',
  'frame_parser::wrong[close code 1005]', 'frame_parser::wrong[close code 999]')
G('3', 'close codes: the border at 5000', 'status.py',
  '(5000, 65535)', '(5001, 65535)',
  'frame_parser::wrong[close code 5000]')
G('3', 'close reason that is not UTF-8: 1007', 'protocol/frames.py',
  "raise CriticalProtocolError('close reason", "raise ProtocolError('close reason",
  'frame_parser::close_reason_is_not_utf_8')
G('3', 'close codes that may not be sent', 'protocol/frames.py',
  'if not 1000 <= code < 5000 or code in Status.invalid_codes:', 'if False:',
  'frames::codes_out_of_range')
G('3', 'UTF-8 fails at the first bad byte that has arrived', 'protocol/utf8.py',
  'if not found or found.end() < len(held_back):', 'if False:',
  'frame_parser::not_utf_8_fails_at_the_byte', 'utf8::every_split_fails_with_the_first_bad_byte')
G('3', 'UTF-8 fails inside a frame that is not complete', 'protocol/frame_parser.py',
  'if count:\n', 'if not left:\n',
  'frame_parser::not_utf_8_in_an_incomplete_frame')
G('3', 'UTF-8 may not end inside a character', 'protocol/message.py',
  'text = self._decoder.decode(part, final)', 'text = self._decoder.decode(part, False)',
  'frame_parser::text_ends_inside_a_character')
G('3', 'UTF-8 is checked in whole small frames', 'protocol/frame_parser.py',
  'event.text = decode_utf8(buf[start:stop])       # raises',
  "event.text = buf[start:stop].decode('utf-8', 'replace')       # raises",
  'frame_parser::not_utf_8')
G('3', 'UTF-8 is checked as it comes where text is decoded at the end', 'protocol/message.py',
  'self._decoder.check(part, final)', 'pass',
  'message::not_utf_8')
G('3', 'UTF-8 check: behind ASCII everything is looked at', 'protocol/utf8.py',
  'self._is_ascii = False', 'return',
  'utf8::check_fails_where_decode_does')
G('3', 'UTF-8 is checked in compressed text', 'protocol/message.py',
  'text = self._decoder.decode(part, final)', "text = bytes(part).decode('utf-8', 'replace')",
  'frame_parser::not_utf_8_compressed', 'frame_parser::not_utf_8_in_fragments')
G('3', 'UTF-8 is checked in whole compressed frames', 'protocol/frame_parser.py',
  'event.text = decode_utf8(data)', "event.text = data.decode('utf-8', 'replace')",
  'frame_parser::not_utf_8_compressed')
G('3', 'UTF-8 is checked in whole frames, on the long way', 'protocol/frame_parser.py',
  'event.text = decode_utf8(view[start:stop])', "event.text = view[start:stop].tobytes().decode('utf-8', 'replace')",
  'frame_parser::not_utf_8_below_a_small_limit')
G('3', 'a ping between fragments changes nothing', 'protocol/frame_parser.py',
  'event = on_control(first & 0x0F, bytes(buf[start:stop]))', 'event = on_control(first & 0x0F, bytes(buf[start:stop]))\n                    message = None',
  'frame_parser::good')
G('3', 'pings after a close are not answered', 'protocol/states.py',
  "'REMOTE_CLOSING', 'active', may_send=True,",
  "'REMOTE_CLOSING', 'active', may_send=True, may_pong=True,",
  'states::flags')
G('3', 'deflate: the offer', 'compression.py',
  "words.append('client_max_window_bits')", 'pass',
  'compression::offer')
G('3', 'deflate: inflate with 15 bits whatever was agreed', 'protocol/permessage_deflate.py',
  'zlib.decompressobj(-15)', 'zlib.decompressobj(-9)',
  'permessage_deflate::a_peer_that_uses_more_than_was_agreed')
G('3', 'deflate: the agreed window is kept', 'protocol/permessage_deflate.py',
  '-max(window_bits, 9)', '-15',
  'permessage_deflate::compressor_keeps_within_the_window')
G('3', 'deflate: a message may be uncompressed', 'protocol/frame_parser.py',
  'codec.inflate if first & 0x40', 'codec.inflate if codec',
  'frame_parser::compressed_and_plain')
G('3', 'deflate: no_context_takeover is kept', 'protocol/permessage_deflate.py',
  'if not self._compress_anew:', 'if True:',
  'permessage_deflate::no_context_takeover')
G('3', 'deflate: BFINAL loses nothing of this message', 'protocol/permessage_deflate.py',
  'if inflater.unused_data:\n                result = self._inflate_on',
  'if False:\n                result = self._inflate_on',
  'permessage_deflate::finished_messages')
G('3', 'deflate: BFINAL loses nothing of the context', 'protocol/permessage_deflate.py',
  'if self._history:\n            self._trim_history()', 'if False:\n            self._trim_history()',
  'permessage_deflate::far_matches_are_there_after_bfinal')
G('3', 'deflate: blocks with BFINAL are bounded', 'protocol/permessage_deflate.py',
  'if self._streams > _MOST_STREAMS:', 'if False:',
  'permessage_deflate::too_many_streams')
G('3', 'deflate: what follows BFINAL takes linear time', 'protocol/permessage_deflate.py',
  '_PIECE = 16 * 1024', '_PIECE = 1 << 30',
  'permessage_deflate::large_message_behind_bfinal')
G('3', 'deflate: an empty message', 'protocol/permessage_deflate.py',
  'return _EMPTY               # zlib', 'pass               # zlib',
  'permessage_deflate::empty_messages_without_zlib')
G('3', 'deflate: an empty compressed message of the peer', 'protocol/permessage_deflate.py',
  'if not data and not (final and self._in_message):', 'if False:',
  'permessage_deflate::examples')
G('3', 'deflate: garbage is 1007', 'protocol/permessage_deflate.py',
  'except zlib.error as error:', 'except ZeroDivisionError as error:',
  'permessage_deflate::garbage', 'frame_parser::garbage_instead_of_deflate_data')
G('3', 'deflate: zlib objects are freed at the end', 'protocol/connection.py',
  'core.queue_close(core.close_code)\n    core.drop_codec()', 'core.queue_close(core.close_code)',
  'connection::zlib_is_given_back_at_the_end')
G('3', 'deflate: objects are made when needed', 'protocol/permessage_deflate.py',
  'self._inflater = None\n        self._in_message = False',
  'self._inflater = self._compressor = zlib.decompressobj(-15)\n        self._in_message = False',
  'permessage_deflate::objects_are_made_when_needed')
G('3', 'deflate: an extension that was not offered', 'protocol/permessage_deflate.py',
  'if deflate is None or name != NAME:', 'if False:',
  'compression::not_offered', 'handshake::extension_that_was_not_offered')
G('3', 'deflate: an answer twice', 'protocol/permessage_deflate.py',
  'if parameters is not None:', 'if False:',
  'compression::refused_answers')
G('3', 'deflate: a parameter twice', 'protocol/permessage_deflate.py',
  'if name in read:', 'if False:',
  'compression::refused_answers')
G('3', 'deflate: a parameter that is unknown', 'protocol/permessage_deflate.py',
  'raise CompressionParameterError("parameter \'{}\' of {} is unknown".format(escape(name), NAME))',
  'pass',
  'compression::refused_answers')
G('3', 'deflate: a flag with a value', 'protocol/permessage_deflate.py',
  'if value is not None:', 'if False:',
  'compression::refused_answers')
G('3', 'deflate: window bits of 8 - 15 only', 'protocol/permessage_deflate.py',
  'if bits is None and not (is_offer', 'if False and not (is_offer',
  'compression::refused_answers')
G('3', 'deflate: no more than what was asked for', 'protocol/permessage_deflate.py',
  'or server_bits > asked):', '):',
  'compression::refused_answers')

# -- 4. Limits -----------------------------------------------------------------------------------

G('4', 'a small message is within the limit, too', 'protocol/frame_parser.py',
  'no_slice = min(NO_SLICE, limit + 1)', 'no_slice = NO_SLICE',
  'frame_parser::exactly_the_limit_passes')
G('4', 'a whole frame above the limit', 'protocol/frame_parser.py',
  'elif first == 0x82 and length <= limit:', 'elif first == 0x82:',
  'frame_parser::exactly_the_limit_passes')
G('4', 'exactly the limit passes', 'protocol/frame_parser.py',
  'elif first == 0x82 and length <= limit:', 'elif first == 0x82 and length < limit:',
  'frame_parser::exactly_the_limit_passes')
G('4', 'decided on the announced length', 'protocol/frame_parser.py',
  'message.check_length(length)\n                receive_buffer.start = start', 'receive_buffer.start = start',
  'frame_parser::decided_on_the_announced_length')
G('4', 'decided on the sum of fragments, on the short way', 'protocol/frame_parser.py',
  'message.check_length(length)\n                    if first', 'if first',
  'frame_parser::fragments_of_usual_sizes_sum')
G('4', '2**62 announced is refused by default', 'protocol/connection.py',
  'DEFAULT_MAX_MESSAGE_SIZE = 64 * 1024 * 1024', 'DEFAULT_MAX_MESSAGE_SIZE = None',
  'frame_parser::2_to_the_62_is_refused_by_default')
G('4', 'decided on the sum of fragments', 'protocol/message.py',
  'if self._size + payload_length > limit:', 'if payload_length > limit:',
  'frame_parser::fragments_sum', 'message::check_length')
G('4', 'decided on the inflated bytes of a frame', 'protocol/frame_parser.py',
  'data = codec.inflate(view[start:stop], True, max_message_size)', 'data = codec.inflate(view[start:stop], True, None)',
  'frame_parser::limit_holds_after_inflating')
G('4', 'decided on the inflated bytes of all fragments', 'protocol/message.py',
  'None if limit is None else limit - self._size)', 'limit)',
  'message::limit_of_what_is_inflated')
G('4', 'inflating: exactly the limit passes', 'protocol/permessage_deflate.py',
  'if limit is not None and result is not None and len(result) > limit:',
  'if limit is not None and result is not None and len(result) >= limit:',
  'permessage_deflate::limit_is_exact')
G('4', 'a bomb is not inflated', 'protocol/permessage_deflate.py',
  'limit + 1 if limit is not None and limit < sys.maxsize else 0)\n            if inflater',
  '0)\n            if inflater',
  'permessage_deflate::bomb')
G('4', 'a bomb behind BFINAL is not inflated', 'protocol/permessage_deflate.py',
  'piece, limit - size + 1 if limit is not None and limit < sys.maxsize else 0)', 'piece, 0)',
  'permessage_deflate::bomb_behind_bfinal')
G('4', 'the limit counts what is behind BFINAL', 'protocol/permessage_deflate.py',
  'if limit is not None and size > limit:', 'if False:',
  'permessage_deflate::limit_counts_all_streams_of_a_message')
G('4', 'announced length of compressed data is bounded', 'protocol/message.py',
  'elif payload_length > limit + (limit >> 3) + (limit >> 6) + 1024:', 'elif False:',
  'message::check_length_of_compressed_data', 'frame_parser::announced_length_of_compressed_data')
G('4', 'the error names size, limit and parameter', 'protocol/message.py',
  "'message is {} bytes; at most {} are allowed (max_message_size)'", "'message is too large{}{}'",
  'message::too_large', 'frame_parser::decided_on_the_announced_length')
G('4', 'memory: small texts are joined', 'protocol/message.py',
  'if len(self._texts) >= JOIN_AFTER:', 'if False:',
  'frame_parser::small_fragments_cost_little', 'frame_parser::small_fragments_are_not_kept')
G('4', 'memory: an announced length is not believed', 'protocol/message.py',
  'self._store.reserve(min(count, STEP))', 'self._store.reserve(count)',
  'message::reserve_is_not_believed_at_once')
G('4', 'memory: the buffer does not grow without end', 'protocol/receive_buffer.py',
  'self.room = min(self.room * 2, LARGEST_SIZE)', 'self.room = self.room * 2',
  'receive_buffer::doubles_when_one_read_fills_it')
G('4', 'memory: a large binary is kept once', 'protocol/message.py',
  'self.is_plain_binary = not is_text and inflate is None', 'self.is_plain_binary = False',
  'frame_parser::large_binary_is_kept_once')
G('4', 'memory: what is inflated is no history', 'protocol/permessage_deflate.py',
  'if self._history_size > _MOST_HISTORY:\n                    self._trim_history()\n        except',
  'pass\n        except',
  'permessage_deflate::history_is_small')
G('4', 'memory: our unanswered pings are bounded', 'protocol/send_queue.py',
  'maxlen=MAX_REMEMBERED_PINGS', 'maxlen=None',
  'send_queue::ping_log_is_bounded')
G('4', '65,536 fragments take linear time', 'protocol/message.py',
  'self._texts.append(text)', "self._texts[:] = [''.join(self._texts) + text]",
  'frame_parser::many_fragments_take_linear_time')
G('4', 'pongs that wait are bounded: 64 KiB', 'protocol/send_queue.py',
  '<= MAX_QUEUED_PONGS', '<= 1 << 40',
  'send_queue::pong_queue_is_bounded', 'connection::pongs_are_bounded_when_they_cannot_be_written',
  'backpressure::pongs_that_cannot_be_written_are_bounded')
G('4', 'pongs: the bound is 64 KiB, no less', 'protocol/send_queue.py',
  'MAX_QUEUED_PONGS = 64 * 1024', 'MAX_QUEUED_PONGS = 60 * 1024',
  'send_queue::exactly_the_bound')
G('4', 'pongs: of a full queue the newest ping is answered', 'protocol/send_queue.py',
  'self.newest_pong.append(pong)', 'pass',
  'send_queue::pong_queue_is_bounded')
G('4', 'pongs: in order', 'protocol/send_queue.py',
  'fits = fits and self._queued_size', 'fits = self._queued_size',
  'send_queue::small_pong_does_not_overtake')
G('4', 'pongs: all are answered when they can be', 'protocol/send_queue.py',
  'self._taken_size += len(payload) + 6', 'pass',
  'send_queue::sixty_thousand_pings_are_answered_when_they_can_be',
  'backpressure::all_pings_are_answered_in_order')
G('4', 'pongs: a busy lock drops none', 'driver/writer.py',
  'while self._lock.acquire(False):\n            blocked = True',
  'if self._lock.locked(): core.send_queue.clear()\n'
  '        while self._lock.acquire(False):\n'
  '            blocked = True',
  'backpressure::pongs_that_cannot_be_written_are_bounded')

# -- 5. Sending and backpressure -----------------------------------------------------------------

G('5', 'send_timeout: a peer that takes nothing', 'driver/writer.py',
  'if left <= 0:', 'if False:',
  'backpressure::send_timeout_in_another_thread[ws]', 'backpressure::send_timeout_in_the_handler[ws]')
G('5', 'send_timeout: nothing more goes on that wire', 'driver/writer.py',
  'if self.error is not None or self._closing:\n                self._refuse()', 'pass',
  'writer::dead_wire_is_left_alone')
G('5', 'send_timeout: no close frame on that wire either', 'driver/writer.py',
  'if self.error is None and not self._closing:\n                    blocked',
  'if True:\n                    blocked',
  'writer::dead_wire_is_left_alone')
G('5', 'send_timeout: a slow peer that takes something never fails', 'driver/writer.py',
  'if unsent is not None and self._unsent is not None and unsent < self._unsent:', 'if False:',
  'writer::slow_peer_that_the_kernel_knows_of')
G('5', 'send_timeout: only what becomes less is progress', 'driver/writer.py',
  'and unsent < self._unsent:', 'and unsent <= self._unsent:',
  'writer::kernel_that_tells_no_progress')
G('5', 'send_timeout: progress begins the time anew', 'driver/writer.py',
  'if self._write(rest):\n                self._begin_wait()', 'if self._write(rest):\n                pass',
  'writer::slow_peer_that_takes_a_byte_at_a_time')
G('5', 'send_timeout: TLS hides no progress', 'network/tls_stream.py',
  'if len(data) > TLS_CHUNK:', 'if False:',
  'tls_stream::tls_record_at_a_time')
G('5', 'send_timeout: for automatic replies in front, too', 'driver/writer.py',
  'if self.tail is not left:      # something went', 'if True:      # something went',
  'writer::replies_in_front_that_cannot_go')
G('5', 'send_timeout: automatic replies that go are progress', 'driver/writer.py',
  'if self.tail is not left:      # something went', 'if False:      # something went',
  'writer::replies_in_front_that_go_slowly')
G('5', 'the loop never waits for a sender', 'driver/writer.py',
  'while self._lock.acquire(False):\n            blocked',
  'while self._lock.acquire():\n            blocked',
  'writer::loop_never_waits_for_a_sender')
G('5', 'a handler that waits for a sender reads on', 'driver/writer.py',
  'in_loop = self._loop.is_loop_thread()', 'in_loop = False',
  'backpressure::handler_waits_for_another_thread_and_reads_on')
G('5', 'a stuck sender: it gets its exception soon', 'driver/writer.py',
  'min(left, LOOK_UP))\n            if self._closing:', 'min(left, LOOK_UP))\n            if False:',
  'writer::close_ends_whoever_waits[peer]')
G('5', 'a stuck sender: one that waits for the lock, too', 'driver/writer.py',
  'raise self._dead()\n            if self._closing:', 'raise self._dead()\n            if False:',
  'writer::close_ends_whoever_waits[lock]')
G('5', 'a stuck sender: on a stream that nothing wakes', 'driver/writer.py',
  'LOOK_UP = 0.5', 'LOOK_UP = 30.0',
  'backpressure::sender_over_a_stream_that_nothing_wakes')
G('5', 'a stuck sender: the loop does not spin', 'driver/writer.py',
  'or self._closing or self._lock.locked()', 'or self._closing',
  'writer::nothing_to_write_while_another_is_writing')
G('5', 'an exception inside of a frame ends the connection', 'driver/writer.py',
  'if begun:\n', 'if False:\n',
  'backpressure::exception_inside_of_a_send_ends_the_connection')
G('5', 'what was queued meanwhile is written', 'driver/writer.py',
  'if blocked or not core.send_queue.pending:', 'if True:',
  'writer::reply_that_comes_between_the_last_look_and_the_release')
G('5', 'what was queued while a send was refused is written', 'driver/writer.py',
  'if self._pending:\n            self.try_flush()\n        if self.wants_write():\n            self._loop.wake()',
  'pass',
  'faults_quick::close_that_makes_another_send_fail_is_written')

# -- 6. Time --------------------------------------------------------------------------------------

G('6', 'the loop sleeps until the nearest deadline', 'driver/deadlines.py',
  'return earliest(self.next_poll, self.next_ping) ', 'return self.next_poll ',
  'deadlines::next_ping_is_a_deadline', 'time::pings_have_their_own_pace')
G('6', 'the loop sleeps until the nearest deadline, with a ping_timeout too', 'driver/deadlines.py',
  'return earliest(self.next_poll, self.next_ping, self', 'return earliest(self.next_poll, None, self',
  'deadlines::next_ping_is_a_deadline')
G('6', 'ping_timeout does not wait for poll', 'driver/deadlines.py',
  'self.next_ping, self.ping_deadline(),', 'self.next_ping, None,',
  'time::ping_timeout_does_not_wait_for_poll')
G('6', 'close_timeout does not wait for poll', 'driver/deadlines.py',
  '                        self.close_deadline()[0])', '                        None)',
  'deadlines::next_deadline')
G('6', 'first Poll right after Ready', 'driver/deadlines.py',
  'self.next_poll = now\n        self.next_ping = now',
  'self.next_poll = now + self.poll\n        self.next_ping = now',
  'time::first_poll_and_first_ping_come_right_after_ready', 'deadlines::poll_and_ping_at_ready')
G('6', 'first ping right after Ready', 'driver/deadlines.py',
  'self.next_ping = now if self.ping_rate else None',
  'self.next_ping = now + self.ping_rate if self.ping_rate else None',
  'time::first_poll_and_first_ping_come_right_after_ready', 'deadlines::poll_and_ping_at_ready')
G('6', 'Poll between the messages of one read', 'driver/driver.py',
  'if countdown <= 0:\n                    later', 'if False:\n                    later',
  'time::poll_between_the_messages_of_one_read', 'time::first_poll_and_first_ping_come_right_after_ready')
G('6', 'Poll: at least poll seconds apart', 'driver/deadlines.py',
  'self.next_poll = now + self.poll', 'self.next_poll += self.poll',
  'deadlines::poll_and_ping')
G('6', 'Poll: between Closing and Disconnected, too', 'driver/deadlines.py',
  'self.next_ping = None\n\n    def ping_deadline',
  'self.next_ping = self.next_poll = None\n\n    def ping_deadline',
  'deadlines::stop_pings')
G('6', 'Poll: none before Ready', 'driver/deadlines.py',
  'self.next_poll = None       # None before Ready', 'self.next_poll = 0.0        # None before Ready',
  'deadlines::nothing_before_ready', 'time::no_poll_before_ready')
G('6', 'poll is above 0', 'client/options.py',
  "if not check_number('poll', poll) > 0:", 'if False:',
  'websocket::settings_that_are_refused')
G('6', 'ping_rate 0 or None: no pings', 'driver/deadlines.py',
  'self.ping_rate = ping_rate or None', 'self.ping_rate = ping_rate or 0.05',
  'time::no_pings', 'deadlines::poll_and_ping')
G('6', 'pings: no bursts after a pause', 'driver/deadlines.py',
  'self.next_ping = now + max(self.ping_rate, LEAST_RATE)',
  'self.next_ping += max(self.ping_rate, LEAST_RATE)',
  'deadlines::poll_and_ping', 'time::no_bursts_of_pings_after_a_pause')
G('6', 'pings: a tiny ping_rate does not spin', 'driver/deadlines.py',
  'max(self.ping_rate, LEAST_RATE)', 'self.ping_rate',
  'deadlines::tiny_ping_rate')
G('6', 'ping_timeout counts from the oldest unanswered ping', 'driver/deadlines.py',
  'if self.oldest_ping is None:\n            self.oldest_ping = now', 'self.oldest_ping = now',
  'deadlines::ping_timeout_of_a_ping_that_cannot_be_written')
G('6', 'ping_timeout: of the oldest, also in the log of pings', 'protocol/send_queue.py',
  'return self._pings[0][1]', 'return self._pings[-1][1]',
  'send_queue::ping_log', 'time::ping_timeout_counts_from_the_oldest_ping')
G('6', 'ping_timeout: no ping outstanding, no timeout', 'driver/deadlines.py',
  'if self.ping_timeout is None or self.oldest_ping is None or (', 'if self.ping_timeout is None or (',
  'deadlines::ping_timeout', 'time::no_ping_no_timeout')
G('6', 'ping_timeout: answered pings do not time out', 'protocol/connection.py',
  'latency=core.pings.answered(payload, core.now)', 'latency=None',
  'connection_deadlines::answered_pings_do_not_time_out')
G('6', 'ping_timeout: any byte is life', 'driver/deadlines.py',
  'return max(self.oldest_ping, self.last_received) + self.ping_timeout',
  'return self.oldest_ping + self.ping_timeout',
  'deadlines::download_is_life', 'time::a_long_download_is_life')
G('6', 'ping_timeout: a ping of the caller counts', 'protocol/connection.py',
  'self.pings.sent(to_bytes(data), now)', 'pass',
  'time::ping_of_the_caller_counts')
G('6', 'ping_timeout: what has arrived is read before judging', 'driver/deadlines.py',
  'if idle and self.ping_timeout is not None:', 'if self.ping_timeout is not None:',
  'time::slow_handler_is_no_dead_peer', 'deadlines::ping_timeout')
G('6', 'close_timeout None or 0: never', 'driver/deadlines.py',
  'self.close_timeout = close_timeout or None', 'self.close_timeout = close_timeout or 0.3',
  'deadlines::close_timeout', 'time::no_close_timeout')
G('6', 'close_timeout: 30 s for TCP that is left open, then', 'driver/deadlines.py',
  'ECHO_WAIT = 30.0', 'ECHO_WAIT = 60.0',
  'deadlines::defaults')
G('6', 'no look is left out where bytes may be kept that no wait tells of', 'network/stream.py',
  'self.poll_tells_all = type(sock) is socket.socket', 'self.poll_tells_all = True',
  'reader::no_look_is_left_out_at_an_object_that_may_keep_bytes')
G('6', 'no look is left out behind the end of TLS', 'network/tls_stream.py',
  'if self._late is not None or not more:', 'if False:',
  'tls_stream::end_behind_a_record_is_looked_for')
G('6', 'monotonic on 2.7: backward steps are no time', '_compat.py',
  'if now < last:', 'if False:',
  'compat::backward_steps_of_the_clock_are_no_time')
G('6', 'EINTR ends nothing: waiting', 'network/poller.py',
  'found = poll.poll(timeout)\n        except OS_ERRORS as error:\n'
  '            if not was_interrupted(error):',
  'found = poll.poll(timeout)\n        except OS_ERRORS as error:\n            if True:',
  'poller::interruption')
G('6', 'EINTR ends nothing: reading', 'network/stream.py',
  'if was_interrupted(error):\n                    continue\n                raise\n            view',
  'raise\n            view',
  'stream::errors')
G('6', 'EINTR ends nothing: writing', 'network/stream.py',
  'if not was_interrupted(error):\n                    raise', 'raise',
  'stream::errors')
G('6', 'Ctrl-C while it is told what to wait for', 'network/poller.py',
  '        poll = select.poll()                # looked up',
  '        poll = select.poll()\n        self._current = (waits, poll, dict(waits))        # looked up',
  'poller::poll_registers_again_what_ctrl_c_has_cut_off')
G('6', 'a time limit below a millisecond is waited for', 'network/poller.py',
  'int(math.ceil(timeout * 1000))', 'int(timeout * 1000)',
  'poller::time_below_a_millisecond_is_waited_for')
G('6', 'one wait is at most a day', 'network/poller.py',
  'timeout = min(max(timeout, 0), LONGEST)', 'timeout = max(timeout, 0)',
  'poller::deadlines')
G('6', 'idle: no wake-ups but the deadlines', 'network/poller.py',
  'timeout = LONGEST\n', 'timeout = 0.01\n        deadline = None\n',
  'time::idle_connection_sleeps', 'poller::deadlines')

# -- 7. Threads -----------------------------------------------------------------------------------

G('7', 'one act under one lock', 'driver/writer.py',
  'if not self._lock.acquire(False):\n            self._wait_for_lock()\n        begun = False',
  'self._lock = threading.Lock(); self._lock.acquire()\n        begun = False',
  'threads::messages_of_eight_threads_arrive_intact[ws]')
G('7', 'the state is checked under the lock', 'driver/writer.py',
  'if core.inputs != OPENED:\n                core.check_send()', 'pass',
  'threads::no_data_behind_a_close_frame')
G('7', 'nothing but pongs after a close frame', 'protocol/send_queue.py',
  'if self._close_taken:\n                continue', 'pass',
  'send_queue::after_a_close_frame_only_pongs')
G('7', 'never two close frames', 'protocol/states.py',
  'self._close_token.pop()', 'self._close_token[0]',
  'states::races_for_the_close_frame')
G('7', 'TLS: one thread at a time', 'network/tls_stream.py',
  'with self._lock:\n                    count = self._read_records(view)',
  'if True:\n                    count = self._read_records(view)',
  'tls_stream::tls_object_is_in_one_threads_hands')
G('7', 'TLS: one thread at a time, writing', 'network/tls_stream.py',
  'with self._lock:\n                    count = self._write(data)',
  'if True:\n                    count = self._write(data)',
  'tls_stream::tls_object_is_in_one_threads_hands')
G('7', 'TLS: writers wait outside of the lock', 'network/tls_stream.py',
  'self.send_wants = WRITE\n                    return None', 'continue',
  'tls_stream::writing_by_script')
G('7', 'TLS: a shutdown sends no clear text', 'network/tls_stream.py',
  'return super(self._ssl.SSLSocket, self.sock).shutdown', 'return self.sock.shutdown',
  'tls_stream::tls_shutdown_leaves_no_clear_text')
G('7', 'TLS: a signal handler inside of it keeps off', 'driver/writer.py',
  'if self._is_entered is not None and self._is_entered():\n            return',
  'if False:\n            return',
  'threads::signal_handler_inside_of_tls')
G('7', 'close() wakes the loop at once', 'network/poller.py',
  'wake_up.set()', 'pass',
  'poller::wake_from_another_thread', 'time::close_timeout_of_a_close_in_another_thread')
G('7', 'a send inside of a send of the same thread raises', 'driver/writer.py',
  'if self._is_nested():', 'if False:',
  'threads::signal_handler_that_sends_inside_of_a_send')
G('7', 'nothing is left: the socket', 'driver/writer.py',
  "self.tail = b''\n            self._stream.close()", "self.tail = b''",
  'sequences::nothing_is_left_behind')
G('7', 'nothing is left: the wake-up', 'network/poller.py',
  'if self._read is not None:\n            try', 'if False:\n            try',
  'threads::nothing_is_left_of_many_connections', 'poller::descriptors_go_with_the_last_reference')
G('7', 'nothing waits for the collector: the writer', 'driver/driver.py',
  'Writer(core, stream, weakref.proxy(self),', 'Writer(core, stream, self,',
  'threads::nothing_waits_for_the_collector')
G('7', 'nothing waits for the collector: the core', 'protocol/connection.py',
  '_stages(weakref.proxy(self))', '_stages(self)',
  'connection::core_that_nobody_releases_is_no_cycle')
G('7', 'nothing waits for the collector: callables of the handshake', 'protocol/handshake.py',
  'finally:\n            self._on_response = self._process_extensions = None',
  'finally:\n            pass',
  'handshake::no_cycles_after_the_outcome')
G('7', 'nothing waits for the collector: tracebacks', '_compat.py',
  'seen.__traceback__ = None', 'pass',
  'threads::errors_of_events_hold_no_frames')
G('7', 'nothing waits for the collector: the buffer', 'protocol/connection.py',
  'self.receive_buffer.release()', 'pass',
  'connection::after_release')
G('7', 'forks: masks of the child are its own', '_compat.py',
  'os.register_at_fork(after_in_child=stock.clear)', 'pass',
  'masking::forked_child_has_other_keys')
G('7', 'forks: the connection of the parent lives on', 'network/stream.py',
  'if shutdown is not None and self._fork == fork_id():', 'if shutdown is not None:',
  'tls_stream::forked_child_leaves_it_alone')
G('7', 'forks: look-ups begin anew', 'network/resolver.py',
  'if table.fork != fork_id():', 'if False:',
  'resolver::forked_child_asks_anew')
G('7', 'masks: no byte is used twice', 'protocol/masking.py',
  'first = keys.pop()', 'first = keys[-1]',
  'masking::numbers_are_keys', 'masking::no_key_twice_in_threads')
G('7', 'masks come from os.urandom', 'protocol/masking.py',
  'os.urandom(STOCK_SIZE)', "b'abcd' * (STOCK_SIZE // 4)",
  'masking::real_keys', 'masking::numbers_are_keys')
G('7', 'the client masks', 'protocol/connection.py',
  "Role('client', masks_outgoing=True,", "Role('client', masks_outgoing=False,",
  'connection::client_masks_and_server_does_not')
G('7', 'monkey patching: poll is looked up when it is made', 'network/poller.py',
  "return _Poll() if hasattr(select, 'poll') else _Select()", 'return _Poll()',
  'poller::poller_is_looked_up_when_it_is_made')
G('7', 'a descriptor is closed by its last user', 'driver/writer.py',
  'if self._holder in (None, get_ident()) and not self._closed:', 'if not self._closed:',
  'writer::descriptor_is_closed_by_whoever_still_writes')
G('7', 'a send in a signal handler is refused before the lock has a name on it', 'driver/writer.py',
  'frame = sys._getframe(2).f_back', 'frame = None',
  'writer::signal_handler_that_sends_before_any_line')
G('7', 'one connection at a time', 'client/attempt.py',
  'if self._running.session is not None:\n            raise', 'if False:\n            raise',
  'websocket::connection_that_begins_within_connect')
G('7', 'a connect() while it runs changes nothing', 'websocket.py',
  'if self._running.session is not None:\n            return', 'if False:\n            return',
  'websocket::connect_while_it_runs')

# -- 8. persist -----------------------------------------------------------------------------------

G('8', 'delay: min_wait + random * 2**retries', 'client/backoff.py',
  'delay = min_wait + random * min(max_wait - min_wait, 2.0 ** min(retries, 22))', 'delay = min_wait',
  'backoff::delay')
G('8', 'delay: within max_wait', 'client/backoff.py',
  'random * min(max_wait - min_wait, 2.0 ** min(retries, 22))', 'random * 2.0 ** min(retries, 22)',
  'backoff::delay')
G('8', 'delay: no number grows without bound', 'client/backoff.py',
  '2.0 ** min(retries, 22)', '2.0 ** retries',
  'backoff::delay')
G('8', 'delay: finite whatever is asked for', 'client/backoff.py',
  'return float(min(delay, LONGEST_DELAY))', 'return float(delay)',
  'backoff::delay')
G('8', 'Retry-After: at least min_wait', 'client/backoff.py',
  'delay = max(min_wait, min(asked, max(max_wait, LONGEST_RETRY_AFTER)))',
  'delay = min(asked, max(max_wait, LONGEST_RETRY_AFTER))',
  'backoff::delay_that_was_asked_for')
G('8', 'Retry-After: at most max(max_wait, 3600)', 'client/backoff.py',
  'min(asked, max(max_wait, LONGEST_RETRY_AFTER))', 'asked',
  'backoff::delay_that_was_asked_for')
G('8', 'Retry-After: thirty digits', 'client/backoff.py',
  'return min(float(text), LONGEST_DELAY)', 'return float(text)',
  'backoff::retry_after')
G('8', 'Retry-After: negative, nan, inf are ignored', 'client/backoff.py',
  "if re.match(r'[0-9]+\\Z', text):", "if re.match(r'[-+0-9a-z]+\\Z', text):",
  'backoff::retry_after_unreadable')
G('8', 'Retry-After: a date that is past is 0', 'client/backoff.py',
  'min(max(date - now, 0.0), LONGEST_DELAY)', 'min(date - now, LONGEST_DELAY)',
  'backoff::retry_after')
G('8', 'Retry-After: the year 9999', 'client/backoff.py',
  'min(max(date - now, 0.0), LONGEST_DELAY)', 'max(date - now, 0.0)',
  'backoff::retry_after')
G('8', 'Retry-After: dates that are none', 'client/backoff.py',
  'if hour > 23 or minute > 59 or second > 60:', 'if False:',
  'backoff::retry_after_unreadable')
G('8', 'Retry-After: not when it is not respected', 'persist.py',
  'header = _retry_after(cause) if rules.respect_retry_after else None', 'header = _retry_after(cause)',
  'persist::retry_after')
G('8', 'retries grow with each failure in a row', 'persist.py',
  'failures = 0 if outcome.is_good else failures + 1', 'failures = 0 if outcome.is_good else 1',
  'persist::failures', 'persist::flapping_server')
G('8', 'a server that accepts and drops is backed off from', 'persist.py',
  'is_stable = ready_at is not None and _compat.monotonic() - ready_at >= stable_after',
  'is_stable = ready_at is not None',
  'persist::flapping_server', 'persist::stable_after')
G('8', 'retries are 0 after stable_after', 'persist.py',
  'is_stable = ready_at is not None and _compat.monotonic() - ready_at >= stable_after', 'is_stable = False',
  'persist::stable_after')
G('8', 'retries are 0 after a graceful end with messages', 'persist.py',
  "is_stable or has_message and getattr(event, 'graceful', False)", 'is_stable',
  'persist::good_connections')
G('8', 'a graceful end alone is no success', 'persist.py',
  "is_stable or has_message and getattr(event, 'graceful', False)",
  "is_stable or getattr(event, 'graceful', False)",
  'persist::failures')
G('8', 'Rejected is the cause, not its Disconnected', 'persist.py',
  'elif name in _ENDINGS and outcome.cause is None:', 'elif name in _ENDINGS:',
  'persist::rejected_is_the_cause')
G('8', 'connect() gets three keywords', 'persist.py',
  'if value != CONNECT_DEFAULTS[name])', 'if True)',
  'persist::connect_keywords')
G('8', 'exit_event: close 1001', 'persist.py',
  "self._call('close', Status.GOING_AWAY, 'going away')", "self._call('close')",
  'persist::exit_event_in_a_connection', 'persist::live_exit_event')
G('8', 'exit_event: dropped after 0.9 s', 'persist.py',
  'EXIT_GRACE = 0.85', 'EXIT_GRACE = 9.0',
  'persist::exit_event_in_a_connection')
G('8', 'exit_event: seen within 0.25 s', 'persist.py',
  'POLL_EXIT = 0.1', 'POLL_EXIT = 2.0',
  'persist::live_exit_event')
G('8', 'exit_event: no BackOff follows', 'persist.py',
  'if watch.is_over():\n                return\n            failures', 'failures',
  'persist::exit_event_in_a_connection')
G('8', 'exit_event: over though it cannot be disconnected', 'persist.py',
  'if watch.must_leave:', 'if False:',
  'persist::exit_event_with_a_double')
G('8', 'exit_event: set between two connections', 'persist.py',
  'if self._deadline is not None:\n            self._close()', 'if False:\n            self._close()',
  'persist::watch_between_connections')
G('8', 'exit_event: one thread, a daemon', 'persist.py',
  'self._thread.daemon = True', 'pass',
  'persist::one_thread_for_all_connections')
G('8', 'exit_event: the thread ends', 'persist.py',
  'self.is_running = False\n        self._stopped.set()', 'self.is_running = False',
  'persist::the_thread_ends_with_the_generator')
G('8', 'exit_event: wait(delay) once for a BackOff', 'persist.py',
  'exit_event.wait(step.delay)', '(exit_event.wait(step.delay / 2) or exit_event.wait(step.delay / 2))',
  'persist::failures')
G('8', 'max_retries: N attempts', 'persist.py',
  'if rules.max_retries is not None and failures >= rules.max_retries:',
  'if rules.max_retries is not None and failures > rules.max_retries:',
  'persist::max_retries')
G('8', 'retry_on False: GaveUp', 'persist.py',
  'if answer is False:', 'if False:',
  'persist::retry_on')
G('8', 'retry_on: a number is bounded', 'persist.py',
  "return min(_seconds('the result of retry_on', answer), LONGEST_DELAY)", 'return answer',
  'persist::retry_on_nonsense')
G('8', 'leaving closes the connection', 'persist.py',
  '# if the loop was left: at once, not when collected\n            connection.close()',
  '# if the loop was left: at once, not when collected\n            pass',
  'persist::leaving_closes_the_connection')
G('8', 'transient: not certificates', 'client/backoff.py',
  'if ssl is not None and isinstance(error, ssl.CertificateError):\n        return False', 'pass',
  'backoff::transient_connect_fail')
G('8', 'transient: not a fingerprint', 'client/backoff.py',
  '"certificate|fingerprint mismatch|', '"certificate|',
  'backoff::transient_connect_fail')
G('8', 'transient: HTTP 408, 425, 429, 5xx', 'client/backoff.py',
  'return status in (408, 425, 429) or (', 'return status in (408, 425) or (',
  'backoff::transient_answers')
G('8', 'transient: close codes', 'client/backoff.py',
  'return code in _CLOSE_CODES\n', 'return True',
  'backoff::transient_close_codes')
G('8', 'transient: not a peer that broke the protocol', 'client/backoff.py',
  "return not isinstance(getattr(event, 'error', None),\n"
  '                              (errors.ProtocolError, errors.CriticalProtocolError))',
  'return True',
  'backoff::transient_ends')

# -- s. Secrets (api.md, section 8; SECURITY.md) --------------------------------------------------

G('s', 'secrets: the password of a URL', 'network/url.py',
  "return text[:colon] + ':***' + text[at:]", 'return text',
  'url::mask_password', 'secrets::userinfo[me:hunter2@]')
G('s', 'secrets: a user alone in a URL', 'network/url.py',
  "return text[:start] + '***' + text[at:]", 'return text',
  'secrets::userinfo[hunter2@]', 'secrets::userinfo[hunter2:@]')
G('s', 'secrets: the query of a Location that is refused', 'network/url.py',
  'cut_query(mask_password(text))', 'mask_password(text)',
  'secrets::redirects')
G('s', 'secrets: the query of a redirect to clear text', 'client/attempt.py',
  'escape(cut_query(target.masked))', 'escape(target.masked)',
  'secrets::redirect_to_clear_text')
G('s', 'secrets: the query of a Location in a repr', 'events.py',
  "if name == 'location' else value", "if False else value",
  'events::repr_hides_credentials', 'secrets::redirects')
G('s', 'secrets: the userinfo in the repr of an event', 'events.py',
  "value = _USERINFO.sub(native('//***@'), value)", 'pass',
  'events::repr_hides_credentials')
G('s', 'secrets: the credentials of a proxy', 'network/proxy_settings.py',
  "self.safe = _USERINFO.sub(lambda match: match.group(1) or '', text, 1)", 'self.safe = text',
  'secrets::reprs', 'proxies::proxy')
G('s', 'secrets: the codec tells no header', 'client/options.py',
  'except UnicodeError:\n        pass', 'except UnicodeError:\n        raise',
  'secrets::refusals')
G('s', 'secrets: the codec tells no password', 'auth.py',
  'except UnicodeError:\n        pass', 'except UnicodeError:\n        raise',
  'secrets::refusals', 'auth::half_a_surrogate_pair')
G('s', 'secrets: the password of a DigestAuth', 'auth.py',
  """return native("DigestAuth('{}', '***')".format(escape(self._user.decode('utf-8'))))""",
  """return native("DigestAuth('{}', '{}')".format(self._user.decode('utf-8'), self._password.decode('utf-8')))""",
  'auth::repr_shows_no_password', 'secrets::reprs')
G('s', 'secrets: a header without a colon on the command line', 'cli/arguments.py',
  "begin + '...' if begin != word else word", 'word',
  'cli::usage')
G('s', 'secrets: a URL too many on the command line', 'cli/arguments.py',
  "message = re.sub('//[^/?#]*@', '//***@', message)", 'pass',
  'cli::usage')
