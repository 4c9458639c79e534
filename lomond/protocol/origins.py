"""Which web pages may open a connection (RFC 6455, 10.2): the value of ``Origin``.

A browser names the origin of the page with each request; a program can name any, or
none, so a request without one is not judged here.

Knows nothing of: requests, answers.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import Pattern, text_type, to_text
from ..response import escape

# RFC 6454, 6.1 and RFC 9110, 7.2; in lower case, and without a comma, which joins
# repeated headers.
_AUTHORITY = "([a-z0-9._~!$&'()*+;=%-]+|\\[[0-9a-f:.]+\\])(?::([0-9]{"
_ORIGIN = Pattern('([a-z][a-z0-9+.-]*)://' + _AUTHORITY + '1,5}))?\\Z')
_HOST = Pattern(_AUTHORITY + '0,5}))?\\Z')
_PORTS = {'http': 80, 'ws': 80, 'https': 443, 'wss': 443}


def check_origins(origins):
    """Check what a program gave as ``origins``.

    :param origins: None for those whose host and port are those of ``Host``; ``'*'``
        for any; a list, tuple or set of text for exactly these, in any case
    :returns: None, ``'*'`` or a frozenset, for :func:`is_allowed`
    :raises TypeError: for anything else
    :raises ValueError: for an entry that is not an origin
    """
    origins = to_text(origins)
    if origins is None or origins == '*':
        return origins
    if not isinstance(origins, (list, tuple, set, frozenset)):
        raise TypeError("origins must be None, '*' or a list of text, not {!r}".format(origins))
    allowed = set()
    for entry in origins:
        entry = to_text(entry)
        if not isinstance(entry, text_type):
            raise TypeError('an origin must be text, not {}'.format(type(entry).__name__))
        origin = entry.lower()
        if '*' in origin:               # it would match nothing
            raise ValueError("origin '{}' has a wildcard; each entry is one origin, and only origins='*' "
                             'allows any'.format(escape(entry)))
        match = _ORIGIN.match(origin)
        if match is None and origin != 'null':
            raise ValueError("origin '{}' is not like 'https://app.example' or 'http://localhost:8080' "
                             "(scheme, host and perhaps a port, no path), nor 'null'".format(escape(entry)))
        allowed.add(origin)
        if match and match.group(3):            # browsers leave out the default port
            scheme, host, port = match.groups()
            if int(port) > 65535:
                raise ValueError("origin '{}' has port {}; 0 to 65535 is allowed".format(escape(entry), port))
            if _PORTS.get(scheme) == int(port):
                allowed.add('{}://{}'.format(scheme, host))
    return frozenset(allowed)


def is_allowed(origins, lines, host):
    """Return True if a request may open a connection.

    :param origins: from :func:`check_origins`
    :param lines: list of text: the values of its ``Origin`` headers
    :param host: text: the value of its ``Host`` header
    """
    if origins == '*' or not lines:
        return True
    if len(lines) > 1:
        return False
    origin = lines[0].lower()
    if origins is not None:
        return origin in origins
    found, wanted = _ORIGIN.match(origin), _HOST.match(host.lower())
    if not (found and wanted):
        return False
    # The scheme counts for nothing else: TLS may end at a proxy.
    default = _PORTS.get(found.group(1))
    ports = [int(match.group(match.re.groups) or default or -1) for match in (found, wanted)]
    return found.group(2) == wanted.group(1) and ports[0] == ports[1] != -1
