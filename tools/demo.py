#!/usr/bin/env python3
"""Run ``python -m lomond demo`` from a fresh checkout; it must not know what the demo does.

The first time it makes a virtual environment in ``.venvs`` of the checkout with the two
requirements, six and certifi; nothing is installed anywhere else.  Arguments go to the demo.
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
            print('making a virtual environment in %s (once)' % os.path.join(folder, 'demo'), flush=True)
        python = environments.make(folder, 'demo', environments.this_interpreter(),
                                   [os.path.join(environments.TOOLS, 'pins-demo.txt')], log)
    except (environments.Failed, OSError) as error:
        print('the demo cannot be set up: %s' % error, file=sys.stderr)
        return 1
    environ = environments.child_environ(PYTHONPATH=environments.CHECKOUT)
    demo = subprocess.Popen([python, '-m', 'lomond', 'demo'] + sys.argv[1:], env=environ)
    while True:
        try:
            return demo.wait()
        except KeyboardInterrupt:
            pass        # Ctrl-C went to the demo as well, which ends by itself


if __name__ == '__main__':
    sys.exit(main())
