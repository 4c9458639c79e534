"""Child processes that are always ended by their own handle.

Knows nothing of: what they run.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import queue
import subprocess
import threading
import time

from interpreters import clean_environ

#: Lines with this prefix are messages; all others are kept in case something goes
#: wrong.
MARK = 'compliance: '


class Child(object):
    """A process whose output can be awaited line by line; a context manager.

    Its standard input is a pipe that is never written to. Our children end when it
    does, so that none of them outlives us, however we end. They run in their own
    session, so that Ctrl-C reaches only us; we then end them.

    :param command: a list of texts
    :param environ: variables to set in addition to our own, cleaned environment
    """

    def __init__(self, command, **environ):
        self.tail = collections.deque(maxlen=30)
        self._lines = queue.Queue()
        environ = dict(clean_environ(PYTHONDONTWRITEBYTECODE='1', PYTHONUNBUFFERED='1'), **environ)
        for name in list(environ):
            if name.lower().endswith('_proxy'):
                del environ[name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ,
            start_new_session=True)
        thread = threading.Thread(target=self._read)
        thread.daemon = True
        thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.decode('utf-8', 'replace').rstrip())
        self._lines.put(None)

    def next_line(self, seconds):
        """Wait for a line.

        :param seconds: how long to wait
        :returns: the line, or None if the process has ended
        :raises queue.Empty: if no line arrived in time
        """
        line = self._lines.get(timeout=seconds)
        if line is None:
            self._lines.put(None)  # for further calls
        else:
            self.tail.append(line)
        return line

    def next_message(self, seconds):
        """Wait for a message.

        :param seconds: how long to wait, even if other lines arrive
        :returns: (first word, the rest), or None if the process has ended
        :raises queue.Empty: if no message arrived in time
        """
        deadline = time.monotonic() + seconds
        while True:
            line = self.next_line(max(0.0, deadline - time.monotonic()))
            if line is None:
                return None
            if line.startswith(MARK):
                word, _, rest = line[len(MARK):].partition(' ')
                return word, rest

    def wait(self, seconds):
        """Wait for the end of the process.

        :param seconds: how long to wait
        :returns: its exit status, or None if it is still running
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        """End the process: close its input, then terminate it, then kill it."""
        self._process.stdin.close()
        if self.wait(0.5) is None:
            self._process.terminate()
            if self.wait(2) is None:
                self._process.kill()
                self._process.wait()
