"""``tools/run_tests.py`` finds interpreters: pre-releases and free-threaded ones, too."""

from __future__ import absolute_import, division, unicode_literals

import os

import pytest
from support.paths import import_from, python3

pytestmark = [pytest.mark.checkout, python3,
              pytest.mark.skipif(os.name == 'nt', reason='stand-ins are shell scripts')]


@pytest.fixture(scope='module')
def environments():
    return import_from('tools', 'environments')


@pytest.fixture
def install(tmpdir, monkeypatch):
    """A function that puts stand-ins for interpreters into an empty pyenv and PATH."""
    tmpdir.mkdir('bin')
    tmpdir.mkdir('versions')
    for name, path in (('PATH', tmpdir.join('bin')), ('PYENV_ROOT', tmpdir), ('HOME', tmpdir)):
        monkeypatch.setenv(name, str(path))

    def install_one(path, version, threads, implementation='CPython'):
        script = tmpdir.join(*path.split('/'))
        lines = [version, implementation, str(script), 'venv', threads]
        script.write('#!/bin/sh\n' + ''.join('echo "%s"\n' % line for line in lines), ensure=True)
        script.chmod(0o755)
        return str(script)
    return install_one


GIL, FREE = 'with the GIL', 'free-threaded'


def test_free_threaded_interpreter_is_another_version(environments, install):
    # The same name for both, as after a hosted runner has put one of them on PATH.
    free = install('bin/python3.14', '3.14.2', FREE)
    found, remarks = environments.find(['3.14', '3.14t'])
    assert '3.14' not in found and not remarks
    # `python3.14t` is not on PATH here, `python3` is.
    os.rename(free, os.path.join(os.path.dirname(free), 'python3'))
    found, _ = environments.find(['3.14', '3.14t'])
    assert sorted(found) == ['3.14t']
    assert found['3.14t'].full_version == '3.14.2'
    free = install('bin/python3.14t', '3.14.2', FREE)
    usual = install('bin/python3.14', '3.14.2', GIL)
    found, _ = environments.find(['3.14', '3.14t'])
    assert dict((version, one.path) for version, one in found.items()) == {'3.14': usual, '3.14t': free}


def test_versions_of_a_pyenv(environments, install):
    names = ['3.14.2', '3.14.10', '3.14.10t', '3.15.0rc1', '3.15.0a2', '3.15.0a10', '3.15.0', '3.15-dev',
             '3.1.5']
    for name in names:
        install('versions/%s/bin/python' % name, '.'.join(name.split('.')[:2]) + '.0',
                FREE if name.endswith('t') else GIL)

    def names_for(version):
        paths = [path.split(os.sep) for path in environments.candidates(version)]
        return [path[-3] for path in paths if path[-4:-3] == ['versions'] and path[-3] in names]
    assert names_for('3.14') == ['3.14.10', '3.14.2']
    assert names_for('3.14t') == ['3.14.10t']
    assert names_for('3.15') == ['3.15.0', '3.15.0rc1', '3.15.0a10', '3.15.0a2']
    assert names_for('3.1') == ['3.1.5']
    assert sorted(environments.find(['3.14', '3.14t', '3.15', '3.16'])[0]) == ['3.14', '3.14t', '3.15']


def test_what_answers_wrongly_is_not_found(environments, install):
    install('bin/python3.14', '3.14.2', GIL, implementation='PyPy')
    assert environments.find(['3.14']) == ({}, [])


def test_newer_versions_run_only_when_named(capsys):
    run_tests = import_from('tools', 'run_tests')
    assert not set(run_tests.VERSIONS) & set(run_tests.NEWER)
    assert run_tests.parse_arguments([])[0].python is None      # VERSIONS are meant
    for version in ('2.7', '3.14', '3.14t', '3.15'):
        assert run_tests.parse_arguments(['--python', version])[0].python == [version]
    with pytest.raises(SystemExit):
        run_tests.parse_arguments(['--python', '3.13t'])
    assert 'invalid choice' in capsys.readouterr().err


@pytest.mark.parametrize('version, versions, elsewhere', [
    ('3.11', ['3.11'], ()),
    ('3.13', ['3.13', '2.7'], ()),
    ('2.7', ['3.13', '2.7'], ('checkout',)),
    ('3.9', ['3.10', '3.9', '2.7'], ('checkout', 'ends')),      # not the order of text
    ('3.14', ['3.14', '3.14t'], ('checkout',)),
])
def test_what_other_interpreters_of_a_run_see_to(version, versions, elsewhere):
    assert import_from('tools', 'run_tests').run_elsewhere(version, versions) == elsewhere
