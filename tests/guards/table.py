"""The critical guards of the library, and the tests that notice when one is gone.

``G(topic, name, file in lomond/, text, replacement, tests...)``: with the text
replaced, the guard is gone, and each of the tests must fail. ``run.py`` tries that, row
by row; ``tests/project/test_guards.py`` only checks that texts and tests still exist.

Add a row when a mistake would be silent or dangerous: limits, secrets, locks,
verification. Everything else is sampled by ``tests/mutants``. The text must occur
exactly once in its file, so keep it short.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import os

from support.paths import find_test

Guard = collections.namedtuple('Guard', 'topic name file old new tests')

TOPICS = ('close', 'limits', 'locks', 'masks', 'requests', 'secrets', 'servers', 'time', 'tls')
GUARDS = []


def G(topic, name, file, old, new, *tests):
    """Add one row; tests are ``file::function`` without ``test_`` and ``.py``."""
    names = []
    for test in tests:
        test_file, _, function = test.partition('::')
        names.append(find_test('test_%s.py' % test_file).replace(os.sep, '/') + '::test_' + function)
    GUARDS.append(Guard(topic, name, file, old, new, tuple(names)))


# -- The closing handshake ---------------------------------------------------------

G('close', 'the close frame of the server is echoed', 'protocol/connection.py',
  'elif state is states.REMOTE_CLOSING:', 'elif False:',
  'frame_parser::close_is_echoed', 'sequences::server_closes')
G('close', 'there is never a second close frame', 'protocol/states.py',
  'return self.close_request is request', 'return True',
  'states::progress_is_folded_when_asked')
G('close', 'only pongs follow a close frame', 'protocol/send_queue.py',
  'if self._close_taken:', 'if False:',
  'send_queue::after_a_close_frame_only_pongs')
G('close', 'the reason of a failure is cut to 123 bytes', 'protocol/frames.py',
  'if cut > MAX_CLOSE_REASON:', 'if False:',
  'connection::reason_of_a_failure_is_cut', 'frames::longest_reason')
G('close', 'our direction ends after the close frame of a failure', 'driver/driver.py',
  'self.stream.shutdown_write()', 'pass',
  'sequences::violation_ends_our_side_at_once')
G('close', 'a failed send is not a graceful end', 'driver/lifecycle.py',
  'if core.state.ends_graceful and not isinstance(error, SendTimeout):', 'if core.state.ends_graceful:',
  'backpressure::send_timeout_is_not_graceful_though_the_server_closed')
G('close', 'a forced end is not a graceful end', 'driver/lifecycle.py',
  'if self.ending is not None and self.stopped is not None:', 'if False:',
  'lifecycle::forced_end_wins_over_a_clean_one', 'sequences::force_disconnect_in_the_last_handler')

# -- Limits: sizes and memory ------------------------------------------------------

G('limits', 'a message above max_message_size', 'protocol/frame_parser.py',
  'elif length <= limit:', 'elif True:',
  'frame_parser::exactly_the_limit_passes')
G('limits', 'the announced length is enough to refuse', 'protocol/frame_parser.py',
  'message.check_length(length)\n                receive_buffer.start', 'receive_buffer.start',
  'frame_parser::decided_on_the_announced_length')
G('limits', 'fragments are added up', 'protocol/message.py',
  'if size + payload_length > limit:', 'if payload_length > limit:',
  'frame_parser::fragments_sum', 'message::check_length')
G('limits', 'there is a limit by default', 'protocol/connection.py',
  'DEFAULT_MAX_MESSAGE_SIZE = 64 * 1024 * 1024', 'DEFAULT_MAX_MESSAGE_SIZE = None',
  'frame_parser::2_to_the_62_is_refused_by_default')
G('limits', 'an announced length allocates nothing yet', 'protocol/message.py',
  'min(count, STEP)', 'count',
  'message::reserve_is_not_believed_at_once')
G('limits', 'inflated bytes count, in one frame', 'protocol/frame_parser.py',
  'codec.inflate(view[start:stop], True, max_message_size)', 'codec.inflate(view[start:stop], True, None)',
  'frame_parser::limit_holds_after_inflating')
G('limits', 'a compression bomb is not inflated', 'protocol/permessage_deflate.py',
  'limit + 1 if limit is not None and limit < sys.maxsize else 0)\n            if inflater',
  '0)\n            if inflater',
  'permessage_deflate::bomb')
G('limits', 'sends that do not wait leave max_queued at most', 'driver/writer.py',
  'if queued and queued + len(payload) > limit:', 'if False:',
  'queuing::queue_is_limited')
G('limits', 'pongs that cannot be written do not pile up', 'protocol/send_queue.py',
  '<= MAX_QUEUED_PONGS', '<= 1 << 40',
  'send_queue::pong_queue_is_bounded', 'connection::pongs_are_bounded_when_they_cannot_be_written')
G('limits', 'the headers of the answer', '_http11.py',
  'if self._skipped_size + end > self._limit:', 'if False:',
  'http11::head_limit_without_an_end', 'sequences::no_http')
G('limits', 'informational answers before it', '_http11.py',
  'if self._skipped > MOST_INFORMATIONAL:', 'if False:',
  'http11::informational_answers_without_an_end', 'sequences::no_http')
G('limits', 'the heads of all answers together', '_http11.py',
  'self._skipped_size += size', 'pass',
  'http11::informational_answers_without_an_end', 'http11::all_heads_together_may_be_64_kib')
G('limits', 'the body of a rejection', '_http11.py',
  'data[position:min(end, position + self._limit - len(self._body))]', 'data[position:end]',
  'http11::body_limit')
G('limits', 'a compressed body is not inflated beyond it', '_http11.py',
  'inflater.decompress(rest, limit - size)', 'inflater.decompress(rest)',
  'http11::coded_body')
G('limits', 'the answer of a proxy', 'network/proxy_handshake.py',
  'HeadReader(_ANSWER_LIMIT,', 'HeadReader(1 << 30,',
  'proxy_handshake::connect_fails')
G('limits', 'the body of a proxy that refuses is not waited for', 'network/dialer.py',
  'if now >= give_up_at:', 'if False:',
  'proxies::refusal_whose_body_does_not_end')
G('limits', 'there are at most two CONNECT requests', 'network/proxy_handshake.py',
  'self.response = self._digest = None', 'self.response = None',
  'proxy_handshake::digest_that_cannot_be_answered', 'proxies::digest_is_refused')
G('limits', 'lookups that hang', 'network/resolver.py',
  'if not any(lookup.wakes for', 'if not any(True for',
  'resolver::left_behind')
G('limits', 'a server without descriptors does not spin', 'server/acceptor.py',
  'self.listener.pause(error, monotonic())', 'pass',
  'testing_server::shortage')
G('limits', 'an interrupted lookup does not stay registered', 'network/resolver.py',
  'lookup.give_up(wake, here)', 'pass',
  'resolver::interrupted_anywhere')
G('limits', 'what is read while a send waits', 'driver/reader.py',
  'most = limit if most is None else min(self._kept + most, limit)', 'most = self._kept + (most or 1 << 40)',
  'backlog::it_does_not_read_beyond_its_limit')
G('limits', 'what a server reads while a send waits', 'driver/reader.py',
  'return BACKLOG_LIMIT if self._read_ahead is None else self._read_ahead', 'return BACKLOG_LIMIT',
  'backlog::setting_of_a_server')
G('limits', 'the backlog shrinks as it is consumed', 'driver/reader.py',
  "self._kept -= len(part[0] or b'') + PART_COST", 'pass',
  'backlog::size_goes_down_as_the_backlog_is_consumed')

G('limits', 'of what nobody takes, few events are made', 'aio/session.py',
  'if left <= 0:', 'if False:',
  'aio::reading_pauses_after_16_events')

# -- Locks, interrupts, descriptors ------------------------------------------------

G('locks', 'check, encode and write are one act under one lock', 'driver/writer.py',
  'raise Behind()\n                    self._wait_for_lock(hold)\n', 'raise Behind()\n',
  'threads::messages_of_eight_threads_arrive_intact[ws]')
G('locks', 'the state is checked under the lock', 'driver/writer.py',
  'if core.inputs != OPENED:', 'if False:',
  'threads::no_data_behind_a_close_frame')
G('locks', 'the loop never waits for a sender', 'driver/writer.py',
  'if not self._lock.try_take(hold):', 'if self._lock.take(hold):',
  'writer::loop_never_waits_for_a_sender')
G('locks', 'what was read during a send is delivered in order', 'driver/reader.py',
  'self.parts.popleft()', 'self.parts.pop()',
  'backlog::order_is_kept')
G('locks', 'a send within a send of the same thread raises', 'driver/writer.py',
  'raise errors.WebSocketError(_NESTED)\n            frame', 'pass\n            frame',
  'threads::signal_handler_that_sends_inside_of_a_send')
G('locks', 'an exception within a frame ends the connection', 'driver/writer.py',
  'self._break_off()\n                if is_mine:', 'pass\n                if is_mine:',
  'backpressure::exception_inside_of_a_send_ends_the_connection')
G('locks', 'a descriptor is closed by its last user', 'driver/writer.py',
  'if (not self._taken or self._lock.is_mine()) and self._closing is not _IS_CLOSED:',
  'if self._closing is not _IS_CLOSED:',
  'writer::descriptor_is_closed_by_whoever_still_writes')
G('locks', 'reads of TLS are serialized', 'network/tls_stream.py',
  'count = self._locked(self._read_records, view)', 'count = self._read_records(view)',
  'tls_stream::tls_object_is_in_one_threads_hands')
G('locks', 'TLS in TLS reads while it cannot write', 'network/tls_stream.py',
  'if not self._fill():\n                    raise self._want(self._stream.recv_wants)',
  'if not (self._flush() and self._fill()):\n                    raise self._want(self._stream.recv_wants)',
  'tls_stream::nested_reading_does_not_depend_on_writing')
G('locks', 'writes of TLS are serialized', 'network/tls_stream.py',
  'self._locked(self._write, data)', 'self._write(data)',
  'tls_stream::tls_object_is_in_one_threads_hands')
G('locks', 'an interrupt does not leave the lock taken', 'network/lock.py',
  'if self.taken.get(0) is hold:\n            self.taken.clear()',
  'if False:\n            self.taken.clear()',
  'lock::interrupt_at_each_step', 'writer::interrupt_amid_a_send')
G('locks', 'whoever waits for the lock waits for send_timeout at most', 'driver/writer.py',
  'if limit is not None and later >=', 'if False and later >=',
  'writer::who_waits_for_the_lock_is_limited_by_send_timeout')
G('locks', 'an interrupt loses no frame of the queue', 'driver/writer.py',
  'if self._adopted is not None:', 'if False:',
  'writer::interrupt_amid_a_reply')
G('locks', 'no thread sends a message inside of one in parts', 'driver/writer.py',
  'return opcode <= Opcode.BINARY and not all(', 'return False and not all(',
  'streams::eight_threads_send_whole_messages_during_a_stream[False]')
G('locks', 'no queued message goes inside of one in parts', 'protocol/send_queue.py',
  'elif self.stream is not None and opcode in', 'elif False and opcode in',
  'outgoing_stream::loop_sends_the_parts_and_goes_on')
G('locks', 'no code of the program runs under the write lock', 'client/trace.py',
  "self.note('socket_send', length=count)", "self.emit('socket_send', length=count)",
  'trace::no_code_of_the_program_under_a_lock[trace-False-close]')
G('locks', 'no code of the program runs inside of close()', 'client/trace.py',
  "self.note('close_requested', code", "self.emit('close_requested', code",
  'trace::no_code_of_the_program_under_a_lock[trace-False-close]')

G('locks', 'a loop that sleeps is woken', 'network/poller.py',
  'self.is_asleep = True', 'self.is_asleep = False',
  'wake_and_forget::no_wake_up_is_lost', 'wake_and_forget::close_in_a_signal_handler_while_the_loop_sleeps')
G('locks', 'a wake-up before the wait ends it', 'network/poller.py',
  'self.wake_waits if self.is_woken else', '',
  'time::a_wait_ends_with_the_wake_up')
G('locks', 'a loop of its own is woken after a turn', 'driver/steps.py',
  'self._waiting.is_asleep = True\n                    return', 'return',
  'wake_and_forget::close_in_a_signal_handler_while_the_loop_sleeps')
G('locks', 'a descriptor is forgotten before it is closed', 'driver/steps.py',
  'self._waiting.forget(fd)', 'pass',
  'wake_and_forget::forget_at_a_redirect', 'wake_and_forget::forget_at_the_end')
G('locks', 'one iterator of a session at a time', 'driver/steps.py',
  'if self._is_turn:\n            raise errors.WebSocketError(_NOT_EXHAUSTED)\n        if self._life is None and '
  'not self.is_over:\n            self._check_begin()\n            self._life = self._live()\n        self._is',
  'if self._life is None and not self.is_over:\n            self._check_begin()\n'
  '            self._life = self._live()\n        self._is',
  'open::process_before_the_last_one_is_exhausted')

# -- Masks -------------------------------------------------------------------------

G('masks', 'the client masks its frames', 'protocol/connection.py',
  "Role('client', masks_outgoing=True,", "Role('client', masks_outgoing=False,",
  'connection::client_masks_and_server_does_not')
G('masks', 'a masked frame of a server is refused', 'protocol/frame_parser.py',
  '[(4, 126), (10, 127)] + _WRONG',
  '[(4, 126), (10, 127)] + [(6, n) for n in range(126)] + [(8, 126), (14, 127)]',
  'frame_parser::wrong[masked]', 'frame_parser::wrong[masked ping]')
G('masks', 'keys are unpredictable', 'protocol/masking.py',
  'os.urandom(STOCK_SIZE)', "b'abcd' * (STOCK_SIZE // 4)",
  'masking::real_keys', 'masking::numbers_are_keys')
G('masks', 'no key is used twice', 'protocol/masking.py',
  'first = keys.pop()', 'first = keys[-1]',
  'masking::numbers_are_keys', 'masking::no_key_twice_in_threads')
G('masks', 'a forked child has keys of its own', '_compat.py',
  'os.register_at_fork(after_in_child=stock.clear)', 'pass',
  'masking::forked_child_has_other_keys')

# -- Requests that a server gets -----------------------------------------------------

G('requests', 'a page of another origin is refused', 'protocol/handshake.py',
  'if not is_allowed(self._origins, lines, host):', 'if False:',
  'server_handshake::refusals')
G('requests', 'an origin may come once', 'protocol/origins.py',
  'if len(lines) > 1:', 'if False:',
  'origins::foreign_origin')
G('requests', 'the port is part of an origin', 'protocol/origins.py',
  'and ports[0] == ports[1] != -1', '',
  'origins::foreign_origin')
G('requests', 'there is nothing at other paths', 'protocol/handshake.py',
  'request.path not in self._paths', 'False',
  'server_handshake::refusals')
G('requests', 'a body is not taken for frames', 'protocol/handshake.py',
  "if any(length.strip('0') for length in lengths)", 'if False',
  'server_handshake::refusals')
G('requests', 'no control characters reach the program', 'protocol/handshake.py',
  '        _check_characters(request)\n', '',
  'server_handshake::refusals')
G('requests', 'what on_request returns cannot split an answer', 'protocol/handshake.py',
  "return int(status), complete_headers(status, headers, body), to_bytes(body)",
  "return int(status), headers, body",
  'server_handshake::response_splitting')

# -- Secrets (SECURITY.md) ---------------------------------------------------------

G('secrets', 'a shared buffer has the bytes of one connection only', 'protocol/receive_buffer.py',
  'or lender.is_lent and self.buffer is not lender.buffer', '',
  'receive_buffer::a_lent_buffer_is_nobody_elses')
G('secrets', 'headers stay with their origin', 'client/request.py',
  "(b'authorization', b'cookie', b'host')", '()',
  'attempt::secrets_and_origins', 'http_answers::secrets_stay_with_their_origin')
G('secrets', 'a redirect from wss to ws is refused', 'client/attempt.py',
  'is_secure and not target.is_secure:', 'is_secure and False:',
  'attempt::redirects_that_are_refused', 'http_answers::redirect_from_tls_is_refused')
G('secrets', 'only the ports of ws and wss are one origin', 'network/url.py',
  "first.origin_key == ('ws', first.host, 80)", "first.scheme == 'ws'",
  'url::same_origin')
G('secrets', 'a client certificate is for one origin', 'client/attempt.py',
  'tls.update(cert=None, name=None)', 'pass',
  'attempt::tls_options_and_origins', 'http_answers::client_certificate_stays_with_its_origin')
G('secrets', 'a Unix domain socket is for one origin', 'client/attempt.py',
  'if self._endpoint.uds is not None and', 'if False and',
  'attempt::unix_socket_leads_to_one_origin')
G('secrets', 'another host is another origin', 'network/url.py',
  'self.origin_key = scheme, host, port', 'self.origin_key = scheme, port',
  'url::same_origin')
G('secrets', 'a joiner is not dropped, which would lead to another host', 'network/idna.py',
  "raise ValueError('contains a joiner that has no effect')", 'pass',
  'idna::bad_names')
G('secrets', 'the sharp s and the final sigma are kept', 'network/idna.py',
  'if character in _MAPPED:', 'if False:',
  'idna::good_names')
G('secrets', 'a key is for those who know its password', 'network/tls_context.py',
  '_tell_apart(password)), find_state', 'None), find_state',
  'tls_context::contexts_are_shared')
G('secrets', 'no header is injected', '_http11.py',
  'bad = _BAD_IN_VALUE.search(value)', 'bad = None',
  'http11::bad_headers', 'http_answers::injection')
G('secrets', 'the password for a proxy does not go to the server', 'client/options.py',
  "if lower == b'proxy-authorization' and what != 'proxy_headers':", 'if False:',
  'attempt::callable_must_not_name_the_proxys_password', 'websocket::add_header_refuses')
G('secrets', 'the password of a URL is hidden', 'network/url.py',
  "return text[:colon] + ':***' + text[at:]", 'return text',
  'url::mask_password', 'secrets::userinfo[me:hunter2@]')
G('secrets', 'the userinfo is hidden in the repr of an event', 'events.py',
  "value = _USERINFO.sub(native('//***@'), value)", 'pass',
  'events::repr_hides_credentials')
G('secrets', 'the credentials of a proxy are hidden', 'network/proxy_settings.py',
  "self.safe = _USERINFO.sub(lambda match: match.group(1) or '', text, 1)", 'self.safe = text',
  'secrets::reprs', 'proxies::proxy')
G('secrets', 'an error of the codec does not show a password', 'auth.py',
  'except UnicodeError:\n        pass', 'except UnicodeError:\n        raise',
  'secrets::refusals', 'auth::half_a_surrogate_pair')

# -- Time limits -------------------------------------------------------------------

G('time', 'connect_timeout ends an attempt that hangs', 'session.py',
  'if self._deadline is not None and self._waiting.monotonic() >= self._deadline:', 'if False:',
  'dialing::resolver_that_hangs', 'sequences::tcp_times_out')
G('time', 'connect_timeout holds until Ready', 'driver/lifecycle.py',
  'if self._deadline is not None and now >= self._deadline:', 'if False:',
  'lifecycle::answer_that_does_not_come', 'dialing::answer_that_never_ends')
G('time', 'waiting for the body of a rejection', 'driver/lifecycle.py',
  'BODY_WAIT = 1.0', 'BODY_WAIT = 12.0',
  'lifecycle::body_of_a_rejection_is_awaited_for_a_second_at_most', 'http_answers::body_has_a_second')
G('time', 'close_timeout', 'driver/lifecycle.py',
  'if not idle and now < self._give_up_at:', 'if not idle:',
  'lifecycle::close_that_is_not_answered_under_a_stream_of_messages')
G('time', 'TCP that the server leaves open', 'driver/deadlines.py',
  'ECHO_WAIT = 30.0', 'ECHO_WAIT = 60.0',
  'deadlines::defaults')
G('time', 'a peer that goes on talking after a failure', 'driver/deadlines.py',
  'DISCARD_WAIT = 0.5', 'DISCARD_WAIT = 6.0',
  'deadlines::defaults', 'sequences::violation_and_a_peer_that_goes_on')
G('time', 'ping_timeout counts from the oldest unanswered ping', 'driver/deadlines.py',
  'if self.oldest_ping is None:\n            self.oldest_ping = now', 'self.oldest_ping = now',
  'deadlines::ping_timeout_of_a_ping_that_cannot_be_written')
G('time', 'ping_timeout ends the connection', 'driver/lifecycle.py',
  'if what is deadlines.PING_TIMEOUT:', 'if False:',
  'lifecycle::missing_pong_is_judged_only_when_nothing_is_left_to_read')
G('time', 'send_timeout', 'driver/writer.py',
  'if left <= 0:', 'if False:',
  'backpressure::send_timeout_in_the_handler[ws]')
G('time', 'what waits in the queue has send_timeout, too', 'driver/lifecycle.py',
  'if times.stalled_at is not None and now', 'if False and now',
  'lifecycle::give_up_when_the_peer_takes_nothing', 'connection_deadlines::what_the_loop_writes_has_a_deadline')
G('time', 'nothing is written after a failed send', 'driver/writer.py',
  'if self.error is not None or self._closing:\n                    self._refuse()', 'pass',
  'writer::dead_wire_is_left_alone')

# -- Servers -------------------------------------------------------------------------

G('servers', 'connections are limited', 'server/reception.py',
  'most is None or len(self.running) < most', 'True',
  'security::full', 'security::full_with_tls')
G('servers', 'so are those who were turned away', 'server/listener.py',
  'len(self._leaving) < MOST_LEAVING', 'True',
  'listener::most_that_leave')
G('servers', 'they do not stay', 'server/listener.py',
  'sock, now + LEAVE_TIME', 'sock, now + 1e9',
  'listener::turned_away_and_stays')
G('servers', 'without descriptors there is a pause', 'server/listener.py',
  'self._paused_until[which] = now + PAUSE', 'pass',
  'listener::shortage')
G('servers', 'the default listens on loopback only', 'server/server.py',
  "handler=None, host='localhost'", 'handler=None, host=None',
  'security::bound_addresses')
G('servers', 'messages have a limit by default', 'server/options.py',
  'max_message_size=1024 * 1024', 'max_message_size=None',
  'security::memory_of_a_message')
G('servers', 'origins are checked by default', 'server/options.py',
  'origins=self.origins', "origins='*'",
  'security::foreign_origin', 'security::two_origins')
G('servers', 'only the paths of the dict are accepted', 'server/options.py',
  'paths=self.handler if isinstance(self.handler, dict) else None', 'paths=None',
  'security::paths', 'server::handlers_by_path')
G('servers', 'what has failed is not told', 'server/connection.py',
  'websocket.close(Status.UNEXPECTED_CONDITION)',
  'websocket.close(Status.UNEXPECTED_CONDITION, text_type(error))',
  'security::nothing_leaks')
G('servers', 'one thread iterates', 'server/connection.py',
  'elif self._owner != me:', 'elif False:',
  'server_websocket::one_thread_iterates')
G('servers', 'a handler that hangs is dropped', 'server/running.py',
  'connection.drop(place.websocket)', 'pass',
  'server::stop_drops_what_is_left')
G('servers', 'a refusal is not lost between two turns', 'driver/driver.py',
  'lifecycle.ready_at is not None and ', '',
  'accepted::refuse_during_a_read')
G('servers', 'a request that a group refuses is no member', 'group.py',
  "if event.name != 'ready':", 'if False:',
  'group_server::refusal')
G('locks', 'a forked child leaves the poller of its parent alone', 'group.py',
  'is record and self._fork == fork_id():', 'is record:',
  'group::forked_child')
G('limits', 'clients that connect at a time', 'group.py',
  'self._connecting < most', 'True',
  'group::connecting_in_turn')
G('servers', 'who does not keep up is dropped', 'server/broadcast.py',
  'session.queued > limit', 'False',
  'broadcast::slow_reader')

# -- TLS ---------------------------------------------------------------------------

G('tls', '1.2 or newer', 'network/tls_context.py',
  'context.minimum_version = ssl.TLSVersion.TLSv1_2', 'context.minimum_version = ssl.TLSVersion.TLSv1',
  'tls_context::minimum_version')
G('tls', 'a certificate is required', 'network/tls_context.py',
  'ssl.CERT_REQUIRED if checks_chain', 'ssl.CERT_OPTIONAL if checks_chain',
  'tls_context::context')
G('tls', 'the host name is checked', 'network/tls_context.py',
  'context.check_hostname = checks_name', 'context.check_hostname = False',
  'tls_context::context')
G('tls', 'a file is read again once it has changed', 'network/tls_context.py',
  'if made is None or made[0] != state:', 'if made is None:',
  'tls_context::change_of_a_file_makes_a_new_context', 'tls_context::change_of_the_store_is_seen')
G('tls', 'a fingerprint is compared', 'network/tls_context.py',
  'if digest != parse_fingerprint(fingerprint):', 'if False:',
  'tls_context::fingerprints')
G('tls', 'the peer is verified after the handshake', 'network/dialer.py',
  'if not is_overridden:', 'if False:',
  'tls::fingerprint')
G('tls', 'bytes of a proxy before TLS are refused', 'network/dialer.py',
  'if self.surplus:', 'if False:',
  'proxies::bytes_before_tls_are_refused')
G('tls', 'ending our direction sends no clear text', 'network/tls_stream.py',
  'return super(self._ssl.SSLSocket, self.sock).shutdown', 'return self.sock.shutdown',
  'tls_stream::tls_shutdown_leaves_no_clear_text')
