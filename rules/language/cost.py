"""How much work an expression is for one record, before it is evaluated.

The runtime stops after 10,000 steps of loops, but not while it joins, searches or converts large values, and a record
may hold a megabyte. So the work is bounded by a polynomial in sizes of the record: `n:...`, the size of a value with
all that is in it; `k`, the longest list; `t`, the steps that loops over lists in lists can take. The items of a list
have a size each, `i1`, `i2` and so on, and a count of items of their own, `j1`, `j2`; their sums are at most the size
of the list and `t`. That is used where a loop ends: a pass over a large list is not taken for the square of its size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.language.functions import patterns
from rules.language.functions.bounds import MAX_REPEATED
from rules.language.nodes import (
    Call,
    Ident,
    Let,
    ListOf,
    Literal,
    Macro,
    MacroName,
    MapOf,
    Mode,
    Node,
    Operator,
    Select,
    Variable,
    children,
)

MOST_WORK = 1e9
FREE = 200.0
FREE_STEPS = 50  # of a pattern, for a character: a search may take far longer than to look at the text
STEPS = 10_000
_TEXT = 1_000_000.0  # what the functions of ours give at most
_CONVERTED = 16.0  # handing a value to a function of ours costs more than looking at it
_GROWING = ("replace", "format", "join")
_PADDING = ("padLeft", "padRight")
_SEARCHES = ("matches", "regexExtract", "regexExtractAll", "regexReplace")
Term = tuple[tuple[str, int], ...]
Poly = Mapping[Term, float]

ONE: Poly = {(): 1.0}


def _add(*polys: Poly) -> Poly:
    total: dict[Term, float] = {}
    for poly in polys:
        for term, factor in poly.items():
            total[term] = total.get(term, 0.0) + factor
    return total


def _times(a: Poly, b: Poly) -> Poly:
    total: dict[Term, float] = {}
    for left, first in a.items():
        for right, second in b.items():
            powers = dict(left)
            for symbol, power in right:
                powers[symbol] = powers.get(symbol, 0) + power
            term = tuple(sorted(powers.items()))
            total[term] = total.get(term, 0.0) + first * second
    return total


def _scaled(poly: Poly, factor: float) -> Poly:
    return {term: part * factor for term, part in poly.items()}


def _symbol(name: str) -> Poly:
    return {((name, 1),): 1.0}


@dataclass(frozen=True)
class Size:
    """How large a value can be in all, and how many items it can have if it is a list."""

    all: Poly
    count: Poly


_SMALL = Size(ONE, ONE)


class Cost:
    """The work of one tree; `free` if no record makes it too much, `short` if none makes its loops too long."""

    def __init__(self, tree: Node) -> None:
        walk = _Walk()
        walk.visit(tree, {})
        self._work = walk.work
        self._steps = walk.steps
        self.short = not walk.steps.keys() - ONE.keys() and self.steps({}) < STEPS
        self.free = not walk.hard and all(
            _degree(term) == 0 or (_degree(term) == 1 and part <= FREE) for term, part in self._work.items()
        )

    def is_too_much(self, row: Mapping[str, Any]) -> bool:
        """Tell whether the work for a record is more than is allowed."""
        if self.free:
            return False
        sizes = {name: weigh(value) for name, value in row.items()}
        longest = max((longest for _size, longest in sizes.values()), default=1)
        whole = sum(size for size, _longest in sizes.values())
        known = {f"n:{name}": size for name, (size, _longest) in sizes.items()}
        return bool(self.of({**known, "k": min(longest, STEPS), "t": min(whole, STEPS)}) > MOST_WORK)

    @property
    def always(self) -> float:
        """Return the work that is the same for every record."""
        return self._work.get((), 0.0)

    def of(self, sizes: Mapping[str, Any]) -> Any:
        """Return the work for a record of these sizes; for columns of sizes a column."""
        return _value(self._work, sizes)

    def steps(self, sizes: Mapping[str, Any]) -> Any:
        """Return how many steps the loops take at most for a record of these sizes; for columns of sizes a column."""
        return _value(self._steps, sizes)


def _value(poly: Poly, sizes: Mapping[str, Any]) -> Any:
    try:
        return sum(part * math.prod(sizes[symbol] ** power for symbol, power in term) for term, part in poly.items())
    except OverflowError:
        return math.inf


def _degree(term: Term) -> int:
    return sum(power for _symbol, power in term)


def weigh(value: Any) -> tuple[int, int]:
    """Return the size of a value with all that is in it, and the length of the longest list in it."""
    size, longest, rest = 0, 1, [value]
    while rest:
        part = rest.pop()
        size += 1
        if isinstance(part, (str, bytes)):
            size += len(part)
        elif isinstance(part, (list, dict)):
            longest = max(longest, len(part))
            rest += part if isinstance(part, list) else (*part.keys(), *part.values())
    return size, longest


class _Walk:
    """Adds up the work of a tree, and the steps of its loops.

    `scope` holds the sizes of the names that loops and the compiler have made.

    `hard` says that a pattern in it is a large one.
    """

    def __init__(self) -> None:
        self.work: Poly = {}
        self.steps: Poly = {}
        self.hard = False
        self._loops = 0

    def _spend(self, *work: Poly) -> None:
        self.work = _add(self.work, *work)

    def visit(self, node: Node, scope: Mapping[str, Size]) -> Size:
        """Return the size of a node's value, after adding the work for it."""
        self._spend(ONE)
        match node:
            case Literal(value=value):
                return Size({(): float(len(value) + 1)}, ONE) if isinstance(value, (str, bytes)) else _SMALL
            case Variable(mode=Mode.VALUE):
                return Size(_symbol(f"n:{node.name}"), _symbol("k"))
            case Ident(name=name):
                return scope.get(name, _SMALL)
            case Let(variable=name, value=value, body=body):
                return self.visit(body, {**scope, name: self.visit(value, scope)})
            case Macro():
                return self._macro(node, scope)
            case _:
                return self._parts(node, [self.visit(child, scope) for child in children(node)])

    def _parts(self, node: Node, sizes: list[Size]) -> Size:
        whole = _add(*(size.all for size in sizes), ONE)
        if isinstance(node, Call):
            return self._call(node, sizes, whole)
        self._spend(whole)
        match node:
            case Operator(symbol="?:" | "+"):
                return Size(whole, _add(*(size.count for size in sizes), ONE))
            case MapOf(keys=keys) if not all(isinstance(key, Literal) for key in keys):
                self._spend(_scaled(whole, float(len(keys))))  # each key is compared with those before it
                self.steps = _add(self.steps, {(): float(len(keys))})
                return Size(whole, {(): float(len(sizes) + 1)})
            case ListOf() | MapOf():
                return Size(whole, {(): float(len(sizes) + 1)})
            case Select() | Operator(symbol="[]"):
                return sizes[0]
            case _:
                return _SMALL

    def _call(self, node: Call, sizes: list[Size], whole: Poly) -> Size:
        if not node.name.startswith("own."):
            self._spend(whole)
            return Size(whole, whole)
        name = node.name.removeprefix("own.").partition(".")[0]
        if name in _SEARCHES:
            steps = _steps(node.args[1])
            self.hard = self.hard or steps > FREE_STEPS
            self._spend(_scaled(sizes[0].all, steps))
        result = whole
        if name in _PADDING:
            result = _add({(): _written(node, 1.0)}, sizes[0].all)
        elif name == "repeat":
            result = {(): _written(node, _length(node.args[0]))}
        elif name in _GROWING:
            result = _times(whole, sizes[-1].all) if name in ("replace", "join") else whole
        if result.get((), 0.0) > _TEXT:
            result = {(): _TEXT}
        self._spend(_scaled(_add(whole, result), _CONVERTED))
        return Size(result, result)

    def _macro(self, node: Macro, scope: Mapping[str, Size]) -> Size:
        source = self.visit(node.source, scope)
        self._loops += 1
        loop = self._loops
        outside, self.work = self.work, {}
        before, self.steps = self.steps, ONE
        inner = {**scope, node.variable: Size(_symbol(f"i{loop}"), _symbol(f"j{loop}"))}
        if node.guard is not None:
            self.visit(node.guard, inner)
        body = self.visit(node.body, inner)
        work, self.work = self.work, outside
        self.steps = _add(before, _summed(self.steps, loop, source))
        self._spend(_summed(work, loop, source))
        if node.name is MacroName.MAP:
            return Size(_add(_summed(body.all, loop, source), source.count), source.count)
        return source if node.name is MacroName.FILTER else _SMALL


def _length(node: Node) -> float:
    return float(len(node.value)) if isinstance(node, Literal) and isinstance(node.value, str) else 100.0


def _written(node: Call, each: float) -> float:
    """Return how many characters a padding or a repetition makes at most."""
    count = next((arg.value for arg in node.args if isinstance(arg, Literal) and isinstance(arg.value, int)), None)
    return float(MAX_REPEATED if count is None else min(max(count, 1) * max(each, 1.0), MAX_REPEATED))


def _steps(pattern: Node) -> int:
    """Return how many steps a search takes for a character of the text."""
    if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
        return patterns.MAX_PROGRAM
    return int(patterns.pattern(pattern.value).programsize)


def _summed(poly: Poly, loop: int, source: Size) -> Poly:
    """Return the sum over all items of a list: as often as it has items, or their sizes together."""
    symbols = {f"i{loop}": source.all, f"j{loop}": _symbol("t")}
    total: Poly = {}
    for term, part in poly.items():
        rest: Poly = {tuple((symbol, power) for symbol, power in term if symbol not in symbols): part}
        factors = [symbols[symbol] for symbol, power in term if symbol in symbols for _ in range(power)]
        for factor in factors or [source.count]:
            rest = _times(rest, factor)
        total = _add(total, rest)
    return total
