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


def send(job):
    connection = _open(job)
    jobs.send(job, connection.recv, _send(connection, job))


def open_idle(job):
    return _open(job)


def idle(job):
    _open(job).recv()
