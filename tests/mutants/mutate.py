"""All mutants of a module: small changes of its source that a test should notice.

Each is a replacement of a few bytes, so that line numbers stay as they are. What cannot
matter to a test is left alone: docstrings, ``__slots__``, ``__repr__``, log records and
the texts of exceptions.
"""

import ast
import collections
import re

#: One change: bytes ``start`` to ``end`` of a file become ``new``. ``function`` is the
#: name of the function around them, or ''.
Mutant = collections.namedtuple('Mutant', 'file function line start end old new')

_COMPARISONS = {
    ast.Lt: ('<', '<='), ast.LtE: ('<=', '<'), ast.Gt: ('>', '>='), ast.GtE: ('>=', '>'),
    ast.Eq: ('==', '!='), ast.NotEq: ('!=', '=='), ast.Is: ('is', 'is not'),
    ast.IsNot: ('is not', 'is'), ast.In: ('in', 'not in'), ast.NotIn: ('not in', 'in'),
}
_ARITHMETIC = {ast.Add: ('+', '-'), ast.Sub: ('-', '+'), ast.BitAnd: ('&', '|'), ast.BitOr: ('|', '&')}
#: Names that matter to tools, to memory, or to the repr of events.
_IGNORED_NAMES = ('__slots__', '__all__', '__version__', '_shown')
_IGNORED_FUNCTIONS = ('__repr__', '__str__')
_LOGGERS = ('log', 'logger', 'logging')


class _Visitor(ast.NodeVisitor):

    def __init__(self, file, source):
        self._file = file
        self._source = source           # bytes, as the positions of ast count them
        self._lines = [0]
        for line in source.splitlines(True):
            self._lines.append(self._lines[-1] + len(line))
        self._function = None
        self.found = []

    # -- positions

    def _start(self, node):
        return self._lines[node.lineno - 1] + node.col_offset

    def _end(self, node):
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node):
        return self._source[self._start(node):self._end(node)].decode('utf-8')

    def _add(self, start, end, new):
        line = self._source.count(b'\n', 0, start) + 1
        old = self._source[start:end].decode('utf-8')
        if old != new:
            self.found.append(Mutant(self._file, self._function or '', line, start, end, old, new))

    def _replace(self, node, new):
        self._add(self._start(node), self._end(node), new)

    def _replace_between(self, left, right, token, new):
        """Replace an operator between two operands."""
        start = self._end(left)
        gap = self._source[start:self._start(right)]
        pattern = r'\s+'.join(re.escape(word) for word in token.split())
        match = re.search(pattern.encode('ascii'), re.sub(b'#[^\n]*', lambda m: b' ' * len(m.group()), gap))
        self._add(start + match.start(), start + match.end(), new)

    # -- what is left alone

    def visit_FunctionDef(self, node):
        if node.name in _IGNORED_FUNCTIONS:
            return
        outer, self._function = self._function, node.name
        self.generic_visit(node)
        self._function = outer

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant):
            return                      # a docstring
        if isinstance(node.value, ast.Call):
            root = node.value.func
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id.lstrip('_').lower() in _LOGGERS:
                return
            if self._function is not None:
                self._replace(node, 'pass')
        self.generic_visit(node)

    def visit_Assign(self, node):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if any(name in _IGNORED_NAMES for name in names):
            return
        # A local variable or a field that was never assigned shows at once.
        if self._function not in (None, '__init__') and isinstance(node.targets[0], ast.Attribute):
            self._replace(node, 'pass')
        self.generic_visit(node)

    def visit_Raise(self, node):
        if node.exc is not None:
            self._replace(node, 'pass')     # its arguments are text

    # -- operators

    def visit_AugAssign(self, node):
        self._replace(node, 'pass')
        if type(node.op) in _ARITHMETIC:
            old, new = _ARITHMETIC[type(node.op)]
            self._replace_between(node.target, node.value, old + '=', new + '=')
        self.generic_visit(node)

    def visit_Break(self, node):
        self._replace(node, 'pass')

    def visit_Continue(self, node):
        self._replace(node, 'pass')

    def visit_Return(self, node):
        if node.value is None:
            self._replace(node, 'pass')
        elif not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._replace(node.value, 'None')
        self.generic_visit(node)

    def visit_If(self, node):
        self._decide(node, ('True', 'False'))

    def visit_IfExp(self, node):
        self._decide(node, ('True', 'False'))

    def visit_While(self, node):
        self._decide(node, ('False',))

    def _decide(self, node, values):
        if not isinstance(node.test, ast.Constant):
            for value in values:
                self._replace(node.test, value)
        self.generic_visit(node)

    def visit_Compare(self, node):
        left = node.left
        for operator, right in zip(node.ops, node.comparators):
            self._replace_between(left, right, *_COMPARISONS[type(operator)])
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        words = ('and', 'or') if isinstance(node.op, ast.And) else ('or', 'and')
        for left, right in zip(node.values, node.values[1:]):
            self._replace_between(left, right, *words)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            self._replace(node, '(%s)' % self._text(node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node):
        if type(node.op) in _ARITHMETIC and not any(
                isinstance(side, (ast.Tuple, ast.List)) or
                isinstance(side, ast.Constant) and not isinstance(side.value, int)
                for side in (node.left, node.right)):
            self._replace_between(node.left, node.right, *_ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, int):
            self._replace(node, str(node.value + 1))
            if node.value:
                self._replace(node, str(node.value - 1))

    def visit_Tuple(self, node):
        if isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
            first, second = node.elts
            if self._text(first) != self._text(second):
                gap = self._source[self._end(first):self._start(second)].decode('utf-8')
                self._add(self._start(first), self._end(second), self._text(second) + gap + self._text(first))
        self.generic_visit(node)


def find_mutants(file, source):
    """List the mutants of a module.

    :param file: its path, which is only noted
    :param source: its bytes
    """
    visitor = _Visitor(file, source)
    visitor.visit(ast.parse(source))
    return sorted(visitor.found, key=lambda mutant: (mutant.start, mutant.end, mutant.new))


def apply_mutant(mutant, source):
    """Return the changed source, as bytes."""
    return source[:mutant.start] + mutant.new.encode('utf-8') + source[mutant.end:]


def changed_lines(mutant, source):
    """Return the line that is changed, before and after, without indentation."""
    before = source.splitlines()[mutant.line - 1]
    after = apply_mutant(mutant, source).splitlines()[mutant.line - 1]
    return before.decode('utf-8').strip(), after.decode('utf-8').strip()
