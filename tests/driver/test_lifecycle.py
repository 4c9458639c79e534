"""What is due, what an event leads to and what ends a connection: no stream, time of our own."""

from __future__ import absolute_import, division, unicode_literals

import pytest

from lomond.driver import lifecycle as lifecycle_module
from lomond.driver.deadlines import Deadlines
from lomond.driver.lifecycle import Lifecycle
from lomond.errors import SendTimeout, TransportFail
from lomond.events import Closed, Ping, ProtocolError, Ready, Rejected
from lomond.protocol import states
from lomond.protocol.connection import CLIENT, SERVER, Connection
from lomond.protocol.handshake import ClientHandshake
from lomond.response import Response

FOUND = Response(b'HTTP/1.1 302 Found\r\n\r\n')


class Clock(object):
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Life(object):
    """A lifecycle over an open core, and what happened to it."""

    def __init__(self, role=CLIENT, is_ready=True, poll=1e6, ping_rate=None, ping_timeout=None,
                 close_timeout=30.0, handshake=None, **options):
        self.clock = Clock()
        self.core = Connection(role, handshake)         # None: as after the opening handshake
        if not is_ready:
            self.core.inputs[:] = []
            self.core._known = (0, states.CONNECTING)
        self.times = Deadlines(poll, ping_rate, ping_timeout, close_timeout)
        self.flushes = 0
        self.it = Lifecycle(self.core, self.times, self.clock, self.flush, **options)
        if is_ready:
            self.it.before(Ready(FOUND, None, set()))
            self.act()                          # the first Poll, the first ping
            self.flushes = 0

    def flush(self):
        self.flushes += 1

    def act(self, idle=True):
        return [event.name for event in self.it.act(self.clock.now, idle)]

    def idle(self):
        return [event.name for event in self.it.on_idle(self.clock.now)]

    def queued(self):
        return [opcode for opcode, _ in self.core.take_outgoing()]


# -- what is due

def test_poll_and_ping_are_due_at_once_and_then_by_their_rates():
    life = Life(is_ready=False, poll=5, ping_rate=7)
    life.core.inputs.append(states.READY)
    life.it.before(Ready(FOUND, None, set()))
    assert life.act() == ['poll'] and life.queued() == [9] and life.flushes == 1
    life.core.pings.clear()
    names = []
    for second in range(1, 15):
        life.clock.now = 100.0 + second
        names += [(second, name) for name in life.act()]
        names += [(second, opcode) for opcode in life.queued()]
        life.core.pings.clear()
    assert names == [(5, 'poll'), (7, 9), (10, 'poll'), (14, 9)]


def test_a_ping_that_waits_in_the_queue_serves_for_the_next():
    life = Life(ping_rate=1)
    for _ in range(5):
        life.clock.now += 1
        life.act()
    assert life.queued().count(9) == 1


def test_no_pings_after_our_close_frame():
    life = Life(ping_rate=1)
    life.queued()
    life.core.close(1000, 'bye')
    life.clock.now += 1
    assert life.act() == [] and life.queued() == []
    assert life.times.next_ping is None


def test_slow_poll_handlers_leave_time_for_the_rest():
    """`poll` is shorter than what its handler takes."""
    life = Life(poll=0.001)
    events = life.it.act(life.clock.now + 1, True)
    life.clock.now += 1
    assert next(events).name == 'poll'
    life.clock.now += 10                        # the handler
    assert next(events, None) is None
    assert life.times.next_poll == life.clock.now + lifecycle_module.NEXT_TURN


def test_missing_pong_is_judged_only_when_nothing_is_left_to_read():
    life = Life(ping_rate=1, ping_timeout=2)
    life.it.next_deadline()
    life.clock.now += 2
    assert life.act(idle=False) == [] and life.it.ending is None
    assert life.idle() == ['unresponsive']
    assert life.it.ending == ('disconnected; exceeded 2s ping timeout', False, None)
    assert life.core.state is states.FAILED


def test_missing_pong_does_not_matter_once_the_peer_has_closed():
    life = Life(ping_rate=1, ping_timeout=2)
    life.it.next_deadline()
    for _ in life.core.receive(b'\x88\x02\x03\xe8'):
        pass
    life.clock.now += 2
    assert life.idle() == [] and life.it.ending is None and life.times.oldest_ping is None


@pytest.mark.parametrize('role, reason', [
    (CLIENT, "disconnected; server didn't respond to close packet within 3s"),
    (SERVER, "disconnected; the client didn't answer the close frame within 3s")])
def test_close_that_is_not_answered(role, reason):
    life = Life(role, close_timeout=3)
    life.core.close(1000, '')
    life.times.closed_at = life.clock.now
    life.clock.now += 2.9
    assert life.idle() == [] and life.it.ending is None
    life.clock.now += 0.2
    # A slow handler: the answer may be among what has arrived.
    assert life.act(idle=False) == [] and life.it.ending is None
    life.clock.now += lifecycle_module.LATE_ANSWER - 0.01
    assert life.act(idle=False) == [] and life.it.ending is None
    assert life.idle() == [] and life.it.ending == (reason, False, None)


def test_close_that_is_not_answered_under_a_stream_of_messages():
    life = Life(close_timeout=3)
    life.times.closed_at = life.clock.now
    for seconds, is_over in (3, False), (lifecycle_module.LATE_ANSWER, True):
        life.clock.now += seconds
        life.act(idle=False)
        assert (life.it.ending is not None) == is_over


# -- what events lead to

@pytest.mark.parametrize('event, ready, ending', [
    (Closed(1000, ''), True, ('closed', True, None)),
    (Rejected(FOUND, 'no'), False, ('closed', True, None)),
    (ProtocolError('bad', True), False, ('disconnected; bad', False, None)),
    (ProtocolError('bad', False), True, None),
    (Ping(b''), True, None)])
def test_what_ends_a_client(event, ready, ending):
    life = Life(is_ready=ready)
    assert life.it.before(event)
    assert life.it.after(event) == (ending is not None) and life.it.ending == ending


def test_forced_end_wins_over_a_clean_one():
    life = Life()
    life.it.stop('closed by us')
    life.it.stop('second')
    assert life.it.after(Closed(1000, '')) and life.it.ending == ('closed by us', False, None)


def test_nothing_is_done_by_time_after_a_forced_end():
    life = Life(poll=1)
    life.clock.now += 5
    life.it.stop('closed by us')
    assert life.act() == [] and life.it.ending is None
    life.it.end_as_told()
    assert life.it.ending == ('closed by us', False, None)


def test_rejection_that_leads_to_something_else_is_not_seen():
    life = Life(is_ready=False, on_rejected=lambda event: 'ws://other.test/')
    event = Rejected(FOUND, 'moved')
    assert not life.it.before(event) and life.it.after(event)
    assert (life.it.again, life.it.response) == ('ws://other.test/', FOUND)


# -- the opening handshake in time

def test_answer_that_does_not_come():
    life = Life(is_ready=False, open_deadline=107.0, open_reason='too late')
    assert life.it.next_deadline() == 107.0
    life.clock.now = 106.9
    assert life.idle() == [] and life.it.ending is None
    life.clock.now = 107.0
    assert life.idle() == [] and life.it.ending == ('too late', False, None)


@pytest.mark.parametrize('open_deadline, until', [(None, 101.0), (100.4, 100.4), (107.0, 101.0)])
def test_body_of_a_rejection_is_awaited_for_a_second_at_most(open_deadline, until):
    life = Life(is_ready=False, open_deadline=open_deadline)
    life.core.move(states.REJECT)
    life.core.events = iter([Rejected(FOUND, 'no'), None])
    assert life.idle() == [] and life.it.next_deadline() == until
    life.clock.now = 100.3
    assert life.idle() == [] and life.it.next_deadline() == until
    life.clock.now = until
    assert life.idle() == ['rejected'] and life.it.ending == ('closed', True, None)
    assert life.core.body_over


def late_rejection(**options):
    """A life that has waited long enough for the rest of the body."""
    life = Life(is_ready=False, handshake=ClientHandshake(b'key'), **options)
    life.core.collect_body = True
    assert list(life.core.receive(b'HTTP/1.1 404 x\r\n\r\nsome')) == [] == life.idle()
    life.clock.now = 101.0
    return life


def test_late_rejection_that_leads_to_something_else_is_not_seen():
    life = late_rejection(on_rejected=lambda event: event.response.body)
    assert life.idle() == [] and (life.it.again, life.it.ending) == (b'some', ('closed', True, None))


def test_connection_that_the_handler_of_a_late_rejection_ends():
    life = late_rejection()
    for event in life.it.on_idle(life.clock.now):
        assert event.name == 'rejected' and event.response.body == b'some'
        life.it.stop('closed by us')
        life.core.disconnect()
    assert life.it.ending == ('closed by us', False, None)


# -- who ends TCP, and when

def close_by_peer(life):
    """The peer's close frame comes, and is echoed."""
    key = b'\0\0\0\0' if life.core.role is SERVER else b''
    frame = (b'\x88\x82' if key else b'\x88\x02') + key + b'\x03\xe8'
    for event in life.core.receive(frame, 1.0, 1.0):
        assert event.name == 'closing' and life.it.before(event)
        life.it.after(event)
    assert life.core.state is states.ECHOED


def test_client_leaves_the_end_of_tcp_to_the_server():
    life = Life(close_timeout=3)
    close_by_peer(life)
    assert not life.it.fin_is_due(100.0) and life.times.echoed_at == 100.0
    assert life.it.next_deadline() == 103.0
    life.clock.now = 103.0
    assert life.idle() == [] and life.it.ending == ('closed', True, None)


def end_server(life, how):
    if how == 'echo':
        close_by_peer(life)
    elif how == 'closed':
        life.core.close(1000, '')
        for event in life.core.receive(b'\x88\x82\0\0\0\0\x03\xe8', 1.0, 1.0):
            assert event.name == 'closed' and life.it.before(event)
            life.it.after(event)
    else:
        life.core.move(states.REJECT)
        event = Rejected(FOUND, 'no')
        assert life.it.before(event)
        assert not life.it.after(event)


@pytest.mark.parametrize('how', ['echo', 'closed', 'rejected'])
def test_server_ends_tcp_first_and_waits_a_second_for_the_client(how):
    life = Life(SERVER, is_ready=how != 'rejected')
    end_server(life, how)
    assert life.it.ending is None and life.it.fin_is_due(100.0)
    assert life.it.fin_is_due(100.0)            # not everything was written yet
    life.it.fin_was_sent(100.0)
    assert not life.it.fin_is_due(100.0)
    assert life.it.next_deadline() == 101.0
    life.clock.now = 100.9
    assert life.idle() == [] and life.it.ending is None
    life.clock.now = 101.0
    assert life.idle() == [] and life.it.ending == ('closed', True, None)


@pytest.mark.parametrize('how', ['echo', 'closed', 'rejected'])
@pytest.mark.parametrize('end', [0, OSError(104, 'reset')])
def test_server_whose_client_ends_tcp(how, end):
    life = Life(SERVER, is_ready=how != 'rejected')
    end_server(life, how)
    life.it.fin_is_due(100.0)
    life.it.fin_was_sent(100.0)
    life.it.stream_ended(end)
    assert life.it.ending == ('closed', True, None)


def test_refused_client_that_takes_nothing():
    life = Life(SERVER, is_ready=False, send_timeout=7.0)
    end_server(life, 'rejected')
    assert life.it.fin_is_due(100.0) and life.it.next_deadline() == 107.0
    life.clock.now = 107.0
    assert life.idle() == []
    reason, graceful, error = life.it.ending
    assert reason == 'socket fail; the client did not take the answer within 7.0s (send_timeout)'
    assert not graceful and isinstance(error, SendTimeout)


def test_refused_client_that_takes_nothing_and_sends_on():
    life = Life(SERVER, is_ready=False, send_timeout=7.0)
    end_server(life, 'rejected')
    life.clock.now = 106.9
    assert life.it.fin_is_due(106.9)
    life.it.fin_must_wait(106.9)
    assert life.it.ending is None
    life.it.fin_must_wait(107.0)
    assert isinstance(life.it.ending[2], SendTimeout)


@pytest.mark.parametrize('how', ['echo', 'closed'])
def test_close_frame_that_waits_is_not_an_answer_that_is_late(how):
    life = Life(SERVER, send_timeout=7.0)
    end_server(life, how)
    assert life.it.fin_is_due(100.0)
    life.it.fin_must_wait(1000.0)
    assert life.it.ending is None


@pytest.mark.parametrize('role, end, write_error, writes_on', [
    (SERVER, 0, None, True), (CLIENT, 0, None, False), (SERVER, OSError(104, 'reset'), None, False),
    (SERVER, 0, TransportFail('socket fail; broken pipe'), False)])
def test_client_that_ends_its_direction_still_gets_the_answer(role, end, write_error, writes_on):
    life = Life(role, is_ready=False)
    assert not life.it.writes_on(end, write_error)      # nothing is to be said before the end
    life.core.move(states.REJECT)
    event = Rejected(FOUND, 'no')
    life.it.before(event)
    life.it.after(event)
    assert life.it.writes_on(end, write_error) is writes_on
    life.it.fin_was_sent(100.0)
    assert not life.it.writes_on(end, write_error)


@pytest.mark.parametrize('role', [CLIENT, SERVER])
def test_failure_ends_our_direction_and_discards_for_half_a_second(role):
    life = Life(role)
    life.core.fail(1002, 'bad frame')
    life.it.after(ProtocolError('bad frame', False))
    assert life.it.fin_is_due(100.0)
    life.it.fin_was_sent(100.1)
    assert life.it.next_deadline() == 100.5
    life.clock.now = 100.5
    assert life.act(idle=False) == []
    assert life.it.ending == ('disconnected; bad frame', False, None)


# -- the end of the stream

RESET = OSError(104, 'Connection reset by peer')
DEAD = TransportFail('socket fail; broken pipe')
SLOW = SendTimeout('socket fail; the peer took nothing for 1s (send_timeout)')


@pytest.mark.parametrize('state, end, write_error, reset, reason, graceful', [
    ([states.READY], 0, None, None, 'socket fail; connection lost', False),
    ([states.READY], RESET, None, None, 'socket fail; Connection reset by peer', False),
    ([states.READY], 0, DEAD, RESET, 'socket fail; Connection reset by peer', False),
    ([states.READY], DEAD, DEAD, None, 'socket fail; broken pipe', False),
    ([states.READY], 0, SLOW, None, 'socket fail; the peer took nothing for 1s (send_timeout)', False),
    ([states.READY, states.CLOSE_SENT], 0, None, None, 'socket fail; connection lost', False),
    ([states.READY, states.CLOSE_RECEIVED], RESET, DEAD, None, 'closed', True),
    ([states.READY, states.CLOSE_RECEIVED, states.CLOSE_SENT], 0, None, None, 'closed', True),
    ([states.READY, states.CLOSE_RECEIVED], 0, SLOW, None,
     'socket fail; the peer took nothing for 1s (send_timeout)', False),
    ([states.READY, states.FAIL], RESET, None, None, 'disconnected; bad', False),
    ([], 0, None, None, 'socket fail; connection lost', False)])
def test_end_of_the_stream(state, end, write_error, reset, reason, graceful):
    life = Life()
    life.core.inputs[:] = state
    life.core._known = (0, states.CONNECTING)
    life.core.failure = 'bad'
    life.it.stream_ended(end, write_error, reset)
    assert life.it.ending[:2] == (reason, graceful)
    assert (life.it.ending[2] is None) == (end == 0 and reset is None and write_error is not SLOW
                                           or graceful or 'bad' in reason)


def test_close_drops_the_callbacks():
    life = Life(on_ready=lambda response: None, on_rejected=len)
    life.it.close()
    assert life.it._on_ready is life.it._on_rejected is life.it._flush is None


# -- what the peer does not take

@pytest.mark.parametrize('looks, given_up', [
    ([(1, 0), (2, 0), (3, 0), (4, 0)], 4), ([(1, 0), (2, 1.5), (3, 1.5), (5.4, 1.5), (5.5, 1.5)], 5.5),
    ([(1, 0), (2, None), (3, None), (40, None)], None)])
def test_give_up_when_the_peer_takes_nothing(looks, given_up):
    """Each look: the time, and when the peer last took something."""
    class Wire(object):
        def look(self):
            return None if moved is None else 100.0 + moved

        def give_up(self, error):
            failed.append((life.clock.now, error))
    failed, moved = [], 0
    life = Life(send_timeout=4.0, writer=Wire())
    life.times.stalled_at = 100.0
    for when, moved in looks:       # noqa: B007 - the wire tells it
        assert not failed
        life.clock.now = 100.0 + when
        life.act(False)
    assert [when for when, _ in failed] == ([] if given_up is None else [100.0 + given_up])
    for _, error in failed:
        assert isinstance(error, SendTimeout) and life.times.stalled_at is None and life.it.ending is None
        assert str(error) == 'socket fail; the peer took nothing for 4.0s (send_timeout)'


def test_answer_that_leads_to_something_else_is_not_seen():
    life = Life(is_ready=False, on_ready=lambda response: 'ws://other.test/')
    assert not life.it.before(Ready(FOUND, None, set()))
    assert (life.it.again, life.it.ending) == ('ws://other.test/', ('closed', False, None))
