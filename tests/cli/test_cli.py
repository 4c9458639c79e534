"""The command line, run as a process: its output and its exit status."""

from __future__ import absolute_import, division, unicode_literals

import argparse
import contextlib
import functools
import io
import json
import logging
import os
import platform
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from support.paths import CHECKOUT

from lomond import errors
from lomond._compat import monotonic
from lomond.cli import arguments, client, console, feed, interrupts, output, serve
from lomond.testing import Server, close_with, drop_after, echo, reject, silent, unresponsive

# 36 s of CPU; tests/project/test_freezing.py runs a command line on each interpreter.
pytestmark = pytest.mark.ends

WINDOWS = sys.platform == 'win32'
C_LOCALE = {'LANG': 'C', 'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
NOWHERE = 'http://127.0.0.1:1'

posix = pytest.mark.skipif(WINDOWS, reason='signals and shells of POSIX')


def child_environ(**changes):
    """Return the environment for a child, with changes; None removes a variable."""
    environ = dict(os.environ)
    environ.setdefault(str('PYTHONPATH'), str(os.pathsep.join(path for path in sys.path if path)))
    for name, value in changes.items():
        environ.pop(name, None)
        if value is not None:
            environ[str(name)] = str(value)
    return environ


def _default_signals():
    # A shell's background job ignores SIGINT, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def limited(process, seconds):
    """Kill the process if it is still running after so many seconds."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


class Lomond(object):
    """A running ``python -m lomond``."""

    def __init__(self, *words, **options):
        self.words = words
        for name in ('stdin', 'stdout', 'stderr'):
            options.setdefault(name, subprocess.PIPE)
        options.setdefault('bufsize', 0)        # a buffer could hide what wait_for() did not read
        if not WINDOWS:
            options.setdefault('preexec_fn', _default_signals)
        environ = options.pop('environ', {})
        self.process = subprocess.Popen(
            [sys.executable, str('-m'), str('lomond')] + list(words), cwd=CHECKOUT,
            env=child_environ(**environ), **options)

    def wait_for(self, text, stream='stderr'):
        """Read lines until one contains the text, and return that one."""
        lines = []
        while True:
            line = getattr(self.process, stream).readline().decode('utf-8')
            lines.append(line)
            assert line, (self.words, text, lines)
            if text in line:
                return line

    def end(self, data=None):
        """Send the input and wait; return ``(status, stdout, stderr as text)``."""
        with limited(self.process, 20):
            out, err = self.process.communicate(data)
        return self.process.returncode, out, (err or b'').decode('utf-8').replace('\r\n', '\n')

    def interrupt(self, number=signal.SIGINT, seconds=5):
        """Send a signal, which must end the program in time, and without a traceback."""
        begun = monotonic()
        self.process.send_signal(number)
        status, _, err = self.end()
        assert status == 130, err
        assert monotonic() - begun < seconds
        assert 'Traceback' not in err


def lomond(*words, **options):
    """Run it to completion; return ``(status, stdout, stderr as text)``."""
    data = options.pop('data', b'')
    return Lomond(*words, **options).end(data)


def closed_port():
    """Return a port on which nothing listens."""
    sock = socket.socket()
    sock.bind(('127.0.0.1', 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


def take(connection, name):
    """Return the next event with this name."""
    while True:
        event = connection.receive()
        if event is None or event.name == name:
            return event


@pytest.fixture
def server():
    with Server(echo) as running:
        yield running


# -- demo

@pytest.mark.parametrize('environ', [
    {}, dict(C_LOCALE, http_proxy=NOWHERE, https_proxy=NOWHERE, all_proxy=NOWHERE, ws_proxy=NOWHERE),
], ids=['plain', 'proxies and no locale'])
def test_demo(environ):
    status, out, err = lomond('demo', environ=environ)
    assert (status, err) == (0, '')
    lines = out.decode('ascii').replace('\r\n', '\n').split('\n')
    names = [line[3:].partition('(')[0] for line in lines if line.startswith('<- ')]
    assert [name for name in names if name != 'Poll'] == [
        'Connecting', 'Connected', 'Ready', 'Text', 'Binary', 'Text', 'Pong', 'Closed', 'Disconnected']
    assert 'Poll' in names
    calls = [line[3:].partition('(')[0] for line in lines if line.startswith('-> ')]
    assert calls == ['websocket.' + name for name in (
        'send_text', 'send_binary', 'send_text', 'send_ping', 'close')]
    assert any('18000 characters' in line and 'compressed' in line for line in lines)


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no /dev/full')
@pytest.mark.parametrize('is_demo', [True, False])
def test_full_disk(server, is_demo):
    with open('/dev/full', 'wb') as full:
        status, _, err = lomond(*['demo'] if is_demo else [server.url, '-x', 'a', '-q'], stdout=full)
    assert (status, err) == (1, 'lomond: cannot write to standard output: No space left on device\n')


def test_demo_whose_reader_has_left():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        status, _, err = lomond('demo', stdout=writing)
    finally:
        os.close(writing)
    assert (status, err) == (0, '')


# -- usage

@pytest.mark.parametrize('words, sentence', [
    ([], "a URL, 'demo' or 'serve' is required"),
    (['demo', 'now'], 'unrecognized arguments: now'),
    (['serve', '--tls', '/nowhere/a.pem:/nowhere/b.pem'],
     '--tls: /nowhere/a.pem:/nowhere/b.pem: No such file or directory'),
    (['ftp://host/'], "url 'ftp://host/' has a scheme that is not allowed; ws, wss, http and https are"),
    (['ws://host:0/'], ''),
    (['ws://h/', 'ws://i/'], 'unrecognized arguments: ws://i/'),
    (['ws://h/', 'ws://me:s3cret@i/'], 'unrecognized arguments: ws://***@i/'),
    (['ws://h/', '-H', 'Nothing'], "'Nothing' is not a header; use 'Name: value'"),
    (['ws://h/', '-H', ': value'], "'...' is not a header; use 'Name: value'"),
    (['ws://h/', '-H', 'Authorization=s3cret'], "'Authorization...' is not a header; use 'Name: value'"),
    (['ws://h/', '-H', 'A B: c'], ''), (['ws://h/', '-H', 'A: c\nd'], ''),
    (['ws://h/', '-H', 'Upgrade: h2c'], 'belongs to the opening handshake; it cannot be given in headers'),
    (['ws://h/', '-H', 'Proxy-Authorization: s3cret'], 'or the header into proxy_headers'),
    (['ws://h/', '--protocol', 'a b'], ''), (['ws://h/', '--proxy', 'gopher://x/'], ''),
    (['ws://h/', '--proxy', 'http://x/', '--no-proxy'], 'not allowed with argument --proxy'),
    (['ws://h/', '--quiet', '--verbose'], 'not allowed with argument --quiet/-q'),
    (['ws://h/', '--cert', ''], "'' is neither FILE nor FILE:KEY"),
    (['ws://h/', '--frobnicate'], 'unrecognized arguments: --frobnicate'),
    (['ws://h/', '-x'], 'expected one argument'),
] + [
    (['serve', '--port', port], "'%s' is not a port; 0 to 65535 are allowed" % port)
    for port in ('65536', '-1', 'xxx')
] + [
    (['ws://h/', option, word], "'%s' is not a number of seconds; 0 to 1e9 are allowed" % word)
    for option, word in (('--wait', 'nan'), ('--wait', '-1'), ('--ping-rate', 'inf'), ('--ping-timeout', ''),
                         ('--connect-timeout', 'soon'))
])
def test_usage(words, sentence):
    status, out, err = lomond(*words)
    assert (status, out) == (2, b'')
    assert err.startswith('usage: lomond ')
    last = err.splitlines()[-1]
    assert last.startswith('lomond: error: ') and last.endswith(sentence)


@posix
def test_usage_beyond_ascii():
    status, _, err = lomond('ws://h/', '-H', 'gr\xfc\xdfe\x1b[31m'.encode('utf-8'))
    assert status == 2 and 'is not a header' in err and '\x1b' not in err
    status, _, err = lomond('ws://h/', '-x', b'a\xff', environ=C_LOCALE)
    assert status == 2 and err.endswith('is not UTF-8\n')


@pytest.mark.parametrize('words, beginning', [
    (['--help'], b'usage: lomond '), (['-h'], b'usage: lomond '), (['demo', '-h'], b'usage: lomond '),
    (['serve', '--help'], b'usage: lomond '), (['--version'], b'lomond 1.')])
def test_help_and_version(words, beginning):
    status, out, err = lomond(*words)
    assert (status, err) == (0, '') and out.startswith(beginning)


# -- messages

def test_lines_of_a_pipe(server):
    data = 'hello\nw\xf6rld\r\n\n\x1b[31m\nlast'.encode('utf-8')
    assert lomond(server.url, '--wait', '0', data=data) == (
        0, 'hello\nw\xf6rld\n\n\x1b[31m\nlast\n'.encode('utf-8'),
        'lomond: connected\nlomond: closed: 1000 goodbye\n')     # a server's echo repeats the reason
    assert server.connections[0].messages == ['hello', 'w\xf6rld', '', '\x1b[31m', 'last']
    assert server.connections[0].close_code == 1000


def test_input_is_kept_until_ready():
    allowed = threading.Event()

    def accept(request):
        allowed.wait(10)

    with Server(echo, on_request=accept) as server:
        running = Lomond(server.url, '--wait', '0')
        running.process.stdin.write(b'early\n')
        allowed.set()
        assert running.end(b'late\n')[:2] == (0, b'early\nlate\n')


def test_without_wait_it_goes_on_until_the_server_closes():
    def script(connection):
        assert take(connection, 'text').text == 'go'
        connection.pause(0.3)
        connection.send_text('still there?')
        connection.close(1000, 'that is all')

    with Server(script) as server:
        assert lomond(server.url, data=b'go\n') == (
            0, b'still there?\n', 'lomond: connected\nlomond: closed by the server: 1000 that is all\n')


def test_wait_counts_from_the_end_of_the_input(server):
    running = Lomond(server.url, '--wait', '0.5', '-q')
    running.process.stdin.write(b'a\n')
    assert running.process.stdout.readline() == b'a\n'
    begun = monotonic()
    assert running.end()[0] == 0
    assert 0.4 < monotonic() - begun < 5


def test_execute(server):
    words = ['-x', 'one', '-x', 'zwei \xfc'.encode('utf-8'), '--wait', '0']
    assert lomond(server.url, *words, data=b'three\n')[:2] == (0, 'one\nzwei \xfc\nthree\n'.encode('utf-8'))


def test_execute_in_the_c_locale(server):
    text = '\u4e2d'.encode('utf-8')
    assert lomond(server.url, '-x', text, '--wait', '0', '-v', environ=C_LOCALE)[:2] == (0, text + b'\n')


def test_binary(server):
    data = bytes(bytearray(range(256))) * 1000
    words = ['--binary', '--wait', '0', '-x', 'first']
    assert lomond(server.url, *words, data=data)[:2] == (0, b'first' + data)
    assert all(isinstance(message, bytes) for message in server.connections[0].messages)


@pytest.mark.parametrize('words, sent', [
    ([], ['x\\r', 'ls\r\n', '\n', 'a\rb\x00\x85\n', '\u4e2d']),
    (['--binary'], [b'x\\r', b'ls\r\n', b'\n', b'a\rb\0\xc2\x85\n', b'\xe4\xb8\xad'])])
def test_line_ends_are_kept(server, words, sent):
    data = 'ls\r\n\na\rb\x00\x85\n\u4e2d'.encode('utf-8')
    words += ['--keep-line-ends', '-x', 'x\\r', '--wait', '0']
    assert lomond(server.url, *words, data=data)[0] == 0
    assert server.connections[0].messages == sent


@posix
def test_input_that_does_not_block():
    import fcntl
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_NONBLOCK)
    timer = threading.Timer(0.05, lambda: (os.write(writer, b'late'), os.close(writer)))
    timer.start()
    with os.fdopen(reader) as stream:
        read = console.Console(stream, None, None).read
        assert (read(), read()) == (b'late', b'')
    timer.join()


def test_binary_message_among_lines():
    def script(connection):
        connection.send_binary(b'\x00\xff')
        connection.send_text('text')
        connection.close()

    with Server(script) as server:
        assert lomond(server.url)[1] == b'\x00\xff\ntext\n'


@pytest.mark.parametrize('words, data', [
    (['--compress'], ''.join('{}\n'.format(number) for number in range(30000)).encode('ascii')),
    ([], b'x' * (3 * 1024 * 1024) + b'\n'),
], ids=['many lines', 'one long line'])
def test_much_input_and_output(server, words, data):
    assert lomond(server.url, '--wait', '0', *words, data=data)[:2] == (0, data)


def test_input_that_is_not_utf_8(server):
    status, out, err = lomond(server.url, data=b'good\nb\xe4d\nnever\n')
    assert (status, out) == (2, b'good\n')
    assert err.endswith('lomond: line 2 of the input is not UTF-8: byte 0xe4 at position 2; '
                        'use --binary to send raw bytes\n')
    assert server.connections[0].messages == ['good']


def test_rest_of_the_input_when_the_server_closes():
    with Server(close_with(1001, 'restart')) as server:
        running = Lomond(server.url)
        running.wait_for('closed by the server: 1001 restart')
        assert running.end()[0] == 0


def test_thread_of_the_input_ends_before_the_program():
    """On 2.7 a thread in its last call would fail once modules are torn down."""
    is_ending, goes_on = threading.Event(), threading.Event()

    def finish():
        is_ending.set()
        goes_on.wait(5)
    thread = feed.Feed([], None, False, 0, finish, None)
    thread.let_end()                              # it has not started
    thread.start()
    thread.gate.open()
    assert is_ending.wait(5)
    threading.Timer(0.05, goes_on.set).start()
    thread.let_end()
    assert not thread.is_alive()


def test_message_that_was_sent_counts_at_once():
    """The connection may end before the input thread has recorded the result."""
    is_sending, goes_on = threading.Event(), threading.Event()

    def send(message):
        is_sending.set()
        goes_on.wait(5)
        if message == 'refused':
            raise errors.WebSocketClosed('over')
    for message, expected in (('taken', False), ('refused', True)):
        thread = feed.Feed([message], send, False, None, None, None)
        assert not thread.has_unsent()
        thread.start()
        thread.gate.open()
        assert is_sending.wait(5)
        threading.Timer(0.05, goes_on.set).start()
        assert thread.has_unsent() is expected
        thread.join(5)
        is_sending.clear()
        goes_on.clear()


@posix
def test_standard_streams_that_are_closed(server):
    command = 'exec "$0" -m lomond {} -x a --wait 0.2 {}'
    for redirection in ('<&-', '<&- >&-', '>&- 2>&-', '<&- 2>&-'):
        process = subprocess.Popen(['/bin/sh', '-c', command.format(server.url, redirection), sys.executable],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE,
                                   cwd=CHECKOUT, env=child_environ())
        out, err = process.communicate(b'')
        assert (process.returncode, redirection) == (0, redirection), err
        assert out in (b'a\n', b'')
        assert b'Traceback' not in err
    assert [connection.messages for connection in server.connections] == [['a']] * 4


@posix
def test_reader_has_left():
    def script(connection):
        while connection.is_open:
            connection.send_text('y' * 1000)

    with Server(script, raise_errors=False) as server:
        process = Lomond(server.url, '-q').process
        assert process.stdout.readline() == b'y' * 1000 + b'\n'
        process.stdout.close()
        process.stdin.close()
        with process.stderr as stderr:
            err = stderr.read()
        assert (process.wait(), err) == (0, b'')


# -- JSON, quiet, verbose

def test_json():
    def script(connection):
        take(connection, 'ping')
        connection.send_text('t\xe4xt\x1b')
        connection.send_binary(b'\xff\x00')
        connection.send_ping(b'p')
        connection.close(1000, 'bye')

    with Server(script, protocols=['chat']) as server:
        status, out, err = lomond(server.url, '--json', '--protocol', 'chat', '--compress', '-q')
    assert (status, err) == (0, '')
    records = [json.loads(line) for line in out.decode('ascii').splitlines()]
    found = dict((record['name'], record) for record in records)
    assert set(found) - {'pong'} == {
        'connecting', 'connected', 'ready', 'text', 'binary', 'ping', 'closing', 'disconnected'}
    assert all(isinstance(record['time'], float) for record in found.values())
    assert found['connecting']['url'] == server.url
    assert (found['ready']['protocol'], found['ready']['extensions']) == ('chat', ['permessage-deflate'])
    assert found['ready']['response']['status_code'] == 101
    assert found['text']['text'] == 't\xe4xt\x1b'
    assert (found['binary']['data'], found['ping']['data']) == ('/wA=', 'cA==')
    assert (found['closing']['code'], found['closing']['reason']) == (1000, 'bye')
    assert found['disconnected']['graceful'] is True


def test_json_of_failures():
    with Server(reject(403, [('X-Why', 'no')], b'not \xff you')) as server:
        status, out, err = lomond(server.url, '--json', '-q')
    record = [json.loads(line) for line in out.decode('ascii').splitlines()][-2]
    assert status == 3
    assert (record['name'], record['body']) == ('rejected', 'not \ufffd you')
    response = record['response']
    assert (response['status_code'], response['headers']['x-why']) == (403, 'no')
    status, out, err = lomond('ws://user:secret@127.0.0.1:{}/'.format(closed_port()), '--json', '-q')
    record = json.loads(out.decode('ascii').splitlines()[-1])
    assert (status, record['name'], record['stage']) == (1, 'connect_fail', 'connect')
    assert record['error'] and b'secret' not in out and record['response'] is None
    with Server(reject(403)) as server:         # it is not a proxy
        out = lomond('ws://target.test/', '--json', '-q', '--proxy', server.url.replace('ws', 'http'))[1]
    record = json.loads(out.decode('ascii').splitlines()[-1])
    assert record['response']['status_code'] == 405 and 'CONNECT' in record['body']


def test_quiet_and_verbose(server):
    assert lomond(server.url, '-x', 'a', '--wait', '0', '--quiet')[1:] == (b'a\n', '')
    status, out, err = lomond(server.url, '-x', 'a', '--wait', '0', '--verbose')
    assert (status, out) == (0, b'a\n')
    for line in ('event: Connecting(url=', 'event: Text(text=', 'trace: socket_send length=',
                 'trace: disconnected'):
        assert '\n' + line in '\n' + err


# -- options of the connection

def test_headers_and_protocols():
    with Server(echo, protocols=['b']) as server:
        status, _, err = lomond(server.url, '-H', 'X-One: 1', '-H', 'x-two:two: 2 ', '--protocol', 'a',
                                '--protocol', 'b', '-H', 'Authorization: Bearer s3cret', '--wait', '0', '-v')
        request = server.requests[0]
    assert status == 0 and 'connected (subprotocol b)' in err and 's3cret' not in err
    assert (request.get('x-one'), request.get('x-two')) == ('1', 'two: 2')
    assert request.get('authorization') == 'Bearer s3cret'
    assert request.get_list('sec-websocket-protocol') == ['a', 'b']


def test_proxies(server):
    nowhere = 'http://127.0.0.1:{}/'.format(closed_port())
    environ = {'http_proxy': nowhere, 'no_proxy': None}
    assert lomond(server.url, '--wait', '0', environ=environ)[0] == 1
    assert lomond(server.url, '--wait', '0', '--no-proxy', environ=environ)[0] == 0
    status, _, err = lomond(server.url, '--wait', '0', '--proxy', nowhere)
    assert status == 1 and err.startswith('lomond: unable to connect to proxy; ')


@pytest.fixture
def certificates(tmpdir):
    trustme = pytest.importorskip('trustme')
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmpdir.join('ca.pem')))
    for name in ('server', 'client'):
        issued = ca.issue_cert('localhost', '127.0.0.1')
        issued.private_key_pem.write_to_path(str(tmpdir.join(name + '.key')))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(tmpdir.join(name + '.pem')), append=True)
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmpdir.join(name + '-both.pem')))
    return lambda name: str(tmpdir.join(name))


def test_tls(certificates):
    import ssl

    from lomond.cli.serve import make_context
    context = make_context((certificates('server-both.pem'),))
    context.load_verify_locations(certificates('ca.pem'))
    context.verify_mode = ssl.CERT_REQUIRED
    ca = ['--cacert', certificates('ca.pem')]
    pair = ['--cert', '{}:{}'.format(certificates('client.pem'), certificates('client.key'))]
    both = ['--cert', certificates('client-both.pem')]
    with Server(echo, ssl_context=context, raise_errors=False) as server:
        rest = [server.url, '-x', 'a', '--wait', '0']
        for good in (ca + pair, ca + both, ['--insecure'] + pair):
            assert lomond(*rest + good)[:2] == (0, b'a\n')
        status, out, err = lomond(*rest + pair)
        assert (status, out) == (1, b'') and 'certificate' in err
        assert lomond(*rest + ca)[0] == 1
        status, _, err = lomond(*rest + ['--cacert', '/nowhere/ca.pem'])
        assert status == 1 and '/nowhere/ca.pem' in err


# -- exit statuses

def test_status_of_failures():
    status, out, err = lomond('ws://127.0.0.1:{}/'.format(closed_port()))
    assert (status, out) == (1, b'') and err.startswith('lomond: unable to connect; 127.0.0.1:')
    with Server(reject(404, body=b'no\x1b such place\n')) as server:
        assert lomond(server.url) == (
            3, b'', 'lomond: rejected; Websocket upgrade failed (code=404): no\\x1b such place\n')
    with Server(drop_after(1)) as server:
        # An unread ping would turn the end of the server's connection into a reset.
        assert lomond(server.url, '--ping-rate', '0', data=b'a\n') == (
            1, b'a\n', 'lomond: connected\nlomond: connection broke; socket fail; connection lost\n')


@pytest.mark.parametrize('handler, words, reason', [
    (silent, ['--connect-timeout', '0.3'], 'timed out after 0.3'),
    (unresponsive, ['--ping-rate', '0.1', '--ping-timeout', '0.3'], 'ping timeout')])
def test_status_of_timeouts(handler, words, reason):
    with Server(handler, raise_errors=False) as server:
        status, out, err = lomond(server.url, *words)
    assert (status, out) == (1, b'') and reason in err


@posix
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('words', [[], ['--verbose'], ['--json', '--persist']])
def test_interrupt(server, number, words):
    running = Lomond(server.url, '-x', 'a', *words)
    running.wait_for('a', 'stdout')
    if '--json' in words:
        running.wait_for('text', 'stdout')
    running.interrupt(number)
    assert server.connections[0].close_code == 1001


@posix
@pytest.mark.parametrize('handler', [unresponsive, silent])
@pytest.mark.parametrize('words', [[], ['--persist']])
def test_interrupt_is_bounded(handler, words):
    with Server(handler, raise_errors=False) as server:
        running = Lomond(server.url, '--verbose', *words)
        running.wait_for('event: Ready' if handler is unresponsive else 'event: Connected')
        running.interrupt(seconds=8)


@posix
def test_second_interrupt_ends_at_once():
    has_closed = threading.Event()

    def script(connection):
        while not connection.receive_raw(None).startswith(b'\x88'):
            pass
        has_closed.set()
        connection.receive_raw(None)

    with Server(script, raise_errors=False) as server:
        running = Lomond(server.url, '--ping-rate', '0')
        running.wait_for('connected')
        running.process.send_signal(signal.SIGINT)
        assert has_closed.wait(10)
        running.interrupt(signal.SIGTERM, interrupts.LIMIT - 0.2)


@posix
def test_interrupt_while_nobody_reads_what_is_written():
    def script(connection):
        while connection.is_open:
            connection.send_text('y' * 10000)

    with Server(script, raise_errors=False) as server:
        running = Lomond(server.url, '-q')
        process = running.process
        process.stdout.read(1)
        while server.connections[0].is_open and not select.select([process.stdout], [], [], 1)[0]:
            pass
        process.send_signal(signal.SIGTERM)
        with limited(process, 10):          # nobody reads its output
            status = process.wait()
        for stream in (process.stdout, process.stdin, process.stderr):
            stream.close()
    assert status == 130


@pytest.mark.skipif(not hasattr(signal, 'pthread_kill'), reason='a signal cannot be sent to a thread')
@pytest.mark.parametrize('handler, words', [(echo, []), (drop_after(0), ['--persist']), (None, [])],
                         ids=['connected', 'in a pause', 'serving'])
def test_interrupt_before_the_main_thread_waits(handler, words, monkeypatch):
    """Another thread gets the signal: as if it came just before poll(), which goes on."""
    set_pause(monkeypatch, 30)
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))
    begun = monotonic()
    timer.start()
    if handler is None:
        assert serve.run(Streams(), arguments.parse(['serve', '--port', '0'])[1]) == 0
    else:
        with Server(handler) as server:
            assert run_client(Streams(), server.url, '-x', 'a', *words) == 130
    timer.join()
    assert monotonic() - begun < 5
    assert signal.set_wakeup_fd(-1) == -1


@posix
def test_interrupt_while_waiting_to_connect_again():
    running = Lomond('ws://127.0.0.1:{}/'.format(closed_port()), '--persist')
    assert 'next attempt in ' in running.wait_for('next attempt')
    running.interrupt(seconds=4)


@posix
@pytest.mark.skipif(platform.python_implementation() == 'PyPy',
                    reason='PyPy installs its handler though SIGINT is ignored')
def test_ignored_interrupts_stay_ignored(server):
    running = Lomond(server.url, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    running.wait_for('connected')
    running.process.send_signal(signal.SIGINT)
    running.process.stdin.write(b'alive\n')
    assert running.process.stdout.readline() == b'alive\n'
    running.interrupt(signal.SIGTERM)


# -- persist: in this process, with shorter delays

class Streams(console.Console):
    """A console that reads given input and keeps its output."""

    def __init__(self, data=b''):
        self.kept = io.BytesIO(), io.BytesIO()
        super(Streams, self).__init__(None, *[io.TextIOWrapper(kept) for kept in self.kept])
        self._data = io.BytesIO(data)

    def read(self, size=65536):
        return self._data.read(4)

    def texts(self):
        return [kept.getvalue().decode('utf-8') for kept in self.kept]


def set_pause(monkeypatch, seconds):
    """Set the time between two attempts."""
    persist = functools.partial(client.persist, min_wait=seconds, max_wait=seconds)
    monkeypatch.setattr(client, 'persist', persist)


def run_client(streams, *words):
    """Run the client in this process, and return its exit status."""
    command, options = arguments.parse([str(word) for word in words])
    return client.run(streams, options)


def test_persist_sends_the_rest_again(monkeypatch):
    def script(connection):
        for _ in range(2 if connection.number < 3 else 1000):
            event = take(connection, 'text')
            if event is None:
                return
            connection.send_text(event.text)
        connection.close(1012)
        take(connection, None)          # the rest

    set_pause(monkeypatch, 0.05)
    streams, lines = Streams(), iter([b'1\n', b'2\n', b'3\n', b'4\n'])
    with Server(script) as server:
        def read(size=0):
            """Hold back the second line until the first connection has closed."""
            line = next(lines, b'')
            if line == b'2\n':
                number, deadline = len([c for c in server.connections if c.request]), monotonic() + 10
                while server.connections[-1].close_code is None and number == 1 and monotonic() < deadline:
                    time.sleep(0.01)
            return line
        streams.read = read
        assert run_client(streams, server.url, '--persist', '-x', 'hello', '--wait', '0.2') == 0
        received = [connection.messages for connection in server.connections]
    assert all(messages[:1] == ['hello'] for messages in received)
    sent = [message for messages in received for message in messages if message != 'hello']
    assert [message for message in ['1', '2', '3', '4'] if message not in sent] == []
    assert 'next attempt in 0.1 s' in streams.texts()[1] or 'next attempt in 0.0 s' in streams.texts()[1]


def test_persist_ends_in_a_pause_when_the_input_is_over(monkeypatch):
    set_pause(monkeypatch, 30)
    streams = Streams()
    with Server(drop_after(0)) as server:
        begun = monotonic()
        assert run_client(streams, server.url, '--persist', '--wait', '0.3') == 1
    assert monotonic() - begun < 10
    assert 'next attempt in ' in streams.texts()[1]


# -- when the machine has no more to give: in this process

def test_no_thread_for_the_input(monkeypatch):
    streams = Streams(b'x')
    with Server(echo) as server:
        refuse_threads(monkeypatch, 'lomond input')
        assert run_client(streams, server.url, '--no-proxy') == 2
    assert streams.texts()[1].endswith("lomond: cannot read the input: can't start new thread\n")


def refuse_threads(monkeypatch, name):
    def start(thread, start=threading.Thread.start):
        if thread.name.startswith(name):
            raise RuntimeError("can't start new thread")
        start(thread)
    monkeypatch.setattr(threading.Thread, 'start', start)


def run_server(streams, *words):
    command, options = arguments.parse([str(word) for word in words])
    return serve.run(streams, options)


def test_no_thread_for_the_server(monkeypatch):
    streams = Streams()
    refuse_threads(monkeypatch, 'lomond')
    assert run_server(streams, 'serve', '--port', '0') == 1
    assert streams.texts()[1] == "lomond: cannot serve: can't start new thread\n"


def test_warnings_of_the_server(monkeypatch):
    """They are written to standard error, on 2.7 too."""
    class Stopped(interrupts.Stop):
        def wait(self, timeout=None):
            logging.getLogger('lomond.testing').warning('no descriptor is free')
    streams = Streams()
    monkeypatch.setattr(serve, 'Stop', Stopped)
    assert run_server(streams, 'serve', '--port', '0') == 0
    assert streams.texts()[1].endswith('\nlomond: no descriptor is free\n')
    assert logging.getLogger('lomond').handlers == []


# -- serve

@posix
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_serve(number):
    serving = Lomond('serve', '--port', '0')
    url = serving.wait_for('listening at').split()[4]
    assert url.startswith('ws://127.0.0.1:')
    status, out, err = lomond(url, '-x', 'hello', '--wait', '0', '--compress')
    assert (status, out) == (0, b'hello\n') and 'permessage-deflate' in err
    open_one = Lomond(url)
    open_one.wait_for('connected')
    serving.process.send_signal(number)
    status, out, err = serving.end()
    assert (status, out) == (0, b'')
    assert err.splitlines()[:3] == [
        '1: / from 127.0.0.1, compressed', '1: closed with 1000 goodbye', '2: / from 127.0.0.1']
    status, _, err = open_one.end()
    assert status == 0 and 'closed by the server: 1001' in err


@posix
def test_serve_tls(certificates):
    serving = Lomond('serve', '--port', '0', '--quiet', '--tls', '{}:{}'.format(
        certificates('server.pem'), certificates('server.key')))
    url = serving.wait_for('listening at').split()[4]
    assert url.startswith('wss://localhost:')
    assert lomond(url, '-x', 'a', '--wait', '0', '--cacert', certificates('ca.pem'))[:2] == (0, b'a\n')
    serving.process.send_signal(signal.SIGINT)
    assert serving.end() == (0, b'', '')


@posix
def test_serve_chat():
    """A page, and a room; names and what is said come to everybody."""
    serving = Lomond('serve', '--port', '0', '--chat')
    url = serving.wait_for('listening at').split()[3]
    assert url.startswith('http://127.0.0.1:')
    sock = socket.create_connection(('127.0.0.1', int(url.split(':')[2].strip('/'))), 10)
    sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    page = b''.join(iter(lambda: sock.recv(65536), b''))
    sock.close()
    assert b'text/html; charset=utf-8' in page and page.rstrip().endswith(b'</html>')
    url = url.replace('http', 'ws')
    status, out, _ = lomond(url, '-x', '{"name": "Ann"}', '-x', '{"text": "hello"}', '--wait', '0.1')
    assert status == 0 and [json.loads(line) for line in out.decode('utf-8').splitlines()] == [
        {'people': ['Ann']}, {'people': ['Ann'], 'name': 'Ann', 'text': 'hello'}]
    for odd in ('no JSON', '5', '{}', '{"name": [1]}', '[' * 9000):
        status, _, err = lomond(url, '-x', odd)
        assert 'closed by the server: 1003 not understood' in err
    status, _, err = lomond(url, '-H', 'Origin: https://evil.example')
    assert status == 3 and '403' in err
    serving.process.send_signal(signal.SIGTERM)
    status, _, err = serving.end()
    assert (status, err) == (0, 'Ann is here\nAnn has left\n')


def test_serve_where_somebody_is_already():
    with Server(echo) as server:
        status, out, err = lomond('serve', '--port', '{}'.format(server.port))
    assert (status, out, err.lower()) == (
        1, b'', 'lomond: cannot listen on 127.0.0.1 port {}: address already in use\n'.format(server.port))


# -- the parts

@pytest.mark.parametrize('text, escaped', [
    ('plain \xe4 \u4e2d \\n', 'plain \xe4 \u4e2d \\n'),
    ('\n\r\t\x00\x1b[31m\x7f\x9b', '\\n\\r\\t\\x00\\x1b[31m\\x7f\\x9b'),
    ('\u202egnp.exe\u2028\u2066', '\\u202egnp.exe\\u2028\\u2066'),
])
def test_escape_text(text, escaped):
    assert console.escape_text(text) == escaped


def test_escape_bytes():
    assert console.escape_bytes(b'a~ \x00\n\x7f\xff') == 'a~ \\x00\\x0a\\x7f\\xff'


class Terminal(io.TextIOWrapper):
    """A stream that claims to be a terminal."""

    def __init__(self, encoding):
        self.kept = io.BytesIO()
        super(Terminal, self).__init__(self.kept, encoding=encoding)

    def isatty(self):
        return True


@pytest.mark.parametrize('encoding, expected', [
    ('utf-8', '\xe4\u4e2d\n'.encode('utf-8')), ('latin-1', b'\xe4\\u4e2d\n'), ('ascii', b'\\xe4\\u4e2d\n')])
def test_terminal_gets_its_encoding(encoding, expected):
    stream = Terminal(encoding)
    console.Writer(stream).write_line('\xe4\u4e2d')
    assert stream.kept.getvalue() == expected


def test_line_that_is_shown_goes_away():
    stream = Terminal('ascii')
    writer = console.Writer(stream)
    writer.show('50 %')
    writer.show('60 %')
    writer.write_line('done')
    writer.show('')
    assert stream.kept.getvalue() == b'50 %\r    \r60 %\r    \rdone\n'


def test_stream_without_bytes():
    stream = io.StringIO()
    console.Writer(stream).write_line('t\xe4xt')
    assert stream.getvalue() == 't\xe4xt\n'


def test_encoding_of_the_keyboard():
    for terminal, encoding in (('ascii', 'utf-8'), ('latin-1', 'latin-1')):
        assert console.Console(Terminal(terminal), None, None).input_encoding == encoding
    assert console.Console(None, None, None).input_encoding == 'utf-8'
    assert console.Console(None, None, None).read() == b''


@pytest.mark.parametrize('word, has_drives, expected', [
    ('a.pem', False, ('a.pem',)), ('a.pem:b.key', False, ('a.pem', 'b.key')),
    ('/x/a.pem:/y/b.key', False, ('/x/a.pem', '/y/b.key')), ('c:/a', False, ('c', '/a')),
    ('C:\\a.pem', True, ('C:\\a.pem',)), ('C:/a.pem', True, ('C:/a.pem',)),
    ('C:\\a.pem:D:\\b.key', True, ('C:\\a.pem', 'D:\\b.key')),
    ('C:\\a.pem:b.key', True, ('C:\\a.pem', 'b.key')),
    ('a.pem:D:\\b.key', True, ('a.pem', 'D:\\b.key')),
    ('a.pem:b.key', True, ('a.pem', 'b.key')),
])
def test_split_cert(word, has_drives, expected):
    assert arguments.split_cert(word, has_drives) == expected


@pytest.mark.parametrize('word', ['', ':', 'a:', ':b', 'a:b:c'])
def test_split_cert_of_nonsense(word):
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.split_cert(word, False)


@pytest.mark.parametrize('parts, kept', [
    ([], []),
    ([b'a'], [b'a']),
    ([b'a\n'], [b'a\n']),
    ([b'a', b'b\nc\r\n\nd', b'e', b'\r', b'\nf\r'], [b'ab\n', b'c\r\n', b'\n', b'de\r\n', b'f\r']),
    ([b'\r\n', b'\n'], [b'\r\n', b'\n']),
    ([b'a\rb\r\r\n', b'\0\x85\x0b\x0c\xff\n'], [b'a\rb\r\r\n', b'\0\x85\x0b\x0c\xff\n']),
])
def test_lines_of(parts, kept):
    for keep_ends in (True, False):
        left = iter(parts + [b''])
        assert list(feed.lines_of(functools.partial(next, left), keep_ends)) == [
            line if keep_ends else re.sub(b'\r?\n$', b'', line) for line in kept]


def test_texts_of_another_encoding():
    assert list(feed.texts_of([b'\xe4'], 'latin-1')) == ['\xe4']
    with pytest.raises(feed.InputFail) as caught:
        list(feed.texts_of([b'', b'\xed\xa0\x80']))
    assert 'line 2 of the input is not UTF-8' in '{}'.format(caught.value)


def test_stop():
    stop = interrupts.Stop()
    assert (stop.is_set(), stop.wait(0), stop.wait(0.01)) == (False, False, False)
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    assert stop.wait(10) is True
    assert (stop.is_set(), stop.wait()) == (True, True)
    timer.join()


def test_progress(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(output, 'monotonic', lambda: now[0])
    stream = Terminal('ascii')
    progress = output.Progress(console.Writer(stream))
    for seconds, stage, length in (
            (0, 'socket_send', 2 * output.MIB), (0.9, 'socket_recv', 100), (0.95, 'send_text', 10 ** 9),
            (2, 'socket_recv', output.MIB), (2.1, 'socket_recv', output.MIB), (4, 'socket_recv', output.MIB)):
        now[0] = seconds
        progress.count({'stage': stage, 'length': length})
    shown = stream.kept.getvalue().decode('ascii').replace(' \r', '\r').split('\r')
    assert [line for line in shown if line.strip()] == [
        'sent 2.0 MiB, received 1.0 MiB, 1.5 MiB/s', 'sent 2.0 MiB, received 3.0 MiB, 1.3 MiB/s']
    progress.reset()
    progress.count({'stage': 'socket_recv', 'length': 2 * output.MIB})
    assert stream.kept.getvalue().decode('ascii').endswith('1.3 MiB/s')


# -- a terminal

@pytest.mark.skipif(not getattr(shutil, 'which', lambda name: os.path.exists('/usr/bin/' + name))('tmux'),
                    reason='tmux is not installed')
def test_in_a_terminal(tmpdir):
    def script(connection):
        for event in connection:
            if event.name == 'text' and event.text == 'big':
                connection.send_binary(b'\x00\xffabc')
                connection.send_text('red \x1b[31m two\nlines')
            elif event.name == 'text':
                connection.send_text(event.text)

    name = 'lomond-test-{}'.format(os.getpid())

    def tmux(*words):
        process = subprocess.Popen(
            ['tmux', '-L', name, '-f', '/dev/null'] + [word.encode('utf-8') for word in words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=child_environ(TERM='screen', LC_ALL='C.UTF-8', TMUX=None))
        output = process.communicate()[0].decode('utf-8')
        assert process.returncode == 0, (words, output)
        return output

    def see(text):
        deadline = monotonic() + 15
        while text not in tmux('capture-pane', '-p', '-t', 'lomond'):
            assert monotonic() < deadline, (text, tmux('capture-pane', '-p', '-t', 'lomond'))
            time.sleep(0.05)

    with Server(script) as server:
        command = 'trap : INT; cd {}; {} -m lomond {} -x w\xf6rld; echo "status $?"; exec cat'.format(
            CHECKOUT, sys.executable, server.url)
        tmux('-u', 'new-session', '-d', '-s', 'lomond', '-x', '100', '-y', '40', '/bin/sh', '-c', command)
        try:
            see('lomond: connected')
            see('w\xf6rld')
            tmux('send-keys', '-t', 'lomond', 'big', 'Enter')
            see('\\x00\\xffabc')
            see('red \\x1b[31m two\\nlines')
            tmux('send-keys', '-t', 'lomond', 'C-c')
            see('lomond: closed: 1001')
            see('status 130')
        finally:
            tmux('kill-server')
        assert server.connections[0].close_code == 1001
