#!/usr/bin/env python3
"""Run the checks that need an environment of their own.

    python3 tools/check.py lint            ruff, then tools/prose.py: width and wording of prose
    python3 tools/check.py layout          the tests of imports and stubs
    python3 tools/check.py types           mypy, pyright and stubtest, against the built wheel
    python3 tools/check.py docs            Sphinx, with warnings as errors; docs/_build/html
    python3 tools/check.py faults ...      tests/faults/run.py; soak and guards work alike
    python3 tools/check.py lint types      several checks; they cannot take arguments

The environment is created in .venvs (git-ignored) on the first run, and again when its
list of pins changes. It uses the newest Python from 3.10 to 3.13 on PATH or in a pyenv.
Arguments after the name of a single check go to its first command. The exit status is 0
if every check passed.
"""

import argparse
import os
import subprocess
import sys

import environments
import run_tests

CHECKOUT = environments.CHECKOUT
TYPING = os.path.join(CHECKOUT, 'tests', 'project', 'typing')
#: Newest first, because Sphinx needs 3.12; mypy supports nothing older than 3.10.
VERSIONS = ('3.13', '3.12', '3.11', '3.10')


class Check:
    """What a check needs and runs.

    :param pins: files, relative to the checkout, that list the packages to install
    :param commands: lists of words; the first word is a module (run with ``-m``) or a
        path relative to the checkout
    :param folder: the working directory of the commands
    :param on_wheel: install the built wheel instead of importing the checkout
    """

    def __init__(self, pins, commands, folder=CHECKOUT, on_wheel=False):
        self.pins = [os.path.join(CHECKOUT, path) for path in pins]
        self.commands, self.folder, self.on_wheel = commands, folder, on_wheel


def _types():
    for version in sorted(VERSIONS):
        yield ['mypy', '--strict', '--cache-dir', os.path.join(environments.DEFAULT_FOLDER, 'mypy'),
               '--python-version', version, '.']
    for version in sorted(VERSIONS):
        yield ['pyright', '--pythonpath', sys.executable, '--pythonversion', version, '.']
    yield ['mypy.stubtest', 'lomond', '--mypy-config-file', 'stubtest.ini',
           '--allowlist', 'stubtest-allowlist.txt']


CHECKS = {
    'lint': Check(['tools/pins-lint.txt'], [['ruff', 'check', '.'], ['tools/prose.py']]),
    'layout': Check(['tools/pins-tests.txt'], [
        ['pytest', '-q', '-p', 'no:cacheprovider',
         'tests/project/test_layout.py', 'tests/project/test_typing.py']]),
    'types': Check(['tools/pins-types.txt'], list(_types()), TYPING, on_wheel=True),
    'docs': Check(['docs/requirements.txt', 'tools/pins-demo.txt'],
                  [['sphinx', '-W', '--keep-going', '-b', 'html', 'docs', 'docs/_build/html']]),
    'faults': Check(['tools/pins-tests.txt'], [['tests/faults/run.py']]),
    'soak': Check(['tools/pins-tests.txt'], [['tests/soak.py']]),
    'guards': Check(['tools/pins-tests.txt'], [['tests/guards/run.py']]),
    'mutants': Check(['tools/pins-tests.txt'], [['tests/mutants/run.py']]),
}


def make_environment(name, log):
    """Make the environment of a check, and return its interpreter."""
    check = CHECKS[name]
    found, remarks = environments.find(VERSIONS)
    versions = [version for version in VERSIONS if version in found]
    if not versions:
        raise environments.Failed('\n'.join(
            ['%s needs one of Python %s' % (name, ', '.join(VERSIONS))] + remarks))
    folder = environments.DEFAULT_FOLDER
    # Checks with the same pins share one environment.
    shared = os.path.basename(check.pins[0]).replace('.txt', '').replace('pins-', '')
    if shared == 'requirements':
        shared = 'docs'
    python = environments.make(folder, 'check-' + shared, found[versions[0]], check.pins, log)
    if check.on_wheel:
        tools = environments.make(folder, 'tools', environments.this_interpreter(),
                                  [environments.PINS_TOOLS], log)
        wheel = run_tests.build_wheel(tools, log)
        environments.step('installing the wheel', [python, '-m', 'pip', 'install', '--quiet', '--no-deps',
                                                   '--no-index', '--force-reinstall', wheel], log)
    return python


def run_check(name, arguments):
    """Run a check to its end, and return whether it passed."""
    check = CHECKS[name]
    log = os.path.join(environments.DEFAULT_FOLDER, 'check-%s.log' % name)
    os.makedirs(environments.DEFAULT_FOLDER, exist_ok=True)
    print('%s: preparing the environment (the first time takes a while)' % name, flush=True)
    python = make_environment(name, log)
    environ = environments.child_environ(PYTHONDONTWRITEBYTECODE='1')
    if not check.on_wheel:
        environ['PYTHONPATH'] = CHECKOUT
    good = True
    for words in check.commands:
        path = os.path.join(CHECKOUT, words[0])
        program = [path] if words[0].endswith('.py') else ['-m', words[0]]
        command = [python] + program + [python if word == sys.executable else word for word in words[1:]]
        print('%s: %s' % (name, ' '.join(program + command[1 + len(program):] + arguments)), flush=True)
        status = subprocess.call(command + arguments, cwd=check.folder, env=environ)
        arguments = []          # they are meant for the first command
        if status:
            print('%s: exit status %d' % (name, status), flush=True)
            good = False
    return good


def main(words):
    parser = argparse.ArgumentParser(description='Run checks in environments of their own.')
    parser.add_argument('name', choices=sorted(CHECKS))
    parser.add_argument('arguments', nargs=argparse.REMAINDER, metavar='...',
                        help='further checks, or arguments for the one check')
    options = parser.parse_args(words)
    names, arguments = [options.name], options.arguments
    if arguments and all(word in CHECKS for word in arguments):
        names, arguments = names + arguments, []
    try:
        results = [run_check(name, arguments) for name in names]
    except (environments.Failed, OSError) as error:
        print('cannot run the check: %s' % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
