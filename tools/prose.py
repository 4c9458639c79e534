#!/usr/bin/env python3
"""Check the width and the wording of documentation, docstrings, comments and messages.

    python3 tools/prose.py                   everything listed in PROSE
    python3 tools/prose.py docs/faq.rst ...  these files

Each finding is one line, ``file:line: what``, and the exit status is then 1. Lines of
prose have at most 88 columns. Code blocks, tables, URLs and lines of code with a
comment at the end may be longer; ruff checks the width of code. The wording is checked
in tables and in the strings of modules as well, but not in code blocks, inline code or
bytes.

Knows nothing of: what the text is about.
"""

import argparse
import fnmatch
import io
import os
import re
import sys
import tokenize

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WIDTH = 88
#: Patterns of paths below the checkout; a star also matches slashes.
PROSE = ('README.rst', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/*.rst', 'lomond/*.py')
NOT_PROSE = ('docs/_build/*',)

#: Wordings that read as translated, as regular expressions, and what to write instead.
#: They are searched in whole paragraphs, without regard to case, with a single space
#: between two words.
WORDINGS = (
    (r'\bwho(?:so)?ever\b', 'say who is meant'),
    (r'\bwhom\b', 'rewrite the sentence without "whom"'),
    (r'\b(?:for|from|than|only) who\b', 'name who is meant'),
    (r'\bso many\b', 'name the number, or write "this many"'),
    (r'\b(?:from|until|after|every|at most) (?:so|that) (?:many|much)\b',
     'name the number or the amount'),
    # "there is no X" is English; so are "is no longer" and comparisons ("is no
    # faster").
    (r'(?<!\bthere )\b(?:is|are|was|were) no\b'
     r'(?! (?:longer|more|less|fewer|one|later|sooner|better|worse|\w+er than)\b)',
     'write "is not a"'),
    (r'\bthere is none\b', 'say what is missing'),
    (r'\bfor ever\b', 'write "forever"'),
    (r'\bbeside\b(?! it with lomond)', 'write "next to", "in addition to" or "compared with"'),
    (r'\bin the midst\b', 'write "in the middle" or "while"'),
    (r'\bin vain\b', 'say what was not found or not reached'),
    (r'\bany more(?=[.,;:)]|$)', 'write "no longer"'),
    (r'\b(?:un)?heed(?:ed|s|ing)?\b', 'write "honor" or "use"'),
    (r'\bin place of\b', 'write "instead of"'),
    (r'\bas a rule\b', 'write "usually"'),
    (r'\b(?:anew|afresh)\b', 'write "again"'),
    (r'\bmust not (?:know|need)\b', 'write one line, "Knows nothing of: ..."'),
    (r'(?:^|[;,.(] |: )(?:True|False|None): (?=[a-z])', 'write a sentence: "If false, ..."'),
    (r'^the same\.?$', 'say what is the same as what'),
    (r'\b(?:behaviou?r(?<=our)|colour|favour|honour|neighbour)\w*', 'use the American spelling'),
    (r'\blicence\w*|\bgrey\b|\bcentre\w*', 'use the American spelling'),
    (r'\b(?:recogni|organi|normali|optimi|initiali|seriali|summari|reali|analy)s(?:e|ed|es|ing)\b',
     'use the American spelling'),
)
_WORDINGS = [(re.compile(pattern, re.IGNORECASE), advice) for pattern, advice in WORDINGS]

_URL = re.compile(r'[a-z][a-z+.-]*://[^\s>)]+')
_INLINE_CODE = re.compile(r'``.+?``|`[^`]+`')
_BORDER = re.compile(r'\s*=+(?: +=+)+\s*$')
_GRID = re.compile(r'\s*[+|](?:[-=+]|\s)')
_ADORNMENT = re.compile(r'\s*([^\w\s])\1{2,}\s*$')
_DIRECTIVE = re.compile(r'\.\. +([\w-]+)::')
#: What begins a paragraph of its own without a blank line before it.
_ITEM = re.compile(r'\s*(?:[*+-] |\d+[.)] |#\. |:[^:`]+: ?)')
#: Directives whose content is prose; the content of all others is taken as literal.
_PROSE_DIRECTIVES = frozenset((
    'admonition', 'attention', 'caution', 'danger', 'deprecated', 'epigraph', 'error', 'hint',
    'important', 'note', 'rubric', 'seealso', 'tip', 'versionadded', 'versionchanged', 'warning'))
_TABLE_DIRECTIVES = frozenset(('list-table', 'table'))
_NO_COMMENT = re.compile(r'#!|#\s*(?:-\*-|noqa|type:|pragma)')
_QUOTES = re.compile(r'([A-Za-z]*)("""|\'\'\'|"|\')')


class Line(object):
    """One line of prose.

    :param number: in the file, from 1
    :param text: what the wording is checked in
    :param has_width: whether the width is checked, too
    :param begins: whether a new paragraph begins here
    """

    def __init__(self, number, text, has_width=True, begins=False):
        self.number, self.text, self.has_width, self.begins = number, text, has_width, begins


def _indent(line):
    return len(line) - len(line.lstrip())


def read_rst(lines, first=1):
    """Yield the prose of reStructuredText.

    :param lines: list of text
    :param first: the number of the first line
    """
    literal = table = None          # the indentation that such a block must exceed
    borders = 0                     # of a simple table, so far
    in_doctest = False
    begins = True
    for index, line in enumerate(lines):
        number, indent = first + index, _indent(line)
        if not line.strip():
            begins, in_doctest = True, False
            continue
        if literal is not None and indent > literal or in_doctest:
            continue
        literal = None
        if table is not None and indent <= table:
            table = None
        if _BORDER.match(line):
            borders += 1
            is_last = index + 1 == len(lines) or not lines[index + 1].strip()
            if is_last and borders > 1:
                borders = 0
        elif line.lstrip().startswith('>>> '):
            in_doctest = True
        elif line.lstrip().startswith('.. ') or line.strip() == '..':
            directive = _DIRECTIVE.match(line.lstrip())
            name = directive.group(1) if directive else None
            if name in _PROSE_DIRECTIVES:
                yield Line(number, line, begins=True)
            elif name in _TABLE_DIRECTIVES:
                table = indent
            else:
                literal = indent
            begins = True
        elif not _ADORNMENT.match(line):
            item = _ITEM.match(line)
            is_row = borders > 0 or table is not None or bool(_GRID.match(line))
            yield Line(number, line, not is_row, begins or is_row or item is not None)
            begins = False
            if line.rstrip().endswith('::'):
                literal = len(item.group()) if item and not line.lstrip().startswith(':') else indent


def read_markdown(lines, first=1):
    """Yield the prose of Markdown; see :func:`read_rst`."""
    fence, begins = None, True
    for number, line in enumerate(lines, first):
        stripped = line.strip()
        if fence is not None:
            if stripped == fence:
                fence = None
        elif stripped.startswith(('```', '~~~')):
            fence = stripped[:3]
        elif re.match(r'\[[^\]]+\]: ', stripped):       # the target of a link
            begins = True
        elif stripped:
            is_row = stripped.startswith('|')
            yield Line(number, line, not is_row, begins or is_row or bool(_ITEM.match(line)))
            begins = False
            continue
        begins = True


def read_python(lines, first=1):
    """Yield the docstrings, comments and strings of a module."""
    source = io.StringIO('\n'.join(lines) + '\n')
    is_statement = True             # the next string stands alone: it is a docstring
    last_row = last_string = None
    layout = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
    for kind, text, (row, column), _, line in tokenize.generate_tokens(source.readline):
        if kind == tokenize.COMMENT:
            alone = not line[:column].strip()
            if not _NO_COMMENT.match(text):
                yield Line(first + row - 1, text.lstrip('#:'), alone, not alone or last_row != row - 1)
                last_row = row if alone else None
        elif kind == tokenize.STRING:
            prefix, quotes = _QUOTES.match(text).groups()
            if is_statement:
                content = ' ' * column + text[len(prefix + quotes):-len(quotes)]
                for found in read_rst(content.split('\n'), first + row - 1):
                    yield found
            elif 'b' not in prefix.lower():
                for number, part in enumerate(text[len(prefix + quotes):-len(quotes)].split('\n'), row):
                    yield Line(first + number - 1, part, False, last_string is None)
                    last_string = number
            is_statement = False
            continue
        elif kind == tokenize.NEWLINE:
            is_statement = True
        elif kind not in layout:
            is_statement = False
        if kind not in (tokenize.NL, tokenize.COMMENT):
            last_string = None


READERS = {'.rst': read_rst, '.md': read_markdown, '.py': read_python}


def _paragraphs(found):
    """Yield lists of lines, one for each paragraph."""
    paragraph = []
    for line in found:
        if paragraph and line.begins:
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def check_wording(paragraph):
    """Yield ``(line number, what)`` for the wordings in a paragraph."""
    text, starts = '', []           # starts: where each line begins in the text
    for line in paragraph:
        words = ' '.join(line.text.split())
        text += ' ' if text and words else ''
        starts.append(len(text))
        text += words
    # Keep the length, so that the places remain.
    text = _INLINE_CODE.sub(lambda match: 'X' * len(match.group()), text)
    for pattern, advice in _WORDINGS:
        for match in pattern.finditer(text):
            index = max(index for index, start in enumerate(starts) if start <= match.start())
            yield paragraph[index].number, '"{}": {}'.format(match.group().strip(' ;,.('), advice)


def check_width(line):
    """Return what is wrong with the width of a line as it is in the file, or None."""
    if len(line) <= WIDTH or len(_URL.sub('', line)) <= WIDTH or len(line.split()) == 1:
        return None
    return '{} columns; at most {} are allowed'.format(len(line), WIDTH)


def check_text(text, extension):
    """Return a sorted list of ``(line number, what)`` for the text of a file."""
    lines = text.split('\n')
    found = list(READERS[extension](lines))
    problems = set()
    for line in found:
        wrong = check_width(lines[line.number - 1].rstrip()) if line.has_width else None
        if wrong:
            problems.add((line.number, wrong))
    for paragraph in _paragraphs(found):
        problems.update(check_wording(paragraph))
    return sorted(problems)


def find_files(folder=CHECKOUT):
    """Return the sorted paths of all prose below a checkout, relative to it."""
    paths = []
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith('.')]
        for name in files:
            path = os.path.relpath(os.path.join(where, name), folder).replace(os.sep, '/')
            if any(fnmatch.fnmatch(path, pattern) for pattern in PROSE) and not any(
                    fnmatch.fnmatch(path, pattern) for pattern in NOT_PROSE):
                paths.append(path)
    return sorted(paths)


def main(words):
    parser = argparse.ArgumentParser(description='Check the width and the wording of prose.')
    parser.add_argument('files', nargs='*', metavar='FILE', help='default: all prose of the checkout')
    paths = parser.parse_args(words).files
    if not paths:
        paths = [os.path.join(CHECKOUT, path) for path in find_files()]
    count = 0
    for path in paths:
        extension = os.path.splitext(path)[1]
        if extension not in READERS:
            parser.error('{}: {} are known'.format(path, ', '.join(sorted(READERS))))
        with io.open(path, encoding='utf-8') as file:
            problems = check_text(file.read(), extension)
        for number, what in problems:
            print('{}:{}: {}'.format(os.path.relpath(path), number, what))
        count += len(problems)
    print('prose: {} files, {} findings'.format(len(paths), count))
    return 1 if count or not paths else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
