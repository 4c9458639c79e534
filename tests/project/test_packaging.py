"""Packaging metadata, the names in a release, and the targets of the Makefile.

Building and installing it is slow, and done in ``test_packaging_everywhere.py``.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import re
import sys
import zipfile

import pytest
from support.paths import CHECKOUT, import_from, python3, read

import lomond

PACKAGE = os.path.dirname(os.path.abspath(lomond.__file__))
VERSIONS = ('2.7', '3.6', '3.7', '3.8', '3.9', '3.10', '3.11', '3.12', '3.13')

installed = pytest.mark.skipif(not os.environ.get('LOMOND_TESTED_IN'),
                               reason='the checkout is tested, not an installed wheel')


@python3
def test_settings():
    import configparser
    settings = configparser.ConfigParser()
    settings.read_string(read('setup.cfg'))
    refused = ', '.join('!=3.{}.*'.format(minor) for minor in range(6))
    assert settings['options']['python_requires'] == '>=2.7, ' + refused
    assert settings['options']['install_requires'].split() == ['certifi', 'six']
    assert sorted(settings['options.extras_require']) == ['speed', 'test']
    assert settings['options.extras_require']['speed'].split() == ['wsaccel']
    assert settings['bdist_wheel']['python_tag'] == 'py2.py3'
    classifiers = settings['metadata']['classifiers'].strip().splitlines()
    found = [line.rsplit(' ', 1)[1] for line in classifiers if re.search(r':: \d\.\d+$', line)]
    assert tuple(found) == VERSIONS
    assert 'Typing :: Typed' in classifiers


def test_version_stands_in_one_place():
    """A release changes one line: no other file contains the number."""
    assert re.match(r'\d+\.\d+\.\d+([abc]\d+|rc\d+|\.dev\d+)?\Z', lomond.__version__)
    for path in ('setup.py', 'setup.cfg', 'pyproject.toml', 'tox.ini', 'Makefile', 'README.rst',
                 'docs/conf.py', 'lomond/__init__.py', 'lomond/constants.py', 'tools/package.py'):
        assert not re.search(r'\b{}\b'.format(re.escape(lomond.__version__)), read(*path.split('/'))), path
    assert "__version__ = '{}'".format(lomond.__version__) in read('lomond', '_version.py')


def test_manifest_names_what_is_there():
    for line in read('MANIFEST.in').splitlines():
        words = line.split()
        if words[0] in ('include', 'graft'):
            missing = [word for word in words[1:] if not os.path.exists(os.path.join(CHECKOUT, word))]
            assert not missing
    assert '\nlint:' in read('Makefile')


@installed
def test_installed_files():
    """Only Python files, stubs and py.typed are installed."""
    found = set()
    for folder, _, names in os.walk(PACKAGE):
        if not folder.endswith('__pycache__'):
            found.update(os.path.relpath(os.path.join(folder, name), PACKAGE) for name in names)
    found = set(name for name in found if not name.endswith('.pyc'))
    assert 'py.typed' in found
    stubs = set()
    for folder, _, names in os.walk(os.path.join(CHECKOUT, 'lomond')):
        stubs.update(os.path.relpath(os.path.join(folder, name), os.path.join(CHECKOUT, 'lomond'))
                     for name in names if name.endswith('.pyi'))
    assert stubs and stubs <= found
    assert not [name for name in found if not name.endswith(('.py', '.pyi', 'py.typed'))]


@installed
@pytest.mark.skipif(sys.version_info < (3, 8), reason='read with the importlib.metadata of 3.8')
def test_installed_metadata():
    from importlib import metadata
    found = metadata.distribution('lomond')
    assert found.version == lomond.__version__
    assert set((entry.group, entry.name, entry.value) for entry in found.entry_points) == {
        ('console_scripts', 'lomond', 'lomond.cli:main'),
        ('pytest11', 'lomond', 'lomond.testing.pytest_plugin')}
    assert 'Requires-Python' in found.metadata


# -- the Makefile, and what runs the same commands

def targets():
    return re.findall(r'(?m)^([a-z]+):', read('Makefile'))


def test_make_help_is_the_one_list_of_commands():
    """It lists each target, whose script exists; the guide names no other target."""
    described = re.findall(r'(?m)^([a-z]+): *## \S', read('Makefile'))
    assert described == targets() and 'help' in described
    assert set(re.search(r'(?m)^\.PHONY: (.*)$', read('Makefile')).group(1).split()) == set(targets())
    guide = read('CONTRIBUTING.md')
    assert '`make help`' in guide
    for first, second in re.findall(r'(?m)`make ([a-z ]+)|^\$ make ([a-z ]+)', guide):
        assert set((first or second).split()) <= set(targets())
    for path in re.findall(r'\$\(PYTHON\) (\S+\.py)', read('Makefile')):
        assert os.path.exists(os.path.join(CHECKOUT, *path.split('/'))), path


@python3
def test_checks_are_there():
    check = import_from('tools', 'check')
    for name, one in check.CHECKS.items():
        assert name in targets()
        for path in one.pins + [os.path.join(CHECKOUT, words[0]) for words in one.commands
                                if words[0].endswith('.py')]:
            assert os.path.exists(path), (name, path)
    hooks = read('.pre-commit-config.yaml')
    assert set(re.findall(r'tools/check.py (\w+)', hooks)) <= set(check.CHECKS)
    assert re.findall('repo: (.*)', hooks) == ['local']


@python3
def test_release_that_is_wrong_is_found(tmpdir):
    """The script that inspects a wheel says what is wrong with it."""
    package = import_from('tools', 'package')
    version = lomond.__version__
    path = str(tmpdir.join('lomond-{}-py2.py3-none-any.whl'.format(version)))
    info = 'lomond-{}.dist-info/'.format(version)
    classifiers = ''.join(
        'Classifier: Programming Language :: Python :: {}\n'.format(each) for each in VERSIONS)
    good = {
        info + 'METADATA': (
            'Metadata-Version: 2.1\nName: lomond\nVersion: {}\nRequires-Python: >=2.7, !=3.0.*, !=3.1.*, '
            '!=3.2.*, !=3.3.*, !=3.4.*, !=3.5.*\nRequires-Dist: certifi\nRequires-Dist: six\n'
            'Provides-Extra: speed\nProvides-Extra: test\n{}\nLong.\n').format(version, classifiers),
        info + 'entry_points.txt': '[console_scripts]\nlomond = lomond.cli:main\n\n[pytest11]\n'
                                   'lomond = lomond.testing.pytest_plugin\n',
        info + 'top_level.txt': 'lomond\n', info + 'RECORD': '', info + 'WHEEL': '', info + 'LICENSE': ''}
    good.update((name, '') for name in package.modules_of_checkout())

    def trouble(files):
        with zipfile.ZipFile(path, 'w') as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)
        try:
            package.check_wheel(path, version)
        except package.Wrong as error:
            return str(error)
    assert trouble(good) is None
    for name in ('lomond/py.typed', 'lomond/events.pyi', 'lomond/cli/__init__.py'):
        assert name in trouble(dict(item for item in good.items() if item[0] != name))
    assert 'tests/' in trouble(dict(good, **{'tests/conftest.py': ''}))
    assert 'lomond/notes.txt' in trouble(dict(good, **{'lomond/notes.txt': ''}))
    for old, new, sentence in (('certifi\n', 'certifi\nRequires-Dist: requests\n', 'requires'),
                               ('>=2.7', '>=3.6', 'Requires-Python'),
                               (':: Python :: 3.8', ':: Python :: 3.5', '3.8'),
                               ('Extra: speed', 'Extra: fast', 'extras')):
        changed = good[info + 'METADATA'].replace(old, new)
        assert sentence in trouble(dict(good, **{info + 'METADATA': changed}))
    assert 'entry points' in trouble(dict(good, **{info + 'entry_points.txt': '[console_scripts]\n'}))
