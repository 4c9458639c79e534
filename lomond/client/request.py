"""The opening request of a client, as bytes.

Knows nothing of: sockets, sessions, what an answer leads to.
"""

from __future__ import absolute_import, division, unicode_literals

from ..auth import basic
from ..network.url import parse_url
from ..protocol.handshake import REPLACEABLE, encode_request
from .cookies import cookie_header, is_jar
from .options import evaluate_headers

#: Headers that only the first origin may see (besides ``auth`` and ``cookies``).
_FOR_ONE_ORIGIN = frozenset((b'authorization', b'cookie', b'host'))


def prepare_request(endpoint, attempt):
    """Call ``url`` and ``headers`` if they are callables, once per connection.

    :param Endpoint endpoint: the options
    :param Attempt attempt: gets ``target`` and ``pairs``
    """
    if attempt.target is None:
        attempt.first_target = None         # that of the previous connection; url() may raise
        attempt.set_first_target(parse_url(endpoint.url()))
    if attempt.pairs is None:
        attempt.pairs = [] if endpoint.headers is None else evaluate_headers(endpoint.headers)


def encode_handshake(endpoint, attempt):
    """Return the request as bytes (RFC 6455, 4.1)."""
    if attempt.target is None or attempt.pairs is None:
        prepare_request(endpoint, attempt)
    target = attempt.target
    pairs = []
    if (endpoint.added_headers or attempt.pairs or attempt.answer or endpoint.auth is not None
            or attempt.first_target.userinfo is not None):
        pairs = _with_one_authorization(endpoint, attempt)
    if endpoint.cookies is not None and not any(name.lower() == b'cookie' for name, _ in pairs):
        cookie = _cookie(endpoint, attempt)
        if cookie:
            pairs.append((b'Cookie', cookie))
    deflate = endpoint.deflate
    return encode_request(
        target.resource, target.host_header, attempt.key, pairs, endpoint.agent,
        endpoint.offered_protocols(), None if deflate is None else deflate.offer(), endpoint.origin)


def _with_one_authorization(endpoint, attempt):
    """The caller's headers, with at most one ``Authorization``.

    In order of precedence: the answer to a challenge, ``add_header``, ``headers`` (of
    each the last one), ``auth``, the URL.  Likewise, a Host, User-Agent or Origin of
    ``add_header`` wins over one of ``headers``.
    """
    added, given = endpoint.added_headers, attempt.pairs
    if attempt.left_origin:
        added, given = [[pair for pair in pairs if pair[0].lower() not in _FOR_ONE_ORIGIN]
                        for pairs in (added, given)]
    replaced = set(REPLACEABLE).intersection(pair[0].lower() for pair in added)
    given = [pair for pair in given if pair[0].lower() not in replaced]
    own = [pair for pairs in (given, added) for pair in pairs if _is_authorization(pair)]
    kept = own[-1] if own and attempt.answer is None else None
    pairs = [pair for pair in added + given if pair is kept or not _is_authorization(pair)]
    if kept is None:
        value = attempt.answer or _authorization(endpoint, attempt)
        if value is not None:
            pairs.append((b'Authorization', value.encode('latin-1')))
    return pairs


def _is_authorization(pair):
    return pair[0].lower() == b'authorization'


def _authorization(endpoint, attempt):
    """Return the value from ``auth``, else from the URL; None for another origin."""
    if attempt.left_origin:
        return None
    if isinstance(endpoint.auth, tuple):
        return basic(*endpoint.auth)
    # The first URL: a redirect within the origin names no user, but keeps the
    # credentials.
    userinfo = attempt.first_target.userinfo
    if userinfo is not None and endpoint.auth is None:
        return basic(*userinfo)
    return None


def _cookie(endpoint, attempt):
    # A jar knows which cookies belong to which origin; a dict or a text does not.
    if attempt.left_origin and not is_jar(endpoint.cookies):
        return None
    return cookie_header(endpoint.cookies, attempt.target)


def drops_credentials(endpoint, attempt):
    """Return True if a redirect to another origin made us keep back a secret."""
    if not attempt.left_origin:
        return False
    names = set(name.lower() for name, _ in endpoint.added_headers + attempt.pairs)
    return bool(
        endpoint.auth is not None or attempt.first_target.userinfo or endpoint.ssl_cert is not None
        or endpoint.cookies and not is_jar(endpoint.cookies) or names & {b'authorization', b'cookie'})
