"""Errors and their sentences."""

from __future__ import absolute_import, division, unicode_literals

import contextlib

import pytest


@contextlib.contextmanager
def raises(kind, text):
    """Expect an error whose whole text is given; ``match`` of pytest.raises finds a part."""
    with pytest.raises(kind) as caught:
        yield
    assert str(caught.value) == text, str(caught.value)
