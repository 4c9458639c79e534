"""The build of lomond; all but the version stands in setup.cfg."""

import io
import os
import re

from setuptools import setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read_version():
    """The version, read as text: importing the package would need what it requires."""
    with io.open(os.path.join(HERE, 'lomond', '_version.py'), encoding='utf-8') as source:
        return str(re.search(r"^__version__ = '([^']+)'$", source.read(), re.MULTILINE).group(1))


setup(version=read_version())
