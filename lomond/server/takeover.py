"""Take a connection over from the WSGI server that has accepted it.

A server lets go of a connection whose client has ended its stream, so that is what it
is given: one end of a socket pair (the *sink*), put under the number of its own
descriptor.  The real connection goes on under a copy of that descriptor.  What the
server still writes (the head of an answer, an error page) falls into the other end of
the pair, which goes away with the request.

With TLS, keys and buffers are in the ``ssl.SSLSocket``, so the object itself is taken:
its methods do nothing any longer for the server, and our stream calls those of the
class.

Knows nothing of: WebSockets, HTTP.
"""

from __future__ import absolute_import, division, unicode_literals

import errno
import os
import socket
import sys

from .._compat import IS_WINDOWS, OS_ERRORS, adopt_descriptor, replace_descriptor, set_cloexec, would_block
from ..errors import UpgradeUnavailable
from ..network.stream import PlainStream
from ..network.tls_stream import TakenTlsStream, as_stream

#: Where the other end of the sink is kept.
SINK = 'lomond.sink'
#: Where servers keep the socket itself; the first one counts.
_SOCKETS = ('lomond.socket', 'werkzeug.socket', 'gunicorn.socket', 'gunicorn.sock')
#: Attributes that lead from ``wsgi.input`` to the socket below it.
_STEPS = ('rfile', 'raw', 'stream', '_stream', '_read')
_MOST_STEPS = 6


class _Sink(object):
    """The other end of the pair; it is closed with the last reference to it."""

    def __init__(self, sock):
        self.sock = sock

    def __del__(self):
        self.sock.close()


_sinks = []                             # of uWSGI, which writes after the request is over


class Found(object):
    """The socket of a request.

    :ivar sock: a socket of any kind; for uWSGI, an object that has only ``fileno``
    :ivar reader: the buffer between the socket and ``wsgi.input``, or None
    :ivar is_late: True if the server writes to it after the request is over
    """

    __slots__ = ('sock', 'reader', 'is_late')

    def __init__(self, sock, reader=None, is_late=False):
        self.sock, self.reader, self.is_late = sock, reader, is_late

    @property
    def ssl(self):
        """The ssl module, if this is a TLS socket; else None."""
        ssl = sys.modules.get('ssl')    # if it was never imported, there is no TLS
        return ssl if ssl is not None and isinstance(self.sock, ssl.SSLSocket) else None


class _Number(object):
    """A socket of which only the descriptor is known."""

    family = socket.AF_INET

    def __init__(self, fd):
        self._fd = fd

    def fileno(self):
        return self._fd


def find_socket(environ):
    """Find the socket of a request.

    :param environ: the WSGI environ
    :returns: a :class:`Found`
    :raises UpgradeUnavailable: if the server keeps it to itself, or this connection
        would stop all others of the process
    """
    found = _find(environ)
    if found is None or not _is_descriptor(found.sock):
        name = environ.get('SERVER_SOFTWARE')
        name = name.split('/')[0].strip() if isinstance(name, str) else ''
        raise UpgradeUnavailable(
            '{} keeps the socket to itself; run the application under gunicorn, gevent, uWSGI, werkzeug or '
            'cheroot, or beside it with lomond.server', name or 'this server')
    if _is_of_gevent(found.sock) and not is_patched('select'):
        raise UpgradeUnavailable('gevent serves this request, but select is not patched; call '
                                 'gevent.monkey.patch_all() first')
    return found


def _is_of_gevent(sock):
    return type(sock).__module__.split('.')[0] == 'gevent'


def is_patched(module):
    """Return True if gevent or eventlet has replaced a module of the standard library.
    """
    gevent, eventlet = sys.modules.get('gevent.monkey'), sys.modules.get('eventlet.patcher')
    return bool(gevent is not None and gevent.is_module_patched(module)
                or eventlet is not None and eventlet.is_monkey_patched(module))


def _find(environ):
    for name in _SOCKETS:
        if environ.get(name) is not None:
            return Found(environ[name])
    if hasattr(environ.get('eventlet.input'), 'get_socket'):
        return Found(environ['eventlet.input'].get_socket())
    uwsgi = sys.modules.get('uwsgi')
    if uwsgi is not None and 'uwsgi.version' in environ:
        return Found(_Number(uwsgi.connection_fd()), is_late=True)
    return _follow(environ.get('wsgi.input'), _MOST_STEPS, None)


def _follow(source, left, reader):
    """Follow the way from ``wsgi.input`` down to the socket; None if it ends."""
    sock = _get(source, '_sock')
    if sock is not None:
        return Found(sock, reader)
    if left:
        for name in _STEPS:
            below = _get(source, name)
            if name == '_read':
                below = _get(below, '__self__')
            if below is not None and below is not source:
                found = _follow(below, left - 1, source if name == 'raw' else reader)
                if found is not None:
                    return found
    return None


def _get(source, name):
    try:
        return getattr(source, name, None)
    except Exception:                   # a property that fails, or a file that was closed
        return None


def _is_descriptor(sock):
    try:
        return sock.fileno() >= 0
    except Exception:                   # as above
        return False


def take_over(found, environ):
    """Take a connection; the server is left with the sink.

    :param found: from :func:`find_socket`
    :param environ: the environ of the request, which gets the other end of the sink
    :returns: ``(stream, data)``: the stream that goes on, and what the server has read
        ahead
    :raises OSError: if no descriptor is free; then nothing has changed
    """
    if found.ssl is not None:
        stream = TakenTlsStream(found.sock, _Shell(found.sock, _logs_epipe(found, environ)).give_back)
    elif IS_WINDOWS:
        stream = BorrowedStream(found.sock)
    else:
        stream = as_stream(_put_sink_below(found, environ))
    return stream, _read_ahead(found)


def _put_sink_below(found, environ):
    fd = found.sock.fileno()
    sweep()
    theirs, sink = socket.socketpair()
    ours = None
    try:
        sink.shutdown(socket.SHUT_WR)
        sink.setblocking(False)
        ours = os.dup(fd)
        set_cloexec(ours)
        replace_descriptor(fd, theirs.fileno())
    except BaseException:
        sink.close()
        if ours is not None:
            os.close(ours)
        raise
    finally:
        theirs.close()
    if found.is_late:
        _sinks.append(sink)
    else:
        environ[SINK] = _Sink(sink)
    return adopt_descriptor(ours, getattr(found.sock, 'family', socket.AF_INET))


def sweep():
    """Close the sinks of which the server has closed its end."""
    for sink in list(_sinks):
        try:
            while sink.recv(65536):
                pass
        except OS_ERRORS as error:
            if would_block(error):
                continue
        _sinks.remove(sink)
        sink.close()


def _read_ahead(found):
    """Return what the server has read behind the head; the end of its stream follows.
    """
    try:
        return bytes(found.reader.peek(65536)) if hasattr(found.reader, 'peek') else b''
    except Exception:                   # a buffer of another kind
        return b''


# -- TLS: the object is ours, the server has its shell

def _logs_epipe(found, environ):
    """True of eventlet, and of wsgiref, whose 2.7 does."""
    software = environ.get('SERVER_SOFTWARE')
    return (type(found.sock).__module__.split('.')[0] == 'eventlet'
            or isinstance(software, str) and software.startswith('WSGIServer/'))


class _Shell(object):
    """Lets the methods that the server calls do nothing, until the connection is over.

    :param sock: the ``ssl.SSLSocket``
    :param logs_epipe: if true, writing to it succeeds
    """

    def __init__(self, sock, logs_epipe=False):
        self._sock = sock
        self._was_closed = []           # by the server, which thinks that it has done it
        broken = _swallow if logs_epipe else _broken
        for name, method in (('recv', _end), ('recv_into', _nothing), ('send', broken), ('sendall', broken),
                             ('unwrap', _ignore), ('detach', _no_descriptor), ('shutdown', _ignore),
                             ('settimeout', _ignore), ('setblocking', _ignore), ('close', self._note_close)):
            setattr(sock, name, method)
        # gevent.pywsgi reads from, and closes, the socket inside the object, if that is
        # true; cheroot closes it in any case (on 2.7; 3.x has none there).
        self._inner = getattr(sock, '_sock', None)
        if self._inner is not None:
            sock._sock = _Unseen(self._inner)

    def _note_close(self):
        self._was_closed.append(True)

    def give_back(self):
        """End the connection, and let the server close what is left, if it has not.

        The descriptor stays a good one until then: some servers still poll it.
        """
        sock, self._sock = self._sock, None
        if self._inner is not None:
            sock._sock = self._inner
        try:
            theirs, sink = socket.socketpair()
            sink.close()
            replace_descriptor(sock.fileno(), theirs.fileno())
            theirs.close()
        except OS_ERRORS:               # no descriptor is free
            self._was_closed.append(True)
        del sock.close, sock.detach, sock.shutdown
        if self._was_closed:
            sock.close()


class _Unseen(object):
    """An object that is false and does not close, and else is like another one."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)

    def close(self):
        """Do nothing."""

    def __bool__(self):
        return False

    __nonzero__ = __bool__              # 2.7


def _end(*args):
    return b''


def _nothing(*args):
    return 0


def _ignore(*args):
    return None


def _no_descriptor(*args):
    return -1


def _swallow(data, *args):
    return len(data)


def _broken(*args):
    raise socket.error(errno.EPIPE, os.strerror(errno.EPIPE))


# -- where a descriptor of a socket cannot be replaced

class BorrowedStream(PlainStream):
    """A stream over the server's own socket, which is given back at the end."""

    def __init__(self, sock):
        self._timeout = sock.gettimeout()
        super(BorrowedStream, self).__init__(sock)

    def close(self):
        """End the connection; the server closes the socket."""
        self.shutdown()
        try:
            self.sock.settimeout(self._timeout)
        except OS_ERRORS:
            pass
