"""The names of ws4py 0.6.0: porting a program is a change of import.

The tree of modules is the one of ws4py; everything in it is thin, over
``lomond.websocket``, ``lomond.group`` and ``lomond.wsgi``.  A framework is
imported only by the module named after it.

Knows nothing of: frames, how a connection comes about.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import native
from ..constants import WS_KEY  # noqa: F401 - a public name

#: The versions of the protocol; those of lomond speak 13 only.
WS_VERSION = (8, 13)


def get_logger():
    """Return the logger of this package, ``lomond.ws4py``."""
    import logging
    return logging.getLogger(__name__)


def configure_logger(stdout=True, filepath=None, level=20):
    """Log to standard output, to a file, or both.

    :param stdout: if true, to standard output
    :param filepath: path of a file; above 10 MiB another one is begun, and three old
        ones are kept.  None for no file
    :param level: the least level that is logged, ``logging.INFO`` by default
    :returns: the logger, ``lomond.ws4py``
    """
    import logging.handlers
    import sys
    logger = get_logger()
    logger.setLevel(level)
    handlers = []
    if filepath:
        handlers.append(logging.handlers.RotatingFileHandler(
            filepath, maxBytes=10 * 1024 * 1024, backupCount=3))
    if stdout:
        handlers.append(logging.StreamHandler(sys.stdout))
    for handler in handlers:
        handler.setLevel(level)
        handler.setFormatter(logging.Formatter(native('[%(asctime)s] %(levelname)s %(message)s')))
        logger.addHandler(handler)
    return logger


def format_addresses(ws):
    """Return both addresses of a connection, for log lines.

    :param ws: a :class:`~lomond.ws4py.websocket.WebSocket`
    """
    local, peer = ws.local_address, ws.peer_address
    if isinstance(local, tuple) and isinstance(peer, tuple):
        return native('[Local => {}:{} | Remote => {}:{}]'.format(*(local + peer)))
    return native("[Bound to '{}']".format(local))
