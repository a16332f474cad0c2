"""The kind of a lowered node's values, where the tree alone tells it."""

from __future__ import annotations

from collections.abc import Mapping

from rules.language.lower import DIVIDE, REAL
from rules.language.nodes import (
    Call,
    Find,
    Has,
    Ident,
    Let,
    Literal,
    Macro,
    MacroName,
    MapOf,
    Mode,
    Node,
    Operator,
    Variable,
)
from rules.language.operations import arithmetic
from rules.language.runtime import implementations
from rules.language.types import MOMENTS, Kind, Type, of_field
from rules.schema import Schema

_LITERALS = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.FLOAT,
    str: Kind.TEXT,
    bytes: Kind.BINARY,
    type(None): Kind.NULL,
}
_BUILTINS = {
    **dict.fromkeys(("startsWith", "endsWith", "contains", "bool"), Kind.BOOLEAN),
    **dict.fromkeys(("size", "int"), Kind.INTEGER),
    "double": Kind.FLOAT,
    "timestamp": Kind.DATETIME,
    "duration": Kind.DURATION,
}
_ON_TEXT = frozenset({"startsWith", "endsWith", "contains"})
_LOGICAL = frozenset({"&&", "||", "!", "==", "!=", "<", "<=", ">", ">=", "in"})
_PLAIN = frozenset(Kind) - {Kind.ANY, Kind.LIST, Kind.MAP, Kind.NULL}


def runtime_kind(kind: Kind) -> Kind:
    """Return how the runtime holds values of a kind."""
    if kind in MOMENTS:
        return Kind.DATETIME
    return Kind.FLOAT if kind is Kind.DECIMAL else kind


def variable_kind(variable: Variable, schema: Schema) -> Kind:
    """Return the kind of a variable's values."""
    if variable.mode is Mode.VALUE:
        return of_field(schema[variable.field].type).kind
    return {Mode.EMPTY: Kind.BOOLEAN, Mode.NUMBER: Kind.FLOAT, Mode.MOMENT: Kind.DATETIME}[variable.mode]


def kind_of(node: Node, schema: Schema, scope: Mapping[str, Node]) -> Kind | None:
    """Return the kind of a node's values besides null, None where only the record tells."""
    match node:
        case Let(variable=name, value=value, body=body):
            return kind_of(body, schema, {**scope, name: value})
        case Ident(name=name):
            return kind_of(scope[name], schema, scope) if name in scope else None
        case Call():
            found = _call(node, schema, scope)
        case Operator():
            found = _operator(node, schema, scope)
        case _:
            found = _simple(node, schema)
    return runtime_kind(found) if found in _PLAIN or found is Kind.NULL else None


def _simple(node: Node, schema: Schema) -> Kind | None:
    match node:
        case Literal(value=value):
            return _LITERALS[type(value)]
        case Variable():
            return variable_kind(node, schema)
        case Find(table=table, column=column, ask=ask):
            return Kind.BOOLEAN if ask else of_field(table.columns[column].type).kind
        case Has() | Macro(name=MacroName.ALL | MacroName.EXISTS | MacroName.EXISTS_ONE):
            return Kind.BOOLEAN
        case _:
            return None


def _call(node: Call, schema: Schema, scope: Mapping[str, Node]) -> Kind | None:
    if node.name in (DIVIDE, REAL):
        return Kind.FLOAT
    overloads = implementations().get(node.name)
    if overloads is None:
        return _BUILTINS.get(node.name, Kind.INTEGER if node.name.startswith("get") else None)
    fitting = [o for o in overloads if len(o.parameters) == len(node.args)]
    results = {runtime_kind(o.result.kind) for o in fitting}
    if len(results) == 1:
        return results.pop()
    first = kind_of(node.args[0], schema, scope) if node.args else None
    return next((runtime_kind(o.result.kind) for o in fitting if runtime_kind(o.parameters[0].kind) is first), None)


def _operator(node: Operator, schema: Schema, scope: Mapping[str, Node]) -> Kind | None:
    if node.symbol in _LOGICAL:
        return Kind.BOOLEAN
    if node.symbol == "[]":
        return _item(node, schema, scope)
    kinds = [kind_of(operand, schema, scope) for operand in node.operands]
    if node.symbol == "?:":
        rest = {kind for kind in kinds[1:] if kind is not Kind.NULL}
        return rest.pop() if len(rest) == 1 else None if rest else Kind.NULL
    if None in kinds or len(kinds) == 1:
        return kinds[0]
    left, right = (Type(kind) for kind in kinds if kind is not None)
    result = arithmetic(node.symbol, left, right)
    return None if result is None else result.kind


def _item(node: Operator, schema: Schema, scope: Mapping[str, Node]) -> Kind | None:
    source = node.operands[0]
    while isinstance(source, Ident) and source.name in scope:
        source = scope[source.name]
    if isinstance(source, MapOf):
        kinds = {kind_of(value, schema, scope) for value in source.values} - {Kind.NULL}
        return kinds.pop() if len(kinds) == 1 else None
    return None


def parameter_kind(node: Call, number: int) -> Kind | None:
    """Return the one kind that a function takes at a place, None where it takes several."""
    overloads = implementations().get(node.name)
    if overloads is None:
        return {DIVIDE: Kind.FLOAT}.get(node.name, Kind.TEXT if node.name in _ON_TEXT else None)
    kinds = {runtime_kind(o.parameters[number].kind) for o in overloads if len(o.parameters) == len(node.args)}
    return kinds.pop() if len(kinds) == 1 else None
