"""Runs scenarios whose names come on standard input, one line each, for ``run.py``."""

from __future__ import absolute_import, division, print_function, unicode_literals

import json
import os
import sys
import time
import traceback
import warnings

import chaos
from chaos_all import ALL

try:
    import faulthandler
except ImportError:
    faulthandler = None         # 2.7


def main():
    if sys.argv[1:] == ['--list']:
        print(json.dumps([dict((name, getattr(one, name)) for name in (
            'group', 'name', 'bound', 'quick', 'limit')) for one in ALL]))
        return
    # The line to run.py is ours alone: whatever else is printed goes to the log.
    out = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)
    warnings.simplefilter('error', ResourceWarning if sys.version_info[0] > 2 else Warning)
    for name in list(os.environ):
        if name.lower().endswith('_proxy'):
            del os.environ[name]
    if faulthandler is not None:
        faulthandler.enable()
    world = chaos.World(*sys.argv[1:])
    scenarios = dict((one.name, one) for one in ALL)
    stdin = getattr(sys.stdin, 'buffer', sys.stdin)
    for line in iter(stdin.readline, b''):
        one = scenarios[json.loads(line.decode('ascii'))]
        if faulthandler is not None:
            faulthandler.dump_traceback_later(one.limit)
        start, wrong = time.time(), ''
        try:
            one.run(world)
        except BaseException as error:
            wrong = traceback.format_exc() + getattr(error, 'text', '')
            if isinstance(wrong, bytes):
                wrong = wrong.decode('utf-8', 'replace')
        if faulthandler is not None:
            faulthandler.cancel_dump_traceback_later()
        out.write(json.dumps({'error': wrong, 'seconds': time.time() - start}).encode('ascii') + b'\n')
        out.flush()
    world.close()


if __name__ == '__main__':
    main()
