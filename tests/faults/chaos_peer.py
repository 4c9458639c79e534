"""The other side of a scenario, as a process of its own: it can be stopped, killed, and told what to do.

``python chaos_peer.py`` is a mother: for each line of JSON on its standard input it forks a peer, which
listens on loopback, follows the script of the line for each connection, and reports over a Unix domain
socket.  Nothing here imports lomond, so that a mistake there cannot hide itself.  Bytes are
``{"b": base64}`` in the JSON; a script is a list of steps, a step the name of a method of
:class:`Connection` and its arguments.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import base64
import binascii
import errno
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

#: How long a script waits for anything from the client (seconds).
PATIENCE = 20.0
GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
END = b'\r\n\r\n'
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
BLOCK = 256 * 1024
ERRORS = (OSError, IOError, socket.error, select.error)


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


def frame(opcode, payload=b'', fin=True, rsv=0, length=None):
    """The octets of a frame of a server, right or wrong."""
    length = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if length < 126:
        return struct.pack(str('!BB'), first, length) + payload
    if length < 65536:
        return struct.pack(str('!BBH'), first, 126, length) + payload
    return struct.pack(str('!BBQ'), first, 127, length) + payload


def close_frame(code, reason=b''):
    return frame(CLOSE, struct.pack(str('!H'), code) + reason)


def unmask(key, payload):
    """The payload of a client; as numbers, since octet by octet takes minutes for 48 MB."""
    size = len(payload)
    if not size:
        return b''
    mask = (key * (size // 4 + 1))[:size]
    number = int(binascii.hexlify(payload), 16) ^ int(binascii.hexlify(mask), 16)
    digits = '%x' % number
    return binascii.unhexlify(digits.rjust(size * 2, '0').encode('ascii'))


class Gone(Exception):
    """The client has ended the connection: ``fin`` or ``reset``."""


class Connection(object):
    """One connection and the steps that a script can be made of."""

    def __init__(self, sock, peer, number):
        self.sock = self.plain = sock
        self.peer = peer
        self.number = number
        self.buffer = bytearray()
        self.request = b''
        self.frames = []                # [opcode, fin, rsv, length, beginning of the payload]
        self.count = 0                  # bytes of messages
        self.digest = hashlib.md5()     # of messages, in order
        self.closed = False

    def run(self, script):
        """Follow the script; report how it went."""
        how = 'script'
        try:
            for step in script:
                getattr(self, step[0])(*step[1:])
        except Gone as gone:
            how = gone.args[0]
        except Exception:
            how = 'error: ' + traceback.format_exc()
        self.peer.report(
            event='over', number=self.number, how=how, time=time.time(), request=self.request,
            frames=self.frames[:2000], count=self.count, digest=self.digest.hexdigest(),
            total=len(self.frames))
        if not self.closed:
            self.drop()

    # -- the beginning of a connection

    def tls(self):
        """The TLS handshake."""
        try:
            self.sock = self.peer.context.wrap_socket(self.sock, server_side=True)
        except (ssl.SSLError,) + ERRORS as error:
            raise Gone('tls: %s' % error)

    def read_head(self):
        """Up to an empty line."""
        while END not in self.buffer:
            self._fill()
        at = self.buffer.index(END) + 4
        self.request = bytes(self.buffer[:at])
        del self.buffer[:at]

    def read_bytes(self, count):
        """So many bytes, whatever they are."""
        while len(self.buffer) < count:
            self._fill()
        del self.buffer[:count]

    def read_socks4(self):
        """The request of SOCKS 4 or 4a."""
        while len(self.buffer) < 9 or bytes(self.buffer[8:]).count(b'\0') < self._zeros():
            self._fill()
        del self.buffer[:]

    def _zeros(self):
        is_4a = bytes(self.buffer[4:7]) == b'\0\0\0' and self.buffer[7:8] != b'\0'
        return 2 if is_4a else 1

    def read_any(self):
        """Whatever comes next."""
        if not self.buffer:
            self._fill()
        del self.buffer[:]

    def answer(self, lines=(), also=b'', start=0, stop=None, interval=None):
        """A good answer to the request that was read, or a part of it."""
        data = b'\r\n'.join([
            b'HTTP/1.1 101 Switching Protocols', b'Upgrade: websocket', b'Connection: Upgrade',
            b'Sec-WebSocket-Accept: ' + self._accept()] + list(lines)) + END
        data = data[start:stop] + also
        if interval:
            self.dribble(data, interval)
        else:
            self.send(data)

    def _accept(self):
        for line in self.request.split(b'\r\n'):
            name, _, value = line.partition(b':')
            if name.lower() == b'sec-websocket-key':
                return base64.b64encode(hashlib.sha1(value.strip() + GUID).digest())
        raise AssertionError('the request has no key')

    def open(self, *lines):
        """Read the request and say 101."""
        self.read_head()
        self.answer(lines)

    # -- sending

    def send(self, data):
        """All of it, however long it takes."""
        try:
            self.sock.settimeout(None)
            self.sock.sendall(data)
        except (ssl.SSLError,) + ERRORS:
            raise Gone('reset')
        finally:
            self._patience()

    def _patience(self):
        try:
            self.sock.settimeout(PATIENCE)
        except ERRORS:
            pass

    def repeat(self, data, count=None):
        """The same again and again; for ever by default."""
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
        """So many bytes at a time (one)."""
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
        """So many binary messages whose contents both sides can compute."""
        for number in range(count):
            self.send(frame(BINARY, struct.pack(str('!I'), number + seed) * (size // 4)))

    # -- reading

    def _fill(self, size=65536):
        try:
            data = self.sock.recv(size)
        except (ssl.SSLError,) + ERRORS as error:
            if 'timed out' in str(error):
                raise AssertionError('the client sent nothing more')
            # On 3.6 and 2.7 an end of TLS without close_notify can be an error.
            raise Gone('fin' if 'eof' in str(error).lower() else 'reset')
        if not data:
            raise Gone('fin')
        self.buffer += data

    def read_frame(self):
        """One frame: ``(opcode, payload)``."""
        while True:
            found = self._take_frame()
            if found is not None:
                return found
            self._fill()

    def _take_frame(self):
        data = self.buffer
        if len(data) < 2:
            return None
        length, at = data[1] & 127, 2
        if length == 126:
            at = 4
            if len(data) >= 4:
                length, = struct.unpack(str('!H'), bytes(data[2:4]))
        elif length == 127:
            at = 10
            if len(data) >= 10:
                length, = struct.unpack(str('!Q'), bytes(data[2:10]))
        if len(data) < at + 4 + length:
            return None
        assert data[1] & 128, 'a frame of the client is not masked'
        first = data[0]
        payload = unmask(bytes(data[at:at + 4]), bytes(data[at + 4:at + 4 + length]))
        del data[:at + 4 + length]
        opcode = first & 15
        if len(self.frames) < 100000:
            self.frames.append([opcode, bool(first & 128), first >> 4 & 7, length, payload[:130]])
        if opcode <= BINARY:
            self.count += length
            self.digest.update(payload)
        return opcode, payload

    def read_until(self, opcode, answer_pings=False):
        """Skip frames up to one of this kind; its payload."""
        while True:
            found, payload = self.read_frame()
            if found == PING and answer_pings:
                self.send(frame(PONG, payload))
            if found == opcode:
                return payload

    def read_close(self):
        """Skip frames up to the client's close frame."""
        self.read_until(CLOSE)

    def answer_close(self):
        """Wait for the client's close frame and answer it; pings are answered meanwhile."""
        self.send(frame(CLOSE, self.read_until(CLOSE, answer_pings=True)))

    def read_count(self, size):
        """Frames until so many bytes of messages have come."""
        while self.count < size:
            self.read_frame()

    def echo(self):
        """Send back whatever comes; ends with the closing handshake."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == CLOSE:
                self.send(frame(CLOSE, payload))
                return
            if opcode in (TEXT, BINARY):
                self.send(frame(opcode, payload))
            elif opcode == PING:
                self.send(frame(PONG, payload))

    def echo_frames(self):
        """Send back the frames of messages just as they came, rsv1 and all."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == CLOSE:
                self.send(frame(CLOSE, payload))
                return
            if opcode <= BINARY:
                _, fin, rsv, _, _ = self.frames[-1]
                self.send(frame(opcode, payload, fin, rsv))
            elif opcode == PING:
                self.send(frame(PONG, payload))

    def duplex(self, seconds):
        """Send small records all the time, and read in bursts: the client's writers wait and go on, often.

        So the two halves of its TLS object are wanted at the same time; without a lock this crashes CPython.
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
                self._fill()
            while self._take_frame():
                pass

    def slow_read(self, size, interval, seconds):
        """Take a little at a time for so long, and throw it away."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            self._fill(size)
            del self.buffer[:]
            time.sleep(interval)

    def discard(self, seconds=PATIENCE):
        """Read and throw away until the client ends the connection."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            self._fill()
            del self.buffer[:]

    def read_end(self):
        """Read frames until the client ends the connection."""
        while True:
            self.read_frame()

    # -- and the rest

    def see_end(self):
        """Wait for the end of the client's direction, and go on."""
        try:
            self.read_end()
        except Gone:
            self.mark('end')

    def sleep(self, seconds):
        time.sleep(seconds)

    def hold(self):
        """Neither read nor write any more; ends with the scenario."""
        while True:
            time.sleep(60)

    def mark(self, name):
        """Tell the client's process that the script is here."""
        self.peer.report(event='mark', name=name, time=time.time())

    def wait(self, word):
        """Wait until the client's process says this word."""
        self.peer.wait(word)

    def stop(self):
        """SIGSTOP: this process does nothing any more until somebody resumes it."""
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.05)        # until the signal has stopped all threads, this one too

    # -- ends

    def drop(self):
        """End as a program that closes its socket."""
        self._close()

    def _close(self):
        self.closed = True
        self.sock.close()
        self.plain.close()      # on 2.7 TLS has a descriptor in common with it, which lives on else

    def finish(self):
        """End our direction of TCP only."""
        socket.socket.shutdown(self.sock, socket.SHUT_WR) if sys.version_info[0] > 2 else (
            self.plain.shutdown(socket.SHUT_WR))

    def notify(self):
        """End TLS as it should be ended, then TCP."""
        try:
            self.sock.settimeout(0.3)
            self.sock.unwrap()
        except (ValueError, ssl.SSLError) + ERRORS:
            pass
        self._close()

    def reset(self):
        """End TCP with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(str('ii'), 1, 0))
        self._close()

    def kill(self):
        """End the process as ``kill -9`` does."""
        self.peer.report(event='mark', name='killed', time=time.time())
        os.kill(os.getpid(), signal.SIGKILL)


class Peer(object):
    """A process: a listener, a script for each connection, and the line to whoever wants to know.

    :param order: dict: ``control`` (path), ``scripts`` (the last one is for all further connections),
        ``certificate`` (path), ``receive_buffer`` (bytes), ``full`` (True: the accept queue is full)
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
        self._scripts = order['scripts']
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if order.get('receive_buffer'):
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, order['receive_buffer'])
        self._listener.bind((str('127.0.0.1'), 0))
        self._listener.listen(0 if order.get('full') else 64)
        if order.get('full'):
            self._fillers = self._fill_queue()
        else:
            self._in_thread(self._accept)
        self.report(event='up', pid=os.getpid(), port=self._listener.getsockname()[1])

    def _fill_queue(self):
        fillers = []
        for _ in range(20):
            filler = socket.socket()
            fillers.append(filler)
            filler.setblocking(False)
            if filler.connect_ex(self._listener.getsockname()) not in (0, errno.EINPROGRESS):
                break
            if not select.select([], [filler], [], 0.1)[1]:
                break
        return fillers

    def _in_thread(self, function, *args):
        thread = threading.Thread(target=function, args=args)
        thread.daemon = True
        thread.start()

    def _accept(self):
        number = 0
        while True:
            sock = self._listener.accept()[0]
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, self, number)
            self._in_thread(connection.run, self._scripts[min(number, len(self._scripts) - 1)])
            sock = connection = None    # on 2.7 a connection ends with its last reference
            number += 1

    def report(self, **facts):
        """Send one line to whoever wants to know."""
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
        """Take words until nobody is there any more."""
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
                Peer(order).listen()
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(0)


if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
