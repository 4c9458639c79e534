"""Run one measurement in its own process: ``measure.py MODULE < job.json``.

It runs on any Python.

The last line of its output is a JSON object.

Knows nothing of: other measurements.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import gc
import importlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from clients.job import Job, say, status_bytes  # noqa: E402

#: Connections opened before counting, so that one-time costs are not charged to a
#: connection.
IDLE_WARM = 20


def measure_idle(client, job):
    """Measure the resident memory of an idle connection, in bytes."""
    import resource
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept = [client.open_idle(job) for _ in range(IDLE_WARM)]
    gc.collect()
    before = status_bytes('VmRSS')
    kept.extend(client.open_idle(job) for _ in range(job.count))
    gc.collect()
    job.result['bytes'] = (status_bytes('VmRSS') - before) / job.count


def main():
    job = Job(json.load(sys.stdin))
    client = importlib.import_module(str('clients.' + sys.argv[1]))
    if job.mode == 'memory-idle':
        measure_idle(client, job)
    elif job.mode == 'wake-ups':
        say('idle')
        client.idle(job)
    else:
        names = {'receive': 'receive', 'memory-peak': 'receive'}
        getattr(client, names.get(job.mode, job.mode.replace('-', '_')))(job)
    say(json.dumps(job.result))
    sys.stdout.flush()
    os._exit(0)         # without closing 500 connections one by one


if __name__ == '__main__':
    main()
