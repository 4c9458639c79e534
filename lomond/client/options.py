"""Validation of the arguments of the ``WebSocket`` constructor and of ``connect()``.

A value of the wrong type raises ``TypeError``, a value that cannot be used
``ValueError``; the message names it, unless it is a secret.  Nothing is opened here.

Knows nothing of: connections.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import encode_utf8, fspath, integer_types, text_type, to_text
from .._http11 import check_header
from ..auth import basic
from ..compression import Deflate
from ..network.poller import ENDLESS
from ..network.url import parse_host
from ..response import escape, is_token
from .cookies import cookie_text, is_jar

#: Headers that only the opening handshake may set (RFC 6455, 4.1).
_HANDSHAKE_HEADERS = (b'upgrade', b'connection')


def check_protocols(protocols):
    """Return a list of the subprotocols, in order."""
    if protocols is None:
        return []
    if not isinstance(protocols, (list, tuple)):
        raise TypeError('protocols must be a list or tuple of text, not {}'.format(
            type(protocols).__name__))
    checked = []
    for protocol in protocols:
        protocol = to_text(protocol)
        if not isinstance(protocol, text_type):
            raise TypeError('a protocol must be text, not {}'.format(type(protocol).__name__))
        _check_protocol(protocol, checked)
        checked.append(protocol)
    return checked


def _check_protocol(protocol, offered):
    if not is_token(protocol.encode('utf-8', 'replace')):
        raise ValueError("protocol '{}' is not a token: letters, digits and !#$%&'*+-.^_`|~ "
                         'are allowed'.format(escape(protocol)))
    if protocol in offered:
        raise ValueError("protocol '{}' is listed twice; each may be offered once".format(
            escape(protocol)))


def split_protocols(value, offered):
    """Return the subprotocols in a value of ``Sec-WebSocket-Protocol`` (bytes).

    :param offered: list of those that are offered already
    :raises ValueError: if one is not a token, or is offered already
    """
    found = []
    for part in value.split(b','):
        protocol = part.strip(b' \t').decode('latin-1')
        _check_protocol(protocol, offered + found)
        found.append(protocol)
    return found


def _header_octets(what, value):
    """Return text as UTF-8."""
    try:
        return encode_utf8(value)
    except UnicodeError:
        pass                            # raised below: the codec's own error contains the value
    raise ValueError('{} has half a surrogate pair; it cannot be encoded as UTF-8'.format(what))


def check_text_header(what, name, value):
    """Return text that may be the value of a header; None stays None."""
    if value is None:
        return None
    value = to_text(value)
    if not isinstance(value, text_type):
        raise TypeError('{} must be text, not {}'.format(what, type(value).__name__))
    check_header(name, _header_octets(what, value))
    return value


def header_pairs(headers, what='headers'):
    """Return pairs of bytes, in order, from a dict or a list of pairs of text or bytes.

    :param what: the name of the parameter, for messages
    :raises TypeError: if something has the wrong type
    :raises ValueError: for a bad name or value, for headers of the opening handshake,
        and for ``Proxy-Authorization``
    """
    if headers is None:
        return []
    if isinstance(headers, dict):
        headers = headers.items()
    elif not isinstance(headers, (list, tuple)):        # the check would exhaust an iterator
        raise TypeError('{} must be a dict, a list of pairs or a callable, not {}'.format(
            what, type(headers).__name__))
    pairs = []
    for pair in headers:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise TypeError('{} must be pairs of name and value'.format(what))
        pair = tuple(_header_octets('a header', part) if isinstance(part, text_type) else part
                     for part in pair)
        for part in pair:
            if not isinstance(part, bytes):
                raise TypeError('a header name and its value must be text or bytes, not {}'.format(
                    type(part).__name__))
        check_header(*pair)
        check_header_is_free(pair[0], what)
        pairs.append(pair)
    return pairs


def check_header_is_free(name, what):
    """Raise ValueError for a header of the opening handshake, or for a proxy only.

    :param what: the parameter, or method, that would set it
    """
    lower = name.lower()
    if lower in _HANDSHAKE_HEADERS or lower.startswith(b'sec-websocket-'):
        raise ValueError("header '{}' belongs to the opening handshake; it cannot be given in {}".format(
            lower.decode('ascii'), what))
    if lower == b'proxy-authorization' and what != 'proxy_headers':
        raise ValueError("header 'proxy-authorization' would reach the server; put user and password "
                         "into the proxy's URL, or the header into proxy_headers")


def check_headers(headers, what='headers'):
    """Return a callable, or anything that :func:`header_pairs` takes, as given."""
    if not callable(headers):
        header_pairs(headers, what)
    return headers


def evaluate_headers(headers, what='headers'):
    """Return pairs of bytes from what :func:`check_headers` has accepted."""
    return header_pairs(headers() if callable(headers) else headers, what)


def check_auth(auth):
    """Return ``(user, password)``, an object like DigestAuth, or None."""
    if auth is None or hasattr(auth, 'answer'):
        return auth
    if not isinstance(auth, (tuple, list)) or len(auth) != 2:
        raise TypeError('auth must be (user, password) or a DigestAuth, not {}'.format(
            type(auth).__name__))
    user, password = to_text(auth[0]), to_text(auth[1])
    basic(user, password)
    return user, password


def check_cookies(cookies):
    """Return a dict of text, a text, a cookie jar, or None."""
    if cookies is None or is_jar(cookies):
        return cookies
    if isinstance(cookies, dict):
        for name, value in cookies.items():
            for what, part in (('name', name), ('value', value)):
                part = to_text(part)
                if not isinstance(part, text_type):
                    raise TypeError('the {} of a cookie must be text, not {}'.format(
                        what, type(part).__name__))
                if any(char in part for char in (';', ',' if what == 'name' else ';')) or (
                        what == 'name' and (not part or '=' in part)):
                    raise ValueError("the {} of cookie '{}' contains a character that would "
                                     'end it'.format(what, escape(to_text(name))))
        header = cookie_text(cookies)
    else:
        header = to_text(cookies)
        if not isinstance(header, text_type):
            raise TypeError('cookies must be a dict, text or a CookieJar, not {}'.format(
                type(cookies).__name__))
    check_header(b'Cookie', _header_octets('cookies', header))
    return cookies


def check_compress(compress):
    """Return the :class:`~lomond.compression.Deflate` to offer, or None."""
    if isinstance(compress, Deflate):
        return compress
    if compress is True or compress is False or compress is None:
        return Deflate() if compress else None
    if isinstance(compress, integer_types):         # 0.3.4 took any true value
        return Deflate() if compress else None
    raise TypeError('compress must be True, False or a Deflate, not {}'.format(
        type(compress).__name__))


def check_size(what, value, least):
    """Return an int of at least ``least``, or None."""
    if value is None or value.__class__ is int and value >= least:
        return value
    check_number(what, value, integer_types)
    if value < least:
        raise ValueError('{} is {}; {} or more is allowed'.format(what, value, least))
    return value


def check_number(what, value, types=integer_types + (float,)):
    """Return a number that is neither a bool nor nan."""
    if isinstance(value, bool) or not isinstance(value, types):
        raise TypeError('{} must be {}, not {}'.format(
            what, 'an integer' if types is integer_types else 'a number', type(value).__name__))
    if value != value:
        raise ValueError('{} is nan; a number of seconds is allowed'.format(what))
    return value


def check_time(what, value):
    """Return seconds, 0 or more; None stays None, and is what no clock can hold."""
    if value is None or check_number(what, value) >= ENDLESS:
        return None
    if value < 0:
        raise ValueError('{} is {}; 0 or more seconds, or None, are allowed'.format(
            what, max(value, -ENDLESS)))        # 3.11 writes no more than 4,300 digits
    return value


def check_poll(poll):
    """Return seconds, above 0 and not more than a clock can hold."""
    if poll.__class__ is not float:
        check_number('poll', poll)
    if not 0 < poll < ENDLESS:
        problem = 'too large' if poll > 0 else max(poll, -ENDLESS)
        raise ValueError('poll is {}; seconds above 0 and below 9e9 (292 years) are allowed'.format(problem))
    return poll


def check_settings(poll=5.0, ping_rate=30.0, ping_timeout=None, auto_pong=True, close_timeout=30.0,
                   connect_timeout=30.0, send_timeout=30.0):
    """Check the settings of ``connect()``.

    :returns: keywords for a session; those that version 0.3.4 did not have are left out
        if they are the defaults, because its subclasses do not know them
    """
    settings = dict(poll=check_poll(poll), auto_pong=auto_pong)
    for name, value in (('ping_rate', ping_rate), ('ping_timeout', ping_timeout),
                        ('close_timeout', close_timeout), ('connect_timeout', connect_timeout),
                        ('send_timeout', send_timeout)):
        if value is not None and not (value.__class__ is float and 0 <= value < ENDLESS):
            value = check_time(name, value)
        if value != 30.0 or name not in ('connect_timeout', 'send_timeout'):
            settings[name] = value
    return settings


def check_steps(session, names):
    """Make sure that a session, or its class, can be driven by a loop of the caller."""
    for name in names:
        if not hasattr(session, name):
            raise TypeError('session_class must have start, waits, next_deadline, process and is_over; '
                            '{!r} has no {}'.format(session, name))


def check_source_address(address):
    """Return ``(host, port)``, or None."""
    if address is None:
        return None
    if not isinstance(address, (tuple, list)) or len(address) != 2:
        raise TypeError('source_address must be (host, port), not {!r}'.format(address))
    host, port = to_text(address[0]), address[1]
    if not isinstance(host, text_type):
        raise TypeError('the host of source_address must be text, not {}'.format(
            type(host).__name__))
    check_number('the port of source_address', port, integer_types)
    if not 0 <= port <= 65535:
        raise ValueError('the port of source_address is {}; 0 to 65535 is allowed'.format(port))
    return host, port


def check_socket_options(options):
    """Return a list of ``(level, name, value)``, or None."""
    if options is None:
        return None
    if not isinstance(options, (list, tuple)):
        raise TypeError('socket_options must be a list of (level, name, value), not {}'.format(
            type(options).__name__))
    for option in options:
        if not isinstance(option, (tuple, list)) or len(option) != 3:
            raise ValueError('socket option {!r} is not (level, name, value)'.format(option))
        for number in option[:2]:
            check_number('level and name of a socket option', number, integer_types)
        if isinstance(option[2], bool) or not isinstance(option[2], integer_types + (bytes,)):
            raise TypeError('the value of a socket option must be an int or bytes, not {}'.format(
                type(option[2]).__name__))
    return [tuple(option) for option in options]


def check_host(what, host):
    """Return the host as text, as given, or None."""
    if host is None:
        return None
    parse_host(host, what)
    return to_text(host)


def check_path(what, path):
    """Return a path without NUL, as text or bytes, or None."""
    if path is None:
        return None
    path = fspath(path)
    if not isinstance(path, (text_type, bytes)):
        raise TypeError('{} must be a path, not {}'.format(what, type(path).__name__))
    if not path:
        raise ValueError('{} is empty; a path is needed'.format(what))
    if (b'\0' if isinstance(path, bytes) else '\0') in path:
        raise ValueError('{} contains a NUL character'.format(what))
    return path
