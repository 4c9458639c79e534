"""Builds sdist and wheel, and installs and runs both on every interpreter."""

from __future__ import absolute_import, division, unicode_literals

import os
import re
import subprocess
import sys

import pytest
from support.paths import CHECKOUT

SCRIPT = os.path.join(CHECKOUT, 'tools', 'package.py')


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.version_info < (3, 6), reason='tools/package.py is written for Python 3')
def test_release_is_used_everywhere():
    done = subprocess.run([sys.executable, SCRIPT], timeout=1700, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode('utf-8', 'replace')
    assert done.returncode == 0 and re.search(r'^\d+ passed, 0 failed$', text, re.M), text
