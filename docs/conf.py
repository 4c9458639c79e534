"""Sphinx settings; the pictures are drawn before anything is read."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

import check_names  # noqa: E402
import diagram  # noqa: E402
from sphinx.util import logging  # noqa: E402

import lomond  # noqa: E402
from lomond.cli import arguments  # noqa: E402

project = 'lomond'
author = 'the lomond authors'
copyright = 'the lomond authors'
version = release = lomond.__version__

extensions = ['sphinx.ext.autodoc']
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = 'lomond {}'.format(release)
html_static_path = ['_static']
html_css_files = ['lomond.css']
html_copy_source = False
templates_path = []

# A name that leads nowhere is an error.
nitpicky = True
# What a session waits with is not an interface.
nitpick_ignore = [('py:class', 'lomond.network.poller.Waiting')]

autodoc_member_order = 'bysource'
add_module_names = False
# The modules of 2.7 have no type hints; the stubs have them.
autodoc_typehints = 'none'
toc_object_entries_show_parents = 'hide'
# text in quotes is code, and quotes stay as they are
smartquotes = False

diagram.write(os.path.join(HERE, '_build', 'states.svg'))


def write_help(path, *words):
    """What a command says of itself, for the page of the command line."""
    os.environ['COLUMNS'] = '90'
    try:
        arguments.parse(list(words) + ['--help'])
    except arguments.Usage as usage:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(usage.text + '\n')


write_help(os.path.join(HERE, '_build', 'help.txt'))
write_help(os.path.join(HERE, '_build', 'help-serve.txt'), 'serve')


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


def check_reference(app, env):
    """A public name that no page of the reference has is an error."""
    documented = env.domaindata['py']['objects']
    for name in check_names.find_missing(documented):
        logging.getLogger(__name__).warning('%s is public, and not in the reference', name)


def setup(app):
    app.connect('env-check-consistency', check_reference)
    app.connect('autodoc-process-docstring', without_rules)
    app.connect('autodoc-skip-member', is_hidden)
