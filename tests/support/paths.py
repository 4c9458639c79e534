"""Where things are in the checkout, whichever folder a test lies in."""

from __future__ import absolute_import, division, unicode_literals

import os

#: The folder of the tests, and the checkout that it lies in.
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECKOUT = os.path.dirname(TESTS)


def find_test(file):
    """The path below ``tests/`` of the file with this name, such as ``test_url.py``.

    :raises KeyError: unless there is exactly one
    """
    found = [os.path.relpath(os.path.join(folder, file), TESTS)
             for folder, _, files in os.walk(TESTS) if file in files]
    if len(found) != 1:
        raise KeyError('%s is there %d times below tests/' % (file, len(found)))
    return found[0]
