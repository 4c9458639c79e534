# -*- coding: utf-8 -*-
"""Runs the code of README.rst and docs/, as it stands there; it must not know what the pages say.

Each ``code-block`` of ``python`` is a test.  It runs in a folder of its own that holds the files the
pages speak of, with a server for each name they connect to: ``example.org`` and the others are led
to servers on loopback by way of ``socket.getaddrinfo``, so the blocks have the URLs that a
reader would write.  A caption ``Python 3`` or ``Python 3.7 ...`` leaves a
block out on older ones.

An RST comment before a block says what else is special, words separated by blanks:

``.. test: server=NAME``    the script of the server (a function ``serve_NAME`` here; default: by path)
``.. test: trust=system``   the test's authority is not trusted, as that of a company would be
``.. test: file=NAME``      it is a file of that name; blocks behind it can import it
``.. test: continues``      in the namespace of the block before, of the same page
``.. test: signal=TERM``    the process gets this signal once the server has seen a connection
``.. test: other=MODULE``   code of another library: it is compiled, and run where that is installed;
                            without a name: compiled only
``.. test: skip REASON``    neither

A block of ``text`` after ``.. test: output`` is what the block before prints; ``...`` stands for
anything.  In a block of ``console`` the commands that begin with ``$ lomond`` or ``$ python -m
lomond`` run as processes, ``.. test: skip`` apart.
"""

from __future__ import absolute_import, division, print_function, unicode_literals
import __future__

import doctest
import gc
import hashlib
import importlib
import io
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import warnings

import pytest
from support.certificates import Certs, server_context
from support.client import in_thread
from support.paths import CHECKOUT, import_from, read
from support.peer import lenient_server as RawServer
from support.proxy import Proxy, pump
from support.trace_fields import FIELDS

from lomond import WebSocket, events
from lomond._compat import PY2, native
from lomond.network import tls_context
from lomond.response import Request, Response
from lomond.session import WebsocketSession
from lomond.testing import ReceiveTimeout, Server, close_with, echo, reject, silent, unresponsive

pytestmark = pytest.mark.ends

check_names = import_from('docs', 'check_names')
#: Where this process finds lomond; it may not be installed, and blocks run in another folder.
LOMOND = os.path.dirname(os.path.dirname(os.path.abspath(tls_context.__file__)))

#: What the proxies of the pages want.
_PROXY_LOGIN = (b'me', b's3cret')


# -- reading the pages

class Block(object):
    """A code block: where it is, what it is, what is special about it."""

    def __init__(self, page, line, language, text, options, words):
        self.page, self.line, self.language = page, line, language
        self.text, self.words = text, words
        self.name = '{}:{}'.format(page, line)
        self.caption = options.get('caption', '')
        self.file_name = self.word('file') if language == 'python' else None
        self.output = None          # the text that it prints, when the page shows it
        self.before = None          # the block it continues

    def word(self, name, default=None):
        """The value of ``name=value``; True for a bare word."""
        for word in self.words:
            found, _, value = word.partition('=')
            if found == name:
                return value or True
        return default


def read_blocks(page):
    """The code blocks of a page, in order."""
    lines = read(page).splitlines()
    blocks, words, at = [], [], 0
    while at < len(lines):
        line = lines[at]
        at += 1
        comment = re.match(r'\s*\.\. test: (.*)', line)
        if comment:
            words = comment.group(1).split()
            continue
        start = re.match(r'(\s*)\.\. code-block:: *([\w-]+)', line)
        if not start:
            if line.strip():
                words = []
            continue
        number, indent, options, body = at, len(start.group(1)), {}, []
        while at < len(lines) and (not lines[at].strip() or
                                   len(lines[at]) - len(lines[at].lstrip()) > indent):
            option = re.match(r'\s*:([\w-]+): *(.*)', lines[at])
            if option and not body:
                options[option.group(1)] = option.group(2)
            elif body or lines[at].strip():
                body.append(lines[at])
            at += 1
        margin = min(len(row) - len(row.lstrip()) for row in body if row.strip())
        text = '\n'.join(row[margin:] for row in body).rstrip() + '\n'
        block = Block(page, number, start.group(2), text, options, words)
        words = []
        if block.word('output'):
            blocks[-1].output = text
        else:
            if block.word('continues'):
                block.before = [other for other in blocks if other.language == block.language][-1]
            blocks.append(block)
    return blocks


def find_pages():
    """README and the pages of docs/, as paths in the checkout."""
    pages = ['README.rst']
    for folder, folders, names in os.walk(os.path.join(CHECKOUT, 'docs')):
        folders[:] = sorted(name for name in folders if not name.startswith('_'))
        pages += [os.path.relpath(os.path.join(folder, name), CHECKOUT).replace(os.sep, '/')
                  for name in sorted(names) if name.endswith('.rst')]
    return pages


PAGES = find_pages()
BLOCKS = [block for page in PAGES for block in read_blocks(page)]


def blocks_of(language):
    found = [block for block in BLOCKS if block.language == language]
    return pytest.mark.parametrize('block', found, ids=[native(block.name) for block in found])


# -- what the pages connect to

def serve_site(connection):
    """The default: what happens depends on the path."""
    path = connection.request.target.partition('?')[0]
    script = {'/echo': echo, '/feed': serve_feed, '/prices': serve_prices, '/upload': serve_upload}.get(path)
    if script is None:
        try:
            connection.receive(1)       # the ping that comes right after Ready: its pong is shown first
        except ReceiveTimeout:
            pass                        # the page has switched pings off
        connection.send_text('hello')
        connection.close(1000, 'bye')
    else:
        script(connection)


def serve_feed(connection):
    """Three prices, then the end; what the client says is taken."""
    for price in (101, 102, 103):
        connection.send_text('{{"price": {}}}'.format(price))
    connection.close(1000, 'bye')


def serve_prices(connection):
    """The same for those who have asked for it."""
    for event in connection:
        if event.name == 'text':
            serve_feed(connection)


def serve_upload(connection):
    """Says how much has come, and closes when the client is done."""
    for event in connection:
        if event.name == 'binary':
            connection.send_text('got {} bytes'.format(len(event.data)))
        elif event.name == 'text':
            connection.send_text('got {} characters'.format(len(event.text)))


def serve_form(peer):
    """The page where one logs in; not a WebSocket."""
    peer.read_head()
    peer.read(int(peer.header(b'content-length')))
    peer.answer(b'200 OK', [(b'Set-Cookie', b'session=abc123; Domain=example.org; Path=/; Secure'),
                            (b'Connection', b'close')], b'welcome')


def feed_if(refuse):
    """A script that serves the feed unless ``refuse(request)`` is an answer."""
    def script(connection):
        serve_feed(connection)
    script.on_request = refuse
    return script


def _needs_login(request):
    """Wants a session cookie or a token."""
    if 'session=' in request.get('cookie', '') or request.get('authorization', '').startswith('Bearer '):
        return None
    return 401, [('WWW-Authenticate', 'Bearer')], b'log in first'


def _needs_basic(request):
    """Wants Basic authentication: me, s3cret."""
    if request.get('authorization') == 'Basic bWU6czNjcmV0':
        return None
    return 401, [('WWW-Authenticate', 'Basic realm="prices"')], b''


def _needs_digest(request):
    """Wants Digest authentication: RFC 7616, 3.4.1, computed here as a server does it."""
    def digest(*parts):
        return hashlib.md5(':'.join(parts).encode('ascii')).hexdigest()
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', request.get('authorization', '')))
    if given:
        wanted = digest(digest('me', 'prices', 's3cret'), 'n0nce', given['nc'], given['cnonce'], 'auth',
                        digest('GET', request.target))
        if (given['username'], given['nonce'], given['response']) == ('me', 'n0nce', wanted):
            return None
    return 401, [('WWW-Authenticate', 'Digest realm="prices", qop="auth", nonce="n0nce"')], b''


def _is_moved(request):
    """What was at /old is at /feed."""
    return (307, [('Location', '/feed')], b'') if request.target == '/old' else None


serve_login = feed_if(_needs_login)
serve_basic = feed_if(_needs_basic)
serve_digest = feed_if(_needs_digest)
serve_moved = feed_if(_is_moved)
serve_mutual = serve_feed           # the context wants a certificate of the client
serve_busy = reject(503, [('Retry-After', '7')], b'try again later')
serve_missing = reject(404, [], b'there is nothing here')
serve_echo = echo
serve_silent = silent
serve_unresponsive = unresponsive
serve_restart = close_with(1012, 'restart')


def serve_drop(connection):
    connection.send_text('{"price": 101}')
    connection.drop()


def serve_masked(connection):
    """Breaks a rule: a server's frames may not be masked."""
    connection.send_raw(b'\x81\x81\0\0\0\0a')
    connection.receive(None)


def serve_large(connection):
    connection.send_binary(b'\0' * (1024 * 1024 + 1))
    connection.receive(None)


@pytest.fixture(scope='module')
def certificates(tmpdir_factory):
    """The files that the pages name, in one folder."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # cryptography tells how old this Python is
        trustme = pytest.importorskip('trustme')
        ca = trustme.CA()
        leaf = ca.issue_cert('example.org', '*.example.org', '*.example.com', 'localhost', '127.0.0.1')
        client = ca.issue_cert('agent-7.example.org')
    found = Certs()
    found.folder = str(tmpdir_factory.mktemp('certificates'))

    def write(name, *parts):
        path = os.path.join(found.folder, name)
        with open(path, 'wb') as file:
            file.write(b''.join(parts))
        return path
    found.ca = write('company-ca.pem', ca.cert_pem.bytes())
    found.server = write('server.pem', leaf.private_key_and_cert_chain_pem.bytes())
    write('agent.pem', client.private_key_and_cert_chain_pem.bytes())
    write('agent-cert.pem', client.cert_chain_pems[0].bytes())
    write('agent-key.pem', client.private_key_pem.bytes())
    write('token.txt', b't0ken\n')
    found.fingerprint = 'sha256:' + hashlib.sha256(ssl.PEM_cert_to_DER_cert(
        leaf.cert_chain_pems[0].bytes().decode('ascii'))).hexdigest()
    return found


class World(object):
    """The servers behind the names of the pages, for one block."""

    def __init__(self, block, certificates, monkeypatch, folder):
        self.certificates, self.folder = certificates, folder
        self.servers, self._modules = [], []
        handler = globals()['serve_' + block.word('server', 'site')]
        context = server_context(
            certificates.server, certificates.ca if block.word('server') == 'mutual' else None)
        raise_errors = not block.word('server')
        self.plain = self._start(Server(handler, raise_errors=raise_errors))
        self.secure = self._start(Server(handler, raise_errors=raise_errors, ssl_context=context))
        #: What a page says, and the port on loopback.
        self.ports = {80: self.plain.port, 443: self.secure.port, 8443: self.secure.port}
        for port, kind in ((3128, 'http'), (1080, 'socks5h')):
            proxy = Proxy(kind, self.secure.port, auth=_PROXY_LOGIN)
            self.ports[port] = self._start(RawServer(proxy)).port
        self.form_port = self._start(RawServer(serve_form, tls=context)).port
        if hasattr(socket, 'AF_UNIX'):
            self._start(RawServer(self._bridge, family=socket.AF_UNIX,
                                  address=os.path.join(folder, 'agent.sock')))
        self._getaddrinfo = socket.getaddrinfo
        monkeypatch.setattr(socket, 'getaddrinfo', self.getaddrinfo)

    def _start(self, server):
        server.__enter__()
        self.servers.append(server)
        return server

    def _bridge(self, peer):
        """The Unix domain socket leads to the server without TLS."""
        target = socket.create_connection(('127.0.0.1', self.plain.port))
        pump(peer, target)
        target.close()

    def getaddrinfo(self, host, port, *args, **kwargs):
        """Leads the names of the pages to loopback; ``.invalid`` never resolves (RFC 6761)."""
        name = host.decode('ascii') if isinstance(host, bytes) else host
        if name.endswith('.invalid'):
            raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')
        if re.search(r'(^|\.)example\.(org|com)$', name):
            wanted, host, port = port, '127.0.0.1', self.ports.get(int(port), port)
            if name == 'login.example.org' and int(wanted) == 443:
                port = self.form_port
        return self._getaddrinfo(host, port, *args, **kwargs)

    def write_module(self, name, block):
        """A block that is a file, where this one can import it."""
        with io.open(os.path.join(self.folder, name), 'w', encoding='utf-8') as file:
            file.write('from __future__ import unicode_literals\n' + self.source(block.text))
        if self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        self._modules.append(name.partition('.')[0])

    def stop(self):
        if self.folder in sys.path:
            sys.path.remove(self.folder)
        for name in self._modules:
            sys.modules.pop(name, None)
        for name in ('https_proxy', 'no_proxy'):    # a page has set them
            os.environ.pop(name, None)
        for server in reversed(self.servers):
            server.__exit__(None, None, None)

    def source(self, text):
        """The code with what only this machine can know: digest, path of a socket."""
        text = re.sub('sha256:[0-9a-f]{64}', self.certificates.fingerprint, text)
        return text.replace('/run/agent.sock', os.path.join(self.folder, 'agent.sock'))


class _Threading(object):
    """``threading`` for ``lomond.persist``, with an Event whose third wait() ends it."""

    def __getattr__(self, name):
        return getattr(threading, name)

    class Event(object):
        waits = 0

        def wait(self, delay=None):
            self.waits += 1
            return self.waits > 2


@pytest.fixture
def world(request, certificates, monkeypatch, tmpdir):
    """A folder with the files, the servers, and no trust but in the test's authority."""
    block = request.node.callspec.params['block']
    folder = str(tmpdir)
    for name in os.listdir(certificates.folder):
        shutil.copy(os.path.join(certificates.folder, name), folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tls_context, '_shared', {})
    if 'exit_event' not in block.text:
        monkeypatch.setattr(importlib.import_module('lomond.persist'), 'threading', _Threading())
    if block.word('trust') != 'system':
        monkeypatch.setenv(native('SSL_CERT_FILE'), native(certificates.ca))
    loggers = [logging.getLogger(), logging.getLogger('lomond')]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    world = World(block, certificates, monkeypatch, folder)
    yield world
    monkeypatch.undo()
    world.stop()
    for logger, (level, handlers) in zip(loggers, before):
        logger.setLevel(level)          # a block may switch the log on
        logger.handlers[:] = handlers


# -- running

def compile_block(block, text):
    # What 3.x takes for granted; the pages say that 2.7 wants it at the top of a file.
    flags = 0
    for feature in ('absolute_import', 'division', 'print_function', 'unicode_literals'):
        flags |= getattr(__future__, feature).compiler_flag
    # Lines of a traceback are those of the page.
    return compile('\n' * (block.line + 1) + text, native(block.name), 'exec', flags, True)


def leave_out(block):
    if block.word('skip'):
        pytest.skip(' '.join(block.words[1:]))
    needed = re.match(r'Python ([0-9]+)(?:\.([0-9]+))?', block.caption)
    if needed and sys.version_info[:2] < (int(needed.group(1)), int(needed.group(2) or 0)):
        pytest.skip('the page says: ' + block.caption)


def run_block(block, world, namespace):
    for other in BLOCKS:
        if other.page == block.page and other.line < block.line and other.file_name:
            world.write_module(other.file_name, other)
    if block.before is not None:
        run_block(block.before, world, namespace)
    exec(compile_block(block, world.source(block.text)), namespace)


class Output(io.StringIO):
    """2.7's print writes native str, ours is text."""
    encoding = 'utf-8'

    def write(self, text):
        super(Output, self).write(text if not isinstance(text, bytes) else text.decode('utf-8'))


@blocks_of('python')
def test_python(block, request):
    leave_out(block)
    if block.word('other'):
        compile_block(block, block.text)
        if block.word('other') is True:
            return
        pytest.importorskip(block.word('other'))
    world = request.getfixturevalue('world')
    printed = Output()
    namespace = {'__name__': native('__main__')}
    number = handler = None
    if block.word('signal'):
        number = getattr(signal, 'SIG' + block.word('signal'))
        handler = signal.getsignal(number)
        in_thread(interrupt, world, number)
    with warnings.catch_warnings():
        if block.word('other'):
            warnings.simplefilter('ignore', ResourceWarning)        # their sockets are not ours to close
        stdout, sys.stdout = sys.stdout, printed
        gc.disable()
        try:
            run_block(block, world, namespace)
            for name in sorted(namespace):          # the tests of a page about tests
                if name.startswith('test_'):
                    run_test(namespace[name], request)
        finally:
            sys.stdout = stdout
            if number:
                signal.signal(number, handler)
            namespace.clear()
            gc.enable()
            gc.collect(1)       # the garbage of this block, not the heap of the whole run
    if block.output is not None and not PY2:
        check_output(block.output, printed.getvalue())


def interrupt(world, number):
    """Send this process a signal when a connection has been seen."""
    tick = threading.Event()
    for _ in range(500):
        tick.wait(0.02)
        if world.secure.connection_count or world.plain.connection_count:
            break
    tick.wait(0.2)
    os.kill(os.getpid(), number)


def run_test(function, request):
    """A test function of a page, with the fixture of lomond's plug-in if it wants that."""
    names = function.__code__.co_varnames[:function.__code__.co_argcount]
    assert names in ((), ('wsserver',)), names
    if not names:
        return function()
    if request.config.pluginmanager.hasplugin('lomond'):
        return function(request.getfixturevalue('wsserver'))
    servers = []                    # a checkout that is not installed: nobody loads its plug-in

    def wsserver(handler=echo, **options):
        servers.append(Server(handler, **options))
        return servers[-1].start()
    try:
        function(wsserver)
    finally:
        for server in servers:
            server.stop()


def check_output(wanted, got):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(wanted, got, options):
        raise AssertionError('the page shows\n{}\nit prints\n{}'.format(wanted, got))


@blocks_of('console')
def test_console(block, request):
    leave_out(block)
    pytest.importorskip('lomond.cli')
    world = request.getfixturevalue('world')
    for line in block.text.splitlines():
        if line.startswith('$ '):
            run_command(line[2:], world)


def run_command(line, world):
    """A command as a process of this Python; names become loopback."""
    words = shlex.split(native(line))
    if words[:1] == ['lomond']:
        words[:1] = ['python', '-m', 'lomond']
    assert words[:3] == ['python', '-m', 'lomond'], line
    words = [re.sub('wss?://[a-z.]*example.org/', world.plain.url, word) for word in words]
    environ = dict(os.environ, PYTHONIOENCODING=native('utf-8'), PYTHONPATH=native(LOMOND))
    process = subprocess.Popen([sys.executable] + words[1:], env=environ, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    timer = threading.Timer(30, process.kill)
    timer.start()
    try:
        err = process.communicate()[1]
    finally:
        timer.cancel()
        timer.join()
    assert process.returncode == 0, err.decode('utf-8', 'replace')


# -- the pages as such

def test_there_are_pages():
    assert len(PAGES) > 10
    assert all(block.language in ('python', 'console', 'text', 'ini', 'bash') for block in BLOCKS)


def test_what_is_not_run_has_a_reason():
    """A block that does not run says why; code in another form would not be found."""
    for block in BLOCKS:
        if block.word('skip'):
            assert len(block.words) > 2, block.name
            assert block.language != 'python', block.name
    for page in PAGES:
        lines = read(page).splitlines()
        for number, line in enumerate(lines, 1):
            if line.endswith('::') and not line.lstrip().startswith('.. '):
                raise AssertionError('{}:{}: a block without a language'.format(page, number))
            if re.match(r'\s*\.\. (test:|code-block::)', line):
                before = lines[number - 2]
                assert not before.strip() or before.lstrip().startswith('.. test:'), (
                    '{}:{}: without an empty line before it, it is part of a paragraph'.format(page, number))


def test_text_is_what_a_block_prints_or_a_drawing():
    """A text that looks like the output of the block before is held against it."""
    for block in BLOCKS:
        if block.language == 'text':
            assert '->' in block.text or '|-' in block.text or re.match('[0-9] ', block.text), (
                '{}: no "test: output" before it'.format(block.name))


def find(dotted):
    """What a dotted name of the package stands for."""
    thing = importlib.import_module('lomond')
    for part in dotted.split('.')[1:]:
        if isinstance(thing, type(importlib)):
            try:
                importlib.import_module(thing.__name__ + '.' + part)
            except ImportError:
                pass            # it is no module
        thing = getattr(thing, part)
    return thing


def test_public_names_are_there():
    """``docs/conf.py`` stops when the reference lacks one of these; here each has to exist."""
    names = check_names.find_names()
    assert len(names) == len(set(names)) > 200
    websocket = WebSocket('ws://example.org/', proxies={})
    server = Server(echo)
    made = {'lomond.websocket.WebSocket': websocket, 'lomond.testing.Server': server,
            'lomond.response.Head': Response(b''), 'lomond.response.Response': Response(b''),
            'lomond.response.Request': Request(b''),
            'lomond.session.WebsocketSession': WebsocketSession(websocket)}
    server.start().stop()
    for name in names:
        if PY2 and name.startswith('lomond.aio.'):
            continue
        owner, _, member = name.rpartition('.')
        assert hasattr(made[owner] if owner in made else find(owner), member) or find(name), name


def test_each_example_is_shown():
    shown = re.findall(r'literalinclude:: \.\./examples/(\S+)', read('docs', 'examples.rst'))
    folder = os.path.join(CHECKOUT, 'examples')
    assert sorted(shown) == sorted(
        name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name)))


def test_each_event_is_in_the_table_with_what_it_has():
    rows = dict((kind, (name, set(re.findall(r'``(\w+)``', rest)))) for name, kind, rest in re.findall(
        r'(?m)^``(\w+)`` +:class:`~lomond.events.(\w+)` +(.*)', read('docs', 'events.rst')))
    kinds = [kind for kind in vars(events).values()
             if isinstance(kind, type) and issubclass(kind, events.Event)]
    for kind in kinds:
        if kind in (events.Event, events.UnknownMessage):
            continue
        name, words = rows[kind.__name__]
        assert name == kind.name
        assert set(slot for slot in kind.__slots__ if not slot.startswith('_')) <= words, kind
    assert len(rows) == len(kinds) - 2


def test_trace_records_are_as_the_page_says():
    shown, stage = {}, None
    for line in read('docs', 'reference', 'trace.rst').splitlines():
        row = re.match(r'``(\w+)``  +\S', line)
        if row and row.group(1) != 'stage':
            stage = row.group(1)
        elif not re.match(' {60,}``', line):
            continue
        shown.setdefault(stage, set()).update(re.findall(r'``(\w+)``', line[70:]))
    shown.pop(None, None)
    assert shown == FIELDS


def test_a_name_that_is_missing_is_found():
    names = check_names.find_names()
    assert check_names.find_missing(names) == []
    assert check_names.find_missing(names[1:]) == names[:1]


def test_public_names_of_the_modules_are_all_listed():
    """What a public module has in ``__all__``, or defines, stands in the list as well."""
    names = set(check_names.find_names())
    for module in ('events', 'errors', 'testing', 'status', 'persist'):
        there = importlib.import_module('lomond.' + module)
        defined = getattr(there, '__all__', None) or [
            name for name, thing in vars(there).items()
            if not name.startswith('_') and getattr(thing, '__module__', '') == there.__name__]
        assert set('lomond.{}.{}'.format(module, name) for name in defined) <= names
