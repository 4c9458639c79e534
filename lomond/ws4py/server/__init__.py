"""The servers of ws4py: each module is over the server that it is named after.

Knows nothing of: any server.
"""

from __future__ import absolute_import, division, unicode_literals
