"""Selects cases of Autobahn, and judges its index.json.

It takes and returns plain data, and also runs on Python 2.7.

Knows nothing of: how the cases are run.
"""

from __future__ import absolute_import, division, unicode_literals

import re
from collections import namedtuple

#: The number of cases of autobahntestsuite 25.10.1, so that a shorter list is noticed.
ALL_CASES = 517

#: All of sections 1-7 and 10, which take seconds, and a sample of 9, 12 and 13, which
#: take minutes.
QUICK = (
    '1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '10.*',
    '9.1.1', '9.1.2', '9.2.1', '9.2.2', '9.3.3', '9.4.3', '9.5.6', '9.6.6', '9.7.3', '9.8.3',
    '12.1.1', '12.1.11', '12.2.1', '12.3.1', '12.4.1', '12.5.1',
    '13.1.1', '13.2.1', '13.3.1', '13.4.1', '13.5.1', '13.6.1', '13.7.1', '13.7.11',
)

#: RFC 6455 does not specify what these cases test, so Autobahn cannot call them OK: a
#: close frame in the middle of a message, and close codes of 5000 and above.
INFORMATIONAL = ('7.1.6', '7.13.1', '7.13.2')

_PATTERN = re.compile(r'^(\*|\d+(\.\d+)*(\.?\*)?)$')

#: A case that did not pass: Autobahn's two results (None if it has none), and a
#: sentence.
Problem = namedtuple('Problem', 'case behavior behavior_close reason')


def case_key(case):
    """Return a key that sorts cases as numbers: 9.2.1 before 10.1.1.

    :param case: a case's id, ``'7.13.1'``
    :returns: a tuple of integers
    """
    return tuple(int(part) for part in case.split('.'))


def select_cases(patterns, cases):
    """Expand patterns to the ids of cases.

    wstest itself silently accepts a pattern that matches nothing.

    :param patterns: ids, or prefixes of ids with a star: ``9.1.1``, ``7.*``, ``*``
    :param cases: all ids
    :returns: a sorted list without repeats
    :raises ValueError: if a star is not at the end, or a pattern matches no case
    """
    selected = set()
    for pattern in patterns:
        if not _PATTERN.match(pattern):
            raise ValueError(
                '{!s} is not a pattern of cases; use a number like 7.1.6, or a star at the end as in 7.*'
                .format(pattern))
        if pattern.endswith('*'):
            found = [case for case in cases if case.startswith(pattern[:-1])]
        else:
            found = [case for case in cases if case == pattern]
        if not found:
            raise ValueError(
                '{!s} matches no case; did you mean {!s}.* ?'.format(pattern, pattern.rstrip('.*')))
        selected.update(found)
    return sorted(selected, key=case_key)


class Verdict(object):
    """The outcome of a run.

    :param passed: ids of the cases that passed, including the informational ones
    :param informational: ids of the cases that passed as INFORMATIONAL
    :param problems: a list of :class:`Problem`
    """

    def __init__(self, passed, informational, problems):
        self.passed = passed
        self.informational = informational
        self.problems = problems


def judge(index, agent, expected, remarks=None, informational=INFORMATIONAL):
    """Judge Autobahn's index.json.

    A case passes with OK, or with INFORMATIONAL where that is allowed. The same rule
    applies to its closing handshake.

    :param index: the parsed file: ``{agent: {case: {'behavior': .., 'behaviorClose':
        ..}}}``
    :param agent: the name under which the results are stored
    :param expected: ids of the cases that should have run; a case without a result
        fails
    :param remarks: ``{case: sentence}`` for problems that we saw ourselves. Such a case
        fails, even if Autobahn accepts it: the client may hang after a correct answer,
        for example.
    :param informational: ids that may be INFORMATIONAL
    :returns: a :class:`Verdict`
    """
    results = index.get(agent, {})
    remarks = remarks or {}
    verdict = Verdict([], [], [])
    for case in sorted(set(expected) | set(results), key=case_key):
        result = results.get(case, {})
        words = result.get('behavior'), result.get('behaviorClose')
        allowed = ('OK', 'INFORMATIONAL') if case in informational else ('OK',)
        reasons = []
        if case not in results:
            reasons.append('there is no result')
        else:
            reasons.extend(
                '{} is {}'.format(name, word)
                for name, word in zip(('behavior', 'behaviorClose'), words) if word not in allowed)
        if case in remarks:
            reasons.append(remarks[case])
        if reasons:
            verdict.problems.append(Problem(case, words[0], words[1], '; '.join(reasons)))
            continue
        verdict.passed.append(case)
        if 'INFORMATIONAL' in words:
            verdict.informational.append(case)
    return verdict


def format_table(rows):
    """Format rows as columns of text; the first row is the heading.

    :param rows: a list of equally long sequences
    :returns: text without a final newline
    """
    rows = [['{}'.format(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    rows.insert(1, ['-' * width for width in widths])
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
