"""lomond.wsgi under WSGI servers of others: each, inside the request and detached, plain and with TLS.

``tests/real/servers/wsgi_app.py`` is the application; the servers are installed by ``install.py`` into the
environments ``wsgi`` and ``wsgi-2.7``, or LOMOND_REAL_WSGI names a Python that has them.
"""

from __future__ import absolute_import, division, unicode_literals

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest
from support.paths import CHECKOUT

from lomond import WebSocket

HERE = os.path.dirname(os.path.abspath(__file__))
SERVERS = os.path.join(HERE, 'servers')
#: The kind of server, and the module that it needs.
KINDS = [('wsgiref', None), ('wsgiref threads', None), ('werkzeug', 'werkzeug'), ('flask', 'flask'),
         ('gunicorn sync', 'gunicorn'), ('gunicorn gthread', 'gunicorn'), ('gunicorn gevent', 'gevent'),
         ('gevent', 'gevent'), ('eventlet', 'eventlet'), ('cheroot', 'cheroot'), ('cherrypy', 'cherrypy'),
         ('bottle', 'bottle'), ('django', 'django'), ('uwsgi', 'uwsgi')]
#: Those that are tried on 2.7 as well.
ON_2 = ('wsgiref', 'wsgiref threads', 'werkzeug', 'gunicorn sync', 'gunicorn gthread', 'gunicorn gevent',
        'gevent', 'cheroot', 'cherrypy')
WITH_TLS = ('wsgiref', 'werkzeug', 'flask', 'gunicorn sync', 'gunicorn gthread', 'gunicorn gevent', 'gevent',
            'eventlet', 'cheroot', 'cherrypy')
#: The three, and the Python that they run on.
ROWS = [row + (version,) for version in (3, 2) for row in KINDS if version == 3 or row[0] in ON_2]
#: Those whose SIGTERM ends the process as Python does, so that clients hear of it.
SAY_GOODBYE = ('gunicorn sync', 'gunicorn gthread', 'gunicorn gevent', 'cherrypy', 'uwsgi')
#: What no log may have.
NOISE = ('EPIPE', 'Broken pipe', 'BrokenPipe', 'Bad file descriptor', 'reset by peer', 'ConnectionReset',
         'Error on request', 'Exception happened')


#: What cheroot says on 2.7 when the client of a page leaves without the goodbye of TLS.
AFTER_A_PAGE = re.compile(r'(?ms)^(socket\.error 1|Exception in thread CP Server)\b.*?'
                          r'^(SSLError: .* unexpected eof while reading .*?|error: \[Errno 0\] Error)$')


def find_python(module, version=3):
    """Return a Python of a major version that has a module; skip the test otherwise."""
    code = 'import sys, six, certifi, {}'.format(module or 'sys')
    if module == 'uwsgi':               # a program, which brings its own Python
        code = 'import os, sys, six, certifi; os.stat(os.path.join(sys.prefix, "bin", "uwsgi"))'
    folder = 'uwsgi' if module == 'uwsgi' else 'wsgi' if version == 3 else 'wsgi-2.7'
    code += '; assert sys.version_info[0] == {}'.format(version)
    for python in (os.path.join(CHECKOUT, '.real', 'venvs', folder, 'bin', 'python'),
                   os.environ.get('LOMOND_REAL_WSGI'),
                   sys.executable):
        if python and os.path.exists(python) and not subprocess.call(
                [python, '-c', code], stderr=subprocess.PIPE):
            return python
    pytest.skip('{} is not installed; see tests/real/install.py'.format(module))


def is_listened_on(port):
    """Whether it is; a connection that says nothing would be a line in some logs."""
    with open('/proc/net/tcp') as table:
        rows = [line.split() for line in table]
    return any(row[1].endswith(':%04X' % port) and row[3] == '0A' for row in rows)


class Running(object):
    """A server in a process of its own."""

    def __init__(self, kind, module, how, tls=(), version=3):
        python = find_python(module, version)
        with contextlib.closing(socket.socket()) as sock:
            sock.bind(('127.0.0.1', 0))
            self.port = sock.getsockname()[1]
        self.scheme = 'wss' if tls else 'ws'
        environ = dict(os.environ, WSGI_DETACH='1' if how == 'detached' else '0', PYTHONUNBUFFERED='1',
                       PYTHONPATH=os.pathsep.join((CHECKOUT, SERVERS)))
        command = [python, os.path.join(SERVERS, 'wsgi_app.py'), kind, how, str(self.port)] + list(tls)
        if kind.startswith('gunicorn'):
            command = [python, '-c', 'from gunicorn.app.wsgiapp import run; run()', '-b',
                       '127.0.0.1:{}'.format(self.port), '-k', kind.split()[1], '--threads',
                       '4' if kind.endswith('gthread') else '1', 'wsgi_app:application']
            command += ['--certfile', tls[0], '--keyfile', tls[1]] if tls else []
        if kind == 'uwsgi':
            home = os.path.dirname(os.path.dirname(python))
            command = [os.path.join(home, 'bin', 'uwsgi'), '--http-socket', '127.0.0.1:{}'.format(self.port),
                       '--enable-threads', '--threads', '4', '--master', '--die-on-term', '-H', home,
                       '--wsgi', 'wsgi_app:application']
        self.process = subprocess.Popen(command, env=environ, cwd=SERVERS, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        deadline = time.time() + 20
        while not is_listened_on(self.port):
            assert time.time() < deadline and self.process.poll() is None, self.stop()
            time.sleep(0.05)

    def client(self, path, **options):
        if self.scheme == 'wss':
            options['ssl_context'] = context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_CLIENT',
                ssl.PROTOCOL_SSLv23))
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return WebSocket('{}://127.0.0.1:{}{}'.format(self.scheme, self.port, path), proxies={}, **options)

    def stop(self):
        """End it; return what it has logged."""
        if self.process.poll() is None:
            self.process.terminate()
        deadline = time.time() + 10
        while self.process.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        if self.process.poll() is None:
            self.process.kill()
        return self.process.communicate()[0].decode('utf-8', 'replace')


def talk(client):
    """Say hello, send a lot, close; return the events that matter."""
    events = []
    for event in client.connect(poll=100, close_timeout=5, connect_timeout=10):
        events.append(event)
        if event.name == 'ready':
            client.send_text('hello')
            client.send_binary(b'x' * 200000)
        elif event.name == 'binary':
            assert event.data == b'x' * 200000
            client.close(1000, 'bye')
    return [event for event in events if event.name not in ('connecting', 'connected', 'poll', 'pong')]


def names(events):
    return ' '.join(event.name for event in events)


def begin(client):
    """Connect and read up to Ready; return the iterator."""
    events = client.connect(poll=100)
    for event in events:
        assert event.name not in ('rejected', 'connect_fail', 'disconnected'), event
        if event.name == 'ready':
            return events


@pytest.fixture(scope='module')
def pem(tmpdir_factory):
    trustme = pytest.importorskip('trustme')
    leaf, folder = trustme.CA().issue_cert('localhost', '127.0.0.1'), tmpdir_factory.mktemp('wsgi')
    certificate, key = str(folder.join('server.crt')), str(folder.join('server.key'))
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    return certificate, key


def prove(server, kind, is_detached):
    """All that works under every server; returns its log."""
    for path in ('/echo', '/view'):
        for compress in (False, True):
            events = talk(server.client(path, compress=compress))
            assert names(events) == 'ready text binary closed disconnected' and events[-1].graceful, (path,
                events)
            assert (events[3].code, events[3].reason) == (1000, 'bye')
    events = talk(server.client('/close'))
    assert names(events) == 'ready closing disconnected' and (events[1].code, events[1].reason) == (4000,
        'bye')
    events = talk(server.client('/bad'))
    assert names(events) == 'ready closing disconnected' and (events[1].code, events[1].reason) == (1011, '')
    refused = talk(server.client('/echo', origin='https://evil.example'))[0]
    assert refused.response.status_code == 403 and b'evil.example' in refused.response.body
    if is_detached:
        clients = [begin(server.client('/echo')) for _ in range(40)]
        page = talk(server.client('/page'))[0]
        assert page.response.status_code == 404         # the worker is free
        server.process.send_signal(signal.SIGTERM)
        begun, codes = time.time(), []
        for events in clients:
            codes.append([event.code for event in events if event.name in ('closing', 'closed')])
        if kind in SAY_GOODBYE:
            assert codes == [[1001]] * 40 and time.time() - begun < 2
    log = AFTER_A_PAGE.sub('', server.stop())
    assert log.count('Traceback') == 1 and log.count("KeyError: 'a bug of the handler'") == 1, log
    assert not [word for word in NOISE if word in log], log


@pytest.mark.parametrize('how', ['inline', 'detached'])
@pytest.mark.parametrize('kind, module, version', ROWS)
def test_server(kind, module, version, how):
    with contextlib.closing(Held(Running(kind, module, how, (), version))) as held:
        prove(held.server, kind, how == 'detached')


@pytest.mark.parametrize('how', ['inline', 'detached'])
@pytest.mark.parametrize('kind, module, version', [row for row in ROWS if row[0] in WITH_TLS])
def test_server_with_tls(kind, module, version, how, pem):
    with contextlib.closing(Held(Running(kind, module, how, pem, version))) as held:
        prove(held.server, kind, how == 'detached')


class Held(object):
    def __init__(self, server):
        self.server = server

    def close(self):
        if self.server.process.poll() is None:
            self.server.stop()


@pytest.mark.parametrize('kind, module, words', [
    ('waitress', 'waitress', 'waitress keeps the socket to itself'),
    ('gevent unpatched', 'gevent', 'gevent serves this request, but select is not patched')])
def test_unavailable(kind, module, words):
    server = Running(kind, module, 'inline')
    try:
        assert talk(server.client('/echo'))[0].response.status_code == 500
    finally:
        assert words in server.stop()
