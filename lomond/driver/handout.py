"""The iterator that a program gets: what a driver gives in batches, event by event.

A program takes one event at a time.  Were that the ``next()`` of a generator, each
event would cost a resumption.  :class:`Events` is an ``itertools.chain`` instead: it
takes a batch from a generator, and then gives one event after the other by itself, in
C.

It behaves as a generator of these events does: ``close()`` and ``throw()`` end the
connection, and so does dropping it.  A thread that takes an event while another one
waits for the next gets ValueError.  That needs care: a chain whose *source* raises is
over for all threads, so the source never raises this error; it gives an iterator that
does.

The batch that is being handed out is known to the core, which empties it when the
connection is given up: see ``lomond.protocol.states``.

Knows nothing of: what an event is, how batches are made.
"""

from __future__ import absolute_import, division, unicode_literals

import itertools

from .._compat import import_weakref


class Events(itertools.chain):
    """An iterator of the items of all lists and tuples that a generator yields.

    Made by :func:`hand_out`.
    """

    __slots__ = ('_batches', '__weakref__')

    def close(self):
        """End the iteration, as a generator's method does."""
        batches = self._batches()
        if batches is not None:         # else it is over
            batches.close()

    def throw(self, *error):
        """Raise an error where the generator waits; arguments as for a generator."""
        batches = self._batches()
        if batches is None:
            (item for item in ()).throw(*error)         # as one that is over
        batches.throw(*error)

    def send(self, value):
        """Return the next event: a generator of events needs no value."""
        return next(self)

    def __reduce__(self):
        raise TypeError('an iterator of events cannot be copied or pickled')


class _Source(object):
    """Gives the batches of a generator to a chain, which alone refers to it.

    So the generator is closed when the chain ends for whatever reason, an interrupt
    right here among them.
    """

    __slots__ = ('_batches',)

    def __init__(self, batches):
        self._batches = batches

    def __iter__(self):
        return self

    def __next__(self):
        batches = self._batches
        try:
            for batch in batches:       # faster than next()
                return batch
        except ValueError:
            if batches.gi_frame is None:        # raised in there, by code of the program
                raise
            return _TAKEN
        raise StopIteration

    next = __next__                     # 2.7


class _Taken(object):
    """Raises what a generator raises that is running already."""

    __slots__ = ()

    def __iter__(self):
        return self

    def __next__(self):
        raise ValueError('another thread waits for the next event; one thread at a time may iterate')

    next = __next__                     # 2.7


# One for all: the chain that it was given to may lose count of it.
_TAKEN = _Taken()


def hand_out(batches):
    """Return an :class:`Events` of what a generator yields.

    :param batches: a generator of lists and tuples, to which nobody else refers
    """
    events = Events.from_iterable(_Source(batches))
    events._batches = import_weakref().ref(batches)
    return events
