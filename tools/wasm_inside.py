"""The half of tools/wasm.py that runs in CPython for WebAssembly: pytest and a plugin.

Standard library and pytest only; ``test_wasm.py`` imports it on every Python 3, too.
"""

import os
import platform
import sys

import pytest


def read_skips(path):
    """Read tools/wasm-skips.txt.

    :return: dict of ``file.py::test`` or ``file.py::test[parameters]``: reason
    """
    skips = {}
    with open(path, encoding='utf-8') as text:
        for number, line in enumerate(text, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            name, _, reason = line.partition('  # ')
            name, reason = name.strip(), reason.strip()
            if '.py::' not in name or not reason or name in skips:
                raise ValueError('%s, line %d: %r is not a new "file.py::test  # reason"' % (
                    path, number, line))
            skips[name] = reason
    return skips


def names_of(nodeid):
    """Return the names that a row may have for a test: with and without its parameters.

    Folders are left out; file names are unique below tests/.
    """
    path, _, test = nodeid.partition('::')
    name = '%s::%s' % (path.rpartition('/')[2], test)
    return name, name.partition('[')[0]


class Skipper:
    """A pytest plugin that skips tests by name, and fails on a name without a test."""

    def __init__(self, skips):
        self.skips = skips
        self.files = set()
        self.unknown = set(skips)

    def pytest_itemcollected(self, item):
        names = names_of(item.nodeid)
        self.files.add(names[0].partition('::')[0])
        self.unknown -= set(names)
        for name in names:
            if name in self.skips:
                item.add_marker(pytest.mark.skip(reason='WebAssembly: ' + self.skips[name]))

    def pytest_collection_finish(self, session):
        if any('::' in str(argument) for argument in session.config.args):
            return          # only a part of a file was asked for
        wrong = sorted(name for name in self.unknown if name.partition('::')[0] in self.files)
        if wrong:
            raise pytest.UsageError('tools/wasm-skips.txt names tests that do not exist: ' + ', '.join(wrong))


def main(words):
    """Run pytest on the unpacked checkout.

    :param words: the list of skips ('' for none), then arguments for pytest
    :return: pytest's exit status
    """
    sys.dont_write_bytecode = True
    os.chdir('/checkout')
    sys.path.insert(0, '/checkout')
    print('CPython %s, %s' % (platform.python_version(), sys.platform), flush=True)
    skips = read_skips(words[0]) if words[0] else {}
    # pytest-timeout needs threads or signals; tools/wasm.py limits the time of all tests.
    return int(pytest.main(['-c', 'setup.cfg', '--rootdir', '/checkout', '-p', 'no:cacheprovider',
                            '-o', 'timeout=0', '--junitxml', '/junit.xml', '-q'] + list(words[1:]),
                           plugins=[Skipper(skips)]))
