"""The input of the client: a thread that splits it into messages and sends them.

Knows nothing of: events, connecting. It is told when a connection is ready.
"""

from __future__ import absolute_import, division, unicode_literals

import threading

from .. import errors
from .._compat import OS_ERRORS, error_text, halt_at_exit, join, sleep, utf_8_decode, wait_for_event
from ..client.backoff import LONGEST_DELAY

#: Seconds for a thread that only has to return; its last calls do not block.
LAST_MOMENT = 1.0


class InputFail(Exception):
    """The input cannot be read, or cannot be sent."""


def lines_of(read, keep_ends=False):
    """Yield the lines of what ``read()`` returns, as bytes.

    :param keep_ends: if false, the lines come without their endings, LF or CR LF
    """
    parts = []
    while True:
        data = read()
        if not data:
            break
        head, newline, rest = data.partition(b'\n')
        parts.append(head)
        if not newline:
            continue
        lines = rest.split(b'\n')
        lines.insert(0, b''.join(parts))
        parts = [lines.pop()]
        for line in lines:
            if keep_ends:
                yield line + b'\n'
            else:
                yield line[:-1] if line.endswith(b'\r') else line
    last = b''.join(parts)
    if last:
        yield last


def texts_of(lines, encoding='utf-8'):
    """Decode lines.

    :raises InputFail: with the number of the line and the position of the byte
    """
    for number, line in enumerate(lines, 1):
        try:
            if encoding == 'utf-8':
                text = utf_8_decode(line, 'strict', True)[0]
            else:
                text = line.decode(encoding)
        except UnicodeDecodeError as error:
            raise InputFail('line {} of the input is not {}: byte 0x{:02x} at position {}; use --binary to '
                            'send raw bytes'.format(number, encoding.upper(), bytearray(line)[error.start],
                                                 error.start + 1))
        yield text


class Gate(object):
    """Lets a thread wait until a connection is ready that it has not used before."""

    def __init__(self):
        self._condition = threading.Condition()
        self._number = 0

    def open(self):
        """Announce that another connection is ready."""
        with self._condition:
            self._number += 1
            self._condition.notify_all()

    def wait_after(self, number):
        """Wait for a connection with a higher number, and return its number."""
        with self._condition:
            while self._number <= number:
                self._condition.wait()
            return self._number


class Feed(threading.Thread):
    """A thread that sends the input, then waits.

    It is a daemon, because a read from a terminal cannot be interrupted.

    :param messages: an iterable of messages; it may block forever
    :param send: a function that sends one message
    :param tries_again: send what could not be sent over the next connection instead of
        giving up
    :param wait: seconds from the end of the input until ``finish`` is called; if None,
        it never is
    :param finish: a function without arguments
    :param fail: a function that takes the :class:`InputFail` that ended the input
    """

    def __init__(self, messages, send, tries_again, wait, finish, fail):
        super(Feed, self).__init__(name='lomond input')
        self.daemon = True
        self.gate = Gate()
        self._is_unsent = False         # a message was read that no connection has taken
        self._settled = threading.Event()       # it is known whether the last one was taken
        self._settled.set()
        self._is_at_its_end = False     # set before the last call, which may end the connection
        self._messages = messages
        self._send = send
        self._tries_again = tries_again
        self._wait = wait
        self._finish = finish
        self._fail = fail

    def run(self):
        halt = halt_at_exit             # globals may be None when it is needed
        try:
            self._run()
        except:  # noqa: E722 - at exit, 2.7 sets even BaseException to None
            halt()
            raise

    def _run(self):
        number = self.gate.wait_after(0)
        try:
            for message in self._messages:
                number = self._deliver(message, number)
                if number is None:
                    return
        except OS_ERRORS as error:
            self._is_at_its_end = True
            self._fail(InputFail('cannot read the input: {}'.format(error_text(error))))
            return
        except InputFail as error:
            self._is_at_its_end = True
            self._fail(error)
            return
        if self._wait is not None:
            sleep(min(self._wait, LONGEST_DELAY))
            self._is_at_its_end = True
            self._finish()

    def let_end(self):
        """Wait for the thread if it only has to return.

        2.7 prints errors for a thread that outlives its modules. A thread that still
        waits for input does not return, and does no harm.
        """
        if self._is_at_its_end:
            join(self, LAST_MOMENT)

    def _deliver(self, message, number):
        """Send a message. Return the number of the connection that took it, or None."""
        while True:
            self._settled.clear()
            try:
                self._send(message)
                self._is_unsent = False
                return number
            except errors.WebSocketError:       # the loop over the events reports why
                self._is_unsent = True
                if not self._tries_again:
                    return None
            finally:
                self._settled.set()
            number = self.gate.wait_after(number)

    def has_unsent(self):
        """Return whether no connection took the last message; call it at the end."""
        return not wait_for_event(self._settled, LAST_MOMENT) or self._is_unsent
