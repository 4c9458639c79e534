"""Scenarios of the client's own process: close(), force_disconnect(), signals, Ctrl-C,
forks, by phase.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import signal
import threading
import warnings

import chaos
from chaos import (
    CONNECT,
    GOOD,
    SHORT,
    SLACK,
    SOCKS_5,
    TLS,
    Watch,
    add,
    close,
    collect,
    force,
    monotonic,
    scenario,
    send_much,
)
from chaos_ends import HELLO
from support.frames import CLOSE, PING, close_frame, frame

from lomond import errors

# -- phases: how to get there, and what an end there looks like

FAIL = 'connecting connect_fail'
UPGRADE = 'connecting connected disconnected'
#: Nothing but the action ends the scenario.
PATIENT = dict(poll=30, connect_timeout=20.0, close_timeout=20.0, send_timeout=20.0)


class Phase(object):
    """A place where a client waits.

    :param steps: of the peer, before it marks 'there'; None: a full accept queue
    :param names: of the events of a forced end
    :param do: what handlers do to get there
    :param closed: (names, graceful) after ``close()``, with the peer's steps ``answer``
    :param stuck: a sender ends with an exception, too
    """

    def __init__(self, steps, names, way='ws', do=None, closed=None, answer=(), stuck=False):
        self.steps, self.names, self.way, self.do = steps, names, way, do or {}
        self.closed = closed or (names, False)
        self.answer, self.stuck = answer, stuck

    def watch(self, world, answer=(), **settings):
        """A client that will get there."""
        settings = dict(PATIENT, **settings)
        if self.steps is None:
            peer = world.peer([], full=True)
        else:
            peer = world.peer(self.steps + [['mark', 'there']] + list(answer or [['hold']]),
                              receive_buffer=8192)
        return Watch(world, way=self.way, peer=peer, do=dict(self.do), settings=settings)

    def wait_there(self, watch):
        """In another thread: wait until the client waits in this phase."""
        if self.steps is None:
            watch.wait('connecting')
            chaos.time.sleep(0.15)
        else:
            watch.peer.mark('there')
            chaos.time.sleep(0.25 if self.stuck else 0.1)


class Resolving(Phase):
    """The name never resolves."""

    def watch(self, world, answer=(), **settings):
        watch = super(Resolving, self).watch(world, answer, **settings)
        watch.ws = type(watch.ws)('ws://never.test:%d/' % watch.peer.port, proxies={})
        chaos.never_resolves(world)
        return watch


CLOSED = GOOD + ' closed disconnected'


def _stuck(prelude, way, send):
    return Phase(prelude + [['accept']], GOOD + ' disconnected', way, do={'ready': send}, stuck=True,
                 closed=(CLOSED, True), answer=[['sleep', 0.5], ['answer_close']])


PHASES = {
    'resolving': Resolving(None, FAIL),
    'TCP': Phase(None, FAIL),
    'TCP to the proxy': Phase(None, FAIL, 'http'),
    'HTTP proxy': Phase([['read_head']], FAIL, 'http'),
    'TLS to the proxy': Phase([['read_any']], FAIL, 'https'),
    'SOCKS 5': Phase(SOCKS_5[:3], FAIL, 'socks5'),
    'TLS': Phase([['read_any']], FAIL, 'wss'),
    'TLS by a proxy': Phase(CONNECT + [['read_any']], FAIL, 'wss by http'),
    'upgrade': Phase([['read_head']], UPGRADE),
    'upgrade, wss': Phase(TLS + [['read_head']], UPGRADE, 'wss'),
    'body of a rejection': Phase(
        [['read_head'], ['send', b'HTTP/1.1 404 No\r\nContent-Length: 99\r\n\r\n']],
        'connecting connected (rejected )?disconnected',
        closed=('connecting connected rejected disconnected', True)),
    'open': Phase([['accept']], GOOD + ' disconnected', closed=(CLOSED, True), answer=[['answer_close']]),
    'open, wss': Phase(TLS + [['accept']], GOOD + ' disconnected', 'wss', closed=(CLOSED, True),
                       answer=[['answer_close']]),
    'in a message': Phase([['accept'], ['send', HELLO[:4]]], GOOD + ' disconnected', closed=(
        GOOD + ' text closed disconnected', True),
        answer=[['read_close'], ['send', HELLO[4:] + frame(CLOSE)]]),
    'closing': Phase([['accept'], ['read_close']], GOOD + ' disconnected', do={'ready': close},
                     closed=(CLOSED, True), answer=[['sleep', 0.2], ['send', frame(CLOSE)]]),
    'our echo, TCP left open': Phase([['accept'], ['send', close_frame(1000)], ['read_close']],
                                     GOOD + ' closing disconnected',
                                     closed=(GOOD + ' closing disconnected', True), answer=[['sleep', 0.2]]),
    'a send of the handler is stuck': _stuck([], 'ws', send_much),
    'a send of the handler is stuck, wss': _stuck(TLS, 'wss', send_much),
    'a send of a thread is stuck': _stuck([], 'ws', Watch.send_in_thread),
    'a send of a thread is stuck, wss': _stuck(TLS, 'wss', Watch.send_in_thread),
    'violation': Phase([['accept'], ['send', frame(3)]], GOOD + ' protocol_error disconnected',
                       closed=(GOOD + ' protocol_error disconnected', False)),
}
QUICK = ('TCP', 'HTTP proxy', 'TLS', 'upgrade', 'open, wss', 'closing', 'a send of the handler is stuck',
         'a send of a thread is stuck, wss')


class Signals(object):
    """A signal handler for the time of a block."""

    def __init__(self, handler, number=signal.SIGUSR1):
        self._handler, self._number = handler, number

    def __enter__(self):
        self._before = signal.signal(self._number, lambda *_: self._handler())

    def __exit__(self, *_):
        signal.signal(self._number, self._before)


def _action(world, phase, what, by):
    """``what`` (close or force) by a thread or by a signal handler, while the client
    waits in a phase.
    """
    watch = phase.watch(world, phase.answer if what is close else ())
    acted = []

    def act():
        acted.append(monotonic())
        what(watch)

    def from_thread():
        phase.wait_there(watch)
        if by == 'thread':
            act()
        else:
            os.kill(os.getpid(), signal.SIGUSR1)
    watch.in_thread(from_thread)
    with Signals(act):
        watch.run()
    assert len(acted) == 1
    took = watch.ended - acted[0]
    if what is force:
        watch.expect(phase.names, '.*(closed|force_disconnect).*|closed', graceful=None)
        if watch.last.name == 'disconnected':
            assert watch.last.graceful is False, watch.last
        assert took < 0.6, took
    else:
        names, graceful = phase.closed
        if watch.last.name == 'connect_fail':
            watch.expect(names, '.*closed')
        else:
            watch.expect(names, 'closed' if graceful else None, graceful)
        # a stuck send has to go out first, and the body of a rejection has its
        # second
        assert took < (6 if phase.stuck else 1.5 if 'rejected' in phase.names else 1), took
    if phase.stuck:
        watch.sender_ended((errors.TransportFail, errors.WebSocketUnavailable))
        if what is close:
            after = [one[0] for one in watch.peer.over()['frames']]
            assert after[-1] == CLOSE and after.count(CLOSE) == 1


for _name in sorted(PHASES):
    for _by in ('thread', 'signal handler'):
        for _what in (close, force):
            add('close, force', '%s by a %s: %s' % (
                {close: 'close()', force: 'force_disconnect()'}[_what], _by, _name), 'at once',
                _action, PHASES[_name], _what, _by,
                quick=_name in QUICK and (_by == 'thread') == (_what is force) and not (
                    _what is close and PHASES[_name].stuck))


# -- Ctrl-C while it waits

def _interrupt(world, phase):
    watch = phase.watch(world)
    sent = []

    def from_thread():
        phase.wait_there(watch)
        sent.append(monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    watch.in_thread(from_thread)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _catch(watch)
        took = monotonic() - sent[0]
        watch.iterator = None
        collect()
    finally:
        signal.signal(signal.SIGINT, before)
    assert took < 0.6, took
    assert not watch.ws.is_active and watch.ws.session._sock is None
    for thread in watch._threads:       # a sender that was stuck ends, too
        thread.join(2)
        assert not thread.is_alive()


def _catch(watch):
    # A function of its own: see chaos_ends.
    try:
        watch.run()
    except KeyboardInterrupt:
        return
    raise AssertionError('no KeyboardInterrupt; ' + watch.names)


for _name in sorted(PHASES):
    add('Ctrl-C', 'Ctrl-C: ' + _name, '0.6 s', _interrupt, PHASES[_name], quick=_name in QUICK)


# -- signals all the time (EINTR)

class Pestered(Signals):
    """A signal each 7 ms for the time of a block."""

    def __init__(self):
        super(Pestered, self).__init__(lambda: self.came.append(1), signal.SIGUSR2)
        self.came, self._over = [], threading.Event()

    def __enter__(self):
        super(Pestered, self).__enter__()
        self._thread = threading.Thread(target=self._pester)
        self._thread.start()
        return self

    def _pester(self):
        while not self._over.wait(0.007):
            os.kill(os.getpid(), signal.SIGUSR2)

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        super(Pestered, self).__exit__()


def _pestered(world, phase, settings, names, at_least, at_most):
    watch = phase.watch(world, **settings)
    with Pestered() as signals:
        watch.run()
    assert len(signals.came) > 10
    watch.expect(names, at_least=at_least, at_most=at_most)


EINTR = [
    (name, {'connect_timeout': SHORT}, PHASES[name].names, SHORT)
    for name in ('resolving', 'TCP', 'TCP to the proxy', 'HTTP proxy', 'TLS to the proxy', 'SOCKS 5', 'TLS',
                 'TLS by a proxy', 'upgrade', 'upgrade, wss')
] + [
    (name, {'ping_rate': 0.2, 'ping_timeout': SHORT}, GOOD + ' unresponsive disconnected', SHORT)
    for name in ('open', 'open, wss')
] + [
    (name, {'send_timeout': SHORT}, GOOD + ' disconnected', SHORT)
    for name in sorted(PHASES) if 'stuck' in name
] + [
    ('closing', {'close_timeout': SHORT}, GOOD + ' disconnected', SHORT),
    ('our echo, TCP left open', {'close_timeout': SHORT}, GOOD + ' closing disconnected', SHORT),
    ('body of a rejection', {}, 'connecting connected rejected disconnected', 1),
    ('violation', {}, GOOD + ' protocol_error disconnected', 0.4),
]
for _name, _settings, _names, _least in EINTR:
    add('signals', 'a signal each 7 ms: ' + _name, 'as without', _pestered,
        PHASES[_name], _settings, _names, _least, _least + SLACK, quick=_name in ('TCP', 'open'))


def _echo_with_signals(world, way):
    messages, got = [os.urandom(1024 * 1024) for _ in range(8)], []

    def send(watch):
        for message in messages:
            watch.ws.send_binary(message)

    def receive(watch):
        got.append(watch.event.data == messages[len(got)])
        if len(got) == 8:
            watch.ws.close()
    watch = Watch(world, [['accept'], ['echo']], way, do={'ready': send, 'binary': receive},
                  settings=dict(poll=30))
    with Pestered():
        watch.run().expect(GOOD + ' binary closed disconnected', 'closed', graceful=True)
    assert got == [True] * 8


for _way, _name in (('ws', ''), ('wss', ' over TLS')):
    add('signals', 'a signal each 7 ms and 8 MB echoed' + _name, 'nothing is lost', _echo_with_signals, _way)


@scenario('signals', 'the interrupted send breaks the connection, or nothing')
def a_handler_that_raises_in_a_send(world):
    # What is on the wire up to there must be whole frames, or the end.
    class Alarm(Exception):
        pass

    def ring():
        raise Alarm()
    for wait in (0.02, 0.1, 0.3):
        watch = Watch(world, [['accept'], ['sleep', 0.5], ['read_on']], receive_buffer=8192,
                      settings=dict(poll=30, send_timeout=5.0))

        def send(watch, wait=wait):
            timer = threading.Timer(wait, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            try:
                while True:
                    watch.ws.send_binary(b'd' * 1024 * 1024)
            except Alarm:
                pass
            timer.join()
            try:
                watch.ws.send_text('behind it')
            except errors.WebSocketError:
                return
            watch.ws.close()
        watch.do['ready'] = send
        with Signals(ring):
            watch.run()
        assert watch.last.name == 'disconnected'
        facts = watch.peer.over()           # its reader fails on anything but whole frames
        assert facts['how'] in ('fin', 'reset', 'script')
        for one in facts['frames']:
            assert one[0] in (1, 2, 8) and one[3] in (2, 9, 1024 * 1024), one


# -- forks

def _fork_quietly():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # 3.12 warns of threads in the parent
        return os.fork()


def _fork(world, way, at, leave):
    script = [['accept'], ['mark', 'open'], ['send', HELLO + frame(PING, b'x')], ['echo']]
    watch = Watch(world, script, way, settings=dict(poll=30, connect_timeout=10))
    texts = []

    def fork(watch):
        child = _fork_quietly()
        if not child:
            try:
                if leave == 'closes the iterator':
                    watch.iterator.close()
                elif leave == 'calls force_disconnect()':
                    watch.ws.force_disconnect()
                elif leave == 'closes':
                    watch.ws.session.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        if at not in ('connecting', 'connected'):
            watch.ws.send_text('after the child')

    def receive(watch):
        texts.append(watch.event.text)
        if len(texts) == 1:
            if at == 'text':
                fork(watch)
            elif at in ('connecting', 'connected'):
                watch.ws.send_text('after the child')
        else:
            watch.ws.close()
    if at != 'text':
        watch.do[at] = fork
    watch.do['text'] = receive
    watch.run().expect(GOOD + ' (text|ping| )+ closed disconnected', 'closed', graceful=True, at_most=5)
    assert texts == ['hello', 'after the child'], texts


for _way in ('ws', 'wss'):
    for _at in ('connecting', 'connected', 'ready', 'text'):
        for _leave in ('exits', 'closes the iterator', 'calls force_disconnect()', 'closes'):
            add('forks', '%s, fork at %s, the child %s' % (_way, _at, _leave), "the parent's goes on", _fork,
                _way, _at, _leave, quick=_way == 'wss' and _at == 'ready')


@scenario('forks', 'no masking key twice', quick=True)
def a_child_has_masking_keys_of_its_own(world):
    from lomond.protocol.masking import make_masking_key
    make_masking_key()
    read, write = os.pipe()
    child = _fork_quietly()
    if not child:
        try:
            os.write(write, b''.join(make_masking_key() for _ in range(100)))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    data = os.read(read, 1000)
    os.close(read)
    os.close(write)
    theirs = set(data[at:at + 4] for at in range(0, 400, 4))
    assert len(theirs) == 100 and not theirs & set(make_masking_key() for _ in range(100))
