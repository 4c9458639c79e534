"""What every test file shares: the same surroundings everywhere, and which tests run
when nobody says.
"""

from __future__ import absolute_import, division, unicode_literals

import glob
import io
import os
import platform
import re
import signal
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

# Tests in these folders get the marker of the same name; without a word they do not
# run.
MARKED_FOLDERS = {'real': 'real', 'faults': 'slow'}
LEFT_OUT = ('real', 'slow')
# tools/run_tests.py names the markers that other interpreters of the same run see to.
LEFT_OUT += tuple(os.environ.get('LOMOND_ELSEWHERE', '').split())

# A shell's background jobs ignore Ctrl-C, and some tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A proxy in the environment would be used by every WebSocket.
for _name in list(os.environ):
    if _name.lower().endswith('_proxy'):
        del os.environ[_name]

from support.certificates import certs, how  # noqa: E402, F401 - a fixture; what it imports must not see a proxy

try:
    hypothesis = None
    if 'ends' not in LEFT_OUT:          # who uses it is
        import hypothesis
except ImportError:
    pass
if hypothesis:
    # The same examples each time, and no time limit for one: the machine may be busy.
    hypothesis.settings.register_profile('same', derandomize=True, deadline=None, database=None)
    hypothesis.settings.register_profile('explore', deadline=None)
    hypothesis.settings.register_profile('deep', max_examples=5000, deadline=None)
    hypothesis.settings.load_profile('same')


def _where_lomond_is():
    try:
        import lomond
        return os.path.abspath(lomond.__file__)
    except (ImportError, AttributeError, TypeError):
        return None


#: Filled below; pytest looks here.  2.7 cannot read async syntax.
collect_ignore = [] if sys.version_info >= (3, 6) else [os.path.join(HERE, 'faces', 'test_aio.py')]


def _left_out_as_a_whole():
    """Yield the folders and files in which every test is left out."""
    for folder, name in sorted(MARKED_FOLDERS.items()):
        if name in LEFT_OUT:
            yield os.path.join(HERE, folder)
    mark = re.compile(r'(?m)^pytestmark = .*pytest\.mark\.(%s)\b' % '|'.join(LEFT_OUT))
    for path in glob.glob(os.path.join(HERE, '*', 'test_*.py')):
        with io.open(path, encoding='utf-8') as text:
            if mark.search(text.read()):
                yield path


def pytest_configure(config):
    if not config.option.markexpr and all(os.path.abspath(str(argument)) == HERE for argument in config.args):
        collect_ignore.extend(_left_out_as_a_whole())       # not even imported
    if platform.python_implementation() == 'PyPy':
        # A loop that was left by break, and its socket, go at once there, in whatever
        # order.
        config.addinivalue_line('filterwarnings', 'ignore::ResourceWarning')
    # tools/run_tests.py tests the wheel that it installed, never the checkout beside
    # the tests.
    installed = os.environ.get('LOMOND_TESTED_IN')
    where = _where_lomond_is()
    if installed and not (where and where.startswith(installed)):
        raise pytest.UsageError('lomond is imported from %s; it should come from %s' % (where, installed))


def pytest_report_header(config):
    return 'lomond: %s' % _where_lomond_is()


def _named_on_command_line(config, path):
    """Whether an argument is the file, or a folder below tests/ that it is in."""
    for argument in config.args:
        named = os.path.abspath(str(argument).split('::')[0])
        if path == named or (named.startswith(HERE + os.sep) and path.startswith(named + os.sep)):
            return True
    return False


# First, so that -m sees the markers.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        folder = os.path.relpath(str(item.fspath), HERE).split(os.sep)[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(MARKED_FOLDERS[folder])
    if config.option.markexpr:
        return
    kept, left_out = [], []
    for item in items:
        is_left_out = (any(item.get_closest_marker(name) for name in LEFT_OUT)
                       and not _named_on_command_line(config, str(item.fspath)))
        (left_out if is_left_out else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
