"""Google's own CEL parser, its trees as ours: what our parser is held against.

The numbers are those of `cel.expr.ParsedExpr` (github.com/google/cel-spec, proto/cel/expr/syntax.proto).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import TypeAlias, cast

from cel_expr_python import cel

from rules.language.nodes import (
    Call,
    Has,
    Ident,
    ListOf,
    Literal,
    Macro,
    MacroName,
    MapOf,
    Node,
    Operator,
    Select,
    children,
)
from rules.language.wire import FIXED64, VARINT

SYMBOLS = {f"_{s}_": s for s in ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "?:")}
SYMBOLS |= {"_?_:_": "?:", "_[_]": "[]", "!_": "!", "-_": "-", "@in": "in"}
Raw: TypeAlias = int | bytes


class Untaken(Exception):
    """Google's parser takes what our language does not: numbers with u, named types; or it refuses the text."""


@cache
def _environment() -> cel.Env:
    return cel.NewEnv()


def google_tree(text: str) -> Node:
    """Return the tree that Google's parser gives, all places 0; raises `Untaken`."""
    try:
        parsed = _environment().compile(text, disable_check=True).serialize()
    except RuntimeError as error:
        raise Untaken(str(error)) from None
    return _Decoder().node(Reader(parsed).message(2).message(2))


class Reader:
    """The fields of one message: number -> values in order."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[Raw]] = defaultdict(list)
        offset = 0
        while offset < len(data):
            tag, offset = _varint(data, offset)
            value, offset = _value(data, offset, tag & 7)
            self._fields[tag >> 3].append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def messages(self, number: int) -> list[Reader]:
        """Return the messages in a field."""
        return [Reader(cast(bytes, value)) for value in self._fields.get(number, ())]

    def message(self, number: int) -> Reader:
        """Return the message in a field; an empty one where it is absent."""
        found = self._fields.get(number)
        return Reader(cast(bytes, found[-1]) if found else b"")

    def data(self, number: int) -> bytes:
        """Return the bytes of a field."""
        found = self._fields.get(number)
        return cast(bytes, found[-1]) if found else b""

    def text(self, number: int) -> str:
        """Return the text of a field."""
        return self.data(number).decode()

    def integer(self, number: int) -> int:
        """Return the signed 64-bit integer of a field."""
        found = self._fields.get(number)
        value = cast(int, found[-1] if found else 0)
        return value - (1 << 64) if value >= 1 << 63 else value

    def double(self, number: int) -> float:
        """Return the floating point number of a field."""
        value: float = struct.unpack("<d", self.data(number))[0]
        return value


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    shift = result = 0
    while True:
        byte = data[offset]
        offset += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, offset
        shift += 7


def _value(data: bytes, offset: int, kind: int) -> tuple[Raw, int]:
    if kind == VARINT:
        return _varint(data, offset)
    if kind == FIXED64:
        return data[offset : offset + 8], offset + 8
    length, offset = _varint(data, offset)
    return data[offset : offset + length], offset + length


class _Decoder:
    """Turns the messages of one parsed expression into nodes."""

    def __init__(self) -> None:
        self._forms: dict[int, Callable[[Reader], Node]] = {
            3: self._literal,
            4: lambda ident: Ident(0, ident.text(1).removeprefix(".")),
            5: self._select,
            6: self._call,
            7: lambda items: ListOf(0, tuple(self.node(item) for item in items.messages(1))),
            8: self._map,
            9: self._macro,
        }

    def node(self, expr: Reader) -> Node:
        """Return the node of an `Expr`."""
        number = next(number for number in self._forms if number in expr)
        return self._forms[number](expr.message(number))

    def _literal(self, const: Reader) -> Literal:
        if 4 in const:
            raise Untaken("u")
        readers: dict[int, Callable[[int], bool | int | float | str | bytes]] = {
            2: lambda n: bool(const.integer(n)),
            3: const.integer,
            5: const.double,
            6: const.text,
            7: const.data,
        }
        return Literal(0, next((read(number) for number, read in readers.items() if number in const), None))

    def _select(self, select: Reader) -> Select | Has:
        return (Has if select.integer(3) else Select)(0, self.node(select.message(1)), select.text(2))

    def _call(self, call: Reader) -> Node:
        name = call.text(2)
        args = tuple(self.node(arg) for arg in call.messages(3))
        if name in SYMBOLS:
            return Operator(0, SYMBOLS[name], args)
        return Call(0, name, (self.node(call.message(1)), *args), member=True) if 1 in call else Call(0, name, args)

    def _map(self, struct_: Reader) -> MapOf:
        if struct_.text(1):
            raise Untaken("named type")
        entries = struct_.messages(2)
        keys = tuple(self.node(e.message(3)) for e in entries)
        return MapOf(0, keys, tuple(self.node(e.message(4)) for e in entries))

    def _macro(self, fold: Reader) -> Macro:
        source, variable = self.node(fold.message(2)), fold.text(1)
        start, step = fold.message(4), self._without_accumulator(self.node(fold.message(6)))
        if 7 in start:
            return self._collect(source, variable, step)
        if 2 in start.message(3):
            name = MacroName.ALL if start.message(3).integer(2) else MacroName.EXISTS
            return Macro(0, name, source, variable, step[-1])
        return Macro(0, MacroName.EXISTS_ONE, source, variable, step[0])

    def _without_accumulator(self, step: Node) -> tuple[Node, ...]:
        """Return the operands of a loop step that the person wrote: the guard, if any, and the item."""
        parts = children(step)
        if isinstance(step, Operator) and step.symbol == "?:":
            return (parts[0], children(parts[1])[-1])
        return (parts[-1],)

    def _collect(self, source: Node, variable: str, step: tuple[Node, ...]) -> Macro:
        item = step[-1]
        body = item.items[0] if isinstance(item, ListOf) else item
        if len(step) == 1:
            return Macro(0, MacroName.MAP, source, variable, body)
        if isinstance(body, Ident) and body.name == variable:
            return Macro(0, MacroName.FILTER, source, variable, step[0])
        return Macro(0, MacroName.MAP, source, variable, body, step[0])
