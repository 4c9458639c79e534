"""The standard streams: bytes and text, terminals, pipes that break.

A stream may be missing (``None``, or a closed descriptor), and its encoding may not
support a text. Neither is an error.

Knows nothing of: what is written.
"""

from __future__ import absolute_import, division, unicode_literals

import codecs
import errno
import io
import os
import re
import threading
import time

from .._compat import OS_ERRORS, error_number, error_text, was_interrupted, would_block
from ..network.poller import READ, wait_for

#: Characters that must not reach a terminal: C0, DEL and C1, line and paragraph
#: separators, and those that change the writing direction, because they can hide or
#: disguise text.
_CONTROLS = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]')
_NAMES = {'\n': '\\n', '\r': '\\r', '\t': '\\t'}
_NOT_PRINTABLE = re.compile(b'[^\x20-\x7e]')


def escape_text(text):
    """Escape control characters in text, as ``\\n``, ``\\x1b`` or ``\\u2028``."""
    return _CONTROLS.sub(_escape_character, text)


def _escape_character(match):
    found = match.group()
    code = ord(found)
    return _NAMES.get(found) or ('\\x{:02x}' if code < 256 else '\\u{:04x}').format(code)


def escape_bytes(data):
    """Return bytes as text, with all but printable ASCII escaped as ``\\x00``."""
    escaped = _NOT_PRINTABLE.sub(
        lambda match: '\\x{:02x}'.format(ord(match.group())).encode('ascii'), data)
    return escaped.decode('ascii')


class StreamBroken(Exception):
    """A stream can no longer be written to.

    :ivar is_pipe: True if the reader of a pipe has gone, which needs no error message
    """

    def __init__(self, error):
        super(StreamBroken, self).__init__(error_text(error))
        self.is_pipe = error_number(error) in (errno.EPIPE, errno.EINVAL, errno.ECONNRESET)


class Writer(object):
    """Standard output or standard error, for any thread, but not for a signal handler.

    A terminal gets its own encoding, with escapes for unsupported characters;
    everything else gets UTF-8.

    It bypasses Python's buffers, which are flushed when Python exits: that would block
    forever on a pipe that is not read, and fail on a broken one.

    :param stream: a stream as in ``sys``; output is discarded if it is None
    """

    def __init__(self, stream):
        self._stream = stream
        self._lock = threading.Lock()
        self._write = _unbuffered(stream)
        self.is_terminal = _is_terminal(stream)
        self._encoding = _encoding(stream) if self.is_terminal else 'utf-8'
        #: The transient line at the bottom of the screen, text; see :meth:`show`.
        self._shown = ''

    def write_line(self, text):
        """Write text and a line ending.

        :raises StreamBroken: if that is not possible
        """
        self.write_bytes((text + '\n').encode(self._encoding, 'backslashreplace'))

    def write_bytes(self, data):
        """Write bytes unchanged.

        :raises StreamBroken: if that is not possible
        """
        with self._lock:
            self._erase()
            self._put(data)

    def show(self, text):
        """Show a line on a terminal until the next output; empty text removes it."""
        if not self.is_terminal or text == self._shown:
            return
        with self._lock:
            self._erase()
            self._shown = text
            self._put(text.encode(self._encoding, 'backslashreplace'))

    def _erase(self):
        if self._shown:
            width, self._shown = len(self._shown), ''
            self._put(b'\r' + b' ' * width + b'\r')

    def _put(self, data):
        view = memoryview(data)
        while self._stream is not None and len(view):
            try:
                count = self._write(view)
            except OS_ERRORS as error:
                count = 0
                if not (was_interrupted(error) or would_block(error)):
                    self._stream = None
                    raise StreamBroken(error)
            if not count:
                # The stream is non-blocking. Sleep, because select() on Windows takes
                # only sockets.
                time.sleep(0.01)
                continue
            view = view[count:]


def _unbuffered(stream):
    """Return a function that writes some or all of its bytes, and returns how many."""
    buffered = getattr(stream, 'buffer', None)
    if buffered is not None:
        return getattr(buffered, 'raw', buffered).write
    if isinstance(stream, io.TextIOBase):       # io.StringIO, in a test
        def write_text(view):
            stream.write(view.tobytes().decode('utf-8', 'replace'))
            return len(view)
        return write_text
    return lambda view: os.write(stream.fileno(), view)


class Console(object):
    """The three streams of a command.

    :ivar out: :class:`Writer` of standard output
    :ivar err: :class:`Writer` of standard error
    """

    def __init__(self, stdin, stdout, stderr):
        self._stdin = _open_stream(stdin)
        self.out = Writer(_open_stream(stdout))
        self.err = _Mute(_open_stream(stderr))
        self.input_is_terminal = _is_terminal(self._stdin)
        self.input_encoding = _encoding(self._stdin) if self.input_is_terminal else 'utf-8'
        if codecs.lookup(self.input_encoding).name == 'ascii':
            self.input_encoding = 'utf-8'       # LANG=C does not say what the keyboard sends

    def read(self, size=64 * 1024):
        """Wait for bytes on standard input; return them, or ``b''`` at its end.

        This bypasses the buffered stream. A thread that waits inside it holds its lock,
        and Python aborts at exit if it finds that lock taken.
        """
        stream = self._stdin
        if stream is None:
            return b''
        raw = getattr(getattr(stream, 'buffer', None), 'raw', None)
        while True:
            try:
                # A Windows console cannot be read through its descriptor.
                data = raw.read(size) if raw is not None else os.read(stream.fileno(), size)
                if data is not None:
                    return data
            except (ValueError,) + OS_ERRORS as error:
                if not (was_interrupted(error) or would_block(error)):
                    raise
            # Another program may have made a shared terminal or pipe non-blocking.
            wait_for(((stream.fileno(), READ),), None)

    def finish(self):
        """Remove the transient line: nothing more will be written."""
        self.err.show('')


class _Mute(Writer):
    """Standard error. Failing to write to it is not an error of its own."""

    def _put(self, data):
        try:
            super(_Mute, self)._put(data)
        except StreamBroken:
            pass


def _open_stream(stream):
    """Return the stream, or None if it was closed before Python started (``<&-``)."""
    try:
        os.fstat(stream.fileno())
    except OS_ERRORS as error:
        if error_number(error) == errno.EBADF:
            return None
    except (AttributeError, ValueError):        # None, or a test's object without a descriptor
        pass
    return stream


def _is_terminal(stream):
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _encoding(stream):
    """Return the encoding of a stream, or ``'ascii'`` if there is no such codec."""
    encoding = getattr(stream, 'encoding', None) or 'ascii'
    try:
        codecs.lookup(encoding)
    except LookupError:
        return 'ascii'
    return encoding
