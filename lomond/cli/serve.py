"""``lomond serve``: an echo server to experiment with, or a chat.

It is a :class:`lomond.server.Server` that reports its connections.

Knows nothing of: the protocol.
"""

from __future__ import absolute_import, division, unicode_literals

import itertools
import os
import socket

from .._compat import OS_ERRORS, error_number, error_text, to_text
from ..errors import WebSocketError
from ..server import Server
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


class Echo(object):
    """Sends each message back, and reports the connections.

    :param tell: called with each line of text
    """

    title = 'echo server'
    options = {'compress': True, 'origins': '*', 'max_message_size': 64 * 1024 * 1024}

    def __init__(self, tell):
        self._tell = tell
        self._numbers = itertools.count(1)

    def handle(self, websocket):
        """Serve one connection."""
        number = next(self._numbers)
        self._tell('{}: {} from {}{}'.format(
            number, websocket.request.target, websocket.address[0],
            ', compressed' if websocket.supports_compression else ''))
        how = 'disconnected'
        for event in websocket:
            if event.name in ('text', 'binary'):
                try:
                    if event.name == 'text':
                        websocket.send_text(event.text)
                    else:
                        websocket.send_binary(event.data)
                except WebSocketError:      # it has gone, or does not read; the loop says so
                    pass
            elif event.name in ('closing', 'closed') and event.code is not None:
                how = 'closed with {} {}'.format(event.code, event.reason)
        self._tell('{}: {}'.format(number, how))


def run(console, options):
    """Serve until a signal arrives, and return the exit status."""
    def tell(text):
        if not options.quiet:
            console.err.write_line(escape_text(text))

    context = None
    if options.tls is not None:
        try:
            context = make_context(options.tls)
        except (ValueError,) + OS_ERRORS as error:
            options.fail('--tls: {}: {}'.format(':'.join(
                path.decode('utf-8') if isinstance(path, bytes) else path for path in options.tls),
                error_text(error)))
    stop = Stop()
    if options.chat:
        from .chat import Chat as Service
    else:
        Service = Echo
    service = Service(tell)
    try:
        server = Server(service.handle, options.host, options.port, context, **service.options)
    except (ValueError,) + OS_ERRORS as error:
        console.err.write_line('lomond: cannot listen on {} port {}: {}'.format(
            escape_text(options.host), options.port, os_error_text(error)))
        return FAILED
    url = server.url
    if context is not None:         # the certificate is for a name
        url = url.replace('//127.0.0.1:', '//localhost:').replace('//[::1]:', '//localhost:')
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
                console.err.write_line('{} listening at {} (press Ctrl-C to stop)'.format(
                    service.title, url if service.title == Echo.title else 'http' + url[2:]))
                stop.wait()
    except KeyboardInterrupt:       # a second signal
        pass
    finally:
        end_warnings()
    return CLEAN


def os_error_text(error):
    """Return what the system said, without the address, which the caller names."""
    number = error_number(error)
    if isinstance(error, socket.gaierror):          # its numbers are not those of the system
        return error_text(error).rpartition(': ')[2]
    return os.strerror(number) if number else error_text(error)
