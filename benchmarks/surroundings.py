"""The setup of a run: environments, servers, a copy of the checkout, streams.

Knows nothing of: what is measured, the figures.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'tools'))

import environments  # noqa: E402
from workloads import MESSAGES, PARTS_MODES, encode_stream, parts_payload, stream_name  # noqa: E402

CHECKOUT = environments.CHECKOUT
Failed = environments.Failed

#: A client to measure. `environment` is 'peers' or 'wsaccel'; `package` is its name for
#: pip; `checkout` is true if it uses the lomond of this checkout (or of ``--before``).
Client = namedtuple('Client', 'name module environment package checkout')

CLIENTS = (
    Client('lomond', 'lomond_client', 'peers', None, True),
    Client('lomond+wsaccel', 'lomond_client', 'wsaccel', None, True),
    Client('0.3.4', 'lomond_client', 'wsaccel', 'lomond', False),
    Client('websocket-client', 'websocket_client', 'wsaccel', 'websocket-client', False),
    Client('websockets', 'websockets_client', 'peers', 'websockets', False),
    Client('wsproto', 'wsproto_client', 'peers', 'wsproto', False),
    Client('aiohttp', 'aiohttp_client', 'peers', 'aiohttp', False),
    Client('picows', 'picows_client', 'peers', 'picows', False),
    Client('lomond-aio', 'lomond_aio_client', 'peers', None, True),
    Client('websockets-asyncio', 'websockets_asyncio_client', 'peers', 'websockets', False),
    Client('limit', 'limit', 'peers', None, False),
)

#: The tree of another revision (``--before``).
BEFORE = Client('before', 'lomond_client', 'peers', None, True)

#: Clients that are measured only if ``--clients`` names them.
ON_REQUEST = ('lomond-aio', 'websockets-asyncio')

#: Clients without permessage-deflate.
NO_DEFLATE = ('websocket-client', 'picows')

PINS = {'peers': os.path.join(HERE, 'pins-peers.txt'), 'wsaccel': os.path.join(HERE, 'pins-wsaccel.txt')}


class Python:
    """One Python with its two environments.

    :param interpreter: an ``Interpreter`` of :mod:`environments`
    """

    def __init__(self, interpreter, folder, log):
        self.version = interpreter.version
        self.full_version = interpreter.full_version
        virtualenv = None
        if self.version == '2.7':
            virtualenv = environments.make(folder, 'tools', environments.this_interpreter(),
                                           [environments.PINS_TOOLS], log)
        self.executables, self._installed = {}, {}
        for name, pins in PINS.items():
            self.executables[name] = environments.make(
                folder, 'bench-{}-{}'.format(self.version, name), interpreter, [pins], log, virtualenv)
            listed = subprocess.check_output([self.executables[name], '-m', 'pip', 'list', '--format=json'],
                                             stderr=subprocess.DEVNULL, env=environments.child_environ())
            self._installed[name] = dict((row['name'].lower(), row['version'])
                                         for row in json.loads(listed.decode('utf-8')))

    def installed(self, environment):
        """Return the names of the packages in an environment."""
        return set(self._installed[environment])

    def version_of(self, client):
        """Return the version of a client's package, or None if it is not installed."""
        if client.package is None:
            return 'checkout' if client.checkout else self.full_version
        return self._installed[client.environment].get(client.package)


def child_environ(**more):
    """Return the environment for clients: no proxies, and bytecode is cached."""
    environ = environments.child_environ(**more)
    environ.pop('PYTHONDONTWRITEBYTECODE', None)
    for name in list(environ):
        if name.lower().endswith('_proxy'):
            del environ[name]
    return environ


def copy_checkout(folder):
    """Copy the package, so that edits during a run have no effect.

    :returns: the folder to import it from
    """
    target = os.path.join(folder, 'checkout')
    shutil.copytree(os.path.join(CHECKOUT, 'lomond'), os.path.join(target, 'lomond'),
                    ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
    return target


def copy_revision(folder, revision):
    """Copy the package as it was in another revision.

    :returns: the folder to import it from
    """
    target = os.path.join(folder, 'before')
    archive = os.path.join(folder, 'before.tar')
    status = subprocess.call(['git', '-C', CHECKOUT, 'archive', '-o', archive, revision, 'lomond'])
    if status != 0:
        raise Failed('there is no revision {}'.format(revision))
    with tarfile.open(archive) as files:
        files.extractall(target)
    return target


class Streams:
    """The files with the frames to send and the messages that clients expect."""

    def __init__(self, folder):
        self.folder = folder
        self._sizes = {}        # name -> (sizes of frames, sizes of payloads, path of payloads)

    def make(self, workload):
        """Return the sizes of frames and payloads, and the path of the payloads."""
        name = stream_name(workload)
        if name not in self._sizes:
            messages = MESSAGES[workload.messages]()
            if workload.mode in PARTS_MODES:        # the server makes the frames
                messages = messages[:1]
                frames = [parts_payload(workload, messages[0])]
            else:
                frames = encode_stream(workload, messages)
            with open(os.path.join(self.folder, name), 'wb') as stream:
                stream.writelines(frames)
            path = os.path.join(self.folder, name + '.payloads')
            with open(path, 'wb') as payloads:
                payloads.writelines(messages)
            self._sizes[name] = ([len(frame) for frame in frames], [len(message) for message in messages],
                                 path)
        return self._sizes[name]


def can_pin():
    """Return whether processes can be pinned, and there is more than one processor."""
    try:
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError):       # not Linux; a sandbox
        return False
    return len(cpus) > 1


# If the scheduler is free to run the two processes on one core or on two, each row that
# waits has two different figures.

def pin_client():
    """Pin the calling child process to the first processor."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


def pin_server():
    """Pin the calling child process to all processors but the first."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[1:])


class Server:
    """A server process. It ends when its standard input does, or in :meth:`stop`."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         env=child_environ(), start_new_session=True,
                                         preexec_fn=pin_server if can_pin() else None)
        line = self._process.stdout.readline()
        if not line:
            raise Failed('the server did not start: ' + ' '.join(command))
        self.port = int(line)

    def stop(self):
        """End the process; a second call does nothing."""
        if self._process.stdin.closed:
            return
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def start_server(folder, log):
    """Start the server in C, or in Python if there is no compiler.

    :returns: (the server, a description)
    """
    program = os.path.join(folder, 'server')
    compiler = os.environ.get('CC') or shutil.which('cc') or shutil.which('gcc') or shutil.which('clang')
    if compiler:
        command = compiler.split() + ['-O2', '-pthread', '-o', program, os.path.join(HERE, 'server.c')]
        if environments.run(command, log) == 0:
            return Server([program, folder]), 'in C'
    return Server([sys.executable, os.path.join(HERE, 'server.py'), folder]), 'in Python; its speed counts'


def start_tls_server(folder, log):
    """Start the TLS server.

    :returns: (the server, its certificate), or (None, None) without openssl
    """
    cert, key = os.path.join(folder, 'cert.pem'), os.path.join(folder, 'key.pem')
    config = os.path.join(folder, 'openssl.cnf')
    with open(config, 'w') as text:
        text.write('[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n'
                   '[name]\nCN = 127.0.0.1\n'
                   '[extensions]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = critical,CA:TRUE\n')
    openssl = shutil.which('openssl')
    if not openssl or environments.run(
            [openssl, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-config', config,
             '-keyout', key, '-out', cert], log) != 0:
        return None, None
    return Server([sys.executable, os.path.join(HERE, 'server.py'), folder, cert, key]), cert
