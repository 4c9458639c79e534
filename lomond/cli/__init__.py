"""The command line: ``lomond demo``, ``lomond URL`` and ``lomond serve``.

Each command is a module that is imported only when it runs.

Knows nothing of: what the commands do.
"""

from __future__ import absolute_import, division, unicode_literals

import sys

from .console import Console, StreamBroken

#: Exit statuses.
CLEAN = 0
FAILED = 1
USAGE = 2
REJECTED = 3
INTERRUPTED = 130


def main(argv=None):
    """Run the command line.

    :param argv: list of native ``str`` without the program name; ``sys.argv[1:]`` by
        default
    :returns: the exit status: 0 after a clean close, 1 if the connection failed or
        broke, 2 for a usage error, 3 if the server rejected the handshake, 130 if
        interrupted
    """
    console = Console(sys.stdin, sys.stdout, sys.stderr)
    try:
        return _run(console, sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED
    except StreamBroken as error:
        if error.is_pipe:           # as in `lomond demo | head`
            return CLEAN
        console.err.write_line('lomond: cannot write to standard output: {}'.format(error))
        return FAILED
    finally:
        console.finish()


def _run(console, argv):
    from .arguments import Usage, parse
    try:
        command, options = parse(argv)
        if command == 'demo':
            from .demo import run
        elif command == 'serve':
            from .serve import run
        else:
            from .client import run
        return run(console, options)
    except Usage as usage:
        writer = console.err if usage.status == USAGE else console.out
        writer.write_line(usage.text)
        return usage.status
