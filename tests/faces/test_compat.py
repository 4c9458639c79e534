# -*- coding: utf-8 -*-
"""What differs between the Pythons, seen to be the same."""

from __future__ import absolute_import, division, unicode_literals

import array
import errno
import os
import platform
import select
import socket
import sys
import threading
import time
import types

import pytest

from lomond import _compat
from lomond._compat import PY2


@pytest.mark.skipif(not PY2, reason='asyncio came with Python 3')
def test_aio_says_what_it_needs():
    with pytest.raises(ImportError) as caught:
        from lomond import aio  # noqa: F401
    assert 'lomond.aio needs asyncio, so Python 3.6 or newer' in str(caught.value)


# --- errors of the system ---

def errors_with(number):
    """Every kind that may come out of socket, select and os."""
    return [kind(number, 'text') for kind in (OSError, IOError, socket.error, select.error, socket.timeout)]


@pytest.mark.parametrize('number',
                         [errno.EAGAIN, errno.ECONNRESET, errno.EINTR, errno.EINPROGRESS, errno.ENOENT])
def test_error_number(number):
    for error in errors_with(number):
        assert isinstance(error, _compat.OS_ERRORS)
        if isinstance(error, socket.timeout) and PY2:
            continue
        assert _compat.error_number(error) == number
        assert _compat.would_block(error) == (number == errno.EAGAIN)
        assert _compat.was_interrupted(error) == (number == errno.EINTR)
        assert _compat.is_in_progress(error) == (number in (errno.EINPROGRESS, errno.EAGAIN))


class Numbered(Exception):
    """As select.error of 2.7 is: no errno, no EnvironmentError."""


@pytest.mark.parametrize('error, number', [
    (OSError(), None), (OSError('text'), None), (ValueError('x'), None),
    (Numbered(errno.EINTR, 'x'), errno.EINTR), (Numbered('5'), None)])
def test_errors_without_a_number(error, number):
    assert _compat.error_number(error) == number


class Broken(Exception):
    def __str__(self):
        return str(b'bytes \xff') if PY2 else 'bytes \ufffd'


class Worse(Exception):
    def __str__(self):
        raise RuntimeError('broken')


@pytest.mark.parametrize('error, text', [
    (OSError(errno.ENOENT, 'No such\n file'), 'No such file'), (OSError('text'), 'text'),
    (Worse(), 'Worse'), (OSError(1, 2), '2'), (ValueError('\u2603 x'), '\u2603 x'),
    (ValueError(), 'ValueError'), (KeyError('k'), repr('k')), (OSError(1, b'b\xc3\xbc'), 'b\xfc'),
    (ValueError(' \r\n'), 'ValueError'), (Broken(), 'bytes \ufffd'), (OSError(1, b'b\xff'), 'b\ufffd')])
def test_error_text(error, text):
    assert _compat.error_text(error) == text
    assert isinstance(_compat.error_text(error), type(''))


# --- text and bytes ---

@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_to_bytes(kind):
    for data in (b'', b'abc', b'\x00\xff'):
        found = _compat.to_bytes(kind(data))
        assert found == data and type(found) is bytes
    assert isinstance(kind(b''), _compat.BYTES_LIKE)
    assert _compat.join_bytes([kind(b'a'), b'', kind(b'b')]) == b'ab'


def test_to_text():
    assert _compat.to_text('text') == 'text' and _compat.to_text(None) is None and _compat.to_text(5) == 5
    assert _compat.to_text(bytearray(b'x')) == bytearray(b'x')
    if PY2:
        assert _compat.to_text(b'ascii') == 'ascii' and isinstance(_compat.to_text(b'ascii'), type(''))
        assert _compat.to_text(b'\xff') == b'\xff'
    else:
        assert _compat.to_text(b'ascii') == b'ascii'


def test_native():
    assert _compat.native(str('x')) == str('x')
    assert isinstance(_compat.native('x\u2603'), str)
    assert _compat.native('x\u2603') == (str('x\\u2603') if PY2 else 'x\u2603')
    assert isinstance(_compat.native_octets('x\xff'), str)
    assert _compat.native_octets('x\xff') == (str(b'x\xff') if PY2 else 'x\xff')


def test_text_str():
    @_compat.text_str
    class Shown(object):
        def __str__(self):
            return '\u2603'
    assert '{}'.format(Shown()) == '\u2603'
    assert isinstance(str(Shown()), str)
    assert str(Shown()) == ('\u2603'.encode('utf-8') if PY2 else '\u2603')


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
@pytest.mark.parametrize('data, final, expected', [
    (b'', True, ('', 0)), (b'abc', True, ('abc', 3)),
    ('\u2603\U0001f600'.encode('utf-8'), True, ('\u2603\U0001f600', 7)),
    (b'a\xe2\x98', False, ('a', 1)), (b'\xed\x9f\xbf', True, ('\ud7ff', 3))])
def test_utf_8_decode(kind, data, final, expected):
    assert _compat.utf_8_decode(kind(data), 'strict', final) == expected


@pytest.mark.parametrize('data, final, start', [
    (b'\xff', False, 0), (b'ab\xed\xa0\x80', True, 2), (b'ab\xed\xbf\xbf\xff', True, 2),
    (b'\xff\xed\xa0\x80', True, 0),
    (b'a\xe2\x98', True, 1), (b'\xc0\x80', False, 0), (b'ok\xed\xa0\x80 \xe2', False, 2)])
def test_utf_8_decode_refuses(data, final, start):
    """Surrogates are no UTF-8, on 2.7 too."""
    with pytest.raises(UnicodeDecodeError) as caught:
        _compat.utf_8_decode(data, 'strict', final)
    assert caught.value.start == start


@pytest.mark.parametrize('text', ['', 'x', 'Hello', '\u2603', '\U0001f600', '\ud7ff\ue000',
                                  '\u2603\ud7ff\ue000\U0001f600'])
def test_utf_8_both_ways(text):
    data = _compat.encode_utf8(text)
    assert data == text.encode('utf-8')
    found = _compat.decode_bytearray(bytearray(data))
    assert found == text and isinstance(found, _compat.text_type)


def test_surrogates_are_no_utf_8():
    for text in ('x\ud800', 'a\ud800', b'x\\ud800'.decode('unicode_escape')):
        with pytest.raises(ValueError):
            _compat.encode_utf8(text)
    for data in (b'\xed\xa0\x80', b'a\xed\xbf\xbf', b'\xed', b'\xff'):
        with pytest.raises(ValueError):
            _compat.decode_bytearray(bytearray(data))


# --- time ---

def test_monotonic():
    values = [_compat.monotonic() for _ in range(1000)]
    assert values == sorted(values)


@pytest.mark.skipif(not PY2, reason='3.x has a monotonic clock')
def test_backward_steps_of_the_clock_are_no_time(monkeypatch):
    clock = _compat._make_monotonic()
    found = []
    now = [time.time() + 1000]
    monkeypatch.setattr(time, 'time', lambda: now[0])
    for step in (0, 5, -100, 1, -1000, 2):
        now[0] += step
        found.append(clock())
    assert [later - sooner for sooner, later in zip(found, found[1:])] == [5, 0, 1, 0, 2]


class Clocks(object):
    """The wall clock, and ticks of the kernel, that a test sets (2.7)."""

    def __init__(self, monkeypatch):
        self.now, self.ticks = 1e9, 5.0
        monkeypatch.setattr(time, 'time', lambda: self.now)
        monkeypatch.setattr(os, 'times', lambda: (0, 0, 0, 0, self.ticks))

    def pass_by(self, seconds, ticks=None, step=0):
        self.now += seconds + step
        self.ticks += seconds if ticks is None else ticks


@pytest.mark.skipif(not PY2, reason='3.x has a monotonic clock')
@pytest.mark.parametrize('step, ticks, expected', [
    (0, 7, 7), (-3600, 7, 7), (-3600, 0, 0),        # no ticks: not Linux
    (3600, 7, 3607), (-8, 7, 7), (-8, -2 ** 32 / 100.0, 0)])        # they have wrapped around
def test_time_passes_while_the_clock_is_set_back(monkeypatch, step, ticks, expected):
    clocks = Clocks(monkeypatch)
    clock = _compat._make_monotonic()
    for _ in range(2):
        begun = clock()
        clocks.pass_by(7, ticks, step)
        assert abs(clock() - begun - expected) < 0.001
        clocks.pass_by(7, ticks)
        assert abs(clock() - begun - expected - 7) < 0.001


@pytest.mark.skipif(not PY2, reason='3.x waits by a monotonic clock')
@pytest.mark.parametrize('wait', [
    lambda seconds: _compat.wait_for_event(threading.Event(), seconds),
    lambda seconds: _compat.join(threading.current_thread(), seconds),
    lambda seconds: _compat.sleep(seconds)])
def test_clock_set_back_during_a_wait(monkeypatch, wait):
    real, shift = time.time, [0]
    monkeypatch.setattr(time, 'time', lambda: real() + shift[0])
    monkeypatch.setattr(threading, '_time', time.time)
    threading.Timer(0.05, lambda: shift.__setitem__(0, -3600)).start()
    begun = real()
    assert not wait(0.15)
    assert 0.1 < real() - begun < 3 and shift != [0]


def test_wait_for_event():
    """A wait() of somebody else's is called once."""
    class Waits(object):
        is_set = None
        waited = []

        def wait(self, seconds):
            self.waited.append(seconds)
            return 'yes'
    assert _compat.wait_for_event(Waits(), 7) == 'yes' and Waits.waited == [7]
    event = threading.Event()
    assert _compat.wait_for_event(event, 0) is False
    threading.Timer(0.02, event.set).start()
    assert _compat.wait_for_event(event, 20) is True and _compat.wait_for_event(event, None) is True
    event.wait = Waits().wait
    assert _compat.wait_for_event(event, 8) == 'yes'


def test_sleep_to_the_end(monkeypatch):
    """A signal cuts a sleep of 2.7 short."""
    now, slept = [100.0], []
    monkeypatch.setattr(_compat, 'monotonic', lambda: now[0])
    monkeypatch.setattr(time, 'sleep', lambda seconds: (
        slept.append(seconds), now.__setitem__(0, now[0] + seconds / (2 if len(slept) < 3 else 1))))
    _compat.sleep(4)
    assert slept == [4, 2, 1]


def test_acquire():
    lock = threading.Lock()
    assert _compat.acquire(lock, None) is True
    start = time.time()
    assert _compat.acquire(lock, 0.05) is False
    assert 0.04 <= time.time() - start < 5
    assert _compat.acquire(lock, 0) is False and _compat.acquire(lock, -1) is False
    lock.release()
    assert _compat.acquire(lock, 0) is True
    threading.Timer(0.02, lock.release).start()
    assert _compat.acquire(lock, 20) is True


# --- threads, descriptors, processes ---

def test_get_ident():
    idents = [_compat.get_ident()]
    thread = threading.Thread(target=lambda: idents.append(_compat.get_ident()))
    thread.start()
    thread.join()
    assert len(set(idents)) == 2


def test_set_cloexec():
    fcntl = pytest.importorskip('fcntl')
    for fd in os.pipe():        # 3.x makes them so
        _compat.set_cloexec(fd)
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        os.close(fd)


def test_set_cloexec_without_fcntl(monkeypatch):
    """Windows has none."""
    monkeypatch.setattr(_compat, 'fcntl', None, raising=False)
    assert _compat.set_cloexec(0) is None


def test_fork_id():
    if not hasattr(os, 'fork'):
        pytest.skip('no fork here')
    before = _compat.fork_id()
    assert before == _compat.fork_id()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b'y' if _compat.fork_id() != before else b'n')
        os._exit(0)
    assert os.read(read, 1) == b'y'
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    assert _compat.fork_id() == before


@pytest.mark.skipif(not hasattr(_compat, '_forked'), reason='os.getpid is used before 3.7')
def test_forks_are_counted(monkeypatch):
    monkeypatch.setattr(_compat, '_forks', 7)
    _compat._forked()
    assert _compat.fork_id() == 8


def test_python_name():
    assert _compat.python_name() == (platform.python_implementation(), platform.python_version())


def test_versions():
    assert _compat.PY2 == (sys.version_info[0] == 2)
    assert _compat.HAS_MODULE_GETATTR == (sys.version_info >= (3, 7))
    assert _compat.IS_WINDOWS == (sys.platform == 'win32')
    assert _compat.text_type is type('') and isinstance('', _compat.string_types)
    assert isinstance(5, _compat.integer_types) and isinstance(1 << 70, _compat.integer_types)
    assert not isinstance(5.0, _compat.integer_types)


def test_an_exception_is_raised_again_with_its_traceback():
    def fail():
        raise ValueError('once')
    with pytest.raises(ValueError) as first:
        fail()
    with pytest.raises(ValueError) as second:
        _compat.reraise(first.type, first.value, first.tb)
    assert second.value is first.value and second.traceback[-1].name == 'fail'


# --- regular expressions ---

def test_a_pattern_is_compiled_once_when_it_is_used(monkeypatch):
    compiled, compile_now = [], _compat._compile
    monkeypatch.setattr(_compat, '_compile', lambda text: compiled.append(text) or compile_now(text))
    text, octets = _compat.Pattern('(?s)a(.)'), _compat.Pattern(b'[0-9]+')
    assert compiled == []
    for _ in range(3):
        assert text.match('a\n').group(1) == '\n' and text.match('b') is None
    assert compiled == ['(?s)a(.)']
    assert octets.sub(b'n', b'a1b22') == b'anbn' and octets.pattern == b'[0-9]+'
    with pytest.raises(AttributeError):
        assert text.nothing


# --- urllib's proxies ---

def test_system_proxies(monkeypatch):
    monkeypatch.setattr(_compat, '_proxy_exceptions', lambda: ['a.example', '*.b.example'])
    monkeypatch.setenv(str('http_proxy'), str('http://p.example:1'))
    monkeypatch.delenv(str('no_proxy'), raising=False)
    found = _compat.system_proxies()
    assert found['http'] == 'http://p.example:1' and found['no'] == 'a.example *.b.example'
    monkeypatch.setenv(str('no_proxy'), str('c.example'))
    assert _compat.system_proxies()['no'] == 'c.example'


def module(name, **members):
    made = types.ModuleType(str(name))
    vars(made).update(members)
    return made


class Key(object):
    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


def no_key(root, path):
    raise OSError(2, 'no such key')


@pytest.fixture
def nowhere(monkeypatch):
    """Neither macOS nor Windows, whatever this is."""
    for name in ('_scproxy', 'winreg', '_winreg'):
        monkeypatch.setitem(sys.modules, str(name), None)
    return monkeypatch


@pytest.mark.parametrize('settings, expected', [
    ({}, []), ({'exceptions': None}, []), ({'exceptions': ('a', 'b')}, ['a', 'b']),
    ({'exceptions': ('a',), 'exclude_simple': True}, ['a', '<local>'])])
def test_proxy_exceptions_of_macos(nowhere, settings, expected):
    assert _compat._proxy_exceptions() == []
    nowhere.setitem(sys.modules, str('_scproxy'), module('_scproxy', _get_proxy_settings=lambda: settings))
    assert _compat._proxy_exceptions() == expected


@pytest.mark.parametrize('name', ['winreg', '_winreg'])
def test_proxy_exceptions_of_windows(nowhere, name):
    asked = []

    def query(key, value):
        asked.append(value)
        return 'a;<local>', 1
    made = module(name, OpenKey=lambda root, path: Key(), HKEY_CURRENT_USER=1, QueryValueEx=query)
    nowhere.setitem(sys.modules, str(name), made)
    assert _compat._proxy_exceptions() == ['a', '<local>'] and asked == ['ProxyOverride']
    made.OpenKey = no_key
    assert _compat._proxy_exceptions() == []


def test_without_frames():
    """Neither the exception nor those it came from keep the frames they passed."""
    try:
        try:
            raise KeyError('inner')
        except KeyError:
            raise ValueError('outer')
    except ValueError as caught:
        error = kept = caught
    assert _compat.without_frames(kept) is kept
    while error is not None:
        assert getattr(error, '__traceback__', None) is None
        error = getattr(error, '__context__', None)
    assert _compat.without_frames(None) is None


@pytest.mark.skipif(_compat.PY2, reason='PyPy 3 does so')
@pytest.mark.parametrize('strerror', ['', 'Error'])
def test_file_of_which_nothing_is_said(strerror):
    """All that PyPy's ssl says of a file that is missing is an errno."""
    assert _compat.error_text(OSError(errno.ENOENT, strerror)) == os.strerror(errno.ENOENT)
    assert _compat.error_text(OSError(errno.ENOENT, 'not here')) == 'not here'


def test_fspath():
    class Path(object):
        def __fspath__(self):
            return 'a/b'
    assert _compat.fspath(Path()) == 'a/b'
    assert _compat.fspath(b'a') == b'a' and _compat.fspath(None) is None


def test_flat_view():
    """Bytes one after the other, without a copy where that is possible."""
    data = bytearray(b'abcdef')
    view = _compat.flat_view(data)
    assert isinstance(view, memoryview) and view.tobytes() == data
    data[0] = 120
    assert view.tobytes() == b'xbcdef'
    if not PY2:             # its memoryview has neither steps nor arrays
        assert bytes(_compat.flat_view(memoryview(b'abcdef')[::2])) == b'ace'
        numbers = array.array('H', [1, 2])
        assert bytes(_compat.flat_view(memoryview(numbers))) == numbers.tobytes()
