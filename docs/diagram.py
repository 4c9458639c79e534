"""Draws the states of a connection, out of ``lomond.protocol.states.MOVES``, as an SVG.

A state that has no place here, or a move without words, stops the build.
Knows nothing of: the moves; what is in the table is drawn.

    python docs/diagram.py states.svg
"""

import os
import sys

WIDTH, HEIGHT = 880, 590
BOX = (184, 72)

#: Centre of each state; where is all that this file decides.
PLACES = {
    'CONNECTING': (432, 50),
    'OPEN': (432, 172),
    'REJECTED': (106, 300),
    'LOCAL_CLOSING': (310, 300),
    'REMOTE_CLOSING': (528, 300),
    'FAILED': (780, 300),
    'CLOSED': (310, 418),
    'ECHOED': (528, 418),
    'DISCONNECTED': (432, 545),
}

#: Arrows that would run through a box: (points to go by, where the label is).
DETOURS = {
    ('LOCAL_CLOSING', 'FAILED'): ([(402, 300), (419, 300), (419, 478), (780, 478), (780, 336)], (780, 412)),
    ('REMOTE_CLOSING', 'FAILED'): ([(620, 300), (688, 300)], (654, 291)),
    ('CONNECTING', 'DISCONNECTED'): ([(340, 50), (8, 50), (8, 545), (340, 545)], (172, 42)),
}

#: The event that a move is seen by.
EVENTS = {
    ('CONNECTING', 'OPEN'): 'Ready',
    ('CONNECTING', 'REJECTED'): 'Rejected',
    ('CONNECTING', 'FAILED'): 'ProtocolError',
    ('CONNECTING', 'DISCONNECTED'): 'close(): ConnectFail or Disconnected',
    ('OPEN', 'LOCAL_CLOSING'): 'close()',
    ('OPEN', 'REMOTE_CLOSING'): 'Closing',
    ('OPEN', 'FAILED'): 'failure',
    ('LOCAL_CLOSING', 'CLOSED'): 'Closed',
    ('LOCAL_CLOSING', 'FAILED'): 'failure',
    ('REMOTE_CLOSING', 'ECHOED'): 'our echo',
    ('REMOTE_CLOSING', 'FAILED'): 'failure',
}

FLAGS = (('is_active', '#e3f1e4', '#3b7d44'), ('is_closing', '#fdf0d5', '#a06a00'),
         ('is_closed', '#e8e8ee', '#5a5a6e'))


def arrows(states):
    """Pairs of names, without moves that stay where they are and those that each state has."""
    found = []
    for (state, what), target in states.MOVES.items():
        pair = (state.name, target.name)
        if state is target or pair in found:
            continue
        if what == states.DISCONNECT:
            continue
        found.append(pair)
    for state in states.STATES:
        assert states.MOVES[state, states.DISCONNECT] is states.DISCONNECTED, state
    unknown = set(found) - set(EVENTS)
    assert not unknown, 'docs/diagram.py has no word for the moves {}'.format(sorted(unknown))
    unknown = set(EVENTS) - set(found)
    assert not unknown, 'docs/diagram.py has words for moves that do not exist: {}'.format(sorted(unknown))
    return found


def edge(centre, towards):
    """Where the line from a centre leaves its box."""
    (x, y), (to_x, to_y) = centre, towards
    dx, dy = to_x - x, to_y - y
    scale = min(BOX[0] / 2 / abs(dx) if dx else 9e9, BOX[1] / 2 / abs(dy) if dy else 9e9)
    return x + dx * scale, y + dy * scale


def draw_arrow(pair):
    start, end = PLACES[pair[0]], PLACES[pair[1]]
    if pair in DETOURS:
        points, (label_x, label_y) = DETOURS[pair]
    else:
        points = [edge(start, end), edge(end, start)]
        (ax, ay), (bx, by) = points
        label_x, label_y = (ax + bx) / 2, (ay + by) / 2 + 4
    path = ' '.join('{:.0f},{:.0f}'.format(*point) for point in points)
    text = EVENTS[pair]
    width = 7.4 * len(text) + 6
    return (
        '<polyline points="{}" class="arrow" marker-end="url(#head)"/>'.format(path),
        '<rect x="{:.0f}" y="{:.0f}" width="{:.0f}" height="17" class="behind"/>'
        '<text x="{:.0f}" y="{:.0f}" class="label">{}</text>'.format(
            label_x - width / 2, label_y - 13, width, label_x, label_y, text))


def draw_box(state):
    x, y = PLACES[state.name]
    fill, line = [(fill, line) for flag, fill, line in FLAGS if getattr(state, flag)][0]
    words = []
    if state.may_send:
        words.append('may send')
    if state.ends_graceful:
        words.append('ends gracefully')
    flag = [flag for flag, _, _ in FLAGS if getattr(state, flag)][0]
    return (
        '<rect x="{}" y="{}" width="{}" height="{}" rx="7" fill="{}" stroke="{}"/>'
        '<text x="{}" y="{}" class="name">{}</text><text x="{}" y="{}" class="small">{}</text>'
        '<text x="{}" y="{}" class="small">{}</text>').format(
            x - BOX[0] // 2, y - BOX[1] // 2, BOX[0], BOX[1], fill, line,
            x, y - 13, state.name, x, y + 6, flag, x, y + 24, ', '.join(words))


def draw(states):
    """The picture as text."""
    lost = set(state.name for state in states.STATES) ^ set(PLACES)
    assert not lost, 'docs/diagram.py: no state, or no place for one: {}'.format(sorted(lost))
    drawn = [draw_arrow(pair) for pair in arrows(states)]
    lines = [line for line, _ in drawn]
    labels = [label for _, label in drawn]
    boxes = [draw_box(state) for state in states.STATES]
    note = ''.join('<text x="{}" y="{}" class="note">{}</text>'.format(*words) for words in (
        (540, 531, 'From each state, by the end of the stream,'),
        (540, 549, 'a time-out or force_disconnect().'),
        (540, 567, 'The event is Disconnected, the last one.'),
        (640, 40, 'failure: ProtocolError'), (640, 58, 'or Unresponsive')))
    return '''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">
<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L10,5 L0,10 z" fill="#555"/></marker></defs>
<style>.arrow {{ fill: none; stroke: #555; stroke-width: 1.3 }} .behind {{ fill: #fff }}
.name {{ font-size: 15px; font-weight: bold; text-anchor: middle; fill: #111 }}
.small {{ font-size: 12.5px; text-anchor: middle; fill: #333 }}
.label {{ font-size: 13.5px; text-anchor: middle; fill: #113a6b }}
.note {{ font-size: 13.5px; fill: #333 }}</style>
<rect width="{width}" height="{height}" fill="#fff"/>
{body}
</svg>
'''.format(width=WIDTH, height=HEIGHT, body='\n'.join(lines + labels + boxes + [note]))


def write(path):
    """Write the picture; the file is left alone when nothing has changed."""
    from lomond.protocol import states
    text = draw(states)
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        os.makedirs(folder)
    if os.path.exists(path):
        with open(path) as old:
            if old.read() == text:
                return
    with open(path, 'w') as new:
        new.write(text)


if __name__ == '__main__':
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
    write(sys.argv[1])
