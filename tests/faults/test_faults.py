"""The whole chaos suite by pytest, one scenario a test; ``run.py`` makes a table and
survives crashes.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import chaos  # noqa: E402
from chaos_all import ALL  # noqa: E402
from support.certificates import certs  # noqa: E402, F401 - a fixture


@pytest.fixture(scope='module')
def world(certs):           # noqa: F811
    world = chaos.World(certs.ca, certs.server)
    yield world
    world.close()


@pytest.mark.timeout(200)
@pytest.mark.parametrize('one', ALL, ids=lambda one: one.name.replace(' ', '-').replace(':', ''))
def test_fault(one, world):
    one.run(world)
