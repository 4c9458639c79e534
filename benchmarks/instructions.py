#!/usr/bin/env python3
"""Count the instructions of the five most important paths with valgrind.

    python3 benchmarks/instructions.py             count, and compare with instructions.json
    python3 benchmarks/instructions.py --check     the same; status 1 beyond 5 %
    python3 benchmarks/instructions.py --write     keep the new figures

Instructions are repeatable where times are not: a change of 1 % shows on a busy machine,
too. They do not tell how long memory and the kernel take. Each path runs twice, with
different counts, and the difference is divided by the difference of the counts, so the
import and the warm-up do not count. The figures hold for one Python and one processor
family; on others, nothing can be compared. It needs valgrind and Python 3.11, and takes
some minutes: valgrind needs about ten seconds of CPU for each of ten runs.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys

import surroundings
from report import format_table
from surroundings import Failed, environments

#: The Python whose figures are kept.
PYTHON = '3.11'
FIGURES = os.path.join(surroundings.HERE, 'instructions.json')
#: By how much a figure may differ from the kept one.
TOLERANCE = 0.05
#: The two counts of each path.
COUNTS = (
    ('receive-32', 500, 3500), ('receive-1k-text', 500, 2500), ('send-32', 200, 2200),
    ('round-trip-32', 100, 600), ('connect-close', 5, 25))

_COLLECTED = re.compile(r'^==\d+== Collected : (\d+)', re.MULTILINE)


def parse_collected(text):
    """Return the number of instructions that callgrind reports.

    :raises Failed: if there is none
    """
    found = _COLLECTED.search(text)
    if found is None:
        raise Failed('valgrind reports no instructions: {}'.format(text.strip()[-300:] or 'nothing at all'))
    return int(found.group(1))


def per_turn(fewer, more):
    """Return the instructions of one message or connection.

    :param fewer, more: ``(count, instructions)`` of the two runs
    """
    return int(round((more[1] - fewer[1]) / float(more[0] - fewer[0])))


def compare(kept, now):
    """Compare figures by path.

    :returns: ``(rows, bad)``: the rows of a table, and sentences about figures that
        differ by more than TOLERANCE
    """
    rows, bad = [['path', 'kept', 'now', 'change']], []
    for name, figure in now.items():
        before = kept.get(name)
        if before is None:
            rows.append([name, 'none', str(figure), 'none'])
            bad.append('{}: no figure is kept'.format(name))
            continue
        change = figure / float(before) - 1
        rows.append([name, str(before), str(figure), '{:+.1%}'.format(change)])
        if abs(change) > TOLERANCE:
            bad.append('{}: {:+.1%}; {}'.format(
                name, change, 'more than 5 % are too many' if change > 0 else
                'it has become better: keep it by --write'))
    return rows, bad


def count(executable, folder):
    """Return the instructions by path."""
    if shutil.which('valgrind') is None:
        raise Failed('valgrind was not found')
    environ = surroundings.child_environ(PYTHONHASHSEED='0')
    found = {}
    for name, few, many in COUNTS:
        totals = []
        for number in few, many:
            child = subprocess.run(
                ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', executable, '-I', '-B',
                 os.path.join(surroundings.HERE, 'instructions_child.py'), folder, name, str(number)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ, universal_newlines=True)
            if child.returncode:
                raise Failed('{}: {}'.format(name, child.stdout.strip()[-1000:]))
            totals.append((number, parse_collected(child.stdout)))
        found[name] = per_turn(*totals)
        print('{}: {}'.format(name, found[name]))
        sys.stdout.flush()
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='status 1 if a figure differs by more than 5 %%')
    parser.add_argument('--write', action='store_true', help='keep the figures')
    parser.add_argument('--venvs', default=os.path.join(surroundings.CHECKOUT, '.venvs'), metavar='FOLDER',
                        help='where environments are kept')
    options = parser.parse_args(arguments)
    try:
        pythons, remarks = environments.find([PYTHON])
        if PYTHON not in pythons:
            raise Failed('\n'.join(['Python {} was not found'.format(PYTHON)] + remarks))
        os.makedirs(options.venvs, exist_ok=True)
        executable = environments.make(
            options.venvs, 'bench-{}-peers'.format(PYTHON), pythons[PYTHON], [surroundings.PINS['peers']],
            os.path.join(options.venvs, 'bench.log'))
        where = {'python': pythons[PYTHON].full_version, 'machine': platform.machine()}
        kept = {}
        if os.path.exists(FIGURES):
            with open(FIGURES, encoding='utf-8') as text:
                kept = json.load(text)
        if not options.write and kept and any(kept[name] != where[name] for name in where):
            raise Failed('the figures are those of CPython {python} on {machine}'.format(**kept) +
                         '; this is CPython {python} on {machine}'.format(**where))
        now = count(executable, surroundings.CHECKOUT)
    except Failed as failed:
        print('benchmarks/instructions.py: {}'.format(failed))
        return 2
    rows, bad = compare(kept.get('instructions', {}), now)
    print('')
    print(format_table(rows))
    if options.write:
        with open(FIGURES, 'w', encoding='utf-8') as text:
            json.dump(dict(where, instructions=now), text, indent=1, sort_keys=True)
            text.write('\n')
        return 0
    print('\n'.join([''] + bad if bad else ['', 'all figures are within 5 %']))
    return 1 if options.check and bad else 0


if __name__ == '__main__':
    sys.exit(main())
