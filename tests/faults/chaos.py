"""What the scenarios share: peers as processes, a client loop that is watched, and what
is asserted.

A scenario is a name, a bound in words, and a function of a :class:`World`; ``run.py``
makes the table.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import gc
import json
import os
import platform
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import chaos_peer
from chaos_peer import pack, unpack
from support.client import bare, check_end, check_order
from support.frames import CLOSE, PONG

from lomond import WebSocket
from lomond._compat import monotonic

#: What a socket raises that has nothing to read yet, by its timeout or by not blocking.
NOTHING_YET = (socket.timeout, BlockingIOError if sys.version_info[0] > 2 else socket.timeout)
#: What a busy machine may add to any time (seconds).
SLACK = 1.5
#: How long a peer may take to say something.
PATIENCE = 20.0
#: Where it is measured (seconds): what is short, and what a thing takes that must be
#: much longer.
SHORT = 0.5
LONG = 30.0

GOOD = 'connecting connected ready'
LOST = r'socket fail; connection lost'
RESET = r'socket fail; .*(reset|[Bb]roken pipe).*'
#: Events that floods are made of: in ``names`` any number in a row is one.
MANY = ('text', 'binary', 'ping', 'pong')

ALL = []


class Scenario(object):
    """One row of the table.

    :param group: what it belongs to
    :param name: unique
    :param bound: what is promised, in words
    :param function: called with a :class:`World` and the arguments; raises what is wrong
    :param quick: part of the quick half
    :param limit: seconds after which the runner takes it for hanging
    """

    def __init__(self, group, name, bound, function, args, quick=False, limit=40):
        self.group, self.name, self.bound = group, name, bound
        self.function, self.args, self.quick, self.limit = function, args, quick, limit

    def run(self, world):
        """Run it, and see that nothing is left behind."""
        before = descriptors(), threads()
        try:
            self.function(world, *self.args)
        finally:
            world.end()
        wait_until(lambda: descriptors() <= before[0], 3, lambda: 'descriptors left: %d, before %d' % (
            descriptors(), before[0]))
        wait_until(lambda: threads() <= before[1], 3, lambda: 'threads left: %s' % threading.enumerate())
        assert not gc.garbage


def add(group, name, bound, function, *args, **options):
    """Put a scenario into the table."""
    assert name not in [one.name for one in ALL], name
    ALL.append(Scenario(group, name, bound, function, args, **options))


def scenario(group, bound, quick=False, limit=40):
    """The same as a decorator; the name is the function's."""
    def note(function):
        add(group, function.__name__.replace('_', ' '), bound, function, quick=quick, limit=limit)
        return function
    return note


def collect():
    """What goes with its last reference is gone behind this on PyPy, too, where nothing
    counts them.
    """
    if platform.python_implementation() == 'PyPy':
        gc.collect()


def descriptors():
    collect()           # the pipe of each connection
    return len(os.listdir('/proc/self/fd'))


def threads():
    # A name that is looked up forever has a daemon thread of its own by design.
    return len([one for one in threading.enumerate() if 'resol' not in one.name])


def wait_until(condition, seconds, problem):
    """Wait for a condition that another thread or process brings about."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, problem() if callable(problem) else problem
        time.sleep(0.005)


class Leave(Exception):
    """Leaves a loop."""


# -- peers

class Mother(object):
    """The process that forks peers."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(chaos_peer.__file__.replace('.pyc', '.py'))],
            stdin=subprocess.PIPE)

    def say(self, order):
        self._process.stdin.write(json.dumps(pack(order)).encode('ascii') + b'\n')
        self._process.stdin.flush()

    def end(self):
        self._process.stdin.close()
        self._process.wait()


class PeerProcess(object):
    """A peer's process, seen from here."""

    def __init__(self, world, scripts, **options):
        self._world = world
        listener = socket.socket(socket.AF_UNIX)
        path = os.path.join(world.folder, 'control')
        try:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(PATIENCE)
            world.mother.say(dict(options, scripts=scripts, control=path))
            self._control = listener.accept()[0]
        finally:
            listener.close()
            if os.path.exists(path):
                os.unlink(path)
        self._control.settimeout(None)
        self._lock = threading.Lock()
        self._data = b''
        self._heard = []
        facts = self._hear(lambda one: one['event'] == 'up')
        self.pid, self.port = facts['pid'], facts['port']

    def _hear(self, is_it, seconds=PATIENCE):
        deadline = monotonic() + seconds
        while True:
            with self._lock:
                for at, facts in enumerate(self._heard):
                    if is_it(facts):
                        return self._heard.pop(at)
                self._control.settimeout(0.1)
                try:
                    data = self._control.recv(65536)
                except NOTHING_YET:
                    data = None
                except (OSError, socket.error) as error:
                    if 'timed out' not in str(error) and 'nterrupted' not in str(error):
                        raise
                    data = None
                if data:
                    self._data += data
                    lines = self._data.split(b'\n')
                    self._data = lines.pop()
                    self._heard += [unpack(json.loads(line.decode('ascii'))) for line in lines]
                assert data != b'', 'the peer is dead'
            assert monotonic() < deadline, 'the peer says nothing'

    def mark(self, name):
        """Wait until a script is at this place."""
        return self._hear(lambda one: one['event'] == 'mark' and one['name'] == name)

    def over(self, number=0, seconds=PATIENCE):
        """Wait for the end of a connection's script: what the peer saw, as a dict."""
        facts = self._hear(lambda one: one['event'] == 'over' and one['number'] == number, seconds)
        assert not facts['how'].startswith('error'), facts['how']
        return facts

    def tell(self, word):
        """Let the script go on that waits for this word."""
        self._control.sendall(word.encode('ascii') + b'\n')

    def _is_stopped(self):
        with open('/proc/%d/stat' % self.pid) as file:
            return file.read().rsplit(')', 1)[1].split()[0] == 'T'

    def wait_stopped(self):
        """Wait until the peer has stopped itself."""
        wait_until(self._is_stopped, PATIENCE, 'the peer does not stop')

    def stop(self):
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self.wait_stopped()

    def resume(self):
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        """SIGKILL: the kernel ends its connections."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self):
        """No peer outlives its scenario."""
        self.kill()
        self._control.close()
        self._world.mother.say({'bury': self.pid})


class World(object):
    """What scenarios are run in: certificates, and the process that makes peers.

    :param ca: path of the authority's PEM file
    :param certificate: path of the PEM file of a server on localhost and 127.0.0.1
    """

    def __init__(self, ca, certificate):
        self.ca, self.certificate = ca, certificate
        self.folder = tempfile.mkdtemp(prefix='chaos-')
        self.mother = Mother()
        self._peers = []
        self._undo = []

    def at_end(self, function):
        """Call it at the end of the scenario."""
        self._undo.append(function)

    def peer(self, *scripts, **options):
        """A new process; one script for each connection, the last one for all further.
        """
        peer = PeerProcess(self, scripts, certificate=self.certificate, **options)
        self._peers.append(peer)
        return peer

    def end(self):
        """End the peers of a scenario."""
        while self._undo:
            self._undo.pop()()
        for peer in self._peers:
            peer.end()
        self._peers = []

    def close(self):
        """End it all."""
        self.end()
        self.mother.end()
        os.rmdir(self.folder)


# -- ways to a server: through what, and what the peer has to say before it is the server

class Way(object):
    """A way: the peer's first steps, and what the client is told."""

    def __init__(self, prelude=(), secure=False, proxy=None):
        self.prelude, self.secure, self.proxy = list(prelude), secure, proxy

    def url(self, peer):
        return '%s://127.0.0.1:%d/' % ('wss' if self.secure else 'ws', peer.port)

    def options(self, world, peer):
        """For the constructor."""
        proxies = {'all': self.proxy % peer.port} if self.proxy else {}
        return {'proxies': proxies, 'ssl_cafile': world.ca}


ESTABLISHED = b'HTTP/1.1 200 Connection established\r\n\r\n'
GRANTED_4 = b'\0\x5a' + b'\0' * 6
GRANTED_5 = b'\x05\0\0\x01' + b'\0' * 6
CONNECT = [['read_head'], ['send', ESTABLISHED]]
SOCKS_4 = [['read_socks4'], ['send', GRANTED_4]]
SOCKS_5 = [['read_any'], ['send', b'\x05\0'], ['read_any'], ['send', GRANTED_5]]
SOCKS_5_AUTH = [['read_any'], ['send', b'\x05\x02'], ['read_any'], ['send', b'\x01\0'],
                ['read_any'], ['send', GRANTED_5]]
TLS = [['tls']]

WAYS = {
    'ws': Way(),
    'wss': Way(TLS, secure=True),
    'http': Way(CONNECT, proxy='http://127.0.0.1:%d'),
    'https': Way(TLS + CONNECT, proxy='https://127.0.0.1:%d'),
    'socks4': Way(SOCKS_4, proxy='socks4://127.0.0.1:%d'),
    'socks4a': Way(SOCKS_4, proxy='socks4a://127.0.0.1:%d'),
    'socks5': Way(SOCKS_5, proxy='socks5://127.0.0.1:%d'),
    'socks5 with password': Way(SOCKS_5_AUTH, proxy='socks5h://user:secret@127.0.0.1:%d'),
    'wss by http': Way(CONNECT + TLS, secure=True, proxy='http://127.0.0.1:%d'),
    'wss by socks5': Way(SOCKS_5 + TLS, secure=True, proxy='socks5h://127.0.0.1:%d'),
}


def never_resolves(world):
    """Until the end of the scenario no look-up of a name ends."""
    release = threading.Event()
    real = socket.getaddrinfo

    def hang(*args, **kwargs):
        release.wait()
        return real('127.0.0.1', *args[1:], **kwargs)

    def undo():
        socket.getaddrinfo = real
        release.set()
    socket.getaddrinfo = hang
    world.at_end(undo)


# -- the client

class Watch(object):
    """One connection from Connecting to the end, and what must be true of every one.

    :param world, script, way: the peer; None as script: ``peer`` is there already
    :param do: dict: name of an event -> function of this object, called in the loop
    :param settings: of ``connect()``
    :param options: of the constructor
    :param peer_options: of the peer

    ``names`` are the events but Poll, joined with blanks, floods as one; ``counts`` how
    many of each.
    """

    def __init__(self, world, script=None, way='ws', do=None, settings=None, options=None, peer=None,
                 **peer_options):
        self.way = WAYS[way]
        if peer is None:
            peer = world.peer(self.way.prelude + list(script), **peer_options)
        self.world, self.peer = world, peer
        self.do = do or {}
        self.settings = dict({'ping_rate': 0}, **(settings or {}))
        options = dict(self.way.options(world, peer), **(options or {}))
        self.ws = WebSocket(self.way.url(peer), **options)
        self.events, self.times, self.counts = [], {}, {}
        self.event = self.iterator = self.start = self.elapsed = self.ended = None
        self.senders = []
        self.polls = []
        self._threads = []
        self._seen = threading.Condition()

    def run(self):
        """Iterate to the end; what a handler raises comes out."""
        self.start = monotonic()
        iterator = self.iterator = self.ws.connect(**self.settings)
        try:
            for event in iterator:
                self._note(event)
                action = self.do.get(event.name)
                if action is not None:
                    action(self)
                self.event = event = None
        finally:
            self.ended = monotonic()
            self.elapsed = self.ended - self.start
        self._check()
        return self

    def _note(self, event):
        name, now = event.name, monotonic()
        self.event = event
        with self._seen:
            self.counts[name] = self.counts.get(name, 0) + 1
            self.times.setdefault(name, now - self.start)
            if name == 'poll':
                self.polls.append(now)
            elif name not in MANY:
                self.events.append(event)
            elif not self.events or self.events[-1] != name:
                self.events.append(name)
            self._seen.notify_all()

    def wait(self, name, seconds=PATIENCE):
        """In another thread: wait until an event of this name was handed out."""
        deadline = monotonic() + seconds
        with self._seen:
            while name not in self.counts:
                assert monotonic() < deadline, 'no %s' % name
                self._seen.wait(0.1)

    @property
    def names(self):
        return ' '.join(getattr(event, 'name', event) for event in self.events)

    @property
    def last(self):
        return self.events[-1]

    def one(self, name):
        """The first event of a name (none of a flood)."""
        return [event for event in self.events if getattr(event, 'name', None) == name][0]

    def _check(self):
        for _ in range(2):
            assert next(self.iterator, None) is None
        self.iterator = None
        check_order(self.names.split())
        check_end(self.ws, self.last)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), 'a thread of the scenario does not end'
            if thread.error is not None:
                raise thread.error
        self._threads = []

    def expect(self, names=None, reason=None, graceful=None, code=None, stage=None, at_least=None,
               at_most=None):
        """Assert how it ended; names and reason are regular expressions, times count
        from the start.
        """
        shown = '%s; %r; %.2fs' % (self.names, self.last, self.elapsed)
        if names is not None:
            assert re.match('(?:%s)\\Z' % names, self.names), shown
        if reason is not None:
            assert re.match('(?:%s)\\Z' % reason, bare(self.last.reason)), shown
        if graceful is not None:
            assert self.last.graceful is graceful, shown
        if code is not None:
            assert self.last.code == code, shown
        if stage is not None:
            assert self.last.stage == stage, (shown, self.last.stage)
        if at_least is not None:
            assert self.elapsed >= at_least - 0.05, shown
        if at_most is not None:
            assert self.elapsed <= at_most, shown
        return self

    # -- what handlers and other threads do

    def in_thread(self, function, *args):
        """Run it in a thread; the end of the scenario waits for it and raises what it
        raises.
        """
        def run():
            try:
                function(*args)
            except Exception as error:
                error.text = traceback.format_exc()
                thread.error = error
        thread = threading.Thread(target=run)
        thread.daemon = True
        thread.error = None
        self._threads.append(thread)
        thread.start()
        return thread

    def send_in_thread(self, data=None, compress=False):
        """Send in another thread until it fails; ``senders`` gets (exception, when)."""
        data = b'd' * (1024 * 1024) if data is None else data

        def run():
            try:
                while True:
                    self.ws.send_binary(data, compress=compress)
            except Exception as error:
                self.senders.append((error, monotonic()))
        self.in_thread(run)

    def sender_ended(self, kinds, seconds=1.0):
        """Assert that each blocked sender got one of these exceptions soon after the
        end.
        """
        assert self.senders, 'no sender has ended'
        for error, when in self.senders:
            assert isinstance(error, kinds), repr(error)
            assert when - self.ended < seconds + 0.5, 'a sender was stuck %.2fs longer' % (when - self.ended)


def send_much(watch, size=1024 * 1024):
    """Send more than any buffer takes; what it raises is kept in ``senders``."""
    data = b'd' * size
    try:
        for _ in range(64 * 1024 * 1024 // size):
            watch.ws.send_binary(data, compress=False)
    except Exception as error:
        watch.senders.append((error, monotonic()))


def close(watch):
    watch.ws.close()


def force(watch):
    watch.ws.force_disconnect()


def run(world, script, way='ws', expect=None, do=None, settings=None, options=None, sees=None,
        **peer_options):
    """Run one connection against one script.

    :param expect: keywords of :meth:`Watch.expect`
    :param sees: function of what the peer reported of the connection
    """
    watch = Watch(world, script, way, do, settings, options, **peer_options).run()
    watch.expect(**(expect or {}))
    if sees is not None:
        sees(watch.peer.over())
    return watch


# -- what a peer saw

def saw_close(code):
    """For ``sees``: exactly one close frame, with this code, and no data behind it."""
    def sees(facts):
        opcodes = [one[0] for one in facts['frames']]
        assert opcodes.count(CLOSE) == 1, facts['frames']
        at = opcodes.index(CLOSE)
        payload, behind = facts['frames'][at][4], opcodes[at + 1:]
        assert payload[:2] == (struct.pack(str('!H'), code) if code else b''), payload
        assert not set(behind) - set([PONG]), behind
    return sees


def saw_nothing(facts):
    """For ``sees``: not one frame."""
    assert not facts['frames'], facts['frames']


def attempt(world, steps, way, names, connect_timeout=SHORT, full=False, **expected):
    """Connect to a peer that takes these steps from the very beginning, without those of its way."""
    peer, settings = world.peer(steps, full=full), {'connect_timeout': connect_timeout}
    return Watch(world, way=way, peer=peer, settings=settings).run().expect(names, **expected)


# -- memory

class Memory(object):
    """The growth of this process's memory, its peak included, in bytes."""

    def __enter__(self):
        gc.collect()
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')                 # the peak begins anew
        self._before = self._read('VmRSS')
        return self

    def __exit__(self, *_):
        self.peak = self._read('VmHWM') - self._before

    @staticmethod
    def _read(name):
        with open('/proc/self/status') as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
