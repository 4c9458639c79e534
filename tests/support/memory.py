"""How much memory a call takes."""

from __future__ import absolute_import, division, unicode_literals

import gc

import pytest

try:
    import tracemalloc
except ImportError:
    tracemalloc = None

needs_tracemalloc = pytest.mark.skipif(tracemalloc is None, reason='no tracemalloc before 3.4')


def growth(work, *arguments):
    """Return the most bytes that a call held at once (0 on 2.7), and what it returned."""
    if tracemalloc is None:
        return 0, work(*arguments)
    gc.collect(1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = work(*arguments)
        return tracemalloc.get_traced_memory()[1] - before, result
    finally:
        tracemalloc.stop()
