"""The standard streams: bytes, text of any characters, terminals, pipes that break.

It must not know what is written.  A stream may be missing (``None``, or a closed descriptor), and
a text may not fit its encoding; neither is a reason to fail.
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

#: What must not reach a terminal: C0, DEL and C1, line and paragraph separators, and what turns
#: the direction of writing, so that text could hide or pose as other text.
_CONTROLS = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]')
_NAMES = {'\n': '\\n', '\r': '\\r', '\t': '\\t'}
_NOT_PRINTABLE = re.compile(b'[^\x20-\x7e]')


def escape_text(text):
    """Text without control characters: they become ``\\n``, ``\\x1b``, ``\\u2028``."""
    return _CONTROLS.sub(_escape_character, text)


def _escape_character(match):
    found = match.group()
    code = ord(found)
    return _NAMES.get(found) or ('\\x{:02x}' if code < 256 else '\\u{:04x}').format(code)


def escape_bytes(data):
    """bytes as text: what is not printable ASCII becomes ``\\x00``."""
    escaped = _NOT_PRINTABLE.sub(
        lambda match: '\\x{:02x}'.format(ord(match.group())).encode('ascii'), data)
    return escaped.decode('ascii')


class StreamBroken(Exception):
    """Nothing can be written any more.

    :ivar is_pipe: True when the reader has left, which is not worth a word
    """

    def __init__(self, error):
        super(StreamBroken, self).__init__(error_text(error))
        self.is_pipe = error_number(error) in (errno.EPIPE, errno.EINVAL, errno.ECONNRESET)


class Writer(object):
    """Standard output or standard error; from any thread, but not from a signal handler.

    A terminal gets its own encoding, with escapes for what that lacks; anything else UTF-8.

    It writes past the buffers of Python, which would be written when Python ends: to a pipe that
    nobody reads that takes for ever, to one that is broken it fails.

    :param stream: as in ``sys``; None: what is written goes nowhere
    """

    def __init__(self, stream):
        self._stream = stream
        self._lock = threading.Lock()
        self._write = _unbuffered(stream)
        self.is_terminal = _is_terminal(stream)
        self._encoding = _encoding(stream) if self.is_terminal else 'utf-8'
        #: A transient line at the end of the screen, text; see :meth:`show`.
        self._shown = ''

    def write_line(self, text):
        """Write text and a line end.

        :raises StreamBroken: it cannot be written
        """
        self.write_bytes((text + '\n').encode(self._encoding, 'backslashreplace'))

    def write_bytes(self, data):
        """Write bytes as they are.

        :raises StreamBroken: they cannot be written
        """
        with self._lock:
            self._erase()
            self._put(data)

    def show(self, text):
        """Show a line on a terminal until something else is written; empty: none."""
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
            if not count:       # whoever opened it wants no waiting: select() takes no file on Windows
                time.sleep(0.01)
                continue
            view = view[count:]


def _unbuffered(stream):
    """A function that writes bytes, maybe not all, and returns how many."""
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
            self.input_encoding = 'utf-8'       # LANG=C tells nothing of what the keyboard sends

    def read(self, size=64 * 1024):
        """Bytes of standard input as soon as there are some; empty: its end.

        Not by the buffered stream: a thread that waits in there holds its lock, and Python, when it
        ends, dies of that.
        """
        stream = self._stdin
        if stream is None:
            return b''
        raw = getattr(getattr(stream, 'buffer', None), 'raw', None)
        while True:
            try:
                # A Windows console is not read by its descriptor, but by this.
                return (raw.read(size) or b'') if raw is not None else os.read(stream.fileno(), size)
            except (ValueError,) + OS_ERRORS as error:
                if not was_interrupted(error):
                    raise

    def finish(self):
        """Nothing more will be written."""
        self.err.show('')


class _Mute(Writer):
    """Standard error: when nobody hears what goes wrong, that is no further error."""

    def _put(self, data):
        try:
            super(_Mute, self)._put(data)
        except StreamBroken:
            pass


def _open_stream(stream):
    """The stream; None when it was closed before Python began (``<&-``)."""
    try:
        os.fstat(stream.fileno())
    except OS_ERRORS as error:
        if error_number(error) == errno.EBADF:
            return None
    except (AttributeError, ValueError):        # None; or an object of a test, without descriptor
        pass
    return stream


def _is_terminal(stream):
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _encoding(stream):
    """Name of a codec that exists."""
    encoding = getattr(stream, 'encoding', None) or 'ascii'
    try:
        codecs.lookup(encoding)
    except LookupError:
        return 'ascii'
    return encoding
