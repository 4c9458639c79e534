"""The version of the package, in one place; it must not import anything."""

from __future__ import unicode_literals

__version__ = '1.0.0'
