"""A signal handler at any step of the package: before each line, at each call."""

from __future__ import absolute_import, division, unicode_literals

import os
import sys

import pytest

import lomond

from .client import in_thread

#: Which steps to try; each bytecode takes seconds, and where it says no line (from 3.12
#: on) pytest cannot show it.
EVENTS = ['line', 'call'] + [pytest.param('opcode', marks=pytest.mark.slow)] * (
    (3, 7) <= sys.version_info < (3, 12))
HERE = os.path.dirname(os.path.abspath(lomond.__file__)) + os.sep
#: Thousands of lines on 2.7, and nothing but arithmetic.
NUMBERS = os.path.join('protocol', 'masking.py')


def interrupt():
    """What Ctrl-C does."""
    raise KeyboardInterrupt


class StepAt(object):
    """Calls a handler at the n-th step of the package from here on, in this thread.

    Not in ``__del__``, where Python itself swallows exceptions.

    :param number: 0: the steps are only noted
    :param handler: called without arguments, and without being traced
    :param events: which steps count: ``'line'``, ``'call'``, ``'opcode'`` (from 3.7 on)
    :param files: beginnings of the names of files, in the package
    :ivar places: ``file:line`` of each step so far
    """

    def __init__(self, number, handler=interrupt, events=('line',), files=('',)):
        self.number, self.places = number, []
        self._handler, self._events, self._files = handler, events, tuple(files)

    @property
    def is_over(self):
        """True if there were so many steps."""
        return 0 < self.number <= len(self.places)

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _call(self, frame, event, argument):
        code = frame.f_code
        name = code.co_filename[len(HERE):] if code.co_filename.startswith(HERE) else NUMBERS
        if name.startswith(NUMBERS) or code.co_name == '__del__' or not name.startswith(self._files):
            return None
        if 'opcode' in self._events:
            frame.f_trace_opcodes = True
        return self._step(frame, event, argument)

    def _step(self, frame, event, argument):
        if event in self._events and not self.is_over:
            self.places.append('%s:%d' % (frame.f_code.co_filename[len(HERE):], frame.f_lineno))
            if self.is_over:
                sys.settrace(None)
                self._handler()
        return self._step


def apart(function, *args):
    """Call a function in a thread of its own, and return what it returns.

    An exception that tracing raises in an ``except`` block can leave the thread with the
    other one, as if it were still being handled (3.13): the context of all that follow.
    """
    thread = in_thread(function, *args)
    thread.join()
    if thread.error is not None:
        raise thread.error
    return thread.result


def each_step(run, limit=2000, **where):
    """Call ``run(step)`` for each step, until the steps are used up.

    :param run: does everything anew, with what is interrupted in ``with step:``; returns
        what is wrong, or None
    :returns: number of steps
    """
    problems = []

    def run_each():
        for number in range(1, limit):
            step = StepAt(number, **where)
            problem = run(step)
            if not step.is_over:
                return number - 1
            if problem:
                problems.append('%s (step %d): %s' % (step.places[-1], number, problem))
    count = apart(run_each)
    assert not problems, '\n'.join(problems)
    return count
