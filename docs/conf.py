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
autodoc_default_options = {'show-inheritance': True}
add_module_names = False
# The modules of 2.7 have no type hints; the stubs have them.
autodoc_typehints = 'none'
toc_object_entries_show_parents = 'hide'
# text in quotes is code, and quotes stay as they are
smartquotes = False

diagram.write(os.path.join(HERE, '_build', 'states.svg'))


def without_rules(app, what, name, obj, options, lines):
    """Module docstrings say what a module must not know; that is for contributors."""
    if what == 'module':
        paragraphs = '\n'.join(lines).split('\n\n')
        kept = [paragraph for paragraph in paragraphs if ' must not ' not in paragraph]
        first = paragraphs[0].partition('; the')[0].rstrip('.') + '.'
        lines[:] = '\n\n'.join(kept if paragraphs[0] in kept else [first] + kept).split('\n')


def is_hidden(app, what, name, obj, skip, options):
    """Methods of builtins that a module has under a name of its own are not its interface."""
    return True if type(obj).__name__ in ('method_descriptor', 'builtin_function_or_method') else None


def setup(app):
    app.connect('autodoc-process-docstring', without_rules)
    app.connect('autodoc-skip-member', is_hidden)
