"""The server under test: lomond.testing's echo server; it must not know how it is judged.

It prints its url for run.py, and ends at the end of its standard input.
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
