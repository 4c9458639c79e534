"""The task of a client, its clock, and the checks of what it received.

A client is a module with the functions ``receive(job)``, ``round_trip(job)``,
``send(job)``, ``connect(job)`` (connects and closes ``job.count`` times),
``open_idle(job)`` (returns an open connection, to be kept) and ``idle(job)`` (waits on
a connection forever). Each of the first four calls ``job.begin()`` after the warm-up
and ``job.end()`` when it is done. ``latency(job)`` leaves that, and the times, to
:func:`turns`. ``IMPORT`` is the
import statement that users of the client begin with. lomond and the limit also have
``parts_receive(job)`` and ``parts_send(job)``.

It also runs on 2.7.

Knows nothing of: any particular client.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import binascii
import io
import os
import sys
import time
import zlib

try:
    import resource
except ImportError:                 # Windows
    resource = None


class Wrong(Exception):
    """The client did not do what it was told to do."""


def cpu_seconds():
    """Return the user and system time of all threads of this process."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)     # os.times() counts in steps of 10 ms
        return used.ru_utime + used.ru_stime
    return sum(os.times()[:2])


def status_bytes(name):
    """Return VmRSS or VmHWM of this process, in bytes (Linux)."""
    with io.open('/proc/self/status', encoding='ascii') as status:
        for line in status:
            if line.startswith(name + ':'):
                return int(line.split()[1]) * 1024
    raise Wrong('no {} in /proc/self/status'.format(name))


class Job(object):
    """One measurement.

    Its attributes are the fields of the dict that it is made from, and:

    ``messages``: the payloads of the stream in order, as text or bytes
    ``payload``: the first of them
    """

    def __init__(self, fields):
        self.mode = fields['mode']
        self.kind = fields['kind']
        self.url = str(fields['url'])
        self.warm = fields['warm']
        self.count = fields['count']
        self.cafile = fields['cafile'] and str(fields['cafile'])
        self.deflate = fields['deflate']
        self.rate, self.late = fields.get('rate'), fields.get('late')       # of the latency workload
        self.zlib = fields['zlib']      # the module and the level of lomond's compression, or None
        self.wire_warm = fields['wire_warm']        # bytes of frames, for the limit
        self.wire_count = fields['wire_count']
        self.messages = []
        if fields['messages']:
            with io.open(fields['messages'], 'rb') as data:
                for size in fields['sizes']:
                    payload = data.read(size)
                    self.messages.append(payload.decode('utf-8') if self.kind == 'text' else payload)
        self.payload = self.messages[0] if self.messages else None
        self.is_text = self.kind == 'text'
        self.result = {}
        self._begun = None
        self._wall = None
        self._size = None               # of the process at the first begin()

    def ssl_context(self):
        """Return a context that trusts the server, or None without TLS."""
        if not self.url.startswith('wss'):
            return None
        import ssl
        return ssl.create_default_context(cafile=self.cafile)

    def sent(self, count):
        """Return a list of messages to send; making it is not measured."""
        if not self.deflate:
            return [self.payload] * count
        messages = self.messages
        return [messages[number % len(messages)] for number in range(count)]

    def check_warm(self, messages):
        """Compare every message that was received before the clock starts.

        :param messages: an iterable of these messages
        """
        count = 0
        for count, message in enumerate(messages, 1):
            expected = self.messages[(count - 1) % len(self.messages)]
            if type(message) is not type(expected) or message != expected:
                raise Wrong('message {} is not what was sent: {!r:.60}'.format(count, message))
        if count != self.warm:
            raise Wrong('{} messages instead of {}'.format(count, self.warm))

    def begin(self):
        """Start the clock."""
        if self._size is None and (self.mode == 'memory-peak' or self.mode.startswith('parts-')):
            with io.open('/proc/self/clear_refs', 'w') as clear_refs:
                clear_refs.write('5')               # resets VmHWM
            self._size = status_bytes('VmRSS')
        self._wall = time.time()
        self._begun = cpu_seconds()

    def end(self):
        """Stop the clock."""
        self.result['cpu'] = cpu_seconds() - self._begun
        self.result['wall'] = time.time() - self._wall
        if self._size is not None:
            self.result['bytes'] = status_bytes('VmHWM') - self._size

    def check_received(self, total, last):
        """Check what was received while the clock was running.

        :param total: the sum of the lengths of all messages
        :param last: the last message
        """
        sizes = [len(message) for message in self.messages]
        start = self.warm % len(sizes)
        rounds, rest = divmod(self.count, len(sizes))
        expected = rounds * sum(sizes) + sum((sizes + sizes)[start:start + rest])
        if total != expected:
            raise Wrong('{} units of payload instead of {}'.format(total, expected))
        if last != self.messages[(self.warm + self.count - 1) % len(sizes)]:
            raise Wrong('the last message is not what was sent: {!r:.60}'.format(last))

    def check_part(self, data, at):
        """Compare a part of a message with what the server repeats.

        :param at: offset of the part in the message
        """
        at %= len(self.payload)
        expected = (self.payload * (len(data) // len(self.payload) + 2))[at:at + len(data)]
        if data != expected:
            raise Wrong('a part of {} bytes is not what was sent'.format(len(data)))

    def check_report(self, report, count):
        """Check what the server reports about all messages so far."""
        words = report.split(' ')
        messages, total, differing, compressed = (int(word) for word in words[:4])
        if messages != count:
            raise Wrong('the server got {} messages instead of {}'.format(messages, count))
        if not self.deflate:
            expected = len(self._encoded(self.payload)) * count
            if (total, differing, compressed) != (expected, 0, 0):
                raise Wrong('the server got {} bytes instead of {}, {} messages differed'.format(
                    total, expected, differing))
            return
        if compressed != count:
            raise Wrong('{} of {} messages were compressed'.format(compressed, count))
        prefix = zlib.decompressobj(-15).decompress(binascii.unhexlify(words[4].encode('ascii')))
        if not prefix or not b''.join(map(self._encoded, self.messages)).startswith(prefix):
            raise Wrong('the server decompressed something else: {!r:.60}'.format(prefix))

    def check_parts(self, report, messages, size):
        """Check what the server reports about messages in parts; an empty frame ends each."""
        found, total, differing = (int(word) for word in report.split(' ')[:3])
        if (found, total) != (messages, size) or differing > messages:
            raise Wrong('the server got {} bytes in {} messages instead of {} in {}; {} differed'.format(
                total, found, size, messages, differing))

    def _encoded(self, message):
        return message.encode('utf-8') if self.is_text else message


def turns(job):
    """Yield whenever a message is due, ``job.rate`` times a second.

    The time until the next one is asked for is that of a round trip. The results are
    ``times``, in seconds, and ``late``, how many began more than ``job.late`` seconds
    after their time.
    """
    clock, period = getattr(time, 'perf_counter', time.time), 1.0 / job.rate
    for count in job.warm, job.count:
        times, late = [], 0
        job.begin()
        due = clock()
        for _ in range(count):
            left = due - clock()
            if left > 0:
                time.sleep(left)
            begun = clock()
            late += begun - due > job.late
            yield
            times.append(clock() - begun)
            due += period
        job.end()
    job.result.update(times=times, late=late)


# --- for clients with a recv() and a send() ---

def latency(job, recv, send):
    """Run the latency workload: send when it is time, and wait for the echo."""
    for _ in turns(job):
        send(job.payload)
        if recv() != job.payload:
            raise Wrong('the echo is not what was sent')


def receive(job, recv, send):
    """Run the receiving workload.

    :param recv: a function that returns the next message
    :param send: a function that sends a message
    """
    job.check_warm(recv() for _ in range(job.warm))
    send('go')
    total = 0
    job.begin()
    for _ in range(job.count):
        message = recv()
        total += len(message)
    job.end()
    job.check_received(total, message)


def round_trip(job, recv, send):
    """Run the round-trip workload: send, and wait for the echo."""
    payload = job.payload
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            send(payload)
            if recv() != payload:
                raise Wrong('the echo is not what was sent')
        job.end()


def send(job, recv, send):
    """Run the sending workload; the clock stops once the server has everything."""
    total = 0
    for count in job.warm, job.count:
        messages = job.sent(count)
        job.begin()
        for message in messages:
            send(message)
        report = recv()
        job.end()
        total += count
        job.check_report(report, total)


def say(text):
    """Print a line for the process that measures."""
    print(text)
    sys.stdout.flush()
