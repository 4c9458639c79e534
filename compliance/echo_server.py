"""The server under test: the echo server of lomond.testing.

It prints its URL for run.py, and ends when its standard input does.

Knows nothing of: how it is judged.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import os

from echo_client import describe, tell

from lomond.testing import Server, echo


def main():
    describe()
    with Server(echo) as server:
        tell('url', server.url)
        while os.read(0, 1):
            pass


if __name__ == '__main__':
    main()
