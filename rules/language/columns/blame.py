"""Why records have no result, for whole columns: the innermost part that failed, as `rules.language.explain` finds it.

Each place that can be blamed has a number. A column tells the number for each failed record; the few whose message is
not known by then are explained one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from rules.language.columns.compiler import Compiler
from rules.language.columns.value import Value
from rules.language.explain import empty_message
from rules.language.nodes import Call, Ident, Let, Mode, Node, Operator, Variable, children
from rules.language.runtime import implementations
from rules.language.types import Kind
from rules.text import Message, msg

_ZERO = msg("Division by zero.")
_LARGE = msg("The result is too large.")
UNKNOWN = -1
_CALCULATIONS = frozenset({"+", "-", "*", "/", "%"})


@dataclass(frozen=True)
class Cause:
    """A place to blame.

    `message` is None where each record has its own: then `call` is a function of ours, to be called again with `args`,
    or None where the whole expression has to be looked at.
    """

    at: int
    message: Message | None = None
    call: Call | None = None
    args: tuple[Value, ...] = ()


@dataclass
class Blame:
    """The causes of a tree's failures; `number` gives a column of their numbers."""

    compiler: Compiler
    causes: list[Cause] = field(default_factory=list)

    def number(self, root: Node) -> pl.Expr:
        """Return which cause a failed record has; null or `UNKNOWN` where only looking at the record tells."""
        found = self._node(root)
        return pl.lit(None, dtype=pl.Int32) if found is None else found

    def _node(self, node: Node) -> pl.Expr | None:
        value = self.compiler.found.get(id(node))
        fails = None if value is None else value.fails
        if fails is None:
            return None
        unknown = pl.lit(UNKNOWN, dtype=pl.Int32)
        return pl.when(fails).then(pl.coalesce([*self._parts(node), *self._own(node), unknown]))

    def _cause(self, cause: Cause) -> pl.Expr:
        self.causes.append(cause)
        return pl.lit(len(self.causes) - 1, dtype=pl.Int32)

    def _parts(self, node: Node) -> Iterator[pl.Expr]:
        """Yield the causes of the parts that were evaluated, in the order they are looked at."""
        if id(node) in self.compiler.opaque:
            return
        if isinstance(node, Operator) and node.symbol == "?:":
            yield from self._choice(node)
            return
        for part in children(node):
            found = self._node(part)
            if found is not None:
                yield found

    def _choice(self, node: Operator) -> Iterator[pl.Expr]:
        test, yes, no = node.operands
        found = self._node(test)
        if found is not None:
            yield found
        known = self.compiler.found[id(test)].expr
        for side, taken in ((yes, known), (no, ~known)):
            found = self._node(side)
            if found is not None:
                yield pl.when(taken).then(found)

    def _own(self, node: Node) -> Iterator[pl.Expr]:
        """Yield the causes of a node whose parts did not fail."""
        if isinstance(node, Variable) and node.mode is Mode.MOMENT:
            yield from self._moment(node)
        if id(node) in self.compiler.opaque or isinstance(node, (Variable, Ident)):
            return
        parts = children(node)[:1] if isinstance(node, Operator) and node.symbol == "?:" else children(node)
        values = [self.compiler.found.get(id(part)) for part in parts]
        if None in values:
            return
        known = [value for value in values if value is not None]
        if not isinstance(node, Let):
            yield from self._empties(parts, known)
        yield from self._failure(node, known)

    def _moment(self, node: Variable) -> Iterator[pl.Expr]:
        """Yield the cause of a date or time that is empty; where it is too far away only the record tells."""
        cause = self._cause(Cause(node.at, empty_message(node)))
        unusable = self.compiler.unusable(node)
        yield cause if unusable is None else pl.when(~unusable).then(cause)

    def _empties(self, parts: tuple[Node, ...], values: list[Value]) -> Iterator[pl.Expr]:
        for part, value in zip(parts, values, strict=True):
            if value.empty:
                cause = self._cause(Cause(part.at, empty_message(part)))
                yield pl.when(value.expr.is_null()).then(cause)

    def _failure(self, node: Node, values: list[Value]) -> Iterator[pl.Expr]:
        if isinstance(node, Call) and node.name in implementations():
            yield self._cause(Cause(node.at, call=node, args=tuple(values)))
        elif isinstance(node, Operator) and node.symbol in _CALCULATIONS:
            large = self._cause(Cause(node.at, _LARGE))
            if node.symbol in ("/", "%") and values[-1].kind is Kind.INTEGER:
                zero = self._cause(Cause(node.at, _ZERO))
                yield pl.when(values[-1].expr == 0).then(zero).otherwise(large)
            else:
                yield large
