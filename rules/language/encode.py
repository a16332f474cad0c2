"""From a lowered tree to `cel.expr.ParsedExpr` bytes, which the C++ runtime loads as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rules.language.chains import with_short_chains
from rules.language.nodes import (
    Call,
    Exact,
    Find,
    Has,
    Ident,
    Let,
    ListOf,
    Literal,
    Macro,
    MacroName,
    MapOf,
    Node,
    Operator,
    Select,
    Variable,
)
from rules.language.wire import block, double, varint

REFERENCE = b"\x00field:"
_PARSED = "type.googleapis.com/cel.expr.ParsedExpr"
_ACCUMULATOR = "@result"
_SOURCE = "@source"
_KEY, _KEYS = "@key", "@keys"
MAX_COLLECTED = 1_000
TOO_LONG = "own.too_long"
TWICE = "own.twice"
_NAMES = {s: f"_{s}_" for s in ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||")}
_NAMES |= {"?:": "_?_:_", "[]": "_[_]", "!": "!_", "in": "@in"}


def encode(tree: Node) -> bytes:
    """Return the serialized expression."""
    return block(1, _PARSED) + block(2, block(2, _Encoder().node(with_short_chains(tree))))


class _Encoder:
    def __init__(self) -> None:
        self._id = 0
        self._forms: dict[type, Callable[[Any], bytes]] = {
            Literal: self._literal,
            Ident: lambda node: self._ident(node.name),
            Variable: lambda node: self._ident(node.name),
            Exact: lambda node: block(3, block(7, REFERENCE, node.field)),
            Select: lambda node: block(5, block(1, self.node(node.operand)), block(2, node.field)),
            Has: lambda node: block(5, block(1, self.node(node.operand)), block(2, node.field), varint(3, 1)),
            Call: self._call,
            Operator: self._operator,
            ListOf: lambda node: block(7, *(block(1, self.node(item)) for item in node.items)),
            MapOf: self._map,
            Macro: self._macro,
            Let: self._let,
            Find: lambda node: self._function(node.name, self.node(node.key)),
        }

    def node(self, node: Node) -> bytes:
        """Return an `Expr` message."""
        return self._expr(self._forms[type(node)](node))

    def _expr(self, kind: bytes) -> bytes:
        self._id += 1
        return varint(2, self._id) + kind

    def _literal(self, node: Literal) -> bytes:
        return block(3, constant(node.value))

    def _ident(self, name: str) -> bytes:
        return block(4, block(1, name))

    def _call(self, node: Call) -> bytes:
        parts = [self.node(arg) for arg in node.args]
        target = block(1, parts.pop(0)) if node.member else b""
        return self._function(node.name, *parts, target=target)

    def _operator(self, node: Operator) -> bytes:
        name = "-_" if node.symbol == "-" and len(node.operands) == 1 else _NAMES[node.symbol]
        return self._function(name, *(self.node(operand) for operand in node.operands))

    def _function(self, name: str, *args: bytes, target: bytes = b"") -> bytes:
        return block(6, target, block(2, name), *(block(3, arg) for arg in args))

    def _apply(self, name: str, *args: bytes) -> bytes:
        return self._expr(self._function(name, *args))

    def _map(self, node: MapOf) -> bytes:
        known = {(type(key.value), key.value): key for key in node.keys if isinstance(key, Literal)}
        fixed = list(known.values())
        rest = [key for key in node.keys if not any(key is one for one in fixed)]
        if len(node.keys) < 2 or not rest:
            return self._entries(node, [self.node(key) for key in node.keys])
        return self._different(node, [*fixed, *rest], len(fixed))

    def _different(self, node: MapOf, keys: list[Node], known: int) -> bytes:
        """Return the map, or an error where a key stands twice: for that, the runtime gives up the whole expression.

        The keys, of which the first ones are known to differ, are collected in a list, and taken from there.
        """
        more = self._apply("_+_", self._named(_KEYS), self._expr(block(7, block(1, self._named(_KEY)))))
        twice = self._apply("@in", self._named(_KEY), self._named(_KEYS))
        step = self._apply("_?_:_", twice, self._refusal(TWICE), more)
        places = {id(key): number for number, key in enumerate(keys)}
        taken = [self._apply("_[_]", self._named(_KEYS), self._constant(places[id(key)])) for key in node.keys]
        names = ((_KEY, self._listed(keys[known:])), (_KEYS, self._listed(keys[:known])))
        return self._fold(names, self._constant(value=True), step, self._expr(self._entries(node, taken)))

    def _listed(self, items: list[Node]) -> bytes:
        return self._expr(block(7, *(block(1, self.node(item)) for item in items)))

    def _entries(self, node: MapOf, keys: list[bytes]) -> bytes:
        pairs = zip(keys, node.values, strict=True)
        return block(8, *(block(2, self._entry(key, value)) for key, value in pairs))

    def _entry(self, key: bytes, value: Node) -> bytes:
        self._id += 1
        return varint(1, self._id) + block(3, key) + block(4, self.node(value))

    def _refusal(self, reason: str) -> bytes:
        return self._apply("_[_]", self._expr(block(8)), self._expr(block(3, constant(reason))))

    def _constant(self, value: bool | int) -> bytes:
        return self._expr(block(3, constant(value)))

    def _named(self, name: str) -> bytes:
        return self._expr(self._ident(name))

    def _let(self, node: Let) -> bytes:
        # Not "#unused": by that name the runtime knows a bind, whose place it may find filled by an earlier loop.
        names = (("#none", self._expr(block(7))), (node.variable, self.node(node.value)))
        step = self._named(node.variable)
        return self._fold(names, self._constant(value=False), step, self.node(node.body))

    def _macro(self, node: Macro) -> bytes:
        source, body = self.node(node.source), self.node(node.body)
        if node.name in (MacroName.MAP, MacroName.FILTER):
            return self._collect(node, source, body)
        results = {
            MacroName.ALL: (True, self._apply("_&&_", self._named(_ACCUMULATOR), body), self._named(_ACCUMULATOR)),
            MacroName.EXISTS: (False, self._apply("_||_", self._named(_ACCUMULATOR), body), self._named(_ACCUMULATOR)),
            MacroName.EXISTS_ONE: (
                0,
                self._count(body),
                self._apply("_==_", self._named(_ACCUMULATOR), self._constant(1)),
            ),
        }
        start, step, result = results[node.name]
        names = ((node.variable, source), (_ACCUMULATOR, self._constant(start)))
        return self._fold(names, self._going(node.name), step, result)

    def _count(self, body: bytes) -> bytes:
        more = self._apply("_+_", self._named(_ACCUMULATOR), self._constant(1))
        return self._apply("_?_:_", body, more, self._named(_ACCUMULATOR))

    def _going(self, name: MacroName) -> bytes:
        """Return the condition to go on: an error in one item does not end the search."""
        if name is MacroName.EXISTS_ONE:
            return self._constant(value=True)
        found = self._named(_ACCUMULATOR)
        return self._apply("@not_strictly_false", found if name is MacroName.ALL else self._apply("!_", found))

    def _collect(self, node: Macro, source: bytes, body: bytes) -> bytes:
        keep = node.name is MacroName.FILTER
        item = self._named(node.variable) if keep else body
        guard = body if keep else None if node.guard is None else self.node(node.guard)
        step = self._apply("_+_", self._named(_ACCUMULATOR), self._expr(block(7, block(1, item))))
        if guard is not None:
            step = self._apply("_?_:_", guard, step, self._named(_ACCUMULATOR))
        names = ((node.variable, self._named(_SOURCE)), (_ACCUMULATOR, self._expr(block(7))))
        loop = self._expr(self._fold(names, self._constant(value=True), step, self._named(_ACCUMULATOR)))
        return self._bounded(source, loop)

    def _bounded(self, source: bytes, loop: bytes) -> bytes:
        """Return the loop, or an error for a long list: the runtime copies the whole list for every item it adds."""
        fits = self._apply("_<=_", self._apply("size", self._named(_SOURCE)), self._constant(MAX_COLLECTED))
        names = (("#unused", self._expr(block(7))), (_SOURCE, source))
        result = self._apply("_?_:_", fits, loop, self._refusal(TOO_LONG))
        return self._fold(names, self._constant(value=False), self._named(_SOURCE), result)

    def _fold(
        self, names: tuple[tuple[str, bytes], tuple[str, bytes]], going: bytes, step: bytes, result: bytes
    ) -> bytes:
        (item, source), (accumulator, start) = names
        parts = (block(1, item), block(2, source), block(3, accumulator), block(4, start))
        return block(9, *parts, block(5, going), block(6, step), block(7, result))


def constant(value: bool | int | float | str | bytes | None) -> bytes:
    """Return a `Constant` message."""
    if isinstance(value, bool):
        return varint(2, value)
    if isinstance(value, int):
        return varint(3, value)
    if isinstance(value, float):
        return double(5, value)
    if isinstance(value, str):
        return block(6, value)
    return varint(1, 0) if value is None else block(7, value)
