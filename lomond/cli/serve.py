"""``lomond serve``: an echo server to experiment with.

It is a :class:`lomond.testing.Server` that reports its connections.

Knows nothing of: the protocol.
"""

from __future__ import absolute_import, division, unicode_literals

from .._compat import OS_ERRORS, error_text, to_text
from ..testing import Server, echo
from . import CLEAN, FAILED
from .console import escape_text
from .interrupts import Interrupts, Stop


def make_context(cert):
    """Make a TLS context from ``(certificate,)`` or ``(certificate, key)``.

    :raises OSError, ValueError: if they cannot be read or used
    """
    import ssl
    context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
    if hasattr(context, 'minimum_version'):
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    else:
        context.options |= ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    context.load_cert_chain(*cert)
    return context


def show_warnings(console):
    """Write the warnings of the server: descriptors or threads have run out.

    :returns: a function that ends this
    """
    import logging

    class Warnings(logging.Handler):
        def emit(self, record):
            console.err.write_line('lomond: ' + escape_text(to_text(record.getMessage())))
    logger, handler = logging.getLogger('lomond'), Warnings(logging.WARNING)
    logger.addHandler(handler)
    return lambda: logger.removeHandler(handler)


def run(console, options):
    """Serve until a signal arrives, and return the exit status."""
    def tell(text):
        if not options.quiet:
            console.err.write_line(escape_text(text))

    def handle(connection):
        number = connection.number
        tell('{}: {} from {}{}'.format(
            number, connection.request.target, connection.address[0],
            ', compressed' if connection.supports_compression else ''))
        try:
            echo(connection)
        finally:
            code = connection.close_code
            tell('{}: {}'.format(number, 'disconnected' if code is None else 'closed with {} {}'.format(
                code, connection.close_reason)))

    context = None
    if options.tls is not None:
        try:
            context = make_context(options.tls)
        except (ValueError,) + OS_ERRORS as error:
            options.fail('--tls: {}: {}'.format(':'.join(
                path.decode('utf-8') if isinstance(path, bytes) else path for path in options.tls),
                error_text(error)))
    stop = Stop()
    try:
        server = Server(handle, host=options.host, port=options.port, ssl_context=context,
                        raise_errors=False, record_limit=0)
    except (ValueError,) + OS_ERRORS as error:
        console.err.write_line('lomond: cannot listen on {} port {}: {}'.format(
            escape_text(options.host), options.port, error_text(error)))
        return FAILED
    end_warnings = show_warnings(console)
    try:
        with Interrupts(stop.set, stop):
            try:
                server.start()
            except Exception as error:      # out of threads or descriptors
                server.stop()
                console.err.write_line('lomond: cannot serve: {}'.format(error_text(error)))
                return FAILED
            with server:
                console.err.write_line('echo server listening at {} (press Ctrl-C to stop)'.format(
                    server.url))
                stop.wait()
    except KeyboardInterrupt:       # a second signal
        pass
    finally:
        end_warnings()
    return CLEAN
