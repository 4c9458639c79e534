"""When this Python frees objects: at once, or when its collector runs."""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import gc
import platform

import pytest

#: Objects are freed with their last reference; on PyPy some time later.
IS_COUNTED = platform.python_implementation() == 'CPython'

#: Marks tests of what is freed without the garbage collector.
counted = pytest.mark.skipif(not IS_COUNTED, reason='this Python frees nothing at once: use with')


@contextlib.contextmanager
def no_collector():
    """In its body, an object is freed with its last reference or not at all."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect_what_is_not_counted():
    """Let PyPy free what CPython has freed already."""
    if not IS_COUNTED:
        for _ in range(3):          # finalizers free further objects
            gc.collect()
