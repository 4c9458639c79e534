"""Medians, ratios, verdicts, the table and the plot.

Figures are numbers by workload and client, one per round: seconds of CPU per message,
bytes, or a count. Figures of the same round are compared, and the median of these
ratios is reported.

Knows nothing of: how the figures were measured.
"""

import math
from collections import namedtuple

from workloads import BY_NAME, CPU_MODES, KIB, MIB, PARTS_MODES, goal

#: The client that all others are compared with, and the one whose goals are judged.
BASE, SUBJECT = '0.3.4', 'lomond'
#: Pure Python clients (though websockets masks in C), and aiohttp, which is partly
#: compiled. picows is left out because it is compiled as a whole.
TO_BEAT = ('websocket-client', 'websockets', 'wsproto', 'aiohttp')
#: The upper limit of what a client can do; it is not a client.
LIMIT = 'limit'
#: The tree of another revision.
BEFORE = 'before'
#: lomond.aio, and the most that it may cost, as a multiple of other clients.
AIO = 'lomond-aio'
AIO_GOALS = {
    'receive-32': (('websockets-asyncio', 0.35), ('aiohttp', 1.0), (SUBJECT, 1.5)),
    'round-trip-32': (('websockets-asyncio', 0.75), ('aiohttp', 0.85)),
    'round-trip-1k': (('websockets-asyncio', 0.75), ('aiohttp', 0.85)),
}
#: A peer counts as better only beyond this factor: figures of one run vary by as much.
NOISE = 1.02

#: If the system call of a send alone takes longer than this (seconds) ...
SLOW_CALL = 4e-6
#: ... reaching this part of the limit is enough.
PART_OF_LIMIT = 0.85

Ratio = namedtuple('Ratio', 'median low high')
Verdict = namedtuple('Verdict', 'name value goal reached remark')


def median(values):
    """Return the median of some numbers."""
    values = sorted(values)
    middle = len(values) // 2
    if not values:
        raise ValueError('a median needs at least one value')
    if len(values) % 2:
        return values[middle]
    return (values[middle - 1] + values[middle]) / 2


def ratio(base, other):
    """Return how many times less than `base` another client costs.

    :param base, other: figures, one per round
    :returns: a :class:`Ratio` with the median and the spread, or None if no round has
        both figures
    """
    ratios = [one / two for one, two in zip(base, other) if one is not None and two]
    if not ratios:
        return None
    return Ratio(median(ratios), min(ratios), max(ratios))


def middle(figures):
    """Return the median of the rounds that have a figure, or None."""
    known = [figure for figure in figures or () if figure is not None]
    return median(known) if known else None


def times_of(figures):
    """Return only the seconds of figures that are pairs with bytes."""
    return [figure[0] if isinstance(figure, (list, tuple)) else figure for figure in figures or ()]


def judge_parts(name, python, figures):
    """Judge a workload with parts.

    :returns: ``(ratio, growth, reached)``: a :class:`Ratio` of the CPU time to that of
        the limit, bytes, and whether both reach their goals; None without figures
    """
    times = ratio(times_of(figures.get(SUBJECT)), times_of(figures.get(LIMIT)))
    if times is None:
        return None
    growth = middle([figure and figure[1] for figure in figures[SUBJECT]])
    workload = BY_NAME[name]
    return times, growth, times.median <= goal(workload, python) and growth <= workload.growth


def judge(name, python, figures):
    """Judge whether a workload reaches its goal.

    :param figures: a dict that maps clients to their figures for this workload
    :returns: a :class:`Verdict`, or None if there is nothing to judge
    """
    workload = BY_NAME[name]
    if workload.mode in PARTS_MODES:
        return None
    wanted = goal(workload, python)
    mine = middle(figures.get(SUBJECT))
    if mine is None:
        return None
    if workload.mode not in CPU_MODES:
        value = mine / (16.0 * MIB) if workload.mode == 'memory-peak' else mine
        return Verdict(name, value, wanted, value <= wanted, '')
    times = ratio(figures.get(BASE, ()), figures[SUBJECT])
    if times is None:
        return None
    reached, remark = times.median >= wanted, ''
    limit = middle(figures.get(LIMIT))
    if not reached and workload.mode == 'send' and limit is not None and limit > SLOW_CALL:
        remark = '{:.0f} % of what the limit reaches'.format(100 * limit / mine)
        reached = limit / mine >= PART_OF_LIMIT
    return Verdict(name, times.median, wanted, reached, remark)


def beaten_by(name, figures):
    """Return ``[(client, factor), ...]`` for clients of TO_BEAT that cost less."""
    mine = figures.get(SUBJECT, ())
    better = []
    for client in TO_BEAT:
        times = ratio(mine, figures.get(client, ()))
        if times is not None and times.median > NOISE:
            better.append((client, times.median))
    return better


# --- the table ---

def show(workload, figure):
    """Format a figure."""
    if figure is None:
        return '-'
    if workload.mode == 'wake-ups':
        return '{:.0f}'.format(figure)
    if workload.mode == 'memory-peak':
        return '{:.2f} sizes'.format(figure / (16.0 * MIB))
    if workload.mode == 'memory-idle':
        return '{:.1f} KiB'.format(figure / float(KIB))
    if figure >= 1e-3:
        return '{:.3g} ms'.format(figure * 1e3)
    return '{:.3g} us'.format(figure * 1e6)


def show_goal(workload, wanted):
    """Format a goal."""
    if workload.mode in CPU_MODES:
        return '{:g}x'.format(wanted)
    if workload.mode == 'memory-idle':
        return show(workload, wanted)
    return '{:g}'.format(wanted)


def show_ratio(times):
    """Format a ratio."""
    if times is None:
        return '-'
    return '{:.3g}x'.format(times) if times < 100 else '{:.0f}x'.format(times)


def format_table(rows):
    """Format a reStructuredText table; the first row is its header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = '  '.join('=' * width for width in widths)
    lines = [rule]
    for number, row in enumerate(rows):
        lines.append('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        if number == 0:
            lines.append(rule)
    lines.append(rule)
    return '\n'.join(lines)


def make_rows(python, results, clients):
    """Return the rows of the table for one Python.

    :param results: figures by client, by workload
    :param clients: the clients in order; those without a figure get no column
    :returns: a list of lists of text, with the header first
    """
    others = [client for client in clients if client not in (BASE, SUBJECT)
              and any(middle(figures.get(client)) is not None for figures in results.values())]
    rows = [['workload', BASE, SUBJECT, 'x 0.3.4', 'spread', 'goal', ''] + others]
    for name in BY_NAME:
        if name not in results or BY_NAME[name].mode in PARTS_MODES:
            continue
        workload, figures = BY_NAME[name], results[name]
        base, mine = figures.get(BASE, ()), figures.get(SUBJECT, ())
        row = [workload.title, show(workload, middle(base)), show(workload, middle(mine))]
        times = ratio(base, mine)
        if workload.mode in CPU_MODES:
            row.append(show_ratio(times and times.median))
            row.append('{:.3g} - {:.3g}'.format(times.low, times.high) if times else '-')
        else:
            row.extend(['-', '-'])
        verdict = judge(name, python, figures)
        row.append(show_goal(workload, goal(workload, python)))
        row.append('-' if verdict is None else 'yes' if verdict.reached else 'NO')
        for client in others:
            if workload.mode in CPU_MODES:
                times = ratio(base, figures.get(client, ()))
                row.append(show_ratio(times and times.median))
            else:
                row.append(show(workload, middle(figures.get(client))))
        rows.append(row)
    return rows


def make_parts_rows(python, results):
    """Return the rows of the table of messages in parts, with the header first."""
    rows = [['workload', 'limit', SUBJECT, 'x limit', 'spread', 'at most', 'growth', 'at most', '']]
    for name, workload in BY_NAME.items():
        if name not in results or workload.mode not in PARTS_MODES:
            continue
        figures = results[name]
        row = [workload.title] + [show(workload, middle(times_of(figures.get(client))))
                                  for client in (LIMIT, SUBJECT)]
        found = judge_parts(name, python, figures)
        if found is None:
            rows.append(row + ['-'] * 6)
            continue
        times, growth, reached = found
        rows.append(row + [
            show_ratio(times.median), '{:.3g} - {:.3g}'.format(times.low, times.high),
            show_ratio(goal(workload, python)), '{:.1f} MiB'.format(growth / float(MIB)),
            '{:.0f} MiB'.format(workload.growth / float(MIB)), 'yes' if reached else 'NO'])
    return rows


def format_for_docs(python, results, clients):
    """Split the table to fit a page: one compares with 0.3.4, one with the others."""
    rows = [['none' if cell == '-' else cell.replace(' - ', '-') for cell in row]      # '-' starts a list
            for row in make_rows(python, results, clients)]
    rows[0][6] = 'reached'
    narrow = [row[:7] for row in rows]
    others = [[row[0], row[3] if row[3] != 'none' else row[2]] + row[7:] for row in rows]
    others[0][1] = SUBJECT
    tables = [format_table(narrow), format_table(others)]
    parts = make_parts_rows(python, results)
    if len(parts) > 1:
        parts[0][-1] = 'reached'
        tables.append(format_table([['none' if cell == '-' else cell.replace(' - ', '-') for cell in row]
                                    for row in parts]))
    return '\n\n'.join(tables) + '\n'


def summary(python, results):
    """Return lines about rows that fall short, or in which a peer is faster."""
    lines = []
    for name in BY_NAME:
        if name not in results:
            continue
        verdict = judge(name, python, results[name])
        if verdict is not None and not verdict.reached:
            workload = BY_NAME[name]
            value = (show_ratio(verdict.value) if workload.mode in CPU_MODES
                     else show(workload, middle(results[name][SUBJECT])))
            lines.append('short: {}: {} of {}{}'.format(
                name, value, show_goal(workload, verdict.goal), verdict.remark and '; ' + verdict.remark))
        for client, times in beaten_by(name, results[name]):
            lines.append('behind: {}: {} is {:.2f} times better'.format(name, client, times))
        if BEFORE in results[name]:
            times = ratio(times_of(results[name].get(SUBJECT)), times_of(results[name][BEFORE]))
            if times is not None:
                lines.append('before: {}: now {:.3f} times the figure before ({:.3f} - {:.3f})'.format(
                    name, *times))
        for client, most in AIO_GOALS.get(name, ()):
            times = ratio(results[name].get(AIO, ()), results[name].get(client, ()))
            if times is not None:
                lines.append('{}: {}: {:.2f} times {} (at most {:g}){}'.format(
                    AIO, name, times.median, client, most, '' if times.median <= most else ': NO'))
        found = judge_parts(name, python, results[name]) if BY_NAME[name].mode in PARTS_MODES else None
        if found is not None and not found[2]:
            lines.append('short: {}: {} of the limit, {:.1f} MiB'.format(
                name, show_ratio(found[0].median), found[1] / float(MIB)))
    if not lines and any(judge(name, python, results[name]) for name in results):
        lines.append('every goal is reached, and no peer is faster in any row')
    return lines


# --- the plot ---

_COLORS = {SUBJECT: '#d6336c', 'lomond+wsaccel': '#faa2c1', BASE: '#868e96',
            'websocket-client': '#f59f00', 'websockets': '#2b8a3e', 'wsproto': '#7048e8',
            'aiohttp': '#1971c2', 'picows': '#0c8599', LIMIT: '#212529',
            'group': '#d6336c', 'aio': '#faa2c1'}
_ROW, _LEFT, _RIGHT, _TOP, _WIDTH = 24, 260, 50, 64, 900
#: Range of the scale (powers of two): without parsing, a client can be a thousand times
#: as fast.
_BEGIN, _END = -2, 5


def _escape(text):
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def plot(title, results, clients):
    """Plot the CPU rows on a logarithmic scale, as multiples of 0.3.4.

    :param results: figures by client, by workload
    :returns: the text of an SVG
    """
    rows = []
    for name, workload in BY_NAME.items():
        if name in results and workload.mode in CPU_MODES:
            figures = results[name]
            points = dict((client, ratio(figures.get(BASE, ()), figures.get(client, ())))
                          for client in clients)
            points = dict((client, times.median) for client, times in points.items() if times)
            if points:
                rows.append((workload.title, points))
    values = [value for _, points in rows for value in points.values()] or [1]
    low = max(math.floor(math.log(min(values + [1]), 2)), _BEGIN)
    high = max(min(math.ceil(math.log(max(values + [2]), 2)), _END), low + 1)
    scale = (_WIDTH - _LEFT - _RIGHT) / float(high - low)

    def x(value):
        return _LEFT + (min(max(math.log(value, 2), low), high) - low) * scale

    height = _TOP + _ROW * len(rows) + 30
    shown = [client for client in clients if any(client in points for _, points in rows)]
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" '
           'font-size="12">'.format(_WIDTH, height),
           '<rect width="100%" height="100%" fill="#ffffff"/>',
           '<text x="10" y="20" font-size="15" font-weight="bold">{}</text>'.format(_escape(title))]
    # Each name takes the room that it needs; the rest is spread between them.
    gap = (_WIDTH - 30 - sum(20 + 6.7 * len(client) for client in shown)) / max(len(shown), 1)
    at = 16
    for client in shown:
        out.append('<circle cx="{}" cy="40" r="5" fill="{}"/><text x="{}" y="44">{}</text>'.format(
            int(at), _COLORS.get(client, '#adb5bd'), int(at) + 9, _escape(client)))
        at += 20 + 6.7 * len(client) + gap
    for power in range(int(low), int(high) + 1):
        at = x(2.0 ** power)
        out.append('<line x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}" stroke="{3}"/>'.format(
            at, _TOP - 8, height - 24, '#868e96' if power == 0 else '#e9ecef'))
        out.append('<text x="{:.1f}" y="{}" text-anchor="middle" fill="#495057">{:g}x{}</text>'.format(
            at, height - 8, 2.0 ** power, {_BEGIN: ' or less', _END: ' or more'}.get(power, '')))
    for number, (name, points) in enumerate(rows):
        y = _TOP + _ROW * number + _ROW // 2
        out.append('<text x="10" y="{}">{}</text>'.format(y + 4, _escape(name)))
        for client in sorted(points, key=lambda client: client == SUBJECT):     # ours on top
            out.append('<circle cx="{:.1f}" cy="{}" r="{}" fill="{}" fill-opacity="0.85">'
                       '<title>{}: {}</title>'
                       '</circle>'.format(x(points[client]), y, 6 if client == SUBJECT else 4.5,
                                          _COLORS.get(client, '#adb5bd'), _escape(client),
                                          show_ratio(points[client])))
    out.append('</svg>')
    return '\n'.join(out) + '\n'


def plot_bars(title, panels):
    """Plot a panel of bars for each figure; shorter is better.

    :param panels: ``(heading, bars)`` each, with bars ``(client, value, text)``
    :returns: the text of an SVG
    """
    left, room, y, out = 120, _WIDTH - 120 - 110, 20, []
    out.append('<text x="10" y="20" font-size="15" font-weight="bold">{}</text>'.format(_escape(title)))
    for heading, bars in panels:
        y += 32
        out.append('<text x="10" y="{}" font-weight="bold">{}</text>'.format(y, _escape(heading)))
        largest = max([value for _, value, _ in bars] + [0]) or 1
        for client, value, text in bars:
            y += 22
            length = room * value / largest
            out.append('<text x="{}" y="{}" text-anchor="end">{}</text>'.format(left - 8, y, _escape(client)))
            out.append('<rect x="{}" y="{}" width="{:.1f}" height="14" fill="{}"/>'.format(
                left, y - 11, length, _COLORS.get(client, '#adb5bd')))
            out.append('<text x="{:.1f}" y="{}" fill="#495057">{}</text>'.format(
                left + length + 6, y, _escape(text)))
    return '\n'.join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" '
        'font-size="12">'.format(_WIDTH, y + 16), '<rect width="100%" height="100%" fill="#ffffff"/>'] + out +
        ['</svg>', ''])
