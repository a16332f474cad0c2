"""From text to typed columns."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import casting
from connectors.casting import Places, canonical, canonical_all, cast, short, typed
from rules.schema import Field, FieldType, Schema

D = Decimal
LOCAL = FieldType.LOCAL_DATETIME
UTC = dt.UTC


def local(*clock: int) -> dt.datetime:
    return dt.datetime.combine(dt.date(2024, 1, 31), dt.time(*clock))


FITS: list[tuple[FieldType, int | None, str, Any]] = [
    (FieldType.TEXT, None, " as it is ", " as it is "),
    (FieldType.INTEGER, None, " 42 ", 42),
    (FieldType.INTEGER, None, "-9223372036854775808", -(2**63)),
    (FieldType.INTEGER, None, "007", 7),
    (FieldType.DECIMAL, 2, "1.5", D("1.50")),
    (FieldType.DECIMAL, 2, "1.5000", D("1.50")),
    (FieldType.DECIMAL, 2, "-.5", D("-0.50")),
    (FieldType.DECIMAL, 0, "7.0", D(7)),
    (FieldType.DECIMAL, None, "12345678901234567890.000000000000000001", D("12345678901234567890.000000000000000001")),
    (FieldType.FLOAT, None, "1e-3", 0.001),
    (FieldType.FLOAT, None, "-inf", float("-inf")),
    (FieldType.BOOLEAN, None, "Yes", True),
    (FieldType.BOOLEAN, None, "否", False),
    (FieldType.BOOLEAN, None, "0", False),
    (FieldType.DATE, None, "2024-02-29", dt.date(2024, 2, 29)),
    (FieldType.DATE, None, "2024/2/9", dt.date(2024, 2, 9)),
    (FieldType.DATE, None, "2024年2月9日", dt.date(2024, 2, 9)),
    (FieldType.DATE, None, "2024-02-09 00:00:00", dt.date(2024, 2, 9)),
    (FieldType.TIME, None, "8:30", dt.time(8, 30)),
    (FieldType.TIME, None, "23:59:59.999999", dt.time(23, 59, 59, 999999)),
    (FieldType.DATETIME, None, "2024-01-31T23:00:00Z", dt.datetime(2024, 1, 31, 23, tzinfo=UTC)),
    (FieldType.DATETIME, None, "2024-01-31T23:00:00.1234560Z", dt.datetime(2024, 1, 31, 23, 0, 0, 123456, tzinfo=UTC)),
    (FieldType.DATETIME, None, "2024/1/31 7:00 +08:00", dt.datetime(2024, 1, 30, 23, tzinfo=UTC)),
    (FieldType.DATETIME, None, "2024-01-31T23:00:00-0330", dt.datetime(2024, 2, 1, 2, 30, tzinfo=UTC)),
    (LOCAL, None, "2024-01-31T23:00:00.5", local(23, 0, 0, 500000)),
    (LOCAL, None, "2024-1-31 8:05", local(8, 5)),
    (LOCAL, None, "2024年1月31日 8:05:09", local(8, 5, 9)),
    (LOCAL, None, "2024-01-31", local()),
    (FieldType.BINARY, None, "AP8=", b"\x00\xff"),
    (FieldType.BINARY, None, "", b""),
    (FieldType.JSON, None, '{"b": 1.50, "a": [1E5]}', '{"a":[1E5],"b":1.50}'),
]

REFUSED: list[tuple[FieldType, int | None, str]] = [
    (FieldType.INTEGER, None, "1.0"),
    (FieldType.INTEGER, None, "9223372036854775808"),
    (FieldType.INTEGER, None, "1,000"),
    (FieldType.INTEGER, None, "N/A"),
    (FieldType.DECIMAL, 2, "1.005"),
    (FieldType.DECIMAL, 2, "1e3"),
    (FieldType.DECIMAL, 0, "7.5"),
    (FieldType.DECIMAL, 18, "123456789012345678901"),
    (FieldType.DECIMAL, 2, "1,50"),
    (FieldType.FLOAT, None, "1e999"),
    (FieldType.FLOAT, None, "x"),
    (FieldType.BOOLEAN, None, "maybe"),
    (FieldType.DATE, None, "2024-02-30"),
    (FieldType.DATE, None, "01/02/2024"),
    (FieldType.DATE, None, "24-01-02"),
    (FieldType.DATE, None, "2024-01-02 10:00:00"),
    (FieldType.DATE, None, "2024-01-02x"),
    (FieldType.TIME, None, "24:00"),
    (FieldType.TIME, None, "8:30.5"),
    (FieldType.TIME, None, "01:020"),
    (FieldType.DATETIME, None, "2024-01-31T23:00:00"),
    (FieldType.DATETIME, None, "2024-01-31T23:00:00.1234567Z"),
    (FieldType.DATETIME, None, "2024-02-30T23:00:00Z"),
    (LOCAL, None, "2024-01-31T23:00:00Z"),
    (LOCAL, None, "2024-01-31T23:00:00.1234567"),
    (LOCAL, None, "2024-01-31T24:00:00"),
    (FieldType.BINARY, None, "!"),
    (FieldType.JSON, None, "{"),
]


@pytest.mark.parametrize(("kind", "scale", "text", "value"), FITS)
def test_fitting_texts_are_read_exactly(kind: FieldType, scale: int | None, text: str, value: Any) -> None:
    """A text that means one value of the type gives that value, alone and beside others."""
    field = Field("f", kind, scale=scale)
    assert cast(pl.Series("f", [text], pl.String), field).to_list() == [value]
    mixed = cast(pl.Series("f", [None, text, "?", text]), field)
    assert mixed.dtype == field.dtype
    assert mixed.to_list()[1::2] == [value, value]
    assert mixed[0] is None


@pytest.mark.parametrize(("kind", "scale", "text"), REFUSED)
def test_other_texts_are_rejected_with_a_sentence(kind: FieldType, scale: int | None, text: str) -> None:
    """A text that is not plainly a value of the type is rejected, naming place, field and value."""
    field = Field("f", kind, scale=scale)
    raw = pl.DataFrame({"f": [None, text]}, schema={"f": pl.String})
    frame, rejects, kept = typed(raw, Schema((field,)), Places(lambda row: f"line {row + 2}", lambda row: f"row {row}"))
    assert frame["f"].to_list() == [None]
    assert kept.to_list() == [True, False]
    (reject,) = rejects
    assert (reject.place, reject.raw, reject.field) == ("line 3", "row 1", "f")
    assert text in str(reject.message)
    assert "Field 'f'" in str(reject.message)


def test_a_missing_value_of_a_required_field_is_rejected() -> None:
    """An empty key is no record; an empty text elsewhere is no value."""
    raw = pl.DataFrame({"id": ["1", " ", None], "n": ["", "2", "3"]})
    schema = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("n", FieldType.INTEGER), Field("new")))
    frame, rejects, _ = typed(raw, schema, Places(str, str))
    assert frame.rows() == [(1, None, None)]
    assert [(r.place, str(r.message)) for r in rejects] == [
        ("1", "Field 'id' is empty, but it must have a value."),
        ("2", "Field 'id' is empty, but it must have a value."),
    ]


def test_long_values_are_shown_short() -> None:
    """A message shows the beginning of a long value."""
    assert short("x" * 100, 10) == "x" * 9 + "…"
    assert canonical("[" * 100_000) is None


def test_json_is_remembered_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that are known, texts that are new and long ones give the same, also when too many are known."""
    long = '{"b":"' + "x" * 300 + '"}'
    monkeypatch.setattr(casting, "_MOST", 1)
    for _ in range(3):
        for texts in (['{"b": 1}', None, '{"a":1}'], ["[1]", '{"a":1}'], [long, "[2]"], ["{"], ["[1]"] * 20 + ["[ 2]"]):
            assert canonical_all(pl.Series(texts)).to_list() == [text and canonical(text) for text in texts]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.none() | st.builds(json.dumps, JSON) | st.text(max_size=3), min_size=1))
def test_json_in_its_one_form_stays_as_it_is(texts: list[str | None]) -> None:
    """Columns of JSON come out as their texts do one by one; what has come out once comes out the same again."""
    made = canonical_all(pl.Series("f", texts, dtype=pl.String))
    assert made.to_list() == [None if text is None else canonical(text) for text in texts]
    again = canonical_all(made.rename("other"))
    assert again.name == "other"
    assert again.to_list() == [None if text is None else canonical(text) for text in made]
    assert again.to_list() == made.to_list()
