#!/usr/bin/env python3
"""Run the protocol tests on CPythons that are compiled to WebAssembly, under Node.

    python3 tools/wasm.py                   tests/protocol on CPython 3.14 and 3.15
    python3 tools/wasm.py --python 3.15     on this version alone
    python3 tools/wasm.py --anyway          with the tests that are usually skipped
    python3 tools/wasm.py -- -k close -x    what follows -- goes to pytest
    python3 tools/wasm.py -- tests/fuzz     a path there replaces tests/protocol

The interpreters are releases of the npm package pyodide, so a new CPython can be tried
on a machine that has no build of it.  Needs Node 18 or newer and npm.  Tests that need
what the platform lacks (threads, for example) are listed by name in
tools/wasm-skips.txt, each with its reason.

The interpreters and the packages of tools/pins-wasm.txt are kept in the git-ignored
folder .wasm; deleting it is always safe.  The tests see a copy of what git would commit.
The last line is 'N passed, N failed, N skipped'; the exit status is 0 only if nothing
failed.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

import environments
import package
import run_tests

CHECKOUT = environments.CHECKOUT
FOLDER = os.path.join(CHECKOUT, '.wasm')
PINS = os.path.join(environments.TOOLS, 'pins-wasm.txt')
SKIPS = os.path.join(environments.TOOLS, 'wasm-skips.txt')

#: Version of CPython: release of pyodide that has it (3.14.2 and 3.15.0rc1).
RELEASES = {'3.14': '314.0.7', '3.15': '315.0.0-alpha.2'}
#: What is tested if nothing else is named.
TESTS = 'tests/protocol'
#: The oldest Node that pyodide runs on.
OLDEST_NODE = 18


def parse_arguments(arguments):
    """Return the options and the list of words for pytest."""
    to_pytest = []
    if '--' in arguments:
        cut = arguments.index('--')
        arguments, to_pytest = arguments[:cut], arguments[cut + 1:]
    parser = argparse.ArgumentParser(description='Run the protocol tests on CPython for WebAssembly.',
                                     epilog='What follows -- goes to pytest.')
    parser.add_argument('--python', nargs='+', choices=sorted(RELEASES), default=sorted(RELEASES),
                        metavar='VERSION', help='run these alone (of %s)' % ' '.join(sorted(RELEASES)))
    parser.add_argument('--anyway', action='store_true', help='skip nothing of tools/wasm-skips.txt')
    parser.add_argument('--time-limit', type=float, default=1800, metavar='S',
                        help='seconds for the tests of one interpreter (1800)')
    return parser.parse_args(arguments), to_pytest


def resolve_targets(to_pytest):
    """Make paths relative to the checkout; add tests/protocol if there are none."""
    resolved, names_path = [], False
    for argument in to_pytest:
        path, colons, test = argument.partition('::')
        if not argument.startswith('-') and os.path.exists(path):
            path = os.path.relpath(os.path.realpath(path), os.path.realpath(CHECKOUT))
            argument = path.replace(os.sep, '/') + colons + test
            names_path = True
        resolved.append(argument)
    return resolved if names_path else resolved + [TESTS]


def find_node():
    """Return the path of a Node that is new enough; raise Failed without one."""
    node = shutil.which('node')
    if node is None or shutil.which('npm') is None:
        raise environments.Failed('node and npm must be on PATH')
    answer = subprocess.check_output([node, '--version'], timeout=60).decode('ascii', 'replace').strip()
    number = re.match(r'v(\d+)\.', answer)
    if number is None or int(number.group(1)) < OLDEST_NODE:
        raise environments.Failed('%s is Node %s; %d or newer is needed' % (node, answer, OLDEST_NODE))
    return node


def make_once(name, key, fill):
    """Make a folder below .wasm unless an earlier run made it from the same key.

    :param fill: function that puts everything into the new folder
    :return: the path of the folder
    """
    folder = os.path.join(FOLDER, name)
    ready = os.path.join(folder, 'ready')
    if not (os.path.exists(ready) and environments.tail(ready, 1) == key):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        fill(folder)
        with open(ready, 'w') as text:
            text.write(key)
    return folder


def install_interpreter(version, log):
    """Install pyodide; return the folder that has its modules."""
    release = RELEASES[version]

    def fill(folder):
        environments.step('npm install', [
            shutil.which('npm'), 'install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund',
            '--no-package-lock', 'pyodide@' + release], log)

    return os.path.join(make_once('pyodide-' + version, release, fill), 'node_modules', 'pyodide')


def install_packages(version, log):
    """Install what the tests need; return the folder that has it."""
    with open(PINS, 'rb') as text:
        key = version + ' ' + hashlib.sha256(text.read()).hexdigest()

    def fill(folder):
        python = environments.make(FOLDER, 'pip', environments.this_interpreter(), [], log)
        environments.step('pip install', [
            python, '-m', 'pip', 'install', '--progress-bar', 'off', '--no-deps', '--only-binary', ':all:',
            '--platform', 'any', '--python-version', version, '--no-compile', '--target', folder, '-r', PINS],
            log)

    return make_once('packages-' + version, key, fill)


def pack(packages, archive):
    """Pack the checkout and the packages, for the file system of the interpreter."""
    with tempfile.TemporaryDirectory(prefix='lomond-wasm-') as copy:
        package.copy_sources(os.path.join(copy, 'checkout'))
        shutil.copytree(packages, os.path.join(copy, 'packages'))
        shutil.make_archive(archive[:-len('.zip')], 'zip', copy)


def run(version, node, options, targets):
    """Run the tests on one interpreter; return a run_tests.Result."""
    result = run_tests.Result(version)
    os.makedirs(FOLDER, exist_ok=True)
    log = os.path.join(FOLDER, 'install.log')
    modules = install_interpreter(version, log)
    packages = install_packages(version, log)
    archive = os.path.join(FOLDER, 'checkout.zip')
    pack(packages, archive)
    junit = os.path.join(FOLDER, version + '.xml')
    if os.path.exists(junit):
        os.unlink(junit)        # a crash must not leave the counts of an earlier run
    skips = '' if options.anyway else os.path.relpath(SKIPS, CHECKOUT).replace(os.sep, '/')
    command = [node, os.path.join(environments.TOOLS, 'wasm_node.mjs'), modules, archive, junit, skips]
    try:
        status = subprocess.call(command + targets, stdin=subprocess.DEVNULL, timeout=options.time_limit)
    except subprocess.TimeoutExpired:
        result.trouble = 'hung: ended after %g s' % options.time_limit
        return result
    if not run_tests.read_counts(junit, result) or status not in (0, 1):
        result.trouble = 'broke: exit status %d' % status
    elif result.passed + result.failed == 0:
        result.trouble = 'no tests'
    elif status and not result.failed:
        result.trouble = 'exit status %d' % status
    return result


def main(arguments):
    options, to_pytest = parse_arguments(arguments)
    targets = resolve_targets(to_pytest)
    results = []
    try:
        node = find_node()
        for version in options.python:
            results.append(run(version, node, options, targets))
            print('Python %s: %s\n' % (version, results[-1].verdict), flush=True)
    except (environments.Failed, OSError, subprocess.SubprocessError) as error:
        print('it cannot be run: %s' % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    failed = sum(result.failures for result in results)
    print('%d passed, %d failed, %d skipped' % (
        sum(result.passed for result in results), failed, sum(result.skipped for result in results)))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
