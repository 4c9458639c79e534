"""Parsing of the command line, with its help texts and usage errors.

Knows nothing of: how the commands run. The result is a record of options.
"""

from __future__ import absolute_import, division, unicode_literals

import argparse
import os
import re
import sys

from .._compat import IS_WINDOWS, native, text_type
from .._version import __version__
from .console import escape_text

COMMANDS = ('demo', 'serve')

CLIENT_HELP = """\
lomond demo                run an echo server on loopback and a client that talks to it
lomond serve [--port N]    run an echo server to experiment with
lomond URL [options]       connect to a WebSocket server, as described below

Messages are written to standard output, one per line, and everything else to standard error.
On a terminal, control characters are escaped (\\n, \\x1b), and so is everything in a binary
message that is not printable ASCII. A pipe or file gets messages unchanged: text as UTF-8,
binary messages as raw bytes.

Each line of standard input (UTF-8) is sent as a text message once the connection is ready,
without its line ending unless --keep-line-ends is given. When the input ends, the client
keeps receiving: for --wait seconds if that is given, otherwise until the server closes the
connection.
"""

CLIENT_EPILOG = """\
With --json, every event except Poll is written as one line: an object with "name" (connecting,
connected, ready, text, binary, ping, pong, closing, closed, rejected, disconnected ...), "time"
(seconds since the epoch) and the attributes of the event. Text messages have "text"; binary
messages, pings and pongs have "data" in base64; the body of a rejection is text in "body".

Ctrl-C and SIGTERM close the connection cleanly (code 1001), within two seconds at most; a second
signal ends the program at once.

The exit status is 0 after a clean close, 1 if the connection failed or broke, 2 for a usage error
(or input that is not UTF-8), 3 if the server rejected the handshake, and 130 if interrupted. With
--persist, the last connection counts.

Proxies are taken from the environment (https_proxy, all_proxy, no_proxy ...) unless --proxy or
--no-proxy is given.
"""

SERVE_HELP = """\
Run an echo server, which sends each message back unchanged to any client, or with --chat a page
on which people can talk. Connections are reported on standard error. Ctrl-C and SIGTERM stop the
server with exit status 0.
"""


class Usage(Exception):
    """The command only writes a text, such as its help or a usage error.

    :ivar status: the exit status: 2 for a usage error, 0 if help or the version was
        requested
    :ivar text: the text to write, without a line ending
    """

    def __init__(self, status, text):
        super(Usage, self).__init__(text)
        self.status = status
        self.text = text


class _Parser(argparse.ArgumentParser):
    """A parser that raises Usage: argparse on 2.7 cannot write non-ASCII text."""

    def __init__(self, usage, description, epilog=None):
        super(_Parser, self).__init__(
            prog='lomond', usage=usage, description=description, epilog=epilog, add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument('-h', '--help', action='help', help='show this help and exit')
        self.add_argument('--version', action=_Version, nargs=0, help='show the version and exit')

    def error(self, message):
        if isinstance(message, bytes):
            message = message.decode('utf-8', 'replace')
        message = re.sub('//[^/?#]*@', '//***@', message)       # an extra URL may contain a password
        usage = '{}\nlomond: error: {}'.format(self.format_usage().rstrip(), escape_text(message))
        raise Usage(2, usage)

    def print_help(self, file=None):
        raise Usage(0, self.format_help().rstrip())


class _Version(argparse.Action):
    def __call__(self, *args):
        raise Usage(0, 'lomond {}'.format(__version__))


def _client_parser():
    parser = _Parser('lomond URL [options] | lomond demo | lomond serve [options]',
                     CLIENT_HELP, CLIENT_EPILOG)
    add = parser.add_argument
    add('url', metavar='URL', nargs='?', help='ws:// or wss:// (http:// and https:// mean the same)')
    add('-H', '--header', metavar="'NAME: VALUE'", dest='headers', action='append', default=[],
        type=parse_header, help='add a header to the request (may be repeated)')
    add('--protocol', metavar='P', dest='protocols', action='append', default=[],
        help='offer a subprotocol (may be repeated, in order of preference)')
    proxies = parser.add_mutually_exclusive_group()
    proxies.add_argument('--proxy', metavar='URL',
                         help='use this http, https, socks4, socks4a, socks5 or socks5h proxy')
    proxies.add_argument('--no-proxy', action='store_true',
                         help='use no proxy, even if the environment sets one')
    add('--cacert', metavar='FILE', type=native_path,
        help='trust the certificates in this PEM file (or directory)')
    add('--cert', metavar='FILE[:KEY]', type=split_cert,
        help='client certificate, and its key if that is in another file')
    add('--insecure', action='store_true', help='do not verify the certificate or the host name')
    add('--compress', action='store_true', help='offer compression (permessage-deflate)')
    add('--persist', action='store_true',
        help='reconnect after a delay whenever the connection ends or fails; input that could not be '
             'sent is sent then, and so are the messages of -x, again')
    add('--ping-rate', metavar='S', type=parse_seconds, default=30.0,
        help='seconds between pings; 0 sends none (default: 30)')
    add('--ping-timeout', metavar='S', type=parse_seconds,
        help='drop the connection after this many seconds without a pong or other data '
             '(default: no limit)')
    add('--connect-timeout', metavar='S', type=parse_seconds, default=30.0,
        help='give up if the connection is not ready after this many seconds; 0 sets no limit '
             '(default: 30)')
    add('--wait', metavar='S', type=parse_seconds,
        help='close the connection this many seconds after the end of the input; with -x, a terminal '
             'is not read for input (default: wait for the server to close)')
    add('-x', '--execute', metavar='MESSAGE', dest='messages', action='append', default=[],
        help='send a message as soon as the connection is ready (may be repeated)')
    add('--binary', action='store_true',
        help='send binary messages: each -x, and the input as it arrives, in chunks of up to 64 KiB '
             'instead of lines; in a pipe or file, write messages without line endings')
    add('--keep-line-ends', action='store_true',
        help='send each line of the input with its line ending (LF or CR LF); with --binary, send lines, '
             'not chunks')
    add('--json', action='store_true', help='write events as JSON objects, one per line, instead of messages')
    tell = parser.add_mutually_exclusive_group()
    tell.add_argument('--quiet', '-q', action='store_true', help='write only errors to standard error')
    tell.add_argument('--verbose', '-v', action='store_true',
                      help='write events and a trace of each step to standard error')
    return parser


def _serve_parser():
    parser = _Parser('lomond serve [--port N] [--host ADDRESS] [--tls CERT[:KEY]] [--chat] [--quiet]',
                     SERVE_HELP)
    add = parser.add_argument
    add('--port', metavar='N', type=parse_port, default=8080,
        help='port to listen on; 0 picks a free one (default: 8080)')
    add('--host', metavar='ADDRESS', default='127.0.0.1',
        help='address to listen on; 0.0.0.0 or :: means all (default: 127.0.0.1)')
    add('--tls', metavar='CERT[:KEY]', type=split_cert,
        help='serve wss:// with this certificate, and its key if that is in another file')
    add('--chat', action='store_true', help='serve a chat instead of the echo, with a page for browsers')
    add('--quiet', '-q', action='store_true', help='do not report connections')
    return parser


def _demo_parser():
    return _Parser('lomond demo',
                   'Run an echo server on loopback and a client that talks to it, and print every event.')


def parse(argv):
    """Parse a command line.

    :param argv: list of native ``str``
    :returns: ``(command, options)``; the command is ``'demo'``, ``'serve'`` or
        ``'client'``
    :raises Usage: on an error, or if help or the version was requested
    """
    words = [decode_word(word) for word in argv]
    command = words.pop(0) if words and words[0] in COMMANDS else 'client'
    parser = {'demo': _demo_parser, 'serve': _serve_parser, 'client': _client_parser}[command]()
    options = parser.parse_args(words)
    if command == 'client' and options.url is None:
        parser.error("a URL, 'demo' or 'serve' is required")
    options.fail = parser.error
    return command, options


# -- single arguments

def _wrong(sentence):
    return argparse.ArgumentTypeError(native(sentence))     # argparse calls str() on it


def decode_word(word):
    """Return an element of ``sys.argv`` as text.

    On 2.7 it is bytes. 3.x has decoded it with the encoding of the locale, and used
    surrogates for what does not fit: on 3.6 with LANG=C, for everything beyond ASCII.
    """
    if isinstance(word, text_type):
        if not re.search('[\ud800-\udfff]', word) or not hasattr(os, 'fsencode'):
            return word
        word = os.fsencode(word)
    for encoding in ('utf-8', sys.getfilesystemencoding() or 'ascii'):
        try:
            return word.decode(encoding)
        except UnicodeDecodeError:
            pass
    raise Usage(2, 'lomond: error: {} is not UTF-8'.format(escape_text(word.decode('ascii', 'replace'))))


def native_path(path):
    """Return a path in a form that works in any locale: bytes if it is not ASCII."""
    if IS_WINDOWS or all(char < '\x80' for char in path):
        return path
    return path.encode('utf-8')


def parse_header(word):
    """Split 'Name: value' into ``(name, value)``."""
    name, colon, value = word.partition(':')
    if not colon or not name.strip():
        # Without a colon, whatever follows the name may be a secret.
        begin = re.match(r'[\w-]*', word).group()
        raise _wrong("'{}' is not a header; use 'Name: value'".format(
            begin + '...' if begin != word else word))
    return name.strip(), value.strip()


def parse_seconds(word):
    """Parse a number of seconds, 0 to 1e9."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 1e9:
        raise _wrong("'{}' is not a number of seconds; 0 to 1e9 are allowed".format(word))
    return seconds


def parse_port(word):
    """Parse a port, 0 to 65535."""
    if not re.match(r'[0-9]{1,5}\Z', word) or int(word) > 65535:
        raise _wrong("'{}' is not a port; 0 to 65535 are allowed".format(word))
    return int(word)


def split_cert(word, has_drives=IS_WINDOWS):
    """Split FILE[:KEY] into ``(certificate,)`` or ``(certificate, key)``.

    :param has_drives: if true, a letter, a colon and a slash can begin a path, as in
        ``C:\\a.pem:D:\\b.pem``
    """
    drive = r'(?:[A-Za-z]:(?=[\\/]))?' if has_drives else ''
    match = re.match('({0}[^:]+)(?::({0}[^:]+))?\\Z'.format(drive), word)
    if not match:
        raise _wrong("'{}' is neither FILE nor FILE:KEY".format(word))
    return tuple(native_path(path) for path in match.groups() if path)
