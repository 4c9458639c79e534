"""The threading client of websockets, without a size limit.

It compresses only if that is measured.
"""

from websockets.sync.client import connect

from . import job as jobs

IMPORT = 'from websockets.sync.client import connect'


def _open(job):
    options = {'ssl': job.ssl_context()} if job.cafile else {}
    options['compression'] = 'deflate' if job.deflate else None
    try:
        return connect(job.url, max_size=None, proxy=None, **options)
    except TypeError:               # versions before 15 have no proxy support
        context = options.pop('ssl', None)
        if context is not None:
            options['ssl_context'] = context
        return connect(job.url, max_size=None, **options)


def receive(job):
    connection = _open(job)
    jobs.receive(job, connection.recv, connection.send)


def round_trip(job):
    connection = _open(job)
    jobs.round_trip(job, connection.recv, connection.send)


def send(job):
    connection = _open(job)
    jobs.send(job, connection.recv, connection.send)


def open_idle(job):
    return _open(job)


def idle(job):
    _open(job).recv()
