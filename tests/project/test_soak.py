"""The verdict of ``tests/soak.py``: which curves count as flat."""

from __future__ import absolute_import, division, unicode_literals

import os

import pytest

if not os.path.isdir('/proc/self/fd'):
    pytest.skip('memory and descriptors are counted by way of /proc', allow_module_level=True)

from soak import ALLOWED, judge

pytestmark = pytest.mark.checkout


class Sample(object):
    def __init__(self, number, **growth):
        for name, _ in ALLOWED:
            setattr(self, name, 100 + number * growth.get(name, 0) + number % 3 * (name == 'memory'))


def test_flat_lines():
    assert judge([Sample(number) for number in range(40)]) == []


@pytest.mark.parametrize('name, growth',
                         [('memory', 0.3), ('descriptors', 0.1), ('threads', 0.1), ('objects', 41)])
def test_lines_that_rise(name, growth):
    problem, = judge([Sample(number, **{name: growth}) for number in range(40)])
    assert problem.startswith(name + ' grew from ')


def test_a_peak_and_the_beginning_do_not_count():
    samples = [Sample(number) for number in range(40)]
    for sample in samples[:20] + [samples[25], samples[35]]:
        sample.memory += 50
        sample.objects += 5000
    assert judge(samples) == []


def test_too_few():
    assert judge([Sample(number) for number in range(11)]) == ['only 11 samples: too few to judge']
