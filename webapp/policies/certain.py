"""For which records a row condition is true, or false, for a given user: as a tree of plain tests. Pure.

A question is true, false or cannot be told: where an order is asked of a field that has no value, or where something
of the user is not known. `&&`, `||` and `!` work as in CEL: true beats "cannot be told" in `||`, false in `&&`.
The tests hold only where the answer is certain; that "cannot be told" never counts as "yes" is what permissions rest
on. Conditions that hide rows are asked the other way round: who is not certainly free of them does not see the row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from rules.language.sql.simplify import every, some
from rules.predicate import EVERYTHING, Compare, Constant, Empty, Has, Predicate, Some, Test, Within
from rules.schema import FieldType
from webapp.policies.objects import PolicyField
from webapp.policies.questions import (
    Asked,
    Compared,
    Condition,
    Contrary,
    Filled,
    Flag,
    Given,
    Holding,
    Joined,
    Listed,
    OfUser,
    Operand,
)
from webapp.policies.who import Who

NOTHING = Some(())
_CONTRARY = {
    Test.LESS: Test.AT_LEAST, Test.AT_LEAST: Test.LESS, Test.MORE: Test.AT_MOST, Test.AT_MOST: Test.MORE,
    Test.EQUAL: Test.DIFFERENT, Test.DIFFERENT: Test.EQUAL,
}  # fmt: skip
_LARGEST = 2**63


def certain(condition: Condition, who: Who, *, wanted: bool) -> Predicate:
    """Return the records for which the condition comes to `wanted` for certain."""
    return _FORMS[type(condition)](condition, who, wanted)


def _given(condition: Given, _who: Who, wanted: bool) -> Predicate:
    return _truth(condition.truth is wanted)


def _flag(condition: Flag, _who: Who, wanted: bool) -> Predicate:
    return Compare(condition.field.name, Test.EQUAL, wanted)


def _contrary(condition: Contrary, who: Who, wanted: bool) -> Predicate:
    return certain(condition.part, who, wanted=not wanted)


def _joined(condition: Joined, who: Who, wanted: bool) -> Predicate:
    parts = [certain(part, who, wanted=wanted) for part in condition.parts]
    if condition.every is wanted:
        return NOTHING if NOTHING in parts else every(parts)
    return EVERYTHING if EVERYTHING in parts else some(parts)


def _compared(condition: Compared, who: Who, wanted: bool) -> Predicate:
    value = who.asked(condition.value.name) if isinstance(condition.value, Asked) else condition.value
    if value is None:
        return NOTHING
    test = condition.test if wanted else _CONTRARY[condition.test]
    # where there is no value, an order cannot be told, but it is certainly not equal to one
    return fitted(condition.field, test, value, empty=test is Test.DIFFERENT)


def _listed(condition: Listed, who: Who, wanted: bool) -> Predicate:
    values = _values(condition, who)
    if values is None:
        return NOTHING
    if isinstance(condition.item, PolicyField):
        return _within(condition.item, values, wanted)
    item = who.asked(condition.item.name) if isinstance(condition.item, Asked) else condition.item
    return NOTHING if item is None else _truth((item in values) is wanted)


def _values(condition: Listed, who: Who) -> tuple[Any, ...] | None:
    """Return the values of a list, None where they are not all known."""
    if condition.within is not None:
        return who.listed(condition.within.name)
    found = [who.asked(value.name) if isinstance(value, Asked) else value for value in condition.values]
    return None if None in found else tuple(found)


def _within(field: PolicyField, values: tuple[Any, ...], wanted: bool) -> Predicate:
    tests = [fitted(field, Test.EQUAL, value, empty=False) for value in values]
    found = tuple(dict.fromkeys(test.value for test in tests if isinstance(test, Compare)))
    return Within(field.name, found, wanted, empty=not wanted) if found else _truth(not wanted)


def _holding(condition: Holding, who: Who, wanted: bool) -> Predicate:
    text = who.asked(condition.text.name) if isinstance(condition.text, Asked) else condition.text
    return NOTHING if text is None else Has(condition.field.name, condition.place, str(text), wanted)


def _filled(condition: Filled, _who: Who, wanted: bool) -> Predicate:
    return Empty(condition.field.name, is_empty=not wanted)


def _of_user(condition: OfUser, who: Who, wanted: bool) -> Predicate:
    mine = who.asked(condition.asked.name)
    if mine is None:
        return NOTHING
    return _truth(compare(condition.test, mine, condition.value) is wanted)


def _truth(holds: bool) -> Predicate:
    return EVERYTHING if holds else NOTHING


def compare(test: Test, left: Any, right: Any) -> bool:
    """Return whether a test holds between two values of one kind."""
    return _TESTS[test](left, right)


_TESTS: Mapping[Test, Callable[[Any, Any], bool]] = {
    Test.EQUAL: lambda a, b: a == b,
    Test.DIFFERENT: lambda a, b: a != b,
    Test.LESS: lambda a, b: a < b,
    Test.AT_MOST: lambda a, b: a <= b,
    Test.MORE: lambda a, b: a > b,
    Test.AT_LEAST: lambda a, b: a >= b,
}


# Values, as fields of each type are compared with them


def fitted(field: PolicyField, test: Test, value: Operand, *, empty: bool) -> Predicate:
    """Return the test with its value in the type of the field."""
    if field.type in (FieldType.INTEGER, FieldType.DECIMAL):
        return numeric(field, test, Decimal(repr(value)), empty=empty)
    if field.type is FieldType.DATE:
        return _day(field, test, value, empty)
    return Compare(field.name, test, _value(field.type, value), empty)


def numeric(field: PolicyField, test: Test, number: Decimal, *, empty: bool) -> Predicate:
    """Return an exact test of a number; whole numbers are compared with whole numbers."""
    if field.type is FieldType.DECIMAL:
        return Compare(field.name, test, number, empty)
    found = stepped(test, number, 0)
    if isinstance(found, bool) or not -_LARGEST <= found[1] < _LARGEST:
        holds = found if isinstance(found, bool) else compare(test, 0, number)
        return always(field.name, holds=holds, empty=empty)
    return Compare(field.name, found[0], int(found[1]), empty)


def always(name: str, *, holds: bool, empty: bool) -> Predicate:
    """Return a test that comes out the same for every value."""
    parts = [*([Empty(name, is_empty=False)] if holds else []), *([Empty(name)] if empty else [])]
    return some(parts)


def stepped(test: Test, number: Decimal, scale: int) -> tuple[Test, Decimal] | bool:
    """Return the same test for numbers of so many places, or what it comes to for all of them."""
    step = Decimal(1).scaleb(-scale)
    down = math.floor(number.scaleb(scale)) * step
    if down == number:
        return test, down
    if test in (Test.EQUAL, Test.DIFFERENT):
        return test is Test.DIFFERENT
    below = test in (Test.LESS, Test.AT_MOST)
    return (Test.AT_MOST if below else Test.AT_LEAST), down if below else down + step


def _day(field: PolicyField, test: Test, value: Any, empty: bool) -> Predicate:
    wall = _wall(value)
    if wall.time() == time():
        return Compare(field.name, test, wall.date(), empty)
    if test in (Test.EQUAL, Test.DIFFERENT):
        return always(field.name, holds=test is Test.DIFFERENT, empty=empty)
    # the time lies behind its day's beginning: what is before it is at most that day
    below = test in (Test.LESS, Test.AT_MOST)
    return Compare(field.name, Test.AT_MOST if below else Test.MORE, wall.date(), empty)


def _wall(value: Any) -> datetime:
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None)
    return datetime.combine(value, time())


def _value(type_: FieldType, value: Any) -> Constant:
    if type_ in (FieldType.DATETIME, FieldType.LOCAL_DATETIME):
        return _wall(value)
    return float(value) if type_ is FieldType.FLOAT else value


_FORMS: Mapping[type, Callable[[Any, Who, bool], Predicate]] = {
    Given: _given,
    Flag: _flag,
    Compared: _compared,
    Listed: _listed,
    Holding: _holding,
    Filled: _filled,
    OfUser: _of_user,
    Contrary: _contrary,
    Joined: _joined,
}
