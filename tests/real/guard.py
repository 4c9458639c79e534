"""Run one command and end it, with all that it started, when stdin is closed.

    python3 guard.py COMMAND ARGUMENT...

Lines 'signal N' on stdin are sent to the command.  However the tests end, a crash
included, their end of the pipe is closed, so nothing stays behind.  It must not know
what it runs.
"""

import os
import select
import signal
import subprocess
import sys
import time

#: Seconds from SIGTERM to SIGKILL.
PATIENCE = 3


def end(process):
    """SIGTERM, a while, and SIGKILL to the whole group, which is the command's own."""
    if process.poll() is None:
        process.terminate()
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass        # it left nothing behind
    process.wait()


def main(command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    # A shell's Ctrl-C goes to this process too; the tests close the pipe when they are
    # done with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    pending = b''
    try:
        while True:
            if not select.select([0], [], [], 0.05)[0]:
                if process.poll() is not None:
                    return process.returncode
                continue
            data = os.read(0, 4096)
            if not data:
                return 0
            pending += data
            while b'\n' in pending:
                line, _, pending = pending.partition(b'\n')
                process.send_signal(int(line.split()[1]))
    finally:
        end(process)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
