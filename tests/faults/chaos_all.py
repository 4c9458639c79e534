"""All scenarios: importing the tables fills :data:`chaos.ALL`."""

from __future__ import absolute_import, division, unicode_literals

import chaos
import chaos_layers     # noqa: F401 - it adds its scenarios

ALL = chaos.ALL
