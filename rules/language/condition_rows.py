"""A row of the condition builder as a syntax tree, and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from rules.language.checked import RECORD, field_of
from rules.language.condition import BuilderError, Relation, Row, Value, ValueKind
from rules.language.nodes import Call, Has, Ident, ListOf, Literal, Node, Operator, Select
from rules.language.writing import field_text
from rules.text import msg

_COMPARED = {
    Relation.IS: "==",
    Relation.IS_NOT: "!=",
    Relation.GREATER: ">",
    Relation.AT_LEAST: ">=",
    Relation.LESS: "<",
    Relation.AT_MOST: "<=",
}
ORDERED = frozenset({Relation.GREATER, Relation.AT_LEAST, Relation.LESS, Relation.AT_MOST})
_OF_SYMBOL = {symbol: relation for relation, symbol in _COMPARED.items()}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_CALLED = {
    Relation.CONTAINS: "contains",
    Relation.STARTS: "startsWith",
    Relation.ENDS: "endsWith",
    Relation.MATCHES: "matches",
}
_OF_CALL = {name: relation for relation, name in _CALLED.items()}
OPPOSITES = {
    Relation.CONTAINS: Relation.NOT_CONTAINS,
    Relation.STARTS: Relation.NOT_STARTS,
    Relation.ENDS: Relation.NOT_ENDS,
    Relation.MATCHES: Relation.NOT_MATCHES,
    Relation.ONE_OF: Relation.NONE_OF,
    Relation.BLANK: Relation.NOT_BLANK,
}
_POSITIVE = {negative: positive for positive, negative in OPPOSITES.items()}
_MOMENTS = {
    "date": ValueKind.DATE,
    "timestamp": ValueKind.DATETIME,
    "localTime": ValueKind.LOCAL_DATETIME,
}
_CALL_OF = {kind: name for name, kind in _MOMENTS.items()}
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
YES, NO = Value(ValueKind.BOOLEAN, "true"), Value(ValueKind.BOOLEAN, "false")


# From a row to a tree


def tree_of(row: Row) -> Node:
    """Return the tree of a row; raises `BuilderError` where its value cannot be written."""
    if row.relation in _POSITIVE:
        return Operator(0, "!", (tree_of(replace(row, relation=_POSITIVE[row.relation])),))
    field = _field(row.field)
    if row.relation in (Relation.EMPTY, Relation.FILLED):
        return Operator(0, "==" if row.relation is Relation.EMPTY else "!=", (field, Literal(0, None)))
    if row.relation is Relation.BLANK:
        return Call(0, "isBlank", (field,))
    if row.relation is Relation.ONE_OF:
        return Operator(0, "in", (field, ListOf(0, tuple(_value(value) for value in row.values))))
    if row.relation in _CALLED:
        return _text_call(row, field)
    return _compared(row, field)


def _text_call(row: Row, field: Node) -> Node:
    target = Call(0, "orDefault", (field, Literal(0, "")), member=True) if row.guarded else field
    return Call(0, _CALLED[row.relation], (target, _value(_only(row.values, 1)[0])), member=True)


def _compared(row: Row, field: Node) -> Node:
    if row.relation is Relation.BETWEEN:
        low, high = _only(row.values, 2)
        bounds = (Operator(0, ">=", (field, _value(low))), Operator(0, "<=", (field, _value(high))))
        tests: tuple[Node, ...] = bounds
    else:
        value = _only(row.values, 1)[0]
        if row.relation is Relation.IS and value in (YES, NO) and not row.guarded:
            return field if value == YES else Operator(0, "!", (field,))
        tests = (Operator(0, _COMPARED[row.relation], (field, _value(value))),)
    if row.guarded and (row.relation in ORDERED or row.relation is Relation.BETWEEN):
        tests = (Operator(0, "!=", (field, Literal(0, None))), *tests)
    return chain("&&", tests)


def chain(symbol: str, parts: tuple[Node, ...]) -> Node:
    """Return the parts joined by an operator, from the left."""
    joined = parts[0]
    for part in parts[1:]:
        joined = Operator(0, symbol, (joined, part))
    return joined


def _field(name: str) -> Node:
    if not name:
        raise BuilderError(msg("Choose a field."))
    return Ident(0, name) if field_text(name) == name else Select(0, Ident(0, RECORD), name)


def _only(values: tuple[Value, ...], count: int) -> tuple[Value, ...]:
    if len(values) != count:
        raise BuilderError(msg("Fill in a value."))
    return values


def _value(value: Value) -> Node:
    if value.kind is ValueKind.TEXT:
        return Literal(0, value.text)
    if value.kind is ValueKind.BOOLEAN:
        return Literal(0, value.text == "true")
    if value.kind is ValueKind.NUMBER:
        return Literal(0, _number(value.text.strip()))
    if not value.text.strip():
        raise BuilderError(msg("Fill in a value."))
    return Call(0, _CALL_OF[value.kind], (Literal(0, value.text),))


def _number(text: str) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise BuilderError(msg("'{text}' is not a number. Type digits, with a point before decimals.", text=text))
    number = int(text) if text.lstrip("-").isdigit() else float(text)
    if abs(number) >= 2**63 and (isinstance(number, int) or number == float("inf") or number == -float("inf")):
        raise BuilderError(msg("The number {text} is too large.", text=text))
    return number


# From a tree to a row


def row_of(node: Node) -> Row | None:
    """Return the row that shows a node, None where it takes more than one row or cannot be shown."""
    match node:
        case Operator(symbol="!", operands=(inner,)):
            return _opposite(inner)
        case Operator(symbol="in", operands=(left, ListOf(items=items))):
            return _one_of(left, items)
        case Operator(symbol=symbol, operands=(left, right)) if symbol in _MIRRORED:
            return _comparison(symbol, left, right) or _comparison(_MIRRORED[symbol], right, left)
        case Call(name=called, args=(target, Literal(value=str() as text))) if called in _OF_CALL:
            return _text_row(_OF_CALL[called], target, text)
        case _:
            return _plain(node)


def _plain(node: Node) -> Row | None:
    """Return the row of a question without a value."""
    if isinstance(node, Has) and isinstance(node.operand, Ident) and node.operand.name == RECORD:
        return Row(node.field, Relation.FILLED)
    blank = isinstance(node, Call) and node.name == "isBlank" and len(node.args) == 1
    name = _name(node.args[0] if blank and isinstance(node, Call) else node)
    if name is None:
        return None
    return Row(name, Relation.BLANK) if blank else Row(name, Relation.IS, (YES,))


def _opposite(inner: Node) -> Row | None:
    row = row_of(inner)
    if row is None:
        return None
    if row == Row(row.field, Relation.IS, (YES,)):
        return replace(row, values=(NO,))
    return replace(row, relation=OPPOSITES[row.relation]) if row.relation in OPPOSITES else None


def _one_of(left: Node, items: tuple[Node, ...]) -> Row | None:
    name, values = _name(left), [_shown(item) for item in items]
    found = tuple(value for value in values if value is not None)
    return None if name is None or len(found) != len(values) else Row(name, Relation.ONE_OF, found)


def _comparison(symbol: str, left: Node, right: Node) -> Row | None:
    name = _name(left)
    if name is None:
        return None
    if isinstance(right, Literal) and right.value is None:
        return {"==": Row(name, Relation.EMPTY), "!=": Row(name, Relation.FILLED)}.get(symbol)
    value = _shown(right)
    if value is None:
        return None
    relation = _OF_SYMBOL[symbol]
    # `active == true` answers for an empty field, plain `active` does not
    return Row(name, relation, (value,), guarded=relation is Relation.IS and value.kind is ValueKind.BOOLEAN)


def _text_row(relation: Relation, target: Node, text: str) -> Row | None:
    guarded = isinstance(target, Call) and target.name == "orDefault" and _is_empty_text(target.args[-1])
    name = _name(target.args[0] if guarded and isinstance(target, Call) else target)
    return None if name is None else Row(name, relation, (Value(ValueKind.TEXT, text),), guarded=guarded)


def _is_empty_text(node: Node) -> bool:
    return isinstance(node, Literal) and node.value == ""


def _name(node: Node) -> str | None:
    if isinstance(node, Ident):
        return None if node.name == RECORD else node.name
    return field_of(node)


def _shown(node: Node) -> Value | None:
    match node:
        case Literal(value=bool() as flag):
            return YES if flag else NO
        case Literal(value=int() | float() as number):
            return Value(ValueKind.NUMBER, repr(number))
        case Literal(value=str() as text):
            return Value(ValueKind.TEXT, text)
        case Call(name=name, args=(Literal(value=str() as text),)) if name in _MOMENTS:
            return Value(_MOMENTS[name], text)
        case _:
            return None


# Rows that stand beside each other in a group of which all have to hold


def merged(rows: tuple[Row, Row]) -> Row | None:
    """Return the one row that asks the same as two, None where there is none."""
    first, second = rows
    if first.field != second.field:
        return None
    return next((made for merge in _MERGES if (made := merge(first, second)) is not None), None)


def _between(first: Row, second: Row) -> Row | None:
    if first.relation is Relation.AT_LEAST and second.relation is Relation.AT_MOST and not second.guarded:
        return replace(first, relation=Relation.BETWEEN, values=(*first.values, *second.values))
    return None


def _guarded(first: Row, second: Row) -> Row | None:
    asks = second.relation in ORDERED or second.relation is Relation.BETWEEN
    return replace(second, guarded=True) if first.relation is Relation.FILLED and asks and not second.guarded else None


_MERGES: tuple[Callable[[Row, Row], Row | None], ...] = (_between, _guarded)
