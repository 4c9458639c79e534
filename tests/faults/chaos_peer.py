"""The other side of a scenario, as a process of its own: it can be stopped, killed, and
told what to do.

``python chaos_peer.py`` is a mother: for each line of JSON on its standard input it
forks a peer, which listens on loopback, follows the script of the line for each
connection, and reports over a Unix domain socket.  Nothing here imports lomond, so that
a mistake there cannot hide itself.  Bytes are ``{"b": base64}`` in the JSON; a script
is a list of steps, a step the name of a method of
:class:`Connection` and its arguments.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import base64
import functools
import hashlib
import json
import os
import select
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support.frames import BINARY, CLOSE, PING, PONG, frame  # noqa: E402
from support.peer import ERRORS, Gone, Peer, Server, fill_accept_queue  # noqa: E402

BLOCK = 256 * 1024


def pack(value):
    """What JSON can say of a value with bytes in it."""
    if isinstance(value, (bytes, bytearray)):
        return {'b': base64.b64encode(bytes(value)).decode('ascii')}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return dict((key, pack(item)) for key, item in value.items())
    return value


def unpack(value):
    """The opposite of :func:`pack`."""
    if isinstance(value, dict):
        if list(value) == ['b']:
            return base64.b64decode(value['b'].encode('ascii'))
        return dict((key, unpack(item)) for key, item in value.items())
    if isinstance(value, list):
        return [unpack(item) for item in value]
    return value


class Connection(Peer):
    """One connection, and the steps that a script can be made of; a client that goes
    ends the script.

    :ivar frames: what came: ``[opcode, fin, rsv, length, beginning of the payload]``
    """

    patience = 20.0

    def __init__(self, peer, process):
        super(Connection, self).__init__(peer.sock, peer.server, peer.number)
        self.process = process
        self.count = 0                  # bytes of messages
        self.digest = hashlib.md5()     # of messages, in order
        self._restore_patience()

    def run(self, script):
        """Follow the script; report how it went."""
        how = 'script'
        try:
            for step in script:
                getattr(self, step[0])(*step[1:])
        except Gone as gone:
            how = gone.how
        except Exception:
            how = 'error: ' + traceback.format_exc()
        self.process.report(
            event='over', number=self.number, how=how, time=time.time(), request=self.head,
            frames=self.frames[:2000], count=self.count, digest=self.digest.hexdigest(),
            total=len(self.frames))
        self.drop()

    # -- the beginning of a connection

    def tls(self):
        """The TLS handshake."""
        try:
            self.sock = self.process.context.wrap_socket(self.sock, server_side=True)
        except ERRORS as error:
            raise Gone('tls: %s' % error)

    def read_socks4(self):
        """The request of SOCKS 4 or 4a."""
        zeros = 1
        while len(self.buffer) < 9 or bytes(self.buffer[8:]).count(b'\0') < zeros:
            self.fill()
            zeros = 2 if bytes(self.buffer[4:7]) == b'\0\0\0' and self.buffer[7:8] != b'\0' else 1
        del self.buffer[:]

    def read_any(self):
        """Whatever comes next."""
        if not self.buffer:
            self.fill()
        del self.buffer[:]

    def respond(self, lines=(), also=b'', start=0, stop=None, interval=None):
        """Accept the request that was read, or send a part of that response."""
        data = self.upgrade(*lines)[start:stop] + also
        if interval:
            self.dribble(data, interval)
        else:
            self.send(data)

    # -- sending

    def send(self, data):
        """Send all of it, however long it takes."""
        try:
            self.sock.settimeout(None)
            super(Connection, self).send(data)
        finally:
            self._restore_patience()

    def _restore_patience(self):
        try:
            self.sock.settimeout(self.patience)
        except ERRORS:
            pass

    def repeat(self, data, count=None):
        """Send the same again and again; forever by default."""
        per_block = max(BLOCK // len(data), 1)
        block = data * per_block
        while count is None or count >= per_block:
            self.send(block)
            count = None if count is None else count - per_block
        self.send(data * count)

    def flood(self, data, seconds):
        """The same again and again for so long."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            self.send(data * max(16384 // len(data), 1))

    def dribble(self, data, interval, size=1):
        """Send a few bytes at a time (one by default)."""
        for at in range(0, len(data), size):
            self.send(data[at:at + size])
            time.sleep(interval)

    def every(self, data, interval, seconds):
        """The same again and again with pauses."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            self.send(data)
            time.sleep(interval)

    def messages(self, count, size, seed=1):
        """Send binary messages whose contents both sides can compute."""
        for number in range(count):
            self.send(frame(BINARY, struct.pack(str('!I'), number + seed) * (size // 4)))

    # -- reading

    def note(self, found):
        fin, rsv, opcode, _, payload = found
        if len(self.frames) < 100000:
            self.frames.append([opcode, fin, rsv, len(payload), payload[:130]])
        if opcode <= BINARY:
            self.count += len(payload)
            self.digest.update(payload)

    def read_count(self, size):
        """Read frames until this number of bytes of messages has come."""
        while self.count < size:
            self.read_frame()

    def echo_frames(self):
        """Send back the frames of messages just as they came, rsv1 and all."""
        opcode = None
        while opcode != CLOSE:
            fin, rsv, opcode, _, payload = self.next_frame()
            if opcode <= BINARY or opcode == CLOSE:
                self.send(frame(opcode, payload, fin, rsv))
            elif opcode == PING:
                self.send(frame(PONG, payload))

    def duplex(self, seconds):
        """Send small records all the time, and read in bursts: the client's writers
        wait and go on, often.

        So the two halves of its TLS object are wanted at the same time; without a lock
        this crashes CPython.  A close frame ends it, and is left to the next step.
        """
        deadline = time.time() + seconds
        number = 0
        while time.time() < deadline:
            for _ in range(100):
                number += 1
                size = 20000 if number % 500 == 0 else number % 30
                self.send(frame(BINARY, struct.pack(str('!B'), number % 256) * size))
            self.send(frame(PING, b'?'))
            for _ in range(20):
                if not select.select([self.sock], [], [], 0)[0]:
                    break
                self.fill()
            self.parse()
            if CLOSE in [found[2] for found in self._waiting]:
                break
            del self._waiting[:]

    def slow_read(self, size, interval, seconds):
        """Take a little at a time for so long, and throw it away."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            self.fill(size)
            del self.buffer[:]
            time.sleep(interval)

    def discard(self, seconds=20.0):
        """Read and throw away until the client ends the connection."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            self.fill()
            del self.buffer[:]

    def read_on(self):
        """Read frames until the client ends the connection."""
        while True:
            self.read_frame()

    # -- and the rest

    def see_end(self):
        """Wait for the end of the client's direction, and go on."""
        try:
            self.read_on()
        except Gone:
            self.mark('end')

    def sleep(self, seconds):
        time.sleep(seconds)

    def hold(self):
        """Neither read nor write until the scenario ends."""
        while True:
            time.sleep(60)

    def mark(self, name):
        """Tell the client's process that the script is here."""
        self.process.report(event='mark', name=name, time=time.time())

    def wait(self, word):
        """Wait until the client's process says this word."""
        self.process.wait(word)

    def stop(self):
        """SIGSTOP: this process does nothing until it is resumed."""
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.05)        # until the signal has stopped all threads, this one too

    # -- ends

    def notify(self):
        """End TLS as it should be ended, then TCP."""
        try:
            self.sock.settimeout(0.3)
            self.sock.unwrap()
        except (ValueError,) + ERRORS:
            pass
        self.drop()

    def kill(self):
        """End the process as ``kill -9`` does."""
        self.process.report(event='mark', name='killed', time=time.time())
        os.kill(os.getpid(), signal.SIGKILL)


class Process(object):
    """A process: a server whose scripts are lists of steps, and a line to the client's
    process.

    :param order: dict: ``control`` (path), ``scripts`` (the last one is for all further
        connections), ``certificate`` (path), ``receive_buffer`` (bytes), ``full``
        (True: the accept queue is full)
    """

    def __init__(self, order):
        self._lock = threading.Lock()
        self._words = {}
        self._control = socket.socket(socket.AF_UNIX)
        self._control.connect(order['control'])
        self.context = None
        if order.get('certificate'):
            self.context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
            self.context.load_cert_chain(order['certificate'])
        if order.get('full'):
            self._listener = socket.socket()
            self._listener.bind((str('127.0.0.1'), 0))
            self._listener.listen(0)
            self._fillers = fill_accept_queue(self._listener)
        else:
            self._listener = Server(*[functools.partial(self._follow, steps) for steps in order['scripts']],
                                    receive_buffer=order.get('receive_buffer')).listener
        self.report(event='up', pid=os.getpid(), port=self._listener.getsockname()[1])

    def _follow(self, steps, peer):
        Connection(peer, self).run(steps)

    def report(self, **facts):
        """Send one line to the client's process."""
        line = json.dumps(pack(facts)).encode('ascii') + b'\n'
        with self._lock:
            self._control.sendall(line)

    def _word(self, word):
        with self._lock:
            return self._words.setdefault(word, threading.Event())

    def wait(self, word):
        """Wait until somebody says this word."""
        self._word(word).wait()

    def listen(self):
        """Take words until the client's process is gone."""
        for line in iter(self._control.makefile('rb').readline, b''):
            word = line.strip().decode('ascii')
            if word == 'close listener':        # new connections are refused
                self._listener.shutdown(socket.SHUT_RDWR)
            self._word(word).set()


def main():
    """Fork a peer for each line of standard input; bury it when told to."""
    stdin = getattr(sys.stdin, 'buffer', sys.stdin)
    for line in iter(stdin.readline, b''):
        order = unpack(json.loads(line.decode('ascii')))
        if 'bury' in order:
            os.waitpid(order['bury'], 0)
            continue
        if not os.fork():
            try:
                os.close(0)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                Process(order).listen()
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(0)


if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
