"""Files of the machine as one process is to see them; it must not know what they hold.

A mount namespace of its own (``unshare -m``) has other files in place of some: nobody
else sees them, and nothing is left to be undone.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import subprocess

import pytest
from counterparts import program

_SCRIPT = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 125; shift 2; done; shift; exec "$@"'


def with_files(files, command):
    """A command that runs another one; the test is skipped where it is not allowed.

    :param files: dict: path: path of the file that is to be there
    :param command: list of text
    """
    prefix = [program('unshare'), '-m', 'sh', '-c', _SCRIPT, 'sh']
    for path in sorted(files):
        if not os.path.exists(path):
            pytest.skip('this machine has no %s' % path)
        prefix += [files[path], path]
    process = subprocess.Popen(prefix + ['--', 'true'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.communicate()[0].decode('utf-8', 'replace')
    if process.returncode:
        pytest.skip('no mount namespaces here (%s)' % said.strip())
    return prefix + ['--'] + command
