#!/usr/bin/env python3
"""Build the sdist and the wheel, inspect and use them; upload nothing.

    python3 tools/package.py                     use all of 2.7 and 3.6 - 3.13 that are found
    python3 tools/package.py --require-all       fail if an interpreter is missing
    python3 tools/package.py --python 3.13 2.7   use these interpreters
    python3 tools/package.py --out dist          keep the two files in an empty folder

1. The files that git would commit are copied. `python -m build` builds an sdist from
   them, and a wheel from the sdist.
2. `twine check --strict` renders the long description, and the names in both archives
   are checked.
3. On each interpreter, pip installs the wheel into a new environment (with six and
   certifi from the index). `lomond demo`, `lomond --help`, `python -m lomond --version`
   and an import run there, in an empty folder. A second environment gets the sdist, and
   runs the demo.

The last line is 'N passed, N failed'; the exit status is 0 only if nothing failed.
"""

import argparse
import concurrent.futures
import email
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

import environments
import run_tests

CHECKOUT = environments.CHECKOUT
PINS = os.path.join(environments.TOOLS, 'pins-package.txt')
#: Pythons that support the newest build and twine.
BUILDERS = ('3.13', '3.12', '3.11', '3.10')
#: Files that must not be in a release.
UNWANTED = re.compile(r'(\.py[cod]|\.log|\.orig|\.rej|~|\.DS_Store)$|(^|/)(__pycache__|\.[a-z][^/]*)(/|$)')
#: Paths that an sdist may contain, including those that setuptools adds.
SDIST = re.compile(r'^(lomond|tests|tools|docs|benchmarks|compliance|examples|lomond\.egg-info)/'
                   r'|^(PKG-INFO|README\.rst|CHANGELOG\.md|CONTRIBUTING\.md|SECURITY\.md|LICENSE|MANIFEST\.in|'
                   r'Makefile|setup\.py|setup\.cfg|pyproject\.toml|tox\.ini)$')
IN_WHEEL = re.compile(r'^lomond/([a-z0-9_]+/)*([a-z0-9_]+\.pyi?|py\.typed)$')
#: A program that runs in a fresh environment, and prints the version.
QUESTION = """
import lomond, lomond.testing
from lomond.persist import persist
assert isinstance(lomond.WebSocket('ws://example.org/').host, type(u''))
print(lomond.__version__)
"""


class Wrong(Exception):
    """Something is wrong with the sdist or the wheel."""


def copy_sources(to):
    """Copy the files that git would commit, or everything if there is no git."""
    try:
        listed = subprocess.check_output(['git', 'ls-files', '-z', '--cached', '--others',
                                          '--exclude-standard'], cwd=CHECKOUT, stderr=subprocess.DEVNULL)
        names = [os.fsdecode(name) for name in listed.split(b'\0') if name]
    except (OSError, subprocess.CalledProcessError):
        names = [os.path.relpath(os.path.join(folder, name), CHECKOUT)
                 for folder, _, found in os.walk(CHECKOUT) for name in found]
        names = [name for name in names if not UNWANTED.search(name)]
    for name in names:
        source, target = os.path.join(CHECKOUT, name), os.path.join(to, name)
        if os.path.exists(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)


def build(python, out, log):
    """Build the wheel and the sdist, and return their paths."""
    with tempfile.TemporaryDirectory(prefix='lomond-package-') as copy:
        copy_sources(copy)
        environments.step('building', [python, '-m', 'build', '--outdir', out, copy], log)
    built = sorted(os.listdir(out))
    wheels, sdists = glob.glob(os.path.join(out, '*.whl')), glob.glob(os.path.join(out, '*.tar.gz'))
    if len(wheels) != 1 or len(sdists) != 1 or len(built) != 2:
        raise Wrong('built %s; one wheel and one sdist were expected' % ', '.join(built))
    return wheels[0], sdists[0]


def modules_of_checkout():
    """Return the files of the package, all of which a release must contain."""
    return set(os.path.relpath(path, CHECKOUT).replace(os.sep, '/')
               for ending in ('*.py', '*.pyi', 'py.typed')
               for path in glob.glob(os.path.join(CHECKOUT, 'lomond', '**', ending), recursive=True))


def expect(is_good, sentence, *values):
    if not is_good:
        raise Wrong(sentence % values)


def check_wheel(path, version):
    """Check the names in the wheel, and its metadata."""
    expect(os.path.basename(path) == 'lomond-%s-py2.py3-none-any.whl' % version,
           'the wheel is called %s', path)
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        info = 'lomond-%s.dist-info/' % version
        package = set(name for name in names if not name.startswith(info))
        expect(package == modules_of_checkout(), 'the wheel and the checkout differ in %s',
               sorted(package ^ modules_of_checkout()))
        odd = [name for name in package if not IN_WHEEL.match(name)]
        expect(not odd, 'the wheel has %s', odd)
        expect('lomond/py.typed' in names, 'the wheel has no py.typed')
        about = sorted(name[len(info):] for name in names - package)
        allowed = {'METADATA', 'RECORD', 'WHEEL', 'entry_points.txt', 'top_level.txt', 'LICENSE',
                   'licenses/LICENSE'}
        expect(set(about) <= allowed and any('LICENSE' in name for name in about),
               'the metadata of the wheel are %s', about)
        metadata = email.message_from_bytes(wheel.read(info + 'METADATA'))
        entries = wheel.read(info + 'entry_points.txt').decode('ascii')
        expect(wheel.read(info + 'top_level.txt').split() == [b'lomond'],
               'top_level.txt has more than lomond')
    expect(metadata['Version'] == version, 'the version is %s', metadata['Version'])
    needs = metadata['Requires-Python'].replace(' ', '').split(',')
    expect(sorted(needs) == sorted(['>=2.7'] + ['!=3.%d.*' % minor for minor in range(6)]),
           'Requires-Python is %s', metadata['Requires-Python'])
    bare = sorted(line.split(';')[0].strip() for line in metadata.get_all('Requires-Dist')
                  if 'extra' not in line)
    expect(bare == ['certifi', 'six'], 'it requires %s', bare)
    expect(sorted(metadata.get_all('Provides-Extra')) == ['speed', 'test'], 'its extras are %s',
           metadata.get_all('Provides-Extra'))
    found = set(re.findall(r'^\[(.*)\]$|^(\S+) *= *(\S+)$', entries, re.M))
    expect(found == {('console_scripts', '', ''), ('', 'lomond', 'lomond.cli:main'), ('pytest11', '', ''),
                     ('', 'lomond', 'lomond.testing.pytest_plugin')}, 'the entry points are\n%s', entries)
    for each in run_tests.VERSIONS:
        expect('Programming Language :: Python :: ' + each in metadata.get_all('Classifier'),
               'there is no classifier of %s', each)


def check_sdist(path, version):
    """Check the names in the sdist: all that the tests need, and nothing unexpected."""
    top = 'lomond-%s/' % version
    with tarfile.open(path) as sdist:
        names = [member.name for member in sdist.getmembers() if member.isfile()]
    outside = [name for name in names if not name.startswith(top)]
    expect(not outside, 'the sdist has %s', outside)
    names = set(name[len(top):] for name in names)
    odd = sorted(name for name in names if UNWANTED.search(name) or not SDIST.match(name))
    expect(not odd, 'the sdist has %s', odd)
    missing = modules_of_checkout() - names
    expect(not missing, 'the sdist has no %s', sorted(missing))
    for name in ('README.rst', 'CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'Makefile', 'tox.ini',
                 'tests/conftest.py', 'tools/run_tests.py', 'docs/index.rst', 'examples/echo_bot.py'):
        expect(name in names, 'the sdist has no %s', name)


class Use:
    """An interpreter that installs and runs the sdist and the wheel."""

    def __init__(self, interpreter, wheel, sdist, version, virtualenv, folder):
        self.interpreter = interpreter
        self.built = {'wheel': wheel, 'sdist': sdist}
        self.version = version
        self.virtualenv = virtualenv
        self.folder = folder

    def __call__(self, kind):
        """Install and run; return ``(version, kind, trouble or None, seconds)``."""
        began = time.monotonic()
        log = os.path.join(self.folder, '%s-%s.log' % (self.interpreter.version, kind))
        try:
            trouble = self._use(kind, log)
        except (environments.Failed, Wrong, OSError) as error:
            trouble = str(error)
        return self.interpreter.version, kind, trouble, time.monotonic() - began

    def _use(self, kind, log):
        name = '%s-%s' % (self.interpreter.version, kind)
        python = environments.make(os.path.join(self.folder, 'venvs'), name, self.interpreter, [], log,
                                   virtualenv=self.virtualenv if self.interpreter.version == '2.7' else None)
        work = os.path.join(self.folder, name)
        os.mkdir(work)
        environments.step('pip install', [python, '-m', 'pip', 'install', self.built[kind]], log, cwd=work)
        environments.step('pip check', [python, '-m', 'pip', 'check'], log, cwd=work)
        script = os.path.join(os.path.dirname(python), 'lomond')
        commands = [[script, 'demo']]
        if kind == 'wheel':
            commands += [[script, '--help'], [python, '-m', 'lomond', '--version'],
                         [python, '-W', 'error', '-c', QUESTION]]
        for command in commands:
            output = os.path.join(work, 'output')
            environments.step(' '.join(command[:3]), command, output, limit=60, cwd=work)
            said = environments.tail(output, 1000)
            with open(log, 'a', encoding='utf-8') as text:
                text.write(said)
            os.unlink(output)
            if command[1] == 'demo':
                expect('Ready(' in said and 'Disconnected(reason=' in said and 'graceful=True' in said,
                       'the demo said\n%s', said)
            elif '--help' not in command:
                expect(said.split()[-1] == self.version, 'the version there is %s', said.split()[-1])
        return None


def parse_arguments(words):
    parser = argparse.ArgumentParser(description='Build, inspect and use the sdist and the wheel.')
    parser.add_argument('--python', nargs='+', metavar='VERSION', choices=run_tests.VERSIONS,
                        help='use only these interpreters (of %s)' % ' '.join(run_tests.VERSIONS))
    parser.add_argument('--require-all', action='store_true', help='fail if an interpreter is missing')
    parser.add_argument('--out', metavar='FOLDER', help='copy the two files into this empty folder')
    options = parser.parse_args(words)
    if options.out and os.path.isdir(options.out) and os.listdir(options.out):
        parser.error('--out: %s is not empty' % options.out)
    return options


def tell(result):
    """Print one line about a result as soon as it is known."""
    version, what, trouble, seconds = result
    print('%-5s %-12s %-6s %5.1f s' % (version, what, 'FAILED' if trouble else 'ok', seconds), flush=True)


def run(options, folder):
    """Run everything; return a list of ``(version, kind, trouble, seconds)``."""
    log = os.path.join(folder, 'build.log')
    builders, remarks = environments.find(BUILDERS)
    versions = [version for version in BUILDERS if version in builders]
    if not versions:
        raise environments.Failed('\n'.join(
            ['building a release needs one of Python ' + ', '.join(BUILDERS)] + remarks))
    python = environments.make(environments.DEFAULT_FOLDER, 'check-package', builders[versions[0]], [PINS],
                               log)
    virtualenv = environments.make(environments.DEFAULT_FOLDER, 'tools', environments.this_interpreter(),
                                   [environments.PINS_TOOLS], log)
    with open(os.path.join(CHECKOUT, 'lomond', '_version.py')) as text:
        version = re.search(r"^__version__ = '(.+)'$", text.read(), re.M).group(1)
    out = os.path.join(folder, 'dist')
    results = []

    def stage(name, function, *arguments):
        began = time.monotonic()
        try:
            value, trouble = function(*arguments), None
        except (environments.Failed, Wrong) as error:
            value, trouble = None, str(error)
        results.append(('-', name, trouble, time.monotonic() - began))
        tell(results[-1])
        return value

    built = stage('build', build, python, out, log)
    if built is None:
        return results
    wheel, sdist = built
    stage('wheel', check_wheel, wheel, version)
    stage('sdist', check_sdist, sdist, version)
    stage('twine check', environments.step, 'twine check',
          [python, '-m', 'twine', 'check', '--strict', wheel, sdist], log)
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        for path in built:
            shutil.copy(path, options.out)

    wanted = options.python or list(run_tests.VERSIONS)
    found, remarks = environments.find(wanted)
    for each in wanted:
        if each not in found and (options.python or options.require_all):
            results.append((each, 'wheel', 'missing', 0.0))
    for remark in remarks:
        print(remark)
    uses = [(Use(found[each], wheel, sdist, version, virtualenv, folder), kind)
            for kind in ('wheel', 'sdist') for each in wanted if each in found]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(*use) for use in uses]:
            result = future.result()
            results.append(result)
            tell(result)
    return results


def main(words):
    options = parse_arguments(words)
    with tempfile.TemporaryDirectory(prefix='lomond-package-') as folder:
        try:
            results = run(options, folder)
        except (environments.Failed, OSError) as error:
            print('cannot build the package: %s' % error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            environments.stop_all()
            return 130
    failed = [result for result in results if result[2]]
    for version, kind, trouble, _ in failed:
        print('\n--- %s, %s: %s' % (version, kind, trouble))
    print('\n%d passed, %d failed' % (len(results) - len(failed), len(failed)))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
