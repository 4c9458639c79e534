"""tools/prose.py: each rule on a sentence that breaks it and on a similar one.

The checkout itself is checked by ``tools/check.py lint``, not here.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import sys

import pytest
from support.paths import import_from

if sys.version_info < (3, 6):
    pytest.skip('tools/prose.py is for Python 3', allow_module_level=True)

pytestmark = pytest.mark.checkout

prose = import_from('tools', 'prose')

#: The start of the rule's pattern, a sentence that breaks it, and one that does not.
WORDINGS = [
    ('who(?:so)?ever', 'Ask whoever holds the lock.', 'Ask the holder, however long it takes.'),
    ('whom', 'A server whom we trust.', 'A server that we trust.'),
    ('(?:for|from|than|only) who', 'As decode, for who wants no text.', 'Look up who holds the lock.'),
    ('so many', 'So many are kept.', 'Keep this many.'),
    ('(?:from|until|after|every|at most)', 'Wait after that many bytes.', 'It is not that many bytes.'),
    ('(?<!\\bthere )', 'This is no HTTP.', 'There is no HTTP here.'),
    ('(?<!\\bthere )', 'Those\nare no numbers.', 'There are no numbers.'),
    ('(?<!\\bthere )', 'It was no token.', 'It was no longer a token.'),
    ('(?<!\\bthere )', 'A copy is no use.', 'A copy is no slower than a view, and is no more than 2 us.'),
    ('there is none', 'None when there is none.', 'None when there is nothing.'),
    ('for ever', 'It waits for ever.', 'It waits for every reader, forever.'),
    ('beside', 'Measured beside the others.', 'Besides, it is measured.'),
    ('in the midst', 'In the midst of a frame.', 'In the middle of a frame.'),
    ('in vain', 'After two reads in vain.', 'In vanilla Python.'),
    ('any more', 'Nobody reads it any more.', 'If any more bytes arrive.'),
    ('(?:un)?heed', 'The variable is heeded.', 'The variable is needed.'),
    ('in place of', 'An error in place of an answer.', 'It sorts in place, of course.'),
    ('as a rule', 'As a rule, it is short.', 'It has a rule.'),
    ('(?:anew|afresh)', 'It begins anew.', 'It begins again with a newline.'),
    ('must not (?:know|need)', 'It must not know sockets.', 'It must not block.'),
    ('(?:^|[;,.(] |: )', 'Seconds; None: no limit.', 'With no limit if it is None.'),
    ('(?:^|[;,.(] |: )', ':param fin: False: the message goes on', ':returns: None, True or False'),
    ('^the same', 'The same.', 'The same checks as in the constructor.'),
    ('(?:behaviou?r', 'The behaviour of peers.', 'The behavior of peers.'),
    ('licence', 'See the licence.', 'See the license.'),
    ('(?:recogni', 'It is recognised.', 'It is recognized; this is an analysis.'),
]


def _begins(pattern, rule):
    return pattern.startswith((rule, '\\b' + rule))


@pytest.mark.parametrize('rule, red, green', WORDINGS)
def test_wording(rule, red, green):
    advice, = [advice for pattern, advice in prose.WORDINGS if _begins(pattern, rule)]
    found, = prose.check_text(red, '.md')
    assert found[1].endswith(advice)
    assert prose.check_text(green, '.md') == []


def test_every_wording_is_tested():
    tested = [rule for rule, _, _ in WORDINGS]
    for pattern, _ in prose.WORDINGS:
        assert any(_begins(pattern, rule) for rule in tested), pattern


@pytest.mark.parametrize('extension, before, after', [
    ('.rst', '', ''), ('.md', '', ''), ('.py', '# ', ''), ('.py', '"""', '"""'), ('.py', 'x = """', '"""')])
def test_wording_across_lines(extension, before, after):
    between = '\n# ' if before == '# ' else '\n  '
    text = '\n' + before + 'It waits' + between + 'for' + between + 'ever.' + after + '\n'
    assert prose.check_text(text, extension) == [(3, '"for ever": write "forever"')]


LONG = 'word ' * 17 + 'end'         # 88 columns
WIDE = [(1, '89 columns; at most 88 are allowed')]


@pytest.mark.parametrize('extension, text', [
    ('.rst', LONG + 's'), ('.md', LONG + 's'), ('.py', '# ' + LONG[2:] + 's'),
    ('.py', '"""' + LONG[3:] + 's\n"""'), ('.rst', '* ' + LONG[2:] + 's'),
    ('.rst', '.. note:: ' + LONG[10:] + 's')])
def test_width(extension, text):
    assert prose.check_text(text, extension) == WIDE
    assert prose.check_text(text.replace('ends', 'end'), extension) == []


#: Text that may be longer. If the last column is true, its wording is not checked.
EXCEPTIONS = [
    ('a code block', '.rst', '.. code-block:: python\n\n    %s\n\nText.', True),
    ('a literal block', '.rst', 'Like this::\n\n    %s\n', True),
    ('a literal block of an item', '.rst', '* Like this::\n\n    x\n\n      %s\n', True),
    ('a directive that includes', '.rst', '.. literalinclude:: %s\n', True),
    ('a note for the tests', '.rst', '.. test: skip %s\n', True),
    ('a doctest', '.rst', '>>> f()\n%s\n', True),
    ('a table', '.rst', '====  ====\n%s\n====  ====\nx     %s\n====  ====\n', False),
    ('a list table', '.rst', '.. list-table::\n   :header-rows: 1\n\n   * - x\n     - %s\n', False),
    ('a grid table', '.rst', '+----+----+\n| x  | %s |\n+----+----+\n', False),
    ('a fence', '.md', 'Text.\n\n```\n%s\n```\n', True),
    ('a table in Markdown', '.md', '| a | b |\n| - | - |\n| x | %s |\n', False),
    ('the target of a link', '.md', '[x]: %s\n', True),
    ('code', '.py', 'x = f(%s)\n', True),
    ('a message', '.py', 'x = "%s"\n', False),
    ('bytes', '.py', 'x = b"%s"\n', True),
    ('a comment behind code', '.py', 'x = 1     # %s\n', False),
    ('a directive of a tool', '.py', '# noqa: %s\n', True),
    ('code in a docstring', '.py', 'def f():\n    """Do it::\n\n        %s\n    """\n', True),
]
BAD = 'is no thing ' * 9


@pytest.mark.parametrize('name, extension, text, is_free', EXCEPTIONS)
def test_exceptions(name, extension, text, is_free):
    found = prose.check_text(text.replace('%s', BAD.strip()), extension)
    assert [what for _, what in found if 'columns' in what] == []
    assert (found == []) is is_free


@pytest.mark.parametrize('extension, text, neighbor', [
    ('.rst', 'See https://example.org/{} for this.', 'See example.org/{} for this.'),
    ('.rst', '`text <https://example.org/{}>`_', '`text <example.org/{}>`_'),
    ('.md', 'The [text](https://example.org/{}).', 'The [text](example.org/{}).'),
    ('.rst', '``{}``', 'x ``{}``'),
])
def test_what_cannot_be_broken_may_be_longer(extension, text, neighbor):
    assert prose.check_text(text.format('x' * 90), extension) == []
    wide = neighbor.format('x' * 90)
    assert prose.check_text(wide, extension) == [(1, '{} columns; at most 88 are allowed'.format(len(wide)))]


def test_inline_code_is_not_prose():
    assert prose.check_text('Say ``x is no y`` or `for ever`, or :meth:`in vain`.', '.rst') == []
    assert prose.check_text('Say ``x`` is no ``y``.', '.rst') == [(1, '"is no": write "is not a"')]


def test_prose_goes_on_after_a_block():
    text = '.. code-block:: python\n\n    is no\n\n{}\n\nBut this is no code.\n'
    assert [number for number, _ in prose.check_text(text.format('::\n\n    is no'), '.rst')] == [9]
    assert [number for number, _ in prose.check_text('```\nis no\n```\nthis is no code', '.md')] == [4]
    text = '====  ====\na     b\n====  ====\nx     y\n====  ====\n\n' + LONG + 's'
    assert [number for number, _ in prose.check_text(text, '.rst')] == [7]


def test_lines_of_python():
    text = '''"""First line.

    It is no number.
    """
x = {'a': 'this '
          'is no message'}
# one block that is
# no comment
y = 2       # so many
'''
    assert [number for number, _ in prose.check_text(text, '.py')] == [3, 6, 7, 9]


def test_finding_files():
    found = prose.find_files()
    for path in ('README.rst', 'docs/faq.rst', 'docs/howto/index.rst', 'lomond/cli/serve.py', 'SECURITY.md'):
        assert path in found
    assert not [path for path in found if '_build' in path or path.startswith('tests')]


def test_run(tmpdir, capsys):
    path = tmpdir.join('page.rst')
    path.write('This is no page.\n')
    assert prose.main([str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        '{}:1: "is no": write "is not a"'.format(os.path.relpath(str(path))), 'prose: 1 files, 1 findings']
    path.write('This is not a page.\n')
    assert prose.main([str(path)]) == 0
    assert capsys.readouterr().out == 'prose: 1 files, 0 findings\n'
    with pytest.raises(SystemExit):
        prose.main([str(tmpdir.join('page.txt'))])
