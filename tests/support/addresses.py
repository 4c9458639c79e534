"""Addresses that are dead or free, and a resolver that gives the answers of a test."""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import socket

import pytest

from .peer import fill_accept_queue


@contextlib.contextmanager
def dead_address(host='127.0.0.1'):
    """Give the address of a port that does not answer: its queue is full."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with _full_listener(family, (host, 0)) as listener:
        yield listener.getsockname()


@contextlib.contextmanager
def dead_unix_address(path):
    """Give a Unix domain listener whose accept queue is full."""
    with _full_listener(socket.AF_UNIX, path) as listener:
        yield listener


@contextlib.contextmanager
def _full_listener(family, address):
    listener = socket.socket(family, socket.SOCK_STREAM)
    fillers = None
    try:
        listener.bind(address)
        listener.listen(0)
        fillers = fill_accept_queue(listener)
        if fillers is None:
            pytest.skip('an accept queue cannot be filled here')
        yield listener
    finally:
        for sock in (fillers or []) + [listener]:
            sock.close()


def free_port(host='127.0.0.1'):
    """Return a port on which nothing listens."""
    sock = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    sock.bind((host, 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


class Names(object):
    """A scripted ``getaddrinfo``: ``names[host]`` is a list of addresses, or an error.

    Use ``monkeypatch.setattr(socket, 'getaddrinfo', Names({...}))``.  Addresses are
    texts, or ``(text, port)``; IP addresses are left to the real function.
    """

    def __init__(self, names):
        self.names = names
        self.asked = []
        self._real = socket.getaddrinfo

    def __call__(self, host, port, family=0, type=0, proto=0, flags=0):
        if isinstance(host, bytes):
            host = host.decode('ascii')
        if host not in self.names:
            return self._real(host, port, family, type, proto, flags)
        self.asked.append(host)
        found = self.names[host]
        if isinstance(found, Exception):
            raise found
        if hasattr(found, 'wait'):
            found.wait()
            raise socket.gaierror(socket.EAI_AGAIN, 'the name server came back')
        result = []
        for address in found:
            address, its_port = address if isinstance(address, tuple) else (address, port)
            result += self._real(address, its_port, family, type, proto, flags)
        return result
