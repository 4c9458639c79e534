"""``python -m lomond``: the command line; it must not know what that does."""

from __future__ import absolute_import, division, unicode_literals

import sys

from .cli import main

if __name__ == '__main__':
    sys.exit(main())
