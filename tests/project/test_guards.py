"""The table of ``tests/guards`` is up to date: each of its texts and tests exists.

``python tests/guards/run.py`` removes each guard and checks that its tests fail.
"""

from __future__ import absolute_import, division, unicode_literals

import collections
import importlib
import os
import sys

import pytest
from support.paths import TESTS

import lomond

pytestmark = pytest.mark.checkout

PACKAGE = os.path.dirname(os.path.abspath(lomond.__file__))

sys.path.insert(0, os.path.join(TESTS, 'guards'))
run = importlib.import_module('run')        # tests/guards/run.py
table = importlib.import_module('table')
sys.path.remove(os.path.join(TESTS, 'guards'))
del sys.modules['run']                      # other folders have one, too
GUARDS, problem_of = table.GUARDS, run.problem_of


def test_texts_and_tests_are_there():
    problems = [problem_of(guard, PACKAGE, TESTS) for guard in GUARDS]
    assert [problem for problem in problems if problem] == []


def test_each_topic_has_guards():
    counts = collections.Counter(guard.topic for guard in GUARDS)
    assert tuple(sorted(counts)) == table.TOPICS and min(counts.values()) >= 5, counts
    assert len(set(guard.name for guard in GUARDS)) == len(GUARDS)


def test_a_table_that_is_out_of_date_is_noticed():
    good = GUARDS[0]
    assert problem_of(good, PACKAGE, TESTS) is None
    for changes in (dict(old='no such text'), dict(old='import'), dict(new=good.old),
                    dict(file='no_such_file.py'),
                    dict(tests=('test_states.py::test_no_such',)), dict(tests=('test_no_such.py::test_x',))):
        assert problem_of(good._replace(**changes), PACKAGE, TESTS) is not None, changes
