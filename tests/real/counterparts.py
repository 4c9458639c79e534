"""Start servers and proxies of other projects and talk to them; it must not know what
is proved with it.
"""

from __future__ import absolute_import, division, unicode_literals

import base64  # noqa: F401 (for the tests)
import contextlib
import glob
import io
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from lomond import WebSocket, events
from lomond.errors import TransportFail  # noqa: F401 (for the tests)
from lomond.persist import persist

HERE = os.path.dirname(os.path.abspath(__file__))
REAL = os.path.join(os.path.dirname(os.path.dirname(HERE)), '.real')
DEBIAN = os.path.join(REAL, 'debian')
NPM = os.path.join(REAL, 'npm')
SERVERS = os.path.join(HERE, 'servers')
FOLDERS = ('usr/local/sbin', 'usr/local/bin', 'usr/sbin', 'usr/bin', 'sbin', 'bin')

#: Seconds in which a counterpart has to listen.
START_LIMIT = 30
#: Settings of connect() that end a conversation that hangs long before pytest ends the
#: test.
LIMITS = dict(connect_timeout=10, close_timeout=5, ping_rate=0, poll=1)


def certificate(name):
    """Path of a file that install.py made: 'ca.pem', 'server.pem', 'client.key' ..."""
    return os.path.join(REAL, 'certificates', name)


def program(name):
    """Path of a program that the machine has or install.py fetched; the test is skipped
    without.
    """
    folders = os.environ.get('PATH', '').split(os.pathsep)
    folders += [os.path.join(root, folder) for root in ('/', DEBIAN) for folder in FOLDERS]
    for folder in folders:
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    pytest.skip('%s is not installed (tests/real/install.py)' % name)


def environment_program(environment, name):
    """Path of a program in one of install.py's virtual environments; the test is
    skipped without.
    """
    path = os.path.join(REAL, 'venvs', environment, 'bin', name)
    if not os.access(path, os.X_OK):
        pytest.skip('the environment %r is not installed (tests/real/install.py)' % environment)
    return path


def needs(path):
    """Skip the test when install.py did not bring a file."""
    if not os.path.exists(path):
        pytest.skip('%s is not installed (tests/real/install.py)' % os.path.basename(path))
    return path


def free_ports(number):
    """Ports of 127.0.0.1 that nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(('127.0.0.1', 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Counterpart(object):
    """A process that listens on ports, made and ended by this object.

    :param make_command: called with the object, returns a list of text: the command.
        `ports` and `folder` (its own, deleted at the end, readable for all) are set
        then
    :param number_of_ports: how many ports it will listen on
    :param environ: variables for it
    """

    def __init__(self, make_command, number_of_ports=1, environ=None):
        self.ports = free_ports(number_of_ports)
        self.port = self.ports[0]
        if not os.path.isdir(os.path.join(REAL, 'run')):
            os.makedirs(os.path.join(REAL, 'run'))
        self.folder = tempfile.mkdtemp(dir=os.path.join(REAL, 'run'))
        # Apache, squid and others give root up and still have to reach it; some write
        # as nobody.
        os.chmod(self.folder, 0o777)
        self.environ = dict(os.environ, PYTHONDONTWRITEBYTECODE='1', HOME=self.folder)
        libraries = [glob.glob(os.path.join(DEBIAN, folder, '*-linux-*')) for folder in ('usr/lib', 'lib')]
        self.environ['LD_LIBRARY_PATH'] = os.pathsep.join(sum(libraries, []))
        self.environ.update(environ or {})
        self._process = None
        try:
            self._command = make_command(self)
            self.start()
        except BaseException:
            self.close()
            raise

    def write(self, name, text):
        """Make a file in its folder.

        :returns: the path
        """
        path = os.path.join(self.folder, name)
        with io.open(path, 'w', encoding='utf-8') as out:
            out.write(text)
        os.chmod(path, 0o644)
        return path

    def start(self):
        """Start it and wait until it listens on all its ports."""
        with io.open(os.path.join(self.folder, 'output.txt'), 'ab') as output:
            self._process = subprocess.Popen(
                ['python3', os.path.join(HERE, 'guard.py')] + self._command, stdin=subprocess.PIPE,
                stdout=output, stderr=subprocess.STDOUT, env=self.environ, cwd=self.folder)
        deadline = time.time() + START_LIMIT
        for port in self.ports:
            while not is_listening(port):
                if self._process.poll() is not None or time.time() > deadline:
                    raise AssertionError('%s does not listen:\n%s' % (self._command[0], self.output()))
                time.sleep(0.02)

    def output(self):
        """What it printed, the end of it."""
        with io.open(os.path.join(self.folder, 'output.txt'), encoding='utf-8', errors='replace') as text:
            return text.read()[-5000:]

    def signal(self, number):
        """Send a signal to the process."""
        self._process.stdin.write(('signal %d\n' % number).encode('ascii'))
        self._process.stdin.flush()

    def kill(self):
        """End it without any farewell; `start()` makes it come back on the same ports.
        """
        try:
            self.signal(signal.SIGKILL)
            self._process.stdin.close()
        except (IOError, OSError):
            pass        # it has ended before
        self._process.wait()
        self._process = None

    @property
    def is_down(self):
        """Whether it was killed and has not come back."""
        return self._process is None

    def close(self):
        """End the process, by way of its guard, and delete its folder."""
        process, self._process = self._process, None
        if process is not None:
            try:
                process.stdin.close()
            except (IOError, OSError):
                pass        # the guard has ended before
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def is_listening(port):
    try:
        socket.create_connection(('127.0.0.1', port), 1).close()
    except (OSError, IOError):
        return False
    return True


@contextlib.contextmanager
def running(*args, **kwargs):
    """A Counterpart for the length of a with statement."""
    with contextlib.closing(Counterpart(*args, **kwargs)) as counterpart:
        yield counterpart


# -- the scripted servers

#: What may be told to the servers about permessage-deflate, by a name of ours.
WS_SETS = {
    'plain': '', 'default': '{}',
    'no takeover': '{"serverNoContextTakeover": true, "clientNoContextTakeover": true}',
    'server no takeover': '{"serverNoContextTakeover": true}',
    'client no takeover': '{"clientNoContextTakeover": true}',
    'server 9': '{"serverMaxWindowBits": 9}', 'client 9': '{"clientMaxWindowBits": 9}',
    'client 8': '{"clientMaxWindowBits": 8}', 'client 15': '{"clientMaxWindowBits": 15}',
    'both 12': '{"serverMaxWindowBits": 12, "clientMaxWindowBits": 12}',
}
WEBSOCKETS_SETS = {
    'plain': '', 'default': '{}',
    'no takeover': '{"server_no_context_takeover": true, "client_no_context_takeover": true}',
    'server no takeover': '{"server_no_context_takeover": true}',
    'client no takeover': '{"client_no_context_takeover": true}',
    'server 9': '{"server_max_window_bits": 9}', 'client 9': '{"client_max_window_bits": 9}',
    'client 8': '{"client_max_window_bits": 8}', 'client 15': '{"client_max_window_bits": 15}',
    'both 12': '{"server_max_window_bits": 12, "client_max_window_bits": 12}',
}
SETS = {'ws': WS_SETS, 'websockets': WEBSOCKETS_SETS, 'aiohttp': {'plain': '', 'default': '1'},
        'tornado': {'plain': '', 'default': '{}', 'fast': '{"compression_level": 1, "mem_level": 1}'}}


class ScriptedServer(Counterpart):
    """One of the servers in servers/, with a port for each of its sets.

    :param kind: 'ws', 'websockets', 'aiohttp' or 'tornado'
    """

    def __init__(self, kind):
        self.kind = kind
        self.names = sorted(SETS[kind])
        super(ScriptedServer, self).__init__(self._make_command, len(self.names))
        self.port = self.ports[self.names.index('default')]

    def _make_command(self, _):
        arguments = ['%d:%s' % (port, SETS[self.kind][name]) if SETS[self.kind][name] else '%d' % port
                     for port, name in zip(self.ports, self.names)]
        if self.kind == 'ws':
            needs(os.path.join(NPM, 'node_modules', 'ws'))
            return [program('node'), os.path.join(SERVERS, 'ws_server.js'), NPM] + arguments
        return [environment_program('servers', 'python'),
                os.path.join(SERVERS, self.kind + '_server.py')] + arguments

    def url(self, path='/echo', set_name='default'):
        return 'ws://127.0.0.1:%d%s' % (self.ports[self.names.index(set_name)], path)


# -- the client's side

SIZES = (0, 1, 2, 125, 126, 127, 1000, 4096, 65535, 65536, 70000)
BIG = 1024 * 1024


def text_of(size, seed=0):
    """Return text of this number of bytes in UTF-8, with characters of one to four
    bytes where there is room.
    """
    source = random.Random(size + seed)
    words = ['word ', 'm\xf6ve ', '\u20ac uro ', '\U0001f600 ', 'the same again and again ', '%06d ' % seed]
    parts, length = [], 0
    while length < size - 30:
        word = source.choice(words)
        parts.append(word)
        length += len(word.encode('utf-8'))
    return ''.join(parts) + 'x' * (size - length)


def bytes_of(size, seed=0):
    """Bytes, half of them easily compressed."""
    source = random.Random(size + seed)
    some = bytearray(source.getrandbits(8) for _ in range(min(size, 5000)))
    data = some + b'\x00' * 5000 + some[::-1] + bytearray(range(256)) * 20
    return bytes((data * (size // len(data) + 1))[:size])


def messages(sizes=SIZES):
    """Texts and binaries of such sizes."""
    return [make(size) for size in sizes for make in (text_of, bytes_of)]


def send(websocket, message):
    if isinstance(message, bytes):
        websocket.send_binary(message)
    else:
        websocket.send_text(message)


def received(event):
    """What a Text or Binary brought; None of other events."""
    return getattr(event, 'text', getattr(event, 'data', None) if isinstance(event, events.Binary) else None)


def converse(websocket, to_send, settings=None):
    """Send each message when the one before it came back, close after the last.

    :returns: (all events but Poll, what came back)
    """
    happened, back = [], []
    waiting = list(to_send)
    for event in websocket.connect(**dict(LIMITS, **(settings or {}))):
        if isinstance(event, events.Poll):
            continue
        happened.append(event)
        message = received(event)
        if message is not None:
            back.append(message)
        if isinstance(event, events.Ready) or message is not None:
            if waiting:
                send(websocket, waiting.pop(0))
            else:
                websocket.close(1000, 'done')
    return happened, back


def names(happened):
    """Names of events, messages left out."""
    return [event.name for event in happened if event.name not in ('text', 'binary', 'poll', 'pong')]


def end_of(happened):
    """Return the names of events, messages and pings of the server left out."""
    return [name for name in names(happened) if name != 'ping']


CLOSED_BY_US = ['connecting', 'connected', 'ready', 'closed', 'disconnected']


def prove_echo(url, to_send=None, settings=None, **options):
    """Prove that each message comes back, and that closing is clean.

    :returns: the events
    """
    options.setdefault('proxies', {})
    websocket = WebSocket(url, **options)
    to_send = messages() if to_send is None else to_send
    happened, back = converse(websocket, to_send, settings)
    assert end_of(happened) == CLOSED_BY_US, happened
    assert len(back) == len(to_send)
    for sent, came in zip(to_send, back):
        assert type(sent) is type(came) and sent == came, (sent[:50], came[:50], len(sent), len(came))
    closed, end = happened[-2:]
    assert closed.code == 1000
    assert end.graceful and end.reason == 'closed', end
    return happened


def talk(websocket, on_event, **settings):
    """Call a function with each event but Poll; return the events."""
    happened = []
    began = time.time()
    for event in websocket.connect(**dict(LIMITS, **settings)):
        assert time.time() - began < 40, happened
        if event.name != 'poll':
            happened.append(event)
            on_event(event)
    return happened


def run(websocket, **settings):
    """Return all events but Poll of a connection that needs nothing of us."""
    return talk(websocket, lambda event: None, **settings)


def at_ready(websocket, function, **settings):
    """Call a function at Ready; return the events."""
    return talk(websocket, lambda event: event.name == 'ready' and function(), **settings)


def take(websocket, count, *kinds, **settings):
    """Take this number of events with these names, and close; return them."""
    taken = []

    def on_event(event):
        if event.name in kinds:
            taken.append(event)
            if len(taken) == count:
                websocket.close()
    assert talk(websocket, on_event, **settings)[-1].graceful
    return taken


def prove_lost(happened, reason='socket fail; '):
    """Prove that an open connection was lost."""
    assert names(happened) == ['connecting', 'connected', 'ready', 'disconnected'], happened
    assert happened[-1].reason.startswith(reason) and not happened[-1].graceful, happened


def prove_bare_end(happened):
    """Prove that TCP has ended without a close frame."""
    prove_lost(happened, 'socket fail; connection lost')


def prove_both_send(websocket, message, count):
    """Prove that this number of messages comes back, all of them under way before the
    first does.
    """
    back = []

    def on_event(event):
        if event.name == 'ready':
            for _ in range(count):
                websocket.send_binary(message)
        elif event.name == 'binary':
            back.append(event.data == message)
            if len(back) == count:
                websocket.close()
    assert talk(websocket, on_event)[-1].graceful and back == [True] * count


def prove_threads(websocket, count):
    """Prove that messages of four threads, each sending this number, all come back."""
    wanted = [['%d of %d %s' % (number, thread, 'x' * (number % 300)) for number in range(count)]
              for thread in range(4)]
    back, threads = set(), []

    def send_all(texts):
        for text in texts:
            websocket.send_text(text)

    def on_event(event):
        if event.name == 'ready':
            threads.extend(threading.Thread(target=send_all, args=(texts,)) for texts in wanted)
            for thread in threads:
                thread.start()
        elif event.name == 'text':
            back.add(event.text)
            if len(back) == 4 * count:
                websocket.close()
    happened = talk(websocket, on_event)
    for thread in threads:
        thread.join()
    assert back == set(sum(wanted, [])) and happened[-1].graceful


def prove_comeback(websocket, counterpart, kills, restart_at='connect_fail'):
    """Prove that persist() comes back as often as a counterpart is killed.

    :param restart_at: name of the event at which the counterpart is started again
    :returns: the events
    """
    exit_event = threading.Event()
    happened, readies = [], 0
    for event in persist(websocket, poll=1, min_wait=0.1, max_wait=0.3, exit_event=exit_event):
        happened.append(event)
        assert len(happened) < 1000
        if event.name == 'ready':
            readies += 1
            websocket.send_text('hello %d' % readies)
        elif event.name == 'text':
            assert event.text == 'hello %d' % readies
            if readies > kills:
                exit_event.set()
            else:
                counterpart.kill()
        elif event.name == restart_at and counterpart.is_down:
            counterpart.start()
    seen = names(happened)
    assert readies == kills + 1 == seen.count('disconnected') and 'back_off' in seen
    assert seen[-2:] == ['closed', 'disconnected'] and happened[-1].graceful
    lost = [event for event in happened if event.name == 'disconnected'][0]
    assert lost.reason.startswith('socket fail; ') and not lost.graceful
    return happened
