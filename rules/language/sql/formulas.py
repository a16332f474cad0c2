"""From the lowered tree of an expression to a formula that a database works out; `NoForm` says what has none.

It is the tree that the columns are made of, so both come to the same for all records of which the database is certain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from rules.formula import Copy, Deed, Done, Formula, Given, IsEmpty, Own, Sort, Value, size
from rules.language.columns.backend import Columns
from rules.language.columns.constants import evaluated
from rules.language.columns.value import NoColumn
from rules.language.lower import DIVIDE, REAL
from rules.language.nodes import Call, Ident, Let, ListOf, Literal, Mode, Node, Operator, Variable, children
from rules.language.program import Program
from rules.language.runtime import Failed
from rules.schema import FieldType, Schema
from rules.text import Message, msg

MOST = 400
"""So many parts a formula has at the most, as the database counts them."""
_MOST_VALUES = 500
_INTEGER = 2**63
_SORTS = {
    FieldType.TEXT: Sort.TEXT,
    FieldType.INTEGER: Sort.INTEGER,
    FieldType.FLOAT: Sort.FLOAT,
    FieldType.BOOLEAN: Sort.BOOLEAN,
}
_NUMBERS = (Sort.INTEGER, Sort.FLOAT)
_SUMS = {"+": Deed.ADD, "-": Deed.SUBTRACT, "*": Deed.MULTIPLY}
_TEXTS = {
    "own.trim": (Deed.TRIM, Sort.TEXT),
    "own.upper": (Deed.UPPER, Sort.TEXT),
    "own.lower": (Deed.LOWER, Sort.TEXT),
    "own.isBlank": (Deed.BLANK, Sort.BOOLEAN),
    "size": (Deed.LENGTH, Sort.INTEGER),
    "startsWith": (Deed.STARTS, Sort.BOOLEAN),
    "endsWith": (Deed.ENDS, Sort.BOOLEAN),
    "contains": (Deed.CONTAINS, Sort.BOOLEAN),
}


class NoForm(Exception):
    """A part of an expression, at this place, has no SQL form; `message` says which."""

    def __init__(self, at: int, message: Message) -> None:
        super().__init__(str(message))
        self.at, self.message = at, message


def formula(program: Program, schema: Schema) -> Value:
    """Return what a database works out for an expression over records of `schema`; raises `NoForm`."""
    if program.copies is not None:
        return Copy(program.copies)
    assert isinstance(program.backend, Columns)  # noqa: S101 - all others are copies
    made = _Compiler(schema).visit(program.backend.root.plan.tree)
    if size(made) > MOST:
        raise NoForm(0, msg("The expression is too long to be worked out inside a database."))
    return made


def condition(program: Program, schema: Schema) -> Formula:
    """Return the formula of a condition; raises `NoForm`."""
    made = formula(program, schema)
    return Own(made.field, Sort.BOOLEAN) if isinstance(made, Copy) else made


class _Compiler:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._known: dict[str, Formula] = {}
        self._forms: Mapping[type, Callable[[Any], Formula]] = {
            Variable: self._variable,
            Ident: self._ident,
            Let: self._let,
            Operator: self._operator,
            Call: self._call,
        }

    def visit(self, node: Node) -> Formula:
        if not self._reads(node):
            return self._constant(node)
        form = self._forms.get(type(node))
        if form is None:
            raise NoForm(node.at, _word(node))
        return form(node)

    def _reads(self, node: Node) -> bool:
        if isinstance(node, Variable) or (isinstance(node, Ident) and node.name in self._known):
            return True
        return type(node).__name__ in {"Exact", "Find"} or any(map(self._reads, children(node)))

    def _constant(self, node: Node) -> Given:
        try:
            found: Any = node.value if isinstance(node, Literal) else evaluated(node)
        except NoColumn as error:
            raise NoForm(node.at, error.reason) from error
        if isinstance(found, Failed) or not _is_plain(found):
            raise NoForm(node.at, _word(node))
        kinds = {bool: Sort.BOOLEAN, int: Sort.INTEGER, float: Sort.FLOAT, str: Sort.TEXT}
        return Given(found, kinds.get(type(found), Sort.NOTHING))

    def _variable(self, node: Variable) -> Formula:
        field = self._schema[node.field]
        if node.mode is Mode.EMPTY:
            return IsEmpty(field.name)
        if node.mode is Mode.NUMBER and field.type is FieldType.DECIMAL:
            return Own(field.name, Sort.FLOAT)
        sort = _SORTS.get(field.type)
        if sort is None:
            text = msg("Fields of type {type} are worked out by Syncline only.", type=field.type.value)
            raise NoForm(node.at, text)
        own = Own(field.name, sort)
        return _real(own) if node.mode is Mode.NUMBER else own

    def _ident(self, node: Ident) -> Formula:
        return self._known[node.name]

    def _let(self, node: Let) -> Formula:
        outer = dict(self._known)
        self._known[node.variable] = self.visit(node.value)
        try:
            return self.visit(node.body)
        finally:
            self._known = outer

    def _operator(self, node: Operator) -> Formula:
        if node.symbol == "in":
            return self._among(node)
        parts = tuple(map(self.visit, node.operands))
        sorts = {part.sort for part in parts}
        made = self._logic(node.symbol, parts, sorts) or self._compared(node.symbol, parts, sorts)
        made = made or self._calculated(node.symbol, parts, sorts)
        if made is None:
            raise NoForm(node.at, _word(node))
        return made

    @staticmethod
    def _logic(symbol: str, parts: tuple[Formula, ...], sorts: set[Sort]) -> Formula | None:
        if symbol == "?:":
            return _choice(parts)
        deed = {"&&": Deed.AND, "||": Deed.OR, "!": Deed.NOT}.get(symbol)
        return None if deed is None or sorts != {Sort.BOOLEAN} else Done(deed, parts, Sort.BOOLEAN)

    @staticmethod
    def _compared(symbol: str, parts: tuple[Formula, ...], sorts: set[Sort]) -> Formula | None:
        if len(parts) != 2:
            return None
        left, right = _met(*parts) if sorts <= set(_NUMBERS) else parts
        if len({left.sort, right.sort} - {Sort.NOTHING}) > 1:
            return None
        if symbol in ("==", "!="):
            equal = Done(Deed.EQUAL, (left, right), Sort.BOOLEAN)
            return equal if symbol == "==" else Done(Deed.NOT, (equal,), Sort.BOOLEAN)
        if sorts & {Sort.NOTHING, Sort.BOOLEAN} or symbol not in ("<", "<=", ">", ">="):
            return None
        turned = (right, left) if symbol in (">", ">=") else (left, right)
        return Done(Deed.LESS if symbol in ("<", ">") else Deed.AT_MOST, turned, Sort.BOOLEAN)

    @staticmethod
    def _calculated(symbol: str, parts: tuple[Formula, ...], sorts: set[Sort]) -> Formula | None:
        if symbol == "-" and len(parts) == 1 and sorts <= set(_NUMBERS):
            return Done(Deed.NEGATE, parts, parts[0].sort)
        if symbol == "+" and sorts == {Sort.TEXT}:
            return Done(Deed.JOIN, parts, Sort.TEXT)
        if symbol not in _SUMS or len(sorts) != 1 or not sorts <= set(_NUMBERS):
            return None
        return Done(_SUMS[symbol], parts, parts[0].sort)

    def _among(self, node: Operator) -> Formula:
        value, items = node.operands
        if not isinstance(items, ListOf) or not 0 < len(items.items) <= _MOST_VALUES:
            raise NoForm(items.at, msg("Only a short list that is written out is compared by a database."))
        asked = self.visit(value)
        found: list[Formula] = []
        for item in items.items:
            given = self.visit(item)
            equal = self._compared("==", (asked, given), {asked.sort, given.sort})
            if equal is None or isinstance(given, Own) or Sort.FLOAT in (asked.sort, given.sort):
                raise NoForm(item.at, msg("Only lists of texts, whole numbers and truths are compared by a database."))
            found.append(equal)
        return found[0] if len(found) == 1 else Done(Deed.OR, tuple(found), Sort.BOOLEAN)

    def _call(self, node: Call) -> Formula:
        args = tuple(map(self.visit, node.args))
        if node.name == REAL and args[0].sort is Sort.INTEGER:
            return _real(args[0])
        if node.name == DIVIDE and {arg.sort for arg in args} == {Sort.FLOAT}:
            return Done(Deed.DIVIDE, args, Sort.FLOAT)
        known = _TEXTS.get(node.name)
        if known is None or {arg.sort for arg in args} != {Sort.TEXT}:
            raise NoForm(node.at, _word(node))
        return Done(known[0], args, known[1])


def _choice(parts: tuple[Formula, ...]) -> Formula | None:
    test, yes, no = parts
    sorts = {yes.sort, no.sort} - {Sort.NOTHING}
    if test.sort is not Sort.BOOLEAN or len(sorts) > 1:
        return None
    return Done(Deed.CHOICE, parts, sorts.pop() if sorts else Sort.NOTHING)


def _real(part: Formula) -> Formula:
    return Done(Deed.REAL, (part,), Sort.FLOAT)


def _met(left: Formula, right: Formula) -> tuple[Formula, Formula]:
    """Return two numbers as numbers of one sort."""
    if left.sort is right.sort:
        return left, right
    return (_real(left), right) if left.sort is Sort.INTEGER else (left, _real(right))


def _is_plain(value: Any) -> bool:
    """Tell whether a constant is one that every database takes as it is."""
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool) or (isinstance(value, int) and -_INTEGER < value < _INTEGER)


def _word(node: Node) -> Message:
    match node:
        case Call(name=name):
            return msg("{name}() has no SQL form.", name=name.split(".")[1] if name.startswith("own.") else name)
        case Operator(symbol=symbol):
            return msg("'{symbol}' has no SQL form here.", symbol="? :" if symbol == "?:" else symbol)
        case _:
            return msg("This part has no SQL form.")
