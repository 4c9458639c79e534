"""Builds sdist and wheel, and installs and runs both on every interpreter."""

from __future__ import absolute_import, division, unicode_literals

import os
import re
import subprocess
import sys

import pytest
from support.paths import CHECKOUT, python3


@pytest.mark.slow
@pytest.mark.timeout(1800)
@python3
def test_release_is_used_everywhere():
    done = subprocess.run([sys.executable, os.path.join(CHECKOUT, 'tools', 'package.py')], timeout=1700,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode('utf-8', 'replace')
    assert done.returncode == 0 and re.search(r'^\d+ passed, 0 failed$', text, re.M), text
