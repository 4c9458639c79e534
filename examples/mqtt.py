"""MQTT over WebSocket: subscribe to a topic, publish to it, print what arrives.

    mosquitto -c mosquitto.conf         # with:  listener 9001  /  protocol websockets
    python mqtt.py ws://127.0.0.1:9001 sensors/kitchen "21.5 C"

Works with mosquitto, EMQX, AWS IoT ...  Messages may split packets, hence the buffer.
Minimal MQTT 3.1.1 with packets below 128 bytes; ends when its own message comes back.
"""

import struct
import sys

from lomond import WebSocket

CONNACK, PUBLISH, SUBACK = 0x20, 0x30, 0x90


def text(words):
    data = words.encode('utf-8')
    return struct.pack('>H', len(data)) + data


def packet(kind, body):
    if len(body) > 127:
        raise ValueError('a packet of {} bytes; 127 are allowed'.format(len(body)))
    return struct.pack('BB', kind, len(body)) + body


def take_packets(buffer):
    """Remove complete packets from the buffer; yield them as (kind, body)."""
    while len(buffer) > 1 and len(buffer) >= 2 + buffer[1]:
        end = 2 + buffer[1]
        yield buffer[0], bytes(buffer[2:end])
        del buffer[:end]


def main(url, topic, message):
    buffer = bytearray()
    websocket = WebSocket(url, protocols=['mqtt'])
    for event in websocket.connect(ping_timeout=60):
        if event.name == 'ready':
            websocket.send_binary(packet(0x10, text('MQTT') + b'\4\2\0\x3c' + text('lomond-example')))
        elif event.name == 'binary':
            buffer += event.data
            for kind, body in take_packets(buffer):
                if kind == CONNACK:
                    websocket.send_binary(packet(0x82, b'\0\1' + text(topic) + b'\0'))
                elif kind == SUBACK:
                    websocket.send_binary(packet(0x30, text(topic) + message.encode('utf-8')))
                elif kind == PUBLISH:
                    length, = struct.unpack('>H', body[:2])
                    print(body[2:2 + length].decode(), body[2 + length:].decode())
                    websocket.close()
        elif event.name in ('connect_fail', 'rejected', 'protocol_error'):
            sys.exit(str(event))


if __name__ == '__main__':
    main(*sys.argv[1:])
