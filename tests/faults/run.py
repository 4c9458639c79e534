"""The chaos suite: ``python tests/faults/run.py [--quick] [--python X]... [-k WORDS]
[--jobs N]``.

Each interpreter gets a few worker processes, each worker one scenario at a time; a
worker that hangs or crashes is a scenario that failed, and the next one takes its
place.  A table, and an exit status of 1 when anything failed.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import argparse
import io
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from chaos_certificates import make_certificates

WORKERS = []                    # those that run now
HERE = os.path.dirname(os.path.abspath(__file__))


class Worker(object):
    """A process that runs one scenario after the other."""

    def __init__(self, python, certificates):
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [python, '-B', os.path.join(HERE, 'chaos_worker.py')] + list(certificates), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._log, start_new_session=True,
            env=dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(HERE))))
        WORKERS.append(self)

    def ask(self, name, seconds):
        """Run a scenario: a dict with ``error`` and ``seconds``, or what became of the
        worker.
        """
        start = time.monotonic()
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(name).encode('ascii') + b'\n')
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = b''
        finally:
            timer.cancel()
        if line:
            return json.loads(line.decode('ascii'))
        status = self._process.wait()
        self._log.seek(0)
        took = time.monotonic() - start
        return {'seconds': took, 'dead': True, 'error': '%s (status %s)\n%s' % (
            'HANGS' if took >= seconds else 'CRASHED', status, self._log.read().decode('utf-8', 'replace'))}

    def kill(self):
        # The session is ours: the worker and the peers' mother.
        try:
            os.killpg(self._process.pid, 9)
        except OSError:
            pass

    def end(self):
        try:
            self._process.stdin.close()
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self.kill()
        WORKERS.remove(self)
        self._process.stdout.close()
        self._log.close()


def list_scenarios(python):
    """What there is: dicts with ``name``, ``group``, ``bound``, ``quick`` and
    ``limit``.
    """
    return json.loads(subprocess.check_output(
        [python, '-B', os.path.join(HERE, 'chaos_worker.py'), '--list'],
        env=dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(HERE)))).decode('ascii'))


def run_all(python, scenarios, certificates, jobs, report):
    """Run scenarios in ``jobs`` workers; ``report`` gets each one and its result."""
    waiting = queue.Queue()
    for one in scenarios:
        waiting.put(one)

    def work():
        worker = None
        while True:
            try:
                one = waiting.get_nowait()
            except queue.Empty:
                break
            worker = worker or Worker(python, certificates)
            result = worker.ask(one['name'], one['limit'] + 20)
            if result.get('dead'):
                worker.end()
                worker = None
            report(one, result)
        if worker is not None:
            worker.end()
    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _terminate(number, frame):
    for worker in list(WORKERS):
        worker.kill()
    os._exit(128 + number)


def main(arguments=None):
    parser = argparse.ArgumentParser(description='Faults of every kind, each with its bound.')
    parser.add_argument('--quick', action='store_true', help='the quick half')
    parser.add_argument('--python', action='append', help='an interpreter; may be repeated (this one)')
    parser.add_argument('-k', default='', metavar='WORDS', help='scenarios with these words in group or name')
    parser.add_argument('--jobs', type=int, default=3, help='workers at a time (3)')
    parser.add_argument('--failed-only', action='store_true', help='no rows for what passed')
    settings = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    folder = tempfile.mkdtemp(prefix='chaos-certs-')
    failed, total = [], 0
    try:
        certificates = make_certificates(folder)
        for python in settings.python or [sys.executable]:
            version = subprocess.check_output([python, '-V'],
                                              stderr=subprocess.STDOUT).decode('ascii').strip()
            scenarios = [one for one in list_scenarios(python) if (one['quick'] or not settings.quick) and
                         settings.k.lower() in (one['group'] + ': ' + one['name']).lower()]
            print('\n%s: %d scenarios' % (version, len(scenarios)))
            start = time.monotonic()

            def report(one, result, version=version):
                wrong = result['error']
                if wrong:
                    failed.append((version, one['name'], wrong))
                if wrong or not settings.failed_only:
                    print('%-6s %6.2fs  %-19s %-54s %s' % (
                        'FAILED' if wrong else 'ok', result['seconds'], one['group'][:19], one['name'][:54],
                        one['bound']), flush=True)
            run_all(python, scenarios, certificates, settings.jobs, report)
            total += len(scenarios)
            print('%s: %d scenarios in %.0f s' % (version, len(scenarios), time.monotonic() - start))
    finally:
        shutil.rmtree(folder)
    for version, name, wrong in failed:
        print('\n--- %s: %s\n%s' % (version, name, wrong))
    print('\n%d of %d passed' % (total - len(failed), total))
    return 1 if failed or not total else 0


if __name__ == '__main__':
    if hasattr(sys.stdout, 'buffer'):
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, errors='replace', line_buffering=True)
    sys.exit(main())
