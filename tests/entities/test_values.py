"""Values from forms, files and JSON; the exact forms in which they are stored."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from webapp.entities.columns import Exact
from webapp.entities.model import Choice, EntityField, Kind, Label
from webapp.entities.values import BadValue, canonical_text, from_plain, from_text, to_plain, to_text

SHANGHAI = ZoneInfo("Asia/Shanghai")
CHOICES = (Choice("a", Label("Active", "有效")), Choice("b", Label("Blocked", "冻结")))


def kind(name: str, **more: Any) -> EntityField:
    return EntityField("f", Kind(name), **more)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (kind("integer"), "1,234", 1234),
        (kind("integer"), "１２", 12),
        (kind("integer"), "5.0", 5),
        (kind("decimal"), "-1,234.5", Decimal("-1234.50")),
        (kind("decimal"), "1e2", Decimal("100.00")),
        (kind("boolean"), "是", True),
        (kind("boolean"), "No", False),
        (kind("date"), "2024/3/5", dt.date(2024, 3, 5)),
        (kind("date"), "2024年3月5日", dt.date(2024, 3, 5)),
        (kind("date"), "2024-03-05 00:00:00", dt.date(2024, 3, 5)),
        (kind("datetime"), "2024-03-05T08:00", dt.datetime(2024, 3, 5, tzinfo=dt.UTC)),
        (kind("datetime"), "2024-03-05T08:00+00:00", dt.datetime(2024, 3, 5, 8, tzinfo=dt.UTC)),
        (kind("choice", choices=CHOICES), "有效", "a"),
        (kind("multi_choice", choices=CHOICES), "Blocked，a", '["a","b"]'),
        (kind("json"), '{"b": 1.50, "a": []}', '{"a":[],"b":1.50}'),
        (kind("text"), " as it is ", " as it is "),
        (kind("email"), "  ", None),
    ],
)
def test_texts_that_people_write(field: EntityField, text: str, value: Any) -> None:
    """Numbers, dates and choices are read as people in China and elsewhere write them."""
    assert from_text(field, text, SHANGHAI) == value


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (kind("integer"), "1.5"),
        (kind("integer"), "1,23"),
        (kind("integer"), str(2**63)),
        (kind("decimal"), "0.001"),
        (kind("decimal"), "NaN"),
        (kind("decimal", precision=4), "100"),
        (kind("boolean"), "maybe"),
        (kind("date"), "2024-02-30"),
        (kind("date"), "2024-02-03 10:00"),
        (kind("datetime"), "yesterday"),
        (kind("choice", choices=CHOICES), "c"),
        (kind("json"), "{"),
        (kind("json"), "NaN"),
    ],
)
def test_texts_that_do_not_fit(field: EntityField, text: str) -> None:
    """What would have to be guessed, or would lose digits, is refused."""
    with pytest.raises(BadValue):
        from_text(field, text, SHANGHAI)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**11), max_value=10**11))
def test_decimals_survive_text_and_json(number: Decimal) -> None:
    """A decimal comes back digit for digit from text and from JSON."""
    field = kind("decimal", scale=4)
    stored = from_text(field, str(number))
    assert stored == number
    assert stored.as_tuple().exponent == -4
    assert from_text(field, to_text(field, stored)) == stored
    assert from_plain(field, to_plain(field, stored)) == stored


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
        max_leaves=8,
    )
)
def test_json_has_one_form(value: Any) -> None:
    """JSON is stored in one form only, which reading and writing again does not change."""
    stored = from_plain(kind("json"), value)
    if value is None:
        assert stored is None
        return
    assert canonical_text(stored) == stored
    assert to_plain(kind("json"), stored) == value


@pytest.mark.parametrize(("precision", "scale"), [(18, 4), (38, 10), (19, 0), (1, 0)])
def test_stored_decimals_keep_value_and_order(precision: int, scale: int) -> None:
    """On SQLite the stored form of a decimal is exact, and sorts as the numbers do."""

    @given(st.lists(st.integers(-(10**precision) + 1, 10**precision - 1), min_size=1, max_size=20))
    def law(numbers: list[int]) -> None:
        column = Exact(precision, scale)
        dialect = sqlite.dialect()
        values = [Decimal(n).scaleb(-scale) if precision < 28 else _scaled(n, scale) for n in numbers]
        stored = [column.process_bind_param(v, dialect) for v in values]
        assert [column.process_result_value(s, dialect) for s in stored] == values
        ranked = sorted(range(len(values)), key=lambda i: (values[i], i))
        assert ranked == sorted(range(len(values)), key=lambda i: (stored[i], i))

    law()


def _scaled(number: int, scale: int) -> Decimal:
    return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale))


def test_decimal_types_by_database() -> None:
    """PostgreSQL holds NUMERIC; SQLite an integer up to 18 digits, a text of fixed width beyond."""
    types = {
        (p, d.name): Exact(p, 2).load_dialect_impl(d)
        for p in (18, 19)
        for d in (sqlite.dialect(), sa.dialects.registry.load("postgresql")())
    }
    assert isinstance(types[18, "sqlite"], sa.BigInteger)
    assert isinstance(types[19, "sqlite"], sa.String)
    assert isinstance(types[19, "postgresql"], sa.Numeric)
