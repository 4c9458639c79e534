"""Sphinx settings. They also draw pictures and write help texts for the pages."""

import os
import re
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

# A reference to an unknown name is an error.
nitpicky = True
# The object that a session waits with is not public.
nitpick_ignore = [('py:class', 'lomond.network.poller.Waiting')]

autodoc_member_order = 'bysource'
add_module_names = False
# The modules run on 2.7 and have no type hints; the stubs do.
autodoc_typehints = 'none'
toc_object_entries_show_parents = 'hide'
# Text in quotes is often code: keep straight quotes.
smartquotes = False

#: In a module docstring, the sentence that says what the module does not depend on.
RULE = re.compile(r'^Knows nothing of: .*?(?:\.(?=\s|\Z)|(?=\n\n)|\Z)\s*', re.MULTILINE | re.DOTALL)

diagram.write(os.path.join(HERE, '_build', 'states.svg'))


def write_help(path, *words):
    """Write the help of a command to a file that the command-line page includes."""
    os.environ['COLUMNS'] = '90'
    try:
        arguments.parse(list(words) + ['--help'])
    except arguments.Usage as usage:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(usage.text + '\n')


write_help(os.path.join(HERE, '_build', 'help.txt'))
write_help(os.path.join(HERE, '_build', 'help-serve.txt'), 'serve')


def without_rules(app, what, name, obj, options, lines):
    """Drop the rules of a module docstring, which are for contributors."""
    if what == 'module':
        text = RULE.sub('', '\n'.join(lines))
        paragraphs = text.split('\n\n')
        kept = [paragraph for paragraph in paragraphs if ' must not ' not in paragraph]
        first = paragraphs[0].partition('; the')[0].rstrip('.') + '.'
        lines[:] = '\n\n'.join(kept if paragraphs[0] in kept else [first] + kept).split('\n')


def is_hidden(app, what, name, obj, skip, options):
    """Skip methods of built-in types that a module has under its own name."""
    return True if type(obj).__name__ in ('method_descriptor', 'builtin_function_or_method') else None


def check_reference(app, env):
    """Warn of each public name that is missing from the reference."""
    documented = env.domaindata['py']['objects']
    for name in check_names.find_missing(documented):
        logging.getLogger(__name__).warning('%s is public, and not in the reference', name)


def setup(app):
    app.connect('env-check-consistency', check_reference)
    app.connect('autodoc-process-docstring', without_rules)
    app.connect('autodoc-skip-member', is_hidden)
