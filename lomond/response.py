"""HTTP/1.1 messages as values: heads, the reader that finds their end, the reader of bodies.

It must not know what an upgrade is: the handshake and the proxies both stand on it.  The
octets are the peer's: only :class:`HeadReader` may refuse them, all else takes them as they are.
"""

from __future__ import absolute_import, division, unicode_literals

from ._compat import BYTES_LIKE, Pattern, native, text_type, to_bytes, to_text
from .errors import CriticalProtocolError

#: Octets of a header block, and of a kept body, unless the caller says otherwise.
HEAD_LIMIT = BODY_LIMIT = 64 * 1024

#: What a token is made of (RFC 7230, 3.2.6: tchar).
TOKEN_CHARACTERS = (b"!#$%&'*+-.^_`|~0123456789"
                    b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz')

#: One such character, in a regular expression.
TCHAR = "[!#-'*+.0-9A-Z^-z|~-]"         # spelt out it takes 2 ms more to compile

# A chunk's size line, a line of the trailer: nobody sends a longer one in good faith.
_CHUNK_LINE_LIMIT = 4096

_HEAD_END = Pattern(b'\n\r?\n')
# A number as everybody writes it.  int() would also take '+101', '1_01', ' 101' and, before it
# refuses (4300 digits, from 3.11 on), spend quadratic time on long ones.
_STATUS_CODE = Pattern('(?:0|[1-9][0-9]{0,8})\\Z')
_LENGTH = Pattern('[0-9]{1,18}\\Z')
_CHUNK_SIZE = Pattern(b'[0-9A-Fa-f]{1,15}\\Z')
_QUOTES = Pattern('(?s)\\\\.|"')


def is_token(data):
    """True when ``data`` (bytes) is a token: one octet or more, all of them tchar (RFC 7230, 3.2.6)."""
    return bool(data) and not data.translate(None, TOKEN_CHARACTERS)


def escape(value, limit=80):
    """What a peer sent, as ASCII text for a message: control characters escaped, cut.

    :param value: text or bytes
    :param limit: characters that are shown at most; a longer value ends in ``...``
    :returns: text
    """
    if not isinstance(value, text_type):
        value = to_bytes(value[:limit + 1]).decode('latin-1')
    shown = value[:limit].encode('unicode_escape').decode('ascii')
    return shown + '...' if len(value) > limit else shown


def split_list(value):
    """The stripped elements of a comma-separated list (RFC 7230, 7); empty ones are left out.

    A comma between double quotes separates nothing; a quote that is never closed is a
    character like others.

    :param value: text of a header
    :returns: list of text
    """
    pieces = value.split(',')
    parts, start = [], None             # start: the piece in which a quoted string began
    for index, piece in enumerate(pieces):
        # In a quoted string a backslash takes the meaning from the character behind it.
        turns = sum(mark == '"' for mark in _QUOTES.findall(piece)) % 2
        if start is None and turns:
            start = index
        elif start is None:
            parts.append(piece)
        elif turns:
            parts.append(','.join(pieces[start:index + 1]))
            start = None
    if start is not None:
        parts.extend(pieces[start:])
    return [part for part in (part.strip(' \t') for part in parts) if part]


class Head(object):
    """A header block: what :class:`Response` and :class:`Request` share.

    Whatever the octets are, it can be made of them.

    :param header_data: bytes or bytearray: the first line, the header lines, a blank line;
        what follows the blank line is not looked at
    :raises TypeError: when it is neither

    .. attribute:: raw

        The bytes it was made of.

    .. attribute:: first_line

        The request line or status line as text.

    .. attribute:: headers

        dict of text: lower-case names; values stripped, those of repeated headers joined
        with ``,``, those of folded lines with a blank; octets that are not ASCII are U+FFFD.

    .. attribute:: defect

        What is wrong with the header lines, in words; None when nothing is (RFC 7230, 3.2.4).
    """

    def __init__(self, header_data):
        if not isinstance(header_data, BYTES_LIKE):
            raise TypeError('header data must be bytes or bytearray, not {!r}'.format(type(header_data)))
        self.raw = to_bytes(header_data)
        self.defect = None
        lines = [line[:-1] if line.endswith(b'\r') else line for line in self.raw.split(b'\n')]
        self.first_line = _to_text(lines[0])
        self._lines = self._parse_lines(lines[1:])
        joined = {}
        for name, value in self._lines:
            joined.setdefault(name, []).append(_to_text(value))
        self.headers = dict((name, ','.join(values)) for name, values in joined.items())

    def _parse_lines(self, lines):
        """List of (lower-case name as text, value as bytes), one for each header line."""
        found = []
        parts = None        # of the value of the newest header; None: what a folded line belongs to was bad
        for line in lines:
            if not line:
                break
            line = line.replace(b'\r', b' ')       # RFC 9112, 2.2: a bare CR is a blank
            if line[:1] in (b' ', b'\t'):
                if parts is None:
                    self.defect = self.defect or 'folded line without a header'
                else:
                    parts.append(line.strip(b' \t'))
                continue
            name, colon, value = line.partition(b':')
            if not (colon and is_token(name)):
                self.defect = self.defect or "header line '{}' has no name before a colon".format(
                    escape(name, 40))
            name = _to_text(name.strip(b' \t')).lower()
            parts = [value.strip(b' \t')] if name and colon else None
            if parts:
                found.append((name, parts))
        return [(name, b' '.join(parts).strip(b' ')) for name, parts in found]

    def get(self, name, default=None):
        """The value of a header.

        :param name: text, in any case
        :param default: what to return when there is no such header
        :returns: text, repeats joined with ``,``
        :raises TypeError: unless the name is text
        """
        return self.headers.get(self._key(name), default)

    def get_list(self, name):
        """The elements of a header that is a comma-separated list.

        :param name: text, in any case
        :returns: list of stripped text, ``[]`` when the header is missing or blank
        :raises TypeError: unless the name is text
        """
        return split_list(self.get(name, ''))

    def header_lines(self, name):
        """The values of a header, one for each line in which it came (Set-Cookie, WWW-Authenticate).

        :param name: text, in any case
        :returns: list of text; each character is an octet (latin-1), so nothing is lost
        :raises TypeError: unless the name is text
        """
        key = self._key(name)
        return [value.decode('latin-1') for found, value in self._lines if found == key]

    def _key(self, name):
        name = to_text(name)
        if not isinstance(name, text_type):
            raise TypeError('header name must be text, not {!r}'.format(name))
        return name.lower()

    def __repr__(self):
        return native('<{} {}>'.format(type(self).__name__.lower(), escape(self.first_line, 200).strip()))


class Response(Head):
    """The head of an HTTP response (RFC 7230, 3), and the body of one that is a refusal.

    Nothing changes it once it is handed out, so any thread may read it.

    >>> Response(b'HTTP/1.1 404 Not Found\\r\\nServer: x\\r\\n\\r\\n').status_code
    404

    :param header_data: bytes or bytearray: status line, header lines, a blank line; whatever
        they are, nothing is raised
    :raises TypeError: when it is neither

    .. attribute:: http_ver

        text such as ``HTTP/1.1``.

    .. attribute:: status_code

        int; None when it is no number in plain decimal digits.

    .. attribute:: status

        The reason phrase, text.

    .. attribute:: body

        bytes: up to 64 KiB of a refusal's body (:class:`~lomond.events.Rejected`); empty otherwise.
    """

    def __init__(self, header_data):
        super(Response, self).__init__(header_data)
        parts = self.first_line.split(' ', 2) + ['', '']
        self.http_ver = parts[0]
        self.status_code = int(parts[1]) if _STATUS_CODE.match(parts[1]) else None
        self.status = parts[2].strip(' \t')
        self.body = b''

class Request(Head):
    """The head of an HTTP request (RFC 7230, 3), as a server of :mod:`lomond.testing` has got it.

    Nothing changes it once it is handed out, so any thread may read it.

    :param header_data: bytes or bytearray: request line, header lines, a blank line; whatever
        they are, nothing is raised
    :raises TypeError: when it is neither

    .. attribute:: method

        text such as ``GET``; empty, like the other two, when the request line has not three parts.

    .. attribute:: target

        text such as ``/path?query``.

    .. attribute:: http_ver

        text such as ``HTTP/1.1``.
    """

    def __init__(self, header_data):
        super(Request, self).__init__(header_data)
        parts = self.first_line.split(' ')
        if len(parts) != 3:
            parts = ['', '', '']
        self.method, self.target, self.http_ver = parts

def _to_text(data):
    return data.decode('ascii', 'replace')


class HeadReader(object):
    """Finds the end of a header block in what arrives; feeding it octet by octet is linear.

    Lines may end in a bare LF.  After it has returned a head, or raised, it is not to be fed again.

    :param limit: octets of the block, its blank line included, that are allowed
    :param kind: ``'response'`` or ``'request'``: what the first line must look like

    .. attribute:: surplus

        bytes that came behind the blank line.
    """

    def __init__(self, limit=HEAD_LIMIT, kind='response'):
        if kind not in ('response', 'request'):
            raise ValueError("kind must be 'response' or 'request', not {!r}".format(kind))
        self.surplus = b''
        self._limit = limit
        self._is_response = kind == 'response'
        self._started = False           # the beginning of the first line has been judged
        self._buffer = bytearray()

    def feed(self, data):
        """Take what has arrived.

        :param data: bytes, bytearray or memoryview
        :returns: the block as bytes, blank line included; None while it is not whole
        :raises CriticalProtocolError: as soon as the first line can be no HTTP, or the block
            cannot end within the limit
        """
        buffer = self._buffer
        known = len(buffer)
        buffer += data
        if not self._started:
            self._started = self._check_start(known)
        match = _HEAD_END.search(buffer, max(known - 2, 0))
        end = match.end() if match else len(buffer)
        if end > self._limit:
            raise CriticalProtocolError('header block is above {} KiB ({} bytes)'.format(
                self._limit // 1024, self._limit))
        if not match:
            return None
        self.surplus = bytes(buffer[end:])
        return bytes(buffer[:end])

    def _check_start(self, known):
        """True when the first line begins as it must, False when that cannot be told yet."""
        buffer = self._buffer
        if self._is_response:
            good = b'HTTP/'.startswith(bytes(buffer[:5]))
            whole, wanted = len(buffer) >= 5, 'HTTP/'
        else:
            space = buffer.find(b' ', known)
            method = bytes(buffer[known:space] if space >= 0 else buffer[known:])
            good = not method.translate(None, TOKEN_CHARACTERS) and space != 0
            whole, wanted = space >= 0, 'a method and a blank'
        if not good:
            raise CriticalProtocolError("{} begins with '{}', not with {}: no HTTP".format(
                'response' if self._is_response else 'request', escape(bytes(buffer[:40]), 32), wanted))
        return whole


class BodyReader(object):
    """Collects the body of a response (RFC 7230, 3.3.3); it takes whatever comes and never raises.

    What cannot be understood, a chunk without a size for instance, ends the body there.

    :param response: :class:`Response` the body belongs to
    :param limit: octets of the body that are kept; when they are reached it counts as complete

    .. attribute:: is_complete

        True when nothing more is to be read: Content-Length, the last chunk, the limit or the
        end of the stream is reached, or this response has no body (1xx, 204, 304).
    """

    def __init__(self, response, limit=BODY_LIMIT):
        self.is_complete = False
        self._limit = limit
        self._body = bytearray()
        self._left = None               # octets to the end of chunk or body; None: it ends with the stream
        self._chunk_part = None         # None: not chunked; else what the next line is
        self._line = bytearray()
        code = response.status_code
        codings = response.get_list('transfer-encoding')
        lengths = set(response.get_list('content-length'))
        if code is not None and (100 <= code < 200 or code in (204, 304)):
            self.is_complete = True
        elif codings:
            if codings[-1].lower() == 'chunked':
                self._chunk_part, self._left = 'size', 0
        elif len(lengths) == 1 and _LENGTH.match(min(lengths)):
            self._left = int(min(lengths))
            self.is_complete = not self._left

    @property
    def body(self):
        """bytes collected so far, free of the marks of chunks."""
        return bytes(self._body)

    def feed(self, data):
        """Take what has arrived.

        :param data: bytes, bytearray or memoryview; what lies behind the body's end is dropped
        """
        data = to_bytes(data)
        position = 0
        while position < len(data) and not self.is_complete:
            if self._chunk_part and not self._left:
                newline = data.find(b'\n', position)
                end = newline + 1 or len(data)
                self._line += data[position:end]
                if newline >= 0:
                    line, self._line = bytes(self._line).strip(), bytearray()
                    self._take_chunk_line(line)
                elif len(self._line) > _CHUNK_LINE_LIMIT:
                    self.is_complete = True
            else:
                end = len(data) if self._left is None else min(len(data), position + self._left)
                self._body += data[position:min(end, position + self._limit - len(self._body))]
                if self._left is not None:
                    self._left -= end - position
                self.is_complete = (len(self._body) >= self._limit
                                    or (self._left == 0 and not self._chunk_part))
            position = end

    def _take_chunk_line(self, line):
        """One line of the chunked coding (RFC 7230, 4.1)."""
        if self._chunk_part == 'size':
            size = line.partition(b';')[0].strip()
            if _CHUNK_SIZE.match(size):
                self._left = int(size, 16)
                self._chunk_part = 'end' if self._left else 'trailer'
            else:
                self.is_complete = True
        elif self._chunk_part == 'end':
            self._chunk_part = 'size'
            self.is_complete = bool(line)
        else:
            self.is_complete = not line
