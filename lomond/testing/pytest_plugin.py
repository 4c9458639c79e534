"""The pytest fixture ``wsserver``; loaded by pytest itself (entry point ``pytest11``).

It imports nothing but pytest before the fixture is used.
"""

from __future__ import absolute_import, division, unicode_literals

import sys

import pytest


@pytest.fixture
def wsserver():
    """A factory of test servers.

    ``wsserver(handler, **options)`` returns a started :class:`~lomond.testing.Server`;
    without a handler, it is an echo server.  All servers are stopped at the end of the
    test, which fails if a handler has raised an exception.
    """
    from .._compat import reraise
    from . import Server, echo
    servers = []

    def start(handler=echo, **options):
        server = Server(handler, **options)
        servers.append(server)
        return server.start()

    yield start
    first = None
    for server in servers:
        try:
            server.__exit__(None, None, None)
        except Exception:       # of a handler; the other servers must be stopped, too
            first = first or sys.exc_info()
    if first is not None:
        reraise(*first)
