#!/usr/bin/env python3
"""Measure what each layer of lomond adds to the cost of a small message.

    python3 benchmarks/layers.py

It prints CPU nanoseconds per message, the minimum of many repetitions, on the Python
that runs it. The wire is memory, so the kernel has no part in it. Layers are added one
by one, from the single operation that every client needs up to the loop of a program.
docs/speed.rst shows its output.
"""

import argparse
import os
import platform
import socket
import sys
import time
import timeit

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from report import format_table  # noqa: E402

from lomond import WebSocket  # noqa: E402
from lomond.opcode import Opcode  # noqa: E402
from lomond.protocol.connection import CLIENT, Connection  # noqa: E402
from lomond.protocol.frame_parser import parse_frames  # noqa: E402
from lomond.protocol.frames import encode_masked, pack_header  # noqa: E402
from lomond.protocol.handshake import accept_value  # noqa: E402
from lomond.protocol.receive_buffer import ReceiveBuffer  # noqa: E402
from lomond.session import WebsocketSession  # noqa: E402

SIZES = 32, 1024
#: Messages per repetition.
COUNT = 4000
FINAL_TEXT = 0x81


class Wire:
    """An in-memory socket that answers the handshake, then repeats frames forever.

    ``lomond.testing.ScriptedTransport`` inspects everything that is sent, which takes
    too long here.

    :param frames: the bytes of complete frames
    """

    def __init__(self, frames):
        self._socket, other = socket.socketpair()       # so that poll() finds it ready
        other.send(b'.')
        self._other = other
        self._frames = memoryview(frames)
        self._at = 0
        self._head = b''

    def answer(self, key):
        self._head = (b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                      b'Sec-WebSocket-Accept: ' + accept_value(key) + b'\r\n\r\n')

    def fileno(self):
        return self._socket.fileno()

    def recv_into(self, view):
        if self._head:
            count = len(self._head)
            view[:count] = self._head
            self._head = b''
            return count
        count = min(len(self._frames) - self._at, len(view))
        view[:count] = self._frames[self._at:self._at + count]
        self._at = (self._at + count) % max(len(self._frames), 1)
        return count

    def send(self, data):
        return len(data)

    def shutdown(self, how):
        pass

    def close(self):
        self._socket.close()
        self._other.close()


def connect(frames):
    """Return a WebSocket over such a wire, and its iterator after Ready."""
    wire = Wire(frames)

    class Session(WebsocketSession):
        def _connect(self):
            wire.answer(websocket.key)
            return wire, None

    websocket = WebSocket('ws://127.0.0.1/', proxies={})
    events = websocket.connect(session_class=Session, poll=3600)
    while next(events).name != 'ready':
        pass
    return websocket, events


def least(function, repeat):
    """Return the nanoseconds per message if one call handles COUNT messages."""
    return round(min(timeit.repeat(function, timer=time.process_time, number=1, repeat=repeat)) / COUNT * 1e9)


def count_off(events, feed=None):
    """Take COUNT events, and call ``feed`` at each None."""
    left = COUNT
    while True:
        for event in events:
            if event is None:
                break
            left -= 1
            if not left:
                return
        if feed is not None:
            feed()


def receiving(size, repeat):
    """Yield ``(layer, nanoseconds)`` for receiving a text message."""
    frame = pack_header(FINAL_TEXT, size) + b'x' * size
    frames = frame * 1000

    def alone():
        buffer, header = bytearray(frames), len(frame) - size
        for _ in range(COUNT // 1000):
            for start in range(header, len(buffer), len(frame)):
                buffer[start:start + size].decode()

    yield 'slice and decode alone', least(alone, repeat)

    receive_buffer = ReceiveBuffer()
    parser = parse_frames(receive_buffer, None, None, max_message_size=2 ** 26)
    source = Wire(frames)
    yield 'the parser', least(lambda: count_off(
        parser, lambda: receive_buffer.advance(source.recv_into(receive_buffer.get_buffer()))), repeat)

    core = Connection(CLIENT)

    def feed():
        core.advance(source.recv_into(core.get_buffer()), 1.0, 1.0)
        core.events_consumed()

    feed()
    yield 'the core', least(lambda: count_off(core.events, feed), repeat)

    websocket, events = connect(frames)
    # The session's own loop is in the middle of Ready, and stays there.
    websocket.state.core.events_consumed()
    driver = websocket.state.session._driver.live()
    yield 'the driver', least(lambda: count_off(driver), repeat)

    websocket, events = connect(frames)
    yield 'the session', least(lambda: count_off(events), repeat)

    def program():
        left, total = COUNT, 0
        for event in events:
            if event.name == 'text':
                total += len(event.text)
                left -= 1
                if not left:
                    return

    yield "the program's loop", least(program, repeat)


def sending(size, repeat):
    """Yield ``(layer, nanoseconds)`` for sending a text message."""
    text = 'x' * size
    payload = text.encode()
    websocket, _events = connect(b'')
    session = websocket.state.session
    writer = session._driver.writer
    writer._send = len                  # no stream, no system call
    encode = websocket.state.core.encode
    for name, call, arguments in (
            ('the frame', encode_masked, (FINAL_TEXT, payload)),
            ('the encoder', encode, (Opcode.TEXT, payload, True)),
            ('the writer', writer.send, (Opcode.TEXT, payload, True)),
            ('the session', session.send, (Opcode.TEXT, payload, True)),
            ('send_text', websocket.send_text, (text,))):

        def many(call=call, arguments=arguments):
            for _ in range(COUNT):
                call(*arguments)

        yield name, least(many, repeat)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeat', type=int, default=100,
                        help='repetitions of each measurement (default: 100)')
    repeat = parser.parse_args().repeat
    print('CPython {}, {}, {} cores; CPU nanoseconds per message, up to and including:'.format(
        platform.python_version(), platform.platform(), os.cpu_count()))
    for title, layers in ('receiving', receiving), ('sending', sending):
        columns = [list(layers(size, repeat)) for size in SIZES]
        rows = [[title] + ['{} B'.format(size) for size in SIZES]]
        for cells in zip(*columns):
            rows.append([cells[0][0]] + [str(nanoseconds) for _, nanoseconds in cells])
        print()
        print(format_table(rows))


if __name__ == '__main__':
    main()
