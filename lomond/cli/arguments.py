"""What the words of a command line mean, and the sentences about those that mean nothing.

It must not know how anything is done: the result is a record of options.
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
lomond demo                an echo server of our own on loopback, and a client that talks to it
lomond serve [--port N]    an echo server for trying things
lomond URL [options]       connect to a WebSocket server:

Messages are written to standard output, one a line; everything else to standard error. On a
terminal control characters are escaped (\\n, \\x1b), and bytes that are not printable ASCII in
binary messages; a pipe or file gets messages as they are: text in UTF-8, binary as bytes.

Lines of standard input (UTF-8) are sent as text messages, without their line end, once the
connection is ready. After the end of the input the client goes on receiving: for --wait
seconds, else until the server closes.
"""

CLIENT_EPILOG = """\
JSON: each event but Poll is one line, an object with "name" (connecting, connected, ready, text,
binary, ping, pong, closing, closed, rejected, disconnected ...), "time" (epoch seconds) and the
attributes of the event; a text message has "text", binary messages, pings and pongs have "data"
in base64, the body of a refusal is text in "body".

Ctrl-C, and SIGTERM, close the connection cleanly (code 1001), within two seconds at most; a
second one ends at once.

Exit status: 0 clean close, 1 connection failed or broke, 2 usage (also input that is not UTF-8),
3 rejected by the server, 130 interrupted. With --persist: of the last connection.

Proxies are taken from the environment (https_proxy, all_proxy, no_proxy ...) unless --proxy or
--no-proxy is given.
"""

SERVE_HELP = """\
An echo server: each message comes back as it is. Connections are told on standard error.
Ctrl-C, and SIGTERM, end it with exit status 0.
"""


class Usage(Exception):
    """Nothing is to be done but to write a text.

    :ivar status: exit status: 2 for a mistake, 0 for help that was asked for
    :ivar text: what to write, text without a line end
    """

    def __init__(self, status, text):
        super(Usage, self).__init__(text)
        self.status = status
        self.text = text


class _Parser(argparse.ArgumentParser):
    """argparse writes to the streams by itself, in a way that fails for text on 2.7; this does not."""

    def __init__(self, usage, description, epilog=None):
        super(_Parser, self).__init__(
            prog='lomond', usage=usage, description=description, epilog=epilog, add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument('-h', '--help', action='help', help='write this and end')
        self.add_argument('--version', action=_Version, nargs=0, help='write the version and end')

    def error(self, message):
        if isinstance(message, bytes):
            message = message.decode('utf-8', 'replace')
        message = re.sub('//[^/?#]*@', '//***@', message)       # a URL too many, with a password
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
    add('url', metavar='URL', nargs='?', help='ws://, wss:// (or http://, https:// in their place)')
    add('-H', '--header', metavar="'NAME: VALUE'", dest='headers', action='append', default=[],
        type=parse_header, help='send a header with the request (may be repeated)')
    add('--protocol', metavar='P', dest='protocols', action='append', default=[],
        help='offer a subprotocol (may be repeated, in order of preference)')
    proxies = parser.add_mutually_exclusive_group()
    proxies.add_argument('--proxy', metavar='URL',
                         help='http, https, socks4, socks4a, socks5 or socks5h proxy')
    proxies.add_argument('--no-proxy', action='store_true', help='no proxy, whatever the environment says')
    add('--cacert', metavar='FILE', type=native_path,
        help='trust the certificates of this PEM file (or directory)')
    add('--cert', metavar='FILE[:KEY]', type=split_cert,
        help='client certificate, and its key when that is in another file')
    add('--insecure', action='store_true', help='check neither certificate nor host name')
    add('--compress', action='store_true', help='offer compression (permessage-deflate)')
    add('--persist', action='store_true',
        help='connect again, after a pause, whenever the connection ends or fails; input that could '
             'not be sent is sent then, and the messages of -x once more')
    add('--ping-rate', metavar='S', type=parse_seconds, default=30.0,
        help='seconds between two pings; 0: none (default: 30)')
    add('--ping-timeout', metavar='S', type=parse_seconds,
        help='seconds without an answer until the connection is given up (default: no limit)')
    add('--connect-timeout', metavar='S', type=parse_seconds, default=30.0,
        help='seconds for everything until the connection is ready; 0: no limit (default: 30)')
    add('--wait', metavar='S', type=parse_seconds,
        help='seconds to go on receiving after the end of the input, then close; with -x a terminal '
             'is not read for input (default: until the server closes)')
    add('-x', '--execute', metavar='MESSAGE', dest='messages', action='append', default=[],
        help='send a message as soon as the connection is ready (may be repeated)')
    add('--binary', action='store_true',
        help='send binary messages: each -x, and the input not in lines but in pieces of up to 64 KiB '
             'as they come; in a pipe or file write messages without a line end between')
    add('--json', action='store_true', help='write events, one JSON object a line, in place of messages')
    tell = parser.add_mutually_exclusive_group()
    tell.add_argument('--quiet', '-q', action='store_true', help='nothing on standard error but errors')
    tell.add_argument('--verbose', '-v', action='store_true',
                      help='events and each step (trace) on standard error')
    return parser


def _serve_parser():
    parser = _Parser('lomond serve [--port N] [--host ADDRESS] [--tls CERT[:KEY]] [--quiet]', SERVE_HELP)
    add = parser.add_argument
    add('--port', metavar='N', type=parse_port, default=8080, help='0: any free one (default: 8080)')
    add('--host', metavar='ADDRESS', default='127.0.0.1',
        help='address to listen on; 0.0.0.0 or :: for all (default: 127.0.0.1)')
    add('--tls', metavar='CERT[:KEY]', type=split_cert,
        help='serve wss:// with this certificate, and its key when that is in another file')
    add('--quiet', '-q', action='store_true', help='do not tell of connections')
    return parser


def _demo_parser():
    return _Parser('lomond demo',
                   'An echo server of our own on loopback and a client that talks to it, each event printed.')


def parse(argv):
    """Take a command line apart.

    :param argv: list of native ``str``
    :returns: ``('demo', 'serve' or 'client', options)``
    :raises Usage: there is something to write and nothing to do
    """
    words = [decode_word(word) for word in argv]
    command = words.pop(0) if words and words[0] in COMMANDS else 'client'
    parser = {'demo': _demo_parser, 'serve': _serve_parser, 'client': _client_parser}[command]()
    options = parser.parse_args(words)
    if command == 'client' and options.url is None:
        parser.error("a URL, 'demo' or 'serve' is needed")
    options.fail = parser.error
    return command, options


# -- the words

def _wrong(sentence):
    return argparse.ArgumentTypeError(native(sentence))     # argparse calls str() on it


def decode_word(word):
    """A word of ``sys.argv`` as text.

    2.7 gives bytes; 3.x decodes them by the locale, with surrogates for what does not fit (everything
    beyond ASCII with LANG=C on 3.6).
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
    """A path as the functions of the system want it, whatever the locale."""
    if IS_WINDOWS or all(char < '\x80' for char in path):
        return path
    return path.encode('utf-8')


def parse_header(word):
    """``(name, value)`` of 'Name: value'."""
    name, colon, value = word.partition(':')
    if not colon or not name.strip():
        # What is behind the name may be a secret that was to follow a colon.
        begin = re.match(r'[\w-]*', word).group()
        raise _wrong("'{}' is no header; 'Name: value' is allowed".format(
            begin + '...' if begin != word else word))
    return name.strip(), value.strip()


def parse_seconds(word):
    """A finite number, 0 or more."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 1e9:
        raise _wrong("'{}' is no number of seconds, 0 to 1e9".format(word))
    return seconds


def parse_port(word):
    """An int, 0 to 65535."""
    if not re.match(r'[0-9]{1,5}\Z', word) or int(word) > 65535:
        raise _wrong("'{}' is no port; 0 to 65535 is allowed".format(word))
    return int(word)


def split_cert(word, has_drives=IS_WINDOWS):
    """``(certificate,)`` or ``(certificate, key)`` of FILE[:KEY].

    :param has_drives: ``C:\\a.pem:D:\\b.pem``: a letter, a colon and a slash begin a path
    """
    drive = r'(?:[A-Za-z]:(?=[\\/]))?' if has_drives else ''
    match = re.match('({0}[^:]+)(?::({0}[^:]+))?\\Z'.format(drive), word)
    if not match:
        raise _wrong("'{}' is no FILE or FILE:KEY".format(word))
    return tuple(native_path(path) for path in match.groups() if path)
