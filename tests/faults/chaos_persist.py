"""Scenarios of persist(): its exit_event in each phase, slow handlers, servers that
flap.
"""

from __future__ import absolute_import, division, unicode_literals

import random
import threading

import chaos
from chaos import Watch, add, monotonic, scenario
from chaos_control import PHASES
from support.client import ENDS
from support.frames import close_frame, frame

from lomond.persist import persist

#: The number of the close code that persist sends.
GOING_AWAY = b'\x03\xe9'


class OnlyWait(object):
    """The least that an exit_event may be."""

    def __init__(self):
        event = threading.Event()
        self.set, self.wait = event.set, event.wait


def iterate(watch, event, **settings):
    """Run persist() with the handlers of a Watch; the names of all events, in order."""
    watch.start = monotonic()
    names = []
    for one in persist(watch.ws, exit_event=event, **dict(watch.settings, **settings)):
        names.append(one.name)
        watch._note(one)
        if one.name in watch.do:
            watch.do[one.name](watch)
    watch.ended = monotonic()
    for thread in watch._threads:
        thread.join(chaos.PATIENCE)
        assert not thread.is_alive() and thread.error is None, thread.error
    watch._threads = []
    assert not watch.ws.is_active and watch.ws.session._sock is None
    return names


def _exit(world, phase, kind, answer):
    # Best of three: the last 50 ms of the second belong to the machine.
    took = []
    while len(took) < 3 and (not took or min(took) >= 1.0):
        watch = phase.watch(world, phase.answer if answer else ())
        event, set_at = kind(), []

        def from_thread(watch=watch, event=event, set_at=set_at):
            phase.wait_there(watch)
            set_at.append(monotonic())
            event.set()
        watch.in_thread(from_thread)
        names = iterate(watch, event, min_wait=20, max_wait=20)
        assert 'back_off' not in names and names[-1] in ENDS, names
        took.append(watch.ended - set_at[0])
        world.end()
    assert min(took) < 1.0, took
    if answer:
        assert watch.last.graceful and min(took) < 0.85, (watch.last, took)


for _name in sorted(PHASES):
    add('persist', 'exit_event: ' + _name, 'over within 1 s', _exit, PHASES[_name], threading.Event, False,
        quick=_name in ('resolving', 'TLS', 'a send of the handler is stuck'))
    add('persist', 'exit_event with wait() alone: ' + _name, 'over within 1 s',
        _exit, PHASES[_name], OnlyWait, False)
for _name in ('open', 'open, wss'):
    add('persist', 'exit_event, the close frame is answered: ' + _name, 'graceful, at once',
        _exit, PHASES[_name], threading.Event, True, quick=_name == 'open, wss')


@scenario('persist', 'Close 1001', quick=True)
def the_close_frame_of_an_exit_event(world):
    watch = Watch(world, [['accept'], ['answer_close']], settings=dict(poll=30))
    event = threading.Event()
    watch.do['ready'] = lambda watch: event.set()
    names = iterate(watch, event)
    assert names[-2:] == ['closed', 'disconnected'], names
    assert [one[4][:2] for one in watch.peer.over()['frames']] == [GOING_AWAY]


@scenario('persist', 'over within 1 s of the end of the handler')
def exit_event_while_a_handler_takes_3_s(world):
    watch = Watch(world, [['accept'], ['hold']], settings=dict(poll=30))
    event, left = threading.Event(), []

    def slow(watch):
        event.set()
        chaos.time.sleep(3)
        left.append(monotonic())
    watch.do['ready'] = slow
    names = iterate(watch, event)
    assert names[-1] == 'disconnected', names
    assert watch.ended - left[0] < 0.5


@scenario('persist', 'over at once', quick=True)
def exit_event_in_a_pause(world):
    watch = Watch(world, [['accept'], ['drop']], settings=dict(poll=30))
    event, set_at = threading.Event(), []

    def from_thread():
        watch.wait('back_off')
        chaos.time.sleep(0.3)
        set_at.append(monotonic())
        event.set()
    watch.in_thread(from_thread)
    names = iterate(watch, event, min_wait=20, max_wait=20)
    assert names[-1] == 'back_off', names
    assert watch.ended - set_at[0] < 0.5


def _flapping(name, steps):
    def function(world):
        peer = world.peer(steps)
        watch = Watch(world, peer=peer, settings=dict(poll=30))
        event = threading.Event()
        timer = threading.Timer(20, event.set)
        timer.start()
        before = random.getstate()
        random.seed(8)
        try:
            names = iterate(watch, event, min_wait=0.2, max_wait=8)
        finally:
            random.setstate(before)
            timer.join()
        assert 3 <= names.count('connecting') <= 12, names.count('connecting')
        assert watch.ended - watch.start < 20 + 1 + chaos.SLACK
    add('persist', '20 s of a server that ' + name, 'at most 12 connects', function)


_flapping('accepts and drops', [['drop']])
_flapping('answers and drops', [['accept'], ['drop']])
_flapping('sends a message and resets', [['accept'], ['send', frame(1, b'x')], ['sleep', 0.02], ['reset']])
_flapping('closes at once', [['accept'], ['send', close_frame(1012)], ['read_close']])
_flapping('asks for no pause', [['read_head'], ['send', (
    b'HTTP/1.1 503 No\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n')]])
