"""The syntax tree of an expression: frozen nodes without behaviour; the checker and the compilers visit them.

`at` is the 0-based offset, in characters, of the place to point at when something is wrong with the node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from rules.language.library import Lookup


@dataclass(frozen=True)
class Literal:
    """A constant; None is `null`."""

    at: int
    value: bool | int | float | str | bytes | None


@dataclass(frozen=True)
class Ident:
    """A bare name: a field, `record`, or the variable of a macro."""

    at: int
    name: str


@dataclass(frozen=True)
class Select:
    """`operand.field`."""

    at: int
    operand: Node
    field: str


@dataclass(frozen=True)
class Has:
    """`has(operand.field)`."""

    at: int
    operand: Node
    field: str


@dataclass(frozen=True)
class Call:
    """A function: `name(args)`, or `target.name(args)` with `member`; then the target is the first argument."""

    at: int
    name: str
    args: tuple[Node, ...]
    member: bool = False


@dataclass(frozen=True)
class Operator:
    """An operator; `symbol` as it is written, `-` with one operand negates, `[]` takes an item, `?:` chooses."""

    at: int
    symbol: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class ListOf:
    """`[a, b]`."""

    at: int
    items: tuple[Node, ...]


@dataclass(frozen=True)
class MapOf:
    """`{key: value}`."""

    at: int
    keys: tuple[Node, ...]
    values: tuple[Node, ...]


class MacroName(StrEnum):
    """The loops of CEL; each ends because lists do."""

    ALL = "all"
    EXISTS = "exists"
    EXISTS_ONE = "exists_one"
    MAP = "map"
    FILTER = "filter"


@dataclass(frozen=True)
class Macro:
    """`source.name(variable, body)`; `guard` is the condition of a three-part `map`."""

    at: int
    name: MacroName
    source: Node
    variable: str
    body: Node
    guard: Node | None = None


class Mode(StrEnum):
    """How a column reaches the runtime."""

    VALUE = "value"
    NUMBER = "number"
    MOMENT = "moment"
    EMPTY = "empty"


@dataclass(frozen=True)
class Let:
    """`variable` stands for `value` in `body`; made by the compiler only, so that a value is worked out once."""

    at: int
    variable: str
    value: Node
    body: Node


@dataclass(frozen=True)
class Variable:
    """A column as the runtime sees it; made by the compiler only."""

    at: int
    field: str
    mode: Mode

    @property
    def name(self) -> str:
        """Return the name under which the runtime finds the value."""
        return f"{self.mode.value}:{self.field}"


@dataclass(frozen=True)
class Exact:
    """A field whose stored value is the result, untouched; made by the compiler only."""

    at: int
    field: str


@dataclass(frozen=True)
class Find:
    """The value of a lookup table's column for a key, with `ask` whether there is one; made by the compiler only."""

    at: int
    table: Lookup
    column: int
    key: Node
    ask: bool = False

    @property
    def name(self) -> str:
        """Return the name under which the runtime finds the function."""
        return f"own.lookup.{self.table.name}.{self.column}{'?' if self.ask else ''}"


Node: TypeAlias = (
    Literal | Ident | Select | Has | Call | Operator | ListOf | MapOf | Macro | Let | Variable | Exact | Find
)


def children(node: Node) -> tuple[Node, ...]:
    """Return the parts of a node, in the order they are written."""
    match node:
        case Select(operand=part) | Has(operand=part) | Find(key=part):
            return (part,)
        case Call(args=parts) | Operator(operands=parts) | ListOf(items=parts):
            return parts
        case MapOf(keys=keys, values=values):
            return tuple(part for pair in zip(keys, values, strict=True) for part in pair)
        case Macro(source=source, guard=guard, body=body):
            return (source, body) if guard is None else (source, guard, body)
        case Let(value=value, body=body):
            return (value, body)
        case _:
            return ()


_PARTS: dict[type, tuple[str, ...]] = {
    Select: ("operand",),
    Has: ("operand",),
    Call: ("args",),
    Operator: ("operands",),
    ListOf: ("items",),
    MapOf: ("keys", "values"),
    Macro: ("source", "body", "guard"),
    Let: ("value", "body"),
    Find: ("key",),
}


def rebuilt(node: Node, step: Callable[[Node], Node]) -> Node:
    """Return the node with the step taken on each of its parts."""
    changes: dict[str, Node | tuple[Node, ...] | None] = {}
    for name in _PARTS.get(type(node), ()):
        part = getattr(node, name)
        changes[name] = tuple(map(step, part)) if isinstance(part, tuple) else None if part is None else step(part)
    return replace(node, **changes) if changes else node  # type: ignore[arg-type]
