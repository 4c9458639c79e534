"""What a server logs: to ``lomond.server``.

``logging`` is imported when the server is made: without a free descriptor, nothing can
be imported.

Knows nothing of: who logs.
"""

from __future__ import absolute_import, division, unicode_literals

import sys

from .._compat import native

NAME = 'lomond.server'


def get_logger():
    """Return the logger of servers."""
    import logging
    return logging.getLogger(NAME)


def log_failure(what, *args, **kwargs):
    """Log the exception that is being handled, with its traceback, at ERROR.

    If logging is not configured, it goes to standard error.

    :param what: a format, for ``args``
    :param stream: where it goes instead of standard error
    """
    import logging
    logger = get_logger()
    stream = kwargs.get('stream')
    if _has_handler(logger) or (stream is None and hasattr(logging, 'lastResort')):
        logger.error(what, *args, exc_info=True)
        return
    stream = sys.stderr if stream is None else stream
    if stream is not None:              # 2.7 would only say that there is no handler
        import traceback
        stream.write(str('{}\n{}').format(native(what % args), traceback.format_exc()))
        stream.flush()                  # that of uWSGI is buffered


def _has_handler(logger):
    while logger is not None:
        if logger.handlers:
            return True
        logger = logger.parent if logger.propagate else None
    return False
