"""Plot sensor values in the terminal as they arrive: one line per sensor, newest right.

    python live_plot.py ws://127.0.0.1:8080

Messages are JSON: {"sensor": "kitchen", "value": 21.5}.  If the output is not a
terminal, each line is written once, at the end.
"""

import collections
import sys

from lomond import WebSocket

BARS = u'\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588'
WIDTH = 60


def line_of(name, values):
    """Format one sensor, with bars scaled to its lowest and highest value."""
    low, high = min(values), max(values)
    step = (high - low) / (len(BARS) - 1) or 1
    bars = u''.join(BARS[int((value - low) / step)] for value in values)
    return u'{:>12.12} {:<{}} {:8.2f}'.format(name, bars, WIDTH, values[-1])


def draw(sensors, lines_above):
    """Draw over the previous lines; return the number of lines."""
    if lines_above:
        sys.stdout.write('\x1b[{}F'.format(lines_above))
    for name in sorted(sensors):
        sys.stdout.write(line_of(name, sensors[name]) + '\x1b[K\n')
    sys.stdout.flush()
    return len(sensors)


def main(url):
    sensors = collections.defaultdict(lambda: collections.deque(maxlen=WIDTH))
    lines = 0
    for event in WebSocket(url).connect(ping_timeout=60):
        if event.name == 'text':
            try:
                name, value = str(event.json['sensor']), float(event.json['value'])
            except (KeyError, TypeError, ValueError):
                continue        # not JSON (a ValueError), or a different message
            sensors[name].append(value)
            if sys.stdout.isatty():
                lines = draw(sensors, lines)
        elif event.name in ('connect_fail', 'rejected', 'disconnected') and event.reason != 'closed':
            print(event.reason, file=sys.stderr)
    for name in sorted(sensors if not lines else ()):
        print(line_of(name, sensors[name]))


if __name__ == '__main__':
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        pass
