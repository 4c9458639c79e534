"""All scenarios: importing the tables fills :data:`chaos.ALL`."""

from __future__ import absolute_import, division, unicode_literals

import chaos
import chaos_control  # noqa: F401 - each adds its scenarios
import chaos_ends  # noqa: F401
import chaos_layers  # noqa: F401
import chaos_peers  # noqa: F401
import chaos_persist  # noqa: F401
import chaos_threads  # noqa: F401

ALL = chaos.ALL
