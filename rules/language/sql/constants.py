"""From a constant of an expression to a test on a field of one type, with the edges where the runtime gives up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from rules.language.functions.dates import FINE_YEARS
from rules.predicate import Compare, Predicate, Some, Test
from rules.schema import FREE_SCALE, Field, FieldType
from rules.text import Message, msg

DIGITS = 15
_EXACT = 2**53
_LARGEST = 2**63
_FIRST = date(1, 1, 2)  # what comes before is beyond what can be calculated with
_FINE = tuple(datetime(year, 1, 1) for year in FINE_YEARS)  # noqa: DTZ001 - instants are without zone here


class Stays(Exception):
    """A part of a condition is not expressed as a predicate; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def compared(field: Field, test: Test, value: Any, *, empty: bool) -> Predicate:
    """Return the records whose field meets the test, or cannot be compared; raises `Stays`."""
    maker = _MAKERS.get(field.type)
    if maker is None:
        raise Stays(msg("Fields of type {type} are compared here.", type=field.type.value))
    return maker(field, test, value, empty)


def unmixed(values: Sequence[Any]) -> None:
    """Raise `Stays` where a whole number beside fractions is too large to be one, which fails every record."""
    if any(isinstance(value, float) for value in values):
        for value in values:
            if isinstance(value, int) and abs(value) > _EXACT:
                raise Stays(_LARGE)


def text_constant(value: Any) -> str:
    """Return a text that every database takes; raises `Stays`."""
    if not isinstance(value, str) or "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise Stays(msg("Only plain texts are compared by a source."))
    return value


def _text(field: Field, test: Test, value: Any, empty: bool) -> Predicate:
    return Compare(field.name, test, text_constant(value), empty)


def _boolean(field: Field, test: Test, value: Any, empty: bool) -> Predicate:
    if not isinstance(value, bool) or test not in (Test.EQUAL, Test.DIFFERENT):
        raise Stays(_OTHER)
    return Compare(field.name, Test.EQUAL, value if test is Test.EQUAL else not value, empty)


def _integer(field: Field, test: Test, value: Any, empty: bool) -> Predicate:
    number = _finite(value)
    whole = math.floor(number)
    if isinstance(number, float) and abs(number) >= _EXACT:
        raise Stays(_LARGE)
    if number == whole:
        return Compare(field.name, test, whole, empty)
    if test in (Test.EQUAL, Test.DIFFERENT):
        raise Stays(msg("A whole number is never a fraction."))
    # between two whole numbers, "less than" is "at most the lower one"
    below = test in (Test.LESS, Test.AT_MOST)
    return Compare(field.name, Test.AT_MOST if below else Test.AT_LEAST, whole if below else whole + 1, empty)


def _float(field: Field, test: Test, value: Any, empty: bool) -> Predicate:
    number = _finite(value)
    if isinstance(number, int) and abs(number) > _EXACT:
        raise Stays(_LARGE)
    return Compare(field.name, test, float(number), empty)


def _decimal(field: Field, test: Test, value: Any, empty: bool) -> Predicate:
    """Compare exactly, and send what has more digits than can be calculated with.

    Decimals are calculated with as floats. Up to 15 digits each decimal has a float of its own, in the same order.
    """
    scale = FREE_SCALE if field.scale is None else field.scale
    number = Decimal(repr(_finite(value)))
    if scale > DIGITS or len(number.normalize().as_tuple().digits) > DIGITS:
        raise Stays(msg("Numbers with more than {digits} digits are compared here.", digits=DIGITS))
    same = Compare(field.name, test, number, empty)
    if field.precision is not None and field.precision <= DIGITS:
        return same
    most = Decimal(10) ** (DIGITS - scale)
    return Some((same, Compare(field.name, Test.AT_LEAST, most), Compare(field.name, Test.AT_MOST, -most)))


def _moment(field: Field, test: Test, value: Any, empty: bool) -> Predicate:
    wall = _wall(value)
    early = Compare(field.name, Test.LESS, _FINE[0])
    return Some((Compare(field.name, test, wall, empty), early, Compare(field.name, Test.AT_LEAST, _FINE[1])))


def _date(field: Field, test: Test, value: Any, empty: bool) -> Predicate:
    wall = _wall(value)
    if wall.time() != time():
        if test in (Test.EQUAL, Test.DIFFERENT):
            raise Stays(msg("A date is never a time of day."))
        # the time lies behind its day's beginning: what is before it is at most that day
        test = Test.AT_MOST if test in (Test.LESS, Test.AT_MOST) else Test.MORE
    return Some((Compare(field.name, test, wall.date(), empty), Compare(field.name, Test.LESS, _FIRST)))


def _wall(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise Stays(_OTHER)
    return value.replace(tzinfo=None)


def _finite(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Stays(_OTHER)
    if not math.isfinite(value) or abs(value) >= _LARGEST:
        raise Stays(_LARGE)
    return value


_OTHER = msg("The field and the value are of different types.")
_LARGE = msg("Very large numbers are compared here.")
_MAKERS: Mapping[FieldType, Callable[[Field, Test, Any, bool], Predicate]] = {
    FieldType.TEXT: _text,
    FieldType.BOOLEAN: _boolean,
    FieldType.INTEGER: _integer,
    FieldType.FLOAT: _float,
    FieldType.DECIMAL: _decimal,
    FieldType.DATE: _date,
    FieldType.DATETIME: _moment,
    FieldType.LOCAL_DATETIME: _moment,
}
