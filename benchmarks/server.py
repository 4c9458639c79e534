"""The server of server.c in Python, for machines without a compiler and for TLS.

usage: server.py FOLDER [CERTIFICATE KEY]

The comment at the top of server.c describes the paths.

Knows nothing of: what is measured.
"""

import base64
import binascii
import hashlib
import os
import re
import socket
import struct
import sys
import threading

GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
PREFIX = 4096


class End(Exception):
    """The connection has ended."""


def encode_header(first, length):
    if length < 126:
        return struct.pack('!BB', first, length)
    if length < 65536:
        return struct.pack('!BBH', first, 126, length)
    return struct.pack('!BBQ', first, 127, length)


class Connection:
    """The connection of one client."""

    def __init__(self, sock, folder):
        self.sock = sock
        self.folder = folder
        self.data = bytearray()

    def fill(self):
        data = self.sock.recv(256 * 1024)
        if not data:
            raise End()
        self.data += data

    def need(self, count):
        while len(self.data) < count:
            self.fill()

    def next_frame(self):
        """Return the first byte and the unmasked payload of the next frame."""
        self.need(2)
        length, header = self.data[1] & 127, 2
        if length == 126:
            self.need(4)
            length, header = struct.unpack('!H', bytes(self.data[2:4]))[0], 4
        elif length == 127:
            self.need(10)
            length, header = struct.unpack('!Q', bytes(self.data[2:10]))[0], 10
        is_masked = self.data[1] & 128
        if is_masked:
            header += 4
        self.need(header + length)
        first = self.data[0]
        payload = bytes(self.data[header:header + length])
        if is_masked:
            key = bytes(self.data[header - 4:header]) * (length // 4 + 1)
            payload = (int.from_bytes(payload, 'little') ^ int.from_bytes(key[:length], 'little')).to_bytes(
                length, 'little')
        del self.data[:header + length]
        return first, payload

    def next_data(self):
        """Return the next data frame, and answer control frames before it."""
        while True:
            first, payload = self.next_frame()
            opcode = first & 15
            if opcode < 8:
                return first, payload
            if opcode == 9:
                self.send(0x8A, payload)
            elif opcode == 8:
                self.send(0x88, payload)
                raise End()

    def send(self, first, payload):
        self.sock.sendall(encode_header(first, len(payload)) + payload)

    def shake_hands(self):
        """Answer the request, and return its path."""
        while b'\r\n\r\n' not in self.data:
            self.fill()
        head, _, rest = bytes(self.data).partition(b'\r\n\r\n')
        self.data = bytearray(rest)
        path = head.split()[1].decode()
        key = re.search(br'(?i)\r\nsec-websocket-key:\s*(\S+)', head).group(1)
        answer = [b'HTTP/1.1 101 Switching Protocols', b'Upgrade: websocket', b'Connection: Upgrade',
                  b'Sec-WebSocket-Accept: ' + base64.b64encode(hashlib.sha1(key + GUID).digest())]
        if '?deflate' in path and re.search(br'(?i)\r\nsec-websocket-extensions:.*permessage-deflate', head):
            answer.append(b'Sec-WebSocket-Extensions: permessage-deflate')
        self.sock.sendall(b'\r\n'.join(answer) + b'\r\n\r\n')
        return path.partition('?')[0]

    def serve(self):
        words = self.shake_hands().split('/')[1:]
        if words[0] == 'stream':
            self.stream(words[1], int(words[2]), int(words[3]))
        elif words[0] == 'sink':
            self.sink(int(words[1]), int(words[2]))
        elif words[0] == 'parts':
            self.parts(words[1], *map(int, words[2:]))
        while True:
            first, payload = self.next_data()
            if words[0] == 'echo':
                self.send(first, payload)

    def stream(self, name, warm, count):
        with open(os.path.join(self.folder, name), 'rb') as frames_file:
            frames = frames_file.read()
        ends = list(message_ends(frames))
        done = 0
        for left in warm, count:
            while left:
                now = min(left, len(ends) - done)
                start = ends[done - 1] if done else 0
                self.sock.sendall(memoryview(frames)[start:ends[done + now - 1]])
                left -= now
                done = (done + now) % len(ends)
            self.next_data()

    def parts(self, name, first, fragment, warm, count):
        with open(os.path.join(self.folder, name), 'rb') as payload_file:
            payload = payload_file.read()
        twice = memoryview(payload + payload)
        for total in warm, count:
            self.next_data()
            opcode, done = first, 0
            while done < total:
                size = min(fragment or total, total - done)
                self.sock.sendall(encode_header(opcode | (128 if done + size == total else 0), size))
                while size:
                    at = done % len(payload)
                    now = min(size, len(payload))
                    self.sock.sendall(twice[at:at + now])
                    done += now
                    size -= now
                opcode = 0

    def sink(self, warm, count):
        messages = total = differing = compressed = 0
        sample, prefix = None, b''
        while True:
            first, payload = self.next_data()
            total += len(payload)
            if first & 0x40:
                compressed += 1
                prefix += payload + b'\0\0\xff\xff' if len(prefix) < PREFIX else b''
            if sample is None:
                sample = payload
            elif payload != sample:
                differing += 1
            if first & 0x80:
                messages += 1
                if messages in (warm, warm + count):
                    self.send(0x81, ('%d %d %d %d ' % (messages, total, differing, compressed)).encode()
                              + binascii.hexlify(prefix[:PREFIX]))


def message_ends(frames):
    """Yield the offset of the end of each message."""
    at = 0
    while at < len(frames):
        first, length, header = frames[at], frames[at + 1], 2
        if length == 126:
            length, header = struct.unpack_from('!H', frames, at + 2)[0], 4
        elif length == 127:
            length, header = struct.unpack_from('!Q', frames, at + 2)[0], 10
        at += header + length
        if first & 128:
            yield at


def serve(sock, folder, context):
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            Connection(sock, folder).serve()
        except (End, OSError):
            pass        # clients may leave at any time
        finally:
            sock.close()


def watch_input():
    while os.read(0, 64):
        pass
    os._exit(0)


def main():
    folder = sys.argv[1]
    context = None
    if len(sys.argv) > 2:
        import ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(1000)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=watch_input, daemon=True).start()
    threading.stack_size(256 * 1024)
    while True:
        sock = listener.accept()[0]
        threading.Thread(target=serve, args=(sock, folder, context), daemon=True).start()


if __name__ == '__main__':
    main()
