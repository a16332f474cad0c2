"""Lookup tables in expressions: what is found, what is not, and what is said of wrong names."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from rules.language import ExpressionError, compile_expression
from rules.language.library import Library, Lookup
from rules.schema import Field, FieldType, Schema

_COUNTRIES = Lookup(
    "countries",
    FieldType.TEXT,
    (
        Field("name"),
        Field("vat", FieldType.DECIMAL, scale=2),
        Field("since", FieldType.DATE),
        Field("at", FieldType.DATETIME),
        Field("wall", FieldType.LOCAL_DATETIME),
        Field("members", FieldType.INTEGER),
        Field("euro", FieldType.BOOLEAN),
    ),
    {
        "DE": (
            "Germany",
            Decimal("19.00"),
            dt.date(1949, 5, 23),
            dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            dt.datetime(2024, 1, 2),
            16,
            True,
        ),
        "CN": ("China", None, None, None, None, None, None),
    },
)
_DAYS = Lookup("days", FieldType.DATE, (Field("kind"),), {dt.date(2024, 1, 1): ("holiday",)})
_NUMBERS = Lookup("numbers", FieldType.INTEGER, (Field("word"),), {5: ("five",)})
_LIBRARY = Library({table.name: table for table in (_COUNTRIES, _DAYS, _NUMBERS)})
_SCHEMA = Schema(
    (Field("code"), Field("day", FieldType.DATE), Field("n", FieldType.INTEGER), Field("data", FieldType.JSON))
)
_BATCH = pl.DataFrame(
    {
        "code": ["DE", "CN", "XX", None],
        "day": [dt.date(2024, 1, 1), dt.date(2024, 1, 2), None, None],
        "n": [5, 6, None, 5],
        "data": ["5", "5.5", "null", '"x"'],
    },
    schema=_SCHEMA.dtypes(),
)


def _run(text: str) -> tuple[list[Any], list[str]]:
    found = compile_expression(text, _SCHEMA, library=_LIBRARY).evaluate(_BATCH)
    return found.values.to_list(), [str(error.message) for error in found.errors]


def _problem(text: str) -> tuple[str, str | None]:
    with pytest.raises(ExpressionError) as failed:
        compile_expression(text, _SCHEMA, library=_LIBRARY)
    (found,) = failed.value.problems
    return str(found.message), found.suggestion


@pytest.mark.parametrize(
    ("text", "type_", "values"),
    [
        ("lookup('countries', code)", FieldType.TEXT, ["Germany", "China", None, None]),
        ("lookup('countries', code, 'vat')", FieldType.DECIMAL, [Decimal(19), None, None, None]),
        ("lookup('countries', code, 'since')", FieldType.DATE, [dt.date(1949, 5, 23), None, None, None]),
        (
            "lookup('countries', code, 'at')",
            FieldType.DATETIME,
            [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None, None, None],
        ),
        ("lookup('countries', code, 'wall')", FieldType.LOCAL_DATETIME, [dt.datetime(2024, 1, 2), None, None, None]),
        ("lookup('countries', code, 'members')", FieldType.INTEGER, [16, None, None, None]),
        ("lookup('countries', code, 'euro')", FieldType.BOOLEAN, [True, None, None, None]),
        ("lookup('countries', code).orDefault('?')", FieldType.TEXT, ["Germany", "China", "?", "?"]),
        ("lookup('countries', code) == null", FieldType.BOOLEAN, [False, False, True, True]),
        ("lookup('countries', 'DE').upper()", FieldType.TEXT, ["GERMANY"] * 4),
        ("lookup('countries', null)", FieldType.TEXT, [None] * 4),
        ("lookup('days', day)", FieldType.TEXT, ["holiday", None, None, None]),
        ("lookup('numbers', n)", FieldType.TEXT, ["five", None, None, "five"]),
    ],
)
def test_found(text: str, type_: FieldType, values: list[Any]) -> None:
    """A lookup gives the column's value, of the column's type, and nothing for a key that is not there."""
    assert compile_expression(text, _SCHEMA, library=_LIBRARY).type is type_
    assert _run(text) == (values, [])


def test_json_keys() -> None:
    """A key out of JSON is compared by its value; one of another type is an error of its record."""
    values, errors = _run("lookup('numbers', data)")
    assert values == ["five", None, None, None]
    assert errors == ["The lookup table 'numbers' is keyed by integer, but the value here is 'x'."]


def test_nothing_found_is_said() -> None:
    """Calculating with what a table does not have names the table."""
    reason = "The lookup table 'countries' has nothing for this key. Use orDefault() to say what stands for it."
    assert _run("lookup('countries', code) + '!'") == (["Germany!", "China!", None, None], [reason] * 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lookup('country', code)", ("There is no lookup table 'country'. Did you mean 'countries'?", "'countries'")),
        ("lookup('xyz', code)", ("There is no lookup table 'xyz'.", None)),
        (
            "lookup('countries', code, 'nam')",
            ("The lookup table has no column 'nam'. Did you mean 'name'?", "'name'"),
        ),
        ("lookup('countries', n)", ("The lookup table 'countries' is keyed by text, but the value is integer.", None)),
        (
            "lookup(code, code)",
            (
                "lookup() needs the names of table and column written out, like lookup('countries', code, 'name').",
                None,
            ),
        ),
        (
            "lookup('countries', code, code)",
            (
                "lookup() needs the names of table and column written out, like lookup('countries', code, 'name').",
                None,
            ),
        ),
    ],
)
def test_wrong_names(text: str, problem: tuple[str, str | None]) -> None:
    """Tables and columns are checked when the expression is."""
    assert _problem(text) == problem


def test_large() -> None:
    """A table of 20,000 entries costs no more to compile with than a small one."""
    entries = {f"k{number}": (f"v{number}",) for number in range(20_000)}
    library = Library({"large": Lookup("large", FieldType.TEXT, (Field("value"),), entries)})
    batch = pl.DataFrame({"code": [f"k{number}" for number in range(0, 20_000, 20)]})
    started = time.perf_counter()
    found = compile_expression("lookup('large', code)", _SCHEMA, library=library).evaluate(batch)
    assert found.values.to_list() == [f"v{number}" for number in range(0, 20_000, 20)]
    assert time.perf_counter() - started < 2
