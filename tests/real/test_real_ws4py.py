"""The programs of support/ws4py_programs, with ws4py 0.6.0 and with lomond.ws4py: equal logs of callbacks.

`install.py` puts ws4py and CherryPy into the environments `wsgi` and `wsgi-2.7`, or LOMOND_REAL_WSGI names a
Python that has them.  The listed differences (text for bytes, and so on) are leveled by the programs.
"""

from __future__ import absolute_import, division, unicode_literals

import json
import os
import subprocess

import pytest
from support.paths import CHECKOUT
from test_real_wsgi import find_python

PROGRAMS = ['threaded', 'endings', 'refusals', 'base', 'managed', 'wsgiref', 'cherrypy']


def run(package, program, version=3):
    python = find_python('ws4py, cherrypy, gevent' + (', tornado' if version == 3 else ''), version)
    path = os.path.join(CHECKOUT, 'tests', 'support', 'ws4py_programs.py')
    output = subprocess.check_output([python, path, package, program], stderr=subprocess.STDOUT,
                                     env=dict(os.environ, PYTHONPATH=str(CHECKOUT)))
    lines = [line for line in output.splitlines() if line.startswith(b'["' + program.encode('ascii'))]
    assert lines, output
    return json.loads(lines[0].decode('utf-8'))[1]


@pytest.mark.parametrize('version', (3, 2))
@pytest.mark.parametrize('program', PROGRAMS)
def test_logs_are_equal(program, version):
    assert run('lomond.ws4py', program, version) == run('ws4py', program, version)


@pytest.mark.parametrize('program, expected', [
    # the server of ws4py does not say goodbye on Python 3
    ('gevent', [['opened'], ['opened']] + [['text', 'hello', 5, True]] * 2 + [
        ['closed', 3000, 'bye', False], [True, 1], ['closed', 1001, '', True], [True, True]]),
    # ws4py's needs Tornado 5
    ('tornado', [['opened'], ['text', 'hello', 5, True], [3000, 'bye'], 'unhandled_error',
                 [1006, 'unable to connect']]),
])
def test_log_of_lomond(program, expected):
    assert sorted(run('lomond.ws4py', program), key=str) == sorted(expected, key=str)
