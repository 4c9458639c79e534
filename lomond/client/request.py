"""The opening request of a client, as bytes.

Knows nothing of: sockets, sessions, what answers lead to.
"""

from __future__ import absolute_import, division, unicode_literals

from ..auth import basic
from ..network.url import parse_url
from ..protocol.handshake import encode_request
from .cookies import cookie_header
from .options import header_pairs

#: Headers that are for the first server only (besides ``auth`` and ``cookies``).
_FOR_ONE_ORIGIN = frozenset((b'authorization', b'cookie', b'host'))


def prepare_request(websocket, state):
    """Ask ``url`` and ``headers`` where they are callables, once for each connection."""
    if state.target is None:
        websocket.first_target = None       # of the connection before; this one may raise
        state.target = websocket.first_target = parse_url(websocket.url())
        state.shown_url = state.target.masked
    if state.pairs is None:
        headers = websocket.headers
        state.pairs = header_pairs(headers() if callable(headers) else headers)


def encode_handshake(websocket, state):
    """The bytes of the request (RFC 6455, 4.1)."""
    prepare_request(websocket, state)
    target = state.target
    added, given = websocket.added_headers, state.pairs
    if state.is_astray:
        added, given = [[pair for pair in pairs if pair[0].lower() not in _FOR_ONE_ORIGIN]
                        for pairs in (added, given)]
    authorization = _authorization(websocket, state)
    # One Authorization: of add_header, else of headers, each time the last.
    secrets = [pair for pairs in (given, added) for pair in pairs
               if pair[0].lower() == b'authorization']
    pairs = [pair for pair in list(added) + list(given)
             if pair[0].lower() != b'authorization' or pair is secrets[-1]]
    named = set(name.lower() for name, _ in pairs)
    if state.answer is not None:
        pairs = [pair for pair in pairs if pair[0].lower() != b'authorization']
        pairs.append((b'Authorization', state.answer.encode('latin-1')))
    elif authorization is not None and b'authorization' not in named:
        pairs.append((b'Authorization', authorization.encode('ascii')))
    if b'cookie' not in named and not (state.is_astray and not hasattr(
            websocket.cookies, 'add_cookie_header')):
        cookie = cookie_header(websocket.cookies, target)
        if cookie:
            pairs.append((b'Cookie', cookie))
    deflate = websocket.deflate
    return encode_request(
        target.resource, target.host_header, state.key, pairs, websocket.agent,
        websocket.protocols, None if deflate is None else deflate.offer(), websocket.origin)


def _authorization(websocket, state):
    """Of ``auth``, else of the URL; never for another origin."""
    if state.is_astray:
        return None
    if isinstance(websocket.auth, tuple):
        return basic(*websocket.auth)
    # A redirect within the origin names no user, and loses none.
    userinfo = websocket.first_target.userinfo
    if userinfo is not None and websocket.auth is None:
        return basic(*userinfo)
    return None
