"""websocket-client: ``create_connection``, ``recv`` and ``send``; with wsaccel."""

from __future__ import absolute_import, division, unicode_literals

import websocket

from . import job as jobs

IMPORT = 'from websocket import create_connection'


def _open(job):
    options = {'ca_certs': job.cafile} if job.cafile else {}
    return websocket.create_connection(job.url, sslopt=options, http_no_proxy=['*'])


def _send(connection, job):
    return connection.send if job.is_text else connection.send_binary


def receive(job):
    connection = _open(job)
    jobs.receive(job, connection.recv, connection.send)


def round_trip(job):
    connection = _open(job)
    jobs.round_trip(job, connection.recv, _send(connection, job))


def latency(job):
    connection = _open(job)
    jobs.latency(job, connection.recv, _send(connection, job))


def send(job):
    connection = _open(job)
    jobs.send(job, connection.recv, _send(connection, job))


def connect(job):
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            connection = _open(job)
            connection.send_close()
            opcode, data = connection.recv_data()
            if opcode != websocket.ABNF.OPCODE_CLOSE or data[:2] != b'\x03\xe8':
                raise jobs.Wrong('the close frame was not answered: {} {!r}'.format(opcode, data))
            connection.shutdown()
        job.end()


def open_idle(job):
    return _open(job)


def idle(job):
    _open(job).recv()
