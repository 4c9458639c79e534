"""The mutation run of ``tests/mutants``, on a package of one module."""

from __future__ import absolute_import, division, unicode_literals

import os
import subprocess
import sys

import pytest
from support.paths import TESTS

pytestmark = [
    pytest.mark.checkout,
    pytest.mark.skipif(sys.version_info < (3, 8), reason='ast has no end positions'),
    pytest.mark.skipif(not hasattr(os, 'fork'), reason='runs tests in forks'),
]
RUN = os.path.join(TESTS, 'mutants', 'run.py')
_listings = {}

SOURCE = '''\
"""One tested function, and one whose loop ends only by its condition."""


def larger(first, second):
    """Return the larger number."""
    if first > second:
        return first
    return second


def count_down(number):
    while True:
        number -= 1
        if number < 0:
            return 'done'
'''
TEST = '''\
from small.numbers import count_down, larger


def test_larger():
    assert larger(3, 1) == 3 and larger(1, 3) == 3


def test_count_down():
    assert count_down(2) == 'done'
'''


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkout')
    for path, text in (('small/__init__.py', ''), ('small/numbers.py', SOURCE),
                       ('tests/test_numbers.py', TEST)):
        file = folder.joinpath(path)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return str(folder)


def run(checkout, *options):
    command = [sys.executable, '-B', RUN, '--checkout', checkout, '--package', 'small',
               '--tests', 'test_numbers.py'] + list(options)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          universal_newlines=True)
    return done.returncode, done.stdout


def number_of(checkout, line, change):
    """Find a mutant in the sample by its line and the text after the change."""
    if checkout not in _listings:
        _listings[checkout] = run(checkout, '--seed', '1', '--list')[1].splitlines()
    lines = _listings[checkout]
    return next(words.split()[0] for words, after in zip(lines, lines[2:])
                if words.endswith(':%d' % line) and after.strip() == '+ ' + change)


def test_the_same_seed_draws_the_same_sample(checkout):
    samples = [run(checkout, '--list', '--count', '5', '--seed', seed)[1].partition('\n')[2]
               for seed in ('1', '1', '2')]
    assert samples[0] == samples[1] and samples[0].count(' + ') == 5
    assert samples[2] != samples[0]


def test_docstrings_are_left_alone(checkout):
    _, output = run(checkout, '--list', '--seed', '1')
    assert ':1\n' not in output and ':5\n' not in output and ':6\n' in output


def test_mutant_that_is_killed(checkout):
    status, output = run(checkout, '--seed', '1', '--number', number_of(checkout, 6, 'if False:'))
    assert status == 0
    assert 'killed by test_numbers.py::test_larger' in output and output.endswith('\n1 passed, 0 failed\n')


def test_mutant_that_survives(checkout):
    number = number_of(checkout, 6, 'if first >= second:')
    status, output = run(checkout, '--seed', '1', '--number', number)
    assert status == 1
    assert 'small/numbers.py:6  SURVIVED' in output and '+ if first >= second:' in output
    assert 'tests: test_numbers.py' in output and output.endswith('\n0 passed, 1 failed\n')


@pytest.mark.parametrize('limits, killed_by', [
    (['--test-limit', '1'], 'a test that hung'),
    (['--limit', '2'], 'the time limit of 2 s'),
])
def test_mutant_that_hangs(checkout, limits, killed_by):
    number = number_of(checkout, 13, 'pass')
    status, output = run(checkout, '--seed', '1', '--number', number, *limits)
    assert status == 0
    assert 'killed by ' + killed_by in output and output.endswith('\n1 passed, 0 failed\n')


def test_tests_that_fail_without_a_mutant_are_left_out(checkout, tmp_path):
    broken = os.path.join(checkout, 'tests', 'test_broken.py')
    with open(broken, 'w') as file:
        file.write('def test_never():\n    assert False\n')
    try:
        status, output = run(checkout, '--seed', '1', '--number', number_of(checkout, 6, 'if False:'),
                             '--tests', 'test_broken.py', 'test_numbers.py')
    finally:
        os.remove(broken)
    assert status == 0
    assert 'left out: test_broken.py::test_never' in output
    assert 'killed by test_numbers.py::test_larger' in output
