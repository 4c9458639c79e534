"""The threading client of websockets, without a size limit.

It compresses only if that is measured.
"""

from websockets.sync.client import connect as open_connection

from . import job as jobs

IMPORT = 'from websockets.sync.client import connect'


def _open(job):
    options = {'ssl': job.ssl_context()} if job.cafile else {}
    options['compression'] = 'deflate' if job.deflate else None
    try:
        return open_connection(job.url, max_size=None, proxy=None, **options)
    except TypeError:               # versions before 15 have no proxy support
        context = options.pop('ssl', None)
        if context is not None:
            options['ssl_context'] = context
        return open_connection(job.url, max_size=None, **options)


def receive(job):
    connection = _open(job)
    jobs.receive(job, connection.recv, connection.send)


def round_trip(job):
    connection = _open(job)
    jobs.round_trip(job, connection.recv, connection.send)


def latency(job):
    connection = _open(job)
    jobs.latency(job, connection.recv, connection.send)


def send(job):
    connection = _open(job)
    jobs.send(job, connection.recv, connection.send)


def connect(job):
    for count in job.warm, job.count:
        job.begin()
        for _ in range(count):
            connection = _open(job)
            connection.close()
            if connection.protocol.close_code != 1000:
                raise jobs.Wrong('closed with {}'.format(connection.protocol.close_code))
        job.end()


def open_idle(job):
    return _open(job)


def idle(job):
    _open(job).recv()
