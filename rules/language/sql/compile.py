"""From the checked tree of a condition to the records that may be in scope."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rules.language.check import check
from rules.language.checked import Checked, field_of
from rules.language.columns.constants import evaluated
from rules.language.columns.value import NoColumn
from rules.language.library import EMPTY, Library
from rules.language.lower import lower
from rules.language.nodes import Call, Ident, ListOf, Literal, Node, Operator, children
from rules.language.parse import parse
from rules.language.problems import ExpressionError, Severity
from rules.language.qualified import qualified
from rules.language.runtime import Failed
from rules.language.sql.constants import Stays, compared, text_constant, unmixed
from rules.language.sql.simplify import every, some
from rules.language.types import Kind, of_field
from rules.language.writing import text_of
from rules.predicate import Compare, Empty, Has, Place, Predicate, Test, Within, conjuncts, words
from rules.schema import Field, FieldType, Schema
from rules.text import Message, msg

MOST_TESTS = 100
MOST_VALUES = 500
_PLACES = {"startsWith": Place.START, "endsWith": Place.END, "contains": Place.ANYWHERE}
_ORDERS = {"<": Test.LESS, "<=": Test.AT_MOST, ">": Test.MORE, ">=": Test.AT_LEAST}
_TURNED = {
    Test.LESS: Test.MORE, Test.MORE: Test.LESS, Test.AT_MOST: Test.AT_LEAST, Test.AT_LEAST: Test.AT_MOST,
}  # fmt: skip
_CONTRARY = {
    Test.LESS: Test.AT_LEAST, Test.AT_LEAST: Test.LESS, Test.MORE: Test.AT_MOST, Test.AT_MOST: Test.MORE,
}  # fmt: skip


@dataclass(frozen=True)
class Reason:
    """A part of a condition that no source filters by, and why."""

    text: str
    message: Message


@dataclass(frozen=True)
class Pushed:
    """What a source may filter by, and the parts of the condition that are asked here only.

    `filter` is None where nothing can be left out.
    """

    filter: Predicate | None
    reasons: tuple[Reason, ...] = ()

    @property
    def words(self) -> str:
        """Return the filter as people who know SQL read it, empty where there is none."""
        return "" if self.filter is None else words(self.filter)

    @property
    def rest(self) -> tuple[str, ...]:
        """Return the parts of the condition that are asked here only."""
        return tuple(reason.text for reason in self.reasons)


def push_down(text: str, schema: Schema, library: Library = EMPTY) -> Pushed:
    """Return what a source of records of `schema` may filter by; raises `ExpressionError` for a wrong condition."""
    tree = qualified(parse(text), schema)
    checked = check(tree, text, schema, None, library)
    wrong = [problem for problem in checked.problems if problem.severity is Severity.ERROR]
    if wrong:
        raise ExpressionError(wrong)
    compiler = _Compiler(checked, schema)
    found, reasons = compiler.parts(tree)
    whole = every(found)
    if not conjuncts(whole):
        return Pushed(None, reasons)
    if compiler.tests > MOST_TESTS:
        return Pushed(None, (Reason(text, msg("The condition has too many parts for a source.")),))
    return Pushed(whole, reasons)


class _Compiler:
    """Turns nodes into the records for which they may come to a wanted truth, or fail."""

    def __init__(self, checked: Checked, schema: Schema) -> None:
        self.tests = 0
        self._checked = checked
        self._schema = schema
        self._forms: Mapping[str, Callable[[Operator, bool], Predicate]] = {
            "!": lambda node, wanted: self.may(node.operands[0], wanted=not wanted),
            "&&": lambda node, wanted: self._joined(node, wanted=wanted, narrow=wanted),
            "||": lambda node, wanted: self._joined(node, wanted=wanted, narrow=not wanted),
            "==": self._equal,
            "!=": lambda node, wanted: self._equal(node, not wanted),
            "in": self._among,
            **dict.fromkeys(_ORDERS, self._ordered),
        }

    def parts(self, tree: Node) -> tuple[list[Predicate], tuple[Reason, ...]]:
        """Return the parts of a condition that a source may filter by, and why the others stay."""
        found: list[Predicate] = []
        reasons: list[Reason] = []
        for part in _flat(tree, "&&"):
            try:
                found.append(self.may(part, wanted=True))
            except Stays as error:
                reasons.append(Reason(text_of(part), error.message))
        return found, tuple(reasons)

    def may(self, node: Node, *, wanted: bool) -> Predicate:
        """Return the records for which a node may come to `wanted`, or fail; raises `Stays` where all may."""
        self.tests += 1
        field = self._field(node)
        if field is not None:
            return compared(field, Test.EQUAL, wanted, empty=True)
        match node:
            case Operator(symbol=symbol) if symbol in self._forms:
                return self._forms[symbol](node, wanted)
            case Call(name=name) if name in _PLACES:
                return self._part(node, wanted)
            case Call(name="isBlank"):
                return self._blank(node, wanted)
            case _:
                raise Stays(_word(node))

    def _joined(self, node: Operator, *, wanted: bool, narrow: bool) -> Predicate:
        """Return all parts (`narrow`: any of them may be left out, since the others still hold) or one of them."""
        made: list[Predicate] = []
        stays: Stays | None = None
        for part in _flat(node, node.symbol):
            try:
                made.append(self.may(part, wanted=wanted))
            except Stays as error:
                stays = error
                if not narrow:
                    raise
        if not made and stays is not None:
            raise stays
        return every(made) if narrow else some(made)

    def _equal(self, node: Operator, wanted: bool) -> Predicate:
        field, other, _ = self._sides(node)
        value = self._constant(other)
        if value is None:
            return Empty(field.name, wanted)
        return compared(field, Test.EQUAL if wanted else Test.DIFFERENT, value, empty=not wanted)

    def _ordered(self, node: Operator, wanted: bool) -> Predicate:
        field, other, turned = self._sides(node)
        test = _ORDERS[node.symbol]
        test = _TURNED[test] if turned else test
        return compared(field, test if wanted else _CONTRARY[test], self._constant(other), empty=True)

    def _among(self, node: Operator, wanted: bool) -> Predicate:
        value, items = node.operands
        field = self._needed(value)
        if not isinstance(items, ListOf) or not 0 < len(items.items) <= MOST_VALUES:
            raise Stays(msg("Only a short list that is written out is compared by a source."))
        constants = [self._constant(item) for item in items.items]
        unmixed(constants)
        made = [compared(field, Test.EQUAL, constant, empty=False) for constant in constants]
        if not all(isinstance(test, Compare) for test in made):
            raise Stays(msg("Only lists of texts, whole numbers and truths are compared by a source."))
        values = tuple(dict.fromkeys(test.value for test in made if isinstance(test, Compare)))
        return Within(field.name, values, wanted, empty=not wanted)

    def _part(self, node: Call, wanted: bool) -> Predicate:
        field = self._needed(node.args[0])
        if field.type is not FieldType.TEXT:
            raise Stays(_word(node))
        text = text_constant(self._constant(node.args[1]))
        return Has(field.name, _PLACES[node.name], text, wanted, empty=True)

    def _blank(self, node: Call, wanted: bool) -> Predicate:
        """Return what is not blank for certain: spaces are looked at here."""
        field = self._needed(node.args[0])
        if wanted or field.type is not FieldType.TEXT:
            raise Stays(_word(node))
        return every([Empty(field.name, is_empty=False), Compare(field.name, Test.DIFFERENT, "")])

    def _sides(self, node: Operator) -> tuple[Field, Node, bool]:
        """Return the field, the other side, and whether the field stands on the right."""
        left, right = node.operands
        field = self._field(left)
        if field is not None:
            return field, right, False
        field = self._field(right)
        if field is None:
            raise Stays(_word(left if _reads(left) else right))
        return field, left, True

    def _needed(self, node: Node) -> Field:
        field = self._field(node)
        if field is None:
            raise Stays(_word(node))
        return field

    def _field(self, node: Node) -> Field | None:
        name = node.name if isinstance(node, Ident) else field_of(node)
        return None if name is None else self._schema[name]

    def _constant(self, node: Node) -> Any:
        """Return the value of a part that reads no field."""
        if _reads(node) or any(isinstance(part, Call) and part.name == "lookup" for part in _parts(node)):
            raise Stays(msg("Only a field and a fixed value are compared by a source."))
        if isinstance(node, Literal):
            return node.value
        wanted = of_field(FieldType.TEXT) if self._checked.type(node).kind is Kind.NULL else self._checked.type(node)
        try:
            found = evaluated(lower(replace(self._checked, tree=node), self._schema, wanted).tree)
        except (NoColumn, ExpressionError) as error:
            raise Stays(msg("The value is worked out here.")) from error
        if isinstance(found, Failed):
            raise Stays(msg("The value is worked out here."))
        return found.astimezone(UTC) if isinstance(found, datetime) else found


def _flat(node: Node, symbol: str) -> Iterator[Node]:
    if isinstance(node, Operator) and node.symbol == symbol:
        for operand in node.operands:
            yield from _flat(operand, symbol)
    else:
        yield node


def _parts(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _parts(child)


def _reads(node: Node) -> bool:
    return any(isinstance(part, Ident) for part in _parts(node))


def _word(node: Node) -> Message:
    match node:
        case Call(name=name):
            return msg("{name}() is worked out here.", name=name)
        case Operator(symbol=symbol):
            return msg("'{symbol}' is worked out here.", symbol="? :" if symbol == "?:" else symbol)
        case _:
            return msg("'{text}' is worked out here.", text=text_of(node))
