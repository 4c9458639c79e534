"""Mutants that make no difference: they survive, and no test can change that.

Each row is ``(file, function, line before, line after, reason)``, the lines without
indentation. A row whose line has changed has no effect; delete it.
"""

EQUIVALENTS = (
    ('lomond/protocol/connection.py', 'advance', 'if not self._consumed:', 'if True:',
     'only saves the call of a method that asks the same question'),
)
