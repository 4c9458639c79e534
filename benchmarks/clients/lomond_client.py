"""lomond, this version and 0.3.4: the loop of the documentation, with defaults."""

from __future__ import absolute_import, division, unicode_literals

import importlib
import itertools

import lomond
from lomond import WebSocket

from .job import Wrong, turns

IMPORT = 'from lomond import WebSocket'


def _deflate(module, level):
    if lomond.__version__ == '0.3.4':   # it has zlib at level 6 only
        return True
    from lomond.compression import Deflate
    return Deflate(level=level, zlib=importlib.import_module(module))


def _open(job, **options):
    """Return a WebSocket and its iterator after Ready."""
    if job.deflate:
        options['compress'] = _deflate(*job.zlib) if job.zlib else True
    if job.cafile:
        options['ssl_cafile'] = job.cafile
    websocket = WebSocket(job.url, **options)
    events = iter(websocket)
    for event in events:
        if event.name == 'ready':
            return websocket, events
    raise Wrong('no connection: {!r}'.format(event))


def _texts(events, count):
    for event in events:
        if event.name == 'text':
            yield event.text
            count -= 1
            if not count:
                return
        elif event.name in ('disconnected', 'protocol_error'):
            raise Wrong(repr(event))


def _datas(events, count):
    for event in events:
        if event.name == 'binary':
            yield event.data
            count -= 1
            if not count:
                return
        elif event.name in ('disconnected', 'protocol_error'):
            raise Wrong(repr(event))


def receive(job):
    websocket, events = _open(job)
    if job.warm:
        job.check_warm((_texts if job.is_text else _datas)(events, job.warm))
    websocket.send_text('go')
    total, left = 0, job.count
    job.begin()
    if job.is_text:
        for event in events:
            if event.name == 'text':
                message = event.text
                total += len(message)
                left -= 1
                if not left:
                    break
    else:
        for event in events:
            if event.name == 'binary':
                message = event.data
                total += len(message)
                left -= 1
                if not left:
                    break
    job.end()
    job.check_received(total, message)


def round_trip(job):
    websocket, events = _open(job)
    payload = job.payload
    for left in job.warm, job.count:
        job.begin()
        if job.is_text:
            websocket.send_text(payload)
            for event in events:
                if event.name == 'text':
                    if event.text != payload:
                        raise Wrong('the echo is not what was sent')
                    left -= 1
                    if not left:
                        break
                    websocket.send_text(payload)
        else:
            websocket.send_binary(payload)
            for event in events:
                if event.name == 'binary':
                    if event.data != payload:
                        raise Wrong('the echo is not what was sent')
                    left -= 1
                    if not left:
                        break
                    websocket.send_binary(payload)
        job.end()


def latency(job):
    websocket, events = _open(job)
    for _ in turns(job):
        websocket.send_text(job.payload)
        for event in events:
            if event.name == 'text':
                break
        if event.text != job.payload:
            raise Wrong('the echo is not what was sent')


def send(job):
    websocket, events = _open(job)
    _send_all(job, websocket, events)


def _send_all(job, websocket, events):
    method = websocket.send_text if job.is_text else websocket.send_binary
    total = 0
    for count in job.warm, job.count:
        messages = job.sent(count)
        job.begin()
        for message in messages:
            method(message)
        report = next(_texts(events, 1))
        job.end()
        total += count
        job.check_report(report, total)


def send_cork(job):
    """Send many messages in one ``cork()``; with 0.3.4, one by one."""
    websocket, events = _open(job)
    if not hasattr(websocket, 'cork'):
        return _send_all(job, websocket, events)
    total = 0
    for count in job.warm, job.count:
        messages = job.sent(count)
        job.begin()
        with websocket.cork():
            for message in messages:
                websocket.send_text(message)
        report = next(_texts(events, 1))
        job.end()
        total += count
        job.check_report(report, total)


def parts_receive(job):
    websocket, events = _open(job, stream_from=0, max_message_size=None)
    for size in job.warm, job.count:
        total = 0
        job.begin()
        websocket.send_text('go')
        for event in events:
            if event.name == 'binary_part':
                if size == job.warm:
                    job.check_part(event.data, total)
                total += len(event.data)
                if event.is_last:
                    break
            elif event.name in ('disconnected', 'protocol_error'):
                raise Wrong(repr(event))
        job.end()
        if total != size:
            raise Wrong('{} bytes in parts instead of {}'.format(total, size))
        job.check_part(event.data, total - len(event.data))


def parts_send(job):
    """Send a message in parts, in the thread of the loop."""
    websocket, events = _open(job)
    for messages, size in (1, job.warm), (2, job.warm + job.count):
        parts = itertools.repeat(job.payload, (job.count if messages == 2 else job.warm) // len(job.payload))
        job.begin()
        websocket.send_stream(parts, compress=False)
        report = next(_texts(events, 1))
        job.end()
        job.check_parts(report, messages, size)


def parts_send_whole(job):
    """Send the same bytes as messages of one part each."""
    websocket, events = _open(job)
    sent = 0
    for size in job.warm, job.count:
        sent += size
        job.begin()
        for _ in range(size // len(job.payload)):
            websocket.send_binary(job.payload, compress=False)
        report = next(_texts(events, 1))
        job.end()
        job.check_parts(report, sent // len(job.payload), sent)


def connect(job):
    options = {'ssl_cafile': job.cafile} if job.cafile else {}
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            websocket = WebSocket(job.url, **options)
            is_ready = False
            for event in websocket:
                if event.name == 'ready':
                    is_ready = True
                    websocket.close()
            if not is_ready or event.name != 'disconnected' or not event.graceful:
                raise Wrong('no connection, or no end: {!r}'.format(event))
        job.end()


def open_idle(job):
    return _open(job)


def idle(job):
    _, events = _open(job)
    for _ in events:
        pass
