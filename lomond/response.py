"""HTTP/1.1 heads as values: responses and requests as a peer sent them.

Nothing here refuses what a peer sent; :attr:`Head.defect` says what is wrong with it.

Knows nothing of: upgrades, proxies, and how the bytes arrive.
"""

from __future__ import absolute_import, division, unicode_literals

from ._compat import BYTES_LIKE, Pattern, native, text_type, to_bytes, to_text

#: What a token is made of (RFC 7230, 3.2.6: tchar).
TOKEN_CHARACTERS = (b"!#$%&'*+-.^_`|~0123456789"
                    b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz')

#: One such character, in a regular expression.
TCHAR = "[!#-'*+.0-9A-Z^-z|~-]"         # spelt out it takes 2 ms more to compile

# A number as everybody writes it.  int() would also take '+101', '1_01', ' 101' and,
# before it refuses (4300 digits, from 3.11 on), spend quadratic time on long ones.
_STATUS_CODE = Pattern('(?:0|[1-9][0-9]{0,8})\\Z')
_ABSOLUTE = Pattern('(?i)https?://[^/]*')
_FIRST_WORD = Pattern(b'[^ \\t]*[ \\t]?')
_QUOTES = Pattern('(?s)\\\\.|"')
_TOKEN = Pattern(TCHAR + '+\\Z')
# Names as answers have them, so that they need not be looked at.
_COMMON = dict((name, name.lower()) for name in (
    'Upgrade', 'Connection', 'Sec-WebSocket-Accept', 'Sec-WebSocket-Protocol', 'Sec-WebSocket-Extensions',
    'Date', 'Server', 'upgrade', 'connection', 'sec-websocket-accept', 'date', 'server'))


_BLANKS = ('', ' ', '\t')


def is_token(data):
    """Return True if ``data`` (bytes) is a token (RFC 7230, 3.2.6)."""
    return bool(data) and not data.translate(None, TOKEN_CHARACTERS)


def escape(value, limit=80):
    """Make ASCII text of what a peer sent, for a message: escaped and cut.

    :param value: text or bytes
    :param limit: show at most this many characters; a longer value ends in ``...``
    :returns: text
    """
    if not isinstance(value, text_type):
        value = to_bytes(value[:limit + 1]).decode('latin-1')
    shown = value[:limit].encode('unicode_escape').decode('ascii')
    return shown + '...' if len(value) > limit else shown


def split_list(value):
    """Split a comma-separated list (RFC 7230, 7) into stripped, non-empty elements.

    A comma between double quotes does not separate; a quote that is never closed is an
    ordinary character.

    :param value: text of a header
    :returns: list of text
    """
    if ',' not in value:
        value = value.strip(' \t')
        return [value] if value else []
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
    """A header block: the common base of :class:`Response` and :class:`Request`.

    Any bytes are accepted.

    :param header_data: bytes or bytearray: the first line, the header lines, a blank
        line; what follows the blank line is not looked at
    :raises TypeError: when it is neither

    .. attribute:: raw

        The bytes it was made of.

    .. attribute:: first_line

        The request line or status line as text.

    .. attribute:: headers

        dict of text: lower-case names; values stripped, those of repeated headers
        joined with ``,``, those of folded lines with a blank; octets that are not ASCII
        are U+FFFD.

    .. attribute:: defect

        What is wrong with the header lines, in words; None when nothing is (RFC 7230,
        3.2.4).
    """

    def __init__(self, header_data):
        if not isinstance(header_data, BYTES_LIKE):
            raise TypeError('header data must be bytes or bytearray, not {!r}'.format(type(header_data)))
        self.raw = to_bytes(header_data)
        self.defect = None
        if not self._read_good():
            self._read_any()

    # Both set ``_lines``, too: (lower-case name, value), text, for each header line.
    # Each character of a value is an octet (latin-1).

    def _read_good(self):
        """Read a head without fault, as most are; return True if it is one."""
        try:
            lines = self.raw.decode('ascii').split('\r\n')
        except UnicodeDecodeError:
            return False
        self.first_line = lines[0]
        self._lines, self.headers = found, headers = [], {}
        is_repeated = False
        if '\n' in self.first_line or '\r' in self.first_line:
            return False
        for line in lines[1:]:
            if '\n' in line or '\r' in line:
                return False
            if not line:
                break
            name, colon, value = line.partition(':')
            lower = _COMMON.get(name)
            if lower is None:
                if not _TOKEN.match(name):
                    return False
                lower = name.lower()
            if not colon:
                return False
            value = value[1:] if value[:1] == ' ' else value
            if value[:1] in _BLANKS or value[-1:] in _BLANKS:
                value = value.strip(' \t')
            found += (lower, value),
            is_repeated = is_repeated or lower in headers
            headers[lower] = value
        if is_repeated:
            self.headers = _join(found)
        return True

    def _read_any(self):
        lines = [line[:-1] if line.endswith(b'\r') else line for line in self.raw.split(b'\n')]
        self.first_line = _to_text(lines[0])
        found = self._parse_lines(lines[1:])
        self._lines = [(name, value.decode('latin-1')) for name, value in found]
        self.headers = _join((name, _to_text(value)) for name, value in found)

    def _parse_lines(self, lines):
        """Return (lower-case name as text, value as bytes) for each header line."""
        found = []
        parts = None        # of the newest header's value; None after a bad header line
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
                shown = _FIRST_WORD.match(name).group()         # what follows may be a secret
                self.defect = self.defect or "header line '{}{}' has no name before a colon".format(
                    escape(shown, 40), '...' if shown != name else '')
            name = _to_text(name.strip(b' \t')).lower()
            parts = [value.strip(b' \t')] if name and colon else None
            if parts:
                found.append((name, parts))
        return [(name, b' '.join(parts).strip(b' ')) for name, parts in found]

    def get(self, name, default=None):
        """The value of a header.

        :param name: text, in any case
        :param default: what to return if the header is missing
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
        """The values of a header, one for each line in which it came (Set-Cookie,
        WWW-Authenticate).

        :param name: text, in any case
        :returns: list of text; each character is an octet (latin-1), so nothing is lost
        :raises TypeError: unless the name is text
        """
        key = self._key(name)
        return [value for found, value in self._lines if found == key]

    def _key(self, name):
        name = to_text(name)
        if not isinstance(name, text_type):
            raise TypeError('header name must be text, not {!r}'.format(name))
        return name.lower()

    def __repr__(self):
        return native('<{} {}>'.format(type(self).__name__.lower(), escape(self.first_line, 200).strip()))


class Response(Head):
    """The head of an HTTP response (RFC 7230, 3), and the body of one that is a
    refusal.

    Nothing changes it once it is handed out, so any thread may read it.

    >>> Response(b'HTTP/1.1 404 Not Found\\r\\nServer: x\\r\\n\\r\\n').status_code
    404

    :param header_data: bytes or bytearray: status line, header lines, a blank line;
        whatever they are, nothing is raised
    :raises TypeError: when it is neither

    .. attribute:: http_ver

        text such as ``HTTP/1.1``.

    .. attribute:: status_code

        int; None if it is not a number in plain decimal digits.

    .. attribute:: status

        The reason phrase, text.

    .. attribute:: body

        bytes: up to 64 KiB of a refusal's body (:class:`~lomond.events.Rejected`, or
        :class:`~lomond.events.ConnectFail` after a proxy's refusal), decoded if it came
        as gzip or deflate; empty otherwise.
    """

    def __init__(self, header_data):
        super(Response, self).__init__(header_data)
        parts = self.first_line.split(' ', 2) + ['', '']
        self.http_ver = parts[0]
        self.status_code = int(parts[1]) if _STATUS_CODE.match(parts[1]) else None
        self.status = parts[2].strip(' \t')
        self.body = b''


class Request(Head):
    """The head of an HTTP request (RFC 7230, 3), as a server has got it.

    Nothing but the program (``context``) changes it once it is handed out, so any
    thread may read it.

    :param header_data: bytes or bytearray: request line, header lines, a blank line;
        whatever they are, nothing is raised
    :raises TypeError: when it is neither

    .. attribute:: method

        text such as ``GET``; empty, like the other two, when the request line has not
        three parts.

    .. attribute:: target

        text such as ``/path?query``.

    .. attribute:: path

        text: the target without its query; percent-encoded, as it came.

    .. attribute:: query

        text: what follows the first ``?`` of the target, as it came; empty if there is
        none.

    .. attribute:: http_ver

        text such as ``HTTP/1.1``.

    .. attribute:: context

        A dict for the program: what its ``on_request`` has found out for its handler,
        such as who has logged in.
    """

    def __init__(self, header_data):
        super(Request, self).__init__(header_data)
        parts = self.first_line.split(' ')
        if len(parts) != 3:
            parts = ['', '', '']
        self.method, self.target, self.http_ver = parts
        path, _, self.query = self.target.partition('?')
        absolute = _ABSOLUTE.match(path)        # RFC 9112, 3.2.2: to be taken from anybody
        self.path = path if absolute is None else path[absolute.end():] or '/'
        self.context = {}


def _join(pairs):
    joined = {}
    for name, value in pairs:
        joined.setdefault(name, []).append(value)
    return dict((name, ','.join(values)) for name, values in joined.items())


def _to_text(data):
    return data.decode('ascii', 'replace')
