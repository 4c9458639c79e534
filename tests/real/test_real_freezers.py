"""A frozen program connects: with TLS, through proxies, compressed, again after a break."""

from __future__ import absolute_import, division, unicode_literals

import os
import shutil
import subprocess

import pytest
from counterparts import environment_program
from support import peer
from support.certificates import server_context
from support.proxy import Proxy

import lomond
from lomond.testing import Server, echo

PROGRAM = '''
import sys
from lomond import WebSocket
from lomond.persist import persist

url, proxy, cafile = sys.argv[1:]
websocket = WebSocket(url, proxies=dict(all=proxy or None), ssl_cafile=cafile or None, compress=True)
count = 0
for event in persist(websocket, min_wait=0, max_wait=0, max_retries=2):
    if event.name == 'ready':
        count += 1
        websocket.send_json(count=count, compressed=websocket.supports_compression)
    elif event.name == 'text':
        print(event.text)
        if event.json['count'] == 2:
            break
        websocket.force_disconnect()
    elif event.name == 'connect_fail':
        print(event.reason)
'''


@pytest.fixture(scope='module')
def frozen(tmpdir_factory):
    """The program, frozen by PyInstaller, without any hint about lomond."""
    pyinstaller = environment_program('freezers', 'pyinstaller')
    folder = tmpdir_factory.mktemp('frozen')
    folder.join('program.py').write(PROGRAM)
    shutil.copytree(os.path.dirname(lomond.__file__), str(folder.join('lomond')))
    done = subprocess.Popen([pyinstaller, '--onedir', '--log-level', 'WARN', 'program.py'], cwd=str(folder),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.communicate()[0].decode('utf-8', 'replace')
    assert done.returncode == 0, said
    return str(folder.join('dist', 'program', 'program'))


def run(frozen, *words, **variables):
    child = subprocess.Popen([frozen] + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env=dict(variables, LANG='C'))
    return child.communicate()[0].decode('utf-8').splitlines()


ANSWERS = ['{"count": %d, "compressed": true}' % count for count in (1, 2)]


@pytest.mark.timeout(300)       # PyInstaller takes 15 s
@pytest.mark.parametrize('kind', [None, 'http', 'https', 'socks5h'])
@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_frozen_program_connects(frozen, certs, scheme, kind):
    context = server_context(certs.server)
    with Server(echo, ssl_context=context if scheme == 'wss' else None) as server:
        if kind is None:
            assert run(frozen, server.url, '', certs.ca) == ANSWERS
            return
        script = Proxy(kind, server.port, (b'user', b'secret'))
        with peer.Server(script, script, tls=context if kind == 'https' else None) as proxy:
            url = '{}://user:secret@127.0.0.1:{}'.format(kind, proxy.port)
            assert run(frozen, server.url, url, certs.ca) == ANSWERS


def test_frozen_program_has_the_certificates_of_certifi(frozen, certs, tmpdir):
    with Server(echo, ssl_context=server_context(certs.server), raise_errors=False) as server:
        reasons = run(frozen, server.url, '', '', SSL_CERT_FILE=str(tmpdir.join('no-file')),
                      SSL_CERT_DIR=str(tmpdir.join('no-folder')))
    assert len(reasons) == 2 and all('certificate verify failed' in reason for reason in reasons)
