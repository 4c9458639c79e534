"""Child processes that are always ended by their own handle; it must not know what they run."""

from __future__ import absolute_import, division, unicode_literals

import collections
import queue
import subprocess
import threading
import time

from interpreters import clean_environ

#: Lines that begin so are meant for us; all others are kept for the case that something goes wrong.
MARK = 'compliance: '


class Child(object):
    """A process whose lines can be waited for, used with ``with``.

    Its standard input is a pipe that nobody writes to: our children end when it does, so that none of them
    outlives us, however we end. They have a session of their own: a Ctrl-C reaches us alone, and we end them.

    :param command: list of texts
    :param environ: variables to set on top of the cleaned ones of ours
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

        :param seconds: for how long
        :returns: the line, or None when the process has ended
        :raises queue.Empty: when nothing came in time
        """
        line = self._lines.get(timeout=seconds)
        if line is None:
            self._lines.put(None)  # the end is the end, however often one asks
        else:
            self.tail.append(line)
        return line

    def next_message(self, seconds):
        """Wait for a line that is meant for us.

        :param seconds: for how long, however many other lines come
        :returns: (first word, the rest), or None when the process has ended
        :raises queue.Empty: when none came in time
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

        :param seconds: for how long
        :returns: its status, or None when it still runs
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        """End the process: its input ends first, then it is asked, then it is made to."""
        self._process.stdin.close()
        if self.wait(0.5) is None:
            self._process.terminate()
            if self.wait(2) is None:
                self._process.kill()
                self._process.wait()
