"""Freezers find all modules; a copy of the package works under any name, also in a zip.

``tests/real/test_real_freezers.py`` freezes a whole program with PyInstaller.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import shutil
import subprocess
import sys
from modulefinder import ModuleFinder

import pytest
from test_layout import sources

import lomond

pytestmark = pytest.mark.ends

PACKAGE = os.path.dirname(os.path.abspath(lomond.__file__))
NAMES = set(name for name, _ in sources())
# Run by other programs: by name, and by pytest.
RUN = {'__main__', 'testing.pytest_plugin'}
COMMAND_LINE = set(name for name in NAMES if name.split('.')[0] == 'cli')
# Those that a program imports by their own names.
WS4PY_MODULES = set(name for name in NAMES if name.startswith('ws4py.')) - {'ws4py.__init__'}
WS4PY = ('exc client.threadedclient client.geventclient client.tornadoclient server.cherrypyserver '
         'server.geventserver server.wsgirefserver').split()


def freeze(program, folder):
    """What modulefinder finds of lomond, as names within the package."""
    path = folder.join('program.py')
    path.write(program)
    finder = ModuleFinder([str(folder), os.path.dirname(PACKAGE)])     # the rest of Python takes a second
    finder.run_script(str(path))
    found = set(name for name in finder.modules if name.split('.')[0] == 'lomond')
    packages = set(name for name in found if finder.modules[name].__path__)
    return set((name + '.__init__' if name in packages else name)[len('lomond.'):] for name in found)


@pytest.mark.parametrize('program, missing', [
    ('from lomond import WebSocket', RUN | COMMAND_LINE | WS4PY_MODULES),
    ('from lomond.cli import main', RUN | WS4PY_MODULES),
    ('import lomond.cli, ' + ', '.join('lomond.ws4py.' + name for name in WS4PY), RUN),
])
def test_freezer_finds_all_modules(program, missing, tmpdir):
    assert NAMES - freeze(program + '\n', tmpdir) == missing


#: Makes connections, because some modules are imported that late.
PROGRAM = """
import sys
from {name} import WebSocket, persist
from {name}.testing import Server
import {name} as copy
assert persist is sys.modules['{name}.persist'], persist
for name in dir(copy):
    if not name.startswith('_'):
        getattr(copy, name)
assert WebSocket is copy.WebSocket is copy.websocket.WebSocket
with Server() as server:
    for event in copy.persist.persist(WebSocket(server.url, proxies=None, compress=True)):
        assert isinstance(event, copy.events.Event)
        if event.name == 'ready':
            break
for proxy in ('socks5://127.0.0.1:1', 'http://127.0.0.1:1'):
    assert list(WebSocket('wss://127.0.0.1:1/', proxies=dict(all=proxy)))[-1].name == 'connect_fail'
names = [str(name) for name in sys.modules if 'lomond' in name]
print(sorted(name for name in names if not (name + '.').startswith('{name}.')))
print(copy.__file__)
"""


@pytest.fixture(params=['folder', 'zip'])
def place(request, tmpdir):
    """Where app/_vendor/lomond and dialtone are copies of the package."""
    root = tmpdir.mkdir('place')
    for name in ('app', 'app/_vendor'):
        root.join(name, '__init__.py').ensure()
    for name in ('app/_vendor/lomond', 'dialtone'):
        shutil.copytree(PACKAGE, str(root.join(name)), ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
    if request.param == 'folder':
        return str(root)
    return shutil.make_archive(str(tmpdir.join('copies')), 'zip', str(root))


def run(place, *words):
    # The package that is tested is on the path, too.
    path = os.pathsep.join([place, os.path.dirname(PACKAGE)] + sys.path)
    environment = dict(os.environ, PYTHONPATH=str(path), PYTHONDONTWRITEBYTECODE='1',
                       PYTEST_DISABLE_PLUGIN_AUTOLOAD='1')
    child = subprocess.Popen([sys.executable] + list(words), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env=environment, cwd=os.path.dirname(place))
    shown = child.communicate()[0].decode('utf-8')
    assert child.returncode == 0, shown
    return shown


@pytest.mark.parametrize('name, option', [('app._vendor.lomond', '-S'), ('dialtone', '-OO')])
def test_copy_uses_its_own_modules(place, name, option):
    others, where = run(place, '-Werror', option, '-c', PROGRAM.format(name=name)).splitlines()
    assert others == '[]' and where.startswith(place)


@pytest.mark.parametrize('place', ['folder'], indirect=True)
def test_copy_has_a_command_line_and_a_fixture(place, tmpdir):
    name = 'app._vendor.lomond'
    assert run(place, '-m', name, '--version') == 'lomond {}\n'.format(lomond.__version__)
    test = tmpdir.join('test_server.py')
    test.write('def test(wsserver):\n    assert type(wsserver()).__module__ == "%s.testing.server"\n' % name)
    assert '1 passed' in run(place, '-m', 'pytest', '-p', name + '.testing.pytest_plugin', str(test))
