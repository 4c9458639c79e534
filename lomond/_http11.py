"""HTTP/1.1 on the wire: readers of heads and bodies, and the octets of heads and
answers.

The opening handshake and the proxies both use it.

Knows nothing of: upgrades, sockets.
"""

from __future__ import absolute_import, division, unicode_literals

from ._compat import Pattern, integer_types, text_type, to_bytes
from .errors import CriticalProtocolError
from .response import TOKEN_CHARACTERS, escape, is_token

#: Default limits of a header block and of a kept body, in bytes.
HEAD_LIMIT = BODY_LIMIT = 64 * 1024
#: Informational answers that are skipped before the final one.
MOST_INFORMATIONAL = 16

# Most content codings of one body that are decoded; more than one is rare.
_MOST_CODINGS = 4

# Limit of a chunk's size line and of a line of the trailer, in bytes.
_CHUNK_LINE_LIMIT = 4096

_HEAD_END = Pattern(b'\n\r?\n')
_INFORMATIONAL = Pattern(b'HTTP/[^ \r\n]* 1(?!01)[0-9][0-9](?![^ \r\n])')
# Plain digits: int() would also take '+12', '1_2' and ' 12'.
_LENGTH = Pattern('[0-9]{1,18}\\Z')
_CHUNK_SIZE = Pattern(b'[0-9A-Fa-f]{1,15}\\Z')
_BAD_IN_VALUE = Pattern(b'[\x00-\x08\x0a-\x1f\x7f]')

# How other protocols than HTTP/1 begin, each octet as those that it may be.
_ANY = range(256)
_TLS = (0x14, 0x15, 0x16, 0x17), (3,), (0, 1, 2, 3, 4)                  # RFC 8446, 5.1
_HTTP_2 = (0,), _ANY, _ANY, (4, 7), _ANY, (0,), (0,), (0,), (0,)        # RFC 9113, 4.1: SETTINGS, GOAWAY
_PREFACE = (0x50,), (0x52,), (0x49,)                                    # RFC 9113, 3.4: PRI

# RFC 9110, 15; RFC 6585; RFC 7725.
_REASON_PHRASES = {
    101: 'Switching Protocols', 200: 'OK', 201: 'Created', 202: 'Accepted',
    203: 'Non-Authoritative Information', 204: 'No Content', 205: 'Reset Content',
    206: 'Partial Content', 300: 'Multiple Choices', 301: 'Moved Permanently', 302: 'Found',
    303: 'See Other', 304: 'Not Modified', 307: 'Temporary Redirect', 308: 'Permanent Redirect',
    400: 'Bad Request', 401: 'Unauthorized', 402: 'Payment Required', 403: 'Forbidden', 404: 'Not Found',
    405: 'Method Not Allowed', 406: 'Not Acceptable', 407: 'Proxy Authentication Required',
    408: 'Request Timeout', 409: 'Conflict', 410: 'Gone', 411: 'Length Required',
    412: 'Precondition Failed', 413: 'Content Too Large', 414: 'URI Too Long',
    415: 'Unsupported Media Type', 416: 'Range Not Satisfiable', 417: 'Expectation Failed',
    421: 'Misdirected Request', 422: 'Unprocessable Content', 426: 'Upgrade Required',
    428: 'Precondition Required', 429: 'Too Many Requests', 431: 'Request Header Fields Too Large',
    451: 'Unavailable For Legal Reasons', 500: 'Internal Server Error', 501: 'Not Implemented',
    502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout',
    505: 'HTTP Version Not Supported', 511: 'Network Authentication Required'}


class HeadTooLarge(CriticalProtocolError):
    """A header block does not end within the limit."""


class HeadReader(object):
    """Finds the end of a header block; feeding it byte by byte takes linear time.

    Lines may end in a bare LF.  Informational answers (1xx other than 101) are skipped:
    the final one counts (RFC 9110, 15.2).  It must not be fed again after it has
    returned a head, or raised.

    :param limit: octets of the block, its blank line included, that are allowed, and of
        the skipped ones before it
    :param kind: ``'response'`` or ``'request'``: what the first line must look like
    :param tls: text: what to say if TLS comes instead of a response

    .. attribute:: surplus

        bytes that came after the blank line.

    .. attribute:: tls

        the argument; it may be changed until the first bytes come.
    """

    def __init__(self, limit=HEAD_LIMIT, kind='response', tls='the peer speaks TLS'):
        if kind not in ('response', 'request'):
            raise ValueError("kind must be 'response' or 'request', not {!r}".format(kind))
        self.surplus = b''
        self.tls = tls
        self._limit = limit
        self._skipped = 0               # informational answers so far
        self._skipped_size = 0
        self._is_response = kind == 'response'
        self._started = False           # the beginning of the first line has been judged
        self._buffer = bytearray()

    def feed(self, data):
        """Take what has arrived.

        :param data: bytes, bytearray or memoryview
        :returns: the block as bytes, including the blank line; None until it is
            complete
        :raises CriticalProtocolError: as soon as the first line cannot be HTTP, the
            block cannot end within the limit, or there are too many informational
            answers
        """
        buffer = self._buffer
        known = len(buffer)
        buffer += data
        while True:
            if not self._started:
                self._started = self._is_response and buffer[:5] == b'HTTP/' or self._check_start(known)
            match = _HEAD_END.search(buffer, known - 2 if known > 2 else 0)
            end = match.end() if match else len(buffer)
            if self._skipped_size + end > self._limit:
                raise HeadTooLarge('header block is above {} KiB ({} bytes{})'.format(
                    self._limit // 1024, self._limit,
                    ', with the informational answers before it' if self._skipped else ''))
            if not match:
                return None
            if not _INFORMATIONAL.match(buffer):     # no request begins like that
                self.surplus = bytes(buffer[end:])
                return bytes(buffer[:end])
            self._skip(end)
            known = 0

    def _skip(self, size):
        self._skipped += 1
        self._skipped_size += size
        if self._skipped > MOST_INFORMATIONAL:
            raise CriticalProtocolError('more than {} informational answers (1xx) came before the '
                                        'final one'.format(MOST_INFORMATIONAL))
        self._started = False
        del self._buffer[:size]

    def _check_start(self, known):
        """Return True if the first line begins well, False if that is not known yet."""
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
            raise CriticalProtocolError("{} is not HTTP; it begins with '{}', not with {}{}".format(
                'response' if self._is_response else 'request', escape(bytes(buffer[:40]), 32), wanted,
                self._guess() if self._is_response else ''))
        return whole

    def _guess(self):
        """Say what else it seems to be: it is decided on the octets that are there."""
        start = self._buffer
        http_2 = 'the server speaks HTTP/2'
        for form, words in ((_TLS, self.tls), (_HTTP_2, http_2), (_PREFACE, http_2)):
            if all(octet in allowed for octet, allowed in zip(start, form)):
                return '{}{}'.format('; ' if len(start) >= len(form) else '; perhaps ', words)
        return ''


class BodyReader(object):
    """Collects the body of a response (RFC 7230, 3.3.3); it never raises.

    Anything malformed, such as a chunk without a size, ends the body.

    :param response: :class:`Response` the body belongs to
    :param limit: octets of the body that are kept, before and after decoding; when they
        have been read it counts as complete

    .. attribute:: is_complete

        True when nothing more is to be read: Content-Length, the last chunk, the limit
        or the end of the stream is reached, or this response has no body (1xx, 204,
        304).

    .. attribute:: has_surplus

        True when bytes came behind the body's end.
    """

    def __init__(self, response, limit=BODY_LIMIT):
        self.is_complete = False
        self.has_surplus = False
        self._limit = limit
        self._body = bytearray()
        self._left = None               # bytes to the end of the chunk or body, or None
        self._chunk_part = None         # what the next line of a chunked body is, or None
        self._line = bytearray()
        code = response.status_code
        codings = response.get_list('transfer-encoding')
        self._codings = response.get_list('content-encoding') + (
            codings[:-1] if codings and codings[-1].lower() == 'chunked' else codings)
        lengths = set(response.get_list('content-length'))
        if code is not None and (100 <= code < 200 or code in (204, 304)):
            self._left, self.is_complete = 0, True
        elif codings:
            if codings[-1].lower() == 'chunked':
                self._chunk_part, self._left = 'size', 0
        elif len(lengths) == 1 and _LENGTH.match(min(lengths)):
            self._left = int(min(lengths))
            self.is_complete = not self._left

    @property
    def body(self):
        """bytes collected so far, without the chunked framing, and decoded by
        :func:`decode_body`."""
        return decode_body(bytes(self._body), self._codings, self._limit)

    @property
    def is_delimited(self):
        """True if the body's end shows before the end of the stream."""
        return self._left is not None

    @property
    def ended_well(self):
        """True if the body ended where it should, with nothing behind it: the next
        answer can follow on the same connection."""
        return self.is_complete and self._left == 0 and not self._chunk_part and not self.has_surplus

    def feed(self, data):
        """Take what has arrived.

        :param data: bytes, bytearray or memoryview; what lies behind the body's end is
            dropped
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
        self.has_surplus = self.has_surplus or position < len(data)

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
        elif not line:
            self._chunk_part, self.is_complete = None, True


def decode_body(data, codings, limit=BODY_LIMIT):
    """Undo the content codings gzip and deflate (RFC 9110, 8.4.1), as far as they are
    good; never raises.

    What was cut off, or goes wrong in the middle, gives what came before it.  A deflate
    body without zlib's header is decoded, too, because many servers leave it out.

    :param data: bytes
    :param codings: list of text: the codings in the order in which they were applied
    :param limit: most bytes to make, in each step
    :returns: bytes; ``data`` itself if one of the codings is unknown, if there are more
        than 4, or if nothing can be decoded
    """
    codings = [coding.lower() for coding in codings if coding.lower() != 'identity']
    if len(codings) > _MOST_CODINGS or not set(codings) <= set(('gzip', 'x-gzip', 'deflate')):
        return data
    decoded = data
    for coding in reversed(codings):
        result = _inflate(decoded, limit)
        if result is None and coding == 'deflate':
            result = _inflate(decoded, limit, is_raw=True)
        if result is None:
            return data
        decoded = result
    return decoded


def _inflate(data, limit, is_raw=False):
    """Return what the good part of the data inflates to; None if it has none.

    Without ``is_raw`` it has the header of zlib or gzip, and may have several members.
    Raw data has to be good as a whole: almost any text begins like it.
    """
    import zlib
    if len(data) < 2:                   # zlib looks at two octets of a header
        return None
    parts = []
    # A call that meets an error makes nothing: then once more, octet by octet.
    for step in (len(data),) if is_raw else (len(data), 1):
        parts, size, inflater = [], 0, None
        try:
            for start in range(0, len(data), step):
                rest = data[start:start + step]
                while rest and size < limit:
                    inflater = inflater or zlib.decompressobj(-15 if is_raw else 47)
                    parts.append(inflater.decompress(rest, limit - size))
                    size += len(parts[-1])
                    rest = b'' if is_raw else inflater.unused_data
                    if rest:
                        inflater = None
            return b''.join(parts)
        except zlib.error:
            pass
    return None if is_raw else b''.join(parts) or None


def check_header(name, value):
    """Refuse a header that would break, or add to, the message it is part of.

    :param name: bytes: a token (RFC 7230, 3.2.6)
    :param value: bytes: no control characters but the tab
    :raises TypeError: unless both are bytes
    :raises ValueError: names the header and what is wrong; a value is never shown, as
        it may be a secret, nor is what follows the good part of a name
    """
    for what, data in (('name', name), ('value', value)):
        if not isinstance(data, bytes):
            raise TypeError('header {} must be bytes, not {}'.format(what, type(data).__name__))
    if not is_token(name):
        good = len(name) - len(name.lstrip(TOKEN_CHARACTERS))
        raise ValueError("header name '{}' {}; letters, digits and !#$%&'*+-.^_`|~ are allowed".format(escape(
            name[:good]), "goes on with '{}'".format(escape(name[good:good + 1])) if name else 'is empty'))
    bad = _BAD_IN_VALUE.search(value)
    if bad:
        raise ValueError("header '{}' has '{}' in its value (offset {}); it must not".format(
            escape(name), escape(bad.group()), bad.start()))


def encode_answer(status, headers=(), body=b'', is_head=False):
    """Make an answer of a server.

    ``Content-Length`` and ``Connection: close`` are added unless they are given or the
    status does not allow them.

    :param status: int, 100-599
    :param headers: pairs (name, value) of text or bytes, sent in this order
    :param body: bytes
    :param is_head: true for the answer to ``HEAD``, which comes without its body
    :returns: bytes
    :raises TypeError: for a header that is neither
    :raises ValueError: for another status, or a header that :func:`check_header`
        refuses
    """
    headers = complete_headers(status, headers, body)
    head = encode_head('HTTP/1.1 {} {}'.format(status, reason_phrase(status)).encode('ascii'), headers)
    return head if is_head else head + body


def reason_phrase(status):
    """Return the words for a status, as text; empty if they are not known."""
    return _REASON_PHRASES.get(status, '')


def complete_headers(status, headers, body):
    """Return the headers of an answer; arguments and errors of :func:`encode_answer`.

    :returns: a list of pairs of bytes
    """
    if not isinstance(status, integer_types) or not 100 <= status <= 599:
        raise ValueError('status is {!r}; a number from 100 to 599 is allowed'.format(status))
    pairs = [(to_octets('header name', name), to_octets('value of header', value)) for name, value in headers]
    for name, value in pairs:
        check_header(name, value)
    given = set(name.lower() for name, _ in pairs)
    if status >= 200:
        if status not in (204, 304) and not given & {b'content-length', b'transfer-encoding'}:
            pairs.append((b'Content-Length', text_type(len(body)).encode('ascii')))
        if b'connection' not in given:
            pairs.append((b'Connection', b'close'))
    return pairs


def encode_head(first_line, pairs):
    pairs = [(name, to_octets('value of header', value)) for name, value in pairs]
    for pair in pairs:
        check_header(*pair)
    return join_head(first_line, pairs)


def join_head(first_line, pairs):
    """Make a head of pairs of bytes that were checked."""
    return b'\r\n'.join([first_line] + [name + b': ' + value for name, value in pairs]) + b'\r\n\r\n'


def are_values(values):
    """Return True if :func:`check_header` would take all of these (bytes) as values."""
    return _BAD_IN_VALUE.search(b' '.join(values)) is None


def to_octets(what, value, encoding='utf-8'):
    if isinstance(value, text_type):
        return value.encode(encoding)
    if isinstance(value, bytes):
        return value
    raise TypeError('{} must be text or bytes, not {}'.format(what, type(value).__name__))
