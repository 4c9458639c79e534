"""Run the command line: ``python -m lomond``."""

from __future__ import absolute_import, division, unicode_literals

import sys

from .cli import main

if __name__ == '__main__':
    sys.exit(main())
