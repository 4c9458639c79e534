"""The client under test, which echoes what Autobahn's fuzzing server sends.

    echo_client.py URL AGENT FIRST [STREAM_FROM]

It runs the cases from FIRST (1) on, then writes the reports. With STREAM_FROM, large
messages come in parts; it joins them, and echoes the whole message.

It runs on every Python that lomond supports, and with every lomond since 0.3.4. It
reports its progress to run.py in lines that begin with ``compliance:``.

Knows nothing of: how it is judged.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import os
import platform
import sys
import threading
import time
import traceback

import lomond
from lomond.errors import WebSocketError


def tell(*words):
    """Print a line for run.py immediately, in ASCII."""
    line = ' '.join('{}'.format(word) for word in words)
    print(str('compliance: ' + line.encode('ascii', 'backslashreplace').decode('ascii')))
    sys.stdout.flush()


def watch_stdin():
    """End the process when standard input ends, because then run.py has ended."""
    def watch():
        while os.read(0, 1):  # not sys.stdin, whose lock would be held at exit
            pass
        os._exit(3)

    thread = threading.Thread(target=watch)
    thread.daemon = True
    thread.start()


def describe():
    """Report which lomond runs on which Python."""
    try:
        import wsaccel  # noqa: F401  (only to see whether it is installed)
        masking = 'with wsaccel'
    except ImportError:
        masking = 'without wsaccel'
    tell('subject', lomond.__version__, lomond.__file__, masking, platform.python_implementation(),
         platform.python_version())


def ask(url):
    """Connect, and return the last text that was received, or None."""
    answer = None
    for event in lomond.WebSocket(url, compress=True).connect(ping_rate=0):
        if event.name == 'text':
            answer = event.text
        elif event.name == 'connect_fail':
            raise RuntimeError('cannot connect to wstest: {}'.format(event.reason))
    return answer


class Echo(object):
    """Sends each message back, whole, whether it comes whole or in parts.

    :param websocket: what receives and sends
    """

    def __init__(self, websocket):
        self._websocket = websocket
        self._parts = []

    def answer(self, event):
        """Answer one event; those that are not messages are skipped."""
        if event.name == 'text':
            self._websocket.send_text(event.text)
        elif event.name == 'binary':
            self._websocket.send_binary(event.data)
        elif event.name in ('text_part', 'binary_part'):
            self._add(event)

    def _add(self, event):
        is_text = event.name == 'text_part'
        if event.is_first != (not self._parts):
            raise RuntimeError('is_first is {} after {} parts'.format(event.is_first, len(self._parts)))
        self._parts.append(event.text if is_text else event.data)
        if event.is_last:
            parts, self._parts = self._parts, []
            if is_text:
                self._websocket.send_text(''.join(parts))
            else:
                self._websocket.send_binary(b''.join(parts))


def echo(url, **options):
    """Run an echo loop as an application would write it.

    :returns: a sentence if something happened that no case may cause, or None
    """
    websocket = lomond.WebSocket(url, compress=True, **options)
    answer = Echo(websocket).answer
    remark = None
    for event in websocket.connect(ping_rate=0):
        try:
            answer(event)
        except WebSocketError as error:  # closing; an application would continue with the events
            tell('note', '{}: {}'.format(type(error).__name__, error))
        if event.name == 'connect_fail':
            remark = 'cannot connect: {}'.format(event.reason)
    return remark


def main():
    url, agent, first = sys.argv[1:4]
    options = dict((str('stream_from'), int(word)) for word in sys.argv[4:])
    watch_stdin()
    describe()
    count = int(ask(url + '/getCaseCount'))
    tell('count', count)
    for case in range(int(first), count + 1):
        tell('case', case)
        started = time.time()
        try:
            remark = echo('{}/runCase?case={}&agent={}'.format(url, case, agent), **options)
        except Exception as error:  # a bug in the library: this case fails, the next ones run
            traceback.print_exc(file=sys.stdout)
            remark = 'the client raised {}: {}'.format(type(error).__name__, error)
        if remark:
            tell('remark', remark)
        tell('took', '{:.2f}'.format(time.time() - started))
    tell('reports')
    ask('{}/updateReports?agent={}'.format(url, agent))
    tell('done')


if __name__ == '__main__':
    main()
