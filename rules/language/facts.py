"""What is known about fields at a place of an expression: which are not empty, and which values they can have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rules.language.domains import OPPOSITE, Domain, Question
from rules.language.nodes import Call, ListOf, Literal, Node, Operator
from rules.schema import Field, FieldType

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_OPEN = frozenset({FieldType.JSON, FieldType.BINARY})


@dataclass(frozen=True)
class Facts:
    """What is known at one place.

    `filled` and `empty` name fields that certainly are; `guarded` those whose emptiness is asked for elsewhere in the
    same row of && or ||, so that an error does not count; `domains` holds what else is known of a field's value.
    """

    filled: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    guarded: frozenset[str] = frozenset()
    domains: Mapping[str, Domain] = field(default_factory=dict)

    def domain(self, name: str) -> Domain:
        """Return what is known of a field's value."""
        return self.domains.get(name, Domain())

    def with_filled(self, names: Iterable[str]) -> Facts:
        """Return the facts with some fields known not to be empty."""
        return replace(self, filled=self.filled | frozenset(names))

    def with_guarded(self, names: Iterable[str]) -> Facts:
        """Return the facts with some fields guarded."""
        return replace(self, guarded=self.guarded | frozenset(names))

    def with_empty(self, name: str) -> Facts:
        """Return the facts with one field known to be empty."""
        return replace(self, empty=self.empty | {name})

    def with_domain(self, name: str, domain: Domain) -> Facts:
        """Return the facts with what is known of a field's value."""
        known = self.with_filled([name]) if domain.filled else self
        return replace(known, domains={**self.domains, name: domain})


def opposite(question_: Question, field_: Field) -> Question | None:
    """Return the question that is true where this one about an order is false; None for a field that can be NaN."""
    if field_.type is FieldType.FLOAT:
        return None
    return _whole(Question(question_.field, OPPOSITE[question_.symbol], question_.values), field_)


def question(name: str, node: Operator, field_: Field, *, flipped: bool) -> tuple[Question, bool] | None:
    """Return what a comparison asks of a field, and the answer that makes it true; None if that is not known here."""
    if field_.type in _OPEN:
        return None
    other = node.operands[0 if flipped else 1]
    if node.symbol == "in":
        values = [constant(item) for item in other.items] if isinstance(other, ListOf) and not flipped else [None]
        return None if None in values or not values else (Question(name, "in", tuple(values)), True)
    value = constant(other)
    if value is None or node.symbol not in _FLIPPED:
        return None
    symbol = _FLIPPED[node.symbol] if flipped else node.symbol
    if symbol in ("==", "!="):
        return Question(name, "==", (value,)), symbol == "=="
    return _whole(Question(name, symbol, (value,)), field_), True


def _whole(test: Question, field_: Field) -> Question:
    """Return a question about whole numbers with an included bound: `> 5` is `>= 6`."""
    value = test.values[0]
    if field_.type is not FieldType.INTEGER or test.symbol not in ("<", ">") or not math.isfinite(value):
        return test
    bound = math.ceil(value) - 1 if test.symbol == "<" else math.floor(value) + 1
    return Question(test.field, f"{test.symbol}=", (bound,))


def constant(node: Node) -> Any:
    """Return the value of a part that is written out, None where it is not, or is null."""
    match node:
        case Literal(value=value):
            return value
        case Operator(symbol="-", operands=(Literal(value=int() | float() as value),)):
            return -value
        case Call(name="date" | "timestamp", args=(Literal(value=str() as text),)):
            return _moment(text)
        case _:
            return None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def misfits(test: Question, field_: Field) -> bool:
    """Tell whether no value of a field's type can be one of the values: too long a text, too many decimals."""
    return test.symbol in ("==", "in") and all(_misfit(value, field_) for value in test.values)


def _misfit(value: Any, field_: Field) -> bool:
    if isinstance(value, str):
        return field_.length is not None and field_.type is FieldType.TEXT and len(value) > field_.length
    if isinstance(value, float) and field_.type is FieldType.INTEGER:
        return not value.is_integer()
    if isinstance(value, float) and field_.type is FieldType.DECIMAL and field_.scale is not None:
        return round(value, field_.scale) != value
    return False


def relation(symbol: str, left: Any, right: Any) -> bool | None:
    """Return what a comparison of two constants gives; None if it is none, or their kinds differ."""
    numbers = all(type(value) in (int, float) for value in (left, right))
    if left is None or right is None or (type(left) is not type(right) and not numbers):
        return None
    if symbol in ("==", "!="):
        return bool(left == right) is (symbol == "==")
    return (
        None
        if symbol not in OPPOSITE
        else Domain(only=frozenset({left}), filled=True).answer(Question("", symbol, (right,)))
    )
