"""Scripted sockets for the tests of streams: they raise what the systems raise."""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket

import pytest

from lomond.network.poller import READ, WRITE


def gives(expected, call, *args):
    """Assert what a call returns, or raises: that exception, or one of those classes."""
    if expected is None or isinstance(expected, int):
        assert call(*args) == expected
        return
    with pytest.raises(type(expected) if isinstance(expected, Exception) else expected) as caught:
        call(*args)
    assert caught.value is expected or not isinstance(expected, Exception)


def os_error(number):
    return socket.error(number, os.strerror(number))


AGAIN, INTERRUPTED, RESET = (os_error(number) for number in (errno.EAGAIN, errno.EINTR, errno.ECONNRESET))


class Script(object):
    """A socket that follows a script, one step for each call."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.calls = []

    def _next(self, name, *args):
        self.calls.append((name,) + args)
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    def recv(self, count):
        return self._next('recv', count)

    def send(self, data):
        return self._next('send', len(data))

    def fileno(self):
        return -1

    def close(self):
        return self._next('close')


class FullScript(Script):
    """A script with all methods of a socket."""

    def recv_into(self, view):
        return self._next('recv_into', len(view))

    def shutdown(self, how):
        return self._next('shutdown', how)

    def setblocking(self, flag):
        self.calls.append(('setblocking', flag))


def view(size=100):
    return memoryview(bytearray(size))


class StandingStill(object):
    """A ``Waiting`` whose clock stands still, and whose waits find nothing.

    :ivar asked: what the last wait was for: descriptor -> mask
    """

    asked = ()

    wake_waits = ((6, READ),)
    is_asleep = is_woken = False

    def monotonic(self):
        return 100.0

    def time(self):
        return 1e9

    def wake(self):
        pass

    def wait(self, waits, deadline):
        self.asked = dict(waits)
        return ()


class Parts(object):
    """A stream that gives some parts, which may be exceptions, then nothing yet.

    It takes whatever is sent unless it is blocked.
    """

    recv_wants, send_wants = READ, WRITE
    is_tls = is_buffered = poll_tells_all = is_blocked = False

    def __init__(self, *parts):
        self.parts = list(parts)
        self.calls = []

    def fileno(self):
        return 5

    def send(self, data):
        if self.is_blocked:
            return None
        self.calls.append('send')
        return len(data)

    def send_noted(self, data, done):
        done.append(self.send(data))

    def flush(self):
        return True

    def recv_into(self, place):
        if not self.parts:
            return None
        part = self.parts.pop(0)
        if isinstance(part, BaseException):
            raise part
        place[:len(part)] = part
        return len(part)

    def shutdown_write(self):
        self.calls.append('shutdown_write')
