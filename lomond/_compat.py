"""The differences between Pythons; the only module that knows six and versions.

All of it is decided once, at import.

Knows nothing of: WebSockets.
"""

from __future__ import absolute_import, division, unicode_literals

import codecs
import errno
import io
import os
import socket
import sys
import threading
import time

PY2 = sys.version_info[0] == 2
text_type = type('')
string_types = (str, text_type)
integer_types = (int, type(sys.maxsize + 1))        # 2.7: int and long
BYTES_LIKE = (bytes, bytearray, memoryview)
#: Whether ssl can read into the memory of a BytesIO: 2.7's lends none, PyPy's refuses
#: its own.
BYTES_IO_LENDS = hasattr(io.BytesIO, 'getbuffer') and '__pypy__' not in sys.builtin_module_names
#: Whether messages are handed out in batches: PyPy compiles generators anyway, and on
#: 2.7 an item of bytes is not an integer.
HANDS_OUT_BATCHES = not PY2 and '__pypy__' not in sys.builtin_module_names
#: Whether a character of ASCII takes as much memory as any other (four bytes, as 2.7 is
#: built today).
WIDE_TEXT = PY2

# What a socket may raise: on 2.7 ``socket.error`` is not an OSError (bpo-10293), and
# ``select.error`` is neither.
if PY2:
    import select
    from itertools import imap
    OS_ERRORS = (OSError, IOError, socket.error, select.error)
    _FileNotFound = ()
else:
    imap = map
    OS_ERRORS = (OSError,)
    _FileNotFound = FileNotFoundError

if PY2:
    # Up here: an import in a thread would wait for the program that is imported
    # meanwhile (one lock).
    from re import compile as _compile
else:
    def _compile(text):
        import re
        return re.compile(text)


class Pattern(object):
    """A regular expression that is compiled, and ``re`` imported, when a method of it
    is first asked for.

    All of them together take a tenth of the time that ``from lomond import WebSocket``
    does, and most are for what few servers send.

    :param text: text or bytes; flags stand in it, as in ``(?s)``
    """

    def __init__(self, text):
        self._text = text

    def __getattr__(self, name):
        value = getattr(_compile(self._text), name)     # re keeps what it has compiled
        setattr(self, name, value)                      # so that this is not asked again
        return value


_WOULD_BLOCK = frozenset((errno.EAGAIN, errno.EWOULDBLOCK))
_IN_PROGRESS = frozenset((errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY,
                          getattr(errno, 'WSAEWOULDBLOCK', errno.EWOULDBLOCK)))


def error_number(error):
    """Return the ``errno`` of an exception of ``socket`` or ``os``, or None."""
    number = getattr(error, 'errno', None)
    if number is None and error.args and isinstance(error.args[0], int):
        number = error.args[0]      # select.error of 2.7
    return number


#: What streams that are not sockets raise for "not now", without an ``errno``.
_NOT_NOW = (socket.timeout,) if PY2 else (socket.timeout, TimeoutError, BlockingIOError)
_WANTS = frozenset(('SSLWantReadError', 'SSLWantWriteError'))


def would_block(error):
    """Return True if a non-blocking call only has to be repeated later.

    A time-out without an ``errno`` is one: the call did not block, so its time can only
    be 0.  (With ETIMEDOUT, TCP has given up.)
    """
    number = error_number(error)
    if number is None:
        return isinstance(error, _NOT_NOW)
    return number in _WOULD_BLOCK or type(error).__name__ in _WANTS


def is_in_progress(error):
    """Return True if a non-blocking ``connect`` has begun and is not complete."""
    return error_number(error) in _IN_PROGRESS


def was_interrupted(error):
    """True for EINTR, which Python 2.7 hands to its callers (PEP 475 came with 3.5)."""
    return error_number(error) == errno.EINTR


def to_bytes(data):
    """Convert bytes-like data to bytes (on 2.7 ``bytes(memoryview)`` is a repr)."""
    if isinstance(data, memoryview):
        return data.tobytes()
    return bytes(data)


if PY2:
    def join_bytes(parts):
        """Join bytes-like parts (2.7's ``join`` takes no bytearray or memoryview)."""
        return b''.join([to_bytes(part) for part in parts])
else:
    join_bytes = b''.join


def flat_view(data):
    """Return a bytearray or memoryview as bytes-like, uncopied if possible."""
    view = memoryview(data)
    if view.format not in ('B', b'B') or view.ndim != 1 or view.strides not in ((1,), None):
        return view.tobytes()
    return view


def to_text(value):
    """An ASCII native ``str`` of 2.7 as text; anything else as it came."""
    if PY2 and isinstance(value, bytes):
        try:
            return value.decode('ascii')
        except UnicodeDecodeError:
            return value
    return value


def reraise(kind, value, traceback):
    """Raise an exception again, with the traceback that it had."""
    import six  # 1 ms, here and below
    six.reraise(kind, value, traceback)


def fspath(path):
    """What a path object stands for (PyPy's ssl takes none); anything else as it is."""
    return path.__fspath__() if hasattr(path, '__fspath__') else path


def error_text(error):
    """What an exception says, as one line of text, whatever bytes or type are in it."""
    if isinstance(error, _FileNotFound) and error.strerror in ('', 'Error'):
        message = os.strerror(errno.ENOENT)     # PyPy's ssl says no more
    elif isinstance(error, EnvironmentError) and error.strerror:
        message = error.strerror
    else:
        message = _message(error)
    if isinstance(message, bytes):
        message = message.decode('utf-8', 'replace')
    return ' '.join(text_type(message).split()) or to_text(type(error).__name__)


def _message(error):
    try:
        return text_type(error)
    except Exception:               # 2.7: bytes that are not ASCII; or a broken __str__
        try:
            return bytes(error) if PY2 else ''
        except Exception:
            return ''


if PY2:
    _SURROGATE = Pattern(b'\xed[\xa0-\xbf]')

    def utf_8_decode(data, errors='strict', final=False):
        """``codecs.utf_8_decode`` as on 3.x: refuse surrogates, take a memoryview."""
        data = to_bytes(data)
        error, end = None, len(data)
        try:
            decoded = codecs.utf_8_decode(data, errors, final)
        except UnicodeDecodeError as caught:
            error, end = caught, caught.start
        # In what was decoded ED stands at the head of a character only.
        found = b'\xed' in data and _SURROGATE.search(data, 0, end)
        if found:
            error = UnicodeDecodeError(b'utf-8', data, found.start(), found.end(), b'surrogates not allowed')
        if error:
            raise error
        return decoded

    def decode_bytearray(data):
        """Text of a bytearray of UTF-8, strictly; for small ones."""
        text = data.decode('utf-8')
        if b'\xed' in data:
            utf_8_decode(data, 'strict', True)
        return text
else:
    utf_8_decode = codecs.utf_8_decode
    decode_bytearray = bytearray.decode     # 30 ns less than utf_8_decode()[0]


def text_str(cls):
    """Decorate a class whose ``__str__`` returns text; on 2.7, ``str`` gives UTF-8."""
    if PY2:
        cls.__unicode__ = cls.__str__
        cls.__str__ = lambda self: self.__unicode__().encode('utf-8')
    return cls


if PY2:
    def encode_utf8(text):
        """UTF-8 of text.

        :raises ValueError: a surrogate is in it, which 2.7 would encode and no peer may
            take
        """
        data = text.encode('utf-8')
        if b'\xed' in data:
            utf_8_decode(data, 'strict', True)
        return data
else:
    encode_utf8 = text_type.encode          # refuses surrogates by itself


if PY2:
    def casefold(text):
        """Fold the case of text, for comparisons and host names."""
        from stringprep import map_table_b3  # by Unicode 3.2, else lower()
        return ''.join(map(map_table_b3, text))
else:
    casefold = text_type.casefold


def without_frames(error):
    """Return the exception without its traceback, which would keep frames alive."""
    seen = error
    while seen is not None and getattr(seen, '__traceback__', None) is not None:
        seen.__traceback__ = None
        seen = seen.__context__
    return error


_weakref = None


def import_weakref():
    """Return the module ``weakref``.

    It is imported when it is needed: that takes a thirtieth of the time of ``import
    lomond``.  An ``import`` in a function would take 1 to 4 us each time.
    """
    global _weakref
    if _weakref is None:
        import weakref
        _weakref = weakref
    return _weakref


def native(value):
    """Convert text to the native ``str``: on 2.7, escaped ASCII (for ``repr``)."""
    if PY2 and not isinstance(value, bytes):
        return value.encode('ascii', 'backslashreplace')
    return value


def native_octets(value):
    """Convert text whose characters are octets to the native ``str``."""
    return value.encode('latin-1') if PY2 else value


def unquote_octets(text):
    """Undo percent-encoding; return native ``str`` whose characters are octets."""
    if PY2:
        from urllib import unquote
        return unquote(native(text))
    from urllib.parse import unquote_to_bytes
    return unquote_to_bytes(text).decode('latin-1')


if PY2:
    def _make_monotonic():
        # 2.7 has no monotonic clock: backward steps of the wall clock are ignored.  A
        # store of a tuple is atomic; two threads that race lose nothing but a step.
        state = [(0.0, time.time())]
        base = [(state[0][1], os.times()[4])]       # of both clocks, at the newest step

        def monotonic():
            """Seconds that never go backward."""
            offset, last = state[0]
            now = time.time()
            if now < last:
                offset += last - now
                # How much has passed since the last call?  The kernel's ticks (10 ms)
                # tell it on Linux; elsewhere it counts as no time.
                ticks = os.times()[4]
                offset += max(base[0][0] + ticks - base[0][1] - now - offset, 0)
                base[0] = (now + offset, ticks)
            state[0] = (offset, now)
            return now + offset
        return monotonic

    monotonic = _make_monotonic()
else:
    monotonic = time.monotonic


#: A lock can wait for a time; 2.7's cannot.
LOCKS_WAIT = not PY2


def acquire(lock, timeout):
    """Take a ``threading.Lock`` within ``timeout`` seconds (None for no limit); return
    True if taken.

    2.7's locks cannot wait for a time: there it is tried again after pauses of 0.5 to
    2 ms.
    """
    if timeout is None:
        return lock.acquire()
    if not PY2:
        return lock.acquire(True, max(timeout, 0))
    give_up = monotonic() + timeout
    pause = 0.0005
    while not lock.acquire(False):
        left = give_up - monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.002)
    return True


if PY2:
    #: Seconds between two looks at what 2.7 could only wait for by the wall clock.
    _LOOK = 0.05
    _STANDARD = ('threading', 'multiprocessing.synchronize')

    def _wait_until(condition, seconds):
        end = monotonic() + seconds
        while not condition():
            left = end - monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _LOOK))        # select() underneath: not by the wall clock
        return True

    def wait_for_event(event, seconds):
        """``event.wait(seconds)``; a clock that is set back does not delay 2.7's own.
        """
        wait = event.wait
        if seconds is None or getattr(getattr(wait, '__func__', None), '__module__', None) not in _STANDARD:
            return wait(seconds)
        return _wait_until(event.is_set, seconds)

    def join(thread, seconds):
        """``thread.join(seconds)``, in the same way."""
        _wait_until(lambda: not thread.is_alive(), seconds)
else:
    def wait_for_event(event, seconds):
        """Return ``event.wait(seconds)``."""
        return event.wait(seconds)

    def join(thread, seconds):
        """Wait for the end of a thread, at most for the number of seconds."""
        thread.join(seconds)


def sleep(seconds):
    """``time.sleep()`` to the end: a signal cuts that of 2.7 short (PEP 475)."""
    end = monotonic() + seconds
    while seconds > 0:
        time.sleep(seconds)
        seconds = end - monotonic()


if PY2:
    import atexit

    from thread import allocate_lock, get_ident

    def _make_halt():
        # In cells: when a program exits, 2.7 sets all globals of all modules to None,
        # while daemon threads go on.  It begins with the module __main__, and in the
        # end clears sys.modules.
        modules, allocate, leaving = sys.modules, allocate_lock, []
        getframe, frames = sys._getframe, getattr(sys, '_current_frames', dict)

        def ident():
            # Not get_ident(): under gevent, greenlets of one thread differ in that.
            mine = getframe()
            return [number for number, frame in frames().items() if frame is mine]

        atexit.register(lambda: leaving.append(ident()))

        def halt_at_exit():
            """Never return in a thread that goes on while the modules are emptied.

            What it does would fail and be printed.  3.x ends such threads by itself.
            Bind it to a name of your own beforehand: globals may be None then.
            """
            if leaving and modules.get('__main__') is None and leaving[-1] != ident():
                lock = allocate()
                lock.acquire()
                lock.acquire()
        return halt_at_exit

    halt_at_exit = _make_halt()

    def _silent_at_exit(target):
        halt = halt_at_exit

        def run(*args):
            try:
                target(*args)
            except:  # noqa: E722 - at exit, 2.7 sets even BaseException to None
                halt()
                raise
            halt()
        return run
else:
    from threading import get_ident  # noqa: F401 - for the modules above

    def halt_at_exit():
        """Do nothing: 3.x ends daemon threads before it empties modules."""

    def _silent_at_exit(target):
        return target


def new_thread(target, name, *args):
    """Make a daemon thread that prints nothing when the program exits; not started.
    """
    thread = threading.Thread(target=_silent_at_exit(target), name=native(name), args=args)
    thread.daemon = True
    return thread


if PY2:
    try:
        import fcntl  # now: without a free descriptor, nothing can be imported
    except ImportError:         # Windows: handles are not inherited by default
        fcntl = None

    def set_cloexec(fd):
        """Keep a descriptor from child programs."""
        if fcntl is not None:
            fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)

    def set_nonblocking(fd):
        """Let reading and writing a pipe never wait."""
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)

    def replace_descriptor(fd, by):
        """Let a descriptor refer to what another one refers to."""
        os.dup2(by, fd)
        set_cloexec(fd)

    def adopt_descriptor(fd, family):
        """Make a socket object of a descriptor, which belongs to it from now on."""
        copy = socket.fromfd(fd, family, socket.SOCK_STREAM)    # makes one more descriptor
        os.close(fd)
        set_cloexec(copy.fileno())
        return copy if isinstance(copy, socket.socket) else socket.socket(_sock=copy)
else:
    def set_cloexec(fd):
        """Do nothing: since 3.4, no descriptor that Python makes is inherited."""

    def set_nonblocking(fd):
        """Let reading and writing a pipe never wait."""
        os.set_blocking(fd, False)

    def replace_descriptor(fd, by):
        """Let a descriptor refer to what another one refers to."""
        os.dup2(by, fd, inheritable=False)

    def adopt_descriptor(fd, family):
        """Make a socket object of a descriptor, which belongs to it from now on."""
        return socket.socket(family, socket.SOCK_STREAM, fileno=fd)


def python_name():
    """Name and version of the interpreter, such as ``('CPython', '3.11.7')``."""
    import platform
    return platform.python_implementation(), platform.python_version()


if hasattr(os, 'register_at_fork'):
    # os.getpid() asks the kernel each time: 100 ns, twice as long as all of this.
    _forks = 0

    def _forked():
        global _forks
        _forks += 1

    os.register_at_fork(after_in_child=_forked)

    def fork_id():
        """A number that is another one in a forked child."""
        return _forks

    def make_own_stock():
        """Make a list for the life of the process that is empty in a forked child."""
        stock = []
        os.register_at_fork(after_in_child=stock.clear)
        return stock
else:
    fork_id = os.getpid

    class _OwnStock(list):
        _owner = None

        def pop(self):
            if self._owner != os.getpid():
                del self[:]                 # first: another thread may look at the owner
                self._owner = os.getpid()
            return list.pop(self)

    make_own_stock = _OwnStock


IS_WINDOWS = sys.platform == 'win32'

#: A module may have a function ``__getattr__`` for what it makes when asked (PEP 562).
HAS_MODULE_GETATTR = sys.version_info >= (3, 7)


def lacks_variables(names):
    """Return True if the environment certainly has none of these variables.

    To look up each of them costs a tenth of a connection: ``os.environ`` encodes the
    name, and raises two exceptions.

    :param names: a frozenset of bytes
    """
    data = getattr(os.environ, '_data', None)       # of 3.x on POSIX
    if data.__class__ is not dict:
        return False
    for name in data:
        return name.__class__ is bytes and names.isdisjoint(data)
    return True


def system_proxies():
    """The proxies that urllib finds: of the environment, else of macOS's or Windows'
    settings.

    :returns: dict; the hosts that the settings except are under ``'no'``, as text with
        blanks between
    """
    try:        # not by six.moves, which freezers do not understand
        from urllib.request import getproxies
    except ImportError:
        from urllib import getproxies  # 2.7
    found = dict(getproxies())
    found.setdefault('no', ' '.join(_proxy_exceptions()))
    return found


def _proxy_exceptions():
    # Read here, because urllib's proxy_bypass() asks name servers, for as long as they
    # like.
    try:
        from _scproxy import _get_proxy_settings  # macOS
    except ImportError:
        pass
    else:
        settings = _get_proxy_settings()
        return list(settings.get('exceptions') or ()) + ['<local>'] * bool(settings.get('exclude_simple'))
    try:
        import winreg
    except ImportError:
        try:
            import _winreg as winreg  # 2.7
        except ImportError:
            return []
    path = 'Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings'
    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, path) as key:
            return winreg.QueryValueEx(key, 'ProxyOverride')[0].split(';')
    except OS_ERRORS:                               # nothing is excepted
        return []
