"""Mutants that make no difference: they survive, and no test can change that.

Each row is ``(file, function, line before, line after, reason)``, the lines without
indentation. A row whose line has changed has no effect; delete it.
"""

EQUIVALENTS = (
    ('lomond/protocol/connection.py', 'advance', 'if not self._consumed:', 'if True:',
     'only saves the call of a method that asks the same question'),
    ('lomond/driver/writer.py', 'send', 'if has_more or self._loop_waits or self._closing:', 'if True:',
     'only saves the call of a method that asks the same questions'),
    ('lomond/driver/driver.py', 'live', 'if pending:', 'if True:',
     'only saves a flush that would find nothing to write'),
)
