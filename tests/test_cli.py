"""The command line, as a process: what it writes where, and how it ends."""

from __future__ import absolute_import, division, unicode_literals

import os
import signal
import subprocess
import sys
import threading

import pytest

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WINDOWS = sys.platform == 'win32'


def child_environ(**changes):
    """The environment of a child, with changes; None removes."""
    environ = dict(os.environ)
    environ.setdefault(str('PYTHONPATH'), str(os.pathsep.join(path for path in sys.path if path)))
    for name, value in changes.items():
        environ.pop(name, None)
        if value is not None:
            environ[str(name)] = str(value)
    return environ


def _default_signals():
    # A shell's background job ignores SIGINT, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Lomond(object):
    """A running ``python -m lomond``."""

    def __init__(self, *words, **options):
        self.words = words
        options.setdefault('stdin', subprocess.PIPE)
        options.setdefault('stdout', subprocess.PIPE)
        options.setdefault('stderr', subprocess.PIPE)
        if not WINDOWS:
            options.setdefault('preexec_fn', _default_signals)
        environ = options.pop('environ', {})
        self.process = subprocess.Popen(
            [sys.executable, str('-m'), str('lomond')] + list(words), cwd=CHECKOUT,
            env=child_environ(**environ), **options)

    def end(self, data=None, seconds=20):
        """Give it the input and wait: ``(status, stdout, stderr as text)``."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            out, err = self.process.communicate(data)
        finally:
            timer.cancel()
            timer.join()
        assert timer.finished.is_set()
        return self.process.returncode, out, (err or b'').decode('utf-8').replace('\r\n', '\n')


def lomond(*words, **options):
    """Run it to its end: ``(status, stdout, stderr as text)``."""
    data = options.pop('data', b'')
    return Lomond(*words, **options).end(data)


# -- demo

def check_demo(out):
    lines = out.decode('ascii').replace('\r\n', '\n').split('\n')
    names = [line[3:].partition('(')[0] for line in lines if line.startswith('<- ')]
    assert [name for name in names if name != 'Poll'] == [
        'Connecting', 'Connected', 'Ready', 'Text', 'Binary', 'Text', 'Pong', 'Closed', 'Disconnected']
    assert 'Poll' in names
    calls = [line[3:].partition('(')[0] for line in lines if line.startswith('-> ')]
    assert calls == ['websocket.' + name for name in (
        'send_text', 'send_binary', 'send_text', 'send_ping', 'close')]
    assert any('18000 characters' in line and 'compressed' in line for line in lines)


def test_demo():
    status, out, err = lomond('demo')
    assert (status, err) == (0, '')
    check_demo(out)


def test_demo_needs_no_proxy_and_no_locale():
    nowhere = 'http://127.0.0.1:1'
    environ = dict((name, nowhere) for name in ('http_proxy', 'https_proxy', 'all_proxy', 'ws_proxy'))
    status, out, err = lomond('demo', environ=dict(environ, LANG='C', LC_ALL='C', PYTHONUTF8='0'))
    assert (status, err) == (0, '')
    check_demo(out)


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no /dev/full')
def test_demo_on_a_full_disk():
    with open('/dev/full', 'wb') as full:
        status, _, err = lomond('demo', stdout=full)
    assert status == 1
    assert err == 'lomond: cannot write to standard output: No space left on device\n'


def test_demo_whose_reader_has_left():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        status, _, err = lomond('demo', stdout=writing)
    finally:
        os.close(writing)
    assert (status, err) == (0, '')


# -- usage

USAGE = [
    ([], "a URL, 'demo' or 'serve' is needed"),
    (['demo', 'now'], 'unrecognized arguments: now'),
    (['serve', '--port', '65536'], "'65536' is no port; 0 to 65535 is allowed"),
]


@pytest.mark.parametrize('words, sentence', USAGE)
def test_usage(words, sentence):
    status, out, err = lomond(*words)
    assert (status, out) == (2, b'')
    assert err.startswith('usage: lomond ')
    assert err.splitlines()[-1].startswith('lomond: error: ')
    assert err.splitlines()[-1].endswith(sentence)


@pytest.mark.parametrize('words', [['--help'], ['-h'], ['demo', '-h'], ['serve', '--help']])
def test_help(words):
    status, out, err = lomond(*words)
    assert (status, err) == (0, '')
    assert out.startswith(b'usage: lomond ')


def test_version():
    status, out, err = lomond('--version')
    assert (status, err) == (0, '')
    assert out.startswith(b'lomond 1.')
