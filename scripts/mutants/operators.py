"""Mutants: small changes of a module's source, each of one kind, that a good test suite should notice."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mutant", "mutants_of"]

ARITHMETIC = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.FloorDiv],
    ast.Pow: [ast.Mult],
    ast.BitXor: [ast.BitAnd],
    ast.BitAnd: [ast.BitOr],
    ast.RShift: [ast.LShift],
}
COMPARISONS = {
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
NAMES = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "all": "any",
    "any": "all",
    "zeros_like": "ones_like",
    "ones_like": "zeros_like",
    "floor": "ceil",
    "ceil": "floor",
    "sqrt": "exp",
    "log": "log1p",
    "sum": "max",
}
WITHOUT_EFFECT = {"strict"}  # of `zip`: it raises where a programming error was made, which none of these is


class Mutant(NamedTuple):
    """A change of one place in a module."""

    path: str  # of the module, from the package
    line: int
    kind: str  # "sign", "operator", "comparison", "boolean", "constant", "axis", "name" or "keyword"
    before: str
    after: str
    start: int  # in bytes of the source
    stop: int

    def apply(self, source: bytes) -> bytes:
        """Return the source with the change."""
        return source[: self.start] + self.after.encode() + source[self.stop :]


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found = []
    for node, kind, changed in _changes(ast.parse(source)):
        start = lines[node.lineno - 1] + node.col_offset
        stop = lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        after = ast.unparse(ast.fix_missing_locations(changed))
        if isinstance(node, ast.expr) and not isinstance(node, ast.Constant | ast.Attribute):
            after = f"({after})"
        found.append(Mutant(path, node.lineno, kind, source[start:stop].decode(), after, start, stop))
    return sorted(found, key=lambda mutant: (mutant.start, mutant.stop, mutant.after))


def _changes(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, ast.AST]]:
    """Yield nodes with the kind of a change and what they are changed to."""
    for node in _code(tree):
        if isinstance(node, ast.Call):
            yield from _changed_calls(node)
        elif isinstance(node, ast.Constant):
            yield from ((node, "constant", ast.Constant(value)) for value in _other_constants(node.value))
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            yield node, "name", _with(node, attr=NAMES[node.attr])
        elif isinstance(node, ast.UnaryOp):
            yield node, "sign" if isinstance(node.op, ast.USub) else "boolean", node.operand
        else:
            yield from _other_operators(node)


def _other_operators(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, ast.AST]]:
    if isinstance(node, ast.BinOp | ast.AugAssign):
        for operator in ARITHMETIC.get(type(node.op), []):
            yield node, "operator", _with(node, op=operator())
    elif isinstance(node, ast.Compare):
        for operator in COMPARISONS[type(node.ops[0])]:
            yield node, "comparison", _with(node, ops=[operator(), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        yield node, "boolean", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.IfExp):
        yield node, "boolean", _with(node, body=node.orelse, orelse=node.body)


def _changed_calls(node: ast.Call) -> Iterator[tuple[ast.expr, str, ast.AST]]:
    if isinstance(node.func, ast.Name) and node.func.id in NAMES:
        yield node.func, "name", ast.Name(NAMES[node.func.id])
    for number, keyword in enumerate(node.keywords):
        if keyword.arg is None or keyword.arg in WITHOUT_EFFECT:
            continue
        yield node, "keyword", _with(node, keywords=[*node.keywords[:number], *node.keywords[number + 1 :]])
        if keyword.arg == "axis":
            yield keyword.value, "axis", ast.Constant(0 if ast.unparse(keyword.value) != "0" else 1)


def _other_constants(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    return [2.0 * value or 1.0, -value or -1.0] if isinstance(value, float) else []


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through what is computed: not through annotations, messages, and imports for the type checker."""
    if isinstance(node, ast.JoinedStr | ast.AnnAssign) or (
        isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ):
        children = [node.value] if isinstance(node, ast.AnnAssign) and node.value else []
    elif isinstance(node, ast.FunctionDef):
        children = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
    elif isinstance(node, ast.keyword) and node.arg in WITHOUT_EFFECT:
        children = []
    else:
        children = list(ast.iter_child_nodes(node))
    yield node
    for child in children:
        yield from _code(child)
