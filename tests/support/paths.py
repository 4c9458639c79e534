"""Where things are in the checkout, whichever folder a test lies in."""

from __future__ import absolute_import, division, unicode_literals

import importlib
import io
import os
import sys

import pytest

#: The folder of the tests, and the checkout that it lies in.
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECKOUT = os.path.dirname(TESTS)

#: For tests of scripts that do not run on 2.7.
python3 = pytest.mark.skipif(sys.version_info < (3, 6), reason='the scripts are written for Python 3')


def find_test(file):
    """The path below ``tests/`` of the file with this name, such as ``test_url.py``.

    :raises KeyError: unless there is exactly one
    """
    found = [os.path.relpath(os.path.join(folder, file), TESTS)
             for folder, _, files in os.walk(TESTS) if file in files]
    if len(found) != 1:
        raise KeyError('%s is there %d times below tests/' % (file, len(found)))
    return found[0]


def read(*path):
    """The text of a file in the checkout."""
    with io.open(os.path.join(CHECKOUT, *path), encoding='utf-8') as source:
        return source.read()


def import_from(folder, name):
    """A module of a folder in the checkout that is not a package, such as ``tools``."""
    path = os.path.join(CHECKOUT, folder)
    sys.path.insert(0, path)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(path)
