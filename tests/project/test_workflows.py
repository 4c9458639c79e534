"""The hosted workflows and Read the Docs call what exists, for every supported version.

``actionlint`` knows their syntax; this knows the project.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import re

import pytest
from support.paths import CHECKOUT, import_from, python3, read

WORKFLOWS = os.path.join(CHECKOUT, '.github', 'workflows')

pytestmark = [pytest.mark.checkout, python3,
              pytest.mark.skipif(not os.path.isdir(WORKFLOWS), reason='an sdist has no workflows')]


@pytest.fixture
def jobs():
    """Dict of file:job: its text."""
    found = {}
    for name in sorted(os.listdir(WORKFLOWS)):
        text = read('.github', 'workflows', name).partition('\njobs:\n')[2]
        parts = re.split(r'(?m)^  ([a-z-]+):\n', text)
        found.update(('%s:%s' % (name, job), body) for job, body in zip(parts[1::2], parts[2::2]))
    assert 'ci.yml:tests' in found and 'nightly.yml:real' in found
    return found


def matrix(job, name):
    """The values of a matrix: of a list, or of the rows of an include."""
    listed = re.search(r'(?m)^        %s: \[(.*)\]$' % name, job)
    values = listed.group(1).split(', ') if listed else re.findall(r'(?m)^ +(?:- )?%s: (.+)$' % name, job)
    return [value.strip("'") for value in values]


def test_every_version_is_tested_once(jobs):
    run_tests = import_from('tools', 'run_tests')
    tested = [version for job in jobs.values() if 'tools/run_tests.py --python ${{ matrix.python }}' in job
              for version in matrix(job, 'python')]
    assert sorted(tested) == sorted(run_tests.VERSIONS + run_tests.NEWER)


def test_scripts_and_targets_exist(jobs):
    scripts, targets = set(), set()
    for job in jobs.values():
        scripts.update(re.findall(r'\bpython3 (\S+\.py)\b', job))
        targets.update(re.findall(r'(?m)^ +- run: make (\S+)', job))
    assert {'tools/check.py', 'tools/run_tests.py', 'tools/wasm.py', 'compliance/run.py'} <= scripts
    assert targets
    for script in scripts:
        assert os.path.exists(os.path.join(CHECKOUT, script)), script
    for target in targets:
        assert re.search(r'(?m)^%s:' % target, read('Makefile')), target


def test_checks_exist(jobs):
    names = [name for job in jobs.values() if 'tools/check.py ${{ matrix.check }}' in job
             for name in matrix(job, 'check')]
    assert {'lint', 'types', 'docs', 'faults', 'mutants'} <= set(names)
    assert set(names) <= set(import_from('tools', 'check').CHECKS)


def test_no_job_waits_without_a_limit(jobs):
    for name, job in jobs.items():
        assert re.search(r'(?m)^    timeout-minutes: \d+$', job), name


def test_read_the_docs_has_what_make_docs_has():
    settings = read('.readthedocs.yaml')
    pins = [os.path.join(CHECKOUT, *path.split('/')) for path in re.findall(r'requirements: (\S+)', settings)]
    assert pins == import_from('tools', 'check').CHECKS['docs'].pins
    assert re.search(r'configuration: docs/conf\.py\n  fail_on_warning: true\n', settings)
