"""From the checked tree to the tree that the C++ runtime executes.

CEL knows no decimals, no promotion and no empty typed values, so these are written out here:

- a whole number that meets a number with fraction is promoted, exactly or not at all;
- `x == null`, `has(record.x)`, `orDefault` and `coalesce` ask a flag, so that they work for every type;
- where the result is just the value of a field, the runtime returns which field, and the column gives the value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rules.language.checked import Checked, field_of
from rules.language.cost import MOST_WORK, Cost
from rules.language.functions import FUNCTIONS
from rules.language.functions.registry import Builtin, Overload, flavour
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
    MapOf,
    Mode,
    Node,
    Operator,
    Select,
    Variable,
)
from rules.language.problems import ExpressionError, Problem
from rules.language.types import MOMENTS, NULL, Kind, Type, of_field
from rules.schema import FieldType, Schema
from rules.text import msg

DIVIDE = "own./"
REAL = "own.real"
_EXACT_INTEGER = 2**53
MAX_FOLDED = 1_000  # characters; a longer text is made for each record, so that the compiled tree stays small
_WIDE = frozenset({Kind.FLOAT, Kind.DECIMAL, Kind.ANY})
_BY_REFERENCE = {
    Kind.DECIMAL: (FieldType.DECIMAL, FieldType.INTEGER),
    Kind.ANY: (FieldType.DECIMAL, FieldType.INTEGER, FieldType.JSON),
}
_Step = Callable[[Node], Node]


@dataclass(frozen=True)
class Plan:
    """What the runtime executes, the columns it needs, and how much work it is."""

    tree: Node
    variables: tuple[Variable, ...]
    cost: Cost


def own_name(name: str, suffix: str) -> str:
    """Return the name under which the runtime knows one of our functions."""
    return f"own.{name}.{suffix}" if suffix else f"own.{name}"


def lower(checked: Checked, schema: Schema, wanted: Type) -> Plan:
    """Return the plan of a checked tree; its result is used as `wanted`. Raises `ExpressionError` for too much work."""
    lowering = Lowering(checked, schema)
    exact = wanted.kind in _BY_REFERENCE
    tree = lowering.result(checked.tree, wanted) if exact else lowering.open(checked.tree, wanted)
    cost = Cost(tree)
    if cost.always > MOST_WORK:
        raise ExpressionError([Problem(msg("This expression makes texts that are too large. Use smaller ones."))])
    return Plan(tree, tuple(lowering.variables.values()), cost)


class Lowering:
    """Rewrites one tree; `variables` are the columns it came to need."""

    def __init__(self, checked: Checked, schema: Schema) -> None:
        self.variables: dict[str, Variable] = {}
        self._checked = checked
        self._schema = schema
        self._bound: list[str] = []
        self._counter = 0
        self._steps: dict[type, Callable[[Any], Node]] = {
            Has: self._has,
            Select: self._select,
            Call: self._call,
            Operator: self._operator,
            ListOf: self._collection,
            MapOf: self._collection,
            Macro: self._macro,
        }

    def open(self, node: Node, wanted: Type) -> Node:
        """Return the node for a place where an empty value is a value like any other."""
        name = self._field(node)
        if name is not None and self._checked.type(node).kind in MOMENTS:
            return _if(node.at, self._empty(node), Literal(node.at, None), self.strict(node))
        form = self._form(node, lambda part: self.open(part, wanted))
        return form or self.promoted(node, wanted)

    def result(self, node: Node, wanted: Type) -> Node:
        """Return the node for the place of the result, where a field is named instead of read."""
        name = self._field(node)
        if name is not None and self._schema[name].type in _BY_REFERENCE[wanted.kind]:
            return Exact(node.at, name)
        return self._form(node, lambda part: self.result(part, wanted)) or self.open(node, wanted)

    def _form(self, node: Node, step: _Step) -> Node | None:
        """Return a form that passes one of its parts on, with the step taken on those parts; None for other nodes."""
        match node:
            case Operator(symbol="?:", operands=(test, yes, no)):
                return _if(node.at, self.strict(test), step(yes), step(no))
            case Call(name="orDefault" | "coalesce"):
                return self._first(node, node.args, step)
            case Call(name="choose", args=(value, MapOf() as choices, *rest)):
                return self._choose(node, (value, choices), rest, step)
            case _:
                return None

    def _empty(self, node: Node) -> Node:
        """Return the question whether the node's value is empty."""
        name = self._field(node)
        if name is not None:
            return self._variable(Variable(node.at, name, Mode.EMPTY))
        return Operator(node.at, "==", (self.open(node, NULL), Literal(node.at, None)))

    def _first(self, node: Call, parts: tuple[Node, ...], step: _Step) -> Node:
        head, *rest = parts
        if not rest:
            return step(head)
        if self._field(head) is not None:
            return _if(node.at, self._empty(head), self._first(node, tuple(rest), step), step(head))
        name = self._fresh()
        empty = Operator(node.at, "==", (Ident(node.at, name), Literal(node.at, None)))
        later = self._first(node, tuple(rest), step)
        return Let(
            node.at, name, self.open(head, self._checked.type(node)), _if(node.at, empty, later, Ident(head.at, name))
        )

    def _choose(self, node: Call, pair: tuple[Node, MapOf], default: list[Node], step: _Step) -> Node:
        value, choices = pair
        key, table = self._fresh(), self._fresh()
        known = Operator(node.at, "in", (Ident(value.at, key), Ident(node.at, table)))
        found = Operator(node.at, "[]", (Ident(node.at, table), Ident(value.at, key)))
        body: Node = found
        if default:
            filled = Operator(node.at, "!=", (Ident(value.at, key), Literal(node.at, None)))
            body = _if(node.at, Operator(node.at, "&&", (filled, known)), found, step(default[0]))
        wanted = self._checked.type(node)
        keys = tuple(self.strict(part) for part in choices.keys)
        values = MapOf(choices.at, keys, tuple(self.open(part, wanted) for part in choices.values))
        return Let(node.at, key, self.open(value, NULL), Let(node.at, table, values, body))

    def promoted(self, node: Node, wanted: Type) -> Node:
        """Return the node as a number with fraction if that is wanted and it is a whole number."""
        if wanted.kind not in _WIDE or self._checked.type(node).kind is not Kind.INTEGER:
            return self.strict(node)
        if isinstance(node, Literal) and isinstance(node.value, int) and abs(node.value) <= _EXACT_INTEGER:
            return Literal(node.at, float(node.value))
        name = self._field(node)
        if name is not None:
            return self._variable(Variable(node.at, name, Mode.NUMBER))
        return Call(node.at, REAL, (self.strict(node),))

    def strict(self, node: Node) -> Node:
        """Return the node for a place where an empty value is an error."""
        name = self._field(node)
        if name is not None:
            return self._variable(Variable(node.at, name, self._mode(name)))
        lowered = self._steps.get(type(node))
        return node if lowered is None else lowered(node)

    def _select(self, node: Select) -> Node:
        return replace(node, operand=self.strict(node.operand))

    def _has(self, node: Has) -> Node:
        if isinstance(node.operand, Ident) and node.operand.name == "record" and "record" not in self._bound:
            empty = self._variable(Variable(node.at, node.field, Mode.EMPTY))
            return Operator(node.at, "!", (empty,))
        return replace(node, operand=self.strict(node.operand))

    def _collection(self, node: ListOf | MapOf) -> Node:
        item = self._checked.type(node).item or NULL
        if isinstance(node, ListOf):
            return ListOf(node.at, tuple(self.open(part, item) for part in node.items))
        keys = tuple(self.strict(key) for key in node.keys)
        return MapOf(node.at, keys, tuple(self.open(value, item) for value in node.values))

    def _macro(self, node: Macro) -> Node:
        source = self.strict(node.source)
        self._bound.append(node.variable)
        guard = None if node.guard is None else self.strict(node.guard)
        body = self.open(node.body, self._checked.type(node.body))
        self._bound.pop()
        return replace(node, source=source, guard=guard, body=body)

    def _call(self, node: Call) -> Node:
        form = self._form(node, lambda part: self.open(part, self._checked.type(node)))
        if form is not None:
            return form
        if node.name == "lookup":
            return self._lookup(node)
        if node.name == "dyn":
            return self.open(node.args[0], NULL)
        overload = self._checked.overload(node)
        wanted = overload.parameters
        args = tuple(self._argument(arg, type_) for arg, type_ in zip(node.args, wanted, strict=True))
        builtin = FUNCTIONS[node.name].builtin
        if builtin is not None:
            return Call(node.at, node.name, args, member=builtin is Builtin.MEMBER)
        return _folded(node.at, overload, args) or Call(node.at, own_name(node.name, flavour(overload)), args)

    def _lookup(self, node: Call) -> Node:
        """Return the search; a moment is asked for only where there is one, since the runtime has no empty moments."""
        table, column = self._checked.lookups[id(node)]
        key = self.open(node.args[1], NULL)
        if of_field(table.columns[column].type).kind not in MOMENTS:
            return Find(node.at, table, column, key)
        name = self._fresh()
        known = Ident(node.args[1].at, name)
        found = Find(node.at, table, column, known)
        body = _if(node.at, replace(found, ask=True), found, Literal(node.at, None))
        return Let(node.at, name, key, body)

    def _argument(self, node: Node, wanted: Type) -> Node:
        if wanted.kind is Kind.ANY:
            return self.open(node, NULL)
        return self.promoted(node, wanted)

    def _operator(self, node: Operator) -> Node:
        form = self._form(node, lambda part: self.open(part, self._checked.type(node)))
        if form is not None:
            return form
        if node.symbol in ("==", "!="):
            return self._equality(node)
        if node.symbol == "in":
            value, source = node.operands
            return replace(node, operands=(self.open(value, NULL), self.strict(source)))
        if node.symbol in ("+", "-", "*", "/"):
            return self._arithmetic(node)
        return replace(node, operands=tuple(self.strict(operand) for operand in node.operands))

    def _equality(self, node: Operator) -> Node:
        left, right = node.operands
        for value, other in ((left, right), (right, left)):
            if isinstance(other, Literal) and other.value is None:
                empty = self._empty(value)
                return empty if node.symbol == "==" else Operator(node.at, "!", (empty,))
        return replace(node, operands=(self.open(left, NULL), self.open(right, NULL)))

    def _arithmetic(self, node: Operator) -> Node:
        wanted = self._checked.type(node)
        operands = tuple(self.promoted(_shown(operand), wanted) for operand in node.operands)
        if node.symbol == "/" and wanted.kind is not Kind.INTEGER:
            return Call(node.at, DIVIDE, operands)
        return replace(node, operands=operands)

    def _field(self, node: Node) -> str | None:
        """Return the field that a node names, None for every other node."""
        name = field_of(node)
        if name is not None and "record" not in self._bound:
            return name
        if isinstance(node, Ident) and node.name not in self._bound:
            return node.name
        return None

    def _mode(self, name: str) -> Mode:
        type_ = self._schema[name].type
        if type_ in (FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME):
            return Mode.MOMENT
        return Mode.NUMBER if type_ is FieldType.DECIMAL else Mode.VALUE

    def _variable(self, variable: Variable) -> Variable:
        self.variables[variable.name] = variable
        return variable

    def _fresh(self) -> str:
        self._counter += 1
        return f"let:{self._counter}"


def _if(at: int, test: Node, yes: Node, no: Node) -> Operator:
    return Operator(at, "?:", (test, yes, no))


def _shown(node: Node) -> Node:
    """Return what stands in dyn(); calculating does not ask what a number was declared to be."""
    return node.args[0] if isinstance(node, Call) and node.name == "dyn" else node


_LITERALS: dict[type, tuple[Kind, ...]] = {
    bool: (Kind.BOOLEAN,),
    int: (Kind.INTEGER,),
    float: (Kind.FLOAT, Kind.DECIMAL),
    str: (Kind.TEXT,),
    bytes: (Kind.BINARY,),
}


def _fits(value: object, wanted: Type) -> bool:
    return wanted.kind in (Kind.ANY, *_LITERALS.get(type(value), ()))


def _folded(at: int, overload: Overload, args: tuple[Node, ...]) -> Node | None:
    """Return the value of a call whose arguments are all written out; None where there is none, or no literal of it."""
    values = [arg.value for arg in args if isinstance(arg, Literal)]
    if overload.implementation is None or len(values) < len(args):
        return None
    if not all(_fits(value, wanted) for value, wanted in zip(values, overload.parameters, strict=True)):
        return None  # what dyn() hides is an error of the record
    try:
        value = overload.implementation(*values)
    except (ValueError, TypeError, ArithmeticError):
        return None
    if isinstance(value, datetime):
        return Call(at, "timestamp", (Literal(at, value.isoformat()),))
    if isinstance(value, str) and len(value) > MAX_FOLDED:
        return None
    return Literal(at, value) if isinstance(value, (bool, int, float, str)) else None
