"""A soak: ``python tests/soak.py [--server] --minutes N [--seed S] [--cpu CORES] [-k WORDS]``.

One process lives through the faults of ``tests/faults`` in random order, and through
reconnects, while one connection, the resident, is used all the time and must not
notice.  Between two faults memory, descriptors, threads and objects are counted; none
of them may grow.  A table of at most 20 lines, and an exit status of 1 when anything
failed, the resident was lost, or a line is not flat.  With ``--server``, it lives
through the clients of ``tests/soak_server.py`` instead, and there are two residents.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import argparse
import ctypes
import gc
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'faults'))

import chaos  # noqa: E402
import soak_server  # noqa: E402
from chaos_all import ALL  # noqa: E402
from chaos_certificates import make_certificates  # noqa: E402
from support.frames import close_frame, frame  # noqa: E402

from lomond import WebSocket, session  # noqa: E402
from lomond._compat import monotonic  # noqa: E402
from lomond.persist import persist  # noqa: E402
from lomond.server.accepted import AcceptedSession  # noqa: E402

#: Seconds between two samples.
PACE = 2.0
#: What may grow between the third and the fourth quarter of the run: memory in MiB, the
#: others in numbers.
ALLOWED = (('memory', 2.0), ('descriptors', 0), ('threads', 0), ('objects', 400))
#: Rows of the table at most.
ROWS = 12


# -- what is run

def reconnects(world, rng):
    """persist() against a server that drops, refuses, resets and closes in turn."""
    ends = [[['accept'], ['drop']],
            [['read_head'], ['send', b'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n']],
            [['accept'], ['send', frame(1, b'x')], ['reset']],
            [['accept'], ['send', close_frame(1012)], ['read_close']],
            [['read_head'], ['drop']],
            [['accept'], ['send', frame(3)], ['read_on']]]
    rng.shuffle(ends)
    way = rng.choice(['ws', 'wss', 'http', 'wss by socks5'])
    peer = world.peer(*[chaos.WAYS[way].prelude + end for end in ends])
    ws = WebSocket(chaos.WAYS[way].url(peer), **chaos.WAYS[way].options(world, peer))
    names = [event.name for event in persist(ws, min_wait=0.02, max_wait=0.1, max_retries=len(ends),
                                             stable_after=60, ping_rate=0)]
    # a graceful end counts as success only after a message: each of these is a failure
    assert names.count('connecting') == len(ends) and names.count('back_off') == len(ends) - 1, names
    assert names[-1] == 'gave_up', names


def conversations(world, rng):
    """Echoes of all sizes, by several threads, compressed or not, over any way."""
    way = rng.choice(sorted(chaos.WAYS))
    count, senders = rng.randrange(5, 60), rng.randrange(1, 4)
    sizes = [rng.choice((0, 1, 125, 126, 4000, 65535, 65536, 200000)) for _ in range(count)]
    seen = []

    def send(watch):
        for size in sizes:
            watch.ws.send_binary(b'%' * size)

    def receive(watch):
        seen.append(len(watch.event.data))
        if len(seen) == count * senders:
            watch.ws.close()
    watch = chaos.Watch(world, [['accept'], ['echo']], way, settings=dict(poll=1.0, ping_rate=0.1), do={
        'ready': lambda watch: [watch.in_thread(send, watch) for _ in range(senders)], 'binary': receive})
    watch.run().expect(chaos.GOOD + '( binary| pong)+ closed disconnected', 'closed', graceful=True)
    assert sorted(seen) == sorted(sizes * senders)


def rounds(rng, words):
    """The rounds without end: each order holds all of them once, and conversations and
    reconnects between.
    """
    faults = [one for one in ALL if one.limit <= 40 and one.group != 'many' and
              '48 MB' not in one.name and words.lower() in (one.group + ': ' + one.name).lower()]
    own = [chaos.Scenario('soak', function.__name__, '', lambda world,
                          function=function: function(world, rng))
           for function in (reconnects, conversations)]
    while True:
        rng.shuffle(faults)
        for number, one in enumerate(faults):
            if number % 5 == 0:
                yield rng.choice(own)
            yield one


# -- the resident

class Resident(object):
    """A connection that is there all the time; a message goes round each 0.5 s."""

    def __init__(self, url):
        self._url = url
        self.lost, self.echoes, self.slowest = [], 0, 0.0
        self._over = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        self._thread.start()
        assert self._up.wait(20), 'the resident does not connect'

    def _run(self):
        ws = WebSocket(self._url, proxies={})
        sent = None
        for event in persist(ws, poll=0.5, min_wait=0.1, max_wait=1, ping_rate=2, ping_timeout=20,
                             exit_event=self._over):
            if event.name == 'ready':
                self._up.set()
                sent = None
            elif event.name == 'poll':
                if sent is None:
                    sent = monotonic()
                    ws.send_text('%.6f' % sent)
            elif event.name == 'text':
                assert event.text == '%.6f' % sent
                self.slowest = max(self.slowest, monotonic() - sent)
                self.echoes += 1
                sent = None
            elif event.name in ('disconnected', 'connect_fail') and not self._over.is_set():
                self.lost.append(repr(event))

    def end(self):
        """Close it; also when it was lost."""
        self._over.set()
        self._thread.join(5)
        if self._thread.is_alive():
            self.lost.append('exit_event was not noticed')


# -- what is counted

def trim():
    """Let the C library give back what is free: its pools are not what is looked for.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:              # another C library
        pass


class Sample(object):
    """What the process has at a moment: memory in MiB, descriptors, threads, objects.

    :param earlier: how many samples there are already: objects, too, and no leak
    """

    def __init__(self, start, done, connections, earlier):
        gc.collect()
        trim()
        self.minutes = (monotonic() - start) / 60
        self.rounds, self.connections = done, connections
        self.memory = chaos.Memory._read('VmRSS') / 1048576.0
        self.descriptors, self.threads = chaos.descriptors(), threading.active_count()
        self.objects = len(gc.get_objects()) - earlier


def middle(values):
    """The median."""
    values = sorted(values)
    return values[len(values) // 2]


def judge(samples, allowed=ALLOWED):
    """What is not flat, as sentences: the medians of the third and of the fourth
    quarter are compared.
    """
    quarter = len(samples) // 4
    if quarter < 3:
        return ['only %d samples: too few to judge' % len(samples)]
    third, fourth = samples[2 * quarter:3 * quarter], samples[3 * quarter:]
    problems = []
    for name, most in allowed:
        before, after = (middle([getattr(one, name) for one in part]) for part in (third, fourth))
        if after - before > most:
            problems.append('%s grew from %.1f to %.1f; %s more are allowed' % (name, before, after, most))
    return problems


def cpu_seconds(pids):
    """Of this process and of others, their dead children included."""
    ticks = 0
    for pid in ['self'] + pids:
        with open('/proc/%s/stat' % pid) as file:
            ticks += sum(int(field) for field in file.read().rsplit(')', 1)[1].split()[11:15])
    return ticks / os.sysconf(str('SC_CLK_TCK'))


# -- the soak

class Soak(object):
    """One run.

    :param cores: it pauses when it has taken more of the processor than this
    """

    def __init__(self, seconds, seed, cores, words=''):
        self.seconds, self.cores, self.words = seconds, cores, words
        self.rng = random.Random(seed)
        self.samples, self.failed, self.again = [], [], []
        self.done = self.connections = 0
        self.cpu = 0.0

    def run(self, certificates):
        """Soak; the rest is in the fields."""
        real = session.WebsocketSession.start

        def start(*args, **keywords):
            self.connections += 1
            return real(*args, **keywords)
        session.WebsocketSession.start = start
        try:
            self._surround(certificates)
        finally:
            session.WebsocketSession.start = real

    def _surround(self, certificates):
        home, world = chaos.World(*certificates), chaos.World(*certificates)
        peer = home.peer([['accept'], ['echo']])
        try:
            self._live(['ws://127.0.0.1:%d/' % peer.port], world, rounds(self.rng, self.words),
                       [one.mother._process.pid for one in (world, home)])
        finally:
            world.close()
            home.close()

    def _live(self, urls, world, scenarios, mothers):
        """Run scenarios until the time is over, while residents are connected to URLs."""
        self.residents = [Resident(url) for url in urls]
        try:
            self._rounds(world, scenarios, mothers)
        finally:
            for resident in self.residents:
                resident.end()

    def _rounds(self, world, scenarios, mothers):
        begin, start, due = cpu_seconds(mothers), monotonic(), 0.0
        for one in scenarios:
            now = monotonic() - start
            if now >= due:
                due = now + PACE
                self.samples.append(Sample(start, self.done, self.connections, len(self.samples)))
            if now >= self.seconds:
                break
            self._one(one, world)
            self.done += 1
            while True:
                self.cpu = (cpu_seconds(mothers) - begin) / (monotonic() - start)
                if self.cpu <= self.cores:
                    break
                time.sleep(0.1)

    def _one(self, one, world):
        for attempt in ('', 'again'):
            try:
                one.run(world)
                return
            except Exception:
                # A second try: several bound a time, which a busy machine may stretch.
                text = '%s: %s\n%s' % (one.group, one.name, traceback.format_exc())
                (self.failed if attempt else self.again).append(text)
                if hasattr(sys, 'exc_clear'):
                    sys.exc_clear()                 # 2.7 keeps it, and all that its frames refer to

    def table(self):
        """Lines of text."""
        lines = ['minute  rounds  connections  memory MiB  descriptors  threads  objects']
        step = (len(self.samples) - 1) / (ROWS - 1)
        for at in sorted(set(int(round(number * step)) for number in range(ROWS))):
            one = self.samples[at]
            lines.append('%6.1f %7d %12d %11.1f %12d %8d %8d' % (
                one.minutes, one.rounds, one.connections, one.memory, one.descriptors, one.threads,
                one.objects))
        for resident in self.residents:
            lines.append('resident: %d echoes, the slowest %.2f s, lost %d times' % (
                resident.echoes, resident.slowest, len(resident.lost)))
        lines.append('%d rounds, %d at the second try, %d failed; %.2f cores' % (
            self.done, len(self.again) - len(self.failed), len(self.failed), self.cpu))
        return lines

    def problems(self):
        """What is wrong, as sentences."""
        return judge(self.samples) + ['failed: ' + one for one in self.failed] + [
            'the resident was lost: ' + one for resident in self.residents for one in resident.lost]


class ServerSoak(Soak):
    """The same for servers, whose accepted connections are counted."""

    def _surround(self, certificates):
        real = AcceptedSession.start

        def start(*args, **keywords):
            self.connections += bool(keywords)          # it is called twice, the first time without
            return real(*args, **keywords)
        AcceptedSession.start = start
        hosts = soak_server.Hosts(certificates)
        try:
            self._live(hosts.urls, hosts, soak_server.rounds(self.rng), [])
        finally:
            AcceptedSession.start = real
            hosts.close()


def main(arguments=None):
    parser = argparse.ArgumentParser(description='Faults and reconnects for a long time; nothing may grow.')
    parser.add_argument('--minutes', type=float, default=5.0, help='how long (5)')
    parser.add_argument('--seed', type=int, default=1, help='another seed, another order (1)')
    parser.add_argument('--cpu', type=float, default=0.4, metavar='CORES',
                        help='of the processor, peers included (0.4)')
    parser.add_argument('--server', action='store_true', help='clients of all sorts, and our servers')
    parser.add_argument('-k', default='', metavar='WORDS', help='faults with these words in group or name')
    settings = parser.parse_args(arguments)
    for name in list(os.environ):
        if name.lower().endswith('_proxy'):
            del os.environ[name]
    warnings.simplefilter('error', ResourceWarning if sys.version_info[0] > 2 else Warning)
    folder = tempfile.mkdtemp(prefix='soak-')
    kind = ServerSoak if settings.server else Soak
    soak = kind(settings.minutes * 60, settings.seed, settings.cpu, settings.k)
    try:
        soak.run(make_certificates(folder))
    finally:
        shutil.rmtree(folder)
    print('Python %s, seed %d' % (sys.version.split()[0], settings.seed))
    print('\n'.join(soak.table()))
    problems = soak.problems()
    print('not flat, or not right: %d' % len(problems) if problems else 'all lines are flat')
    for text in soak.again:
        print('\n--- tried again: ' + text, file=sys.stderr)
    for text in problems:
        print('\n--- ' + text, file=sys.stderr)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
