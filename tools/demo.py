#!/usr/bin/env python3
"""Run ``python -m lomond demo`` from a fresh checkout.

The first run creates a virtual environment in ``.venvs`` of the checkout and installs
the two requirements, six and certifi. Nothing is installed anywhere else. Arguments are
passed to the demo.

Knows nothing of: what the demo does.
"""

import os
import subprocess
import sys

import environments


def main():
    folder = environments.DEFAULT_FOLDER
    log = os.path.join(folder, 'demo.log')
    try:
        os.makedirs(folder, exist_ok=True)
        if os.path.exists(log):
            os.unlink(log)
        if not os.path.exists(os.path.join(folder, 'demo', 'ready')):
            print('creating a virtual environment in %s (first run only)' % os.path.join(folder, 'demo'),
                  flush=True)
        python = environments.make(folder, 'demo', environments.this_interpreter(),
                                   [os.path.join(environments.TOOLS, 'pins-demo.txt')], log)
    except (environments.Failed, OSError) as error:
        print('cannot set up the demo: %s' % error, file=sys.stderr)
        return 1
    environ = environments.child_environ(PYTHONPATH=environments.CHECKOUT)
    demo = subprocess.Popen([python, '-m', 'lomond', 'demo'] + sys.argv[1:], env=environ)
    while True:
        try:
            return demo.wait()
        except KeyboardInterrupt:
            pass        # the demo has received Ctrl-C as well, and ends


if __name__ == '__main__':
    sys.exit(main())
