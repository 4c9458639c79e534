"""Runs the examples that talk to other projects' programs: mosquitto, Chromium,
Jupyter, gevent.
"""

from __future__ import absolute_import, division, unicode_literals

import io
import os
import re
import subprocess
import sys
import zlib

import pytest
from counterparts import Counterpart, environment_program, program

import lomond
from lomond.testing import Server, echo

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'examples')
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(lomond.__file__)))

pytestmark = pytest.mark.skipif(sys.version_info < (3, 6), reason='the examples are written for Python 3')

TOKEN = 'a-token-of-this-test'


def run_example(name, *arguments, **options):
    """Run it to its end; what it printed.  What it says on stderr goes to the report of
    the test.
    """
    environ = dict(os.environ, PYTHONPATH=PACKAGE, PYTHONIOENCODING='utf-8', PYTHONDONTWRITEBYTECODE='1')
    command = [options.get('python', sys.executable), os.path.join(EXAMPLES, name)] + list(arguments)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environ, timeout=50)
    text = done.stdout.decode('utf-8')
    assert done.returncode == options.get('status', 0), text
    return text


@pytest.fixture
def mosquitto():
    started = Counterpart(lambda self: [program('mosquitto'), '-c', self.write('mosquitto.conf', (
        'user nobody\npersistence false\nallow_anonymous true\nlistener {0[1]} 127.0.0.1\n'
        'listener {0[0]} 127.0.0.1\nprotocol websockets\n').format(self.ports))], 2)
    yield started
    started.close()


def test_mqtt(mosquitto):
    said = run_example('mqtt.py', 'ws://127.0.0.1:%d' % mosquitto.port, 'sensors/kitchen', '21.5 \xb0C')
    assert said == 'sensors/kitchen 21.5 \xb0C\n'


@pytest.fixture
def chromium():
    """A headless browser that asks nobody for anything."""
    started = Counterpart(lambda self: [
        program('chromium'), '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
        '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--user-data-dir=' + os.path.join(self.folder, 'user'), '--remote-debugging-address=127.0.0.1',
        '--remote-debugging-port=%d' % self.port, '--window-size=640,480', 'about:blank'])
    yield started
    started.close()


def png_pixels(data):
    """(width, height, the bytes of the lines) of a PNG."""
    assert data[:8] == b'\x89PNG\r\n\x1a\n'
    at, pixels = 8, b''
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], 'big')
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        assert int.from_bytes(data[at + 8 + length:at + 12 + length], 'big') == zlib.crc32(kind + body)
        if kind == b'IHDR':
            width, height = int.from_bytes(body[:4], 'big'), int.from_bytes(body[4:8], 'big')
        elif kind == b'IDAT':
            pixels += body
        at += 12 + length
    return width, height, zlib.decompress(pixels)


@pytest.mark.timeout(120)
def test_chromium(chromium):
    """A picture of a page that is green all over."""
    page = chromium.write('page.html', '<body style="background: rgb(1, 130, 2)"><title>green</title>')
    picture = os.path.join(chromium.folder, 'page.png')
    said = run_example('chromium_screenshot.py', 'http://127.0.0.1:%d' % chromium.port,
                       'file://' + page, picture)
    assert said == 'written: %s\n' % picture
    with open(picture, 'rb') as file:
        width, height, pixels = png_pixels(file.read())
    assert width == 640 and height > 200
    # the first line, whatever its filter: its first pixel stands as it is
    assert pixels[1:4] == b'\x01\x82\x02'


@pytest.fixture
def jupyter():
    python = environment_program('jupyter', 'python')
    started = Counterpart(lambda self: [
        python, '-m', 'jupyter_server', '--ServerApp.ip=127.0.0.1', '--ServerApp.port=%d' % self.port,
        '--ServerApp.port_retries=0', '--IdentityProvider.token=' + TOKEN, '--no-browser', '--allow-root',
        '--ServerApp.root_dir=' + self.folder])
    yield started
    started.close()


@pytest.mark.timeout(120)
def test_jupyter(jupyter):
    server = 'http://127.0.0.1:%d' % jupyter.port
    code = 'for number in range(3): print(number)\n"m\xf6ve " * 2'
    assert run_example('jupyter_cell.py', server, TOKEN, code) == "0\n1\n2\n'm\xf6ve m\xf6ve '\n"
    assert run_example('jupyter_cell.py', server, TOKEN, 'print("before")\n1 / 0', status=1) == 'before\n'


def test_gevent():
    """Fifty sockets, in much less than fifty times what one takes."""
    python = environment_program('gevent', 'python')
    with Server(echo) as server:
        said = run_example('gevent_many.py', server.url, '50', python=python)
        assert server.connection_count == 50
    assert re.match(r'50 of 50 were answered, the slowest in [0-9.]+ s\n\Z', said)


def test_unit_of_the_gateway(tmpdir):
    """systemd understands the unit; only the program that it names is put where there
    is one.
    """
    with io.open(os.path.join(EXAMPLES, 'gateway.service'), encoding='utf-8') as unit:
        text = unit.read()
    text = re.sub('(?m)^ExecStart=.*$', 'ExecStart=%s %s' % (
        sys.executable, os.path.join(EXAMPLES, 'gateway.py')), text)
    path = tmpdir.join('gateway.service')
    path.write_text(text, encoding='utf-8')
    done = subprocess.run([program('systemd-analyze'), 'verify', '--man=no', str(path)], timeout=50,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    complaints = [line for line in done.stdout.decode('utf-8').splitlines() if 'gateway.service' in line]
    assert done.returncode == 0 and not complaints, done.stdout
