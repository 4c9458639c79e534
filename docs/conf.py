"""Sphinx settings; the pictures are drawn before anything is read."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

import diagram  # noqa: E402

import lomond  # noqa: E402

project = 'lomond'
author = 'the lomond authors'
copyright = 'the lomond authors'
version = release = lomond.__version__

extensions = ['sphinx.ext.autodoc']
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = 'lomond {}'.format(release)
html_static_path = []
html_copy_source = False
templates_path = []

autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
add_module_names = False
# The modules of 2.7 have no type hints; the stubs have them.
autodoc_typehints = 'none'
toc_object_entries_show_parents = 'hide'
# text in quotes is code, and quotes stay as they are
smartquotes = False

diagram.write(os.path.join(HERE, '_build', 'states.svg'))
