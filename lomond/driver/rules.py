"""What a loop of one connection does differently from a loop of many.

Knows nothing of: connections, streams, loops.
"""

from __future__ import absolute_import, division, unicode_literals


class LoopRules(object):
    """How a connection behaves in its loop; never changed.

    :param reads_in_a_row: reads of one turn, at most
    :param looks_again: if true, the loop looks for more bytes after a read, before it
        waits; if false, its poller reports them
    :param sends_wait: if true, a send in the loop's thread waits for the peer; if
        false, it queues what the operating system does not take
    """

    # Not a namedtuple: making one takes as long as importing a small module.
    __slots__ = ('reads_in_a_row', 'looks_again', 'sends_wait')

    def __init__(self, reads_in_a_row, looks_again, sends_wait):
        self.reads_in_a_row = reads_in_a_row
        self.looks_again = looks_again
        self.sends_wait = sends_wait


#: For a loop of one connection.
ONE_CONNECTION = LoopRules(32, True, True)
#: For a loop of many, which a single one must not hold up.
MANY_CONNECTIONS = LoopRules(4, False, False)
