"""The input of a client: cut into messages and sent by a thread of its own, then the wait.

It must not know events, nor how a connection is made; it is told when one is ready.
"""

from __future__ import absolute_import, division, unicode_literals

import threading
import time

from .. import errors
from .._compat import OS_ERRORS, error_text, utf_8_decode

#: Seconds for a thread that has only to return; none of what it calls last waits for anything.
LAST_MOMENT = 1.0


class InputFail(Exception):
    """The input cannot be read, or is not what can be sent."""


def lines_of(read):
    """The lines of what ``read()`` gives, bytes without line end; the last one may lack it."""
    parts = []
    while True:
        data = read()
        if not data:
            break
        head, newline, rest = data.partition(b'\n')
        parts.append(head)
        if not newline:
            continue
        yield _without_return(b''.join(parts))
        lines = rest.split(b'\n')
        parts = [lines.pop()]
        for line in lines:
            yield _without_return(line)
    last = b''.join(parts)
    if last:
        yield last


def _without_return(line):
    return line[:-1] if line.endswith(b'\r') else line


def texts_of(lines, encoding='utf-8'):
    """The lines as text.

    :raises InputFail: with the number of the line and the place of the byte
    """
    for number, line in enumerate(lines, 1):
        try:
            if encoding == 'utf-8':
                text = utf_8_decode(line, 'strict', True)[0]
            else:
                text = line.decode(encoding)
        except UnicodeDecodeError as error:
            raise InputFail('line {} of the input is not {}: byte 0x{:02x} at place {}; --binary sends bytes '
                            'as they are'.format(number, encoding.upper(), bytearray(line)[error.start],
                                                 error.start + 1))
        yield text


class Gate(object):
    """Lets a thread wait for a connection that is ready, and not the one it had."""

    def __init__(self):
        self._condition = threading.Condition()
        self._number = 0

    def open(self):
        """Another connection is ready."""
        with self._condition:
            self._number += 1
            self._condition.notify_all()

    def wait_after(self, number):
        """Wait for a later connection than that one; returns its number."""
        with self._condition:
            while self._number <= number:
                self._condition.wait()
            return self._number


class Feed(threading.Thread):
    """Sends the input, then waits; a daemon, because nobody can interrupt the reading of a terminal.

    :param messages: iterable of what is to be sent; reading it may take for ever
    :param send: function that sends one
    :param tries_again: send what could not be sent by the next connection, in place of giving up
    :param wait: seconds from the end of the input until ``finish``; None: it is not called
    :param finish: function without arguments
    :param fail: function of the :class:`InputFail` that ended the input
    """

    def __init__(self, messages, send, tries_again, wait, finish, fail):
        super(Feed, self).__init__(name='lomond input')
        self.daemon = True
        self.gate = Gate()
        self._is_unsent = False         # a message is there that no connection has taken
        self._settled = threading.Event()       # whether one was taken is known
        self._settled.set()
        self._is_at_its_end = False     # set before the last call, which may end the connection
        self._messages = messages
        self._send = send
        self._tries_again = tries_again
        self._wait = wait
        self._finish = finish
        self._fail = fail

    def run(self):
        number = self.gate.wait_after(0)
        try:
            for message in self._messages:
                number = self._deliver(message, number)
                if number is None:
                    return
        except OS_ERRORS as error:
            self._is_at_its_end = True
            self._fail(InputFail('the input cannot be read: {}'.format(error_text(error))))
            return
        except InputFail as error:
            self._is_at_its_end = True
            self._fail(error)
            return
        if self._wait is not None:
            time.sleep(self._wait)
            self._is_at_its_end = True
            self._finish()

    def let_end(self):
        """Wait for a thread that has only to return: 2.7 complains of one that outlives its modules.

        One that waits for input does not return, and does no harm.
        """
        if self._is_at_its_end:
            self.join(LAST_MOMENT)

    def _deliver(self, message, number):
        """Send it; the number of the connection that took it, None when none will."""
        while True:
            self._settled.clear()
            try:
                self._send(message)
                self._is_unsent = False
                return number
            except errors.WebSocketError:       # the loop over the events tells why
                self._is_unsent = True
                if not self._tries_again:
                    return None
            finally:
                self._settled.set()
            number = self.gate.wait_after(number)

    def has_unsent(self):
        """True when a message was read that no connection took; once the connection is over."""
        return not self._settled.wait(LAST_MOMENT) or self._is_unsent
