#!/usr/bin/env python3
"""Fetch the servers and proxies that tests/real runs against; it must not know what is
tested.

    python3 tests/real/install.py            what is missing
    python3 tests/real/install.py --anew     everything, from nothing

All of it goes into the git-ignored folder ``.real`` of the checkout: Debian's packages
are fetched by apt-get and unpacked there (nothing is installed into the system, no
service is started, root is not needed), PyPI's get virtual environments, npm's a
folder, certificates are made by openssl.  What the machine has installed already is
used from where it is.  What cannot be had is named at the end with the reason; the exit
status is 1 then, and the tests that want it are skipped.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))
REAL = os.path.join(CHECKOUT, '.real')
sys.path.insert(0, os.path.join(CHECKOUT, 'compliance'))

import interpreters  # noqa: E402

#: Package of Debian: program, or font, that it brings.
DEBIAN = {'nginx': 'nginx', 'haproxy': 'haproxy', 'caddy': 'caddy', 'apache2': 'apache2',
          'varnish': 'varnishd', 'tinyproxy': 'tinyproxy', 'squid': 'squid', 'microsocks': 'microsocks',
          'dante-server': 'danted', 'mosquitto': 'mosquitto', 'nats-server': 'nats-server',
          'chromium': 'chromium', 'firefox-esr': 'firefox-esr',
          'fonts-noto-color-emoji': 'NotoColorEmoji.ttf', 'redis-server': 'redis-server'}
#: Environment: what pip puts in.  mitmproxy wants old versions of what others want new.
PYPI = {'servers': ['websockets', 'aiohttp', 'tornado', 'uvicorn', 'wsproto'],
        'clients': ['websockets', 'aiohttp', 'websocket-client', 'pycurl'],
        'mitmproxy': ['mitmproxy==11.0.2'], 'jupyter': ['jupyter-server', 'ipykernel'],
        'gevent': ['gevent', 'six', 'certifi'],
        'wsgi': ['werkzeug', 'flask', 'gunicorn', 'packaging', 'gevent', 'eventlet', 'cheroot', 'cherrypy',
                 'bottle', 'django', 'waitress', 'ws4py==0.6.0', 'tornado', 'six', 'certifi'],
        'wsgi-2.7': ['werkzeug==1.0.1', 'gunicorn==19.10.0', 'futures', 'gevent==22.10.2', 'cheroot==8.2.1',
                     'cherrypy==17.4.2', 'ws4py==0.6.0', 'six', 'certifi'],
        'uwsgi': ['uwsgi', 'six', 'certifi'],
        'freezers': ['pyinstaller', 'six', 'certifi'],
        'redis': ['redis', 'six', 'certifi']}
#: The last virtualenv that makes environments of 2.7.
VIRTUALENV = 'virtualenv==20.21.1'
NPM = ['ws', 'socket.io', 'graphql', 'graphql-ws']
#: Where programs are, below / and below .real/debian.
PROGRAM_FOLDERS = ('usr/local/sbin', 'usr/local/bin', 'usr/sbin', 'usr/bin', 'sbin', 'bin',
                   'usr/share/fonts/truetype/noto')

#: Seconds for one command.
LIMIT = 600


class Failed(Exception):
    """A command did not do it, with the end of what it said."""


def run(*command, **options):
    """Run a command.

    :return: what it printed
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed('%s: %s' % (command[0], error))
    text = done.stdout.decode('utf-8', 'replace')
    if done.returncode:
        raise Failed('%s gave %d: %s' % (
            ' '.join(command[:4]), done.returncode, ' '.join(text.split()[-40:])))
    return text


def find_program(name):
    """Path of a program of Debian's, the system's or our own; None."""
    for root in ('/', os.path.join(REAL, 'debian')):
        for folder in PROGRAM_FOLDERS:
            path = os.path.join(root, folder, name)
            if os.path.isfile(path):
                return path
    return None


def unpack_debian(package):
    """Unpack a package, with those that it needs and the system lacks, into
    .real/debian.
    """
    program = DEBIAN[package]
    if find_program(program):
        return
    state = os.path.join(REAL, 'apt')
    lists, archives = os.path.join(state, 'lists'), os.path.join(state, 'archives')
    for folder in (lists, archives):
        os.makedirs(os.path.join(folder, 'partial'), exist_ok=True)
    options = ['-q', '-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User=']
    if not any(name.endswith(('Packages', 'Packages.lz4')) for name in os.listdir('/var/lib/apt/lists')):
        # The machine was never told of any packages.
        options += ['-o', 'Dir::State::Lists=%s' % lists]
        if not any('Packages' in name for name in os.listdir(lists)):
            run('apt-get', *(options + ['update']))
    plan = run('apt-get', *(options + ['-s', '--no-install-recommends', 'install', package]))
    # 'Inst name (version ..' is new, 'Inst name [version] (..' is there in another
    # version.
    wanted = re.findall(r'^Inst (\S+) \((\S+)', plan, re.M)
    run('apt-get', *(options + ['download'] + ['%s=%s' % pair for pair in wanted]), cwd=archives)
    for name, _ in wanted:
        for archive in os.listdir(archives):
            if archive.startswith(name + '_'):
                run('dpkg-deb', '-x', os.path.join(archives, archive), os.path.join(REAL, 'debian'))
    if not find_program(program):
        raise Failed('unpacked, but there is no %s' % program)


def make_environment(name):
    """A virtual environment with some packages of PyPI; of Python 2.7 if its name says so.
    """
    home = os.path.join(REAL, 'venvs', name)
    done = os.path.join(home, 'done.txt')
    wanted = ' '.join(PYPI[name])
    if os.path.exists(done) and open(done).read() == wanted:
        return
    shutil.rmtree(home, ignore_errors=True)
    try:
        if name.endswith('-2.7'):
            make_old_environment(home)
        else:
            run(sys.executable, '-m', 'venv', home)
        # wheels of mitmproxy's needs a pip that is not too old
        run(os.path.join(home, 'bin', 'python'), '-m', 'pip', 'install', '-q', *PYPI[name])
    except Failed:
        shutil.rmtree(home, ignore_errors=True)
        raise
    with open(done, 'w') as text:
        text.write(wanted)


def make_old_environment(home):
    """An empty virtual environment of Python 2.7."""
    python = interpreters.find('2.7')
    if python is None:
        raise Failed('there is no Python 2.7, neither in a pyenv nor on PATH')
    maker = os.path.join(REAL, 'venvs', 'virtualenv')
    run(sys.executable, '-m', 'venv', maker)
    run(os.path.join(maker, 'bin', 'python'), '-m', 'pip', 'install', '-q', VIRTUALENV)
    run(os.path.join(maker, 'bin', 'python'), '-m', 'virtualenv', '-q', '--app-data',
        os.path.join(maker, 'data'), '-p', python.path, home)


def install_npm(name):
    """A package of npm, in a folder of ours."""
    home = os.path.join(REAL, 'npm')
    if os.path.exists(os.path.join(home, 'node_modules', name, 'package.json')):
        return
    os.makedirs(home, exist_ok=True)
    run('npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', home, name)


def make_certificates():
    """A CA, and what it signed: a server, one of another name, a client (its key also
    with a password).
    """
    home = os.path.join(REAL, 'certificates')
    if os.path.exists(os.path.join(home, 'locked.key')):
        return
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    key = ['-newkey', 'rsa:2048', '-nodes']
    # 20 years: nobody should have to renew what never leaves the machine.
    run('openssl', 'req', '-x509', *key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '7300', '-subj',
        '/CN=lomond tests CA', '-addext', 'keyUsage=critical,keyCertSign,cRLSign', cwd=home)
    for name, extensions in (
            ('server', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1'),
            ('other', 'subjectAltName=DNS:other.localhost'),
            ('client', 'extendedKeyUsage=clientAuth')):
        with open(os.path.join(home, 'extensions'), 'w') as text:
            text.write('basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\n'
                       'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n%s\n' % extensions)
        run('openssl', 'req', *key, '-keyout', name + '.key', '-out', name + '.csr', '-subj', '/CN=' + name,
            cwd=home)
        run('openssl', 'x509', '-req', '-in', name + '.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key',
            '-CAcreateserial', '-days', '7300', '-extfile', 'extensions', '-out', name + '.crt', cwd=home)
        # Certificate and key in one file: what HAProxy, mitmproxy and
        # ssl_cert='both.pem' take.
        with open(os.path.join(home, name + '.pem'), 'w') as both:
            for ending in ('.crt', '.key'):
                with open(os.path.join(home, name + ending)) as text:
                    both.write(text.read())
    run('openssl', 'pkey', '-aes256', '-passout', 'pass:secret', '-in', 'client.key', '-out', 'locked.key',
        cwd=home)
    # Servers that begin as root give up their rights before they read.
    for name in os.listdir(home):
        os.chmod(os.path.join(home, name), 0o644)


def main(arguments):
    parser = argparse.ArgumentParser(description='Fetch what tests/real runs against.')
    parser.add_argument('--anew', action='store_true', help='throw away what is there')
    options = parser.parse_args(arguments)
    if options.anew:
        shutil.rmtree(REAL, ignore_errors=True)
    os.makedirs(REAL, exist_ok=True)
    steps = [('certificates', make_certificates, ())]
    steps += [('PyPI: ' + ' '.join(PYPI[name]), make_environment, (name,)) for name in PYPI]
    steps += [('npm: ' + name, install_npm, (name,)) for name in NPM]
    steps += [('Debian: ' + name, unpack_debian, (name,)) for name in DEBIAN]
    missing = 0
    for name, step, names in steps:
        try:
            step(*names)
            print('%-50s there' % name, flush=True)
        except (Failed, OSError) as error:
            missing += 1
            print('%-50s could not be had: %s' % (name, error), flush=True)
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
