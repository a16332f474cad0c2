"""Values of databases as typed columns: exact or bad, never rounded."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.builtin.database_types import (
    Decoded,
    convert,
    decode,
    parse,
    position_value,
    since_value,
    to_text,
    to_wire,
    truths,
    wire_value,
)
from connectors.builtin.postgresql_literals import array_literal
from rules.schema import Field, FieldType

CHINA = dt.timezone(dt.timedelta(hours=8))


def bad(decoded: Decoded) -> list[bool]:
    return decoded.bad.to_list() if decoded.bad is not None else [False] * decoded.values.len()


@given(
    st.lists(st.decimals(allow_nan=True, allow_infinity=True, places=None), max_size=20),
    st.sampled_from([0, 2, 18, 38]),
)
@example([Decimal("1E-400"), Decimal("1E+400"), Decimal("1E+37"), Decimal("0E-30")], 0)
def test_decimals_are_exact_or_bad(numbers: list[Decimal], scale: int) -> None:
    """A number arrives with its very value, or is bad because it is not finite or has too many digits."""
    done = decode(Field("n", FieldType.DECIMAL, scale=scale), [str(number) for number in numbers])
    for number, value, wrong in zip(numbers, done.values, bad(done), strict=True):
        assert wrong == (value is None)
        if value is not None:
            assert value == number
        else:
            assert not number.is_finite() or not _fits(number, scale)


def _fits(number: Decimal, scale: int) -> bool:
    if abs(number.adjusted()) > 100:
        return not number
    scaled = Fraction(number) * 10**scale
    return scaled.denominator == 1 and abs(scaled) < 10**38


@given(st.lists(st.none() | st.datetimes(), max_size=10))
def test_date_times_survive_their_text(stamps: list[dt.datetime | None]) -> None:
    """Wall-clock times and instants are the same after they were written as text."""
    local = pl.Series("x", stamps, dtype=pl.Datetime("us"))
    assert parse(to_text(local), Field("x", FieldType.LOCAL_DATETIME)).values.equals(local)
    instant = local.dt.replace_time_zone("UTC")
    for zone in ("", "+00", "+00:00", "Z"):
        done = parse(to_text(instant) + zone, Field("x", FieldType.DATETIME))
        assert done.values.equals(instant)
        assert done.bad is None


@given(st.lists(st.none() | st.dates(), max_size=10), st.lists(st.none() | st.times(), max_size=10))
def test_dates_and_times_survive_their_text(dates: list[dt.date | None], times: list[dt.time | None]) -> None:
    """Dates and times are the same after they were written as text."""
    for values, kind in (
        (pl.Series(dates, dtype=pl.Date), FieldType.DATE),
        (pl.Series(times, dtype=pl.Time), FieldType.TIME),
    ):
        assert parse(to_wire(values), Field("x", kind)).values.equals(values)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (FieldType.DATE, ["infinity", "0000-00-00", "2024-02-30", "10000-01-01", "0044-03-15 BC", "today"]),
        (FieldType.TIME, ["24:00:00", "-01:00:00", "100:00:00", "noon"]),
        (FieldType.DATETIME, ["infinity", "-infinity", "10000-01-01 00:00:00+00", "2024-01-01"]),
        (FieldType.LOCAL_DATETIME, ["0000-00-00 00:00:00", "2024-01-01 25:00:00", "2024-01-01 00:00:00+08"]),
        (FieldType.DECIMAL, ["NaN", "Infinity", "-Infinity", "", "1,5", "0x10"]),
        (FieldType.JSON, ["", "{", "NaN", "'a'"]),
    ],
)
def test_texts_that_are_no_values(kind: FieldType, texts: list[str]) -> None:
    """What a type cannot hold is bad, and only that; nulls are not."""
    done = decode(Field("x", kind), [None, *texts])
    assert done.values.null_count() == len(texts) + 1
    assert bad(done) == [False, *[True] * len(texts)]


def test_instants_with_other_zones() -> None:
    """An instant with any offset, or none, is an instant in UTC."""
    texts = ["2024-01-01 08:00:00+08", "2024-01-01 05:30:00.5+05:30", "2023-12-31 19:00:00-0500", "2024-01-01T00:00:00"]
    midnight = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    done = parse(pl.Series(texts), Field("x", FieldType.DATETIME))
    assert done.values.to_list() == [midnight, midnight + dt.timedelta(milliseconds=500), midnight, midnight]


def test_values_of_another_kind_are_found_one_by_one() -> None:
    """A number that is too large, or a value of another kind, is bad without spoiling the others."""
    done = decode(Field("x", FieldType.INTEGER), [1, 2**63, None, -(2**63), "7", 2.5])
    assert done.values.to_list() == [1, None, None, -(2**63), None, None]
    assert bad(done) == [False, True, False, False, True, True]
    mixed = decode(Field("x", FieldType.DATE), ["2024-01-01", 5, "never"])
    assert bad(mixed) == [False, True, True]


def test_truths() -> None:
    """0 and 1 are booleans, nothing else is."""
    done = truths("x", decode(Field("x", FieldType.INTEGER), [0, 1, None, 2, -1, 2**64]))
    assert done.values.to_list() == [False, True, None, None, None, None]
    assert bad(done) == [False, False, False, True, True, True]


def test_conversion_to_another_type() -> None:
    """A column that has another type than was confirmed is converted exactly; what does not fit is bad."""
    texts = Decoded(pl.Series(["1", "1.5", "x", None]), pl.Series([False, False, False, True]))
    assert convert(texts, Field("x", FieldType.INTEGER)).values.to_list() == [1, None, None, None]
    assert bad(convert(texts, Field("x", FieldType.INTEGER))) == [False, True, True, True]
    numbers = Decoded(pl.Series([1.0, 0.1, float("nan")]))
    assert convert(numbers, Field("x", FieldType.DECIMAL, scale=1)).values.to_list()[:2] == [Decimal(1), Decimal("0.1")]
    assert convert(numbers, Field("x", FieldType.FLOAT)) is numbers
    assert convert(Decoded(pl.Series([b"\xff"])), Field("x")).values.to_list() == ["ff"]


@given(
    st.none()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.booleans()
)
def test_positions_are_json(value: Any) -> None:
    """A wire value of any kind survives as a JSON value."""
    assert wire_value(json.loads(json.dumps(position_value(value)))) == value


@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        (FieldType.DATETIME, dt.datetime(2024, 1, 1, 8, tzinfo=CHINA), "2024-01-01 00:00:00.000000"),
        (FieldType.DATETIME, "2024-01-01T08:00:00.000001+08:00", "2024-01-01 00:00:00.000001"),
        (FieldType.DATETIME, "2024-01-01T00:00:00Z", "2024-01-01 00:00:00.000000"),
        (FieldType.DATETIME, "0987-01-01", "0987-01-01 00:00:00.000000"),
        (FieldType.LOCAL_DATETIME, "2024-01-01 10:00", "2024-01-01 10:00:00.000000"),
        (FieldType.DATE, "2024-01-01", "2024-01-01"),
        (FieldType.DATE, dt.date(2024, 1, 1), "2024-01-01"),
        (FieldType.TIME, dt.time(1, 2, 3), "01:02:03.000000"),
        (FieldType.TIME, "01:02", "01:02:00.000000"),
        (FieldType.DECIMAL, Decimal("1E+2"), "100"),
        (FieldType.DECIMAL, "1.50", "1.50"),
        (FieldType.DECIMAL, 7, "7"),
        (FieldType.INTEGER, "12", 12),
        (FieldType.FLOAT, "1.5", 1.5),
        (FieldType.TEXT, "x", "x"),
        (FieldType.BINARY, b"x", b"x"),
        (FieldType.BOOLEAN, True, True),
        (FieldType.INTEGER, None, None),
    ],
)  # fmt: skip
def test_the_start_of_a_cursor(kind: FieldType, value: Any, wire: Any) -> None:
    """A cursor starts at a Python value or its text."""
    assert since_value(Field("x", kind), value) == wire


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FieldType.DATETIME, "soon"), (FieldType.DATE, 5), (FieldType.DECIMAL, "x"), (FieldType.DECIMAL, "NaN"),
        (FieldType.INTEGER, "1.5"), (FieldType.TIME, []),
    ],
)  # fmt: skip
def test_a_start_that_is_no_value(kind: FieldType, value: Any) -> None:
    """What is no value of the field's type is an error."""
    with pytest.raises(ValueError, match=r"."):
        since_value(Field("x", kind), value)


def test_array_literals() -> None:
    """Texts become one array literal, with quotes, backslashes and nulls kept apart."""
    assert (
        array_literal(pl.Series(['a"b', "c\\d", None, "", "NULL", "{,}"])) == '{"a\\"b","c\\\\d",NULL,"","NULL","{,}"}'
    )
    assert array_literal(pl.Series([], dtype=pl.String)) == "{}"
