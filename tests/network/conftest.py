"""Fixtures of the tests in this folder."""

from __future__ import absolute_import, division, unicode_literals

import socket

import pytest


@pytest.fixture
def pair():
    """Return two sockets that are connected to each other."""
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(1)
    ours = socket.create_connection(listener.getsockname())
    theirs = listener.accept()[0]
    listener.close()
    yield ours, theirs
    ours.close()
    theirs.close()
